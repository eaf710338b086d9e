/* Convolutions tap by tap, where vectors of places would hold much padding: the full padding of
 * the gradient of a small image.
 *
 *   sums = 0
 *   for each place of the window, for each tile of the outputs that see the inside of x from it:
 *       sums[tile] += over the channels
 *   results = what follows, of sums
 *
 * Vectors so begin where x begins. The sums of an item, an image and a panel of filters, wait in
 * scratch memory. */
#include "codegen/conv_internal.h"

typedef struct ByTaps {
    const ConvKernel *c;
    ConvPlace p;
    V sums;         /* [filters, z, y, x] */
    int64_t filter; /* distance between filters in it */
    V tap[MaxSpatial];
} ByTaps;

static DType sum_type(const ByTaps *t) {
    return contract_sums(&t->c->c);
}

/* Where the sum of the item's filter o at (z, y, x) is. */
static V sum_at(const ByTaps *t, V o, V z, V y, V x) {
    Cg *cg = t->c->c.cg;
    V row = cg_add(cg, cg_mul_imm(cg, z, t->c->axis[1].n), y);
    V at = cg_add(cg, cg_mul_imm(cg, row, t->c->axis[2].n), x);
    return cg_add(cg, cg_mul_imm(cg, o, t->filter), at);
}

static V begin(Cg *cg, Loop *l, V from, V to, int64_t step) {
    return loop_open(cg, l, from, to, step, NULL, 0);
}
static void end(Cg *cg, Loop *l) { loop_close(cg, l, NULL); }

static void tile(ByTaps *t) {
    const ConvKernel *c = t->c;
    Cg *cg = c->c.cg;
    ConvSide a, b;
    V at[MaxCarried], old[MaxCarried], sums[MaxCarried], zero = cg_i64(cg, 0);
    conv_sides(c, &t->p, &a, &b);
    unsigned n = a.n * b.n, columns = b.n / (unsigned)t->p.rows;
    V first = sum_at(t, zero, t->p.z, t->p.y, t->p.taps.x);
    for (unsigned i = 0; i < n; i++) {
        unsigned j = i % b.n;
        int64_t right = j % columns * c->tile.lanes, down = j / columns * c->axis[2].n;
        at[i] = cg_add_imm(cg, first, i / b.n * t->filter + down + right);
        sums[i] = old[i] = cg_load(cg, sum_type(t), t->sums, at[i], b.lanes[j]);
    }
    conv_channels(c, &a, &b, &t->p.taps, t->tap, sums);
    for (unsigned i = 0; i < n; i++) {
        unsigned j = i % b.n;
        if (b.valid[j] < b.lanes[j]) sums[i] = contract_first(&c->c, b.valid[j], sums[i], old[i]);
        cg_store(cg, sum_type(t), sums[i], t->sums, at[i]);
    }
}

/* Rows [from, to) of the box of `width` places from x on, `rows` at a time; gives the first that
 * is left. */
static V tiles(ByTaps *t, V from, V to, int64_t rows, V x, int64_t width) {
    Cg *cg = t->c->c.cg;
    int64_t each = t->c->tile.x;
    Loop l;
    t->p.rows = rows;
    t->p.y = begin(cg, &l, from, cg_add_imm(cg, to, 1 - rows), rows);
    for (int64_t at = 0; at < width; at += each) {
        t->p.taps.x = cg_add_imm(cg, x, at);
        t->p.taps.places = width - at < each ? width - at : each;
        tile(t);
    }
    end(cg, &l);
    return l.i;
}

/* The outputs that tap t->tap[d] along axis d leaves inside. */
static void inside(const ByTaps *t, int d, V range[2]) {
    Cg *cg = t->c->c.cg;
    const PhaseAxis *s = &t->c->axis[d];
    V base = cg_add_imm(cg, cg_mul_imm(cg, t->tap[d], s->shift), s->at);
    conv_inside(cg, base, s->in, s->move, s->n, range);
}

/* The last axis, in runs of taps that leave as many places inside. */
static void row_of_window(ByTaps *t, const V z[2], const V y[2]) {
    Cg *cg = t->c->c.cg;
    const PhaseAxis *s = &t->c->axis[MaxSpatial - 1];
    int64_t from;
    for (int64_t k = 0, last; k < s->taps; k = last) {
        int64_t width = conv_left(s, k, &from);
        for (last = k + 1; last < s->taps && conv_left(s, last, &from) == width;) last++;
        if (!width) continue;
        Loop taps, planes;
        V x[2], rest = y[0];
        t->tap[MaxSpatial - 1] = begin(cg, &taps, cg_i64(cg, k), cg_i64(cg, last), 1);
        inside(t, MaxSpatial - 1, x);
        t->p.z = begin(cg, &planes, z[0], z[1], 1);
        if (t->c->tile.y > 1) rest = tiles(t, rest, y[1], t->c->tile.y, x[0], width);
        tiles(t, rest, y[1], 1, x[0], width);
        end(cg, &planes);
        end(cg, &taps);
    }
}

static void window(ByTaps *t) {
    Cg *cg = t->c->c.cg;
    Loop l[2];
    V range[2][2];
    for (int d = 0; d < 2; d++) {
        t->tap[d] = begin(cg, &l[d], cg_i64(cg, 0), cg_i64(cg, t->c->axis[d].taps), 1);
        inside(t, d, range[d]);
    }
    row_of_window(t, range[0], range[1]);
    end(cg, &l[1]);
    end(cg, &l[0]);
}

static void clear(const ByTaps *t, int64_t vectors) {
    Cg *cg = t->c->c.cg;
    Loop l;
    V i = begin(cg, &l, cg_i64(cg, 0), cg_i64(cg, vectors), 1);
    contract_put(&t->c->c, t->sums, i, contract_zero(&t->c->c, t->c->tile.lanes));
    end(cg, &l);
}

static void results(const ByTaps *t) {
    const ConvKernel *c = t->c;
    Cg *cg = c->c.cg;
    ConvPlace p = t->p;
    Loop l[3];
    V zero = cg_i64(cg, 0), o = begin(cg, &l[0], zero, cg_i64(cg, p.filters), 1);
    p.o = cg_add(cg, p.o, o);
    p.z = begin(cg, &l[1], zero, cg_i64(cg, c->axis[0].n), 1);
    p.y = begin(cg, &l[2], zero, cg_i64(cg, c->axis[1].n), 1);
    for (int64_t x = 0, n = c->axis[2].n, lanes = c->tile.lanes; x < n; x += lanes) {
        V at = sum_at(t, o, p.z, p.y, cg_i64(cg, x));
        unsigned count = (unsigned)(n - x < lanes ? n - x : lanes);
        V value = cg_load(cg, sum_type(t), t->sums, at, c->tile.lanes);
        conv_store_row(c, &p, 0, 0, cg_i64(cg, x), value, count);
    }
    for (int i = 3; i-- > 0;) end(cg, &l[i]);
}

void conv_by_taps(const ConvKernel *c, const ConvPlace *p) {
    ByTaps t = {.c = c, .p = *p, .filter = c->axis[0].n * c->axis[1].n * c->axis[2].n};
    int64_t lanes = c->tile.lanes, vectors = p->filters * t.filter / lanes + 2;
    t.p.taps.padding = PadNone;
    t.sums = contract_scratch(&c->c, vectors * lanes);
    clear(&t, vectors);
    window(&t);
    results(&t);
}
