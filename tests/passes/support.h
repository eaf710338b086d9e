/* What the tests of passes share: functions written by hand through the builder, rules for a few
 * operations, and values and numerical derivatives by the interpreter. */
#ifndef BPC_TESTS_PASSES_SUPPORT_H
#define BPC_TESTS_PASSES_SUPPORT_H

#include "passes/passes.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
/* cmocka wants the headers above */
#include <cmocka.h>

/* A program with the rules of test_rules.c; b is the function being written. */
typedef struct T {
    Cx *cx;
    Program *p;
    Builder *b;
    uint32_t line; /* of the next instruction in "t.bp" */
} T;
T *t_new(void);
void t_free(T *t);

void t_fn(T *t, const char *name);
/* Ends the function with these results (ended by NoVal) and adds it to the program. */
Fn *t_end(T *t, ...);
/* Takes a function out of the program. */
void t_drop(T *t, const char *name);

/* f64[dims...]; rank dimensions follow. */
Type t_type(T *t, uint32_t rank, ...);
Val t_param(T *t, const char *name, Type type);
Val t_num(T *t, Type type, double v);
Val t_op(T *t, Op op, Val x);
Val t_op2(T *t, Op op, Val x, Val y);
Val t_where(T *t, Val c, Val x, Val y);
Val t_ints(T *t, Op op, Val x, uint32_t n, const int64_t *v); /* an op with one list attribute */
Val t_sum(T *t, Val x);                                       /* over all axes */
Val t_name(T *t, Val v, const char *name);
Val t_call(T *t, const char *fn, uint32_t n, const Val *args); /* one result */
/* An operator of fn with respect to wrt ("x" or "x y"). */
void t_operator(T *t, Op op, const char *fn, const char *wrt, uint32_t n, const Val *args,
                const Type *types, uint32_t nresults, Val *results);

/* ---- rules ---- */
Fn *test_rule(Program *p, RuleKind kind, Sym name, const Ins *site, const Type *args,
              const Type *results, uint32_t nresults);

/* ---- values ---- */
/* Numbers in [lo, hi], the same for equal seeds. */
Tensor t_random(T *t, Type type, uint64_t seed, double lo, double hi);
/* Random arguments for every parameter of fn. */
Tensor *t_args(T *t, const Fn *fn, uint64_t seed);
Tensor *t_run(T *t, const Fn *fn, const Tensor *args);
double t_dot(const Tensor *x, const Tensor *y);
/* d result[0] / d args[k][e] by 5-point differences; result[0] is a scalar. */
double t_slope(T *t, const Fn *fn, Tensor *args, uint32_t k, int64_t e);

/* Differentiates the scalar function fn with respect to all parameters and compares every entry
 * with differences; by each parameter alone it is the same. */
void check_gradient(T *t, const Fn *fn, uint64_t seed);
/* <v, J u> = <J' v, u>, with the cotangents of all float results and the tangents of all float
 * parameters, then of each alone. */
void check_dot(T *t, const Fn *fn, uint64_t seed);
/* The same of the parameters wrt alone. */
void check_dot_of(T *t, const Fn *fn, const uint32_t *wrt, uint32_t n, uint64_t seed);
void assert_near(double got, double want, double gate); /* relative to 1 + |want| */
/* Each parameter of fn is an operand in it. */
void check_all_read(const Fn *fn);
/* Position and rule on each line that d has and fn has not. */
void check_origins(const Fn *d);

#endif
