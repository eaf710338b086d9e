/* Reverse mode of while: two functions, the loop recording and the loop backwards.
 *
 *   let (y.., n: i64, length: i64, slots..) = body_fwd(x.., consts..);
 *   let (d_x.., d_consts..) = body_vjp(x.., consts.., n, length, slots.., d_y..);
 *
 * The recording loop runs in segments of equal length and stores the carry at the start of each;
 * with every slot taken, each second segment is forgotten and they are twice as long from there on.
 * Backwards, a segment runs again from its start in the same way, with slots of its own, so that
 * what is stored never exceeds 2 * Slots carries, then its steps one by one:
 *
 *   while[f_going, f_record](x.., 0, 1, slots0.., 9223372036854775807, consts.., carry=..)
 *   while[f_left, f_segment](n, d_y.., 0.0.., length, slots.., consts.., carry=..)
 *
 * f_segment is a f_record from the segment's start and a while[f_left, f_step] back over it; f_step
 * runs f from the nearest slot to the step before and applies the derivative of f there.
 * How the two functions are differentiated: while_again.c. Tests: tests/passes/region_test.c */
#include "passes/reverse.h"

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
static const char fill_carries[] = "xns", fill_given[] = "lec";
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

/* What the functions of a while are made for. */
typedef struct Making {
    Program *p;
    const Ins *ins; /* the while */
    Region g;
    const Fn *advance;      /* a step and the count of it */
    const bool *wrt, *want; /* formals and results of the body, for the backward part */
    Sym label;
} Making;

static Type formal_of(const Making *q, uint32_t k) { return q->g.body->ins.data[k].type; }

static Type count_type(const Making *q) { return type_of(I64, shape_scalar(q->p->cx)); }

static Vars vars_new(const Making *q) {
    Arena *s = q->p->cx->scratch;
    uint32_t n = q->g.body->nparams;
    return (Vars){.carry = NEW_ARRAY(s, Val, n), .slots = NEW_ARRAY(s, Val, n),
                  .adjoint = NEW_ARRAY(s, Val, n), .constant = NEW_ARRAY(s, Val, n)};
}

static void add_places(const Making *q, char letter, Vars *v, Places *out) {
    Arena *s = q->p->cx->scratch;
    switch (letter) {
    case 'n': vec_push(s, out, (Place){&v->count, count_type(q), "step", "count"}); return;
    case 'l': vec_push(s, out, (Place){&v->length, count_type(q), "segment", "length"}); return;
    case 'e': vec_push(s, out, (Place){&v->end, count_type(q), "step", "end"}); return;
    }
    for (uint32_t k = 0; k < q->g.body->nparams; k++) {
        Type t = formal_of(q, k);
        const char *name = q->g.body->ins.data[k].name;
        if (letter == 'd' && q->wrt[k]) {
            vec_push(s, out, (Place){&v->adjoint[k], t, k < q->g.carry ? "d" : "sum", name});
        } else if (letter == 'c' && k >= q->g.carry) {
            vec_push(s, out, (Place){&v->constant[k], t, "in", name});
        } else if (letter == 'x' && k < q->g.carry) {
            vec_push(s, out, (Place){&v->carry[k], t, "at", name});
        } else if (letter == 's' && k < q->g.carry) {
            vec_push(s, out, (Place){&v->slots[k], slots_type(q->p->cx, t), "slots", name});
        }
    }
}

static Places places(const Making *q, const char *letters, Vars *v) {
    Places out = {0};
    for (; *letters; letters++) add_places(q, *letters, v, &out);
    return out;
}

static Builder *begin(const Making *q, const char *suffix, const Loop *l, Vars *v) {
    Program *p = q->p;
    const Fn *body = q->g.body;
    Sym name = program_fresh(p, arena_printf(p->cx->scratch, "%s_%s", body->name, suffix));
    Builder *b = builder_new(p, name, false);
    b_fn(b)->loc = body->loc;
    b_at(b, q->ins->loc, q->label);
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

static const Fn *end(const Making *q, Builder *b) {
    Fn *fn = builder_done(b);
    program_add(q->p, fn);
    return fn;
}

static const Fn *end_body(const Making *q, Builder *b, const Loop *l, Vars *v) {
    Places at = places(q, l->carries, v);
    for (uint32_t k = 0; k < at.len; k++) b_result(b, *at.data[k].at);
    return end(q, b);
}

/* The loop from v and to v. */
static void run_loop(const Making *q, Builder *b, const Loop *l, Vars *v) {
    Arena *s = q->p->cx->scratch;
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

static Val number(const Making *q, Builder *b, int64_t n) { return b_int(b, count_type(q), n); }

/* What the region's test or body gives at v. */
static void apply(const Making *q, Builder *b, const Fn *fn, const Vars *v, Val *out) {
    Val *args = NEW_ARRAY(q->p->cx->scratch, Val, fn->nparams);
    for (uint32_t k = 0; k < fn->nparams; k++) {
        args[k] = k < q->g.carry ? v->carry[k] : v->constant[k];
    }
    splice(q->p, b, fn, args, NULL, &(Splice){0}, out);
    b_at(b, q->ins->loc, q->label);
}

/* ---- forward ---- */

typedef enum Going {
    ToEnd,  /* count < end */
    ToTest, /* the same, and the test of the region */
    ToFull, /* the same, and a slot is free */
    ToLast, /* count + length < end */
} Going;

static const Fn *going(const Making *q, const Loop *l, Going how) {
    Vars v;
    Builder *b = begin(q, "going", l, &v);
    Val at = how == ToLast ? b_add(b, v.count, v.length) : v.count;
    Val go = op2(b, Op_lt, at, v.end), more;
    if (how == ToTest || how == ToFull) {
        apply(q, b, q->g.other, &v, &more);
        go = op2(b, Op_and, go, more);
    }
    if (how == ToFull) {
        more = op2(b, Op_lt, v.count, b_mul(b, v.length, number(q, b, Slots)));
        go = op2(b, Op_and, go, more);
    }
    b_result(b, go);
    return end(q, b);
}

static const Fn *advancing(const Making *q) {
    Loop l = {.carries = run_carries, .given = run_given};
    Vars v;
    Builder *b = begin(q, "advance", &l, &v);
    apply(q, b, q->g.body, &v, v.carry);
    v.count = b_add(b, v.count, number(q, b, 1));
    return end_body(q, b, &l, &v);
}

/* The region from step count to before step end. */
static Loop running(const Making *q, Going how) {
    Loop l = {.body = q->advance, .carries = run_carries, .given = run_given};
    l.test = going(q, &l, how);
    return l;
}

/* Where the segment of a step is stored. */
static Val slot_of(const Making *q, Builder *b, const Vars *v, Val step) {
    Type ranged = {I32, Slots, shape_scalar(q->p->cx)};
    Val slot = op2(b, Op_div, step, v->length);
    return b_op(b, Op_cast, &slot, 1, NULL, &ranged);
}

static void store(const Making *q, Builder *b, Vars *v) {
    Val slot = slot_of(q, b, v, v->count);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        v->slots[k] = slots_store(b, v->slots[k], slot, v->carry[k]);
    }
}

/* From count on, the carry is stored at the start of each segment until all slots are taken. */
static Loop filling(const Making *q) {
    Loop run = running(q, ToTest), l = {.carries = fill_carries, .given = fill_given};
    Vars v;
    l.test = going(q, &l, ToFull);
    Builder *b = begin(q, "fill", &l, &v);
    store(q, b, &v);
    Vars segment = v;
    segment.end = op2(b, Op_min, b_add(b, v.count, v.length), v.end);
    run_loop(q, b, &run, &segment);
    v.count = segment.count;
    l.body = end_body(q, b, &l, &v);
    return l;
}

/* Slots are filled; if that was all of them, every second one is given up. */
static Loop recording(const Making *q) {
    Loop fill = filling(q), l = {.carries = record_carries, .given = record_given};
    Vars v;
    l.test = going(q, &l, ToTest);
    Builder *b = begin(q, "record", &l, &v);
    run_loop(q, b, &fill, &v);
    Val full = op2(b, Op_eq, v.count, b_mul(b, v.length, number(q, b, Slots)));
    Val twice = b_mul(b, v.length, number(q, b, 2));
    v.length = b_op(b, Op_where, (Val[]){full, twice, v.length}, 3, NULL, NULL);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        v.slots[k] = slots_halved(q->p->cx, b, v.slots[k], full);
    }
    l.body = end_body(q, b, &l, &v);
    return l;
}

/* The same where the number of steps, end, is known: slots last, and no step runs behind the last
 * one that is stored. */
static Loop replaying(const Making *q) {
    Loop run = running(q, ToEnd), l = {.carries = fill_carries, .given = fill_given};
    Vars v;
    l.test = going(q, &l, ToLast);
    Builder *b = begin(q, "replay", &l, &v);
    Vars segment = v;
    segment.end = b_add(b, v.count, v.length);
    run_loop(q, b, &run, &segment);
    v.count = segment.count;
    store(q, b, &v);
    l.body = end_body(q, b, &l, &v);
    return l;
}

static void start_recording(const Making *q, Builder *b, Vars *v) {
    v->count = number(q, b, 0);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        v->slots[k] = slots_empty(q->p->cx, b, formal_of(q, k));
    }
}

/* fn's parameters in b, into what the loop starts from and is given. */
static void take_params(const Making *q, Builder *b, Vars *v) {
    for (uint32_t k = 0; k < q->g.body->nparams; k++) {
        const Ins *i = &q->g.body->ins.data[k];
        Val x = b_param(b, i->name, i->type);
        if (k < q->g.carry) v->carry[k] = x;
        else v->constant[k] = x;
    }
}

static Builder *part_begin(const Making *q) {
    Builder *b = builder_new(q->p, q->g.body->name, false);
    b_fn(b)->loc = q->ins->loc;
    b_at(b, q->ins->loc, q->label);
    return b;
}

/* The loop as a function. */
static Fn *whole_loop(const Making *q) {
    Builder *b = part_begin(q);
    Vars v = vars_new(q);
    take_params(q, b, &v);
    Val *args = NEW_ARRAY(q->p->cx->scratch, Val, q->g.body->nparams);
    Val *out = NEW_ARRAY(q->p->cx->scratch, Val, q->g.carry);
    Type *types = NEW_ARRAY(q->p->cx->scratch, Type, q->g.carry);
    for (uint32_t k = 0; k < q->g.body->nparams; k++) {
        args[k] = k < q->g.carry ? v.carry[k] : v.constant[k];
        if (k < q->g.carry) types[k] = formal_of(q, k);
    }
    b_at(b, q->ins->loc, q->ins->rule);
    b_multi(b, Op_while, args, q->g.body->nparams, q->ins->attrs, types, q->g.carry, out);
    for (uint32_t k = 0; k < q->g.carry; k++) b_result(b, out[k]);
    Fn *fn = builder_done(b);
    add_fresh(q->p, fn, q->g.body->name, "loop");
    return fn;
}

static Fn *recording_loop(const Making *q) {
    Loop l = recording(q);
    Builder *b = part_begin(q);
    Vars v = vars_new(q);
    take_params(q, b, &v);
    start_recording(q, b, &v);
    v.length = number(q, b, 1);
    v.end = number(q, b, INT64_MAX);
    run_loop(q, b, &l, &v);
    for (uint32_t k = 0; k < q->g.carry; k++) b_result(b, v.carry[k]);
    b_result(b, v.count);
    b_result(b, v.length);
    for (uint32_t k = 0; k < q->g.carry; k++) b_result(b, v.slots[k]);
    Fn *fn = builder_done(b);
    add_fresh(q->p, fn, q->g.body->name, "fwd");
    return fn;
}

static bool can_be_stored(const Making *q) {
    for (uint32_t k = 0; k < q->g.carry; k++) {
        if (slots_type(q->p->cx, formal_of(q, k)).shape) continue;
        diag_error(q->p->cx, q->ins->loc,
                   "the derivative of this loop stores '%s' at %d of its steps, which is too large",
                   q->g.body->ins.data[k].name, Slots);
        return false;
    }
    return true;
}

const WhileFns *while_fns(Program *p, const Ins *ins) {
    for (uint32_t k = 0; k < p->whiles.len; k++) {
        const WhileFns *w = p->whiles.data[k];
        const Ins *i = &w->whole->ins.data[w->whole->nparams];
        bool same = true;
        for (int n = 0; n < op_info[Op_while].nattrs; n++) {
            same &= attr_equal(i->attrs[n], ins->attrs[n]);
        }
        if (same && program_fn(p, w->forward->name)) return w;
    }
    Making q = {.p = p, .ins = ins, .g = region_of(p, ins), .label = sym(p->cx, "record")};
    if (!can_be_stored(&q)) return NULL;
    q.advance = advancing(&q);
    WhileFns *w = NEW(p->cx->arena, WhileFns);
    *w = (WhileFns){whole_loop(&q), recording_loop(&q), q.advance};
    vec_push(p->cx->arena, &p->whiles, w);
    return w;
}

/* ---- backward ---- */

/* Gives the number of the last segment's first step and its carry. */
static Val last_segment(const Making *q, Builder *b, const Vars *v, Vars *from) {
    Val step = op2(b, Op_sub, v->count, number(q, b, 1)), slot = slot_of(q, b, v, step);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        from->carry[k] = slots_read(b, v->slots[k], slot, formal_of(q, k));
    }
    from->constant = v->constant;
    return b_mul(b, op2(b, Op_div, step, v->length), v->length);
}

static const Fn *left(const Making *q, const Loop *l) {
    Vars v;
    Builder *b = begin(q, "left", l, &v);
    b_result(b, op2(b, Op_lt, number(q, b, 0), v.count));
    return end(q, b);
}

/* back: the derivative of the body. */
static Loop steps_back(const Making *q, const Fn *back) {
    Arena *s = q->p->cx->scratch;
    const Region *g = &q->g;
    Loop run = running(q, ToEnd), l = {.carries = back_carries, .given = back_given};
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
    Val *out = NEW_ARRAY(s, Val, back->results.len);
    splice(q->p, b, back, args.data, NULL, &(Splice){0}, out);
    b_at(b, q->ins->loc, q->label);
    for (uint32_t k = 0, n = 0; k < g->body->nparams; k++) {
        if (!q->wrt[k]) continue;
        Val *d = &v.adjoint[k];
        *d = k < g->carry ? out[n] : accumulate(q->p->cx, b, *d, out[n]);
        n++;
    }
    l.body = end_body(q, b, &l, &v);
    return l;
}

static Loop segments_back(const Making *q, const Fn *back) {
    Loop replay = replaying(q), steps = steps_back(q, back);
    Loop l = {.test = steps.test, .carries = back_carries, .given = back_given};
    Vars v, at = vars_new(q);
    Builder *b = begin(q, "segment", &l, &v);
    Val first = last_segment(q, b, &v, &at);
    start_recording(q, b, &at);
    at.end = op2(b, Op_sub, v.count, first);
    Val rounded = b_add(b, at.end, number(q, b, Slots - 1)), left = at.end;
    at.length = op2(b, Op_div, rounded, number(q, b, Slots));
    store(q, b, &at);
    run_loop(q, b, &replay, &at);
    at.count = left;
    at.adjoint = v.adjoint;
    run_loop(q, b, &steps, &at);
    v.count = first;
    l.body = end_body(q, b, &l, &v);
    return l;
}

static Val part_param(const Making *q, Builder *b, const char *prefix, Sym name, Type type) {
    return b_param(b, fresh_param(q->p, b, prefix, name ? name : sym(q->p->cx, "x")), type);
}

/* (x.., consts.., n, length, slots.., d_y..) -> adjoints; back: the derivative of the body. */
static Fn *backward_loop(const Making *q, const Fn *back) {
    const Region *g = &q->g;
    const Fn *body = g->body;
    Loop l = segments_back(q, back);
    Builder *b = part_begin(q);
    Vars v = vars_new(q);
    for (uint32_t k = 0; k < body->nparams; k++) {
        Val x = part_param(q, b, "in", body->ins.data[k].name, formal_of(q, k));
        if (k < g->carry) v.carry[k] = x;
        else v.constant[k] = x;
    }
    v.count = part_param(q, b, "at", sym(q->p->cx, "count"), count_type(q));
    v.length = part_param(q, b, "at", sym(q->p->cx, "length"), count_type(q));
    for (uint32_t k = 0; k < g->carry; k++) {
        v.slots[k] = part_param(q, b, "slots", body->ins.data[k].name,
                                slots_type(q->p->cx, formal_of(q, k)));
    }
    for (uint32_t k = 0; k < body->nparams; k++) {
        if (k < g->carry && q->want[k]) {
            v.adjoint[k] = part_param(q, b, "of_d", body->ins.data[k].name, formal_of(q, k));
        } else if (q->wrt[k]) {
            v.adjoint[k] = b_float(b, formal_of(q, k), 0);
        }
    }
    run_loop(q, b, &l, &v);
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
