/* ir: the program as typed, flat, static-single-assignment tensor functions. The IR prints as the
 * A-normal subset of .bp and is read back by the same parser.
 *
 *   let h: f32[64, 128] = tanh(z);  //@ m.bp:4:11 B[op, x]
 *
 * Values are immutable: a pass reads one function and builds another. What the IR is stands in fn.h
 * and program.h, what is done with it here, by file. */
#ifndef BPC_IR_H
#define BPC_IR_H

#include "ir/program.h"

/* ---- types.c ---- */
const Shape *shape_of(Cx *cx, const int64_t *dim, uint32_t rank); /* NULL: too many elements */
/* Why shape_of gave NULL for non-negative dimensions. */
const char *shape_excess(Cx *cx, uint32_t rank);
const Shape *shape_scalar(Cx *cx);
/* Equal sizes and equal last dimensions, 1s left out: elements of the same place, row by row, are
 * neighbours in both. */
bool shape_same_rows(const Shape *a, const Shape *b);
Type type_of(DType dt, const Shape *shape);
/* The value whose memory v is: what a chain of reshapes renames. */
Val memory_of(const Fn *fn, Val v);

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
 *  
 * checkpoint[fn](args..) */
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

/* ---- work.c ---- */
/* One operation per element computed or summed, two per product of a contraction. */
double ins_flops(const Fn *fn, Val v);
/* Operations, or elements where they are only moved; what loops, branches and calls run counts. */
double ins_work(const Program *p, const Fn *fn, Val v);
double fn_work(const Program *p, const Fn *fn);

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
    double step;         /* the smallest of the differences */
    bool crossed;        /* at every step tried, points of another smooth piece were met */
    bool tie;            /* the point itself lies between smooth pieces, with complex_step */
} NumSlope;
/* The derivative along u, a direction per parameter; those without `re` stay. */
NumSlope numdiff_along(const NumDiff *d, const Tensor *u);
/* How far rounding may move slope s along u: what runs in which everything errs by some roundings
 * differ in. 0 where d is compiled. */
double numdiff_rounding(const NumDiff *d, const Tensor *u, const NumSlope *s);
/* <w, fn(args + t u) - fn(args)>, not with complex_step; *crossed: becomes true on another
 * piece. */
double numdiff_moved(const NumDiff *d, const Tensor *u, double t, bool *crossed);
double numdiff_magnitude(const NumDiff *d); /* sum |w fn|, not with complex_step */
/* How large the rounding of <w, fn> is, by steps of t u and -t u, t tiny; not with complex_step. */
double numdiff_noise(const NumDiff *d, const Tensor *u, double t);
/* d<w, fn(args)>/d args[k] along u by the interpreter; *err gets the estimated error. */
double numdiff_directional(const Program *p, const Fn *fn, Arena *a, const Tensor *args, uint32_t k,
                           const Tensor *u, const Tensor *w, double *err);

#endif
