/* Values grouped into kernels, so that nothing is written that only one kernel reads:
 *
 *   t = matmul(x, w)    y = add(t, b)    r = max(y, 0.0)        one contraction with its epilogue
 *
 * What must be in memory is decided first: results, roots of kernels, operands of contractions and
 * moves (but concat's are computed where they go), what a reshape renames, and what is dear and
 * would be computed once per copy of a broadcast or at several indices. Then stored values are
 * grouped (fuse_group.c), which stores what several kernels would compute, and groups become
 * kernels in order (fuse_kernel.c). Every other value lives in registers of the kernels that read
 * it. A reshape of a stored value is the same memory and needs no kernel.
 *
 * Afterwards each result is a value of its own that a kernel stores, or the parameter that it was
 * donated. Tests: tests/passes/fuse_test.c */
#include "passes/fuse.h"

/* ---- results ---- */

static void own_results(Fuse *f) {
    Fn *fn = f->fn;
    bool *taken = NEW_ARRAY(f->a, bool, fn->ins.len);
    for (uint32_t r = 0; r < fn->results.len; r++) {
        Val v = fn->results.data[r];
        bool stays = fn->donated && v < fn->nparams && fn->donated[r] == (int32_t)v;
        bool made = !fuse_is_free(f, v) && fuse_ins(f, v)->op != Op_reshape;
        if (stays || (made && !taken[v])) taken[v] = true;
        else fn->results.data[r] = fn_append_identity(f->p->cx->arena, fn, v);
    }
}

/* ---- what must be in memory ---- */

/* What the readers of a value ask of it. */
typedef struct Demand {
    bool memory;   /* an address */
    bool once;     /* not to be computed for every copy of a broadcast */
    bool moved;    /* its value at another index than the reader's */
    uint32_t uses; /* by different instructions */
} Demand;

static const bool simple[OpCount] = {
    [Op_neg] = true, [Op_abs] = true, [Op_add] = true, [Op_sub] = true, [Op_mul] = true,
    [Op_max] = true, [Op_min] = true, [Op_eq] = true, [Op_ne] = true, [Op_lt] = true,
    [Op_le] = true, [Op_gt] = true, [Op_ge] = true, [Op_and] = true, [Op_or] = true,
    [Op_not] = true, [Op_where] = true, [Op_cast] = true, [Op_isfinite] = true,
    [Op_isnan] = true, [Op_floor] = true, [Op_ceil] = true, [Op_round] = true, [Op_pad] = true,
    [Op_stop_gradient] = true, [Op_opt_barrier] = true};

static uint32_t own_cost(const Fuse *f, Val v) {
    Op op = (Op)fuse_ins(f, v)->op;
    if (simple[op]) return 1;
    return fuse_class(f, v) == ClsElem || op == Op_rng ? CheapCost + 1 : 0;
}

/* A view with as many elements as its operand: storing it is storing the operand. */
static bool is_renaming(const Fuse *f, Val v) {
    Op op = (Op)fuse_ins(f, v)->op;
    return op == Op_reshape || op == Op_transpose || op == Op_flip;
}

static void demand_operand(const Fuse *f, Demand *demand, Val v, Val x) {
    const Ins *i = fuse_ins(f, v);
    const Shape *from = fuse_ins(f, x)->type.shape;
    const Shape *to = i->type.shape ? i->type.shape : from; /* of several results: a region */
    OpClass c = fuse_class(f, v);
    Demand *d = &demand[x];
    d->uses++;
    bool keeps = fuse_keeps_rows(f, v);
    d->moved |= keeps ? demand[v].moved : c == ClsView || i->op == Op_concat;
    d->memory |= (c == ClsMove && i->op != Op_concat) || c == ClsRegion;
    d->once |= i->op == Op_broadcast && from->size < to->size;
    d->once |= i->op == Op_rng || (i->op == Op_pad && x == i->args[1]);
    if (i->op == Op_reshape) d->memory |= demand[v].memory || !keeps;
    if (is_renaming(f, v)) {
        d->once |= demand[v].once;
        d->uses += demand[v].uses ? demand[v].uses - 1 : 0;
    }
    if (c != ClsContract) return;
    while (fuse_ins(f, x)->op == Op_transpose) x = fuse_ins(f, x)->args[0];
    demand[x].memory = true;
}

static bool seen_before(const Ins *i, uint32_t k) {
    for (uint32_t n = 0; n < k; n++) {
        if (i->args[n] == i->args[k]) return true;
    }
    return false;
}

/* Also finds what is live. */
static Demand *find_demands(Fuse *f) {
    Fn *fn = f->fn;
    Demand *demand = NEW_ARRAY(f->a, Demand, fn->ins.len);
    f->live = NEW_ARRAY(f->a, bool, fn->ins.len);
    for (uint32_t r = 0; r < fn->results.len; r++) {
        f->live[fn->results.data[r]] = true;
        demand[fn->results.data[r]].memory = true;
    }
    for (Val v = fn->ins.len; v-- > 0;) {
        const Ins *i = fuse_ins(f, v);
        if (!f->live[v]) continue;
        OpClass c = fuse_class(f, v);
        if (i->op == Op_get) {
            f->live[i->args[0]] = true;
            continue;
        }
        for (Val g = v + 1; !i->type.shape && g < fn->ins.len; g++) { /* all results have room */
            if (fuse_ins(f, g)->op != Op_get || fuse_ins(f, g)->args[0] != v) break;
            f->live[g] = true;
        }
        if (c == ClsCall || c == ClsOperator) {
            bug_at(f->p->cx, i->loc, "%s cannot be part of a kernel", op_info[i->op].name);
        }
        for (uint32_t k = 0; k < i->nargs; k++) {
            f->live[i->args[k]] = true;
            if (!seen_before(i, k)) demand_operand(f, demand, v, i->args[k]);
        }
    }
    return demand;
}

uint32_t fuse_cost(const Fuse *f, Val v) {
    const Ins *i = fuse_ins(f, v);
    uint32_t cost = own_cost(f, v);
    for (uint32_t k = 0; k < i->nargs; k++) {
        if (!seen_before(i, k)) cost += f->cost[i->args[k]];
    }
    return cost < 1000 ? cost : 1000;
}

static bool is_drawn(const Fuse *f, const Demand *demand, Val v) {
    const Ins *i = fuse_ins(f, v);
    bool drawn = i->op == Op_rng;
    for (uint32_t k = 0; k < i->nargs; k++) {
        Val x = i->args[k];
        drawn |= f->drawn[x] && !f->stored[x] && demand[x].uses == 1;
    }
    return drawn;
}

static void find_stored(Fuse *f) {
    uint32_t n = f->fn->ins.len;
    const Demand *demand = find_demands(f);
    f->stored = NEW_ARRAY(f->a, bool, n);
    f->drawn = NEW_ARRAY(f->a, bool, n);
    f->cost = NEW_ARRAY(f->a, uint32_t, n);
    for (Val v = 0; v < n; v++) {
        if (!f->live[v] || fuse_is_free(f, v)) continue;
        const Demand *d = &demand[v];
        uint32_t cost = fuse_cost(f, v);
        bool twice = d->moved && d->uses > 1 && cost > CheapCost;
        f->stored[v] = d->memory || fuse_is_root(f, v) || cost > MaxCost;
        if (!fuse_ins(f, v)->type.shape) f->stored[v] = false; /* its results are */
        if (!is_renaming(f, v)) f->stored[v] |= twice || (d->once && cost > 0);
        if (fuse_ins(f, v)->op == Op_reshape) f->stored[v] = false;
        f->cost[v] = f->stored[v] ? 0 : cost;
        f->drawn[v] = is_drawn(f, demand, v);
    }
}

/* ---- the pass ---- */

static Fn *fuse_fn(Program *p, const Fn *from) {
    Fn *fn = fn_copy(p->cx->arena, from);
    Fuse f = {.p = p, .fn = fn, .a = p->cx->scratch};
    own_results(&f);
    find_stored(&f);
    fuse_make_groups(&f);
    fuse_make_kernels(&f);
    return fn;
}

void pass_fuse(Program *p) {
    for (uint32_t i = 0; i < p->fns.len; i++) p->fns.data[i] = fuse_fn(p, p->fns.data[i]);
}
