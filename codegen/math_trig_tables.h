/* The polynomials of math_*.c, lowest coefficient first: made by scripts/polyfit.py. */
#ifndef BPC_MATH_TRIG_TABLES_H
#define BPC_MATH_TRIG_TABLES_H

/* error 2^-57.9 */
static const double sin_core_f64[] = {
    -0x1.5555555555548p-3,
    0x1.111111110f772p-7,
    -0x1.a01a019bf5b4ep-13,
    0x1.71de35625bc89p-19,
    -0x1.ae5e570a72819p-26,
    0x1.5d8eece4ac672p-33,
};
/* error 2^-64.1 */
static const double cos_core_f64[] = {
    0x1.555555555554bp-5,
    -0x1.6c16c16c15045p-10,
    0x1.a01a019c966bdp-16,
    -0x1.27e4f7f7e3677p-22,
    0x1.1ee9e083632c4p-29,
    -0x1.8fa910d30823dp-37,
};
static const uint64_t two_over_pi[] = {
    0x0000000000000000,
    0xA2F9836E4E441529,
    0xFC2757D1F534DDC0,
    0xDB6295993C439041,
    0xFE5163ABDEBBC561,
    0xB7246E3A424DD2E0,
    0x06492EEA09D1921C,
    0xFE1DEB1CB129A73E,
    0xE88235F52EBB4484,
    0xE99C7026B45F7E41,
    0x3991D639835339F4,
    0x9C845F8BBDF9283B,
    0x1FF897FFDE05980F,
    0xEF2F118B5A0A6D1F,
    0x6D367ECF27CB09B7,
    0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B,
    0x3D0739F78A5292EA,
    0x6BFB5FB11F8D5D08,
    0x56033046FC7B6BAB,
    0xF0CFBC209AF4361D,
};

#endif
