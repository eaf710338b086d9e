"""What make.py computes: the functions of the library with an equivalent in PyTorch.

A row: a name, the .bp expression (or statements that return), the same in PyTorch (either may be a list,
one for each variant), the names of the inputs, and variants: one tuple of types each (see draw in make.py).
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Row:
    name: str
    bp: object
    torch: object
    names: str
    variants: list
    low: float = -2.0
    high: float = 2.0
    wrt: str = ""
    before: str = ""


rows = []
anywhere = [("",), ("0",), ("5",), ("2, 1, 3",)]


def row(name, bp, fn, names="x", variants=None, **more):
    rows.append(Row(name, bp, fn, names, [v if isinstance(v, tuple) else (v,) for v in variants or anywhere], **more))


# ---- functions of each element ----
for name, fn, *domain in [
        ("exp", torch.exp), ("expm1", torch.expm1), ("log", torch.log, 0.2), ("log1p", torch.log1p, -0.8),
        ("sqrt", torch.sqrt, 0.2), ("rsqrt", torch.rsqrt, 0.2), ("sin", torch.sin, -9, 9), ("cos", torch.cos, -9, 9),
        ("tan", torch.tan, -1.2, 1.2), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid, -30, 30), ("erf", torch.erf, -4, 4),
        ("ndtr", torch.special.ndtr, -6, 6),
        ("abs", torch.abs), ("sign", torch.sign), ("floor", torch.floor), ("ceil", torch.ceil), ("round", torch.round),
        ("relu", torch.relu), ("leaky_relu", F.leaky_relu), ("elu", F.elu), ("gelu", F.gelu, -5, 5),
        ("silu", F.silu, -9, 9), ("softplus", lambda x: F.softplus(x, threshold=1e9), -40, 40)]:
    low, high = (domain + [2.0, 2.0])[:2] if len(domain) > 1 else (domain[0] if domain else -2.0, 2.0)
    row(name + "_", f"{name}(x)", fn, low=low, high=high)
for name, bp, fn, *low in [
        ("leaky_slope", "leaky_relu(x, slope=0.2)", lambda x: F.leaky_relu(x, 0.2)),
        ("elu_alpha", "elu(x, alpha=1.5)", lambda x: F.elu(x, 1.5)),
        ("gelu_tanh", "gelu(x, tanh_form=true)", lambda x: F.gelu(x, approximate="tanh")),
        ("clip_", "clip(x, lo=-0.5, hi=1)", lambda x: torch.clamp(x, -0.5, 1.0)), ("clip_low", "clip(x, lo=0.25)", lambda x: torch.clamp(x, min=0.25)),
        ("negative", "-x", lambda x: -x), ("cube", "x ** 3", lambda x: x ** 3), ("power", "pow(x, 2.5)", lambda x: x ** 2.5, 0.2),
        ("reciprocal", "1 / x", lambda x: 1 / x, 0.3), ("exponent", "2.0 ** x", lambda x: 2.0 ** x),
        ("inverse_square", "x ** -2", lambda x: x ** -2.0, 0.3), ("half", "f64(f32(x))", lambda x: x.float().double()),
        ("stopped", "x * stop_gradient(x)", lambda x: x * x.detach()), ("dropout_", "dropout(x, rate=0.3)", lambda x: x * 1)]:
    row(name, bp, fn, low=low[0] if low else -2.0)

# ---- of two tensors: every pattern of broadcasting ----
pairs = [("3, 4", "3, 4"), ("", "2, 3"), ("2, 3", ""), ("3, 4", "4"), ("2, 3, 4", "3, 4"), ("3, 1", "1, 4"), ("0, 3", "3"), ("1", "1")]
for name, bp, fn, *low in [
        ("add", "x + y", torch.add), ("sub", "x - y", torch.sub), ("mul", "x * y", torch.mul), ("div", "x / y", torch.div, 0.3),
        ("pow_", "pow(x, y)", torch.pow, 0.3), ("maximum", "max(x, y)", torch.maximum), ("minimum", "min(x, y)", torch.minimum),
        ("where_", "where(x > y, x * x, y * x)", lambda x, y: torch.where(x > y, x * x, y * x))]:
    row(name, bp, fn, "x y", pairs, low=low[0] if low else -2.0)
row("mod", "x % y", lambda x, y: x - torch.floor((x / y).detach()) * y, "x y", pairs[:4], low=0.3, high=9)
row("twice_used", "x * y + y * y", lambda x, y: x * y + y * y, "x y", pairs[:5])

# ---- reductions ----
shaped = ["5", "3, 4", "2, 3, 4", "2, 3, 4", "1, 1"]
axes = ["", "axis=0", "axis=[0, 2]", "axis=-1, keep=true", "axis=[0, 1]"]
dims = [dict(dim=None), dict(dim=0), dict(dim=(0, 2)), dict(dim=-1, keepdim=True), dict(dim=(0, 1))]


def product(x, dim, keepdim=False):
    if dim is None:
        return x.prod()
    for d in sorted([d % x.dim() for d in (dim if isinstance(dim, tuple) else (dim,))], reverse=True):
        x = x.prod(d, keepdim=keepdim)
    return x


for name, fn in [("sum", torch.sum), ("mean", torch.mean), ("prod", product), ("norm", torch.linalg.vector_norm),
                 ("max", lambda x, dim, **k: x.amax() if dim is None else x.amax(dim, **k)),
                 ("min", lambda x, dim, **k: x.amin() if dim is None else x.amin(dim, **k)),
                 ("variance", lambda x, **k: torch.var(x, correction=0, **k)), ("std", lambda x, **k: torch.std(x, correction=0, **k))]:
    row(name + "_", [f"{name}({', '.join(filter(None, ['x', a]))})" for a in axes],
        [lambda x, fn=fn, d=d: fn(x, **d) for d in dims], variants=shaped)
row("var_", "var(x, axis=1)", lambda x: torch.var(x, 1, correction=0), variants=["3, 4", "2, 1"])
row("reduce_empty", "sum(x, axis=0), prod(x, axis=0), mean(x, axis=1), norm(x, axis=0)",
    lambda x: (x.sum(0), x.prod(0), x.mean(1), torch.linalg.vector_norm(x, dim=0)), variants=["0, 3", "2, 1", "1, 2"])
for name, fn in [("softmax", torch.softmax), ("log_softmax", torch.log_softmax), ("logsumexp", torch.logsumexp)]:
    row(name + "_", f"{name}(x)", lambda x, fn=fn: fn(x, -1), variants=["5", "1", "3, 4", "0, 3", "2, 1, 3"], low=-50, high=50)
    row(name + "_axis", f"{name}(x, axis=1)", lambda x, fn=fn: fn(x, 1), variants=["3, 4", "2, 3, 4", "1, 1"], low=-3, high=3)
row("logsumexp_keep", "logsumexp(x, axis=0, keep=true)", lambda x: torch.logsumexp(x, 0, keepdim=True), variants=["3, 4", "1, 2"])
row("cumsum_", ["cumsum(x)", "cumsum(x, axis=0)", "cumsum(x, axis=1, reverse=true)", "cumsum(x)"],
    [lambda x: x.cumsum(-1), lambda x: x.cumsum(0), lambda x: x.flip(1).cumsum(1).flip(1), lambda x: x.cumsum(-1)],
    variants=["5", "3, 4", "2, 3, 2", "0"])

for name, fn in [("argmax", torch.argmax), ("argmin", torch.argmin)]:
    row(name + "_", [f"f64({name}(x))"] * 3 + [f"f64({name}(x, axis=0))"] * 2,
        [lambda x, fn=fn, d=d: fn(x, d).double() for d in (-1, -1, -1, 0, 0)], variants=["5", "1", "0, 3", "3, 4", "2, 0"])
row("argmax_ties", "f64(argmax(f64(i))), f64(argmin(f64(i), axis=0))", lambda i: (i.argmax(-1).double(), i.argmin(0).double()),
    "i", ["i2: 5, 6", "i1: 1, 3"])

# ---- whole numbers and truths ----
row("compared", "f64(x < y), f64(x <= y), f64(x > y), f64(x >= y), f64(x == y), f64(x != y), f64(x < y && y > 0 || !(x > 0))",
    lambda x, y: [b.double() for b in (x < y, x <= y, x > y, x >= y, x == y, x != y, (x < y) & (y > 0) | ~(x > 0))],
    "x y", [("i3: 9", "i3: 9"), ("i3:", "i3: 2, 3"), ("3, 4", "4"), ("0", "0"), ("1", "1")])
row("whole", "let a = i32(x); let b = 2 * i32(y) + 1; return f64(a / b), f64(a % b), f64(a * b - a), f64(-a);",
    lambda x, y: (lambda a, b: [r.double() for r in (torch.floor_divide(a, b), torch.remainder(a, b), a * b - a, -a)])(x.int(), 2 * y.int() + 1),
    "x y", [("7", "7"), ("", ""), ("0", "0"), ("1, 3", "1, 3")], low=-90, high=90, wrt="none")
row("whole_sums", "f64(sum(i, axis=0)), f64(prod(i + 1, axis=-1)), f64(cumsum(i)), f64(max(i, axis=0)), f64(abs(i - 4)), f64(max(i, 3)), f64(sign(i - 2))",
    lambda i: [r.double() for r in (i.sum(0), (i + 1).prod(-1), i.cumsum(-1), i.amax(0), (i - 4).abs(), i.clamp(min=3), (i - 2).sign())],
    "i", ["i9: 5, 3", "i2: 1, 1"])
row("undefined", "f64(isnan(log(x))), f64(isfinite(1 / relu(x))), f64(bool(floor(x)))",
    lambda x: (x.log().isnan().double(), (1 / x.relu()).isfinite().double(), x.floor().bool().double()), wrt="none")
row("filled", "x + f64(iota(3)), x + ones(to=[2, 3]), x + full(to=[2, 3], 0.25) * zeros(to=[3])",
    lambda x: (x + torch.arange(3), x + torch.ones(2, 3), x + torch.full((2, 3), 0.25) * torch.zeros(3)), variants=["", "3", "2, 3"])

# ---- movement ----
for name, bp, fn, names, variants in [
        ("reshape_", "reshape(x * x, [4, 3])", lambda x: (x * x).reshape(4, 3), "x", ["3, 4", "2, 6", "1, 12"]),
        ("transpose_", "transpose(x * x)", lambda x: (x * x).transpose(-1, -2), "x", ["3, 4", "2, 3, 4", "0, 2", "1, 1"]),
        ("transpose_perm", "transpose(x * x, perm=[2, 0, 1])", lambda x: (x * x).permute(2, 0, 1), "x", ["2, 3, 4", "1, 0, 2"]),
        ("broadcast_", "broadcast(x * x, [3, 2, 4])", lambda x: (x * x).expand(3, 2, 4), "x", ["4", "2, 4", "2, 1", ""]),
        ("concat_", "concat([x * x, y, x])", lambda x, y: torch.cat([x * x, y, x]), "x y", [("3", "2"), ("0, 2", "1, 2"), ("2, 2", "2, 2")]),
        ("concat_axis", "concat([x * x, y], axis=-1)", lambda x, y: torch.cat([x * x, y], -1), "x y", [("3, 1", "3, 2"), ("2, 0", "2, 1")]),
        ("stack_", "stack([x * x, y])", lambda x, y: torch.stack([x * x, y]), "x y", [("3", "3"), ("", ""), ("2, 0", "2, 0")]),
        ("stack_axis", "stack([x * x, y], axis=1)", lambda x, y: torch.stack([x * x, y], 1), "x y", [("3", "3"), ("2, 3", "2, 3")]),
        ("split_", "let (a, b, c) = split(x, parts=3); return a * b, c;",
         lambda x: (lambda a, b, c: (a * b, c))(*torch.chunk(x, 3, -1)), "x", ["6", "2, 3", "0, 3"]),
        ("split_axis", "let (a, b) = split(x, parts=2, axis=0); return a * b, b;",
         lambda x: (lambda a, b: (a * b, b))(*torch.chunk(x, 2, 0)), "x", ["4", "2, 3"]),
        ("unstack_", "let (a, b) = unstack(x); return a * b;", lambda x: x[0] * x[1], "x", ["2", "2, 3"]),
        ("unstack_axis", "let (a, b) = unstack(x, axis=1); return a * b, b;", lambda x: (x[:, 0] * x[:, 1], x[:, 1]), "x", ["3, 2", "0, 2", "1, 2, 2"]),
        ("pad_", "pad(x * x, [1, 0], [2, 3], value=0.5)", lambda x: F.pad(x * x, (0, 3, 1, 2), value=0.5), "x", ["2, 3", "1, 0"]),
        ("pad_cuts", "pad(x * x, [-1, 0], [0, -2])", lambda x: (x * x)[1:, :-2], "x", ["3, 4"]),
        ("flip_", "flip(x * x, [0])", lambda x: torch.flip(x * x, [0]), "x", ["3", "3, 2", "0"]),
        ("flip_axes", "flip(x * x, axis=[0, -1])", lambda x: torch.flip(x * x, [0, -1]), "x", ["3, 2", "2, 1, 3"]),
        ("slices", "x[1:, ::2] * x[:2, 1::2]", lambda x: x[1:, ::2] * x[:2, 1::2], "x", ["3, 4"]),
        ("slices_back", "x[::-1, ::-2] * x[..., 1:3]", lambda x: torch.flip(x, [0, 1])[:, ::2] * x[..., 1:3], "x", ["3, 4"]),
        ("element", "x[-1] * x[0]", lambda x: x[-1] * x[0], "x", ["3", "2, 2", "1"]),
        ("gather_", "gather(x, i)", lambda x, i: x[i], "x i", [("4", "i4: 6"), ("4, 3", "i4: 2, 2"), ("1, 2", "i1: 3"), ("4, 0", "i4: 2"), ("4", "i4: 0")]),
        ("gather_axis", "gather(x, i, axis=1)", lambda x, i: torch.stack([x[:, j] for j in i.ravel()], 1).reshape(x.shape[0], *i.shape, *x.shape[2:]),
         "x i", [("2, 4", "i4: 6"), ("2, 3, 2", "i3: 2, 2")]),
        ("scatter_add_", "scatter_add(x, i, u)", lambda x, i, u: x.index_add(0, i, u), "x i u", [("4", "i4: 6", "6"), ("3, 2", "i3: 5", "5, 2"), ("2", "i2: 0", "0")]),
        ("scatter_add_axis", "scatter_add(x, i, u, axis=1)", lambda x, i, u: x.index_add(1, i, u), "x i u", [("2, 4", "i4: 6", "2, 6")]),
        ("pick_", "pick(x, i)", lambda x, i: x.gather(-1, i.unsqueeze(-1)).squeeze(-1), "x i", [("3, 4", "i4: 3"), ("5", "i5:"), ("2, 3, 2", "i2: 2, 3"), ("0, 3", "i3: 0")]),
        ("one_hot_", "x * f64(one_hot(i))", lambda x, i: x * F.one_hot(i, 4), "x i", [("3, 4", "i4: 3"), ("2, 1, 4", "i4: 2, 1"), ("0, 4", "i4: 0")]),
        ("embed_", "embed(w, i)", lambda w, i: F.embedding(i, w), "w i", [("7, 3", "i7: 5"), ("2, 1", "i2: 2, 3"), ("3, 2", "i3:"), ("3, 2", "i3: 0")])]:
    row(name, bp, fn, names, variants)

# ---- products ----
row("matmul", "x @ y", torch.matmul, "x y",
    [("3, 4", "4, 5"), ("4", "4"), ("4", "4, 2"), ("3, 4", "4"), ("2, 3, 4", "4, 5"), ("2, 3, 4", "2, 4, 1"), ("2, 1, 3, 4", "3, 4, 2"),
     ("3, 4", "2, 4, 5"), ("4", "2, 4, 5"), ("2, 3, 4", "4"), ("0, 4", "4, 2"), ("2, 0", "0, 3"), ("1, 1", "1, 1")])
for name, spec, variants in [
        ("bij,bjk->bik", "ein_batch", [("2, 3, 4", "2, 4, 2")]), ("ij,jk,kl->il", "ein_chain", [("2, 3", "3, 4", "4, 2")]),
        ("ij->ji", "ein_transpose", [("2, 3",)]), ("ii->i", "ein_diagonal", [("3, 3",)]), ("ij,j", "ein_vector", [("2, 3", "3")]),
        ("i,j->ij", "ein_outer", [("2", "3"), ("0", "1")]), ("bhqd,bhkd->bhqk", "ein_heads", [("1, 2, 3, 2", "1, 2, 2, 2")]),
        ("ijk->k", "ein_sum", [("2, 3, 4",)]), ("...ij,...jk->...ik", "ein_dots", [("2, 2, 3", "2, 3, 1")])]:
    name, spec = spec, name
    names = "x y z"[:2 * len(variants[0]) - 1]
    row(name, f'einsum("{spec}", {", ".join(names.split())})', lambda *a, spec=spec: torch.einsum(spec, *a), names, variants)

# ---- normalisation, attention ----
row("layer_norm_", "layer_norm(x, g, b)", lambda x, g, b: F.layer_norm(x, g.shape, g, b), "x g b", [("3, 4", "4", "4"), ("5", "5", "5"), ("2, 1, 3", "3", "3"), ("0, 2", "2", "2"), ("3, 1", "1", "1")])
row("layer_norm_eps", "layer_norm(x, g, b, eps=0.1)", lambda x, g, b: F.layer_norm(x, g.shape, g, b, 0.1), "x g b", [("3, 4", "4", "4")])
row("rms_norm_", "rms_norm(x, g)", lambda x, g: F.rms_norm(x, g.shape, g, 1e-6), "x g", [("3, 4", "4"), ("5", "5"), ("2, 1, 3", "3"), ("0, 2", "2")])
row("rms_norm_eps", "rms_norm(x, g, eps=0.5)", lambda x, g: F.rms_norm(x, g.shape, g, 0.5), "x g", [("3, 4", "4")])
heads = [("3, 2", "3, 2", "3, 2"), ("2, 4, 3", "2, 4, 3", "2, 4, 3"), ("1, 1", "1, 1", "1, 1"), ("1, 2, 3, 2", "1, 2, 3, 2", "1, 2, 3, 1")]
groups_of_heads = [("4, 140, 1",) * 3, ("3, 200, 1", "3, 130, 1", "3, 130, 1")]
row("attention_", "attention(q, k, v)", F.scaled_dot_product_attention, "q k v", heads + [("2, 3", "5, 3", "5, 2"), ("2, 1", "131, 1", "131, 1")] + groups_of_heads)
row("attention_causal", "attention(q, k, v, causal=true)", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), "q k v", heads + groups_of_heads)
row("causal_mask_", "softmax(causal_mask(s))", lambda s: torch.softmax(s.masked_fill(torch.ones(s.shape[-2:]).triu(1).bool(), -math.inf), -1),
    "s", ["3, 3", "2, 2, 4", "1, 1"])

# ---- losses and metrics ----
both = [("5", "5"), ("", ""), ("2, 3", "2, 3"), ("1", "1")]
for name, fn in [("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)]:
    row(name + "_", f"{name}(p, t)", fn, "p t", both)
row("huber_delta", "huber(p, t, delta=0.7)", lambda p, t: F.huber_loss(p, t, delta=0.7), "p t", both)
row("bce_", "bce(p, t)", F.binary_cross_entropy, "p t", both, low=0.05, high=0.95, wrt="p")
row("bce_logits", "bce_with_logits(z, t)", lambda z, t: F.binary_cross_entropy_with_logits(4 * z - 2, t), "z t", both, low=0.05, high=0.95)
rows[-1].bp = "bce_with_logits(4 * z - 2, t)"
classes = [("6, 4", "i4: 6"), ("5", "i5:"), ("2, 3, 4", "i4: 2, 3"), ("1, 1", "i1: 1")]


def flat(fn, **more):
    return lambda z, y: fn(z.reshape(-1, z.shape[-1]), y.reshape(-1), **more)


row("cross_entropy_", "cross_entropy(z, y)", flat(F.cross_entropy), "z y", classes, low=-20, high=20)
row("cross_entropy_smooth", "cross_entropy(z, y, smoothing=0.1)", flat(F.cross_entropy, label_smoothing=0.1), "z y", classes)
row("nll_", "nll(log_softmax(z), y)", lambda z, y: flat(F.nll_loss)(torch.log_softmax(z, -1), y), "z y", classes)
row("perplexity_", "perplexity(z, y)", lambda z, y: flat(F.cross_entropy)(z, y).exp(), "z y", classes)
row("kl_div_", "kl_div(log_softmax(z), softmax(t))", lambda z, t: F.kl_div(torch.log_softmax(z, -1), torch.softmax(t, -1), reduction="batchmean"),
    "z t", [("3, 4", "3, 4"), ("1, 2", "1, 2"), ("2, 1", "2, 1")])
row("hinge_", "hinge(z, t)", lambda z, t: torch.relu(1 - t * z).mean(), "z t", [("5", "s: 5"), ("2, 3", "s: 2, 3"), ("", "s:")])
row("accuracies", "accuracy(z, y) + 0 * sum(z), top_k_accuracy(z, y, k=2) + 0 * sum(z)",
    lambda z, y: ((z.argmax(-1) == y).double().mean() + 0 * z.sum(),
                  (z.topk(2).indices == y.unsqueeze(-1)).any(-1).double().mean() + 0 * z.sum()), "z y", [("9, 4", "i4: 9"), ("2, 3, 3", "i3: 2, 3")])
row("binary_accuracy_", "binary_accuracy(z, t) + 0 * sum(z)", lambda z, t: ((z > 0) == (t > 0.5)).double().mean() + 0 * z.sum(), "z t", [("9", "b: 9"), ("", "b:")], wrt="z")

# ---- modules: p is the vector of their parameters ----


def parts(p, *shapes):
    out, at = [], 0
    for s in shapes:
        n = math.prod(s)
        out.append(p[at:at + n].reshape(s))
        at += n
    assert at == len(p), (at, len(p))
    return out


def module(name, instance, fn, variants, **more):
    names = f"p {more.pop('names', 'x')}"
    inner = ", ".join(names.split()[1:])
    row(name, f"{name}_net[params=p]({inner})", fn, names, variants, before=f"model {name}_net = {instance};", **more)


def linear(p, x):
    w, b = parts(p, (x.shape[-1], 2), (2,))
    return x @ w + b


def recurrent(kind, gates, biases):
    def run(p, x):
        d, h = x.shape[-1], 2
        shapes = [(d, gates * h), (h, gates * h)] + [(gates * h,)] * biases
        w, u, *bs = parts(p, *shapes)
        net = kind(d, h, batch_first=True, dtype=torch.float64)
        weights = {"weight_ih_l0": w.T, "weight_hh_l0": u.T, "bias_ih_l0": bs[0], "bias_hh_l0": bs[1] if biases > 1 else torch.zeros_like(bs[0])}
        hs, last = torch.func.functional_call(net, weights, (x,))
        return (hs, last[0][0], last[1][0]) if isinstance(last, tuple) else (hs, last[0])
    return run


def multi_head(p, x, causal=False, bias=True):
    d = x.shape[-1]
    shapes = [(d, 3 * d)] + [(3 * d,)] * bias + [(d, d)] + [(d,)] * bias
    w, *rest = parts(p, *shapes)
    b, o, c = rest if bias else (torch.zeros(3 * d).double(), *rest, torch.zeros(d).double())
    three = x.reshape(-1, *x.shape[-2:])
    mask = torch.ones(x.shape[-2], x.shape[-2]).triu(1).bool() if causal else None
    y, _ = F.multi_head_attention_forward(*[three.transpose(0, 1)] * 3, d, 2, w.T, b, None, None, False, 0.0, o.T, c, attn_mask=mask, need_weights=False)
    return y.transpose(0, 1).reshape(x.shape)


def block(p, x):
    d = x.shape[-1]
    n1, m1, wqkv, bqkv, wo, bo, n2, m2, w1, b1, w2, b2 = parts(
        p, (d,), (d,), (d, 3 * d), (3 * d,), (d, d), (d,), (d,), (d,), (d, 4 * d), (4 * d,), (4 * d, d), (d,))
    net = torch.nn.TransformerEncoderLayer(d, 2, 4 * d, 0.0, F.gelu, batch_first=True, norm_first=True, dtype=torch.float64)
    weights = {"self_attn.in_proj_weight": wqkv.T, "self_attn.in_proj_bias": bqkv, "self_attn.out_proj.weight": wo.T, "self_attn.out_proj.bias": bo,
               "linear1.weight": w1.T, "linear1.bias": b1, "linear2.weight": w2.T, "linear2.bias": b2,
               "norm1.weight": n1, "norm1.bias": m1, "norm2.weight": n2, "norm2.bias": m2}
    return torch.func.functional_call(net, weights, (x,))


def batch_norm(p, x):
    g, b = parts(p, (x.shape[1],), (x.shape[1],))
    return F.batch_norm(x, None, None, g, b, training=True)


small = dict(low=-1.0, high=1.0)
module("linear", "Linear[O=2]", linear, [("8", "5, 3"), ("8", "2, 1, 3"), ("8", "3"), ("8", "0, 3")])
module("linear_plain", "Linear[O=2, bias=false]", lambda p, x: x @ p.reshape(3, 2), [("6", "5, 3")])
module("layer_norm_module", "LayerNorm", lambda p, x: F.layer_norm(x, (3,), p[:3], p[3:]), [("6", "5, 3"), ("6", "2, 1, 3")])
module("rms_norm_module", "RMSNorm", lambda p, x: F.rms_norm(x, (3,), p, 1e-6), [("3", "5, 3"), ("3", "2, 1, 3")])
module("embedding", "Embedding[D=2]", lambda p, i: F.embedding(i, p.reshape(4, 2)), [("8", "i4: 5"), ("8", "i4: 2, 3"), ("8", "i4:")], names="i")
module("rnn", "RNN[H=2]", recurrent(torch.nn.RNN, 1, 1), [("12", "2, 4, 3"), ("12", "1, 1, 3")], **small)
module("gru", "GRU[H=2]", recurrent(torch.nn.GRU, 3, 2), [("42", "2, 4, 3"), ("42", "1, 1, 3")], **small)
module("lstm", "LSTM[H=2]", recurrent(torch.nn.LSTM, 4, 1), [("48", "2, 4, 3"), ("48", "1, 1, 3")], **small)
module("multi_head", "MultiHeadAttention[NH=2]", multi_head, [("80", "2, 3, 4"), ("80", "1, 4")], **small)
module("multi_head_causal", "MultiHeadAttention[NH=2, causal=true, bias=false]", lambda p, x: multi_head(p, x, True, False), [("64", "2, 3, 4")], **small)
module("transformer", "TransformerBlock[NH=2]", block, [("244", "2, 3, 4")], **small)
for name, variants in [("batch_norm", [("4", "6, 2")]), ("batch_norm_images", [("4", "3, 2, 2, 3")]), ("batch_norm_series", [("4", "3, 2, 4")])]:
    module(name, "BatchNorm", batch_norm, variants)
    rows[-1].bp = f"{name}_net[params=p, training=true](x)"

# ---- convolutions and pooling ----
for name, more, variants, settings in [
        ("conv1d_", "stride=2, pad=1, dilation=3", [("2, 3, 17", "5, 3, 3"), ("1, 1, 5", "1, 1, 1"), ("0, 3, 9", "2, 3, 2")],
         dict(stride=2, padding=1, dilation=3)),
        ("conv1d_groups", "groups=2", [("2, 4, 5", "6, 2, 3")], dict(groups=2)),
        ("conv2d_", "", [("2, 3, 6, 7", "4, 3, 3, 2"), ("1, 1, 1, 1", "1, 1, 1, 1"), ("2, 3, 4, 1", "5, 3, 1, 1")], {}),
        ("conv2d_pad", "pad=[2, 1], stride=[1, 3]", [("2, 3, 5, 11", "17, 3, 3, 2"), ("0, 2, 4, 4", "3, 2, 3, 3")],
         dict(padding=(2, 1), stride=(1, 3))),
        ("conv2d_stride", "stride=2, pad=1", [("3, 2, 8, 9", "5, 2, 3, 3")], dict(stride=2, padding=1)),
        ("conv2d_dilation", "dilation=[2, 3], pad=2", [("1, 2, 7, 9", "3, 2, 3, 3")], dict(dilation=(2, 3), padding=2)),
        ("conv2d_groups", "groups=3, stride=2, pad=1", [("2, 6, 7, 5", "9, 2, 3, 3")], dict(groups=3, stride=2, padding=1)),
        ("conv2d_depthwise", "groups=4, pad=1", [("2, 4, 5, 5", "4, 1, 3, 3")], dict(groups=4, padding=1)),
        ("conv2d_wide", "pad=1", [("1, 9, 4, 16", "18, 9, 3, 3")], dict(padding=1))]:
    kind = name[:6]
    row(name, f"{kind}(x, w{', ' if more else ''}{more})", lambda x, w, f=getattr(F, kind), s=settings: f(x, w, **s), "x w", variants,
        low=-1.0, high=1.0)
for name, more, settings in [("conv_transpose2d_", "", {}), ("conv_transpose2d_stride", ", stride=[2, 3], pad=1, out_pad=[1, 2]",
                                                             dict(stride=(2, 3), padding=1, output_padding=(1, 2)))]:
    row(name, f"conv_transpose2d(x, w{more})", lambda x, w, s=settings: F.conv_transpose2d(x, w, **s), "x w",
        [("2, 3, 4, 5", "3, 4, 3, 2"), ("1, 1, 2, 2", "1, 1, 1, 2")])
for name, more, variants, settings in [
        ("pool2d_", "2", ["2, 3, 6, 8", "2, 1, 7, 5", "0, 3, 4, 4"], (2,)), ("pool2d_one", "1", ["1, 1, 1, 1"], (1,)),
        ("pool2d_overlap", "3, stride=[2, 1], pad=1", ["2, 2, 7, 6"], (3, (2, 1), 1)),
        ("pool2d_gaps", "[1, 2], stride=3", ["1, 2, 7, 8"], ((1, 2), 3)),
        ("pool2d_column", "[3, 1], stride=2", ["1, 1, 8, 2"], ((3, 1), 2)), ("pool2d_row", "1, stride=2", ["1, 1, 1, 16", "2, 1, 3, 8"], (1, 2)),
        ("pool2d_narrow", "[2, 1], stride=1", ["1, 1, 13, 1"], ((2, 1), 1)),
        ("pool2d_large", "[4, 5], stride=[4, 3]", ["2, 2, 8, 14"], ((4, 5), (4, 3)))]:
    row("max_" + name, f"max_pool2d(x, {more})", lambda x, s=settings: F.max_pool2d(x, *s), variants=variants)
    row("avg_" + name, f"avg_pool2d(x, {more})", lambda x, s=settings: F.avg_pool2d(x, *s), variants=variants)
row("max_pool2d_ties", "max_pool2d(f64(i) + y - stop_gradient(y), 2)",
    lambda y, i: F.max_pool2d(i.double() + y - y.detach(), 2), "y i", [("2, 2, 6, 6", "i2: 2, 2, 6, 6")])
row("conv_closed", ["conv(x, w, stride=[2, 1], lo=[1, 0], hi=[2, -1], lhs_dilation=[1, 1], rhs_dilation=[1, 2], groups=2, batch_groups=1)",
                    "conv(x, w, stride=[1, 1], lo=[0, 1], hi=[0, 1], lhs_dilation=[2, 3], rhs_dilation=[1, 1], groups=1, batch_groups=1)"],
    [lambda x, w: F.conv2d(F.pad(x, (0, -1, 1, 2)), w, stride=(2, 1), dilation=(1, 2), groups=2),
     lambda x, w: F.conv_transpose2d(x, w.flip(2, 3).transpose(0, 1), stride=(2, 3), padding=(2, 1))], "x w",
    [("2, 4, 5, 7", "6, 2, 3, 2"), ("2, 3, 4, 5", "2, 3, 3, 3")])
module("conv1d_module", "Conv1d[O=2, K=3, pad=1]", lambda p, x: F.conv1d(x, p[:18].reshape(2, 3, 3), p[18:], padding=1), [("20", "2, 3, 5")])
module("conv2d_module", "Conv2d[O=4, K=2, stride=2, groups=2]", lambda p, x: F.conv2d(x, p[:16].reshape(4, 1, 2, 2), p[16:], 2, groups=2), [("20", "2, 2, 5, 4")])
module("conv2d_plain", "Conv2d[O=2, K=3, bias=false]", lambda p, x: F.conv2d(x, p.reshape(2, 1, 3, 3)), [("18", "2, 1, 3, 4")])
module("conv2d_sides", "Conv2d[O=2, K=[3, 2], stride=[2, 1], pad=[1, 0], dilation=[1, 2]]",
       lambda p, x: F.conv2d(x, p[:24].reshape(2, 2, 3, 2), p[24:], (2, 1), (1, 0), (1, 2)), [("26", "2, 2, 5, 4"), ("26", "1, 2, 1, 3")])
