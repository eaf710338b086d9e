/* Tables of text: lines of cells between separators, cells plain or in double quotes. */
#include "runtime/data.h"

#include <stdlib.h>

typedef struct Cells { /* over one line */
    const char *p, *end;
    char sep;
    bool done;
} Cells;

static bool blank(char c) {
    return c == ' ' || c == '\t';
}

static Cells cells_of(const Csv *t, size_t at) {
    const char *p = t->text + at, *end = memchr(p, '\n', t->len - at);
    if (!end) end = t->text + t->len;
    if (end > p && end[-1] == '\r') end--;
    if (t->sep == ' ') {
        while (p < end && blank(*p)) p++;
        while (end > p && blank(end[-1])) end--;
    }
    return (Cells){p, end, t->sep, p == end && t->sep == ' '};
}

/* The next cell without blanks around it and without its quotes. */
static const char *next_cell(Cells *c, size_t *len) {
    const char *from = c->p, *p = from, *stop;
    while (p < c->end && blank(*p)) p++;
    if (p < c->end && *p == '"') {
        const char *open = p + 1;
        for (p = open; p < c->end && (*p != '"' || (p + 1 < c->end && p[1] == '"'));
             p += *p == '"' ? 2 : 1) {
        }
        from = open;
        stop = p < c->end ? p : c->end;
        while (p < c->end && *p != c->sep) p++;
    } else {
        from = p;
        while (p < c->end && (c->sep == ' ' ? !blank(*p) : *p != c->sep)) p++;
        stop = p;
        while (stop > from && blank(stop[-1])) stop--;
    }
    *len = (size_t)(stop - from);
    c->done = p >= c->end;
    c->p = p < c->end ? p + 1 : p;
    while (c->sep == ' ' && c->p < c->end && blank(*c->p)) c->p++;
    return from;
}

static int64_t count_cells(const Csv *t, size_t at) {
    Cells c = cells_of(t, at);
    int64_t n = 0;
    size_t len;
    for (; !c.done; n++) next_cell(&c, &len);
    return n;
}

const char *csv_cell(const Csv *t, int64_t row, int64_t col, size_t *len, int64_t *at) {
    Cells c = cells_of(t, t->line_at[row]);
    const char *cell = c.p;
    *len = 0;
    for (int64_t i = 0; i <= col && !c.done; i++) cell = next_cell(&c, len);
    *at = cell - (t->text + t->line_at[row]) + 1;
    return cell;
}

void csv_error(const Csv *t, int64_t row, int64_t col, Text *err, const char *text) {
    size_t len;
    int64_t at;
    csv_cell(t, row, col, &len, &at);
    text_add(err, "%s:%lld:%lld: error: %s", t->path, (long long)t->line[row], (long long)at, text);
}

static bool number(const char *cell, size_t len, double *out) {
    char *end;
    if (!len) return false;
    *out = strtod(cell, &end); /* the text has a NUL behind it */
    return end == cell + len;
}

bool csv_column(const Csv *t, int64_t col, double *out, int64_t stride, Text *err) {
    for (int64_t row = 0; row < t->rows; row++) {
        size_t len;
        int64_t at;
        const char *cell = csv_cell(t, row, col, &len, &at);
        if (number(cell, len, &out[row * stride])) continue;
        Text said = {0};
        text_add(&said, "'%.*s' is not a number", (int)(len > 40 ? 40 : len), cell);
        csv_error(t, row, col, err, said.data);
        free(said.data);
        return false;
    }
    return true;
}

/* A first line is names if a cell of it is no number where the second line has one. */
static bool is_header(const Csv *t, size_t first, size_t second) {
    Cells a = cells_of(t, first), b = cells_of(t, second);
    while (!a.done && !b.done) {
        size_t na, nb;
        const char *x = next_cell(&a, &na), *y = next_cell(&b, &nb);
        double v;
        if (!number(x, na, &v) && number(y, nb, &v)) return true;
    }
    return false;
}

static const char *const *header_names(Arena *a, const Csv *t, size_t at, int64_t n) {
    const char **names = NEW_ARRAY(a, const char *, (size_t)n);
    Cells c = cells_of(t, at);
    for (int64_t i = 0; i < n && !c.done; i++) {
        size_t len;
        const char *cell = next_cell(&c, &len);
        names[i] = arena_strndup(a, cell, len);
    }
    return names;
}

bool csv_open(Arena *a, const char *path, const CsvOptions *o, Csv *t, Text *err) {
    *t = (Csv){.path = path, .sep = o->sep};
    t->text = file_read(a, path, &t->len, err);
    if (!t->text) return false;
    VEC(size_t) at = {0};
    VEC(int64_t) line = {0};
    int64_t number_ = 0;
    for (const char *p = t->text, *end = t->text + t->len; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        bool empty = stop == p || (stop == p + 1 && *p == '\r');
        if (++number_ > o->skip && !empty) {
            vec_push(a, &at, (size_t)(p - t->text));
            vec_push(a, &line, number_);
        }
        p = nl ? nl + 1 : end;
    }
    uint32_t first = 0;
    if (at.len) t->cols = count_cells(t, at.data[0]);
    bool named =
        o->header == 1 || (o->header < 0 && at.len > 1 && is_header(t, at.data[0], at.data[1]));
    if (named && at.len) {
        t->names = header_names(a, t, at.data[0], t->cols);
        first = 1;
    }
    if (at.len <= first) {
        text_add(err, "%s:%lld:1: error: the file has no rows", path,
                 (long long)(number_ ? number_ : 1));
        return false;
    }
    t->line_at = at.data + first;
    t->line = line.data + first;
    t->rows = at.len - first;
    t->cols = count_cells(t, t->line_at[0]);
    for (int64_t row = 0; row < t->rows; row++) {
        int64_t n = count_cells(t, t->line_at[row]);
        if (n == t->cols) continue;
        text_add(err, "%s:%lld:1: error: %lld cells, the rows before have %lld", path,
                 (long long)t->line[row], (long long)n, (long long)t->cols);
        return false;
    }
    return true;
}
