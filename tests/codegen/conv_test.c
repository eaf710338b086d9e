/* Convolutions of generated code against the rounding interpreter, bit by bit: all the settings,
 * sizes around tiles and vectors, more than one chunk of taps, at several levels, for two targets. */
#include "tests/codegen/conv_case.h"

#include <math.h>
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
    {.n = 0, .c = 3, .o = 2, .rank = 2, .s = {5, 5}, .k = {3, 3}},
    {.n = 2, .c = 0, .o = 2, .rank = 2, .s = {5, 5}, .k = {3, 3}, .follows = true},
    {.n = 2, .c = 3, .o = 0, .rank = 2, .s = {5, 5}, .k = {3, 3}},
    {.n = 2, .c = 3, .o = 2, .rank = 2, .s = {0, 5}, .k = {3, 3}, .lo = {2, 1}, .hi = {1, 1}},
    {.n = 2, .c = 3, .o = 2, .rank = 1, .s = {3}, .k = {0}, .hi = {-1}},
    {.n = 2, .c = 3, .o = 2, .rank = 1, .s = {3}, .k = {4}},
};

static const DType types[] = {F32, F64, BF16};

static void poison(const ConvCase *c, Tensor *x) {
    if (c->n != 1 || x->type.shape->size < 10) return;
    x->re[1] = -0.0, x->re[3] = INFINITY, x->re[7] = NAN;
}

static void check_case(const ConvCase *c, DType dt, Cx *cx, const Program *p, Jit *jit, Sym name) {
    const Fn *f = program_fn(p, name);
    Tensor args[3], want;
    void *memory[4];
    Cx *own = cx_new();
    Program *plain = program_new(own);
    const Fn *g = conv_case_add(plain, "f", c, dt);
    for (uint32_t i = 0; i < 3; i++) {
        args[i] = conv_case_tensor(own->arena, g->ins.data[i].type, i);
        if (i == 1) poison(c, &args[i]);
        memory[i] = conv_case_memory(&args[i]);
    }
    interp_run(plain, g, InterpRound, own->arena, args, &want, NULL);
    size_t bytes = (size_t)want.type.shape->size * dtype_size(dt);
    Tensor nothing = tensor_new(own->arena, want.type, false);
    memory[3] = conv_case_memory(&nothing);
    memset(memory[3], 0xFF, bytes);
    unsigned char *arena = aligned_alloc(64, (f->plan->arena_bytes + 127) / 64 * 64);
    memset(arena, 0xFF, f->plan->arena_bytes);
    BpEntry *entry = (BpEntry *)(uintptr_t)jit_symbol(jit, sym_fmt(cx, "bp_%s", name));
    entry(memory, arena, NULL);
    for (int64_t i = 0; i < want.type.shape->size; i++) {
        double got = conv_case_element(dt, memory[3], i);
        bool same = (isnan(got) && isnan(want.re[i])) ||
                    (got == want.re[i] && signbit(got) == signbit(want.re[i]));
        if (!same) fail_msg("%s: element %d is %g, not %g", name, (int)i, got, want.re[i]);
    }
    for (uint32_t i = 0; i < 4; i++) free(memory[i]);
    free(arena);
    cx_free(own);
}

static void check_build(int level, const char *cpu) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "conv");
    for (size_t i = 0; i < LEN(cases) * LEN(types); i++)
        conv_case_add(p, sym_fmt(cx, "case%d", (int)i), &cases[i / 3], types[i % 3]);
    PassOptions o = {.level = level, .verify_each = true, .limit = -1, .out = stderr};
    assert_true(passes_run(p, &o));
    Cg *cg = cg_build(p, &(CgOptions){.level = level, .cpu = cpu, .library = true});
    assert_non_null(cg);
    Jit *jit = jit_new(cg);
    for (size_t i = 0; i < LEN(cases) * LEN(types); i++)
        check_case(&cases[i / 3], types[i % 3], cx, p, jit, sym_fmt(cx, "case%d", (int)i));
    jit_free(jit);
    cg_free(cg);
    cx_free(cx);
}

static void unoptimised(void **state) { (void)state, check_build(0, NULL); }
static void optimised(void **state) { (void)state, check_build(3, NULL); }
static void avx2(void **state) { (void)state, check_build(2, "x86-64-v3"); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unoptimised),
        cmocka_unit_test(optimised),
        cmocka_unit_test(avx2),
    };
    return cmocka_run_group_tests_name("convolutions", tests, NULL, NULL);
}
