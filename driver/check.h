/* check: what the files of the verb share. */
#ifndef BPC_CHECK_H
#define BPC_CHECK_H

#include "driver/driver.h"

typedef struct Check {
    Options *o;
    Program *p;
    Arena *a; /* of tensors */
    uint64_t key;
    uint32_t failures;
    VEC(Sym) surrogates; /* operations and functions with a rule that is no derivative */
    VEC(Sym) done; /* rules checked, by name and ranks */
} Check;

/* Gates: ten times the worst error seen on operations known to be right. */
#define GATE_PROGRAM 1e-8
#define GATE_RULE 1e-9

/* ---- check_values.c ---- */
typedef enum Draw { DrawWide, DrawPositive, DrawSmall, DrawCount } Draw;
/* A random tensor of the type: floats as `draw` says, integers in their range. */
Tensor random_tensor(Check *c, Type type, Draw draw);
/* Arguments of fn; hypers, counters and keys get what a trainer would give. */
Tensor *random_arguments(Check *c, const Fn *fn, Draw draw);
Tensor zero_tensor(Check *c, Type type);
double tensor_dot(const Tensor *x, const Tensor *y);
double tensor_norm(const Tensor *x);
bool tensor_finite(const Tensor *x);
/* |analytic - numeric| relative to the larger of the numeric one and scale. */
double relative_error(double analytic, double numeric, double scale);
/* A row of the report: "ok   B[tanh, x]   3.1e-16". */
void report_row(Check *c, bool ok, const char *what, double error);

/* ---- check_rules.c: every rule that the functions differentiated use ---- */
void check_rules(Check *c, const Fn *fn);
/* Whether a rule that is no derivative takes part in fn; check_rules has seen it. */
bool uses_surrogate(const Check *c, const Fn *fn);

/* ---- check_locate.c ---- */
/* The first instruction of d, a derivative of f by op, that differs from what the rules give. */
void locate_wrong(Check *c, const Fn *d, const Fn *f, Op op, const uint32_t *wrt, uint32_t n,
                  const Tensor *args);

#endif
