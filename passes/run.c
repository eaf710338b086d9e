/* Runs the table of passes.def: checks what each needs, times it, verifies and dumps what it made.
 * An internal error in a pass leaves its input in bpc-crash.bp. */
#include "passes/passes.h"

#include <stdlib.h>

const PassInfo passes[] = {
#define PASS(name, run, needs, gives, level, help) {#name, run, needs, gives, level, help},
#define ORDER(a, b, reason)
#include "passes/passes.def"
};
const uint32_t npasses = LEN(passes);

static const struct {
    const char *before, *after, *reason;
} orders[] = {
#define PASS(name, ...)
#define ORDER(a, b, reason) {#a, #b, reason},
#include "passes/passes.def"
};

static uint32_t pass_index(const char *name) {
    uint32_t i = 0;
    while (i < npasses && strcmp(passes[i].name, name)) i++;
    return i;
}

/* The table against itself: rows stand where ORDER wants them, and find what they need whichever
 * optional passes are left out. */
static void check_table(Cx *cx) {
    for (size_t k = 0; k < LEN(orders); k++) {
        uint32_t a = pass_index(orders[k].before), b = pass_index(orders[k].after);
        if (a >= b || b == npasses) {
            BUG(cx, "pass '%s' must stand before '%s': %s", orders[k].before, orders[k].after,
                orders[k].reason);
        }
    }
    unsigned has = 0;
    for (uint32_t i = 0; i < npasses; i++) {
        if (passes[i].needs & ~has) BUG(cx, "pass '%s' stands too early", passes[i].name);
        if (passes[i].level && passes[i].gives != has) {
            BUG(cx, "pass '%s' is optional but changes what holds", passes[i].name);
        }
        has = passes[i].gives;
    }
}

static bool known_pass(Cx *cx, const char *option, const char *name) {
    if (!name || pass_index(name) < npasses) return true;
    const char *names[LEN(passes)];
    for (uint32_t i = 0; i < npasses; i++) names[i] = passes[i].name;
    diag_unknown(cx, (Loc){0}, name, names, npasses, "%s=%s: there is no such pass", option, name);
    return false;
}

static void check_needs(Program *p, const PassInfo *pass) {
    for (uint32_t i = 0; i < p->fns.len; i++) {
        const Fn *fn = p->fns.data[i];
        if ((fn->props & pass->needs) != pass->needs) {
            bug_at(p->cx, fn->loc, "fn %s is not ready for pass '%s'", fn->name, pass->name);
        }
    }
}

static void set_props(Program *p, unsigned props) {
    for (uint32_t i = 0; i < p->fns.len; i++) p->fns.data[i]->props = props;
}

static void print_to(const Program *p, FILE *out) {
    Text t = {0};
    print_program(p, &t);
    fwrite(t.data ? t.data : "", 1, t.len, out);
    free(t.data);
}

/* Called by BUG(). data: the program as it was before the pass. */
static void crash_dump(void *data) {
    const Program *p = data;
    p->cx->crash_dump = NULL; /* printing a broken program may fail too */
    FILE *out = fopen("bpc-crash.bp", "w");
    if (!out) return;
    print_to(p, out);
    fclose(out);
    fprintf(stderr, "bpc: the input of the pass is in bpc-crash.bp\n");
}

/* What a later pass cannot change: it builds new functions and replaces the pointers. */
static Program snapshot(const Program *p) {
    Program s = *p;
    s.fns.data = NEW_ARRAY(p->cx->arena, Fn *, p->fns.len);
    copy_bytes(s.fns.data, p->fns.data, p->fns.len * sizeof *s.fns.data);
    return s;
}

static void verify(const Program *p, const PassOptions *o) {
    bool wanted = o->verify_each;
#ifndef NDEBUG
    wanted = true;
#endif
    if (wanted) verify_program(p);
}

static bool run_one(Program *p, const PassInfo *pass, const PassOptions *o) {
    Cx *cx = p->cx;
    Program input = snapshot(p);
    cx->pass = pass->name;
    cx->crash_dump = crash_dump;
    cx->crash_data = &input;
    check_needs(p, pass);
    uint32_t errors = cx->errors;
    double start = now_seconds();
    pass->run(p);
    cx_took(cx, start, pass->name);
    arena_reset(cx->scratch);
    bool ok = cx->errors == errors;
    if (ok) {
        set_props(p, pass->gives);
        verify(p, o);
        if (o->emit_after && !strcmp(o->emit_after, pass->name)) print_to(p, o->out);
    }
    cx->crash_dump = NULL;
    cx->crash_data = NULL;
    cx->pass = NULL;
    return ok;
}

void list_passes(Text *out) {
    for (uint32_t i = 0; i < npasses; i++) {
        text_add(out, "%-14s -O%d  %s\n", passes[i].name, passes[i].level, passes[i].help);
    }
}

static bool run_table(Program *p, const PassOptions *o) {
    int64_t left = o->limit;
    for (uint32_t i = 0; i < npasses; i++) {
        const PassInfo *pass = &passes[i];
        bool last = o->stop_after && !strcmp(o->stop_after, pass->name);
        if (pass->level <= o->level) {
            if (left == 0) break;
            left--;
            if (!run_one(p, pass, o)) return false;
        }
        if (last) break;
    }
    return true;
}

/* As it was before the passes ran, with what the front end has added since. */
static void restore(Program *p, const Program *before) {
    Program now = snapshot(before);
    now.fns.cap = now.fns.len;
    now.rule_fns = p->rule_fns;
    for (uint32_t k = 0; k < p->rule_fns.len; k++) {
        if (!program_fn(&now, p->rule_fns.data[k]->name)) {
            vec_push(p->cx->arena, &now.fns, p->rule_fns.data[k]);
        }
    }
    *p = now;
}

bool passes_run(Program *p, const PassOptions *o) {
    check_table(p->cx);
    if (!known_pass(p->cx, "--emit-after", o->emit_after)) return false;
    if (!known_pass(p->cx, "--stop-after", o->stop_after)) return false;
    p->memory.budget = o->memory;
    p->memory.apart = o->apart;
    Program before = snapshot(p);
    uint32_t most = 1, best = 1;
    uint64_t least = UINT64_MAX;
    for (uint32_t levels = 1; levels <= most; levels++) {
        if (levels > 1) restore(p, &before);
        p->memory.levels = levels;
        if (!run_table(p, o)) return false;
        if (within_budget(p)) return true;
        if (levels == 1) most = most_levels(p);
        uint64_t needs = largest_entry(p);
        if (needs < least) best = levels;
        if (needs < least) least = needs;
    }
    restore(p, &before);
    p->memory.levels = best;
    return run_table(p, o) && report_budget(p);
}
