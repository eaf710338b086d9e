/* The sums of a tile over its taps, in the order of docs/numerics.md: places of the window row by
 * row, the channels of each. */
#include "codegen/conv_internal.h"

enum { Unrolled = 320 }; /* multiply-adds that are written out one after the other */

static V address(const ConvKernel *c, V base, V at) {
    return LLVMBuildInBoundsGEP2(c->c.cg->b, cg_mem_type(c->c.cg, c->c.dt), base, &at, 1, "");
}

static Matrix element_at(const ConvKernel *c, V base, int64_t off, int64_t lane) {
    return (Matrix){.base = address(c, base, cg_i64(c->c.cg, off)), .col = lane};
}

/* One tap, with both operands at it. */
static void step(const ConvKernel *c, const ConvSide *a, V at_a, const ConvSide *b, V at_b,
                 V *sums) {
    Cg *cg = c->c.cg;
    V vec[MaxConvSide], zero = cg_i64(cg, 0);
    for (unsigned j = 0; j < b->n; j++) {
        Matrix m = element_at(c, at_b, b->off[j], b->lane);
        vec[j] = contract_vector(&c->c, &m, zero, zero, 1, b->lanes[j], b->valid[j]);
    }
    for (unsigned i = 0; i < a->n; i++) {
        Matrix m = element_at(c, at_a, a->off[i], 0);
        V x = contract_element(&c->c, &m, zero, zero);
        for (unsigned j = 0; j < b->n; j++) {
            V *sum = &sums[i * b->n + j];
            *sum = contract_fma(&c->c, cg_splat(cg, x, b->lanes[j]), vec[j], *sum);
        }
    }
}

/* Where operand s is at place q of the window. */
static V at_place(const ConvKernel *c, const ConvSide *s, V q) {
    Cg *cg = c->c.cg;
    V at = cg_i64(cg, 0);
    for (int d = MaxSpatial; d-- > 0;) {
        int64_t taps = c->axis[d].taps, before = 1;
        for (int e = 0; e < d; e++) before *= c->axis[e].taps;
        if (taps == 1) continue;
        V k = before > 1 ? LLVMBuildURem(cg->b, q, cg_i64(cg, taps), "") : q;
        if (before > 1) q = LLVMBuildUDiv(cg->b, q, cg_i64(cg, taps), "");
        at = cg_add(cg, cg_mul_imm(cg, k, s->tap[d]), at);
    }
    return address(c, s->base, at);
}

/* The channels [from, to) of one place. */
static void channels(const ConvKernel *c, const ConvSide *a, const ConvSide *b, V q, V from, V to,
                     V *sums) {
    Cg *cg = c->c.cg;
    V pa = at_place(c, a, q), pb = at_place(c, b, q);
    unsigned n = a->n * b->n;
    bool all = LLVMIsAConstantInt(from) && LLVMIsAConstantInt(to);
    if (all && c->s.i * n <= Unrolled) {
        for (int64_t i = 0; i < c->s.i; i++) {
            step(c, a, address(c, pa, cg_i64(cg, i * a->channel)), b,
                 address(c, pb, cg_i64(cg, i * b->channel)), sums);
        }
        return;
    }
    Loop l;
    V i = loop_open(cg, &l, from, to, 1, sums, n);
    copy_bytes(sums, l.phi, n * sizeof *sums);
    step(c, a, address(c, pa, cg_mul_imm(cg, i, a->channel)), b,
         address(c, pb, cg_mul_imm(cg, i, b->channel)), sums);
    loop_close(cg, &l, sums);
    copy_bytes(sums, l.phi, n * sizeof *sums);
}

static V lesser(Cg *cg, V a, V b) {
    return LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, a, b, ""), a, b, "");
}
static V at_least(Cg *cg, V a, V b) {
    return LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, a, b, ""), b, a, "");
}

void conv_accumulate(const ConvKernel *c, const ConvSide *a, const ConvSide *b, V from, V to,
                     V *sums) {
    Cg *cg = c->c.cg;
    unsigned n = a->n * b->n;
    V zero = cg_i64(cg, 0), per = cg_i64(cg, c->s.i), first = zero, last = per;
    if (!c->taps) return;
    if (!from && c->taps * n <= Unrolled) {
        for (int64_t q = 0; q < c->taps / c->s.i; q++)
            channels(c, a, b, cg_i64(cg, q), zero, per, sums);
        return;
    }
    Loop l;
    V q0 = from ? LLVMBuildUDiv(cg->b, from, per, "") : zero, q1 = cg_i64(cg, c->taps / c->s.i);
    if (from) q1 = LLVMBuildUDiv(cg->b, cg_add_imm(cg, to, c->s.i - 1), per, "");
    V q = loop_open(cg, &l, q0, q1, 1, sums, n);
    copy_bytes(sums, l.phi, n * sizeof *sums);
    if (from && SumBlock % c->s.i) {
        V start = LLVMBuildMul(cg->b, q, per, "");
        first = at_least(cg, LLVMBuildSub(cg->b, from, start, ""), zero);
        last = lesser(cg, LLVMBuildSub(cg->b, to, start, ""), per);
    }
    channels(c, a, b, q, first, last, sums);
    loop_close(cg, &l, sums);
    copy_bytes(sums, l.phi, n * sizeof *sums);
}
