/* Copying functions: what every pass rebuilds with. All temporary tables are scratch memory.
 * Instructions with several results keep all of their Op_get's, or none: the printed form names
 * each result. */
#include "passes/passes.h"

void copy_header(Fn *to, const Fn *from) {
    to->loc = from->loc;
    to->rule = from->rule;
    to->doc = from->doc;
    to->exported = from->exported;
    to->donated = from->donated;
}

Builder *copy_begin(Program *p, const Fn *fn, Sym name, Val **map) {
    Builder *b = builder_new(p, name, false);
    copy_header(b_fn(b), fn);
    Val *m = NEW_ARRAY(p->cx->scratch, Val, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) m[v] = NoVal;
    for (Val v = 0; v < fn->nparams; v++) {
        const Ins *i = &fn->ins.data[v];
        b_at(b, i->loc, i->rule);
        m[v] = b_param(b, i->name, i->type);
    }
    *map = m;
    return b;
}

static bool has_param(Builder *b, Sym name) {
    const Fn *fn = b_fn(b);
    for (Val v = 0; v < fn->nparams; v++) {
        if (fn->ins.data[v].name == name) return true;
    }
    return false;
}

Sym fresh_param(Program *p, Builder *b, const char *prefix, Sym name) {
    Sym s = sym_fmt(p->cx, "%s_%s", prefix, name);
    for (unsigned n = 2; has_param(b, s); n++) s = sym_fmt(p->cx, "%s_%s_%u", prefix, name, n);
    return s;
}

Fn *copy_done(Builder *b, const Fn *fn, const Val *map) {
    for (uint32_t k = 0; k < fn->results.len; k++) b_result(b, map[fn->results.data[k]]);
    return builder_done(b);
}

bool *live_values(Program *p, const Fn *fn, const bool *want) {
    bool *live = NEW_ARRAY(p->cx->scratch, bool, fn->ins.len);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        if (!want || want[k]) live[fn->results.data[k]] = true;
    }
    for (Val v = fn->ins.len; v-- > 0;) {
        const Ins *i = &fn->ins.data[v];
        for (uint32_t k = 0; live[v] && k < i->nargs; k++) live[i->args[k]] = true;
    }
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        if (i->op == Op_get && live[i->args[0]]) live[v] = true;
    }
    return live;
}

/* The name that the caller has for value v of fn. */
static Sym outer_name(const Fn *fn, Val v, const Sym *names) {
    for (uint32_t k = 0; names && k < fn->results.len; k++) {
        if (fn->results.data[k] == v && names[k]) return names[k];
    }
    return fn->ins.data[v].name;
}

const Ins *relabelled(Program *p, const Fn *fn, const Splice *as) {
    Ins *ins = NEW_ARRAY(p->cx->scratch, Ins, fn->ins.len + 1);
    for (Val v = 0; v < fn->ins.len; v++) {
        ins[v] = fn->ins.data[v];
        ins[v].name = as->rule ? NULL : outer_name(fn, v, as->names);
        if (!as->rule) continue;
        ins[v].loc = as->loc;
        ins[v].rule = as->rule;
    }
    return ins;
}

void splice(Program *p, Builder *b, const Fn *fn, const Val *args, const bool *want,
            const Splice *as, Val *results) {
    bool *live = live_values(p, fn, want);
    Val *map = NEW_ARRAY(p->cx->scratch, Val, fn->ins.len);
    const Ins *ins = relabelled(p, fn, as);
    for (Val v = 0; v < fn->ins.len; v++) {
        map[v] = v < fn->nparams ? args[v] : NoVal;
        if (v >= fn->nparams && live[v]) map[v] = b_copy(b, &ins[v], map);
    }
    for (uint32_t k = 0; k < fn->results.len; k++) {
        results[k] = !want || want[k] ? map[fn->results.data[k]] : NoVal;
    }
}

Vals results_of(Program *p, const Fn *fn, Val v) {
    Vals r = {0};
    for (Val g = v + 1; !fn->ins.data[v].type.shape; g++) {
        if (g == fn->ins.len || fn->ins.data[g].op != Op_get) break;
        vec_push(p->cx->scratch, &r, g);
    }
    if (!r.len) vec_push(p->cx->scratch, &r, v);
    return r;
}

Fn *drop_dead(Program *p, const Fn *fn) {
    bool *live = live_values(p, fn, NULL);
    Val *map;
    Builder *b = copy_begin(p, fn, fn->name, &map);
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (live[v]) map[v] = b_copy(b, &fn->ins.data[v], map);
    }
    return copy_done(b, fn, map);
}
