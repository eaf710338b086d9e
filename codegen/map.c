/* Map kernels: everything is evaluated at each index of the space and stored there. */
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

/* Lanes are read far apart: neighbours of the next row lie beside them in the cache. */
static bool reads_across(const KernelCtx *k) {
    for (uint32_t i = 0; i < k->k->members.len; i++) {
        const Ins *ins = k_ins(k, k->k->members.data[i]);
        uint32_t rank = ins->type.shape->rank;
        if (ins->op == Op_transpose && ins->attrs[0].is.v[rank - 1] != rank - 1) return true;
    }
    return false;
}

static void map_at(void *data, const Index *idx, unsigned lanes) {
    k_store_outputs(data, idx, lanes);
}

void cg_map(KernelCtx *k) {
    const Shape *s = k->k->space;
    k->chunks = 1;
    if (!s->size) return;
    k->flat = k_is_flat(k, s);
    if (!k->flat && cg_map_turned(k, map_lanes(k))) return;
    Nest n = {.k = k, .space = s, .skip = MaxRank, .lanes = map_lanes(k), .work = s->size,
              .across = reads_across(k), .body = map_at, .data = k};
    if (k->flat) n.space = shape_of(k->cg->cx, &s->size, 1);
    k_nest(&n);
}
