/* What the files that make reverse mode of while share: region_while.c, while_back.c. */
#ifndef BPC_WHILE_H
#define BPC_WHILE_H

#include "passes/reverse.h"

/* What the loops carry or are given. Which of them, and in which order, is a string of letters: */
typedef struct Vars {
    Val count;     /* n: steps from the start, or steps left */
    Val taken;     /* t: slots that are taken, or segments that are left */
    Val leaf;      /* f: segments that the loop backwards takes at a time */
    Val length;    /* l: steps of a segment */
    Val end;       /* e: the count where the loop ends */
    Val *carry;    /* x */
    Val *slots;    /* s: [Slots, ...] of each carry, to be stored in */
    Val *kept;     /* k: the same, to be read */
    Val *adjoint;  /* d: of the formals that wrt marks; of a constant, the sum so far */
    Val *constant; /* c */
} Vars;

#define RunCarries "xn"
#define RunGiven "ec"

typedef struct Loop { /* functions of a while */
    const Fn *test, *body;
    const char *carries, *given;
} Loop;

/* What the functions of a while are made for. */
typedef struct Making {
    Program *p;
    const Ins *ins; /* the while */
    Region g;
    const Fn *advance;      /* a step and the count of it */
    const bool *wrt, *want; /* formals and results of the body, for the backward part */
    Sym label;
} Making;

typedef enum Going {
    ToEnd,  /* count < end */
    ToTest, /* the same, and the test of the region */
    ToFull, /* a slot is free, and the test */
    ToLast, /* the test of the region */
    DownTo, /* end < count */
} Going;

/* ---- while_loop.c ---- */
Type while_formal(const Making *q, uint32_t k);
Type while_count_type(const Making *q);
Vars while_vars(const Making *q);
/* A function of what the loop carries and is given, which become v. */
Builder *while_begin(const Making *q, const char *suffix, const Loop *l, Vars *v);
const Fn *while_end(const Making *q, Builder *b);
/* Its results are what the loop carries. */
const Fn *while_end_body(const Making *q, Builder *b, const Loop *l, Vars *v);
void while_run(const Making *q, Builder *b, const Loop *l, Vars *v); /* the loop from v and to v */
/* What the region's test or body, or another function of its formals, gives at v. */
void while_apply(const Making *q, Builder *b, const Fn *fn, const Vars *v, Val *out);
const Fn *while_going(const Making *q, const Loop *l, Going how);
/* The region up to step `end`. */
Loop while_running(const Making *q, Going how);
/* The carry of this step into slot `at`, a number, which is below Slots and empty. */
void while_store(const Making *q, Builder *b, Vars *v, Val at);
Builder *while_function(const Making *q); /* body_fwd or body_vjp */
Val while_choose(Builder *b, Val c, Val x, Val y); /* numbers */
Val while_op(Builder *b, Op op, Val x, Val y);
Val while_number(const Making *q, Builder *b, int64_t n);
/* x as the index of a slot, which it is. */
Val while_slot(const Making *q, Builder *b, Val x);

#endif
