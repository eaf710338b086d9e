/* Random functions: well-typed, the same for equal seeds, of operations that round once or in known
 * steps, so that generated code must agree with the rounding interpreter to the bit. */
#ifndef TEST_RANDOM_FN_H
#define TEST_RANDOM_FN_H

#include "ir/ir.h"

/* Functions of these seeds and above have regions. */
enum { FirstWithRegions = 1 << 20 };

/* Function `name` of about `size` instructions is added to p, exported; some of its results are
 * donated the storage of parameters. */
Fn *random_fn(Program *p, const char *name, uint64_t seed, uint32_t size);

/* An argument for a parameter of it: mostly numbers of moderate size. */
Tensor random_arg(Arena *a, Type type, uint64_t seed);

#endif
