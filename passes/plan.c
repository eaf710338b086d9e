/* A place in memory for every value that a kernel stores or reads: arguments and results where the
 * caller put them, constants in the program, everything else in one arena whose size is known now.
 *
 * Kernels are walked in order: what a kernel stores takes the smallest free stretch that holds it,
 * what it reads last is free afterwards. A map may store over a value that dies in it and that it
 * reads at the index of the element it writes and nowhere else, scatter_add over the value that it
 * adds to, a loop over what a carry that it keeps in place begins as, also where the latter has its
 * place because it becomes a result. A reshape is the memory of its operand. A result that was
 * donated a parameter's storage takes it if the parameter is read by earlier kernels only, or by
 * its own at the index that is written; else it is made in the arena and a last kernel copies it.
 * The body of a loop is donated the storage of its carry where that needs no copy, so that a loop
 * which adds to a few elements of it touches only these. A kernel that runs again gives its values
 * new places. Tests: tests/passes/plan_test.c */
#include "passes/plan.h"

typedef struct Planner {
    Program *p;
    Fn *fn;
    Arena *a;
    Plan *plan;
    uint32_t *made, *last; /* kernels that store a value first and read it last; NoVal: none */
    bool *needed;          /* later than the kernel at hand; before it is stored again: not */
    bool **dies;           /* per kernel and input: it is the last to read it */
    Buf *now;              /* where a value is */
    bool *saved;           /* of the forward part, read by the backward part */
    uint64_t saved_now;    /* bytes of them */
    uint32_t *moved;       /* k + 1: kernel k reads it at another index than the one it writes */
    uint32_t *taken;       /* k + 1: its place went to a value that kernel k stores, or is free */
    Holes holes;
} Planner;

static const Ins *ins_at(const Planner *s, Val v) { return &s->fn->ins.data[v]; }

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

/* Operand n of i if no other operand is the same memory, or NoVal. */
static Val only_operand(const Planner *s, const Ins *i, uint32_t n) {
    Val x = memory_of(s->fn, i->args[n]);
    for (uint32_t j = 0; j < i->nargs; j++) {
        if (j != n && memory_of(s->fn, i->args[j]) == x) return NoVal;
    }
    return i->args[n];
}

/* What scatter_add adds to in place, if it reads it as nothing else, or NoVal. */
static Val added_to(const Planner *s, const Kernel *k) {
    if (k->kind != KernMove || ins_at(s, k->root)->op != Op_scatter_add) return NoVal;
    return only_operand(s, ins_at(s, k->root), 0);
}

/* Operands of anything but an elementwise member at the written index are read elsewhere. */
static void find_moved(Planner *s, const Kernel *k) {
    uint32_t mark = k->id + 1;
    Val x = added_to(s, k);
    if (x != NoVal) {
        const Ins *i = ins_at(s, k->root);
        for (uint32_t n = 1; n < i->nargs; n++) s->moved[memory_of(s->fn, i->args[n])] = mark;
        return;
    }
    for (uint32_t m = k->members.len; m-- > 0;) {
        Val v = k->members.data[m];
        const Ins *i = ins_at(s, v);
        bool same_place = op_info[i->op].cls == ClsElem || keeps_rows(s, v);
        bool direct = same_place && s->moved[v] != mark;
        for (uint32_t n = 0; n < i->nargs && !direct; n++) s->moved[i->args[n]] = mark;
    }
    for (uint32_t j = 0; j < k->inputs.len; j++) {
        Val v = k->inputs.data[j];
        if (memory_of(s->fn, v) != v) s->moved[memory_of(s->fn, v)] = mark;
    }
}

/* Backwards: what is read later, up to where it is stored again. */
static void find_deaths(Planner *s) {
    const Fn *fn = s->fn;
    bool *later = s->needed = NEW_ARRAY(s->a, bool, fn->ins.len);
    s->dies = NEW_ARRAY(s->a, bool *, fn->kernels.len);
    for (uint32_t r = 0; r < fn->results.len; r++) later[fn->results.data[r]] = true;
    for (uint32_t id = fn->kernels.len; id-- > 0;) {
        const Kernel *k = fn->kernels.data[id];
        s->dies[id] = NEW_ARRAY(s->a, bool, k->inputs.len + k->outputs.len);
        for (uint32_t j = 0; j < k->outputs.len; j++) {
            s->dies[id][k->inputs.len + j] = !later[k->outputs.data[j]];
            later[k->outputs.data[j]] = false;
        }
        for (uint32_t j = 0; j < k->inputs.len; j++) {
            Val v = memory_of(s->fn, k->inputs.data[j]);
            s->dies[id][j] = !later[v];
        }
        for (uint32_t j = 0; j < k->inputs.len; j++) {
            later[memory_of(s->fn, k->inputs.data[j])] = true;
        }
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
        for (uint32_t j = 0; j < k->inputs.len; j++) {
            s->last[memory_of(s->fn, k->inputs.data[j])] = id;
        }
        for (uint32_t j = 0; j < k->outputs.len; j++) {
            if (!k->again) s->made[k->outputs.data[j]] = id;
        }
    }
    find_deaths(s);
}

/* ---- donated parameters ---- */

/* What result `out` of a loop begins as, if the loop writes over it in place and reads it as
 * nothing else, or NoVal. */
static Val begins_as(const Planner *s, const Kernel *k, Val out) {
    const Ins *i = ins_at(s, k->root);
    if (i->op != Op_scan && i->op != Op_while) return NoVal;
    Region r = region_of(s->p, i);
    uint32_t n = i->type.shape ? 0 : out - k->root - 1;
    if (n >= r.carry || !region_in_place(&r, n)) return NoVal;
    Val x = only_operand(s, i, n);
    return x == NoVal ? NoVal : memory_of(s->fn, x);
}

/* Whether v may be stored over param; find_reads has been done. */
static bool may_overwrite(Planner *s, Val param, Val v) {
    uint32_t last = s->last[param], writer = s->made[v];
    if (last == NoVal || last < writer) return true;
    if (last > writer) return false;
    const Kernel *k = s->fn->kernels.data[writer];
    if (k->kind == KernRegion) return begins_as(s, k, v) == param;
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
        copied[r] = !may_overwrite(s, (Val)fn->donated[r], v);
    }
    for (uint32_t r = 0; r < n; r++) {
        if (copied[r]) fn->results.data[r] = copy_at_end(s, fn->results.data[r]);
    }
}

/* The body of loops: result k may take the place of carry k. */
static void donate_carry(Planner *s, uint32_t carry) {
    Fn *fn = s->fn;
    if (!carry || fn->donated) return;
    find_reads(s);
    fn->donated = NEW_ARRAY(s->p->cx->arena, int32_t, fn->results.len);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        bool free = k < carry && may_overwrite(s, k, fn->results.data[k]);
        fn->donated[k] = free ? (int32_t)k : -1;
    }
}

/* ---- the arena ---- */

static bool in_arena(const Planner *s, Val v) {
    return s->now[v].kind == BufArena && s->now[v].bytes;
}

/* A value that dies in kernel k and whose place `out` can take, or NoVal. */
static Val dying_input(const Planner *s, const Kernel *k, Val out) {
    bool loop = k->kind == KernRegion;
    Val x = loop ? begins_as(s, k, out) : added_to(s, k);
    for (uint32_t j = 0; j < k->inputs.len && !s->p->memory.apart; j++) {
        Val v = loop ? memory_of(s->fn, k->inputs.data[j]) : k->inputs.data[j];
        if (k->kind != KernMap && v != x) continue;
        bool dies = in_arena(s, v) && s->dies[k->id][j] && s->taken[v] != k->id + 1;
        bool same = loop || (shape_same_rows(ins_at(s, v)->type.shape, k->space) &&
                             s->moved[v] != k->id + 1);
        if (dies && same && bytes_of(s, v) == bytes_of(s, out)) return v;
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
    if (k->scratch.bytes) k->scratch.offset = hole_take(&s->holes, k->scratch.bytes);
}

static void count_saved(Planner *s, Val v, bool placed) {
    if (!s->saved[v] || ins_at(s, v)->rule) return;
    s->saved_now += placed ? s->now[v].bytes : -s->now[v].bytes;
    if (s->saved_now > s->plan->saved_bytes) s->plan->saved_bytes = s->saved_now;
}

static void place_outputs(Planner *s, Kernel *k) {
    k->places = NEW_ARRAY(s->p->cx->arena, Buf, k->outputs.len);
    for (uint32_t j = 0; j < k->outputs.len; j++) {
        Val v = k->outputs.data[j];
        Buf *b = &s->now[v];
        if (b->kind == BufNone || k->again) {
            *b = (Buf){.kind = BufArena, .bytes = bytes_of(s, v)};
            Val old = b->bytes ? dying_input(s, k, v) : NoVal;
            if (old != NoVal) b->offset = s->now[old].offset;
            else if (b->bytes) b->offset = hole_take(&s->holes, b->bytes);
            if (old != NoVal) s->taken[old] = k->id + 1;
            if (old != NoVal) count_saved(s, old, false);
            if (b->bytes) count_saved(s, v, true);
        }
        k->places[j] = *b;
        if (!k->again) s->plan->bufs[v] = *b;
    }
}

static void free_value(Planner *s, Kernel *k, Val v) {
    if (!in_arena(s, v) || s->taken[v] == k->id + 1) return;
    s->taken[v] = k->id + 1;
    Freed f = {v, s->now[v].offset, s->now[v].bytes};
    vec_push(s->p->cx->arena, &k->freed, f);
    count_saved(s, v, false);
    if (!s->p->memory.apart) hole_give(&s->holes, f.offset, f.bytes);
}

static void free_dying(Planner *s, Kernel *k) {
    const bool *dies = s->dies[k->id];
    for (uint32_t j = 0; j < k->inputs.len; j++) {
        if (dies[j]) free_value(s, k, memory_of(s->fn, k->inputs.data[j]));
    }
    for (uint32_t j = 0; j < k->outputs.len; j++) {
        if (dies[k->inputs.len + j]) free_value(s, k, k->outputs.data[j]);
    }
}

static void place_arena(Planner *s) {
    s->now = NEW_ARRAY(s->a, Buf, s->fn->ins.len);
    copy_bytes(s->now, s->plan->bufs, s->fn->ins.len * sizeof *s->now);
    for (uint32_t n = 0; n < s->fn->kernels.len; n++) {
        Kernel *k = s->fn->kernels.data[n];
        memset(&k->freed, 0, sizeof k->freed);
        find_moved(s, k);
        place_outputs(s, k);
        place_scratch(s, k);
        free_dying(s, k);
        bool reuse = k->scratch.bytes && !s->p->memory.apart;
        if (reuse) hole_give(&s->holes, k->scratch.offset, k->scratch.bytes);
    }
    s->plan->arena_bytes = s->holes.end;
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
            Val v = memory_of(s->fn, k->inputs.data[j]);
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

/* What a result adds to, or begins as in a loop, has the same place, if it dies there. */
static void place_sums(Planner *s) {
    const Fn *fn = s->fn;
    for (uint32_t r = 0; r < fn->results.len; r++) {
        bool donated = fn->donated && fn->donated[r] >= 0;
        Val v = fn->results.data[r];
        while (s->made[v] != NoVal && (donated || !s->p->memory.apart)) {
            const Kernel *k = fn->kernels.data[s->made[v]];
            Val x = k->kind == KernRegion ? begins_as(s, k, v) : added_to(s, k);
            bool own = x != NoVal && s->made[x] != NoVal && s->last[x] == k->id;
            if (!own || s->plan->bufs[x].kind != BufNone) break;
            if (donated && !may_overwrite(s, (Val)fn->donated[r], x)) break;
            s->plan->bufs[x] = s->plan->bufs[v];
            v = x;
        }
    }
}

static void place_aliases(Planner *s) {
    for (Val v = 0; v < s->fn->ins.len; v++) {
        if (ins_at(s, v)->op == Op_reshape) s->plan->bufs[v] = s->plan->bufs[memory_of(s->fn, v)];
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
            saved[memory_of(s->fn, i->args[n])] = true;
        }
    }
    for (uint32_t m = 0; m < k->members.len; m++) adjoint[k->members.data[m]] = false;
}

static void find_all_saved(Planner *s) {
    uint32_t n = s->fn->ins.len;
    bool *adjoint = NEW_ARRAY(s->a, bool, n);
    s->saved = NEW_ARRAY(s->a, bool, n);
    for (uint32_t i = 0; i < s->fn->kernels.len; i++) {
        find_saved(s, s->fn->kernels.data[i], adjoint, s->saved);
    }
}

static void count_arena(Planner *s) {
    Plan *plan = s->plan;
    for (Val v = 0; v < s->fn->ins.len; v++) {
        if (ins_at(s, v)->op == Op_reshape) continue;
        if (plan->bufs[v].kind == BufConst) plan->const_bytes += plan->bufs[v].bytes;
    }
    plan->scratch_bytes = plan->arena_bytes - plan->saved_bytes;
}

Fn *plan_fn(Program *p, const Fn *from, uint32_t carry) {
    Arena *a = p->cx->arena;
    Fn *fn = fn_copy(a, from);
    for (uint32_t k = 0; k < from->kernels.len; k++) {
        Kernel *copy = NEW(a, Kernel);
        *copy = *from->kernels.data[k];
        copy->id = k;
        vec_push(a, &fn->kernels, copy);
    }
    Planner s = {.p = p, .fn = fn, .a = p->cx->scratch, .plan = NEW(a, Plan),
                 .holes = {.cx = p->cx}};
    donate_carry(&s, carry);
    settle_donations(&s);
    find_reads(&s);
    fn->plan = s.plan;
    s.plan->bufs = NEW_ARRAY(a, Buf, fn->ins.len);
    place_arguments(&s);
    place_sums(&s);
    find_all_saved(&s);
    place_arena(&s);
    place_aliases(&s);
    count_parameters(&s);
    count_arena(&s);
    return fn;
}
