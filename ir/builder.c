/* The builder appends instructions to a new function. Unless it is raw it first asks fold.c for an
 * existing value with the same bits, then looks for an equal instruction: equal operation, operands
 * (in any order where the operation commutes), attributes, type and constant bits. opt_barrier is
 * never merged. The earlier instruction keeps its position, rule and name. Several results follow
 * their instruction as Op_get's, in order, always all of them: result k of `multi` is the value
 * multi + 1 + k. Tests: tests/ir/builder_test.c. */
#include "ir/ir.h"

#include <math.h>

struct Builder {
    Program *p;
    Arena *arena;
    Fn *fn;
    bool raw;
    Loc loc;
    Sym rule;
    /* hash of instructions: open addressing over value + 1, at most half full */
    uint32_t *slots, cap, used;
};

Builder *builder_new(Program *p, Sym name, bool raw) {
    Arena *a = p->cx->arena;
    Builder *b = NEW(a, Builder);
    *b = (Builder){.p = p, .arena = a, .fn = NEW(a, Fn), .raw = raw};
    b->fn->name = name;
    return b;
}

void b_at(Builder *b, Loc loc, Sym rule) {
    b->loc = loc;
    b->rule = rule;
}

Loc b_loc(const Builder *b) { return b->loc; }
Sym b_rule(const Builder *b) { return b->rule; }
Arena *b_arena(const Builder *b) { return b->arena; }
Fn *b_fn(Builder *b) { return b->fn; }
const Ins *b_ins(const Builder *b, Val v) { return &b->fn->ins.data[v]; }
Type b_type(const Builder *b, Val v) { return b->fn->ins.data[v].type; }

void b_name(Builder *b, Val v, Sym name) {
    Ins *i = &b->fn->ins.data[v];
    if (!i->name) i->name = name;
}

void b_result(Builder *b, Val v) { vec_push(b->arena, &b->fn->results, v); }

Fn *builder_done(Builder *b) { return b->fn; }

/* ---- merging ---- */
static void mix(uint64_t *h, uint64_t v) { *h = rng_mix(*h ^ v) + v; }

static void mix_attr(uint64_t *h, Attr a) {
    mix(h, (uint64_t)a.kind);
    switch (a.kind) {
    case AttrNone: break;
    case AttrInt:
    case AttrBool: mix(h, (uint64_t)a.i); break;
    case AttrFloat: mix(h, hash_bytes(&a.f, sizeof a.f)); break;
    case AttrFn: mix(h, (uintptr_t)a.s); break;
    case AttrInts: mix(h, hash_bytes(a.is.v, a.is.n * sizeof *a.is.v)); break;
    case AttrNames: mix(h, hash_bytes(a.names.v, a.names.n * sizeof *a.names.v)); break;
    }
}

static uint64_t hash_ins(const Ins *i) {
    uint64_t h = i->op;
    const OpInfo *info = &op_info[i->op];
    if (info->commutes) {
        mix(&h, (uint64_t)i->args[0] + i->args[1]);
    } else {
        for (uint32_t k = 0; k < i->nargs; k++) mix(&h, i->args[k]);
    }
    for (int k = 0; k < info->nattrs; k++) mix_attr(&h, i->attrs[k]);
    mix(&h, (uint64_t)i->type.dt);
    mix(&h, (uint64_t)i->type.range);
    mix(&h, (uintptr_t)i->type.shape);
    if (i->ndata) mix(&h, hash_bytes(i->data, i->ndata * sizeof *i->data));
    return h;
}

static bool equal_args(const Ins *x, const Ins *y) {
    if (x->nargs != y->nargs) return false;
    if (!x->nargs || !memcmp(x->args, y->args, x->nargs * sizeof *x->args)) return true;
    return op_info[x->op].commutes && x->args[0] == y->args[1] && x->args[1] == y->args[0];
}

static bool equal_ins(const Ins *x, const Ins *y) {
    if (x->op != y->op || !type_equal(x->type, y->type) || !equal_args(x, y)) return false;
    for (int k = 0; k < op_info[x->op].nattrs; k++) {
        if (!attr_equal(x->attrs[k], y->attrs[k])) return false;
    }
    return x->ndata == y->ndata &&
           (!x->ndata || !memcmp(x->data, y->data, x->ndata * sizeof *x->data));
}

/* The slot of an equal instruction, or an empty one. */
static uint32_t find_slot(const Builder *b, const Ins *i) {
    uint32_t s = (uint32_t)hash_ins(i) & (b->cap - 1);
    while (b->slots[s] && !equal_ins(&b->fn->ins.data[b->slots[s] - 1], i)) {
        s = (s + 1) & (b->cap - 1);
    }
    return s;
}

static void grow_slots(Builder *b) {
    uint32_t *old = b->slots, n = b->cap;
    b->cap = n ? n * 2 : 256;
    b->slots = NEW_ARRAY(b->arena, uint32_t, b->cap);
    for (uint32_t s = 0; s < n; s++) {
        if (old[s]) b->slots[find_slot(b, &b->fn->ins.data[old[s] - 1])] = old[s];
    }
}

static Val append(Builder *b, const Ins *i) {
    Val v = b->fn->ins.len;
    vec_push(b->arena, &b->fn->ins, *i);
    b->fn->ins.data[v].loc = b->loc;
    b->fn->ins.data[v].rule = b->rule;
    return v;
}

/* The marks "zero" and "nodiff" of a rule must not end up on a constant in use. */
static bool is_mark(const Builder *b, const Ins *i) {
    return i->op == Op_const && entry_named(b->rule) != EntryValue;
}

static Val append_or_merge(Builder *b, const Ins *i) {
    if (b->raw || i->op == Op_opt_barrier || is_mark(b, i)) return append(b, i);
    if (b->used * 2 >= b->cap) grow_slots(b);
    uint32_t s = find_slot(b, i);
    if (b->slots[s]) return b->slots[s] - 1;
    Val v = append(b, i);
    b->slots[s] = v + 1;
    b->used++;
    return v;
}

/* ---- sources ---- */
Val b_param(Builder *b, Sym name, Type type) {
    b->fn->nparams++;
    return append(b, &(Ins){.op = Op_param, .type = type, .name = name});
}

/* As memory of the type holds it; one NaN only. */
static Num stored(Type t, Num x) {
    if (dtype_is_float(t.dt) && isnan(x.f)) return (Num){.f = (double)NAN};
    switch (t.dt) {
    case F32: return (Num){.f = (double)(float)x.f};
    case BF16: return (Num){.f = (double)round_bf16((float)x.f)};
    case I32: return (Num){.i = (int32_t)(uint32_t)(uint64_t)x.i};
    case BOOL: return (Num){.i = x.i != 0};
    case F64:
    case I64:
    case DTypeCount: break;
    }
    return x;
}

Val b_const(Builder *b, Type type, const Num *data, uint64_t n) {
    if (n != 1 && n != (uint64_t)type.shape->size) {
        bug_at(b->p->cx, b->loc, "constant with %llu numbers for %s", (unsigned long long)n,
               type_text(b->p->cx, type));
    }
    Num *copy = NEW_ARRAY(b->arena, Num, n ? n : 1);
    bool splat = true;
    for (uint64_t k = 0; k < n; k++) {
        copy[k] = stored(type, data[k]);
        splat &= copy[k].i == copy[0].i;
    }
    if (!b->raw && splat) n = 1;
    return append_or_merge(b, &(Ins){.op = Op_const, .type = type, .data = copy, .ndata = n});
}

Val b_float(Builder *b, Type type, double v) {
    Num x = dtype_is_float(type.dt) ? (Num){.f = v} : (Num){.i = (int64_t)v};
    return b_const(b, type, &x, 1);
}

Val b_int(Builder *b, Type type, int64_t v) {
    Num x = dtype_is_float(type.dt) ? (Num){.f = (double)v} : (Num){.i = v};
    return b_const(b, type, &x, 1);
}

/* ---- operations ---- */
static Attr *copy_attrs(Builder *b, Op op, const Attr *attrs) {
    int n = op_info[op].nattrs;
    Attr *copy = NEW_ARRAY(b->arena, Attr, (size_t)n);
    if (attrs) copy_bytes(copy, attrs, (size_t)n * sizeof *attrs);
    return copy;
}

static const Val *copy_args(Builder *b, const Val *args, uint32_t n) {
    Val *copy = NEW_ARRAY(b->arena, Val, n);
    copy_bytes(copy, args, n * sizeof *args);
    return copy;
}

Val b_op(Builder *b, Op op, const Val *args, uint32_t nargs, const Attr *attrs, const Type *given) {
    Cx *cx = b->p->cx;
    Type *types = NEW_ARRAY(b->arena, Type, nargs);
    for (uint32_t k = 0; k < nargs; k++) {
        if (args[k] >= b->fn->ins.len) bug_at(cx, b->loc, "operand of %s", op_info[op].name);
        types[k] = b_type(b, args[k]);
    }
    Infer q = {.cx = cx, .nargs = nargs, .args = types, .given = given,
               .attrs = copy_attrs(b, op, attrs)};
    const char *wrong = op_infer(op, &q);
    if (wrong) bug_at(cx, b->loc, "fn %s: %s", b->fn->name, wrong);
    if (op == Op_get) return args[0] + 1 + (Val)q.attrs[0].i;
    Ins i = {.op = op, .nargs = nargs, .args = copy_args(b, args, nargs), .attrs = q.attrs,
             .type = q.result, .loc = b->loc, .rule = b->rule};
    Val same = b->raw ? NoVal : fold_ins(b, &i);
    return same != NoVal ? same : append_or_merge(b, &i);
}

void b_multi(Builder *b, Op op, const Val *args, uint32_t nargs, const Attr *attrs,
             const Type *types, uint32_t n, Val *results) {
    if (n == 1) {
        results[0] = b_op(b, op, args, nargs, attrs, types);
        return;
    }
    uint32_t before = b->fn->ins.len;
    Ins i = {.op = op, .nargs = nargs, .args = copy_args(b, args, nargs),
             .attrs = copy_attrs(b, op, attrs)};
    Val multi = append_or_merge(b, &i);
    for (uint32_t k = 0; k < n; k++) {
        Attr *index = NEW(b->arena, Attr);
        *index = attr_int(k);
        results[k] = multi + 1 + k;
        if (multi < before) continue;
        append(b, &(Ins){.op = Op_get, .nargs = 1, .args = copy_args(b, &multi, 1),
                         .attrs = index, .type = types[k]});
    }
}

void b_call(Builder *b, const Fn *fn, const Val *args, uint32_t nargs, Val *results) {
    uint32_t n = fn->results.len;
    Type *types = NEW_ARRAY(b->arena, Type, n);
    for (uint32_t k = 0; k < n; k++) types[k] = fn->ins.data[fn->results.data[k]].type;
    Attr callee = attr_fn(fn->name);
    b_multi(b, Op_call, args, nargs, &callee, types, n, results);
}
