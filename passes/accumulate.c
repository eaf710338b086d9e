/* Sums of adjoints. What arrives at a few elements only is added to them in place, so that a loop
 * over slices of x costs what the slices cost and not the size of x each time:
 *
 *   add(sum, scatter_add(0.0, i, u))       becomes    scatter_add(sum, i, u)
 *   add(sum, pad(u, 0.0, lo=.., hi=..))    becomes    scatter_add(sum, [lo, lo + 1, ..], u)
 *
 * the latter where u is at most an eighth of x and cut along one axis; wider ones are cheaper as
 * part of one kernel. Tests: tests/passes/reverse_test.c */
#include "passes/reverse.h"

enum { Narrow = 8 };

bool is_zero(const Builder *b, Val v) {
    const Ins *i = b_ins(b, v);
    return i->op == Op_const && i->ndata == 1 && i->data[0].i == 0;
}

/* The one axis that pad `i` widens, or the rank. */
static uint32_t padded_axis(const Builder *b, const Ins *i) {
    uint32_t rank = i->type.shape->rank, axis = rank;
    const Shape *from = b_type(b, i->args[0]).shape;
    for (uint32_t d = 0; d < rank; d++) {
        bool cut = i->attrs[0].is.v[d] < 0 || i->attrs[1].is.v[d] < 0;
        bool same = from->dim[d] == i->type.shape->dim[d];
        if (cut || (!same && axis < rank)) return rank;
        if (!same) axis = d;
    }
    return axis;
}

/* scatter_add that does what adding pad does, or NoVal. */
static Val add_slice(Cx *cx, Builder *b, Val sum, const Ins *i) {
    if (i->op != Op_pad || !is_zero(b, i->args[1])) return NoVal;
    uint32_t axis = padded_axis(b, i);
    const Shape *part = b_type(b, i->args[0]).shape;
    if (axis == i->type.shape->rank || !part->size) return NoVal;
    if (part->size > i->type.shape->size / Narrow) return NoVal;
    int64_t n = part->dim[axis], lo = i->attrs[0].is.v[axis], gap = i->attrs[2].is.v[axis] + 1;
    Num *at = NEW_ARRAY(b_arena(b), Num, (uint64_t)n);
    for (int64_t k = 0; k < n; k++) at[k].i = lo + k * gap;
    Type type = {I32, i->type.shape->dim[axis], NULL};
    type.shape = shape_of(cx, &n, 1);
    Attr attr = attr_int(axis);
    Val args[] = {sum, b_const(b, type, at, (uint64_t)n), i->args[0]};
    return b_op(b, Op_scatter_add, args, 3, &attr, NULL);
}

static bool is_sparse(Builder *b, Val x) {
    const Ins *i = b_ins(b, x);
    return i->op == Op_scatter_add && is_zero(b, i->args[0]);
}

Val accumulate(Cx *cx, Builder *b, Val sum, Val x) {
    if (is_sparse(b, sum)) { /* the later term first: it may be in memory already */
        Val other = sum;
        sum = x;
        x = other;
    }
    Ins i = *b_ins(b, x);
    if (i.op == Op_scatter_add) {
        Val base = is_zero(b, i.args[0]) ? sum : accumulate(cx, b, sum, i.args[0]);
        return b_op(b, Op_scatter_add, (Val[]){base, i.args[1], i.args[2]}, 3, i.attrs, NULL);
    }
    Val narrow = add_slice(cx, b, sum, &i);
    return narrow != NoVal ? narrow : b_add(b, sum, x);
}
