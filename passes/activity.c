/* Activity: which values of a flat function take part in a derivative. A value is active if it
 * depends on what is differentiated and a result that is asked for depends on it. Rules know better
 * than the graph: a value that reaches its operands through `zero` entries only does not depend on
 * them. Also the user errors of differentiation: a rule that is missing on an active path, and a
 * path that leads through integers. */
#include "passes/passes.h"

typedef struct Walk {
    Program *p;
    RuleKind kind;
    const Fn *fn;
    const bool *useful;
    Val *cut; /* of integers: the cast of an active value that they were computed from, or NoVal */
    Activity a;
} Walk;

/* One line of the source may be differentiated many times; it is reported once. */
static bool reported(const Cx *cx, Loc loc) {
    for (uint32_t k = 0; k < cx->diags.len; k++) {
        const Loc *l = &cx->diags.data[k].loc;
        if (l->file == loc.file && l->line == loc.line && l->col == loc.col) return true;
    }
    return false;
}

static void note_source(Program *p, const Fn *fn, const Activity *a, Val v) {
    const Ins *from = &fn->ins.data[a->source[v]];
    diag_note(p->cx, from->loc, "the derivative of '%s' is taken with respect to '%s'", fn->name,
              from->name);
}

/* v is the cast to an integer. */
static void report_cut(Program *p, const Fn *fn, const Activity *a, Val v) {
    const Ins *i = &fn->ins.data[v];
    if (p->cx->errors && reported(p->cx, i->loc)) return;
    Type type = {i->type.dt, i->type.range, shape_scalar(p->cx)};
    diag_error(p->cx, i->loc,
               "no derivative leads through integers; where none is meant, "
               "write %s(stop_gradient(...))",
               type_text(p->cx, type));
    note_source(p, fn, a, i->args[0]);
}

/* Whether the results of v have a derivative towards its active operands. */
static bool depends(Walk *w, Val v) {
    const Ins *i = &w->fn->ins.data[v];
    const Rule *r = &w->a.rule[v];
    if (!r->fn) return true;
    if (w->kind == RuleForward && !r->transposed) { /* a line for each result */
        for (uint32_t k = 0; k < r->fn->results.len; k++) {
            if (r->entry[k] != EntryZero) return true;
        }
        return false;
    }
    for (uint32_t k = 0; k < i->nargs; k++) {
        if (w->a.active[i->args[k]] && r->entry[k] != EntryZero) return true;
    }
    return false;
}

static bool any_float(const Walk *w, Val v) {
    Vals r = results_of(w->p, w->fn, v);
    for (uint32_t k = 0; k < r.len; k++) {
        if (dtype_is_float(w->fn->ins.data[r.data[k]].type.dt)) return true;
    }
    return false;
}

static bool is_plain_call(const Walk *w, const Ins *i) {
    return i->op == Op_call &&
           !has_rule(w->p, w->fn, i, w->kind == RuleForward ? KeepForward : KeepBackward);
}

static bool is_integer(DType t) {
    return !dtype_is_float(t) && t != BOOL;
}

/* Follows integers from where an active value is cast to one to where they are cast back. A choice
 * made by them, as of an index or a branch, is a step of the function, with derivative 0; a number
 * is what a user may believe to be differentiated. */
static void follow_integers(Walk *w, Val v) {
    const Ins *i = &w->fn->ins.data[v];
    w->cut[v] = NoVal;
    if (!w->useful[v]) return;
    for (uint32_t k = 0; k < i->nargs && w->cut[v] == NoVal; k++) w->cut[v] = w->cut[i->args[k]];
    bool cast = i->op == Op_cast && is_integer(i->type.dt);
    if (cast && w->a.active[i->args[0]]) w->cut[v] = v;
    if (is_integer(i->type.dt) || w->cut[v] == NoVal) return;
    if (i->op == Op_cast && dtype_is_float(i->type.dt)) report_cut(w->p, w->fn, &w->a, w->cut[v]);
    w->cut[v] = NoVal;
}

static void visit(Walk *w, Val v) {
    const Ins *i = &w->fn->ins.data[v];
    Activity *a = &w->a;
    follow_integers(w, v);
    uint32_t from = UINT32_MAX;
    for (uint32_t k = 0; k < i->nargs && from == UINT32_MAX; k++) {
        if (a->active[i->args[k]]) from = a->source[i->args[k]];
    }
    if (!w->useful[v] || from == UINT32_MAX) return;
    const RegionActivity *region = i->op == Op_get ? a->region[i->args[0]] : NULL;
    if (op_info[i->op].cls == ClsRegion || is_plain_call(w, i)) {
        a->region[v] = region_activity(w->p, w->kind, w->fn, v, a->active);
        a->errors += !a->region[v];
        a->active[v] = a->region[v] && a->region[v]->any;
    } else if (i->op == Op_get) {
        a->active[v] = region ? region->result[i->attrs[0].i] : dtype_is_float(i->type.dt);
    } else if (any_float(w, v)) {
        a->rule[v] = rule_find(w->p, w->kind, w->fn, v);
        a->active[v] = depends(w, v);
    }
    a->source[v] = from;
}

Activity activity_find(Program *p, RuleKind kind, const Fn *fn, const uint32_t *wrt, uint32_t n,
                       const bool *want) {
    Arena *s = p->cx->scratch;
    Walk w = {.p = p, .kind = kind, .fn = fn, .useful = live_values(p, fn, want)};
    w.cut = NEW_ARRAY(s, Val, fn->ins.len);
    w.a.active = NEW_ARRAY(s, bool, fn->ins.len);
    w.a.source = NEW_ARRAY(s, uint32_t, fn->ins.len);
    w.a.rule = NEW_ARRAY(s, Rule, fn->ins.len);
    w.a.region = NEW_ARRAY(s, RegionActivity *, fn->ins.len);
    for (uint32_t k = 0; k < n; k++) {
        w.a.active[wrt[k]] = w.useful[wrt[k]];
        w.a.source[wrt[k]] = wrt[k];
    }
    for (Val v = 0; v < fn->nparams; v++) w.cut[v] = NoVal;
    for (Val v = fn->nparams; v < fn->ins.len; v++) visit(&w, v);
    return w.a;
}

static const char *op_title(const Ins *i) {
    return i->op == Op_call ? i->attrs[0].s : op_info[i->op].name;
}

void report_missing(Program *p, const Fn *fn, const Activity *a, Val v) {
    if (a->rule[v].broken) return;
    const Ins *i = &fn->ins.data[v];
    if (p->cx->errors && reported(p->cx, i->loc)) return;
    diag_error(p->cx, i->loc, "no derivative rule for '%s'", op_title(i));
    note_source(p, fn, a, v);
}

void report_nodiff(Program *p, const Fn *fn, const Activity *a, Val v, uint32_t k) {
    const Ins *i = &fn->ins.data[v];
    if (p->cx->errors && reported(p->cx, i->loc)) return;
    diag_error(p->cx, i->loc, "no derivative of '%s' with respect to %s; that of '%s' needs it",
               op_title(i), operand_title(p, i, k == NoVal ? 0 : k), fn->name);
    note_source(p, fn, a, v);
}
