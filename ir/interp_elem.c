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

static int64_t int_from(Type to, const Tensor *x, int64_t k) {
    if (to.dt == BOOL) return x->re ? x->re[k] != 0 : x->i[k] != 0;
    int64_t i = x->re ? saturate(x->re[k], to.dt) : x->i[k];
    if (to.range) return i < 0 ? 0 : i >= to.range ? to.range - 1 : i;
    return wrap(to.dt, i);
}

static double float_from(const Interp *in, Type to, const Tensor *x, int64_t k) {
    if (x->re) return interp_round(in, to.dt, x->re[k]);
    /* rounded once: through a double, a large integer would be rounded twice */
    bool single = in->mode == InterpRound && to.dt != F64;
    return interp_round(in, to.dt, single ? (double)(float)x->i[k] : (double)x->i[k]);
}

static void convert(const Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]];
    for (int64_t k = 0; k < ins->type.shape->size; k++) {
        if (r->i) r->i[k] = int_from(ins->type, x, k);
        else r->re[k] = float_from(in, ins->type, x, k);
        if (r->im && x->im) r->im[k] = x->im[k];
    }
}

/* ---- operations of several roundings ---- */

static double rounded_rsqrt(const Interp *in, DType dt, double a, double b) {
    (void)b;
    return 1 / interp_round(in, dt == BF16 ? F32 : dt, sqrt(a));
}

static double rounded_mod(const Interp *in, DType dt, double a, double b) {
    return a - interp_round(in, dt, floor(interp_round(in, dt, a / b)) * b);
}

typedef double Stepwise(const Interp *in, DType dt, double a, double b);
static Stepwise *const stepwise[OpCount] = {
    [Op_rsqrt] = rounded_rsqrt,
    [Op_mod] = rounded_mod,
};

/* ---- elementwise ---- */

/* What y is decided by, where the operation has a kink or a jump. */
static int64_t choice(Op op, double a, double b, double y) {
    if (op == Op_abs) return signbit(a) != 0;
    if (op == Op_max || op == Op_min) return y == a;
    if (op == Op_mod) return saturate(floor(a / b), I64);
    bool whole = op == Op_sign || op == Op_floor || op == Op_ceil || op == Op_round;
    return whole ? saturate(y, I64) : 0;
}

/* An element as double or complex; bools arrive as 0 and 1. */
static double real_at(const Tensor *x, int64_t k) {
    return x->re ? x->re[k] : (double)x->i[k];
}

static double complex complex_at(const Tensor *x, int64_t k) {
    return complex_of(real_at(x, k), x->im ? x->im[k] : 0);
}

static bool is_tie(Op op, double complex a, double complex b) {
    switch (op) {
    case Op_abs: return RE(a) == 0 && cimag(a) != 0;
    case Op_max:
    case Op_min:
    case Op_eq:
    case Op_ne:
    case Op_lt:
    case Op_le:
    case Op_gt:
    case Op_ge: return RE(a) == RE(b) && cimag(a) != cimag(b);
    default: return false;
    }
}

static void on_complex(const Interp *in, const Ins *ins, const Tensor *const *x, Tensor *r) {
    for (int64_t k = 0; k < ins->type.shape->size; k++) {
        double complex a = complex_at(x[0], k), b = complex_at(x[1], k);
        double complex z = meanings[ins->op].complex_(a, b, complex_at(x[2], k));
        interp_tie(in, is_tie((Op)ins->op, a, b));
        if (r->i) r->i[k] = RE(z) != 0;
        else r->re[k] = RE(z), r->im[k] = cimag(z);
    }
}

static void on_floats(const Interp *in, const Ins *ins, const Tensor *const *x, Tensor *r) {
    DType dt = ins->type.dt;
    Stepwise *steps = in->mode == InterpRound ? stepwise[ins->op] : NULL;
    for (int64_t k = 0; k < ins->type.shape->size; k++) {
        double a = real_at(x[0], k), b = real_at(x[1], k);
        double y = steps ? steps(in, dt, a, b) : meanings[ins->op].real(a, b, real_at(x[2], k));
        if (r->i) r->i[k] = y != 0;
        else r->re[k] = interp_round(in, dt, y);
        interp_choose(in, choice((Op)ins->op, a, b, y));
    }
}

void interp_elem(Interp *in, const Ins *ins, Tensor *r) {
    if (ins->op == Op_cast) {
        convert(in, ins, r);
        return;
    }
    const Tensor *x[3];
    for (uint32_t i = 0; i < 3; i++) x[i] = &in->vals[ins->args[i < ins->nargs ? i : 0]];
    bool floats = x[ins->nargs - 1]->re != NULL;
    if (floats && in->mode == InterpComplex) {
        on_complex(in, ins, x, r);
        return;
    }
    if (floats) {
        on_floats(in, ins, x, r);
        return;
    }
    for (int64_t k = 0; k < ins->type.shape->size; k++) {
        int64_t i = meanings[ins->op].whole(x[0]->i[k], x[1]->i[k], x[2]->i[k]);
        r->i[k] = wrap(ins->type.dt, i);
    }
}
