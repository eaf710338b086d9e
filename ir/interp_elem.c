/* Elementwise operations by the meanings of ops.def, and conversions. */
#include "ir/interp.h"
#include "ir/scalar.h"

typedef double RealMeaning(double a, double b, double c);
typedef double complex ComplexMeaning(double complex a, double complex b, double complex c);
typedef int64_t IntMeaning(int64_t a, int64_t b, int64_t c);

#define OP(name, cls, args, attrs, infer, floats, ints, ...)                                       \
    static double real_##name(double a, double b, double c) {                                      \
        (void)a, (void)b, (void)c;                                                                 \
        return floats;                                                                             \
    }                                                                                              \
    static double complex complex_##name(double complex a, double complex b, double complex c) {   \
        (void)a, (void)b, (void)c;                                                                 \
        return floats;                                                                             \
    }                                                                                              \
    static int64_t whole_##name(int64_t a, int64_t b, int64_t c) {                                 \
        (void)a, (void)b, (void)c;                                                                 \
        return ints;                                                                               \
    }
#include "ir/ops.def"

static const struct {
    RealMeaning *real;
    ComplexMeaning *complex_;
    IntMeaning *whole;
} meanings[OpCount] = {
#define OP(name, ...) [Op_##name] = {real_##name, complex_##name, whole_##name},
#include "ir/ops.def"
};

static int64_t wrap(DType dt, int64_t i) {
    if (dt == I32) return (int32_t)(uint32_t)(uint64_t)i;
    return dt == BOOL ? i != 0 : i;
}

static int64_t saturate(double x, DType dt) {
    double lo = dt == I32 ? INT32_MIN : -0x1p63, hi = dt == I32 ? INT32_MAX : 0x1p63;
    if (isnan(x)) return 0;
    x = trunc(x);
    if (x <= lo) return dt == I32 ? INT32_MIN : INT64_MIN;
    if (x >= hi) return dt == I32 ? INT32_MAX : INT64_MAX;
    return (int64_t)x;
}

static void convert(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]];
    Type to = ins->type;
    for (int64_t k = 0; k < to.shape->size; k++) {
        if (r->re) {
            double v = x->re ? x->re[k] : (double)x->i[k];
            /* an integer reaches bf16 through f32 */
            r->re[k] = interp_round(in, to.dt, x->i && to.dt == BF16 ? (double)(float)x->i[k] : v);
            if (r->im && x->im) r->im[k] = x->im[k];
            continue;
        }
        if (to.dt == BOOL) {
            r->i[k] = x->re ? x->re[k] != 0 : x->i[k] != 0;
            continue;
        }
        int64_t i = x->re ? saturate(x->re[k], to.dt) : wrap(to.dt, x->i[k]);
        if (to.range) i = i < 0 ? 0 : i >= to.range ? to.range - 1 : i;
        r->i[k] = i;
    }
}

/* The n-th operand's element as double or complex; bools arrive as 0 and 1. */
static double real_at(const Tensor *x, int64_t k) { return x->re ? x->re[k] : (double)x->i[k]; }
static double complex complex_at(const Tensor *x, int64_t k) {
    return complex_of(real_at(x, k), x->im ? x->im[k] : 0);
}

static void on_floats(Interp *in, const Ins *ins, const Tensor *const *x, Tensor *r) {
    for (int64_t k = 0; k < ins->type.shape->size; k++) {
        if (in->mode == InterpComplex) {
            double complex z = meanings[ins->op].complex_(complex_at(x[0], k), complex_at(x[1], k), complex_at(x[2], k));
            if (r->i) r->i[k] = RE(z) != 0;
            else r->re[k] = RE(z), r->im[k] = cimag(z);
            continue;
        }
        double y = meanings[ins->op].real(real_at(x[0], k), real_at(x[1], k), real_at(x[2], k));
        if (r->i) r->i[k] = y != 0;
        else r->re[k] = interp_round(in, ins->type.dt, ins->type.dt == BF16 && in->mode == InterpRound ? (double)(float)y : y);
    }
}

void interp_elem(Interp *in, const Ins *ins, Tensor *r) {
    if (ins->op == Op_cast) {
        convert(in, ins, r);
        return;
    }
    const Tensor *x[3];
    for (uint32_t i = 0; i < 3; i++) x[i] = &in->vals[ins->args[i < ins->nargs ? i : 0]];
    if (x[ins->nargs - 1]->re) {
        on_floats(in, ins, x, r);
        return;
    }
    for (int64_t k = 0; k < ins->type.shape->size; k++) {
        r->i[k] = wrap(ins->type.dt, meanings[ins->op].whole(x[0]->i[k], x[1]->i[k], x[2]->i[k]));
    }
}
