/* Elementary functions of generated code: error in units in the last place over the whole range,
 * special values, and equal bits at every vector width and optimisation level. */
#include "codegen/math.h"
#include "tests/codegen/math_oracle.h"

#include "base/base.h"

#include <llvm-c/LLJIT.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include <float.h>
#include <math.h>
#include <mpfr.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { Block = 4096, MaxWidth = 16 };

typedef void Kernel(const void *x, const void *y, void *out, int64_t n);

typedef LLVMValueRef Emit1(LLVMBuilderRef, LLVMValueRef);

static LLVMValueRef emit_gelu(LLVMBuilderRef b, LLVMValueRef x) { return math_mul_ndtr(b, x, x); }

static const struct {
    const char *name;
    Emit1 *emit;
} unary[] = {
#define ROW(name) {#name, math_##name},
    MATH_UNARY(ROW)
#undef ROW
    {"gelu", emit_gelu},
};
_Static_assert(LEN(unary) + 1 == OracleCount, "an oracle for each, and one for pow");

/* NULL: pow */
static Emit1 *emitter_of(const char *name) {
    for (size_t i = 0; i < LEN(unary); i++) {
        if (!strcmp(unary[i].name, name)) return unary[i].emit;
    }
    return NULL;
}

static const unsigned widths[] = {1, 2, 8, MaxWidth};
enum { Widths = LEN(widths), Levels = 2 };

typedef struct Jitted {
    LLVMOrcLLJITRef jit;
    Kernel *kernel[Levels][2][OracleCount][Widths];
} Jitted;

static void check(LLVMErrorRef e) {
    if (e) fail_msg("%s", LLVMGetErrorMessage(e));
}

/* for (i = 0; i < n; i += width) out[i ..] = f(x[i ..], y[i ..]) */
static void emit_kernel(LLVMModuleRef m, const char *name, LLVMTypeRef lane, unsigned width,
                        Emit1 *f) {
    LLVMContextRef c = LLVMGetModuleContext(m);
    LLVMTypeRef ptr = LLVMPointerTypeInContext(c, 0), i64 = LLVMInt64TypeInContext(c);
    LLVMTypeRef type = width == 1 ? lane : LLVMVectorType(lane, width);
    LLVMTypeRef sig = LLVMFunctionType(LLVMVoidTypeInContext(c),
                                       (LLVMTypeRef[]){ptr, ptr, ptr, i64}, 4, false);
    LLVMValueRef fn = LLVMAddFunction(m, name, sig);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(c);
    LLVMBasicBlockRef entry = LLVMAppendBasicBlockInContext(c, fn, "entry");
    LLVMBasicBlockRef loop = LLVMAppendBasicBlockInContext(c, fn, "loop");
    LLVMBasicBlockRef done = LLVMAppendBasicBlockInContext(c, fn, "done");
    LLVMPositionBuilderAtEnd(b, entry);
    LLVMBuildBr(b, loop);
    LLVMPositionBuilderAtEnd(b, loop);
    LLVMValueRef i = LLVMBuildPhi(b, i64, "i"), v[2];
    for (unsigned k = 0; k < 2; k++) {
        LLVMValueRef at = LLVMBuildGEP2(b, lane, LLVMGetParam(fn, k), &i, 1, "");
        v[k] = LLVMBuildLoad2(b, type, at, "");
        LLVMSetAlignment(v[k], 4);
    }
    LLVMValueRef r = f ? f(b, v[0]) : math_pow(b, v[0], v[1]);
    LLVMValueRef to = LLVMBuildGEP2(b, lane, LLVMGetParam(fn, 2), &i, 1, "");
    LLVMSetAlignment(LLVMBuildStore(b, r, to), 4);
    LLVMValueRef next = LLVMBuildAdd(b, i, LLVMConstInt(i64, width, false), "");
    LLVMValueRef more = LLVMBuildICmp(b, LLVMIntSLT, next, LLVMGetParam(fn, 3), "");
    LLVMBuildCondBr(b, more, loop, done);
    LLVMAddIncoming(i, (LLVMValueRef[]){LLVMConstInt(i64, 0, false), next},
                    (LLVMBasicBlockRef[]){entry, LLVMGetInsertBlock(b)}, 2);
    LLVMPositionBuilderAtEnd(b, done);
    LLVMBuildRetVoid(b);
    LLVMDisposeBuilder(b);
}

static void kernel_name(char *name, size_t size, int level, int wide, unsigned op, unsigned width) {
    snprintf(name, size, "%s_%s_w%u_O%d", oracles[op].name, wide ? "f64" : "f32", width, level);
}

static LLVMMemoryBufferRef compile(int level) {
    char *triple = LLVMGetDefaultTargetTriple(), *cpu = LLVMGetHostCPUName();
    char *features = LLVMGetHostCPUFeatures(), *error = NULL;
    LLVMTargetRef target;
    assert_int_equal(LLVMGetTargetFromTriple(triple, &target, &error), 0);
    LLVMTargetMachineRef tm = LLVMCreateTargetMachine(
        target, triple, cpu, features,
        level ? LLVMCodeGenLevelAggressive : LLVMCodeGenLevelNone, LLVMRelocPIC,
        LLVMCodeModelDefault);
    LLVMContextRef c = LLVMContextCreate();
    LLVMModuleRef m = LLVMModuleCreateWithNameInContext("math", c);
    LLVMSetTarget(m, triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
    LLVMSetModuleDataLayout(m, layout);
    char name[64];
    for (int wide = 0; wide < 2; wide++)
        for (unsigned op = 0; op < OracleCount; op++)
            for (unsigned w = 0; w < Widths; w++) {
                kernel_name(name, sizeof name, level, wide, op, widths[w]);
                emit_kernel(m, name, wide ? LLVMDoubleTypeInContext(c) : LLVMFloatTypeInContext(c),
                            widths[w], emitter_of(oracles[op].name));
            }
    if (level) {
        LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
        check(LLVMRunPasses(m, "default<O3>", tm, o));
        LLVMDisposePassBuilderOptions(o);
    }
    LLVMMemoryBufferRef object;
    if (LLVMTargetMachineEmitToMemoryBuffer(tm, m, LLVMObjectFile, &error, &object))
        fail_msg("%s", error);
    LLVMDisposeTargetData(layout);
    LLVMDisposeModule(m);
    LLVMContextDispose(c);
    LLVMDisposeTargetMachine(tm);
    LLVMDisposeMessage(triple);
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    return object;
}

static int setup(void **state) {
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
    Jitted *j = calloc(1, sizeof *j);
    char name[64];
    check(LLVMOrcCreateLLJIT(&j->jit, NULL));
    for (int level = 0; level < Levels; level++) {
        check(LLVMOrcLLJITAddObjectFile(j->jit, LLVMOrcLLJITGetMainJITDylib(j->jit),
                                        compile(level)));
        for (int wide = 0; wide < 2; wide++)
            for (unsigned op = 0; op < OracleCount; op++)
                for (unsigned w = 0; w < Widths; w++) {
                    LLVMOrcExecutorAddress a;
                    kernel_name(name, sizeof name, level, wide, op, widths[w]);
                    check(LLVMOrcLLJITLookup(j->jit, &a, name));
                    j->kernel[level][wide][op][w] = (Kernel *)(uintptr_t)a;
                }
    }
    *state = j;
    return 0;
}

static int teardown(void **state) {
    Jitted *j = *state;
    check(LLVMOrcDisposeLLJIT(j->jit));
    free(j);
    return 0;
}

typedef struct Worst {
    double error, x, y, got;
} Worst;

/* An error that is not a number, of a NaN for a number, is the worst that there is. */
static void worst_of(Worst *w, double error, double x, double y, double got) {
    if (isnan(error)) error = INFINITY;
    if (error > w->error) *w = (Worst){error, x, y, got};
}

/* Distance in units in the last place of a format with `mant` bits and this smallest exponent. */
static double ulps(double got, double ref, int mant, int least) {
    if (isnan(ref)) return isnan(got) ? 0 : INFINITY;
    double limit = ldexp(2 - ldexp(1, -mant), mant == 23 ? 127 : 1023);
    if (fabs(ref) > limit) {
        if (isinf(got) && signbit(got) == signbit(ref)) return 0;
        if (isinf(ref)) return fabs(got) == limit ? 1 : INFINITY;
    }
    if (isinf(got)) return fabs(ref) >= limit * (1 - ldexp(1, -mant - 1)) ? 1 : INFINITY;
    int e = ref == 0 ? least : ilogb(ref) - mant;
    return fabs(got - ref) * ldexp(1, -(e < least ? least : e));
}

static void report(const Oracle *o, const char *type, Worst w, double bound) {
    print_message("%-8s %s  %.3f ulp at %a", o->name, type, w.error, w.x);
    print_message(o->binary ? ", %a\n" : "\n", w.y);
    if (!(w.error <= bound))
        fail_msg("%s(%a, %a) = %a: %.3f ulp, allowed %.2f", o->name, w.x, w.y, w.got, w.error,
                 bound);
}

static uint32_t next(uint64_t *key) {
    return (uint32_t)(rng_bits(42, (*key)++) >> 32);
}

/* ---- how much is looked at: with --long all of it ---- */

static bool all;

/* For pow with --long also every positive number to each of these powers. */
static const float powers[] = {
    -64, -31, -16, -10, -7, -5, -4, -3, -2.5F, -2, -1.5F, -1, -0.75F, -0.5F, -1.0F / 3, -0.25F,
    0.1F, 0.25F, 1.0F / 3, 0.5F, 0.7F, 0.75F, 1.5F, 2, 2.5F, 3, 4, 5, 7, 10, 16, 64,
};
enum { RestOfX = 31 }; /* 2^31 numbers per power */

static uint64_t blocks_f32(const Oracle *o) {
    uint64_t n = all ? UINT64_C(1) << 32 : (UINT64_C(1) << 32) / 257;
    if (o->binary) n = all ? (UINT64_C(1) << 32) + (LEN(powers) << RestOfX) : UINT64_C(1) << 22;
    return n / Block + 1;
}

/* Every 257th float; for pow, random pairs with results in range. */
static void fill_f32(const Oracle *o, uint64_t block, float *x, float *y) {
    for (uint64_t i = 0; i < Block; i++) {
        uint64_t n = block * Block + i;
        uint32_t bits = (uint32_t)(all ? n : n * 257);
        bool pairs = o->binary && n < UINT64_C(1) << 32;
        if (o->binary) bits = (uint32_t)(pairs ? rng_bits(1, n) >> 33 : n & 0x7FFFFFFF);
        memcpy(&x[i], &bits, sizeof bits);
        y[i] = o->binary && !pairs ? powers[((n >> RestOfX) - 2) % LEN(powers)] : 0;
        if (!pairs) continue;
        double limit = 1.3 * 88 / fabs(log(x[i] == 0 ? 0.5 : x[i]));
        y[i] = (float)((rng_f64(rng_bits(2, n)) * 2 - 1) * (limit < 1e30 ? limit : 1e30));
    }
}

/* ---- on all processors ---- */

typedef struct Share {
    const Oracle *o;
    Kernel *kernel;
    uint64_t first, step, blocks;
    Worst worst;
} Share;

/* Soon seen: a unit in the last place of an f32 is more than 2^-24 of it. */
static bool is_no_worse(float got, double ref, const Worst *w) {
    return isfinite(ref) && fabs(got - ref) <= w->error * 0x1p-24 * fabs(ref);
}

static void no_error_is_lost(void **state) {
    (void)state;
    static const struct Sample {
        float got;
        double ref, error;
    } samples[] = {
        {3, INFINITY, INFINITY}, {-INFINITY, INFINITY, INFINITY},
        {NAN, 1, INFINITY},      {1, NAN, INFINITY},
        {INFINITY, 1, INFINITY}, {FLT_MAX, INFINITY, 1},
        {0, 0x1p-149, 1},        {1, 1 + 0x1p-23, 1},
        {INFINITY, 0x1p1000, 0}, {NAN, NAN, 0},
    };
    for (size_t i = 0; i < LEN(samples); i++) {
        const struct Sample *s = &samples[i];
        Worst w = {.error = 0.9};
        if (!is_no_worse(s->got, s->ref, &w)) worst_of(&w, ulps(s->got, s->ref, 23, -149), 0, 0, 0);
        worst_of(&w, 0.5, 0, 0, 0);
        assert_true(w.error == (s->error > 0.9 ? s->error : 0.9));
    }
}

static void *measure_f32(void *data) {
    Share *s = data;
    float *x = malloc(3 * Block * sizeof *x), *y = x + Block, *out = y + Block;
    for (uint64_t n = s->first; n < s->blocks; n += s->step) {
        fill_f32(s->o, n, x, y);
        s->kernel(x, y, out, Block);
        for (int i = 0; i < Block; i++) {
            double ref = s->o->quick(x[i], y[i]);
            if (is_no_worse(out[i], ref, &s->worst)) continue;
            worst_of(&s->worst, ulps(out[i], ref, 23, -149), x[i], y[i], out[i]);
        }
    }
    free(x);
    return NULL;
}

static Worst worst_of_all(const Share *whole, void *(*measure)(void *)) {
    enum { MostThreads = 64 };
    int n = cpu_count() < MostThreads ? cpu_count() : MostThreads;
    pthread_t threads[MostThreads];
    Share shares[MostThreads];
    for (int i = 0; i < n; i++) {
        shares[i] = *whole;
        shares[i].first = (uint64_t)i;
        shares[i].step = (uint64_t)n;
        if (pthread_create(&threads[i], NULL, measure, &shares[i])) fail_msg("no thread");
    }
    Worst w = {0};
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        const Worst *v = &shares[i].worst;
        worst_of(&w, v->error, v->x, v->y, v->got);
    }
    return w;
}

/* With a name on the command line only that function. */
static const char *chosen;

static bool left_out(const Oracle *o) { return chosen && strcmp(chosen, o->name); }

static void f32_is_accurate(void **state) {
    Jitted *j = *state;
    for (unsigned op = 0; op < OracleCount; op++) {
        const Oracle *o = &oracles[op];
        if (left_out(o)) continue;
        Share s = {.o = o, .kernel = j->kernel[1][0][op][Widths - 1], .blocks = blocks_f32(o)};
        report(o, "f32", worst_of_all(&s, measure_f32), o->bound_f32);
    }
}

/* A quarter of any bits, a quarter over all magnitudes below 1000, the rest within the range where
 * the function is neither 0 nor 1. */
static void fill_f64(const Oracle *o, uint64_t block, double *x, double *y) {
    for (uint64_t i = 0; i < Block; i++) {
        uint64_t n = block * Block + i, bits = rng_bits(3, n);
        double u = rng_f64(rng_bits(4, n)) * 2 - 1, v = rng_f64(rng_bits(5, n));
        if (i % 4 == 0) memcpy(&x[i], &bits, sizeof bits);
        else if (i % 4 == 1) x[i] = copysign(exp2(10 - 60 * v), u);
        else x[i] = o->least + (o->most - o->least) * (u + 1) / 2;
        y[i] = i % 4 == 2 ? (double)(n % 65) / 4 - 8 : u * 760 / fabs(log(fabs(x[i])));
    }
}

static void *measure_f64(void *data) {
    Share *s = data;
    double *x = malloc(3 * Block * sizeof *x), *y = x + Block, *out = y + Block;
    for (uint64_t n = s->first; n < s->blocks; n += s->step) {
        fill_f64(s->o, n, x, y);
        s->kernel(x, y, out, Block);
        for (int i = 0; i < Block; i++)
            worst_of(&s->worst, oracle_ulps(s->o, x[i], y[i], out[i]), x[i], y[i], out[i]);
    }
    free(x);
    mpfr_free_cache();
    return NULL;
}

static void f64_is_accurate(void **state) {
    Jitted *j = *state;
    for (unsigned op = 0; op < OracleCount; op++) {
        const Oracle *o = &oracles[op];
        if (left_out(o)) continue;
        Share s = {.o = o, .kernel = j->kernel[1][1][op][2],
                   .blocks = (all ? 10000000 : 100000) / Block};
        report(o, "f64", worst_of_all(&s, measure_f64), o->bound_f64);
    }
}

static const double special[] = {
    0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, -2.5, INFINITY, -INFINITY, NAN, 0x1p-149,
    -0x1p-149, 0x1p-126, 0x1.fffffep127, -0x1.fffffep127, 0x1p31, 1e-3, 88.72284, -103.97, 9.1, 17,
    0x1p24, 0x1.fffffep23, -16777215, -16777216,
};

/* C's library defines what special operands give; finite non-zero results are tested above. */
static void special_values(void **state) {
    Jitted *j = *state;
    for (unsigned op = 0; op < OracleCount; op++)
        for (size_t a = 0; a < LEN(special); a++)
            for (size_t b = 0; b < (oracles[op].binary ? LEN(special) : 1); b++)
                for (int wide = 0; wide < 2; wide++) {
                    float xf = (float)special[a], yf = (float)special[b], rf;
                    double x = xf, y = yf, r, ref = oracles[op].quick(x, y);
                    if (wide) j->kernel[1][1][op][0](&x, &y, &r, 1);
                    else j->kernel[1][0][op][0](&xf, &yf, &rf, 1), r = rf, ref = (float)ref;
                    bool ok = isnan(ref) ? isnan(r) : (r == ref && signbit(r) == signbit(ref));
                    if (isfinite(ref) && r != 0 && ref != 1)
                        ok = fabs(r - ref) <= fabs(ref) * 0x1p-22 + 0x1p-149;
                    if (!ok) fail_msg("%s(%a, %a) = %a, not %a", oracles[op].name, x, y, r, ref);
                }
}

/* Bits but for the sign and payload of NaN. */
static bool same(const void *a, const void *b, bool wide) {
    size_t size = wide ? 8 : 4;
    if (memcmp(a, b, size) == 0) return true;
    float f[2];
    double d[2];
    memcpy(wide ? (void *)&d[0] : &f[0], a, size);
    memcpy(wide ? (void *)&d[1] : &f[1], b, size);
    return wide ? isnan(d[0]) && isnan(d[1]) : isnan(f[0]) && isnan(f[1]);
}

static void bits_do_not_depend_on_width_or_level(void **state) {
    Jitted *j = *state;
    static uint32_t x[2 * Block], y[2 * Block];
    static unsigned char first[8 * Block], other[8 * Block];
    uint64_t key = 7;
    for (unsigned op = 0; op < OracleCount; op++)
        for (int wide = 0; wide < 2; wide++)
            for (int round = 0; round < 4; round++) {
                for (int i = 0; i < 2 * Block; i++) x[i] = next(&key), y[i] = next(&key);
                if (round && wide)
                    fill_f64(&oracles[op], (uint64_t)round, (double *)x, (double *)y);
                j->kernel[0][wide][op][0](x, y, first, Block);
                for (int level = 0; level < Levels; level++)
                    for (int w = 0; w < Widths; w++) {
                        j->kernel[level][wide][op][w](x, y, other, Block);
                        for (int i = 0; i < Block; i++)
                            if (!same(first + i * (wide ? 8 : 4), other + i * (wide ? 8 : 4), wide))
                                fail_msg("%s: O%d, width %u", oracles[op].name, level, widths[w]);
                    }
            }
}

/* codegen_math_test [--long [FUNCTION]] */
int main(int argc, char **argv) {
    all = argc > 1 && !strcmp(argv[1], "--long");
    chosen = argc > 2 ? argv[2] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_error_is_lost),
        cmocka_unit_test(special_values),
        cmocka_unit_test(bits_do_not_depend_on_width_or_level),
        cmocka_unit_test(f32_is_accurate),
        cmocka_unit_test(f64_is_accurate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
