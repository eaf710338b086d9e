/* What the files of reverse mode share. */
#ifndef BPC_REVERSE_H
#define BPC_REVERSE_H

#include "passes/passes.h"

struct Saved;
struct Parts;

typedef struct Reverse {
    Program *p;
    const Fn *fn;
    Builder *b;
    Val *map;  /* of fn's values */
    Val *adj;  /* adjoint so far, NoVal: none */
    Val *mask; /* where the adjoint counts, NoVal: everywhere */
    struct Parts **parts; /* of the adjoint, not in adj yet; NULL: none */
    Activity a;
    const Range *ranges; /* NULL until asked for */
    struct Saved **saved; /* of regions: what their backward part needs */
    Val boundary;         /* values of b below it are parameters and the forward part */
    uint32_t errors;
} Reverse;

/* ---- differentiate.c ---- */
void add_adjoint(Reverse *r, Val x, Val contribution, Val mask, Sym rule);
void sum_adjoint(Reverse *r, Val x, Val contribution, Sym rule); /* adj[x] += contribution */
/* (params, cotangent of each wanted float result) -> cotangents of wrt, with what is dead. *r is
 * left as it was at the end. NULL after a user error. */
Fn *transpose_whole(Reverse *r, Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n,
                    const bool *want);

/* ---- parts.c ---- */
/* Whether the contribution is a part of x's adjoint, to be added by settle_parts. */
bool keep_part(Reverse *r, Val x, Val contribution, Sym rule);
void settle_parts(Reverse *r, Val x); /* before adj[x] is read */

/* ---- accumulate.c ---- */
/* sum + x, two adjoints of one value. */
Val accumulate(Cx *cx, Builder *b, Val sum, Val x);
bool is_zero(const Builder *b, Val v); /* +0 throughout */

/* ---- split.c ---- */
/* Reverse mode of a body in two functions. */
typedef struct Split {
    Fn *forward;    /* params -> results, then what is saved */
    Fn *backward;   /* (kept params.., saved.., cotangents of wanted results) -> adjoints of wrt */
    uint32_t nkept, nsaved;
    uint32_t *kept; /* params of the body */
} Split;
/* kept: parameters that will be there in the backward part too. NULL after a user error. */
Split *split_reverse(Program *p, const Fn *fn, const uint32_t *wrt, uint32_t n, const bool *want,
                     const bool *keep);

/* Reverse mode of a function that is called, or of a while. */
typedef struct CallPair {
    Sym key;
    const struct WhileFns *loop; /* of a while */
    Fn *forward;  /* params -> results, then what is saved */
    Fn *backward; /* (kept params.., saved.., cotangents of wanted results) -> adjoints of wrt */
    uint32_t nkept, nsaved, nwrt;
    uint32_t *kept, *saved, *wrt; /* params; results of forward; params */
    bool *want;                   /* results */
} CallPair;

struct Saved {
    Split *split;      /* of a scan's body */
    CallPair *pair;    /* of a call */
    const struct Part *parts; /* of a scan that saves less: see region_levels.c */
    const Val *stacks; /* what the forward part leaves to the backward one */
};

/* ---- region_reverse.c ---- */
typedef struct Pulled {
    Reverse *r;
    const Ins *ins;
    const RegionActivity *a;
    const uint32_t *wrt; /* formals of the body */
    uint32_t nwrt;
    Vals results; /* of the region, in r->fn */
    bool *want;   /* results that have a cotangent */
} Pulled;
Type formal_type(const Pulled *q, uint32_t k);
Val region_operand(const Pulled *q, uint32_t formal);   /* in r->b */
Val region_cotangent(const Pulled *q, uint32_t k);      /* of result k, zeros if none arrived */
Sym region_label(const Pulled *q);                      /* "B[scan, (h, w)]" */
void region_add(const Pulled *q, const Val *adjoints);  /* one per wrt */
/* fn's adjoints as a function of its parameters and the wanted cotangents; NULL after an error. */
Fn *region_backward(const Pulled *q, const Fn *fn);
/* Copies region v so that its backward part has what it needs; enters its results in r->map. */
void region_save(Reverse *r, Val v);
void region_pull(Reverse *r, Val v); /* adjoints of its active operands */
Type region_result_type(const Pulled *q, uint32_t k); /* of one step */

/* ---- region_scan.c ---- */
void save_scan(Pulled *q, Val v);
void pull_scan(Pulled *q, const struct Saved *saved);
typedef struct ScanShape {
    uint32_t carry, seq;
    int64_t length;
    bool reverse;
} ScanShape;
/* The results: the last carry, then what is emitted. */
Val *emit_scan(const Pulled *q, Builder *b, const Fn *body, const Vals *args, ScanShape shape);
/* So many steps of the loop, in b. By formal of the body: the carry before the first step, stacked
 * sequences and constants, and sums so far; by result: cotangents, stacked where it is emitted. */
typedef struct Span {
    Builder *b;
    int64_t length;
    Val *start, *operand, *sum, *d;
    const Val *stacks; /* what the forward loop saved */
} Span;
Vals span_args(const Pulled *q, const Span *o);
/* The backward loop: adjoints of the active carries, then sums, then adjoints of slices. */
Val *span_back(const Pulled *q, const Split *split, const Span *o);

/* ---- region_levels.c ---- */
bool levels_wanted(const Pulled *q);
/* The forward loops; results: the last carry, also in o->start, then what was emitted. */
const struct Part *save_levels(const Pulled *q, const Split *split, const Span *o, Val *results);
Val *pull_levels(const Pulled *q, const struct Saved *saved, const Span *o); /* as span_back */

/* ---- call.c ---- */
CallPair *pair_of(const Pulled *q); /* made if there is none yet; NULL after a user error */
void save_call(Pulled *q, Val v);
void pull_call(Pulled *q, const struct Saved *saved);

/* ---- region_while.c, while_back.c ---- */
/* A while as functions of its operands. */
typedef struct WhileFns {
    const Fn *whole;   /* -> its results: one instruction */
    Fn *forward;       /* -> its results, the count of steps, the length of a segment, slots */
    const Fn *advance; /* a step */
} WhileFns;
const WhileFns *while_fns(Program *p, const Ins *ins); /* NULL after a user error */
/* (operands.., what forward gives beyond the results.., cotangents of wanted results) -> adjoints
 * of wrt. NULL after a user error. */
Fn *while_backward(const Pulled *q, const WhileFns *w);

/* ---- slots.c ---- */
enum { Slots = 32 };
Type slots_type(Cx *cx, Type carry); /* no shape where it would be too large */
Val slots_empty(Cx *cx, Builder *b, Type carry);
Val slots_store(Builder *b, Val slots, Val slot, Val carry); /* the slot is empty */
/* From slots as they are stored in, or as they are kept. */
Val slots_read(Builder *b, Val slots, Val slot, Type carry);
Type kept_type(Cx *cx, Type carry);
Val slots_kept(Cx *cx, Builder *b, Val slots, Type carry); /* of the dtype and range of the carry */
/* If full: every second, then empty ones. */
Val slots_halved(Cx *cx, Builder *b, Val slots, Val full);

/* ---- while_again.c ---- */
void save_part(Pulled *q, Val v);
void pull_part(Pulled *q, const struct Saved *saved);

#endif
