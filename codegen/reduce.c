/* Reductions in the order of docs/numerics.md. If the last axis is reduced, elements go round-robin
 * to 64 lanes (32 of 8 bytes), lanes fold by halves, blocks of 4096 are reduced by the same rule;
 * otherwise each output is an ascending chain in blocks of 4096, vectorised over outputs. */
#include "codegen/internal.h"

typedef struct Reduce {
    KernelCtx *k;
    const Ins *ins;
    Op op;
    DType dt, acc; /* of the operand; of accumulators: bf16 adds up in f32 */
    Val x;
    const Shape *from;
    bool reduced[MaxRank], last;
    int64_t count; /* elements per output */
    unsigned lanes, vectors;
} Reduce;

unsigned cg_sum_lanes(DType dt) {
    return dt == F64 || dt == I64 ? 32 : 64;
}

/* Lanes [n/2, n) of v are folded onto [0, n/2). */
static V fold_vector(Cg *cg, Op op, DType dt, V v) {
    for (unsigned n = cg_lanes_of(v); n > 1; n /= 2) {
        V low[MaxLanes], high[MaxLanes];
        for (unsigned i = 0; i < n / 2; i++) {
            low[i] = cg_int(cg->i32, (int)i);
            high[i] = cg_int(cg->i32, (int)(i + n / 2));
        }
        V poison = LLVMGetPoison(LLVMTypeOf(v));
        V a = LLVMBuildShuffleVector(cg->b, v, poison, LLVMConstVector(low, n / 2), "");
        V b = LLVMBuildShuffleVector(cg->b, v, poison, LLVMConstVector(high, n / 2), "");
        v = cg_combine(cg, op, dt, a, b);
    }
    return LLVMBuildExtractElement(cg->b, v, cg_int(cg->i32, 0), "");
}

V cg_fold(Cg *cg, Op op, DType dt, V *acc, unsigned n) {
    for (; n > 1; n /= 2) {
        for (unsigned i = 0; i < n / 2; i++)
            acc[i] = cg_combine(cg, op, dt, acc[i], acc[i + n / 2]);
    }
    return acc[0];
}

V cg_fold_lanes(Cg *cg, Op op, DType dt, V *acc, unsigned n) {
    return fold_vector(cg, op, dt, cg_fold(cg, op, dt, acc, n));
}

/* The operand's index for output `out` and the i-th reduced element (row-major), step between. */
static Index operand_index(const Reduce *r, const Index *out, V i, int64_t step) {
    Cg *cg = r->k->cg;
    if (r->k->flat) return index_flat(i, step);
    Index idx = {.rank = r->from->rank};
    uint32_t o = out->rank;
    bool first = true;
    for (uint32_t d = r->from->rank; d-- > 0;) {
        if (!r->reduced[d]) {
            idx.at[d] = out->at[--o];
            idx.step[d] = out->step[o];
            continue;
        }
        if (r->from->dim[d] == 1) {
            idx.at[d] = cg_i64(cg, 0);
            continue;
        }
        V n = cg_i64(cg, r->from->dim[d]);
        int64_t rest = 1;
        for (uint32_t e = 0; e < d; e++) rest *= r->reduced[e] ? r->from->dim[e] : 1;
        idx.at[d] = rest > 1 ? LLVMBuildURem(cg->b, i, n, "") : i;
        idx.step[d] = first ? step : 0;
        if (rest > 1) i = LLVMBuildUDiv(cg->b, i, n, "");
        first = false;
    }
    return idx;
}

/* `lanes` elements from the i-th on. Several reduced axes: lanes may cross a row, then one by one.
 */
static V elements(Reduce *r, const Index *out, V i, unsigned lanes) {
    KernelCtx *k = r->k;
    Cg *cg = k->cg;
    int64_t row = r->from->rank ? r->from->dim[r->from->rank - 1] : 1;
    bool together = k->flat || r->count == row || row % lanes == 0;
    if (together || lanes == 1) {
        Index idx = operand_index(r, out, i, lanes > 1);
        return cg_splat(cg, cg_eval(k, r->x, &idx, lanes), lanes);
    }
    V v = LLVMGetPoison(cg_vec(cg_reg_type(cg, r->dt), lanes));
    for (unsigned l = 0; l < lanes; l++) {
        Index idx = operand_index(r, out, cg_add_imm(cg, i, l), 0);
        v = LLVMBuildInsertElement(cg->b, v, cg_eval(k, r->x, &idx, 1), cg_int(cg->i32, (int)l),
                                   "");
    }
    return v;
}

/* A short piece in the lanes from `at` on, the identity in the others. */
static V place(Reduce *r, V piece, unsigned at) {
    Cg *cg = r->k->cg;
    unsigned w = cg_lanes_of(piece);
    V full = cg_splat(cg, cg_identity(cg, r->op, r->dt), r->lanes);
    for (unsigned l = 0; l < w; l++) {
        V x = w == 1 ? piece : LLVMBuildExtractElement(cg->b, piece, cg_int(cg->i32, (int)l), "");
        full = LLVMBuildInsertElement(cg->b, full, x, cg_int(cg->i32, (int)(at + l)), "");
    }
    return full;
}

/* Reads for one block of the lane rule: from `at` on, n elements. */
typedef V Read(void *data, V i, unsigned lanes);

static void start(const Reduce *r, V *acc) {
    Cg *cg = r->k->cg;
    for (unsigned j = 0; j < r->vectors; j++)
        acc[j] = cg_splat(cg, cg_identity(cg, r->op, r->acc), r->lanes);
}

/* The lane rule on elements [base, base + n), n <= SumBlock known now. */
static V lane_block(Reduce *r, V base, int64_t n, Read *read, void *data) {
    KernelCtx *k = r->k;
    Cg *cg = k->cg;
    V acc[64];
    start(r, acc);
    int64_t round = (int64_t)r->lanes * r->vectors, whole = n - n % round;
    if (whole) {
        Loop l;
        V i = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, whole), round, acc, r->vectors), next[64];
        k_forget(k);
        for (unsigned j = 0; j < r->vectors; j++) {
            V at = cg_add_imm(cg, cg_add(cg, base, i), (int64_t)j * r->lanes);
            next[j] = cg_combine(cg, r->op, r->acc, l.phi[j], read(data, at, r->lanes));
        }
        loop_close(cg, &l, next);
        copy_bytes(acc, l.phi, r->vectors * sizeof *acc);
    }
    k_forget(k);
    for (unsigned j = 0; whole + (int64_t)j * r->lanes < n; j++) {
        int64_t from = whole + (int64_t)j * r->lanes, left = n - from;
        if (left >= r->lanes) {
            acc[j] = cg_combine(cg, r->op, r->acc, acc[j],
                                read(data, cg_add_imm(cg, base, from), r->lanes));
            continue;
        }
        unsigned at = 0;
        V full = cg_splat(cg, cg_identity(cg, r->op, r->dt), r->lanes);
        for (unsigned w = r->lanes / 2; w; w /= 2) {
            if (left - (int64_t)at < (int64_t)w) continue;
            V piece = place(r, read(data, cg_add_imm(cg, base, from + at), w), at);
            V mask[MaxLanes];
            for (unsigned l = 0; l < r->lanes; l++) {
                bool mine = l >= at && l < at + w;
                mask[l] = cg_int(cg->i32, (int)(mine ? l : l + r->lanes));
            }
            full = LLVMBuildShuffleVector(cg->b, piece, full, LLVMConstVector(mask, r->lanes), "");
            at += w;
        }
        acc[j] = cg_combine(cg, r->op, r->acc, acc[j], full);
    }
    return cg_fold_lanes(cg, r->op, r->acc, acc, r->vectors);
}

typedef struct FromOperand {
    Reduce *r;
    const Index *out;
} FromOperand;
static V read_operand(void *data, V i, unsigned lanes) {
    FromOperand *f = data;
    return elements(f->r, f->out, i, lanes);
}

typedef struct FromArray {
    Reduce *r;
    V base;
} FromArray;
static V read_array(void *data, V i, unsigned lanes) {
    FromArray *f = data;
    return cg_load(f->r->k->cg, f->r->acc, f->base, i, lanes);
}

/* An array of block sums on the stack, made in the function's first block. */
static V stack_array(const Reduce *r, int64_t n) {
    Cg *cg = r->k->cg;
    return cg_stack(cg, LLVMArrayType2(cg_reg_type(cg, r->acc), (uint64_t)n), "sums");
}

/* Any number of elements: blocks, then the same rule on their sums. */
static V lane_rule(Reduce *r, int64_t n, Read *read, void *data) {
    Cg *cg = r->k->cg;
    if (n <= SumBlock) return lane_block(r, cg_i64(cg, 0), n, read, data);
    int64_t blocks = n / SumBlock, rest = n % SumBlock, sums = blocks + (rest != 0);
    V array = stack_array(r, sums);
    Loop l;
    V i = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, blocks), 1, NULL, 0);
    V sum = lane_block(r, cg_mul_imm(cg, i, SumBlock), SumBlock, read, data);
    cg_store(cg, r->acc, sum, array, i);
    loop_close(cg, &l, NULL);
    if (rest) {
        sum = lane_block(r, cg_i64(cg, blocks * SumBlock), rest, read, data);
        cg_store(cg, r->acc, sum, array, cg_i64(cg, blocks));
    }
    FromArray from = {r, array};
    return lane_rule(r, sums, read_array, &from);
}

/* Chains: `lanes` outputs side by side. */
static V chain_block(Reduce *r, const Index *out, V from, V to, unsigned lanes) {
    Cg *cg = r->k->cg;
    V init = cg_splat(cg, cg_identity(cg, r->op, r->acc), lanes);
    Loop l;
    V i = loop_open(cg, &l, from, to, 1, &init, 1);
    k_forget(r->k);
    Index idx = operand_index(r, out, i, 0);
    V x = cg_splat(cg, cg_eval(r->k, r->x, &idx, lanes), lanes);
    V next = cg_combine(cg, r->op, r->acc, l.phi[0], x);
    loop_close(cg, &l, &next);
    k_forget(r->k);
    return l.phi[0];
}

static V chain(Reduce *r, const Index *out, unsigned lanes) {
    Cg *cg = r->k->cg;
    V n = cg_i64(cg, r->count);
    if (r->count <= SumBlock) return chain_block(r, out, cg_i64(cg, 0), n, lanes);
    V init = cg_splat(cg, cg_identity(cg, r->op, r->acc), lanes);
    Loop l;
    V i = loop_open(cg, &l, cg_i64(cg, 0), n, SumBlock, &init, 1);
    V to = cg_add_imm(cg, i, SumBlock);
    to = cg_least(cg, to, n);
    V next = cg_combine(cg, r->op, r->acc, l.phi[0], chain_block(r, out, i, to, lanes));
    loop_close(cg, &l, &next);
    return l.phi[0];
}

static void finish(Reduce *r, const Index *out, V value, unsigned lanes) {
    KernelCtx *k = r->k;
    bool flat = k->flat;
    k->flat = false;
    k_forget(k);
    k->root = r->dt == BF16 ? cg_round_bf16(k->cg, value) : value;
    k_store_outputs(k, out, lanes);
    k->root = NULL;
    k_forget(k);
    k->flat = flat;
}

static void reduce_at(void *data, const Index *out, unsigned lanes) {
    Reduce *r = data;
    if (r->last) {
        FromOperand from = {r, out};
        finish(r, out, lane_rule(r, r->count, read_operand, &from), 1);
    } else {
        finish(r, out, chain(r, out, lanes), lanes);
    }
}

/* Chains of a short expression go side by side in several registers, so that more of each row is
 * read at a time. */
static unsigned chain_lanes(const Reduce *r) {
    const KernelCtx *k = r->k;
    enum { Registers = 8, Short = 8 };
    if (k->k->members.len > Short) return r->lanes;
    for (uint32_t i = 0; i < k->k->members.len; i++) {
        const Ins *ins = k_ins(k, k->k->members.data[i]);
        bool simple = op_info[ins->op].cls == ClsElem && op_info[ins->op].exact;
        if (!simple && ins->op != Op_broadcast && ins != r->ins) return r->lanes;
    }
    return r->lanes * Registers;
}

void cg_reduce(KernelCtx *k) {
    const Ins *ins = k_ins(k, k->k->root);
    const Shape *out = ins->type.shape;
    Reduce r = {.k = k, .ins = ins, .op = (Op)ins->op, .x = ins->args[0], .count = 1};
    r.from = k_shape(k, r.x);
    r.dt = k_ins(k, r.x)->type.dt;
    r.acc = r.dt == BF16 ? F32 : r.dt;
    k->chunks = 1;
    for (uint32_t i = 0; i < ins->attrs[0].is.n; i++) r.reduced[ins->attrs[0].is.v[i]] = true;
    for (uint32_t d = 0; d < r.from->rank; d++) r.count *= r.reduced[d] ? r.from->dim[d] : 1;
    r.last = r.from->rank && r.reduced[r.from->rank - 1];
    r.lanes = cg_lanes(k->cg, r.dt);
    r.vectors = cg_sum_lanes(r.dt) / r.lanes;
    if (!out->size) return;
    k->flat = r.last && out->size == 1 && k_is_flat(k, r.from);
    Nest n = {.k = k,
              .space = out,
              .skip = MaxRank,
              .lanes = r.last ? 1 : chain_lanes(&r),
              .work = r.from->size,
              .body = reduce_at,
              .data = &r};
    k_nest(&n);
}
