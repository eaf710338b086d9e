/* Tiles of contractions by measurement: for each contraction of a program the best few of the
 * model (contract_plan.c) are compiled and take turns on this machine; the fastest is remembered
 * in the cache. All choices are free of meaning: they move no bit. */
#include "codegen/contract_internal.h"

#include <stdlib.h>
#include <time.h>

enum { Candidates = 8, Rounds = 7, SampleNs = 300000 };

typedef void Entry(void *const *args, unsigned char *arena, const void *env);

/* Elements that a matrix of such strides reaches. */
static int64_t reach(int64_t rows, int64_t cols, int64_t row, int64_t col) {
    return (rows - 1) * row + (cols - 1) * col + 1;
}

static bool measurable(const Tiling *t) {
    int64_t bytes = (int64_t)dtype_size(t->dt), sum = 0, n;
    if (t->m < 2 || t->n < 2 || t->k < 1) return false;
    if (t->x_row < 0 || t->x_col < 0 || t->y_row < 0 || t->y_col < 0) return false;
    const int64_t sizes[] = {reach(t->m, t->k, t->x_row, t->x_col),
                             reach(t->k, t->n, t->y_row, t->y_col), t->m * t->n};
    for (size_t i = 0; i < LEN(sizes); i++) {
        if (__builtin_mul_overflow(sizes[i], bytes, &n)) return false;
        sum += n;
    }
    return sum < (int64_t)1 << 31;
}

/* ---- the code of a candidate ---- */

typedef struct Plain {
    Cg *cg;
    const Tiling *t;
    V out;
} Plain;

static void store_plain(void *data, V i, V j, V value, unsigned count) {
    const Plain *p = data;
    V row = cg_mul_imm(p->cg, i, p->t->n);
    unsigned lanes = cg_lanes_of(value);
    for (unsigned from = 0; from < count; lanes /= lanes > 1 ? 2 : 1) {
        for (; count - from >= lanes && from < count; from += lanes) {
            V at = cg_add(p->cg, row, cg_add_imm(p->cg, j, from));
            cg_store(p->cg, p->t->dt, cg_part(p->cg, value, from, lanes), p->out, at);
        }
    }
}

static V operand(Cg *cg, V table, int64_t slot) {
    V at = cg_i64(cg, slot);
    V p = LLVMBuildInBoundsGEP2(cg->b, cg->ptr, table, &at, 1, "");
    return LLVMBuildLoad2(cg->b, cg->ptr, p, "");
}

static const char *candidate_name(Cg *cg, uint32_t i) {
    return arena_printf(cg->cx->scratch, "bp_candidate%u", i);
}

/* void(args, arena, env): args has A, B, C. */
static void emit_candidate(Cg *cg, const Tiling *t, uint32_t number) {
    T params[] = {cg->ptr, cg->ptr, cg->ptr};
    V f = cg->fn = cg_new_function(cg, candidate_name(cg, number), params, 3, true);
    cg_at(cg, cg_block(cg, "entry"));
    V args = LLVMGetParam(f, 0);
    Plain plain = {cg, t, operand(cg, args, 2)};
    Contract c = {.cg = cg, .dt = t->dt, .m = t->m, .n = t->n, .k = t->k,
                  .store = store_plain, .data = &plain};
    c.x = (Matrix){.base = operand(cg, args, 0), .row = t->x_row, .col = t->x_col};
    c.y = (Matrix){.base = operand(cg, args, 1), .row = t->y_row, .col = t->y_col};
    cg->o.tilings = t;
    cg->o.ntilings = 1;
    contract_plan(&c);
    Loop l;
    V items = cg_i64(cg, contract_items(&c));
    contract_item(&c, loop_open(cg, &l, cg_i64(cg, 0), items, 1, NULL, 0));
    loop_close(cg, &l, NULL);
    LLVMBuildRetVoid(cg->b);
}

/* ---- measuring ---- */

static double thread_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static double sample(Entry *f, void *const *args, int64_t turns) {
    double start = thread_ns();
    for (int64_t i = 0; i < turns; i++) f(args, NULL, NULL);
    return (thread_ns() - start) / (double)turns;
}

static int by_size(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The first is the model's choice and stays unless another is clearly better; those far behind
 * after the first round drop out. */
static uint32_t fastest(Entry *const *f, uint32_t n, void *const *args) {
    double times[Candidates][Rounds], least = 0, once = sample(f[0], args, 1);
    int64_t turns = (int64_t)(SampleNs / (once + 1)) + 1;
    for (uint32_t i = 0; i < n; i++) {
        times[i][0] = sample(f[i], args, turns);
        if (!i || times[i][0] < least) least = times[i][0];
    }
    for (uint32_t r = 1; r < Rounds; r++) {
        for (uint32_t i = 0; i < n; i++)
            times[i][r] = i && times[i][0] > 1.2 * least ? times[i][0] : sample(f[i], args, turns);
    }
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        qsort(times[i], Rounds, sizeof times[i][0], by_size);
        double median = times[i][Rounds / 2];
        if (i && median >= (found ? 1 : 0.97) * least) continue;
        least = median;
        found = i;
    }
    return found;
}

static void *zeros(Arena *a, const Tiling *t, int64_t elements) {
    size_t bytes = (size_t)elements * dtype_size(t->dt);
    unsigned char *p = arena_alloc(a, bytes + 128);
    return p + (64 - (uintptr_t)p % 64) % 64;
}

static bool measure(Program *p, const CgOptions *o, Tiling *t) {
    Tiling tried[Candidates];
    Cg *cg = cg_open(p, o);
    if (!cg) return false;
    uint32_t n = contract_candidates(cg, t, tried, Candidates);
    for (uint32_t i = 0; i < n; i++) emit_candidate(cg, &tried[i], i);
    Jit *jit = jit_new(cg);
    Entry *f[Candidates];
    for (uint32_t i = 0; jit && i < n; i++)
        f[i] = (Entry *)(uintptr_t)jit_symbol(jit, candidate_name(cg, i));
    if (jit) {
        Arena *a = arena_new();
        void *args[] = {zeros(a, t, reach(t->m, t->k, t->x_row, t->x_col)),
                        zeros(a, t, reach(t->k, t->n, t->y_row, t->y_col)),
                        zeros(a, t, t->m * t->n)};
        *t = tried[fastest(f, n, args)];
        arena_free(a);
        jit_free(jit);
    }
    cg_free(cg);
    return jit != NULL;
}

/* ---- what was measured before ---- */

static Sym key_of(const Cg *cg, const Tiling *t) {
    Sym s = sym_fmt(cg->cx, "tile %s %d %lld %lld %lld  %lld %lld  %lld %lld", target_text(cg),
                    (int)t->dt, (long long)t->m, (long long)t->n, (long long)t->k,
                    (long long)t->x_row, (long long)t->x_col, (long long)t->y_row,
                    (long long)t->y_col);
    return sym_digest(cg->cx, s, strlen(s));
}

static bool recall(const Cg *cg, Tiling *t) {
    LLVMMemoryBufferRef kept = cache_get(key_of(cg, t));
    int64_t choice[3];
    bool found = kept && LLVMGetBufferSize(kept) == sizeof choice;
    if (found) memcpy(choice, LLVMGetBufferStart(kept), sizeof choice);
    if (kept) LLVMDisposeMemoryBuffer(kept);
    if (!found) return false;
    t->rows = choice[0];
    t->vecs = choice[1];
    t->pack = choice[2] != 0;
    return t->rows >= 1 && t->rows <= MaxTileRows && t->vecs >= 1 && t->vecs <= MaxTileVecs;
}

static void remember(const Cg *cg, const Tiling *t) {
    int64_t choice[] = {t->rows, t->vecs, t->pack};
    LLVMMemoryBufferRef kept =
        LLVMCreateMemoryBufferWithMemoryRangeCopy((char *)choice, sizeof choice, "tile");
    cache_put(cg->cx->scratch, key_of(cg, t), kept);
    LLVMDisposeMemoryBuffer(kept);
}

bool cg_tune(Program *p, CgOptions *o) {
    double start = now_seconds();
    CgOptions plain = *o;
    plain.part = CgAll;
    plain.cache = false;
    Cg *cg = cg_build(p, &plain);
    if (!cg) return false;
    if (!target_is_host(cg)) {
        diag_error(p->cx, (Loc){0}, "--tune measures this machine: not for -march=%s, %s", cg->cpu,
                   cg->triple);
        cg_free(cg);
        return false;
    }
    VEC(Tiling) found = {0};
    bool ok = true;
    for (uint32_t i = 0; ok && i < cg->contractions.len; i++) {
        Tiling t = cg->contractions.data[i];
        if (!measurable(&t)) continue;
        if (!recall(cg, &t)) {
            ok = measure(p, &plain, &t);
            if (ok) remember(cg, &t);
        }
        vec_push(p->cx->arena, &found, t);
    }
    o->tilings = found.data;
    o->ntilings = found.len;
    cg_free(cg);
    cx_took(p->cx, start, "tune");
    return ok;
}
