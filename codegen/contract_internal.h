/* Contractions [M, K] x [K, N] of static sizes, one batch element at a time, as LLVM IR.
 *
 * The order of every sum depends on M, N, K and the type alone. M, N > 1: per output an ascending
 * chain of fused multiply-adds from +0 in chunks of SumBlock along K, chunk sums added in order
 * (contract_tile.c). M = 1 or N = 1: the rule of reductions, with fused multiply-adds
 * (contract_dot.c, contract_rows.c). Tiles, packing and threads are free within that.
 *
 * The work is cut into items that write disjoint outputs, by shape alone. */
#ifndef BPC_CONTRACT_INTERNAL_H
#define BPC_CONTRACT_INTERNAL_H

#include "codegen/internal.h"

enum { MaxTileRows = 14, MaxTileVecs = 4 };

/* Element (i, j) is base[i * row + j * col]; any strides, 0 and negative ones too. Without a base
 * the element is asked for one by one. */
typedef struct Matrix {
    V base;
    int64_t row, col;
    Val v; /* what it is, for ContractElement */
} Matrix;

/* Element of a value: base[offset + sum of index[d] * stride[d]]. */
typedef struct Affine {
    Val stored;
    int64_t offset, stride[MaxRank];
} Affine;

typedef struct Tile {
    unsigned lanes;      /* of a vector along N */
    int64_t rows, vecs;  /* of accumulators; rows <= M */
    int64_t rest, rests; /* rows, then number of the tiles of the rows that are left over */
    int64_t mblock;      /* rows of an item in whole tiles; the last one has the rests too */
    int64_t panels;      /* of `vecs` vectors of columns that an item does */
    int64_t kblock;      /* K, or a divisor of SumBlock, 64 at least: a tile's at a time */
    bool pack;           /* B's columns of a tile are copied, so that its rows follow each other, */
    bool by_first;       /* by the first tile of all rows, while it reads them */
} Tile;

typedef V ContractElement(void *data, const Matrix *m, V i, V j);
/* Takes `count` results, the first lanes of `value`, at row i and columns j, j + 1, ... In the
 * type of the accumulator: of a bf16 contraction not yet rounded. */
typedef void ContractStore(void *data, V i, V j, V value, unsigned count);
/* Asks for the lines of memory that n results from (i, j) on go to. */
typedef void ContractExpect(void *data, V i, V j, int64_t n);

typedef struct Contract {
    Cg *cg;
    DType dt; /* F32, F64, BF16 */
    int64_t m, n, k;
    Matrix x, y; /* [M, K], [K, N] */
    ContractElement *element;
    ContractStore *store;
    ContractExpect *expect; /* NULL: they are near, or come too fast */
    void *data;             /* of all three */
    bool wordy; /* what follows takes much code, which so stands in a loop */
    bool turn;  /* by contract_plan, as the tile: of contract_turned() */
    Tile tile;
} Contract;

void contract_plan(Contract *c);
/* The most promising tiles of t's contraction by the model, best first. */
uint32_t contract_candidates(Cg *cg, const Tiling *t, Tiling *out, uint32_t most);
int64_t contract_items(const Contract *c);
/* Emits the code of an item in [0, contract_items). */
void contract_item(const Contract *c, V item);

/* Results [i0, i1) x [j0, j1) of an item, at most rows x width. */
typedef struct ContractPart {
    V i0, i1, j0, j1;
    int64_t rows, width;
} ContractPart;
ContractPart contract_part(const Contract *c, V item);

/* ---- contract_turn.c: few rows times a B stored by columns ---- */
bool contract_wants_turn(const Contract *c);
/* [N, K] x [K, M], for each other's transposes. */
Contract contract_turned(const Contract *c);
void contract_turned_item(const Contract *c, V item);

/* ---- contract_dot.c: M = 1 or N = 1 ---- */
int64_t dot_items(const Contract *c);
void dot_item(const Contract *c, V item);
/* Stores `count` outputs from o on, the first lanes of value. */
void contract_store_dot(const Contract *c, V o, V value, unsigned count);
/* Of a sum of n > SumBlock elements: sums of so many are what its blocks add up. */
int64_t contract_unit(int64_t n);

/* ---- contract_rows.c: the same where rows of the matrix hold neighbouring outputs ---- */
bool contract_by_rows(const Contract *c);
int64_t rows_items(const Contract *c);
void rows_item(const Contract *c, V item);

/* ---- contract_pack.c ---- */
/* Where panel `number` is in scratch memory that begins with panel `first`. */
V contract_panel(const Contract *c, V panels, V first, V number);
/* for (number = first; number < to; number++) { ... }, of at least one panel. */
V contract_panels_open(const Contract *c, Loop *l, V first, V to);
void contract_panels_close(const Contract *c, Loop *l);
/* Panels [first, to) of B: number n is [k - k0][0 .. width) = y[k][n * width ..] for k in [k0, k1);
 * its first `valid` columns exist, the others become 0. */
void contract_pack(const Contract *c, V panels, V k0, V k1, V first, V to, int64_t valid);
/* Vector `vec` of row k of a B stored by rows, from column j on, before it is copied; asks for a
 * row that will follow. */
V contract_row(const Contract *c, V k, V j, int64_t vec, unsigned valid);

/* ---- contract_view.c ---- */
/* How v lies in memory: false where views of a stored value do not keep even strides. */
bool contract_affine(const KernelCtx *k, Val v, Affine *a);
/* What follows the root, done and stored for `count` results, the first lanes of value, from an
 * index on along its last dimension, step[] apart; in pieces that are powers of two. */
void contract_store_row(KernelCtx *k, const Index *at, V value, unsigned count);

/* ---- contract_load.c: building blocks ---- */
DType contract_sums(const Contract *c); /* their type: of bf16 they are f32 */
V contract_zero(const Contract *c, unsigned lanes);
/* The element of m at (i, j) as the accumulator's type. */
V contract_element(const Contract *c, const Matrix *m, V i, V j);
/* `count` elements from (i, j) on along a column (axis 0) or a row (axis 1); other lanes are 0. */
V contract_vector(const Contract *c, const Matrix *m, V i, V j, int axis, unsigned lanes,
                  unsigned count);
/* Asks for the line of element (i, j), which need not exist. */
void contract_prefetch(const Contract *c, const Matrix *m, V i, V j);
/* Elements [from, from + lanes) of a row. */
typedef V ContractPiece(void *data, unsigned row, int from, unsigned lanes);
/* The columns of a block of tile.lanes rows and columns. `near`: rows stand so near each other that
 * half a vector before the lower ones, which is memory between the rows, may be read as well. */
void contract_transposed(const Contract *c, ContractPiece *piece, void *data, bool near,
                         V *columns);
/* Lanes [0, count) of a, the others of b. */
V contract_first(const Contract *c, unsigned count, V a, V b);
V contract_fma(const Contract *c, V x, V y, V z);
/* Room for n scalars, 64-byte aligned, in the frame of the function. */
V contract_scratch(const Contract *c, int64_t n);
/* Element `at` of scratch memory. */
V contract_address(const Contract *c, V scratch, V at);
/* Vector i of scratch memory. */
V contract_get(const Contract *c, V scratch, V i, unsigned lanes);
void contract_put(const Contract *c, V scratch, V i, V value);
V index_less(const Contract *c, V a, V b);

#endif
