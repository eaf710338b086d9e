/* A convolution kernel: phases, items of images, groups, filters and rows of places as chunks, and
 * tiles whose sums go through the epilogue to memory. */
#include "codegen/conv_internal.h"

enum { ChunkFlops = 1 << 18, MaxRuns = 16 };


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

static V plus(Cg *cg, V sum, V n, int64_t stride) {
    return cg_add(cg, cg_mul_imm(cg, n, stride), sum);
}

/* Filters of p's tiles, rounded up to vectors. */
static int64_t filters_wide(const ConvKernel *c, const ConvPlace *p) {
    return ceil_div(p->filters, c->tile.lanes) * c->tile.lanes;
}

/* The taps of filters that are copied one after another. */
static void packed_taps(const ConvKernel *c, const ConvPlace *p, ConvSide *w) {
    int64_t apart = filters_wide(c, p);
    w->lane = 1;
    for (int d = MaxSpatial; d >= 0; d--) {
        w->tap[d] = apart;
        apart *= d < MaxSpatial ? c->axis[d].taps : c->s.i;
    }
}

void conv_sides(const ConvKernel *c, const ConvPlace *p, ConvSide *a, ConvSide *b) {
    Cg *cg = c->c.cg;
    const ConvTile *t = &c->tile;
    int64_t lanes = t->lanes, per_group = c->s.o / (c->s.groups * c->s.batch_groups);
    int64_t places = p->taps.places;
    V image = p->image, at = cg_i64(cg, 0), wat = at, o = p->o, place[] = {p->z, p->y, p->taps.x};
    if (c->s.batch_groups > 1) image = plus(cg, image, p->group, c->s.n);
    at = plus(cg, at, image, c->xs[0]);
    if (c->s.groups > 1) at = plus(cg, at, p->group, c->s.i * c->xs[1]);
    if (per_group != c->s.o) o = plus(cg, o, p->group, per_group);
    wat = plus(cg, wat, o, c->ws[0]);
    ConvSide xside = {.lane = c->axis[2].move * c->xs[4], .tap[MaxSpatial] = c->xs[1]};
    ConvSide wside = {.lane = c->ws[0], .tap[MaxSpatial] = c->ws[1]};
    for (int d = 0; d < MaxSpatial; d++) {
        const PhaseAxis *s = &c->axis[d];
        at = cg_add_imm(cg, plus(cg, at, place[d], s->move * c->xs[2 + d]), s->at * c->xs[2 + d]);
        wat = cg_add_imm(cg, wat, s->tap0 * c->ws[2 + d]);
        xside.tap[d] = s->shift * c->xs[2 + d];
        wside.tap[d] = s->tap_step * c->ws[2 + d];
    }
    if (c->taps) xside.base = conv_address(c, c->xbase, at);
    if (c->taps) wside.base = conv_address(c, c->wbase, wat);
    int64_t down = c->axis[1].move * c->xs[3];
    int64_t width = t->by_filters ? 1 : lanes, columns = ceil_div(places, width);
    for (int64_t row = 0; row < p->images * p->rows; row++) {
        int64_t first = row / p->rows * c->xs[0] + row % p->rows * down;
        for (int64_t v = 0; v < columns; v++, xside.n++) {
            int64_t left = places - v * width;
            xside.valid[xside.n] = (unsigned)(left < width ? left : width);
            xside.off[xside.n] = first + v * width * xside.lane;
        }
    }
    if (p->packed) {
        packed_taps(c, p, &wside);
        wside.base = p->packed;
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

/* ---- tiles ---- */

/* Where sum i of a tile waits, in units of its lanes. */
static V waiting(const ConvKernel *c, const ConvPlace *p, unsigned i, unsigned lanes) {
    Cg *cg = c->c.cg;
    return cg_mul_imm(cg, cg_add_imm(cg, p->slot, i), c->tile.lanes / lanes);
}

/* What waits in `memory`; nothing at the beginning. */
static V waited(const ConvKernel *c, const ConvPlace *p, V memory, V beginning, unsigned i,
                unsigned lanes) {
    V old = contract_get(&c->c, memory, waiting(c, p, i, lanes), lanes);
    return LLVMBuildSelect(c->c.cg->b, beginning, contract_zero(&c->c, lanes), old, "");
}

/* The sums of a tile have all of their chunk of taps. */
static void finish(const ConvKernel *c, const ConvPlace *p, const ConvSide *a, const ConvSide *b,
                   V *sums) {
    Cg *cg = c->c.cg;
    unsigned n = a->n * b->n;
    for (unsigned i = 0; i < n && p->kept; i++)
        contract_put(&c->c, p->kept, waiting(c, p, i, b->lanes[i % b->n]), sums[i]);
    When full = when_open(cg, p->full);
    for (unsigned i = 0; i < n && p->total; i++) {
        unsigned lanes = b->lanes[i % b->n];
        V old = waited(c, p, p->total, p->first, i, lanes);
        sums[i] = LLVMBuildFAdd(cg->b, old, sums[i], "");
        contract_put(&c->c, p->total, waiting(c, p, i, lanes), sums[i]);
    }
    When last = when_open(cg, p->last);
    conv_store(c, p, a, b, sums);
    when_close(cg, &last);
    when_close(cg, &full);
}

/* A tile for p's chunk of taps. */
static void tile_of_chunk(const ConvKernel *c, ConvPlace *p) {
    ConvSide a, b;
    V sums[MaxCarried];
    conv_sides(c, p, &a, &b);
    unsigned n = a.n * b.n;
    for (unsigned i = 0; i < n; i++) {
        unsigned lanes = b.lanes[i % b.n];
        sums[i] = p->kept ? waited(c, p, p->kept, p->fresh, i, lanes) : contract_zero(&c->c, lanes);
    }
    conv_accumulate(c, &a, &b, &p->taps, sums);
    finish(c, p, &a, &b, sums);
    if (p->slot) p->slot = cg_add_imm(c->c.cg, p->slot, n);
}

static V is_multiple(Cg *cg, V a, int64_t of) {
    V rest = LLVMBuildURem(cg->b, a, cg_i64(cg, of), "");
    return LLVMBuildICmp(cg->b, LLVMIntEQ, rest, cg_i64(cg, 0), "");
}

/* For each chunk of taps, which p is given. */
static void chunk_open(const ConvKernel *c, ConvPlace *p, Loop *l) {
    Cg *cg = c->c.cg;
    V all = cg_i64(cg, c->taps);
    V from = loop_open(cg, l, cg_i64(cg, 0), all, c->tile.chunk, NULL, 0);
    V to = cg_least(cg, cg_add_imm(cg, from, c->tile.chunk), all);
    p->taps.from = from;
    p->taps.to = to;
    p->first = index_less(&c->c, from, cg_i64(cg, SumBlock));
    p->last = LLVMBuildICmp(cg->b, LLVMIntEQ, to, all, "");
    p->fresh = is_multiple(cg, from, SumBlock);
    p->full = LLVMBuildOr(cg->b, p->last, is_multiple(cg, to, SumBlock), "");
    if (c->tile.chunk < SumBlock) p->kept = c->kept;
    if (c->taps > SumBlock) p->total = c->total;
}

static void tile(const ConvKernel *c, ConvPlace *p, V x, int64_t places) {
    p->taps.x = x;
    p->taps.places = places;
    if (!c->tile.inside) {
        tile_of_chunk(c, p);
        return;
    }
    ConvPlace at = *p;
    Loop l;
    chunk_open(c, &at, &l);
    at.slot = cg_i64(c->c.cg, 0);
    tile_of_chunk(c, &at);
    loop_close(c->c.cg, &l, NULL);
}

/* The tiles [from, to) of a row block, of `places` places. */
static void some_tiles(const ConvKernel *c, ConvPlace *p, int64_t from, int64_t to, int64_t places,
                       bool inner) {
    Cg *cg = c->c.cg;
    int64_t each = c->tile.x, runs = 0;
    for (int64_t i = from; i < to && !inner && runs <= MaxRuns; i++)
        runs += conv_runs(&c->axis[2], i * each, places);
    p->taps.padding = inner ? PadNone : runs <= MaxRuns ? PadKnown : PadAny;
    if (to - from <= 1 || p->taps.padding == PadKnown) {
        for (int64_t i = from; i < to; i++) tile(c, p, cg_i64(cg, i * each), places);
        return;
    }
    Loop l;
    unsigned carried = p->slot != NULL;
    V start = cg_i64(cg, from * each), end = cg_i64(cg, to * each);
    V x = loop_open(cg, &l, start, end, each, &p->slot, carried);
    if (carried) p->slot = l.phi[0];
    tile(c, p, x, places);
    loop_close(cg, &l, &p->slot);
    if (carried) p->slot = l.phi[0];
}

static void tiles(const ConvKernel *c, ConvPlace *p) {
    const PhaseAxis *s = &c->axis[2];
    int64_t each = c->tile.x, whole = s->n / each, rest = s->n % each;
    int64_t from = least(ceil_div(s->inner[0], each), whole), to = s->inner[1] / each;
    if (to < from) to = from;
    some_tiles(c, p, 0, from, each, false);
    some_tiles(c, p, from, to, each, true);
    some_tiles(c, p, to, whole, each, false);
    bool inner = whole * each >= s->inner[0] && s->n <= s->inner[1];
    if (rest) some_tiles(c, p, whole, whole + 1, rest, inner);
}

/* ---- items ---- */

/* Images [from, to), so many together; gives the first that is left. */
static V some_images(const ConvKernel *c, ConvPlace p, V from, V to, int64_t together, V first,
                     int64_t sums) {
    Cg *cg = c->c.cg;
    Loop l;
    p.images = together;
    p.image = loop_open(cg, &l, from, cg_add_imm(cg, to, 1 - together), together, NULL, 0);
    if (p.first) p.slot = cg_mul_imm(cg, LLVMBuildSub(cg->b, p.image, first, ""), sums);
    tiles(c, &p);
    loop_close(cg, &l, NULL);
    return l.i;
}

/* All images of an item, from p.image on. */
static void images(const ConvKernel *c, const ConvPlace *p, int64_t sums) {
    Cg *cg = c->c.cg;
    const ConvTile *t = &c->tile;
    if (t->images == 1) {
        ConvPlace one = *p;
        one.images = 1;
        if (p->first) one.slot = cg_i64(cg, 0);
        tiles(c, &one);
        return;
    }
    V from = p->image, to = cg_add_imm(cg, from, t->images);
    to = cg_least(cg, to, cg_i64(cg, c->s.n));
    if (t->n > 1) from = some_images(c, *p, from, to, t->n, p->image, sums);
    if (t->n == 1 || c->s.n % t->n) some_images(c, *p, from, to, 1, p->image, sums);
}

/* Copies the filters of p's chunk of taps for its tiles. */
static void pack(const ConvKernel *c, ConvPlace *p) {
    Cg *cg = c->c.cg;
    ConvSide a, b, to = {.n = 1};
    ConvPlace at = *p;
    at.taps.x = cg_i64(cg, 0);
    at.taps.places = 1;
    at.taps.padding = PadNone;
    conv_sides(c, &at, &a, &b);
    V skip = cg_mul_imm(cg, p->taps.from, -filters_wide(c, p));
    packed_taps(c, p, &to);
    to.base = p->packed = conv_address(c, c->copies, skip);
    conv_copy(c, &to, &b, &at.taps);
}

/* Chunk of taps by chunk. */
static void chunks(const ConvKernel *c, ConvPlace p) {
    const ConvTile *t = &c->tile;
    int64_t across = t->by_filters ? c->axis[2].n * ceil_div(p.filters, t->lanes)
                                   : ceil_div(c->axis[2].n, t->lanes) * p.filters;
    int64_t sums = across * p.rows;
    if (c->taps <= t->chunk || t->inside) {
        images(c, &p, sums);
        return;
    }
    Loop l;
    chunk_open(c, &p, &l);
    if (t->pack) pack(c, &p);
    images(c, &p, sums);
    loop_close(c->c.cg, &l, NULL);
}

/* The taps along outer axis d that its output j sees, or all. */
static void see(const ConvKernel *c, ConvPlace *p, int d, V j, bool inner) {
    Cg *cg = c->c.cg;
    const PhaseAxis *s = &c->axis[d];
    V range[] = {cg_i64(cg, 0), cg_i64(cg, s->taps)}, base = cg_mul_imm(cg, j, s->move);
    if (!inner) conv_inside(cg, cg_add_imm(cg, base, s->at), s->in, s->shift, s->taps, range);
    p->taps.lo[d] = range[0];
    p->taps.hi[d] = range[1];
}

static V take(Cg *cg, V *number, int64_t n) {
    V r = n == 1 ? cg_i64(cg, 0) : LLVMBuildURem(cg->b, *number, cg_i64(cg, n), "");
    if (n > 1) *number = LLVMBuildUDiv(cg->b, *number, cg_i64(cg, n), "");
    return r;
}

/* Block of rows number `block`. */
static void rows(const ConvKernel *c, ConvPlace p, V block) {
    Cg *cg = c->c.cg;
    if (c->tile.by_taps) {
        conv_by_taps(c, &p);
        return;
    }
    const PhaseAxis *s = &c->axis[0];
    p.z = take(cg, &block, s->n);
    see(c, &p, 0, p.z, s->inner[0] == 0 && s->inner[1] == s->n);
    ConvRows r = conv_rows(c, c->tile.y);
    int64_t blocks = r.whole + (r.rest != 0), covered = r.whole * c->tile.y + r.rest;
    struct { int64_t to, rows; V y; } kinds[] = {
        {r.whole, c->tile.y, cg_add_imm(cg, cg_mul_imm(cg, block, c->tile.y), r.before)},
        {blocks, r.rest, cg_i64(cg, r.before + r.whole * c->tile.y)},
        {blocks + r.single, 1, cg_add_imm(cg, block, -blocks)},
    };
    V behind = cg_add_imm(cg, kinds[2].y, covered);
    V above = index_less(&c->c, kinds[2].y, cg_i64(cg, r.before));
    kinds[2].y = LLVMBuildSelect(cg->b, above, kinds[2].y, behind, "");
    for (int64_t i = 0, from = 0; i < 3; from = kinds[i++].to) {
        if (from == kinds[i].to) continue;
        V is = LLVMBuildAnd(cg->b, index_less(&c->c, cg_i64(cg, from - 1), block),
                            index_less(&c->c, block, cg_i64(cg, kinds[i].to)), "");
        bool only = !from && kinds[i].to == blocks + r.single;
        When kind = when_open(cg, only ? NULL : is);
        p.rows = kinds[i].rows;
        p.y = kinds[i].y;
        see(c, &p, 1, p.y, i < 2);
        chunks(c, p);
        when_close(cg, &kind);
    }
}

/* Items of an image and a panel of filters. */
static int64_t row_blocks(const ConvKernel *c) {
    ConvRows r = conv_rows(c, c->tile.y);
    return c->tile.by_taps ? 1 : (r.whole + (r.rest != 0) + r.single) * c->axis[0].n;
}

static void item(const ConvKernel *c, V number, int64_t filters, int64_t groups) {
    Cg *cg = c->c.cg;
    ConvPlace p = {.images = 1};
    int64_t whole = filters / c->tile.o, rest = filters % c->tile.o;
    V panel = take(cg, &number, whole + (rest != 0));
    V block = take(cg, &number, row_blocks(c));
    p.group = take(cg, &number, groups);
    p.image = cg_mul_imm(cg, number, c->tile.images);
    p.o = cg_mul_imm(cg, panel, c->tile.o);
    p.filters = c->tile.o;
    V is_whole = index_less(&c->c, panel, cg_i64(cg, whole));
    When w = when_open(cg, rest ? is_whole : NULL);
    rows(c, p, block);
    when_else(cg, &w);
    p.filters = rest;
    if (rest) rows(c, p, block);
    when_close(cg, &w);
}

static void reserve(ConvKernel *c) {
    const ConvTile *t = &c->tile;
    if (c->taps <= t->chunk) return;
    int64_t filters = CopiedFilters / (int64_t)dtype_size(c->c.dt);
    if (t->chunk < SumBlock && !c->kept) c->kept = contract_scratch(&c->c, KeptSums);
    if (c->taps > SumBlock && !c->total) c->total = contract_scratch(&c->c, KeptSums);
    if (t->pack && !c->copies) c->copies = contract_scratch(&c->c, filters);
}

/* All items of a phase; this chunk's part of them, `per` at a time. */
static void phase(ConvKernel *c) {
    Cg *cg = c->c.cg;
    KernelCtx *k = c->k;
    c->taps = c->s.i;
    for (int d = 0; d < MaxSpatial; d++) c->taps *= c->axis[d].in ? c->axis[d].taps : 0;
    conv_plan(c);
    reserve(c);
    int64_t groups = c->s.groups * c->s.batch_groups, filters = c->s.o / groups;
    int64_t items = ceil_div(c->s.n, c->tile.images) * groups * ceil_div(filters, c->tile.o) *
                    row_blocks(c);
    int64_t outputs = c->axis[0].n * c->axis[1].n * c->axis[2].n * filters * groups * c->s.n;
    int64_t flops = 2 * ceil_div(outputs, items) * (c->taps + 1);
    int64_t per = ChunkFlops / flops + 1, many = ceil_div(items, per);
    if (many > UINT32_MAX) per = ceil_div(items, UINT32_MAX), many = ceil_div(items, per);
    V lo = cg_mul_imm(cg, k->chunk, per), hi = cg_add_imm(cg, lo, per), all = cg_i64(cg, items);
    hi = cg_least(cg, hi, all);
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
        for (int d = 0; d < MaxSpatial; d++) any &= conv_phase(&a[d], first[d], &c.axis[d]);
        if (any) phase(&c);
    }
}
