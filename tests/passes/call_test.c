/* Calls that stay calls: differentiated once for all calls, in both modes and to second order,
 * inlined where they are few or small. */
#include "tests/passes/support.h"

enum { Calls = 3 };

/* block(x, w, b) = (tanh-laden f64[2, 4], a scalar), long enough to be worth a function. */
static void make_block(T *t) {
    t_fn(t, "block");
    Val x = t_param(t, "x", t_type(t, 2, 2, 4)), w = t_param(t, "w", t_type(t, 2, 4, 4));
    Val b = t_param(t, "b", t_type(t, 2, 2, 4));
    Val h = x;
    for (int k = 0; k < 4; k++) {
        h = t_op(t, Op_tanh, t_op2(t, Op_add, t_op2(t, Op_matmul, h, w), b));
        h = t_op2(t, Op_mul, h, t_op(t, Op_sigmoid, x));
    }
    Val s = t_name(t, t_sum(t, t_op2(t, Op_mul, h, h)), "s");
    t_end(t, t_op2(t, Op_add, x, h), s, NoVal);
}

/* net(x, w, u, b): block three times, the weight of the first and last shared, scalars added up. */
static Fn *make_net(T *t) {
    t_fn(t, "net");
    Val x = t_param(t, "x", t_type(t, 2, 2, 4)), w = t_param(t, "w", t_type(t, 2, 4, 4));
    Val u = t_param(t, "u", t_type(t, 2, 4, 4)), b = t_param(t, "b", t_type(t, 2, 2, 4));
    Val sum = t_num(t, t_type(t, 0), 0.5);
    for (int k = 0; k < Calls; k++) {
        Val out[2];
        b_call(t->b, program_fn(t->p, sym(t->cx, "block")), (Val[]){x, k == 1 ? u : w, b}, 3, out);
        x = t_op2(t, Op_mul, out[0], t_num(t, t_type(t, 2, 2, 4), 0.5));
        sum = t_op2(t, Op_add, sum, t_op2(t, Op_mul, out[1], sum));
    }
    return t_end(t, t_op2(t, Op_add, sum, t_sum(t, x)), NoVal);
}

static void derive_both(T *t, const Fn *net) {
    uint32_t wrt[] = {0, 1, 2, 3};
    assert_non_null(differentiate(t->p, net, sym(t->cx, "d"), wrt, LEN(wrt)));
    assert_non_null(linearize(t->p, net, sym(t->cx, "j"), wrt, LEN(wrt)));
}

static uint32_t count_named(T *t, const char *part) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < t->p->fns.len; k++) n += strstr(t->p->fns.data[k]->name, part) != NULL;
    return n;
}

static void test_derivatives(void **state) {
    (void)state;
    T *t = t_new();
    make_block(t);
    Fn *net = make_net(t);
    derive_both(t, net);
    assert_int_equal(count_named(t, "block_fwd"), 1);
    assert_int_equal(count_named(t, "block_vjp"), 1);
    assert_int_equal(count_named(t, "block_tangents"), 1);
    check_gradient(t, net, 1);
    check_dot(t, net, 2);
    t_free(t);
}

/* Backwards, this one reads its first result, all of its parameters, a constant and a view. */
static void make_reading_block(T *t) {
    t_fn(t, "block");
    Val x = t_param(t, "x", t_type(t, 2, 2, 4)), w = t_param(t, "w", t_type(t, 2, 4, 4));
    Val b = t_param(t, "b", t_type(t, 2, 2, 4)), h = x;
    Val turned = t_ints(t, Op_transpose, w, 2, (int64_t[]){1, 0});
    Num numbers[8] = {{.f = 0.5}, {.f = 0.25}, {.f = 1}};
    Val weight = b_const(t->b, b_type(t->b, x), numbers, LEN(numbers));
    Attr cut[] = {attr_ints(t->cx, (int64_t[]){0, 0}, 2), attr_ints(t->cx, (int64_t[]){1, 4}, 2),
                  attr_ints(t->cx, (int64_t[]){1, 1}, 2)};
    Val row = b_op(t->b, Op_slice, &b, 1, cut, NULL);
    Val rows = t_ints(t, Op_broadcast, row, 2, (int64_t[]){2, 4});
    for (int k = 0; k < 4; k++) {
        h = t_op(t, Op_tanh, t_op2(t, Op_mul, t_op2(t, Op_matmul, h, turned), b));
        h = t_op2(t, Op_mul, t_op2(t, Op_mul, h, t_op(t, Op_sigmoid, h)), weight);
        h = t_op2(t, Op_mul, t_op(t, Op_tanh, h), rows);
    }
    Val y = t_op(t, Op_tanh, h);
    t_end(t, y, t_sum(t, t_op2(t, Op_mul, h, h)), NoVal);
}

/* Each value is saved once, if it is no result anyway; no parameter, constant or view is, since the
 * backward part gets or makes them. It gets the parameters that it reads. */
static void test_saved(void **state) {
    (void)state;
    for (int reads = 0; reads < 2; reads++) {
        T *t = t_new();
        if (reads) make_reading_block(t);
        else make_block(t);
        Fn *net = make_net(t);
        assert_non_null(differentiate(t->p, net, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2));
        const Fn *fwd = program_fn(t->p, sym(t->cx, "block_fwd"));
        for (uint32_t k = 0; k < fwd->results.len; k++) {
            Val v = fwd->results.data[k];
            const Ins *i = &fwd->ins.data[v];
            assert_true(v >= fwd->nparams && i->op != Op_const);
            assert_true(k < 2 || op_info[i->op].cls != ClsView);
            for (uint32_t j = 0; j < k; j++) assert_true(fwd->results.data[j] != v);
        }
        check_all_read(program_fn(t->p, sym(t->cx, "block_vjp")));
        check_gradient(t, net, 8);
        check_dot(t, net, 9);
        t_free(t);
    }
}

/* What is no longer in the program is made again: one of a pair, or the tangents. */
static void test_dropped(void **state) {
    (void)state;
    static const char *const gone[] = {"block_fwd", "block_vjp", "block_tangents"};
    for (size_t k = 0; k < LEN(gone); k++) {
        T *t = t_new();
        make_block(t);
        Fn *net = make_net(t);
        derive_both(t, net);
        t_drop(t, gone[k]);
        if (k == 2) check_dot(t, net, 11);
        else check_gradient(t, net, 10);
        t_free(t);
    }
}

/* A block with erf, which has no rule here, and what uses its result: errors, and no derivative. */
static void test_error(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "block");
    Val x = t_param(t, "x", t_type(t, 2, 2, 4)), w = t_param(t, "w", t_type(t, 2, 4, 4)), h = x;
    for (int k = 0; k < 8; k++) h = t_op(t, Op_tanh, t_op2(t, Op_matmul, h, w));
    t_end(t, t_op(t, Op_erf, h), NoVal);
    t_fn(t, "net");
    Val args[] = {t_param(t, "x", t_type(t, 2, 2, 4)), t_param(t, "w", t_type(t, 2, 4, 4))};
    for (int k = 0; k < 2; k++) args[0] = t_op(t, Op_exp, t_call(t, "block", 2, args));
    Fn *net = t_end(t, t_sum(t, args[0]), NoVal);
    assert_null(differentiate(t->p, net, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2));
    assert_int_equal(t->cx->errors, 1);
    t_free(t);
}

/* Calls of which only the first, only the second, and both results are used share a pair: what is
 * not used has zeros. */
static void test_results_used(void **state) {
    (void)state;
    T *t = t_new();
    make_block(t);
    t_fn(t, "net");
    Val x = t_param(t, "x", t_type(t, 2, 2, 4)), w = t_param(t, "w", t_type(t, 2, 4, 4));
    Val sum = t_num(t, t_type(t, 0), 0.5), out[2];
    for (int k = 0; k < 4; k++) {
        Val half = t_op2(t, Op_mul, x, t_num(t, b_type(t->b, x), 0.2 * (k + 1)));
        b_call(t->b, program_fn(t->p, sym(t->cx, "block")), (Val[]){half, w, x}, 3, out);
        if (k != 1) sum = t_op2(t, Op_add, sum, t_sum(t, out[0]));
        if (k >= 1) sum = t_op2(t, Op_add, sum, out[1]);
    }
    Fn *net = t_end(t, sum, NoVal);
    assert_non_null(differentiate(t->p, net, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2));
    assert_int_equal(count_named(t, "block_fwd"), 1);
    assert_int_equal(count_named(t, "block_vjp"), 1);
    check_gradient(t, net, 6);
    check_dot(t, net, 7);
    t_free(t);
}

/* The gradient, whose calls are of block_fwd and block_vjp, differentiated again. */
static void test_second_order(void **state) {
    (void)state;
    T *t = t_new();
    make_block(t);
    Fn *net = make_net(t);
    uint32_t wrt[] = {1};
    const Fn *both = differentiate(t->p, net, sym(t->cx, "both"), wrt, 1);
    t_fn(t, "slope");
    Val x = t_param(t, "x", t_type(t, 2, 2, 4)), w = t_param(t, "w", t_type(t, 2, 4, 4));
    Val u = t_param(t, "u", t_type(t, 2, 4, 4)), b = t_param(t, "b", t_type(t, 2, 2, 4)), out[2];
    splice(t->p, t->b, both, (Val[]){x, w, u, b}, NULL, &(Splice){0}, out);
    Fn *slope = t_end(t, t_sum(t, t_op(t, Op_tanh, out[1])), NoVal);
    check_gradient(t, slope, 3);
    check_dot(t, slope, 4);
    t_free(t);
}

static uint32_t count_calls(const Fn *fn) {
    uint32_t n = 0;
    for (Val v = 0; v < fn->ins.len; v++) n += fn->ins.data[v].op == Op_call;
    return n;
}

/* From net: three calls stay; a function called once and a short one do not. */
static void test_inline(void **state) {
    (void)state;
    T *t = t_new();
    make_block(t);
    Fn *net = make_net(t);
    t_fn(t, "short");
    Val x = t_param(t, "x", t_type(t, 2, 2, 4));
    t_end(t, t_op2(t, Op_mul, x, x), NoVal);
    t_fn(t, "main");
    Val args[4];
    for (int k = 0; k < 4; k++) {
        args[k] = t_param(t, net->ins.data[k].name, net->ins.data[k].type);
    }
    Val y = t_call(t, "net", 4, args);
    Val z = t_call(t, "short", 1, args), zz = t_call(t, "short", 1, &z);
    Fn *fn = t_end(t, t_op2(t, Op_add, y, t_sum(t, zz)), NoVal);
    fn->exported = true;
    Tensor *values = t_args(t, fn, 5), *before = t_run(t, fn, values);
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1, .stop_after = "regions"};
    assert_true(passes_run(t->p, &o));
    fn = program_fn(t->p, sym(t->cx, "main"));
    assert_int_equal(count_calls(fn), Calls);
    assert_int_equal(t->p->fns.len, 2);
    Tensor *after = t_run(t, fn, values);
    assert_true(before->re[0] == after->re[0]);
    t_free(t);
}

/* One call of block: nothing stays. */
static void test_once(void **state) {
    (void)state;
    T *t = t_new();
    make_block(t);
    t_fn(t, "main");
    Val x = t_param(t, "x", t_type(t, 2, 2, 4)), w = t_param(t, "w", t_type(t, 2, 4, 4)), out[2];
    Val b = t_param(t, "b", t_type(t, 2, 2, 4));
    b_call(t->b, program_fn(t->p, sym(t->cx, "block")), (Val[]){x, w, b}, 3, out);
    t_end(t, out[0], out[1], NoVal)->exported = true;
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1, .stop_after = "regions"};
    assert_true(passes_run(t->p, &o));
    assert_int_equal(count_calls(program_fn(t->p, sym(t->cx, "main"))), 0);
    assert_int_equal(t->p->fns.len, 1);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derivatives), cmocka_unit_test(test_second_order),
        cmocka_unit_test(test_results_used), cmocka_unit_test(test_saved),
        cmocka_unit_test(test_dropped), cmocka_unit_test(test_error),
        cmocka_unit_test(test_inline), cmocka_unit_test(test_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
