/* Kernels without numbers; see kernels.h. Each byte of memory carries the value and the element
 * that were last written to it. */
#include "tests/passes/kernels.h"

typedef struct Cell {
    Val v;
    int64_t e;
} Cell;

typedef struct Run {
    const Fn *fn;
    const Kernel *k;
    Arena *a;
    Cell **args, **results, *arena;
    Buf *place; /* where a value is */
    uint32_t **seen; /* by value and element: when it was last evaluated */
    uint32_t now;
    bool *member, *input;
    int64_t at;      /* the element that is being stored */
    bool root_known; /* it is in a register */
} Run;

static const Ins *ins_at(const Run *r, Val v) { return &r->fn->ins.data[v]; }
static const Shape *shape_at(const Run *r, Val v) { return ins_at(r, v)->type.shape; }
static int64_t size_at(const Run *r, Val v) { return shape_at(r, v) ? shape_at(r, v)->size : 0; }

static void unravel(const Shape *s, int64_t e, int64_t *at) {
    for (uint32_t d = s->rank; d-- > 0; e /= s->dim[d]) at[d] = e % s->dim[d];
}

static int64_t ravel(const Shape *s, const int64_t *at) {
    int64_t e = 0;
    for (uint32_t d = 0; d < s->rank; d++) e = e * s->dim[d] + at[d];
    return e;
}

/* ---- memory ---- */

/* NULL for a constant, which nothing overwrites. */
static Cell *cells_of(const Run *r, Val v) {
    Val base = v;
    while (ins_at(r, base)->op == Op_reshape && !r->place[base].bytes) {
        base = ins_at(r, base)->args[0];
    }
    const Buf *b = &r->place[base];
    switch (b->kind) {
    case BufNone: fail_msg("value %u has no place", v); return NULL;
    case BufArg: return r->args[b->index];
    case BufResult: return r->results[b->index];
    case BufArena: return r->arena + b->offset;
    case BufConst: return NULL;
    }
    return NULL;
}

static void write_element(Run *r, Val v, int64_t e) {
    size_t n = dtype_size(ins_at(r, v)->type.dt);
    Cell *c = cells_of(r, v) + (size_t)e * n;
    for (size_t i = 0; i < n; i++) c[i] = (Cell){v, e};
}

static void read_element(Run *r, Val v, int64_t e) {
    size_t n = dtype_size(ins_at(r, v)->type.dt);
    const Cell *c = cells_of(r, v);
    v = memory_of(r->fn, v);
    if (!c) {
        assert_int_equal(ins_at(r, v)->op, Op_const);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        Cell got = c[(size_t)e * n + i];
        if (got.v == v && got.e == e) continue;
        fail_msg("kernel %u: element %lld of value %u is overwritten by %lld of %u",
                 r->k ? r->k->id : 0, (long long)e, v, (long long)got.e, got.v);
    }
}

/* ---- evaluation ---- */

static void pull(Run *r, Val v, int64_t e);

static void pull_view(Run *r, const Ins *i, int64_t e) {
    const Shape *to = i->type.shape, *from = shape_at(r, i->args[0]);
    int64_t at[8], x[8] = {0};
    unravel(to, e, at);
    for (uint32_t d = 0; d < from->rank; d++) {
        uint32_t o = d + (i->op == Op_broadcast ? to->rank - from->rank : 0);
        if (i->op == Op_broadcast) x[d] = from->dim[d] == 1 ? 0 : at[o];
        if (i->op == Op_transpose) x[i->attrs[0].is.v[d]] = at[d];
        if (i->op == Op_slice) x[d] = i->attrs[0].is.v[d] + at[d] * i->attrs[2].is.v[d];
        if (i->op == Op_flip) x[d] = at[d];
        if (i->op != Op_pad) continue;
        int64_t from_lo = at[d] - i->attrs[0].is.v[d], step = i->attrs[2].is.v[d] + 1;
        x[d] = from_lo / step;
        bool inside = from_lo >= 0 && from_lo % step == 0 && x[d] < from->dim[d];
        if (!inside) { /* the padding */
            pull(r, i->args[1], 0);
            return;
        }
    }
    for (uint32_t n = 0; i->op == Op_flip && n < i->attrs[0].is.n; n++) {
        int64_t d = i->attrs[0].is.v[n];
        x[d] = from->dim[d] - 1 - x[d];
    }
    pull(r, i->args[0], i->op == Op_reshape ? e : ravel(from, x));
}

static void pull(Run *r, Val v, int64_t e) {
    const Ins *i = ins_at(r, v);
    if (i->op == Op_const && i->ndata == 1 && !r->member[v]) return;
    if (v == r->k->root && r->root_known) {
        if (e != r->at) fail_msg("kernel %u: the root at another index", r->k->id);
        return;
    }
    if (r->seen[v][e] == r->now) return;
    r->seen[v][e] = r->now;
    if (!r->member[v]) {
        if (!r->input[v]) fail_msg("kernel %u reads value %u unannounced", r->k->id, v);
        read_element(r, v, e);
        return;
    }
    OpClass c = op_info[i->op].cls;
    if (c == ClsView) {
        pull_view(r, i, e);
    } else if (c == ClsElem) {
        for (uint32_t k = 0; k < i->nargs; k++) pull(r, i->args[k], e);
    } else if (i->op == Op_rng) {
        pull(r, i->args[0], 0);
    } else if (i->op != Op_iota) {
        fail_msg("kernel %u: %s at an index", r->k->id, op_info[i->op].name);
    }
}

/* What the root reads for element `at` of its result. */
static void pull_operands(Run *r) {
    const Ins *i = ins_at(r, r->k->root);
    const Shape *s = i->type.shape, *from = shape_at(r, i->args[0]);
    int64_t out[8], x[8];
    unravel(s, r->at, out);
    if (r->k->kind == KernContract) {
        int64_t depth = from->dim[from->rank - 1], m = out[s->rank - 2], n = out[s->rank - 1];
        for (int64_t k = 0; k < depth; k++) {
            memcpy(x, out, sizeof x);
            x[s->rank - 2] = m;
            x[s->rank - 1] = k;
            pull(r, i->args[0], ravel(from, x));
            x[s->rank - 2] = k;
            x[s->rank - 1] = n;
            pull(r, i->args[1], ravel(shape_at(r, i->args[1]), x));
        }
        return;
    }
    for (int64_t e = 0; e < from->size; e++) {
        uint32_t o = 0, axis = 0;
        bool mine = true;
        unravel(from, e, x);
        for (uint32_t d = 0; d < from->rank; d++) {
            bool reduced = axis < i->attrs[0].is.n && i->attrs[0].is.v[axis] == d;
            if (reduced) axis++;
            else mine &= x[d] == out[o++];
        }
        if (mine) pull(r, i->args[0], e);
    }
}

/* From the first-th on; those of a concat may be members. */
static void read_operands(Run *r, uint32_t first) {
    const Ins *i = ins_at(r, r->k->root);
    r->now++;
    for (uint32_t k = first; k < i->nargs; k++) {
        const Ins *x = ins_at(r, i->args[k]);
        if (x->op == Op_const && x->ndata == 1) continue;
        assert_true(r->input[i->args[k]] || i->op == Op_concat);
        for (int64_t e = 0; e < size_at(r, i->args[k]); e++) pull(r, i->args[k], e);
    }
}

static void run_move(Run *r) {
    assert_true(r->k->members.len == 1 || ins_at(r, r->k->root)->op == Op_concat);
    r->root_known = false;
    read_operands(r, 0);
    for (int64_t e = 0; e < size_at(r, r->k->root); e++) write_element(r, r->k->root, e);
    read_operands(r, ins_at(r, r->k->root)->op == Op_scatter_add); /* adds to its first in place */
}

/* Its scratch memory is written while it still reads. */
static void run_region(Run *r) {
    const Kernel *k = r->k;
    read_operands(r, 0);
    for (uint64_t i = 0; i < k->scratch.bytes; i++) r->arena[k->scratch.offset + i].v = NoVal;
    read_operands(r, 0);
    for (uint32_t j = 0; j < k->outputs.len; j++) {
        Val v = k->outputs.data[j];
        for (int64_t e = 0; e < size_at(r, v); e++) write_element(r, v, e);
    }
}

static void run_kernel(Run *r, const Kernel *k, bool backwards) {
    uint32_t n = r->fn->ins.len;
    r->k = k;
    for (uint32_t j = 0; k->again && j < k->outputs.len; j++) {
        r->place[k->outputs.data[j]] = k->places[j];
    }
    r->member = NEW_ARRAY(r->a, bool, n);
    r->input = NEW_ARRAY(r->a, bool, n);
    for (uint32_t j = 0; j < k->members.len; j++) r->member[k->members.data[j]] = true;
    for (uint32_t j = 0; j < k->inputs.len; j++) r->input[k->inputs.data[j]] = true;
    if (k->kind == KernMove) {
        run_move(r);
        return;
    }
    if (k->kind == KernRegion) {
        run_region(r);
        return;
    }
    for (int64_t e = 0; e < k->space->size; e++) {
        r->at = backwards ? k->space->size - 1 - e : e;
        r->now++;
        r->root_known = false;
        if (k->root != NoVal) pull_operands(r);
        r->root_known = true;
        for (uint32_t j = 0; j < k->outputs.len; j++) {
            assert_true(shape_same_rows(shape_at(r, k->outputs.data[j]), k->space));
            pull(r, k->outputs.data[j], r->at);
        }
        for (uint32_t j = 0; j < k->outputs.len; j++) write_element(r, k->outputs.data[j], r->at);
    }
}

/* ---- functions ---- */

static Cell *memory(Run *r, Val v, bool filled) {
    size_t n = dtype_size(ins_at(r, v)->type.dt), size = (size_t)size_at(r, v);
    Cell *c = NEW_ARRAY(r->a, Cell, n * size);
    for (size_t i = 0; i < n * size; i++) {
        c[i] = filled ? (Cell){v, (int64_t)(i / n)} : (Cell){NoVal, 0};
    }
    return c;
}

static void check_results(Run *r) {
    const Fn *fn = r->fn;
    for (uint32_t k = 0; k < fn->results.len; k++) {
        Val v = fn->results.data[k];
        bool donated = fn->donated && fn->donated[k] >= 0;
        const Cell *want = donated ? r->args[fn->donated[k]] : r->results[k];
        assert_ptr_equal(cells_of(r, v), want);
        for (int64_t e = 0; e < size_at(r, v); e++) read_element(r, v, e);
    }
}

void check_memory(const Fn *fn) {
    for (int backwards = 0; backwards < 2; backwards++) {
        Run r = {.fn = fn, .a = arena_new()};
        r.place = NEW_ARRAY(r.a, Buf, fn->ins.len);
        for (Val v = 0; v < fn->ins.len; v++) {
            if (fn->ins.data[v].op != Op_reshape) r.place[v] = fn->plan->bufs[v];
        }
        r.args = NEW_ARRAY(r.a, Cell *, fn->nparams);
        r.results = NEW_ARRAY(r.a, Cell *, fn->results.len);
        r.arena = NEW_ARRAY(r.a, Cell, fn->plan->arena_bytes + 1);
        r.seen = NEW_ARRAY(r.a, uint32_t *, fn->ins.len);
        for (uint64_t i = 0; i < fn->plan->arena_bytes; i++) r.arena[i].v = NoVal;
        for (Val v = 0; v < fn->nparams; v++) r.args[v] = memory(&r, v, true);
        for (uint32_t k = 0; k < fn->results.len; k++) {
            r.results[k] = memory(&r, fn->results.data[k], false);
        }
        for (Val v = 0; v < fn->ins.len; v++) {
            r.seen[v] = NEW_ARRAY(r.a, uint32_t, (size_t)size_at(&r, v));
        }
        for (uint32_t k = 0; k < fn->kernels.len; k++) {
            run_kernel(&r, fn->kernels.data[k], backwards);
        }
        check_results(&r);
        arena_free(r.a);
    }
}

/* ---- lifetimes ---- */

static bool hands_over(const Fn *fn, const Kernel *k) {
    int op = k->root != NoVal ? (int)fn->ins.data[k->root].op : -1;
    return k->kind == KernMap || op == Op_scatter_add || op == Op_scan || op == Op_while;
}

void check_lifetimes(const Fn *fn) {
    enum { MaxValues = 4096 };
    static const uint32_t never = UINT32_MAX;
    assert_true(fn->ins.len <= MaxValues);
    uint32_t *made = calloc(2 * (size_t)MaxValues, sizeof *made), *last = made + MaxValues;
    for (Val v = 0; v < fn->ins.len; v++) made[v] = never;
    for (uint32_t k = 0; k < fn->kernels.len; k++) {
        const Kernel *kernel = fn->kernels.data[k];
        for (uint32_t j = 0; j < kernel->inputs.len; j++) {
            last[memory_of(fn, kernel->inputs.data[j])] = k;
        }
        for (uint32_t j = 0; j < kernel->outputs.len; j++) {
            made[kernel->outputs.data[j]] = last[kernel->outputs.data[j]] = k;
        }
    }
    for (Val x = 0; x < fn->ins.len; x++) {
        for (Val y = 0; y < fn->ins.len; y++) {
            const Buf *a = &fn->plan->bufs[x], *b = &fn->plan->bufs[y];
            bool both = x != y && made[x] != never && made[y] != never && made[x] <= made[y];
            if (!both || a->kind != BufArena || b->kind != BufArena) continue;
            bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
            bool handed = last[x] == made[y] && made[x] < made[y] && a->offset == b->offset &&
                          a->bytes == b->bytes && hands_over(fn, fn->kernels.data[made[y]]);
            if (!apart && last[x] >= made[y] && !handed) fail_msg("values %u and %u overlap", x, y);
        }
    }
    free(made);
}

const Fn *compiled(T *t) {
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1};
    assert_true(passes_run(t->p, &o));
    assert_true(t->p->fns.len > 0);
    return t->p->fns.data[t->p->fns.len - 1];
}
