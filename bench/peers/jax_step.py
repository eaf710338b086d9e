"""One of the benchmark's models in JAX, jitted, trained for so many steps on made-up data:

    jax_step.py MODEL --steps N NAME=VALUE ...

The number of threads is set from outside, by the processors that the process may use."""
import argparse

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

rng = np.random.default_rng(1)

BATCHES = 4  # of rows: as in models/


def dense(i, o):
    return {"w": (rng.standard_normal((i, o)) * (2 / i) ** 0.5).astype("f"), "b": np.zeros(o, "f")}


def linear(p, x):
    return x @ p["w"] + p["b"]


def classes(z, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], -1))


def mse(p, t):
    return jnp.mean((p - t) ** 2)


def mlp(B, I, H, L, C):
    p = {"hidden": [dense(I if k == 0 else H, H) for k in range(L)], "last": dense(H, C)}

    def loss(p, x, y):
        for layer in p["hidden"]:
            x = jax.nn.relu(linear(layer, x))
        return classes(linear(p["last"], x), y)

    return p, loss, rng.random((B, I), "f"), rng.integers(0, C, B)


def lenet(B):
    def kernel(o, i):
        return {"w": (rng.standard_normal((o, i, 5, 5)) * (2 / (25 * i)) ** 0.5).astype("f"),
                "b": np.zeros((o, 1, 1), "f")}

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def conv(p, x, pad):
        return lax.conv_general_dilated(x, p["w"], (1, 1), [(pad, pad)] * 2) + p["b"]

    p = {"c1": kernel(6, 1), "c2": kernel(16, 6), "f1": dense(400, 120), "f2": dense(120, 84),
         "f3": dense(84, 10)}

    def loss(p, x, y):
        x = pool(jax.nn.relu(conv(p["c1"], x, 2)))
        x = pool(jax.nn.relu(conv(p["c2"], x, 0)))
        x = jax.nn.relu(linear(p["f1"], x.reshape(x.shape[0], -1)))
        return classes(linear(p["f3"], jax.nn.relu(linear(p["f2"], x))), y)

    return p, loss, rng.random((B, 1, 28, 28), "f"), rng.integers(0, 10, B)


def lstm(B, T, D, H):
    p = {"x": dense(D, 4 * H), "h": dense(H, 4 * H)}

    def loss(p, x, y):
        gates = linear(p["x"], x).swapaxes(0, 1)

        def step(state, a):
            h, c = state
            i, f, g, o = jnp.split(a + h @ p["h"]["w"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((x.shape[0], H))
        (h, _), _ = lax.scan(step, (zero, zero), gates)
        return mse(h, y)

    return p, loss, rng.random((B, T, D), "f"), rng.random((B, H), "f")


def block_weights(D):
    norm = lambda: {"g": np.ones(D, "f"), "b": np.zeros(D, "f")}
    return {"norm1": norm(), "norm2": norm(), "qkv": dense(D, 3 * D), "proj": dense(D, D),
            "fc1": dense(D, 4 * D), "fc2": dense(4 * D, D)}


def norm(p, x):
    d = x - x.mean(-1, keepdims=True)
    return d * lax.rsqrt((d * d).mean(-1, keepdims=True) + 1e-5) * p["g"] + p["b"]


def block_apply(p, x, heads):
    B, T, D = x.shape
    q, k, v = jnp.moveaxis(linear(p["qkv"], norm(p["norm1"], x)).reshape(B, T, 3, heads, -1), 2, 0)
    o = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    h = x + linear(p["proj"], o.reshape(B, T, D))
    return h + linear(p["fc2"], jax.nn.gelu(linear(p["fc1"], norm(p["norm2"], h)), False))


def block(B, T, D, NH):
    def loss(p, x, y):
        return mse(block_apply(p, x, NH), y)

    data = rng.standard_normal((2, B, T, D)).astype("f")
    return block_weights(D), loss, data[0], data[1]


def chargpt(B, T, D, NH, L, V):
    p = {"embed": rng.standard_normal((V, D)).astype("f"),
         "place": (0.02 * rng.standard_normal((T, D))).astype("f"),
         "blocks": [block_weights(D) for _ in range(L)],
         "norm": {"g": np.ones(D, "f"), "b": np.zeros(D, "f")}, "head": dense(D, V)}

    def loss(p, ids, y):
        h = p["embed"][ids] + p["place"]
        for b in p["blocks"]:
            h = block_apply(b, h, NH)
        return classes(linear(p["head"], norm(p["norm"], h)), y)

    return p, loss, rng.integers(0, V, (B, T)), rng.integers(0, V, (B, T))


def sgd(p, g, state, t):
    return jax.tree.map(lambda p, g: p - 1e-2 * g, p, g), state


def adamw(p, g, state, t):
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state[0], g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state[1], g)
    a, c = 1e-3 / (1 - 0.9 ** t), 1 / jnp.sqrt(1 - 0.999 ** t)
    p = jax.tree.map(lambda p, m, v: p * (1 - 1e-5) - a * m / (jnp.sqrt(v) * c + 1e-8), p, m, v)
    return p, (m, v)


def main():
    o = argparse.ArgumentParser()
    o.add_argument("model")
    o.add_argument("--steps", type=int, required=True)
    o.add_argument("sizes", nargs="*")
    o = o.parse_intermixed_args()
    sizes = {k: int(v) for k, v in (s.split("=") for s in o.sizes)}
    batch = sizes["B"]
    sizes["B"] *= BATCHES
    p, loss, xs, ys = globals()[o.model](**sizes)
    update = adamw if o.model == "chargpt" else sgd
    zeros = jax.tree.map(np.zeros_like, p)
    state = (zeros, zeros) if update is adamw else ()

    def step(p, state, t, xs, ys, rows):
        value, g = jax.value_and_grad(loss)(p, xs[rows], ys[rows])
        return (*update(p, g, state, t), value)

    step = jax.jit(step, donate_argnums=(0, 1))
    p = jax.tree.map(jnp.asarray, p)
    state = jax.tree.map(jnp.asarray, state)
    xs, ys = jnp.asarray(xs), jnp.asarray(ys)
    for n in range(o.steps):
        if n % BATCHES == 0:
            order = rng.permutation(len(xs)).reshape(BATCHES, batch)
        p, state, value = step(p, state, float(n + 1), xs, ys, order[n % BATCHES])
    value.block_until_ready()


main()
