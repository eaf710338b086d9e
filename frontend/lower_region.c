/* Bodies of run-time loops and branches as functions of their own. Every name in reach outside is a
 * constant formal of the body; what is not used is dropped in the end. */
#include "frontend/lower_region.h"

/* ---- names from outside ---- */

static Value import_value(Body *b, Value v, Sym name) {
    Cx *cx = b->frame.fr->cx;
    if (v.kind == VTuple || v.kind == VList) {
        Value *elems = NEW_ARRAY(cx->arena, Value, v.n);
        for (uint32_t i = 0; i < v.n; i++) elems[i] = import_value(b, v.elems[i], name);
        v.elems = elems;
        return v;
    }
    if (v.kind != VTensor) return v;
    for (uint32_t i = 0; i < b->imports.len; i++) {
        if (b->imports.data[i].outer != v.v) continue;
        v.v = b->imports.data[i].inner;
        return v;
    }
    Type t = v_type(b->outer, v);
    b_at(b->root->b, b->loc, NULL);
    Import made = {v.v, b_param(b->root->b, name, t)};
    vec_push(cx->arena, &b->imports, made);
    v.v = made.inner;
    return v;
}

/* A scope with all names that the code around the body sees. */
static void import_scope(Body *b) {
    Frame *f = &b->frame;
    f->scope = NULL;
    scope_push(f);
    for (Scope *s = b->outer->scope; s; s = s->up) {
        for (uint32_t i = s->names.len; i-- > 0;) {
            Binding copy = s->names.data[i];
            if (find_binding(f, copy.name)) continue;
            copy.value = import_value(b, copy.value, copy.name);
            copy.used = false;
            copy.quiet = true;
            copy.assigned = false;
            copy.outer = true;
            vec_push(f->fr->cx->arena, &f->scope->names, copy);
        }
    }
    b->imported = f->scope;
}

/* What the body used is used. */
static void mark_used(Body *b) {
    for (uint32_t i = 0; i < b->imported->names.len; i++) {
        const Binding *copy = &b->imported->names.data[i];
        Binding *from = copy->used ? find_binding(b->outer, copy->name) : NULL;
        if (from) from->used = true;
    }
}

Body *body_open(Frame *f, Loc loc, Op op) {
    Front *fr = f->fr;
    Body *b = NEW(fr->cx->arena, Body);
    *b = (Body){.outer = f, .op = op, .loc = loc, .frame = *f, .key = NoVal, .step = NoVal,
                .counter = NoVal};
    b->root = root_new(fr, sym(fr->cx, "body"));
    b->root->inner = f->root->keeps_buffers || f->root->inner;
    b->frame.root = b->root;
    b->frame.b = b->root->b;
    b->frame.body = b;
    b->frame.has_key = false;
    b->frame.draws = op == Op_cond ? f->draws : 0;
    return b;
}

void body_names(Body *b) {
    import_scope(b);
    if (b->outer->subst && b->outer->subst->root == b->outer->root) {
        Subst *s = NEW(b->frame.fr->cx->arena, Subst);
        Value all = v_tensor(b->outer, b->outer->subst->all, NULL);
        *s = (Subst){b->outer->subst->model, import_value(b, all, sym(b->frame.fr->cx, "params")).v,
                     b->root};
        b->frame.subst = s;
    }
    scope_push(&b->frame);
    b->own = b->frame.scope;
}

const Shape *step_shape(Cx *cx, int64_t axis, bool stacked, int64_t length) {
    uint32_t ones = axis < 0 ? 0 : (uint32_t)axis;
    int64_t *dim = NEW_ARRAY(cx->arena, int64_t, ones + 1);
    for (uint32_t d = 0; d < ones; d++) dim[d] = 1;
    dim[ones] = length;
    return shape_of(cx, dim, ones + stacked);
}

Val body_key(Body *b) {
    Cx *cx = b->frame.fr->cx;
    Type t = type_of(I64, shape_scalar(cx));
    Builder *build = b->root->b;
    if (b->key == NoVal) b->key = b_param(build, sym(cx, "key"), t);
    if (b->op == Op_cond) return b->key;
    Val n = b->counter;
    if (b->op == Op_scan) {
        Type index = {I32, b->length, step_shape(cx, b->axis, false, b->length)};
        b->step = b_param(build, sym(cx, "step"), index);
        n = b_reshape(build, b->step, shape_scalar(cx));
        n = b_op(build, Op_cast, &n, 1, NULL, &t);
    }
    return b_op(build, Op_fold, (Val[]){b->key, n}, 2, NULL, NULL);
}

/* ---- the finished function ---- */

/* Whether the body reads its formal v. */
static bool *read_formals(const Body *b) {
    const Fn *fn = b_fn(b->root->b);
    bool *read = NEW_ARRAY(b->frame.fr->cx->arena, bool, fn->ins.len);
    for (uint32_t i = 0; i < fn->results.len; i++) read[fn->results.data[i]] = true;
    for (Val v = fn->ins.len; v-- > 0;) {
        const Ins *ins = &fn->ins.data[v];
        bool gets = ins->op != Op_param && !ins->type.shape;
        for (uint32_t k = 0; (read[v] || gets) && k < ins->nargs; k++) read[ins->args[k]] = true;
    }
    return read;
}

static bool has_capture(const Root *r, Sym path) {
    for (uint32_t i = 0; i < r->captures.len; i++) {
        if (r->captures.data[i].path == path) return true;
    }
    return false;
}

static void same_captures(Body *from, Body *to) {
    for (uint32_t i = 0; i < from->root->captures.len; i++) {
        const Capture *c = &from->root->captures.data[i];
        if (!has_capture(to->root, c->path)) capture(to->root, to->frame.fr, c->path, c->type);
    }
}

static Val captured(const Body *b, Sym path) {
    for (uint32_t i = 0; i < b->root->captures.len; i++) {
        if (b->root->captures.data[i].path == path) return b->root->captures.data[i].v;
    }
    return NoVal;
}

typedef VEC(Val) Vals;

/* The constants that one of the bodies reads: formals of each body, and their values outside. */
typedef struct Constants {
    Vals formal[2], outer;
} Constants;

static void add_constant(Cx *cx, Constants *c, Val x, Val y, Val outer) {
    vec_push(cx->arena, &c->formal[0], x);
    vec_push(cx->arena, &c->formal[1], y);
    vec_push(cx->arena, &c->outer, outer);
}

static Constants find_constants(Body *b, Body *other) {
    Cx *cx = b->frame.fr->cx;
    Frame *f = b->outer;
    Type key_type = type_of(I64, shape_scalar(cx));
    Constants c = {0};
    if (other) {
        same_captures(b, other);
        same_captures(other, b);
        if (b->key != NoVal && other->key == NoVal)
            other->key = b_param(other->root->b, sym(cx, "key"), key_type);
        if (other->key != NoVal && b->key == NoVal)
            b->key = b_param(b->root->b, sym(cx, "key"), key_type);
    }
    const bool *read = read_formals(b), *also = other ? read_formals(other) : NULL;
    for (uint32_t i = 0; i < b->imports.len; i++) {
        Val x = b->imports.data[i].inner, y = other ? other->imports.data[i].inner : NoVal;
        if (read[x] || (also && also[y])) add_constant(cx, &c, x, y, b->imports.data[i].outer);
    }
    for (uint32_t i = 0; i < b->root->captures.len; i++) {
        Capture x = b->root->captures.data[i];
        Val y = other ? captured(other, x.path) : NoVal;
        add_constant(cx, &c, x.v, y, capture(f->root, f->fr, x.path, x.type));
    }
    if (b->key != NoVal) {
        Val key = frame_key(f);
        if (b->op != Op_cond) {
            Val n = b_int(f->b, key_type, f->draws++);
            key = b_op(f->b, Op_fold, (Val[]){key, n}, 2, NULL, NULL);
        }
        add_constant(cx, &c, b->key, other ? other->key : NoVal, key);
    }
    return c;
}

static Fn *finish(Body *b, Vals *formals, const char *suffix) {
    Front *fr = b->frame.fr;
    const Instance *self = b->outer->self;
    Sym path = self ? self->path : NULL;
    Fn *fn = builder_done(b->root->b);
    Val *map = NEW_ARRAY(fr->cx->arena, Val, fn->ins.len);
    bool moved = outline_calls(fr, fn, &b->root->sites, map);
    for (uint32_t i = 0; moved && i < formals->len; i++) formals->data[i] = map[formals->data[i]];
    order_params(fr, fn, formals->data, formals->len);
    for (Val v = 0; v < fn->nparams; v++) {
        Sym *name = &fn->ins.data[v].name;
        if (*name && strchr(*name, '.')) *name = formal_name_of(fr, fn, *name, path);
    }
    fn->loc = b->loc;
    const Item *item = b->outer->item;
    Sym base = sym_fmt(fr->cx, "%s_%s", item && item->name ? item->name : "fit", suffix);
    FnInst *inst = NEW(fr->cx->arena, FnInst);
    return keep_instance(fr, sym_fmt(fr->cx, "body %u", fr->insts.len), inst, fn, base)->fn;
}

static void append(Cx *cx, Vals *to, const Val *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) vec_push(cx->arena, to, from[i]);
}

void body_close(Body *b, Body *other, const char *const *suffix, Closed *out) {
    Cx *cx = b->frame.fr->cx;
    Constants c = find_constants(b, other);
    Body *bodies[] = {b, other};
    for (int k = 0; k < (other ? 2 : 1); k++) {
        Vals formals = {0};
        Body *body = bodies[k];
        append(cx, &formals, body->formals.data, body->formals.len);
        if (b->step != NoVal) vec_push(cx->arena, &formals, b->step);
        append(cx, &formals, c.formal[k].data, c.formal[k].len);
        out->fn[k] = finish(body, &formals, suffix[k]);
        mark_used(body);
    }
    out->draws = b->step != NoVal;
    out->constants = c.outer.data;
    out->n = c.outer.len;
}

bool assigns_buffer(Frame *f, const Binding *b, Loc loc) {
    const Root *r = f->root;
    if (!r->inner) return r->keeps_buffers;
    if (b->outer && f->body && f->body->op == Op_cond) return true;
    diag_error(f->fr->cx, loc, "the buffer '%s' is assigned in a run-time loop or branch; give its "
               "new value back and assign it outside", b->name);
    diag_note(f->fr->cx, b->loc, "declared here");
    return false;
}

bool assigns_outer(Frame *f, const Binding *b, Loc loc) {
    Body *body = f->body;
    if (!body || !b->outer || body->op == Op_cond) return false;
    diag_error(f->fr->cx, loc,
               "'%s' belongs to the code around the loop; carry it: carry (%s = %s)", b->name,
               b->name, b->name);
    diag_note(f->fr->cx, b->loc, "declared here");
    return true;
}
