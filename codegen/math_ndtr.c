/* a Phi(x), Phi the normal distribution function. Phi(-z) = exp(-z^2 / 2) q(u) / (z + 5) with
 * u = (z - 5) / (z + 5) for z >= 0, and Phi(z) = 1 - Phi(-z). What f64 needs pairs for, f32 does in
 * f64, with r q(r), r = 1 / (z + 4), for the quotient and a power of 2 for the exponential. */
#include "codegen/math_internal.h"

/* Phi(x) = 1/2 + erf(x / sqrt(2)) / 2 for |x| < 1. */
static LLVMValueRef near(const Math *m, LLVMValueRef x) {
    LLVMValueRef half = m_const(m, 0.5), square = m_mul(m, m_mul(m, x, x), half);
    LLVMValueRef half_root = m_const(m, 0.35355339059327376); /* 1 / (2 sqrt(2)) */
    LLVMValueRef p = m_fma(m, m_poly(m, square, m->f->erf_core), half_root, half_root);
    return m_fma(m, x, p, half);
}

/* In f64. What is left of Phi(-39) is nothing, whatever a is. */
static LLVMValueRef mul_ndtr(const Math *m, LLVMValueRef a, LLVMValueRef x) {
    LLVMValueRef size = m_abs(m, x), z = m_at_most(m, size, 39), five = m_const(m, 5), k;
    LLVMValueRef one = m_const(m, 1);
    Pair square = m_product(m, z, z);
    LLVMValueRef minus_half = m_const(m, -0.5), zero = m_const(m, 0);
    LLVMValueRef e = m_exp_parts(m, m_mul(m, square.hi, minus_half),
                                 m_mul(m, square.lo, minus_half), &k);
    LLVMValueRef d = m_add(m, z, five), from_five = m_sub(m, z, five), r = m_div(m, one, d);
    /* 1 / (z + 5) = r + lo */
    LLVMValueRef d_lo = m_sub(m, z, m_sub(m, d, five));
    LLVMValueRef lo = m_mul(m, m_fma(m, m_neg(m, d_lo), r, m_fma(m, m_neg(m, d), r, one)), r);
    LLVMValueRef u = m_fma(m, from_five, r, m_mul(m, from_five, lo));
    LLVMValueRef q = m_horner(m, u, ndtr_core);
    LLVMValueRef w = m_fma(m, q, r, m_mul(m, q, lo)), tail = m_fma(m, w, e, w);
    tail = m_select(m, m_cmp(m, LLVMRealOGE, size, m_const(m, 39)), zero, tail);
    LLVMValueRef below = m_scale(m, m_mul(m, a, tail), k);
    LLVMValueRef rest = m_sub(m, one, m_scale(m, tail, k));
    rest = m_select(m, m_cmp(m, LLVMRealOLT, size, one), near(m, x), rest);
    return m_select(m, m_cmp(m, LLVMRealOLE, x, m_const(m, -1)), below, m_mul(m, a, rest));
}

/* exp(-z^2 / 2) as a power of 2; the low bits of t are that power, biased. */
static LLVMValueRef bell_short(const Math *m, LLVMValueRef z) {
    LLVMValueRef c = m_const(m, -0.72134752044448170); /* -log2(e) / 2 */
    LLVMValueRef square = m_mul(m, z, z), k, r;
    LLVMValueRef shift = m_const(m, m->f->shift + m->f->bias), t = m_fma(m, square, c, shift);
    k = m_float(m, LLVMBuildShl(m->b, m_bits(m, t), m_int(m, (uint64_t)m->f->mant), ""));
    r = m_fma(m, square, c, m_sub(m, shift, t));
    return m_mul(m, m_horner(m, r, exp2_short), k);
}

/* In f64, to the accuracy of f32: nothing is left of Phi(-20), whatever a is, but of an infinite
 * one; |x| is limited where the power of 2 becomes 0. */
static LLVMValueRef mul_ndtr_short(const Math *m, LLVMValueRef a, LLVMValueRef x) {
    LLVMValueRef z = m_at_most(m, m_abs(m, x), 37.6586), one = m_const(m, 1);
    LLVMValueRef r = m_div(m, one, m_add(m, z, m_const(m, 4)));
    LLVMValueRef tail = m_mul(m, m_poly(m, r, ndtr_short), m_mul(m, r, bell_short(m, z)));
    LLVMValueRef below = LLVMBuildICmp(m->b, LLVMIntSLT, m_bits(m, x), m_int(m, 0), "");
    return m_mul(m, a, m_select(m, below, tail, m_sub(m, one, tail)));
}

LLVMValueRef math_mul_ndtr(LLVMBuilderRef b, LLVMValueRef a, LLVMValueRef x) {
    Math m = math_in(b, x);
    if (m.f == &format_f64) return mul_ndtr(&m, a, x);
    LLVMContextRef c = LLVMGetTypeContext(m.type);
    LLVMTypeRef wide = math_type_like(x, LLVMDoubleTypeInContext(c));
    Math w = {b, wide, math_type_like(x, LLVMInt64TypeInContext(c)), &format_f64};
    LLVMValueRef wide_a = LLVMBuildFPExt(b, a, wide, ""), wide_x = LLVMBuildFPExt(b, x, wide, "");
    return LLVMBuildFPTrunc(b, mul_ndtr_short(&w, wide_a, wide_x), m.type, "");
}
