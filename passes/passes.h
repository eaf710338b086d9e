/* passes: functions to functions. One row of passes.def and one file per pass. */
#ifndef BPC_PASSES_H
#define BPC_PASSES_H

#include "ir/ir.h"

typedef struct PassInfo {
    const char *name;
    void (*run)(Program *p); /* rebuilds the program's functions */
    unsigned needs, gives;   /* Prop bits of every function */
    int level;               /* runs at -O level and above */
    const char *help;
} PassInfo;
extern const PassInfo passes[];
extern const uint32_t npasses;

typedef struct PassOptions {
    int level; /* 0..3 */
    bool verify_each, time;
    const char *emit_after, *stop_after; /* names of passes or NULL; emitted to `out` as .bp */
    int64_t limit;                       /* passes run at most; < 0: all */
    FILE *out;
} PassOptions;

/* Runs the table in order. False if a user error was found (a missing derivative). */
bool passes_run(Program *p, const PassOptions *o);
void list_passes(Text *out);

/* Results of `fn` differentiated: a new function of the same parameters that returns the results
 * of fn, then the gradient of its first result with respect to the parameters wrt[0..n). Calls of
 * ruled functions use their rules. NULL after a user error. */
Fn *differentiate(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n);
/* (params, cotangent per float result) -> cotangents of wrt. */
Fn *transpose_fn(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n);
/* (params, tangent per wrt) -> (results, tangent per float result). */
Fn *linearize(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n);

#endif
