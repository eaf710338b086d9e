/* Reverse mode of while, the loop backwards: (x.., consts.., n, length, slots.., d_y..) ->
 * adjoints. From the last step to the first it takes as many steps at a time as there are slots:
 *
 *   f_segment   runs the loop from the nearest stored carry to the first of these steps, then
 *   f_replay    from there, storing the carry before each, then
 *   f_step      back over them, applying the derivative of the body to each stored carry
 *
 * so that every step runs once more, those of Slots * Slots steps and more also on the way from the
 * nearest carry. A while of fewer steps than slots has stored all carries and runs none again.
 * What is stored never exceeds 2 * Slots carries, and what nothing reads of them is not stored:
 * trim.c. Tests: tests/passes/while_test.c */
#include "passes/while.h"

/* The slot of a step among the last ones: Slots in a row have different ones. */
static Val leaf_slot(const Making *q, Builder *b, Val step) {
    return while_op(b, Op_mod, step, while_number(q, b, Slots));
}

/* From count to before end, storing the carry before each step. */
static Loop replaying(const Making *q) {
    Loop l = {.carries = "xns", .given = "ec"};
    Vars v;
    l.test = while_going(q, &l, ToEnd);
    Builder *b = while_begin(q, "replay", &l, &v);
    while_store(q, b, &v, leaf_slot(q, b, v.count));
    while_apply(q, b, q->g.body, &v, v.carry);
    v.count = b_add(b, v.count, while_number(q, b, 1));
    l.body = while_end_body(q, b, &l, &v);
    return l;
}

/* From count down to end. back: the derivative of the body. */
static Loop steps_back(const Making *q, const Fn *back) {
    Arena *s = q->p->cx->scratch;
    const Region *g = &q->g;
    Loop l = {.carries = "nd", .given = "ekc"};
    Vars v;
    l.test = while_going(q, &l, DownTo);
    Builder *b = while_begin(q, "step", &l, &v);
    v.count = while_op(b, Op_sub, v.count, while_number(q, b, 1));
    Val slot = while_slot(q, b, leaf_slot(q, b, v.count));
    Vals args = {0};
    for (uint32_t k = 0; k < g->body->nparams; k++) {
        vec_push(s, &args, k < g->carry ? slots_read(b, v.kept[k], slot, while_formal(q, k))
                                        : v.constant[k]);
    }
    for (uint32_t k = 0; k < g->carry; k++) {
        if (q->want[k]) vec_push(s, &args, v.adjoint[k]);
    }
    Val *out = NEW_ARRAY(s, Val, back->results.len);
    splice(q->p, b, back, args.data, NULL, &(Splice){0}, out);
    b_at(b, q->ins->loc, q->label);
    for (uint32_t k = 0, n = 0; k < g->body->nparams; k++) {
        if (!q->wrt[k]) continue;
        Val *d = &v.adjoint[k];
        *d = k < g->carry ? out[n] : accumulate(q->p->cx, b, *d, out[n]);
        n++;
    }
    l.body = while_end_body(q, b, &l, &v);
    return l;
}

/* Up to as many steps as there are slots: those of the last `leaf` of the `taken` segments, or, of
 * a longer segment, its last ones. */
static Loop segments_back(const Making *q, const Loop *steps) {
    Cx *cx = q->p->cx;
    Loop run = while_running(q, ToEnd), replay = replaying(q);
    Loop l = {.carries = "ntd", .given = "efslc"};
    Vars v, at = while_vars(q);
    l.test = while_going(q, &l, DownTo);
    Builder *b = while_begin(q, "segment", &l, &v);
    Val zero = while_number(q, b, 0), least = while_number(q, b, Slots);
    Val segment = while_op(b, Op_max, while_op(b, Op_sub, v.taken, v.leaf), zero);
    Val slot = while_slot(q, b, segment);
    at.count = b_mul(b, segment, v.length);
    at.end = while_op(b, Op_max, at.count, while_op(b, Op_sub, v.count, least));
    at.constant = v.constant;
    Val first = at.end, done = while_op(b, Op_eq, at.count, first);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        Type t = while_formal(q, k);
        at.carry[k] = slots_read(b, v.slots[k], slot, t);
        at.slots[k] = slots_empty(cx, b, t);
    }
    while_run(q, b, &run, &at);
    at.end = v.count;
    while_run(q, b, &replay, &at);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        at.kept[k] = slots_kept(cx, b, at.slots[k], while_formal(q, k));
    }
    v.taken = while_choose(b, done, segment, v.taken);
    /* As replaying left it, but known before. */
    at.count = v.count;
    at.end = v.count = first;
    at.adjoint = v.adjoint;
    while_run(q, b, steps, &at);
    l.body = while_end_body(q, b, &l, &v);
    return l;
}

/* All steps. Where each of them is stored, none runs again. */
static void run_back(const Making *q, Builder *b, const Fn *back, Vars *v) {
    Loop steps = steps_back(q, back), segments = segments_back(q, &steps);
    Val zero = while_number(q, b, 0), one = while_number(q, b, 1);
    Val slots = while_number(q, b, Slots), whole = while_op(b, Op_eq, v->length, one);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        v->kept[k] = slots_kept(q->p->cx, b, v->slots[k], while_formal(q, k));
    }
    v->end = while_choose(b, whole, zero, v->count);
    while_run(q, b, &steps, v);
    Val rounded = b_add(b, v->count, while_op(b, Op_sub, v->length, one));
    v->taken = while_op(b, Op_div, rounded, v->length);
    v->leaf = while_op(b, Op_max, while_op(b, Op_div, slots, v->length), one);
    v->end = zero;
    while_run(q, b, &segments, v);
}

static Val part_param(const Making *q, Builder *b, const char *prefix, Sym name, Type type) {
    return b_param(b, fresh_param(q->p, b, prefix, name ? name : sym(q->p->cx, "x")), type);
}

/* back: the derivative of the body. */
static Fn *backward_loop(const Making *q, const Fn *back) {
    const Region *g = &q->g;
    const Fn *body = g->body;
    Builder *b = while_function(q);
    Vars v = while_vars(q);
    for (uint32_t k = 0; k < body->nparams; k++) {
        Val x = part_param(q, b, "in", body->ins.data[k].name, while_formal(q, k));
        if (k >= g->carry) v.constant[k] = x;
    }
    v.count = part_param(q, b, "at", sym(q->p->cx, "count"), while_count_type(q));
    v.length = part_param(q, b, "at", sym(q->p->cx, "length"), while_count_type(q));
    for (uint32_t k = 0; k < g->carry; k++) {
        v.slots[k] = part_param(q, b, "slots", body->ins.data[k].name,
                                slots_type(q->p->cx, while_formal(q, k)));
    }
    for (uint32_t k = 0; k < body->nparams; k++) {
        if (k < g->carry && q->want[k]) {
            v.adjoint[k] = part_param(q, b, "of_d", body->ins.data[k].name, while_formal(q, k));
        } else if (q->wrt[k]) {
            v.adjoint[k] = b_float(b, while_formal(q, k), 0);
        }
    }
    run_back(q, b, back, &v);
    for (uint32_t k = 0; k < body->nparams; k++) {
        if (q->wrt[k]) b_result(b, v.adjoint[k]);
    }
    Fn *fn = builder_done(b);
    add_fresh(q->p, fn, body->name, "vjp");
    return fn;
}

Fn *while_backward(const Pulled *pulled, const WhileFns *w) {
    Program *p = pulled->r->p;
    const Ins *i = &w->whole->ins.data[w->whole->nparams];
    Making q = {.p = p, .ins = i, .g = region_of(p, i), .advance = w->advance,
                .wrt = pulled->a->wrt, .want = pulled->want, .label = region_label(pulled)};
    const Fn *back = region_backward(pulled, q.g.body);
    return back ? backward_loop(&q, back) : NULL;
}
