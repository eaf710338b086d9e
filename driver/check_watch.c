/* What a function's values are decided by, as one more result, so that compiled code tells when a
 * point lies on another smooth piece:
 *
 *   let c: bool[3] = gt(x, 0.0);      is followed by      h = h * 0x5851F42D4C957F2D + <c, weights>
 *
 * with odd weights that differ, in wrapping i64. Loops and branches get bodies that give theirs. */
#include "driver/check.h"

typedef struct Watch {
    Program *p; /* gets the bodies */
    Builder *b;
    Val hash;
} Watch;

static Type i64_of(Program *p, const Shape *s) {
    (void)p;
    return type_of(I64, s ? s : shape_scalar(p->cx));
}

static Val scalar(Watch *w, int64_t v) {
    return b_int(w->b, i64_of(w->p, NULL), v);
}

/* x, bools or integers, joins the hash. */
static void join(Watch *w, Val x) {
    Program *p = w->p;
    int64_t n = b_type(w->b, x).shape->size, axis = 0;
    const Shape *row = shape_of(p->cx, &n, 1);
    Type whole = i64_of(p, row);
    if (!n) return;
    if (b_type(w->b, x).dt != I64 || b_type(w->b, x).range) {
        Type t = i64_of(p, b_type(w->b, x).shape);
        x = b_op(w->b, Op_cast, &x, 1, NULL, &t);
    }
    Attr count = attr_int(n), axes = attr_ints(p->cx, &axis, 1);
    Val place = b_op(w->b, Op_iota, NULL, 0, &count, NULL);
    place = b_op(w->b, Op_cast, &place, 1, NULL, &whole);
    Val weight = b_add(w->b, b_mul(w->b, place, b_int(w->b, whole, 0x2545F4914F6CDD1E)),
                       b_int(w->b, whole, 0x632BE59BD9B4E019));
    Val sum = b_mul(w->b, b_reshape(w->b, x, row), weight);
    sum = b_op(w->b, Op_reduce_sum, &sum, 1, &axes, NULL);
    w->hash = b_add(w->b, b_mul(w->b, w->hash, scalar(w, 0x5851F42D4C957F2D)), sum);
}

static Val binary(Watch *w, Op op, Val x, Val y) {
    return b_op(w->b, op, (Val[]){x, y}, 2, NULL, NULL);
}

static Val whole(Watch *w, Val x) {
    Type t = i64_of(w->p, b_type(w->b, x).shape);
    return b_op(w->b, Op_cast, &x, 1, NULL, &t);
}

/* Where x is what the reduction took. */
static Val taken(Watch *w, Val x, Val y, Attr axis) {
    const Shape *s = b_type(w->b, x).shape;
    int64_t *dim = NEW_ARRAY(w->p->cx->arena, int64_t, s->rank + 1);
    copy_bytes(dim, s->dim, s->rank * sizeof *dim);
    for (uint32_t k = 0; k < axis.is.n; k++) dim[axis.is.v[k]] = 1;
    y = b_reshape(w->b, y, shape_of(w->p->cx, dim, s->rank));
    return binary(w, Op_eq, x, b_broadcast(w->b, y, s));
}

static void watch_value(Watch *w, const Ins *i, const Val *map, Val y) {
    Val x = i->nargs ? map[i->args[0]] : NoVal;
    if (x == NoVal || !dtype_is_float(b_type(w->b, x).dt)) return;
    Val z = i->nargs > 1 ? map[i->args[1]] : NoVal;
    switch ((Op)i->op) {
    case Op_abs: join(w, binary(w, Op_lt, x, b_float(w->b, i->type, 0))); break;
    case Op_max:
    case Op_min: join(w, binary(w, Op_eq, x, y)); break;
    case Op_mod: {
        Val q = binary(w, Op_div, x, z);
        join(w, whole(w, b_op(w->b, Op_floor, &q, 1, NULL, NULL)));
        break;
    }
    case Op_sign:
    case Op_floor:
    case Op_ceil:
    case Op_round: join(w, whole(w, y)); break;
    case Op_reduce_max:
    case Op_reduce_min: join(w, taken(w, x, y, i->attrs[0])); break;
    default:
        if (!dtype_is_float(i->type.dt)) join(w, y);
        break;
    }
}

/* What becomes of a function: a loop's takes the hash so far as formal `at` (NoVal: none), and all
 * but its test give it, in the shape `as` (NULL: does not). */
typedef struct Form {
    uint32_t at;
    const Shape *as;
} Form;
static Fn *watched(Program *p, const Fn *fn, Form form);

/* The shape that a body's hash is emitted in: one that has the loop's axis. */
static const Shape *slice_shape(Program *p, const Region *r) {
    int64_t ones[64], n = r->axis < 0 ? -r->axis - 1 : r->axis;
    for (int64_t k = 0; k < n; k++) ones[k] = 1;
    return shape_of(p->cx, ones, (uint32_t)n);
}

/* A region over watched bodies: one result more, and in a `while` one carry more. */
static void watch_region(Watch *w, const Fn *fn, Val v, Val *map) {
    Program *p = w->p;
    Cx *cx = p->cx;
    const Ins *i = &fn->ins.data[v];
    Region r = region_of(p, i);
    bool loop = i->op == Op_while;
    const Shape *as = i->op == Op_scan ? slice_shape(p, &r) : shape_scalar(cx);
    Form form = {loop ? r.carry : NoVal, as}, test = {r.carry, NULL};
    Fn *body = watched(p, r.body, form);
    program_add(p, body);
    Fn *other = r.other ? watched(p, r.other, loop ? test : form) : NULL;
    if (other) program_add(p, other);
    Attr *attrs = NEW_ARRAY(cx->arena, Attr, MaxAttrs);
    copy_bytes(attrs, i->attrs, (size_t)op_info[i->op].nattrs * sizeof *attrs);
    attrs[loop ? 1 : 0] = attr_fn(body->name);
    if (other) attrs[loop ? 0 : 1] = attr_fn(other->name);
    if (loop) attrs[2] = attr_int((int64_t)r.carry + 1);
    Val *args = NEW_ARRAY(cx->arena, Val, i->nargs + 1);
    uint32_t n = 0;
    for (uint32_t k = 0; k < i->nargs; k++) {
        if (loop && k == r.carry) args[n++] = scalar(w, 1);
        args[n++] = map[i->args[k]];
    }
    if (loop && r.carry == i->nargs) args[n++] = scalar(w, 1);
    Region inner = r;
    inner.body = body;
    Ins made = *i;
    made.attrs = attrs;
    RegionTypes t = region_types(cx, cx->arena, &made, &inner);
    Val *results = NEW_ARRAY(cx->arena, Val, t.nresults + 1);
    b_multi(w->b, (Op)i->op, args, n, attrs, t.results, t.nresults, results);
    map[v] = results[0];
    for (Val g = v + 1; !i->type.shape && g < fn->ins.len; g++) {
        if (fn->ins.data[g].op != Op_get || fn->ins.data[g].args[0] != v) break;
        map[g] = results[fn->ins.data[g].attrs[0].i];
    }
    join(w, results[t.nresults - 1]);
}

static Fn *watched(Program *p, const Fn *fn, Form form) {
    Cx *cx = p->cx;
    fn = inline_calls(p, fn, KeepNone);
    Watch w = {p, builder_new(p, program_fresh(p, sym_fmt(cx, "%s_watched", fn->name)), false), 0};
    Val *map = NEW_ARRAY(cx->arena, Val, fn->ins.len + 1);
    w.hash = NoVal;
    for (Val v = 0; v <= fn->nparams; v++) {
        if (v == form.at) w.hash = b_param(w.b, sym(cx, "watch"), i64_of(p, NULL));
        if (v < fn->nparams) map[v] = b_param(w.b, fn->ins.data[v].name, fn->ins.data[v].type);
    }
    Val factor = scalar(&w, 0x5851F42D4C957F2D); /* steps count, even without a choice */
    w.hash = w.hash == NoVal ? factor : b_add(w.b, b_mul(w.b, w.hash, factor), scalar(&w, 1));
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        if (i->op == Op_get && op_info[fn->ins.data[i->args[0]].op].cls == ClsRegion) continue;
        b_at(w.b, i->loc, i->rule);
        if (op_info[i->op].cls == ClsRegion) {
            watch_region(&w, fn, v, map);
            continue;
        }
        map[v] = b_copy(w.b, i, map);
        watch_value(&w, i, map, map[v]);
    }
    for (uint32_t k = 0; k < fn->results.len; k++) b_result(w.b, map[fn->results.data[k]]);
    if (form.as) b_result(w.b, b_reshape(w.b, w.hash, form.as));
    return builder_done(w.b);
}

Fn *watch_choices(Program *p, const Fn *fn) {
    return watched(p, fn, (Form){NoVal, shape_scalar(p->cx)});
}
