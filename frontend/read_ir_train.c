/* The lowered `train` of IR text: the names of its functions, and settings as numbers. */
#include "frontend/frontend.h"

static const Stmt *setting(const Item *train, const char *name) {
    for (uint32_t i = 0; train->body && i < train->body->stmts.len; i++) {
        const Stmt *st = train->body->stmts.data[i];
        if (st->kind == StAssign && !strcmp(st->name, name)) return st;
    }
    return NULL;
}

bool item_is_ir_train(const Item *train) {
    const Stmt *st = train->kind == ItTrain ? setting(train, "step") : NULL;
    return st && st->e->kind == ExName;
}

static bool split_of(Program *p, const Expr *e, Sym *dataset, Sym *split) {
    if (e->kind != ExMember || e->x->kind != ExName) {
        diag_error(p->cx, e->loc, "a part of a dataset is needed here, as in digits.train");
        return false;
    }
    *dataset = e->x->name;
    *split = e->name;
    return true;
}

static bool function_of(Program *p, const Stmt *st, Sym *out) {
    if (st->e->kind == ExName && program_fn(p, st->e->name)) {
        *out = st->e->name;
        return true;
    }
    diag_error(p->cx, st->e->loc, "'%s' names a function of the file", st->name);
    return false;
}

static bool read_setting(Program *p, Stage *s, const Stmt *st) {
    const struct {
        const char *name;
        Sym *fn;
        int64_t *number;
    } rows[] = {
        {"loss", &s->loss, NULL},
        {"init", &p->init, NULL},
#define FN(name) {#name, &s->name, NULL},
        STAGE_ENTRIES(FN)
#undef FN
#define COUNT(name) {#name, NULL, &s->name},
        STAGE_COUNTS(COUNT)
#undef COUNT
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        if (strcmp(rows[i].name, st->name)) continue;
        if (rows[i].fn) return function_of(p, st, rows[i].fn);
        if (st->e->kind != ExInt) break;
        *rows[i].number = st->e->i;
        return true;
    }
    if (!strcmp(st->name, "valid")) return split_of(p, st->e, &s->valid_dataset, &s->valid_split);
    if (!strcmp(st->name, "seed") && st->e->kind == ExInt) {
        s->has_seed = true;
        s->seed = (uint64_t)st->e->i;
        return true;
    }
    bool metrics = !strcmp(st->name, "metrics");
    if ((metrics || !strcmp(st->name, "finals")) && st->e->kind == ExList) {
        for (uint32_t i = 0; i < st->e->elems.len; i++) {
            Sym name = st->e->elems.data[i]->name;
            if (metrics)
                vec_push(p->cx->arena, &s->metrics, name);
            else
                vec_push(p->cx->arena, &s->finals, name);
        }
        return true;
    }
    diag_error(p->cx, st->name_loc.line ? st->name_loc : st->loc,
               "unknown setting '%s' of a lowered train", st->name);
    return false;
}

/* Texts, numbers of results, decode(DATA, NUMBER). */
static bool read_print(Program *p, Stage *s, const Stmt *st) {
    PrintLine line = {0};
    for (uint32_t i = 0; i < st->elems.len; i++) {
        const Expr *e = st->elems.data[i];
        PrintPart part = {.text = e->kind == ExString ? e->name : NULL};
        bool decodes = e->kind == ExCall && e->args.len == 2 &&
                       e->args.data[0].value->kind == ExName;
        if (decodes) part.decode = e->args.data[0].value->name;
        const Expr *number = decodes ? e->args.data[1].value : e;
        const Fn *fn = s->report ? program_fn(p, s->report) : NULL;
        uint32_t results = fn ? fn->results.len : 0;
        bool valid = number->kind == ExInt && number->i >= 0 && number->i < results;
        if (!part.text && !valid) {
            diag_error(p->cx, e->loc, "a lowered print has texts and numbers of results of report");
            return false;
        }
        if (!part.text) part.value = (uint32_t)number->i;
        vec_push(p->cx->arena, &line.parts, part);
    }
    vec_push(p->cx->arena, &s->prints, line);
    return true;
}

Stage *read_ir_train(Program *p, const Item *train) {
    Stage *s = NEW(p->cx->arena, Stage);
    *s = (Stage){.name = train->name,
                 .loc = train->name_loc,
                 .loss_loc = train->name_loc,
                 .doc = train->doc};
    if (!split_of(p, train->e, &s->dataset, &s->split)) return NULL;
    for (uint32_t i = 0; i < train->binds.len; i++)
        vec_push(p->cx->arena, &s->binds, train->binds.data[i].name);
    for (uint32_t i = 0; i < train->body->stmts.len; i++) {
        const Stmt *st = train->body->stmts.data[i];
        if (st->kind == StPrint) {
            if (!read_print(p, s, st)) return NULL;
            continue;
        }
        if (st->kind != StAssign && st->kind != StLoss) {
            diag_error(p->cx, st->loc, "a lowered train has settings only");
            return NULL;
        }
        if (!read_setting(p, s, st)) return NULL;
    }
    return s;
}
