/* M = 1 or N = 1: outputs are dot products of the rows of a matrix with one vector, in the order of
 * reductions: element i of a block of SumBlock goes to lane i mod L (L = 64, f64: 32) by a fused
 * multiply-add, lanes fold by halves, block sums are added up by the same rule. Here vectors run
 * along k; contract_rows.c has the others. */
#include "codegen/contract_internal.h"

enum {
    MaxSums = 64,
    ItemWork = 1 << 17,
};

/* out[o] = sum over k of matrix(o, k) * vector(k) */
typedef struct Dot {
    const Contract *c;
    int64_t outputs;
    unsigned lanes, sum_lanes;
    unsigned n; /* outputs at a time */
} Dot;

static Dot dot_of(const Contract *c) {
    Dot d = {.c = c, .outputs = c->m * c->n, .sum_lanes = cg_sum_lanes(c->dt)};
    d.lanes = cg_lanes(c->cg, c->dt);
    unsigned most = c->cg->target.registers == 32 ? 24 : 12, per = d.sum_lanes / d.lanes;
    d.n = (unsigned)least(most / per ? most / per : 1, d.outputs);
    return d;
}

static V matrix_vector(const Dot *d, V o, V k, unsigned count) {
    const Contract *c = d->c;
    if (c->m == 1) return contract_vector(c, &c->y, k, o, 0, d->lanes, count);
    return contract_vector(c, &c->x, o, k, 1, d->lanes, count);
}

static V vector_at(const Dot *d, V k, unsigned lanes, unsigned count) {
    const Contract *c = d->c;
    V zero = cg_i64(c->cg, 0);
    if (c->m == 1) return contract_vector(c, &c->x, zero, k, 1, lanes, count);
    return contract_vector(c, &c->y, k, zero, 0, lanes, count);
}

/* `sums` vectors per output; `count` elements from k on, at most sum_lanes. */
static void step(const Dot *d, V o, V k, unsigned count, V *acc) {
    Cg *cg = d->c->cg;
    unsigned sums = d->sum_lanes / d->lanes;
    for (unsigned s = 0; s < sums && s * d->lanes < count; s++) {
        unsigned valid = (unsigned)least(d->lanes, count - s * d->lanes);
        V at = cg_add_imm(cg, k, s * d->lanes), y = vector_at(d, at, d->lanes, valid);
        for (unsigned i = 0; i < d->n; i++) {
            V x = matrix_vector(d, cg_add_imm(cg, o, i), at, valid);
            V *a = &acc[i * sums + s], next = contract_fma(d->c, x, y, *a);
            *a = valid == d->lanes ? next : contract_first(d->c, valid, next, *a);
        }
    }
}

static void block(const Dot *d, V o, V from, int64_t n, V *result) {
    Cg *cg = d->c->cg;
    unsigned sums = d->sum_lanes / d->lanes, all = d->n * sums;
    int64_t whole = n - n % d->sum_lanes;
    V acc[MaxSums];
    for (unsigned i = 0; i < all; i++) acc[i] = contract_zero(d->c, d->lanes);
    if (whole) {
        Loop l;
        V end = cg_add_imm(cg, from, whole);
        V k = loop_open(cg, &l, from, end, d->sum_lanes, acc, all);
        copy_bytes(acc, l.phi, all * sizeof *acc);
        step(d, o, k, d->sum_lanes, acc);
        loop_close(cg, &l, acc);
        copy_bytes(acc, l.phi, all * sizeof *acc);
    }
    if (n > whole) step(d, o, cg_add_imm(cg, from, whole), (unsigned)(n - whole), acc);
    for (unsigned i = 0; i < d->n; i++)
        result[i] = cg_fold_lanes(cg, Op_reduce_sum, contract_sums(d->c), &acc[i * sums], sums);
}

/* ---- blocks of blocks ---- */

static void sum(const Dot *d, V o, V from, int64_t n, V *result);

/* lane[s mod L] += the sum of the elements from on */
static void sum_to_lane(const Dot *d, V o, V from, int64_t n, V lanes, V s) {
    Cg *cg = d->c->cg;
    V values[MaxSums], lane = LLVMBuildURem(cg->b, s, cg_i64(cg, d->sum_lanes), "");
    sum(d, o, from, n, values);
    for (unsigned i = 0; i < d->n; i++) {
        V at = cg_add_imm(cg, lane, i * d->sum_lanes);
        V old = contract_get(d->c, lanes, at, 1);
        contract_put(d->c, lanes, at, LLVMBuildFAdd(cg->b, old, values[i], ""));
    }
}

/* result[i] = the fold of lanes[i][0 .. L) */
static void fold_scratch(const Dot *d, V lanes, V *result) {
    const Contract *c = d->c;
    unsigned sums = d->sum_lanes / d->lanes;
    V acc[MaxSums];
    for (unsigned i = 0; i < d->n; i++) {
        for (unsigned s = 0; s < sums; s++)
            acc[s] = contract_get(c, lanes, cg_i64(c->cg, (int64_t)i * sums + s), d->lanes);
        result[i] = cg_fold_lanes(c->cg, Op_reduce_sum, contract_sums(c), acc, sums);
    }
}

int64_t contract_unit(int64_t n) {
    int64_t unit = SumBlock;
    while (n / unit > SumBlock || (n / unit == SumBlock && n % unit)) unit *= SumBlock;
    return unit;
}

static void sum(const Dot *d, V o, V from, int64_t n, V *result) {
    Cg *cg = d->c->cg;
    if (n <= SumBlock) {
        block(d, o, from, n, result);
        return;
    }
    int64_t unit = contract_unit(n), rest = n % unit, all = (int64_t)d->n * d->sum_lanes;
    V lanes = contract_scratch(d->c, all);
    Loop l;
    V i = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, all), 1, NULL, 0);
    contract_put(d->c, lanes, i, contract_zero(d->c, 1));
    loop_close(cg, &l, NULL);
    V s = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, n / unit), 1, NULL, 0);
    sum_to_lane(d, o, cg_add(cg, from, cg_mul_imm(cg, s, unit)), unit, lanes, s);
    loop_close(cg, &l, NULL);
    if (rest) sum_to_lane(d, o, cg_add_imm(cg, from, n - rest), rest, lanes, cg_i64(cg, n / unit));
    fold_scratch(d, lanes, result);
}

/* ---- items ---- */

void contract_store_dot(const Contract *c, V o, V value, unsigned count) {
    V zero = cg_i64(c->cg, 0);
    if (c->m == 1) {
        c->store(c->data, zero, o, value, count);
        return;
    }
    for (unsigned l = 0; l < count; l++) {
        V one = cg_lanes_of(value) == 1
                    ? value
                    : LLVMBuildExtractElement(c->cg->b, value, cg_int(c->cg->i32, l), "");
        c->store(c->data, cg_add_imm(c->cg, o, l), zero, one, 1);
    }
}

static void outputs(const Dot *d, V o) {
    V values[MaxSums];
    sum(d, o, cg_i64(d->c->cg, 0), d->c->k, values);
    for (unsigned i = 0; i < d->n; i++)
        contract_store_dot(d->c, cg_add_imm(d->c->cg, o, i), values[i], 1);
}

/* Outputs of an item: a multiple of the step. */
static int64_t per_item(const Dot *d) {
    int64_t steps = ItemWork / (d->n * (d->c->k + 1)) + 1;
    return steps * d->n;
}

int64_t dot_items(const Contract *c) {
    Dot d = dot_of(c);
    return ceil_div(d.outputs, per_item(&d));
}

void dot_item(const Contract *c, V item) {
    Cg *cg = c->cg;
    Dot d = dot_of(c);
    int64_t rest = d.outputs % d.n, whole = d.outputs - rest;
    V from = cg_mul_imm(cg, item, per_item(&d)), next = cg_add_imm(cg, from, per_item(&d));
    if (whole) {
        V end = cg_i64(cg, whole);
        V to = cg_least(cg, next, end);
        Loop l;
        outputs(&d, loop_open(cg, &l, from, to, d.n, NULL, 0));
        loop_close(cg, &l, NULL);
    }
    if (!rest) return;
    When last = when_open(cg, index_less(c, cg_i64(cg, d.outputs - 1), next));
    d.n = (unsigned)rest;
    outputs(&d, cg_i64(cg, whole));
    when_close(cg, &last);
}
