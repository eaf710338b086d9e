/* Shared by the files of shape rules. A check gives NULL or the text of an error. */
#ifndef BPC_INFER_H
#define BPC_INFER_H

#include "ir/ir.h"

#define OP(name, cls, args, attrs, rule, ...) const char *rule(Infer *q);
#include "ir/ops.def"

#define INFER_FAIL(q, ...) arena_printf((q)->cx->arena, __VA_ARGS__)

const char *infer_text(const Infer *q, uint32_t arg);    /* the operand's type */
const char *infer_operand(const Infer *q, uint32_t arg); /* its name */
const char *infer_need(const Infer *q, uint32_t arg, bool ok, const char *what);
/* The result: dtype and range of `like` with these dimensions. */
const char *infer_shape(Infer *q, Type like, const int64_t *dim, uint32_t rank);
/* Counts a negative axis from the end and checks it against the operand. */
const char *infer_axis(const Infer *q, int64_t *axis, uint32_t arg);
/* The same for a list of axes of operand 0, sorted (none given: all); marks them in taken. */
const char *infer_axes(Infer *q, Attr *attr, bool *taken);

#endif
