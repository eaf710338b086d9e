/* One instruction that a rule differentiates, alone, at one point. */
#ifndef BPC_CHECK_SITE_H
#define BPC_CHECK_SITE_H

#include "driver/check.h"

typedef struct Site {
    Check *c;
    const Ins *ins; /* a call of a function with a rule, or an operation */
    Sym name;
    Type *args, *results;
    uint32_t nresults;
    Fn *alone;              /* fn x...: y = op(x...) */
    const Fn *back, *ahead; /* the rules; NULL: the engine's own, or the other one transposed */
    bool surrogate;
    uint32_t *wrt, n;       /* float operands with a derivative */
    Tensor *x;
} Site;

typedef enum Proving {
    ProvesBackward,
    ProvesForward,
    ProvesModes,
    ProvesTwice,
    ProvesSingle
} Proving;
/* What was found: told for every comparison. k: operand, of ProvesBackward. */
typedef void Found(void *data, const Site *s, Proving what, uint32_t k, double error, double gate);

/* Fills s from c, ins, args and results; false where there is no rule or nothing to
 * differentiate. */
bool site_open(Site *s, const Program *p);
/* Draws s->x where the operation is defined and smooth; false after MaxDraws. */
bool site_draw(Site *s, Domain domain);
/* First order in both modes and against each other. False after a user error. */
bool site_first(Site *s, Found *found, void *data);
/* The rule differentiated again. */
bool site_second(Site *s, Found *found, void *data);
/* The adjoint in f32; the site's floats are f32. */
bool site_single(Site *s, Found *found, void *data);
/* "B[tanh, x]", "J[tanh]" */
const char *site_label(const Site *s, Proving what, uint32_t k);
/* Where the rule says so. */
Loc site_line(const Site *s, Proving what, uint32_t k);

#endif
