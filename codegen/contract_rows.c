/* M = 1 or N = 1 with a matrix whose rows hold neighbouring outputs: its rows, times an element of
 * the vector each, are added up in the order of contract_dot.c.
 *
 * Row k of a block of SumBlock belongs to lane k mod L. Lanes are completed one after another, in
 * bit-reversed order, as then those that fold onto each other by halves follow each other: what is
 * complete is added to its partner at once, and sums wait at log2 L places only. Where a lane has
 * few rows, a leaf of the fold is several lanes, which fold in registers. */
#include "codegen/contract_internal.h"

enum {
    MostOutputs = 1024, /* of an item: long pieces of rows are read fast, */
    LeastOutputs = 128,
    ItemWork = 1 << 20, /* but more work than this is shared */
    MaxRows = 8,        /* at a time: more would fall on each other in the caches */
    MaxTurn = 4,        /* vectors of a turn */
};

typedef struct Rows {
    const Contract *c;
    const Matrix *m;
    unsigned lanes, sum_lanes;
    unsigned turn;   /* vectors of a cache line, MaxTurn at most */
    unsigned leaf;   /* lanes of a leaf */
    int64_t outputs; /* of the item */
    V o;             /* the first */
} Rows;

/* For vector `at` of the outputs, of which `count` exist. */
typedef void Body(const Rows *r, void *data, V at, unsigned count);

static void each_vector(const Rows *r, Body *body, void *data, unsigned turn) {
    Cg *cg = r->c->cg;
    int64_t whole = r->outputs / r->lanes, turns = whole - whole % turn;
    if (turns) {
        Loop l;
        V at = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, turns), turn, NULL, 0);
        for (unsigned i = 0; i < turn; i++) body(r, data, cg_add_imm(cg, at, i), r->lanes);
        loop_close(cg, &l, NULL);
    }
    for (int64_t at = turns; at < whole; at++) body(r, data, cg_i64(cg, at), r->lanes);
    unsigned rest = (unsigned)(r->outputs % r->lanes);
    if (rest) body(r, data, cg_i64(cg, whole), rest);
}

static int64_t room(const Rows *r) {
    return ceil_div(r->outputs, r->lanes) * r->lanes;
}

/* Place i of scratch memory of sums of all outputs. */
static V place(const Rows *r, V scratch, V i) {
    return contract_address(r->c, scratch, cg_mul_imm(r->c->cg, i, room(r)));
}

static V fold(const Rows *r, V *sums, unsigned n) {
    return cg_fold(r->c->cg, Op_reduce_sum, contract_sums(r->c), sums, n);
}

/* ---- a pass over the outputs: some rows of a leaf ---- */

typedef struct Pass {
    V k;           /* of the leaf's first lane; those of its others begin L / leaf apart */
    V before;      /* scratch: sums of the leaf's earlier passes, or NULL */
    V to;          /* scratch */
    V partner;     /* whether `to` has a sum, which these are added to; NULL: no */
    unsigned rows; /* of a lane, L apart */
    /* Of each row: its element of the vector; whether it exists, NULL: yes. */
    V x[MaxRows], there[MaxRows];
} Pass;

static V row_of(const Rows *r, V first, unsigned q, unsigned j) {
    return cg_add_imm(r->c->cg, first, q * (r->sum_lanes / r->leaf) + j * r->sum_lanes);
}

static V row_vector(const Rows *r, V k, V at, unsigned count) {
    const Contract *c = r->c;
    V o = cg_add(c->cg, r->o, cg_mul_imm(c->cg, at, r->lanes));
    if (c->m == 1) return contract_vector(c, r->m, k, o, 1, r->lanes, count);
    return contract_vector(c, r->m, o, k, 0, r->lanes, count);
}

static void pass_vector(const Rows *r, void *data, V at, unsigned count) {
    const Pass *p = data;
    Cg *cg = r->c->cg;
    V zero = contract_zero(r->c, r->lanes), sums[MaxRows];
    for (unsigned q = 0; q < r->leaf; q++) {
        sums[q] = p->before ? contract_get(r->c, p->before, at, r->lanes) : zero;
        for (unsigned j = 0; j < p->rows; j++) {
            V there = p->there[q * p->rows + j], k = row_of(r, p->k, q, j);
            if (there) k = LLVMBuildSelect(cg->b, there, k, cg_i64(cg, 0), "");
            V x = p->x[q * p->rows + j], row = row_vector(r, k, at, count);
            V next = contract_fma(r->c, x, row, sums[q]);
            sums[q] = there ? LLVMBuildSelect(cg->b, there, next, sums[q], "") : next;
        }
    }
    V sum = fold(r, sums, r->leaf);
    if (p->partner) {
        V both = LLVMBuildFAdd(cg->b, contract_get(r->c, p->to, at, r->lanes), sum, "");
        sum = LLVMBuildSelect(cg->b, p->partner, both, sum, "");
    }
    contract_put(r->c, p->to, at, sum);
}

/* `end`: of the rows, where some may be missing, else NULL. */
static void pass(const Rows *r, Pass *p, V end) {
    const Contract *c = r->c;
    Cg *cg = c->cg;
    V zero = cg_i64(cg, 0);
    for (unsigned q = 0; q < r->leaf; q++) {
        for (unsigned j = 0; j < p->rows; j++) {
            V k = row_of(r, p->k, q, j), there = NULL;
            if (end && j + 1 == p->rows) {
                there = index_less(c, k, end);
                k = LLVMBuildSelect(cg->b, there, k, zero, "");
            }
            V x = c->m == 1 ? contract_element(c, &c->x, zero, k)
                            : contract_element(c, &c->y, k, zero);
            p->x[q * p->rows + j] = cg_splat(cg, x, r->lanes);
            p->there[q * p->rows + j] = there;
        }
    }
    each_vector(r, pass_vector, p, r->turn);
}

/* ---- a block ---- */

static V bits_of(const Rows *r, const char *name, V x) {
    Cg *cg = r->c->cg;
    V args[] = {x, cg_int(cg->i1, 0)};
    return cg_call(cg, name, &cg->i64, 1, args, !strcmp(name, "llvm.cttz") ? 2 : 1);
}

/* The first lane of leaf t of n. */
static V lane_of(const Rows *r, V t, unsigned n) {
    unsigned bits = 0;
    while (1U << bits < n) bits++;
    V reversed = bits_of(r, "llvm.bitreverse", t);
    return bits ? LLVMBuildLShr(r->c->cg->b, reversed, cg_i64(r->c->cg, 64 - bits), "") : t;
}

static void add_vector(const Rows *r, void *data, V at, unsigned count) {
    V *place = data; /* to, from */
    V x = contract_get(r->c, place[0], at, r->lanes),
      y = contract_get(r->c, place[1], at, r->lanes);
    (void)count;
    contract_put(r->c, place[0], at, LLVMBuildFAdd(r->c->cg->b, x, y, ""));
}

/* An odd leaf t has been added to its partner: folds the places that this completes, one for each
 * bit of t that is set below its lowest clear one, but the first. */
static void fold_places(const Rows *r, V tree, V t, V level) {
    Cg *cg = r->c->cg;
    V one = cg_i64(cg, 1), ones = bits_of(r, "llvm.cttz", LLVMBuildNot(cg->b, t, ""));
    V count = LLVMBuildSub(cg->b, cg_most(cg, ones, one), one, "");
    Loop l;
    V q = loop_open(cg, &l, cg_i64(cg, 0), count, 1, NULL, 0);
    V from = LLVMBuildSub(cg->b, level, q, ""), to = LLVMBuildSub(cg->b, from, one, "");
    V places[2];
    places[0] = place(r, tree, to);
    places[1] = place(r, tree, from);
    each_vector(r, add_vector, places, r->turn);
    loop_close(cg, &l, NULL);
}

/* Of a leaf with more than MaxRows rows a lane: all but the last pass. Gives the scratch memory. */
static V first_passes(const Rows *r, V k, V stop) {
    Cg *cg = r->c->cg;
    int64_t step = (int64_t)MaxRows * r->sum_lanes;
    Pass p = {.k = k, .to = contract_scratch(r->c, room(r)), .rows = MaxRows};
    pass(r, &p, NULL);
    Loop l;
    p.before = p.to;
    p.k = loop_open(cg, &l, cg_add_imm(cg, k, step), stop, step, NULL, 0);
    pass(r, &p, NULL);
    loop_close(cg, &l, NULL);
    return p.to;
}

/* The sums of rows [from, from + n), at most SumBlock, in scratch memory. */
static V block(Rows r, V from, int64_t n) {
    Cg *cg = r.c->cg;
    unsigned rows = (unsigned)ceil_div(n, r.sum_lanes), levels = 1;
    unsigned before = rows ? (rows - 1) / MaxRows * MaxRows : 0;
    for (r.leaf = 1; rows && 2 * r.leaf * rows <= MaxRows;) r.leaf *= 2;
    unsigned leaves = r.sum_lanes / r.leaf;
    while (2U << levels <= leaves) levels++;
    V tree = contract_scratch(r.c, levels * room(&r));
    Loop l;
    V t = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, leaves), 1, NULL, 0);
    V first = cg_add(cg, from, lane_of(&r, t, leaves)), k = first;
    if (before) k = cg_add_imm(cg, first, (int64_t)before * r.sum_lanes);
    V level = bits_of(&r, "llvm.ctpop", LLVMBuildLShr(cg->b, t, cg_i64(cg, 1), ""));
    Pass p = {.k = k, .to = place(&r, tree, level), .rows = rows - before};
    if (before) p.before = first_passes(&r, first, k);
    p.partner = LLVMBuildTrunc(cg->b, t, cg->i1, "");
    pass(&r, &p, n % r.sum_lanes ? cg_add_imm(cg, from, n) : NULL);
    fold_places(&r, tree, t, level);
    loop_close(cg, &l, NULL);
    return tree;
}

/* ---- blocks of blocks ---- */

static V sum(const Rows *r, V from, int64_t n);

static void clear_vector(const Rows *r, void *data, V at, unsigned count) {
    (void)count;
    contract_put(r->c, *(V *)data, at, contract_zero(r->c, r->lanes));
}

/* lane[s mod L] += the sums of n rows from `from` on */
static void sum_to_lane(const Rows *r, V from, int64_t n, V lanes, V s) {
    Cg *cg = r->c->cg;
    V lane = LLVMBuildURem(cg->b, s, cg_i64(cg, r->sum_lanes), "");
    V places[2];
    places[0] = place(r, lanes, lane);
    places[1] = sum(r, from, n);
    each_vector(r, add_vector, places, 1);
}

static void fold_vector(const Rows *r, void *data, V at, unsigned count) {
    enum { Most = 64 };
    Cg *cg = r->c->cg;
    V sums[Most], lanes = *(V *)data;
    (void)count;
    for (unsigned q = 0; q < r->sum_lanes; q++)
        sums[q] = contract_get(r->c, place(r, lanes, cg_i64(cg, q)), at, r->lanes);
    contract_put(r->c, lanes, at, fold(r, sums, r->sum_lanes));
}

static V sum(const Rows *r, V from, int64_t n) {
    Cg *cg = r->c->cg;
    if (n <= SumBlock) return block(*r, from, n);
    int64_t unit = contract_unit(n), rest = n % unit;
    V lanes = contract_scratch(r->c, r->sum_lanes * room(r));
    Loop l;
    V q = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, r->sum_lanes), 1, NULL, 0);
    V to = place(r, lanes, q);
    each_vector(r, clear_vector, &to, 1);
    loop_close(cg, &l, NULL);
    V s = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, n / unit), 1, NULL, 0);
    sum_to_lane(r, cg_add(cg, from, cg_mul_imm(cg, s, unit)), unit, lanes, s);
    loop_close(cg, &l, NULL);
    if (rest) sum_to_lane(r, cg_add_imm(cg, from, n - rest), rest, lanes, cg_i64(cg, n / unit));
    each_vector(r, fold_vector, &lanes, 1);
    return lanes;
}

/* ---- items ---- */

bool contract_by_rows(const Contract *c) {
    const Matrix *m = c->m == 1 ? &c->y : &c->x;
    int64_t by_output = c->m == 1 ? m->col : m->row, by_k = c->m == 1 ? m->row : m->col;
    return c->m * c->n > 1 && m->base && by_output == 1 && by_k != 1;
}

static int64_t per_item(const Contract *c) {
    int64_t all = c->m * c->n, line = CacheLine / (int64_t)dtype_size(c->dt);
    int64_t most = least(ItemWork / (c->k + 1) + 1, MostOutputs);
    if (most < LeastOutputs) most = LeastOutputs;
    return ceil_div(ceil_div(all, ceil_div(all, most)), line) * line;
}

int64_t rows_items(const Contract *c) {
    return ceil_div(c->m * c->n, per_item(c));
}

static void store_vector(const Rows *r, void *data, V at, unsigned count) {
    Cg *cg = r->c->cg;
    V o = cg_add(cg, r->o, cg_mul_imm(cg, at, r->lanes));
    contract_store_dot(r->c, o, contract_get(r->c, *(V *)data, at, r->lanes), count);
}

static void outputs(Rows r, V o, int64_t n) {
    r.o = o;
    r.outputs = n;
    V sums = sum(&r, cg_i64(r.c->cg, 0), r.c->k);
    each_vector(&r, store_vector, &sums, 1);
}

void rows_item(const Contract *c, V item) {
    Cg *cg = c->cg;
    int64_t all = c->m * c->n, per = per_item(c), whole = all / per, rest = all % per;
    Rows r = {.c = c, .m = c->m == 1 ? &c->y : &c->x, .lanes = cg_lanes(cg, c->dt)};
    while (r.lanes > 1 && (int64_t)r.lanes / 2 >= all) r.lanes /= 2;
    r.sum_lanes = cg_sum_lanes(c->dt);
    unsigned line = CacheLine / (r.lanes * (unsigned)dtype_size(c->dt));
    r.turn = line > MaxTurn ? MaxTurn : line ? line : 1;
    V o = cg_mul_imm(cg, item, per), is_whole = index_less(c, item, cg_i64(cg, whole));
    When w = when_open(cg, whole && rest ? is_whole : NULL);
    if (whole) outputs(r, o, per);
    when_else(cg, &w);
    if (rest) outputs(r, o, rest);
    when_close(cg, &w);
}
