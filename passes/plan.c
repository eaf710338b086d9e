/* A place in memory for every value that a kernel stores or reads: arguments and results where the
 * caller put them, everything else in one arena whose size is known now. Two values share bytes
 * only if one is dead before the other is written. A result that was donated a parameter's storage
 * takes it if nothing can read the parameter afterwards; else it is made aside and copied at the
 * end. Tests: tests/passes/plan_test.c */
#include "passes/passes.h"

typedef struct Life {
    Val v;
    uint32_t from, to; /* kernels that write it and read it last */
    uint64_t bytes;
} Life;

typedef struct Planner {
    Program *p;
    Fn *fn;
    Arena *a;
    Plan *plan;
    VEC(Life) lives;
} Planner;

static const Ins *ins_at(const Planner *s, Val v) {
    return &s->fn->ins.data[v];
}

static Val base_of(const Planner *s, Val v) {
    while (ins_at(s, v)->op == Op_reshape) v = ins_at(s, v)->args[0];
    return v;
}

static uint64_t bytes_of(const Planner *s, Val v) {
    size_t bytes;
    Type t = ins_at(s, v)->type;
    if (!size_mul((size_t)t.shape->size, dtype_size(t.dt), &bytes))
        BUG(s->p->cx, "a buffer's size overflows");
    return bytes;
}

/* ---- donated parameters ---- */

static uint32_t writer_of(const Planner *s, Val v) {
    for (uint32_t n = 0; n < s->fn->kernels.len; n++) {
        const Kernel *k = s->fn->kernels.data[n];
        for (uint32_t j = 0; j < k->outputs.len; j++) {
            if (k->outputs.data[j] == v) return n;
        }
    }
    return UINT32_MAX;
}

static bool reads(const Planner *s, const Kernel *k, Val param) {
    for (uint32_t j = 0; j < k->inputs.len; j++) {
        if (base_of(s, k->inputs.data[j]) == param) return true;
    }
    return false;
}

/* In kernel k, param is only read at the index that is written. */
static bool in_place(const Planner *s, const Kernel *k, Val param) {
    if (k->kind == KernMove) return false;
    for (uint32_t j = 0; j < k->members.len; j++) {
        const Ins *i = ins_at(s, k->members.data[j]);
        for (uint32_t n = 0; n < i->nargs; n++) {
            Val x = i->args[n];
            if (base_of(s, x) != param) continue;
            if (x != param || op_info[i->op].cls != ClsElem || i->type.shape != k->space)
                return false;
        }
        /* a view of something computed from param reads it elsewhere */
        if (op_info[i->op].cls != ClsView && op_info[i->op].cls != ClsReduce &&
            op_info[i->op].cls != ClsContract)
            continue;
        for (uint32_t n = 0; n < i->nargs; n++) {
            for (uint32_t m = 0; m < j; m++) {
                if (k->members.data[m] == i->args[n] &&
                    ins_at(s, i->args[n])->type.shape == k->space)
                    return false;
            }
        }
    }
    return true;
}

static bool may_overwrite(const Planner *s, Val param, uint32_t writer) {
    for (uint32_t n = writer + 1; n < s->fn->kernels.len; n++) {
        if (reads(s, s->fn->kernels.data[n], param)) return false;
    }
    return !reads(s, s->fn->kernels.data[writer], param) ||
           in_place(s, s->fn->kernels.data[writer], param);
}

/* The value is made in the arena; a last kernel copies it to where it belongs. */
static Val copy_at_end(Planner *s, Val v) {
    Arena *a = s->p->cx->arena;
    Val *arg = NEW(a, Val);
    *arg = v;
    Ins copy = {.op = Op_opt_barrier,
                .nargs = 1,
                .args = arg,
                .type = ins_at(s, v)->type,
                .loc = ins_at(s, v)->loc,
                .rule = ins_at(s, v)->rule};
    vec_push(a, &s->fn->ins, copy);
    Val out = s->fn->ins.len - 1;
    Kernel *k = NEW(a, Kernel);
    *k = (Kernel){
        .id = s->fn->kernels.len, .kind = KernMap, .root = NoVal, .space = copy.type.shape};
    vec_push(a, &k->members, out);
    vec_push(a, &k->inputs, v);
    vec_push(a, &k->outputs, out);
    vec_push(a, &s->fn->kernels, k);
    return out;
}

static void settle_donations(Planner *s) {
    Fn *fn = s->fn;
    uint32_t n = fn->results.len;
    bool *unsafe = NEW_ARRAY(s->a, bool, n);
    for (uint32_t r = 0; fn->donated && r < n; r++) {
        if (fn->donated[r] < 0) continue;
        uint32_t w = writer_of(s, fn->results.data[r]);
        unsafe[r] = w == UINT32_MAX || !may_overwrite(s, (Val)fn->donated[r], w);
    }
    for (uint32_t r = 0; r < n; r++) {
        if (unsafe[r]) fn->results.data[r] = copy_at_end(s, fn->results.data[r]);
    }
}

/* ---- the arena ---- */

static void find_lives(Planner *s) {
    Fn *fn = s->fn;
    uint32_t *last = NEW_ARRAY(s->a, uint32_t, fn->ins.len);
    for (uint32_t n = 0; n < fn->kernels.len; n++) {
        const Kernel *k = fn->kernels.data[n];
        for (uint32_t j = 0; j < k->inputs.len; j++) last[base_of(s, k->inputs.data[j])] = n;
    }
    for (uint32_t n = 0; n < fn->kernels.len; n++) {
        const Kernel *k = fn->kernels.data[n];
        for (uint32_t j = 0; j < k->outputs.len; j++) {
            Val v = k->outputs.data[j];
            if (s->plan->bufs[v].kind != BufNone) continue;
            Life l = {v, n, last[v] > n ? last[v] : n, bytes_of(s, v)};
            vec_push(s->a, &s->lives, l);
        }
    }
}

/* The lowest place that is free while l lives; lives are placed largest first. */
static uint64_t lowest_place(const Planner *s, const Life *l, const Life *placed, uint32_t n) {
    uint64_t at = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (uint32_t i = 0; i < n; i++) {
            const Life *o = &placed[i];
            const Buf *b = &s->plan->bufs[o->v];
            if (o->from > l->to || l->from > o->to) continue;
            if (at >= b->offset + b->bytes || b->offset >= at + l->bytes) continue;
            at = (b->offset + b->bytes + 63) & ~(uint64_t)63;
            moved = true;
        }
    }
    return at;
}

static void place(Planner *s) {
    uint32_t n = s->lives.len;
    Life *order = NEW_ARRAY(s->a, Life, n);
    for (uint32_t i = 0; i < n; i++) { /* by falling size, then by time */
        uint32_t k = i;
        for (; k && order[k - 1].bytes < s->lives.data[i].bytes; k--) order[k] = order[k - 1];
        order[k] = s->lives.data[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        Life *l = &order[i];
        uint64_t at = lowest_place(s, l, order, i);
        s->plan->bufs[l->v] = (Buf){.kind = BufArena, .offset = at, .bytes = l->bytes};
        size_t end;
        if (!size_add((size_t)at, (size_t)l->bytes, &end) || end > (size_t)1 << 60)
            BUG(s->p->cx, "the arena is too large");
        if (end > s->plan->arena_bytes) s->plan->arena_bytes = (end + 63) & ~(uint64_t)63;
    }
}

/* ---- the rest ---- */

static void place_arguments(Planner *s) {
    Fn *fn = s->fn;
    for (Val v = 0; v < fn->ins.len; v++) {
        Buf b = {.index = v, .bytes = bytes_of(s, v)};
        if (v < fn->nparams)
            b.kind = BufArg;
        else if (ins_at(s, v)->op == Op_const && ins_at(s, v)->ndata > 1)
            b.kind = BufConst;
        else
            continue;
        s->plan->bufs[v] = b;
    }
    for (uint32_t r = 0; r < fn->results.len; r++) {
        Val v = fn->results.data[r];
        bool donated = fn->donated && fn->donated[r] >= 0;
        s->plan->bufs[v] = (Buf){.kind = donated ? BufArg : BufResult,
                                 .index = donated ? (uint32_t)fn->donated[r] : r,
                                 .bytes = bytes_of(s, v)};
    }
}

static void place_aliases(Planner *s) {
    for (Val v = 0; v < s->fn->ins.len; v++) {
        if (ins_at(s, v)->op == Op_reshape) s->plan->bufs[v] = s->plan->bufs[base_of(s, v)];
    }
}

/* Values of the forward part that an adjoint reads are saved; the rest is scratch. */
static void count_bytes(Planner *s) {
    Fn *fn = s->fn;
    static const char *const inputs[] = {"data.", "hyper.", "train."};
    for (Val v = 0; v < fn->nparams; v++) {
        Sym name = ins_at(s, v)->name;
        bool state = strchr(name, '.') != NULL;
        for (size_t i = 0; i < LEN(inputs); i++)
            state &= strncmp(name, inputs[i], strlen(inputs[i])) != 0;
        if (!state) continue;
        if (!strncmp(name, "opt.", 4))
            s->plan->opt_bytes += bytes_of(s, v);
        else
            s->plan->param_bytes += bytes_of(s, v);
    }
    bool *saved = NEW_ARRAY(s->a, bool, fn->ins.len);
    for (uint32_t n = 0; n < fn->kernels.len; n++) {
        const Kernel *k = fn->kernels.data[n];
        bool adjoint = false;
        for (uint32_t j = 0; j < k->members.len; j++)
            adjoint |= ins_at(s, k->members.data[j])->rule != NULL;
        for (uint32_t j = 0; adjoint && j < k->inputs.len; j++)
            saved[base_of(s, k->inputs.data[j])] = true;
    }
    uint64_t kept = 0;
    for (Val v = 0; v < fn->ins.len; v++) {
        const Buf *b = &s->plan->bufs[v];
        if (b->kind == BufConst) s->plan->const_bytes += b->bytes;
        if (b->kind == BufArena && ins_at(s, v)->op != Op_reshape && saved[v] &&
            !ins_at(s, v)->rule)
            kept += b->bytes;
    }
    s->plan->saved_bytes = kept < s->plan->arena_bytes ? kept : s->plan->arena_bytes;
    s->plan->scratch_bytes = s->plan->arena_bytes - s->plan->saved_bytes;
}

static void plan_fn(Program *p, Fn *fn) {
    Planner s = {.p = p, .fn = fn, .a = p->cx->scratch, .plan = NEW(p->cx->arena, Plan)};
    settle_donations(&s);
    s.plan->bufs = NEW_ARRAY(p->cx->arena, Buf, fn->ins.len);
    fn->plan = s.plan;
    place_arguments(&s);
    find_lives(&s);
    place(&s);
    place_aliases(&s);
    count_bytes(&s);
    fn->props |= PropPlanned;
}

void pass_plan(Program *p) {
    for (uint32_t i = 0; i < p->fns.len; i++) plan_fn(p, p->fns.data[i]);
}
