/* Rewrites to cheaper operations that give the same bits for every input, beyond what the builder
 * does while it appends:
 *
 *   div(x, 8.0)        mul(x, 0.125)    the reciprocal of a power of two is exact
 *   add(x, neg(y))     sub(x, y)        also with the operands swapped
 *   sub(x, neg(y))     add(x, y)
 *   where(not(c), a, b)  where(c, b, a)
 *
 * Rewrites that change bits run at every -O level or not at all, so they do not stand here.
 * Tests: tests/passes/rebuild_test.c */
#include "passes/passes.h"

#include <math.h>
#include <stdlib.h>

/* The instruction that defines operand k if it is an op, else NULL. */
static const Ins *operand(const Builder *b, const Ins *i, uint32_t k, Op op) {
    const Ins *def = b_ins(b, i->args[k]);
    return def->op == op ? def : NULL;
}

static Val binary(Builder *b, Op op, Val x, Val y) {
    return b_op(b, op, (Val[]){x, y}, 2, NULL, NULL);
}

static Val div_by_power(Builder *b, const Ins *i) {
    const Ins *c = operand(b, i, 1, Op_const);
    if (!c || !dtype_is_float(i->type.dt) || c->ndata != 1) return NoVal;
    int exponent, limit = i->type.dt == F64 ? 1022 : 126;
    double m = frexp(c->data[0].f, &exponent);
    if (fabs(m) != 0.5 || abs(exponent - 1) > limit) return NoVal;
    return binary(b, Op_mul, i->args[0], b_float(b, i->type, 1 / c->data[0].f));
}

static Val add_neg(Builder *b, const Ins *i) {
    for (uint32_t k = 0; k < 2; k++) {
        const Ins *n = operand(b, i, k, Op_neg);
        if (n) return binary(b, Op_sub, i->args[1 - k], n->args[0]);
    }
    return NoVal;
}

static Val sub_neg(Builder *b, const Ins *i) {
    const Ins *n = operand(b, i, 1, Op_neg);
    return n ? binary(b, Op_add, i->args[0], n->args[0]) : NoVal;
}

static Val where_not(Builder *b, const Ins *i) {
    const Ins *n = operand(b, i, 0, Op_not);
    if (!n) return NoVal;
    return b_op(b, Op_where, (Val[]){n->args[0], i->args[2], i->args[1]}, 3, NULL, NULL);
}

static const struct {
    Op op;
    Val (*rewrite)(Builder *b, const Ins *i); /* operands in b; NoVal: no match */
} rewrites[] = {
    {Op_div, div_by_power},
    {Op_add, add_neg},
    {Op_sub, sub_neg},
    {Op_where, where_not},
};

static Val rewrite(Program *p, Builder *b, const Ins *from, const Val *map) {
    Ins i = *from;
    for (size_t r = 0; r < LEN(rewrites); r++) {
        if (rewrites[r].op != i.op) continue;
        Val *args = NEW_ARRAY(p->cx->scratch, Val, i.nargs);
        for (uint32_t k = 0; k < i.nargs; k++) args[k] = map[i.args[k]];
        i.args = args;
        b_at(b, i.loc, i.rule);
        Val v = rewrites[r].rewrite(b, &i);
        if (v != NoVal && i.name) b_name(b, v, i.name);
        if (v != NoVal) return v;
    }
    return b_copy(b, from, map);
}

static Fn *simplified(Program *p, const Fn *fn) {
    bool *live = live_values(p, fn, NULL);
    Val *map;
    Builder *b = copy_begin(p, fn, fn->name, &map);
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (live[v]) map[v] = rewrite(p, b, &fn->ins.data[v], map);
    }
    return copy_done(b, fn, map);
}

void pass_simplify(Program *p) {
    for (uint32_t i = 0; i < p->fns.len; i++) program_add(p, simplified(p, p->fns.data[i]));
}
