/* How a contraction is tiled: a small model of the time of a tile, minimised over tile sizes. All
 * choices are free of meaning: they move no bit. */
#include "codegen/contract_internal.h"

enum {
    ItemFlops = 1 << 18, /* an item of less work is not worth a thread's while */
    Items = 16,          /* wanted at least, so that threads have something to share */
    PanelBytes = 288 << 10,
    ManyRows = 256,      /* of an item, where sums wait in scratch memory */
};

/* Steps of k of one tile: arithmetic is bound by its latency where there are few accumulators, and
 * loads are partly hidden behind it. */
static double tile_time(int64_t rows, int64_t vecs) {
    int64_t sums = rows * vecs;
    return (double)(sums < 8 ? 8 : sums) + 0.3 * (double)(rows + vecs);
}

static double time_of(const Contract *c, int64_t rows, int64_t vecs) {
    int64_t nv = (c->n + c->tile.lanes - 1) / c->tile.lanes;
    int64_t m_rest = c->m % rows, n_rest = nv % vecs;
    double whole_m = (double)(c->m / rows), whole_n = (double)(nv / vecs);
    double t = whole_m * whole_n * tile_time(rows, vecs);
    if (m_rest) t += whole_n * tile_time(m_rest, vecs);
    if (n_rest) t += whole_m * tile_time(rows, n_rest);
    if (m_rest && n_rest) t += tile_time(m_rest, n_rest);
    /* Each shape of tile is code to generate. */
    return t * (1 + 0.005 * ((m_rest != 0) + (n_rest != 0)));
}

/* Rows of A at a distance that is a large power of two fall on each other in the first cache. */
static int64_t most_rows(const Contract *c) {
    int64_t bytes = c->x.row * (int64_t)dtype_size(c->dt);
    bool clash = c->x.row > c->x.col && bytes >= 2048 && bytes % 512 == 0;
    int64_t most = clash ? 8 : MaxTileRows;
    return most < c->m ? most : c->m;
}

static void choose_tile(Contract *c) {
    /* Beside the sums, a step keeps vecs vectors of B and one of A. */
    int64_t registers = c->cg->target.registers;
    double best = 0;
    for (int64_t vecs = 1; vecs <= MaxTileVecs; vecs++) {
        for (int64_t rows = 1; rows <= most_rows(c); rows++) {
            if ((rows + 1) * vecs + 1 > registers) break;
            double t = time_of(c, rows, vecs);
            if (best != 0 && t >= best) continue;
            best = t;
            c->tile.rows = rows;
            c->tile.vecs = vecs;
        }
    }
}

/* Copied columns of B are read once per tile of rows: it pays from so many rows on, and where B is
 * larger than so many bytes. Few registers make low tiles, which read B often. */
static const struct Packs {
    unsigned registers;
    int64_t rows, bytes;
} packs[] = {{16, 48, 0}, {32, 128, 1 << 20}};

static bool wants_pack(const Contract *c) {
    if (!c->y.base || c->y.col != 1) return c->m > 1;
    int64_t bytes = c->k * c->y.row * (int64_t)dtype_size(c->dt);
    const struct Packs *p = &packs[c->cg->target.registers > packs[0].registers];
    return c->m >= p->rows && bytes > p->bytes;
}

void contract_plan(Contract *c) {
    Tile *t = &c->tile;
    t->lanes = cg_lanes(c->cg, c->dt);
    while (t->lanes > 1 && (int64_t)t->lanes / 2 >= c->n) t->lanes /= 2;
    choose_tile(c);
    t->pack = wants_pack(c);
    int64_t row_bytes = t->vecs * t->lanes * (int64_t)(c->dt == F64 ? 8 : 4);
    t->kblock = c->k <= SumBlock ? c->k : SumBlock;
    if (t->pack && t->kblock * row_bytes > PanelBytes) {
        t->kblock = SumBlock;
        while (t->kblock > 64 && t->kblock * row_bytes > PanelBytes) t->kblock /= 2;
    }
    int64_t rows = c->m;
    if (t->kblock < c->k && rows > ManyRows) rows = ManyRows;
    int64_t panels = (c->n + t->vecs * t->lanes - 1) / (t->vecs * t->lanes);
    int64_t enough = ItemFlops / (2 * t->vecs * t->lanes * (c->k + 1)) + 1;
    int64_t share = c->m / ((Items + panels - 1) / panels);
    if (share < enough) share = enough;
    if (share < rows) rows = share;
    t->mblock = (rows + t->rows - 1) / t->rows * t->rows;
}
