/* `if` on a run-time condition: both branches are functions that give the vars which one of them
 * assigns, or what both return. */
#include "frontend/lower_region.h"

typedef struct Branches {
    Frame *f;
    const Stmt *st;
    Body *body[2];
    VEC(Sym) assigned;
} Branches;

static void lower_branch(Branches *s, int k, const Block *block) {
    Body *b = s->body[k] = body_open(s->f, block ? block->loc : s->st->loc, Op_cond);
    body_names(b);
    if (block) lower_statements(&b->frame, block);
    scope_pop(&b->frame);
}

static Binding *imported(Body *b, Sym name) {
    for (uint32_t i = 0; i < b->imported->names.len; i++) {
        if (b->imported->names.data[i].name == name) return &b->imported->names.data[i];
    }
    return NULL;
}

/* The outer names that a branch has given another value. */
static void find_assigned(Branches *s) {
    Scope *names = s->body[0]->imported;
    for (uint32_t i = 0; i < names->names.len; i++) {
        bool any = false;
        for (int k = 0; k < 2; k++) any |= s->body[k]->imported->names.data[i].assigned;
        if (any) vec_push(s->f->fr->cx->arena, &s->assigned, names->names.data[i].name);
    }
}

/* The two values of one result as tensors of one type. */
static bool agree(Branches *s, const char *what, Loc loc, Value *v) {
    Cx *cx = s->f->fr->cx;
    Frame *frame[] = {&s->body[0]->frame, &s->body[1]->frame};
    for (int k = 0; k < 2; k++) { /* a number takes the type of the other branch's tensor */
        const Value *to = &v[1 - k];
        if (v[k].kind == VTensor || to->kind != VTensor) continue;
        Type t = v_type(frame[1 - k], *to);
        Want want = {t.dt, t.range, t.shape->rank, to->dims};
        v[k] = v_coerce(frame[k], loc, v[k], &want, what);
    }
    for (int k = 0; k < 2; k++) v[k] = v_materialise(frame[k], loc, v[k], -1, NULL);
    if (v[0].kind != VTensor || v[1].kind != VTensor) return false;
    Type a = v_type(frame[0], v[0]), b = v_type(frame[1], v[1]);
    if (type_equal(a, b)) return true;
    diag_error(cx, loc, "%s is %s in one branch and %s in the other", what,
               v_describe(frame[0], v[0]), v_describe(frame[1], v[1]));
    return false;
}

static Val *emit_cond(Branches *s, Value c, const Value *first, uint32_t n) {
    Frame *f = s->f;
    Cx *cx = f->fr->cx;
    Closed closed;
    Type *types = NEW_ARRAY(cx->arena, Type, n);
    Val *results = NEW_ARRAY(cx->arena, Val, n);
    for (uint32_t i = 0; i < n; i++) types[i] = v_type(&s->body[0]->frame, first[i]);
    body_close(s->body[0], s->body[1], (const char *[]){"then", "else"}, &closed);
    Val *args = NEW_ARRAY(cx->arena, Val, closed.n + 1);
    args[0] = c.v;
    for (uint32_t i = 0; i < closed.n; i++) args[i + 1] = closed.constants[i];
    Attr attrs[] = {attr_fn(closed.fn[0]->name), attr_fn(closed.fn[1]->name)};
    b_at(f->b, s->st->loc, NULL);
    b_multi(f->b, Op_cond, args, closed.n + 1, attrs, types, n, results);
    return results;
}

static void merge_vars(Branches *s, Value c) {
    Frame *f = s->f;
    uint32_t n = s->assigned.len;
    Value *first = NEW_ARRAY(f->fr->cx->arena, Value, n);
    for (uint32_t i = 0; i < n; i++) {
        Sym name = s->assigned.data[i];
        Value v[] = {imported(s->body[0], name)->value, imported(s->body[1], name)->value};
        const char *what = arena_printf(f->fr->cx->arena, "'%s'", name);
        if (!agree(s, what, s->st->loc, v)) return;
        for (int k = 0; k < 2; k++) b_result(s->body[k]->root->b, v[k].v);
        first[i] = v[0];
    }
    if (!n) return;
    const Val *results = emit_cond(s, c, first, n);
    for (uint32_t i = 0; i < n; i++) {
        Binding *b = find_binding(f, s->assigned.data[i]);
        if (assigns_outer(f, b, s->st->loc)) continue;
        b->value = v_tensor(f, results[i], first[i].dims);
        b->assigned = true;
        b_name(f->b, results[i], b->name);
    }
}

static void merge_results(Branches *s, Value c) {
    Frame *f = s->f;
    Cx *cx = f->fr->cx;
    Value r[] = {s->body[0]->frame.result, s->body[1]->frame.result};
    f->returned = true;
    f->result = v_error();
    if (r[0].kind == VError || r[1].kind == VError) return;
    bool tuple = r[0].kind == VTuple;
    uint32_t n = tuple ? r[0].n : 1;
    if (tuple != (r[1].kind == VTuple) || (tuple && r[1].n != n)) {
        diag_error(cx, s->st->loc, "the branches return different numbers of results");
        return;
    }
    Value *first = NEW_ARRAY(cx->arena, Value, n);
    for (uint32_t i = 0; i < n; i++) {
        Value v[] = {tuple ? r[0].elems[i] : r[0], tuple ? r[1].elems[i] : r[1]};
        if (!agree(s, "the result", s->st->loc, v)) return;
        for (int k = 0; k < 2; k++) b_result(s->body[k]->root->b, v[k].v);
        first[i] = v[0];
    }
    const Val *results = emit_cond(s, c, first, n);
    for (uint32_t i = 0; i < n; i++) first[i] = v_tensor(f, results[i], first[i].dims);
    f->result = tuple ? v_list(f->fr, VTuple, first, n) : first[0];
}

void lower_branches(Frame *f, const Stmt *st, Value c) {
    Type t = v_type(f, c);
    if (t.dt != BOOL || t.shape->rank) {
        diag_error(f->fr->cx, st->e->loc,
                   "a condition is one bool, this is %s; where(c, a, b) chooses per element",
                   v_describe(f, c));
        return;
    }
    Branches s = {.f = f, .st = st};
    uint32_t errors = f->fr->cx->errors;
    lower_branch(&s, 0, st->body);
    lower_branch(&s, 1, st->orelse);
    bool returns[] = {s.body[0]->frame.returned, s.body[1]->frame.returned};
    if (returns[0] != returns[1]) {
        diag_error(f->fr->cx, st->loc,
                   "'return' ends one branch only; on a run-time condition both return or none");
        return;
    }
    if (f->fr->cx->errors != errors) {
        f->returned |= returns[0];
        return;
    }
    uint32_t draws = s.body[0]->frame.draws, more = s.body[1]->frame.draws;
    if (returns[0]) {
        merge_results(&s, c);
    } else {
        find_assigned(&s);
        merge_vars(&s, c);
    }
    f->draws = draws > more ? draws : more;
}
