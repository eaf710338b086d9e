/* passes: functions to functions. One row of passes.def and one file per pass. */
#ifndef BPC_PASSES_H
#define BPC_PASSES_H

#include "ir/ir.h"

typedef struct PassInfo {
    const char *name;
    void (*run)(Program *p); /* rebuilds the program's functions */
    unsigned needs, gives;   /* Prop bits of every function */
    int level;               /* runs at -O level and above */
    const char *help;
} PassInfo;
extern const PassInfo passes[];
extern const uint32_t npasses;

typedef struct PassOptions {
    int level; /* 0..3 */
    bool verify_each;
    const char *emit_after, *stop_after; /* names of passes or NULL; emitted to `out` as .bp */
    int64_t limit;                       /* passes run at most; < 0: all */
    FILE *out;
    uint64_t memory; /* bytes that an entry may use of parameters, optimizer and arena; 0: any */
    bool apart;      /* no two values share memory: to test the plan */
} PassOptions;

/* Runs the table in order. False if a user error was found (a missing derivative). */
bool passes_run(Program *p, const PassOptions *o);
void list_passes(Text *out);

#define PASS(name, run, ...) void run(Program *p);
#define ORDER(a, b, reason)
#include "passes/passes.def"

/* Results of `fn` differentiated: a new function of the same parameters that returns the results
 * of fn, then the gradient of its first result with respect to the parameters wrt[0..n). Calls of
 * ruled functions use their rules. NULL after a user error. */
Fn *differentiate(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n);
/* (params, cotangent per wanted float result) -> cotangents of wrt. want NULL: all. */
Fn *transpose_fn(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n,
                 const bool *want);
/* (params, tangent per wrt) -> (results, tangent per float result). */
Fn *linearize(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n);
/* The same without the results: (params, tangent per wrt) -> tangent per float result. */
Fn *tangents_of(Program *p, const Fn *fn, Sym name, const uint32_t *wrt, uint32_t n);

/* ---- copy.c: what passes rebuild functions with; scratch memory ---- */
void copy_header(Fn *to, const Fn *from); /* all but name, parameters and what is made of them */
/* A new function with the header and the parameters of fn. *map has an entry for each value of fn,
 * NoVal but for the parameters. */
Builder *copy_begin(Program *p, const Fn *fn, Sym name, Val **map);
/* "d_x" of "d" and "x", numbered if the function has such a parameter already. */
Sym fresh_param(Program *p, Builder *b, const char *prefix, Sym name);
/* Ends it with the results of fn. */
Fn *copy_done(Builder *b, const Fn *fn, const Val *map);
/* Which values the wanted results (NULL: all) depend on. If an instruction has several results, all
 * of them are live or none. */
bool *live_values(Program *p, const Fn *fn, const bool *want);
typedef struct Splice {
    Sym rule;         /* what every copy gets, with loc and no name; NULL: all keep their own */
    Loc loc;
    const Sym *names; /* of the results, over those of fn; or NULL */
} Splice;
/* The instructions of fn as a splice copies them, with an end behind the last: b_copy looks at the
 * Op_get's behind an instruction. */
const Ins *relabelled(Program *p, const Fn *fn, const Splice *as);
/* Copies what the wanted results of fn (NULL: all) need, parameters bound to args. */
void splice(Program *p, Builder *b, const Fn *fn, const Val *args, const bool *want,
            const Splice *as, Val *results);
/* The values that hold the results of instruction v: itself, or its Op_get's in order. */
typedef VEC(Val) Vals;
Vals results_of(Program *p, const Fn *fn, Val v);
/* fn without its dead values. */
Fn *drop_dead(Program *p, const Fn *fn);

/* ---- dce.c ---- */
/* Sorts the program's functions so that what a function refers to stands before it. roots: only
 * those and what they refer to are kept; NULL: all are. */
void keep_callees_first(Program *p, const bool *roots);

/* ---- inline.c ---- */
typedef enum Keep {
    KeepNone,
    KeepBackward, /* calls that reverse mode differentiates by a rule, or as functions */
    KeepForward,  /* calls that forward mode differentiates so */
} Keep;
/* fn without operators and without calls but those to keep. NULL after a user error. */
const Fn *inline_calls(Program *p, const Fn *fn, Keep keep);

/* ---- budget.c ---- */
/* Whether every planned entry keeps to the budget, if there is one. */
bool within_budget(const Program *p);
/* What the entry that needs most needs. */
uint64_t largest_entry(const Program *p);
/* Levels at which the longest scan is cut in halves. */
uint32_t most_levels(const Program *p);
/* The error, with the largest saved values; false. */
bool report_budget(const Program *p);

/* ---- call.c ---- */
/* Whether calls of fn may stay calls: it is long and has a contraction or a loop, so that nothing
 * is lost by what does not fuse across the call. */
bool is_worth_calling(const Program *p, const Fn *fn);

/* ---- operators.c ---- */
/* fn without operators; the derivatives that it calls instead are added to p. NULL after a user
 * error. */
const Fn *expand_operators(Program *p, const Fn *fn);
/* The function that operator op applied to f means; NULL after a user error. */
Fn *derive(Program *p, Op op, const Fn *f, Sym name, const uint32_t *wrt, uint32_t n);

/* ---- rule.c: the rules of operations and functions ---- */
typedef struct Rule {
    const Fn *fn;           /* without operators and plain calls; NULL: there is no rule */
    const RuleEntry *entry; /* per operand, or per result for a `forward` rule */
    bool transposed;        /* forward mode by a backward rule: see rule_find */
    bool broken;            /* there is one, which was reported as wrong */
} Rule;
/* The rule of instruction v of fn. Without a forward rule, forward mode gets the backward rule
 * transposed in its cotangents: (operands..., results..., cotangents..., tangents...) -> tangents,
 * where the cotangents are not used. */
Rule rule_find(Program *p, RuleKind kind, const Fn *fn, Val v);
/* Whether `call`, an instruction of fn, is differentiated by a rule. */
bool has_rule(Program *p, const Fn *fn, const Ins *call, Keep mode);
/* What operand k is called in rules and messages. */
const char *operand_title(Program *p, const Ins *ins, uint32_t k);
/* "B[tanh, x]": how the adjoint of operand k is labelled. */
Sym backward_label(Program *p, const Ins *ins, uint32_t k);
/* "J[tanh]" */
Sym forward_label(Program *p, const Ins *ins);

/* ---- mask.c: zero stays zero on a branch that `where` did not take ---- */
/* One step of the backward walk: the rule of ins and what it is applied to in b. */
typedef struct Pull {
    Program *p;
    Builder *b;
    const Ins *ins;
    const Rule *rule;
    const Val *args; /* operands..., results..., cotangents... */
    Sym label;
} Pull;
/* The mask (a bool of its shape, or NoVal) of what a rule gives to operand k, from the mask of the
 * result's adjoint. Where the rule scales its cotangent, *contribution is selected again. */
Val mask_pull(const Pull *q, uint32_t k, Val mask, Val *contribution);
/* The mask of a sum. */
Val mask_sum(Builder *b, Val x, Val y);

/* ---- region.c: which formals and results of a region take part in a derivative ---- */
typedef struct RegionActivity {
    Region r;
    bool *wrt;    /* formals of the body, floats; a carry stays active once it is */
    bool *result; /* results of the region, floats; those of a carry are active if the formal is */
    bool any;     /* result is */
} RegionActivity;
/* NULL after a user error. active: values of fn. */
RegionActivity *region_activity(Program *p, RuleKind kind, const Fn *fn, Val v,
                                const bool *active);
/* The formals that wrt marks. */
uint32_t *marked_params(Program *p, const bool *wrt, uint32_t nparams, uint32_t *n);
/* Adds a function made by a pass under an unused name. */
void add_fresh(Program *p, Fn *fn, const char *base, const char *suffix);
/* ---- region_forward.c ---- */
/* The region with tangents beside values: args and tangents (NoVal: zero) of its operands in b,
 * then the values of its results and the tangents of the active ones (others NoVal). False after a
 * user error. */
bool region_tangents(Program *p, Builder *b, const Ins *ins, const RegionActivity *a,
                     const Val *args, const Val *tangents, Val *values, Val *moved);
/* x with the axis of a stacked array first (back: where it was); slices of rank - 1. */
Val region_leading(Builder *b, const Region *r, Val x, bool back);

/* ---- while_again.c: derivatives of the two functions that are a while in reverse ---- */
typedef struct WhilePart {
    const struct CallPair *pair; /* NULL: the instruction is no call of such a function */
    bool backward;               /* it is the second one */
} WhilePart;
WhilePart while_part(const Program *p, const Ins *ins);
RegionActivity *part_activity(Program *p, RuleKind kind, const Ins *ins, const bool *active);
/* As region_tangents. */
bool part_tangents(Program *p, Builder *b, const Ins *ins, const RegionActivity *a, const Val *args,
                   const Val *tangents, Val *values, Val *moved);

/* ---- range.c: what is known of the numbers in values ---- */
typedef struct Range {
    double lo, hi;
    bool open_lo, open_hi; /* lo, hi themselves are not reached */
} Range;
/* One per value of fn, in scratch memory. */
const Range *ranges_of(const Program *p, const Fn *fn);

/* ---- infinite.c ---- */
/* Warns where the adjoint of v may be infinity times zero: v is sqrt, log, a quotient ... of what
 * can be 0. *ranges: of fn, found when first needed. */
void warn_infinite(Program *p, const Fn *fn, Val v, const Range **ranges);

/* ---- activity.c: which values take part in a derivative ---- */
typedef struct Activity {
    bool *active;     /* depends on what is differentiated and is needed for what is asked */
    uint32_t *source; /* a parameter that an active value depends on */
    Rule *rule;       /* of instructions with an active operand and a float result */
    RegionActivity **region; /* of regions with an active operand */
    uint32_t errors;         /* of the user's, in regions */
} Activity;
/* want: the results that are differentiated. */
Activity activity_find(Program *p, RuleKind kind, const Fn *fn, const uint32_t *wrt, uint32_t n,
                       const bool *want);
/* Reports that v cannot be differentiated: no rule, or none for operand k (NoVal: the result). */
void report_missing(Program *p, const Fn *fn, const Activity *a, Val v);
void report_nodiff(Program *p, const Fn *fn, const Activity *a, Val v, uint32_t k);

#endif
