#!/usr/bin/env python3
"""The same seed writes the same bytes: JIT and trainer, any number of threads, any level, AVX2 and
the host's widest vectors. On every example and on a model large enough that every thread gets work."""
import functools
import gzip
import hashlib
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, root, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()

wide = """
dataset noise = csv("noise.csv") { x: f32[64] = cols(0..64); y: i32<10> = col(64); }
module Net[B, I](x: f32[B, I]) -> f32[B, 10] {
  layer a = Linear[O=1024];
  layer b = Linear[O=10];
  return b(dropout(tanh(a(x)), rate=0.1));
}
model net = Net;
train fit on noise.train as (x, y) {
  let z = net(x);
  loss cross_entropy(z, y);
  metric acc = accuracy(z, y);
  optimizer = adamw(lr=cosine(0.01));
  batch = 256; epochs = 3; seed = 5; clip_norm = 1;
}
"""


def write_wide():
    r = random.Random(1)
    with open(t.path("noise.csv"), "w") as f:
        for _ in range(512):
            f.write(",".join(f"{r.random():.4f}" for _ in range(64)) + f",{r.randrange(10)}\n")
    open(t.path("wide.bp"), "w").write(wide)
    return t.path("wide.bp")


def digest(out):
    return hashlib.sha256(open(os.path.join(out, "last.safetensors"), "rb").read()).hexdigest()


def train(program, out, *args):
    out = t.path(out)
    r = run(*program, *args, "--out", out, "--progress=none", env={"BPRT_STATS": "1"})
    return digest(out), r.stderr


def same_bits(source, epochs):
    trainer = t.path("trainer")
    run(bpc, source, "-o", trainer)
    want, _ = train([trainer], "ref", "--threads", "1", "--epochs", epochs)
    for threads in (2, 3):
        got, _ = train([trainer], "threads", "--threads", threads, "--epochs", epochs)
        assert got == want, f"{threads} threads"
    for options in (["-O0"], ["-O3"], ["-march=x86-64-v3"], ["-O0", "-march=x86-64-v3"]):
        run(bpc, *options, source, "-o", trainer)
        got, _ = train([trainer], "options", "--threads", "2", "--epochs", epochs)
        assert got == want, options
    text = os.path.join(os.path.dirname(source), "lowered.bp") if source.startswith(t.dir.name) else t.path("lowered.bp")
    for stage in ("ir", "grad", "opt"):
        run(bpc, f"--emit={stage}", source, "-o", text)
        listing = open(text).read().replace('"data/', f'"{os.path.dirname(source)}/data/')
        open(text, "w").write(listing)
        run(bpc, text, "-o", trainer)
        got, _ = train([trainer], "text", "--threads", "1", "--epochs", epochs)
        assert got == want, f"the program printed as --emit={stage}"
    got, _ = train([bpc, "run", source, "--"], "jit", "--threads", "2", "--epochs", epochs)
    assert got == want, "JIT"


def same_bits_of_model(name, *args, constants=()):
    """A few steps and their evaluation: the checkpoint and what is printed."""
    source, trainer = os.path.join(examples, f"{name}.bp"), t.path("model")

    def same(program, what, *more):
        out = t.path("model_out")
        shown = run(*program, *args, *more, "--out", out, "--progress=none").stdout
        assert (digest(out), shown) == seen.setdefault(name, (digest(out), shown)), f"{name}: {what}"

    run(bpc, *constants, source, "-o", trainer)
    for threads in (1, 2, 3):
        same([trainer], f"{threads} threads", "--threads", threads)
    run(bpc, "-O0", "-march=x86-64-v3", *constants, source, "-o", trainer)
    same([trainer], "-O0 -march=x86-64-v3", "--threads", "2")
    same([bpc, "run", "-O3", *constants, source, "--"], "JIT -O3", "--threads", "1")


def every_thread_works(source):
    trainer = t.path("trainer")
    run(bpc, source, "-o", trainer)
    for threads in (2, 3):
        _, stats = train([trainer], "stats", "--threads", threads, "--epochs", "3")
        counts = [int(n) for n in re.findall(r"thread \d+: (\d+)", stats)]
        assert len(counts) == threads and min(counts) > 0, stats


def levels_differ(source):
    code = {run(bpc, level, "--emit=asm", source).stdout for level in ("-O0", "-O3")}
    assert len(code) == 2 and all(code)


big = write_wide()
seen = {}
with open(t.path("plays.txt"), "wb") as f:
    f.write(gzip.open(os.path.join(examples, "data", "tinyshakespeare.txt.gz")).read()[:10000])
plays = "plays=" + t.path("plays.txt")
t.check("digits", same_bits, os.path.join(examples, "digits.bp"), "3")
t.check("wide model", same_bits, big, "3")
for name in ("breast_cancer", "necessity", "newton", "pinn", "vae", "maml", "gan", "lstm", "gru_names"):
    t.check(name, same_bits_of_model, name, "--steps", "2")
t.check("chargpt", functools.partial(same_bits_of_model, constants=("-DL=1", "-DD=32")), "chargpt", "--steps", "2",
        "--data", plays)
images = [os.path.join(root, "..", "shared", "data", f"t10k-{n}-ubyte.gz") for n in ("images-idx3", "labels-idx1")]
if all(map(os.path.exists, images)):
    t.check("lenet", same_bits_of_model, "lenet", "--steps", "2", "--data", "x=" + images[0], "--data", "y=" + images[1])
else:
    t.skip("lenet: the images are not there")
t.check("every thread works", every_thread_works, big)
t.check("-O0 and -O3 emit different code", levels_differ, big)
t.finish()
