#!/usr/bin/env python3
"""bpc check passes where it must and fails where it must: the examples, ten pairs of a false and a
right rule, every adjoint line of a gradient made wrong by hand. IR text is a fixed point."""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()

# rule head, false line, right line, program
pairs = [
    ("tanh(x) -> y (v)", "x: v * (1 - y);", "x: v * (1 - y) * (1 + y);", "tanh(x)"),
    ("exp(x) -> y (v)", "x: v;", "x: v * exp(x);", "exp(x)"),
    ("sigmoid(x) -> y (v)", "x: v * y;", "x: v * (y - y * y);", "sigmoid(x)"),
    ("log(x) -> y (v)", "x: v / (x + 0.001);", "x: v * exp(-y);", "log(x + 2)"),
    ("sqrt(x) -> y (v)", "x: v / y;", "x: v / (2 * y);", "sqrt(x + 2)"),
    ("sin(x) -> y (v)", "x: -v * cos(x);", "x: cos(x) * v;", "sin(x)"),
    ("div(a, b) -> y (v)", "a: v / b; b: v * a / (b * b);", "a: v / b; b: -(v * a / (b * b));", "(x / (x + 3))"),
    ("mul(a, b) -> y (v)", "a: v * b; b: v * b;", "a: b * v; b: a * v;", "(x * exp(x))"),
    ("sub(a, b) -> y (v)", "a: v; b: v;", "a: v; b: 0 - v;", "(x - x * x)"),
    ("softmax(x, axis) -> y (v)", "x: y * v;", "x: y * v - y * sum(v * y, axis=axis, keep=true);", "softmax(x)"),
]


def pair(head, line, right, call):
    kernel = "let k: f64[5] = [1.0, 2.0, -1.0, 0.5, 3.0]; return sum(%s * k);" % call
    source = t.path("pair.bp")
    program = "fn f(x: f64[5]) -> f64 { %s }\nexport fn g(x: f64[5]) -> f64[5] { return grad[f](x); }\n" % kernel
    name = head.split("(")[0]
    open(source, "w").write(f"// a rule of the user's\nbackward {head} {{ {line} }}\n{program}")
    r = run(bpc, "check", source, status=1)
    assert re.search(r"pair\.bp:2:\d+: error: the rule B\[" + name + ",", r.stderr), r.stderr
    open(source, "w").write(f"// a rule of the user's\nbackward {head} {{ {right} }}\n{program}")
    run(bpc, "check", source)


LOGS = """
fn f(a: f32[3], b: f32[3, 3]) -> f32 { return sum(log(b)); }
export fn d(a: f32[3], b: f32[3, 3]) -> (f32[3], f32[3, 3]) { return grad[f, wrt=(a, b)](a, b); }
"""


def example(path):
    r = run(bpc, "check", path)
    errors = [float(m) for m in re.findall(r"^ok .* (\S+)$", r.stdout, re.M)]
    assert errors and max(errors) <= 1e-9, max(errors, default=None)


# right gradients at bad points: f(x: f64[5]), or f and g
RIGHT = {
    "what is derived is all rounding": "return std(1 + 1e-15 * x);",
    "the values are rounded far above their differences": "return sum(layer_norm(x + 1e7, x, x) * x);",
    "differences are rounded too": "return std(expm1(x) + 1e7);",
    "a kink that no choice tells of": """
fn f(x: f64[2]) -> f64 { let k: f64[2] = [0.78, 0.0]; return std(x + k); }
export fn g(x: f64[2]) -> f64[2] { return grad[f](x); }
""",
    "terms of higher order cancel the square": """
fn f(a: f64[5, 5]) -> f64 {
  let v = prod(variance(a, axis=-1)) * 0.001953125;
  while n < 3 && sum(c * c) < 1000 carry (c = v, d = v, n: i32 = 0) {
    c = 0.5 * d + 0.25;
    d = 0.5 * c + 0.25;
    n = n + 1;
  }
  return d;
}
export fn g(a: f64[5, 5]) -> f64[5, 5] { return grad[f](a); }
""",
}
# a false rule is found at such points, too
FALSE = {
    "a large offset": ("backward tanh(x) -> y (v) { x: v * (1 - y); }", "return sum(layer_norm(tanh(x) + 1e7, x, x) * x);"),
    "ties": ("backward min(a, b) -> y (v) { a: v; b: v; }", "let m = min(x, stop_gradient(x)); return sum(m * m);"),
}
TIES = """
fn f(x: f64[7]) -> f64 { let m = min(stop_gradient(x), x); return sum(m * m); }
export fn g(x: f64[7]) -> f64[7] { return grad[f](x); }
fn s(x: f64[7]) -> f64[7] { return max(stop_gradient(x), x); }
export fn j(x: f64[7]) -> (f64[7], f64[7]) { return jvp[s](x, x); }
"""


def gradient_of(body, more=""):
    if "export fn" in body:
        return body
    return f"{more}\nfn f(x: f64[5]) -> f64 {{ {body} }}\nexport fn g(x: f64[5]) -> f64[5] {{ return grad[f](x); }}\n"


def right(body):
    run(bpc, "check", t.write("right.bp", gradient_of(body)))


def false(rule, body):
    r = run(bpc, "check", t.write("false.bp", gradient_of(body, rule)), status=1)
    assert re.search(r"false\.bp:1:\d+: error: the rule B\[" + rule.split("(")[0].split()[1], r.stderr), r.stderr


def ties(path):
    r = run(bpc, "check", path)
    assert re.search(r"^ties  grad\[f\] x ", r.stdout, re.M), r.stdout
    assert re.search(r"^skipped: [1-9]\d* of \d+ comparisons lie where equal values are chosen from$", r.stdout, re.M), r.stdout


def fixed_point(path):
    for stage in ("ir", "grad", "opt"):
        once, twice = t.path("once.bp"), t.path("twice.bp")
        run(bpc, "--verify-each", f"--emit={stage}", path, "-o", once)
        run(bpc, "--verify-each", f"--emit={stage}", once, "-o", twice)
        assert open(once).read() == open(twice).read(), stage


def wrong_versions(right_side):
    """The right side of an adjoint line changed by hand, in several ways."""
    call = re.match(r"(\w+)\((.*)\)$", right_side)
    if not call:
        return
    op, args = call.groups()
    swaps = {"mul": "add", "add": "sub", "sub": "add", "matmul": None, "reduce_sum": "reduce_max", "transpose": None}
    if swaps.get(op):
        yield f"{swaps[op]}({args})"
    operands = args.split(", ")
    if op in ("mul", "add") and len(operands) == 2 and operands[0] != operands[1]:
        yield f"{op}({operands[0]}, {operands[0]})"


def adjoint_lines(path):
    grad = t.path("grad.bp")
    run(bpc, "--emit=grad", path, "-o", grad)
    run(bpc, "check", grad)
    lines = open(grad).read().split("\n")
    changed = 0
    for i, line in enumerate(lines):
        m = re.match(r"(  let (\w+): f64\[?.*?\]? = )(.*?)(;  //@ \S+ (B\[\w+, \w+\]))$", line)
        if not m:
            continue
        versions = list(wrong_versions(m[3]))
        versions.append(None)  # scaled by one more line
        for v in versions:
            edited = list(lines)
            if v is not None:
                edited[i] = m[1] + v + m[4]
            else:
                head = m[1].replace(m[2], m[2] + "_raw", 1)
                edited[i] = head + m[3] + m[4] + "\n" + m[1] + f"mul({m[2]}_raw, 1.5)" + m[4]
            open(grad, "w").write("\n".join(edited))
            r = run(bpc, "check", grad, status=1)
            assert "error:" in r.stderr, r.stderr
            if v is not None:
                assert f"grad.bp:{i + 1}:" in r.stderr and m[5] in r.stderr, (line, v, r.stderr)
            changed += 1
    assert changed > 20, changed


def wrong_shape(path):
    """An adjoint line that no longer fits is named with its rule, too."""
    grad = t.path("grad.bp")
    text = run(bpc, "--emit=grad", path).stdout
    assert "reduce_sum(d_z2, axis=[0])" in text
    open(grad, "w").write(text.replace("reduce_sum(d_z2, axis=[0])", "reduce_sum(d_z2, axis=[1])"))
    r = run(bpc, "check", grad, status=1)
    assert re.search(r"grad\.bp:\d+:\d+: error: ", r.stderr) and "B[broadcast, x]" in r.stderr, r.stderr


for p in pairs:
    t.check("pair " + p[0], pair, *p)
for path in sorted(glob.glob(os.path.join(examples, "*.bp"))):
    t.check("check " + os.path.basename(path), example, path)
    t.check("fixed point " + os.path.basename(path), fixed_point, path)
t.check("logarithms of what may be negative", example, t.write("logs.bp", LOGS))
for what, body in RIGHT.items():
    t.check("right: " + what, right, body)
for what, (rule, body) in FALSE.items():
    t.check("false: " + what, false, rule, body)
t.check("ties are left out", ties, t.write("ties.bp", TIES))
t.check("adjoint lines", adjoint_lines, os.path.join(examples, "two_layer.bp"))
t.check("a line that does not fit", wrong_shape, os.path.join(examples, "two_layer.bp"))
t.finish()
