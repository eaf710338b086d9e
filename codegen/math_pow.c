/* pow(x, y) = exp(y log |x|), in f64. For f64 the logarithm is a sum of two numbers with about 68
 * good bits, because y scales its error by up to 1000. */
#include "codegen/math_internal.h"

#include <math.h>

/* (a.hi + a.lo) * (b.hi + b.lo) */
static Pair times(const Math *m, Pair a, Pair b) {
    Pair p = m_product(m, a.hi, b.hi);
    LLVMValueRef cross = m_fma(m, a.hi, b.lo, m_mul(m, a.lo, b.hi));
    return m_sum(m, p.hi, m_add(m, p.lo, cross));
}

/* a + b where |a| >= |b|. */
static Pair plus(const Math *m, Pair a, Pair b) {
    Pair s = m_sum(m, a.hi, b.hi);
    return m_sum(m, s.hi, m_add(m, s.lo, m_add(m, a.lo, b.lo)));
}

/* s = f / (2 + f) */
static Pair ratio(const Math *m, LLVMValueRef f) {
    Pair d = m_sum(m, m_const(m, 2), f);
    LLVMValueRef s = m_div(m, f, d.hi), minus_s = m_neg(m, s);
    LLVMValueRef rest = m_fma(m, minus_s, d.lo, m_fma(m, minus_s, d.hi, f));
    return (Pair){s, m_div(m, rest, d.hi)};
}

/* log x for normal or subnormal x > 0: k ln2 + 2s + s^3 (2/3 + s^2 p(s^2)) */
static Pair log_pair(const Math *m, LLVMValueRef x) {
    Split q = m_split(m, x);
    Pair s = ratio(m, q.f), z = times(m, s, s);
    LLVMValueRef two = m_const(m, 2);
    Pair third = {m_const(m, 0x1.5555555555555p-1), m_const(m, 0x1.5555555555555p-55)};
    Pair rest = {m_mul(m, z.hi, m_poly(m, z.hi, pow_core)), m_const(m, 0)};
    Pair cubic = times(m, times(m, s, z), plus(m, third, rest));
    Pair r = plus(m, (Pair){m_mul(m, two, s.hi), m_mul(m, two, s.lo)}, cubic);
    LLVMValueRef whole = m_mul(m, q.k, m_const(m, m->f->ln2_hi));
    Pair ln2 = {whole, m_mul(m, q.k, m_const(m, m->f->ln2_lo))};
    return plus(m, ln2, r);
}

static LLVMValueRef power(const Math *m, LLVMValueRef a, LLVMValueRef y, bool exact) {
    LLVMValueRef zero = m_const(m, 0), unit = m_cmp(m, LLVMRealOEQ, a, m_const(m, 1));
    if (!exact) {
        LLVMValueRef p = m_mul(m, y, math_log(m->b, a));
        return m_exp(m, m_select(m, unit, zero, p), NULL);
    }
    Pair l = log_pair(m, a);
    LLVMValueRef hi = m_mul(m, y, m_log_special(m, a, l.hi));
    LLVMValueRef lo = m_fma(m, y, l.lo, m_fma(m, y, l.hi, m_neg(m, hi)));
    LLVMValueRef finite = m_cmp(m, LLVMRealOLT, m_abs(m, hi), m_const(m, 800));
    return m_exp(m, m_select(m, unit, zero, hi), m_select(m, finite, lo, zero));
}

static LLVMValueRef pow_f64(const Math *m, LLVMValueRef x, LLVMValueRef y, bool exact) {
    LLVMBuilderRef b = m->b;
    LLVMValueRef zero = m_const(m, 0), one = m_const(m, 1), half = m_mul(m, y, m_const(m, 0.5));
    LLVMValueRef whole = m_cmp(m, LLVMRealOEQ, m_floor(m, y), y);
    LLVMValueRef odd = LLVMBuildAnd(b, whole, m_cmp(m, LLVMRealUNE, m_floor(m, half), half), "");
    LLVMValueRef r = power(m, m_abs(m, x), y, exact);
    r = m_select(m, odd, m_copysign(m, r, x), r);
    LLVMValueRef finite = m_cmp(m, LLVMRealOGT, x, m_const(m, -INFINITY));
    LLVMValueRef negative = LLVMBuildAnd(b, m_cmp(m, LLVMRealOLT, x, zero), finite, "");
    LLVMValueRef undefined = LLVMBuildAnd(b, negative, LLVMBuildNot(b, whole, ""), "");
    r = m_select(m, undefined, m_const(m, NAN), r);
    LLVMValueRef always = LLVMBuildOr(b, m_cmp(m, LLVMRealOEQ, x, one),
                                      m_cmp(m, LLVMRealOEQ, y, zero), "");
    return m_select(m, always, one, r);
}

LLVMValueRef math_pow(LLVMBuilderRef b, LLVMValueRef x, LLVMValueRef y) {
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMTypeRef wide = math_type_like(x, LLVMDoubleTypeInContext(LLVMGetTypeContext(type)));
    bool narrow = wide != type;
    if (narrow) {
        x = LLVMBuildFPExt(b, x, wide, "");
        y = LLVMBuildFPExt(b, y, wide, "");
    }
    Math m = math_in(b, x);
    LLVMValueRef r = pow_f64(&m, x, y, !narrow);
    return narrow ? LLVMBuildFPTrunc(b, r, type, "") : r;
}
