/* Reads the manifest (docs/manifest.md) into the structs of manifest.h. The compiler wrote it, so
 * a fault is an internal one: the first is kept, with the member it was found at. */
#include "runtime/manifest.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

typedef struct Reader {
    Arena *a;
    const char *error;
} Reader;


const char *mf_split_name(MfSplit s) {
    return data_parts[s];
}
size_t mf_bytes(MfType t) {
    return (size_t)t.size * dtype_size(t.dt);
}

bool mf_same_shape(MfType a, MfType b) {
    return a.rank == b.rank && (!a.rank || !memcmp(a.dim, b.dim, a.rank * sizeof *a.dim));
}

const char *mf_type_text(Arena *a, MfType t) {
    Text s = {0};
    text_add(&s, "%s", dtype_name(t.dt));
    if (t.range) text_add(&s, "<%lld>", (long long)t.range);
    for (uint32_t i = 0; i < t.rank; i++) {
        text_add(&s, "%s%lld", i ? ", " : "[", (long long)t.dim[i]);
    }
    if (t.rank) text_add(&s, "]");
    return text_done(&s, a);
}

static void fail(Reader *r, const char *key, const char *what) {
    if (!r->error) r->error = arena_printf(r->a, "the manifest's \"%s\" is no %s", key, what);
}

static const char *get_text(Reader *r, const json_t *o, const char *key, bool optional) {
    const json_t *v = json_object_get(o, key);
    if (json_is_string(v)) {
        return arena_strndup(r->a, json_string_value(v), json_string_length(v));
    }
    if (!optional || (v && !json_is_null(v))) fail(r, key, "string");
    return optional ? NULL : "";
}

static int64_t get_int(Reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v)) fail(r, key, "integer");
    return json_integer_value(v);
}

/* A number, or one of the three that JSON has no notation for. */
static double number(Reader *r, const json_t *v, const char *key) {
    if (json_is_number(v)) return json_number_value(v);
    const char *s = json_is_string(v) ? json_string_value(v) : "";
    if (!strcmp(s, "inf")) return INFINITY;
    if (!strcmp(s, "-inf")) return -INFINITY;
    if (strcmp(s, "nan")) fail(r, key, "number");
    return NAN;
}

static const json_t *get_list(Reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_array(v)) fail(r, key, "list");
    return v;
}

static int choice(Reader *r, const json_t *o, const char *key, const char *const *names, int n) {
    const char *s = get_text(r, o, key, false);
    for (int i = 0; i < n; i++) {
        if (!strcmp(s, names[i])) return i;
    }
    fail(r, key, "known word");
    return 0;
}

static DType get_dtype(Reader *r, const json_t *o) {
    const char *names[DTypeCount];
    for (int i = 0; i < DTypeCount; i++) names[i] = dtype_name((DType)i);
    return (DType)choice(r, o, "dtype", names, DTypeCount);
}

/* {dtype, range, shape}; range may be absent. */
static MfType get_type(Reader *r, const json_t *o) {
    MfType t = {.dt = get_dtype(r, o), .size = 1};
    if (json_object_get(o, "range")) t.range = get_int(r, o, "range");
    const json_t *shape = get_list(r, o, "shape");
    if (json_array_size(shape) > MaxRank) {
        fail(r, "shape", "shape of a possible rank");
        return t;
    }
    t.rank = (uint32_t)json_array_size(shape);
    int64_t *dim = NEW_ARRAY(r->a, int64_t, t.rank);
    for (uint32_t i = 0; i < t.rank; i++) {
        dim[i] = json_integer_value(json_array_get(shape, i));
        if (dim[i] < 0 || __builtin_mul_overflow(t.size, dim[i], &t.size)) t.size = INT64_MAX;
    }
    t.dim = dim;
    if (t.size > INT64_MAX / 8) fail(r, "shape", "possible shape");
    return t;
}

/* The n objects of a list, each read by get into an element of the given size. */
static void *get_all(Reader *r, const json_t *o, const char *key, size_t size, uint32_t *n,
                     void (*get)(Reader *r, const json_t *o, void *out)) {
    const json_t *list = get_list(r, o, key);
    *n = (uint32_t)json_array_size(list);
    char *all = arena_array(r->a, *n, size);
    for (uint32_t i = 0; i < *n; i++) get(r, json_array_get(list, i), all + i * size);
    return all;
}

static void get_arg(Reader *r, const json_t *o, void *out) {
    *(MfVar *)out = (MfVar){get_text(r, o, "name", false), get_type(r, o)};
}

static void get_state(Reader *r, const json_t *o, void *out) {
    *(MfVar *)out = (MfVar){get_text(r, o, "path", false), get_type(r, o)};
}

static void get_result(Reader *r, const json_t *o, void *out) {
    *(MfResult *)out =
        (MfResult){get_text(r, o, "name", false), get_type(r, o), get_int(r, o, "alias")};
}

static const char *const *get_names(Reader *r, const json_t *o, const char *key, uint32_t *n) {
    const json_t *list = get_list(r, o, key);
    *n = (uint32_t)json_array_size(list);
    const char **names = NEW_ARRAY(r->a, const char *, *n);
    for (uint32_t i = 0; i < *n; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_string(v)) fail(r, key, "list of strings");
        names[i] = arena_printf(r->a, "%s", json_is_string(v) ? json_string_value(v) : "");
    }
    return names;
}

enum { MaxExprDepth = 64 };

static const DataExpr *get_expr(Reader *r, const json_t *list, int depth) {
    DataExpr *e = NEW(r->a, DataExpr);
    const char *tag = json_string_value(json_array_get(list, 0));
    size_t kind = 0;
    while (kind < DataExprKinds && (!tag || strcmp(tag, data_expr_forms[kind].tag))) kind++;
    if (kind == DataExprKinds || depth > MaxExprDepth ||
        json_array_size(list) != strlen(data_expr_forms[kind].members) + 1) {
        fail(r, "expr", "expression");
        return e;
    }
    e->kind = (DataExprKind)kind;
    const char *op = data_expr_forms[kind].members;
    for (size_t i = 0; op[i]; i++) {
        const json_t *v = json_array_get(list, i + 1);
        if (op[i] == 'n') e->num = number(r, v, "expr");
        if (op[i] == 'a') e->a = json_integer_value(v);
        if (op[i] == 'b') e->b = json_integer_value(v);
        if (op[i] == 'x') e->x = get_expr(r, v, depth + 1);
        if (op[i] == 'y') e->y = get_expr(r, v, depth + 1);
        if (op[i] == 's') {
            if (!json_is_string(v))
                fail(r, "expr", "expression");
            else
                e->s = arena_strndup(r->a, json_string_value(v), json_string_length(v));
        }
    }
    return e;
}

static void get_split(Reader *r, const json_t *o, MfDataset *d) {
    const json_t *split = json_object_get(o, "split"), *files = json_object_get(o, "split_files");
    d->split = (SplitMode)choice(r, split, "mode", split_modes, SplitModes);
    d->valid = number(r, json_object_get(split, "valid"), "valid");
    d->test = number(r, json_object_get(split, "test"), "test");
    d->split_seed = (uint64_t)get_int(r, split, "seed");
    for (int i = 0; i < MfSplitCount; i++) {
        if (json_object_get(files, data_parts[i])) {
            d->split_files[i] = get_names(r, files, data_parts[i], &d->nsplit_files[i]);
        }
    }
}

static void get_field(Reader *r, const json_t *o, void *out) {
    *(MfField *)out = (MfField){get_text(r, o, "name", false), get_type(r, o),
                                get_expr(r, get_list(r, o, "expr"), 0), get_int(r, o, "line"),
                                get_int(r, o, "col")};
}

static void get_dataset(Reader *r, const json_t *o, void *out) {
    MfDataset d = {.name = get_text(r, o, "name", false),
                   .doc = get_text(r, o, "doc", true),
                   .kind = get_text(r, o, "kind", false),
                   .header = (int)get_int(r, o, "header"),
                   .skip = get_int(r, o, "skip"),
                   .sep = *get_text(r, o, "sep", false)};
    d.files = get_names(r, o, "files", &d.nfiles);
    get_split(r, o, &d);
    d.lines = json_is_true(json_object_get(o, "lines"));
    d.row = get_text(r, o, "row", true);
    if (d.row) {
        d.made = get_int(r, o, "rows");
        d.seed = (uint64_t)get_int(r, o, "seed");
        if (d.made < 1) fail(r, "rows", "number of rows");
    }
    d.fields = get_all(r, o, "fields", sizeof(MfField), &d.nfields, get_field);
    *(MfDataset *)out = d;
}

static void get_fn(Reader *r, const json_t *o, void *out) {
    MfFn f = {.name = get_text(r, o, "name", false),
              .doc = get_text(r, o, "doc", true),
              .arena = (uint64_t)get_int(r, o, "arena"),
              .exported = json_is_true(json_object_get(o, "exported"))};
    f.args = get_all(r, o, "args", sizeof(MfVar), &f.nargs, get_arg);
    f.results = get_all(r, o, "results", sizeof(MfResult), &f.nresults, get_result);
    for (uint32_t i = 0; i < f.nresults; i++) {
        int64_t alias = f.results[i].alias;
        if (alias < -1 || alias >= (int64_t)f.nargs ||
            (alias >= 0 && mf_bytes(f.args[alias].type) != mf_bytes(f.results[i].type))) {
            fail(r, "alias", "argument of the result's size");
        }
    }
    *(MfFn *)out = f;
}

static const MfPrintPart *get_line(Reader *r, const json_t *line, uint32_t *n) {
    *n = (uint32_t)json_array_size(line);
    MfPrintPart *parts = NEW_ARRAY(r->a, MfPrintPart, *n);
    for (uint32_t i = 0; i < *n; i++) {
        const json_t *part = json_array_get(line, i), *v = json_array_get(part, 1);
        const char *kind = json_string_value(json_array_get(part, 0));
        bool text = kind && !strcmp(kind, "text"), decode = kind && !strcmp(kind, "decode");
        if (text)
            parts[i].text = arena_strndup(r->a, json_string_value(v), json_string_length(v));
        else
            parts[i].value = (uint32_t)json_integer_value(v);
        const char *dataset = json_string_value(json_array_get(part, 2));
        if (decode && dataset) parts[i].decode = arena_printf(r->a, "%s", dataset);
        if (!kind || (text && !json_is_string(v)) || (!text && !json_is_integer(v)))
            fail(r, "prints", "list of lines");
    }
    return parts;
}

/* What a stage may have beside its step and evaluation; absent in a manifest without. */
static void get_extras(Reader *r, const json_t *o, MfStage *s) {
    s->accum = get_text(r, o, "accum", true);
    s->finish = get_text(r, o, "finish", true);
    s->report = get_text(r, o, "report", true);
    if (json_object_get(o, "accumulate")) s->accumulate = get_int(r, o, "accumulate");
    if (s->accumulate < 1 || !s->accum) s->accumulate = 1;
    if (json_object_get(o, "finals")) s->finals = get_names(r, o, "finals", &s->nfinals);
    const json_t *lines = json_object_get(o, "prints");
    s->nprints = (uint32_t)json_array_size(lines);
    MfPrint *prints = NEW_ARRAY(r->a, MfPrint, s->nprints);
    for (uint32_t i = 0; i < s->nprints; i++)
        prints[i].parts = get_line(r, json_array_get(lines, i), &prints[i].n);
    s->prints = prints;
}

static void get_stage(Reader *r, const json_t *o, void *out) {
    MfStage s = {.name = get_text(r, o, "name", false),
                 .doc = get_text(r, o, "doc", true),
                 .dataset = get_text(r, o, "dataset", false),
                 .split = (MfSplit)choice(r, o, "split", data_parts, MfSplitCount),
                 .valid_dataset = get_text(r, o, "valid_dataset", true),
                 .step = get_text(r, o, "step", false),
                 .eval = get_text(r, o, "eval", false),
                 .eval_row = get_text(r, o, "eval_row", false),
                 .batch = get_int(r, o, "batch"),
                 .epochs = get_int(r, o, "epochs"),
                 .steps = get_int(r, o, "steps"),
                 .eval_every = get_int(r, o, "eval_every"),
                 .save_every = get_int(r, o, "save_every"),
                 .early_stop = get_int(r, o, "early_stop"),
                 .loss_line = get_int(r, o, "loss_line"),
                 .loss_col = get_int(r, o, "loss_col")};
    if (s.valid_dataset) {
        s.valid_split = (MfSplit)choice(r, o, "valid_split", data_parts, MfSplitCount);
    }
    s.has_seed = json_is_integer(json_object_get(o, "seed"));
    if (s.has_seed) s.seed = (uint64_t)get_int(r, o, "seed");
    s.fields = get_names(r, o, "fields", &s.nfields);
    s.binds = get_names(r, o, "binds", &s.nbinds);
    if (s.nbinds != s.nfields) fail(r, "binds", "list as long as \"fields\"");
    s.metrics = get_names(r, o, "metrics", &s.nmetrics);
    get_extras(r, o, &s);
    if (s.batch < 1) fail(r, "batch", "positive number");
    *(MfStage *)out = s;
}

static void get_hyper(Reader *r, const json_t *o, void *out) {
    *(MfHyper *)out =
        (MfHyper){get_text(r, o, "name", false), get_text(r, o, "doc", true), get_dtype(r, o),
                  number(r, json_object_get(o, "default"), "default")};
}

static void get_program(Reader *r, const json_t *o, Manifest *m) {
    m->name = get_text(r, o, "name", false);
    m->doc = get_text(r, o, "doc", true);
    m->source = get_text(r, o, "source", false);
    m->source_hash = get_text(r, o, "source_hash", false);
    m->compiler = get_text(r, o, "compiler", false);
    m->real = get_text(r, o, "float", false);
    m->init = get_text(r, o, "init", true);
    m->hypers = get_all(r, o, "hypers", sizeof(MfHyper), &m->nhypers, get_hyper);
    m->datasets = get_all(r, o, "datasets", sizeof(MfDataset), &m->ndatasets, get_dataset);
    m->fns = get_all(r, o, "functions", sizeof(MfFn), &m->nfns, get_fn);
    m->stages = get_all(r, o, "stages", sizeof(MfStage), &m->nstages, get_stage);
    m->state = get_all(r, o, "state", sizeof(MfVar), &m->nstate, get_state);
    json_t *consts = json_object_get(o, "consts"), *v;
    MfConst *c = NEW_ARRAY(r->a, MfConst, json_object_size(consts));
    const char *key;
    json_object_foreach(consts, key, v) {
        const char *text = json_is_string(v) ? json_string_value(v) : "";
        c[m->nconsts++] = (MfConst){arena_printf(r->a, "%s", key), arena_printf(r->a, "%s", text)};
    }
    m->consts = c;
}

const MfDataset *mf_dataset(const Manifest *m, const char *name) {
    for (uint32_t i = 0; name && i < m->ndatasets; i++) {
        if (!strcmp(m->datasets[i].name, name)) return &m->datasets[i];
    }
    return NULL;
}

const MfStage *mf_stage(const Manifest *m, const char *name) {
    for (uint32_t i = 0; name && i < m->nstages; i++) {
        if (!strcmp(m->stages[i].name, name)) return &m->stages[i];
    }
    return NULL;
}

int64_t mf_fn_index(const Manifest *m, const char *name) {
    for (uint32_t i = 0; name && i < m->nfns; i++) {
        if (!strcmp(m->fns[i].name, name)) return i;
    }
    return -1;
}

/* The functions that only some stages have, and the results that are asked of them. */
static void check_extras(Reader *r, const Manifest *m, const MfStage *s) {
    const char *const fns[] = {s->accum, s->finish, s->report};
    const uint32_t results[] = {s->nmetrics + 1, s->nfinals, 0};
    for (size_t k = 0; k < LEN(fns); k++) {
        int64_t f = mf_fn_index(m, fns[k]);
        if (fns[k] && (f < 0 || m->fns[f].nresults < results[k]))
            fail(r, "stages", "list of functions with all results");
    }
    int64_t f = mf_fn_index(m, s->report);
    for (uint32_t i = 0; i < s->nprints; i++) {
        for (uint32_t k = 0; k < s->prints[i].n; k++) {
            const MfPrintPart *part = &s->prints[i].parts[k];
            if (!part->text && (f < 0 || part->value >= m->fns[f].nresults))
                fail(r, "prints", "list of results of the report");
        }
    }
}

/* Every name that a stage uses must be there. */
static void check_names(Reader *r, const Manifest *m) {
    if (m->init && mf_fn_index(m, m->init) < 0) fail(r, "init", "function of the program");
    for (uint32_t i = 0; i < m->ndatasets; i++) {
        const char *row = m->datasets[i].row;
        if (row && mf_fn_index(m, row) < 0) fail(r, "row", "function of the program");
    }
    for (uint32_t i = 0; i < m->nstages; i++) {
        const MfStage *s = &m->stages[i];
        if (!mf_dataset(m, s->dataset)) fail(r, "dataset", "dataset of the program");
        if (s->valid_dataset && !mf_dataset(m, s->valid_dataset)) {
            fail(r, "valid_dataset", "dataset of the program");
        }
        check_extras(r, m, s);
        const char *const fns[] = {s->step, s->eval, s->eval_row};
        for (size_t k = 0; k < LEN(fns); k++) {
            int64_t f = mf_fn_index(m, fns[k]);
            if (f < 0 || m->fns[f].nresults < s->nmetrics + 1) {
                fail(r, "stages", "list of functions that return loss and metrics");
            }
        }
    }
}

const Manifest *mf_read(Arena *a, const char *json, const char **error) {
    Reader r = {a, NULL};
    json_error_t e;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &e);
    if (!root) {
        *error = arena_printf(a, "the manifest is no JSON: %s (line %d)", e.text, e.line);
        return NULL;
    }
    Manifest *m = NEW(a, Manifest);
    m->arena = a;
    get_program(&r, root, m);
    if (!r.error) check_names(&r, m);
    json_decref(root);
    *error = r.error;
    return r.error ? NULL : m;
}
