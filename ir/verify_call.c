/* Calls, regions and derivative operators against the functions that they name: operands, names of
 * wrt, and number and types of results. */
#include "ir/verify.h"

typedef VEC(Type) Types;

/* Whether a value may stand where a type is wanted: i32<V> fits i32. */
static bool accepts(Type want, Type have) {
    return want.dt == have.dt && want.shape == have.shape &&
           (!want.range || want.range == have.range);
}

static Type type_at(const Fn *fn, Val v) { return fn->ins.data[v].type; }

static void add_results(Arena *a, const Fn *callee, bool floats_only, Types *out) {
    for (uint32_t r = 0; r < callee->results.len; r++) {
        Type t = type_at(callee, callee->results.data[r]);
        if (!floats_only || dtype_is_float(t.dt)) vec_push(a, out, t);
    }
}

static void add_wrt(const Program *p, const Fn *fn, Val v, const Fn *callee, Types *out) {
    Attr wrt = fn->ins.data[v].attrs[1];
    VERIFY(p, fn, v, wrt.kind == AttrNames && wrt.names.n, "names no parameter");
    for (uint32_t k = 0; k < wrt.names.n; k++) {
        Val at = 0;
        while (at < callee->nparams && callee->ins.data[at].name != wrt.names.v[k]) at++;
        VERIFY(p, fn, v, at < callee->nparams, "fn %s has no parameter %s", callee->name,
               wrt.names.v[k]);
        VERIFY(p, fn, v, dtype_is_float(type_at(callee, at).dt), "%s is no float",
               wrt.names.v[k]);
        vec_push(p->cx->scratch, out, type_at(callee, at));
    }
}

/* What each operator takes after the operands of the function, and what it gives. */
typedef struct Signature {
    bool takes_wrt, takes_cotangents;
    bool gives_results, gives_wrt, gives_tangents;
    bool scalar;
} Signature;
static const Signature signatures[OpCount] = {
    [Op_call] = {.gives_results = true},
    [Op_grad] = {.gives_wrt = true, .scalar = true},
    [Op_value_and_grad] = {.gives_results = true, .gives_wrt = true, .scalar = true},
    [Op_vjp] = {.takes_cotangents = true, .gives_wrt = true},
    [Op_jvp] = {.takes_wrt = true, .gives_results = true, .gives_tangents = true},
    [Op_hvp] = {.takes_wrt = true, .gives_wrt = true, .scalar = true},
};

static void verify_args(const Program *p, const Fn *fn, Val v, const Types *want) {
    const Ins *i = &fn->ins.data[v];
    VERIFY(p, fn, v, i->nargs == want->len, "has %u operands, not %u", i->nargs, want->len);
    for (uint32_t k = 0; k < want->len; k++) {
        Type have = type_at(fn, i->args[k]);
        VERIFY(p, fn, v, accepts(want->data[k], have), "operand %u is %s, not %s", k + 1,
               type_text(p->cx, have), type_text(p->cx, want->data[k]));
    }
}

static void verify_given(const Program *p, const Fn *fn, Val v, const Types *want) {
    uint32_t n = count_results(fn, v);
    VERIFY(p, fn, v, n == want->len, "has %u results, not %u", n, want->len);
    for (uint32_t k = 0; k < n; k++) {
        Type have = type_at(fn, n == 1 ? v : v + 1 + k);
        VERIFY(p, fn, v, type_equal(have, want->data[k]), "result %u is %s, not %s", k + 1,
               type_text(p->cx, have), type_text(p->cx, want->data[k]));
    }
}

/* ---- regions ---- */

static void verify_counts(const Program *p, const Fn *fn, Val v, const Region *r) {
    uint32_t formals = r->body->nparams, results = r->body->results.len;
    const Ins *i = &fn->ins.data[v];
    VERIFY(p, fn, v, r->carry <= formals && r->seq <= formals - r->carry && r->carry <= results,
           "fn %s has %u parameters and %u results", r->body->name, formals, results);
    VERIFY(p, fn, v, results && r->length >= 0, "has no results, or a negative length");
    for (uint32_t k = 0; i->op == Op_scan && k < formals + results; k++) {
        bool formal = k < formals, sliced = formal && k >= r->carry && k < r->carry + r->seq;
        if (!sliced && (formal || k - formals < r->carry)) continue;
        Val at = formal ? k : r->body->results.data[k - formals];
        VERIFY(p, fn, v, region_axis(r, type_at(r->body, at).shape->rank) >= 0,
               "axis %lld is none of what fn %s takes or gives", (long long)r->axis,
               r->body->name);
    }
}

/* Both functions of a region take the same; `test` gives a bool, `otherwise` what `then` does. */
static void verify_other(const Program *p, const Fn *fn, Val v, const Region *r) {
    const Fn *other = r->other;
    bool test = fn->ins.data[v].op == Op_while;
    VERIFY(p, fn, v, other->nparams == r->body->nparams, "fn %s and fn %s take different operands",
           other->name, r->body->name);
    for (Val k = 0; k < other->nparams; k++) {
        VERIFY(p, fn, v, type_equal(type_at(other, k), type_at(r->body, k)),
               "operand %u of fn %s and fn %s", k + 1, other->name, r->body->name);
    }
    uint32_t n = test ? 1 : r->body->results.len;
    VERIFY(p, fn, v, other->results.len == n, "fn %s has %u results", other->name,
           other->results.len);
    for (uint32_t k = 0; k < n; k++) {
        Type want = test ? (Type){BOOL, 0, shape_scalar(p->cx)}
                         : type_at(r->body, r->body->results.data[k]);
        VERIFY(p, fn, v, type_equal(type_at(other, other->results.data[k]), want),
               "result %u of fn %s", k + 1, other->name);
    }
}

void verify_region(const Program *p, const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    Region r = region_of(p, i);
    VERIFY(p, fn, v, r.body != fn && r.other != fn, "refers to its own function");
    verify_counts(p, fn, v, &r);
    if (r.other) verify_other(p, fn, v, &r);
    RegionTypes t = region_types(p->cx, p->cx->scratch, i, &r);
    for (uint32_t k = 0; k < r.carry; k++) {
        VERIFY(p, fn, v, accepts(t.results[k], type_at(r.body, r.body->results.data[k])),
               "carry %u changes its type", k + 1);
    }
    verify_args(p, fn, v, &(Types){t.args, t.nargs, t.nargs});
    verify_given(p, fn, v, &(Types){t.results, t.nresults, t.nresults});
}

void verify_call(const Program *p, const Fn *fn, Val v) {
    Arena *a = p->cx->scratch;
    const Ins *i = &fn->ins.data[v];
    const Signature *s = &signatures[i->op];
    VERIFY(p, fn, v, i->attrs[0].kind == AttrFn, "names no function");
    const Fn *callee = program_fn(p, i->attrs[0].s);
    VERIFY(p, fn, v, callee, "there is no fn %s", i->attrs[0].s);
    VERIFY(p, fn, v, callee != fn, "calls itself");
    Types wrt = {0}, args = {0}, results = {0};
    if (i->op != Op_call) add_wrt(p, fn, v, callee, &wrt);
    for (Val k = 0; k < callee->nparams; k++) vec_push(a, &args, type_at(callee, k));
    if (s->takes_cotangents) add_results(a, callee, true, &args);
    for (uint32_t k = 0; s->takes_wrt && k < wrt.len; k++) vec_push(a, &args, wrt.data[k]);
    if (s->gives_results) add_results(a, callee, false, &results);
    if (s->gives_tangents) add_results(a, callee, true, &results);
    for (uint32_t k = 0; s->gives_wrt && k < wrt.len; k++) vec_push(a, &results, wrt.data[k]);
    if (s->scalar) {
        Type t = callee->results.len ? type_at(callee, callee->results.data[0]) : (Type){0};
        VERIFY(p, fn, v, t.shape && dtype_is_float(t.dt) && !t.shape->rank,
               "the first result of fn %s is no float scalar", callee->name);
    }
    verify_args(p, fn, v, &args);
    verify_given(p, fn, v, &results);
}
