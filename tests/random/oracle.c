/* What every exported function of a .bp file computes, in every way that it can be computed:
 *
 *   oracle FILE.bp SEED JIT-LEVEL [LEVEL[,CPU]=LIBRARY.so ...]
 *
 * The rounding interpreter is the reference. Generated code must give its bits where no elementary
 * function takes part, else the same bits everywhere, within what rounding explains of the
 * reference; so must the f64 interpreter. The stages ir, grad and opt must print, parse and print
 * as the same text and compute the same bits. Buffers are guarded, the arena is poisoned, parallel
 * loops run backwards. One line per finding: `NAME KIND details`; exit status 1 if there is one;
 * and a line `ops ...` of the operations that stand in the stage grad. */
#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "ir/interp.h"
#include "passes/passes.h"
#include "runtime/bprt.h"
#include "tests/support/fence.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

enum { Samples = 4, MoreSamples = 64, Allowed = 16 };

typedef struct Case { /* one exported function */
    Sym name;
    const Fn *fn; /* after differentiate */
    Tensor *args, *round, *f64, *spread;
    unsigned char **first; /* what the first build gave */
    bool exact, drawn;
    uint32_t samples;
} Case;

typedef struct Oracle {
    Cx *cx;
    Arena *a;
    const char *path;
    uint64_t seed;
    Program *p; /* after differentiate */
    Case *cases;
    uint32_t n, findings;
} Oracle;

static void finding(Oracle *o, const char *name, const char *kind, const char *detail) {
    printf("%s %s %s\n", name, kind, detail);
    o->findings++;
}

static Sym local(Cx *cx, const Case *c) { return sym(cx, c->name); }

/* ---- texts ---- */

static Program *read_text(Oracle *o, Cx *cx, const char *text) {
    FrontOptions f = {0};
    Program *p = front_load_text(cx, sym(cx, o->path), text, strlen(text), &f);
    if (!p) diag_render(cx, stderr, false);
    return p;
}

static const char *printed(Oracle *o, const Program *p) {
    Text t = {0};
    print_program(p, &t);
    return text_done(&t, o->a);
}

static bool pass_to(Program *p, int level, const char *stop) {
    PassOptions o = {
        .level = level, .verify_each = true, .stop_after = stop, .limit = -1, .out = stderr};
    bool ok = passes_run(p, &o);
    if (!ok) diag_render(p->cx, stderr, false);
    return ok;
}

/* The program of a stage's text, which must print as that text; NULL after a finding. */
static Program *again(Oracle *o, Cx *cx, const char *stage, const char *text) {
    Program *p = read_text(o, cx, text);
    if (!p) return finding(o, "*", "reparse", stage), NULL;
    const char *s = printed(o, p), *t = text;
    if (!strcmp(s, text)) return p;
    size_t line = 0, i = 0;
    for (; s[i] == t[i]; i++) {
        if (s[i] == '\n') line = i + 1;
    }
    finding(o, "*", "reprint",
            arena_printf(o->a, "%s: |%.*s| became |%.*s|", stage, (int)strcspn(t + line, "\n"),
                         t + line, (int)strcspn(s + line, "\n"), s + line));
    return NULL;
}

/* ---- arguments ---- */

static bool is_wild(Sym name) { return !strncmp(name, "wild", 4); }

static double special(uint64_t bits) {
    static const double odd[] = {INFINITY, -INFINITY, NAN, -0.0, 0.0, 1e-310, 1e-42, 3e38, 1e308};
    return odd[bits / 64 % LEN(odd)];
}

static Tensor argument(Oracle *o, Type t, Sym name, uint64_t key) {
    Tensor x = tensor_new(o->a, t, false);
    bool wild = is_wild(name);
    for (int64_t i = 0; i < t.shape->size; i++) {
        uint64_t bits = rng_bits(key, (uint64_t)i);
        double u = rng_f64(bits) * 4 - 2;
        if (bits % 16 == 0) u = rint(u);
        if (wild && bits % 8 == 1) u = special(bits);
        if (t.dt == F32) u = (double)(float)u;
        if (t.dt == BF16) u = (double)round_bf16((float)u);
        if (x.re) x.re[i] = u;
        else if (t.dt == BOOL) x.i[i] = (int64_t)(bits >> 40) % 2;
        else if (t.range) x.i[i] = (int64_t)(bits >> 40) % t.range;
        else if (wild && bits % 8 == 1) x.i[i] = t.dt == I32 ? INT32_MIN : INT64_MIN;
        else x.i[i] = (int64_t)floor(u * 3);
    }
    return x;
}

/* ---- reference ---- */

/* No elementary function in fn and what it refers to. */
static bool is_exact(const Program *p, const Fn *fn) {
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        const OpInfo *info = &op_info[ins->op];
        bool plain = info->exact || ins->op == Op_rsqrt || ins->op == Op_mod ||
                     ins->op == Op_stop_gradient || ins->op == Op_opt_barrier;
        if (info->cls == ClsElem && !plain) return false;
        for (int k = 0; k < info->nattrs; k++) {
            if (ins->attrs[k].kind != AttrFn) continue;
            if (!is_exact(p, program_fn(p, ins->attrs[k].s))) return false;
        }
    }
    return true;
}

/* Largest move of every element over n runs in which every rounding errs by up to 8 units. */
static void sample(Oracle *o, Case *c, uint32_t n) {
    Arena *a = arena_new();
    Tensor *got = NEW_ARRAY(a, Tensor, c->fn->results.len);
    for (uint32_t k = 0; k < n; k++) {
        interp_noise(o->p, c->fn, a, c->args, got, rng_fold(o->seed, ++c->samples));
        for (uint32_t r = 0; r < c->fn->results.len; r++) {
            const Tensor *base = &c->round[r];
            for (int64_t i = 0; i < base->type.shape->size; i++) {
                double d = base->re ? fabs(got[r].re[i] - base->re[i]) : got[r].i[i] != base->i[i];
                if (base->re && isnan(base->re[i]) && isnan(got[r].re[i])) d = 0;
                if (isnan(d)) d = INFINITY;
                c->spread[r].re[i] = fmax(c->spread[r].re[i], d);
            }
        }
    }
    arena_free(a);
}

/* Whether an f32 or bf16 stands in fn or in what it refers to. */
static bool has_f32(const Program *p, const Fn *fn) {
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        if (ins->type.dt == F32 || ins->type.dt == BF16) return true;
        if (ins->op != Op_call && op_info[ins->op].cls != ClsRegion) continue;
        Region r = region_of(p, ins);
        if (has_f32(p, r.body) || (r.other && has_f32(p, r.other))) return true;
    }
    return false;
}

/* What vanishes in the smallest type on the way to a result. */
static double tiny(const Oracle *o, const Case *c) {
    return has_f32(o->p, c->fn) ? 1e-37 : 1e-300;
}

/* Whether rounding explains that an element of result r is `got`. */
static bool explained(Oracle *o, Case *c, uint32_t r, int64_t i, double got) {
    double want = c->round[r].re[i];
    if (isnan(got) && isnan(want)) return true;
    for (;;) {
        double most = c->spread[r].re[i];
        if (got == want || fabs(got - want) <= Allowed * most + tiny(o, c))
            return true;
        if (isinf(most)) return true;
        if (c->samples >= MoreSamples) return false;
        sample(o, c, MoreSamples - c->samples);
    }
}

static void compare_f64(Oracle *o, Case *c) {
    for (Val v = 0; v < c->fn->nparams; v++)
        if (is_wild(c->fn->ins.data[v].name)) return; /* f64 has another range */
    for (uint32_t r = 0; r < c->fn->results.len; r++) {
        const Tensor *x = &c->round[r], *y = &c->f64[r];
        for (int64_t i = 0; i < x->type.shape->size; i++) {
            if (!x->re) {
                bool same = x->i[i] == y->i[i];
                if (!same && !c->samples) sample(o, c, MoreSamples);
                if (same || c->spread[r].re[i] > 0) continue;
            } else if (isnan(x->re[i]) || isinf(x->re[i]) || isnan(y->re[i])) {
                continue; /* a range that f64 does not have */
            } else {
                if (!c->samples) sample(o, c, Samples);
                if (explained(o, c, r, i, y->re[i])) continue;
            }
            finding(o, c->name, "f64",
                    arena_printf(
                        o->a, "result %u [%d]: rounding interpreter %.17g, f64 %.17g, moved %.3g",
                        r, (int)i, x->re ? x->re[i] : (double)x->i[i],
                        x->re ? y->re[i] : (double)y->i[i], c->spread[r].re[i]));
            return;
        }
    }
}

static void reference(Oracle *o, Case *c) {
    const Fn *fn = c->fn;
    uint32_t n = fn->results.len;
    c->args = NEW_ARRAY(o->a, Tensor, fn->nparams);
    for (Val v = 0; v < fn->nparams; v++) {
        const Ins *param = &fn->ins.data[v];
        uint64_t key = hash_bytes(param->name, strlen(param->name));
        c->args[v] = argument(o, param->type, param->name, rng_fold(o->seed, key));
    }
    c->round = NEW_ARRAY(o->a, Tensor, n);
    c->f64 = NEW_ARRAY(o->a, Tensor, n);
    c->spread = NEW_ARRAY(o->a, Tensor, n);
    c->first = NEW_ARRAY(o->a, unsigned char *, n);
    c->exact = is_exact(o->p, fn);
    interp_run(o->p, fn, InterpRound, o->a, c->args, c->round, NULL);
    interp_run(o->p, fn, InterpF64, o->a, c->args, c->f64, NULL);
    for (uint32_t r = 0; r < n; r++) {
        Type t = type_of(F64, c->round[r].type.shape);
        c->spread[r] = tensor_new(o->a, t, false);
    }
    compare_f64(o, c);
}

/* ---- memory as generated code sees it ---- */

static double load(const unsigned char *at, DType dt) {
    double d;
    float f = 0;
    int32_t i;
    int64_t l;
    switch (dt) {
    case F64: return memcpy(&d, at, 8), d;
    case F32: return memcpy(&f, at, 4), (double)f;
    case BF16: return memcpy((char *)&f + 2, at, 2), (double)f;
    case I32: return memcpy(&i, at, 4), (double)i;
    case I64: return memcpy(&l, at, 8), (double)l;
    default: return at[0];
    }
}

/* ---- one build ---- */

static void compare_result(Oracle *o, Case *c, uint32_t r, const unsigned char *got,
                           const char *how) {
    const Tensor *want = &c->round[r];
    size_t size = dtype_size(want->type.dt);
    unsigned char ref[8];
    for (int64_t i = 0; i < want->type.shape->size; i++) {
        const unsigned char *g = got + (size_t)i * size, *w = ref;
        if (c->exact) fence_store(ref, want, i);
        else if (c->first[r]) w = c->first[r] + (size_t)i * size;
        else memcpy(ref, g, size);
        double x = load(g, want->type.dt), y = load(w, want->type.dt);
        bool nan = want->re && isnan(x) && isnan(y);
        const char *kind = !nan && memcmp(g, w, size) ? "bits" : NULL;
        if (!kind && !c->exact && !c->first[r] && want->re) {
            if (!c->samples) sample(o, c, Samples);
            if (!explained(o, c, r, i, x)) kind = "bound", y = want->re[i];
        }
        if (!kind) continue;
        finding(o, c->name, kind,
                arena_printf(o->a, "%s: result %u [%d]: %.17g, not %.17g; moved %.3g%s", how, r,
                             (int)i, x, y, c->spread[r].re[i],
                             c->exact ? "" : "; elementary functions"));
        return;
    }
    if (c->first[r]) return;
    c->first[r] = arena_alloc(o->a, fence_bytes(want->type) + 1);
    copy_bytes(c->first[r], got, fence_bytes(want->type));
}

static void backwards(const BpEnv *env, void (*body)(void *, int64_t), void *data, int64_t n) {
    (void)env;
    while (n-- > 0) body(data, n);
}

static void run_case(Oracle *o, Case *c, BpEntry *entry, const Fn *planned, const char *how) {
    if (!entry || !planned) {
        finding(o, c->name, "absent", how);
        return;
    }
    uint32_t np = c->fn->nparams, n = np + c->fn->results.len;
    unsigned char **buffers = calloc(n, sizeof *buffers);
    void **pointers = calloc(n, sizeof *pointers);
    for (uint32_t i = 0; i < n; i++) {
        const Tensor *x = i < np ? &c->args[i] : &c->round[i - np];
        size_t size = dtype_size(x->type.dt);
        buffers[i] = fence_new(fence_bytes(x->type), 0xFF);
        pointers[i] = buffers[i] + Fence;
        for (int64_t e = 0; i < np && e < x->type.shape->size; e++) {
            fence_store(buffers[i] + Fence + (size_t)e * size, x, e);
        }
    }
    size_t room = planned->plan->arena_bytes;
    unsigned char *arena = fence_new(room, 0xFF);
    BpEnv env = {.parallel = backwards, .threads = 2};
    entry(pointers, arena + Fence, &env);
    bool whole = fence_intact(arena, room);
    for (uint32_t i = 0; i < n; i++) {
        const Tensor *x = i < np ? &c->args[i] : &c->round[i - np];
        whole &= fence_intact(buffers[i], fence_bytes(x->type));
    }
    if (!whole) finding(o, c->name, "guard", how);
    for (uint32_t r = 0; r < c->fn->results.len; r++) {
        compare_result(o, c, r, buffers[np + r] + Fence, how);
    }
    for (uint32_t i = 0; i < n; i++) free(buffers[i]);
    free(buffers), free(pointers), free(arena);
}

static const Fn *planned_fn(Program *p, const Case *c) { return program_fn(p, local(p->cx, c)); }

/* In memory, from the text of a stage. */
static void run_jit(Oracle *o, const char *stage, const char *text, int level) {
    Cx *cx = cx_new();
    Program *p = again(o, cx, stage, text);
    if (p && pass_to(p, level, NULL)) {
        Cg *cg = cg_build(p, &(CgOptions){.level = level});
        Jit *jit = cg ? jit_new(cg) : NULL;
        const char *how = arena_printf(o->a, "JIT -O%d of --emit=%s", level, stage);
        for (uint32_t i = 0; jit && i < o->n; i++) {
            void *entry = jit_symbol(jit, sym_fmt(cx, "bp_%s", o->cases[i].name));
            run_case(o, &o->cases[i], (BpEntry *)(uintptr_t)entry, planned_fn(p, &o->cases[i]),
                     how);
        }
        if (!jit) finding(o, "*", "jit", how);
        if (jit) jit_free(jit);
        if (cg) cg_free(cg);
    }
    cx_free(cx);
}

/* A library that bpc -shared made at a level of o->path. */
static void run_library(Oracle *o, const char *arg) {
    int level = arg[0] - '0';
    const char *file = strchr(arg, '=') + 1;
    void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    Cx *cx = cx_new();
    FrontOptions f = {0};
    Program *p = front_load(cx, o->path, &f);
    bool ready = lib && p && pass_to(p, level, NULL);
    if (!lib) fprintf(stderr, "%s\n", dlerror());
    const char *how = arena_printf(o->a, "AOT -O%.*s", (int)(file - arg - 1), arg);
    for (uint32_t i = 0; ready && i < o->n; i++) {
        void *entry = dlsym(lib, sym_fmt(cx, "bp_%s", o->cases[i].name));
        run_case(o, &o->cases[i], (BpEntry *)(uintptr_t)entry, planned_fn(p, &o->cases[i]), how);
    }
    if (!ready) finding(o, "*", "library", how);
    if (lib) dlclose(lib);
    cx_free(cx);
}

/* The text must compute the same bits by the rounding interpreter. */
static void interpret_again(Oracle *o, const char *stage, const char *text) {
    Cx *cx = cx_new();
    Program *p = again(o, cx, stage, text);
    Arena *a = arena_new();
    for (uint32_t i = 0; p && pass_to(p, 0, "differentiate") && i < o->n; i++) {
        Case *c = &o->cases[i];
        const Fn *fn = planned_fn(p, c);
        Tensor *args = NEW_ARRAY(a, Tensor, c->fn->nparams);
        Tensor *got = NEW_ARRAY(a, Tensor, c->fn->results.len);
        copy_bytes(args, c->args, c->fn->nparams * sizeof *args);
        interp_run(p, fn, InterpRound, a, args, got, NULL);
        for (uint32_t r = 0; r < c->fn->results.len; r++) {
            bool same = true;
            for (int64_t e = 0; e < c->round[r].type.shape->size; e++) {
                unsigned char x[8] = {0}, y[8] = {0};
                fence_store(x, &got[r], e), fence_store(y, &c->round[r], e);
                bool nan = got[r].re && isnan(got[r].re[e]) && isnan(c->round[r].re[e]);
                same &= nan || !memcmp(x, y, 8);
            }
            if (!same) finding(o, c->name, "text", stage);
        }
        arena_reset(a);
    }
    arena_free(a);
    cx_free(cx);
}

static bool load_cases(Oracle *o, const char **ir, const char **grad, const char **opt) {
    FrontOptions f = {0};
    o->p = front_load(o->cx, o->path, &f);
    if (!o->p) return diag_render(o->cx, stderr, false), false;
    *ir = printed(o, o->p);
    if (!pass_to(o->p, 3, "differentiate")) return false;
    *grad = printed(o, o->p);
    o->cases = NEW_ARRAY(o->a, Case, o->p->fns.len);
    for (uint32_t i = 0; i < o->p->fns.len; i++) {
        const Fn *fn = o->p->fns.data[i];
        if (fn->exported) o->cases[o->n++] = (Case){.name = fn->name, .fn = fn};
    }
    Cx *cx = cx_new();
    Program *p = front_load(cx, o->path, &f);
    bool ok = p && pass_to(p, 3, "dce");
    if (ok) *opt = printed(o, p);
    cx_free(cx);
    return ok;
}

static void print_ops(const Program *p) {
    bool seen[OpCount] = {0};
    for (uint32_t i = 0; i < p->fns.len; i++) {
        const Fn *fn = p->fns.data[i];
        for (Val v = 0; v < fn->ins.len; v++) seen[fn->ins.data[v].op] = true;
    }
    printf("ops");
    for (int op = 0; op < OpCount; op++) {
        if (seen[op]) printf(" %s", op_info[op].name);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    Oracle o = {
        .cx = cx_new(), .a = arena_new(), .path = argv[1], .seed = strtoull(argv[2], NULL, 10)};
    int level = atoi(argv[3]);
    const char *ir, *grad, *opt;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!load_cases(&o, &ir, &grad, &opt)) return 3;
    print_ops(o.p);
    for (uint32_t i = 0; i < o.n; i++) reference(&o, &o.cases[i]);
    interpret_again(&o, "ir", ir);
    run_jit(&o, level ? "grad" : "opt", level ? grad : opt, level);
    interpret_again(&o, level ? "opt" : "grad", level ? opt : grad);
    for (int i = 4; i < argc; i++) run_library(&o, argv[i]);
    cx_free(o.cx);
    arena_free(o.a);
    return o.findings ? 1 : 0;
}
