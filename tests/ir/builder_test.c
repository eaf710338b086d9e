/* What the builder folds and merges, and what it must leave alone. */
#include "support.h"

#include <math.h>

/* ---- folding ---- */
static double float_of(Fixture *f, Val v) {
    const Ins *i = b_ins(f->b, v);
    assert_int_equal(i->op, Op_const);
    assert_int_equal(i->ndata, 1);
    return i->data[0].f;
}

static int64_t int_of(Fixture *f, Val v) {
    float_of(f, v);
    return b_ins(f->b, v)->data[0].i;
}

static void assert_bits(double got, double want) {
    if (memcmp(&got, &want, sizeof got) != 0) fail_msg("%a is not %a", got, want);
}

static void constants_fold(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val a = num(&f, "f32", 0.1), b = num(&f, "f32", 0.2), z = num(&f, "f32[3]", 3);
    assert_bits(float_of(&f, op(&f, Op_add, 2, a, b)), (double)(0.1f + 0.2f));
    assert_bits(float_of(&f, op(&f, Op_div, 2, a, b)), (double)(0.1f / 0.2f));
    assert_bits(float_of(&f, op(&f, Op_sqrt, 1, b)), (double)sqrtf(0.2f));
    assert_bits(float_of(&f, op(&f, Op_mul, 2, z, z)), 9);
    assert_int_equal(int_of(&f, op(&f, Op_lt, 2, a, b)), 1);
    assert_int_equal(int_of(&f, op(&f, Op_isnan, 1, num(&f, "f32", NAN))), 1);
    Val x = num(&f, "bf16", 1.0078125), y = num(&f, "bf16", 0.0078125);
    assert_bits(float_of(&f, op(&f, Op_add, 2, x, y)), 1.015625);
    assert_int_equal(b_ins(f.b, op(&f, Op_exp, 1, a))->op, Op_exp);
    fixture_close(&f);
}

static void max_and_min_know_zero_and_nan(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val p = num(&f, "f64", 0.0), m = num(&f, "f64", -0.0), nan = num(&f, "f64", NAN);
    assert_bits(float_of(&f, op(&f, Op_max, 2, m, p)), 0.0);
    assert_bits(float_of(&f, op(&f, Op_max, 2, p, m)), 0.0);
    assert_bits(float_of(&f, op(&f, Op_min, 2, m, p)), -0.0);
    assert_bits(float_of(&f, op(&f, Op_min, 2, p, m)), -0.0);
    assert_true(isnan(float_of(&f, op(&f, Op_max, 2, nan, p))));
    assert_true(isnan(float_of(&f, op(&f, Op_max, 2, p, nan))));
    assert_true(isnan(float_of(&f, op(&f, Op_min, 2, p, nan))));
    assert_bits(float_of(&f, op(&f, Op_neg, 1, p)), -0.0);
    assert_bits(float_of(&f, op(&f, Op_abs, 1, m)), 0.0);
    assert_bits(float_of(&f, op(&f, Op_round, 1, num(&f, "f64", 2.5))), 2);
    fixture_close(&f);
}

static void integers_wrap_and_floor(void **state) {
    (void)state;
    static const struct {
        Op op;
        const char *type;
        double a, b;
        int64_t want;
    } cases[] = {
        {Op_add, "i32", INT32_MAX, 1, INT32_MIN}, {Op_mul, "i32", 65536, 65536, 0},
        {Op_div, "i32", -7, 2, -4},               {Op_mod, "i32", -7, 2, 1},
        {Op_div, "i32", 7, -2, -4},               {Op_mod, "i32", 7, -2, -1},
        {Op_div, "i32", 5, 0, 0},                 {Op_mod, "i32", 5, 0, 0},
        {Op_div, "i32", INT32_MIN, -1, INT32_MIN}, {Op_max, "i64", -3, 2, 2},
        {Op_sub, "i64", -9223372036854775808.0, 1, INT64_MAX},
        {Op_div, "i64", -9223372036854775808.0, -1, INT64_MIN},
    };
    Fixture f = fixture_open(false);
    for (size_t k = 0; k < LEN(cases); k++) {
        Val a = num(&f, cases[k].type, cases[k].a), b = num(&f, cases[k].type, cases[k].b);
        assert_true(int_of(&f, op(&f, cases[k].op, 2, a, b)) == cases[k].want);
    }
    fixture_close(&f);
}

static void casts_fold(void **state) {
    (void)state;
    static const struct {
        const char *from;
        double x;
        const char *to;
        int64_t want;
    } cases[] = {
        {"f32", -2.9, "i32", -2},       {"f32", 3e9, "i32", INT32_MAX},
        {"f32", -3e9, "i32", INT32_MIN}, {"f32", NAN, "i32", 0},
        {"f64", 1e300, "i64", INT64_MAX}, {"f64", -INFINITY, "i64", INT64_MIN},
        {"f32", 12, "i32<10>", 9},      {"f32", -1, "i32<10>", 0},
        {"i64", 4294967297, "i32", 1},  {"f32", 0.5, "bool", 1},
        {"bool", 1, "i64", 1},
    };
    Fixture f = fixture_open(false);
    for (size_t k = 0; k < LEN(cases); k++) {
        Val v = op_given(&f, Op_cast, cases[k].to, num(&f, cases[k].from, cases[k].x));
        assert_true(int_of(&f, v) == cases[k].want);
    }
    assert_bits(float_of(&f, op_given(&f, Op_cast, "f32", num(&f, "f64", 0.1))), (double)0.1f);
    assert_bits(float_of(&f, op_given(&f, Op_cast, "bf16", num(&f, "f32", 0.1))), 0.10009765625);
    fixture_close(&f);
}

static void identities_fold(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f32[2, 3]"), n = param(&f, "n", "i32[2]"), c = param(&f, "c", "bool");
    Val one = num(&f, "f32[2, 3]", 1), zero = num(&f, "f32[2, 3]", 0);
    Val minus = num(&f, "f32[2, 3]", -0.0), none = num(&f, "i32[2]", 0);
    assert_int_equal(op(&f, Op_mul, 2, x, one), x);
    assert_int_equal(op(&f, Op_mul, 2, one, x), x);
    assert_int_equal(op(&f, Op_div, 2, x, one), x);
    assert_int_equal(op(&f, Op_sub, 2, x, zero), x);
    assert_int_equal(op(&f, Op_add, 2, x, minus), x);
    assert_int_equal(op(&f, Op_add, 2, none, n), n);
    assert_int_equal(op(&f, Op_neg, 1, op(&f, Op_neg, 1, x)), x);
    assert_int_equal(op(&f, Op_not, 1, op(&f, Op_not, 1, c)), c);
    assert_int_equal(op_given(&f, Op_cast, "f32[2, 3]", x), x);
    Val yes = num(&f, "bool[2, 3]", 1), no = num(&f, "bool[2, 3]", 0);
    assert_int_equal(op(&f, Op_where, 3, yes, x, zero), x);
    assert_int_equal(op(&f, Op_where, 3, no, x, zero), zero);
    assert_int_equal(op(&f, Op_and, 2, num(&f, "bool", 1), c), c);
    assert_int_equal(op(&f, Op_or, 2, c, num(&f, "bool", 1)), num(&f, "bool", 1));
    fixture_close(&f);
}

static void views_fold(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f32[2, 3, 4]"), s = num(&f, "f32", 5);
    Val t = op_attr(&f, Op_transpose, ints_from(f.cx, "1 2 0"), x);
    assert_int_equal(op_attr(&f, Op_transpose, ints_from(f.cx, "2 0 1"), t), x);
    Val twice = op_attr(&f, Op_transpose, ints_from(f.cx, "1 2 0"), t);
    assert_int_equal(b_ins(f.b, twice)->args[0], x);
    assert_true(attr_equal(b_ins(f.b, twice)->attrs[0], ints_from(f.cx, "2 0 1")));
    assert_int_equal(op_attr(&f, Op_transpose, ints_from(f.cx, "0 1 2"), x), x);
    Val r = op_attr(&f, Op_reshape, ints_from(f.cx, "24"), x);
    Val r2 = op_attr(&f, Op_reshape, ints_from(f.cx, "4 6"), r);
    assert_int_equal(b_ins(f.b, r2)->args[0], x);
    assert_int_equal(op_attr(&f, Op_reshape, ints_from(f.cx, "2 3 4"), r2), x);
    assert_int_equal(op_attr(&f, Op_broadcast, ints_from(f.cx, "2 3 4"), x), x);
    assert_int_equal(op_attr(&f, Op_slice, (Attr){0}, x), x);
    assert_int_equal(op_attr(&f, Op_flip, ints_from(f.cx, ""), x), x);
    assert_int_equal(op_attr(&f, Op_concat, attr_int(1), x), x);
    Val many = op_attr(&f, Op_broadcast, ints_from(f.cx, "2 2"), s);
    assert_bits(float_of(&f, many), 5);
    assert_string_equal(type_text(f.cx, b_type(f.b, many)), "f32[2, 2]");
    assert_int_equal(b_ins(f.b, op_attr(&f, Op_transpose, (Attr){0}, many))->op, Op_const);
    fixture_close(&f);
}

static void inexact_rewrites_stay_away(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f32[1]"), r = param(&f, "r", "i32<4>[1]");
    Val zero = num(&f, "f32[1]", 0), minus = num(&f, "f32[1]", -0.0);
    assert_int_not_equal(op(&f, Op_add, 2, x, zero), x);
    assert_int_not_equal(op(&f, Op_sub, 2, x, minus), x);
    assert_int_equal(b_ins(f.b, op(&f, Op_mul, 2, x, zero))->op, Op_mul);
    assert_int_equal(b_ins(f.b, op(&f, Op_sub, 2, x, x))->op, Op_sub);
    assert_int_equal(b_ins(f.b, op(&f, Op_div, 2, x, x))->op, Op_div);
    assert_int_equal(b_ins(f.b, op(&f, Op_eq, 2, x, x))->op, Op_eq);
    assert_int_not_equal(zero, minus);
    /* the range is lost */
    assert_int_not_equal(op(&f, Op_mul, 2, r, b_int(f.b, b_type(f.b, r), 1)), r);
    /* +0 + -0 = +0 */
    Attr axis = ints_from(f.cx, "0");
    assert_int_equal(b_ins(f.b, op_attr(&f, Op_reduce_sum, axis, x))->op, Op_reduce_sum);
    assert_int_equal(b_ins(f.b, op_attr(&f, Op_reduce_max, axis, x))->op, Op_reshape);
    assert_int_equal(op_attr(&f, Op_reduce_prod, ints_from(f.cx, ""), x), x);
    fixture_close(&f);
}

/* ---- merging ---- */
static void equal_instructions_merge(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f32[3]"), y = param(&f, "y", "f32[3]"), k = param(&f, "k", "i64");
    b_at(f.b, (Loc){sym(f.cx, "m.bp"), 4, 2, 0}, sym(f.cx, "B[add, a]"));
    Val s = op(&f, Op_add, 2, x, y);
    b_at(f.b, (Loc){sym(f.cx, "m.bp"), 5, 2, 0}, NULL);
    assert_int_equal(op(&f, Op_add, 2, y, x), s);
    assert_int_equal(b_ins(f.b, s)->loc.line, 4);
    assert_string_equal(b_ins(f.b, s)->rule, "B[add, a]");
    assert_int_not_equal(op(&f, Op_sub, 2, x, y), op(&f, Op_sub, 2, y, x));
    b_name(f.b, s, sym(f.cx, "h"));
    b_name(f.b, s, sym(f.cx, "other"));
    assert_string_equal(b_ins(f.b, s)->name, "h");
    Type t = type_from(f.cx, "f32[3]");
    Attr one = attr_int(1), two = attr_int(2);
    Val r = b_op(f.b, Op_rng, &k, 1, &one, &t);
    assert_int_equal(b_op(f.b, Op_rng, &k, 1, &one, &t), r);
    assert_int_not_equal(b_op(f.b, Op_rng, &k, 1, &two, &t), r);
    assert_int_not_equal(op(&f, Op_opt_barrier, 1, x), op(&f, Op_opt_barrier, 1, x));
    fixture_close(&f);
}

static void many_values_merge(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f64"), v[1000];
    for (int n = 0; n < 1000; n++) v[n] = op(&f, Op_mul, 2, x, num(&f, "f64", n + 2));
    uint32_t len = b_fn(f.b)->ins.len;
    for (int n = 0; n < 1000; n++) {
        assert_int_equal(op(&f, Op_mul, 2, x, num(&f, "f64", n + 2)), v[n]);
    }
    assert_int_equal(b_fn(f.b)->ins.len, len);
    fixture_close(&f);
}

static void constants_are_stored_rounded(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    assert_bits(float_of(&f, num(&f, "f32", 0.1)), (double)0.1f);
    assert_bits(float_of(&f, num(&f, "bf16", 0.1)), 0.10009765625);
    assert_int_equal(num(&f, "f32", 0.1), num(&f, "f32", (double)0.1f));
    assert_int_equal(num(&f, "f32", NAN), num(&f, "f32", -NAN));
    const Num equal[] = {{.f = 2}, {.f = 2}}, differ[] = {{.f = 0.0}, {.f = -0.0}};
    assert_int_equal(b_const(f.b, type_from(f.cx, "f32[2]"), equal, 2), num(&f, "f32[2]", 2));
    Val list = b_const(f.b, type_from(f.cx, "f32[2]"), differ, 2);
    assert_int_equal(b_ins(f.b, list)->ndata, 2);
    fixture_close(&f);
}

static void marks_keep_apart(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val plain = num(&f, "f32", 0);
    b_at(f.b, (Loc){0}, sym(f.cx, "nodiff"));
    Val mark = num(&f, "f32", 0);
    b_at(f.b, (Loc){0}, NULL);
    assert_int_not_equal(mark, plain);
    assert_string_equal(b_ins(f.b, mark)->rule, "nodiff");
    assert_int_equal(num(&f, "f32", 0), plain);
    fixture_close(&f);
}

static void raw_appends(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    Val x = param(&f, "x", "f32"), one = num(&f, "f32", 1);
    Val y = op(&f, Op_mul, 2, x, one);
    assert_int_not_equal(y, x);
    assert_int_not_equal(op(&f, Op_mul, 2, x, one), y);
    assert_int_not_equal(num(&f, "f32", 1), one);
    fixture_close(&f);
}

/* ---- calls and inlining ---- */
/* fn two(a, b) -> (a * b, exp(a)) */
static Fn *two(Fixture *f) {
    Fixture g = *f;
    g.b = builder_new(f->p, sym(f->cx, "two"), false);
    Val a = param(&g, "a", "f32"), b = param(&g, "b", "f32");
    b_at(g.b, (Loc){sym(f->cx, "two.bp"), 2, 3, 0}, NULL);
    Val product = op(&g, Op_mul, 2, a, b), e = op(&g, Op_exp, 1, a);
    b_name(g.b, e, sym(f->cx, "e"));
    b_result(g.b, product);
    b_result(g.b, e);
    Fn *fn = builder_done(g.b);
    program_add(f->p, fn);
    return fn;
}

static void calls_merge_with_their_results(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Fn *callee = two(&f);
    Val args[] = {param(&f, "x", "f32"), param(&f, "y", "f32")}, first[2], again[2];
    b_call(f.b, callee, args, 2, first);
    uint32_t len = b_fn(f.b)->ins.len;
    b_call(f.b, callee, args, 2, again);
    assert_int_equal(b_fn(f.b)->ins.len, len);
    assert_memory_equal(first, again, sizeof first);
    assert_int_equal(b_ins(f.b, first[1])->op, Op_get);
    b_result(f.b, first[0]);
    verify_fn(f.p, b_fn(f.b));
    fixture_close(&f);
}

static void copies_keep_results_together(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val args[] = {param(&f, "x", "f32"), param(&f, "y", "f32")}, r[2];
    b_call(f.b, two(&f), args, 2, r);
    b_result(f.b, op(&f, Op_add, 2, r[0], r[1]));
    Fn *from = builder_done(f.b);
    Builder *b = builder_new(f.p, sym(f.cx, "g"), false);
    Val map[16];
    for (Val v = 0; v < from->ins.len; v++) map[v] = b_copy(b, &from->ins.data[v], map);
    b_result(b, map[from->results.data[0]]);
    assert_int_equal(b_fn(b)->ins.len, from->ins.len);
    verify_fn(f.p, b_fn(b));
    fixture_close(&f);
}

static void sums_undo_broadcasts(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f32[5, 2, 3]");
    static const char *const shapes[] = {"f32[2, 3]", "f32", "f32[1, 3]", "f32[5, 1, 3]"};
    for (size_t k = 0; k < LEN(shapes); k++) {
        Val v = b_sum_to(f.b, x, type_from(f.cx, shapes[k]).shape);
        assert_string_equal(type_text(f.cx, b_type(f.b, v)), shapes[k]);
    }
    assert_int_equal(b_sum_to(f.b, x, b_type(f.b, x).shape), x);
    Val v = b_sum_to(f.b, x, type_from(f.cx, "f32[1, 3]").shape);
    assert_int_equal(b_ins(f.b, v)->op, Op_reshape);
    assert_int_equal(b_ins(f.b, b_ins(f.b, v)->args[0])->op, Op_reduce_sum);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_fold),
        cmocka_unit_test(max_and_min_know_zero_and_nan),
        cmocka_unit_test(integers_wrap_and_floor),
        cmocka_unit_test(casts_fold),
        cmocka_unit_test(identities_fold),
        cmocka_unit_test(views_fold),
        cmocka_unit_test(inexact_rewrites_stay_away),
        cmocka_unit_test(equal_instructions_merge),
        cmocka_unit_test(many_values_merge),
        cmocka_unit_test(constants_are_stored_rounded),
        cmocka_unit_test(marks_keep_apart),
        cmocka_unit_test(raw_appends),
        cmocka_unit_test(calls_merge_with_their_results),
        cmocka_unit_test(copies_keep_results_together),
        cmocka_unit_test(sums_undo_broadcasts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
