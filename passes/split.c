/* Reverse mode of a body in two functions, forward and backward, and the values that go from one to
 * the other: what the backward part reads and cannot have otherwise. Constants and views are made
 * again instead, the latter from what they look at. */
#include "passes/reverse.h"

typedef struct Cut {
    Program *p;
    const Fn *whole;
    Val boundary;
    uint32_t nparams;    /* of the body; cotangents follow */
    const bool *keep;    /* per parameter of the body */
    bool *back;          /* computed in the backward part */
    bool *crosses;       /* saved, or a kept parameter */
} Cut;

/* Whether the backward part makes forward value v again. */
static bool made_again(const Cut *c, Val v) {
    const Ins *i = &c->whole->ins.data[v];
    return i->op == Op_const || op_info[i->op].cls == ClsView;
}

static void need(Cut *c, Val v) {
    bool cotangent = v >= c->nparams && v < c->whole->nparams;
    if (cotangent) return;
    if (v >= c->boundary || made_again(c, v)) c->back[v] = true;
    else c->crosses[v] = true;
}

static void find_cut(Cut *c) {
    const Fn *fn = c->whole;
    for (uint32_t k = 0; k < fn->results.len; k++) need(c, fn->results.data[k]);
    for (Val v = fn->ins.len; v-- > 0;) {
        const Ins *i = &fn->ins.data[v];
        for (uint32_t k = 0; c->back[v] && k < i->nargs; k++) need(c, i->args[k]);
    }
}

static bool is_kept(const Cut *c, Val v) { return v < c->nparams && c->keep[v]; }

static Fn *forward_part(const Cut *c, const Fn *fn, const Val *results) {
    Fn part = *c->whole;
    Arena *a = c->p->cx->scratch;
    memset(&part.results, 0, sizeof part.results);
    for (uint32_t k = 0; k < fn->results.len; k++) vec_push(a, &part.results, results[k]);
    for (Val v = 0; v < c->boundary; v++) {
        if (c->crosses[v] && !is_kept(c, v)) vec_push(a, &part.results, v);
    }
    bool *live = live_values(c->p, &part, NULL);
    Val *map = NEW_ARRAY(a, Val, part.ins.len);
    Builder *b = builder_new(c->p, fn->name, false);
    b_fn(b)->loc = fn->loc;
    for (Val v = 0; v < c->boundary; v++) {
        const Ins *i = &part.ins.data[v];
        if (v >= c->nparams && v < part.nparams) continue;
        if (v < c->nparams || live[v]) map[v] = b_copy(b, i, map);
    }
    return copy_done(b, &part, map);
}

static Val backward_param(const Cut *c, Builder *b, Val v) {
    const Ins *i = &c->whole->ins.data[v];
    Sym base = i->name ? i->name : sym(c->p->cx, "saved");
    b_at(b, i->loc, i->rule);
    return b_param(b, fresh_param(c->p, b, v < c->whole->nparams ? "in" : "at", base), i->type);
}

static Fn *backward_part(const Cut *c, Split *s) {
    Arena *a = c->p->cx->scratch;
    const Fn *fn = c->whole;
    Val *map = NEW_ARRAY(a, Val, fn->ins.len);
    Builder *b = builder_new(c->p, fn->name, false);
    s->kept = NEW_ARRAY(a, uint32_t, c->nparams);
    for (Val v = 0; v < c->nparams; v++) {
        if (!c->crosses[v] || !c->keep[v]) continue;
        s->kept[s->nkept++] = v;
        map[v] = backward_param(c, b, v);
    }
    for (Val v = 0; v < c->boundary; v++) {
        if (!c->crosses[v] || is_kept(c, v)) continue;
        s->nsaved++;
        map[v] = backward_param(c, b, v);
    }
    for (Val v = c->nparams; v < fn->nparams; v++) {
        const Ins *i = &fn->ins.data[v];
        b_at(b, i->loc, i->rule);
        map[v] = b_param(b, fresh_param(c->p, b, "of", i->name), i->type);
    }
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (c->back[v]) map[v] = b_copy(b, &fn->ins.data[v], map);
    }
    return copy_done(b, fn, map);
}

Split *split_reverse(Program *p, const Fn *fn, const uint32_t *wrt, uint32_t n, const bool *want,
                     const bool *keep) {
    Reverse r;
    const Fn *whole = transpose_whole(&r, p, fn, fn->name, wrt, n, want);
    if (!whole) return NULL;
    Arena *a = p->cx->scratch;
    Cut c = {.p = p, .whole = whole, .boundary = r.boundary, .nparams = fn->nparams, .keep = keep,
             .back = NEW_ARRAY(a, bool, whole->ins.len),
             .crosses = NEW_ARRAY(a, bool, whole->ins.len)};
    find_cut(&c);
    Val *results = NEW_ARRAY(a, Val, fn->results.len);
    for (uint32_t k = 0; k < fn->results.len; k++) results[k] = r.map[r.fn->results.data[k]];
    Split *s = NEW(a, Split);
    s->forward = forward_part(&c, fn, results);
    s->backward = backward_part(&c, s);
    return s;
}
