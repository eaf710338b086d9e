/* check: what the files of the verb share. docs/check.md says what is proven. */
#ifndef BPC_CHECK_H
#define BPC_CHECK_H

#include "driver/driver.h"

/* Gates; docs/check.md derives them. An estimated error of the reference is allowed ten times. */
#define GATE_COMPLEX 1e-11  /* against complex step */
#define GATE_POINTS 1e-9    /* against 5-point differences */
#define GATE_DOT 1e-13      /* <v, J u> = <J' v, u>, times sqrt(n) */
#define GATE_SYMMETRY 1e-12 /* u' H v = v' H u */
#define GATE_SINGLE 16      /* f32 against f64, in what rounding its operands once does */
#define SLOPE_GATE 0.1      /* of the remainder, about 2, over SLOPE_OCTAVES: three decades */
enum { SLOPE_OCTAVES = 10, MaxDraws = 20, FullJacobian = 64 };

typedef struct Check {
    Options *o;
    Program *p;
    Arena *a; /* of tensors */
    uint64_t key;
    bool quiet;                           /* only false rows are printed */
    uint32_t failures, compared; /* rows; comparisons */
    uint32_t row_compared, row_ties, row_skipped; /* before this row */
    uint32_t skipped, ties;      /* comparisons left out: every step meets a kink; equal values
                                  * are chosen from at the point itself, whichever it is */
    VEC(Sym) surrogates; /* operations and functions with a rule that is no derivative */
    VEC(Sym) done;       /* functions whose rules were checked */
    VEC(const char *) rows; /* of --rules, whether wanted or not */
} Check;

typedef struct Header { /* "value_and_grad[f, wrt=(w, b)]" */
    Op op;
    const Fn *f;
    uint32_t *wrt, n;
} Header;

/* ---- check_values.c ---- */
typedef enum Draw { DrawWide, DrawPositive, DrawSmall, DrawCount } Draw;
/* A random tensor of the type: floats as `draw` says, integers in their range. */
Tensor random_tensor(Check *c, Type type, Draw draw);
/* Uniform on a sphere whose radius is about the root of the number of elements. */
Tensor random_direction(Check *c, Type type);
/* Arguments of fn; hypers, counters and keys get what a trainer would give. */
Tensor *random_arguments(Check *c, const Fn *fn, Draw draw);
Tensor zero_tensor(Check *c, Type type);
/* A zero tensor for each result of fn: the weights of what is differentiated. */
Tensor *zero_weights(Check *c, const Fn *fn);
Type result_type(const Fn *fn, uint32_t i);
double tensor_dot(const Tensor *x, const Tensor *y);
double tensor_norm(const Tensor *x);
bool all_finite(const Tensor *t, uint32_t n);
/* |analytic - numeric| relative to scale, less than gate if it is within gate * scale + 10 err. */
double gated_error(double analytic, double numeric, double scale, double err, double gate);
/* A row of the report: "ok   B[tanh, x]   3.1e-16". */
void report_row(Check *c, bool ok, const char *what, double error);

/* ---- check_slope.c ---- */
double gate_of(const NumDiff *nd);
typedef struct Compared {
    double error;
    bool ok, kink; /* kink: not ok, but every step reached another smooth piece */
} Compared;
/* The slope along a direction per parameter against what it should be; noise: how far rounding may
 * move that. Slopes at ties are left out and counted. */
Compared compare_slope(Check *c, const NumDiff *nd, const Tensor *along, double analytic,
                       double scale, double noise);
bool compared_or_skipped(Check *c, Compared *r); /* a kink is left out and counted */

/* ---- check_watch.c ---- */
/* fn with one result more, an i64 that tells the smooth pieces of fn apart; the bodies of its
 * regions are added to p, it is not. */
Fn *watch_choices(Program *p, const Fn *fn);

/* ---- check_run.c ---- */
typedef struct Runner {
    Check *c;
    const Fn *fn;
    bool watch;  /* run_function gives the active set */
    void *entry; /* of compiled code; NULL: interpreted */
    void *scratch;
} Runner;
typedef struct Code Code;
/* Compiles what they run, at an -O level: 1 for what runs often. NULL after an error. */
Code *code_new(Check *c, Runner *const *runs, uint32_t n, int level);
void code_free(Code *code);
/* Fits Evaluator; data: a Runner. */
uint64_t run_function(void *data, Arena *a, const Tensor *args, Tensor *results);

/* ---- check_program.c, check_curve.c: a derivative function against what its header names ---- */
typedef struct Proof {
    Check *c;
    const Fn *d;
    const Header *h;
    Runner value, derived, forward, second; /* f; d; its tangents; hvp; fn NULL: there is none */
    Evaluator by;
    bool compiled;
    Code *code[2];
    Tensor *args, *got, *w; /* of d, its results, weights of f's results */
    Tensor *spread;         /* how far rounding moves each result of d; NULL: compiled */
    uint32_t first;         /* result of d that is the first gradient */
    bool ok;
} Proof;
void check_derivative(Check *c, const Fn *d, const Header *h);
/* How far rounding may move <u, result r of d>. */
double proof_noise(const Proof *q, uint32_t r, const Tensor *u);
/* A row of the report about d. */
void proof_row(Proof *q, const char *what, double error, bool ok);
/* How far rounding moves each result of fn at args, by runs of the interpreter that round at
 * random. */
Tensor *rounding_spread(Check *c, const Fn *fn, const Tensor *args, const Tensor *results);
void prove_taylor(Proof *q);
void prove_second(Proof *q);

/* ---- check_rules.c: every rule that the functions differentiated use ---- */
void check_rules(Check *c, const Header *h, uint32_t n);
/* Whether a rule that is no derivative takes part in fn; check_rules has seen it. */
bool uses_surrogate(const Check *c, const Fn *fn);

/* ---- check.c ---- */
/* Every rule and derivative of c->p, which `differentiate` has seen; how many there are. */
uint32_t check_all(Check *c);

/* ---- check_table.c: --rules ---- */
int command_check_rules(Options *o);

/* ---- check_locate.c ---- */
/* Reports the first instruction of d, a derivative as its header says, that differs from what the
 * rules give; else the first of f whose derivative by the rules is wrong. */
void locate_wrong(Check *c, const Fn *d, const Header *h, const Tensor *args, const Tensor *w);

#endif
