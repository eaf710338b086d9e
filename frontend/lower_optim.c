/* Optimizers: the update of every parameter by the body of an `optimizer` declaration. */
#include "frontend/lower.h"

static const Stmt *update_method(const Item *opt) {
    for (uint32_t i = 0; i < opt->body->stmts.len; i++) {
        if (opt->body->stmts.data[i]->kind == StUpdate) return opt->body->stmts.data[i];
    }
    return NULL;
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
        for (uint32_t k = 0; k < st->args.len; k++) {
            if (expr_reads(st->args.data[k].value, name)) return true;
        }
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

/* Whether the name stands anywhere in the block. */
static bool block_reads_name(const Block *b, Sym name) {
    for (uint32_t i = 0; b && i < b->stmts.len; i++) {
        const Stmt *st = b->stmts.data[i];
        if (expr_reads(st->e, name) || block_reads_name(st->body, name) ||
            block_reads_name(st->orelse, name))
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

/* The initial value of a buffer. */
static bool make_buffer(Frame *f, const Bind *b, Sym path, const Want *want, Type t) {
    Front *fr = f->fr;
    if (state_index(fr, path) >= 0) return true;
    Frame init = init_frame(f, path);
    b_at(init.b, b->loc, NULL);
    Value v = lower_expr(&init, b->init, want);
    v = v_coerce(&init, b->init->loc, v, want, arena_printf(fr->cx->arena, "'%s'", b->name));
    if (v.kind != VTensor) return false;
    state_add(fr, path, t, false, v.v);
    return true;
}

/* opt.BUFFER.PATH; where another optimizer left one of another type there, beside it. */
static Sym buffer_path(Front *fr, const Bind *b, const Update *u, Sym tag, Type t) {
    Sym path = sym_fmt(fr->cx, "opt.%s.%s", b->name, u->path);
    int64_t at = state_index(fr, path);
    if (at < 0 || type_equal(fr->p->state.data[at].type, t)) return path;
    return sym_fmt(fr->cx, "opt.%s.%s.%s", b->name, tag, u->path);
}

static bool bind_buffer(Frame *callee, const Bind *b, const Stmt *method, const Update *u,
                        const UpdateSite *site) {
    Front *fr = callee->fr;
    Type like = v_type(callee, u->p);
    Want want = {like.dt, 0, like.shape->rank, u->p.dims};
    if (b->type && !eval_type(callee, b->type, &want)) return false;
    const Shape *shape = dims_shape(callee, b->loc, want.dims, want.rank);
    if (!shape) return false;
    Type t = {want.dt, want.range, shape};
    Sym path = NULL;
    Value v;
    if (block_reads(callee, method->body, b->name)) {
        path = buffer_path(fr, b, u, site->tag, t);
        if (!make_buffer(callee, b, path, &want, t)) return false;
        v = v_tensor(callee, capture(callee->root, fr, path, t), want.dims);
    } else {
        v = v_tensor(callee, b_float(callee->b, t, 0), want.dims);
    }
    bind_name(callee, b->name, b->loc, v, false);
    Binding *bound = find_binding(callee, b->name);
    bound->buffer = bound->quiet = true;
    bound->state = path;
    return true;
}

/* The step's values of p, g and t. */
static bool bind_given(Frame *f, Frame *callee, Loc loc, const Stmt *method, const Update *u) {
    Cx *cx = f->fr->cx;
    Frame own = *f; /* without the names of the file */
    own.in_std = true;
    own.real = callee->real;
    Value t_now = lower_expr(&own, &(Expr){.kind = ExName, .name = sym(cx, "t"), .loc = loc}, NULL);
    const Value given[] = {u->p, u->g, t_now};
    if (method->binds.len != LEN(given)) {
        diag_error(cx, method->loc, "%s takes (p, g, t)", method->name);
        return false;
    }
    for (uint32_t i = 0; i < method->binds.len; i++) {
        bind_name(callee, method->binds.data[i].name, method->binds.data[i].loc, given[i], false);
        find_binding(callee, method->binds.data[i].name)->quiet = true;
    }
    return true;
}

/* Runs the method's body on one parameter; self has the dimension of update_all. */
static bool update_one(Frame *f, Loc loc, const Item *opt, CallArg *args, uint32_t n, Update *u,
                       Instance *self, const FnInst *loss, const UpdateSite *site) {
    Front *fr = f->fr;
    Cx *cx = fr->cx;
    const Stmt *method = update_method(opt);
    Type t = v_type(f, u->p);
    Frame given = *f;
    given.real = t.dt;
    Frame *callee = open_call(&given, loc, opt, self, NULL, args, n, NULL);
    if (!callee) return false;
    callee->real = t.dt;
    callee->hdr->real_known = true;
    callee->hdr->real = t.dt;
    if (!bind_given(f, callee, loc, method, u)) return false;
    if (loss) {
        bind_name(callee, sym(cx, "loss"), loc, (Value){.kind = VFunction, .fn = loss}, false);
        find_binding(callee, sym(cx, "loss"))->quiet = true;
    }
    for (uint32_t i = 0; i < opt->body->stmts.len; i++) {
        const Stmt *st = opt->body->stmts.data[i];
        if (st->kind == StBuffer && !bind_buffer(callee, &st->binds.data[0], method, u, site))
            return false;
    }
    uint32_t errors = cx->errors;
    Want want = {t.dt, 0, t.shape->rank, dims_computed(fr, t.shape)};
    callee->want = &want;
    Scope *own = callee->scope;
    lower_block(callee, method->body);
    if (cx->errors != errors) return false;
    if (!callee->returned || callee->result.kind == VError) {
        diag_error(cx, method->loc, "missing 'return' in '%s'", opt->name);
        return false;
    }
    u->result = v_coerce(callee, method->loc, callee->result, &want, "the updated parameter");
    if (u->result.kind != VTensor) return false;
    for (uint32_t i = 0; i < own->names.len; i++) {
        const Binding *b = &own->names.data[i];
        if (b->state) site->set_state(site->data, b->state, b->value.v);
    }
    return true;
}

/* All parameters as one vector. */
static Val joined(Frame *f, const Update *u, uint32_t n, bool gradient) {
    Cx *cx = f->fr->cx;
    Val *parts = NEW_ARRAY(cx->arena, Val, n);
    for (uint32_t i = 0; i < n; i++) {
        Val v = gradient ? u[i].g.v : u[i].p.v;
        int64_t size = b_type(f->b, v).shape->size;
        parts[i] = b_reshape(f->b, v, shape_of(cx, &size, 1));
    }
    Attr axis = attr_int(0);
    return n == 1 ? parts[0] : b_op(f->b, Op_concat, parts, n, &axis, NULL);
}

static bool update_vector(Frame *f, Loc loc, const Item *opt, CallArg *args, uint32_t n, Update *u,
                          uint32_t count, const UpdateSite *site) {
    Cx *cx = f->fr->cx;
    b_at(f->b, loc, NULL);
    for (uint32_t i = 1; i < count; i++) {
        if (v_type(f, u[i].p).dt == v_type(f, u[0].p).dt) continue;
        diag_error(cx, loc,
                   "'%s' sees all parameters as one vector, but '%s' and '%s' have "
                   "different types",
                   opt->name, u[0].path, u[i].path);
        return false;
    }
    Update all = {.path = site->tag,
                  .p = v_tensor(f, joined(f, u, count, false), NULL),
                  .g = v_tensor(f, joined(f, u, count, true), NULL)};
    int64_t size = v_type(f, all.p).shape->size, at = 0, step = 1;
    Instance *self = NULL;
    if (opt->statics.len) {
        self = NEW(cx->arena, Instance);
        *self = (Instance){.module = opt};
        vec_push(cx->arena, &self->settings,
                 ((struct Setting){opt->statics.data[0].name, v_int(size, &dim_computed)}));
    }
    const FnInst *loss = NULL;
    if (block_reads_name(update_method(opt)->body, sym(cx, "loss"))) {
        loss = site->loss(site->data, loc, u, count);
        if (!loss) return false;
    }
    if (!update_one(f, loc, opt, args, n, &all, self, loss, site)) return false;
    for (uint32_t i = 0; i < count; i++) {
        const Shape *shape = v_type(f, u[i].p).shape;
        int64_t end = at + shape->size;
        Attr attrs[] = {attr_ints(cx, &at, 1), attr_ints(cx, &end, 1), attr_ints(cx, &step, 1)};
        b_at(f->b, loc, NULL);
        Val part = b_op(f->b, Op_slice, &all.result.v, 1, attrs, NULL);
        u[i].result = v_tensor(f, b_reshape(f->b, part, shape), NULL);
        at = end;
    }
    return true;
}

static const Item *find_optimizer(Frame *f, const Expr *e) {
    Front *fr = f->fr;
    Cx *cx = fr->cx;
    Sym name = e->kind == ExCall && e->x->kind == ExName ? e->x->name : NULL;
    Global *g = name ? find_global(fr, name, ItOptimizer, false) : NULL;
    if (g && update_method(g->item)) return g->item;
    if (g) {
        diag_error(cx, g->item->name_loc,
                   "an optimizer has update(p, g, t) or update_all(p, g, t)");
        return NULL;
    }
    VEC(const char *) names = {0};
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        if (fr->globals.data[i].item->kind == ItOptimizer)
            vec_push(cx->arena, &names, fr->globals.data[i].item->name);
    }
    vec_push(cx->arena, &names, "frozen");
    if (e->kind == ExName) name = e->name;
    if (e->kind == ExName && find_global(fr, name, ItOptimizer, false)) {
        diag_error(cx, e->loc, "an optimizer is called: %s()", name);
        return NULL;
    }
    if (name)
        diag_unknown(cx, e->kind == ExName ? e->loc : e->x->loc, name, names.data, names.len,
                     "unknown optimizer '%s'", name);
    else
        diag_error(cx, e->loc, "an optimizer is needed here, as in 'optimizer = adam();'");
    return NULL;
}

bool lower_optimizer(Frame *f, const Expr *e, Update *updates, uint32_t n, const UpdateSite *site) {
    Cx *cx = f->fr->cx;
    const Item *opt = find_optimizer(f, e);
    if (!opt) return false;
    CallArg *args = NEW_ARRAY(cx->arena, CallArg, e->args.len);
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        args[i] =
            (CallArg){a->name, a->name ? a->loc : a->value->loc, lower_expr(f, a->value, NULL)};
        if (args[i].value.kind == VError) return false;
    }
    Sym name = update_method(opt)->name;
    if (!strcmp(name, "update_all"))
        return update_vector(f, e->loc, opt, args, e->args.len, updates, n, site);
    if (strcmp(name, "update") != 0) {
        diag_error(cx, update_method(opt)->loc,
                   "an optimizer has update(p, g, t) or "
                   "update_all(p, g, t), not '%s'",
                   name);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!update_one(f, e->loc, opt, args, e->args.len, &updates[i], NULL, NULL, site))
            return false;
    }
    return true;
}
