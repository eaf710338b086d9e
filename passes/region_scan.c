/* Reverse mode of scan. It runs again from its last step to its first, on what the forward loop
 * emitted for it:
 *
 *   let (h: f64[4], at_h: f64[7, 4]) = scan[body_saving](h0, x, w, carry=1, seq=1, ...);
 *   let (d_h0: f64[4], d_w: f64[4], d_x: f64[7, 3]) =
 *       scan[body_back](d_h, 0.0, at_h, x, w, carry=2, seq=2, ..., reverse=true);
 *
 * Its carry is the adjoint of the carry and the sum of the adjoints of the constants. Tests:
 * tests/passes/region_test.c */
#include "passes/reverse.h"

static bool is_slice(const Pulled *q, uint32_t formal) {
    return formal >= q->a->r.carry && formal < q->a->r.carry + q->a->r.seq;
}

static Val sequence(const Pulled *q, uint32_t formal) {
    return region_leading(q->r->b, &q->a->r, region_operand(q, formal), false);
}

Val *emit_scan(const Pulled *q, Builder *b, const Fn *body, const Vals *args, ScanShape shape) {
    Attr attrs[] = {attr_fn(body->name), attr_int(shape.carry), attr_int(shape.seq), attr_int(0),
                    attr_int(shape.length), attr_bool(shape.reverse)};
    Ins ins = {.op = Op_scan, .attrs = attrs};
    Region r = region_of(q->r->p, &ins);
    RegionTypes t = region_types(q->r->p->cx, q->r->p->cx->scratch, &ins, &r);
    Val *results = NEW_ARRAY(q->r->p->cx->scratch, Val, t.nresults);
    b_multi(b, Op_scan, args->data, args->len, attrs, t.results, t.nresults, results);
    return results;
}

/* The operands of the forward loop: start of the carry, sequences, constants. */
Vals span_args(const Pulled *q, const Span *o) {
    Vals args = {0};
    const Region *g = &q->a->r;
    for (uint32_t k = 0; k < g->body->nparams; k++) {
        vec_push(q->r->p->cx->scratch, &args, k < g->carry ? o->start[k] : o->operand[k]);
    }
    return args;
}

/* ---- backwards ---- */

/* The backward loop and its operands in the making. */
typedef struct Loop {
    const Pulled *q;
    const Span *o;
    const Split *split;
    Builder *b;
    Vals args;        /* of the loop */
    Val *formal;      /* that holds kept parameter k of the body */
    Val *cot, *sum;   /* formals: cotangent of result k; sum of the adjoints of constant k */
    Vals saved;       /* formals */
} Loop;

static Val formal(Loop *l, const char *prefix, Sym name, Type type, Val arg) {
    vec_push(l->q->r->p->cx->scratch, &l->args, arg);
    Sym s = fresh_param(l->q->r->p, l->b, prefix, name ? name : sym(l->q->r->p->cx, "x"));
    return b_param(l->b, s, type);
}

static Sym formal_name(const Loop *l, uint32_t k) { return l->q->a->r.body->ins.data[k].name; }

static uint32_t carry_formals(Loop *l) {
    const Pulled *q = l->q;
    const Region *g = &q->a->r;
    for (uint32_t k = 0; k < g->carry; k++) {
        if (!q->want[k]) continue;
        l->cot[k] = formal(l, "d", formal_name(l, k), formal_type(q, k), l->o->d[k]);
    }
    for (uint32_t k = g->carry + g->seq; k < g->body->nparams; k++) {
        if (!q->a->wrt[k]) continue;
        Type t = formal_type(q, k);
        l->sum[k] = formal(l, "sum", formal_name(l, k), t, l->o->sum[k]);
    }
    return l->args.len;
}

static uint32_t sequence_formals(Loop *l) {
    const Pulled *q = l->q;
    const Region *g = &q->a->r;
    Arena *s = q->r->p->cx->scratch;
    uint32_t before = l->args.len;
    for (uint32_t k = 0; k < l->split->nsaved; k++) {
        const Ins *i = &l->split->backward->ins.data[l->split->nkept + k];
        vec_push(s, &l->saved, formal(l, "s", i->name, i->type, l->o->stacks[k]));
    }
    for (uint32_t k = 0; k < l->split->nkept; k++) {
        uint32_t at = l->split->kept[k];
        if (!is_slice(q, at)) continue;
        l->formal[at] = formal(l, "in", formal_name(l, at), formal_type(q, at), l->o->operand[at]);
    }
    for (uint32_t k = g->carry; k < g->body->results.len; k++) {
        if (!q->want[k]) continue;
        Sym name = sym(q->r->p->cx, "emitted");
        l->cot[k] = formal(l, "d", name, region_result_type(q, k), l->o->d[k]);
    }
    return l->args.len - before;
}

static void constant_formals(Loop *l) {
    for (uint32_t k = 0; k < l->split->nkept; k++) {
        uint32_t at = l->split->kept[k];
        if (is_slice(l->q, at)) continue;
        l->formal[at] = formal(l, "in", formal_name(l, at), formal_type(l->q, at),
                               l->o->operand[at]);
    }
}

/* The adjoints of one step from those of the next. */
static void loop_body(Loop *l) {
    const Pulled *q = l->q;
    const Region *g = &q->a->r;
    Arena *s = q->r->p->cx->scratch;
    Vals args = {0};
    for (uint32_t k = 0; k < l->split->nkept; k++) {
        vec_push(s, &args, l->formal[l->split->kept[k]]);
    }
    for (uint32_t k = 0; k < l->saved.len; k++) vec_push(s, &args, l->saved.data[k]);
    for (uint32_t k = 0; k < g->body->results.len; k++) {
        if (q->want[k]) vec_push(s, &args, l->cot[k]);
    }
    Val *out = NEW_ARRAY(s, Val, q->nwrt);
    splice(q->r->p, l->b, l->split->backward, args.data, NULL, &(Splice){0}, out);
    b_at(l->b, q->ins->loc, region_label(q));
    for (uint32_t k = 0; k < q->nwrt; k++) {
        if (q->wrt[k] < g->carry) b_result(l->b, out[k]);
    }
    for (uint32_t k = 0; k < q->nwrt; k++) {
        if (q->wrt[k] < g->carry + g->seq) continue;
        b_result(l->b, accumulate(q->r->p->cx, l->b, l->sum[q->wrt[k]], out[k]));
    }
    for (uint32_t k = 0; k < q->nwrt; k++) {
        if (is_slice(q, q->wrt[k])) b_result(l->b, out[k]);
    }
}

Val *span_back(const Pulled *q, const Split *split, const Span *o) {
    Program *p = q->r->p;
    Arena *s = p->cx->scratch;
    const Fn *body = q->a->r.body;
    Sym name = program_fresh(p, arena_printf(s, "%s_back", body->name));
    Loop l = {.q = q, .o = o, .split = split, .b = builder_new(p, name, false),
              .formal = NEW_ARRAY(s, Val, body->nparams),
              .cot = NEW_ARRAY(s, Val, body->results.len),
              .sum = NEW_ARRAY(s, Val, body->nparams)};
    b_fn(l.b)->loc = body->loc;
    b_at(l.b, q->ins->loc, region_label(q));
    b_at(o->b, q->ins->loc, region_label(q));
    uint32_t carry = carry_formals(&l), seq = sequence_formals(&l);
    constant_formals(&l);
    loop_body(&l);
    program_add(p, builder_done(l.b));
    ScanShape shape = {carry, seq, o->length, !q->a->r.reverse};
    return emit_scan(q, o->b, b_fn(l.b), &l.args, shape);
}

/* ---- the whole loop ---- */

/* The operands in r->b, sequences along their first axis. */
static Span whole_span(const Pulled *q) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    const Region *g = &q->a->r;
    uint32_t n = g->body->nparams;
    Span o = {.b = r->b, .length = g->length, .start = NEW_ARRAY(s, Val, n),
              .operand = NEW_ARRAY(s, Val, n), .sum = NEW_ARRAY(s, Val, n),
              .d = NEW_ARRAY(s, Val, g->body->results.len)};
    for (uint32_t k = 0; k < n; k++) {
        o.start[k] = region_operand(q, k);
        o.operand[k] = is_slice(q, k) ? sequence(q, k) : o.start[k];
    }
    return o;
}

static void add_cotangents(const Pulled *q, Span *o) {
    const Region *g = &q->a->r;
    for (uint32_t k = 0; k < g->body->results.len; k++) {
        if (!q->want[k]) continue;
        o->d[k] = region_cotangent(q, k);
        if (k >= g->carry) o->d[k] = region_leading(o->b, g, o->d[k], false);
    }
    for (uint32_t k = g->carry + g->seq; k < g->body->nparams; k++) {
        if (q->a->wrt[k]) o->sum[k] = b_float(o->b, formal_type(q, k), 0);
    }
}

/* results: last carry, then what was emitted. */
static void enter_results(const Pulled *q, const Val *results) {
    Reverse *r = q->r;
    const Region *g = &q->a->r;
    for (uint32_t k = 0; k < q->results.len; k++) {
        Val y = q->results.data[k];
        r->map[y] = k < g->carry ? results[k] : region_leading(r->b, g, results[k], true);
        if (r->fn->ins.data[y].name) b_name(r->b, r->map[y], r->fn->ins.data[y].name);
    }
}

void save_scan(Pulled *q, Val v) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    const Region *g = &q->a->r;
    const Fn *body = g->body;
    bool *keep = NEW_ARRAY(s, bool, body->nparams);
    for (uint32_t k = g->carry; k < body->nparams; k++) keep[k] = true;
    Split *split = split_reverse(r->p, body, q->wrt, q->nwrt, q->want, keep);
    if (!split) {
        r->errors++;
        r->map[v] = b_copy(r->b, q->ins, r->map);
        return;
    }
    add_fresh(r->p, split->forward, body->name, "saving");
    b_at(r->b, q->ins->loc, q->ins->rule);
    Span o = whole_span(q);
    struct Saved *saved = r->saved[v] = NEW(s, struct Saved);
    Val *results = NEW_ARRAY(s, Val, body->results.len);
    saved->split = split;
    if (levels_wanted(q)) {
        saved->parts = save_levels(q, split, &o, results);
    } else {
        Vals args = span_args(q, &o);
        results = emit_scan(q, r->b, split->forward, &args,
                            (ScanShape){g->carry, g->seq, g->length, g->reverse});
        saved->stacks = results + body->results.len;
    }
    enter_results(q, results);
}

void pull_scan(Pulled *q, const struct Saved *saved) {
    Reverse *r = q->r;
    const Region *g = &q->a->r;
    Arena *s = r->p->cx->scratch;
    b_at(r->b, q->ins->loc, region_label(q));
    Span o = whole_span(q);
    add_cotangents(q, &o);
    Val *adjoints = NEW_ARRAY(s, Val, q->nwrt);
    o.stacks = saved->stacks;
    const Val *results = saved->parts ? pull_levels(q, saved, &o) : span_back(q, saved->split, &o);
    uint32_t at = 0;
    for (uint32_t k = 0; k < q->nwrt; k++) {
        if (q->wrt[k] < g->carry) adjoints[k] = results[at++];
    }
    for (uint32_t k = 0; k < q->nwrt; k++) {
        if (q->wrt[k] >= g->carry + g->seq) adjoints[k] = results[at++];
    }
    for (uint32_t k = 0; k < q->nwrt; k++) {
        if (is_slice(q, q->wrt[k])) adjoints[k] = region_leading(r->b, g, results[at++], true);
    }
    region_add(q, adjoints);
}
