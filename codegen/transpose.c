/* Square blocks of registers, transposed by shuffles that are one instruction each where they stay
 * within 128 bits or move such pieces whole. */
#include "codegen/internal.h"

/* Of two vectors: lane l of the result is lane from[l] of them laid end to end. */
static V shuffle(Cg *cg, V x, V y, const unsigned *from) {
    unsigned lanes = cg_lanes_of(x);
    V mask[MaxLanes];
    for (unsigned l = 0; l < lanes; l++) mask[l] = cg_int(cg->i32, from[l]);
    return LLVMBuildShuffleVector(cg->b, x, y, LLVMConstVector(mask, lanes), "");
}

/* Exchanges, in rows a and b, the off-diagonal blocks of size d. */
static void exchange(Cg *cg, V *a, V *b, unsigned d) {
    unsigned lanes = cg_lanes_of(*a), low[MaxLanes], high[MaxLanes];
    for (unsigned l = 0; l < lanes; l++) {
        bool second = l & d;
        low[l] = second ? lanes + l - d : l;
        high[l] = second ? lanes + l : l + d;
    }
    V x = *a, y = *b;
    *a = shuffle(cg, x, y, low);
    *b = shuffle(cg, x, y, high);
}

/* Runs of n lanes of a and b in turns, out of the low and the high halves of every four lanes. */
static void interleave(Cg *cg, V *a, V *b, unsigned n) {
    unsigned lanes = cg_lanes_of(*a), low[MaxLanes], high[MaxLanes];
    for (unsigned l = 0; l < lanes; l++) {
        unsigned run = l % 4 / n, from = l - l % 4 + run / 2 * n + l % n;
        low[l] = from + (run % 2 ? lanes : 0);
        high[l] = low[l] + 2;
    }
    V x = *a, y = *b;
    *a = shuffle(cg, x, y, low);
    *b = shuffle(cg, x, y, high);
}

/* Every 4 x 4 block of four rows. */
static void quad(Cg *cg, V *r) {
    V t[] = {r[0], r[1], r[2], r[3]};
    interleave(cg, &t[0], &t[1], 1);
    interleave(cg, &t[2], &t[3], 1);
    interleave(cg, &t[0], &t[2], 2);
    interleave(cg, &t[1], &t[3], 2);
    r[0] = t[0];
    r[1] = t[2];
    r[2] = t[1];
    r[3] = t[3];
}

static bool has_32_bits(V v) {
    T of = LLVMGetElementType(LLVMTypeOf(v));
    return LLVMGetTypeKind(of) == LLVMFloatTypeKind ||
           (LLVMGetTypeKind(of) == LLVMIntegerTypeKind && LLVMGetIntTypeWidth(of) == 32);
}

void cg_transpose(Cg *cg, V *rows, unsigned lanes, unsigned block) {
    unsigned fours = block >= 4 && has_32_bits(rows[0]) ? 4 : 1;
    for (unsigned d = block / 2; d >= fours; d /= 2) {
        for (unsigned i = 0; i < lanes; i++) {
            if (!(i & d)) exchange(cg, &rows[i], &rows[i + d], d);
        }
    }
    for (unsigned i = 0; fours > 1 && i < lanes; i += 4) quad(cg, &rows[i]);
}
