/* The command line into Options, by the tables of commands.c. */
#include "driver/commands.h"

#include <stdlib.h>

static const Loc nowhere = {0};

/* Whether the value is one of those of the row; an error if not. */
static bool known_value(Options *o, const OptionRow *r, const char *value) {
    enum { Max = 16 };
    const char *names[Max];
    size_t n = 0;
    if (!r->values) return true;
    char *copy = arena_strndup(o->cx->arena, r->values, strlen(r->values)), *rest;
    for (char *v = strtok_r(copy, "|", &rest); v && n < Max; v = strtok_r(NULL, "|", &rest)) {
        if (!strcmp(v, value)) return true;
        names[n++] = v;
    }
    const char *what = !strcmp(r->name, "--emit=") ? "no such stage" : r->values;
    diag_unknown(o->cx, nowhere, value, names, n, "%s%s: %s", r->name, value, what);
    return false;
}

static void set_text(Options *o, const OptionRow *r, const char *value) {
    if (!known_value(o, r, value)) return;
    if (!strcmp(r->name, "--float=")) {
        o->float64 = !strcmp(value, "f64");
        return;
    }
    *(const char **)((char *)o + r->offset) = value;
    if (!strcmp(r->name, "--emit=")) o->output = OutStage;
}

static void set_number(Options *o, const OptionRow *r, const char *value) {
    char *end;
    long long n = strtoll(value, &end, 10);
    if (!*value || *end || n < 0) {
        diag_error(o->cx, nowhere, "%s%s: not a number that fits", r->name, value);
        return;
    }
    if (known_value(o, r, value)) *(int64_t *)((char *)o + r->offset) = n;
}

/* "64M" */
static void set_bytes(Options *o, const OptionRow *r, const char *value) {
    static const char suffixes[] = "KMG";
    char *end;
    unsigned long long n = strtoull(value, &end, 10), unit = 1;
    const char *s = *end ? strchr(suffixes, *end) : NULL;
    for (const char *c = suffixes; s && c <= s; c++) unit *= 1024;
    if (s) end++;
    size_t bytes;
    bool digits = *value >= '0' && *value <= '9';
    if (!digits || *end || !n || !size_mul((size_t)n, (size_t)unit, &bytes) || bytes > INT64_MAX) {
        diag_error(o->cx, nowhere, "%s%s: not a number of bytes, such as 64M", r->name, value);
        return;
    }
    *(int64_t *)((char *)o + r->offset) = (int64_t)bytes;
}

typedef VEC(const char *) Strings;

static void set(Options *o, const OptionRow *r, const char *value) {
    char *field = (char *)o + r->offset;
    switch (r->kind) {
    case Flag:
        *(bool *)field = true;
        break;
    case Preset:
        *(Output *)field = (Output)r->preset;
        break;
    case Text_:
        set_text(o, r, value);
        break;
    case Number:
        set_number(o, r, value);
        break;
    case Bytes:
        set_bytes(o, r, value);
        break;
    case List:
        vec_push(o->cx->arena, (Strings *)field, value);
        break;
    }
}

/* The row an argument begins; *value: what is glued to it, or NULL. */
static const OptionRow *find_row(const char *arg, const char **value) {
    for (size_t i = 0; i < option_rows_len; i++) {
        const OptionRow *r = &option_rows[i];
        size_t n = strlen(r->name);
        *value = NULL;
        if (!strcmp(arg, r->name) && r->name[n - 1] != '=') return r;
        if (r->name[n - 1] == '=' && !strncmp(arg, r->name, n - 1) && !arg[n - 1]) return r;
        if (option_glued(r) && !strncmp(arg, r->name, n)) {
            *value = arg + n;
            return r;
        }
    }
    return NULL;
}

static void unknown(Options *o, const char *arg) {
    const char **names = NEW_ARRAY(o->cx->arena, const char *, option_rows_len);
    size_t n = 0;
    for (size_t i = 0; i < option_rows_len; i++) {
        if (option_rows[i].help) names[n++] = option_rows[i].name;
    }
    diag_unknown(o->cx, nowhere, arg, names, n, "unknown option '%s'%s", arg,
                 o->verb && !strcmp(o->verb, "run") ? "; those of the trainer follow '--'" : "");
}

static void warning_option(Options *o, const char *arg) {
    const char *names[16];
    size_t n = warning_names(names, LEN(names));
    if (!strcmp(arg, "-Werror")) {
        o->cx->werror = true;
    } else if (!strncmp(arg, "-Wno-", 5)) {
        for (size_t i = 0; i < n; i++) {
            if (strcmp(names[i], arg + 5)) continue;
            vec_push(o->cx->arena, &o->cx->disabled_warnings, sym(o->cx, arg + 5));
            return;
        }
        diag_unknown(o->cx, nowhere, arg + 5, names, n, "no warning has the name '%s'", arg + 5);
    } else if (strcmp(arg, "-Wall")) {
        unknown(o, arg);
    }
}

/* The word behind the file is o->fn. */
static bool takes_function(const Options *o) {
    static const char *const verbs[] = {"call", "trace", "explain"};
    for (size_t i = 0; o->verb && i < LEN(verbs); i++) {
        if (!strcmp(o->verb, verbs[i])) return true;
    }
    return false;
}

static void positional(Options *o, const char *arg) {
    const Verb *v = o->file || o->verb ? NULL : verb_find(arg);
    if (v) {
        o->verb = v->name;
    } else if (!o->file && !o->rules) {
        o->file = arg;
    } else if (takes_function(o) && !o->fn) {
        o->fn = arg;
    } else if (o->rules || (o->verb && (!strcmp(o->verb, "fmt") || !strcmp(o->verb, "trace")))) {
        vec_push(o->cx->arena, &o->rest, arg);
    } else {
        diag_error(o->cx, nowhere, "unexpected argument '%s'; one file is compiled", arg);
    }
}

/* Options that the verb does not know. */
static void check_used(Options *o, const OptionRow *const *used, size_t n) {
    const Verb *v = verb_find(o->verb);
    for (size_t i = 0; i < n; i++) {
        if (used[i]->verbs & (v ? v->bit : ForCompile)) continue;
        diag_error(o->cx, nowhere, "'%s' is no option of 'bpc%s%s'", used[i]->name, v ? " " : "",
                   v ? v->name : "");
    }
}

void command_parse(Options *o, int argc, char **argv) {
    Arena *a = o->cx->arena;
    VEC(const OptionRow *) used = {0};
    o->level = 2;
    o->limit = -1;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value;
        bool calling = o->verb && !strcmp(o->verb, "call") && o->fn;
        if (!strcmp(arg, "--")) {
            while (++i < argc) vec_push(a, &o->rest, argv[i]);
            break;
        }
        if (arg[0] != '-' || !arg[1]) {
            positional(o, arg);
            continue;
        }
        const OptionRow *r = find_row(arg, &value);
        if (!strncmp(arg, "-W", 2)) {
            warning_option(o, arg);
        } else if (!r && calling) { /* for the program: --in A.npz, --HYPER VALUE */
            vec_push(a, &o->rest, arg);
            if (!strchr(arg, '=') && i + 1 < argc) vec_push(a, &o->rest, argv[++i]);
        } else if (!r) {
            unknown(o, arg);
        } else {
            bool needs = r->kind != Flag && r->kind != Preset;
            if (needs && !value) value = i + 1 < argc ? argv[++i] : NULL;
            if (needs && !value)
                diag_error(o->cx, nowhere, "%s needs %s", arg, r->arg);
            else
                set(o, r, value);
            vec_push(a, &used, r);
        }
    }
    check_used(o, used.data, used.len);
}
