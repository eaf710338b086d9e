/* Calls of operations by name, from their rows in ops.def, and the few near-primitives that take
 * their shape from the declared type. */
#include "frontend/lower.h"

Value emit_op(Frame *f, Loc loc, Op op, const Value *args, uint32_t n, Attr *attrs,
              const Type *given, const Dim *dims) {
    Cx *cx = f->fr->cx;
    Type *types = NEW_ARRAY(cx->arena, Type, n);
    Val *vals = NEW_ARRAY(cx->arena, Val, n);
    Attr none[MaxAttrs] = {{0}};
    for (uint32_t i = 0; i < n; i++) {
        types[i] = v_type(f, args[i]);
        vals[i] = args[i].v;
    }
    Infer q = {.cx = cx, .nargs = n, .args = types, .attrs = attrs ? attrs : none, .given = given};
    const char *wrong = op_infer(op, &q);
    if (wrong) {
        diag_error(cx, loc, "%s", wrong);
        return v_error();
    }
    b_at(f->b, loc, NULL);
    Val v = op_info[op].cls == ClsContract ? emit_contraction(f, op, vals, n, q.attrs)
                                           : b_op(f->b, op, vals, n, q.attrs, given);
    return v_tensor(f, v, dims);
}

Val frame_key(Frame *f) {
    if (f->has_key) return f->key;
    Cx *cx = f->fr->cx;
    Type t = type_of(I64, shape_scalar(cx));
    f->has_key = true;
    if (f->body) return f->key = body_key(f->body);
    if (f->own_key || !f->caller || f->caller->root != f->root) {
        f->key = capture(f->root, f->fr, sym(cx, "train.key"), t);
        if (f->own_key) {
            Val n = b_int(f->b, t, f->key_salt);
            f->key = b_op(f->b, Op_fold, (Val[]){f->key, n}, 2, NULL, NULL);
        }
    } else {
        Val up = frame_key(f->caller), n = b_int(f->b, t, f->caller->draws++);
        f->key = b_op(f->b, Op_fold, (Val[]){up, n}, 2, NULL, NULL);
    }
    return f->key;
}

/* ---- operations ---- */

typedef struct OpCall {
    const OpInfo *info;
    Op op;
    Value args[MaxOperands];
    uint32_t n;
    Attr attrs[MaxAttrs];
    const Dim *to; /* dimensions of the attribute `to`, with their names */
} OpCall;

static bool is_axis(const char *name) {
    return !strcmp(name, "axis") || !strcmp(name, "perm");
}

/* reshape: one -1 stands for what is left. */
static bool fill_in(Frame *f, const Expr *e, int64_t *dim, uint32_t n, int64_t size) {
    int64_t known = 1, at = -1;
    bool fits = true;
    for (uint32_t k = 0; k < n; k++) {
        if (dim[k] == -1 && at < 0) at = k;
        else fits = fits && dim[k] > 0 && !__builtin_mul_overflow(known, dim[k], &known);
    }
    if (at < 0) return true;
    if (fits && size % known == 0) dim[at] = size / known;
    else diag_error(f->fr->cx, e->loc, "reshape: %lld elements have no whole rest for -1",
                    (long long)size);
    return dim[at] >= 0;
}

static bool set_ints(Frame *f, const Expr *e, OpCall *c, int i, Value v) {
    Cx *cx = f->fr->cx;
    int64_t *ints;
    uint32_t n;
    uint32_t rank = c->n ? v_type(f, c->args[0]).shape->rank : 0;
    const char *name = c->info->attrs[i].name;
    if (v.kind == VStr && !strcmp(v.s, "all")) {
        n = rank;
        ints = NEW_ARRAY(cx->arena, int64_t, n);
        for (uint32_t k = 0; k < n; k++) ints[k] = k;
    } else if (!v_ints(f, e->loc, v, name, &ints, &n)) {
        return false;
    }
    bool one = c->info->attrs[i].kind == AttrInt;
    if (one && n != 1) {
        diag_error(cx, e->loc, "%s: %s is one integer, this has %u", c->info->name, name, n);
        return false;
    }
    for (uint32_t k = 0; is_axis(name) && k < n; k++) {
        if (ints[k] < 0) ints[k] += rank;
        if (ints[k] >= 0 && ints[k] < rank) continue;
        diag_error(cx, e->loc, "%s: %s %lld is out of range for rank %u", c->info->name, name,
                   (long long)(ints[k] - (ints[k] < 0 ? rank : 0)), rank);
        return false;
    }
    if (one) {
        c->attrs[i] = attr_int(ints[0]);
        return true;
    }
    if (c->op == Op_reshape && !fill_in(f, e, ints, n, v_type(f, c->args[0]).shape->size))
        return false;
    c->attrs[i] = attr_ints(cx, ints, n);
    if (!strcmp(name, "to")) {
        Dim *dims = NEW_ARRAY(cx->arena, Dim, n);
        for (uint32_t k = 0; k < n; k++) {
            Value given = v.kind == VInt ? v : v.elems[k];
            dims[k] = (Dim){ints[k], given.i == ints[k] ? given.tag : &dim_computed};
        }
        c->to = dims;
    }
    return true;
}

static bool set_attr(Frame *f, const Expr *e, OpCall *c, int i, Value v) {
    Cx *cx = f->fr->cx;
    const char *name = c->info->attrs[i].name;
    if (v.kind == VError) return false;
    switch (c->info->attrs[i].kind) {
    case AttrInt:
    case AttrInts:
        return set_ints(f, e, c, i, v);
    case AttrBool:
        if (v.kind != VBool) break;
        c->attrs[i] = attr_bool(v.i);
        return true;
    case AttrFloat:
        if (v.kind != VFloat && v.kind != VInt) break;
        c->attrs[i] = attr_float(v.kind == VFloat ? v.f : (double)v.i);
        return true;
    case AttrNone:
    case AttrFn:
    case AttrNames:
        break;
    }
    diag_error(cx, e->loc, "%s: attribute '%s' cannot be %s", c->info->name, name,
               v_describe(f, v));
    return false;
}

static int attr_index(const OpInfo *info, Sym name) {
    for (int i = 0; i < info->nattrs; i++) {
        if (!strcmp(info->attrs[i].name, name)) return i;
    }
    return -1;
}

static bool bind_operands(Frame *f, const Expr *e, OpCall *c) {
    Cx *cx = f->fr->cx;
    int positional = 0;
    bool ok = true;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        if (!a->name && positional < c->info->nargs) {
            c->args[positional] = lower_expr(f, a->value, NULL);
            ok &= c->args[positional++].kind != VError;
        }
    }
    c->n = (uint32_t)positional;
    if (!ok) return false;
    if (positional < c->info->nargs) {
        diag_error(cx, e->loc, "%s: operand '%s' is missing", c->info->name,
                   c->info->operands[positional]);
        return false;
    }
    int dt = -1;
    int64_t range = 0;
    for (uint32_t i = c->n; i-- > 0;) {
        if (c->args[i].kind == VTensor && v_type(f, c->args[i]).dt != BOOL) {
            dt = (int)v_type(f, c->args[i]).dt;
            range = v_type(f, c->args[i]).range;
        }
    }
    for (uint32_t i = 0; i < c->n; i++) {
        Value v = c->args[i];
        const Want ranged = {.dt = I32, .range = range};
        bool fits = v.kind == VInt && range && v.i >= 0 && v.i < range;
        int want = v.kind == VBool ? BOOL : dt;
        c->args[i] = v_materialise(f, e->args.data[i].value->loc, v, want, fits ? &ranged : NULL);
        if (c->args[i].kind == VError) return false;
    }
    return true;
}

static bool bind_attrs(Frame *f, const Expr *e, OpCall *c) {
    Cx *cx = f->fr->cx;
    int seen = 0, next = 0;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        if (!a->name && seen++ < c->info->nargs) continue;
        int at = a->name ? attr_index(c->info, a->name) : next++;
        if (at < 0 || at >= c->info->nattrs) {
            if (a->name)
                diag_error(cx, a->loc, "%s has no argument '%s'", c->info->name, a->name);
            else
                diag_error(cx, a->loc, "%s: too many arguments", c->info->name);
            return false;
        }
        if (!set_attr(f, a->value, c, at, lower_expr(f, a->value, NULL))) return false;
    }
    for (int i = 0; i < c->info->nattrs; i++) {
        const AttrInfo *a = &c->info->attrs[i];
        if (c->attrs[i].kind != AttrNone || !a->optional) continue;
        Value v = a->kind == AttrBool ? v_bool(a->otherwise) : v_int(a->otherwise, NULL);
        if (!set_attr(f, e, c, i, v)) return false;
    }
    return true;
}

/* The result's dimensions with their names, where the operation keeps them. */
static const Dim *result_dims(Frame *f, const OpCall *c) {
    Arena *a = f->fr->cx->arena;
    if (c->info->cls == ClsElem) return c->n ? c->args[0].dims : NULL;
    if (c->to) return c->to;
    uint32_t rank = c->n ? v_type(f, c->args[0]).shape->rank : 0;
    Dim *dims = NEW_ARRAY(a, Dim, rank);
    uint32_t n = 0;
    if (c->op == Op_transpose && c->attrs[0].kind == AttrInts) {
        for (uint32_t i = 0; i < c->attrs[0].is.n; i++)
            dims[i] = c->args[0].dims[c->attrs[0].is.v[i]];
        return dims;
    }
    if (c->info->cls == ClsReduce) {
        for (uint32_t i = 0; i < rank; i++) {
            bool gone = false;
            for (uint32_t k = 0; k < c->attrs[0].is.n; k++) gone |= c->attrs[0].is.v[k] == i;
            if (!gone) dims[n++] = c->args[0].dims[i];
        }
        return dims;
    }
    return NULL;
}

Value op_call(Frame *f, const Expr *e, Op op) {
    OpCall c = {.info = &op_info[op], .op = op};
    if (!bind_operands(f, e, &c) || !bind_attrs(f, e, &c)) return v_error();
    b_at(f->b, e->loc, NULL);
    if (op == Op_matmul) return lower_binary_values(f, e, BinMatmul, c.args[0], c.args[1]);
    if (c.info->cls == ClsElem && c.n > 1 && !broadcast_values(f, e, c.info->name, c.args, c.n)) {
        return v_error();
    }
    if (op == Op_transpose && c.attrs[0].kind == AttrNone) {
        uint32_t rank = v_type(f, c.args[0]).shape->rank;
        if (rank < 2) return c.args[0];
        int64_t *perm = NEW_ARRAY(f->fr->cx->arena, int64_t, rank);
        for (uint32_t i = 0; i < rank; i++) perm[i] = i;
        perm[rank - 1] = rank - 2;
        perm[rank - 2] = rank - 1;
        c.attrs[0] = attr_ints(f->fr->cx, perm, rank);
    }
    return emit_op(f, e->loc, op, c.args, c.n, c.attrs, NULL, result_dims(f, &c));
}

/* ---- near-primitives ---- */

const Expr *named_arg(const Expr *e, const char *name, uint32_t position) {
    uint32_t seen = 0;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        if (a->name ? !strcmp(a->name, name) : seen++ == position) return a->value;
    }
    return NULL;
}

bool shape_wanted(Frame *f, Loc loc, Value to, const Want *want, Want *out) {
    int64_t *ints;
    *out = (Want){.dt = want ? want->dt : f->real};
    if (to.kind == VError || !v_ints(f, loc, to, "to", &ints, &out->rank)) return false;
    Dim *dims = NEW_ARRAY(f->fr->cx->arena, Dim, out->rank);
    for (uint32_t i = 0; i < out->rank; i++) {
        dims[i] = (Dim){ints[i], to.kind == VInt ? to.tag : to.elems[i].tag};
    }
    out->dims = dims;
    return true;
}

/* The shape that `to` or the declared type gives. */
static bool filled_shape(Frame *f, const Expr *e, Sym name, uint32_t position, const Want *want,
                         Want *out) {
    const Expr *to = named_arg(e, "to", position);
    if (!to) {
        if (want) {
            *out = *want;
            return true;
        }
        diag_error(f->fr->cx, e->loc, "%s() needs a shape here: a declared type or to=[...]", name);
        return false;
    }
    return shape_wanted(f, to->loc, lower_expr(f, to, NULL), want, out);
}

static Value fill(Frame *f, const Expr *e, Value number, const Want *shape) {
    const Shape *s = dims_shape(f, e->loc, shape->dims, shape->rank);
    if (!s || number.kind == VError) return v_error();
    Want scalar = {.dt = shape->dt, .range = shape->range};
    b_at(f->b, e->loc, NULL);
    if (number.kind == VBool && shape->dt != BOOL) number = v_int(number.i, NULL);
    Value v = v_materialise(f, e->loc, number, -1, &scalar);
    return v.kind == VError ? v : v_tensor(f, b_broadcast(f->b, v.v, s), shape->dims);
}

static Value near_zeros(Frame *f, const Expr *e, Sym name, const Want *want) {
    Want shape;
    if (!filled_shape(f, e, name, 0, want, &shape)) return v_error();
    int64_t n = !strcmp(name, "ones");
    return fill(f, e, shape.dt == BOOL ? v_bool(n) : v_int(n, NULL), &shape);
}

static Value near_full(Frame *f, const Expr *e, Sym name, const Want *want) {
    Want shape;
    bool two = named_arg(e, "value", 1) != NULL;
    const Expr *value = named_arg(e, "value", two ? 1 : 0);
    if (!value) {
        diag_error(f->fr->cx, e->loc, "full: 'value' is missing");
        return v_error();
    }
    if (!filled_shape(f, e, name, two ? 0 : UINT32_MAX, want, &shape)) return v_error();
    return fill(f, e, lower_expr(f, value, NULL), &shape);
}

/* lo + (hi - lo) * u, u uniform in [0, 1). */
static Value near_uniform(Frame *f, const Expr *e, Sym name, const Want *want) {
    Want shape;
    if (!filled_shape(f, e, name, 0, want, &shape)) return v_error();
    const Shape *s = dims_shape(f, e->loc, shape.dims, shape.rank);
    if (!s) return v_error();
    if (!dtype_is_float(shape.dt)) {
        diag_error(f->fr->cx, e->loc, "uniform() draws floats, not %s", dtype_name(shape.dt));
        return v_error();
    }
    const Expr *lo = named_arg(e, "lo", UINT32_MAX), *hi = named_arg(e, "hi", UINT32_MAX);
    Value from = lo ? lower_expr(f, lo, NULL) : v_int(0, NULL);
    Value to = hi ? lower_expr(f, hi, NULL) : v_int(1, NULL);
    if (from.kind == VError || to.kind == VError) return v_error();
    Type t = {shape.dt, 0, s};
    Attr stream = attr_int(f->draws);
    Val key = frame_key(f);
    f->draws++;
    b_at(f->b, e->loc, NULL);
    Value u = v_tensor(f, b_op(f->b, Op_rng, &key, 1, &stream, &t), shape.dims);
    bool unit = from.kind == VInt && !from.i && to.kind == VInt && to.i == 1;
    if (unit) return u;
    Value width = lower_binary_values(f, e, BinSub, to, from);
    if (width.kind == VError) return width;
    u = lower_binary_values(f, e, BinMul, u, width);
    return u.kind == VError ? u : lower_binary_values(f, e, BinAdd, u, from);
}

static Value near_iota(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name, (void)want;
    const Expr *n = named_arg(e, "n", 0);
    Value v = n ? lower_expr(f, n, NULL) : v_error();
    if (v.kind != VInt) {
        if (!n || v.kind != VError) {
            diag_error(f->fr->cx, e->loc, "iota(n) needs an integer known at compile time");
        }
        return v_error();
    }
    Attr attr = attr_int(v.i);
    Dim *dim = NEW(f->fr->cx->arena, Dim);
    *dim = (Dim){v.i, v.tag};
    return emit_op(f, e->loc, Op_iota, NULL, 0, &attr, NULL, dim);
}

/* cast_to(v, x): v with the type of x's elements; what the rule of a cast needs. */
static Value near_cast_to(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name, (void)want;
    if (e->args.len != 2) {
        diag_error(f->fr->cx, e->loc, "cast_to takes two tensors");
        return v_error();
    }
    Value v = lower_tensor(f, e->args.data[0].value, NULL),
          x = lower_tensor(f, e->args.data[1].value, NULL);
    if (v.kind == VError || x.kind == VError) return v_error();
    Type t = {v_type(f, x).dt, 0, v_type(f, v).shape};
    b_at(f->b, e->loc, NULL);
    return v_tensor(f, b_op(f->b, Op_cast, &v.v, 1, NULL, &t), v.dims);
}

/* total(e): e summed over an evaluation; see lower_train_body.c. */
static Value near_total(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name, (void)want;
    Front *fr = f->fr;
    Root *r = f->root;
    if (e->args.len != 1 || r->total == TotalNone) {
        diag_error(fr->cx, e->loc, e->args.len != 1
                       ? "total takes one tensor"
                       : "total(e) stands in a metric or print of train, outside of loops, "
                         "branches and derivatives");
        return v_error();
    }
    Value v = lower_tensor(f, e->args.data[0].value, NULL);
    if (v.kind == VError) return v;
    Type t = v_type(f, v), real = {f->real, 0, t.shape};
    if (!dtype_is_float(t.dt)) v = v_tensor(f, b_op(f->b, Op_cast, &v.v, 1, NULL, &real), v.dims);
    uint32_t n = r->totals.len;
    if (r->total == TotalFormal)
        v.v = capture(r, fr, sym_fmt(fr->cx, "total.%s.t%u", r->stage, n), v_type(f, v));
    vec_push(fr->cx->arena, &r->totals, v.v);
    vec_push(fr->cx->arena, &r->total_at, e->loc);
    return v;
}

static Value near_decode(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)want;
    diag_error(f->fr->cx, e->loc, "%s(DATA, ids) stands in a print of train only", name);
    return v_error();
}

static const struct {
    const char *name;
    Value (*run)(Frame *, const Expr *, Sym, const Want *);
} near_primitives[] = {
#define NEAR(name, run, ...) {#name, run},
#include "frontend/builtins.def"
};

static bool callable(Op op) {
    return op != OpCount && op_info[op].cls != ClsCall && op_info[op].cls != ClsOperator &&
           op_info[op].cls != ClsRegion &&
           op != Op_param && op != Op_const && op != Op_rng && op != Op_cast;
}

const char *near_primitive(uint32_t i) {
    return i < LEN(near_primitives) ? near_primitives[i].name : NULL;
}

bool is_builtin(Sym name) {
    for (size_t i = 0; i < LEN(near_primitives); i++) {
        if (!strcmp(near_primitives[i].name, name)) return true;
    }
    return callable(op_by_name(name));
}

Value lower_builtin(Frame *f, const Expr *e, Sym name, const Want *want) {
    for (size_t i = 0; i < LEN(near_primitives); i++) {
        if (!strcmp(near_primitives[i].name, name)) return near_primitives[i].run(f, e, name, want);
    }
    return op_call(f, e, op_by_name(name));
}
