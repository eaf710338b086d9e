/* Buffers of generated code with a fence on both sides, and tensors of the interpreter in them. */
#ifndef BPC_TEST_FENCE_H
#define BPC_TEST_FENCE_H

#include "ir/ir.h"

enum { Fence = 64 }; /* bytes before the data, and behind them */

/* Room for `bytes`, filled, between two fences; the data are 64-byte aligned. The caller frees
 * it. */
unsigned char *fence_new(size_t bytes, int fill);
/* Whether nobody wrote into the fences. */
bool fence_intact(const unsigned char *b, size_t bytes);
/* Element i of x at an address, in memory's format. */
void fence_store(unsigned char *at, const Tensor *x, int64_t i);
size_t fence_bytes(Type t);

#endif
