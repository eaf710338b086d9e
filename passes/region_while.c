/* Reverse mode of while. The forward loop runs in segments of equal length and stores the carry at
 * the start of each; with every slot taken, each second segment is forgotten and they are twice as
 * long from there on. Backwards, a segment runs again from its start in the same way, with slots of
 * its own, so that what is stored never exceeds 2 * Slots carries, then its steps one by one:
 *
 *   let (y.., n: i64, length: i64, slots..) =
 *       while[f_going, f_record](x.., 0, 1, slots0.., 9223372036854775807, consts.., carry=..);
 *   let (at: i64, d_x.., d_consts..) =
 *       while[f_left, f_segment](n, d_y.., 0.0.., length, slots.., consts.., carry=..);
 *
 * f_segment is a f_record from the segment's start and a while[f_left, f_step] back over it; f_step
 * runs f from the nearest slot to the step before and applies the derivative of f there.
 * Tests: tests/passes/region_test.c */
#include "passes/reverse.h"

enum { Slots = 32 };

/* What the loops carry or are given. Which of them, and in which order, is a string of letters: */
typedef struct Vars {
    Val count;     /* n: steps from the start, or steps left */
    Val length;    /* l: steps of a segment */
    Val end;       /* e: steps at most */
    Val *carry;    /* x */
    Val *slots;    /* s: [Slots, ...] of each carry */
    Val *adjoint;  /* d: of the formals that wrt marks; of a constant, the sum so far */
    Val *constant; /* c */
} Vars;

static const char run_carries[] = "xn", run_given[] = "ec";
static const char record_carries[] = "xnls", record_given[] = "ec";
static const char back_carries[] = "nd", back_given[] = "lsc";

typedef struct Loop { /* functions of a while */
    const Fn *test, *body;
    const char *carries, *given;
} Loop;

typedef struct Place { /* of one variable */
    Val *at;
    Type type;
    const char *prefix, *name;
} Place;
typedef VEC(Place) Places;

static Type count_type(const Pulled *q) { return type_of(I64, shape_scalar(q->r->p->cx)); }

static Type slots_type(const Pulled *q, Type carry) {
    Cx *cx = q->r->p->cx;
    uint32_t rank = carry.shape->rank;
    int64_t *dim = NEW_ARRAY(cx->scratch, int64_t, rank + 1);
    dim[0] = Slots;
    copy_bytes(dim + 1, carry.shape->dim, rank * sizeof *dim);
    const Shape *s = shape_of(cx, dim, rank + 1);
    if (!s) bug_at(cx, q->ins->loc, "the stored steps of while overflow");
    return (Type){carry.dt, carry.range, s};
}

static Vars vars_new(const Pulled *q) {
    Arena *s = q->r->p->cx->scratch;
    uint32_t n = q->a->r.body->nparams;
    return (Vars){.carry = NEW_ARRAY(s, Val, n), .slots = NEW_ARRAY(s, Val, n),
                  .adjoint = NEW_ARRAY(s, Val, n), .constant = NEW_ARRAY(s, Val, n)};
}

static void add_places(const Pulled *q, char letter, Vars *v, Places *out) {
    Arena *s = q->r->p->cx->scratch;
    const Region *g = &q->a->r;
    switch (letter) {
    case 'n': vec_push(s, out, (Place){&v->count, count_type(q), "step", "count"}); return;
    case 'l': vec_push(s, out, (Place){&v->length, count_type(q), "segment", "length"}); return;
    case 'e': vec_push(s, out, (Place){&v->end, count_type(q), "step", "end"}); return;
    }
    for (uint32_t k = 0; k < g->body->nparams; k++) {
        Type t = formal_type(q, k);
        const char *name = g->body->ins.data[k].name;
        if (letter == 'd' && q->a->wrt[k]) {
            vec_push(s, out, (Place){&v->adjoint[k], t, k < g->carry ? "d" : "sum", name});
        } else if (letter == 'c' && k >= g->carry) {
            vec_push(s, out, (Place){&v->constant[k], t, "in", name});
        } else if (letter == 'x' && k < g->carry) {
            vec_push(s, out, (Place){&v->carry[k], t, "at", name});
        } else if (letter == 's' && k < g->carry) {
            vec_push(s, out, (Place){&v->slots[k], slots_type(q, t), "slots", name});
        }
    }
}

static Places places(const Pulled *q, const char *letters, Vars *v) {
    Places out = {0};
    for (; *letters; letters++) add_places(q, *letters, v, &out);
    return out;
}

static Builder *begin(const Pulled *q, const char *suffix, const Loop *l, Vars *v) {
    Program *p = q->r->p;
    const Fn *body = q->a->r.body;
    Sym name = program_fresh(p, arena_printf(p->cx->scratch, "%s_%s", body->name, suffix));
    Builder *b = builder_new(p, name, false);
    b_fn(b)->loc = body->loc;
    b_at(b, q->ins->loc, region_label(q));
    *v = vars_new(q);
    const char *parts[] = {l->carries, l->given};
    for (size_t i = 0; i < LEN(parts); i++) {
        Places at = places(q, parts[i], v);
        for (uint32_t k = 0; k < at.len; k++) {
            Place *x = &at.data[k];
            *x->at = b_param(b, fresh_param(p, b, x->prefix, x->name ? x->name : "x"), x->type);
        }
    }
    return b;
}

static const Fn *end(const Pulled *q, Builder *b) {
    Fn *fn = builder_done(b);
    program_add(q->r->p, fn);
    return fn;
}

static const Fn *end_body(const Pulled *q, Builder *b, const Loop *l, Vars *v) {
    Places at = places(q, l->carries, v);
    for (uint32_t k = 0; k < at.len; k++) b_result(b, *at.data[k].at);
    return end(q, b);
}

/* The loop from v and to v. */
static void run_loop(const Pulled *q, Builder *b, const Loop *l, Vars *v) {
    Arena *s = q->r->p->cx->scratch;
    Places carries = places(q, l->carries, v), given = places(q, l->given, v);
    Type *types = NEW_ARRAY(s, Type, carries.len);
    Val *results = NEW_ARRAY(s, Val, carries.len);
    Vals args = {0};
    for (uint32_t k = 0; k < carries.len; k++) {
        types[k] = carries.data[k].type;
        vec_push(s, &args, *carries.data[k].at);
    }
    for (uint32_t k = 0; k < given.len; k++) vec_push(s, &args, *given.data[k].at);
    Attr attrs[] = {attr_fn(l->test->name), attr_fn(l->body->name), attr_int(carries.len)};
    b_multi(b, Op_while, args.data, args.len, attrs, types, carries.len, results);
    for (uint32_t k = 0; k < carries.len; k++) *carries.data[k].at = results[k];
}

static Val op2(Builder *b, Op op, Val x, Val y) {
    return b_op(b, op, (Val[]){x, y}, 2, NULL, NULL);
}

static Val number(const Pulled *q, Builder *b, int64_t n) { return b_int(b, count_type(q), n); }

/* What the region's test or body gives at v. */
static void apply(const Pulled *q, Builder *b, const Fn *fn, const Vars *v, Val *out) {
    Val *args = NEW_ARRAY(q->r->p->cx->scratch, Val, fn->nparams);
    for (uint32_t k = 0; k < fn->nparams; k++) {
        args[k] = k < q->a->r.carry ? v->carry[k] : v->constant[k];
    }
    splice(q->r->p, b, fn, args, NULL, &(Splice){0}, out);
    b_at(b, q->ins->loc, region_label(q));
}

/* ---- forward ---- */

/* count < end, and the test of the region if `tested` */
static const Fn *going(const Pulled *q, const Loop *l, bool tested) {
    Vars v;
    Builder *b = begin(q, "going", l, &v);
    Val go = op2(b, Op_lt, v.count, v.end), test;
    if (tested) {
        apply(q, b, q->a->r.other, &v, &test);
        go = op2(b, Op_and, go, test);
    }
    b_result(b, go);
    return end(q, b);
}

/* The region from step count to before step end. */
static Loop running(const Pulled *q, bool tested) {
    Loop l = {.carries = run_carries, .given = run_given};
    Vars v;
    l.test = going(q, &l, tested);
    Builder *b = begin(q, "advance", &l, &v);
    apply(q, b, q->a->r.body, &v, v.carry);
    v.count = b_add(b, v.count, number(q, b, 1));
    l.body = end_body(q, b, &l, &v);
    return l;
}

/* Where the segment of a step is stored. */
static Val slot_of(const Pulled *q, Builder *b, const Vars *v, Val step) {
    Type ranged = {I32, Slots, shape_scalar(q->r->p->cx)};
    Val slot = op2(b, Op_div, step, v->length);
    return b_op(b, Op_cast, &slot, 1, NULL, &ranged);
}

/* [Slots, ...]: true in one slot */
static Val slot_mask(const Pulled *q, Builder *b, Val slot, const Shape *to) {
    Cx *cx = q->r->p->cx;
    int64_t *dim = NEW_ARRAY(cx->scratch, int64_t, to->rank), n = Slots;
    for (uint32_t d = 0; d < to->rank; d++) dim[d] = d ? 1 : n;
    Attr attr = attr_int(n);
    Val all = b_op(b, Op_iota, NULL, 0, &attr, NULL);
    Val mask = op2(b, Op_eq, all, b_broadcast(b, slot, shape_of(cx, &n, 1)));
    return b_broadcast(b, b_reshape(b, mask, shape_of(cx, dim, to->rank)), to);
}

static Val choose(Builder *b, Val c, Val x, Val y) {
    const Shape *s = b_type(b, x).shape;
    return b_op(b, Op_where, (Val[]){b_broadcast(b, c, s), x, y}, 3, NULL, NULL);
}

/* Every second slot, twice: the second half is written before it is read. */
static Val halved(const Pulled *q, Builder *b, Val slots) {
    Cx *cx = q->r->p->cx;
    const Shape *s = b_type(b, slots).shape;
    int64_t *lo = NEW_ARRAY(cx->scratch, int64_t, s->rank);
    int64_t *stride = NEW_ARRAY(cx->scratch, int64_t, s->rank);
    for (uint32_t d = 0; d < s->rank; d++) stride[d] = d ? 1 : 2;
    Attr cut[] = {attr_ints(cx, lo, s->rank), attr_ints(cx, s->dim, s->rank),
                  attr_ints(cx, stride, s->rank)};
    Attr axis = attr_int(0);
    Val even = b_op(b, Op_slice, &slots, 1, cut, NULL);
    return b_op(b, Op_concat, (Val[]){even, even}, 2, &axis, NULL);
}

static void store(const Pulled *q, Builder *b, Vars *v) {
    Val full = op2(b, Op_eq, v->count, b_mul(b, v->length, number(q, b, Slots)));
    v->length = choose(b, full, b_mul(b, v->length, number(q, b, 2)), v->length);
    Val slot = slot_of(q, b, v, v->count);
    for (uint32_t k = 0; k < q->a->r.carry; k++) {
        const Shape *s = b_type(b, v->slots[k]).shape;
        Val kept = choose(b, full, halved(q, b, v->slots[k]), v->slots[k]);
        Val mask = slot_mask(q, b, slot, s);
        v->slots[k] = choose(b, mask, b_broadcast(b, v->carry[k], s), kept);
    }
}

/* The same with the carry stored at the start of each segment. */
static Loop recording(const Pulled *q, bool tested) {
    Loop run = running(q, tested), l = {.carries = record_carries, .given = record_given};
    Vars v;
    l.test = going(q, &l, tested);
    Builder *b = begin(q, "record", &l, &v);
    store(q, b, &v);
    Vars segment = v;
    segment.end = op2(b, Op_min, b_add(b, v.count, v.length), v.end);
    run_loop(q, b, &run, &segment);
    v.count = segment.count;
    l.body = end_body(q, b, &l, &v);
    return l;
}

static void start_recording(const Pulled *q, Builder *b, Vars *v) {
    v->count = number(q, b, 0);
    v->length = number(q, b, 1);
    for (uint32_t k = 0; k < q->a->r.carry; k++) {
        v->slots[k] = b_float(b, slots_type(q, formal_type(q, k)), 0);
    }
}

static void take_constants(const Pulled *q, Vars *v) {
    const Region *g = &q->a->r;
    for (uint32_t k = g->carry; k < g->body->nparams; k++) v->constant[k] = region_operand(q, k);
}

void save_while(Pulled *q, Val v) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    uint32_t n = q->a->r.carry;
    Loop l = recording(q, true);
    b_at(r->b, q->ins->loc, q->ins->rule);
    Vars at = vars_new(q);
    start_recording(q, r->b, &at);
    at.end = number(q, r->b, INT64_MAX);
    take_constants(q, &at);
    for (uint32_t k = 0; k < n; k++) at.carry[k] = region_operand(q, k);
    run_loop(q, r->b, &l, &at);
    for (uint32_t k = 0; k < n; k++) {
        Val y = q->results.data[k];
        r->map[y] = at.carry[k];
        if (r->fn->ins.data[y].name) b_name(r->b, r->map[y], r->fn->ins.data[y].name);
    }
    r->map[v] = at.carry[0];
    Val *stacks = NEW_ARRAY(s, Val, n + 2);
    stacks[0] = at.count;
    stacks[1] = at.length;
    copy_bytes(stacks + 2, at.slots, n * sizeof *stacks);
    r->saved[v] = NEW(s, struct Saved);
    r->saved[v]->stacks = stacks;
}

/* ---- backward ---- */

/* Gives the number of the last segment's first step and its carry. */
static Val last_segment(const Pulled *q, Builder *b, const Vars *v, Vars *from) {
    Val step = op2(b, Op_sub, v->count, number(q, b, 1)), slot = slot_of(q, b, v, step);
    Attr axis = attr_int(0);
    for (uint32_t k = 0; k < q->a->r.carry; k++) {
        from->carry[k] = b_op(b, Op_gather, (Val[]){v->slots[k], slot}, 2, &axis, NULL);
    }
    from->constant = v->constant;
    return b_mul(b, op2(b, Op_div, step, v->length), v->length);
}

static const Fn *left(const Pulled *q, const Loop *l) {
    Vars v;
    Builder *b = begin(q, "left", l, &v);
    b_result(b, op2(b, Op_lt, number(q, b, 0), v.count));
    return end(q, b);
}

/* back: the derivative of the body. */
static Loop steps_back(const Pulled *q, const Fn *back) {
    Arena *s = q->r->p->cx->scratch;
    const Region *g = &q->a->r;
    Loop run = running(q, false), l = {.carries = back_carries, .given = back_given};
    Vars v, at = vars_new(q);
    l.test = left(q, &l);
    Builder *b = begin(q, "step", &l, &v);
    at.count = last_segment(q, b, &v, &at);
    at.end = op2(b, Op_sub, v.count, number(q, b, 1));
    v.count = at.end;
    run_loop(q, b, &run, &at);
    Vals args = {0};
    for (uint32_t k = 0; k < g->body->nparams; k++) {
        vec_push(s, &args, k < g->carry ? at.carry[k] : at.constant[k]);
    }
    for (uint32_t k = 0; k < g->carry; k++) {
        if (q->want[k]) vec_push(s, &args, v.adjoint[k]);
    }
    Val *out = NEW_ARRAY(s, Val, q->nwrt);
    splice(q->r->p, b, back, args.data, NULL, &(Splice){0}, out);
    b_at(b, q->ins->loc, region_label(q));
    for (uint32_t k = 0; k < q->nwrt; k++) {
        Val *d = &v.adjoint[q->wrt[k]];
        *d = q->wrt[k] < g->carry ? out[k] : accumulate(q->r->p->cx, b, *d, out[k]);
    }
    l.body = end_body(q, b, &l, &v);
    return l;
}

static Loop segments_back(const Pulled *q, const Fn *back) {
    Loop record = recording(q, false), steps = steps_back(q, back);
    Loop l = {.test = steps.test, .carries = back_carries, .given = back_given};
    Vars v, at = vars_new(q);
    Builder *b = begin(q, "segment", &l, &v);
    Val first = last_segment(q, b, &v, &at);
    start_recording(q, b, &at);
    at.end = op2(b, Op_sub, v.count, first);
    run_loop(q, b, &record, &at);
    at.adjoint = v.adjoint;
    run_loop(q, b, &steps, &at);
    v.count = first;
    l.body = end_body(q, b, &l, &v);
    return l;
}

void pull_while(Pulled *q, const struct Saved *saved) {
    Reverse *r = q->r;
    const Region *g = &q->a->r;
    const Fn *back = region_backward(q, g->body);
    if (!back) {
        r->errors++;
        return;
    }
    Loop l = segments_back(q, back);
    b_at(r->b, q->ins->loc, region_label(q));
    Vars v = vars_new(q);
    take_constants(q, &v);
    v.count = saved->stacks[0];
    v.length = saved->stacks[1];
    copy_bytes(v.slots, saved->stacks + 2, g->carry * sizeof *v.slots);
    for (uint32_t k = 0; k < q->nwrt; k++) {
        uint32_t at = q->wrt[k];
        v.adjoint[at] = at < g->carry ? region_cotangent(q, at)
                                      : b_float(r->b, formal_type(q, at), 0);
    }
    run_loop(q, r->b, &l, &v);
    Val *adjoints = NEW_ARRAY(r->p->cx->scratch, Val, q->nwrt);
    for (uint32_t k = 0; k < q->nwrt; k++) adjoints[k] = v.adjoint[q->wrt[k]];
    region_add(q, adjoints);
}
