/* Speed of generated convolutions and their two gradients on one thread, as a share of the fused
 * multiply-add peak and beside oneDNN. Arguments: N C O S K PAD, else a list. */
#include "bench/peers.h"
#include "tests/codegen/conv_case.h"

static void measure(const char *what, const ConvCase *c, const ConvLayer *layer, ConvPass pass,
                    double flops) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "bench");
    conv_case_add(p, "f", c, F32);
    PassOptions how = {.level = 2, .limit = -1, .out = stderr};
    passes_run(p, &how);
    Cg *cg = cg_build(p, &(CgOptions){.level = 2, .cpu = getenv("BENCH_CPU"), .library = true});
    Jit *jit = jit_new(cg);
    const Fn *fn = program_fn(p, sym(cx, "f"));
    void *args[4];
    for (uint32_t i = 0; i < 4; i++) {
        Val v = i < 3 ? i : fn->results.data[0];
        Tensor t = conv_case_tensor(cx->arena, fn->ins.data[v].type, i);
        args[i] = conv_case_memory(&t);
    }
    void *arena = bench_memory(fn->plan->arena_bytes);
    BenchCall call = {(BpEntry *)(uintptr_t)jit_symbol(jit, "bp_f"), args, arena};
    Contender all[MaxContenders] = {{"bpc", bench_call, &call}};
    size_t n = 1 + conv_contenders(layer, pass, all + 1);
    bench_row(what, flops, F32, all, n);
    conv_contenders_free(all + 1, n - 1);
    for (uint32_t i = 0; i < 4; i++) free(args[i]);
    free(arena);
    jit_free(jit);
    cg_free(cg);
    cx_free(cx);
}

/* The gradients as the rules of std/rules.bp write them. */
static void layer(ConvLayer l) {
    int64_t out = l.s + 2 * l.pad - l.k + 1, back = l.k - 1 - l.pad;
    double flops = 2.0 * (double)(l.n * l.o * out * out * l.c * l.k * l.k);
    ConvCase cases[] = {
        [ConvForward] = {.n = l.n,
                         .c = l.c,
                         .o = l.o,
                         .rank = 2,
                         .s = {l.s, l.s},
                         .k = {l.k, l.k},
                         .lo = {l.pad, l.pad},
                         .hi = {l.pad, l.pad}},
        [ConvInputGradient] = {.n = l.n,
                               .c = l.o,
                               .o = l.c,
                               .rank = 2,
                               .s = {out, out},
                               .k = {l.k, l.k},
                               .lo = {back, back},
                               .hi = {back, back}},
        [ConvWeightGradient] = {.n = l.c,
                                .c = l.n,
                                .o = l.o,
                                .rank = 2,
                                .s = {l.s, l.s},
                                .k = {out, out},
                                .lo = {l.pad, l.pad},
                                .hi = {l.pad, l.pad},
                                .swapped = true},
    };
    static const char *const names[] = {"forward", "input gradient", "weight gradient"};
    for (size_t pass = 0; pass < LEN(cases); pass++) {
        char what[96];
        snprintf(what, sizeof what, "%d x %d x %d x %d to %d by %d x %d, pad %d, %s", (int)l.n,
                 (int)l.c, (int)l.s, (int)l.s, (int)l.o, (int)l.k, (int)l.k, (int)l.pad,
                 names[pass]);
        measure(what, &cases[pass], &l, (ConvPass)pass, flops);
    }
}

int main(int argc, char **argv) {
    bench_one_thread(argv);
    printf("Peak %.1f GF/s (f32).\n\n", bench_peak());
    if (argc == 7) {
        layer((ConvLayer){atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]),
                          atoi(argv[6])});
        return 0;
    }
    static const ConvLayer layers[] = {
        {64, 1, 6, 28, 5, 0},  {64, 6, 16, 12, 5, 0}, {64, 6, 16, 14, 5, 0},
        {1, 64, 64, 56, 3, 1}, {8, 64, 64, 56, 3, 1},
    };
    for (size_t i = 0; i < LEN(layers); i++) layer(layers[i]);
    return 0;
}
