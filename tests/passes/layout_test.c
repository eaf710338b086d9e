/* Operands are stored as kernels read them where that pays. */
#include "tests/passes/kernels.h"

/* transpose(x) @ y, x: f64[k, m], y: f64[k, n]: how many kernels. */
static uint32_t kernels(int m, int n, int k) {
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 2, k, m)), y = t_param(t, "y", t_type(t, 2, k, n));
    Val z = t_op2(t, Op_matmul, t_op(t, Op_transpose, x), y);
    b_fn(t->b)->exported = true;
    t_end(t, z, NoVal);
    const Fn *fn = compiled(t);
    uint32_t count = fn->kernels.len;
    for (uint32_t i = 0; i + 1 < count; i++) assert_int_equal(fn->kernels.data[i]->kind, KernMap);
    assert_int_equal(fn->kernels.data[count - 1]->kind, KernContract);
    t_free(t);
    return count;
}

/* Where much is computed with each element; not for few columns, short sums or one row. */
static void test_turned(void **state) {
    (void)state;
    assert_int_equal(kernels(20, 128, 512), 2);
    assert_int_equal(kernels(20, 2048, 32), 2);
    assert_int_equal(kernels(20, 127, 1024), 1);
    assert_int_equal(kernels(20, 128, 511), 1);
    assert_int_equal(kernels(1, 128, 512), 1);
}

/* Rows are read where they are. */
static void test_rows_stay(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 2, 20, 512)), y = t_param(t, "y", t_type(t, 2, 512, 128));
    b_fn(t->b)->exported = true;
    t_end(t, t_op2(t, Op_matmul, x, y), NoVal);
    assert_int_equal(compiled(t)->kernels.len, 1);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turned),
        cmocka_unit_test(test_rows_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
