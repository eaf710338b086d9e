/* The manifest as C structs: what the compiler told the trainer about the program. The schema is
 * in docs/manifest.md. Everything lives in one arena and is never changed after reading. */
#ifndef BPRT_MANIFEST_H
#define BPRT_MANIFEST_H

#include "base/base.h"
#include "base/trainer.h"

/* range is the V of i32<V>, 0 where there is none; size the number of elements. */
typedef struct MfType {
    DType dt;
    uint32_t rank;
    int64_t range, size;
    const int64_t *dim;
} MfType;
size_t mf_bytes(MfType t);
/* ---- element.c: element i of an array ---- */
double mf_load(DType dt, const void *data, int64_t i);
void mf_store(DType dt, void *data, int64_t i, double v);
bool mf_same_shape(MfType a, MfType b);
/* "f32[64, 128]", "i32<10>[64]", "f32" */
const char *mf_type_text(Arena *a, MfType t);

typedef struct MfVar { /* state: a parameter, buffer or optimizer state and its path */
    const char *name;
    MfType type;
} MfVar;

typedef struct MfResult {
    const char *name;
    MfType type;
    int64_t alias; /* the argument whose storage it takes, or -1 */
} MfResult;

typedef struct MfFn {
    const char *name, *doc; /* doc may be NULL, as everywhere */
    uint64_t arena;         /* bytes of scratch */
    bool exported;
    uint32_t nargs, nresults;
    const MfVar *args;
    const MfResult *results;
} MfFn;

typedef struct MfHyper {
    const char *name, *doc;
    DType dt;
    double value;
} MfHyper;

typedef struct MfConst {
    const char *name, *text;
} MfConst;

typedef struct MfField {
    const char *name;
    MfType type; /* of one row */
    const DataExpr *expr;
    int64_t line, col; /* in the .bp file */
} MfField;

/* The parts of a dataset, in this order everywhere. */
typedef enum MfSplit { MfTrain, MfValid, MfTest, MfSplitCount = DataParts } MfSplit;
const char *mf_split_name(MfSplit s);

typedef struct MfDataset {
    const char *name, *doc, *kind;
    uint32_t nfiles, nfields;
    const char *const *files;
    int header; /* -1: detect, 0: none, 1: one line of names */
    int64_t skip;
    char sep; /* ' ': any blanks */
    SplitMode split;
    double valid, test;
    uint64_t split_seed;
    uint32_t nsplit_files[MfSplitCount];
    const char *const *split_files[MfSplitCount];
    const MfField *fields;
    bool lines;      /* of a text */
    const char *row; /* the function that makes a row, or NULL */
    int64_t made;    /* how many it makes */
    uint64_t seed;   /* of their keys */
} MfDataset;

/* A line printed after an evaluation: texts and results of `report`. */
typedef struct MfPrintPart {
    const char *text;   /* NULL: a result */
    uint32_t value;     /* which */
    const char *decode; /* the dataset whose ids it holds, or NULL */
} MfPrintPart;
typedef struct MfPrint {
    uint32_t n;
    const MfPrintPart *parts;
} MfPrint;

typedef struct MfStage {
    const char *name, *doc;
    const char *dataset, *valid_dataset; /* valid_dataset may be NULL */
    MfSplit split, valid_split;
    uint32_t nfields, nbinds, nmetrics, nfinals, nprints;
    const char *const *fields; /* of the dataset, in the order of `as (...)` */
    const char *const *binds;  /* what `as` calls them, which are the functions' argument names */
    const char *const *metrics;
    const char *const *finals;         /* the metrics that `finish` gives, in its order */
    const char *step, *eval, *eval_row;     /* functions */
    const char *accum, *finish, *report;    /* functions or NULL */
    const MfPrint *prints;
    int64_t accumulate; /* batches of an update, at least 1 */
    int64_t batch, epochs, steps, eval_every, save_every, early_stop; /* 0: not given */
    bool has_seed;
    uint64_t seed;
    int64_t loss_line, loss_col;
} MfStage;

typedef struct Manifest {
    Arena *arena;
    const char *name, *doc, *source, *source_hash, *compiler, *real;
    const char *init; /* or NULL */
    uint32_t nhypers, nconsts, ndatasets, nstate, nfns, nstages;
    const MfHyper *hypers;
    const MfConst *consts;
    const MfDataset *datasets;
    const MfVar *state;
    const MfFn *fns;
    const MfStage *stages;
} Manifest;

/* Reads the manifest into arena a. NULL if it is malformed, with *error saying where. */
const Manifest *mf_read(Arena *a, const char *json, const char **error);
/* Look-ups by name; NULL if there is none, -1 for mf_fn_index. */
const MfDataset *mf_dataset(const Manifest *m, const char *name);
const MfStage *mf_stage(const Manifest *m, const char *name);
int64_t mf_fn_index(const Manifest *m, const char *name);

#endif
