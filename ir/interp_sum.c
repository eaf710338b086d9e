/* Reductions and contractions. Under InterpRound sums follow docs/numerics.md to the bit: lanes,
 * blocks, chains; in the other modes the same order is used without rounding. */
#include "ir/interp.h"
#include "ir/scalar.h"

enum { Block = 4096 };

typedef struct Cell { /* a number while it is being summed */
    double re, im;
    int64_t i;
} Cell;

typedef struct Sum {
    const Interp *in;
    Op op;
    DType dt; /* of the accumulator */
} Sum;

static Cell sum_of(Cell a, Cell b) { return (Cell){a.re + b.re, a.im + b.im, int_add(a.i, b.i)}; }
static Cell product_of(Cell a, Cell b) {
    return (Cell){a.re * b.re, a.re * b.im + a.im * b.re, int_mul(a.i, b.i)};
}
static Cell larger_of(Cell a, Cell b) {
    Cell r = above(a.re, b.re) ? a : b;
    r.i = a.i > b.i ? a.i : b.i;
    return r;
}
static Cell smaller_of(Cell a, Cell b) {
    Cell r = below(a.re, b.re) ? a : b;
    r.i = a.i < b.i ? a.i : b.i;
    return r;
}

/* What each reduction begins with and does, on floats and on integers at once. */
static const struct {
    Cell start;
    Cell (*combine)(Cell a, Cell b);
} reductions[OpCount] = {
    [Op_reduce_sum] = {{0, 0, 0}, sum_of},
    [Op_reduce_prod] = {{1, 0, 1}, product_of},
    [Op_reduce_max] = {{-INFINITY, 0, INT64_MIN}, larger_of},
    [Op_reduce_min] = {{INFINITY, 0, INT64_MAX}, smaller_of},
};

static int64_t limited(const Sum *s, int64_t i) {
    if (s->dt != I32) return i;
    return i < INT32_MIN ? INT32_MIN : i > INT32_MAX ? INT32_MAX : i;
}

static Cell identity(const Sum *s) {
    Cell c = reductions[s->op].start;
    c.i = limited(s, c.i);
    return c;
}

static Cell combine(const Sum *s, Cell a, Cell b) {
    Cell r = reductions[s->op].combine(a, b);
    if (!dtype_is_float(s->dt)) r.i = s->dt == I32 ? (int32_t)(uint32_t)(uint64_t)r.i : r.i;
    else r.re = interp_round(s->in, s->dt, r.re);
    return r;
}

/* acc + a * b, fused. */
static Cell fused(const Sum *s, Cell acc, Cell a, Cell b) {
    bool single = s->in->mode == InterpRound && s->dt == F32;
    double re = single ? (double)fmaf((float)a.re, (float)b.re, (float)acc.re)
                       : fma(a.re, b.re, acc.re);
    return (Cell){re, acc.im + a.re * b.im + a.im * b.re, 0};
}

/* Element k of what is summed, or of the first and second factor. */
typedef struct Terms {
    const Tensor *x, *y;
    const int64_t *xi, *yi; /* offsets of the elements; NULL: 0, 1, ...; below 0: takes no part */
    const Cell *cells;      /* instead of tensors: block sums */
} Terms;

static Cell cell_at(const Tensor *x, int64_t i) {
    if (x->i) return (Cell){.i = x->i[i]};
    return (Cell){x->re[i], x->im ? x->im[i] : 0, 0};
}

static Cell add_element(const Sum *s, Cell acc, const Terms *f, int64_t k) {
    if (f->cells) return combine(s, acc, f->cells[k]);
    if (f->xi && f->xi[k] < 0) return acc;
    Cell a = cell_at(f->x, f->xi ? f->xi[k] : k);
    if (!f->y) return combine(s, acc, a);
    return fused(s, acc, a, cell_at(f->y, f->yi ? f->yi[k] : k));
}

/* Element i goes to lane i mod lanes; lanes fold by halves. */
static Cell lanes_block(const Sum *s, const Terms *f, int64_t from, int64_t n) {
    Cell lane[64];
    int lanes = s->dt == F64 || s->dt == I64 ? 32 : 64;
    for (int l = 0; l < lanes; l++) lane[l] = identity(s);
    for (int64_t k = 0; k < n; k++) lane[k % lanes] = add_element(s, lane[k % lanes], f, from + k);
    for (int half = lanes / 2; half; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] = combine(s, lane[l], lane[l + half]);
    }
    return lane[0];
}

static Cell lanes_rule(const Sum *s, const Terms *f, int64_t n) {
    if (n <= Block) return lanes_block(s, f, 0, n);
    int64_t blocks = (n + Block - 1) / Block;
    Cell *sums = NEW_ARRAY(s->in->a, Cell, blocks);
    for (int64_t b = 0; b < blocks; b++) {
        int64_t left = n - b * Block;
        sums[b] = lanes_block(s, f, b * Block, left < Block ? left : Block);
    }
    return lanes_rule(s, &(Terms){.cells = sums}, blocks);
}

/* An ascending chain in blocks, block sums added in order. */
static Cell chain_rule(const Sum *s, const Terms *f, int64_t n) {
    Cell total = identity(s);
    for (int64_t from = 0; from < n; from += Block) {
        Cell acc = identity(s);
        for (int64_t k = from; k < n && k < from + Block; k++) acc = add_element(s, acc, f, k);
        total = n <= Block ? acc : combine(s, total, acc);
    }
    return total;
}

static void put(const Interp *in, Tensor *r, int64_t i, Cell c) {
    if (r->i) {
        r->i[i] = c.i;
        return;
    }
    r->re[i] = interp_round(in, r->type.dt, c.re);
    if (r->im) r->im[i] = c.im;
}

static DType accumulator(DType dt) { return dt == BF16 ? F32 : dt; }

void interp_reduce(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]];
    const Shape *s = x->type.shape;
    bool reduced[MaxRank] = {false};
    int64_t count = 1, at[MaxRank] = {0};
    for (uint32_t i = 0; i < ins->attrs[0].is.n; i++) reduced[ins->attrs[0].is.v[i]] = true;
    for (uint32_t d = 0; d < s->rank; d++) count *= reduced[d] ? s->dim[d] : 1;
    bool last = s->rank && reduced[s->rank - 1];
    int64_t n = ins->type.shape->size, *offsets = NEW_ARRAY(in->a, int64_t, s->size + 1);
    int64_t *filled = NEW_ARRAY(in->a, int64_t, n ? n : 1);
    /* row-major: an output's elements in their order */
    for (int64_t i = 0; i < s->size; i++, coords_next(s, at)) {
        int64_t out = 0;
        for (uint32_t d = 0; d < s->rank; d++) {
            if (!reduced[d]) out = out * s->dim[d] + at[d];
        }
        offsets[out * count + filled[out]++] = i;
    }
    Sum sum = {in, (Op)ins->op, accumulator(x->type.dt)};
    for (int64_t i = 0; i < n; i++) {
        Terms f = {.x = x, .xi = offsets + i * count};
        put(in, r, i, last ? lanes_rule(&sum, &f, count) : chain_rule(&sum, &f, count));
        bool picks = r->re && (ins->op == Op_reduce_max || ins->op == Op_reduce_min);
        for (int64_t k = 0; picks && k < count; k++) {
            bool taken = x->re[f.xi[k]] == r->re[i];
            interp_choose(in, taken);
            interp_tie(in, taken && r->im && x->im && x->im[f.xi[k]] != r->im[i]);
        }
    }
}

/* The taps of output (n, o, p) in order: offsets in x, -1 in its padding, and in w. */
static int64_t conv_taps(const Conv *c, const Shape *x, const int64_t *p, int64_t n, int64_t o,
                         int64_t *xi, int64_t *wi) {
    int64_t group = o / (c->o / (c->groups * c->batch_groups)), many = 0;
    int64_t image = c->batch_groups > 1 ? group * c->n + n : n, k[MaxSpatial];
    int64_t first = c->groups > 1 ? group * c->i : 0, taps = 1;
    for (int d = 0; d < MaxSpatial; d++) taps *= c->axis[d].taps;
    for (int64_t t = 0; t < taps; t++) {
        int64_t rest = t, at = 0;
        bool inside = true, hits = true;
        for (int d = MaxSpatial; d-- > 0; rest /= c->axis[d].taps) k[d] = rest % c->axis[d].taps;
        for (int d = 0; d < MaxSpatial; d++) {
            const ConvAxis *a = &c->axis[d];
            int64_t q = p[d] * a->stride + k[d] * a->rhs - a->lo;
            hits &= q % a->lhs == 0;
            inside &= q >= 0 && q / a->lhs < a->in;
            at = at * a->in + q / a->lhs;
        }
        int64_t plane = c->axis[0].in * c->axis[1].in * c->axis[2].in;
        for (int64_t i = 0; hits && i < c->i; i++) {
            xi[many] = inside ? (image * x->dim[1] + first + i) * plane + at : -1;
            wi[many++] = (o * c->i + i) * taps + t;
        }
    }
    return many;
}

void interp_conv(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]], *w = &in->vals[ins->args[1]];
    Conv c = conv_of(ins, x->type.shape, w->type.shape);
    int64_t taps = c.i, p[MaxSpatial];
    for (int d = 0; d < MaxSpatial; d++) taps *= c.axis[d].taps;
    int64_t *xi = NEW_ARRAY(in->a, int64_t, taps + 1), *wi = NEW_ARRAY(in->a, int64_t, taps + 1);
    Sum sum = {in, Op_reduce_sum, accumulator(ins->type.dt)};
    for (int64_t i = 0; i < ins->type.shape->size; i++) {
        int64_t rest = i;
        for (int d = MaxSpatial; d-- > 0; rest /= c.axis[d].out) p[d] = rest % c.axis[d].out;
        int64_t n = conv_taps(&c, x->type.shape, p, rest / c.o, rest % c.o, xi, wi);
        Terms f = {.x = x, .y = w, .xi = xi, .yi = wi};
        put(in, r, i, chain_rule(&sum, &f, n));
    }
}

void interp_matmul(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]], *y = &in->vals[ins->args[1]];
    const Shape *s = ins->type.shape;
    int64_t m = s->dim[s->rank - 2], n = s->dim[s->rank - 1], k = x->type.shape->dim[s->rank - 1];
    Sum sum = {in, Op_reduce_sum, accumulator(ins->type.dt)};
    int64_t *xi = NEW_ARRAY(in->a, int64_t, k ? k : 1), *yi = NEW_ARRAY(in->a, int64_t, k ? k : 1);
    for (int64_t i = 0; i < s->size; i++) {
        int64_t col = i % n, row = i / n % m, batch = i / (n * m);
        for (int64_t l = 0; l < k; l++) {
            xi[l] = (batch * m + row) * k + l;
            yi[l] = (batch * k + l) * n + col;
        }
        Terms f = {.x = x, .y = y, .xi = xi, .yi = yi};
        put(in, r, i, m == 1 || n == 1 ? lanes_rule(&sum, &f, k) : chain_rule(&sum, &f, k));
    }
}
