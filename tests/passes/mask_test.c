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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_singular),
        cmocka_unit_test(test_second_order),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_other_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
