/* Groups into kernels: what each computes, reads and stores, in an order in which each comes after
 * those it reads. A kernel that overwrites a donated parameter comes after the other readers of the
 * parameter where dependencies allow it. */
#include "passes/fuse.h"

#include <stdlib.h>

typedef struct Collect {
    Fuse *f;
    uint32_t *member, *input; /* marks: number of the group + 1 */
    bool *needed;             /* stored values that another group or the caller reads */
    Kernel **kernels;         /* by group */
} Collect;

static int by_index(const void *x, const void *y) {
    Val a = *(const Val *)x, b = *(const Val *)y;
    return (a > b) - (a < b);
}

/* Whether group g finds v in memory. */
static bool is_read(const Fuse *f, uint32_t g, Val v) {
    Val base = memory_of(f->fn, v);
    if (fuse_is_free(f, base)) return true;
    return f->stored[base] && fuse_group_of(f, base) != g;
}

static void add_member(Collect *c, uint32_t g, Kernel *k, Val v) {
    if (c->member[v] == g + 1) return;
    c->member[v] = g + 1;
    vec_push(c->f->p->cx->arena, &k->members, v);
}

static void collect_operand(Collect *c, uint32_t g, Kernel *k, Val x) {
    const Fuse *f = c->f;
    const Ins *i = fuse_ins(f, x);
    if (i->op == Op_const && i->ndata == 1) return;
    if (!is_read(f, g, x)) {
        add_member(c, g, k, x);
    } else if (c->input[x] != g + 1) {
        c->input[x] = g + 1;
        c->needed[memory_of(f->fn, x)] = true;
        vec_push(f->p->cx->arena, &k->inputs, x);
    }
}

static Kernel *collect(Collect *c, uint32_t g) {
    const Group *x = &c->f->groups.data[g];
    Kernel *k = NEW(c->f->p->cx->arena, Kernel);
    *k = (Kernel){.kind = x->kind, .root = x->root, .space = x->space};
    for (uint32_t i = 0; i < x->stored.len; i++) add_member(c, g, k, x->stored.data[i]);
    for (uint32_t m = 0; m < k->members.len; m++) { /* grows on the way */
        const Ins *i = fuse_ins(c->f, k->members.data[m]);
        for (uint32_t n = 0; n < i->nargs; n++) collect_operand(c, g, k, i->args[n]);
    }
    qsort(k->members.data, k->members.len, sizeof(Val), by_index);
    if (k->inputs.len) qsort(k->inputs.data, k->inputs.len, sizeof(Val), by_index);
    return k;
}

/* ---- order ---- */

static void order_donations(Fuse *f) {
    const Fn *fn = f->fn;
    for (uint32_t r = 0; fn->donated && r < fn->results.len; r++) {
        int32_t to = fn->donated[r];
        if (to < 0 || fn->results.data[r] == (Val)to) continue;
        uint32_t g = fuse_group_of(f, fn->results.data[r]);
        const Readers *readers = &f->readers[to];
        for (uint32_t i = 0; i < readers->len; i++) {
            uint32_t k = fuse_find(f, readers->data[i].group);
            if (k != g) fuse_after(f, g, k);
        }
    }
}

static void emit(Collect *c, uint32_t g) {
    Fuse *f = c->f;
    Kernel *k = c->kernels[g];
    if (!k) return;
    c->kernels[g] = NULL;
    const Readers *in = &f->groups.data[g].in;
    for (uint32_t i = 0; i < in->len; i++) emit(c, fuse_find(f, in->data[i].group));
    for (uint32_t m = 0; m < k->members.len; m++) {
        Val v = k->members.data[m];
        bool own = f->stored[v] && fuse_group_of(f, v) == g;
        if (own && (c->needed[v] || k->kind == KernRegion))
            vec_push(f->p->cx->arena, &k->outputs, v);
    }
    k->id = f->fn->kernels.len;
    vec_push(f->p->cx->arena, &f->fn->kernels, k);
}

void fuse_make_kernels(Fuse *f) {
    uint32_t n = f->fn->ins.len;
    Collect c = {.f = f, .member = NEW_ARRAY(f->a, uint32_t, n),
                 .input = NEW_ARRAY(f->a, uint32_t, n), .needed = NEW_ARRAY(f->a, bool, n),
                 .kernels = NEW_ARRAY(f->a, Kernel *, f->groups.len)};
    for (uint32_t r = 0; r < f->fn->results.len; r++) c.needed[f->fn->results.data[r]] = true;
    for (uint32_t g = 0; g < f->groups.len; g++) {
        if (f->groups.data[g].into == g) c.kernels[g] = collect(&c, g);
    }
    order_donations(f);
    for (Val v = 0; v < n; v++) {
        if (f->stored[v]) emit(&c, fuse_group_of(f, v));
    }
}
