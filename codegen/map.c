/* Map kernels: a loop nest over the space, the innermost dimension in vectors. */
#include "codegen/internal.h"

/* The widest lanes that every member's type fits in one register. */
static unsigned map_lanes(const KernelCtx *k) {
    unsigned lanes = MaxLanes;
    for (uint32_t i = 0; i < k->k->members.len; i++) {
        unsigned l = cg_lanes(k->cg, k_ins(k, k->k->members.data[i])->type.dt);
        if (l < lanes) lanes = l;
    }
    return lanes;
}

static void map_at(KernelCtx *k, const Index *idx, unsigned lanes) {
    k_forget(k);
    k_store_outputs(k, idx, lanes);
}

/* The last n % lanes elements, in pieces of a power of two. */
static void map_tail(KernelCtx *k, Index *idx, uint32_t d, int64_t from, int64_t n,
                     unsigned lanes) {
    for (unsigned w = lanes / 2; w; w /= 2) {
        if (!(n - from >= (int64_t)w)) continue;
        idx->at[d] = cg_i64(k->cg, from);
        idx->step[d] = w > 1;
        map_at(k, idx, w);
        from += w;
    }
}

static void map_row(KernelCtx *k, Index *idx, uint32_t d, int64_t n, unsigned lanes) {
    Cg *cg = k->cg;
    int64_t whole = n - n % lanes;
    if (whole) {
        Loop l;
        idx->at[d] = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, whole), lanes, NULL, 0);
        idx->step[d] = lanes > 1;
        map_at(k, idx, lanes);
        loop_close(cg, &l, NULL);
    }
    map_tail(k, idx, d, whole, n, lanes);
    idx->step[d] = 0;
}

/* One dimension over all elements, in chunks of MapChunk. */
static void map_flat(KernelCtx *k, int64_t n, unsigned lanes) {
    Cg *cg = k->cg;
    k->chunks = n >= MapGrain ? (uint32_t)((n + MapChunk - 1) / MapChunk) : 1;
    Index idx = index_flat(NULL, lanes > 1);
    if (k->chunks == 1) {
        map_row(k, &idx, 0, n, lanes);
        return;
    }
    int64_t whole = n - n % lanes;
    V lo = cg_mul_imm(cg, k->chunk, MapChunk), hi = cg_add_imm(cg, lo, MapChunk),
      end = cg_i64(cg, whole);
    hi = LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, hi, end, ""), hi, end, "");
    Loop l;
    idx.at[0] = loop_open(cg, &l, lo, hi, lanes, NULL, 0);
    map_at(k, &idx, lanes);
    loop_close(cg, &l, NULL);
    if (whole == n) return;
    Bb tail = cg_block(cg, "tail"), done = cg_block(cg, "end");
    V last = LLVMBuildICmp(cg->b, LLVMIntEQ, k->chunk, cg_i64(cg, k->chunks - 1), "");
    LLVMBuildCondBr(cg->b, last, tail, done);
    cg_at(cg, tail);
    map_tail(k, &idx, 0, whole, n, lanes);
    LLVMBuildBr(cg->b, done);
    cg_at(cg, done);
}

void k_chunk_rows(KernelCtx *k, int64_t n, int64_t work_per_row, V *lo, V *hi) {
    Cg *cg = k->cg;
    int64_t rows = work_per_row > 0 ? MapChunk / work_per_row : n;
    if (rows < 1) rows = 1;
    int64_t chunks = (n + rows - 1) / rows;
    *lo = cg_i64(cg, 0);
    *hi = cg_i64(cg, n);
    k->chunks = 1;
    if (chunks < 2 || n * work_per_row < MapGrain || chunks > UINT32_MAX) return;
    k->chunks = (uint32_t)chunks;
    *lo = cg_mul_imm(cg, k->chunk, rows);
    V end = cg_add_imm(cg, *lo, rows);
    *hi = LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, end, *hi, ""), end, *hi, "");
}

static void map_nest(KernelCtx *k, const Shape *s, unsigned lanes) {
    Cg *cg = k->cg;
    Index idx = {.rank = s->rank};
    Loop loops[MaxRank];
    bool open[MaxRank] = {false};
    uint32_t inner = s->rank - 1, outer = UINT32_MAX;
    for (uint32_t d = 0; d < s->rank; d++) idx.at[d] = cg_i64(cg, 0);
    while (inner && s->dim[inner] == 1) inner--;
    for (uint32_t d = 0; d < inner; d++) {
        if (s->dim[d] == 1) continue;
        V lo = cg_i64(cg, 0), hi = cg_i64(cg, s->dim[d]);
        if (outer == UINT32_MAX) {
            outer = d;
            k_chunk_rows(k, s->dim[d], s->size / s->dim[d], &lo, &hi);
        }
        idx.at[d] = loop_open(cg, &loops[d], lo, hi, 1, NULL, 0);
        open[d] = true;
    }
    map_row(k, &idx, inner, s->dim[inner], lanes);
    for (uint32_t d = inner; d-- > 0;) {
        if (open[d]) loop_close(cg, &loops[d], NULL);
    }
}

void cg_map(KernelCtx *k) {
    const Shape *s = k->k->space;
    unsigned lanes = map_lanes(k);
    k->chunks = 1;
    if (!s->size) return;
    k->flat = k_is_flat(k, NoVal, s);
    if (k->flat) {
        map_flat(k, s->size, lanes);
    } else if (!s->rank) {
        Index idx = {0};
        map_at(k, &idx, 1);
    } else {
        map_nest(k, s, lanes);
    }
}
