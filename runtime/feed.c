/* From datasets to the arguments of a call: reading what is wanted, and batches of rows. */
#include "runtime/data.h"
#include "runtime/trainer.h"

#include <stdlib.h>

enum { PieceBytes = 64 << 10 }; /* of a batch: what one thread copies at a time */

static bool decodes(const MfStage *s, const char *dataset) {
    for (uint32_t i = 0; i < s->nprints; i++) {
        for (uint32_t k = 0; k < s->prints[i].n; k++) {
            const char *name = s->prints[i].parts[k].decode;
            if (name && !strcmp(name, dataset)) return true;
        }
    }
    return false;
}

void feed_want(const Run *r, const MfStage *s, bool *wanted) {
    for (uint32_t i = 0; i < r->m->ndatasets; i++) {
        const char *name = r->m->datasets[i].name;
        wanted[i] |=
            !strcmp(name, s->dataset) || (s->valid_dataset && !strcmp(name, s->valid_dataset)) ||
            decodes(s, name);
    }
}

static void add_file(Run *r, const char *const **files, uint32_t *n, const char *file) {
    const char **all = NEW_ARRAY(r->arena, const char *, (size_t)*n + 1);
    for (uint32_t i = 0; i < *n; i++) all[i] = (*files)[i];
    all[(*n)++] = file;
    *files = all;
}

/* The file that a field of the source comes from, where there is one for each. */
static uint32_t file_of(const MfDataset *d, uint32_t f) {
    const DataExpr *e = d->fields[f].expr;
    while (e->x) e = e->y && e->x->kind == DxNum ? e->y : e->x;
    int64_t at = e->kind == DxField ? e->a : f;
    return at < d->nfiles ? (uint32_t)at : 0;
}

/* --data: a split's name, a field's (its file of several), or the dataset's; a prefix "DATASET."
 * says which dataset is meant. A split that is named again has several files. */
static void redirect(Run *r, MfDataset *d, const char **files, bool *fresh, const DataFile *o) {
    const char *name = o->name;
    size_t n = strlen(d->name);
    if (!strncmp(name, d->name, n) && name[n] == '.') name += n + 1;
    for (MfSplit s = MfTrain; s < MfSplitCount; s++) {
        if (strcmp(mf_split_name(s), name)) continue;
        if (!fresh[s]) d->nsplit_files[s] = 0;
        fresh[s] = true;
        add_file(r, &d->split_files[s], &d->nsplit_files[s], o->file);
        if (s == MfTrain) d->nfiles = 0;
        return;
    }
    uint32_t at = strcmp(name, d->name) ? UINT32_MAX : 0;
    for (uint32_t f = 0; f < d->nfields; f++) {
        if (!strcmp(d->fields[f].name, name)) at = file_of(d, f);
    }
    if (at == UINT32_MAX) return;
    files[at] = o->file;
    if (!d->nfiles) d->nfiles = 1;
}

static MfDataset *redirected(Run *r, const MfDataset *spec) {
    MfDataset *d = NEW(r->arena, MfDataset);
    *d = *spec;
    const char **files = NEW_ARRAY(r->arena, const char *, spec->nfiles + 1);
    for (uint32_t i = 0; i < spec->nfiles; i++) files[i] = spec->files[i];
    d->files = files;
    bool fresh[MfSplitCount] = {false};
    for (uint32_t k = 0; k < r->o.data.len; k++) {
        redirect(r, d, files, fresh, &r->o.data.data[k]);
    }
    return d;
}

/* Whether a name of --data means a split, a dataset or a field. */
static bool names_data(const Manifest *m, const char *name) {
    for (uint32_t i = 0; i < m->ndatasets; i++) {
        const MfDataset *d = &m->datasets[i];
        size_t n = strlen(d->name);
        const char *part = !strncmp(name, d->name, n) && name[n] == '.' ? name + n + 1 : name;
        if (!strcmp(name, d->name)) return true;
        for (MfSplit s = MfTrain; s < MfSplitCount; s++) {
            if (!strcmp(part, mf_split_name(s))) return true;
        }
        for (uint32_t f = 0; f < d->nfields; f++) {
            if (!strcmp(part, d->fields[f].name)) return true;
        }
    }
    return false;
}

static const char *stat_name(Arena *a, const MfDataset *d, const MfField *f, const char *what) {
    return arena_printf(a, "data.%s.%s.%s", d->name, f->name, what);
}

static DType real_of(const Manifest *m) {
    return !strcmp(m->real, "f64") ? F64 : F32;
}

/* ---- what reading found out, as tensors of a checkpoint ---- */

static const Slot *saved(const Checkpoint *c, const char *name) {
    for (uint32_t i = 0; i < c->n; i++) {
        if (!strcmp(c->tensors[i].name, name)) return &c->tensors[i];
    }
    return NULL;
}

static double *saved_stat(Run *r, const MfDataset *d, const MfField *f, const Checkpoint *c,
                          const char *what) {
    const Slot *t = saved(c, stat_name(r->arena, d, f, what));
    if (!t || t->type.size != f->type.size) return NULL;
    Array x = {.name = t->name, .type = t->type, .data = t->data};
    double *v = NEW_ARRAY(r->arena, double, (size_t)t->type.size + 1);
    for (int64_t e = 0; e < t->type.size; e++) v[e] = array_float(&x, e);
    return v;
}

/* Bytes, one an element; NULL if there are none. */
static char *saved_bytes(Run *r, const Checkpoint *c, const char *name, int64_t *n) {
    const Slot *t = saved(c, name);
    if (!t || t->type.dt != I32) return NULL;
    char *bytes = NEW_ARRAY(r->arena, char, (size_t)t->type.size + 1);
    for (*n = 0; *n < t->type.size; ++*n) bytes[*n] = (char)((const int32_t *)t->data)[*n];
    return bytes;
}

/* Texts, each ended by a line feed. */
static Words saved_words(Run *r, const Checkpoint *c, const char *name) {
    int64_t n;
    char *p = saved_bytes(r, c, name, &n);
    Words w = {.used = p != NULL};
    for (int64_t i = 0; p && i < n; i++) w.n += p[i] == '\n';
    w.words = NEW_ARRAY(r->arena, const char *, (size_t)w.n + 1);
    for (int64_t i = 0; i < w.n; i++) {
        char *end = strchr(p, '\n');
        if (!end) return (Words){0};
        *end = 0;
        w.words[i] = p;
        p = end + 1;
    }
    return w;
}

static const char *bytes_name(Arena *a, const MfDataset *d) {
    return arena_printf(a, "data.%s.bytes", d->name);
}

static Learned *learned_by(Run *r, const MfDataset *d, const Checkpoint *c) {
    if (!c) return NULL;
    Learned *all = NEW(r->arena, Learned);
    all->stats = NEW_ARRAY(r->arena, Stats, d->nfields);
    all->words = NEW_ARRAY(r->arena, Words, d->nfields);
    for (uint32_t f = 0; f < d->nfields; f++) {
        double *mean = saved_stat(r, d, &d->fields[f], c, "mean");
        double *deviation = saved_stat(r, d, &d->fields[f], c, "deviation");
        all->stats[f] = (Stats){mean && deviation, mean, deviation};
        all->words[f] = saved_words(r, c, stat_name(r->arena, d, &d->fields[f], "categories"));
    }
    int64_t n = 0;
    const char *bytes = saved_bytes(r, c, bytes_name(r->arena, d), &n);
    if (bytes && n <= 256) {
        all->bytes.n = (int32_t)n;
        memcpy(all->bytes.bytes, bytes, (size_t)n);
    }
    return all;
}

static void add_stat(Run *r, const MfDataset *d, const MfField *f, const char *what,
                     const double *v) {
    MfType t = f->type;
    t.dt = real_of(r->m);
    t.range = 0;
    Slot s = {stat_name(r->arena, d, f, what), t, mem_new(r, mf_bytes(t))};
    for (int64_t i = 0; i < t.size; i++) mf_store(t.dt, s.data, i, v[i]);
    vec_push(r->arena, &r->stats, s);
}

static void add_bytes(Run *r, const char *name, const char *bytes, size_t n) {
    int64_t *dim = NEW(r->arena, int64_t);
    *dim = (int64_t)n;
    MfType t = {I32, 1, 0, (int64_t)n, dim};
    Slot s = {name, t, mem_new(r, mf_bytes(t))};
    for (size_t i = 0; i < n; i++) ((int32_t *)s.data)[i] = (unsigned char)bytes[i];
    vec_push(r->arena, &r->stats, s);
}

static void add_learned(Run *r, const MfDataset *d, const Learned *l) {
    for (uint32_t f = 0; f < d->nfields; f++) {
        if (l->stats[f].used) {
            add_stat(r, d, &d->fields[f], "mean", l->stats[f].mean);
            add_stat(r, d, &d->fields[f], "deviation", l->stats[f].deviation);
        }
        if (!l->words[f].used) continue;
        Text t = {0};
        for (int64_t i = 0; i < l->words[f].n; i++) text_add(&t, "%s\n", l->words[f].words[i]);
        add_bytes(r, stat_name(r->arena, d, &d->fields[f], "categories"), t.data, t.len);
        free(t.data);
    }
    if (l->bytes.n)
        add_bytes(r, bytes_name(r->arena, d), (const char *)l->bytes.bytes, (size_t)l->bytes.n);
}

static const Data *data_named(const Run *r, const char *name) {
    for (uint32_t i = 0; r->data && i < r->m->ndatasets; i++) {
        if (!strcmp(r->m->datasets[i].name, name)) return r->data[i];
    }
    return NULL;
}

/* ---- reading ---- */

/* Calls the dataset's function once per row, with a key for each. NULL after a report. */
static const Npz *make_rows(Run *r, const MfDataset *d) {
    int64_t fn = mf_fn_index(r->m, d->row);
    const MfFn *f = &r->m->fns[fn];
    Npz *made = NEW(r->arena, Npz);
    *made = (Npz){d->name, f->nresults, NEW_ARRAY(r->arena, Array, f->nresults)};
    void **outs = NEW_ARRAY(r->arena, void *, f->nresults);
    for (uint32_t i = 0; i < f->nresults; i++) outs[i] = mem_new(r, mf_bytes(f->results[i].type));
    const Call *c = call_new(r, fn, outs);
    if (!c) return NULL;
    for (uint32_t i = 0; i < f->nresults; i++) {
        MfType t = f->results[i].type;
        int64_t *dim = NEW_ARRAY(r->arena, int64_t, (size_t)t.rank + 1);
        dim[0] = d->made;
        copy_bytes(dim + 1, t.dim, t.rank * sizeof *dim);
        if (t.rank == MaxRank || __builtin_mul_overflow(t.size, d->made, &t.size)) {
            run_error(r, ExitData, "dataset '%s' is too large", d->name);
            return NULL;
        }
        made->arrays[i] = (Array){"", {t.dt, t.rank + 1, 0, t.size, dim}, NULL};
        made->arrays[i].data = arena_array(r->arena, (size_t)t.size + 1, dtype_size(t.dt));
    }
    unsigned char *trainer_work = r->work;
    r->work = mem_new(r, f->arena);
    for (int64_t row = 0; row < d->made; row++) {
        r->key = (int64_t)rng_fold(d->seed, (uint64_t)row);
        call_run(r, c);
        for (uint32_t i = 0; i < f->nresults; i++) {
            size_t bytes = mf_bytes(f->results[i].type);
            memcpy((char *)made->arrays[i].data + (size_t)row * bytes, outs[i], bytes);
        }
    }
    r->work = trainer_work;
    return made;
}

static Exit read_dataset(Run *r, uint32_t i, const Checkpoint *earlier) {
    const MfDataset *d = redirected(r, &r->m->datasets[i]);
    bool files = d->nfiles || d->nsplit_files[MfTrain] || d->nsplit_files[MfValid] ||
                 d->nsplit_files[MfTest];
    if (d->row && files) {
        return run_error(r, ExitUsage, "--data: the rows of dataset '%s' are made by the program",
                         d->name);
    }
    LoadOptions o = {.source = r->m->source,
                     .real = real_of(r->m),
                     .given = learned_by(r, d, earlier),
                     .made = d->row ? make_rows(r, d) : NULL};
    if (d->row && !o.made) return ExitData;
    Text err = {0};
    r->data[i] = data_load(r->arena, d, &o, &err);
    if (r->data[i]) {
        add_learned(r, d, &r->data[i]->learned);
        return ExitOk;
    }
    fprintf(stderr, "%s\n", err.data ? err.data : "error: the data cannot be read");
    free(err.data);
    return ExitData;
}

Exit feed_read(Run *r, const bool *wanted, const Checkpoint *earlier) {
    for (uint32_t k = 0; k < r->o.data.len; k++) {
        const char *name = r->o.data.data[k].name;
        if (names_data(r->m, name)) continue;
        return run_error(r, ExitUsage, "--data %s=...: no field, split or dataset of that name",
                         name);
    }
    if (!r->data) r->data = NEW_ARRAY(r->arena, struct Data *, r->m->ndatasets);
    for (uint32_t i = 0; i < r->m->ndatasets; i++) {
        if (!wanted[i] || r->data[i]) continue;
        Exit e = read_dataset(r, i, earlier);
        if (e) return e;
    }
    return ExitOk;
}

bool feed_decode(const Run *r, const char *dataset, const int64_t *ids, int64_t n, Text *out) {
    const Data *d = data_named(r, dataset);
    if (!d || !d->learned.bytes.n) return false;
    vocabulary_decode(&d->learned.bytes, ids, n, d->spec->lines, out);
    return true;
}

void feed_free(Run *r) {
    r->data = NULL;
} /* the rows live in the run's arena */

int64_t feed_rows(const Run *r, const char *dataset, MfSplit split) {
    const Data *d = data_named(r, dataset);
    return d ? d->rows[split] : 0;
}

Exit no_rows(const Run *r, const char *dataset, MfSplit split) {
    const char *name = mf_split_name(split);
    const MfDataset *d = NULL;
    for (uint32_t i = 0; i < r->m->ndatasets; i++)
        if (!strcmp(r->m->datasets[i].name, dataset)) d = &r->m->datasets[i];
    double share = !d || split == MfTrain ? 1 : split == MfValid ? d->valid : d->test;
    bool text = d && !strcmp(d->kind, "text") && !d->lines;
    const char *why = !(share > 0) ? arena_printf(r->arena, "give it split=%s, or a file %s=...",
                                                  split == MfTest ? "(0.1, 0.1)" : "0.1", name)
                      : text       ? "the text is shorter than a window"
                                   : "the split leaves none";
    return run_error(r, ExitData, "%s.%s has no rows: %s", dataset, name, why);
}

Exit feed_new(Run *r, const Call *c, const MfStage *s, const char *dataset, MfSplit split,
              int64_t batch, Feed *feed) {
    const Data *d = data_named(r, dataset);
    *feed = (Feed){.data = d, .split = split, .batch = batch, .env = &r->env};
    feed->parts = arena_array(r->arena, c->nopen + 1, sizeof *feed->parts);
    if (!d) return run_error(r, ExitData, "dataset '%s' was not read", dataset);
    const Data *trained = data_named(r, s->dataset);
    if (trained && memcmp(&trained->learned.bytes, &d->learned.bytes, sizeof(Vocabulary)) != 0) {
        return run_error(r, ExitData,
                         "the texts of '%s' and '%s' have other bytes, so that their ids differ; "
                         "make them one dataset: text(train=, valid=)",
                         s->dataset, dataset);
    }
    for (uint32_t i = 0; i < c->nopen; i++) {
        const MfVar *arg = &c->fn->args[c->open[i]];
        uint32_t bind = 0, field = 0;
        while (bind < s->nbinds && strcmp(s->binds[bind], arg->name)) bind++;
        while (bind < s->nbinds && field < d->spec->nfields &&
               strcmp(d->spec->fields[field].name, s->fields[bind]))
            field++;
        if (bind == s->nbinds || field == d->spec->nfields) {
            return run_error(r, ExitData, "dataset '%s' has no field for '%s'", dataset, arg->name);
        }
        const MfType t = d->spec->fields[field].type;
        if (t.dt != arg->type.dt || t.size * batch != arg->type.size) {
            return run_error(r, ExitData,
                             "field '%s' of '%s' has another type than stage '%s' trains on",
                             d->spec->fields[field].name, dataset, s->name);
        }
        feed->parts[feed->n].field = field;
        feed->parts[feed->n++].to = c->args[c->open[i]];
    }
    return ExitOk;
}

/* The copies of one field's rows, `each` of them at a time. */
typedef struct Copies {
    const Feed *f;
    uint32_t part;
    const int64_t *rows;
    int64_t first, each;
} Copies;

static void copy_some(void *data, int64_t number) {
    const Copies *c = data;
    const Feed *f = c->f;
    uint32_t field = f->parts[c->part].field;
    size_t bytes = f->data->row_bytes[field], step = f->data->row_step[field];
    const unsigned char *from = f->data->fields[field];
    unsigned char *to = f->parts[c->part].to;
    int64_t i = number * c->each, end = i + c->each < f->batch ? i + c->each : f->batch;
    for (; i < end; i++) {
        int64_t row = data_row(f->data, f->split, c->rows ? c->rows[i] : c->first + i);
        memcpy(to + (size_t)i * bytes, from + (size_t)row * step, bytes);
    }
}

void feed_batch(const Feed *f, const int64_t *rows, int64_t first) {
    for (uint32_t p = 0; p < f->n; p++) {
        size_t bytes = f->data->row_bytes[f->parts[p].field];
        int64_t each = bytes < PieceBytes ? (int64_t)(PieceBytes / (bytes + 1)) : 1;
        int64_t pieces = (f->batch + each - 1) / each;
        Copies c = {f, p, rows, first, each};
        if (pieces > 1)
            f->env->parallel(f->env, copy_some, &c, pieces);
        else
            copy_some(&c, 0);
    }
}

void feed_order(const Feed *f, uint64_t key, int64_t *order, int64_t n) {
    (void)f;
    shuffle(key, order, n);
}
