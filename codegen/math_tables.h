/* The polynomials of math_*.c, lowest coefficient first: made by scripts/polyfit.py. */
#ifndef BPC_MATH_TABLES_H
#define BPC_MATH_TABLES_H

/* error 2^-31.0 */
static const double exp_core_f32[] = {
    0x1.0000000000000p-1,
    0x1.5555560000000p-3,
    0x1.5554ee0000000p-5,
    0x1.110fe20000000p-7,
    0x1.6d463a0000000p-10,
    0x1.a28eac0000000p-13,
};
/* error 2^-61.7 */
static const double exp_core_f64[] = {
    0x1.0000000000000p-1,
    0x1.5555555555559p-3,
    0x1.5555555555557p-5,
    0x1.111111110f634p-7,
    0x1.6c16c16c1576bp-10,
    0x1.a01a01b019644p-13,
    0x1.a01a01ab1f438p-16,
    0x1.71ddf7c72818fp-19,
    0x1.27e4d11f7f0a9p-22,
    0x1.af5fc2a044125p-26,
    0x1.1f842c405852bp-29,
};
/* error 2^-30.2 */
static const double log_core_f32[] = {
    0x1.5555460000000p-2,
    -0x1.0000000000000p-2,
    0x1.99a54e0000000p-3,
    -0x1.555f240000000p-3,
    0x1.232ee80000000p-3,
    -0x1.fbbd660000000p-4,
    0x1.e703080000000p-4,
    -0x1.e073580000000p-4,
    0x1.16cc820000000p-4,
};
/* error 2^-58.4 */
static const double log_core_f64[] = {
    0x1.5555555555595p-1,
    0x1.999999997f26fp-2,
    0x1.249249427c051p-2,
    0x1.c71c51a2ab9e4p-3,
    0x1.746652a1abb6fp-3,
    0x1.399fd52cde488p-3,
    0x1.2f17dd6eda335p-3,
};
/* error 2^-72.3 */
static const double pow_core_f64[] = {
    0x1.9999999999995p-2,
    0x1.2492492493152p-2,
    0x1.c71c71c563dd2p-3,
    0x1.745d183e2d92cp-3,
    0x1.3b135feaf375bp-3,
    0x1.112116224c278p-3,
    0x1.de25871370b58p-4,
    0x1.eb7b8360d79ccp-4,
};
/* error 2^-29.5 */
static const double erf_core_f32[] = {
    0x1.06eba80000000p-3,
    -0x1.8127400000000p-2,
    0x1.ce2d500000000p-4,
    -0x1.b7fe8a0000000p-6,
    0x1.542da40000000p-8,
    -0x1.a506380000000p-11,
    0x1.4c227c0000000p-14,
};
/* error 2^-28.4 */
static const double erf_tail_f32[] = {
    0x1.05866e0000000p-2,
    -0x1.b571a80000000p-4,
    0x1.566df60000000p-5,
    -0x1.fa18780000000p-7,
    0x1.6711480000000p-8,
    -0x1.e487620000000p-10,
    0x1.090ab60000000p-11,
    -0x1.b63f560000000p-13,
    0x1.b0356e0000000p-14,
};
/* error 2^-56.2 */
static const double erf_core_f64[] = {
    0x1.06eba8214db69p-3,
    -0x1.812746b037a02p-2,
    0x1.ce2f21a043b38p-4,
    -0x1.b82ce312c8fadp-6,
    0x1.565bcd17e56c6p-8,
    -0x1.c02db5bebc0cdp-11,
    0x1.f9a35d4c5e156p-14,
    -0x1.f4d6e180f342fp-17,
    0x1.ba29abd1ce380p-20,
    -0x1.6222b59451540p-23,
    0x1.111b4834faa86p-26,
    -0x1.fb23ffd3e3fa4p-30,
    0x1.460e802bfde6dp-32,
    -0x1.361963392e873p-35,
};
/* error 2^-58.5 */
static const double erf_tail_f64[] = {
    0x1.058671b52c774p-2,
    -0x1.b57034efd3f70p-4,
    0x1.5672b9ea147edp-5,
    -0x1.fa9d3ac950482p-7,
    0x1.649072153b13ap-8,
    -0x1.e028e8a9911dcp-10,
    0x1.369ffa1eb8352p-11,
    -0x1.8382206f58c74p-13,
    0x1.d37ba084cc901p-15,
    -0x1.115d18d895c8ap-16,
    0x1.3697c08cb0e3dp-18,
    -0x1.5774dce8c6d6dp-20,
    0x1.7241c4be6961bp-22,
    -0x1.85f100f675465p-24,
    0x1.917f10c10d3b2p-26,
    -0x1.91ae90af50095p-28,
    0x1.87a305f99e891p-30,
    -0x1.885585451f969p-32,
    0x1.99fad02041275p-34,
    -0x1.72f21854764f1p-36,
    0x1.b4c913fb3d30bp-39,
    -0x1.ce0c232978aa8p-43,
};
/* error 2^-55.1 */
static const double ndtr_core_f64[] = {
    0x1.89d3abe1f95aep-1,
    -0x1.54ad03f27ca16p-1,
    0x1.fb31653876f6dp-2,
    -0x1.410ed5f875b17p-2,
    0x1.51f6329f0226dp-3,
    -0x1.1b1c254c951dbp-4,
    0x1.54b4d4f46243ap-6,
    -0x1.88590eb4828a7p-9,
    -0x1.a25037696856cp-11,
    0x1.1daf1e8b0b828p-11,
    -0x1.f21486a09a337p-15,
    -0x1.a17138efdea4ap-15,
    0x1.17de01b9eef43p-16,
    0x1.0b3176663be7ep-18,
    -0x1.73b94c41d33a7p-19,
    -0x1.6abb2a731eb1cp-22,
    0x1.d1499a63866a7p-22,
    0x1.784991f79ab5bp-25,
    -0x1.1a8d79e76ad67p-24,
    -0x1.65bf0ec314ac6p-27,
    0x1.f78894bb8a563p-28,
    0x1.1fada0dac008ap-29,
};
/* error 2^-26.0 */
static const double ndtr_short_f64[] = {
    0x1.9886bb02c1028p-2,
    0x1.9851251bafa55p+0,
    0x1.80a689e077ddcp+2,
    0x1.45823abba1e7fp+4,
    0x1.0abdbf903c1f2p+6,
    0x1.afb41eb615cdap+7,
    -0x1.3f49b8d05568ep+8,
    0x1.664d47998c116p+12,
    -0x1.3f67d698e181cp+14,
    0x1.3d522d4e18634p+14,
};
/* error 2^-29.0 */
static const double exp2_short_f64[] = {
    0x1.0000000296562p+0,
    0x1.62e430c9fc3e2p-1,
    0x1.ebfbda6bb2c8cp-3,
    0x1.c6aed1773b484p-5,
    0x1.3b2e019cfad85p-7,
    0x1.5f4731d1f283ep-10,
    0x1.41a89d12933f1p-13,
};

#endif
