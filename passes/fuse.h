/* What the files of fusion share. */
#ifndef BPC_FUSE_H
#define BPC_FUSE_H

#include "passes/passes.h"

#define NoGroup UINT32_MAX

typedef struct Group { /* a kernel in the making */
    KernelKind kind;
    Val root;
    const Shape *space;
    VEC(Val) stored;  /* map values that it stores; a root by itself */
    VEC(uint32_t) in; /* groups whose results it reads */
    bool dead;
} Group;

typedef struct Fuse {
    Program *p;
    Fn *fn;
    Arena *a;
    bool *live, *stored;
    uint32_t *group; /* of stored values */
    uint32_t *cost;  /* of computing it from stored values */
    VEC(Group) groups;
} Fuse;

enum { DearCost = 4 }; /* more work than this is not done twice */

static inline const Ins *ins_at(const Fuse *f, Val v) {
    return &f->fn->ins.data[v];
}
static inline OpClass class_of(const Fuse *f, Val v) {
    return op_info[ins_at(f, v)->op].cls;
}
static inline bool is_free(const Fuse *f, Val v) {
    return ins_at(f, v)->op == Op_param || ins_at(f, v)->op == Op_const;
}
static inline bool is_root(const Fuse *f, Val v) {
    OpClass c = class_of(f, v);
    return c == ClsReduce || c == ClsContract || c == ClsMove;
}
/* Whether v is memory under another shape. */
static inline bool is_alias(const Fuse *f, Val v) {
    return ins_at(f, v)->op == Op_reshape;
}

/* Group g reads what group `on` stores. */
void fuse_depend(Fuse *f, uint32_t g, uint32_t on);
/* Whether what group `from` stores reaches group `to`, not counting a direct edge if skip. */
bool fuse_path(const Fuse *f, uint32_t to, uint32_t from, bool skip);
/* Joins maps, then gives reductions and contractions their epilogues. */
void fuse_merge(Fuse *f);

#endif
