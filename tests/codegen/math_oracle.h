/* Reference values of elementary functions: C's library in double for f32, MPFR for f64. */
#ifndef BPC_MATH_ORACLE_H
#define BPC_MATH_ORACLE_H

#include <stdbool.h>

enum { OracleCount = 11 };

typedef struct Oracle {
    const char *name;
    bool binary;
    double (*quick)(double x, double y);
    int which;          /* MPFR's function */
    double least, most; /* where the function is of interest */
    double bound_f32, bound_f64;
} Oracle;

extern const Oracle oracles[OracleCount];

/* Error of got against the exact f(x, y) rounded nowhere, in units in the last place of f64. */
double oracle_ulps(const Oracle *o, double x, double y, double got);

#endif
