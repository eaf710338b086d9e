/* How a contraction is tiled: a small model of the time of a tile, minimised over tile sizes. All
 * choices are free of meaning: they move no bit. */
#include "codegen/contract_internal.h"

enum {
    ItemFlops = 1 << 18,  /* an item of less work is not worth a thread's while */
    Items = 16,           /* wanted at least, so that threads have something to share */
    NearBytes = 24 << 10, /* of a panel that stays in the first cache beside rows of A */
    Page = 4096,
    Ways = 8, /* of that cache */
    PanelBytes = 288 << 10,
    ManyRows = 256, /* of an item, where sums wait in scratch memory */
    LongK = 512,
    CopiedPanels = 2,   /* at a time, as pieces of B's rows are longer then, */
    PanelItems = 4,     /* where so many items are left */
    FewRows = 64,       /* of A: their first tile copies */
    RowsTogether = 256, /* that share a copy, at least */
    ShapeCost = 40,     /* of one more shape of tile, in multiply-adds of vectors */
};

/* Of a sum. */
static int64_t size_of(const Contract *c) {
    return (int64_t)dtype_size(contract_sums(c));
}

/* Rows of A at a distance that is a large power of two fall on each other in the first cache. */
static bool rows_clash(const Contract *c) {
    int64_t bytes = c->x.row * (int64_t)dtype_size(c->dt);
    return c->x.row > c->x.col && bytes >= 2048 && bytes % 512 == 0;
}

/* A step of k of one tile: arithmetic is bound by its latency where there are few accumulators (of
 * two multiply-adds a cycle, done after up to 5 cycles, eight take as long as ten), and loads are
 * partly hidden behind it, less where they miss the first cache. */
static double tile_time(const Contract *c, int64_t rows, int64_t vecs) {
    int64_t sums = rows * vecs;
    double far = c->k * vecs * c->tile.lanes * size_of(c) > NearBytes ? 0.8 : 0.3;
    double row = rows_clash(c) ? 0.6 : 0.3;
    return (double)(sums < 9 ? 9 : sums) + 8.0 / (double)sums + row * (double)rows +
           far * (double)vecs;
}

/* What M leaves over: one tile, or two of half the rows with those of a whole tile, where one would
 * have few. */
static void split_rest(int64_t m, int64_t rows, int64_t *rest, int64_t *rests) {
    *rest = m % rows;
    *rests = *rest != 0;
    if (*rest && 2 * *rest < rows && (rows + *rest) % 2 == 0 && m >= 2 * rows) {
        *rest = (rows + *rest) / 2;
        *rests = 2;
    }
}

static double time_of(const Contract *c, int64_t rows, int64_t vecs) {
    int64_t nv = ceil_div(c->n, c->tile.lanes), m_rest, m_rests;
    split_rest(c->m, rows, &m_rest, &m_rests);
    int64_t n_rest = nv % vecs;
    double whole_m = (double)((c->m - m_rests * m_rest) / rows), whole_n = (double)(nv / vecs);
    double rests = (double)m_rests, t = whole_m * whole_n * tile_time(c, rows, vecs);
    if (m_rest) t += rests * whole_n * tile_time(c, m_rest, vecs);
    if (n_rest) t += whole_m * tile_time(c, rows, n_rest);
    if (m_rest && n_rest) t += rests * tile_time(c, m_rest, n_rest);
    /* Each shape of tile is code to generate, and to fetch. */
    double others = (m_rest != 0) + (n_rest != 0);
    return t * (1 + 0.005 * others) + ShapeCost * others / (double)(c->k + 1);
}

static int64_t most_rows(const Contract *c) {
    int64_t most = rows_clash(c) ? 8 : MaxTileRows;
    return most < c->m ? most : c->m;
}

/* The model's tiles, best first; gives how many. */
static uint32_t ranked(const Contract *c, Tile *out, uint32_t most) {
    double times[MaxTileRows * MaxTileVecs];
    uint32_t n = 0;
    /* Beside the sums, a step keeps vecs vectors of B and one of A. */
    int64_t registers = c->cg->target.registers;
    for (int64_t vecs = 1; vecs <= MaxTileVecs; vecs++) {
        for (int64_t rows = 1; rows <= most_rows(c); rows++) {
            if ((rows + 1) * vecs + 1 > registers) break;
            double t = time_of(c, rows, vecs);
            uint32_t at = n < most ? n : most;
            while (at > 0 && t < times[at - 1]) at--;
            if (at == most) continue;
            if (n < most) n++;
            for (uint32_t k = n - 1; k > at; k--) {
                times[k] = times[k - 1];
                out[k] = out[k - 1];
            }
            times[at] = t;
            out[at] = c->tile;
            out[at].rows = rows;
            out[at].vecs = vecs;
        }
    }
    return n;
}

/* Columns of B are copied for so many rows or more, which all read them, and where B is larger than
 * so many bytes. Few registers make low tiles, which read B often. It pays sooner where columns
 * fill the first cache, or do not stay there. */
static const struct Packs {
    unsigned registers;
    int64_t rows, rows_far, rows_long, bytes;
} packs[] = {{16, 48, 24, 16, 0}, {32, 128, 128, 128, 1 << 20}};

/* Whether rows of B can be read where they are. */
static bool has_rows(const Contract *c) { return c->y.base && c->y.col == 1; }

/* Rows of B stand at so many places of a page; lines at one place share the ways of the cache. */
static int64_t rows_to_pack(const Contract *c, const struct Packs *p) {
    int64_t step = (c->y.row * (int64_t)dtype_size(c->dt)) | Page;
    int64_t room = Ways * least(Page / (step & -step), Page / CacheLine);
    if (2 * c->k <= room) return INT64_MAX;
    return c->k <= room ? p->rows : c->k < LongK ? p->rows_far : p->rows_long;
}

static bool wants_pack(const Contract *c) {
    if (!has_rows(c)) return c->m > 1;
    int64_t bytes = c->k * c->y.row * (int64_t)dtype_size(c->dt);
    const struct Packs *p = &packs[c->cg->target.registers > packs[0].registers];
    return c->m >= rows_to_pack(c, p) && bytes > p->bytes;
}

static void choose_lanes(Contract *c) {
    Tile *t = &c->tile;
    t->lanes = cg_lanes(c->cg, c->dt);
    while (t->lanes > 1 && (int64_t)t->lanes / 2 >= c->n) t->lanes /= 2;
    t->pack = wants_pack(c);
}

static bool same(const Tiling *a, const Tiling *b) {
    return a->dt == b->dt && a->m == b->m && a->n == b->n && a->k == b->k &&
           a->x_row == b->x_row && a->x_col == b->x_col && a->y_row == b->y_row &&
           a->y_col == b->y_col;
}

static void note(Cg *cg, const Tiling *t) {
    for (uint32_t i = 0; i < cg->contractions.len; i++) {
        if (same(&cg->contractions.data[i], t)) return;
    }
    vec_push(cg->cx->arena, &cg->contractions, *t);
}

static void choose_tile(Contract *c) {
    Tile *t = &c->tile;
    ranked(c, t, 1);
    if (!c->x.base || !c->y.base) return;
    Tiling seen = {c->dt, c->m, c->n, c->k, c->x.row, c->x.col, c->y.row, c->y.col,
                   t->rows, t->vecs, t->pack};
    note(c->cg, &seen);
    for (uint32_t i = 0; i < c->cg->o.ntilings; i++) {
        const Tiling *known = &c->cg->o.tilings[i];
        if (!same(known, &seen)) continue;
        t->rows = known->rows < c->m ? known->rows : c->m;
        t->vecs = known->vecs;
        t->pack = known->pack || !has_rows(c);
    }
}

uint32_t contract_candidates(Cg *cg, const Tiling *t, Tiling *out, uint32_t most) {
    Contract c = {.cg = cg, .dt = t->dt, .m = t->m, .n = t->n, .k = t->k};
    c.x = (Matrix){.base = LLVMGetUndef(cg->ptr), .row = t->x_row, .col = t->x_col};
    c.y = (Matrix){.base = LLVMGetUndef(cg->ptr), .row = t->y_row, .col = t->y_col};
    choose_lanes(&c);
    Tile tiles[MaxTileRows * MaxTileVecs];
    uint32_t n = ranked(&c, tiles, has_rows(&c) ? most / 2 : most), got = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (int other = 0; other <= has_rows(&c); other++) {
            out[got] = *t;
            out[got].rows = tiles[i].rows;
            out[got].vecs = tiles[i].vecs;
            out[got++].pack = tiles[i].pack != other;
        }
    }
    return got;
}

static void plan(Contract *c) {
    Tile *t = &c->tile;
    choose_lanes(c);
    choose_tile(c);
    split_rest(c->m, t->rows, &t->rest, &t->rests);
    int64_t width = t->vecs * t->lanes, row_bytes = width * size_of(c);
    t->panels = 1;
    t->kblock = c->k <= SumBlock ? c->k : SumBlock;
    if (t->pack && t->kblock * row_bytes > PanelBytes) {
        t->kblock = SumBlock;
        while (t->kblock > 64 && t->kblock * row_bytes > PanelBytes) t->kblock /= 2;
    }
    bool rows_of_b = t->pack && has_rows(c);
    t->by_first = rows_of_b && c->m >= t->rows && c->m <= FewRows;
    bool share = rows_of_b && !t->by_first && c->n >= PanelItems * CopiedPanels * width;
    if (share && CopiedPanels * t->kblock * row_bytes <= PanelBytes) t->panels = CopiedPanels;
    int64_t rows = c->m;
    if (t->kblock < c->k && rows > ManyRows) rows = ManyRows;
    int64_t groups = ceil_div(ceil_div(c->n, width), t->panels);
    int64_t enough = ItemFlops / (2 * width * t->panels * (c->k + 1)) + 1;
    if (t->pack && enough < RowsTogether) enough = RowsTogether;
    int64_t wanted = c->m / ceil_div(Items, groups);
    if (wanted < enough) wanted = enough;
    if (wanted < rows) rows = wanted;
    t->mblock = ceil_div(rows, t->rows) * t->rows;
}

void contract_plan(Contract *c) {
    c->turn = contract_wants_turn(c);
    if (!c->turn) {
        plan(c);
        return;
    }
    Contract turned = contract_turned(c);
    plan(&turned);
    c->tile = turned.tile;
    /* Blocks of lanes x lanes are turned back, which an item has whole. */
    while (c->tile.mblock % c->tile.lanes) c->tile.mblock += c->tile.rows;
}
