/* What the files of the pass `fuse` share: fuse.c says which values must be stored, fuse_group.c
 * puts the stored values into groups, fuse_kernel.c makes a kernel of each group. */
#ifndef BPC_PASSES_FUSE_H
#define BPC_PASSES_FUSE_H

#include "passes/passes.h"

#define NoGroup UINT32_MAX

enum {
    CheapCost = 2,    /* operations per element that may be done again in a second kernel */
    CheapReaders = 8, /* and in so many kernels */
    MaxCost = 200,    /* operations per element in one go: code is nested and grows so much */
    MaxStored = 48,   /* values that a kernel stores */
};

/* A group that reads a value. direct: only at the index at which the group stores. */
typedef struct Reader {
    uint32_t group;
    bool direct;
} Reader;
typedef VEC(Reader) Readers;

typedef struct Group { /* a kernel in the making */
    KernelKind kind;
    Val root;
    const Shape *space; /* up to shape_same_rows */
    Vals stored;     /* what it may store, the root included */
    Readers in;      /* the groups that it reads from */
    uint64_t *reach; /* bits of all groups that it depends on */
    uint32_t into;   /* the group that took it in, or itself */
} Group;

typedef struct Fuse {
    Program *p;
    Fn *fn;
    Arena *a;
    bool *live, *stored;
    bool *drawn;       /* from random numbers that nothing else reads */
    uint32_t *cost;    /* operations per element, from stored values */
    uint32_t *group;   /* of a stored value; ask fuse_group_of */
    Readers *readers;  /* of values that are not constants */
    VEC(Group) groups; /* from the last value to the first */
    uint32_t max_groups;
} Fuse;

static inline const Ins *fuse_ins(const Fuse *f, Val v) { return &f->fn->ins.data[v]; }
/* A call that is left is compiled as a region is. */
static inline OpClass fuse_class(const Fuse *f, Val v) {
    return fuse_ins(f, v)->op == Op_call ? ClsRegion : op_info[fuse_ins(f, v)->op].cls;
}
/* In memory before the function starts. */
static inline bool fuse_is_free(const Fuse *f, Val v) {
    return fuse_ins(f, v)->op == Op_param || fuse_ins(f, v)->op == Op_const;
}
static inline bool fuse_is_root(const Fuse *f, Val v) {
    OpClass c = fuse_class(f, v);
    return c == ClsReduce || c == ClsContract || c == ClsMove || c == ClsRegion ||
           fuse_ins(f, v)->op == Op_get;
}
/* The value at the same place of its operand, in rows of the same length. */
static inline bool fuse_keeps_rows(const Fuse *f, Val v) {
    const Ins *i = fuse_ins(f, v);
    return i->op == Op_reshape &&
           shape_same_rows(i->type.shape, fuse_ins(f, i->args[0])->type.shape);
}

/* ---- fuse.c ---- */
uint32_t fuse_cost(const Fuse *f, Val v); /* of a value that may be stored, as cost */

/* ---- fuse_group.c ---- */
void fuse_make_groups(Fuse *f);
uint32_t fuse_find(const Fuse *f, uint32_t g); /* the group that g is part of now */
uint32_t fuse_group_of(const Fuse *f, Val v);  /* of a stored value */
/* Group g comes after group `on`; false if `on` already comes after g. */
bool fuse_after(Fuse *f, uint32_t g, uint32_t on);

/* ---- fuse_kernel.c ---- */
void fuse_make_kernels(Fuse *f);

#endif
