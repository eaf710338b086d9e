/* Optimizers: the update of every parameter by the body of an `optimizer` declaration. */
#include "frontend/lower.h"

static const Stmt *update_method(const Item *opt) {
    for (uint32_t i = 0; i < opt->body->stmts.len; i++) {
        if (opt->body->stmts.data[i]->kind == StUpdate) return opt->body->stmts.data[i];
    }
    return NULL;
}

/* The initial value of a buffer, shaped like its parameter. */
static bool make_buffer(Frame *f, const Bind *b, Sym path, Type t) {
    Front *fr = f->fr;
    if (state_index(fr, path) >= 0) return true;
    Frame init = *f;
    init.root = fr->init;
    init.b = fr->init->b;
    init.scope = NULL;
    scope_push(&init);
    Want want = {t.dt, 0, t.shape->rank, dims_computed(fr, t.shape)};
    b_at(init.b, b->loc, NULL);
    Value v = lower_expr(&init, b->init, &want);
    v = v_coerce(&init, b->init->loc, v, &want, arena_printf(fr->cx->arena, "'%s'", b->name));
    if (v.kind != VTensor) return false;
    state_add(fr, path, t, false, v.v);
    return true;
}

/* True where the name is read before it is certainly assigned anew, or at all: a buffer that the
 * code never reads is not allocated. */
static bool expr_reads(const Expr *e, Sym name) {
    if (!e) return false;
    if (e->kind == ExName) return e->name == name;
    if (expr_reads(e->x, name) || expr_reads(e->y, name) || expr_reads(e->z, name)) return true;
    for (uint32_t i = 0; i < e->args.len; i++) {
        if (expr_reads(e->args.data[i].value, name)) return true;
    }
    for (uint32_t i = 0; i < e->elems.len; i++) {
        if (expr_reads(e->elems.data[i], name)) return true;
    }
    return false;
}

/* Statements that run under the compile-time settings of this frame. */
static bool block_reads(Frame *f, const Block *b, Sym name) {
    for (uint32_t i = 0; b && i < b->stmts.len; i++) {
        const Stmt *st = b->stmts.data[i];
        if (st->kind == StIf) {
            uint32_t errors = f->fr->cx->errors;
            Value c = lower_expr(f, st->e, NULL);
            if (f->fr->cx->errors != errors) return true;
            const Block *taken = c.kind == VBool ? (c.i ? st->body : st->orelse) : NULL;
            if (c.kind == VBool && block_reads(f, taken, name)) return true;
            if (c.kind == VBool) continue;
        }
        if (expr_reads(st->e, name) || block_reads(f, st->body, name) ||
            block_reads(f, st->orelse, name))
            return true;
        for (uint32_t k = 0; k < st->elems.len; k++) {
            if (expr_reads(st->elems.data[k], name)) return true;
        }
        for (uint32_t k = 0; k < st->binds.len; k++) {
            if (expr_reads(st->binds.data[k].init, name)) return true;
        }
    }
    return false;
}

static bool bind_buffers(Frame *callee, const Item *opt, const Stmt *method, const Update *u,
                         Type t) {
    Front *fr = callee->fr;
    for (uint32_t i = 0; i < opt->body->stmts.len; i++) {
        const Stmt *st = opt->body->stmts.data[i];
        if (st->kind != StBuffer) continue;
        const Bind *b = &st->binds.data[0];
        Value v;
        if (block_reads(callee, method->body, b->name)) {
            Sym path = sym_fmt(fr->cx, "opt.%s.%s", b->name, u->path);
            if (!make_buffer(callee, b, path, t)) return false;
            v = v_tensor(callee, capture(callee->root, fr, path, t), u->p.dims);
        } else {
            v = v_tensor(callee, b_float(callee->b, t, 0), u->p.dims);
        }
        bind_name(callee, b->name, b->loc, v, false);
        Binding *bound = find_binding(callee, b->name);
        bound->buffer = bound->quiet = true;
    }
    return true;
}

static bool update_one(Frame *f, Loc loc, const Item *opt, CallArg *args, uint32_t n, Update *u,
                       void (*buffer)(void *data, Sym path, Val v), void *data) {
    Front *fr = f->fr;
    Cx *cx = fr->cx;
    const Stmt *method = update_method(opt);
    Frame *callee = open_call(f, loc, opt, NULL, NULL, args, n, NULL);
    if (!callee) return false;
    Type t = v_type(f, u->p);
    callee->real = t.dt;
    callee->hdr->real_known = true;
    callee->hdr->real = t.dt;
    static const char *const what[] = {"p", "g", "t"};
    Frame own = *f; /* without the names of the file */
    own.in_std = true;
    Value t_now = lower_expr(&own, &(Expr){.kind = ExName, .name = sym(cx, "t"), .loc = loc}, NULL);
    const Value given[] = {u->p, u->g, t_now};
    if (method->binds.len != LEN(what)) {
        diag_error(cx, method->loc, "update takes (p, g, t)");
        return false;
    }
    for (uint32_t i = 0; i < method->binds.len; i++) {
        bind_name(callee, method->binds.data[i].name, method->binds.data[i].loc, given[i], false);
        find_binding(callee, method->binds.data[i].name)->quiet = true;
    }
    if (!bind_buffers(callee, opt, method, u, t)) return false;
    uint32_t errors = cx->errors;
    Want want = {t.dt, 0, t.shape->rank, dims_computed(fr, t.shape)};
    callee->want = &want;
    lower_block(callee, method->body);
    if (cx->errors != errors) return false;
    if (!callee->returned || callee->result.kind == VError) {
        diag_error(cx, method->loc, "missing 'return' in '%s'", opt->name);
        return false;
    }
    u->result = v_coerce(callee, method->loc, callee->result, &want, "the updated parameter");
    if (u->result.kind != VTensor) return false;
    for (uint32_t i = 0; i < opt->body->stmts.len; i++) {
        const Stmt *st = opt->body->stmts.data[i];
        if (st->kind != StBuffer) continue;
        Sym path = sym_fmt(cx, "opt.%s.%s", st->binds.data[0].name, u->path);
        Binding *b = find_binding(callee, st->binds.data[0].name);
        if (state_index(fr, path) >= 0) buffer(data, path, b->value.v);
    }
    return true;
}

bool lower_optimizer(Frame *f, const Expr *e, Update *updates, uint32_t n,
                     void (*buffer)(void *data, Sym path, Val v), void *data) {
    Front *fr = f->fr;
    Cx *cx = fr->cx;
    Sym name = e->kind == ExCall && e->x->kind == ExName ? e->x->name : NULL;
    Global *g = name ? find_global(fr, name, ItOptimizer, false) : NULL;
    if (!g && name && comes_later(f, e->x)) return false;
    if (!g) {
        VEC(const char *) names = {0};
        for (uint32_t i = 0; i < fr->globals.len; i++) {
            if (fr->globals.data[i].item->kind == ItOptimizer)
                vec_push(cx->arena, &names, fr->globals.data[i].item->name);
        }
        const char *near = name ? nearest_name(name, names.data, names.len) : NULL;
        diag_error(cx, e->loc, "unknown optimizer%s%s%s", near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
        return false;
    }
    if (!update_method(g->item))
        return not_supported(f, g->item->name_loc, "an optimizer without 'update'");
    if (!strcmp(update_method(g->item)->name, "update_all"))
        return not_supported(f, update_method(g->item)->loc, "'update_all'");
    CallArg *args = NEW_ARRAY(cx->arena, CallArg, e->args.len);
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        args[i] =
            (CallArg){a->name, a->name ? a->loc : a->value->loc, lower_expr(f, a->value, NULL)};
        if (args[i].value.kind == VError) return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!update_one(f, e->loc, g->item, args, e->args.len, &updates[i], buffer, data))
            return false;
    }
    return true;
}
