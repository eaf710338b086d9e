#!/usr/bin/env python3
"""bpc trace and bpc explain against golden outputs (numbers to 1e-5; --update writes them anew), their arguments
and their errors."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, npz_write, root, run  # noqa: E402

bpc = sys.argv[1]
golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
t = Tests()
STD_LINE = re.compile(r"(std/\w+\.bp):\d+")  # moves as the library grows
NUMBER = re.compile(r"(?<![\w.])-?\d+\.?\d*(?:e[-+]?\d+)?(?![\w.])")


def example(*args, **kw):
    return run(bpc, args[0], f"examples/{args[1]}.bp", *args[2:], cwd=root, **kw)


def same(got, want):
    got, want = STD_LINE.sub(r"\1", got), STD_LINE.sub(r"\1", want)
    if NUMBER.sub("#", got) != NUMBER.sub("#", want):
        return False
    pairs = zip(map(float, NUMBER.findall(got)), map(float, NUMBER.findall(want)))
    return all(abs(a - b) <= 1e-5 * max(abs(b), 1e-3) for a, b in pairs)


def matches(name, *args):
    got = example(*args).stdout
    path = os.path.join(golden, name + ".txt")
    if "--update" in sys.argv:
        open(path, "w").write(got)
    for a, b in zip(got.splitlines(), open(path).read().splitlines()):
        assert same(a, b), f"\n  {a}\nis not\n  {b}"
    assert len(got.splitlines()) == len(open(path).read().splitlines())


def value(out, name):
    return float(re.search(rf"^ +(?:gradient of )?{name}\b.* (\S+)$", out, re.M).group(1))


def analytic():
    out = example("trace", "xy", "f", "x=2", "y=3").stdout
    assert value(out, "x: d_x") == 4 and value(out, "y: d_y") == 27, out
    assert "B[mul, a](d_out0)" in out and "examples/xy.bp:2  fn f" in out


def arrays():
    path = t.path("w.npz")
    npz_write(path, {"w": ("f8", (2, 2), [1, 2, 3, 4]), "i": ("i8", (2,), [1, 0])})
    source = t.path("a.bp")
    open(source, "w").write("fn f(w: f64[2, 2], i: i32<2>[2], b: bool) -> f64 {\n"
                            "  let g = gather(w, i);\n  return sum(where(b, g * g, g));\n}\n")
    out = run(bpc, "trace", source, "f", f"w=@{path}", f"i=@{path}", "b=true").stdout
    assert "gradient of w: d_w" in out and "[2, 4, 6, 8]" in out, out
    assert run(bpc, "trace", source, "f", "w=[[1, 2], [3, 4]]", "i=[1, 0]", "b=1").stdout == out
    assert "[2, 2, 2, 2]" in run(bpc, "trace", source, "f", "w=1", "i=[1,0]", "b=true").stdout
    for words, error in [(["w=1", "i=[0,2]", "b=1"], "i=[0,2]: not a value of i32<2>[2]"), (["w=1", "i=[0]", "b=1"], "1 numbers for i32<2>[2]"),
                         (["w=x", "i=0", "b=1"], "w=x: not a number"), (["w=1", "i=0"], "argument 'b' of type bool is missing"),
                         (["w=@none.npz", "i=0", "b=1"], "none.npz"), (["w=1", "i=0", "b=1", "ww=2"], "did you mean 'w'?")]:
        r = run(bpc, "trace", source, "f", *words, status=1)
        assert error in r.stderr, (words, r.stderr)


def errors():
    assert "did you mean 'chain'?" in example("trace", "chain", "chian", "x=2", status=1).stderr
    assert "the function is missing" in example("trace", "chain", status=1).stderr
    assert "did you mean 'net.fc1.w'?" in example("explain", "digits", "net.fc1.v", status=1).stderr
    assert "the parameter is missing" in example("explain", "digits", status=1).stderr


t.check("f(2, 3) of xy", matches, "xy", "trace", "xy", "f", "x=2", "y=3")
t.check("an exported gradient", matches, "xy_gradient", "trace", "xy", "gradient", "x=2", "y=3")
t.check("the chain rule", matches, "chain", "trace", "chain", "chain", "x=2")
t.check("two layers", matches, "two_layer", "trace", "two_layer", "loss", "w1=0.1", "b1=[0.1, 0.2, 0.3, 0.4]", "w2=0.2", "b2=0", "x=0.5", "t=1")
t.check("digits", matches, "digits", "trace", "digits", "fit_loss", "x=0.5", "y=3")
t.check("explain two layers", matches, "explain_two_layer", "explain", "two_layer", "w1")
t.check("explain digits", matches, "explain_digits", "explain", "digits", "net.fc1.w")
t.check("analytic values", analytic)
t.check("arguments", arrays)
t.check("errors", errors)
t.finish()
