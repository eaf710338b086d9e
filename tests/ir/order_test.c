/* The order of sums: the interpreter against docs/numerics.md written out in plain float and double
 * arithmetic, at sizes around lanes and blocks. */
#include "support.h"

#include <math.h>
#include <stdlib.h>

enum { Block = 4096 };

/* ---- the page, written out ---- */
typedef struct Sums {
    DType dt;
    double (*step)(DType dt, double acc, double x, double y); /* y is used by products */
    double start;
} Sums;

static double rounded(DType dt, double x) { return dt == F64 ? x : (double)(float)x; }
static double add(DType dt, double acc, double x, double y) {
    (void)y;
    return rounded(dt, acc + x);
}
static double times(DType dt, double acc, double x, double y) {
    (void)y;
    return rounded(dt, acc * x);
}
static double larger(DType dt, double acc, double x, double y) {
    (void)dt, (void)y;
    return isnan(acc) || isnan(x) ? NAN : x > acc ? x : acc;
}
static double fused(DType dt, double acc, double x, double y) {
    if (isnan(x)) return acc; /* stands for padding */
    return dt == F64 ? fma(x, y, acc) : (double)fmaf((float)x, (float)y, (float)acc);
}

static double block_by_lanes(const Sums *s, const double *x, const double *y, int64_t n) {
    int lanes = s->dt == F64 ? 32 : 64;
    double lane[64];
    for (int l = 0; l < lanes; l++) {
        lane[l] = s->start;
        for (int64_t i = l; i < n; i += lanes) {
            lane[l] = s->step(s->dt, lane[l], x[i], y ? y[i] : 0);
        }
    }
    double (*join)(DType, double, double, double) = s->step == fused ? add : s->step;
    while (lanes > 1) {
        lanes /= 2;
        for (int l = 0; l < lanes; l++) lane[l] = join(s->dt, lane[l], lane[l + lanes], 0);
    }
    return lane[0];
}

static double by_lanes(const Sums *s, const double *x, const double *y, int64_t n) {
    if (n <= Block) return block_by_lanes(s, x, y, n);
    int64_t blocks = (n + Block - 1) / Block;
    double *sums = calloc((size_t)blocks, sizeof *sums);
    for (int64_t b = 0; b < blocks; b++) {
        int64_t at = b * Block, len = n - at < Block ? n - at : Block;
        sums[b] = block_by_lanes(s, x + at, y ? y + at : NULL, len);
    }
    Sums rest = {s->dt, s->step == fused ? add : s->step, s->start};
    double r = by_lanes(&rest, sums, NULL, blocks);
    free(sums);
    return r;
}

static double by_chains(const Sums *s, const double *x, const double *y, int64_t n) {
    double total = s->start;
    double (*join)(DType, double, double, double) = s->step == fused ? add : s->step;
    for (int64_t at = 0; at < n; at += Block) {
        double acc = s->start;
        for (int64_t i = at; i < n && i < at + Block; i++) {
            acc = s->step(s->dt, acc, x[i], y ? y[i] : 0);
        }
        total = n <= Block ? acc : join(s->dt, total, acc, 0);
    }
    return total;
}

/* ---- tensors ---- */

static double *numbers(DType dt, int64_t n, uint64_t key) {
    double *x = calloc((size_t)n + 1, sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = rounded(dt, rng_f64(rng_bits(key, (uint64_t)i)) * 2 - 0.9);
        if (dt == BF16) x[i] = (double)round_bf16((float)x[i]);
    }
    return x;
}

static Tensor tensor_with(Fixture *f, Type type, const double *x) {
    Tensor t = tensor_new(f->cx->arena, type, false);
    memcpy(t.re, x, (size_t)type.shape->size * sizeof *x);
    return t;
}

static Type shaped(Fixture *f, DType dt, const int64_t *dim, uint32_t rank) {
    return type_of(dt, shape_of(f->cx, dim, rank));
}

static Tensor run(Fixture *f, Val v, const Tensor *args) {
    Tensor r;
    b_result(f->b, v);
    interp_run(f->p, b_fn(f->b), InterpRound, f->cx->arena, args, &r, NULL);
    return r;
}

static double result_of(DType dt, double x) {
    return dt == BF16 ? (double)round_bf16((float)x) : x;
}

static void assert_bits(double got, double want, const char *what, long long n) {
    if (memcmp(&got, &want, sizeof got)) fail_msg("%s of %lld: %a, not %a", what, n, got, want);
}

static const int64_t lengths[] = {0,    1,    2,    3,    31,   32,   33,   63,   64,  65,
                                  127,  129,  1000, 4095, 4096, 4097, 4160, 8192, 8193, 12345};

static const struct Kind {
    Op op;
    double (*step)(DType, double, double, double);
    double start;
} kinds[] = {
    {Op_reduce_sum, add, 0}, {Op_reduce_prod, times, 1}, {Op_reduce_max, larger, -INFINITY}};

static void check_reduction(DType dt, const struct Kind *kind, int64_t n) {
    Fixture f = fixture_open(true);
    double *x = numbers(dt, n * 2, 5);
    Sums s = {dt == BF16 ? F32 : dt, kind->step, kind->start};
    Type rows = shaped(&f, dt, (int64_t[]){2, n}, 2);
    Val p = b_param(f.b, sym(f.cx, "x"), rows);
    Tensor arg = tensor_with(&f, rows, x);
    Tensor r = run(&f, op_attr(&f, kind->op, ints_from(f.cx, "1"), p), &arg);
    for (int i = 0; i < 2; i++) {
        assert_bits(r.re[i], result_of(dt, by_lanes(&s, x + i * n, NULL, n)), "lanes", n);
    }
    fixture_close(&f);
    /* the same numbers as columns */
    f = fixture_open(true);
    Type columns = shaped(&f, dt, (int64_t[]){n, 2}, 2);
    arg = tensor_new(f.cx->arena, columns, false);
    for (int64_t i = 0; i < 2 * n; i++) arg.re[i % n * 2 + i / n] = x[i];
    p = b_param(f.b, sym(f.cx, "x"), columns);
    r = run(&f, op_attr(&f, kind->op, ints_from(f.cx, "0"), p), &arg);
    for (int i = 0; i < 2; i++) {
        assert_bits(r.re[i], result_of(dt, by_chains(&s, x + i * n, NULL, n)), "chain", n);
    }
    fixture_close(&f);
    free(x);
}

static void reductions(void **state) {
    (void)state;
    for (size_t l = 0; l < LEN(lengths); l++) {
        for (int dt = F32; dt <= BF16; dt++) {
            for (size_t k = 0; k < LEN(kinds); k++) {
                check_reduction((DType)dt, &kinds[k], lengths[l]);
            }
        }
    }
}

/* Blocks of blocks. */
static void long_sum(void **state) {
    (void)state;
    int64_t n = (int64_t)Block * Block + 4097;
    Fixture f = fixture_open(true);
    double *x = numbers(F32, n, 6);
    Sums s = {F32, add, 0};
    Type t = shaped(&f, F32, &n, 1);
    Val p = b_param(f.b, sym(f.cx, "x"), t);
    Tensor arg = tensor_with(&f, t, x);
    Tensor r = run(&f, op_attr(&f, Op_reduce_sum, ints_from(f.cx, "0"), p), &arg);
    assert_bits(r.re[0], by_lanes(&s, x, NULL, n), "lanes", n);
    fixture_close(&f);
    free(x);
}

/* Row-major over the reduced axes, neighbours or not; lanes if the last is among them. */
static void several_axes(void **state) {
    (void)state;
    static const struct {
        const char *axes;
        bool reduced[3], lanes;
    } cases[] = {{"0 2", {1, 0, 1}, true},
                 {"0 1", {1, 1, 0}, false},
                 {"1 2", {0, 1, 1}, true},
                 {"0 1 2", {1, 1, 1}, true},
                 {"1", {0, 1, 0}, false}};
    static const int64_t dim[] = {17, 19, 23};
    int64_t size = 17 * 19 * 23;
    double *x = numbers(F32, size, 7), *terms = calloc((size_t)size, sizeof *terms);
    for (size_t c = 0; c < LEN(cases); c++) {
        Fixture f = fixture_open(true);
        Type t = shaped(&f, F32, dim, 3);
        Val p = b_param(f.b, sym(f.cx, "x"), t);
        Tensor arg = tensor_with(&f, t, x);
        Tensor r = run(&f, op_attr(&f, Op_reduce_sum, ints_from(f.cx, cases[c].axes), p), &arg);
        for (int64_t o = 0; o < r.type.shape->size; o++) {
            int64_t n = 0;
            for (int64_t e = 0; e < size; e++) {
                int64_t at[] = {e / (19 * 23), e / 23 % 19, e % 23}, out = 0;
                for (int d = 0; d < 3; d++) out = cases[c].reduced[d] ? out : out * dim[d] + at[d];
                if (out == o) terms[n++] = x[e];
            }
            Sums s = {F32, add, 0};
            double want = (cases[c].lanes ? by_lanes : by_chains)(&s, terms, NULL, n);
            assert_bits(r.re[o], want, cases[c].axes, n);
        }
        fixture_close(&f);
    }
    free(x), free(terms);
}

/* Elements are numbered in the operand as the program sees it, not as it is stored. */
static void order_is_of_the_logical_operand(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    double *x = numbers(F32, 6000, 8), *turned = calloc(6000, sizeof *turned);
    for (int i = 0; i < 6000; i++) turned[i % 60 * 100 + i / 60] = x[i];
    Type t = shaped(&f, F32, (int64_t[]){100, 60}, 2);
    Val p = b_param(f.b, sym(f.cx, "x"), t), y = op(&f, Op_transpose, 1, p);
    Tensor arg = tensor_with(&f, t, x);
    Tensor r = run(&f, op_attr(&f, Op_reduce_sum, ints_from(f.cx, "0 1"), y), &arg);
    Sums s = {F32, add, 0};
    assert_bits(r.re[0], by_lanes(&s, turned, NULL, 6000), "transposed", 6000);
    fixture_close(&f);
    free(x), free(turned);
}

/* (x0 + x2) + (x1 + x3): by hand, with numbers on which every other order differs. */
static void four_numbers(void **state) {
    (void)state;
    static const double x[] = {0x1p24, 1, -0x1p24, 0x1p-30};
    Fixture f = fixture_open(true);
    Type t = shaped(&f, F32, (int64_t[]){4}, 1);
    Val p = b_param(f.b, sym(f.cx, "x"), t);
    Tensor arg = tensor_with(&f, t, x);
    Tensor r = run(&f, op_attr(&f, Op_reduce_sum, ints_from(f.cx, "0"), p), &arg);
    assert_bits(r.re[0], 1, "four", 4);
    fixture_close(&f);
}

static void check_matmul(DType dt, int64_t m, int64_t n, int64_t k) {
    Fixture f = fixture_open(true);
    int64_t batch = 2;
    double *a = numbers(dt, batch * m * k, 9), *b = numbers(dt, batch * k * n, 10);
    double *col = calloc((size_t)k + 1, sizeof *col);
    Type ta = shaped(&f, dt, (int64_t[]){batch, m, k}, 3);
    Type tb = shaped(&f, dt, (int64_t[]){batch, k, n}, 3);
    Val v[] = {b_param(f.b, sym(f.cx, "a"), ta), b_param(f.b, sym(f.cx, "b"), tb)};
    Tensor args[] = {tensor_with(&f, ta, a), tensor_with(&f, tb, b)};
    Tensor r = run(&f, op(&f, Op_matmul, 2, v[0], v[1]), args);
    Sums s = {dt == BF16 ? F32 : dt, fused, 0};
    for (int64_t o = 0; o < batch * m * n; o++) {
        int64_t z = o / (m * n), i = o / n % m, j = o % n;
        for (int64_t l = 0; l < k; l++) col[l] = b[(z * k + l) * n + j];
        double want = (m == 1 || n == 1 ? by_lanes : by_chains)(&s, a + (z * m + i) * k, col, k);
        assert_bits(r.re[o], result_of(dt, want), "matmul", k);
    }
    fixture_close(&f);
    free(a), free(b), free(col);
}

static void contractions(void **state) {
    (void)state;
    static const int64_t inner[] = {0, 1, 2, 63, 64, 65, 130, 4095, 4096, 4097, 8195};
    static const int64_t outer[][2] = {{1, 1}, {1, 3}, {3, 1}, {2, 3}};
    for (size_t k = 0; k < LEN(inner); k++) {
        for (size_t s = 0; s < LEN(outer); s++) {
            for (int dt = F32; dt <= BF16; dt++) {
                check_matmul((DType)dt, outer[s][0], outer[s][1], inner[k]);
            }
        }
    }
}

/* Taps place by place, the channels of each; padding counts in blocks but is not multiplied. */
static void check_conv(DType dt, int64_t channels, int64_t places, double size) {
    Fixture f = fixture_open(true);
    int64_t filters = 2, length = places + 2, n = channels * places, pad = 1;
    double *x = numbers(dt, channels * length, 11), *w = numbers(dt, filters * n, 12);
    double *row = calloc((size_t)n + 1, sizeof *row), *col = calloc((size_t)n + 1, sizeof *col);
    for (int64_t i = 0; i < channels * length; i++) x[i] *= size;
    for (int64_t i = 0; i < filters * n; i++) w[i] *= size;
    if (size == 1) w[0] = INFINITY;
    Type tx = shaped(&f, dt, (int64_t[]){1, channels, length}, 3);
    Type tw = shaped(&f, dt, (int64_t[]){filters, channels, places}, 3);
    Val v[] = {b_param(f.b, sym(f.cx, "x"), tx), b_param(f.b, sym(f.cx, "w"), tw)};
    Tensor args[] = {tensor_with(&f, tx, x), tensor_with(&f, tw, w)};
    Attr attrs[MaxAttrs] = {{0}};
    attrs[1] = attr_ints(f.cx, &pad, 1);
    Tensor r = run(&f, b_op(f.b, Op_conv, v, 2, attrs, NULL), args);
    Sums s = {dt == BF16 ? F32 : dt, fused, 0};
    for (int64_t o = 0; o < filters * 4; o++) {
        for (int64_t t = 0; t < n; t++) {
            int64_t k = t / channels, i = t % channels, at = o % 4 + k - pad;
            row[t] = at < 0 || at >= length ? NAN : x[i * length + at];
            col[t] = w[(o / 4 * channels + i) * places + k];
        }
        assert_bits(r.re[o], result_of(dt, by_chains(&s, row, col, n)), "conv", n);
    }
    fixture_close(&f);
    free(x), free(w), free(row), free(col);
}

static void convolutions(void **state) {
    (void)state;
    for (int dt = F32; dt <= BF16; dt++) {
        double tiny = dt == F64 ? 0x1p-600 : 0x1p-80; /* products become 0 or -0 */
        check_conv((DType)dt, 1, 1, 1);
        check_conv((DType)dt, 3, 5, 1);
        check_conv((DType)dt, 3, 5, tiny);
        check_conv((DType)dt, 1100, 4, 1);
        check_conv((DType)dt, 1100, 4, tiny);
    }
}

static void integers_reduce(void **state) {
    (void)state;
    static const struct {
        Op op;
        int64_t want, empty;
    } cases[] = {{Op_reduce_sum, INT32_MIN + 4, 0},
                 {Op_reduce_prod, (int32_t)(INT64_C(5) * INT32_MAX), 1},
                 {Op_reduce_max, INT32_MAX, INT32_MIN},
                 {Op_reduce_min, 1, INT32_MAX}};
    for (size_t c = 0; c < LEN(cases); c++) {
        Fixture f = fixture_open(true);
        Val x = param(&f, "x", "i32[3]"), none = param(&f, "none", "i32[0]");
        Tensor args[] = {tensor_new(f.cx->arena, b_type(f.b, x), false),
                         tensor_new(f.cx->arena, b_type(f.b, none), false)};
        memcpy(args[0].i, (int64_t[]){INT32_MAX, 1, 5}, 3 * sizeof(int64_t));
        if (cases[c].op == Op_reduce_sum) args[0].i[2] = 4;
        Tensor r[2];
        b_result(f.b, op_attr(&f, cases[c].op, ints_from(f.cx, "0"), x));
        b_result(f.b, op_attr(&f, cases[c].op, ints_from(f.cx, "0"), none));
        interp_run(f.p, b_fn(f.b), InterpRound, f.cx->arena, args, r, NULL);
        assert_int_equal(r[0].i[0], cases[c].want);
        assert_int_equal(r[1].i[0], cases[c].empty);
        fixture_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_numbers),
        cmocka_unit_test(reductions),
        cmocka_unit_test(long_sum),
        cmocka_unit_test(several_axes),
        cmocka_unit_test(order_is_of_the_logical_operand),
        cmocka_unit_test(contractions),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(integers_reduce),
    };
    return cmocka_run_group_tests_name("order of sums", tests, NULL, NULL);
}
