/* The register-tiled kernel: rows x vecs vectors of accumulators stay in registers while k runs;
 * each step loads `vecs` vectors of B and broadcasts `rows` elements of A. */
#include "codegen/contract_internal.h"

enum {
    WrittenSums = 16, /* multiply-adds of a turn of a loop along K, at least */
    FewSteps = 16,    /* of K: no loop */
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
static When rest_open(const Contract *c, const Panel *p) {
    if (items_along_m(c) == 1) return when_open(c->cg, NULL);
    V next = cg_add_imm(c->cg, p->i0, c->tile.mblock);
    return when_open(c->cg, index_less(c, cg_i64(c->cg, whole_rows(c) - 1), next));
}

/* A tile of sums: rows [i, i + rows) of a panel. */
typedef struct Sums {
    V i;
    int64_t rows;
    V acc[MaxCarried]; /* [rows][vecs] */
    V results;         /* scratch for what a loop stores, else NULL */
} Sums;

static void store(const Contract *c, const Panel *p, V row, int64_t vec, V value) {
    c->store(c->data, row, column(c, p, vec), value, valid_lanes(c, p, vec));
}

/* In a loop over the rows what finish() has put into scratch memory. */
static void store_results(const Contract *c, const Panel *p, const Sums *s) {
    Cg *cg = c->cg;
    Loop l;
    V r = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, s->rows), 1, NULL, 0), row[MaxTileVecs];
    V first = cg_mul_imm(cg, r, p->vecs);
    for (int64_t v = 0; v < p->vecs; v++)
        row[v] = contract_get(c, s->results, cg_add_imm(cg, first, v), c->tile.lanes);
    for (int64_t v = 0; v < p->vecs; v++) store(c, p, cg_add(cg, s->i, r), v, row[v]);
    loop_close(cg, &l, NULL);
}

/* Sum a of the tile is complete. */
static void finish(const Contract *c, const Panel *p, const Sums *s, int64_t a) {
    Cg *cg = c->cg;
    if (s->results)
        contract_put(c, s->results, cg_i64(cg, a), s->acc[a]);
    else
        store(c, p, cg_add_imm(cg, s->i, a / p->vecs), a % p->vecs, s->acc[a]);
}

/* Slot of sum a of a tile in scratch memory of an item. */
static V slot(const Contract *c, const Panel *p, const Sums *s, int64_t a) {
    V row = LLVMBuildSub(c->cg->b, s->i, p->i0, "");
    return cg_add_imm(c->cg, cg_mul_imm(c->cg, row, p->vecs), a);
}

/* Sum a of the tile has all of its block of K. */
static void put(const Contract *c, const Panel *p, const Sums *s, int64_t a) {
    if (p->acc)
        contract_put(c, p->acc, slot(c, p, s, a), s->acc[a]);
    else
        finish(c, p, s, a);
}

/* acc[r][v] += x[i + r][k] * y[k][j + v]. Where k is the last one each sum is stored at once:
 * stores one after another would hold up the multiply-adds that follow. */
static void step(const Contract *c, const Panel *p, Sums *s, V k, bool last) {
    Cg *cg = c->cg;
    V b[MaxTileVecs];
    for (int64_t v = 0; v < p->vecs; v++) b[v] = row_of_b(c, p, k, v);
    for (int64_t r = 0; r < s->rows; r++) {
        V a = cg_splat(cg, contract_element(c, &c->x, cg_add_imm(cg, s->i, r), k), c->tile.lanes);
        for (int64_t v = 0; v < p->vecs; v++) {
            int64_t at = r * p->vecs + v;
            s->acc[at] = contract_fma(c, a, b[v], s->acc[at]);
            if (last) put(c, p, s, at);
        }
    }
}

/* The same for k in [from, to), a multiple of `stride` steps, so many of them in a turn. */
static void steps(const Contract *c, const Panel *p, Sums *s, V from, V to, int64_t stride) {
    unsigned n = (unsigned)(s->rows * p->vecs);
    Loop l;
    V k = loop_open(c->cg, &l, from, to, stride, s->acc, n);
    copy_bytes(s->acc, l.phi, n * sizeof *s->acc);
    for (int64_t t = 0; t < stride; t++) step(c, p, s, cg_add_imm(c->cg, k, t), false);
    loop_close(c->cg, &l, s->acc);
    copy_bytes(s->acc, l.phi, n * sizeof *s->acc);
}

/* The same for k in [k0, k1). A processor that shares its core with another one decodes half as
 * much: what a loop costs beside its multiply-adds is then felt. */
static void accumulate(const Contract *c, const Panel *p, Sums *s) {
    Cg *cg = c->cg;
    int64_t stride = 1;
    if (c->k && c->k <= FewSteps) {
        for (int64_t k = 0; k < c->k; k++) step(c, p, s, cg_add_imm(cg, p->k0, k), k == c->k - 1);
        return;
    }
    while (stride * s->rows * p->vecs < WrittenSums && 2 * stride <= c->k) stride *= 2;
    V length = LLVMBuildSub(cg->b, p->k1, p->k0, "");
    V rest = LLVMBuildURem(cg->b, length, cg_i64(cg, stride), "");
    V whole = LLVMBuildSub(cg->b, p->k1, rest, "");
    steps(c, p, s, p->k0, whole, stride);
    if (c->k % stride) steps(c, p, s, whole, p->k1, 1);
    for (int64_t a = 0; a < s->rows * p->vecs; a++) put(c, p, s, a);
}

/* Where a chunk of SumBlock ends, adds its sums to the totals, which become the sums. */
static void add_chunk(const Contract *c, const Panel *p, Sums *s) {
    Cg *cg = c->cg;
    unsigned lanes = c->tile.lanes;
    V first = index_less(c, p->k0, cg_i64(cg, SumBlock)), zero = contract_zero(c, lanes);
    for (unsigned a = 0; a < s->rows * p->vecs; a++) {
        V old = contract_get(c, p->total, slot(c, p, s, a), lanes);
        old = LLVMBuildSelect(cg->b, first, zero, old, "");
        s->acc[a] = LLVMBuildFAdd(cg->b, old, s->acc[a], "");
        contract_put(c, p->total, slot(c, p, s, a), s->acc[a]);
    }
}

/* One block of K of a tile that takes several: sums wait in scratch memory. Chunks of SumBlock are
 * added only where there are several, as x + 0 is not x for -0. */
static void tile_block(const Contract *c, const Panel *p, Sums *s) {
    Cg *cg = c->cg;
    unsigned lanes = c->tile.lanes;
    V chunk = cg_i64(cg, SumBlock), end = cg_i64(cg, c->k), none = cg_i64(cg, 0);
    V fresh = LLVMBuildICmp(cg->b, LLVMIntEQ, LLVMBuildURem(cg->b, p->k0, chunk, ""), none, "");
    for (unsigned a = 0; a < s->rows * p->vecs; a++) {
        V old = contract_get(c, p->acc, slot(c, p, s, a), lanes);
        s->acc[a] = LLVMBuildSelect(cg->b, fresh, s->acc[a], old, "");
    }
    accumulate(c, p, s);
    V last = LLVMBuildICmp(cg->b, LLVMIntEQ, p->k1, end, ""), full = last;
    if (p->total) {
        V left = LLVMBuildURem(cg->b, p->k1, chunk, "");
        full = LLVMBuildOr(cg->b, LLVMBuildICmp(cg->b, LLVMIntEQ, left, none, ""), last, "");
    }
    When whole = when_open(cg, full);
    if (p->total) add_chunk(c, p, s);
    When done = when_open(cg, p->total ? last : NULL);
    for (int64_t a = 0; a < s->rows * p->vecs; a++) finish(c, p, s, a);
    if (s->results) store_results(c, p, s);
    when_close(cg, &done);
    when_close(cg, &whole);
}

static void expect_tile_below(const Contract *c, const Panel *p, const Sums *s) {
    for (int64_t r = 0; r < s->rows; r++)
        c->expect(c->data, cg_add_imm(c->cg, s->i, s->rows + r), p->j, p->vecs * c->tile.lanes);
}

static void tile(const Contract *c, const Panel *p, V i, int64_t rows) {
    Sums s = {.i = i, .rows = rows};
    int64_t n = rows * p->vecs;
    for (int64_t a = 0; a < n; a++) s.acc[a] = contract_zero(c, c->tile.lanes);
    if (c->wordy && rows > 1) s.results = contract_scratch(c, n * c->tile.lanes);
    if (p->acc) {
        tile_block(c, p, &s);
        return;
    }
    if (c->expect) expect_tile_below(c, p, &s);
    accumulate(c, p, &s);
    if (s.results) store_results(c, p, &s);
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
    When after = rest_open(c, item);
    if (t->rests == 1)
        tile_of_panels(c, item, whole, t->rest);
    else
        tiles_between(c, item, whole, cg_i64(cg, c->m), t->rest);
    when_close(cg, &after);
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
        When after = when_open(cg, all || !rest ? NULL : index_less(c, item->base, last));
        some_panels(c, *item, item->base, all ? last : cg_least(cg, next, last), width);
        when_close(cg, &after);
    }
    if (!rest) return;
    When after = when_open(cg, all ? NULL : index_less(c, last, next));
    some_panels(c, *item, last, cg_add_imm(cg, last, 1), rest);
    when_close(cg, &after);
}

static bool is_dot(const Contract *c) {
    return c->m == 1 || c->n == 1;
}

int64_t contract_items(const Contract *c) {
    if (c->m == 0 || c->n == 0) return 0;
    if (is_dot(c)) return contract_by_rows(c) ? rows_items(c) : dot_items(c);
    if (c->turn) {
        Contract turned = contract_turned(c);
        return contract_items(&turned);
    }
    return items_along_m(c) * groups(c);
}

static Panel first_panel(const Contract *c, V item) {
    Cg *cg = c->cg;
    V n = cg_i64(cg, groups(c));
    return (Panel){
        .base = cg_mul_imm(cg, LLVMBuildURem(cg->b, item, n, ""), c->tile.panels),
        .i0 = cg_mul_imm(cg, LLVMBuildUDiv(cg->b, item, n, ""), c->tile.mblock),
    };
}

ContractPart contract_part(const Contract *c, V item) {
    Cg *cg = c->cg;
    int64_t panel = c->tile.vecs * c->tile.lanes, width = c->tile.panels * panel;
    Panel first = first_panel(c, item);
    V end = cg_i64(cg, c->m);
    ContractPart p = {.rows = rows_of_item(c), .width = width, .i0 = first.i0};
    p.j0 = cg_mul_imm(cg, first.base, panel);
    V i1 = cg_add_imm(cg, p.i0, c->tile.mblock), j1 = cg_add_imm(cg, p.j0, width);
    V last = LLVMBuildNot(cg->b, index_less(c, i1, cg_i64(cg, whole_rows(c))), "");
    p.i1 = LLVMBuildSelect(cg->b, last, end, i1, "");
    p.j1 = cg_least(cg, j1, cg_i64(cg, c->n));
    return p;
}

void contract_item(const Contract *c, V item) {
    Cg *cg = c->cg;
    if (is_dot(c)) {
        (contract_by_rows(c) ? rows_item : dot_item)(c, item);
        return;
    }
    if (c->turn) {
        contract_turned_item(c, item);
        return;
    }
    const Tile *t = &c->tile;
    int64_t width = t->vecs * t->lanes, sums = rows_of_item(c) * t->panels * width;
    Panel p = first_panel(c, item);
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
