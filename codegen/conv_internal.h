/* Convolutions of static sizes as direct loops around register tiles, operands read in place:
 *
 *   for each tap (k, i) in order: sums[a][b] += broadcast(A[a] at the tap) * vector(B[b] at the
 * tap)
 *
 * By filters, vectors hold neighbouring filters and rows are places, of several images where one
 * has few, and the filters of many taps are copied in chunks that many tiles read; by places,
 * vectors run along the last spatial axis and rows are filters. An output of x spread by
 * lhs_dilation is computed in phases: outputs p of equal p mod lhs_dilation see the same taps. Taps
 * outside of x take no part: along the outer axes a tile runs over those that its row sees, along
 * the last one over all, and leaves out places (conv_tile.c) or is a tile of the places that see x
 * (conv_taps.c). */
#ifndef BPC_CONV_INTERNAL_H
#define BPC_CONV_INTERNAL_H

#include "codegen/contract_internal.h"

enum {
    MaxConvSide = 32,
    KeptSums = 1 << 14,       /* that wait between chunks of taps */
    CopiedFilters = 24 << 10, /* bytes of a copy, which stays in the first cache */
};

typedef struct PhaseAxis {
    int64_t first, step; /* outputs first + step * j */
    int64_t n;           /* of them */
    int64_t tap0, tap_step, taps;
    int64_t at, move, shift; /* of x: at + move * j + shift * tap, inside if in [0, in) */
    int64_t in;
    int64_t inner[2]; /* outputs that see no padding: [inner[0], inner[1]) */
} PhaseAxis;

typedef struct ConvTile {
    bool by_filters, by_taps;
    unsigned lanes;
    int64_t o, y, x, n; /* filters, places and images of a tile */
    int64_t chunk;      /* of taps: SumBlock or a part of it */
    bool pack;          /* copy its filters, which many tiles read */
    bool inside;        /* a tile does chunk after chunk: an item has too many sums to keep */
    int64_t images;     /* that an item does for each chunk */
} ConvTile;

typedef struct ConvKernel {
    Contract c; /* for the building blocks: cg, dt */
    KernelCtx *k;
    Conv s;
    PhaseAxis axis[MaxSpatial];
    int64_t taps;         /* of the phase, times channels */
    V xbase, wbase;       /* of the whole operands, their offsets included */
    int64_t xs[2 + MaxSpatial], ws[2 + MaxSpatial];
    V kept, total, copies; /* scratch memory of all phases, as far as one wants it */
    ConvTile tile;
} ConvKernel;

/* How the rows of places are cut: `whole` blocks of tile.y and one of `rest`, all inner, from row
 * `before` on; then single ones, `before` of them above. */
typedef struct ConvRows {
    int64_t before, whole, rest, single;
} ConvRows;

/* One operand of a tile: n rows or vectors at base + off[]. */
typedef struct ConvSide {
    V base;
    int64_t off[MaxConvSide], lane; /* lane: distance of the lanes of a vector */
    unsigned lanes[MaxConvSide], valid[MaxConvSide];
    unsigned n;
    int64_t tap[MaxSpatial + 1]; /* to the next tap along each axis, to the next channel */
} ConvSide;

/* Padding that places of a tile see along the last axis: none; what is known when compiling, in
 * runs of taps that miss the same places; what is computed at each tap. */
typedef enum Padding { PadNone, PadKnown, PadAny } Padding;

/* The taps of a tile. */
typedef struct ConvTaps {
    V lo[2], hi[2]; /* [lo, hi) along the outer axes */
    V from, to;     /* and of those a chunk, counted from the first of all; or NULL */
    V x;            /* the tile's first place along the last axis */
    int64_t places; /* and how many */
    Padding padding;
} ConvTaps;

/* Where an item works. */
typedef struct ConvPlace {
    V image, group, o, z, y; /* o within the group; y: the first of the phase's rows */
    int64_t filters, rows;   /* of this item's tiles */
    int64_t images;          /* from `image` on, of a tile */
    ConvTaps taps;
    V fresh, full; /* whether this chunk of taps begins, ends a sum of SumBlock */
    V first, last; /* whether it is of the first such sum, the last of all */
    V packed;      /* its filters [taps][conv_width], as if from tap 0 on; or NULL */
    V kept, total; /* where sums wait between chunks: of SumBlock, of all; or NULL */
    V slot;        /* of the next tile in it */
} ConvPlace;

/* ---- conv.c ---- */
/* Both operands at the first tap of the tile at p. */
void conv_sides(const ConvKernel *c, const ConvPlace *p, ConvSide *a, ConvSide *b);

/* ---- conv_store.c ---- */
/* `count` results along the last axis from place x of row y on, of filter p->o + o. */
void conv_store_row(const ConvKernel *c, const ConvPlace *p, int64_t o, int64_t y, V x, V value,
                    unsigned count);
/* The sums of the tile at p, [a][b], are complete. */
void conv_store(const ConvKernel *c, const ConvPlace *p, const ConvSide *a, const ConvSide *b,
                const V *sums);

/* ---- conv_taps.c ---- */
/* All outputs of p's image and filters. */
void conv_by_taps(const ConvKernel *c, const ConvPlace *p);

/* ---- conv_plan.c ---- */
void conv_plan(ConvKernel *c);
ConvRows conv_rows(const ConvKernel *c, int64_t tile_y);
/* Runs of taps that leave the same ones of `places` places from x on inside. */
int64_t conv_runs(const PhaseAxis *s, int64_t x, int64_t places);
/* How many outputs along an axis see x at tap k, and the first of them. */
int64_t conv_left(const PhaseAxis *s, int64_t k, int64_t *from);
/* Outputs p with p mod lhs == first; false where there are none. */
bool conv_phase(const ConvAxis *a, int64_t first, PhaseAxis *p);

/* ---- conv_tile.c ---- */
/* Element `at` of an operand from base on; it need not lie inside. */
V conv_address(const ConvKernel *c, V base, V at);
/* The k for which 0 <= base + by * k < in: [range[0], range[1]), within [0, most). */
void conv_inside(Cg *cg, V base, int64_t in, int64_t by, int64_t most, V range[2]);
/* sums[a * b->n + b] += over the taps. */
void conv_accumulate(const ConvKernel *c, const ConvSide *a, const ConvSide *b, const ConvTaps *t,
                     V *sums);
/* The same over the channels of one tap. */
void conv_channels(const ConvKernel *c, const ConvSide *a, const ConvSide *b, const ConvTaps *t,
                   const V tap[MaxSpatial], V *sums);
/* Copies b, vectors of tile.lanes, at the taps to a, which has room for them one after another. */
void conv_copy(const ConvKernel *c, const ConvSide *a, const ConvSide *b, const ConvTaps *t);

#endif
