/* Calls replaced by the bodies of the called functions:
 *
 *   fn sq(x: f32) -> f32 { return mul(x, x); }
 *   let y: f32 = sq(a);          becomes    let y: f32 = mul(a, a);
 *
 * A function that is called several times and is worth it (is_worth_calling) stays one and is
 * compiled once. What is copied keeps its position; the name that the caller gives to a result
 * wins. Before differentiation, functions that have a rule stay calls.
 * Tests: tests/passes/rebuild_test.c, tests/passes/call_test.c */
#include "passes/passes.h"

typedef struct Inline {
    Program *p;
    Keep keep;
    const bool *kept; /* by place in the program: these stay; NULL: as `keep` says */
} Inline;

static const Fn *flatten(const Inline *w, const Fn *fn);

static bool inline_one(const Inline *w, Builder *b, const Fn *fn, Val v, Val *map) {
    Program *p = w->p;
    const Ins *call = &fn->ins.data[v];
    const Fn *callee = program_fn(p, call->attrs[0].s); /* of a checkpoint, too */
    if (!callee) bug_at(p->cx, call->loc, "call of unknown function %s", call->attrs[0].s);
    callee = flatten(w, callee);
    if (!callee) return false;
    Arena *a = p->cx->scratch;
    Vals mine = results_of(p, fn, v);
    Val *args = NEW_ARRAY(a, Val, call->nargs), *results = NEW_ARRAY(a, Val, callee->results.len);
    Sym *names = NEW_ARRAY(a, Sym, callee->results.len);
    for (uint32_t k = 0; k < call->nargs; k++) args[k] = map[call->args[k]];
    for (uint32_t k = 0; k < mine.len; k++) names[k] = fn->ins.data[mine.data[k]].name;
    splice(p, b, callee, args, NULL, &(Splice){.names = names}, results);
    for (uint32_t k = 0; k < mine.len; k++) map[mine.data[k]] = results[k];
    map[v] = results[0];
    return true;
}

static uint32_t place_of(const Program *p, Sym name) {
    uint32_t k = 0;
    while (k < p->fns.len && p->fns.data[k]->name != name) k++;
    return k;
}

static bool is_replaced(const Inline *w, const Fn *fn, const Ins *i) {
    if (i->op == Op_checkpoint && w->keep == KeepNone) return true;
    if (i->op != Op_call) return false;
    const Fn *callee = program_fn(w->p, i->attrs[0].s);
    if (!callee) bug_at(w->p->cx, i->loc, "call of unknown function %s", i->attrs[0].s);
    if (w->kept) return !w->kept[place_of(w->p, callee->name)];
    if (w->keep == KeepNone) return true;
    if (while_part(w->p, i).pair) return false;
    return !has_rule(w->p, fn, i, w->keep) && !is_worth_calling(w->p, callee);
}

static const Fn *flatten(const Inline *w, const Fn *fn) {
    Program *p = w->p;
    fn = expand_operators(p, fn);
    if (!fn) return NULL;
    bool *chosen = NEW_ARRAY(p->cx->scratch, bool, fn->ins.len), any = false;
    for (Val v = 0; v < fn->ins.len; v++) any |= chosen[v] = is_replaced(w, fn, &fn->ins.data[v]);
    if (!any) return fn;
    Val *map;
    Builder *b = copy_begin(p, fn, fn->name, &map);
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (map[v] != NoVal) continue;
        if (!chosen[v]) {
            map[v] = b_copy(b, &fn->ins.data[v], map);
        } else if (!inline_one(w, b, fn, v, map)) {
            return NULL;
        }
    }
    return copy_done(b, fn, map);
}

const Fn *inline_calls(Program *p, const Fn *fn, Keep keep) {
    return flatten(&(Inline){.p = p, .keep = keep}, fn);
}

/* Whether each function is called several times from what runs, and worth it. Callees stand before
 * callers. */
static bool *find_kept(Program *p) {
    uint32_t n = p->fns.len;
    bool *kept = NEW_ARRAY(p->cx->scratch, bool, n);
    uint32_t *copies = NEW_ARRAY(p->cx->scratch, uint32_t, n);
    bool *runs = NEW_ARRAY(p->cx->scratch, bool, n);
    for (uint32_t f = n; f-- > 0;) {
        const Fn *fn = p->fns.data[f];
        bool entry = program_is_entry(p, fn) || runs[f];
        kept[f] = copies[f] > 1 && is_worth_calling(p, fn);
        uint32_t times = kept[f] ? 1 : copies[f] + entry;
        for (Val v = 0; times && v < fn->ins.len; v++) {
            const Ins *i = &fn->ins.data[v];
            bool call = i->op == Op_call || i->op == Op_checkpoint;
            for (int k = 0; k < op_info[i->op].nattrs; k++) {
                if (i->attrs[k].kind != AttrFn) continue;
                uint32_t to = place_of(p, i->attrs[k].s);
                if (to < n && call) copies[to] += copies[to] < 1000 ? times : 0;
                else if (to < n) runs[to] = true;
            }
        }
    }
    return kept;
}

void pass_inline(Program *p) {
    keep_callees_first(p, NULL);
    Inline w = {.p = p, .kept = find_kept(p)};
    for (uint32_t i = 0; i < p->fns.len; i++) {
        const Fn *fn = p->fns.data[i], *flat = flatten(&w, fn);
        if (flat && flat != fn) program_add(p, (Fn *)flat);
    }
}
