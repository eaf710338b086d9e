/* Masks keep the branch that `where` did not take out of the gradient:
 *
 *   let l: f64[3] = log(x);
 *   let y: f64[3] = where(p, l, 0.0);   at x = 0, where p is false, d_l is 0 but d_l / x is NaN
 *
 * The adjoint of a branch carries the mask under which it counts. A rule that multiplies or divides
 * selects 0 again where the mask is false; data movement moves the mask along; a sum carries the
 * `or` of its terms, none if one term has none; contractions, gathers and functions that mix
 * elements end it. Tests: tests/passes/mask_test.c */
#include "passes/passes.h"

static Val like(Builder *b, Val x, double v) { return b_float(b, b_type(b, x), v); }

static Val select_under(Builder *b, Val mask, Val x, Val y) {
    return b_op(b, Op_where, (Val[]){mask, x, y}, 3, NULL, NULL);
}

/* The mask as 1 and 0 of the type of a value of its shape, and back. */
static Val as_numbers(Builder *b, Val mask, DType dt) {
    Type type = type_of(dt, b_type(b, mask).shape);
    return select_under(b, mask, b_float(b, type, 1), b_float(b, type, 0));
}
static Val as_mask(Builder *b, Val x) {
    return b_op(b, Op_ne, (Val[]){x, like(b, x, 0)}, 2, NULL, NULL);
}

/* Each element of every result depends on that element of the operands of its shape alone. */
static bool pointwise(const Program *p, const Fn *fn) {
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        OpClass cls = op_info[i->op].cls;
        if (cls == ClsElem || cls == ClsSource) continue;
        if (cls == ClsView && !fn->ins.data[i->args[0]].type.shape->rank) continue;
        if (i->op == Op_call && pointwise(p, program_fn(p, i->attrs[0].s))) continue;
        return false;
    }
    return true;
}

/* Back over the reduced axes. */
static Val unreduced(Builder *b, Val mask, Attr axis, const Shape *to, Cx *cx) {
    int64_t *dim = NEW_ARRAY(cx->scratch, int64_t, to->rank);
    copy_bytes(dim, to->dim, to->rank * sizeof *dim);
    for (uint32_t k = 0; k < axis.is.n; k++) dim[axis.is.v[k]] = 1;
    return b_broadcast(b, b_reshape(b, mask, shape_of(cx, dim, to->rank)), to);
}

/* What the rule does to its cotangent, the last of args, done to the mask. */
static Val moved(const Pull *q, uint32_t k, Val mask) {
    Arena *a = q->p->cx->scratch;
    uint32_t n = q->rule->fn->nparams;
    Val *args = NEW_ARRAY(a, Val, n), *out = NEW_ARRAY(a, Val, q->ins->nargs);
    bool *want = NEW_ARRAY(a, bool, q->ins->nargs);
    copy_bytes(args, q->args, n * sizeof *args);
    args[n - 1] = as_numbers(q->b, mask, b_type(q->b, args[n - 1]).dt);
    want[k] = true;
    Splice as = {.rule = q->label, .loc = q->ins->loc};
    splice(q->p, q->b, q->rule->fn, args, want, &as, out);
    return as_mask(q->b, out[k]);
}

static bool moves_floats_only(const Pull *q) {
    for (uint32_t k = 0; k < q->ins->nargs; k++) {
        if (!dtype_is_float(b_type(q->b, q->args[k]).dt)) return false;
    }
    return true;
}

static Val where_branch(const Pull *q, uint32_t k, Val mask) {
    Val taken = q->args[0];
    if (k == 2) taken = b_op(q->b, Op_not, &taken, 1, NULL, NULL);
    return mask == NoVal ? taken : b_op(q->b, Op_and, (Val[]){mask, taken}, 2, NULL, NULL);
}

static Val carried(const Pull *q, uint32_t k, Val mask, const Shape *to) {
    const Ins *i = q->ins;
    bool same = b_type(q->b, mask).shape == to;
    switch (op_info[i->op].cls) {
    case ClsElem: return mask;
    case ClsView: return k == 0 ? moved(q, k, mask) : NoVal;
    case ClsReduce: return unreduced(q->b, mask, i->attrs[0], to, q->p->cx);
    case ClsMove: return moves_floats_only(q) ? moved(q, k, mask) : NoVal;
    case ClsCall:
        return same && pointwise(q->p, program_fn(q->p, i->attrs[0].s)) ? mask : NoVal;
    case ClsSource:
    case ClsContract:
    case ClsRegion:
    case ClsOperator: break;
    }
    return NoVal;
}

/* Whether the rule computes with the cotangent of operand k rather than passing it on. */
static bool scales(const Pull *q, uint32_t k) {
    bool *want = NEW_ARRAY(q->p->cx->scratch, bool, q->ins->nargs);
    want[k] = true;
    bool *live = live_values(q->p, q->rule->fn, want);
    for (Val v = q->rule->fn->nparams; v < q->rule->fn->ins.len; v++) {
        const Ins *i = &q->rule->fn->ins.data[v];
        if (live[v] && op_info[i->op].cls == ClsElem && i->nargs > 1) return true;
    }
    return false;
}

Val mask_pull(const Pull *q, uint32_t k, Val mask, Val *contribution) {
    if (q->ins->op == Op_where) return where_branch(q, k, mask);
    if (mask == NoVal) return NoVal;
    Val m = carried(q, k, mask, b_type(q->b, *contribution).shape);
    if (m != NoVal && scales(q, k)) {
        *contribution = select_under(q->b, m, *contribution, like(q->b, *contribution, 0));
    }
    return m;
}

static bool is_not(const Builder *b, Val x, Val y) {
    return b_ins(b, x)->op == Op_not && b_ins(b, x)->args[0] == y;
}

Val mask_sum(Builder *b, Val x, Val y) {
    if (x == NoVal || y == NoVal || is_not(b, x, y) || is_not(b, y, x)) return NoVal;
    return b_op(b, Op_or, (Val[]){x, y}, 2, NULL, NULL);
}
