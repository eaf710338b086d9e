#!/usr/bin/env python3
"""--tune: choices are measured once, remembered, and move no bit."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
source = os.path.join(examples, "digits.bp")
env = {"XDG_CACHE_HOME": t.path("cache")}


def train(*options):
    out = t.path("".join(options) + "out")
    run(bpc, "run", *options, source, "--", "--steps", "20", "--out", out, env=env)
    with open(os.path.join(out, "last.safetensors"), "rb") as f:
        return f.read()


def same_bits():
    plain = train()
    before = len(os.listdir(t.path("cache/bpc")))
    assert train("--tune") == plain
    after = len(os.listdir(t.path("cache/bpc")))
    assert after > before, "nothing was remembered"
    assert train("--tune") == plain
    assert len(os.listdir(t.path("cache/bpc"))) == after, "measured again"


def other_machines():
    for option in ("--target=aarch64-linux-gnu", "-march=x86-64-v3"):
        r = run(bpc, "-c", "--tune", option, source, "-o", t.path("m.o"), env=env, status=1)
        assert "error: --tune measures this machine" in r.stderr, r.stderr


for test in (same_bits, other_machines):
    t.check(test.__name__, test)
t.finish()
