/* Calls replaced by the bodies of the called functions:
 *
 *   fn sq(x: f32) -> f32 { return mul(x, x); }
 *   let y: f32 = sq(a);          becomes    let y: f32 = mul(a, a);
 *
 * What is copied keeps its position; the name that the caller gives to a result wins. Before
 * differentiation, functions that have a rule stay calls. Tests: tests/passes/rebuild_test.c */
#include "passes/passes.h"

static bool inline_one(Program *p, Builder *b, const Fn *fn, Val v, Keep keep, Val *map) {
    const Ins *call = &fn->ins.data[v];
    const Fn *callee = program_fn(p, call->attrs[0].s); /* of a checkpoint, too */
    if (!callee) bug_at(p->cx, call->loc, "call of unknown function %s", call->attrs[0].s);
    callee = inline_calls(p, callee, keep);
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

const Fn *inline_calls(Program *p, const Fn *fn, Keep keep) {
    fn = expand_operators(p, fn);
    if (!fn) return NULL;
    bool *chosen = NEW_ARRAY(p->cx->scratch, bool, fn->ins.len), any = false;
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        chosen[v] = i->op == Op_call && !(keep && has_rule(p, fn, i, keep));
        chosen[v] |= i->op == Op_checkpoint && keep == KeepNone;
        any |= chosen[v];
    }
    if (!any) return fn;
    Val *map;
    Builder *b = copy_begin(p, fn, fn->name, &map);
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (map[v] != NoVal) continue;
        if (!chosen[v]) {
            map[v] = b_copy(b, &fn->ins.data[v], map);
        } else if (!inline_one(p, b, fn, v, keep, map)) {
            return NULL;
        }
    }
    return copy_done(b, fn, map);
}

void pass_inline(Program *p) {
    for (uint32_t i = 0; i < p->fns.len; i++) {
        const Fn *fn = p->fns.data[i], *flat = inline_calls(p, fn, KeepNone);
        if (flat && flat != fn) program_add(p, (Fn *)flat);
    }
}
