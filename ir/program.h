/* A program: its functions, hyperparameters, constants, datasets, training stages and state. */
#ifndef BPC_IR_PROGRAM_H
#define BPC_IR_PROGRAM_H

#include "ir/fn.h"

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
    bool broken;      /* reported */
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
/* The compiled functions of a stage. accum: as step, but adds up gradients only, with accumulate >
 * 1 (finish, report: see lower_train_body.c). NULL where there is none. */
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
    VEC(struct WhileFns *) whiles; /* loops as functions: passes/region_while.c */
    VEC(struct CallTangents { Sym key; Fn *fn; }) tangents; /* the same, forward mode */
} Program;

Program *program_new(Cx *cx);
Fn *program_fn(const Program *p, Sym name);          /* NULL if there is none */
/* Called from outside: an export, a stage's, the initial state's, a dataset's. */
bool program_is_entry(const Program *p, const Fn *fn);
void program_add(Program *p, Fn *fn);                /* replaces one of the same name */
Sym program_fresh(const Program *p, const char *base); /* unused, and no operation's name */

#endif
