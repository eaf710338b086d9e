/* Copies of instructions into a builder, and shorthands of what passes emit most. */
#include "ir/ir.h"

/* How many Op_get's follow an instruction with several results. */
static uint32_t count_gets(const Ins *multi) {
    uint32_t n = 0;
    while (multi[1 + n].op == Op_get && multi[1 + n].attrs[0].i == n) n++;
    return n;
}

uint32_t count_results(const Fn *fn, Val v) {
    if (fn->ins.data[v].type.shape) return 1;
    uint32_t n = 0;
    while (v + 1 + n < fn->ins.len && fn->ins.data[v + 1 + n].op == Op_get) n++;
    return n;
}

static Val copy_multi(Builder *b, const Ins *ins, const Val *args) {
    Arena *a = b_arena(b);
    uint32_t n = count_gets(ins);
    Type *types = NEW_ARRAY(a, Type, n);
    Val *results = NEW_ARRAY(a, Val, n);
    for (uint32_t k = 0; k < n; k++) types[k] = ins[1 + k].type;
    b_multi(b, (Op)ins->op, args, ins->nargs, ins->attrs, types, n, results);
    return results[0] - 1;
}

static Val copy_as_is(Builder *b, const Ins *ins, const Val *map) {
    if (ins->op == Op_param) return b_param(b, ins->name, ins->type);
    if (ins->op == Op_const) return b_const(b, ins->type, ins->data, ins->ndata);
    if (ins->op == Op_get) return map[ins->args[0]] + 1 + (Val)ins->attrs[0].i;
    Val *args = NEW_ARRAY(b_arena(b), Val, ins->nargs);
    for (uint32_t k = 0; k < ins->nargs; k++) args[k] = map[ins->args[k]];
    if (!ins->type.shape) return copy_multi(b, ins, args);
    return b_op(b, (Op)ins->op, args, ins->nargs, ins->attrs, &ins->type);
}

Val b_copy(Builder *b, const Ins *ins, const Val *map) {
    Loc loc = b_loc(b);
    Sym rule = b_rule(b);
    b_at(b, ins->loc, ins->rule);
    Val v = copy_as_is(b, ins, map);
    b_at(b, loc, rule);
    if (ins->name) b_name(b, v, ins->name);
    return v;
}

Val b_add(Builder *b, Val x, Val y) { return b_op(b, Op_add, (Val[]){x, y}, 2, NULL, NULL); }
Val b_mul(Builder *b, Val x, Val y) { return b_op(b, Op_mul, (Val[]){x, y}, 2, NULL, NULL); }

static Val to_shape(Builder *b, Op op, Val x, const Shape *to) {
    if (b_type(b, x).shape == to) return x;
    Attr attr = {.kind = AttrInts, .is = {to->rank, to->dim}};
    return b_op(b, op, &x, 1, &attr, NULL);
}

Val b_broadcast(Builder *b, Val x, const Shape *to) { return to_shape(b, Op_broadcast, x, to); }
Val b_reshape(Builder *b, Val x, const Shape *to) { return to_shape(b, Op_reshape, x, to); }

Val b_sum_to(Builder *b, Val x, const Shape *to) {
    const Shape *from = b_type(b, x).shape;
    if (from == to) return x;
    int64_t *axis = NEW_ARRAY(b_arena(b), int64_t, from->rank);
    uint32_t n = 0, lead = from->rank - to->rank;
    for (uint32_t k = 0; k < from->rank; k++) {
        if (k < lead || to->dim[k - lead] != from->dim[k]) axis[n++] = k;
    }
    Attr axes = {.kind = AttrInts, .is = {n, axis}};
    return b_reshape(b, b_op(b, Op_reduce_sum, &x, 1, &axes, NULL), to);
}

Val fn_append_identity(Arena *a, Fn *fn, Val v) {
    Val *arg = NEW(a, Val);
    *arg = v;
    const Ins *i = &fn->ins.data[v];
    Ins copy = {.op = Op_opt_barrier, .nargs = 1, .args = arg, .type = i->type, .loc = i->loc,
                .rule = i->rule};
    vec_push(a, &fn->ins, copy);
    return fn->ins.len - 1;
}

Fn *fn_copy(Arena *a, const Fn *from) {
    Fn *fn = NEW(a, Fn);
    *fn = *from;
    memset(&fn->ins, 0, sizeof fn->ins);
    memset(&fn->results, 0, sizeof fn->results);
    memset(&fn->kernels, 0, sizeof fn->kernels);
    for (Val v = 0; v < from->ins.len; v++) vec_push(a, &fn->ins, from->ins.data[v]);
    for (uint32_t r = 0; r < from->results.len; r++) {
        vec_push(a, &fn->results, from->results.data[r]);
    }
    return fn;
}
