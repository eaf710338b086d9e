/* The branch that `where` does not take never makes a gradient NaN, in first and second order. */
#include "tests/passes/support.h"

/* name(x) = sum(where(x > 0, body, 0)); the body is singular at 0. */
static Fn *guarded(T *t, const char *name, Op op, int way) {
    t_fn(t, name);
    Type type = t_type(t, 1, 4);
    Val x = t_param(t, "x", type), zero = t_num(t, type, 0);
    Val inner = x, positive = t_op2(t, Op_gt, x, zero);
    if (way == 1) inner = t_op2(t, Op_mul, x, x);
    Val y = t_op(t, op, inner);
    if (way == 2) { /* movement on the way */
        y = t_ints(t, Op_reshape, y, 2, (int64_t[]){2, 2});
        y = t_ints(t, Op_transpose, y, 2, (int64_t[]){1, 0});
        y = t_ints(t, Op_transpose, t_op(t, Op_neg, y), 2, (int64_t[]){1, 0});
        y = t_ints(t, Op_reshape, y, 1, (int64_t[]){4});
    }
    if (way == 3) y = t_op2(t, Op_add, y, t_op2(t, Op_mul, y, y)); /* two uses, both masked */
    return t_end(t, t_sum(t, t_where(t, positive, y, zero)), NoVal);
}

static uint32_t count_op(const Fn *fn, Op op) {
    uint32_t n = 0;
    for (Val v = 0; v < fn->ins.len; v++) n += fn->ins.data[v].op == op;
    return n;
}

static void check_finite(T *t, const Fn *fn) {
    Fn *d = differentiate(t->p, fn, sym_fmt(t->cx, "d_%s", fn->name), (uint32_t[]){0}, 1);
    assert_non_null(d);
    verify_fn(t->p, d);
    Tensor *args = t_args(t, fn, 50);
    args[0].re[1] = args[0].re[3] = 0;
    Tensor *got = t_run(t, d, args);
    for (int e = 0; e < 4; e++) {
        double g = got[1].re[e];
        if (e % 2) assert_true(g == 0);
        else assert_true(fabs(g - t_slope(t, fn, args, 0, e)) < 1e-8 * (1 + fabs(g)));
    }
}

static void test_singular(void **state) {
    (void)state;
    static const Op ops[] = {Op_log, Op_sqrt};
    for (size_t o = 0; o < LEN(ops); o++) {
        for (int way = 0; way < 4; way++) {
            T *t = t_new();
            check_finite(t, guarded(t, "f", ops[o], way));
            t_free(t);
        }
    }
}

static void test_second_order(void **state) {
    (void)state;
    static const Op ops[] = {Op_log, Op_sqrt};
    for (size_t o = 0; o < LEN(ops); o++) {
        T *t = t_new();
        guarded(t, "f", ops[o], 1);
        t_fn(t, "g");
        Type type = t_type(t, 1, 4);
        Val x = t_param(t, "x", type), g;
        t_operator(t, Op_grad, "f", "x", 1, &x, &type, 1, &g);
        Fn *fn = t_end(t, t_sum(t, t_op2(t, Op_mul, g, g)), NoVal);
        PassOptions options = {.verify_each = true, .limit = -1, .stop_after = "differentiate"};
        assert_true(passes_run(t->p, &options));
        check_finite(t, program_fn(t->p, fn->name));
        t_free(t);
    }
}

/* A broadcast value: its adjoint counts where one of its copies does. */
static void test_broadcast(void **state) {
    (void)state;
    for (int taken = 0; taken < 2; taken++) {
        T *t = t_new();
        t_fn(t, "f");
        Type type = t_type(t, 1, 3);
        Val x = t_param(t, "x", t_type(t, 0)), y = t_param(t, "y", type);
        Val wide = t_ints(t, Op_broadcast, t_op(t, Op_sqrt, x), 1, (int64_t[]){3});
        Val c = t_op2(t, Op_gt, y, t_num(t, type, 1));
        Fn *f = t_end(t, t_sum(t, t_where(t, c, wide, y)), NoVal);
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
        Tensor *args = t_args(t, f, 51);
        args[0].re[0] = 0;
        for (int e = 0; e < 3; e++) args[1].re[e] = taken && e == 1 ? 2 : 0.5;
        Tensor *got = t_run(t, d, args);
        assert_true(taken ? isinf(got[1].re[0]) : got[1].re[0] == 0);
        t_free(t);
    }
}

/* A use outside the branch counts everywhere. */
static void test_other_use(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Type type = t_type(t, 1, 3);
    Val x = t_param(t, "x", type), s = t_op(t, Op_exp, x);
    Val c = t_op2(t, Op_gt, x, t_num(t, type, 0.8));
    Val y = t_where(t, c, t_op2(t, Op_mul, s, x), x);
    Fn *f = t_end(t, t_sum(t, t_op2(t, Op_add, y, s)), NoVal);
    check_gradient(t, f, 52);
    t_free(t);
}

/* So does a slice of it, whose adjoint is kept as a part until all have arrived. */
static void test_other_part(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Type type = t_type(t, 1, 4);
    Val x = t_param(t, "x", type), s = t_op(t, Op_exp, x);
    Val y = t_where(t, t_op2(t, Op_gt, x, t_num(t, type, 0.8)), s, x);
    Attr cut[] = {attr_ints(t->cx, (int64_t[]){1}, 1), attr_ints(t->cx, (int64_t[]){3}, 1),
                  {AttrNone, {0}}};
    Val part = b_op(t->b, Op_slice, &s, 1, cut, NULL);
    Fn *f = t_end(t, t_op2(t, Op_add, t_sum(t, y), t_sum(t, t_op2(t, Op_mul, part, part))), NoVal);
    for (uint64_t seed = 53; seed < 57; seed++) check_gradient(t, f, seed);
    t_free(t);
}

typedef enum Way {
    Summed,
    SummedOuter,
    SummedBoth,
    Joined,
    Padded,
    Called,
    Nested,
    Doubled,
    Either,
    Orelse,
    Inner,
    WayCount
} Way;

/* From sqrt(x), f64[4] of x: f64[4], to a value whose branch is not taken for x[1] and x[3]. */
static Val passed_on(T *t, Way way, Val root, Val k, Val positive) {
    Type type = b_type(t->b, root);
    Val zero = t_num(t, type, 0);
    Attr axis = attr_int(0), from = attr_ints(t->cx, (int64_t[]){4}, 1), none = {AttrNone, {0}};
    Val half = t_num(t, type, 0.5), y = root, args[] = {root, k}, first;
    switch (way) {
    case Summed: /* rows of one element */
        y = t_ints(t, Op_reshape, root, 2, (int64_t[]){4, 1});
        return t_where(t, positive, t_ints(t, Op_reduce_sum, y, 1, (int64_t[]){1}), zero);
    case SummedOuter: /* [[0, 1], [2, 3]] over the first axis, and over two */
    case SummedBoth:
        y = way == SummedOuter ? t_ints(t, Op_reshape, root, 3, (int64_t[]){2, 1, 2})
                               : t_ints(t, Op_reshape, root, 3, (int64_t[]){1, 2, 2});
        y = t_ints(t, Op_reduce_sum, y, 2, (int64_t[]){0, 1});
        first = b_const(t->b, type_of(BOOL, b_type(t->b, y).shape),
                        (Num[]){{.i = true}, {.i = false}}, 2);
        return t_where(t, first, y, t_num(t, b_type(t->b, y), 0));
    case Either: /* masks `positive` and `not small`, in both orders */
    case Orelse:
        first = t_where(t, positive, root, zero);
        y = t_where(t, t_op2(t, Op_le, root, zero), zero, t_op2(t, Op_mul, root, half));
        return way == Either ? t_op2(t, Op_add, first, y) : t_op2(t, Op_add, y, first);
    case Inner: /* `positive`, and `positive` with one more */
        y = t_where(t, positive, t_where(t, t_op2(t, Op_gt, root, half), root, half), zero);
        return t_op2(t, Op_add, y, t_where(t, positive, root, zero));
    case Joined:
        y = b_op(t->b, Op_concat, (Val[]){root, half, root}, 3, &axis, NULL);
        positive = b_op(t->b, Op_concat, (Val[]){positive, positive, positive}, 3, &axis, NULL);
        return t_where(t, positive, y, t_num(t, t_type(t, 1, 12), 0));
    case Padded: {
        Attr cut[] = {from, attr_ints(t->cx, (int64_t[]){8}, 1), none};
        y = b_op(t->b, Op_concat, (Val[]){half, root}, 2, &axis, NULL);
        return t_where(t, positive, b_op(t->b, Op_slice, &y, 1, cut, NULL), zero);
    }
    case Called: return t_where(t, positive, t_call(t, "scaled", 2, args), zero);
    case Nested: return t_where(t, positive, t_where(t, t_op2(t, Op_lt, root, zero), zero, y), zero);
    case Doubled: /* taken twice, under two conditions */
        return t_op2(t, Op_add, t_where(t, positive, root, zero),
                     t_where(t, t_op2(t, Op_gt, root, half), zero, t_where(t, positive, y, half)));
    default: return NoVal;
    }
}

static void test_passed_on(void **state) {
    (void)state;
    for (Way way = 0; way < WayCount; way++) {
        T *t = t_new();
        Type type = t_type(t, 1, 4), num = t_type(t, 0);
        t_fn(t, "scaled");
        Val x = t_param(t, "x", type), k = t_param(t, "k", num);
        t_end(t, t_op2(t, Op_mul, x, t_ints(t, Op_broadcast, k, 1, (int64_t[]){4})), NoVal);
        t_fn(t, "f");
        x = t_param(t, "x", type);
        k = t_param(t, "k", num);
        Val positive = t_op2(t, Op_gt, x, t_num(t, type, 0));
        Val y = passed_on(t, way, t_op(t, Op_sqrt, x), t_op(t, Op_exp, k), positive);
        Fn *f = t_end(t, t_sum(t, t_op2(t, Op_mul, y, y)), NoVal);
        check_finite(t, f);
        check_gradient(t, f, 58);
        check_dot(t, f, 59);
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
        /* the value, its adjoint, the mask as numbers where it is moved, and once where the rule
         * of sqrt divides */
        if (way == Summed) assert_int_equal(count_op(d, Op_where), 4);
        if (way == Padded) assert_int_equal(count_op(d, Op_where), 5);
        t_free(t);
    }
}

/* A function that works on each element passes the mask on, also by a call or with constants; one
 * that moves elements ends it. */
static void test_functions(void **state) {
    (void)state;
    T *t = t_new();
    Type m = t_type(t, 2, 2, 2), v = t_type(t, 1, 4);
    t_fn(t, "square");
    Val x = t_param(t, "x", v);
    t_end(t, t_op2(t, Op_mul, x, x), NoVal);
    t_fn(t, "ruled");
    x = t_param(t, "x", v);
    Num numbers[] = {{.f = 1}, {.f = 2}, {.f = 3}, {.f = 4}};
    Val y = t_op2(t, Op_mul, t_call(t, "square", 1, &x), b_const(t->b, v, numbers, 4));
    t_end(t, t_op2(t, Op_add, y, t_num(t, v, 1)), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", v);
    Val root = t_op(t, Op_sqrt, x), zero = t_num(t, v, 0);
    y = t_where(t, t_op2(t, Op_gt, x, zero), t_call(t, "ruled", 1, &root), zero);
    Fn *f = t_end(t, t_sum(t, y), NoVal);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    Tensor *args = t_args(t, f, 61);
    args[0].re[2] = 0;
    Tensor *got = t_run(t, d, args);
    for (int e = 0; e < 4; e++) { /* the rule of `ruled` is 3 */
        double want = e == 2 ? 0 : 1.5 / sqrt(args[0].re[e]);
        assert_true(fabs(got[1].re[e] - want) < 1e-14);
    }
    t_fn(t, "turned");
    x = t_param(t, "x", m);
    t_end(t, t_ints(t, Op_transpose, x, 2, (int64_t[]){1, 0}), NoVal);
    t_fn(t, "turns");
    x = t_param(t, "x", m);
    t_end(t, t_call(t, "turned", 1, &x), NoVal);
    for (int called = 0; called < 2; called++) {
        t_fn(t, called ? "g2" : "g1");
        x = t_param(t, "x", m);
        root = t_op(t, Op_exp, x);
        Val c = t_op2(t, Op_gt, t_ints(t, Op_transpose, x, 2, (int64_t[]){1, 0}), x);
        y = t_call(t, called ? "turns" : "turned", 1, &root);
        f = t_end(t, t_sum(t, t_where(t, c, y, t_num(t, m, 0))), NoVal);
        check_gradient(t, f, 62);
        check_dot(t, f, 63);
    }
    t_free(t);
}

/* What both branches of one where take counts everywhere, and needs no mask. */
static void test_both_branches(void **state) {
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        T *t = t_new();
        t_fn(t, "f");
        Type type = t_type(t, 1, 3);
        Val x = t_param(t, "x", type), s = t_op(t, Op_exp, x), minus = t_op(t, Op_neg, s);
        Val c = t_op2(t, Op_gt, x, t_num(t, type, 0.8));
        Val y = turned ? t_where(t, c, minus, s) : t_where(t, c, s, minus);
        Fn *f = t_end(t, t_sum(t, y), NoVal);
        check_gradient(t, f, 60);
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
        assert_int_equal(count_op(d, Op_or), 0);
        assert_int_equal(count_op(d, Op_where), 3); /* the value and its branches' adjoints */
        t_free(t);
    }
}

/* A rule of which one line passes its cotangent on and another scales it: only that one is selected
 * again. */
static void test_lines(void **state) {
    (void)state;
    T *t = t_new();
    Type type = t_type(t, 1, 3);
    t_fn(t, "keeps"); /* its rule gives a the cotangent, b the cotangent times b */
    Val a = t_param(t, "a", type), b = t_param(t, "b", type);
    t_end(t, t_op2(t, Op_add, a, t_op2(t, Op_mul, b, b)), NoVal);
    t_fn(t, "f");
    a = t_param(t, "a", type);
    b = t_param(t, "b", type);
    Val c = t_op2(t, Op_gt, b, t_num(t, type, 0.8));
    Val y = t_call(t, "keeps", 2, (Val[]){t_op(t, Op_neg, a), b});
    Fn *f = t_end(t, t_sum(t, t_where(t, c, y, t_num(t, type, 0))), NoVal);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    assert_int_equal(count_op(d, Op_where), 2);
    d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2);
    assert_int_equal(count_op(d, Op_where), 3);
    t_free(t);
}

/* A zero that no mask explains is multiplied as any other number: infinity times 0 on a branch that
 * was taken, or behind what ends a mask: a gather, a function with a loop. */
static void test_not_hidden(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        T *t = t_new();
        Type type = t_type(t, 1, 3), num = t_type(t, 0);
        t_fn(t, "body");
        Val h = t_param(t, "h", num), a = t_param(t, "a", num);
        h = t_op2(t, Op_add, h, a);
        t_end(t, h, h, NoVal);
        t_fn(t, "ruled"); /* running sums */
        Val args[] = {NoVal, t_param(t, "x", type)}, out[2];
        args[0] = t_num(t, num, 0);
        Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(1), attr_int(0),
                        attr_int(3), attr_bool(false)};
        b_multi(t->b, Op_scan, args, 2, attrs, (Type[]){num, type}, 2, out);
        t_end(t, out[1], NoVal);
        t_fn(t, "f");
        Val x = t_param(t, "x", type), w = t_param(t, "w", type), root = t_op(t, Op_sqrt, x);
        Val c = t_op2(t, Op_gt, w, t_num(t, type, way ? 0 : -1)), y;
        Type index = {I32, 3, type.shape};
        Attr axis = attr_int(0);
        if (way == 1) {
            Val at = b_const(t->b, index, (Num[]){{.i = 0}, {.i = 1}, {.i = 2}}, 3);
            y = b_op(t->b, Op_gather, (Val[]){root, at}, 2, &axis, NULL);
        } else if (way == 2) {
            y = t_call(t, "ruled", 1, &root);
        } else {
            y = t_ints(t, Op_reshape, root, 2, (int64_t[]){3, 1});
            y = t_ints(t, Op_transpose, y, 2, (int64_t[]){1, 0});
            y = t_ints(t, Op_reshape, t_op(t, Op_neg, y), 1, (int64_t[]){3});
        }
        y = t_where(t, c, y, t_num(t, type, 0));
        Fn *f = t_end(t, t_sum(t, t_op2(t, Op_mul, y, w)), NoVal);
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
        Tensor *values = t_args(t, f, 64);
        values[0].re[1] = values[1].re[1] = 0;
        assert_true(isnan(t_run(t, d, values)[1].re[1]));
        t_free(t);
    }
}

/* The mask is moved as numbers of the adjoint's type, whatever the first parameter is. */
static void test_first_parameter(void **state) {
    (void)state;
    T *t = t_new();
    Type m = t_type(t, 2, 2, 2);
    t_fn(t, "f");
    t_param(t, "n", type_of(I64, shape_scalar(t->cx)));
    Val x = t_param(t, "x", m), y = t_ints(t, Op_transpose, t_op(t, Op_sqrt, x), 2, (int64_t[]){1, 0});
    Val c = t_op2(t, Op_gt, t_ints(t, Op_transpose, x, 2, (int64_t[]){1, 0}), t_num(t, m, 0));
    Fn *f = t_end(t, t_sum(t, t_where(t, c, y, t_num(t, m, 0))), NoVal);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){1}, 1);
    Tensor *args = t_args(t, f, 65);
    args[1].re[1] = 0;
    Tensor *got = t_run(t, d, args);
    for (int e = 0; e < 4; e++) {
        assert_near(got[1].re[e], e == 1 ? 0 : 0.5 / sqrt(args[1].re[e]), 1e-14);
    }
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_singular),
        cmocka_unit_test(test_second_order),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_other_use),
        cmocka_unit_test(test_other_part),
        cmocka_unit_test(test_passed_on),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_both_branches),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_not_hidden),
        cmocka_unit_test(test_first_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
