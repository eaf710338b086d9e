/* driver: the bpc command. One option table, one file per verb. */
#ifndef BPC_DRIVER_H
#define BPC_DRIVER_H

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/passes.h"

typedef enum Output { OutTrainer, OutObject, OutShared, OutAssembly, OutLlvm, OutStage } Output;

typedef struct Options {
    Cx *cx;
    const char *verb;                    /* "run" "call" "check" ..., NULL: compile */
    const char *file, *out, *stage, *fn; /* stage: of --emit; fn: of call, trace; the
                                            parameter of explain */
    Output output;
    int64_t level, limit, memory; /* memory: bytes, 0: any */
    const char *cpu, *triple, *libdir, *color, *format;
    const char *emit_after, *stop_after;
    VEC(const char *) defines, includes, rest; /* rest: arguments for the program, files of fmt,
                                                rows of check --rules */
    bool debug, float64, verify_each, time, tune, verbose, save_temps, help, version, list_ops,
        list_passes, rules, check_only, print_man, print_completions;
} Options;

enum { ExitOk = 0, ExitError = 1 };

/* ---- options.c ---- */
/* Fills o from the command line; errors go to o->cx. */
void command_parse(Options *o, int argc, char **argv);

/* ---- help.c ---- */
void command_help(FILE *out, const char *verb); /* verb: NULL or one of the table */
void command_man(FILE *out);
void command_completions(FILE *out); /* of bash */

/* ---- compile.c ---- */
/* The program of o->file; NULL after errors. check: training mode, f64. */
Program *compile_front(Options *o, bool check);
/* Passes up to stop (NULL: all); false after errors. */
bool compile_passes(const Options *o, Program *p, const char *stop);
/* cg_build, after measuring where the user asks for it. */
Cg *compile_with(const Options *o, Program *p, CgOptions *c);
Cg *compile_code(const Options *o, Program *p, bool library);
/* Renders diagnostics; ExitOk without errors. */
int compile_report(Options *o);
/* The name of what is made of the file: without folder and .bp. */
const char *base_name(const Options *o);
/* Writes text to -o or standard output. */
bool write_output(const Options *o, const char *path, const char *text, size_t len);

/* ---- svg.c ---- */
bool svg_of_dot(const Options *o, const char *dot, size_t len, Text *out);

/* ---- one file per verb ---- */
int command_compile(Options *o); /* build.c */
int command_emit(Options *o);    /* emit.c */
int command_run(Options *o);     /* run.c */
int command_call(Options *o);    /* run.c */
int command_check(Options *o);   /* check.c */
int command_fmt(Options *o);     /* fmt.c */
int command_trace(Options *o);   /* trace.c */
int command_explain(Options *o); /* explain.c */

#endif
