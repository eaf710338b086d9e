#!/usr/bin/env python3
"""bpc call on exported gradients against PyTorch's numbers in cases.npz (made by make.py)."""
import math
import os
import re
import sys
import zipfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, npz_read, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
arrays = npz_read(os.path.join(here, "cases.npz"))
source = {m.group(1): m.group(0) for m in
          re.finditer(r"^fn (\w+)_case\(.*?^}\n", open(os.path.join(here, "cases.bp")).read(), re.S | re.M)}


def write_inputs(name, path):
    with zipfile.ZipFile(os.path.join(here, "cases.npz")) as from_, zipfile.ZipFile(path, "w") as to:
        for entry in from_.namelist():
            case, _, array = entry[:-4].rpartition(".")
            if case == name and not array.startswith("out"):
                to.writestr(array + ".npy", from_.read(entry))


def close(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return abs(a - b) <= 1e-10 * max(1.0, abs(b))


def case(name):
    program, inputs, outputs = t.path("case.bp"), t.path("in.npz"), t.path("out.npz")
    open(program, "w").write(source[name])
    write_inputs(name, inputs)
    run(bpc, "call", program, f"{name}_grads", "--in", inputs, "--out", outputs)
    got = npz_read(outputs)
    want = {k.split(".")[1]: v for k, v in arrays.items() if k.startswith(name + ".out")}
    assert sorted(got) == sorted(want), (sorted(got), sorted(want))
    for k in want:
        assert got[k][1] == want[k][1], f"{k}: shape {got[k][1]}, PyTorch has {want[k][1]}"
        worst = [(a, b) for a, b in zip(got[k][2], want[k][2]) if not close(a, b)]
        assert not worst, f"{k}: {worst[:3]}"


for name in source:
    t.check(name, case, name)
t.finish()
