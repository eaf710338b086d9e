/* The generated code of every row of ops.def; its rules are proven by `bpc check --rules`. */
#ifndef BPC_RULES_TEST_H
#define BPC_RULES_TEST_H

#include "codegen/codegen.h"
#include "driver/instances.h"
#include "frontend/frontend.h"
#include "passes/passes.h"

typedef struct Suite {
    Cx *cx;
    Drawer d; /* its program's rules are those of std/rules.bp */
    unsigned passed, failed;
} Suite;

void check(Suite *s, bool ok, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* ---- compiled.c ---- */
/* Generated code against the interpreter, all instances in one program. */
void check_compiled(Suite *s, const Instance *x, uint32_t n, int level, const char *cpu);

#endif
