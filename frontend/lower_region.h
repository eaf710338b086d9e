/* Bodies of scan, while and run-time if under construction. */
#ifndef BPC_LOWER_REGION_H
#define BPC_LOWER_REGION_H

#include "frontend/lower.h"

typedef struct Import { /* a value of the code around, as a formal */
    Val outer, inner;
} Import;

struct Body {
    Frame *outer, frame;
    Op op;
    Loc loc;
    Root *root;
    VEC(Val) formals; /* carry, then slices of sequences, in order */
    VEC(Import) imports;
    Scope *imported, *own; /* names from outside; names of the body's own level */
    Val key, step, counter; /* formals by which random numbers are drawn, or NoVal */
    int64_t length, axis;   /* of a scan */
    uint32_t nemit;         /* of a scan: names to emit to */
    const Stmt *emitted;    /* the emit statement */
    Value *emits;
};

typedef struct Closed {
    Fn *fn[2];
    bool draws; /* a scan that wants the step's number as its last sequence */
    const Val *constants;
    uint32_t n;
} Closed;

/* A body whose formals may now be added; then body_names makes outer names visible in its frame. */
Body *body_open(Frame *f, Loc loc, Op op);
/* The shape of a scan's step number: ones up to the axis, along which the numbers are stacked (then
 * that one is the length). */
const Shape *step_shape(Cx *cx, int64_t axis, bool stacked, int64_t length);
void body_names(Body *b);
/* The functions, and the constants that they take after their own formals. other: the second
 * function of the region, or NULL; it has the same formals. */
void body_close(Body *b, Body *other, const char *const *suffix, Closed *out);

#endif
