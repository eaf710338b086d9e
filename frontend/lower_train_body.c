/* The functions that evaluate a train block. Each lowers its statements anew:
 *
 *   loss      state, ..., fields -> loss (times its scale, if given, then alone), metrics, buffers
 *   eval      state, ..., fields -> loss, metrics, what total(...) sums
 *   finish    totals, means      -> metrics with total(...), best
 *   report    totals, metrics, state, ..., fields of one batch -> what `print` shows
 *
 * Totals arrive as total.STAGE.tN, values of the evaluation as metric.STAGE.NAME. */
#include "frontend/lower_train.h"

typedef enum BodyUse { UseLoss, UseEval, UseFinish, UseReport } BodyUse;
typedef struct BodyRun {
    Train *t;
    Frame f;
    BodyUse use;
    uint32_t part; /* UseLoss: whose */
    Value loss;
    bool has_loss;
    Value *metrics;
} BodyRun;

static Value scalar_of(Frame *f, const Expr *e, Value v, const char *what) {
    Cx *cx = f->fr->cx;
    v = v_materialise(f, e->loc, v, -1, NULL);
    if (v.kind != VTensor) return v_error();
    Type t = v_type(f, v);
    if (t.shape->rank || (!dtype_is_float(t.dt) && what[0] == 't')) {
        diag_error(cx, e->loc, "%s must be a scalar float, this is %s", what, v_describe(f, v));
        if (t.shape->rank) diag_note(cx, e->loc, "mean(x) or sum(x) makes a scalar of it");
        return v_error();
    }
    if (dtype_is_float(t.dt)) return v;
    Type real = type_of(f->real, t.shape);
    return v_tensor(f, b_op(f->b, Op_cast, &v.v, 1, NULL, &real), NULL);
}

static void bind_fields(BodyRun *r, int64_t batch) {
    Train *t = r->t;
    Frame *f = &r->f;
    Cx *cx = t->fr->cx;
    for (uint32_t i = 0; i < t->item->binds.len && i < t->data->fields.len; i++) {
        const Field *field = &t->data->fields.data[i];
        const Bind *b = &t->item->binds.data[i];
        if (!strcmp(b->name, "_")) continue;
        uint32_t rank = field->type.shape->rank + 1;
        Dim *dims = NEW_ARRAY(cx->arena, Dim, rank);
        dims[0] = (Dim){batch, &dim_computed};
        for (uint32_t k = 1; k < rank; k++)
            dims[k] = (Dim){field->type.shape->dim[k - 1], &dim_computed};
        const Shape *s = dims_shape(f, b->loc, dims, rank);
        if (!s) return;
        b_at(f->b, b->loc, NULL);
        Val v = b_param(f->b, b->name, (Type){field->type.dt, field->type.range, s});
        bind_name(f, b->name, b->loc, v_tensor(f, v, dims), false);
        find_binding(f, b->name)->quiet = true;
    }
}

static Value metric_value(BodyRun *r, Sym name) {
    Frame *f = &r->f;
    Front *fr = f->fr;
    Sym path = sym_fmt(fr->cx, "metric.%s.%s", r->t->item->name, name);
    return v_tensor(f, capture(f->root, fr, path, type_of(f->real, shape_scalar(fr->cx))), NULL);
}

/* Loss and metrics of the whole evaluation by name. */
static void bind_metrics(BodyRun *r) {
    Frame *f = &r->f;
    Train *t = r->t;
    for (uint32_t i = 0; i <= t->metrics.len; i++) {
        Sym name = i ? t->metrics.data[i - 1].st->name : sym(t->fr->cx, "loss");
        bool known = r->use == UseFinish && i && t->metrics.data[i - 1].total;
        Value v = known ? r->metrics[i - 1] : metric_value(r, name);
        bind_name(f, name, t->item->name_loc, v, false);
        f->scope->names.data[f->scope->names.len - 1].quiet = true;
    }
}

/* ---- statements ---- */

static void lower_loss_line(BodyRun *r, const Stmt *st) {
    Frame *f = &r->f;
    Value v = scalar_of(f, st->e, lower_expr(f, st->e, NULL), "the loss");
    if (!r->has_loss && r->use == UseLoss && !r->part) r->t->stage->loss_loc = st->e->loc;
    if (v.kind == VTensor)
        r->loss = r->has_loss ? lower_binary_values(f, st->e, BinAdd, r->loss, v) : v;
    r->has_loss = true;
}

static void lower_metric(BodyRun *r, const Stmt *st) {
    Frame *f = &r->f;
    Train *t = r->t;
    uint32_t at = 0;
    while (t->metrics.data[at].st != st) at++;
    TrainMetric *m = &t->metrics.data[at];
    if (r->use == UseLoss && m->part != r->part) return;
    if (r->use >= UseFinish && !m->total) return;
    uint32_t totals = f->root->totals.len;
    Value v = scalar_of(f, st->e, lower_expr(f, st->e, NULL), "a metric");
    if (r->use == UseEval) m->total = f->root->totals.len > totals;
    if (v.kind == VTensor) b_name(f->b, v.v, st->name);
    r->metrics[at] = v;
}

/* Strings are text; the rest are values, and ids to decode. */
static const Expr *printed(const Expr *e) {
    if (e->kind == ExString) return NULL;
    bool decodes = e->kind == ExCall && e->x->kind == ExName && !strcmp(e->x->name, "decode");
    return decodes ? e->args.len == 2 ? e->args.data[1].value : NULL : e;
}

/* What is known at compile time prints as it is: integers, and lists of them. */
static Value printed_value(Frame *f, const Expr *e) {
    Value v = lower_expr(f, e, NULL);
    if (v.kind == VInt) return v_materialise(f, e->loc, v, I64, NULL);
    if (v.kind != VList) return v_materialise(f, e->loc, v, -1, NULL);
    for (uint32_t i = 0; i < v.n; i++)
        if (v.elems[i].kind != VInt) return v_materialise(f, e->loc, v, -1, NULL);
    Dim *n = NEW(f->fr->cx->arena, Dim);
    *n = (Dim){v.n, NULL};
    return v_materialise(f, e->loc, v, -1, &(Want){I64, 0, 1, n});
}

/* An evaluation needs the totals only. The first one, at the size of the batch, finds them. */
static void lower_prints(BodyRun *r, bool find) {
    Frame *f = &r->f;
    Train *t = r->t;
    uint32_t at = 0;
    for (uint32_t i = 0; i < r->t->prints.len; i++) {
        const Stmt *st = r->t->prints.data[i];
        for (uint32_t k = 0; k < st->elems.len; k++) {
            const Expr *e = printed(st->elems.data[k]);
            if (!e) continue;
            if (r->use == UseEval && !find && !t->print_totals.data[at++]) continue;
            uint32_t totals = f->root->totals.len;
            Value v = printed_value(f, e);
            if (find) vec_push(f->fr->cx->arena, &t->print_totals, f->root->totals.len > totals);
            if (r->use != UseReport || v.kind != VTensor) continue;
            if (e != st->elems.data[k] && dtype_is_float(v_type(f, v).dt)) {
                diag_error(f->fr->cx, e->loc, "decode takes ids, this is %s", v_describe(f, v));
                continue;
            }
            b_result(f->b, v.v);
        }
    }
}

static uint32_t part_of(const Train *t, const Stmt *block) {
    for (uint32_t i = 0; i < t->parts.len; i++) {
        if (t->parts.data[i].block == block) return i;
    }
    return UINT32_MAX;
}

static void lower_body(BodyRun *r, const Block *body, const Stmt *block) {
    Frame *f = &r->f;
    uint32_t part = part_of(r->t, block);
    bool quiet = r->t->parts.len > 1 || r->t->prints.len || r->use != UseLoss;
    for (uint32_t i = 0; i < body->stmts.len; i++) {
        const Stmt *st = body->stmts.data[i];
        if (st->kind == StLet) lower_statement(f, st);
        if (st->kind == StLoss && (r->use == UseEval || (r->use == UseLoss && part == r->part)))
            lower_loss_line(r, st);
        if (st->kind == StMetric) lower_metric(r, st);
        if (st->kind != StUpdateBlock) continue;
        if (r->use == UseLoss && part_of(r->t, st) != r->part) continue;
        scope_push(f);
        lower_body(r, st->body, st);
        scope_pop(f);
    }
    for (uint32_t i = 0; quiet && i < f->scope->names.len; i++)
        f->scope->names.data[i].quiet = true;
}

/* ---- functions ---- */

static void run_open(BodyRun *r, Train *t, BodyUse use, int64_t batch, bool training) {
    Front *fr = t->fr;
    Root *root = root_new(fr, t->item->name);
    root->keeps_buffers = use == UseLoss;
    root->total = use == UseLoss || use == UseEval ? TotalBatch : TotalFormal;
    root->stage = t->item->name;
    *r = (BodyRun){.t = t,
                   .use = use,
                   .f = {.fr = fr,
                         .root = root,
                         .b = root->b,
                         .real = fr->p->real,
                         .training = training,
                         .batch = batch},
                   .metrics = NEW_ARRAY(fr->cx->arena, Value, t->metrics.len)};
    fr->bf16 = t->bf16;
    scope_push(&r->f);
}

/* Parameters that no result needs go, but those of a whole batch's functions. */
static void drop_unread(BodyRun *r, Fn *fn) {
    Cx *cx = r->f.fr->cx;
    bool *read = NEW_ARRAY(cx->arena, bool, fn->ins.len);
    for (uint32_t i = 0; i < fn->results.len; i++) read[fn->results.data[i]] = true;
    for (Val v = fn->ins.len; v-- > 0;) {
        for (uint32_t k = 0; read[v] && k < fn->ins.data[v].nargs; k++)
            read[fn->ins.data[v].args[k]] = true;
    }
    Val *keep = NEW_ARRAY(cx->arena, Val, fn->nparams);
    uint32_t n = 0;
    for (Val v = 0; v < fn->nparams; v++) {
        bool value = arg_class(fn->ins.data[v].name) == ArgMetric;
        if (read[v] || (r->use == UseEval && !value)) keep[n++] = v;
    }
    order_params(r->f.fr, fn, keep, n);
}

static Fn *run_close(BodyRun *r, const char *suffix) {
    Front *fr = r->f.fr;
    Fn *fn = root_done(fr, r->f.root);
    if (r->use != UseLoss) drop_unread(r, fn);
    fr->bf16 = false;
    fn->loc = r->t->item->name_loc;
    fn->name = program_fresh(
        fr->p, arena_printf(fr->cx->arena, "%s_%s", r->t->item->name, suffix));
    program_add(fr->p, fn);
    return fn;
}

static void buffer_results(BodyRun *r, Part *part) {
    const Root *root = r->f.root;
    for (uint32_t i = 0; i < root->written.len; i++) {
        const Capture *c = &root->written.data[i];
        bool last = true;
        for (uint32_t k = i + 1; k < root->written.len; k++)
            last &= root->written.data[k].path != c->path;
        if (!last) continue;
        vec_push(r->f.fr->cx->arena, &part->buffers, c->path);
        b_result(r->f.b, c->v);
    }
}

static bool train_loss(Train *t, uint32_t at) {
    Front *fr = t->fr;
    Cx *cx = fr->cx;
    Part *part = &t->parts.data[at];
    uint32_t errors = cx->errors;
    BodyRun r;
    run_open(&r, t, UseLoss, t->stage->batch, true);
    r.part = at;
    Value scale = {0};
    if (t->loss_scale)
        scale = scalar_of(&r.f, t->loss_scale, lower_expr(&r.f, t->loss_scale, NULL), "the scale");
    bind_fields(&r, t->stage->batch);
    lower_body(&r, t->item->body, NULL);
    scope_pop(&r.f);
    if (cx->errors != errors) return false;
    if (t->loss_scale)
        b_result(r.f.b, lower_binary_values(&r.f, t->loss_scale, BinMul, r.loss, scale).v);
    b_name(r.f.b, r.loss.v, sym(cx, "loss"));
    b_result(r.f.b, r.loss.v);
    for (uint32_t i = 0; i < t->metrics.len; i++) {
        if (t->metrics.data[i].part != at) continue;
        vec_push(cx->arena, &part->metrics, i);
        b_result(r.f.b, r.metrics[i].v);
    }
    buffer_results(&r, part);
    uint32_t captures = r.f.root->captures.len;
    const char *suffix = part->block ? arena_printf(cx->arena, "loss_%s", part->model) : "loss";
    FnInst *inst = part->loss = NEW(cx->arena, FnInst);
    *inst = (FnInst){.fn = run_close(&r, suffix), .ncaptures = captures};
    return true;
}

bool train_losses(Train *t) {
    bool ok = true;
    for (uint32_t i = 0; i < t->parts.len; i++) ok &= train_loss(t, i);
    return ok;
}

/* Evaluation at one batch size; total(...) gives its results after loss and metrics. */
static Fn *train_eval(Train *t, const char *suffix, int64_t batch, const Loc **total_at) {
    Cx *cx = t->fr->cx;
    uint32_t errors = cx->errors;
    BodyRun r;
    run_open(&r, t, UseEval, batch, t->fr->opt->check);
    bind_fields(&r, batch);
    lower_body(&r, t->item->body, NULL);
    Scope *names = r.f.scope;
    r.f.scope = NULL;
    scope_push(&r.f);
    bind_metrics(&r);
    names->up = r.f.scope;
    r.f.scope = names;
    if (cx->errors == errors) lower_prints(&r, !t->print_totals.len);
    if (cx->errors != errors) return NULL;
    b_name(r.f.b, r.loss.v, sym(cx, "loss"));
    b_result(r.f.b, r.loss.v);
    for (uint32_t i = 0; i < t->metrics.len; i++) b_result(r.f.b, r.metrics[i].v);
    for (uint32_t i = 0; i < r.f.root->totals.len; i++) b_result(r.f.b, r.f.root->totals.data[i]);
    *total_at = r.f.root->total_at.data;
    return run_close(&r, suffix);
}

/* total(e) sums over evaluations of any batch size: e has one shape. */
static bool same_totals(Train *t, const Fn *a, const Fn *b, const Loc *total_at) {
    for (uint32_t i = t->metrics.len + 1; i < a->results.len; i++) {
        Type x = a->ins.data[a->results.data[i]].type, y = b->ins.data[b->results.data[i]].type;
        if (type_equal(x, y)) continue;
        diag_error(t->fr->cx, total_at[i - t->metrics.len - 1],
                   "total(e) needs an e whose shape does not depend on the batch");
        return false;
    }
    return true;
}

/* The rest of a metric knows no batch. */
static bool no_fields(Train *t, const Fn *fn) {
    for (uint32_t i = 0; i < fn->nparams; i++) {
        if (strchr(fn->ins.data[i].name, '.')) continue;
        const Stmt *st = t->item->body->stmts.data[0];
        for (uint32_t k = t->metrics.len; k-- > 0;)
            if (t->metrics.data[k].total) st = t->metrics.data[k].st;
        diag_error(t->fr->cx, st->e->loc, "'%s' belongs to one batch; what a metric does with its "
                   "total(...) is computed once, at the end of the evaluation",
                   fn->ins.data[i].name);
        return false;
    }
    return true;
}

static bool train_finish(Train *t) {
    Cx *cx = t->fr->cx;
    bool any = t->best != NULL;
    for (uint32_t i = 0; i < t->metrics.len; i++) any |= t->metrics.data[i].total;
    if (!any) return true;
    uint32_t errors = cx->errors;
    BodyRun r;
    run_open(&r, t, UseFinish, t->stage->batch, false);
    bind_fields(&r, t->stage->batch);
    lower_body(&r, t->item->body, NULL);
    for (uint32_t i = 0; i < t->metrics.len && cx->errors == errors; i++) {
        if (!t->metrics.data[i].total) continue;
        b_result(r.f.b, r.metrics[i].v);
        vec_push(cx->arena, &t->stage->finals, t->metrics.data[i].st->name);
    }
    if (t->best) {
        r.f.scope = NULL;
        scope_push(&r.f);
        bind_metrics(&r);
        Value v = scalar_of(&r.f, t->best, lower_expr(&r.f, t->best, NULL), "the best");
        if (v.kind == VTensor) b_result(r.f.b, v.v);
    }
    if (cx->errors != errors) return false;
    Fn *fn = run_close(&r, "finish");
    t->stage->finish = fn->name;
    return no_fields(t, fn);
}

/* ---- print ---- */

static bool print_parts(Train *t, const Stmt *st, uint32_t *values) {
    Cx *cx = t->fr->cx;
    PrintLine line = {0};
    for (uint32_t k = 0; k < st->elems.len; k++) {
        const Expr *e = st->elems.data[k];
        PrintPart part = {0};
        bool decodes = e->kind == ExCall && e->x->kind == ExName && !strcmp(e->x->name, "decode");
        if (e->kind == ExString) {
            part.text = e->name;
        } else {
            part.value = (*values)++;
        }
        if (decodes) {
            const Expr *d = e->args.len == 2 ? e->args.data[0].value : NULL;
            const Dataset *data = d && d->kind == ExName ? find_dataset(t->fr, d->name) : NULL;
            if (!data || strcmp(data->kind, "text") != 0) {
                diag_error(cx, d ? d->loc : e->loc,
                           "decode takes a dataset made by text(...) and ids");
                return false;
            }
            part.decode = data->name;
        }
        vec_push(cx->arena, &line.parts, part);
    }
    vec_push(cx->arena, &t->stage->prints, line);
    return true;
}

static bool train_report(Train *t) {
    Cx *cx = t->fr->cx;
    if (!t->prints.len) return true;
    uint32_t errors = cx->errors, values = 0;
    for (uint32_t i = 0; i < t->prints.len; i++) {
        if (!print_parts(t, t->prints.data[i], &values)) return false;
    }
    BodyRun r;
    run_open(&r, t, UseReport, t->stage->batch, false);
    bind_metrics(&r);
    scope_push(&r.f);
    bind_fields(&r, t->stage->batch);
    lower_body(&r, t->item->body, NULL);
    lower_prints(&r, false);
    if (cx->errors != errors) return false;
    const Fn *fn = run_close(&r, "report");
    t->stage->report = fn->name;
    for (uint32_t i = 0; i < fn->nparams && !t->stage->valid_dataset; i++) {
        ArgClass cls = arg_class(fn->ins.data[i].name);
        if (cls != ArgMetric && cls != ArgTotal) continue;
        diag_error(cx, t->prints.data[0]->loc,
                   "'print' of metrics or total(...) needs an evaluation: valid = DATA.valid;");
        return false;
    }
    return true;
}

bool train_evaluation(Train *t) {
    const Loc *total_at;
    Fn *eval = train_eval(t, "eval", t->stage->batch, &total_at);
    Fn *row = eval ? train_eval(t, "eval_row", 1, &total_at) : NULL;
    if (!row || !same_totals(t, eval, row, total_at)) return false;
    t->stage->eval = eval->name;
    t->stage->eval_row = row->name;
    return train_finish(t) && train_report(t);
}
