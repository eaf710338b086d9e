/* Kernels: what one computes is a member, what it reads was stored before it, every result of the
 * function is stored. Plans: what is stored has room, and no two buffers of the arena that are in
 * use at the same time overlap. */
#include "ir/verify.h"

/* Values that need no kernel. */
static bool is_free(const Fn *fn, Val v) {
    return fn->ins.data[v].op == Op_param || fn->ins.data[v].op == Op_const;
}

static bool root_fits(const Fn *fn, const Kernel *k) {
    static const OpClass roots[] = {
        [KernReduce] = ClsReduce, [KernContract] = ClsContract, [KernMove] = ClsMove,
        [KernRegion] = ClsRegion};
    if (k->kind == KernMap) return k->root == NoVal;
    if (k->kind == KernRegion && fn->ins.data[k->root].op == Op_call) return true;
    return k->root < fn->ins.len && op_info[fn->ins.data[k->root].op].cls == roots[k->kind];
}

/* inside marks the members of kernel `id` with id + 1. */
static void verify_members(const Program *p, const Fn *fn, const Kernel *k, uint32_t *inside,
                           const bool *stored) {
    uint32_t mark = k->id + 1, *reads = NEW_ARRAY(p->cx->scratch, uint32_t, fn->ins.len);
    for (uint32_t j = 0; j < k->inputs.len; j++) {
        Val v = k->inputs.data[j];
        VERIFY(p, fn, v, v < fn->ins.len, "kernel %u reads it", k->id);
        Val base = memory_of(fn, v);
        VERIFY(p, fn, v, stored[base] || is_free(fn, base),
               "kernel %u reads it before it is stored", k->id);
        reads[v] = 1;
    }
    for (uint32_t j = 0; j < k->members.len; j++) {
        Val v = k->members.data[j];
        VERIFY(p, fn, v, v < fn->ins.len && inside[v] != mark, "kernel %u has it twice", k->id);
        const Ins *i = &fn->ins.data[v];
        for (uint32_t n = 0; n < i->nargs && i->op != Op_get; n++) {
            Val x = i->args[n];
            VERIFY(p, fn, v, inside[x] == mark || reads[x] || fn->ins.data[x].op == Op_const,
                   "kernel %u lacks operand %u", k->id, n + 1);
        }
        inside[v] = mark;
    }
}

/* A result that has its place in the arena has it anew each time. */
static bool stores_all(const Fn *fn, const Kernel *k) {
    uint32_t arena = 0;
    for (Val g = k->root + 1; k->again && fn->plan && g < fn->ins.len; g++) {
        if (fn->ins.data[g].op != Op_get || fn->ins.data[g].args[0] != k->root) break;
        arena += fn->plan->bufs[g].kind == BufArena && fn->plan->bufs[g].bytes;
    }
    return arena <= k->outputs.len;
}

void verify_kernels(const Program *p, const Fn *fn) {
    Arena *a = p->cx->scratch;
    bool *stored = NEW_ARRAY(a, bool, fn->ins.len);
    uint32_t *inside = NEW_ARRAY(a, uint32_t, fn->ins.len);
    for (uint32_t n = 0; n < fn->kernels.len; n++) {
        const Kernel *k = fn->kernels.data[n];
        VERIFY(p, fn, NoVal, k->id == n, "kernel %u stands at place %u", k->id, n);
        VERIFY(p, fn, k->root, root_fits(fn, k), "kernel %u has a root of another kind", n);
        verify_members(p, fn, k, inside, stored);
        VERIFY(p, fn, k->root, k->root == NoVal || inside[k->root] == n + 1,
               "kernel %u does not compute its root", n);
        VERIFY(p, fn, NoVal, k->outputs.len, "kernel %u stores nothing", n);
        VERIFY(p, fn, k->root, k->kind != KernRegion || stores_all(fn, k),
               "kernel %u has nowhere to store a result", n);
        for (uint32_t j = 0; j < k->outputs.len; j++) {
            Val v = k->outputs.data[j];
            VERIFY(p, fn, v, v < fn->ins.len && inside[v] == n + 1,
                   "kernel %u stores what it does not compute", n);
            VERIFY(p, fn, v, stored[v] == k->again, "kernel %u stores it again", n);
            stored[v] = true;
        }
    }
    for (uint32_t r = 0; r < fn->results.len; r++) {
        Val v = fn->results.data[r];
        VERIFY(p, fn, v, stored[v] || is_free(fn, v), "result %u is not stored", r + 1);
    }
}

/* ---- plans ---- */
typedef struct Life {
    Val v;
    Buf buf;
    uint32_t from, to; /* kernels that write it and read it last */
} Life;

static void verify_buf(const Program *p, const Fn *fn, Val v) {
    const Buf *b = &fn->plan->bufs[v];
    const Ins *i = &fn->ins.data[v];
    Type t = i->type;
    if (!t.shape->size || (i->op == Op_const && i->ndata == 1)) return;
    VERIFY(p, fn, v, b->kind != BufNone, "has no buffer");
    VERIFY(p, fn, v, b->bytes >= (uint64_t)t.shape->size * dtype_size(t.dt),
           "buffer of %llu bytes is too small", (unsigned long long)b->bytes);
    if (b->kind == BufArg) {
        VERIFY(p, fn, v, b->index < fn->nparams, "buffer of parameter %u", b->index);
    } else if (b->kind == BufResult) {
        VERIFY(p, fn, v, b->index < fn->results.len, "buffer of result %u", b->index);
    } else if (b->kind == BufArena) {
        VERIFY(p, fn, v, b->offset % 64 == 0, "buffer is not aligned");
        VERIFY(p, fn, v,
               b->offset <= fn->plan->arena_bytes && b->bytes <= fn->plan->arena_bytes - b->offset,
               "buffer ends beyond the arena");
    }
}

/* A value may take the place of one that its own kernel reads last. */
static void verify_no_overlap(const Program *p, const Fn *fn, const Life *x, const Life *y) {
    const Buf *a = &x->buf, *b = &y->buf;
    bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
    bool at_once = x->from < y->to && y->from < x->to;
    bool both_written = x->from == y->from;
    VERIFY(p, fn, x->v, apart || !(at_once || both_written), "shares its buffer with value %u",
           y->v);
}

void verify_plan(const Program *p, const Fn *fn) {
    VERIFY(p, fn, NoVal, fn->plan && (fn->props & PropFused), "has no plan of its kernels");
    Arena *a = p->cx->scratch;
    uint32_t *last = NEW_ARRAY(a, uint32_t, fn->ins.len), nkernels = fn->kernels.len;
    VEC(Life) lives = {0};
    for (uint32_t r = 0; r < fn->results.len; r++) last[fn->results.data[r]] = nkernels;
    for (uint32_t n = nkernels; n-- > 0;) { /* what is stored again is read from there on */
        const Kernel *k = fn->kernels.data[n];
        for (uint32_t j = 0; j < k->outputs.len; j++) {
            Val v = k->outputs.data[j];
            verify_buf(p, fn, v);
            Buf at = k->again ? k->places[j] : fn->plan->bufs[v];
            Life l = {v, at, n, last[v] > n ? last[v] : n};
            last[v] = 0;
            if (l.buf.kind == BufArena && l.buf.bytes) vec_push(a, &lives, l);
        }
        for (uint32_t j = 0; j < k->inputs.len; j++) {
            uint32_t *at = &last[memory_of(fn, k->inputs.data[j])];
            verify_buf(p, fn, k->inputs.data[j]);
            if (*at < n) *at = n;
        }
    }
    for (uint32_t x = 0; x < lives.len; x++) {
        for (uint32_t y = 0; y < x; y++) {
            verify_no_overlap(p, fn, &lives.data[y], &lives.data[x]); /* the later one first */
        }
    }
}
