/* The rows of check --rules. */
#ifndef BPC_CHECK_TABLE_H
#define BPC_CHECK_TABLE_H

#include "driver/check_site.h"
#include "driver/instances.h"

typedef struct TableRow {
    Check *c;
    uint32_t sites, told;
    unsigned sizes, rules; /* bits: 0, 1, prime; backward, forward */
    double worst[ProvesSingle + 1], gate[ProvesSingle + 1];
    bool failed;
    const char *shown; /* the operands being proven */
} TableRow;

/* Proves one use: in f64 to second order, or in f32. */
void table_prove(TableRow *r, Site *s, Domain domain);
void table_row(TableRow *r, const char *name);
/* Whether the command line asks for the row: it names it, or none. */
bool table_wanted(Check *c, const char *name);

/* ---- check_library.c: functions of std/ with a rule, for sizes and settings put in ---- */
void prove_library(Check *c);
/* ---- check_engine.c: call, scan, while, cond, checkpoint and masks, by programs ---- */
void prove_engine(Check *c);
/* ---- check_kinks.c: the subgradients that are promised ---- */
void prove_kinks(Check *c);

#endif
