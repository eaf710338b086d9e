/* What the scalar meanings in ops.def are written with. Expressions are over `double` or over
 * `double complex`; the latter carries a derivative in a tiny imaginary part, so a function without
 * a complex version in C is continued to first order: f(x + ih) = f(x) + ih f'(x). */
#ifndef BPC_SCALAR_H
#define BPC_SCALAR_H

#include "base/base.h"

#include <tgmath.h>

#define RE(x) creal(x)

#define SCALAR_UNARY(f, x) _Generic((x), double complex: f##_complex, default: f##_real)(x)
#define SCALAR_BINARY(f, x, y) _Generic((x), double complex: f##_complex, default: f##_real)(x, y)
#define EXPM1(x) SCALAR_UNARY(expm1, x)
#define LOG1P(x) SCALAR_UNARY(log1p, x)
#define ERF(x) SCALAR_UNARY(erf, x)
#define NDTR(x) SCALAR_UNARY(ndtr, x)
#define POW(x, p) SCALAR_BINARY(pow, x, p)

/* re + im * I would give NaN where im is infinite; clang has no CMPLX. */
static inline double complex complex_of(double re, double im) {
    union {
        double part[2];
        double complex z;
    } u = {{re, im}};
    return u.z;
}

static inline double expm1_real(double x) { return expm1(x); }
static inline double complex expm1_complex(double complex x) {
    return complex_of(expm1(creal(x)), cimag(x) * exp(creal(x)));
}
static inline double log1p_real(double x) { return log1p(x); }
static inline double complex log1p_complex(double complex x) {
    return complex_of(log1p(creal(x)), cimag(x) / (1 + creal(x)));
}
static inline double erf_real(double x) { return erf(x); }
static inline double complex erf_complex(double complex x) {
    const double two_over_sqrt_pi = 1.1283791670955126;
    return complex_of(erf(creal(x)), cimag(x) * two_over_sqrt_pi * exp(-creal(x) * creal(x)));
}
/* The argument of erfc is rounded, which costs digits in the tail: hence the long double. */
static inline double ndtr_real(double x) {
    return (double)(erfcl(-(long double)x * 0.70710678118654752440L) / 2);
}
static inline double complex ndtr_complex(double complex x) {
    const double density = 0.3989422804014327; /* 1 / sqrt(2 pi) */
    double re = creal(x);
    return complex_of(ndtr_real(re), cimag(x) * density * exp(-re * re / 2));
}
static inline double pow_real(double x, double p) { return pow(x, p); }
static inline double complex pow_complex(double complex x, double complex p) {
    double xr = creal(x), pr = creal(p), y = pow(xr, pr), im = 0;
    if (cimag(x) != 0 && pr != 0) im += cimag(x) * pr * pow(xr, pr - 1);
    if (cimag(p) != 0 && xr > 0) im += cimag(p) * y * log(xr);
    return complex_of(y, im);
}

/* max and min of IEEE 754-2019: NaN passes, -0 < +0. */
static inline bool above(double a, double b) {
    return isnan(a) || a > b || (a == b && !signbit(a));
}
static inline bool below(double a, double b) {
    return isnan(a) || a < b || (a == b && signbit(a));
}

/* Integers wrap; division rounds down, by 0 it gives 0. */
static inline int64_t int_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static inline int64_t int_sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static inline int64_t int_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static inline int64_t int_div(int64_t a, int64_t b) {
    if (b == 0) return 0;
    if (b == -1) return int_sub(0, a);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
static inline int64_t int_mod(int64_t a, int64_t b) {
    if (b == 0 || b == -1) return 0;
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

#endif
