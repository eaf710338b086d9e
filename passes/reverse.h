/* What the files of reverse mode share. */
#ifndef BPC_REVERSE_H
#define BPC_REVERSE_H

#include "passes/passes.h"

struct Saved;

typedef struct Reverse {
    Program *p;
    const Fn *fn;
    Builder *b;
    Val *map;  /* of fn's values */
    Val *adj;  /* adjoint so far, NoVal: none */
    Val *mask; /* where the adjoint counts, NoVal: everywhere */
    Activity a;
    struct Saved **saved; /* of regions: what their backward part needs */
    Val boundary;         /* values of b below it are parameters and the forward part */
    uint32_t errors;
} Reverse;

/* ---- differentiate.c ---- */
void add_adjoint(Reverse *r, Val x, Val contribution, Val mask, Sym rule);
/* (params, cotangent of each wanted float result) -> cotangents of wrt, with what is dead. *r is
 * left as it was at the end. NULL after a user error. */
Fn *transpose_whole(Reverse *r, Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n,
                    const bool *want);

/* ---- split.c ---- */
/* Reverse mode of a body in two functions. */
typedef struct Split {
    Fn *forward;    /* params -> results, then what is saved */
    Fn *backward;   /* (kept params.., saved.., cotangents of wanted results) -> adjoints of wrt */
    uint32_t nkept, nsaved;
    uint32_t *kept; /* params of the body */
} Split;
/* kept: parameters that will be there in the backward part too. NULL after a user error. */
Split *split_reverse(Program *p, const Fn *fn, const uint32_t *wrt, uint32_t n, const bool *want,
                     const bool *keep);

/* ---- region_reverse.c ---- */
/* Copies region v so that its backward part has what it needs; enters its results in r->map. */
void region_save(Reverse *r, Val v);
void region_pull(Reverse *r, Val v); /* adjoints of its active operands */

#endif
