#!/usr/bin/env python3
"""Makes cases.bp and cases.npz: values and gradients by PyTorch in f64, of the rows of cases.py.

    python3 tests/reference/make.py        needs numpy and torch (scripts/deps --bench)

A row becomes one export of cases.bp, NAME(inputs and cotangents of each variant) -> (results and
gradients of each), and one array NAME of cases.npz: the numbers of its arguments, then of its results,
one after the other, as f64. Inputs are drawn from fixed seeds in steps of 1/256, which compress.
"""

import os

import numpy as np
import torch

from cases import rows

here = os.path.dirname(os.path.abspath(__file__))


def draw(rng, kind, low, high):
    """kind: "3, 4" floats, "i5: 3" whole numbers below 5, "b: 3" 0 and 1, "s: 3" -1 and 1."""
    what, _, dims = kind.rpartition(":")
    shape = [int(d) for d in dims.split(",") if d.strip()]
    if what.startswith("i"):
        return rng.integers(0, int(what[1:]), shape), f"i32<{what[1:]}>"
    if what in ("b", "s"):
        bits = rng.integers(0, 2, shape).astype(float)
        return bits if what == "b" else 2 * bits - 1, "f64"
    return np.round(rng.uniform(low, high, shape) * 256) / 256, "f64"


def typed(element, shape):
    return element + (f"[{', '.join(map(str, shape))}]" if len(shape) else "")


def variant(row, k, rng):
    """(source, arguments, results): the function of one variant, and of both (expression, type, numbers)."""
    names = row.names.split()
    drawn = [draw(rng, kind, row.low, row.high) for kind in row.variants[k]]
    tensors = [torch.tensor(a) for a, _ in drawn]
    wrt = [
        i
        for i, (a, t) in enumerate(drawn)
        if t == "f64" and (not row.wrt or names[i] in row.wrt.split())
    ]
    for i in wrt:
        tensors[i].requires_grad_(True)
    fn = row.torch[k] if isinstance(row.torch, list) else row.torch
    outs = fn(*tensors)
    outs = list(outs) if isinstance(outs, (tuple, list)) else [outs]
    cotangents = [np.round(rng.uniform(-2, 2, o.shape) * 16) / 16 for o in outs]
    grads = [None] * len(wrt)
    if any(o.requires_grad for o in outs):
        grads = torch.autograd.grad(
            outs,
            [tensors[i] for i in wrt],
            [torch.tensor(c) for c in cotangents],
            allow_unused=True,
        )
    grads = [np.zeros(drawn[i][0].shape) if g is None else g.numpy() for i, g in zip(wrt, grads)]
    types = [typed(t, a.shape) for a, t in drawn]
    formals = ", ".join(f"{n}: {t}" for n, t in zip(names, types))
    body = row.bp[k] if isinstance(row.bp, list) else row.bp
    body = body if "return" in body else f"return {body};"
    text = f"fn {row.name}_{k}({formals}) {{ {body} }}\n"
    args = [(f"{n}{k}", t, a) for n, t, (a, _) in zip(names, types, drawn)]
    seeds = [(f"v{k}_{i}", typed("f64", c.shape), c) for i, c in enumerate(cotangents)]
    given, back = ", ".join(a[0] for a in args), ", ".join(a[0] for a in args + seeds)
    results = [
        (f"{row.name}_{k}({given})" if not i else "", typed("f64", o.shape), o.detach().numpy())
        for i, o in enumerate(outs)
    ]
    operator = f"vjp[{row.name}_{k}, wrt=({', '.join(names[i] for i in wrt)},)]({back})"
    results += [
        (operator if not i else "", types[w], g) for i, (w, g) in enumerate(zip(wrt, grads))
    ]
    return text, args + (seeds if wrt else []), results


def main():
    arrays, out = {}, ["// Made by make.py from cases.py.\n"]
    for index, row in enumerate(rows):
        rng = np.random.default_rng(index + 1)
        parts = [variant(row, k, rng) for k in range(len(row.variants))]
        args, results = (sum((p[i] for p in parts), []) for i in (1, 2))
        out += [row.before + "\n"] if row.before else []
        out += [p[0] for p in parts]
        out.append(
            f"export fn {row.name}({', '.join(f'{n}: {t}' for n, t, _ in args)}) -> "
            f"({', '.join(t for _, t, _ in results)}) {{\n"
            f"  return {', '.join(e for e, _, _ in results if e)};\n}}\n"
        )
        arrays[row.name] = np.concatenate(
            [np.asarray(a, float).ravel() for _, _, a in args + results]
        )
    np.savez_compressed(os.path.join(here, "cases.npz"), **arrays)
    with open(os.path.join(here, "cases.bp"), "w") as f:
        f.write("\n".join(out))
    print(
        f"{len(rows)} rows, {sum(len(r.variants) for r in rows)} variants by PyTorch {torch.__version__}"
    )


main()
