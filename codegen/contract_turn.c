/* Few rows times a B stored by columns: C^T = B A^T instead, so that A is transposed and not B. The
 * sums of an item stay in scratch memory and are turned back in blocks of lanes x lanes. */
#include "codegen/contract_internal.h"

typedef struct Turn {
    const Contract *c; /* as it was asked for */
    ContractPart part; /* of the turned one: i along N, j along M */
    V sums;            /* scratch [part.rows][part.width] */
} Turn;

/* The transposes that are spared, of those beside each multiply-add, are worth their while; an odd
 * vector of rows would be a tile of its own. */
bool contract_wants_turn(const Contract *c) {
    int64_t lanes = cg_lanes(c->cg, c->dt), vecs = c->m / lanes;
    bool columns = c->x.base && c->y.base && c->y.row == 1 && c->y.col != 1;
    if (!columns || c->m % lanes || c->n % lanes || vecs < 2) return false;
    if (vecs % 2 && vecs > MaxTileVecs) return false;
    double m = (double)c->m, b = (double)c->k * (double)c->n;
    double a_and_c = m * (double)(c->k + c->n);
    return 1 - a_and_c / b > m / 128;
}

static Matrix flipped(const Matrix *m) {
    Matrix f = *m;
    f.row = m->col;
    f.col = m->row;
    return f;
}

Contract contract_turned(const Contract *c) {
    Contract t = *c;
    t.turn = t.wordy = false;
    t.expect = NULL;
    t.m = c->n;
    t.n = c->m;
    t.x = flipped(&c->y);
    t.y = flipped(&c->x);
    return t;
}

/* Where sum (i, j) is. */
static V place(const Turn *t, V i, V j) {
    Cg *cg = t->c->cg;
    V row = LLVMBuildSub(cg->b, i, t->part.i0, ""), column = LLVMBuildSub(cg->b, j, t->part.j0, "");
    return cg_add(cg, cg_mul_imm(cg, row, t->part.width), column);
}

static void keep(void *data, V i, V j, V value, unsigned count) {
    const Turn *t = data;
    V lanes = cg_i64(t->c->cg, count);
    contract_put(t->c, t->sums, LLVMBuildExactSDiv(t->c->cg->b, place(t, i, j), lanes, ""), value);
}

typedef struct Block {
    const Turn *t;
    V m, n;
} Block;

static V piece(void *data, unsigned row, int from, unsigned lanes) {
    const Block *b = data;
    Cg *cg = b->t->c->cg;
    V at = place(b->t, cg_add_imm(cg, b->n, row), cg_add_imm(cg, b->m, from));
    return cg_load(cg, contract_sums(b->t->c), b->t->sums, at, lanes);
}

/* Where much follows a sum its code stands in a loop over the rows, which wait in `waiting`. */
static void store_block(const Turn *t, V m, V n, V waiting) {
    const Contract *c = t->c;
    Cg *cg = c->cg;
    unsigned lanes = c->tile.lanes;
    Block b = {t, m, n};
    V rows[MaxLanes];
    contract_transposed(c, piece, &b, true, rows);
    for (unsigned r = 0; r < lanes; r++) {
        if (waiting)
            contract_put(c, waiting, cg_i64(cg, r), rows[r]);
        else
            c->store(c->data, cg_add_imm(cg, m, r), n, rows[r], lanes);
    }
    if (!waiting) return;
    Loop l;
    V r = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, lanes), 1, NULL, 0);
    c->store(c->data, cg_add(cg, m, r), n, contract_get(c, waiting, r, lanes), lanes);
    loop_close(cg, &l, NULL);
}

void contract_turned_item(const Contract *c, V item) {
    Cg *cg = c->cg;
    int64_t lanes = c->tile.lanes;
    Contract turned = contract_turned(c);
    Turn t = {.c = c, .part = contract_part(&turned, item)};
    t.sums = contract_scratch(c, t.part.rows * t.part.width);
    turned.store = keep;
    turned.data = &t;
    contract_item(&turned, item);
    V waiting = c->wordy ? contract_scratch(c, lanes * lanes) : NULL;
    Loop along_n, along_m;
    V n = loop_open(cg, &along_n, t.part.i0, t.part.i1, lanes, NULL, 0);
    V m = loop_open(cg, &along_m, t.part.j0, t.part.j1, lanes, NULL, 0);
    store_block(&t, m, n, waiting);
    loop_close(cg, &along_m, NULL);
    loop_close(cg, &along_n, NULL);
}
