/* See conv_case.h. */
#include "tests/codegen/conv_case.h"

#include <stdlib.h>

static Attr list(Cx *cx, const ConvCase *c, const int64_t *v, int64_t other) {
    int64_t all[3];
    for (uint32_t d = 0; d < c->rank; d++) all[d] = v[d] ? v[d] : other;
    return attr_ints(cx, all, c->rank);
}

static Type type_with(Cx *cx, DType dt, int64_t a, int64_t b, const int64_t *rest, uint32_t n) {
    int64_t dim[5] = {a, b};
    for (uint32_t d = 0; d < n; d++) dim[2 + d] = rest[d];
    return type_of(dt, shape_of(cx, dim, 2 + n));
}

static Val swapped(Builder *b, Cx *cx, Val v) {
    static const int64_t perm[] = {1, 0, 2, 3, 4};
    Attr attr = attr_ints(cx, perm, b_type(b, v).shape->rank);
    return b_op(b, Op_transpose, &v, 1, &attr, NULL);
}

static Val operand(Builder *b, Cx *cx, const char *name, const ConvCase *c, DType dt, int64_t m,
                   int64_t n, const int64_t *rest) {
    int64_t first = c->swapped ? n : m, second = c->swapped ? m : n;
    return b_param(b, sym(cx, name), type_with(cx, dt, first, second, rest, c->rank));
}

Fn *conv_case_add(Program *p, const char *name, const ConvCase *c, DType dt) {
    Cx *cx = p->cx;
    int64_t groups = c->groups ? c->groups : 1,
            batch_groups = c->batch_groups ? c->batch_groups : 1;
    Builder *b = builder_new(p, sym(cx, name), false);
    Val x = operand(b, cx, "x", c, dt, c->n, c->c, c->s);
    Val w = operand(b, cx, "w", c, dt, c->o, c->c / groups, c->k);
    Val bias = b_param(b, sym(cx, "bias"), type_of(dt, shape_of(cx, &c->o, 1)));
    if (c->swapped) x = swapped(b, cx, x), w = swapped(b, cx, w);
    Attr attrs[] = {list(cx, c, c->stride, 1), list(cx, c, c->lo, 0),  list(cx, c, c->hi, 0),
                    list(cx, c, c->lhs, 1),    list(cx, c, c->rhs, 1), attr_int(groups),
                    attr_int(batch_groups)};
    Val y = b_op(b, Op_conv, (Val[]){x, w}, 2, attrs, NULL);
    if (c->follows) {
        int64_t ones[] = {1, 1, 1, 1};
        ones[0] = c->o;
        bias = b_reshape(b, bias, shape_of(cx, ones, 1 + c->rank));
        y = b_add(b, y, b_broadcast(b, bias, b_type(b, y).shape));
        y = b_op(b, Op_max, (Val[]){y, b_float(b, b_type(b, y), 0)}, 2, NULL, NULL);
    }
    b_result(b, y);
    Fn *f = builder_done(b);
    f->exported = true;
    f->props |= PropNoOperators | PropInlined;
    program_add(p, f);
    return f;
}

Tensor conv_case_tensor(Arena *a, Type t, uint64_t seed) {
    Tensor x = tensor_new(a, t, false);
    for (int64_t i = 0; i < t.shape->size; i++) {
        double u = rng_f64(rng_bits(seed + 1, (uint64_t)i)) * 2 - 1;
        if (t.dt == F32) u = (double)(float)u;
        if (t.dt == BF16) u = (double)round_bf16((float)u);
        x.re[i] = u;
    }
    return x;
}

void *conv_case_memory(const Tensor *x) {
    size_t size = dtype_size(x->type.dt), n = (size_t)x->type.shape->size;
    unsigned char *m = aligned_alloc(64, (n * size + 127) / 64 * 64);
    for (size_t i = 0; i < n; i++) {
        float f = (float)x->re[i];
        if (x->type.dt == F64) memcpy(m + i * 8, &x->re[i], 8);
        else memcpy(m + i * size, (char *)&f + (4 - size), size);
    }
    return m;
}

double conv_case_element(DType dt, const void *memory, int64_t i) {
    const unsigned char *m = memory;
    size_t size = dtype_size(dt);
    double d;
    float f = 0;
    if (dt == F64) {
        memcpy(&d, m + (size_t)i * 8, 8);
        return d;
    }
    memcpy((char *)&f + (4 - size), m + (size_t)i * size, size);
    return (double)f;
}
