/* One contraction [B, M, K] x [B, K, N] as a program of one kernel, for tests and benchmarks. */
#ifndef BPC_TEST_CONTRACTION_H
#define BPC_TEST_CONTRACTION_H

#include "codegen/codegen.h"
#include "runtime/bprt.h"

typedef struct Contraction {
    DType dt;
    int64_t batch, m, n, k; /* batch 0: operands of rank 2 */
    bool a_flipped, b_flipped; /* stored as [K, M], [N, K] */
    bool biased;               /* max(a @ b + bias, 0), bias [N] */
    bool rooted;               /* rsqrt of that: a mathematical function follows */
} Contraction;

/* Adds function `name`(a, b, bias) to the program, exported; gives the matmul. */
Val contraction_write(Program *p, const char *name, const Contraction *c);
/* The same, fused and planned. */
void contraction_add(Program *p, const char *name, const Contraction *c);
/* Makes f one kernel of all its instructions around the matmul `root`, parameters and result in
 * buffers of the caller. */
void contraction_fuse(Program *p, Fn *f, Val root);

#endif
