/* A convolution kernel: phases, items of images, groups, filters and rows of places as chunks, and
 * tiles whose sums go through the epilogue to memory. */
#include "codegen/conv_internal.h"

enum { ChunkFlops = 1 << 18 };

/* Where an item works. */
typedef struct Place {
    V image, group, o, z, y; /* o within the group; y: the first of the phase's rows */
    int64_t filters, rows;   /* of this item's tiles */
    V from, to, first, last; /* the chunk of taps, and whether it is the first, the last; or NULL */
    V totals;                /* scratch memory for sums between chunks */
    V slot;                  /* of the next tile in it */
} Place;

/* ---- phases ---- */

/* Outputs p with p mod lhs == first; false where there are none. */
static bool phase_axis(const ConvAxis *a, int64_t first, PhaseAxis *p) {
    *p = (PhaseAxis){.first = first, .step = a->lhs, .move = a->stride};
    if (first >= a->out) return false;
    p->n = (a->out - first + a->lhs - 1) / a->lhs;
    int64_t k = 0, place = first * a->stride - a->lo;
    while (k < a->taps && k < a->lhs && (place + k * a->rhs) % a->lhs) k++;
    if (k == a->taps || (place + k * a->rhs) % a->lhs) return true; /* zeros */
    int64_t step = 1;
    while (step * a->rhs % a->lhs) step++;
    p->tap0 = k;
    p->tap_step = step;
    p->taps = (a->taps - k + step - 1) / step;
    p->at = (place + k * a->rhs) / a->lhs;
    p->shift = step * a->rhs / a->lhs;
    return true;
}

/* ---- operands ---- */

static V operand(const ConvKernel *c, Val v, int64_t *strides) {
    Affine a;
    const Ins *ins = k_ins(c->k, v);
    uint32_t rank = ins->type.shape->rank, skip = MaxSpatial + 2 - rank;
    if (!contract_affine(c->k, v, &a)) {
        bug_at(c->k->cg->cx, ins->loc, "an operand of conv is not in memory");
    }
    for (uint32_t d = 0; d < 2 + MaxSpatial; d++) strides[d] = 0;
    for (uint32_t d = 0; d < rank; d++) strides[d < 2 ? d : d + skip] = a.stride[d];
    V at = cg_i64(c->k->cg, a.offset);
    T t = cg_mem_type(c->k->cg, ins->type.dt);
    return LLVMBuildInBoundsGEP2(c->k->cg->b, t, c->k->base[a.stored], &at, 1, "");
}

static V moved(const ConvKernel *c, V base, V at) {
    return LLVMBuildInBoundsGEP2(c->c.cg->b, cg_mem_type(c->c.cg, c->c.dt), base, &at, 1, "");
}

static V plus(Cg *cg, V sum, V n, int64_t stride) {
    return cg_add(cg, cg_mul_imm(cg, n, stride), sum);
}

/* Both operands at the first tap of the tile of the phase's places from x on. */
static void tile_sides(const ConvKernel *c, const Place *p, V x, int64_t places, ConvSide *a,
                       ConvSide *b) {
    Cg *cg = c->c.cg;
    const ConvTile *t = &c->tile;
    int64_t lanes = t->lanes, per_group = c->s.o / (c->s.groups * c->s.batch_groups);
    V image = p->image, at = cg_i64(cg, 0), wat = at, o = p->o, place[] = {p->z, p->y, x};
    if (c->s.batch_groups > 1) image = plus(cg, image, p->group, c->s.n);
    at = plus(cg, at, image, c->xs[0]);
    if (c->s.groups > 1) at = plus(cg, at, p->group, c->s.i * c->xs[1]);
    if (per_group != c->s.o) o = plus(cg, o, p->group, per_group);
    wat = plus(cg, wat, o, c->ws[0]);
    ConvSide xside = {.channel = c->xs[1], .lane = c->axis[2].move * c->xs[4]};
    ConvSide wside = {.channel = c->ws[1], .lane = c->ws[0]};
    for (int d = 0; d < MaxSpatial; d++) {
        const PhaseAxis *s = &c->axis[d];
        at = cg_add_imm(cg, plus(cg, at, place[d], s->move * c->xs[2 + d]), s->at * c->xs[2 + d]);
        wat = cg_add_imm(cg, wat, s->tap0 * c->ws[2 + d]);
        xside.tap[d] = s->shift * c->xs[2 + d];
        wside.tap[d] = s->tap_step * c->ws[2 + d];
    }
    if (c->taps) xside.base = moved(c, c->xbase, at);
    if (c->taps) wside.base = moved(c, c->wbase, wat);
    int64_t down = c->axis[1].move * c->xs[3];
    int64_t width = t->by_filters ? 1 : lanes, columns = (places + width - 1) / width;
    for (int64_t y = 0; y < p->rows; y++) {
        for (int64_t v = 0; v < columns; v++, xside.n++) {
            int64_t left = places - v * width;
            xside.valid[xside.n] = (unsigned)(left < width ? left : width);
            xside.off[xside.n] = y * down + v * width * xside.lane;
        }
    }
    int64_t height = t->by_filters ? lanes : 1;
    for (int64_t v = 0; v * height < p->filters; v++, wside.n++) {
        int64_t left = p->filters - v * height;
        wside.valid[wside.n] = (unsigned)(left < height ? left : height);
        wside.off[wside.n] = v * height * wside.lane;
    }
    *a = t->by_filters ? xside : wside;
    *b = t->by_filters ? wside : xside;
    for (unsigned v = 0; v < b->n; v++) {
        b->lanes[v] = (unsigned)lanes;
        while (b->lanes[v] / 2 >= b->valid[v]) b->lanes[v] /= 2;
    }
}

/* ---- results ---- */

/* `count` results along the last axis from place x of row y on, of filter p->o + o. */
static void store_row(const ConvKernel *c, const Place *p, int64_t o, int64_t y, V x, V value,
                      unsigned count) {
    Cg *cg = c->c.cg;
    uint32_t rank = k_ins(c->k, c->k->k->root)->type.shape->rank, skip = MaxSpatial + 2 - rank;
    int64_t per_group = c->s.o / (c->s.groups * c->s.batch_groups);
    V place[] = {p->z, cg_add_imm(cg, p->y, y), x};
    Index idx = {.rank = rank};
    idx.at[0] = p->image;
    idx.at[1] = plus(cg, cg_add_imm(cg, p->o, o), p->group, per_group);
    for (uint32_t d = skip; d < MaxSpatial; d++) {
        const PhaseAxis *s = &c->axis[d];
        idx.at[2 + d - skip] = cg_add_imm(cg, cg_mul_imm(cg, place[d], s->step), s->first);
    }
    idx.step[rank - 1] = c->axis[MaxSpatial - 1].step;
    contract_store_row(c->k, &idx, value, count);
}

/* Vectors of filters, one per place, become vectors of places, one per filter. */
static void store_by_filters(const ConvKernel *c, const Place *p, const ConvSide *b, V x,
                             int64_t places, const V *sums) {
    Cg *cg = c->c.cg;
    for (unsigned v = 0; v < b->n; v++) {
        unsigned lanes = b->lanes[v];
        for (int64_t y = 0; y < p->rows; y++) {
            for (int64_t from = 0; from < places; from += lanes) {
                V rows[MaxLanes], none = LLVMGetPoison(LLVMTypeOf(sums[v]));
                int64_t count = places - from < lanes ? places - from : lanes;
                for (int64_t i = 0; i < lanes; i++) {
                    rows[i] = i < count ? sums[(y * places + from + i) * b->n + v] : none;
                }
                contract_transpose(cg, rows, lanes);
                for (unsigned o = 0; o < b->valid[v]; o++) {
                    store_row(c, p, v * c->tile.lanes + o, y, cg_add_imm(cg, x, from), rows[o],
                              (unsigned)count);
                }
            }
        }
    }
}

static void store(const ConvKernel *c, const Place *p, const ConvSide *a, const ConvSide *b, V x,
                  int64_t places, const V *sums) {
    if (c->tile.by_filters) {
        store_by_filters(c, p, b, x, places, sums);
        return;
    }
    unsigned columns = b->n / (unsigned)p->rows;
    for (unsigned o = 0; o < a->n; o++) {
        for (unsigned v = 0; v < b->n; v++) {
            V at = cg_add_imm(c->c.cg, x, (int64_t)(v % columns) * c->tile.lanes);
            store_row(c, p, o, v / columns, at, sums[o * b->n + v], b->valid[v]);
        }
    }
}

/* ---- tiles ---- */

static void tile(const ConvKernel *c, Place *p, V x, int64_t places) {
    Cg *cg = c->c.cg;
    ConvSide a, b;
    V sums[MaxCarried];
    tile_sides(c, p, x, places, &a, &b);
    unsigned n = a.n * b.n;
    for (unsigned i = 0; i < n; i++) sums[i] = contract_zero(&c->c, b.lanes[i % b.n]);
    conv_accumulate(c, &a, &b, p->from, p->to, sums);
    if (!p->from) {
        store(c, p, &a, &b, x, places, sums);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned lanes = b.lanes[i % b.n], apart = c->tile.lanes / lanes;
        V at = cg_mul_imm(cg, cg_add_imm(cg, p->slot, i), apart);
        V old = contract_get(&c->c, p->totals, at, lanes);
        V sum = LLVMBuildFAdd(cg->b, old, sums[i], "");
        sums[i] = LLVMBuildSelect(cg->b, p->first, sums[i], sum, "");
        contract_put(&c->c, p->totals, at, sums[i]);
    }
    p->slot = cg_add_imm(cg, p->slot, n);
    Bb after = when_open(&c->c, p->last);
    store(c, p, &a, &b, x, places, sums);
    when_close(&c->c, after);
}

/* All tiles of a row block. */
static void tiles(const ConvKernel *c, Place *p) {
    Cg *cg = c->c.cg;
    int64_t n = c->axis[2].n, whole = n / c->tile.x, rest = n % c->tile.x;
    V zero = cg_i64(cg, 0);
    if (whole == 1) tile(c, p, zero, c->tile.x);
    if (whole > 1) {
        Loop l;
        unsigned carried = p->slot != NULL;
        V x = loop_open(cg, &l, zero, cg_i64(cg, whole * c->tile.x), c->tile.x, &p->slot, carried);
        if (carried) p->slot = l.phi[0];
        tile(c, p, x, c->tile.x);
        loop_close(cg, &l, &p->slot);
        if (carried) p->slot = l.phi[0];
    }
    if (rest) tile(c, p, cg_i64(cg, whole * c->tile.x), rest);
}

/* ---- items ---- */

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Images [p.image, image + tile.images), chunk of taps by chunk. */
static void chunks(const ConvKernel *c, Place p) {
    Cg *cg = c->c.cg;
    if (c->taps <= SumBlock) {
        tiles(c, &p);
        return;
    }
    const ConvTile *t = &c->tile;
    int64_t across = t->by_filters ? c->axis[2].n * ceil_div(p.filters, t->lanes)
                                   : ceil_div(c->axis[2].n, t->lanes) * p.filters;
    int64_t sums = across * p.rows;
    p.totals = contract_scratch(&c->c, t->images * sums * t->lanes);
    V zero = cg_i64(cg, 0), all = cg_i64(cg, c->taps), first = p.image;
    V end = cg_add_imm(cg, first, t->images), images = cg_i64(cg, c->s.n);
    end = LLVMBuildSelect(cg->b, index_less(&c->c, end, images), end, images, "");
    Loop l, each;
    p.from = loop_open(cg, &l, zero, all, SumBlock, NULL, 0);
    V next = cg_add_imm(cg, p.from, SumBlock);
    p.to = LLVMBuildSelect(cg->b, index_less(&c->c, next, all), next, all, "");
    p.first = LLVMBuildICmp(cg->b, LLVMIntEQ, p.from, zero, "");
    p.last = LLVMBuildICmp(cg->b, LLVMIntEQ, p.to, all, "");
    p.image = loop_open(cg, &each, first, end, 1, NULL, 0);
    p.slot = cg_mul_imm(cg, LLVMBuildSub(cg->b, p.image, first, ""), sums);
    tiles(c, &p);
    loop_close(cg, &each, NULL);
    loop_close(cg, &l, NULL);
}

/* Whole row blocks and the one that is left over. */
static void rows(const ConvKernel *c, Place p, V block) {
    Cg *cg = c->c.cg;
    int64_t whole = c->axis[1].n / c->tile.y, rest = c->axis[1].n % c->tile.y;
    p.y = cg_mul_imm(cg, block, c->tile.y);
    Bb after = NULL;
    p.rows = c->tile.y;
    if (rest) after = when_open(&c->c, index_less(&c->c, block, cg_i64(cg, whole)));
    chunks(c, p);
    if (!rest) return;
    when_close(&c->c, after);
    p.rows = rest;
    after = when_open(&c->c, LLVMBuildICmp(cg->b, LLVMIntEQ, block, cg_i64(cg, whole), ""));
    chunks(c, p);
    when_close(&c->c, after);
}

static V take(Cg *cg, V *number, int64_t n) {
    V r = n == 1 ? cg_i64(cg, 0) : LLVMBuildURem(cg->b, *number, cg_i64(cg, n), "");
    if (n > 1) *number = LLVMBuildUDiv(cg->b, *number, cg_i64(cg, n), "");
    return r;
}

static void item(const ConvKernel *c, V number, int64_t filters, int64_t groups) {
    Cg *cg = c->c.cg;
    Place p = {0};
    int64_t whole = filters / c->tile.o, rest = filters % c->tile.o;
    V panel = take(cg, &number, whole + (rest != 0));
    V block = take(cg, &number, ceil_div(c->axis[1].n, c->tile.y));
    p.z = take(cg, &number, c->axis[0].n);
    p.group = take(cg, &number, groups);
    p.image = cg_mul_imm(cg, number, c->tile.images);
    p.o = cg_mul_imm(cg, panel, c->tile.o);
    p.filters = c->tile.o;
    Bb after = NULL;
    if (rest) after = when_open(&c->c, index_less(&c->c, panel, cg_i64(cg, whole)));
    rows(c, p, block);
    if (!rest) return;
    when_close(&c->c, after);
    p.filters = rest;
    after = when_open(&c->c, LLVMBuildICmp(cg->b, LLVMIntEQ, panel, cg_i64(cg, whole), ""));
    rows(c, p, block);
    when_close(&c->c, after);
}

/* All items of a phase; this chunk's part of them, `per` at a time. */
static void phase(ConvKernel *c) {
    Cg *cg = c->c.cg;
    KernelCtx *k = c->k;
    c->taps = c->s.i;
    for (int d = 0; d < MaxSpatial; d++) c->taps *= c->axis[d].taps;
    conv_plan(c);
    int64_t groups = c->s.groups * c->s.batch_groups, filters = c->s.o / groups;
    int64_t items = ceil_div(c->s.n, c->tile.images) * groups * c->axis[0].n *
                    ceil_div(filters, c->tile.o) * ceil_div(c->axis[1].n, c->tile.y);
    int64_t flops = 2 * c->tile.images * c->tile.o * c->tile.y * c->axis[2].n * (c->taps + 1);
    int64_t per = ChunkFlops / flops + 1, many = ceil_div(items, per);
    if (many > UINT32_MAX) per = ceil_div(items, UINT32_MAX), many = ceil_div(items, per);
    V lo = cg_mul_imm(cg, k->chunk, per), hi = cg_add_imm(cg, lo, per), all = cg_i64(cg, items);
    hi = LLVMBuildSelect(cg->b, index_less(&c->c, hi, all), hi, all, "");
    if ((uint32_t)many > k->chunks) k->chunks = (uint32_t)many;
    Loop l;
    item(c, loop_open(cg, &l, lo, hi, 1, NULL, 0), filters, groups);
    loop_close(cg, &l, NULL);
}

void cg_conv(KernelCtx *k) {
    const Ins *root = k_ins(k, k->k->root);
    ConvKernel c = {.k = k, .c = {.cg = k->cg, .dt = root->type.dt},
                    .s = conv_of(root, k_shape(k, root->args[0]), k_shape(k, root->args[1]))};
    k->flat = false;
    k->chunks = 1;
    if (!root->type.shape->size) return;
    if (k_shape(k, root->args[1])->size) {
        c.xbase = operand(&c, root->args[0], c.xs);
        c.wbase = operand(&c, root->args[1], c.ws);
    }
    const ConvAxis *a = c.s.axis;
    int64_t n = a[0].lhs * a[1].lhs * a[2].lhs;
    for (int64_t i = 0; i < n; i++) {
        int64_t first[] = {i / a[2].lhs / a[1].lhs, i / a[2].lhs % a[1].lhs, i % a[2].lhs};
        bool any = true;
        for (int d = 0; d < MaxSpatial; d++) any &= phase_axis(&a[d], first[d], &c.axis[d]);
        if (any) phase(&c);
    }
}
