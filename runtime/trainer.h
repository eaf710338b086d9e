/* The training loop and what it is made of: feeds bring batches, an evaluator measures, saves
 * keep the position. */
#ifndef BPRT_TRAINER_H
#define BPRT_TRAINER_H

#include "runtime/log.h"

/* ---- feed.c: from datasets to the arguments of a call ---- */
/* Reads the datasets wanted (one flag per dataset of the manifest) and gives their statistics to
 * r->stats: those of an earlier training where it is given, else computed. */
Exit feed_read(Run *r, const bool *wanted, const Checkpoint *earlier);
/* Marks the datasets that a stage trains or evaluates on. */
void feed_want(const Run *r, const MfStage *s, bool *wanted);
void feed_free(Run *r);
/* Ids of a dataset's text as its bytes, of one of lines as the line; false if the dataset was not
 * read or is no text. */
bool feed_decode(const Run *r, const char *dataset, const int64_t *ids, int64_t n, Text *out);
int64_t feed_rows(const Run *r, const char *dataset, MfSplit split);
/* Reports that the split is empty, and why. */
Exit no_rows(const Run *r, const char *dataset, MfSplit split);

typedef struct Feed {
    const struct Data *data;
    MfSplit split;
    int64_t batch;
    const BpEnv *env; /* whose threads copy */
    uint32_t n;
    struct {
        uint32_t field;
        void *to;
    } * parts;
} Feed;
/* Pairs the open arguments of c with the fields of a dataset that has the stage's. */
Exit feed_new(Run *r, const Call *c, const MfStage *s, const char *dataset, MfSplit split,
              int64_t batch, Feed *feed);
/* Fills the arguments with f->batch rows: those listed, or, rows being NULL, those from first
 * on. */
void feed_batch(const Feed *f, const int64_t *rows, int64_t first);
/* The order of the training rows in an epoch. */
void feed_order(const Feed *f, uint64_t key, int64_t *order, int64_t n);

/* ---- eval.c ---- */
typedef struct Evaluator {
    const MfStage *stage;
    Call *full, *single, *finish; /* finish may be NULL */
    Feed full_feed, single_feed;
    uint32_t ntotals;
    double **totals; /* sums over the rows so far */
    Slot *values;    /* of r->finals: loss and metrics, then totals */
    int64_t rows;
    uint64_t seed;
    double best; /* of the last evaluation; larger is better */
} Evaluator;
Exit eval_new(Run *r, const MfStage *s, const char *dataset, MfSplit split, uint64_t seed,
              Evaluator *e);
/* Loss and metrics over all rows: means, and what finish makes of totals. */
void eval_run(Run *r, Evaluator *e, double *values);
/* Reads loss and metrics, the last results of a call but `after`. */
void read_values(const Call *c, const MfStage *s, uint32_t after, double *values);

/* ---- report.c: what a stage's `print` lines show ---- */
typedef struct Report {
    const MfStage *stage; /* NULL: the stage prints nothing */
    Call *call;
    Feed feed;
    int64_t *rows;
    uint64_t seed;
} Report;
/* dataset: whose first rows stand for the fields. An evaluator of the stage comes before. */
Exit report_new(Run *r, const MfStage *s, const char *dataset, MfSplit split, uint64_t seed,
                Report *report);
/* Prints the lines to standard output. */
void report_run(Run *r, const Report *report);

/* ---- save.c: the position in a run, in checkpoints and back ---- */
typedef struct Position {
    uint32_t stage;
    int64_t step;    /* updates done in the stage */
    int64_t updates; /* planned */
    int64_t summed;  /* updates in sums */
    double *sums;    /* of loss and metrics since the last record */
    double best;     /* larger is better */
    int64_t stale;   /* evaluations since the best one */
    int64_t rows;    /* of metrics.jsonl */
    uint64_t seed;
} Position;
/* Commits state and position under a name in the run's folder. */
Exit save_commit(Run *r, const char *name, const Slot *state, const Position *p);
/* Weights and statistics alone. */
Exit save_weights(Run *r, const char *path);
/* What --resume names. Sets hyperparameters and seed that the command line leaves open, r->dir
 * and *p. */
Exit save_resume(Run *r, Checkpoint *c, Position *p);

/* ---- the verbs: trainer.c, eval.c, call.c ---- */
Exit verb_train(Run *r);
Exit verb_eval(Run *r);
Exit verb_call(Run *r);

#endif
