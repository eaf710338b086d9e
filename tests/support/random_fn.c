/* See random_fn.h. Every step makes one value from values that are there; steps that do not fit are
 * left out. Shapes come from a few dimensions, so that values meet again. */
#include "tests/support/random_gen.h"

#include <math.h>

static bool any(Type t, const void *as) { return (void)as, t.shape->size >= 0; }
static bool number(Type t, const void *as) { return (void)as, t.dt != BOOL; }
static bool real(Type t, const void *as) { return (void)as, dtype_is_float(t.dt); }
static bool ranked(Type t, const void *as) { return (void)as, t.shape->rank > 0; }
static bool ranked_number(Type t, const void *as) { return ranked(t, as) && number(t, as); }
static bool matrix(Type t, const void *as) { return real(t, as) && t.shape->rank >= 2; }
static bool like(Type t, const void *as) {
    const Type *want = as;
    return t.dt == want->dt && t.shape == want->shape;
}
static bool mask_for(Type t, const void *as) {
    return t.dt == BOOL && t.shape == ((const Type *)as)->shape;
}
static bool follows(Type t, const void *as) { /* the second operand of a contraction */
    const Type *a = as;
    uint32_t r = a->shape->rank;
    if (t.dt != a->dt || t.shape->rank != r) return false;
    if (t.shape->dim[r - 2] != a->shape->dim[r - 1]) return false;
    for (uint32_t d = 0; d + 2 < r; d++) {
        if (t.shape->dim[d] != a->shape->dim[d]) return false;
    }
    return true;
}

static Val emit(Gen *g, Op op, const Val *args, uint32_t n, const Attr *attrs, const Type *given) {
    Attr none[MaxAttrs] = {0};
    if (g->n == MaxValues) return NoVal;
    Val v = b_op(g->b, op, args, n, attrs ? attrs : none, given);
    if (type(g, v).shape->size <= 4096) g->vals[g->n++] = v;
    return v;
}

#define LIST_OF(g, v, n) attr_ints((g)->p->cx, v, n)

/* ---- steps ---- */

static void unary(Gen *g) {
    static const Op ops[] = {Op_neg, Op_abs, Op_sign};
    static const Op reals[] = {Op_sqrt, Op_rsqrt, Op_floor, Op_ceil, Op_round, Op_stop_gradient,
                               Op_isnan, Op_isfinite, Op_opt_barrier};
    Val x = pick(g, number, NULL);
    if (x == NoVal) return;
    bool wide = dtype_is_float(type(g, x).dt) && !one_in(g, 3);
    emit(g, wide ? reals[below(g, LEN(reals))] : ops[below(g, LEN(ops))], &x, 1, NULL, NULL);
}

static void binary(Gen *g) {
    static const Op ops[] = {Op_add, Op_add, Op_sub, Op_mul, Op_mul, Op_div, Op_max, Op_min,
                             Op_mod, Op_lt,  Op_ge,  Op_ne};
    Val x[2] = {pick(g, number, NULL), NoVal};
    if (x[0] == NoVal) return;
    Type t = type(g, x[0]);
    x[1] = pick(g, like, &t);
    emit(g, ops[below(g, LEN(ops))], x, 2, NULL, NULL);
}

static void choice(Gen *g) {
    Val x[3] = {NoVal, pick(g, number, NULL), NoVal};
    if (x[1] == NoVal) return;
    Type t = type(g, x[1]);
    x[0] = pick(g, mask_for, &t);
    x[2] = pick(g, like, &t);
    if (x[0] == NoVal) x[0] = emit(g, Op_lt, &x[1], 2, NULL, NULL);
    if (x[0] != NoVal) emit(g, Op_where, x, 3, NULL, NULL);
}

static void conversion(Gen *g) {
    static const DType to[] = {F32, F32, F64, BF16, I32, I64};
    Val x = pick(g, any, NULL);
    Type t = {to[below(g, LEN(to))], 0, type(g, x).shape};
    emit(g, Op_cast, &x, 1, NULL, &t);
}

static void constant(Gen *g) {
    Val like_this = pick(g, number, NULL);
    if (like_this == NoVal || g->n == MaxValues) return;
    Type t = {type(g, like_this).dt, 0, type(g, like_this).shape};
    uint64_t n = one_in(g, 3) && t.shape->size ? (uint64_t)t.shape->size : 1;
    Num *data = NEW_ARRAY(g->p->cx->arena, Num, n);
    for (uint64_t i = 0; i < n; i++) {
        int64_t k = (int64_t)below(g, 9) - 4;
        if (dtype_is_float(t.dt)) data[i].f = (double)k * 0.5;
        else data[i].i = k;
    }
    g->vals[g->n++] = b_const(g->b, t, data, n);
}

static void broadcast(Gen *g) {
    Val x = pick(g, any, NULL);
    const Shape *s = type(g, x).shape;
    int64_t to[4];
    uint32_t rank = s->rank;
    if (rank > 2) return;
    for (uint32_t d = 0; d < rank; d++) {
        to[d + 1] = s->dim[d] == 1 ? g->dims[below(g, 3)] : s->dim[d];
    }
    to[0] = g->dims[below(g, 3)];
    bool lead = !rank || one_in(g, 2);
    Attr attr = lead ? LIST_OF(g, to, rank + 1) : LIST_OF(g, to + 1, rank);
    emit(g, Op_broadcast, &x, 1, &attr, NULL);
}

static void reshape(Gen *g) {
    Val x = pick(g, ranked, NULL);
    if (x == NoVal) return;
    const Shape *s = type(g, x).shape;
    int64_t to[8];
    uint32_t n = 0, cut = below(g, s->rank + 1);
    if (one_in(g, 2)) { /* a dimension of size 1 comes */
        for (uint32_t d = 0; d <= s->rank; d++) {
            if (d == cut) to[n++] = 1;
            if (d < s->rank) to[n++] = s->dim[d];
        }
        if (n > 4) return;
    } else { /* dimensions from `cut` on become one */
        int64_t rest = 1;
        for (uint32_t d = 0; d < s->rank; d++) {
            if (d < cut) to[n++] = s->dim[d];
            else rest *= s->dim[d];
        }
        to[n++] = rest;
    }
    Attr attr = LIST_OF(g, to, n);
    emit(g, Op_reshape, &x, 1, &attr, NULL);
}

static void transpose(Gen *g) {
    Val x = pick(g, ranked, NULL);
    if (x == NoVal) return;
    int64_t perm[8];
    uint32_t rank = type(g, x).shape->rank, turn = below(g, rank);
    for (uint32_t d = 0; d < rank; d++) perm[d] = (d + turn) % rank;
    Attr attr = LIST_OF(g, perm, rank);
    emit(g, Op_transpose, &x, 1, &attr, NULL);
}

static void slice(Gen *g) {
    Val x = pick(g, ranked, NULL);
    if (x == NoVal) return;
    const Shape *s = type(g, x).shape;
    int64_t lo[8], hi[8], stride[8];
    for (uint32_t d = 0; d < s->rank; d++) {
        lo[d] = s->dim[d] > 1 ? below(g, 2) : 0;
        hi[d] = s->dim[d] - (s->dim[d] > 2 ? below(g, 2) : 0);
        stride[d] = 1 + below(g, 2);
    }
    Attr a[] = {LIST_OF(g, lo, s->rank), LIST_OF(g, hi, s->rank), LIST_OF(g, stride, s->rank)};
    emit(g, Op_slice, &x, 1, a, NULL);
}

static void flip(Gen *g) {
    Val x = pick(g, ranked, NULL);
    if (x == NoVal) return;
    int64_t axis = below(g, type(g, x).shape->rank);
    Attr attr = LIST_OF(g, &axis, 1);
    emit(g, Op_flip, &x, 1, &attr, NULL);
}

static void pad(Gen *g) {
    Val x[2] = {pick(g, ranked_number, NULL), NoVal};
    if (x[0] == NoVal) return;
    const Shape *s = type(g, x[0]).shape;
    Type scalar = {type(g, x[0]).dt, 0, shape_scalar(g->p->cx)};
    x[1] = pick(g, like, &scalar);
    if (x[1] == NoVal) x[1] = b_float(g->b, scalar, 1);
    int64_t lo[8], hi[8], interior[8];
    for (uint32_t d = 0; d < s->rank; d++) {
        lo[d] = (int64_t)below(g, 3) - (s->dim[d] > 2);
        hi[d] = below(g, 2);
        interior[d] = one_in(g, 3);
    }
    Attr a[] = {LIST_OF(g, lo, s->rank), LIST_OF(g, hi, s->rank), LIST_OF(g, interior, s->rank)};
    emit(g, Op_pad, x, 2, a, NULL);
}

static void reduce(Gen *g) {
    static const Op ops[] = {Op_reduce_sum, Op_reduce_sum, Op_reduce_max, Op_reduce_min,
                             Op_reduce_prod};
    Val x = pick(g, ranked_number, NULL);
    if (x == NoVal) return;
    uint32_t rank = type(g, x).shape->rank, n = 0, mask = 1 + below(g, (1u << rank) - 1);
    int64_t axes[8];
    for (uint32_t d = 0; d < rank; d++) {
        if (mask >> d & 1) axes[n++] = d;
    }
    Attr attr = LIST_OF(g, axes, n);
    emit(g, ops[below(g, LEN(ops))], &x, 1, &attr, NULL);
}

static void matmul(Gen *g) {
    Val x[2] = {pick(g, matrix, NULL), NoVal};
    if (x[0] == NoVal) return;
    Type t = type(g, x[0]);
    x[1] = pick(g, follows, &t);
    if (x[1] == NoVal) { /* x @ transpose(x) */
        x[1] = emit(g, Op_transpose, x, 1, NULL, NULL);
        if (x[1] == NoVal || type(g, x[1]).shape->size > 4096) return;
    }
    emit(g, Op_matmul, x, 2, NULL, NULL);
}

static void movement(Gen *g) {
    Val x[3] = {pick(g, ranked_number, NULL), NoVal, NoVal};
    if (x[0] == NoVal) return;
    Type t = type(g, x[0]);
    uint32_t axis = below(g, t.shape->rank);
    Attr a[MaxAttrs] = {attr_int(axis)};
    if (!t.shape->dim[axis]) return;
    switch (below(g, 4)) {
    case 0:
        x[1] = pick(g, like, &t);
        emit(g, Op_concat, x, 2, a, NULL);
        return;
    case 1: emit(g, one_in(g, 2) ? Op_argmax : Op_argmin, x, 1, a, NULL); return;
    case 2:
        a[1] = attr_bool(one_in(g, 2));
        emit(g, Op_cumsum, x, 1, a, NULL);
        return;
    default: break;
    }
    int64_t n = t.shape->dim[axis];
    Attr size = attr_int(n);
    x[1] = b_op(g->b, Op_iota, NULL, 0, &size, NULL);
    if (one_in(g, 2)) { /* all the same index, or backwards */
        int64_t first = 0;
        Attr back = LIST_OF(g, &first, 1);
        x[1] = b_op(g->b, Op_flip, &x[1], 1, &back, NULL);
    } else {
        Type ranged = type(g, x[1]);
        x[1] = b_int(g->b, ranged, (int64_t)below(g, (uint32_t)n));
    }
    x[2] = emit(g, Op_gather, x, 2, a, NULL);
    if (x[2] != NoVal && one_in(g, 2)) emit(g, Op_scatter_add, x, 3, a, NULL);
}

static void random_numbers(Gen *g) {
    Type key = {I64, 0, shape_scalar(g->p->cx)};
    Val keys[2] = {pick(g, like, &key), b_int(g->b, key, below(g, 5))};
    Val shape = pick(g, real, NULL);
    if (keys[0] == NoVal || shape == NoVal) return;
    Val k = emit(g, Op_fold, keys, 2, NULL, NULL);
    Type t = type(g, shape);
    Attr stream = attr_int(below(g, 3));
    if (k != NoVal) emit(g, Op_rng, &k, 1, &stream, &t);
}

/* ---- functions ---- */

static void (*const steps[])(Gen *) = {
    unary,     unary,     binary,  binary,    binary, binary, binary, binary,
    binary,    choice,    choice,  broadcast, reduce, reduce, matmul, movement,
    broadcast, transpose, reshape, constant,  slice,  flip,   pad,    conversion,
    random_numbers,
};

void random_step(Gen *g) {
    if (g->depth && one_in(g, 5)) random_region(g);
    else steps[below(g, LEN(steps))](g);
}

static void parameters(Gen *g) {
    static const int64_t sizes[] = {1, 2, 3, 5, 8, 16, 17, 33};
    static const DType types[] = {F32, F32, F32, F32, F64, BF16, I32, I64};
    for (int d = 0; d < 3; d++) g->dims[d] = sizes[below(g, LEN(sizes))];
    uint32_t n = 3 + below(g, 4);
    DType main_type = types[below(g, LEN(types))];
    for (uint32_t i = 0; i < n; i++) {
        int64_t dim[3];
        uint32_t rank = below(g, 4);
        for (uint32_t d = 0; d < rank; d++) dim[d] = g->dims[below(g, 3)];
        DType dt = one_in(g, 3) ? types[below(g, LEN(types))] : main_type;
        Type t = type_of(dt, shape_of(g->p->cx, dim, rank));
        if (i && one_in(g, 2)) t = type(g, g->vals[i - 1]);
        g->vals[g->n++] = b_param(g->b, sym_fmt(g->p->cx, "p%u", i), t);
    }
    Type key = {I64, 0, shape_scalar(g->p->cx)};
    g->vals[g->n++] = b_param(g->b, sym(g->p->cx, "key"), key);
}

/* Most values that nothing reads, so that little is dead; and now and then one that is read too, a
 * parameter, a constant or a view. */
static void choose_results(Gen *g, uint32_t first) {
    const Fn *fn = b_fn(g->b);
    bool *read = NEW_ARRAY(g->p->cx->arena, bool, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) {
        for (uint32_t k = 0; k < fn->ins.data[v].nargs; k++) read[fn->ins.data[v].args[k]] = true;
    }
    for (uint32_t i = first; i < g->n; i++) {
        if (one_in(g, read[g->vals[i]] ? 12 : 2)) b_result(g->b, g->vals[i]);
    }
    if (!fn->results.len || one_in(g, 3)) b_result(g->b, g->vals[below(g, g->n)]);
    for (uint32_t i = 0; i < 2; i++) { /* what may well be donated */
        Type t = type(g, g->vals[i]);
        b_result(g->b, pick(g, like, &t));
    }
}

/* Each parameter once at most, to a result of its type. */
static void donate(Gen *g, Fn *fn) {
    bool *given = NEW_ARRAY(g->p->cx->arena, bool, fn->nparams);
    fn->donated = NEW_ARRAY(g->p->cx->arena, int32_t, fn->results.len);
    for (uint32_t r = 0; r < fn->results.len; r++) {
        fn->donated[r] = -1;
        for (Val v = 0; v < fn->nparams && fn->donated[r] < 0; v++) {
            Type t = fn->ins.data[v].type;
            if (given[v] || !like(fn->ins.data[fn->results.data[r]].type, &t)) continue;
            if (one_in(g, 4)) continue;
            given[v] = true;
            fn->donated[r] = (int32_t)v;
        }
    }
}

Fn *random_fn(Program *p, const char *name, uint64_t seed, uint32_t size) {
    Gen *g = NEW(p->cx->arena, Gen);
    g->p = p;
    g->key = rng_mix(seed);
    g->b = builder_new(p, sym(p->cx, name), false);
    parameters(g);
    uint32_t first = g->n;
    g->depth = seed >= FirstWithRegions ? 1 + seed % 2 : 0;
    for (uint32_t i = 0; i < size; i++) random_step(g);
    choose_results(g, first);
    Fn *fn = builder_done(g->b);
    fn->exported = true;
    if (!one_in(g, 4)) donate(g, fn);
    fn->props |= PropNoOperators | PropInlined;
    program_add(p, fn);
    return fn;
}

Tensor random_arg(Arena *a, Type t, uint64_t seed) {
    Tensor x = tensor_new(a, t, false);
    for (int64_t i = 0; i < t.shape->size; i++) {
        uint64_t bits = rng_bits(seed, (uint64_t)i);
        double u = rng_f64(bits) * 4 - 2;
        if (bits % 16 == 0) u = rint(u);
        if (t.dt == F32) u = (double)(float)u;
        if (t.dt == BF16) u = (double)round_bf16((float)u);
        if (x.re) x.re[i] = u;
        else x.i[i] = t.range ? (int64_t)(bits >> 40) % t.range : (int64_t)(u * 5);
    }
    return x;
}
