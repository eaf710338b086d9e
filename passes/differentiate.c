/* Reverse mode: a flat function and, behind it, one walk backwards over its active values.
 *
 *   let y: f64[3] = tanh(x);  //@ m.bp:2:11           d_x += B[tanh, x](x, y, d_y), that is
 *
 *   let t: f64[3] = mul(y, y);      //@ m.bp:2:11 B[tanh, x]
 *   let s: f64[3] = sub(1.0, t);    //@ m.bp:2:11 B[tanh, x]
 *   let d_x: f64[3] = mul(d_y, s);  //@ m.bp:2:11 B[tanh, x]
 *
 * Every line of the second part has the position of the forward line that it differentiates and
 * the rule that it comes from. An adjoint is summed as its contributions arrive, users last to
 * first; those of slices when all have arrived (parts.c). The engine knows no operation: what is
 * not in a rule is call, get, const and param.
 * Tests: tests/passes/reverse_test.c, tests/passes/operators_test.c */
#include "passes/reverse.h"

void sum_adjoint(Reverse *r, Val x, Val contribution, Sym rule) {
    const Ins *i = &r->fn->ins.data[x];
    if (r->adj[x] != NoVal) {
        /* a parameter of IR text has no position: the sum stands where its last term does */
        b_at(r->b, i->loc.line ? i->loc : b_ins(r->b, contribution)->loc, rule);
        contribution = accumulate(r->p->cx, r->b, r->adj[x], contribution);
    }
    r->adj[x] = contribution;
}

void add_adjoint(Reverse *r, Val x, Val contribution, Val mask, Sym rule) {
    bool first = r->adj[x] == NoVal && !r->parts[x];
    r->mask[x] = first ? mask : mask_sum(r->b, r->mask[x], mask);
    if (!keep_part(r, x, contribution, rule)) sum_adjoint(r, x, contribution, rule);
}

/* operands, results, cotangents: what a backward rule takes. */
static Val *rule_args(Reverse *r, Val v, const Vals *results) {
    const Ins *i = &r->fn->ins.data[v];
    Val *args = NEW_ARRAY(r->p->cx->scratch, Val, i->nargs + 2 * results->len);
    uint32_t n = 0;
    for (uint32_t k = 0; k < i->nargs; k++) args[n++] = r->map[i->args[k]];
    for (uint32_t k = 0; k < results->len; k++) args[n++] = r->map[results->data[k]];
    for (uint32_t k = 0; k < results->len; k++) {
        Val y = results->data[k];
        Type type = r->fn->ins.data[y].type;
        if (!dtype_is_float(type.dt)) continue;
        b_at(r->b, i->loc, sym(r->p->cx, "zero"));
        args[n++] = r->adj[y] != NoVal ? r->adj[y] : b_float(r->b, type, 0);
    }
    return args;
}

static void name_adjoint(Reverse *r, Val v) {
    Sym name = r->fn->ins.data[v].name;
    /* a constant is shared with whatever else needs that number: it is nobody's adjoint */
    if (!name || r->adj[v] == NoVal || b_ins(r->b, r->adj[v])->op == Op_const) return;
    b_name(r->b, r->adj[v], sym_fmt(r->p->cx, "d_%s", name));
}

/* d_x += B[op, x](args) for operand k of v. */
static void pull_operand(Reverse *r, Val v, uint32_t k, const Val *args) {
    const Ins *i = &r->fn->ins.data[v];
    const Rule *rule = &r->a.rule[v];
    Val *out = NEW_ARRAY(r->p->cx->scratch, Val, i->nargs);
    bool *want = NEW_ARRAY(r->p->cx->scratch, bool, i->nargs);
    Splice as = {.rule = backward_label(r->p, i, k), .loc = i->loc};
    want[k] = true;
    b_at(r->b, as.loc, as.rule);
    splice(r->p, r->b, rule->fn, args, want, &as, out);
    Pull q = {.p = r->p, .b = r->b, .ins = i, .rule = rule, .args = args, .label = as.rule};
    Val mask = mask_pull(&q, k, r->mask[v], &out[k]);
    add_adjoint(r, i->args[k], out[k], mask, as.rule);
}

/* The rule of v for each of its active operands. */
static void pull(Reverse *r, Val v) {
    const Ins *i = &r->fn->ins.data[v];
    settle_parts(r, v);
    name_adjoint(r, v);
    if (!r->a.active[v] || v < r->fn->nparams || i->op == Op_get) return;
    if (r->a.region[v]) {
        region_pull(r, v);
        return;
    }
    Vals results = results_of(r->p, r->fn, v);
    bool reached = false;
    for (uint32_t k = 0; k < results.len; k++) reached |= r->adj[results.data[k]] != NoVal;
    if (!reached) return;
    const Rule *rule = &r->a.rule[v];
    if (!rule->fn) {
        report_missing(r->p, r->fn, &r->a, v);
        r->errors++;
        return;
    }
    if (r->mask[results.data[0]] == NoVal) warn_infinite(r->p, r->fn, v, &r->ranges);
    Val *args = rule_args(r, v, &results);
    for (uint32_t k = 0; k < i->nargs; k++) {
        if (!r->a.active[i->args[k]] || rule->entry[k] == EntryZero) continue;
        if (rule->entry[k] == EntryNoDiff) {
            report_nodiff(r->p, r->fn, &r->a, v, k);
            r->errors++;
        } else {
            pull_operand(r, v, k, args);
        }
    }
}

/* The backward walk; then the adjoint of each wrt, zeros where none arrived, is a result. */
static Fn *finish(Reverse *r, const uint32_t *wrt, uint32_t n) {
    for (Val v = r->fn->ins.len; v-- > 0;) pull(r, v);
    if (r->errors) return NULL;
    for (uint32_t k = 0; k < n; k++) {
        const Ins *x = &r->fn->ins.data[wrt[k]];
        if (r->adj[wrt[k]] == NoVal) {
            b_at(r->b, x->loc, sym(r->p->cx, "zero"));
            r->adj[wrt[k]] = b_float(r->b, x->type, 0);
            name_adjoint(r, wrt[k]);
        }
        b_result(r->b, r->adj[wrt[k]]);
    }
    return builder_done(r->b);
}

/* The flat fn copied; want: the results that are differentiated. False after a user error. */
static bool start(Reverse *r, Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n,
                  const bool *want) {
    fn = inline_calls(p, fn, KeepBackward);
    if (!fn) return false;
    *r = (Reverse){.p = p, .fn = fn, .a = activity_find(p, RuleBackward, fn, wrt, n, want)};
    r->errors = r->a.errors;
    r->b = copy_begin(p, fn, name, &r->map);
    b_fn(r->b)->exported = false;
    b_fn(r->b)->donated = NULL;
    r->saved = NEW_ARRAY(p->cx->scratch, struct Saved *, fn->ins.len);
    r->adj = NEW_ARRAY(p->cx->scratch, Val, fn->ins.len);
    r->mask = NEW_ARRAY(p->cx->scratch, Val, fn->ins.len);
    r->parts = NEW_ARRAY(p->cx->scratch, struct Parts *, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) r->adj[v] = r->mask[v] = NoVal;
    return true;
}

static void copy_forward(Reverse *r) {
    for (Val v = r->fn->nparams; v < r->fn->ins.len; v++) {
        const Ins *i = &r->fn->ins.data[v];
        if (r->map[v] != NoVal) continue;
        if (r->a.region[v] && r->a.active[v]) region_save(r, v);
        else r->map[v] = b_copy(r->b, i, r->map);
    }
    r->boundary = b_fn(r->b)->ins.len;
}

Fn *transpose_whole(Reverse *r, Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n,
                    const bool *want) {
    if (!start(r, p, fn, name, wrt, n, want)) return NULL;
    Sym seed = sym(p->cx, "seed");
    Val *cotangent = NEW_ARRAY(p->cx->scratch, Val, fn->results.len);
    for (uint32_t k = 0; k < r->fn->results.len; k++) {
        const Ins *y = &r->fn->ins.data[r->fn->results.data[k]];
        cotangent[k] = NoVal;
        if (!dtype_is_float(y->type.dt) || (want && !want[k])) continue;
        b_at(r->b, y->loc, seed);
        cotangent[k] = b_param(r->b, fresh_param(p, r->b, "d", y->name ? y->name : "y"), y->type);
    }
    copy_forward(r);
    for (uint32_t k = r->fn->results.len; k-- > 0;) {
        Val y = r->fn->results.data[k];
        if (r->a.active[y] && cotangent[k] != NoVal) {
            add_adjoint(r, y, cotangent[k], NoVal, seed);
        }
    }
    return finish(r, wrt, n);
}

Fn *transpose_fn(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n,
                 const bool *want) {
    Reverse r;
    Fn *whole = transpose_whole(&r, p, fn, name, wrt, n, want);
    return whole ? drop_dead(p, whole) : NULL;
}

Fn *differentiate(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n) {
    Reverse r;
    bool *want = NEW_ARRAY(p->cx->scratch, bool, fn->results.len);
    want[0] = true;
    if (!start(&r, p, fn, name, wrt, n, want)) return NULL;
    Val y = r.fn->results.data[0];
    const Ins *loss = &r.fn->ins.data[y];
    if (!dtype_is_float(loss->type.dt) || loss->type.shape->rank) {
        bug_at(p->cx, loss->loc, "the gradient of '%s', which is no scalar", fn->name);
    }
    copy_forward(&r);
    for (uint32_t k = 0; k < r.fn->results.len; k++) b_result(r.b, r.map[r.fn->results.data[k]]);
    if (r.a.active[y]) {
        b_at(r.b, loss->loc, sym(p->cx, "seed"));
        r.adj[y] = b_float(r.b, loss->type, 1);
    }
    Fn *whole = finish(&r, wrt, n);
    return whole ? drop_dead(p, whole) : NULL;
}
