/* Shared by the files of the verifier. */
#ifndef BPC_VERIFY_H
#define BPC_VERIFY_H

#include "ir/ir.h"

/* Reports the value of the function and stops. */
#define VERIFY(p, fn, v, ok, ...)                                                                  \
    do {                                                                                           \
        if (!(ok)) verify_fail((p), (fn), (v), __VA_ARGS__);                                       \
    } while (0)
NORETURN void verify_fail(const Program *p, const Fn *fn, Val v, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

void verify_kernels(const Program *p, const Fn *fn);
void verify_plan(const Program *p, const Fn *fn);
/* An instruction of ClsCall or ClsOperator, and its results, against the function that it names. */
void verify_call(const Program *p, const Fn *fn, Val v);
void verify_region(const Program *p, const Fn *fn, Val v); /* the same for ClsRegion */

#endif
