/* math: elementary functions as LLVM IR. Values are float, double or vectors of them, of any width;
 * every lane gets the bits that the scalar form gives. The error is at most 1.25 units in the last
 * place for all operands, subnormal ones too: tests/codegen/math_test.c. */
#ifndef BPC_MATH_H
#define BPC_MATH_H

#include <llvm-c/Core.h>

LLVMValueRef math_exp(LLVMBuilderRef b, LLVMValueRef x);
LLVMValueRef math_expm1(LLVMBuilderRef b, LLVMValueRef x);
LLVMValueRef math_log(LLVMBuilderRef b, LLVMValueRef x);
LLVMValueRef math_log1p(LLVMBuilderRef b, LLVMValueRef x);
LLVMValueRef math_tanh(LLVMBuilderRef b, LLVMValueRef x);
LLVMValueRef math_sigmoid(LLVMBuilderRef b, LLVMValueRef x);
LLVMValueRef math_erf(LLVMBuilderRef b, LLVMValueRef x);
LLVMValueRef math_sin(LLVMBuilderRef b, LLVMValueRef x);
LLVMValueRef math_cos(LLVMBuilderRef b, LLVMValueRef x);
/* The special cases are those of C's pow. */
LLVMValueRef math_pow(LLVMBuilderRef b, LLVMValueRef x, LLVMValueRef y);

#endif
