/* The program's arrays and the calls of its compiled functions. A function's arguments bind by
 * name (docs/manifest.md): state, hyperparameters, train.*, data statistics; what is left is a
 * batch's field or a user's argument and gets an array of its own. */
#include "runtime/runtime.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { Align = 64 };
static const size_t huge_page = (size_t)2 << 20;

static void *map_huge(size_t bytes) {
    char *p =
        mmap(NULL, bytes + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = (huge_page - (uintptr_t)p % huge_page) % huge_page;
    if (before) munmap(p, before);
    if (before < huge_page) munmap(p + before + bytes, huge_page - before);
    madvise(p + before, bytes, MADV_HUGEPAGE);
    return p + before;
}

void *mem_new(Run *r, size_t bytes) {
    MemBlock b = {0};
    bool huge = bytes >= huge_page;
    size_t unit = huge ? huge_page : Align;
    if (!size_add(bytes, unit, &b.bytes)) b.bytes = SIZE_MAX - unit;
    b.bytes = (b.bytes - (bytes > 0)) / unit * unit;
    b.data = huge ? map_huge(b.bytes) : aligned_alloc(Align, b.bytes);
    if (!b.data) {
        run_error(r, ExitData, "out of memory: %zu bytes asked for", bytes);
        exit(ExitData);
    }
    if (!huge) memset(b.data, 0, b.bytes);
    vec_push(r->arena, &r->blocks, b);
    return b.data;
}

void mem_free_all(Run *r) {
    for (uint32_t i = 0; i < r->blocks.len; i++) {
        MemBlock b = r->blocks.data[i];
        if (b.bytes >= huge_page)
            munmap(b.data, b.bytes);
        else
            free(b.data);
    }
    r->blocks.len = 0;
}

void hyper_text(char *buf, const MfHyper *h, double value) {
    if (h->dt == F64)
        print_f64(buf, value);
    else if (h->dt == F32 || h->dt == BF16)
        print_f32(buf, (float)value);
    else if (h->dt == BOOL)
        strcpy(buf, value != 0 ? "true" : "false");
    else
        snprintf(buf, 32, "%lld", (long long)value);
}

/* What the name of an argument stands for in the program; NULL: a field or a user's argument. */
static void *bound(Run *r, MfVar arg, MfType *type) {
    *type = (MfType){.dt = I64, .size = 1};
    if (!strcmp(arg.name, "train.step")) return &r->step;
    if (!strcmp(arg.name, "train.steps")) return &r->steps;
    if (!strcmp(arg.name, "train.key")) return &r->key;
    for (uint32_t i = 0; !strncmp(arg.name, "hyper.", 6) && i < r->m->nhypers; i++) {
        if (strcmp(arg.name + 6, r->m->hypers[i].name)) continue;
        void *value = mem_new(r, sizeof(double));
        type->dt = arg.type.dt;
        mf_store(arg.type.dt, value, 0, r->o.hypers[i]);
        return value;
    }
    for (uint32_t i = 0; i < r->finals.len; i++) {
        if (strcmp(arg.name, r->finals.data[i].name)) continue;
        *type = r->finals.data[i].type;
        return r->finals.data[i].data;
    }
    for (uint32_t i = 0; i < r->m->nstate + r->stats.len; i++) {
        const Slot *s = i < r->m->nstate ? &r->state[i] : &r->stats.data[i - r->m->nstate];
        if (strcmp(arg.name, s->name)) continue;
        *type = s->type;
        return s->data;
    }
    return NULL;
}

static bool is_state(const Run *r, const void *data) {
    const unsigned char *p = data;
    return p >= r->state_base && p < r->state_base + r->state_bytes;
}

/* Results without alias that follow the order of the state arguments are copied back. */
static void find_copies(const Run *r, Call *c) {
    const MfFn *f = c->fn;
    c->copies = arena_array(r->arena, f->nargs, sizeof *c->copies);
    for (uint32_t i = 0, result = 0; i < f->nargs && result < f->nresults; i++) {
        if (!is_state(r, c->args[i])) continue;
        size_t bytes = mf_bytes(f->args[i].type);
        void *from = c->args[f->nargs + result];
        if (from != c->args[i] && bytes == mf_bytes(f->results[result].type)) {
            c->copies[c->ncopies].to = c->args[i];
            c->copies[c->ncopies].from = from;
            c->copies[c->ncopies++].bytes = bytes;
        }
        result++;
    }
}

Call *call_new(Run *r, int64_t fn, void *const *outs) {
    const MfFn *f = &r->m->fns[fn];
    Call *c = NEW(r->arena, Call);
    *c = (Call){.fn = f, .entry = r->program->entries[fn]};
    c->args = NEW_ARRAY(r->arena, void *, (size_t)f->nargs + f->nresults);
    c->open = NEW_ARRAY(r->arena, uint32_t, f->nargs);
    for (uint32_t i = 0; i < f->nargs; i++) {
        MfType t;
        c->args[i] = bound(r, f->args[i], &t);
        if (c->args[i] && (t.dt != f->args[i].type.dt || !mf_same_shape(t, f->args[i].type))) {
            run_error(r, ExitData, "'%s' is %s, but '%s' takes %s", f->args[i].name,
                      mf_type_text(r->arena, t), f->name, mf_type_text(r->arena, f->args[i].type));
            return NULL;
        }
        if (c->args[i]) continue;
        if (strchr(f->args[i].name, '.')) {
            run_error(r, ExitData, "'%s' takes '%s', which the program does not have", f->name,
                      f->args[i].name);
            return NULL;
        }
        c->open[c->nopen++] = i;
        c->args[i] = mem_new(r, mf_bytes(f->args[i].type));
    }
    for (uint32_t i = 0; i < f->nresults; i++) {
        const MfResult *res = &f->results[i];
        c->args[f->nargs + i] = res->alias >= 0 ? c->args[res->alias]
                                : outs          ? outs[i]
                                                : mem_new(r, mf_bytes(res->type));
    }
    return c;
}

Call *step_new(Run *r, int64_t fn) {
    Call *c = call_new(r, fn, NULL);
    if (c) find_copies(r, c);
    return c;
}

void call_run(Run *r, const Call *c) {
    c->entry(c->args, r->work, &r->env);
    for (uint32_t i = 0; i < c->ncopies; i++) {
        memcpy(c->copies[i].to, c->copies[i].from, c->copies[i].bytes);
    }
}

bool is_optimizer_state(const char *path) {
    return arg_class(path) == ArgOptimizer;
}

static const Slot *find_tensor(const Checkpoint *c, const char *name) {
    for (uint32_t i = 0; i < c->n; i++) {
        if (!strcmp(c->tensors[i].name, name)) return &c->tensors[i];
    }
    return NULL;
}

static Exit load_slot(Run *r, const Slot *to, const Slot *from, const char *path) {
    if (!from) return run_error(r, ExitData, "%s: has no tensor '%s'", path, to->name);
    if (from->type.dt != to->type.dt || !mf_same_shape(from->type, to->type)) {
        return run_error(r, ExitData, "%s: '%s' is %s, but the program's is %s", path, to->name,
                         mf_type_text(r->scratch, from->type), mf_type_text(r->scratch, to->type));
    }
    memcpy(to->data, from->data, mf_bytes(to->type));
    return ExitOk;
}

/* A tensor that the program has no place for. */
static Exit unknown_tensor(Run *r, const char *name, const char *path) {
    const char **names = NEW_ARRAY(r->scratch, const char *, r->m->nstate);
    for (uint32_t i = 0; i < r->m->nstate; i++) names[i] = r->state[i].name;
    const char *near = nearest_name(name, names, r->m->nstate);
    return run_error(r, ExitData, "%s: the program has no '%s'%s%s%s", path, name,
                     near ? "; the nearest is '" : "", near ? near : "", near ? "'" : "");
}

static bool is_known(const Run *r, const char *name) {
    if (arg_class(name) == ArgData) return true;
    for (uint32_t i = 0; i < r->m->nstate; i++) {
        if (!strcmp(r->state[i].name, name)) return true;
    }
    return false;
}

Exit state_load(Run *r, const Checkpoint *c, const char *path, bool all) {
    for (uint32_t i = 0; i < c->n; i++) {
        const char *name = c->tensors[i].name;
        if ((all || !is_optimizer_state(name)) && !is_known(r, name)) {
            return unknown_tensor(r, name, path);
        }
    }
    for (uint32_t i = 0; i < r->m->nstate; i++) {
        if (!all && is_optimizer_state(r->state[i].name)) continue;
        Exit e = load_slot(r, &r->state[i], find_tensor(c, r->state[i].name), path);
        if (e) return e;
    }
    return ExitOk;
}

static void place_state(Run *r) {
    const Manifest *m = r->m;
    r->state = NEW_ARRAY(r->arena, Slot, m->nstate);
    size_t at = 0;
    for (uint32_t i = 0; i < m->nstate; i++) at += (mf_bytes(m->state[i].type) / Align + 1) * Align;
    r->state_base = mem_new(r, at);
    r->state_bytes = at;
    at = 0;
    for (uint32_t i = 0; i < m->nstate; i++) {
        r->state[i] = (Slot){m->state[i].name, m->state[i].type, r->state_base + at};
        at += (mf_bytes(m->state[i].type) / Align + 1) * Align;
    }
}

/* Runs the program's init into outs, one per state. */
static Exit run_init(Run *r, void *const *outs) {
    const Manifest *m = r->m;
    int64_t fn = mf_fn_index(m, m->init);
    if (m->fns[fn].nresults != m->nstate) {
        return run_error(r, ExitData, "'%s' does not give the program's state", m->init);
    }
    Call *c = call_new(r, fn, outs);
    if (!c) return ExitData;
    r->key = (int64_t)r->seed;
    call_run(r, c);
    return ExitOk;
}

Exit state_init(Run *r) {
    const Manifest *m = r->m;
    place_state(r);
    uint64_t scratch = 0;
    for (uint32_t i = 0; i < m->nfns; i++) {
        if (m->fns[i].arena > scratch) scratch = m->fns[i].arena;
    }
    r->work = mem_new(r, scratch);
    if (!m->init) return ExitOk;
    void **outs = NEW_ARRAY(r->arena, void *, m->nstate);
    for (uint32_t i = 0; i < m->nstate; i++) outs[i] = r->state[i].data;
    return run_init(r, outs);
}

Exit state_restart_optimizer(Run *r) {
    const Manifest *m = r->m;
    if (!m->init) return ExitOk;
    void **outs = NEW_ARRAY(r->arena, void *, m->nstate);
    for (uint32_t i = 0; i < m->nstate; i++) {
        bool kept = !is_optimizer_state(r->state[i].name);
        outs[i] = kept ? mem_new(r, mf_bytes(m->state[i].type)) : r->state[i].data;
    }
    return run_init(r, outs);
}
