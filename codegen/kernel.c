/* A kernel as a function of the table of pointers to what it reads and stores. Kernels that differ
 * in these pointers alone are one function, whichever function of the program they are part of. */
#include "codegen/internal.h"

#include <stdlib.h>

enum { /* of a kernel that is not called */
    ShortRange = 64,  /* elements */
    ShortKernel = 16, /* instructions of the IR */
};

/* ---- equal kernels ---- */

typedef struct Describe {
    const Fn *fn;
    const Kernel *k;
    uint32_t *number; /* of members and inputs, from 1 */
    uint32_t count;
    Text t;
} Describe;

static void add(Describe *d, const void *data, size_t n) { text_addn(&d->t, data, n); }

static void add_attr(Describe *d, const Attr *a) {
    add(d, &a->kind, sizeof a->kind);
    switch (a->kind) {
    case AttrNone: return;
    case AttrInt:
    case AttrBool: add(d, &a->i, sizeof a->i); return;
    case AttrFloat: add(d, &a->f, sizeof a->f); return;
    case AttrFn: add(d, &a->s, sizeof a->s); return;
    case AttrInts: add(d, a->is.v, a->is.n * sizeof *a->is.v); return;
    case AttrNames: add(d, a->names.v, a->names.n * sizeof *a->names.v); return;
    }
}

/* Operands that are neither members nor inputs are literals. */
static void add_ins(Describe *d, Val v, bool whole) {
    const Ins *i = &d->fn->ins.data[v];
    add(d, &i->type.dt, sizeof i->type.dt);
    add(d, &i->type.range, sizeof i->type.range);
    add(d, &i->type.shape, sizeof i->type.shape);
    if (!whole) return;
    add(d, &i->op, sizeof i->op);
    add(d, i->data, i->ndata * sizeof *i->data);
    for (int k = 0; k < op_info[i->op].nattrs; k++) add_attr(d, &i->attrs[k]);
    for (uint32_t k = 0; k < i->nargs; k++) {
        add(d, &d->number[i->args[k]], sizeof *d->number);
        if (!d->number[i->args[k]]) add_ins(d, i->args[k], true);
    }
}

static void add_values(Describe *d, const Val *v, uint32_t n, bool whole) {
    add(d, &n, sizeof n);
    for (uint32_t j = 0; j < n; j++) {
        if (!d->number[v[j]]) d->number[v[j]] = ++d->count;
        add(d, &d->number[v[j]], sizeof *d->number);
        add_ins(d, v[j], whole);
    }
}

/* Equal for kernels that are the same code. */
static Sym description(Cg *cg, const Fn *fn, const Kernel *k) {
    Describe d = {.fn = fn, .k = k,
                  .number = NEW_ARRAY(cg->cx->scratch, uint32_t, fn->ins.len)};
    add(&d, &k->kind, sizeof k->kind);
    add(&d, &k->space, sizeof k->space);
    add_values(&d, k->inputs.data, k->inputs.len, false);
    add_values(&d, k->members.data, k->members.len, true);
    add_values(&d, k->outputs.data, k->outputs.len, false);
    if (k->root != NoVal) add(&d, &d.number[k->root], sizeof *d.number);
    Sym s = sym_digest(cg->cx, d.t.data, d.t.len);
    free(d.t.data);
    return s;
}

/* ---- code ---- */

static KernelCtx context(Cg *cg, const Fn *fn, const Kernel *kernel, V chunk) {
    Arena *a = cg->cx->scratch;
    KernelCtx k = {.cg = cg,
                   .fn = fn,
                   .k = kernel,
                   .chunk = chunk,
                   .base = NEW_ARRAY(a, V, fn->ins.len),
                   .member = NEW_ARRAY(a, bool, fn->ins.len),
                   .chunks = 1};
    for (uint32_t i = 0; i < kernel->members.len; i++) k.member[kernel->members.data[i]] = true;
    return k;
}

static void emit_body(KernelCtx *k) {
    static void (*const emit[])(KernelCtx *) = {[KernMap] = cg_map,
                                                [KernReduce] = cg_reduce,
                                                [KernContract] = cg_contract,
                                                [KernMove] = cg_move};
    emit[k->k->kind](k);
}

static V emit_kernel(Cg *cg, const Fn *fn, const Kernel *kernel, uint32_t *chunks) {
    const char *name = arena_printf(cg->cx->scratch, "%s.k%u", fn->name, kernel->id);
    T params[] = {cg->ptr, cg->i64};
    V outer = cg->fn, f = cg->fn = cg_new_function(cg, name, params, 2, false);
    Bb resume = LLVMGetInsertBlock(cg->b);
    KernelCtx k = context(cg, fn, kernel, LLVMGetParam(f, 1));
    cg_at(cg, cg_block(cg, "entry"));
    V table = LLVMGetParam(f, 0);
    uint32_t n = kernel->inputs.len;
    for (uint32_t i = 0; i < n; i++) k.base[kernel->inputs.data[i]] = cg_get(cg, table, i);
    for (uint32_t i = 0; i < kernel->outputs.len; i++) {
        k.base[kernel->outputs.data[i]] = cg_get(cg, table, n + i);
    }
    Bb body = cg_block(cg, "start");
    LLVMBuildBr(cg->b, body);
    cg_at(cg, body);
    emit_body(&k);
    LLVMBuildRetVoid(cg->b);
    *chunks = k.chunks;
    cg->fn = outer;
    cg_at(cg, resume);
    return f;
}

bool kernel_is_short(const Fn *fn, const Kernel *k) {
    const Ins *root = k->root == NoVal ? NULL : &fn->ins.data[k->root];
    bool pick = root && (root->op == Op_gather || root->op == Op_scatter_add);
    const Shape *work = pick && root->op == Op_scatter_add
                            ? fn->ins.data[root->args[2]].type.shape : k->space;
    if (k->kind != KernMap && !pick) return false;
    return work->size <= ShortRange && k->members.len <= ShortKernel;
}

void cg_kernel_here(Cg *cg, const Fn *fn, const Kernel *kernel, V frame) {
    KernelCtx k = context(cg, fn, kernel, cg_i64(cg, 0));
    for (uint32_t i = 0; i < kernel->inputs.len; i++) {
        Val v = kernel->inputs.data[i];
        k.base[v] = cg_get(cg, frame, v);
    }
    for (uint32_t i = 0; i < kernel->outputs.len; i++) {
        Val v = kernel->outputs.data[i];
        k.base[v] = cg_get(cg, frame, v);
    }
    emit_body(&k);
}

V cg_kernel(Cg *cg, const Fn *fn, const Kernel *k, uint32_t *chunks) {
    Sym text = description(cg, fn, k);
    for (uint32_t n = 0; n < cg->kernels.len; n++) {
        const KernelCode *c = &cg->kernels.data[n];
        if (c->text != text || c->once != cg->once) continue;
        *chunks = c->chunks;
        return c->value;
    }
    KernelCode made = {.text = text, .once = cg->once};
    made.value = emit_kernel(cg, fn, k, &made.chunks);
    vec_push(cg->cx->arena, &cg->kernels, made);
    *chunks = made.chunks;
    return made.value;
}
