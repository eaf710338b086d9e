/* Constants and hyperparameters of the program, and what -D makes of them. */
#include "frontend/lower.h"

#include <errno.h>
#include <stdlib.h>

static const char *define_of(const Front *fr, Sym name) {
    size_t n = strlen(name);
    for (uint32_t i = 0; i < fr->opt->ndefines; i++) {
        const char *d = fr->opt->defines[i];
        if (!strncmp(d, name, n) && d[n] == '=') return d + n + 1;
    }
    return NULL;
}

static bool parse_define(const char *text, Value *out) {
    char *end;
    errno = 0;
    long long i = strtoll(text, &end, 10);
    if (*text && !*end && !errno) return *out = v_int(i, &dim_computed), true;
    double d = strtod(text, &end);
    if (*text && !*end) return *out = v_float(d), true;
    if (!strcmp(text, "true") || !strcmp(text, "false")) return *out = v_bool(text[0] == 't'), true;
    return false;
}

static Global *global_of(Front *fr, const Item *item) {
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        if (fr->globals.data[i].item == item) return &fr->globals.data[i];
    }
    return NULL;
}

/* -D replaces the value of a const, not its kind: an integer is a float where a float stood. */
static void define_const(Front *fr, const Item *item, const char *text) {
    Global *g = global_of(fr, item);
    Value v;
    g->ready = true;
    if (!parse_define(text, &v)) {
        diag_error(fr->cx, (Loc){0}, "-D%s=%s: not an integer, a float or a bool", item->name,
                   text);
        return;
    }
    Value own = lower_expr(&fr->top, item->init.init, NULL);
    if (item->init.type) const_typed(&fr->top, item, &own);
    if (v.kind == VInt && own.kind == VFloat) v = v_float((double)v.i);
    bool fits = v.kind == own.kind;
    g->value = fits ? v : v_error();
    if (fits || own.kind == VError) return;
    diag_error(fr->cx, (Loc){0}, "-D%s=%s: '%s' is %s", item->name, text, item->name,
               v_describe(&fr->top, own));
    diag_note(fr->cx, item->name_loc, "declared here");
}

void lower_const(Front *fr, const Item *item) {
    Value v = lower_expr(&fr->top,
                         &(Expr){.kind = ExName, .name = item->name, .loc = item->name_loc}, NULL);
    if (v.kind == VError) return;
    if (!v_is_number(v) && v.kind != VList) {
        diag_error(fr->cx, item->init.init->loc,
                   "a const is an integer, a float or a bool known at compile time");
        return;
    }
    Text t = {0};
    char buf[40];
    if (v.kind == VFloat)
        print_f64(buf, v.f);
    else if (v.kind == VBool)
        snprintf(buf, sizeof buf, v.i ? "true" : "false");
    else
        snprintf(buf, sizeof buf, "%lld", (long long)v.i);
    if (v.kind == VList)
        ast_print_expr(item->init.init, &t);
    else
        text_add(&t, "%s", buf);
    vec_push(fr->cx->arena, &fr->p->consts,
             (ConstDecl){item->name, sym(fr->cx, text_done(&t, fr->cx->arena))});
}

/* Trainer options that a hyper would hide. */
static const char *const trainer_options[] = {
#define OPTION(name, ...) name,
#include "base/trainer_options.def"
};

void lower_hyper(Front *fr, const Item *item) {
    Cx *cx = fr->cx;
    for (size_t i = 0; i < LEN(trainer_options); i++) {
        if (strcmp(item->name, trainer_options[i])) continue;
        diag_error(cx, item->name_loc,
                   "a hyper cannot be named '%s': the trainer has an option of that name",
                   item->name);
        return;
    }
    Value v = lower_expr(&fr->top, item->init.init, NULL);
    if (v.kind == VError) return;
    const TypeX *type = item->init.type;
    if (!v_is_number(v) || (type && (type->tuple || type->has_dims || type->range))) {
        diag_error(cx, v_is_number(v) ? type->loc : item->init.init->loc,
                   "a hyper is one number or bool");
        return;
    }
    DType dt = type               ? type_name_dtype(&fr->top, type->name)
               : v.kind == VBool ? BOOL
                                  : fr->p->real;
    bool fits = dtype_is_float(dt) ? v.kind != VBool : v.kind == (dt == BOOL ? VBool : VInt);
    if (!fits || (dt == I32 && v.i != (int32_t)v.i)) {
        diag_error(cx, item->init.init->loc, "'%s' is declared %s, this is %s", item->name,
                   dtype_name(dt), v_describe(&fr->top, v));
        return;
    }
    Hyper h = {.name = item->name,
               .dt = dt,
               .value = v.kind == VFloat ? v.f : (double)v.i,
               .doc = item->doc,
               .loc = item->name_loc};
    vec_push(cx->arena, &fr->p->hypers, h);
}

void apply_defines(Front *fr) {
    for (uint32_t i = 0; i < fr->opt->ndefines; i++) {
        const char *d = fr->opt->defines[i], *eq = strchr(d, '=');
        Sym name = sym_n(fr->cx, d, eq ? (size_t)(eq - d) : strlen(d));
        if (!eq)
            diag_error(fr->cx, (Loc){0}, "-D%s: write -D%s=VALUE", name, name);
        else if (!find_global(fr, name, ItConst, false))
            diag_error(fr->cx, (Loc){0}, "-D%s: the program has no const of that name", name);
    }
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        const char *text = item->kind == ItConst ? define_of(fr, item->name) : NULL;
        if (text) define_const(fr, item, text);
    }
}
