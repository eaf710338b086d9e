/* train blocks: the loss function, its evaluation, and the step: gradient, clipping, update. */
#include "frontend/lower.h"

typedef struct Train {
    Front *fr;
    const Item *item;
    Stage *stage;
    Dataset *data;
    const Expr *optimizer, *clip_norm, *clip_value;
    FnInst *loss;
} Train;

/* ---- settings ---- */

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
static bool data_split(Train *t, const Expr *e, Sym *dataset, Sym *split) {
    Cx *cx = t->fr->cx;
    static const char *const splits[] = {"train", "valid", "test"};
    if (e->kind != ExMember || e->x->kind != ExName) {
        diag_error(cx, e->loc, "a part of a dataset is needed here, as in digits.train");
        return false;
    }
    if (!find_dataset(t->fr, e->x->name)) {
        VEC(const char *) names = {0};
        for (uint32_t i = 0; i < t->fr->p->datasets.len; i++)
            vec_push(cx->arena, &names, t->fr->p->datasets.data[i]->name);
        const char *near = nearest_name(e->x->name, names.data, names.len);
        diag_error(cx, e->x->loc, "unknown dataset '%s'%s%s%s", e->x->name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        return false;
    }
    bool known = false;
    for (size_t i = 0; i < LEN(splits); i++) known |= !strcmp(splits[i], e->name);
    if (!known) {
        diag_error(cx, e->op_loc.line ? e->op_loc : e->loc,
                   "a dataset has .train, .valid and .test, not .%s", e->name);
        return false;
    }
    *dataset = e->x->name;
    *split = e->name;
    return true;
}

static bool set_valid(Train *t, const Stmt *st) {
    return data_split(t, st->e, &t->stage->valid_dataset, &t->stage->valid_split);
}

typedef bool SetSetting(Train *t, const Stmt *st);
static bool set_optimizer(Train *t, const Stmt *st) {
    return (t->optimizer = st->e) != NULL;
}
static bool set_clip_norm(Train *t, const Stmt *st) {
    return (t->clip_norm = st->e) != NULL;
}
static bool set_clip_value(Train *t, const Stmt *st) {
    return (t->clip_value = st->e) != NULL;
}
static bool set_batch(Train *t, const Stmt *st) {
    return set_count(t, st, &t->stage->batch);
}
static bool set_epochs(Train *t, const Stmt *st) {
    return set_count(t, st, &t->stage->epochs);
}
static bool set_steps(Train *t, const Stmt *st) {
    return set_count(t, st, &t->stage->steps);
}
static bool set_eval(Train *t, const Stmt *st) {
    return set_count(t, st, &t->stage->eval_every);
}
static bool set_save(Train *t, const Stmt *st) {
    return set_count(t, st, &t->stage->save_every);
}
static bool set_early(Train *t, const Stmt *st) {
    return set_count(t, st, &t->stage->early_stop);
}
static bool set_later(Train *t, const Stmt *st) {
    return not_supported(&t->fr->top, st->loc, arena_printf(t->fr->cx->arena, "'%s'", st->name));
}

static const struct {
    const char *name;
    SetSetting *set;
} settings[] = {
    {"optimizer", set_optimizer}, {"batch", set_batch},
    {"epochs", set_epochs},       {"steps", set_steps},
    {"seed", set_seed},           {"valid", set_valid},
    {"clip_norm", set_clip_norm}, {"clip_value", set_clip_value},
    {"eval_every", set_eval},     {"save_every", set_save},
    {"early_stop", set_early},    {"accumulate", set_later},
    {"loss_scale", set_later},    {"precision", set_later},
    {"best", set_later},
};

static bool read_settings(Train *t) {
    Cx *cx = t->fr->cx;
    bool ok = true;
    for (uint32_t i = 0; i < t->item->body->stmts.len; i++) {
        const Stmt *st = t->item->body->stmts.data[i];
        if (st->kind == StOptimizer || st->kind == StUpdateBlock || st->kind == StPrint) {
            static const char *const what[] = {"an optimizer for some parameters",
                                               "an 'update' block", "'print'"};
            ok = not_supported(&t->fr->top, st->loc,
                               what[st->kind == StUpdateBlock ? 1
                                    : st->kind == StPrint     ? 2
                                                              : 0]);
        }
        if (st->kind != StAssign) continue;
        const char *names[LEN(settings)];
        size_t at = LEN(settings);
        for (size_t k = 0; k < LEN(settings); k++) {
            names[k] = settings[k].name;
            if (!strcmp(names[k], st->name)) at = k;
        }
        if (at < LEN(settings)) {
            ok &= settings[at].set(t, st);
            continue;
        }
        const char *near = nearest_name(st->name, names, LEN(names));
        diag_error(cx, st->name_loc.line ? st->name_loc : st->loc,
                   "unknown setting '%s' of train%s%s%s", st->name, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
        if (near) diag_fixit(cx, "%s", near);
        ok = false;
    }
    if (!t->stage->batch) t->stage->batch = 32;
    if (ok && !t->optimizer) {
        diag_error(cx, t->item->name_loc,
                   "train '%s' has no optimizer; write 'optimizer = adam();'", t->item->name);
        ok = false;
    }
    return ok;
}

/* ---- the loss function ---- */

static Value scalar_of(Frame *f, const Stmt *st, Value v, const char *what) {
    Cx *cx = f->fr->cx;
    v = v_materialise(f, st->e->loc, v, -1, NULL);
    if (v.kind != VTensor) return v_error();
    Type t = v_type(f, v);
    if (t.shape->rank || (!dtype_is_float(t.dt) && what[0] == 't')) {
        diag_error(cx, st->e->loc, "%s must be a scalar float, this is %s", what, v_describe(f, v));
        if (t.shape->rank) diag_note(cx, st->e->loc, "mean(x) or sum(x) makes a scalar of it");
        return v_error();
    }
    if (dtype_is_float(t.dt)) return v;
    Type real = type_of(f->real, t.shape);
    return v_tensor(f, b_op(f->b, Op_cast, &v.v, 1, NULL, &real), NULL);
}

static void bind_fields(Train *t, Frame *f, int64_t batch) {
    Front *fr = t->fr;
    Cx *cx = fr->cx;
    uint32_t n = t->item->binds.len;
    for (uint32_t i = 0; i < n && i < t->data->fields.len; i++) {
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

/* The body for one mode: results are the loss, then the metrics. */
static FnInst *lower_loss(Train *t, const char *suffix, int64_t batch, bool training) {
    Front *fr = t->fr;
    Cx *cx = fr->cx;
    uint32_t errors = cx->errors;
    Root *root = root_new(fr, t->item->name);
    Frame f = {.fr = fr,
               .root = root,
               .b = root->b,
               .real = fr->p->real,
               .training = training,
               .batch = batch};
    scope_push(&f);
    bind_fields(t, &f, batch);
    Value total = {0};
    bool has_loss = false;
    VEC(Value) metrics = {0};
    t->stage->metrics.len = 0;
    for (uint32_t i = 0; i < t->item->body->stmts.len; i++) {
        const Stmt *st = t->item->body->stmts.data[i];
        if (st->kind == StLet) lower_statement(&f, st);
        if (st->kind == StLoss) {
            Value v = scalar_of(&f, st, lower_expr(&f, st->e, NULL), "the loss");
            t->stage->loss_loc = has_loss ? t->stage->loss_loc : st->e->loc;
            if (v.kind == VTensor)
                total = has_loss ? lower_binary_values(&f, st->e, BinAdd, total, v) : v;
            has_loss = true;
        }
        if (st->kind == StMetric) {
            Value v = scalar_of(&f, st, lower_expr(&f, st->e, NULL), "a metric");
            if (v.kind == VTensor) b_name(f.b, v.v, st->name);
            vec_push(cx->arena, &metrics, v);
            vec_push(cx->arena, &t->stage->metrics, st->name);
        }
    }
    scope_pop(&f);
    if (!has_loss) diag_error(cx, t->item->name_loc, "train '%s' has no loss", t->item->name);
    if (cx->errors != errors) return NULL;
    b_name(f.b, total.v, sym(cx, "loss"));
    b_result(f.b, total.v);
    for (uint32_t i = 0; i < metrics.len; i++) b_result(f.b, metrics.data[i].v);
    Fn *fn = root_done(fr, root);
    fn->loc = t->item->name_loc;
    fn->name = program_fresh(fr->p, arena_printf(cx->arena, "%s_%s", t->item->name, suffix));
    program_add(fr->p, fn);
    FnInst *inst = NEW(cx->arena, FnInst);
    *inst = (FnInst){.fn = fn, .ncaptures = root->captures.len};
    return inst;
}

static bool trainable(const Front *fr, Sym path) {
    int64_t at = state_index(fr, path);
    return at >= 0 && fr->state_info.data[at].trainable;
}

/* A parameter that does not reach the loss has no gradient; silence would be the worst report. */
static void warn_unreached(Train *t) {
    Cx *cx = t->fr->cx;
    const Fn *fn = t->loss->fn;
    bool *live = NEW_ARRAY(cx->arena, bool, fn->ins.len);
    live[fn->results.data[0]] = true;
    for (uint32_t v = fn->ins.len; v-- > 0;) {
        for (uint32_t k = 0; live[v] && k < fn->ins.data[v].nargs; k++)
            live[fn->ins.data[v].args[k]] = true;
    }
    for (uint32_t i = 0; i < t->loss->ncaptures; i++) {
        if (live[i] || !trainable(t->fr, fn->ins.data[i].name)) continue;
        diag_warn(cx, "unreached-param", t->item->name_loc,
                  "the loss of '%s' does not reach the parameter '%s'", t->item->name,
                  fn->ins.data[i].name);
    }
}

/* ---- the step ---- */

typedef struct NewState {
    Front *fr;
    VEC(struct {
        Sym path;
        Val v;
    })
    vals;
} NewState;

static void set_state(void *data, Sym path, Val v) {
    NewState *s = data;
    vec_grow(s->fr->cx->arena, (void **)&s->vals.data, &s->vals.cap, s->vals.len,
             sizeof *s->vals.data);
    s->vals.data[s->vals.len].path = path;
    s->vals.data[s->vals.len++].v = v;
}

static Value clip(Train *t, Frame *f, Update *u, uint32_t n) {
    if (t->clip_value) {
        Value limit =
            v_materialise(f, t->clip_value->loc, lower_expr(f, t->clip_value, NULL), -1, NULL);
        for (uint32_t i = 0; i < n; i++)
            u[i].g = call_std(f, t->clip_value->loc, "clip_gradient", (Value[]){u[i].g, limit}, 2);
    }
    if (!t->clip_norm) return v_int(0, NULL);
    Loc loc = t->clip_norm->loc;
    Value limit = v_materialise(f, loc, lower_expr(f, t->clip_norm, NULL), -1, NULL),
          total = v_error();
    for (uint32_t i = 0; i < n; i++) {
        Value s = call_std(f, loc, "sum_of_squares", &u[i].g, 1);
        total = i ? lower_binary_values(f, t->clip_norm, BinAdd, total, s) : s;
    }
    if (limit.kind == VError || total.kind == VError) return v_error();
    Value factor = call_std(f, loc, "clip_factor", (Value[]){total, limit}, 2);
    for (uint32_t i = 0; i < n; i++)
        u[i].g = lower_binary_values(f, t->clip_norm, BinMul, u[i].g, factor);
    return factor;
}

/* value_and_grad of the loss with respect to every trainable parameter it captures. */
static uint32_t emit_gradient(Train *t, Frame *f, Update *u, Val *results) {
    Cx *cx = t->fr->cx;
    const Fn *loss = t->loss->fn;
    Val *args = NEW_ARRAY(cx->arena, Val, loss->nparams);
    Sym *names = NEW_ARRAY(cx->arena, Sym, loss->nparams);
    Type *types = NEW_ARRAY(cx->arena, Type, loss->results.len + loss->nparams);
    uint32_t nwrt = 0, n = 0;
    for (uint32_t i = 0; i < t->loss->ncaptures; i++) {
        args[i] = capture(f->root, t->fr, loss->ins.data[i].name, loss->ins.data[i].type);
    }
    for (uint32_t i = t->loss->ncaptures; i < loss->nparams; i++) {
        args[i] = b_param(f->b, loss->ins.data[i].name, loss->ins.data[i].type);
    }
    for (uint32_t i = 0; i < loss->results.len; i++)
        types[n++] = loss->ins.data[loss->results.data[i]].type;
    for (uint32_t i = 0; i < t->loss->ncaptures; i++) {
        if (!trainable(t->fr, loss->ins.data[i].name)) continue;
        u[nwrt] = (Update){.path = loss->ins.data[i].name, .p = v_tensor(f, args[i], NULL)};
        types[n++] = loss->ins.data[i].type;
        names[nwrt++] = loss->ins.data[i].name;
    }
    if (!nwrt) {
        diag_error(cx, t->item->name_loc, "train '%s' has no parameter to train", t->item->name);
        return 0;
    }
    Attr attrs[2] = {attr_fn(loss->name), attr_names(cx, names, nwrt)};
    b_at(f->b, t->stage->loss_loc, NULL);
    b_multi(f->b, Op_value_and_grad, args, loss->nparams, attrs, types, n, results);
    for (uint32_t i = 0; i < nwrt; i++) u[i].g = v_tensor(f, results[loss->results.len + i], NULL);
    return nwrt;
}

static void step_results(Train *t, Frame *f, const NewState *state, const Val *results) {
    Front *fr = t->fr;
    for (uint32_t k = 0; k < fr->p->state.len; k++) {
        const Capture *c = NULL;
        for (uint32_t i = 0; i < f->root->captures.len; i++) {
            if (f->root->captures.data[i].path == fr->p->state.data[k].path)
                c = &f->root->captures.data[i];
        }
        if (!c) continue;
        Val v = c->v;
        for (uint32_t i = 0; i < state->vals.len; i++) {
            if (state->vals.data[i].path == c->path) v = state->vals.data[i].v;
        }
        b_result(f->b, v);
    }
    for (uint32_t i = 0; i < t->loss->fn->results.len; i++) b_result(f->b, results[i]);
}

static void donate_state(Front *fr, Fn *fn) {
    fn->donated = NEW_ARRAY(fr->cx->arena, int32_t, fn->results.len);
    for (uint32_t i = 0; i < fn->results.len; i++) {
        fn->donated[i] =
            i < fn->nparams && state_index(fr, fn->ins.data[i].name) >= 0 ? (int32_t)i : -1;
    }
}

static Fn *lower_step(Train *t) {
    Front *fr = t->fr;
    Cx *cx = fr->cx;
    uint32_t errors = cx->errors;
    Root *root = root_new(fr, t->item->name);
    Frame f = {.fr = fr,
               .root = root,
               .b = root->b,
               .real = fr->p->real,
               .training = true,
               .batch = t->stage->batch};
    scope_push(&f);
    Update *u = NEW_ARRAY(cx->arena, Update, t->loss->ncaptures);
    Val *results = NEW_ARRAY(cx->arena, Val, t->loss->fn->results.len + t->loss->ncaptures);
    uint32_t n = emit_gradient(t, &f, u, results);
    if (!n || clip(t, &f, u, n).kind == VError || cx->errors != errors) return NULL;
    NewState state = {.fr = fr};
    if (!lower_optimizer(&f, t->optimizer, u, n, set_state, &state)) return NULL;
    for (uint32_t i = 0; i < n; i++) set_state(&state, u[i].path, u[i].result.v);
    step_results(t, &f, &state, results);
    Fn *fn = root_done(fr, root);
    fn->loc = t->item->name_loc;
    fn->name = program_fresh(fr->p, arena_printf(cx->arena, "%s_step", t->item->name));
    donate_state(fr, fn);
    program_add(fr->p, fn);
    return fn;
}

/* ---- the stage ---- */

static bool check_binds(Train *t) {
    uint32_t n = t->item->binds.len, have = t->data->fields.len;
    if (n == have || !have) return have; /* without fields: reported where it is declared */
    diag_error(t->fr->cx, n ? t->item->binds.data[n - 1].loc : t->item->name_loc,
               "%u names for the %u fields of '%s'; '_' stands for an unused one", n, have,
               t->data->name);
    diag_note(t->fr->cx, t->data->loc, "declared here");
    return false;
}

void lower_train(Front *fr, const Item *item) {
    Cx *cx = fr->cx;
    Train t = {.fr = fr, .item = item, .stage = NEW(cx->arena, Stage)};
    *t.stage = (Stage){.name = item->name, .loc = item->name_loc, .doc = item->doc};
    if (!strcmp(item->name, "eval") || !strcmp(item->name, "call")) {
        diag_error(cx, item->name_loc,
                   "a stage cannot be named '%s': the trainer has a command of that name",
                   item->name);
        return;
    }
    if (!data_split(&t, item->e, &t.stage->dataset, &t.stage->split)) return;
    t.data = find_dataset(fr, t.stage->dataset);
    for (uint32_t i = 0; i < item->binds.len; i++)
        vec_push(cx->arena, &t.stage->binds, item->binds.data[i].name);
    if (!read_settings(&t) || !check_binds(&t)) return;
    t.loss = lower_loss(&t, "loss", t.stage->batch, true);
    if (!t.loss) return;
    warn_unreached(&t);
    Fn *step = lower_step(&t);
    FnInst *eval = step ? lower_loss(&t, "eval", t.stage->batch, fr->opt->check) : NULL;
    FnInst *row = eval ? lower_loss(&t, "eval_row", 1, fr->opt->check) : NULL;
    if (!row) return;
    t.stage->loss = t.loss->fn->name;
    t.stage->step = step->name;
    t.stage->eval = eval->fn->name;
    t.stage->eval_row = row->fn->name;
    vec_push(cx->arena, &fr->p->stages, t.stage);
}
