/* Growing text, interned strings and the compilation context. */
#include "base/base.h"

#include <stdlib.h>

void text_addn(Text *t, const char *s, size_t n) {
    size_t need;
    if (!size_add(t->len, n, &need) || !size_add(need, 1, &need)) abort();
    if (need > t->cap) {
        size_t cap = t->cap * 2 > need ? t->cap * 2 : need + 64;
        char *fresh = realloc(t->data, cap);
        if (!fresh) {
            fprintf(stderr, "bpc: out of memory\n");
            exit(1);
        }
        t->data = fresh;
        t->cap = cap;
    }
    copy_bytes(t->data + t->len, s, n);
    t->len += n;
    t->data[t->len] = 0;
}

void text_add(Text *t, const char *fmt, ...) {
    char small[256];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if ((size_t)n < sizeof small) {
        text_addn(t, small, (size_t)n);
    } else {
        char *big = malloc((size_t)n + 1);
        if (!big) abort();
        vsnprintf(big, (size_t)n + 1, fmt, again);
        text_addn(t, big, (size_t)n);
        free(big);
    }
    va_end(again);
}

void text_add_quoted(Text *t, const char *s) {
    text_addn(t, "\"", 1);
    for (; *s; s++) {
        if (*s == '\n') text_addn(t, "\\n", 2);
        else if (*s == '\t') text_addn(t, "\\t", 2);
        else text_add(t, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
    }
    text_addn(t, "\"", 1);
}

char *text_done(Text *t, Arena *a) {
    char *s = arena_strndup(a, t->data ? t->data : "", t->len);
    free(t->data);
    *t = (Text){0};
    return s;
}

/* Open addressing over arena copies; grows at half full. */
typedef struct Interner {
    Sym *slots;
    size_t cap, used;
} Interner;

uint64_t hash_bytes(const void *p, size_t n) {
    const unsigned char *s = p;
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < n; i++) h = (h ^ s[i]) * UINT64_C(0x100000001B3);
    return h;
}

static size_t slot_of(const Interner *in, const char *s, size_t n) {
    size_t i = (size_t)hash_bytes(s, n) & (in->cap - 1);
    while (in->slots[i] && (strncmp(in->slots[i], s, n) != 0 || in->slots[i][n])) {
        i = (i + 1) & (in->cap - 1);
    }
    return i;
}

static void interner_grow(Cx *cx) {
    Interner old = *cx->interner;
    Interner *in = cx->interner;
    in->cap = old.cap ? old.cap * 2 : 1024;
    in->slots = NEW_ARRAY(cx->arena, Sym, in->cap);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i]) in->slots[slot_of(in, old.slots[i], strlen(old.slots[i]))] = old.slots[i];
    }
}

Sym sym_n(Cx *cx, const char *s, size_t n) {
    Interner *in = cx->interner;
    if (in->used * 2 >= in->cap) interner_grow(cx);
    size_t i = slot_of(in, s, n);
    if (!in->slots[i]) {
        in->slots[i] = arena_strndup(cx->arena, s, n);
        in->used++;
    }
    return in->slots[i];
}

Sym sym(Cx *cx, const char *s) { return sym_n(cx, s, strlen(s)); }

Sym sym_digest(Cx *cx, const void *data, size_t n) {
    char hex[65];
    sha256_of(data, n, hex);
    return sym(cx, hex);
}

Sym sym_fmt(Cx *cx, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(cx->arena, fmt, ap);
    va_end(ap);
    return sym(cx, s);
}

Cx *cx_new(void) {
    Arena *a = arena_new();
    Cx *cx = NEW(a, Cx);
    cx->arena = a;
    cx->scratch = arena_new();
    cx->interner = NEW(a, Interner);
    return cx;
}

void cx_took(const Cx *cx, double start, const char *stage) {
    if (cx->times) fprintf(stderr, "%10.3f ms  %s\n", 1e3 * (now_seconds() - start), stage);
}

void cx_free(Cx *cx) {
    arena_free(cx->scratch);
    arena_free(cx->arena);
}
