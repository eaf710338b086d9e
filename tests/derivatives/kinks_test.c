/* The derivatives at kinks, ties and bad points that docs/language.md promises: first and second
 * order, in both modes and over each other, in f32 and f64, by the interpreter and by generated
 * code. */
#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "runtime/bprt.h"

#include <math.h>
#include <stdlib.h>

static const struct {
    const char *f;
    double x, first, second;
} rows[] = {
#define KINK(f, x, first, second) {f, x, first, second},
#include "driver/kinks.def"
#undef KINK
};

enum { Rows = LEN(rows), Forms = 5 };
static const char *const forms[Forms] = {"grad", "jvp", "grad of grad", "hvp", "grad of jvp"};

typedef struct Kinks {
    Cx *cx;
    Program *p;
    DType dt;
    uint32_t failed;
} Kinks;

static char *program_text(Arena *a, const char *real) {
    Text t = {0};
    for (size_t i = 0; i < Rows; i++) {
        text_add(&t,
                 "fn g%zu(x: R) -> R { return %s; }\n"
                 "export fn a%zu(x: R) -> R { return grad[g%zu](x); }\n"
                 "export fn b%zu(x: R) -> R { let (_, t) = jvp[g%zu](x, 1.0); return t; }\n"
                 "export fn c%zu(x: R) -> R { return grad[grad[g%zu]](x); }\n"
                 "export fn d%zu(x: R) -> R { return hvp[g%zu](x, 1.0); }\n"
                 "export fn e%zu(x: R) -> R { return grad[b%zu](x); }\n",
                 i, rows[i].f, i, i, i, i, i, i, i, i, i, i);
    }
    Text typed = {0};
    for (const char *s = t.data; *s; s++) {
        bool is_type = *s == 'R' && s[-1] == ' ' && (s[1] == ')' || s[1] == ' ');
        if (is_type) text_add(&typed, "%s", real);
        else text_addn(&typed, s, 1);
    }
    free(t.data);
    return text_done(&typed, a);
}

static bool same(const Kinks *k, double got, double want) {
    if (isinf(want) || isnan(want)) return got == want || (isnan(got) && isnan(want));
    return fabs(got - want) <= (k->dt == F32 ? 0x1p-21 : 0x1p-49) * fmax(1, fabs(want));
}

static void judge(Kinks *k, const char *how, size_t row, int form, double got) {
    double want = form < 2 ? rows[row].first : rows[row].second;
    if (same(k, got, want)) return;
    k->failed++;
    printf("FAILED: %s %s, %s of %s at %g: %.9g, not %.9g\n", dtype_name(k->dt), how, forms[form],
           rows[row].f, rows[row].x, got, want);
}

static Sym name_of(const Kinks *k, size_t row, int form) {
    return sym_fmt(k->cx, "%c%zu", "abcde"[form], row);
}

static void by_interpreter(Kinks *k) {
    for (size_t i = 0; i < Rows; i++) {
        for (int form = 0; form < Forms; form++) {
            const Fn *fn = program_fn(k->p, name_of(k, i, form));
            Tensor x = tensor_new(k->cx->arena, fn->ins.data[0].type, false), y;
            x.re[0] = rows[i].x;
            interp_run(k->p, fn, InterpRound, k->cx->arena, &x, &y, NULL);
            judge(k, "interpreted", i, form, y.re[0]);
        }
    }
}

static double run_entry(const Kinks *k, BpEntry *entry, const Fn *fn, double at) {
    _Alignas(64) double x = at, y = 0;
    if (k->dt == F32) memcpy(&x, &(float){(float)at}, sizeof(float));
    unsigned char *arena = aligned_alloc(64, ((size_t)fn->plan->arena_bytes + 127) / 64 * 64);
    entry((void *[]){&x, &y}, arena, NULL);
    free(arena);
    float single;
    memcpy(&single, &y, sizeof single);
    return k->dt == F32 ? (double)single : y;
}

static void by_code(Kinks *k, int level) {
    Cg *cg = cg_build(k->p, &(CgOptions){.level = level, .library = true});
    Jit *jit = cg ? jit_new(cg) : NULL;
    for (size_t i = 0; jit && i < Rows; i++) {
        for (int form = 0; form < Forms; form++) {
            Sym name = name_of(k, i, form);
            BpEntry *entry = (BpEntry *)jit_symbol(jit, sym_fmt(k->cx, "bp_%s", name));
            double got = run_entry(k, entry, program_fn(k->p, name), rows[i].x);
            judge(k, level ? "at -O1" : "at -O0", i, form, got);
        }
    }
    k->failed += !jit;
    if (jit) jit_free(jit);
    if (cg) cg_free(cg);
}

static uint32_t test_type(DType dt, const char *real) {
    Kinks k = {.cx = cx_new(), .dt = dt};
    char *text = program_text(k.cx->arena, real);
    k.p = front_load_text(k.cx, sym(k.cx, "kinks.bp"), text, strlen(text), &(FrontOptions){0});
    bool ready = k.p != NULL;
    PassOptions half = {.level = 1, .limit = -1, .stop_after = "dce"},
                whole = {.level = 1, .limit = -1};
    ready = ready && passes_run(k.p, &half);
    if (ready) by_interpreter(&k);
    ready = ready && passes_run(k.p, &whole);
    if (ready) by_code(&k, 0);
    if (!ready) diag_render(k.cx, stdout, false);
    k.failed += !ready;
    cx_free(k.cx);
    return k.failed;
}

int main(void) {
    uint32_t failed = test_type(F64, "f64") + test_type(F32, "f32");
    printf("%d rows, %u failed\n", (int)Rows * Forms, failed);
    return failed != 0;
}
