/* Loads, and scratch memory of contractions. */
#include "codegen/contract_internal.h"

DType contract_sums(const Contract *c) {
    return c->dt == F64 ? F64 : F32;
}

static T acc_vec(const Contract *c, unsigned lanes) {
    return cg_vec(cg_reg_type(c->cg, contract_sums(c)), lanes);
}

V contract_zero(const Contract *c, unsigned lanes) { return LLVMConstNull(acc_vec(c, lanes)); }

static V offset(const Contract *c, const Matrix *m, V i, V j) {
    return cg_add(c->cg, cg_mul_imm(c->cg, i, m->row), cg_mul_imm(c->cg, j, m->col));
}

V contract_element(const Contract *c, const Matrix *m, V i, V j) {
    if (!m->base) return c->element(c->data, m, i, j);
    return cg_load(c->cg, c->dt, m->base, offset(c, m, i, j), 1);
}

/* <lanes x i1> with the first `count` set. */
static V first_lanes(const Contract *c, unsigned lanes, unsigned count) {
    V bits[MaxLanes];
    for (unsigned l = 0; l < lanes; l++) bits[l] = cg_int(c->cg->i1, l < count);
    return LLVMConstVector(bits, lanes);
}

V contract_first(const Contract *c, unsigned count, V a, V b) {
    return LLVMBuildSelect(c->cg->b, first_lanes(c, cg_lanes_of(a), count), a, b, "");
}

static V masked_load(const Contract *c, V base, V at, unsigned lanes, unsigned count) {
    Cg *cg = c->cg;
    T t[2] = {acc_vec(c, lanes), cg->ptr};
    V p = LLVMBuildInBoundsGEP2(cg->b, acc_vec(c, 1), base, &at, 1, "");
    V args[4] = {p, cg_int(cg->i32, (int64_t)dtype_size(c->dt)), first_lanes(c, lanes, count),
                 LLVMConstNull(t[0])};
    return cg_call(cg, "llvm.masked.load", t, 2, args, 4);
}

V contract_vector(const Contract *c, const Matrix *m, V i, V j, int axis, unsigned lanes,
                  unsigned count) {
    Cg *cg = c->cg;
    if (lanes == 1) return contract_element(c, m, i, j);
    if (m->base && (axis == 0 ? m->row : m->col) == 1) {
        V at = offset(c, m, i, j);
        if (count == lanes) return cg_load(cg, c->dt, m->base, at, lanes);
        if (c->dt != BF16) return masked_load(c, m->base, at, lanes, count);
    }
    if (m->base && count == lanes)
        return cg_load_apart(cg, c->dt, m->base, offset(c, m, i, j), axis ? m->col : m->row, lanes);
    V v = contract_zero(c, lanes);
    for (unsigned l = 0; l < count; l++) {
        V e = contract_element(c, m, axis == 0 ? cg_add_imm(cg, i, l) : i,
                               axis == 1 ? cg_add_imm(cg, j, l) : j);
        v = LLVMBuildInsertElement(cg->b, v, e, cg_int(cg->i32, l), "");
    }
    return v;
}

void contract_prefetch(const Contract *c, const Matrix *m, V i, V j) {
    cg_prefetch(c->cg, c->dt, m->base, offset(c, m, i, j));
}

/* Of row `row` and of the one half a block below. */
static V low_halves(const Contract *c, ContractPiece *piece, void *data, unsigned row, bool near) {
    unsigned lanes = c->tile.lanes, half = lanes / 2, other = row + half;
    if (!near) return cg_joined(c->cg, piece(data, row, 0, half), piece(data, other, 0, half));
    V x = piece(data, row, 0, lanes), y = piece(data, other, -(int)half, lanes);
    return contract_first(c, half, x, y);
}

static V high_halves(const Contract *c, ContractPiece *piece, void *data, unsigned row) {
    unsigned lanes = c->tile.lanes, half = lanes / 2;
    V x = piece(data, row, (int)half, half), none = LLVMGetUndef(LLVMTypeOf(x));
    return contract_first(c, half, cg_joined(c->cg, x, none), piece(data, row + half, 0, lanes));
}

/* Where vectors have more than 128 bits, halves of two rows share one: such loads move the large
 * blocks of the transpose. To choose lanes is cheaper than to move them, so that a half is read
 * where it is wanted, in a whole row. */
void contract_transposed(const Contract *c, ContractPiece *piece, void *data, bool near,
                         V *columns) {
    unsigned lanes = c->tile.lanes, half = lanes / 2;
    bool halves = half * dtype_size(contract_sums(c)) >= 16;
    for (unsigned i = 0; i < lanes; i++) {
        if (!halves)
            columns[i] = piece(data, i, 0, lanes);
        else if (i < half)
            columns[i] = low_halves(c, piece, data, i, near);
        else
            columns[i] = high_halves(c, piece, data, i - half);
    }
    cg_transpose(c->cg, columns, lanes, halves ? half : lanes);
}

V contract_fma(const Contract *c, V x, V y, V z) {
    T t = LLVMTypeOf(z);
    return cg_call(c->cg, "llvm.fma", &t, 1, (V[]){x, y, z}, 3);
}

V contract_scratch(const Contract *c, int64_t n) {
    V p = cg_stack(c->cg, LLVMArrayType2(acc_vec(c, 1), (uint64_t)n), "");
    LLVMSetAlignment(p, 64);
    return p;
}

/* Vectors in scratch memory stand at multiples of their size. */
static unsigned alignment(const Contract *c, unsigned lanes) {
    return lanes * (unsigned)dtype_size(contract_sums(c));
}

V contract_address(const Contract *c, V scratch, V at) {
    return LLVMBuildInBoundsGEP2(c->cg->b, acc_vec(c, 1), scratch, &at, 1, "");
}

static V slot(const Contract *c, V scratch, V i, unsigned lanes) {
    return contract_address(c, scratch, cg_mul_imm(c->cg, i, lanes));
}

V contract_get(const Contract *c, V scratch, V i, unsigned lanes) {
    V v = LLVMBuildLoad2(c->cg->b, acc_vec(c, lanes), slot(c, scratch, i, lanes), "");
    LLVMSetAlignment(v, alignment(c, lanes));
    return v;
}

void contract_put(const Contract *c, V scratch, V i, V value) {
    unsigned lanes = cg_lanes_of(value);
    V st = LLVMBuildStore(c->cg->b, value, slot(c, scratch, i, lanes));
    LLVMSetAlignment(st, alignment(c, lanes));
}

V index_less(const Contract *c, V a, V b) {
    return LLVMBuildICmp(c->cg->b, LLVMIntSLT, a, b, "");
}
