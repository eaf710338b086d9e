/* The trainer's command line: one table of options, from which parsing, suggestions and help
 * follow; hyperparameters, stages and exports join it from the manifest. */
#include "runtime/runtime.h"

#include <errno.h>
#include <stdlib.h>

enum { AnyVerb = VerbTrain | VerbEval | VerbCall };

typedef enum OptKind {
    OptCount, /* int64_t, at least 1 */
    OptSeed,
    OptText,
    OptFlag,
    OptData, /* NAME=FILE, may be repeated */
    OptProgress,
    OptSplit,
    OptResume, /* a value only after '=' */
} OptKind;

typedef struct OptRow {
    const char *name, *value;
    unsigned verbs;
    OptKind kind;
    size_t at; /* of its member in Options */
    const char *help;
} OptRow;

static const OptRow rows[] = {
#define OPTION(...) {__VA_ARGS__},
#include "base/trainer_options.def"
};

static const char *const progress_names[] = {
    [ProgressAuto] = "auto", [ProgressPlain] = "plain", [ProgressNone] = "none"};

static bool usage(const Options *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool usage(const Options *o, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: error: ", o->program);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return false;
}

/* The whole of text as an integer. */
static bool read_int(const char *text, int64_t *out) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return end != text && !*end && !errno;
}

static bool set_data(Options *o, Arena *a, const char *text) {
    const char *eq = strchr(text, '=');
    if (!eq || eq == text || !eq[1]) return usage(o, "--data takes NAME=FILE, not '%s'", text);
    DataFile f = {arena_strndup(a, text, (size_t)(eq - text)), arena_printf(a, "%s", eq + 1)};
    vec_push(a, &o->data, f);
    return true;
}

static bool set_progress(const Options *o, const char *text, Progress *p) {
    for (size_t i = 0; i < LEN(progress_names); i++) {
        *p = (Progress)i;
        if (!strcmp(text, progress_names[i])) return true;
    }
    return usage(o, "--progress takes auto, plain or none, not '%s'", text);
}

static bool set_split(const Options *o, const char *text, const char **split) {
    for (int i = 0; i < MfSplitCount; i++) {
        *split = mf_split_name((MfSplit)i);
        if (!strcmp(text, *split)) return true;
    }
    return usage(o, "--split takes train, valid or test, not '%s'", text);
}

static bool set_seed(Options *o, const char *text) {
    char *end;
    errno = 0;
    o->seed = strtoull(text, &end, 10);
    o->has_seed = true;
    if (*text >= '0' && *text <= '9' && !*end && !errno) return true;
    return usage(o, "--seed takes a whole number from 0, not '%s'", text);
}

static bool set_option(Options *o, Arena *a, const OptRow *row, const char *text) {
    void *at = (char *)o + row->at;
    switch (row->kind) {
    case OptCount:
        if (read_int(text, at) && *(int64_t *)at > 0) return true;
        return usage(o, "--%s takes a whole number from 1, not '%s'", row->name, text);
    case OptSeed:
        return set_seed(o, text);
    case OptText:
        *(const char **)at = text;
        return *text || usage(o, "--%s is empty", row->name);
    case OptResume:
        *(const char **)at = text ? text : "latest";
        return true;
    case OptFlag:
        *(bool *)at = true;
        return true;
    case OptData:
        return set_data(o, a, text);
    case OptProgress:
        return set_progress(o, text, at);
    case OptSplit:
        return set_split(o, text, at);
    }
    return false;
}

static bool set_hyper(Options *o, const MfHyper *h, uint32_t i, const char *text) {
    char *end;
    int64_t whole;
    o->hyper_given[i] = true;
    if (h->dt == BOOL) {
        bool is_true = !strcmp(text, "true") || !strcmp(text, "1");
        o->hypers[i] = is_true;
        if (is_true || !strcmp(text, "false") || !strcmp(text, "0")) return true;
        return usage(o, "--%s takes true or false, not '%s'", h->name, text);
    }
    if (h->dt == I32 || h->dt == I64) {
        bool ok = read_int(text, &whole);
        o->hypers[i] = (double)whole;
        if (ok && (h->dt == I64 || whole == (int32_t)whole)) return true;
        return usage(o, "--%s takes a whole number (%s), not '%s'", h->name, dtype_name(h->dt),
                     text);
    }
    o->hypers[i] = strtod(text, &end);
    if (end != text && !*end) return true;
    return usage(o, "--%s takes a number, not '%s'", h->name, text);
}

static const OptRow *find_row(const char *name, size_t len, unsigned verb) {
    for (size_t i = 0; i < LEN(rows); i++) {
        if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len) &&
            (rows[i].verbs & verb)) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool unknown(const Options *o, Arena *a, const Manifest *m, const char *name) {
    const char **names = NEW_ARRAY(a, const char *, LEN(rows) + m->nhypers);
    size_t n = 0;
    for (size_t i = 0; i < LEN(rows); i++) {
        if (!strcmp(rows[i].name, name)) {
            const char *verb = o->verb == VerbCall   ? "call"
                               : o->verb == VerbEval ? "eval"
                                                     : "training";
            return usage(o, "--%s has no meaning for %s", name, verb);
        }
        if (rows[i].verbs & o->verb) names[n++] = rows[i].name;
    }
    for (uint32_t i = 0; i < m->nhypers; i++) names[n++] = m->hypers[i].name;
    const char *near = nearest_name(name, names, n);
    if (near) return usage(o, "unknown option '--%s'; did you mean '--%s'?", name, near);
    return usage(o, "unknown option '--%s'; --help lists them", name);
}

/* One option and its value; *i moves on where the value is the next argument. */
static bool parse_option(Options *o, Arena *a, const Manifest *m, int argc, char **argv, int *i) {
    const char *name = argv[*i] + 2, *eq = strchr(name, '='), *text = eq ? eq + 1 : NULL;
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    const OptRow *row = find_row(name, len, o->verb);
    uint32_t hyper = 0;
    while (hyper < m->nhypers &&
           (strlen(m->hypers[hyper].name) != len || strncmp(m->hypers[hyper].name, name, len))) {
        hyper++;
    }
    if (!row && hyper == m->nhypers) return unknown(o, a, m, arena_strndup(a, name, len));
    bool takes = !row || row->kind != OptFlag, next = takes && (!row || row->kind != OptResume);
    if (text && !takes) return usage(o, "--%s takes no value", row->name);
    if (!text && next) {
        if (*i + 1 == argc) return usage(o, "--%.*s needs a value", (int)len, name);
        text = argv[++*i];
        if (!strncmp(text, "--", 2)) {
            return usage(o, "--%.*s needs a value; '%s' is an option", (int)len, name, text);
        }
    }
    return row ? set_option(o, a, row, text) : set_hyper(o, &m->hypers[hyper], hyper, text);
}

/* The stage or function that the command line names must be one. */
static bool check_subject(const Options *o, Arena *a, const Manifest *m) {
    bool call = o->verb == VerbCall;
    const char **names = NEW_ARRAY(a, const char *, (size_t)m->nfns + m->nstages);
    size_t n = 0;
    for (uint32_t i = 0; call && i < m->nfns; i++) {
        if (m->fns[i].exported) names[n++] = m->fns[i].name;
    }
    for (uint32_t i = 0; !call && i < m->nstages; i++) names[n++] = m->stages[i].name;
    if (o->help) return true;
    if (!o->subject)
        return !call || usage(o, "call needs the name of an export; --help lists them");
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(names[i], o->subject)) return true;
    }
    const char *near = nearest_name(o->subject, names, n);
    const char *what = call ? "export" : "stage";
    if (near) return usage(o, "no %s '%s'; did you mean '%s'?", what, o->subject, near);
    return usage(o, "no %s '%s'; --help lists them", what, o->subject);
}

bool options_parse(Options *o, Arena *a, const Manifest *m, int argc, char **argv) {
    *o = (Options){.program = m->name, .verb = VerbTrain};
    o->hypers = NEW_ARRAY(a, double, m->nhypers);
    o->hyper_given = NEW_ARRAY(a, bool, m->nhypers);
    for (uint32_t i = 0; i < m->nhypers; i++) o->hypers[i] = m->hypers[i].value;
    int i = 1;
    if (argc > 1 && !strcmp(argv[1], "eval")) o->verb = VerbEval;
    if (argc > 1 && !strcmp(argv[1], "call")) o->verb = VerbCall;
    if (o->verb != VerbTrain) i++;
    for (; i < argc; i++) {
        const char *arg = argv[i];
        if (!strcmp(arg, "-h"))
            o->help = true;
        else if (!strncmp(arg, "--", 2) && arg[2]) {
            if (!parse_option(o, a, m, argc, argv, &i)) return false;
        } else if (*arg == '-') {
            return usage(o, "unknown option '%s'; --help lists them", arg);
        } else if (o->subject) {
            return usage(o, "'%s' is one argument too many", arg);
        } else {
            o->subject = arg;
        }
    }
    if (o->threads > MaxThreads) return usage(o, "--threads takes at most %d", MaxThreads);
    return check_subject(o, a, m);
}

/* ---- help ---- */
enum { HelpColumn = 26 };

static void help_row(const char *name, const char *value, const char *text) {
    int width = printf("  %s%s%s", name, value ? " " : "", value ? value : "");
    printf("%*s%s\n", width < HelpColumn ? HelpColumn - width : 1, "", text ? text : "");
}

static void help_options(Arena *a) {
    puts("\noptions:");
    for (size_t i = 0; i < LEN(rows); i++) {
        const OptRow *r = &rows[i];
        bool only_after_eq = r->kind == OptResume;
        const char *name = only_after_eq ? arena_printf(a, "--%s[=%s]", r->name, r->value)
                                         : arena_printf(a, "--%s", r->name);
        const char *verb = r->verbs == VerbCall ? " (call)" : r->verbs == VerbEval ? " (eval)" : "";
        help_row(name, only_after_eq ? NULL : r->value, arena_printf(a, "%s%s", r->help, verb));
    }
}

static void help_export(const MfFn *f, Arena *a) {
    Text t = {0};
    text_add(&t, "  %s(", f->name);
    bool first = true;
    for (uint32_t i = 0; i < f->nargs; i++) {
        if (strchr(f->args[i].name, '.')) continue;
        text_add(&t, "%s%s: %s", first ? "" : ", ", f->args[i].name,
                 mf_type_text(a, f->args[i].type));
        first = false;
    }
    text_add(&t, ") ->");
    for (uint32_t i = 0; i < f->nresults; i++) {
        text_add(&t, "%s %s", i ? "," : "", mf_type_text(a, f->results[i].type));
    }
    printf("%s\n", text_done(&t, a));
    if (f->doc) printf("%*s%s\n", HelpColumn, "", f->doc);
}

void options_help(const Manifest *m, Arena *a) {
    printf("usage: %s [STAGE] [OPTION ...]\n", m->name);
    printf("       %s eval [STAGE] [--ckpt FILE] [--split valid|test]\n", m->name);
    printf("       %s call FN [--in A.npz] [--out B.npz] [--ckpt FILE]\n", m->name);
    if (m->doc) printf("\n%s\n", m->doc);
    if (m->nstages) puts("\nstages:");
    for (uint32_t i = 0; i < m->nstages; i++) {
        help_row(m->stages[i].name, NULL, m->stages[i].doc);
    }
    if (m->nhypers) puts("\nhyperparameters:");
    for (uint32_t i = 0; i < m->nhypers; i++) {
        const MfHyper *h = &m->hypers[i];
        char value[32];
        hyper_text(value, h, h->value);
        Text t = {0};
        text_add(&t, "%s%s(default %s)", h->doc ? h->doc : "", h->doc ? " " : "", value);
        help_row(arena_printf(a, "--%s", h->name), dtype_name(h->dt), text_done(&t, a));
    }
    if (m->ndatasets) puts("\ndatasets:");
    for (uint32_t i = 0; i < m->ndatasets; i++) {
        help_row(m->datasets[i].name, NULL, m->datasets[i].doc);
    }
    bool any = false;
    for (uint32_t i = 0; i < m->nfns; i++) {
        if (!m->fns[i].exported) continue;
        if (!any) puts("\nexports:");
        any = true;
        help_export(&m->fns[i], a);
    }
    help_options(a);
    puts("\nExit status: 0 done; 1 diverged; 2 command line; 3 data or files; 130 interrupted, "
         "after a\n"
         "checkpoint. BPRT_STATS=1 in the environment prints the chunks of work each thread did.");
}
