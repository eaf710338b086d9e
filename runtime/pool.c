/* The thread pool behind BpEnv.parallel. Each thread, the caller too, gets an equal share of the
 * chunks of a job, neighbours in the order of their numbers: kernel after kernel it so meets the
 * same rows, which its own cache holds. A thread that is through with its share takes chunks off
 * the ends of others. Workers spin for a bounded time (a wake-up costs about 50 us, a training step
 * often less), then sleep.
 *
 * A share is one atomic word: a few bits of the job's number, the end and the next chunk. One is
 * claimed by compare-and-swap on the whole word, so a worker that comes late can never take a chunk
 * of one job with the body of another: when a job is over, nothing can be claimed until the next
 * words, and what each says of the job was stored before. A thread's fork lies in one cache line,
 * `done`, which only grows, in another. */
#include "runtime/runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { CacheLine = 64, SpinRounds = 4000, ChunkBits = 24, MostChunks = (1 << ChunkBits) - 1 };

typedef void Body(void *data, int64_t i);

typedef struct Worker {
    _Alignas(CacheLine) _Atomic uint64_t word; /* its share: job, end, next chunk */
    _Atomic(Body *) body;
    _Atomic(void *) data;
    _Atomic int64_t base; /* number of the job's first chunk */
    _Alignas(CacheLine) struct Pool *pool;
    pthread_t thread;
    int64_t chunks; /* executed by this thread */
} Worker;

struct Pool {
    uint64_t jobs, issued;                     /* so far, and their chunks */
    _Alignas(CacheLine) _Atomic uint64_t done; /* chunks executed */
    _Alignas(CacheLine) _Atomic int sleepers;
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

static uint32_t next_chunk(uint64_t word) {
    return word & MostChunks;
}

static uint32_t end_chunk(uint64_t word) {
    return word >> ChunkBits & MostChunks;
}

static bool claimable(uint64_t word) {
    return next_chunk(word) < end_chunk(word);
}

/* Executes what is left of a share: from its beginning its owner, from its end another. A job
 * cannot end before its chunks are counted in `done`, so counting once at the end is enough. */
static bool work_on(Pool *p, Worker *share, Worker *by) {
    uint64_t word = atomic_load(&share->word), finished = 0;
    bool own = share == by;
    while (claimable(word)) {
        uint64_t less = own ? word + 1 : word - (UINT64_C(1) << ChunkBits);
        if (!atomic_compare_exchange_weak(&share->word, &word, less)) continue;
        Body *body = atomic_load_explicit(&share->body, memory_order_relaxed);
        void *data = atomic_load_explicit(&share->data, memory_order_relaxed);
        int64_t base = atomic_load_explicit(&share->base, memory_order_relaxed);
        body(data, base + (own ? next_chunk(word) : end_chunk(less)));
        finished++;
        word = atomic_load(&share->word);
    }
    if (!finished) return false;
    by->chunks += (int64_t)finished;
    atomic_fetch_add(&p->done, finished);
    return true;
}

/* Executes the thread's share of the current job, then what others have left of theirs. A worker
 * whose share is gone before it comes does not look further; the caller does, it has to wait. */
static void work(Pool *p, int32_t number) {
    Worker *w = &p->workers[number];
    if (!work_on(p, w, w) && number) return;
    for (int32_t i = 1; i <= p->started; i++)
        work_on(p, &p->workers[(number + i) % (p->started + 1)], w);
}

static void sleep_until_work(Pool *p, Worker *w) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (!atomic_load(&p->stop) && !claimable(atomic_load(&w->word))) {
        pthread_cond_wait(&p->wake, &p->lock);
    }
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *data) {
    Worker *w = data;
    Pool *p = w->pool;
    const int spin = p->spin;
    fp_enter();
    while (!atomic_load(&p->stop)) {
        work(p, (int32_t)(w - p->workers));
        int round = 0;
        uint64_t word = atomic_load(&w->word), now = word;
        for (; round < spin && !claimable(now); round++, now = atomic_load(&w->word)) {
            if (now != word) round = 0; /* a job that others did alone */
            word = now;
            pause_briefly();
        }
        if (round == spin) sleep_until_work(p, w);
    }
    return NULL;
}

static void wake_all(Pool *p) {
    if (!atomic_load(&p->sleepers)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* Chunks [from, to) of a job. */
static void give_share(Worker *w, Body *body, void *data, int64_t base, uint64_t job, uint64_t from,
                       uint64_t to) {
    atomic_store_explicit(&w->body, body, memory_order_relaxed);
    atomic_store_explicit(&w->data, data, memory_order_relaxed);
    atomic_store_explicit(&w->base, base, memory_order_relaxed);
    atomic_store(&w->word, job << 2 * ChunkBits | to << ChunkBits | from);
}

/* One job of at most MostChunks. The caller's share comes first: should it be held up, the others
 * find it. */
static void run_job(Pool *p, Body *body, void *data, int64_t base, uint64_t n) {
    const uint64_t until = p->issued += n, job = ++p->jobs, threads = (uint64_t)p->started + 1;
    for (uint64_t i = 0, from = 0, to; i < threads; i++, from = to) {
        to = (n * (i + 1) + threads - 1) / threads;
        give_share(&p->workers[i], body, data, base, job, from, to);
    }
    wake_all(p);
    work(p, 0);
    for (int round = 0; atomic_load(&p->done) != until; round++) {
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
    for (int64_t base = 0; base < n; base += MostChunks)
        run_job(p, body, data, base, (uint64_t)(n - base < MostChunks ? n - base : MostChunks));
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
