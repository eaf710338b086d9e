/* ir: the program as typed, flat, static-single-assignment tensor functions. The IR prints as the
 * A-normal subset of .bp and is read back by the same parser.
 *
 *   let h: f32[64, 128] = tanh(z);  //@ m.bp:4:11 B[op, x]
 *
 * A function is a linear array of instructions, a value is an index into it, operands come before
 * their uses. Values are immutable: a pass reads one function and builds another. */
#ifndef BPC_IR_H
#define BPC_IR_H

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
    KernContract, /* root is a matmul or conv; views of stored values may feed it, elementwise follow it */
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

/* ---- programs ---- */
typedef struct Hyper {
    Sym name;
    DType dt;
    double value;
    const char *doc;
    Loc loc;
} Hyper;

typedef struct ConstDecl {
    Sym name;
    Sym text; /* its value as .bp */
} ConstDecl;

typedef struct Field {
    Sym name;
    Type type; /* of one row */
    const DataExpr *expr;
    Loc loc;
} Field;
typedef VEC(Sym) Syms;
typedef struct Dataset {
    Sym name;
    Loc loc;
    const char *doc;
    const char *text; /* the declaration as .bp, for the printer */
    Sym kind;         /* "csv" "npz" "npy" "idx" "text" "rows" */
    Syms files;       /* absolute */
    int header;       /* -1: detect, 0: none, 1: one line of names */
    int64_t skip;     /* lines dropped at the start */
    char sep;         /* ' ': any blanks */
    SplitMode split;
    double valid, test;
    uint64_t split_seed;
    Syms split_files[DataParts]; /* several are joined like `files` */
    bool lines;       /* of a text: rows are its lines */
    /* fn (train.key: i64, hyper.*) -> the fields of one row, called `rows` times with the keys
     * fold(seed, row); or NULL */
    Sym row;
    int64_t rows;
    uint64_t seed;
    VEC(Field) fields;
} Dataset;

/* A line that is printed after an evaluation: texts, and results of `report` in their order. */
typedef struct PrintPart {
    Sym text;       /* NULL: a value */
    uint32_t value; /* which result */
    Sym decode;     /* the dataset whose ids it holds, or NULL */
} PrintPart;
typedef struct PrintLine {
    VEC(PrintPart) parts;
} PrintLine;
/* The compiled functions of a stage. accum: as step, but adds up gradients only, with accumulate > 1
 * (finish, report: see lower_train_body.c). NULL where there is none. */
#define STAGE_ENTRIES(FN) FN(step) FN(eval) FN(eval_row) FN(accum) FN(finish) FN(report)
/* 0: not given. */
#define STAGE_COUNTS(COUNT)                                                                        \
    COUNT(batch) COUNT(epochs) COUNT(steps) COUNT(accumulate)                                      \
    COUNT(eval_every) COUNT(save_every) COUNT(early_stop)
/* A lowered `train`. Formals of the functions bind by name: state paths ("net.fc1.w",
 * "opt.m.net.fc1.w"), "data.DATASET.FIELD.mean|deviation", "hyper.NAME", "train.step" (updates
 * done), "train.steps" (in all), "train.key" (i64), then the dataset's fields with a leading batch
 * dimension. step: returns the new state in the order of its state formals, then loss and metrics
 * (scalars). eval, eval_row (batch 1): return loss and metrics, then the summands of total(...). */
typedef struct Stage {
    Sym name;
    Loc loc, loss_loc;
    const char *doc;
    Sym dataset, split;             /* "digits", "train" */
    Sym valid_dataset, valid_split; /* or NULL */
    VEC(Sym) binds;                 /* local names of the fields, "_" for unused */
    Sym loss; /* a function that is no entry: (state, ..., fields) -> (loss, metrics) */
#define FN(name) Sym name;
    STAGE_ENTRIES(FN)
#undef FN
    VEC(Sym) metrics;
    VEC(Sym) finals; /* those that finish gives; one result more is what is best */
    VEC(PrintLine) prints;
#define COUNT(name) int64_t name;
    STAGE_COUNTS(COUNT)
#undef COUNT
    bool has_seed;
    uint64_t seed;
} Stage;

typedef enum RuleKind { RuleBackward, RuleForward } RuleKind;

typedef struct Program {
    Cx *cx;
    Sym name;        /* of the file, without .bp */
    Sym path;        /* as given on the command line */
    const char *doc;
    VEC(Hyper) hypers;
    VEC(ConstDecl) consts;
    VEC(Dataset *) datasets;
    VEC(const char *) op_rules; /* rules of the user's for operations, as .bp */
    VEC(Fn *) fns;   /* callees before callers */
    VEC(Stage *) stages;
    Sym init;        /* fn (train.key: i64) -> state in the order of `state`, or NULL */
    VEC(struct StateVar { Sym path; Type type; }) state;
    DType real;      /* F32, or F64 under --float=f64 */
    struct {
        uint64_t budget; /* of parameters, optimizer and arena, in bytes; 0: none */
        uint32_t levels; /* of long scans under reverse mode: see passes/levels.c; 0, 1: plain */
        bool apart;      /* no two values share memory: to test the plan */
    } memory;
    /* The rule of an operation or of a function with a rule of its own, instantiated for operand
     * types (and the result's), or NULL where there is none. Backward: a function
     * (operands..., results..., cotangent per float result) -> one value per operand; a result
     * that is no cotangent (`zero`, `nodiff`, integer operands) is an Op_const 0 of the operand's
     * type with `rule` "zero" or "nodiff". Forward: (operands..., results..., tangent per float
     * operand) -> one tangent per float result. Set by the driver to the front end's. */
    Fn *(*rule)(struct Program *p, RuleKind kind, Sym name, const Ins *site, const Type *args,
                const Type *results, uint32_t nresults);
    VEC(Fn *) rule_fns; /* bodies of loops in rules, as the front end added them */
    void *front; /* the front end's own state behind `rule` */
    VEC(struct CallPair *) pairs; /* derivatives of called functions: passes/call.c */
    VEC(struct CallTangents { Sym key; Fn *fn; }) tangents; /* the same, forward mode */
} Program;

Program *program_new(Cx *cx);
Fn *program_fn(const Program *p, Sym name);          /* NULL if there is none */
/* Called from outside: an export, a stage's, the initial state's, a dataset's. */
bool program_is_entry(const Program *p, const Fn *fn);
void program_add(Program *p, Fn *fn);                /* replaces one of the same name */
Sym program_fresh(const Program *p, const char *base); /* unused, and no operation's name */

/* ---- types.c ---- */
const Shape *shape_of(Cx *cx, const int64_t *dim, uint32_t rank); /* NULL: too many elements */
/* Why shape_of gave NULL for non-negative dimensions. */
const char *shape_excess(Cx *cx, uint32_t rank);
const Shape *shape_scalar(Cx *cx);
/* Equal sizes and equal last dimensions, 1s left out: elements of the same place, row by row, are
 * neighbours in both. */
bool shape_same_rows(const Shape *a, const Shape *b);
Type type_of(DType dt, const Shape *shape);

/* ---- builder.c: appends instructions to a new function; folds and merges equal ones ---- */
typedef struct Builder Builder;
/* raw: no folding, no merging, no renaming: what the reader uses. */
Builder *builder_new(Program *p, Sym name, bool raw);
/* Position and rule that the next instructions carry. */
void b_at(Builder *b, Loc loc, Sym rule);
Loc b_loc(const Builder *b);
Sym b_rule(const Builder *b);
Arena *b_arena(const Builder *b); /* of the compilation */
/* Before anything else; a front end that finds parameters late puts them first when it is done. */
Val b_param(Builder *b, Sym name, Type type);
Val b_const(Builder *b, Type type, const Num *data, uint64_t n); /* n == 1: splat */
Val b_float(Builder *b, Type type, double v);                    /* splat; any dtype, converted */
Val b_int(Builder *b, Type type, int64_t v);
/* attrs has op_info[op].nattrs entries (NULL if none); missing ones have kind AttrNone. given is
 * needed by rng, cast and calls. A shape error here is a BUG(): front ends ask op_infer first. */
Val b_op(Builder *b, Op op, const Val *args, uint32_t nargs, const Attr *attrs, const Type *given);
/* Calls fn, gives its results. */
void b_call(Builder *b, const Fn *fn, const Val *args, uint32_t nargs, Val *results);
/* An instruction with several results (call, operators, regions) and its Op_get's. */
void b_multi(Builder *b, Op op, const Val *args, uint32_t nargs, const Attr *attrs,
             const Type *types, uint32_t n, Val *results);
void b_name(Builder *b, Val v, Sym name); /* keeps an earlier name */
void b_result(Builder *b, Val v);
const Ins *b_ins(const Builder *b, Val v);
Type b_type(const Builder *b, Val v);
Fn *b_fn(Builder *b); /* the function being built */
Fn *builder_done(Builder *b);
/* Copies instruction `ins` with operands mapped; keeps loc, rule and name. The caller enters the
 * result in its map. An instruction with several results is copied with all its Op_get's. */
Val b_copy(Builder *b, const Ins *ins, const Val *map);
/* How many results instruction v has; where it is not 1, these are the Op_get's that follow. */
uint32_t count_results(const Fn *fn, Val v);
/* A function of its own with from's instructions and results, and no kernels yet. */
Fn *fn_copy(Arena *a, const Fn *from);
/* One more instruction of fn, which is not shared: the value v under a name of its own. */
Val fn_append_identity(Arena *a, Fn *fn, Val v);
/* fold.c: a value that always has the same bits as the instruction, or NoVal. */
Val fold_ins(Builder *b, const Ins *ins);
/* shorthands of b_op for what passes emit most */
Val b_add(Builder *b, Val x, Val y);
Val b_mul(Builder *b, Val x, Val y);
/* x summed over what broadcasting `to` to x's shape would stretch, then reshaped to `to`. */
Val b_sum_to(Builder *b, Val x, const Shape *to);
Val b_broadcast(Builder *b, Val x, const Shape *to);
Val b_reshape(Builder *b, Val x, const Shape *to);

/* Infers the result type; NULL on success, else what is wrong. Fills default attributes. */
const char *op_infer(Op op, Infer *q);

/* ---- region.c: what a region means ----
 * The operands of a region are the formals of its functions, in order; `cond` has its condition in
 * front. Its results are those of its body; a scan gives the last carry, then what was emitted,
 * stacked along the axis.
 *
 *   scan[body](carry.., sequences.., constants.., carry=, seq=, axis=, length=, reverse=)
 *   while[test, body](carry.., constants.., carry=)
 *   cond[then, otherwise](c, args..)
 *   checkpoint[fn](args..)
 */
typedef struct Region {
    const Fn *body, *other; /* other: test of a while, `otherwise` of a cond */
    uint32_t first;         /* operand that is the body's first formal: 1 for cond */
    uint32_t carry, seq;    /* formals */
    int64_t axis, length;   /* of a scan; the axis counts from the end if negative */
    bool reverse;
} Region;
Region region_of(const Program *p, const Ins *ins);
/* A stacked array's axis, for a slice of this rank; -1: there is none. */
int64_t region_axis(const Region *r, uint32_t slice_rank);
/* Slices, one after the other along the axis; no shape where there is no such axis or the size
 * overflows. */
Type region_stack(Cx *cx, const Region *r, Type slice);
/* The types of a region's operands and results, in arena a; i32<V> where the body says so. */
typedef struct RegionTypes {
    uint32_t nargs, nresults;
    Type *args, *results;
} RegionTypes;
RegionTypes region_types(Cx *cx, Arena *a, const Ins *ins, const Region *r);
/* Whether the planned body writes carry k over the one that it reads. */
bool region_in_place(const Region *r, uint32_t k);
/* What a planned region needs beside its results: a second buffer for each carry, at carry[k], then
 * the arena of its functions, of which one runs at a time, at *arena. Aligned to 64 bytes. */
uint64_t region_scratch(Cx *cx, const Ins *ins, const Region *r, uint64_t *carry, uint64_t *arena);

/* ---- conv.c: what a convolution means, as three spatial axes (the first ones of size 1) ---- */
enum { MaxSpatial = 3 };
typedef struct ConvAxis {
    int64_t in, out, taps; /* of x, of the result, of w */
    int64_t stride, lo, lhs, rhs;
} ConvAxis;
typedef struct Conv {
    int64_t n, o, i; /* images of the result, filters, channels that a filter sees */
    int64_t groups, batch_groups;
    ConvAxis axis[MaxSpatial];
} Conv;
Conv conv_of(const Ins *ins, const Shape *x, const Shape *w);

/* ---- print.c ---- */
void print_program(const Program *p, Text *out);
void print_fn(const Program *p, const Fn *fn, Text *out);
/* One line without its end, as print_fn would write it. */
void print_ins(const Program *p, const Fn *fn, Val v, Text *out);
void print_kernels(const Program *p, Text *out); /* --emit=kernels */
void print_plan(const Program *p, Text *out);    /* --emit=plan */
void print_dot(const Program *p, Text *out);     /* --emit=dot: the functions as a graph */
/* The unique printed name of every value of fn (in p->cx->scratch). */
const Sym *print_names(const Program *p, const Fn *fn);
void list_ops(Text *out); /* --list-ops */

/* ---- verify.c: operands precede uses, arity, attributes, stored type = inferred type, shapes
 * of regions and calls, kernels and plan if the props say so. BUG()s on the first violation. */
void verify_fn(const Program *p, const Fn *fn);
void verify_program(const Program *p);

/* ---- interp.c: the reference meaning; shares nothing with codegen ---- */
typedef enum InterpMode {
    InterpF64,     /* every float in f64 */
    InterpRound,   /* every operation rounded to its type, sums in the order of the contract */
    InterpComplex, /* complex f64; comparisons see real parts: for complex-step derivatives */
} InterpMode;
typedef struct Tensor {
    Type type;
    double *re, *im; /* float values; im only under InterpComplex */
    int64_t *i;      /* integer and bool values */
} Tensor;
Tensor tensor_new(Arena *a, Type type, bool complex_);
/* results has fn->results.len entries, filled in arena a. values, if not NULL, gets every value of
 * fn (by Val). Runs calls; operators must be gone. */
void interp_run(const Program *p, const Fn *fn, InterpMode mode, Arena *a, const Tensor *args,
                Tensor *results, Tensor **values);
/* interp_run under InterpF64. Gives a hash of what the values are decided by: comparisons, signs,
 * the operand that max took, whole parts. Equal hashes: the same smooth piece of fn. */
uint64_t interp_choices(const Program *p, const Fn *fn, Arena *a, const Tensor *args,
                        Tensor *results);

/* ---- numdiff.c: numerical derivatives, to check analytic ones ---- */
/* Another way than the interpreter to evaluate fn: fills results in a, gives a hash of what the
 * values are decided by (comparisons, signs, the operand that max took): equal hashes, the same
 * smooth piece of fn. */
typedef struct Evaluator {
    uint64_t (*run)(void *data, Arena *a, const Tensor *args, Tensor *results);
    void *data;
} Evaluator;
/* <w, fn> at a point; a result whose w has no `re` counts as 0. */
typedef struct NumDiff {
    const Program *p;
    const Fn *fn;
    const Evaluator *by; /* NULL: the interpreter */
    Arena *a;
    const Tensor *args, *w;
    bool complex_step; /* exact to rounding; else 5-point differences */
    bool blind;        /* without complex_step: fn holds values that a derivative takes as constant,
                        * which differences see move; they are no reference then */
    Tensor *base;      /* results at args, not with complex_step */
    uint64_t choices;
} NumDiff;
NumDiff numdiff_at(const Program *p, const Fn *fn, const Evaluator *by, Arena *a,
                   const Tensor *args, const Tensor *w);
typedef struct NumSlope {
    double value, error; /* error: of truncation and rounding, estimated; 0 with complex_step */
    bool crossed;        /* at every step tried, points of another smooth piece were met */
} NumSlope;
/* The derivative along u, a direction per parameter; those without `re` stay. */
NumSlope numdiff_along(const NumDiff *d, const Tensor *u);
/* <w, fn(args + t u) - fn(args)>, not with complex_step; *crossed: becomes true on another piece. */
double numdiff_moved(const NumDiff *d, const Tensor *u, double t, bool *crossed);
double numdiff_magnitude(const NumDiff *d); /* sum |w fn|, not with complex_step */
/* How large the rounding of <w, fn> is, by steps of t u and -t u, t tiny; not with complex_step. */
double numdiff_noise(const NumDiff *d, const Tensor *u, double t);
/* d<w, fn(args)>/d args[k] along u by the interpreter; *err gets the estimated error. */
double numdiff_directional(const Program *p, const Fn *fn, Arena *a, const Tensor *args, uint32_t k,
                           const Tensor *u, const Tensor *w, double *err);

#endif
