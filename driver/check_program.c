/* One derivative function against the function that its header names: entry by entry or along
 * random directions, and mode against mode. */
#include "driver/check.h"
#include "ir/interp.h"

#include <math.h>

enum { Directions = 3 };

/* Where this much is computed, functions are compiled rather than interpreted. */
static const double much = 1e6;
/* More, and single parameters are compared by forward mode, all together by differences. */
static const double heavy = 2e7;

void proof_row(Proof *q, const char *what, double error, bool ok) {
    bool surrogate = uses_surrogate(q->c, q->h->f);
    ok |= surrogate;
    report_row(q->c, ok,
               arena_printf(q->c->a, "%s[%s] %s%s", op_info[q->h->op].name, q->h->f->name, what,
                            surrogate ? " (surrogate)" : ""),
               error);
    q->ok &= ok;
}

static const char *wrt_name(const Proof *q, uint32_t i) {
    return q->h->f->ins.data[q->h->wrt[i]].name;
}

/* The numerical derivative of <w, f> at the point. */
static NumDiff proof_numdiff(Proof *q) {
    return numdiff_at(q->c->p, q->h->f, q->compiled ? &q->by : NULL, q->c->a, q->args, q->w);
}

/* ---- rounding ---- */

Tensor *rounding_spread(Check *c, const Fn *fn, const Tensor *args, const Tensor *results) {
    enum { NoiseRuns = 4 };
    uint32_t n = fn->results.len;
    Tensor *moved = NEW_ARRAY(c->a, Tensor, n), *spread = zero_weights(c, fn);
    for (uint64_t run = 0; run < NoiseRuns; run++) {
        interp_noise(c->p, fn, c->a, args, moved, run);
        for (uint32_t r = 0; r < n; r++) {
            double *most = spread[r].re;
            for (int64_t i = 0; most && i < moved[r].type.shape->size; i++) {
                most[i] = fmax(most[i], fabs(moved[r].re[i] - results[r].re[i]));
            }
        }
    }
    return spread;
}

double proof_noise(const Proof *q, uint32_t r, const Tensor *u) {
    double sum = 0;
    for (int64_t i = 0; q->spread && i < u->type.shape->size; i++) {
        sum += fabs(q->spread[r].re[i] * u->re[i]);
    }
    return q->spread ? sum + 1e-15 : 0; /* what folds to 0 here may be rounded there */
}

/* ---- gradients ---- */

/* Along u in argument i; directions are drawn again where every step crosses a kink. */
static double compare_along(Proof *q, const NumDiff *nd, uint32_t i, const Tensor *g, Tensor u,
                            double floor) {
    Check *c = q->c;
    for (int draws = 0; draws < MaxDraws; draws++) {
        Tensor *along = NEW_ARRAY(c->a, Tensor, q->h->f->nparams);
        along[q->h->wrt[i]] = u;
        double scale = fmax(tensor_norm(g), floor) * tensor_norm(&u) /
                       sqrt((double)u.type.shape->size + 1);
        Compared r = compare_slope(c, nd, along, tensor_dot(g, &u), scale,
                                   proof_noise(q, q->first + i, &u));
        if (!r.kink) return r.error;
        u = random_direction(c, u.type);
    }
    c->skipped++;
    return 0;
}

/* Every entry of a small gradient, random directions of a large one. */
static void compare_gradient(Proof *q, const NumDiff *nd, uint32_t i, double floor) {
    Check *c = q->c;
    const Tensor *g = &q->got[q->first + i];
    int64_t n = g->type.shape->size;
    bool full = n <= FullJacobian;
    int64_t times = full ? n : q->compiled ? 1 : Directions;
    double worst = 0;
    for (int64_t k = 0; k < times; k++) {
        Tensor u = full ? zero_tensor(c, g->type) : random_direction(c, g->type);
        if (full) u.re[k] = 1;
        worst = fmax(worst, compare_along(q, nd, i, g, u, floor));
        if (worst > gate_of(nd)) break;
    }
    proof_row(q, wrt_name(q, i), worst, worst <= gate_of(nd));
}

/* All parameters at once, each as much as its gradient weighs. */
static void compare_together(Proof *q, const NumDiff *nd) {
    Check *c = q->c;
    double worst = 0;
    for (int k = 0; k < Directions; k++) {
        Tensor *along = NEW_ARRAY(c->a, Tensor, q->h->f->nparams);
        double sum = 0, scale = 0;
        for (uint32_t i = 0; i < q->h->n; i++) {
            const Tensor *g = &q->got[q->first + i];
            Tensor u = random_direction(c, g->type);
            along[q->h->wrt[i]] = u;
            sum += tensor_dot(g, &u);
            scale += tensor_norm(g) * tensor_norm(g);
        }
        Compared r = compare_slope(c, nd, along, sum, sqrt(scale), 0);
        if (compared_or_skipped(c, &r)) worst = fmax(worst, r.error);
    }
    proof_row(q, "all together", worst, worst <= GATE_POINTS);
}

/* <w, J u> = <J' w, u>. each: a row for every parameter. A J u that is infinite times 0 somewhere,
 * where J' w is not, proves nothing: differences have the last word. */
static void compare_modes(Proof *q, const NumDiff *nd, bool each) {
    Check *c = q->c;
    const Fn *f = q->h->f, *t = q->forward.fn;
    Tensor *args = NEW_ARRAY(c->a, Tensor, t->nparams);
    double worst = 0, worst_gate = GATE_DOT;
    bool open = false;
    copy_bytes(args, q->args, f->nparams * sizeof *args);
    for (uint32_t i = 0; i < q->h->n; i++) {
        args[f->nparams + i] = zero_tensor(c, q->got[q->first + i].type);
    }
    for (uint32_t i = 0; i < q->h->n; i++) {
        const Tensor *g = &q->got[q->first + i];
        Arena *a = arena_new();
        Tensor u = random_direction(c, g->type), none = args[f->nparams + i];
        Tensor *out = NEW_ARRAY(a, Tensor, t->results.len);
        args[f->nparams + i] = u;
        run_function(&q->forward, a, args, out);
        args[f->nparams + i] = none;
        double sum = 0, size = tensor_norm(g) * tensor_norm(&u);
        for (uint32_t r = 0, k = 0; r < f->results.len; r++) {
            if (!dtype_is_float(q->w[r].type.dt)) continue;
            sum += tensor_dot(&q->w[r], &out[k]);
            size += tensor_norm(&q->w[r]) * tensor_norm(&out[k++]);
        }
        double gate = GATE_DOT * sqrt((double)u.type.shape->size + 1);
        double error = gated_error(tensor_dot(g, &u), sum, size,
                                   proof_noise(q, q->first + i, &u), gate);
        bool nothing = !nd->blind && !all_finite(out, t->results.len);
        arena_free(a);
        open |= nothing;
        if (nothing) continue;
        if (each) proof_row(q, wrt_name(q, i), error, error <= gate);
        if (error / gate > worst / worst_gate) worst = error, worst_gate = gate;
    }
    const char *what = open ? "forward is not finite" : "forward against reverse";
    if (open || !each) proof_row(q, what, worst, worst <= worst_gate);
}

/* A gradient that is 0 but for rounding is compared with the others. */
static void prove_reverse(Proof *q) {
    double largest = 0, work = fn_work(q->c->p, q->h->f);
    for (uint32_t i = 0; i < q->h->n; i++) {
        const Tensor *g = &q->got[q->first + i];
        largest = fmax(largest, tensor_norm(g) / sqrt((double)g->type.shape->size + 1));
    }
    NumDiff nd = proof_numdiff(q);
    bool together = q->forward.fn && (work > heavy || nd.blind);
    for (uint32_t i = 0; !together && !nd.blind && i < q->h->n; i++)
        compare_gradient(q, &nd, i, largest * 1e-4);
    if (q->forward.fn) compare_modes(q, &nd, together);
    if (together && !nd.blind) compare_together(q, &nd);
}

/* ---- forward mode and Hessians ---- */

/* <w, results> of d from `first` on against the derivative of <w, fn> along the tangents of d. */
static void compare_tangents(Proof *q, const Fn *fn,
                             const char *(*label)(const Proof *, uint32_t)) {
    Check *c = q->c;
    const Fn *f = q->h->f;
    Tensor *along = NEW_ARRAY(c->a, Tensor, fn->nparams);
    for (uint32_t i = 0; i < q->h->n; i++) along[q->h->wrt[i]] = q->args[f->nparams + i];
    Runner run = {.c = c, .fn = fn, .watch = true};
    Runner *runs[] = {&run};
    Code *code = fn_work(c->p, fn) > much ? code_new(c, runs, 1, 1) : NULL;
    Evaluator by = {run_function, &run};
    for (uint32_t r = 0, t = q->first; r < fn->results.len; r++) {
        if (!dtype_is_float(result_type(fn, r).dt)) continue;
        Tensor *w = zero_weights(c, fn), *tangent = &q->got[t];
        w[r] = random_direction(c, result_type(fn, r));
        NumDiff nd = numdiff_at(c->p, fn, code ? &by : NULL, c->a, q->args, w);
        if (nd.blind) {
            t++;
            continue;
        }
        double scale = tensor_norm(tangent) * tensor_norm(&w[r]) /
                       sqrt((double)w[r].type.shape->size + 1);
        Compared slope = compare_slope(c, &nd, along, tensor_dot(&w[r], tangent), scale,
                                       proof_noise(q, t++, &w[r]));
        bool left_out = !compared_or_skipped(c, &slope);
        proof_row(q, label(q, r), slope.error, left_out || slope.ok);
    }
    code_free(code);
}

static const char *result_label(const Proof *q, uint32_t r) {
    return arena_printf(q->c->a, "result %u", r);
}

/* The values that ride along must be those of f. */
static void compare_values(Proof *q) {
    Check *c = q->c;
    const Fn *f = q->h->f;
    Tensor *y = NEW_ARRAY(c->a, Tensor, f->results.len);
    run_function(&q->value, c->a, q->args, y);
    for (uint32_t i = 0; i < f->results.len; i++) {
        if (!dtype_is_float(y[i].type.dt)) continue;
        Tensor u = random_direction(c, y[i].type);
        double a = tensor_dot(&q->got[i], &u), b = tensor_dot(&y[i], &u);
        double scale = tensor_norm(&y[i]) * tensor_norm(&u);
        double error = gated_error(a, b, scale, 0, GATE_DOT);
        proof_row(q, arena_printf(c->a, "value %u", i), error, error <= GATE_DOT);
    }
}

static void prove_hessian(Proof *q) {
    Check *c = q->c;
    const Header *h = q->h;
    const Fn *g =
        derive(c->p, Op_grad, h->f, program_fresh(c->p, sym_fmt(c->p->cx, "%s_check", h->f->name)),
               h->wrt, h->n);
    if (g) compare_tangents(q, g, wrt_name);
}

/* ---- the proof ---- */

/* A derivative that was not asked for: its errors and warnings are nobody's. */

static const Fn *try_derive(Proof *q, Op op) {
    Cx *cx = q->c->p->cx;
    uint32_t errors = cx->errors, diags = cx->diags.len;
    Sym name = program_fresh(q->c->p, sym_fmt(cx, "%s_%s_check", q->h->f->name, op_info[op].name));
    const Fn *fn = op == Op_jvp ? tangents_of(q->c->p, q->h->f, name, q->h->wrt, q->h->n)
                                : derive(q->c->p, op, q->h->f, name, q->h->wrt, q->h->n);
    cx->errors = errors;
    cx->diags.len = diags;
    return fn;
}

/* What runs beside d, compiled if it is much. */
static void prepare(Proof *q) {
    Check *c = q->c;
    const Header *h = q->h;
    bool reverse = h->op != Op_jvp && h->op != Op_hvp;
    bool scalar = reverse && h->op != Op_vjp;
    q->value = (Runner){.c = c, .fn = h->f, .watch = true};
    q->derived = (Runner){.c = c, .fn = q->d, .watch = true};
    q->forward = (Runner){.c = c, .fn = reverse ? try_derive(q, Op_jvp) : NULL};
    q->second = (Runner){.c = c, .fn = scalar ? try_derive(q, Op_hvp) : NULL};
    q->by = (Evaluator){run_function, &q->value};
    if (fn_work(c->p, h->f) <= much) return;
    Runner *runs[] = {&q->value, &q->derived, &q->forward}, *twice = &q->second;
    q->code[0] = code_new(c, runs, q->forward.fn ? 3 : 2, 1);
    if (q->second.fn) q->code[1] = code_new(c, &twice, 1, 0); /* large, and runs twice */
    q->compiled = q->code[0] != NULL;
}

/* A point where everything is finite, the function's own results too: the gradient of log is finite
 * where log is not. */
static bool choose_point(Proof *q) {
    Check *c = q->c;
    const Fn *f = q->h->f;
    Tensor *y = NEW_ARRAY(c->a, Tensor, f->results.len);
    q->got = NEW_ARRAY(c->a, Tensor, q->d->results.len);
    for (int tries = 0; tries < 2 * DrawCount; tries++) {
        q->args = random_arguments(c, q->d, (Draw)(tries % DrawCount));
        run_function(&q->derived, c->a, q->args, q->got);
        if (!all_finite(q->got, q->d->results.len)) continue;
        run_function(&q->value, c->a, q->args, y);
        if (all_finite(y, f->results.len)) return true;
    }
    diag_error(c->p->cx, q->d->loc, "%s is not finite at any point tried", q->d->rule);
    return false;
}

/* What f's results are weighed by: the cotangents of a vjp, else the first. */
static void weigh_results(Proof *q) {
    const Fn *f = q->h->f;
    q->w = zero_weights(q->c, f);
    q->first = q->h->op == Op_value_and_grad || q->h->op == Op_jvp ? f->results.len : 0;
    if (q->h->op != Op_vjp) {
        q->w[0].re[0] = 1;
        return;
    }
    for (uint32_t r = 0, n = f->nparams; r < f->results.len; r++) {
        if (dtype_is_float(q->w[r].type.dt)) q->w[r] = q->args[n++];
    }
}

void check_derivative(Check *c, const Fn *d, const Header *h) {
    Proof q = {.c = c, .d = d, .h = h, .ok = true};
    prepare(&q);
    if (c->p->cx->errors || !choose_point(&q)) return;
    if (!q.compiled) q.spread = rounding_spread(c, d, q.args, q.got);
    if (h->op != Op_jvp && h->op != Op_hvp) weigh_results(&q);
    if (h->op == Op_jvp) q.first = h->f->results.len;
    switch (h->op) {
    case Op_value_and_grad: compare_values(&q); /* fallthrough */
    case Op_grad:
    case Op_vjp:
        prove_reverse(&q);
        if (h->op != Op_vjp && q.ok) {
            prove_taylor(&q);
            if (q.second.fn) prove_second(&q);
        }
        break;
    case Op_jvp:
        compare_values(&q);
        compare_tangents(&q, h->f, result_label);
        break;
    default: prove_hessian(&q); break;
    }
    if (!q.ok && !c->p->cx->errors) locate_wrong(c, d, h, q.args, q.w);
    for (size_t k = 0; k < LEN(q.code); k++) code_free(q.code[k]);
}
