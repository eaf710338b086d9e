/* Numerical derivatives by the interpreter. Complex step: the imaginary part of f(x + ihu) over h is
 * exact to rounding. Where an operation has no complex version of its own (its continuation is
 * itself a derivative rule), 5-point differences at two steps, extrapolated. */
#include "ir/ir.h"

#include <math.h>

typedef struct Diff {
    const Program *p;
    const Fn *fn;
    Arena *a;
    const Tensor *args, *u, *w;
    uint32_t k;
} Diff;

static bool analytic(const Program *p, const Fn *fn) {
    static const Op continued[] = {Op_pow, Op_erf, Op_expm1, Op_log1p};
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        for (size_t i = 0; i < LEN(continued); i++) {
            if (ins->op == continued[i]) return false;
        }
        const Fn *callee = ins->op == Op_call ? program_fn(p, ins->attrs[0].s) : NULL;
        if (callee && !analytic(p, callee)) return false;
    }
    return true;
}

static double complex_step(const Diff *d) {
    const double h = 1e-30;
    Tensor *x = NEW_ARRAY(d->a, Tensor, d->fn->nparams), *y = NEW_ARRAY(d->a, Tensor, d->fn->results.len);
    for (uint32_t i = 0; i < d->fn->nparams; i++) x[i] = d->args[i];
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
static double moved(const Diff *d, double t, const Tensor *base) {
    Tensor *x = NEW_ARRAY(d->a, Tensor, d->fn->nparams), *y = NEW_ARRAY(d->a, Tensor, d->fn->results.len);
    for (uint32_t i = 0; i < d->fn->nparams; i++) x[i] = d->args[i];
    x[d->k] = tensor_new(d->a, d->u->type, false);
    for (int64_t i = 0; i < d->u->type.shape->size; i++) {
        x[d->k].re[i] = d->args[d->k].re[i] + t * d->u->re[i];
    }
    interp_run(d->p, d->fn, InterpF64, d->a, x, y, NULL);
    double sum = 0;
    for (uint32_t r = 0; r < d->fn->results.len; r++) {
        for (int64_t i = 0; y[r].re && i < y[r].type.shape->size; i++) {
            sum += d->w[r].re[i] * (y[r].re[i] - base[r].re[i]);
        }
    }
    return sum;
}

static double five_point(const Diff *d, double h, const Tensor *base) {
    double near = moved(d, h, base) - moved(d, -h, base);
    double far = moved(d, 2 * h, base) - moved(d, -2 * h, base);
    return (8 * near - far) / (12 * h);
}

double numdiff_directional(const Program *p, const Fn *fn, Arena *a, const Tensor *args, uint32_t k,
                           const Tensor *u, const Tensor *w, double *err) {
    Diff d = {p, fn, a, args, u, w, k};
    *err = 0;
    if (analytic(p, fn)) return complex_step(&d);
    Tensor *base = NEW_ARRAY(a, Tensor, fn->results.len);
    interp_run(p, fn, InterpF64, a, args, base, NULL);
    double coarse = five_point(&d, 0x1p-11, base), fine = five_point(&d, 0x1p-12, base);
    double best = (16 * fine - coarse) / 15;
    *err = fabs(best - fine) * 0x1p-4;
    return best;
}
