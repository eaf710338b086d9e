/* What the tests of fuse and plan share: kernels run on the planned memory without numbers: every
 * element in memory carries the name of what it is. */
#ifndef BPC_TESTS_PASSES_KERNELS_H
#define BPC_TESTS_PASSES_KERNELS_H

#include "tests/passes/support.h"
#include "tests/support/random_fn.h"

/* The whole pipeline with verification; the only function of the program as it is then. */
const Fn *compiled(T *t);

/* Runs the kernels element by element, in ascending and in descending order: what is read is there
 * and is what it should be, a root is read where it is computed, results stand in their places. */
void check_memory(const Fn *fn);
/* Two values of the arena share bytes only if one is dead before the other is made, or dies in the
 * map that makes the other. */
void check_lifetimes(const Fn *fn);

#endif
