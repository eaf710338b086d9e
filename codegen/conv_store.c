/* From the sums of a tile of a convolution to its results, through what follows. */
#include "codegen/conv_internal.h"

void conv_store_row(const ConvKernel *c, const ConvPlace *p, int64_t o, int64_t y, V x, V value,
                    unsigned count) {
    Cg *cg = c->c.cg;
    uint32_t rank = k_ins(c->k, c->k->k->root)->type.shape->rank, skip = MaxSpatial + 2 - rank;
    int64_t per_group = c->s.o / (c->s.groups * c->s.batch_groups);
    V place[] = {p->z, cg_add_imm(cg, p->y, y), x};
    Index idx = {.rank = rank};
    idx.at[0] = p->image;
    idx.at[1] = cg_add(cg, cg_mul_imm(cg, p->group, per_group), cg_add_imm(cg, p->o, o));
    for (uint32_t d = skip; d < MaxSpatial; d++) {
        const PhaseAxis *s = &c->axis[d];
        idx.at[2 + d - skip] = cg_add_imm(cg, cg_mul_imm(cg, place[d], s->step), s->first);
    }
    idx.step[rank - 1] = c->axis[MaxSpatial - 1].step;
    contract_store_row(c->k, &idx, value, count);
}

/* Vectors of filters, one per place of row y of an image, become vectors of places, one per
 * filter. */
static void store_places(const ConvKernel *c, const ConvPlace *p, const ConvSide *b, unsigned v,
                         int64_t y, const V *sums) {
    Cg *cg = c->c.cg;
    unsigned lanes = b->lanes[v];
    int64_t places = p->taps.places;
    for (int64_t from = 0; from < places; from += lanes) {
        V rows[MaxLanes], none = LLVMGetPoison(LLVMTypeOf(sums[v]));
        int64_t count = least(places - from, lanes);
        for (int64_t i = 0; i < lanes; i++)
            rows[i] = i < count ? sums[(y * places + from + i) * b->n + v] : none;
        cg_transpose(cg, rows, lanes, lanes);
        for (unsigned o = 0; o < b->valid[v]; o++) {
            conv_store_row(c, p, v * c->tile.lanes + o, y, cg_add_imm(cg, p->taps.x, from), rows[o],
                           (unsigned)count);
        }
    }
}

static void store_by_filters(const ConvKernel *c, const ConvPlace *p, const ConvSide *b,
                             const V *sums) {
    ConvPlace at = *p;
    for (int64_t i = 0; i < p->images; i++) {
        at.image = cg_add_imm(c->c.cg, p->image, i);
        for (unsigned v = 0; v < b->n; v++) {
            for (int64_t y = 0; y < p->rows; y++) store_places(c, &at, b, v, y, sums);
        }
        sums += p->rows * p->taps.places * b->n;
    }
}

void conv_store(const ConvKernel *c, const ConvPlace *p, const ConvSide *a, const ConvSide *b,
                const V *sums) {
    if (c->tile.by_filters) {
        store_by_filters(c, p, b, sums);
        return;
    }
    unsigned columns = b->n / (unsigned)p->rows;
    for (unsigned o = 0; o < a->n; o++) {
        for (unsigned v = 0; v < b->n; v++) {
            V at = cg_add_imm(c->c.cg, p->taps.x, (int64_t)(v % columns) * c->tile.lanes);
            conv_store_row(c, p, o, v / columns, at, sums[o * b->n + v], b->valid[v]);
        }
    }
}
