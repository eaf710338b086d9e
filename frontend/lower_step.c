/* The training step: for each part the gradient of its loss, summed over micro-batches, clipped,
 * and its parameters by its optimizers; the next part sees them. */
#include "frontend/lower_train.h"

#define Accumulated "opt.accumulate.%s"

typedef struct Step {
    Train *t;
    Frame f;
    Part *part;
    bool accumulate; /* micro-batches but the last: gradients are added up only */
    VEC(struct {
        Sym path;
        Val v;
    })
    state; /* assigned so far */
    Val loss, *metrics;
} Step;

static void set_state(void *data, Sym path, Val v) {
    Step *s = data;
    for (uint32_t i = 0; i < s->state.len; i++) {
        if (s->state.data[i].path != path) continue;
        s->state.data[i].v = v;
        return;
    }
    vec_grow(s->t->fr->cx->arena, (void **)&s->state.data, &s->state.cap, s->state.len,
             sizeof *s->state.data);
    s->state.data[s->state.len].path = path;
    s->state.data[s->state.len++].v = v;
}

/* An argument of a loss as it is now: state that an earlier part may have assigned, or any other.
 */
static Val now(Step *s, Sym path, Type type) {
    Val v = capture(s->f.root, s->t->fr, path, type);
    for (uint32_t i = 0; i < s->state.len; i++) {
        if (s->state.data[i].path == path) return s->state.data[i].v;
    }
    return v;
}

/* ---- which optimizer ---- */

/* '*' is any text, '?' any one character. */
static bool matches(const char *pattern, const char *path) {
    for (; *pattern && *pattern != '*'; pattern++, path++) {
        if (!*path || (*pattern != '?' && *pattern != *path)) return false;
    }
    if (!*pattern) return !*path;
    for (;; path++) {
        if (matches(pattern + 1, path)) return true;
        if (!*path) return false;
    }
}

static bool group_matches(const Group *g, Sym path) {
    for (uint32_t i = 0; g->patterns && i < g->patterns->strings.len; i++) {
        if (matches(g->patterns->strings.data[i], path)) return true;
    }
    return !g->patterns && g->e;
}

static Group *group_of(Part *p, Sym path) {
    for (uint32_t i = p->groups.len; i-- > 0;) {
        if (group_matches(&p->groups.data[i], path)) return &p->groups.data[i];
    }
    return NULL;
}

static bool frozen(const Group *g) {
    return g->e->kind == ExName && !strcmp(g->e->name, "frozen");
}

static bool trainable(const Front *fr, Sym path) {
    int64_t at = state_index(fr, path);
    return at >= 0 && fr->state_info.data[at].trainable;
}

static bool in_part(const Front *fr, const Part *p, Sym path) {
    size_t n = p->model ? strlen(p->model) : 0;
    return trainable(fr, path) && (!n || (!strncmp(path, p->model, n) && path[n] == '.'));
}

/* Every pattern means something. */
static bool check_patterns(Train *t) {
    Front *fr = t->fr;
    bool ok = true;
    for (uint32_t k = 0; k < t->parts.len; k++) {
        const Part *p = &t->parts.data[k];
        for (uint32_t i = 1; i < p->groups.len; i++) {
            const Stmt *st = p->groups.data[i].patterns;
            for (uint32_t j = 0; j < st->strings.len; j++) {
                bool any = false;
                for (uint32_t n = 0; n < fr->p->state.len; n++) {
                    Sym path = fr->p->state.data[n].path;
                    any |= in_part(fr, p, path) && matches(st->strings.data[j], path);
                }
                if (any) continue;
                diag_error(fr->cx, st->loc, "no parameter matches \"%s\"", st->strings.data[j]);
                if (p->loss->ncaptures)
                    diag_note(fr->cx, p->loc, "one of the parameters here is '%s'",
                              p->loss->fn->ins.data[0].name);
                ok = false;
            }
        }
    }
    return ok;
}

/* Whether a derivative may lead from v to its operand. */
static bool leads_to(const Fn *fn, Val v, Val operand) {
    const Ins *x = &fn->ins.data[operand];
    bool several = op_info[x->op].cls == ClsRegion || op_info[x->op].cls == ClsCall;
    return fn->ins.data[v].op != Op_stop_gradient && (several || dtype_is_float(x->type.dt));
}

/* A parameter that does not reach the loss has no gradient; silence would be the worst report. */
static void warn_unreached(Train *t, Part *p) {
    Cx *cx = t->fr->cx;
    const Fn *fn = p->loss->fn;
    bool *live = NEW_ARRAY(cx->arena, bool, fn->ins.len);
    live[fn->results.data[0]] = true;
    for (uint32_t v = fn->ins.len; v-- > 0;) {
        for (uint32_t k = 0; live[v] && k < fn->ins.data[v].nargs; k++) {
            Val x = fn->ins.data[v].args[k];
            live[x] |= leads_to(fn, v, x);
        }
    }
    for (uint32_t i = 0; i < p->loss->ncaptures; i++) {
        if (live[i] || !in_part(t->fr, p, fn->ins.data[i].name)) continue;
        const Group *g = group_of(p, fn->ins.data[i].name);
        if (g && frozen(g)) continue;
        Loc declared = fn->ins.data[i].loc;
        bool own = declared.line && declared.file == p->loc.file;
        Sym name = p->block ? p->model : t->item->name;
        diag_warn(cx, "unreached-param", own ? declared : p->loc,
                  "the loss of '%s' does not reach the parameter '%s'", name, fn->ins.data[i].name);
        if (own) diag_note(cx, p->loc, "the loss of '%s' is here", name);
    }
}

/* ---- the gradient ---- */

static void keep_results(Step *s, const Val *results, uint32_t nresults) {
    const Part *p = s->part;
    uint32_t at = s->t->loss_scale ? 1 : 0;
    s->loss = s->loss == NoVal ? results[at] : b_add(s->f.b, s->loss, results[at]);
    at++;
    for (uint32_t i = 0; i < p->metrics.len; i++) s->metrics[p->metrics.data[i]] = results[at++];
    for (uint32_t i = 0; i < p->buffers.len; i++) set_state(s, p->buffers.data[i], results[at++]);
    if (at != nresults) BUG(s->t->fr->cx, "a loss has %u results", nresults);
}

/* value_and_grad of the part's loss with respect to what it trains; 0 after a report. */
static uint32_t emit_gradient(Step *s, Update *u) {
    Train *t = s->t;
    Cx *cx = t->fr->cx;
    const Fn *loss = s->part->loss->fn;
    uint32_t nwrt = 0, nresults = loss->results.len;
    Val *args = NEW_ARRAY(cx->arena, Val, loss->nparams);
    Sym *names = NEW_ARRAY(cx->arena, Sym, loss->nparams);
    Type *types = NEW_ARRAY(cx->arena, Type, nresults + loss->nparams);
    Val *results = NEW_ARRAY(cx->arena, Val, nresults + loss->nparams);
    for (uint32_t i = 0; i < nresults; i++) types[i] = loss->ins.data[loss->results.data[i]].type;
    for (uint32_t i = 0; i < loss->nparams; i++) {
        Sym path = loss->ins.data[i].name;
        args[i] = now(s, path, loss->ins.data[i].type);
        if (i >= s->part->loss->ncaptures || !in_part(t->fr, s->part, path)) continue;
        Group *g = group_of(s->part, path);
        if (!g) {
            diag_error(cx, s->part->loc, "no optimizer for the parameter '%s'", path);
            return 0;
        }
        g->used = true;
        if (frozen(g)) continue;
        u[nwrt] = (Update){.path = path, .p = v_tensor(&s->f, args[i], NULL)};
        types[nresults + nwrt] = loss->ins.data[i].type;
        names[nwrt++] = path;
    }
    if (!nwrt) {
        diag_error(cx, s->part->loc, "%s '%s' has no parameter to train",
                   s->part->block ? "update" : "train",
                   s->part->block ? s->part->model : t->item->name);
        return 0;
    }
    Attr attrs[2] = {attr_fn(loss->name), attr_names(cx, names, nwrt)};
    b_at(s->f.b, t->stage->loss_loc, NULL);
    b_multi(s->f.b, Op_value_and_grad, args, loss->nparams, attrs, types, nresults + nwrt, results);
    for (uint32_t i = 0; i < nwrt; i++) u[i].g = v_tensor(&s->f, results[nresults + i], NULL);
    keep_results(s, results, nresults);
    return nwrt;
}

static bool each_gradient(Step *s, Update *u, uint32_t n, const Expr *e, BinOp op, Value by) {
    for (uint32_t i = 0; i < n; i++) {
        u[i].g = lower_binary_values(&s->f, e, op, u[i].g, by);
        if (u[i].g.kind == VError) return false;
    }
    return true;
}

/* Sums of gradients live in the state between micro-batches. */
static void add_up(Step *s, Update *u, uint32_t n) {
    Front *fr = s->t->fr;
    Builder *b = s->f.b;
    b_at(b, s->part->loc, NULL);
    for (uint32_t i = 0; i < n; i++) {
        Type t = b_type(b, u[i].g.v);
        Sym path = sym_fmt(fr->cx, Accumulated, u[i].path);
        if (state_index(fr, path) < 0) state_add(fr, path, t, false, b_float(fr->init->b, t, 0));
        Val sum = b_add(b, capture(s->f.root, fr, path, t), u[i].g.v);
        set_state(s, path, s->accumulate ? sum : b_float(b, t, 0));
        if (s->accumulate) continue;
        Val k = b_float(b, t, (double)s->t->stage->accumulate);
        u[i].g = v_tensor(&s->f, b_op(b, Op_div, (Val[]){sum, k}, 2, NULL, NULL), NULL);
    }
}

static bool clip(Step *s, Update *u, uint32_t n) {
    Train *t = s->t;
    Frame *f = &s->f;
    if (t->clip_value) {
        Loc loc = t->clip_value->loc;
        Value limit = v_materialise(f, loc, lower_expr(f, t->clip_value, NULL), -1, NULL);
        for (uint32_t i = 0; i < n; i++)
            u[i].g = call_std(f, loc, "clip_gradient", (Value[]){u[i].g, limit}, 2);
    }
    if (!t->clip_norm) return true;
    Loc loc = t->clip_norm->loc;
    Value limit = v_materialise(f, loc, lower_expr(f, t->clip_norm, NULL), -1, NULL);
    Value total = v_error();
    for (uint32_t i = 0; i < n; i++) {
        Value squares = call_std(f, loc, "sum_of_squares", &u[i].g, 1);
        total = i ? lower_binary_values(f, t->clip_norm, BinAdd, total, squares) : squares;
    }
    if (limit.kind == VError || total.kind == VError) return false;
    Value factor = call_std(f, loc, "clip_factor", (Value[]){total, limit}, 2);
    return each_gradient(s, u, n, t->clip_norm, BinMul, factor);
}

/* ---- the loss as a function of one vector, for update_all ---- */

static const FnInst *batch_loss(void *data, Loc loc, const Update *u, uint32_t n) {
    Step *s = data;
    Front *fr = s->t->fr;
    Cx *cx = fr->cx;
    if (s->t->stage->accumulate > 1) {
        diag_error(cx, loc,
                   "'loss' is that of one batch, so this optimizer and 'accumulate' "
                   "exclude each other; make the batch larger");
        return NULL;
    }
    const Fn *loss = s->part->loss->fn;
    Root *root = root_new(fr, loss->name);
    Builder *b = root->b;
    Val *args = NEW_ARRAY(cx->arena, Val, loss->nparams);
    int64_t at = 0, size = 0;
    for (uint32_t k = 0; k < n; k++) size += b_type(s->f.b, u[k].p.v).shape->size;
    for (uint32_t i = 0; i < loss->nparams; i++) {
        bool moves = false;
        for (uint32_t k = 0; k < n; k++) moves |= u[k].path == loss->ins.data[i].name;
        if (!moves) args[i] = capture(root, fr, loss->ins.data[i].name, loss->ins.data[i].type);
    }
    Type t = {b_type(s->f.b, u[0].p.v).dt, 0, shape_of(cx, &size, 1)};
    b_at(b, loc, NULL);
    Val p = b_param(b, sym(cx, "p"), t);
    for (uint32_t k = 0; k < n; k++) {
        const Shape *shape = b_type(s->f.b, u[k].p.v).shape;
        int64_t end = at + shape->size, step = 1;
        Attr attrs[] = {attr_ints(cx, &at, 1), attr_ints(cx, &end, 1), attr_ints(cx, &step, 1)};
        Val part = b_op(b, Op_slice, &p, 1, attrs, NULL);
        for (uint32_t i = 0; i < loss->nparams; i++) {
            if (u[k].path == loss->ins.data[i].name) args[i] = b_reshape(b, part, shape);
        }
        at = end;
    }
    Val *results = NEW_ARRAY(cx->arena, Val, loss->results.len);
    b_call(b, loss, args, loss->nparams, results);
    b_result(b, results[s->t->loss_scale ? 1 : 0]);
    FnInst *inst = NEW(cx->arena, FnInst);
    inst->ncaptures = root->captures.len;
    Fn *fn = root_done(fr, root);
    fn->loc = loc;
    Sym *captures = NEW_ARRAY(cx->arena, Sym, fn->nparams);
    for (uint32_t i = 0; i < inst->ncaptures; i++) captures[i] = fn->ins.data[i].name;
    inst->captures = captures;
    inst->formals = &fn->ins.data[inst->ncaptures].name;
    inst->nformals = inst->nresults = 1;
    Sym key = sym_fmt(cx, "loss %u", fr->insts.len);
    return keep_instance(fr, key, inst, fn, sym_fmt(cx, "%s_of", loss->name));
}

/* ---- the update ---- */

static bool update_group(Step *s, uint32_t at, Update *u, uint32_t n) {
    Front *fr = s->t->fr;
    Group *g = &s->part->groups.data[at];
    Update *mine = NEW_ARRAY(fr->cx->arena, Update, n);
    uint32_t count = 0, number = (uint32_t)(s->part - s->t->parts.data) + at;
    for (uint32_t i = 0; i < n; i++) {
        if (group_of(s->part, u[i].path) == g) mine[count++] = u[i];
    }
    if (!count) return true;
    Sym tag = number ? sym_fmt(fr->cx, "%s_%u", s->t->item->name, number) : s->t->item->name;
    UpdateSite site = {.tag = tag, .set_state = set_state, .loss = batch_loss, .data = s};
    if (!lower_optimizer(&s->f, g->e, mine, count, &site)) return false;
    for (uint32_t i = 0; i < count; i++) set_state(s, mine[i].path, mine[i].result.v);
    return true;
}

static bool step_part(Step *s) {
    Train *t = s->t;
    Update *u = NEW_ARRAY(t->fr->cx->arena, Update, s->part->loss->ncaptures);
    uint32_t n = emit_gradient(s, u);
    if (!n) return false;
    if (t->loss_scale) {
        Value scale = lower_expr(&s->f, t->loss_scale, NULL);
        if (!each_gradient(s, u, n, t->loss_scale, BinDiv, scale)) return false;
    }
    if (t->stage->accumulate > 1) add_up(s, u, n);
    if (s->accumulate) return true;
    if (!clip(s, u, n)) return false;
    for (uint32_t i = 0; i < s->part->groups.len; i++) {
        if (!update_group(s, i, u, n)) return false;
    }
    return true;
}

/* The new state in the order of its arguments, then loss and metrics. */
static void step_results(Step *s) {
    Front *fr = s->t->fr;
    for (uint32_t k = 0; k < fr->p->state.len; k++) {
        const struct StateVar *var = &fr->p->state.data[k];
        const Root *root = s->f.root;
        for (uint32_t i = 0; i < root->captures.len; i++) {
            if (root->captures.data[i].path == var->path)
                b_result(s->f.b, now(s, var->path, var->type));
        }
    }
    b_name(s->f.b, s->loss, sym(fr->cx, "loss"));
    b_result(s->f.b, s->loss);
    for (uint32_t i = 0; i < s->t->metrics.len; i++) b_result(s->f.b, s->metrics[i]);
}

void donate_state(Front *fr, Fn *fn) {
    fn->donated = NEW_ARRAY(fr->cx->arena, int32_t, fn->results.len);
    for (uint32_t i = 0; i < fn->results.len; i++) {
        fn->donated[i] =
            i < fn->nparams && state_index(fr, fn->ins.data[i].name) >= 0 ? (int32_t)i : -1;
    }
}

Fn *train_step(Train *t, bool accumulate) {
    Front *fr = t->fr;
    Cx *cx = fr->cx;
    uint32_t errors = cx->errors;
    if (!check_patterns(t)) return NULL;
    Root *root = root_new(fr, t->item->name);
    Step s = {.t = t,
              .f = {.fr = fr,
                    .root = root,
                    .b = root->b,
                    .real = fr->p->real,
                    .training = true,
                    .batch = t->stage->batch},
              .accumulate = accumulate,
              .loss = NoVal,
              .metrics = NEW_ARRAY(cx->arena, Val, t->metrics.len)};
    scope_push(&s.f);
    for (uint32_t i = 0; i < t->parts.len; i++) {
        s.part = &t->parts.data[i];
        if (!accumulate) warn_unreached(t, s.part);
        if (!step_part(&s) || cx->errors != errors) return NULL;
    }
    step_results(&s);
    Fn *fn = root_done(fr, root);
    fn->loc = t->item->name_loc;
    const char *suffix = accumulate ? "accumulate" : "step";
    fn->name = program_fresh(fr->p, arena_printf(cx->arena, "%s_%s", t->item->name, suffix));
    donate_state(fr, fn);
    program_add(fr->p, fn);
    return fn;
}
