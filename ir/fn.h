/* Types, attributes, operations, instructions, functions and what passes add to them: kernels and
 * the memory plan. A function is a linear array of instructions, a value is an index into it,
 * operands come before their uses. */
#ifndef BPC_IR_FN_H
#define BPC_IR_FN_H

#include "base/base.h"
#include "base/trainer.h"

/* ---- types ---- */
/* Interned: equal shapes are the equal pointer. Sizes are >= 0, the rank is at most MaxRank. */
typedef struct Shape {
    uint32_t rank;
    int64_t size; /* product of the dimensions, checked not to overflow */
    int64_t dim[];
} Shape;

/* range is the V of i32<V>, 0 where there is none. */
typedef struct Type {
    DType dt;
    int64_t range;
    const Shape *shape;
} Type;

bool type_equal(Type a, Type b);
/* "f32[64, 128]", "i32<10>[64]", "f32". */
const char *type_text(Cx *cx, Type t);

/* ---- attributes ---- */
typedef enum AttrKind {
    AttrNone, AttrInt, AttrBool, AttrFloat, AttrInts, AttrFn, AttrNames
} AttrKind;
typedef struct Attr {
    AttrKind kind;
    union {
        int64_t i; /* AttrInt, AttrBool */
        double f;  /* AttrFloat */
        Sym s;     /* AttrFn: the name of a function of the program */
        struct {
            uint32_t n;
            const int64_t *v;
        } is; /* AttrInts */
        struct {
            uint32_t n;
            const Sym *v;
        } names; /* AttrNames */
    };
} Attr;
Attr attr_int(int64_t i);
Attr attr_bool(bool b);
Attr attr_float(double f);
Attr attr_fn(Sym fn);
Attr attr_ints(Cx *cx, const int64_t *v, uint32_t n);   /* copies */
Attr attr_names(Cx *cx, const Sym *v, uint32_t n);      /* copies */
bool attr_equal(Attr a, Attr b); /* floats by bits */

/* ---- operations: one row of ops.def each ---- */
typedef enum Op {
#define OP(name, ...) Op_##name,
#include "ir/ops.def"
    OpCount
} Op;

typedef enum OpClass {
    ClsSource,   /* no data operands: param const iota rng */
    ClsElem,     /* elementwise, all operands of equal shape */
    ClsView,     /* data movement by an index map: broadcast reshape transpose slice flip pad */
    ClsReduce,   /* reduce_* over axes */
    ClsContract, /* matmul conv */
    ClsMove,     /* other data movement and scans along an axis: concat gather scatter_add cumsum */
    ClsCall,     /* call and get */
    ClsRegion,   /* control flow over functions: scan while cond checkpoint, see region.c */
    ClsOperator, /* derivative operators; gone after differentiate */
} OpClass;

/* Where automatic tests draw the operands of an operation from. */
typedef enum Domain {
    DomNone,     /* no automatic test */
    DomAny,      /* [-2, 2], away from kinks */
    DomPositive, /* [0.3, 3] */
    DomNonzero,  /* [0.3, 3] with either sign */
    DomUnit,     /* [-0.9, 0.9] */
    DomInt,      /* small integers */
    DomBool,
} Domain;

enum {
    MaxOperands = 8,
    MaxAttrs = 8,
    MinKept = 16, /* instructions of a function that stays one: see passes/inline.c */
};

/* A query and answer of shape inference. attrs[i].kind == AttrNone where the caller gave none: the
 * rule fills a default or complains. given is the declared type for operations that need one
 * (const, rng, cast), else NULL. */
typedef struct Infer {
    Cx *cx;
    const struct OpInfo *op; /* filled by op_infer */
    uint32_t nargs;
    const Type *args;
    Attr *attrs;
    const Type *given;
    Type result;
} Infer;

typedef struct AttrInfo {
    const char *name;
    AttrKind kind;
    bool optional;     /* in source; the IR prints every attribute */
    int64_t otherwise; /* its default there */
} AttrInfo;

typedef struct OpInfo {
    const char *name;
    OpClass cls;
    int nargs; /* -1: any number */
    const char *operands[MaxOperands];
    int nattrs;
    AttrInfo attrs[MaxAttrs];
    /* NULL on success, else the text of an error that names operands and sizes. */
    const char *(*infer)(Infer *q);
    Domain domain;
    bool commutes; /* by bits */
    bool exact;    /* rounds once or not at all: folding constants changes no bit */
    const char *help;
} OpInfo;
extern const OpInfo op_info[OpCount];
/* OpCount if there is none. */
Op op_by_name(const char *name);

/* ---- instructions and functions ---- */
typedef uint32_t Val;
#define NoVal UINT32_MAX

typedef struct Ins {
    uint16_t op; /* Op */
    uint32_t nargs;
    const Val *args;
    const Attr *attrs; /* op_info[op].nattrs of them */
    Type type;         /* shape is NULL where there are several results: these are the Op_get's that
                        * follow directly, one per result in order, used or not */
    /* Op_const: n == 1 is a splat, else one number per element, row by row; floats are stored
     * rounded to their type, in .f; integers and bools in .i */
    const union Num *data;
    uint64_t ndata;
    Loc loc;
    Sym rule; /* "B[tanh, x]" in an adjoint, else NULL */
    Sym name; /* from the source, or NULL */
} Ins;

typedef union Num {
    double f;
    int64_t i;
} Num;

/* What a rule has for an operand: a value, or one of two words, which an Op_const 0 with the word
 * as its `rule` stands for. */
typedef enum RuleEntry { EntryValue, EntryZero, EntryNoDiff } RuleEntry;
RuleEntry entry_named(const char *word); /* "zero", "nodiff"; else, or of NULL, EntryValue */
RuleEntry rule_entry(const Ins *i);

typedef enum Prop { /* what a function is known to satisfy */
    PropNoOperators = 1, /* no grad, jvp, ... left */
    PropInlined = 2,     /* no calls left but those of ruled functions */
    PropFused = 4,       /* kernels filled in */
    PropPlanned = 8,     /* buffers filled in */
} Prop;

struct Kernel;
struct Plan;

typedef struct Fn {
    Sym name;
    Loc loc;
    Sym rule; /* of a derivative: "value_and_grad[f, wrt=w]", else NULL */
    const char *doc;
    bool exported;
    bool surrogate;   /* a rule that is not meant to be the derivative */
    uint32_t nparams; /* ins[0 .. nparams) are Op_param, in order */
    VEC(Ins) ins;
    VEC(Val) results;
    /* results[i] may overwrite the storage of parameter donated[i]; -1: none. NULL: none at all */
    int32_t *donated;
    unsigned props;
    VEC(struct Kernel *) kernels; /* in execution order, from the pass `fuse` */
    struct Plan *plan;            /* from the pass `plan` */
} Fn;

/* ---- kernels (made by passes/fuse.c, emitted by codegen) ---- */
typedef enum BufKind { BufNone, BufArg, BufResult, BufArena, BufConst } BufKind;
typedef struct Buf {
    BufKind kind;
    uint32_t index;  /* BufArg: parameter; BufResult: result */
    uint64_t offset; /* BufArena: bytes from its start, 64-byte aligned */
    uint64_t bytes;
} Buf;
typedef struct Freed { /* memory that nothing reads any more */
    Val v;               /* what it held */
    uint64_t offset, bytes;
} Freed;
typedef enum KernelKind {
    KernMap,      /* one loop nest over `space`, elementwise and views inside */
    KernReduce,   /* root is a ClsReduce; members before it feed it, members after it use it */
    KernContract, /* root is a matmul or conv; views of stored values may feed it, elementwise
                     follow it */
    KernMove,     /* root is one ClsMove instruction on stored values */
    KernRegion,   /* root is a ClsRegion instruction or a call on stored values; outputs are its
                   * results */
} KernelKind;

typedef struct Kernel {
    uint32_t id;
    KernelKind kind;
    Val root;           /* reduce, contract, move; NoVal for a map */
    const Shape *space; /* iteration space of what is stored (the output's shape) */
    VEC(Val) members;   /* computed inside, operands first; the root is one of them */
    VEC(Val) inputs;    /* values read from buffers */
    VEC(Val) outputs;   /* members that are stored */
    struct {            /* of the arena, of a region: see region_scratch */
        uint64_t offset, bytes;
    } scratch;
    bool again;    /* computes what an earlier kernel did, which was given up in between */
    Buf *places;   /* of the outputs, from the pass `plan` */
    VEC(Freed) freed; /* once it has run */
} Kernel;

/* ---- memory plan (made by passes/plan.c) ---- */
typedef struct Plan {
    Buf *bufs; /* per value, where it is stored first; BufNone: it lives in registers only */
    uint64_t arena_bytes;
    /* for --emit=plan: bytes by purpose */
    uint64_t param_bytes, opt_bytes, const_bytes, saved_bytes, scratch_bytes;
} Plan;

#endif
