/* Kernels that run again: what is given up is memory, what is got back is the same bits, because
 * the same code runs on the same numbers.
 *
 *   k0 stores a ... k5 reads a ... k9 reads a       becomes, where memory is short in between,
 *   k0 stores a ... k5 reads a ... k0 again ... k9 reads a
 *
 * As long as too much is in use, one value that nothing reads at the peak is given up there: the
 * one that frees most for the least work. What its kernel reads lives on until then, or is made
 * again too. Memory in use is estimated by liveness; the plan decides.
 * Tests: tests/passes/budget_test.c */
#include "passes/plan.h"

typedef struct Run { /* of a kernel */
    const Kernel *k;
    bool again;
    Vals stores, reads; /* in the arena, reshapes seen through */
} Run;
typedef VEC(Run) Runs;

typedef struct Budget {
    Program *p;
    const Fn *fn; /* as planned without a budget */
    Arena *a;         /* of one step: see give_up_one */
    uint32_t *maker;  /* kernel that stores a value */
    uint64_t *bytes;  /* of values in the arena, else 0 */
    double *work;     /* of kernels */
    bool *live;       /* scratch table of usage() */
} Budget;

static const Ins *ins_at(const Budget *m, Val v) { return &m->fn->ins.data[v]; }

/* ---- what running a kernel takes ---- */

static double kernel_work(const Program *p, const Fn *fn, const Kernel *k) {
    double work = 1;
    for (uint32_t m = 0; m < k->members.len; m++) work += ins_work(p, fn, k->members.data[m]);
    return work;
}

/* ---- runs ---- */

static bool has(const Vals *list, Val v) {
    for (uint32_t k = 0; k < list->len; k++) {
        if (list->data[k] == v) return true;
    }
    return false;
}

/* What kernel k computes to store these values. */
static bool *needed_for(const Budget *m, const Kernel *k, const Vals *stores) {
    bool *needed = NEW_ARRAY(m->a, bool, m->fn->ins.len);
    for (uint32_t j = 0; j < stores->len; j++) needed[stores->data[j]] = true;
    if (k->root != NoVal) needed[k->root] = true;
    for (uint32_t n = k->members.len; n-- > 0;) {
        const Ins *i = ins_at(m, k->members.data[n]);
        for (uint32_t a = 0; needed[k->members.data[n]] && a < i->nargs; a++) {
            needed[i->args[a]] = true;
        }
    }
    return needed;
}

/* Kernel k so that it stores these values: it reads what they are computed from. */
static Run run_of(const Budget *m, const Kernel *k, const Vals *stores, bool again) {
    Run r = {.k = k, .again = again, .stores = *stores};
    const bool *needed = needed_for(m, k, stores);
    bool all = k->kind == KernRegion || !again;
    for (uint32_t j = 0; j < k->inputs.len; j++) {
        Val v = k->inputs.data[j], base = memory_of(m->fn, v);
        if ((all || needed[v]) && m->bytes[base] && !has(&r.reads, base)) {
            vec_push(m->a, &r.reads, base);
        }
    }
    return r;
}

static Vals arena_outputs(const Budget *m, const Kernel *k) {
    Vals out = {0};
    for (uint32_t j = 0; j < k->outputs.len; j++) {
        if (m->bytes[k->outputs.data[j]]) vec_push(m->a, &out, k->outputs.data[j]);
    }
    return out;
}

/* Bytes in use while each run is at work. */
static uint64_t *usage(const Budget *m, const Runs *runs) {
    uint64_t *out = NEW_ARRAY(m->a, uint64_t, runs->len + 1), now = 0;
    memset(m->live, 0, m->fn->ins.len);
    for (uint32_t n = runs->len; n-- > 0;) {
        const Run *r = &runs->data[n];
        uint64_t during = now + r->k->scratch.bytes;
        for (uint32_t j = 0; j < r->stores.len; j++) {
            Val v = r->stores.data[j];
            if (!m->live[v]) during += m->bytes[v];
        }
        for (uint32_t j = 0; j < r->reads.len; j++) {
            if (!m->live[r->reads.data[j]]) during += m->bytes[r->reads.data[j]];
        }
        for (uint32_t j = 0; j < r->stores.len; j++) {
            Val v = r->stores.data[j];
            if (m->live[v]) now -= m->bytes[v];
            m->live[v] = false;
        }
        for (uint32_t j = 0; j < r->reads.len; j++) {
            Val v = r->reads.data[j];
            if (!m->live[v]) now += m->bytes[v];
            m->live[v] = true;
        }
        out[n] = during;
    }
    return out;
}

static uint32_t peak_of(const uint64_t *use, uint32_t n) {
    uint32_t at = 0;
    for (uint32_t k = 1; k < n; k++) {
        if (use[k] > use[at]) at = k;
    }
    return at;
}

/* Less at the peak, or as much less often. */
static bool is_less(const uint64_t *x, uint32_t nx, const uint64_t *y, uint32_t ny) {
    uint64_t px = x[peak_of(x, nx)], py = y[peak_of(y, ny)];
    uint32_t cx = 0, cy = 0;
    for (uint32_t k = 0; k < nx; k++) cx += x[k] == px;
    for (uint32_t k = 0; k < ny; k++) cy += y[k] == py;
    return px < py || (px == py && cx < cy);
}

/* ---- giving up one value ---- */

static void insert(const Budget *m, Runs *runs, uint32_t at, Run r) {
    vec_push(m->a, runs, r);
    memmove(&runs->data[at + 1], &runs->data[at], (runs->len - 1 - at) * sizeof r);
    runs->data[at] = r;
}

/* The first run from `from` on that reads v or stores it (*store). */
static uint32_t next_event(const Runs *runs, uint32_t from, Val v, bool *store) {
    *store = false;
    for (uint32_t n = from; n < runs->len; n++) {
        if (has(&runs->data[n].reads, v)) return n;
        *store = has(&runs->data[n].stores, v);
        if (*store) return n;
    }
    return runs->len;
}

/* Whether v holds a value from before run `peak` until run `at`. */
static bool lives_to(const Runs *runs, uint32_t peak, uint32_t at, Val v) {
    bool store;
    uint32_t n = next_event(runs, peak + 1, v, &store);
    if (n < runs->len && n <= at && !store) return true;
    for (uint32_t k = peak + 1; k < at; k++) {
        if (has(&runs->data[k].stores, v)) return true;
    }
    return n < runs->len && !store;
}

/* A region stores all of its results, and those of the function stay where they are. */
static bool may_run_again(const Budget *m, const Kernel *k) {
    for (uint32_t j = 0; k->kind == KernRegion && j < k->outputs.len; j++) {
        if (m->fn->plan->bufs[k->outputs.data[j]].kind != BufArena) return false;
    }
    return true;
}

enum { Deepest = 12 };

/* Runs kernel k again at `at`, behind `peak`, to store these; gives how many runs were put before
 * `at`. deep: what it reads and what does not live that long is made again too. */
static uint32_t run_again(const Budget *m, Runs *runs, uint32_t peak, uint32_t at, const Kernel *k,
                          const Vals *stores, uint32_t deep) {
    Vals all = k->kind == KernRegion ? arena_outputs(m, k) : *stores; /* a region stores them all */
    Run r = run_of(m, k, &all, true);
    uint32_t before = 0;
    for (uint32_t j = 0; j < r.reads.len; j++) {
        Val u = r.reads.data[j];
        uint32_t here = at + before, later = here;
        bool lives = lives_to(runs, peak, here, u);
        for (; later < runs->len; later++) {
            if (runs->data[later].again && has(&runs->data[later].stores, u)) break;
        }
        if (later < runs->len && !lives) { /* it is made again later: now instead */
            Run moved = runs->data[later];
            memmove(&runs->data[later], &runs->data[later + 1],
                    (runs->len - 1 - later) * sizeof moved);
            runs->len--;
            before += run_again(m, runs, peak, here, moved.k, &moved.stores, deep ? deep - 1 : 0);
        } else if (!lives && deep) {
            Vals one = {0};
            const Kernel *maker = m->fn->kernels.data[m->maker[u]];
            if (!may_run_again(m, maker)) continue;
            vec_push(m->a, &one, u);
            before += run_again(m, runs, peak, here, maker, &one, deep - 1);
        }
    }
    insert(m, runs, at + before, r);
    return before + 1;
}

static Runs copy_runs(Arena *a, const Runs *from) {
    Runs to = {0};
    for (uint32_t n = 0; n < from->len; n++) vec_push(a, &to, from->data[n]);
    return to;
}

static Vals copy_vals(Arena *a, const Vals *from) {
    Vals to = {0};
    for (uint32_t k = 0; k < from->len; k++) vec_push(a, &to, from->data[k]);
    return to;
}

static double extra_work(const Budget *m, const Runs *runs) {
    double work = 0;
    for (uint32_t n = 0; n < runs->len; n++) {
        if (runs->data[n].again) work += m->work[runs->data[n].k->id];
    }
    return work;
}

typedef struct Choice {
    Runs runs;
    double score;
} Choice;

/* Tries to give up at the peak what v's kernel stored and nothing reads there. */
static void try_value(const Budget *m, const Runs *runs, const uint64_t *use, uint32_t peak, Val v,
                      Choice *best) {
    const Kernel *k = m->fn->kernels.data[m->maker[v]];
    Vals stores = {0}, outputs = arena_outputs(m, k);
    uint32_t at = runs->len;
    for (uint32_t j = 0; j < outputs.len; j++) {
        bool store, busy = has(&runs->data[peak].reads, outputs.data[j]) ||
                           has(&runs->data[peak].stores, outputs.data[j]);
        uint32_t n = next_event(runs, peak + 1, outputs.data[j], &store);
        if (busy || store || n == runs->len) continue;
        if (k->kind != KernRegion && outputs.data[j] != v) continue;
        vec_push(m->a, &stores, outputs.data[j]);
        if (n < at) at = n;
    }
    if (!stores.len) return;
    for (uint32_t deep = 0; deep <= Deepest; deep += Deepest) {
        Runs trial = copy_runs(m->a, runs);
        run_again(m, &trial, peak, at, k, &stores, deep);
        uint64_t *after = usage(m, &trial);
        if (after[peak] >= use[peak] || !is_less(after, trial.len, use, runs->len)) continue;
        double work = 1 + extra_work(m, &trial) - extra_work(m, runs);
        double score = (double)(use[peak] - after[peak]) / (work > 1 ? work : 1);
        if (score > best->score) *best = (Choice){trial, score};
    }
}

static Choice choose(const Budget *m, const Runs *runs) {
    uint64_t *use = usage(m, runs);
    uint32_t peak = peak_of(use, runs->len);
    Choice best = {0};
    bool *tried = NEW_ARRAY(m->a, bool, m->fn->kernels.len);
    for (Val v = 0; v < m->fn->ins.len; v++) {
        bool store;
        if (!m->bytes[v] || m->maker[v] == NoVal) continue;
        bool busy = has(&runs->data[peak].reads, v) || has(&runs->data[peak].stores, v);
        const Kernel *k = m->fn->kernels.data[m->maker[v]];
        bool region = k->kind == KernRegion;
        if (busy || (region && tried[k->id]) || !may_run_again(m, k)) continue;
        uint32_t first = 0;
        while (first < peak && !has(&runs->data[first].stores, v)) first++;
        if (first == peak || next_event(runs, peak + 1, v, &store) == runs->len || store) continue;
        tried[k->id] = true;
        try_value(m, runs, use, peak, v, &best);
    }
    return best;
}

/* False if no value can be given up at the peak. What does not help is forgotten at once. */
static bool give_up_one(Budget *m, Runs *runs, Arena *keep) {
    m->a = arena_new();
    Choice best = choose(m, runs);
    if (best.score > 0) {
        *runs = copy_runs(keep, &best.runs);
        for (uint32_t n = 0; n < runs->len; n++) {
            Run *r = &runs->data[n];
            r->stores = copy_vals(keep, &r->stores);
            r->reads = copy_vals(keep, &r->reads);
        }
    }
    arena_free(m->a);
    m->a = keep;
    return best.score > 0;
}

/* ---- the function ---- */

static Budget budget_of(Program *p, const Fn *fn) {
    uint32_t n = fn->ins.len;
    Arena *a = p->cx->scratch;
    Budget m = {.p = p, .fn = fn, .a = a, .maker = NEW_ARRAY(a, uint32_t, n),
                .bytes = NEW_ARRAY(a, uint64_t, n),
                .work = NEW_ARRAY(a, double, fn->kernels.len), .live = NEW_ARRAY(a, bool, n)};
    for (Val v = 0; v < n; v++) m.maker[v] = NoVal;
    for (uint32_t id = 0; id < fn->kernels.len; id++) {
        const Kernel *k = fn->kernels.data[id];
        m.work[id] = kernel_work(p, fn, k);
        for (uint32_t j = 0; j < k->outputs.len; j++) {
            Val v = k->outputs.data[j];
            const Buf *b = &fn->plan->bufs[v];
            m.maker[v] = id;
            if (b->kind == BufArena) m.bytes[v] = (b->bytes + 63) & ~UINT64_C(63);
        }
    }
    return m;
}

static Runs runs_of(const Budget *m) {
    Runs runs = {0};
    for (uint32_t id = 0; id < m->fn->kernels.len; id++) {
        Vals stores = arena_outputs(m, m->fn->kernels.data[id]);
        vec_push(m->a, &runs, run_of(m, m->fn->kernels.data[id], &stores, false));
    }
    return runs;
}

/* The kernel of a run; one that runs again stores and reads no more than it has to. */
static Kernel *kernel_of(const Budget *m, const Run *r) {
    Arena *a = m->p->cx->arena;
    Kernel *k = NEW(a, Kernel);
    *k = *r->k;
    if (!r->again) return k;
    k->again = true;
    memset(&k->inputs, 0, sizeof k->inputs);
    memset(&k->outputs, 0, sizeof k->outputs);
    const bool *needed = needed_for(m, r->k, &r->stores);
    bool all = k->kind == KernRegion;
    if (!all) memset(&k->members, 0, sizeof k->members);
    for (uint32_t j = 0; !all && j < r->k->members.len; j++) {
        Val v = r->k->members.data[j];
        if (needed[v]) vec_push(a, &k->members, v);
    }
    for (uint32_t j = 0; j < r->stores.len; j++) vec_push(a, &k->outputs, r->stores.data[j]);
    for (uint32_t j = 0; j < r->k->inputs.len; j++) {
        Val v = r->k->inputs.data[j];
        if (all || needed[v]) vec_push(a, &k->inputs, v);
    }
    return k;
}

static Fn *planned(const Budget *m, const Runs *runs) {
    Fn *fn = fn_copy(m->a, m->fn);
    for (uint32_t n = 0; n < runs->len; n++) {
        vec_push(m->a, &fn->kernels, kernel_of(m, &runs->data[n]));
    }
    return plan_fn(m->p, fn, 0);
}

Fn *fit_budget(Program *p, Fn *fn, uint64_t budget) {
    Budget m = budget_of(p, fn);
    Runs runs = runs_of(&m);
    uint64_t fixed = plan_total(fn->plan) - fn->plan->arena_bytes;
    uint64_t room = budget > fixed ? budget - fixed : 0, aim = room;
    Fn *best = fn;
    for (;;) {
        uint64_t *use = usage(&m, &runs);
        bool more = use[peak_of(use, runs.len)] > aim && give_up_one(&m, &runs, p->cx->scratch);
        if (more) continue;
        Fn *now = planned(&m, &runs);
        if (now->plan->arena_bytes < best->plan->arena_bytes) best = now;
        bool stuck = use[peak_of(use, runs.len)] > aim;
        if (best->plan->arena_bytes <= room || stuck) return best;
        /* holes: the plan needs more than what is in use */
        uint64_t excess = now->plan->arena_bytes - room;
        if (excess >= aim) return best;
        aim -= excess;
    }
}
