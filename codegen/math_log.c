/* log and log1p. x = 2^k (1 + f); log(1 + f) = f - f^2/2 + tail(f). */
#include "codegen/math_internal.h"

#include <math.h>

Split m_split(const Math *m, LLVMValueRef x) {
    const Format *f = m->f;
    LLVMBuilderRef b = m->b;
    int up = f->mant + 1;
    LLVMValueRef subnormal = m_cmp(m, LLVMRealOLT, x, m_const(m, ldexp(1, 1 - f->bias)));
    LLVMValueRef y = m_select(m, subnormal, m_mul(m, x, m_const(m, ldexp(1, up))), x);
    LLVMValueRef bias = m_select(m, subnormal, m_int(m, (uint64_t)(f->bias + up)),
                                 m_int(m, (uint64_t)f->bias));
    uint64_t one = (uint64_t)f->bias << f->mant, mask = (UINT64_C(1) << f->mant) - 1;
    LLVMValueRef i = LLVMBuildAdd(b, m_bits(m, y), m_int(m, one - f->sqrt_half), "");
    LLVMValueRef k = LLVMBuildSub(b, LLVMBuildLShr(b, i, m_int(m, (uint64_t)f->mant), ""), bias,
                                  "");
    LLVMValueRef fraction = LLVMBuildAnd(b, i, m_int(m, mask), "");
    LLVMValueRef u = m_float(m, LLVMBuildAdd(b, fraction, m_int(m, f->sqrt_half), ""));
    return (Split){m_whole(m, k), m_sub(m, u, m_const(m, 1))};
}

/* tail(f) + extra. f64: fewer terms are needed in s = f / (2 + f). */
static LLVMValueRef tail(const Math *m, LLVMValueRef f, LLVMValueRef half_square,
                         LLVMValueRef extra) {
    if (m->f->bits == 32) {
        LLVMValueRef cube = m_mul(m, m_mul(m, f, f), f);
        return m_fma(m, cube, m_poly(m, f, m->f->log_core), extra);
    }
    LLVMValueRef s = m_div(m, f, m_add(m, f, m_const(m, 2))), z = m_mul(m, s, s);
    LLVMValueRef r = m_fma(m, z, m_poly(m, z, m->f->log_core), half_square);
    return m_fma(m, s, r, extra);
}

/* k ln2 + log(1 + f) + lo; lo NULL is 0. */
static LLVMValueRef log_of(const Math *m, LLVMValueRef k, LLVMValueRef f, LLVMValueRef lo) {
    LLVMValueRef half_square = m_mul(m, m_mul(m, f, f), m_const(m, 0.5));
    LLVMValueRef ln2_lo = m_const(m, m->f->ln2_lo);
    LLVMValueRef extra = lo ? m_fma(m, k, ln2_lo, lo) : m_mul(m, k, ln2_lo);
    LLVMValueRef r = m_sub(m, f, m_sub(m, half_square, tail(m, f, half_square, extra)));
    return m_fma(m, k, m_const(m, m->f->ln2_hi), r);
}

LLVMValueRef m_log_special(const Math *m, LLVMValueRef x, LLVMValueRef r) {
    LLVMValueRef zero = m_const(m, 0);
    r = m_select(m, m_cmp(m, LLVMRealOLT, x, m_const(m, INFINITY)), r, x);
    r = m_select(m, m_cmp(m, LLVMRealOLT, x, zero), m_const(m, NAN), r);
    return m_select(m, m_cmp(m, LLVMRealOEQ, x, zero), m_const(m, -INFINITY), r);
}

LLVMValueRef math_log(LLVMBuilderRef b, LLVMValueRef x) {
    Math m = math_in(b, x);
    Split s = m_split(&m, x);
    return m_log_special(&m, x, log_of(&m, s.k, s.f, NULL));
}

/* log(u) + c / u for u = 1 + x rounded and c what rounding lost; near 0, f is x itself. */
LLVMValueRef math_log1p(LLVMBuilderRef b, LLVMValueRef x) {
    Math m = math_in(b, x);
    LLVMValueRef one = m_const(&m, 1), zero = m_const(&m, 0);
    LLVMValueRef u = m_add(&m, x, one);
    Split s = m_split(&m, u);
    LLVMValueRef large = m_cmp(&m, LLVMRealOGT, x, one);
    LLVMValueRef lost = m_select(&m, large, m_sub(&m, one, m_sub(&m, u, x)),
                                 m_sub(&m, x, m_sub(&m, u, one)));
    LLVMValueRef near = m_cmp(&m, LLVMRealOEQ, s.k, zero);
    LLVMValueRef f = m_select(&m, near, x, s.f);
    LLVMValueRef c = m_select(&m, near, zero, m_div(&m, lost, u));
    LLVMValueRef r = m_log_special(&m, u, log_of(&m, s.k, f, c));
    return m_select(&m, m_cmp(&m, LLVMRealOEQ, x, zero), x, r);
}
