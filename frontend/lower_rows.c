/* Datasets that the program makes: a function of one row's key, compiled into the trainer.
 *
 *   dataset d = rows(n=9, seed=1) { x: f32 = uniform(); y: f32 = 2 * x; }
 *   dataset d = moons(n=9, seed=1, noise=0.2) { x: f32[2] = field(0); y: i32<2> = field(1); }
 *
 * become, in the IR's text,
 *
 *   dataset d = rows(n=9, seed=1, row=d_row) { x: f32 = field(0); y: f32 = field(1); }
 *   fn d_row(train.key: i64) -> (f32, f32) { ... } */
#include "frontend/lower.h"

static Expr *node(Front *fr, ExprKind kind, Loc loc) {
    Expr *e = NEW(fr->cx->arena, Expr);
    e->kind = kind;
    e->loc = loc;
    return e;
}

static Expr *name_node(Front *fr, const char *name, Loc loc) {
    Expr *e = node(fr, ExName, loc);
    e->name = sym(fr->cx, name);
    return e;
}

static Expr *field_node(Front *fr, int64_t i, Loc loc) {
    Expr *e = node(fr, ExCall, loc), *n = node(fr, ExInt, loc);
    e->x = name_node(fr, "field", loc);
    n->i = i;
    vec_push(fr->cx->arena, &e->args, (Arg){.loc = loc, .value = n});
    return e;
}

/* The declaration in terms of the function: see above. */
static const char *row_text(Front *fr, const Dataset *d, const Item *item, bool made_of_fields) {
    Arena *a = fr->cx->arena;
    Loc loc = item->e->loc;
    Item out = *item;
    out.e = node(fr, ExCall, loc);
    out.e->x = name_node(fr, "rows", loc);
    for (uint32_t i = 0; i < item->e->args.len; i++) {
        const Arg *arg = &item->e->args.data[i];
        if (arg->name && is_rows_setting(arg->name)) vec_push(a, &out.e->args, *arg);
    }
    Arg row = {.name = sym(fr->cx, "row"), .loc = loc, .value = name_node(fr, d->row, loc)};
    vec_push(a, &out.e->args, row);
    Block body = *item->body;
    body.stmts.data = NULL;
    body.stmts.len = body.stmts.cap = 0;
    for (uint32_t i = 0; i < item->body->stmts.len; i++) {
        Stmt *st = NEW(a, Stmt);
        *st = *item->body->stmts.data[i];
        Bind b = st->binds.data[0];
        if (!made_of_fields) b.init = field_node(fr, i, b.loc);
        memset(&st->binds, 0, sizeof st->binds);
        vec_push(a, &st->binds, b);
        vec_push(a, &body.stmts, st);
    }
    out.body = &body;
    Text t = {0};
    ast_print_item(&out, &t);
    return text_done(&t, a);
}

/* Each field an expression over those before it. */
static bool lower_own_fields(Frame *f, Dataset *d, const Item *item) {
    Front *fr = f->fr;
    for (uint32_t i = 0; item->body && i < item->body->stmts.len; i++) {
        const Stmt *st = item->body->stmts.data[i];
        const Bind *b = &st->binds.data[0];
        Field field;
        Want want;
        if (!field_declare(fr, d, st, &want, &field)) return false;
        DataExpr *x = NEW(fr->cx->arena, DataExpr);
        *x = (DataExpr){.kind = DxField, .a = i};
        field.expr = x;
        b_at(f->b, b->init->loc, NULL);
        Value v = lower_expr(f, b->init, &want);
        if (v.kind != VError)
            v = v_coerce(f, b->init->loc, v, &want, arena_printf(fr->cx->arena, "'%s'", b->name));
        if (v.kind != VTensor) return false;
        b_name(f->b, v.v, b->name);
        b_result(f->b, v.v);
        bind_name(f, b->name, b->loc, v, false);
        find_binding(f, b->name)->quiet = true;
        vec_push(fr->cx->arena, &d->fields, field);
    }
    return true;
}

/* The results of a call of the source's function, with what is no setting as arguments. */
static bool lower_call_row(Frame *f, const Item *item, const Item *fn, uint32_t *results) {
    Front *fr = f->fr;
    const Expr *e = item->e;
    CallArg *args = NEW_ARRAY(fr->cx->arena, CallArg, e->args.len + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        if (a->name && is_rows_setting(a->name)) continue;
        args[n++] = (CallArg){.name = a->name,
                              .loc = a->name ? a->loc : a->value->loc,
                              .value = lower_expr(f, a->value, NULL)};
    }
    Value v = call_item(f, e->loc, fn, NULL, NULL, args, n, NULL);
    if (v.kind == VError) return false;
    *results = v.kind == VTuple ? v.n : 1;
    for (uint32_t i = 0; i < *results; i++) {
        Value r = v_materialise(f, e->loc, v.kind == VTuple ? v.elems[i] : v, -1, NULL);
        if (r.kind != VTensor) return false;
        b_result(f->b, r.v);
    }
    return true;
}

static int64_t highest_field(const DataExpr *x) {
    if (!x) return -1;
    int64_t a = highest_field(x->x), b = highest_field(x->y);
    if (x->kind == DxField) return x->a;
    return a > b ? a : b;
}

static bool lower_given_fields(Front *fr, Dataset *d, const Item *item, uint32_t results) {
    bool ok = true;
    for (uint32_t i = 0; item->body && i < item->body->stmts.len; i++) {
        const Stmt *st = item->body->stmts.data[i];
        if (!lower_field(fr, d, st)) {
            ok = false;
            continue;
        }
        if (highest_field(d->fields.data[d->fields.len - 1].expr) < (int64_t)results) continue;
        diag_error(fr->cx, st->binds.data[0].init->loc, "'%s' gives %u fields, counted from 0",
                   item->e->x->name, results);
        ok = false;
    }
    return ok;
}

/* A row knows its key and hyperparameters. */
static bool check_captures(Front *fr, const Item *item, const Root *root) {
    for (uint32_t i = 0; i < root->captures.len; i++) {
        Sym path = root->captures.data[i].path;
        if (!strcmp(path, "train.key") || arg_class(path) == ArgHyper) continue;
        diag_error(fr->cx, item->e->loc,
                   "a row of data is made before training; it cannot depend on '%s'", path);
        return false;
    }
    return true;
}

bool lower_rows(Front *fr, Dataset *d, const Item *item, const Item *fn) {
    Cx *cx = fr->cx;
    uint32_t errors = cx->errors, results = 0;
    Root *root = root_new(fr, item->name);
    Frame f = {.fr = fr, .root = root, .b = root->b, .real = fr->p->real};
    scope_push(&f);
    bool ok = fn ? lower_call_row(&f, item, fn, &results) : lower_own_fields(&f, d, item);
    scope_pop(&f);
    if (!ok || cx->errors != errors || (fn && !lower_given_fields(fr, d, item, results)))
        return false;
    if (!d->fields.len || !check_captures(fr, item, root)) return true;
    capture(root, fr, sym(cx, "train.key"), type_of(I64, shape_scalar(cx)));
    Fn *out = root_done(fr, root);
    out->loc = item->name_loc;
    out->name = program_fresh(fr->p, arena_printf(cx->arena, "%s_row", d->name));
    program_add(fr->p, out);
    d->row = out->name;
    d->text = row_text(fr, d, item, fn != NULL);
    return true;
}
