/* The curvature of a scalar function: the remainder of its linear part falls with the square of the
 * step, and its Hessian is symmetric and the derivative of its gradient. */
#include "driver/check.h"

#include <math.h>

/* ---- Taylor ---- */

typedef struct Remainder { /* at steps 1, 1/2, 1/4, ... */
    double r[64];
    bool crossed[64];
    int n; /* those that rounding leaves alone */
} Remainder;

/* |f(x + hu) - f(x) - h g u|, as far down as it is a hundred times the rounding of f. */
static Remainder remainder_along(const NumDiff *nd, const Tensor *u, double slope) {
    Remainder m = {.n = 0};
    double h = 1, noise = 8 * 0x1p-52 * numdiff_magnitude(nd);
    for (int k = 34; k < 38; k++) noise = fmax(noise, numdiff_noise(nd, u, ldexp(1, -k)));
    for (; m.n < 64; m.n++, h /= 2) {
        double moved = numdiff_moved(nd, u, h, &m.crossed[m.n]);
        double rest = fabs(moved - h * slope);
        if (rest <= 100 * (noise + 0x1p-52 * fabs(h * slope))) break;
        m.r[m.n] = rest;
    }
    return m;
}

/* Of the smallest steps, at most so many octaves, by least squares in logarithms; *octaves: how
 * many it were. */
static double slope_of(const Remainder *m, int most, int *octaves, bool *crossed) {
    int from = m->n > most + 1 ? m->n - most - 1 : 0, n = m->n - from;
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    *octaves = n - 1;
    *crossed = false;
    for (int k = from; k < m->n; k++) {
        double x = -k, y = log2(m->r[k]);
        sx += x, sy += y, sxx += x * x, sxy += x * y;
        *crossed |= m->crossed[k];
    }
    return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

/* Each parameter moved by as much as it is large; the optimizer's direction, and with it a share of
 * another one (0 to 1). */
static Tensor *taylor_direction(Proof *q, double share, double *slope) {
    Check *c = q->c;
    Tensor *along = NEW_ARRAY(c->a, Tensor, q->h->f->nparams);
    double steepest = 0;
    *slope = 0;
    for (uint32_t i = 0; i < q->h->n; i++) {
        steepest = fmax(steepest, tensor_norm(&q->got[q->first + i]));
    }
    for (uint32_t i = 0; i < q->h->n; i++) {
        const Tensor *g = &q->got[q->first + i], *x = &q->args[q->h->wrt[i]];
        Tensor u = random_direction(c, g->type);
        int64_t n = g->type.shape->size;
        double size = (tensor_norm(x) + 0.1) / sqrt((double)n + 1);
        for (int64_t k = 0; k < n; k++) {
            u.re[k] *= size * share;
            if (steepest > 0) u.re[k] -= (1 - share) * g->re[k] / steepest;
        }
        along[q->h->wrt[i]] = u;
        *slope += tensor_dot(g, &u);
    }
    return along;
}

static void taylor_row(Proof *q, const char *which, double slope, int octaves) {
    if (q->c->quiet) return;
    const char *what = arena_printf(q->c->a, "%s[%s] %s", op_info[q->h->op].name, q->h->f->name,
                                    which);
    if (octaves < 2)
        printf("%-5s %-44s no curvature\n", "taylor", what);
    else
        printf("%-5s %-44s slope %.3f over %.1f decades\n", "taylor", what, slope,
               octaves * 0.30103);
}

/* A false gradient leaves a term of order one along almost every direction; a right one's quadratic
 * term is small along some, where the remainder falls faster. Several directions have to agree that
 * it is false. */
static void taylor_along(Proof *q, const NumDiff *nd, bool downhill) {
    enum { Against = 3 };
    Check *c = q->c;
    const char *which = downhill ? "downhill" : "at random";
    double slope = 2;
    int against = 0;
    for (int draws = 0; draws < MaxDraws && against < Against; draws++) {
        double along, share = downhill ? fmin(0.1 * draws, 1) : 1;
        int octaves = 0;
        bool crossed = false;
        Tensor *u = taylor_direction(q, share, &along);
        Remainder m = remainder_along(nd, u, along);
        if (m.n > 1) slope = slope_of(&m, SLOPE_OCTAVES, &octaves, &crossed);
        /* Terms of higher order bend the line at its large steps. */
        if (octaves == SLOPE_OCTAVES && slope < 2 - SLOPE_GATE)
            slope = slope_of(&m, SLOPE_OCTAVES / 2, &octaves, &crossed);
        c->compared++;
        if (octaves < SLOPE_OCTAVES / 2 || slope >= 2 - SLOPE_GATE) {
            taylor_row(q, which, slope, octaves);
            return;
        }
        against += !crossed;
    }
    if (!against) {
        c->skipped++;
        return;
    }
    proof_row(q, arena_printf(c->a, "remainder %s falls by the power %.3f", which, slope),
              fabs(slope - 2), false);
}

void prove_taylor(Proof *q) {
    if (uses_surrogate(q->c, q->h->f)) return;
    NumDiff nd = numdiff_at(q->c->p, q->h->f, &q->by, q->c->a, q->args, q->w);
    if (nd.blind) return;
    taylor_along(q, &nd, false);
    taylor_along(q, &nd, true);
}

/* ---- second order ---- */

/* H u for all parameters at once; in q->c->a. */
static Tensor *hessian_times(Proof *q, const Tensor *u, Tensor **spread) {
    const Fn *f = q->h->f;
    Tensor *args = NEW_ARRAY(q->c->a, Tensor, q->second.fn->nparams);
    Tensor *out = NEW_ARRAY(q->c->a, Tensor, q->second.fn->results.len);
    copy_bytes(args, q->args, f->nparams * sizeof *args);
    for (uint32_t i = 0; i < q->h->n; i++) args[f->nparams + i] = u[i];
    run_function(&q->second, q->c->a, args, out);
    *spread = q->compiled ? NULL : rounding_spread(q->c, q->second.fn, args, out);
    return out;
}

static double dot_all(const Tensor *x, const Tensor *y, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += tensor_dot(&x[i], &y[i]);
    return sum;
}

static double norm_all(const Tensor *x, uint32_t n) {
    return sqrt(dot_all(x, x, n));
}

static Tensor *directions(Proof *q) {
    Tensor *u = NEW_ARRAY(q->c->a, Tensor, q->h->n);
    for (uint32_t i = 0; i < q->h->n; i++) {
        u[i] = random_direction(q->c, q->got[q->first + i].type);
    }
    return u;
}

/* How far rounding may move <u, x>. */
static double noise_of(const Tensor *spread, const Tensor *u, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; spread && i < n; i++) {
        for (int64_t k = 0; k < u[i].type.shape->size; k++) {
            sum += fabs(spread[i].re[k] * u[i].re[k]);
        }
    }
    return spread ? sum + 1e-15 : 0;
}

/* <v, gradient> of d differenced along u against v' H u. False where every step meets a kink. */
static bool compare_curvature(Proof *q, const Tensor *u, const Tensor *v, const Tensor *hu,
                              double noise) {
    Check *c = q->c;
    Tensor *w = zero_weights(c, q->d), *along = NEW_ARRAY(c->a, Tensor, q->d->nparams);
    for (uint32_t i = 0; i < q->h->n; i++) {
        w[q->first + i] = v[i];
        along[q->h->wrt[i]] = u[i];
    }
    for (uint32_t r = 0; r < q->first; r++) w[r].re = NULL;
    Evaluator by = {run_function, &q->derived};
    NumDiff nd = numdiff_at(c->p, q->d, q->compiled ? &by : NULL, c->a, q->args, w);
    if (nd.blind) return true;
    NumSlope s = numdiff_along(&nd, along);
    double analytic = dot_all(v, hu, q->h->n);
    double scale = fmax(fabs(s.value), norm_all(v, q->h->n) * norm_all(hu, q->h->n) /
                                           sqrt((double)q->h->n));
    double gate = nd.complex_step ? GATE_COMPLEX : GATE_POINTS;
    double error = gated_error(analytic, s.value, scale, s.error + noise, gate);
    c->compared++;
    if (error > gate && s.crossed) return false;
    proof_row(q, "hvp against the gradient", error, error <= gate);
    return true;
}

void prove_second(Proof *q) {
    uint32_t n = q->h->n;
    for (int draws = 0; draws < MaxDraws; draws++) {
        Tensor *u = directions(q), *v = directions(q);
        Tensor *of_hu, *of_hv, *hu = hessian_times(q, u, &of_hu), *hv = hessian_times(q, v, &of_hv);
        if (!all_finite(hu, n) || !all_finite(hv, n)) return;
        double a = dot_all(v, hu, n), b = dot_all(u, hv, n);
        double scale = norm_all(v, n) * norm_all(hu, n) + norm_all(u, n) * norm_all(hv, n);
        double noise = noise_of(of_hu, v, n), other = noise_of(of_hv, u, n);
        double error = gated_error(a, b, scale, noise + other, GATE_SYMMETRY);
        if (!draws) proof_row(q, "u' H v = v' H u", error, error <= GATE_SYMMETRY);
        if (compare_curvature(q, u, v, hu, noise)) return;
    }
    q->c->skipped++;
}
