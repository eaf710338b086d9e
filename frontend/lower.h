/* Lowering: names, types, dimensions and IR in one walk, on the state of front.h. Calls are
 * expanded in place, but for functions with a derivative rule of their own, what derivative
 * operators are applied to, and what repeats (lower_outline.c): those become IR functions. */
#ifndef BPC_LOWER_H
#define BPC_LOWER_H

#include "frontend/front.h"

/* ---- values.c ---- */
Value v_error(void);
Value v_int(int64_t i, const DimName *tag);
Value v_float(double f);
Value v_bool(bool b);
Value v_str(Sym s);
Value v_list(Front *fr, ValueKind kind, const Value *elems, uint32_t n);
Value v_tensor(Frame *f, Val v, const Dim *dims); /* dims NULL: all computed */
Type v_type(Frame *f, Value v);
bool v_is_number(Value v);
bool v_equal(Value a, Value b);            /* compile-time values */
const char *v_describe(Frame *f, Value v); /* for messages: "f32[B, 10]" */
/* Both numbers equal and not two different names of one header. */
bool dim_same(Dim a, Dim b);
const Dim *dims_computed(Front *fr, const Shape *s);
const Shape *dims_shape(Frame *f, Loc loc, const Dim *dims, uint32_t rank); /* NULL: reported */
/* A tensor of v: numbers and lists become constants of type want, or of dt (< 0: the frame's real
 * or i32). VError after a report. */
Value v_materialise(Frame *f, Loc loc, Value v, int dt, const Want *want);
/* v as declared: converts literals, checks dtype, range and dimensions. what: "'x'" or "result". */
Value v_coerce(Frame *f, Loc loc, Value v, const Want *want, const char *what);
/* The same for a name that takes other values later: a range is kept only where it is declared. */
Value v_variable(Frame *f, Loc loc, Value v, const Want *want, const char *what);

/* ---- lower_const.c ---- */
bool eval_int(Frame *f, const Expr *e, int64_t *out, const char *what);
/* Arithmetic on compile-time values; false: not both compile-time. */
bool const_binary(Frame *f, const Expr *e, Value a, Value b, Value *out);
bool const_builtin(Frame *f, const Expr *e, Sym name, Value *out);
/* An int list of a value: lists, single ints. */
bool v_ints(Frame *f, Loc loc, Value v, const char *what, int64_t **out, uint32_t *n);

/* ---- lower_types.c ---- */
bool eval_type(Frame *f, const TypeX *t, Want *out);
DType type_name_dtype(Frame *f, TypeName n);
/* The float type of literals in a body: the one float type of its header, else the caller's. */
void signature_real(Frame *callee);
Header *header_new(Front *fr, const Item *item);
Static *header_static(Header *h, Sym name);
/* Solves names of the header from a value for a formal of type t; reports mismatches. */
bool match_type(Frame *callee, const TypeX *t, Value *v, Loc arg_loc, const char *what);
/* The same for an argument of f as written: numbers and lists become tensors; parts of a tuple. */
bool match_argument(Frame *callee, Frame *f, const TypeX *t, Value *v, Loc loc, const char *what);
/* Solves what is left from the wanted result type. */
void match_result(Frame *callee, const TypeX *t, const Want *want);
/* Everything solved? Fills defaults of settings. */
bool header_finish(Frame *callee, Loc loc);
/* A result of the callee in the caller's terms. */
Value v_return(Frame *callee, Value v);

/* ---- lower_expr.c ---- */
Value lower_expr(Frame *f, const Expr *e, const Want *want);
/* Whether a name means anything here. */
bool known_name(Frame *f, Sym name);
/* "declare it with const", where e names a hyper. */
void note_hyper(Frame *f, const Expr *e);
/* Makes *v what the const is declared as, or reports. */
void const_typed(Frame *f, const Item *item, Value *v);
/* A tensor or the error value. dt < 0: any. */
Value lower_tensor(Frame *f, const Expr *e, const Want *want);

/* ---- lower_arith.c ---- */
/* Broadcasts n operands to one shape; false after a report. */
bool broadcast_values(Frame *f, const Expr *e, const char *what, Value *v, uint32_t n);
Value lower_binary_values(Frame *f, const Expr *e, BinOp op, Value a, Value b);
Val emit_contraction(Frame *f, Op op, const Val *args, uint32_t n, const Attr *attrs);
/* x ** n for a small literal n is a product, as x * x is. */
Value lower_power(Frame *f, const Expr *e, Value x, Value n);

/* ---- lower_index.c ---- */
Value lower_index(Frame *f, const Expr *e);

/* ---- lower_builtin.c ---- */
/* An operation or a near-primitive by name. */
bool is_builtin(Sym name);
/* The i-th of builtins.def, or NULL. */
const char *near_primitive(uint32_t i);
Value lower_builtin(Frame *f, const Expr *e, Sym name, const Want *want);
Value emit_op(Frame *f, Loc loc, Op op, const Value *args, uint32_t n, Attr *attrs,
              const Type *given, const Dim *dims);
/* The type of that shape, of the wanted elements or the frame's real. */
bool shape_wanted(Frame *f, Loc loc, Value to, const Want *want, Want *out);
Val frame_key(Frame *f);
/* The argument of that name, else the positional one at the position, or NULL. */
const Expr *named_arg(const Expr *e, const char *name, uint32_t position);

/* ---- lower_parts.c, lower_einsum.c: near-primitives of the table in lower_builtin.c ---- */
Value near_concat(Frame *f, const Expr *e, Sym name, const Want *want);
Value near_stack(Frame *f, const Expr *e, Sym name, const Want *want);
Value near_split(Frame *f, const Expr *e, Sym name, const Want *want);
Value near_unstack(Frame *f, const Expr *e, Sym name, const Want *want);
Value near_randint(Frame *f, const Expr *e, Sym name, const Want *want);
Value near_pad(Frame *f, const Expr *e, Sym name, const Want *want);
/* ---- lower_reduce.c ---- */
Value near_reduce(Frame *f, const Expr *e, Sym name, const Want *want);

/* An operation with operands by position and attributes by name. */
Value op_call(Frame *f, const Expr *e, Op op);
Value near_einsum(Frame *f, const Expr *e, Sym name, const Want *want);

/* ---- lower_call.c ---- */
Value lower_call(Frame *f, const Expr *e, const Want *want);
/* Calls a fn or module with evaluated arguments; used for std functions from C too. */
Value call_item(Frame *f, Loc loc, const Item *item, Instance *self, const Args *settings,
                CallArg *args, uint32_t n, const Want *want);
Value call_std(Frame *f, Loc loc, const char *name, const Value *args, uint32_t n);
/* Opens a frame for the body of item and binds its arguments; NULL after a report. */
Frame *open_call(Frame *f, Loc loc, const Item *item, Instance *self, const Args *settings,
                 CallArg *args, uint32_t n, const Want *want);
Value close_call(Frame *callee);
/* v for a compile-time argument or setting: int, int[2] (one number repeats), int[], str, bool. */
bool bind_compile_time(Frame *f, const Bind *b, Value *v, Loc loc);
bool item_in_std(Front *fr, const Item *item);
Global *find_item(Front *fr, Sym name, bool from_std, int positional);
Global *find_global(Front *fr, Sym name, ItemKind kind, bool from_std);

/* ---- lower_setting.c ---- */
/* The name of one that arguments do not tell, for messages. */
const char *setting_example(const Item *item);
/* Reports a setting that the item's header does not have. */
bool check_setting(Frame *f, const Item *item, Sym name, Loc loc);
/* Those of the instance, then those written in the call. */
bool bind_settings(Frame *callee, Frame *f, Instance *self, const Args *settings);

/* ---- lower_stmt.c ---- */
void lower_block(Frame *f, const Block *b);
void lower_statements(Frame *f, const Block *b); /* without a scope of its own */
void lower_statement(Frame *f, const Stmt *st);
void bind_name(Frame *f, Sym name, Loc loc, Value v, bool var);
Binding *find_binding(Frame *f, Sym name);
void scope_push(Frame *f);
void scope_pop(Frame *f);

/* ---- lower_unused.c ---- */
/* Of the scope that is left. */
void warn_unused(const Frame *f);
/* Marks the names that a block would use which is not lowered. */
void note_uses(Frame *f, const Block *block);

/* ---- lower_module.c ---- */
Value lower_model(Front *fr, const Item *item);
Instance *make_instance(Frame *f, const Expr *e, Sym path);
void lower_param(Frame *f, const Stmt *st);
/* f for an initialiser, in the function that makes the initial state: compile-time names only. */
Frame init_frame(Frame *f, Sym path);
void lower_buffer(Frame *f, const Stmt *st);
void lower_layer(Frame *f, const Stmt *st);
Instance *find_instance(Front *fr, Sym path);
/* A formal of the root by its path, made when first asked for. */
Val capture(Root *r, Front *fr, Sym path, Type type);
/* Index in p->state, or -1. */
int64_t state_index(const Front *fr, Sym path);
void state_add(Front *fr, Sym path, Type type, bool trainable, Val init);

/* ---- lower_params.c ---- */
typedef struct ParamPart { /* of the vector of all parameters of a model */
    Sym path;
    Type type;
    int64_t at;
} ParamPart;
typedef struct ModelParams {
    Sym model;
    VEC(ParamPart) parts;
    int64_t size;
} ModelParams;
typedef struct Subst { /* parameters of a model that are read from a vector, in one root */
    Sym model;
    Val all;
    Root *root;
} Subst;
/* The parameters of a model or layer; in the first round those known so far. */
ModelParams model_params(Front *fr, Sym model);
/* All that the first round found, for the second. */
void all_params(const Front *from, Front *to);
/* Asks for a second round, or reports that there are none. */
bool params_known(Frame *f, Loc loc, const ModelParams *m);
/* parts as one vector; NoVal: zeros. */
Value params_join(Frame *f, const ModelParams *m, const Val *parts);
Val params_part(Frame *f, const ModelParams *m, uint32_t i, Val all);
bool substitute_params(Frame *callee, Loc loc, Instance *self, Value p);
/* The state as the body sees it now: assigned, given by params=, or captured. */
Val state_value(Frame *f, Sym path, Type t, Loc loc);
/* The path of net.block[3].w, or NULL where the expression does not begin with a model or layer. */
Sym place_path(Frame *f, const Expr *e);
/* e as a parameter, buffer or layer by its path; false where it is no such path. */
bool lower_place(Frame *f, const Expr *e, Value *out);
/* Once a body is lowered: the vector was as long as there are parameters. */
bool check_substitution(Frame *callee);
Value near_params(Frame *f, const Expr *e, Sym name, const Want *want);

/* ---- lower_deriv.c ---- */
bool is_operator(Sym name);
/* A call of the function value fn. */
Value call_function(Frame *f, Loc loc, const FnInst *fn, CallArg *args, uint32_t n);
Value lower_operator(Frame *f, const Expr *call);

/* ---- lower_inst.c ---- */
/* The formal that the i-th argument goes to. */
const Bind *formal_of(const Item *item, const CallArg *args, uint32_t i);
/* Appends what identifies a value as an argument. */
void value_key(Frame *f, Value v, Text *t);
/* The arguments of a call of inst: captures of this root, then the formals. */
Val *call_values(Frame *f, const FnInst *inst, const Value *bound, uint32_t *n);
Value results_value(Frame *f, const Val *vals, const Dim *const *dims, uint32_t n);
/* Adds fn to the program under a name made of base, or drops it for the equal one of that key. */
FnInst *keep_instance(Front *fr, Sym key, FnInst *inst, Fn *fn, Sym base);
/* The IR function of item for these arguments. */
FnInst *instantiate(Frame *f, Loc loc, const Item *item, Instance *self, const Args *settings,
                    CallArg *args, uint32_t n, const Want *want, Value *bound);
/* The same for the function of a derivative operator: one with a rule is differentiated by it. */
FnInst *instantiate_operand(Frame *f, Loc loc, const Item *item, Instance *self,
                            const Args *settings, CallArg *args, uint32_t n, Value *bound);
bool item_has_rule(Front *fr, const Item *item);
Value call_ruled(Frame *f, Loc loc, const Item *item, const Args *settings, CallArg *args,
                 uint32_t n, const Want *want);
/* Runs emit with a new root whose captures come first; see lower_deriv.c. */
Root *root_new(Front *fr, Sym name);
Fn *root_done(Front *fr, Root *r);

/* Parameters in this order, those that are not listed dropped; then what is live. */
void order_params(Front *fr, Fn *fn, const Val *params, uint32_t n);

/* What the results of fn need. */
bool *live_values_of(Cx *cx, const Fn *fn);

/* ---- lower_outline.c ---- */
/* The call of item in f gave the instructions from `from` to the last one. */
void note_call(Frame *f, const Item *item, Instance *self, Loc loc, const Frame *callee, Val from);
/* Makes functions of the calls that repeat; false if there are none. Else map gets for each value
 * of fn its new place, NoVal where it is gone; it may be NULL. */
bool outline_calls(Front *fr, Fn *fn, const Sites *sites, Val *map);
/* The name of captured state as that of a formal: undotted, unused in fn. prefix: of its path, not
 * wanted, or NULL. */
Sym formal_name_of(Front *fr, const Fn *fn, Sym name, Sym prefix);

/* ---- lower_region.c, lower_loop.c, lower_branch.c ---- */
Val body_key(Body *b);
/* Whether the assignment of a module's buffer counts here; reports one in a loop. */
bool assigns_buffer(Frame *f, const Binding *b, Loc loc);
/* Reports the assignment of a name from outside of a loop. */
bool assigns_outer(Frame *f, const Binding *b, Loc loc);
void lower_scan(Frame *f, const Stmt *st);
void lower_while(Frame *f, const Stmt *st);
void lower_emit(Frame *f, const Stmt *st);
/* `if` on a run-time condition c. */
void lower_branches(Frame *f, const Stmt *st, Value c);

/* ---- lower_ir.c ---- */
void lower_ir_text(Front *fr);
/* Reads the functions that a rule of IR text calls once more where they were dropped, as nothing
 * else called them. */
void read_callees_again(Front *fr, const Item *item);

/* ---- lower_rule.c ---- */
Fn *front_rule(Program *p, RuleKind kind, Sym name, const Ins *site, const Type *args,
               const Type *results, uint32_t nresults);

/* ---- check_items.c ---- */
void check_items(Front *fr);
bool is_rule(const Item *item); /* backward or forward */

/* ---- lower_global.c: each reports what is wrong ---- */
/* -DNAME=VALUE replaces the value of a const. */
void apply_defines(Front *fr);
/* Adds the item to the program's constants, or hyperparameters. */
void lower_const(Front *fr, const Item *item);
void lower_hyper(Front *fr, const Item *item);

/* ---- lower_data.c ---- */
Dataset *lower_dataset(Front *fr, const Item *item);
Dataset *find_dataset(Front *fr, Sym name);
bool is_rows_setting(Sym name); /* of rows(...), rather than an argument of a function of a row */

/* ---- lower_rows.c ---- */
/* The function that makes one row, and the fields: those of the body, or results of fn. */
bool lower_rows(Front *fr, Dataset *d, const Item *item, const Item *fn);

/* ---- lower_field.c ---- */
/* Name and type of a field, checked. */
bool field_declare(Front *fr, Dataset *d, const Stmt *st, Want *want, Field *out);
/* A field that the trainer computes from a row of the source. */
bool lower_field(Front *fr, Dataset *d, const Stmt *st);
/* digits.x(raw): the field's transform applied to a tensor. */
Value lower_transform(Frame *f, const Expr *e, Dataset *d, Sym field);

/* ---- lower_train.c ---- */
void lower_train(Front *fr, const Item *item);

/* ---- lower_optim.c ---- */
typedef struct Update {
    Sym path;
    Value p, g, result;
} Update;
/* What an optimizer's update is part of. */
typedef struct UpdateSite {
    Sym tag; /* of the state of update_all: the stage, with a number behind it if needed */
    void (*set_state)(void *data, Sym path, Val v);
    /* The loss of the batch as a function of the n parameters as one vector; NULL after a
     * report. */
    const FnInst *(*loss)(void *data, Loc loc, const Update *u, uint32_t n);
    void *data;
} UpdateSite;
/* Applies the optimizer expression to every parameter. */
bool lower_optimizer(Frame *f, const Expr *e, Update *updates, uint32_t n, const UpdateSite *site);

#endif
