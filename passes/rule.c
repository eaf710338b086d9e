/* The rules by which operations and functions are differentiated: those of the program's `rule`
 * callback (std/rules.bp and the user's), and the few that are the engine's own because they cannot
 * be written in .bp. */
#include "passes/passes.h"

static const Fn *callee_of(const Program *p, const Ins *i) {
    const Fn *callee = program_fn(p, i->attrs[0].s);
    if (!callee) bug_at(p->cx, i->loc, "call of unknown function %s", i->attrs[0].s);
    return callee;
}

static Sym rule_name(Program *p, const Ins *i) {
    return i->op == Op_call ? i->attrs[0].s : sym(p->cx, op_info[i->op].name);
}

typedef struct Signature {
    Type *args, *results;
    uint32_t nresults;
} Signature;

static Signature signature_of(Program *p, const Fn *fn, const Ins *i) {
    Arena *a = p->cx->scratch;
    Signature s = {.args = NEW_ARRAY(a, Type, i->nargs), .nresults = 1};
    for (uint32_t k = 0; k < i->nargs; k++) s.args[k] = fn->ins.data[i->args[k]].type;
    if (i->op != Op_call) {
        s.results = NEW(a, Type);
        s.results[0] = i->type;
        return s;
    }
    const Fn *callee = callee_of(p, i);
    s.nresults = callee->results.len;
    s.results = NEW_ARRAY(a, Type, s.nresults);
    for (uint32_t k = 0; k < s.nresults; k++) {
        s.results[k] = callee->ins.data[callee->results.data[k]].type;
    }
    return s;
}

/* ---- concat: any number of operands, so no line of rules.bp ---- */

static Fn *concat_backward(Program *p, const Ins *i, const Signature *s) {
    Builder *b = builder_new(p, sym(p->cx, "concat_backward"), false);
    b_at(b, i->loc, NULL);
    for (uint32_t k = 0; k < i->nargs; k++) b_param(b, sym_fmt(p->cx, "x%u", k), s->args[k]);
    b_param(b, sym(p->cx, "y"), s->results[0]);
    Val v = b_param(b, sym(p->cx, "v"), s->results[0]);
    uint32_t rank = s->results[0].shape->rank;
    int64_t *lo = NEW_ARRAY(p->cx->scratch, int64_t, rank);
    int64_t axis = i->attrs[0].i;
    for (uint32_t k = 0; k < i->nargs; k++) {
        const Shape *part = s->args[k].shape;
        int64_t *hi = NEW_ARRAY(p->cx->scratch, int64_t, rank);
        for (uint32_t d = 0; d < rank; d++) hi[d] = lo[d] + part->dim[d];
        Attr attrs[] = {attr_ints(p->cx, lo, rank), attr_ints(p->cx, hi, rank), {AttrNone, {0}}};
        b_result(b, b_op(b, Op_slice, &v, 1, attrs, NULL));
        lo[axis] = hi[axis];
    }
    return builder_done(b);
}

static Fn *concat_forward(Program *p, const Ins *i, const Signature *s) {
    Builder *b = builder_new(p, sym(p->cx, "concat_forward"), false);
    b_at(b, i->loc, NULL);
    Val *t = NEW_ARRAY(p->cx->scratch, Val, i->nargs);
    for (uint32_t k = 0; k < i->nargs; k++) b_param(b, sym_fmt(p->cx, "x%u", k), s->args[k]);
    b_param(b, sym(p->cx, "y"), s->results[0]);
    for (uint32_t k = 0; k < i->nargs; k++) {
        t[k] = b_param(b, sym_fmt(p->cx, "t%u", k), s->args[k]);
    }
    b_result(b, b_op(b, Op_concat, t, i->nargs, i->attrs, NULL));
    return builder_done(b);
}

static const struct {
    Op op;
    Fn *(*make[2])(Program *, const Ins *, const Signature *);
} engine_rules[] = {
    {Op_concat, {[RuleBackward] = concat_backward, [RuleForward] = concat_forward}},
};

static Fn *make_rule(Program *p, RuleKind kind, const Ins *i, const Signature *s) {
    for (size_t r = 0; r < LEN(engine_rules); r++) {
        if (engine_rules[r].op == i->op) return engine_rules[r].make[kind](p, i, s);
    }
    if (!p->rule) return NULL;
    uint32_t before = p->fns.len;
    Fn *rule = p->rule(p, kind, rule_name(p, i), i, s->args, s->results, s->nresults);
    for (uint32_t k = before; k < p->fns.len; k++) {
        vec_push(p->cx->arena, &p->rule_fns, p->fns.data[k]);
    }
    return rule;
}

bool has_rule(Program *p, const Fn *fn, const Ins *call, Keep mode) {
    if (!p->rule) return false;
    Signature s = signature_of(p, fn, call);
    return make_rule(p, RuleBackward, call, &s) ||
           (mode == KeepForward && make_rule(p, RuleForward, call, &s));
}

static uint32_t count_float(const Type *t, uint32_t n) {
    uint32_t found = 0;
    for (uint32_t k = 0; k < n; k++) found += dtype_is_float(t[k].dt);
    return found;
}

static Type *float_types(Program *p, const Signature *s) {
    Type *t = NEW_ARRAY(p->cx->scratch, Type, s->nresults);
    for (uint32_t k = 0, n = 0; k < s->nresults; k++) {
        if (dtype_is_float(s->results[k].dt)) t[n++] = s->results[k];
    }
    return t;
}

/* How each result of a rule is to be read; to be asked before the rule is rebuilt, since equal
 * constants merge. */
static const RuleEntry *entries_of(Program *p, const Fn *rule) {
    RuleEntry *e = NEW_ARRAY(p->cx->scratch, RuleEntry, rule->results.len);
    for (uint32_t k = 0; k < rule->results.len; k++) {
        e[k] = rule_entry(&rule->ins.data[rule->results.data[k]]);
    }
    return e;
}

/* A line of a rule broadcasts with what it stands for: stretched where it is 1, summed where it is
 * wider. */
static Val fitted(Program *p, Builder *b, Val x, Type type) {
    const Shape *from = b_type(b, x).shape, *to = type.shape;
    uint32_t rank = from->rank > to->rank ? from->rank : to->rank;
    int64_t *dim = NEW_ARRAY(p->cx->scratch, int64_t, rank);
    for (uint32_t k = 1; k <= rank; k++) { /* from the last dimension */
        int64_t have = k <= from->rank ? from->dim[from->rank - k] : 1;
        dim[rank - k] = have == 1 && k <= to->rank ? to->dim[to->rank - k] : have;
    }
    x = b_broadcast(b, x, shape_of(p->cx, dim, rank));
    return b_sum_to(b, x, to);
}

/* The rule with results of these types. */
static const Fn *fit_results(Program *p, const Fn *rule, const Type *types) {
    bool fits = true;
    for (uint32_t k = 0; k < rule->results.len; k++) {
        Type have = rule->ins.data[rule->results.data[k]].type;
        if (have.dt != types[k].dt) bug_at(p->cx, rule->loc, "%s: result %u", rule->name, k);
        fits &= have.shape == types[k].shape;
    }
    if (fits) return rule;
    Arena *a = p->cx->scratch;
    Val *map, *out = NEW_ARRAY(a, Val, rule->results.len);
    Builder *b = copy_begin(p, rule, rule->name, &map);
    splice(p, b, rule, map, NULL, &(Splice){0}, out);
    b_at(b, rule->loc, NULL);
    for (uint32_t k = 0; k < rule->results.len; k++) b_result(b, fitted(p, b, out[k], types[k]));
    return builder_done(b);
}

static Rule transposed(Program *p, const Rule *backward, const Ins *i, const Signature *s) {
    uint32_t n = count_float(s->results, s->nresults);
    uint32_t *wrt = NEW_ARRAY(p->cx->scratch, uint32_t, n);
    for (uint32_t k = 0; k < n; k++) wrt[k] = i->nargs + s->nresults + k;
    Sym name = sym_fmt(p->cx, "%s_transposed", backward->fn->name);
    const Fn *fn = transpose_fn(p, backward->fn, name, wrt, n, NULL);
    return (Rule){.fn = fn, .entry = backward->entry, .transposed = true};
}

Rule rule_find(Program *p, RuleKind kind, const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    Signature s = signature_of(p, fn, i);
    uint32_t errors = p->cx->errors;
    const Fn *rule = make_rule(p, kind, i, &s);
    if (p->cx->errors != errors) return (Rule){.broken = true};
    if (!rule && kind == RuleForward) {
        Rule backward = rule_find(p, RuleBackward, fn, v);
        return backward.fn ? transposed(p, &backward, i, &s) : backward;
    }
    if (!rule) return (Rule){0};
    bool forward = kind == RuleForward;
    uint32_t in = count_float(s.args, i->nargs), out = count_float(s.results, s.nresults);
    uint32_t takes = i->nargs + s.nresults + (forward ? in : out), gives = forward ? out : i->nargs;
    if (rule->nparams != takes || rule->results.len != gives) {
        bug_at(p->cx, rule->loc, "the rule of '%s' takes %u values and gives %u", rule_name(p, i),
               rule->nparams, rule->results.len);
    }
    const RuleEntry *entry = entries_of(p, rule);
    rule = inline_calls(p, rule, forward ? KeepForward : KeepBackward);
    if (rule) rule = fit_results(p, rule, forward ? float_types(p, &s) : s.args);
    return (Rule){.fn = rule, .entry = entry};
}

const char *operand_title(Program *p, const Ins *i, uint32_t k) {
    const OpInfo *info = &op_info[i->op];
    if (info->cls == ClsRegion) return region_of(p, i).body->ins.data[k].name;
    if (i->op == Op_call) return callee_of(p, i)->ins.data[k].name;
    if (info->nargs >= 0) return info->operands[k];
    return arena_printf(p->cx->arena, "%s%u", info->operands[0], k);
}

Sym backward_label(Program *p, const Ins *i, uint32_t k) {
    return sym_fmt(p->cx, "B[%s, %s]", rule_name(p, i), operand_title(p, i, k));
}

Sym forward_label(Program *p, const Ins *i) { return sym_fmt(p->cx, "J[%s]", rule_name(p, i)); }
