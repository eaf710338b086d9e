/* The interpreter: what each operation means on a few numbers, by hand. The order of sums is in
 * order_test.c. */
#include "support.h"

#include <math.h>

enum { MaxElements = 64 };

/* The result of the last operation in f, elements as doubles. */
static const double *run(Fixture *f, InterpMode mode, Val v, const Tensor *args) {
    Fn *fn = b_fn(f->b);
    fn->results.len = 0;
    b_result(f->b, v);
    Tensor r;
    interp_run(f->p, fn, mode, f->cx->arena, args, &r, NULL);
    double *out = NEW_ARRAY(f->cx->arena, double, MaxElements);
    for (int64_t i = 0; i < r.type.shape->size; i++) out[i] = r.re ? r.re[i] : (double)r.i[i];
    return out;
}

static Tensor filled(Fixture *f, const char *type, const double *x) {
    Tensor t = tensor_new(f->cx->arena, type_from(f->cx, type), false);
    for (int64_t i = 0; i < t.type.shape->size; i++) {
        if (t.re) t.re[i] = x[i];
        else t.i[i] = (int64_t)x[i];
    }
    return t;
}

static void assert_same(const char *what, const double *got, const double *want, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool same = isnan(want[i]) ? isnan(got[i]) : !memcmp(&got[i], &want[i], sizeof *got);
        if (!same) fail_msg("%s: element %zu is %a, not %a", what, i, got[i], want[i]);
    }
}

#define LIST(...) (const double[]){__VA_ARGS__}

/* ---- elementwise ---- */

typedef struct Row {
    Op op;
    const char *type, *given; /* of the operands; of the result of a cast */
    uint32_t nargs;
    double a, b, c, want;
} Row;

static double apply(const Row *row, InterpMode mode) {
    Fixture f = fixture_open(true);
    double x[] = {row->a, row->b, row->c};
    Val v[3];
    Tensor args[3];
    for (uint32_t i = 0; i < row->nargs; i++) {
        const char *type = row->op == Op_where && !i ? "bool" : row->type;
        v[i] = param(&f, (const char *[]){"a", "b", "c"}[i], type);
        args[i] = filled(&f, type, &x[i]);
    }
    Type given = type_from(f.cx, row->given ? row->given : "f64");
    Val r = b_op(f.b, row->op, v, row->nargs, NULL, row->op == Op_cast ? &given : NULL);
    double y = run(&f, mode, r, args)[0];
    fixture_close(&f);
    return y;
}

static void check_rows(const Row *rows, size_t n, InterpMode mode) {
    for (size_t i = 0; i < n; i++) {
        double got = apply(&rows[i], mode);
        assert_same(op_info[rows[i].op].name, &got, &rows[i].want, 1);
    }
}

static void floats(void **state) {
    (void)state;
    static const Row rows[] = {
        {Op_neg, "f64", NULL, 1, 0.0, 0, 0, -0.0},
        {Op_abs, "f64", NULL, 1, -0.0, 0, 0, 0.0},
        {Op_abs, "f64", NULL, 1, -2.5, 0, 0, 2.5},
        {Op_sign, "f64", NULL, 1, -3, 0, 0, -1},
        {Op_sign, "f64", NULL, 1, 0, 0, 0, 0},
        {Op_sign, "f64", NULL, 1, NAN, 0, 0, NAN},
        {Op_exp, "f64", NULL, 1, 0, 0, 0, 1},
        {Op_expm1, "f64", NULL, 1, 1e-20, 0, 0, 1e-20},
        {Op_log, "f64", NULL, 1, 1, 0, 0, 0},
        {Op_log1p, "f64", NULL, 1, 1e-20, 0, 0, 1e-20},
        {Op_sqrt, "f64", NULL, 1, 2.25, 0, 0, 1.5},
        {Op_rsqrt, "f64", NULL, 1, 0.25, 0, 0, 2},
        {Op_tanh, "f64", NULL, 1, 40, 0, 0, 1},
        {Op_sigmoid, "f64", NULL, 1, 0, 0, 0, 0.5},
        {Op_erf, "f64", NULL, 1, 30, 0, 0, 1},
        {Op_floor, "f64", NULL, 1, -1.5, 0, 0, -2},
        {Op_ceil, "f64", NULL, 1, -1.5, 0, 0, -1},
        {Op_round, "f64", NULL, 1, 2.5, 0, 0, 2},
        {Op_round, "f64", NULL, 1, 3.5, 0, 0, 4},
        {Op_stop_gradient, "f64", NULL, 1, 3, 0, 0, 3},
        {Op_opt_barrier, "f64", NULL, 1, 3, 0, 0, 3},
        {Op_isfinite, "f64", NULL, 1, INFINITY, 0, 0, 0},
        {Op_isnan, "f64", NULL, 1, NAN, 0, 0, 1},
        {Op_add, "f64", NULL, 2, 1, 2, 0, 3},
        {Op_sub, "f64", NULL, 2, 1, 2, 0, -1},
        {Op_mul, "f64", NULL, 2, 1.5, 2, 0, 3},
        {Op_div, "f64", NULL, 2, 1, 0, 0, INFINITY},
        {Op_pow, "f64", NULL, 2, 2, 10, 0, 1024},
        {Op_mod, "f64", NULL, 2, -1, 3, 0, 2},
        {Op_max, "f64", NULL, 2, -0.0, 0.0, 0, 0.0},
        {Op_max, "f64", NULL, 2, 1, NAN, 0, NAN},
        {Op_max, "f64", NULL, 2, NAN, 1, 0, NAN},
        {Op_min, "f64", NULL, 2, 0.0, -0.0, 0, -0.0},
        {Op_min, "f64", NULL, 2, NAN, 1, 0, NAN},
        {Op_eq, "f64", NULL, 2, NAN, NAN, 0, 0},
        {Op_ne, "f64", NULL, 2, NAN, NAN, 0, 1},
        {Op_lt, "f64", NULL, 2, 1, 2, 0, 1},
        {Op_le, "f64", NULL, 2, 2, 2, 0, 1},
        {Op_gt, "f64", NULL, 2, NAN, 2, 0, 0},
        {Op_ge, "f64", NULL, 2, 2, 3, 0, 0},
        {Op_where, "f64", NULL, 3, 1, 5, NAN, 5},
        {Op_where, "f64", NULL, 3, 0, NAN, 7, 7},
    };
    check_rows(rows, LEN(rows), InterpF64);
    check_rows(rows, LEN(rows), InterpRound);
}

static void integers_and_bools(void **state) {
    (void)state;
    static const Row rows[] = {
        {Op_add, "i32", NULL, 2, INT32_MAX, 1, 0, INT32_MIN},
        {Op_sub, "i32", NULL, 2, INT32_MIN, 1, 0, INT32_MAX},
        {Op_mul, "i32", NULL, 2, 65536, 65536, 0, 0},
        {Op_neg, "i32", NULL, 1, INT32_MIN, 0, 0, INT32_MIN},
        {Op_abs, "i32", NULL, 1, -4, 0, 0, 4},
        {Op_sign, "i32", NULL, 1, -4, 0, 0, -1},
        {Op_div, "i32", NULL, 2, -7, 2, 0, -4},
        {Op_div, "i32", NULL, 2, 7, 0, 0, 0},
        {Op_div, "i32", NULL, 2, INT32_MIN, -1, 0, INT32_MIN},
        {Op_mod, "i32", NULL, 2, -7, 2, 0, 1},
        {Op_mod, "i32", NULL, 2, 7, -2, 0, -1},
        {Op_mod, "i32", NULL, 2, 7, 0, 0, 0},
        {Op_max, "i64", NULL, 2, -7, 2, 0, 2},
        {Op_min, "i64", NULL, 2, -7, 2, 0, -7},
        {Op_lt, "i64", NULL, 2, -7, 2, 0, 1},
        {Op_where, "i32", NULL, 3, 1, 5, 6, 5},
        {Op_not, "bool", NULL, 1, 1, 0, 0, 0},
        {Op_and, "bool", NULL, 2, 1, 0, 0, 0},
        {Op_or, "bool", NULL, 2, 1, 0, 0, 1},
        {Op_eq, "bool", NULL, 2, 0, 0, 0, 1},
    };
    check_rows(rows, LEN(rows), InterpF64);
    check_rows(rows, LEN(rows), InterpRound);
    Row fold = {Op_fold, "i64", NULL, 2, 7, 9, 0, (double)(int64_t)rng_fold(7, 9)};
    check_rows(&fold, 1, InterpRound);
}

static void conversions(void **state) {
    (void)state;
    static const Row rows[] = {
        {Op_cast, "f64", "i32", 1, -2.9, 0, 0, -2},
        {Op_cast, "f64", "i32", 1, 1e10, 0, 0, INT32_MAX},
        {Op_cast, "f64", "i32", 1, -INFINITY, 0, 0, INT32_MIN},
        {Op_cast, "f64", "i64", 1, 1e30, 0, 0, (double)INT64_MAX},
        {Op_cast, "f64", "i32", 1, NAN, 0, 0, 0},
        {Op_cast, "f64", "i32<10>", 1, 11.5, 0, 0, 9},
        {Op_cast, "f64", "i32<10>", 1, -1, 0, 0, 0},
        {Op_cast, "i64", "i32<10>", 1, 0x1p32 + 3, 0, 0, 9},
        {Op_cast, "i64", "i32", 1, 0x1p32 + 3, 0, 0, 3},
        {Op_cast, "i32", "f64", 1, -5, 0, 0, -5},
        {Op_cast, "bool", "f32", 1, 1, 0, 0, 1},
        {Op_cast, "f64", "bool", 1, -0.0, 0, 0, 0},
        {Op_cast, "f64", "bool", 1, NAN, 0, 0, 1},
        {Op_cast, "bool", "i32", 1, 1, 0, 0, 1},
    };
    check_rows(rows, LEN(rows), InterpF64);
    check_rows(rows, LEN(rows), InterpRound);
    /* above the middle of two f32 by less than a double resolves at that size */
    Fixture f = fixture_open(true);
    Tensor x = tensor_new(f.cx->arena, type_from(f.cx, "i64"), false);
    x.i[0] = (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1;
    Val v = op_given(&f, Op_cast, "f32", param(&f, "x", "i64"));
    assert_same("i64 to f32", run(&f, InterpRound, v, &x), LIST(0x1.000002p60), 1);
    fixture_close(&f);
}

static void rounding_by_type(void **state) {
    (void)state;
    volatile float third = 1.0f / 3, root = sqrtf(third), q = third / 0.1f, part = floorf(q) * 0.1f;
    const Row rows[] = {
        {Op_div, "f32", NULL, 2, 1, 3, 0, (double)third},
        {Op_sqrt, "f32", NULL, 1, (double)third, 0, 0, (double)root},
        {Op_rsqrt, "f32", NULL, 1, (double)third, 0, 0, (double)(1 / root)},
        {Op_mod, "f32", NULL, 2, (double)third, (double)0.1f, 0, (double)(third - part)},
        {Op_mul, "f32", NULL, 2, 1e30f, 1e30f, 0, INFINITY},
        {Op_mul, "f32", NULL, 2, 0x1p-100, 0x1p-45, 0, 0x1p-145},
        {Op_cast, "f64", "f32", 1, 0.1, 0, 0, (double)0.1f},
        {Op_add, "bf16", NULL, 2, 256, 1, 0, 256},
        {Op_add, "bf16", NULL, 2, 256, 3, 0, 260},
        {Op_cast, "f64", "bf16", 1, 1 + 0x1p-8, 0, 0, 1},
        {Op_cast, "f64", "bf16", 1, 1 + 0x1.8p-7, 0, 0, 1 + 0x1p-6},
    };
    check_rows(rows, LEN(rows), InterpRound);
    Row unrounded = {Op_div, "f32", NULL, 2, 1, 3, 0, 1.0 / 3};
    check_rows(&unrounded, 1, InterpF64);
}

/* ---- views ---- */

/* One operand x = 0, 1, 2, ... of `type`; `attrs` holds lists of integers. */
static void check_view(Op what, const char *type, const char *const *attrs, uint32_t n,
                       const double *want, size_t nwant) {
    Fixture f = fixture_open(true);
    double ramp[MaxElements];
    for (int i = 0; i < MaxElements; i++) ramp[i] = i;
    Tensor args[] = {filled(&f, type, ramp), filled(&f, "f64", LIST(-1))};
    Val v[] = {param(&f, "x", type), param(&f, "value", "f64")};
    Attr a[MaxAttrs] = {0};
    for (uint32_t i = 0; i < n; i++) a[i] = ints_from(f.cx, attrs[i]);
    Val r = b_op(f.b, what, v, what == Op_pad ? 2 : 1, a, NULL);
    assert_int_equal(b_type(f.b, r).shape->size, nwant);
    assert_same(op_info[what].name, run(&f, InterpF64, r, args), want, nwant);
    fixture_close(&f);
}

#define VIEW(op, type, attrs, ...)                                                                 \
    check_view(op, type, (const char *[])ATTRS_##attrs, LEN(((const char *[])ATTRS_##attrs)),      \
               LIST(__VA_ARGS__), LEN(LIST(__VA_ARGS__)))
#define ATTRS_rows {"2 3"}
#define ATTRS_swap {"1 0"}
#define ATTRS_turn {"2 0 1"}
#define ATTRS_second {"1"}
#define ATTRS_both {"0 1"}
#define ATTRS_inner {"0 1", "2 3", "1 1"}
#define ATTRS_odd {"1", "6", "2"}
#define ATTRS_around {"1", "2", "0"}
#define ATTRS_apart {"0", "1", "2"}
#define ATTRS_cut {"-1", "-1", "1"}

static void views(void **state) {
    (void)state;
    VIEW(Op_broadcast, "f64[3]", rows, 0, 1, 2, 0, 1, 2);
    VIEW(Op_broadcast, "f64[2,1]", rows, 0, 0, 0, 1, 1, 1);
    VIEW(Op_broadcast, "f64", rows, 0, 0, 0, 0, 0, 0);
    VIEW(Op_reshape, "f64[3,2]", rows, 0, 1, 2, 3, 4, 5);
    VIEW(Op_transpose, "f64[2,3]", swap, 0, 3, 1, 4, 2, 5);
    VIEW(Op_transpose, "f64[2,1,3]", turn, 0, 3, 1, 4, 2, 5);
    VIEW(Op_slice, "f64[2,4]", inner, 1, 2, 5, 6);
    VIEW(Op_slice, "f64[7]", odd, 1, 3, 5);
    VIEW(Op_flip, "f64[2,3]", second, 2, 1, 0, 5, 4, 3);
    VIEW(Op_flip, "f64[2,3]", both, 5, 4, 3, 2, 1, 0);
    VIEW(Op_pad, "f64[2]", around, -1, 0, 1, -1, -1);
    VIEW(Op_pad, "f64[2]", apart, 0, -1, -1, 1, -1);
    VIEW(Op_pad, "f64[3]", cut, -1, 1, -1);
}

/* ---- movement along an axis ---- */

typedef struct Operand {
    const char *type;
    const double *x;
} Operand;

static void check_move(Op what, const Operand *x, uint32_t n, Attr axis, Attr second,
                       const double *want, size_t nwant) {
    Fixture f = fixture_open(true);
    Val v[3];
    Tensor args[3];
    for (uint32_t i = 0; i < n; i++) {
        v[i] = param(&f, (const char *[]){"a", "b", "c"}[i], x[i].type);
        args[i] = filled(&f, x[i].type, x[i].x);
    }
    Val r = b_op(f.b, what, v, n, (Attr[MaxAttrs]){axis, second}, NULL);
    assert_int_equal(b_type(f.b, r).shape->size, nwant);
    assert_same(op_info[what].name, run(&f, InterpRound, r, args), want, nwant);
    fixture_close(&f);
}

#define MOVE(op, second, axis, n, operands, ...)                                                   \
    check_move(op, (const Operand[])OPERANDS_##operands, n, attr_int(axis), second,                \
               LIST(__VA_ARGS__), LEN(LIST(__VA_ARGS__)))
#define OPERANDS_pair {{"f64[2,1]", LIST(1, 2)}, {"f64[2,2]", LIST(3, 4, 5, 6)}}
#define OPERANDS_ties {{"f64[2,4]", LIST(1, 3, 3, 0, 2, NAN, 5, NAN)}}
#define OPERANDS_whole {{"i32[4]", LIST(2, -1, -1, 5)}}
#define OPERANDS_table {{"f64[3,2]", LIST(0, 1, 2, 3, 4, 5)}, {"i32<3>[4]", LIST(2, 0, 2, 1)}}
#define OPERANDS_columns {{"f64[2,3]", LIST(0, 1, 2, 3, 4, 5)}, {"i32<3>[2]", LIST(2, 0)}}
#define OPERANDS_scatter                                                                           \
    {{"f64[3]", LIST(10, 20, 30)}, {"i32<3>[4]", LIST(1, 1, 0, 1)}, {"f64[4]", LIST(1, 2, 3, 4)}}
#define OPERANDS_order /* 1 is lost beside 2^24, unless it comes last */                           \
    {{"f32[1]", LIST(1)}, {"i32<1>[3]", LIST(0, 0, 0)}, {"f32[3]", LIST(0x1p24, -0x1p24, 1)}}
#define OPERANDS_running {{"f64[2,3]", LIST(1, 2, 3, 4, 5, 6)}}
#define OPERANDS_half {{"bf16[3]", LIST(256, 1, 1)}}

static void moves(void **state) {
    (void)state;
    Attr none = {0};
    MOVE(Op_concat, none, 1, 2, pair, 1, 3, 4, 2, 5, 6);
    MOVE(Op_argmax, none, 1, 1, ties, 1, 1);
    MOVE(Op_argmin, none, 1, 1, ties, 3, 1);
    MOVE(Op_argmin, none, 0, 1, whole, 1);
    MOVE(Op_gather, none, 0, 2, table, 4, 5, 0, 1, 4, 5, 2, 3);
    MOVE(Op_gather, none, 1, 2, columns, 2, 0, 5, 3);
    MOVE(Op_scatter_add, none, 0, 3, scatter, 13, 27, 30);
    MOVE(Op_scatter_add, none, 0, 3, order, 1);
    MOVE(Op_cumsum, attr_bool(false), 1, 1, running, 1, 3, 6, 4, 9, 15);
    MOVE(Op_cumsum, attr_bool(true), 1, 1, running, 6, 5, 3, 15, 11, 6);
    MOVE(Op_cumsum, attr_bool(false), 0, 1, running, 1, 2, 3, 5, 7, 9);
    MOVE(Op_cumsum, attr_bool(false), 0, 1, half, 256, 256, 258);
}

/* ---- sources ---- */

static void sources(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    Tensor key = filled(&f, "i64", LIST(42));
    Val k = param(&f, "key", "i64");
    Attr stream = attr_int(3);
    for (int i = 0; i < 3; i++) {
        Type t = type_from(f.cx, (const char *[]){"f32[5]", "f64[5]", "bf16[5]"}[i]);
        const double *u = run(&f, InterpF64, b_op(f.b, Op_rng, &k, 1, &stream, &t), &key);
        for (uint64_t e = 0; e < 5; e++) {
            uint64_t bits = rng_bits(rng_fold(42, 3), e);
            double want = t.dt == F64 ? rng_f64(bits) : (double)rng_f32(bits);
            if (t.dt == BF16) want = (double)round_bf16(rng_f32(bits));
            assert_same("rng", &u[e], &want, 1);
        }
    }
    Attr n = attr_int(4);
    assert_same("iota", run(&f, InterpF64, b_op(f.b, Op_iota, NULL, 0, &n, NULL), &key),
                LIST(0, 1, 2, 3), 4);
    Num list[] = {{.f = 1}, {.f = -2}};
    assert_same("const", run(&f, InterpF64, b_const(f.b, type_from(f.cx, "f32[2]"), list, 2), &key),
                LIST(1, -2), 2);
    assert_same("splat", run(&f, InterpF64, num(&f, "f32[2]", 3), &key), LIST(3, 3), 2);
    fixture_close(&f);
}

/* ---- calls ---- */

static void calls(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    Val x = param(&f, "x", "f64"), y = param(&f, "y", "f64");
    b_result(f.b, op(&f, Op_add, 2, x, y));
    b_result(f.b, op(&f, Op_sub, 2, x, y));
    Fn *both = builder_done(f.b);
    program_add(f.p, both);
    f.b = builder_new(f.p, sym(f.cx, "g"), true);
    Val a = param(&f, "a", "f64"), r[2], s[2];
    b_call(f.b, both, (Val[]){a, num(&f, "f64", 2)}, 2, r);
    b_call(f.b, both, r, 2, s);
    b_result(f.b, s[0]);
    b_result(f.b, s[1]);
    Fn *g = builder_done(f.b);
    Tensor arg = filled(&f, "f64", LIST(5)), out[2];
    Tensor **values = NEW_ARRAY(f.cx->arena, Tensor *, g->ins.len);
    interp_run(f.p, g, InterpF64, f.cx->arena, &arg, out, values);
    assert_same("call", LIST(out[0].re[0], out[1].re[0]), LIST(10, 4), 2);
    assert_same("values", LIST(values[r[0]]->re[0], values[r[1]]->re[0]), LIST(7, 3), 2);
    fixture_close(&f);
}

/* ---- complex mode ---- */

static void comparisons_see_real_parts(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    Val x = param(&f, "x", "f64"), y = param(&f, "y", "f64");
    Tensor args[] = {filled(&f, "f64", LIST(-2)), filled(&f, "f64", LIST(1))};
    args[0].im = NEW(f.cx->arena, double);
    args[0].im[0] = 3;
    Val all[] = {op(&f, Op_max, 2, x, y), op(&f, Op_min, 2, x, y), op(&f, Op_abs, 1, x),
                 op(&f, Op_mul, 2, x, x), op(&f, Op_stop_gradient, 1, x)};
    const double want[][2] = {{1, 0}, {-2, 3}, {2, -3}, {-5, -12}, {-2, 0}};
    for (size_t i = 0; i < LEN(all); i++) {
        Fn *fn = b_fn(f.b);
        fn->results.len = 0;
        b_result(f.b, all[i]);
        Tensor r;
        interp_run(f.p, fn, InterpComplex, f.cx->arena, args, &r, NULL);
        assert_same("complex", LIST(r.re[0], r.im[0]), want[i], 2);
    }
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats),      cmocka_unit_test(integers_and_bools),
        cmocka_unit_test(conversions), cmocka_unit_test(rounding_by_type),
        cmocka_unit_test(views),       cmocka_unit_test(moves),
        cmocka_unit_test(sources),     cmocka_unit_test(calls),
        cmocka_unit_test(comparisons_see_real_parts),
    };
    return cmocka_run_group_tests_name("interp", tests, NULL, NULL);
}
