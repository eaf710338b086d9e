/* A contraction kernel: operands as strided matrices where their views allow it, batches and items
 * as chunks, what follows the contraction evaluated on the accumulators. */
#include "codegen/contract_internal.h"

enum {
    ChunkFlops = 1 << 18,
    ManySteps = 5,        /* of what follows a contraction */
    FarBytes = 256 << 10, /* of results: more than the second cache keeps */
    LongTile = 32,        /* steps of K: time enough to fetch those of the next tile */
};

typedef struct Batch {
    KernelCtx *k;
    const Shape *out;
    V at[MaxRank]; /* leading indices */
} Batch;

static Matrix matrix_of(const Batch *b, Val v) {
    Cg *cg = b->k->cg;
    Affine a;
    Matrix m = {.v = v};
    uint32_t rank = b->out->rank;
    if (!contract_affine(b->k, v, &a)) return m;
    V at = cg_i64(cg, a.offset);
    for (uint32_t d = 0; d + 2 < rank; d++)
        at = cg_add(cg, cg_mul_imm(cg, b->at[d], a.stride[d]), at);
    T t = cg_mem_type(cg, k_ins(b->k, v)->type.dt);
    m.base = LLVMBuildGEP2(cg->b, t, b->k->base[a.stored], &at, 1, "");
    m.row = a.stride[rank - 2];
    m.col = a.stride[rank - 1];
    return m;
}

static Index index_at(const Batch *b, V i, V j) {
    Index idx = {.rank = b->out->rank};
    for (uint32_t d = 0; d + 2 < idx.rank; d++) idx.at[d] = b->at[d];
    idx.at[idx.rank - 2] = i;
    idx.at[idx.rank - 1] = j;
    return idx;
}

static V element(void *data, const Matrix *m, V i, V j) {
    Batch *b = data;
    Index idx = index_at(b, i, j);
    k_forget(b->k);
    V v = cg_eval(b->k, m->v, &idx, 1);
    k_forget(b->k);
    return v;
}

static void store(void *data, V i, V j, V value, unsigned count) {
    Batch *b = data;
    Index idx = index_at(b, i, j);
    contract_store_row(b->k, &idx, value, count);
}

static bool is_result(const KernelCtx *k, Val v) {
    return k_shape(k, v)->size == k_shape(k, k->k->root)->size;
}

static void expect(void *data, V i, V j, int64_t n) {
    Batch *b = data;
    KernelCtx *k = b->k;
    Index idx = index_at(b, i, j);
    V at;
    int64_t step;
    index_linear(k->cg, &idx, b->out, &at, &step);
    for (uint32_t o = 0; o < k->k->outputs.len; o++) {
        Val v = k->k->outputs.data[o];
        if (!is_result(k, v)) continue;
        DType dt = k_ins(k, v)->type.dt;
        int64_t line = CacheLine / (int64_t)dtype_size(dt);
        for (int64_t e = 0; e < n + line - 1; e += line)
            cg_prefetch(k->cg, dt, k->base[v], cg_add_imm(k->cg, at, least(e, n - 1)));
    }
}

/* Results that are far are asked for a tile ahead. */
static bool is_far(const KernelCtx *k, const Contract *c) {
    int64_t bytes = 0;
    for (uint32_t o = 0; o < k->k->outputs.len; o++) {
        Val v = k->k->outputs.data[o];
        if (is_result(k, v)) bytes += (int64_t)dtype_size(k_ins(k, v)->type.dt);
    }
    bool far = bytes && k_shape(k, k->k->root)->size > FarBytes / bytes;
    return far && c->k >= LongTile && c->m > c->tile.rows;
}

/* Item `number` of all batches. */
static void item(Contract *c, Batch *b, int64_t items, V number) {
    Cg *cg = c->cg;
    V batch = LLVMBuildUDiv(cg->b, number, cg_i64(cg, items), "");
    V within = LLVMBuildURem(cg->b, number, cg_i64(cg, items), "");
    for (uint32_t d = b->out->rank - 2; d-- > 0;) {
        V n = cg_i64(cg, b->out->dim[d]);
        b->at[d] = LLVMBuildURem(cg->b, batch, n, "");
        batch = LLVMBuildUDiv(cg->b, batch, n, "");
    }
    const Ins *root = k_ins(b->k, b->k->k->root);
    c->x = matrix_of(b, root->args[0]);
    c->y = matrix_of(b, root->args[1]);
    contract_item(c, within);
}

/* A mathematical function takes tens of instructions, other operations one or two. */
static bool is_wordy(const KernelCtx *k) {
    uint32_t steps = 0;
    for (uint32_t i = 0; i < k->k->members.len; i++) {
        const Ins *ins = k_ins(k, k->k->members.data[i]);
        if (k->k->members.data[i] <= k->k->root || op_info[ins->op].cls != ClsElem) continue;
        if (!cg_is_plain(ins)) return true;
        steps++;
    }
    return steps >= ManySteps;
}

void cg_contract(KernelCtx *k) {
    Cg *cg = k->cg;
    const Ins *root = k_ins(k, k->k->root);
    if (root->op == Op_conv) {
        cg_conv(k);
        return;
    }
    const Shape *out = root->type.shape, *from = k_shape(k, root->args[0]);
    Batch b = {.k = k, .out = out};
    k->flat = false;
    k->chunks = 1;
    if (out->size == 0) return;
    for (uint32_t d = 0; d + 2 < out->rank; d++) b.at[d] = cg_i64(cg, 0);
    Contract c = {.cg = cg,
                  .dt = root->type.dt,
                  .m = out->dim[out->rank - 2],
                  .n = out->dim[out->rank - 1],
                  .k = from->dim[from->rank - 1],
                  .element = element,
                  .store = store,
                  .data = &b,
                  .wordy = is_wordy(k)};
    c.x = matrix_of(&b, root->args[0]);
    c.y = matrix_of(&b, root->args[1]);
    contract_plan(&c);
    if (is_far(k, &c)) c.expect = expect;
    int64_t items = contract_items(&c), all = items * (out->size / (c.m * c.n));
    int64_t flops = 2 * c.m * c.n * (c.k + 1) / items, per = ChunkFlops / flops + 1;
    V lo = cg_i64(cg, 0), hi = cg_i64(cg, all);
    if (all / per > 1 && all / per < UINT32_MAX) {
        k->chunks = (uint32_t)ceil_div(all, per);
        lo = cg_mul_imm(cg, k->chunk, per);
        V end = cg_add_imm(cg, lo, per);
        hi = cg_least(cg, end, hi);
    }
    if (all == 1) {
        item(&c, &b, items, lo);
        return;
    }
    Loop l;
    item(&c, &b, items, loop_open(cg, &l, lo, hi, 1, NULL, 0));
    loop_close(cg, &l, NULL);
}
