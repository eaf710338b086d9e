/* From datasets to the arguments of a call: reading what is wanted, and batches of rows. */
#include "runtime/data.h"
#include "runtime/trainer.h"

#include <stdlib.h>

void feed_want(const Run *r, const MfStage *s, bool *wanted) {
    for (uint32_t i = 0; i < r->m->ndatasets; i++) {
        const char *name = r->m->datasets[i].name;
        wanted[i] |=
            !strcmp(name, s->dataset) || (s->valid_dataset && !strcmp(name, s->valid_dataset));
    }
}

/* --data: a split's name, a field's (the i-th of several files), or the dataset's; a prefix
 * "DATASET." says which dataset is meant. */
static void redirect(MfDataset *d, const char **files, const char *name, const char *file) {
    size_t n = strlen(d->name);
    if (!strncmp(name, d->name, n) && name[n] == '.') name += n + 1;
    for (MfSplit s = MfTrain; s < MfSplitCount; s++) {
        if (strcmp(mf_split_name(s), name)) continue;
        d->split_files[s] = file;
        if (s == MfTrain) d->nfiles = 0;
        return;
    }
    uint32_t at = strcmp(name, d->name) ? UINT32_MAX : 0;
    for (uint32_t f = 0; f < d->nfields; f++) {
        if (!strcmp(name, d->fields[f].name)) at = f < d->nfiles ? f : 0;
    }
    if (at == UINT32_MAX) return;
    files[at] = file;
    if (!d->nfiles) d->nfiles = 1;
}

static MfDataset *redirected(const Run *r, const MfDataset *spec) {
    MfDataset *d = NEW(r->arena, MfDataset);
    *d = *spec;
    const char **files = NEW_ARRAY(r->arena, const char *, spec->nfiles + 1);
    for (uint32_t i = 0; i < spec->nfiles; i++) files[i] = spec->files[i];
    d->files = files;
    for (uint32_t k = 0; k < r->o.data.len; k++) {
        redirect(d, files, r->o.data.data[k].name, r->o.data.data[k].file);
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

static MfDType real_of(const Manifest *m) {
    return !strcmp(m->real, "f64") ? MfF64 : MfF32;
}

/* The statistics that an earlier training saved. */
static Stats *earlier_stats(Run *r, const MfDataset *d, const Checkpoint *c) {
    if (!c) return NULL;
    Stats *all = NEW_ARRAY(r->arena, Stats, d->nfields);
    static const char *const what[] = {"mean", "deviation"};
    for (uint32_t f = 0; f < d->nfields; f++) {
        double *to[2] = {NULL, NULL};
        for (uint32_t k = 0; k < LEN(what); k++) {
            const char *name = stat_name(r->arena, d, &d->fields[f], what[k]);
            for (uint32_t i = 0; i < c->n; i++) {
                const Slot *t = &c->tensors[i];
                if (strcmp(t->name, name) || t->type.size != d->fields[f].type.size) continue;
                Array x = {.name = t->name, .type = t->type, .data = t->data};
                to[k] = NEW_ARRAY(r->arena, double, (size_t)t->type.size + 1);
                for (int64_t e = 0; e < t->type.size; e++) to[k][e] = array_float(&x, e);
            }
        }
        all[f] = (Stats){to[0] && to[1], to[0], to[1]};
    }
    return all;
}

static void add_stat(Run *r, const MfDataset *d, const MfField *f, const char *what,
                     const double *v) {
    MfType t = f->type;
    t.dt = real_of(r->m);
    t.range = 0;
    Slot s = {stat_name(r->arena, d, f, what), t, mem_new(r, mf_bytes(t))};
    for (int64_t i = 0; i < t.size; i++) store_float(t.dt, s.data, i, v[i]);
    vec_push(r->arena, &r->stats, s);
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
        const MfDataset *d = redirected(r, &r->m->datasets[i]);
        Text err = {0};
        Data *data =
            data_load(r->arena, d, r->m->source, real_of(r->m), earlier_stats(r, d, earlier), &err);
        if (!data) {
            fprintf(stderr, "%s\n", err.data ? err.data : "error: the data cannot be read");
            free(err.data);
            return ExitData;
        }
        r->data[i] = data;
        for (uint32_t f = 0; f < d->nfields; f++) {
            if (!data->stats[f].used) continue;
            add_stat(r, d, &d->fields[f], "mean", data->stats[f].mean);
            add_stat(r, d, &d->fields[f], "deviation", data->stats[f].deviation);
        }
    }
    return ExitOk;
}

void feed_free(Run *r) {
    r->data = NULL;
} /* the rows live in the run's arena */

static const Data *data_named(const Run *r, const char *name) {
    for (uint32_t i = 0; r->data && i < r->m->ndatasets; i++) {
        if (!strcmp(r->m->datasets[i].name, name)) return r->data[i];
    }
    return NULL;
}

int64_t feed_rows(const Run *r, const char *dataset, MfSplit split) {
    const Data *d = data_named(r, dataset);
    return d ? d->rows[split] : 0;
}

Exit feed_new(Run *r, const Call *c, const MfStage *s, const char *dataset, MfSplit split,
              int64_t batch, Feed *feed) {
    const Data *d = data_named(r, dataset);
    *feed = (Feed){.data = d, .split = split, .batch = batch};
    feed->parts = arena_array(r->arena, c->nopen + 1, sizeof *feed->parts);
    if (!d) return run_error(r, ExitData, "dataset '%s' was not read", dataset);
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

void feed_batch(const Feed *f, const int64_t *rows, int64_t first) {
    const int64_t *index = f->data->index[f->split];
    for (uint32_t p = 0; p < f->n; p++) {
        size_t bytes = f->data->row_bytes[f->parts[p].field];
        const unsigned char *from = f->data->fields[f->parts[p].field];
        unsigned char *to = f->parts[p].to;
        for (int64_t i = 0; i < f->batch; i++) {
            int64_t row = index[rows ? rows[i] : first + i];
            memcpy(to + (size_t)i * bytes, from + (size_t)row * bytes, bytes);
        }
    }
}

void feed_order(const Feed *f, uint64_t key, int64_t *order, int64_t n) {
    (void)f;
    shuffle(key, order, n);
}
