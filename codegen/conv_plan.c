/* The phases of a convolution, and how it is tiled: as contract_plan.c, by a model of the time of a
 * tile. */
#include "codegen/conv_internal.h"

enum {
    SumsOfItem = 1 << 12,
    Items = 8, /* wanted at least, for threads */
    MaxWidths = 8,
    Passes = 8, /* of tiles pay for a copy of what they read */
};

/* The first k >= 0 for which by * k >= from, at most `most`. */
static int64_t reach(int64_t from, int64_t by, int64_t most) {
    return from <= 0 ? 0 : least(ceil_div(from, by), most);
}

bool conv_phase(const ConvAxis *a, int64_t first, PhaseAxis *p) {
    *p = (PhaseAxis){.first = first, .step = a->lhs, .move = a->stride, .in = a->in};
    if (first >= a->out) return false;
    p->n = ceil_div(a->out - first, a->lhs);
    p->inner[1] = p->n;
    int64_t k = 0, place = first * a->stride - a->lo;
    while (k < a->taps && k < a->lhs && (place + k * a->rhs) % a->lhs) k++;
    if (k == a->taps || (place + k * a->rhs) % a->lhs) return true; /* zeros */
    int64_t step = 1;
    while (step * a->rhs % a->lhs) step++;
    p->tap0 = k;
    p->tap_step = step;
    p->taps = ceil_div(a->taps - k, step);
    p->at = (place + k * a->rhs) / a->lhs;
    p->shift = step * a->rhs / a->lhs;
    p->inner[0] = reach(-p->at, p->move, p->n);
    p->inner[1] = reach(p->in - p->at - (p->taps - 1) * p->shift, p->move, p->n);
    if (p->inner[1] < p->inner[0]) p->inner[1] = p->inner[0];
    return true;
}

int64_t conv_runs(const PhaseAxis *s, int64_t x, int64_t places) {
    int64_t runs = 0, seen[2] = {-1, -1};
    for (int64_t k = 0; k < s->taps; k++) {
        int64_t base = s->at + k * s->shift + x * s->move, from = reach(-base, s->move, places);
        int64_t to = reach(s->in - base, s->move, places);
        runs += from != seen[0] || to != seen[1];
        seen[0] = from, seen[1] = to;
    }
    return runs;
}

ConvRows conv_rows(const ConvKernel *c, int64_t tile_y) {
    const PhaseAxis *s = &c->axis[1];
    int64_t inner = s->inner[1] - s->inner[0];
    if (inner == s->n) return (ConvRows){.whole = s->n / tile_y, .rest = s->n % tile_y};
    int64_t whole = inner / tile_y;
    return (ConvRows){.before = s->inner[0], .whole = whole, .single = s->n - whole * tile_y};
}

static double tile_time(int64_t a, int64_t b) {
    int64_t sums = a * b;
    return (double)(sums < 8 ? 8 : sums) + 8.0 / (double)sums + 0.3 * (double)(a + b);
}

/* Sums of a tile's rows and vectors. */
static void sides(const ConvTile *t, int64_t n, int64_t o, int64_t y, int64_t x, int64_t *rows,
                  int64_t *vecs) {
    *rows = t->by_filters ? n * y * x : o;
    *vecs = t->by_filters ? ceil_div(o, t->lanes) : y * ceil_div(x, t->lanes);
}

static double time_of(const ConvKernel *c, const ConvTile *t, int64_t filters) {
    ConvRows r = conv_rows(c, t->y);
    int64_t x = c->axis[2].n, rows, vecs;
    const struct {
        int64_t many, size;
    } parts[4][3] = {
        {{c->s.n / t->n, t->n}, {c->s.n % t->n, 1}},
        {{filters / t->o, t->o}, {filters % t->o != 0, filters % t->o}},
        {{r.whole, t->y}, {r.rest != 0, r.rest}, {r.single, 1}},
        {{x / t->x, t->x}, {x % t->x != 0, x % t->x}},
    };
    double sum = 0;
    int kinds = 0;
    for (int part = 0; part < 81; part++) {
        int n = part / 27, o = part / 9 % 3, y = part / 3 % 3, p = part % 3;
        int64_t many = parts[0][n].many * parts[1][o].many * parts[2][y].many * parts[3][p].many;
        if (many == 0) continue;
        sides(t, parts[0][n].size, parts[1][o].size, parts[2][y].size, parts[3][p].size, &rows,
              &vecs);
        sum += (double)many * tile_time(rows, vecs);
        kinds++;
    }
    int64_t items = ceil_div(c->s.n, t->n) * c->s.groups * c->s.batch_groups *
                    ceil_div(filters, t->o) * (r.whole + (r.rest != 0) + r.single) * c->axis[0].n;
    return sum * (1 + 0.01 * kinds) * (items < (t->n > 1 ? Items : 2) ? 1.5 : 1);
}

static void try_tile(const ConvKernel *c, ConvTile t, int64_t filters, double *best, ConvTile *to) {
    int64_t rows, vecs;
    sides(&t, t.n, t.o, t.y, t.x, &rows, &vecs);
    if (rows < 1 || vecs < 1 || rows > MaxConvSide || vecs > MaxConvSide) return;
    if ((rows + 1) * vecs + 1 > (int64_t)c->c.cg->target.registers) return;
    double time = time_of(c, &t, filters);
    if (*best != 0 && time >= *best) return;
    *best = time;
    *to = t;
}

/* Several rows of places, or images, only where a tile holds rows whole. */
static void choose(const ConvKernel *c, ConvTile t, int64_t filters, ConvTile *to) {
    double best = 0;
    int64_t places = c->axis[2].n, inner = c->axis[1].inner[1] - c->axis[1].inner[0];
    int64_t unit_o = t.by_filters ? t.lanes : 1;
    int64_t unit_x = t.by_filters ? 1 : t.lanes;
    for (int64_t o = 1; o <= MaxConvSide && (o - 1) * unit_o < filters; o++) {
        for (int64_t x = 1; x <= MaxConvSide && (x - 1) * unit_x < places; x++) {
            t.o = least(o * unit_o, filters);
            t.x = least(x * unit_x, places);
            bool whole = t.x == places;
            int64_t tall = whole && inner ? least(inner, MaxConvSide) : 1;
            for (t.y = 1; t.y <= tall; t.y++) {
                int64_t many = t.by_filters && whole ? MaxConvSide / (t.x * t.y) : 1;
                for (t.n = 1; t.n == 1 || t.n <= least(c->s.n, many); t.n++)
                    try_tile(c, t, filters, &best, to);
            }
        }
    }
}

/* An item of more than one chunk of taps keeps its sums meanwhile; it does several images, that
 * read the same filters. 0: there is no room for those of one tile's images. */
static int64_t images_of(const ConvKernel *c, int64_t filters) {
    const ConvTile *t = &c->tile;
    int64_t others = c->s.groups * c->s.batch_groups * c->axis[0].n *
                     ceil_div(filters, t->o) * ceil_div(c->axis[1].n, t->y);
    int64_t room = KeptSums / (t->y * (c->axis[2].n + t->lanes) * (t->o + t->lanes));
    int64_t n = least(least(room, c->s.n * others / Items), c->s.n);
    if (room < t->n) return 0;
    return n < t->n ? t->n : n / t->n * t->n;
}

/* Filters of many taps that many tiles read are copied in chunks. */
static void choose_chunk(ConvKernel *c, int64_t filters) {
    ConvTile *t = &c->tile;
    int64_t row = ceil_div(t->o, t->lanes) * t->lanes * (int64_t)dtype_size(c->c.dt);
    int64_t near = CopiedFilters / row, images = images_of(c, filters);
    bool many = images / t->n * ceil_div(c->axis[2].n, t->x) >= Passes;
    t->pack = t->by_filters && many && c->c.dt != BF16 && c->taps > near;
    t->chunk = SumBlock;
    if (t->pack && c->taps <= SumBlock) t->chunk = near < c->s.i ? near : near - near % c->s.i;
    while (t->pack && t->chunk > near) t->chunk /= 2;
    t->inside = c->taps > t->chunk && !images;
    t->images = c->taps > t->chunk && images ? images : t->n;
}

static unsigned lanes_for(const ConvKernel *c, int64_t along) {
    unsigned lanes = cg_lanes(c->c.cg, c->c.dt);
    while (lanes > 1 && (int64_t)lanes / 2 >= along) lanes /= 2;
    return lanes;
}

int64_t conv_left(const PhaseAxis *s, int64_t k, int64_t *from) {
    int64_t base = s->at + k * s->shift;
    *from = reach(-base, s->move, s->n);
    return reach(s->in - base, s->move, s->n) - *from;
}

/* Whether vectors that begin where x does are clearly fewer than those that begin where tiles do,
 * of which ones with places that are left out count twice: tap by tap each sum is loaded and stored
 * once more per tap. */
static bool taps_pay(const ConvKernel *c, unsigned lanes, unsigned box_lanes) {
    const PhaseAxis *s = &c->axis[MaxSpatial - 1];
    int64_t places = 0, boxes = 0, widths = 0;
    for (int64_t k = 0, last = 0; k < s->taps; k++) {
        int64_t from, n = conv_left(s, k, &from), to = from + n;
        widths += n && n != last;
        last = n;
        if (!n) continue;
        bool before = from % lanes != 0, behind = to != s->n && to % lanes != 0;
        int64_t across = ceil_div(to, lanes) - from / lanes;
        places += across + (across == 1 ? before || behind : before + behind);
        boxes += ceil_div(n, box_lanes);
    }
    double cost = (double)boxes * (1 + 4 / (double)c->s.i);
    return c->taps && c->taps <= SumBlock && widths <= MaxWidths && cost < 0.9 * (double)places;
}

/* The outputs along each axis that a tap leaves inside, at most. */
static ConvKernel box_of(const ConvKernel *c) {
    ConvKernel box = *c;
    for (int d = 0; d < MaxSpatial; d++) {
        int64_t most = 0, from;
        for (int64_t k = 0; k < c->axis[d].taps; k++) {
            int64_t n = conv_left(&c->axis[d], k, &from);
            if (n > most) most = n;
        }
        box.axis[d].n = box.axis[d].inner[1] = most;
        box.axis[d].inner[0] = 0;
    }
    return box;
}

void conv_plan(ConvKernel *c) {
    int64_t filters = c->s.o / (c->s.groups * c->s.batch_groups);
    ConvTile t = {.by_filters = c->ws[0] == 1 && (filters >= 16 || filters > c->axis[2].n)};
    t.lanes = lanes_for(c, t.by_filters ? filters : c->axis[2].n);
    choose(c, t, filters, &c->tile);
    ConvKernel box = box_of(c);
    ConvTile b = {.by_taps = true, .lanes = lanes_for(c, box.axis[2].n)};
    if (!t.by_filters && taps_pay(c, t.lanes, b.lanes)) {
        choose(&box, b, filters, &b);
        if (b.o * c->axis[0].n * c->axis[1].n * c->axis[2].n <= SumsOfItem) c->tile = b;
    }
    choose_chunk(c, filters);
}
