/* What benchmarks share. */
#ifndef BPC_BENCH_H
#define BPC_BENCH_H

#include "runtime/bprt.h"

#include <stdlib.h>

double bench_seconds(void); /* of this thread: others on the machine disturb less */
/* GF/s of fused multiply-adds in f32 on one core: the best of a few short runs. */
double bench_peak(void);
/* Seconds of a call that does so many operations: the median of several samples. */
double bench_time(BpEntry *f, void *const *args, void *arena, double flops);

#endif
