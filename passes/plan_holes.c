/* Free stretches of the arena while it is planned. */
#include "passes/plan.h"

enum { Align = 64 };

static uint64_t aligned(const Holes *s, uint64_t bytes) {
    size_t end;
    if (!size_add((size_t)bytes, Align - 1, &end)) BUG(s->cx, "the arena is too large");
    return end & ~(uint64_t)(Align - 1);
}

/* The smallest hole that is large enough, the first of equals; else the end is moved. */
uint64_t hole_take(Holes *s, uint64_t bytes) {
    bytes = aligned(s, bytes);
    uint32_t best = s->list.len;
    for (uint32_t h = 0; h < s->list.len; h++) {
        uint64_t have = s->list.data[h].bytes;
        if (have < bytes) continue;
        if (best == s->list.len || have < s->list.data[best].bytes) best = h;
    }
    if (best == s->list.len) { /* a hole at the end grows */
        Hole tail = {s->end, 0};
        size_t end;
        if (best && s->list.data[best - 1].offset + s->list.data[best - 1].bytes == s->end) {
            tail = s->list.data[--s->list.len];
        }
        if (!size_add((size_t)tail.offset, (size_t)bytes, &end)) {
            BUG(s->cx, "the arena is too large");
        }
        s->end = end;
        return tail.offset;
    }
    Hole *h = &s->list.data[best];
    uint64_t at = h->offset;
    h->offset += bytes;
    h->bytes -= bytes;
    if (!h->bytes) {
        memmove(h, h + 1, (s->list.len - best - 1) * sizeof *h);
        s->list.len--;
    }
    return at;
}

void hole_give(Holes *s, uint64_t offset, uint64_t bytes) {
    bytes = aligned(s, bytes);
    uint32_t at = 0;
    while (at < s->list.len && s->list.data[at].offset < offset) at++;
    vec_push(s->cx->scratch, &s->list, (Hole){0, 0});
    Hole *h = s->list.data;
    memmove(&h[at + 1], &h[at], (s->list.len - 1 - at) * sizeof *h);
    h[at] = (Hole){offset, bytes};
    for (uint32_t i = at + 1; i-- > 0 && i + 1 >= at;) { /* joins the next, then the one before */
        if (i + 1 >= s->list.len || h[i].offset + h[i].bytes != h[i + 1].offset) continue;
        h[i].bytes += h[i + 1].bytes;
        memmove(&h[i + 1], &h[i + 2], (s->list.len - i - 2) * sizeof *h);
        s->list.len--;
    }
}
