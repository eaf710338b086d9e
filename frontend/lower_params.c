/* All parameters of a model as one vector: params(net), net[params=p](x), wrt=net. The order is
 * that in which the parameters came to be, the first call in source order. */
#include "frontend/lower.h"

static bool belongs(Sym path, Sym model) {
    size_t n = strlen(model);
    return !strncmp(path, model, n) && path[n] == '.';
}

void all_params(const Front *from, Front *to) {
    to->second = true;
    for (uint32_t i = 0; i < from->p->state.len; i++) {
        if (!from->state_info.data[i].trainable) continue;
        vec_push(to->cx->arena, &to->params_known, from->p->state.data[i]);
    }
    for (uint32_t i = 0; i < from->instances.len; i++) {
        vec_push(to->cx->arena, &to->instances_known, from->instances.data[i]);
    }
}

ModelParams model_params(Front *fr, Sym model) {
    ModelParams m = {.model = model};
    uint32_t n = fr->second ? fr->params_known.len : fr->p->state.len;
    for (uint32_t i = 0; i < n; i++) {
        struct StateVar v = fr->second ? fr->params_known.data[i] : fr->p->state.data[i];
        bool counts = fr->second || fr->state_info.data[i].trainable;
        if (!counts || !belongs(v.path, model)) continue;
        ParamPart part = {v.path, v.type, m.size};
        vec_push(fr->cx->arena, &m.parts, part);
        m.size += part.type.shape->size;
    }
    return m;
}

static const Shape *flat_shape(Frame *f, int64_t n) { return shape_of(f->fr->cx, &n, 1); }

Value params_join(Frame *f, const ModelParams *m, const Val *parts) {
    Cx *cx = f->fr->cx;
    Val *flat = NEW_ARRAY(cx->arena, Val, m->parts.len);
    for (uint32_t i = 0; i < m->parts.len; i++) {
        Type t = m->parts.data[i].type;
        Val x = parts[i] != NoVal ? parts[i] : b_float(f->b, t, 0);
        flat[i] = b_reshape(f->b, x, flat_shape(f, t.shape->size));
    }
    Attr axis = attr_int(0);
    Dim *dim = NEW(cx->arena, Dim);
    *dim = (Dim){m->size, &dim_computed};
    Val all = m->parts.len == 1 ? flat[0]
                                : b_op(f->b, Op_concat, flat, m->parts.len, &axis, NULL);
    return v_tensor(f, all, dim);
}

Val params_part(Frame *f, const ModelParams *m, uint32_t i, Val all) {
    Cx *cx = f->fr->cx;
    const ParamPart *part = &m->parts.data[i];
    int64_t lo = part->at, hi = lo + part->type.shape->size;
    Attr attrs[] = {attr_ints(cx, &lo, 1), attr_ints(cx, &hi, 1), {AttrNone, {0}}};
    Val x = b_op(f->b, Op_slice, &all, 1, attrs, NULL);
    return b_reshape(f->b, x, part->type.shape);
}

/* One float type throughout; false after a report. */
bool params_known(Frame *f, Loc loc, const ModelParams *m) {
    if (!m->parts.len) {
        f->fr->asked = true;
        diag_error(f->fr->cx, loc, "'%s' is never called, so that it has no parameters", m->model);
        return false;
    }
    for (uint32_t i = 1; i < m->parts.len; i++) {
        if (m->parts.data[i].type.dt == m->parts.data[0].type.dt) continue;
        diag_error(f->fr->cx, loc, "the parameters of '%s' are of several types", m->model);
        return false;
    }
    return true;
}

/* The path of the model or layer that an expression names, or NULL after a report. */
static Sym instance_path(Frame *f, const Expr *e) {
    Sym path = place_path(f, e);
    if (path && model_params(f->fr, path).parts.len) return path;
    Value v = lower_expr(f, e, NULL);
    if (v.kind == VInstance) return v.inst->path;
    if (v.kind != VError) {
        diag_error(f->fr->cx, e->loc, "a model or a layer is needed, this is %s", v_describe(f, v));
    }
    return NULL;
}

/* Of length 0 in the first round: its results are not kept. */
static Value unknown_params(Frame *f) {
    Dim *none = NEW(f->fr->cx->arena, Dim);
    f->fr->asked = true;
    *none = (Dim){0, &dim_computed};
    return v_tensor(f, b_float(f->b, type_of(f->real, flat_shape(f, 0)), 0), none);
}

Value near_params(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name, (void)want;
    if (e->args.len != 1) {
        diag_error(f->fr->cx, e->loc, "params takes a model: params(net)");
        return v_error();
    }
    Sym path = instance_path(f, e->args.data[0].value);
    if (!path) return v_error();
    ModelParams m = model_params(f->fr, path);
    if (!m.parts.len && !f->fr->second) return unknown_params(f);
    if (!params_known(f, e->loc, &m)) return v_error();
    Val *parts = NEW_ARRAY(f->fr->cx->arena, Val, m.parts.len);
    for (uint32_t i = 0; i < m.parts.len; i++) {
        parts[i] = capture(f->root, f->fr, m.parts.data[i].path, m.parts.data[i].type);
    }
    b_at(f->b, e->loc, NULL);
    return params_join(f, &m, parts);
}

/* ---- net[params=p] ---- */

bool substitute_params(Frame *callee, Loc loc, Instance *self, Value p) {
    Front *fr = callee->fr;
    p = v_materialise(callee, loc, p, -1, NULL);
    if (p.kind != VTensor) return false;
    Type t = v_type(callee, p);
    if (t.shape->rank != 1 || !dtype_is_float(t.dt) || !self) {
        diag_error(fr->cx, loc, "params= is a vector like params(net), this is %s",
                   v_describe(callee, p));
        return false;
    }
    Subst *s = NEW(fr->cx->arena, Subst);
    *s = (Subst){self->path, p.v, callee->root};
    callee->subst = s;
    return true;
}

/* The parameter of that path from the vector in force, or NoVal. */
static Val substituted(Frame *f, Sym path, Type t, Loc loc) {
    const Subst *s = f->subst;
    if (!s || s->root != f->root || !belongs(path, s->model)) return NoVal;
    if (f->fr->asked && !f->fr->second) return NoVal;
    ModelParams m = model_params(f->fr, s->model);
    uint32_t i = 0;
    while (i < m.parts.len && m.parts.data[i].path != path) i++;
    Type have = b_type(f->b, s->all);
    if (i == m.parts.len) return NoVal;
    if (m.parts.data[i].at + t.shape->size > have.shape->size || have.dt != t.dt) {
        diag_error(f->fr->cx, loc, "params= has %lld numbers, the parameters of '%s' are more",
                   (long long)have.shape->size, s->model);
        return NoVal;
    }
    b_at(f->b, loc, NULL);
    return params_part(f, &m, i, s->all);
}

Val state_value(Frame *f, Sym path, Type t, Loc loc) {
    for (uint32_t i = f->root->written.len; i-- > 0;) {
        if (f->root->written.data[i].path == path) return f->root->written.data[i].v;
    }
    Val own = substituted(f, path, t, loc);
    return own != NoVal ? own : capture(f->root, f->fr, path, t);
}

bool check_substitution(Frame *callee) {
    const Subst *s = callee->subst;
    if (!s || s->root != callee->root || (callee->caller && callee->caller->subst == s))
        return true;
    if (callee->fr->asked && !callee->fr->second) return true;
    ModelParams m = model_params(callee->fr, s->model);
    int64_t have = b_type(callee->b, s->all).shape->size;
    if (have == m.size) return true;
    diag_error(callee->fr->cx, callee->call_loc,
               "params= has %lld numbers, '%s' has %lld parameters", (long long)have, s->model,
               (long long)m.size);
    return false;
}

/* ---- net.block[3].w ---- */

/* Also one that only the first round has met; std modules were read anew since. */
static Instance *find_layer(Front *fr, Sym path) {
    Instance *inst = find_instance(fr, path);
    for (uint32_t i = 0; !inst && i < fr->instances_known.len; i++) {
        const Instance *old = fr->instances_known.data[i];
        Global *g = old->path == path ? find_global(fr, old->module->name, ItModule, false) : NULL;
        if (!g) continue;
        inst = NEW(fr->cx->arena, Instance);
        *inst = *old;
        inst->module = g->item;
    }
    return inst;
}

static Sym instance_named(Frame *f, Sym name) {
    Binding *b = find_binding(f, name);
    if (b) return b->value.kind == VInstance ? b->value.inst->path : NULL;
    return find_global(f->fr, name, ItModel, f->in_std) ? name : NULL;
}

Sym place_path(Frame *f, const Expr *e) {
    Cx *cx = f->fr->cx;
    if (e->kind == ExName) return instance_named(f, e->name);
    bool index = e->kind == ExIndex && e->args.len == 1 && !e->args.data[0].name;
    if (e->kind != ExMember && !index) return NULL;
    Sym up = place_path(f, e->x);
    Binding *b = index && e->x->kind == ExName ? find_binding(f, e->x->name) : NULL;
    if (b && b->value.kind == VLayers) {
        Value v = lower_index(f, e);
        return v.kind == VInstance ? v.inst->path : NULL;
    }
    if (!up || (index && e->x->kind == ExName)) return NULL;
    if (!index) return sym_fmt(cx, "%s.%s", up, e->name);
    ExprKind k = e->args.data[0].value->kind;
    if (k == ExSlice || k == ExDots) return NULL;
    Value i = lower_expr(f, e->args.data[0].value, NULL);
    if (i.kind != VInt) return NULL;
    int64_t n = 0;
    while (i.i < 0 && find_layer(f->fr, sym_fmt(cx, "%s[%lld]", up, (long long)n))) n++;
    return sym_fmt(cx, "%s[%lld]", up, (long long)(i.i < 0 ? i.i + n : i.i));
}

/* The tensor or layer at the path; VList: neither. */
static Value at_place(Frame *f, Loc loc, Sym path) {
    Front *fr = f->fr;
    int64_t at = state_index(fr, path);
    if (at >= 0) {
        return v_tensor(f, state_value(f, path, fr->p->state.data[at].type, loc), NULL);
    }
    Instance *inst = find_layer(fr, path);
    if (inst) return (Value){.kind = VInstance, .inst = inst};
    for (uint32_t i = 0; i < fr->params_known.len; i++) {
        struct StateVar v = fr->params_known.data[i];
        if (v.path == path) return v_tensor(f, state_value(f, path, v.type, loc), NULL);
    }
    return (Value){.kind = VList};
}

bool lower_place(Frame *f, const Expr *e, Value *out) {
    Sym path = place_path(f, e);
    if (!path) return false;
    *out = at_place(f, e->loc, path);
    if (out->kind != VList) return true;
    Cx *cx = f->fr->cx;
    Sym up = place_path(f, e->x);
    bool index = e->kind == ExIndex;
    if (index && (!up || !find_layer(f->fr, sym_fmt(cx, "%s[0]", up)))) return false;
    *out = v_error();
    if (index) {
        diag_error(cx, e->args.data[0].value->loc, "'%s' has fewer layers", up);
        return true;
    }
    if (find_layer(f->fr, sym_fmt(cx, "%s[0]", path))) {
        diag_error(cx, e->op_loc, "'%s' is an array of layers; one of them is %s[0]", path, path);
        return true;
    }
    if (!f->fr->second) f->fr->asked = true;
    diag_error(cx, e->op_loc, "'%s' has no parameter '%s' here", up, e->name);
    return true;
}
