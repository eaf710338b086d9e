#!/usr/bin/env python3
"""Modules with given weights through bpc call --ckpt: the weights of a row of cases.npz, under their paths in a
safetensors file, give the results of that row. So paths, shapes and order of the parameters are what std.md says.
"""

import json
import math
import os
import re
import struct
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, npz_read, npz_write, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
numbers = npz_read(os.path.join(here, "cases.npz"))
source = open(os.path.join(here, "cases.bp")).read()
SIZES = {"f64": ("f8", "d"), "i32": ("i4", "i")}


def safetensors(path, tensors):
    """name -> (shape, numbers)"""
    head, data = {}, b""
    for name, (shape, values) in sorted(tensors.items()):
        raw = struct.pack(f"<{len(values)}d", *values)
        head[name] = {
            "dtype": "F64",
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)


def shape(text):
    return [int(d) for d in re.findall(r"\d+", text.split("[")[1])] if "[" in text else []


def module(name, paths):
    """paths: the parameters in order, with their shapes."""
    model = re.search(rf"^model {name}_net = .*;$", source, re.M)[0]
    formals, results = re.search(
        rf"^export fn {name}\((.*)\) -> \((.*)\) \{{$", source, re.M
    ).groups()
    formals = dict(re.findall(r"(\w+): ((?:f64|i32<\d+>)(?:\[[^\]]*\])?)", formals))
    flat, arrays = iter(numbers[name][2]), {}
    for key, kind in formals.items():
        arrays[key] = [next(flat) for _ in range(math.prod(shape(kind.replace("<", "_"))))]
    x = "i" if "i0" in formals else "x"
    outs = 0
    while f"v0_{outs}" in formals:
        outs += 1
    kinds = re.findall(r"f64(?:\[[^\]]*\])?", results)[:outs]
    wanted = [[next(flat) for _ in range(math.prod(shape(k)))] for k in kinds]
    program = t.path("module.bp")
    open(program, "w").write(
        f"{model}\nexport fn f({x}: {formals[x + '0']}) -> ({', '.join(kinds)}) {{ return {name}_net({x}); }}\n"
    )
    at, weights = 0, {}
    for path, dims in paths:
        n = math.prod(dims)
        weights[f"{name}_net.{path}"] = (dims, arrays["p0"][at : at + n])
        at += n
    assert at == len(arrays["p0"])
    safetensors(t.path("w.safetensors"), weights)
    dtype, _ = SIZES[formals[x + "0"][:3]]
    values = arrays[x + "0"]
    npz_write(
        t.path("in.npz"),
        {
            x: (
                dtype,
                shape(formals[x + "0"].replace("<", "_")),
                [int(v) for v in values] if x == "i" else values,
            )
        },
    )
    run_f(program)
    got = npz_read(t.path("out.npz"))
    for k, want in enumerate(wanted):
        worst = [
            (a, b) for a, b in zip(got[f"out{k}"][2], want) if abs(a - b) > 1e-10 * max(1, abs(b))
        ]
        assert len(want) == len(got[f"out{k}"][2]) and not worst, (k, worst[:3])


def run_f(program):
    """f(in.npz) with the weights of w.safetensors into out.npz."""
    files = ("--in", t.path("in.npz"), "--ckpt", t.path("w.safetensors"), "--out", t.path("out.npz"))
    run(bpc, "call", "--float=f64", "-O0", program, "f", *files)


def batch_norm_eval():
    """The running moments of the file, y = g (x - mean) / sqrt(var + eps) + b."""
    program = t.path("norm.bp")
    open(program, "w").write(
        "model net = BatchNorm[eps=0.5];\nexport fn f(x: f64[3, 2, 2]) -> f64[3, 2, 2] { return net(x); }\n"
    )
    g, b, mean, var = [2.0, -1.0], [0.5, 0.25], [1.0, -3.0], [0.25, 4.0]
    safetensors(
        t.path("w.safetensors"),
        {"net.g": ([2], g), "net.b": ([2], b), "net.mean": ([2], mean), "net.var": ([2], var)},
    )
    x = [0.5 * i - 2 for i in range(12)]
    npz_write(t.path("in.npz"), {"x": ("f8", (3, 2, 2), x)})
    run_f(program)
    for i, y in enumerate(npz_read(t.path("out.npz"))["out0"][2]):
        c = i // 2 % 2
        assert abs(y - (g[c] * (x[i] - mean[c]) / math.sqrt(var[c] + 0.5) + b[c])) < 1e-12, (i, y)


D = 4
paths = {
    "linear": [("w", [3, 2]), ("b", [2])],
    "linear_plain": [("w", [3, 2])],
    "layer_norm_module": [("g", [3]), ("b", [3])],
    "rms_norm_module": [("g", [3])],
    "embedding": [("w", [4, 2])],
    "rnn": [("w", [3, 2]), ("u", [2, 2]), ("b", [2])],
    "gru": [("w", [3, 6]), ("u", [2, 6]), ("b", [6]), ("c", [6])],
    "lstm": [("w", [3, 8]), ("u", [2, 8]), ("b", [8])],
    "multi_head": [("qkv.w", [D, 3 * D]), ("qkv.b", [3 * D]), ("proj.w", [D, D]), ("proj.b", [D])],
    "multi_head_causal": [("qkv.w", [D, 3 * D]), ("proj.w", [D, D])],
    "transformer": [
        ("norm1.g", [D]),
        ("norm1.b", [D]),
        ("attn.qkv.w", [D, 3 * D]),
        ("attn.qkv.b", [3 * D]),
        ("attn.proj.w", [D, D]),
        ("attn.proj.b", [D]),
        ("norm2.g", [D]),
        ("norm2.b", [D]),
        ("fc1.w", [D, 4 * D]),
        ("fc1.b", [4 * D]),
        ("fc2.w", [4 * D, D]),
        ("fc2.b", [D]),
    ],
}
for name, parameters in paths.items():
    t.check(name, module, name, parameters)
t.check("batch_norm_eval", batch_norm_eval)
t.finish()
