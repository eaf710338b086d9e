/* The state of lowering. A body is evaluated abstractly: compile-time values are numbers, lists and
 * strings; run-time values are IR tensors whose dimensions carry the name that they have in the
 * header of the function being lowered. */
#ifndef BPC_FRONT_H
#define BPC_FRONT_H

#include "frontend/frontend.h"

/* ---- dimensions ---- */
typedef struct DimName DimName;
/* tag: NULL for a number that no name gave (a literal, keep=true): only such a 1 stretches. */
typedef struct Dim {
    int64_t n;
    const DimName *tag;
} Dim;
/* A name of a header; bound is what it stands for in the caller's terms. */
struct DimName {
    const void *header; /* NULL: computed, equal to anything of its size */
    Sym name;
    Dim bound;
};
extern const DimName dim_computed;

/* ---- values ---- */
typedef struct Instance Instance;
typedef enum ValueKind {
    VError, /* already reported */
    VTensor,
    VInt,
    VFloat,
    VBool,
    VStr,
    VList,
    VTuple,
    VInstance, /* a model or layer */
    VLayers,   /* an array of layers */
    VDataset,
    VFunction, /* the loss of an optimizer's batch */
} ValueKind;

typedef struct Value {
    ValueKind kind;
    Val v;              /* VTensor */
    const Dim *dims;    /* VTensor: one per axis */
    int64_t i;          /* VInt, VBool */
    const DimName *tag; /* VInt: as a dimension */
    double f;           /* VFloat */
    Sym s;              /* VStr; the name of a VDataset */
    uint32_t n;         /* VList, VTuple, VLayers */
    struct Value *elems;
    Instance *inst;
    const struct FnInst *fn; /* VFunction */
} Value;

/* The type that an expression is asked to have, from a declaration. */
typedef struct Want {
    DType dt;
    int64_t range;
    uint32_t rank;
    const Dim *dims;
} Want;

/* A model or layer: a module with settings and a path. */
struct Instance {
    const Item *module;
    Sym path;
    VEC(struct Setting {
        Sym name;
        Value value;
    })
    settings;
};

/* An evaluated argument of a call. */
typedef struct CallArg {
    Sym name; /* NULL: by position */
    Loc loc;
    Value value;
} CallArg;

/* ---- headers: the names in [ ] of a fn or module ---- */
typedef struct Static {
    const Bind *bind;
    Sym name;
    bool spread, solved;
    Value value;
    DimName dim; /* of a solved dimension */
} Static;
typedef struct Header {
    const Item *item;
    VEC(Static) statics;
    DType real;
    bool real_known;
} Header;

/* ---- an IR function being built ---- */
typedef struct Capture {
    Sym path;
    Type type;
    Val v;
} Capture;
/* What total(e) means in a function of a train block. */
typedef enum TotalUse {
    TotalNone,    /* an error */
    TotalBatch,   /* e of this batch, kept in the root's totals */
    TotalFormal,  /* the sum over the evaluation, an argument */
} TotalUse;
/* A call that was expanded in place: instructions from .. to of the function around it. */
typedef struct Site {
    const struct Item *item;
    Sym path; /* of the instance, or NULL */
    Loc loc;
    Val from, to, key; /* key: by which the body draws, or NoVal */
} Site;
typedef VEC(Site) Sites;

typedef struct Root {
    Builder *b;
    Sites sites;
    VEC(Capture) captures;
    /* of the forward pass of a training step: buffers that it assigned; inner: code of a loop or
     * branch in such a pass */
    bool keeps_buffers, inner;
    VEC(Capture) written;
    TotalUse total;
    VEC(Val) totals;
    VEC(Loc) total_at; /* where each is asked for */
    Sym stage;
} Root;

typedef struct Binding {
    Sym name;
    Loc loc;
    Value value;
    bool var, used, buffer, quiet;
    bool assigned;
    bool outer; /* from the code around a run-time loop or branch */
    Sym path;   /* of a module's buffer, or NULL */
    Sym state;  /* of an optimizer's buffer that is kept, or NULL */
} Binding;
typedef struct Scope {
    struct Scope *up;
    VEC(Binding) names;
} Scope;

typedef struct Body Body;

/* A body being lowered. */
typedef struct Frame {
    struct Front *fr;
    Root *root;
    Builder *b;
    const Item *item; /* NULL: top level */
    Header *hdr;
    Instance *self;
    struct Frame *caller;
    Loc call_loc;
    Scope *scope;
    DType real;
    bool training, in_std;
    int64_t batch; /* the value of `batch`, 0 outside train */
    /* randomness: the key is made when first drawn from */
    bool has_key;
    Val key;
    bool own_key; /* key is fold(train.key, key_salt) rather than the caller's folded */
    int64_t key_salt;
    uint32_t draws;
    bool lost; /* an error hides whether it returns */
    bool returned;
    Value result;
    Loc result_loc; /* of the first that is returned */
    const Want *want; /* of what `return` gives */
    const struct Subst *subst; /* net[params=p], or NULL */
    Body *body;       /* of a run-time loop or branch, or NULL: see lower_region.c */
} Frame;

/* An instantiated IR function of the source: for operators and rules. */
typedef struct FnInst {
    Fn *fn;
    const Item *item;
    Sym title; /* of an operation, which has no item */
    const Sym *captures; /* fn's params are captures, then tensor formals */
    uint32_t ncaptures;
    const Sym *formals;
    uint32_t nformals;
    VEC(struct Setting) statics; /* compile-time values by name, for rules */
    uint32_t nresults;
    const Dim *const *result_dims;
} FnInst;

typedef struct Global {
    const Item *item;
    bool in_std;
    Value value; /* const: number; model: instance */
    bool ready, busy;
} Global;

typedef struct RuleKey {
    Sym key;
    Fn *fn;
} RuleKey;

typedef struct Front {
    Cx *cx;
    Program *p;
    const FrontOptions *opt;
    VEC(Global) globals;
    VEC(const Item *) order; /* user items in source order */
    VEC(Sym) imported;
    VEC(const Item *) lowered; /* items whose body was lowered */
    VEC(struct {
        Sym key;
        FnInst *inst;
    })
    insts;
    VEC(RuleKey) rules, outlined;
    VEC(FnInst *) ruled; /* by fn->name */
    VEC(Instance *) instances;
    bool bf16;  /* contractions of the train block being lowered */
    Root *init; /* builds the initial state */
    VEC(Val) init_vals;
    VEC(struct {
        Sym path;
        bool trainable;
    })
    state_info; /* parallel to p->state */
    Frame top;
    bool asked;  /* for the parameters of a model that was not called yet */
    bool second; /* round: params_known is all of them */
    VEC(struct StateVar) params_known;
    VEC(Instance *) instances_known; /* of the first round */
} Front;

#endif
