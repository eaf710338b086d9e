/* Shared by the files of the printer. */
#ifndef BPC_PRINT_H
#define BPC_PRINT_H

#include "ir/ir.h"

/* A literal, by the type that it has. */
void print_num(Text *out, DType dt, Num x);
/* For each value: a constant that is written as a literal where it is used, on no line of its own.
 * In scratch. */
const bool *print_inlined(const Program *p, const Fn *fn);

typedef struct Printer {
    const Program *p;
    const Fn *fn;
    const Sym *names;
    const bool *inlined;
    Text *out;
    bool rule; /* of a rule, whose marks have no line */
} Printer;
Printer printer_of(const Program *p, const Fn *fn, Text *out);
void add_origin(Text *out, Loc loc, Sym rule);
/* The lines of a body. */
void print_lines(const Printer *w);
/* The rules of a function, if it has any. */
void print_rules(const Program *p, const Fn *fn, Text *out);
/* The line of an instruction (with all its results) without indentation and newline. */
void print_line(const Printer *w, Val v);

#endif
