/* The loops that are reverse mode of a while, as functions: what they carry, the tests that end
 * them, and what several of them do. See region_while.c. */
#include "passes/while.h"

typedef struct Place { /* of one variable */
    Val *at;
    Type type;
    const char *prefix, *name;
} Place;
typedef VEC(Place) Places;

Type while_formal(const Making *q, uint32_t k) { return q->g.body->ins.data[k].type; }

Type while_count_type(const Making *q) { return type_of(I64, shape_scalar(q->p->cx)); }

Vars while_vars(const Making *q) {
    Arena *s = q->p->cx->scratch;
    uint32_t n = q->g.body->nparams;
    return (Vars){.carry = NEW_ARRAY(s, Val, n), .slots = NEW_ARRAY(s, Val, n),
                  .kept = NEW_ARRAY(s, Val, n), .adjoint = NEW_ARRAY(s, Val, n),
                  .constant = NEW_ARRAY(s, Val, n)};
}

static void add_places(const Making *q, char letter, Vars *v, Places *out) {
    Arena *s = q->p->cx->scratch;
    Type count = while_count_type(q);
    switch (letter) {
    case 'n': vec_push(s, out, (Place){&v->count, count, "step", "count"}); return;
    case 't': vec_push(s, out, (Place){&v->taken, count, "segments", "taken"}); return;
    case 'f': vec_push(s, out, (Place){&v->leaf, count, "segments", "leaf"}); return;
    case 'l': vec_push(s, out, (Place){&v->length, count, "segment", "length"}); return;
    case 'e': vec_push(s, out, (Place){&v->end, count, "step", "end"}); return;
    }
    for (uint32_t k = 0; k < q->g.body->nparams; k++) {
        Type t = while_formal(q, k);
        const char *name = q->g.body->ins.data[k].name;
        if (letter == 'd' && q->wrt[k]) {
            vec_push(s, out, (Place){&v->adjoint[k], t, k < q->g.carry ? "d" : "sum", name});
        } else if (letter == 'c' && k >= q->g.carry) {
            vec_push(s, out, (Place){&v->constant[k], t, "in", name});
        } else if (letter == 'x' && k < q->g.carry) {
            vec_push(s, out, (Place){&v->carry[k], t, "at", name});
        } else if (letter == 's' && k < q->g.carry) {
            vec_push(s, out, (Place){&v->slots[k], slots_type(q->p->cx, t), "slots", name});
        } else if (letter == 'k' && k < q->g.carry) {
            vec_push(s, out, (Place){&v->kept[k], kept_type(q->p->cx, t), "kept", name});
        }
    }
}

static Places places(const Making *q, const char *letters, Vars *v) {
    Places out = {0};
    for (; *letters; letters++) add_places(q, *letters, v, &out);
    return out;
}

Builder *while_begin(const Making *q, const char *suffix, const Loop *l, Vars *v) {
    Program *p = q->p;
    const Fn *body = q->g.body;
    Sym name = program_fresh(p, arena_printf(p->cx->scratch, "%s_%s", body->name, suffix));
    Builder *b = builder_new(p, name, false);
    b_fn(b)->loc = body->loc;
    b_at(b, q->ins->loc, q->label);
    *v = while_vars(q);
    const char *parts[] = {l->carries, l->given};
    for (size_t i = 0; i < LEN(parts); i++) {
        Places at = places(q, parts[i], v);
        for (uint32_t k = 0; k < at.len; k++) {
            Place *x = &at.data[k];
            *x->at = b_param(b, fresh_param(p, b, x->prefix, x->name ? x->name : "x"), x->type);
        }
    }
    return b;
}

const Fn *while_end(const Making *q, Builder *b) {
    Fn *fn = builder_done(b);
    program_add(q->p, fn);
    return fn;
}

const Fn *while_end_body(const Making *q, Builder *b, const Loop *l, Vars *v) {
    Places at = places(q, l->carries, v);
    for (uint32_t k = 0; k < at.len; k++) b_result(b, *at.data[k].at);
    return while_end(q, b);
}

void while_run(const Making *q, Builder *b, const Loop *l, Vars *v) {
    Arena *s = q->p->cx->scratch;
    Places carries = places(q, l->carries, v), given = places(q, l->given, v);
    Type *types = NEW_ARRAY(s, Type, carries.len);
    Val *results = NEW_ARRAY(s, Val, carries.len);
    Vals args = {0};
    for (uint32_t k = 0; k < carries.len; k++) {
        types[k] = carries.data[k].type;
        vec_push(s, &args, *carries.data[k].at);
    }
    for (uint32_t k = 0; k < given.len; k++) vec_push(s, &args, *given.data[k].at);
    Attr attrs[] = {attr_fn(l->test->name), attr_fn(l->body->name), attr_int(carries.len)};
    b_multi(b, Op_while, args.data, args.len, attrs, types, carries.len, results);
    for (uint32_t k = 0; k < carries.len; k++) *carries.data[k].at = results[k];
}

Val while_op(Builder *b, Op op, Val x, Val y) {
    return b_op(b, op, (Val[]){x, y}, 2, NULL, NULL);
}

Val while_number(const Making *q, Builder *b, int64_t n) {
    return b_int(b, while_count_type(q), n);
}

Val while_choose(Builder *b, Val c, Val x, Val y) {
    return b_op(b, Op_where, (Val[]){c, x, y}, 3, NULL, NULL);
}

void while_apply(const Making *q, Builder *b, const Fn *fn, const Vars *v, Val *out) {
    Val *args = NEW_ARRAY(q->p->cx->scratch, Val, fn->nparams);
    for (uint32_t k = 0; k < fn->nparams; k++) {
        args[k] = k < q->g.carry ? v->carry[k] : v->constant[k];
    }
    splice(q->p, b, fn, args, NULL, &(Splice){0}, out);
    b_at(b, q->ins->loc, q->label);
}

const Fn *while_going(const Making *q, const Loop *l, Going how) {
    Vars v;
    Builder *b = while_begin(q, "going", l, &v);
    Val go = NoVal, more;
    if (how == ToEnd || how == ToTest) go = while_op(b, Op_lt, v.count, v.end);
    if (how == DownTo) go = while_op(b, Op_lt, v.end, v.count);
    if (how == ToFull) go = while_op(b, Op_lt, v.taken, while_number(q, b, Slots));
    if (how == ToTest || how == ToFull || how == ToLast) {
        while_apply(q, b, q->g.other, &v, &more);
        go = go == NoVal ? more : while_op(b, Op_and, go, more);
    }
    b_result(b, go);
    return while_end(q, b);
}

Loop while_running(const Making *q, Going how) {
    Loop l = {.body = q->advance, .carries = RunCarries, .given = RunGiven};
    l.test = while_going(q, &l, how);
    return l;
}

Val while_slot(const Making *q, Builder *b, Val x) {
    Type ranged = {I32, Slots, shape_scalar(q->p->cx)};
    return b_op(b, Op_cast, &x, 1, NULL, &ranged);
}

void while_store(const Making *q, Builder *b, Vars *v, Val at) {
    for (uint32_t k = 0; k < q->g.carry; k++) {
        v->slots[k] = slots_store(b, v->slots[k], while_slot(q, b, at), v->carry[k]);
    }
}

Builder *while_function(const Making *q) {
    Builder *b = builder_new(q->p, q->g.body->name, false);
    b_fn(b)->loc = q->ins->loc;
    b_at(b, q->ins->loc, q->label);
    return b;
}
