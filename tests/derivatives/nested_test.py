#!/usr/bin/env python3
"""Operators in operators to order 4 through every construct, against polynomials that are differentiated here. --long: more
of them."""
import ast
import itertools
import os
import subprocess
import sys
from fractions import Fraction

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
whole = "--long" in sys.argv
t = Tests()


class Poly:
    """A polynomial of three variables: exponents -> coefficient."""

    def __init__(self, terms):
        self.terms = {e: c for e, c in terms.items() if c}

    def __add__(self, other):
        terms = dict(self.terms)
        for e, c in poly(other).terms.items():
            terms[e] = terms.get(e, 0) + c
        return Poly(terms)

    def __mul__(self, other):
        terms = {}
        for (e, c), (f, d) in itertools.product(self.terms.items(), poly(other).terms.items()):
            g = tuple(p + q for p, q in zip(e, f))
            terms[g] = terms.get(g, 0) + c * d
        return Poly(terms)

    __radd__, __rmul__ = __add__, __mul__

    def d(self, i):
        return Poly({e[:i] + (e[i] - 1,) + e[i + 1:]: c * e[i] for e, c in self.terms.items() if e[i]})

    def at(self, x):
        """The value, and how much of it may be rounding."""
        values = [c * x[0] ** e[0] * x[1] ** e[1] * x[2] ** e[2] for e, c in self.terms.items()]
        return float(sum(values)), float(sum(map(abs, values)))


def poly(x):
    return x if isinstance(x, Poly) else Poly({(0, 0, 0): x})


X = [Poly({tuple(int(i == k) for k in range(3)): 1}) for i in range(3)]
ZERO = poly(0)


def total(xs):
    return sum(xs, ZERO)


def dot(x, y):
    return total(p * q for p, q in zip(x, y))


# ---- nested.bp ----

def step(y, x):
    return [y[k] * x[k] + x[2 - k] for k in range(3)]


def scanned():
    y, s = X, ZERO
    for i in range(3):
        y = step(y, X)
        s = s + X[i] * y[i]
    return s + dot(X, [x * x for x in X])


def loop_in_loop():
    s = ZERO
    for a in X:
        for _ in range(2):
            s = s * a + X[1]
    return s


def loop_of_scans():
    y = poly(1)
    for _ in range(2):
        y = y * (y + dot(X, X))
    return y


def indexed():
    i = [0, 2, 2, 1, 0]
    u = list(X)
    for k in i:
        u[k] = u[k] + X[k] * X[k] * X[k] * X[k]
    return total(u[k] * X[k] for k in i)


def branched():
    y = [p * q for p, q in zip(step(X, X), X)]
    return dot(y, y)


def cube(x):
    return [p * p * p for p in x]


def net(p):
    return (X[0] * p[0] + X[1] * p[1]) * p[2] * X[2] * (p[0] * p[0] + p[1] * p[1])


bases = {
    "plain": dot(cube(X), [1, 2, -1]) * X[0] + X[1] * X[2],
    "called": total(step(step(X, X), step(X, X))), "scanned": scanned(),
    "looped": total(step(step(X, X), X)) * X[0], "loop_in_loop": loop_in_loop(), "loop_of_scans": loop_of_scans(),
    "branched": branched(), "indexed": indexed(), "again": total(step(step(X, X), X)),
    "by_rule": dot(cube([p + q for p, q in zip(cube(X), X)]), X),
    "modelled": net(X) + net([x * x for x in X]),
}

# ---- operators: of f, a scalar; order, source, what it does to a polynomial ----
U = [1, 2, -1]
operators = {
    "grad": (1, "return sum(grad[{f}](x) * x);", lambda p: dot([p.d(i) for i in range(3)], X)),
    "value_and_grad": (1, "let (v, g) = value_and_grad[{f}](x); return v + g[2];", lambda p: p + p.d(2)),
    "vjp": (1, "return sum(vjp[{f}](x, x[0]) * {u});", lambda p: dot([p.d(i) for i in range(3)], U) * X[0]),
    "jvp": (1, "let (v, s) = jvp[{f}](x, x); return v - s;", lambda p: p + -1 * dot([p.d(i) for i in range(3)], X)),
    "hvp": (2, "return sum(hvp[{f}](x, {u}) * x);",
            lambda p: total(p.d(i).d(j) * X[i] * U[j] for i in range(3) for j in range(3))),
    "jacobian": (1, "return sum(jacobian[{f}](x)) * x[1];", lambda p: total(p.d(i) for i in range(3)) * X[1]),
    "hessian": (2, "return sum(hessian[{f}](x) @ x) - x[0];",
                lambda p: total(p.d(i).d(j) * X[j] for i in range(3) for j in range(3)) + -1 * X[0]),
    "jacobian of grad": (2, "return sum(jacobian[grad[{f}]](x) @ {u});",
                         lambda p: total(p.d(i).d(j) * U[j] for i in range(3) for j in range(3))),
    "jvp of grad": (2, "let (g, s) = jvp[grad[{f}]](x, {u}); return sum(g * x) + s[1];",
                    lambda p: dot([p.d(i) for i in range(3)], X) + total(p.d(1).d(j) * U[j] for j in range(3))),
    "checkpoint": (0, "return checkpoint[{f}](x) * x[2];", lambda p: p * X[2]),
}
chains = [c for n in (2, 3, 4) for c in itertools.product(operators, repeat=n)
          if 3 <= sum(operators[o][0] for o in c) <= 4 and c.count("checkpoint") < 2]
POINT = [Fraction(1, 2), Fraction(3, 4), Fraction(5, 4)]


def functions(base, k, chain):
    """The chain on base; the last function's name."""
    text, f, p = "", base, bases[base]
    for i, o in enumerate(chain):
        name = f"f{k}_{i}"
        text += f"fn {name}(x: f64[3]) -> f64 {{ {operators[o][1].format(f=f, u='u()')} }}\n"
        f, p = name, operators[o][2](p)
    return text, f, p


def family(base, chosen):
    with open(os.path.join(here, "nested.bp")) as f:
        text = f.read()
    calls, want = [], []
    for k, chain in enumerate(chosen):
        more, f, p = functions(base, k, chain)
        text += more
        calls.append(f"{f}(x)")
        want.append(p.at(POINT))
    text += f"export fn run() -> ({', '.join(['f64'] * len(calls))}) {{\n  let x: f64[3] = [0.5, 0.75, 1.25];\n"
    path = t.write(f"{base}.bp", text + f"  return {', '.join(calls)};\n}}\n")
    out = run(bpc, "call", path, "run").stdout.splitlines()
    got = [ast.literal_eval(line.split("=", 1)[1].strip()) for line in out]
    assert len(got) == len(want)
    for chain, g, (w, size) in zip(chosen, got, want):
        assert abs(g - w) <= 1e-13 * size, f"{' of '.join(reversed(chain))} of {base}: {g}, not {w}"


def chosen(n):
    """Every base has others; 2 of them, or 35."""
    return chains[7 * n::8 * len(bases)] if whole else chains[7 * n::140 * len(bases)]


for n, base in enumerate(bases):
    t.check(base, family, base, chosen(n))

# ---- operators directly in operators, rules, parameters ----
direct = """
fn f(x: f64) -> f64 { while k < 3 carry (y = x, k = 0.0) { y = y * x; k = k + 1; } return y; }
fn odd(x: f64) -> f64 { return x * x * x; }
backward odd(x) -> y (v) { x: 5 * v * x * x; }   // not of its body, to be told apart
fn g(x: f64) -> f64 { return odd(x); }
fn cut(x: f64) -> f64 { return x * stop_gradient(x * x) + x ** 4; }
module Net(z: f64) -> f64 { param w: f64 = ones(); param b: f64 = ones(); return w * w * w * b * b * z; }
model net = Net;
fn loss(z: f64) -> f64 { return net(z) ** 2; }
fn slope(z: f64) -> f64 { return grad[loss, wrt=net.w](z); }
fn bend(z: f64) -> f64 { return grad[slope, wrt=net.b](z); }
export fn run() -> (f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64[2], f64[4]) {
  let x = 2.0;
  let ones: f64[2] = 1;
  let (_, a) = jvp[grad[grad[grad[f]]]](x, 1.0);
  let (_, b) = jvp[g](x, 1.0);
  let (_, c) = jvp[hvp[g]](x, 3.0, 1.0);
  return grad[grad[f]](x), grad[grad[grad[f]]](x), grad[grad[grad[grad[f]]]](x), a, grad[hvp[f]](x, 3.0),
    hessian[hvp[f]](x, 3.0), jacobian[hessian[f]](x), hessian[hessian[f]](x),
    b, hvp[g](x, 3.0), c, grad[cut](x), grad[grad[cut]](x), bend(2.0),
    hvp[loss, wrt=net](2.0, ones), reshape(hessian[loss, wrt=net](2.0), to=[4]);
}
"""
# x ** 4 at 2; 5 x ** 2 and its derivatives; x ** 2 + 4 x ** 3, then 12 x ** 2; loss = w**6 b**4 z**2
answers = [48, 48, 24, 24, 144, 72, 48, 24, 20, 60, 30, 36, 48, 96, [216, 144], [120, 96, 96, 48]]


def directly():
    out = run(bpc, "call", t.write("direct.bp", direct), "run").stdout.splitlines()
    got = [ast.literal_eval(line.split("=", 1)[1].strip()) for line in out]
    assert got == answers, (got, answers)


def small():
    """An order more makes a loop's functions longer, not more: a few lines never need gigabytes."""
    text = "fn f0(x: f64) -> f64 { while y < 100 carry (y = x) { while z > y carry (z = y * y) { z = z * 0.5; } y = z * x + y; } return y; }\n"
    text += "".join(f"fn f{k + 1}(x: f64) -> f64 {{ return grad[f{k}](x); }}\n" for k in range(4))
    path = t.write("small.bp", text + "export fn run(x: f64) -> f64 { return f4(x); }\n")
    made = t.path("small_opt.bp")
    child = subprocess.Popen([bpc, "--emit=opt", path, "-o", made])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0 and usage.ru_maxrss < 1 << 20, f"{child.returncode}, {usage.ru_maxrss} kB"
    with open(made, encoding="utf-8") as f:
        fns = f.read().count("\nfn ")
    assert fns < 100, f"{fns} functions"


def of_any_rank():
    """What a loop carries has as many dimensions as a tensor can have: they are stored one above the other."""
    x = f"f64[{'1, ' * 15}2]"
    text = f"""
fn f(x: {x}) -> f64 {{ while k < 2 carry (y = x, k = 0.0) {{ y = y * x; k = k + 1; }} return sum(y); }}
fn g(x: {x}) -> f64 {{ return sum(grad[f](x) * x); }}
export fn run() -> (f64, f64) {{ let x: {x} = 2; let (_, t) = jvp[g](x, x); return sum(grad[g](x)), t; }}
"""
    out = run(bpc, "call", t.write("rank.bp", text), "run").stdout
    assert out == "out0: f64 = 72.0\nout1: f64 = 144.0\n", out  # g = 3 sum(x ** 3)


t.check("direct", directly)
t.check("of any rank", of_any_rank)
t.check("small", small)
t.finish()
