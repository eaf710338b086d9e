/* A place in memory for every value that a kernel stores or reads: arguments and results where the
 * caller put them, constants in the program, everything else in one arena whose size is known now.
 *
 * Kernels are walked in order: what a kernel stores takes the smallest free stretch that holds it,
 * what it reads last is free afterwards. A map may store over a value that dies in it and that it
 * reads at the index of the element it writes and nowhere else. A reshape is the memory of its
 * operand. A result that was donated a parameter's storage takes it if the parameter is read by
 * earlier kernels only, or by its own at the index that is written; else it is made in the arena
 * and a last kernel copies it. Tests: tests/passes/plan_test.c */
#include "passes/passes.h"

enum { Align = 64 };

typedef struct Hole { /* a free stretch of the arena */
    uint64_t offset, bytes;
} Hole;

typedef struct Planner {
    Program *p;
    Fn *fn;
    Arena *a;
    Plan *plan;
    uint32_t *made, *last; /* kernels that store a value and read it last; NoVal: none */
    uint32_t *moved;       /* k + 1: kernel k reads it at another index than the one it writes */
    uint32_t *taken;       /* k + 1: its place went to a value that kernel k stores, or is free */
    VEC(Hole) holes;       /* by offset, never side by side */
    uint64_t end;
} Planner;

static const Ins *ins_at(const Planner *s, Val v) { return &s->fn->ins.data[v]; }

static Val base_of(const Planner *s, Val v) {
    while (ins_at(s, v)->op == Op_reshape) v = ins_at(s, v)->args[0];
    return v;
}

static uint64_t bytes_of(const Planner *s, Val v) {
    size_t bytes;
    Type t = ins_at(s, v)->type;
    if (!size_mul((size_t)t.shape->size, dtype_size(t.dt), &bytes)) {
        bug_at(s->p->cx, ins_at(s, v)->loc, "the size of a buffer overflows");
    }
    return bytes;
}

/* ---- who reads what ---- */

static bool keeps_rows(const Planner *s, Val v) {
    const Ins *i = ins_at(s, v);
    return i->op == Op_reshape && shape_same_rows(i->type.shape, ins_at(s, i->args[0])->type.shape);
}

/* Operands of anything but an elementwise member at the written index are read elsewhere. */
static void find_moved(Planner *s, const Kernel *k) {
    uint32_t mark = k->id + 1;
    for (uint32_t m = k->members.len; m-- > 0;) {
        Val v = k->members.data[m];
        const Ins *i = ins_at(s, v);
        bool same_place = op_info[i->op].cls == ClsElem || keeps_rows(s, v);
        bool direct = same_place && s->moved[v] != mark;
        for (uint32_t n = 0; n < i->nargs && !direct; n++) s->moved[i->args[n]] = mark;
    }
    for (uint32_t j = 0; j < k->inputs.len; j++) {
        Val v = k->inputs.data[j];
        if (base_of(s, v) != v) s->moved[base_of(s, v)] = mark;
    }
}

static void find_reads(Planner *s) {
    const Fn *fn = s->fn;
    uint32_t n = fn->ins.len;
    s->made = NEW_ARRAY(s->a, uint32_t, n);
    s->last = NEW_ARRAY(s->a, uint32_t, n);
    s->moved = NEW_ARRAY(s->a, uint32_t, n);
    s->taken = NEW_ARRAY(s->a, uint32_t, n);
    for (Val v = 0; v < n; v++) s->made[v] = s->last[v] = NoVal;
    for (uint32_t id = 0; id < fn->kernels.len; id++) {
        const Kernel *k = fn->kernels.data[id];
        for (uint32_t j = 0; j < k->inputs.len; j++) s->last[base_of(s, k->inputs.data[j])] = id;
        for (uint32_t j = 0; j < k->outputs.len; j++) s->made[k->outputs.data[j]] = id;
    }
}

/* ---- donated parameters ---- */

/* Whether `writer` may store over param; find_reads has been done. */
static bool may_overwrite(Planner *s, Val param, uint32_t writer) {
    uint32_t last = s->last[param];
    if (last == NoVal || last < writer) return true;
    if (last > writer) return false;
    const Kernel *k = s->fn->kernels.data[writer];
    find_moved(s, k);
    return s->moved[param] != k->id + 1;
}

/* The identity of v, in a last kernel of its own. */
static Val copy_at_end(Planner *s, Val v) {
    Arena *a = s->p->cx->arena;
    Val out = fn_append_identity(a, s->fn, v);
    Kernel *k = NEW(a, Kernel);
    *k = (Kernel){.id = s->fn->kernels.len, .kind = KernMap, .root = NoVal,
                  .space = ins_at(s, out)->type.shape};
    vec_push(a, &k->members, out);
    vec_push(a, &k->inputs, v);
    vec_push(a, &k->outputs, out);
    vec_push(a, &s->fn->kernels, k);
    return out;
}

static void settle_donations(Planner *s) {
    Fn *fn = s->fn;
    uint32_t n = fn->donated ? fn->results.len : 0;
    bool *copied = NEW_ARRAY(s->a, bool, n);
    find_reads(s);
    for (uint32_t r = 0; r < n; r++) {
        Val v = fn->results.data[r];
        if (fn->donated[r] < 0 || v == (Val)fn->donated[r]) continue;
        copied[r] = !may_overwrite(s, (Val)fn->donated[r], s->made[v]);
    }
    for (uint32_t r = 0; r < n; r++) {
        if (copied[r]) fn->results.data[r] = copy_at_end(s, fn->results.data[r]);
    }
}

/* ---- the arena ---- */

static uint64_t aligned(const Planner *s, uint64_t bytes) {
    size_t end;
    if (!size_add((size_t)bytes, Align - 1, &end)) BUG(s->p->cx, "the arena is too large");
    return end & ~(uint64_t)(Align - 1);
}

/* The smallest hole that is large enough, the first of equals; else the end is moved. */
static uint64_t take(Planner *s, uint64_t bytes) {
    uint32_t best = s->holes.len;
    for (uint32_t h = 0; h < s->holes.len; h++) {
        uint64_t have = s->holes.data[h].bytes;
        if (have < bytes) continue;
        if (best == s->holes.len || have < s->holes.data[best].bytes) best = h;
    }
    if (best == s->holes.len) { /* a hole at the end grows */
        Hole tail = {s->end, 0};
        size_t end;
        if (best && s->holes.data[best - 1].offset + s->holes.data[best - 1].bytes == s->end) {
            tail = s->holes.data[--s->holes.len];
        }
        if (!size_add((size_t)tail.offset, (size_t)bytes, &end)) {
            BUG(s->p->cx, "the arena is too large");
        }
        s->end = end;
        return tail.offset;
    }
    Hole *h = &s->holes.data[best];
    uint64_t at = h->offset;
    h->offset += bytes;
    h->bytes -= bytes;
    if (!h->bytes) {
        memmove(h, h + 1, (s->holes.len - best - 1) * sizeof *h);
        s->holes.len--;
    }
    return at;
}

static void give(Planner *s, uint64_t offset, uint64_t bytes) {
    uint32_t at = 0;
    while (at < s->holes.len && s->holes.data[at].offset < offset) at++;
    vec_push(s->a, &s->holes, (Hole){0, 0});
    Hole *h = s->holes.data;
    memmove(&h[at + 1], &h[at], (s->holes.len - 1 - at) * sizeof *h);
    h[at] = (Hole){offset, bytes};
    for (uint32_t i = at + 1; i-- > 0 && i + 1 >= at;) { /* joins the next, then the one before */
        if (i + 1 >= s->holes.len || h[i].offset + h[i].bytes != h[i + 1].offset) continue;
        h[i].bytes += h[i + 1].bytes;
        memmove(&h[i + 1], &h[i + 2], (s->holes.len - i - 2) * sizeof *h);
        s->holes.len--;
    }
}

static bool in_arena(const Planner *s, Val v) {
    return s->plan->bufs[v].kind == BufArena && s->plan->bufs[v].bytes;
}

/* A value that dies in map k and whose place `out` can take, or NoVal. */
static Val dying_input(const Planner *s, const Kernel *k, Val out) {
    for (uint32_t j = 0; j < k->inputs.len && k->kind == KernMap; j++) {
        Val v = k->inputs.data[j];
        bool dies = in_arena(s, v) && s->last[v] == k->id && s->taken[v] != k->id + 1;
        bool same = shape_same_rows(ins_at(s, v)->type.shape, k->space) &&
                    bytes_of(s, v) == bytes_of(s, out);
        if (dies && same && s->moved[v] != k->id + 1) return v;
    }
    return NoVal;
}

/* Scratch memory while a region runs. */
static void place_scratch(Planner *s, Kernel *k) {
    if (k->kind != KernRegion) return;
    const Ins *i = ins_at(s, k->root);
    Region r = region_of(s->p, i);
    uint64_t arena, *carry = NEW_ARRAY(s->a, uint64_t, r.carry);
    k->scratch.bytes = region_scratch(s->p->cx, i, &r, carry, &arena);
    if (k->scratch.bytes) k->scratch.offset = take(s, k->scratch.bytes);
}

static void place_outputs(Planner *s, const Kernel *k) {
    for (uint32_t j = 0; j < k->outputs.len; j++) {
        Val v = k->outputs.data[j];
        Buf *b = &s->plan->bufs[v];
        if (b->kind != BufNone) continue;
        *b = (Buf){.kind = BufArena, .bytes = bytes_of(s, v)};
        if (!b->bytes) continue;
        Val old = dying_input(s, k, v);
        b->offset = old == NoVal ? take(s, aligned(s, b->bytes)) : s->plan->bufs[old].offset;
        if (old != NoVal) s->taken[old] = k->id + 1;
    }
}

static void free_dying(Planner *s, const Kernel *k, const Vals *vals) {
    for (uint32_t j = 0; j < vals->len; j++) {
        Val v = base_of(s, vals->data[j]);
        uint32_t last = s->last[v] == NoVal ? s->made[v] : s->last[v];
        if (!in_arena(s, v) || last != k->id || s->taken[v] == k->id + 1) continue;
        s->taken[v] = k->id + 1;
        give(s, s->plan->bufs[v].offset, aligned(s, s->plan->bufs[v].bytes));
    }
}

static void place_arena(Planner *s) {
    for (uint32_t n = 0; n < s->fn->kernels.len; n++) {
        Kernel *k = s->fn->kernels.data[n];
        find_moved(s, k);
        place_outputs(s, k);
        place_scratch(s, k);
        free_dying(s, k, &(Vals){k->inputs.data, k->inputs.len, k->inputs.cap});
        free_dying(s, k, &(Vals){k->outputs.data, k->outputs.len, k->outputs.cap});
        if (k->scratch.bytes) give(s, k->scratch.offset, k->scratch.bytes);
    }
    s->plan->arena_bytes = s->end;
}

/* ---- the rest ---- */

static void place_arguments(Planner *s) {
    const Fn *fn = s->fn;
    Buf *bufs = s->plan->bufs;
    for (Val v = 0; v < fn->nparams; v++) {
        bufs[v] = (Buf){.kind = BufArg, .index = v, .bytes = bytes_of(s, v)};
    }
    for (uint32_t n = 0; n < fn->kernels.len; n++) {
        const Kernel *k = fn->kernels.data[n];
        for (uint32_t j = 0; j < k->inputs.len; j++) {
            Val v = base_of(s, k->inputs.data[j]);
            if (ins_at(s, v)->op != Op_const) continue;
            bufs[v] = (Buf){.kind = BufConst, .bytes = bytes_of(s, v)};
        }
    }
    for (uint32_t r = 0; r < fn->results.len; r++) {
        Val v = fn->results.data[r];
        bool donated = fn->donated && fn->donated[r] >= 0;
        bufs[v] = (Buf){.kind = donated ? BufArg : BufResult, .bytes = bytes_of(s, v),
                        .index = donated ? (uint32_t)fn->donated[r] : r};
    }
}

static void place_aliases(Planner *s) {
    for (Val v = 0; v < s->fn->ins.len; v++) {
        if (ins_at(s, v)->op == Op_reshape) s->plan->bufs[v] = s->plan->bufs[base_of(s, v)];
    }
}

static void count_parameters(Planner *s) {
    for (Val v = 0; v < s->fn->nparams; v++) {
        Sym name = ins_at(s, v)->name;
        ArgClass cls = name ? arg_class(name) : ArgPlain;
        if (cls == ArgState) s->plan->param_bytes += bytes_of(s, v);
        if (cls == ArgOptimizer) s->plan->opt_bytes += bytes_of(s, v);
    }
}

/* Marks what the adjoint members of k read, through members that they compute again. */
static void find_saved(Planner *s, const Kernel *k, bool *adjoint, bool *saved) {
    for (uint32_t m = k->members.len; m-- > 0;) {
        Val v = k->members.data[m];
        const Ins *i = ins_at(s, v);
        for (uint32_t n = 0; (i->rule || adjoint[v]) && n < i->nargs; n++) {
            adjoint[i->args[n]] = true;
            saved[base_of(s, i->args[n])] = true;
        }
    }
    for (uint32_t m = 0; m < k->members.len; m++) adjoint[k->members.data[m]] = false;
}

static void count_arena(Planner *s) {
    uint32_t n = s->fn->ins.len;
    bool *adjoint = NEW_ARRAY(s->a, bool, n), *saved = NEW_ARRAY(s->a, bool, n);
    for (uint32_t i = 0; i < s->fn->kernels.len; i++) {
        find_saved(s, s->fn->kernels.data[i], adjoint, saved);
    }
    Plan *plan = s->plan;
    for (Val v = 0; v < n; v++) {
        const Ins *i = ins_at(s, v);
        uint64_t bytes = plan->bufs[v].bytes;
        if (i->op == Op_reshape) continue;
        if (plan->bufs[v].kind == BufConst) plan->const_bytes += bytes;
        if (in_arena(s, v) && saved[v] && !i->rule) plan->saved_bytes += bytes;
    }
    if (plan->saved_bytes > plan->arena_bytes) plan->saved_bytes = plan->arena_bytes;
    plan->scratch_bytes = plan->arena_bytes - plan->saved_bytes;
}

static Fn *plan_fn(Program *p, const Fn *from) {
    Arena *a = p->cx->arena;
    Fn *fn = fn_copy(a, from);
    for (uint32_t k = 0; k < from->kernels.len; k++) {
        vec_push(a, &fn->kernels, from->kernels.data[k]);
    }
    Planner s = {.p = p, .fn = fn, .a = p->cx->scratch, .plan = NEW(a, Plan)};
    settle_donations(&s);
    find_reads(&s);
    fn->plan = s.plan;
    s.plan->bufs = NEW_ARRAY(a, Buf, fn->ins.len);
    place_arguments(&s);
    place_arena(&s);
    place_aliases(&s);
    count_parameters(&s);
    count_arena(&s);
    return fn;
}

void pass_plan(Program *p) {
    for (uint32_t i = 0; i < p->fns.len; i++) p->fns.data[i] = plan_fn(p, p->fns.data[i]);
}
