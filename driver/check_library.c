/* Every function of the library that has a rule: for each, programs that call it once,
 *
 *   export fn t(x: f64[2, 3]) -> f64[2, 3] { return softmax(x, axis=-1); }
 *
 * with sizes put in for the names of its header and values for its settings. Those that the front
 * end refuses are none. */
#include "driver/check_table.h"

#include <ctype.h>
#include <stdlib.h>

/* Sizes for the names of a header: the list of *S, and the others in turn. */
static const struct {
    const char *list;
    int64_t size[4];
} sizes[] = {
    {"3", {5, 3, 7, 4}}, {"2, 3", {3, 5, 2, 7}}, {"", {5, 3, 2, 2}},  {"1, 1", {1, 1, 1, 1}},
    {"0", {3, 2, 5, 2}}, {"2", {0, 3, 2, 2}},    {"7", {3, 3, 3, 3}},   {"0, 3", {3, 2, 2, 5}},
};

/* A type with sizes for names: "real[*S, D]" as "f64[2, 3, 5]". */
static void put_sizes(Text *out, const char *type, const Item *fn, size_t variant,
                      const char *real) {
    while (*type) {
        size_t n = 0;
        while (isalnum((unsigned char)type[n]) || type[n] == '_') n++;
        if (!n) {
            bool list = type[0] == '*';
            const char *values = sizes[variant].list;
            if (list) {
                for (type++; isalnum((unsigned char)*type); type++) continue;
                text_add(out, "%s", values);
                if (!*values && !strncmp(type, ", ", 2)) type += 2;
            } else {
                text_addn(out, type++, 1);
            }
            continue;
        }
        uint32_t k = 0, index = 0;
        for (; k < fn->statics.len; k++) {
            const Bind *b = &fn->statics.data[k];
            if (!b->spread && strlen(b->name) == n && !strncmp(b->name, type, n)) break;
            index += !b->spread;
        }
        if (k < fn->statics.len) text_add(out, "%lld", (long long)sizes[variant].size[index % 4]);
        else if (n == 4 && !strncmp(type, "real", 4)) text_add(out, "%s", real);
        else text_addn(out, type, n);
        type += n;
    }
}

static char *type_source(Arena *a, const TypeX *t) {
    Text out = {0};
    ast_print_type(t, &out);
    return text_done(&out, a);
}

/* A value for a setting, or NULL for its default. */
static const char *setting(const char *type, int way, bool has_default) {
    if (!strcmp(type, "bool")) return way == 1 ? "true" : "false";
    if (!strcmp(type, "int")) return has_default ? (way ? "0" : NULL) : "2";
    if (!strncmp(type, "int[", 4)) return way ? "[0]" : NULL;
    return NULL;
}

/* " [] " behind a type whose list is empty is a scalar. */
static void drop_empty(Text *t) {
    for (char *at; t->data && (at = strstr(t->data, "[]")) != NULL; t->len -= 2) {
        memmove(at, at + 2, strlen(at + 2) + 1);
    }
    for (char *at; t->data && (at = strstr(t->data, ", ]")) != NULL; t->len -= 2) {
        memmove(at, at + 2, strlen(at + 2) + 1);
    }
}

static char *call_text(Check *c, const Item *fn, size_t variant, int way, const char *real) {
    Text formals = {0}, call = {0}, out = {0};
    for (uint32_t k = 0; k < fn->formals.len; k++) {
        const Bind *b = &fn->formals.data[k];
        char *type = type_source(c->a, b->type);
        bool tensor = !strncmp(type, "real", 4) && !b->init;
        const char *value = tensor ? NULL : setting(type, way, b->init != NULL);
        if (tensor) {
            text_add(&formals, "%s%s: ", formals.len ? ", " : "", b->name);
            put_sizes(&formals, type, fn, variant, real);
            text_add(&call, "%s%s", call.len ? ", " : "", b->name);
        } else if (value) {
            text_add(&call, "%s%s=%s", call.len ? ", " : "", b->name, value);
        }
    }
    drop_empty(&formals);
    text_add(&out, "export fn t(%s) { return %s(%s); }\n", formals.data ? formals.data : "",
             fn->name, call.data ? call.data : "");
    free(formals.data);
    free(call.data);
    return text_done(&out, c->a);
}

/* The call in t. */
static bool site_of_call(Check *c, Sym name, Site *s) {
    const Fn *t = program_fn(c->p, sym(c->p->cx, "t"));
    size_t len = strlen(name);
    for (Val v = 0; t && v < t->ins.len; v++) {
        const Ins *i = &t->ins.data[v];
        if (i->op != Op_call || strncmp(i->attrs[0].s, name, len)) continue;
        const Fn *callee = program_fn(c->p, i->attrs[0].s);
        *s = (Site){.c = c, .ins = i, .name = i->attrs[0].s, .nresults = callee->results.len};
        s->args = NEW_ARRAY(c->p->cx->arena, Type, i->nargs);
        s->results = NEW_ARRAY(c->p->cx->arena, Type, s->nresults);
        for (uint32_t k = 0; k < i->nargs; k++) s->args[k] = t->ins.data[i->args[k]].type;
        for (uint32_t k = 0; k < s->nresults; k++) s->results[k] = result_type(callee, k);
        return true;
    }
    return false;
}

static void prove_call(TableRow *r, const Item *fn, size_t variant, int way, const char *real) {
    static const FrontOptions options = {.check = true};
    Check *c = r->c;
    Cx *cx = c->o->cx;
    uint32_t errors = cx->errors, diags = cx->diags.len;
    cx->errors = 0; /* an earlier row is no reason to refuse this one */
    char *text = call_text(c, fn, variant, way, real);
    Site s;
    c->p = front_load_text(cx, sym_fmt(cx, "%s %zu%d %s", fn->name, variant, way, real), text,
                           strlen(text), &options);
    if (!c->p) {
        cx->errors = errors;
        cx->diags.len = diags;
        return;
    }
    r->shown = text;
    if (site_of_call(c, fn->name, &s)) table_prove(r, &s, DomAny);
    cx->errors += errors;
}

/* One way without settings, two to choose them, three where axes may be with and without the
 * rest. */
static int ways_of(Check *c, const Item *fn) {
    int ways = 1;
    for (uint32_t k = 0; k < fn->formals.len; k++) {
        const TypeX *t = fn->formals.data[k].type;
        if (!fn->formals.data[k].init || t->name == TnReal) continue;
        int here = strncmp(type_source(c->a, t), "int[", 4) ? 2 : 3;
        if (here > ways) ways = here;
    }
    return ways;
}

static void prove_function(Check *c, const Item *fn) {
    Program *before = c->p;
    TableRow r = {.c = c};
    int ways = ways_of(c, fn);
    for (int k = 0; k < ways; k++) {
        for (size_t v = 0; v < LEN(sizes); v++) {
            prove_call(&r, fn, v, k, "f64");
            if (v < 2) prove_call(&r, fn, v, k, "f32");
        }
    }
    c->p = before;
    table_row(&r, fn->name);
}

typedef VEC(const Item *) Items;

static const Item *function_of(const Items *all, const Item *rule) {
    for (uint32_t i = 0; i < all->len; i++) {
        const Item *f = all->data[i];
        bool same = f->kind == ItFn && f->name == rule->name;
        if (same && f->formals.len == rule->formals.len) return f;
    }
    return NULL;
}

void prove_library(Check *c) {
    Cx *cx = c->o->cx;
    Items all = {0}, done = {0};
    for (uint32_t i = 0; i < std_files_len; i++) {
        const StdFile *f = &std_files[i];
        const Unit *u = parse_text(cx, sym(cx, f->name), f->text, f->len);
        for (uint32_t k = 0; u && k < u->items.len; k++)
            vec_push(cx->arena, &all, u->items.data[k]);
    }
    for (uint32_t i = 0; i < all.len; i++) {
        const Item *rule = all.data[i];
        if (rule->kind != ItBackward && rule->kind != ItForward) continue;
        const Item *fn = op_by_name(rule->name) == OpCount ? function_of(&all, rule) : NULL;
        bool again = false;
        for (uint32_t k = 0; k < done.len; k++) again |= done.data[k] == fn;
        if (!fn || again) continue;
        vec_push(cx->arena, &done, fn);
        if (table_wanted(c, fn->name)) prove_function(c, fn);
    }
}
