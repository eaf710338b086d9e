/* Texts: bytes as they stand in the file, ids for them, and back. */
#include "runtime/data.h"

static void find_lines(Arena *a, Chars *c) {
    VEC(int64_t) at = {0}, len = {0};
    for (int64_t p = 0; p < c->len;) {
        const unsigned char *nl = memchr(c->bytes + p, '\n', (size_t)(c->len - p));
        int64_t stop = nl ? nl - c->bytes : c->len;
        vec_push(a, &at, p);
        vec_push(a, &len, stop - p);
        p = stop + 1;
    }
    c->rows = at.len;
    c->line_at = at.data;
    c->line_len = len.data;
}

bool chars_open(Arena *a, const char *path, bool lines, Chars *c, Text *err) {
    size_t len;
    *c = (Chars){.path = path, .bytes = (const unsigned char *)file_read(a, path, &len, err)};
    if (!c->bytes) return false;
    c->len = c->rows = (int64_t)len;
    if (lines) find_lines(a, c);
    if (!c->len) text_add(err, "%s:1:1: error: the file is empty", path);
    return c->len > 0;
}

unsigned char chars_byte(const Chars *c, int64_t row, int64_t at) {
    if (!c->line_at) return c->bytes[row + at];
    return at > 0 && at <= c->line_len[row] ? c->bytes[c->line_at[row] + at - 1] : '\n';
}

void vocabulary_add(bool seen[256], const Chars *c) {
    for (int64_t i = 0; i < c->len; i++) seen[c->bytes[i]] = true;
    if (c->line_at) seen['\n'] = true;
}

void vocabulary_ids(const Vocabulary *v, int16_t ids[256]) {
    for (int b = 0; b < 256; b++) ids[b] = -1;
    for (int32_t i = 0; i < v->n; i++) ids[v->bytes[i]] = (int16_t)i;
}

void vocabulary_decode(const Vocabulary *v, const int64_t *ids, int64_t n, bool line, Text *out) {
    bool begun = !line;
    for (int64_t i = 0; i < n; i++) {
        bool known = ids[i] >= 0 && ids[i] < v->n;
        const char *byte = known ? (const char *)&v->bytes[ids[i]] : "?";
        if (line && begun && *byte == '\n') return;
        begun |= *byte != '\n';
        if (begun) text_addn(out, byte, 1);
    }
}
