/* Forward mode of regions: the same region over a body that computes tangents beside values.
 *
 *   let (h, t_h) = scan[body_tangents](h0, t_h0, x, t_x, w, t_w, carry=2, seq=2, ...);
 *
 * Each active formal is followed by its tangent, each active result by its tangent.
 * Tests: tests/passes/region_test.c */
#include "passes/passes.h"

typedef struct Paired {
    Program *p;
    const RegionActivity *a;
    const uint32_t *wrt;
    uint32_t nwrt;
} Paired;

/* fn with tangents. Only if `paired`, tangents stand beside its results, which otherwise are no
 * floats. NULL of NULL and after an error. */
static Fn *with_tangents(const Paired *q, const Fn *fn, bool paired) {
    Program *p = q->p;
    Arena *s = p->cx->scratch;
    const Fn *lin = paired ? linearize(p, fn, fn->name, q->wrt, q->nwrt) : fn;
    if (!lin) return NULL;
    Builder *b = builder_new(p, program_fresh(p, arena_printf(s, "%s_tangents", fn->name)), false);
    b_fn(b)->loc = fn->loc;
    Val *args = NEW_ARRAY(s, Val, fn->nparams + q->nwrt);
    uint32_t tangents = fn->nparams;
    for (uint32_t k = 0; k < fn->nparams; k++) {
        const Ins *i = &fn->ins.data[k];
        b_at(b, i->loc, i->rule);
        args[k] = b_param(b, i->name, i->type);
        if (!q->a->wrt[k]) continue;
        args[tangents++] = b_param(b, fresh_param(p, b, "t", i->name), i->type);
    }
    Val *out = NEW_ARRAY(s, Val, lin->results.len);
    splice(p, b, lin, args, NULL, &(Splice){0}, out);
    uint32_t at = fn->results.len; /* lin gives a tangent for each float result */
    for (uint32_t k = 0; k < fn->results.len; k++) {
        b_result(b, out[k]);
        bool has = dtype_is_float(fn->ins.data[fn->results.data[k]].type.dt);
        if (has && q->a->result[k]) b_result(b, out[at]);
        at += has;
    }
    program_add(p, builder_done(b));
    return b_fn(b);
}

/* Once for all calls with the same active parameters, and so the same active results. */
static const Fn *called_tangents(const Paired *q, const Fn *fn) {
    Program *p = q->p;
    Text t = {0};
    text_add(&t, "%s", fn->name);
    for (uint32_t k = 0; k < q->nwrt; k++) text_add(&t, " %u", q->wrt[k]);
    Sym key = sym(p->cx, text_done(&t, p->cx->scratch));
    for (uint32_t k = 0; k < p->tangents.len; k++) {
        const Fn *made = p->tangents.data[k].fn;
        if (p->tangents.data[k].key == key && program_fn(p, made->name)) return made;
    }
    const Fn *made = with_tangents(q, fn, true);
    struct CallTangents entry = {key, (Fn *)made};
    if (made) vec_push(p->cx->arena, &p->tangents, entry);
    return made;
}

static uint32_t count(const bool *active, uint32_t from, uint32_t n) {
    uint32_t found = n;
    for (uint32_t k = 0; k < n; k++) found += active[from + k];
    return found;
}

bool region_tangents(Program *p, Builder *b, const Ins *ins, const RegionActivity *a,
                     const Val *args, const Val *tangents, Val *values, Val *moved) {
    if (while_part(p, ins).pair) return part_tangents(p, b, ins, a, args, tangents, values, moved);
    Arena *s = p->cx->scratch;
    const Region *g = &a->r;
    const Fn *body = g->body;
    Paired q = {.p = p, .a = a};
    q.wrt = marked_params(p, a->wrt, body->nparams, &q.nwrt);
    const Fn *main = ins->op == Op_call ? called_tangents(&q, body) : with_tangents(&q, body, true);
    const Fn *other = main ? with_tangents(&q, g->other, ins->op == Op_cond) : NULL;
    if (!main || (g->other && !other)) return false;
    Vals operands = {0};
    for (uint32_t k = 0; k < ins->nargs; k++) {
        vec_push(s, &operands, args[k]);
        if (k < g->first || !a->wrt[k - g->first]) continue;
        Val t = tangents[k];
        vec_push(s, &operands, t != NoVal ? t : b_float(b, b_type(b, args[k]), 0));
    }
    Attr *attrs = NEW_ARRAY(s, Attr, (size_t)op_info[ins->op].nattrs);
    copy_bytes(attrs, ins->attrs, (size_t)op_info[ins->op].nattrs * sizeof *attrs);
    attrs[ins->op == Op_while ? 1 : 0] = attr_fn(main->name);
    if (other) attrs[ins->op == Op_while ? 0 : 1] = attr_fn(other->name);
    int carry_at = ins->op == Op_while ? 2 : ins->op == Op_scan ? 1 : -1;
    if (carry_at > 0) attrs[carry_at] = attr_int(count(a->wrt, 0, g->carry));
    if (ins->op == Op_scan) attrs[2] = attr_int(count(a->wrt, g->carry, g->seq));
    Ins made = {.op = ins->op, .attrs = attrs, .loc = ins->loc};
    Region r = region_of(p, &made);
    RegionTypes t = region_types(p->cx, s, &made, &r);
    Val *results = NEW_ARRAY(s, Val, t.nresults);
    b_multi(b, (Op)ins->op, operands.data, operands.len, attrs, t.results, t.nresults, results);
    for (uint32_t k = 0, n = 0; k < body->results.len; k++) {
        values[k] = results[n++];
        moved[k] = a->result[k] ? results[n++] : NoVal;
    }
    return true;
}
