/* What benchmarks share. */
#ifndef BPC_BENCH_H
#define BPC_BENCH_H

#include "codegen/codegen.h"
#include "runtime/bprt.h"

#include <stdio.h>
#include <stdlib.h>

/* Libraries run on one thread: their variables are set, and the program started again, before
 * they are loaded. */
void bench_one_thread(char **argv);
/* GF/s of fused multiply-adds in f32 on one core: the best of a few short runs. */
double bench_peak(void);

/* On huge pages if it is large, as trainers have it; free() frees it. */
void *bench_memory(size_t bytes);

enum { MaxContenders = 3 };

typedef struct Contender {
    const char *name;
    void (*run)(void *of);
    void *of;
} Contender;

/* A compiled function as a contender. */
typedef struct BenchCall {
    BpEntry *f;
    void *const *args;
    void *arena;
} BenchCall;
void bench_call(void *of);

/* Rows of a table in Markdown, the first with its head: the first contender's microseconds, GF/s
 * and share of the peak; how many times faster than each other contender it is. Contenders take
 * turns, and the peak is measured before and after each sample, as clocks change. Medians over
 * samples of this thread's processor time, which others on the machine disturb less. */
void bench_row(const char *what, double flops, DType dt, const Contender *c, size_t n);

#endif
