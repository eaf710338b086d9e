/* Reverse mode of a long scan in less memory. Steps are taken in segments, these in segments of
 * segments, `levels` deep, each as many of the next as the last is steps long; only the carry at
 * the start of each is stored, and one segment at a time is run again when it is needed:
 *
 *   let (h.., starts..) = scan[f_record](h0.., xs.., consts.., length=T / n);    n steps each
 *   let (d_h.., sums.., d_xs..) =
 *       scan[f_segment](d_h.., sums.., starts.., xs.., consts.., length=T / n, reverse=true);
 *
 * f_segment is the same once more on n steps; at the last level it is the loop that saves all and
 * its backward loop. Sums go through all levels, so that every step is added in the order, and
 * gives the bits, of the plain form. With segments of two, memory grows as the logarithm of the
 * length. What is left over at the end are further, shorter parts. Tests:
 * tests/passes/levels_test.c */
#include "passes/reverse.h"

typedef struct Part { /* of the loop: segments of so many steps, or plain */
    int64_t at, steps;  /* in the order in which they are taken */
    int64_t segment;    /* 0: all of it is saved */
    const Val *stacks;  /* the starts, or what is saved */
    const struct Part *next;
} Part;

typedef struct Levels {
    const Pulled *q;
    const Split *split;
    int64_t base; /* steps of the innermost segment */
} Levels;

bool levels_wanted(const Pulled *q) {
    return q->r->p->memory.levels > 1 && q->a->r.length >= 4;
}

static int64_t power(int64_t b, uint32_t n) {
    int64_t p = 1;
    while (n--) p *= b;
    return p;
}

/* The smallest whole number whose power is not below the length, at least 2. */
static int64_t base_of(const Pulled *q) {
    int64_t b = 2;
    while (power(b, q->r->p->memory.levels) < q->a->r.length) b++;
    return b;
}

/* ---- operands of a part ---- */

/* Whether k, no carry, is no constant. */
static bool is_seq(const Pulled *q, uint32_t k) { return k < q->a->r.carry + q->a->r.seq; }

/* Steps [at, at + n) of a stacked value. */
static Val cut(const Pulled *q, Builder *b, Val x, int64_t at, int64_t n) {
    Cx *cx = q->r->p->cx;
    const Shape *s = b_type(b, x).shape;
    if (n == s->dim[0]) return x;
    if (q->a->r.reverse) at = q->a->r.length - at - n;
    int64_t *lo = NEW_ARRAY(cx->scratch, int64_t, s->rank);
    int64_t *hi = NEW_ARRAY(cx->scratch, int64_t, s->rank);
    copy_bytes(hi, s->dim, s->rank * sizeof *hi);
    lo[0] = at;
    hi[0] = at + n;
    Attr attrs[] = {attr_ints(cx, lo, s->rank), attr_ints(cx, hi, s->rank), {AttrNone, {0}}};
    return b_op(b, Op_slice, &x, 1, attrs, NULL);
}

/* [T, ..] as [T / n, n, ..]. */
static Val folded(const Pulled *q, Builder *b, Val x, int64_t n) {
    Cx *cx = q->r->p->cx;
    const Shape *s = b_type(b, x).shape;
    int64_t *dim = NEW_ARRAY(cx->scratch, int64_t, s->rank + 1);
    dim[0] = s->dim[0] / n;
    dim[1] = n;
    for (uint32_t d = 1; d < s->rank; d++) dim[d + 1] = s->dim[d];
    return b_reshape(b, x, shape_of(cx, dim, s->rank + 1));
}

/* And back. */
static Val unfolded(const Pulled *q, Builder *b, Val x) {
    Cx *cx = q->r->p->cx;
    const Shape *s = b_type(b, x).shape;
    int64_t *dim = NEW_ARRAY(cx->scratch, int64_t, s->rank);
    dim[0] = s->dim[0] * s->dim[1];
    for (uint32_t d = 2; d < s->rank; d++) dim[d - 1] = s->dim[d];
    return b_reshape(b, x, shape_of(cx, dim, s->rank - 1));
}

static Span span_new(const Pulled *q, Builder *b, int64_t length) {
    Arena *s = q->r->p->cx->scratch;
    uint32_t n = q->a->r.body->nparams;
    return (Span){.b = b, .length = length, .start = NEW_ARRAY(s, Val, n),
                  .operand = NEW_ARRAY(s, Val, n), .sum = NEW_ARRAY(s, Val, n),
                  .d = NEW_ARRAY(s, Val, q->a->r.body->results.len)};
}

static Span part_span(const Pulled *q, const Span *o, const Part *part) {
    Span p = *o;
    const Region *g = &q->a->r;
    Arena *s = q->r->p->cx->scratch;
    p.length = part->steps;
    p.operand = NEW_ARRAY(s, Val, g->body->nparams);
    for (uint32_t k = g->carry; k < g->body->nparams; k++) {
        p.operand[k] = o->operand[k];
        if (is_seq(q, k)) p.operand[k] = cut(q, o->b, o->operand[k], part->at, part->steps);
    }
    p.d = NEW_ARRAY(s, Val, g->body->results.len);
    for (uint32_t k = 0; k < g->body->results.len; k++) {
        p.d[k] = o->d[k];
        bool stacked = k >= g->carry && q->want[k];
        if (stacked && part->stacks) p.d[k] = cut(q, o->b, o->d[k], part->at, part->steps);
    }
    return p;
}

/* ---- formals ---- */

static Builder *begin(const Pulled *q, const char *suffix) {
    Program *p = q->r->p;
    const Fn *body = q->a->r.body;
    Builder *b = builder_new(
        p, program_fresh(p, arena_printf(p->cx->scratch, "%s_%s", body->name, suffix)), false);
    b_fn(b)->loc = body->loc;
    b_at(b, q->ins->loc, region_label(q));
    return b;
}

static Val formal(const Pulled *q, Builder *b, const char *prefix, uint32_t k, Type t) {
    Sym name = q->a->r.body->ins.data[k].name;
    return b_param(b, fresh_param(q->r->p, b, prefix, name ? name : sym(q->r->p->cx, "x")), t);
}

static Type stacked(const Pulled *q, Type t, int64_t n) {
    Region r = {.length = n};
    return region_stack(q->r->p->cx, &r, t);
}

static const Fn *end(const Pulled *q, Builder *b) {
    Fn *fn = builder_done(b);
    program_add(q->r->p, fn);
    return fn;
}

/* ---- forward ---- */

static void forward_formals(const Pulled *q, Span *o) {
    const Region *g = &q->a->r;
    for (uint32_t k = 0; k < g->body->nparams; k++) {
        Type t = formal_type(q, k);
        if (k < g->carry) o->start[k] = formal(q, o->b, "at", k, t);
        else o->operand[k] = formal(q, o->b, "in", k, is_seq(q, k) ? stacked(q, t, o->length) : t);
    }
}

/* (carry, sequences of n steps, constants) -> the carry behind them, what they emit if `emits`, the
 * carry before them. */
static const Fn *record_fn(const Pulled *q, int64_t n, bool emits) {
    const Region *g = &q->a->r;
    Builder *b = begin(q, "record");
    Span o = span_new(q, b, n);
    forward_formals(q, &o);
    Vals args = span_args(q, &o);
    ScanShape shape = {g->carry, g->seq, n, g->reverse};
    const Val *results = emit_scan(q, b, g->body, &args, shape);
    uint32_t given = emits ? g->body->results.len : g->carry;
    for (uint32_t k = 0; k < given; k++) b_result(b, results[k]);
    for (uint32_t k = 0; k < g->carry; k++) b_result(b, o.start[k]);
    return end(q, b);
}

/* Runs the segments of o, of n steps each; results as those of record_fn, stacked. */
static Val *run_segments(const Levels *l, const Span *o, int64_t n, const Fn *record) {
    const Pulled *q = l->q;
    const Region *g = &q->a->r;
    Span outer = *o;
    outer.operand = NEW_ARRAY(q->r->p->cx->scratch, Val, g->body->nparams);
    for (uint32_t k = g->carry; k < g->body->nparams; k++) {
        outer.operand[k] = is_seq(q, k) ? folded(q, o->b, o->operand[k], n) : o->operand[k];
    }
    Vals args = span_args(q, &outer);
    ScanShape shape = {g->carry, g->seq, o->length / n, g->reverse};
    return emit_scan(q, o->b, record, &args, shape);
}

/* ---- backward ---- */

static uint32_t carry_count(const Pulled *q) {
    const Region *g = &q->a->r;
    uint32_t n = 0;
    for (uint32_t k = 0; k < g->carry; k++) n += q->want[k];
    for (uint32_t k = g->carry + g->seq; k < g->body->nparams; k++) n += q->a->wrt[k];
    return n;
}

/* Operands of a backward function: cotangents of the carry and sums; starts, sequences, cotangents
 * of what is emitted; constants. With `formals`, its parameters are made instead. */
static Vals backward_operands(const Pulled *q, Span *o, bool formals) {
    Arena *s = q->r->p->cx->scratch;
    const Region *g = &q->a->r;
    uint32_t nparams = g->body->nparams, nresults = g->body->results.len;
    Vals all = {0};
    for (uint32_t k = 0; k < g->carry; k++) {
        if (!q->want[k]) continue;
        if (formals) o->d[k] = formal(q, o->b, "d", k, formal_type(q, k));
        vec_push(s, &all, o->d[k]);
    }
    for (uint32_t k = g->carry + g->seq; k < nparams; k++) {
        if (!q->a->wrt[k]) continue;
        if (formals) o->sum[k] = formal(q, o->b, "sum", k, formal_type(q, k));
        vec_push(s, &all, o->sum[k]);
    }
    for (uint32_t k = 0; k < g->carry + g->seq; k++) {
        Type t = formal_type(q, k);
        Val *at = k < g->carry ? &o->start[k] : &o->operand[k];
        if (formals) *at = formal(q, o->b, "at", k, k < g->carry ? t : stacked(q, t, o->length));
        vec_push(s, &all, *at);
    }
    for (uint32_t k = g->carry; k < nresults; k++) {
        if (!q->want[k]) continue;
        Type t = stacked(q, region_result_type(q, k), o->length);
        if (formals) {
            Sym name = fresh_param(q->r->p, o->b, "d", sym(q->r->p->cx, "emitted"));
            o->d[k] = b_param(o->b, name, t);
        }
        vec_push(s, &all, o->d[k]);
    }
    for (uint32_t k = g->carry + g->seq; k < nparams; k++) {
        if (formals) o->operand[k] = formal(q, o->b, "in", k, formal_type(q, k));
        vec_push(s, &all, o->operand[k]);
    }
    return all;
}

/* The segments of o, the starts of which are stored, backwards. Uses o up. */
static Val *segments_back(const Levels *l, Span *o, int64_t n, const Val *starts,
                          const Fn *segment) {
    const Pulled *q = l->q;
    const Region *g = &q->a->r;
    uint32_t ncarry = carry_count(q), nseq = g->carry + g->seq;
    o->start = (Val *)starts;
    for (uint32_t k = g->carry; k < nseq; k++) o->operand[k] = folded(q, o->b, o->operand[k], n);
    for (uint32_t k = g->carry; k < g->body->results.len; k++) {
        if (!q->want[k]) continue;
        o->d[k] = folded(q, o->b, o->d[k], n);
        nseq++;
    }
    Vals args = backward_operands(q, o, false);
    ScanShape shape = {ncarry, nseq, o->length / n, !g->reverse};
    Val *results = emit_scan(q, o->b, segment, &args, shape);
    for (uint32_t k = ncarry; k < q->nwrt; k++) results[k] = unfolded(q, o->b, results[k]);
    return results;
}

/* base ** level steps backwards from the carry before them. */
static const Fn *segment_fn(const Levels *l, uint32_t level) {
    const Pulled *q = l->q;
    const Region *g = &q->a->r;
    int64_t n = power(l->base, level), inner = n / l->base;
    const Fn *segment = level > 1 ? segment_fn(l, level - 1) : NULL;
    const Fn *record = level > 1 ? record_fn(q, inner, false) : NULL;
    Builder *b = begin(q, "segment");
    Span o = span_new(q, b, n);
    backward_operands(q, &o, true);
    const Val *saved, *results;
    if (level > 1) {
        saved = run_segments(l, &o, inner, record);
        results = segments_back(l, &o, inner, saved + g->carry, segment);
    } else {
        Vals args = span_args(q, &o);
        ScanShape shape = {g->carry, g->seq, n, g->reverse};
        saved = emit_scan(q, b, l->split->forward, &args, shape);
        o.stacks = saved + g->body->results.len;
        results = span_back(q, l->split, &o);
    }
    for (uint32_t k = 0; k < q->nwrt; k++) b_result(b, results[k]);
    return end(q, b);
}

/* ---- the parts ---- */

/* Concatenates the stacked results of parts, in the order of the array. */
static Val joined(const Pulled *q, Builder *b, const Vals *parts) {
    Arena *s = q->r->p->cx->scratch;
    Vals list = {0};
    Attr axis = attr_int(0);
    for (uint32_t k = 0; k < parts->len; k++) {
        vec_push(s, &list, parts->data[q->a->r.reverse ? parts->len - 1 - k : k]);
    }
    return list.len == 1 ? list.data[0] : b_op(b, Op_concat, list.data, list.len, &axis, NULL);
}

/* The next part behind `at`: whole segments of the largest power of the base that fits. */
static Part next_part(const Levels *l, int64_t at) {
    int64_t left = l->q->a->r.length - at, segment = 0;
    for (uint32_t level = 1; power(l->base, level) < left; level++) {
        segment = power(l->base, level);
    }
    return (Part){.at = at, .steps = segment ? left / segment * segment : left, .segment = segment};
}

const Part *save_levels(const Pulled *q, const Split *split, const Span *o, Val *results) {
    Arena *s = q->r->p->cx->scratch;
    const Region *g = &q->a->r;
    uint32_t n = g->body->results.len;
    Levels l = {.q = q, .split = split, .base = base_of(q)};
    Vals *emits = NEW_ARRAY(s, Vals, n);
    Part *first = NULL, **link = &first;
    Span now = *o;
    for (int64_t at = 0; at < g->length; at += (*link)->steps, link = (Part **)&(*link)->next) {
        Part *part = *link = NEW(s, Part);
        *part = next_part(&l, at);
        const Val *out;
        Span span = part_span(q, &now, part);
        if (part->segment) {
            out = run_segments(&l, &span, part->segment, record_fn(q, part->segment, true));
        } else {
            Vals args = span_args(q, &span);
            ScanShape shape = {g->carry, g->seq, part->steps, g->reverse};
            out = emit_scan(q, o->b, split->forward, &args, shape);
        }
        part->stacks = out + n;
        for (uint32_t k = 0; k < n; k++) {
            if (k < g->carry) now.start[k] = out[k];
            else if (part->segment) vec_push(s, &emits[k], unfolded(q, o->b, out[k]));
            else vec_push(s, &emits[k], out[k]);
        }
    }
    for (uint32_t k = 0; k < n; k++) {
        results[k] = k < g->carry ? now.start[k] : joined(q, o->b, &emits[k]);
    }
    return first;
}

/* Later parts first; the results of this one. */
static Val *pull_parts(const Levels *l, const Part *part, Span *o, Vals *slices) {
    const Pulled *q = l->q;
    const Region *g = &q->a->r;
    if (part->next) pull_parts(l, part->next, o, slices);
    Span span = part_span(q, o, part);
    span.stacks = part->stacks;
    b_at(o->b, q->ins->loc, region_label(q));
    Val *results;
    if (part->segment) {
        uint32_t level = 0;
        while (power(l->base, level) < part->segment) level++;
        const Fn *segment = segment_fn(l, level);
        results = segments_back(l, &span, part->segment, part->stacks, segment);
    } else {
        results = span_back(q, l->split, &span);
    }
    uint32_t at = 0;
    for (uint32_t k = 0; k < g->carry; k++) {
        if (q->want[k]) o->d[k] = results[at++];
    }
    for (uint32_t k = g->carry + g->seq; k < g->body->nparams; k++) {
        if (q->a->wrt[k]) o->sum[k] = results[at++];
    }
    for (uint32_t k = at; k < q->nwrt; k++) vec_push(q->r->p->cx->scratch, &slices[k], results[k]);
    return results;
}

Val *pull_levels(const Pulled *q, const struct Saved *saved, const Span *o) {
    Levels l = {.q = q, .split = saved->split, .base = base_of(q)};
    Span now = *o;
    Vals *slices = NEW_ARRAY(q->r->p->cx->scratch, Vals, q->nwrt);
    Val *results = pull_parts(&l, saved->parts, &now, slices);
    for (uint32_t k = carry_count(q); k < q->nwrt; k++) {
        Vals ordered = {0}; /* they came last part first */
        for (uint32_t j = slices[k].len; j-- > 0;) {
            vec_push(q->r->p->cx->scratch, &ordered, slices[k].data[j]);
        }
        results[k] = joined(q, o->b, &ordered);
    }
    return results;
}
