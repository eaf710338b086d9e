/* The rules of one instruction: <u, B(v)> and <v, J u> against d<v, y>/dx along u, entry by entry
 * where they are few; each against the other; and their own derivatives. */
#include "driver/check_site.h"

#include <math.h>

static bool is_call(const Site *s) {
    return s->ins->op == Op_call;
}

static bool is_float(Type t) {
    return dtype_is_float(t.dt);
}

const char *site_label(const Site *s, Proving what, uint32_t k) {
    Check *c = s->c;
    const OpInfo *info = &op_info[s->ins->op];
    const char *operand = is_call(s) ? s->alone->ins.data[k].name
                          : info->nargs < 0 ? info->operands[0]
                                            : info->operands[k];
    switch (what) {
    case ProvesBackward: return arena_printf(c->a, "B[%s, %s]", s->name, operand);
    case ProvesForward: return arena_printf(c->a, "J[%s]", s->name);
    case ProvesModes: return arena_printf(c->a, "J[%s] against B", s->name);
    case ProvesTwice: return arena_printf(c->a, "B[%s] differentiated", s->name);
    case ProvesSingle: break;
    }
    return arena_printf(c->a, "B[%s] in f32", s->name);
}

Loc site_line(const Site *s, Proving what, uint32_t k) {
    const Fn *rule = what == ProvesForward && s->ahead ? s->ahead : s->back ? s->back : s->ahead;
    if (!rule) return s->ins->loc;
    uint32_t r = what == ProvesBackward && k < rule->results.len ? k : 0;
    Loc line = rule->ins.data[rule->results.data[r]].loc;
    return line.line ? line : rule->loc;
}

/* fn x...: y = op(x...), alone. */
static Fn *isolate(Site *s) {
    Program *p = s->c->p;
    Cx *cx = p->cx;
    Builder *b = builder_new(p, program_fresh(p, sym_fmt(cx, "check_%s", s->name)), true);
    const Fn *callee = is_call(s) ? program_fn(p, s->name) : NULL;
    Val *vals = NEW_ARRAY(cx->arena, Val, s->ins->nargs);
    Val *results = NEW_ARRAY(cx->arena, Val, s->nresults);
    b_at(b, s->ins->loc, NULL);
    for (uint32_t i = 0; i < s->ins->nargs; i++) {
        Sym name = callee ? callee->ins.data[i].name : sym_fmt(cx, "x%u", i);
        vals[i] = b_param(b, name, s->args[i]);
    }
    if (callee) b_call(b, callee, vals, s->ins->nargs, results);
    else {
        results[0] = b_op(b, (Op)s->ins->op, vals, s->ins->nargs, s->ins->attrs, &s->results[0]);
    }
    for (uint32_t i = 0; i < s->nresults; i++) b_result(b, results[i]);
    return builder_done(b);
}

static bool no_derivative(const Site *s, uint32_t k) {
    if (!s->back) return false;
    const Ins *line = &s->back->ins.data[s->back->results.data[k]];
    return line->op == Op_const && line->rule && !strcmp(line->rule, "nodiff");
}

bool site_open(Site *s, const Program *p) {
    Program *q = s->c->p;
    uint32_t errors = p->cx->errors;
    bool gives = false;
    s->back = q->rule(q, RuleBackward, s->name, s->ins, s->args, s->results, s->nresults);
    s->ahead = q->rule(q, RuleForward, s->name, s->ins, s->args, s->results, s->nresults);
    if (p->cx->errors != errors || (!s->back && !s->ahead && is_call(s))) return false;
    s->surrogate = (s->back && s->back->surrogate) || (s->ahead && s->ahead->surrogate);
    for (uint32_t r = 0; r < s->nresults; r++) gives |= is_float(s->results[r]);
    s->wrt = NEW_ARRAY(s->c->a, uint32_t, s->ins->nargs);
    for (uint32_t k = 0; gives && k < s->ins->nargs; k++) {
        if (is_float(s->args[k]) && !no_derivative(s, k)) s->wrt[s->n++] = k;
    }
    if (!s->n) return false;
    s->alone = isolate(s);
    return true;
}

/* ---- the point ---- */

/* What is tried where the domain gives no finite results: all positive, then probabilities. */
static double in_domain(Check *c, Domain d, int tries) {
    Type one = type_of(F64, shape_scalar(c->p->cx));
    double u = random_tensor(c, one, DrawWide).re[0] / 0.9; /* in [-1, 1) */
    bool negative = random_tensor(c, one, DrawWide).re[0] < 0;
    if (tries % 3 == 1) d = DomPositive;
    if (tries % 3 == 2) return 0.5 + 0.4 * u;
    switch (d) {
    case DomPositive: return 1.65 + 1.35 * u;
    case DomNonzero: return (negative ? -1 : 1) * (1.65 + 1.35 * u);
    case DomUnit: return 0.9 * u;
    case DomNone:
    case DomAny:
    case DomInt:
    case DomBool: break;
    }
    return 2 * u;
}

bool site_draw(Site *s, Domain domain) {
    Check *c = s->c;
    s->x = NEW_ARRAY(c->a, Tensor, s->ins->nargs);
    for (int tries = 0; tries < MaxDraws; tries++) {
        for (uint32_t k = 0; k < s->ins->nargs; k++) {
            s->x[k] = random_tensor(c, s->args[k], DrawWide);
            for (int64_t i = 0; s->x[k].re && i < s->args[k].shape->size; i++) {
                s->x[k].re[i] = in_domain(c, domain, tries);
            }
        }
        Tensor *y = NEW_ARRAY(c->a, Tensor, s->nresults);
        interp_run(c->p, s->alone, InterpF64, c->a, s->x, y, NULL);
        if (all_finite(y, s->nresults)) return true;
    }
    return false;
}

/* ---- first order ---- */

static Sym fresh(const Site *s, const char *what) {
    return program_fresh(s->c->p, sym_fmt(s->c->p->cx, "check_%s_%s", s->name, what));
}

static double rms(const Tensor *x) {
    return tensor_norm(x) / sqrt((double)x->type.shape->size + 1);
}

/* Each operand's line along each entry, or along random directions. */
static void compare_backward(Site *s, const NumDiff *nd, const Tensor *bars, Found *found,
                             void *data) {
    Check *c = s->c;
    double largest = 0;
    for (uint32_t j = 0; j < s->n; j++) largest = fmax(largest, rms(&bars[j]));
    for (uint32_t j = 0; j < s->n; j++) {
        int64_t n = bars[j].type.shape->size;
        bool full = n <= FullJacobian;
        double worst = 0;
        for (int64_t e = 0; e < (full ? n : 3); e++) {
            Tensor *along = NEW_ARRAY(c->a, Tensor, s->ins->nargs);
            Tensor u = full ? zero_tensor(c, bars[j].type) : random_direction(c, bars[j].type);
            if (full) u.re[e] = 1;
            along[s->wrt[j]] = u;
            double size = fmax(rms(&bars[j]), largest * 1e-3) * (full ? 1 : rms(&u));
            Compared r = compare_slope(c, nd, along, tensor_dot(&bars[j], &u), size, 0);
            if (compared_or_skipped(c, &r)) worst = fmax(worst, r.error);
        }
        found(data, s, ProvesBackward, s->wrt[j], worst, gate_of(nd));
    }
}

/* <v, J u> numerically and by the backward rule. */
static void compare_forward(Site *s, const NumDiff *nd, const Tensor *w, const Tensor *bars,
                            const Fn *t, Found *found, void *data) {
    Check *c = s->c;
    Tensor *along = NEW_ARRAY(c->a, Tensor, s->ins->nargs), *args, *out;
    double back = 0, size = 0, ahead = 0;
    args = NEW_ARRAY(c->a, Tensor, t->nparams);
    out = NEW_ARRAY(c->a, Tensor, t->results.len);
    copy_bytes(args, s->x, s->ins->nargs * sizeof *args);
    for (uint32_t j = 0; j < s->n; j++) {
        Tensor u = random_direction(c, bars[j].type);
        along[s->wrt[j]] = args[s->ins->nargs + j] = u;
        back += tensor_dot(&bars[j], &u);
        size += tensor_norm(&bars[j]) * tensor_norm(&u);
    }
    interp_run(c->p, t, InterpF64, c->a, args, out, NULL);
    int64_t n = 1;
    for (uint32_t r = 0, k = 0; r < s->nresults; r++) {
        if (!is_float(s->results[r])) continue;
        ahead += tensor_dot(&w[r], &out[k]);
        size += tensor_norm(&w[r]) * tensor_norm(&out[k++]);
        n += s->results[r].shape->size;
    }
    Compared slope = compare_slope(c, nd, along, ahead, size / sqrt((double)n), 0);
    if (compared_or_skipped(c, &slope)) {
        found(data, s, ProvesForward, 0, slope.error, gate_of(nd));
    }
    double gate = GATE_DOT * sqrt((double)n), error = gated_error(back, ahead, size, 0, gate);
    found(data, s, ProvesModes, 0, isnan(error) ? INFINITY : error, gate);
}

static Tensor *cotangents(Site *s, Tensor *args) {
    Tensor *w = zero_weights(s->c, s->alone);
    uint32_t n = s->ins->nargs;
    for (uint32_t r = 0; r < s->nresults; r++) {
        if (is_float(s->results[r])) w[r] = args[n++] = random_direction(s->c, s->results[r]);
    }
    return w;
}

bool site_first(Site *s, Found *found, void *data) {
    Check *c = s->c;
    Fn *back = transpose_fn(c->p, s->alone, fresh(s, "vjp"), s->wrt, s->n, NULL);
    const Fn *ahead = back ? tangents_of(c->p, s->alone, fresh(s, "jvp"), s->wrt, s->n) : NULL;
    if (!ahead) return false;
    Tensor *args = NEW_ARRAY(c->a, Tensor, back->nparams);
    Tensor *bars = NEW_ARRAY(c->a, Tensor, back->results.len);
    copy_bytes(args, s->x, s->ins->nargs * sizeof *args);
    Tensor *w = cotangents(s, args);
    interp_run(c->p, back, InterpF64, c->a, args, bars, NULL);
    Runner run = {.c = c, .fn = s->alone, .watch = true};
    Runner *runs[] = {&run};
    Code *code = fn_work(c->p, s->alone) > 2e7 ? code_new(c, runs, 1, 1) : NULL;
    Evaluator by = {run_function, &run};
    NumDiff nd = numdiff_at(c->p, s->alone, code ? &by : NULL, c->a, s->x, w);
    compare_backward(s, &nd, bars, found, data);
    compare_forward(s, &nd, w, bars, ahead, found, data);
    code_free(code);
    return true;
}

/* ---- second order ---- */

/* fn (x..., v..., u...): the sum of <u, B(v)>. */
static Fn *pulled(Site *s, const Fn *back) {
    Program *p = s->c->p;
    Cx *cx = p->cx;
    Builder *b = builder_new(p, fresh(s, "pulled"), false);
    Val *args = NEW_ARRAY(cx->arena, Val, back->nparams);
    Val *u = NEW_ARRAY(cx->arena, Val, s->n), *bars = NEW_ARRAY(cx->arena, Val, s->n);
    Val total = NoVal;
    b_at(b, s->ins->loc, NULL);
    for (uint32_t k = 0; k < back->nparams; k++) {
        args[k] = b_param(b, sym_fmt(cx, "a%u", k), back->ins.data[k].type);
    }
    for (uint32_t j = 0; j < s->n; j++)
        u[j] = b_param(b, sym_fmt(cx, "u%u", j), s->args[s->wrt[j]]);
    splice(p, b, back, args, NULL, &(Splice){0}, bars);
    for (uint32_t j = 0; j < s->n; j++) {
        Val term = b_sum_to(b, b_mul(b, u[j], bars[j]), shape_scalar(cx));
        total = total == NoVal ? term : b_add(b, total, term);
    }
    b_result(b, total);
    return builder_done(b);
}

bool site_second(Site *s, Found *found, void *data) {
    Check *c = s->c;
    Fn *back = transpose_fn(c->p, s->alone, fresh(s, "vjp"), s->wrt, s->n, NULL);
    if (!back) return false;
    Fn *f = pulled(s, back);
    uint32_t n = s->n, *wrt = NEW_ARRAY(c->a, uint32_t, f->nparams);
    copy_bytes(wrt, s->wrt, n * sizeof *wrt);
    for (uint32_t k = s->ins->nargs; k < back->nparams; k++) wrt[n++] = k; /* B is linear in v */
    Fn *d = differentiate(c->p, f, fresh(s, "second"), wrt, n);
    if (!d) return false;
    Tensor *args = NEW_ARRAY(c->a, Tensor, f->nparams);
    Tensor *got = NEW_ARRAY(c->a, Tensor, d->results.len), *w = zero_weights(c, f);
    for (uint32_t k = 0; k < f->nparams; k++) {
        args[k] = k < s->ins->nargs ? s->x[k] : random_direction(c, f->ins.data[k].type);
    }
    interp_run(c->p, d, InterpF64, c->a, args, got, NULL);
    w[0].re[0] = 1;
    NumDiff nd = numdiff_at(c->p, f, NULL, c->a, args, w);
    double worst = 0, largest = 0;
    for (uint32_t j = 0; j < n; j++) largest = fmax(largest, rms(&got[1 + j]));
    for (uint32_t j = 0; j < n; j++) {
        Tensor *along = NEW_ARRAY(c->a, Tensor, f->nparams), u;
        along[wrt[j]] = u = random_direction(c, f->ins.data[wrt[j]].type);
        double size = fmax(tensor_norm(&got[1 + j]), largest * 1e-3);
        Compared r = compare_slope(c, &nd, along, tensor_dot(&got[1 + j], &u), size, 0);
        if (compared_or_skipped(c, &r)) worst = fmax(worst, r.error);
    }
    found(data, s, ProvesTwice, 0, worst, gate_of(&nd));
    return true;
}

/* ---- f32 ---- */

static double round_f32(double x) {
    return (double)(float)x;
}

/* args moved by at most a rounding of f32 each. */
static Tensor *jiggled(Check *c, const Tensor *args, uint32_t n) {
    Tensor *x = NEW_ARRAY(c->a, Tensor, n);
    for (uint32_t k = 0; k < n; k++) {
        x[k] = args[k];
        if (!args[k].re) continue;
        Tensor r = random_tensor(c, args[k].type, DrawWide);
        x[k] = zero_tensor(c, args[k].type);
        for (int64_t i = 0; i < x[k].type.shape->size; i++) {
            x[k].re[i] = args[k].re[i] * (1 + 0x1p-24 * r.re[i] / 0.9);
        }
    }
    return x;
}

static double largest_difference(const Tensor *x, const Tensor *y) {
    double most = 0;
    for (int64_t i = 0; i < x->type.shape->size; i++) {
        double d = fabs(x->re[i] - y->re[i]);
        if (!(d <= most)) most = d;
    }
    return most;
}

/* The adjoint in f32 against f64 at the same f32 point. Allowed: what a rounding of each operand
 * does to it, and a rounding of it, a few times. */
bool site_single(Site *s, Found *found, void *data) {
    enum { Jiggles = 8 };
    Check *c = s->c;
    Fn *back = transpose_fn(c->p, s->alone, fresh(s, "vjp"), s->wrt, s->n, NULL);
    if (!back) return false;
    Tensor *args = NEW_ARRAY(c->a, Tensor, back->nparams);
    copy_bytes(args, s->x, s->ins->nargs * sizeof *args);
    cotangents(s, args);
    for (uint32_t k = 0; k < back->nparams; k++) {
        for (int64_t i = 0; args[k].re && i < args[k].type.shape->size; i++) {
            args[k].re[i] = round_f32(args[k].re[i]);
        }
    }
    Tensor *got = NEW_ARRAY(c->a, Tensor, s->n), *want = NEW_ARRAY(c->a, Tensor, s->n);
    Tensor *moved = NEW_ARRAY(c->a, Tensor, s->n);
    double *spread = NEW_ARRAY(c->a, double, s->n), worst = 0;
    interp_run(c->p, back, InterpRound, c->a, args, got, NULL);
    interp_run(c->p, back, InterpF64, c->a, args, want, NULL);
    for (int j = 0; j < Jiggles; j++) {
        Tensor *x = jiggled(c, args, back->nparams);
        interp_run(c->p, back, InterpF64, c->a, x, moved, NULL);
        for (uint32_t k = 0; k < s->n; k++) {
            spread[k] = fmax(spread[k], largest_difference(&moved[k], &want[k]));
        }
    }
    for (uint32_t k = 0; k < s->n; k++) {
        double diff = largest_difference(&got[k], &want[k]), zero = 0;
        Tensor none = zero_tensor(c, want[k].type);
        double allowed = spread[k] + 0x1p-24 * largest_difference(&want[k], &none);
        if (diff > zero || isnan(diff))
            worst = fmax(worst, allowed > 0 ? diff / allowed : INFINITY);
    }
    found(data, s, ProvesSingle, 0, worst, GATE_SINGLE);
    return true;
}
