/* See bench.h. */
#include "bench/bench.h"

#include <immintrin.h>
#include <stdlib.h>
#include <time.h>

double bench_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum { Chains = 12, Turns = 400000 };

/* Independent chains, enough to hide the latency. */
#define PEAK(name, isa, Vec, splat, fma, bytes)                                                   \
    __attribute__((target(isa))) static double name(void) {                                       \
        Vec acc[Chains], x = splat(0.5f);                                                         \
        for (int k = 0; k < Chains; k++) acc[k] = x;                                              \
        __asm__ volatile("" : "+v"(x));                                                           \
        double start = bench_seconds();                                                           \
        for (int i = 0; i < Turns; i++) {                                                         \
            _Pragma("GCC unroll 12") for (int k = 0; k < Chains; k++) acc[k] = fma(acc[k], x, x); \
        }                                                                                         \
        double took = bench_seconds() - start;                                                    \
        for (int k = 0; k < Chains; k++) __asm__ volatile("" ::"v"(acc[k]));                      \
        return 2.0 * Turns * Chains * (bytes / 4) / took * 1e-9;                                  \
    }
PEAK(peak_512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 64)
PEAK(peak_256, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 32)

static double peak(void) {
    return __builtin_cpu_supports("avx512f") ? peak_512() : peak_256();
}

double bench_peak(void) {
    double best = 0;
    for (int i = 0; i < 20; i++) {
        double p = peak();
        if (p > best) best = p;
    }
    return best;
}

static void insert(double *sorted, int n, double x) {
    for (; n && sorted[n - 1] > x; n--) sorted[n] = sorted[n - 1];
    sorted[n] = x;
}

BenchTime bench_time(BpEntry *f, void *const *args, void *arena, double flops) {
    enum { Samples = 21 };
    double times[Samples], shares[Samples];
    int64_t turns = (int64_t)(2e8 / flops) + 1;
    f(args, arena, NULL);
    for (int s = 0; s < Samples; s++) {
        double before = peak(), start = bench_seconds();
        for (int64_t i = 0; i < turns; i++) f(args, arena, NULL);
        double took = (bench_seconds() - start) / (double)turns;
        insert(times, s, took);
        insert(shares, s, flops / took * 1e-9 / ((before + peak()) / 2));
    }
    return (BenchTime){times[Samples / 2], shares[Samples / 2]};
}
