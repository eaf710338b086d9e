/* Calls: which definition is meant, binding of arguments, the body in place. */
#include "frontend/lower.h"

/* ---- definitions ---- */

static uint32_t required(const Item *item) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < item->formals.len; i++) n += !item->formals.data[i].init;
    return n;
}

Global *find_global(Front *fr, Sym name, ItemKind kind, bool from_std) {
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        Global *g = &fr->globals.data[i];
        if (g->item->name == name && g->item->kind == kind && (!from_std || g->in_std)) return g;
    }
    return NULL;
}

/* The fn of that name with that number of arguments without default (-1: any). */
Global *find_item(Front *fr, Sym name, bool from_std, int positional) {
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        Global *g = &fr->globals.data[i];
        if (g->item->kind != ItFn || g->item->name != name || (from_std && !g->in_std)) continue;
        if (positional < 0 || required(g->item) == (uint32_t)positional) return g;
    }
    return NULL;
}

/* ---- arguments ---- */

static int formal_index(const Item *item, Sym name) {
    for (uint32_t i = 0; i < item->formals.len; i++) {
        if (item->formals.data[i].name == name) return (int)i;
    }
    return -1;
}

/* The fn of that name whose arguments without default are those of the call. */
static Global *find_called(Front *fr, Sym name, bool from_std, const Args *args) {
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        Global *g = &fr->globals.data[i];
        if (g->item->kind != ItFn || g->item->name != name || (from_std && !g->in_std)) continue;
        uint32_t given = 0;
        bool known = true;
        for (uint32_t k = 0; k < args->len; k++) {
            int at = args->data[k].name ? formal_index(g->item, args->data[k].name) : 0;
            known &= at >= 0;
            given += !args->data[k].name || (at >= 0 && !g->item->formals.data[at].init);
        }
        if (known && given == required(g->item)) return g;
    }
    return NULL;
}

static bool wrong_argument(Frame *f, const CallArg *a, const Item *item) {
    Cx *cx = f->fr->cx;
    if (!a->name) {
        bool named = required(item) < item->formals.len;
        diag_error(cx, a->loc, "too many arguments for '%s'; it takes %u by position%s", item->name,
                   required(item), named ? ", those with a default by name" : "");
    } else {
        VEC(const char *) names = {0};
        for (uint32_t i = 0; i < item->formals.len; i++) {
            vec_push(cx->arena, &names, item->formals.data[i].name);
        }
        diag_unknown(cx, a->loc, a->name, names.data, names.len, "'%s' has no argument '%s'",
                     item->name, a->name);
    }
    diag_note(cx, item->name_loc, "declared here");
    return false;
}

/* by[i]: the argument for formal i, or NULL. */
static bool assign_arguments(Frame *f, Loc loc, const Item *item, CallArg *args, uint32_t n,
                             CallArg **by) {
    uint32_t next = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (args[i].value.kind == VError) return false;
        int at = -1;
        if (args[i].name) {
            at = formal_index(item, args[i].name);
        } else {
            while (next < item->formals.len && item->formals.data[next].init) next++;
            if (next < item->formals.len) at = (int)next++;
        }
        if (at < 0) return wrong_argument(f, &args[i], item);
        if (by[at]) {
            diag_error(f->fr->cx, args[i].loc, "argument '%s' is given twice",
                       item->formals.data[at].name);
            return false;
        }
        by[at] = &args[i];
    }
    for (uint32_t i = 0; i < item->formals.len; i++) {
        if (by[i] || item->formals.data[i].init) continue;
        diag_error(f->fr->cx, loc, "argument '%s' of '%s' is missing", item->formals.data[i].name,
                   item->name);
        diag_note(f->fr->cx, item->formals.data[i].loc, "declared here");
        return false;
    }
    return true;
}

static bool compile_time(const Bind *b) {
    const TypeX *t = b->type;
    return t && !t->tuple &&
           (t->name == TnInt || t->name == TnStr || (t->name == TnBool && b->init && !t->dims.len));
}

bool bind_compile_time(Frame *f, const Bind *b, Value *v, Loc loc) {
    const TypeX *t = b->type;
    Cx *cx = f->fr->cx;
    ValueKind kind = t->name == TnInt ? VInt : t->name == TnStr ? VStr : VBool;
    bool list = t->has_dims, all = v->kind == VStr && !strcmp(v->s, "all");
    if (list && all) return true;
    if (list) {
        bool open = !t->dims.len || t->dims.data[0].kind == DimDots;
        int64_t n = 0, *ints;
        uint32_t len;
        if (!open && !eval_int(f, t->dims.data[0].e, &n, "the length")) return false;
        if (!v_ints(f, loc, *v, b->name, &ints, &len)) return false;
        if (v->kind == VInt && (open || (n >= 0 && n <= MaxRank))) {
            uint32_t copies = open ? 1 : (uint32_t)n;
            Value many = {.kind = VList, .n = copies, .elems = NEW_ARRAY(cx->arena, Value, copies)};
            for (uint32_t i = 0; i < copies; i++) many.elems[i] = *v;
            *v = many;
        } else if (!open && len != (uint64_t)n) {
            diag_error(cx, loc, "argument '%s' needs %lld integers, this has %u", b->name,
                       (long long)n, len);
            return false;
        }
        v->kind = VList;
        return true;
    }
    if (v->kind == kind) return true;
    diag_error(cx, loc, "argument '%s' of '%s' is %s known at compile time, this is %s", b->name,
               f->item->name,
               kind == VInt   ? "an integer"
               : kind == VStr ? "a string"
                              : "a bool",
               v_describe(f, *v));
    return false;
}

static bool scalar_float(Frame *f, const TypeX *t) {
    return t && !t->tuple && !t->dims.len && t->name != TnInt && t->name != TnStr &&
           t->name != TnBool && dtype_is_float(type_name_dtype(f, t->name));
}

static bool bind_formal(Frame *callee, Frame *f, const Bind *b, CallArg *a, Loc call_loc) {
    Value v;
    Loc loc = a ? a->loc : call_loc;
    if (a) {
        v = a->value;
    } else {
        v = lower_expr(callee, b->init, NULL);
        loc = b->init->loc;
        if (v.kind == VError) return false;
    }
    if (compile_time(b)) {
        if (!bind_compile_time(callee, b, &v, loc)) return false;
    } else if (!b->type && !(v_is_number(v) || v.kind == VStr)) {
        bind_name(callee, b->name, b->loc, v, false);
        return true;
    } else if (b->type && scalar_float(callee, b->type) && (v.kind == VInt || v.kind == VFloat)) {
        v = v_float(v.kind == VInt ? (double)v.i : v.f);
    } else if (b->type) {
        const char *what = arena_printf(f->fr->cx->arena, "argument '%s'", b->name);
        if (!match_argument(callee, f, b->type, &v, loc, what)) return false;
    }
    bind_name(callee, b->name, b->loc, v, false);
    Scope *s = callee->scope; /* "_" binds nothing */
    if (s->names.len) s->names.data[s->names.len - 1].quiet = true;
    return true;
}

/* ---- frames ---- */

static bool recursive(Frame *f, Loc loc, const Item *item) {
    for (Frame *up = f; up; up = up->caller) {
        if (up->item != item) continue;
        diag_error(f->fr->cx, loc, "'%s' calls itself; recursion is not possible", item->name);
        diag_note(f->fr->cx, item->name_loc, "declared here");
        return true;
    }
    return false;
}

bool item_in_std(Front *fr, const Item *item) {
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        if (fr->globals.data[i].item == item) return fr->globals.data[i].in_std;
    }
    return false;
}

Frame *open_call(Frame *f, Loc loc, const Item *item, Instance *self, const Args *settings,
                 CallArg *args, uint32_t n, const Want *want) {
    Front *fr = f->fr;
    if (recursive(f, loc, item)) return NULL;
    vec_push(fr->cx->arena, &fr->lowered, item);
    Frame *callee = NEW(fr->cx->arena, Frame);
    *callee = (Frame){.fr = fr,
                      .root = f->root,
                      .b = f->b,
                      .item = item,
                      .self = self,
                      .hdr = header_new(fr, item),
                      .caller = f,
                      .call_loc = loc,
                      .real = f->real,
                      .training = f->training,
                      .batch = f->batch,
                      .subst = f->subst,
                      .in_std = item_in_std(fr, item)};
    signature_real(callee);
    scope_push(callee);
    CallArg **by = NEW_ARRAY(fr->cx->arena, CallArg *, item->formals.len);
    if (!bind_settings(callee, f, self, settings) || !assign_arguments(f, loc, item, args, n, by)) {
        return NULL;
    }
    for (uint32_t i = 0; i < item->formals.len; i++) {
        if (!bind_formal(callee, f, &item->formals.data[i], by[i], loc)) {
            if (loc.line) diag_note(fr->cx, loc, "in this call of '%s'", item->name);
            return NULL;
        }
    }
    match_result(callee, item->result, want);
    return header_finish(callee, loc) ? callee : NULL;
}

Value close_call(Frame *callee) {
    Front *fr = callee->fr;
    uint32_t errors = fr->cx->errors;
    lower_block(callee, callee->item->body);
    if (fr->cx->errors != errors) {
        if (callee->call_loc.line && callee->call_loc.file != callee->item->loc.file) {
            diag_note(fr->cx, callee->call_loc, "in this call of '%s'", callee->item->name);
        }
        return v_error();
    }
    if (callee->lost) return v_error();
    if (!callee->returned) {
        diag_error(fr->cx, callee->item->body->end, "missing 'return' in '%s'", callee->item->name);
        return v_error();
    }
    if (!check_substitution(callee)) return v_error();
    return v_return(callee, callee->result);
}

static Value call_here(Frame *f, Loc loc, const Item *item, Instance *self, const Args *settings,
                       CallArg *args, uint32_t n, const Want *want) {
    if (item->kind == ItFn && item_has_rule(f->fr, item)) {
        return call_ruled(f, loc, item, settings, args, n, want);
    }
    Val from = b_fn(f->b)->ins.len;
    Frame *callee = open_call(f, loc, item, self, settings, args, n, want);
    Value v = callee ? close_call(callee) : v_error();
    if (v.kind != VError) note_call(f, item, self, loc, callee, from);
    b_at(f->b, loc, NULL);
    return v;
}

/* An error inside the library is the caller's: it moves to the call, with a note where it was. */
static void blame_caller(Cx *cx, uint32_t from, Loc call) {
    for (uint32_t i = from; i < cx->diags.len; i++) {
        Diag *d = &cx->diags.data[i];
        if (d->sev == SevNote || !d->loc.file || strncmp(d->loc.file, "std/", 4)) continue;
        Loc inside = d->loc;
        d->loc = call;
        d->fixits.len = 0;
        diag_note(cx, inside, "found here");
    }
}

Value call_item(Frame *f, Loc loc, const Item *item, Instance *self, const Args *settings,
                CallArg *args, uint32_t n, const Want *want) {
    uint32_t before = f->fr->cx->diags.len;
    Value v = call_here(f, loc, item, self, settings, args, n, want);
    if (v.kind == VError && !f->in_std && item_in_std(f->fr, item))
        blame_caller(f->fr->cx, before, loc);
    return v;
}

Value call_std(Frame *f, Loc loc, const char *name, const Value *args, uint32_t n) {
    Cx *cx = f->fr->cx;
    Global *g = find_item(f->fr, sym(cx, name), true, (int)n);
    if (!g) BUG(cx, "no std function '%s'", name);
    CallArg *list = NEW_ARRAY(cx->arena, CallArg, n);
    for (uint32_t i = 0; i < n; i++) list[i] = (CallArg){.loc = loc, .value = args[i]};
    return call_item(f, loc, g->item, NULL, NULL, list, n, NULL);
}

/* ---- call expressions ---- */

static CallArg *evaluate_arguments(Frame *f, const Expr *e, uint32_t *positional) {
    CallArg *args = NEW_ARRAY(f->fr->cx->arena, CallArg, e->args.len);
    *positional = 0;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        args[i] = (CallArg){
            .name = a->name, .loc = a->value->loc, .value = lower_expr(f, a->value, NULL)};
        if (a->name) args[i].loc = a->loc;
        *positional += !a->name;
    }
    return args;
}

/* f(to=[2, 3]), where f has no such argument, wants a result of that shape as a declared type does.
 * Takes the argument out; false after a report. */
static bool take_shape(Frame *f, const Item *item, CallArg *args, uint32_t *n, const Want **want) {
    uint32_t at = 0;
    while (at < *n && (!args[at].name || strcmp(args[at].name, "to"))) at++;
    const TypeX *t = item->result;
    if (at == *n || formal_index(item, args[at].name) >= 0 || !t || t->tuple || !t->has_dims)
        return true;
    Want *out = NEW(f->fr->cx->arena, Want);
    if (!shape_wanted(f, args[at].loc, args[at].value, *want, out)) return false;
    *want = out;
    --*n;
    for (uint32_t i = at; i < *n; i++) args[i] = args[i + 1];
    return true;
}

static Value call_instance(Frame *f, const Expr *e, Instance *inst, const Args *settings,
                           const Want *want) {
    uint32_t positional;
    CallArg *args = evaluate_arguments(f, e, &positional);
    return call_item(f, e->loc, inst->module, inst, settings, args, e->args.len, want);
}

static uint32_t positional_count(const Expr *e) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->args.len; i++) n += !e->args.data[i].name;
    return n;
}

static Value unknown_function(Frame *f, const Expr *name) {
    Front *fr = f->fr;
    VEC(const char *) names = {0};
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        if (fr->globals.data[i].item->kind == ItFn || fr->globals.data[i].item->kind == ItModel) {
            vec_push(fr->cx->arena, &names, fr->globals.data[i].item->name);
        }
    }
    for (int i = 0; i < OpCount; i++) vec_push(fr->cx->arena, &names, op_info[i].name);
    const char *own;
    for (uint32_t i = 0; (own = near_primitive(i)); i++) vec_push(fr->cx->arena, &names, own);
    diag_unknown(fr->cx, name->loc, name->name, names.data, names.len, "unknown function '%s'",
                 name->name);
    return v_error();
}

static void lint_log_softmax(Frame *f, const Expr *e) {
    const Expr *arg = e->args.len ? e->args.data[0].value : NULL;
    if (!strcmp(e->x->name, "log") && arg && arg->kind == ExCall && arg->x->kind == ExName &&
        !strcmp(arg->x->name, "softmax")) {
        diag_warn(f->fr->cx, "log-softmax", e->loc,
                  "log(softmax(x)) loses accuracy; write log_softmax(x)");
        size_t len, end = (size_t)e->loc.col - 1 + e->loc.len;
        const char *line = source_line(f->fr->cx, e->loc.file, e->loc.line, &len);
        if (!line || end > len || line[end - 1] != ')') return;
        size_t from = (size_t)arg->op_loc.col - 1;
        diag_fixit(f->fr->cx, "log_softmax%.*s", (int)(end - 1 - from), line + from);
    }
}

/* NAME(args), with optional settings NAME[...](args). */
static Value call_by_name(Frame *f, const Expr *e, const Expr *name, const Args *settings,
                          const Want *want) {
    Front *fr = f->fr;
    Binding *local = find_binding(f, name->name);
    if (local && local->value.kind == VInstance) {
        local->used = true;
        return call_instance(f, e, local->value.inst, settings, want);
    }
    if (local && local->value.kind == VFunction) {
        uint32_t positional;
        CallArg *args = evaluate_arguments(f, e, &positional);
        return call_function(f, e->loc, local->value.fn, args, e->args.len);
    }
    if (local) {
        local->used = true;
        if (local->value.kind != VError) {
            diag_error(fr->cx, name->loc, "'%s' is %s, not a function", name->name,
                       v_describe(f, local->value));
        }
        return v_error();
    }
    uint32_t n = positional_count(e);
    Global *g = find_called(fr, name->name, f->in_std, &e->args);
    Value v;
    if ((!g || g->in_std) && const_builtin(f, e, name->name, &v)) return v;
    Op op = op_by_name(name->name);
    bool builtin = is_builtin(name->name);
    bool fits = builtin && (op == OpCount || n >= (uint32_t)op_info[op].nargs);
    if (!g && !fits) g = find_item(fr, name->name, f->in_std, (int)n);
    if (!g && !fits) g = find_item(fr, name->name, f->in_std, -1);
    if (!f->in_std && name->kind == ExName && e->x == name) lint_log_softmax(f, e);
    if (g) {
        uint32_t positional;
        CallArg *args = evaluate_arguments(f, e, &positional);
        n = e->args.len;
        if (!take_shape(f, g->item, args, &n, &want)) return v_error();
        return call_item(f, e->loc, g->item, NULL, settings, args, n, want);
    }
    if (builtin) return lower_builtin(f, e, name->name, want);
    Global *model = find_global(fr, name->name, ItModel, f->in_std);
    if (model) {
        Value m = lower_expr(f, name, NULL);
        return m.kind == VInstance ? call_instance(f, e, m.inst, settings, want) : v_error();
    }
    if (find_global(fr, name->name, ItModule, f->in_std)) {
        diag_error(fr->cx, name->loc,
                   "module '%s' is called without an instance; write "
                   "'model m = %s[...];' or 'layer m = %s[...];' and call m",
                   name->name, name->name, name->name);
        return v_error();
    }
    if (find_global(fr, name->name, ItOptimizer, f->in_std)) {
        diag_error(fr->cx, name->loc, "'%s' is an optimizer; it stands in 'optimizer = %s(...);'",
                   name->name, name->name);
        return v_error();
    }
    return unknown_function(f, name);
}

Value lower_call(Frame *f, const Expr *e, const Want *want) {
    const Expr *x = e->x;
    if (x->kind == ExName && is_operator(x->name)) {
        diag_error(f->fr->cx, x->loc, "%s needs a function: %s[f](...)", x->name, x->name);
        return v_error();
    }
    if (x->kind == ExName) return call_by_name(f, e, x, NULL, want);
    if (x->kind == ExIndex && x->x->kind == ExName) {
        Binding *b = find_binding(f, x->x->name);
        if (!b && is_operator(x->x->name)) return lower_operator(f, e);
        if (!b || b->value.kind == VInstance) return call_by_name(f, e, x->x, &x->args, want);
    }
    if (x->kind == ExMember && x->x->kind == ExName) {
        Dataset *d = find_binding(f, x->x->name) ? NULL : find_dataset(f->fr, x->x->name);
        if (d) return lower_transform(f, e, d, x->name);
    }
    Value callee = lower_expr(f, x, NULL);
    if (callee.kind == VInstance) return call_instance(f, e, callee.inst, NULL, want);
    if (callee.kind != VError) {
        diag_error(f->fr->cx, x->loc, "%s is not a function", v_describe(f, callee));
    }
    return v_error();
}
