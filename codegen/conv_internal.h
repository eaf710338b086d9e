/* Convolutions of static sizes as direct loops around register tiles. Every tap lies inside of x
 * (passes/layout.c), so that operands are read in place:
 *
 *   for each tap (k, i) in order: sums[a][b] += broadcast(A[a] at the tap) * vector(B[b] at the
 * tap)
 *
 * By filters, vectors hold neighbouring filters and rows are places; by places, vectors run along
 * the last spatial axis and rows are filters. An output of x spread by lhs_dilation is computed in
 * phases: outputs p of equal p mod lhs_dilation see the same taps. */
#ifndef BPC_CONV_INTERNAL_H
#define BPC_CONV_INTERNAL_H

#include "codegen/contract_internal.h"

enum { MaxConvSide = 32 };

typedef struct PhaseAxis {
    int64_t first, step; /* outputs first + step * j */
    int64_t n;           /* of them */
    int64_t tap0, tap_step, taps;
    int64_t at, move, shift; /* of x: at + move * j + shift * tap */
} PhaseAxis;

typedef struct ConvTile {
    bool by_filters;
    unsigned lanes;
    int64_t o, y, x; /* filters and places of a tile */
    int64_t images;  /* that an item does for each chunk of taps */
} ConvTile;

typedef struct ConvKernel {
    Contract c; /* for the building blocks: cg, dt */
    KernelCtx *k;
    Conv s;
    PhaseAxis axis[MaxSpatial];
    int64_t taps, places; /* of the phase: taps times channels, outputs of a filter */
    Val xv, wv;
    V xbase, wbase;       /* of the whole operands, their offsets included */
    int64_t xs[2 + MaxSpatial], ws[2 + MaxSpatial];
    ConvTile tile;
} ConvKernel;

/* One operand of a tile: n rows or vectors at base + off[]. */
typedef struct ConvSide {
    V base;
    int64_t off[MaxConvSide], lane; /* lane: distance of the lanes of a vector */
    unsigned lanes[MaxConvSide], valid[MaxConvSide];
    unsigned n;
    int64_t tap[MaxSpatial], channel;
} ConvSide;

/* ---- conv_plan.c ---- */
void conv_plan(ConvKernel *c);

/* ---- conv_tile.c ---- */
/* sums[a * b->n + b] += over the taps [from, to), NULL: all of them. */
void conv_accumulate(const ConvKernel *c, const ConvSide *a, const ConvSide *b, V from, V to,
                     V *sums);

#endif
