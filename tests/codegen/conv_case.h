/* One convolution as a program: for its test and its benchmark. */
#ifndef BPC_CONV_CASE_H
#define BPC_CONV_CASE_H

#include "codegen/codegen.h"
#include "passes/passes.h"
#include "runtime/bprt.h"

typedef struct ConvCase {
    int64_t n, c, o; /* images, channels, filters */
    uint32_t rank;   /* spatial axes */
    int64_t s[3], k[3], stride[3], lo[3], hi[3], lhs[3], rhs[3]; /* 0 of stride, lhs, rhs: 1 */
    int64_t groups, batch_groups;                                /* 0: 1 */
    bool follows;                                                /* max(conv + bias, 0) */
    bool tiny;                                                   /* products underflow */
    bool swapped; /* operands stored with their first two axes swapped, as the filters' gradient
                   * has them */
} ConvCase;

/* f(x, w, bias [O]) -> result, exported. */
Fn *conv_case_add(Program *p, const char *name, const ConvCase *c, DType dt);
/* Numbers from a seed, rounded to the type. */
Tensor conv_case_tensor(Arena *a, Type t, uint64_t seed);
/* In memory as generated code reads it; free() it. */
void *conv_case_memory(const Tensor *x);
double conv_case_element(DType dt, const void *memory, int64_t i);

#endif
