#!/usr/bin/env python3
"""Makes codegen/math_tables.h: the polynomials of exp, log, erf, ...

    scripts/polyfit.py > codegen/math_tables.h
    scripts/polyfit.py trig > codegen/math_trig_tables.h

Weighted least squares on Chebyshev points in 60 digits, which is within a factor of two of the
minimax error. Coefficients are rounded to the type one by one from the lowest, each time refitting
the rest. Needs mpmath.
"""
import struct
import sys

from mpmath import mp, mpf

mp.dps = 60


def rounded(x, bits):
    """x rounded to f32 (bits == 32) or f64."""
    if bits == 32:
        return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])
    return mpf(float(x))


def grid(lo, hi, n):
    """Chebyshev points, which crowd towards the ends."""
    return [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * k / (n - 1)) for k in range(n)]


def solve(xs, fs, ws, n, first):
    """The n coefficients of x^first ... with the least sum of squared weighted errors."""
    rows = [[w * x ** (k + first) for k in range(n)] for x, w in zip(xs, ws)]
    fs = [f * w for f, w in zip(fs, ws)]
    normal = mp.matrix(n, n)
    right = mp.matrix(n, 1)
    for i in range(n):
        right[i] = mp.fdot((row[i], f) for row, f in zip(rows, fs))
        for j in range(n):
            normal[i, j] = mp.fdot((row[i], row[j]) for row in rows)
    return list(mp.lu_solve(normal, right))


def fit(f, weight, lo, hi, n, bits):
    """Coefficients, lowest first, in the type, and the largest weighted error."""
    xs = [x for x in grid(mpf(lo), mpf(hi), 8 * n + 1) if x != 0]
    fs, ws = [f(x) for x in xs], [weight(x) for x in xs]
    c, rest = [], fs
    for k in range(n):
        low = rounded(solve(xs, rest, ws, n - k, k)[0], bits)
        c.append(low)
        rest = [r - low * x ** k for r, x in zip(rest, xs)]
    return c, max(abs(r * w) for r, w in zip(rest, ws))


def table(name, bits, f, weight, lo, hi, n):
    c, err = fit(f, weight, lo, hi, n, bits)
    print(f"/* error 2^{float(mp.log(err, 2)):.1f} */")
    print(f"static const double {name}_f{bits}[] = {{")
    for k in c:
        print(f"    {float(k).hex()},")
    print("};")


def small(x, f, terms):
    """f(x), or near 0 its series: the quotients below lose digits there."""
    return f(x) if abs(x) > mpf(10) ** -8 else sum(t * x ** k for k, t in enumerate(terms))


def exp_core(x):
    return small(x, lambda r: (mp.expm1(r) - r) / r ** 2,
                 [mpf(1) / mp.factorial(k + 2) for k in range(8)])


def log_core(x):
    return small(x, lambda r: (mp.log1p(r) - r + r * r / 2) / r ** 3,
                 [mpf((-1) ** k) / (k + 3) for k in range(8)])


def atanh_core(z):
    """log(1 + f) = 2s + s^3 * this, s = f / (2 + f), z = s^2."""
    return small(z, lambda y: (mp.log((1 + mp.sqrt(y)) / (1 - mp.sqrt(y))) / mp.sqrt(y) - 2) / y,
                 [mpf(2) / (2 * k + 3) for k in range(8)])


def pow_core(z):
    """The terms of log after the cubic one: s^5 * this."""
    return small(z, lambda y: (atanh_core(y) - mpf(2) / 3) / y,
                 [mpf(2) / (2 * k + 5) for k in range(8)])


def erf_core(z):
    """erf(x) = x + x * this, z = x^2."""
    return small(z, lambda y: mp.erf(mp.sqrt(y)) / mp.sqrt(y) - 1,
                 [2 / mp.sqrt(mp.pi) * (-1) ** k / (mp.factorial(k) * (2 * k + 1)) - (k == 0)
                  for k in range(8)])


def erf_tail(u):
    """erfc(x) = exp(-x^2) * this, u = x - 2."""
    return mp.erfc(u + 2) * mp.exp((u + 2) ** 2)


def tail_weight(u):
    return mp.exp(-(u + 2) ** 2)


def ndtr_core(u):
    """Phi(-z) = exp(-z^2 / 2) / (z + 5) * this, u = (z - 5) / (z + 5)."""
    z = 5 * (1 + u) / (1 - u)
    return mills(z) * (z + 5)


def mills(z):
    """Phi(-z) = exp(-z^2 / 2) * this."""
    return mp.erfc(z / mp.sqrt(2)) * mp.exp(z * z / 2) / 2


def ndtr_short(r):
    """Phi(-z) = exp(-z^2 / 2) r * this, r = 1 / (z + 4)."""
    return mills(1 / r - 4) / r


def sin_core(z):
    """sin(x) = x + x^3 * this, z = x^2."""
    return small(z, lambda y: (mp.sin(mp.sqrt(y)) / mp.sqrt(y) - 1) / y,
                 [mpf((-1) ** (k + 1)) / mp.factorial(2 * k + 3) for k in range(8)])


def cos_core(z):
    """cos(x) = 1 - x^2 / 2 + x^4 * this."""
    return small(z, lambda y: (mp.cos(mp.sqrt(y)) - 1 + y / 2) / y ** 2,
                 [mpf((-1) ** k) / mp.factorial(2 * k + 4) for k in range(8)])


def two_over_pi(words):
    """64 zero bits, then the binary digits of 2 / pi."""
    mp.dps = 20 * words
    digits = int(mp.floor(2 / mp.pi * mpf(2) ** (64 * (words - 1))))
    print("static const uint64_t two_over_pi[] = {")
    for k in reversed(range(words)):
        print(f"    0x{digits >> (64 * k) & 0xFFFFFFFFFFFFFFFF:016X},")
    print("};")


def tables():
    half = mp.log(2) / 2 * (1 + mpf(2) ** -10)
    lo, hi = mp.sqrt(mpf(1) / 2) - 1, mp.sqrt(2) - 1
    zmax = (hi / (2 + hi)) ** 2
    one = lambda x: 1
    terms = lambda bits, a, b: a if bits == 32 else b
    for bits in (32, 64):
        table("exp_core", bits, exp_core, lambda x: abs(x), -half, half, terms(bits, 6, 11))
    table("log_core", 32, log_core, lambda x: x * x, lo, hi, 9)
    table("log_core", 64, atanh_core, lambda z: z, 0, zmax, 7)
    table("pow_core", 64, pow_core, lambda z: z * z, 0, zmax, 8)
    for bits in (32, 64):
        table("erf_core", bits, erf_core, one, 0, 1, terms(bits, 7, 14))
        table("erf_tail", bits, erf_tail, tail_weight, -1, terms(bits, 2, 4), terms(bits, 9, 22))
    table("ndtr_core", 64, ndtr_core, lambda u: 1 / ndtr_core(u), -1, mpf(34) / 44, 22)
    table("ndtr_short", 64, ndtr_short, lambda r: 1 / ndtr_short(r), mpf(1) / 24, mpf(1) / 4, 10)
    table("exp2_short", 64, lambda r: 2 ** r, lambda r: 2 ** -r, -mpf(0.5001), mpf(0.5001), 7)


def trig_tables():
    quarter = (mp.pi / 4 * (1 + mpf(2) ** -20)) ** 2
    table("sin_core", 64, sin_core, lambda z: z, 0, quarter, 6)
    table("cos_core", 64, cos_core, lambda z: z * z, 0, quarter, 6)
    two_over_pi(21)


def main():
    trig = sys.argv[1:] == ["trig"]
    guard = "BPC_MATH_TRIG_TABLES_H" if trig else "BPC_MATH_TABLES_H"
    print("/* The polynomials of math_*.c, lowest coefficient first: made by scripts/polyfit.py. */")
    print(f"#ifndef {guard}\n#define {guard}\n")
    trig_tables() if trig else tables()
    print("\n#endif")


if __name__ == "__main__":
    sys.exit(main())
