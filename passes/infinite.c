/* A warning where the chain rule may multiply infinity by zero:
 *
 *   let s: f64 = reduce_sum(q, axis=[0]);  q = x * x
 *   let n: f64 = sqrt(s);                  at x = 0, d_s is infinite and d_x = 2 x d_s is NaN
 *
 * Only what is certain is said: the operand can reach the bad point (ranges_of), what it is
 * computed by scales its adjoint rather than selects it, and no `where` keeps the adjoint out.
 * Tests: tests/derivatives/warnings_test.py */
#include "passes/passes.h"

#include <math.h>

static const struct {
    Op op;
    uint32_t operand;
    double bad;
    const char *fix;
} singular[] = {
    {Op_sqrt, 0, 0, "norm(x) is sqrt(sum(x * x)) with gradient 0 at 0; or write sqrt(... + 1e-12)"},
    {Op_rsqrt, 0, 0, "write rsqrt(... + 1e-12)"},
    {Op_log, 0, 0, "write log(... + 1e-12) or log(max(..., 1e-12))"},
    {Op_log1p, 0, -1, "keep the operand above -1"},
    {Op_div, 1, 0, "write ... / max(..., 1e-12)"},
    {Op_pow, 0, 0, "write (... + 1e-12) ** p"},
};

static bool reaches(Range r, double bad) {
    bool low = r.lo == bad && !r.open_lo, high = r.hi == bad && !r.open_hi;
    return low || high;
}

/* Whether a function does more than select. */
static bool computes(const Fn *fn) {
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        bool selects = i->op == Op_where || i->type.dt == BOOL;
        if (op_info[i->op].cls == ClsElem && !selects) return true;
    }
    return false;
}

/* Whether the adjoint of x is multiplied on its way to what x is computed from. */
static bool scaled(const Program *p, const Fn *fn, Val x) {
    const Ins *i = &fn->ins.data[x];
    switch ((Op)i->op) {
    case Op_mul:
    case Op_div:
    case Op_abs:
    case Op_max:
    case Op_min:
    case Op_pow:
    case Op_sqrt: return true;
    case Op_add:
        return scaled(p, fn, i->args[0]) || scaled(p, fn, i->args[1]);
    case Op_call: return computes(program_fn(p, i->attrs[0].s));
    default: break;
    }
    bool moves = op_info[i->op].cls == ClsView || i->op == Op_reduce_sum || i->op == Op_cast;
    return moves && scaled(p, fn, i->args[0]);
}

/* What is differentiated again was looked at the first time. */
static bool derived(const Fn *fn) {
    for (Val v = 0; v < fn->ins.len; v++) {
        const char *rule = fn->ins.data[v].rule;
        if (rule && rule[0] && rule[1] == '[') return true;
    }
    return false;
}

/* A power whose derivative is finite at 0: by a constant that is 0, or at least 1. */
static bool smooth_power(Range p) { return p.lo == p.hi && (p.lo == 0 || p.lo >= 1); }

void warn_infinite(Program *p, const Fn *fn, Val v, const Range **ranges) {
    const Ins *i = &fn->ins.data[v];
    size_t k = 0;
    while (k < LEN(singular) && singular[k].op != i->op) k++;
    if (k == LEN(singular) || !i->loc.line) return;
    Val x = i->args[singular[k].operand];
    if (!scaled(p, fn, x) || (!*ranges && derived(fn))) return;
    if (!*ranges) *ranges = ranges_of(p, fn);
    if (!reaches((*ranges)[x], singular[k].bad)) return;
    if (i->op == Op_pow && smooth_power((*ranges)[i->args[1]])) return;
    for (uint32_t d = 0; d < p->cx->diags.len; d++) { /* said before, of this line */
        const Diag *said = &p->cx->diags.data[d];
        const Loc *l = &said->loc;
        bool same = l->file == i->loc.file && l->line == i->loc.line && l->col == i->loc.col;
        if (said->flag && same) return;
    }
    diag_warn(p->cx, "infinite-adjoint", i->loc,
              "the gradient of '%s' is infinite where its %s is %g; times 0 it is NaN",
              op_info[i->op].name, i->op == Op_div ? "denominator" : "operand", singular[k].bad);
    diag_note(p->cx, fn->ins.data[x].loc, "this can be %g; %s", singular[k].bad, singular[k].fix);
}
