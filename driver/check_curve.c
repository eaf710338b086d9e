/* The curvature of a scalar function: the remainder of its linear part falls with the square of the
 * step, and its Hessian is symmetric and the derivative of its gradient. */
#include "driver/check.h"

#include <math.h>

/* ---- Taylor ---- */

enum { MostSteps = 64, Quiet = 4, Cliff = 64, Fitted = 5 };

typedef struct Remainder { /* where it is more than rounding, at steps that get smaller */
    double step[MostSteps], r[MostSteps];
    bool crossed[MostSteps];
    int n;
} Remainder;

/* A smooth remainder falls by 2, 4, 8 from one step to the next; by far more where the step before
 * lies beyond a kink. last: below the smallest step. */
static void mark_kinks(Remainder *m, double last) {
    bool crossed = false;
    for (int k = m->n; k-- > 0;) {
        double next = k + 1 < m->n ? fabs(m->r[k + 1]) : last;
        bool neighbour = k + 1 == m->n || m->step[k + 1] == m->step[k] / 2;
        crossed |= neighbour && fabs(m->r[k]) > Cliff * next;
        m->crossed[k] |= crossed;
    }
}

/* f(x + hu) - f(x) - h g u, as far down as it is a hundred times the rounding of f, at least
 * `noise`, and, h times, of g u, which may err by `unsure`. */
static Remainder remainder_along(const NumDiff *nd, double noise, const Tensor *u, double slope,
                                 double unsure) {
    Remainder m = {.n = 0};
    double h = 1, last = 0;
    int quiet = 0;
    for (int k = 34; k < 38; k++) noise = fmax(noise, numdiff_noise(nd, u, ldexp(1, -k)));
    for (int k = 0; k < MostSteps && quiet < Quiet; k++, h /= 2) {
        bool crossed = false;
        double rest = numdiff_moved(nd, u, h, &crossed) - h * slope;
        double rounding = noise + h * (unsure + 0x1p-52 * fabs(slope));
        bool seen = !(fabs(rest) <= 100 * rounding);
        if (!seen && !quiet++) last = fmax(fabs(rest), rounding);
        if (!seen) continue;
        quiet = 0;
        m.step[m.n] = h;
        m.crossed[m.n] = crossed;
        m.r[m.n++] = rest;
    }
    mark_kinks(&m, last);
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
        double x = log2(m->step[k]), y = log2(fabs(m->r[k]));
        sx += x, sy += y, sxx += x * x, sxy += x * y;
        *crossed |= m->crossed[k];
    }
    return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

/* Whether the remainder has a linear term: its slope at 0, by the polynomial through some of its
 * smaller steps, against what the last of them changes. The smallest steps say little: rounding is
 * a hundredth of them. */
typedef enum Verdict { Right, False, Unclear } Verdict;
static Verdict linear_term(const Remainder *m) {
    double p[Fitted];
    int top = m->n - 1 - (m->n > Fitted + 1 ? 2 : 1), from = top - Fitted + 1;
    if (from < 0) return Unclear;
    for (int k = 0; k < Fitted; k++) p[k] = m->r[from + k] / m->step[from + k];
    double least = fabs(p[Fitted - 1]);
    for (int width = 1; width < Fitted; width++) {
        for (int k = 0; k + width < Fitted; k++) {
            double far = m->step[from + k], near = m->step[from + k + width];
            p[k] = (far * p[k + 1] - near * p[k]) / (far - near);
        }
    }
    double rounding = 0.01 * fabs(m->r[m->n - 1]) / m->step[top]; /* of the last p, at most */
    double unsure = 10 * (fabs(p[0] - p[1]) + 8 * rounding);
    if (fabs(p[0]) > unsure) return False;
    return unsure <= least / 2 ? Right : Unclear;
}

/* Each parameter moved by as much as it is large; the optimizer's direction, and with it a share of
 * another one (0 to 1). *slope may err by *unsure. */
static Tensor *taylor_direction(Proof *q, double share, double *slope, double *unsure) {
    Check *c = q->c;
    Tensor *along = NEW_ARRAY(c->a, Tensor, q->h->f->nparams);
    double steepest = 0;
    *slope = *unsure = 0;
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
        *unsure += proof_noise(q, q->first + i, &u);
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
 * term is small along some, where the remainder falls faster, or slower as far as terms of higher
 * order cancel it. Several directions have to agree that it is false. */
static void taylor_along(Proof *q, const NumDiff *nd, double noise, bool downhill) {
    enum { Against = 3 };
    Check *c = q->c;
    const char *which = downhill ? "downhill" : "at random";
    double slope = 2;
    int against = 0;
    for (int draws = 0; draws < MaxDraws && against < Against; draws++) {
        double along, unsure, share = downhill ? fmin(0.1 * draws, 1) : 1;
        int octaves = 0;
        bool crossed = false;
        Tensor *u = taylor_direction(q, share, &along, &unsure);
        Remainder m = remainder_along(nd, noise, u, along, unsure);
        if (m.n > 1) slope = slope_of(&m, SLOPE_OCTAVES, &octaves, &crossed);
        /* Terms of higher order bend the line at its large steps. */
        if (octaves == SLOPE_OCTAVES && slope < 2 - SLOPE_GATE)
            slope = slope_of(&m, SLOPE_OCTAVES / 2, &octaves, &crossed);
        c->compared++;
        bool steep = octaves < SLOPE_OCTAVES / 2 || slope >= 2 - SLOPE_GATE;
        Verdict v = steep ? Right : crossed ? Unclear : linear_term(&m);
        if (v == Right) {
            taylor_row(q, which, slope, octaves);
            return;
        }
        against += v == False;
    }
    if (against < Against) {
        c->skipped++;
        return;
    }
    proof_row(q, arena_printf(c->a, "remainder %s falls by the power %.3f", which, slope),
              fabs(slope - 2), false);
}

/* How far rounding may move <w, f>. */
static double value_noise(Proof *q, const NumDiff *nd) {
    double noise = 8 * 0x1p-52 * numdiff_magnitude(nd), moved = 0;
    if (q->compiled) return noise;
    const Fn *f = q->h->f;
    Tensor *spread = rounding_spread(q->c, f, q->args, nd->base);
    for (uint32_t r = 0; r < f->results.len; r++) {
        for (int64_t i = 0; spread[r].re && i < spread[r].type.shape->size; i++) {
            moved += fabs(spread[r].re[i] * q->w[r].re[i]);
        }
    }
    return fmax(noise, moved);
}

void prove_taylor(Proof *q) {
    if (uses_surrogate(q->c, q->h->f)) return;
    NumDiff nd = numdiff_at(q->c->p, q->h->f, &q->by, q->c->a, q->args, q->w);
    if (nd.blind) return;
    double noise = value_noise(q, &nd);
    taylor_along(q, &nd, noise, false);
    taylor_along(q, &nd, noise, true);
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
    double scale = norm_all(v, q->h->n) * norm_all(hu, q->h->n) / sqrt((double)q->h->n);
    Compared r = compare_slope(c, &nd, along, dot_all(v, hu, q->h->n), scale, noise);
    if (r.kink) return false;
    proof_row(q, "hvp against the gradient", r.error, r.ok);
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
