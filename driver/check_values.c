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

Tensor *random_arguments(Check *c, const Fn *fn, Draw draw) {
    Tensor *args = NEW_ARRAY(c->a, Tensor, fn->nparams);
    for (uint32_t i = 0; i < fn->nparams; i++) {
        args[i] = random_tensor(c, fn->ins.data[i].type, draw);
        set_named(c, fn->ins.data[i].name, &args[i]);
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

bool tensor_finite(const Tensor *x) {
    for (int64_t i = 0; dtype_is_float(x->type.dt) && i < x->type.shape->size; i++) {
        if (!isfinite(x->re[i])) return false;
    }
    return true;
}

double relative_error(double analytic, double numeric, double scale) {
    double diff = fabs(analytic - numeric), size = fmax(fabs(numeric), scale);
    if (diff == 0) return 0;
    return size > 0 ? diff / size : INFINITY;
}

void report_row(Check *c, bool ok, const char *what, double error) {
    printf("%-5s %-44s %.1e\n", ok ? "ok" : "FALSE", what, error);
    c->failures += !ok;
}
