/* The derivatives at kinks, ties and bad points that docs/language.md promises: first and second
 * order, in both modes and over each other, in f32 and f64, by the interpreter and by generated
 * code. A row is a function of x, a point, f'(x) and f''(x). */
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
    /* the table of subgradients */
    {"relu(x)", 0, 0, 0},
    {"abs(x)", 0, 0, 0},
    {"abs(x) * x", 0, 0, 0},
    {"max(x, 0)", 0, 0.5, 0},
    {"max(0, x)", 0, 0.5, 0},
    {"min(x, 0)", 0, 0.5, 0},
    {"max(x, -x)", 0, 0, 0},
    {"max(x, x)", 3, 1, 0},
    {"max(x * x, x)", 1, 1.5, 1},
    {"max(stack([x, 2 * x, x - 1]))", 0, 1.5, 0},
    {"max(stack([x * x, x, 1, 0]))", 1, 1, 2. / 3},
    {"min(stack([x, x, 3 * x, 7]))", 0, 5. / 3, 0},
    {"clip(x, lo=0, hi=1)", 0, 1, 0},
    {"clip(x, lo=0, hi=1)", 1, 1, 0},
    {"clip(x, lo=0, hi=1)", 2, 0, 0},
    {"clip(x * x, lo=0, hi=1)", 1, 2, 2},
    {"sqrt(x)", 0, INFINITY, -INFINITY},
    {"norm(stack([x, 0 * x]))", 0, 0, 0},
    {"norm(stack([x, x]))", 0, 0, 0},
    {"norm(stack([3 * x, 4]))", 1, 1.8, 9. / 5 - 9 * 9. / 125},
    {"softplus(x)", 0, 0.5, 0.25},
    {"leaky_relu(x)", 0, 0.01, 0},
    {"elu(x)", 0, 1, 1},
    {"sign(x)", 0, 0, 0},
    {"floor(x)", 1, 0, 0},
    {"ceil(x)", 1, 0, 0},
    {"round(x)", 0.5, 0, 0},
    {"stop_gradient(x) * x", 3, 3, 0},
    {"x ** 0", 0, 0, 0},
    {"x ** 1", 0, 1, 0},
    {"x ** 2", 0, 0, 2},
    {"x ** 3", 0, 0, 0},
    {"pow(x, 0 * x)", 0, 0, 0},
    {"pow(x, 1 + 0 * stop_gradient(x))", 0, 1, 0},
    {"pow(x, 2 + 0 * stop_gradient(x))", 0, 0, 2},
    {"pow(0 * stop_gradient(x), x)", 2, 0, 0},
    {"prod(stack([x, 2, 3]))", 0, 6, 0},
    {"prod(stack([x, 0, 3]))", 2, 0, 0},
    {"prod(stack([x, x, 3]))", 0, 0, 6},
    {"prod(stack([x, x, x]))", 0, 0, 0},
    {"logsumexp(stack([x, x]))", 0, 1, 0},
    {"logsumexp(stack([x, -inf]))", 0, 1, 0},
    /* the branch that is not taken */
    {"where(x > 0, sqrt(x), x * x)", 0, 0, 2},
    {"where(x > 0, log(x), x * x)", 0, 0, 2},
    {"where(x > 0, rsqrt(x), x * x)", 0, 0, 2},
    {"where(x > 0, 1 / x, x * x)", 0, 0, 2},
    {"where(x > 0, x / abs(x), x * x)", 0, 0, 2},
    {"where(x > 0, log1p(x - 1), x * x)", 0, 0, 2},
    {"where(x > 0, pow(x, -1.5), x * x)", 0, 0, 2},
    {"where(x > 0, pow(x, 0.5), x * x)", 0, 0, 2},
    {"where(x > 0, norm(stack([x, x])), x * x)", 0, 0, 2},
    {"where(x > 0, sqrt(x * x), x * x)", 0, 0, 2},
    {"where(x > 0, log(x) * sqrt(x), x * x)", 0, 0, 2},
    {"where(x > 0, exp(log(x) * 0.5), x * x)", 0, 0, 2},
    {"where(x < 1, x * x, sqrt(x - 1))", 1, 0.5 * INFINITY, -INFINITY},
    {"where(x == 0, x * x, sin(x) / x)", 0, 0, 2},
    {"where(x < 100, x * x, exp(x * x) / exp(x))", 50, 100, 2},
    {"where(x > 0, where(x > 1, sqrt(x - 1), log(x)), x * x)", 0, 0, 2},
    {"where(x > 0, tanh(log(x)), x) + where(x > 0, x / x, x * x)", 0, 1, 2},
    {"where(x > 0, sqrt(x) + log(x) + 1 / x, x * x)", 0, 0, 2},
    {"where(x > 0, tan(1 / x), x * x)", 0, 0, 2},
    /* through movement, uses, broadcasts and sums */
    {"sum(where(stack([x, x]) > 0, reshape(transpose(reshape(sqrt(stack([x, x])), [2, 1])), [2]), "
     "x * x))",
     0, 0, 4},
    {"sum(where(stack([x, 1]) > 0, log(flip(stack([1, x]), axis=[0])), 0)) + x * x", 0, 0, 2},
    {"sum(where(stack([x, x, x]) > 0, log(x) * stack([1, 2, 3]), x * x))", 0, 0, 6},
    {"sum(where(stack([x, x]) > 0, concat([reshape(sqrt(x), [1]), reshape(1 / x, [1])], axis=0), x "
     "* x))",
     0, 0, 4},
    {"sum(where(stack([x, x]) > 0, stack([x, sqrt(x), x])[1:3], x * x))", 0, 0, 4},
    {"where(x > 0, sum(log(stack([x, x, 1]))), x * x)", 0, 0, 2},
    {"where(x > 0, mean(sqrt(stack([x, 4 * x]))), x * x)", 0, 0, 2},
    {"where(x > 0, max(stack([log(x), x])), x * x)", 0, 0, 2},
    {"where(x > 0, prod(stack([sqrt(x), log(x)])), x * x)", 0, 0, 2},
    {"sum(where(stack([x, x]) > 0, sqrt(x) + stack([1, 2]) / x, x * x))", 0, 0, 4},
    {"where(x > 0, sqrt(x), 0) + where(x > 0, log(x), 0) + where(x > 0, 1 / x, x * x)", 0, 0, 2},
    {"where(x > 0, sum(cumsum(sqrt(stack([x, x])), axis=0, reverse=false)), x * x)", 0, 0, 2},
    {"sum(where(pad(stack([x, 1]), [1], [0]) > 0, log(pad(stack([x, 1]), [1], [0])), 0)) + x * x",
     0, 0, 2},
    {"sum(softmax(where(stack([true, false, true]), stack([x, x, 2]), -inf)) * stack([x, 5, 1]))",
     2, 0.5 + 0.25, 0.5},
    {"sum(where(stack([true, false]), softmax(stack([x, x])), x * x))", 0, 0, 2},
    {"log_softmax(where(stack([true, false, true]), stack([x, x, 0]), -inf))[0]", 0, 0.5, -0.25},
    {"sum(attention(reshape(x, [1, 1]), reshape(stack([x, 1]), [2, 1]), reshape(stack([x, 1]), [2, "
     "1]), causal=true))",
     2, 1, 0},
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
