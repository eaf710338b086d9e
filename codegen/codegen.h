/* codegen: planned kernels to LLVM IR, objects and JIT, through LLVM's C API only. */
#ifndef BPC_CODEGEN_H
#define BPC_CODEGEN_H

#include "ir/ir.h"

/* Of the entries: all; those of `first`, beside stubs for the others, which jit_new compiles when
 * one is called; the others. */
typedef enum CgPart { CgAll, CgFirst, CgLater } CgPart;

/* The tile of contractions [m, k] x [k, n] whose operands have these strides, in elements. */
typedef struct Tiling {
    DType dt;
    int64_t m, n, k, x_row, x_col, y_row, y_col;
    int64_t rows, vecs;
    bool pack;
} Tiling;

typedef struct CgOptions {
    int level;          /* 0..3 */
    const char *cpu;    /* NULL or "native": the host's */
    const char *triple; /* NULL: the host's */
    bool library;       /* no references to the runtime, serial: for -c and -shared */
    const Tiling *tilings; /* instead of what the model would choose */
    uint32_t ntilings;
    CgPart part;
    const Sym *first;
    uint32_t nfirst;
    uint32_t threads; /* of jit_new; 0: one */
    bool cache;       /* jit_new keeps objects in the user's cache folder */
    bool poison;        /* freed memory becomes signalling NaN: to find values read too late */
} CgOptions;

/* A generated module: one function per entry of the program (exports, init, step, eval ...), named
 * bp_NAME, with the interface of runtime/bprt.h, and `bp_program` that lists them beside the
 * manifest. */
typedef struct Cg Cg;

/* NULL after a user error (unknown CPU, target without FMA), reported to
 * p->cx. */
Cg *cg_build(Program *p, const CgOptions *o);
void cg_free(Cg *cg);
/* Measures the contractions of p on this machine, but for those that the cache knows, and sets
 * o's tilings. false after a user error. */
bool cg_tune(Program *p, CgOptions *o);

typedef enum CgFile { CgObject, CgAssembly, CgLlvm } CgFile;
/* The bytes of the file, in the program's arena; NULL after an error. */
char *cg_emit(Cg *cg, CgFile kind, size_t *len);

/* Compiles into this process; pointers stay valid until jit_free. */
typedef struct Jit Jit;
Jit *jit_new(Cg *cg); /* NULL, reported, if the code is for another architecture */
void *jit_symbol(Jit *jit, const char *name); /* "bp_program", "bp_fit_step"; NULL if absent */
void jit_free(Jit *jit);

/* The program as the runtime needs it, in JSON (schema in docs/manifest.md). */
char *cg_manifest(Program *p);
/* The C header of an object made by -c: `NAME_init`, `NAME_step`, a prototype per export. */
char *cg_header(Program *p);

#endif
