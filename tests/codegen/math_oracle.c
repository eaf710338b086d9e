/* Reference values of elementary functions. */
#include "tests/codegen/math_oracle.h"

#include <float.h>
#include <math.h>
#include <mpfr.h>

enum { Bits = 160 };

typedef enum Which { Exp, Expm1, Log, Log1p, Tanh, Sigmoid, Erf, Pow, Sin, Cos, Gelu } Which;

static double quick_exp(double x, double y) { (void)y; return exp(x); }
static double quick_expm1(double x, double y) { (void)y; return expm1(x); }
static double quick_log(double x, double y) { (void)y; return log(x); }
static double quick_log1p(double x, double y) { (void)y; return log1p(x); }
static double quick_tanh(double x, double y) { (void)y; return tanh(x); }
static double quick_sigmoid(double x, double y) { (void)y; return 1 / (1 + exp(-x)); }
static double quick_sin(double x, double y) { (void)y; return sin(x); }
static double quick_cos(double x, double y) { (void)y; return cos(x); }
static double quick_gelu(double x, double y) {
    (void)y;
    return (double)(x * erfcl(-(long double)x * 0.70710678118654752440L) / 2);
}
static double quick_erf(double x, double y) { (void)y; return erf(x); }

const Oracle oracles[OracleCount] = {
    {"exp", false, quick_exp, Exp, -750, 712, 1.25, 1.25},
    {"expm1", false, quick_expm1, Expm1, -40, 40, 1.25, 1.25},
    {"log", false, quick_log, Log, 0, 3, 1.25, 1.25},
    {"log1p", false, quick_log1p, Log1p, -1, 3, 1.25, 1.25},
    {"tanh", false, quick_tanh, Tanh, -20, 20, 1.25, 1.25},
    {"sigmoid", false, quick_sigmoid, Sigmoid, -750, 40, 1.25, 1.25},
    {"erf", false, quick_erf, Erf, -7, 7, 1.25, 1.25},
    {"pow", true, pow, Pow, 0, 20, 1.25, 1.25},
    {"sin", false, quick_sin, Sin, -100, 100, 1.25, 1.25},
    {"cos", false, quick_cos, Cos, -1e9, 1e9, 1.25, 1.25},
    {"gelu", false, quick_gelu, Gelu, -39, 9, 1.25, 4},
};

static void sigmoid(mpfr_t r, mpfr_t x) {
    mpfr_neg(r, x, MPFR_RNDN);
    mpfr_exp(r, r, MPFR_RNDN);
    mpfr_add_ui(r, r, 1, MPFR_RNDN);
    mpfr_ui_div(r, 1, r, MPFR_RNDN);
}

static void gelu(mpfr_t r, mpfr_t x) {
    mpfr_t half;
    mpfr_init2(half, Bits);
    mpfr_set_d(half, 0.5, MPFR_RNDN);
    mpfr_sqrt(half, half, MPFR_RNDN);
    mpfr_mul(r, x, half, MPFR_RNDN);
    mpfr_neg(r, r, MPFR_RNDN);
    mpfr_erfc(r, r, MPFR_RNDN);
    mpfr_mul(r, r, x, MPFR_RNDN);
    mpfr_div_2ui(r, r, 1, MPFR_RNDN);
    mpfr_clear(half);
}

static void reference(Which which, mpfr_t r, mpfr_t x, mpfr_t y) {
    switch (which) {
    case Exp: mpfr_exp(r, x, MPFR_RNDN); break;
    case Expm1: mpfr_expm1(r, x, MPFR_RNDN); break;
    case Log: mpfr_log(r, x, MPFR_RNDN); break;
    case Log1p: mpfr_log1p(r, x, MPFR_RNDN); break;
    case Tanh: mpfr_tanh(r, x, MPFR_RNDN); break;
    case Sigmoid: sigmoid(r, x); break;
    case Erf: mpfr_erf(r, x, MPFR_RNDN); break;
    case Sin: mpfr_sin(r, x, MPFR_RNDN); break;
    case Cos: mpfr_cos(r, x, MPFR_RNDN); break;
    case Gelu: gelu(r, x); break;
    case Pow: mpfr_pow(r, x, y, MPFR_RNDN); break;
    }
}

/* |got - r| in units in the last place of r, at least 2^-1074. */
static double distance(mpfr_t r, double got) {
    double ref = mpfr_get_d(r, MPFR_RNDN);
    if (isnan(ref)) return isnan(got) ? 0 : INFINITY;
    if (isinf(ref)) return got == ref ? 0 : got == copysign(DBL_MAX, ref) ? 1 : INFINITY;
    if (isinf(got)) return fabs(ref) == DBL_MAX ? 1 : INFINITY;
    mpfr_exp_t e = mpfr_zero_p(r) ? -1074 : mpfr_get_exp(r) - 53;
    if (e < -1074) e = -1074;
    mpfr_t d;
    mpfr_init2(d, Bits);
    mpfr_sub_d(d, r, got, MPFR_RNDN);
    mpfr_mul_2si(d, d, -e, MPFR_RNDN);
    double result = fabs(mpfr_get_d(d, MPFR_RNDN));
    mpfr_clear(d);
    return result;
}

double oracle_ulps(const Oracle *o, double x, double y, double got) {
    mpfr_t mx, my, r;
    mpfr_inits2(Bits, mx, my, r, (mpfr_ptr)0);
    mpfr_set_d(mx, x, MPFR_RNDN);
    mpfr_set_d(my, y, MPFR_RNDN);
    reference((Which)o->which, r, mx, my);
    double e = distance(r, got);
    mpfr_clears(mx, my, r, (mpfr_ptr)0);
    return e;
}
