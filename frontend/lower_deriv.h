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

/* ---- lower_operand.c ---- */
typedef struct OwnFn { /* a function being made */
    Frame frame;
    FnInst *inst;
    Sym *formals;
    Value param; /* the last formal, inside */
} OwnFn;
/* With room for n formals. */
OwnFn own_fn(Frame *f, Sym name, uint32_t n);
/* A formal for the argument, which is made a tensor (of a literal: of dt); false after a report. */
bool own_formal(Frame *f, OwnFn *own, Sym name, int dt, CallArg *arg, Value *bound);
/* The function with inst's nresults results, for an operand e on the arguments. */
FnInst *own_done(Frame *f, OwnFn *own, const Expr *e, const CallArg *args, uint32_t n,
                 const Val *results, Sym base);
/* e names a built-in operation. */
bool is_operation(Frame *f, const Expr *e);
/* An operation as a function; arguments by name are attributes, known at compile time. NULL after
 * a report. */
FnInst *operation_fn(Frame *f, const Expr *e, CallArg *args, uint32_t n, Value *bound);
/* bound gets the arguments of a function value; they go by position. */
bool function_arguments(Frame *f, Loc loc, const FnInst *fn, const CallArg *args, uint32_t n,
                        Value *bound);

/* ---- lower_dense.c ---- */
/* jacobian and hessian: the operator along each basis vector, by a scan. */
bool emit_dense(Frame *f, Loc loc, int which, const FnInst *inst, const Val *vals, uint32_t nvals,
                const Wrt *w, Emitted *out);

#endif
