"""Random programs: declarations, functions and exports as text."""
import random

from blocks import operator, some_steps
from body import Body, Type, Value

SIZES = (1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33)


class Function:
    def __init__(self, name, names, params, results, mag=3, model=False):
        self.name, self.names, self.params, self.results = name, names, params, results
        self.mag, self.model = mag, model


# functions with rules of their own: body, backward lines, forward
RULES = [
    ("x * x * 0.5", ("x: v * x;",), "dx * x"),
    ("x * x * x", ("let s = 3 * x * x;", "x: v * s;"), "dx * 3 * x * x"),
    ("0.5 * x + 0.25", ("x: v * 0.5;",), None),
    ("1 / (1 + x * x)", ("x: -2 * v * x * y * y;",), None),
]
SMOOTH_RULES = [("tanh(x)", ("x: v * (1 - y * y);",), "dx * (1 - y * y)"), ("sin(x)", ("x: v * cos(x);",), "dx * cos(x)"),
                ("exp(0.5 * x)", ("x: v * 0.5 * y;",), None)]


class Program:
    """One program: its exports are named p<k> and p<k>_<letter>."""

    def __init__(self, seed, k, prefix=""):
        self.rnd = random.Random(f"{seed}:{k}")
        r = self.rnd
        self.k, self.tag = k, f"{prefix}{k}"
        self.exact = r.random() < 0.5
        self.wild = r.random() < 0.06
        self.random = r.random() < 0.25
        self.deep = r.random() < 0.15  # derivatives of derivatives are exported
        self.dt = r.choices(("f32", "f64"), (6, 4))[0]
        self.dims = r.choices(SIZES, k=3) + [r.choice((1, 2, 3, 7))]
        if r.random() < 0.08:
            self.dims[0] = 0
        self.count = 0
        self.helpers, self.lines = [], []
        self.make()

    def fresh(self, letter):
        self.count += 1
        return f"{letter}{self.count}"

    # ---- types ----

    def float_type(self, dims, dt=None):
        n = self.rnd.choice((0, 1, 1, 2, 2, 2, 3))
        out = [self.rnd.choice(dims) for _ in range(n)]
        size = 1
        for d in out:
            size *= d if isinstance(d, int) else 6
        return Type(dt or self.dt, tuple(out) if size <= 400 else tuple(out[:1]))

    # ---- declarations ----

    def rule(self):
        expr, back, forward = self.rnd.choice(RULES if self.exact else RULES + SMOOTH_RULES)
        name = f"r{self.tag}"
        self.lines.append(f"fn {name}[*S](x: real[*S]) -> real[*S] {{ return {expr}; }}")
        self.lines.append(f"backward {name}(x) -> y (v) {{ {' '.join(back)} }}")
        if forward and self.rnd.random() < 0.6:
            self.lines.append(f"forward {name}(x) -> y (dx) {{ y: {forward}; }}")
        for dims in ((), ("A",), ("A", "B")):
            self.helpers.append(Function(name, ["x"], [Type(self.dt, dims)], [Type(self.dt, dims)], 2))

    def model(self):
        r = self.rnd
        name, out = f"m{self.tag}", r.choice((1, 2, 3, 5))
        kind = r.choice(("own", "own", "Linear", "RNN", "GRU", "LSTM", "LayerNorm"))
        if self.exact:
            kind = r.choice(("own", "Linear"))
        d, rows = r.choice((2, 3, 5)), r.choice((1, 2, 3, 7))
        x = Type(self.dt, (rows, d))
        y = [Type(self.dt, (rows, out))]
        if kind == "own":
            bias = r.choice((" + b", " + b * 2", ""))
            self.lines.append(f"module M{self.tag}[*S, I, O](x: {self.dt}[*S, I]) -> {self.dt}[*S, O] {{")
            self.lines.append(f"  param w: {self.dt}[I, O] = {'uniform(lo=-1, hi=1)' if self.exact else 'normal()'};")
            self.lines.append(f"  param b: {self.dt}[O] = {r.choice(('zeros()', 'ones()', '0.5'))};")
            self.lines.append(f"  return x @ w{bias or ' + b * b'};")
            self.lines.append("}")
            self.lines.append(f"model {name} = M{self.tag}[O={out}];")
        elif kind == "Linear":
            self.lines.append(f"model {name} = Linear[O={out}{r.choice(('', ', bias=false'))}];")
        elif kind == "LayerNorm":
            self.lines.append(f"model {name} = LayerNorm;")
            y = [x]
        else:
            self.lines.append(f"model {name} = {kind}[H={out}];")
            x = Type(self.dt, (rows, r.choice((1, 2, 3)), d))
            y = [Type(self.dt, x.dims[:2] + (out,)), Type(self.dt, (rows, out))]
            if kind == "LSTM":
                y.append(y[1])
        self.helpers.append(Function(name, ["x"], [x], y, 3, model=True))

    def parameters(self, dims, generic):
        r = self.rnd
        types = [self.float_type(dims) for _ in range(r.choice((1, 2, 2, 3)))]
        if r.random() < 0.5 and len(types) > 1:
            types[1] = types[0]
        if not generic:
            if all(t.rank == 0 for t in types):
                types[0] = Type(self.dt, (r.choice(dims),))
            if r.random() < 0.15:
                types.append(self.float_type(dims, r.choice(("f32", "f64"))))
            if r.random() < 0.35:
                n = r.choice(dims) or 1
                types.append(Type("i32", r.choice(((), (r.choice(dims),), (3,))), n))
            if r.random() < 0.2:
                types.append(Type(r.choice(("i32", "i64", "bool")), r.choice(((), (r.choice(dims),)))))
        return types

    def header(self, kind, name, types, results=None, letters="abcdefg"):
        prefix = "wild_" if self.wild and kind == "export fn" else ""
        params = ", ".join(f"{prefix}{letters[i]}: {t}" for i, t in enumerate(types))
        result = "" if results is None else f" -> {results[0]}" if len(results) == 1 else f" -> ({', '.join(map(str, results))})"
        names = sorted({d for t in types for d in t.dims if isinstance(d, str)})
        return f"{kind} {name}{'[' + ', '.join(names) + ']' if names else ''}({params}){result} {{"

    def body(self, types, sizes=None):
        letters = "abcdefg"
        return Body(self, self.dt, [Value(letters[i], t, 1) for i, t in enumerate(types)], sizes)

    def helper(self, i):
        r = self.rnd
        generic = r.random() < 0.6
        sizes = {"A": r.choice(SIZES[:7]), "B": r.choice(SIZES[:7])} if generic else {}
        types = self.parameters(list(sizes) or [r.choice(SIZES[:6]) for _ in range(2)], True)
        b = self.body(types, sizes)
        some_steps(b, r.randint(1, 3))
        if r.random() < 0.5:
            results = [self.loss(b, 2)]
        else:
            results = [b.pick(lambda t: t.float and t.dt != "bf16") for _ in range(r.choice((1, 1, 2)))]
        b.line(f"return {', '.join(v.name for v in results)};")
        name = f"h{self.tag}_{i}"
        out = [v.type for v in results]
        shown = None if r.random() < 0.2 else out
        self.lines += [self.header("fn", name, types, shown)] + b.lines + ["}"]
        known = {d for t in types for d in t.dims if isinstance(d, str)}
        if all(d in known for t in out for d in t.dims if isinstance(d, str)):
            self.helpers.append(Function(name, "abcdefg", types, out, max(v.mag for v in results)))

    def loss(self, b, most):
        """A scalar of the main type that depends on values not used yet."""
        r = self.rnd
        fresh = [v for v in b.values if v.name not in b.used and v.type.float] or [b.pick_float()]
        terms, mag = [], 0
        for v in fresh[-most:]:
            if v.type.rank == 0:
                term, m = v.name, v.mag
            else:
                n = max(b.size(v.type), 1).bit_length()
                term, m = r.choice(((f"sum({v.name})", v.mag + n), (f"sum({v.name} * {v.name})", 2 * v.mag + n),
                                    (f"sum({v.name} * {v.name}) / {max(b.size(v.type), 1)}", 2 * v.mag)))
            if v.type.dt != self.dt:
                term = f"{self.dt}({term})"
            terms.append(term)
            mag = max(mag, m) + 1
        return b.let(" + ".join(terms), Type(self.dt), mag, typed=True)

    # ---- the whole ----

    def make(self):
        r = self.rnd
        if r.random() < 0.15:
            self.rule()
        if r.random() < 0.12:
            self.model()
        for i in range(r.choice((0, 0, 1, 1, 2))):
            self.helper(i)
        types = self.parameters(self.dims, False)
        b = self.body(types)
        some_steps(b, r.randint(1, 7))
        scalar = r.random() < 0.6
        if scalar:
            results = [self.loss(b, 4)]
        else:
            loose = [v for v in b.values[len(types):] if v.name not in b.used]
            results = loose[-3:] if loose and r.random() < 0.8 else [b.pick() for _ in range(r.choice((1, 2)))]
        b.line(f"return {', '.join(v.name for v in results)};")
        main = Function(f"f_{self.tag}", "abcdefg", types, [v.type for v in results], 3)
        self.lines += [self.header("fn", main.name, types, main.results)] + b.lines + ["}"]
        self.export("p", types, main.results, lambda body: f"{main.name}({', '.join(v.name for v in body)})")
        self.derivatives(main)

    def export(self, letter, types, results, call):
        name = f"p{self.tag}" + ("" if letter == "p" else f"_{letter}")
        prefix = "wild_" if self.wild else ""
        values = [Value(prefix + "abcdefg"[i], t, 1) for i, t in enumerate(types)]
        self.lines += [self.header("export fn", name, types, results), f"  return {call(values)};", "}"]

    def derivatives(self, main):
        """Exports of derivatives; now and then of derivatives of a derivative."""
        r = self.rnd
        if not all(t.float and t.dt != "bf16" for t in main.results):
            return
        b = self.body(main.params)
        made = operator(b, main, {}, b.values[:])
        if not made or sum(b.size(t) for t in made[1]) > 3000:
            return
        expr, types = made
        b.line(f"return {expr};")
        self.lines += [self.header("export fn", f"p{self.tag}_d", main.params, types).replace("wild_", "")] + b.lines + ["}"]
        if not self.deep or not all(t.float for t in types):
            return
        b = self.body(main.params)
        expr, types = operator(b, main, {}, b.values[:])
        names = [self.fresh("g") for _ in types]
        b.line(f"let ({', '.join(names)},) = {expr};" if len(names) > 1 else f"let {names[0]} = {expr};")
        terms = [f"{self.dt}(sum({n}{r.choice(('', ' * ' + n))}))" for n in names]
        b.line(f"return {' + '.join(terms)};")
        inner = Function(f"f_{self.tag}_s", "abcdefg", main.params, [Type(self.dt)], 3)
        self.lines += [self.header("fn", inner.name, main.params, inner.results)] + b.lines + ["}"]
        b = self.body(main.params)
        expr, types = operator(b, inner, {}, b.values[:])
        if sum(b.size(t) for t in types) <= 3000:
            b.line(f"return {expr};")
            self.lines += [self.header("export fn", f"p{self.tag}_e", main.params, types).replace("wild_", "")] + b.lines + ["}"]
        else:
            del self.lines[-1 - len(b.lines):]

    def text(self):
        return "\n".join(self.lines) + "\n"
