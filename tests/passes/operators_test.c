/* Operators: what the pass makes of grad, vjp, jvp, hvp, alone and of each other. */
#include "tests/passes/support.h"

static const PassOptions options = {.level = 1, .verify_each = true, .limit = -1};

/* f(x, y) = sum(tanh(x * y) * exp(x)) */
static void make_f(T *t) {
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 1, 3)), y = t_param(t, "y", t_type(t, 1, 3));
    Val h = t_name(t, t_op(t, Op_tanh, t_op2(t, Op_mul, x, y)), "h");
    t_end(t, t_sum(t, t_op2(t, Op_mul, h, t_op(t, Op_exp, x))), NoVal);
}

/* name(x, y) = sum(grad[f, wrt=wrt](x, y) * weight), with a weight that tells entries apart. */
static void make_grad(T *t, const char *name, const char *f, const char *wrt) {
    t_fn(t, name);
    Type v = t_type(t, 1, 3);
    Val xy[] = {t_param(t, "x", v), t_param(t, "y", v)}, g;
    t_operator(t, Op_grad, f, wrt, 2, xy, &v, 1, &g);
    Num weight[] = {{.f = 1}, {.f = -2}, {.f = 0.5}};
    t_end(t, t_sum(t, t_op2(t, Op_mul, g, b_const(t->b, v, weight, 3))), NoVal);
}

static void differentiate_all(T *t) {
    PassOptions o = options;
    o.stop_after = "differentiate";
    assert_true(passes_run(t->p, &o));
}

/* grad of grad of grad, each against differences of the one before. */
static void test_nested(void **state) {
    (void)state;
    T *t = t_new();
    make_f(t);
    make_grad(t, "g1", "f", "x");
    make_grad(t, "g2", "g1", "y");
    make_grad(t, "g3", "g2", "x");
    differentiate_all(t);
    static const char *const names[] = {"f", "g1", "g2", "g3"};
    for (size_t k = 0; k < LEN(names); k++) {
        const Fn *fn = program_fn(t->p, sym(t->cx, names[k]));
        assert_int_equal(fn->props, PropNoOperators);
        check_gradient(t, fn, 20 + k);
        check_dot(t, fn, 30 + k);
    }
    t_free(t);
}

/* hvp[f](x, v) is the derivative of grad[f] along v. */
static void test_hvp(void **state) {
    (void)state;
    T *t = t_new();
    make_f(t);
    make_grad(t, "g", "f", "x");
    t_fn(t, "h");
    Type v = t_type(t, 1, 3);
    Val args[] = {t_param(t, "x", v), t_param(t, "y", v), t_param(t, "u", v)}, hv;
    t_operator(t, Op_hvp, "f", "x", 3, args, &v, 1, &hv);
    t_end(t, hv, NoVal);
    differentiate_all(t);
    const Fn *g = program_fn(t->p, sym(t->cx, "g")), *h = program_fn(t->p, sym(t->cx, "h"));
    Tensor *a = t_args(t, h, 40), *got = t_run(t, h, a);
    static const double weight[] = {1, -2, 0.5};
    double left = 0, right = 0; /* w' (H u) = (H w)' u, where H w is the slope of g */
    for (int e = 0; e < 3; e++) {
        left += weight[e] * got[0].re[e];
        right += a[2].re[e] * t_slope(t, g, a, 0, e);
    }
    assert_true(fabs(left - right) < 1e-9);
    const Fn *d = program_fn(t->p, sym(t->cx, "f_hvp"));
    assert_string_equal(d->rule, "hvp[f, wrt=x]");
    t_free(t);
}

/* One derivative per operator, function and wrt; its header says which; several wrt. */
static void test_sharing(void **state) {
    (void)state;
    T *t = t_new();
    make_f(t);
    make_grad(t, "g", "f", "x");
    make_grad(t, "h", "f", "x");
    t_fn(t, "run");
    Type v = t_type(t, 1, 3), types[] = {t_type(t, 0), v, v};
    Val xy[] = {t_param(t, "x", v), t_param(t, "y", v)}, r[3];
    t_operator(t, Op_value_and_grad, "f", "y x", 2, xy, types, 3, r);
    uint32_t line = t->line;
    Fn *run = t_end(t, r[0], r[1], r[2], NoVal);
    differentiate_all(t);
    assert_int_equal(t->p->fns.len, 6);
    run = program_fn(t->p, run->name);
    const Fn *d = program_fn(t->p, sym(t->cx, "f_value_and_grad"));
    assert_string_equal(d->rule, "value_and_grad[f, wrt=(y, x)]");
    assert_int_equal(d->loc.line, line);
    Tensor *args = t_args(t, run, 41), *got = t_run(t, run, args);
    const Fn *f = program_fn(t->p, sym(t->cx, "f"));
    for (int e = 0; e < 3; e++) {
        assert_true(fabs(got[1].re[e] - t_slope(t, f, args, 1, e)) < 1e-9);
        assert_true(fabs(got[2].re[e] - t_slope(t, f, args, 0, e)) < 1e-9);
    }
    for (uint32_t k = 0; k < t->p->fns.len; k++) { /* callees first */
        if (t->p->fns.data[k] == run) break;
        assert_true(k + 1 < t->p->fns.len);
        if (t->p->fns.data[k] == d) return t_free(t);
    }
    fail_msg("the derivative stands behind its caller");
}

/* An operator in a function that is called by what is differentiated. */
static void test_operator_inside(void **state) {
    (void)state;
    T *t = t_new();
    make_f(t);
    make_grad(t, "g", "f", "x");
    t_fn(t, "outer");
    Val xy[] = {t_param(t, "x", t_type(t, 1, 3)), t_param(t, "y", t_type(t, 1, 3))};
    Fn *outer = t_end(t, t_op(t, Op_exp, t_call(t, "g", 2, xy)), NoVal);
    assert_non_null(differentiate(t->p, outer, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2));
    differentiate_all(t);
    check_gradient(t, program_fn(t->p, outer->name), 42);
    t_free(t);
}

/* The gradients by two parameters, asked for with the arguments the other way round by the first
 * function of the program. What holds no operator stays. */
static void test_arguments(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3), types[] = {v, v};
    t_fn(t, "run");
    Val x = t_param(t, "x", v), y = t_param(t, "y", v), g[2];
    t_operator(t, Op_grad, "f", "x y", 2, (Val[]){y, x}, types, 2, g);
    t_name(t, g[0], "of_x");
    Fn *run = t_end(t, g[0], g[1], NoVal);
    make_f(t);
    const Fn *f = program_fn(t->p, sym(t->cx, "f"));
    pass_differentiate(t->p);
    assert_ptr_equal(program_fn(t->p, f->name), f);
    run = program_fn(t->p, run->name);
    Tensor *args = t_args(t, run, 43), *got = t_run(t, run, args);
    Tensor turned[] = {args[1], args[0]};
    for (uint32_t p = 0; p < 2; p++) {
        for (int e = 0; e < 3; e++) {
            assert_near(got[p].re[e], t_slope(t, f, turned, p, e), 1e-9);
        }
    }
    assert_string_equal(run->ins.data[run->results.data[0]].name, "of_x");
    const Fn *d = program_fn(t->p, sym(t->cx, "f_grad"));
    assert_string_equal(d->rule, "grad[f, wrt=(x, y)]");
    t_fn(t, "again"); /* the derivative is there, and stands first */
    for (uint32_t k = 1; k < t->p->fns.len; k++) {
        if (t->p->fns.data[k] != d) continue;
        t->p->fns.data[k] = t->p->fns.data[0];
        t->p->fns.data[0] = (Fn *)d;
    }
    x = t_param(t, "x", v);
    y = t_param(t, "y", v);
    t_operator(t, Op_grad, "f", "x y", 2, (Val[]){x, y}, types, 2, g);
    t_end(t, g[0], g[1], NoVal);
    uint32_t fns = t->p->fns.len;
    differentiate_all(t);
    assert_int_equal(t->p->fns.len, fns);
    t_free(t);
}

static void test_user_error(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 0));
    t_end(t, t_op(t, Op_round, x), NoVal);
    t_fn(t, "run");
    Type s = t_type(t, 0);
    Val g;
    x = t_param(t, "x", s);
    t_operator(t, Op_grad, "f", "x", 1, &x, &s, 1, &g);
    uint32_t line = t->line;
    t_end(t, g, NoVal);
    assert_false(passes_run(t->p, &options));
    assert_int_equal(t->cx->errors, 1);
    assert_int_equal(t->cx->diags.data[2].loc.line, line);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested),          cmocka_unit_test(test_hvp),
        cmocka_unit_test(test_sharing),         cmocka_unit_test(test_operator_inside),
        cmocka_unit_test(test_arguments),       cmocka_unit_test(test_user_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
