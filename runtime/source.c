/* Opens the files of a dataset: one opener per kind of source. */
#include "runtime/load.h"

static bool open_csv(Load *l, const char *const *files, uint32_t n, Part *p) {
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

/* The first array that the expression names. */
static const Array *named_array(const Npz *z, const DataExpr *e) {
    if (!e) return NULL;
    if (e->kind == DxKey) return npz_find(z, e->s);
    const Array *x = named_array(z, e->x);
    return x ? x : named_array(z, e->y);
}

static bool open_npz(Load *l, const char *const *files, uint32_t n, Part *p) {
    (void)n;
    if (!npz_read(l->a, files[0], &p->arrays, l->err)) return false;
    const Array *x = NULL;
    for (uint32_t f = 0; f < l->spec->nfields && !x; f++)
        x = named_array(&p->arrays, l->spec->fields[f].expr);
    for (uint32_t i = 0; i < p->arrays.n && !x; i++)
        if (p->arrays.arrays[i].type.rank) x = &p->arrays.arrays[i];
    if (x && x->type.rank) p->rows = x->type.dim[0];
    if (p->rows > 0) return true;
    if (x)
        text_add(l->err, "%s: error: array '%s' has no rows", files[0], x->name);
    else
        text_add(l->err, "%s: error: no array with rows", files[0]);
    return false;
}

static bool open_arrays(Load *l, const char *const *files, uint32_t n, Part *p, bool idx) {
    p->arrays = (Npz){files[0], n, NEW_ARRAY(l->a, Array, n)};
    for (uint32_t i = 0; i < n; i++) {
        if (!array_read(l->a, files[i], idx, &p->arrays.arrays[i], l->err)) return false;
        int64_t rows = p->arrays.arrays[i].type.dim[0];
        if (!i) p->rows = rows;
        if (rows == p->rows && rows) continue;
        text_add(l->err, "%s: error: ", files[i]);
        if (!rows)
            text_add(l->err, "the file has no rows");
        else
            text_add(l->err, "%lld rows, '%s' has %lld", (long long)rows, files[0],
                     (long long)p->rows);
        return false;
    }
    return true;
}

static bool open_npy(Load *l, const char *const *files, uint32_t n, Part *p) {
    return open_arrays(l, files, n, p, false);
}

static bool open_idx(Load *l, const char *const *files, uint32_t n, Part *p) {
    return open_arrays(l, files, n, p, true);
}

static bool open_text(Load *l, const char *const *files, uint32_t n, Part *p) {
    (void)n;
    if (!chars_open(l->a, files[0], l->spec->lines, &p->chars, l->err)) return false;
    p->rows = p->chars.rows;
    return true;
}

static bool open_made(Load *l, const char *const *files, uint32_t n, Part *p) {
    (void)files, (void)n;
    p->arrays = *l->o->made;
    p->rows = l->spec->made;
    return true;
}

static const struct {
    const char *kind;
    bool (*open)(Load *l, const char *const *files, uint32_t n, Part *p);
    bool several; /* files make one part */
} openers[] = {
    {"csv", open_csv, true}, {"npz", open_npz, false},   {"npy", open_npy, true},
    {"idx", open_idx, true}, {"text", open_text, false}, {"rows", open_made, true},
};

bool source_open(Load *l, const char *const *files, uint32_t n) {
    Part *p = &l->part[l->nparts];
    size_t kind = 0;
    while (kind < LEN(openers) && strcmp(openers[kind].kind, l->spec->kind)) kind++;
    if (kind == LEN(openers)) {
        text_add(l->err, "%s: error: dataset '%s' is a %s, which this trainer cannot read",
                 l->o->source, l->spec->name, l->spec->kind);
        return false;
    }
    if (n > 1 && !openers[kind].several) {
        text_add(l->err, "%s: error: dataset '%s': %s(...) reads one file, not %u", l->o->source,
                 l->spec->name, l->spec->kind, n);
        return false;
    }
    *p = (Part){.path = n ? files[0] : l->o->source};
    if (!openers[kind].open(l, files, n, p)) return false;
    p->first = l->rows;
    l->rows += p->rows;
    l->nparts++;
    return true;
}

bool source_is_text(const Load *l) {
    return !strcmp(l->spec->kind, "text");
}

bool source_is_stream(const Load *l) {
    return source_is_text(l) && !l->spec->lines;
}

const Part *source_part(const Load *l, int64_t row) {
    uint32_t k = 0;
    while (k + 1 < l->nparts && row >= l->part[k + 1].first) k++;
    return &l->part[k];
}

const Csv *source_column(const Part *p, int64_t *col) {
    for (uint32_t i = 0; i < p->ncsv; i++) {
        if (*col < p->csv[i].cols) return &p->csv[i];
        *col -= p->csv[i].cols;
    }
    return NULL;
}

int64_t source_columns(const Part *p) {
    int64_t n = 0;
    for (uint32_t i = 0; i < p->ncsv; i++) n += p->csv[i].cols;
    return n;
}

int64_t source_named_column(const Part *p, const char *name) {
    int64_t at = 0;
    for (uint32_t i = 0; i < p->ncsv; at += p->csv[i++].cols) {
        for (int64_t c = 0; p->csv[i].names && c < p->csv[i].cols; c++) {
            if (p->csv[i].names[c] && !strcmp(p->csv[i].names[c], name)) return at + c;
        }
    }
    return -1;
}
