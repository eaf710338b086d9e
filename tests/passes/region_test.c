/* Regions: random programs of loops, branches and checkpoints in each other, first and second
 * order, against differences of the interpreter's values and each mode against the other. Values
 * are used before, inside and after a region; loops run 0, 1, 2, 3, 7 and 40 times. */
#include "tests/passes/support.h"

enum { Width = 3, Steps = 7 };

typedef struct G {
    T *t;
    uint64_t seed, drawn;
    uint32_t depth; /* of regions that may still be opened */
    uint32_t fns;
    Val xs;    /* f64[Steps, Width], or NoVal inside bodies */
    Vals vals; /* f64[Width] */
} G;

static uint32_t below(G *g, uint32_t n) {
    return (uint32_t)(rng_bits(g->seed, g->drawn++) >> 33) % n;
}

static Val any(G *g) { return g->vals.data[below(g, g->vals.len)]; }
static void keep(G *g, Val v) { vec_push(g->t->cx->arena, &g->vals, v); }
static Type vector(G *g) { return t_type(g->t, 1, Width); }
static Type count_type(G *g) { return type_of(I64, shape_scalar(g->t->cx)); }

/* Bounded by its operands or by 1, so that no loop grows. */
static Val smooth(G *g) {
    T *t = g->t;
    Val x = any(g), y = any(g), half = t_num(t, vector(g), 0.5);
    switch (below(g, 5)) {
    case 0: return t_op(t, Op_tanh, t_op2(t, Op_mul, x, y));
    case 1: return t_op2(t, Op_mul, x, t_op(t, Op_sigmoid, y));
    case 2: return t_op2(t, Op_mul, half, t_op2(t, Op_add, x, y));
    case 3: return t_op2(t, Op_mul, half, t_op2(t, Op_sub, x, t_op(t, Op_tanh, y)));
    default: return t_where(t, t_op2(t, Op_lt, x, half), t_op(t, Op_tanh, x), y);
    }
}

static void step(G *g);

/* A function being written inside another one. */
typedef struct Outer {
    Builder *b;
    Vals vals;
    Val xs;
} Outer;

static Outer open_fn(G *g, const char *base) {
    Outer o = {g->t->b, g->vals, g->xs};
    t_fn(g->t, arena_printf(g->t->cx->arena, "%s%u", base, g->fns++));
    g->vals = (Vals){0};
    g->xs = NoVal;
    g->depth--;
    return o;
}

static const Fn *close_fn(G *g, Outer o) {
    const Fn *fn = t_end(g->t, NoVal);
    g->t->b = o.b;
    g->vals = o.vals;
    g->xs = o.xs;
    g->depth++;
    return fn;
}

static void formals(G *g, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        keep(g, t_param(g->t, arena_printf(g->t->cx->arena, "p%u", g->vals.len), vector(g)));
    }
}

static void results(G *g, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) b_result(g->t->b, any(g));
}

/* fn of n vectors to m vectors */
static const Fn *function(G *g, const char *base, uint32_t n, uint32_t m) {
    Outer o = open_fn(g, base);
    formals(g, n);
    for (uint32_t k = 2 + below(g, 3); k-- > 0;) step(g);
    results(g, m);
    return close_fn(g, o);
}

static uint32_t vectors(G *g, Vals *args, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) vec_push(g->t->cx->arena, args, any(g));
    return n;
}

static void region(G *g, Op op, const Vals *args, const Attr *attrs, Val *out) {
    Ins ins = {.op = op, .attrs = attrs};
    Region r = region_of(g->t->p, &ins);
    RegionTypes types = region_types(g->t->cx, g->t->cx->arena, &ins, &r);
    b_multi(g->t->b, op, args->data, args->len, attrs, types.results, types.nresults, out);
}

/* ---- one region of each kind ---- */

/* The first `length` rows of xs, or as many copies of one vector; the steps along `axis`. */
static Val sequence(G *g, int64_t length, bool second) {
    T *t = g->t;
    Val rows;
    if (g->xs != NoVal && below(g, 4)) {
        Attr cut[] = {attr_ints(t->cx, (int64_t[]){0, 0}, 2),
                      attr_ints(t->cx, (int64_t[]){length, Width}, 2), {AttrNone, {0}}};
        rows = b_op(t->b, Op_slice, &g->xs, 1, cut, NULL);
    } else {
        rows = t_ints(t, Op_broadcast, any(g), 2, (int64_t[]){length, Width});
    }
    return second ? t_ints(t, Op_transpose, rows, 2, (int64_t[]){1, 0}) : rows;
}

/* Different weights for each step, then their sum. */
static Val weighed(G *g, Val stack, bool second) {
    T *t = g->t;
    Type type = b_type(t->b, stack);
    uint64_t n = (uint64_t)type.shape->size;
    if (!n) return t_ints(t, Op_reduce_sum, stack, 1, (int64_t[]){second});
    Num *w = NEW_ARRAY(t->cx->arena, Num, n);
    for (uint64_t i = 0; i < n; i++) w[i].f = 0.1 * (double)(1 + i % 5) - 0.2;
    Val x = t_op2(t, Op_mul, stack, b_const(t->b, type, w, n));
    return t_ints(t, Op_reduce_sum, x, 1, (int64_t[]){second});
}

static void scan(G *g) {
    static const int64_t lengths[] = {0, 1, 2, 3, Steps}, axes[] = {0, -2, 1, -1};
    uint32_t carry = below(g, 3), seq = below(g, 3), consts = below(g, 3);
    uint32_t emits = carry ? below(g, 3) : 1 + below(g, 2), axis = below(g, 4);
    if (carry + seq + consts == 0) consts = 1;
    int64_t length = lengths[below(g, LEN(lengths))];
    const Fn *body = function(g, "scan", carry + seq + consts, carry + emits);
    bool second = axis >= 2;
    Vals args = {0};
    vectors(g, &args, carry);
    for (uint32_t k = 0; k < seq; k++) {
        vec_push(g->t->cx->arena, &args, sequence(g, length, second));
    }
    vectors(g, &args, consts);
    Attr attrs[] = {attr_fn(body->name), attr_int(carry), attr_int(seq),
                    attr_int(axis < 2 ? 0 : axes[axis]), attr_int(length),
                    attr_bool(below(g, 2))};
    Val out[8];
    region(g, Op_scan, &args, attrs, out);
    for (uint32_t k = 0; k < carry; k++) keep(g, out[k]);
    for (uint32_t k = carry; k < carry + emits; k++) keep(g, weighed(g, out[k], second));
}

/* The counter is one of the carries, the limit a constant. */
static void loop(G *g) {
    static const int64_t trips[] = {0, 1, 2, 3, 7, 40};
    T *t = g->t;
    uint32_t carry = 1 + below(g, 2), consts = below(g, 3);
    int64_t n = trips[below(g, g->depth > 1 ? 6 : 4)];
    const Fn *fns[2];
    for (int k = 0; k < 2; k++) {
        Outer o = open_fn(g, k ? "body" : "test");
        Val count = t_param(t, "count", count_type(g));
        formals(g, carry);
        Val limit = t_param(t, "limit", count_type(g));
        formals(g, consts);
        if (k) {
            b_result(t->b, b_add(t->b, count, b_int(t->b, count_type(g), 1)));
            for (uint32_t i = 2 + below(g, 2); i-- > 0;) step(g);
            results(g, carry);
        } else {
            b_result(t->b, t_op2(t, Op_lt, count, limit));
        }
        fns[k] = close_fn(g, o);
    }
    Vals args = {0};
    vec_push(t->cx->arena, &args, b_int(t->b, count_type(g), 0));
    vectors(g, &args, carry);
    vec_push(t->cx->arena, &args, b_int(t->b, count_type(g), n));
    vectors(g, &args, consts);
    Attr attrs[] = {attr_fn(fns[0]->name), attr_fn(fns[1]->name), attr_int(carry + 1)};
    Val out[8];
    region(g, Op_while, &args, attrs, out);
    for (uint32_t k = 1; k <= carry; k++) keep(g, out[k]);
}

static void branch(G *g) {
    T *t = g->t;
    uint32_t n = 1 + below(g, 3), m = 1 + below(g, 2);
    const Fn *then = function(g, "then", n, m), *otherwise = function(g, "else", n, m);
    Vals args = {0};
    Val left = t_sum(t, any(g)), right = t_num(t, t_type(t, 0), 0.3 * below(g, 8) - 0.5);
    vec_push(t->cx->arena, &args, t_op2(t, Op_lt, left, right));
    vectors(g, &args, n);
    Attr attrs[] = {attr_fn(then->name), attr_fn(otherwise->name)};
    Val out[8];
    region(g, Op_cond, &args, attrs, out);
    for (uint32_t k = 0; k < m; k++) keep(g, out[k]);
}

/* A checkpoint, or a plain call. */
static void again(G *g) {
    uint32_t n = 1 + below(g, 3), m = 1 + below(g, 2);
    const Fn *fn = function(g, "again", n, m);
    Vals args = {0};
    vectors(g, &args, n);
    Attr attr = attr_fn(fn->name);
    Val out[8];
    if (below(g, 3)) region(g, Op_checkpoint, &args, &attr, out);
    else b_call(g->t->b, fn, args.data, args.len, out);
    for (uint32_t k = 0; k < m; k++) keep(g, out[k]);
}

static void step(G *g) {
    static void (*const regions[])(G *) = {scan, scan, loop, branch, again};
    if (g->depth && below(g, 3) == 0) regions[below(g, LEN(regions))](g);
    else keep(g, smooth(g));
}

/* ---- whole functions ---- */

/* A scalar function with at least one region at its top. */
static Fn *random_program(T *t, uint64_t seed, uint32_t depth) {
    static void (*const regions[])(G *) = {scan, loop, branch, again};
    G g = {.t = t, .seed = seed, .depth = depth};
    t_fn(t, "f");
    keep(&g, t_param(t, "x", vector(&g)));
    keep(&g, t_param(t, "y", vector(&g)));
    g.xs = t_param(t, "xs", t_type(t, 2, Steps, Width));
    keep(&g, smooth(&g));
    regions[seed % LEN(regions)](&g);
    for (uint32_t k = 1 + below(&g, 3); k-- > 0;) step(&g);
    Val total = t_sum(t, g.vals.data[0]);
    for (uint32_t k = 1; k < g.vals.len; k++) {
        Val v = g.vals.data[k], weight = t_num(t, vector(&g), 0.3 + 0.2 * (k % 4));
        Val part = t_op2(t, Op_mul, t_op2(t, Op_mul, v, v), weight);
        total = t_op2(t, Op_add, total, t_sum(t, part));
    }
    return t_end(t, total, NoVal);
}

/* The gradient as a scalar function: weighted sums of its parts. */
static Fn *slope_of(T *t, const Fn *f) {
    uint32_t wrt[] = {0, 1, 2};
    Fn *d = differentiate(t->p, f, sym(t->cx, "slope_vg"), wrt, 3);
    assert_non_null(d);
    program_add(t->p, d);
    t_fn(t, "slope");
    Val args[3], out[4], total = NoVal;
    for (uint32_t k = 0; k < 3; k++) args[k] = t_param(t, f->ins.data[k].name, f->ins.data[k].type);
    b_call(t->b, d, args, 3, out);
    for (uint32_t k = 1; k < 4; k++) {
        Val part = t_sum(t, t_op2(t, Op_mul, out[k], t_op(t, Op_sigmoid, out[k])));
        total = k == 1 ? part : t_op2(t, Op_add, total, part);
    }
    return t_end(t, total, NoVal);
}

static void test_first_order(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 160; seed++) {
        T *t = t_new();
        Fn *f = random_program(t, seed, 1 + seed % 3);
        check_gradient(t, f, seed);
        check_dot(t, f, seed + 1);
        verify_program(t->p);
        t_free(t);
    }
}

static void test_second_order(void **state) {
    (void)state;
    for (uint64_t seed = 1000; seed < 1048; seed++) {
        T *t = t_new();
        Fn *slope = slope_of(t, random_program(t, seed, 1 + seed / 4 % 2));
        check_gradient(t, slope, seed);
        check_dot(t, slope, seed + 1);
        t_free(t);
    }
}

static Val scalar_region(T *t, Op op, uint32_t n, const Val *args, const Attr *attrs, int result) {
    Val out[4];
    Vals list = {.data = (Val *)args, .len = n};
    region(&(G){.t = t}, op, &list, attrs, out);
    return out[result];
}

/* In a body, a rule is used too: three for each step, where the function would give 2 x. */
static void test_rule_inside(void **state) {
    (void)state;
    T *t = t_new();
    Type num = t_type(t, 0);
    t_fn(t, "ruled");
    Val x = t_param(t, "x", num);
    t_end(t, t_op2(t, Op_mul, x, x), NoVal);
    t_fn(t, "body");
    x = t_param(t, "x", num);
    t_end(t, t_call(t, "ruled", 1, &x), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", num);
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(0), attr_int(0),
                    attr_int(4), attr_bool(false)};
    Fn *f = t_end(t, scalar_region(t, Op_scan, 1, &x, attrs, 0), NoVal);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    assert_true(t_run(t, d, t_args(t, f, 1))[1].re[0] == 81);
    const Ins *last = &d->ins.data[d->results.data[1]];
    assert_string_equal(last->rule, "B[scan, x]");
    assert_string_equal(last->name, "d_x");
    check_dot(t, f, 2);
    t_free(t);
}

static bool has_op(const Fn *fn, Op op) {
    for (Val v = 0; v < fn->ins.len; v++) {
        if (fn->ins.data[v].op == op) return true;
    }
    return false;
}

static const Fn *last_named(T *t, const char *part) {
    const Fn *found = NULL;
    for (uint32_t k = 0; k < t->p->fns.len; k++) {
        if (strstr(t->p->fns.data[k]->name, part)) found = t->p->fns.data[k];
    }
    assert_non_null(found);
    return found;
}

static Fn *repeat(T *t, const char *body, uint32_t n, const Val *args, int64_t seq, int64_t steps) {
    Attr attrs[] = {attr_fn(sym(t->cx, body)), attr_int(1), attr_int(seq), attr_int(0),
                    attr_int(steps), attr_bool(false)};
    return t_end(t, t_sum(t, scalar_region(t, Op_scan, n, args, attrs, 0)), NoVal);
}

/* h = tanh(h * exp(w * w)): the factor is made once and its rule applied once. */
static void test_hoisted(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    t_fn(t, "body");
    Val h = t_param(t, "h", v), w = t_param(t, "w", v);
    Val e = t_op(t, Op_exp, t_op2(t, Op_mul, w, w));
    t_end(t, t_op(t, Op_tanh, t_op2(t, Op_mul, h, e)), NoVal);
    t_fn(t, "f");
    Val args[] = {t_param(t, "h", v), t_param(t, "w", v)};
    Fn *f = repeat(t, "body", 2, args, 0, 5);
    f->exported = true;
    Tensor *values = t_args(t, f, 3), *before = t_run(t, f, values);
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1, .stop_after = "hoist"};
    assert_true(passes_run(t->p, &o));
    f = program_fn(t->p, sym(t->cx, "f"));
    assert_true(t_run(t, f, values)[0].re[0] == before[0].re[0]);
    const Fn *body = last_named(t, "body_rest");
    assert_false(has_op(body, Op_exp));
    assert_int_equal(body->nparams, 2); /* w itself is gone */
    check_gradient(t, f, 4);
    check_dot(t, f, 5);
    assert_false(has_op(last_named(t, "body_rest_back"), Op_exp));
    t_free(t);
}

/* s = s + x[i] * x[i] over all rows: each step adds to one row of the sum, which stays where it is
 * while the loop runs. */
static void test_added_in_place(void **state) {
    (void)state;
    enum { Rows = 40 };
    T *t = t_new();
    Type v = t_type(t, 1, 3), all = t_type(t, 2, Rows, 3);
    Type index = {I32, Rows, shape_scalar(t->cx)};
    Attr axis = attr_int(0), length = attr_int(Rows);
    t_fn(t, "body");
    Val s = t_param(t, "s", v), i = t_param(t, "i", index), x = t_param(t, "x", all);
    Val row = b_op(t->b, Op_gather, (Val[]){x, i}, 2, &axis, NULL);
    t_end(t, t_op2(t, Op_add, s, t_op2(t, Op_mul, row, t_op(t, Op_tanh, row))), NoVal);
    t_fn(t, "f");
    Val args[3] = {t_param(t, "s", v)};
    args[2] = t_param(t, "x", all);
    args[1] = b_op(t->b, Op_iota, NULL, 0, &length, NULL);
    Fn *f = repeat(t, "body", 3, args, 1, Rows);
    check_gradient(t, f, 6);
    const Fn *back = last_named(t, "body_back");
    const Ins *sum = &back->ins.data[back->results.data[1]];
    assert_int_equal(sum->op, Op_scatter_add);
    assert_true(sum->args[0] < back->nparams);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){1}, 1);
    d->exported = true;
    program_add(t->p, d);
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1};
    assert_true(passes_run(t->p, &o));
    back = last_named(t, "body_back");
    assert_non_null(back->donated);
    assert_int_equal(back->donated[1], 1);
    assert_true(back->plan->arena_bytes < sizeof(double) * Rows * 3);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_order), cmocka_unit_test(test_second_order),
        cmocka_unit_test(test_rule_inside), cmocka_unit_test(test_hoisted),
        cmocka_unit_test(test_added_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
