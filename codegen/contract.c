/* A contraction kernel: operands as strided matrices where their views allow it, batches and items
 * as chunks, what follows the contraction evaluated on the accumulators. */
#include "codegen/contract_internal.h"

enum { ChunkFlops = 1 << 18 };

/* Element of a value: base[offset + sum of index[d] * stride[d]]. */
typedef struct Affine {
    Val stored;
    int64_t offset, stride[MaxRank];
} Affine;

typedef struct Batch {
    KernelCtx *k;
    const Shape *out;
    V at[MaxRank]; /* leading indices */
} Batch;

static void row_major(const Shape *s, Affine *a) {
    int64_t stride = 1;
    for (uint32_t d = s->rank; d-- > 0; stride *= s->dim[d]) a->stride[d] = stride;
}

static bool of_broadcast(const Shape *from, const Shape *to, Affine *a) {
    Affine x = *a;
    for (uint32_t d = 0; d < to->rank; d++) {
        bool added = d < to->rank - from->rank;
        uint32_t f = d - (to->rank - from->rank);
        a->stride[d] = added || from->dim[f] == 1 ? 0 : x.stride[f];
    }
    return true;
}

/* Groups of dimensions of equal size correspond; within a group the old strides must nest. */
static bool of_reshape(const Shape *from, const Shape *to, Affine *a) {
    Affine x = *a;
    uint32_t f = from->rank, t = to->rank;
    if (from->size == 0) return false;
    while (t > 0) {
        int64_t had = 1, got = 1, stride = 0;
        uint32_t first = t;
        do {
            if (got <= had) got *= to->dim[--t];
            while (had < got) {
                int64_t n = from->dim[--f];
                if (n != 1 && had > 1 && x.stride[f] != stride * had) return false;
                if (n != 1 && had == 1) stride = x.stride[f];
                had *= n;
            }
        } while (had != got);
        for (uint32_t d = first; d-- > t; stride *= to->dim[d]) a->stride[d] = stride;
    }
    return true;
}

static bool of_view(const Ins *ins, const Shape *from, Affine *a) {
    Affine x = *a;
    uint32_t rank = ins->type.shape->rank;
    switch ((Op)ins->op) {
    case Op_broadcast: return of_broadcast(from, ins->type.shape, a);
    case Op_reshape: return of_reshape(from, ins->type.shape, a);
    case Op_transpose:
        for (uint32_t d = 0; d < rank; d++) a->stride[d] = x.stride[ins->attrs[0].is.v[d]];
        return true;
    case Op_slice:
        for (uint32_t d = 0; d < rank; d++) {
            a->offset += ins->attrs[0].is.v[d] * x.stride[d];
            if (ins->attrs[2].kind == AttrInts) a->stride[d] *= ins->attrs[2].is.v[d];
        }
        return true;
    case Op_flip:
        for (uint32_t i = 0; i < ins->attrs[0].is.n; i++) {
            int64_t d = ins->attrs[0].is.v[i];
            a->offset += (from->dim[d] - 1) * x.stride[d];
            a->stride[d] = -x.stride[d];
        }
        return true;
    default: return false;
    }
}

static bool affine(const KernelCtx *k, Val v, Affine *a) {
    const Ins *ins = k_ins(k, v);
    if (!k->member[v]) {
        *a = (Affine){.stored = v};
        row_major(ins->type.shape, a);
        return k->base[v] != NULL;
    }
    if (op_info[ins->op].cls != ClsView || !affine(k, ins->args[0], a)) return false;
    return of_view(ins, k_shape(k, ins->args[0]), a);
}

static Matrix matrix_of(const Batch *b, Val v) {
    Cg *cg = b->k->cg;
    Affine a;
    Matrix m = {.v = v};
    uint32_t rank = b->out->rank;
    if (!affine(b->k, v, &a)) return m;
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

static V part_of(Cg *cg, V v, unsigned from, unsigned lanes) {
    if (lanes == cg_lanes_of(v)) return v;
    if (lanes == 1) return LLVMBuildExtractElement(cg->b, v, cg_int(cg->i32, from), "");
    V mask[MaxLanes];
    for (unsigned l = 0; l < lanes; l++) mask[l] = cg_int(cg->i32, from + l);
    return LLVMBuildShuffleVector(cg->b, v, LLVMGetPoison(LLVMTypeOf(v)),
                                  LLVMConstVector(mask, lanes), "");
}

/* A row's end is stored in pieces that are powers of two. */
static void store(void *data, V i, V j, V value, unsigned count) {
    Batch *b = data;
    KernelCtx *k = b->k;
    Cg *cg = k->cg;
    if (k_ins(k, k->k->root)->type.dt == BF16) value = cg_round_bf16(cg, value);
    for (unsigned lanes = cg_lanes_of(value), from = 0; from < count; lanes /= 2) {
        if (count - from < lanes) continue;
        Index idx = index_at(b, i, cg_add_imm(cg, j, from));
        idx.step[idx.rank - 1] = lanes > 1;
        k_forget(k);
        k->root = part_of(cg, value, from, lanes);
        k_store_outputs(k, &idx, lanes);
        k->root = NULL;
        k_forget(k);
        from += lanes;
    }
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

void cg_contract(KernelCtx *k) {
    Cg *cg = k->cg;
    const Ins *root = k_ins(k, k->k->root);
    const Shape *out = root->type.shape, *from = k_shape(k, root->args[0]);
    Batch b = {.k = k, .out = out};
    k->flat = false;
    k->chunks = 1;
    if (out->size == 0) return;
    for (uint32_t d = 0; d + 2 < out->rank; d++) b.at[d] = cg_i64(cg, 0);
    Contract c = {.cg = cg, .dt = root->type.dt, .m = out->dim[out->rank - 2],
                  .n = out->dim[out->rank - 1], .k = from->dim[from->rank - 1],
                  .element = element, .store = store, .data = &b};
    c.x = matrix_of(&b, root->args[0]);
    c.y = matrix_of(&b, root->args[1]);
    contract_plan(&c);
    int64_t items = contract_items(&c), all = items * (out->size / (c.m * c.n));
    int64_t flops = 2 * c.m * c.n * (c.k + 1) / items, per = ChunkFlops / flops + 1;
    V lo = cg_i64(cg, 0), hi = cg_i64(cg, all);
    if (all / per > 1 && all / per < UINT32_MAX) {
        k->chunks = (uint32_t)((all + per - 1) / per);
        lo = cg_mul_imm(cg, k->chunk, per);
        V end = cg_add_imm(cg, lo, per);
        hi = LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, end, hi, ""), end, hi, "");
    }
    if (all == 1) {
        item(&c, &b, items, lo);
        return;
    }
    Loop l;
    item(&c, &b, items, loop_open(cg, &l, lo, hi, 1, NULL, 0));
    loop_close(cg, &l, NULL);
}
