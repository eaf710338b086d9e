/* A numerical slope against an analytic one: what rounding allows, and what says nothing because
 * it lies at a kink. */
#include "driver/check.h"

#include <math.h>

double gate_of(const NumDiff *nd) { return nd->complex_step ? GATE_COMPLEX : GATE_POINTS; }

Compared compare_slope(Check *c, const NumDiff *nd, const Tensor *along, double analytic,
                       double scale, double noise) {
    NumSlope s = numdiff_along(nd, along);
    double gate = gate_of(nd), unsure = s.error + noise;
    scale = fmax(scale, fabs(s.value));
    Compared r = {.error = gated_error(analytic, s.value, scale, unsure, gate)};
    if (!(r.error <= gate)) {
        double rounding = numdiff_rounding(nd, along, &s);
        if (isfinite(rounding)) unsure += rounding;
        r.error = gated_error(analytic, s.value, scale, unsure, gate);
    }
    if (isnan(r.error)) r.error = INFINITY;
    c->compared++;
    r.ok = r.error <= gate;
    r.kink = !r.ok && s.crossed;
    if (r.ok || !s.tie || !isfinite(analytic)) return r;
    c->ties++;
    return (Compared){.ok = true};
}

/* Where a slope was compared along one direction only. */
bool compared_or_skipped(Check *c, Compared *r) {
    if (!r->kink) return true;
    c->skipped++;
    r->error = 0;
    return false;
}
