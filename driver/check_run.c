/* Functions evaluated: small ones by the interpreter, which knows complex numbers, large ones
 * compiled in f64. */
#include "driver/check.h"
#include "runtime/bprt.h"

struct Code {
    Cg *cg;
    Jit *jit;
};

/* ---- how much work ---- */

/* ---- compiling ---- */

static void *room(Arena *a, uint64_t bytes) {
    char *at = arena_alloc(a, (size_t)bytes + 128);
    return at + (64 - (uintptr_t)at % 64) % 64;
}

/* The program with nothing to run but the runs, under names, in copies that passes may change. */
static Program *alone(const Program *p, Runner *const *runs, uint32_t n, Sym *names) {
    Arena *a = p->cx->arena;
    Program *q = NEW(a, Program);
    *q = *p;
    q->stages.len = q->datasets.len = q->state.len = q->hypers.len = 0;
    q->stages.cap = q->datasets.cap = q->state.cap = q->hypers.cap = 0;
    q->init = NULL;
    q->fns.data = NULL;
    q->fns.len = q->fns.cap = 0;
    for (uint32_t i = 0; i < p->fns.len; i++) {
        Fn *f = fn_copy(a, p->fns.data[i]);
        f->exported = false;
        f->donated = NULL;
        vec_push(a, &q->fns, f);
    }
    for (uint32_t i = 0; i < n; i++) {
        Fn *f = runs[i]->watch ? watch_choices(q, runs[i]->fn) : fn_copy(a, runs[i]->fn);
        f->exported = true;
        f->donated = NULL;
        f->name = names[i] = program_fresh(q, sym_fmt(p->cx, "run_%u", i));
        program_add(q, f);
    }
    return q;
}

Code *code_new(Check *c, Runner *const *runs, uint32_t n, int level) {
    Sym *names = NEW_ARRAY(c->p->cx->arena, Sym, n);
    Program *q = alone(c->p, runs, n, names);
    PassOptions po = {.level = 1, .limit = -1, .verify_each = c->o->verify_each};
    if (!passes_run(q, &po)) return NULL;
    CgOptions options = {.level = level, .cpu = c->o->cpu, .library = true};
    Cg *cg = cg_build(q, &options);
    Jit *jit = cg ? jit_new(cg) : NULL;
    if (!jit) return NULL;
    for (uint32_t i = 0; i < n; i++) {
        const Fn *f = program_fn(q, names[i]);
        const char *symbol = arena_printf(c->p->cx->arena, "bp_%s", names[i]);
        runs[i]->entry = (BpEntry *)jit_symbol(jit, symbol);
        runs[i]->scratch = room(c->a, f->plan->arena_bytes);
        if (!runs[i]->entry) BUG(c->p->cx, "%s was not compiled", symbol);
    }
    Code *code = NEW(c->p->cx->arena, Code);
    *code = (Code){cg, jit};
    return code;
}

void code_free(Code *code) {
    if (!code) return;
    jit_free(code->jit);
    cg_free(code->cg);
}

/* ---- running ---- */

/* Numbers as they lie in memory; floats are doubles there but for casts to a narrower type. */
static void *store(Arena *a, const Tensor *t) {
    int64_t n = t->type.shape->size;
    size_t each = dtype_size(t->type.dt);
    char *to = room(a, (uint64_t)n * each);
    if (t->type.dt == F64) copy_bytes(to, t->re, (size_t)n * each);
    else if (t->type.dt == I64) copy_bytes(to, t->i, (size_t)n * each);
    else {
        for (int64_t k = 0; k < n; k++) {
            char *at = to + (size_t)k * each;
            if (t->type.dt == BOOL) *(uint8_t *)at = t->i[k] != 0;
            else if (t->type.dt == I32) memcpy(at, &(int32_t){(int32_t)t->i[k]}, 4);
            else if (t->type.dt == F32) memcpy(at, &(float){(float)t->re[k]}, 4);
            else { /* bf16: the upper half of a float */
                float f = round_bf16((float)t->re[k]);
                memcpy(at, (char *)&f + 2, 2);
            }
        }
    }
    return to;
}

static Tensor load(Arena *a, Type type, const void *from) {
    Tensor t = tensor_new(a, type, false);
    int64_t n = type.shape->size;
    for (int64_t k = 0; k < n; k++) {
        switch (type.dt) {
        case F64: t.re[k] = ((const double *)from)[k]; break;
        case F32: t.re[k] = (double)((const float *)from)[k]; break;
        case BF16: {
            uint32_t bits = (uint32_t)((const uint16_t *)from)[k] << 16;
            float f;
            memcpy(&f, &bits, sizeof f);
            t.re[k] = (double)f;
            break;
        }
        case I32: t.i[k] = ((const int32_t *)from)[k]; break;
        case I64: t.i[k] = ((const int64_t *)from)[k]; break;
        case BOOL: t.i[k] = ((const uint8_t *)from)[k]; break;
        case DTypeCount: break;
        }
    }
    return t;
}

static uint64_t run_compiled(const Runner *r, Arena *results_in, const Tensor *args,
                             Tensor *results) {
    const Fn *fn = r->fn;
    Arena *a = arena_new();
    void **slots = NEW_ARRAY(a, void *, fn->nparams + fn->results.len + 1);
    uint32_t n = 0;
    for (uint32_t k = 0; k < fn->nparams; k++) slots[n++] = store(a, &args[k]);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        Type t = fn->ins.data[fn->results.data[k]].type;
        slots[n++] = room(a, (uint64_t)t.shape->size * dtype_size(t.dt));
    }
    uint64_t *hash = room(a, sizeof *hash);
    slots[n] = hash;
    ((BpEntry *)r->entry)(slots, r->scratch, NULL);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        Type t = fn->ins.data[fn->results.data[k]].type;
        results[k] = load(results_in, t, slots[fn->nparams + k]);
    }
    uint64_t choices = *hash;
    arena_free(a);
    return choices;
}

uint64_t run_function(void *data, Arena *a, const Tensor *args, Tensor *results) {
    const Runner *r = data;
    if (r->entry) return run_compiled(r, a, args, results);
    if (r->watch) return interp_choices(r->c->p, r->fn, a, args, results);
    interp_run(r->c->p, r->fn, InterpF64, a, args, results, NULL);
    return 0;
}
