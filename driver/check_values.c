/* Random arguments, and the measure of agreement. */
#include "driver/check.h"

#include <math.h>

static double uniform(Check *c) {
    return rng_f64(rng_bits(0xC0FFEE, c->key++));
}

static double draw_float(Check *c, Draw draw) {
    double u = uniform(c);
    switch (draw) {
    case DrawWide:
        return 1.8 * u - 0.9;
    case DrawPositive:
        return 0.3 + u;
    case DrawSmall:
    case DrawCount:
        break;
    }
    return 0.2 * u - 0.1;
}

Tensor zero_tensor(Check *c, Type type) {
    return tensor_new(c->a, type, false);
}

Tensor random_tensor(Check *c, Type type, Draw draw) {
    Tensor t = zero_tensor(c, type);
    int64_t range = type.range ? type.range : type.dt == BOOL ? 2 : 5;
    for (int64_t i = 0; i < type.shape->size; i++) {
        if (dtype_is_float(type.dt))
            t.re[i] = draw_float(c, draw);
        else
            t.i[i] = (int64_t)(uniform(c) * (double)range);
    }
    return t;
}

Tensor random_direction(Check *c, Type type) {
    Tensor t = zero_tensor(c, type);
    int64_t n = type.shape->size;
    for (int64_t i = 0; i < n; i++) {
        double radius = sqrt(-2 * log(1 - uniform(c)));
        t.re[i] = radius * cos(6.283185307179586 * uniform(c));
    }
    /* not exactly on it, so that nothing cancels */
    double scale = (0.8 + 0.4 * uniform(c)) * sqrt((double)n) / tensor_norm(&t);
    for (int64_t i = 0; i < n; i++) t.re[i] *= scale;
    return t;
}

Tensor *zero_weights(Check *c, const Fn *fn) {
    Tensor *w = NEW_ARRAY(c->a, Tensor, fn->results.len);
    for (uint32_t i = 0; i < fn->results.len; i++) w[i] = zero_tensor(c, result_type(fn, i));
    return w;
}

Type result_type(const Fn *fn, uint32_t i) {
    return fn->ins.data[fn->results.data[i]].type;
}

static void fill_float(Tensor *t, double v) {
    for (int64_t i = 0; i < t->type.shape->size; i++) t->re[i] = v;
}

/* Values that a name asks for: counters, keys, hypers, deviations. */
static void set_named(Check *c, Sym name, Tensor *t) {
    static const struct {
        const char *name;
        int64_t value;
    } counters[] = {{"train.step", 3}, {"train.steps", 100}, {"train.key", 12345}};
    for (size_t i = 0; i < LEN(counters); i++) {
        if (!strcmp(counters[i].name, name)) t->i[0] = counters[i].value;
    }
    const Program *p = c->p;
    for (uint32_t i = 0; i < p->hypers.len; i++) {
        const Hyper *h = &p->hypers.data[i];
        if (strncmp(name, "hyper.", 6) || strcmp(name + 6, h->name) != 0) continue;
        if (dtype_is_float(h->dt))
            fill_float(t, h->value);
        else
            t->i[0] = (int64_t)h->value;
    }
    const char *last = strrchr(name, '.');
    if (!strncmp(name, "data.", 5) && last && !strcmp(last, ".deviation")) {
        for (int64_t i = 0; i < t->type.shape->size; i++) t->re[i] = 0.5 + uniform(c);
    }
}

/* Weights of a matrix are so large that what it gives is as large as what it gets. */
static void scale_weights(const Check *c, Sym name, Tensor *t, Draw draw) {
    const Shape *s = t->type.shape;
    bool state = false;
    for (uint32_t i = 0; i < c->p->state.len; i++) state |= c->p->state.data[i].path == name;
    if (!state || !t->re || s->rank < 2 || draw == DrawPositive) return;
    double rows = (double)s->size / (double)(s->dim[s->rank - 1] ? s->dim[s->rank - 1] : 1);
    for (int64_t i = 0; i < s->size; i++) t->re[i] *= 2 / sqrt(fmax(rows, 1));
}

Tensor *random_arguments(Check *c, const Fn *fn, Draw draw) {
    Tensor *args = NEW_ARRAY(c->a, Tensor, fn->nparams);
    for (uint32_t i = 0; i < fn->nparams; i++) {
        args[i] = random_tensor(c, fn->ins.data[i].type, draw);
        set_named(c, fn->ins.data[i].name, &args[i]);
        scale_weights(c, fn->ins.data[i].name, &args[i], draw);
    }
    return args;
}

double tensor_dot(const Tensor *x, const Tensor *y) {
    double sum = 0;
    for (int64_t i = 0; i < x->type.shape->size; i++) sum += x->re[i] * y->re[i];
    return sum;
}

double tensor_norm(const Tensor *x) {
    return sqrt(tensor_dot(x, x));
}

static bool tensor_finite(const Tensor *x) {
    for (int64_t i = 0; dtype_is_float(x->type.dt) && i < x->type.shape->size; i++) {
        if (!isfinite(x->re[i])) return false;
    }
    return true;
}

bool all_finite(const Tensor *t, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (!tensor_finite(&t[i])) return false;
    }
    return true;
}

double gated_error(double analytic, double numeric, double scale, double err, double gate) {
    double diff = fabs(analytic - numeric), allowed = scale + 10 * err / gate;
    if (diff == 0) return 0;
    return allowed > 0 ? diff / allowed : INFINITY;
}

/* Whether all that was to be compared since the last row lies at ties, or beside them at kinks. */
static bool only_ties(Check *c) {
    uint32_t compared = c->compared - c->row_compared, ties = c->ties - c->row_ties;
    uint32_t skipped = c->skipped - c->row_skipped;
    c->row_compared = c->compared;
    c->row_ties = c->ties;
    c->row_skipped = c->skipped;
    return ties && ties + skipped == compared;
}

void report_row(Check *c, bool ok, const char *what, double error) {
    const char *holds = only_ties(c) ? "ties" : "ok";
    if (!c->quiet || !ok) printf("%-5s %-44s %.1e\n", ok ? holds : "FALSE", what, error);
    c->failures += !ok;
}
