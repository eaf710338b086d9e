/* exp, expm1, tanh, sigmoid. All reduce x = k ln2 + r and use exp(r) = 1 + r + r^2 p(r). */
#include "codegen/math_internal.h"

#include <math.h>

Reduced m_reduce(const Math *m, LLVMValueRef x) {
    LLVMValueRef shift = m_const(m, m->f->shift), log2e = m_const(m, 0x1.71547652b82fep+0);
    LLVMValueRef t = m_fma(m, x, log2e, shift);
    LLVMValueRef k = LLVMBuildSub(m->b, m_bits(m, t), m_bits(m, shift), "");
    LLVMValueRef minus_k = m_sub(m, shift, t), lo = m_const(m, m->f->ln2_lo);
    LLVMValueRef exact = m_fma(m, minus_k, m_const(m, m->f->ln2_hi), x);
    LLVMValueRef r = m_fma(m, minus_k, lo, exact);
    return (Reduced){k, r, m_fma(m, minus_k, lo, m_sub(m, exact, r))};
}

/* exp(r) - 1 - r, plus extra. */
static LLVMValueRef curve(const Math *m, LLVMValueRef r, LLVMValueRef extra) {
    return m_fma(m, m_mul(m, r, r), m_poly(m, r, m->f->exp_core), extra);
}

static LLVMValueRef clamp(const Math *m, LLVMValueRef x) {
    return m_at_least(m, m_at_most(m, x, m->f->exp_max), m->f->exp_min);
}

LLVMValueRef m_exp_parts(const Math *m, LLVMValueRef hi, LLVMValueRef lo, LLVMValueRef *k) {
    Reduced q = m_reduce(m, clamp(m, hi));
    Pair r = lo ? m_sum(m, q.r, m_add(m, q.lo, lo)) : (Pair){q.r, NULL};
    LLVMValueRef rest = lo ? m_add(m, r.hi, curve(m, r.hi, r.lo)) : curve(m, r.hi, r.hi);
    *k = q.k;
    return rest;
}

LLVMValueRef m_exp(const Math *m, LLVMValueRef hi, LLVMValueRef lo) {
    LLVMValueRef k, rest = m_exp_parts(m, hi, lo, &k);
    return m_scale(m, m_add(m, m_const(m, 1), rest), k);
}

LLVMValueRef math_exp(LLVMBuilderRef b, LLVMValueRef x) {
    Math m = math_in(b, x);
    return m_exp(&m, x, NULL);
}

/* exp(x) - 1 = 2^k - 1 + 2^k (r + ...), for a reduced x with normal 2^k. */
static Pair expm1_of(const Math *m, Reduced q) {
    LLVMValueRef s = m_power_of_2(m, q.k);
    Pair sum = m_sum(m, m_sub(m, s, m_const(m, 1)), m_mul(m, s, q.r));
    return m_sum(m, sum.hi, m_fma(m, s, curve(m, q.r, q.lo), sum.lo));
}

LLVMValueRef math_expm1(LLVMBuilderRef b, LLVMValueRef x) {
    Math m = math_in(b, x);
    Reduced q = m_reduce(&m, m_at_least(&m, m_at_most(&m, x, m.f->exp_max), m.f->expm1_min));
    LLVMValueRef most = m_int(&m, (uint64_t)m.f->bias);
    LLVMValueRef beyond = LLVMBuildICmp(b, LLVMIntSGT, q.k, most, "");
    q.k = m_select(&m, beyond, most, q.k);
    LLVMValueRef r = expm1_of(&m, q).hi;
    r = m_select(&m, beyond, m_add(&m, r, r), r);
    return m_copysign(&m, r, x);
}

/* (n.hi + n.lo) / (d.hi + d.lo) */
static LLVMValueRef quotient(const Math *m, Pair n, Pair d) {
    LLVMValueRef inverse = m_div(m, m_const(m, 1), d.hi);
    LLVMValueRef q = m_mul(m, n.hi, inverse), minus_q = m_neg(m, q);
    LLVMValueRef rest = m_add(m, m_fma(m, minus_q, d.hi, n.hi), m_fma(m, minus_q, d.lo, n.lo));
    return m_fma(m, rest, inverse, q);
}

/* tanh |x| = t / (t + 2), t = expm1 |2x|. */
LLVMValueRef math_tanh(LLVMBuilderRef b, LLVMValueRef x) {
    Math m = math_in(b, x);
    LLVMValueRef a = m_at_most(&m, m_abs(&m, x), m.f->tanh_max);
    Pair t = expm1_of(&m, m_reduce(&m, m_add(&m, a, a)));
    Pair d = m_sum(&m, m_const(&m, 2), t.hi);
    d.lo = m_add(&m, d.lo, t.lo);
    return m_copysign(&m, quotient(&m, t, d), x);
}

/* With e = exp -|x|: 1 / (1 + e), or e / (1 + e) for negative x. */
LLVMValueRef math_sigmoid(LLVMBuilderRef b, LLVMValueRef x) {
    Math m = math_in(b, x);
    LLVMValueRef one = m_const(&m, 1), zero = m_const(&m, 0);
    Reduced q = m_reduce(&m, m_at_least(&m, m_neg(&m, m_abs(&m, x)), m.f->exp_min));
    Pair e = m_sum(&m, one, curve(&m, q.r, q.r));
    e = (Pair){m_scale(&m, e.hi, q.k), m_scale(&m, e.lo, q.k)};
    Pair d = m_sum(&m, one, e.hi);
    d.lo = m_add(&m, e.lo, d.lo);
    LLVMValueRef negative = m_cmp(&m, LLVMRealOLT, x, zero);
    Pair n = {m_select(&m, negative, e.hi, one), m_select(&m, negative, e.lo, zero)};
    return quotient(&m, n, d);
}
