"""Steps of a random body that make one value from others: elementwise operations, movement, reductions,
contractions, random numbers. A step that does not fit returns without a line."""
from body import Type, joined

STEPS = []  # (weight, function)


def step(weight):
    def enter(f):
        STEPS.append((weight, f))
        return f
    return enter


def ints(values):
    return "[" + ", ".join(map(str, values)) + "]"


def held(x):
    """x where it becomes integers: no derivative leads through them, and to ask for one is an error."""
    return f"stop_gradient({x.name})" if x.type.float else x.name


# ---- elementwise ----

# expression of x, log2 of its size from that of x
EXACT = [("-{x}", 0), ("abs({x})", 0), ("sign({x})", None), ("floor({x})", 0), ("ceil({x})", 0), ("round({x})", 0),
         ("sqrt(abs({x}) + 0.5)", 0), ("rsqrt(abs({x}) + 0.25)", 1), ("stop_gradient({x})", 0), ("relu({x})", 0),
         ("leaky_relu({x}, slope=0.25)", 0), ("leaky_relu({x})", 0), ("clip({x}, lo=-0.5, hi=1.0)", None),
         ("clip({x}, hi=0.75)", 0), ("{x} * {x}", "double"), ("{x} + {x}", 1), ("{x} - {x}", 0), ("opt_barrier({x})", 0),
         ("2 - {x}", 1), ("1 / (1 + {x} * {x})", None), ("{x} / 3", 0), ("({x} + 1) % 2", None), ("-(-{x})", 0)]
SMOOTH = [("exp(-abs({x}))", None), ("exp(0.25 * {x})", "exp"), ("expm1(0.25 * {x})", "exp"), ("log(abs({x}) + 0.3)", 1),
          ("log1p(abs({x}))", 0), ("tanh({x})", None), ("sigmoid({x})", None), ("erf({x})", None), ("ndtr({x})", None), ("sin({x})", None),
          ("cos({x})", None), ("tan(sin({x}))", 1), ("elu({x})", 0), ("elu({x}, alpha=0.5)", 0), ("gelu({x})", 0),
          ("gelu({x}, tanh_form=true)", 0), ("silu({x})", 0), ("softplus({x})", 1), ("pow(abs({x}) + 0.5, 1.5)", "double"),
          ("(1 + abs({x})) ** -2", 0), ("({x}) ** 3", "triple"), ("({x}) ** 2", "double")]
ROWS = [("softmax({x}{axis})", None), ("log_softmax({x}{axis})", 3), ("cumsum({x}{axis})", 4)]
WILD = ["log({x})", "sqrt({x})", "1 / {x}", "rsqrt({x})", "exp({x} * 50)", "{x} * 1e30", "{x} * 1e-30", "{x} ** 0.5", "pow({x}, {x})",
        "tanh({x} * 1e3)", "sin({x} * 1e4)", "log1p({x})", "softplus({x} * 40)", "norm({x}, axis=-1)", "expm1({x} * 30)", "sigmoid({x} * 90)"]


def sized(mag, how):
    return {None: 1, "double": 2 * mag, "triple": 3 * mag, "exp": 2 ** max(mag - 1, 0)}.get(how, mag + how if isinstance(how, int) else 0)


@step(8)
def unary(b):
    x = b.pick_float()
    if not x:
        return
    expr, how = b.rnd.choice(EXACT if b.program.exact or b.chance(0.5) else SMOOTH)
    b.let(expr.format(x=x.name), x.type, sized(x.mag, how))


@step(1)
def wild(b):
    x = b.pick_float(rank=1)
    if x and b.program.wild:
        expr = b.rnd.choice(WILD)
        dims = x.type.dims[:-1] if expr.startswith("norm") else x.type.dims
        b.let(expr.format(x=x.name), x.type.of(dims=dims), 2)


def partner(b, x):
    """Something to combine with x: an expression, the joint shape, a size."""
    if b.chance(0.15):
        return b.literal(x.type.dt), x.type.dims, 1
    if b.chance(0.15):
        return x.name, x.type.dims, x.mag
    y = b.pick(lambda t: t.dt == x.type.dt and t.dt != "bf16" and joined(x.type.dims, t.dims) is not None)
    return (y.name, joined(x.type.dims, y.type.dims), y.mag) if y else (b.literal(x.type.dt), x.type.dims, 1)


@step(10)
def binary(b):
    x = b.pick_float()
    if not x:
        return
    y, dims, mag = partner(b, x)
    exact = [("{x} + {y}", max(x.mag, mag) + 1), ("{x} - {y}", max(x.mag, mag) + 1), ("{x} * {y}", x.mag + mag),
             ("{x} / (abs({y}) + 0.5)", x.mag + 1), ("max({x}, {y})", max(x.mag, mag)), ("min({x}, {y})", max(x.mag, mag)),
             ("{x} % (abs({y}) + 1)", x.mag), ("{x} * {y} + {x}", x.mag + mag + 1), ("{y} - {x}", max(x.mag, mag) + 1),
             ("{y} * {x}", x.mag + mag), ("where({x} > {y}, {x}, {y})", max(x.mag, mag)),
             ("where({x} <= 0.25, {x} * {y}, {y})", x.mag + mag)]
    smooth = [("pow(abs({x}) + 0.5, clip({y}, lo=-2.0, hi=2.0))", 2 * x.mag + 2), ("tanh({x}) * sigmoid({y})", 0)]
    expr, mag = b.rnd.choice(exact if b.program.exact or b.chance(0.8) else smooth)
    if "({y}" in expr and not y.isidentifier():
        y = f"{x.type.dt}({y})"  # alone in a call, a literal has the type of the whole function
    b.let(expr.format(x=x.name, y=y), x.type.of(dims=dims), mag)


@step(2)
def integers(b):
    x = b.pick(lambda t: t.dt in ("i32", "i64"))
    if not x:
        return
    y, dims, _ = partner(b, x)
    expr = b.rnd.choice(("{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / {y}", "{x} % {y}", "max({x}, {y})", "min({x}, {y})", "-{x}", "abs({x})",
                         "sign({x})", "where({x} > {y}, {x}, {y})"))
    if "{y}" not in expr:
        dims = x.type.dims
    b.let(expr.format(x=x.name, y=y), x.type.of(dims=dims))


@step(2)
def compare(b):
    x = b.pick(lambda t: t.dt in ("f32", "f64", "i32"))
    if not x:
        return
    if x.type.float and b.chance(0.2):
        b.let(f"{b.rnd.choice(('isnan', 'isfinite'))}({x.name})", x.type.of("bool"))
        return
    y, dims, _ = partner(b, x)
    expr = b.rnd.choice(("{} < {}", "{} <= {}", "{} > {}", "{} >= {}", "{} == {}", "{} != {}", "ge({}, {})", "gt({}, {})"))
    b.let(expr.format(x.name, y), x.type.of("bool", dims))


@step(1)
def classify(b):
    x = b.pick_float()
    if x:
        b.let(f"where({b.rnd.choice(('isnan({0})', 'isfinite({0})', '!isnan({0})', 'isfinite({0} * 2)')).format(x.name)}, {x.name}, 0.5)", x.type, x.mag)


@step(2)
def logic(b):
    x = b.pick(lambda t: t.dt == "bool")
    y = x and b.pick(lambda t: t.dt == "bool" and t.dims == x.type.dims)
    if y:
        b.let(b.rnd.choice((f"{x.name} && {y.name}", f"{x.name} || {y.name}", f"!{x.name}", f"!{x.name} || {y.name}", f"{x.name} == {y.name}")), x.type)


@step(3)
def choice(b):
    c = b.pick(lambda t: t.dt == "bool")
    x = c and b.pick(lambda t: t.float and t.dt != "bf16" and t.dims == c.type.dims)
    if not x:
        return
    y = b.pick(lambda t: t == x.type)
    other = b.rnd.choice((y.name, "0", "0.5", f"{y.name} * 2"))
    b.let(f"where({c.name}, {x.name}, {other})", x.type, max(x.mag, y.mag + 1))


@step(2)
def conversion(b):
    x = b.pick()
    to = b.rnd.choice(("f32", "f64", b.dt, "i32", "i64", "bf16", "bool"))
    y = b.let(f"{to}({held(x) if to in ('i32', 'i64') else x.name})", x.type.of(to), x.mag)
    if y and to == "bf16" and b.chance(0.7):
        b.let(f"{b.dt}({y.name} * {y.name})", x.type.of(b.dt), 2 * x.mag)


# ---- reductions ----

def axes_of(b, t):
    n = b.rnd.randint(1, t.rank)
    return sorted(b.rnd.sample(range(t.rank), n))


@step(7)
def reduction(b):
    x = b.pick_float(rank=1)
    if not x:
        return
    axes = axes_of(b, x.type)
    keep = b.chance(0.35)
    count = 1
    for a in axes:
        count *= b.number(x.type.dims[a])
    names = ["sum", "sum", "prod"] if count <= 8 else ["sum", "sum"]
    if count:
        names += ["mean", "max", "min", "variance", "var"]
        if not b.program.exact:
            names += ["logsumexp", "norm", "std"]
    name = b.rnd.choice(names)
    dims = [1 if i in axes else d for i, d in enumerate(x.type.dims) if keep or i not in axes]
    if name == "logsumexp":
        axes = axes[:1]
        dims = [1 if i in axes else d for i, d in enumerate(x.type.dims) if keep or i not in axes]
    whole = len(axes) == x.type.rank and b.chance(0.6) and name != "logsumexp"
    spelled = "" if whole else f", axis={axes[0] - (x.type.rank if b.chance(0.3) else 0)}" if len(axes) == 1 else f", axis={ints(axes)}"
    mag = {"sum": x.mag + count.bit_length(), "prod": x.mag * count, "variance": 2 * x.mag, "var": 2 * x.mag, "norm": x.mag + count.bit_length()}.get(name, x.mag + 1)
    inside = f"{x.name} + {x.name} * {x.name}" if name == "std" and b.chance(0.3) else x.name
    b.let(f"{name}({inside}{spelled}{', keep=true' if keep else ''})", x.type.of(dims=dims), mag)


@step(1)
def arg(b):
    x = b.pick_float(rank=1, concrete=True)
    axis = b.axis(x.type) if x else 0
    if x and x.type.dims[axis]:
        dims = x.type.dims[:axis] + x.type.dims[axis + 1:]
        b.let(f"{b.rnd.choice(('argmax', 'argmin'))}({x.name}, axis={axis})", Type("i32", dims, x.type.dims[axis]))


@step(2)
def rows(b):
    x = b.pick_float(rank=1)
    if not x:
        return
    axis = b.axis(x.type)
    if not b.number(x.type.dims[axis]):
        return
    expr, how = b.rnd.choice(ROWS[2:] if b.program.exact else ROWS)
    spelled = "" if axis == x.type.rank - 1 and b.chance(0.5) else f", axis={axis}"
    if "cumsum" in expr and b.chance(0.5):
        spelled += ", reverse=true"
    b.let(expr.format(x=x.name, axis=spelled), x.type, sized(x.mag, how))


# ---- movement ----

@step(2)
def reshape(b):
    x = b.pick(lambda t: t.rank and b.concrete(t))
    if not x:
        return
    d = list(x.type.dims)
    k = b.rnd.randrange(len(d) + 1)
    if b.chance(0.4):
        d.insert(k, 1)
    elif k < len(d) and b.chance(0.5) and d[k] > 3:
        p = next((p for p in (2, 3, 5) if d[k] % p == 0), None)
        if p:
            d[k:k + 1] = [p, d[k] // p]
    elif k < len(d):
        n = 1
        for e in d[k:]:
            n *= e
        d[k:] = [n]
    if len(d) <= 4:
        b.let(f"reshape({x.name}, {b.rnd.choice(('', 'to='))}{ints(d)})", x.type.of(dims=d, range=x.type.range), x.mag)


@step(2)
def transpose(b):
    x = b.pick(lambda t: t.rank >= 2)
    if not x:
        return
    perm = list(range(x.type.rank))
    b.rnd.shuffle(perm)
    if b.chance(0.4):
        perm[:] = list(range(x.type.rank - 2)) + [x.type.rank - 1, x.type.rank - 2]
        spelled = ""
    else:
        spelled = f", {ints(perm)}"
    b.let(f"transpose({x.name}{spelled})", x.type.of(dims=[x.type.dims[k] for k in perm], range=x.type.range), x.mag)


@step(2)
def broadcast(b):
    x = b.pick(lambda t: t.rank <= 2)
    if x:
        lead = b.rnd.choice(b.program.dims)
        dims = [b.rnd.choice(b.program.dims) if d == 1 and b.chance(0.7) else d for d in x.type.dims]
        if b.chance(0.7) or not dims:
            dims = [lead] + dims
        b.let(f"broadcast({x.name}, to={ints(dims)})", x.type.of(dims=dims, range=x.type.range), x.mag)


@step(4)
def slices(b):
    x = b.pick(lambda t: t.rank and b.concrete(t))
    if not x:
        return
    subs, dims = [], []
    for n in x.type.dims:
        how = b.rnd.randrange(7)
        if how == 0 and n:
            subs.append(str(b.rnd.randrange(-n, n)))
        elif how == 1 and n > 1:
            lo = b.rnd.randrange(1, n)
            subs.append(f"{lo}:" if b.chance(0.5) else f"-{n - lo}:")
            dims.append(n - lo)
        elif how == 2 and n > 1:
            hi = b.rnd.randrange(0 if b.chance(0.1) else 1, n)
            subs.append(f":{hi}")
            dims.append(hi)
        elif how == 3:
            s = b.rnd.choice((2, 3))
            subs.append(f"::{s}")
            dims.append(-(-n // s))
        elif how == 4 and n > 2:
            subs.append(f"1:{n - 1}")
            dims.append(n - 2)
        else:
            subs.append(":")
            dims.append(n)
    while len(subs) > 1 and subs[-1] == ":" and b.chance(0.5):
        subs.pop()
    b.let(f"{x.name}[{', '.join(subs)}]", x.type.of(dims=dims, range=x.type.range), x.mag)


@step(2)
def run_time_index(b):
    i = b.pick(lambda t: t.range and not t.rank)
    x = i and b.pick(lambda t: t.rank and i.type.range in t.dims)
    if x:
        axis = x.type.dims.index(i.type.range)
        subs = [":"] * axis + [i.name]
        b.let(f"{x.name}[{', '.join(subs)}]", x.type.of(dims=x.type.dims[:axis] + x.type.dims[axis + 1:], range=x.type.range), x.mag)


def index_for(b, n):
    """Indices below n: there, or made."""
    i = b.pick(lambda t: t.range == n and t.rank <= 1 and b.concrete(t))
    if i and b.chance(0.6):
        return i
    how = b.rnd.randrange(3)
    if how == 0:
        return b.let(f"iota({n})", Type("i32", (n,), n))
    y = b.pick(lambda t: t.rank == 1 and b.concrete(t) and (t.float or t.dt == "i32") and t.dt != "bf16")
    if how == 1 and y:
        return b.let(f"i32<{n}>({held(y)})", Type("i32", y.type.dims, n))
    m = b.rnd.choice((1, 2, 3, 7))
    return b.let(ints(b.rnd.randrange(n) for _ in range(m)), Type("i32", (m,), n), typed=True)


@step(3)
def gather(b):
    x = b.pick_float(rank=1, concrete=True)
    axis = b.axis(x.type) if x else 0
    if not x or not x.type.dims[axis]:
        return
    i = index_for(b, x.type.dims[axis])
    if not i:
        return
    d = x.type.dims
    g = b.let(f"gather({x.name}, {i.name}, axis={axis})", x.type.of(dims=d[:axis] + i.type.dims + d[axis + 1:]), x.mag)
    if g and b.chance(0.5):
        b.let(f"scatter_add({x.name}, {i.name}, {g.name}, axis={axis})", x.type, x.mag + 3)


@step(1)
def labels(b):
    x = b.pick_float(rank=1, concrete=True)
    i = x and x.type.dims[-1] and b.pick(lambda t: t.range == x.type.dims[-1] and t.dims == x.type.dims[:-1])
    if not i:
        i = b.pick(lambda t: t.range and t.range < 20 and t.rank < 3)
        if i:
            b.let(f"one_hot({i.name})", Type(b.dt, i.type.dims + (i.type.range,)), 0, typed=True)
    elif b.program.exact or b.chance(0.5):
        b.let(f"pick({x.name}, {i.name})", x.type.of(dims=x.type.dims[:-1]), x.mag)
    elif b.size(i.type):
        b.let(f"cross_entropy({x.name}, {i.name})", x.type.of(dims=()), x.mag + 2)


@step(1)
def flip(b):
    x = b.pick(lambda t: t.rank)
    if x:
        b.let(f"flip({x.name}, {ints(axes_of(b, x.type))})", x.type.of(range=x.type.range), x.mag)


@step(2)
def pad(b):
    x = b.pick_float(rank=1, concrete=True)
    if not x:
        return
    lo = [b.rnd.randint(-1 if d > 2 else 0, 2) for d in x.type.dims]
    hi = [b.rnd.randint(-1 if d > 2 else 0, 1) for d in x.type.dims]
    v = b.pick(lambda t: t == x.type.of(dims=()))
    value = "" if b.chance(0.4) else f", value={v.name if v else '1.5'}"
    b.let(f"pad({x.name}, {ints(lo)}, {ints(hi)}{value})", x.type.of(dims=[d + l + h for d, l, h in zip(x.type.dims, lo, hi)]), x.mag)


@step(3)
def join(b):
    x = b.pick_float(rank=1, concrete=True)
    if not x:
        return
    axis = b.axis(x.type)
    if b.chance(0.3):
        ys = [b.pick(lambda t: t == x.type) for _ in range(b.rnd.randint(1, 3))]
        d = list(x.type.dims)
        d.insert(axis, len(ys))
        b.let(f"stack([{', '.join(y.name for y in ys)}], axis={axis})", x.type.of(dims=d), max(y.mag for y in ys))
        return
    same = lambda t: t.dt == x.type.dt and t.rank == x.type.rank and all(
        p == q or k == axis for k, (p, q) in enumerate(zip(t.dims, x.type.dims))) and b.concrete(t)
    ys = [x] + [b.pick(same) for _ in range(b.rnd.randint(1, 2))]
    b.rnd.shuffle(ys)
    d = list(x.type.dims)
    d[axis] = sum(y.type.dims[axis] for y in ys)
    b.let(f"concat([{', '.join(y.name for y in ys)}], axis={axis})", x.type.of(dims=d), max(y.mag for y in ys))


@step(2)
def parts(b):
    x = b.pick_float(rank=1, concrete=True)
    axis = b.axis(x.type) if x else 0
    n = x.type.dims[axis] if x else 0
    if n not in (2, 3, 6, 8, 9, 16, 33):
        return
    if n <= 3 and b.chance(0.5):
        k, d = n, x.type.dims[:axis] + x.type.dims[axis + 1:]
        expr = f"unstack({x.name}, axis={axis})"
    else:
        k = 3 if n % 3 == 0 else 2
        d = x.type.dims[:axis] + (n // k,) + x.type.dims[axis + 1:]
        expr = f"split({x.name}, parts={k}, axis={axis})"
    names = [b.fresh() for _ in range(k)]
    shown = ["_" if b.chance(0.2) else name for name in names]
    b.line(f"let ({b.pattern(shown, [x.type.of(dims=d)] * k)}) = {expr};")
    for name, s in zip(names, shown):
        if s != "_":
            b.tamed(b_value(name, x.type.of(dims=d), x.mag))


def b_value(name, type_, mag):
    from body import Value
    return Value(name, type_, mag)


# ---- contractions ----

@step(4)
def matmul(b):
    x = b.pick_float(rank=1)
    if not x:
        return
    d = x.type.dims
    k = b.number(d[-1])
    mag = 2 * x.mag + max(k, 1).bit_length()
    y = b.pick(lambda t: t.dt == x.type.dt and ((t.rank == 1 and t.dims[0] == d[-1]) or (t.rank == 2 and t.dims[0] == d[-1])
                                                or (t.rank > 2 and t.rank == len(d) and t.dims[-2] == d[-1] and t.dims[:-2] == d[:-2])))
    if y and b.chance(0.8):
        mag = x.mag + y.mag + max(k, 1).bit_length()
        if y.type.rank == 1:
            b.let(f"{x.name} @ {y.name}", x.type.of(dims=d[:-1]), mag)
        elif len(d) == 1:
            b.let(f"{x.name} @ {y.name}", x.type.of(dims=y.type.dims[1:]), mag)
        else:
            b.let(f"{x.name} @ {y.name}", x.type.of(dims=d[:-1] + y.type.dims[-1:]), mag)
    elif len(d) >= 2:
        b.let(f"{x.name} @ transpose({x.name})", x.type.of(dims=d[:-1] + d[-2:-1]), mag)
    else:
        b.let(f"{x.name} @ {x.name}", x.type.of(dims=()), mag)


@step(2)
def einsum(b):
    x = b.pick_float(rank=1, size=lambda n: n <= 200)
    y = x and b.pick_float(rank=1, dt=x.type.dt, size=lambda n: n <= 200)
    if not y:
        return
    letters, dims = {}, {}
    free = iter("ijklmnpqabcdefgh")

    def spell(t):
        out = ""
        for d in t.dims:
            c = letters.get(d)
            if c is None or (c in out and not b.chance(0.2)) or b.chance(0.25):
                c = next(free)
                letters[d] = c
            dims[c] = d
            out += c
        return out

    sx, sy = spell(x.type), spell(y.type)
    every = sorted(set(sx + sy))
    out = [c for c in every if b.chance(0.6)][:3]
    b.rnd.shuffle(out)
    work = 1
    for c in every:
        work *= b.number(dims[c])
    if work > 3000:
        return
    one = b.chance(0.2)
    mag = x.mag + (0 if one else y.mag) + work.bit_length()
    if one:
        out = [c for c in out if c in sx]
    spec = f"{sx}->{''.join(out)}" if one else f"{sx},{sy}->{''.join(out)}"
    b.let(f'einsum("{spec}", {x.name}{"" if one else ", " + y.name})', x.type.of(dims=[dims[c] for c in out]), mag)


# ---- library functions of several tensors, random numbers, sources ----

@step(2)
def library(b):
    x = b.pick_float(rank=1, size=lambda n: n > 0)
    if not x:
        return
    same = b.of_type(x.type)
    last = b.of_type(x.type.of(dims=x.type.dims[-1:]))
    if not same or not last:
        return
    scalar = x.type.of(dims=())
    exact = [(f"mse({x.name}, {same.name})", scalar, 2 * max(x.mag, same.mag) + 2), (f"mae({x.name}, {same.name})", scalar, max(x.mag, same.mag) + 1),
             (f"huber({x.name}, {same.name}, delta=0.75)", scalar, max(x.mag, same.mag) + 1),
             (f"hinge({x.name}, {same.name})", scalar, x.mag + same.mag + 1), (f"rms_norm({x.name}, {last.name})", x.type, last.mag + 3),
             (f"layer_norm({x.name}, {last.name}, {last.name}, eps=0.1)", x.type, last.mag + 3)]
    smooth = [(f"bce_with_logits({x.name}, sigmoid({same.name}))", scalar, x.mag + 1), (f"kl_div(log_softmax({x.name}), softmax({same.name}))", scalar, x.mag + same.mag + 2),
              (f"causal_mask({x.name} @ transpose({x.name}))", None, 0)]
    expr, type_, mag = b.rnd.choice(exact if b.program.exact or b.chance(0.5) else smooth)
    if type_:
        b.let(expr, type_, mag)


@step(1)
def attention(b):
    q = b.pick_float(rank=2, concrete=True, size=lambda n: 0 < n <= 64)
    if q and not b.program.exact and b.chance(0.3) and not b.depth:
        b.let(f"attention({q.name}, {q.name}, {q.name}{b.rnd.choice(('', ', causal=true'))})", q.type, q.mag)


@step(2)
def numbers(b):
    t = b.pick_float()
    if not t or not b.program.random:
        return
    exact = [("uniform()", 0), ("uniform(lo=-1, hi=2)", 1), (f"dropout({t.name}, rate=0.25)", t.mag)]
    smooth = [("normal()", 3), ("normal(mean=0.5, std=2)", 4)]
    expr, mag = b.rnd.choice(exact if b.program.exact or b.chance(0.6) else smooth)
    b.let(expr, t.type, mag, typed=True)


@step(1)
def random_index(b):
    if b.program.random:
        n = b.rnd.choice(b.program.dims)
        if n:
            b.let("randint()", Type("i32", b.rnd.choice(((), (3,))), n), typed=True)


@step(2)
def source(b):
    t = b.pick(lambda t: t.rank)
    if not t:
        return
    how = b.rnd.randrange(4)
    float_type = t.type.of(b.dt)
    if how == 0:
        b.let(b.constant(float_type), float_type, 2, typed=True)
    elif how == 1:
        n = b.rnd.choice(b.program.dims)
        b.let(f"{b.dt}(iota({n})) / 4", Type(b.dt, (n,)), 4)
    elif how == 2:
        b.let(b.rnd.choice(("zeros()", "ones()")), float_type, 0, typed=True)
    else:
        b.let(f"full(to={ints(t.type.dims)}, value=0.75)", float_type, 0, typed=True)


# ---- images ----

def image(b):
    """A value as [1, C, H, W]."""
    x = b.pick_float(rank=2, concrete=True, size=lambda n: 4 <= n <= 300)
    if not x or x.type.rank > 3:
        return None
    dims = (1,) * (4 - x.type.rank) + x.type.dims
    return b.let(f"reshape({x.name}, {ints(dims)})", x.type.of(dims=dims), x.mag)


def filters(b, x, dims):
    n = 1
    for d in dims:
        n *= d
    y = b.pick(lambda t: t == x.type.of(dims=()))
    more = f" + {y.name}" if y else ""
    return b.let(f"reshape({x.type.dt}(iota({n})) / 4, {ints(dims)}){more}", x.type.of(dims=dims), (y.mag if y else 0) + n.bit_length())


@step(3)
def convolution(b):
    x = image(b)
    if not x:
        return
    _, c, h, w = x.type.dims
    k, l = b.rnd.randint(1, min(3, h)), b.rnd.randint(1, min(3, w))
    stride, pad = b.rnd.choice((1, 1, 2)), b.rnd.choice((0, 0, 1))
    how = b.rnd.randrange(3)
    if how == 0:
        groups = c if b.chance(0.3) else 1
        out = groups * b.rnd.choice((1, 2))
        f = filters(b, x, (out, c // groups, k, l))
        dims = (1, out, (h + 2 * pad - k) // stride + 1, (w + 2 * pad - l) // stride + 1)
        expr = f"conv2d({x.name}, {f.name}, stride={stride}, pad={pad}{f', groups={groups}' if groups > 1 else ''})" if f else ""
        mag = x.mag + f.mag + (c * k * l).bit_length() if f else 0
    elif how == 1:
        pad = min(pad, k - 1, l - 1)
        f = filters(b, x, (c, 2, k, l))
        dims = (1, 2, (h - 1) * stride - 2 * pad + k, (w - 1) * stride - 2 * pad + l)
        expr = f"conv_transpose2d({x.name}, {f.name}, stride={stride}, pad={pad})" if f else ""
        mag = x.mag + f.mag + (c * k * l).bit_length() if f else 0
    else:
        f, mag = x, x.mag
        pad = min(pad, k - 1, l - 1)
        dims = (1, c, (h + 2 * pad - k) // stride + 1, (w + 2 * pad - l) // stride + 1)
        expr = f"{b.rnd.choice(('max_pool2d', 'avg_pool2d'))}({x.name}, size=[{k}, {l}], stride={stride}, pad={pad})"
    if f and min(dims) > 0:
        b.let(expr, x.type.of(dims=dims), mag)
