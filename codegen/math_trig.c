/* sin and cos, in f64 for f32 too: x = q pi/2 + r, |r| <= pi/4. Up to 2^30 pi/2 is three doubles;
 * beyond, a function of the module multiplies x by the digits of 2/pi that matter. */
#include "codegen/math_internal.h"
#include "codegen/math_trig_tables.h"

#include <math.h>

#define HALF_PI_1 0x1.921fb54442d18p+0
#define HALF_PI_2 0x1.1a62633145c07p-54
#define HALF_PI_3 (-0x1.f1976b7ed8fbcp-110)

static const Poly sin_core = {sin_core_f64, LEN(sin_core_f64)};
static const Poly cos_core = {cos_core_f64, LEN(cos_core_f64)};
static const double near = 0x1p30;

/* What is left of x, and the quadrant in the low bits of q. */
typedef struct Quadrant {
    LLVMValueRef q; /* integer */
    Pair r;
} Quadrant;

/* r1 = x - n pi/2 to the first part is exact: n and the part have few bits below r1. */
static Quadrant reduce_near(const Math *m, LLVMValueRef x) {
    LLVMValueRef shift = m_const(m, m->f->shift), inverse = m_const(m, 0x1.45f306dc9c883p-1);
    LLVMValueRef t = m_fma(m, x, inverse, shift), minus_n = m_sub(m, shift, t);
    LLVMValueRef r1 = m_fma(m, minus_n, m_const(m, HALF_PI_1), x);
    Pair p = m_product(m, minus_n, m_const(m, HALF_PI_2));
    LLVMValueRef hi = m_add(m, r1, p.hi), back = m_sub(m, hi, r1);
    LLVMValueRef lost = m_add(m, m_sub(m, r1, m_sub(m, hi, back)), m_sub(m, p.hi, back));
    LLVMValueRef rest = m_fma(m, minus_n, m_const(m, HALF_PI_3), m_add(m, lost, p.lo));
    return (Quadrant){m_bits(m, t), m_sum(m, hi, rest)};
}

/* ---- huge arguments: a scalar function of the module ---- */

typedef struct Wide {
    LLVMBuilderRef b;
    LLVMTypeRef i64, i128;
} Wide;

static LLVMValueRef w_int(const Wide *w, uint64_t n) { return LLVMConstInt(w->i64, n, false); }

static LLVMValueRef table_of(LLVMModuleRef module, const Wide *w) {
    LLVMValueRef words[LEN(two_over_pi)];
    for (size_t i = 0; i < LEN(words); i++) words[i] = w_int(w, two_over_pi[i]);
    LLVMValueRef data = LLVMConstArray2(w->i64, words, LEN(words));
    LLVMValueRef table = LLVMAddGlobal(module, LLVMTypeOf(data), "two_over_pi");
    LLVMSetInitializer(table, data);
    LLVMSetLinkage(table, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(table, true);
    return table;
}

/* a * b + high half of c */
static LLVMValueRef multiply(const Wide *w, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c) {
    LLVMValueRef p = LLVMBuildMul(w->b, LLVMBuildZExt(w->b, a, w->i128, ""),
                                  LLVMBuildZExt(w->b, b, w->i128, ""), "");
    if (!c) return p;
    LLVMValueRef bits = LLVMConstInt(w->i128, 64, false);
    return LLVMBuildAdd(w->b, p, LLVMBuildLShr(w->b, c, bits, ""), "");
}

static LLVMValueRef funnel(const Wide *w, LLVMModuleRef module, LLVMValueRef hi, LLVMValueRef lo,
                           LLVMValueRef by) {
    LLVMTypeRef t = w->i64;
    unsigned id = LLVMLookupIntrinsicID("llvm.fshl", strlen("llvm.fshl"));
    LLVMTypeRef sig = LLVMIntrinsicGetType(LLVMGetTypeContext(t), id, &t, 1);
    return LLVMBuildCall2(w->b, sig, LLVMGetIntrinsicDeclaration(module, id, &t, 1),
                          (LLVMValueRef[]){hi, lo, by}, 3, "");
}

/* x 2/pi mod 4 as words[0 .. 2) of a number with 190 bits after the point: with x = m 2^(e - 52),
 * digits of 2/pi whose product with m is a multiple of 4 are left out. */
static void product_bits(const Wide *w, LLVMModuleRef module, LLVMValueRef bits,
                         LLVMValueRef *words) {
    LLVMValueRef mask = w_int(w, (UINT64_C(1) << 52) - 1), one = w_int(w, UINT64_C(1) << 52);
    LLVMValueRef mantissa = LLVMBuildOr(w->b, LLVMBuildAnd(w->b, bits, mask, ""), one, "");
    LLVMValueRef e = LLVMBuildAnd(w->b, LLVMBuildLShr(w->b, bits, w_int(w, 52), ""),
                                  w_int(w, 2047), "");
    LLVMValueRef from = LLVMBuildSub(w->b, e, w_int(w, 1023 - 10), "");
    LLVMValueRef at = LLVMBuildLShr(w->b, from, w_int(w, 6), ""), d[4], table = table_of(module, w);
    for (uint64_t i = 0; i < LEN(d); i++) {
        LLVMValueRef k = LLVMBuildAdd(w->b, at, w_int(w, i), "");
        LLVMValueRef p = LLVMBuildInBoundsGEP2(w->b, w->i64, table, &k, 1, "");
        d[i] = LLVMBuildLoad2(w->b, w->i64, p, "");
    }
    LLVMValueRef by = LLVMBuildAnd(w->b, from, w_int(w, 63), ""), sum = NULL, part[3];
    for (int i = 2; i >= 0; i--) {
        sum = multiply(w, mantissa, funnel(w, module, d[i], d[i + 1], by), sum);
        part[i] = LLVMBuildTrunc(w->b, sum, w->i64, "");
    }
    words[0] = part[0];
    words[1] = part[1];
    words[2] = part[2];
}

/* The fraction of words, between -1/2 and 1/2, times pi/2. */
static Pair fraction(const Math *m, const Wide *w, LLVMValueRef top, LLVMValueRef low) {
    LLVMTypeRef f64 = m->type;
    LLVMValueRef half = w_int(w, 32), mask = w_int(w, UINT32_MAX), p[4];
    p[0] = LLVMBuildSIToFP(w->b, LLVMBuildAShr(w->b, top, half, ""), f64, "");
    p[1] = LLVMBuildSIToFP(w->b, LLVMBuildAnd(w->b, top, mask, ""), f64, "");
    p[2] = LLVMBuildSIToFP(w->b, LLVMBuildLShr(w->b, low, half, ""), f64, "");
    p[3] = LLVMBuildSIToFP(w->b, LLVMBuildAnd(w->b, low, mask, ""), f64, "");
    for (int i = 0; i < 4; i++) p[i] = m_mul(m, p[i], m_const(m, ldexp(1, -32 * (i + 1))));
    Pair f = m_sum(m, p[0], p[1]);
    f = m_sum(m, f.hi, m_add(m, f.lo, m_add(m, p[2], p[3])));
    Pair r = m_product(m, f.hi, m_const(m, HALF_PI_1));
    LLVMValueRef cross = m_fma(m, f.hi, m_const(m, HALF_PI_2), r.lo);
    return m_sum(m, r.hi, m_fma(m, f.lo, m_const(m, HALF_PI_1), cross));
}

/* { q, r.hi, r.lo } of a finite double of at least 2^30 */
static LLVMValueRef huge_function(LLVMModuleRef module, LLVMTypeRef f64, LLVMTypeRef *type) {
    static const char name[] = "bp_huge_angle";
    LLVMContextRef c = LLVMGetTypeContext(f64);
    LLVMTypeRef i64 = LLVMInt64TypeInContext(c);
    LLVMTypeRef result = LLVMStructTypeInContext(c, (LLVMTypeRef[]){i64, f64, f64}, 3, false);
    *type = LLVMFunctionType(result, &f64, 1, false);
    LLVMValueRef fn = LLVMGetNamedFunction(module, name);
    if (fn) return fn;
    fn = LLVMAddFunction(module, name, *type);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(c);
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(c, fn, "entry"));
    Wide w = {b, i64, LLVMInt128TypeInContext(c)};
    LLVMValueRef x = LLVMGetParam(fn, 0), p[3];
    Math m = math_in(b, x);
    product_bits(&w, module, m_bits(&m, x), p);
    LLVMValueRef two = w_int(&w, 2);
    LLVMValueRef top = funnel(&w, module, p[0], p[1], two);
    LLVMValueRef low = funnel(&w, module, p[1], p[2], two);
    LLVMValueRef up = LLVMBuildLShr(b, top, w_int(&w, 63), "");
    LLVMValueRef q = LLVMBuildAdd(b, LLVMBuildLShr(b, p[0], w_int(&w, 62), ""), up, "");
    Pair r = fraction(&m, &w, top, low);
    LLVMValueRef negative = m_cmp(&m, LLVMRealOLT, x, m_const(&m, 0));
    q = m_select(&m, negative, LLVMBuildNeg(b, q, ""), q);
    r.hi = m_select(&m, negative, m_neg(&m, r.hi), r.hi);
    r.lo = m_select(&m, negative, m_neg(&m, r.lo), r.lo);
    LLVMBuildAggregateRet(b, (LLVMValueRef[]){q, r.hi, r.lo}, 3);
    LLVMDisposeBuilder(b);
    return fn;
}

/* ---- both ---- */

static unsigned lanes_of(LLVMTypeRef t) {
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetVectorSize(t) : 1;
}

static LLVMValueRef with_lane(const Math *m, LLVMValueRef v, LLVMValueRef x, unsigned lane) {
    if (lanes_of(m->type) == 1) return x;
    LLVMTypeRef i32 = LLVMInt32TypeInContext(LLVMGetTypeContext(m->type));
    return LLVMBuildInsertElement(m->b, v, x, LLVMConstInt(i32, lane, false), "");
}

/* All lanes by the function of the module. */
static Quadrant reduce_huge(const Math *m, LLVMValueRef x) {
    LLVMModuleRef module = LLVMGetGlobalParent(LLVMGetBasicBlockParent(LLVMGetInsertBlock(m->b)));
    LLVMContextRef c = LLVMGetTypeContext(m->type);
    LLVMTypeRef type, i32 = LLVMInt32TypeInContext(c);
    LLVMValueRef fn = huge_function(module, LLVMDoubleTypeInContext(c), &type);
    Quadrant h = {LLVMGetPoison(m->itype), {LLVMGetPoison(m->type), LLVMGetPoison(m->type)}};
    for (unsigned l = 0; l < lanes_of(m->type); l++) {
        LLVMValueRef lane = LLVMConstInt(i32, l, false), one = x;
        if (lanes_of(m->type) > 1) one = LLVMBuildExtractElement(m->b, x, lane, "");
        LLVMValueRef r = LLVMBuildCall2(m->b, type, fn, &one, 1, "");
        h.q = with_lane(m, h.q, LLVMBuildExtractValue(m->b, r, 0, ""), l);
        h.r.hi = with_lane(m, h.r.hi, LLVMBuildExtractValue(m->b, r, 1, ""), l);
        h.r.lo = with_lane(m, h.r.lo, LLVMBuildExtractValue(m->b, r, 2, ""), l);
    }
    return h;
}

static LLVMValueRef any(const Math *m, LLVMValueRef mask) {
    unsigned n = lanes_of(m->type);
    if (n == 1) return mask;
    LLVMTypeRef bits = LLVMIntTypeInContext(LLVMGetTypeContext(m->type), n);
    LLVMValueRef v = LLVMBuildBitCast(m->b, mask, bits, "");
    return LLVMBuildICmp(m->b, LLVMIntNE, v, LLVMConstNull(bits), "");
}

static LLVMValueRef merge(const Math *m, LLVMValueRef a, LLVMBasicBlockRef from_a, LLVMValueRef b,
                          LLVMBasicBlockRef from_b) {
    LLVMValueRef phi = LLVMBuildPhi(m->b, LLVMTypeOf(a), "");
    LLVMAddIncoming(phi, &a, &from_a, 1);
    LLVMAddIncoming(phi, &b, &from_b, 1);
    return phi;
}

/* Lanes at or beyond `near` are done the long way, if there is one. */
static Quadrant reduce(const Math *m, LLVMValueRef x) {
    LLVMContextRef c = LLVMGetTypeContext(m->type);
    Quadrant a = reduce_near(m, x), h;
    LLVMValueRef size = m_abs(m, x);
    LLVMValueRef far = LLVMBuildAnd(m->b, m_cmp(m, LLVMRealOGE, size, m_const(m, near)),
                                    m_cmp(m, LLVMRealOLT, size, m_const(m, INFINITY)), "");
    LLVMBasicBlockRef before = LLVMGetInsertBlock(m->b);
    LLVMValueRef fn = LLVMGetBasicBlockParent(before);
    LLVMBasicBlockRef rare = LLVMAppendBasicBlockInContext(c, fn, "huge");
    LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(c, fn, "angle");
    LLVMBuildCondBr(m->b, any(m, far), rare, after);
    LLVMPositionBuilderAtEnd(m->b, rare);
    h = reduce_huge(m, m_select(m, far, x, m_const(m, near)));
    h.q = m_select(m, far, h.q, a.q);
    h.r.hi = m_select(m, far, h.r.hi, a.r.hi);
    h.r.lo = m_select(m, far, h.r.lo, a.r.lo);
    LLVMBuildBr(m->b, after);
    LLVMPositionBuilderAtEnd(m->b, after);
    return (Quadrant){merge(m, a.q, before, h.q, rare),
                      {merge(m, a.r.hi, before, h.r.hi, rare),
                       merge(m, a.r.lo, before, h.r.lo, rare)}};
}

/* r + r^3 p(r^2) + (1 - r^2 / 2) lo */
static LLVMValueRef sin_of(const Math *m, Pair r, LLVMValueRef z) {
    LLVMValueRef cube = m_mul(m, r.hi, z), half = m_const(m, -0.5);
    LLVMValueRef lo = m_mul(m, r.lo, m_fma(m, z, half, m_const(m, 1)));
    return m_add(m, r.hi, m_fma(m, cube, m_poly(m, z, sin_core), lo));
}

/* 1 - r^2 / 2 + r^4 p(r^2) - r lo, where rounding 1 - r^2 / 2 is made good */
static LLVMValueRef cos_of(const Math *m, Pair r, LLVMValueRef z) {
    LLVMValueRef half = m_mul(m, z, m_const(m, 0.5)), one = m_const(m, 1);
    LLVMValueRef w = m_sub(m, one, half), lost = m_sub(m, m_sub(m, one, w), half);
    LLVMValueRef p = m_fma(m, m_mul(m, z, z), m_poly(m, z, cos_core), lost);
    return m_add(m, w, m_fma(m, m_neg(m, r.hi), r.lo, p));
}

/* sin(x + turn pi/2) */
static LLVMValueRef sin_f64(const Math *m, LLVMValueRef x, uint64_t turn) {
    LLVMBuilderRef b = m->b;
    Quadrant a = reduce(m, x);
    LLVMValueRef z = m_mul(m, a.r.hi, a.r.hi), none = m_int(m, 0);
    LLVMValueRef q = LLVMBuildAdd(b, a.q, m_int(m, turn), "");
    LLVMValueRef odd = LLVMBuildAnd(b, q, m_int(m, 1), "");
    LLVMValueRef sign = LLVMBuildShl(b, LLVMBuildAnd(b, q, m_int(m, 2), ""), m_int(m, 62), "");
    LLVMValueRef r = m_select(m, LLVMBuildICmp(b, LLVMIntEQ, odd, none, ""), sin_of(m, a.r, z),
                              cos_of(m, a.r, z));
    r = m_float(m, LLVMBuildXor(b, m_bits(m, r), sign, ""));
    LLVMValueRef finite = m_cmp(m, LLVMRealOLT, m_abs(m, x), m_const(m, INFINITY));
    return m_select(m, finite, r, m_const(m, NAN));
}

static LLVMValueRef sin_turned(LLVMBuilderRef b, LLVMValueRef x, uint64_t turn) {
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMTypeRef wide = math_type_like(x, LLVMDoubleTypeInContext(LLVMGetTypeContext(type)));
    LLVMValueRef y = wide == type ? x : LLVMBuildFPExt(b, x, wide, "");
    Math m = math_in(b, y);
    LLVMValueRef r = sin_f64(&m, y, turn);
    return wide == type ? r : LLVMBuildFPTrunc(b, r, type, "");
}

LLVMValueRef math_sin(LLVMBuilderRef b, LLVMValueRef x) {
    Math m = math_in(b, x);
    LLVMValueRef r = sin_turned(b, x, 0);
    return m_select(&m, m_cmp(&m, LLVMRealOEQ, x, m_const(&m, 0)), x, r);
}

LLVMValueRef math_cos(LLVMBuilderRef b, LLVMValueRef x) { return sin_turned(b, x, 1); }
