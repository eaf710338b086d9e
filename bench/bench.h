/* What benchmarks share. */
#ifndef BPC_BENCH_H
#define BPC_BENCH_H

#include "runtime/bprt.h"

#include <stdlib.h>

double bench_seconds(void); /* of this thread: others on the machine disturb less */
/* GF/s of fused multiply-adds in f32 on one core: the best of a few short runs. */
double bench_peak(void);
/* A call that does so many operations: medians of several samples of its seconds and of its share
 * of the peak in f32, which is measured before and after each sample, as clocks change. */
typedef struct BenchTime {
    double seconds, share;
} BenchTime;
BenchTime bench_time(BpEntry *f, void *const *args, void *arena, double flops);

#endif
