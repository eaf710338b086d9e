/* Bump allocation in blocks that double; nothing is freed one by one. */
#include "base/base.h"

#include <stdlib.h>

typedef struct Block {
    struct Block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
} Block;

struct Arena {
    Block *blocks; /* newest first; the oldest is the first one allocated */
};

enum { FirstBlock = 64 * 1024 };

static Block *block_new(size_t size) {
    size_t bytes;
    Block *b = size_add(size, sizeof(Block), &bytes) ? malloc(bytes) : NULL;
    if (!b) {
        fprintf(stderr, "bpc: out of memory\n");
        exit(1);
    }
    *b = (Block){.size = size};
    return b;
}

Arena *arena_new(void) {
    Block *b = block_new(FirstBlock);
    b->used = sizeof(Arena);
    Arena *a = (Arena *)b->data;
    a->blocks = b;
    return a;
}

void arena_reset(Arena *a) {
    while (a->blocks->next) {
        Block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    a->blocks->used = sizeof(Arena);
}

void arena_free(Arena *a) {
    arena_reset(a);
    free(a->blocks);
}

void *arena_alloc(Arena *a, size_t bytes) {
    Block *b = a->blocks;
    size_t at = (b->used + 15) & ~(size_t)15;
    if (at > b->size || bytes > b->size - at) {
        size_t size = b->size * 2;
        Block *fresh = block_new(size > bytes ? size : bytes);
        fresh->next = b;
        a->blocks = b = fresh;
        at = 0;
    }
    b->used = at + bytes;
    return memset(b->data + at, 0, bytes);
}

void *arena_array(Arena *a, size_t n, size_t size) {
    size_t bytes;
    if (!size_mul(n, size, &bytes)) {
        fprintf(stderr, "bpc: out of memory\n");
        exit(1);
    }
    return arena_alloc(a, bytes);
}

char *arena_strndup(Arena *a, const char *s, size_t n) {
    char *copy = arena_array(a, n + 1, 1);
    copy_bytes(copy, s, n);
    return copy;
}

char *arena_vprintf(Arena *a, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *s = arena_array(a, (size_t)n + 1, 1);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    return s;
}

char *arena_printf(Arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

void vec_grow(Arena *a, void **data, uint32_t *cap, uint32_t len, size_t size) {
    if (len < *cap) return;
    uint32_t grown = *cap ? *cap * 2 : 8;
    if (grown <= *cap) {
        fprintf(stderr, "bpc: out of memory\n");
        exit(1);
    }
    void *fresh = arena_array(a, grown, size);
    copy_bytes(fresh, *data, len * size);
    *data = fresh;
    *cap = grown;
}
