/* Derivative operators become calls of derivative functions:
 *
 *   let g: f64[3] = grad[f, wrt=w](w, x);    becomes    let g: f64[3] = f_grad(w, x);
 *
 *   fn f_grad(w: f64[3], x: f64[3]) -> f64[3] {  //@ m.bp:9:11 grad[f, wrt=w]
 *
 * A derivative is made once: the rule in its header is what it is found by. Functions that are
 * differentiated stay in the program. Tests: tests/passes/operators_test.c */
#include "passes/passes.h"

/* fn without its first k results. */
static Fn *without_results(Program *p, const Fn *fn, uint32_t k) {
    Fn rest = *fn;
    rest.results.data += k;
    rest.results.len -= k;
    return drop_dead(p, &rest);
}

static Fn *gradient(Program *p, const Fn *f, Sym name, const uint32_t *wrt, uint32_t n) {
    const Fn *both = differentiate(p, f, name, wrt, n);
    return both ? without_results(p, both, f->results.len) : NULL;
}

static Fn *cotangents(Program *p, const Fn *f, Sym name, const uint32_t *wrt, uint32_t n) {
    return transpose_fn(p, f, name, wrt, n, NULL);
}

/* Forward over reverse: the tangents of the gradient. */
static Fn *hessian_vector(Program *p, const Fn *f, Sym name, const uint32_t *wrt, uint32_t n) {
    const Fn *g = gradient(p, f, sym_fmt(p->cx, "%s_grad", f->name), wrt, n);
    return g ? tangents_of(p, g, name, wrt, n) : NULL;
}

static const struct {
    Op op;
    Fn *(*derive)(Program *, const Fn *f, Sym name, const uint32_t *wrt, uint32_t n);
} operators[] = {
    {Op_grad, gradient},    {Op_value_and_grad, differentiate}, {Op_vjp, cotangents},
    {Op_jvp, linearize},    {Op_hvp, hessian_vector},
};

Fn *derive(Program *p, Op op, const Fn *f, Sym name, const uint32_t *wrt, uint32_t n) {
    for (size_t k = 0; k < LEN(operators); k++) {
        if (operators[k].op == op) return operators[k].derive(p, f, name, wrt, n);
    }
    BUG(p->cx, "no derivative is known for operator %s", op_info[op].name);
}

typedef struct Request {
    const Fn *f;
    uint32_t *wrt, n; /* parameters of f */
    Sym header;       /* "grad[f, wrt=(w, b)]" */
} Request;

static uint32_t param_named(Program *p, const Fn *f, const Ins *at, Sym name) {
    for (Val v = 0; v < f->nparams; v++) {
        if (f->ins.data[v].name == name) return v;
    }
    bug_at(p->cx, at->loc, "'%s' has no parameter '%s'", f->name, name);
}

static Request request_of(Program *p, const Ins *i) {
    const Attr *wrt = &i->attrs[1];
    Request r = {.f = program_fn(p, i->attrs[0].s), .n = wrt->names.n};
    if (!r.f) bug_at(p->cx, i->loc, "derivative of unknown function %s", i->attrs[0].s);
    r.wrt = NEW_ARRAY(p->cx->scratch, uint32_t, r.n);
    for (uint32_t k = 0; k < r.n; k++) r.wrt[k] = param_named(p, r.f, i, wrt->names.v[k]);
    Text t = {0};
    text_add(&t, "%s[%s, wrt=%s", op_info[i->op].name, r.f->name, r.n == 1 ? "" : "(");
    for (uint32_t k = 0; k < r.n; k++) {
        text_add(&t, "%s%s", k ? ", " : "", r.f->ins.data[r.wrt[k]].name);
    }
    text_add(&t, "%s]", r.n == 1 ? "" : ")");
    r.header = sym(p->cx, text_done(&t, p->cx->scratch));
    return r;
}

/* The derivative function that operator i asks for; NULL after a user error. */
static const Fn *derivative(Program *p, const Ins *i) {
    Request r = request_of(p, i);
    for (uint32_t k = 0; k < p->fns.len; k++) {
        if (p->fns.data[k]->rule == r.header) return p->fns.data[k];
    }
    const char *op = op_info[i->op].name;
    Sym name = program_fresh(p, sym_fmt(p->cx, "%s_%s", r.f->name, op));
    uint32_t before = p->cx->diags.len;
    Fn *d = derive(p, (Op)i->op, r.f, name, r.wrt, r.n);
    if (!d) {
        if (p->cx->diags.len > before) {
            diag_note(p->cx, i->loc, "%s of '%s' is asked for here", op, r.f->name);
        }
        return NULL;
    }
    d->loc = i->loc;
    d->rule = r.header;
    d->doc = NULL;
    program_add(p, d);
    return d;
}

/* Calls the derivative and gives its results the names that the operator's had. */
static bool expand_one(Program *p, Builder *b, const Fn *fn, Val v, Val *map) {
    const Ins *i = &fn->ins.data[v];
    const Fn *d = derivative(p, i);
    if (!d) return false;
    Arena *a = p->cx->scratch;
    Val *args = NEW_ARRAY(a, Val, i->nargs), *results = NEW_ARRAY(a, Val, d->results.len);
    for (uint32_t k = 0; k < i->nargs; k++) args[k] = map[i->args[k]];
    b_at(b, i->loc, i->rule);
    b_call(b, d, args, i->nargs, results);
    Vals mine = results_of(p, fn, v);
    if (mine.len != d->results.len) {
        bug_at(p->cx, i->loc, "%s has %u results, its operator %u", d->name, d->results.len,
               mine.len);
    }
    for (uint32_t k = 0; k < mine.len; k++) {
        map[mine.data[k]] = results[k];
        if (fn->ins.data[mine.data[k]].name) b_name(b, results[k], fn->ins.data[mine.data[k]].name);
    }
    return true;
}

static bool is_operator(const Ins *i) { return op_info[i->op].cls == ClsOperator; }

const Fn *expand_operators(Program *p, const Fn *fn) {
    bool any = false, ok = true;
    for (Val v = 0; v < fn->ins.len; v++) any |= is_operator(&fn->ins.data[v]);
    if (!any) return fn;
    Val *map;
    Builder *b = copy_begin(p, fn, fn->name, &map);
    for (Val v = fn->nparams; v < fn->ins.len && ok; v++) {
        if (map[v] != NoVal) continue;
        if (is_operator(&fn->ins.data[v])) {
            ok = expand_one(p, b, fn, v, map);
        } else {
            map[v] = b_copy(b, &fn->ins.data[v], map);
        }
    }
    return ok ? copy_done(b, fn, map) : NULL;
}

void pass_differentiate(Program *p) {
    for (uint32_t i = 0; i < p->fns.len; i++) {
        const Fn *expanded = expand_operators(p, p->fns.data[i]);
        if (expanded) program_add(p, (Fn *)expanded);
    }
    keep_callees_first(p, NULL);
}
