/* wrt= of a derivative operator: arguments, parameters, whole models. */
#include "frontend/lower_deriv.h"

const char *inst_title(const FnInst *inst) {
    return inst->item ? inst->item->name : inst->title ? inst->title : inst->fn->name;
}

static uint32_t add_param(Cx *cx, Wrt *w, const Fn *fn, uint32_t at) {
    vec_push(cx->arena, &w->names, fn->ins.data[at].name);
    vec_push(cx->arena, &w->index, at);
    return w->index.len - 1;
}

static uint32_t param_at(const Fn *fn, Sym path) {
    uint32_t at = 0;
    while (at < fn->nparams && fn->ins.data[at].name != path) at++;
    return at;
}

static bool add_model(Frame *f, const FnInst *inst, Wrt *w, Sym path, Loc loc) {
    Cx *cx = f->fr->cx;
    Group g = {.first = w->index.len, .model = true, .all = model_params(f->fr, path)};
    if (!params_known(f, loc, &g.all)) return false;
    g.at = NEW_ARRAY(cx->arena, uint32_t, g.all.parts.len);
    for (uint32_t i = 0; i < g.all.parts.len; i++) {
        uint32_t at = param_at(inst->fn, g.all.parts.data[i].path);
        g.at[i] = at < inst->fn->nparams ? add_param(cx, w, inst->fn, at) : NoVal;
    }
    g.n = w->index.len - g.first;
    if (g.n)
        vec_push(cx->arena, &w->groups, g);
    else
        diag_error(cx, loc, "'%s' does not use the parameters of '%s'", inst_title(inst), path);
    return g.n;
}

static bool add_wrt(Frame *f, const FnInst *inst, Wrt *w, const Expr *e) {
    Cx *cx = f->fr->cx;
    const Fn *fn = inst->fn;
    Sym path = ast_path(cx, e);
    uint32_t at = path ? param_at(fn, path) : fn->nparams;
    if (at == fn->nparams) {
        Sym place = place_path(f, e);
        if (place) path = place, at = param_at(fn, path);
    }
    if (at == fn->nparams) {
        bool model = path && (model_params(f->fr, path).parts.len ||
                              find_global(f->fr, path, ItModel, false));
        if (model) return add_model(f, inst, w, path, e->loc);
        VEC(const char *) names = {0};
        for (uint32_t i = 0; i < fn->nparams; i++)
            vec_push(cx->arena, &names, fn->ins.data[i].name);
        diag_unknown(cx, e->loc, path, names.data, names.len,
                     "'%s' has no argument or parameter '%s'", inst_title(inst), path ? path : "?");
        return false;
    }
    if (!dtype_is_float(fn->ins.data[at].type.dt)) {
        diag_error(cx, e->loc, "no derivative with respect to '%s': it is %s", path,
                   type_text(cx, fn->ins.data[at].type));
        return false;
    }
    Group g = {.first = w->index.len, .n = 1};
    add_param(cx, w, fn, at);
    vec_push(cx->arena, &w->groups, g);
    return true;
}

bool resolve_wrt(Frame *f, const FnInst *inst, const Expr *wrt, Loc loc, Wrt *w) {
    Cx *cx = f->fr->cx;
    const Fn *fn = inst->fn;
    for (uint32_t i = inst->ncaptures; !wrt && i < fn->nparams; i++) {
        if (!dtype_is_float(fn->ins.data[i].type.dt)) continue;
        Group g = {.n = 1};
        add_param(cx, w, fn, i);
        vec_push(cx->arena, &w->groups, g);
        return true;
    }
    if (!wrt) {
        diag_error(cx, loc, "'%s' has no float argument to differentiate", inst_title(inst));
        return false;
    }
    uint32_t count = wrt->kind == ExTuple ? wrt->elems.len : 1;
    for (uint32_t k = 0; k < count; k++) {
        const Expr *e = wrt->kind == ExTuple ? wrt->elems.data[k] : wrt;
        if (!add_wrt(f, inst, w, e)) return false;
    }
    return true;
}
