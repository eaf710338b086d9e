/* Elementwise operations on registers: one emitter per EMIT column of ops.def. Arithmetic is what
 * is written: nothing is fused or reassociated. bf16 lives in float registers and is rounded after
 * every operation. */
#include "codegen/internal.h"

#include <math.h>

typedef struct Elem {
    Cg *cg;
    LLVMBuilderRef b;
    const Ins *ins;
    DType dt; /* of the data operands */
    unsigned lanes;
    V *a;
} Elem;

typedef V Emitter(const Elem *e);

static bool is_float(const Elem *e) { return dtype_is_float(e->dt); }

static V same(const Elem *e, const char *name, unsigned n) {
    T t = LLVMTypeOf(e->a[0]);
    return cg_call(e->cg, name, &t, 1, e->a, n);
}

static V number(const Elem *e, double f, int64_t i) {
    T t = cg_reg_type(e->cg, e->dt);
    return cg_splat(e->cg, is_float(e) ? LLVMConstReal(t, f) : cg_int(t, i), e->lanes);
}

static V all_true(const Elem *e) { return cg_splat(e->cg, cg_int(e->cg->i1, 1), e->lanes); }

/* ---- one operand ---- */
static V emit_neg(const Elem *e) {
    return is_float(e) ? LLVMBuildFNeg(e->b, e->a[0], "") : LLVMBuildNeg(e->b, e->a[0], "");
}
static V emit_abs(const Elem *e) {
    if (is_float(e)) return same(e, "llvm.fabs", 1);
    V less = LLVMBuildICmp(e->b, LLVMIntSLT, e->a[0], number(e, 0, 0), "");
    return LLVMBuildSelect(e->b, less, LLVMBuildNeg(e->b, e->a[0], ""), e->a[0], "");
}
/* NaN stays NaN, a zero keeps its value 0. */
static V emit_sign(const Elem *e) {
    V x = e->a[0], zero = number(e, 0, 0);
    if (!is_float(e)) {
        V up = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, x, zero, ""), number(e, 1, 1),
                               zero, "");
        return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, x, zero, ""),
                               number(e, -1, -1), up, "");
    }
    V zeroed = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOEQ, x, zero, ""), zero, x, "");
    V down = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOLT, x, zero, ""), number(e, -1, -1),
                             zeroed, "");
    return LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOGT, x, zero, ""), number(e, 1, 1),
                           down, "");
}
#define EMIT_MATH(name)                                                                            \
    static V emit_##name(const Elem *e) { return math_##name(e->b, e->a[0]); }
MATH_UNARY(EMIT_MATH)
#undef EMIT_MATH
static V emit_mul_ndtr(const Elem *e) { return math_mul_ndtr(e->b, e->a[0], e->a[1]); }
static V emit_pow(const Elem *e) { return math_pow(e->b, e->a[0], e->a[1]); }
static V emit_sqrt(const Elem *e) { return same(e, "llvm.sqrt", 1); }
static V emit_rsqrt(const Elem *e) {
    return LLVMBuildFDiv(e->b, number(e, 1, 1), same(e, "llvm.sqrt", 1), "");
}
static V emit_floor(const Elem *e) { return same(e, "llvm.floor", 1); }
static V emit_ceil(const Elem *e) { return same(e, "llvm.ceil", 1); }
static V emit_round(const Elem *e) { return same(e, "llvm.rint", 1); }
static V emit_stop_gradient(const Elem *e) { return e->a[0]; }
static V emit_opt_barrier(const Elem *e) { return e->a[0]; }
static V emit_not(const Elem *e) { return LLVMBuildXor(e->b, e->a[0], all_true(e), ""); }
static V emit_isfinite(const Elem *e) {
    V big = same(e, "llvm.fabs", 1);
    return LLVMBuildFCmp(e->b, LLVMRealOLT, big, number(e, INFINITY, 0), "");
}
static V emit_isnan(const Elem *e) {
    return LLVMBuildFCmp(e->b, LLVMRealUNO, e->a[0], e->a[0], "");
}

/* ---- two operands ---- */
static V emit_add(const Elem *e) {
    return is_float(e) ? LLVMBuildFAdd(e->b, e->a[0], e->a[1], "")
                       : LLVMBuildAdd(e->b, e->a[0], e->a[1], "");
}
static V emit_sub(const Elem *e) {
    return is_float(e) ? LLVMBuildFSub(e->b, e->a[0], e->a[1], "")
                       : LLVMBuildSub(e->b, e->a[0], e->a[1], "");
}
static V emit_mul(const Elem *e) {
    return is_float(e) ? LLVMBuildFMul(e->b, e->a[0], e->a[1], "")
                       : LLVMBuildMul(e->b, e->a[0], e->a[1], "");
}

/* The number that all lanes of y are, or 0 where that is not known. */
static int64_t constant_of(V y) {
    if (LLVMIsAConstantInt(y)) return LLVMConstIntGetSExtValue(y);
    if (!LLVMIsAConstantDataVector(y)) return 0;
    V first = LLVMGetAggregateElement(y, 0);
    for (unsigned l = 1; l < cg_lanes_of(y); l++) {
        if (LLVMGetAggregateElement(y, l) != first) return 0;
    }
    return LLVMConstIntGetSExtValue(first);
}

/* The quotient and remainder by 2^n, a constant; NULL: y is something else. */
static V power_parts(const Elem *e, V *rest) {
    int64_t n = constant_of(e->a[1]);
    if (n <= 0 || n & (n - 1)) return NULL;
    *rest = LLVMBuildAnd(e->b, e->a[0], number(e, 0, n - 1), "");
    V by = number(e, 0, __builtin_ctzll((uint64_t)n));
    return LLVMBuildAShr(e->b, e->a[0], by, "");
}

/* Rounded-down quotient and remainder, defined for all operands: x / 0 = 0, min / -1 wraps. */
static V floor_parts(const Elem *e, V *rest) {
    LLVMBuilderRef b = e->b;
    V power = power_parts(e, rest);
    if (power) return power;
    V x = e->a[0], y = e->a[1], zero = number(e, 0, 0), one = number(e, 0, 1),
      minus = number(e, 0, -1);
    V by_zero = LLVMBuildICmp(b, LLVMIntEQ, y, zero, ""),
      by_minus = LLVMBuildICmp(b, LLVMIntEQ, y, minus, "");
    V odd = LLVMBuildOr(b, by_zero, by_minus, "");
    V d = LLVMBuildSelect(b, odd, one, y, "");
    V q = LLVMBuildSDiv(b, x, d, ""), r = LLVMBuildSRem(b, x, d, "");
    V differ = LLVMBuildICmp(b, LLVMIntSLT, LLVMBuildXor(b, r, y, ""), zero, "");
    V adjust = LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntNE, r, zero, ""), differ, "");
    q = LLVMBuildSelect(b, adjust, LLVMBuildSub(b, q, one, ""), q, "");
    r = LLVMBuildSelect(b, adjust, LLVMBuildAdd(b, r, y, ""), r, "");
    q = LLVMBuildSelect(b, by_minus, LLVMBuildNeg(b, x, ""), q, "");
    *rest = LLVMBuildSelect(b, odd, zero, r, "");
    return LLVMBuildSelect(b, by_zero, zero, q, "");
}
static V emit_div(const Elem *e) {
    V rest;
    return is_float(e) ? LLVMBuildFDiv(e->b, e->a[0], e->a[1], "") : floor_parts(e, &rest);
}
static V emit_mod(const Elem *e) {
    V rest;
    if (!is_float(e)) return floor_parts(e, &rest), rest;
    T t = LLVMTypeOf(e->a[0]);
    V q = LLVMBuildFDiv(e->b, e->a[0], e->a[1], "");
    if (e->dt == BF16) q = cg_round_bf16(e->cg, q);
    q = cg_call(e->cg, "llvm.floor", &t, 1, &q, 1);
    V product = LLVMBuildFMul(e->b, q, e->a[1], "");
    if (e->dt == BF16) product = cg_round_bf16(e->cg, product);
    return LLVMBuildFSub(e->b, e->a[0], product, "");
}

static V extreme(const Elem *e, const char *name, LLVMIntPredicate first) {
    if (is_float(e)) return same(e, name, 2);
    V less = LLVMBuildICmp(e->b, first, e->a[0], e->a[1], "");
    return LLVMBuildSelect(e->b, less, e->a[0], e->a[1], "");
}
static V emit_max(const Elem *e) { return extreme(e, "llvm.maximum", LLVMIntSGT); }
static V emit_min(const Elem *e) { return extreme(e, "llvm.minimum", LLVMIntSLT); }
static V emit_and(const Elem *e) { return LLVMBuildAnd(e->b, e->a[0], e->a[1], ""); }
static V emit_or(const Elem *e) { return LLVMBuildOr(e->b, e->a[0], e->a[1], ""); }

/* bools compare as 0 and 1: unsigned. */
static V compare(const Elem *e, LLVMRealPredicate real, LLVMIntPredicate whole,
                 LLVMIntPredicate logic) {
    if (is_float(e)) return LLVMBuildFCmp(e->b, real, e->a[0], e->a[1], "");
    return LLVMBuildICmp(e->b, e->dt == BOOL ? logic : whole, e->a[0], e->a[1], "");
}
static V emit_eq(const Elem *e) { return compare(e, LLVMRealOEQ, LLVMIntEQ, LLVMIntEQ); }
static V emit_ne(const Elem *e) { return compare(e, LLVMRealUNE, LLVMIntNE, LLVMIntNE); }
static V emit_lt(const Elem *e) { return compare(e, LLVMRealOLT, LLVMIntSLT, LLVMIntULT); }
static V emit_le(const Elem *e) { return compare(e, LLVMRealOLE, LLVMIntSLE, LLVMIntULE); }
static V emit_gt(const Elem *e) { return compare(e, LLVMRealOGT, LLVMIntSGT, LLVMIntUGT); }
static V emit_ge(const Elem *e) { return compare(e, LLVMRealOGE, LLVMIntSGE, LLVMIntUGE); }
static V emit_where(const Elem *e) { return LLVMBuildSelect(e->b, e->a[0], e->a[1], e->a[2], ""); }

/* ---- random numbers: base.h's SplitMix64 ---- */
static V u64(Cg *cg, uint64_t n, unsigned lanes) {
    return cg_splat(cg, LLVMConstInt(cg->i64, n, false), lanes);
}

static V mix(Cg *cg, V z) {
    unsigned lanes = cg_lanes_of(z);
    static const struct {
        unsigned shift;
        uint64_t factor;
    } rounds[] = {{30, UINT64_C(0xBF58476D1CE4E5B9)}, {27, UINT64_C(0x94D049BB133111EB)}};
    for (size_t i = 0; i < LEN(rounds); i++) {
        z = LLVMBuildXor(cg->b, z, LLVMBuildLShr(cg->b, z, u64(cg, rounds[i].shift, lanes), ""),
                         "");
        z = LLVMBuildMul(cg->b, z, u64(cg, rounds[i].factor, lanes), "");
    }
    return LLVMBuildXor(cg->b, z, LLVMBuildLShr(cg->b, z, u64(cg, 31, lanes), ""), "");
}

static V fold_key(Cg *cg, V key, V n) {
    V golden = u64(cg, UINT64_C(0x9E3779B97F4A7C15), cg_lanes_of(n));
    return mix(cg, LLVMBuildAdd(cg->b, key, mix(cg, LLVMBuildAdd(cg->b, n, golden, "")), ""));
}
static V emit_fold(const Elem *e) { return fold_key(e->cg, e->a[0], e->a[1]); }

V cg_random(Cg *cg, DType dt, V key, int64_t stream, V index) {
    unsigned lanes = cg_lanes_of(index);
    V k = cg_splat(cg, fold_key(cg, key, cg_i64(cg, stream)), lanes);
    V i = LLVMBuildAdd(cg->b, index, u64(cg, 1, lanes), "");
    i = LLVMBuildMul(cg->b, i, u64(cg, UINT64_C(0x9E3779B97F4A7C15), lanes), "");
    V bits = mix(cg, LLVMBuildAdd(cg->b, k, i, ""));
    bool wide = dt == F64;
    bits = LLVMBuildLShr(cg->b, bits, u64(cg, wide ? 11 : 40, lanes), "");
    if (!wide) bits = LLVMBuildTrunc(cg->b, bits, cg_vec(cg->i32, lanes), "");
    T t = cg_reg_type(cg, dt);
    V x = LLVMBuildSIToFP(cg->b, bits, cg_vec(t, lanes), "");
    x = LLVMBuildFMul(cg->b, x, cg_splat(cg, LLVMConstReal(t, wide ? 0x1p-53 : 0x1p-24), lanes),
                      "");
    return dt == BF16 ? cg_round_bf16(cg, x) : x;
}

/* ---- conversions ---- */
V cg_round_bf16(Cg *cg, V x) {
    unsigned lanes = cg_lanes_of(x);
    T it = cg_vec(cg->i32, lanes), ft = LLVMTypeOf(x);
    V bits = LLVMBuildBitCast(cg->b, x, it, "");
    V odd = LLVMBuildAnd(cg->b,
                         LLVMBuildLShr(cg->b, bits, cg_splat(cg, cg_int(cg->i32, 16), lanes), ""),
                         cg_splat(cg, cg_int(cg->i32, 1), lanes), "");
    V up = LLVMBuildAdd(cg->b, bits,
                        LLVMBuildAdd(cg->b, odd, cg_splat(cg, cg_int(cg->i32, 0x7FFF), lanes), ""),
                        "");
    V quiet = LLVMBuildOr(cg->b, bits, cg_splat(cg, cg_int(cg->i32, 0x400000), lanes), "");
    V nan = LLVMBuildFCmp(cg->b, LLVMRealUNO, x, x, "");
    V r = LLVMBuildSelect(cg->b, nan, quiet, up, "");
    r = LLVMBuildAnd(cg->b, r, cg_splat(cg, LLVMConstInt(cg->i32, 0xFFFF0000u, false), lanes), "");
    return LLVMBuildBitCast(cg->b, r, ft, "");
}

static V to_float(const Elem *e, DType to) {
    T t = cg_vec(cg_reg_type(e->cg, to), e->lanes);
    V x = e->a[0];
    if (e->dt == BOOL) return LLVMBuildUIToFP(e->b, x, t, "");
    if (!is_float(e)) return LLVMBuildSIToFP(e->b, x, t, "");
    if (e->dt == F64 && to != F64) return LLVMBuildFPTrunc(e->b, x, t, "");
    if (e->dt != F64 && to == F64) return LLVMBuildFPExt(e->b, x, t, "");
    return x;
}

/* Before an i64 loses its upper half. */
static V clamp_range(const Elem *e, V x, Type to) {
    if (!to.range) return x;
    T t = cg_scalar_of(LLVMTypeOf(x));
    V low = cg_splat(e->cg, cg_int(t, 0), e->lanes),
      high = cg_splat(e->cg, cg_int(t, to.range - 1), e->lanes);
    x = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, x, low, ""), low, x, "");
    return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, x, high, ""), high, x, "");
}

static V to_int(const Elem *e, Type to) {
    T t = cg_vec(cg_reg_type(e->cg, to.dt), e->lanes);
    V x = e->a[0];
    if (is_float(e)) {
        T over[] = {t, LLVMTypeOf(x)};
        return clamp_range(e, cg_call(e->cg, "llvm.fptosi.sat", over, 2, &x, 1), to);
    }
    if (e->dt == BOOL) return clamp_range(e, LLVMBuildZExt(e->b, x, t, ""), to);
    x = clamp_range(e, x, to);
    if (e->dt == I64 && to.dt == I32) return LLVMBuildTrunc(e->b, x, t, "");
    if (e->dt == I32 && to.dt == I64) return LLVMBuildSExt(e->b, x, t, "");
    return x;
}

static V emit_cast(const Elem *e) {
    Type to = e->ins->type;
    if (to.dt == BOOL) {
        V zero = number(e, 0, 0);
        if (is_float(e)) return LLVMBuildFCmp(e->b, LLVMRealUNE, e->a[0], zero, "");
        return e->dt == BOOL ? e->a[0] : LLVMBuildICmp(e->b, LLVMIntNE, e->a[0], zero, "");
    }
    return dtype_is_float(to.dt) ? to_float(e, to.dt) : to_int(e, to);
}

static V emit_none(const Elem *e) {
    bug_at(e->cg->cx, e->ins->loc, "%s has no emitter", op_info[e->ins->op].name);
}

#define NAMED(id) emit_##id
#define EMITTER(id) NAMED(id)
static Emitter *const emitters[OpCount] = {
#define OP(name, cls, args, attrs, infer, floats, ints, emit, ...) [Op_##name] = EMITTER(emit),
#include "ir/ops.def"
};

V cg_elem(Cg *cg, const Ins *ins, DType operand, V *args) {
    Elem e = {
        .cg = cg, .b = cg->b, .ins = ins, .dt = operand, .a = args, .lanes = cg_lanes_of(args[0])};
    V r = emitters[ins->op](&e);
    bool exact = ins->op == Op_where || ins->op == Op_neg || ins->op == Op_stop_gradient ||
                 ins->op == Op_opt_barrier;
    return ins->type.dt == BF16 && !exact ? cg_round_bf16(cg, r) : r;
}

V cg_const(Cg *cg, Type t, Num n, unsigned lanes) {
    T reg = cg_reg_type(cg, t.dt);
    return cg_splat(cg, dtype_is_float(t.dt) ? LLVMConstReal(reg, n.f) : cg_int(reg, n.i), lanes);
}

/* ---- reductions ---- */
static const struct {
    Op op, combine;
    double start;
    int64_t istart32, istart64;
} reductions[] = {
    {Op_reduce_sum, Op_add, 0, 0, 0},
    {Op_reduce_prod, Op_mul, 1, 1, 1},
    {Op_reduce_max, Op_max, -INFINITY, INT32_MIN, INT64_MIN},
    {Op_reduce_min, Op_min, INFINITY, INT32_MAX, INT64_MAX},
};

static size_t reduction(Cg *cg, Op op) {
    for (size_t i = 0; i < LEN(reductions); i++) {
        if (reductions[i].op == op) return i;
    }
    BUG(cg->cx, "%s is no reduction", op_info[op].name);
}

V cg_identity(Cg *cg, Op op, DType dt) {
    size_t i = reduction(cg, op);
    T t = cg_reg_type(cg, dt);
    if (dtype_is_float(dt)) return LLVMConstReal(t, reductions[i].start);
    return cg_int(t, dt == I64 ? reductions[i].istart64 : reductions[i].istart32);
}

V cg_combine(Cg *cg, Op op, DType dt, V a, V b) {
    V args[] = {a, b};
    Elem e = {
        .cg = cg, .b = cg->b, .dt = dt == BF16 ? F32 : dt, .a = args, .lanes = cg_lanes_of(a)};
    return emitters[reductions[reduction(cg, op)].combine](&e);
}
