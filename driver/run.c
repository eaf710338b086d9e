/* run and call: the program compiled into this process, then the trainer's own command line. */
#include "driver/driver.h"
#include "runtime/bprt.h"

#include <stdlib.h>

/* Only the function that is called is compiled; without it, all are, and the program tells them. */
static void only_called(Program *p, const char *name) {
    const Fn *called = program_fn(p, sym(p->cx, name));
    if (!called || !called->exported) return;
    for (uint32_t i = 0; i < p->fns.len; i++) {
        p->fns.data[i]->exported = p->fns.data[i] == called;
    }
}

/* What the first step of training, or the call, needs. */
static void needed_first(const Options *o, const Program *p, CgOptions *c) {
    Arena *a = o->cx->arena;
    VEC(Sym) first = {0};
    vec_push(a, &first, o->fn ? sym(o->cx, o->fn) : p->init);
    if (!o->fn && p->stages.len) {
        const Stage *s = p->stages.data[0];
        vec_push(a, &first, s->step);
        vec_push(a, &first, s->accum);
    }
    for (uint32_t i = 0; !o->fn && i < p->datasets.len; i++) {
        vec_push(a, &first, p->datasets.data[i]->row);
    }
    c->part = CgFirst;
    c->first = first.data;
    c->nfirst = first.len;
}

static Cg *compile_jit(const Options *o, Program *p) {
    CgOptions c = {.level = (int)o->level,
                   .cpu = o->cpu,
                   .triple = o->triple,
                   .threads = (uint32_t)cpu_count(),
                   .cache = true};
    needed_first(o, p, &c);
    return compile_with(o, p, &c);
}

static int run_program(Options *o, const char *const *head, uint32_t nhead) {
    Arena *a = o->cx->arena;
    Program *p = compile_front(o, false);
    if (p && o->fn) only_called(p, o->fn);
    Cg *cg = p && compile_passes(o, p, NULL) ? compile_jit(o, p) : NULL;
    Jit *jit = cg ? jit_new(cg) : NULL;
    double start = now_seconds();
    const BpProgram *program = jit ? jit_symbol(jit, "bp_program") : NULL;
    if (program) cx_took(o->cx, start, "link");
    int status = compile_report(o);
    if (!program) return status ? status : ExitError;
    char **argv = NEW_ARRAY(a, char *, nhead + o->rest.len + 2);
    int argc = 0;
    argv[argc++] = arena_strndup(a, p->name, strlen(p->name));
    for (uint32_t i = 0; i < nhead; i++) argv[argc++] = (char *)head[i];
    for (uint32_t i = 0; i < o->rest.len; i++) argv[argc++] = (char *)o->rest.data[i];
    status = bprt_main(program, argc, argv);
    jit_free(jit);
    cg_free(cg);
    return status;
}

int command_run(Options *o) {
    return run_program(o, NULL, 0);
}

int command_call(Options *o) {
    if (!o->fn) {
        diag_error(o->cx, (Loc){0}, "bpc call FILE.bp FN: the function is missing");
        return compile_report(o);
    }
    const char *head[] = {"call", o->fn};
    int status = run_program(o, head, LEN(head));
    bool trainers = status == 2 || status == 3; /* command line, data: docs/cli.md */
    return trainers ? ExitError : status;
}
