/* Tensors put together from parts and taken apart: concat, stack, split, unstack; whole numbers at
 * random. */
#include "frontend/lower.h"

/* The axis of a tensor of this rank; false after a report. */
static bool read_axis(Frame *f, const Expr *e, uint32_t place, int64_t otherwise, uint32_t rank,
                      uint32_t *out) {
    const Expr *axis = named_arg(e, "axis", place);
    int64_t at = otherwise;
    if (axis && !eval_int(f, axis, &at, "axis")) return false;
    int64_t k = at < 0 ? at + rank : at;
    if (k < 0 || k >= rank) {
        diag_error(f->fr->cx, axis ? axis->loc : e->loc, "axis %lld is not an axis of %u",
                   (long long)at, rank);
        return false;
    }
    *out = (uint32_t)k;
    return true;
}

/* The tensors of a list argument; n == 0 after a report. */
static Value tensor_list(Frame *f, const Expr *e, Sym name) {
    const Expr *list = named_arg(e, "xs", 0);
    Value v = list ? lower_expr(f, list, NULL) : v_error();
    if ((v.kind != VList && v.kind != VTuple) || !v.n) {
        if (!list || v.kind != VError) {
            diag_error(f->fr->cx, e->loc, "%s needs a list of tensors: %s([a, b])", name, name);
        }
        return v_error();
    }
    Value *elems = NEW_ARRAY(f->fr->cx->arena, Value, v.n);
    for (uint32_t i = 0; i < v.n; i++) {
        elems[i] = v_materialise(f, list->loc, v.elems[i], -1, NULL);
        if (elems[i].kind == VError) return v_error();
    }
    v.elems = elems;
    return v;
}

Value near_concat(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)want;
    Value v = tensor_list(f, e, name);
    uint32_t at;
    if (v.kind == VError) return v;
    uint32_t rank = v_type(f, v.elems[0]).shape->rank;
    if (!read_axis(f, e, 1, 0, rank ? rank : 1, &at)) return v_error();
    Attr attr = attr_int(at);
    return emit_op(f, e->loc, Op_concat, v.elems, v.n, &attr, NULL, NULL);
}

/* x with a new axis of size 1. */
static Value with_axis(Frame *f, Loc loc, Value x, uint32_t at) {
    uint32_t rank = v_type(f, x).shape->rank;
    Dim *dims = NEW_ARRAY(f->fr->cx->arena, Dim, rank + 1);
    for (uint32_t d = 0; d <= rank; d++) {
        dims[d] = d == at ? (Dim){1, NULL} : x.dims[d > at ? d - 1 : d];
    }
    const Shape *s = dims_shape(f, loc, dims, rank + 1);
    return s ? v_tensor(f, b_reshape(f->b, x.v, s), dims) : v_error();
}

Value near_stack(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)want;
    Value v = tensor_list(f, e, name);
    uint32_t at;
    if (v.kind == VError) return v;
    Type first = v_type(f, v.elems[0]);
    if (!read_axis(f, e, 1, 0, first.shape->rank + 1, &at)) return v_error();
    for (uint32_t i = 0; i < v.n; i++) {
        Type t = v_type(f, v.elems[i]);
        if (t.shape != first.shape || t.dt != first.dt) {
            diag_error(f->fr->cx, e->loc, "stack needs tensors of one type: %s and %s",
                       v_describe(f, v.elems[0]), v_describe(f, v.elems[i]));
            return v_error();
        }
        b_at(f->b, e->loc, NULL);
        v.elems[i] = with_axis(f, e->loc, v.elems[i], at);
        if (v.elems[i].kind == VError) return v_error();
    }
    Attr attr = attr_int(at);
    Value r = emit_op(f, e->loc, Op_concat, v.elems, v.n, &attr, NULL, NULL);
    if (r.kind == VError) return r;
    Dim *dims = NEW_ARRAY(f->fr->cx->arena, Dim, first.shape->rank + 1);
    for (uint32_t d = 0; d <= first.shape->rank; d++) {
        dims[d] = d == at ? r.dims[d] : v.elems[0].dims[d];
    }
    r.dims = dims;
    return r;
}

/* Elements lo to lo + n of an axis; drop: n is 1 and the axis falls away. */
static Value part(Frame *f, Loc loc, Value x, uint32_t axis, int64_t lo, int64_t n, bool drop) {
    Cx *cx = f->fr->cx;
    uint32_t rank = v_type(f, x).shape->rank, k = 0;
    int64_t *from = NEW_ARRAY(cx->arena, int64_t, rank), *to = NEW_ARRAY(cx->arena, int64_t, rank);
    Dim *dims = NEW_ARRAY(cx->arena, Dim, rank);
    for (uint32_t d = 0; d < rank; d++) {
        from[d] = d == axis ? lo : 0;
        to[d] = d == axis ? lo + n : x.dims[d].n;
        if (d != axis) dims[k++] = x.dims[d];
        else if (!drop) dims[k++] = (Dim){n, &dim_computed};
    }
    Attr attrs[] = {attr_ints(cx, from, rank), attr_ints(cx, to, rank), {AttrNone, {0}}};
    Value cut = emit_op(f, loc, Op_slice, &x, 1, attrs, NULL, NULL);
    const Shape *s = cut.kind == VError ? NULL : dims_shape(f, loc, dims, k);
    return s ? v_tensor(f, b_reshape(f->b, cut.v, s), dims) : v_error();
}

static Value parts_of(Frame *f, Loc loc, Value x, uint32_t axis, int64_t count, bool drop) {
    Value *elems = NEW_ARRAY(f->fr->cx->arena, Value, (size_t)count);
    int64_t each = count ? x.dims[axis].n / count : 0;
    for (int64_t i = 0; i < count; i++) {
        elems[i] = part(f, loc, x, axis, i * each, each, drop);
        if (elems[i].kind == VError) return v_error();
    }
    return v_list(f->fr, VTuple, elems, (uint32_t)count);
}

enum { MaxParts = 4096 };

/* split(z, parts=3, axis=-1) */
Value near_split(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name, (void)want;
    Cx *cx = f->fr->cx;
    const Expr *z = named_arg(e, "z", 0), *parts = named_arg(e, "parts", 1);
    if (!z || !parts) {
        diag_error(cx, e->loc, "split needs a tensor and parts=");
        return v_error();
    }
    Value x = lower_tensor(f, z, NULL);
    int64_t n;
    uint32_t at;
    if (x.kind == VError || !eval_int(f, parts, &n, "parts") ||
        !read_axis(f, e, 2, -1, v_type(f, x).shape->rank, &at)) {
        return v_error();
    }
    if (n < 1 || n > MaxParts || x.dims[at].n % n) {
        diag_error(cx, parts->loc, "an axis of length %lld does not split into %lld equal parts",
                   (long long)x.dims[at].n, (long long)n);
        return v_error();
    }
    return parts_of(f, e->loc, x, at, n, false);
}

/* unstack(z, axis=0): what stands along the axis, without it */
Value near_unstack(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name, (void)want;
    const Expr *z = named_arg(e, "z", 0);
    Value x = z ? lower_tensor(f, z, NULL) : v_error();
    uint32_t at;
    if (!z) diag_error(f->fr->cx, e->loc, "unstack needs a tensor");
    if (x.kind == VError ||
        !read_axis(f, e, 1, 0, v_type(f, x).shape->rank, &at)) {
        return v_error();
    }
    if (x.dims[at].n > MaxParts) {
        diag_error(f->fr->cx, e->loc, "unstack gives at most %d tensors; scan walks along an axis",
                   MaxParts);
        return v_error();
    }
    return parts_of(f, e->loc, x, at, x.dims[at].n, true);
}

/* randint(): whole numbers in [0, V) for the declared i32<V>, floor(u V) of uniform u in f64, so
 * that V up to 2^31 is drawn evenly. */
Value near_randint(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name;
    Cx *cx = f->fr->cx;
    if (!want || want->dt != I32 || !want->range || e->args.len) {
        diag_error(cx, e->loc,
                   "randint() draws within a declared type: let i: i32<10> = randint();");
        return v_error();
    }
    const Shape *s = dims_shape(f, e->loc, want->dims, want->rank);
    if (!s) return v_error();
    Type wide = type_of(F64, s), whole = {I32, want->range, s};
    Attr stream = attr_int(f->draws);
    Val key = frame_key(f);
    f->draws++;
    b_at(f->b, e->loc, NULL);
    Val u = b_op(f->b, Op_rng, &key, 1, &stream, &wide);
    u = b_mul(f->b, u, b_float(f->b, wide, (double)want->range));
    return v_tensor(f, b_op(f->b, Op_cast, &u, 1, NULL, &whole), want->dims);
}

/* A list with an entry per axis; one number stands for all. */
static bool per_axis(Frame *f, const Expr *e, uint32_t rank, Attr *out) {
    int64_t *ints;
    uint32_t n;
    Value v = lower_expr(f, e, NULL);
    if (v.kind == VError || !v_ints(f, e->loc, v, "pad", &ints, &n)) return false;
    if (v.kind == VInt) {
        int64_t *all = NEW_ARRAY(f->fr->cx->arena, int64_t, rank);
        for (uint32_t d = 0; d < rank; d++) all[d] = v.i;
        ints = all;
    } else if (n != rank) {
        diag_error(f->fr->cx, e->loc, "%u numbers for %u axes", n, rank);
        return false;
    }
    *out = attr_ints(f->fr->cx, ints, rank);
    return true;
}

/* pad(x, lo, hi, value=0); the operation itself is pad(x, value, lo=, hi=, interior=). */
Value near_pad(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name, (void)want;
    const Expr *x = named_arg(e, "x", 0), *lo = named_arg(e, "lo", 1), *hi = named_arg(e, "hi", 2),
               *value = named_arg(e, "value", 3);
    uint32_t positional = 0;
    for (uint32_t i = 0; i < e->args.len; i++) positional += !e->args.data[i].name;
    bool named = named_arg(e, "lo", UINT32_MAX) || named_arg(e, "interior", UINT32_MAX);
    if (positional == 2 && named) return op_call(f, e, Op_pad);
    if (!x || !lo || !hi) {
        diag_error(f->fr->cx, e->loc, "pad needs a tensor, lo and hi: pad(x, [1, 0], [1, 0])");
        return v_error();
    }
    Value args[] = {lower_tensor(f, x, NULL), v_error()};
    if (args[0].kind == VError) return args[0];
    Type t = v_type(f, args[0]);
    Want scalar = {.dt = t.dt};
    args[1] = value ? lower_expr(f, value, NULL) : v_int(0, NULL);
    args[1] = v_coerce(f, value ? value->loc : e->loc, args[1], &scalar, "'value'");
    Attr attrs[3] = {{AttrNone, {0}}, {AttrNone, {0}}, {AttrNone, {0}}};
    if (args[1].kind == VError || !per_axis(f, lo, t.shape->rank, &attrs[0]) ||
        !per_axis(f, hi, t.shape->rank, &attrs[1])) {
        return v_error();
    }
    return emit_op(f, e->loc, Op_pad, args, 2, attrs, NULL, NULL);
}
