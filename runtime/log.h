/* What trainer.c and log.c share: the plan of a stage, records of losses and metrics. */
#ifndef BPRT_LOG_H
#define BPRT_LOG_H

#include "runtime/runtime.h"

/* How long a stage trains. */
typedef struct Plan {
    const MfStage *stage;
    uint32_t index;    /* of the stage */
    int64_t per_epoch; /* updates in an epoch */
    int64_t updates;   /* in all */
    int64_t eval_every, save_every;
    uint64_t seed;
} Plan;

/* Losses and metrics of one split at one moment: values[0] is the loss. */
typedef struct Record {
    const MfStage *stage;
    int64_t step, epoch;
    const char *split;
    const double *values;
    double rate; /* examples per second */
} Record;

typedef struct Log {
    int fd; /* of metrics.jsonl */
    int64_t rows;
    bool bar, quiet;
    double started, drawn; /* when the bar was drawn last */
} Log;

/* Makes the run's folder: --out, or r->dir if set, or a new runs/NAME/TIME. */
Exit log_dir(Run *r);
/* Opens metrics.jsonl and drops what follows its first rows. */
Exit log_open(Run *r, Log *log, int64_t rows);
void log_close(Log *log);
Exit log_row(Run *r, Log *log, const Record *rec);
Exit log_config(Run *r);
/* "valid loss 0.0821  acc 0.9778", with split before it. */
void log_values(Text *t, const MfStage *s, const double *values, const char *split);
void log_line(const Run *r, Log *log, const Plan *p, const Record *train, const Record *valid);
void log_bar(const Run *r, Log *log, const Plan *p, const Record *now, double left);

#endif
