/* Speed of generated convolutions and their two gradients on one thread, in GF/s and as a share of
 * the fused multiply-add peak. Arguments: N C O S K PAD, else a list. */
#include "bench/bench.h"
#include "tests/codegen/conv_case.h"

static void measure(const char *what, const ConvCase *c, double flops) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "bench");
    conv_case_add(p, "f", c, F32);
    PassOptions how = {.level = 2, .limit = -1, .out = stderr};
    passes_run(p, &how);
    double start = bench_seconds();
    Cg *cg = cg_build(p, &(CgOptions){.level = 2, .cpu = getenv("BENCH_CPU"), .library = true});
    Jit *jit = jit_new(cg);
    BpEntry *f = (BpEntry *)(uintptr_t)jit_symbol(jit, "bp_f");
    double built = bench_seconds() - start;
    const Fn *fn = program_fn(p, sym(cx, "f"));
    void *args[4];
    for (uint32_t i = 0; i < 4; i++) {
        Val v = i < 3 ? i : fn->results.data[0];
        Tensor t = conv_case_tensor(cx->arena, fn->ins.data[v].type, i);
        args[i] = conv_case_memory(&t);
    }
    void *arena = aligned_alloc(64, (fn->plan->arena_bytes + 127) / 64 * 64);
    BenchTime t = bench_time(f, args, arena, flops);
    printf("  %-16s %9.1f us %7.1f GF/s %4.0f %%  (built in %3.0f ms)\n", what, t.seconds * 1e6,
           flops / t.seconds * 1e-9, t.share * 100, built * 1e3);
    fflush(stdout);
    for (uint32_t i = 0; i < 4; i++) free(args[i]);
    free(arena);
    jit_free(jit);
    cg_free(cg);
    cx_free(cx);
}

/* The gradients as the rules of std/rules.bp write them. */
static void layer(int64_t n, int64_t c, int64_t o, int64_t s, int64_t k, int64_t pad) {
    int64_t out = s + 2 * pad - k + 1, back = k - 1 - pad;
    double flops = 2.0 * (double)(n * o * out * out * c * k * k);
    printf("[%d, %d, %d, %d] to %d, %d x %d, pad %d: %.1f Mflop\n", (int)n, (int)c, (int)s, (int)s,
           (int)o, (int)k, (int)k, (int)pad, flops * 1e-6);
    ConvCase forward = {.n = n, .c = c, .o = o, .rank = 2, .s = {s, s}, .k = {k, k},
                        .lo = {pad, pad}, .hi = {pad, pad}};
    ConvCase input = {.n = n, .c = o, .o = c, .rank = 2, .s = {out, out}, .k = {k, k},
                      .lo = {back, back}, .hi = {back, back}};
    ConvCase weight = {.n = c, .c = n, .o = o, .rank = 2, .s = {s, s}, .k = {out, out},
                       .lo = {pad, pad}, .hi = {pad, pad}, .swapped = true};
    measure("forward", &forward, flops);
    measure("input gradient", &input, flops);
    measure("weight gradient", &weight, flops);
}

int main(int argc, char **argv) {
    printf("peak %.1f GF/s (f32)\n", bench_peak());
    if (argc == 7) {
        layer(atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]),
              atoi(argv[6]));
        return 0;
    }
    layer(64, 1, 6, 28, 5, 0);
    layer(64, 6, 16, 12, 5, 0);
    layer(64, 6, 16, 14, 5, 0);
    layer(1, 64, 64, 56, 3, 1);
    layer(8, 64, 64, 56, 3, 1);
    return 0;
}
