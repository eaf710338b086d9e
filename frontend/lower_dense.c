/* Dense derivatives: a scan over the rows of the identity matrix, each a tangent or a cotangent. A
 * Jacobian with more rows than columns is made by columns, in forward mode. Its type is that of
 * what is differentiated, as a gradient's. */
#include "frontend/lower_deriv.h"

typedef struct Dense {
    Frame *f;
    Loc loc;
    const FnInst *inst;
    const Val *vals; /* arguments of inst's function */
    uint32_t nvals;
    const Wrt *w;
    Type x, y; /* what is differentiated; the result, or the gradient of a Hessian */
    int64_t n; /* rows of the identity matrix */
    DType basis;
    bool forward, hessian;
} Dense;

static Value reshaped(Frame *f, Val v, const Shape *s) {
    return v_tensor(f, b_reshape(f->b, v, s), NULL);
}

static Val identity(Frame *f, DType dt, int64_t n) {
    Cx *cx = f->fr->cx;
    int64_t square[] = {n, n}, column[] = {n, 1};
    const Shape *s = shape_of(cx, square, 2);
    Attr count = attr_int(n);
    Val at = b_op(f->b, Op_iota, NULL, 0, &count, NULL);
    Val sides[] = {b_broadcast(f->b, b_reshape(f->b, at, shape_of(cx, column, 2)), s),
                   b_broadcast(f->b, at, s)};
    Type t = type_of(dt, s);
    Val own = b_op(f->b, Op_eq, sides, 2, NULL, NULL);
    Val args[] = {own, b_float(f->b, t, 1), b_float(f->b, t, 0)};
    return b_op(f->b, Op_where, args, 3, NULL, NULL);
}

/* One row: the operator along row e of the identity. */
static Val row_of(const Dense *d, Frame *inner, int which, Val e, Val *args) {
    Cx *cx = inner->fr->cx;
    const Fn *fn = d->inst->fn;
    Val *extra = args + d->nvals;
    uint32_t n = 1;
    Value *none = NEW_ARRAY(cx->arena, Value, d->inst->nformals + 1);
    if (d->forward || d->hessian) {
        CallArg from = {.loc = d->loc, .value = reshaped(inner, e, d->x.shape)};
        if (!tangents(inner, d->inst, d->w, &from, extra)) return NoVal;
        n = d->w->index.len;
    } else {
        extra[0] = b_reshape(inner->b, e, d->y.shape);
    }
    Emitted out = emit_operator(inner, d->loc, which, d->inst, args, d->nvals + n, d->w);
    if (d->forward) return out.vals[fn->results.len];
    join_groups(inner, d->inst, d->w, none, 0, &out);
    return out.vals[0];
}

static Fn *row_function(const Dense *d, int which) {
    Front *fr = d->f->fr;
    Cx *cx = fr->cx;
    Root *root = root_new(fr, sym(cx, "row"));
    Frame inner = {.fr = fr, .root = root, .b = root->b, .caller = d->f, .real = d->f->real};
    const Fn *fn = d->inst->fn;
    Val *order = NEW_ARRAY(cx->arena, Val, d->nvals + 1);
    Val *args = NEW_ARRAY(cx->arena, Val, d->nvals + d->w->index.len + 1);
    b_at(root->b, d->loc, NULL);
    order[0] = b_param(root->b, sym(cx, "basis"), type_of(d->basis, shape_of(cx, &d->n, 1)));
    for (uint32_t i = 0; i < d->nvals; i++) {
        args[i] = order[i + 1] = b_param(root->b, fn->ins.data[i].name, fn->ins.data[i].type);
    }
    Val row = row_of(d, &inner, which, order[0], args);
    if (row == NoVal) return NULL;
    b_result(root->b, row);
    Fn *made = builder_done(root->b);
    order_params(fr, made, order, d->nvals + 1);
    made->loc = d->loc;
    FnInst *inst = NEW(cx->arena, FnInst);
    return keep_instance(fr, sym_fmt(cx, "rows %u", fr->insts.len), inst, made,
                         sym_fmt(cx, "%s_row", fn->name))->fn;
}

/* [*y, *x] from the rows, or from columns that forward mode stacked. */
static Val arranged(const Dense *d, Val rows) {
    Builder *b = d->f->b;
    Cx *cx = d->f->fr->cx;
    uint32_t ry = d->y.shape->rank, rx = d->x.shape->rank;
    int64_t *dim = NEW_ARRAY(cx->arena, int64_t, ry + rx + 1);
    if (d->forward) {
        for (uint32_t k = 0; k < ry; k++) dim[k] = k + 1;
        dim[ry] = 0;
        Attr perm = attr_ints(cx, dim, ry + 1);
        rows = b_op(b, Op_transpose, &rows, 1, &perm, NULL);
    }
    for (uint32_t k = 0; k < ry; k++) dim[k] = d->y.shape->dim[k];
    for (uint32_t k = 0; k < rx; k++) dim[ry + k] = d->x.shape->dim[k];
    rows = b_reshape(b, rows, shape_of(cx, dim, ry + rx));
    Type t = type_of(d->x.dt, b_type(b, rows).shape);
    return b_op(b, Op_cast, &rows, 1, NULL, &t);
}

/* Room for the derivative, its rows one above the other, and as many basis vectors. */
static bool fits(const Dense *d) {
    Cx *cx = d->f->fr->cx;
    uint32_t rank = d->x.shape->rank + d->y.shape->rank;
    uint32_t rows = 1 + (d->forward ? d->y : d->x).shape->rank;
    if (rows > rank) rank = rows;
    const int64_t sizes[] = {d->x.shape->size, d->y.shape->size}, square[] = {d->n, d->n};
    if (rank <= MaxRank && shape_of(cx, sizes, 2) && shape_of(cx, square, 2)) return true;
    diag_error(cx, d->loc, "the derivative %s", shape_excess(cx, rank));
    return false;
}

bool emit_dense(Frame *f, Loc loc, int which, const FnInst *inst, const Val *vals, uint32_t nvals,
                const Wrt *w, Emitted *out) {
    Cx *cx = f->fr->cx;
    const Fn *fn = inst->fn;
    Dense d = {.f = f, .loc = loc, .inst = inst, .vals = vals, .nvals = nvals, .w = w};
    const Ins *y = &fn->ins.data[fn->results.data[0]];
    if (w->groups.len != 1 || fn->results.len != 1 || !dtype_is_float(y->type.dt)) {
        diag_error(cx, loc, "a dense derivative is that of one float result by one wrt");
        return false;
    }
    const Group *g = &w->groups.data[0];
    d.x = fn->ins.data[w->index.data[g->first]].type;
    if (g->model) d.x.shape = shape_of(cx, &g->all.size, 1);
    d.hessian = which == operator_index(sym(cx, "hessian"));
    d.y = d.hessian ? d.x : y->type;
    d.forward = !d.hessian && d.x.shape->size < d.y.shape->size;
    d.n = d.hessian || d.forward ? d.x.shape->size : d.y.shape->size;
    if (!fits(&d)) return false;
    d.basis = d.forward ? d.x.dt : d.y.dt;
    if (d.forward) which = operator_index(sym(cx, "jvp"));
    const Fn *row = row_function(&d, which);
    if (!row) return false;
    b_at(f->b, loc, NULL);
    Val *args = NEW_ARRAY(cx->arena, Val, nvals + 1), result;
    args[0] = identity(f, d.basis, d.n);
    copy_bytes(args + 1, vals, nvals * sizeof *args);
    Attr attrs[] = {attr_fn(row->name), attr_int(0), attr_int(1), attr_int(0), attr_int(d.n),
                    attr_bool(false)};
    Ins ins = {.op = Op_scan, .attrs = attrs, .loc = loc};
    Region r = region_of(f->fr->p, &ins);
    RegionTypes t = region_types(cx, cx->arena, &ins, &r);
    b_multi(f->b, Op_scan, args, nvals + 1, attrs, t.results, 1, &result);
    *out = (Emitted){NEW(cx->arena, Val), NEW(cx->arena, const Dim *), 1};
    out->vals[0] = arranged(&d, result);
    return true;
}
