/* head[...]: one of a list or an array of layers, slices of tensors. */
#include "frontend/lower.h"

static Value index_list(Frame *f, const Expr *e, Value x) {
    Cx *cx = f->fr->cx;
    const Arg *a = &e->args.data[0];
    if (e->args.len == 1 && a->value->kind == ExSlice && x.kind == VList) {
        int64_t lo = 0, hi = x.n;
        const Expr *s = a->value;
        if (s->x && !eval_int(f, s->x, &lo, "a bound")) return v_error();
        if (s->y && !eval_int(f, s->y, &hi, "a bound")) return v_error();
        if (lo < 0) lo += x.n;
        if (hi < 0) hi += x.n;
        if (lo < 0 || hi > x.n || lo > hi || s->z) {
            diag_error(cx, a->loc, "the slice is out of range for %u elements", x.n);
            return v_error();
        }
        return v_list(f->fr, VList, x.elems + lo, (uint32_t)(hi - lo));
    }
    int64_t i;
    if (e->args.len != 1 || a->name) {
        diag_error(cx, e->loc, "one integer is needed between the brackets");
        return v_error();
    }
    if (!eval_int(f, a->value, &i, "an index")) return v_error();
    if (i < 0) i += x.n;
    if (i < 0 || i >= x.n) {
        diag_error(cx, a->value->loc, "index %lld is out of range for %u elements", (long long)i,
                   x.n);
        return v_error();
    }
    return x.elems[i];
}

typedef struct Cut { /* per axis of the tensor */
    int64_t *lo, *hi, *stride;
    bool *drop, *back; /* back: from the last to the first */
    uint32_t axis;
} Cut;

/* a:b:c as NumPy has it, but out of range is an error. A negative stride c takes the same elements
 * upwards, to be turned round. */
static bool cut_slice(Frame *f, const Expr *s, int64_t n, Cut *c, uint32_t at) {
    int64_t step = 1, from = 0, to = 0;
    if (s->z && !eval_int(f, s->z, &step, "a stride")) return false;
    if (!step || step == INT64_MIN) {
        diag_error(f->fr->cx, s->z->loc, "a stride is not %s", step ? "that small" : "0");
        return false;
    }
    if (s->x && !eval_int(f, s->x, &from, "a bound")) return false;
    if (s->y && !eval_int(f, s->y, &to, "a bound")) return false;
    bool far = from < -n || from > n || to < -n || to > n;
    from = !s->x ? (step > 0 ? 0 : n - 1) : from < 0 ? from + n : from;
    to = !s->y ? (step > 0 ? n : -1) : to < 0 ? to + n : to;
    int64_t lo = step > 0 || far ? from : to + 1, hi = step > 0 || far ? to : from + 1;
    if (far || lo < 0 || hi > n || lo > hi) {
        diag_error(f->fr->cx, s->loc,
                   "the slice is %lld:%lld, which is out of range for an axis of length %lld",
                   (long long)from, (long long)to, (long long)n);
        return false;
    }
    if (step < 0 && hi > lo) lo = hi - 1 - (hi - 1 - lo) / -step * -step;
    c->lo[at] = lo;
    c->hi[at] = hi;
    c->stride[at] = step < 0 ? -step : step;
    c->back[at] = step < 0;
    return true;
}

static bool cut_axis(Frame *f, const Expr *s, Value x, Cut *c) {
    Cx *cx = f->fr->cx;
    uint32_t rank = v_type(f, x).shape->rank;
    if (c->axis >= rank) {
        diag_error(cx, s->loc, "more subscripts than the rank, %u", rank);
        return false;
    }
    uint32_t at = c->axis++;
    int64_t n = x.dims[at].n;
    if (s->kind == ExSlice) return cut_slice(f, s, n, c, at);
    Value v = lower_expr(f, s, NULL);
    if (v.kind == VError) return false;
    if (v.kind != VInt) {
        diag_error(cx, s->loc, "a subscript is an integer, a slice or '...', this is %s",
                   v_describe(f, v));
        return false;
    }
    int64_t i = v.i < 0 ? v.i + n : v.i;
    if (i < 0 || i >= n) {
        diag_error(cx, s->loc, "index %lld is out of range for an axis of length %lld",
                   (long long)v.i, (long long)n);
        return false;
    }
    c->lo[at] = i;
    c->hi[at] = i + 1;
    c->drop[at] = true;
    return true;
}

/* x without the axis, at a run-time index. */
static Value pick_along(Frame *f, Loc loc, Value x, uint32_t axis, Value i) {
    uint32_t rank = v_type(f, x).shape->rank, n = 0;
    Type t = v_type(f, i);
    if (t.dt != I32 || t.shape->rank || t.range != x.dims[axis].n) {
        long long len = x.dims[axis].n;
        const char *hint = "";
        if (t.shape->rank)
            hint = t.dt == BOOL ? "; where(c, a, b) chooses per element"
                                : "; gather(x, i, axis=a) takes a tensor of them";
        else if (t.dt == I32 || t.dt == I64)
            hint = arena_printf(f->fr->cx->arena, "; i32<%lld>(i) clamps", len);
        diag_error(f->fr->cx, loc,
                   "a run-time index into an axis of length %lld is an i32<%lld>, this is %s%s",
                   len, len, v_describe(f, i), hint);
        return v_error();
    }
    Dim *dims = NEW_ARRAY(f->fr->cx->arena, Dim, rank);
    for (uint32_t d = 0; d < rank; d++) {
        if (d != axis) dims[n++] = x.dims[d];
    }
    Attr attr = attr_int(axis);
    return emit_op(f, loc, Op_gather, (Value[]){x, i}, 2, &attr, NULL, dims);
}

/* Run-time subscripts first, from the last to the first: e without them, and what is left of x. */
static Expr *run_time_subscripts(Frame *f, const Expr *e, Value *x) {
    Cx *cx = f->fr->cx;
    uint32_t rank = v_type(f, *x).shape->rank;
    Expr *rest = NEW(cx->arena, Expr);
    Value *found = NEW_ARRAY(cx->arena, Value, rank);
    uint32_t *axis = NEW_ARRAY(cx->arena, uint32_t, rank), n = 0, at = 0;
    *rest = *e;
    memset(&rest->args, 0, sizeof rest->args);
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        ExprKind k = a->value->kind;
        if (k == ExDots && rank + i + 1 >= e->args.len) at = rank - (e->args.len - i - 1) - 1;
        bool open = !a->name && k != ExDots && k != ExSlice && k != ExInt && at < rank;
        Value v = open ? lower_expr(f, a->value, NULL) : v_error();
        if (open && v.kind == VError) *x = v;
        if (v.kind == VTensor)
            found[n] = v, axis[n++] = at;
        else
            vec_push(cx->arena, &rest->args, *a);
        at++;
    }
    while (n-- > 0 && x->kind == VTensor) *x = pick_along(f, e->loc, *x, axis[n], found[n]);
    return rest;
}

/* x backwards along the axes of `back`. */
static Value turned(Frame *f, Loc loc, Value x, const bool *back) {
    Cx *cx = f->fr->cx;
    uint32_t rank = v_type(f, x).shape->rank, n = 0;
    int64_t *axes = NEW_ARRAY(cx->arena, int64_t, rank);
    for (uint32_t i = 0; i < rank; i++) {
        if (back[i]) axes[n++] = i;
    }
    Attr attr = attr_ints(cx, axes, n);
    return n ? emit_op(f, loc, Op_flip, &x, 1, &attr, NULL, x.dims) : x;
}

static Value index_tensor(Frame *f, const Expr *e, Value x) {
    Cx *cx = f->fr->cx;
    e = run_time_subscripts(f, e, &x);
    if (x.kind != VTensor || !e->args.len) return x;
    uint32_t rank = v_type(f, x).shape->rank;
    Cut c = {NEW_ARRAY(cx->arena, int64_t, rank), NEW_ARRAY(cx->arena, int64_t, rank),
             NEW_ARRAY(cx->arena, int64_t, rank), NEW_ARRAY(cx->arena, bool, rank),
             NEW_ARRAY(cx->arena, bool, rank),    0};
    for (uint32_t i = 0; i < rank; i++) c.hi[i] = x.dims[i].n, c.stride[i] = 1;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        if (a->name) {
            diag_error(cx, a->loc, "a tensor takes integers and slices, no '%s='", a->name);
            return v_error();
        }
        if (a->value->kind == ExDots) {
            c.axis = rank >= e->args.len - i - 1 ? rank - (e->args.len - i - 1) : 0;
        } else if (!cut_axis(f, a->value, x, &c)) {
            return v_error();
        }
    }
    Attr attrs[3] = {attr_ints(cx, c.lo, rank), attr_ints(cx, c.hi, rank),
                     attr_ints(cx, c.stride, rank)};
    Value cut = emit_op(f, e->loc, Op_slice, &x, 1, attrs, NULL, NULL);
    if (cut.kind == VError) return cut;
    cut = turned(f, e->loc, cut, c.back);
    VEC(Dim) dims = {0};
    for (uint32_t i = 0; i < rank; i++) {
        bool whole = c.lo[i] == 0 && c.hi[i] == x.dims[i].n && c.stride[i] == 1;
        if (!c.drop[i]) vec_push(cx->arena, &dims, whole ? x.dims[i] : cut.dims[i]);
    }
    const Shape *s = dims_shape(f, e->loc, dims.data, dims.len);
    return s ? v_tensor(f, b_reshape(f->b, cut.v, s), dims.data) : v_error();
}

Value lower_index(Frame *f, const Expr *e) {
    if (e->x->kind == ExName && !find_binding(f, e->x->name) && is_operator(e->x->name)) {
        diag_error(f->fr->cx, e->loc, "%s[...] is a function; call it", e->x->name);
        return v_error();
    }
    Value x = lower_expr(f, e->x, NULL);
    switch (x.kind) {
    case VError:
        return x;
    case VList:
    case VTuple:
    case VLayers:
        return index_list(f, e, x);
    case VTensor:
        return index_tensor(f, e, x);
    case VInt:
    case VFloat:
    case VBool:
    case VStr:
    case VInstance:
    case VDataset:
    case VFunction:
        break;
    }
    diag_error(f->fr->cx, e->loc, "%s has no subscripts", v_describe(f, x));
    return v_error();
}
