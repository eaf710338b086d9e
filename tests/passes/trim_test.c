/* What nothing needs of loops and branches is dropped, and nothing else: the same values come out
 * before and after, by the interpreter, of programs written here and of random ones. */
#include "tests/passes/support.h"
#include "tests/support/random_fn.h"

/* After the pass, the same bits. */
static Fn *trim(T *t, const Fn *f, uint64_t seed) {
    Tensor *args = t_args(t, f, seed), *before = t_run(t, f, args);
    PassOptions o = {.level = 0, .verify_each = true, .limit = -1, .stop_after = "dce"};
    assert_true(passes_run(t->p, &o));
    Fn *g = program_fn(t->p, f->name);
    Tensor *after = t_run(t, g, args);
    for (uint32_t r = 0; r < f->results.len; r++) {
        for (int64_t i = 0; i < before[r].type.shape->size; i++) {
            if (before[r].re) assert_memory_equal(&after[r].re[i], &before[r].re[i], 8);
            else assert_int_equal(after[r].i[i], before[r].i[i]);
        }
    }
    return g;
}

static const Ins *find_op(const Fn *fn, Op op) {
    for (Val v = 0; v < fn->ins.len; v++) {
        if (fn->ins.data[v].op == op) return &fn->ins.data[v];
    }
    return NULL;
}

/* The results, in order, of region `op` of n operands. */
static void region(T *t, Op op, const Attr *attrs, uint32_t n, const Val *args, Val *out) {
    Ins ins = {.op = (uint16_t)op, .attrs = attrs};
    Region r = region_of(t->p, &ins);
    RegionTypes types = region_types(t->cx, t->cx->arena, &ins, &r);
    b_multi(t->b, op, args, n, attrs, types.results, types.nresults, out);
}

typedef struct Three {
    Val x, y, n, c;
} Three;

static Three three(T *t) {
    Type num = t_type(t, 0), count = type_of(I64, shape_scalar(t->cx));
    Three v = {.x = t_param(t, "x", num), .y = t_param(t, "y", num)};
    v.n = t_param(t, "n", count);
    v.c = t_param(t, "c", num);
    return v;
}

static Val less(T *t, Val n, int64_t most) {
    return t_op2(t, Op_lt, n, b_int(t->b, b_type(t->b, n), most));
}

static Val next(T *t, Val n) { return b_add(t->b, n, b_int(t->b, b_type(t->b, n), 1)); }

/* x counts on x, y on y and c, n on n, which the test reads. wanted: of the results of the loop. */
static const Fn *loop(T *t, int wanted) {
    t_fn(t, "test");
    Three v = three(t);
    t_end(t, less(t, v.n, 7), NoVal);
    t_fn(t, "body");
    v = three(t);
    t_end(t, t_op2(t, Op_mul, v.x, t_num(t, t_type(t, 0), 1.25)), t_op2(t, Op_mul, v.y, v.c),
          next(t, v.n), NoVal);
    t_fn(t, "f");
    v = three(t);
    Attr attrs[] = {attr_fn(sym(t->cx, "test")), attr_fn(sym(t->cx, "body")), attr_int(3)};
    Val args[] = {v.x, v.y, b_int(t->b, b_type(t->b, v.n), 0), v.c}, out[3];
    region(t, Op_while, attrs, 4, args, out);
    b_fn(t->b)->exported = true;
    return trim(t, t_end(t, out[wanted], NoVal), 1);
}

static void test_while(void **state) {
    (void)state;
    static const int64_t carry[] = {2, 2, 1};
    static const uint32_t operands[] = {2, 3, 1};
    for (int wanted = 0; wanted < 3; wanted++) {
        T *t = t_new();
        const Ins *i = find_op(loop(t, wanted), Op_while);
        assert_int_equal(i->attrs[2].i, carry[wanted]);
        assert_int_equal(i->nargs, operands[wanted]);
        t_free(t);
    }
}

/* A carry that only the other one reads stays, and so does one that is read in the end only. */
static void test_read_by_another(void **state) {
    (void)state;
    T *t = t_new();
    Type num = t_type(t, 0);
    t_fn(t, "body");
    Val x = t_param(t, "x", num), y = t_param(t, "y", num), z = t_param(t, "z", num);
    Val s = t_param(t, "s", num), unread = t_param(t, "unread", num);
    (void)unread;
    t_end(t, t_op2(t, Op_mul, x, y), t_op(t, Op_sin, y), t_op2(t, Op_add, z, s),
          t_op2(t, Op_mul, s, s), t_op2(t, Op_add, s, x), NoVal);
    t_fn(t, "f");
    Val args[] = {t_param(t, "x", num), t_param(t, "y", num), t_param(t, "z", num),
                  t_param(t, "s", t_type(t, 1, 5)), t_param(t, "u", t_type(t, 1, 5))}, out[5];
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(3), attr_int(2), attr_int(0),
                    attr_int(5), attr_bool(false)};
    region(t, Op_scan, attrs, 5, args, out);
    b_fn(t->b)->exported = true;
    const Fn *f = trim(t, t_end(t, out[0], out[3], NoVal), 2);
    const Ins *i = find_op(f, Op_scan);
    assert_int_equal(i->attrs[1].i, 2); /* x, y */
    assert_int_equal(i->attrs[2].i, 1); /* s */
    assert_int_equal(program_fn(t->p, i->attrs[0].s)->results.len, 3);
    t_free(t);
}

/* What only the inner loop carried falls away with it, from outside inwards. */
static void test_nested(void **state) {
    (void)state;
    T *t = t_new();
    Type num = t_type(t, 0);
    Attr one[] = {attr_fn(sym(t->cx, "inner")), attr_int(2), attr_int(0), attr_int(0),
                  attr_int(3), attr_bool(false)};
    Attr two[] = {attr_fn(sym(t->cx, "outer")), attr_int(2), attr_int(0), attr_int(0),
                  attr_int(4), attr_bool(false)};
    t_fn(t, "inner");
    Val x = t_param(t, "x", num), y = t_param(t, "y", num), w = t_param(t, "w", num);
    t_end(t, t_op2(t, Op_mul, x, t_num(t, num, 1.5)), t_op2(t, Op_add, y, w), NoVal);
    t_fn(t, "outer");
    Val args[3] = {t_param(t, "x", num)}, out[2];
    args[1] = t_param(t, "y", num);
    args[2] = t_param(t, "w", num);
    region(t, Op_scan, one, 3, args, out);
    t_end(t, out[0], out[1], NoVal);
    t_fn(t, "f");
    args[0] = t_param(t, "x", num);
    args[1] = t_param(t, "y", num);
    args[2] = t_param(t, "w", num);
    region(t, Op_scan, two, 3, args, out);
    b_fn(t->b)->exported = true;
    const Fn *f = trim(t, t_end(t, out[0], NoVal), 3);
    const Ins *i = find_op(f, Op_scan);
    assert_int_equal(i->nargs, 1);
    i = find_op(program_fn(t->p, i->attrs[0].s), Op_scan);
    assert_int_equal(i->nargs, 1);
    t_free(t);
}

/* Both branches lose the result and the operand. */
static void test_cond(void **state) {
    (void)state;
    T *t = t_new();
    Type num = t_type(t, 0);
    static const char *const names[] = {"then", "otherwise"};
    for (int k = 0; k < 2; k++) {
        t_fn(t, names[k]);
        Val x = t_param(t, "x", num), y = t_param(t, "y", num);
        t_end(t, t_op(t, k ? Op_sin : Op_cos, x), t_op2(t, Op_mul, x, y), NoVal);
    }
    t_fn(t, "f");
    Val args[3] = {NoVal, t_param(t, "x", num)}, out[2];
    args[2] = t_param(t, "y", num);
    args[0] = t_op2(t, Op_lt, args[1], t_num(t, num, 0));
    Attr attrs[] = {attr_fn(sym(t->cx, "then")), attr_fn(sym(t->cx, "otherwise"))};
    region(t, Op_cond, attrs, 3, args, out);
    b_fn(t->b)->exported = true;
    const Ins *i = find_op(trim(t, t_end(t, out[0], NoVal), 4), Op_cond);
    assert_int_equal(i->nargs, 2);
    assert_int_equal(program_fn(t->p, i->attrs[1].s)->results.len, 1);
    t_free(t);
}

static void test_random(void **state) {
    (void)state;
    for (uint64_t seed = FirstWithRegions; seed < FirstWithRegions + 100; seed++) {
        T *t = t_new();
        trim(t, random_fn(t->p, "random", seed, 10 + seed % 30), seed);
        t_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_while),  cmocka_unit_test(test_read_by_another),
        cmocka_unit_test(test_nested), cmocka_unit_test(test_cond),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
