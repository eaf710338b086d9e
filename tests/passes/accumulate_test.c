/* Sums of adjoints. accumulate(sum, x) is sum + x, whatever the two are: in place where x has few
 * elements that are not zero, else one addition. Parts that lie side by side are joined. */
#include "passes/reverse.h"
#include "tests/passes/support.h"

enum { N = 16, M = 17 };
typedef enum Kind {
    Plain,    /* a parameter */
    Scatter,  /* into zeros */
    Onto,     /* into another scatter_add */
    Ones,     /* into ones */
    Stairs,   /* into 0 1 2 .., no zeros but for the first */
    Row,      /* a pad of one row */
    Strided,  /* of two rows, one apart */
    Eighth,   /* of an eighth of all */
    Wider,    /* of a row more */
    Column,   /* of two columns, one apart */
    Last,     /* of the last column */
    Corner,   /* along both */
    Cut,      /* of two rows, the first cut off */
    CutEnd,   /* the last */
    CutLeft,  /* of two columns, the first cut off */
    CutRight, /* the last */
    Filled,   /* with ones around */
    Empty,    /* of no row */
    Nothing,  /* of none before the first */
    Low,      /* the whole in three parts */
    Mid,
    High,
    Left,     /* and in two */
    Right,
    KindCount
} Kind;

typedef struct Pad {
    int64_t rows, cols, lo, hi, left, right, gap, across;
    double fill;
} Pad;

static const Pad pads[] = {
    [Row] = {1, M, 4, 11, 0, 0, 0, 0, 0},      [Strided] = {2, M, 5, 8, 0, 0, 1, 0, 0},
    [Eighth] = {2, M, 3, 11, 0, 0, 0, 0, 0},   [Wider] = {3, M, 3, 10, 0, 0, 0, 0, 0},
    [Column] = {N, 2, 0, 0, 13, 1, 0, 1, 0},   [Last] = {N, 1, 0, 0, 16, 0, 0, 0, 0},
    [Corner] = {1, 1, 2, 13, 1, 15, 0, 0, 0},  [Cut] = {2, M, -1, 15, 0, 0, 0, 0, 0},
    [CutEnd] = {2, M, 15, -1, 0, 0, 0, 0, 0},  [CutLeft] = {N, 2, 0, 0, -1, 16, 0, 0, 0},
    [CutRight] = {N, 2, 0, 0, 16, -1, 0, 0, 0}, [Filled] = {1, M, 4, 11, 0, 0, 0, 0, 1},
    [Empty] = {0, M, 4, 12, 0, 0, 0, 0, 0},    [Nothing] = {0, M, 0, 16, 0, 0, 0, 0, 0},
    [Low] = {4, M, 0, 12, 0, 0, 0, 0, 0},      [Mid] = {4, M, 4, 8, 0, 0, 0, 0, 0},
    [High] = {8, M, 8, 0, 0, 0, 0, 0, 0},      [Left] = {N, 4, 0, 0, 0, 13, 0, 0, 0},
    [Right] = {N, 13, 0, 0, 4, 0, 0, 0, 0},
};

static Val padded(T *t, const Pad *p, Val inner) {
    Attr attrs[] = {attr_ints(t->cx, (int64_t[]){p->lo, p->left}, 2),
                    attr_ints(t->cx, (int64_t[]){p->hi, p->right}, 2),
                    attr_ints(t->cx, (int64_t[]){p->gap, p->across}, 2)};
    Val fill = t_num(t, t_type(t, 0), p->fill);
    return b_op(t->b, Op_pad, (Val[]){inner, fill}, 2, attrs, NULL);
}

/* The rows of u added to two rows, to one of them twice. */
static Val scattered(T *t, Val base, int64_t at, Val u) {
    int64_t n = 3;
    Num ids[] = {{.i = at}, {.i = at + 3}, {.i = at}};
    Type index = {I32, N, shape_of(t->cx, &n, 1)};
    Attr axis = attr_int(0);
    Val args[] = {base, b_const(t->b, index, ids, 3), u};
    return b_op(t->b, Op_scatter_add, args, 3, &axis, NULL);
}

/* What a kind is made of. */
static Type part_type(T *t, Kind kind) {
    if (kind == Plain) return t_type(t, 2, N, M);
    if (kind <= Stairs) return t_type(t, 2, 3, M);
    return t_type(t, 2, (int)pads[kind].rows, (int)pads[kind].cols);
}

static Val make(T *t, Kind kind, int64_t at, Val part) {
    Type all = t_type(t, 2, N, M);
    Num stairs[N * M];
    for (int k = 0; k < N * M; k++) stairs[k].f = k;
    switch (kind) {
    case Plain: return part;
    case Scatter: return scattered(t, t_num(t, all, 0), at, part);
    case Onto: return scattered(t, scattered(t, t_num(t, all, 0), at + 1, part), at, part);
    case Ones: return scattered(t, t_num(t, all, 1), at, part);
    case Stairs: return scattered(t, b_const(t->b, all, stairs, N * M), at, part);
    default: return padded(t, &pads[kind], part);
    }
}

static bool in_place(Kind k) {
    return (k >= Scatter && k <= Stairs) || (k >= Row && k <= Eighth) || k == Column || k == Last;
}

static void check_pair(Kind sum, Kind x) {
    T *t = t_new();
    t_fn(t, "f");
    Val u = t_param(t, "u", part_type(t, sum)), v = t_param(t, "v", part_type(t, x));
    Val a = make(t, sum, 2, u), b = make(t, x, 7, v), y = accumulate(t->cx, t->b, a, b);
    Fn *fn = t_end(t, a, b, y, NoVal);
    verify_fn(t->p, fn);
    Tensor *got = t_run(t, fn, t_args(t, fn, sum * KindCount + x));
    for (int e = 0; e < N * M; e++) {
        double want = got[0].re[e] + got[1].re[e];
        assert_true(fabs(got[2].re[e] - want) <= 1e-14 * (1 + fabs(want)));
    }
    const Ins *i = &fn->ins.data[fn->results.data[2]];
    bool sparse = sum == Scatter || sum == Onto; /* a sum of zeros but for a few */
    if (!sparse && i->op != Op_const) assert_int_equal(i->op == Op_scatter_add, in_place(x));
    if (sum == Scatter) assert_int_equal(i->op, Op_scatter_add);
    t_free(t);
}

static void test_pairs(void **state) {
    (void)state;
    for (Kind sum = 0; sum < KindCount; sum++) {
        for (Kind x = 0; x < KindCount; x++) check_pair(sum, x);
    }
}

/* ---- parts ---- */

/* The adjoint of one value to which these have been added, checked against their sum. */
static const Fn *summed(T *t, const Kind *kind, uint32_t n, uint64_t seed) {
    enum { Most = 6 };
    t_fn(t, "of");
    Fn *of = t_end(t, t_param(t, "x", t_type(t, 2, N, M)), NoVal);
    t_fn(t, "f");
    Val part[Most], x[Most], adj = NoVal, mask = NoVal;
    struct Parts *parts = NULL;
    Reverse r = {.p = t->p, .fn = of, .b = t->b, .adj = &adj, .mask = &mask, .parts = &parts};
    for (uint32_t k = 0; k < n; k++) {
        part[k] = t_param(t, arena_printf(t->cx->arena, "u%u", k), part_type(t, kind[k]));
    }
    for (uint32_t k = 0; k < n; k++) x[k] = make(t, kind[k], (int64_t)(seed + k) % 12, part[k]);
    for (uint32_t k = 0; k < n; k++) add_adjoint(&r, 0, x[k], NoVal, sym(t->cx, "B"));
    settle_parts(&r, 0);
    settle_parts(&r, 0); /* there is nothing left */
    for (uint32_t k = 0; k < n; k++) b_result(t->b, x[k]);
    Fn *fn = t_end(t, adj, NoVal);
    verify_fn(t->p, fn);
    Tensor *got = t_run(t, fn, t_args(t, fn, seed));
    for (int e = 0; e < N * M; e++) {
        double want = 0;
        for (uint32_t k = 0; k < n; k++) want += got[k].re[e];
        assert_true(fabs(got[n].re[e] - want) <= 1e-14 * (1 + fabs(want)));
    }
    fn->results.data += n; /* the sum alone */
    fn->results.len = 1;
    return drop_dead(t->p, fn);
}

static void test_sums(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 600; seed++) {
        T *t = t_new();
        Kind kind[5];
        uint32_t n = 1 + (uint32_t)seed % 5;
        for (uint32_t k = 0; k < n; k++) {
            kind[k] = (Kind)((rng_bits(seed, k) >> 33) % (k % 2 ? KindCount : KindCount - Row));
            if (k % 2 == 0) kind[k] += Row;
        }
        summed(t, kind, n, seed);
        t_free(t);
    }
}

static uint32_t count_op(const Fn *fn, Op op) {
    uint32_t n = 0;
    for (Val v = 0; v < fn->ins.len; v++) n += fn->ins.data[v].op == op;
    return n;
}

static void test_joined(void **state) {
    (void)state;
    static const struct {
        uint32_t n;
        Kind kind[5];
        uint32_t concats, pads, adds;
    } cases[] = {
        {3, {Low, Mid, High}, 1, 0, 0},        {3, {High, Mid, Low}, 1, 0, 0},
        {3, {Mid, High, Low}, 1, 0, 0},        {3, {High, Low, Mid}, 1, 0, 0},
        {2, {Low, Mid}, 1, 1, 0},              {2, {High, Mid}, 1, 1, 0},
        {2, {Right, Left}, 1, 0, 0},           {2, {High, Low}, 0, 2, 1},
        {2, {Mid, Mid}, 0, 2, 1},              {1, {Mid}, 0, 1, 0},
        {4, {Right, Mid, Left, Low}, 2, 1, 1}, {2, {Low, Right}, 0, 2, 1},
        {4, {Mid, Low, Mid, High}, 2, 2, 1},   {3, {Low, Plain, Mid}, 1, 1, 1},
        {2, {Corner, Low}, 0, 2, 1},           {2, {Filled, Mid}, 0, 2, 1},
        {2, {Cut, Mid}, 0, 2, 1},              {2, {CutEnd, Mid}, 0, 2, 1},           {2, {Column, Last}, 0, 1, 0},
        {2, {Low, Right}, 0, 2, 1},            {2, {High, CutLeft}, 0, 2, 1},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        T *t = t_new();
        const Fn *fn = summed(t, cases[i].kind, cases[i].n, i);
        assert_int_equal(count_op(fn, Op_concat), cases[i].concats);
        assert_int_equal(count_op(fn, Op_pad), cases[i].pads);
        assert_int_equal(count_op(fn, Op_add), cases[i].adds);
        t_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs), cmocka_unit_test(test_sums),
                                       cmocka_unit_test(test_joined)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
