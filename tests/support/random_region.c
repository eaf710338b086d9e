/* Random regions: functions of their own around values that are there, see random_gen.h. Loops run
 * a few times; a while counts down. */
#include "tests/support/random_gen.h"

enum { MaxFormals = 6 };

static bool any(Type t, const void *as) { return (void)as, t.shape->size >= 0; }
static bool same(Type t, const void *as) { return type_equal(t, *(const Type *)as); }
static bool truth(Type t, const void *as) { return (void)as, t.dt == BOOL && !t.shape->rank; }
static bool comparable(Type t, const void *as) {
    return (void)as, t.dt != BOOL && !t.shape->rank;
}
static bool ranked(Type t, const void *as) { return (void)as, t.shape->rank > 0; }

static Type counter(const Gen *g) { return type_of(I64, shape_scalar(g->p->cx)); }

/* A body of these formals in the making. */
static Gen *open_body(Gen *g, const char *base, const Type *types, uint32_t n) {
    Gen *in = NEW(g->p->cx->arena, Gen);
    *in = *g;
    const char *name = arena_printf(g->p->cx->arena, "%s%u", base, (unsigned)g->draws);
    in->b = builder_new(g->p, program_fresh(g->p, name), false);
    in->n = 0;
    in->depth--;
    for (uint32_t k = 0; k < n; k++) {
        in->vals[in->n++] = b_param(in->b, sym_fmt(g->p->cx, "in%u", k), types[k]);
    }
    return in;
}

static const Fn *close_body(Gen *g, Gen *in) {
    Fn *fn = builder_done(in->b);
    fn->props |= PropNoOperators | PropInlined;
    program_add(g->p, fn);
    g->draws = in->draws;
    return fn;
}

/* A value of each of the types, and more of any types behind them. */
static void body_results(Gen *in, const Type *types, uint32_t n, uint32_t more) {
    for (uint32_t k = 0; k < n; k++) b_result(in->b, pick(in, same, &types[k]));
    for (uint32_t k = 0; k < more; k++) b_result(in->b, pick(in, any, NULL));
}

static void steps_of(Gen *in) {
    for (uint32_t k = 2 + below(in, 6); k-- > 0;) random_step(in);
}

static void emit_region(Gen *g, Op op, const Val *args, uint32_t n, const Attr *attrs) {
    Ins ins = {.op = op, .attrs = attrs};
    Region r = region_of(g->p, &ins);
    RegionTypes t = region_types(g->p->cx, g->p->cx->arena, &ins, &r);
    Val out[2 * MaxFormals];
    b_multi(g->b, op, args, n, attrs, t.results, t.nresults, out);
    for (uint32_t k = 0; k < t.nresults && g->n < MaxValues; k++) {
        if (t.results[k].shape->size <= 4096) g->vals[g->n++] = out[k];
    }
}

/* Up to MaxFormals - 2 values of any type. */
static uint32_t operands(Gen *g, Val *args, Type *types, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        args[k] = pick(g, any, NULL);
        types[k] = type(g, args[k]);
    }
    return n;
}

static Type slice_of(Gen *g, Type t, uint32_t axis) {
    int64_t dim[8];
    uint32_t n = 0;
    for (uint32_t d = 0; d < t.shape->rank; d++) {
        if (d != axis) dim[n++] = t.shape->dim[d];
    }
    return (Type){t.dt, t.range, shape_of(g->p->cx, dim, n)};
}

static void scan(Gen *g) {
    Val args[MaxFormals], sequence = pick(g, ranked, NULL);
    Type types[MaxFormals];
    uint32_t carry = below(g, 3), n = operands(g, args, types, carry), axis = 0, seq = 0;
    int64_t length = below(g, 4);
    if (sequence != NoVal && !one_in(g, 4)) {
        Type t = type(g, sequence);
        axis = below(g, t.shape->rank);
        length = t.shape->dim[axis];
        seq = 1 + one_in(g, 4); /* twice the same at times */
        for (uint32_t k = 0; k < seq; k++, n++) {
            args[n] = sequence;
            types[n] = slice_of(g, t, axis);
        }
    }
    n += operands(g, args + n, types + n, n ? below(g, 2) : 1);
    Gen *in = open_body(g, "scan_body", types, n);
    steps_of(in);
    body_results(in, types, carry, 0);
    uint32_t emits = carry ? below(in, 2) : 1;
    for (uint32_t k = 0; k < emits; k++) { /* the axis must be one of the stack's */
        Val v = in->vals[in->n - 1];
        for (uint32_t i = in->n; i-- > 0 && type(in, v).shape->rank < axis;) v = in->vals[i];
        if (type(in, v).shape->rank >= axis) b_result(in->b, v);
    }
    if (!b_fn(in->b)->results.len) b_result(in->b, in->vals[0]);
    const Fn *body = close_body(g, in);
    Attr attrs[] = {attr_fn(body->name), attr_int(carry), attr_int(seq), attr_int(axis),
                    attr_int(length), attr_bool(one_in(g, 2))};
    for (uint32_t k = carry; k < body->results.len; k++) {
        if (body->ins.data[body->results.data[k]].type.shape->rank < axis) return;
    }
    emit_region(g, Op_scan, args, n, attrs);
}

static void countdown(Gen *g) {
    Val args[MaxFormals];
    Type types[MaxFormals] = {counter(g)};
    uint32_t carry = 2 + below(g, 2), n = carry + below(g, 2);
    args[0] = b_int(g->b, types[0], below(g, 5));
    operands(g, args + 1, types + 1, n - 1);
    Gen *test = open_body(g, "while_test", types, n);
    Val zero = b_int(test->b, types[0], 0);
    b_result(test->b, b_op(test->b, Op_lt, (Val[]){zero, test->vals[0]}, 2, NULL, NULL));
    const Fn *going = close_body(g, test);
    Gen *in = open_body(g, "while_body", types, n);
    Val minus = b_int(in->b, types[0], -1);
    b_result(in->b, b_add(in->b, in->vals[0], minus));
    steps_of(in);
    body_results(in, types + 1, carry - 1, 0);
    const Fn *body = close_body(g, in);
    Attr attrs[] = {attr_fn(going->name), attr_fn(body->name), attr_int(carry)};
    emit_region(g, Op_while, args, n, attrs);
}

static Val condition(Gen *g) {
    Val c = pick(g, truth, NULL), x[2] = {pick(g, comparable, NULL), NoVal};
    if (c != NoVal || x[0] == NoVal) return c;
    x[1] = b_float(g->b, type(g, x[0]), 0);
    return b_op(g->b, Op_lt, x, 2, NULL, NULL);
}

/* Both branches of the same types: values of the first operands', changed on the way. */
static void branch(Gen *g) {
    Val args[MaxFormals] = {condition(g)};
    Type types[MaxFormals];
    if (args[0] == NoVal) return;
    uint32_t n = operands(g, args + 1, types, 1 + below(g, 3)), results = 1 + below(g, n);
    Attr attrs[2];
    for (int k = 0; k < 2; k++) {
        Gen *in = open_body(g, k ? "else" : "then", types, n);
        steps_of(in);
        body_results(in, types, results, 0);
        attrs[k] = attr_fn(close_body(g, in)->name);
    }
    emit_region(g, Op_cond, args, n + 1, attrs);
}

static void again(Gen *g) {
    Val args[MaxFormals];
    Type types[MaxFormals];
    uint32_t n = operands(g, args, types, 1 + below(g, 3));
    Gen *in = open_body(g, "again", types, n);
    steps_of(in);
    body_results(in, NULL, 0, 1 + below(in, 2));
    Attr attr = attr_fn(close_body(g, in)->name);
    emit_region(g, Op_checkpoint, args, n, &attr);
}

void random_region(Gen *g) {
    static void (*const kinds[])(Gen *) = {scan, scan, countdown, branch, again};
    if (g->n + 2 * MaxFormals < MaxValues) kinds[below(g, LEN(kinds))](g);
}
