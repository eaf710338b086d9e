/* The thread pool behind BpEnv.parallel: chunks of a job are claimed one by one from one atomic
 * word, the caller takes part. Workers spin for a bounded time (a wake-up costs about 50 us, a
 * training step often less), then sleep.
 *
 * The word holds the job's number in its upper half and the next chunk in its lower half. A chunk
 * is claimed by compare-and-swap on the whole word, so a worker that comes late can never take a
 * chunk of one job with the body of another: between jobs the word shows Closed. */
#include "runtime/runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { CacheLine = 64, SpinRounds = 4000 };
#define CLOSED UINT32_MAX

typedef void Body(void *data, int64_t i);

typedef struct Worker {
    _Alignas(CacheLine) struct Pool *pool;
    pthread_t thread;
    int64_t chunks; /* executed by this thread */
} Worker;

struct Pool {
    _Alignas(CacheLine) _Atomic uint64_t word; /* job << 32 | next chunk */
    _Alignas(CacheLine) _Atomic uint64_t done; /* chunks of the job executed */
    _Alignas(CacheLine) _Atomic(Body *) body;
    _Atomic(void *) data;
    _Atomic int64_t base; /* number of the job's first chunk */
    _Atomic uint32_t n;
    _Atomic int sleepers;
    _Atomic bool stop;
    int spin;
    int32_t threads, started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    Worker *workers; /* [0] is the calling thread */
};

uint64_t fp_enter(void) {
    uint64_t saved = 0;
#if defined(__x86_64__)
    saved = _mm_getcsr();
    _mm_setcsr(0x1F80);
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
#endif
    return saved;
}

void fp_leave(uint64_t saved) {
#if defined(__x86_64__)
    _mm_setcsr((unsigned)saved);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(saved));
#else
    (void)saved;
#endif
}

static void pause_briefly(void) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool claimable(Pool *p, uint64_t word) {
    uint32_t next = (uint32_t)word;
    return next != CLOSED && next < atomic_load(&p->n);
}

/* Executes chunks of the current job until none is left to claim. A job cannot end before its
 * chunks are counted in `done`, so counting once at the end is enough. */
static void work(Pool *p, Worker *w) {
    uint64_t word = atomic_load(&p->word), finished = 0;
    while (claimable(p, word)) {
        if (!atomic_compare_exchange_weak(&p->word, &word, word + 1)) continue;
        Body *body = atomic_load(&p->body);
        body(atomic_load(&p->data), atomic_load(&p->base) + (int64_t)(uint32_t)word);
        finished++;
        word = atomic_load(&p->word);
    }
    w->chunks += (int64_t)finished;
    if (finished) atomic_fetch_add(&p->done, finished);
}

static void sleep_until_work(Pool *p) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (!atomic_load(&p->stop) && !claimable(p, atomic_load(&p->word))) {
        pthread_cond_wait(&p->wake, &p->lock);
    }
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *data) {
    Worker *w = data;
    Pool *p = w->pool;
    fp_enter();
    while (!atomic_load(&p->stop)) {
        work(p, w);
        int round = 0;
        while (round < p->spin && !claimable(p, atomic_load(&p->word))) {
            pause_briefly();
            round++;
        }
        if (round == p->spin) sleep_until_work(p);
    }
    return NULL;
}

static void wake_all(Pool *p) {
    if (!atomic_load(&p->sleepers)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* One job of fewer than CLOSED chunks. */
static void run_job(Pool *p, Body *body, void *data, int64_t base, uint32_t n) {
    uint64_t job = (atomic_load(&p->word) >> 32) + 1;
    atomic_store(&p->word, job << 32 | CLOSED);
    atomic_store(&p->body, body);
    atomic_store(&p->data, data);
    atomic_store(&p->base, base);
    atomic_store(&p->n, n);
    atomic_store(&p->done, 0);
    atomic_store(&p->word, job << 32);
    wake_all(p);
    work(p, &p->workers[0]);
    for (int round = 0; atomic_load(&p->done) < n; round++) {
        if (round < p->spin)
            pause_briefly();
        else
            sched_yield();
    }
}

static void parallel(const BpEnv *env, Body *body, void *data, int64_t n) {
    Pool *p = env->pool;
    if (n < 2 || p->started == 0) {
        for (int64_t i = 0; i < n; i++) body(data, i);
        p->workers[0].chunks += n > 0 ? n : 0;
        return;
    }
    const int64_t most = CLOSED - 1;
    for (int64_t base = 0; base < n; base += most) {
        run_job(p, body, data, base, (uint32_t)(n - base < most ? n - base : most));
    }
}

Pool *pool_new(int32_t threads, BpEnv *env) {
    Pool *p = aligned_alloc(CacheLine, sizeof *p);
    Worker *workers = aligned_alloc(CacheLine, (size_t)threads * sizeof *workers);
    if (!p || !workers) {
        free(p);
        free(workers);
        return NULL;
    }
    memset(p, 0, sizeof *p);
    memset(workers, 0, (size_t)threads * sizeof *workers);
    p->threads = threads;
    p->workers = workers;
    /* Spinning takes the CPU from the thread that is waited for when there are too few. */
    p->spin = threads <= cpu_count() ? SpinRounds : SpinRounds / 40;
    atomic_store(&p->word, CLOSED);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int32_t i = 0; i < threads; i++) {
        workers[i].pool = p;
        if (i && pthread_create(&workers[i].thread, NULL, worker_main, &workers[i])) break;
        p->started += i > 0;
    }
    *env = (BpEnv){parallel, p, threads};
    return p;
}

const int64_t *pool_chunks(const Pool *p, Arena *a) {
    int64_t *n = NEW_ARRAY(a, int64_t, (size_t)p->threads);
    for (int32_t i = 0; i < p->threads; i++) n[i] = p->workers[i].chunks;
    return n;
}

void pool_free(Pool *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int32_t i = 1; i <= p->started; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}
