/* The expression of a field, row by row. Columns of tables are parsed once, when a node is made, so
 * that a wrong cell is found in the order of the file; arrays and texts are read where they are. */
#include "runtime/load.h"

#include <math.h>
#include <stdlib.h>

struct Node {
    const DataExpr *e;
    int64_t width;
    struct Node *x, *y;
    double *table;                        /* of columns and categories: all rows */
    const Array *array[MfSplitCount + 1]; /* of key and field, per part */
    double *tmp_x, *tmp_y;                /* operands */
    const Stats *stats;
};

int64_t row_width(const Node *n) {
    return n->width;
}

static Node *leaf(Load *l, const DataExpr *e, int64_t width) {
    Node *n = NEW(l->a, Node);
    n->e = e;
    n->width = width;
    return n;
}

static double *table(Load *l, int64_t width) {
    size_t n;
    if (!size_mul((size_t)l->rows, (size_t)width, &n)) n = SIZE_MAX;
    return arena_array(l->a, n, sizeof(double));
}

/* ---- columns ---- */

static bool is_table(const Load *l) {
    return l->part[0].ncsv > 0;
}

/* Columns from .. to - 1 of a part, or the one of that name; -1 after a report. */
static int64_t first_column(Load *l, const Part *p, const DataExpr *e, int64_t *n) {
    int64_t from = e->kind == DxColName ? source_named_column(p, e->s) : e->a;
    *n = e->kind == DxCols ? e->b - e->a : 1;
    if (from < 0) {
        const char **names = NEW_ARRAY(l->a, const char *, (size_t)source_columns(p) + 1);
        size_t count = 0;
        for (uint32_t i = 0; i < p->ncsv; i++) {
            for (int64_t c = 0; p->csv[i].names && c < p->csv[i].cols; c++) {
                if (p->csv[i].names[c]) names[count++] = p->csv[i].names[c];
            }
        }
        const char *near = nearest_name(e->s, names, count);
        if (!count) {
            load_fail(l, "'%s' has no line of names; header=true says that its first line is one",
                      p->path);
            return -1;
        }
        load_fail(l, "'%s' has no column named \"%s\"%s", p->path, e->s,
                  near ? arena_printf(l->a, "; did you mean \"%s\"?", near) : "");
        return -1;
    }
    if (*n <= source_columns(p) - from) return from;
    int64_t have = source_columns(p);
    load_fail(l, "column %lld does not exist: '%s' has %lld column%s", (long long)(from + *n - 1),
              p->path, (long long)have, have == 1 ? "; sep= says what stands between them" : "s");
    return -1;
}

static Node *columns_node(Load *l, const DataExpr *e) {
    int64_t n = e->kind == DxCols ? e->b - e->a : 1;
    Node *node = leaf(l, e, n);
    if (!is_table(l)) {
        for (uint32_t k = 0; k < l->nparts; k++) {
            int64_t have = 0;
            for (uint32_t i = 0; i < l->part[k].arrays.n; i++)
                have += l->part[k].arrays.arrays[i].type.size / l->part[k].rows;
            if (e->kind != DxColName && e->a + n <= have) continue;
            load_fail(l, "'%s' has %lld numbers a row", l->part[k].path, (long long)have);
            return NULL;
        }
        return node;
    }
    node->table = table(l, n);
    for (uint32_t k = 0; k < l->nparts; k++) {
        const Part *p = &l->part[k];
        int64_t from = first_column(l, p, e, &n);
        if (from < 0) return NULL;
        for (int64_t row = 0; row < p->rows; row++) {
            double *to = node->table + (p->first + row) * n;
            for (int64_t c = 0, m; c < n; c += m) {
                int64_t at = from + c;
                const Csv *t = source_column(p, &at);
                m = t->cols - at < n - c ? t->cols - at : n - c;
                if (csv_cells(t, row, at, m, to + c, l->err)) continue;
                load_note(l);
                return NULL;
            }
        }
    }
    return node;
}

/* Number c of a row of joined arrays. */
static double joined(const Part *p, int64_t row, int64_t c) {
    const Array *x = p->arrays.arrays;
    int64_t width = x->type.size / p->rows;
    while (c >= width) {
        c -= width;
        width = (++x)->type.size / p->rows;
    }
    return array_float(x, row * width + c);
}

/* ---- arrays ---- */

static Node *array_node(Load *l, const DataExpr *e) {
    Node *n = leaf(l, e, 0);
    for (uint32_t k = 0; k < l->nparts; k++) {
        const Part *p = &l->part[k];
        bool numbered = e->kind == DxField;
        const Array *x = !numbered            ? npz_find(&p->arrays, e->s)
                         : e->a < p->arrays.n ? &p->arrays.arrays[e->a]
                                              : NULL;
        if (!x && numbered)
            load_fail(l, "field %lld does not exist: '%s' has %u", (long long)e->a, p->path,
                      p->arrays.n);
        else if (!x)
            load_fail(l, "'%s' has no array '%s'", p->path, e->s);
        else if (!x->type.rank || x->type.dim[0] != p->rows)
            load_fail(l, "array '%s' has %lld rows, the dataset has %lld", x->name,
                      (long long)(x->type.rank ? x->type.dim[0] : 0), (long long)p->rows);
        else if (k && x->type.size / p->rows != n->width)
            load_fail(l, "array '%s' has rows of another size in '%s'", x->name, p->path);
        else {
            n->width = x->type.size / p->rows;
            n->array[k] = x;
            continue;
        }
        return NULL;
    }
    return n;
}

/* ---- categories ---- */

static int by_text(const void *x, const void *y) {
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static Words distinct(Load *l, const char *const *cell) {
    Words w = {true, 0, NEW_ARRAY(l->a, const char *, (size_t)l->rows)};
    memcpy(w.words, cell, (size_t)l->rows * sizeof *cell);
    qsort(w.words, (size_t)l->rows, sizeof *w.words, by_text);
    for (int64_t i = 0; i < l->rows; i++) {
        if (!w.n || strcmp(w.words[w.n - 1], w.words[i])) w.words[w.n++] = w.words[i];
    }
    return w;
}

static const char **all_cells(Load *l, const DataExpr *e) {
    const char **cell = NEW_ARRAY(l->a, const char *, (size_t)l->rows);
    for (uint32_t k = 0; k < l->nparts; k++) {
        const Part *p = &l->part[k];
        int64_t n, at = first_column(l, p, e, &n);
        if (at < 0) return NULL;
        const Csv *t = source_column(p, &at);
        for (int64_t i = 0; i < p->rows; i++) {
            size_t len;
            int64_t col;
            const char *text = csv_cell(t, i, at, &len, &col);
            cell[p->first + i] = arena_strndup(l->a, text, len);
        }
    }
    return cell;
}

/* Texts of a column, numbered in sorted order. */
static Node *category_node(Load *l, const DataExpr *e) {
    Words *w = &l->data->learned.words[l->f];
    bool column = is_table(l) && (e->x->kind == DxCol || e->x->kind == DxColName);
    if (!column || w->used) {
        load_fail(l,
                  column ? "category(...) stands twice" : "category(e) takes one column of a csv");
        return NULL;
    }
    const char **cell = all_cells(l, e->x);
    if (!cell) return NULL;
    const Learned *given = l->o->given;
    *w = given && given->words[l->f].used ? given->words[l->f] : distinct(l, cell);
    Node *n = leaf(l, e, 1);
    n->table = table(l, 1);
    for (int64_t i = 0; i < l->rows; i++) {
        const char **found = bsearch(&cell[i], w->words, (size_t)w->n, sizeof *w->words, by_text);
        if (!found) {
            row_error(
                l, i, 0,
                arena_printf(l->a, "'%s' did not occur when the weights were trained", cell[i]));
            return NULL;
        }
        n->table[i] = (double)(found - w->words);
    }
    return n;
}

/* ---- statistics ---- */

/* Of the training rows, per element; of N, in two passes. */
static void measure(const Load *l, const Node *x, Stats *s, double *row) {
    int64_t n = l->data->rows[MfTrain];
    for (int pass = 0; pass < 2; pass++) {
        double *to = pass ? s->deviation : s->mean;
        for (int64_t i = 0; i < n; i++) {
            row_read(l, x, data_row(l->data, MfTrain, i), row);
            for (int64_t c = 0; c < x->width; c++) {
                double d = row[c] - s->mean[c];
                to[c] += pass ? d * d : row[c];
            }
        }
        for (int64_t c = 0; c < x->width && n; c++)
            to[c] = pass ? sqrt(to[c] / (double)n) : to[c] / (double)n;
    }
}

static Node *standardize_node(Load *l, const DataExpr *e) {
    Node *x = row_node(l, e->x);
    if (!x) return NULL;
    Stats *s = &l->data->learned.stats[l->f];
    MfType t = l->field->type;
    if (s->used || x->width != t.size) {
        load_fail(l, "%s",
                  s->used ? "standardize(...) stands twice"
                          : arena_printf(l->a, "%s has %lld numbers a row, its value has %lld",
                                         mf_type_text(l->a, t), (long long)t.size,
                                         (long long)x->width));
        return NULL;
    }
    *s = (Stats){true, NEW_ARRAY(l->a, double, (size_t)x->width),
                 NEW_ARRAY(l->a, double, (size_t)x->width)};
    Node *n = leaf(l, e, x->width);
    n->x = x;
    n->stats = s;
    const Learned *given = l->o->given;
    if (given && given->stats[l->f].used) {
        *s = given->stats[l->f];
        return n;
    }
    measure(l, x, s, NEW_ARRAY(l->a, double, (size_t)x->width));
    for (int64_t c = 0; c < x->width; c++) {
        if (!(s->deviation[c] > 0)) s->deviation[c] = 1;
        if (l->o->real != F32) continue;
        /* as a checkpoint keeps them, so that a resumed run sees the same rows */
        s->mean[c] = (double)(float)s->mean[c];
        s->deviation[c] = (double)(float)s->deviation[c];
    }
    return n;
}

/* ---- arithmetic ---- */

static Node *arithmetic_node(Load *l, const DataExpr *e) {
    Node *x = row_node(l, e->x), *y = x && e->y ? row_node(l, e->y) : x;
    if (!x || !y) return NULL;
    if (x->width != y->width && x->width != 1 && y->width != 1) {
        load_fail(l, "arithmetic on %lld and %lld numbers", (long long)x->width,
                  (long long)y->width);
        return NULL;
    }
    Node *n = leaf(l, e, x->width > y->width ? x->width : y->width);
    n->x = x;
    n->y = e->y ? y : NULL;
    n->tmp_x = NEW_ARRAY(l->a, double, (size_t)x->width);
    n->tmp_y = NEW_ARRAY(l->a, double, (size_t)y->width);
    return n;
}

static double apply(DataExprKind kind, double x, double y) {
    return kind == DxAdd ? x + y : kind == DxSub ? x - y : kind == DxMul ? x * y : x / y;
}

static void read_arithmetic(const Load *l, const Node *n, int64_t row, double *out) {
    row_read(l, n->x, row, n->tmp_x);
    if (n->y) row_read(l, n->y, row, n->tmp_y);
    for (int64_t c = 0; c < n->width; c++) {
        double x = n->tmp_x[n->x->width == 1 ? 0 : c];
        out[c] = n->y ? apply(n->e->kind, x, n->tmp_y[n->y->width == 1 ? 0 : c]) : -x;
    }
}

/* ---- texts ---- */

static Node *text_node(Load *l, const DataExpr *e) {
    if (!source_is_text(l) || (e->kind == DxLength && !l->spec->lines)) {
        load_fail(l, e->kind == DxLength ? "length() needs text(f, lines=true)"
                                          : "window(i) needs text(f)");
        return NULL;
    }
    bool window = e->kind == DxWindow && l->spec->lines;
    return leaf(l, e, window ? l->field->type.size : 1);
}

static void read_text(const Load *l, const Node *n, int64_t row, double *out) {
    const Part *p = source_part(l, row);
    if (n->e->kind == DxLength) {
        out[0] = (double)(p->chars.line_len[row - p->first] + 1);
        return;
    }
    int64_t from = l->spec->lines ? n->e->a : 0;
    for (int64_t c = 0; c < n->width; c++)
        out[c] = l->ids[chars_byte(&p->chars, row - p->first, from + c)];
}

/* ---- all ---- */

Node *row_node(Load *l, const DataExpr *e) {
    switch (e->kind) {
    case DxNum:
        return leaf(l, e, 1);
    case DxCols:
    case DxCol:
    case DxColName:
        return columns_node(l, e);
    case DxKey:
    case DxField:
        return array_node(l, e);
    case DxWindow:
    case DxLength:
        return text_node(l, e);
    case DxStandardize:
        return standardize_node(l, e);
    case DxCategory:
        return category_node(l, e);
    case DxAdd:
    case DxSub:
    case DxMul:
    case DxDiv:
    case DxNeg:
        return arithmetic_node(l, e);
    }
    return NULL;
}

void row_read(const Load *l, const Node *n, int64_t row, double *out) {
    const Part *p = source_part(l, row);
    int64_t at = row - p->first;
    if (n->table) {
        memcpy(out, n->table + row * n->width, (size_t)n->width * sizeof *out);
        return;
    }
    switch (n->e->kind) {
    case DxNum:
        out[0] = n->e->num;
        return;
    case DxCols:
    case DxCol:
    case DxColName:
        for (int64_t c = 0; c < n->width; c++) out[c] = joined(p, at, n->e->a + c);
        return;
    case DxKey:
    case DxField: {
        const Array *x = n->array[p - l->part];
        for (int64_t c = 0; c < n->width; c++) out[c] = array_float(x, at * n->width + c);
        return;
    }
    case DxWindow:
    case DxLength:
        read_text(l, n, row, out);
        return;
    case DxStandardize:
        row_read(l, n->x, row, out);
        for (int64_t c = 0; c < n->width; c++)
            out[c] = (out[c] - n->stats->mean[c]) / n->stats->deviation[c];
        return;
    case DxCategory:
        return;
    case DxAdd:
    case DxSub:
    case DxMul:
    case DxDiv:
    case DxNeg:
        read_arithmetic(l, n, row, out);
        return;
    }
}

/* ---- where a wrong number stands ---- */

static const DataExpr *first_leaf(const DataExpr *e) {
    if (e->x) {
        const DataExpr *x = first_leaf(e->x);
        return x || !e->y ? x : first_leaf(e->y);
    }
    return e->kind == DxNum ? NULL : e;
}

bool row_error(const Load *l, int64_t row, int64_t c, const char *text) {
    const Part *p = source_part(l, row);
    const DataExpr *e = first_leaf(l->field->expr);
    int64_t at = e && e->kind == DxColName ? source_named_column(p, e->s) : e ? e->a : 0;
    if (e && e->kind == DxCols) at += c < e->b - e->a ? c : 0;
    if (p->ncsv && e) {
        const Csv *t = source_column(p, &at);
        csv_error(t, row - p->first, at, l->err, text);
        return load_note(l);
    }
    if (source_is_text(l) && l->spec->lines) {
        text_add(l->err, "%s:%lld:1: error: %s", p->path, (long long)(row - p->first + 1), text);
        return load_note(l);
    }
    if (source_is_text(l)) return load_fail(l, "%s", text);
    const char *path = p->path;
    if (e && e->kind == DxField && e->a < p->arrays.n && !l->o->made)
        path = p->arrays.arrays[e->a].name;
    text_add(l->err, "%s: error: row %lld, field '%s', number %lld: %s", path,
             (long long)(row - p->first), l->field->name, (long long)c, text);
    return load_note(l);
}
