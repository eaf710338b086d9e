/* The same operations by the libraries that were found when the build was configured: OpenBLAS,
 * oneDNN. */
#ifndef BPC_PEERS_H
#define BPC_PEERS_H

#include "bench/bench.h"

/* c [M, N] = a @ b; a [M, K], flipped [K, M]; b [K, N], flipped [N, K] */
typedef struct Gemm {
    bool a_flipped, b_flipped;
    int64_t m, n, k;
    const float *a, *b;
    float *c;
} Gemm;
/* Gives how many there are. */
size_t gemm_contenders(Gemm *g, Contender *out);

/* [N, C, S, S] to [N, O, ...] by filters [O, C, K, K] */
typedef struct ConvLayer {
    int64_t n, c, o, s, k, pad;
} ConvLayer;
typedef enum ConvPass { ConvForward, ConvInputGradient, ConvWeightGradient } ConvPass;
/* Operands, of the layouts that the library likes best, are made here. Gives how many there are. */
size_t conv_contenders(const ConvLayer *l, ConvPass pass, Contender *out);
void conv_contenders_free(Contender *c, size_t n);

#endif
