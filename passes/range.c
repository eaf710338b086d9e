/* What is known of the numbers in a value: an interval, as real numbers have it (exp(x) > 0, though
 * it underflows). Asked where a derivative is infinite at an end: sqrt(x * x), but not
 * sqrt(x * x + 1e-6). Parameters and what loops give may be anything. */
#include "passes/passes.h"

#include <math.h>

typedef struct Ranges {
    const Program *p;
    const Fn *fn;
    const Range *params; /* of a called function; NULL: anything */
    Range *known;        /* of the values so far */
    uint32_t depth;
} Ranges;

static const Range anything = {-INFINITY, INFINITY, false, false};

static Range of(const Ranges *q, Val v) { return q->known[v]; }

static void find(Ranges *q);

static bool positive(Range r) { return r.lo > 0 || (r.lo == 0 && r.open_lo); }

static Range hull(Range a, Range b) {
    Range r;
    r.lo = fmin(a.lo, b.lo);
    r.hi = fmax(a.hi, b.hi);
    r.open_lo = (a.lo > r.lo || a.open_lo) && (b.lo > r.lo || b.open_lo);
    r.open_hi = (a.hi < r.hi || a.open_hi) && (b.hi < r.hi || b.open_hi);
    return r;
}

static Range negated(Range a) { return (Range){-a.hi, -a.lo, a.open_hi, a.open_lo}; }

static Range sum(Range a, Range b) {
    return (Range){a.lo + b.lo, a.hi + b.hi, a.open_lo || b.open_lo, a.open_hi || b.open_hi};
}

static Range product(Range a, Range b, bool same) {
    double most = fmax(fabs(a.lo), fabs(a.hi));
    if (same) { /* a square */
        bool through = a.lo <= 0 && a.hi >= 0;
        if (through) return (Range){0, most * most, positive(a) || positive(negated(a)), false};
        double least = fmin(fabs(a.lo), fabs(a.hi));
        return (Range){least * least, most * most, false, false};
    }
    if (a.hi <= 0 && b.hi <= 0) a = negated(a), b = negated(b);
    if (a.lo >= 0 && b.lo >= 0) {
        double hi = a.hi == 0 || b.hi == 0 ? 0 : a.hi * b.hi;
        return (Range){a.lo * b.lo, hi, positive(a) && positive(b), false};
    }
    if (a.hi <= 0 && b.lo >= 0) return negated(product(negated(a), b, false));
    if (a.lo >= 0 && b.hi <= 0) return negated(product(a, negated(b), false));
    return anything;
}

static Range quotient(Range a, Range b) {
    if (positive(negated(b))) a = negated(a), b = negated(b);
    bool below = a.lo < 0 && a.hi <= 0;
    if (below) a = negated(a);
    if (!positive(b) || a.lo < 0) return anything;
    double lo = isinf(b.hi) ? 0 : a.lo / b.hi;
    Range r = {lo, b.lo > 0 ? a.hi / b.lo : INFINITY, positive(a), false};
    return below ? negated(r) : r;
}

/* An increasing function of a, which never reaches what it tends to. */
static Range increasing(double (*f)(double), Range a) {
    return (Range){f(a.lo), f(a.hi), a.open_lo || isinf(a.lo), a.open_hi || isinf(a.hi)};
}

static double logistic(double x) { return 1 / (1 + exp(-x)); }

static Range absolute(Range a) {
    if (a.lo >= 0) return a;
    if (a.hi <= 0) return negated(a);
    return (Range){0, fmax(-a.lo, a.hi), false, false};
}

static Range larger(Range a, Range b) {
    Range r = {fmax(a.lo, b.lo), fmax(a.hi, b.hi), false, false};
    r.open_lo = (a.lo == r.lo && a.open_lo) || (b.lo == r.lo && b.open_lo);
    return r;
}

/* a where the comparison `op` with k holds. */
static Range where_holds(Range a, Op op, double k) {
    if ((op == Op_gt || op == Op_ge) && k >= a.lo) a.lo = k, a.open_lo |= op == Op_gt;
    if ((op == Op_lt || op == Op_le) && k <= a.hi) a.hi = k, a.open_hi |= op == Op_lt;
    if (op == Op_ne && k == a.lo) a.open_lo = true;
    if (op == Op_ne && k == a.hi) a.open_hi = true;
    return a;
}

static Op opposite(Op op) {
    switch (op) {
    case Op_gt: return Op_le;
    case Op_ge: return Op_lt;
    case Op_lt: return Op_ge;
    case Op_le: return Op_gt;
    case Op_eq: return Op_ne;
    case Op_ne: return Op_eq;
    default: return OpCount;
    }
}

static Op swapped(Op op) {
    switch (op) {
    case Op_gt: return Op_lt;
    case Op_ge: return Op_le;
    case Op_lt: return Op_gt;
    case Op_le: return Op_ge;
    default: return op;
    }
}

/* The branch of a `where`, given what its condition says about it. */
static Range branch(const Ranges *q, Val c, Val v, bool taken) {
    const Ins *i = &q->fn->ins.data[c];
    Range r = of(q, v);
    if (i->op == Op_not) return branch(q, i->args[0], v, !taken);
    if (opposite((Op)i->op) == OpCount) return r;
    for (uint32_t k = 0; k < 2; k++) {
        Range other = of(q, i->args[1 - k]);
        if (i->args[k] != v || other.lo != other.hi) continue;
        Op op = k ? swapped((Op)i->op) : (Op)i->op;
        r = where_holds(r, taken ? op : opposite(op), other.lo);
    }
    return r;
}

static Range of_constant(const Ins *i) {
    Range r = {INFINITY, -INFINITY, false, false};
    for (uint64_t k = 0; k < i->ndata; k++) {
        double x = dtype_is_float(i->type.dt) ? i->data[k].f : (double)i->data[k].i;
        r.lo = fmin(r.lo, x);
        r.hi = fmax(r.hi, x);
    }
    return r.lo <= r.hi ? r : anything;
}

static Range of_call(const Ranges *q, const Ins *i) {
    const Fn *callee = program_fn(q->p, i->attrs[0].s);
    if (!callee || q->depth > 8 || callee->results.len != 1) return anything;
    Range *params = NEW_ARRAY(q->p->cx->scratch, Range, i->nargs);
    for (uint32_t k = 0; k < i->nargs; k++) params[k] = of(q, i->args[k]);
    Ranges inner = {.p = q->p, .fn = callee, .params = params, .depth = q->depth + 1};
    find(&inner);
    return of(&inner, callee->results.data[0]);
}

/* A sum of n numbers of the range. */
static Range repeated(Range a, double n) {
    if (n == 0) return (Range){0, 0, false, false};
    return (Range){a.lo == 0 ? 0 : a.lo * n, a.hi == 0 ? 0 : a.hi * n, a.open_lo, a.open_hi};
}

static Range all_args(const Ranges *q, const Ins *i) {
    Range r = of(q, i->args[0]);
    for (uint32_t k = 1; k < i->nargs; k++) r = hull(r, of(q, i->args[k]));
    return r;
}

static Range of_reduction(const Ranges *q, const Ins *i) {
    Range a = of(q, i->args[0]);
    int64_t from = q->fn->ins.data[i->args[0]].type.shape->size, to = i->type.shape->size;
    double n = to ? (double)from / (double)to : 0;
    if (i->op == Op_reduce_sum) return repeated(a, n);
    if (i->op == Op_reduce_prod && a.lo >= 0 && n > 0)
        return (Range){0, INFINITY, positive(a), false};
    bool picks = i->op == Op_reduce_max || i->op == Op_reduce_min;
    return picks && n > 0 ? a : anything;
}

static Range of_elementwise(const Ranges *q, const Ins *i) {
    Range a = of(q, i->args[0]), b = i->nargs > 1 ? of(q, i->args[1]) : anything;
    switch ((Op)i->op) {
    case Op_neg: return negated(a);
    case Op_abs: return absolute(a);
    case Op_exp: return increasing(exp, a);
    case Op_expm1: return increasing(expm1, a);
    case Op_log: return a.lo >= 0 ? increasing(log, a) : anything;
    case Op_log1p: return a.lo >= -1 ? increasing(log1p, a) : anything;
    case Op_sqrt: return a.lo >= 0 ? increasing(sqrt, a) : (Range){0, INFINITY, false, false};
    case Op_rsqrt: return (Range){0, INFINITY, true, false};
    case Op_tanh: return increasing(tanh, a);
    case Op_erf: return increasing(erf, a);
    case Op_sigmoid: return increasing(logistic, a);
    case Op_sin:
    case Op_cos: return (Range){-1, 1, false, false};
    case Op_sign: return (Range){-1, 1, false, false};
    case Op_floor: return (Range){floor(a.lo), floor(a.hi), false, false};
    case Op_ceil: return (Range){ceil(a.lo), ceil(a.hi), false, false};
    case Op_round: return (Range){rint(a.lo), rint(a.hi), false, false};
    case Op_cast:
    case Op_stop_gradient:
    case Op_opt_barrier: return a;
    case Op_add: return sum(a, b);
    case Op_sub: return sum(a, negated(b));
    case Op_mul: return product(a, b, i->args[0] == i->args[1]);
    case Op_div: return quotient(a, b);
    case Op_max: return larger(a, b);
    case Op_min: return negated(larger(negated(a), negated(b)));
    case Op_pow: return a.lo >= 0 ? (Range){0, INFINITY, positive(a), false} : anything;
    case Op_where:
        return hull(branch(q, i->args[0], i->args[1], true),
                    branch(q, i->args[0], i->args[2], false));
    default: return anything;
    }
}

static Range of_value(const Ranges *q, Val v) {
    const Ins *i = &q->fn->ins.data[v];
    if (!i->type.shape) return anything;
    if (i->type.dt == BOOL) return (Range){0, 1, false, false};
    if (i->type.range) return (Range){0, (double)i->type.range - 1, false, false};
    switch (op_info[i->op].cls) {
    case ClsSource:
        if (i->op == Op_const) return of_constant(i);
        if (i->op == Op_rng) return (Range){0, 1, false, true};
        return i->op == Op_param && q->params ? q->params[v] : anything;
    case ClsElem: return of_elementwise(q, i);
    case ClsView: return all_args(q, i);
    case ClsReduce: return of_reduction(q, i);
    case ClsMove:
        return i->op == Op_concat   ? all_args(q, i)
               : i->op == Op_gather ? of(q, i->args[0])
                                    : anything;
    case ClsCall: return i->op == Op_call ? of_call(q, i) : anything;
    case ClsContract:
    case ClsRegion:
    case ClsOperator: break;
    }
    return anything;
}

static void find(Ranges *q) {
    q->known = NEW_ARRAY(q->p->cx->scratch, Range, q->fn->ins.len);
    for (Val v = 0; v < q->fn->ins.len; v++) {
        Range r = of_value(q, v);
        q->known[v] = isnan(r.lo) || isnan(r.hi) ? anything : r;
    }
}

const Range *ranges_of(const Program *p, const Fn *fn) {
    Ranges q = {.p = p, .fn = fn};
    find(&q);
    return q.known;
}
