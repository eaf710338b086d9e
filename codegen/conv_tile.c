/* The sums of a tile over its taps, in the order of docs/numerics.md: places of the window row by
 * row, the channels of each. Places that a tap moves out of x are left out. */
#include "codegen/conv_internal.h"

enum { Unrolled = 320, Together = 32 }; /* multiply-adds that are written out: all, in a loop */

typedef struct Walk {
    const ConvKernel *c;
    const ConvSide *a, *b;
    const ConvTaps *t;
    V *sums;     /* NULL: b is copied to a */
    V inside[2]; /* places of the tile that the tap leaves in x; NULL: all */
} Walk;

/* ---- what lies inside ---- */

/* Of a >= 0, rounded up. */
static V divided(Cg *cg, V a, int64_t by) {
    return by == 1 ? a : LLVMBuildUDiv(cg->b, cg_add_imm(cg, a, by - 1), cg_i64(cg, by), "");
}

void conv_inside(Cg *cg, V base, int64_t in, int64_t by, int64_t most, V range[2]) {
    for (int end = 0; end < 2; end++) {
        V left = LLVMBuildSub(cg->b, cg_i64(cg, end ? in : 0), base, "");
        left = divided(cg, cg_most(cg, left, cg_i64(cg, 0)), by);
        range[end] = cg_least(cg, left, cg_i64(cg, most));
    }
}

static void places_inside(Walk *w, V tap) {
    Cg *cg = w->c->c.cg;
    const PhaseAxis *s = &w->c->axis[MaxSpatial - 1];
    V base = cg_add(cg, cg_mul_imm(cg, w->t->x, s->move), cg_mul_imm(cg, tap, s->shift));
    conv_inside(cg, cg_add_imm(cg, base, s->at), s->in, s->move, w->t->places, w->inside);
}

/* Which of the lanes from place `first` on are inside, the first `valid` of which count: a mask in
 * *mask, NULL for all; false: none. */
static bool lanes_inside(const Walk *w, int64_t first, unsigned lanes, unsigned valid, V *mask) {
    Cg *cg = w->c->c.cg;
    *mask = NULL;
    if (!w->inside[0]) return true;
    V lo = cg_add_imm(cg, w->inside[0], -first), hi = cg_add_imm(cg, w->inside[1], -first);
    if (LLVMIsAConstantInt(lo) && LLVMIsAConstantInt(hi)) {
        int64_t from = LLVMConstIntGetSExtValue(lo), to = LLVMConstIntGetSExtValue(hi);
        if (from <= 0 && to >= valid) return true;
        if (from >= valid || to <= 0 || from >= to) return false;
    }
    V at[MaxLanes];
    for (unsigned l = 0; l < lanes; l++) at[l] = cg_i64(cg, l);
    V place = lanes == 1 ? at[0] : LLVMConstVector(at, lanes);
    *mask = LLVMBuildAnd(
        cg->b, LLVMBuildICmp(cg->b, LLVMIntSGE, place, cg_splat(cg, lo, lanes), ""),
        LLVMBuildICmp(cg->b, LLVMIntSLT, place, cg_splat(cg, hi, lanes), ""), "");
    return true;
}

/* ---- one tap ---- */

V conv_address(const ConvKernel *c, V base, V at) {
    return LLVMBuildGEP2(c->c.cg->b, cg_mem_type(c->c.cg, c->c.dt), base, &at, 1, "");
}

/* The element at p, of which nothing is used unless `inside`. */
static V element(const ConvKernel *c, V p, V inside) {
    if (inside) p = LLVMBuildSelect(c->c.cg->b, inside, p, c->xbase, "");
    Matrix m = {.base = p};
    V zero = cg_i64(c->c.cg, 0);
    return contract_element(&c->c, &m, zero, zero);
}

static V vector(const ConvKernel *c, const ConvSide *s, V at, unsigned j, V mask) {
    Cg *cg = c->c.cg;
    unsigned lanes = s->lanes[j];
    V zero = cg_i64(cg, 0), p = conv_address(c, at, cg_i64(cg, s->off[j]));
    Matrix m = {.base = p, .col = s->lane};
    if (!mask) return contract_vector(&c->c, &m, zero, zero, 1, lanes, s->valid[j]);
    if (lanes == 1) return element(c, p, mask);
    if (s->lane == 1 && c->c.dt != BF16) return cg_load_masked(cg, c->c.dt, p, zero, mask);
    V r = contract_zero(&c->c, lanes);
    for (unsigned l = 0; l < lanes; l++) {
        V lane = cg_int(cg->i32, l), inside = LLVMBuildExtractElement(cg->b, mask, lane, "");
        if (inside == cg_int(cg->i1, 0)) continue;
        V x = element(c, conv_address(c, p, cg_i64(cg, l * s->lane)), inside);
        r = LLVMBuildInsertElement(cg->b, r, x, lane, "");
    }
    return r;
}

static void copy(const Walk *w, V to, V from) {
    const ConvSide *b = w->b;
    for (unsigned j = 0; j < b->n; j++) {
        V v = vector(w->c, b, from, j, NULL), at = cg_i64(w->c->c.cg, j * w->c->tile.lanes);
        cg_store(w->c->c.cg, w->c->c.dt, v, to, at);
    }
}

/* With both operands at the tap. */
static void step(const Walk *w, V at_a, V at_b) {
    const ConvKernel *c = w->c;
    const ConvSide *a = w->a, *b = w->b;
    Cg *cg = c->c.cg;
    bool by_filters = c->tile.by_filters;
    int64_t width = by_filters ? 1 : c->tile.lanes, columns = ceil_div(w->t->places, width);
    V vec[MaxConvSide], mask[MaxConvSide] = {NULL}, row_mask = NULL;
    for (unsigned j = 0; j < b->n; j++) {
        vec[j] = NULL;
        if (!by_filters &&
            !lanes_inside(w, j % columns * width, b->lanes[j], b->valid[j], &mask[j])) continue;
        vec[j] = vector(c, b, at_b, j, mask[j]);
    }
    for (unsigned i = 0; i < a->n; i++) {
        if (by_filters && !lanes_inside(w, i % columns, 1, 1, &row_mask)) continue;
        V x = element(c, conv_address(c, at_a, cg_i64(cg, a->off[i])), row_mask);
        for (unsigned j = 0; j < b->n; j++) {
            if (!vec[j]) continue;
            V *sum = &w->sums[i * b->n + j], only = by_filters ? row_mask : mask[j];
            V next = contract_fma(&c->c, cg_splat(cg, x, b->lanes[j]), vec[j], *sum);
            *sum = only ? LLVMBuildSelect(cg->b, only, next, *sum, "") : next;
        }
    }
}

/* ---- all taps: axis by axis, the channels as the last one ---- */

static int64_t along(const ConvKernel *c, int d) {
    return d < MaxSpatial ? c->axis[d].taps : c->s.i;
}

static void taps(Walk *w, int d, V at_a, V at_b, V from, V to);

static void tap(Walk *w, int d, int64_t inner, V k, V at_a, V at_b, V from, V to) {
    Cg *cg = w->c->c.cg;
    at_a = conv_address(w->c, at_a, cg_mul_imm(cg, k, w->a->tap[d]));
    at_b = conv_address(w->c, at_b, cg_mul_imm(cg, k, w->b->tap[d]));
    if (d == MaxSpatial) {
        (w->sums ? step : copy)(w, at_a, at_b);
        return;
    }
    if (d == MaxSpatial - 1 && w->t->padding == PadAny) places_inside(w, k);
    if (from) {
        V before = cg_mul_imm(cg, k, inner);
        from = LLVMBuildSub(cg->b, from, before, "");
        to = LLVMBuildSub(cg->b, to, before, "");
    }
    taps(w, d + 1, at_a, at_b, from, to);
}

/* Taps [lo, hi) along axis d; of them those of the chunk, whose limits are counted from here. */
static void run(Walk *w, int d, V lo, V hi, V at_a, V at_b, V from, V to) {
    Cg *cg = w->c->c.cg;
    unsigned n = w->a->n * w->b->n, carried = w->sums ? n : 0;
    int64_t inner = 1;
    for (int e = d + 1; e <= MaxSpatial; e++) inner *= along(w->c, e);
    if (from) {
        V first = cg_most(cg, from, cg_i64(cg, 0));
        if (inner > 1) first = LLVMBuildUDiv(cg->b, first, cg_i64(cg, inner), "");
        lo = cg_most(cg, lo, first);
        hi = cg_least(cg, hi, divided(cg, to, inner));
    }
    int64_t at_once = 1;
    if (LLVMIsAConstantInt(lo) && LLVMIsAConstantInt(hi)) {
        int64_t k = LLVMConstIntGetSExtValue(lo), end = LLVMConstIntGetSExtValue(hi);
        int64_t many = d < MaxSpatial ? w->c->taps : end - k;
        if (end - k <= 1 || many * n <= Unrolled) {
            for (; k < end; k++) tap(w, d, inner, cg_i64(cg, k), at_a, at_b, from, to);
            return;
        }
        while (d == MaxSpatial && at_once * n < Together && (end - k) % (2 * at_once) == 0)
            at_once *= 2;
    }
    Loop l;
    V k = loop_open(cg, &l, lo, hi, at_once, w->sums, carried);
    copy_bytes(w->sums, l.phi, carried * sizeof *w->sums);
    for (int64_t i = 0; i < at_once; i++)
        tap(w, d, inner, cg_add_imm(cg, k, i), at_a, at_b, from, to);
    loop_close(cg, &l, w->sums);
    copy_bytes(w->sums, l.phi, carried * sizeof *w->sums);
}

/* The last axis, of a tile at a constant place. */
static void runs(Walk *w, V at_a, V at_b, V from, V to) {
    Cg *cg = w->c->c.cg;
    int64_t all = along(w->c, MaxSpatial - 1), end;
    for (int64_t k = 0; k < all; k = end) {
        V first[2];
        places_inside(w, cg_i64(cg, k));
        copy_bytes(first, w->inside, sizeof first);
        for (end = k + 1; end < all; end++) {
            places_inside(w, cg_i64(cg, end));
            if (w->inside[0] != first[0] || w->inside[1] != first[1]) break;
        }
        copy_bytes(w->inside, first, sizeof first);
        if (first[0] == first[1]) continue;
        run(w, MaxSpatial - 1, cg_i64(cg, k), cg_i64(cg, end), at_a, at_b, from, to);
    }
}

static void taps(Walk *w, int d, V at_a, V at_b, V from, V to) {
    V zero = cg_i64(w->c->c.cg, 0), all = cg_i64(w->c->c.cg, along(w->c, d));
    if (d == MaxSpatial - 1 && w->t->padding == PadKnown) {
        runs(w, at_a, at_b, from, to);
        return;
    }
    if (d == MaxSpatial && w->c->tile.chunk % w->c->s.i == 0) from = to = NULL;
    bool outer = d < MaxSpatial - 1;
    run(w, d, outer ? w->t->lo[d] : zero, outer ? w->t->hi[d] : all, at_a, at_b, from, to);
}

void conv_accumulate(const ConvKernel *c, const ConvSide *a, const ConvSide *b, const ConvTaps *t,
                     V *sums) {
    Walk w = {.c = c, .a = a, .b = b, .t = t, .sums = sums};
    if (c->taps) taps(&w, 0, a->base, b->base, t->from, t->to);
}

void conv_copy(const ConvKernel *c, const ConvSide *a, const ConvSide *b, const ConvTaps *t) {
    Walk w = {.c = c, .a = a, .b = b, .t = t};
    taps(&w, 0, a->base, b->base, t->from, t->to);
}

void conv_channels(const ConvKernel *c, const ConvSide *a, const ConvSide *b, const ConvTaps *t,
                   const V tap[MaxSpatial], V *sums) {
    Walk w = {.c = c, .a = a, .b = b, .t = t, .sums = sums};
    V at_a = a->base, at_b = b->base;
    for (int d = 0; d < MaxSpatial; d++) {
        at_a = conv_address(c, at_a, cg_mul_imm(c->c.cg, tap[d], a->tap[d]));
        at_b = conv_address(c, at_b, cg_mul_imm(c->c.cg, tap[d], b->tap[d]));
    }
    taps(&w, MaxSpatial, at_a, at_b, NULL, NULL);
}
