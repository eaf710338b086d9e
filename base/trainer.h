/* What compiler and trainer must agree on, said once: types, names of arguments, words of the
 * manifest (docs/manifest.md). The trainer's options have their own table: trainer_options.def. */
#ifndef BPC_TRAINER_AGREEMENT_H
#define BPC_TRAINER_AGREEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MaxRank = 16 }; /* dimensions of an array */

typedef enum DType { F32, F64, BF16, I32, I64, BOOL, DTypeCount } DType;
const char *dtype_name(DType dt);
bool dtype_is_float(DType dt);
size_t dtype_size(DType dt); /* bytes in memory: 4 8 2 4 8 1 */

/* What an argument of a compiled function is, by its name. */
typedef enum ArgClass {
    ArgPlain,     /* a field of the batch, or the user's */
    ArgState,     /* a path of a parameter or buffer: net.fc1.w */
    ArgOptimizer, /* opt.m.net.fc1.w: state, too */
    ArgData,      /* data.DATASET.FIELD.mean */
    ArgHyper,     /* hyper.NAME */
    ArgTrain,     /* train.step, train.steps, train.key */
    ArgMetric,    /* metric.STAGE.NAME */
    ArgTotal,     /* total.STAGE.tN */
} ArgClass;
ArgClass arg_class(const char *name);

/* The parts of a dataset: "train", "valid", "test". */
enum { DataParts = 3 };
extern const char *const data_parts[DataParts];

/* Which rows are whose; "none", "random", "tail". */
typedef enum SplitMode { SplitNone, SplitRandom, SplitTail, SplitModes } SplitMode;
extern const char *const split_modes[SplitModes];

/* How a field of a dataset is computed from a row of the source. */
typedef enum DataExprKind {
    DxNum,         /* num */
    DxCols,        /* columns a .. b-1 */
    DxCol,         /* column a */
    DxColName,     /* column named s */
    DxKey,         /* array named s (npz) */
    DxField,       /* field a of the source (idx, npy, rows) */
    DxWindow,      /* bytes of a text from offset a on */
    DxLength,      /* bytes of a line of a text */
    DxStandardize, /* (x - mean) / deviation of the training rows */
    DxCategory,    /* texts numbered in sorted order */
    DxAdd, DxSub, DxMul, DxDiv, DxNeg,
} DataExprKind;
typedef struct DataExpr {
    DataExprKind kind;
    double num;
    int64_t a, b;
    const char *s;
    const struct DataExpr *x, *y;
} DataExpr;
/* The list that stands for it in the manifest: the tag, then the members that these letters name
 * (n: num). */
typedef struct DataExprForm {
    const char *tag, *members;
} DataExprForm;
enum { DataExprKinds = DxNeg + 1 };
extern const DataExprForm data_expr_forms[DataExprKinds];

#endif
