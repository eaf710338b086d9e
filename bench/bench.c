/* See bench.h. */
#include "bench/bench.h"

#include <immintrin.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static double processor_seconds(void) {
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
        double start = processor_seconds();                                                       \
        for (int i = 0; i < Turns; i++) {                                                         \
            _Pragma("GCC unroll 12") for (int k = 0; k < Chains; k++) acc[k] = fma(acc[k], x, x); \
        }                                                                                         \
        double took = processor_seconds() - start;                                                \
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

void bench_one_thread(char **argv) {
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"};
    bool set = true;
    for (size_t i = 0; i < LEN(names); i++) {
        const char *value = getenv(names[i]);
        set = set && value && !strcmp(value, "1");
        setenv(names[i], "1", true);
    }
    if (set) return;
    execv("/proc/self/exe", argv);
    perror("execv");
    exit(1);
}

void *bench_memory(size_t bytes) {
    size_t huge = (size_t)2 << 20, unit = bytes < huge ? 64 : huge, size = (bytes / unit + 1) * unit;
    void *p = aligned_alloc(unit, size);
    if (!p) abort();
    if (unit == huge) madvise(p, size, MADV_HUGEPAGE);
    return p;
}

void bench_call(void *of) {
    const BenchCall *c = of;
    c->f(c->args, c->arena, NULL);
}

enum { Samples = 21 };

typedef struct Series {
    double of[Samples];
} Series;

static double median(Series s) {
    for (int n = 1; n < Samples; n++)
        for (int i = n; i && s.of[i - 1] > s.of[i]; i--) {
            double x = s.of[i];
            s.of[i] = s.of[i - 1];
            s.of[i - 1] = x;
        }
    return s.of[Samples / 2];
}

static void head(const Contender *c, size_t n) {
    printf("| operation | us | GF/s | of peak |");
    for (size_t i = 1; i < n; i++) printf(" faster than %s |", c[i].name);
    printf("\n|---|---|---|---|");
    for (size_t i = 1; i < n; i++) printf("---|");
    printf("\n");
}

void bench_row(const char *what, double flops, DType dt, const Contender *c, size_t n) {
    Series times, shares, faster[MaxContenders - 1];
    static bool begun;
    int64_t turns = (int64_t)(2e8 / flops) + 1;
    if (!begun) head(c, n);
    begun = true;
    for (size_t i = 0; i < n; i++) c[i].run(c[i].of);
    for (int s = 0; s < Samples; s++)
        for (size_t i = 0; i < n; i++) {
            double before = i ? 0 : peak(), start = processor_seconds();
            for (int64_t t = 0; t < turns; t++) c[i].run(c[i].of);
            double took = (processor_seconds() - start) / (double)turns;
            if (i) {
                faster[i - 1].of[s] = took / times.of[s];
                continue;
            }
            times.of[s] = took;
            shares.of[s] = flops / took * 1e-9 / ((before + peak()) / 2) * (dt == F64 ? 2 : 1);
        }
    double seconds = median(times);
    printf("| %s | %.2f | %.1f | %.0f %% |", what, seconds * 1e6, flops / seconds * 1e-9,
           median(shares) * 100);
    for (size_t i = 1; i < n; i++) printf(" %.2f |", median(faster[i - 1]));
    printf("\n");
    fflush(stdout);
}
