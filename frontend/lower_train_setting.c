/* The settings of a train block, its optimizers, metrics and `update` blocks. */
#include "frontend/lower_train.h"

typedef bool SetSetting(Train *t, const Stmt *st);

static bool set_count(Train *t, const Stmt *st, int64_t *out) {
    if (!eval_int(&t->fr->top, st->e, out, "this setting")) return false;
    if (*out > 0) return true;
    diag_error(t->fr->cx, st->e->loc, "'%s' is a positive number", st->name);
    return false;
}

static bool set_seed(Train *t, const Stmt *st) {
    int64_t n;
    if (!eval_int(&t->fr->top, st->e, &n, "a seed")) return false;
    t->stage->has_seed = true;
    t->stage->seed = (uint64_t)n;
    return true;
}

/* DATA.SPLIT */
bool train_data(Train *t, const Expr *e, Sym *dataset, Sym *split) {
    Cx *cx = t->fr->cx;
    if (e->kind != ExMember || e->x->kind != ExName) {
        diag_error(cx, e->loc, "a part of a dataset is needed here, as in digits.train");
        return false;
    }
    if (!find_dataset(t->fr, e->x->name)) {
        VEC(const char *) names = {0};
        for (uint32_t i = 0; i < t->fr->p->datasets.len; i++)
            vec_push(cx->arena, &names, t->fr->p->datasets.data[i]->name);
        diag_unknown(cx, e->x->loc, e->x->name, names.data, names.len, "unknown dataset '%s'",
                     e->x->name);
        return false;
    }
    bool known = false;
    for (size_t i = 0; i < DataParts; i++) known |= !strcmp(data_parts[i], e->name);
    if (!known) {
        diag_unknown(cx, e->op_loc.line ? e->op_loc : e->loc, e->name, data_parts, DataParts,
                     "a dataset has .train, .valid and .test, not .%s", e->name);
        return false;
    }
    *dataset = e->x->name;
    *split = e->name;
    return true;
}

static bool set_valid(Train *t, const Stmt *st) {
    return train_data(t, st->e, &t->stage->valid_dataset, &t->stage->valid_split);
}
/* A number above 0, as far as that is known. */
static bool set_positive(Train *t, const Stmt *st, const Expr **out) {
    const Expr *e = *out = st->e;
    bool negative = e->kind == ExUnary && e->uop == '-';
    const Expr *number = negative ? e->x : e;
    double size = number->kind == ExInt ? (double)number->i : number->f;
    bool known = number->kind == ExInt || number->kind == ExFloat;
    if (!known || (!negative && size > 0)) return true;
    diag_error(t->fr->cx, e->loc, "'%s' is a positive number", st->name);
    return false;
}

static bool set_clip_norm(Train *t, const Stmt *st) {
    return set_positive(t, st, &t->clip_norm);
}
static bool set_clip_value(Train *t, const Stmt *st) {
    return set_positive(t, st, &t->clip_value);
}
static bool set_loss_scale(Train *t, const Stmt *st) {
    return set_positive(t, st, &t->loss_scale);
}
static bool set_best(Train *t, const Stmt *st) {
    return (t->best = st->e) != NULL;
}

static bool set_precision(Train *t, const Stmt *st) {
    if (st->e->kind == ExDType && (st->e->type->name == TnBf16 || st->e->type->name == TnF32)) {
        t->bf16 = st->e->type->name == TnBf16;
        return true;
    }
    diag_error(t->fr->cx, st->e->loc, "'precision' is f32 or bf16");
    return false;
}

#define COUNT(name)                                                                                \
    static bool set_##name(Train *t, const Stmt *st) { return set_count(t, st, &t->stage->name); }
STAGE_COUNTS(COUNT)
#undef COUNT

static const struct {
    const char *name;
    SetSetting *set;
} settings[] = {
#define COUNT(name) {#name, set_##name},
    STAGE_COUNTS(COUNT)
#undef COUNT
    {"seed", set_seed},
    {"valid", set_valid},           {"clip_norm", set_clip_norm},
    {"clip_value", set_clip_value}, {"loss_scale", set_loss_scale},
    {"precision", set_precision},   {"best", set_best},
};

static bool unknown_setting(Train *t, const Stmt *st, bool block) {
    Cx *cx = t->fr->cx;
    if (!strcmp(st->name, "loss")) {
        diag_error(cx, st->name_loc, "a loss has no '=': loss mean(...);");
        return false;
    }
    const char *names[LEN(settings) + 1] = {"optimizer"};
    size_t n = 1;
    for (size_t k = 0; !block && k < LEN(settings); k++) names[n++] = settings[k].name;
    diag_unknown(cx, st->name_loc.line ? st->name_loc : st->loc, st->name, names, n,
                 "unknown setting '%s' of %s", st->name, block ? "an update block" : "train");
    return false;
}

static bool read_setting(Train *t, Part *part, const Stmt *st) {
    Cx *cx = t->fr->cx;
    for (uint32_t i = 0; i < part->given.len; i++) {
        if (part->given.data[i]->name != st->name) continue;
        diag_error(cx, st->name_loc, "'%s' is given twice", st->name);
        diag_note(cx, part->given.data[i]->name_loc, "the first one is here");
        return false;
    }
    vec_push(cx->arena, &part->given, st);
    if (!strcmp(st->name, "optimizer")) {
        part->groups.data[0].e = st->e;
        return true;
    }
    for (size_t k = 0; !part->block && k < LEN(settings); k++) {
        if (!strcmp(settings[k].name, st->name)) return settings[k].set(t, st);
    }
    return unknown_setting(t, st, part->block != NULL);
}

static bool read_metric(Train *t, uint32_t part, const Stmt *st) {
    Cx *cx = t->fr->cx;
    for (uint32_t i = 0; i < t->metrics.len; i++) {
        if (t->metrics.data[i].st->name != st->name) continue;
        diag_error(cx, st->loc, "metric '%s' is defined twice", st->name);
        diag_note(cx, t->metrics.data[i].st->loc, "the first one is here");
        return false;
    }
    if (!strcmp(st->name, "loss")) {
        diag_error(cx, st->loc, "a metric cannot be named 'loss'");
        return false;
    }
    vec_push(cx->arena, &t->metrics, (TrainMetric){.st = st, .part = part});
    vec_push(cx->arena, &t->stage->metrics, st->name);
    return true;
}

static uint32_t add_part(Train *t, const Stmt *block) {
    Arena *a = t->fr->cx->arena;
    Part part = {.block = block, .loc = block ? block->loc : t->item->name_loc};
    if (block) part.model = block->name;
    vec_push(a, &part.groups, (Group){0});
    vec_push(a, &t->parts, part);
    return t->parts.len - 1;
}

static bool read_body(Train *t, uint32_t at, const Block *body);

static bool read_update(Train *t, const Stmt *st) {
    if (!find_global(t->fr, st->name, ItModel, false)) {
        VEC(const char *) names = {0};
        for (uint32_t i = 0; i < t->fr->globals.len; i++) {
            if (t->fr->globals.data[i].item->kind == ItModel)
                vec_push(t->fr->cx->arena, &names, t->fr->globals.data[i].item->name);
        }
        diag_unknown(t->fr->cx, st->name_loc.line ? st->name_loc : st->loc, st->name, names.data,
                     names.len, "unknown model '%s'", st->name);
        return false;
    }
    return read_body(t, add_part(t, st), st->body);
}

static bool read_body(Train *t, uint32_t at, const Block *body) {
    bool ok = true;
    for (uint32_t i = 0; i < body->stmts.len; i++) {
        const Stmt *st = body->stmts.data[i];
        bool block = t->parts.data[at].block != NULL;
        if ((st->kind == StPrint || st->kind == StUpdateBlock) && block) {
            diag_error(t->fr->cx, st->loc, "this stands in train itself, not in an update block");
            ok = false;
        } else if (st->kind == StUpdateBlock) {
            ok &= read_update(t, st);
        } else if (st->kind == StPrint) {
            vec_push(t->fr->cx->arena, &t->prints, st);
        } else if (st->kind == StMetric) {
            ok &= read_metric(t, at, st);
        } else if (st->kind == StOptimizer) {
            vec_push(t->fr->cx->arena, &t->parts.data[at].groups, ((Group){st, st->e, false}));
        } else if (st->kind == StAssign) {
            ok &= read_setting(t, &t->parts.data[at], st);
        }
    }
    return ok;
}

static bool has_loss(const Block *b) {
    for (uint32_t i = 0; i < b->stmts.len; i++) {
        if (b->stmts.data[i]->kind == StLoss) return true;
    }
    return false;
}

/* The block itself is a part if it has a loss; its metrics go to the first part. */
static bool check_parts(Train *t) {
    Cx *cx = t->fr->cx;
    bool own = has_loss(t->item->body) || t->parts.len == 1;
    if (!own) {
        const Group *g = &t->parts.data[0].groups.data[0];
        if (g->e || t->parts.data[0].groups.len > 1) {
            diag_error(cx, g->e ? g->e->loc : t->parts.data[0].groups.data[1].patterns->loc,
                       "this optimizer has no loss beside it: the update blocks have their own");
            return false;
        }
        t->parts.data++;
        t->parts.len--;
        for (uint32_t i = 0; i < t->metrics.len; i++) {
            if (t->metrics.data[i].part) t->metrics.data[i].part--;
        }
    }
    for (uint32_t i = 0; i < t->parts.len; i++) {
        const Part *p = &t->parts.data[i];
        const Block *body = p->block ? p->block->body : t->item->body;
        const char *what = p->block ? "update" : "train";
        Sym name = p->block ? p->model : t->item->name;
        if (!has_loss(body)) {
            diag_error(cx, p->loc, "%s '%s' has no loss", what, name);
            return false;
        }
        if (!p->groups.data[0].e && p->groups.len == 1) {
            diag_error(cx, p->loc, "%s '%s' has no optimizer; write 'optimizer = adam();'", what,
                       name);
            return false;
        }
    }
    return true;
}

bool train_settings(Train *t) {
    Cx *cx = t->fr->cx;
    add_part(t, NULL);
    bool ok = read_body(t, 0, t->item->body);
    if (!t->stage->batch) t->stage->batch = 32;
    int64_t most = t->fr->opt->batch;
    if (most && t->stage->batch > most) t->stage->batch = most;
    if (!ok || !check_parts(t)) return false;
    if (t->stage->accumulate > 1 && t->parts.len > 1) {
        diag_error(cx, t->item->name_loc,
                   "'accumulate' and several update blocks exclude each other: each block is a "
                   "step of its own on one batch");
        return false;
    }
    return true;
}
