/* The rows of ops.def as a table, and its listing. */
#include "ir/ir.h"

#define OP(name, cls, args, attrs, infer, ...) const char *infer(Infer *q);
#include "ir/ops.def"

#define OP(op, class_, args, attrs, rule, floats, ints, emit, draw, flags, text)                   \
    [Op_##op] = {.name = #op,                                                                      \
                 .cls = class_,                                                                    \
                 args,                                                                             \
                 attrs,                                                                            \
                 .infer = rule,                                                                    \
                 .domain = draw,                                                                   \
                 flags,                                                                            \
                 .help = text},
const OpInfo op_info[OpCount] = {
#include "ir/ops.def"
};

Op op_by_name(const char *name) {
    for (int op = 0; op < OpCount; op++) {
        if (!strcmp(op_info[op].name, name)) return (Op)op;
    }
    return OpCount;
}

static const char *const class_text[] = {
    [ClsSource] = "sources",
    [ClsElem] = "elementwise",
    [ClsView] = "views",
    [ClsReduce] = "reductions",
    [ClsContract] = "contractions",
    [ClsMove] = "movement along an axis",
    [ClsCall] = "calls",
    [ClsRegion] = "regions",
    [ClsOperator] = "derivative operators",
};

static const char *const kind_text[] = {
    [AttrNone] = "",        [AttrInt] = "int",   [AttrBool] = "bool",   [AttrFloat] = "float",
    [AttrInts] = "int[]",   [AttrFn] = "fn",     [AttrNames] = "names",
};

/* "slice(x, lo: int[], hi: int[], stride: int[])" */
static void add_signature(Text *out, const OpInfo *info) {
    size_t start = out->len;
    text_add(out, "  %s(", info->name);
    const char *comma = "";
    for (int i = 0; i < (info->nargs < 0 ? 1 : info->nargs); i++) {
        text_add(out, "%s%s%s", comma, info->operands[i], info->nargs < 0 ? "..." : "");
        comma = ", ";
    }
    for (int i = 0; i < info->nattrs; i++) {
        const AttrInfo *a = &info->attrs[i];
        text_add(out, "%s%s: %s", comma, a->name, kind_text[a->kind]);
        if (a->optional && a->kind == AttrBool)
            text_add(out, " = %s", a->otherwise ? "true" : "false");
        else if (a->optional)
            text_add(out, " = %lld", (long long)a->otherwise);
        comma = ", ";
    }
    text_add(out, ")");
    size_t width = out->len - start;
    text_add(out, "%*s", width < 46 ? (int)(46 - width) : 1, "");
}

void list_ops(Text *out) {
    for (size_t cls = 0; cls < LEN(class_text); cls++) {
        text_add(out, "%s%s:\n", cls ? "\n" : "", class_text[cls]);
        for (int op = 0; op < OpCount; op++) {
            if (op_info[op].cls != cls) continue;
            add_signature(out, &op_info[op]);
            text_add(out, "%s\n", op_info[op].help);
        }
    }
}
