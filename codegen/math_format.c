/* Constants and small builders of math_*.c. */
#include "codegen/math_internal.h"
#include "codegen/math_tables.h"

#include <math.h>

#define POLY(table) {table, LEN(table)}

#define CORES(n)                                                                                  \
    .exp_core = POLY(exp_core_##n), .log_core = POLY(log_core_##n),                                \
    .erf_core = POLY(erf_core_##n), .erf_tail = POLY(erf_tail_##n)

const Format format_f32 = {
    .bits = 32, .mant = 23, .bias = 127,
    .sqrt_half = 0x3F3504F3,
    .shift = 0x1.8p23,
    .ln2_hi = 0x1.62e4p-1, .ln2_lo = 0x1.7f7d1cp-20,
    .exp_min = -104, .exp_max = 89, .expm1_min = -20, .tanh_max = 9.25, .erf_max = 4,
    CORES(f32),
};

const Format format_f64 = {
    .bits = 64, .mant = 52, .bias = 1023,
    .sqrt_half = 0x3FE6A09E667F3BCD,
    .shift = 0x1.8p52,
    .ln2_hi = 0x1.62e42feep-1, .ln2_lo = 0x1.a39ef35793c76p-33,
    .exp_min = -746, .exp_max = 710, .expm1_min = -40, .tanh_max = 20, .erf_max = 6,
    CORES(f64),
};

const Poly pow_core = POLY(pow_core_f64), ndtr_core = POLY(ndtr_core_f64);
const Poly ndtr_short = POLY(ndtr_short_f64), exp2_short = POLY(exp2_short_f64);

LLVMTypeRef math_type_like(LLVMValueRef x, LLVMTypeRef lane) {
    LLVMTypeRef t = LLVMTypeOf(x);
    if (LLVMGetTypeKind(t) != LLVMVectorTypeKind) return lane;
    return LLVMVectorType(lane, LLVMGetVectorSize(t));
}

Math math_in(LLVMBuilderRef b, LLVMValueRef x) {
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMTypeRef lane = LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetElementType(t) : t;
    const Format *f = LLVMGetTypeKind(lane) == LLVMFloatTypeKind ? &format_f32 : &format_f64;
    LLVMTypeRef bits = LLVMIntTypeInContext(LLVMGetTypeContext(t), (unsigned)f->bits);
    return (Math){b, t, math_type_like(x, bits), f};
}

static LLVMValueRef splat(LLVMTypeRef t, LLVMValueRef c) {
    LLVMValueRef lanes[MaxLanes];
    if (LLVMGetTypeKind(t) != LLVMVectorTypeKind) return c;
    unsigned n = LLVMGetVectorSize(t);
    if (n > MaxLanes) BUG(NULL, "a vector of %u lanes", n);
    for (unsigned i = 0; i < n; i++) lanes[i] = c;
    return LLVMConstVector(lanes, n);
}

static LLVMTypeRef lane_of(LLVMTypeRef t) {
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetElementType(t) : t;
}

LLVMValueRef m_const(const Math *m, double c) {
    return splat(m->type, LLVMConstReal(lane_of(m->type), c));
}

LLVMValueRef m_int(const Math *m, uint64_t c) {
    return splat(m->itype, LLVMConstInt(lane_of(m->itype), c, false));
}

LLVMValueRef m_call(const Math *m, const char *name, const LLVMValueRef *args, unsigned n) {
    LLVMModuleRef module = LLVMGetGlobalParent(
        LLVMGetBasicBlockParent(LLVMGetInsertBlock(m->b)));
    LLVMTypeRef type = m->type;
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(module, id, &type, 1);
    LLVMTypeRef sig = LLVMIntrinsicGetType(LLVMGetTypeContext(type), id, &type, 1);
    return LLVMBuildCall2(m->b, sig, fn, (LLVMValueRef *)args, n, "");
}

/* Pairs c + d x are independent of each other: half the latency of Horner's rule. */
LLVMValueRef m_poly(const Math *m, LLVMValueRef x, Poly p) {
    LLVMValueRef square = m_mul(m, x, x), r = NULL;
    for (int k = (p.n - 1) / 2 * 2; k >= 0; k -= 2) {
        LLVMValueRef pair = m_const(m, p.c[k]);
        if (k + 1 < p.n) pair = m_fma(m, m_const(m, p.c[k + 1]), x, pair);
        r = r ? m_fma(m, r, square, pair) : pair;
    }
    return r;
}

LLVMValueRef m_horner(const Math *m, LLVMValueRef x, Poly p) {
    LLVMValueRef r = m_const(m, p.c[p.n - 1]);
    for (int k = p.n - 1; k-- > 0;) r = m_fma(m, r, x, m_const(m, p.c[k]));
    return r;
}

static LLVMValueRef exponent(const Math *m, LLVMValueRef biased) {
    return m_float(m, LLVMBuildShl(m->b, biased, m_int(m, (uint64_t)m->f->mant), ""));
}

LLVMValueRef m_power_of_2(const Math *m, LLVMValueRef k) {
    return exponent(m, LLVMBuildAdd(m->b, k, m_int(m, (uint64_t)m->f->bias), ""));
}

LLVMValueRef m_scale(const Math *m, LLVMValueRef y, LLVMValueRef k) {
    LLVMValueRef both = LLVMBuildAdd(m->b, k, m_int(m, 2 * (uint64_t)m->f->bias), "");
    LLVMValueRef half = LLVMBuildLShr(m->b, both, m_int(m, 1), "");
    LLVMValueRef rest = LLVMBuildSub(m->b, both, half, "");
    return m_mul(m, m_mul(m, y, exponent(m, half)), exponent(m, rest));
}
