/* Copies columns of B to a panel [k][vecs * lanes], from any strides. Where B is stored by columns,
 * lanes x lanes blocks are transposed in registers. */
#include "codegen/contract_internal.h"

enum {
    /* Rows that follow are asked for before their turn: each is another page, where the processor's
     * own prefetcher begins anew. */
    Ahead = 8,
    NearRows = 1 << 10, /* bytes from one to the next */
};

typedef struct Packing {
    const Contract *c;
    V panel, k0, j;
    int64_t vecs, valid;
} Packing;

V contract_panel(const Contract *c, V panels, V first, V number) {
    V n = LLVMBuildSub(c->cg->b, number, first, "");
    int64_t size = c->tile.kblock * c->tile.vecs * c->tile.lanes;
    return contract_address(c, panels, cg_mul_imm(c->cg, n, size));
}

V contract_panels_open(const Contract *c, Loop *l, V first, V to) {
    return c->tile.panels == 1 ? first : loop_open(c->cg, l, first, to, 1, NULL, 0);
}

void contract_panels_close(const Contract *c, Loop *l) {
    if (c->tile.panels > 1) loop_close(c->cg, l, NULL);
}

/* Goes on at the panel of that number. */
static void panel_at(Packing *p, V first, V number, V base) {
    p->panel = contract_panel(p->c, base, first, number);
    p->j = cg_mul_imm(p->c->cg, number, p->c->tile.vecs * p->c->tile.lanes);
}

static unsigned valid_lanes(const Packing *p, int64_t vec) {
    int64_t lanes = p->c->tile.lanes, left = p->valid - vec * lanes;
    return (unsigned)(left < lanes ? left : lanes);
}

static void put_row(const Packing *p, V k, int64_t vec, V value) {
    Cg *cg = p->c->cg;
    V row = LLVMBuildSub(cg->b, k, p->k0, "");
    contract_put(p->c, p->panel, cg_add_imm(cg, cg_mul_imm(cg, row, p->vecs), vec), value);
}

V contract_row(const Contract *c, V k, V j, int64_t vec, unsigned valid) {
    int64_t lanes = c->tile.lanes, begin = vec * lanes * (int64_t)dtype_size(c->dt);
    V at = cg_add_imm(c->cg, j, vec * lanes);
    if (begin % CacheLine == 0) contract_prefetch(c, &c->y, cg_add_imm(c->cg, k, Ahead), at);
    return contract_vector(c, &c->y, k, at, 1, c->tile.lanes, valid);
}

static void pack_row(const Packing *p, V k) {
    for (int64_t v = 0; v < p->vecs; v++)
        put_row(p, k, v, contract_row(p->c, k, p->j, v, valid_lanes(p, v)));
}

/* A block of lanes x lanes of B as it is stored, by columns. */
typedef struct Block {
    const Packing *p;
    V k, j;
    unsigned valid; /* columns; the others become 0 */
} Block;

static V column_piece(void *data, unsigned column, int from, unsigned lanes) {
    const Block *b = data;
    const Contract *c = b->p->c;
    if (column >= b->valid) return contract_zero(c, lanes);
    V k = cg_add_imm(c->cg, b->k, from), j = cg_add_imm(c->cg, b->j, column);
    return contract_vector(c, &c->y, k, j, 0, lanes, lanes);
}

/* From row k and vector `vec` on. */
static void block(const Packing *p, V k, int64_t vec) {
    const Contract *c = p->c;
    Cg *cg = c->cg;
    unsigned lanes = c->tile.lanes;
    Block b = {p, k, cg_add_imm(cg, p->j, vec * lanes), valid_lanes(p, vec)};
    V rows[MaxLanes], slot = cg_mul_imm(cg, LLVMBuildSub(cg->b, k, p->k0, ""), p->vecs);
    bool near = c->y.col > 0 && c->y.col * (int64_t)dtype_size(c->dt) <= NearRows;
    contract_transposed(c, column_piece, &b, near, rows);
    for (unsigned i = 0; i < lanes; i++)
        contract_put(c, p->panel, cg_add_imm(cg, slot, (int64_t)i * p->vecs + vec), rows[i]);
}

/* Rows k in [from, to), a multiple of `lanes`. */
static void by_columns(const Packing *p, V from, V to) {
    Cg *cg = p->c->cg;
    Loop l;
    V k = loop_open(cg, &l, from, to, p->c->tile.lanes, NULL, 0);
    for (int64_t v = 0; v < p->vecs; v++) block(p, k, v);
    loop_close(cg, &l, NULL);
}

/* Rows k in [from, to), element by element. */
static void by_elements(const Packing *p, V from, V to) {
    const Contract *c = p->c;
    Cg *cg = c->cg;
    int64_t width = p->vecs * c->tile.lanes;
    Loop rows, columns;
    V k = loop_open(cg, &rows, from, to, 1, NULL, 0);
    V start = cg_mul_imm(cg, LLVMBuildSub(cg->b, k, p->k0, ""), width);
    V j = loop_open(cg, &columns, cg_i64(cg, 0), cg_i64(cg, p->valid), 1, NULL, 0);
    V x = contract_element(c, &c->y, k, cg_add(cg, p->j, j));
    contract_put(c, p->panel, cg_add(cg, start, j), x);
    loop_close(cg, &columns, NULL);
    for (int64_t i = p->valid; i < width; i++)
        contract_put(c, p->panel, cg_add_imm(cg, start, i), contract_zero(c, 1));
    loop_close(cg, &rows, NULL);
}

/* Row by row through all panels, as it is stored. */
static void by_rows(Packing p, V k1, V first, V to) {
    Cg *cg = p.c->cg;
    Loop rows, panels;
    V base = p.panel, k = loop_open(cg, &rows, p.k0, k1, 1, NULL, 0);
    panel_at(&p, first, contract_panels_open(p.c, &panels, first, to), base);
    pack_row(&p, k);
    contract_panels_close(p.c, &panels);
    loop_close(cg, &rows, NULL);
}

void contract_pack(const Contract *c, V panels, V k0, V k1, V first, V to, int64_t valid) {
    Cg *cg = c->cg;
    int64_t vecs = ceil_div(valid, c->tile.lanes);
    Packing p = {.c = c, .panel = panels, .k0 = k0, .vecs = vecs, .valid = valid};
    if (c->y.base && c->y.col == 1) {
        by_rows(p, k1, first, to);
        return;
    }
    Loop l;
    panel_at(&p, first, contract_panels_open(c, &l, first, to), panels);
    bool columns = c->y.base && c->y.row == 1;
    if (columns) {
        V length = LLVMBuildSub(cg->b, k1, k0, "");
        V rest = LLVMBuildURem(cg->b, length, cg_i64(cg, c->tile.lanes), "");
        V whole = LLVMBuildSub(cg->b, k1, rest, "");
        by_columns(&p, k0, whole);
        k0 = whole;
    }
    if (!columns || c->k % c->tile.lanes) by_elements(&p, k0, k1);
    contract_panels_close(c, &l);
}
