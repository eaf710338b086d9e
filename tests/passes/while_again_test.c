/* Derivatives of derivatives of a while by hand, forwards and backwards in any order, and how many
 * functions they take. */
#include "passes/reverse.h"
#include "tests/passes/support.h"

typedef struct Loop {  /* a function on its carries and constants */
    const char *order; /* of the carries */
    Val x, n, v, z, c, m, w;
    Val all[7]; /* as they are passed */
} Loop;

static Val *carry(Loop *l, char name) {
    switch (name) {
    case 'x':
        return &l->x;
    case 'n':
        return &l->n;
    case 'v':
        return &l->v;
    default:
        return &l->z;
    }
}

static Type carry_type(T *t, char name) {
    if (name == 'n') return type_of(I64, shape_scalar(t->cx));
    return name == 'v' ? t_type(t, 1, 2) : t_type(t, 0);
}

static Loop begin(T *t, const char *name, const char *order) {
    t_fn(t, name);
    Loop l = {.order = order};
    for (size_t k = 0; k < 4; k++) {
        l.all[k] = t_param(t, (char[]){order[k], 0}, carry_type(t, order[k]));
        *carry(&l, order[k]) = l.all[k];
    }
    l.c = l.all[4] = t_param(t, "c", carry_type(t, 'x'));
    l.m = l.all[5] = t_param(t, "m", carry_type(t, 'n'));
    l.w = l.all[6] = t_param(t, "w", carry_type(t, 'v'));
    return l;
}

static Fn *end(T *t, Loop *l, const char *results) {
    for (const char *r = results; *r; r++) b_result(t->b, *carry(l, *r));
    return t_end(t, NoVal);
}

/* while[n < m + 2, body](x * c, n, v, z, c, m, w, carry=4), or in another order: numbers, a vector
 * and a count are carried, one of the numbers made of nothing else. results: what is returned. */
static Fn *make_loop(T *t, const char *order, const char *results) {
    Type num = carry_type(t, 'x'), vec = carry_type(t, 'v'), count = carry_type(t, 'n'), types[4];
    Loop l = begin(t, "test", order);
    t_end(t, t_op2(t, Op_lt, l.n, b_add(t->b, l.m, b_int(t->b, count, 2))), NoVal);
    l = begin(t, "body", order);
    Val vw = t_op2(t, Op_mul, l.v, l.w), xc = t_op2(t, Op_mul, l.x, l.c);
    Val grown = t_op2(t, Op_mul, xc, t_num(t, num, 0.8));
    l.x = t_op2(t, Op_add, grown, t_op2(t, Op_mul, l.z, t_sum(t, vw)));
    l.v = t_op2(t, Op_mul, vw, t_num(t, vec, 0.7));
    l.z = t_op2(t, Op_mul, l.z, t_op2(t, Op_mul, l.z, t_num(t, num, 0.6)));
    l.n = b_add(t->b, l.n, b_int(t->b, count, 1));
    end(t, &l, order);
    l = begin(t, "f", order);
    Val out[4], from = t_op2(t, Op_mul, l.x, l.c);
    l.all[strcspn(order, "x")] = from;
    for (size_t k = 0; k < 4; k++) types[k] = carry_type(t, order[k]);
    Attr attrs[] = {attr_fn(sym(t->cx, "test")), attr_fn(sym(t->cx, "body")), attr_int(4)};
    b_multi(t->b, Op_while, l.all, 7, attrs, types, 4, out);
    for (size_t k = 0; k < 4; k++) *carry(&l, order[k]) = out[k];
    return end(t, &l, results);
}

/* name(..) = the sum of all float results of fn, each with a weight of its own. */
static Fn *weighed(T *t, const Fn *fn, const char *name) {
    t_fn(t, name);
    Val *args = NEW_ARRAY(t->cx->arena, Val, fn->nparams), sum = NoVal;
    Val *out = NEW_ARRAY(t->cx->arena, Val, fn->results.len);
    for (uint32_t k = 0; k < fn->nparams; k++) {
        args[k] = t_param(t, fn->ins.data[k].name, fn->ins.data[k].type);
    }
    b_call(t->b, fn, args, fn->nparams, out);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        Type type = b_type(t->b, out[k]);
        if (!dtype_is_float(type.dt)) continue;
        Num weight[2] = {{.f = 1 + 0.3 * k}, {.f = -0.7 - 0.2 * k}};
        Val w = b_const(t->b, type, weight, (uint32_t)type.shape->size);
        Val term = t_op2(t, Op_mul, out[k], w);
        if (type.shape->rank) term = t_sum(t, term);
        sum = sum == NoVal ? term : t_op2(t, Op_add, sum, term);
    }
    return t_end(t, sum, NoVal);
}

/* Every step-th float parameter. */
static uint32_t floats(const Fn *fn, uint32_t step, uint32_t *wrt) {
    uint32_t n = 0, seen = 0;
    for (uint32_t k = 0; k < fn->nparams; k++) {
        bool is_float = dtype_is_float(fn->ins.data[k].type.dt);
        if (is_float && seen++ % step == step - 1) wrt[n++] = k;
    }
    return n;
}

/* d gives the results of fn first. */
static void check_values(T *t, const Fn *fn, const Fn *d) {
    Tensor *args = t_args(t, d, 40), *got = t_run(t, d, args), *want = t_run(t, fn, args);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        if (dtype_is_float(got[k].type.dt))
            assert_memory_equal(got[k].re, want[k].re, sizeof(double));
        else
            assert_int_equal(got[k].i[0], want[k].i[0]);
    }
}

/* fn forwards ('j'), backwards ('b') or with its gradient ('g') by all its float parameters, in
 * capitals by every second. */
static Fn *derivative(T *t, const Fn *fn, char kind) {
    uint32_t wrt[64], n = floats(fn, kind < 'a' ? 2 : 1, wrt);
    Sym name = program_fresh(t->p, sym_fmt(t->cx, "%s%c", fn->name, kind));
    Fn *d = NULL;
    switch (kind) {
    case 'j':
    case 'J':
        d = linearize(t->p, fn, name, wrt, n);
        break;
    case 'b':
    case 'B':
        d = transpose_fn(t->p, fn, name, wrt, n, NULL);
        break;
    default:
        d = differentiate(t->p, fn, name, wrt, n);
    }
    assert_non_null(d);
    program_add(t->p, d);
    if (kind != 'b' && kind != 'B') check_values(t, fn, d);
    return d;
}

static Fn *derivatives(T *t, const Fn *fn, const char *way) {
    Fn *d = derivative(t, fn, way[0]);
    return way[1] ? derivatives(t, d, way + 1) : d;
}

/* Forwards and backwards in any order, then checked by one more of either. */
static void test_orders(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"xnvz", "b"},  {"xnvz", "j"},  {"xnvz", "bb"}, {"xnvz", "bj"}, {"xnvz", "jb"},
        {"xnvz", "jj"}, {"xnvz", "B"},  {"xnvz", "J"},  {"xnvz", "Bb"}, {"xnvz", "bB"},
        {"xnvz", "BJ"}, {"xnvz", "JB"}, {"v", "b"},     {"v", "B"},     {"v", "bj"},
        {"v", "bb"},    {"zx", "b"},    {"zx", "bB"},   {"zx", "Bj"},   {"vz", "B"},
        {"vz", "BB"},   {"xz", "J"},    {"xz", "g"},    {"xnvz", "gb"}, {"xnvz", "gj"},
        {"xv", "gg"},   {"zx", "gJ"},   {"xnvz", "gB"}, {"xnvz", "jg"}, {"z", "b"},
        {"z", "bb"},
    };
    for (size_t k = 0; k < 2 * LEN(rows); k++) {
        T *t = t_new();
        const char *const *row = rows[k / 2];
        Fn *fn = derivatives(t, make_loop(t, k % 2 ? "zvnx" : "xnvz", row[0]), row[1]);
        for (uint32_t step = 1; step < 4; step++) {
            uint32_t wrt[64], n = floats(fn, step, wrt);
            if (n) check_dot_of(t, fn, wrt, n, 50 + k + step);
        }
        check_dot(t, fn, 70 + k);
        check_gradient(t, weighed(t, fn, "s"), 80 + k);
        t_free(t);
    }
}

static uint32_t whiles(const T *t) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < t->p->fns.len; k++) {
        const Fn *fn = t->p->fns.data[k];
        for (Val v = 0; v < fn->ins.len; v++) n += fn->ins.data[v].op == Op_while;
    }
    return n;
}

/* Functions and loops of each way; how many more functions if it is gone once more. */
static void test_counts(void **state) {
    (void)state;
    static const struct {
        const char *way;
        uint32_t fns, whiles, more;
    } rows[] = {
        {"b", 21, 10, 1},   {"j", 6, 2, 3},      {"bb", 44, 20, 2},  {"bj", 44, 20, 2},
        {"jb", 24, 11, 21}, {"jj", 9, 3, 6},     {"bbb", 98, 45, 3}, {"bbj", 69, 30, 3},
        {"bjb", 78, 35, 3}, {"jbb", 47, 21, 44}, {"bjj", 67, 30, 3}, {"bB", 53, 25, 2},
        {"Bb", 53, 25, 2},  {"BJ", 44, 20, 2},
    };
    for (size_t k = 0; k < LEN(rows); k++) {
        T *t = t_new();
        Fn *fn = make_loop(t, "xnvz", "xnvz");
        derivatives(t, fn, rows[k].way);
        uint32_t fns = t->p->fns.len, loops = whiles(t);
        derivatives(t, fn, rows[k].way);
        uint32_t more = t->p->fns.len - fns;
        assert_int_equal(fns, rows[k].fns);
        assert_int_equal(loops, rows[k].whiles);
        assert_int_equal(more, rows[k].more);
        t_free(t);
    }
}

/* What is gone from the program is made again. */
static void test_gone(void **state) {
    (void)state;
    T *t = t_new();
    Fn *fn = make_loop(t, "xnvz", "xnvz");
    derivatives(t, fn, "bb");
    uint32_t fns = t->p->fns.len;
    t_drop(t, "body_loop_tangents");
    assert_int_equal(t->p->fns.len, fns - 1);
    derivatives(t, fn, "bb");
    assert_non_null(program_fn(t->p, sym(t->cx, "body_loop_tangents")));
    t_free(t);
}

/* A loop within, whose carry is so large that no address reaches its last slot. */
static void add_large(T *t) {
    Type type = t_type(t, 3, 1 << 19, 1 << 19, 1 << 19);
    t_fn(t, "below");
    t_end(t, t_op2(t, Op_lt, t_sum(t, t_param(t, "x", type)), t_num(t, t_type(t, 0), 1)), NoVal);
    t_fn(t, "next");
    t_end(t, t_op(t, Op_tanh, t_param(t, "x", type)), NoVal);
    t_fn(t, "large");
    Val x = b_broadcast(t->b, t_param(t, "x", t_type(t, 0)), type.shape), out;
    Attr attrs[] = {attr_fn(sym(t->cx, "below")), attr_fn(sym(t->cx, "next")), attr_int(1)};
    b_multi(t->b, Op_while, &x, 1, attrs, &type, 1, &out);
    t_end(t, t_sum(t, out), NoVal);
}

/* while[x < 5, body](x, u, c, carry=1), body(x, u, c) = name(x) * name(c) * 2 with name(x) = x; u
 * is read by nothing. */
static Fn *make_ruled(T *t, const char *name) {
    Type num = t_type(t, 0);
    if (!strcmp(name, "large"))
        add_large(t);
    else
        t_fn(t, name), t_end(t, t_param(t, "x", num), NoVal);
    static const char *const fns[] = {"test", "body", "f"};
    Fn *fn = NULL;
    for (size_t k = 0; k < LEN(fns); k++) {
        t_fn(t, fns[k]);
        Val a[] = {t_param(t, "x", num), t_param(t, "u", num), t_param(t, "c", num)}, out = NoVal;
        Attr attrs[] = {attr_fn(sym(t->cx, "test")), attr_fn(sym(t->cx, "body")), attr_int(1)};
        if (k == 0) out = t_op2(t, Op_lt, a[0], t_num(t, num, 5));
        if (k == 2) b_multi(t->b, Op_while, a, 3, attrs, &num, 1, &out);
        if (k == 1) {
            out = t_op2(t, Op_mul, a[0], t_call(t, name, 1, &a[2]));
            out = t_op2(t, Op_mul, out, t_num(t, num, 2));
        }
        fn = t_end(t, out, NoVal);
    }
    return fn;
}

/* A rule that is missing in the loop with tangents, or for an operand that no derivative was taken
 * by before: one error, in the program and where the loop that records stands elsewhere. */
static void test_errors(void **state) {
    (void)state;
    enum { X = 0, C = 2, Cotangent = 99 };
    static const struct {
        const char *name;
        uint32_t first, second;
        bool forward;
    } rows[] = {{"never", X, C, false},
                {"never", X, C, true},
                {"onward", C, X, false},
                {"onward", X, C, true},
                {"onward", C, Cotangent, false}};
    for (size_t k = 0; k < 2 * LEN(rows); k++) {
        T *t = t_new();
        Fn *fn = make_ruled(t, rows[k / 2].name);
        Fn *b = transpose_fn(t->p, fn, sym(t->cx, "b"), &rows[k / 2].first, 1, NULL);
        assert_non_null(b);
        program_add(t->p, b);
        if (k % 2) b = weighed(t, program_fn(t->p, sym(t->cx, "body_vjp")), "alone");
        uint32_t wrt = rows[k / 2].second == Cotangent ? b->nparams - 1 : rows[k / 2].second;
        Sym name = sym(t->cx, "d");
        assert_null(rows[k / 2].forward ? linearize(t->p, b, name, &wrt, 1)
                                        : transpose_fn(t->p, b, name, &wrt, 1, NULL));
        assert_int_equal(t->cx->errors, 1);
        assert_non_null(strstr(t->cx->diags.data[0].text, rows[k / 2].name));
        t_free(t);
    }
}

/* By what nothing reads the derivative is 0, and the loop that records has none. */
static void test_unread(void **state) {
    (void)state;
    T *t = t_new();
    Fn *fn = make_ruled(t, "onward");
    uint32_t x = 0, u = 1;
    Fn *b = transpose_fn(t->p, fn, sym(t->cx, "b"), &x, 1, NULL);
    program_add(t->p, b);
    uint32_t fns = t->p->fns.len;
    Fn *d = transpose_fn(t->p, b, sym(t->cx, "d"), &u, 1, NULL);
    assert_non_null(d);
    assert_int_equal(t->p->fns.len, fns + 13);
    assert_true(t_run(t, d, t_args(t, d, 90))[0].re[0] == 0);
    t_free(t);
}

/* The loop that records, differentiated by what it was not before, through a loop that stores too
 * much. */
static void test_too_large(void **state) {
    (void)state;
    T *t = t_new();
    Fn *fn = make_ruled(t, "large");
    uint32_t x = 0, c = 2;
    assert_non_null(transpose_fn(t->p, fn, sym(t->cx, "b"), &x, 1, NULL));
    const Fn *forward = program_fn(t->p, sym(t->cx, "body_fwd"));
    Val args[3], out[16];
    t_fn(t, "alone");
    for (uint32_t k = 0; k < 3; k++) args[k] = t_param(t, (char[]){'x' + k, 0}, t_type(t, 0));
    b_call(t->b, forward, args, 3, out);
    Fn *alone = t_end(t, out[0], NoVal);
    assert_null(transpose_fn(t->p, alone, sym(t->cx, "d"), &c, 1, NULL));
    assert_int_equal(t->cx->errors, 1);
    t_free(t);
}

/* (x, c) from a function with a rule; by x alone, c is active and has no tangent. */
static void test_no_tangent(void **state) {
    (void)state;
    T *t = t_new();
    Type num = t_type(t, 0);
    t_fn(t, "cross");
    Val p = t_param(t, "p", num), q = t_param(t, "q", num);
    t_end(t, p, q, NoVal);
    Fn *b = derivative(t, make_ruled(t, "ruled"), 'b');
    t_fn(t, "h");
    Val args[4], crossed[2], out[3];
    for (uint32_t k = 0; k < 4; k++) args[k] = t_param(t, b->ins.data[k].name, num);
    b_call(t->b, program_fn(t->p, sym(t->cx, "cross")), (Val[]){args[0], args[2]}, 2, crossed);
    args[0] = crossed[0];
    args[2] = crossed[1];
    b_call(t->b, b, args, 4, out);
    Fn *h = t_end(t, out[0], out[1], out[2], NoVal);
    for (uint32_t k = 0; k < 4; k++) check_dot_of(t, h, &k, 1, 91);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),    cmocka_unit_test(test_counts),
        cmocka_unit_test(test_gone),      cmocka_unit_test(test_errors),
        cmocka_unit_test(test_unread),    cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_no_tangent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
