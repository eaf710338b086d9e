/* Random functions; see kernels.h. */
#include "tests/passes/kernels.h"

typedef struct Rand {
    T *t;
    uint64_t seed, drawn;
    Vals values;
} Rand;

static uint32_t below(Rand *r, uint32_t n) {
    return (uint32_t)(rng_bits(r->seed, r->drawn++) >> 33) % n;
}

static Type type_at(Rand *r, Val v) { return b_type(r->t->b, v); }

/* Of all values or of the last few. */
static Val any(Rand *r) {
    uint32_t n = r->values.len, last = n < 6 ? n : 6;
    return r->values.data[below(r, 3) ? n - 1 - below(r, last) : below(r, n)];
}

static Val add_value(Rand *r, Val v) {
    vec_push(r->t->cx->arena, &r->values, v);
    return v;
}

static const Shape *random_shape(Rand *r) {
    static const int64_t sizes[] = {1, 2, 3, 3, 4, 4};
    int64_t dim[3];
    uint32_t rank = below(r, 4);
    for (uint32_t d = 0; d < rank; d++) dim[d] = sizes[below(r, LEN(sizes))];
    return shape_of(r->t->cx, dim, rank);
}

/* A value of the shape, made where there is none. */
static Val of_shape(Rand *r, const Shape *s) {
    for (int tries = 0; tries < 8; tries++) {
        Val v = any(r);
        if (type_at(r, v).shape == s) return v;
    }
    for (int tries = 0; tries < 8; tries++) {
        Val v = any(r);
        const Shape *from = type_at(r, v).shape;
        bool fits = from->rank <= s->rank;
        for (uint32_t d = 0; fits && d < from->rank; d++) {
            int64_t want = s->dim[s->rank - from->rank + d];
            fits = from->dim[d] == 1 || from->dim[d] == want;
        }
        if (fits) return b_broadcast(r->t->b, v, s);
    }
    return t_num(r->t, type_of(F64, s), 0.5 + below(r, 3));
}

/* ---- one instruction of each class ---- */

static Val unary(Rand *r) {
    static const Op ops[] = {Op_neg, Op_exp, Op_tanh, Op_abs, Op_opt_barrier, Op_sigmoid};
    return t_op(r->t, ops[below(r, LEN(ops))], any(r));
}

static Val binary(Rand *r) {
    static const Op ops[] = {Op_add, Op_mul, Op_sub, Op_max, Op_div};
    Val x = any(r);
    return t_op2(r->t, ops[below(r, LEN(ops))], x, of_shape(r, type_at(r, x).shape));
}

static Val choice(Rand *r) {
    Val x = any(r), y = of_shape(r, type_at(r, x).shape);
    return t_where(r->t, t_op2(r->t, Op_lt, x, y), y, of_shape(r, type_at(r, x).shape));
}

static Val broadcast(Rand *r) {
    Val x = any(r);
    const Shape *s = type_at(r, x).shape;
    int64_t dim[4] = {1 + below(r, 3)};
    if (s->rank > 2) return unary(r);
    for (uint32_t d = 0; d < s->rank; d++) dim[d + 1] = s->dim[d] == 1 ? 3 : s->dim[d];
    return b_broadcast(r->t->b, x, shape_of(r->t->cx, dim, s->rank + 1));
}

static Val reshape(Rand *r) {
    Val x = any(r);
    const Shape *s = type_at(r, x).shape;
    int64_t dim[4] = {s->size};
    uint32_t rank = 1, way = below(r, 3);
    if (way && s->rank < 4) { /* a dimension of 1 comes in */
        uint32_t at = below(r, s->rank + 1);
        rank = s->rank + 1;
        for (uint32_t d = 0; d < rank; d++) dim[d] = d == at ? 1 : s->dim[d > at ? d - 1 : d];
    } else if (s->size % 2 == 0) {
        dim[rank++] = 2;
        dim[0] /= 2;
    }
    if (rank > 3) return unary(r);
    return b_reshape(r->t->b, x, shape_of(r->t->cx, dim, rank));
}

static Val transpose(Rand *r) {
    static const int64_t perms[4][3] = {{0}, {0}, {1, 0}, {2, 0, 1}};
    Val x = any(r);
    uint32_t rank = type_at(r, x).shape->rank;
    return rank < 2 ? unary(r) : t_ints(r->t, Op_transpose, x, rank, perms[rank]);
}

static Val flip(Rand *r) {
    Val x = any(r);
    int64_t axis = 0;
    return type_at(r, x).shape->rank ? t_ints(r->t, Op_flip, x, 1, &axis) : unary(r);
}

static Val slice(Rand *r) {
    Val x = any(r);
    const Shape *s = type_at(r, x).shape;
    int64_t lo[3], hi[3], stride[3];
    for (uint32_t d = 0; d < s->rank; d++) {
        lo[d] = s->dim[d] > 2;
        hi[d] = s->dim[d];
        stride[d] = 1 + below(r, 2);
    }
    Cx *cx = r->t->cx;
    Attr attrs[] = {attr_ints(cx, lo, s->rank), attr_ints(cx, hi, s->rank),
                    attr_ints(cx, stride, s->rank)};
    return s->rank ? b_op(r->t->b, Op_slice, &x, 1, attrs, NULL) : unary(r);
}

static Val pad(Rand *r) {
    Val x = any(r);
    const Shape *s = type_at(r, x).shape;
    int64_t lo[3] = {1, 0, 0}, hi[3] = {0, 1, 0}, interior[3] = {0};
    Cx *cx = r->t->cx;
    if (!s->rank || s->dim[0] > 4) return unary(r);
    interior[0] = below(r, 2);
    Attr attrs[] = {attr_ints(cx, lo, s->rank), attr_ints(cx, hi, s->rank),
                    attr_ints(cx, interior, s->rank)};
    Val args[] = {x, of_shape(r, shape_scalar(cx))};
    return b_op(r->t->b, Op_pad, args, 2, attrs, NULL);
}

static Val reduce(Rand *r) {
    static const Op ops[] = {Op_reduce_sum, Op_reduce_max};
    Val x = any(r);
    uint32_t rank = type_at(r, x).shape->rank, n = 0;
    int64_t axes[3];
    for (uint32_t d = 0; d < rank; d++) {
        if (below(r, 2)) axes[n++] = d;
    }
    return n ? t_ints(r->t, ops[below(r, 2)], x, n, axes) : unary(r);
}

static Val contract(Rand *r) {
    Val x = any(r);
    const Shape *s = type_at(r, x).shape;
    if (s->rank != 2) return unary(r);
    int64_t n = below(r, 2) ? s->dim[0] : 1 + below(r, 4), dim[] = {s->dim[1], n};
    if (below(r, 2)) { /* the second operand transposed */
        int64_t turned[] = {n, s->dim[1]}, perm[] = {1, 0};
        Val y = of_shape(r, shape_of(r->t->cx, turned, 2));
        return t_op2(r->t, Op_matmul, x, t_ints(r->t, Op_transpose, y, 2, perm));
    }
    return t_op2(r->t, Op_matmul, x, of_shape(r, shape_of(r->t->cx, dim, 2)));
}

static Val move(Rand *r) {
    Builder *b = r->t->b;
    Val x = any(r);
    const Shape *s = type_at(r, x).shape;
    if (!s->rank || s->dim[0] > 4) return unary(r);
    Attr axis[] = {attr_int(0), attr_bool(below(r, 2))};
    Val args[3] = {x, of_shape(r, s), NoVal};
    switch (below(r, 4)) {
    case 0: return b_op(b, Op_concat, args, 2, axis, NULL);
    case 1: return b_op(b, Op_cumsum, args, 1, axis, NULL);
    default: break;
    }
    Attr n = attr_int(s->dim[0]);
    args[1] = b_op(b, Op_iota, NULL, 0, &n, NULL);
    args[2] = of_shape(r, s);
    if (below(r, 2)) return b_op(b, Op_scatter_add, args, 3, axis, NULL);
    return b_op(b, Op_gather, args, 2, axis, NULL);
}

static Val source(Rand *r) {
    Builder *b = r->t->b;
    Type type = type_of(F64, random_shape(r));
    if (below(r, 2)) {
        Num *nums = NEW_ARRAY(r->t->cx->arena, Num, (size_t)type.shape->size);
        for (int64_t e = 0; e < type.shape->size; e++) nums[e].f = (double)below(r, 9) + 0.5;
        return b_const(b, type, nums, (uint64_t)type.shape->size);
    }
    Type key = type_of(I64, shape_scalar(r->t->cx));
    Val args[] = {0, b_int(b, key, below(r, 5))}; /* parameter 0 is a key */
    Val folded = b_op(b, Op_fold, args, 2, NULL, NULL);
    Attr stream = attr_int(below(r, 3));
    return b_op(b, Op_rng, &folded, 1, &stream, &type);
}

/* ---- functions ---- */

/* Results, some in the storage of a parameter of their type. */
static void end_fn(Rand *r, uint32_t nparams) {
    Builder *b = r->t->b;
    Cx *cx = r->t->cx;
    uint32_t n = 1 + below(r, 5) + r->values.len / 8;
    int32_t *donated = NEW_ARRAY(cx->arena, int32_t, n + nparams);
    for (uint32_t k = 0; k < n; k++) {
        Val v = k ? any(r) : r->values.data[r->values.len - 1];
        b_result(b, v);
        donated[k] = -1;
        for (uint32_t q = 1; q < nparams && donated[k] < 0; q++) {
            bool fits = type_equal(type_at(r, q), type_at(r, v)) && below(r, 3);
            for (uint32_t i = 0; i < k; i++) fits &= donated[i] != (int32_t)q;
            if (fits) donated[k] = (int32_t)q;
        }
    }
    b_fn(b)->donated = donated;
    b_fn(b)->exported = true;
    t_end(r->t, NoVal);
}

void random_fn(T *t, uint64_t seed, uint32_t size) {
    static Val (*const makers[])(Rand *) = {
        unary, unary,     binary, binary, binary, choice,   broadcast, broadcast, reshape, reshape,
        flip,  transpose, slice,  pad,    reduce, contract, contract,  move,      source};
    Rand r = {.t = t, .seed = seed};
    t_fn(t, "random");
    t_param(t, "key", type_of(I64, shape_scalar(t->cx)));
    uint32_t nparams = 2 + below(&r, 6);
    for (uint32_t q = 1; q < nparams; q++) {
        Type type = q == 1 ? t_type(t, 2, 3, 3) : type_of(F64, random_shape(&r));
        add_value(&r, t_param(t, arena_printf(t->cx->arena, "net.p%u", q), type));
    }
    for (uint32_t k = 0; k < size; k++) {
        Val v = makers[below(&r, LEN(makers))](&r);
        if (type_at(&r, v).shape->size <= 150) add_value(&r, v);
    }
    end_fn(&r, nparams);
}

const Fn *compiled(T *t) {
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1};
    assert_true(passes_run(t->p, &o));
    assert_true(t->p->fns.len > 0);
    return t->p->fns.data[t->p->fns.len - 1];
}
