/* Views, sources and data movement against the interpreter: alone, between arithmetic, in chains
 * that meet in one kernel; and kernels that are cut into chunks. */
#include "tests/codegen/support.h"

#define INTS(...)       \
    (const int64_t[]) { \
        __VA_ARGS__     \
    }

typedef struct V1 { /* a view of one operand; lists of n numbers */
    Op op;
    uint32_t n;
    const int64_t *first, *second, *third;
} V1;

static Val apply(Program *p, Builder *b, const V1 *v, Val x) {
    if (v->op != Op_pad) return op_ints(p, b, v->op, x, v->n, v->first, v->second, v->third);
    const int64_t *lists[] = {v->first, v->second, v->third};
    Attr attrs[LEN(lists)] = {{0}};
    for (size_t k = 0; k < LEN(lists); k++) {
        if (lists[k]) attrs[k] = attr_ints(p->cx, lists[k], v->n);
    }
    Val fill = b_float(b, type_of(b_type(b, x).dt, shape_scalar(p->cx)), -3);
    return b_op(b, Op_pad, (Val[]){x, fill}, 2, attrs, NULL);
}

typedef struct Chain {
    uint32_t rank;
    const int64_t *dim;
    V1 views[3];
    uint32_t n;
} Chain;

static const Chain chains[] = {
    {1, INTS(37), {{Op_broadcast, 2, INTS(5, 37), 0, 0}}, 1},
    {2, INTS(5, 1), {{Op_broadcast, 2, INTS(5, 37), 0, 0}}, 1},
    {2, INTS(1, 1), {{Op_broadcast, 3, INTS(2, 3, 19), 0, 0}}, 1},
    {0, NULL, {{Op_broadcast, 2, INTS(3, 7), 0, 0}}, 1},
    {0, NULL, {{Op_broadcast, 2, INTS(3, 0), 0, 0}}, 1},
    {2, INTS(17, 33), {{Op_transpose, 2, INTS(1, 0), 0, 0}}, 1},
    {3, INTS(4, 5, 18), {{Op_transpose, 3, INTS(2, 0, 1), 0, 0}}, 1},
    {3, INTS(4, 5, 18), {{Op_transpose, 3, INTS(1, 0, 2), 0, 0}}, 1},
    {3, INTS(4, 18, 5), {{Op_transpose, 3, INTS(0, 2, 1), 0, 0}}, 1},
    {2, INTS(6, 35), {{Op_slice, 2, INTS(1, 2), INTS(6, 34), INTS(1, 1)}}, 1},
    {2, INTS(6, 35), {{Op_slice, 2, INTS(0, 3), INTS(6, 35), INTS(2, 3)}}, 1},
    {2, INTS(6, 35), {{Op_slice, 2, INTS(3, 3), INTS(3, 35), INTS(1, 1)}}, 1},
    {1, INTS(35), {{Op_flip, 1, INTS(0), 0, 0}}, 1},
    {2, INTS(5, 21), {{Op_flip, 2, INTS(0, 1), 0, 0}}, 1},
    {2, INTS(12, 10), {{Op_reshape, 3, INTS(3, 8, 5), 0, 0}}, 1},
    {2, INTS(12, 10), {{Op_reshape, 1, INTS(120), 0, 0}}, 1},
    {2, INTS(12, 1), {{Op_reshape, 3, INTS(1, 12, 1), 0, 0}}, 1},
    {1, INTS(1), {{Op_reshape, 0, INTS(0), 0, 0}}, 1},
    {2, INTS(0, 10), {{Op_reshape, 2, INTS(5, 0), 0, 0}}, 1},
    {1, INTS(20), {{Op_pad, 1, INTS(3), INTS(4), INTS(0)}}, 1},
    {1, INTS(20), {{Op_pad, 1, INTS(-3), INTS(-4), INTS(0)}}, 1},
    {1, INTS(20), {{Op_pad, 1, INTS(2), INTS(-5), INTS(2)}}, 1},
    {2, INTS(3, 0), {{Op_pad, 2, INTS(1, 2), INTS(1, 3), INTS(0, 0)}}, 1},
    {2, INTS(4, 19), {{Op_pad, 2, INTS(1, 2), INTS(0, 3), INTS(1, 0)}}, 1},
    {2, INTS(5, 32), {{Op_pad, 2, INTS(0, 32), INTS(0, 64), INTS(0, 0)}}, 1},
    {2, INTS(5, 67), {{Op_pad, 2, INTS(-1, -3), INTS(2, 35), INTS(0, 0)}}, 1},
    {2,
     INTS(5, 67),
     {{Op_pad, 2, INTS(0, 35), INTS(1, -3), INTS(0, 0)},
      {Op_slice, 2, INTS(1, 2), INTS(6, 99), INTS(1, 1)},
      {Op_pad, 2, INTS(2, 7), INTS(0, -11), INTS(0, 0)}},
     3},
    {2,
     INTS(37, 41),
     {{Op_pad, 2, INTS(3, 1), INTS(-5, 9), INTS(0, 0)},
      {Op_transpose, 2, INTS(1, 0), 0, 0},
      {Op_pad, 2, INTS(2, 5), INTS(1, 6), INTS(0, 0)}},
     3},
    {2,
     INTS(6, 20),
     {{Op_pad, 2, INTS(1, 2), INTS(1, 2), INTS(0, 0)},
      {Op_reshape, 3, INTS(2, 4, 24), 0, 0},
      {Op_pad, 3, INTS(1, 0, 9), INTS(0, 1, 9), INTS(0, 0, 0)}},
     3},
    {2,
     INTS(17, 33),
     {{Op_transpose, 2, INTS(1, 0), 0, 0},
      {Op_flip, 1, INTS(0), 0, 0},
      {Op_slice, 2, INTS(1, 0), INTS(33, 17), INTS(2, 3)}},
     3},
    {2,
     INTS(12, 10),
     {{Op_transpose, 2, INTS(1, 0), 0, 0},
      {Op_reshape, 1, INTS(120), 0, 0},
      {Op_pad, 1, INTS(5), INTS(5), INTS(1)}},
     3},
    {1,
     INTS(6),
     {{Op_pad, 1, INTS(1), INTS(1), INTS(0)},
      {Op_broadcast, 2, INTS(4, 8), 0, 0},
      {Op_reshape, 2, INTS(8, 4), 0, 0}},
     3},
    {3,
     INTS(2, 3, 20),
     {{Op_flip, 1, INTS(2), 0, 0},
      {Op_transpose, 3, INTS(1, 2, 0), 0, 0},
      {Op_reshape, 2, INTS(6, 20), 0, 0}},
     3},
};

/* The view of x, of a value computed from x, and what follows it beside a stored view. */
static void write_views(Program *p) {
    static const DType types[] = {F32, F64, BF16, I32, I64};
    for (size_t k = 0; k < LEN(chains); k++) {
        const Chain *c = &chains[k];
        for (size_t t = 0; t < LEN(types); t++) {
            if (t > 1 && (k + t) % 4) continue;
            Type type = type_in(p, types[t], c->rank, c->dim);
            Builder *b = fn_open(p, "view_%d_%s", (int)k, dtype_name(types[t]));
            Val x = arg(p, b, "a", type), y = op1(b, Op_neg, b_mul(b, x, x));
            for (uint32_t v = 0; v < c->n; v++) {
                x = apply(p, b, &c->views[v], x);
                y = apply(p, b, &c->views[v], y);
                if (v == 1) y = b_mul(b, y, y);
            }
            fn_done(p, b, b_add(b, op2(b, Op_sub, y, x), y));
        }
    }
}

static void views(void **state) {
    (void)state;
    compare(write_views);
}

static void write_sources(Program *p) {
    static const int sizes[] = {0, 1, 16, 37, 4099};
    for (size_t k = 0; k < LEN(sizes); k++) {
        int n = sizes[k];
        for (int dt = F32; dt <= BF16; dt++) {
            Builder *b = fn_open(p, "rng_%s_%d", dtype_name((DType)dt), n);
            Val key = arg(p, b, "s", dims(p, I64, 0));
            key = op2(b, Op_fold, key, b_int(b, dims(p, I64, 0), 3));
            Attr stream = attr_int(7);
            Type type = n == 37 ? dims(p, (DType)dt, 2, 5, n) : dims(p, (DType)dt, 1, n);
            Val x = b_op(b, Op_rng, &key, 1, &stream, &type);
            if (n == 37) x = op1(b, Op_transpose, x);
            fn_done(p, b, b_add(b, x, b_float(b, b_type(b, x), 1)));
        }
        Builder *b = fn_open(p, "iota_%d", n);
        Val x = arg(p, b, "a", dims(p, I32, 1, n));
        Attr count = attr_int(n);
        Val i = b_op(b, Op_iota, NULL, 0, &count, NULL);
        fn_done(p, b, b_add(b, i, b_mul(b, i, x)));
    }
}

static void sources(void **state) {
    (void)state;
    compare(write_sources);
}

static Val moved(Builder *b, Op op, const Val *x, uint32_t n, Attr first, Attr second) {
    return b_op(b, op, x, n, (Attr[]){first, second}, NULL);
}

static Type index_type(Program *p, int64_t range, uint32_t rank, const int64_t *dim) {
    Type t = type_in(p, I32, rank, dim);
    t.range = range;
    return t;
}

/* Along each axis of [3, 7, 5]; every type that the operation takes. */
static void write_moves(Program *p) {
    static const DType types[] = {F32, F64, BF16, I32, I64};
    static const int64_t shape[] = {3, 7, 5}, picks[] = {2, 4};
    Attr none = {0};
    for (size_t t = 0; t < LEN(types); t++) {
        for (int64_t axis = 0; axis < 3; axis++) {
            Attr at = attr_int(axis);
            Type type = type_in(p, types[t], 3, shape);
            for (int op = 0; op < 6; op++) {
                static const Op ops[] = {Op_argmax, Op_argmin, Op_cumsum,
                                         Op_cumsum, Op_gather, Op_scatter_add};
                int64_t taken[] = {3, 7, 5, 0};
                Builder *b = fn_open(p, "%s%d_%s_%d", op_info[ops[op]].name, op,
                                     dtype_name(types[t]), (int)axis);
                Val x[3] = {arg(p, b, op < 2 ? "s" : "a", type)};
                uint32_t n = op == 4 ? 2 : op == 5 ? 3 : 1;
                if (n > 1) x[1] = arg(p, b, "i", index_type(p, shape[axis], 2, picks));
                memmove(taken + axis + 2, taken + axis + 1, (size_t)(2 - axis) * sizeof *taken);
                memcpy(taken + axis, picks, sizeof picks);
                if (n > 2) x[2] = arg(p, b, "u", type_in(p, types[t], 4, taken));
                Val r = moved(b, ops[op], x, n, at, op < 2 || n > 1 ? none : attr_bool(op == 3));
                fn_done(p, b, r);
            }
            int64_t other[] = {3, 7, 5};
            other[axis] = 4;
            Builder *b = fn_open(p, "concat_%s_%d", dtype_name(types[t]), (int)axis);
            Val x = arg(p, b, "a", type), y = arg(p, b, "u", type_in(p, types[t], 3, other));
            Val z = b_mul(b, x, x);
            fn_done(p, b, moved(b, Op_concat, (Val[]){z, y, x, z}, 4, at, none));
        }
    }
}

static void moves(void **state) {
    (void)state;
    compare(write_moves);
}

/* Moves whose vectors have ends, whose last dimensions are 1, whose operands are empty. */
static void write_shapes(Program *p) {
    static const int64_t shapes[][3] = {{2, 3, 37}, {37, 3, 1}, {1, 40, 1}, {0, 3, 5}, {1, 1, 33}};
    static const Op ops[] = {Op_argmax, Op_cumsum, Op_gather, Op_scatter_add, Op_concat};
    Attr none = {0};
    for (size_t s = 0; s < LEN(shapes); s++) {
        for (size_t o = 0; o < LEN(ops); o++) {
            for (int64_t axis = 0; axis < 3; axis++) {
                int64_t n = shapes[s][axis], taken[3] = {shapes[s][0], shapes[s][1], shapes[s][2]};
                if (!n) continue;
                Builder *b = fn_open(p, "%s_%d_%d", op_info[ops[o]].name, (int)s, (int)axis);
                Val x[3] = {arg(p, b, "a", type_in(p, F32, 3, shapes[s]))};
                uint32_t count = ops[o] == Op_gather ? 2 : ops[o] == Op_scatter_add ? 3 : 1;
                taken[axis] = 19;
                if (count > 1) x[1] = arg(p, b, "i", index_type(p, n, 1, &taken[axis]));
                if (count > 2) x[2] = arg(p, b, "u", type_in(p, F32, 3, taken));
                if (ops[o] == Op_concat) x[1] = arg(p, b, "u", type_in(p, F32, 3, taken));
                if (ops[o] == Op_concat) count = 2;
                fn_done(p, b, moved(b, ops[o], x, count, attr_int(axis), none));
            }
        }
    }
}

static void shapes_of_moves(void **state) {
    (void)state;
    compare(write_shapes);
}

static void write_large(Program *p) {
    Builder *b = fn_open(p, "flat");
    Val x = arg(p, b, "a", dims(p, F32, 1, 100003));
    fn_done(p, b, b_add(b, b_mul(b, x, x), x));
    b = fn_open(p, "transposed");
    x = arg(p, b, "a", dims(p, F32, 2, 211, 307));
    Val y = arg(p, b, "b", dims(p, F32, 2, 307, 211));
    fn_done(p, b, b_add(b, op1(b, Op_transpose, x), y));
    b = fn_open(p, "row");
    x = arg(p, b, "a", dims(p, F32, 1, 100003));
    fn_done(p, b, op_ints(p, b, Op_flip, x, 1, INTS(0), NULL, NULL));
    b = fn_open(p, "unit");
    x = arg(p, b, "a", dims(p, F64, 3, 1, 401, 203));
    fn_done(p, b, op_ints(p, b, Op_transpose, x, 3, INTS(0, 2, 1), NULL, NULL));
    b = fn_open(p, "planes");
    x = arg(p, b, "a", dims(p, F32, 3, 3, 203, 101));
    fn_done(p, b, op_ints(p, b, Op_transpose, x, 3, INTS(0, 2, 1), NULL, NULL));
    static const Op ops[] = {Op_argmax, Op_cumsum};
    Attr none = {0};
    for (int k = 0; k < 4; k++) {
        b = fn_open(p, "%s_%d", op_info[ops[k % 2]].name, k / 2);
        x = arg(p, b, "a", dims(p, F32, 2, 203, 401));
        fn_done(p, b, moved(b, ops[k % 2], &x, 1, attr_int(k / 2), none));
    }
    b = fn_open(p, "gather");
    x = arg(p, b, "a", dims(p, F32, 2, 50, 77));
    y = arg(p, b, "i", index_type(p, 50, 1, INTS(1001)));
    fn_done(p, b, moved(b, Op_gather, (Val[]){x, y}, 2, attr_int(0), none));
}

static void large(void **state) {
    (void)state;
    assert_true(compare(write_large) > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(views), cmocka_unit_test(sources),
                                       cmocka_unit_test(moves), cmocka_unit_test(shapes_of_moves),
                                       cmocka_unit_test(large)};
    return cmocka_run_group_tests_name("codegen, views and movement", tests, NULL, NULL);
}
