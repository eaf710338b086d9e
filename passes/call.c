/* Calls under differentiation: a function that is called several times is differentiated once.
 *
 *   let y: f64[2, 4] = block(x, w);      becomes, with what the backward part reads as results,
 *
 *   let (y: f64[2, 4], at_h: f64[2, 4]) = block_fwd(x, w);
 *   ...
 *   let (d_x: f64[2, 4], d_w: f64[4, 4]) = block_vjp(x, w, at_h, d_y);
 *
 * A pair serves all calls with the same active parameters and results. What both functions may read
 * of the parameters is passed to both. Tests: tests/passes/call_test.c */
#include "passes/reverse.h"

bool is_worth_calling(const Program *p, const Fn *fn) {
    uint32_t n = 0;
    bool heavy = false;
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        OpClass c = op_info[i->op].cls;
        const Fn *callee = i->op == Op_call ? program_fn(p, i->attrs[0].s) : NULL;
        heavy |= c == ClsContract || c == ClsRegion || (callee && is_worth_calling(p, callee));
        n += i->op != Op_const && i->op != Op_get;
    }
    return heavy && n >= MinKept;
}

/* The same key is the same derivative. */
static Sym pair_key(const Pulled *q) {
    Text t = {0};
    const Fn *test = q->ins->op == Op_while ? q->a->r.other : NULL;
    text_add(&t, "%s %s", q->a->r.body->name, test ? test->name : "");
    for (uint32_t k = 0; k < q->nwrt; k++) text_add(&t, " %u", q->wrt[k]);
    for (uint32_t k = 0; k < q->a->r.body->results.len; k++) text_add(&t, q->want[k] ? "y" : "n");
    return sym(q->r->p->cx, text_done(&t, q->r->p->cx->scratch));
}

/* What is a result anyway, or saved twice, is one result of the forward part. */
static void merge_results(CallPair *pair, Fn *forward, uint32_t nresults, Arena *a) {
    Fn all = *forward;
    memset(&forward->results, 0, sizeof forward->results);
    for (uint32_t k = 0; k < all.results.len; k++) {
        uint32_t at = k < nresults ? forward->results.len : 0;
        while (at < forward->results.len && forward->results.data[at] != all.results.data[k]) at++;
        if (at == forward->results.len) vec_push(a, &forward->results, all.results.data[k]);
        if (k >= nresults) pair->saved[k - nresults] = at;
    }
}

static CallPair *pair_new(const Pulled *q, Sym key, uint32_t nkept, uint32_t nsaved) {
    Arena *a = q->r->p->cx->arena;
    CallPair *pair = NEW(a, CallPair);
    uint32_t nresults = q->a->r.body->results.len;
    *pair = (CallPair){.key = key, .nkept = nkept, .nsaved = nsaved, .nwrt = q->nwrt};
    pair->kept = NEW_ARRAY(a, uint32_t, nkept);
    pair->saved = NEW_ARRAY(a, uint32_t, nsaved);
    pair->wrt = NEW_ARRAY(a, uint32_t, q->nwrt);
    pair->want = NEW_ARRAY(a, bool, nresults);
    copy_bytes(pair->wrt, q->wrt, q->nwrt * sizeof *pair->wrt);
    copy_bytes(pair->want, q->want, nresults * sizeof *pair->want);
    return pair;
}

static CallPair *while_pair(const Pulled *q, Sym key) {
    const WhileFns *w = while_fns(q->r->p, q->ins);
    Fn *backward = w ? while_backward(q, w) : NULL;
    if (!backward) return NULL;
    uint32_t nparams = w->whole->nparams, nresults = w->whole->results.len;
    CallPair *pair = pair_new(q, key, nparams, w->forward->results.len - nresults);
    pair->loop = w;
    pair->forward = w->forward;
    pair->backward = backward;
    for (uint32_t k = 0; k < pair->nkept; k++) pair->kept[k] = k;
    for (uint32_t k = 0; k < pair->nsaved; k++) pair->saved[k] = nresults + k;
    return pair;
}

static CallPair *call_pair(const Pulled *q, Sym key) {
    Program *p = q->r->p;
    const Fn *body = q->a->r.body;
    bool *keep = NEW_ARRAY(p->cx->scratch, bool, body->nparams);
    for (uint32_t k = 0; k < body->nparams; k++) keep[k] = true;
    Split *s = split_reverse(p, body, q->wrt, q->nwrt, q->want, keep);
    if (!s) return NULL;
    CallPair *pair = pair_new(q, key, s->nkept, s->nsaved);
    pair->forward = s->forward;
    pair->backward = s->backward;
    copy_bytes(pair->kept, s->kept, s->nkept * sizeof *pair->kept);
    merge_results(pair, s->forward, body->results.len, p->cx->arena);
    add_fresh(p, s->forward, body->name, "fwd");
    add_fresh(p, s->backward, body->name, "vjp");
    return pair;
}

CallPair *pair_of(const Pulled *q) {
    Program *p = q->r->p;
    Sym key = pair_key(q);
    for (uint32_t k = 0; k < p->pairs.len; k++) {
        CallPair *pair = p->pairs.data[k];
        bool there = program_fn(p, pair->forward->name) && program_fn(p, pair->backward->name);
        if (pair->key == key && there) return pair;
    }
    CallPair *pair = q->ins->op == Op_while ? while_pair(q, key) : call_pair(q, key);
    if (pair) vec_push(p->cx->arena, &p->pairs, pair);
    return pair;
}

void save_call(Pulled *q, Val v) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    CallPair *pair = pair_of(q);
    if (!pair) {
        r->errors++;
        r->map[v] = b_copy(r->b, q->ins, r->map);
        return;
    }
    Val *args = NEW_ARRAY(s, Val, q->ins->nargs);
    Val *results = NEW_ARRAY(s, Val, pair->forward->results.len);
    Val *stacks = NEW_ARRAY(s, Val, pair->nsaved);
    for (uint32_t k = 0; k < q->ins->nargs; k++) args[k] = region_operand(q, k);
    b_at(r->b, q->ins->loc, q->ins->rule);
    b_call(r->b, pair->forward, args, q->ins->nargs, results);
    for (uint32_t k = 0; k < q->results.len; k++) {
        Val y = q->results.data[k];
        r->map[y] = results[k];
        if (r->fn->ins.data[y].name) b_name(r->b, r->map[y], r->fn->ins.data[y].name);
    }
    for (uint32_t k = 0; k < pair->nsaved; k++) stacks[k] = results[pair->saved[k]];
    r->saved[v] = NEW(s, struct Saved);
    *r->saved[v] = (struct Saved){.pair = pair, .stacks = stacks};
}

void pull_call(Pulled *q, const struct Saved *saved) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    Vals args = {0};
    for (uint32_t k = 0; k < saved->pair->nkept; k++) {
        vec_push(s, &args, region_operand(q, saved->pair->kept[k]));
    }
    for (uint32_t k = 0; k < saved->pair->nsaved; k++) vec_push(s, &args, saved->stacks[k]);
    b_at(r->b, q->ins->loc, region_label(q));
    for (uint32_t k = 0; k < q->a->r.body->results.len; k++) {
        if (q->want[k]) vec_push(s, &args, region_cotangent(q, k));
    }
    Val *adjoints = NEW_ARRAY(s, Val, q->nwrt);
    b_call(r->b, saved->pair->backward, args.data, args.len, adjoints);
    region_add(q, adjoints);
}
