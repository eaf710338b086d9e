/* Shared by the tests of the IR: short ways to make types, values and functions. */
#ifndef TEST_IR_SUPPORT_H
#define TEST_IR_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ir/ir.h"

/* A program with a builder `b` of function "f" in it. */
typedef struct Fixture {
    Cx *cx;
    Program *p;
    Builder *b;
} Fixture;
Fixture fixture_open(bool raw);
void fixture_close(Fixture *f);

/* Reads "i32<10>[2, 3]". */
Type type_from(Cx *cx, const char *text);
Attr ints_from(Cx *cx, const char *text); /* "1 2 3" */

Val param(Fixture *f, const char *name, const char *type);
Val num(Fixture *f, const char *type, double v);
Val op(Fixture *f, Op op, uint32_t nargs, ...);            /* values */
Val op_attr(Fixture *f, Op op, Attr attr, Val x);          /* one operand, one attribute */
Val op_given(Fixture *f, Op op, const char *type, Val x);  /* one operand, result type given */

/* The text of the function built so far, with v as its result, without positions. */
const char *text_with(Fixture *f, Val v);

#endif
