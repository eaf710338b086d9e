/* Expressions to values. */
#include "frontend/lower.h"

#include <math.h>

/* ---- names ---- */

/* step, steps and t of training; training; inf-like names are literals already. */
static bool implicit_name(Frame *f, Sym name, Value *out) {
    static const struct {
        const char *name, *path;
        int add;
    } counters[] = {{"step", "train.step", 0}, {"steps", "train.steps", 0}, {"t", "train.step", 1}};
    if (!strcmp(name, "training")) {
        *out = v_bool(f->training);
        return true;
    }
    if (!strcmp(name, "batch") && f->batch) {
        *out = v_int(f->batch, &dim_computed);
        return true;
    }
    for (size_t i = 0; i < LEN(counters); i++) {
        if (strcmp(counters[i].name, name)) continue;
        Cx *cx = f->fr->cx;
        Val v = capture(f->root, f->fr, sym(cx, counters[i].path), type_of(I64, shape_scalar(cx)));
        Type real = type_of(f->real, shape_scalar(cx));
        if (counters[i].add) v = b_add(f->b, v, b_int(f->b, b_type(f->b, v), counters[i].add));
        *out = v_tensor(f, b_op(f->b, Op_cast, &v, 1, NULL, &real), NULL);
        return true;
    }
    return false;
}

void const_typed(Frame *f, const Item *item, Value *v) {
    const TypeX *t = item->init.type;
    if (v->kind == VError) return;
    if (t->tuple || t->has_dims || t->range || t->name == TnStr || !v_is_number(*v)) {
        diag_error(f->fr->cx, t->loc, "a const is one integer, float or bool");
        *v = v_error();
        return;
    }
    bool whole = t->name == TnI32 || t->name == TnI64 || t->name == TnInt;
    ValueKind kind = t->name == TnBool ? VBool : whole ? VInt : VFloat;
    if (kind == VFloat && v->kind == VInt) *v = v_float((double)v->i);
    if (v->kind == kind) return;
    Text text = {0};
    ast_print_type(t, &text);
    diag_error(f->fr->cx, item->init.init->loc, "'%s' is declared as %s, but the value is %s",
               item->name, text_done(&text, f->fr->cx->arena), v_describe(f, *v));
    *v = v_error();
}

static Value global_value(Frame *f, Global *g, Loc loc) {
    Front *fr = f->fr;
    if (g->ready) return g->value;
    if (g->busy) {
        diag_error(fr->cx, loc, "'%s' is defined by itself", g->item->name);
        return v_error();
    }
    g->busy = true;
    g->value = g->item->kind == ItModel ? lower_model(fr, g->item)
                                        : lower_expr(&fr->top, g->item->init.init, NULL);
    if (g->item->kind == ItConst && g->item->init.type) const_typed(&fr->top, g->item, &g->value);
    if (g->value.kind == VInt) g->value.tag = &dim_computed;
    g->busy = false;
    g->ready = true;
    return g->value;
}

void note_hyper(Frame *f, const Expr *e) {
    Global *g = e->kind == ExName ? find_global(f->fr, e->name, ItHyper, false) : NULL;
    if (g) {
        diag_note(f->fr->cx, g->item->name_loc,
                  "a hyper is known at run time only; declare '%s' with const", e->name);
        diag_replace_word(f->fr->cx, g->item->name_loc, "hyper", "const");
    }
}

static Value hyper_value(Frame *f, const Item *item, Loc loc) {
    Front *fr = f->fr;
    for (uint32_t i = 0; i < fr->p->hypers.len; i++) {
        Hyper *h = &fr->p->hypers.data[i];
        if (h->name != item->name) continue;
        if (f->root == fr->top.root || f->root == fr->init) {
            diag_error(fr->cx, loc,
                       "'%s' is a hyper, known at run time only; declare it with const",
                       item->name);
            diag_note(fr->cx, item->name_loc, "declared here");
            diag_replace_word(fr->cx, item->name_loc, "hyper", "const");
            return v_error();
        }
        Val v = capture(f->root, fr, sym_fmt(fr->cx, "hyper.%s", h->name),
                        type_of(h->dt, shape_scalar(fr->cx)));
        return v_tensor(f, v, NULL);
    }
    return v_error();
}

/* All names that could have been meant, for did-you-mean. */
static const char *suggest(Frame *f, Sym name) {
    VEC(const char *) names = {0};
    Arena *a = f->fr->cx->arena;
    for (Scope *s = f->scope; s; s = s->up) {
        for (uint32_t i = 0; i < s->names.len; i++) vec_push(a, &names, s->names.data[i].name);
    }
    for (uint32_t i = 0; f->hdr && i < f->hdr->statics.len; i++) {
        vec_push(a, &names, f->hdr->statics.data[i].name);
    }
    for (uint32_t i = 0; i < f->fr->globals.len; i++) {
        if (f->fr->globals.data[i].item->name)
            vec_push(a, &names, f->fr->globals.data[i].item->name);
    }
    for (int i = 0; i < OpCount; i++) vec_push(a, &names, op_info[i].name);
    return nearest_name(name, names.data, names.len);
}

static Value unknown_name(Frame *f, const Expr *e) {
    const char *near = suggest(f, e->name);
    bool init = f->root == f->fr->init;
    diag_unknown(f->fr->cx, e->loc, e->name, &near, near != NULL, "unknown name '%s'%s", e->name,
                 init ? "; an initialiser sees compile-time names only" : "");
    return v_error();
}

bool known_name(Frame *f, Sym name) {
    if (find_binding(f, name) || header_static(f->hdr, name)) return true;
    for (uint32_t i = 0; i < f->fr->globals.len; i++) {
        if (f->fr->globals.data[i].item->name == name) return true;
    }
    return !strcmp(name, "batch") && f->batch;
}

static Value lower_name(Frame *f, const Expr *e) {
    Binding *b = find_binding(f, e->name);
    if (b) {
        b->used = true;
        return b->value;
    }
    Static *s = header_static(f->hdr, e->name);
    if (s) {
        if (s->solved) return s->value;
        diag_error(f->fr->cx, e->loc,
                   "'%s' of '%s' is not known here; it cannot be inferred from "
                   "the arguments",
                   e->name, f->item->name);
        return v_error();
    }
    Front *fr = f->fr;
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        Global *g = &fr->globals.data[i];
        if (g->item->name != e->name || (f->in_std && !g->in_std)) continue;
        ItemKind kind = g->item->kind;
        if (kind == ItConst || kind == ItModel) return global_value(f, g, e->loc);
        if (kind == ItHyper) return hyper_value(f, g->item, e->loc);
        if (kind == ItDataset) return (Value){.kind = VDataset, .s = e->name};
    }
    Value v;
    if (implicit_name(f, e->name, &v)) return v;
    if (!strcmp(e->name, "all")) return v_str(e->name);
    if (find_item(fr, e->name, f->in_std, -1) || is_builtin(e->name)) {
        diag_error(fr->cx, e->loc, "'%s' is a function; call it: %s(...)", e->name, e->name);
        return v_error();
    }
    return unknown_name(f, e);
}

/* ---- operators ---- */

static Value lower_unary(Frame *f, const Expr *e) {
    Value x = lower_expr(f, e->x, NULL);
    if (x.kind == VError) return x;
    if (e->uop == '!') {
        if (x.kind == VBool) return v_bool(!x.i);
        x = v_materialise(f, e->x->loc, x, -1, NULL);
        if (x.kind == VError) return x;
        return emit_op(f, e->loc, Op_not, &x, 1, NULL, NULL, x.dims);
    }
    if (x.kind == VInt) {
        int64_t negated;
        if (!__builtin_sub_overflow(0, x.i, &negated)) return v_int(negated, &dim_computed);
        diag_error(f->fr->cx, e->loc, "the integer does not fit 64 bits");
        return v_error();
    }
    if (x.kind == VFloat) return v_float(-x.f);
    x = v_materialise(f, e->x->loc, x, -1, NULL);
    return x.kind == VError ? x : emit_op(f, e->loc, Op_neg, &x, 1, NULL, NULL, x.dims);
}

static Value lower_list(Frame *f, const Expr *e) {
    VEC(Value) elems = {0};
    for (uint32_t i = 0; i < e->elems.len; i++) {
        const Expr *x = e->elems.data[i];
        if (x->kind == ExSpread) {
            Static *s = header_static(f->hdr, x->name);
            Binding *b = find_binding(f, x->name);
            Value list = b ? b->value : s && s->solved ? s->value : v_error();
            if (list.kind != VList) {
                diag_error(f->fr->cx, x->loc, "'*%s' needs a list of dimensions", x->name);
                return v_error();
            }
            for (uint32_t k = 0; k < list.n; k++) vec_push(f->fr->cx->arena, &elems, list.elems[k]);
            continue;
        }
        Value v = lower_expr(f, x, NULL);
        if (v.kind == VError) return v;
        vec_push(f->fr->cx->arena, &elems, v);
    }
    return (Value){.kind = VList, .n = elems.len, .elems = elems.data};
}

static Value lower_cast(Frame *f, const Expr *e) {
    Value x = lower_expr(f, e->x, NULL);
    if (x.kind == VError) return x;
    DType dt = type_name_dtype(f, e->type->name);
    int64_t range = 0;
    if (e->type->range && !eval_int(f, e->type->range, &range, "the range")) return v_error();
    int own = x.kind == VFloat ? F64 : x.kind == VInt ? I64 : -1;
    x = v_materialise(f, e->x->loc, x, own, NULL);
    if (x.kind == VError) return x;
    Type t = {dt, range, v_type(f, x).shape};
    b_at(f->b, e->loc, NULL);
    return v_tensor(f, b_op(f->b, Op_cast, &x.v, 1, NULL, &t), x.dims);
}

static Value lower_member(Frame *f, const Expr *e) {
    Value x;
    if (lower_place(f, e, &x)) return x;
    x = lower_expr(f, e->x, NULL);
    if (x.kind == VError) return x;
    if (x.kind == VDataset) {
        diag_error(f->fr->cx, e->loc, "a dataset stands here only as %s.%s(tensor)", x.s, e->name);
        return v_error();
    }
    bool function = find_item(f->fr, e->name, f->in_std, -1) || is_builtin(e->name);
    diag_error(f->fr->cx, e->op_loc,
               function ? "%s has no members; write %s(x, ...)" : "%s has no members",
               v_describe(f, x), e->name);
    return v_error();
}

static Value lower_binary(Frame *f, const Expr *e) {
    Value a = lower_expr(f, e->x, NULL);
    if (e->op == BinAnd && a.kind == VBool && !a.i) return a;
    if (e->op == BinOr && a.kind == VBool && a.i) return a;
    Value b = lower_expr(f, e->y, NULL);
    b_at(f->b, e->loc, NULL);
    if (e->op == BinPow) return lower_power(f, e, a, b);
    return lower_binary_values(f, e, e->op, a, b);
}

Value lower_expr(Frame *f, const Expr *e, const Want *want) {
    switch (e->kind) {
    case ExName:
        return lower_name(f, e);
    case ExInt:
        return v_int(e->i, NULL);
    case ExFloat:
        return v_float(e->f);
    case ExString:
        return v_str(e->name);
    case ExBool:
        return v_bool(e->i);
    case ExCall:
        return lower_call(f, e, want);
    case ExIndex: {
        Value place;
        return lower_place(f, e, &place) ? place : lower_index(f, e);
    }
    case ExMember:
        return lower_member(f, e);
    case ExCast:
        return lower_cast(f, e);
    case ExUnary:
        return lower_unary(f, e);
    case ExBinary:
        return lower_binary(f, e);
    case ExTuple: {
        Value v = lower_list(f, e);
        if (v.kind == VList) v.kind = VTuple;
        return v;
    }
    case ExList:
        return lower_list(f, e);
    case ExSpread:
    case ExRange:
    case ExSlice:
    case ExDots:
    case ExDType:
        diag_error(f->fr->cx, e->loc, "this does not stand in an expression");
        break;
    }
    return v_error();
}

Value lower_tensor(Frame *f, const Expr *e, const Want *want) {
    return v_materialise(f, e->loc, lower_expr(f, e, want), -1, want);
}
