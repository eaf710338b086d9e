/* See fence.h. */
#include "tests/support/fence.h"

#include <stdlib.h>

enum { Mark = 0xA5 };

unsigned char *fence_new(size_t bytes, int fill) {
    unsigned char *b = aligned_alloc(64, (bytes + 2 * Fence + 63) / 64 * 64);
    memset(b, Mark, bytes + 2 * Fence);
    memset(b + Fence, fill, bytes);
    return b;
}

bool fence_intact(const unsigned char *b, size_t bytes) {
    for (size_t i = 0; i < Fence; i++) {
        if (b[i] != Mark || b[Fence + bytes + i] != Mark) return false;
    }
    return true;
}

void fence_store(unsigned char *at, const Tensor *x, int64_t i) {
    size_t size = dtype_size(x->type.dt);
    float f = x->re ? (float)x->re[i] : 0;
    if (x->i) memcpy(at, &x->i[i], size); /* little endian */
    else if (x->type.dt == F64) memcpy(at, &x->re[i], size);
    else memcpy(at, (char *)&f + (4 - size), size);
}

size_t fence_bytes(Type t) { return (size_t)t.shape->size * dtype_size(t.dt); }
