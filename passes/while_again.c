/* Derivatives of derivatives of while. Its backward part, V = J(x)' d, is not differentiated line
 * by line, as a loop over stored steps that runs loops: each order would make ten times as many of
 * them. What it means is differentiated instead, where L is the loop that computes tangents t
 * beside the values, y, ty = L(x, t), a while as any other:
 *
 *   <u, V(x, d)> = <d, J(x) u>    so that    d_d = ty of L(x, u)
 *                                            d_x = B[L, x](d), d being the cotangent of ty
 *   the tangent of V is               B[L, x](t_d, d), the cotangents of y and ty, t = t_x
 *
 * The parts of L are those of a while again, and so on to any order. What the recording part gives
 * beside the results has no derivative: it only tells the backward part where steps are stored.
 * Tests: tests/passes/while_again_test.c */
#include "passes/reverse.h"

WhilePart while_part(const Program *p, const Ins *ins) {
    if (ins->op != Op_call) return (WhilePart){0};
    for (uint32_t k = 0; k < p->pairs.len; k++) {
        const CallPair *pair = p->pairs.data[k];
        if (!pair->loop) continue;
        if (pair->backward->name == ins->attrs[0].s) return (WhilePart){pair, true};
        if (pair->forward->name == ins->attrs[0].s) return (WhilePart){pair, false};
    }
    return (WhilePart){0};
}

/* The while itself, on the operands of a call of one of its functions. */
static Ins *loop_ins(Program *p, const WhileFns *w, const Ins *call) {
    Ins *i = NEW(p->cx->scratch, Ins);
    *i = w->whole->ins.data[w->whole->nparams];
    i->args = call->args;
    i->loc = call->loc;
    i->rule = call->rule;
    return i;
}

/* What is active in the loop where these operands are. */
static RegionActivity *loop_activity(Program *p, RuleKind kind, const WhileFns *w,
                                     const bool *operands) {
    const Fn *fn = w->whole;
    bool *active = NEW_ARRAY(p->cx->scratch, bool, fn->ins.len);
    copy_bytes(active, operands, fn->nparams * sizeof *active);
    return region_activity(p, kind, fn, fn->nparams, active);
}

RegionActivity *part_activity(Program *p, RuleKind kind, const Ins *ins, const bool *active) {
    WhilePart part = while_part(p, ins);
    const Fn *loop = part.pair->loop->whole;
    RegionActivity *a = NEW(p->cx->scratch, RegionActivity);
    a->r = region_of(p, ins);
    const Fn *fn = a->r.body;
    a->wrt = NEW_ARRAY(p->cx->scratch, bool, fn->nparams);
    a->result = NEW_ARRAY(p->cx->scratch, bool, fn->results.len);
    for (uint32_t k = 0; k < fn->nparams; k++) {
        bool saved = k >= loop->nparams && k < loop->nparams + part.pair->nsaved;
        a->wrt[k] = active[ins->args[k]] && !saved && dtype_is_float(fn->ins.data[k].type.dt);
        a->any |= a->wrt[k];
    }
    for (uint32_t k = 0; part.backward && k < fn->results.len; k++) a->result[k] = a->any;
    if (part.backward) return a;
    const RegionActivity *whole = loop_activity(p, kind, part.pair->loop, a->wrt);
    if (!whole) return NULL;
    copy_bytes(a->result, whole->result, loop->results.len * sizeof *a->result);
    a->any = whole->any;
    return a;
}

/* ---- the loop with tangents ---- */

typedef struct Tangents {
    const Fn *fn;  /* (operands.., tangents of wrt..) -> results, tangents of float results */
    uint32_t *wrt, n;
} Tangents;

/* wrt: operands. No fn after a user error. */
static Tangents loop_tangents(Program *p, const WhileFns *w, const bool *wrt) {
    const Fn *fn = w->whole;
    Tangents t = {0};
    t.wrt = marked_params(p, wrt, fn->nparams, &t.n);
    Text key = {0};
    text_add(&key, "%s loop", fn->name);
    for (uint32_t k = 0; k < t.n; k++) text_add(&key, " %u", t.wrt[k]);
    Sym s = sym(p->cx, text_done(&key, p->cx->scratch));
    for (uint32_t k = 0; k < p->tangents.len; k++) {
        const Fn *made = p->tangents.data[k].fn;
        if (p->tangents.data[k].key == s && program_fn(p, made->name)) t.fn = made;
    }
    if (t.fn) return t;
    Fn *made = linearize(p, fn, fn->name, t.wrt, t.n);
    if (!made) return t;
    add_fresh(p, made, fn->name, "tangents");
    struct CallTangents entry = {s, made};
    vec_push(p->cx->arena, &p->tangents, entry);
    t.fn = made;
    return t;
}

/* What fn gives at args, its loops recording: a backward part reads the same loop. */
static bool run_recording(Program *p, Builder *b, const Fn *fn, const Val *args, Val *results) {
    Val *map = NEW_ARRAY(p->cx->scratch, Val, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        if (v < fn->nparams) map[v] = args[v];
        else if (i->op != Op_while) map[v] = b_copy(b, i, map);
        if (i->op != Op_while) continue;
        const WhileFns *w = while_fns(p, i);
        if (!w) return false;
        Val *operands = NEW_ARRAY(p->cx->scratch, Val, i->nargs);
        Val *out = NEW_ARRAY(p->cx->scratch, Val, w->forward->results.len);
        for (uint32_t k = 0; k < i->nargs; k++) operands[k] = map[i->args[k]];
        b_at(b, i->loc, i->rule);
        b_call(b, w->forward, operands, i->nargs, out);
        map[v] = out[0]; /* what reads one of several results reads the one that follows it */
        if (!i->type.shape) map[v] = out[0] - 1;
    }
    for (uint32_t k = 0; k < fn->results.len; k++) results[k] = map[fn->results.data[k]];
    return true;
}

/* B[fn, wrt](cot) at args; cot, and want, by result. NULL after a user error. */
static Val *run_backward(Program *p, Builder *b, const Fn *fn, const Val *args, const uint32_t *wrt,
                         uint32_t nwrt, const Val *cot, Loc loc) {
    Arena *s = p->cx->scratch;
    Attr callee = attr_fn(fn->name);
    Ins ins = {.op = Op_call, .attrs = &callee, .loc = loc};
    RegionActivity a = {.r = {.body = fn}};
    Reverse r = {.p = p};
    Pulled q = {.r = &r, .ins = &ins, .a = &a, .wrt = wrt, .nwrt = nwrt,
                .want = NEW_ARRAY(s, bool, fn->results.len)};
    for (uint32_t k = 0; k < fn->results.len; k++) q.want[k] = cot[k] != NoVal;
    const CallPair *pair = pair_of(&q);
    if (!pair) return NULL;
    Val *forward = NEW_ARRAY(s, Val, pair->forward->results.len);
    Val *adjoints = NEW_ARRAY(s, Val, nwrt);
    splice(p, b, pair->forward, args, NULL, &(Splice){0}, forward);
    Vals back = {0};
    for (uint32_t k = 0; k < pair->nkept; k++) vec_push(s, &back, args[pair->kept[k]]);
    for (uint32_t k = 0; k < pair->nsaved; k++) vec_push(s, &back, forward[pair->saved[k]]);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        if (cot[k] != NoVal) vec_push(s, &back, cot[k]);
    }
    splice(p, b, pair->backward, back.data, NULL, &(Splice){0}, adjoints);
    return adjoints;
}

/* The operand of a backward part that is the cotangent of result k of the loop, or NoVal. */
static uint32_t cotangent_at(const CallPair *pair, uint32_t k) {
    uint32_t at = pair->nkept + pair->nsaved;
    if (!pair->want[k]) return NoVal;
    for (uint32_t j = 0; j < k; j++) at += pair->want[j];
    return at;
}

static bool is_float_result(const Fn *fn, uint32_t k) {
    return dtype_is_float(fn->ins.data[fn->results.data[k]].type.dt);
}

/* The result of the loop with tangents that is the tangent of result k. */
static uint32_t tangent_at(const Fn *loop, uint32_t k) {
    uint32_t at = loop->results.len;
    for (uint32_t j = 0; j < k; j++) at += is_float_result(loop, j);
    return at;
}

/* ---- reverse mode ---- */

/* q as it would be of the while itself. */
static Pulled loop_pulled(const Pulled *q, const WhileFns *w) {
    Program *p = q->r->p;
    Pulled at = *q;
    RegionActivity *a = loop_activity(p, RuleBackward, w, q->a->wrt);
    a->r = region_of(p, at.ins = loop_ins(p, w, q->ins));
    at.a = a;
    at.wrt = marked_params(p, a->wrt, w->whole->nparams, &at.nwrt);
    for (uint32_t k = 0; k < w->whole->results.len; k++) {
        at.want[k] = a->result[k] && is_float_result(w->whole, k);
    }
    at.results.len = w->whole->results.len;
    return at;
}

void save_part(Pulled *q, Val v) {
    Reverse *r = q->r;
    WhilePart part = while_part(r->p, q->ins);
    r->map[v] = b_copy(r->b, q->ins, r->map);
    if (part.backward) return;
    Pulled loop = loop_pulled(q, part.pair->loop);
    CallPair *pair = pair_of(&loop);
    if (!pair) {
        r->errors++;
        return;
    }
    Val *stacks = NEW_ARRAY(r->p->cx->scratch, Val, pair->nsaved);
    for (uint32_t k = 0; k < pair->nsaved; k++) stacks[k] = r->map[v] + 1 + pair->saved[k];
    r->saved[v] = NEW(r->p->cx->scratch, struct Saved);
    *r->saved[v] = (struct Saved){.pair = pair, .stacks = stacks};
}

/* u, one per wrt of the backward part: operands, then the cotangents that arrived, as tangents. */
static Val *with_tangents(const Pulled *q, const CallPair *pair, bool *reached) {
    const Fn *loop = pair->loop->whole;
    Val *args = NEW_ARRAY(q->r->p->cx->scratch, Val, loop->nparams + pair->nwrt);
    uint32_t n = 0;
    for (uint32_t k = 0; k < loop->nparams; k++) args[n++] = region_operand(q, k);
    for (uint32_t k = 0; k < pair->nwrt; k++) {
        Val u = q->r->adj[q->results.data[k]];
        if (u != NoVal) args[n++] = u;
        reached[pair->wrt[k]] = u != NoVal;
    }
    return args;
}

static void pull_backward(const Pulled *q, const CallPair *pair) {
    Reverse *r = q->r;
    Program *p = r->p;
    Arena *s = p->cx->scratch;
    const Fn *loop = pair->loop->whole;
    bool *reached = NEW_ARRAY(s, bool, loop->nparams);
    Val *args = with_tangents(q, pair, reached);
    Tangents t = loop_tangents(p, pair->loop, reached);
    Val *out = t.fn ? NEW_ARRAY(s, Val, t.fn->results.len) : NULL, *adjoints = NULL;
    uint32_t n;
    const uint32_t *wrt = marked_params(p, q->a->wrt, loop->nparams, &n);
    b_at(r->b, q->ins->loc, region_label(q));
    if (!t.fn || !run_recording(p, r->b, t.fn, args, out)) {
        r->errors++;
        return;
    }
    if (n) {
        Val *cot = NEW_ARRAY(s, Val, t.fn->results.len);
        for (uint32_t k = 0; k < t.fn->results.len; k++) cot[k] = NoVal;
        for (uint32_t k = 0; k < loop->results.len; k++) {
            uint32_t d = cotangent_at(pair, k);
            if (d != NoVal) cot[tangent_at(loop, k)] = region_operand(q, d);
        }
        adjoints = run_backward(p, r->b, t.fn, args, wrt, n, cot, q->ins->loc);
        if (!adjoints) r->errors++;
    }
    Sym label = region_label(q);
    for (uint32_t k = 0; adjoints && k < n; k++) {
        Val x = q->ins->args[wrt[k]];
        add_adjoint(r, x, adjoints[k], NoVal, label);
    }
    for (uint32_t k = 0; k < loop->results.len; k++) {
        uint32_t d = cotangent_at(pair, k);
        if (d == NoVal || !q->a->wrt[d]) continue;
        add_adjoint(r, q->ins->args[d], out[tangent_at(loop, k)], NoVal, label);
    }
}

void pull_part(Pulled *q, const struct Saved *saved) {
    WhilePart part = while_part(q->r->p, q->ins);
    if (part.backward) {
        pull_backward(q, part.pair);
    } else if (saved) {
        Pulled loop = loop_pulled(q, part.pair->loop);
        pull_call(&loop, saved);
    }
}

/* ---- forward mode ---- */

static void forward_tangents(const Fn *loop, const Val *out, const RegionActivity *a, Val *values,
                             Val *moved) {
    for (uint32_t k = 0; k < loop->results.len; k++) {
        values[k] = out[k];
        if (a->result[k] && is_float_result(loop, k)) moved[k] = out[tangent_at(loop, k)];
    }
}

/* The tangents of adjoints; args: of the loop with tangents, or of the loop. */
static Val *backward_tangents(Program *p, Builder *b, const CallPair *pair, const Tangents *t,
                              const Ins *ins, const Val *args, const Val *at, const Val *moving) {
    Arena *s = p->cx->scratch;
    const Fn *loop = pair->loop->whole;
    Val *cot = NEW_ARRAY(s, Val, t->fn->results.len);
    for (uint32_t k = 0; k < t->fn->results.len; k++) cot[k] = NoVal;
    for (uint32_t k = 0; k < loop->results.len; k++) {
        uint32_t d = cotangent_at(pair, k);
        if (d == NoVal) continue;
        cot[k] = moving[d];
        cot[tangent_at(loop, k)] = at[d];
    }
    return run_backward(p, b, t->fn, args, pair->wrt, pair->nwrt, cot, ins->loc);
}

/* V(x, t_d): it is linear in d. */
static void linear_tangents(Program *p, Builder *b, const CallPair *pair, const Val *args,
                            const Val *tangents, Val *moved) {
    uint32_t n = pair->backward->nparams;
    Val *along = NEW_ARRAY(p->cx->scratch, Val, n);
    for (uint32_t k = 0; k < n; k++) {
        bool fixed = k < pair->nkept + pair->nsaved;
        if (fixed) along[k] = args[k];
        else along[k] = tangents[k] != NoVal ? tangents[k] : b_float(b, b_type(b, args[k]), 0);
    }
    b_call(b, pair->backward, along, n, moved);
}

bool part_tangents(Program *p, Builder *b, const Ins *ins, const RegionActivity *a, const Val *args,
                   const Val *tangents, Val *values, Val *moved) {
    Arena *s = p->cx->scratch;
    WhilePart part = while_part(p, ins);
    const CallPair *pair = part.pair;
    const Fn *loop = pair->loop->whole, *fn = a->r.body;
    Loc loc = b_loc(b);
    Sym label = b_rule(b);
    bool *moves = NEW_ARRAY(s, bool, loop->nparams);
    Val *all = NEW_ARRAY(s, Val, 2 * loop->nparams);
    uint32_t n = loop->nparams;
    b_at(b, ins->loc, ins->rule);
    b_call(b, fn, args, ins->nargs, values);
    b_at(b, loc, label);
    for (uint32_t k = 0; k < fn->results.len; k++) moved[k] = NoVal;
    copy_bytes(all, args, n * sizeof *all);
    for (uint32_t k = 0; k < loop->nparams; k++) {
        moves[k] = a->wrt[k] && tangents[k] != NoVal;
        if (moves[k]) all[n++] = tangents[k];
    }
    if (n == loop->nparams) {
        if (part.backward) linear_tangents(p, b, pair, args, tangents, moved);
        return true;
    }
    Tangents t = loop_tangents(p, pair->loop, moves);
    if (!t.fn) return false;
    if (part.backward) {
        Val *out = backward_tangents(p, b, pair, &t, ins, all, args, tangents);
        if (out) copy_bytes(moved, out, pair->nwrt * sizeof *moved);
        return out;
    }
    Val *out = NEW_ARRAY(s, Val, t.fn->results.len);
    if (!run_recording(p, b, t.fn, all, out)) return false;
    forward_tangents(loop, out, a, values, moved);
    return true;
}
