/* The fields of a dataset as data for the trainer, and a field's transform applied in an export. */
#include "frontend/lower.h"

/* ---- field expressions ---- */

typedef enum ArgKind { ArgNone, ArgInt, ArgText, ArgRange, ArgExpr } ArgKind;

/* What a field is made of: one row a form of call. */
static const struct {
    const char *name;
    ArgKind arg;
    DataExprKind kind;
    const char *sources; /* where it has a meaning */
    const char *form;
} leaves[] = {
    {"cols", ArgRange, DxCols, "csv npy idx", "cols(a..b)"},
    {"col", ArgInt, DxCol, "csv npy idx", "col(i)"},
    {"col", ArgText, DxColName, "csv", "col(\"name\")"},
    {"key", ArgText, DxKey, "npz", "key(\"x\")"},
    {"field", ArgInt, DxField, "npy idx rows", "field(i)"},
    {"window", ArgInt, DxWindow, "text", "window(i)"},
    {"length", ArgNone, DxLength, "text", "length()"},
    {"standardize", ArgExpr, DxStandardize, "csv npz npy idx rows", "standardize(e)"},
    {"category", ArgExpr, DxCategory, "csv", "category(e)"},
};
enum { MostOffset = 1 << 30 };

static const DataExpr *data_expr(Front *fr, const Dataset *d, const Expr *e);

static DataExpr *data_new(Front *fr, DataExprKind kind) {
    DataExpr *d = NEW(fr->cx->arena, DataExpr);
    d->kind = kind;
    return d;
}

static ArgKind arg_kind(const Expr *e) {
    if (!e->args.len) return ArgNone;
    const Arg *a = &e->args.data[0];
    if (e->args.len > 1 || a->name) return ArgExpr;
    return a->value->kind == ExRange ? ArgRange : a->value->kind == ExString ? ArgText : ArgInt;
}

static bool has_word(const char *words, const char *word) {
    size_t n = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += n) {
        if ((p == words || p[-1] == ' ') && (!p[n] || p[n] == ' ')) return true;
    }
    return false;
}

/* "cols(a..b), col(i) and arithmetic" */
static const char *forms(Front *fr, const Dataset *d) {
    Text t = {0};
    for (size_t i = 0; i < LEN(leaves); i++) {
        if (!has_word(leaves[i].sources, d->kind)) continue;
        if (leaves[i].kind == DxLength && !d->lines) continue;
        text_add(&t, "%s%s", t.len ? ", " : "", leaves[i].form);
    }
    return text_done(&t, fr->cx->arena);
}

static size_t find_leaf(const Expr *e) {
    ArgKind arg = arg_kind(e);
    for (size_t i = 0; e->x->kind == ExName && i < LEN(leaves); i++) {
        if (strcmp(leaves[i].name, e->x->name)) continue;
        if (leaves[i].arg == arg || (leaves[i].arg == ArgExpr && arg == ArgInt)) return i;
    }
    return LEN(leaves);
}

static void report_leaf(Front *fr, const Dataset *d, const Expr *e) {
    const char *names[LEN(leaves)];
    for (size_t i = 0; i < LEN(leaves); i++) names[i] = leaves[i].name;
    bool named = e->x->kind == ExName;
    diag_unknown(fr->cx, named ? e->x->loc : e->loc, named ? e->x->name : NULL, names, LEN(names),
                 "a field of %s(...) is made of %s and + - * /", d->kind, forms(fr, d));
}

static const DataExpr *data_call(Front *fr, const Dataset *d, const Expr *e) {
    Cx *cx = fr->cx;
    size_t at = find_leaf(e);
    if (at == LEN(leaves) || !has_word(leaves[at].sources, d->kind)) {
        report_leaf(fr, d, e);
        return NULL;
    }
    if (leaves[at].kind == DxLength && !d->lines) {
        diag_error(cx, e->loc, "length() needs lines: text(f, lines=true)");
        return NULL;
    }
    DataExpr *x = data_new(fr, leaves[at].kind);
    const Expr *arg = e->args.len ? e->args.data[0].value : NULL;
    switch (leaves[at].arg) {
    case ArgNone:
        return x;
    case ArgText:
        x->s = arg->name;
        return x;
    case ArgExpr:
        x->x = data_expr(fr, d, arg);
        return x->x ? x : NULL;
    case ArgRange:
        if (!eval_int(&fr->top, arg->x, &x->a, "a column") ||
            !eval_int(&fr->top, arg->y, &x->b, "a column"))
            return NULL;
        if (x->a >= 0 && x->b > x->a && x->b <= MostOffset) return x;
        diag_error(cx, arg->loc, "cols(a..b) needs 0 <= a < b");
        return NULL;
    case ArgInt:
        if (!eval_int(&fr->top, arg, &x->a, "this")) return NULL;
        if (x->a >= 0 && x->a <= MostOffset) return x;
        diag_error(cx, arg->loc,
                   leaves[at].kind == DxWindow ? "an offset counts from 0"
                                               : "columns and fields count from 0");
        return NULL;
    }
    return NULL;
}

static const DataExpr *data_expr(Front *fr, const Dataset *d, const Expr *e) {
    DataExpr *x;
    if (e->kind == ExCall) return data_call(fr, d, e);
    static const DataExprKind kinds[BinCount] = {
        [BinAdd] = DxAdd, [BinSub] = DxSub, [BinMul] = DxMul, [BinDiv] = DxDiv};
    bool binary = e->kind == ExBinary && kinds[e->op];
    if (binary || (e->kind == ExUnary && e->uop == '-')) {
        x = data_new(fr, binary ? kinds[e->op] : DxNeg);
        x->x = data_expr(fr, d, e->x);
        if (binary && x->x) x->y = data_expr(fr, d, e->y);
        return x->x && (x->y || !binary) ? x : NULL;
    }
    bool other = e->kind == ExBinary || e->kind == ExUnary;
    Value v = other ? v_str("") : lower_expr(&fr->top, e, NULL);
    if (v.kind == VError) return NULL;
    if (v.kind == VInt || v.kind == VFloat) {
        x = data_new(fr, DxNum);
        x->num = v.kind == VInt ? (double)v.i : v.f;
        return x;
    }
    diag_error(fr->cx, e->loc, "a field of %s(...) is made of %s and + - * /", d->kind,
               forms(fr, d));
    return NULL;
}

bool field_declare(Front *fr, Dataset *d, const Stmt *st, Want *want, Field *out) {
    const Bind *b = &st->binds.data[0];
    if (!b->type) {
        diag_error(fr->cx, st->loc,
                   "the type of a field must be declared, as in 'x: f32[64] = cols(0..64);'");
        return false;
    }
    if (!eval_type(&fr->top, b->type, want)) return false;
    const Shape *s = dims_shape(&fr->top, b->loc, want->dims, want->rank);
    if (!s) return false;
    for (uint32_t i = 0; i < d->fields.len; i++) {
        if (d->fields.data[i].name != b->name) continue;
        diag_error(fr->cx, b->loc, "field '%s' is defined twice", b->name);
        return false;
    }
    *out = (Field){.name = b->name, .type = {want->dt, want->range, s}, .loc = b->loc};
    return true;
}

static uint32_t count_leaves(const DataExpr *x, bool windows) {
    if (!x || x->kind == DxNum) return 0;
    if (x->x || x->y) return count_leaves(x->x, windows) + count_leaves(x->y, windows);
    return !windows || x->kind == DxWindow;
}

bool lower_field(Front *fr, Dataset *d, const Stmt *st) {
    Field f;
    Want want;
    if (!field_declare(fr, d, st, &want, &f)) return false;
    f.expr = data_expr(fr, d, st->binds.data[0].init);
    if (!f.expr) return false;
    if (!strcmp(d->kind, "text") && !d->lines && count_leaves(f.expr, true) != 1) {
        diag_error(fr->cx, st->binds.data[0].init->loc,
                   "a field of a text has one window(i) in its expression");
        return false;
    }
    vec_push(fr->cx->arena, &d->fields, f);
    return true;
}

/* ---- transforms ---- */

static Value statistic(Frame *f, Dataset *d, const Field *field, const char *what) {
    Cx *cx = f->fr->cx;
    Sym path = sym_fmt(cx, "data.%s.%s.%s", d->name, field->name, what);
    Type t = {f->real, 0, field->type.shape};
    return v_tensor(f, capture(f->root, f->fr, path, t), NULL);
}

static Value transform(Frame *f, const Expr *e, Dataset *d, const Field *field, const DataExpr *x,
                       Value raw) {
    static const BinOp ops[] = {
        [DxAdd] = BinAdd, [DxSub] = BinSub, [DxMul] = BinMul, [DxDiv] = BinDiv};
    switch (x->kind) {
    case DxNum:
        return v_float(x->num);
    case DxCols:
    case DxCol:
    case DxColName:
    case DxKey:
    case DxField:
    case DxWindow:
    case DxLength:
        return raw;
    case DxStandardize: {
        Value v = transform(f, e, d, field, x->x, raw);
        v = lower_binary_values(f, e, BinSub, v, statistic(f, d, field, "mean"));
        return lower_binary_values(f, e, BinDiv, v, statistic(f, d, field, "deviation"));
    }
    case DxCategory:
        break;
    case DxAdd:
    case DxSub:
    case DxMul:
    case DxDiv:
        return lower_binary_values(f, e, ops[x->kind], transform(f, e, d, field, x->x, raw),
                                   transform(f, e, d, field, x->y, raw));
    case DxNeg:
        return lower_binary_values(f, e, BinSub, v_float(0), transform(f, e, d, field, x->x, raw));
    }
    diag_error(f->fr->cx, e->loc, "field '%s' is made of text; it cannot be applied to a tensor",
               field->name);
    return v_error();
}

Value lower_transform(Frame *f, const Expr *e, Dataset *d, Sym name) {
    Cx *cx = f->fr->cx;
    for (uint32_t i = 0; i < d->fields.len; i++) {
        const Field *field = &d->fields.data[i];
        if (field->name != name) continue;
        if (e->args.len != 1 || e->args.data[0].name) {
            diag_error(cx, e->loc, "%s.%s takes one tensor", d->name, name);
            return v_error();
        }
        if (count_leaves(field->expr, false) > 1) {
            diag_error(cx, e->loc,
                       "field '%s' is made of several parts of a row; %s.%s(x) has one tensor",
                       name, d->name, name);
            diag_note(cx, field->loc, "declared here");
            return v_error();
        }
        Value raw = lower_tensor(f, e->args.data[0].value, NULL);
        return raw.kind == VError ? raw : transform(f, e, d, field, field->expr, raw);
    }
    VEC(const char *) names = {0};
    for (uint32_t i = 0; i < d->fields.len; i++)
        vec_push(cx->arena, &names, d->fields.data[i].name);
    if (!d->broken)
        diag_unknown(cx, e->x->op_loc, name, names.data, names.len,
                     "dataset '%s' has no field '%s'", d->name, name);
    return v_error();
}
