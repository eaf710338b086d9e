/* The pass `plan`: every function, callees first, and what to do about a budget. */
#include "passes/plan.h"

#include <stdlib.h>

/* Per function the carries of the loops that it is the body of; 0 if it is anything else too. */
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
                bool body = i->op == Op_scan || (i->op == Op_while && k == 1);
                uint32_t carry = body ? region_of(p, i).carry : 0;
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

uint64_t largest_entry(const Program *p) {
    uint64_t most = 0;
    for (uint32_t f = 0; f < p->fns.len; f++) {
        const Fn *fn = p->fns.data[f];
        if (!fn->plan || !program_is_entry(p, fn)) continue;
        if (plan_total(fn->plan) > most) most = plan_total(fn->plan);
    }
    return most;
}

bool within_budget(const Program *p) {
    return !p->memory.budget || largest_entry(p) <= p->memory.budget;
}

uint32_t most_levels(const Program *p) {
    int64_t longest = 1;
    for (uint32_t f = 0; f < p->fns.len; f++) {
        const Fn *fn = p->fns.data[f];
        for (Val v = 0; v < fn->ins.len; v++) {
            const Ins *i = &fn->ins.data[v];
            if (i->op == Op_scan && i->attrs[4].i > longest) longest = i->attrs[4].i;
        }
    }
    uint32_t levels = 1;
    while (longest >> levels) levels++;
    return levels;
}

/* ---- the error ---- */

typedef struct Large {
    Val v;
    uint64_t bytes;
} Large;

static int larger_first(const void *x, const void *y) {
    const Large *a = x, *b = y;
    if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
    return a->v < b->v ? -1 : a->v > b->v;
}

enum { Shown = 5 };

/* What the forward part leaves in the arena, the largest first, a line of the source once. */
static void note_largest(const Program *p, const Fn *fn) {
    Large *all = NEW_ARRAY(p->cx->scratch, Large, fn->ins.len);
    uint32_t n = 0, shown = 0;
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        const Buf *b = &fn->plan->bufs[v];
        if (b->kind == BufArena && !i->rule && i->loc.line && i->op != Op_reshape) {
            all[n++] = (Large){v, b->bytes};
        }
    }
    qsort(all, n, sizeof *all, larger_first);
    for (uint32_t k = 0; k < n && shown < Shown; k++) {
        const Ins *i = &fn->ins.data[all[k].v];
        bool seen = false;
        for (uint32_t j = 0; j < k; j++) seen |= fn->ins.data[all[j].v].loc.line == i->loc.line;
        if (seen) continue;
        shown++;
        diag_note(p->cx, i->loc, "%s%s%s: %llu bytes are kept here", i->name ? "'" : "",
                  i->name ? i->name : "a value", i->name ? "'" : "",
                  (unsigned long long)all[k].bytes);
    }
}

bool report_budget(const Program *p) {
    for (uint32_t f = 0; f < p->fns.len; f++) {
        const Fn *fn = p->fns.data[f];
        if (!fn->plan || !program_is_entry(p, fn)) continue;
        if (plan_total(fn->plan) <= p->memory.budget) continue;
        diag_error(p->cx, fn->loc, "'%s' needs %llu bytes (parameters %llu, optimizer %llu, arena "
                   "%llu), more than --memory=%llu allows, with all recomputed that can be",
                   fn->name, (unsigned long long)plan_total(fn->plan),
                   (unsigned long long)fn->plan->param_bytes,
                   (unsigned long long)fn->plan->opt_bytes,
                   (unsigned long long)fn->plan->arena_bytes,
                   (unsigned long long)p->memory.budget);
        note_largest(p, fn);
    }
    return false;
}
