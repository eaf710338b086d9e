/* The words that compiler and trainer share. */
#include "base/trainer.h"

#include "base/base.h"

static const struct {
    const char *name;
    size_t size;
    bool is_float;
} dtypes[DTypeCount] = {
    [F32] = {"f32", 4, true},  [F64] = {"f64", 8, true},  [BF16] = {"bf16", 2, true},
    [I32] = {"i32", 4, false}, [I64] = {"i64", 8, false}, [BOOL] = {"bool", 1, false},
};

const char *dtype_name(DType dt) { return dtypes[dt].name; }
bool dtype_is_float(DType dt) { return dtypes[dt].is_float; }
size_t dtype_size(DType dt) { return dtypes[dt].size; }

const char *const split_modes[SplitModes] = {
    [SplitNone] = "none", [SplitRandom] = "random", [SplitTail] = "tail"};

const char *const data_parts[DataParts] = {"train", "valid", "test"};

const DataExprForm data_expr_forms[DataExprKinds] = {
    [DxNum] = {"num", "n"},       [DxCols] = {"cols", "ab"},     [DxCol] = {"col", "a"},
    [DxColName] = {"colname", "s"}, [DxKey] = {"key", "s"},      [DxField] = {"field", "a"},
    [DxWindow] = {"window", "a"}, [DxLength] = {"length", ""},
    [DxStandardize] = {"standardize", "x"}, [DxCategory] = {"category", "x"},
    [DxAdd] = {"add", "xy"},      [DxSub] = {"sub", "xy"},       [DxMul] = {"mul", "xy"},
    [DxDiv] = {"div", "xy"},      [DxNeg] = {"neg", "x"},
};

ArgClass arg_class(const char *name) {
    static const struct {
        const char *prefix;
        ArgClass cls;
    } classes[] = {{"opt.", ArgOptimizer}, {"data.", ArgData},     {"hyper.", ArgHyper},
                   {"train.", ArgTrain},   {"metric.", ArgMetric}, {"total.", ArgTotal}};
    for (size_t i = 0; i < LEN(classes); i++) {
        if (!strncmp(name, classes[i].prefix, strlen(classes[i].prefix))) return classes[i].cls;
    }
    return strchr(name, '.') ? ArgState : ArgPlain;
}
