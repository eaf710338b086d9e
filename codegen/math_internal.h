/* What math_*.c share: constants of the two formats and one-line builders. All arithmetic is
 * explicit: a fused multiply-add is written as such and nothing else is fused. */
#ifndef BPC_MATH_INTERNAL_H
#define BPC_MATH_INTERNAL_H

#include "base/base.h"
#include "codegen/math.h"

typedef struct Poly {
    const double *c; /* lowest first */
    int n;
} Poly;

/* A floating-point format and what depends on it. */
typedef struct Format {
    int bits, mant, bias; /* f32: 32, 23, 127 */
    uint64_t sqrt_half;   /* bits of sqrt(1/2), rounded */
    double shift;         /* 1.5 * 2^mant: x + shift has rint(x) in its low bits */
    double ln2_hi, ln2_lo; /* products of ln2_hi with an exponent are exact */
    double exp_min, exp_max;   /* beyond: exp is 0 and inf */
    double expm1_min;          /* below: -1 */
    double tanh_max, erf_max;  /* above: 1 */
    Poly exp_core, log_core, erf_core, erf_tail;
} Format;

extern const Format format_f32, format_f64;
/* In f64; *_short with as many terms as an f32 result needs. */
extern const Poly pow_core, ndtr_core, ndtr_short, exp2_short;

/* Where and in which type values are built. */
typedef struct Math {
    LLVMBuilderRef b;
    LLVMTypeRef type, itype; /* float or double, integer of equal size; or vectors of them */
    const Format *f;
} Math;

/* hi + lo, lo below half a unit in the last place of hi. */
typedef struct Pair {
    LLVMValueRef hi, lo;
} Pair;

Math math_in(LLVMBuilderRef b, LLVMValueRef x);
/* float or double, with as many lanes as x. */
LLVMTypeRef math_type_like(LLVMValueRef x, LLVMTypeRef lane);

LLVMValueRef m_const(const Math *m, double c);
LLVMValueRef m_int(const Math *m, uint64_t c);
/* llvm.NAME on operands of the type of m. */
LLVMValueRef m_call(const Math *m, const char *name, const LLVMValueRef *args, unsigned n);
LLVMValueRef m_poly(const Math *m, LLVMValueRef x, Poly p);
/* The same by Horner's rule: longer, but without the error of x^2. */
LLVMValueRef m_horner(const Math *m, LLVMValueRef x, Poly p);

static inline LLVMValueRef m_add(const Math *m, LLVMValueRef x, LLVMValueRef y) {
    return LLVMBuildFAdd(m->b, x, y, "");
}
static inline LLVMValueRef m_sub(const Math *m, LLVMValueRef x, LLVMValueRef y) {
    return LLVMBuildFSub(m->b, x, y, "");
}
static inline LLVMValueRef m_mul(const Math *m, LLVMValueRef x, LLVMValueRef y) {
    return LLVMBuildFMul(m->b, x, y, "");
}
static inline LLVMValueRef m_div(const Math *m, LLVMValueRef x, LLVMValueRef y) {
    return LLVMBuildFDiv(m->b, x, y, "");
}
static inline LLVMValueRef m_neg(const Math *m, LLVMValueRef x) {
    return LLVMBuildFNeg(m->b, x, "");
}
static inline LLVMValueRef m_fma(const Math *m, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z) {
    return m_call(m, "llvm.fma", (LLVMValueRef[]){x, y, z}, 3);
}
static inline LLVMValueRef m_abs(const Math *m, LLVMValueRef x) {
    return m_call(m, "llvm.fabs", &x, 1);
}
static inline LLVMValueRef m_copysign(const Math *m, LLVMValueRef x, LLVMValueRef sign) {
    return m_call(m, "llvm.copysign", (LLVMValueRef[]){x, sign}, 2);
}
static inline LLVMValueRef m_floor(const Math *m, LLVMValueRef x) {
    return m_call(m, "llvm.floor", &x, 1);
}
static inline LLVMValueRef m_cmp(const Math *m, LLVMRealPredicate p, LLVMValueRef x,
                                 LLVMValueRef y) {
    return LLVMBuildFCmp(m->b, p, x, y, "");
}
static inline LLVMValueRef m_select(const Math *m, LLVMValueRef c, LLVMValueRef x,
                                    LLVMValueRef y) {
    return LLVMBuildSelect(m->b, c, x, y, "");
}
static inline LLVMValueRef m_bits(const Math *m, LLVMValueRef x) {
    return LLVMBuildBitCast(m->b, x, m->itype, "");
}
static inline LLVMValueRef m_float(const Math *m, LLVMValueRef bits) {
    return LLVMBuildBitCast(m->b, bits, m->type, "");
}
/* NaN stays. */
static inline LLVMValueRef m_at_most(const Math *m, LLVMValueRef x, double c) {
    LLVMValueRef v = m_const(m, c);
    return m_select(m, m_cmp(m, LLVMRealOLT, v, x), v, x);
}
static inline LLVMValueRef m_at_least(const Math *m, LLVMValueRef x, double c) {
    LLVMValueRef v = m_const(m, c);
    return m_select(m, m_cmp(m, LLVMRealOGT, v, x), v, x);
}
/* x + y without error where |x| >= |y|. */
static inline Pair m_sum(const Math *m, LLVMValueRef x, LLVMValueRef y) {
    LLVMValueRef s = m_add(m, x, y);
    return (Pair){s, m_sub(m, y, m_sub(m, s, x))};
}
static inline Pair m_product(const Math *m, LLVMValueRef x, LLVMValueRef y) {
    LLVMValueRef p = m_mul(m, x, y);
    return (Pair){p, m_fma(m, x, y, m_neg(m, p))};
}
/* The integer k, near 0, as a float: conversions of 64-bit integers are slow on many targets. */
static inline LLVMValueRef m_whole(const Math *m, LLVMValueRef k) {
    LLVMValueRef shift = m_const(m, m->f->shift);
    return m_sub(m, m_float(m, LLVMBuildAdd(m->b, k, m_bits(m, shift), "")), shift);
}
/* 2^k for an integer k with a normal result. */
LLVMValueRef m_power_of_2(const Math *m, LLVMValueRef k);
/* y * 2^k, rounded once also where the result is subnormal or overflows; |k| <= 2 * bias. */
LLVMValueRef m_scale(const Math *m, LLVMValueRef y, LLVMValueRef k);

/* x = k ln2 + r + lo, |r| <= ln2 / 2. */
typedef struct Reduced {
    LLVMValueRef k; /* integer */
    LLVMValueRef r, lo;
} Reduced;
Reduced m_reduce(const Math *m, LLVMValueRef x);
/* exp(hi + lo), lo tiny or NULL for 0; x is clamped, NaN stays. */
LLVMValueRef m_exp(const Math *m, LLVMValueRef hi, LLVMValueRef lo);
/* The same as (1 + result) 2^k, k for m_scale. */
LLVMValueRef m_exp_parts(const Math *m, LLVMValueRef hi, LLVMValueRef lo, LLVMValueRef *k);

/* x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), for x > 0; subnormals too. */
typedef struct Split {
    LLVMValueRef k; /* a float */
    LLVMValueRef f;
} Split;
Split m_split(const Math *m, LLVMValueRef x);
/* r, but log's answer where x is 0, negative, infinite or NaN. */
LLVMValueRef m_log_special(const Math *m, LLVMValueRef x, LLVMValueRef r);

#endif
