/* Values grouped into kernels, so that nothing is written that only one kernel reads:
 *
 *   t = matmul(x, w)    y = add(t, b)    r = max(y, 0.0)        one contraction with its epilogue
 *
 * Which values are stored is decided from the last to the first: results, operands of contractions
 * and moves, roots, what a reshape renames, what is broadcast, and what would be computed in two
 * kernels though it is dear. Every other value is computed inside the kernels that read it. Maps of
 * one shape join where no path through a third kernel forbids it; then a map that is the only
 * reader of a reduction or contraction of its shape becomes its epilogue. A reshape of a stored
 * value is the same memory. Kernels come in order of their dependencies. Tests:
 * tests/passes/fuse_test.c */
#include "passes/fuse.h"

/* ---- results: each a value of its own that a kernel stores ---- */

static void copy_results(Fuse *f) {
    Fn *fn = f->fn;
    bool *seen = NEW_ARRAY(f->a, bool, fn->ins.len);
    for (uint32_t i = 0; i < fn->results.len; i++) {
        Val v = fn->results.data[i];
        bool own = !is_free(f, v) && !is_alias(f, v) && !seen[v];
        seen[v] = true;
        if (own) continue;
        Ins copy = {.op = Op_opt_barrier,
                    .nargs = 1,
                    .type = fn->ins.data[v].type,
                    .loc = fn->ins.data[v].loc,
                    .rule = fn->ins.data[v].rule};
        Val *arg = NEW(f->p->cx->arena, Val);
        *arg = v;
        copy.args = arg;
        vec_push(f->p->cx->arena, &fn->ins, copy);
        fn->results.data[i] = fn->ins.len - 1;
    }
}

/* ---- costs ---- */

static uint32_t own_cost(Op op) {
    switch (op) {
    case Op_neg:
    case Op_abs:
    case Op_add:
    case Op_sub:
    case Op_mul:
    case Op_max:
    case Op_min:
    case Op_eq:
    case Op_ne:
    case Op_lt:
    case Op_le:
    case Op_gt:
    case Op_ge:
    case Op_and:
    case Op_or:
    case Op_not:
    case Op_where:
    case Op_cast:
    case Op_stop_gradient:
    case Op_opt_barrier:
        return 1;
    case Op_param:
    case Op_const:
    case Op_iota:
    case Op_broadcast:
    case Op_reshape:
    case Op_transpose:
    case Op_slice:
    case Op_flip:
        return 0;
    default:
        return DearCost + 1;
    }
}

/* ---- what is stored ---- */

static void store(Fuse *f, Val v) {
    while (is_alias(f, v)) v = ins_at(f, v)->args[0];
    if (!is_free(f, v)) f->stored[v] = true;
}

/* What an instruction asks of its operands, whatever kernel it goes to. */
static void demand_operands(Fuse *f, Val v) {
    const Ins *i = ins_at(f, v);
    OpClass c = class_of(f, v);
    for (uint32_t k = 0; k < i->nargs; k++) {
        Val x = i->args[k];
        if (c == ClsContract) {
            while (ins_at(f, x)->op == Op_transpose) x = ins_at(f, x)->args[0];
        }
        bool stretched =
            i->op == Op_broadcast && ins_at(f, x)->type.shape->size < i->type.shape->size;
        bool kept = c == ClsContract || c == ClsMove || is_alias(f, v) || is_root(f, x);
        if (kept || (stretched && f->cost[x])) store(f, x);
    }
}

static void find_live(Fuse *f) {
    Fn *fn = f->fn;
    for (uint32_t i = 0; i < fn->results.len; i++)
        f->live[fn->results.data[i]] = f->stored[fn->results.data[i]] = true;
    for (Val v = fn->ins.len; v-- > 0;) {
        for (uint32_t k = 0; f->live[v] && k < ins_at(f, v)->nargs; k++)
            f->live[ins_at(f, v)->args[k]] = true;
    }
    for (Val v = 0; v < fn->ins.len; v++) {
        f->cost[v] = own_cost((Op)ins_at(f, v)->op);
        for (uint32_t k = 0; !is_root(f, v) && !is_alias(f, v) && k < ins_at(f, v)->nargs; k++) {
            Val x = ins_at(f, v)->args[k];
            if (!is_root(f, x)) f->cost[v] += f->cost[x];
        }
        if (f->cost[v] > 1000) f->cost[v] = 1000;
        if (!f->live[v]) continue;
        if (is_root(f, v)) f->stored[v] = true;
        demand_operands(f, v);
    }
}

/* ---- groups ---- */

void fuse_depend(Fuse *f, uint32_t g, uint32_t on) {
    if (g == on || on == NoGroup) return;
    Group *x = &f->groups.data[g];
    for (uint32_t i = 0; i < x->in.len; i++) {
        if (x->in.data[i] == on) return;
    }
    vec_push(f->a, &x->in, on);
}

/* Whether the results of group `from` reach group `to`, not counting a direct edge if skip. */
static bool reaches(const Fuse *f, uint32_t to, uint32_t from, bool skip, bool *seen) {
    const Group *g = &f->groups.data[to];
    for (uint32_t i = 0; i < g->in.len; i++) {
        uint32_t x = g->in.data[i];
        if (x == from && !skip) return true;
        if (x == from || seen[x]) continue;
        seen[x] = true;
        if (reaches(f, x, from, false, seen)) return true;
    }
    return false;
}

bool fuse_path(const Fuse *f, uint32_t to, uint32_t from, bool skip) {
    return reaches(f, to, from, skip, NEW_ARRAY(f->p->cx->scratch, bool, f->groups.len));
}

static uint32_t group_new(Fuse *f, KernelKind kind, Val root, const Shape *space) {
    Group g = {.kind = kind, .root = root, .space = space};
    vec_push(f->a, &f->groups, g);
    return f->groups.len - 1;
}

/* The group of v's first reader if v can be one more output of it. All readers of v are grouped. */
static uint32_t join(Fuse *f, Val v, const uint32_t *readers, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t g = readers[i];
        const Group *x = &f->groups.data[g];
        if (x->kind != KernMap || x->space != ins_at(f, v)->type.shape || x->stored.len >= 48)
            continue;
        bool ok = true;
        for (uint32_t k = 0; k < n && ok; k++)
            ok = readers[k] == g || !fuse_path(f, g, readers[k], false);
        if (ok) return g;
    }
    return NoGroup;
}

typedef struct Readers {
    uint32_t *group;
    uint32_t n, cap;
} Readers;

static void add_reader(Fuse *f, Readers *r, uint32_t g) {
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->group[i] == g) return;
    }
    vec_grow(f->a, (void **)&r->group, &r->cap, r->n, sizeof *r->group);
    r->group[r->n++] = g;
}

static KernelKind kind_of(OpClass c) {
    return c == ClsReduce     ? KernReduce
           : c == ClsContract ? KernContract
           : c == ClsMove     ? KernMove
                              : KernMap;
}

/* From the last value to the first, its readers' groups being known. */
static void assign_groups(Fuse *f) {
    uint32_t n = f->fn->ins.len;
    Readers *readers = NEW_ARRAY(f->a, Readers, n);
    for (Val v = n; v-- > 0;) {
        if (!f->live[v] || is_free(f, v)) continue;
        Readers *r = &readers[v];
        if (is_alias(f, v)) { /* its readers read what it renames */
            for (uint32_t i = 0; i < r->n; i++)
                add_reader(f, &readers[ins_at(f, v)->args[0]], r->group[i]);
            continue;
        }
        if (!f->stored[v] && r->n > 1 && f->cost[v] > DearCost) f->stored[v] = true;
        Readers own = *r;
        if (f->stored[v]) {
            uint32_t g = is_root(f, v) ? NoGroup : join(f, v, r->group, r->n);
            if (g == NoGroup)
                g = group_new(f, kind_of(class_of(f, v)), is_root(f, v) ? v : NoVal,
                              ins_at(f, v)->type.shape);
            if (!is_root(f, v)) vec_push(f->a, &f->groups.data[g].stored, v);
            f->group[v] = g;
            for (uint32_t i = 0; i < r->n; i++) fuse_depend(f, r->group[i], g);
            own = (Readers){NULL, 0, 0};
            add_reader(f, &own, g);
        }
        for (uint32_t k = 0; k < ins_at(f, v)->nargs; k++) {
            for (uint32_t i = 0; i < own.n; i++)
                add_reader(f, &readers[ins_at(f, v)->args[k]], own.group[i]);
        }
    }
}

/* ---- kernels ---- */

typedef struct Collect {
    Fuse *f;
    uint32_t g;
    bool *member, *input;
} Collect;

static void collect(Collect *c, Val v, bool output) {
    Fuse *f = c->f;
    const Ins *i = ins_at(f, v);
    if (i->op == Op_const && i->ndata == 1) return;
    bool elsewhere =
        !output && (is_free(f, v) || is_alias(f, v) || (f->stored[v] && f->group[v] != c->g));
    if (elsewhere) {
        c->input[v] = true;
        return;
    }
    if (c->member[v]) return;
    c->member[v] = true;
    for (uint32_t k = 0; k < i->nargs; k++) collect(c, i->args[k], false);
}

static bool read_elsewhere(const Fuse *f, uint32_t g, Val root, const bool *const *members,
                           uint32_t n) {
    for (uint32_t i = 0; i < f->fn->results.len; i++) {
        if (f->fn->results.data[i] == root) return true;
    }
    (void)g;
    for (Val v = root + 1; v < f->fn->ins.len; v++) {
        if (!f->live[v]) continue;
        bool reads = false;
        for (uint32_t k = 0; k < ins_at(f, v)->nargs; k++) reads |= ins_at(f, v)->args[k] == root;
        for (uint32_t k = 0; reads && k < n; k++) {
            if (members[k] && members[k][v] && k != g) return true;
        }
        if (reads && is_alias(f, v)) return true;
    }
    return false;
}

static Kernel *make_kernel(Fuse *f, uint32_t g, const Collect *c, bool store_root) {
    Arena *a = f->p->cx->arena;
    const Group *x = &f->groups.data[g];
    Kernel *k = NEW(a, Kernel);
    *k = (Kernel){.id = f->fn->kernels.len, .kind = x->kind, .root = x->root, .space = x->space};
    for (Val v = 0; v < f->fn->ins.len; v++) {
        if (c->member[v]) vec_push(a, &k->members, v);
        if (c->input[v]) vec_push(a, &k->inputs, v);
        bool out = c->member[v] && f->stored[v] && f->group[v] == g && (v != x->root || store_root);
        if (out) vec_push(a, &k->outputs, v);
    }
    return k;
}

/* Groups in an order in which each comes after those it reads; of several, the earliest. */
static void emit_kernels(Fuse *f) {
    uint32_t n = f->groups.len, left = 0;
    Collect *all = NEW_ARRAY(f->a, Collect, n);
    const bool **members = NEW_ARRAY(f->a, const bool *, n);
    bool *done = NEW_ARRAY(f->a, bool, n);
    for (uint32_t g = 0; g < n; g++) {
        const Group *x = &f->groups.data[g];
        if (x->dead) continue;
        left++;
        all[g] = (Collect){f, g, NEW_ARRAY(f->a, bool, f->fn->ins.len),
                           NEW_ARRAY(f->a, bool, f->fn->ins.len)};
        if (x->root != NoVal) collect(&all[g], x->root, true);
        for (uint32_t i = 0; i < x->stored.len; i++) collect(&all[g], x->stored.data[i], true);
        members[g] = all[g].member;
    }
    while (left) {
        uint32_t next = NoGroup;
        for (uint32_t g = n; g-- > 0;) { /* groups were made from the last value to the first */
            const Group *x = &f->groups.data[g];
            bool ready = !x->dead && !done[g];
            for (uint32_t i = 0; ready && i < x->in.len; i++) ready = done[x->in.data[i]];
            if (ready) {
                next = g;
                break;
            }
        }
        if (next == NoGroup)
            BUG(f->p->cx, "kernels of '%s' depend on each other in a circle", f->fn->name);
        Val root = f->groups.data[next].root;
        bool store_root = root != NoVal && (!f->groups.data[next].stored.len ||
                                            read_elsewhere(f, next, root, members, n));
        Kernel *k = make_kernel(f, next, &all[next], store_root);
        vec_push(f->p->cx->arena, &f->fn->kernels, k);
        done[next] = true;
        left--;
    }
}

static void fuse_fn(Program *p, Fn *fn) {
    Fuse f = {.p = p, .fn = fn, .a = p->cx->scratch};
    copy_results(&f);
    uint32_t n = fn->ins.len;
    f.live = NEW_ARRAY(f.a, bool, n);
    f.stored = NEW_ARRAY(f.a, bool, n);
    f.group = NEW_ARRAY(f.a, uint32_t, n);
    f.cost = NEW_ARRAY(f.a, uint32_t, n);
    for (Val v = 0; v < n; v++) f.group[v] = NoGroup;
    find_live(&f);
    assign_groups(&f);
    fuse_merge(&f);
    fn->kernels.len = 0;
    emit_kernels(&f);
    fn->props |= PropFused;
}

void pass_fuse(Program *p) {
    for (uint32_t i = 0; i < p->fns.len; i++) fuse_fn(p, p->fns.data[i]);
}
