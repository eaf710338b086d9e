/* math: elementary functions as LLVM IR. Values are float, double or vectors of them, of any width;
 * every lane gets the bits that the scalar form gives. The error is at most 1.25 units in the last
 * place for all operands, subnormal ones too: tests/codegen/math_test.c. */
#ifndef BPC_MATH_H
#define BPC_MATH_H

#include <llvm-c/Core.h>

enum { MaxLanes = 128 }; /* of a vector: several registers side by side */

/* Those of one operand: math_exp(b, x) ... A new one is a name here, its code in math_*.c, and the
 * EMIT column of its row in ir/ops.def. */
#define MATH_UNARY(F) F(exp) F(expm1) F(log) F(log1p) F(tanh) F(sigmoid) F(erf) F(sin) F(cos)

#define DECLARE(name) LLVMValueRef math_##name(LLVMBuilderRef b, LLVMValueRef x);
MATH_UNARY(DECLARE)
#undef DECLARE
/* The special cases are those of C's pow. */
LLVMValueRef math_pow(LLVMBuilderRef b, LLVMValueRef x, LLVMValueRef y);
/* a Phi(x), Phi the normal distribution function; with a = x this is gelu. In f64 the error is at
 * most 4 units. */
LLVMValueRef math_mul_ndtr(LLVMBuilderRef b, LLVMValueRef a, LLVMValueRef x);

#endif
