/* Reverse mode against differences of the interpreter's values. */
#include "tests/passes/support.h"

/* tanh(x @ w + b), summed: contraction, broadcast, reduction. */
static void test_layer(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 2, 3, 4)), w = t_param(t, "w", t_type(t, 2, 4, 2));
    Val b = t_param(t, "b", t_type(t, 1, 2));
    Val m = t_op2(t, Op_matmul, x, w);
    Val z = t_op2(t, Op_add, m, t_ints(t, Op_broadcast, b, 2, (int64_t[]){3, 2}));
    Val h = t_name(t, t_op(t, Op_tanh, t_name(t, z, "z")), "h");
    Fn *f = t_end(t, t_sum(t, t_op2(t, Op_mul, h, h)), h, NoVal);
    check_gradient(t, f, 1);
    check_dot(t, f, 2);
    t_free(t);
}

/* A value used n times, and once more as both operands of a product. */
static void test_uses(void **state) {
    (void)state;
    static const int counts[] = {0, 1, 2, 3, 17};
    for (size_t c = 0; c < LEN(counts); c++) {
        T *t = t_new();
        t_fn(t, "f");
        Val x = t_param(t, "x", t_type(t, 1, 3)), y = t_param(t, "y", t_type(t, 1, 3));
        Val e = t_op(t, Op_exp, x), s = t_op2(t, Op_mul, y, y);
        for (int k = 0; k < counts[c]; k++) {
            s = t_op2(t, Op_mul, t_op2(t, Op_add, s, e), t_num(t, b_type(t->b, e), 0.1 * (k + 1)));
        }
        Fn *f = t_end(t, t_sum(t, s), NoVal);
        check_gradient(t, f, 3);
        check_dot(t, f, 4);
        t_free(t);
    }
}

/* x @ transpose(x), x used on both sides. */
static void test_gram(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 2, 2, 3));
    Val g = t_op2(t, Op_matmul, x, t_ints(t, Op_transpose, x, 2, (int64_t[]){1, 0}));
    Fn *f = t_end(t, t_sum(t, t_op(t, Op_sigmoid, g)), NoVal);
    check_gradient(t, f, 5);
    check_dot(t, f, 6);
    t_free(t);
}

/* The result is a parameter; a parameter is never used; a result is used again. */
static void test_parameters(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 0));
    t_param(t, "unused", t_type(t, 1, 2));
    Fn *f = t_end(t, x, NoVal);
    check_gradient(t, f, 7);
    check_dot(t, f, 8);
    t_fn(t, "g");
    x = t_param(t, "x", t_type(t, 0));
    Val y = t_op(t, Op_exp, x), z = t_op2(t, Op_mul, y, x);
    Fn *g = t_end(t, y, z, y, NoVal);
    check_gradient(t, g, 9);
    check_dot(t, g, 10);
    t_free(t);
}

static void test_movement(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 2, 2, 3)), y = t_param(t, "y", t_type(t, 2, 1, 3));
    Attr axis = attr_int(0);
    Val c = b_op(t->b, Op_concat, (Val[]){x, t_op(t, Op_exp, y), x}, 3, &axis, NULL);
    Attr across = attr_int(1);
    c = b_op(t->b, Op_concat, (Val[]){t_op(t, Op_tanh, c), c}, 2, &across, NULL);
    Attr cut[] = {attr_ints(t->cx, (int64_t[]){1, 2}, 2), attr_ints(t->cx, (int64_t[]){4, 4}, 2),
                  {AttrNone, {0}}};
    Val s = b_op(t->b, Op_slice, &c, 1, cut, NULL);
    Val r = t_ints(t, Op_reshape, s, 1, (int64_t[]){6});
    Val k = t_op2(t, Op_lt, r, t_num(t, b_type(t->b, r), 0.9));
    Val p = t_where(t, k, t_op(t, Op_exp, r), t_op2(t, Op_div, r, t_op(t, Op_sigmoid, r)));
    Fn *f = t_end(t, t_sum(t, p), s, NoVal);
    check_gradient(t, f, 11);
    check_dot(t, f, 12);
    t_free(t);
}

static Val slice_of(T *t, Val x, int64_t lo0, int64_t hi0, int64_t lo1, int64_t hi1) {
    Attr cut[] = {attr_ints(t->cx, (int64_t[]){lo0, lo1}, 2),
                  attr_ints(t->cx, (int64_t[]){hi0, hi1}, 2),
                  {AttrNone, {0}}};
    return b_op(t->b, Op_slice, &x, 1, cut, NULL);
}

static uint32_t count_op(const Fn *fn, Op op) {
    uint32_t n = 0;
    for (Val v = 0; v < fn->ins.len; v++) n += fn->ins.data[v].op == op;
    return n;
}

/* Parts that lie side by side are one concat; those that overlap, lie apart or go along another
 * axis are added. */
static void test_parts(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "tiled");
    Val x = t_param(t, "x", t_type(t, 2, 2, 6));
    Val a = t_op(t, Op_tanh, slice_of(t, x, 0, 2, 4, 6));
    Val b = t_op(t, Op_exp, slice_of(t, x, 0, 2, 0, 2));
    Val c = slice_of(t, x, 0, 2, 2, 4);
    Fn *f = t_end(t, t_sum(t, t_op2(t, Op_mul, t_op2(t, Op_mul, a, b), c)), NoVal);
    check_gradient(t, f, 21);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    assert_int_equal(count_op(d, Op_pad), 0);
    assert_int_equal(count_op(d, Op_concat), 1);
    t_fn(t, "mixed");
    x = t_param(t, "x", t_type(t, 2, 2, 6));
    a = t_op2(t, Op_mul, slice_of(t, x, 0, 2, 1, 5), slice_of(t, x, 0, 2, 0, 4));
    b = t_op2(t, Op_mul, slice_of(t, x, 1, 2, 0, 6), t_op(t, Op_exp, slice_of(t, x, 0, 1, 0, 6)));
    c = t_op2(t, Op_mul, slice_of(t, x, 0, 2, 5, 6), slice_of(t, x, 0, 2, 0, 1));
    Val y = t_op2(t, Op_add, t_sum(t, a), t_op2(t, Op_add, t_sum(t, b), t_sum(t, c)));
    Val all = t_op2(t, Op_mul, t_sum(t, t_op2(t, Op_mul, x, x)), y);
    Fn *g = t_end(t, all, NoVal);
    check_gradient(t, g, 22);
    check_dot(t, g, 23);
    t_fn(t, "strided"); /* columns 1 and 3 are no part, though 3 and 4 lie behind them */
    x = t_param(t, "x", t_type(t, 2, 2, 6));
    Attr cut[] = {attr_ints(t->cx, (int64_t[]){0, 1}, 2), attr_ints(t->cx, (int64_t[]){2, 4}, 2),
                  attr_ints(t->cx, (int64_t[]){1, 2}, 2)};
    a = t_op(t, Op_tanh, b_op(t->b, Op_slice, &x, 1, cut, NULL));
    b = t_op(t, Op_exp, slice_of(t, x, 0, 2, 3, 5));
    f = t_end(t, t_sum(t, t_op2(t, Op_mul, a, b)), NoVal);
    check_gradient(t, f, 24);
    t_fn(t, "before"); /* zeros behind the parts, not below */
    x = t_param(t, "x", t_type(t, 2, 2, 6));
    a = t_op(t, Op_tanh, slice_of(t, x, 0, 2, 0, 2));
    f = t_end(t, t_sum(t, t_op2(t, Op_mul, a, slice_of(t, x, 0, 2, 2, 4))), NoVal);
    check_gradient(t, f, 25);
    t_free(t);
}

/* Plain calls are differentiated through their bodies, ruled ones by their rules. */
static void test_calls(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "plain");
    Val x = t_param(t, "x", t_type(t, 1, 3));
    t_end(t, t_op2(t, Op_mul, x, t_op(t, Op_tanh, x)), NoVal);
    t_fn(t, "ruled");
    x = t_param(t, "x", t_type(t, 1, 3));
    t_end(t, t_op2(t, Op_mul, x, x), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", t_type(t, 1, 3));
    Fn *f = t_end(t, t_sum(t, t_call(t, "plain", 1, &x)), NoVal);
    t_fn(t, "g");
    x = t_param(t, "x", t_type(t, 1, 3));
    Fn *g = t_end(t, t_sum(t, t_call(t, "ruled", 1, &x)), NoVal);
    check_gradient(t, f, 13);
    check_dot(t, f, 14);
    check_dot(t, g, 15);
    const Fn *j = tangents_of(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1);
    assert_int_equal(count_op(j, Op_call), 0);
    Fn *d = differentiate(t->p, g, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    Tensor *got = t_run(t, d, t_args(t, g, 16));
    for (int e = 0; e < 3; e++) assert_true(got[1].re[e] == 3);
    t_free(t);
}

/* A rule's line that is wider or narrower than its operand. */
static void test_fitted_lines(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "wide");
    Val x = t_param(t, "x", t_type(t, 2, 1, 3));
    t_end(t, t_ints(t, Op_broadcast, x, 3, (int64_t[]){2, 4, 3}), NoVal);
    t_fn(t, "narrow");
    x = t_param(t, "x", t_type(t, 2, 1, 3));
    t_end(t, t_sum(t, x), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", t_type(t, 2, 1, 3));
    Val y = t_call(t, "wide", 1, &x), z = t_op(t, Op_exp, x);
    Val s = t_sum(t, t_op(t, Op_tanh, y));
    Fn *f = t_end(t, t_op2(t, Op_add, s, t_call(t, "narrow", 1, &z)), NoVal);
    check_gradient(t, f, 19);
    check_dot(t, f, 20);
    t_fn(t, "taller");
    x = t_param(t, "x", t_type(t, 1, 3));
    t_end(t, x, NoVal);
    t_fn(t, "uneven");
    x = t_param(t, "x", t_type(t, 2, 1, 3));
    y = t_param(t, "y", t_type(t, 2, 1, 3));
    t_end(t, t_ints(t, Op_broadcast, t_op2(t, Op_add, x, y), 3, (int64_t[]){2, 4, 3}), NoVal);
    t_fn(t, "f2");
    x = t_param(t, "x", t_type(t, 2, 1, 3));
    Val flat = t_ints(t, Op_reshape, t_op(t, Op_exp, x), 1, (int64_t[]){3});
    y = t_ints(t, Op_reshape, t_call(t, "taller", 1, &flat), 2, (int64_t[]){1, 3});
    y = t_call(t, "uneven", 2, (Val[]){t_op2(t, Op_mul, x, x), y});
    f = t_end(t, t_sum(t, t_op(t, Op_tanh, y)), NoVal);
    check_gradient(t, f, 19);
    check_dot(t, f, 20);
    t_free(t);
}

/* A ruled function of two results: both cotangents, or zeros for the one that is not used. */
static void test_several_results(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "pair");
    Val x = t_param(t, "x", t_type(t, 0));
    t_end(t, t_op(t, Op_exp, x), t_op(t, Op_tanh, x), NoVal);
    for (int uses = 1; uses <= 2; uses++) {
        t_fn(t, "f");
        Val r[2];
        x = t_param(t, "x", t_type(t, 0));
        b_call(t->b, program_fn(t->p, sym(t->cx, "pair")), &x, 1, r);
        Fn *f = t_end(t, uses == 2 ? t_op2(t, Op_add, r[0], r[1]) : r[1], NoVal);
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
        verify_fn(t->p, d);
        check_dot(t, f, 17);
        Tensor *args = t_args(t, f, 18), *got = t_run(t, d, args);
        assert_true(got[1].re[0] == (uses == 2 ? 3 : 2) * args[0].re[0]);
    }
    t_free(t);
}

static void test_labels(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 0));
    Val h = t_name(t, t_op2(t, Op_mul, x, x), "h");
    Fn *f = t_end(t, t_name(t, t_op(t, Op_tanh, h), "y"), NoVal);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    const Ins *dx = &d->ins.data[d->results.data[1]];
    assert_string_equal(dx->rule, "B[mul, b]");
    assert_string_equal(dx->name, "d_x");
    assert_int_equal(dx->loc.line, f->ins.data[x].loc.line);
    bool found = false;
    for (Val v = 0; v < d->ins.len; v++) {
        const Ins *i = &d->ins.data[v];
        if (!i->name || strcmp(i->name, "d_h")) continue;
        found = true;
        assert_string_equal(i->rule, "B[tanh, x]");
        assert_int_equal(i->loc.line, f->ins.data[f->results.data[0]].loc.line);
    }
    assert_true(found);
    t_free(t);
}

/* round has no derivative: an error where it is needed, none behind stop_gradient. */
static void test_no_derivative(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 0)), y = t_param(t, "y", t_type(t, 0));
    Val r = t_op(t, Op_round, x);
    uint32_t line = t->line;
    Fn *f = t_end(t, t_op2(t, Op_mul, r, y), NoVal);
    assert_null(differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1));
    assert_int_equal(t->cx->errors, 1);
    assert_int_equal(t->cx->diags.data[0].loc.line, line);
    assert_non_null(strstr(t->cx->diags.data[0].text, "no derivative of 'round'"));
    assert_int_equal(t->cx->diags.data[1].sev, SevNote);
    assert_null(linearize(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1));
    assert_non_null(differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){1}, 1));
    t_fn(t, "g");
    x = t_param(t, "x", t_type(t, 0));
    r = t_op(t, Op_round, t_op(t, Op_stop_gradient, x));
    Fn *g = t_end(t, t_op2(t, Op_mul, r, x), NoVal);
    assert_non_null(differentiate(t->p, g, sym(t->cx, "d"), (uint32_t[]){0}, 1));
    t_fn(t, "h");
    x = t_param(t, "x", t_type(t, 0));
    Fn *h = t_end(t, t_op(t, Op_erf, x), NoVal);
    assert_null(differentiate(t->p, h, sym(t->cx, "d"), (uint32_t[]){0}, 1));
    assert_null(linearize(t->p, h, sym(t->cx, "j"), (uint32_t[]){0}, 1));
    assert_non_null(strstr(t->cx->diags.data[t->cx->diags.len - 2].text, "no derivative rule"));
    t_free(t);
}

/* Narrow slices of x are added to its adjoint in place, wide ones are part of one kernel. */
static void test_slices(void **state) {
    (void)state;
    for (int64_t width = 1; width <= 12; width += 11) {
        T *t = t_new();
        t_fn(t, "f");
        Val x = t_param(t, "x", t_type(t, 2, 24, 2)), sum = t_sum(t, t_op(t, Op_tanh, x));
        for (int64_t k = 0; k < 3; k++) {
            Attr cut[] = {attr_ints(t->cx, (int64_t[]){4 * k, 0}, 2),
                          attr_ints(t->cx, (int64_t[]){4 * k + width, 2}, 2),
                          attr_ints(t->cx, (int64_t[]){1, 1}, 2)};
            Val part = b_op(t->b, Op_slice, &x, 1, cut, NULL);
            sum = t_op2(t, Op_add, sum, t_sum(t, t_op2(t, Op_mul, part, part)));
        }
        Fn *f = t_end(t, sum, NoVal);
        check_gradient(t, f, 8);
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
        uint32_t adds = 0, pads = 0;
        for (Val v = 0; v < d->ins.len; v++) {
            adds += d->ins.data[v].op == Op_scatter_add;
            pads += d->ins.data[v].op == Op_pad;
        }
        assert_int_equal(adds, width == 1 ? 3 : 0);
        assert_int_equal(pads, width == 1 ? 0 : 3);
        t_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_layer),           cmocka_unit_test(test_uses),
        cmocka_unit_test(test_gram),            cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_movement),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_several_results), cmocka_unit_test(test_fitted_lines),
        cmocka_unit_test(test_labels),          cmocka_unit_test(test_no_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
