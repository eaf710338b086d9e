/* What the files of the pass `plan` share. */
#ifndef BPC_PASSES_PLAN_H
#define BPC_PASSES_PLAN_H

#include "passes/passes.h"

/* ---- plan.c ---- */
/* fn with a place for every value; its kernels are copied. carry: of the scans whose body it is,
 * or 0. Functions that its regions and calls refer to are planned. */
Fn *plan_fn(Program *p, const Fn *fn, uint32_t carry);

/* ---- plan_holes.c: sizes are rounded up to 64 bytes ---- */
typedef struct Hole { /* a free stretch of the arena */
    uint64_t offset, bytes;
} Hole;
typedef struct Holes {
    Cx *cx;
    VEC(Hole) list; /* by offset, never side by side */
    uint64_t end;   /* of the arena so far */
} Holes;
uint64_t hole_take(Holes *h, uint64_t bytes);
void hole_give(Holes *h, uint64_t offset, uint64_t bytes);

/* ---- budget.c ---- */
/* Bytes that an entry needs: parameters, optimizer state and arena. */
uint64_t plan_total(const Plan *plan);

/* ---- again.c ---- */
/* fn, which is planned, with kernels that run again so that it needs no more than `budget` bytes in
 * all, as near to it as can be. */
Fn *fit_budget(Program *p, Fn *fn, uint64_t budget);

#endif
