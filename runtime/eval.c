/* Evaluation covers every row: full batches, then the remainder row by row; the values are means
 * over rows. Batch b draws from fold(seed, b), so that every evaluation draws the same. */
#include "runtime/trainer.h"

Exit eval_new(Run *r, const MfStage *s, const char *dataset, MfSplit split, uint64_t seed,
              Evaluator *e) {
    *e = (Evaluator){.stage = s, .seed = seed, .rows = feed_rows(r, dataset, split)};
    if (!e->rows) {
        return run_error(r, ExitData, "%s.%s has no rows", dataset, mf_split_name(split));
    }
    e->full = call_new(r, mf_fn_index(r->m, s->eval), NULL);
    e->single = call_new(r, mf_fn_index(r->m, s->eval_row), NULL);
    if (!e->full || !e->single) return ExitData;
    Exit x = feed_new(r, e->full, s, dataset, split, s->batch, &e->full_feed);
    return x ? x : feed_new(r, e->single, s, dataset, split, 1, &e->single_feed);
}

void read_values(const Call *c, const MfStage *s, double *values) {
    const MfFn *f = c->fn;
    uint32_t n = s->nmetrics + 1, first = f->nresults - n;
    for (uint32_t i = 0; i < n; i++) {
        values[i] = scalar_value(f->results[first + i].type, c->args[f->nargs + first + i]);
    }
}

void eval_run(Run *r, const Evaluator *e, double *values) {
    uint32_t n = e->stage->nmetrics + 1;
    double *one = NEW_ARRAY(r->scratch, double, n);
    memset(values, 0, n * sizeof *values);
    uint64_t b = 0;
    for (int64_t row = 0; row < e->rows; b++) {
        bool full = e->rows - row >= e->full_feed.batch;
        const Call *c = full ? e->full : e->single;
        const Feed *f = full ? &e->full_feed : &e->single_feed;
        r->key = (int64_t)rng_fold(e->seed, b);
        feed_batch(f, NULL, row);
        call_run(r, c);
        read_values(c, e->stage, one);
        for (uint32_t i = 0; i < n; i++) values[i] += one[i] * (double)f->batch;
        row += f->batch;
    }
    for (uint32_t i = 0; i < n; i++) values[i] /= (double)e->rows;
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
    const char *dataset = s->valid_dataset ? s->valid_dataset : s->dataset;
    bool *wanted = NEW_ARRAY(r->arena, bool, r->m->ndatasets);
    feed_want(r, s, wanted);
    Exit x = feed_read(r, wanted, c);
    if (!x) x = state_init(r);
    if (!x && c) x = state_load(r, c, r->o.ckpt, false);
    uint64_t seed = r->o.has_seed || !s->has_seed ? r->seed : s->seed;
    if (!x) x = eval_new(r, s, dataset, which_split(r, s), seed, &e);
    if (x) return x;
    double *values = NEW_ARRAY(r->arena, double, s->nmetrics + 1);
    eval_run(r, &e, values);
    Text t = {0};
    log_values(&t, s, values, "");
    puts(text_done(&t, r->arena));
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
