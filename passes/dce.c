/* Dead code: values that no result needs, and functions that nothing runs. What runs is what is
 * exported, what initialises the parameters, and the steps and evaluations of the stages.
 * Tests: tests/passes/rebuild_test.c */
#include "passes/passes.h"

typedef struct Order {
    Program *p;
    Fn **out;
    uint32_t n;
    bool *seen;
} Order;

/* Depth first: what fn refers to, then fn. */
static void place(Order *o, uint32_t index) {
    if (o->seen[index]) return;
    o->seen[index] = true;
    Fn *fn = o->p->fns.data[index];
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        for (int k = 0; k < op_info[i->op].nattrs; k++) {
            if (i->attrs[k].kind != AttrFn) continue;
            uint32_t to = 0;
            while (to < o->p->fns.len && o->p->fns.data[to]->name != i->attrs[k].s) to++;
            if (to < o->p->fns.len) place(o, to);
        }
    }
    o->out[o->n++] = fn;
}

void keep_callees_first(Program *p, const bool *roots) {
    Order o = {.p = p};
    o.out = NEW_ARRAY(p->cx->scratch, Fn *, p->fns.len);
    o.seen = NEW_ARRAY(p->cx->scratch, bool, p->fns.len);
    for (uint32_t i = 0; i < p->fns.len; i++) {
        if (!roots || roots[i]) place(&o, i);
    }
    copy_bytes(p->fns.data, o.out, o.n * sizeof *o.out);
    p->fns.len = o.n;
}

void pass_dce(Program *p) {
    bool *roots = NEW_ARRAY(p->cx->scratch, bool, p->fns.len);
    for (uint32_t i = 0; i < p->fns.len; i++) roots[i] = program_is_entry(p, p->fns.data[i]);
    keep_callees_first(p, roots);
    for (uint32_t i = 0; i < p->fns.len; i++) program_add(p, drop_dead(p, p->fns.data[i]));
    for (uint32_t k = 0; k < p->stages.len; k++) {
        Stage *s = p->stages.data[k];
        if (s->loss && !program_fn(p, s->loss)) s->loss = NULL;
    }
}
