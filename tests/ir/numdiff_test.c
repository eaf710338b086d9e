/* Numerical derivatives against derivatives known in closed form. */
#include "support.h"

#include <math.h>

/* d<w, f>/dx along u of a function of one f64[3], and the estimated error. */
static double slope(Fixture *f, const double *at, const double *along, double *err) {
    Fn *fn = b_fn(f->b);
    Type t = fn->ins.data[0].type, out = fn->ins.data[fn->results.data[0]].type;
    Tensor x = tensor_new(f->cx->arena, t, false), u = tensor_new(f->cx->arena, t, false);
    Tensor w = tensor_new(f->cx->arena, out, false);
    memcpy(x.re, at, (size_t)t.shape->size * sizeof *at);
    memcpy(u.re, along, (size_t)t.shape->size * sizeof *along);
    for (int64_t i = 0; i < out.shape->size; i++) w.re[i] = 1 + (double)i;
    return numdiff_directional(f->p, fn, f->cx->arena, &x, 0, &u, &w, err);
}

static const double at[] = {0.4, 0.9, 1.3}, along[] = {0.7, -1.1, 0.3};

typedef struct Known {
    Op op;
    double (*derivative)(double x);
    double tolerance;
} Known;

static double d_log(double x) { return 1 / x; }
static double d_sqrt(double x) { return 0.5 / sqrt(x); }
static double d_rsqrt(double x) { return -0.5 / (x * sqrt(x)); }
static double d_tanh(double x) { return 1 - tanh(x) * tanh(x); }
static double d_sigmoid(double x) { return 1 / (2 + exp(x) + exp(-x)); }
static double d_erf(double x) { return 2 / sqrt(acos(-1)) * exp(-x * x); }
static double d_log1p(double x) { return 1 / (1 + x); }
static double d_one(double x) { return x > 0 ? 1 : -1; }
static double d_none(double x) { return 0 * x; }

/* By complex step to rounding; by differences to the gate of testing. */
static const Known known[] = {
    {Op_exp, exp, 1e-14},       {Op_log, d_log, 1e-14},         {Op_sqrt, d_sqrt, 1e-14},
    {Op_rsqrt, d_rsqrt, 1e-14}, {Op_tanh, d_tanh, 1e-14},       {Op_sigmoid, d_sigmoid, 1e-14},
    {Op_abs, d_one, 1e-14},     {Op_stop_gradient, d_none, 0},  {Op_floor, d_none, 0},
    {Op_erf, d_erf, 1e-10},     {Op_log1p, d_log1p, 1e-10},     {Op_expm1, exp, 1e-10},
};

static void elementwise(void **state) {
    (void)state;
    for (size_t k = 0; k < LEN(known); k++) {
        Fixture f = fixture_open(true);
        b_result(f.b, op(&f, known[k].op, 1, param(&f, "x", "f64[3]")));
        double want = 0, err, got = slope(&f, at, along, &err);
        for (int i = 0; i < 3; i++) want += (1 + i) * along[i] * known[k].derivative(at[i]);
        if (!(fabs(got - want) <= known[k].tolerance))
            fail_msg("%s: %.17g, not %.17g", op_info[known[k].op].name, got, want);
        assert_true(known[k].tolerance < 1e-12 ? err == 0 : err > 0 && err < 1e-9);
        fixture_close(&f);
    }
}

/* x @ x: no conjugation. */
static void products(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    Val x = param(&f, "x", "f64[3]");
    Attr to[MaxAttrs] = {ints_from(f.cx, "1 3")};
    Val row = b_op(f.b, Op_reshape, &x, 1, to, NULL), column = op(&f, Op_transpose, 1, row);
    b_result(f.b, op(&f, Op_matmul, 2, row, column));
    double want = 0, err, got = slope(&f, at, along, &err);
    for (int i = 0; i < 3; i++) want += 2 * at[i] * along[i];
    assert_true(fabs(got - want) < 1e-14);
    fixture_close(&f);
}

/* The exponent's derivative too, through a call. */
static void power_in_a_call(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    Val a = param(&f, "a", "f64[3]");
    b_result(f.b, op(&f, Op_pow, 2, a, a));
    Fn *power = builder_done(f.b);
    program_add(f.p, power);
    f.b = builder_new(f.p, sym(f.cx, "g"), true);
    Val x = param(&f, "x", "f64[3]"), y;
    b_call(f.b, power, &x, 1, &y);
    b_result(f.b, y);
    double want = 0, err, got = slope(&f, at, along, &err);
    for (int i = 0; i < 3; i++) {
        want += (1 + i) * along[i] * pow(at[i], at[i]) * (log(at[i]) + 1);
    }
    assert_true(fabs(got - want) < 1e-10);
    fixture_close(&f);
}

/* log1p(|x|) and its like, closer to the kink than the first step reaches. */
static void steps_stay_on_one_piece(void **state) {
    (void)state;
    static const double close[] = {1e-5, -2e-5, 3e-5};
    for (int how = 0; how < 3; how++) {
        Fixture f = fixture_open(true);
        Val x = param(&f, "x", "f64[3]"), zero = num(&f, "f64[3]", 0), y;
        if (how == 0) y = op(&f, Op_abs, 1, x);
        else if (how == 1) y = op(&f, Op_max, 2, x, zero);
        else y = op(&f, Op_where, 3, op(&f, Op_gt, 2, x, zero), x, zero);
        b_result(f.b, op(&f, Op_log1p, 1, y));
        double want = 0, err, got = slope(&f, close, along, &err);
        for (int i = 0; i < 3; i++) {
            double s = close[i] > 0 ? 1 : how ? 0 : -1;
            want += (1 + i) * along[i] * s / (1 + s * close[i]);
        }
        if (!(fabs(got - want) < 1e-7)) fail_msg("case %d: %.17g, not %.17g", how, got, want);
        fixture_close(&f);
    }
}

/* The largest is decided by which element it is. */
static void largest_changes_hands(void **state) {
    (void)state;
    static const double close[] = {1, 1 + 1e-5, 0.5};
    Fixture f = fixture_open(true);
    Val x = param(&f, "x", "f64[3]");
    Val most = op_attr(&f, Op_reduce_max, ints_from(f.cx, "0"), x);
    b_result(f.b, op(&f, Op_log1p, 1, most));
    double err, got = slope(&f, close, along, &err), want = along[1] / (2 + 1e-5);
    assert_true(fabs(got - want) < 1e-7);
    fixture_close(&f);
}

/* sin(10^4 log1p(x)), whose period the first step does not see. */
static void faster_than_a_step(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    Val x = param(&f, "x", "f64[3]"), far = num(&f, "f64[3]", 1e4);
    b_result(f.b, op(&f, Op_sin, 1, op(&f, Op_mul, 2, op(&f, Op_log1p, 1, x), far)));
    for (int k = 0; k < 200; k++) {
        double from[] = {0.01 * k, 0.3 + 0.007 * k, 1.9 - 0.003 * k}, want = 0, scale = 0, err;
        double got = slope(&f, from, along, &err);
        for (int i = 0; i < 3; i++) {
            double d = (1 + i) * along[i] * 1e4 / (1 + from[i]);
            want += d * cos(1e4 * log1p(from[i]));
            scale += fabs(d);
        }
        if (!(fabs(got - want) <= 10 * err + 1e-9 * scale && err < 1e-4 * scale))
            fail_msg("%d: %.17g, not %.17g; %g", k, got, want, err);
    }
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise),
        cmocka_unit_test(products),
        cmocka_unit_test(power_in_a_call),
        cmocka_unit_test(steps_stay_on_one_piece),
        cmocka_unit_test(largest_changes_hands),
        cmocka_unit_test(faster_than_a_step),
    };
    return cmocka_run_group_tests_name("numdiff", tests, NULL, NULL);
}
