/* The memory plan: what is needed is there, donated storage is never overwritten too early. */
#include "tests/passes/kernels.h"

static void donate(T *t, uint32_t n, const int32_t *to) {
    Fn *fn = b_fn(t->b);
    fn->exported = true;
    fn->donated = NEW_ARRAY(t->cx->arena, int32_t, n);
    memcpy(fn->donated, to, n * sizeof *to);
}

static const Fn *planned(T *t) {
    const Fn *fn = compiled(t);
    check_memory(fn);
    check_lifetimes(fn);
    return fn;
}

static void test_random(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        T *t = t_new();
        random_fn(t->p, "random", seed, 10 + seed % 50);
        planned(t);
        t_free(t);
    }
    for (uint64_t seed = FirstWithRegions; seed < FirstWithRegions + 60; seed++) {
        T *t = t_new();
        random_fn(t->p, "random", seed, 10 + seed % 30);
        planned(t);
        for (uint32_t i = 0; i < t->p->fns.len; i++) check_lifetimes(t->p->fns.data[i]);
        t_free(t);
    }
}

/* Many kernels in a row need the room of two values. */
static void test_reuse(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val w = t_param(t, "w", t_type(t, 2, 8, 8)), x = t_param(t, "x", t_type(t, 2, 8, 8));
    for (int n = 0; n < 20; n++) x = t_op2(t, Op_matmul, x, w);
    b_fn(t->b)->exported = true;
    t_end(t, x, NoVal);
    const Fn *fn = planned(t);
    assert_int_equal(fn->kernels.len, 20);
    assert_int_equal(fn->plan->arena_bytes, 2 * 8 * 8 * sizeof(double));
    t_free(t);
}

/* A map stores over what dies in it, but not over what it also reads turned round. */
static void test_over_dying(void **state) {
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        T *t = t_new();
        t_fn(t, "f");
        Type type = t_type(t, 2, 8, 8);
        Val x = t_param(t, "x", type);
        Val m = t_op2(t, Op_matmul, x, x);
        Val e = t_ints(t, Op_reduce_sum, m, 1, (int64_t[]){1});
        Val y = t_op2(t, Op_mul, m, b_broadcast(t->b, e, type.shape));
        if (turned) y = t_op2(t, Op_add, y, t_op(t, Op_transpose, m));
        b_fn(t->b)->exported = true;
        t_end(t, t_op2(t, Op_matmul, y, x), NoVal);
        const Fn *fn = planned(t);
        uint64_t one = 8 * 8 * sizeof(double);
        assert_true(turned ? fn->plan->arena_bytes >= 2 * one : fn->plan->arena_bytes < 2 * one);
        t_free(t);
    }
}

/* An update in place, and its gradient's contraction with it. */
static void test_donated(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "step");
    Type type = t_type(t, 2, 4, 4);
    Val w = t_param(t, "w", type), m = t_param(t, "m", type), x = t_param(t, "x", type);
    Val h = t_op2(t, Op_matmul, x, w), g = t_op2(t, Op_matmul, h, h);
    Val m1 = t_op2(t, Op_add, t_op2(t, Op_mul, m, t_num(t, type, 0.9)), g);
    Val w1 = t_op2(t, Op_sub, w, t_op2(t, Op_mul, m1, t_num(t, type, 0.1)));
    donate(t, 2, (int32_t[]){0, 1});
    t_end(t, w1, m1, NoVal);
    const Fn *fn = planned(t);
    assert_int_equal(fn->kernels.len, 2);
    for (uint32_t r = 0; r < 2; r++) {
        const Buf *b = &fn->plan->bufs[fn->results.data[r]];
        assert_int_equal(b->kind, BufArg);
        assert_int_equal(b->index, r);
    }
    t_free(t);
}

/* The kernel that writes reads the parameter turned round, or as an operand of its contraction or
 * movement: only a copy is safe. An epilogue reads it where it writes. */
static void test_not_in_place(void **state) {
    (void)state;
    static const uint32_t kernels[] = {2, 2, 2, 1, 2};
    for (int way = 0; way < 5; way++) {
        T *t = t_new();
        t_fn(t, "step");
        Type type = t_type(t, 2, 4, 4);
        Val w = t_param(t, "w", type), x = t_param(t, "x", type), y = NoVal;
        if (way == 0) y = t_op2(t, Op_add, w, t_op(t, Op_transpose, w));
        if (way == 1) y = t_op2(t, Op_add, x, t_op2(t, Op_matmul, w, x));
        if (way == 2) y = b_op(t->b, Op_cumsum, &w, 1, (Attr[]){attr_int(0), attr_bool(0)}, NULL);
        if (way == 3) y = t_op2(t, Op_add, w, t_op2(t, Op_matmul, x, x));
        if (way == 4) { /* by another name */
            y = t_ints(t, Op_reshape, w, 3, (int64_t[]){1, 4, 4});
            y = t_ints(t, Op_transpose, y, 3, (int64_t[]){0, 2, 1});
            y = t_op2(t, Op_add, w, t_ints(t, Op_reshape, y, 2, (int64_t[]){4, 4}));
        }
        donate(t, 1, (int32_t[]){0});
        t_end(t, y, NoVal);
        assert_int_equal(planned(t)->kernels.len, kernels[way]);
        t_free(t);
    }
}

/* The other reader of the parameter comes first, though it stands last. */
static void test_order(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "step");
    Type type = t_type(t, 2, 4, 4);
    Val w = t_param(t, "w", type), x = t_param(t, "x", type);
    Val w1 = t_op2(t, Op_sub, w, t_op2(t, Op_matmul, x, x));
    donate(t, 2, (int32_t[]){0, -1});
    t_end(t, w1, t_op2(t, Op_matmul, x, w), NoVal);
    const Fn *fn = planned(t);
    assert_int_equal(fn->kernels.len, 2);
    assert_int_equal(fn->kernels.data[1]->outputs.data[0], fn->results.data[0]);
    t_free(t);
}

/* Two parameters change places; one stays; one becomes another's result. */
static void test_exchange(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "step");
    Type type = t_type(t, 1, 6);
    Val a = t_param(t, "a", type), b = t_param(t, "b", type), c = t_param(t, "c", type);
    donate(t, 5, (int32_t[]){1, 0, 2, -1, -1});
    t_end(t, a, b, c, c, a, NoVal);
    const Fn *fn = planned(t);
    assert_int_equal(fn->results.data[2], c);
    assert_int_equal(fn->plan->bufs[c].kind, BufArg);
    t_free(t);
}

/* What a loop adds to in place begins in the place of the result, so that nothing is moved. */
static void test_begins_in_result(void **state) {
    (void)state;
    T *t = t_new();
    Type sums = t_type(t, 1, 6), index = {I32, 6, shape_scalar(t->cx)};
    Type list = {I32, 6, t_type(t, 1, 9).shape};
    Attr axis = attr_int(0);
    t_fn(t, "body");
    Val s = t_param(t, "s", sums), i = t_param(t, "i", index), u = t_param(t, "u", t_type(t, 0));
    t_end(t, b_op(t->b, Op_scatter_add, (Val[]){s, i, u}, 3, &axis, NULL), NoVal);
    t_fn(t, "f");
    Val args[] = {NoVal, t_param(t, "i", list), t_param(t, "u", t_type(t, 0))};
    args[0] = t_num(t, sums, 0);
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(1), attr_int(0),
                    attr_int(9), attr_bool(false)};
    Val y = b_op(t->b, Op_scan, args, 3, attrs, &sums);
    b_fn(t->b)->exported = true;
    t_end(t, y, NoVal);
    const Fn *fn = planned(t);
    const Kernel *loop = fn->kernels.data[1];
    Val begin = fn->ins.data[loop->root].args[0];
    assert_int_equal(loop->kind, KernRegion);
    assert_int_equal(fn->plan->bufs[begin].kind, BufResult);
    assert_int_equal(fn->plan->bufs[begin].index, 0);
    t_free(t);
}

/* What is scattered over itself is read while it is written: in the arena, in a result's place, in
 * an argument's, by another name. */
static void test_scattered_over_itself(void **state) {
    (void)state;
    for (int way = 0; way < 4; way++) {
        T *t = t_new();
        t_fn(t, "f");
        Type type = t_type(t, 1, 6), index = {I32, 6, type.shape};
        Val x = t_param(t, "x", type), i = t_param(t, "i", index);
        Val to = way == 2 ? x : t_op(t, Op_exp, x), u = to;
        Attr axis = attr_int(0);
        if (way == 3) {
            u = t_ints(t, Op_reshape, to, 2, (int64_t[]){2, 3});
            u = t_ints(t, Op_reshape, u, 1, (int64_t[]){6});
        }
        Val y = b_op(t->b, Op_scatter_add, (Val[]){to, i, u}, 3, &axis, NULL);
        if (way == 2) donate(t, 1, (int32_t[]){0});
        b_fn(t->b)->exported = true;
        t_end(t, way == 0 ? t_sum(t, y) : y, NoVal);
        planned(t);
        t_free(t);
    }
}

static void test_classes(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "loss");
    Type type = t_type(t, 2, 4, 4);
    Val w = t_param(t, "net.w", type), x = t_param(t, "x", type);
    Val m = t_param(t, "opt.m.net.w", type), lr = t_param(t, "hyper.lr", t_type(t, 0));
    Num nums[16];
    for (int k = 0; k < 16; k++) nums[k].f = k;
    Val h = t_op(t, Op_tanh, t_op2(t, Op_matmul, x, w)), c = b_const(t->b, type, nums, 16);
    Val y = t_op2(t, Op_mul, t_op2(t, Op_matmul, h, x), c);
    y = t_op2(t, Op_add, t_op2(t, Op_mul, y, y), b_broadcast(t->b, lr, type.shape));
    t_end(t, t_sum(t, t_op2(t, Op_add, y, m)), NoVal);
    t_fn(t, "step");
    Val args[4], g;
    for (Val v = 0; v < 4; v++) {
        const Ins *i = &program_fn(t->p, sym(t->cx, "loss"))->ins.data[v];
        args[v] = t_param(t, i->name, i->type);
    }
    t_operator(t, Op_grad, "loss", "net.w", 4, args, &type, 1, &g);
    b_fn(t->b)->exported = true;
    t_end(t, g, NoVal);
    const Plan *plan = planned(t)->plan;
    uint64_t one = 16 * sizeof(double);
    assert_int_equal(plan->param_bytes, one);
    assert_int_equal(plan->opt_bytes, one);
    assert_int_equal(plan->const_bytes, one);
    assert_int_equal(plan->saved_bytes, one); /* h; what follows it is fused with its adjoint */
    assert_int_equal(plan->scratch_bytes, plan->arena_bytes - one);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),       cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_over_dying),   cmocka_unit_test(test_donated),
        cmocka_unit_test(test_not_in_place), cmocka_unit_test(test_order),
        cmocka_unit_test(test_exchange),     cmocka_unit_test(test_begins_in_result),
        cmocka_unit_test(test_classes),      cmocka_unit_test(test_scattered_over_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
