/* Forward mode: beside each active value h its tangent t_h, in the order of the program.
 *
 *   let y: f64[3] = tanh(x);        //@ m.bp:2:11
 *   let t: f64[3] = mul(y, y);      //@ m.bp:2:11 J[tanh]
 *   let s: f64[3] = sub(1.0, t);    //@ m.bp:2:11 J[tanh]
 *   let t_y: f64[3] = mul(t_x, s);  //@ m.bp:2:11 J[tanh]
 *
 * An operation without a forward rule uses its backward rule transposed in the cotangent: J dx is
 * the derivative of <B(v), dx> in v. Tests: tests/passes/reverse_test.c (dot products) */
#include "passes/passes.h"

typedef struct Forward {
    Program *p;
    const Fn *fn;
    Builder *b;
    Val *map, *tan; /* of fn's values; tan: NoVal where the tangent is zero */
    Activity a;
    uint32_t errors;
} Forward;

/* operands, results, (unused cotangents of a transposed rule,) tangents, NoVal where they are 0 */
static Val *rule_args(Forward *f, Val v, const Vals *results, bool transposed) {
    const Ins *i = &f->fn->ins.data[v];
    Val *args = NEW_ARRAY(f->p->cx->scratch, Val, 2 * (i->nargs + results->len));
    uint32_t n = 0;
    for (uint32_t k = 0; k < i->nargs; k++) args[n++] = f->map[i->args[k]];
    for (uint32_t k = 0; k < results->len; k++) args[n++] = f->map[results->data[k]];
    for (uint32_t k = 0; transposed && k < results->len; k++) {
        Type type = f->fn->ins.data[results->data[k]].type;
        if (dtype_is_float(type.dt)) args[n++] = b_float(f->b, type, 0);
    }
    for (uint32_t k = 0; k < i->nargs; k++) {
        Val x = i->args[k];
        if (dtype_is_float(f->fn->ins.data[x].type.dt)) args[n++] = f->tan[x];
    }
    return args;
}

/* ---- copying a rule whose tangents may be absent ---- */

typedef struct Step {
    Forward *f;
    const Ins *ins; /* of the rule */
    Val *map;       /* NoVal: a tangent that is 0 */
    bool *moves;    /* depends on a tangent */
} Step;

/* With one term absent, a sum is the other. */
static Val lone_term(Builder *b, const Ins *i, Val x, Val y) {
    if (y == NoVal) return x;
    return i->op == Op_add ? y : b_op(b, Op_neg, &y, 1, NULL, NULL);
}

static Val with_zeros(Step *s, const Ins *i) {
    Builder *b = s->f->b;
    Val *map = s->map;
    for (uint32_t k = 0; k < i->nargs; k++) {
        if (map[i->args[k]] == NoVal) map[i->args[k]] = b_float(b, s->ins[i->args[k]].type, 0);
    }
    return b_copy(b, i, map);
}

/* A rule is linear in its tangents, so what it computes from absent ones only is absent too. */
static Val step(Step *s, Val v) {
    const Ins *i = &s->ins[v];
    uint32_t moving = 0, absent = 0;
    for (uint32_t k = 0; k < i->nargs; k++) {
        moving += s->moves[i->args[k]];
        absent += s->map[i->args[k]] == NoVal;
    }
    s->moves[v] = moving;
    if (!absent) return b_copy(s->f->b, i, s->map);
    b_at(s->f->b, i->loc, i->rule);
    if (absent < i->nargs && (i->op == Op_add || i->op == Op_sub)) {
        return lone_term(s->f->b, i, s->map[i->args[0]], s->map[i->args[1]]);
    }
    if (moving == absent) return NoVal;
    return with_zeros(s, i);
}

/* Parameters from `first` on are tangents. */
static void splice_linear(Forward *f, const Fn *rule, uint32_t first, const Val *args,
                          const Splice *as, Val *results) {
    Arena *a = f->p->cx->scratch;
    uint32_t n = rule->ins.len;
    Step s = {f, relabelled(f->p, rule, as), NEW_ARRAY(a, Val, n), NEW_ARRAY(a, bool, n)};
    bool *live = live_values(f->p, rule, NULL);
    for (Val v = 0; v < n; v++) {
        s.map[v] = v < rule->nparams ? args[v] : NoVal;
        if (v < rule->nparams) s.moves[v] = v >= first;
        else if (live[v]) s.map[v] = step(&s, v);
    }
    for (uint32_t k = 0; k < rule->results.len; k++) results[k] = s.map[rule->results.data[k]];
}

/* True if v has no tangent; reports the reason if that is an error. */
static bool stops(Forward *f, Val v) {
    const Ins *i = &f->fn->ins.data[v];
    const Rule *rule = &f->a.rule[v];
    bool moves = false;
    for (uint32_t k = 0; k < i->nargs; k++) moves |= f->tan[i->args[k]] != NoVal;
    if (!moves) return true;
    if (!rule->fn) {
        report_missing(f->p, f->fn, &f->a, v);
        f->errors++;
        return true;
    }
    for (uint32_t k = 0; rule->transposed && k < i->nargs; k++) {
        if (f->tan[i->args[k]] == NoVal || rule->entry[k] != EntryNoDiff) continue;
        report_nodiff(f->p, f->fn, &f->a, v, k);
        f->errors++;
        return true;
    }
    return false;
}

static void push_results(Forward *f, Val v, const Vals *results) {
    const Ins *i = &f->fn->ins.data[v];
    const Rule *rule = &f->a.rule[v];
    if (stops(f, v)) return;
    Splice as = {.rule = forward_label(f->p, i), .loc = i->loc};
    b_at(f->b, as.loc, as.rule);
    Val *args = rule_args(f, v, results, rule->transposed);
    Val *out = NEW_ARRAY(f->p->cx->scratch, Val, rule->fn->results.len);
    uint32_t tangents = 0;
    for (uint32_t k = 0; k < i->nargs; k++) {
        tangents += dtype_is_float(f->fn->ins.data[i->args[k]].type.dt);
    }
    splice_linear(f, rule->fn, rule->fn->nparams - tangents, args, &as, out);
    for (uint32_t k = 0, n = 0; k < results->len; k++) {
        Val y = results->data[k];
        const Ins *yi = &f->fn->ins.data[y];
        if (!dtype_is_float(yi->type.dt)) continue;
        Val t = out[n];
        RuleEntry entry = rule->transposed ? EntryValue : rule->entry[n];
        n++;
        if (entry == EntryNoDiff && f->a.active[y]) {
            report_nodiff(f->p, f->fn, &f->a, v, NoVal);
            f->errors++;
        }
        if (entry != EntryValue || t == NoVal) continue;
        b_at(f->b, as.loc, as.rule);
        f->tan[y] = t;
        if (yi->name) b_name(f->b, f->tan[y], sym_fmt(f->p->cx, "t_%s", yi->name));
    }
}

static Val tangent_or_zero(Forward *f, Val x) {
    const Ins *i = &f->fn->ins.data[x];
    if (f->tan[x] != NoVal) return f->tan[x];
    b_at(f->b, i->loc, sym(f->p->cx, "zero"));
    return b_float(f->b, i->type, 0);
}

/* Values and tangents by one region. */
static void push_region(Forward *f, Val v) {
    const Ins *i = &f->fn->ins.data[v];
    Arena *s = f->p->cx->scratch;
    Vals results = results_of(f->p, f->fn, v);
    Val *args = NEW_ARRAY(s, Val, i->nargs), *tangents = NEW_ARRAY(s, Val, i->nargs);
    Val *values = NEW_ARRAY(s, Val, results.len), *moved = NEW_ARRAY(s, Val, results.len);
    for (uint32_t k = 0; k < i->nargs; k++) {
        args[k] = f->map[i->args[k]];
        tangents[k] = f->tan[i->args[k]];
    }
    b_at(f->b, i->loc, forward_label(f->p, i));
    if (!region_tangents(f->p, f->b, i, f->a.region[v], args, tangents, values, moved)) {
        f->errors++;
        f->map[v] = b_copy(f->b, i, f->map);
        return;
    }
    for (uint32_t k = 0; k < results.len; k++) {
        Val y = results.data[k];
        Sym name = f->fn->ins.data[y].name;
        f->map[y] = values[k];
        f->tan[y] = moved[k];
        if (!name) continue;
        b_name(f->b, values[k], name);
        if (moved[k] != NoVal) b_name(f->b, moved[k], sym_fmt(f->p->cx, "t_%s", name));
    }
}

static void push(Forward *f, Val v) {
    if (f->a.region[v] && f->a.active[v]) {
        push_region(f, v);
        return;
    }
    f->map[v] = b_copy(f->b, &f->fn->ins.data[v], f->map);
    Vals results = results_of(f->p, f->fn, v);
    for (uint32_t k = 0; k < results.len; k++) {
        Val y = results.data[k];
        if (f->map[y] == NoVal) f->map[y] = b_copy(f->b, &f->fn->ins.data[y], f->map);
    }
    if (f->a.active[v]) push_results(f, v, &results);
}

static Fn *linearized(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n,
                      bool values) {
    fn = inline_calls(p, fn, KeepForward);
    if (!fn) return NULL;
    Forward f = {.p = p, .fn = fn, .a = activity_find(p, RuleForward, fn, wrt, n, NULL)};
    f.errors = f.a.errors;
    f.b = copy_begin(p, fn, name, &f.map);
    b_fn(f.b)->exported = false;
    b_fn(f.b)->donated = NULL;
    f.tan = NEW_ARRAY(p->cx->scratch, Val, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) f.tan[v] = NoVal;
    for (uint32_t k = 0; k < n; k++) {
        const Ins *x = &fn->ins.data[wrt[k]];
        b_at(f.b, x->loc, sym(p->cx, "seed"));
        f.tan[wrt[k]] = b_param(f.b, fresh_param(p, f.b, "t", x->name), x->type);
    }
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (f.map[v] == NoVal) push(&f, v);
    }
    if (f.errors) return NULL;
    for (uint32_t k = 0; values && k < fn->results.len; k++) {
        b_result(f.b, f.map[fn->results.data[k]]);
    }
    for (uint32_t k = 0; k < fn->results.len; k++) {
        Val y = fn->results.data[k];
        if (dtype_is_float(fn->ins.data[y].type.dt)) b_result(f.b, tangent_or_zero(&f, y));
    }
    return drop_dead(p, builder_done(f.b));
}

Fn *tangents_of(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n) {
    return linearized(p, fn, name, wrt, n, false);
}

Fn *linearize(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n) {
    return linearized(p, fn, name, wrt, n, true);
}
