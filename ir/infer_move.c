/* Shape rules of views and of movement along an axis. */
#include "ir/infer.h"

#define RULE(name) const char *infer_##name(Infer *q)

/* ---- views ---- */
static const char *target_shape(Infer *q, const Shape **to) {
    if (q->attrs[0].kind == AttrNone) return "needs the shape `to`";
    *to = shape_of(q->cx, q->attrs[0].is.v, q->attrs[0].is.n);
    q->result = (Type){q->args[0].dt, q->args[0].range, *to};
    if (*to) return NULL;
    for (uint32_t d = 0; d < q->attrs[0].is.n; d++) {
        if (q->attrs[0].is.v[d] < 0) return "`to` has a negative dimension";
    }
    return INFER_FAIL(q, "`to` %s", shape_excess(q->cx, q->attrs[0].is.n));
}

RULE(broadcast) {
    const Shape *from = q->args[0].shape, *to;
    const char *wrong = target_shape(q, &to);
    if (wrong) return wrong;
    bool fits = from->rank <= to->rank;
    for (uint32_t k = 0; fits && k < from->rank; k++) {
        int64_t n = from->dim[k];
        fits = n == 1 || n == to->dim[to->rank - from->rank + k];
    }
    if (fits) return NULL;
    return INFER_FAIL(q, "%s cannot become %s", infer_text(q, 0), type_text(q->cx, q->result));
}

RULE(reshape) {
    const Shape *to;
    const char *wrong = target_shape(q, &to);
    if (wrong || to->size == q->args[0].shape->size) return wrong;
    return INFER_FAIL(q, "%lld elements cannot become %lld", (long long)q->args[0].shape->size,
                      (long long)to->size);
}

RULE(transpose) {
    const Shape *s = q->args[0].shape;
    int64_t *perm = NEW_ARRAY(q->cx->arena, int64_t, s->rank);
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, s->rank);
    bool *taken = NEW_ARRAY(q->cx->arena, bool, s->rank);
    if (q->attrs[0].kind == AttrNone) {
        const char *wrong = infer_need(q, 0, s->rank >= 2, "of rank 2 or more");
        if (wrong) return wrong;
        for (uint32_t k = 0; k < s->rank; k++) perm[k] = k;
        perm[s->rank - 1] = s->rank - 2;
        perm[s->rank - 2] = s->rank - 1;
        q->attrs[0] = (Attr){.kind = AttrInts, .is = {s->rank, perm}};
    }
    if (q->attrs[0].is.n != s->rank) {
        return INFER_FAIL(q, "perm has %u axes, x (%s) has %u", q->attrs[0].is.n, infer_text(q, 0),
                          s->rank);
    }
    for (uint32_t k = 0; k < s->rank; k++) {
        int64_t axis = q->attrs[0].is.v[k];
        const char *wrong = infer_axis(q, &axis, 0);
        if (wrong) return wrong;
        if (taken[axis]) return INFER_FAIL(q, "axis %lld stands twice", (long long)axis);
        taken[axis] = true;
        perm[k] = axis;
        dim[k] = s->dim[axis];
    }
    q->attrs[0].is.v = perm;
    return infer_shape(q, q->args[0], dim, s->rank);
}

/* Fills a list with one number per axis if it was not given. */
static const char *per_axis(Infer *q, int attr, int64_t value) {
    uint32_t rank = q->args[0].shape->rank;
    Attr *a = &q->attrs[attr];
    if (a->kind == AttrNone) {
        int64_t *v = NEW_ARRAY(q->cx->arena, int64_t, rank);
        for (uint32_t k = 0; k < rank; k++) v[k] = value;
        *a = (Attr){.kind = AttrInts, .is = {rank, v}};
    }
    if (a->is.n == rank) return NULL;
    return INFER_FAIL(q, "%s has %u numbers for %u axes", q->op->attrs[attr].name, a->is.n, rank);
}

RULE(slice) {
    const Shape *s = q->args[0].shape;
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, s->rank);
    if (q->attrs[1].kind == AttrNone) q->attrs[1] = attr_ints(q->cx, s->dim, s->rank);
    const char *wrong = per_axis(q, 0, 0);
    if (!wrong) wrong = per_axis(q, 1, 0);
    if (!wrong) wrong = per_axis(q, 2, 1);
    if (wrong) return wrong;
    for (uint32_t k = 0; k < s->rank; k++) {
        int64_t lo = q->attrs[0].is.v[k], hi = q->attrs[1].is.v[k], step = q->attrs[2].is.v[k];
        if (lo < 0 || lo > hi || hi > s->dim[k]) {
            return INFER_FAIL(q, "%lld:%lld is not within axis %u of size %lld", (long long)lo,
                              (long long)hi, k, (long long)s->dim[k]);
        }
        if (step < 1) return INFER_FAIL(q, "stride %lld is not positive", (long long)step);
        dim[k] = (hi - lo) / step + ((hi - lo) % step != 0);
    }
    return infer_shape(q, q->args[0], dim, s->rank);
}

RULE(flip) {
    bool *taken = NEW_ARRAY(q->cx->arena, bool, q->args[0].shape->rank);
    q->result = q->args[0];
    return infer_axes(q, &q->attrs[0], taken);
}

/* lo + n + (n - 1) * interior + hi; false if that overflows. */
static bool padded(int64_t n, int64_t lo, int64_t hi, int64_t interior, int64_t *out) {
    int64_t inside = n ? n - 1 : 0;
    return !__builtin_mul_overflow(inside, interior, &inside) &&
           !__builtin_add_overflow(inside, n, &inside) &&
           !__builtin_add_overflow(inside, lo, &inside) &&
           !__builtin_add_overflow(inside, hi, out);
}

RULE(pad) {
    const Shape *s = q->args[0].shape;
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, s->rank);
    Type value = q->args[1];
    if (value.dt != q->args[0].dt || value.shape->rank) {
        return INFER_FAIL(q, "value must be a scalar %s, it is %s", dtype_name(q->args[0].dt),
                          infer_text(q, 1));
    }
    for (int i = 0; i < 3; i++) {
        const char *wrong = per_axis(q, i, 0);
        if (wrong) return wrong;
    }
    for (uint32_t k = 0; k < s->rank; k++) {
        int64_t lo = q->attrs[0].is.v[k], hi = q->attrs[1].is.v[k], in = q->attrs[2].is.v[k];
        if (in < 0) return INFER_FAIL(q, "interior %lld is negative", (long long)in);
        if (!padded(s->dim[k], lo, hi, in, &dim[k])) return "the result has too many elements";
        if (dim[k] < 0) {
            return INFER_FAIL(q, "lo %lld and hi %lld cut more than axis %u of size %lld has",
                              (long long)lo, (long long)hi, k, (long long)s->dim[k]);
        }
    }
    Type like = q->args[0];
    if (value.range != like.range) like.range = 0;
    return infer_shape(q, like, dim, s->rank);
}

/* ---- movement along an axis ---- */
/* otherwise: the axis if none is given. */
static const char *one_axis(Infer *q, uint32_t *axis, int64_t otherwise) {
    if (q->attrs[0].kind == AttrNone) q->attrs[0] = attr_int(otherwise);
    int64_t k = q->attrs[0].i;
    const char *wrong = infer_axis(q, &k, 0);
    q->attrs[0].i = k;
    *axis = (uint32_t)k;
    return wrong;
}

RULE(concat) {
    if (!q->nargs) return "needs at least one operand";
    uint32_t axis;
    const char *wrong = one_axis(q, &axis, 0);
    if (wrong) return wrong;
    Type like = q->args[0];
    uint32_t rank = like.shape->rank;
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, rank);
    copy_bytes(dim, like.shape->dim, rank * sizeof *dim);
    for (uint32_t i = 1; i < q->nargs; i++) {
        Type t = q->args[i];
        bool fits = t.shape->rank == rank;
        for (uint32_t k = 0; fits && k < rank; k++) fits = k == axis || t.shape->dim[k] == dim[k];
        if (t.dt != like.dt || !fits) {
            return INFER_FAIL(q, "operands 1 and %u differ off axis %u (%s and %s)", i + 1, axis,
                              infer_text(q, 0), infer_text(q, i));
        }
        if (t.range != like.range) like.range = 0;
        if (__builtin_add_overflow(dim[axis], t.shape->dim[axis], &dim[axis])) {
            return "the result has too many elements";
        }
    }
    return infer_shape(q, like, dim, rank);
}

RULE(arg) {
    const Shape *s = q->args[0].shape;
    uint32_t axis, rank = 0;
    const char *wrong = infer_need(q, 0, q->args[0].dt != BOOL, "numbers");
    if (!wrong) wrong = one_axis(q, &axis, -1);
    if (wrong) return wrong;
    int64_t n = s->dim[axis];
    if (!n) return INFER_FAIL(q, "axis %u of x (%s) is empty", axis, infer_text(q, 0));
    if (n > INT32_MAX) return INFER_FAIL(q, "axis %u of size %lld is too long", axis, (long long)n);
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, s->rank);
    for (uint32_t k = 0; k < s->rank; k++) {
        if (k != axis) dim[rank++] = s->dim[k];
    }
    return infer_shape(q, (Type){I32, n, NULL}, dim, rank);
}

/* The shape of gather's result: x's with the axis replaced by the indices' shape. */
static const char *indexed(Infer *q, uint32_t *axis) {
    const Shape *s = q->args[0].shape, *i = q->args[1].shape;
    const char *wrong = one_axis(q, axis, 0);
    if (wrong) return wrong;
    if (q->args[1].dt != I32 || !q->args[1].range || q->args[1].range != s->dim[*axis]) {
        long long n = (long long)s->dim[*axis];
        return INFER_FAIL(q, "i must be i32<%lld>, it is %s; i32<%lld>(i) clamps", n,
                          infer_text(q, 1), n);
    }
    uint32_t rank = s->rank - 1 + i->rank, n = 0;
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, rank);
    for (uint32_t k = 0; k < *axis; k++) dim[n++] = s->dim[k];
    for (uint32_t k = 0; k < i->rank; k++) dim[n++] = i->dim[k];
    for (uint32_t k = *axis + 1; k < s->rank; k++) dim[n++] = s->dim[k];
    return infer_shape(q, q->args[0], dim, rank);
}

RULE(gather) {
    uint32_t axis;
    return indexed(q, &axis);
}

RULE(scatter_add) {
    uint32_t axis;
    const char *wrong = infer_need(q, 0, q->args[0].dt != BOOL, "numbers");
    if (!wrong) wrong = indexed(q, &axis);
    if (wrong) return wrong;
    if (q->args[2].dt != q->args[0].dt || q->args[2].shape != q->result.shape) {
        return INFER_FAIL(q, "u must be %s, it is %s",
                          type_text(q->cx, type_of(q->args[0].dt, q->result.shape)),
                          infer_text(q, 2));
    }
    q->result = type_of(q->args[0].dt, q->args[0].shape);
    return NULL;
}

RULE(cumsum) {
    uint32_t axis;
    const char *wrong = infer_need(q, 0, q->args[0].dt != BOOL, "numbers");
    if (q->attrs[1].kind == AttrNone) q->attrs[1] = attr_bool(false);
    q->result = type_of(q->args[0].dt, q->args[0].shape);
    return wrong ? wrong : one_axis(q, &axis, -1);
}
