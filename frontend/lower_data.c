/* Dataset declarations as data for the trainer, and a field's transform applied in an export. */
#include "frontend/lower.h"

#include <limits.h>
#include <stdlib.h>

Dataset *find_dataset(Front *fr, Sym name) {
    for (uint32_t i = 0; i < fr->p->datasets.len; i++) {
        if (fr->p->datasets.data[i]->name == name) return fr->p->datasets.data[i];
    }
    return NULL;
}

/* Relative to the .bp file that names it; absolute in the trainer. */
static Sym data_path(Front *fr, const Expr *e) {
    Cx *cx = fr->cx;
    if (e->kind != ExString) {
        diag_error(cx, e->loc, "a file name in quotes is needed here");
        return NULL;
    }
    if (e->name[0] == '/') return e->name;
    const char *slash = strrchr(e->loc.file, '/');
    int dir = slash ? (int)(slash - e->loc.file) : 1;
    const char *from = slash ? e->loc.file : ".";
    char real[PATH_MAX];
    char *d = arena_printf(cx->arena, "%.*s", dir ? dir : 1, from);
    return sym_fmt(cx, "%s/%s", realpath(d, real) ? real : d, e->name);
}

static bool add_files(Front *fr, Dataset *d, const Expr *e) {
    uint32_t n = e->kind == ExTuple ? e->elems.len : 1;
    for (uint32_t i = 0; i < n; i++) {
        Sym path = data_path(fr, e->kind == ExTuple ? e->elems.data[i] : e);
        if (!path) return false;
        vec_push(fr->cx->arena, &d->files, path);
    }
    return true;
}

static bool fraction(Front *fr, const Expr *e, double *out) {
    Value v = lower_expr(&fr->top, e, NULL);
    if (v.kind == VFloat && v.f >= 0 && v.f < 1) {
        *out = v.f;
        return true;
    }
    if (v.kind != VError) diag_error(fr->cx, e->loc, "a split is a fraction in [0, 1)");
    return false;
}

static bool set_split(Front *fr, Dataset *d, const Expr *e) {
    d->split = SplitRandom;
    if (e->kind == ExCall && e->x->kind == ExName && !strcmp(e->x->name, "tail") &&
        e->args.len == 1) {
        d->split = SplitTail;
        e = e->args.data[0].value;
    }
    if (e->kind == ExTuple && e->elems.len == 2) {
        return fraction(fr, e->elems.data[0], &d->valid) &&
               fraction(fr, e->elems.data[1], &d->test);
    }
    return fraction(fr, e, &d->valid);
}

static bool set_int(Front *fr, const Expr *e, int64_t *out) {
    return eval_int(&fr->top, e, out, "this setting");
}

static bool set_option(Front *fr, Dataset *d, const Arg *a) {
    Cx *cx = fr->cx;
    int64_t n;
    static const char *const names[] = {"split", "split_seed", "header", "skip",
                                        "sep",   "train",      "valid",  "test"};
    if (!strcmp(a->name, "split")) return set_split(fr, d, a->value);
    if (!strcmp(a->name, "split_seed")) {
        if (!set_int(fr, a->value, &n)) return false;
        d->split_seed = (uint64_t)n;
        return true;
    }
    if (!strcmp(a->name, "skip")) {
        if (!set_int(fr, a->value, &d->skip)) return false;
        if (d->skip >= 0) return true;
        diag_error(cx, a->value->loc, "skip is a number of lines");
        return false;
    }
    if (!strcmp(a->name, "header")) {
        Value v = lower_expr(&fr->top, a->value, NULL);
        if (v.kind == VBool || v.kind == VInt) {
            d->header = v.i != 0;
            return true;
        }
        if (v.kind != VError) diag_error(cx, a->value->loc, "header is true or false");
        return false;
    }
    if (!strcmp(a->name, "sep")) {
        if (a->value->kind == ExString && strlen(a->value->name) == 1) {
            d->sep = a->value->name[0];
            return true;
        }
        diag_error(cx, a->value->loc, "sep is one character in quotes");
        return false;
    }
    Sym *file = !strcmp(a->name, "train")   ? &d->train_file
                : !strcmp(a->name, "valid") ? &d->valid_file
                : !strcmp(a->name, "test")  ? &d->test_file
                                            : NULL;
    if (file) return (*file = data_path(fr, a->value)) != NULL;
    const char *near = nearest_name(a->name, names, LEN(names));
    diag_error(cx, a->loc, "unknown setting '%s' of a dataset%s%s%s", a->name,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return false;
}

/* ---- field expressions ---- */

static const DataExpr *data_expr(Front *fr, const Expr *e);

static DataExpr *data_new(Front *fr, DataExprKind kind) {
    DataExpr *d = NEW(fr->cx->arena, DataExpr);
    d->kind = kind;
    return d;
}

static const DataExpr *data_call(Front *fr, const Expr *e) {
    Cx *cx = fr->cx;
    Sym name = e->x->kind == ExName ? e->x->name : NULL;
    const Expr *arg = e->args.len == 1 && !e->args.data[0].name ? e->args.data[0].value : NULL;
    static const char *const names[] = {"cols", "col", "key", "field", "standardize", "category"};
    DataExpr *d = data_new(fr, DxNum);
    if (name && arg && !strcmp(name, "cols") && arg->kind == ExRange) {
        d->kind = DxCols;
        if (!set_int(fr, arg->x, &d->a) || !set_int(fr, arg->y, &d->b)) return NULL;
        if (d->a >= 0 && d->b > d->a) return d;
        diag_error(cx, arg->loc, "cols(a..b) needs 0 <= a < b");
        return NULL;
    }
    if (name && arg && !strcmp(name, "col") && arg->kind == ExString) {
        d->kind = DxColName;
        d->s = arg->name;
        return d;
    }
    if (name && arg && (!strcmp(name, "col") || !strcmp(name, "field"))) {
        d->kind = name[0] == 'c' ? DxCol : DxField;
        if (!set_int(fr, arg, &d->a)) return NULL;
        if (d->a >= 0) return d;
        diag_error(cx, arg->loc, "columns count from 0");
        return NULL;
    }
    if (name && arg && !strcmp(name, "key") && arg->kind == ExString) {
        d->kind = DxKey;
        d->s = arg->name;
        return d;
    }
    if (name && arg && (!strcmp(name, "standardize") || !strcmp(name, "category"))) {
        d->kind = name[0] == 's' ? DxStandardize : DxCategory;
        return (d->x = data_expr(fr, arg)) ? d : NULL;
    }
    if (name && (!strcmp(name, "window") || !strcmp(name, "length"))) {
        not_supported(&fr->top, e->loc, arena_printf(cx->arena, "'%s'", name));
        return NULL;
    }
    const char *near = name ? nearest_name(name, names, LEN(names)) : NULL;
    diag_error(cx, e->loc,
               "a field is made of cols(a..b), col(i), col(\"name\"), key(\"x\"), field(i), "
               "standardize(e), category(e) and arithmetic%s%s%s",
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

static const DataExpr *data_expr(Front *fr, const Expr *e) {
    DataExpr *d;
    switch (e->kind) {
    case ExCall:
        return data_call(fr, e);
    case ExUnary:
        if (e->uop != '-') break;
        d = data_new(fr, DxNeg);
        return (d->x = data_expr(fr, e->x)) ? d : NULL;
    case ExBinary: {
        static const DataExprKind kinds[BinCount] = {
            [BinAdd] = DxAdd, [BinSub] = DxSub, [BinMul] = DxMul, [BinDiv] = DxDiv};
        if (!kinds[e->op]) break;
        d = data_new(fr, kinds[e->op]);
        d->x = data_expr(fr, e->x);
        d->y = d->x ? data_expr(fr, e->y) : NULL;
        return d->y ? d : NULL;
    }
    default: {
        Value v = lower_expr(&fr->top, e, NULL);
        if (v.kind == VError) return NULL;
        if (v.kind != VInt && v.kind != VFloat) break;
        d = data_new(fr, DxNum);
        d->num = v.kind == VInt ? (double)v.i : v.f;
        return d;
    }
    }
    diag_error(fr->cx, e->loc, "this does not stand in a field of a dataset");
    return NULL;
}

static bool add_field(Front *fr, Dataset *d, const Stmt *st) {
    const Bind *b = &st->binds.data[0];
    Want want;
    if (!b->type) {
        diag_error(fr->cx, st->loc,
                   "the type of a field must be declared, as in 'x: f32[64] = cols(0..64);'");
        return false;
    }
    if (!eval_type(&fr->top, b->type, &want)) return false;
    const Shape *s = dims_shape(&fr->top, b->loc, want.dims, want.rank);
    const DataExpr *e = s ? data_expr(fr, b->init) : NULL;
    if (!e) return false;
    for (uint32_t i = 0; i < d->fields.len; i++) {
        if (d->fields.data[i].name != b->name) continue;
        diag_error(fr->cx, b->loc, "field '%s' is defined twice", b->name);
        return false;
    }
    Field f = {.name = b->name, .type = {want.dt, want.range, s}, .expr = e, .loc = b->loc};
    vec_push(fr->cx->arena, &d->fields, f);
    return true;
}

static const struct {
    const char *name;
    bool ready;
} sources[] = {{"csv", true},  {"npz", true},   {"npy", false},
               {"idx", false}, {"text", false}, {"rows", false}};

static bool check_source(Front *fr, const Expr *e, Sym *kind) {
    const char *names[LEN(sources)];
    for (size_t i = 0; i < LEN(sources); i++) {
        names[i] = sources[i].name;
        if (e->kind != ExCall || e->x->kind != ExName || strcmp(e->x->name, names[i])) continue;
        *kind = e->x->name;
        return sources[i].ready ||
               not_supported(&fr->top, e->loc,
                             arena_printf(fr->cx->arena, "the source '%s'", names[i]));
    }
    if (e->kind == ExCall && e->x->kind == ExName && find_item(fr, e->x->name, false, -1)) {
        return not_supported(&fr->top, e->loc, "a function as a source");
    }
    const char *near = e->kind == ExCall && e->x->kind == ExName
                           ? nearest_name(e->x->name, names, LEN(sources))
                           : NULL;
    diag_error(
        fr->cx, e->loc,
        "a dataset is made by csv(...), npz(...), npy(...), idx(...), text(...) or rows(...)%s%s%s",
        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return false;
}

Dataset *lower_dataset(Front *fr, const Item *item) {
    Cx *cx = fr->cx;
    Dataset *d = NEW(cx->arena, Dataset);
    d->name = item->name;
    d->loc = item->name_loc;
    d->doc = item->doc;
    d->header = -1;
    d->sep = ',';
    vec_push(cx->arena, &fr->p->datasets, d);
    if (!check_source(fr, item->e, &d->kind)) return NULL;
    for (uint32_t i = 0; i < item->e->args.len; i++) {
        const Arg *a = &item->e->args.data[i];
        if (a->name ? !set_option(fr, d, a) : !add_files(fr, d, a->value)) return NULL;
    }
    if (!d->files.len && !d->train_file) {
        diag_error(cx, item->e->loc, "%s(...) needs a file", d->kind);
        return NULL;
    }
    bool ok = true;
    for (uint32_t i = 0; item->body && i < item->body->stmts.len; i++) {
        ok &= add_field(fr, d, item->body->stmts.data[i]);
    }
    if (ok && !d->fields.len) diag_error(cx, item->name_loc, "dataset '%s' has no fields", d->name);
    Text t = {0};
    ast_print_item(item, &t);
    d->text = text_done(&t, cx->arena);
    return d;
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
        Value raw = lower_tensor(f, e->args.data[0].value, NULL);
        return raw.kind == VError ? raw : transform(f, e, d, field, field->expr, raw);
    }
    diag_error(cx, e->loc, "dataset '%s' has no field '%s'", d->name, name);
    return v_error();
}
