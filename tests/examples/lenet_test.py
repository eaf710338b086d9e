#!/usr/bin/env python3
"""lenet.bp learns to read digits: one epoch; with --long three seeds to the end. Needs MNIST's 10,000 test images."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, root, run  # noqa: E402

bpc, long = sys.argv[1], "--long" in sys.argv
data = os.path.join(root, "..", "shared", "data")
files = [f"x={data}/t10k-images-idx3-ubyte.gz", f"y={data}/t10k-labels-idx1-ubyte.gz"]
t = Tests()


def accuracy(*args):
    out = t.path("run")
    run(t.path("lenet"), "--data", files[0], "--data", files[1], "--out", out, "--progress=none", *args)
    rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
    return [r for r in rows if r["split"] == "valid"][-1]["acc"]


def one_epoch():
    acc = accuracy("--epochs", "1")
    assert acc >= 0.9, acc


def seeds():
    acc = [accuracy("--seed", s) for s in (1, 2, 3)]
    print(f"accuracy {sum(acc) / 3:.4f} ({min(acc):.4f} to {max(acc):.4f})")
    assert sum(acc) / 3 >= 0.985, acc


run(bpc, os.path.join(examples, "lenet.bp"), "-o", t.path("lenet"))
if not all(os.path.exists(f[2:]) for f in files):
    t.skip("the images are not there")
else:
    t.check("three seeds" if long else "one epoch", seeds if long else one_epoch)
t.finish()
