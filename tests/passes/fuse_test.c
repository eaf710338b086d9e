/* Fusion: what shares a kernel, what is stored, what is never computed twice. */
#include "tests/passes/kernels.h"

/* The function ends here and runs through the pipeline. */
static const Fn *fused(T *t, Val result) {
    b_fn(t->b)->exported = true;
    t_end(t, result, NoVal);
    const Fn *fn = compiled(t);
    check_memory(fn);
    return fn;
}

static uint32_t kernels_of(const Fn *fn, KernelKind kind) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < fn->kernels.len; k++) n += fn->kernels.data[k]->kind == kind;
    return n;
}

/* In how many kernels an operation is computed. */
static uint32_t computed(const Fn *fn, Op op) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < fn->kernels.len; k++) {
        const Kernel *x = fn->kernels.data[k];
        for (uint32_t m = 0; m < x->members.len; m++) {
            n += fn->ins.data[x->members.data[m]].op == op;
        }
    }
    return n;
}

static Val relu(T *t, Val x) {
    Val zero = t_num(t, b_type(t->b, x), 0);
    return t_where(t, t_op2(t, Op_gt, x, zero), x, zero);
}

static Val dense(T *t, Val x, Val w, Val b) {
    Val z = t_op2(t, Op_matmul, x, w);
    return relu(t, t_op2(t, Op_add, z, b_broadcast(t->b, b, b_type(t->b, z).shape)));
}

static Val sum_rows(T *t, Val x) { return t_ints(t, Op_reduce_sum, x, 1, (int64_t[]){1}); }

static void test_random(void **state) {
    (void)state;
    for (uint64_t seed = 1000; seed < 1200; seed++) {
        T *t = t_new();
        random_fn(t->p, "random", seed, 20 + seed % 80);
        check_memory(compiled(t));
        t_free(t);
    }
}

static void test_epilogue(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 2, 4, 3)), w = t_param(t, "w", t_type(t, 2, 5, 3));
    Val b = t_param(t, "b", t_type(t, 1, 5));
    const Fn *fn = fused(t, dense(t, x, t_op(t, Op_transpose, w), b));
    assert_int_equal(fn->kernels.len, 1);
    assert_int_equal(fn->kernels.data[0]->kind, KernContract);
    assert_int_equal(fn->kernels.data[0]->outputs.len, 1);
    t_free(t);
}

/* Random numbers that several kernels read are drawn in a map, not for each row of a tile. */
static void test_drawn(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Type type = t_type(t, 2, 4, 4);
    Val x = t_param(t, "x", type), key = t_param(t, "key", type_of(I64, shape_scalar(t->cx)));
    Attr stream = attr_int(0);
    Val u = b_op(t->b, Op_rng, &key, 1, &stream, &type), zero = t_num(t, type, 0);
    Val mask = t_op2(t, Op_lt, u, t_num(t, type, 0.2));
    Val h = t_where(t, mask, zero, t_op2(t, Op_matmul, x, x));
    const Fn *fn = fused(t, t_where(t, mask, zero, t_op2(t, Op_matmul, h, x)));
    assert_int_equal(fn->kernels.len, 3);
    assert_int_equal(kernels_of(fn, KernMap), 1);
    t_free(t);
}

/* What is read at another index cannot stay in the register of the epilogue. */
static void test_turned_root(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Type type = t_type(t, 2, 4, 4);
    Val x = t_param(t, "x", type), z = t_op2(t, Op_matmul, x, x);
    Val y = t_op2(t, Op_add, z, t_num(t, type, 1));
    const Fn *fn = fused(t, t_op2(t, Op_add, t_op(t, Op_transpose, y), z));
    assert_int_equal(fn->kernels.len, 2);
    t_free(t);
}

static void test_dense_gradient(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "loss");
    Type types[] = {t_type(t, 2, 8, 4), t_type(t, 2, 4, 6), t_type(t, 1, 6)};
    Val x = t_param(t, "x", types[0]), w = t_param(t, "w", types[1]);
    Val b = t_param(t, "b", types[2]), h = dense(t, x, w, b);
    t_end(t, t_sum(t, t_op2(t, Op_mul, h, h)), NoVal);
    t_fn(t, "step");
    Val args[3], g[3];
    for (int k = 0; k < 3; k++) args[k] = t_param(t, (const char *[]){"x", "w", "b"}[k], types[k]);
    Type out[] = {t_type(t, 0), types[1], types[2]};
    t_operator(t, Op_value_and_grad, "loss", "w b", 3, args, out, 3, g);
    b_fn(t->b)->exported = true;
    t_end(t, g[0], g[1], g[2], NoVal);
    const Fn *fn = compiled(t);
    check_memory(fn);
    Text text = {0};
    print_kernels(t->p, &text);
    const char *shown = text_done(&text, t->cx->arena);
    assert_in_range(fn->kernels.len, 3, 6);
    assert_int_equal(kernels_of(fn, KernContract), 2);
    assert_int_equal(kernels_of(fn, KernReduce), 2);
    assert_non_null(strstr(shown, "kernel 0 contract [8, 6]"));
    assert_non_null(strstr(shown, "contract [4, 6]"));
    assert_non_null(strstr(shown, "reduce []"));
    t_free(t);
}

/* exp is read by a reduction and by a map after it: stored. x + 1 is cheap: computed twice. */
static void test_dear(void **state) {
    (void)state;
    for (int dear = 0; dear < 2; dear++) {
        T *t = t_new();
        t_fn(t, "f");
        Type type = t_type(t, 2, 4, 4);
        Val x = t_param(t, "x", type);
        Val y = dear ? t_op(t, Op_exp, x) : t_op2(t, Op_add, x, t_num(t, type, 1));
        Val s = t_ints(t, Op_reshape, sum_rows(t, y), 2, (int64_t[]){4, 1});
        const Fn *fn = fused(t, t_op2(t, Op_mul, y, b_broadcast(t->b, s, type.shape)));
        assert_int_equal(fn->kernels.len, dear ? 3 : 2);
        assert_int_equal(computed(fn, dear ? Op_exp : Op_add), dear ? 1 : 2);
        assert_int_equal(computed(fn, Op_reshape), 0);
        t_free(t);
    }
}

/* What is dear and read at two indices of one kernel is stored before it. */
static void test_two_indices(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 1, 8)), e = t_op(t, Op_exp, x);
    const Fn *fn = fused(t, t_op2(t, Op_add, e, t_ints(t, Op_flip, e, 1, (int64_t[]){0})));
    assert_int_equal(fn->kernels.len, 2);
    t_free(t);
}

/* Two results of one parameter: one loop. Not if a third kernel stands between them. */
static void test_shared_input(void **state) {
    (void)state;
    for (int between = 0; between < 2; between++) {
        T *t = t_new();
        t_fn(t, "f");
        Type type = t_type(t, 2, 4, 4);
        Val x = t_param(t, "x", type), a = t_op(t, Op_exp, x), b = x;
        if (between) b = t_op2(t, Op_add, b_broadcast(t->b, sum_rows(t, a), type.shape), x);
        b = t_op(t, Op_tanh, b);
        b_fn(t->b)->exported = true;
        t_end(t, a, b, NoVal);
        const Fn *fn = compiled(t);
        check_memory(fn);
        assert_int_equal(fn->kernels.len, between ? 3 : 1);
        t_free(t);
    }
}

/* A chain on a small shape is computed before it is broadcast, once. */
static void test_broadcast(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Type type = t_type(t, 2, 4, 4);
    Val x = t_param(t, "x", type), s = t_param(t, "s", t_type(t, 0));
    Val scale = t_op2(t, Op_mul, s, t_num(t, t_type(t, 0), 3));
    const Fn *fn = fused(t, t_op2(t, Op_mul, x, b_broadcast(t->b, scale, type.shape)));
    assert_int_equal(fn->kernels.len, 2);
    assert_int_equal(fn->kernels.data[0]->space->rank, 0);
    t_free(t);
}

/* Momentum, mean square and parameter in one kernel; all scalars in one before it. */
static void test_update(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "step");
    Type type = t_type(t, 2, 4, 4), scalar = t_type(t, 0);
    Val p = t_param(t, "p", type), m = t_param(t, "m", type), v = t_param(t, "v", type);
    Val g = t_param(t, "g", type), n = t_param(t, "n", scalar), lr = t_param(t, "lr", scalar);
    Val fix = t_op2(t, Op_pow, t_num(t, scalar, 0.9), n), rate = t_op2(t, Op_div, lr, n);
    Val m1 = t_op2(t, Op_add, t_op2(t, Op_mul, m, t_num(t, type, 0.9)), g);
    Val v1 = t_op2(t, Op_add, t_op2(t, Op_mul, v, t_num(t, type, 0.99)), t_op2(t, Op_mul, g, g));
    Val a = t_op2(t, Op_mul, m1, b_broadcast(t->b, fix, type.shape));
    Val d = t_op2(t, Op_div, a, t_op(t, Op_sqrt, v1));
    Val p1 = t_op2(t, Op_sub, p, t_op2(t, Op_mul, d, b_broadcast(t->b, rate, type.shape)));
    b_fn(t->b)->exported = true;
    b_fn(t->b)->donated = NEW_ARRAY(t->cx->arena, int32_t, 3);
    for (int k = 0; k < 3; k++) b_fn(t->b)->donated[k] = k;
    t_end(t, p1, m1, v1, NoVal);
    const Fn *fn = compiled(t);
    check_memory(fn);
    assert_int_equal(fn->kernels.len, 2);
    assert_int_equal(fn->kernels.data[0]->outputs.len, 2);
    assert_int_equal(fn->kernels.data[1]->outputs.len, 3);
    assert_int_equal(fn->plan->arena_bytes, 2 * 64);
    t_free(t);
}

/* Results that no kernel makes: parameters, constants, reshapes, one value twice; any type. */
static void test_results(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 2, 2, 3));
    Val k = t_param(t, "k", type_of(I64, shape_scalar(t->cx)));
    Val c = t_param(t, "c", type_of(BOOL, shape_of(t->cx, (int64_t[]){3}, 1)));
    Val i = t_param(t, "i", (Type){I32, 4, shape_of(t->cx, (int64_t[]){3}, 1)});
    Val y = t_op(t, Op_neg, x), flat = t_ints(t, Op_reshape, y, 1, (int64_t[]){6});
    b_fn(t->b)->exported = true;
    t_end(t, x, t_num(t, t_type(t, 1, 3), 2), y, y, flat, k, c, i, i, NoVal);
    const Fn *fn = compiled(t);
    check_memory(fn);
    check_lifetimes(fn);
    t_free(t);
}

/* Work that grows with the square of the instructions would show here. */
static void test_large(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Type type = t_type(t, 2, 4, 4);
    Val w = t_param(t, "w", type), x = t_param(t, "x", type);
    for (int n = 0; n < 1000; n++) {
        Val e = t_op(t, Op_exp, t_op2(t, Op_matmul, x, w));
        Val s = t_ints(t, Op_reshape, sum_rows(t, e), 2, (int64_t[]){4, 1});
        x = t_op2(t, Op_div, e, b_broadcast(t->b, s, type.shape));
    }
    const Fn *fn = fused(t, x);
    assert_int_equal(fn->kernels.len, 3000);
    assert_int_equal(computed(fn, Op_exp), 1000);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_epilogue),
        cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_turned_root),
        cmocka_unit_test(test_dense_gradient),
        cmocka_unit_test(test_dear),
        cmocka_unit_test(test_two_indices),
        cmocka_unit_test(test_shared_input),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
