/* M = 1 or N = 1: outputs are dot products of the rows of a matrix with one vector, in the order of
 * reductions: element i of a block of SumBlock goes to lane i mod L (L = 64, f64: 32) by a fused
 * multiply-add, lanes fold by halves, block sums are added up by the same rule. */
#include "codegen/contract_internal.h"

enum {
    FewTerms = 128, /* of a sum: see group_of */
    ManyTerms = 512,
    NearElements = 1 << 13, /* of a matrix that needs no asking ahead */
    MaxSums = 64,
    ItemWork = 1 << 17,
};

/* out[o] = sum over k of matrix(o, k) * vector(k) */
typedef struct Dot {
    const Contract *c;
    int64_t outputs;
    bool along_outputs; /* vectors hold neighbouring outputs, else neighbouring k */
    unsigned lanes, sum_lanes;
    unsigned n;     /* values (scalars, or vectors of outputs) at a time */
    unsigned group; /* along outputs: lanes of the sum at a time, as far apart as can be */
    bool asks;      /* along outputs: row k + 1, which the next group reads, is asked for at k */
    unsigned valid; /* outputs of the last value */
} Dot;

/* Vectors of outputs at a time are long pieces of the matrix's rows, but every lane of a sum costs
 * a trip through scratch memory: the fewer elements it has, the more lanes are taken together. */
static unsigned group_of(int64_t k, bool many_registers) {
    if (k > ManyTerms) return 1;
    return (k < FewTerms ? 4 : 2) * (many_registers ? 2 : 1);
}

static Dot dot_of(const Contract *c) {
    Dot d = {.c = c, .outputs = c->m == 1 ? c->n : c->m, .sum_lanes = cg_sum_lanes(c->dt)};
    const Matrix *m = c->m == 1 ? &c->y : &c->x;
    int64_t by_output = c->m == 1 ? m->col : m->row, by_k = c->m == 1 ? m->row : m->col;
    d.lanes = cg_lanes(c->cg, c->dt);
    bool many = c->cg->target.registers == 32;
    unsigned most = many ? 24 : 12;
    d.along_outputs = d.outputs > 1 && m->base && by_output == 1 && by_k != 1;
    if (d.along_outputs) {
        while (d.lanes > 1 && (int64_t)d.lanes / 2 >= d.outputs) d.lanes /= 2;
        int64_t vectors = ceil_div(d.outputs, d.lanes);
        d.group = group_of(c->k, many);
        while (2 * d.group * vectors <= most) d.group *= 2;
        d.asks = c->k >= FewTerms && c->k * d.outputs > NearElements;
        d.n = (unsigned)least(most / d.group, vectors);
    } else {
        unsigned per = d.sum_lanes / d.lanes;
        d.n = (unsigned)least(most / per ? most / per : 1, d.outputs);
    }
    return d;
}

/* Outputs of one step. */
static int64_t width(const Dot *d) {
    return (int64_t)d->n * (d->along_outputs ? d->lanes : 1);
}

static V matrix_vector(const Dot *d, V o, V k, unsigned count) {
    const Contract *c = d->c;
    bool down = c->m == 1 ? !d->along_outputs : d->along_outputs;
    const Matrix *m = c->m == 1 ? &c->y : &c->x;
    V i = c->m == 1 ? k : o, j = c->m == 1 ? o : k;
    return contract_vector(c, m, i, j, down ? 0 : 1, d->lanes, count);
}

/* Asks for the line of (o, k) of the matrix, which need not exist. */
static void prefetch(const Dot *d, V o, V k) {
    const Contract *c = d->c;
    if (c->m == 1)
        contract_prefetch(c, &c->y, k, o);
    else
        contract_prefetch(c, &c->x, o, k);
}

static V vector_at(const Dot *d, V k, unsigned lanes, unsigned count) {
    const Contract *c = d->c;
    V zero = cg_i64(c->cg, 0);
    if (c->m == 1) return contract_vector(c, &c->x, zero, k, 1, lanes, count);
    return contract_vector(c, &c->y, k, zero, 0, lanes, count);
}

/* ---- vectors along k ---- */

/* `sums` vectors per output; `count` elements from k on, at most sum_lanes. */
static void step_along_k(const Dot *d, V o, V k, unsigned count, V *acc) {
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

static void block_along_k(const Dot *d, V o, V from, int64_t n, V *result) {
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
        step_along_k(d, o, k, d->sum_lanes, acc);
        loop_close(cg, &l, acc);
        copy_bytes(acc, l.phi, all * sizeof *acc);
    }
    if (n > whole) step_along_k(d, o, cg_add_imm(cg, from, whole), (unsigned)(n - whole), acc);
    for (unsigned i = 0; i < d->n; i++)
        result[i] =
            cg_fold_lanes(cg, Op_reduce_sum, d->c->dt == F64 ? F64 : F32, &acc[i * sums], sums);
}

/* ---- vectors along the outputs ---- */

static unsigned valid_of(const Dot *d, unsigned i) {
    return i + 1 < d->n ? d->lanes : d->valid;
}

static unsigned apart(const Dot *d) {
    return d->sum_lanes / d->group;
}

/* Elements k, k + apart, ... of the reduction, one per lane of the group; from `left` on nothing is
 * added. */
static void step_along_outputs(const Dot *d, V o, V k, V left, V *acc) {
    Cg *cg = d->c->cg;
    for (unsigned q = 0; q < d->group; q++) {
        V at = cg_add_imm(cg, k, q * apart(d)), there = NULL;
        if (left) {
            there = index_less(d->c, cg_i64(cg, q * apart(d)), left);
            at = LLVMBuildSelect(cg->b, there, at, cg_i64(cg, 0), "");
        }
        V y = cg_splat(cg, vector_at(d, at, 1, 1), d->lanes);
        for (unsigned i = 0; i < d->n; i++) {
            V j = cg_add_imm(cg, o, i * d->lanes), x = matrix_vector(d, j, at, valid_of(d, i));
            bool line = i * d->lanes * dtype_size(d->c->dt) % CacheLine == 0;
            if (d->asks && line) prefetch(d, j, cg_add_imm(cg, at, 1));
            V *a = &acc[i * d->group + q], next = contract_fma(d->c, x, y, *a);
            *a = there ? LLVMBuildSelect(cg->b, there, next, *a, "") : next;
        }
    }
}

/* sums[0 .. n) by halves */
static V fold(const Dot *d, V *sums, unsigned n) {
    for (n /= 2; n; n /= 2)
        for (unsigned i = 0; i < n; i++)
            sums[i] = LLVMBuildFAdd(d->c->cg->b, sums[i], sums[i + n], "");
    return sums[0];
}

/* result[i] = the fold of parts[i][0 .. n), values of `width` lanes */
static void fold_scratch(const Dot *d, V parts, unsigned n, unsigned width, V *result) {
    Cg *cg = d->c->cg;
    V sums[MaxSums];
    Loop l;
    V i = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, d->n), 1, NULL, 0);
    V first = cg_mul_imm(cg, i, n);
    for (unsigned q = 0; q < n; q++)
        sums[q] = contract_get(d->c, parts, cg_add_imm(cg, first, q), width);
    contract_put(d->c, parts, first, fold(d, sums, n));
    loop_close(cg, &l, NULL);
    for (unsigned k = 0; k < d->n; k++)
        result[k] = contract_get(d->c, parts, cg_i64(cg, (int64_t)k * n), width);
}

/* All elements [from, from + n) of the group that begins with lane g. */
static void group_sums(const Dot *d, V o, V from, int64_t n, V g, V *acc) {
    Cg *cg = d->c->cg;
    unsigned all = d->n * d->group;
    int64_t whole = n - n % d->sum_lanes;
    V first = cg_add(cg, from, g);
    for (unsigned i = 0; i < all; i++) acc[i] = contract_zero(d->c, d->lanes);
    if (whole == d->sum_lanes) {
        step_along_outputs(d, o, first, NULL, acc);
    } else if (whole) {
        Loop l;
        V end = cg_add_imm(cg, from, whole);
        V k = loop_open(cg, &l, first, end, d->sum_lanes, acc, all);
        copy_bytes(acc, l.phi, all * sizeof *acc);
        step_along_outputs(d, o, k, NULL, acc);
        loop_close(cg, &l, acc);
        copy_bytes(acc, l.phi, all * sizeof *acc);
    }
    if (n == whole) return;
    V left = LLVMBuildSub(cg->b, cg_i64(cg, n - whole), g, "");
    step_along_outputs(d, o, cg_add_imm(cg, first, whole), left, acc);
}

/* A group is one turn of a loop, so that its lanes fit in registers. They fold onto the first of
 * them. */
static void block_along_outputs(const Dot *d, V o, V from, int64_t n, V *result) {
    Cg *cg = d->c->cg;
    V acc[MaxSums], parts = contract_scratch(d->c, (int64_t)d->n * apart(d) * d->lanes);
    Loop groups;
    V g = loop_open(cg, &groups, cg_i64(cg, 0), cg_i64(cg, apart(d)), 1, NULL, 0);
    group_sums(d, o, from, n, g, acc);
    for (unsigned i = 0; i < d->n; i++) {
        V sum = fold(d, acc + i * d->group, d->group);
        contract_put(d->c, parts, cg_add_imm(cg, g, i * apart(d)), sum);
    }
    loop_close(cg, &groups, NULL);
    fold_scratch(d, parts, apart(d), d->lanes, result);
}

/* ---- blocks of blocks ---- */

static unsigned value_lanes(const Dot *d) {
    return d->along_outputs ? d->lanes : 1;
}

static void sum(const Dot *d, V o, V from, int64_t n, V *result);

/* lane[s mod L] += the sum of the elements from on */
static void sum_to_lane(const Dot *d, V o, V from, int64_t n, V lanes, V s) {
    Cg *cg = d->c->cg;
    V values[MaxSums], lane = LLVMBuildURem(cg->b, s, cg_i64(cg, d->sum_lanes), "");
    sum(d, o, from, n, values);
    for (unsigned i = 0; i < d->n; i++) {
        V at = cg_add_imm(cg, lane, i * d->sum_lanes);
        V old = contract_get(d->c, lanes, at, value_lanes(d));
        contract_put(d->c, lanes, at, LLVMBuildFAdd(cg->b, old, values[i], ""));
    }
}

static void sum(const Dot *d, V o, V from, int64_t n, V *result) {
    Cg *cg = d->c->cg;
    if (n <= SumBlock) {
        (d->along_outputs ? block_along_outputs : block_along_k)(d, o, from, n, result);
        return;
    }
    int64_t unit = SumBlock, all = (int64_t)d->n * d->sum_lanes;
    while (n / unit > SumBlock || (n / unit == SumBlock && n % unit)) unit *= SumBlock;
    V lanes = contract_scratch(d->c, all * value_lanes(d));
    Loop l;
    V i = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, all), 1, NULL, 0);
    contract_put(d->c, lanes, i, contract_zero(d->c, value_lanes(d)));
    loop_close(cg, &l, NULL);
    V s = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, n / unit), 1, NULL, 0);
    sum_to_lane(d, o, cg_add(cg, from, cg_mul_imm(cg, s, unit)), unit, lanes, s);
    loop_close(cg, &l, NULL);
    int64_t rest = n % unit;
    if (rest) sum_to_lane(d, o, cg_add_imm(cg, from, n - rest), rest, lanes, cg_i64(cg, n / unit));
    fold_scratch(d, lanes, d->sum_lanes, value_lanes(d), result);
}

/* ---- items ---- */

static void store(const Dot *d, V o, V value, unsigned count) {
    const Contract *c = d->c;
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
    for (unsigned i = 0; i < d->n; i++) {
        V at = cg_add_imm(d->c->cg, o, (int64_t)i * value_lanes(d));
        store(d, at, values[i], d->along_outputs ? valid_of(d, i) : 1);
    }
}

/* Outputs of an item: a multiple of the step. */
static int64_t per_item(const Dot *d) {
    int64_t steps = ItemWork / (width(d) * (d->c->k + 1)) + 1;
    return steps * width(d);
}

int64_t dot_items(const Contract *c) {
    Dot d = dot_of(c);
    return ceil_div(d.outputs, per_item(&d));
}

void dot_item(const Contract *c, V item) {
    Cg *cg = c->cg;
    Dot d = dot_of(c);
    int64_t step = width(&d), rest = d.outputs % step, whole = d.outputs - rest;
    V from = cg_mul_imm(cg, item, per_item(&d)), next = cg_add_imm(cg, from, per_item(&d));
    d.valid = d.lanes;
    if (whole) {
        V end = cg_i64(cg, whole);
        V to = cg_least(cg, next, end);
        Loop l;
        outputs(&d, loop_open(cg, &l, from, to, step, NULL, 0));
        loop_close(cg, &l, NULL);
    }
    if (!rest) return;
    When after = when_open(c->cg, index_less(c, cg_i64(cg, d.outputs - 1), next));
    d.n = (unsigned)(d.along_outputs ? ceil_div(rest, d.lanes) : rest);
    d.valid = (unsigned)(rest - (int64_t)(d.n - 1) * d.lanes);
    outputs(&d, cg_i64(cg, whole));
    when_close(c->cg, &after);
}
