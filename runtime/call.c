/* call FN: one exported function on arrays from an npz. */
#include "runtime/data.h"
#include "runtime/trainer.h"

#include <stdlib.h>

enum { SmallResult = 64 }; /* elements that are printed */

static int64_t find_export(const Run *r) {
    int64_t i = mf_fn_index(r->m, r->o.subject ? r->o.subject : "");
    if (i >= 0 && r->m->fns[i].exported) return i;
    const char **names = NEW_ARRAY(r->arena, const char *, r->m->nfns + 1);
    uint32_t n = 0;
    for (uint32_t k = 0; k < r->m->nfns; k++) {
        if (r->m->fns[k].exported) names[n++] = r->m->fns[k].name;
    }
    const char *near = r->o.subject ? nearest_name(r->o.subject, names, n) : NULL;
    run_error(r, ExitUsage, "no exported function '%s'%s%s%s", r->o.subject ? r->o.subject : "",
              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return -1;
}

/* Datasets whose statistics the function asks for. */
static bool wants_data(const Run *r, const MfFn *fn, bool *wanted) {
    bool any = false;
    for (uint32_t i = 0; i < fn->nargs; i++) {
        for (uint32_t d = 0; d < r->m->ndatasets; d++) {
            const char *name = r->m->datasets[d].name;
            size_t n = strlen(name);
            const char *arg = fn->args[i].name;
            if (!strncmp(arg, "data.", 5) && !strncmp(arg + 5, name, n) && arg[5 + n] == '.')
                any = wanted[d] = true;
        }
    }
    return any;
}

/* Statistics of a checkpoint, so that no data need be read. */
static bool saved_stats(Run *r, const Checkpoint *c) {
    bool any = false;
    for (uint32_t i = 0; i < c->n; i++) {
        if (arg_class(c->tensors[i].name) != ArgData) continue;
        vec_push(r->arena, &r->stats, c->tensors[i]);
        any = true;
    }
    return any;
}

static Exit prepare(Run *r, const MfFn *fn, Checkpoint *c) {
    Exit e = state_init(r);
    bool *wanted = NEW_ARRAY(r->arena, bool, r->m->ndatasets + 1);
    bool stats = wants_data(r, fn, wanted);
    if (e == ExitOk && r->o.ckpt) {
        const char *wrong = ck_read(r->arena, r->o.ckpt, c);
        if (wrong) return run_error(r, ExitData, "%s: %s", r->o.ckpt, wrong);
        e = state_load(r, c, r->o.ckpt, false);
        if (e == ExitOk && stats) stats = !saved_stats(r, c);
    }
    return e == ExitOk && stats ? feed_read(r, wanted, NULL) : e;
}

static Exit fill_arguments(Run *r, const Call *c) {
    Npz in = {0};
    Text err = {0};
    if (r->o.in && !npz_read(r->arena, r->o.in, &in, &err)) {
        fprintf(stderr, "%s\n", err.data);
        free(err.data);
        return ExitData;
    }
    for (uint32_t i = 0; i < c->nopen; i++) {
        const MfVar *arg = &c->fn->args[c->open[i]];
        const Array *x = npz_find(&in, arg->name);
        const char *type = mf_type_text(r->arena, arg->type);
        if (!x) {
            return run_error(r, ExitUsage, "argument '%s' of type %s is missing%s%s", arg->name,
                             type, r->o.in ? " in " : "; give arrays with --in FILE.npz",
                             r->o.in ? r->o.in : "");
        }
        if (array_convert(r->arena, x, arg->type, c->args[c->open[i]], &err)) continue;
        Exit e = run_error(r, ExitData, "%s: %s", r->o.in, err.data);
        free(err.data);
        return e;
    }
    for (uint32_t i = 0; i < in.n; i++) {
        bool used = false;
        for (uint32_t k = 0; k < c->nopen; k++)
            used |= !strcmp(c->fn->args[c->open[k]].name, in.arrays[i].name);
        if (!used)
            fprintf(stderr, "%s: warning: %s: '%s' is no argument of %s\n", r->m->name, r->o.in,
                    in.arrays[i].name, c->fn->name);
    }
    return ExitOk;
}

static Exit give_results(Run *r, const Call *c) {
    const MfFn *fn = c->fn;
    Array *out = NEW_ARRAY(r->arena, Array, fn->nresults + 1);
    for (uint32_t i = 0; i < fn->nresults; i++) {
        const char *name = arena_printf(r->arena, "out%u", i);
        void *data = c->args[fn->nargs + i];
        out[i] = (Array){.name = name, .type = fn->results[i].type, .data = data};
        if (r->o.out && fn->results[i].type.size > SmallResult) continue;
        Text t = {0};
        print_array(&t, r->arena, name, fn->results[i].type, data);
        fputs(t.data ? t.data : "", stdout);
        if (t.len && t.data[t.len - 1] != '\n') fputc('\n', stdout);
        free(t.data);
    }
    Text err = {0};
    if (!r->o.out || npz_write(r->arena, r->o.out, out, fn->nresults, &err)) return ExitOk;
    fprintf(stderr, "%s\n", err.data);
    free(err.data);
    return ExitData;
}

Exit verb_call(Run *r) {
    int64_t at = find_export(r);
    if (at < 0) return ExitUsage;
    const MfFn *fn = &r->m->fns[at];
    Checkpoint ck = {0};
    Exit e = prepare(r, fn, &ck);
    void **outs = NEW_ARRAY(r->arena, void *, fn->nresults + 1);
    for (uint32_t i = 0; i < fn->nresults; i++) outs[i] = mem_new(r, mf_bytes(fn->results[i].type));
    Call *c = e == ExitOk ? call_new(r, at, outs) : NULL;
    if (e == ExitOk && !c) e = ExitData;
    if (e == ExitOk) e = fill_arguments(r, c);
    r->key = (int64_t)r->seed;
    if (e == ExitOk) {
        call_run(r, c);
        e = give_results(r, c);
    }
    ck_free(&ck);
    return e;
}
