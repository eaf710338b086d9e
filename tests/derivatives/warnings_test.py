#!/usr/bin/env python3
"""-Winfinite-adjoint: said where infinity may be multiplied by zero, and nowhere else."""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, root, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()

# expression of x: f64[3] -> the operation warned of
loud = {
    "sqrt(sum(x * x))": "sqrt", "sum(sqrt(abs(x)))": "sqrt", "sqrt(mean(x * x)) * 2": "sqrt",
    "sum(log(abs(x)))": "log", "sum(log(x * x))": "log", "sum(rsqrt(x * x))": "rsqrt",
    "sum(1 / (x * x))": "div", "sum(x / sqrt(sum(x * x) + 0))": "div", "sum(1 / norm(x))": "div",
    "sum(max(x, 0) ** 0.5)": "pow", "sum(log(max(x, 0)))": "log", "sqrt(variance(x))": "sqrt",
    "log(sum(abs(x)) + 0 * sum(x * x))": "log", "sqrt(x[0] * x[0] + x[1] * x[1])": "sqrt",
}
quiet = [
    "norm(x)", "std(x)", "sum(sqrt(x))", "sum(log(x))", "sum(1 / x)", "sqrt(sum(x * x) + 1e-6)", "log(sum(exp(x)))",
    "sum(log(1 + exp(x)))", "sum(log(softplus(x)))", "sum(log(sigmoid(x)))", "sum(sqrt(max(x, 1e-6)))", "sum(log(clip(x, lo=0.1)))",
    "sqrt(variance(x) + 1e-5)", "sum(x / (1 + abs(x)))", "sum(x / (norm(x) + 1e-8))", "sum(sqrt(1 + x * x))",
    "sum(sqrt(relu(x)))", "where(sum(x * x) > 0, sqrt(sum(x * x)), 0)", "sum(x / where(norm(x) > 0, norm(x), 1))",
    "sum(abs(x) ** 2)", "sum(abs(x) ** 1.5)", "sum(softmax(x))", "logsumexp(x)", "sum(rms_norm(x, x))", "sum(layer_norm(x, x, x))",
    "sum(stop_gradient(sqrt(x * x)) * x)", "sum(gelu(x))", "sum(log1p(abs(x)))", "sum(tanh(x) / (2 + sin(x)))",
]


def warned(text, *options):
    path = t.path("w.bp")
    open(path, "w").write(text)
    return run(bpc, "--emit=grad", *options, path, "-o", t.path("out.bp")).stderr


def program(e, operator="grad"):
    return f"fn f(x: f64[3]) -> f64 {{ return {e}; }}\nexport fn g(x: f64[3]) -> f64[3] {{ return {operator}[f](x); }}\n"


def says(e, op):
    err = warned(program(e))
    assert re.search(r"w\.bp:1:\d+: warning: the gradient of '" + op + r"' .*\[-Winfinite-adjoint\]", err), err
    assert "note: " in err, err
    assert warned(program(e), "-Wno-infinite-adjoint") == ""


def silent(e):
    assert warned(program(e)) == ""
    assert "infinite" not in warned(program(e).replace("return grad[f](x)", "return hvp[f](x, x)"))


def file_silent(path):
    err = run(bpc, "--emit=grad", path, "-o", t.path("out.bp")).stderr
    assert "infinite-adjoint" not in err, err


for e, op in loud.items():
    t.check(e, says, e, op)
for e in quiet:
    t.check(e, silent, e)
for path in sorted(glob.glob(os.path.join(examples, "*.bp")) + glob.glob(os.path.join(root, "tests", "reference", "*.bp"))):
    t.check(path, file_silent, path)
t.finish()
