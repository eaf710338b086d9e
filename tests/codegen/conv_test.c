/* Convolutions of generated code against the rounding interpreter, bit by bit: all the settings,
 * sizes around tiles and vectors, more than one chunk of taps, at several levels, for two
 * targets. */
#include "tests/codegen/conv_case.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const ConvCase cases[] = {
    {.n = 2, .c = 3, .o = 5, .rank = 2, .s = {7, 6}, .k = {3, 2}},
    {.n = 1, .c = 1, .o = 1, .rank = 1, .s = {1}, .k = {1}},
    {.n = 3, .c = 1, .o = 6, .rank = 2, .s = {28, 28}, .k = {5, 5}, .follows = true},
    {.n = 3, .c = 6, .o = 16, .rank = 2, .s = {14, 14}, .k = {5, 5}, .follows = true},
    {.n = 2, .c = 16, .o = 6, .rank = 2, .s = {10, 10}, .k = {5, 5}, .lo = {4, 4}, .hi = {4, 4}},
    {.n = 1, .c = 17, .o = 67, .rank = 2, .s = {9, 13}, .k = {3, 3}, .lo = {1, 1}, .hi = {1, 1},
     .follows = true},
    {.n = 2, .c = 3, .o = 31, .rank = 1, .s = {53}, .k = {7}, .stride = {3}, .lo = {2}, .hi = {-3}},
    {.n = 2, .c = 2, .o = 3, .rank = 3, .s = {4, 5, 37}, .k = {2, 3, 2}, .stride = {2, 1, 2},
     .rhs = {1, 2, 3}, .lo = {1, 0, 3}},
    {.n = 2, .c = 4, .o = 6, .rank = 2, .s = {6, 11}, .k = {3, 3}, .lhs = {2, 3}, .lo = {2, 1},
     .hi = {1, 4}, .follows = true},
    {.n = 2, .c = 4, .o = 20, .rank = 2, .s = {5, 5}, .k = {4, 3}, .lhs = {2, 2}, .rhs = {2, 1},
     .stride = {1, 3}, .lo = {-1, 2}, .hi = {3, -1}},
    {.n = 2, .c = 4, .o = 4, .rank = 1, .s = {9}, .k = {2}, .lhs = {4}, .rhs = {2}, .hi = {3}},
    {.n = 2, .c = 12, .o = 51, .rank = 2, .s = {5, 6}, .k = {3, 3}, .groups = 3, .follows = true},
    {.n = 2, .c = 8, .o = 8, .rank = 2, .s = {9, 9}, .k = {3, 3}, .groups = 8, .lo = {1, 1},
     .hi = {1, 1}},
    {.n = 6, .c = 2, .o = 9, .rank = 2, .s = {6, 5}, .k = {4, 4}, .batch_groups = 3},
    {.n = 1, .c = 512, .o = 19, .rank = 2, .s = {4, 4}, .k = {3, 3}, .lo = {1, 1}, .hi = {1, 1}},
    {.n = 6, .c = 67, .o = 16, .rank = 2, .s = {14, 12}, .k = {10, 8}, .rhs = {1, 1}},
    {.n = 3, .c = 64, .o = 5, .rank = 2, .s = {17, 14}, .k = {13, 10}, .follows = true},
    {.n = 2, .c = 67, .o = 5, .rank = 2, .s = {21, 19}, .k = {12, 10}},
    {.n = 2, .c = 67, .o = 17, .rank = 2, .s = {12, 12}, .k = {9, 10}, .swapped = true},
    /* padding: on one side, more than x, in blocks, on three axes, in groups, around rows of
     * several vectors */
    {.n = 1, .c = 2, .o = 6, .rank = 2, .s = {7, 28}, .k = {5, 5}, .lo = {2, 2}, .hi = {2, 2},
     .follows = true},
    {.n = 1, .c = 3, .o = 5, .rank = 2, .s = {6, 45}, .k = {3, 3}, .lo = {0, 1}, .hi = {4, 0},
     .stride = {1, 2}},
    {.n = 1, .c = 2, .o = 3, .rank = 2, .s = {2, 3}, .k = {2, 3}, .lo = {5, 6}, .hi = {4, 9}},
    {.n = 1, .c = 3, .o = 7, .rank = 3, .s = {3, 4, 19}, .k = {3, 3, 3}, .lo = {1, 1, 1},
     .hi = {1, 2, 0}, .tiny = true},
    {.n = 2, .c = 8, .o = 36, .rank = 3, .s = {2, 5, 4}, .k = {3, 2, 3}, .lo = {2, 1, 1},
     .hi = {0, 1, 1}, .groups = 2, .tiny = true},
    {.n = 6, .c = 3, .o = 9, .rank = 2, .s = {6, 9}, .k = {3, 4}, .batch_groups = 3, .lo = {1, 3},
     .hi = {2, 3}, .rhs = {2, 1}},
    {.n = 1, .c = 590, .o = 5, .rank = 2, .s = {3, 11}, .k = {3, 3}, .lo = {1, 1}, .hi = {1, 1}},
    {.n = 2, .c = 512, .o = 7, .rank = 2, .s = {1, 1}, .k = {5, 5}, .lo = {2, 2}, .hi = {2, 2},
     .tiny = true},
    {.n = 1, .c = 103, .o = 18, .rank = 2, .s = {3, 4}, .k = {4, 10}, .lo = {3, 9}, .hi = {0, 9}},
    {.n = 2, .c = 4097, .o = 5, .rank = 1, .s = {3}, .k = {1}, .tiny = true},
    /* many tiles at the border */
    {.n = 1, .c = 2, .o = 3, .rank = 1, .s = {500}, .k = {301}, .lo = {300}, .hi = {300}},
    {.n = 2, .c = 2, .o = 3, .rank = 1, .s = {700}, .k = {301}, .lo = {300}, .hi = {290},
     .stride = {2}, .tiny = true},
    {.n = 1, .c = 3, .o = 40, .rank = 1, .s = {90}, .k = {60}, .lo = {59}, .hi = {59}},
    /* tap by tap */
    {.n = 1, .c = 16, .o = 6, .rank = 2, .s = {8, 8}, .k = {5, 5}, .lo = {4, 4}, .hi = {4, 4},
     .follows = true},
    {.n = 1, .c = 16, .o = 7, .rank = 2, .s = {3, 16}, .k = {2, 3}, .lo = {1, 2}, .hi = {0, 1}},
    {.n = 2, .c = 32, .o = 10, .rank = 2, .s = {5, 13}, .k = {4, 4}, .lo = {3, 3}, .hi = {3, 3},
     .groups = 2, .tiny = true},
    {.n = 4, .c = 19, .o = 6, .rank = 3, .s = {2, 3, 16}, .k = {2, 1, 5}, .lo = {1, 0, 4},
     .hi = {1, 0, 4}, .batch_groups = 2},
    {.n = 2, .c = 20, .o = 5, .rank = 1, .s = {17}, .k = {6}, .lhs = {2}, .lo = {5}, .hi = {5},
     .tiny = true},
    {.n = 1, .c = 16, .o = 3, .rank = 1, .s = {33}, .k = {3}, .stride = {2}, .lo = {3},
     .hi = {3}},
    /* a phase without taps where others go tap by tap */
    {.n = 1, .c = 17, .o = 2, .rank = 2, .s = {2, 7}, .k = {1, 3}, .lhs = {2, 2}, .lo = {0, 2},
     .hi = {0, 2}},
    /* few places, so that a tile has several images, and one is left over */
    {.n = 7, .c = 2, .o = 35, .rank = 2, .s = {20, 21}, .k = {18, 19}},
    {.n = 17, .c = 3, .o = 20, .rank = 2, .s = {16, 17}, .k = {16, 17}, .lo = {1, 1}, .hi = {1, 1},
     .follows = true},
    {.n = 10, .c = 5, .o = 32, .rank = 1, .s = {60}, .k = {58}, .batch_groups = 2},
    /* filters of many taps that many tiles read are copied in chunks */
    {.n = 11, .c = 3, .o = 32, .rank = 2, .s = {34, 44}, .k = {33, 42}, .lo = {1, 1}, .hi = {0, 1}},
    {.n = 5, .c = 48, .o = 40, .rank = 2, .s = {3, 20}, .k = {3, 3}, .lo = {1, 1}, .hi = {1, 1},
     .follows = true},
    {.n = 2, .c = 300, .o = 20, .rank = 1, .s = {50}, .k = {2}, .lo = {1}},
    {.n = 3, .c = 200, .o = 64, .rank = 2, .s = {4, 17}, .k = {2, 3}, .groups = 2, .rhs = {2, 1}},
    {.n = 24, .c = 150, .o = 24, .rank = 1, .s = {20}, .k = {4}, .lhs = {2}, .lo = {1}, .hi = {2}},
    {.n = 16, .c = 150, .o = 48, .rank = 1, .s = {21}, .k = {2}, .batch_groups = 2},
    {.n = 0, .c = 3, .o = 2, .rank = 2, .s = {5, 5}, .k = {3, 3}},
    {.n = 2, .c = 0, .o = 2, .rank = 2, .s = {5, 5}, .k = {3, 3}, .follows = true},
    {.n = 2, .c = 3, .o = 0, .rank = 2, .s = {5, 5}, .k = {3, 3}},
    {.n = 2, .c = 3, .o = 2, .rank = 2, .s = {0, 5}, .k = {3, 3}, .lo = {2, 1}, .hi = {1, 1}},
    {.n = 2, .c = 3, .o = 2, .rank = 1, .s = {3}, .k = {0}, .hi = {-1}},
    {.n = 2, .c = 3, .o = 2, .rank = 1, .s = {3}, .k = {4}},
};

/* Filters that no zero hides; products so small that a sum becomes -0. */
static void poison(const ConvCase *c, Tensor *x, Tensor *w) {
    int less = c->tiny ? x->type.dt == F64 ? -600 : -80 : 0;
    for (int64_t i = 0; i < x->type.shape->size; i++) x->re[i] = ldexp(x->re[i], less);
    for (int64_t i = 0; i < w->type.shape->size; i++) w->re[i] = ldexp(w->re[i], less);
    if (c->n != 1 || w->type.shape->size < 10) return;
    w->re[1] = -0.0, w->re[3] = INFINITY, w->re[7] = NAN;
    w->re[w->type.shape->size - 1] = INFINITY;
}

/* What the interpreter says, once for all builds. */
typedef struct Expected {
    Cx *cx; /* or NULL: not computed yet */
    Tensor args[3], want;
} Expected;
static Expected expected[BF16 + 1][LEN(cases)];

static const Expected *reference(size_t i, DType dt) {
    Expected *e = &expected[dt][i];
    if (e->cx) return e;
    e->cx = cx_new();
    Program *p = program_new(e->cx);
    const Fn *f = conv_case_add(p, "f", &cases[i], dt);
    for (uint32_t k = 0; k < LEN(e->args); k++)
        e->args[k] = conv_case_tensor(e->cx->arena, f->ins.data[k].type, k);
    poison(&cases[i], &e->args[0], &e->args[1]);
    interp_run(p, f, InterpRound, e->cx->arena, e->args, &e->want, NULL);
    return e;
}

static void check_case(size_t i, DType dt, Cx *cx, const Program *p, Jit *jit, Sym name) {
    const Expected *e = reference(i, dt);
    size_t room = program_fn(p, name)->plan->arena_bytes;
    Tensor nothing = tensor_new(e->cx->arena, e->want.type, false);
    void *memory[4];
    for (uint32_t k = 0; k < 4; k++) memory[k] = conv_case_memory(k < 3 ? &e->args[k] : &nothing);
    memset(memory[3], 0xFF, (size_t)e->want.type.shape->size * dtype_size(dt));
    unsigned char *arena = aligned_alloc(64, (room + 127) / 64 * 64);
    memset(arena, 0xFF, room);
    BpEntry *entry = (BpEntry *)(uintptr_t)jit_symbol(jit, sym_fmt(cx, "bp_%s", name));
    entry(memory, arena, NULL);
    for (int64_t k = 0; k < e->want.type.shape->size; k++) {
        double got = conv_case_element(dt, memory[3], k), want = e->want.re[k];
        bool same = (isnan(got) && isnan(want)) || (got == want && signbit(got) == signbit(want));
        if (!same) fail_msg("%s: element %d is %g, not %g", name, (int)k, got, want);
    }
    for (uint32_t k = 0; k < 4; k++) free(memory[k]);
    free(arena);
}

static void check_build(int level, const char *cpu, DType dt) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "conv");
    for (size_t i = 0; i < LEN(cases); i++)
        conv_case_add(p, sym_fmt(cx, "case%d", (int)i), &cases[i], dt);
    PassOptions o = {.level = level, .verify_each = true, .limit = -1, .out = stderr};
    assert_true(passes_run(p, &o));
    Cg *cg = cg_build(p, &(CgOptions){.level = level, .cpu = cpu, .library = true});
    assert_non_null(cg);
    Jit *jit = jit_new(cg);
    for (size_t i = 0; i < LEN(cases); i++)
        check_case(i, dt, cx, p, jit, sym_fmt(cx, "case%d", (int)i));
    jit_free(jit);
    cg_free(cg);
    cx_free(cx);
}

/* ---- long rows ---- */

typedef struct LongRow {
    BpEntry *entry;
    void **memory;
    unsigned char *arena;
} LongRow;

static void *run_long_row(void *of) {
    const LongRow *r = of;
    r->entry(r->memory, r->arena, NULL);
    return NULL;
}

/* Sum of filter o at place x, 1 image and axis, without padding. */
static double sum_at(const Tensor *x, const Tensor *w, const ConvCase *c, int64_t o, int64_t place) {
    double sum = 0;
    for (int64_t i = 0; i < c->c; i++) {
        for (int64_t k = 0; k < c->k[0]; k++)
            sum += x->re[i * c->s[0] + place + k] * w->re[(o * c->c + i) * c->k[0] + k];
    }
    return sum;
}

static void check_long_row(const ConvCase *c) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "conv");
    const Fn *f = conv_case_add(p, "f", c, F32);
    Tensor args[4];
    void *memory[4];
    for (uint32_t k = 0; k < 3; k++)
        args[k] = conv_case_tensor(cx->arena, f->ins.data[k].type, k);
    int64_t places = c->s[0] - c->k[0] + 1;
    const Shape *result = shape_of(cx, (int64_t[]){1, c->o, places}, 3);
    args[3] = tensor_new(cx->arena, type_of(F32, result), false);
    for (uint32_t k = 0; k < 4; k++) memory[k] = conv_case_memory(&args[k]);
    PassOptions o = {.level = 2, .limit = -1, .out = stderr};
    assert_true(passes_run(p, &o));
    Cg *cg = cg_build(p, &(CgOptions){.level = 2, .library = true});
    Jit *jit = jit_new(cg);
    size_t room = program_fn(p, sym(cx, "f"))->plan->arena_bytes;
    LongRow r = {(BpEntry *)(uintptr_t)jit_symbol(jit, "bp_f"), memory,
                 aligned_alloc(64, (room + 127) / 64 * 64)};
    pthread_attr_t small;
    pthread_t thread;
    assert_int_equal(pthread_attr_init(&small), 0);
    assert_int_equal(pthread_attr_setstacksize(&small, 1 << 20), 0);
    assert_int_equal(pthread_create(&thread, &small, run_long_row, &r), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (int64_t i = 0; i < c->o * places; i += 997) {
        double want = sum_at(&args[0], &args[1], c, i / places, i % places);
        assert_true(fabs(conv_case_element(F32, memory[3], i) - want) < 1e-3);
    }
    for (uint32_t k = 0; k < 4; k++) free(memory[k]);
    free(r.arena);
    pthread_attr_destroy(&small);
    jit_free(jit);
    cg_free(cg);
    cx_free(cx);
}

/* What waits between chunks of taps fits a small stack, however long a row is. */
static void long_rows(void **state) {
    (void)state;
    static const ConvCase rows[] = {
        {.n = 1, .c = 16, .o = 24, .rank = 1, .s = {40000}, .k = {17}},
        {.n = 1, .c = 16, .o = 24, .rank = 1, .s = {15000}, .k = {257}},
        {.n = 1, .c = 16, .o = 2, .rank = 1, .s = {150000}, .k = {257}},
    };
    for (size_t i = 0; i < LEN(rows); i++) check_long_row(&rows[i]);
}

static void unoptimised(void **state) { (void)state, check_build(0, NULL, F64); }
static void optimised(void **state) { (void)state, check_build(3, NULL, F32); }
static void rounded(void **state) { (void)state, check_build(2, NULL, BF16); }
static void avx2(void **state) { (void)state, check_build(2, "x86-64-v3", F32); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unoptimised),
        cmocka_unit_test(optimised),
        cmocka_unit_test(rounded),
        cmocka_unit_test(avx2),
        cmocka_unit_test(long_rows),
    };
    int failed = cmocka_run_group_tests_name("convolutions", tests, NULL, NULL);
    for (size_t dt = 0; dt < LEN(expected); dt++) {
        for (size_t i = 0; i < LEN(cases); i++) {
            if (expected[dt][i].cx) cx_free(expected[dt][i].cx);
        }
    }
    return failed;
}
