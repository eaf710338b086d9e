/* Settings in [ ]: of a module, of an instance, of a call. */
#include "frontend/lower.h"

/* Whether the arguments tell it. */
static bool told(const Item *item, const Bind *b) {
    bool found = b->spread;
    for (uint32_t i = 0; i < item->formals.len; i++) {
        const TypeX *t = item->formals.data[i].type;
        for (uint32_t k = 0; t && k < t->dims.len; k++) {
            const Expr *e = t->dims.data[k].e;
            found |= e && e->kind == ExName && e->name == b->name;
        }
    }
    return found;
}

const char *setting_example(const Item *item) {
    for (uint32_t i = 0; i < item->statics.len; i++)
        if (!told(item, &item->statics.data[i])) return item->statics.data[i].name;
    return "N";
}

bool check_setting(Frame *f, const Item *item, Sym name, Loc loc) {
    Cx *cx = f->fr->cx;
    VEC(const char *) names = {0};
    for (uint32_t i = 0; i < item->statics.len; i++) {
        if (item->statics.data[i].name == name) return true;
        if (!item->statics.data[i].spread) vec_push(cx->arena, &names, item->statics.data[i].name);
    }
    Text list = {0};
    text_add(&list, names.len ? "; it takes " : "");
    for (uint32_t i = 0; i < names.len; i++)
        text_add(&list, "%s%s", !i ? "" : i + 1 < names.len ? ", " : " and ", names.data[i]);
    diag_unknown(cx, loc, name, names.data, names.len, "'%s' has no setting '%s'%s", item->name,
                 name, text_done(&list, cx->arena));
    diag_note(cx, item->name_loc, "declared here");
    return false;
}

static bool set_static(Frame *callee, Loc loc, Sym name, Value v) {
    Front *fr = callee->fr;
    if (!strcmp(name, "params")) return substitute_params(callee, loc, callee->self, v);
    if (!strcmp(name, "training")) {
        if (v.kind == VBool) {
            callee->training = v.i;
            return true;
        }
        diag_error(fr->cx, loc, "training is a bool");
        return false;
    }
    if (!check_setting(callee, callee->item, name, loc)) return false;
    Static *s = header_static(callee->hdr, name);
    const TypeX *t = s->bind->type;
    bool dimension = !s->bind->init && !t;
    ValueKind want = s->spread                              ? VList
                     : dimension || (t && t->name == TnInt) ? VInt
                     : t && t->name == TnBool               ? VBool
                     : t && t->name == TnStr                ? VStr
                                                            : v.kind;
    if (t && t->has_dims) {
        if (!bind_compile_time(callee, s->bind, &v, loc)) return false;
        want = v.kind;
    }
    if (t && !t->has_dims && v.kind == VInt && want != VInt && want != VBool)
        v = v_float((double)v.i), want = v.kind;
    if (v.kind != want) {
        diag_error(fr->cx, loc, "setting '%s' cannot be %s", name, v_describe(callee, v));
        return false;
    }
    s->solved = true;
    s->value = v;
    if (v.kind == VInt && dimension) {
        s->dim = (DimName){
            .header = callee->hdr, .name = name, .bound = {v.i, v.tag ? v.tag : &dim_computed}};
        s->value.tag = &s->dim;
    } else if (v.kind == VInt) {
        s->value.tag = &dim_computed;
    }
    return true;
}

bool bind_settings(Frame *callee, Frame *f, Instance *self, const Args *settings) {
    if (self) {
        for (uint32_t i = 0; i < self->settings.len; i++) {
            struct Setting *s = &self->settings.data[i];
            if (!set_static(callee, callee->call_loc, s->name, s->value)) return false;
        }
    }
    for (uint32_t i = 0; settings && i < settings->len; i++) {
        const Arg *a = &settings->data[i];
        if (!a->name) {
            diag_error(f->fr->cx, a->loc, "settings are given by name, as in '%s[%s=...]'",
                       callee->item->name, setting_example(callee->item));
            return false;
        }
        Value v = lower_expr(f, a->value, NULL);
        if (v.kind == VError || !set_static(callee, a->loc, a->name, v)) return false;
    }
    return true;
}
