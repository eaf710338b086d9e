/* The tests of every row of ops.def. There is no code for any one operation: operands and
 * attributes are drawn until the row's own shape rule accepts them. */
#ifndef BPC_RULES_TEST_H
#define BPC_RULES_TEST_H

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/passes.h"

typedef struct Suite {
    Cx *cx;
    Program *p; /* its rules are those of std/rules.bp */
    Arena *a;   /* of tensors */
    uint64_t key;
    unsigned passed, failed;
} Suite;

/* One well-typed use of an operation. */
typedef struct Instance {
    Op op;
    uint32_t n;
    Type args[MaxOperands], result;
    Attr attrs[MaxAttrs];
    Fn *fn;         /* params are the operands, the result is the operation's */
    Tensor *inputs; /* from the row's domain */
} Instance;

void check(Suite *s, bool ok, const char *fmt, ...) PRINTF_LIKE(3, 4);
uint64_t draw(Suite *s, uint64_t below);
double draw_unit(Suite *s); /* in [0, 1) */
/* "mul(f64[3], f64[3])" */
const char *instance_text(Suite *s, const Instance *x);

/* ---- instances.c ---- */
/* Up to `most` different instances with floats of type dt. */
uint32_t instances_draw(Suite *s, Op op, DType dt, Instance *out, uint32_t most);
Tensor draw_tensor(Suite *s, Type t, Domain d);

/* ---- compiled.c ---- */
/* Generated code against the interpreter, all instances in one program. */
void check_compiled(Suite *s, const Instance *x, uint32_t n, int level, const char *cpu);

/* ---- derivatives.c ---- */
/* The rules of an f64 instance: numerically, mode against mode, and differentiated once more. */
void check_derivatives(Suite *s, const Instance *x);

#endif
