#!/usr/bin/env python3
"""What a training step does beside one gradient: buffers, groups, update blocks, micro-batches, totals,
print, several stages; the same bits on every way and after an interruption."""
import json
import math
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
r = random.Random(7)
rows = []
for _ in range(60):
    x = [round(r.gauss(0, 1), 4) for _ in range(4)]
    rows.append(x + [int(x[0] + x[1] * x[2] > 0)])
with open(t.path("d.csv"), "w") as f:
    f.writelines(",".join(map(str, row)) + "\n" for row in rows)
train_rows, valid_rows = rows[:48], rows[48:]

data = 'dataset d = csv("d.csv", split=tail(0.2)) { x: f32[4] = cols(0..4); y: i32<2> = col(4); }\n'
net = """module Net[B](x: f32[B, 4]) -> f32[B, 2] {
  layer a = Linear[O=6];
  layer n = BatchNorm;
  layer b = Linear[O=2];
  return b(dropout(tanh(n(a(x))), rate=0.1));
}
model net = Net;
"""
everything = data + net + """
train first on d.train as (x, y) {
  let z = net(x);
  loss cross_entropy(z, y);
  metric acc = accuracy(z, y);
  metric f = f1(z[:, 1] - z[:, 0], f32(y));
  optimizer = adam(lr=cosine(1e-2));
  optimizer "*.b" = sgd(lr=1e-2, momentum=0.9);
  optimizer "net.n.*" = frozen;
  batch = 4; epochs = 3; accumulate = 3; loss_scale = 64; clip_norm = 1; seed = 3;
  valid = d.valid; best = f + acc; eval_every = 2; save_every = 5;
  print "f1", f;
}
train second on d.train as (x, y) {
  loss cross_entropy(net(x), y);
  optimizer = lbfgs(history=3, trials=4);
  batch = 24; steps = 5; save_every = 1; valid = d.valid;
}
train third on d.train as (x, y) {
  loss cross_entropy(net(x), y);
  optimizer = adam();
  batch = 12; steps = 5; precision = bf16; save_every = 2;
}
"""


def safetensors(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    head, out = json.loads(raw[8:8 + n]), {}
    for name, info in head.items():
        if name == "__metadata__":
            continue
        a, b = info["data_offsets"]
        code, size = {"F32": ("f", 4), "F64": ("d", 8), "I32": ("i", 4)}[info["dtype"]]
        out[name] = list(struct.unpack(f"<{(b - a) // size}{code}", raw[8 + n + a:8 + n + b]))
    return out


def last(out):
    return open(os.path.join(t.path(out), "last.safetensors"), "rb").read()


def records(out, split):
    lines = [json.loads(line) for line in open(os.path.join(t.path(out), "metrics.jsonl"))]
    return [x for x in lines if x["split"] == split]


def train(program, out, *args, status=0):
    return run(*program, *args, "--out", t.path(out), "--progress=none", status=status)


def same_bits():
    source, trainer = t.write("all.bp", everything), t.path("all")
    run(bpc, source, "-o", trainer)
    shown = train([trainer], "ref", "--threads", "1").stdout
    assert shown.count("f1 ") == 6, shown
    train([trainer], "two", "--threads", "2")
    assert last("two") == last("ref"), "2 threads"
    for options in (["-O0"], ["-march=x86-64-v3", "-O3"]):
        run(bpc, *options, source, "-o", trainer + "o")
        train([trainer + "o"], "o", "--threads", "2")
        assert last("o") == last("ref"), options
    text = t.path("text.bp")
    for stage in ("ir", "grad", "opt"):
        run(bpc, f"--emit={stage}", source, "-o", text)
        again = run(bpc, f"--emit={stage}", text).stdout
        assert stage != "ir" or again == open(text).read(), "--emit=ir of IR text is not the identity"
        got = train([bpc, "run", text, "--"], "text", "--threads", "1").stdout
        assert last("text") == last("ref") and got == shown, f"the program printed as --emit={stage}"


def resumed():
    """From the checkpoint before the last one, with another number of threads."""
    trainer = t.path("all")
    for stage in ("first", "second", "third"):
        train([trainer, stage], stage, "--threads", "1")
        want = last(stage)
        assert b"net.n.var" in want
        os.remove(os.path.join(t.path(stage), "last.safetensors"))
        train([trainer, stage], stage, "--threads", "2", "--resume")
        assert last(stage) == want, f"{stage} resumed"


def frozen_and_groups():
    trainer = t.path("all")
    train([trainer, "first"], "one", "--threads", "1", "--steps", "1")
    train([trainer, "first"], "more", "--threads", "1", "--steps", "4")
    a, b = (safetensors(os.path.join(t.path(x), "last.safetensors")) for x in ("one", "more"))
    for name in ("net.n.g", "net.n.b"):
        assert a[name] == b[name], f"{name} is frozen"
    for name in ("net.a.w", "net.a.b", "net.n.mean", "net.n.var"):
        assert a[name] != b[name], f"{name} changes"
    assert any(b["opt.v.net.a.w"]) and not any(b["opt.v.net.a.b"]) and any(b["opt.m.net.a.b"])


linear = data + """
model net = Linear[O=2];
train fit on d.train as (x, y) {
  loss cross_entropy(net(x), y);
  optimizer = sgd(lr=0.1);
  valid = d.valid; seed = 1; SETTINGS
}
"""


def fitted(settings, out):
    source = t.write("linear.bp", linear.replace("SETTINGS", settings))
    train([bpc, "run", "--float=f64", source, "--"], out, "--threads", "1")
    return safetensors(os.path.join(t.path(out), "last.safetensors"))


def micro_batches():
    """k batches of n are one of k n: the loss is a mean."""
    a = fitted("batch = 48; epochs = 5;", "a")
    for settings in ("batch = 12; accumulate = 4; epochs = 5;",
                     "batch = 12; accumulate = 4; epochs = 5; loss_scale = 1000; clip_norm = 1e9;"):
        b = fitted(settings, "b")
        assert all(v == 0 for k, vs in b.items() if k.startswith("opt.accumulate") for v in vs)
        for name in ("net.w", "net.b"):
            worst = max(abs(x - y) for x, y in zip(a[name], b[name]))
            assert worst < 1e-13, (settings, name, worst)
    la, lb = records("a", "train"), records("b", "train")
    assert len(la) == len(lb) and all(abs(x["loss"] - y["loss"]) < 1e-13 for x, y in zip(la, lb))


def running_moments():
    """One step of a batch norm of the data itself, in every mode."""
    source = t.write("norm.bp", data + """
module Norm[B](x: f32[B, 4]) -> f32[B, 4] { layer n = BatchNorm[momentum=0.25]; return n(x); }
model net = Norm;
train fit on d.train as (x, y) {
  let twice = net(x) + net(x);
  loss mean(twice * twice);
  optimizer = sgd(lr=0);
  batch = 48; steps = 1; seed = 1; valid = d.valid;
}
export fn infer(x: f32[1, 4]) -> f32[1, 4] { return net(x); }
""")
    train([bpc, "run", "--float=f64", source, "--"], "n", "--threads", "1")
    state = safetensors(os.path.join(t.path("n"), "last.safetensors"))
    assert sorted(state) == ["net.n.b", "net.n.g", "net.n.mean", "net.n.var"], sorted(state)
    loss = 0.0
    for c in range(4):
        xs = [row[c] for row in train_rows]
        m = sum(xs) / len(xs)
        v = sum((x - m) ** 2 for x in xs) / len(xs)
        want_m, want_v = 0.0, 1.0
        for _ in range(2):  # two calls, the second one sees what the first one left
            want_m, want_v = 0.75 * want_m + 0.25 * m, 0.75 * want_v + 0.25 * v
        assert abs(state["net.n.mean"][c] - want_m) < 1e-13 and abs(state["net.n.var"][c] - want_v) < 1e-13
        loss += sum((2 * (row[c] - want_m) / math.sqrt(want_v + 1e-5)) ** 2 for row in valid_rows)
    got = records("n", "valid")[-1]["loss"]
    assert abs(got - loss / (4 * len(valid_rows))) < 1e-12, (got, loss / (4 * len(valid_rows)))


def totals():
    """Counts over an evaluation whose last rows fill no batch."""
    source = t.write("totals.bp", data + """
model net = Linear[O=2];
train fit on d.train as (x, y) {
  let z = net(x);
  let s = z[:, 1] - z[:, 0];
  let u = f32(y);
  loss cross_entropy(z, y);
  metric p = precision(s, u); metric q = recall(s, u); metric f = f1(s, u);
  metric a = auc(s, u); metric e = r2(sigmoid(s), u); metric k = top_k_accuracy(z, y, k=1);
  metric acc = accuracy(z, y);
  optimizer = sgd(lr=0.3);
  batch = 5; epochs = 3; valid = d.valid; best = a - f;
  print "counts", confusion(z, y), decode_free(acc);
}
fn decode_free(x: f32) -> f32 { return 2 * x; }
""")
    shown = train([bpc, "run", "--float=f64", source, "--"], "t", "--threads", "1").stdout
    state = safetensors(os.path.join(t.path("t"), "last.safetensors"))
    w, b = state["net.w"], state["net.b"]
    scores = [(sum(row[i] * (w[2 * i + 1] - w[2 * i]) for i in range(4)) + b[1] - b[0], row[4]) for row in valid_rows]
    tp = sum(s > 0 and y == 1 for s, y in scores)
    named, real = sum(s > 0 for s, _ in scores), sum(y for _, y in scores)
    pairs = [(s, u) for s, y in scores if y for u, v in scores if not v]
    mean = real / len(scores)
    rest = sum((y - 1 / (1 + math.exp(-s))) ** 2 for s, y in scores)
    right = sum((s > 0) == (y == 1) for s, y in scores)
    want = {"p": tp / max(named, 1), "q": tp / real, "f": 2 * tp / (named + real),
            "a": sum((s > u) + 0.5 * (s == u) for s, u in pairs) / len(pairs),
            "e": 1 - rest / sum((y - mean) ** 2 for _, y in scores), "k": right / len(scores),
            "acc": right / len(scores)}
    got = records("t", "valid")[-1]
    for name, value in want.items():
        assert abs(got[name] - value) < 1e-12, (name, got[name], value)
    tn = right - tp
    counts = [[tn, named - tp], [real - tp, tp]]
    numbers = shown.replace("counts", "").replace("[", " ").replace("]", " ").replace(",", " ").split()
    assert [float(x) for x in numbers[-5:]] == [c for row in counts for c in row] + [2 * want["acc"]], shown
    every = records("t", "valid")
    best = max(range(len(every)), key=lambda i: every[i]["a"] - every[i]["f"])
    raw = open(os.path.join(t.path("t"), "best.safetensors"), "rb").read()
    head = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]
    assert int(head["step"]) == every[best]["step"], (head, best)


def update_blocks():
    """Two models with losses of their own; the second one's sees the first one updated."""
    source = t.write("gan.bp", data + """
module Scale[B](x: f32[B, 4]) -> f32[B, 4] { param w: f32[4] = ones(); return x * w; }
model a = Scale;
model b = Scale;
train fit on d.train as (x, _) {
  let p = a(x);
  update a { loss mean(p * p) + 0 * mean(b(x)); optimizer = sgd(lr=0.5); }
  update b { loss mean(b(p)); optimizer = sgd(lr=0.5); metric m = mean(p); }
  batch = 48; steps = 1; seed = 1;
}
""")
    train([bpc, "run", "--float=f64", source, "--"], "g", "--threads", "1")
    state = safetensors(os.path.join(t.path("g"), "last.safetensors"))
    for c in range(4):
        xs = [row[c] for row in train_rows]
        n = 4 * len(xs)
        wa = 1 - 0.5 * 2 * sum(x * x for x in xs) / n
        wb = 1 - 0.5 * sum(x * wa for x in xs) / n
        assert abs(state["a.w"][c] - wa) < 1e-13 and abs(state["b.w"][c] - wb) < 1e-13


def whole_batches():
    """Second-order optimizers and one of a user's reach the minimum of a convex loss."""
    newton = """optimizer newton[P](lr: real = 1) {
  update_all(p, g, t) { let hg = hvp[loss](p, g); return p - lr * sum(g * g) / max(sum(g * hg), 1e-12) * g; }
}
"""
    text = linear.replace("loss cross_entropy(net(x), y);",
                          "loss cross_entropy(net(x), y) + 0.05 * sum(net(x) ** 2) / 48;")
    losses = {}
    for name, steps in (("lbfgs()", 25), ("newton_cg()", 10), ("newton(lr=1)", 60), ("adam(lr=0.05)", 1500)):
        source = t.write("second.bp", newton + text.replace("sgd(lr=0.1)", name).replace(
            "SETTINGS", f"batch = 48; steps = {steps}; eval_every = {steps - 1};"))
        train([bpc, "run", "--float=f64", source, "--"], "s", "--threads", "1")
        losses[name] = records("s", "train")[-1]["loss"]
    low = losses["adam(lr=0.05)"]
    for name, value in losses.items():
        assert abs(value - low) < 1e-6, losses


def stages_share_weights():
    """A stage begins with fresh optimizer state and the weights of the one before."""
    text = data + "model net = Linear[O=2];\n" + "".join(f"""
train {name} on d.train as (x, y) {{
  loss cross_entropy(net(x), y); optimizer = adam(lr=0.1); batch = 48; steps = 3; seed = {seed};
}}""" for name, seed in (("one", 1), ("two", 2)))
    trainer = t.path("stages")
    run(bpc, t.write("stages.bp", text), "-o", trainer)
    train([trainer], "both", "--threads", "1")
    train([trainer, "one"], "one", "--threads", "1", "--save", t.path("one.safetensors"))
    train([trainer, "two"], "two", "--threads", "1", "--ckpt", t.path("one.safetensors"))
    a, b = (safetensors(os.path.join(t.path(x), "last.safetensors")) for x in ("both", "two"))
    assert a == b
    train([trainer], "cut", "--threads", "1", "--steps", "3")
    train([trainer], "cut", "--threads", "1", "--resume")
    assert safetensors(os.path.join(t.path("cut"), "last.safetensors")) == a


def checked():
    shown = run(bpc, "check", t.path("all.bp")).stdout
    assert "fit_loss" not in shown and "hvp[" not in shown and "value_and_grad[first_loss] net.a.b" in shown, shown
    assert "FALSE" not in shown


def hypers():
    """Integers and bools on the command line, kept by a resumed run."""
    source = t.write("hypers.bp", data + """
hyper k: i32 = 3;   /// how many
hyper on: bool = true;
model net = Linear[O=2];
train fit on d.train as (x, y) {
  let f = where(on, f32(k), 0.0);
  loss cross_entropy(net(x), y); metric f = f; optimizer = sgd(); batch = 12; steps = 2; valid = d.valid;
}
""")
    trainer = t.path("hypers")
    run(bpc, source, "-o", trainer)
    for args, want in (([], 3), (["--k", "-7"], -7), (["--on", "false"], 0), (["--on=true", "--k=5"], 5)):
        train([trainer], "h", "--threads", "1", *args)
        assert records("h", "valid")[-1]["f"] == want, (args, want)
    train([trainer], "h", "--threads", "1", "--steps", "4", "--resume")
    assert records("h", "valid")[-1]["f"] == 5, "resumed"
    assert "whole number" in train([trainer], "h", "--k", "1.5", status=2).stderr
    assert "--on" in train([trainer], "h", "--on", "maybe", status=2).stderr


def steps_done():
    """An evaluation and its print see the updates done before it."""
    source = t.write("steps.bp", data + """
model net = Linear[O=2];
train fit on d.train as (x, y) {
  loss cross_entropy(net(x), y); metric done = step; optimizer = sgd();
  batch = 12; steps = 6; eval_every = 3; valid = d.valid;
  print "done", i32(step), "of", i32(steps);
}
""")
    shown = train([bpc, "run", source, "--"], "s", "--threads", "1").stdout
    assert [x["done"] for x in records("s", "valid")] == [3, 6] and [x["done"] for x in records("s", "train")] == [1, 4]
    assert "done 3 of 6\ndone 6 of 6" in shown, shown


def decoded():
    t.write("names.txt", "ab\nba\nabc\ncab\n" * 5)
    source = t.write("text.bp", """
dataset names = text("names.txt", lines=true, split=0.2) { x: i32<4>[5] = window(0); }
module Bigram[B, T](x: i32<4>[B, T]) -> f32[B, T, 4] { param w: f32[4, 4] = zeros(); return embed(w, x); }
model net = Bigram;
train fit on names.train as (x) {
  loss cross_entropy(net(x), x);
  optimizer = adam(lr=0.5);
  batch = 4; steps = 30; eval_every = 15; valid = names.valid;
  print "\\"read\\":", decode(names, argmax(net(x), axis=-1)[0]), "of", len(shape(x));
}
""")
    shown = train([bpc, "run", source, "--"], "d", "--threads", "1").stdout
    lines = shown.splitlines()
    assert len(lines) == 2 and lines[1] in [f'"read": {x} of 2' for x in ("ab", "ba", "abc", "cab")], shown


t.check("same bits", same_bits)
t.check("checked", checked)
t.check("hypers", hypers)
t.check("steps done", steps_done)
t.check("decoded", decoded)
t.check("resumed", resumed)
t.check("frozen and groups", frozen_and_groups)
t.check("micro-batches", micro_batches)
t.check("running moments", running_moments)
t.check("totals", totals)
t.check("update blocks", update_blocks)
t.check("whole batches", whole_batches)
t.check("stages share weights", stages_share_weights)
t.finish()
