/* What the files of codegen share. A kernel is emitted as one function
 *
 *   void FN.kN(ptr table, i64 chunk)
 *
 * table has the pointers to what it reads, then to what it stores; chunk says which part of the
 * outermost loop to do. Inside, values are evaluated by pull: cg_eval gives a value at an index,
 * for one lane or for several neighbouring ones. */
#ifndef BPC_CG_INTERNAL_H
#define BPC_CG_INTERNAL_H

#include "codegen/codegen.h"
#include "codegen/math.h"

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

typedef LLVMValueRef V;
typedef LLVMTypeRef T;
typedef LLVMBasicBlockRef Bb;

enum {
    SumBlock = 4096,         /* of the order of sums: docs/numerics.md */
    MapChunk = 16384,        /* of work in a chunk, as k_cost counts it */
    MapGrain = 2 * MapChunk, /* less is not split */
    CacheLine = 64,          /* bytes */
};

typedef struct Target {
    unsigned vector_bytes; /* of one register */
    unsigned registers;
    bool x86;
} Target;

typedef struct KernelCode { /* emitted; equal kernels have equal text */
    Sym text;
    V value;
    uint32_t chunks;
    bool once; /* runs once: as cg->once */
} KernelCode;

struct Cg {
    Program *p;
    Cx *cx;
    CgOptions o;
    LLVMContextRef c;
    LLVMModuleRef m;
    LLVMBuilderRef b;
    LLVMTargetMachineRef tm;
    Target target;
    char *triple, *cpu, *features;
    bool foreign; /* not the architecture of this machine */
    T i1, i8, i16, i32, i64, f32, f64, ptr, void_;
    V fn;             /* being emitted */
    bool once;        /* it runs once, and the first step waits for its code */
    uint32_t loops;   /* opened so far */
    VEC(KernelCode) kernels;
    VEC(Tiling) contractions; /* planned, each once */
    VEC(struct Emitted { const Fn *fn; V value; bool once; }) functions; /* of regions */
    VEC(struct Constant { const Num *data; Type type; V value; }) constants; /* in memory */
    bool optimised;
};

/* ---- target.c ---- */
bool target_open(Cg *cg);             /* fills tm, target, cpu; reports what is refused */
void target_machine(Cg *cg);          /* tm for cg->m, once the rest is known */
void target_attributes(Cg *cg, V fn); /* and optnone for what runs once */
bool target_is_host(const Cg *cg);
Sym target_text(const Cg *cg); /* all that code depends on beside the module */
void target_optimise(Cg *cg);         /* the pipeline of the level, once */
LLVMMemoryBufferRef target_emit(Cg *cg, LLVMCodeGenFileType kind); /* changes the module */

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- emit.c: LLVM in short ---- */
V cg_i64(Cg *cg, int64_t n);
V cg_int(T t, int64_t n);
V cg_call(Cg *cg, const char *intrinsic, const T *overload, unsigned nover, const V *args,
          unsigned n);
V cg_splat(Cg *cg, V scalar, unsigned lanes);
V cg_part(Cg *cg, V v, unsigned from, unsigned lanes); /* lanes [from, from + lanes) */
V cg_joined(Cg *cg, V x, V y);                         /* the lanes of x, then those of y */
T cg_vec(T scalar, unsigned lanes); /* scalar itself for one lane */
unsigned cg_lanes_of(V v);
T cg_scalar_of(T t);
/* The type of a value in a register (bf16 as float, bool as i1) and in memory (bool as i8). */
T cg_reg_type(Cg *cg, DType dt);
T cg_mem_type(Cg *cg, DType dt);
/* Lanes of dt in one vector register (bf16 counts as f32). */
unsigned cg_lanes(const Cg *cg, DType dt);
/* Elements [offset, offset + lanes) of dtype dt at base, aligned to one element. */
V cg_load(Cg *cg, DType dt, V base, V offset, unsigned lanes);
/* The lanes that are set in the mask; the others are 0 and need not exist. */
V cg_load_masked(Cg *cg, DType dt, V base, V offset, V mask);
/* `lanes` elements from offset on, step apart. */
V cg_load_apart(Cg *cg, DType dt, V base, V offset, int64_t step, unsigned lanes);
void cg_store(Cg *cg, DType dt, V value, V base, V offset);
/* Asks for the line of an element, which need not exist. */
void cg_prefetch(Cg *cg, DType dt, V base, V offset);
V cg_add(Cg *cg, V a, V b);
V cg_mul_imm(Cg *cg, V a, int64_t n);
V cg_add_imm(Cg *cg, V a, int64_t n);
V cg_least(Cg *cg, V a, V b); /* of two signed numbers */
V cg_most(Cg *cg, V a, V b);
V cg_stack(Cg *cg, T type, const char *name); /* memory of the function that is being emitted */
V cg_number(Cg *cg);                /* room for one element of any type */
V cg_table(Cg *cg, uint32_t n);     /* room for n pointers */
V cg_get(Cg *cg, V table, int64_t i);
void cg_put(Cg *cg, V table, int64_t i, V address);
V cg_bytes(Cg *cg, V base, V offset);
V cg_data(Cg *cg, const Ins *ins);  /* a constant as private data */
Bb cg_block(Cg *cg, const char *name);
void cg_at(Cg *cg, Bb bb);
/* for (i = from; i < to; i += step) { ... }: open gives i; values may be carried. */
enum { MaxCarried = 64 };
typedef struct Loop {
    Bb head, body, done;
    V i, phi[MaxCarried];
    unsigned n;
    V to;
    int64_t step;
    uint32_t number; /* in the order of their beginnings */
} Loop;
V loop_open(Cg *cg, Loop *l, V from, V to, int64_t step, const V *init, unsigned n);
/* next: the carried values after the body. After this, l->phi[] are the final values. */
void loop_close(Cg *cg, Loop *l, const V *next);
/* if (cond) { ... } else { ... }; the else part may be missing. Without a condition (NULL) what is
 * emitted stands there as it is. */
typedef struct When {
    Bb other, after;
} When;
When when_open(Cg *cg, V cond);
void when_else(Cg *cg, When *w);
void when_close(Cg *cg, const When *w);

/* ---- transpose.c ---- */
/* rows: lanes x lanes in registers, of which blocks of `block` x `block` are still to be
 * transposed, each in itself. */
void cg_transpose(Cg *cg, V *rows, unsigned lanes, unsigned block);

/* ---- eval.c ---- */
/* at[d] + step[d] * lane for each dimension. */
typedef struct Index {
    uint32_t rank;
    V at[MaxRank];
    int64_t step[MaxRank];
    const Shape *of; /* where the row-major offset in a shape is known, else NULL */
    V linear;
    int64_t linear_step;
} Index;

typedef struct Memo {
    Val v;
    unsigned lanes;
    Index idx;
    V mask, value;
} Memo;

typedef struct KernelCtx {
    Cg *cg;
    const Fn *fn;
    const Kernel *k;
    V chunk;
    V *base; /* per Val: pointer to its buffer, or NULL */
    bool *member;
    VEC(Memo) memo; /* of the current block of code */
    V root;         /* the value of k->root where it is known, else NULL */
    V mask;         /* lanes whose index exists in what is evaluated; NULL: all */
    bool flat;      /* indices are linear: one dimension over the whole space */
    uint32_t chunks;
} KernelCtx;

const Ins *k_ins(const KernelCtx *k, Val v);
const Shape *k_shape(const KernelCtx *k, Val v);
/* Forget memoised values: a new block of code begins. */
void k_forget(KernelCtx *k);
V cg_eval(KernelCtx *k, Val v, const Index *idx, unsigned lanes);
/* Stores the kernel's outputs at an index of its space; k->root must be set where there is one. */
void k_store_outputs(KernelCtx *k, const Index *idx, unsigned lanes);
/* Whether every access is to the same linear index (or to a single element). */
bool k_is_flat(const KernelCtx *k, const Shape *space);
/* The row-major offset of an index in a shape: at + step * lane. */
void index_linear(Cg *cg, const Index *idx, const Shape *s, V *at, int64_t *step);
Index index_flat(V at, int64_t step);

/* ---- elem.c ---- */
/* Operands in registers to the result in a register (bf16 rounded). */
V cg_elem(Cg *cg, const Ins *ins, DType operand, V *args);
V cg_identity(Cg *cg, Op reduce, DType dt); /* of a reduction, scalar */
V cg_combine(Cg *cg, Op reduce, DType dt, V a, V b);
V cg_round_bf16(Cg *cg, V x);
/* Whether x is better than the best so far: NaN beats numbers, the first of equals stays. */
V cg_beats(Cg *cg, DType dt, bool max, V x, V best);
V cg_const(Cg *cg, Type t, Num n, unsigned lanes);
V cg_random(Cg *cg, DType dt, V key, int64_t stream, V index);

/* ---- kernels: each emits the body of kN and sets k->chunks ---- */
void cg_map(KernelCtx *k);
bool cg_map_turned(KernelCtx *k, unsigned lanes); /* false: nothing to gain, nothing was emitted */
void cg_reduce(KernelCtx *k);
void cg_contract(KernelCtx *k);
void cg_conv(KernelCtx *k);
void cg_move(KernelCtx *k);
void cg_window(KernelCtx *k);

/* ---- kernel.c ---- */
/* The function of kernel k of fn, and in how many chunks it is to be called. */
V cg_kernel(Cg *cg, const Fn *fn, const Kernel *k, uint32_t *chunks);
/* Whether the code of k is little more than a call of it, and its work too. */
bool kernel_is_short(const Fn *fn, const Kernel *k);
/* The code of a short kernel, in the function whose frame is given. */
void cg_kernel_here(Cg *cg, const Fn *fn, const Kernel *k, V frame);

/* ---- function.c ---- */
/* void bp_NAME(ptr args, ptr arena, ptr env), at its beginning. args: a table of pointers to its
 * arguments, then its results. */
V cg_begin_function(Cg *cg, const Fn *fn, bool external);
void cg_entry_kernels(Cg *cg, const Fn *fn, V f); /* all of them, in the function f */
/* Runs fn for a region: calls it, or is it. */
void cg_run_function(Cg *cg, const Fn *fn, V args, V arena, V env);

/* ---- module.c ---- */
Cg *cg_open(Program *p, const CgOptions *o); /* an empty module; NULL as cg_build */
V cg_new_function(Cg *cg, const char *name, T *params, unsigned n, bool external);

/* What the stubs of entries call: void *(*)(data, name), the address of the entry. */
#define CgLaterCall "bp_later"
#define CgLaterData "bp_later_data"

/* ---- units.c ---- */
enum { MaxUnits = 16 };
/* The objects of cg's module, at most MaxUnits; the caller's. */
uint32_t units_compile(Cg *cg, LLVMMemoryBufferRef *objects);

/* ---- cache.c ---- */
/* Of what is compiled of a module: its digest, and which part. */
Sym cache_key(Cg *cg, Sym module, const char *part);
LLVMMemoryBufferRef cache_get(Sym key); /* NULL: not there */
void cache_put(Arena *a, Sym key, LLVMMemoryBufferRef object);

static inline bool is_number(Type t) { return t.shape && t.shape->size == 1; }

/* ---- region.c ---- */
/* The code of a region, in the function whose frame, arena and env are given. */
void cg_region(Cg *cg, const Fn *fn, const Kernel *k, V frame, V arena, V env);

/* acc[0 .. n) by halves, n a power of two; what they held is lost */
V cg_fold(Cg *cg, Op op, DType dt, V *acc, unsigned n);
/* fold of 64 (f64: 32) logical lanes held in n vectors, by halves */
V cg_fold_lanes(Cg *cg, Op op, DType dt, V *acc, unsigned n);
unsigned cg_sum_lanes(DType dt); /* 64, or 32 for 8-byte types */

/* ---- nest.c ---- */
/* body(data, index, lanes) is emitted for the indices of space, but with `skip` (MaxRank: none) at
 * 0: `lanes` along the innermost dimension, fewer at its end. */
typedef struct Nest {
    KernelCtx *k;
    const Shape *space;
    uint32_t skip;
    unsigned lanes;
    int64_t work; /* all of it, in elements; 0: not cut into chunks */
    bool across;  /* the dimension before the innermost is walked inside of the vectors */
    void (*body)(void *data, const Index *idx, unsigned lanes);
    void *data;
} Nest;
void k_nest(const Nest *n); /* sets k->chunks if it cuts */
/* What so many elements of the kernel cost, in elements that are only moved. */
int64_t k_cost(const KernelCtx *k, int64_t elements);
/* An instruction or two for a vector. */
bool cg_is_plain(const Ins *i);

#endif
