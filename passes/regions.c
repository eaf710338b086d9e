/* Regions in the form that is compiled:
 *
 *   let h: f32[8, 4] = scan[f](h0, x, carry=1, seq=1, axis=1, ...);   a scan walks along the first
 *                                                                     axis of its sequences
 *   let h: f32[4] = scan[f](0.0, x, ...);                             a constant is stored first
 *
 * Tests: tests/passes/region_test.c */
#include "passes/passes.h"

typedef struct Rewrite {
    Program *p;
    const Fn *fn;
    Builder *b;
    Val *map;
} Rewrite;

/* The operand in memory of its own. */
static Val stored(Builder *b, Val x) {
    const Ins *i = b_ins(b, x);
    if (i->op != Op_const || i->ndata != 1) return x;
    return b_op(b, Op_opt_barrier, &x, 1, NULL, NULL);
}

static void rewrite(Rewrite *w, Val v) {
    Arena *a = w->p->cx->scratch;
    const Ins *i = &w->fn->ins.data[v];
    Region r = region_of(w->p, i);
    Vals results = results_of(w->p, w->fn, v);
    int nattrs = op_info[i->op].nattrs;
    Attr *attrs = NEW_ARRAY(a, Attr, (size_t)nattrs);
    copy_bytes(attrs, i->attrs, (size_t)nattrs * sizeof *attrs);
    if (i->op == Op_scan) attrs[3] = attr_int(0);
    b_at(w->b, i->loc, i->rule);
    Val *args = NEW_ARRAY(a, Val, i->nargs), *out = NEW_ARRAY(a, Val, results.len);
    for (uint32_t k = 0; k < i->nargs; k++) {
        bool sequence = i->op == Op_scan && k >= r.carry && k < r.carry + r.seq;
        args[k] = w->map[i->args[k]];
        if (sequence) args[k] = region_leading(w->b, &r, args[k], false);
        args[k] = stored(w->b, args[k]);
    }
    Ins made = {.op = i->op, .attrs = attrs, .loc = i->loc};
    Region now = region_of(w->p, &made);
    RegionTypes t = region_types(w->p->cx, a, &made, &now);
    b_multi(w->b, (Op)i->op, args, i->nargs, attrs, t.results, results.len, out);
    w->map[v] = out[0]; /* a result itself if it is the only one */
    for (uint32_t k = 0; k < results.len; k++) {
        Val y = results.data[k];
        bool emitted = i->op == Op_scan && k >= r.carry;
        w->map[y] = emitted ? region_leading(w->b, &r, out[k], true) : out[k];
        if (w->fn->ins.data[y].name) b_name(w->b, w->map[y], w->fn->ins.data[y].name);
    }
}

static bool is_region(const Ins *i) { return op_info[i->op].cls == ClsRegion || i->op == Op_call; }

void pass_regions(Program *p) {
    for (uint32_t n = 0; n < p->fns.len; n++) {
        const Fn *fn = p->fns.data[n];
        bool any = false;
        for (Val v = 0; v < fn->ins.len; v++) any |= is_region(&fn->ins.data[v]);
        if (!any) continue;
        Rewrite w = {.p = p, .fn = fn};
        w.b = copy_begin(p, fn, fn->name, &w.map);
        for (Val v = fn->nparams; v < fn->ins.len; v++) {
            if (w.map[v] != NoVal) continue;
            if (is_region(&fn->ins.data[v])) rewrite(&w, v);
            else w.map[v] = b_copy(w.b, &fn->ins.data[v], w.map);
        }
        program_add(p, copy_done(w.b, fn, w.map));
    }
}
