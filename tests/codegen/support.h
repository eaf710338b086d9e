/* What the tests of codegen share: functions written through the builder are compiled at every
 * level and for two targets, run in memory that ends at a guard page with a poisoned arena, and
 * compared with the rounding interpreter bit by bit. */
#ifndef BPC_TESTS_CODEGEN_SUPPORT_H
#define BPC_TESTS_CODEGEN_SUPPORT_H

#include "codegen/codegen.h"
#include "passes/passes.h"
#include "runtime/bprt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants the headers above */
#include <cmocka.h>

/* Adds exported functions to a program. Names say what is demanded of the results: "near_..." is
 * within a few units in the last place of the interpreter, "same_..." only of equal bits however
 * it is compiled, any other has the interpreter's bits. The first letter of a parameter's name says
 * what is drawn: 's' special values, all pairs of them for two parameters of 256 elements or more;
 * 'a' 'p' 'n' 'u' the domains Any, Positive, Nonzero and Unit. */
typedef void Write(Program *p);

/* Compiles and runs it all; fails on the first element that is wrong. Gives the largest number of
 * chunks that a kernel was cut into. */
int64_t compare(Write *write);

Builder *fn_open(Program *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
void fn_done(Program *p, Builder *b, Val result);
Type type_in(Program *p, DType dt, uint32_t rank, const int64_t *dim);
/* dims(p, F32, 2, 3, 4): f32[3, 4]. */
Type dims(Program *p, DType dt, uint32_t rank, ...);
Val arg(Program *p, Builder *b, const char *name, Type type);
Val op1(Builder *b, Op op, Val x);
Val op2(Builder *b, Op op, Val x, Val y);
/* An operation of one operand with up to three attributes that are lists of n numbers. */
Val op_ints(Program *p, Builder *b, Op op, Val x, uint32_t n, const int64_t *first,
            const int64_t *second, const int64_t *third);

/* ---- one program compiled one way ---- */
typedef struct Compiled {
    Cx *cx;
    Program *p;
    Cg *cg;
    Jit *jit;
} Compiled;
Compiled compile(Write *write, CgOptions o);
void compiled_free(Compiled *c);
BpEntry *entry_of(const Compiled *c, const char *fn);
/* Declared intrinsics are those of the numerical contract, and no instruction is marked fast.
 * object: nor does the object file need a symbol. */
void check_module(const Compiled *c, bool object);

/* ---- memory ---- */
/* Bytes that end at an unreadable page; filled with `fill`. */
typedef struct Guarded {
    unsigned char *at;
    size_t bytes, mapped;
} Guarded;
Guarded guarded_new(size_t bytes, int fill);
void guarded_free(Guarded *g);

#endif
