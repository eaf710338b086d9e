#!/usr/bin/env python3
"""Layers that repeat are one function: its size and number do not grow with the layers, the text
of every stage computes the same bits, and so do modules that are equal but for their names, whose
calls are expanded in place."""
import hashlib
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()

transformer = """
const L = 3;
dataset noise = rows(n=32, seed=1) {
  x: i32<16>[8] = randint();
  y: i32<16>[8] = randint();
}
module GPT[B, T](ids: i32<16>[B, T]) -> f32[B, T, 16] {
  layer emb = Embedding[D=16];
  layer block[L] = TransformerBlock[NH=2, causal=true];
  layer head = Linear[O=16];
  var x = emb(ids);
  for i in 0..L { x = block[i](x, rate=0.1); }
  return head(x);
}
model net = GPT;
train fit on noise.train as (x, y) {
  loss cross_entropy(net(x), y);
  optimizer = adamw(lr=1e-2, weight_decay=1e-2);
  batch = 8; epochs = 2; seed = 5; clip_norm = 1;
}
"""

# a loop, a buffer that is assigned, random numbers and two results in what repeats
block = """
module NAME[B, D](x: f32[B, D]) -> (f32[B, D], f32) {
  param w: f32[D, D] = he_normal();
  param u: f32[D, D] = xavier_normal();
  buffer seen: f32[D] = zeros();
  scan (step = iota(3)) carry (h: f32[B, D] = x) { h = tanh(h @ u) + dropout(h, rate=0.2); }
  if training { seen = 0.9 * seen + 0.1 * mean(h, axis=0); }
  let y = dropout(gelu(h @ w - seen), rate=0.3);
  return x + y, mean(y * y);
}
"""
stack = """
dataset noise = rows(n=32, seed=1) { x: f32[8] = uniform(); }
BLOCKS
module Net[B](x: f32[B, 8]) -> (f32[B, 8], f32) {
LAYERS
  let (h0, e0) = b0(x);
  let (h1, e1) = b1(h0);
  let (h2, e2) = b2(h1);
  let (h3, e3) = b3(h2);
  return h3, e0 + e1 + e2 + e3;
}
model net = Net;
train fit on noise.train as (x,) {
  let (y, e) = net(x);
  loss mse(y, 1 - x) + 0.1 * e;
  optimizer = adam(lr=1e-2);
  batch = 8; epochs = 2; seed = 5;
}
"""


def trained(path, *options):
    out = path + ".run"
    run(bpc, "run", *options, path, "--", "--out", out, "--progress=none")
    with open(os.path.join(out, "last.safetensors"), "rb") as f:
        data = f.read()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little"):]).hexdigest()


def sizes(path, layers):
    """function of --emit=opt -> lines, those that grow with the parameters left out"""
    text = run(bpc, f"-DL={layers}", "--emit=opt", path).stdout
    lines, name = {}, None
    for line in text.splitlines():
        m = re.match(r"(?:export )?fn (\w+)", line)
        name = m.group(1) if m else name
        if name:
            lines[name] = lines.get(name, 0) + 1
    return {k: n for k, n in lines.items() if k not in ("fit_step", "init_state")}


def llvm(path, layers):
    text = run(bpc, f"-DL={layers}", "-emit-llvm", path, "-o", "-").stdout
    return len(re.findall(r"^define", text, re.M))


def functions_do_not_grow():
    path = t.write("gpt.bp", transformer)
    few, many = sizes(path, 3), sizes(path, 12)
    assert few.keys() == many.keys(), (few, many)
    grown = {k: (few[k], many[k]) for k in few if many[k] != few[k]}
    # a call is one line
    assert set(grown) <= {"fit_eval", "fit_eval_row"}, grown
    assert all(b - a == 9 for a, b in grown.values()), grown
    assert sum("_vjp" in k for k in many) == 1 and sum("_fwd" in k for k in many) == 1, many
    assert llvm(path, 12) - llvm(path, 3) <= 4, (llvm(path, 3), llvm(path, 12))


def stages_keep_bits():
    for name, text, stages in [("gpt.bp", transformer, ["grad"]),
                               ("stack.bp", expanded(1), ["ir", "grad", "opt"])]:
        path = t.write(name, text)
        want = trained(path)
        for stage in stages:
            ir = run(bpc, f"--emit={stage}", path).stdout
            again = t.write(f"{stage}_{name}", ir)
            assert trained(again) == want, (name, stage)
            if stage == "ir":
                assert run(bpc, "--emit=ir", again).stdout == ir, (name, stage)


def expanded(kinds):
    names = [f"Block{k % kinds}" for k in range(4)]
    blocks = "".join(block.replace("NAME", n) for n in sorted(set(names)))
    layers = "\n".join(f"  layer b{k} = {n};" for k, n in enumerate(names))
    return stack.replace("BLOCKS", blocks).replace("LAYERS", layers)


def expanded_has_the_same_bits():
    kept, apart = t.write("kept.bp", expanded(1)), t.write("apart.bp", expanded(4))
    assert trained(kept) == trained(apart)
    assert trained(kept, "-O0") == trained(apart, "-O3")
    texts = [run(bpc, "--emit=opt", p).stdout for p in (kept, apart)]
    calls = [len(re.findall(r"_vjp\w*\(", x)) for x in texts]
    assert calls[0] == 4 and calls[1] == 0, calls


t.check("functions do not grow with the layers", functions_do_not_grow)
t.check("the text of every stage keeps the bits", stages_keep_bits)
t.check("kept and expanded calls have the same bits", expanded_has_the_same_bits)
t.finish()
