/* A dataset in memory: the fields of every row in their types, and which rows belong to which
 * split. Of a text without lines the fields are its bytes, and a row is a place in them. */
#include "runtime/load.h"

#include <math.h>

bool load_fail(const Load *l, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    text_add(l->err, "%s:%lld:%lld: error: field '%s': %s", l->o->source, (long long)l->field->line,
             (long long)l->field->col, l->field->name, arena_vprintf(l->a, fmt, ap));
    va_end(ap);
    return false;
}

bool load_note(const Load *l) {
    text_add(l->err, "\n%s:%lld:%lld: note: field '%s' is %s", l->o->source,
             (long long)l->field->line, (long long)l->field->col, l->field->name,
             mf_type_text(l->a, l->field->type));
    return false;
}

/* ---- fields ---- */

static bool check_element(const Load *l, MfType t, double v, int64_t row, int64_t c) {
    if (dtype_is_float(t.dt)) return true;
    if (v != floor(v)) return row_error(l, row, c, arena_printf(l->a, "%g is not an integer", v));
    double high = t.range          ? (double)(t.range - 1)
                  : t.dt == I32  ? INT32_MAX
                  : t.dt == BOOL ? 1
                                   : 0x1p53 - 1; /* as far as a double counts */
    double low = t.range || t.dt == BOOL ? 0 : t.dt == I32 ? INT32_MIN : 1 - 0x1p53;
    if (v >= low && v <= high) return true;
    return row_error(l, row, c,
                     t.range
                         ? arena_printf(l->a, "label %g is not in [0, %lld)", v, (long long)t.range)
                         : arena_printf(l->a, "%g does not fit %s", v, dtype_name(t.dt)));
}

/* The windows of an expression: how many, and *at the last. */
static int windows(const DataExpr *e, const DataExpr **at) {
    if (!e) return 0;
    if (e->kind == DxWindow) *at = e;
    return (e->kind == DxWindow) + windows(e->x, at) + windows(e->y, at);
}

/* The longest reach of a field's windows, and the longest window. */
static void window_sizes(const MfDataset *s, int64_t *reach, int64_t *length) {
    *reach = *length = 1;
    for (uint32_t f = 0; f < s->nfields; f++) {
        const DataExpr *e;
        if (!windows(s->fields[f].expr, &e)) continue;
        int64_t size = s->fields[f].type.size, end;
        if (__builtin_add_overflow(size, e->a, &end)) end = INT64_MAX;
        if (end > *reach) *reach = end;
        if (size > *length) *length = size;
    }
}

/* The ids of the whole text, in the type; fields that are plain windows share them. */
static unsigned char *stream_ids(Load *l, const Node *n, MfType t, int64_t reach) {
    for (uint32_t f = 0; f < l->f; f++) {
        const MfField *other = &l->spec->fields[f];
        if (other->expr->kind != DxWindow || l->field->expr->kind != DxWindow) continue;
        if (other->type.dt != t.dt) continue;
        return l->data->fields[f] - (size_t)other->expr->a * dtype_size(t.dt);
    }
    size_t all;
    if (!size_add((size_t)l->rows, (size_t)reach, &all)) all = SIZE_MAX;
    unsigned char *ids = arena_array(l->a, all, dtype_size(t.dt));
    for (int64_t i = 0; i < l->rows; i++) {
        double v;
        row_read(l, n, i, &v);
        if (!check_element(l, t, v, i, 0)) return NULL;
        mf_store(t.dt, ids, i, v);
    }
    return ids;
}

/* Every row of the text is a byte; the window of each begins there. */
static bool load_stream(Load *l, const Node *n, MfType t) {
    const DataExpr *e;
    if (windows(l->field->expr, &e) != 1)
        return load_fail(l, "a field of a text has one window(i) in its expression");
    int64_t reach, step;
    window_sizes(l->spec, &reach, &step);
    size_t size = dtype_size(t.dt);
    unsigned char *ids = stream_ids(l, n, t, reach);
    if (!ids) return false;
    l->data->fields[l->f] = ids + (size_t)e->a * size;
    l->data->row_step[l->f] = size;
    return true;
}

static bool load_rows(Load *l, const Node *n, MfType t) {
    Data *d = l->data;
    int64_t width = row_width(n);
    if (width != t.size) {
        return load_fail(l, "%s has %lld numbers a row, its value has %lld", mf_type_text(l->a, t),
                         (long long)t.size, (long long)width);
    }
    double *row = NEW_ARRAY(l->a, double, (size_t)width + 1);
    d->fields[l->f] = arena_array(l->a, (size_t)l->rows + 1, d->row_bytes[l->f]);
    for (int64_t i = 0; i < l->rows; i++) {
        row_read(l, n, i, row);
        for (int64_t c = 0; c < width; c++) {
            if (!check_element(l, t, row[c], i, c)) return false;
            mf_store(t.dt, d->fields[l->f], i * width + c, row[c]);
        }
    }
    return true;
}

/* A text has at most as many distinct bytes as the field's type has values. */
static bool check_vocabulary(const Load *l, MfType t) {
    int32_t n = l->data->learned.bytes.n;
    if (l->field->expr->kind != DxWindow || !t.range || n <= t.range) return true;
    return load_fail(l, "'%s' has %d distinct bytes, more than %s holds", l->part[0].path, (int)n,
                     mf_type_text(l->a, t));
}

static bool load_field(Load *l, uint32_t f) {
    Data *d = l->data;
    l->f = f;
    l->field = &l->spec->fields[f];
    MfType t = l->field->type;
    d->row_bytes[f] = d->row_step[f] = mf_bytes(t);
    if (!check_vocabulary(l, t)) return false;
    const Node *n = row_node(l, l->field->expr);
    if (!n) return false;
    return source_is_stream(l) ? load_stream(l, n, t) : load_rows(l, n, t);
}

/* ---- the bytes of a text ---- */

/* A byte that an earlier training did not see. */
static bool check_known(const Load *l, const Chars *c) {
    int64_t line = 1, start = 0;
    for (int64_t i = 0; i < c->len; i++) {
        if (l->ids[c->bytes[i]] < 0) {
            text_add(l->err,
                     "%s:%lld:%lld: error: byte 0x%02x did not occur when the weights were trained",
                     c->path, (long long)line, (long long)(i - start + 1), c->bytes[i]);
            return false;
        }
        if (c->bytes[i] != '\n') continue;
        line++;
        start = i + 1;
    }
    return true;
}

static bool number_bytes(Load *l) {
    Vocabulary *v = &l->data->learned.bytes;
    if (l->o->given && l->o->given->bytes.n) {
        *v = l->o->given->bytes;
    } else {
        bool seen[256] = {false};
        for (uint32_t k = 0; k < l->nparts; k++) vocabulary_add(seen, &l->part[k].chars);
        for (int b = 0; b < 256; b++) {
            if (seen[b]) v->bytes[v->n++] = (unsigned char)b;
        }
    }
    vocabulary_ids(v, l->ids);
    for (uint32_t k = 0; k < l->nparts; k++) {
        if (!check_known(l, &l->part[k].chars)) return false;
    }
    return true;
}

/* ---- splits ---- */

void shuffle(uint64_t key, int64_t *order, int64_t n) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(rng_bits(key, (uint64_t)i) % (uint64_t)(i + 1)), t = order[i];
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

/* Windows inside the bytes from .. from + n - 1: at every place to train, else side by side. */
static void take_windows(Load *l, MfSplit s, int64_t from, int64_t n) {
    int64_t reach, step;
    window_sizes(l->spec, &reach, &step);
    if (s == MfTrain) step = 1;
    l->data->rows[s] = n < reach ? 0 : (n - reach) / step + 1;
    l->data->first[s] = from;
    l->data->step[s] = step;
}

/* The last rows of the order are the test part, those before it the validation part. */
static void split_rows(Load *l) {
    const MfDataset *s = l->spec;
    int64_t n = l->part[0].rows;
    int64_t valid = s->split == SplitNone ? 0 : (int64_t)floor((double)n * s->valid + 0.5);
    int64_t test = s->split == SplitNone ? 0 : (int64_t)floor((double)n * s->test + 0.5);
    if (valid > n) valid = n;
    if (test > n - valid) test = n - valid;
    int64_t train = n - valid - test;
    if (source_is_stream(l)) {
        take_windows(l, MfTrain, 0, train);
        take_windows(l, MfValid, train, valid);
        take_windows(l, MfTest, train + valid, test);
        return;
    }
    int64_t *order = NEW_ARRAY(l->a, int64_t, (size_t)n + 1);
    if (s->split == SplitRandom)
        shuffle(s->split_seed, order, n);
    else
        for (int64_t i = 0; i < n; i++) order[i] = i;
    take(l, MfTrain, order, train);
    take(l, MfValid, order + train, valid);
    take(l, MfTest, order + train + valid, test);
}

static void take_part(Load *l, MfSplit k, const Part *p) {
    if (source_is_stream(l)) {
        take_windows(l, k, p->first, p->rows);
        return;
    }
    int64_t *order = NEW_ARRAY(l->a, int64_t, (size_t)p->rows);
    for (int64_t i = 0; i < p->rows; i++) order[i] = p->first + i;
    take(l, k, order, p->rows);
}

static bool open_parts(Load *l) {
    const MfDataset *s = l->spec;
    bool train_files = s->nsplit_files[MfTrain] && !s->nfiles;
    if (!(train_files ? source_open(l, s->split_files[MfTrain], s->nsplit_files[MfTrain])
                      : source_open(l, s->files, s->nfiles))) {
        return false;
    }
    split_rows(l);
    for (MfSplit k = MfValid; k < MfSplitCount; k++) {
        if (!s->nsplit_files[k]) continue;
        if (!source_open(l, s->split_files[k], s->nsplit_files[k])) return false;
        take_part(l, k, &l->part[l->nparts - 1]);
    }
    return true;
}

Data *data_load(Arena *a, const MfDataset *spec, const LoadOptions *o, Text *err) {
    uint32_t n = spec->nfields;
    Load l = {.a = a, .spec = spec, .o = o, .err = err, .data = NEW(a, Data)};
    *l.data = (Data){.spec = spec,
                     .fields = NEW_ARRAY(a, unsigned char *, n),
                     .row_bytes = NEW_ARRAY(a, size_t, n),
                     .row_step = NEW_ARRAY(a, size_t, n),
                     .learned = {.stats = NEW_ARRAY(a, Stats, n), .words = NEW_ARRAY(a, Words, n)}};
    if (!open_parts(&l)) return NULL;
    if (source_is_text(&l) && !number_bytes(&l)) return NULL;
    for (uint32_t f = 0; f < n; f++) {
        if (!load_field(&l, f)) return NULL;
    }
    return l.data;
}
