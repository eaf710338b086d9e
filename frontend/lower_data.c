/* Dataset declarations as data for the trainer: source, settings, fields. */
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

/* A path or a tuple of them. */
static bool add_files(Front *fr, const Expr *e, Syms *files) {
    uint32_t n = e->kind == ExTuple ? e->elems.len : 1;
    for (uint32_t i = 0; i < n; i++) {
        Sym path = data_path(fr, e->kind == ExTuple ? e->elems.data[i] : e);
        if (!path) return false;
        vec_push(fr->cx->arena, files, path);
    }
    return true;
}

/* ---- settings ---- */

static bool fraction(Front *fr, const Expr *e, double *out) {
    Value v = lower_expr(&fr->top, e, NULL);
    double share = v.kind == VInt ? (double)v.i : v.f;
    if ((v.kind == VFloat || v.kind == VInt) && share >= 0 && share < 1) {
        *out = share;
        return true;
    }
    if (v.kind != VError) diag_error(fr->cx, e->loc, "a split is a fraction in [0, 1)");
    return false;
}

static bool set_split(Front *fr, Dataset *d, const Expr *e) {
    bool tail = e->kind == ExCall && e->x->kind == ExName && !strcmp(e->x->name, "tail");
    d->split = tail ? SplitTail : SplitRandom;
    if (tail && e->args.len != 1) {
        diag_error(fr->cx, e->loc, "tail takes a fraction, or two: tail((0.1, 0.1))");
        return false;
    }
    if (tail) e = e->args.data[0].value;
    if (e->kind != ExTuple || e->elems.len != 2) return fraction(fr, e, &d->valid);
    if (!fraction(fr, e->elems.data[0], &d->valid) || !fraction(fr, e->elems.data[1], &d->test))
        return false;
    if (d->valid + d->test < 1) return true;
    diag_error(fr->cx, e->loc, "the parts of a split leave no rows to train");
    return false;
}

static bool set_number(Front *fr, const Expr *e, int64_t least, const char *what, int64_t *out) {
    if (!eval_int(&fr->top, e, out, "this setting")) return false;
    if (*out >= least) return true;
    diag_error(fr->cx, e->loc, "%s", what);
    return false;
}

static bool set_skip(Front *fr, Dataset *d, const Expr *e) {
    return set_number(fr, e, 0, "skip is a number of lines", &d->skip);
}

static bool set_rows(Front *fr, Dataset *d, const Expr *e) {
    return set_number(fr, e, 1, "n is a number of rows, at least 1", &d->rows);
}

static bool set_split_seed(Front *fr, Dataset *d, const Expr *e) {
    int64_t n;
    if (!set_number(fr, e, INT64_MIN, "", &n)) return false;
    d->split_seed = (uint64_t)n;
    return true;
}

static bool set_seed(Front *fr, Dataset *d, const Expr *e) {
    int64_t n;
    if (!set_number(fr, e, INT64_MIN, "", &n)) return false;
    d->seed = (uint64_t)n;
    return true;
}

static bool set_flag(Front *fr, const Expr *e, const char *what, bool *out) {
    Value v = lower_expr(&fr->top, e, NULL);
    *out = v.i != 0;
    if (v.kind == VBool || v.kind == VInt) return true;
    if (v.kind != VError) diag_error(fr->cx, e->loc, "%s is true or false", what);
    return false;
}

static bool set_header(Front *fr, Dataset *d, const Expr *e) {
    bool on;
    if (!set_flag(fr, e, "header", &on)) return false;
    d->header = on;
    return true;
}

static bool set_lines(Front *fr, Dataset *d, const Expr *e) {
    return set_flag(fr, e, "lines", &d->lines);
}

static bool set_sep(Front *fr, Dataset *d, const Expr *e) {
    if (e->kind == ExString && strlen(e->name) == 1) {
        d->sep = e->name[0];
        return true;
    }
    diag_error(fr->cx, e->loc, "sep is one character in quotes");
    return false;
}

static bool set_train(Front *fr, Dataset *d, const Expr *e) {
    return add_files(fr, e, &d->split_files[0]);
}
static bool set_valid(Front *fr, Dataset *d, const Expr *e) {
    return add_files(fr, e, &d->split_files[1]);
}
static bool set_test(Front *fr, Dataset *d, const Expr *e) {
    return add_files(fr, e, &d->split_files[2]);
}

/* The function that makes a row, in IR text. */
static bool set_row(Front *fr, Dataset *d, const Expr *e) {
    if (e->kind == ExName) {
        d->row = e->name;
        return true;
    }
    diag_error(fr->cx, e->loc, "row names a function of the file");
    return false;
}

enum { SrcCsv = 1, SrcNpz = 2, SrcNpy = 4, SrcIdx = 8, SrcText = 16, SrcRows = 32, SrcAll = -1 };
enum { SrcFiles = SrcAll & ~SrcRows };

static const struct {
    const char *name;
    int kind;
    bool several; /* files, each a part of every row */
} sources[] = {{"csv", SrcCsv, true}, {"npz", SrcNpz, false},   {"npy", SrcNpy, true},
               {"idx", SrcIdx, true}, {"text", SrcText, false}, {"rows", SrcRows, false}};

static const struct {
    const char *name;
    int kinds; /* of sources that have it */
    bool (*set)(Front *fr, Dataset *d, const Expr *e);
} settings[] = {
    {"split", SrcAll, set_split},   {"split_seed", SrcAll, set_split_seed},
    {"header", SrcCsv, set_header}, {"skip", SrcCsv, set_skip},
    {"sep", SrcCsv, set_sep},       {"lines", SrcText, set_lines},
    {"train", SrcFiles, set_train}, {"valid", SrcFiles, set_valid},
    {"test", SrcFiles, set_test},   {"n", SrcRows, set_rows},
    {"seed", SrcRows, set_seed},    {"row", SrcRows, set_row},
};

bool is_rows_setting(Sym name) {
    for (size_t i = 0; i < LEN(settings); i++) {
        if ((settings[i].kinds & SrcRows) && !strcmp(settings[i].name, name)) return true;
    }
    return false;
}

static bool read_setting(Front *fr, Dataset *d, const Arg *a, int kind) {
    const char *names[LEN(settings)];
    size_t n = 0;
    for (size_t i = 0; i < LEN(settings); i++) {
        if (!(settings[i].kinds & kind)) continue;
        if (!strcmp(settings[i].name, a->name)) return settings[i].set(fr, d, a->value);
        if (settings[i].set != set_row) names[n++] = settings[i].name;
    }
    diag_unknown(fr->cx, a->loc, a->name, names, n, "%s(...) has no setting '%s'", d->kind,
                 a->name);
    return false;
}

/* ---- sources ---- */

static void unknown_source(Front *fr, const Expr *e) {
    VEC(const char *) names = {0};
    Text kinds = {0};
    for (size_t i = 0; i < LEN(sources); i++) {
        text_add(&kinds, "%s(...), ", sources[i].name);
        vec_push(fr->cx->arena, &names, sources[i].name);
    }
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        const Item *item = fr->globals.data[i].item;
        if (item->kind == ItFn) vec_push(fr->cx->arena, &names, item->name);
    }
    bool named = e->kind == ExCall && e->x->kind == ExName;
    diag_unknown(fr->cx, named ? e->x->loc : e->loc, named ? e->x->name : NULL, names.data,
                 names.len, "a dataset is made by %.*s or a function of one row",
                 (int)kinds.len - 2, kinds.data);
    free(kinds.data);
}

/* Which of `sources` makes the rows; LEN(sources) after a report. fn: the function that does. */
static size_t find_source(Front *fr, const Expr *e, const Item **fn) {
    size_t at = 0;
    *fn = NULL;
    if (e->kind != ExCall || e->x->kind != ExName) {
        unknown_source(fr, e);
        return LEN(sources);
    }
    while (at < LEN(sources) && strcmp(e->x->name, sources[at].name)) at++;
    if (at < LEN(sources)) return at;
    Global *g = find_item(fr, e->x->name, false, -1);
    if (!g || g->item->kind != ItFn) {
        unknown_source(fr, e);
        return LEN(sources);
    }
    *fn = g->item;
    return LEN(sources) - 1; /* rows */
}

static bool check_parts(Front *fr, const Dataset *d, const Item *item, bool several) {
    Cx *cx = fr->cx;
    Loc loc = item->e->loc;
    const double share[] = {0, d->valid, d->test};
    if (!d->files.len && !d->split_files[0].len) {
        diag_error(cx, loc, "%s(...) needs a file", d->kind);
        return false;
    }
    if (d->files.len && d->split_files[0].len) {
        diag_error(cx, loc, "the rows to train come from the first file; drop it or 'train='");
        return false;
    }
    uint32_t most = d->files.len;
    for (size_t i = 0; i < DataParts; i++) {
        if (d->split_files[i].len > most) most = d->split_files[i].len;
        if (!d->split_files[i].len || !(share[i] > 0)) continue;
        diag_error(cx, loc, "'split' and '%s=' both say what .%s is", data_parts[i], data_parts[i]);
        return false;
    }
    if (most <= 1 || several) return true;
    diag_error(cx, loc, "%s(...) reads one file", d->kind);
    return false;
}

static bool read_file_source(Front *fr, Dataset *d, const Item *item, size_t source) {
    for (uint32_t i = 0; i < item->e->args.len; i++) {
        const Arg *a = &item->e->args.data[i];
        if (a->name ? !read_setting(fr, d, a, sources[source].kind)
                    : !add_files(fr, a->value, &d->files))
            return false;
    }
    if (!check_parts(fr, d, item, sources[source].several)) return false;
    if (d->split == SplitRandom && sources[source].kind == SrcText && !d->lines)
        d->split = SplitTail;
    bool ok = true;
    for (uint32_t i = 0; item->body && i < item->body->stmts.len; i++)
        ok &= lower_field(fr, d, item->body->stmts.data[i]);
    return ok;
}

static bool read_row_source(Front *fr, Dataset *d, const Item *item, const Item *fn) {
    for (uint32_t i = 0; i < item->e->args.len; i++) {
        const Arg *a = &item->e->args.data[i];
        if (a->name && (!fn || is_rows_setting(a->name))) {
            if (!read_setting(fr, d, a, SrcRows)) return false;
        } else if (!a->name && !fn) {
            diag_error(fr->cx, a->value->loc,
                       "rows(...) takes settings by name: n=, seed=, split=");
            return false;
        }
    }
    if (!d->rows) {
        diag_error(fr->cx, item->e->loc, "how many rows? write %s(n=500, ...)", item->e->x->name);
        return false;
    }
    if (!d->row) return lower_rows(fr, d, item, fn);
    bool ok = true;
    for (uint32_t i = 0; item->body && i < item->body->stmts.len; i++)
        ok &= lower_field(fr, d, item->body->stmts.data[i]);
    return ok;
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
    const Item *fn;
    size_t source = find_source(fr, item->e, &fn);
    if (source == LEN(sources)) return NULL;
    d->kind = sym(cx, sources[source].name);
    Text t = {0};
    ast_print_item(item, &t);
    d->text = text_done(&t, cx->arena);
    bool ok = sources[source].kind == SrcRows ? read_row_source(fr, d, item, fn)
                                              : read_file_source(fr, d, item, source);
    if (ok && !d->fields.len) diag_error(cx, item->name_loc, "dataset '%s' has no fields", d->name);
    d->broken = !ok;
    return d;
}
