/* One invocation of a trainer, from the command line to the exit status. The `main` symbol is in
 * entry.c, so that the compiler, which runs programs in its own process, can link the rest. */
#include "runtime/trainer.h"

#include <stdlib.h>

Exit run_error(const Run *r, Exit status, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: error: ", r->m->name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return status;
}

static uint64_t weights_seed(const Run *r) {
    if (r->o.has_seed) return r->o.seed;
    return r->m->nstages && r->m->stages[0].has_seed ? r->m->stages[0].seed : 0;
}

static void print_chunks(const Run *r) {
    const int64_t *chunks = pool_chunks(r->pool, r->arena);
    for (int32_t i = 0; i < r->env.threads; i++) {
        fprintf(stderr, "thread %d: %lld chunks\n", (int)i, (long long)chunks[i]);
    }
}

static Exit run_verb(Run *r) {
    int32_t threads = r->o.threads ? (int32_t)r->o.threads : cpu_count();
    r->pool = pool_new(threads, &r->env);
    if (!r->pool) return run_error(r, ExitData, "out of memory");
    uint64_t fp = fp_enter();
    r->seed = weights_seed(r);
    Exit e = r->o.verb == VerbCall   ? verb_call(r)
             : r->o.verb == VerbEval ? verb_eval(r)
                                     : verb_train(r);
    fp_leave(fp);
    const char *stats = getenv("BPRT_STATS");
    if (stats && *stats && strcmp(stats, "0")) print_chunks(r);
    feed_free(r);
    mem_free_all(r);
    pool_free(r->pool);
    return e;
}

int bprt_main(const BpProgram *program, int argc, char **argv) {
    Run r = {.program = program, .arena = arena_new(), .scratch = arena_new()};
    const char *error;
    Exit e;
    r.m = mf_read(r.arena, program->manifest, &error);
    if (!r.m) {
        fprintf(stderr, "%s: error: %s\n", argc ? argv[0] : "bprt", error);
        e = ExitUsage;
    } else if (!options_parse(&r.o, r.arena, r.m, argc, argv)) {
        e = ExitUsage;
    } else if (r.o.help) {
        options_help(r.m, r.arena);
        e = ExitOk;
    } else {
        e = run_verb(&r);
    }
    if (fflush(stdout) && !e) {
        perror("standard output");
        e = ExitData;
    }
    arena_free(r.scratch);
    arena_free(r.arena);
    return (int)e;
}
