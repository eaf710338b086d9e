/* Numerical derivatives along a line. Complex step by the interpreter: the imaginary part of
 * f(x + ihu) over h is exact to rounding. Where an operation has no complex version of its own (its
 * continuation is itself a derivative rule), or the function is compiled, 5-point differences at
 * two steps, extrapolated; steps that reach another smooth piece of f are shortened. Tests:
 * tests/ir/numdiff_test.c */
#include "ir/interp.h"

#include <math.h>

/* Whether an instruction of fn, or of what it refers to, is such a one. */
static bool any(const Program *p, const Fn *fn, bool (*such)(const Ins *ins)) {
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        if (such(ins)) return true;
        for (int k = 0; k < op_info[ins->op].nattrs; k++) {
            if (ins->attrs[k].kind == AttrFn && any(p, program_fn(p, ins->attrs[k].s), such))
                return true;
        }
    }
    return false;
}

static bool continued(const Ins *ins) {
    static const Op ops[] = {Op_pow, Op_erf, Op_mul_ndtr, Op_expm1, Op_log1p};
    for (size_t k = 0; k < LEN(ops); k++) {
        if (ops[k] == (Op)ins->op) return true;
    }
    return false;
}

/* Differences see these move; derivatives take them, and the rounding to bf16, as they stand. */
static bool held(const Ins *ins) {
    return ins->op == Op_stop_gradient || (ins->op == Op_cast && ins->type.dt == BF16);
}

static uint64_t evaluate(const NumDiff *d, Arena *a, const Tensor *x, Tensor *y) {
    return d->by ? d->by->run(d->by->data, a, x, y) : interp_choices(d->p, d->fn, a, x, y);
}

NumDiff numdiff_at(const Program *p, const Fn *fn, const Evaluator *by, Arena *a,
                   const Tensor *args, const Tensor *w) {
    NumDiff d = {.p = p, .fn = fn, .by = by, .a = a, .args = args, .w = w};
    d.complex_step = !by && !any(p, fn, continued);
    if (d.complex_step) return d;
    d.blind = any(p, fn, held);
    d.base = NEW_ARRAY(a, Tensor, fn->results.len);
    d.choices = evaluate(&d, a, args, d.base);
    return d;
}

/* args, and where u moves one, room for another. */
static Tensor *arguments(const NumDiff *d, Arena *a, const Tensor *u) {
    Tensor *x = NEW_ARRAY(a, Tensor, d->fn->nparams);
    for (uint32_t k = 0; k < d->fn->nparams; k++) {
        x[k] = d->args[k];
        if (u[k].re && !d->complex_step) x[k] = tensor_new(a, d->args[k].type, false);
        if (u[k].re && d->complex_step) {
            x[k].im = NEW_ARRAY(a, double, (size_t)u[k].type.shape->size + 1);
        }
    }
    return x;
}

static double complex_step(const NumDiff *d, Arena *a, const Tensor *u, uint64_t *ties,
                           uint64_t *noise) {
    const double h = 1e-30;
    Tensor *x = arguments(d, a, u), *y = NEW_ARRAY(a, Tensor, d->fn->results.len);
    for (uint32_t k = 0; k < d->fn->nparams; k++) {
        for (int64_t i = 0; u[k].re && i < u[k].type.shape->size; i++) {
            x[k].im[i] = h * u[k].re[i];
        }
    }
    interp_complex(d->p, d->fn, a, x, y, ties, noise);
    double sum = 0;
    for (uint32_t r = 0; r < d->fn->results.len; r++) {
        for (int64_t i = 0; y[r].im && d->w[r].re && i < y[r].type.shape->size; i++) {
            sum += d->w[r].re[i] * (y[r].im[i] / h);
        }
    }
    return sum;
}

/* The difference keeps digits that the sum would lose. */
double numdiff_moved(const NumDiff *d, const Tensor *u, double t, bool *crossed) {
    Arena *a = arena_new();
    Tensor *x = arguments(d, a, u), *y = NEW_ARRAY(a, Tensor, d->fn->results.len);
    for (uint32_t k = 0; k < d->fn->nparams; k++) {
        for (int64_t i = 0; u[k].re && i < u[k].type.shape->size; i++) {
            x[k].re[i] = d->args[k].re[i] + t * u[k].re[i];
        }
    }
    *crossed |= evaluate(d, a, x, y) != d->choices;
    double sum = 0;
    for (uint32_t r = 0; r < d->fn->results.len; r++) {
        for (int64_t i = 0; y[r].re && d->w[r].re && i < y[r].type.shape->size; i++) {
            sum += d->w[r].re[i] * (y[r].re[i] - d->base[r].re[i]);
        }
    }
    arena_free(a);
    return sum;
}

static double symmetric(const NumDiff *d, const Tensor *u, double t, bool *crossed) {
    double ahead = numdiff_moved(d, u, t, crossed);
    return ahead - numdiff_moved(d, u, -t, crossed);
}

/* About 2^-11 over the largest entry of u, a power of two. */
static double first_step(const NumDiff *d, const Tensor *u) {
    double most = 0;
    int exponent;
    for (uint32_t k = 0; k < d->fn->nparams; k++) {
        for (int64_t i = 0; u[k].re && i < u[k].type.shape->size; i++) {
            most = fmax(most, fabs(u[k].re[i]));
        }
    }
    if (!(most > 0) || isinf(most)) return 0x1p-11;
    frexp(most, &exponent);
    return ldexp(0x1p-10, -exponent);
}

/* The size of <w, f>, whose rounding the differences see. */
double numdiff_magnitude(const NumDiff *d) {
    double sum = 0;
    for (uint32_t r = 0; r < d->fn->results.len; r++) {
        for (int64_t i = 0; d->base[r].re && d->w[r].re && i < d->base[r].type.shape->size; i++) {
            sum += fabs(d->w[r].re[i] * d->base[r].re[i]);
        }
    }
    return sum;
}

/* The rounding of <w, f>, seen in f(x + tu) + f(x - tu) - 2 f(x) for a tiny t, and at least
 * once. */
double numdiff_noise(const NumDiff *d, const Tensor *u, double t) {
    bool crossed = false;
    double ahead = numdiff_moved(d, u, t, &crossed), behind = numdiff_moved(d, u, -t, &crossed);
    return fmax(crossed ? 0 : fabs(ahead + behind), 0x1p-53 * numdiff_magnitude(d));
}

/* At 2h and h, and at h and h/2: four points each, of which two are shared. *settled: they say about
 * the same, two points at h and at h/2 too; else h may be too long to see what f does. */
static NumSlope differences_at(const NumDiff *d, const Tensor *u, double h, bool *settled) {
    NumSlope s = {.step = h / 2};
    double wide = symmetric(d, u, 2 * h, &s.crossed), mid = symmetric(d, u, h, &s.crossed);
    double near = symmetric(d, u, h / 2, &s.crossed);
    double coarse = (8 * mid - wide) / (12 * h), fine = (8 * near - mid) / (6 * h);
    s.value = (16 * fine - coarse) / 15;
    double rounding = numdiff_noise(d, u, h * 0x1p-24) / h, apart = fabs(s.value - fine);
    s.error = apart * (s.crossed ? 1 : 0x1p-4) + rounding;
    double plain = fabs(mid / (2 * h) - near / h);
    *settled = !s.crossed && !(apart > 0x1p-12 * fabs(s.value) + 16 * rounding ||
                               plain > 0x1p-4 * fabs(s.value) + 16 * rounding);
    return s;
}

/* At steps that get smaller, until one has settled. */
static NumSlope differences(const NumDiff *d, const Tensor *u) {
    NumSlope best = {.crossed = true, .error = INFINITY};
    double h = first_step(d, u);
    bool settled = false;
    for (int tries = 0; tries < 6 && !settled; tries++, h /= 8) {
        NumSlope s = differences_at(d, u, h, &settled);
        if (settled || best.crossed || (!s.crossed && s.error < best.error)) best = s;
    }
    return best;
}

NumSlope numdiff_along(const NumDiff *d, const Tensor *u) {
    if (!d->complex_step) return differences(d, u);
    uint64_t ties = 0;
    Arena *a = arena_new();
    NumSlope s = {.value = complex_step(d, a, u, &ties, NULL)};
    s.tie = ties > 0;
    arena_free(a);
    return s;
}

/* <w, fn> where everything errs by some roundings. */
static double noisy_value(const NumDiff *d, Arena *a, uint64_t key) {
    Tensor *y = NEW_ARRAY(a, Tensor, d->fn->results.len);
    double sum = 0;
    interp_noise(d->p, d->fn, a, d->args, y, key);
    for (uint32_t r = 0; r < d->fn->results.len; r++) {
        for (int64_t i = 0; y[r].re && d->w[r].re && i < y[r].type.shape->size; i++) {
            sum += d->w[r].re[i] * (y[r].re[i] - d->base[r].re[i]);
        }
    }
    return sum;
}

double numdiff_rounding(const NumDiff *d, const Tensor *u, const NumSlope *s) {
    enum { Runs = 4 };
    double lo = INFINITY, hi = -INFINITY;
    if (d->by) return 0;
    for (uint64_t run = 0; run < Runs; run++) {
        uint64_t key = run;
        Arena *a = arena_new();
        double x = d->complex_step ? complex_step(d, a, u, NULL, &key) : noisy_value(d, a, key);
        lo = fmin(lo, x);
        hi = fmax(hi, x);
        arena_free(a);
    }
    return d->complex_step ? hi - lo : (hi - lo) / s->step;
}

double numdiff_directional(const Program *p, const Fn *fn, Arena *a, const Tensor *args, uint32_t k,
                           const Tensor *u, const Tensor *w, double *err) {
    NumDiff d = numdiff_at(p, fn, NULL, a, args, w);
    Tensor *along = NEW_ARRAY(a, Tensor, fn->nparams);
    along[k] = *u;
    NumSlope s = numdiff_along(&d, along);
    *err = s.error;
    return s.value;
}
