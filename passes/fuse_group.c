/* Stored values into groups, from the last value to the first: the groups that read a value are
 * known when it is met. A value joins a group that reads it at the group's own index and shape; the
 * root of a reduction or contraction joins so too, and the group becomes its epilogue. Groups that
 * read the same values are merged. `reach` keeps the transitive closure of "depends on", by which
 * no step closes a circle. */
#include "passes/fuse.h"

uint32_t fuse_find(const Fuse *f, uint32_t g) {
    while (f->groups.data[g].into != g) g = f->groups.data[g].into;
    return g;
}

uint32_t fuse_group_of(const Fuse *f, Val v) { return fuse_find(f, f->group[v]); }

/* ---- dependencies ---- */

static bool has_bit(const uint64_t *bits, uint32_t i) { return bits[i / 64] >> (i % 64) & 1; }
static void set_bit(uint64_t *bits, uint32_t i) { bits[i / 64] |= UINT64_C(1) << (i % 64); }
static void clear_bit(uint64_t *bits, uint32_t i) { bits[i / 64] &= ~(UINT64_C(1) << (i % 64)); }

static bool depends(const Fuse *f, uint32_t g, uint32_t on) {
    return has_bit(f->groups.data[g].reach, on);
}

/* Group `to` depends on all that `from` does. */
static void add_reach(Fuse *f, uint32_t to, uint32_t from) {
    uint64_t *x = f->groups.data[to].reach;
    const uint64_t *y = f->groups.data[from].reach;
    for (uint32_t w = 0; w <= f->max_groups / 64; w++) x[w] |= y[w];
}

static void add_reader(Fuse *f, Readers *r, uint32_t g, bool direct) {
    for (uint32_t i = 0; i < r->len; i++) {
        if (r->data[i].group != g) continue;
        r->data[i].direct &= direct;
        return;
    }
    vec_push(f->a, r, (Reader){g, direct});
}

static void depend(Fuse *f, uint32_t g, uint32_t on, bool direct) {
    if (g == on) return;
    add_reader(f, &f->groups.data[g].in, on, direct);
    if (depends(f, g, on)) return;
    for (uint32_t h = 0; h < f->groups.len; h++) {
        if (h != g && !depends(f, h, g)) continue;
        if (f->groups.data[on].in.len) add_reach(f, h, on);
        set_bit(f->groups.data[h].reach, on);
    }
}

bool fuse_after(Fuse *f, uint32_t g, uint32_t on) {
    if (depends(f, on, g)) return false;
    depend(f, g, on, false);
    return true;
}

typedef enum Edge { EdgeNone, EdgeDirect, EdgeMoved } Edge;

/* How group g reads group `from`. */
static Edge edge(const Fuse *f, uint32_t g, uint32_t from) {
    const Readers *in = &f->groups.data[g].in;
    Edge e = EdgeNone;
    for (uint32_t i = 0; i < in->len; i++) {
        if (fuse_find(f, in->data[i].group) != from) continue;
        if (!in->data[i].direct) return EdgeMoved;
        e = EdgeDirect;
    }
    return e;
}

/* Whether g depends on `on` through a third group. */
static bool depends_around(const Fuse *f, uint32_t g, uint32_t on) {
    const Readers *in = &f->groups.data[g].in;
    for (uint32_t i = 0; i < in->len; i++) {
        uint32_t d = fuse_find(f, in->data[i].group);
        if (d != g && d != on && depends(f, d, on)) return true;
    }
    return false;
}

/* ---- merging ---- */

static bool is_closed(const Group *g) { return g->kind == KernMove || g->kind == KernRegion; }

/* Whether root is a contraction with one column, whose epilogue is evaluated row by row, and what y
 * stores would be long code in it. */
static bool is_dear_epilogue(const Fuse *f, Val root, const Group *y) {
    if (root == NoVal || fuse_class(f, root) != ClsContract) return false;
    const Shape *s = fuse_ins(f, root)->type.shape;
    if (s->dim[s->rank - 1] != 1 || s->size == 1) return false;
    for (uint32_t i = 0; i < y->stored.len; i++) {
        if (fuse_cost(f, y->stored.data[i]) > CheapCost + 1) return true;
    }
    return false;
}

/* One with a root takes in only what follows the root; of scalars also what its epilogue reads. */
static bool may_merge(const Fuse *f, uint32_t a, uint32_t b) {
    const Group *x = &f->groups.data[a], *y = &f->groups.data[b];
    if (a == b || is_closed(x) || is_closed(y)) return false;
    if (!shape_same_rows(x->space, y->space)) return false;
    if (x->stored.len + y->stored.len > MaxStored) return false;
    if (x->root != NoVal && y->root != NoVal) return false;
    if (is_dear_epilogue(f, x->root, y) || is_dear_epilogue(f, y->root, x)) return false;
    Edge ab = edge(f, a, b), ba = edge(f, b, a);
    if (ab == EdgeMoved || ba == EdgeMoved) return false;
    bool scalar = x->space->rank == 0;
    if (x->root != NoVal && !(ba || (scalar && ab))) return false;
    if (y->root != NoVal && !(ab || (scalar && ba))) return false;
    return !depends_around(f, a, b) && !depends_around(f, b, a);
}

static void merge(Fuse *f, uint32_t a, uint32_t b) {
    Group *x = &f->groups.data[a], *y = &f->groups.data[b];
    if (y->root != NoVal) {
        x->root = y->root;
        x->kind = y->kind;
        x->space = y->space;
    }
    y->into = a;
    for (uint32_t i = 0; i < y->stored.len; i++) vec_push(f->a, &x->stored, y->stored.data[i]);
    Readers all = x->in;
    memset(&x->in, 0, sizeof x->in);
    for (uint32_t i = 0; i < y->in.len; i++) vec_push(f->a, &all, y->in.data[i]);
    for (uint32_t i = 0; i < all.len; i++) {
        uint32_t g = fuse_find(f, all.data[i].group);
        if (g != a) add_reader(f, &x->in, g, all.data[i].direct);
    }
    add_reach(f, a, b);
    clear_bit(x->reach, a);
    clear_bit(x->reach, b);
    for (uint32_t h = 0; h < f->groups.len; h++) {
        if (!depends(f, h, a) && !depends(f, h, b)) continue;
        add_reach(f, h, a);
        set_bit(f->groups.data[h].reach, a);
    }
}

static bool try_merge(Fuse *f, uint32_t a, uint32_t b) {
    if (!may_merge(f, a, b)) return false;
    merge(f, a, b);
    return true;
}

/* Each group once, under its present number. */
static Readers *settle(Fuse *f, Val v) {
    Readers old = f->readers[v], *r = &f->readers[v];
    memset(r, 0, sizeof *r);
    for (uint32_t i = 0; i < old.len; i++) {
        add_reader(f, r, fuse_find(f, old.data[i].group), old.data[i].direct);
    }
    return r;
}

/* Readers of v whose outputs have its shape become one where they can. */
static Readers *merge_readers(Fuse *f, Val v) {
    const Shape *s = fuse_ins(f, v)->type.shape;
    Readers *r = settle(f, v);
    for (uint32_t i = 0; i < r->len; i++) {
        for (uint32_t k = i + 1; k < r->len; k++) {
            uint32_t a = fuse_find(f, r->data[i].group), b = fuse_find(f, r->data[k].group);
            if (shape_same_rows(f->groups.data[a].space, s)) try_merge(f, a, b);
        }
    }
    return settle(f, v);
}

/* ---- grouping ---- */

static KernelKind kind_of(OpClass c) {
    static const KernelKind kinds[] = {
        [ClsReduce] = KernReduce, [ClsContract] = KernContract, [ClsMove] = KernMove,
        [ClsRegion] = KernRegion};
    return c < LEN(kinds) ? kinds[c] : KernMap;
}

static uint32_t group_new(Fuse *f, Val v) {
    uint32_t g = f->groups.len;
    Group x = {.kind = kind_of(fuse_class(f, v)), .root = fuse_is_root(f, v) ? v : NoVal,
               .space = fuse_ins(f, v)->type.shape, .into = g,
               .reach = NEW_ARRAY(f->a, uint64_t, f->max_groups / 64 + 1)};
    vec_push(f->a, &f->groups, x);
    return g;
}

/* Whether v can be one more value that g, a reader of it, stores. No value that v depends on is in
 * a group yet, so that only v's other readers can close a circle. Drawing is long code: it stays
 * out of epilogues, which repeat theirs for every row of a tile. */
static bool may_join(const Fuse *f, Val v, const Readers *r, const Reader *g) {
    const Group *x = &f->groups.data[g->group];
    if (!g->direct || f->drawn[v]) return false;
    if (!shape_same_rows(x->space, fuse_ins(f, v)->type.shape)) return false;
    if (x->stored.len >= MaxStored || fuse_class(f, v) == ClsMove) return false;
    if (is_closed(x) || fuse_class(f, v) == ClsRegion) return false;
    bool scalar = x->kind == KernReduce && x->space->rank == 0;
    if (x->root != NoVal && (!scalar || fuse_is_root(f, v))) return false;
    if (fuse_is_root(f, v) && is_dear_epilogue(f, v, x)) return false;
    for (uint32_t i = 0; i < r->len; i++) {
        if (r->data[i].group != g->group && depends(f, g->group, r->data[i].group)) return false;
    }
    return true;
}

/* The results of a region are one group, whose root is the region. */
static uint32_t region_group(Fuse *f, Val v) {
    Val root = fuse_ins(f, v)->args[0];
    if (f->group[root] == NoGroup) {
        uint32_t g = f->group[root] = group_new(f, root);
        f->groups.data[g].space = shape_scalar(f->p->cx);
    }
    vec_push(f->a, &f->groups.data[f->group[root]].stored, v);
    return f->group[root];
}

static uint32_t place(Fuse *f, Val v, const Readers *r) {
    uint32_t g = NoGroup;
    if (fuse_ins(f, v)->op == Op_get) {
        g = f->group[v] = region_group(f, v);
        for (uint32_t i = 0; i < r->len; i++) depend(f, r->data[i].group, g, r->data[i].direct);
        return g;
    }
    for (uint32_t i = 0; i < r->len && g == NoGroup; i++) {
        if (may_join(f, v, r, &r->data[i])) g = r->data[i].group;
    }
    if (g == NoGroup) g = group_new(f, v);
    Group *x = &f->groups.data[g];
    vec_push(f->a, &x->stored, v);
    if (fuse_is_root(f, v)) {
        x->root = v;
        x->kind = kind_of(fuse_class(f, v));
        x->space = fuse_ins(f, v)->type.shape;
    }
    f->group[v] = g;
    for (uint32_t i = 0; i < r->len; i++) depend(f, r->data[i].group, g, r->data[i].direct);
    return g;
}

static bool too_dear(const Fuse *f, Val v, const Readers *r) {
    if (r->len < 2 || fuse_ins(f, v)->op == Op_reshape) return false;
    return f->cost[v] > CheapCost || (f->cost[v] && r->len > CheapReaders);
}

/* All readers of v are in groups. */
static void group_value(Fuse *f, Val v) {
    Readers *r = settle(f, v);
    if (f->stored[v] || too_dear(f, v, r)) r = merge_readers(f, v);
    if (too_dear(f, v, r)) f->stored[v] = true;
    Readers by = *r;
    if (fuse_ins(f, v)->op == Op_get) {
        place(f, v, r);
        return;
    }
    if (!fuse_ins(f, v)->type.shape) {
        vec_push(f->a, &by, (Reader){f->group[v], false});
    } else if (f->stored[v]) {
        Readers own = {0};
        vec_push(f->a, &own, (Reader){place(f, v, r), !fuse_is_root(f, v)});
        by = own;
    }
    const Ins *i = fuse_ins(f, v);
    bool same_place = fuse_class(f, v) == ClsElem || fuse_keeps_rows(f, v);
    for (uint32_t k = 0; k < i->nargs; k++) {
        Val x = i->args[k];
        if (fuse_ins(f, x)->op == Op_const && fuse_ins(f, x)->ndata == 1) continue;
        for (uint32_t n = 0; n < by.len; n++) {
            bool direct = by.data[n].direct && same_place;
            add_reader(f, &f->readers[x], by.data[n].group, direct);
        }
    }
}

/* ---- all of them ---- */

/* Scalars: as few kernels as their dependencies allow; first maps with maps, then with roots. */
static void merge_scalars(Fuse *f) {
    for (int roots = 0; roots < 2; roots++) {
        for (uint32_t a = f->groups.len; a-- > 0;) {
            for (uint32_t b = a; b-- > 0;) {
                const Group *x = &f->groups.data[a], *y = &f->groups.data[b];
                if (x->into != a || x->space->rank) break;
                if (y->into != b || y->space->rank) continue;
                bool rooted = x->root != NoVal || y->root != NoVal;
                if (rooted == (roots == 1)) try_merge(f, a, b);
            }
        }
    }
}

/* Groups that read the same value of their shape, and a value's group with its readers. */
static void merge_related(Fuse *f) {
    for (Val v = f->fn->ins.len; v-- > 0;) {
        bool memory = f->stored[v] || fuse_is_free(f, v);
        if (!f->live[v] || !memory || !fuse_ins(f, v)->type.shape->rank) continue;
        const Readers *r = merge_readers(f, v);
        for (uint32_t i = 0; f->stored[v] && i < r->len; i++) {
            try_merge(f, fuse_group_of(f, v), fuse_find(f, r->data[i].group));
        }
    }
}

void fuse_make_groups(Fuse *f) {
    uint32_t n = f->fn->ins.len;
    f->group = NEW_ARRAY(f->a, uint32_t, n);
    f->readers = NEW_ARRAY(f->a, Readers, n);
    for (Val v = 0; v < n; v++) {
        f->group[v] = NoGroup;
        f->max_groups += f->live[v] && !fuse_is_free(f, v);
    }
    for (Val v = n; v-- > 0;) {
        if (f->live[v] && !fuse_is_free(f, v)) group_value(f, v);
    }
    merge_scalars(f);
    merge_related(f);
}
