/* Regions under differentiation: what is active in them, and what both modes build them with.
 * Tests: tests/passes/region_test.c */
#include "passes/passes.h"

uint32_t *marked_params(Program *p, const bool *wrt, uint32_t nparams, uint32_t *n) {
    uint32_t *list = NEW_ARRAY(p->cx->scratch, uint32_t, nparams);
    *n = 0;
    for (uint32_t k = 0; k < nparams; k++) {
        if (wrt[k]) list[(*n)++] = k;
    }
    return list;
}

void add_fresh(Program *p, Fn *fn, const char *base, const char *suffix) {
    fn->name = program_fresh(p, arena_printf(p->cx->scratch, "%s_%s", base, suffix));
    program_add(p, fn);
}

Val region_leading(Builder *b, const Region *r, Val x, bool back) {
    const Shape *s = b_type(b, x).shape;
    int64_t axis = region_axis(r, s->rank - 1), *perm = NEW_ARRAY(b_arena(b), int64_t, s->rank);
    if (axis == 0) return x;
    for (uint32_t d = 0; d < s->rank; d++) {
        if (back) perm[d] = d == axis ? 0 : d < axis ? d + 1 : d;
        else perm[d] = d == 0 ? axis : (int64_t)d <= axis ? d - 1 : d;
    }
    Attr attr = {.kind = AttrInts, .is = {s->rank, perm}};
    return b_op(b, Op_transpose, &x, 1, &attr, NULL);
}

/* Marks the results of body that depend on what wrt marks; false after a user error. */
static bool follow(Program *p, RuleKind kind, const Fn *body, const bool *wrt, bool *result) {
    uint32_t n;
    const uint32_t *list = marked_params(p, wrt, body->nparams, &n);
    body = inline_calls(p, body, kind == RuleForward ? KeepForward : KeepBackward);
    if (!body) return false;
    Activity a = activity_find(p, kind, body, list, n, NULL);
    for (uint32_t k = 0; k < body->results.len; k++) {
        result[k] |= a.active[body->results.data[k]];
    }
    return !a.errors;
}

RegionActivity *region_activity(Program *p, RuleKind kind, const Fn *fn, Val v,
                                const bool *active) {
    const Ins *i = &fn->ins.data[v];
    if (while_part(p, i).pair) return part_activity(p, kind, i, active);
    RegionActivity *a = NEW(p->cx->scratch, RegionActivity);
    a->r = region_of(p, i);
    const Fn *body = a->r.body;
    a->wrt = NEW_ARRAY(p->cx->scratch, bool, body->nparams);
    a->result = NEW_ARRAY(p->cx->scratch, bool, body->results.len);
    for (uint32_t k = 0; k < body->nparams; k++) {
        a->wrt[k] = active[i->args[a->r.first + k]];
    }
    bool more = true;
    while (more) {
        more = false;
        if (!follow(p, kind, body, a->wrt, a->result)) return NULL;
        if (i->op == Op_cond && !follow(p, kind, a->r.other, a->wrt, a->result)) return NULL;
        for (uint32_t k = 0; k < a->r.carry; k++) {
            bool joins = a->result[k] && !a->wrt[k];
            a->wrt[k] |= joins;
            more |= joins;
        }
    }
    for (uint32_t k = 0; k < body->results.len; k++) {
        a->result[k] |= k < a->r.carry && a->wrt[k];
        a->any |= a->result[k];
    }
    return a;
}
