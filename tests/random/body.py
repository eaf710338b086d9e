"""The body of a random function: values with types, and the lines that make them.

Every `let`, `var` and `return` stands on one line of its own, so that shrink.py can take lines apart.
A dimension is a number, or a name of the function's header, which stands for a number of `sizes`."""
from collections import namedtuple

FLOATS = ("f32", "f64", "bf16")
LIMIT = 700  # elements of a value


class Type(namedtuple("Type", "dt dims range", defaults=((), 0))):
    """dt[dims], i32<range>[dims]"""

    def __str__(self):
        dt = f"i32<{self.range}>" if self.range else self.dt
        return f"{dt}[{', '.join(map(str, self.dims))}]" if self.dims else dt

    @property
    def rank(self):
        return len(self.dims)

    @property
    def float(self):
        return self.dt in FLOATS

    def of(self, dt=None, dims=None, range=0):
        return Type(dt or self.dt, self.dims if dims is None else tuple(dims), range)


Value = namedtuple("Value", "name type mag")  # about |x| <= 2 ** mag


class Body:
    def __init__(self, program, dt, values=(), sizes=None, indent=1, depth=0, outer=None):
        self.program, self.rnd, self.dt = program, program.rnd, dt
        self.values, self.sizes = list(values), sizes or {}
        self.lines, self.indent, self.depth, self.outer = [], indent, depth, outer
        self.used = set()

    # ---- choosing ----

    def chance(self, share):
        return self.rnd.random() < share

    def size(self, type_):
        n = 1
        for d in type_.dims:
            n *= self.sizes.get(d, d)
        return n

    def number(self, dim):
        return self.sizes.get(dim, dim)

    def pick(self, test=None):
        """A value; rather one that is new or not used yet."""
        fit = [v for v in self.values if test is None or test(v.type)]
        if not fit:
            return None
        fresh = [v for v in fit if v.name not in self.used]
        v = self.rnd.choice(fresh if fresh and self.chance(0.5) else fit[-6:] if self.chance(0.6) else fit)
        self.used.add(v.name)
        return v

    def pick_float(self, rank=0, concrete=False, size=None, dt=None):
        return self.pick(lambda t: t.float and t.dt != "bf16" and t.rank >= rank
                         and (dt is None or t.dt == dt)
                         and (not concrete or self.concrete(t))
                         and (size is None or size(self.size(t))))

    def concrete(self, t):
        return all(isinstance(d, int) for d in t.dims)

    def axis(self, t):
        return self.rnd.randrange(t.rank)

    # ---- writing ----

    def line(self, text):
        self.lines.append("  " * self.indent + text)

    def fresh(self, letter="v"):
        return self.program.fresh(letter)

    def let(self, expr, type_, mag=1, typed=None):
        """Binds an expression; None where it would be too large."""
        if self.size(type_) > LIMIT:
            return None
        if 1 in type_.dims: # only a 1 that is written stretches
            typed = True
        if typed is None:
            typed = self.chance(0.7)
        name = self.fresh()
        self.line(f"let {name}{': ' + str(type_) if typed else ''} = {expr};")
        return self.tamed(Value(name, type_, mag))

    def pattern(self, names, types):
        return ", ".join(f"{n}: {t}" if n != "_" and (1 in t.dims or self.chance(0.2)) else n for n, t in zip(names, types))

    def tamed(self, v):
        """Numbers stay in the range where derivatives mean something."""
        if v.type.float and v.mag > 6:
            return self.let(f"{v.name} * {2.0 ** -(v.mag - 1):.17g}", v.type, 1)
        self.values.append(v)
        return v

    def inner(self, values=()):
        """A block inside."""
        return Body(self.program, self.dt, list(self.values) + list(values), self.sizes,
                    self.indent + 1, self.depth + 1, self)

    def take(self, block):
        self.lines += block.lines
        self.used |= block.used

    def literal(self, dt):
        if dt == "bool":
            return self.rnd.choice(("true", "false"))
        if dt in FLOATS:
            return self.rnd.choice(("0.5", "-1.5", "2.0", "0.25", "1.0", "-0.75", "3.0", "1.25", "-2.0"))
        return str(self.rnd.choice((0, 1, 2, 3, -1, -2, 5)))

    def constant(self, type_):
        """An expression of the type, where a declared type gives the shape."""
        if type_.range:
            return str(self.rnd.randrange(type_.range))
        n = self.size(type_)
        if type_.rank == 1 and 0 < n <= 5 and self.concrete(type_):
            return "[" + ", ".join(self.literal(type_.dt) for _ in range(n)) + "]"
        return self.literal(type_.dt)

    def of_type(self, type_):
        """The name of a value of just this type, made if there is none."""
        v = self.pick(lambda t: t == type_)
        if v is None or self.chance(0.1):
            v = self.let(self.constant(type_), type_, 2, typed=True)
        return v

    def as_type(self, type_):
        """A value of this type that depends on others, if that is easy."""
        v = self.pick(lambda t: t == type_)
        if v or not type_.float:
            return v or self.of_type(type_)
        if type_.rank == 0:
            x = self.pick(lambda t: t.dt == type_.dt)
            return self.let(f"sum({x.name})", type_, x.mag + 4) if x else self.of_type(type_)
        x = self.pick(lambda t: t.dt == type_.dt and t.rank == 0)
        if x is None:
            y = self.pick(lambda t: t.dt == type_.dt and t.rank)
            x = self.let(f"sum({y.name})", type_.of(dims=()), y.mag + 4) if y else None
        return self.let(f"broadcast({x.name}, to=[{', '.join(map(str, type_.dims))}])", type_, x.mag) \
            if x else self.of_type(type_)


def joined(a, b):
    """The shape of a op b, or None: the language's rule of broadcasting."""
    if not a or not b or a == b:
        return a or b
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    if len(long) > len(short) and long[-1] != short[-1] and long[-1] == 1:
        return None
    out = list(long)
    for k in range(1, len(short) + 1):
        x, y = long[-k], short[-k]
        if x == y:
            continue
        if x != 1 and y != 1:
            return None
        out[-k] = y if x == 1 else x
    return tuple(out)
