/* What is the same in every step of a scan is computed once, before it:
 *
 *   fn body(h, x, w) { let u = exp(w); ... }        becomes    fn body(h, x, u) { ... }
 *   let h = scan[body](h0, xs, w, ...);                        let u = exp(w);
 *                                                              let h = scan[body](h0, xs, u, ...);
 *
 * so that a derivative saves it once and not per step, and applies its rule to the sum over the
 * steps. Literals and views stay: they cost nothing inside. Loops in loops, the inner ones first.
 * Tests: tests/passes/region_test.c */
#include "passes/passes.h"

typedef struct Hoist {
    Program *p;
    const Fn *body; /* as it was */
    Region r;
    bool *same;  /* in every step */
    bool *moves; /* out of the loop, and the body reads it */
    bool any;
} Hoist;

static const Ins *body_ins(const Hoist *h, Val v) { return &h->body->ins.data[v]; }

static bool is_cheap(const Ins *i) {
    return i->op == Op_const || i->op == Op_iota || op_info[i->op].cls == ClsView;
}

static void find_same(Hoist *h) {
    h->same = NEW_ARRAY(h->p->cx->scratch, bool, h->body->ins.len);
    for (Val v = 0; v < h->body->ins.len; v++) {
        const Ins *i = body_ins(h, v);
        bool constant = v >= h->r.carry + h->r.seq;
        h->same[v] = v < h->body->nparams ? constant : i->op != Op_opt_barrier;
        for (uint32_t k = 0; k < i->nargs; k++) h->same[v] &= h->same[i->args[k]];
    }
}

/* v is read by what stays. */
static void read_inside(Hoist *h, Val v) {
    const Ins *i = body_ins(h, v);
    if (!h->same[v] || v < h->body->nparams) return;
    if (is_cheap(i)) {
        for (uint32_t k = 0; k < i->nargs; k++) read_inside(h, i->args[k]);
    } else {
        h->moves[v] = h->any = true;
    }
}

static void find_moves(Hoist *h) {
    const Fn *fn = h->body;
    h->moves = NEW_ARRAY(h->p->cx->scratch, bool, fn->ins.len);
    bool *live = live_values(h->p, fn, NULL);
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (h->same[v] || !live[v]) continue;
        const Ins *i = body_ins(h, v);
        for (uint32_t k = 0; k < i->nargs; k++) read_inside(h, i->args[k]);
    }
    for (uint32_t k = 0; k < fn->results.len; k++) read_inside(h, fn->results.data[k]);
}

/* The body with what moves as further constants. */
static const Fn *smaller_body(const Hoist *h) {
    Program *p = h->p;
    Val *map;
    Builder *b = copy_begin(p, h->body, h->body->name, &map);
    for (Val v = 0; v < h->body->ins.len; v++) {
        const Ins *i = body_ins(h, v);
        if (!h->moves[v]) continue;
        Sym name = fresh_param(p, b, "each", i->name ? i->name : sym(p->cx, "x"));
        b_at(b, i->loc, i->rule);
        map[v] = b_param(b, name, i->type);
    }
    for (Val v = h->body->nparams; v < h->body->ins.len; v++) {
        if (map[v] == NoVal) map[v] = b_copy(b, body_ins(h, v), map);
    }
    return drop_dead(p, copy_done(b, h->body, map));
}

/* fn without the constants that it does not read; *args, its operands, likewise. */
static const Fn *without_unread(const Hoist *h, const Fn *fn, Vals *args) {
    Program *p = h->p;
    Arena *s = p->cx->scratch;
    bool *read = NEW_ARRAY(s, bool, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        for (uint32_t k = 0; k < i->nargs; k++) read[i->args[k]] = true;
    }
    for (uint32_t k = 0; k < fn->results.len; k++) read[fn->results.data[k]] = true;
    Builder *b = builder_new(p, fn->name, false);
    b_fn(b)->loc = fn->loc;
    Val *map = NEW_ARRAY(s, Val, fn->ins.len), *out = NEW_ARRAY(s, Val, fn->results.len);
    uint32_t n = 0;
    for (Val v = 0; v < fn->nparams; v++) {
        const Ins *i = &fn->ins.data[v];
        if (v >= h->r.carry + h->r.seq && !read[v]) continue;
        b_at(b, i->loc, i->rule);
        map[v] = b_param(b, i->name, i->type);
        args->data[n++] = args->data[v];
    }
    args->len = n;
    splice(p, b, fn, map, NULL, &(Splice){0}, out);
    for (uint32_t k = 0; k < fn->results.len; k++) b_result(b, out[k]);
    Fn *made = builder_done(b);
    add_fresh(p, made, h->body->name, "rest");
    return made;
}

/* The values of what moves, before the loop. */
static void before_loop(const Hoist *h, Builder *b, const Val *args, Vals *out) {
    Program *p = h->p;
    Fn part = *h->body;
    memset(&part.results, 0, sizeof part.results);
    for (Val v = 0; v < part.ins.len; v++) {
        if (h->moves[v]) vec_push(p->cx->scratch, &part.results, v);
    }
    Val *values = NEW_ARRAY(p->cx->scratch, Val, part.results.len);
    splice(p, b, &part, args, NULL, &(Splice){0}, values);
    for (uint32_t k = 0; k < part.results.len; k++) vec_push(p->cx->scratch, out, values[k]);
}

static Hoist hoist_of(Program *p, const Ins *i) {
    Hoist h = {.p = p, .r = region_of(p, i)};
    h.body = h.r.body;
    find_same(&h);
    find_moves(&h);
    return h;
}

static void rewrite(const Hoist *h, Builder *b, const Fn *fn, Val v, Val *map) {
    Program *p = h->p;
    Arena *s = p->cx->scratch;
    const Ins *i = &fn->ins.data[v];
    Vals args = {0}, results = results_of(p, fn, v);
    Attr attrs[6];
    for (uint32_t k = 0; k < i->nargs; k++) vec_push(s, &args, map[i->args[k]]);
    Val *own = NEW_ARRAY(s, Val, i->nargs), *out = NEW_ARRAY(s, Val, results.len);
    copy_bytes(own, args.data, i->nargs * sizeof *own);
    before_loop(h, b, own, &args);
    copy_bytes(attrs, i->attrs, sizeof attrs);
    attrs[0] = attr_fn(without_unread(h, smaller_body(h), &args)->name);
    Type *types = NEW_ARRAY(s, Type, results.len);
    for (uint32_t k = 0; k < results.len; k++) types[k] = fn->ins.data[results.data[k]].type;
    b_at(b, i->loc, i->rule);
    b_multi(b, Op_scan, args.data, args.len, attrs, types, results.len, out);
    for (uint32_t k = 0; k < results.len; k++) {
        map[results.data[k]] = out[k];
        Sym name = fn->ins.data[results.data[k]].name;
        if (name) b_name(b, out[k], name);
    }
}

static void hoist_fn(Program *p, const Fn *fn) {
    Hoist *at = NEW_ARRAY(p->cx->scratch, Hoist, fn->ins.len);
    bool any = false;
    for (Val v = 0; v < fn->ins.len; v++) {
        if (fn->ins.data[v].op != Op_scan) continue;
        at[v] = hoist_of(p, &fn->ins.data[v]);
        any |= at[v].any;
    }
    if (!any) return;
    Val *map;
    Builder *b = copy_begin(p, fn, fn->name, &map);
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (map[v] != NoVal) continue;
        if (at[v].any) rewrite(&at[v], b, fn, v, map);
        else map[v] = b_copy(b, &fn->ins.data[v], map);
    }
    program_add(p, copy_done(b, fn, map));
}

void pass_hoist(Program *p) {
    keep_callees_first(p, NULL);
    uint32_t n = p->fns.len; /* bodies that are made here are done */
    for (uint32_t k = 0; k < n; k++) hoist_fn(p, p->fns.data[k]);
    keep_callees_first(p, NULL);
}
