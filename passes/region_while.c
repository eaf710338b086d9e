/* Reverse mode of while: two functions, the loop recording and the loop backwards.
 *
 *   let (y.., n: i64, length: i64, slots..) = body_fwd(x.., consts..);
 *   let (d_x.., d_consts..) = body_vjp(x.., consts.., n, length, slots.., d_y..);
 *
 * The recording loop runs in segments of equal length and stores the carry at the start of each;
 * with every slot taken, each second segment is forgotten and they are twice as long from there on.
 * It is a loop of loops of loops: f_record until the while ends, of f_fill until the slots are
 * taken, of f_advance until the segment ends. The loop backwards: while_back.c. How the two
 * functions are differentiated: while_again.c. Tests: tests/passes/while_test.c */
#include "passes/while.h"

static const Fn *advancing(const Making *q) {
    Loop l = {.carries = RunCarries, .given = RunGiven};
    Vars v;
    Builder *b = while_begin(q, "advance", &l, &v);
    while_apply(q, b, q->g.body, &v, v.carry);
    v.count = b_add(b, v.count, while_number(q, b, 1));
    return while_end_body(q, b, &l, &v);
}

/* From count on, the carry is stored at the start of each segment until all slots are taken. */
static Loop filling(const Making *q) {
    Loop run = while_running(q, ToTest), l = {.carries = "xnts", .given = "lc"};
    Vars v;
    l.test = while_going(q, &l, ToFull);
    Builder *b = while_begin(q, "fill", &l, &v);
    while_store(q, b, &v, v.taken);
    Vars segment = v;
    segment.end = b_add(b, v.count, v.length);
    while_run(q, b, &run, &segment);
    v.count = segment.count;
    v.taken = b_add(b, v.taken, while_number(q, b, 1));
    l.body = while_end_body(q, b, &l, &v);
    return l;
}

/* Slots are filled; if that was all of them, every second one is given up. */
static Loop recording(const Making *q) {
    Loop fill = filling(q), l = {.carries = "xntls", .given = "c"};
    Vars v;
    l.test = while_going(q, &l, ToLast);
    Builder *b = while_begin(q, "record", &l, &v);
    while_run(q, b, &fill, &v);
    Val full = while_op(b, Op_eq, v.count, b_mul(b, v.length, while_number(q, b, Slots)));
    v.length = while_choose(b, full, b_mul(b, v.length, while_number(q, b, 2)), v.length);
    v.taken = while_choose(b, full, while_number(q, b, Slots / 2), v.taken);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        v.slots[k] = slots_halved(q->p->cx, b, v.slots[k], full);
    }
    l.body = while_end_body(q, b, &l, &v);
    return l;
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

/* The loop as a function. */
static Fn *whole_loop(const Making *q) {
    Builder *b = while_function(q);
    Vars v = while_vars(q);
    take_params(q, b, &v);
    Val *args = NEW_ARRAY(q->p->cx->scratch, Val, q->g.body->nparams);
    Val *out = NEW_ARRAY(q->p->cx->scratch, Val, q->g.carry);
    Type *types = NEW_ARRAY(q->p->cx->scratch, Type, q->g.carry);
    for (uint32_t k = 0; k < q->g.body->nparams; k++) {
        args[k] = k < q->g.carry ? v.carry[k] : v.constant[k];
        if (k < q->g.carry) types[k] = while_formal(q, k);
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
    Builder *b = while_function(q);
    Vars v = while_vars(q);
    take_params(q, b, &v);
    v.count = v.taken = while_number(q, b, 0);
    v.length = while_number(q, b, 1);
    for (uint32_t k = 0; k < q->g.carry; k++) {
        v.slots[k] = slots_empty(q->p->cx, b, while_formal(q, k));
    }
    while_run(q, b, &l, &v);
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
        if (slots_type(q->p->cx, while_formal(q, k)).shape) continue;
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
