/* Derivative operators of source: which function, with respect to what, as one instruction. */
#include "frontend/lower_deriv.h"

#include <stdlib.h>

static const struct {
    const char *name;
    Op op;
    bool has_results;  /* the results of f come first */
    bool per_wrt;      /* one more result per wrt */
    bool has_tangents; /* one more per float result */
    bool dense;        /* a row of the result is op along a basis vector */
} operators[] = {
    {"grad", Op_grad, .per_wrt = true},
    {"value_and_grad", Op_value_and_grad, .has_results = true, .per_wrt = true},
    {"vjp", Op_vjp, .per_wrt = true},
    {"jvp", Op_jvp, .has_results = true, .has_tangents = true},
    {"hvp", Op_hvp, .per_wrt = true},
    {"jacobian", Op_vjp, .per_wrt = true, .dense = true},
    {"hessian", Op_hvp, .per_wrt = true, .dense = true},
    {"checkpoint", Op_checkpoint, .has_results = true},
};

int operator_index(Sym name) {
    for (size_t i = 0; i < LEN(operators); i++) {
        if (!strcmp(operators[i].name, name)) return (int)i;
    }
    return -1;
}

bool is_operator(Sym name) {
    return operator_index(name) >= 0;
}

typedef struct OpUse { /* op[f, wrt=...] */
    int index;
    const Expr *fn;
    const Expr *wrt;
} OpUse;

static bool operator_use(Frame *f, const Expr *head, OpUse *u) {
    Cx *cx = f->fr->cx;
    *u = (OpUse){.index = operator_index(head->x->name)};
    for (uint32_t i = 0; i < head->args.len; i++) {
        const Arg *a = &head->args.data[i];
        if (!a->name && !u->fn)
            u->fn = a->value;
        else if (a->name && !strcmp(a->name, "wrt"))
            u->wrt = a->value;
        else {
            diag_error(cx, a->loc, "%s takes a function and wrt=", head->x->name);
            return false;
        }
    }
    if (!u->fn) {
        diag_error(cx, head->loc, "%s needs a function: %s[f](...)", head->x->name, head->x->name);
        return false;
    }
    if (operators[u->index].op != Op_checkpoint || !u->wrt) return true;
    diag_error(cx, u->wrt->loc, "checkpoint takes no wrt=");
    return false;
}

static const Type *fn_result(const Fn *fn, uint32_t i) {
    return &fn->ins.data[fn->results.data[i]].type;
}

static bool scalar_result(Frame *f, const FnInst *inst, int op, Loc loc) {
    const Type *t = fn_result(inst->fn, 0);
    if (op == Op_vjp || op == Op_jvp || op == Op_checkpoint) return true;
    if (!t->shape->rank && dtype_is_float(t->dt)) return true;
    diag_error(f->fr->cx, loc, "%s needs a function with a scalar float result; '%s' gives %s",
               op_info[op].name, inst_title(inst),
               type_text(f->fr->cx, *t));
    return false;
}

static FnInst *resolve_fn(Frame *f, Loc loc, const Expr *e, CallArg *args, uint32_t n,
                          Value *bound);

static Value coerced(Frame *f, CallArg from, Type t, const char *what) {
    Want w = {t.dt, 0, t.shape->rank, dims_computed(f->fr, t.shape)};
    return v_coerce(f, from.loc, from.value, &w, what);
}

/* Cotangents, one per float result. */
static bool cotangents(Frame *f, const FnInst *inst, const CallArg *from, Val *out) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < inst->fn->results.len; i++) {
        if (!dtype_is_float(fn_result(inst->fn, i)->dt)) continue;
        Value v = coerced(f, from[n], *fn_result(inst->fn, i), "the cotangent");
        if (v.kind == VError) return false;
        out[n++] = v.v;
    }
    return true;
}

bool tangents(Frame *f, const FnInst *inst, const Wrt *w, const CallArg *from, Val *out) {
    for (uint32_t k = 0; k < w->groups.len; k++) {
        const Group *g = &w->groups.data[k];
        Type t = inst->fn->ins.data[w->index.data[g->first]].type;
        if (g->model) t.shape = shape_of(f->fr->cx, &g->all.size, 1);
        Value v = coerced(f, from[k], t, "the tangent");
        if (v.kind == VError) return false;
        if (!g->model) out[g->first] = v.v;
        for (uint32_t i = 0; g->model && i < g->all.parts.len; i++) {
            if (g->at[i] != NoVal) out[g->at[i]] = params_part(f, &g->all, i, v.v);
        }
    }
    return true;
}

/* What an operator takes after the arguments of its function; *got values. */
static bool check_extras(Frame *f, const FnInst *inst, Op op, const Wrt *w, const CallArg *from,
                         uint32_t n, Loc loc, Val *out, uint32_t *got) {
    uint32_t floats = 0, want = op == Op_jvp || op == Op_hvp ? w->groups.len : 0;
    for (uint32_t i = 0; i < inst->fn->results.len; i++) {
        floats += dtype_is_float(fn_result(inst->fn, i)->dt);
    }
    if (op == Op_vjp) want = floats;
    if (n != want) {
        diag_error(f->fr->cx, loc,
                   "%s needs %u more argument%s after those of the function, this has %u",
                   op_info[op].name, want, want == 1 ? "" : "s", n);
        return false;
    }
    *got = op == Op_vjp ? floats : want ? w->index.len : 0;
    if (!want) return true;
    return op == Op_vjp ? cotangents(f, inst, from, out) : tangents(f, inst, w, from, out);
}

Emitted emit_operator(Frame *f, Loc loc, int which, const FnInst *inst, Val *vals,
                             uint32_t n, const Wrt *w) {
    Cx *cx = f->fr->cx;
    const Fn *fn = inst->fn;
    uint32_t max = fn->results.len * 2 + w->index.len;
    Type *types = NEW_ARRAY(cx->arena, Type, max);
    Emitted out = {NEW_ARRAY(cx->arena, Val, max), NEW_ARRAY(cx->arena, const Dim *, max), 0};
    for (uint32_t i = 0; operators[which].has_results && i < fn->results.len; i++) {
        out.dims[out.n] = inst->result_dims ? inst->result_dims[i] : NULL;
        types[out.n++] = *fn_result(fn, i);
    }
    for (uint32_t i = 0; operators[which].per_wrt && i < w->index.len; i++) {
        types[out.n++] = fn->ins.data[w->index.data[i]].type;
    }
    for (uint32_t i = 0; operators[which].has_tangents && i < fn->results.len; i++) {
        if (dtype_is_float(fn_result(fn, i)->dt)) types[out.n++] = *fn_result(fn, i);
    }
    Attr attrs[2] = {attr_fn(fn->name), attr_names(cx, w->names.data, w->names.len)};
    b_at(f->b, loc, NULL);
    b_multi(f->b, operators[which].op, vals, n, attrs, types, out.n, out.vals);
    return out;
}

void join_groups(Frame *f, const FnInst *inst, const Wrt *w, const Value *bound,
                        uint32_t first, Emitted *out) {
    const Val *each = out->vals + first;
    Emitted r = {NEW_ARRAY(f->fr->cx->arena, Val, first + w->groups.len),
                 NEW_ARRAY(f->fr->cx->arena, const Dim *, first + w->groups.len), first};
    copy_bytes(r.vals, out->vals, first * sizeof *r.vals);
    copy_bytes(r.dims, out->dims, first * sizeof *r.dims);
    for (uint32_t k = 0; k < w->groups.len; k++) {
        const Group *g = &w->groups.data[k];
        uint32_t param = w->index.data[g->first];
        r.vals[r.n] = each[g->first];
        if (!g->model && param >= inst->ncaptures)
            r.dims[r.n] = bound[param - inst->ncaptures].dims;
        if (g->model) {
            Val *parts = NEW_ARRAY(f->fr->cx->arena, Val, g->all.parts.len);
            for (uint32_t i = 0; i < g->all.parts.len; i++) {
                parts[i] = g->at[i] == NoVal ? NoVal : each[g->at[i]];
            }
            Value v = params_join(f, &g->all, parts);
            r.vals[r.n] = v.v;
            r.dims[r.n] = v.dims;
        }
        r.n++;
    }
    *out = r;
}

static bool is_operator_use(const Expr *e) {
    return e->kind == ExIndex && e->x->kind == ExName && is_operator(e->x->name);
}

/* The fn, or the module of the model or layer, that e names; NULL after a report, or where it is a
 * function value. */
static const Item *item_of(Frame *f, const Expr *e, const FnInst **fn) {
    const Expr *name = e->kind == ExIndex ? e->x : e;
    *fn = NULL;
    if (name->kind == ExName && !find_binding(f, name->name)) {
        Global *g = find_item(f->fr, name->name, f->in_std, -1);
        if (g) return g->item;
    }
    if (is_operation(f, e)) return NULL;
    Value v = lower_expr(f, e, NULL);
    if (v.kind == VInstance) return v.inst->module;
    if (v.kind == VFunction) *fn = v.fn;
    else if (v.kind != VError)
        diag_error(f->fr->cx, e->loc, "a derivative operator needs a fn, a model or a layer");
    return NULL;
}

/* How many arguments an operator takes after those of a function with one result. */
static int extras_of(const OpUse *u) {
    Op op = operators[u->index].op;
    if (operators[u->index].dense) return 0;
    if (op == Op_jvp || op == Op_hvp)
        return u->wrt && u->wrt->kind == ExTuple ? (int)u->wrt->elems.len : 1;
    return op == Op_vjp;
}

/* How many positional arguments the function of an operator takes; an operation: all n. */
static int positional_of(Frame *f, const Expr *e, int n) {
    if (is_operator_use(e)) {
        OpUse u;
        if (!operator_use(f, e, &u)) return -1;
        int inner = positional_of(f, u.fn, n - extras_of(&u));
        return inner < 0 ? inner : inner + extras_of(&u);
    }
    if (is_operation(f, e)) return n < 0 ? 0 : n;
    const FnInst *fn;
    const Item *item = item_of(f, e, &fn);
    if (!item) return fn ? (int)fn->nformals : -1;
    int formals = 0;
    for (uint32_t i = 0; i < item->formals.len; i++) formals += !item->formals.data[i].init;
    return formals;
}

/* Splits arguments into those of the function and the extra ones of the operator. */
static uint32_t split_extras(CallArg *args, uint32_t n, int positional, CallArg *inner,
                             CallArg *extra, uint32_t *ninner) {
    uint32_t nextra = 0;
    int seen = 0;
    *ninner = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!args[i].name && seen++ >= positional)
            extra[nextra++] = args[i];
        else
            inner[(*ninner)++] = args[i];
    }
    return nextra;
}

static bool no_extras(Frame *f, Loc loc, const OpUse *u, uint32_t n) {
    if (!n) return true;
    diag_error(f->fr->cx, loc, "%s takes the arguments of the function only",
               operators[u->index].name);
    return false;
}

/* One use of an operator on evaluated arguments, its instruction emitted in f. */
static bool apply_operator(Frame *f, Loc loc, const OpUse *u, CallArg *args, uint32_t n,
                           Emitted *out, FnInst **inner_out, Value **bound_out) {
    Cx *cx = f->fr->cx;
    int given = 0;
    for (uint32_t i = 0; i < n; i++) given += !args[i].name;
    int positional = positional_of(f, u->fn, given - extras_of(u));
    if (positional < 0) return false;
    CallArg *inner = NEW_ARRAY(cx->arena, CallArg, n), *more = NEW_ARRAY(cx->arena, CallArg, n);
    uint32_t ninner, nmore = split_extras(args, n, positional, inner, more, &ninner);
    Value *bound = NEW_ARRAY(cx->arena, Value, n + 1);
    FnInst *inst = resolve_fn(f, loc, u->fn, inner, ninner, bound);
    if (!inst) return false;
    Wrt w = {0};
    uint32_t nargs, ngot;
    Op op = operators[u->index].op;
    Val *got = NEW_ARRAY(cx->arena, Val, inst->fn->nparams + inst->fn->results.len);
    if (op != Op_checkpoint && !resolve_wrt(f, inst, u->wrt, loc, &w)) return false;
    if (!scalar_result(f, inst, op, loc)) return false;
    Val *vals = call_values(f, inst, bound, &nargs);
    *inner_out = inst;
    *bound_out = bound;
    if (operators[u->index].dense) {
        return no_extras(f, loc, u, nmore) &&
               emit_dense(f, loc, u->index, inst, vals, nargs, &w, out);
    }
    if (!check_extras(f, inst, op, &w, more, nmore, loc, got, &ngot)) return false;
    Val *all = NEW_ARRAY(cx->arena, Val, nargs + ngot);
    copy_bytes(all, vals, nargs * sizeof *all);
    for (uint32_t i = 0; i < ngot; i++) all[nargs + i] = got[i];
    *out = emit_operator(f, loc, u->index, inst, all, nargs + ngot, &w);
    uint32_t first = operators[u->index].has_results ? inst->fn->results.len : 0;
    if (operators[u->index].per_wrt) join_groups(f, inst, &w, bound, first, out);
    return true;
}

/* An operator as a function: op[f, wrt] with parameters of its own. */
static FnInst *operator_fn(Frame *f, const Expr *e, CallArg *args, uint32_t n, Value *bound) {
    Cx *cx = f->fr->cx;
    OpUse u;
    if (!operator_use(f, e, &u)) return NULL;
    OwnFn own = own_fn(f, e->x->name, n);
    CallArg *inner = NEW_ARRAY(cx->arena, CallArg, n);
    const Expr *base = u.fn;
    while (is_operator_use(base)) base = base->args.data[0].value;
    const FnInst *value;
    const Item *item = item_of(f, base, &value);
    int dt = -1; /* of a literal: its formal's; a tangent's or cotangent's is the one before */
    for (uint32_t i = 0; i < n; i++) {
        const Bind *b = item ? formal_of(item, args, i) : NULL;
        if (b && b->type && !b->type->tuple) dt = (int)type_name_dtype(f, b->type->name);
        inner[i] = args[i];
        if (!item && args[i].name && is_operation(f, base)) continue;
        if (!own_formal(f, &own, b ? b->name : sym_fmt(cx, "a%u", i), dt, &args[i], bound))
            return NULL;
        inner[i].value = own.param;
    }
    Emitted out;
    FnInst *callee;
    Value *inner_bound;
    if (!apply_operator(&own.frame, e->loc, &u, inner, n, &out, &callee, &inner_bound)) return NULL;
    own.inst->nresults = out.n;
    own.inst->result_dims = out.dims;
    Sym base_name = sym_fmt(cx, "%s_%s", callee->fn->name, e->x->name);
    return own_done(f, &own, e, args, n, out.vals, base_name);
}

static FnInst *resolve_fn(Frame *f, Loc loc, const Expr *e, CallArg *args, uint32_t n,
                          Value *bound) {
    if (is_operator_use(e)) {
        return operator_fn(f, e, args, n, bound);
    }
    const Expr *name = e->kind == ExIndex ? e->x : e;
    const Args *settings = e->kind == ExIndex ? &e->args : NULL;
    if (name->kind == ExName && !find_binding(f, name->name)) {
        Global *g = find_item(f->fr, name->name, f->in_std, -1);
        if (g) return instantiate_operand(f, loc, g->item, NULL, settings, args, n, bound);
    }
    if (is_operation(f, e)) return operation_fn(f, e, args, n, bound);
    Value v = lower_expr(f, e, NULL);
    if (v.kind == VFunction) {
        FnInst *inst = NEW(f->fr->cx->arena, FnInst);
        *inst = *v.fn;
        return function_arguments(f, loc, inst, args, n, bound) ? inst : NULL;
    }
    if (v.kind != VInstance) return NULL;
    return instantiate_operand(f, loc, v.inst->module, v.inst, NULL, args, n, bound);
}

Value lower_operator(Frame *f, const Expr *call) {
    Cx *cx = f->fr->cx;
    OpUse u;
    if (!operator_use(f, call->x, &u)) return v_error();
    CallArg *args = NEW_ARRAY(cx->arena, CallArg, call->args.len);
    for (uint32_t i = 0; i < call->args.len; i++) {
        const Arg *a = &call->args.data[i];
        args[i] = (CallArg){a->name, a->value->loc, lower_expr(f, a->value, NULL)};
        if (args[i].value.kind == VError) return v_error();
    }
    Emitted out;
    FnInst *inst;
    Value *bound;
    if (!apply_operator(f, call->loc, &u, args, call->args.len, &out, &inst, &bound))
        return v_error();
    return results_value(f, out.vals, out.dims, out.n);
}
