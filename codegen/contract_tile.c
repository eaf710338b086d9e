/* The register-tiled kernel: rows x vecs vectors of accumulators stay in registers while k runs;
 * each step loads `vecs` vectors of B and broadcasts `rows` elements of A. */
#include "codegen/contract_internal.h"

enum {
    WrittenSums = 16, /* multiply-adds of a turn of a loop along K, at least */
    FewSteps = 8,     /* of K: no loop */
};

/* Columns [j, j + valid) of the result, as an item works on them: of one of its panels [first, to),
 * whose scratch begins with panel `base`'s. */
typedef struct Panel {
    V base, first, to, j;
    int64_t vecs, valid;
    V packed;     /* scratch for copies of B's columns, or NULL */
    V acc, total; /* scratch [rows of an item][vecs] where K takes several blocks, else NULL */
    V i0;         /* the item's first row */
    V k0, k1;     /* of the block */
    bool copies;  /* what it reads of B to `packed` */
} Panel;

/* Rows of the result that tiles of tile.rows cover; the last item has the others as well. */
static int64_t whole_rows(const Contract *c) {
    return c->m - c->tile.rests * c->tile.rest;
}

static int64_t items_along_m(const Contract *c) {
    return ceil_div(whole_rows(c), c->tile.mblock);
}

static int64_t rows_of_item(const Contract *c) {
    return least(c->tile.mblock + c->tile.rests * c->tile.rest, c->m);
}

/* Items along N. */
static int64_t groups(const Contract *c) {
    return ceil_div(ceil_div(c->n, c->tile.vecs * c->tile.lanes), c->tile.panels);
}

static unsigned valid_lanes(const Contract *c, const Panel *p, int64_t vec) {
    int64_t lanes = c->tile.lanes, left = p->valid - vec * lanes;
    return (unsigned)(left < lanes ? left : lanes);
}

static V column(const Contract *c, const Panel *p, int64_t vec) {
    return cg_add_imm(c->cg, p->j, vec * c->tile.lanes);
}

static V row_of_b(const Contract *c, const Panel *p, V k, int64_t vec) {
    unsigned lanes = c->tile.lanes;
    if (!p->packed)
        return contract_vector(c, &c->y, k, column(c, p, vec), 1, lanes, valid_lanes(c, p, vec));
    V row = LLVMBuildSub(c->cg->b, k, p->k0, "");
    V i = cg_add_imm(c->cg, cg_mul_imm(c->cg, row, p->vecs), vec);
    if (!p->copies) return contract_get(c, p->packed, i, lanes);
    V b = contract_row(c, k, p->j, vec, valid_lanes(c, p, vec));
    contract_put(c, p->packed, i, b);
    return b;
}

/* Where the item's whole tiles end. */
static V end_of(const Contract *c, const Panel *p) {
    Cg *cg = c->cg;
    V end = cg_i64(cg, whole_rows(c));
    if (items_along_m(c) == 1) return end;
    return cg_least(cg, cg_add_imm(cg, p->i0, c->tile.mblock), end);
}

/* For the item that has the rows left over. */
static Bb rest_open(const Contract *c, const Panel *p) {
    if (items_along_m(c) == 1) return NULL;
    V next = cg_add_imm(c->cg, p->i0, c->tile.mblock);
    return when_open(c, index_less(c, cg_i64(c->cg, whole_rows(c) - 1), next));
}

/* acc[r][v] += x[i + r][k] * y[k][j + v] */
static void step(const Contract *c, const Panel *p, V i, V k, int64_t rows, V *acc) {
    Cg *cg = c->cg;
    V b[MaxTileVecs];
    for (int64_t v = 0; v < p->vecs; v++) b[v] = row_of_b(c, p, k, v);
    for (int64_t r = 0; r < rows; r++) {
        V a = cg_splat(cg, contract_element(c, &c->x, cg_add_imm(cg, i, r), k), c->tile.lanes);
        for (int64_t v = 0; v < p->vecs; v++) {
            V *at = &acc[r * p->vecs + v];
            *at = contract_fma(c, a, b[v], *at);
        }
    }
}

/* The same for k in [from, to), a multiple of `stride` steps, so many of them in a turn. */
static void steps(const Contract *c, const Panel *p, V i, int64_t rows, V from, V to,
                  int64_t stride, V *acc) {
    unsigned n = (unsigned)(rows * p->vecs);
    Loop l;
    V k = loop_open(c->cg, &l, from, to, stride, acc, n);
    copy_bytes(acc, l.phi, n * sizeof *acc);
    for (int64_t s = 0; s < stride; s++) step(c, p, i, cg_add_imm(c->cg, k, s), rows, acc);
    loop_close(c->cg, &l, acc);
    copy_bytes(acc, l.phi, n * sizeof *acc);
}

/* The same for k in [k0, k1). A processor that shares its core with another one decodes half as
 * much: what a loop costs beside its multiply-adds is then felt. */
static void accumulate(const Contract *c, const Panel *p, V i, int64_t rows, V *acc) {
    Cg *cg = c->cg;
    int64_t stride = 1;
    while (stride * rows * p->vecs < WrittenSums && 2 * stride <= c->k) stride *= 2;
    if (c->k <= FewSteps) {
        for (int64_t k = 0; k < c->k; k++) step(c, p, i, cg_add_imm(cg, p->k0, k), rows, acc);
        return;
    }
    V length = LLVMBuildSub(cg->b, p->k1, p->k0, "");
    V rest = LLVMBuildURem(cg->b, length, cg_i64(cg, stride), "");
    V whole = LLVMBuildSub(cg->b, p->k1, rest, "");
    steps(c, p, i, rows, p->k0, whole, stride, acc);
    if (c->k % stride) steps(c, p, i, rows, whole, p->k1, 1, acc);
}

static void store_row(const Contract *c, const Panel *p, V row, const V *values) {
    for (int64_t v = 0; v < p->vecs; v++)
        c->store(c->data, row, column(c, p, v), values[v], valid_lanes(c, p, v));
}

/* The same row by row in a loop, from scratch memory. */
static void store_in_loop(const Contract *c, const Panel *p, V i, int64_t rows, const V *values) {
    Cg *cg = c->cg;
    unsigned n = (unsigned)(rows * p->vecs), lanes = c->tile.lanes;
    V results = contract_scratch(c, n * lanes), row[MaxTileVecs];
    for (unsigned a = 0; a < n; a++) contract_put(c, results, cg_i64(cg, a), values[a]);
    Loop l;
    V r = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, rows), 1, NULL, 0);
    for (int64_t v = 0; v < p->vecs; v++)
        row[v] = contract_get(c, results, cg_add_imm(cg, cg_mul_imm(cg, r, p->vecs), v), lanes);
    store_row(c, p, cg_add(cg, i, r), row);
    loop_close(cg, &l, NULL);
}

static void store(const Contract *c, const Panel *p, V i, int64_t rows, const V *values) {
    if (c->wordy && rows > 1) {
        store_in_loop(c, p, i, rows, values);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        store_row(c, p, cg_add_imm(c->cg, i, r), values + r * p->vecs);
}

/* Slot of accumulator `at` of the tile at row i. */
static V slot(const Contract *c, const Panel *p, V i, unsigned at) {
    V row = LLVMBuildSub(c->cg->b, i, p->i0, "");
    return cg_add_imm(c->cg, cg_mul_imm(c->cg, row, p->vecs), at);
}

/* Where a chunk of SumBlock ends, adds its sums to the totals, which become the sums. */
static void add_chunk(const Contract *c, const Panel *p, V i, unsigned n, V *acc) {
    Cg *cg = c->cg;
    unsigned lanes = c->tile.lanes;
    V first = index_less(c, p->k0, cg_i64(cg, SumBlock)), zero = contract_zero(c, lanes);
    for (unsigned a = 0; a < n; a++) {
        V old = contract_get(c, p->total, slot(c, p, i, a), lanes);
        old = LLVMBuildSelect(cg->b, first, zero, old, "");
        acc[a] = LLVMBuildFAdd(cg->b, old, acc[a], "");
        contract_put(c, p->total, slot(c, p, i, a), acc[a]);
    }
}

/* One block of K of a tile that takes several: sums wait in scratch memory. Chunks of SumBlock are
 * added only where there are several, as x + 0 is not x for -0. */
static void tile_block(const Contract *c, const Panel *p, V i, int64_t rows) {
    Cg *cg = c->cg;
    unsigned n = (unsigned)(rows * p->vecs), lanes = c->tile.lanes;
    V acc[MaxCarried], chunk = cg_i64(cg, SumBlock), end = cg_i64(cg, c->k), none = cg_i64(cg, 0);
    V fresh = LLVMBuildICmp(cg->b, LLVMIntEQ, LLVMBuildURem(cg->b, p->k0, chunk, ""), none, "");
    V zero = contract_zero(c, lanes);
    for (unsigned a = 0; a < n; a++) {
        V old = contract_get(c, p->acc, slot(c, p, i, a), lanes);
        acc[a] = LLVMBuildSelect(cg->b, fresh, zero, old, "");
    }
    accumulate(c, p, i, rows, acc);
    for (unsigned a = 0; a < n; a++) contract_put(c, p->acc, slot(c, p, i, a), acc[a]);
    V last = LLVMBuildICmp(cg->b, LLVMIntEQ, p->k1, end, ""), full = last;
    if (p->total) {
        V left = LLVMBuildURem(cg->b, p->k1, chunk, "");
        full = LLVMBuildOr(cg->b, LLVMBuildICmp(cg->b, LLVMIntEQ, left, none, ""), last, "");
    }
    Bb after = when_open(c, full);
    if (p->total) add_chunk(c, p, i, n, acc);
    Bb done = p->total ? when_open(c, last) : NULL;
    store(c, p, i, rows, acc);
    if (done) when_close(c, done);
    when_close(c, after);
}

static void tile(const Contract *c, const Panel *p, V i, int64_t rows) {
    if (p->acc) {
        tile_block(c, p, i, rows);
        return;
    }
    V acc[MaxCarried];
    for (int64_t a = 0; a < rows * p->vecs; a++) acc[a] = contract_zero(c, c->tile.lanes);
    accumulate(c, p, i, rows, acc);
    store(c, p, i, rows, acc);
}

/* That panel of an item. */
static Panel panel_at(const Contract *c, const Panel *item, V number) {
    Cg *cg = c->cg;
    int64_t width = c->tile.vecs * c->tile.lanes;
    Panel p = *item;
    p.j = cg_mul_imm(cg, number, width);
    if (p.packed) p.packed = contract_panel(c, p.packed, p.base, number);
    if (p.acc) {
        V n = LLVMBuildSub(cg->b, number, p.base, "");
        V at = cg_mul_imm(cg, n, rows_of_item(c) * width);
        p.acc = contract_address(c, p.acc, at);
        if (p.total) p.total = contract_address(c, p.total, at);
    }
    return p;
}

/* One tile of rows, which stays near while the panels pass. */
static void tile_of_panels(const Contract *c, const Panel *item, V i, int64_t rows) {
    Loop l;
    Panel p = panel_at(c, item, contract_panels_open(c, &l, item->first, item->to));
    tile(c, &p, i, rows);
    contract_panels_close(c, &l);
}

static V first_tile(const Contract *c, Panel item) {
    item.copies = true;
    tile_of_panels(c, &item, item.i0, c->tile.rows);
    return cg_add_imm(c->cg, item.i0, c->tile.rows);
}

static void tiles_between(const Contract *c, const Panel *item, V from, V to, int64_t rows) {
    Loop l;
    V i = loop_open(c->cg, &l, from, to, rows, NULL, 0);
    tile_of_panels(c, item, i, rows);
    loop_close(c->cg, &l, NULL);
}

/* All tiles of the rows of an item; those that M leaves over are smaller ones at the end. */
static void tiles(const Contract *c, const Panel *item) {
    Cg *cg = c->cg;
    const Tile *t = &c->tile;
    V from = t->by_first ? first_tile(c, *item) : item->i0, whole = cg_i64(cg, whole_rows(c));
    tiles_between(c, item, from, end_of(c, item), t->rows);
    if (!t->rests) return;
    Bb after = rest_open(c, item);
    if (t->rests == 1)
        tile_of_panels(c, item, whole, t->rest);
    else
        tiles_between(c, item, whole, cg_i64(cg, c->m), t->rest);
    if (after) when_close(c, after);
}

/* ---- items ---- */

/* Panels [first, to), each of `valid` columns. */
static void some_panels(const Contract *c, Panel item, V first, V to, int64_t valid) {
    item.first = first;
    item.to = to;
    item.valid = valid;
    item.vecs = ceil_div(valid, c->tile.lanes);
    if (item.packed && !c->tile.by_first) {
        V packed = contract_panel(c, item.packed, item.base, first);
        contract_pack(c, packed, item.k0, item.k1, first, to, valid);
    }
    tiles(c, &item);
}

/* All panels of the item, for its rows and the block of K from k0 on. */
static void panels(const Contract *c, const Panel *item) {
    Cg *cg = c->cg;
    int64_t width = c->tile.vecs * c->tile.lanes, whole = c->n / width, rest = c->n % width;
    V last = cg_i64(cg, whole), next = cg_add_imm(cg, item->base, c->tile.panels);
    bool all = c->tile.panels >= whole + (rest != 0);
    if (whole) {
        Bb after = all || !rest ? NULL : when_open(c, index_less(c, item->base, last));
        some_panels(c, *item, item->base, all ? last : cg_least(cg, next, last), width);
        if (after) when_close(c, after);
    }
    if (!rest) return;
    Bb after = all ? NULL : when_open(c, index_less(c, last, next));
    some_panels(c, *item, last, cg_add_imm(cg, last, 1), rest);
    if (after) when_close(c, after);
}

static bool is_dot(const Contract *c) {
    return c->m == 1 || c->n == 1;
}

int64_t contract_items(const Contract *c) {
    if (c->m == 0 || c->n == 0) return 0;
    if (is_dot(c)) return dot_items(c);
    return items_along_m(c) * groups(c);
}

void contract_item(const Contract *c, V item) {
    Cg *cg = c->cg;
    if (is_dot(c)) {
        dot_item(c, item);
        return;
    }
    const Tile *t = &c->tile;
    int64_t width = t->vecs * t->lanes, sums = rows_of_item(c) * t->panels * width;
    V n = cg_i64(cg, groups(c));
    Panel p = {.base = cg_mul_imm(cg, LLVMBuildURem(cg->b, item, n, ""), t->panels),
               .i0 = cg_mul_imm(cg, LLVMBuildUDiv(cg->b, item, n, ""), t->mblock)};
    p.k0 = cg_i64(cg, 0);
    p.k1 = cg_i64(cg, c->k);
    if (t->pack) p.packed = contract_scratch(c, t->kblock * width * t->panels);
    if (t->kblock >= c->k) {
        panels(c, &p);
        return;
    }
    p.acc = contract_scratch(c, sums);
    if (c->k > SumBlock) p.total = contract_scratch(c, sums);
    Loop l;
    V end = p.k1;
    p.k0 = loop_open(cg, &l, p.k0, end, t->kblock, NULL, 0);
    V next = cg_add_imm(cg, p.k0, t->kblock);
    p.k1 = cg_least(cg, next, end);
    panels(c, &p);
    loop_close(cg, &l, NULL);
}
