/* A train block under construction: its parts, each with a loss and a gradient of its own, and the
 * functions made of it. */
#ifndef BPC_LOWER_TRAIN_H
#define BPC_LOWER_TRAIN_H

#include "frontend/lower.h"

/* `optimizer "*.b" = e;`, or the plain setting with patterns NULL. */
typedef struct Group {
    const Stmt *patterns;
    const Expr *e;
    bool used;
} Group;

/* What one gradient is taken of: the train block itself, or an `update MODEL` block in it. */
typedef struct Part {
    const Stmt *block; /* NULL: the train block */
    Sym model;         /* whose parameters it updates; NULL: all */
    Loc loc;
    VEC(const Stmt *) given; /* settings so far */
    VEC(Group) groups; /* the plain one first */
    FnInst *loss;      /* state, ..., fields -> scaled?, loss, metrics, buffers */
    VEC(uint32_t) metrics; /* of the train block, in the order of the loss's results */
    VEC(Sym) buffers;      /* those that the loss assigns */
} Part;

typedef struct TrainMetric {
    const Stmt *st;
    uint32_t part;
    bool total; /* has total(...): known at the end of an evaluation */
} TrainMetric;

typedef struct Train {
    Front *fr;
    const Item *item;
    Stage *stage;
    Dataset *data;
    const Expr *clip_norm, *clip_value, *loss_scale, *best;
    bool bf16;
    VEC(Part) parts;
    VEC(TrainMetric) metrics;
    VEC(const Stmt *) prints;
    VEC(bool) print_totals; /* per value printed: it has total(...) */
} Train;

/* ---- lower_train_setting.c ---- */
/* DATA.SPLIT, checked. */
bool train_data(Train *t, const Expr *e, Sym *dataset, Sym *split);
bool train_settings(Train *t);

/* ---- lower_train_body.c: the functions that evaluate the block ---- */
bool train_losses(Train *t);
bool train_evaluation(Train *t); /* eval, eval_row, finish, report */

/* ---- lower_step.c ---- */
/* The step; accumulate: the one that only adds up gradients. */
Fn *train_step(Train *t, bool accumulate);
/* The new state takes the place of the old: result i that of parameter i, where it is state. */
void donate_state(Front *fr, Fn *fn);

#endif
