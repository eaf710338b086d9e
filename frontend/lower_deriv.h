/* What the files of derivative operators share. */
#ifndef BPC_LOWER_DERIV_H
#define BPC_LOWER_DERIV_H

#include "frontend/lower.h"

/* What wrt= names: parameters of fn, in groups; a whole model is a group whose parts are joined. */
typedef struct Group {
    uint32_t first, n; /* of the parameters */
    bool model;
    ModelParams all;  /* of a model; */
    uint32_t *at;     /* its parts among the parameters, NoVal: fn does not read it */
} Group;
typedef struct Wrt {
    VEC(Sym) names;
    VEC(uint32_t) index;
    VEC(Group) groups;
} Wrt;

typedef struct Emitted {
    Val *vals;
    const Dim **dims;
    uint32_t n;
} Emitted;

/* ---- lower_wrt.c ---- */
const char *inst_title(const FnInst *inst);
bool resolve_wrt(Frame *f, const FnInst *inst, const Expr *wrt, Loc loc, Wrt *w);

/* ---- lower_deriv.c ---- */
int operator_index(Sym name); /* in the table of operators, or -1 */
/* The operator's instruction in root f, for arguments `vals`. */
Emitted emit_operator(Frame *f, Loc loc, int which, const FnInst *inst, Val *vals, uint32_t n,
                      const Wrt *w);
/* One result per group: those of a model joined. bound: the values of fn's own formals. */
void join_groups(Frame *f, const FnInst *inst, const Wrt *w, const Value *bound, uint32_t first,
                 Emitted *out);
/* A tangent per parameter, from one per group. */
bool tangents(Frame *f, const FnInst *inst, const Wrt *w, const CallArg *from, Val *out);

/* ---- lower_dense.c ---- */
/* jacobian and hessian: the operator along each basis vector, by a scan. */
bool emit_dense(Frame *f, Loc loc, int which, const FnInst *inst, const Val *vals, uint32_t nvals,
                const Wrt *w, Emitted *out);

#endif
