"""Steps of a random body that hold bodies of their own or refer to functions: loops, branches, calls,
derivative operators."""
from body import LIMIT, Body, Type, Value
from steps import STEPS, b_value, step

DEEPEST = 2


def some_steps(b, n):
    for _ in range(n):
        weights = [w for w, _ in STEPS]
        b.rnd.choices(STEPS, weights)[0][1](b)


def update(b, t):
    """An expression of the type t for what is carried, that does not grow; its size."""
    x = b.as_type(t)
    if not t.float:
        return x.name, x.mag
    if t.dt != "bf16" and b.program.exact:
        return f"0.5 * {x.name} + 0.25", x.mag + 1
    return b.rnd.choice((f"tanh({x.name})", f"sin({x.name})", f"0.5 * {x.name}")), max(x.mag, 1)


def close(b, block, carried):
    """Assigns what is carried, each from values of the block."""
    for c in carried:
        expr, _ = update(block, c.type)
        block.line(f"{c.name} = {expr};")
    b.take(block)


def carries(b, n):
    out, spelled = [], []
    for _ in range(n):
        x = b.pick(lambda t: b.size(t) <= 200 and t.dt != "bf16")
        if x is None:
            continue
        name = b.fresh("c")
        out.append(Value(name, x.type, max(x.mag, 2)))
        if b.chance(0.6):
            spelled.append(f"{name} = {x.name}")
        else:
            spelled.append(f"{name}: {x.type} = {x.name if b.chance(0.3) else b.constant(x.type)}")
    return out, spelled


@step(3)
def scan(b):
    if b.depth >= DEEPEST:
        return
    x = b.pick(lambda t: t.rank and b.concrete(t) and t.dt != "bf16")
    if x is None:
        return
    axis = b.axis(x.type)
    n = x.type.dims[axis]
    seqs = [x]
    fits = lambda t: t.rank > axis and t.dims[axis] == n and b.concrete(t) and t.dt != "bf16"
    while len(seqs) < 3 and b.chance(0.4):
        seqs.append(b.pick(fits))
    slices = [Value(b.fresh("s"), s.type.of(dims=s.type.dims[:axis] + s.type.dims[axis + 1:], range=s.type.range), s.mag) for s in seqs]
    heads = [f"{s.name} = {x.name}" for s, x in zip(slices, seqs)]
    if n and axis == 0 and b.chance(0.3):
        i = Value(b.fresh("at"), Type("i32", (), n), 1)
        slices.append(i)
        heads.append(f"{i.name} = iota({n})")
    if axis or b.chance(0.2):
        heads.append(f"axis={axis}")
    if b.chance(0.4):
        heads.append("reverse=true")
    carried, spelled = carries(b, b.rnd.choice((0, 1, 1, 1, 2)))
    inner = b.inner(slices + carried)
    some_steps(inner, b.rnd.randint(1, 4))
    emits = [] if carried and b.chance(0.25) else [
        e for e in (inner.pick(lambda t: t.rank >= axis and b.concrete(t) and t.dt != "bf16" and b.size(t) * max(n, 1) <= 700)
                    for _ in range(b.rnd.choice((1, 1, 2)))) if e]
    if not emits and not carried:
        return
    names = [b.fresh() for _ in emits]
    stacked = [e.type.of(dims=e.type.dims[:axis] + (n,) + e.type.dims[axis:], range=e.type.range) for e in emits]
    carry = f" carry ({', '.join(spelled)})" if carried else ""
    emit = f" emit ({b.pattern(names, stacked)})" if emits else ""
    b.line(f"scan ({', '.join(heads)}){carry}{emit} {{")
    if emits and b.chance(0.5):
        inner.line(f"emit {', '.join(e.name for e in emits)};")
        close(b, inner, carried)
    else:
        late = [f"emit {', '.join(e.name for e in emits)};"] if emits else []
        for c in carried:
            inner.line(f"{c.name} = {update(inner, c.type)[0]};")
        for text in late:
            inner.line(text)
        b.take(inner)
    b.line("}")
    b.values += carried
    for name, t, e in zip(names, stacked, emits):
        b.tamed(Value(name, t, e.mag))


@step(2)
def while_(b):
    if b.depth >= DEEPEST:
        return
    trips = b.rnd.choice((0, 1, 2, 3) if b.depth or b.program.deep else (0, 1, 2, 3, 7, 7, 40))
    carried, spelled = carries(b, b.rnd.choice((1, 1, 2)))
    count = Value(b.fresh("n"), Type("i32"), 3)
    x = next((c for c in carried if c.type.float), None)
    more = f" && sum({x.name} * {x.name}) < 1000" if x and b.chance(0.3) else ""
    inner = b.inner(carried + [count])
    some_steps(inner, b.rnd.randint(1, 3))
    b.line(f"while {count.name} < {trips}{more} carry ({', '.join(spelled + [f'{count.name}: i32 = 0'])}) {{")
    for c in carried:
        inner.line(f"{c.name} = {update(inner, c.type)[0]};")
    inner.line(f"{count.name} = {count.name} + 1;")
    b.take(inner)
    b.line("}")
    b.values += carried


@step(2)
def if_(b):
    if b.depth >= DEEPEST:
        return
    c = b.pick(lambda t: t == Type("bool"))
    if c is None:
        x = b.pick_float()
        c = b.let(f"sum({x.name}) > {b.literal(x.type.dt)}", Type("bool")) if x else None
    x = c and b.pick(lambda t: t.dt != "bf16")
    if x is None:
        return
    name, mag = b.fresh("w"), x.mag
    b.line(f"var {name} = {x.name};")
    b.line(f"if {c.name} {{")
    for k in range(b.rnd.choice((1, 2, 2))):
        if k:
            b.line("} else {")
        inner = b.inner([Value(name, x.type, x.mag)])
        some_steps(inner, b.rnd.randint(0, 3))
        expr, m = update(inner, x.type)
        mag = max(mag, m)
        inner.line(f"{name} = {expr};")
        b.take(inner)
    b.line("}")
    b.tamed(Value(name, x.type, mag))


@step(1)
def for_(b):
    x = b.pick_float()
    if x is None or b.depth >= DEEPEST:
        return
    name = b.fresh("w")
    b.line(f"var {name} = {x.name};")
    b.line(f"for k in 0..{b.rnd.choice((0, 1, 2, 3))} {{")
    inner = b.inner([Value(name, x.type, x.mag)])
    some_steps(inner, b.rnd.randint(0, 2))
    expr, mag = update(inner, x.type)
    inner.line(f"{name} = {expr}{b.rnd.choice(('', ' * k', ' + k'))};" if x.type.dt == b.dt else f"{name} = {expr};")
    b.take(inner)
    b.line("}")
    b.tamed(Value(name, x.type, max(mag, x.mag) + 2))


# ---- functions ----

def bind(b, f):
    """Arguments for the function's parameters and what its names stand for; None if there are none."""
    names, args = {}, []
    for t in f.params:
        dims = tuple(names.get(d, d) if isinstance(d, str) else d for d in t.dims)
        open_ = any(isinstance(d, str) and d not in names for d in t.dims)
        if open_:
            x = b.pick(lambda u: u.dt == t.dt and u.range == t.range and u.rank == t.rank and b.size(u) <= 120
                       and all(p == q for p, q, d in zip(u.dims, dims, t.dims) if not isinstance(d, str) or d in names))
            if x is None:
                return None
            for d, p in zip(t.dims, x.type.dims):
                if isinstance(d, str) and names.setdefault(d, p) != p:
                    return None
        else:
            x = b.as_type(t.of(dims=dims, range=t.range))
        if x is None:
            return None
        args.append(x)
    return names, args


def filled(t, names):
    return t.of(dims=[names.get(d, d) if isinstance(d, str) else d for d in t.dims], range=t.range)


def bound(b, expr, types, mag=3):
    """Binds what an expression of these types gives."""
    if any(b.size(t) > 700 for t in types):
        return
    if len(types) == 1:
        b.let(expr, types[0], mag)
        return
    names = [b.fresh() for _ in types]
    b.line(f"let ({b.pattern(names, types)}) = {expr};")
    for name, t in zip(names, types):
        b.tamed(b_value(name, t, mag))


@step(4)
def call(b):
    if not b.program.helpers:
        return
    f = b.rnd.choice(b.program.helpers)
    found = bind(b, f)
    if not found:
        return
    names, args = found
    spelled = [a.name for a in args]
    if len(args) > 1 and b.chance(0.2) and not f.model:
        spelled[1:] = [f"{n}={a}" for n, a in zip(f.names[1:], spelled[1:])]
    head = f"checkpoint[{f.name}]" if b.chance(0.2) and not f.model else f.name
    if head != f.name:
        spelled = [a.name for a in args]
    bound(b, f"{head}({', '.join(spelled)})", [filled(t, names) for t in f.results], f.mag + max(a.mag for a in args))


def operator(b, f, names, args):
    """An operator applied to f: an expression and its types, or None."""
    results = [filled(t, names) for t in f.results]
    if not all(t.float and t.dt != "bf16" and b.size(t) <= LIMIT for t in results):
        return None
    floats = [k for k, t in enumerate(f.params) if t.float and t.dt != "bf16"]
    if not floats:
        return None
    wrt = sorted(b.rnd.sample(floats, b.rnd.randint(1, len(floats))))
    if wrt == floats[:1] and b.chance(0.6):
        spelled = ""
    elif len(wrt) == 1 and b.chance(0.7):
        spelled = f", wrt={f.names[wrt[0]]}"
    else:
        spelled = f", wrt=({', '.join(f.names[k] for k in wrt)},)"
    types = [args[k].type for k in wrt]
    plain = [a.name for a in args]
    made = lambda ts: [b.as_type(t).name for t in ts]
    scalar = len(results) == 1 and results[0].rank == 0
    one = len(wrt) == 1 and len(results) == 1
    work = b.size(args[wrt[0]].type)
    kinds = ["vjp", "jvp"] + (["grad", "grad", "value_and_grad", "hvp"] if scalar else [])
    if one and b.size(results[0]) <= 12 and work <= 12:
        kinds += ["jacobian"] + (["hessian"] if scalar else [])
    kind = b.rnd.choice(kinds)
    head = f"{kind}[{f.name}{spelled}]"
    if kind in ("grad", "value_and_grad"):
        return f"{head}({', '.join(plain)})", (results if kind != "grad" else []) + types
    if kind == "hvp":
        return f"{head}({', '.join(plain + made(types))})", types
    if kind == "jvp":
        return f"{head}({', '.join(plain + made(types))})", results + results
    if kind == "vjp":
        return f"{head}({', '.join(plain + made(results))})", types
    again = types[0].dims * (2 if kind == "hessian" else 1)
    return f"{head}({', '.join(plain)})", [types[0].of(dims=results[0].dims + again)]


@step(2)
def derivative(b):
    fs = [f for f in b.program.helpers if not f.model]
    if not fs or b.depth > 1:
        return
    f = b.rnd.choice(fs)
    found = bind(b, f)
    made = found and operator(b, f, *found)
    if made:
        bound(b, made[0], made[1], 5)
