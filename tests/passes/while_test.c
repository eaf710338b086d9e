/* Whiles by hand: numbers of steps around those at which what is stored changes; loops that share
 * their body. Random ones: region_test.c. */
#include "ir/interp.h"
#include "tests/passes/support.h"
#include "passes/reverse.h"

/* The second carry behind while[test, body](n, x, c), numbers. */
static Val repeated(T *t, const Val *args, const Attr *attrs) {
    Val out[2];
    Type types[] = {b_type(t->b, args[0]), b_type(t->b, args[1])};
    b_multi(t->b, Op_while, args, 3, attrs, types, 2, out);
    return out[1];
}

/* n > limit */
static void add_test(T *t, const char *name, int64_t limit, Type last) {
    Type num = t_type(t, 0), count = type_of(I64, shape_scalar(t->cx));
    t_fn(t, name);
    Val n = t_param(t, "n", count);
    t_param(t, "x", num);
    t_param(t, "c", last);
    t_end(t, t_op2(t, Op_lt, b_int(t->b, count, limit), n), NoVal);
}

/* n - 1, x * c */
static void add_body(T *t) {
    Type num = t_type(t, 0), count = type_of(I64, shape_scalar(t->cx));
    t_fn(t, "body");
    Val n = t_param(t, "n", count), x = t_param(t, "x", num), c = t_param(t, "c", num);
    t_end(t, t_op2(t, Op_sub, n, b_int(t->b, count, 1)), t_op2(t, Op_mul, x, c), NoVal);
}

/* x * c ** n */
static Fn *power(T *t) {
    Type num = t_type(t, 0), count = type_of(I64, shape_scalar(t->cx));
    add_test(t, "test", 0, num);
    add_body(t);
    t_fn(t, "f");
    Val x = t_param(t, "x", num), c = t_param(t, "c", num), n = t_param(t, "n", count);
    Attr attrs[] = {attr_fn(sym(t->cx, "test")), attr_fn(sym(t->cx, "body")), attr_int(2)};
    return t_end(t, repeated(t, (Val[]){n, x, c}, attrs), NoVal);
}

/* Around the numbers of steps at which slots are shared out again. */
static void test_long_loops(void **state) {
    (void)state;
    static const int64_t trips[] = {0,  1,  2,   3,   7,   31,   32,   33,   63,   64,
                                    65, 97, 127, 128, 129, 1023, 1024, 1025, 2100, 5000};
    T *t = t_new();
    Fn *f = power(t);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2);
    for (size_t k = 0; k < LEN(trips); k++) {
        Tensor *args = t_args(t, f, k);
        args[1].re[0] = 0.99 + 0.001 * (double)k;
        args[2].i[0] = trips[k];
        Tensor *got = t_run(t, d, args);
        double base = args[1].re[0], power = pow(base, (double)trips[k]);
        double slope = args[0].re[0] * (double)trips[k] * power / base;
        assert_true(fabs(got[1].re[0] - power) <= 1e-11 * power);
        assert_true(fabs(got[2].re[0] - slope) <= 1e-11 * slope);
    }
    t_free(t);
}

/* Where every step is stored, none runs again: the first loop of the backward part goes all the way
 * then. What the derivative does not read, here how many steps are left, is not stored. */
static void test_stored_steps(void **state) {
    (void)state;
    T *t = t_new();
    Fn *f = power(t), *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2);
    const Fn *back = NULL;
    for (uint32_t k = 0; k < t->p->fns.len; k++) {
        if (strstr(t->p->fns.data[k]->name, "_vjp")) back = t->p->fns.data[k];
    }
    assert_non_null(back);
    Vals ends = {0};
    for (Val v = 0; v < back->ins.len; v++) {
        const Ins *i = &back->ins.data[v];
        if (i->op == Op_while) vec_push(t->cx->arena, &ends, i->args[i->attrs[2].i]);
    }
    assert_int_equal(ends.len, 2);
    const Ins *first = &back->ins.data[ends.data[0]], *second = &back->ins.data[ends.data[1]];
    assert_int_equal(first->op, Op_where);
    assert_int_equal(back->ins.data[first->args[0]].op, Op_eq);
    assert_int_equal(back->ins.data[first->args[1]].data[0].i, 0);
    assert_int_equal(second->data[0].i, 0);
    d->exported = true;
    program_add(t->p, d);
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1, .stop_after = "dce"};
    assert_true(passes_run(t->p, &o));
    uint32_t stored = 0;
    for (uint32_t k = 0; k < t->p->fns.len; k++) {
        const Fn *fn = t->p->fns.data[k];
        for (Val v = 0; v < fn->ins.len; v++) {
            const Shape *s = fn->ins.data[v].type.shape;
            bool slots = s && s->rank == 1 && s->dim[0] == Slots;
            stored += slots && dtype_is_float(fn->ins.data[v].type.dt);
            assert_false(slots && fn->ins.data[v].type.dt == I64);
        }
    }
    assert_true(stored > 0);
    t_free(t);
}

/* What stays the same is given to a loop, not carried: of the recording one n, x, the count, the
 * slots taken, the length of a segment and slots of n and x are carried, c is given. */
static void test_carried(void **state) {
    (void)state;
    T *t = t_new();
    Fn *f = power(t);
    assert_non_null(differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2));
    const Fn *forward = program_fn(t->p, sym(t->cx, "body_fwd"));
    for (Val v = 0; v < forward->ins.len; v++) {
        const Ins *i = &forward->ins.data[v];
        if (i->op != Op_while) continue;
        assert_int_equal(i->attrs[2].i, 7);
        assert_int_equal(i->nargs, 8);
    }
    t_drop(t, "body_fwd"); /* then it is made again */
    check_gradient(t, f, 14);
    t_free(t);
}

/* Steps that loops make, all together. */
static uint64_t steps_of(T *t, const Fn *fn, const Tensor *args) {
    uint64_t steps = 0;
    Interp in = {.p = t->p, .fn = fn, .mode = InterpF64, .a = t->cx->arena, .steps = &steps};
    interp_apply(&in, fn, fn->loc, args);
    return steps;
}

/* Below 32 steps, of the derivative each is three: of the loop, of the one that fills slots and of
 * the one backwards; one more records. Above, each is run again, at first by one loop more. */
static void test_steps(void **state) {
    (void)state;
    static const struct {
        int64_t trips;
        uint64_t steps;
    } rows[] = {{0, 0},     {1, 4},    {31, 94},     {32, 130},    {33, 136},
                {64, 244},  {65, 250}, {1024, 3734}, {1025, 3740}, {2049, 9421}};
    T *t = t_new();
    Fn *f = power(t), *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2);
    for (size_t k = 0; k < LEN(rows); k++) {
        Tensor *args = t_args(t, f, k);
        args[2].i[0] = rows[k].trips;
        assert_int_equal(steps_of(t, d, args), rows[k].steps);
    }
    t_free(t);
}

/* Two loops with one body and different tests: x * c ** n and that times c ** (n - 3). */
static void test_one_body(void **state) {
    (void)state;
    T *t = t_new();
    Type num = t_type(t, 0), count = type_of(I64, shape_scalar(t->cx));
    add_test(t, "all", 0, num);
    add_test(t, "fewer", 3, num);
    add_body(t);
    t_fn(t, "f");
    Val x = t_param(t, "x", num), c = t_param(t, "c", num), n = t_param(t, "n", count);
    for (int k = 0; k < 2; k++) {
        Attr attrs[] = {attr_fn(sym(t->cx, k ? "fewer" : "all")), attr_fn(sym(t->cx, "body")),
                        attr_int(2)};
        x = repeated(t, (Val[]){n, x, c}, attrs);
    }
    Fn *f = t_end(t, x, NoVal);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2);
    for (int64_t trips = 0; trips < 8; trips++) {
        Tensor *args = t_args(t, f, 7);
        args[2].i[0] = trips;
        Tensor *got = t_run(t, d, args);
        double steps = (double)(trips + (trips > 3 ? trips - 3 : 0)), base = args[1].re[0];
        assert_near(got[1].re[0], pow(base, steps), 1e-14);
        assert_near(got[2].re[0], args[0].re[0] * steps * pow(base, steps - 1), 1e-14);
    }
    t_free(t);
}

/* grad[f, wrt=wrt](x, c, n), of x */
static Val slope_by_x(T *t, const char *wrt, const Val *args) {
    Type types[] = {b_type(t->b, args[0]), b_type(t->b, args[1])};
    Val g[2];
    t_operator(t, Op_grad, "f", wrt, 3, args, types, strlen(wrt) > 1 ? 2 : 1, g);
    return g[0];
}

/* A number and a vector carried side by side. The slopes by the first alone and by both are
 * differentiated again by the first: backward parts of one loop that take different cotangents. */
static void test_cotangents(void **state) {
    (void)state;
    T *t = t_new();
    Type num = t_type(t, 0), count = type_of(I64, shape_scalar(t->cx));
    Type vec = t_type(t, 1, 3), types[] = {count, num, vec};
    add_test(t, "test", 0, vec);
    t_fn(t, "body");
    Val n = t_param(t, "n", count), x = t_param(t, "x", num), c = t_param(t, "c", vec);
    t_end(t, t_op2(t, Op_sub, n, b_int(t->b, count, 1)), t_op2(t, Op_mul, x, t_op(t, Op_tanh, x)),
          t_op2(t, Op_mul, c, c), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", num);
    c = t_param(t, "c", vec);
    n = t_param(t, "n", count);
    Attr attrs[] = {attr_fn(sym(t->cx, "test")), attr_fn(sym(t->cx, "body")), attr_int(3)};
    Val out[3];
    b_multi(t->b, Op_while, (Val[]){n, x, c}, 3, attrs, types, 3, out);
    t_end(t, t_op2(t, Op_mul, out[1], t_sum(t, out[2])), NoVal);
    t_fn(t, "h");
    Val args[] = {t_param(t, "x", num), t_param(t, "c", vec), t_param(t, "n", count)};
    Val among = slope_by_x(t, "x c", args), alone = slope_by_x(t, "x", args);
    Fn *h = t_end(t, t_op2(t, Op_mul, t_op(t, Op_tanh, alone), among), NoVal);
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1, .stop_after = "differentiate"};
    assert_true(passes_run(t->p, &o));
    h = program_fn(t->p, h->name);
    uint32_t fns = t->p->fns.len;
    Fn *d = differentiate(t->p, h, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    assert_null(program_fn(t->p, sym(t->cx, "body_fwd_2"))); /* one for both */
    assert_true(t->p->fns.len < 3 * fns); /* backward parts are not differentiated line by line */
    Tensor *values = t_args(t, h, 8);
    values[2].i[0] = 3;
    double got = t_run(t, d, values)[1].re[0];
    assert_near(got, t_slope(t, h, values, 0, 0), 1e-9);
    t_free(t);
}

/* while[n < 70, body](x, n, c), the first carry differentiated: x * c ** (70 - n). */
static void test_first_carry(void **state) {
    (void)state;
    enum { Limit = 70 };
    T *t = t_new();
    Type num = t_type(t, 0), count = type_of(I64, shape_scalar(t->cx)), types[] = {num, count};
    const Fn *fns[2];
    for (int k = 0; k < 2; k++) {
        t_fn(t, k ? "body" : "test");
        Val x = t_param(t, "x", num), n = t_param(t, "n", count), c = t_param(t, "c", num);
        if (k) x = t_op2(t, Op_mul, x, c), n = b_add(t->b, n, b_int(t->b, count, 1));
        fns[k] = k ? t_end(t, x, n, NoVal)
                   : t_end(t, t_op2(t, Op_lt, n, b_int(t->b, count, Limit)), NoVal);
    }
    t_fn(t, "f");
    Val args[] = {t_param(t, "x", num), t_param(t, "n", count), t_param(t, "c", num)}, out[2];
    Attr attrs[] = {attr_fn(fns[0]->name), attr_fn(fns[1]->name), attr_int(2)};
    b_multi(t->b, Op_while, args, 3, attrs, types, 2, out);
    Fn *f = t_end(t, out[0], NoVal);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 2}, 2);
    check_dot(t, f, 13);
    for (int64_t steps = 0; steps <= Limit; steps += 14) {
        Tensor *values = t_args(t, f, 12);
        values[1].i[0] = Limit - steps;
        Tensor *got = t_run(t, d, values);
        double x = values[0].re[0], c = values[2].re[0], power = pow(c, (double)steps);
        assert_near(got[1].re[0], power, 1e-13);
        assert_near(got[2].re[0], x * (double)steps * power / c, 1e-13);
    }
    t_free(t);
}

/* A carry so large that no address reaches its last slot, first or last of two. */
static void test_large_carry(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) {
        T *t = t_new();
        Type num = t_type(t, 0), large = t_type(t, 3, 1 << 19, 1 << 19, 1 << 19);
        Type types[] = {first ? large : num, first ? num : large};
        for (int k = 0; k < 2; k++) {
            t_fn(t, k ? "body" : "test");
            Val x = t_param(t, "x", types[0]), y = t_param(t, "y", types[1]);
            if (k) t_end(t, t_op(t, Op_tanh, x), t_op(t, Op_tanh, y), NoVal);
            else t_end(t, t_op2(t, Op_lt, first ? y : x, t_num(t, num, 0.5)), NoVal);
        }
        t_fn(t, "f");
        Val args[] = {t_param(t, "x", types[0]), t_param(t, "y", types[1])}, out[2];
        Attr attrs[] = {attr_fn(sym(t->cx, "test")), attr_fn(sym(t->cx, "body")), attr_int(2)};
        b_multi(t->b, Op_while, args, 2, attrs, types, 2, out);
        Fn *f = t_end(t, t_op2(t, Op_add, t_sum(t, out[0]), t_sum(t, out[1])), NoVal);
        assert_null(differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1}, 2));
        assert_int_equal(t->cx->errors, 1);
        assert_non_null(strstr(t->cx->diags.data[0].text, "too large"));
        t_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_long_loops),
                                       cmocka_unit_test(test_stored_steps),
                                       cmocka_unit_test(test_carried), cmocka_unit_test(test_steps),
                                       cmocka_unit_test(test_one_body),
                                       cmocka_unit_test(test_cotangents),
                                       cmocka_unit_test(test_first_carry),
                                       cmocka_unit_test(test_large_carry)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
