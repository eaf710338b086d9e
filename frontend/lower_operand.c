/* What a derivative operator differentiates where it is no fn: functions that are made here, with
 * parameters of their own, and function values. */
#include "frontend/lower_deriv.h"

#include <stdlib.h>

OwnFn own_fn(Frame *f, Sym name, uint32_t n) {
    Root *root = root_new(f->fr, name);
    FnInst *inst = NEW(f->fr->cx->arena, FnInst);
    Sym *formals = NEW_ARRAY(f->fr->cx->arena, Sym, n);
    inst->formals = formals;
    return (OwnFn){.frame = {.fr = f->fr,
                             .root = root,
                             .b = root->b,
                             .caller = f,
                             .real = f->real,
                             .scope = f->scope,
                             .training = f->training,
                             .batch = f->batch,
                             .in_std = f->in_std},
                   .inst = inst,
                   .formals = formals};
}

bool own_formal(Frame *f, OwnFn *own, Sym name, int dt, CallArg *arg, Value *bound) {
    arg->value = v_materialise(f, arg->loc, arg->value, dt, NULL);
    if (arg->value.kind != VTensor) return false;
    own->param = arg->value;
    own->param.v = b_param(own->frame.b, name, v_type(f, arg->value));
    own->formals[own->inst->nformals] = name;
    bound[own->inst->nformals++] = arg->value;
    return true;
}

FnInst *own_done(Frame *f, OwnFn *own, const Expr *e, const CallArg *args, uint32_t n,
                 const Val *results, Sym base) {
    Front *fr = f->fr;
    Root *root = own->frame.root;
    FnInst *inst = own->inst;
    for (uint32_t i = 0; i < inst->nresults; i++) b_result(root->b, results[i]);
    Fn *fn = root_done(fr, root);
    fn->loc = e->loc;
    inst->ncaptures = root->captures.len;
    Sym *captures = NEW_ARRAY(fr->cx->arena, Sym, inst->ncaptures);
    for (uint32_t i = 0; i < inst->ncaptures; i++) captures[i] = fn->ins.data[i].name;
    inst->captures = captures;
    Text key = {0};
    ast_print_expr(e, &key);
    for (uint32_t i = 0; i < n; i++) {
        if (args[i].name) text_add(&key, " %s", args[i].name);
        value_key(f, args[i].value, &key);
    }
    text_add(&key, " %s %d %d", base, f->training, fr->bf16);
    Sym k = sym_n(fr->cx, key.data, key.len);
    free(key.data);
    return keep_instance(fr, k, inst, fn, base);
}

bool is_operation(Frame *f, const Expr *e) {
    return e->kind == ExName && !find_binding(f, e->name) &&
           !find_item(f->fr, e->name, f->in_std, -1) && is_builtin(e->name);
}

/* The name of operand i, as the operation's rules have it. */
static Sym operand_name(Cx *cx, Sym name, uint32_t i, uint32_t n) {
    Op op = op_by_name(name);
    bool listed = op != OpCount && op_info[op].nargs == (int)n;
    return listed ? sym(cx, op_info[op].operands[i]) : i ? sym_fmt(cx, "a%u", i) : sym(cx, "x");
}

FnInst *operation_fn(Frame *f, const Expr *e, CallArg *args, uint32_t n, Value *bound) {
    Cx *cx = f->fr->cx;
    OwnFn own = own_fn(f, e->name, n);
    uint32_t positional = 0, at = 0;
    int dt = -1; /* of literals: the first tensor's */
    for (uint32_t i = 0; i < n; i++) {
        positional += !args[i].name;
        if (dt < 0 && args[i].value.kind == VTensor) dt = (int)v_type(f, args[i].value).dt;
    }
    Expr call = {.kind = ExCall, .loc = e->loc, .x = NEW(cx->arena, Expr)};
    *call.x = *e;
    scope_push(&own.frame);
    for (uint32_t i = 0; i < n; i++) {
        Sym name = args[i].name;
        Value v = args[i].value;
        if (!name) {
            name = operand_name(cx, e->name, at++, positional);
            if (!own_formal(f, &own, name, dt, &args[i], bound)) return NULL;
            v = own.param;
        }
        bind_name(&own.frame, name, args[i].loc, v, false);
        find_binding(&own.frame, name)->used = true;
        Expr *use = NEW(cx->arena, Expr);
        *use = (Expr){.kind = ExName, .loc = args[i].loc, .name = name};
        vec_push(cx->arena, &call.args, (Arg){args[i].name, args[i].loc, use});
    }
    Value v = lower_builtin(&own.frame, &call, e->name, NULL);
    scope_pop(&own.frame);
    if (v.kind != VTensor) {
        if (v.kind != VError)
            diag_error(cx, e->loc,
                       "a derivative operator needs a function with tensors as "
                       "results, '%s' gives %s",
                       e->name, v_describe(f, v));
        return NULL;
    }
    const Dim **dims = NEW_ARRAY(cx->arena, const Dim *, 1);
    dims[0] = v.dims;
    own.inst->title = e->name;
    own.inst->nresults = 1;
    own.inst->result_dims = dims;
    return own_done(f, &own, e, args, n, &v.v, sym_fmt(cx, "%s_of", e->name));
}

bool function_arguments(Frame *f, Loc loc, const FnInst *fn, const CallArg *args, uint32_t n,
                        Value *bound) {
    if (n != fn->nformals) {
        diag_error(f->fr->cx, loc, "this function takes %u argument%s, not %u", fn->nformals,
                   fn->nformals == 1 ? "" : "s", n);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        Type t = fn->fn->ins.data[fn->ncaptures + i].type;
        Want want = {t.dt, t.range, t.shape->rank, dims_computed(f->fr, t.shape)};
        bound[i] = v_coerce(f, args[i].loc, args[i].value, &want,
                            arena_printf(f->fr->cx->arena, "argument '%s'", fn->formals[i]));
        if (bound[i].kind != VTensor) return false;
    }
    return true;
}

Value call_function(Frame *f, Loc loc, const FnInst *fn, CallArg *args, uint32_t n) {
    Arena *a = f->fr->cx->arena;
    Value *bound = NEW_ARRAY(a, Value, n);
    if (!function_arguments(f, loc, fn, args, n, bound)) return v_error();
    uint32_t count;
    Val *vals = call_values(f, fn, bound, &count);
    Val *results = NEW_ARRAY(a, Val, fn->nresults);
    const Dim **dims = NEW_ARRAY(a, const Dim *, fn->nresults);
    b_at(f->b, loc, NULL);
    b_call(f->b, fn->fn, vals, count, results);
    return results_value(f, results, dims, fn->nresults);
}
