/* erf: x + x p(x^2) up to 1, beyond it 1 - exp(-x^2) q(|x| - 2). */
#include "codegen/math_internal.h"

LLVMValueRef math_erf(LLVMBuilderRef b, LLVMValueRef x) {
    Math m = math_in(b, x);
    LLVMValueRef one = m_const(&m, 1), a = m_at_most(&m, m_abs(&m, x), m.f->erf_max);
    LLVMValueRef square = m_mul(&m, a, a);
    LLVMValueRef near = m_fma(&m, x, m_poly(&m, square, m.f->erf_core), x);
    LLVMValueRef u = m_sub(&m, a, m_const(&m, 2)), e = m_exp(&m, m_neg(&m, square), NULL);
    LLVMValueRef minus_q = m_neg(&m, m_horner(&m, u, m.f->erf_tail));
    LLVMValueRef far = m_copysign(&m, m_fma(&m, e, minus_q, one), x);
    return m_select(&m, m_cmp(&m, LLVMRealOLT, a, one), near, far);
}
