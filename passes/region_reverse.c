/* Reverse mode of regions. A scan runs again from its last step to its first, on what the forward
 * loop emitted for it:
 *
 *   let (h: f64[4], at_h: f64[7, 4]) = scan[body_saving](h0, x, w, carry=1, seq=1, ...);
 *   let (d_h0: f64[4], d_w: f64[4], d_x: f64[7, 3]) =
 *       scan[body_back](d_h, 0.0, at_h, x, w, carry=2, seq=2, ..., reverse=true);
 *
 * Its carry is the adjoint of the carry and the sum of the adjoints of the constants. A branch of
 * cond and the function of checkpoint are computed again in the backward part, the latter from
 * operands behind opt_barrier, so that nothing of it is merged with the first time.
 * Tests: tests/passes/region_test.c */
#include "passes/reverse.h"

static Pulled pulled(Reverse *r, Val v) {
    Pulled q = {.r = r, .ins = &r->fn->ins.data[v], .a = r->a.region[v],
                .results = results_of(r->p, r->fn, v)};
    const Fn *body = q.a->r.body;
    q.wrt = marked_params(r->p, q.a->wrt, body->nparams, &q.nwrt);
    q.want = NEW_ARRAY(r->p->cx->scratch, bool, body->results.len);
    for (uint32_t k = 0; k < body->results.len; k++) {
        Type t = body->ins.data[body->results.data[k]].type;
        q.want[k] = q.a->result[k] && dtype_is_float(t.dt);
    }
    return q;
}

Type formal_type(const Pulled *q, uint32_t k) { return q->a->r.body->ins.data[k].type; }

static Type result_type(const Pulled *q, uint32_t k) {
    const Fn *body = q->a->r.body;
    return body->ins.data[body->results.data[k]].type;
}

Val region_operand(const Pulled *q, uint32_t formal) {
    return q->r->map[q->ins->args[q->a->r.first + formal]];
}

Val region_cotangent(const Pulled *q, uint32_t k) {
    Val y = q->results.data[k];
    return q->r->adj[y] != NoVal ? q->r->adj[y]
                                 : b_float(q->r->b, q->r->fn->ins.data[y].type, 0);
}

Sym region_label(const Pulled *q) {
    Text t = {0};
    const char *name = q->ins->op == Op_call ? q->ins->attrs[0].s : op_info[q->ins->op].name;
    text_add(&t, "B[%s, %s", name, q->nwrt == 1 ? "" : "(");
    for (uint32_t k = 0; k < q->nwrt; k++) {
        text_add(&t, "%s%s", k ? ", " : "", q->a->r.body->ins.data[q->wrt[k]].name);
    }
    text_add(&t, "%s]", q->nwrt == 1 ? "" : ")");
    return sym(q->r->p->cx, text_done(&t, q->r->p->cx->scratch));
}

void region_add(const Pulled *q, const Val *adjoints) {
    for (uint32_t k = 0; k < q->nwrt; k++) {
        Val x = q->ins->args[q->a->r.first + q->wrt[k]];
        if (q->r->a.active[x]) add_adjoint(q->r, x, adjoints[k], NoVal, region_label(q));
    }
}

/* ---- scan ---- */

static bool is_slice(const Pulled *q, uint32_t formal) {
    return formal >= q->a->r.carry && formal < q->a->r.carry + q->a->r.seq;
}

static Val sequence(const Pulled *q, uint32_t formal) {
    return region_leading(q->r->b, &q->a->r, region_operand(q, formal), false);
}

static void emit_scan(const Pulled *q, const Fn *body, const Vals *args, uint32_t carry,
                      uint32_t seq, bool reverse, Val *results) {
    Attr attrs[] = {attr_fn(body->name), attr_int(carry), attr_int(seq), attr_int(0),
                    attr_int(q->a->r.length), attr_bool(reverse)};
    Ins ins = {.op = Op_scan, .attrs = attrs};
    Region r = region_of(q->r->p, &ins);
    RegionTypes t = region_types(q->r->p->cx, q->r->p->cx->scratch, &ins, &r);
    b_multi(q->r->b, Op_scan, args->data, args->len, attrs, t.results, t.nresults, results);
}

static void save_scan(Pulled *q, Val v) {
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
    Vals args = {0};
    for (uint32_t k = 0; k < body->nparams; k++) {
        vec_push(s, &args, is_slice(q, k) ? sequence(q, k) : region_operand(q, k));
    }
    Val *results = NEW_ARRAY(s, Val, body->results.len + split->nsaved);
    emit_scan(q, split->forward, &args, g->carry, g->seq, g->reverse, results);
    r->map[v] = results[0]; /* a result itself if it is the only one */
    for (uint32_t k = 0; k < q->results.len; k++) {
        Val y = q->results.data[k];
        r->map[y] = k < g->carry ? results[k] : region_leading(r->b, g, results[k], true);
        if (r->fn->ins.data[y].name) b_name(r->b, r->map[y], r->fn->ins.data[y].name);
    }
    r->saved[v] = NEW(s, struct Saved);
    *r->saved[v] = (struct Saved){.split = split, .stacks = results + body->results.len};
}

/* The backward loop and its operands in the making. */
typedef struct Loop {
    const Pulled *q;
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
        if (q->want[k]) l->cot[k] = formal(l, "d", formal_name(l, k), formal_type(q, k),
                                           region_cotangent(q, k));
    }
    for (uint32_t k = g->carry + g->seq; k < g->body->nparams; k++) {
        if (!q->a->wrt[k]) continue;
        Type t = formal_type(q, k);
        l->sum[k] = formal(l, "sum", formal_name(l, k), t, b_float(q->r->b, t, 0));
    }
    return l->args.len;
}

static uint32_t sequence_formals(Loop *l, const Val *stacks) {
    const Pulled *q = l->q;
    const Region *g = &q->a->r;
    Arena *s = q->r->p->cx->scratch;
    uint32_t before = l->args.len;
    for (uint32_t k = 0; k < l->split->nsaved; k++) {
        const Ins *i = &l->split->backward->ins.data[l->split->nkept + k];
        vec_push(s, &l->saved, formal(l, "s", i->name, i->type, stacks[k]));
    }
    for (uint32_t k = 0; k < l->split->nkept; k++) {
        uint32_t at = l->split->kept[k];
        if (!is_slice(q, at)) continue;
        l->formal[at] = formal(l, "in", formal_name(l, at), formal_type(q, at), sequence(q, at));
    }
    for (uint32_t k = g->carry; k < g->body->results.len; k++) {
        if (!q->want[k]) continue;
        Val d = region_leading(q->r->b, g, region_cotangent(q, k), false);
        l->cot[k] = formal(l, "d", sym(q->r->p->cx, "emitted"), result_type(q, k), d);
    }
    return l->args.len - before;
}

static void constant_formals(Loop *l) {
    for (uint32_t k = 0; k < l->split->nkept; k++) {
        uint32_t at = l->split->kept[k];
        if (is_slice(l->q, at)) continue;
        l->formal[at] = formal(l, "in", formal_name(l, at), formal_type(l->q, at),
                               region_operand(l->q, at));
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

static void pull_scan(Pulled *q, const struct Saved *saved) {
    Reverse *r = q->r;
    const Region *g = &q->a->r;
    Arena *s = r->p->cx->scratch;
    Sym name = program_fresh(r->p, arena_printf(s, "%s_back", g->body->name));
    Loop l = {.q = q, .split = saved->split, .b = builder_new(r->p, name, false),
              .formal = NEW_ARRAY(s, Val, g->body->nparams),
              .cot = NEW_ARRAY(s, Val, g->body->results.len),
              .sum = NEW_ARRAY(s, Val, g->body->nparams)};
    b_fn(l.b)->loc = g->body->loc;
    b_at(l.b, q->ins->loc, region_label(q));
    b_at(r->b, q->ins->loc, region_label(q));
    uint32_t carry = carry_formals(&l), seq = sequence_formals(&l, saved->stacks);
    constant_formals(&l);
    loop_body(&l);
    program_add(r->p, builder_done(l.b));
    Val *results = NEW_ARRAY(s, Val, q->nwrt), *adjoints = NEW_ARRAY(s, Val, q->nwrt);
    emit_scan(q, b_fn(l.b), &l.args, carry, seq, !g->reverse, results);
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

/* ---- cond, checkpoint ---- */

Fn *region_backward(const Pulled *q, const Fn *fn) {
    Program *p = q->r->p;
    Fn *back = transpose_fn(p, fn, fn->name, q->wrt, q->nwrt, q->want);
    if (back) add_fresh(p, back, fn->name, "back");
    return back;
}

static void backward_types(const Pulled *q, Type *types) {
    for (uint32_t k = 0; k < q->nwrt; k++) types[k] = formal_type(q, q->wrt[k]);
}

/* Appends the operands of the body, then the cotangents. */
static void backward_args(const Pulled *q, bool barrier, Vals *args) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    const Fn *body = q->a->r.body;
    for (uint32_t k = 0; k < body->nparams; k++) {
        Val x = region_operand(q, k);
        if (barrier && dtype_is_float(formal_type(q, k).dt)) {
            x = b_op(r->b, Op_opt_barrier, &x, 1, NULL, NULL);
        }
        vec_push(s, args, x);
    }
    for (uint32_t k = 0; k < body->results.len; k++) {
        if (q->want[k]) vec_push(s, args, region_cotangent(q, k));
    }
}

static void pull_branches(Pulled *q) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    const Fn *then = region_backward(q, q->a->r.body);
    const Fn *otherwise = then ? region_backward(q, q->a->r.other) : NULL;
    if (!otherwise) {
        r->errors++;
        return;
    }
    Vals args = {0};
    b_at(r->b, q->ins->loc, region_label(q));
    vec_push(s, &args, r->map[q->ins->args[0]]);
    backward_args(q, false, &args);
    Type *types = NEW_ARRAY(s, Type, q->nwrt);
    Val *adjoints = NEW_ARRAY(s, Val, q->nwrt);
    backward_types(q, types);
    Attr attrs[] = {attr_fn(then->name), attr_fn(otherwise->name)};
    b_multi(r->b, Op_cond, args.data, args.len, attrs, types, q->nwrt, adjoints);
    region_add(q, adjoints);
}

static void pull_checkpoint(Pulled *q) {
    Reverse *r = q->r;
    const Fn *back = region_backward(q, q->a->r.body);
    if (!back) {
        r->errors++;
        return;
    }
    Vals args = {0};
    b_at(r->b, q->ins->loc, region_label(q));
    backward_args(q, true, &args);
    Val *adjoints = NEW_ARRAY(r->p->cx->scratch, Val, q->nwrt);
    b_call(r->b, back, args.data, args.len, adjoints);
    region_add(q, adjoints);
}

void region_save(Reverse *r, Val v) {
    Pulled q = pulled(r, v);
    if (q.ins->op == Op_scan) save_scan(&q, v);
    else if (q.ins->op == Op_while) save_while(&q, v);
    else if (q.ins->op == Op_call) save_call(&q, v);
    else r->map[v] = b_copy(r->b, q.ins, r->map);
}

void region_pull(Reverse *r, Val v) {
    Pulled q = pulled(r, v);
    bool reached = false;
    for (uint32_t k = 0; k < q.results.len; k++) reached |= r->adj[q.results.data[k]] != NoVal;
    if (!reached) return;
    switch (q.ins->op) {
    case Op_scan:
        if (r->saved[v]) pull_scan(&q, r->saved[v]);
        break;
    case Op_cond: pull_branches(&q); break;
    case Op_while: pull_while(&q, r->saved[v]); break;
    case Op_call:
        if (r->saved[v]) pull_call(&q, r->saved[v]);
        break;
    default: pull_checkpoint(&q);
    }
}
