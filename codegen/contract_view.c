/* How contractions reach memory: operands as strided views, results in rows. */
#include "codegen/contract_internal.h"

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

bool contract_affine(const KernelCtx *k, Val v, Affine *a) {
    const Ins *ins = k_ins(k, v);
    if (!k->member[v]) {
        *a = (Affine){.stored = v};
        row_major(ins->type.shape, a);
        return k->base[v] != NULL;
    }
    if (op_info[ins->op].cls != ClsView || !contract_affine(k, ins->args[0], a)) return false;
    return of_view(ins, k_shape(k, ins->args[0]), a);
}

void contract_store_row(KernelCtx *k, const Index *at, V value, unsigned count) {
    Cg *cg = k->cg;
    uint32_t last = at->rank - 1;
    int64_t step = at->step[last];
    if (k_ins(k, k->k->root)->type.dt == BF16) value = cg_round_bf16(cg, value);
    unsigned lanes = step > 1 ? 1 : cg_lanes_of(value);
    for (unsigned from = 0; from < count; lanes /= lanes > 1 ? 2 : 1) {
        if (count - from < lanes) continue;
        for (; count - from >= lanes && from < count; from += lanes) {
            Index idx = *at;
            idx.at[last] = cg_add_imm(cg, at->at[last], (int64_t)from * (step > 1 ? step : 1));
            idx.step[last] = lanes > 1;
            k_forget(k);
            k->root = cg_part(cg, value, from, lanes);
            k_store_outputs(k, &idx, lanes);
            k->root = NULL;
            k_forget(k);
        }
    }
}
