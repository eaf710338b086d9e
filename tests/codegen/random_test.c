/* Random functions through all passes and codegen, against the rounding interpreter on what was
 * written, bit by bit: at several levels and for two targets, with donated parameters, a poisoned
 * arena, guards around every buffer, freed memory poisoned with as much computed again as can be,
 * and without shared memory. A failure prints the seed; RANDOM_SEED=N runs one, RANDOM_COUNT=N that
 * many from the first on. */
#include "codegen/codegen.h"
#include "passes/passes.h"
#include "runtime/bprt.h"
#include "tests/support/fence.h"
#include "tests/support/random_fn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { Batch = 16, Count = 64 };

typedef struct Build {
    const char *how, *cpu;
    int level;
    bool scarce, apart; /* memory: as little as can be; no two values share it */
} Build;
static const Build builds[] = {{"-O0 --memory=1", NULL, 0, true, false},
                               {"-O3", NULL, 3, false, false},
                               {"-O2 -march=x86-64-v3", "x86-64-v3", 2, false, true}};

static uint32_t size_of(uint64_t seed) { return 6 + (uint32_t)(seed * 7 % 60); }
static Sym name_of(Cx *cx, uint64_t seed) { return sym_fmt(cx, "f%llu", (unsigned long long)seed); }

/* ---- memory as the generated code sees it ---- */

/* The first element that differs, or -1; NaNs are equal. */
static int64_t differs(const unsigned char *got, const Tensor *want) {
    size_t size = dtype_size(want->type.dt);
    for (int64_t i = 0; i < want->type.shape->size; i++) {
        unsigned char bytes[8];
        fence_store(bytes, want, i);
        if (!memcmp(bytes, got + (size_t)i * size, size)) continue;
        double d;
        float f = 0;
        memcpy((char *)&f + (size < 4 ? 2 : 0), got + (size_t)i * size, size < 4 ? 2 : 4);
        memcpy(&d, got + (size_t)i * size, size == 8 ? 8 : 0);
        bool nan = want->re && (size == 8 ? isnan(d) : isnan(f)) && isnan(want->re[i]);
        if (!nan) return i;
    }
    return -1;
}

/* ---- one function ---- */

typedef struct Case {
    uint64_t seed;
    Cx *cx; /* of the expected values */
    const Fn *written;
    Tensor *args, *want;
} Case;

static Case case_new(uint64_t seed) {
    Case c = {.seed = seed, .cx = cx_new()};
    Program *p = program_new(c.cx);
    c.written = random_fn(p, name_of(c.cx, seed), seed, size_of(seed));
    c.args = NEW_ARRAY(c.cx->arena, Tensor, c.written->nparams);
    c.want = NEW_ARRAY(c.cx->arena, Tensor, c.written->results.len);
    for (Val v = 0; v < c.written->nparams; v++) {
        c.args[v] = random_arg(c.cx->arena, c.written->ins.data[v].type, rng_fold(seed, v));
    }
    interp_run(p, c.written, InterpRound, c.cx->arena, c.args, c.want, NULL);
    return c;
}

static void run(const Case *c, BpEntry *entry, const Fn *planned, const char *how) {
    const Fn *fn = c->written;
    uint32_t n = fn->nparams + fn->results.len;
    unsigned char **buffers = calloc(n, sizeof *buffers);
    void **pointers = calloc(n, sizeof *pointers);
    for (uint32_t i = 0; i < n; i++) {
        bool param = i < fn->nparams;
        const Tensor *x = param ? &c->args[i] : &c->want[i - fn->nparams];
        buffers[i] = fence_new(fence_bytes(x->type), 0xFF);
        pointers[i] = buffers[i] + Fence;
        for (int64_t e = 0; param && e < x->type.shape->size; e++) {
            fence_store(buffers[i] + Fence + (size_t)e * dtype_size(x->type.dt), x, e);
        }
    }
    size_t room = planned->plan->arena_bytes;
    unsigned char *arena = fence_new(room, 0xFF);
    entry(pointers, arena + Fence, NULL);
    if (!fence_intact(arena, room))
        fail_msg("seed %d, %s: writes beside the arena", (int)c->seed, how);
    for (uint32_t r = 0; r < fn->results.len; r++) {
        int32_t to = fn->donated ? fn->donated[r] : -1;
        const unsigned char *got = buffers[to < 0 ? fn->nparams + r : (uint32_t)to] + Fence;
        int64_t bad = differs(got, &c->want[r]);
        if (bad < 0) continue;
        fail_msg("seed %d, %s: element %d of result %u differs", (int)c->seed, how, (int)bad, r);
    }
    for (uint32_t i = 0; i < n; i++) {
        Type t = i < fn->nparams ? c->args[i].type : c->want[i - fn->nparams].type;
        bool whole = fence_intact(buffers[i], fence_bytes(t));
        if (!whole) fail_msg("seed %d, %s: writes beside argument %u", (int)c->seed, how, i);
        free(buffers[i]);
    }
    free(buffers), free(pointers), free(arena);
}

static void check_build(const Case *cases, uint32_t n, const Build *build) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "random");
    for (uint32_t i = 0; i < n; i++) {
        random_fn(p, name_of(cx, cases[i].seed), cases[i].seed, size_of(cases[i].seed));
    }
    PassOptions o = {.level = build->level, .verify_each = true, .limit = -1, .out = stderr,
                     .memory = build->scarce, .apart = build->apart};
    assert_true(passes_run(p, &o) || build->scarce);
    cx->errors = 0; /* one byte is not enough */
    Cg *cg = cg_build(p, &(CgOptions){.level = build->level, .cpu = build->cpu, .library = true,
                                      .poison = build->scarce});
    assert_non_null(cg);
    Jit *jit = jit_new(cg);
    for (uint32_t i = 0; i < n; i++) {
        Sym name = name_of(cx, cases[i].seed);
        void *entry = jit_symbol(jit, sym_fmt(cx, "bp_%s", name));
        run(&cases[i], (BpEntry *)(uintptr_t)entry, program_fn(p, name), build->how);
    }
    jit_free(jit);
    cg_free(cg);
    cx_free(cx);
}

static void check_seeds(uint64_t first, uint32_t n) {
    Case cases[Batch];
    for (uint32_t i = 0; i < n; i++) cases[i] = case_new(first + i);
    for (size_t b = 0; b < LEN(builds); b++) check_build(cases, n, &builds[b]);
    for (uint32_t i = 0; i < n; i++) cx_free(cases[i].cx);
}

static uint64_t setting(const char *name, uint64_t otherwise) {
    const char *s = getenv(name);
    return s ? strtoull(s, NULL, 10) : otherwise;
}

static void random_functions(void **state) {
    (void)state;
    uint64_t one = setting("RANDOM_SEED", 0), count = setting("RANDOM_COUNT", Count);
    if (one) {
        check_seeds(one, 1);
        return;
    }
    for (uint64_t first = 1; first <= count; first += Batch) check_seeds(first, Batch);
}

static void random_regions(void **state) {
    (void)state;
    uint64_t first = FirstWithRegions, count = setting("RANDOM_COUNT", Count) / 5;
    for (uint64_t k = 0; k < count; k += Batch) check_seeds(first + k, Batch);
}

/* Seeds on which generated code was wrong once. */
static void found_before(void **state) {
    (void)state;
    static const uint64_t seeds[] = {1145, 1048824};
    for (size_t i = 0; i < LEN(seeds); i++) check_seeds(seeds[i], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_before),
        cmocka_unit_test(random_functions),
        cmocka_unit_test(random_regions),
    };
    return cmocka_run_group_tests_name("random functions", tests, NULL, NULL);
}
