/* Speed of generated contractions on one thread, as a share of the fused multiply-add peak and
 * beside libraries. Arguments: M N K [nn|tn|nt], else a list of shapes. */
#include "bench/peers.h"
#include "passes/passes.h"
#include "tests/codegen/contraction.h"

static void *array(int64_t n, DType dt) {
    size_t bytes = ((size_t)n * dtype_size(dt) + 127) / 64 * 64;
    unsigned char *p = bench_memory(bytes);
    for (size_t i = 0; i + 4 <= bytes; i += 4) {
        float f = rng_f32(rng_bits(1, i)) - 0.5f;
        memcpy(p + i, &f, 4);
    }
    if (dt == F64)
        for (size_t i = 0; i + 8 <= bytes; i += 8) {
            double d = rng_f64(rng_bits(1, i)) - 0.5;
            memcpy(p + i, &d, 8);
        }
    return p;
}

static void measure(Contraction c, const char *cpu) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "bench");
    contraction_write(p, "f", &c);
    PassOptions how = {.level = 2, .limit = -1, .out = stderr};
    passes_run(p, &how);
    Cg *cg = cg_build(p, &(CgOptions){.level = 2, .cpu = cpu, .library = true});
    Jit *jit = jit_new(cg);
    void *args[] = {array(c.m * c.k, c.dt), array(c.k * c.n, c.dt), array(c.n, c.dt),
                    array(c.m * c.n, c.dt)};
    void *arena = bench_memory(program_fn(p, sym(cx, "f"))->plan->arena_bytes);
    BenchCall call = {(BpEntry *)(uintptr_t)jit_symbol(jit, "bp_f"), args, arena};
    Gemm gemm = {c.a_flipped, c.b_flipped, c.m, c.n, c.k, args[0], args[1], args[3]};
    Contender all[MaxContenders] = {{"bpc", bench_call, &call}};
    size_t n = 1 + (c.dt == F32 ? gemm_contenders(&gemm, all + 1) : 0);
    char what[64];
    snprintf(what, sizeof what, "%s %c%c %d %d %d", dtype_name(c.dt), c.a_flipped ? 'T' : 'N',
             c.b_flipped ? 'T' : 'N', (int)c.m, (int)c.n, (int)c.k);
    bench_row(what, 2.0 * (double)c.m * (double)c.n * (double)c.k, c.dt, all, n);
    for (size_t i = 0; i < LEN(args); i++) free(args[i]);
    free(arena);
    jit_free(jit);
    cg_free(cg);
    cx_free(cx);
}

static const struct Row {
    bool a, b; /* flipped */
    int m, n, k;
} rows[] = {
    {0, 0, 8, 16, 64},        {0, 0, 16, 64, 64},       {0, 0, 64, 128, 64},
    {0, 0, 32, 128, 784},     {0, 0, 64, 256, 784},     {0, 0, 128, 512, 512},
    {0, 0, 256, 768, 768},    {0, 0, 256, 1024, 1024},  {0, 0, 256, 3072, 768},
    {0, 0, 1024, 1024, 1024}, {0, 0, 64, 10, 128},      {0, 0, 100, 100, 100},
    {1, 0, 64, 16, 8},        {0, 1, 8, 64, 16},        {1, 0, 64, 64, 16},
    {1, 0, 784, 128, 32},     {1, 0, 784, 256, 64},     {1, 0, 512, 512, 128},
    {1, 0, 768, 3072, 256},   {1, 0, 1024, 1024, 1024}, {1, 0, 256, 10, 64},
    {0, 1, 16, 64, 64},       {0, 1, 32, 784, 128},     {0, 1, 64, 784, 256},
    {0, 1, 128, 512, 512},    {0, 1, 256, 768, 3072},   {0, 1, 1024, 1024, 1024},
    {0, 1, 4, 784, 256},      {0, 1, 8, 1024, 1024},    {0, 0, 1, 256, 784},
    {0, 0, 1, 1024, 1024},    {0, 1, 1, 784, 256},      {0, 1, 1, 1024, 1024},
    {0, 0, 64, 1, 784},       {0, 0, 4, 256, 784},      {1, 0, 1024, 1024, 8},
    {0, 0, 333, 555, 777},
};

int main(int argc, char **argv) {
    bench_one_thread(argv);
    const char *cpu = getenv("BENCH_CPU");
    printf("Peak %.1f GF/s (f32). T: stored transposed; M, N, K.\n\n", bench_peak());
    if (argc >= 4) {
        Contraction c = {.m = atoi(argv[1]), .n = atoi(argv[2]), .k = atoi(argv[3])};
        c.a_flipped = argc > 4 && argv[4][0] == 't';
        c.b_flipped = argc > 4 && argv[4][1] == 't';
        c.dt = argc > 5 ? F64 : F32;
        measure(c, cpu);
        return 0;
    }
    for (size_t i = 0; i < LEN(rows); i++)
        measure((Contraction){F32, 0, rows[i].m, rows[i].n, rows[i].k, rows[i].a, rows[i].b, false,
                              false},
                cpu);
    measure((Contraction){F64, 0, 128, 512, 512, false, false, false, false}, cpu);
    measure((Contraction){F64, 0, 128, 512, 512, false, true, false, false}, cpu);
    return 0;
}
