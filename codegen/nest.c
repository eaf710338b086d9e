/* Loops over the index space of a kernel: the innermost dimension in vectors, its remainder in
 * pieces that are powers of two, the other dimensions one by one; the outermost is cut into chunks
 * where there is work enough. The same body is emitted for every piece, so all give the same bits.
 */
#include "codegen/internal.h"

typedef struct Walk {
    const Nest *n;
    Index idx;
    uint32_t inner, outer, across; /* dimensions; NoDim: none */
    int64_t chunk;                 /* steps of `outer` in a chunk; 0: all of them */
} Walk;

enum { NoDim = MaxRank, FewMembers = 8, Unrolled = 4, FunctionQuarters = 16 };

/* The part of [0, n) that this chunk does. */
static void bounds(const Walk *w, uint32_t d, int64_t n, V *lo, V *hi) {
    KernelCtx *k = w->n->k;
    bool cut = d == w->outer && w->chunk;
    *lo = cut ? cg_mul_imm(k->cg, k->chunk, w->chunk) : cg_i64(k->cg, 0);
    *hi = cg_i64(k->cg, n);
    if (cut) *hi = cg_least(k->cg, cg_add_imm(k->cg, *lo, w->chunk), *hi);
}

static void body(Walk *w, unsigned lanes) {
    Loop l;
    uint32_t d = w->across;
    if (d != NoDim) {
        V lo, hi;
        bounds(w, d, w->n->space->dim[d], &lo, &hi);
        w->idx.at[d] = loop_open(w->n->k->cg, &l, lo, hi, 1, NULL, 0);
    }
    k_forget(w->n->k);
    w->n->body(w->n->data, &w->idx, lanes);
    if (d != NoDim) loop_close(w->n->k->cg, &l, NULL);
}

static void piece(Walk *w, V at, unsigned lanes) {
    w->idx.at[w->inner] = at;
    w->idx.step[w->inner] = lanes > 1;
    body(w, lanes);
}

/* Less than a vector: [from, n). */
static void remainder_of(Walk *w, int64_t from, int64_t n) {
    for (unsigned lanes = w->n->lanes / 2; lanes; lanes /= 2) {
        if (n - from < (int64_t)lanes) continue;
        piece(w, cg_i64(w->n->k->cg, from), lanes);
        from += lanes;
    }
}

bool cg_is_plain(const Ins *i) {
    OpClass c = op_info[i->op].cls;
    if (i->op == Op_div && !dtype_is_float(i->type.dt)) return false;
    return op_info[i->op].exact || c == ClsView || c == ClsMove || i->op == Op_const ||
           i->op == Op_opt_barrier || i->op == Op_stop_gradient;
}

/* Vectors of a row that are done in one turn: several where each is little more than loads and
 * stores. */
static int64_t vectors_at_once(const Walk *w, bool cut) {
    const Kernel *k = w->n->k->k;
    bool plain = !cut && (k->kind == KernMap || k->kind == KernMove);
    plain &= k->members.len <= FewMembers;
    for (uint32_t i = 0; plain && i < k->members.len; i++) {
        plain = cg_is_plain(k_ins(w->n->k, k->members.data[i]));
    }
    return plain ? Unrolled : 1;
}

static void row(Walk *w) {
    KernelCtx *k = w->n->k;
    Cg *cg = k->cg;
    int64_t n = w->n->space->dim[w->inner], lanes = w->n->lanes, whole = n - n % lanes, from = 0;
    bool cut = w->inner == w->outer && w->chunk;
    int64_t turn = lanes * vectors_at_once(w, cut);
    if (whole > turn || (cut && whole)) {
        Loop l;
        V lo, hi;
        from = whole - whole % turn;
        bounds(w, w->inner, from, &lo, &hi);
        V at = loop_open(cg, &l, lo, hi, turn, NULL, 0);
        for (int64_t i = 0; i < turn; i += lanes) piece(w, cg_add_imm(cg, at, i), w->n->lanes);
        loop_close(cg, &l, NULL);
    }
    for (; from < whole; from += lanes) piece(w, cg_i64(cg, from), w->n->lanes);
    if (whole == n) return;
    V is_last = LLVMBuildICmp(cg->b, LLVMIntEQ, k->chunk, cg_i64(cg, k->chunks - 1), "");
    When last = when_open(cg, cut ? is_last : NULL);
    remainder_of(w, whole, n);
    when_close(cg, &last);
}

int64_t k_cost(const KernelCtx *k, int64_t elements) {
    int64_t sum = 4; /* quarters */
    for (uint32_t i = 0; i < k->k->members.len; i++) {
        Val v = k->k->members.data[i];
        if (k->k->kind == KernReduce && v > k->k->root) continue; /* once per output */
        const Ins *ins = k_ins(k, v);
        bool computes = op_info[ins->op].cls == ClsElem;
        bool function = ins->op == Op_rng || (computes && !cg_is_plain(ins));
        sum += function ? FunctionQuarters : computes;
    }
    return elements > INT64_MAX / sum ? INT64_MAX : elements * sum / 4;
}

/* How many steps of `outer` are a chunk, by shape alone. */
static void cut(Walk *w) {
    const Nest *n = w->n;
    int64_t work = k_cost(n->k, n->work);
    if (work < MapGrain || w->outer == NoDim) return;
    int64_t steps = n->space->dim[w->outer], per = work / steps, unit = 1;
    int64_t chunk = per < MapChunk ? MapChunk / (per ? per : 1) : 1;
    if (w->outer == w->inner) unit = n->lanes;
    chunk = ceil_div(chunk, unit) * unit;
    int64_t chunks = ceil_div(steps, chunk);
    if (chunks < 2 || chunks > UINT32_MAX) return;
    w->chunk = chunk;
    n->k->chunks = (uint32_t)chunks;
}

/* Which dimension is vectorised, cut, walked inside of the vectors. */
static void choose(Walk *w) {
    const Nest *n = w->n;
    const Shape *s = n->space;
    w->inner = w->outer = w->across = NoDim;
    for (uint32_t d = 0; d < s->rank; d++) {
        w->idx.at[d] = cg_i64(n->k->cg, 0);
        if (d == n->skip || s->dim[d] == 1) continue;
        if (w->outer == NoDim) w->outer = d;
        if (n->across && w->inner != NoDim) w->across = w->inner;
        w->inner = d;
    }
}

void k_nest(const Nest *n) {
    Cg *cg = n->k->cg;
    const Shape *s = n->space;
    Walk w = {.n = n, .idx = {.rank = s->rank}};
    Loop loops[MaxRank];
    choose(&w);
    cut(&w);
    if (w.inner == NoDim) {
        body(&w, 1);
        return;
    }
    bool open[MaxRank] = {false};
    for (uint32_t d = 0; d < w.inner; d++) {
        if (d == n->skip || d == w.across || s->dim[d] == 1) continue;
        V lo, hi;
        bounds(&w, d, s->dim[d], &lo, &hi);
        w.idx.at[d] = loop_open(cg, &loops[d], lo, hi, 1, NULL, 0);
        open[d] = true;
    }
    row(&w);
    for (uint32_t d = w.inner; d-- > 0;) {
        if (open[d]) loop_close(cg, &loops[d], NULL);
    }
}
