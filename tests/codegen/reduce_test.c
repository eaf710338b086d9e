/* Reductions against the interpreter: lengths around lanes, rounds and blocks; every axis; what
 * feeds them and what follows them in the kernel; and reductions that are cut into chunks. */
#include "tests/codegen/support.h"

#define INTS(...)       \
    (const int64_t[]) { \
        __VA_ARGS__     \
    }

static const Op ops[] = {Op_reduce_sum, Op_reduce_max, Op_reduce_min, Op_reduce_prod};

static Val reduced(Program *p, Builder *b, Op op, Val x, uint32_t n, const int64_t *axes) {
    return op_ints(p, b, op, x, n, axes, NULL, NULL);
}

static void write_lengths(Program *p) {
    static const int sizes[] = {0,  1,  10, 15,  16,  17,   31,   32,   33,   63,   64,
                                65, 79, 95, 127, 129, 1000, 4095, 4096, 4097, 8192, 10000};
    static const DType types[] = {F32, F64, BF16, I32, I64};
    for (size_t k = 0; k < LEN(sizes); k++) {
        for (size_t t = 0; t < LEN(types); t++) {
            Op op = t < 2 ? Op_reduce_sum : ops[(k + t) % LEN(ops)];
            Builder *b =
                fn_open(p, "last_%s_%s_%d", op_info[op].name, dtype_name(types[t]), sizes[k]);
            Val x = arg(p, b, "p", dims(p, types[t], 2, 2, sizes[k]));
            fn_done(p, b, reduced(p, b, op, x, 1, INTS(1)));
            b = fn_open(p, "chain_%s_%s_%d", op_info[op].name, dtype_name(types[t]), sizes[k]);
            x = arg(p, b, "p", dims(p, types[t], 2, sizes[k], k % 2 ? 19 : 3));
            fn_done(p, b, reduced(p, b, op, x, 1, INTS(0)));
        }
    }
}

static void lengths(void **state) {
    (void)state;
    compare(write_lengths);
}

/* Sums of sums: more than 4096 blocks. */
static void write_deep(Program *p) {
    Builder *b = fn_open(p, "deep");
    Val x =
        b_broadcast(b, arg(p, b, "a", dims(p, F32, 1, 17)), shape_of(p->cx, INTS(987001, 17), 2));
    fn_done(p, b,
            reduced(p, b, Op_reduce_sum, b_reshape(b, x, shape_of(p->cx, INTS(16779017), 1)), 1,
                    INTS(0)));
}

static void deep(void **state) {
    (void)state;
    compare(write_deep);
}

/* All sets of axes of [3, 5, 2, 7] that the bits of `set` name. */
static void write_axes(Program *p) {
    for (int set = 1; set < 16; set++) {
        int64_t axes[4];
        uint32_t n = 0;
        for (int d = 0; d < 4; d++) {
            if (set >> d & 1) axes[n++] = d;
        }
        for (size_t o = 0; o < LEN(ops); o++) {
            DType dt = (DType)((size_t)set + o) % 2 ? F32 : F64;
            Builder *b = fn_open(p, "%s_%d", op_info[ops[o]].name, set);
            fn_done(p, b,
                    reduced(p, b, ops[o], arg(p, b, "s", dims(p, dt, 4, 3, 5, 2, 7)), n, axes));
        }
    }
}

static void axes(void **state) {
    (void)state;
    compare(write_axes);
}

/* mean and deviation, log-sum-exp without the elementary functions, softmax's shape of kernels */
static void write_fused(Program *p) {
    static const int widths[] = {1, 10, 64, 100, 5000};
    for (size_t k = 0; k < LEN(widths); k++) {
        for (int dt = F32; dt <= BF16; dt++) {
            int n = widths[k];
            Type type = dims(p, (DType)dt, 2, 6, n);
            Builder *b = fn_open(p, "normal_%s_%d", dtype_name((DType)dt), n);
            Val x = arg(p, b, "a", type), scale = arg(p, b, "p", dims(p, (DType)dt, 1, n));
            const Shape *column = shape_of(p->cx, INTS(6, 1), 2);
            Val m = reduced(p, b, Op_reduce_sum, x, 1, INTS(1));
            m = op2(b, Op_div, m, b_float(b, b_type(b, m), n));
            Val d = op2(b, Op_sub, x, b_broadcast(b, b_reshape(b, m, column), type.shape));
            Val v = reduced(p, b, Op_reduce_sum, b_mul(b, d, d), 1, INTS(1));
            v = op1(b, Op_rsqrt, b_add(b, v, b_float(b, b_type(b, v), 1e-3)));
            Val y = b_mul(b, d, b_broadcast(b, b_reshape(b, v, column), type.shape));
            y = b_mul(b, y, b_broadcast(b, scale, type.shape));
            fn_done(p, b, reduced(p, b, Op_reduce_max, op1(b, Op_transpose, y), 1, INTS(0)));
            b = fn_open(p, "column_%s_%d", dtype_name((DType)dt), n);
            x = arg(p, b, "a", type);
            Val w = arg(p, b, "p", dims(p, (DType)dt, 1, n));
            Val g = reduced(p, b, Op_reduce_sum, b_mul(b, x, x), 1, INTS(0));
            fn_done(p, b, op2(b, Op_sub, w, b_mul(b, g, b_float(b, b_type(b, w), 0.1))));
        }
    }
}

static void fused(void **state) {
    (void)state;
    compare(write_fused);
}

/* A reduced axis of one element in front of another: its index is 0, wherever the slice begins. */
static void write_cut(Program *p) {
    static const int64_t hi[] = {3, 5, 7};
    static const int ends[] = {1, 2};
    for (size_t k = 0; k < LEN(ends); k++) {
        Builder *b = fn_open(p, "cut_%d", ends[k]);
        Val x = arg(p, b, "a", dims(p, F32, 3, 3, 5, 7));
        Attr attrs[MaxAttrs] = {attr_ints(p->cx, INTS(2, 0, 0), 3), attr_ints(p->cx, hi, 3),
                                attr_ints(p->cx, INTS(1, 1, 1), 3)};
        x = b_op(b, Op_slice, &x, 1, attrs, NULL);
        fn_done(p, b, reduced(p, b, Op_reduce_sum, x, 2, INTS(0, ends[k])));
    }
}

static void cut(void **state) {
    (void)state;
    compare(write_cut);
}

static void write_large(Program *p) {
    Builder *b = fn_open(p, "rows");
    fn_done(p, b,
            reduced(p, b, Op_reduce_sum, arg(p, b, "a", dims(p, F32, 2, 301, 257)), 1, INTS(1)));
    b = fn_open(p, "columns");
    fn_done(p, b,
            reduced(p, b, Op_reduce_sum, arg(p, b, "a", dims(p, F32, 2, 257, 301)), 1, INTS(0)));
    b = fn_open(p, "inner");
    fn_done(p, b,
            reduced(p, b, Op_reduce_sum, arg(p, b, "a", dims(p, F64, 3, 1, 257, 301)), 1, INTS(1)));
    b = fn_open(p, "middle");
    fn_done(
        p, b,
        reduced(p, b, Op_reduce_prod, arg(p, b, "p", dims(p, F64, 3, 20, 31, 300)), 1, INTS(1)));
    b = fn_open(p, "ends");
    fn_done(
        p, b,
        reduced(p, b, Op_reduce_sum, arg(p, b, "a", dims(p, F32, 3, 31, 40, 65)), 2, INTS(0, 2)));
}

static void large(void **state) {
    (void)state;
    assert_true(compare(write_large) > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lengths), cmocka_unit_test(deep),
                                       cmocka_unit_test(axes),    cmocka_unit_test(fused),
                                       cmocka_unit_test(cut),     cmocka_unit_test(large)};
    return cmocka_run_group_tests_name("codegen, reductions", tests, NULL, NULL);
}
