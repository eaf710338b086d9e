/* Kinks, ties and bad points, where differences say nothing: the rows of kinks.def in both modes
 * and over each other, in first and second order. */
#include "driver/check_table.h"

#include <math.h>

static const struct {
    const char *f;
    double x, first, second;
} rows[] = {
#define KINK(f, x, first, second) {f, x, first, second},
#include "driver/kinks.def"
#undef KINK
};

static const struct {
    const char *what, *text; /* of export fn t, beside f and b: jvp[f] */
    int order;
} forms[] = {
    {"grad", "grad[f](x)", 1},
    {"jvp", "b(x)", 1},
    {"grad of grad", "grad[grad[f]](x)", 2},
    {"hvp", "hvp[f](x, 1.0)", 2},
    {"grad of jvp", "grad[b](x)", 2},
};

static bool same(double got, double want) {
    if (isinf(want)) return got == want;
    return fabs(got - want) <= 0x1p-49 * fmax(1, fabs(want));
}

static const char *text_of(Check *c, size_t row) {
    Text t = {0};
    text_add(&t,
             "fn f(x: f64) -> f64 { return %s; }"
             "fn b(x: f64) -> f64 { let (_, t) = jvp[f](x, 1.0); return t; }",
             rows[row].f);
    for (size_t k = 0; k < LEN(forms); k++) {
        text_add(&t, "export fn t%zu(x: f64) -> f64 { return %s; }", k, forms[k].text);
    }
    return text_done(&t, c->a);
}

static bool prove(Check *c, size_t row) {
    static const FrontOptions options = {.check = true};
    static const PassOptions to = {.limit = -1, .stop_after = "differentiate"};
    Cx *cx = c->o->cx;
    const char *text = text_of(c, row);
    uint32_t errors = cx->errors;
    cx->errors = 0; /* an earlier row is no reason to refuse this one */
    c->p = front_load_text(cx, sym(cx, "kinks"), text, strlen(text), &options);
    bool ok = c->p && passes_run(c->p, &to);
    for (size_t k = 0; ok && k < LEN(forms); k++) {
        const Fn *fn = program_fn(c->p, sym_fmt(cx, "t%zu", k));
        Tensor x = tensor_new(c->a, fn->ins.data[0].type, false), y;
        x.re[0] = rows[row].x;
        interp_run(c->p, fn, InterpF64, c->a, &x, &y, NULL);
        double want = forms[k].order == 1 ? rows[row].first : rows[row].second;
        if (same(y.re[0], want)) continue;
        ok = false;
        diag_error(cx, (Loc){0}, "%s of %s at %g is %.9g, not %.9g", forms[k].what, rows[row].f,
                   rows[row].x, y.re[0], want);
    }
    cx->errors += errors;
    return ok;
}

void prove_kinks(Check *c) {
    bool ok = true;
    if (!table_wanted(c, "kinks")) return;
    for (size_t i = 0; i < LEN(rows); i++) ok &= prove(c, i);
    printf("%-5s  %-20s  %zu points\n", ok ? "ok" : "FALSE", "kinks", LEN(rows));
    c->failures += !ok;
}
