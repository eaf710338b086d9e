/* The register-tiled kernel: rows x vecs vectors of accumulators stay in registers while k runs;
 * each step loads `vecs` vectors of B and broadcasts `rows` elements of A. */
#include "codegen/contract_internal.h"

/* Columns [j, j + valid) of the result, as an item works on them. */
typedef struct Panel {
    V j;
    int64_t vecs, valid;
    V packed;         /* or NULL */
    V acc, total;     /* scratch [mblock][vecs] where K takes several blocks, else NULL */
    V i0;             /* the item's first row */
    V k0, k1;         /* of the block */
} Panel;

static bool one_block(const Contract *c) { return c->tile.kblock >= c->k; }

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
    return contract_get(c, p->packed, i, lanes);
}

/* acc[r][v] += x[i + r][k] * y[k][j + v] for k in [k0, k1) */
static void accumulate(const Contract *c, const Panel *p, V i, int64_t rows, V *acc) {
    Cg *cg = c->cg;
    unsigned n = (unsigned)(rows * p->vecs);
    Loop l;
    V k = loop_open(cg, &l, p->k0, p->k1, 1, acc, n), b[MaxTileVecs];
    for (int64_t v = 0; v < p->vecs; v++) b[v] = row_of_b(c, p, k, v);
    for (int64_t r = 0; r < rows; r++) {
        V a = contract_element(c, &c->x, cg_add_imm(cg, i, r), k);
        a = cg_splat(cg, a, c->tile.lanes);
        for (int64_t v = 0; v < p->vecs; v++) {
            unsigned at = (unsigned)(r * p->vecs + v);
            acc[at] = contract_fma(c, a, b[v], l.phi[at]);
        }
    }
    loop_close(cg, &l, acc);
    copy_bytes(acc, l.phi, n * sizeof *acc);
}

static void store(const Contract *c, const Panel *p, V i, int64_t rows, V *values) {
    for (int64_t r = 0; r < rows; r++) {
        V row = cg_add_imm(c->cg, i, r);
        for (int64_t v = 0; v < p->vecs; v++)
            c->store(c->data, row, column(c, p, v), values[r * p->vecs + v], valid_lanes(c, p, v));
    }
}

/* Slot of accumulator `at` of the tile at row i. */
static V slot(const Contract *c, const Panel *p, V i, unsigned at) {
    V row = LLVMBuildSub(c->cg->b, i, p->i0, "");
    return cg_add_imm(c->cg, cg_mul_imm(c->cg, row, p->vecs), at);
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
    V full = LLVMBuildICmp(cg->b, LLVMIntEQ, LLVMBuildURem(cg->b, p->k1, chunk, ""), none, "");
    V last = LLVMBuildICmp(cg->b, LLVMIntEQ, p->k1, end, "");
    V first = index_less(c, p->k0, chunk);
    Bb after = when_open(c, LLVMBuildOr(cg->b, full, last, ""));
    for (unsigned a = 0; a < n; a++) {
        V old = contract_get(c, p->total, slot(c, p, i, a), lanes);
        old = LLVMBuildSelect(cg->b, first, zero, old, "");
        if (c->k > SumBlock) acc[a] = LLVMBuildFAdd(cg->b, old, acc[a], "");
        contract_put(c, p->total, slot(c, p, i, a), acc[a]);
    }
    Bb done = when_open(c, last);
    store(c, p, i, rows, acc);
    when_close(c, done);
    when_close(c, after);
}

static void tile(const Contract *c, const Panel *p, V i, int64_t rows) {
    if (!one_block(c)) {
        tile_block(c, p, i, rows);
        return;
    }
    V acc[MaxCarried];
    for (int64_t a = 0; a < rows * p->vecs; a++) acc[a] = contract_zero(c, c->tile.lanes);
    accumulate(c, p, i, rows, acc);
    store(c, p, i, rows, acc);
}

/* All tiles of the rows of an item; those that M leaves over are a smaller tile at the end. */
static void tiles(const Contract *c, const Panel *p) {
    Cg *cg = c->cg;
    int64_t rows = c->tile.rows, rest = c->m % rows, whole = c->m - rest;
    V next = cg_add_imm(cg, p->i0, c->tile.mblock), to = cg_i64(cg, whole);
    bool all = c->tile.mblock >= c->m;
    if (!all) to = LLVMBuildSelect(cg->b, index_less(c, next, to), next, to, "");
    if (whole) {
        Loop l;
        V i = loop_open(cg, &l, p->i0, to, rows, NULL, 0);
        tile(c, p, i, rows);
        loop_close(cg, &l, NULL);
    }
    if (!rest) return;
    Bb after = all ? NULL : when_open(c, index_less(c, cg_i64(cg, whole), next));
    tile(c, p, cg_i64(cg, whole), rest);
    if (after) when_close(c, after);
}

static void panel(const Contract *c, V i0, V j, int64_t vecs, int64_t valid) {
    Cg *cg = c->cg;
    int64_t lanes = c->tile.lanes, mblock = c->tile.mblock < c->m ? c->tile.mblock : c->m;
    Panel p = {.j = j, .vecs = vecs, .valid = valid, .i0 = i0};
    p.k0 = cg_i64(cg, 0);
    p.k1 = cg_i64(cg, c->k);
    if (c->tile.pack) p.packed = contract_scratch(c, c->tile.kblock * vecs * lanes);
    if (one_block(c)) {
        if (p.packed) contract_pack(c, p.packed, p.k0, p.k1, j, vecs, valid);
        tiles(c, &p);
        return;
    }
    p.acc = contract_scratch(c, mblock * vecs * lanes);
    p.total = contract_scratch(c, mblock * vecs * lanes);
    Loop l;
    V end = p.k1;
    p.k0 = loop_open(cg, &l, p.k0, end, c->tile.kblock, NULL, 0);
    V next = cg_add_imm(cg, p.k0, c->tile.kblock);
    p.k1 = LLVMBuildSelect(cg->b, index_less(c, next, end), next, end, "");
    if (p.packed) contract_pack(c, p.packed, p.k0, p.k1, j, vecs, valid);
    tiles(c, &p);
    loop_close(cg, &l, NULL);
}

static bool is_dot(const Contract *c) { return c->m == 1 || c->n == 1; }

int64_t contract_items(const Contract *c) {
    if (c->m == 0 || c->n == 0) return 0;
    if (is_dot(c)) return dot_items(c);
    int64_t width = c->tile.vecs * c->tile.lanes;
    return (c->m + c->tile.mblock - 1) / c->tile.mblock * ((c->n + width - 1) / width);
}

void contract_item(const Contract *c, V item) {
    Cg *cg = c->cg;
    if (is_dot(c)) {
        dot_item(c, item);
        return;
    }
    int64_t lanes = c->tile.lanes, width = c->tile.vecs * lanes;
    int64_t whole = c->n / width, rest = c->n % width, panels = whole + (rest != 0);
    V i0 = LLVMBuildUDiv(cg->b, item, cg_i64(cg, panels), "");
    V number = LLVMBuildURem(cg->b, item, cg_i64(cg, panels), "");
    i0 = cg_mul_imm(cg, i0, c->tile.mblock);
    V j = cg_mul_imm(cg, number, width);
    Bb after = NULL;
    if (whole) {
        if (rest) after = when_open(c, index_less(c, number, cg_i64(cg, whole)));
        panel(c, i0, j, c->tile.vecs, width);
        if (rest) when_close(c, after);
    }
    if (!rest) return;
    if (whole) after = when_open(c, LLVMBuildICmp(cg->b, LLVMIntEQ, number, cg_i64(cg, whole), ""));
    panel(c, i0, cg_i64(cg, whole * width), (rest + lanes - 1) / lanes, rest);
    if (whole) when_close(c, after);
}
