/* Groups become fewer: maps that belong together, maps as epilogues of what feeds them. */
#include "passes/fuse.h"

static void absorb(Fuse *f, uint32_t into, uint32_t g) {
    Group *x = &f->groups.data[into], *y = &f->groups.data[g];
    for (uint32_t i = 0; i < y->stored.len; i++) {
        vec_push(f->a, &x->stored, y->stored.data[i]);
        f->group[y->stored.data[i]] = into;
    }
    for (uint32_t i = 0; i < y->in.len; i++) fuse_depend(f, into, y->in.data[i]);
    y->dead = true;
    for (uint32_t k = 0; k < f->groups.len; k++) {
        Group *z = &f->groups.data[k];
        for (uint32_t i = 0; i < z->in.len; i++) {
            if (z->in.data[i] == g) z->in.data[i] = into;
        }
        uint32_t kept = 0;
        bool once = false;
        for (uint32_t i = 0; i < z->in.len; i++) {
            uint32_t from = z->in.data[i];
            if (from == k || (from == into && once)) continue;
            once |= from == into;
            z->in.data[kept++] = from;
        }
        z->in.len = kept;
    }
}

static bool share_input(const Fuse *f, uint32_t a, uint32_t b) {
    const Group *x = &f->groups.data[a], *y = &f->groups.data[b];
    for (uint32_t i = 0; i < x->in.len; i++) {
        if (x->in.data[i] == b) return true;
        for (uint32_t k = 0; k < y->in.len; k++) {
            if (x->in.data[i] == y->in.data[k] || y->in.data[k] == a) return true;
        }
    }
    return false;
}

/* Maps of one shape that share inputs, or scalar ones: no path between them through a third. */
static void merge_maps(Fuse *f) {
    for (uint32_t a = 0; a < f->groups.len; a++) {
        for (uint32_t b = a + 1; b < f->groups.len; b++) {
            const Group *x = &f->groups.data[a], *y = &f->groups.data[b];
            if (x->dead || y->dead || x->kind != KernMap || y->kind != KernMap ||
                x->space != y->space)
                continue;
            if (x->space->rank && !share_input(f, a, b)) continue;
            if (x->stored.len + y->stored.len > 48) continue;
            if (fuse_path(f, a, b, true) || fuse_path(f, b, a, true)) continue;
            absorb(f, a, b);
        }
    }
}

/* The only group that reads what g stores, or NoGroup. */
static uint32_t only_reader(const Fuse *f, uint32_t g) {
    uint32_t found = NoGroup;
    for (uint32_t k = 0; k < f->groups.len; k++) {
        const Group *x = &f->groups.data[k];
        for (uint32_t i = 0; !x->dead && i < x->in.len; i++) {
            if (x->in.data[i] != g) continue;
            if (found != NoGroup) return NoGroup;
            found = k;
        }
    }
    return found;
}

/* What the map reads at its own index only: its members see the root as a register. */
static bool reads_in_place(const Fuse *f, const Group *m, Val root) {
    Fn *fn = f->fn;
    bool *reach = NEW_ARRAY(f->p->cx->scratch, bool, fn->ins.len);
    for (uint32_t i = 0; i < m->stored.len; i++) reach[m->stored.data[i]] = true;
    for (Val v = fn->ins.len; v-- > root + 1;) {
        if (!reach[v] || is_free(f, v)) continue;
        bool inside = !f->stored[v] || f->group[v] == (uint32_t)(m - f->groups.data);
        const Ins *i = ins_at(f, v);
        for (uint32_t k = 0; inside && k < i->nargs; k++) {
            Val x = i->args[k];
            while (is_alias(f, x)) x = ins_at(f, x)->args[0];
            bool direct = x == root && i->args[k] == root && class_of(f, v) == ClsElem;
            if (x == root && !direct) return false;
            reach[i->args[k]] = true;
        }
    }
    return true;
}

static void merge_epilogues(Fuse *f) {
    for (uint32_t g = 0; g < f->groups.len; g++) {
        Group *r = &f->groups.data[g];
        if (r->dead || (r->kind != KernReduce && r->kind != KernContract)) continue;
        uint32_t m = only_reader(f, g);
        if (m == NoGroup) continue;
        const Group *x = &f->groups.data[m];
        if (x->kind != KernMap || x->space != r->space || fuse_path(f, m, g, true)) continue;
        if (!reads_in_place(f, x, r->root)) continue;
        absorb(f, g, m);
    }
}

void fuse_merge(Fuse *f) {
    merge_maps(f);
    merge_epilogues(f);
}
