/* How a convolution is tiled: as contract_plan.c, by a model of the time of a tile. */
#include "codegen/conv_internal.h"

enum { Scratch = 1 << 14, Items = 8 };

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static double tile_time(int64_t a, int64_t b) {
    int64_t sums = a * b;
    return (double)(sums < 8 ? 8 : sums) + 0.3 * (double)(a + b);
}

/* Sums of a tile's rows and vectors. */
static void sides(const ConvKernel *c, const ConvTile *t, int64_t o, int64_t y, int64_t x,
                  int64_t *rows, int64_t *vecs) {
    (void)c;
    *rows = t->by_filters ? y * x : o;
    *vecs = t->by_filters ? ceil_div(o, t->lanes) : y * ceil_div(x, t->lanes);
}

static double time_of(const ConvKernel *c, const ConvTile *t, int64_t filters) {
    int64_t n[3] = {filters, c->axis[1].n, c->axis[2].n}, tile[3] = {t->o, t->y, t->x};
    double sum = 0;
    int kinds = 0;
    for (int part = 0; part < 8; part++) { /* whole and left over on each of three axes */
        double many = 1;
        int64_t size[3], rows, vecs;
        for (int d = 0; d < 3; d++) {
            bool rest = part >> d & 1;
            size[d] = rest ? n[d] % tile[d] : tile[d];
            many *= rest ? size[d] != 0 : (double)(n[d] / tile[d]);
        }
        if (many == 0) continue;
        sides(c, t, size[0], size[1], size[2], &rows, &vecs);
        sum += many * tile_time(rows, vecs);
        kinds++;
    }
    int64_t items = c->s.n * c->s.groups * c->s.batch_groups * ceil_div(filters, t->o) *
                    ceil_div(n[1], t->y) * c->axis[0].n;
    return sum * (1 + 0.01 * kinds) * (items < 2 ? 1.5 : 1);
}

static void try_tile(const ConvKernel *c, ConvTile t, int64_t filters, double *best, ConvTile *to) {
    int64_t rows, vecs;
    sides(c, &t, t.o, t.y, t.x, &rows, &vecs);
    if (rows < 1 || vecs < 1 || rows > MaxConvSide || vecs > MaxConvSide) return;
    if ((rows + 1) * vecs + 1 > (int64_t)c->c.cg->target.registers) return;
    double time = time_of(c, &t, filters);
    if (*best != 0 && time >= *best) return;
    *best = time;
    *to = t;
}

/* Several rows of places only where a tile holds them whole. */
static void choose(const ConvKernel *c, ConvTile t, int64_t filters, ConvTile *to) {
    double best = 0;
    int64_t places = c->axis[2].n, unit_o = t.by_filters ? t.lanes : 1;
    int64_t unit_x = t.by_filters ? 1 : t.lanes;
    for (int64_t o = 1; o <= MaxConvSide && (o - 1) * unit_o < filters; o++) {
        for (int64_t x = 1; x <= MaxConvSide && (x - 1) * unit_x < places; x++) {
            t.o = least(o * unit_o, filters);
            t.x = least(x * unit_x, places);
            for (t.y = 1; t.y <= (t.x == places ? c->axis[1].n : 1); t.y++)
                try_tile(c, t, filters, &best, to);
        }
    }
}

/* An item of more than one chunk of taps keeps its sums meanwhile; it does several images, that
 * read the same filters. */
static int64_t images_of(const ConvKernel *c, int64_t filters) {
    if (c->taps <= SumBlock) return 1;
    const ConvTile *t = &c->tile;
    int64_t others = c->s.groups * c->s.batch_groups * c->axis[0].n *
                     ceil_div(filters, t->o) * ceil_div(c->axis[1].n, t->y);
    int64_t sums = t->y * (c->axis[2].n + t->lanes) * (t->o + t->lanes);
    int64_t n = least(Scratch / sums, c->s.n * others / Items);
    return n < 1 ? 1 : least(n, c->s.n);
}

void conv_plan(ConvKernel *c) {
    int64_t filters = c->s.o / (c->s.groups * c->s.batch_groups);
    ConvTile t = {.by_filters = c->ws[0] == 1 && (filters >= 16 || filters > c->axis[2].n)};
    int64_t along = t.by_filters ? filters : c->axis[2].n;
    t.lanes = cg_lanes(c->c.cg, c->c.dt);
    while (t.lanes > 1 && (int64_t)t.lanes / 2 >= along) t.lanes /= 2;
    choose(c, t, filters, &c->tile);
    c->tile.images = images_of(c, filters);
}
