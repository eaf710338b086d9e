/* bpc trace: what a function computes, step by step, then every adjoint and the rule that made it.
 * A function without adjoints of its own gets those of the sum of its float results. The values are
 * those of the rounding interpreter. */
#include "driver/steps.h"
#include "ir/interp.h"
#include "runtime/data.h"

#include <math.h>
#include <stdlib.h>

enum { Few = 8, First = 4, ValueColumn = 60 };

typedef struct Trace {
    Options *o;
    Program *p;
    Arena *a;
    const Fn *fn; /* its last `seeds` parameters are cotangents of results */
    uint32_t seeds;
    bool *given; /* words of the command line that name an argument */
} Trace;

/* ---- the function ---- */

static const Fn *find_function(Trace *t) {
    Program *p = t->p;
    const Fn *fn = program_fn(p, sym(p->cx, t->o->fn));
    if (fn) return fn;
    const char **names = NEW_ARRAY(t->a, const char *, p->fns.len + 1);
    for (uint32_t i = 0; i < p->fns.len; i++) names[i] = p->fns.data[i]->name;
    const char *near = nearest_name(t->o->fn, names, p->fns.len);
    diag_error(p->cx, (Loc){0}, "no function '%s' with known shapes%s%s%s", t->o->fn,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

static bool has_adjoints(const Fn *fn) {
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (is_adjoint(fn, v, 0)) return true;
    }
    return false;
}

/* (params.., cotangents..) -> (results.., gradients..) */
static const Fn *with_adjoints(Trace *t, const Fn *fn) {
    Program *p = t->p;
    uint32_t n = 0;
    uint32_t *wrt = NEW_ARRAY(t->a, uint32_t, fn->nparams);
    for (uint32_t k = 0; k < fn->nparams; k++) {
        if (dtype_is_float(fn->ins.data[k].type.dt)) wrt[n++] = k;
    }
    const Fn *plain = inline_calls(p, fn, KeepNone);
    Sym name = sym_fmt(p->cx, "%s_adjoint", fn->name);
    const Fn *back = n ? derive(p, Op_vjp, fn, name, wrt, n) : NULL;
    back = back ? inline_calls(p, back, KeepNone) : NULL;
    if (!plain || !back) return plain;
    Builder *b = builder_new(p, sym_fmt(p->cx, "%s_trace", fn->name), false);
    Val *args = NEW_ARRAY(t->a, Val, back->nparams),
        *out = NEW_ARRAY(t->a, Val, fn->results.len + n);
    t->seeds = back->nparams - fn->nparams;
    for (Val v = 0; v < fn->nparams; v++) {
        args[v] = b_param(b, fn->ins.data[v].name, fn->ins.data[v].type);
    }
    for (uint32_t r = 0, k = fn->nparams; r < fn->results.len; r++) {
        const Ins *y = &plain->ins.data[plain->results.data[r]];
        if (!dtype_is_float(y->type.dt)) continue;
        Sym of = y->name ? y->name : sym_fmt(p->cx, "out%u", r);
        args[k++] = b_param(b, fresh_param(p, b, "d", of), y->type);
    }
    splice(p, b, plain, args, NULL, &(Splice){0}, out);
    splice(p, b, back, args, NULL, &(Splice){0}, out + fn->results.len);
    for (uint32_t r = 0; r < fn->results.len + n; r++) b_result(b, out[r]);
    return builder_done(b);
}

/* ---- arguments: NAME=2, NAME=[1, 2], NAME=@FILE.npz ---- */

static void put(Tensor *x, int64_t i, double v) {
    DType dt = x->type.dt;
    if (x->i) x->i[i] = dt == BOOL ? v != 0 : (int64_t)v;
    else x->re[i] = dt == F32 ? (double)(float)v : dt == BF16 ? (double)round_bf16((float)v) : v;
}

static bool bad_argument(Trace *t, const char *word, const char *why) {
    diag_error(t->p->cx, (Loc){0}, "%s: %s", word, why);
    return false;
}

static bool in_range(const Tensor *x, double v) {
    if (x->re) return true;
    return v == floor(v) && (!x->type.range || (v >= 0 && v < (double)x->type.range));
}

static bool read_numbers(Trace *t, const char *word, const char *s, Tensor *x) {
    int64_t n = 0, size = x->type.shape->size;
    bool list = *s == '[';
    for (s += strspn(s, "[, "); *s && *s != ']'; s += strspn(s, "[], ")) {
        char *end;
        double v = !strncmp(s, "true", 4) ? (end = (char *)s + 4, 1)
                   : !strncmp(s, "false", 5) ? (end = (char *)s + 5, 0) : strtod(s, &end);
        if (end == s) return bad_argument(t, word, "not a number or a list of them");
        if (!in_range(x, v))
            return bad_argument(t, word, arena_printf(t->a, "not a value of %s",
                                                      type_text(t->p->cx, x->type)));
        if (!list) {
            for (n = 0; n < size; n++) put(x, n, v);
            if (*end) return bad_argument(t, word, "what follows the number?");
            return true;
        }
        if (n < size) put(x, n, v);
        n++;
        s = end;
    }
    if (n == size) return true;
    return bad_argument(t, word, arena_printf(t->a, "%lld numbers for %s", (long long)n,
                                              type_text(t->p->cx, x->type)));
}

static bool read_array(Trace *t, const char *word, const char *name, const char *path, Tensor *x) {
    Npz z = {0};
    Text err = {0};
    const Shape *s = x->type.shape;
    DType dt = x->re ? F64 : x->type.dt == BOOL ? BOOL : I64;
    MfType wide = {dt, s->rank, x->type.range, s->size, s->dim};
    const Array *from = npz_read(t->a, path, &z, &err) ? npz_find(&z, name) : NULL;
    void *data = arena_alloc(t->a, mf_bytes(wide) + 1);
    bool ok = from && array_convert(t->a, from, wide, data, &err);
    if (!ok) bad_argument(t, word, err.data ? err.data : "no such array in the file");
    free(err.data);
    for (int64_t i = 0; ok && i < x->type.shape->size; i++) {
        if (x->re) put(x, i, ((double *)data)[i]);
        else if (x->type.dt == BOOL) x->i[i] = ((uint8_t *)data)[i];
        else x->i[i] = ((int64_t *)data)[i];
    }
    return ok;
}

/* The word NAME=..., or NULL. */
static const char *word_for(const Trace *t, const char *name) {
    size_t n = strlen(name);
    for (uint32_t i = 0; i < t->o->rest.len; i++) {
        const char *w = t->o->rest.data[i];
        if (strncmp(w, name, n) || w[n] != '=') continue;
        t->given[i] = true;
        return w;
    }
    return NULL;
}

/* The weights as a trainer makes them from seed 0. */
static bool from_state(Trace *t, const char *name, Tensor *x) {
    Program *p = t->p;
    const Fn *init = p->init ? program_fn(p, p->init) : NULL;
    for (uint32_t i = 0; init && i < p->state.len; i++) {
        if (strcmp(p->state.data[i].path, name) != 0) continue;
        Tensor key = tensor_new(t->a, type_of(I64, shape_scalar(p->cx)), false);
        Tensor *all = NEW_ARRAY(t->a, Tensor, p->state.len);
        interp_run(p, init, InterpRound, t->a, &key, all, NULL);
        *x = all[i];
        return true;
    }
    return false;
}

static bool from_program(Trace *t, const char *name, Tensor *x) {
    const Program *p = t->p;
    for (uint32_t i = 0; i < p->hypers.len; i++) {
        const Hyper *h = &p->hypers.data[i];
        if (strncmp(name, "hyper.", 6) || strcmp(name + 6, h->name) != 0) continue;
        put(x, 0, h->value);
        return true;
    }
    size_t n = strlen(name);
    if (n > 10 && !strncmp(name, "data.", 5) && !strcmp(name + n - 10, ".deviation")) {
        for (int64_t i = 0; i < x->type.shape->size; i++) put(x, i, 1);
    }
    return !strncmp(name, "data.", 5) || !strncmp(name, "train.", 6) || !strcmp(name, "seed");
}

static bool argument(Trace *t, Val v, Tensor *x) {
    const Ins *param = &t->fn->ins.data[v];
    const char *name = !strncmp(param->name, "hyper.", 6) ? param->name + 6 : param->name;
    *x = tensor_new(t->a, param->type, false);
    if (v >= t->fn->nparams - t->seeds) {
        for (int64_t i = 0; i < x->type.shape->size; i++) put(x, i, 1);
        return true;
    }
    const char *word = word_for(t, name);
    if (word && word[strlen(name) + 1] == '@')
        return read_array(t, word, name, word + strlen(name) + 2, x);
    if (word) return read_numbers(t, word, word + strlen(name) + 1, x);
    if (from_state(t, param->name, x) || from_program(t, param->name, x)) return true;
    diag_error(t->p->cx, (Loc){0},
               "argument '%s' of type %s is missing; %s=2, %s=[1, 2] or %s=@FILE.npz", name,
               type_text(t->p->cx, param->type), name, name, name);
    return false;
}

static void check_words(Trace *t) {
    const char **names = NEW_ARRAY(t->a, const char *, t->fn->nparams + 1);
    for (Val v = 0; v < t->fn->nparams; v++) names[v] = t->fn->ins.data[v].name;
    for (uint32_t i = 0; i < t->o->rest.len; i++) {
        if (t->given[i]) continue;
        const char *w = t->o->rest.data[i];
        const char *name = arena_strndup(t->a, w, strcspn(w, "="));
        const char *near = nearest_name(name, names, t->fn->nparams - t->seeds);
        diag_error(t->p->cx, (Loc){0}, "'%s' is no argument of %s%s%s%s", name, t->o->fn,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
}

/* ---- printing ---- */

static void add_number(Text *out, const Tensor *x, int64_t i, bool whole) {
    char buf[32];
    if (x->type.dt == BOOL) text_add(out, "%s", x->i[i] ? "true" : "false");
    else if (x->i) text_add(out, "%lld", (long long)x->i[i]);
    else if (!whole) text_add(out, "%.5g", x->re[i]);
    else if (x->type.dt == F64) print_f64(buf, x->re[i]), text_add(out, "%s", buf);
    else print_f32(buf, (float)x->re[i]), text_add(out, "%s", buf);
}

static const char *value_text(Arena *a, const Tensor *x) {
    Text t = {0};
    int64_t n = x->type.shape->size, shown = n <= Few ? n : First;
    if (!x->type.shape->rank) {
        add_number(&t, x, 0, true);
        return text_done(&t, a);
    }
    text_add(&t, "[");
    for (int64_t i = 0; i < shown; i++) {
        if (i) text_add(&t, ", ");
        add_number(&t, x, i, false);
    }
    text_add(&t, n > shown ? ", ...]" : "]");
    double sum = 0;
    for (int64_t i = 0; x->re && i < n; i++) sum += x->re[i] * x->re[i];
    if (x->re && n > shown) text_add(&t, " norm %.5g", sqrt(sum));
    return text_done(&t, a);
}

static void print_line(Trace *t, Val v, Tensor *const *values, const char *indent) {
    const Ins *i = &t->fn->ins.data[v];
    if (i->op == Op_const) return;
    const Sym *names = print_names(t->p, t->fn);
    const char *line = i->op == Op_get ? names[v] : step_line(t->p, t->fn, v);
    if (!i->type.shape) printf("%s%s\n", indent, line);
    else
        printf("%s%-*s %s\n", indent, ValueColumn - (int)strlen(indent), line,
               value_text(t->a, values[v]));
}

static void print_steps(Trace *t, Tensor *const *values, bool adjoints) {
    const Sym *names = print_names(t->p, t->fn);
    Loc at = {0};
    Step s;
    for (Val v = t->fn->nparams; step_next(t->fn, v, &s); v = s.to) {
        if (is_adjoint(t->fn, s.from, 0) != adjoints) continue;
        if (s.loc.file != at.file || s.loc.line != at.line) print_place(t->p->cx, s.loc, stdout);
        at = s.loc;
        const char *indent = s.rule ? "    " : "  ";
        if (s.rule) printf("  %s\n", step_rule(t->a, t->fn, &s, names, t->seeds));
        for (Val k = s.from; k < s.to; k++) print_line(t, k, values, indent);
    }
}

static void print_inputs(Trace *t, Tensor *const *values, Val from, Val to) {
    for (Val v = from; v < to; v++) print_line(t, v, values, "  ");
}

static void print_trace(Trace *t, Tensor *const *values, uint32_t nresults) {
    const Fn *fn = t->fn;
    const Sym *names = print_names(t->p, fn);
    uint32_t own = fn->nparams - t->seeds;
    printf("arguments\n");
    print_inputs(t, values, 0, own);
    printf("\nforward\n");
    print_steps(t, values, false);
    if (t->seeds || has_adjoints(fn)) printf("\nadjoints\n");
    print_inputs(t, values, own, fn->nparams);
    print_steps(t, values, true);
    printf("\nresults\n");
    for (uint32_t r = 0; r < nresults; r++) {
        Val v = fn->results.data[r];
        printf("  %-*s %s\n", ValueColumn - 2, names[v], value_text(t->a, values[v]));
    }
    for (uint32_t r = nresults, k = 0; r < fn->results.len; r++, k++) {
        while (!dtype_is_float(fn->ins.data[k].type.dt)) k++;
        Val v = fn->results.data[r];
        const char *what = arena_printf(t->a, "gradient of %s: %s", names[k], names[v]);
        printf("  %-*s %s\n", ValueColumn - 2, what, value_text(t->a, values[v]));
    }
}

static void run_trace(Trace *t) {
    const Fn *fn = find_function(t);
    if (!fn) return;
    const Fn *plain = inline_calls(t->p, fn, KeepNone);
    if (!plain) return;
    bool own = has_adjoints(plain);
    t->fn = own ? drop_dead(t->p, plain) : with_adjoints(t, fn);
    if (!t->fn) return;
    Tensor *args = NEW_ARRAY(t->a, Tensor, t->fn->nparams);
    Tensor *results = NEW_ARRAY(t->a, Tensor, t->fn->results.len);
    Tensor **values = NEW_ARRAY(t->a, Tensor *, t->fn->ins.len);
    bool ok = true;
    for (Val v = 0; v < t->fn->nparams; v++) ok &= argument(t, v, &args[v]);
    check_words(t);
    if (!ok || t->p->cx->errors) return;
    interp_run(t->p, t->fn, InterpRound, t->a, args, results, values);
    print_trace(t, values, fn->results.len);
}

int command_trace(Options *o) {
    Trace t = {.o = o, .a = arena_new()};
    t.given = NEW_ARRAY(t.a, bool, o->rest.len + 1);
    if (!o->fn)
        diag_error(o->cx, (Loc){0}, "bpc trace FILE.bp FN x=2: the function is missing");
    t.p = o->fn ? compile_front(o, false) : NULL;
    if (t.p && compile_passes(o, t.p, "differentiate")) run_trace(&t);
    arena_free(t.a);
    return compile_report(o);
}
