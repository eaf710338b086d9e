/* A dataset in memory: the fields of every row in their types, statistics of the training rows, and
 * which rows belong to which split. */
#include "runtime/data.h"

#include <math.h>
#include <stdlib.h>

/* One file, or several joined by columns, or one npz: a stretch of the rows. */
typedef struct Part {
    uint32_t ncsv;
    Csv *csv;
    Npz npz;
    int64_t rows, first; /* first: of its rows among all */
} Part;

typedef struct Load {
    Arena *a;
    const MfDataset *spec;
    const char *source;
    Text *err;
    bool is_npz;
    MfDType real; /* of statistics */
    uint32_t nparts;
    Part part[MfSplitCount];
    int64_t rows;
    Data *data;
    const Stats *given;
    const MfField *field; /* being read */
} Load;

/* Numbers of one expression: `width` per row, all rows. */
typedef struct Matrix {
    int64_t width;
    double *v;
} Matrix;

static bool fail(const Load *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool fail(const Load *l, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    text_add(l->err, "%s:%lld:%lld: error: field '%s': %s", l->source, (long long)l->field->line,
             (long long)l->field->col, l->field->name, arena_vprintf(l->a, fmt, ap));
    va_end(ap);
    return false;
}

/* ---- files ---- */

static bool open_csv_part(Load *l, const char *const *files, uint32_t n, Part *p) {
    CsvOptions o = {l->spec->header, l->spec->skip, l->spec->sep};
    p->csv = NEW_ARRAY(l->a, Csv, n);
    p->ncsv = n;
    for (uint32_t i = 0; i < n; i++) {
        if (!csv_open(l->a, files[i], &o, &p->csv[i], l->err)) return false;
        if (p->csv[i].rows == p->csv[0].rows) continue;
        text_add(l->err, "%s:1:1: error: %lld rows, '%s' has %lld", files[i],
                 (long long)p->csv[i].rows, files[0], (long long)p->csv[0].rows);
        return false;
    }
    p->rows = p->csv[0].rows;
    return true;
}

static bool open_npz_part(Load *l, const char *file, Part *p) {
    if (!npz_read(l->a, file, &p->npz, l->err)) return false;
    p->rows = -1;
    for (uint32_t i = 0; i < p->npz.n; i++) {
        const Array *x = &p->npz.arrays[i];
        if (x->type.rank && p->rows < 0) p->rows = x->type.dim[0];
    }
    if (p->rows > 0) return true;
    text_add(l->err, "%s: error: no array with rows", file);
    return false;
}

static bool open_part(Load *l, const char *const *files, uint32_t n) {
    Part *p = &l->part[l->nparts];
    if (!(l->is_npz ? open_npz_part(l, files[0], p) : open_csv_part(l, files, n, p))) return false;
    p->first = l->rows;
    l->rows += p->rows;
    l->nparts++;
    return true;
}

/* ---- expressions ---- */

static bool eval(Load *l, const MfExpr *e, Matrix *out);

static Matrix matrix(Load *l, int64_t width) {
    size_t n;
    if (!size_mul((size_t)l->rows, (size_t)width, &n)) n = SIZE_MAX;
    return (Matrix){width, arena_array(l->a, n, sizeof(double))};
}

/* Column col of joined files. */
static const Csv *column_of(const Part *p, int64_t *col) {
    for (uint32_t i = 0; i < p->ncsv; i++) {
        if (*col < p->csv[i].cols) return &p->csv[i];
        *col -= p->csv[i].cols;
    }
    return NULL;
}

static int64_t all_columns(const Part *p) {
    int64_t n = 0;
    for (uint32_t i = 0; i < p->ncsv; i++) n += p->csv[i].cols;
    return n;
}

static int64_t named_column(const Part *p, const char *name) {
    int64_t at = 0;
    for (uint32_t i = 0; i < p->ncsv; at += p->csv[i++].cols) {
        for (int64_t c = 0; p->csv[i].names && c < p->csv[i].cols; c++) {
            if (p->csv[i].names[c] && !strcmp(p->csv[i].names[c], name)) return at + c;
        }
    }
    return -1;
}

static bool columns(Load *l, int64_t from, int64_t to, const char *name, Matrix *out) {
    if (l->is_npz) return fail(l, "an npz has arrays, key(\"x\"), not columns");
    *out = matrix(l, to - from);
    for (uint32_t k = 0; k < l->nparts; k++) {
        const Part *p = &l->part[k];
        for (int64_t c = from; c < to; c++) {
            int64_t at = name ? named_column(p, name) : c;
            if (at < 0) return fail(l, "'%s' has no column named \"%s\"", p->csv[0].path, name);
            if (at >= all_columns(p)) {
                return fail(l, "column %lld does not exist: '%s' has %lld columns", (long long)at,
                            p->csv[0].path, (long long)all_columns(p));
            }
            const Csv *t = column_of(p, &at);
            if (!csv_column(t, at, out->v + p->first * out->width + (c - from), out->width, l->err))
                return false;
        }
    }
    return true;
}

static bool key(Load *l, const MfExpr *e, Matrix *out) {
    if (!l->is_npz) return fail(l, "key(\"%s\") needs an npz", e->s);
    for (uint32_t k = 0; k < l->nparts; k++) {
        const Part *p = &l->part[k];
        const Array *x = npz_find(&p->npz, e->s);
        if (!x) return fail(l, "'%s' has no array '%s'", p->npz.path, e->s);
        if (!x->type.rank || x->type.dim[0] != p->rows)
            return fail(l, "array '%s' has not one entry per row", e->s);
        int64_t width = x->type.size / p->rows;
        if (!k) *out = matrix(l, width);
        if (width != out->width)
            return fail(l, "array '%s' has rows of another size in '%s'", e->s, p->npz.path);
        for (int64_t i = 0; i < x->type.size; i++) out->v[p->first * width + i] = array_float(x, i);
    }
    return true;
}

static int by_text(const void *x, const void *y) {
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Texts of a column, numbered in sorted order. */
static bool category(Load *l, const MfExpr *e, Matrix *out) {
    if (l->is_npz || (e->x->kind != MfxCol && e->x->kind != MfxColName))
        return fail(l, "category(e) takes one column of a csv");
    const char **cell = NEW_ARRAY(l->a, const char *, (size_t)l->rows),
               **sorted = NEW_ARRAY(l->a, const char *, (size_t)l->rows);
    for (uint32_t k = 0; k < l->nparts; k++) {
        const Part *p = &l->part[k];
        int64_t at = e->x->kind == MfxColName ? named_column(p, e->x->s) : e->x->a;
        if (at < 0 || at >= all_columns(p))
            return fail(l, "the column of category(...) does not exist");
        const Csv *t = column_of(p, &at);
        for (int64_t i = 0; i < p->rows; i++) {
            size_t len;
            int64_t col;
            const char *text = csv_cell(t, i, at, &len, &col);
            cell[p->first + i] = arena_strndup(l->a, text, len);
        }
    }
    memcpy(sorted, cell, (size_t)l->rows * sizeof *sorted);
    qsort(sorted, (size_t)l->rows, sizeof *sorted, by_text);
    int64_t n = 0;
    for (int64_t i = 0; i < l->rows; i++) {
        if (!n || strcmp(sorted[n - 1], sorted[i])) sorted[n++] = sorted[i];
    }
    *out = matrix(l, 1);
    for (int64_t i = 0; i < l->rows; i++) {
        const char **found = bsearch(&cell[i], sorted, (size_t)n, sizeof *sorted, by_text);
        out->v[i] = (double)(found - sorted);
    }
    return true;
}

/* (x - mean) / deviation of the training rows, per element; of N, in two passes. */
static bool standardize(Load *l, const MfExpr *e, Matrix *m) {
    if (!eval(l, e->x, m)) return false;
    size_t f = (size_t)(l->field - l->spec->fields);
    Stats *s = &l->data->stats[f];
    if (s->used) return fail(l, "standardize(...) stands twice");
    *s = (Stats){true, NEW_ARRAY(l->a, double, (size_t)m->width),
                 NEW_ARRAY(l->a, double, (size_t)m->width)};
    int64_t n = l->data->rows[MfTrain];
    const int64_t *train = l->data->index[MfTrain];
    for (int64_t c = 0; c < m->width; c++) {
        double sum = 0, square = 0;
        for (int64_t i = 0; i < n; i++) sum += m->v[train[i] * m->width + c];
        s->mean[c] = n ? sum / (double)n : 0;
        for (int64_t i = 0; i < n; i++) {
            double d = m->v[train[i] * m->width + c] - s->mean[c];
            square += d * d;
        }
        s->deviation[c] = n ? sqrt(square / (double)n) : 1;
        if (!(s->deviation[c] > 0)) s->deviation[c] = 1;
        if (l->real ==
            MfF32) { /* as a checkpoint keeps them, so that a resumed run sees the same rows */
            s->mean[c] = (double)(float)s->mean[c];
            s->deviation[c] = (double)(float)s->deviation[c];
        }
        if (l->given && l->given[f].used) {
            s->mean[c] = l->given[f].mean[c];
            s->deviation[c] = l->given[f].deviation[c];
        }
        for (int64_t i = 0; i < l->rows; i++) {
            double *v = &m->v[i * m->width + c];
            *v = (*v - s->mean[c]) / s->deviation[c];
        }
    }
    return true;
}

static double apply(MfExprKind kind, double x, double y) {
    return kind == MfxAdd ? x + y : kind == MfxSub ? x - y : kind == MfxMul ? x * y : x / y;
}

static bool binary(Load *l, const MfExpr *e, Matrix *out) {
    Matrix x, y;
    if (!eval(l, e->x, &x) || !eval(l, e->y, &y)) return false;
    if (x.width != y.width && x.width != 1 && y.width != 1) {
        return fail(l, "arithmetic on %lld and %lld columns", (long long)x.width,
                    (long long)y.width);
    }
    *out = matrix(l, x.width > y.width ? x.width : y.width);
    for (int64_t i = 0; i < l->rows; i++) {
        for (int64_t c = 0; c < out->width; c++) {
            double u = x.v[i * x.width + (x.width == 1 ? 0 : c)],
                   v = y.v[i * y.width + (y.width == 1 ? 0 : c)];
            out->v[i * out->width + c] = apply(e->kind, u, v);
        }
    }
    return true;
}

static bool eval(Load *l, const MfExpr *e, Matrix *out) {
    switch (e->kind) {
    case MfxNum:
        *out = matrix(l, 1);
        for (int64_t i = 0; i < l->rows; i++) out->v[i] = e->num;
        return true;
    case MfxCols:
        return columns(l, e->a, e->b, NULL, out);
    case MfxCol:
        return columns(l, e->a, e->a + 1, NULL, out);
    case MfxColName:
        return columns(l, 0, 1, e->s, out);
    case MfxKey:
        return key(l, e, out);
    case MfxField:
        return fail(l, "field(i) needs another source than %s", l->spec->kind);
    case MfxStandardize:
        return standardize(l, e, out);
    case MfxCategory:
        return category(l, e, out);
    case MfxAdd:
    case MfxSub:
    case MfxMul:
    case MfxDiv:
        return binary(l, e, out);
    case MfxNeg:
        if (!eval(l, e->x, out)) return false;
        for (int64_t i = 0; i < l->rows * out->width; i++) out->v[i] = -out->v[i];
        return true;
    }
    return false;
}

/* ---- fields ---- */

/* The cell that element c of a row comes from, where the field is plain columns. */
static bool cell_error(Load *l, int64_t row, int64_t c, const char *text) {
    const MfExpr *e = l->field->expr;
    for (uint32_t k = 0; k < l->nparts && !l->is_npz; k++) {
        const Part *p = &l->part[k];
        int64_t at = e->kind == MfxCols || e->kind == MfxCol ? e->a + c
                     : e->kind == MfxColName                 ? named_column(p, e->s)
                                                             : -1;
        if (row < p->first || row >= p->first + p->rows || at < 0) continue;
        const Csv *t = column_of(p, &at);
        csv_error(t, row - p->first, at, l->err, text);
        return false;
    }
    return fail(l, "row %lld: %s", (long long)row, text);
}

static bool check_element(Load *l, MfType t, double v, int64_t row, int64_t c) {
    if (t.dt == MfF32 || t.dt == MfF64 || t.dt == MfBF16) return true;
    if (v != floor(v)) return cell_error(l, row, c, arena_printf(l->a, "%g is not an integer", v));
    double high = t.range          ? (double)(t.range - 1)
                  : t.dt == MfI32  ? INT32_MAX
                  : t.dt == MfBool ? 1
                                   : 0x1p53;
    double low = t.range || t.dt == MfBool ? 0 : t.dt == MfI32 ? INT32_MIN : -0x1p53;
    if (v >= low && v <= high) return true;
    return cell_error(
        l, row, c,
        t.range ? arena_printf(l->a, "label %g is not in [0, %lld)", v, (long long)t.range)
                : arena_printf(l->a, "%g does not fit %s", v, mf_dtype_name(t.dt)));
}

static bool load_field(Load *l, uint32_t f) {
    l->field = &l->spec->fields[f];
    MfType t = l->field->type;
    Matrix m;
    if (!eval(l, l->field->expr, &m)) return false;
    if (m.width != t.size) {
        return fail(l, "%s has %lld numbers a row, its value has %lld", mf_type_text(l->a, t),
                    (long long)t.size, (long long)m.width);
    }
    l->data->row_bytes[f] = mf_bytes(t);
    l->data->fields[f] = arena_array(l->a, (size_t)l->rows + 1, l->data->row_bytes[f]);
    for (int64_t i = 0; i < l->rows * m.width; i++) {
        if (!check_element(l, t, m.v[i], i / m.width, i % m.width)) return false;
        store_float(t.dt, l->data->fields[f], i, m.v[i]);
    }
    return true;
}

/* ---- splits ---- */

void shuffle(uint64_t key_, int64_t *order, int64_t n) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(rng_bits(key_, (uint64_t)i) % (uint64_t)(i + 1)), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

static void take(Load *l, MfSplit s, const int64_t *order, int64_t n) {
    Data *d = l->data;
    d->index[s] = NEW_ARRAY(l->a, int64_t, (size_t)n + 1);
    d->rows[s] = n;
    memcpy(d->index[s], order, (size_t)n * sizeof *order);
}

/* The last rows of the order are the test part, those before it the validation part. */
static void split_rows(Load *l) {
    const MfDataset *s = l->spec;
    const Part *main = &l->part[0];
    int64_t n = main->rows, *order = NEW_ARRAY(l->a, int64_t, (size_t)n + 1);
    if (s->split == MfSplitRandom)
        shuffle(s->split_seed, order, n);
    else
        for (int64_t i = 0; i < n; i++) order[i] = i;
    int64_t valid = s->split == MfSplitNone ? 0 : (int64_t)floor((double)n * s->valid + 0.5);
    int64_t test = s->split == MfSplitNone ? 0 : (int64_t)floor((double)n * s->test + 0.5);
    take(l, MfTrain, order, n - valid - test);
    take(l, MfValid, order + n - valid - test, valid);
    take(l, MfTest, order + n - test, test);
}

static bool open_parts(Load *l) {
    const MfDataset *s = l->spec;
    bool train_file = s->split_files[MfTrain] && !s->nfiles;
    if (!(train_file ? open_part(l, &s->split_files[MfTrain], 1)
                     : s->nfiles && open_part(l, s->files, s->nfiles))) {
        return false;
    }
    split_rows(l);
    for (MfSplit k = MfValid; k < MfSplitCount; k++) {
        if (!s->split_files[k]) continue;
        if (!open_part(l, &s->split_files[k], 1)) return false;
        const Part *p = &l->part[l->nparts - 1];
        int64_t *order = NEW_ARRAY(l->a, int64_t, (size_t)p->rows);
        for (int64_t i = 0; i < p->rows; i++) order[i] = p->first + i;
        take(l, k, order, p->rows);
    }
    return true;
}

Data *data_load(Arena *a, const MfDataset *spec, const char *source, MfDType real,
                const Stats *stats, Text *err) {
    Load l = {.a = a,
              .spec = spec,
              .source = source,
              .err = err,
              .given = stats,
              .real = real,
              .is_npz = !strcmp(spec->kind, "npz"),
              .data = NEW(a, Data)};
    *l.data = (Data){.spec = spec,
                     .fields = NEW_ARRAY(a, void *, spec->nfields),
                     .row_bytes = NEW_ARRAY(a, size_t, spec->nfields),
                     .stats = NEW_ARRAY(a, Stats, spec->nfields)};
    if (!open_parts(&l)) return NULL;
    for (uint32_t f = 0; f < spec->nfields; f++) {
        if (!load_field(&l, f)) return NULL;
    }
    return l.data;
}
