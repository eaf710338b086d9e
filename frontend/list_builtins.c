/* The second half of --list-ops: the functions of frontend/builtins.def. */
#include "frontend/frontend.h"

void list_builtins(Text *out) {
    static const char *const rows[][2] = {
#define NEAR(name, run, signature, help) {signature, help},
#include "frontend/builtins.def"
    };
    static const char *const known[][2] = {
#define KNOWN(name, run, nargs, kinds, signature, help) {signature, help},
#include "frontend/builtins.def"
    };
    text_add(out, "\nnear-primitives:\n");
    for (size_t i = 0; i < LEN(rows); i++) text_add(out, "  %-57s %s\n", rows[i][0], rows[i][1]);
    text_add(out, "\nknown at compile time:\n");
    for (size_t i = 0; i < LEN(known); i++)
        text_add(out, "  %-42s  %s\n", known[i][0], known[i][1]);
}
