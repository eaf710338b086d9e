/* Contractions of generated code against the rounding interpreter, bit by bit: sizes around every
 * tile and vector, stored either way, at all levels and for two targets. */
#include "tests/codegen/contraction.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MaxCases = 256 };

typedef struct Case {
    Contraction c;
    double *a, *b, *bias, *expected; /* a and b as they are stored */
    void *args[4];                   /* a, b, bias, result, in the type */
} Case;

static int64_t batches(const Contraction *c) { return c->batch ? c->batch : 1; }

/* What the interpreter says, each operation rounded and sums in the order of the contract. */
static void reference(Case *t) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    contraction_add(p, "f", &t->c);
    const Fn *f = program_fn(p, sym(cx, "f"));
    double *data[] = {t->a, t->b, t->bias};
    Tensor args[LEN(data)], result;
    for (uint32_t i = 0; i < LEN(data); i++) {
        args[i] = tensor_new(cx->arena, f->ins.data[i].type, false);
        memcpy(args[i].re, data[i], (size_t)args[i].type.shape->size * sizeof(double));
    }
    interp_run(p, f, InterpRound, cx->arena, args, &result, NULL);
    memcpy(t->expected, result.re, (size_t)result.type.shape->size * sizeof(double));
    cx_free(cx);
}

static void *stored(DType dt, const double *x, int64_t n) {
    unsigned char *out = aligned_alloc(64, ((size_t)n * dtype_size(dt) + 127) / 64 * 64);
    for (int64_t i = 0; i < n; i++) {
        float f = (float)x[i];
        if (dt == F64) memcpy(out + i * 8, &x[i], 8);
        if (dt == F32) memcpy(out + i * 4, &f, 4);
        if (dt == BF16) memcpy(out + i * 2, (char *)&f + 2, 2);
    }
    return out;
}

static double rounded(DType dt, double x) {
    return dt == F64 ? x : dt == F32 ? (double)(float)x : (double)round_bf16((float)x);
}

static double *numbers(DType dt, int64_t n, uint64_t key) {
    double *x = calloc((size_t)n + 1, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = rounded(dt, rng_f64(rng_bits(key, (uint64_t)i)) * 2 - 1);
    return x;
}

static Case case_of(Contraction c) {
    int64_t b = batches(&c);
    Case t = {.c = c};
    t.a = numbers(c.dt, b * c.m * c.k, 1);
    t.b = numbers(c.dt, b * c.k * c.n, 2);
    t.bias = numbers(c.dt, c.n, 3);
    t.expected = numbers(c.dt, b * c.m * c.n, 4);
    t.args[0] = stored(c.dt, t.a, b * c.m * c.k);
    t.args[1] = stored(c.dt, t.b, b * c.k * c.n);
    t.args[2] = stored(c.dt, t.bias, c.n);
    t.args[3] = stored(c.dt, t.expected, b * c.m * c.n);
    reference(&t);
    return t;
}

static void case_free(Case *t) {
    free(t->a), free(t->b), free(t->bias), free(t->expected);
    for (int i = 0; i < 4; i++) free(t->args[i]);
}

static void run(Case *t, BpEntry *f, const char *how) {
    const Contraction *c = &t->c;
    int64_t n = batches(c) * c->m * c->n, size = (int64_t)dtype_size(c->dt);
    memset(t->args[3], 0xFF, (size_t)(n * size + 1));
    f(t->args, NULL, NULL);
    void *expected = stored(c->dt, t->expected, n);
    int64_t wrong = 0;
    while (wrong < n && !memcmp((char *)expected + wrong * size, (char *)t->args[3] + wrong * size,
                                (size_t)size)) wrong++;
    free(expected);
    if (wrong < n)
        fail_msg("%s [%d x %d x %d x %d] flipped %d %d bias %d root %d, %s: element %d differs",
                 dtype_name(c->dt), (int)batches(c), (int)c->m, (int)c->n, (int)c->k, c->a_flipped,
                 c->b_flipped, c->biased, c->rooted, how, (int)wrong);
    assert_int_equal(((unsigned char *)t->args[3])[n * size], 0xFF);
}

typedef struct Build {
    const char *how, *cpu;
    int level;
} Build;
static const Build builds[] = {
    {"-O0", NULL, 0}, {"-O3", NULL, 3}, {"-O2 -march=x86-64-v3", "x86-64-v3", 2}};

static void check_all(Case *cases, uint32_t n) {
    for (size_t i = 0; i < LEN(builds); i++) {
        Cx *cx = cx_new();
        Program *p = program_new(cx);
        p->name = p->path = sym(cx, "contract");
        for (uint32_t k = 0; k < n; k++) contraction_add(p, sym_fmt(cx, "f%u", k), &cases[k].c);
        CgOptions o = {.level = builds[i].level, .cpu = builds[i].cpu, .library = true};
        Cg *cg = cg_build(p, &o);
        assert_non_null(cg);
        Jit *jit = jit_new(cg);
        for (uint32_t k = 0; k < n; k++)
            run(&cases[k], (BpEntry *)(uintptr_t)jit_symbol(jit, sym_fmt(cx, "bp_f%u", k)),
                builds[i].how);
        jit_free(jit);
        cg_free(cg);
        cx_free(cx);
    }
    for (uint32_t k = 0; k < n; k++) case_free(&cases[k]);
}

/* Sizes of M and N that are met by turns. */
static const int64_t sizes[][2] = {
    {2, 2},    {7, 5},   {15, 16}, {16, 17}, {17, 48}, {33, 31}, {3, 64},
    {29, 100}, {64, 10}, {5, 3},   {32, 31}, {50, 23}, {14, 90},
};

static void tiles(void **state) {
    (void)state;
    static const int64_t lengths[] = {0, 1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 4097};
    static Case cases[MaxCases];
    uint32_t n = 0, turn = 0;
    for (size_t l = 0; l < LEN(lengths); l++)
        for (int dt = F32; dt <= BF16; dt++)
            for (int flip = 0; flip < 4; flip++, turn++) {
                if (dt == BF16 && (l + (size_t)flip) % 3) continue;
                const int64_t *s = sizes[turn % LEN(sizes)];
                cases[n++] = case_of((Contraction){(DType)dt, 0, s[0], s[1], lengths[l], flip & 1,
                                                   flip >> 1, turn % 3 == 0, turn % 6 == 0});
            }
    check_all(cases, n);
}

static void dots(void **state) {
    (void)state;
    static const int64_t lengths[] = {0, 1, 31, 63, 64, 65, 129, 600, 4096, 4097, 12345};
    static Case cases[MaxCases];
    uint32_t n = 0, turn = 0;
    for (size_t l = 0; l < LEN(lengths); l++)
        for (int dt = F32; dt <= BF16; dt++)
            for (int flip = 0; flip < 4; flip++, turn++) {
                int64_t other = sizes[turn % LEN(sizes)][1], one = turn % 5 == 4 ? 1 : other;
                bool row = turn & 4;
                cases[n++] =
                    case_of((Contraction){(DType)dt, 0, row ? 1 : one, row ? other : 1, lengths[l],
                                          flip & 1, flip >> 1, turn % 3 == 0, false});
            }
    check_all(cases, n);
}

static void batches_and_blocks(void **state) {
    (void)state;
    static Case cases[22];
    cases[0] = case_of((Contraction){F32, 3, 5, 19, 8, false, true, true, false});
    cases[1] = case_of((Contraction){F64, 4, 1, 19, 70, false, false, false, false});
    cases[2] = case_of((Contraction){F32, 2, 6, 1, 70, true, false, false, false});
    cases[3] = case_of((Contraction){F32, 0, 300, 70, 2000, false, true, true, true});
    cases[4] = case_of((Contraction){F32, 0, 140, 600, 700, false, false, false, false});
    cases[5] = case_of((Contraction){F64, 0, 40, 50, 9000, true, true, false, false});
    cases[6] = case_of((Contraction){F32, 0, 0, 3, 4, false, false, false, false});
    cases[7] = case_of((Contraction){F32, 0, 203, 50, 260, true, false, true, true});
    cases[8] = case_of((Contraction){F64, 0, 137, 300, 257, true, true, false, false});
    cases[9] = case_of((Contraction){BF16, 3, 30, 50, 260, true, false, true, false});
    cases[10] = case_of((Contraction){F32, 0, 31, 45, 4200, true, false, false, false});
    cases[11] = case_of((Contraction){F32, 0, 31, 200, 700, false, false, true, false});
    cases[12] = case_of((Contraction){F64, 0, 20, 90, 4200, true, false, false, false});
    cases[13] = case_of((Contraction){BF16, 2, 33, 330, 300, false, false, true, true});
    cases[14] = case_of((Contraction){F32, 0, 31, 200, 4200, false, false, true, true});
    cases[15] = case_of((Contraction){F32, 0, 80, 16, 256, false, false, false, false});
    cases[16] = case_of((Contraction){F32, 0, 76, 16, 256, true, false, true, false});
    cases[17] = case_of((Contraction){F64, 0, 44, 40, 5000, false, true, false, false});
    cases[18] = case_of((Contraction){F32, 2, 1, 1100, 700, false, false, true, false});
    cases[19] = case_of((Contraction){F64, 0, 1100, 1, 300, true, false, false, true});
    cases[20] = case_of((Contraction){F32, 0, 1, 331, 4200, false, false, false, true});
    cases[21] = case_of((Contraction){BF16, 0, 1, 1030, 130, false, false, true, false});
    check_all(cases, LEN(cases));
}

/* Few rows times a B stored by columns: vectors of 4, 8 and 16 lanes, one panel and several, items
 * of some of the columns, blocks of K and chunks of sums. */
static void turned(void **state) {
    (void)state;
    static const Contraction few[] = {
        {F32, 0, 16, 64, 64, false, true, false, false},
        {F32, 2, 24, 96, 100, true, true, true, false},
        {F32, 0, 32, 608, 50, false, true, true, true},
        {F32, 0, 16, 48, 4200, false, true, true, false},
        {F32, 0, 48, 176, 700, true, true, false, true},
        {F32, 0, 64, 320, 257, false, true, true, false},
        {F64, 3, 12, 100, 64, false, true, true, true},
        {F64, 0, 16, 624, 70, true, true, false, false},
        {F64, 0, 8, 36, 5000, false, true, true, false},
        {BF16, 0, 16, 72, 130, true, true, true, true},
        {BF16, 2, 32, 160, 300, false, true, false, false},
    };
    static Case cases[LEN(few)];
    for (size_t i = 0; i < LEN(few); i++) cases[i] = case_of(few[i]);
    check_all(cases, LEN(cases));
}

/* ---- operands that are views ---- */

typedef struct Views {
    Cx *cx;
    Program *p;
    Builder *b;
} Views;

static Attr ints(Views *t, uint32_t n, const int64_t *v) { return attr_ints(t->cx, v, n); }
#define INTS(...)                                                                                  \
    ints(t, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static Val param_of(Views *t, const char *name, Attr dims) {
    return b_param(t->b, sym(t->cx, name), type_of(F32, shape_of(t->cx, dims.is.v, dims.is.n)));
}

static Val view(Views *t, Op op, Val x, Attr a, Attr b, Attr c) {
    return b_op(t->b, op, &x, 1, (Attr[MaxAttrs]){a, b, c}, NULL);
}

static Val padded(Views *t, Val x, Attr lo, Attr hi) {
    Val args[] = {x, b_float(t->b, type_of(F32, shape_of(t->cx, NULL, 0)), 0.5)};
    return b_op(t->b, Op_pad, args, 2, (Attr[MaxAttrs]){lo, hi}, NULL);
}

static void merged_and_cut(Views *t, Val *x) {
    Val a = param_of(t, "a", INTS(2, 3, 8)), b = param_of(t, "b", INTS(10, 12));
    x[0] = view(t, Op_reshape, a, INTS(6, 8), (Attr){0}, (Attr){0});
    x[1] = view(t, Op_slice, b, INTS(1, 2), INTS(9, 9), INTS(1, 1));
}

static void flipped_and_spread(Views *t, Val *x) {
    Val a = param_of(t, "a", INTS(5, 6)), b = param_of(t, "b", INTS(6, 1));
    a = view(t, Op_flip, a, INTS(1), (Attr){0}, (Attr){0});
    x[0] = view(t, Op_broadcast, a, INTS(3, 5, 6), (Attr){0}, (Attr){0});
    x[1] = view(t, Op_broadcast, b, INTS(3, 6, 20), (Attr){0}, (Attr){0});
}

static void padded_and_regrouped(Views *t, Val *x) {
    Val a = param_of(t, "a", INTS(4, 5)), b = param_of(t, "b", INTS(7, 24));
    x[0] = padded(t, a, INTS(0, 1), INTS(1, 2));
    b = view(t, Op_transpose, b, INTS(1, 0), (Attr){0}, (Attr){0});
    x[1] = view(t, Op_reshape, b, INTS(8, 21), (Attr){0}, (Attr){0});
}

static void split_and_strided(Views *t, Val *x) {
    Val a = param_of(t, "a", INTS(2, 60)), b = param_of(t, "b", INTS(2, 19, 12));
    x[0] = view(t, Op_reshape, a, INTS(2, 1, 10, 6), (Attr){0}, (Attr){0});
    x[0] = view(t, Op_reshape, x[0], INTS(2, 10, 6), (Attr){0}, (Attr){0});
    b = view(t, Op_slice, b, INTS(0, 0, 1), INTS(2, 19, 12), INTS(1, 1, 2));
    x[1] = view(t, Op_transpose, b, INTS(0, 2, 1), (Attr){0}, (Attr){0});
}

static void row_and_padded(Views *t, Val *x) {
    Val a = param_of(t, "a", INTS(300, 3)), b = param_of(t, "b", INTS(298, 33));
    a = view(t, Op_slice, a, INTS(0, 1), INTS(300, 2), INTS(1, 1));
    x[0] = view(t, Op_transpose, a, INTS(1, 0), (Attr){0}, (Attr){0});
    x[1] = padded(t, b, INTS(1, 0), INTS(1, 0));
}

static void views_at(void (*make)(Views *, Val *), int level) {
    Views v = {.cx = cx_new()}, *t = &v;
    t->p = program_new(t->cx);
    t->p->name = t->p->path = sym(t->cx, "views");
    t->b = builder_new(t->p, sym(t->cx, "f"), true);
    Val x[2];
    make(t, x);
    Val root = b_op(t->b, Op_matmul, x, 2, NULL, NULL);
    b_result(t->b, root);
    Fn *f = builder_done(t->b);
    f->exported = true;
    program_add(t->p, f);
    contraction_fuse(t->p, f, root);
    Tensor args[2], result;
    void *data[3];
    for (uint32_t i = 0; i < 2; i++) {
        args[i] = tensor_new(t->cx->arena, f->ins.data[i].type, false);
        int64_t n = args[i].type.shape->size;
        for (int64_t k = 0; k < n; k++)
            args[i].re[k] = (double)(rng_f32(rng_bits(i, (uint64_t)k)) - 0.5f);
        data[i] = stored(F32, args[i].re, n);
    }
    interp_run(t->p, f, InterpRound, t->cx->arena, args, &result, NULL);
    data[2] = stored(F32, result.re, result.type.shape->size);
    size_t bytes = (size_t)result.type.shape->size * sizeof(float);
    void *got = malloc(bytes);
    Cg *cg = cg_build(t->p, &(CgOptions){.level = level, .library = true});
    Jit *jit = jit_new(cg);
    BpEntry *entry = (BpEntry *)(uintptr_t)jit_symbol(jit, "bp_f");
    entry((void *[]){data[0], data[1], got}, NULL, NULL);
    assert_memory_equal(got, data[2], bytes);
    jit_free(jit);
    cg_free(cg);
    for (int i = 0; i < 3; i++) free(data[i]);
    free(got);
    cx_free(t->cx);
}

static void views(void **state) {
    (void)state;
    static void (*const makers[])(Views *, Val *) = {merged_and_cut, flipped_and_spread,
                                                     padded_and_regrouped, split_and_strided,
                                                     row_and_padded};
    for (size_t i = 0; i < LEN(makers); i++)
        for (int level = 0; level <= 3; level += 3) views_at(makers[i], level);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles),  cmocka_unit_test(dots),  cmocka_unit_test(batches_and_blocks),
        cmocka_unit_test(turned), cmocka_unit_test(views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
