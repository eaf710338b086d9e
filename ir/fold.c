/* Simplifications that the builder makes at creation, all exact by bits for every operand: what
 * they give has the bits that the instruction would compute (NaN up to sign and payload).
 *
 *   mul(x, 1) = x      sub(x, 0) = x      neg(neg(x)) = x      transpose(transpose(x)) composed
 *
 * Never add(x, 0), which turns -0 into +0, x * 0 or x - x. Constants are computed from the meaning
 * column of ops.def: integers always, floats where the operation is EXACT and the operands are
 * splats; one rounding from double to f32 is innocuous for these operations.
 * Tests: tests/ir/builder_test.c. */
#include "ir/scalar.h"
#include "ir/ir.h"

typedef Val Fold(Builder *b, const Ins *i);

/* ---- constants ---- */
static const Num *splat(const Builder *b, Val v) {
    const Ins *i = b_ins(b, v);
    return i->op == Op_const && i->ndata == 1 ? i->data : NULL;
}

static bool splat_is(const Builder *b, Val v, double x) {
    const Num *n = splat(b, v);
    if (!n) return false;
    if (!dtype_is_float(b_type(b, v).dt)) return n->i == (int64_t)x && !signbit(x);
    return !memcmp(&n->f, &x, sizeof x);
}

static int64_t saturate(double x, double lo, double hi, int64_t min, int64_t max) {
    if (isnan(x)) return 0;
    return x <= lo ? min : x >= hi ? max : (int64_t)x;
}

static int64_t to_int(Type from, Type to, Num x) {
    if (!dtype_is_float(from.dt)) return x.i;
    if (to.dt == BOOL) return x.f != 0;
    return to.dt == I32 ? saturate(x.f, INT32_MIN, INT32_MAX, INT32_MIN, INT32_MAX)
                        : saturate(x.f, -0x1p63, 0x1p63, INT64_MIN, INT64_MAX);
}

/* The meaning of cast: integers wrap, floats truncate and saturate, NaN gives 0; i32<V> clamps. */
static Num convert_num(Type from, Type to, Num x) {
    if (dtype_is_float(to.dt)) {
        if (dtype_is_float(from.dt)) return x;
        return to.dt == F64 ? (Num){.f = (double)x.i} : (Num){.f = (double)(float)x.i};
    }
    int64_t i = to_int(from, to, x);
    if (to.dt == BOOL) return (Num){.i = i != 0};
    if (!to.range) return (Num){.i = i};
    return (Num){.i = i < 0 ? 0 : i >= to.range ? to.range - 1 : i};
}

typedef double FloatMeaning(double a, double b, double c);
typedef int64_t IntMeaning(int64_t a, int64_t b, int64_t c);

#define OP(name, cls, args, attrs, infer, floats, ints, ...)                                       \
    static double float_##name(double a, double b, double c) {                                     \
        (void)a, (void)b, (void)c;                                                                 \
        return floats;                                                                             \
    }                                                                                              \
    static int64_t int_##name##_(int64_t a, int64_t b, int64_t c) {                                \
        (void)a, (void)b, (void)c;                                                                 \
        return ints;                                                                               \
    }
#include "ir/ops.def"

static FloatMeaning *const float_meaning[OpCount] = {
#define OP(name, ...) [Op_##name] = float_##name,
#include "ir/ops.def"
};
static IntMeaning *const int_meaning[OpCount] = {
#define OP(name, ...) [Op_##name] = int_##name##_,
#include "ir/ops.def"
};

static Val fold_constants(Builder *b, const Ins *i) {
    double f[3] = {0};
    int64_t n[3] = {0};
    if (i->nargs == 0 || i->nargs > 3) return NoVal;
    for (uint32_t k = 0; k < i->nargs; k++) {
        const Num *x = splat(b, i->args[k]);
        if (!x) return NoVal;
        bool is_float = dtype_is_float(b_type(b, i->args[k]).dt);
        f[k] = is_float ? x->f : (double)x->i;
        n[k] = is_float ? 0 : x->i;
    }
    Type last = b_type(b, i->args[i->nargs - 1]);
    Num r;
    if (i->op == Op_cast) {
        r = convert_num(last, i->type, *splat(b, i->args[0]));
    } else if (!dtype_is_float(last.dt)) {
        r = (Num){.i = int_meaning[i->op](n[0], n[1], n[2])};
    } else if (!op_info[i->op].exact) {
        return NoVal;
    } else {
        double y = float_meaning[i->op](f[0], f[1], f[2]);
        /* bf16 is computed in f32, then rounded */
        if (i->type.dt == BF16) y = (double)(float)y;
        r = dtype_is_float(i->type.dt) ? (Num){.f = y} : (Num){.i = (int64_t)y};
    }
    return b_const(b, i->type, &r, 1);
}

/* ---- elementwise ---- */
/* x, if it has the type that the instruction would have. */
static Val same(Builder *b, const Ins *i, Val x) {
    return type_equal(b_type(b, x), i->type) ? x : NoVal;
}

static Val fold_involution(Builder *b, const Ins *i) {
    const Ins *x = b_ins(b, i->args[0]);
    return x->op == i->op ? same(b, i, x->args[0]) : NoVal;
}

static Val fold_add(Builder *b, const Ins *i) {
    bool is_float = dtype_is_float(i->type.dt);
    for (int k = 0; k < 2; k++) {
        if (splat_is(b, i->args[k], is_float ? -0.0 : 0.0)) return same(b, i, i->args[1 - k]);
    }
    return NoVal;
}

static Val fold_sub(Builder *b, const Ins *i) {
    return splat_is(b, i->args[1], 0.0) ? same(b, i, i->args[0]) : NoVal;
}

static Val fold_mul(Builder *b, const Ins *i) {
    for (int k = 0; k < 2; k++) {
        if (splat_is(b, i->args[k], 1)) return same(b, i, i->args[1 - k]);
    }
    return NoVal;
}

static Val fold_div(Builder *b, const Ins *i) {
    return splat_is(b, i->args[1], 1) ? same(b, i, i->args[0]) : NoVal;
}

/* x and true, x or false: x; with the other constant: that one. */
static Val fold_logic(Builder *b, const Ins *i) {
    for (int k = 0; k < 2; k++) {
        const Num *n = splat(b, i->args[k]);
        if (n) return n->i == (i->op == Op_and) ? i->args[1 - k] : i->args[k];
    }
    return i->args[0] == i->args[1] ? i->args[0] : NoVal;
}

static Val fold_where(Builder *b, const Ins *i) {
    const Num *c = splat(b, i->args[0]);
    if (c) return same(b, i, i->args[c->i ? 1 : 2]);
    return i->args[1] == i->args[2] ? same(b, i, i->args[1]) : NoVal;
}

static Val fold_cast(Builder *b, const Ins *i) { return same(b, i, i->args[0]); }

/* ---- views ---- */
/* Every element of a view of a splat is the splat. */
static Val fold_view_of_splat(Builder *b, const Ins *i) {
    const Num *n = splat(b, i->args[0]);
    return n ? b_const(b, i->type, n, 1) : NoVal;
}

/* A reshape or broadcast of a reshape or broadcast goes to the last shape at once. */
static Val fold_to_shape(Builder *b, const Ins *i) {
    const Ins *x = b_ins(b, i->args[0]);
    if (type_equal(x->type, i->type)) return i->args[0];
    if (x->op == i->op) return b_op(b, (Op)i->op, x->args, 1, i->attrs, NULL);
    return fold_view_of_splat(b, i);
}

static Val fold_transpose(Builder *b, const Ins *i) {
    const Ins *x = b_ins(b, i->args[0]);
    uint32_t rank = i->attrs[0].is.n;
    bool identity = true;
    for (uint32_t k = 0; k < rank; k++) identity &= i->attrs[0].is.v[k] == k;
    if (identity) return i->args[0];
    if (x->op != Op_transpose) return fold_view_of_splat(b, i);
    int64_t *perm = NEW_ARRAY(b_arena(b), int64_t, rank);
    for (uint32_t k = 0; k < rank; k++) perm[k] = x->attrs[0].is.v[i->attrs[0].is.v[k]];
    Attr composed = {.kind = AttrInts, .is = {rank, perm}};
    return b_op(b, Op_transpose, x->args, 1, &composed, NULL);
}

static Val fold_slice(Builder *b, const Ins *i) {
    /* as many elements as there were: all of them, in place */
    return type_equal(b_type(b, i->args[0]), i->type) ? i->args[0] : fold_view_of_splat(b, i);
}

static Val fold_flip(Builder *b, const Ins *i) {
    if (!i->attrs[0].is.n) return i->args[0];
    return fold_view_of_splat(b, i);
}

static Val fold_pad(Builder *b, const Ins *i) {
    bool nothing = true;
    for (uint32_t k = 0; k < i->attrs[0].is.n; k++) {
        for (int list = 0; list < 3; list++) nothing &= i->attrs[list].is.v[k] == 0;
    }
    if (nothing) return same(b, i, i->args[0]);
    const Num *x = splat(b, i->args[0]), *value = splat(b, i->args[1]);
    return x && value && x->i == value->i ? b_const(b, i->type, x, 1) : NoVal;
}

/* ---- reductions and moves ---- */
/* Over one element each; not a sum, since +0 + -0 = +0. */
static Val fold_reduce(Builder *b, const Ins *i) {
    const Shape *s = b_type(b, i->args[0]).shape;
    for (uint32_t k = 0; k < i->attrs[0].is.n; k++) {
        if (s->dim[i->attrs[0].is.v[k]] != 1) return NoVal;
    }
    if (b_type(b, i->args[0]).range) return NoVal;
    return b_reshape(b, i->args[0], i->type.shape);
}

static Val fold_concat(Builder *b, const Ins *i) {
    if (i->nargs == 1) return i->args[0];
    const Num *first = splat(b, i->args[0]);
    for (uint32_t k = 1; first && k < i->nargs; k++) {
        const Num *n = splat(b, i->args[k]);
        if (!n || n->i != first->i) return NoVal;
    }
    return first ? b_const(b, i->type, first, 1) : NoVal;
}

static Fold *const folds[OpCount] = {
    [Op_neg] = fold_involution,    [Op_not] = fold_involution,    [Op_add] = fold_add,
    [Op_sub] = fold_sub,           [Op_mul] = fold_mul,           [Op_div] = fold_div,
    [Op_and] = fold_logic,         [Op_or] = fold_logic,          [Op_where] = fold_where,
    [Op_cast] = fold_cast,         [Op_broadcast] = fold_to_shape, [Op_reshape] = fold_to_shape,
    [Op_transpose] = fold_transpose, [Op_slice] = fold_slice,     [Op_flip] = fold_flip,
    [Op_pad] = fold_pad,           [Op_reduce_max] = fold_reduce, [Op_reduce_min] = fold_reduce,
    [Op_reduce_prod] = fold_reduce, [Op_concat] = fold_concat,
};

Val fold_ins(Builder *b, const Ins *i) {
    if (op_info[i->op].cls == ClsElem && i->op != Op_opt_barrier) {
        Val v = fold_constants(b, i);
        if (v != NoVal) return v;
    }
    return folds[i->op] ? folds[i->op](b, i) : NoVal;
}
