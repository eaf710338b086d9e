/* Every backward and forward rule that a differentiated function uses, against the function that
 * it is a derivative of: <u, B(v)> and <v, J u> against d<v, y>/dx along u. */
#include "driver/check.h"

#include <math.h>
#include <stdlib.h>

typedef struct Use { /* one instruction, as a function of its float and integer operands */
    Check *c;
    const Fn *alone, *rule;
    const Ins *site;
    Sym name;
    Type *args, *results;
    uint32_t nresults;
} Use;

static Draw domain_draw(Domain d) {
    return d == DomPositive || d == DomNonzero ? DrawPositive : DrawWide;
}

/* fn x...: y = op(x...) alone. */
static Fn *isolate(Use *u) {
    Program *p = u->c->p;
    Cx *cx = p->cx;
    Builder *b = builder_new(p, sym_fmt(cx, "check_%s", u->name), true);
    Val *vals = NEW_ARRAY(cx->arena, Val, u->site->nargs);
    for (uint32_t i = 0; i < u->site->nargs; i++)
        vals[i] = b_param(b, sym_fmt(cx, "x%u", i), u->args[i]);
    Val *results = NEW_ARRAY(cx->arena, Val, u->nresults);
    if (u->site->op == Op_call) {
        b_call(b, program_fn(p, u->name), vals, u->site->nargs, results);
    } else {
        results[0] = b_op(b, (Op)u->site->op, vals, u->site->nargs, u->site->attrs, &u->results[0]);
    }
    for (uint32_t i = 0; i < u->nresults; i++) b_result(b, results[i]);
    return builder_done(b);
}

static const char *operand_name(const Use *u, uint32_t k) {
    if (u->site->op == Op_call) return program_fn(u->c->p, u->name)->ins.data[k].name;
    const OpInfo *info = &op_info[u->site->op];
    return info->nargs < 0 ? info->operands[0] ? info->operands[0] : "x" : info->operands[k];
}

static void fail_rule(const Use *u, const char *label, Loc line, double analytic, double numeric) {
    Cx *cx = u->c->p->cx;
    diag_error(cx, line, "the rule %s is false: it gives %.9g, the function's difference is %.9g",
               label, analytic, numeric);
    if (u->site->loc.line) diag_note(cx, u->site->loc, "'%s' is used here", u->name);
}

/* The report of one rule; errors are relative to the size of what was compared. */
static void judge(const Use *u, const char *label, Loc line, double analytic, double numeric,
                  double scale) {
    double error = relative_error(analytic, numeric, scale);
    bool ok = error <= GATE_RULE || u->rule->surrogate;
    if (u->rule->surrogate) vec_push(u->c->p->cx->arena, &u->c->surrogates, u->name);
    report_row(u->c, ok,
               u->rule->surrogate ? arena_printf(u->c->a, "%s (surrogate)", label) : label, error);
    if (!ok) fail_rule(u, label, line, analytic, numeric);
}

/* Operands, results, and v or tangents: what a rule function takes. */
static Tensor *rule_arguments(const Use *u, const Tensor *x, const Tensor *y, const Tensor *more,
                              uint32_t nmore) {
    Tensor *args = NEW_ARRAY(u->c->a, Tensor, u->rule->nparams);
    uint32_t n = 0;
    for (uint32_t i = 0; i < u->site->nargs; i++) args[n++] = x[i];
    for (uint32_t i = 0; i < u->nresults; i++) args[n++] = y[i];
    for (uint32_t i = 0; i < nmore; i++) args[n++] = more[i];
    return args;
}

/* x summed down to the shape of like, as the engine does with a line wider than its operand. */
static double dot_wide(const Tensor *wide, const Tensor *u) {
    uint32_t rw = wide->type.shape->rank, ru = u->type.shape->rank;
    double sum = 0;
    for (int64_t i = 0; i < wide->type.shape->size; i++) {
        int64_t rest = i, at = 0, stride = 1;
        for (uint32_t k = 0; k < rw; k++) {
            int64_t n = wide->type.shape->dim[rw - 1 - k], x = rest % n;
            rest /= n;
            if (k >= ru) continue;
            int64_t m = u->type.shape->dim[ru - 1 - k];
            at += (m == 1 ? 0 : x) * stride;
            stride *= m;
        }
        sum += wide->re[i] * u->re[at];
    }
    return sum;
}

static void check_backward(Use *u, const Tensor *x, const Tensor *y, Draw draw) {
    Check *c = u->c;
    u->rule = c->p->rule(c->p, RuleBackward, u->name, u->site, u->args, u->results, u->nresults);
    if (!u->rule) return;
    Tensor *v = NEW_ARRAY(c->a, Tensor, u->nresults), *w = NEW_ARRAY(c->a, Tensor, u->nresults);
    uint32_t nv = 0;
    for (uint32_t i = 0; i < u->nresults; i++) {
        w[i] = dtype_is_float(u->results[i].dt) ? random_tensor(c, u->results[i], DrawWide)
                                                : zero_tensor(c, u->results[i]);
        if (dtype_is_float(u->results[i].dt)) v[nv++] = w[i];
    }
    Tensor *bars = NEW_ARRAY(c->a, Tensor, u->rule->results.len);
    interp_run(c->p, u->rule, InterpF64, c->a, rule_arguments(u, x, y, v, nv), bars, NULL);
    for (uint32_t k = 0; k < u->site->nargs; k++) {
        const Ins *line = &u->rule->ins.data[u->rule->results.data[k]];
        bool marked = line->rule && (!strcmp(line->rule, "nodiff"));
        if (!dtype_is_float(u->args[k].dt) || marked) continue;
        Tensor dir = random_tensor(c, u->args[k], DrawWide);
        double err, numeric = numdiff_directional(c->p, u->alone, c->a, x, k, &dir, w, &err);
        double analytic = dot_wide(&bars[k], &dir);
        double scale =
            tensor_norm(&bars[k]) * tensor_norm(&dir) / sqrt((double)dir.type.shape->size + 1);
        judge(u, arena_printf(c->a, "B[%s, %s]", u->name, operand_name(u, k)),
              line->loc.line ? line->loc : u->rule->loc, analytic, numeric, fmax(scale, err * 1e8));
    }
    (void)draw;
}

static void check_forward(Use *u, const Tensor *x, const Tensor *y) {
    Check *c = u->c;
    u->rule = c->p->rule(c->p, RuleForward, u->name, u->site, u->args, u->results, u->nresults);
    if (!u->rule) return;
    Tensor *dx = NEW_ARRAY(c->a, Tensor, u->site->nargs), *w = NEW_ARRAY(c->a, Tensor, u->nresults);
    uint32_t n = 0, at = 0;
    for (uint32_t k = 0; k < u->site->nargs; k++) {
        if (dtype_is_float(u->args[k].dt)) dx[n++] = random_tensor(c, u->args[k], DrawWide);
    }
    for (uint32_t i = 0; i < u->nresults; i++) {
        w[i] = dtype_is_float(u->results[i].dt) ? random_tensor(c, u->results[i], DrawWide)
                                                : zero_tensor(c, u->results[i]);
    }
    Tensor *dy = NEW_ARRAY(c->a, Tensor, u->rule->results.len);
    interp_run(c->p, u->rule, InterpF64, c->a, rule_arguments(u, x, y, dx, n), dy, NULL);
    double analytic = 0, numeric = 0, scale = 0, err, worst = 0;
    uint32_t r = 0;
    for (uint32_t i = 0; i < u->nresults; i++) {
        if (!dtype_is_float(u->results[i].dt)) continue;
        analytic += tensor_dot(&w[i], &dy[r]);
        scale += tensor_norm(&w[i]) * tensor_norm(&dy[r]) / sqrt((double)w[i].type.shape->size + 1);
        r++;
    }
    for (uint32_t k = 0; k < u->site->nargs; k++) {
        if (!dtype_is_float(u->args[k].dt)) continue;
        numeric += numdiff_directional(c->p, u->alone, c->a, x, k, &dx[at++], w, &err);
        worst = fmax(worst, err);
    }
    judge(u, arena_printf(c->a, "J[%s]", u->name), u->rule->ins.data[u->rule->results.data[0]].loc,
          analytic, numeric, fmax(scale, worst * 1e8));
}

static bool finite_values(const Tensor *y, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (!tensor_finite(&y[i])) return false;
    }
    return true;
}

static void check_use(Use *u, Domain domain) {
    Check *c = u->c;
    u->alone = isolate(u);
    for (Draw draw = domain_draw(domain); draw < DrawCount; draw++) {
        Tensor *x = random_arguments(c, u->alone, draw);
        Tensor *y = NEW_ARRAY(c->a, Tensor, u->nresults);
        interp_run(c->p, u->alone, InterpF64, c->a, x, y, NULL);
        if (!finite_values(y, u->nresults)) continue;
        check_backward(u, x, y, draw);
        check_forward(u, x, y);
        return;
    }
}

static bool checked(Check *c, Sym key) {
    for (uint32_t i = 0; i < c->done.len; i++) {
        if (c->done.data[i] == key) return true;
    }
    vec_push(c->p->cx->arena, &c->done, key);
    return false;
}

void check_rules(Check *c, const Fn *fn) {
    Cx *cx = c->p->cx;
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        OpClass cls = op_info[ins->op].cls;
        bool call = ins->op == Op_call;
        if (cls == ClsRegion) {
            Region r = region_of(c->p, ins);
            check_rules(c, r.body);
            if (r.other) check_rules(c, r.other);
            continue;
        }
        if (!call && (cls == ClsCall || cls == ClsOperator || cls == ClsSource)) continue;
        Use u = {
            .c = c, .site = ins, .name = call ? ins->attrs[0].s : sym(cx, op_info[ins->op].name)};
        const Fn *callee = call ? program_fn(c->p, u.name) : NULL;
        u.nresults = callee ? callee->results.len : 1;
        u.args = NEW_ARRAY(cx->arena, Type, ins->nargs);
        u.results = NEW_ARRAY(cx->arena, Type, u.nresults);
        Text key = {0};
        text_add(&key, "%s", u.name);
        bool floats = false, gives = false;
        for (uint32_t k = 0; k < ins->nargs; k++) {
            u.args[k] = fn->ins.data[ins->args[k]].type;
            floats |= dtype_is_float(u.args[k].dt);
            text_add(&key, " %u", u.args[k].shape->rank);
        }
        for (uint32_t i = 0; i < u.nresults; i++) {
            u.results[i] = callee ? callee->ins.data[callee->results.data[i]].type : ins->type;
            gives |= dtype_is_float(u.results[i].dt);
        }
        Sym k = sym_n(cx, key.data, key.len);
        free(key.data);
        if (!floats || !gives || checked(c, k)) continue;
        check_use(&u, call ? DomAny : op_info[ins->op].domain);
        if (callee) check_rules(c, callee);
    }
}

bool uses_surrogate(const Check *c, const Fn *fn) {
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        Sym name = ins->op == Op_call ? ins->attrs[0].s : sym(c->p->cx, op_info[ins->op].name);
        for (uint32_t i = 0; i < c->surrogates.len; i++) {
            if (c->surrogates.data[i] == name) return true;
        }
        for (int k = 0; k < op_info[ins->op].nattrs; k++) {
            bool refers = ins->attrs[k].kind == AttrFn;
            if (refers && uses_surrogate(c, program_fn(c->p, ins->attrs[k].s))) return true;
        }
    }
    return false;
}
