/* Tables of text: lines of cells between separators, cells plain or in double quotes. */
#include "runtime/data.h"

#include <stdlib.h>

typedef struct Cells { /* over one line */
    const char *p, *end;
    char sep;
    bool done;
    const char *open; /* a quote without its end, or with text behind it */
} Cells;

/* A blank that separates nothing. */
static bool blank(char c, char sep) {
    return c == ' ' || (c == '\t' && sep != '\t');
}

static Cells cells_of(const Csv *t, size_t at) {
    const char *p = t->text + at, *end = memchr(p, '\n', t->len - at);
    if (!end) end = t->text + t->len;
    if (end > p && end[-1] == '\r') end--;
    if (t->sep == ' ') {
        while (p < end && blank(*p, t->sep)) p++;
        while (end > p && blank(end[-1], t->sep)) end--;
    }
    return (Cells){p, end, t->sep, p == end && t->sep == ' ', NULL};
}

/* The next cell without blanks around it and without its quotes. */
static const char *next_cell(Cells *c, size_t *len) {
    const char *from = c->p, *p = from, *stop;
    while (p < c->end && blank(*p, c->sep)) p++;
    if (p < c->end && *p == '"') {
        const char *open = p + 1;
        for (p = open; p < c->end && (*p != '"' || (p + 1 < c->end && p[1] == '"'));
             p += *p == '"' ? 2 : 1) {
        }
        from = open;
        stop = p < c->end ? p : c->end;
        if (p >= c->end) c->open = open - 1;
        if (p < c->end) p++;
        for (; p < c->end && *p != c->sep && (c->sep != ' ' || !blank(*p, c->sep)); p++) {
            if (!blank(*p, c->sep)) c->open = open - 1;
        }
    } else {
        from = p;
        while (p < c->end && (c->sep == ' ' ? !blank(*p, c->sep) : *p != c->sep)) p++;
        stop = p;
        while (stop > from && blank(stop[-1], c->sep)) stop--;
    }
    *len = (size_t)(stop - from);
    c->done = p >= c->end;
    c->p = p < c->end ? p + 1 : p;
    while (c->sep == ' ' && c->p < c->end && blank(*c->p, c->sep)) c->p++;
    return from;
}

/* bad: where a quote is wrong, or NULL. */
static int64_t count_cells(const Csv *t, size_t at, const char **bad) {
    Cells c = cells_of(t, at);
    int64_t n = 0;
    size_t len;
    for (; !c.done; n++) next_cell(&c, &len);
    *bad = c.open;
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
    return end == cell + len && !memchr(cell, 'x', len) && !memchr(cell, 'X', len);
}

bool csv_cells(const Csv *t, int64_t row, int64_t from, int64_t n, double *out, Text *err) {
    Cells c = cells_of(t, t->line_at[row]);
    size_t len;
    for (int64_t i = 0; i < from + n; i++) {
        const char *cell = next_cell(&c, &len);
        if (i < from || number(cell, len, &out[i - from])) continue;
        Text said = {0};
        text_add(&said, "'%.*s' is not a number", (int)(len > 40 ? 40 : len), cell);
        csv_error(t, row, i, err, said.data);
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

/* Where each line begins that is not empty and not skipped. */
static uint32_t find_lines(Arena *a, Csv *t, int64_t skip, int64_t *last) {
    VEC(size_t) at = {0};
    VEC(int64_t) line = {0};
    const char *p = t->text, *end = t->text + t->len;
    if (t->len >= 3 && !memcmp(p, "\xEF\xBB\xBF", 3)) p += 3; /* a byte order mark */
    for (*last = 0; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        bool empty = stop == p || (stop == p + 1 && *p == '\r');
        if (++*last > skip && !empty) {
            vec_push(a, &at, (size_t)(p - t->text));
            vec_push(a, &line, *last);
        }
        p = nl ? nl + 1 : end;
    }
    t->line_at = at.data;
    t->line = line.data;
    return at.len;
}

static bool check_rows(const Csv *t, Text *err) {
    for (int64_t row = 0; row < t->rows; row++) {
        const char *bad;
        int64_t n = count_cells(t, t->line_at[row], &bad);
        long long line = (long long)t->line[row];
        if (bad) {
            text_add(err, "%s:%lld:%lld: error: the cell is not one text in quotes", t->path, line,
                     (long long)(bad - (t->text + t->line_at[row]) + 1));
            return false;
        }
        if (n == t->cols) continue;
        text_add(err, "%s:%lld:1: error: %lld cells, the rows before have %lld", t->path, line,
                 (long long)n, (long long)t->cols);
        return false;
    }
    return true;
}

bool csv_open(Arena *a, const char *path, const CsvOptions *o, Csv *t, Text *err) {
    *t = (Csv){.path = path, .sep = o->sep};
    t->text = file_read(a, path, &t->len, err);
    if (!t->text) return false;
    int64_t last;
    const char *bad;
    uint32_t lines = find_lines(a, t, o->skip, &last);
    bool named = lines && (o->header == 1 || (o->header < 0 && lines > 1 &&
                                              is_header(t, t->line_at[0], t->line_at[1])));
    const size_t header = named ? t->line_at[0] : 0;
    if (lines <= named) {
        text_add(err, "%s:%lld:1: error: the file has no rows", path, (long long)(last ? last : 1));
        return false;
    }
    t->line_at += named;
    t->line += named;
    t->rows = lines - named;
    t->cols = count_cells(t, t->line_at[0], &bad);
    if (named) t->names = header_names(a, t, header, t->cols);
    return check_rows(t, err);
}
