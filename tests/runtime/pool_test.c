/* The thread pool: every chunk once, every thread takes part, jobs of all sizes, with sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/runtime.h"

#include <float.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { Most = 4096 };

typedef struct Counts {
    _Atomic int seen[Most];
} Counts;

static void count(void *data, int64_t i) {
    atomic_fetch_add(&((Counts *)data)->seen[i], 1);
}

static void check_once(int32_t threads, const int64_t *sizes, size_t n) {
    BpEnv env;
    Pool *p = pool_new(threads, &env);
    Counts *c = malloc(sizeof *c);
    assert_int_equal(env.threads, threads);
    for (size_t k = 0; k < n; k++) {
        memset(c, 0, sizeof *c);
        env.parallel(&env, count, c, sizes[k]);
        for (int64_t i = 0; i < Most; i++) assert_int_equal(c->seen[i], i < sizes[k]);
    }
    free(c);
    pool_free(p);
}

static void every_chunk_once(void **state) {
    (void)state;
    int64_t sizes[] = {0, 1, 2, 3, 7, 64, 1000, Most};
    for (int32_t threads = 1; threads <= 5; threads++) check_once(threads, sizes, LEN(sizes));
}

static void mark(void *data, int64_t i) {
    ((unsigned char *)data)[i]++;
}

/* Jobs are of 2^24 - 1 chunks at most. */
static void very_many_chunks(void **state) {
    (void)state;
    const int64_t n = (1 << 24) + 3;
    BpEnv env;
    Pool *p = pool_new(2, &env);
    unsigned char *seen = calloc((size_t)n + 1, 1);
    env.parallel(&env, mark, seen, n);
    int64_t once = 0;
    while (seen[once] == 1) once++;
    assert_int_equal(once, n);
    free(seen);
    pool_free(p);
}

static void many_small_jobs(void **state) {
    (void)state;
    enum { Jobs = 20000 };
    BpEnv env;
    Counts *c = calloc(1, sizeof *c);
    Pool *p = pool_new(3, &env);
    for (int k = 0; k < Jobs; k++) {
        env.parallel(&env, count, c, 1 + k % 7);
        if (k % 4000 == 0) usleep(2000); /* long enough for the workers to fall asleep */
    }
    int64_t total = 0;
    for (int i = 0; i < 7; i++) total += c->seen[i];
    int64_t expected = 0;
    for (int k = 0; k < Jobs; k++) expected += 1 + k % 7;
    assert_int_equal(total, expected);
    free(c);
    pool_free(p);
}

/* Each chunk waits for all the others, so no thread can take two. */
static void meet(void *data, int64_t i) {
    (void)i;
    pthread_barrier_wait(data);
}

static void every_thread_gets_work(void **state) {
    (void)state;
    for (int32_t threads = 1; threads <= 3; threads++) {
        BpEnv env;
        Pool *p = pool_new(threads, &env);
        Arena *a = arena_new();
        pthread_barrier_t all;
        pthread_barrier_init(&all, NULL, (unsigned)threads);
        for (int k = 0; k < 5; k++) env.parallel(&env, meet, &all, threads);
        const int64_t *chunks = pool_chunks(p, a);
        for (int32_t i = 0; i < threads; i++) assert_int_equal(chunks[i], 5);
        pthread_barrier_destroy(&all);
        arena_free(a);
        pool_free(p);
    }
}

typedef struct Shares {
    pthread_barrier_t turn;
    pthread_t by[16];
} Shares;

static void in_turns(void *data, int64_t i) {
    Shares *s = data;
    s->by[i] = pthread_self();
    pthread_barrier_wait(&s->turn);
}

/* Threads of one pace keep to their shares, so that they meet the same rows again. */
static void shares_are_neighbours(void **state) {
    (void)state;
    enum { Threads = 2, Chunks = 16 };
    BpEnv env;
    Shares s;
    Pool *p = pool_new(Threads, &env);
    pthread_barrier_init(&s.turn, NULL, Threads);
    for (int k = 0; k < 3; k++) {
        env.parallel(&env, in_turns, &s, Chunks);
        for (int i = 0; i < Chunks; i++)
            assert_int_equal(!pthread_equal(s.by[i], pthread_self()), i >= Chunks / Threads);
    }
    pthread_barrier_destroy(&s.turn);
    pool_free(p);
}

typedef struct Slow {
    int64_t chunk, chunks;
    _Atomic int64_t others;
    bool alone;
} Slow;

static void wait_for_others(void *data, int64_t i) {
    Slow *s = data;
    if (i != s->chunk) {
        atomic_fetch_add(&s->others, 1);
        return;
    }
    for (int ms = 0; ms < 10000 && atomic_load(&s->others) < s->chunks - 1; ms++) usleep(1000);
    s->alone = atomic_load(&s->others) < s->chunks - 1;
}

/* Where an owner, the caller or a worker, is held up, others do the rest of its share. */
static void shares_of_the_slow(void **state) {
    (void)state;
    const int64_t slow[] = {0, 4, 8};
    BpEnv env;
    Pool *p = pool_new(3, &env);
    for (size_t k = 0; k < LEN(slow); k++) {
        Slow s = {.chunk = slow[k], .chunks = 12};
        env.parallel(&env, wait_for_others, &s, s.chunks);
        assert_false(s.alone);
    }
    pool_free(p);
}

/* A denormal must survive on every thread, whatever the process had set. */
static void denormal(void *data, int64_t i) {
    volatile float tiny = FLT_MIN;
    tiny /= 4;
    ((float *)data)[i] = tiny;
}

static void denormals_are_kept(void **state) {
    (void)state;
    BpEnv env;
    float out[64];
    uint64_t saved = fp_enter();
    Pool *p = pool_new(3, &env);
    env.parallel(&env, denormal, out, 64);
    for (int i = 0; i < 64; i++) assert_true(out[i] > 0);
    pool_free(p);
    fp_leave(saved);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_once),      cmocka_unit_test(very_many_chunks),
        cmocka_unit_test(many_small_jobs),       cmocka_unit_test(every_thread_gets_work),
        cmocka_unit_test(shares_are_neighbours), cmocka_unit_test(shares_of_the_slow),
        cmocka_unit_test(denormals_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
