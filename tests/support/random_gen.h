/* What the files of the random functions share. */
#ifndef TEST_RANDOM_GEN_H
#define TEST_RANDOM_GEN_H

#include "tests/support/random_fn.h"

enum { MaxValues = 256 };

typedef struct Gen {
    Program *p;
    Builder *b;
    uint64_t key, draws;
    Val vals[MaxValues];
    uint32_t n;
    int64_t dims[3];
    uint32_t depth; /* of regions that may be opened in each other */
} Gen;

static inline uint32_t below(Gen *g, uint32_t n) {
    return (uint32_t)(rng_bits(g->key, g->draws++) >> 32) % n;
}

static inline bool one_in(Gen *g, uint32_t n) { return below(g, n) == 0; }
static inline Type type(const Gen *g, Val v) { return b_type(g->b, v); }

/* A value that fits, later ones more often; NoVal if none does. */
static inline Val pick(Gen *g, bool (*fits)(Type t, const void *as), const void *as) {
    uint32_t start = below(g, g->n), later = below(g, g->n);
    start = start > later ? start : later;
    for (uint32_t i = 0; i < g->n; i++) {
        Val v = g->vals[(start + i) % g->n];
        if (fits(type(g, v), as)) return v;
    }
    return NoVal;
}

/* One more value, or none. */
void random_step(Gen *g);
/* ---- random_region.c ---- */
void random_region(Gen *g);

#endif
