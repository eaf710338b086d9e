#!/usr/bin/env python3
"""Every data source, on real data: what a program sees of a file, known by metrics that it computes."""
import gzip
import json
import math
import os
import struct
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, npz_read, npz_write, root, run  # noqa: E402

bpc = sys.argv[1]
shared = os.path.join(root, "..", "shared", "data")
t = Tests()

probe = """
module Probe(x: f32) -> f32 {{ param w: f32 = ones(); return w * x; }}
model p = Probe;
train look on d.{split} as ({names}) {{
  loss p(1.0);
  {metrics}
  optimizer = sgd(lr=0); batch = 1; steps = 1; valid = d.{split};
}}
"""


def looked(dataset, names, metrics, *args, split="train", status=0):
    """The metrics over all rows of a split, or the errors of a run that fails."""
    text = dataset + probe.format(split=split, names=names,
                                  metrics=" ".join(f"metric {k} = {e};" for k, e in metrics.items()))
    out = t.path("out")
    r = run(bpc, "run", t.write("look.bp", text), "--", "--out", out, "--progress=none", *args, status=status)
    if status:
        return r.stderr
    rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
    return [r for r in rows if r["split"] == split][-1]


def near(a, b, tolerance=1e-5):
    assert abs(a - b) <= tolerance * max(1, abs(b)), (a, b)


def data(name):
    return os.path.join(shared, name)


def row_counts(dataset, names, *args):
    text = dataset + probe.format(split="train", names=names, metrics="").replace("valid = d.train", "valid = d.valid")
    text = run(bpc, "run", t.write("rows.bp", text), "--", "--dry-run", *args).stdout.split()
    return [int(text[i - 1]) for i, w in enumerate(text) if w == "rows"]


# ---- arrays ----

def iris():
    with open(data("iris.csv")) as f:
        return [line.strip().split(",") for line in f][1:]


def npy(shape, values, code="d", descr="<f8"):
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + struct.pack(f"<{len(values)}{code}", *values)


def same_rows():
    """The same flowers from nine files train to the same bits."""
    rows = [[float(v) for v in r] for r in iris()]
    x, y = [v for r in rows for v in r[:4]], [int(r[4]) for r in rows]
    all_ = [v for r in rows for v in r]
    t.write("x.npy", npy((150, 2, 2), x))
    t.write("y.npy", npy((150,), y, "B", "|u1"))
    t.write("all.npy", npy((150, 5), all_))
    idx = b"\0\0\x0e\3" + struct.pack(">3i", 150, 2, 2) + struct.pack(">600d", *x)
    t.write("x.idx", idx)
    t.write("y.idx.gz", gzip.compress(b"\0\0\x0b\1" + struct.pack(">i150h", 150, *y)))
    npz_write(t.path("a.npz"), {"x": ("f8", (150, 4), x), "y": ("i4", (150,), y)})
    for name in ("x.npy", "y.npy", "a.npz"):
        t.write(name + ".gz", gzip.compress(open(t.path(name), "rb").read()))
    with zipfile.ZipFile(t.path("packed.npz"), "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("x.npy", npy((150, 4), x))
        z.writestr("y.npy", npy((150,), y, "q", "<i8"))
    t.write("x.csv", "\n".join("\t".join(map(repr, r[:4])) for r in rows))
    t.write("y.csv", "\n".join(str(v) for v in y))
    csv = "x: f32[4] = cols(0..4); y: i32<3> = col(4);"
    field = "x: f32[4] = field(0); y: i32<3> = field(1);"
    keys = 'x: f32[4] = key("x"); y: i32<3> = key("y");'
    sources = [(f'csv("{data("iris.csv")}"', csv), (f'csv("{data("iris.csv")}", skip=1, header=false', csv),
               ('csv("x.csv", "y.csv", sep="\\t"', csv), ('npy("x.npy", "y.npy"', field),
               ('npy("x.npy.gz", "y.npy.gz"', field), ('npy("all.npy"', csv), ('idx("x.idx", "y.idx.gz"', field),
               ('npz("a.npz"', keys), ('npz("a.npz.gz"', keys), ('npz("packed.npz"', keys)]
    seen = set()
    for source, fields in sources:
        program = f"dataset d = {source}, split=0.2) {{ {fields} }}" + """
            module Lin(x: f32[10, 4]) -> f32[10, 3] { param w: f32[4, 3] = zeros(); return x @ w; }
            module Row[B](x: f32[B, 4]) -> f32[B, 3] { param w: f32[4, 3] = zeros(); return x @ w; }
            model net = Row;
            train fit on d.train as (x, y) {
              loss cross_entropy(net(x), y); metric acc = accuracy(net(x), y);
              optimizer = adam(lr=0.1); batch = 10; epochs = 100; valid = d.valid; }"""
        out = t.path("same")
        run(bpc, "run", t.write("same.bp", program), "--", "--out", out, "--progress=none")
        with open(os.path.join(out, "last.safetensors"), "rb") as f:
            seen.add(f.read())
        last = json.loads(open(os.path.join(out, "metrics.jsonl")).readlines()[-1])
        assert last["acc"] >= 0.9, (source, last)
    assert len(seen) == 1, "sources differ"


def mnist():
    d = (f'dataset d = idx("{data("t10k-images-idx3-ubyte.gz")}", "{data("t10k-labels-idx1-ubyte.gz")}", '
         "split=tail(0.2)) { x: f32[1, 28, 28] = field(0) / 255; y: i32<10> = field(1); }")
    assert row_counts(d, "x, y") == [8000, 2000]
    images = gzip.open(data("t10k-images-idx3-ubyte.gz")).read()[16 + 8000 * 784:]
    labels = gzip.open(data("t10k-labels-idx1-ubyte.gz")).read()[8 + 8000:]
    seen = looked(d, "x, y", {"m": "mean(x)", "l": "mean(f32(y))"}, split="valid")
    near(seen["m"], sum(images) / len(images) / 255)
    near(seen["l"], sum(labels) / len(labels))
    plain = t.write("labels", gzip.open(data("t10k-labels-idx1-ubyte.gz")).read())
    near(looked(d, "x, y", {"l": "mean(f32(y))"}, "--data", f"y={plain}", split="valid")["l"], seen["l"])
    error = looked(d.replace("i32<10>", "i32<9>"), "x, y", {}, status=3)
    first = gzip.open(data("t10k-labels-idx1-ubyte.gz")).read()[8:].index(9)
    assert f"t10k-labels-idx1-ubyte.gz: error: row {first}, field 'y', number 0: label 9 is not in [0, 9)" in error, error
    error = looked(d.replace("[1, 28, 28]", "[28, 29]"), "x, y", {}, status=3)
    assert "field 'x': f32[28, 29] has 812 numbers a row, its value has 784" in error, error


def parts():
    """Files of a split may be several, in the program and on the command line."""
    for name, values in (("tx", [1, 2, 3]), ("ty", [0, 1, 0]), ("vx", [4, 5]), ("vy", [1, 1]), ("zy", [1, 0])):
        t.write(name, b"\0\0\x08\1" + struct.pack(">i", len(values)) + bytes(values))
    d = 'dataset d = idx(train=("tx", "ty"), valid=("vx", "vy")) { x: f32 = field(0); y: i32<2> = field(1); }'
    assert row_counts(d, "x, y") == [3, 2]
    means = {"x": "mean(x)", "y": "mean(f32(y))"}
    assert looked(d, "x, y", means)["x"] == 2
    seen = looked(d, "x, y", means, split="valid")
    assert (seen["x"], seen["y"]) == (4.5, 1), seen
    args = [a for f in ("vx", "zy") for a in ("--data", "valid=" + t.path(f))]
    assert looked(d, "x, y", means, *args, split="valid")["y"] == 0.5
    error = looked(d.replace('"vy"', '"ty"'), "x, y", {}, split="valid", status=3)
    assert "ty: error: 3 rows, " in error and "has 2" in error, error


# ---- tables ----

def diabetes():
    d = (f'dataset d = csv(("{data("diabetes_data_raw.csv.gz")}", "{data("diabetes_target.csv.gz")}"), sep=" ") '
         "{ x: f32[2, 5] = cols(0..10); y: f32 = col(10); }")
    seen = looked(d, "x, y", {"x": "mean(x)", "y": "mean(y)"})
    rows = [[float(v) for v in r.split()] for r in gzip.open(data("diabetes_data_raw.csv.gz"), "rt")]
    near(seen["x"], sum(map(sum, rows)) / 4420)
    near(seen["y"], sum(float(v) for v in gzip.open(data("diabetes_target.csv.gz"), "rt")) / 442)
    short = t.write("short.csv", "1\n2\n")
    error = looked(d.replace(data("diabetes_target.csv.gz"), short), "x, y", {}, status=3)
    assert "short.csv:1:1: error: 2 rows, " in error and "has 442" in error, error


def wine():
    """A standardized field in an export, from the checkpoint, equals what the rows say."""
    rows = [[float(v) for v in line.split(",")] for line in open(data("wine_data.csv"))
            if "class" not in line]
    mean = [sum(r[c] for r in rows) / len(rows) for c in range(13)]
    dev = [math.sqrt(sum((r[c] - mean[c]) ** 2 for r in rows) / len(rows)) for c in range(13)]
    text = (f'dataset d = csv("{data("wine_data.csv")}") '
            "{ x: f32[13] = 2 * standardize(cols(0..13)); y: i32<3> = col(13); }\n"
            "export fn scaled(x: f32[1, 13]) -> f32[1, 13] { return d.x(x); }\n")
    path = t.write("wine.bp", text)
    npz_write(t.path("in.npz"), {"x": ("f4", (1, 13), rows[7][:13])})

    def scaled(*args):
        run(bpc, "run", path, "--", "call", "scaled", "--in", t.path("in.npz"), "--out", t.path("o.npz"), *args)
        return npz_read(t.path("o.npz"))["out0"][2]
    for c, v in enumerate(scaled()):
        near(v, 2 * (rows[7][c] - mean[c]) / dev[c], 1e-4)
    before = scaled()
    t.write("wine.bp", text + probe.format(split="train", names="x, y", metrics=""))
    run(bpc, "run", path, "--", "--out", t.path("w"), "--progress=none", "--save", t.path("w.safetensors"))
    t.write("wine.bp", (text + probe.format(split="train", names="x, y", metrics="")).replace(shared, "/nowhere"))
    assert scaled("--ckpt", t.path("w.safetensors")) == before


def categories():
    kinds = ["setosa", "versicolor", "virginica"]
    lines = [",".join(r[:4] + [kinds[int(r[4])]]) for r in iris()]
    t.write("kinds.csv", "a,b,c,d,species\n" + "\n".join(lines))
    d = 'dataset d = csv("kinds.csv") { x: f32 = col("c"); y: i32<3> = category(col("species")); }'
    near(looked(d, "x, y", {"y": "mean(f32(y))"})["y"], 1)
    error = looked(d.replace('"species"', '"specis"'), "x, y", {}, status=3)
    assert 'no column named "specis"; did you mean "species"?' in error, error
    error = looked(d.replace('"kinds.csv"', '"kinds.csv", header=false, skip=1'), "x, y", {}, status=3)
    assert "kinds.csv' has no line of names; header=true says" in error, error
    error = looked(d.replace("i32<3>", "i32<2>"), "x, y", {}, status=3)
    assert "kinds.csv:102:" in error and "label 2 is not in [0, 2)" in error, error
    # the numbers that the weights were trained with stay, whatever another file has
    looked(d, "x, y", {"y": "mean(f32(y))"}, "--save", t.path("k.safetensors"))
    last = t.write("last.csv", "a,b,c,d,species\n" + "\n".join(lines[100:]))
    out = run(bpc, "run", t.path("look.bp"), "--", "eval", "--ckpt", t.path("k.safetensors"), "--data", f"d={last}").stdout
    assert "y 2.0" in out, out
    other = t.write("other.csv", "a,b,c,d,species\n1,2,3,4,setosa\n1,2,3,4,tulip\n")
    error = run(bpc, "run", t.path("look.bp"), "--", "eval", "--ckpt", t.path("k.safetensors"), "--data", f"d={other}",
                status=3).stderr
    assert "other.csv:3:9: error: 'tulip' did not occur when the weights were trained" in error, error


# ---- texts ----

def shakespeare():
    path = data("tinyshakespeare.txt")
    text = open(path, "rb").read()
    ids = {b: i for i, b in enumerate(sorted(set(text)))}
    valid = math.floor(len(text) * 0.1 + 0.5)
    tail = text[len(text) - valid:]
    d = f'dataset d = text("{path}", split=0.1) {{ x: i32<65>[64] = window(0); y: i32<65>[64] = window(1); }}'
    n = (valid - 65) // 64 + 1
    assert row_counts(d, "x, y") == [len(text) - valid - 64, n]
    seen = looked(d, "x, y", {"x": "mean(f32(x))", "y": "mean(f32(y))"}, split="valid")
    near(seen["x"], sum(ids[b] for b in tail[:64 * n]) / (64 * n))
    near(seen["y"], sum(ids[b] for b in tail[1:64 * n + 1]) / (64 * n))
    error = looked(d.replace("<65>", "<60>"), "x, y", {}, status=3)
    assert "tinyshakespeare.txt' has 65 distinct bytes, more than i32<60>[64] holds" in error, error


def small_texts():
    t.write("a.txt", "abcabcab")
    t.write("b.txt", "cabc")
    d = 'dataset d = text("a.txt") { x: i32<3>[2] = window(0); z: f32[2] = window(2) * 10; }'
    # places 0 .. 4, every one: the windows that fit
    assert row_counts(d.replace('"a.txt"', '"a.txt", valid="b.txt"'), "x, z") == [5, 1]
    ids = [0, 1, 2, 0, 1, 2, 0, 1]
    seen = looked(d, "x, z", {"x": "mean(f32(x))", "z": "mean(z)"})
    near(seen["x"], sum(ids[i] + ids[i + 1] for i in range(5)) / 10)
    near(seen["z"], sum(ids[i + 2] + ids[i + 3] for i in range(5)))
    other = d.replace("d =", "v =").replace("a.txt", "b.txt")
    look = probe.format(split="train", names="x, z", metrics="").replace("valid = d.train", "valid = v.train")
    run(bpc, "run", t.write("v.bp", d + other + look), "--", "--out", t.path("v"), "--progress=none")
    t.write("b.txt", "abddabd")
    error = run(bpc, "run", t.path("v.bp"), "--", "--out", t.path("v"), status=3).stderr
    assert "have other bytes, so that their ids differ" in error, error
    # eval on another text numbers bytes as the training did; unknown ones are errors
    d = 'dataset d = text("a.txt") { x: i32<3>[2] = window(0); }'
    looked(d, "x", {"x": "mean(f32(x))"}, "--save", t.path("t.safetensors"))
    t.write("c.txt", "ccbcc")
    out = run(bpc, "run", t.path("look.bp"), "--", "eval", "--ckpt", t.path("t.safetensors"), "--data",
              "train=" + t.path("c.txt")).stdout
    assert "x 1.75" in out, out
    weights = ("--ckpt", t.path("t.safetensors"))
    seen = looked(d, "x", {"x": "mean(f32(x))"}, *weights, "--data", "train=" + t.path("c.txt"))
    near(seen["x"], 1.75)
    t.write("e.txt", "ab\ncd")
    error = run(bpc, "run", t.path("look.bp"), "--", "eval", "--ckpt", t.path("t.safetensors"), "--data",
                "train=" + t.path("e.txt"), status=3).stderr
    assert "e.txt:1:3: error: byte 0x0a did not occur" in error, error


def names():
    lines = open(data("names.txt")).read().split("\n")[:-1]
    d = (f'dataset d = text("{data("names.txt")}", lines=true) '
         "{ x: i32<27>[16] = window(0); y: i32<27>[16] = window(1); n: i32 = length(); }")
    seen = looked(d, "x, y, n", {"x": "mean(f32(x))", "y": "mean(f32(y))", "n": "mean(f32(n))"})
    padded = ["\n" + (line + "\n" * 17)[:17] for line in lines]
    value = {c: i for i, c in enumerate(sorted(set("".join(padded))))}
    near(seen["x"], sum(value[c] for p in padded for c in p[:16]) / 16 / len(lines), 1e-4)
    near(seen["y"], sum(value[c] for p in padded for c in p[1:17]) / 16 / len(lines), 1e-4)
    near(seen["n"], sum(len(line) + 1 for line in lines) / len(lines), 1e-4)


# ---- made rows ----

def made():
    """Each generator's formula: a number of its rows that is known."""
    known = [("moons", "f32[2]", "i32<2>", {"x": ("mean(x[..., 0])", 0.5, 0.1), "y": ("mean(f32(y))", 0.5, 0.1)}),
             ("spirals", "f32[2]", "i32<2>", {"r": ("mean(sqrt(sum(x * x, axis=-1)))", 2.5, 0.2)}),
             ("blobs", "f32[2]", "i32<3>", {"r": ("mean(sqrt(sum(x * x, axis=-1)))", 1, 0.05),
                                            "y": ("mean(f32(y))", 1, 0.1)}),
             ("xor", "f32[2]", "i32<2>", {"x": ("mean(x)", 0.5, 0.05), "y": ("mean(f32(y))", 0.5, 0.1),
                                          "d": ("mean(abs(abs(x[:, 0] - x[:, 1]) - f32(y)))", 0, 0.2)}),
             ("sine", "f32[1]", "f32[1]", {"e": ("mean(y - sin(x))", 0, 0.02),
                                           "s": ("mean((y - sin(x)) ** 2)", 0.01, 0.001)})]
    for fn, x, y, metrics in known:
        d = f"dataset d = {fn}(n=1000, seed=2) {{ x: {x} = field(0); y: {y} = field(1); }}"
        seen = looked(d, "x, y", {k: m[0] for k, m in metrics.items()})
        for k, (_, want, tolerance) in metrics.items():
            assert abs(seen[k] - want) <= tolerance, (fn, k, seen[k], want)
    d = "dataset d = sine(n=9, seed=2, noise=0.0) { x: f32 = field(0); y: f32 = field(1); }"
    near(looked(d, "x, y", {"e": "mean(abs(y - sin(x)))"})["e"], 0)
    d = """hyper shift: f32 = 2;
        fn pair(a: real, b: real = 1) -> (real, real) { let u: real = uniform(); return u, a * u + b; }
        dataset d = pair(shift, n=50, b=0.5) { x: f32 = field(0); z: f32 = standardize(field(1)); }"""
    metrics = {"z": "mean(z)", "e": "mean(z * z)"}
    seen = looked(d, "x, z", metrics), looked(d, "x, z", metrics, "--shift", "0")
    near(seen[0]["z"], 0)
    near(seen[0]["e"], 1)
    near(seen[1]["e"], 0)


def own_rows():
    d = """hyper s: f32 = 2; const K = 3;
        dataset d = rows(n=100, seed=1, split=0.5) {
          i: i32<K> = i32<K>(K * uniform(to=[1])[0]); x: f32[2, K] = normal(); y: f32 = s * sum(x) + f32(i); }"""
    seen = [looked(d, "i, x, y", {"e": "mean(abs(y - 2 * sum(x, axis=(1, 2)) - f32(i)))", "m": "mean(x)"}),
            looked(d, "i, x, y", {"m": "mean(x)"}), looked(d, "i, x, y", {"m": "mean(x)"}, "--seed", "7"),
            looked(d.replace("seed=1", "seed=2"), "i, x, y", {"m": "mean(x)"}),
            looked(d, "i, x, y", {"e": "mean(abs(y - 3 * sum(x, axis=(1, 2)) - f32(i)))"}, "--s", "3")]
    near(seen[0]["e"], 0)
    near(seen[4]["e"], 0)
    assert seen[0]["m"] == seen[1]["m"] == seen[2]["m"] != seen[3]["m"], seen
    trainer = t.path("look")
    run(bpc, t.path("look.bp"), "-o", trainer)
    run(trainer, "--out", t.path("aot"), "--progress=none", "--s", "3")
    rows = [json.loads(line) for line in open(t.path("aot/metrics.jsonl"))]
    assert rows[-1]["e"] == seen[4]["e"], "compiled and JIT rows differ"
    error = run(trainer, "--data", "train=a.csv", status=2).stderr
    assert "the rows of dataset 'd' are made by the program" in error, error


def ir_text():
    """Made rows in the IR's text: a function of the file, the same rows."""
    d = """hyper s: f32 = 2;
        dataset d = moons(n=40, seed=3, split=0.5, noise=0.2) { x: f32[2] = field(0); y: i32<2> = field(1); }
        dataset e = rows(n=20, seed=3) { z: f32[2] = normal(); x: f32[2] = s * z; y: i32<2> = 1; }"""
    text = d + probe.format(split="train", names="x, y", metrics="metric m = mean(x);").replace("valid = d", "valid = e")
    source, out = t.write("made.bp", text), []
    for stage in ("ir", "grad", "opt"):
        ir = run(bpc, f"--emit={stage}", source).stdout
        assert run(bpc, f"--emit={stage}", t.write(f"made.{stage}.bp", ir)).stdout == ir, stage
    for name in ("made", "made.ir", "made.opt"):
        run(bpc, "run", t.path(name + ".bp"), "--", "--out", t.path("made"), "--progress=none")
        rows = [json.loads(line) for line in open(t.path("made/metrics.jsonl"))]
        out.append([(r["loss"], r["m"]) for r in rows])
    assert out[0] == out[1] == out[2] and len(out[0]) == 2, out


# ---- which datasets are read ----

def unused():
    t.write("two.csv", "1,0\n2,1\n")
    d = ('dataset gone = csv("no/such/file.csv") { x: f32 = col(0); }\n'
         'dataset d = csv("two.csv") { x: f32 = col(0); y: i32<2> = col(1); }\n')
    near(looked(d, "x, y", {"x": "mean(x)"})["x"], 1.5)
    text = d + probe.format(split="train", names="x, y", metrics="metric m = mean(x);") + \
        "train again on d.train as (x, y) { loss p(mean(x)); optimizer = sgd(lr=0); batch = 2; steps = 1; }"
    run(bpc, "run", t.write("stages.bp", text), "--", "--out", t.path("s"), "--progress=none")
    error = looked(d, "x, y", {}, "--data", "z=two.csv", status=2)
    assert "no field, split or dataset of that name" in error, error
    t.write("bad.csv", "1,0\n2,1\n3,2\n")
    error = looked(d, "x, y", {}, "--data", "train=" + t.path("bad.csv"), status=3)
    assert "bad.csv:3:3: error: label 2 is not in [0, 2)" in error, error


t.check("small texts", small_texts)
t.check("parts", parts)
t.check("made rows", made)
t.check("own rows", own_rows)
t.check("made rows as IR", ir_text)
t.check("unused datasets", unused)
real = [same_rows, mnist, diabetes, wine, categories, shakespeare, names]
if os.path.isdir(shared):
    for fn in real:
        t.check(fn.__name__, fn)
else:
    t.skip(f"{len(real)} tests: no {os.path.normpath(shared)}")
t.finish()
