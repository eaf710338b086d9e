/* The meaning of names that compiler and trainer share. */
#include "base/trainer.h"

#include "base/base.h"

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
