/* Evaluation covers every row: full batches, then the remainder row by row; the values are means
 * over rows. Batch b draws from fold(seed, b), so that every evaluation draws the same. */
#include "runtime/trainer.h"

/* A value that functions find by its name. */
static Slot *add_final(Run *r, const char *name, MfType type) {
    for (uint32_t i = 0; i < r->finals.len; i++) {
        if (!strcmp(r->finals.data[i].name, name)) return &r->finals.data[i];
    }
    vec_push(r->arena, &r->finals, (Slot){name, type, mem_new(r, mf_bytes(type))});
    return &r->finals.data[r->finals.len - 1];
}

static void make_finals(Run *r, Evaluator *e) {
    const MfFn *f = e->full->fn;
    const MfStage *s = e->stage;
    uint32_t n = s->nmetrics + 1;
    e->ntotals = f->nresults - n;
    e->values = NEW_ARRAY(r->arena, Slot, f->nresults);
    e->totals = NEW_ARRAY(r->arena, double *, e->ntotals);
    for (uint32_t i = 0; i < f->nresults; i++) {
        const char *name =
            i >= n ? arena_printf(r->arena, "total.%s.t%u", s->name, i - n)
                   : arena_printf(r->arena, "metric.%s.%s", s->name,
                                  i ? s->metrics[i - 1] : "loss");
        e->values[i] = *add_final(r, name, f->results[i].type);
        if (i >= n)
            e->totals[i - n] = NEW_ARRAY(r->arena, double, (size_t)f->results[i].type.size);
    }
}

Exit eval_new(Run *r, const MfStage *s, const char *dataset, MfSplit split, uint64_t seed,
              Evaluator *e) {
    *e = (Evaluator){.stage = s, .seed = seed, .rows = feed_rows(r, dataset, split)};
    if (!e->rows) return no_rows(r, dataset, split);
    e->full = call_new(r, mf_fn_index(r->m, s->eval), NULL);
    e->single = call_new(r, mf_fn_index(r->m, s->eval_row), NULL);
    if (!e->full || !e->single) return ExitData;
    make_finals(r, e);
    if (s->finish) e->finish = call_new(r, mf_fn_index(r->m, s->finish), NULL);
    if (s->finish && !e->finish) return ExitData;
    Exit x = feed_new(r, e->full, s, dataset, split, s->batch, &e->full_feed);
    return x ? x : feed_new(r, e->single, s, dataset, split, 1, &e->single_feed);
}

void read_values(const Call *c, const MfStage *s, uint32_t after, double *values) {
    const MfFn *f = c->fn;
    uint32_t n = s->nmetrics + 1, first = f->nresults - n - after;
    for (uint32_t i = 0; i < n; i++) {
        values[i] = mf_load(f->results[first + i].type.dt, c->args[f->nargs + first + i], 0);
    }
}

static void add_totals(const Evaluator *e, const Call *c) {
    uint32_t first = c->fn->nresults - e->ntotals;
    for (uint32_t k = 0; k < e->ntotals; k++) {
        MfType t = c->fn->results[first + k].type;
        const void *data = c->args[c->fn->nargs + first + k];
        for (int64_t i = 0; i < t.size; i++) e->totals[k][i] += mf_load(t.dt, data, i);
    }
}

/* The values as others find them; then metrics that are made of totals, and what is best. */
static void finish(Run *r, Evaluator *e, double *values) {
    const MfStage *s = e->stage;
    e->best = -values[0];
    for (uint32_t k = 0; k < e->ntotals; k++) {
        const Slot *to = &e->values[s->nmetrics + 1 + k];
        for (int64_t i = 0; i < to->type.size; i++)
            mf_store(to->type.dt, to->data, i, e->totals[k][i]);
    }
    for (uint32_t i = 0; i <= s->nmetrics; i++)
        mf_store(e->values[i].type.dt, e->values[i].data, 0, values[i]);
    if (!e->finish) return;
    call_run(r, e->finish);
    const MfFn *f = e->finish->fn;
    for (uint32_t k = 0; k < f->nresults; k++) {
        double v = mf_load(f->results[k].type.dt, e->finish->args[f->nargs + k], 0);
        if (k >= s->nfinals) e->best = v;
        for (uint32_t i = 0; k < s->nfinals && i < s->nmetrics; i++) {
            if (strcmp(s->metrics[i], s->finals[k])) continue;
            values[i + 1] = v;
            mf_store(e->values[i + 1].type.dt, e->values[i + 1].data, 0, v);
        }
    }
}

void eval_run(Run *r, Evaluator *e, double *values) {
    uint32_t n = e->stage->nmetrics + 1;
    double *one = NEW_ARRAY(r->scratch, double, n);
    memset(values, 0, n * sizeof *values);
    for (uint32_t k = 0; k < e->ntotals; k++)
        memset(e->totals[k], 0, (size_t)e->values[n + k].type.size * sizeof(double));
    uint64_t b = 0;
    for (int64_t row = 0; row < e->rows; b++) {
        bool full = e->rows - row >= e->full_feed.batch;
        const Call *c = full ? e->full : e->single;
        const Feed *f = full ? &e->full_feed : &e->single_feed;
        r->key = (int64_t)rng_fold(e->seed, b);
        feed_batch(f, NULL, row);
        call_run(r, c);
        read_values(c, e->stage, e->ntotals, one);
        add_totals(e, c);
        for (uint32_t i = 0; i < n; i++) values[i] += one[i] * (double)f->batch;
        row += f->batch;
    }
    for (uint32_t i = 0; i < n; i++) values[i] /= (double)e->rows;
    finish(r, e, values);
}

/* The stage named, else the last one with validation data, else the last. */
static const MfStage *which_stage(const Run *r) {
    if (r->o.subject) return mf_stage(r->m, r->o.subject);
    for (uint32_t i = r->m->nstages; i-- > 0;) {
        if (r->m->stages[i].valid_dataset) return &r->m->stages[i];
    }
    return r->m->nstages ? &r->m->stages[r->m->nstages - 1] : NULL;
}

static MfSplit which_split(const Run *r, const MfStage *s) {
    MfSplit split = s->valid_dataset ? s->valid_split : s->split;
    for (int i = 0; r->o.split && i < MfSplitCount; i++) {
        if (!strcmp(r->o.split, mf_split_name((MfSplit)i))) split = (MfSplit)i;
    }
    return split;
}

static Exit eval_with(Run *r, const MfStage *s, const Checkpoint *c) {
    Evaluator e;
    Report report;
    const char *dataset = s->valid_dataset ? s->valid_dataset : s->dataset;
    bool *wanted = NEW_ARRAY(r->arena, bool, r->m->ndatasets);
    feed_want(r, s, wanted);
    Exit x = feed_read(r, wanted, c);
    if (!x) x = state_init(r);
    if (!x && c) x = state_load(r, c, r->o.ckpt, false);
    uint64_t seed = r->o.has_seed || !s->has_seed ? r->seed : s->seed;
    if (!x) x = eval_new(r, s, dataset, which_split(r, s), seed, &e);
    if (!x) x = report_new(r, s, dataset, which_split(r, s), seed, &report);
    if (x) return x;
    double *values = NEW_ARRAY(r->arena, double, s->nmetrics + 1);
    eval_run(r, &e, values);
    Text t = {0};
    log_values(&t, s, values, "");
    puts(text_done(&t, r->arena));
    report_run(r, &report);
    return ExitOk;
}

Exit verb_eval(Run *r) {
    const MfStage *s = which_stage(r);
    if (!s) return run_error(r, ExitUsage, "the program trains nothing, so there is no evaluation");
    if (!r->o.ckpt) {
        fprintf(stderr, "%s: note: no --ckpt, so the weights are the initial ones\n", r->m->name);
        return eval_with(r, s, NULL);
    }
    Checkpoint c;
    const char *error = ck_read(r->arena, r->o.ckpt, &c);
    if (error) return run_error(r, ExitData, "%s", error);
    Exit x = eval_with(r, s, &c);
    ck_free(&c);
    return x;
}
