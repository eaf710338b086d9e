/* From a file to a program: imports, the library, declarations in order, the initial state. */
#include "frontend/lower.h"

#include <limits.h>
#include <stdlib.h>

/* ---- units ---- */

static void add_items(Front *fr, const Unit *u, bool in_std) {
    for (uint32_t i = 0; i < u->items.len; i++) {
        const Item *item = u->items.data[i];
        if (!in_std) vec_push(fr->cx->arena, &fr->order, item);
        if (item->name)
            vec_push(fr->cx->arena, &fr->globals, (Global){.item = item, .in_std = in_std});
    }
}

static const char *find_import(Front *fr, const Item *item) {
    Arena *a = fr->cx->arena;
    const char *slash = strrchr(item->loc.file, '/');
    const char *beside = arena_printf(a, "%.*s%s", slash ? (int)(slash - item->loc.file) + 1 : 0,
                                      item->loc.file, item->name);
    FILE *f = fopen(beside, "rb");
    for (uint32_t i = 0; !f && i < fr->opt->ninclude_dirs; i++) {
        beside = arena_printf(a, "%s/%s", fr->opt->include_dirs[i], item->name);
        f = fopen(beside, "rb");
    }
    if (f) fclose(f);
    return f ? beside : NULL;
}

static void load_imports(Front *fr, const Unit *u) {
    for (uint32_t i = 0; i < u->items.len; i++) {
        const Item *item = u->items.data[i];
        if (item->kind != ItImport || !strncmp(item->name, "std/", 4)) continue;
        const char *path = find_import(fr, item);
        if (!path) {
            diag_error(fr->cx, item->loc, "cannot find '%s'", item->name);
            continue;
        }
        char real[PATH_MAX];
        Sym key = sym(fr->cx, realpath(path, real) ? real : path);
        bool seen = false;
        for (uint32_t k = 0; k < fr->imported.len; k++) seen |= fr->imported.data[k] == key;
        if (seen) continue;
        vec_push(fr->cx->arena, &fr->imported, key);
        const Unit *other = parse_file(fr->cx, path);
        if (!other) continue;
        add_items(fr, other, false);
        load_imports(fr, other);
    }
}

static void load_std(Front *fr) {
    for (uint32_t i = 0; i < std_files_len; i++) {
        const StdFile *s = &std_files[i];
        const Unit *u = parse_text(fr->cx, sym(fr->cx, s->name), s->text, s->len);
        if (!u) {
            diag_render(fr->cx, stderr, false);
            BUG(fr->cx, "the standard library does not parse");
        }
        add_items(fr, u, true);
    }
}

/* ---- functions ---- */

static bool is_compile_time(const Bind *b) {
    return b->type && (b->type->name == TnInt || b->type->name == TnStr ||
                       (b->type->name == TnBool && b->init));
}

/* Parameters for formals of concrete type; false after a report. */
static bool concrete_arguments(Frame *f, const Item *item, CallArg *args, uint32_t *n) {
    *n = 0;
    Frame here = *f;
    here.item = item;
    for (uint32_t i = 0; i < item->formals.len; i++) {
        const Bind *b = &item->formals.data[i];
        if ((b->init && item->kind == ItFn) || is_compile_time(b)) continue;
        Want want;
        if (!b->type || b->type->tuple) {
            diag_error(f->fr->cx, b->loc, "an exported argument needs a tensor type");
            return false;
        }
        if (!eval_type(&here, b->type, &want)) return false;
        const Shape *s = dims_shape(f, b->loc, want.dims, want.rank);
        if (!s) return false;
        b_at(f->b, b->loc, NULL);
        Val v = b_param(f->b, b->name, (Type){want.dt, want.range, s});
        args[(*n)++] = (CallArg){.name = NULL, .loc = b->loc, .value = v_tensor(f, v, want.dims)};
    }
    return true;
}

/* Lowers a fn on its own; keep: it is an entry of the program. */
static void lower_entry(Front *fr, const Item *item, bool keep) {
    Cx *cx = fr->cx;
    if (item->statics.len) {
        diag_error(cx, item->name_loc, "an export fn has concrete shapes; '%s' has settings",
                   item->name);
        return;
    }
    Root *root = root_new(fr, item->name);
    Frame f = {
        .fr = fr, .root = root, .b = root->b, .real = fr->p->real, .training = fr->opt->check};
    uint32_t n, errors = cx->errors;
    CallArg *args = NEW_ARRAY(cx->arena, CallArg, item->formals.len + 1);
    if (!concrete_arguments(&f, item, args, &n)) return;
    Frame *callee = open_call(&f, (Loc){0}, item, NULL, NULL, args, n, NULL);
    Value v = callee ? close_call(callee) : v_error();
    if (v.kind == VError || cx->errors != errors) return;
    for (uint32_t i = 0, m = v.kind == VTuple ? v.n : 1; i < m; i++) {
        Value e = v.kind == VTuple ? v.elems[i] : v;
        e = v_materialise(&f, callee->result_loc, e, -1, NULL);
        if (e.kind != VTensor) return;
        b_result(f.b, e.v);
    }
    if (!keep) return;
    Fn *fn = root_done(fr, root);
    fn->loc = item->name_loc;
    fn->doc = item->doc;
    fn->exported = true;
    if (program_fn(fr->p, item->name)) {
        if (!cx->errors) BUG(cx, "'%s' is lowered twice", item->name);
        return;
    }
    fn->name = item->name;
    program_add(fr->p, fn);
}

/* Whether its header alone says all shapes. */
static bool concrete(const Item *item) {
    if (item->statics.len) return false;
    for (uint32_t i = 0; i < item->formals.len; i++) {
        const Bind *b = &item->formals.data[i];
        if (!b->init && (!b->type || b->type->tuple || is_compile_time(b))) return false;
    }
    return true;
}

/* ---- the initial state ---- */

/* The instruction that reads v first, or its own. */
static const Ins *first_reader(const Fn *fn, Val v) {
    for (Val u = fn->nparams; u < fn->ins.len; u++) {
        const Ins *i = &fn->ins.data[u];
        for (uint32_t k = 0; k < i->nargs; k++) {
            if (i->args[k] == v) return i;
        }
    }
    return &fn->ins.data[v];
}

static void finish_init(Front *fr) {
    Program *p = fr->p;
    if (!p->state.len || p->init) return;
    for (uint32_t i = 0; i < fr->init_vals.len; i++) b_result(fr->init->b, fr->init_vals.data[i]);
    capture(fr->init, fr, sym(fr->cx, "train.key"), type_of(I64, shape_scalar(fr->cx)));
    Fn *fn = root_done(fr, fr->init);
    for (Val v = 0; v < fn->nparams; v++) {
        if (!strcmp(fn->ins.data[v].name, "train.key")) continue;
        diag_error(fr->cx, first_reader(fn, v)->loc,
                   "an initialiser reads '%s'; it sees compile-time values only",
                   fn->ins.data[v].name);
    }
    for (uint32_t i = fr->order.len; i-- > 0;) {
        if (fr->order.data[i]->kind == ItModel) fn->loc = fr->order.data[i]->name_loc;
    }
    fn->name = program_fresh(p, "init_state");
    program_add(p, fn);
    p->init = fn->name;
}

/* ---- the program ---- */

static bool is_ir_text(const Front *fr) {
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        if (item->kind == ItFn && item_is_ir(item)) return true;
    }
    return false;
}

static void lower_declarations(Front *fr) {
    check_items(fr);
    apply_defines(fr);
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        if (item->kind == ItConst) lower_const(fr, item);
        if (item->kind == ItHyper) lower_hyper(fr, item);
    }
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        if (item->kind == ItDataset) lower_dataset(fr, item);
        if (item->kind == ItModel)
            lower_expr(&fr->top, &(Expr){.kind = ExName, .name = item->name, .loc = item->name_loc},
                       NULL);
    }
}

static bool used(Front *fr, const Item *item) {
    for (uint32_t i = 0; i < fr->lowered.len; i++) {
        if (fr->lowered.data[i] == item) return true;
    }
    return false;
}

/* The user's rules for operations belong to the program's text. */
static void keep_op_rules(Front *fr) {
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        if (!is_rule(item) || op_by_name(item->name) == OpCount ||
            find_global(fr, item->name, ItFn, false))
            continue;
        Text t = {0};
        ast_print_item(item, &t);
        vec_push(fr->cx->arena, &fr->p->op_rules, text_done(&t, fr->cx->arena));
    }
}

/* The fn that FrontOptions.entry names, before its name is taken. */
static void lower_wanted(Front *fr) {
    for (uint32_t i = 0; fr->opt->entry && i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        if (item->kind == ItFn && !item->exported && !item_is_ir(item) && concrete(item) &&
            !strcmp(item->name, fr->opt->entry)) {
            lower_entry(fr, item, true);
            return;
        }
    }
}

static void lower_items(Front *fr) {
    keep_op_rules(fr);
    bool ir = is_ir_text(fr);
    if (ir) lower_ir_text(fr);
    lower_wanted(fr);
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        if (item->kind == ItFn && item->exported && !item_is_ir(item)) lower_entry(fr, item, true);
        if (item->kind == ItTrain && !item_is_ir_train(item)) lower_train(fr, item);
    }
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        if (item->kind == ItFn && !item->exported && !item_is_ir(item) && !used(fr, item) &&
            concrete(item)) {
            lower_entry(fr, item, false);
        }
    }
    if (!ir) finish_init(fr);
    for (uint32_t i = 0; i < fr->p->datasets.len; i++) {
        const Dataset *d = fr->p->datasets.data[i];
        if (d->row && !program_fn(fr->p, d->row))
            diag_error(fr->cx, d->loc, "row=%s is no function of the file", d->row);
    }
}

static Sym program_name(Cx *cx, const char *path) {
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t n = strlen(base);
    if (n > 3 && !strcmp(base + n - 3, ".bp")) n -= 3;
    return sym_n(cx, base, n);
}

static Front *load_unit(Cx *cx, const Unit *u, const FrontOptions *o, const Front *before) {
    Front *fr = NEW(cx->arena, Front);
    fr->cx = cx;
    fr->opt = o;
    Program *p = fr->p = program_new(cx);
    p->path = u->file;
    p->name = program_name(cx, u->file);
    p->real = o->float64 ? F64 : F32;
    p->rule = front_rule;
    p->front = fr;
    if (before) all_params(before, fr);
    Root *constants = root_new(fr, sym(cx, "top"));
    fr->top = (Frame){
        .fr = fr, .root = constants, .b = constants->b, .real = p->real, .training = o->check};
    scope_push(&fr->top);
    fr->init = root_new(fr, sym(cx, "init_state"));
    char real[PATH_MAX];
    vec_push(cx->arena, &fr->imported, sym(cx, realpath(u->file, real) ? real : u->file));
    add_items(fr, u, false);
    load_imports(fr, u);
    load_std(fr);
    if (u->items.len && u->items.data[0]->doc) p->doc = u->items.data[0]->doc;
    lower_declarations(fr);
    lower_items(fr);
    return fr;
}

/* Where the parameters of a model are asked for before its first call, a first round finds them;
 * what that round reports is said by the second. */
static Program *load(Cx *cx, const Unit *u, const FrontOptions *o, double start) {
    cx_took(cx, start, "parse");
    if (!u) return NULL;
    start = now_seconds();
    uint32_t diags = cx->diags.len, errors = cx->errors;
    Front *fr = load_unit(cx, u, o, NULL);
    if (fr->asked) {
        cx->diags.len = diags;
        cx->errors = errors;
        fr = load_unit(cx, u, o, fr);
    }
    cx_took(cx, start, "lower");
    return cx->errors ? NULL : fr->p;
}

Program *front_load_text(Cx *cx, Sym name, const char *text, size_t len, const FrontOptions *o) {
    double start = now_seconds();
    return load(cx, parse_text(cx, name, text, len), o, start);
}

Program *front_load(Cx *cx, const char *path, const FrontOptions *o) {
    double start = now_seconds();
    return load(cx, parse_file(cx, path), o, start);
}
