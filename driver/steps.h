/* What trace and explain share: the steps of a function, by source line and by rule. */
#ifndef BPC_STEPS_H
#define BPC_STEPS_H

#include "driver/driver.h"

/* Instructions [from, to) of one rule at one place: "B[tanh, x]" applied to a cotangent. */
typedef struct Step {
    Val from, to;
    Sym rule; /* NULL: of the forward pass */
    Loc loc;
} Step;
/* The next step of fn from v on that has a line; false at the end. */
bool step_next(const Fn *fn, Val v, Step *s);
/* Whether v is an adjoint: made by a backward rule, or a parameter among `seeds`, the last ones. */
bool is_adjoint(const Fn *fn, Val v, uint32_t seeds);
/* "B[tanh, x](d_y)"; names: of print_names. */
const char *step_rule(Arena *a, const Fn *fn, const Step *s, const Sym *names, uint32_t seeds);
/* "t1: f64 = mul(x, x)", as the IR prints it. */
const char *step_line(Program *p, const Fn *fn, Val v);
/* "examples/xy.bp:2  return x ** 2;" on a line of its own. */
void print_place(const Cx *cx, Loc loc, FILE *out);

#endif
