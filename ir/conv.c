/* Convolutions and windows: their shape rules, and the sizes that interpreter and kernels read off
 * an instruction.
 *
 *   let y: f32[8, 16, 10, 10] = conv(x, w, stride=[1, 1], lo=[0, 0], hi=[0, 0], ...)
 *   y[n, o, p] = sum over k, i of x[n', g I + i, (p stride + k rhs_dilation - lo) / lhs_dilation]
 * w[o, i, k]
 *
 * Taps at which the division leaves a rest take no part, nor do those before and behind x. Filters
 * are in `groups` groups, each of which sees its own channels, or in `batch_groups`, each of which
 * sees its own part of the batch. Tests: tests/ir/infer_test.c, tests/ir/order_test.c */
#include "ir/infer.h"

#define RULE(name) const char *infer_##name(Infer *q)

/* A list of n numbers, each at least `least`; one number stands for n equal ones, none for
 * `other`. */
static const char *numbers(Infer *q, int attr, uint32_t n, int64_t other, int64_t least) {
    Attr *a = &q->attrs[attr];
    const char *name = q->op->attrs[attr].name;
    if (a->kind == AttrNone || (a->is.n == 1 && n != 1)) {
        int64_t *all = NEW_ARRAY(q->cx->arena, int64_t, n);
        for (uint32_t k = 0; k < n; k++) all[k] = a->kind == AttrNone ? other : a->is.v[0];
        *a = (Attr){.kind = AttrInts, .is = {n, all}};
    }
    if (a->is.n != n) {
        return INFER_FAIL(q, "%s has %u numbers for %u spatial ax%s", name, a->is.n, n,
                          n == 1 ? "is" : "es");
    }
    for (uint32_t k = 0; k < n; k++) {
        int64_t v = a->is.v[k];
        if (v < least) return INFER_FAIL(q, "%s must be at least %lld, it is %lld", name,
                                         (long long)least, (long long)v);
        if (v > INT32_MAX || v < -INT32_MAX) return INFER_FAIL(q, "%s %lld is out of range", name,
                                                               (long long)v);
    }
    return NULL;
}

/* The stretch that n elements cover, `step` apart; 0 for none, -1 where that overflows. */
static int64_t span(int64_t n, int64_t step) {
    int64_t r;
    if (!n) return 0;
    return __builtin_mul_overflow(n - 1, step, &r) || __builtin_add_overflow(r, 1, &r) ? -1 : r;
}

static const char *group_count(Infer *q, int attr) {
    if (q->attrs[attr].kind == AttrNone) q->attrs[attr] = attr_int(1);
    if (q->attrs[attr].i >= 1) return NULL;
    return INFER_FAIL(q, "%s must be at least 1, it is %lld", q->op->attrs[attr].name,
                      (long long)q->attrs[attr].i);
}

static const char *divides(Infer *q, int64_t n, const char *what, int attr) {
    if (n % q->attrs[attr].i == 0) return NULL;
    return INFER_FAIL(q, "%lld %s cannot be cut into %lld %s", (long long)n, what,
                      (long long)q->attrs[attr].i, q->op->attrs[attr].name);
}

static const char *conv_operands(Infer *q) {
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t rank = q->args[i].shape->rank;
        const char *wrong = infer_need(q, i, dtype_is_float(q->args[i].dt), "floats");
        if (!wrong) wrong = infer_need(q, i, rank >= 3 && rank <= 2 + MaxSpatial,
                                       i ? "filters [O, I, *K] of rank 3 to 5"
                                         : "a batch [N, C, *S] of rank 3 to 5");
        if (wrong) return wrong;
    }
    if (q->args[0].dt != q->args[1].dt) {
        return INFER_FAIL(q, "types differ (%s and %s)", infer_text(q, 0), infer_text(q, 1));
    }
    if (q->args[0].shape->rank == q->args[1].shape->rank) return NULL;
    return INFER_FAIL(q, "ranks differ (%s and %s)", infer_text(q, 0), infer_text(q, 1));
}

static const char *conv_channels(Infer *q) {
    const Shape *x = q->args[0].shape, *w = q->args[1].shape;
    const char *wrong = group_count(q, 5);
    if (!wrong) wrong = group_count(q, 6);
    if (wrong) return wrong;
    int64_t groups = q->attrs[5].i, batch_groups = q->attrs[6].i, channels;
    if (groups > 1 && batch_groups > 1) return "groups and batch_groups cannot both be above 1";
    if (__builtin_mul_overflow(w->dim[1], groups, &channels) || channels != x->dim[1]) {
        return INFER_FAIL(q, groups > 1 ? "x has %lld channels, w takes %lld in each of %lld groups"
                                        : "x has %lld channels, w takes %lld",
                          (long long)x->dim[1], (long long)w->dim[1], (long long)groups);
    }
    wrong = divides(q, w->dim[0], "filters", groups > 1 ? 5 : 6);
    return wrong ? wrong : divides(q, x->dim[0], "images", 6);
}

RULE(conv) {
    const char *wrong = conv_operands(q);
    if (wrong) return wrong;
    const Shape *x = q->args[0].shape, *w = q->args[1].shape;
    uint32_t n = x->rank - 2;
    static const int64_t other[] = {1, 0, 0, 1, 1}, least[] = {1, -INT32_MAX, -INT32_MAX, 1, 1};
    for (int a = 0; !wrong && a < 5; a++) wrong = numbers(q, a, n, other[a], least[a]);
    if (!wrong) wrong = conv_channels(q);
    if (wrong) return wrong;
    int64_t dim[2 + MaxSpatial] = {x->dim[0] / q->attrs[6].i, w->dim[0]};
    for (uint32_t k = 0; k < n; k++) {
        int64_t has = span(x->dim[2 + k], q->attrs[3].is.v[k]), all;
        int64_t window = span(w->dim[2 + k], q->attrs[4].is.v[k]), stride = q->attrs[0].is.v[k];
        if (has < 0 || window < 0 ||
            __builtin_add_overflow(has, q->attrs[1].is.v[k] + q->attrs[2].is.v[k], &all)) {
            return "the result has too many elements";
        }
        int64_t room = all - window;
        if (room < -stride) {
            return INFER_FAIL(q, "a window of %lld does not fit into axis %u, %lld long with its "
                              "padding", (long long)window, k + 2, (long long)all);
        }
        dim[2 + k] = room < 0 ? 0 : room / stride + 1;
    }
    return infer_shape(q, q->args[0], dim, x->rank);
}

Conv conv_of(const Ins *ins, const Shape *x, const Shape *w) {
    const Attr *a = ins->attrs;
    Conv c = {.n = ins->type.shape->dim[0], .o = w->dim[0], .i = w->dim[1],
              .groups = a[5].i, .batch_groups = a[6].i};
    uint32_t pad = MaxSpatial - (x->rank - 2);
    for (uint32_t k = 0; k < MaxSpatial; k++) {
        ConvAxis *s = &c.axis[k];
        *s = (ConvAxis){.in = 1, .out = 1, .taps = 1, .stride = 1, .lhs = 1, .rhs = 1};
        if (k < pad) continue;
        uint32_t d = k - pad;
        *s = (ConvAxis){.in = x->dim[2 + d], .out = ins->type.shape->dim[2 + d],
                        .taps = w->dim[2 + d], .stride = a[0].is.v[d], .lo = a[1].is.v[d],
                        .lhs = a[3].is.v[d], .rhs = a[4].is.v[d]};
    }
    return c;
}

/* ---- windows of the last axes ---- */

/* Checks size and stride, gives the shape of one result per window and the elements of a window. */
static const char *windows(Infer *q, const Shape *x, const Shape **out, int64_t *elements) {
    uint32_t n = q->attrs[0].kind == AttrInts ? q->attrs[0].is.n : 0;
    if (!n || n > x->rank) {
        return INFER_FAIL(q, n ? "size has %u numbers, x is %s" : "needs size%.0u (x is %s)", n,
                          type_text(q->cx, type_of(q->args[0].dt, x)));
    }
    const char *wrong = numbers(q, 0, n, 1, 1);
    if (!wrong && q->attrs[1].kind == AttrNone) q->attrs[1] = q->attrs[0];
    if (!wrong) wrong = numbers(q, 1, n, 1, 1);
    if (wrong) return wrong;
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, x->rank);
    copy_bytes(dim, x->dim, x->rank * sizeof *dim);
    *elements = 1;
    for (uint32_t k = 0; k < n; k++) {
        int64_t size = q->attrs[0].is.v[k], *d = &dim[x->rank - n + k];
        if (size > *d) return INFER_FAIL(q, "a window of %lld does not fit into axis %u of %s",
                                         (long long)size, x->rank - n + k,
                                         type_text(q->cx, type_of(q->args[0].dt, x)));
        *d = (*d - size) / q->attrs[1].is.v[k] + 1;
        if (__builtin_mul_overflow(*elements, size, elements) || *elements > INT32_MAX) {
            return "the window has too many elements";
        }
    }
    *out = shape_of(q->cx, dim, x->rank);
    return *out ? NULL : "the result has too many elements";
}

RULE(window_argmax) {
    const Shape *out = NULL;
    int64_t n = 0;
    const char *wrong = infer_need(q, 0, q->args[0].dt != BOOL, "numbers");
    if (!wrong) wrong = windows(q, q->args[0].shape, &out, &n);
    if (!wrong) q->result = (Type){I32, n, out};
    return wrong;
}

/* Operand 1 must have one index for each window of an array of shape x. */
static const char *window_index(Infer *q, const Shape *x, const Shape **out) {
    int64_t n = 0;
    const char *wrong = windows(q, x, out, &n);
    if (wrong) return wrong;
    Type want = {I32, n, *out};
    return infer_need(q, 1, type_equal(q->args[1], want), type_text(q->cx, want));
}

RULE(window_pick) {
    const Shape *out = NULL;
    const char *wrong = window_index(q, q->args[0].shape, &out);
    if (!wrong) q->result = (Type){q->args[0].dt, q->args[0].range, out};
    return wrong;
}

RULE(window_place) {
    const Shape *u = q->args[0].shape, *out = NULL;
    const char *wrong = infer_need(q, 0, q->args[0].dt != BOOL, "numbers");
    uint32_t n = q->attrs[2].kind == AttrInts ? q->attrs[2].is.n : 0;
    if (!wrong && (!n || n > u->rank)) {
        wrong = INFER_FAIL(q, "`within` has %u numbers, u is %s", n, infer_text(q, 0));
    }
    if (!wrong) wrong = numbers(q, 2, n, 0, 0);
    if (wrong) return wrong;
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, u->rank);
    for (uint32_t k = 0; k < u->rank; k++) {
        dim[k] = k + n < u->rank ? u->dim[k] : q->attrs[2].is.v[k + n - u->rank];
    }
    wrong = infer_shape(q, type_of(q->args[0].dt, NULL), dim, u->rank);
    if (!wrong) wrong = window_index(q, q->result.shape, &out);
    if (wrong) return wrong;
    return infer_need(q, 0, out == u, type_text(q->cx, type_of(q->args[0].dt, out)));
}
