/* Models, layers and parameters: instances with a path, state that is captured by functions. */
#include "frontend/lower.h"

int64_t state_index(const Front *fr, Sym path) {
    for (uint32_t i = 0; i < fr->p->state.len; i++) {
        if (fr->p->state.data[i].path == path) return i;
    }
    return -1;
}

void state_add(Front *fr, Sym path, Type type, bool trainable, Val init) {
    Arena *a = fr->cx->arena;
    vec_push(a, &fr->p->state, (struct StateVar){path, type});
    vec_push(a, &fr->init_vals, init);
    fr->state_info.len = fr->p->state.len - 1;
    vec_grow(a, (void **)&fr->state_info.data, &fr->state_info.cap, fr->state_info.len,
             sizeof *fr->state_info.data);
    fr->state_info.data[fr->state_info.len].path = path;
    fr->state_info.data[fr->state_info.len++].trainable = trainable;
}

Val capture(Root *r, Front *fr, Sym path, Type type) {
    for (uint32_t i = 0; i < r->captures.len; i++) {
        if (r->captures.data[i].path == path) return r->captures.data[i].v;
    }
    Val v = b_param(r->b, path, type);
    vec_push(fr->cx->arena, &r->captures, (Capture){path, type, v});
    return v;
}

/* ---- instances ---- */

static const Expr *module_name(const Expr *e) {
    if (e->kind == ExIndex) e = e->x;
    return e->kind == ExName ? e : NULL;
}

Instance *find_instance(Front *fr, Sym path) {
    for (uint32_t i = 0; i < fr->instances.len; i++) {
        if (fr->instances.data[i]->path == path) return fr->instances.data[i];
    }
    return NULL;
}

static bool same_settings(const Instance *a, const Instance *b) {
    if (a->module != b->module || a->settings.len != b->settings.len) return false;
    for (uint32_t i = 0; i < a->settings.len; i++) {
        if (a->settings.data[i].name != b->settings.data[i].name ||
            !v_equal(a->settings.data[i].value, b->settings.data[i].value)) {
            return false;
        }
    }
    return true;
}

Instance *make_instance(Frame *f, const Expr *e, Sym path) {
    Front *fr = f->fr;
    const Expr *name = module_name(e);
    Global *g = name ? find_global(fr, name->name, ItModule, f->in_std) : NULL;
    const Expr *called = e->kind == ExCall && e->x->kind == ExName ? e->x : NULL;
    const Global *m = called ? find_global(fr, called->name, ItModule, f->in_std) : NULL;
    if (m) {
        diag_error(fr->cx, e->loc, "a module takes its settings in [ ]: %s[%s=...]", called->name,
                   setting_example(m->item));
        return NULL;
    }
    if (!g) {
        VEC(const char *) names = {0};
        for (uint32_t i = 0; i < fr->globals.len; i++) {
            if (fr->globals.data[i].item->kind == ItModule) {
                vec_push(fr->cx->arena, &names, fr->globals.data[i].item->name);
            }
        }
        diag_unknown(fr->cx, name ? name->loc : e->loc, name ? name->name : NULL, names.data,
                     names.len, name ? "unknown module '%s'" : "a module is needed here%s",
                     name ? name->name : "");
        return NULL;
    }
    Instance *inst = NEW(fr->cx->arena, Instance);
    inst->module = g->item;
    inst->path = path;
    for (uint32_t i = 0; e->kind == ExIndex && i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        if (!a->name) {
            diag_error(fr->cx, a->loc, "settings are given by name, as in '%s[%s=...]'", name->name,
                       setting_example(g->item));
            return NULL;
        }
        Value v = lower_expr(f, a->value, NULL);
        if (v.kind == VError) return NULL;
        if (v.kind == VTensor) {
            diag_error(fr->cx, a->loc, "setting '%s' must be known at compile time", a->name);
            note_hyper(f, a->value);
            return NULL;
        }
        if (!check_setting(f, g->item, a->name, a->loc)) return NULL;
        vec_push(fr->cx->arena, &inst->settings, (struct Setting){a->name, v});
    }
    Instance *old = find_instance(fr, path);
    if (old && same_settings(old, inst)) return old;
    if (old && f->self) {
        diag_error(fr->cx, e->loc, "'%s' has other settings here than at its first call", path);
        return NULL;
    }
    vec_push(fr->cx->arena, &fr->instances, inst);
    return inst;
}

Value lower_model(Front *fr, const Item *item) {
    if (!strcmp(item->name, "opt")) {
        diag_error(fr->cx, item->name_loc, "a model cannot be named 'opt'");
        return v_error();
    }
    Instance *inst = make_instance(&fr->top, item->e, item->name);
    return inst ? (Value){.kind = VInstance, .inst = inst} : v_error();
}

void lower_layer(Frame *f, const Stmt *st) {
    Front *fr = f->fr;
    if (!f->self) {
        diag_error(fr->cx, st->loc, "'layer' stands only in a module");
        bind_name(f, st->name, st->loc, v_error(), false);
        return;
    }
    Sym base = sym_fmt(fr->cx, "%s.%s", f->self->path, st->name);
    Value v = v_error();
    if (st->count) {
        int64_t n;
        if (eval_int(f, st->count, &n, "the number of layers") && n >= 0) {
            v = v_list(fr, VLayers, NULL, 0);
            v.elems = NEW_ARRAY(fr->cx->arena, Value, (size_t)n);
            v.n = (uint32_t)n;
            for (int64_t i = 0; i < n; i++) {
                Instance *inst =
                    make_instance(f, st->e, sym_fmt(fr->cx, "%s[%lld]", base, (long long)i));
                v.elems[i] = inst ? (Value){.kind = VInstance, .inst = inst} : v_error();
            }
        }
    } else {
        Instance *inst = make_instance(f, st->e, base);
        if (inst) v = (Value){.kind = VInstance, .inst = inst};
    }
    bind_name(f, st->name, st->name_loc.line ? st->name_loc : st->loc, v, false);
}

/* ---- parameters ---- */

Frame init_frame(Frame *f, Sym path) {
    Front *fr = f->fr;
    Frame init = *f;
    init.root = fr->init;
    init.b = fr->init->b;
    init.scope = NULL;
    init.training = false;
    init.has_key = false;
    init.own_key = true;
    init.key_salt = (int64_t)(hash_bytes(path, strlen(path)) >> 1);
    init.draws = 0;
    scope_push(&init);
    for (Scope *s = f->scope; s; s = s->up) {
        for (uint32_t i = 0; i < s->names.len; i++) {
            Binding copy = s->names.data[i];
            if (copy.value.kind == VTensor) continue;
            copy.quiet = true;
            vec_push(fr->cx->arena, &init.scope->names, copy);
        }
    }
    return init;
}

static Val initial_value(Frame *f, const Bind *b, const Expr *e, Sym path, const Want *want) {
    Front *fr = f->fr;
    Frame init = init_frame(f, path);
    b_at(init.b, e->loc, NULL);
    Value v = lower_expr(&init, e, want);
    v = v_coerce(&init, e->loc, v, want, arena_printf(fr->cx->arena, "'%s'", b->name));
    return v.kind == VTensor ? v.v : NoVal;
}

/* A param or buffer: its place in the state, made by the first call. */
static Value declare_state(Frame *f, const Stmt *st, bool is_param) {
    Front *fr = f->fr;
    const Bind *b = &st->binds.data[0];
    const char *word = is_param ? "param" : "buffer";
    Want want;
    if (!f->self) {
        diag_error(fr->cx, st->loc, "'%s' stands only in a module", word);
        return v_error();
    }
    if (!b->type) {
        diag_error(fr->cx, b->loc, "the type of a %s must be declared", word);
        return v_error();
    }
    if (!eval_type(f, b->type, &want)) return v_error();
    Sym path = sym_fmt(fr->cx, "%s.%s", f->self->path, b->name);
    const Shape *s = dims_shape(f, b->loc, want.dims, want.rank);
    if (!s) return v_error();
    int64_t at = state_index(fr, path);
    Type t = {want.dt, want.range, s};
    if (at >= 0 && !type_equal(fr->p->state.data[at].type, t)) {
        diag_error(fr->cx, b->loc, "'%s' was made as %s by its first call, here it is %s", path,
                   type_text(fr->cx, fr->p->state.data[at].type), type_text(fr->cx, t));
        return v_error();
    }
    if (at < 0) {
        Val init = initial_value(f, b, b->init, path, &want);
        if (init == NoVal) return v_error();
        state_add(fr, path, t, is_param && dtype_is_float(t.dt), init);
    }
    b_at(f->root->b, b->loc, NULL);
    return v_tensor(f, state_value(f, path, t, b->loc), want.dims);
}

static Binding *bind_state(Frame *f, const Stmt *st, bool is_param) {
    const Bind *b = &st->binds.data[0];
    uint32_t n = f->scope->names.len;
    bind_name(f, b->name, b->loc, declare_state(f, st, is_param), false);
    if (f->scope->names.len == n) return NULL; /* defined twice */
    f->scope->names.data[n].quiet = true;
    return &f->scope->names.data[n];
}

void lower_param(Frame *f, const Stmt *st) {
    bind_state(f, st, true);
}

void lower_buffer(Frame *f, const Stmt *st) {
    Binding *b = bind_state(f, st, false);
    if (!b || b->value.kind != VTensor) return;
    b->buffer = true;
    b->path = sym_fmt(f->fr->cx, "%s.%s", f->self->path, b->name);
}
