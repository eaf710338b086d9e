/* Long scans that save less: the bits of the plain form whatever the number of levels, for bodies
 * that read x[t], x[n - t], x[idx[t]] and draw random numbers, for lengths that no power fits. */
#include "tests/passes/kernels.h"

enum { Width = 3 };

static Val row(T *t, Val x, Val i) {
    Attr axis = attr_int(0);
    return b_op(t->b, Op_gather, (Val[]){x, i}, 2, &axis, NULL);
}

/* (h, count; a, i, back, at; x, w, key) -> (h, count; a value, an index, a value): two carries and
 * three results for each step, one an integer. */
static void make_body(T *t, int64_t n) {
    Type v = t_type(t, 1, Width), index = {I32, n, shape_scalar(t->cx)};
    Type all = t_type(t, 2, (int)n, Width), number = type_of(I64, shape_scalar(t->cx));
    t_fn(t, "body");
    Val h = t_param(t, "h", v), count = t_param(t, "count", number), a = t_param(t, "a", v);
    Val i = t_param(t, "i", index), back = t_param(t, "back", index), at = t_param(t, "at", index);
    Val x = t_param(t, "x", all), w = t_param(t, "w", v), key = t_param(t, "key", number);
    Val step = b_op(t->b, Op_cast, &i, 1, NULL, &number), k = t_op2(t, Op_fold, key, step);
    Attr none = attr_int(0);
    Val drawn = b_op(t->b, Op_rng, &k, 1, &none, &v);
    Val kept = t_op2(t, Op_lt, drawn, t_num(t, v, 0.7));
    Val sum = t_op2(t, Op_add, row(t, x, i), t_op2(t, Op_mul, row(t, x, back), row(t, x, at)));
    sum = t_op2(t, Op_add, t_op2(t, Op_mul, h, w), t_op2(t, Op_mul, sum, a));
    Val next = t_where(t, kept, t_op(t, Op_tanh, sum), h);
    Val one = b_int(t->b, number, 1);
    t_end(t, next, t_op2(t, Op_add, count, one), t_op2(t, Op_mul, next, a), at,
          t_op2(t, Op_sub, next, a), NoVal);
}

static Fn *make_loop(T *t, int64_t n, bool reverse) {
    make_body(t, n);
    Type v = t_type(t, 1, Width), all = t_type(t, 2, (int)n, Width);
    Type number = type_of(I64, shape_scalar(t->cx)), index = {I32, n, shape_of(t->cx, &n, 1)};
    t_fn(t, "f");
    Val h = t_param(t, "h", v), a = t_param(t, "a", all), x = t_param(t, "x", all);
    Val w = t_param(t, "w", v), key = t_param(t, "key", number);
    Num *ids = NEW_ARRAY(t->cx->arena, Num, (uint64_t)n);
    for (int64_t k = 0; k < n; k++) ids[k].i = (7 * k + 3) % n;
    Attr length = attr_int(n), axis = attr_ints(t->cx, (int64_t[]){0}, 1);
    Val i = b_op(t->b, Op_iota, NULL, 0, &length, NULL);
    Val args[] = {h, b_int(t->b, number, 0), a, i, b_op(t->b, Op_flip, &i, 1, &axis, NULL),
                  b_const(t->b, index, ids, (uint64_t)n), x, w, key};
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(2), attr_int(4), attr_int(0),
                    attr_int(n), attr_bool(reverse)};
    Type types[] = {v, number, all, index, all};
    Val out[5];
    b_multi(t->b, Op_scan, args, LEN(args), attrs, types, 5, out);
    Val y = t_op2(t, Op_add, t_sum(t, out[0]), t_sum(t, t_op2(t, Op_mul, out[2], out[4])));
    return t_end(t, y, NoVal);
}

static Tensor *gradient(int64_t n, bool reverse, uint32_t levels, T **keep) {
    T *t = *keep = t_new();
    Fn *f = make_loop(t, n, reverse);
    t->p->memory.levels = levels;
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1, 2, 3}, 4);
    assert_non_null(d);
    verify_program(t->p);
    verify_fn(t->p, d);
    return t_run(t, d, t_args(t, d, 17));
}

static void test_bits(void **state) {
    (void)state;
    static const int64_t lengths[] = {4, 5, 7, 8, 15, 16, 17, 37, 64, 100};
    for (size_t k = 0; k < LEN(lengths); k++) {
        for (int reverse = 0; reverse < 2; reverse++) {
            T *plain, *t;
            Tensor *want = gradient(lengths[k], reverse, 1, &plain);
            for (uint32_t levels = 2; levels <= 7; levels++) {
                Tensor *got = gradient(lengths[k], reverse, levels, &t);
                for (uint32_t r = 0; r < 5; r++) {
                    for (int64_t e = 0; e < want[r].type.shape->size; e++) {
                        assert_true(got[r].re[e] == want[r].re[e]);
                    }
                }
                t_free(t);
            }
            t_free(plain);
        }
    }
}

static int64_t first_scan(const Fn *fn) {
    for (Val v = 0; v < fn->ins.len; v++) {
        if (fn->ins.data[v].op == Op_scan) return fn->ins.data[v].attrs[4].i;
    }
    return 0;
}

/* How many segments the first loop runs: of the smallest base whose power reaches the length. */
static void test_segments(void **state) {
    (void)state;
    static const struct {
        int64_t length;
        uint32_t levels;
        int64_t segments;
    } rows[] = {{9, 0, 9},  {9, 1, 9},  {3, 2, 3},  {4, 2, 2},  {5, 2, 1},  {9, 2, 3},
                {10, 2, 2}, {16, 2, 4}, {16, 4, 2}, {17, 4, 1}, {27, 3, 3}, {28, 3, 1},
                {10, 3, 1}};
    for (size_t k = 0; k < LEN(rows); k++) {
        T *t = t_new();
        Fn *f = make_loop(t, rows[k].length, false);
        t->p->memory.levels = rows[k].levels;
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
        assert_int_equal(first_scan(d), rows[k].segments);
        t_free(t);
    }
}

/* h = tanh(h * w) so often, differentiated and planned. */
static uint64_t bytes_of(int64_t steps, uint64_t memory) {
    T *t = t_new();
    Type v = t_type(t, 1, 64);
    t_fn(t, "body");
    Val h = t_param(t, "h", v), w = t_param(t, "w", v);
    t_end(t, t_op(t, Op_tanh, t_op2(t, Op_mul, h, w)), NoVal);
    t_fn(t, "f");
    Val args[] = {t_param(t, "h", v), t_param(t, "w", v)};
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(0), attr_int(0),
                    attr_int(steps), attr_bool(false)};
    Val y = b_op(t->b, Op_scan, args, 2, attrs, &v);
    Fn *f = t_end(t, t_sum(t, y), NoVal);
    t_fn(t, "g");
    Val outer[] = {t_param(t, "h", v), t_param(t, "w", v)}, d;
    t_operator(t, Op_grad, f->name, "w", 2, outer, &v, 1, &d);
    t_end(t, d, NoVal)->exported = true;
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1, .memory = memory};
    passes_run(t->p, &o);
    uint64_t bytes = program_fn(t->p, sym(t->cx, "g"))->plan->arena_bytes;
    t_free(t);
    return bytes;
}

/* As little as can be grows as the logarithm of the length. */
static void test_logarithm(void **state) {
    (void)state;
    uint64_t one = 64 * sizeof(double), all = bytes_of(4096, 0), least = bytes_of(4096, 1);
    assert_true(all > 4096 * one);
    assert_true(least < 80 * one);
    assert_true(least - bytes_of(256, 1) <= 4 * 6 * one); /* four doublings */
    uint64_t root = bytes_of(4096, 300 * one);
    assert_true(root <= 300 * one && root > least);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits), cmocka_unit_test(test_segments),
                                       cmocka_unit_test(test_logarithm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
