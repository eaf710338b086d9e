/* Numerical derivatives by the interpreter. Complex step: the imaginary part of f(x + ihu) over h
 * is exact to rounding. Where an operation has no complex version of its own (its continuation is
 * itself a derivative rule), 5-point differences at two steps, extrapolated; steps that reach
 * another smooth piece of f are shortened. Tests: tests/ir/numdiff_test.c */
#include "ir/interp.h"

#include <math.h>

typedef struct Diff {
    const Program *p;
    const Fn *fn;
    Arena *a;
    const Tensor *args, *u, *w;
    uint32_t k;
    Tensor *base;     /* results at args */
    uint64_t choices; /* at args */
    bool crossed;     /* a point of another piece was met */
} Diff;

static bool analytic(const Program *p, const Fn *fn) {
    static const Op continued[] = {Op_pow, Op_erf, Op_expm1, Op_log1p};
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        for (size_t i = 0; i < LEN(continued); i++) {
            if (ins->op == continued[i]) return false;
        }
        for (int k = 0; k < op_info[ins->op].nattrs; k++) {
            if (ins->attrs[k].kind == AttrFn && !analytic(p, program_fn(p, ins->attrs[k].s))) {
                return false;
            }
        }
    }
    return true;
}

static Tensor *arguments(const Diff *d) {
    Tensor *x = NEW_ARRAY(d->a, Tensor, d->fn->nparams);
    copy_bytes(x, d->args, d->fn->nparams * sizeof *x);
    return x;
}

static double complex_step(const Diff *d) {
    const double h = 1e-30;
    Tensor *x = arguments(d), *y = NEW_ARRAY(d->a, Tensor, d->fn->results.len);
    x[d->k].im = NEW_ARRAY(d->a, double, (size_t)d->u->type.shape->size + 1);
    for (int64_t i = 0; i < d->u->type.shape->size; i++) x[d->k].im[i] = h * d->u->re[i];
    interp_run(d->p, d->fn, InterpComplex, d->a, x, y, NULL);
    double sum = 0;
    for (uint32_t r = 0; r < d->fn->results.len; r++) {
        for (int64_t i = 0; y[r].im && i < y[r].type.shape->size; i++) {
            sum += d->w[r].re[i] * (y[r].im[i] / h);
        }
    }
    return sum;
}

/* <w, f(x + t u) - f(x)>: the difference keeps digits that the sum would lose. */
static double moved(Diff *d, double t) {
    Tensor *x = arguments(d), *y = NEW_ARRAY(d->a, Tensor, d->fn->results.len);
    x[d->k] = tensor_new(d->a, d->u->type, false);
    for (int64_t i = 0; i < d->u->type.shape->size; i++) {
        x[d->k].re[i] = d->args[d->k].re[i] + t * d->u->re[i];
    }
    d->crossed |= interp_choices(d->p, d->fn, d->a, x, y) != d->choices;
    double sum = 0;
    for (uint32_t r = 0; r < d->fn->results.len; r++) {
        for (int64_t i = 0; y[r].re && i < y[r].type.shape->size; i++) {
            sum += d->w[r].re[i] * (y[r].re[i] - d->base[r].re[i]);
        }
    }
    return sum;
}

static double five_point(Diff *d, double h) {
    double near = moved(d, h) - moved(d, -h);
    double far = moved(d, 2 * h) - moved(d, -2 * h);
    return (8 * near - far) / (12 * h);
}

/* About 2^-11 over the largest entry of u, a power of two. */
static double first_step(const Diff *d) {
    double most = 0;
    int exponent;
    for (int64_t i = 0; i < d->u->type.shape->size; i++) most = fmax(most, fabs(d->u->re[i]));
    if (!(most > 0) || isinf(most)) return 0x1p-11;
    frexp(most, &exponent);
    return ldexp(0x1p-10, -exponent);
}

/* The size of <w, f>, whose rounding the differences see. */
static double magnitude(const Diff *d) {
    double sum = 0;
    for (uint32_t r = 0; r < d->fn->results.len; r++) {
        for (int64_t i = 0; d->base[r].re && i < d->base[r].type.shape->size; i++) {
            sum += fabs(d->w[r].re[i] * d->base[r].re[i]);
        }
    }
    return sum;
}

static double differences(Diff *d, double *err) {
    d->base = NEW_ARRAY(d->a, Tensor, d->fn->results.len);
    d->choices = interp_choices(d->p, d->fn, d->a, d->args, d->base);
    double h = first_step(d), best = 0;
    for (int tries = 0; tries < 6; tries++, h /= 8) {
        d->crossed = false;
        double coarse = five_point(d, h), fine = five_point(d, h / 2);
        best = (16 * fine - coarse) / 15;
        *err = fabs(best - fine) * (d->crossed ? 1 : 0x1p-4) + 0x1p-53 * magnitude(d) / h;
        if (!d->crossed) break;
    }
    return best;
}

double numdiff_directional(const Program *p, const Fn *fn, Arena *a, const Tensor *args, uint32_t k,
                           const Tensor *u, const Tensor *w, double *err) {
    Diff d = {.p = p, .fn = fn, .a = a, .args = args, .u = u, .w = w, .k = k};
    *err = 0;
    return analytic(p, fn) ? complex_step(&d) : differences(&d, err);
}
