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
        fail_msg("%s [%d x %d x %d x %d] flipped %d %d bias %d, %s: element %d differs",
                 dtype_name(c->dt), (int)batches(c), (int)c->m, (int)c->n, (int)c->k, c->a_flipped,
                 c->b_flipped, c->biased, how, (int)wrong);
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
    {2, 2}, {7, 5}, {15, 16}, {16, 17}, {17, 48}, {33, 31}, {3, 64}, {29, 100}, {64, 10}, {5, 3},
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
                                                   flip >> 1, turn % 3 == 0});
            }
    check_all(cases, n);
}

static void dots(void **state) {
    (void)state;
    static const int64_t lengths[] = {0, 1, 31, 63, 64, 65, 129, 4096, 4097, 12345};
    static Case cases[MaxCases];
    uint32_t n = 0, turn = 0;
    for (size_t l = 0; l < LEN(lengths); l++)
        for (int dt = F32; dt <= F64; dt++)
            for (int flip = 0; flip < 4; flip++, turn++) {
                int64_t other = sizes[turn % LEN(sizes)][1], one = turn % 5 == 4 ? 1 : other;
                bool row = turn & 4;
                cases[n++] = case_of((Contraction){(DType)dt, 0, row ? 1 : one, row ? other : 1,
                                                   lengths[l], flip & 1, flip >> 1, turn % 3 == 0});
            }
    check_all(cases, n);
}

static void batches_and_blocks(void **state) {
    (void)state;
    static Case cases[7];
    cases[0] = case_of((Contraction){F32, 3, 5, 19, 8, false, true, true});
    cases[1] = case_of((Contraction){F64, 4, 1, 19, 70, false, false, false});
    cases[2] = case_of((Contraction){F32, 2, 6, 1, 70, true, false, false});
    cases[3] = case_of((Contraction){F32, 0, 300, 70, 2000, false, true, true});
    cases[4] = case_of((Contraction){F32, 0, 140, 600, 700, false, false, false});
    cases[5] = case_of((Contraction){F64, 0, 40, 50, 9000, true, true, false});
    cases[6] = case_of((Contraction){F32, 0, 0, 3, 4, false, false, false});
    check_all(cases, LEN(cases));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles),
        cmocka_unit_test(dots),
        cmocka_unit_test(batches_and_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
