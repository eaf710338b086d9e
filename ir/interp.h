/* What the files of the interpreter share. */
#ifndef BPC_INTERP_H
#define BPC_INTERP_H

#include "ir/ir.h"

typedef struct Interp {
    const Program *p;
    const Fn *fn;
    InterpMode mode;
    Arena *a;
    Tensor *vals; /* per Val */
    uint32_t depth;
    uint64_t *choices; /* or NULL: see interp_choices */
    uint64_t *steps;   /* of `while` so far */
    uint64_t *noise;   /* or NULL: the state of interp_noise */
    uint64_t *ties;    /* or NULL: see interp_complex */
} Interp;

/* x rounded to the type under InterpRound, else x. */
double interp_round(const Interp *in, DType dt, double x);

/* Adds to what the values are decided by: see interp_choices. */
static inline void interp_choose(const Interp *in, int64_t choice) {
    if (in->choices) *in->choices = rng_fold(*in->choices, (uint64_t)choice);
}

/* Where a decision is taken between values that are equal but for their imaginary parts, no
 * derivative along these exists. */
static inline void interp_tie(const Interp *in, bool is) {
    if (in->ties) *in->ties += is;
}

/* interp_run under InterpComplex that counts such decisions; noise, if not NULL, as the key of
 * interp_noise. */
void interp_complex(const Program *p, const Fn *fn, Arena *a, const Tensor *args, Tensor *results,
                    uint64_t *ties, uint64_t *noise);
/* interp_run under InterpRound in which arguments and whatever rounds err by up to 8 roundings
 * more, at random by key: how far rounding may move the results. */
void interp_noise(const Program *p, const Fn *fn, Arena *a, const Tensor *args, Tensor *results,
                  uint64_t key);

/* ---- interp_elem.c ---- */
void interp_elem(Interp *in, const Ins *ins, Tensor *r);
/* ---- interp_sum.c ---- */
void interp_reduce(Interp *in, const Ins *ins, Tensor *r);
void interp_matmul(Interp *in, const Ins *ins, Tensor *r);
void interp_conv(Interp *in, const Ins *ins, Tensor *r);
/* ---- interp_move.c ---- */
void interp_view(Interp *in, const Ins *ins, Tensor *r);
void interp_move(Interp *in, const Ins *ins, Tensor *r);
void interp_source(Interp *in, const Ins *ins, Tensor *r);

/* The results of fn. */
const Tensor *interp_apply(Interp *in, const Fn *fn, Loc loc, const Tensor *args);
/* ---- interp_region.c ---- */
const Tensor *interp_region(Interp *in, const Ins *ins, const Tensor *args);

/* Element i of x to element j of r. */
void tensor_copy(Tensor *r, int64_t j, const Tensor *x, int64_t i);
/* Row-major coordinates of element i, and back. */
void coords_of(const Shape *s, int64_t i, int64_t *at);
int64_t offset_of(const Shape *s, const int64_t *at);
/* The coordinates of the next element; after the last one, of the first. */
static inline void coords_next(const Shape *s, int64_t *at) {
    for (uint32_t d = s->rank; d-- > 0 && ++at[d] == s->dim[d];) at[d] = 0;
}

#endif
