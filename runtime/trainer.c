/* The training loop. An update: gather a batch, call the step. A record, every eval_every updates
 * and after the last: evaluation, rows in metrics.jsonl, a line, perhaps a new best. A save: a
 * checkpoint from which --resume goes on as if nothing had happened. */
#include "runtime/trainer.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Trainer {
    Run *r;
    Log log;
    Plan plan;
    const MfStage *s;
    Call *step, *accum; /* accum: of all batches of an update but the last */
    Feed feed, accum_feed;
    Evaluator eval; /* eval.stage is NULL without validation data */
    Report report;
    Position at;
    int64_t *order, order_epoch;
    double *values, *one, *means, *valid; /* loss and metrics: of an update, a batch, a record */
    /* the state at the best evaluation, where it is not in best.safetensors yet */
    unsigned char *best_state;
    Position best_at;
    bool best_pending;
    double busy;          /* seconds of updates since the last record */
    int64_t timed;        /* updates in busy */
    double began, saving; /* when the run began; seconds spent on checkpoints */
    int64_t first_step;   /* of this process in this stage */
} Trainer;

/* The only mutable global: a signal handler can reach nothing else. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

/* A second signal ends the process at once. */
static void catch_signals(struct sigaction old[2]) {
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    interrupted = 0;
    sigaction(SIGINT, &act, &old[0]);
    sigaction(SIGTERM, &act, &old[1]);
}

static void release_signals(const struct sigaction old[2]) {
    sigaction(SIGINT, &old[0], NULL);
    sigaction(SIGTERM, &old[1], NULL);
}

/* ---- the plan ---- */
static uint64_t stage_seed(const Run *r, const MfStage *s) {
    return r->o.has_seed ? r->o.seed : s->has_seed ? s->seed : r->seed;
}

static Exit plan_stage(Run *r, uint32_t index, Plan *p) {
    const MfStage *s = &r->m->stages[index];
    int64_t rows = feed_rows(r, s->dataset, s->split);
    int64_t epochs = r->o.epochs ? r->o.epochs : s->epochs;
    int64_t steps = r->o.steps ? r->o.steps : s->steps, by_epochs;
    int64_t update; /* rows of one */
    if (__builtin_mul_overflow(s->batch, s->accumulate, &update)) update = INT64_MAX;
    *p = (Plan){.stage = s, .index = index, .per_epoch = rows / update, .seed = stage_seed(r, s)};
    if (rows < update && s->accumulate > 1) {
        return run_error(r, ExitData, "%s.%s has %lld rows, fewer than %lld batches of %lld",
                         s->dataset, mf_split_name(s->split), (long long)rows,
                         (long long)s->accumulate, (long long)s->batch);
    }
    if (!rows) return no_rows(r, s->dataset, s->split);
    if (rows < s->batch) {
        return run_error(r, ExitData, "%s.%s has %lld rows, fewer than the batch of %lld",
                         s->dataset, mf_split_name(s->split), (long long)rows, (long long)s->batch);
    }
    if (!epochs && !steps) epochs = 1;
    if (__builtin_mul_overflow(epochs, p->per_epoch, &by_epochs)) by_epochs = INT64_MAX;
    p->updates = !epochs ? steps : !steps || by_epochs < steps ? by_epochs : steps;
    p->eval_every = s->eval_every ? s->eval_every : p->per_epoch;
    p->save_every = s->save_every ? s->save_every : p->per_epoch;
    return ExitOk;
}

static bool chosen(const Run *r, uint32_t stage) {
    return !r->o.subject || !strcmp(r->o.subject, r->m->stages[stage].name);
}

static Exit dry_run(Run *r) {
    int64_t weights = 0;
    for (uint32_t i = 0; i < r->m->nstate; i++) {
        if (!is_optimizer_state(r->state[i].name)) weights += r->state[i].type.size;
    }
    printf("%s: %lld weights, %zu bytes of state, %d threads\n", r->m->name, (long long)weights,
           r->state_bytes, (int)r->env.threads);
    for (uint32_t i = 0; i < r->m->nstages; i++) {
        Plan p;
        if (!chosen(r, i)) continue;
        Exit e = plan_stage(r, i, &p);
        if (e) return e;
        const MfStage *s = p.stage;
        printf("stage %s: %lld updates, %lld per epoch, batch %lld, %lld rows of %s.%s\n", s->name,
               (long long)p.updates, (long long)p.per_epoch, (long long)s->batch,
               (long long)feed_rows(r, s->dataset, s->split), s->dataset, mf_split_name(s->split));
        if (!s->valid_dataset) continue;
        printf("  evaluated on %lld rows of %s.%s\n",
               (long long)feed_rows(r, s->valid_dataset, s->valid_split), s->valid_dataset,
               mf_split_name(s->valid_split));
    }
    return ExitOk;
}

/* ---- saving ---- */
static Exit commit_best(Trainer *t) {
    Run *r = t->r;
    if (!t->best_pending) return ExitOk;
    Slot *state = NEW_ARRAY(r->scratch, Slot, r->m->nstate);
    for (uint32_t i = 0; i < r->m->nstate; i++) {
        state[i] = r->state[i];
        state[i].data = t->best_state + ((unsigned char *)r->state[i].data - r->state_base);
    }
    t->best_pending = false;
    return save_commit(r, CkBest, state, &t->best_at);
}

/* The best goes first: a later checkpoint says that it is there. */
static Exit save(Trainer *t) {
    double start = now_seconds();
    Exit e = commit_best(t);
    if (!e) e = save_commit(t->r, CkLast, t->r->state, &t->at);
    t->saving += now_seconds() - start;
    return e;
}

/* Where the program does not say how often, saving takes at most a fiftieth of the time. */
static bool save_due(const Trainer *t) {
    if (t->at.step == t->plan.updates) return true;
    if (t->at.step % t->plan.save_every) return false;
    return t->s->save_every || t->saving * 50 <= now_seconds() - t->began;
}

static void note_best(Trainer *t) {
    if (!(t->eval.best > t->at.best)) {
        t->at.stale++;
        return;
    }
    t->at.best = t->eval.best;
    t->at.stale = 0;
    memcpy(t->best_state, t->r->state_base, t->r->state_bytes);
    double *sums = t->best_at.sums;
    memcpy(sums, t->at.sums, (t->s->nmetrics + 1) * sizeof *sums);
    t->best_at = t->at;
    t->best_at.sums = sums;
    t->best_pending = true;
}

/* ---- records ---- */
static Record train_record(Trainer *t) {
    for (uint32_t i = 0; i <= t->s->nmetrics; i++) {
        t->means[i] = t->at.summed ? t->at.sums[i] / (double)t->at.summed : NAN;
    }
    double examples = (double)(t->timed * t->s->batch * t->s->accumulate);
    return (Record){t->s, t->at.step, (t->at.step + t->plan.per_epoch - 1) / t->plan.per_epoch,
                    "train", t->means, t->busy > 0 ? examples / t->busy : 0};
}

static Exit record(Trainer *t) {
    Record train = train_record(t), valid = train;
    Exit e = log_row(t->r, &t->log, &train);
    bool validates = t->eval.stage;
    if (validates) {
        double start = now_seconds();
        eval_run(t->r, &t->eval, t->valid);
        valid.split = mf_split_name(t->s->valid_split);
        valid.values = t->valid;
        double seconds = now_seconds() - start;
        valid.rate = seconds > 0 ? (double)t->eval.rows / seconds : 0;
        if (!e) e = log_row(t->r, &t->log, &valid);
    }
    if (e) return e;
    log_line(t->r, &t->log, &t->plan, &train, validates ? &valid : NULL);
    report_run(t->r, &t->report);
    t->at.rows = t->log.rows;
    t->at.summed = t->timed = 0;
    t->busy = 0;
    memset(t->at.sums, 0, (t->s->nmetrics + 1) * sizeof *t->at.sums);
    if (validates) note_best(t);
    return ExitOk;
}

static Exit diverged(Trainer *t) {
    Record now = train_record(t);
    now.values = t->values;
    log_row(t->r, &t->log, &now);
    if (t->log.bar) fputc('\n', stderr);
    fprintf(stderr, "%s:%lld:%lld: error: the loss is NaN at update %lld of stage '%s'\n",
            t->r->m->source, (long long)t->s->loss_line, (long long)t->s->loss_col,
            (long long)t->at.step, t->s->name);
    return ExitDiverged;
}

/* ---- updates ---- */
/* The batches of an update, by their rows; the last one ends it. Values are means over them. */
static void run_batches(Trainer *t, const int64_t *rows, uint64_t key) {
    Run *r = t->r;
    const MfStage *s = t->s;
    memset(t->values, 0, (s->nmetrics + 1) * sizeof *t->values);
    for (int64_t i = 0; i < s->accumulate; i++) {
        bool last = i + 1 == s->accumulate;
        const Call *c = last ? t->step : t->accum;
        r->key = (int64_t)rng_fold(key, (uint64_t)i);
        feed_batch(last ? &t->feed : &t->accum_feed, rows + i * s->batch, 0);
        call_run(r, c);
        read_values(c, s, 0, t->one);
        for (uint32_t k = 0; k <= s->nmetrics; k++)
            t->values[k] += t->one[k] / (double)s->accumulate;
    }
}

static void update(Trainer *t) {
    Run *r = t->r;
    const Plan *p = &t->plan;
    int64_t n = t->at.step, epoch = n / p->per_epoch, batch = n % p->per_epoch;
    uint64_t stage_key = rng_fold(p->seed, p->index);
    if (t->order_epoch != epoch) {
        uint64_t key = rng_fold(rng_fold(stage_key, (uint64_t)epoch), 1);
        feed_order(&t->feed, key, t->order, feed_rows(r, t->s->dataset, t->s->split));
        t->order_epoch = epoch;
    }
    r->step = n;
    r->steps = p->updates;
    run_batches(t, t->order + batch * t->s->batch * t->s->accumulate,
                rng_fold(stage_key, (uint64_t)n));
    for (uint32_t i = 0; i <= t->s->nmetrics; i++) t->at.sums[i] += t->values[i];
    t->at.summed++;
    t->timed++;
    r->step = t->at.step = n + 1; /* what follows sees the updates done */
}

static void draw_bar(Trainer *t, double now) {
    Record rec = train_record(t);
    double done = (double)(t->at.step - t->first_step);
    double left = (now - t->log.started) / done * (double)(t->plan.updates - t->at.step);
    log_bar(t->r, &t->log, &t->plan, &rec, left);
}

/* Trains from t->at to the end of the stage. */
static Exit run_stage(Trainer *t) {
    const MfStage *s = t->s;
    bool enough = s->early_stop && t->at.stale >= s->early_stop;
    t->log.started = now_seconds();
    t->first_step = t->at.step;
    while (t->at.step < t->plan.updates && !enough) {
        double start = now_seconds();
        update(t);
        double now = now_seconds();
        t->busy += now - start;
        if (isnan(t->values[0])) return diverged(t);
        if (t->log.bar && now - t->log.drawn > 0.1) draw_bar(t, now);
        bool last = t->at.step == t->plan.updates;
        Exit e = ExitOk;
        if (last || t->at.step % t->plan.eval_every == 0) {
            e = record(t);
            enough = s->early_stop && t->at.stale >= s->early_stop;
        }
        if (!e && (enough || interrupted || save_due(t))) e = save(t);
        if (e) return e;
        if (interrupted) {
            fprintf(stderr, "%s%s: interrupted after update %lld; go on with --resume --out %s\n",
                    t->log.bar ? "\n" : "", t->r->m->name, (long long)t->at.step, t->r->dir);
            return ExitInterrupted;
        }
        arena_reset(t->r->scratch);
    }
    return ExitOk;
}

/* Everything that a stage needs besides its position. */
static Exit open_stage(Trainer *t, uint32_t index) {
    Run *r = t->r;
    Exit e = plan_stage(r, index, &t->plan);
    if (e) return e;
    const MfStage *s = t->s = t->plan.stage;
    size_t values = s->nmetrics + 1;
    t->step = step_new(r, mf_fn_index(r->m, s->step));
    t->accum = s->accumulate > 1 ? step_new(r, mf_fn_index(r->m, s->accum)) : NULL;
    if (!t->step || (s->accumulate > 1 && !t->accum)) return ExitData;
    e = feed_new(r, t->step, s, s->dataset, s->split, s->batch, &t->feed);
    if (!e && t->accum)
        e = feed_new(r, t->accum, s, s->dataset, s->split, s->batch, &t->accum_feed);
    t->eval.stage = NULL;
    if (!e && s->valid_dataset) {
        e = eval_new(r, s, s->valid_dataset, s->valid_split, t->plan.seed, &t->eval);
    }
    const char *shown = s->valid_dataset ? s->valid_dataset : s->dataset;
    MfSplit split = s->valid_dataset ? s->valid_split : s->split;
    if (!e) e = report_new(r, s, shown, split, t->plan.seed, &t->report);
    t->order = NEW_ARRAY(r->arena, int64_t, (size_t)feed_rows(r, s->dataset, s->split));
    t->order_epoch = -1;
    t->values = NEW_ARRAY(r->arena, double, values);
    t->one = NEW_ARRAY(r->arena, double, values);
    t->means = NEW_ARRAY(r->arena, double, values);
    t->valid = NEW_ARRAY(r->arena, double, values);
    t->best_at.sums = NEW_ARRAY(r->arena, double, values);
    t->busy = 0;
    t->timed = 0;
    return e;
}

/* The start of a stage, or where the checkpoint of one left off. */
static Exit place(Trainer *t, const Position *from, int64_t rows) {
    if (from) {
        t->at = *from;
        if (!t->r->o.epochs && !t->r->o.steps) t->plan.updates = from->updates;
        if (from->step > t->plan.updates) {
            return run_error(t->r, ExitUsage,
                             "the checkpoint is after update %lld, the plan ends at %lld",
                             (long long)from->step, (long long)t->plan.updates);
        }
    } else {
        t->at = (Position){.stage = t->plan.index, .best = -INFINITY, .rows = rows};
        t->at.sums = NEW_ARRAY(t->r->arena, double, t->s->nmetrics + 1);
    }
    t->at.updates = t->plan.updates;
    t->at.seed = t->plan.seed;
    return ExitOk;
}

static Exit run_stages(Trainer *t, const Position *from) {
    bool begun = false;
    for (uint32_t i = 0; i < t->r->m->nstages; i++) {
        if (!chosen(t->r, i) || (from && i < from->stage)) continue;
        Exit e = begun ? state_restart_optimizer(t->r) : ExitOk;
        begun = true;
        if (!e) e = open_stage(t, i);
        if (!e) e = place(t, from && from->stage == i ? from : NULL, t->log.rows);
        if (!e) e = run_stage(t);
        if (e) return e;
    }
    return ExitOk;
}

/* ---- the run ---- */
static void clear_dir(const Run *r) {
    static const char *const old[] = {CkLast, CkPrevious, CkBest};
    int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; dir >= 0 && i < LEN(old); i++) unlinkat(dir, old[i], 0);
    if (dir >= 0) close(dir);
}

static Exit start_and_run(Run *r, const Position *from) {
    Trainer t = {.r = r, .began = now_seconds(), .log.fd = -1};
    Exit e = log_dir(r);
    if (e) return e;
    ck_clear_stale(r->dir);
    if (!from) clear_dir(r);
    e = log_open(r, &t.log, from ? from->rows : 0);
    if (!e) e = log_config(r);
    t.best_state = mem_new(r, r->state_bytes);
    if (!e) {
        struct sigaction old[2];
        catch_signals(old);
        e = run_stages(&t, from);
        release_signals(old);
    }
    log_close(&t.log);
    return e;
}

/* The seed goes on with the run unless the command line or the stage's own say the same. */
static void resume_seed(Run *r, const Position *p) {
    if (stage_seed(r, &r->m->stages[p->stage]) == p->seed || r->o.has_seed) return;
    r->o.has_seed = true;
    r->o.seed = r->seed = p->seed;
}

static Exit train_with(Run *r, const Checkpoint *c, const Position *from) {
    bool *wanted = NEW_ARRAY(r->arena, bool, r->m->ndatasets);
    for (uint32_t i = 0; i < r->m->nstages; i++) {
        if (chosen(r, i)) feed_want(r, &r->m->stages[i], wanted);
    }
    if (from && !chosen(r, from->stage)) {
        return run_error(r, ExitUsage, "the checkpoint is of stage '%s'",
                         r->m->stages[from->stage].name);
    }
    Checkpoint weights = {0};
    const char *wrong = r->o.ckpt && !c ? ck_read(r->arena, r->o.ckpt, &weights) : NULL;
    if (wrong) return run_error(r, ExitData, "%s", wrong);
    const Checkpoint *known = c ? c : r->o.ckpt ? &weights : NULL;
    Exit e = feed_read(r, wanted, known);
    if (!e) e = state_init(r);
    if (!e && known) e = state_load(r, known, c ? r->dir : r->o.ckpt, c != NULL);
    ck_free(&weights);
    if (e) return e;
    if (r->o.dry_run) return dry_run(r);
    e = start_and_run(r, from);
    return e || !r->o.save ? e : save_weights(r, r->o.save);
}

Exit verb_train(Run *r) {
    if (!r->m->nstages) {
        return run_error(r, ExitUsage, "the program trains nothing; --help lists its exports");
    }
    if (!r->o.resume) return train_with(r, NULL, NULL);
    Checkpoint c = {0};
    Position from = {0};
    Exit e = save_resume(r, &c, &from);
    if (!e) {
        resume_seed(r, &from);
        e = train_with(r, &c, &from);
    }
    ck_free(&c);
    return e;
}
