#!/usr/bin/env python3
"""Makes cases.npz: gradients by PyTorch in f64 of the functions in cases.bp.

    python3 tests/reference/make.py        needs numpy and torch (scripts/deps --bench)

For every case the file holds the inputs under CASE.NAME and the expected results, in order, under
CASE.out0, CASE.out1 ...: the value, then the gradient with respect to each of the inputs named by
grads. Inputs are drawn from fixed seeds.
"""
import os
import re

import numpy as np
import torch
import torch.nn.functional as F

here = os.path.dirname(os.path.abspath(__file__))
real = torch.float64
cases = []


def case(name, body, inputs, torch_fn, grads=None, low=-2.0, high=2.0):
    """body: the scalar function in .bp over the inputs; inputs: name -> type as written."""
    cases.append((name, body, inputs, torch_fn, grads, low, high))


K = "let k: f64[3, 4] = [0.7, -1.2, 0.3, 2.1, 1.1, -0.4, 0.9, -2.2, 0.2, 1.7, -0.6, 0.5]; "
k = torch.tensor([[0.7, -1.2, 0.3, 2.1], [1.1, -0.4, 0.9, -2.2], [0.2, 1.7, -0.6, 0.5]], dtype=real)


def weighted(name, expr, torch_fn, **more):
    case(name, K + f"return sum(k * {expr});", {"x": "f64[3, 4]"}, lambda x: (k * torch_fn(x)).sum(), **more)


weighted("exp", "exp(x)", torch.exp)
weighted("expm1", "expm1(x)", torch.expm1)
weighted("log", "log(x)", torch.log, low=0.2)
weighted("log1p", "log1p(x)", torch.log1p, low=-0.8)
weighted("sqrt", "sqrt(x)", torch.sqrt, low=0.2)
weighted("rsqrt", "rsqrt(x)", torch.rsqrt, low=0.2)
weighted("tanh", "tanh(x)", torch.tanh)
weighted("sigmoid", "sigmoid(x)", torch.sigmoid)
weighted("erf", "erf(x)", torch.erf)
weighted("sin", "sin(x)", torch.sin, low=-9.0, high=9.0)
weighted("cos", "cos(x)", torch.cos, low=-9.0, high=9.0)
weighted("abs", "abs(x)", torch.abs)
weighted("relu", "relu(x)", torch.relu)
weighted("leaky_relu", "leaky_relu(x, slope=0.2)", lambda x: F.leaky_relu(x, 0.2))
weighted("elu", "elu(x)", F.elu)
weighted("gelu", "gelu(x)", F.gelu)
weighted("gelu_tanh", "gelu(x, tanh_form=true)", lambda x: F.gelu(x, approximate="tanh"))
weighted("silu", "silu(x)", F.silu)
weighted("softplus", "softplus(x)", F.softplus)
weighted("softmax", "softmax(x)", lambda x: torch.softmax(x, -1))
weighted("softmax_axis", "softmax(x, axis=0)", lambda x: torch.softmax(x, 0))
weighted("log_softmax", "log_softmax(x)", lambda x: torch.log_softmax(x, -1))
weighted("clip", "clip(x, lo=-0.5, hi=1.0)", lambda x: torch.clamp(x, -0.5, 1.0))
weighted("cube", "x ** 3", lambda x: x ** 3)
weighted("power", "pow(x, 2.5)", lambda x: x ** 2.5, low=0.2)
weighted("reciprocal", "(1 / x)", lambda x: 1 / x, low=0.3)
weighted("transpose", "transpose(reshape(x * x, [4, 3]))", lambda x: (x * x).reshape(4, 3).T)
weighted("cumsum_flip", "flip(x * x, [0])", lambda x: torch.flip(x * x, [0]))
case("logsumexp", "let v: f64[3] = [1.0, -2.0, 0.5]; return sum(v * logsumexp(x));", {"x": "f64[3, 4]"},
     lambda x: (torch.tensor([1.0, -2.0, 0.5], dtype=real) * torch.logsumexp(x, -1)).sum())
case("variance", "let v: f64[3] = [1.0, -2.0, 0.5]; return sum(v * variance(x, axis=1));", {"x": "f64[3, 4]"},
     lambda x: (torch.tensor([1.0, -2.0, 0.5], dtype=real) * torch.var(x, 1, unbiased=False)).sum())
case("std", "return std(x);", {"x": "f64[3, 4]"}, lambda x: torch.std(x, unbiased=False))
case("maximum", K + "return sum(k * max(x, y));", {"x": "f64[3, 4]", "y": "f64[3, 4]"},
     lambda x, y: (k * torch.maximum(x, y)).sum())
case("minimum", K + "return sum(k * min(x, y));", {"x": "f64[3, 4]", "y": "f64[3, 4]"},
     lambda x, y: (k * torch.minimum(x, y)).sum())
case("reduce_max", "let v: f64[4] = [1.0, -2.0, 0.5, 3.0]; return sum(v * max(x, axis=0));", {"x": "f64[3, 4]"},
     lambda x: (torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=real) * x.max(0).values).sum())
case("broadcast", "return sum(x * b + b * b);", {"x": "f64[3, 4]", "b": "f64[4]"}, lambda x, b: (x * b + (b * b).expand(3, 4)).sum())
case("divide", K + "return sum(k * x / y);", {"x": "f64[3, 4]", "y": "f64[3, 4]"}, lambda x, y: (k * x / y).sum(),
     low=0.3)
case("powers", K + "return sum(k * pow(x, y));", {"x": "f64[3, 4]", "y": "f64[3, 4]"}, lambda x, y: (k * x ** y).sum(),
     low=0.3)
case("matmul", "return sum((x @ y) ** 2);", {"x": "f64[3, 4]", "y": "f64[4, 5]"}, lambda x, y: ((x @ y) ** 2).sum())
case("matmul_vector", "return sum(tanh(x @ y));", {"x": "f64[3, 4]", "y": "f64[4]"}, lambda x, y: torch.tanh(x @ y).sum())
case("matmul_batched", "return sum(tanh(x @ y));", {"x": "f64[2, 3, 4]", "y": "f64[2, 4, 5]"}, lambda x, y: torch.tanh(x @ y).sum())
case("matmul_rows", "return sum(tanh(x @ y));", {"x": "f64[2, 3, 4]", "y": "f64[4, 5]"}, lambda x, y: torch.tanh(x @ y).sum())
case("slices", "return sum(x[1:, ::2] * x[:2, 1::2]);", {"x": "f64[3, 4]"}, lambda x: (x[1:, ::2] * x[:2, 1::2]).sum())
case("concat", "return sum(concat([x * x, y], axis=1) ** 3);", {"x": "f64[3, 4]", "y": "f64[3, 2]"},
     lambda x, y: (torch.cat([x * x, y], 1) ** 3).sum())
case("where", "return sum(where(x > y, x * x, y * x));", {"x": "f64[3, 4]", "y": "f64[3, 4]"},
     lambda x, y: torch.where(x > y, x * x, y * x).sum())
case("mse", "return mse(p, t);", {"p": "f64[5]", "t": "f64[5]"}, F.mse_loss)
case("mae", "return mae(p, t);", {"p": "f64[5]", "t": "f64[5]"}, F.l1_loss)
case("huber", "return huber(p, t, delta=0.7);", {"p": "f64[5]", "t": "f64[5]"}, lambda p, t: F.huber_loss(p, t, delta=0.7))
case("bce_with_logits", "return bce_with_logits(z, t);", {"z": "f64[5]", "t": "f64[5]"},
     lambda z, t: F.binary_cross_entropy_with_logits(z, t), low=0.05, high=0.95)
case("bce", "return bce(p, t);", {"p": "f64[5]", "t": "f64[5]"}, F.binary_cross_entropy, grads=["p"], low=0.05, high=0.95)
case("cross_entropy", "return cross_entropy(z, y);", {"z": "f64[6, 4]", "y": "i32<4>[6]"},
     lambda z, y: F.cross_entropy(z, y.long()), grads=["z"])
case("cross_entropy_smooth", "return cross_entropy(z, y, smoothing=0.1);", {"z": "f64[6, 4]", "y": "i32<4>[6]"},
     lambda z, y: F.cross_entropy(z, y.long(), label_smoothing=0.1), grads=["z"])
case("nll", "return nll(log_softmax(z), y);", {"z": "f64[6, 4]", "y": "i32<4>[6]"},
     lambda z, y: F.nll_loss(torch.log_softmax(z, -1), y.long()), grads=["z"])
case("embed", "return sum(embed(w, i) ** 2 * [1.0, 2.0, 3.0]);".replace(" * [1.0, 2.0, 3.0]", ""),
     {"w": "f64[7, 3]", "i": "i32<7>[5]"}, lambda w, i: (F.embedding(i.long(), w) ** 2).sum(), grads=["w"])
case("mlp", "let h = tanh(x @ w1 + b1); let z = h @ w2 + b2; return mean((z - t) ** 2);",
     {"x": "f64[5, 3]", "w1": "f64[3, 4]", "b1": "f64[4]", "w2": "f64[4, 2]", "b2": "f64[2]", "t": "f64[5, 2]"},
     lambda x, w1, b1, w2, b2, t: ((torch.tanh(x @ w1 + b1) @ w2 + b2 - t) ** 2).mean(), grads=["w1", "b1", "w2", "b2"])


def draw(rng, kind, low, high):
    m = re.match(r"(i32<(\d+)>|f64)\[(.*)\]", kind)
    shape = [int(d) for d in m[3].split(",")]
    if m[2]:
        return rng.integers(0, int(m[2]), shape).astype(np.int32)
    return rng.uniform(low, high, shape)


def program():
    out = ["// Made by make.py: one function per case and its value and gradients.\n"]
    for name, body, inputs, _, grads, _, _ in cases:
        formals = ", ".join(f"{n}: {t}" for n, t in inputs.items())
        names = grads or list(inputs)
        results = ", ".join(["f64"] + [inputs[n] for n in names])
        out.append(f"fn {name}_case({formals}) -> f64 {{ {body} }}\n"
                   f"export fn {name}_grads({formals}) -> ({results}) {{\n"
                   f"  return value_and_grad[{name}_case, wrt=({', '.join(names)},)]({', '.join(inputs)});\n}}\n")
    return "\n".join(out)


def main():
    arrays = {}
    for index, (name, _, inputs, torch_fn, grads, low, high) in enumerate(cases):
        rng = np.random.default_rng(index + 1)
        values = {n: draw(rng, t, low, high) for n, t in inputs.items()}
        names = grads or list(inputs)
        tensors = {n: torch.tensor(v, requires_grad=n in names) for n, v in values.items()}
        loss = torch_fn(*tensors.values())
        loss.backward()
        arrays.update({f"{name}.{n}": v for n, v in values.items()})
        for i, r in enumerate([loss.detach()] + [tensors[n].grad for n in names]):
            arrays[f"{name}.out{i}"] = r.numpy()
    np.savez_compressed(os.path.join(here, "cases.npz"), **arrays)
    with open(os.path.join(here, "cases.bp"), "w") as f:
        f.write(program())
    print(f"{len(cases)} cases by PyTorch {torch.__version__}")


main()
