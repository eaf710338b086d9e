#!/usr/bin/env python3
"""digits.bp learns, in a small trainer that needs libc and libm only."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()


def accuracy(trainer, *args):
    out = t.path("run")
    run(trainer, "--threads", "1", "--out", out, "--progress=none", *args)
    rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
    return [r for r in rows if r["split"] == "valid"][-1]["acc"]


def seeds():
    trainer = t.path("digits")
    run(bpc, os.path.join(examples, "digits.bp"), "-o", trainer)
    acc = [accuracy(trainer, "--seed", s) for s in range(1, 6)]
    assert sum(acc) / 5 >= 0.975 and min(acc) >= 0.965, acc


def split_seeds():
    text = open(os.path.join(examples, "digits.bp")).read()
    acc = []
    for s in range(1, 6):
        source = t.path("split.bp")
        data = os.path.join(examples, "data", "digits.csv.gz")
        open(source, "w").write(text.replace('"data/digits.csv.gz", split=0.2', f'"{data}", split=0.2, split_seed={s}'))
        run(bpc, source, "-o", t.path("split"))
        acc.append(accuracy(t.path("split")))
    assert sum(acc) / 5 >= 0.97, acc


def small_and_alone():
    trainer = t.path("digits")
    assert os.path.getsize(trainer) < 2_000_000
    libraries = re.findall(r"^\s*(\S+)", run("ldd", trainer).stdout, re.M)
    alien = [x for x in libraries if not re.match(r"linux-vdso|libm\.|libc\.|/lib.*/ld-linux", x)]
    assert not alien, alien
    assert b"LLVM" not in open(trainer, "rb").read()


def logistic():
    trainer = t.path("cancer")
    run(bpc, os.path.join(examples, "breast_cancer.bp"), "-o", trainer)
    assert accuracy(trainer) >= 0.95


sanitized = b"__asan_init" in open(bpc, "rb").read()
t.check("seeds", seeds)
t.check("split seeds", split_seeds)
if sanitized:
    t.skip("size and libraries of a trainer: this build has sanitizers")
else:
    t.check("small and alone", small_and_alone)
t.check("logistic regression", logistic)
t.finish()
