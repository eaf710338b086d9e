/* Operands of convolutions and contractions in the form that kernels read in place:
 *
 *   conv(x, w)                 conv(x, f)
 *   matmul(transpose(x), y)    matmul(opt_barrier(transpose(x)), y)
 *
 * Filters are copied in the order in which taps are summed, o next to o: f =
 * opt_barrier(transpose(w)) seen through the inverse transposition; so is x, channels last, where
 * many of them are summed at each place. A left operand stored by columns is turned where much is
 * computed with each of its elements. No bit changes. Tests: tests/codegen/conv_test.c,
 * tests/passes/layout_test.c */
#include "passes/passes.h"

typedef struct Layout {
    Program *p;
    Builder *b;
    const Shape *x, *w;
    Conv c;
} Layout;

/* Kernels have vectors of filters where there are many, else of places along the last axis. */
static bool by_filters(const Layout *l) {
    int64_t o = l->c.o / (l->c.groups * l->c.batch_groups);
    return o >= 16 || o > l->c.axis[MaxSpatial - 1].out;
}

/* x in memory with its axes in the given order. */
static Val stored(Layout *l, Val x, const int64_t *order, uint32_t rank) {
    int64_t *back = NEW_ARRAY(l->p->cx->scratch, int64_t, rank);
    for (uint32_t d = 0; d < rank; d++) back[order[d]] = d;
    Attr there = attr_ints(l->p->cx, order, rank), again = attr_ints(l->p->cx, back, rank);
    x = b_op(l->b, Op_transpose, &x, 1, &there, NULL);
    x = b_op(l->b, Op_opt_barrier, &x, 1, NULL, NULL);
    return b_op(l->b, Op_transpose, &x, 1, &again, NULL);
}

static Val filters(Layout *l, Val w) {
    uint32_t rank = l->w->rank;
    int64_t *order = NEW_ARRAY(l->p->cx->scratch, int64_t, rank);
    bool large = !by_filters(l) && l->w->size > l->x->size;
    if (large && b_ins(l->b, w)->op != Op_const) return w;
    for (uint32_t d = 0; d < rank; d++) order[d] = d + 2 < rank ? d + 2 : rank - 1 - d;
    return stored(l, w, order, rank);
}

enum { ManyChannels = 16 };

static Val images(Layout *l, Val x) {
    uint32_t rank = l->x->rank;
    int64_t *order = NEW_ARRAY(l->p->cx->scratch, int64_t, rank);
    if (b_ins(l->b, x)->op == Op_const) x = b_op(l->b, Op_opt_barrier, &x, 1, NULL, NULL);
    if (!by_filters(l) || l->c.i < ManyChannels) return x;
    for (uint32_t d = 1; d < rank; d++) order[d] = d + 1 < rank ? d + 1 : 1;
    return stored(l, x, order, rank);
}

static Val laid_out(Program *p, Builder *b, const Ins *ins, const Val *map) {
    Layout l = {.p = p, .b = b, .x = b_type(b, map[ins->args[0]]).shape,
                .w = b_type(b, map[ins->args[1]]).shape};
    l.c = conv_of(ins, l.x, l.w);
    b_at(b, ins->loc, ins->rule);
    if (!ins->type.shape->size || !l.w->size) return b_copy(b, ins, map);
    Val x = images(&l, map[ins->args[0]]), w = filters(&l, map[ins->args[1]]);
    Val y = b_op(b, Op_conv, (Val[]){x, w}, 2, ins->attrs, NULL);
    if (ins->name) b_name(b, y, ins->name);
    return y;
}

enum { ManyColumns = 128, MuchPerElement = 1 << 16 };

/* Reads of columns cost more than one copy from so many columns of the result on, unless the sums
 * are short. */
static Val turned(Builder *b, const Ins *ins, const Val *map) {
    const Ins *x = b_ins(b, map[ins->args[0]]), *y = b_ins(b, map[ins->args[1]]);
    uint32_t rank = ins->type.shape->rank;
    int64_t k = y->type.shape->dim[rank - 2], n = y->type.shape->dim[rank - 1];
    bool by_columns = x->op == Op_transpose && x->attrs[0].is.v[rank - 1] != rank - 1;
    bool much = n >= ManyColumns && k * n >= MuchPerElement;
    if (!by_columns || !much || ins->type.shape->dim[rank - 2] == 1) return b_copy(b, ins, map);
    b_at(b, ins->loc, ins->rule);
    Val rows = b_op(b, Op_opt_barrier, &map[ins->args[0]], 1, NULL, NULL);
    Val z = b_op(b, Op_matmul, (Val[]){rows, map[ins->args[1]]}, 2, ins->attrs, NULL);
    if (ins->name) b_name(b, z, ins->name);
    return z;
}

static Fn *layout_fn(Program *p, Fn *fn) {
    bool has = false;
    for (Val v = 0; v < fn->ins.len; v++)
        has |= fn->ins.data[v].op == Op_conv || fn->ins.data[v].op == Op_matmul;
    if (!has) return fn;
    Val *map;
    Builder *b = copy_begin(p, fn, fn->name, &map);
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        map[v] = ins->op == Op_conv     ? laid_out(p, b, ins, map)
                 : ins->op == Op_matmul ? turned(b, ins, map)
                                        : b_copy(b, ins, map);
    }
    return copy_done(b, fn, map);
}

void pass_layout(Program *p) {
    for (uint32_t i = 0; i < p->fns.len; i++) p->fns.data[i] = layout_fn(p, p->fns.data[i]);
}
