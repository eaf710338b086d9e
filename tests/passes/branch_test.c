/* Branches and checkpoints by hand: what is run again, errors in one of two. Random ones:
 * region_test.c. */
#include "tests/passes/support.h"

static uint32_t count_op(const Fn *fn, Op op) {
    uint32_t n = 0;
    for (Val v = 0; v < fn->ins.len; v++) n += fn->ins.data[v].op == op;
    return n;
}

/* name(x, n, w) = op(x * w) * n */
static Attr add_branch(T *t, const char *name, Op op) {
    Type num = t_type(t, 0);
    t_fn(t, name);
    Val x = t_param(t, "x", num), n = t_param(t, "n", type_of(I64, num.shape));
    Val w = t_param(t, "w", num), times = b_op(t->b, Op_cast, &n, 1, NULL, &num);
    Val y = t_op(t, op, t_op2(t, Op_mul, x, w));
    return attr_fn(t_end(t, t_op2(t, Op_mul, y, times), NoVal)->name);
}

/* f(x, n, w): a branch of the two, or the first behind a checkpoint. */
static Fn *make_f(T *t, Op region, Op then, Op otherwise) {
    Type num = t_type(t, 0);
    Attr attrs[] = {add_branch(t, "then", then), add_branch(t, "otherwise", otherwise)};
    t_fn(t, "f");
    Val args[] = {NoVal, t_param(t, "x", num), t_param(t, "n", type_of(I64, num.shape)),
                  t_param(t, "w", num)}, y;
    args[0] = t_op2(t, Op_lt, args[1], args[3]);
    bool cond = region == Op_cond;
    b_multi(t->b, region, cond ? args : args + 1, cond ? 4 : 3, attrs, &num, 1, &y);
    return t_end(t, t_op(t, Op_tanh, y), NoVal);
}

/* The floats of a checkpoint stand behind barriers, so that what it runs again is not merged with
 * the first time. The branch not taken leaves nothing to merge. */
static void test_barriers(void **state) {
    (void)state;
    for (int cond = 0; cond < 2; cond++) {
        T *t = t_new();
        Fn *f = make_f(t, cond ? Op_cond : Op_checkpoint, Op_tanh, Op_exp);
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 2}, 2);
        assert_int_equal(count_op(d, Op_opt_barrier), cond ? 0 : 2);
        for (uint64_t seed = 20; seed < 24; seed++) check_gradient(t, f, seed);
        check_dot(t, f, 24);
        t_free(t);
    }
}

/* erf, which has no rule here, in one branch: an error, and no derivative. */
static void test_error(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) {
        T *t = t_new();
        Fn *f = make_f(t, Op_cond, first ? Op_erf : Op_tanh, first ? Op_tanh : Op_erf);
        assert_null(differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1));
        assert_null(linearize(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1));
        assert_int_equal(t->cx->errors, 1);
        t_free(t);
    }
}

/* No adjoint arrives behind stop_gradient: no backward part is made. */
static void test_unreached(void **state) {
    (void)state;
    static const Op ops[] = {Op_cond, Op_checkpoint};
    for (size_t k = 0; k < LEN(ops); k++) {
        T *t = t_new();
        make_f(t, ops[k], Op_tanh, Op_exp);
        t_fn(t, "g");
        Type num = t_type(t, 0);
        Val args[] = {t_param(t, "x", num), t_param(t, "n", type_of(I64, num.shape)),
                      t_param(t, "w", num)};
        Val y = t_op(t, Op_stop_gradient, t_call(t, "f", 3, args));
        Fn *g = t_end(t, t_op2(t, Op_mul, y, args[0]), NoVal);
        uint32_t fns = t->p->fns.len;
        assert_non_null(differentiate(t->p, g, sym(t->cx, "d"), (uint32_t[]){0, 2}, 2));
        assert_int_equal(t->p->fns.len, fns);
        t_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_barriers),
                                       cmocka_unit_test(test_error),
                                       cmocka_unit_test(test_unreached)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
