/* bpc check: every derivative that a file uses, in f64: its rules, then every derivative function
 * against numerical derivatives of the function that its header names. */
#include "driver/check.h"

#include "ir/interp.h"

#include <math.h>

typedef struct Header { /* "value_and_grad[f, wrt=(w, b)]" */
    Op op;
    const Fn *f;
    uint32_t wrt[256], n;
} Header;

static Sym next_word(Cx *cx, const char **at) {
    const char *s = *at + strspn(*at, " ,(");
    size_t n = strcspn(s, ",)=");
    int depth = 0;
    for (n = 0; s[n] && (depth || !strchr(",)= ", s[n])); n++) {
        depth += s[n] == '[';
        if (s[n] == ']' && !depth) break;
        depth -= s[n] == ']';
    }
    *at = s + n;
    return sym_n(cx, s, n);
}

/* False where the header is none of a derivative, after a report where it is a broken one. */
static bool parse_header(Check *c, const Fn *d, Header *h) {
    Cx *cx = c->p->cx;
    *h = (Header){.op = OpCount};
    const char *open = d->rule ? strchr(d->rule, '[') : NULL;
    if (!open) return false;
    h->op = op_by_name(sym_n(cx, d->rule, (size_t)(open - d->rule)));
    if (h->op == OpCount || op_info[h->op].cls != ClsOperator) return false;
    const char *at = open + 1;
    Sym name = next_word(cx, &at);
    h->f = program_fn(c->p, name);
    if (!h->f) {
        diag_error(cx, d->loc, "the header '%s' names '%s', which is not in the file", d->rule,
                   name);
        return false;
    }
    next_word(cx, &at); /* wrt */
    at += *at == '=';
    while (*at && *at != ']' && *at != ')' && h->n < LEN(h->wrt)) {
        Sym w = next_word(cx, &at);
        uint32_t v = 0;
        while (v < h->f->nparams && h->f->ins.data[v].name != w) v++;
        if (v == h->f->nparams) {
            diag_error(cx, d->loc, "the header '%s' names '%s', which is no parameter of '%s'",
                       d->rule, w, name);
            return false;
        }
        h->wrt[h->n++] = v;
    }
    return true;
}

static Type result_type(const Fn *fn, uint32_t i) {
    return fn->ins.data[fn->results.data[i]].type;
}

static Tensor *zero_weights(Check *c, const Fn *fn) {
    Tensor *w = NEW_ARRAY(c->a, Tensor, fn->results.len);
    for (uint32_t i = 0; i < fn->results.len; i++) w[i] = zero_tensor(c, result_type(fn, i));
    return w;
}

typedef struct Compare {
    Check *c;
    const Fn *d;
    const Header *h;
    Tensor *args, *results; /* of d */
    Tensor *spread;         /* how far rounding moves each result */
    bool ok;
} Compare;

enum { NoiseRuns = 4 };

static void measure_noise(Compare *k) {
    uint32_t n = k->d->results.len;
    Tensor *moved = NEW_ARRAY(k->c->a, Tensor, n);
    k->spread = NEW_ARRAY(k->c->a, Tensor, n);
    for (uint32_t r = 0; r < n; r++) k->spread[r] = zero_tensor(k->c, k->results[r].type);
    for (uint64_t run = 0; run < NoiseRuns; run++) {
        interp_noise(k->c->p, k->d, k->c->a, k->args, moved, run);
        for (uint32_t r = 0; r < n; r++) {
            double *spread = k->spread[r].re;
            for (int64_t i = 0; spread && i < moved[r].type.shape->size; i++)
                spread[i] = fmax(spread[i], fabs(moved[r].re[i] - k->results[r].re[i]));
        }
    }
}

/* A difference that the error of a numerical derivative and rounding in result r, weighed by w,
 * explain, as the scale of a relative error. What folds to 0 here may be rounded there. */
static double unsure(const Compare *k, double err, uint32_t r, const Tensor *w) {
    double sum = 0;
    for (int64_t i = 0; i < w->type.shape->size; i++)
        sum += fabs(k->spread[r].re[i] * w->re[i]);
    return 10 * (err + sum + 1e-15) / GATE_PROGRAM;
}

static void row(Compare *k, const char *what, double analytic, double numeric, double scale) {
    double error = relative_error(analytic, numeric, scale);
    bool surrogate = uses_surrogate(k->c, k->h->f), ok = surrogate || error <= GATE_PROGRAM;
    report_row(k->c, ok,
               arena_printf(k->c->a, "%s[%s] %s%s", op_info[k->h->op].name, k->h->f->name, what,
                            surrogate ? " (surrogate)" : ""),
               error);
    k->ok &= ok;
}

static double scale_of(const Tensor *g, const Tensor *u) {
    return tensor_norm(g) * tensor_norm(u) / sqrt((double)g->type.shape->size + 1);
}

/* grad, value_and_grad, vjp: <u, gradient> against d<w, f>/dx along u, per wrt. */
static void compare_reverse(Compare *k, uint32_t first, const Tensor *w) {
    Check *c = k->c;
    double largest = 0; /* a gradient that is 0 but for rounding is compared with the others */
    for (uint32_t i = 0; i < k->h->n; i++)
        largest = fmax(largest, tensor_norm(&k->results[first + i]));
    for (uint32_t i = 0; i < k->h->n; i++) {
        const Tensor *g = &k->results[first + i];
        Tensor u = random_tensor(c, g->type, DrawWide);
        double err,
            numeric = numdiff_directional(c->p, k->h->f, c->a, k->args, k->h->wrt[i], &u, w, &err);
        row(k, k->h->f->ins.data[k->h->wrt[i]].name, tensor_dot(g, &u), numeric,
            fmax(fmax(scale_of(g, &u), largest * 1e-6), unsure(k, err, first + i, &u)));
    }
}

/* jvp: <w, tangent> against the sum of d<w, f>/dx along each tangent. */
static void compare_forward(Compare *k) {
    Check *c = k->c;
    const Fn *f = k->h->f;
    uint32_t t = f->results.len;
    for (uint32_t r = 0; r < f->results.len; r++) {
        if (!dtype_is_float(result_type(f, r).dt)) continue;
        Tensor *w = zero_weights(c, f);
        w[r] = random_tensor(c, result_type(f, r), DrawWide);
        double numeric = 0, err, worst = 0;
        for (uint32_t i = 0; i < k->h->n; i++) {
            numeric += numdiff_directional(c->p, f, c->a, k->args, k->h->wrt[i],
                                           &k->args[f->nparams + i], w, &err);
            worst = fmax(worst, err);
        }
        const Tensor *tangent = &k->results[t];
        row(k, arena_printf(c->a, "result %u", r), tensor_dot(&w[r], tangent), numeric,
            fmax(scale_of(tangent, &w[r]), unsure(k, worst, t, &w[r])));
        t++;
    }
}

/* hvp: <w, H v> against d<w, gradient>/dx along v. */
static void compare_hessian(Compare *k) {
    Check *c = k->c;
    const Fn *f = k->h->f;
    const Fn *g =
        derive(c->p, Op_grad, f, sym_fmt(c->p->cx, "%s_check", f->name), k->h->wrt, k->h->n);
    if (!g) return;
    for (uint32_t i = 0; i < k->h->n; i++) {
        Tensor *w = zero_weights(c, g);
        w[i] = random_tensor(c, result_type(g, i), DrawWide);
        double numeric = 0, err, worst = 0;
        for (uint32_t j = 0; j < k->h->n; j++) {
            numeric += numdiff_directional(c->p, g, c->a, k->args, k->h->wrt[j],
                                           &k->args[f->nparams + j], w, &err);
            worst = fmax(worst, err);
        }
        row(k, f->ins.data[k->h->wrt[i]].name, tensor_dot(&w[i], &k->results[i]), numeric,
            fmax(scale_of(&k->results[i], &w[i]), unsure(k, worst, i, &w[i])));
    }
}

/* The values that ride along must be those of f. */
static void compare_values(Compare *k) {
    Check *c = k->c;
    const Fn *f = k->h->f;
    Tensor *y = NEW_ARRAY(c->a, Tensor, f->results.len);
    interp_run(c->p, f, InterpF64, c->a, k->args, y, NULL);
    for (uint32_t i = 0; i < f->results.len; i++) {
        if (!dtype_is_float(y[i].type.dt)) continue;
        Tensor u = random_tensor(c, y[i].type, DrawPositive);
        double a = tensor_dot(&k->results[i], &u), b = tensor_dot(&y[i], &u);
        row(k, arena_printf(c->a, "value %u", i), a, b, scale_of(&y[i], &u));
    }
}

static bool all_finite(const Tensor *t, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (!tensor_finite(&t[i])) return false;
    }
    return true;
}

static void check_derivative(Check *c, const Fn *d, const Header *h) {
    Compare k = {.c = c, .d = d, .h = h, .ok = true};
    k.results = NEW_ARRAY(c->a, Tensor, d->results.len);
    bool finite = false;
    for (Draw draw = DrawWide; draw < DrawCount && !finite; draw++) {
        k.args = random_arguments(c, d, draw);
        interp_run(c->p, d, InterpF64, c->a, k.args, k.results, NULL);
        finite = all_finite(k.results, d->results.len);
    }
    if (!finite) {
        diag_error(c->p->cx, d->loc, "%s is not finite at any point tried", d->rule);
        return;
    }
    measure_noise(&k);
    const Fn *f = h->f;
    Tensor *w = zero_weights(c, f);
    switch (h->op) {
    case Op_vjp:
        for (uint32_t r = 0, n = f->nparams; r < f->results.len; r++) {
            if (dtype_is_float(w[r].type.dt)) w[r] = k.args[n++];
        }
        compare_reverse(&k, 0, w);
        break;
    case Op_grad:
    case Op_value_and_grad:
        w[0].re[0] = 1;
        if (h->op == Op_value_and_grad) compare_values(&k);
        compare_reverse(&k, h->op == Op_grad ? 0 : f->results.len, w);
        break;
    case Op_jvp:
        compare_values(&k);
        compare_forward(&k);
        break;
    default:
        compare_hessian(&k);
        break;
    }
    if (!k.ok && !c->p->cx->errors) locate_wrong(c, d, f, h->op, h->wrt, h->n, k.args);
}

int command_check(Options *o) {
    Check c = {.o = o, .a = arena_new(), .key = 1};
    c.p = o->rules ? NULL : compile_front(o, true);
    if (o->rules) diag_error(o->cx, (Loc){0}, "'check --rules' is not supported yet");
    bool ready = c.p && compile_passes(o, c.p, "differentiate");
    uint32_t n = ready ? c.p->fns.len : 0, derivatives = 0;
    for (uint32_t i = 0; i < n; i++) {
        Header h;
        const Fn *d = c.p->fns.data[i];
        if (!parse_header(&c, d, &h)) continue;
        derivatives++;
        check_rules(&c, h.f);
        check_derivative(&c, d, &h);
    }
    if (ready && !derivatives && !o->cx->errors) printf("no derivative is used\n");
    if (c.failures) printf("%u of the rows above are false\n", c.failures);
    arena_free(c.a);
    if (c.failures && !o->cx->errors) diag_error(o->cx, (Loc){0}, "a derivative is false");
    return compile_report(o);
}
