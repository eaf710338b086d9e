/* Statements: bindings, assignment by renaming, compile-time if and for, return. */
#include "frontend/lower.h"

void scope_push(Frame *f) {
    Scope *s = NEW(f->fr->cx->arena, Scope);
    s->up = f->scope;
    f->scope = s;
}

void scope_pop(Frame *f) {
    warn_unused(f);
    for (uint32_t i = 0; f->root->keeps_buffers && i < f->scope->names.len; i++) {
        const Binding *b = &f->scope->names.data[i];
        if (!b->path || !b->assigned || b->outer) continue;
        Capture c = {b->path, v_type(f, b->value), b->value.v};
        vec_push(f->fr->cx->arena, &f->root->written, c);
    }
    f->scope = f->scope->up;
}

Binding *find_binding(Frame *f, Sym name) {
    for (Scope *s = f->scope; s; s = s->up) {
        for (uint32_t i = s->names.len; i-- > 0;) {
            if (s->names.data[i].name == name) return &s->names.data[i];
        }
    }
    return NULL;
}

void bind_name(Frame *f, Sym name, Loc loc, Value v, bool var) {
    Cx *cx = f->fr->cx;
    if (!strcmp(name, "_")) return;
    for (uint32_t i = 0; i < f->scope->names.len; i++) {
        if (f->scope->names.data[i].name != name) continue;
        diag_error(cx, loc, "'%s' is defined twice in one block", name);
        diag_note(cx, f->scope->names.data[i].loc, "the first one is here");
        return;
    }
    vec_push(cx->arena, &f->scope->names,
             (Binding){.name = name, .loc = loc, .value = v, .var = var});
}

/* A value as declared; names the IR value. */
static Value declared(Frame *f, const Bind *b, Value v, const Want *want, Loc loc, bool var) {
    const char *what = arena_printf(f->fr->cx->arena, "'%s'", b->name);
    if (want) v = (var ? v_variable : v_coerce)(f, loc, v, want, what);
    if (v.kind == VTensor && strcmp(b->name, "_")) b_name(f->b, v.v, b->name);
    return v;
}

static void lower_let(Frame *f, const Stmt *st) {
    Cx *cx = f->fr->cx;
    if (!st->pattern) {
        const Bind *b = &st->binds.data[0];
        Want want;
        bool typed = b->type != NULL;
        if (typed && !eval_type(f, b->type, &want)) {
            bind_name(f, b->name, b->loc, v_error(), st->kind == StVar);
            return;
        }
        Value v = lower_expr(f, st->e ? st->e : b->init, typed ? &want : NULL);
        bool var = st->kind == StVar;
        v = declared(f, b, v, typed ? &want : NULL, (st->e ? st->e : b->init)->loc, var);
        bind_name(f, b->name, b->loc, v, var);
        return;
    }
    Value v = lower_expr(f, st->e, NULL);
    bool ok = v.kind == VTuple && v.n == st->binds.len;
    if (!ok && v.kind != VError) {
        diag_error(cx, st->e->loc, "%u names for %s", st->binds.len, v_describe(f, v));
    }
    for (uint32_t i = 0; i < st->binds.len; i++) {
        const Bind *b = &st->binds.data[i];
        Value e = ok ? v.elems[i] : v_error();
        Want want;
        if (b->type && !eval_type(f, b->type, &want)) e = v_error();
        e = declared(f, b, e, b->type ? &want : NULL, st->e->loc, false);
        bind_name(f, b->name, b->loc, e, false);
    }
}

/* A var that was a number so far becomes a run-time scalar of the same kind. */
static bool scalar_joins(Frame *f, Value old, Value v) {
    if (!v_is_number(old) || v.kind != VTensor || v_type(f, v).shape->rank) return false;
    DType dt = v_type(f, v).dt;
    return old.kind == VFloat  ? dtype_is_float(dt)
           : old.kind == VBool ? dt == BOOL
                               : !dtype_is_float(dt) && dt != BOOL;
}

static void lower_assign(Frame *f, const Stmt *st) {
    Cx *cx = f->fr->cx;
    Binding *b = find_binding(f, st->name);
    Value v = lower_expr(f, st->e, NULL);
    if (!b) {
        diag_error(cx, st->name_loc.line ? st->name_loc : st->loc,
                   "unknown name '%s'; 'var %s = ...' declares one", st->name, st->name);
        diag_insert(cx, st->name_loc.line ? st->name_loc : st->loc, "var ");
        return;
    }
    b = find_binding(f, st->name);
    if (!b->var && !b->buffer) {
        diag_error(cx, st->name_loc.line ? st->name_loc : st->loc,
                   "'%s' is bound by let and cannot be assigned; declare it with var", st->name);
        diag_note(cx, b->loc, "declared here");
        diag_replace_word(cx, b->loc, "let", "var");
        return;
    }
    Loc at = st->name_loc.line ? st->name_loc : st->loc;
    if (b->path ? !assigns_buffer(f, b, at) : assigns_outer(f, b, at)) return;
    if (v.kind == VError || b->value.kind == VError) return;
    if (b->value.kind == VTensor) {
        Type t = v_type(f, b->value);
        Want want = {t.dt, t.range, t.shape->rank, b->value.dims};
        v = v_coerce(f, st->e->loc, v, &want, arena_printf(cx->arena, "'%s'", st->name));
        if (v.kind == VError) return;
    } else if (b->value.kind == VFloat && v.kind == VInt) {
        v = v_float((double)v.i);
    } else if (scalar_joins(f, b->value, v)) {
        b_name(f->b, v.v, st->name);
    } else if (v.kind != b->value.kind) {
        diag_error(cx, st->e->loc, "'%s' was %s, this is %s; an assignment keeps the type",
                   st->name, v_describe(f, b->value), v_describe(f, v));
        return;
    }
    if (b->path && dtype_is_float(v_type(f, v).dt))
        v.v = b_op(f->b, Op_stop_gradient, &v.v, 1, NULL, NULL);
    b->value = v;
    b->quiet = true;
    b->assigned = true;
}

enum { MaxUnrolled = 10000 };

static void lower_for(Frame *f, const Stmt *st) {
    int64_t from, to;
    if (!eval_int(f, st->x, &from, "the start of a 'for'") ||
        !eval_int(f, st->y, &to, "the end of a 'for'")) {
        return;
    }
    if (to - 1 > from && (uint64_t)to - (uint64_t)from > MaxUnrolled) {
        diag_error(f->fr->cx, st->y->loc, "a 'for' is unrolled; %d turns are the most",
                   MaxUnrolled);
        return;
    }
    if (from >= to) note_uses(f, st->body);
    uint32_t errors = f->fr->cx->errors;
    for (int64_t i = from; i < to && !f->returned && f->fr->cx->errors == errors; i++) {
        scope_push(f);
        bind_name(f, st->name, st->loc, v_int(i, &dim_computed), false);
        f->scope->names.data[0].quiet = true;
        lower_block(f, st->body);
        scope_pop(f);
    }
}

static void lower_if(Frame *f, const Stmt *st) {
    Value c = lower_expr(f, st->e, NULL);
    f->lost |= c.kind == VError;
    if (c.kind == VError) return;
    if (c.kind == VTensor) {
        lower_branches(f, st, c);
        return;
    }
    if (c.kind != VBool) {
        diag_error(f->fr->cx, st->e->loc, "a condition is a bool, this is %s", v_describe(f, c));
        return;
    }
    const Block *taken = c.i ? st->body : st->orelse;
    note_uses(f, c.i ? st->orelse : st->body);
    if (taken) lower_block(f, taken);
}

/* ---- return ---- */

static bool has_dots(const TypeX *t) {
    for (uint32_t i = 0; i < t->dims.len; i++) {
        if (t->dims.data[i].kind == DimDots) return true;
    }
    return false;
}

static Value lower_result(Frame *f, const Expr *e, const TypeX *t) {
    Want want;
    if (t && t->name == TnReal && !f->hdr->real_known) {
        f->hdr->real_known = true;
        f->hdr->real = f->real;
    }
    if (!t) {
        Value v = lower_expr(f, e, f->want);
        return v.kind == VFloat ? v_materialise(f, e->loc, v, -1, NULL) : v;
    }
    if (has_dots(t)) {
        DType dt = type_name_dtype(f, t->name);
        Value v = v_materialise(f, e->loc, lower_expr(f, e, NULL), (int)dt, NULL);
        if (v.kind == VTensor && v_type(f, v).dt != dt) {
            diag_error(f->fr->cx, e->loc, "the result is declared %s, this is %s", dtype_name(dt),
                       v_describe(f, v));
            return v_error();
        }
        return v;
    }
    if (!eval_type(f, t, &want)) return v_error();
    Value v = lower_expr(f, e, &want), result = v_coerce(f, e->loc, v, &want, "the result");
    if (v.kind != VError && result.kind == VError)
        diag_note(f->fr->cx, t->loc, "the result of '%s' is declared here", f->item->name);
    return result;
}

static void lower_return(Frame *f, const Stmt *st) {
    Cx *cx = f->fr->cx;
    const TypeX *t = f->item ? f->item->result : NULL;
    uint32_t n = st->elems.len, want = t ? t->tuple ? t->elems.len : 1 : n;
    f->returned = true;
    f->result_loc = n ? st->elems.data[0]->loc : st->loc;
    VEC(Value) flat = {0};
    for (uint32_t i = 0; i < n; i++) { /* results are flat: return f(x), y; */
        const TypeX *one = n != want || !t ? NULL : t->tuple ? t->elems.data[i] : t;
        Value v = lower_result(f, st->elems.data[i], one);
        for (uint32_t k = 0; v.kind == VTuple && k < v.n; k++)
            vec_push(cx->arena, &flat, v.elems[k]);
        if (v.kind != VTuple) vec_push(cx->arena, &flat, v);
        if (v.kind == VError) t = NULL;
    }
    if (t && n != want && flat.len != want) {
        if (n == 1)
            diag_error(cx, st->loc, "%s is returned, %u results are declared",
                       v_describe(f, flat.len == 1 ? flat.data[0]
                                                   : v_list(f->fr, VTuple, flat.data, flat.len)),
                       want);
        else
            diag_error(cx, st->loc, "%u results are returned, %u are declared", flat.len, want);
        diag_note(cx, t->loc, "the results of '%s' are declared here", f->item->name);
        f->result = v_error();
        return;
    }
    for (uint32_t i = 0; t && t->tuple && n != want && i < want; i++) {
        Want w;
        if (has_dots(t->elems.data[i])) continue;
        if (!eval_type(f, t->elems.data[i], &w)) return;
        flat.data[i] = v_coerce(f, st->loc, flat.data[i], &w, "a result");
    }
    f->result = flat.len == 1 ? flat.data[0] : v_list(f->fr, VTuple, flat.data, flat.len);
}

void lower_statement(Frame *f, const Stmt *st) {
    switch (st->kind) {
    case StLet:
    case StVar:
        lower_let(f, st);
        break;
    case StParam:
        lower_param(f, st);
        break;
    case StBuffer:
        lower_buffer(f, st);
        break;
    case StLayer:
        lower_layer(f, st);
        break;
    case StAssign:
        lower_assign(f, st);
        break;
    case StFor:
        lower_for(f, st);
        break;
    case StScan:
        lower_scan(f, st);
        break;
    case StWhile:
        lower_while(f, st);
        break;
    case StIf:
        lower_if(f, st);
        break;
    case StReturn:
        lower_return(f, st);
        break;
    case StEmit:
        lower_emit(f, st);
        break;
    case StLoss:
    case StMetric:
    case StOptimizer:
    case StUpdateBlock:
    case StPrint:
    case StRuleLine:
    case StUpdate:
    case StField:
        diag_error(f->fr->cx, st->loc, "this does not stand in a function");
        break;
    }
}

void lower_statements(Frame *f, const Block *b) {
    for (uint32_t i = 0; i < b->stmts.len; i++) {
        if (f->returned) {
            diag_error(f->fr->cx, b->stmts.data[i]->loc,
                       "this is never reached: it follows 'return'");
            break;
        }
        lower_statement(f, b->stmts.data[i]);
    }
}

void lower_block(Frame *f, const Block *b) {
    scope_push(f);
    lower_statements(f, b);
    scope_pop(f);
}
