/* Run-time loops: scan over an axis, while on a condition. */
#include "frontend/lower_region.h"

/* A value carried from step to step. */
typedef struct Carried {
    const Bind *bind;
    Value init; /* outside */
    Want want;
} Carried;

static bool carried_init(Frame *f, const Bind *b, Carried *c) {
    bool typed = b->type != NULL;
    c->bind = b;
    if (typed && !eval_type(f, b->type, &c->want)) return false;
    Value v = lower_expr(f, b->init, typed ? &c->want : NULL);
    const char *what = arena_printf(f->fr->cx->arena, "'%s'", b->name);
    v = typed ? v_variable(f, b->init->loc, v, &c->want, what)
              : v_materialise(f, b->init->loc, v, -1, NULL);
    if (v.kind != VTensor) return false;
    Type t = v_type(f, v);
    if (!typed) c->want = (Want){t.dt, t.range, t.shape->rank, v.dims};
    c->init = v;
    return true;
}

static Carried *carried_inits(Frame *f, const Stmt *st) {
    Carried *c = NEW_ARRAY(f->fr->cx->arena, Carried, st->binds.len + 1);
    bool ok = true;
    for (uint32_t i = 0; i < st->binds.len; i++) ok &= carried_init(f, &st->binds.data[i], &c[i]);
    return ok ? c : NULL;
}

/* A formal of the body under its name, in the scope where the body's own names are. */
static void bind_formal(Body *b, Sym name, Loc loc, Val v, const Dim *dims, bool var) {
    bind_name(&b->frame, name, loc, v_tensor(&b->frame, v, dims), var);
    Scope *s = b->frame.scope;
    if (s->names.len) s->names.data[s->names.len - 1].quiet = true;
}

static void carry_formals(Body *b, const Carried *c, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        b_at(b->root->b, c[i].bind->loc, NULL);
        Val v = b_param(b->root->b, c[i].bind->name, v_type(b->outer, c[i].init));
        vec_push(b->frame.fr->cx->arena, &b->formals, v);
    }
}

static void bind_carried(Body *b, const Carried *c, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        bind_formal(b, c[i].bind->name, c[i].bind->loc, b->formals.data[i], c[i].want.dims, true);
    }
}

/* The carried names' values at the end of a step are the first results. */
static bool carry_results(Body *b, const Carried *c, uint32_t n) {
    Frame *f = &b->frame;
    for (uint32_t i = 0; i < n; i++) {
        const Binding *at = find_binding(f, c[i].bind->name);
        if (!at || at->value.kind != VTensor) return false;
        b_result(b->root->b, at->value.v);
    }
    return true;
}

static bool no_return(Body *b, const Stmt *st, const char *what) {
    if (!b->frame.returned) return true;
    diag_error(b->frame.fr->cx, st->loc, "'return' does not stand in a %s", what);
    return false;
}

/* Afterwards the names stand for the last values; a var of that name goes on with it. */
static void bind_after(Frame *f, const Bind *b, Value v) {
    for (uint32_t i = 0; i < f->scope->names.len; i++) {
        Binding *old = &f->scope->names.data[i];
        if (old->name != b->name) continue;
        old->value = v;
        old->quiet = true;
        return;
    }
    bind_name(f, b->name, b->loc, v, false);
    if (f->scope->names.len) f->scope->names.data[f->scope->names.len - 1].quiet = true;
}

/* What a loop with an error would define is unknown, not undefined. */
static void bind_unknown(Frame *f, const Stmt *st) {
    for (uint32_t i = 0; i < st->binds.len; i++) bind_after(f, &st->binds.data[i], v_error());
    for (uint32_t i = 0; i < st->emit.len; i++) bind_after(f, &st->emit.data[i], v_error());
}

/* ---- scan ---- */

typedef struct Sequence {
    Sym name;
    Loc loc;
    Value value;
    uint32_t axis;
} Sequence;

typedef struct Scan {
    const Stmt *st;
    Sequence *seqs;
    uint32_t nseqs;
    int64_t axis;
    bool reverse;
    Dim length;
    Carried *carried;
    const Dim **stacked; /* dimensions of what is emitted */
} Scan;

static bool scan_setting(Frame *f, Scan *s, const Arg *a, Value v) {
    Cx *cx = f->fr->cx;
    if (!strcmp(a->name, "axis")) {
        if (v.kind == VInt) s->axis = v.i;
        else if (v.kind != VError) diag_error(cx, a->loc, "axis= is a compile-time integer");
        return v.kind == VInt;
    }
    if (v.kind == VBool) s->reverse = v.i;
    else if (v.kind != VError) diag_error(cx, a->loc, "reverse= is true or false at compile time");
    return v.kind == VBool;
}

static bool add_sequence(Frame *f, Scan *s, const Arg *a, Value v) {
    Cx *cx = f->fr->cx;
    v = v_materialise(f, a->loc, v, -1, NULL);
    if (v.kind != VTensor) return false;
    int64_t rank = v_type(f, v).shape->rank, axis = s->axis < 0 ? s->axis + rank : s->axis;
    if (axis < 0 || axis >= rank) {
        diag_error(cx, a->loc, "'%s' is %s, which has no axis %lld to walk along", a->name,
                   v_describe(f, v), (long long)s->axis);
        return false;
    }
    Dim length = v.dims[axis];
    if (s->nseqs && !dim_same(s->length, length)) {
        diag_error(cx, a->loc, "'%s' has %lld steps, '%s' has %lld", a->name, (long long)length.n,
                   s->seqs[0].name, (long long)s->length.n);
        return false;
    }
    if (!s->nseqs) s->length = length;
    s->seqs[s->nseqs++] = (Sequence){a->name, a->loc, v, (uint32_t)axis};
    return true;
}

static bool scan_head(Frame *f, const Stmt *st, Scan *s) {
    bool ok = true;
    s->st = st;
    s->seqs = NEW_ARRAY(f->fr->cx->arena, Sequence, st->args.len);
    for (int settings = 1; settings >= 0; settings--) {
        for (uint32_t i = 0; i < st->args.len; i++) {
            const Arg *a = &st->args.data[i];
            bool is = !strcmp(a->name, "axis") || !strcmp(a->name, "reverse");
            if (is != settings) continue;
            Value v = lower_expr(f, a->value, NULL);
            ok &= is ? scan_setting(f, s, a, v) : v.kind != VError && add_sequence(f, s, a, v);
        }
    }
    if (ok && !s->nseqs) {
        diag_error(f->fr->cx, st->loc,
                   "a scan needs a sequence; scan (i = iota(n)) counts to n");
        ok = false;
    }
    s->carried = carried_inits(f, st);
    return ok && s->carried;
}

/* dims without the axis */
static const Dim *slice_dims(Frame *f, const Sequence *q) {
    uint32_t rank = v_type(f, q->value).shape->rank, n = 0;
    Dim *dims = NEW_ARRAY(f->fr->cx->arena, Dim, rank);
    for (uint32_t d = 0; d < rank; d++) {
        if (d != q->axis) dims[n++] = q->value.dims[d];
    }
    return dims;
}

static void sequence_formals(Body *b, const Scan *s) {
    Frame *f = &b->frame;
    for (uint32_t i = 0; i < s->nseqs; i++) {
        Type t = v_type(b->outer, s->seqs[i].value);
        const Dim *dims = slice_dims(b->outer, &s->seqs[i]);
        t.shape = dims_shape(f, s->seqs[i].loc, dims, t.shape->rank - 1);
        b_at(b->root->b, s->seqs[i].loc, NULL);
        Val v = b_param(b->root->b, s->seqs[i].name, t);
        vec_push(f->fr->cx->arena, &b->formals, v);
    }
}

void lower_emit(Frame *f, const Stmt *st) {
    Cx *cx = f->fr->cx;
    Body *b = f->body;
    if (!b || b->op != Op_scan || f->scope != b->own) {
        diag_error(cx, st->loc, "'emit' stands only in a scan, at its own level");
        return;
    }
    if (b->emitted) {
        diag_error(cx, st->loc, "a scan emits exactly once");
        diag_note(cx, b->emitted->loc, "the first emit is here");
        return;
    }
    if (st->elems.len != b->nemit) {
        diag_error(cx, st->loc, "%u values are emitted, the scan names %u", st->elems.len,
                   b->nemit);
        b->emitted = st;
        return;
    }
    b->emitted = st;
    b->emits = NEW_ARRAY(cx->arena, Value, b->nemit);
    for (uint32_t i = 0; i < b->nemit; i++) {
        const Expr *e = st->elems.data[i];
        b->emits[i] = v_materialise(f, e->loc, lower_expr(f, e, NULL), -1, NULL);
    }
}

static const Dim *stacked_dims(Body *b, const Scan *s, Value v) {
    Region r = {.axis = s->axis, .length = s->length.n};
    uint32_t rank = v_type(&b->frame, v).shape->rank;
    int64_t axis = region_axis(&r, rank);
    Dim *dims = NEW_ARRAY(b->frame.fr->cx->arena, Dim, rank + 1);
    for (uint32_t d = 0; d <= rank; d++) {
        dims[d] = d == axis ? s->length : v.dims[d > axis ? d - 1 : d];
    }
    return dims;
}

/* The step's own results, behind the carry. */
static bool emit_results(Body *b, Scan *s) {
    Cx *cx = b->frame.fr->cx;
    s->stacked = NEW_ARRAY(cx->arena, const Dim *, b->nemit);
    if (b->nemit && !b->emitted) {
        diag_error(cx, s->st->loc, "the scan names what it emits, but nothing is emitted in it");
        return false;
    }
    if (b->emitted && !b->emits) return false;
    for (uint32_t i = 0; i < b->nemit; i++) {
        if (b->emits[i].kind != VTensor) return false;
        Region r = {.axis = s->axis, .length = s->length.n};
        uint32_t rank = v_type(&b->frame, b->emits[i]).shape->rank;
        if (region_axis(&r, rank) < 0) {
            diag_error(cx, b->emitted->elems.data[i]->loc,
                       "%s is emitted, which cannot be stacked along axis %lld",
                       v_describe(&b->frame, b->emits[i]), (long long)s->axis);
            return false;
        }
        s->stacked[i] = stacked_dims(b, s, b->emits[i]);
        if (!dims_shape(&b->frame, b->emitted->elems.data[i]->loc, s->stacked[i], rank + 1))
            return false;
        b_result(b->root->b, b->emits[i].v);
    }
    return true;
}

static void emit_scan(Body *b, const Scan *s, const Closed *c) {
    Frame *f = b->outer;
    Cx *cx = f->fr->cx;
    uint32_t carry = s->st->binds.len, n = 0, nresults = carry + b->nemit;
    Val *args = NEW_ARRAY(cx->arena, Val, carry + s->nseqs + 1 + c->n);
    for (uint32_t i = 0; i < carry; i++) args[n++] = s->carried[i].init.v;
    for (uint32_t i = 0; i < s->nseqs; i++) args[n++] = s->seqs[i].value.v;
    b_at(f->b, s->st->loc, NULL);
    if (c->draws) {
        Attr length = attr_int(s->length.n);
        Val steps = b_op(f->b, Op_iota, NULL, 0, &length, NULL);
        args[n++] = b_reshape(f->b, steps, step_shape(cx, s->axis, true, s->length.n));
    }
    for (uint32_t i = 0; i < c->n; i++) args[n++] = c->constants[i];
    Attr attrs[] = {attr_fn(c->fn[0]->name), attr_int(carry), attr_int(s->nseqs + c->draws),
                    attr_int(s->axis), attr_int(s->length.n), attr_bool(s->reverse)};
    Ins ins = {.op = Op_scan, .attrs = attrs, .loc = s->st->loc};
    Region r = region_of(f->fr->p, &ins);
    RegionTypes t = region_types(cx, cx->arena, &ins, &r);
    Val *results = NEW_ARRAY(cx->arena, Val, nresults);
    b_multi(f->b, Op_scan, args, n, attrs, t.results, nresults, results);
    for (uint32_t i = 0; i < nresults; i++) {
        bool carried = i < carry;
        const Bind *name = carried ? &s->st->binds.data[i] : &s->st->emit.data[i - carry];
        const Dim *dims = carried ? s->carried[i].want.dims : s->stacked[i - carry];
        if (strcmp(name->name, "_")) b_name(f->b, results[i], name->name);
        bind_after(f, name, v_tensor(f, results[i], dims));
    }
}

void lower_scan(Frame *f, const Stmt *st) {
    Scan s = {0};
    if (!scan_head(f, st, &s)) {
        bind_unknown(f, st);
        return;
    }
    if (!st->binds.len && !st->emit.len) {
        diag_error(f->fr->cx, st->loc,
                   "this scan neither carries nor emits anything; what it computes is carried: "
                   "carry (s = 0.0)");
        return;
    }
    uint32_t errors = f->fr->cx->errors;
    Body *b = body_open(f, st->loc, Op_scan);
    b->length = s.length.n;
    b->axis = s.axis;
    b->nemit = st->emit.len;
    carry_formals(b, s.carried, st->binds.len);
    sequence_formals(b, &s);
    body_names(b);
    bind_carried(b, s.carried, st->binds.len);
    for (uint32_t i = 0; i < s.nseqs; i++) {
        bind_formal(b, s.seqs[i].name, s.seqs[i].loc, b->formals.data[st->binds.len + i],
                    slice_dims(f, &s.seqs[i]), false);
    }
    lower_statements(&b->frame, st->body);
    bool ok = no_return(b, st, "scan") && f->fr->cx->errors == errors &&
              carry_results(b, s.carried, st->binds.len) && emit_results(b, &s);
    if (!ok || f->fr->cx->errors != errors) {
        bind_unknown(f, st);
        return;
    }
    scope_pop(&b->frame);
    Closed c;
    body_close(b, NULL, (const char *[]){"body"}, &c);
    emit_scan(b, &s, &c);
}

/* ---- while ---- */

/* Every while counts its steps: the last carry, by which random numbers differ too. */
static Body *while_body(Frame *f, const Stmt *st, const Carried *c) {
    Body *b = body_open(f, st->loc, Op_while);
    carry_formals(b, c, st->binds.len);
    b->counter = b_param(b->root->b, sym(f->fr->cx, "steps_done"),
                         type_of(I64, shape_scalar(f->fr->cx)));
    vec_push(f->fr->cx->arena, &b->formals, b->counter);
    body_names(b);
    bind_carried(b, c, st->binds.len);
    return b;
}

static bool while_test(Body *b, const Stmt *st) {
    Frame *f = &b->frame;
    Value c = v_materialise(f, st->e->loc, lower_expr(f, st->e, NULL), -1, NULL);
    if (c.kind != VTensor) return false;
    Type t = v_type(f, c);
    if (t.dt != BOOL || t.shape->rank) {
        diag_error(f->fr->cx, st->e->loc, "the condition of a while is one bool, this is %s",
                   v_describe(f, c));
        return false;
    }
    b_result(b->root->b, c.v);
    scope_pop(f);
    return true;
}

static bool while_step(Body *b, const Stmt *st, const Carried *c) {
    Frame *f = &b->frame;
    uint32_t errors = f->fr->cx->errors;
    lower_statements(f, st->body);
    if (!no_return(b, st, "while") || !carry_results(b, c, st->binds.len)) return false;
    Val one = b_int(b->root->b, b_type(b->root->b, b->counter), 1);
    b_at(b->root->b, st->loc, NULL);
    b_result(b->root->b, b_add(b->root->b, b->counter, one));
    scope_pop(f);
    return f->fr->cx->errors == errors;
}

void lower_while(Frame *f, const Stmt *st) {
    Cx *cx = f->fr->cx;
    Carried *c = carried_inits(f, st);
    Body *test = c ? while_body(f, st, c) : NULL, *body = c ? while_body(f, st, c) : NULL;
    if (!c || !while_test(test, st) || !while_step(body, st, c)) {
        bind_unknown(f, st);
        return;
    }
    Closed closed;
    body_close(test, body, (const char *[]){"test", "step"}, &closed);
    uint32_t carry = st->binds.len + 1, n = 0;
    Val *args = NEW_ARRAY(cx->arena, Val, carry + closed.n);
    Type *types = NEW_ARRAY(cx->arena, Type, carry);
    Val *results = NEW_ARRAY(cx->arena, Val, carry);
    b_at(f->b, st->loc, NULL);
    for (uint32_t i = 0; i < st->binds.len; i++) {
        types[n] = v_type(f, c[i].init);
        args[n++] = c[i].init.v;
    }
    types[n] = type_of(I64, shape_scalar(cx));
    args[n] = b_int(f->b, types[n], 0);
    n++;
    for (uint32_t i = 0; i < closed.n; i++) args[n++] = closed.constants[i];
    Attr attrs[] = {attr_fn(closed.fn[0]->name), attr_fn(closed.fn[1]->name), attr_int(carry)};
    b_multi(f->b, Op_while, args, n, attrs, types, carry, results);
    for (uint32_t i = 0; i < st->binds.len; i++) {
        b_name(f->b, results[i], st->binds.data[i].name);
        bind_after(f, &st->binds.data[i], v_tensor(f, results[i], c[i].want.dims));
    }
}
