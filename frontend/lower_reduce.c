/* Reductions of numbers, floats or integers: sum prod max min (x, axis = all, keep = false). The
 * rest of them is made of these in std/math.bp. max(a, b) and min(a, b) are operations of their
 * own. */
#include "frontend/lower.h"

static const struct {
    const char *name;
    Op op, of_two;
} reductions[] = {
    {"sum", Op_reduce_sum, OpCount},
    {"prod", Op_reduce_prod, OpCount},
    {"max", Op_reduce_max, Op_max},
    {"min", Op_reduce_min, Op_min},
};

typedef struct Reduction {
    const Expr *x, *axis, *keep;
    uint32_t positional;
} Reduction;

static bool read_arguments(Frame *f, const Expr *e, Sym name, Reduction *r) {
    Cx *cx = f->fr->cx;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        const char *known[] = {"x", "axis", "keep"};
        const Expr **into[] = {&r->x, &r->axis, &r->keep};
        size_t k = 0;
        while (a->name && k < LEN(known) && strcmp(known[k], a->name)) k++;
        if (k == LEN(known)) {
            diag_unknown(cx, a->loc, a->name, known, LEN(known),
                         "'%s' has no argument '%s'; it takes x, axis= and keep=", name, a->name);
            return false;
        }
        if (!a->name && r->positional++) {
            diag_error(cx, a->loc, "%s takes one tensor; axes are given by name: axis=0", name);
            return false;
        }
        *into[k] = a->value;
    }
    if (!r->x) diag_error(cx, e->loc, "%s: operand 'x' is missing", name);
    return r->x != NULL;
}

/* Which axes; false after a report. */
static bool read_axes(Frame *f, const Expr *e, Sym name, uint32_t rank, bool *taken) {
    int64_t *ints;
    uint32_t n;
    Value v = e ? lower_expr(f, e, NULL) : v_error();
    bool all = !e || (v.kind == VStr && !strcmp(v.s, "all"));
    for (uint32_t k = 0; all && k < rank; k++) taken[k] = true;
    if (all) return true;
    if (v.kind == VError || !v_ints(f, e->loc, v, "axis", &ints, &n)) return false;
    for (uint32_t i = 0; i < n; i++) {
        int64_t k = ints[i] < 0 ? ints[i] + rank : ints[i];
        if (k >= 0 && k < rank && !taken[k]) {
            taken[k] = true;
            continue;
        }
        diag_error(f->fr->cx, e->loc,
                   k >= 0 && k < rank ? "%s: axis %lld is named twice"
                                      : "%s: axis %lld is out of range for rank %u",
                   name, (long long)ints[i], rank);
        return false;
    }
    return true;
}

Value near_reduce(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)want;
    Cx *cx = f->fr->cx;
    size_t which = 0;
    while (strcmp(reductions[which].name, name)) which++;
    uint32_t two = 0;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Sym of = e->args.data[i].name;
        two += !of || !strcmp(of, "a") || !strcmp(of, "b");
    }
    if (two > 1 && reductions[which].of_two != OpCount)
        return op_call(f, e, reductions[which].of_two);
    Reduction r = {0};
    if (!read_arguments(f, e, name, &r)) return v_error();
    Value x = lower_tensor(f, r.x, NULL), keep = v_bool(false);
    if (r.keep) keep = lower_expr(f, r.keep, NULL);
    if (x.kind == VError || keep.kind == VError) return v_error();
    if (keep.kind != VBool) {
        diag_error(cx, r.keep->loc, "keep is a bool known at compile time, this is %s",
                   v_describe(f, keep));
        return v_error();
    }
    uint32_t rank = v_type(f, x).shape->rank, n = 0, left = 0;
    bool *taken = NEW_ARRAY(cx->arena, bool, rank);
    int64_t *axes = NEW_ARRAY(cx->arena, int64_t, rank);
    Dim *dims = NEW_ARRAY(cx->arena, Dim, rank), *whole = NEW_ARRAY(cx->arena, Dim, rank);
    if (!read_axes(f, r.axis, name, rank, taken)) return v_error();
    for (uint32_t k = 0; k < rank; k++) {
        whole[k] = taken[k] ? (Dim){1, NULL} : x.dims[k];
        if (taken[k])
            axes[n++] = k;
        else
            dims[left++] = x.dims[k];
    }
    Attr attr = attr_ints(cx, axes, n);
    Value v = emit_op(f, e->loc, reductions[which].op, &x, 1, &attr, NULL, dims);
    if (v.kind == VError || !keep.i) return v;
    const Shape *s = dims_shape(f, e->loc, whole, rank);
    return s ? v_tensor(f, b_reshape(f->b, v.v, s), whole) : v_error();
}
