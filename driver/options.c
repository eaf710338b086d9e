/* The command line: one table for parsing and help. */
#include "driver/driver.h"

#include <stdlib.h>

typedef enum Kind { Flag, Text_, Number, List, Preset } Kind;

typedef struct Row {
    const char
        *name; /* with its dashes; a trailing '=' takes what follows, else the next argument */
    Kind kind;
    size_t offset;
    int preset; /* Preset: the Output */
    const char *arg, *help;
} Row;

#define AT(field) offsetof(Options, field)
static const Row rows[] = {
    {"-o", Text_, AT(out), 0, "FILE", "where the result goes"},
    {"-c", Preset, AT(output), OutObject, NULL, "an object and its C header"},
    {"-shared", Preset, AT(output), OutShared, NULL, "a shared library"},
    {"-S", Preset, AT(output), OutAssembly, NULL, "assembly"},
    {"-emit-llvm", Preset, AT(output), OutLlvm, NULL, "LLVM IR"},
    {"--emit=", Text_, AT(stage), 0, "STAGE",
     "print ast ir grad opt kernels plan llvm asm or header"},
    {"-O", Number, AT(level), 0, "N", "optimisation level 0 to 3 (default 2)"},
    {"-g", Flag, AT(debug), 0, NULL, "keep the symbols of a trainer"},
    {"-march=", Text_, AT(cpu), 0, "CPU", "target processor (default native)"},
    {"--target=", Text_, AT(triple), 0, "TRIPLE", "target system"},
    {"-D", List, AT(defines), 0, "NAME=VALUE", "value of a const"},
    {"-I", List, AT(includes), 0, "DIR", "where imports are looked for"},
    {"--float=", Text_, AT(float64), 0, "f32|f64", "f64: every f32 becomes f64"},
    {"--time-passes", Flag, AT(time), 0, NULL, "how long each pass takes"},
    {"--emit-after=", Text_, AT(emit_after), 0, "PASS", "print the program after a pass"},
    {"--stop-after=", Text_, AT(stop_after), 0, "PASS", "run no pass after it"},
    {"--pass-limit=", Number, AT(limit), 0, "N", "run at most N passes"},
    {"--verify-each", Flag, AT(verify_each), 0, NULL, "verify the program after every pass"},
    {"-fdiagnostics-color=", Text_, AT(color), 0, "auto|always|never", "colour of messages"},
    {"--libdir=", Text_, AT(libdir), 0, "DIR", "where libbprt.a lies"},
    {"-v", Flag, AT(verbose), 0, NULL, "say what is run"},
    {"-save-temps", Flag, AT(save_temps), 0, NULL, "keep the object file"},
    {"--rules", Flag, AT(rules), 0, NULL, "check: the whole table of rules"},
    {"--list-ops", Flag, AT(list_ops), 0, NULL, "the operations"},
    {"--list-passes", Flag, AT(list_passes), 0, NULL, "the passes"},
    {"--version", Flag, AT(version), 0, NULL, "the version"},
    {"--help", Flag, AT(help), 0, NULL, "this text"},
};

static const struct {
    const char *name, *usage, *help;
    bool ready;
} verbs[] = {
    {"run", "run FILE.bp [-- ARGS]", "compile in memory and train", true},
    {"call", "call FILE.bp FN [--in A.npz] [--out B.npz] [--ckpt W] [--seed N] [--HYPER V]",
     "run one export fn on arrays", true},
    {"check", "check FILE.bp", "prove every derivative the file uses", true},
    {"trace", "trace FILE.bp FN x=2", "values, then adjoints, step by step", false},
    {"explain", "explain FILE.bp PARAM", "how a parameter's gradient arises", false},
    {"fmt", "fmt FILE.bp", "canonical layout", false},
};

static const Loc nowhere = {0};

/* An option that shares its field with another is told apart here. */
static void set_text(Options *o, const Row *r, const char *value) {
    static const char *const stages[] = {"ast",  "ir",  "grad",   "opt", "kernels", "plan",
                                         "llvm", "asm", "header", "dot", "svg"};
    if (!strcmp(r->name, "--float=")) {
        o->float64 = !strcmp(value, "f64");
        if (!o->float64 && strcmp(value, "f32"))
            diag_error(o->cx, nowhere, "--float=%s: f32 or f64", value);
        return;
    }
    *(const char **)((char *)o + r->offset) = value;
    if (strcmp(r->name, "--emit=")) return;
    o->output = OutStage;
    for (size_t i = 0; i < LEN(stages); i++) {
        if (!strcmp(stages[i], value)) return;
    }
    const char *near = nearest_name(value, stages, LEN(stages));
    diag_error(o->cx, nowhere, "--emit=%s: no such stage%s%s%s", value,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void set_number(Options *o, const Row *r, const char *value) {
    char *end;
    long long n = strtoll(value, &end, 10);
    if (!*value || *end || n < 0 || (!strcmp(r->name, "-O") && n > 3)) {
        diag_error(o->cx, nowhere, "%s%s: not a number that fits", r->name, value);
        return;
    }
    *(int64_t *)((char *)o + r->offset) = n;
}

typedef VEC(const char *) Strings;

static void set(Options *o, const Row *r, const char *value) {
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
    case List:
        vec_push(o->cx->arena, (Strings *)field, value);
        break;
    }
}

/* The row an argument begins; *value: what is glued to it, or NULL. */
static const Row *find_row(const char *arg, const char **value) {
    for (size_t i = 0; i < LEN(rows); i++) {
        const Row *r = &rows[i];
        size_t n = strlen(r->name);
        bool glued = r->name[n - 1] == '=' || r->kind == List || !strcmp(r->name, "-O");
        *value = NULL;
        if (!strcmp(arg, r->name) && r->name[n - 1] != '=') return r;
        if (r->name[n - 1] == '=' && !strncmp(arg, r->name, n - 1) && !arg[n - 1]) return r;
        if (glued && !strncmp(arg, r->name, n)) {
            *value = arg + n;
            return r;
        }
    }
    return NULL;
}

/* Options of the command line to come. */
static const char *const later[] = {"--memory", "--tune", "-fdiagnostics-format"};

static void unknown(Options *o, const char *arg) {
    for (size_t i = 0; i < LEN(later); i++) {
        if (strncmp(arg, later[i], strlen(later[i]))) continue;
        diag_error(o->cx, nowhere, "'%s' is not supported yet", later[i]);
        return;
    }
    const char *names[LEN(rows)];
    for (size_t i = 0; i < LEN(rows); i++) names[i] = rows[i].name;
    const char *near = nearest_name(arg, names, LEN(rows));
    diag_error(o->cx, nowhere, "unknown option '%s'%s%s%s", arg, near ? "; did you mean '" : "",
               near ? near : "", near ? "'?" : "");
}

static void warning_option(Options *o, const char *arg) {
    if (!strcmp(arg, "-Werror"))
        o->cx->werror = true;
    else if (!strncmp(arg, "-Wno-", 5))
        vec_push(o->cx->arena, &o->cx->disabled_warnings, sym(o->cx, arg + 5));
    else if (strcmp(arg, "-Wall"))
        unknown(o, arg);
}

static void positional(Options *o, const char *arg) {
    if (!o->file && !o->verb) {
        for (size_t i = 0; i < LEN(verbs); i++) {
            if (strcmp(verbs[i].name, arg)) continue;
            o->verb = verbs[i].name;
            if (!verbs[i].ready) diag_error(o->cx, nowhere, "'bpc %s' is not supported yet", arg);
            return;
        }
    }
    if (!o->file)
        o->file = arg;
    else if (o->verb && !strcmp(o->verb, "call") && !o->fn)
        o->fn = arg;
    else
        diag_error(o->cx, nowhere, "unexpected argument '%s'; one file is compiled", arg);
}

void command_parse(Options *o, int argc, char **argv) {
    o->level = 2;
    o->limit = -1;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value;
        bool calling = o->verb && !strcmp(o->verb, "call") && o->fn;
        if (!strcmp(arg, "--")) {
            while (++i < argc) vec_push(o->cx->arena, &o->rest, argv[i]);
            break;
        }
        if (arg[0] != '-' || !arg[1]) {
            positional(o, arg);
            continue;
        }
        const Row *r = find_row(arg, &value);
        if (!strncmp(arg, "-W", 2)) {
            warning_option(o, arg);
        } else if (!r && calling) { /* for the program: --in A.npz, --HYPER VALUE */
            vec_push(o->cx->arena, &o->rest, arg);
            if (!strchr(arg, '=') && i + 1 < argc) vec_push(o->cx->arena, &o->rest, argv[++i]);
        } else if (!r) {
            unknown(o, arg);
        } else {
            bool needs = r->kind != Flag && r->kind != Preset;
            if (needs && !value) value = i + 1 < argc ? argv[++i] : NULL;
            if (needs && !value)
                diag_error(o->cx, nowhere, "%s needs %s", arg, r->arg);
            else
                set(o, r, value);
        }
    }
}

void command_help(FILE *out) {
    fprintf(out,
            "bpc compiles neural networks and their training, with their gradients.\n\n"
            "usage:\n  %-34s %s\n",
            "bpc FILE.bp [-o OUT]", "a native trainer");
    for (size_t i = 0; i < LEN(verbs); i++) {
        if (verbs[i].ready) fprintf(out, "  bpc %-30s %s\n", verbs[i].usage, verbs[i].help);
    }
    fprintf(out, "\noptions:\n");
    for (size_t i = 0; i < LEN(rows); i++) {
        const Row *r = &rows[i];
        char head[64];
        bool glued =
            r->name[strlen(r->name) - 1] == '=' || r->kind == List || !strcmp(r->name, "-O");
        snprintf(head, sizeof head, "%s%s%s", r->name, r->arg && !glued ? " " : "",
                 r->arg ? r->arg : "");
        fprintf(out, "  %-34s %s\n", head, r->help);
    }
    fprintf(out, "  %-34s %s\n  %-34s %s\n", "-Wall -Werror -Wno-NAME", "warnings", "-",
            "standard input as the file");
}
