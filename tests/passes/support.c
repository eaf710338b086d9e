/* See support.h. */
#include "ir/interp.h"
#include "tests/passes/support.h"

T *t_new(void) {
    T *t = calloc(1, sizeof *t);
    t->cx = cx_new();
    t->p = program_new(t->cx);
    t->p->name = sym(t->cx, "t");
    t->p->path = sym(t->cx, "t.bp");
    t->p->real = F64;
    t->p->rule = test_rule;
    return t;
}

void t_free(T *t) {
    cx_free(t->cx);
    free(t);
}

static void step(T *t) {
    b_at(t->b, (Loc){sym(t->cx, "t.bp"), ++t->line, 5, 3}, NULL);
}

void t_fn(T *t, const char *name) {
    t->b = builder_new(t->p, sym(t->cx, name), false);
    step(t);
    b_fn(t->b)->loc = b_loc(t->b);
}

Fn *t_end(T *t, ...) {
    va_list ap;
    va_start(ap, t);
    for (Val v; (v = va_arg(ap, Val)) != NoVal;) b_result(t->b, v);
    va_end(ap);
    Fn *fn = builder_done(t->b);
    program_add(t->p, fn);
    return fn;
}

void t_drop(T *t, const char *name) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < t->p->fns.len; k++) {
        if (strcmp(t->p->fns.data[k]->name, name) != 0) t->p->fns.data[n++] = t->p->fns.data[k];
    }
    assert_int_equal(n + 1, t->p->fns.len);
    t->p->fns.len = n;
}

Type t_type(T *t, uint32_t rank, ...) {
    int64_t dim[8];
    va_list ap;
    va_start(ap, rank);
    for (uint32_t k = 0; k < rank; k++) dim[k] = va_arg(ap, int);
    va_end(ap);
    return type_of(F64, shape_of(t->cx, dim, rank));
}

Val t_param(T *t, const char *name, Type type) {
    step(t);
    return b_param(t->b, sym(t->cx, name), type);
}

Val t_num(T *t, Type type, double v) {
    step(t);
    return b_float(t->b, type, v);
}

Val t_op(T *t, Op op, Val x) {
    step(t);
    return b_op(t->b, op, &x, 1, NULL, NULL);
}

Val t_op2(T *t, Op op, Val x, Val y) {
    step(t);
    return b_op(t->b, op, (Val[]){x, y}, 2, NULL, NULL);
}

Val t_where(T *t, Val c, Val x, Val y) {
    step(t);
    return b_op(t->b, Op_where, (Val[]){c, x, y}, 3, NULL, NULL);
}

Val t_ints(T *t, Op op, Val x, uint32_t n, const int64_t *v) {
    step(t);
    Attr a = attr_ints(t->cx, v, n);
    return b_op(t->b, op, &x, 1, &a, NULL);
}

Val t_sum(T *t, Val x) {
    int64_t axes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    return t_ints(t, Op_reduce_sum, x, b_type(t->b, x).shape->rank, axes);
}

Val t_name(T *t, Val v, const char *name) {
    b_name(t->b, v, sym(t->cx, name));
    return v;
}

Val t_call(T *t, const char *fn, uint32_t n, const Val *args) {
    Val r;
    step(t);
    b_call(t->b, program_fn(t->p, sym(t->cx, fn)), args, n, &r);
    return r;
}

void t_operator(T *t, Op op, const char *fn, const char *wrt, uint32_t n, const Val *args,
                const Type *types, uint32_t nresults, Val *results) {
    Sym names[8];
    uint32_t count = 0;
    for (const char *s = wrt; *s;) {
        size_t len = strcspn(s, " ");
        names[count++] = sym_n(t->cx, s, len);
        s += len + (s[len] == ' ');
    }
    step(t);
    Attr attrs[] = {attr_fn(sym(t->cx, fn)), attr_names(t->cx, names, count)};
    b_multi(t->b, op, args, n, attrs, types, nresults, results);
}

/* ---- values ---- */

Tensor t_random(T *t, Type type, uint64_t seed, double lo, double hi) {
    Tensor x = tensor_new(t->cx->arena, type, false);
    for (int64_t e = 0; e < type.shape->size; e++) {
        double u = rng_f64(rng_bits(seed, (uint64_t)e));
        if (dtype_is_float(type.dt)) x.re[e] = lo + u * (hi - lo);
        else x.i[e] = type.dt == BOOL ? u < 0.5 : (int64_t)(u * 5);
    }
    return x;
}

Tensor *t_args(T *t, const Fn *fn, uint64_t seed) {
    Tensor *args = NEW_ARRAY(t->cx->arena, Tensor, fn->nparams);
    for (Val v = 0; v < fn->nparams; v++) {
        args[v] = t_random(t, fn->ins.data[v].type, rng_fold(seed, v), 0.3, 1.4);
    }
    return args;
}

Tensor *t_run(T *t, const Fn *fn, const Tensor *args) {
    Tensor *results = NEW_ARRAY(t->cx->arena, Tensor, fn->results.len);
    interp_run(t->p, fn, InterpF64, t->cx->arena, args, results, NULL);
    return results;
}

double t_dot(const Tensor *x, const Tensor *y) {
    double s = 0;
    for (int64_t e = 0; e < x->type.shape->size; e++) s += x->re[e] * y->re[e];
    return s;
}

double t_slope(T *t, const Fn *fn, Tensor *args, uint32_t k, int64_t e) {
    static const double at[] = {-2, -1, 1, 2}, weight[] = {1, -8, 8, -1};
    double h = 1e-3, x = args[k].re[e], sum = 0;
    for (int i = 0; i < 4; i++) {
        args[k].re[e] = x + at[i] * h;
        sum += weight[i] * t_run(t, fn, args)[0].re[0];
    }
    args[k].re[e] = x;
    return sum / (12 * h);
}

/* The slope at args[k][e], and whether fn takes the same branches on both sides of it. */
static double slope_at(T *t, const Fn *fn, Tensor *args, uint32_t k, int64_t e, bool *smooth) {
    static const double at[] = {-2, -1, 1, 2}, weight[] = {1, -8, 8, -1};
    Tensor *results = NEW_ARRAY(t->cx->arena, Tensor, fn->results.len);
    double h = 1e-3, x = args[k].re[e], sum = 0;
    uint64_t first = 0;
    *smooth = true;
    for (size_t i = 0; i < LEN(at); i++) {
        args[k].re[e] = x + at[i] * h;
        uint64_t taken = interp_choices(t->p, fn, t->cx->arena, args, results);
        if (!i) first = taken;
        *smooth &= taken == first;
        sum += weight[i] * results[0].re[0];
    }
    args[k].re[e] = x;
    return sum / (12 * h);
}

static uint32_t float_params(T *t, const Fn *fn, uint32_t **wrt) {
    uint32_t n = 0;
    *wrt = NEW_ARRAY(t->cx->arena, uint32_t, fn->nparams);
    for (Val v = 0; v < fn->nparams; v++) {
        if (dtype_is_float(fn->ins.data[v].type.dt)) (*wrt)[n++] = v;
    }
    return n;
}

void assert_near(double got, double want, double gate) {
    if (fabs(got - want) > gate * (1 + fabs(want))) fail_msg("%.17g, expected %.17g", got, want);
}

void check_all_read(const Fn *fn) {
    for (Val v = 0; v < fn->nparams; v++) {
        bool read = false;
        for (Val u = fn->nparams; u < fn->ins.len; u++) {
            const Ins *i = &fn->ins.data[u];
            for (uint32_t k = 0; k < i->nargs; k++) read |= i->args[k] == v;
        }
        if (!read) fail_msg("%s: nothing reads %s", fn->name, fn->ins.data[v].name);
    }
}

void check_origins(const Fn *d) {
    for (Val v = 0; v < d->ins.len; v++) {
        const Ins *i = &d->ins.data[v];
        if (!i->loc.file) fail_msg("%s: value %u has no position", d->name, v);
        if (strcmp(i->loc.file, "t.bp")) fail_msg("%s: value %u is at %s", d->name, v, i->loc.file);
    }
    for (uint32_t k = 0; k < d->results.len; k++) {
        const Ins *i = &d->ins.data[d->results.data[k]];
        if (i->op == Op_const && !i->rule) fail_msg("%s: result %u has no rule", d->name, k);
    }
}

/* The gradient by one parameter alone is the same as among those of all. */
static void check_alone(T *t, const Fn *fn, uint32_t param, const Tensor *args,
                        const Tensor *want) {
    const Fn *d = differentiate(t->p, fn, sym_fmt(t->cx, "%s_v1", fn->name), &param, 1);
    assert_non_null(d);
    verify_fn(t->p, d);
    const Tensor *got = &t_run(t, d, args)[fn->results.len];
    assert_int_equal(d->results.len, fn->results.len + 1);
    for (int64_t e = 0; e < want->type.shape->size; e++) {
        assert_near(got->re[e], want->re[e], 1e-13);
    }
}

void check_gradient(T *t, const Fn *fn, uint64_t seed) {
    uint32_t *wrt, n = float_params(t, fn, &wrt), r = fn->results.len;
    const Fn *d = differentiate(t->p, fn, sym_fmt(t->cx, "%s_vg", fn->name), wrt, n);
    if (!d) fail_msg("%s", t->cx->diags.data[0].text);
    assert_int_equal(d->results.len, r + n);
    assert_false(d->exported);
    assert_null(d->donated);
    verify_fn(t->p, d);
    check_origins(d);
    Tensor *args = t_args(t, fn, seed), *got = t_run(t, d, args);
    assert_true(got[0].re[0] == t_run(t, fn, args)[0].re[0]);
    int64_t entries = 0, kinks = 0;
    for (uint32_t k = 0; k < n; k++) {
        assert_true(got[r + k].type.shape == args[wrt[k]].type.shape);
        for (int64_t e = 0; e < got[r + k].type.shape->size; e++) {
            bool smooth;
            double want = slope_at(t, fn, args, wrt[k], e, &smooth);
            entries++;
            kinks += !smooth;
            if (smooth) assert_near(got[r + k].re[e], want, 1e-9);
        }
        if (n > 1) check_alone(t, fn, wrt[k], args, &got[r + k]);
    }
    assert_true(kinks * 2 <= entries);
}

void check_dot_of(T *t, const Fn *fn, const uint32_t *wrt, uint32_t n, uint64_t seed) {
    const Fn *j = linearize(t->p, fn, sym_fmt(t->cx, "%s_jvp", fn->name), wrt, n);
    const Fn *b = transpose_fn(t->p, fn, sym_fmt(t->cx, "%s_vjp", fn->name), wrt, n, NULL);
    assert_non_null(j);
    assert_non_null(b);
    assert_false(j->exported || b->exported);
    assert_true(!j->donated && !b->donated);
    verify_fn(t->p, j);
    verify_fn(t->p, b);
    check_origins(j);
    check_origins(b);
    Tensor *u = t_args(t, j, seed), *v = t_args(t, b, seed + 1);
    memcpy(v, u, fn->nparams * sizeof *v);
    Tensor *ju = t_run(t, j, u), *bv = t_run(t, b, v);
    double left = 0, right = 0;
    for (uint32_t k = fn->nparams; k < b->nparams; k++) {
        left += t_dot(&v[k], &ju[fn->results.len + k - fn->nparams]);
    }
    for (uint32_t k = 0; k < n; k++) right += t_dot(&bv[k], &u[fn->nparams + k]);
    assert_near(left, right, 1e-13);
}

void check_dot(T *t, const Fn *fn, uint64_t seed) {
    uint32_t *wrt, n = float_params(t, fn, &wrt);
    check_dot_of(t, fn, wrt, n, seed);
    for (uint32_t k = 0; n > 1 && k < n; k++) check_dot_of(t, fn, &wrt[k], 1, seed + k);
}
