/* How long a fork and a join of the runtime's pool take: a job that all threads have to come to,
 * one job after another, and after so many microseconds of serial work. Argument: threads. */
#include "runtime/runtime.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { Jobs = 20001 };

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

typedef struct Meeting {
    _Atomic int arrived;
    int threads;
} Meeting;

static void meet(void *data, int64_t i) {
    Meeting *m = data;
    (void)i;
    atomic_fetch_add(&m->arrived, 1);
    while (atomic_load(&m->arrived) < m->threads) continue;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of a job. */
static double median_job(const BpEnv *env, double serial) {
    static double took[Jobs];
    for (int i = 0; i < Jobs; i++) {
        double until = seconds() + serial;
        while (seconds() < until) continue;
        Meeting m = {0, env->threads};
        double start = seconds();
        env->parallel(env, meet, &m, env->threads);
        took[i] = seconds() - start;
    }
    qsort(took, Jobs, sizeof *took, ascending);
    return took[Jobs / 2];
}

int main(int argc, char **argv) {
    static const double serial[] = {0, 5e-6, 20e-6};
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    BpEnv env;
    Pool *pool = threads > 0 ? pool_new(threads, &env) : NULL;
    if (!pool) return 1;
    printf("| fork and join, %d threads | us |\n|---|---|\n", threads);
    for (size_t i = 0; i < LEN(serial); i++)
        printf("| after %.0f us of serial work | %.2f |\n", serial[i] * 1e6,
               median_job(&env, serial[i]) * 1e6);
    pool_free(pool);
    return 0;
}
