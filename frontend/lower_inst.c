/* IR functions of source functions, for operators and for calls of functions with rules. */
#include "frontend/lower.h"

#include <stdlib.h>

/* ---- roots: a function under construction; captures come first in the end ---- */

Root *root_new(Front *fr, Sym name) {
    Root *r = NEW(fr->cx->arena, Root);
    r->b = builder_new(fr->p, name, false);
    return r;
}

/* State by its index, data statistics, hypers, train.*, then formals in their order. */
static int64_t param_rank(const Front *fr, Sym name, uint32_t at) {
    int64_t state = state_index(fr, name), big = INT64_C(1) << 32;
    if (state >= 0) return state;
    for (uint32_t i = 0; i < fr->params_known.len; i++) { /* known, but made later */
        if (fr->params_known.data[i].path == name) return big / 2 + i;
    }
    ArgClass cls = arg_class(name);
    int64_t group = cls == ArgData ? 1 : cls == ArgHyper ? 2 : cls == ArgTrain ? 3 : 4;
    return big * group + at;
}

/* What results need; an instruction with several results lives with all its gets. */
bool *live_values_of(Cx *cx, const Fn *fn) {
    bool *live = NEW_ARRAY(cx->arena, bool, fn->ins.len);
    for (uint32_t i = 0; i < fn->results.len; i++) live[fn->results.data[i]] = true;
    for (Val v = fn->ins.len; v-- > 0;) {
        const Ins *ins = &fn->ins.data[v];
        if (!live[v]) continue;
        for (uint32_t k = 0; k < ins->nargs; k++) live[ins->args[k]] = true;
    }
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        if (ins->op == Op_get && live[ins->args[0]]) live[v] = true;
    }
    return live;
}

void order_params(Front *fr, Fn *fn, const Val *params, uint32_t nparams) {
    Cx *cx = fr->cx;
    uint32_t at = nparams;
    const bool *live = live_values_of(cx, fn);
    Val *order = NEW_ARRAY(cx->arena, Val, fn->ins.len + nparams);
    Val *map = NEW_ARRAY(cx->arena, Val, fn->ins.len);
    for (uint32_t i = 0; i < nparams; i++) order[i] = params[i];
    for (Val v = 0; v < fn->ins.len; v++) {
        if (fn->ins.data[v].op != Op_param && live[v]) order[at++] = v;
    }
    Ins *ins = NEW_ARRAY(cx->arena, Ins, at);
    for (uint32_t i = 0; i < at; i++) map[order[i]] = i;
    for (uint32_t i = 0; i < at; i++) {
        ins[i] = fn->ins.data[order[i]];
        Val *args = NEW_ARRAY(cx->arena, Val, ins[i].nargs);
        for (uint32_t k = 0; k < ins[i].nargs; k++) args[k] = map[ins[i].args[k]];
        ins[i].args = args;
    }
    fn->ins.data = ins;
    fn->ins.len = fn->ins.cap = at;
    fn->nparams = nparams;
    for (uint32_t i = 0; i < fn->results.len; i++) fn->results.data[i] = map[fn->results.data[i]];
}

/* All parameters, ordered by what they are. */
static void hoist_params(Front *fr, Fn *fn) {
    uint32_t n = 0;
    Val *order = NEW_ARRAY(fr->cx->arena, Val, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) {
        if (fn->ins.data[v].op == Op_param) order[n++] = v;
    }
    for (uint32_t i = 1; i < n; i++) { /* stable insertion sort */
        Val v = order[i];
        int64_t rank = param_rank(fr, fn->ins.data[v].name, v);
        uint32_t k = i;
        for (; k && param_rank(fr, fn->ins.data[order[k - 1]].name, order[k - 1]) > rank; k--) {
            order[k] = order[k - 1];
        }
        order[k] = v;
    }
    order_params(fr, fn, order, n);
}

Fn *root_done(Front *fr, Root *r) {
    Fn *fn = builder_done(r->b);
    outline_calls(fr, fn, &r->sites, NULL);
    hoist_params(fr, fn);
    return fn;
}

/* ---- instances of functions ---- */

void value_key(Frame *f, Value v, Text *t) {
    char buf[40];
    switch (v.kind) {
    case VTensor:
        text_add(t, "%s", type_text(f->fr->cx, v_type(f, v)));
        break;
    case VInt:
    case VBool:
        text_add(t, "%lld", (long long)v.i);
        break;
    case VFloat:
        print_f64(buf, v.f);
        text_add(t, "%s", buf);
        break;
    case VStr:
        text_add(t, "\"%s\"", v.s);
        break;
    case VList:
    case VTuple:
        for (uint32_t i = 0; i < v.n; i++) {
            text_add(t, i ? "," : "(");
            value_key(f, v.elems[i], t);
        }
        text_add(t, ")");
        break;
    case VInstance:
        text_add(t, "@%s", v.inst->path);
        break;
    case VError:
    case VLayers:
    case VDataset:
    case VFunction:
        break;
    }
}

/* Everything that the body of an instance depends on. */
static Sym instance_key(Frame *f, const Item *item, const Instance *self, const CallArg *args,
                        uint32_t n) {
    Text t = {0};
    text_add(&t, "%p %d %d %d", (const void *)item, f->training, (int)f->real, f->fr->bf16);
    if (self) text_add(&t, " @%s", self->path ? self->path : "");
    for (uint32_t i = 0; self && i < self->settings.len; i++) {
        text_add(&t, " [%s=", self->settings.data[i].name);
        value_key(f, self->settings.data[i].value, &t);
    }
    for (uint32_t i = 0; i < n; i++) {
        text_add(&t, " %s:", args[i].name ? args[i].name : "");
        value_key(f, args[i].value, &t);
    }
    Sym key = sym_n(f->fr->cx, t.data, t.len);
    free(t.data);
    return key;
}

/* The formal that the i-th argument goes to. */
const Bind *formal_of(const Item *item, const CallArg *args, uint32_t i) {
    uint32_t position = 0;
    if (args[i].name) {
        for (uint32_t k = 0; k < item->formals.len; k++) {
            if (item->formals.data[k].name == args[i].name) return &item->formals.data[k];
        }
        return NULL;
    }
    for (uint32_t k = 0; k < i; k++) position += !args[k].name;
    for (uint32_t k = 0; k < item->formals.len; k++) {
        if (!item->formals.data[k].init && !position--) return &item->formals.data[k];
    }
    return NULL;
}

static bool is_run_time(const Bind *b) {
    const TypeX *t = b->type;
    return t && !t->tuple && t->name != TnInt && t->name != TnStr &&
           !(t->name == TnBool && b->init);
}

/* Settings evaluated in the caller, with those of the instance. */
static Instance *merged_settings(Frame *f, const Item *item, Instance *self, const Args *settings) {
    if (!settings || !settings->len) return self;
    Instance *all = NEW(f->fr->cx->arena, Instance);
    if (self)
        *all = *self;
    else
        *all = (Instance){.module = item};
    Instance copy = *all;
    all->settings.data = NULL;
    all->settings.len = all->settings.cap = 0;
    for (uint32_t i = 0; i < copy.settings.len; i++) {
        vec_push(f->fr->cx->arena, &all->settings, copy.settings.data[i]);
    }
    for (uint32_t i = 0; i < settings->len; i++) {
        Value v = lower_expr(f, settings->data[i].value, NULL);
        if (v.kind == VError || !settings->data[i].name) return NULL;
        vec_push(f->fr->cx->arena, &all->settings, (struct Setting){settings->data[i].name, v});
    }
    return all;
}

static void inst_results(Frame *f, Root *r, FnInst *inst, Value v) {
    Arena *a = f->fr->cx->arena;
    inst->nresults = v.kind == VTuple ? v.n : 1;
    const Dim **dims = NEW_ARRAY(a, const Dim *, inst->nresults);
    for (uint32_t i = 0; i < inst->nresults; i++) {
        Value e = v.kind == VTuple ? v.elems[i] : v;
        dims[i] = e.dims;
        b_result(r->b, e.v);
    }
    inst->result_dims = dims;
}

static bool same_data(const Ins *a, const Ins *b, bool is_float) {
    if (a->ndata != b->ndata) return false;
    for (uint64_t i = 0; i < a->ndata; i++) {
        bool same = is_float ? !memcmp(&a->data[i].f, &b->data[i].f, sizeof(double))
                             : a->data[i].i == b->data[i].i;
        if (!same) return false;
    }
    return true;
}

static bool same_ins(const Ins *a, const Ins *b) {
    if (a->op != b->op || a->nargs != b->nargs || a->name != b->name) return false;
    if (!a->type.shape != !b->type.shape || (a->type.shape && !type_equal(a->type, b->type)))
        return false;
    for (uint32_t i = 0; i < a->nargs; i++) {
        if (a->args[i] != b->args[i]) return false;
    }
    for (int i = 0; i < op_info[a->op].nattrs; i++) {
        if (!attr_equal(a->attrs[i], b->attrs[i])) return false;
    }
    return same_data(a, b, a->type.shape && dtype_is_float(a->type.dt));
}

/* What differs only in how it came to be, such as by `training`, is one function. */
static Fn *equal_function(Front *fr, const Fn *fn, Loc loc) {
    for (uint32_t k = 0; k < fr->insts.len; k++) {
        Fn *x = fr->insts.data[k].inst->fn;
        bool same = x->loc.file == loc.file && x->loc.line == loc.line && x->loc.col == loc.col &&
                    x->ins.len == fn->ins.len && x->results.len == fn->results.len;
        for (Val v = 0; same && v < fn->ins.len; v++)
            same = same_ins(&x->ins.data[v], &fn->ins.data[v]);
        for (uint32_t i = 0; same && i < fn->results.len; i++)
            same = x->results.data[i] == fn->results.data[i];
        if (same) return x;
    }
    return NULL;
}

FnInst *keep_instance(Front *fr, Sym key, FnInst *inst, Fn *fn, Sym base) {
    for (uint32_t i = 0; i < fr->insts.len; i++) {
        if (fr->insts.data[i].key != key) continue;
        inst->fn = fr->insts.data[i].inst->fn;
        return inst;
    }
    inst->fn = equal_function(fr, fn, fn->loc);
    if (!inst->fn) {
        fn->name = program_fresh(fr->p, base);
        inst->fn = fn;
        program_add(fr->p, fn);
    }
    vec_grow(fr->cx->arena, (void **)&fr->insts.data, &fr->insts.cap, fr->insts.len,
             sizeof *fr->insts.data);
    fr->insts.data[fr->insts.len].key = key;
    fr->insts.data[fr->insts.len++].inst = inst;
    return inst;
}

/* A list fills the type of its formal, if that alone says the shape. */
static Value run_time_argument(Frame *f, const Item *item, const Bind *b, const CallArg *a) {
    Want want;
    Frame here = *f;
    here.item = item;
    here.hdr = header_new(f->fr, item);
    bool fills = a->value.kind == VList && !item->statics.len;
    if (fills && !eval_type(&here, b->type, &want)) return v_error();
    return v_materialise(f, a->loc, a->value, (int)type_name_dtype(f, b->type->name),
                         fills ? &want : NULL);
}

/* ruled: the body is a call of item, which then keeps its rule. bound gets the caller's values of
 * the run-time formals, in order. wrt: these are run-time even where numbers are given. The body is
 * lowered anew each time for the names of its dimensions; an equal function is kept once. */
static FnInst *instance_of(Frame *f, Loc loc, const Item *item, Instance *self, bool ruled,
                           const Args *settings, CallArg *args, uint32_t n, const Want *want,
                           Value *bound) {
    Front *fr = f->fr;
    Cx *cx = fr->cx;
    Instance *all = merged_settings(f, item, self, settings);
    if (settings && settings->len && !all) return NULL;
    FnInst *inst = NEW(cx->arena, FnInst);
    inst->item = item;
    Root *root = root_new(fr, sym_fmt(cx, "%s", item->name));
    Frame top = {.fr = fr,
                 .root = root,
                 .b = root->b,
                 .caller = f,
                 .real = f->real,
                 .training = f->training,
                 .batch = f->batch,
                 .in_std = f->in_std};
    CallArg *inner = NEW_ARRAY(cx->arena, CallArg, n);
    Sym *formals = NEW_ARRAY(cx->arena, Sym, n);
    for (uint32_t i = 0; i < n; i++) {
        const Bind *b = formal_of(item, args, i);
        inner[i] = args[i];
        if (args[i].value.kind == VError) return NULL;
        if (!b) continue;
        if (is_run_time(b) && (!b->init || args[i].value.kind == VTensor)) {
            args[i].value = run_time_argument(f, item, b, &args[i]);
        }
        inner[i] = args[i];
        if (args[i].value.kind == VTuple) {
            diag_error(cx, args[i].loc,
                       "a function with a rule or under an operator takes tensors, not a tuple; "
                       "give '%s' its parts as arguments of their own",
                       item->name);
            return NULL;
        }
        if (args[i].value.kind != VTensor) continue;
        b_at(root->b, b->loc, NULL);
        Val v = b_param(root->b, b->name, v_type(f, args[i].value));
        inner[i].value.v = v;
        formals[inst->nformals] = b->name;
        bound[inst->nformals++] = args[i].value;
    }
    inst->formals = formals;
    Frame *callee = NULL;
    Value v;
    if (ruled) {
        v = call_ruled(&top, loc, item, settings, inner, n, want);
    } else {
        callee = open_call(&top, loc, item, all, NULL, inner, n, want);
        v = callee ? close_call(callee) : v_error();
    }
    if (v.kind == VError) return NULL;
    for (uint32_t i = 0; callee && i < item->formals.len; i++) {
        Sym name = item->formals.data[i].name;
        for (uint32_t k = 0; k < callee->scope->names.len; k++) {
            Binding *b = &callee->scope->names.data[k];
            if (b->name == name && b->value.kind != VTensor) {
                vec_push(cx->arena, &inst->statics, (struct Setting){name, b->value});
            }
        }
    }
    for (uint32_t i = 0, m = v.kind == VTuple ? v.n : 1; i < m; i++) {
        Value *e = v.kind == VTuple ? &v.elems[i] : &v;
        *e = v_materialise(&top, loc, *e, -1, NULL);
        if (e->kind != VTensor) return NULL;
    }
    inst_results(&top, root, inst, v);
    Fn *fn = root_done(fr, root);
    fn->loc = item->name_loc;
    inst->ncaptures = root->captures.len;
    Sym *captures = NEW_ARRAY(cx->arena, Sym, inst->ncaptures);
    for (uint32_t i = 0; i < inst->ncaptures; i++) captures[i] = fn->ins.data[i].name;
    inst->captures = captures;
    Sym key = instance_key(f, item, all, args, n);
    if (ruled) key = sym_fmt(cx, "ruled %s", key);
    return keep_instance(fr, key, inst, fn, item->name);
}

FnInst *instantiate(Frame *f, Loc loc, const Item *item, Instance *self, const Args *settings,
                    CallArg *args, uint32_t n, const Want *want, Value *bound) {
    return instance_of(f, loc, item, self, false, settings, args, n, want, bound);
}

FnInst *instantiate_operand(Frame *f, Loc loc, const Item *item, Instance *self,
                            const Args *settings, CallArg *args, uint32_t n, Value *bound) {
    bool ruled = item->kind == ItFn && item_has_rule(f->fr, item);
    return instance_of(f, loc, item, self, ruled, settings, args, n, NULL, bound);
}

/* The arguments of a call of inst: captures of this root, then the formals. */
Val *call_values(Frame *f, const FnInst *inst, const Value *bound, uint32_t *n) {
    Val *vals = NEW_ARRAY(f->fr->cx->arena, Val, inst->fn->nparams + MaxOperands);
    for (uint32_t i = 0; i < inst->ncaptures; i++) {
        vals[i] = capture(f->root, f->fr, inst->captures[i], inst->fn->ins.data[i].type);
    }
    for (uint32_t i = 0; i < inst->nformals; i++) vals[inst->ncaptures + i] = bound[i].v;
    *n = inst->ncaptures + inst->nformals;
    return vals;
}

Value results_value(Frame *f, const Val *vals, const Dim *const *dims, uint32_t n) {
    Value *elems = NEW_ARRAY(f->fr->cx->arena, Value, n);
    for (uint32_t i = 0; i < n; i++) elems[i] = v_tensor(f, vals[i], dims[i]);
    return n == 1 ? elems[0] : (Value){.kind = VTuple, .n = n, .elems = elems};
}

/* ---- functions with rules ---- */

bool item_has_rule(Front *fr, const Item *item) {
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        const Global *g = &fr->globals.data[i];
        if (g->item->kind != ItBackward && g->item->kind != ItForward) continue;
        if (g->item->name != item->name || g->item->formals.len != item->formals.len) continue;
        if (!g->in_std || item_in_std(fr, item)) return true;
    }
    return false;
}

Value call_ruled(Frame *f, Loc loc, const Item *item, const Args *settings, CallArg *args,
                 uint32_t n, const Want *want) {
    Front *fr = f->fr;
    Value *bound = NEW_ARRAY(fr->cx->arena, Value, n);
    FnInst *inst = instantiate(f, loc, item, NULL, settings, args, n, want, bound);
    if (!inst) return v_error();
    bool known = false;
    for (uint32_t i = 0; i < fr->ruled.len; i++) known |= fr->ruled.data[i]->fn == inst->fn;
    if (!known) vec_push(fr->cx->arena, &fr->ruled, inst);
    uint32_t nargs;
    Val *vals = call_values(f, inst, bound, &nargs);
    Val *results = NEW_ARRAY(fr->cx->arena, Val, inst->nresults);
    b_at(f->b, loc, NULL);
    b_call(f->b, inst->fn, vals, nargs, results);
    return results_value(f, results, inst->result_dims, inst->nresults);
}
