/* The pass `plan`: every function, callees first, and what to do about a budget. */
#include "passes/plan.h"

/* Per function the carries of the scans that it is the body of; 0 if it is anything else too. */
static uint32_t *find_carries(const Program *p) {
    uint32_t n = p->fns.len, *carries = NEW_ARRAY(p->cx->scratch, uint32_t, n);
    bool *other = NEW_ARRAY(p->cx->scratch, bool, n);
    for (uint32_t f = 0; f < n; f++) {
        const Fn *fn = p->fns.data[f];
        other[f] |= program_is_entry(p, fn);
        for (Val v = 0; v < fn->ins.len; v++) {
            const Ins *i = &fn->ins.data[v];
            for (int k = 0; k < op_info[i->op].nattrs; k++) {
                if (i->attrs[k].kind != AttrFn) continue;
                uint32_t to = 0;
                while (p->fns.data[to]->name != i->attrs[k].s) to++;
                uint32_t carry = i->op == Op_scan ? region_of(p, i).carry : 0;
                other[to] |= !carry || (carries[to] && carries[to] != carry);
                carries[to] = carry;
            }
        }
    }
    for (uint32_t f = 0; f < n; f++) carries[f] = other[f] ? 0 : carries[f];
    return carries;
}

uint64_t plan_total(const Plan *plan) {
    return plan->param_bytes + plan->opt_bytes + plan->arena_bytes;
}

void pass_plan(Program *p) {
    const uint32_t *carries = find_carries(p);
    for (uint32_t i = 0; i < p->fns.len; i++) {
        Fn *fn = plan_fn(p, p->fns.data[i], carries[i]);
        bool over = p->memory.budget && program_is_entry(p, fn) &&
                    plan_total(fn->plan) > p->memory.budget;
        p->fns.data[i] = over ? fit_budget(p, fn, p->memory.budget) : fn;
    }
}
