/* Rules for the operations that the tests of passes use, written through the builder. Some have a
 * forward rule and some have not, so that both ways of forward mode are taken. */
#include "tests/passes/support.h"

/* x: operands, y: result, v: cotangent (backward) or tangents dx (forward). */
typedef struct R {
    Program *p;
    Builder *b;
    const Ins *site;
    Val x[4], y, first, v, dx[4]; /* first: of two results */
} R;

typedef Val (*Line)(R *r);
typedef struct Row {
    const char *name;
    Line backward[3];
    Line forward;
} Row;

static Val num(R *r, Val like, double v) { return b_float(r->b, b_type(r->b, like), v); }
static Val op2(R *r, Op op, Val x, Val y) {
    return b_op(r->b, op, (Val[]){x, y}, 2, NULL, NULL);
}
static Val op1(R *r, Op op, Val x) { return b_op(r->b, op, &x, 1, NULL, NULL); }
static Val mul(R *r, Val x, Val y) { return b_mul(r->b, x, y); }
static Val transposed(R *r, Val x) { return op1(r, Op_transpose, x); }

static Val marked(R *r, Val like, const char *rule) {
    Loc loc = b_loc(r->b);
    b_at(r->b, loc, sym(r->p->cx, rule));
    Val v = b_float(r->b, b_type(r->b, like), 0);
    b_at(r->b, loc, NULL);
    return v;
}
static Val zero(R *r) { return marked(r, r->x[0], "zero"); }
static Val nodiff(R *r) { return marked(r, r->x[0], "nodiff"); }

static Val same(R *r) { return r->v; }
static Val minus(R *r) { return op1(r, Op_neg, r->v); }
static Val add_forward(R *r) { return b_add(r->b, r->dx[0], r->dx[1]); }
static Val mul_a(R *r) { return mul(r, r->v, r->x[1]); }
static Val mul_b(R *r) { return mul(r, r->v, r->x[0]); }
static Val mul_forward(R *r) {
    return b_add(r->b, mul(r, r->dx[0], r->x[1]), mul(r, r->x[0], r->dx[1]));
}
static Val div_a(R *r) { return op2(r, Op_div, r->v, r->x[1]); }
static Val div_b(R *r) {
    return op1(r, Op_neg, op2(r, Op_div, mul(r, r->v, r->y), r->x[1]));
}
static Val exp_x(R *r) { return mul(r, r->v, r->y); }
static Val log_x(R *r) { return op2(r, Op_div, r->v, r->x[0]); }
static Val sqrt_x(R *r) { return op2(r, Op_div, mul(r, r->v, num(r, r->v, 0.5)), r->y); }
static Val tanh_of(R *r, Val v) {
    return mul(r, v, op2(r, Op_sub, num(r, v, 1), mul(r, r->y, r->y)));
}
static Val tanh_x(R *r) { return tanh_of(r, r->v); }
static Val tanh_forward(R *r) { return tanh_of(r, r->dx[0]); }
static Val sigmoid_x(R *r) {
    return mul(r, mul(r, r->v, r->y), op2(r, Op_sub, num(r, r->v, 1), r->y));
}
static Val matmul_a(R *r) { return op2(r, Op_matmul, r->v, transposed(r, r->x[1])); }
static Val matmul_b(R *r) { return op2(r, Op_matmul, transposed(r, r->x[0]), r->v); }
static Val transpose_x(R *r) { return transposed(r, r->v); }
static Val reshape_x(R *r) { return b_reshape(r->b, r->v, b_type(r->b, r->x[0]).shape); }
static Val broadcast_x(R *r) { return b_sum_to(r->b, r->v, b_type(r->b, r->x[0]).shape); }
static Val reduce_sum_x(R *r) {
    const Shape *s = b_type(r->b, r->x[0]).shape;
    int64_t dim[8];
    Attr axis = r->site->attrs[0];
    for (uint32_t k = 0; k < s->rank; k++) dim[k] = s->dim[k];
    for (uint32_t k = 0; k < axis.is.n; k++) dim[axis.is.v[k]] = 1;
    Val v = b_reshape(r->b, r->v, shape_of(r->p->cx, dim, s->rank));
    return b_broadcast(r->b, v, s);
}
static Val reduce_sum_forward(R *r) {
    return b_op(r->b, Op_reduce_sum, r->dx, 1, r->site->attrs, NULL);
}
static Val where_pick(R *r, Val a, Val b) {
    return b_op(r->b, Op_where, (Val[]){r->x[0], a, b}, 3, NULL, NULL);
}
static Val where_a(R *r) { return where_pick(r, r->v, num(r, r->v, 0)); }
static Val where_b(R *r) { return where_pick(r, num(r, r->v, 0), r->v); }
/* The pad that a slice undoes, and the other way round. */
static Val slice_x(R *r) {
    const Shape *s = b_type(r->b, r->x[0]).shape, *y = b_type(r->b, r->y).shape;
    const int64_t *lo = r->site->attrs[0].is.v, *stride = r->site->attrs[2].is.v;
    int64_t hi[8], interior[8];
    for (uint32_t k = 0; k < s->rank; k++) {
        interior[k] = stride[k] - 1;
        hi[k] = s->dim[k] - lo[k] - (y->dim[k] ? (y->dim[k] - 1) * stride[k] + 1 : 0);
    }
    Attr attrs[] = {r->site->attrs[0], attr_ints(r->p->cx, hi, s->rank),
                    attr_ints(r->p->cx, interior, s->rank)};
    Val nil = b_float(r->b, type_of(F64, shape_scalar(r->p->cx)), 0);
    return b_op(r->b, Op_pad, (Val[]){r->v, nil}, 2, attrs, NULL);
}
static Val pad_x(R *r) {
    const Shape *s = b_type(r->b, r->x[0]).shape;
    const int64_t *lo = r->site->attrs[0].is.v, *interior = r->site->attrs[2].is.v;
    int64_t hi[8], stride[8];
    for (uint32_t k = 0; k < s->rank; k++) {
        stride[k] = interior[k] + 1;
        hi[k] = lo[k] + (s->dim[k] ? (s->dim[k] - 1) * stride[k] + 1 : 0);
    }
    Attr attrs[] = {r->site->attrs[0], attr_ints(r->p->cx, hi, s->rank),
                    attr_ints(r->p->cx, stride, s->rank)};
    return b_op(r->b, Op_slice, &r->v, 1, attrs, NULL);
}
static Val gather_x(R *r) {
    Val none = num(r, r->x[0], 0);
    return b_op(r->b, Op_scatter_add, (Val[]){none, r->x[1], r->v}, 3, r->site->attrs, NULL);
}
static Val scatter_add_u(R *r) {
    return b_op(r->b, Op_gather, (Val[]){r->v, r->x[1]}, 2, r->site->attrs, NULL);
}
static Val index_zero(R *r) { return marked(r, r->x[1], "nodiff"); }
static Val pad_value(R *r) { return marked(r, r->x[1], "nodiff"); }
/* Rules of functions, not what their bodies would give. */
static Val thrice(R *r) { return mul(r, r->v, num(r, r->v, 3)); }
static Val scaled_x(R *r) {
    return mul(r, r->v, b_broadcast(r->b, r->x[1], b_type(r->b, r->v).shape));
}
static Val scaled_k(R *r) {
    return b_sum_to(r->b, mul(r, r->v, r->x[0]), b_type(r->b, r->x[1]).shape);
}
static Val both(R *r) {
    return mul(r, b_add(r->b, r->v, mul(r, r->dx[0], num(r, r->v, 2))), r->x[0]);
}
static Val flat(R *r) {
    Type type = b_type(r->b, r->v);
    return b_reshape(r->b, r->v, shape_of(r->p->cx, (int64_t[]){1, type.shape->dim[0]}, 2));
}
static Val summed(R *r) { return b_sum_to(r->b, r->v, b_type(r->b, r->x[1]).shape); }
static Val thrice_forward(R *r) { return mul(r, r->dx[0], num(r, r->dx[0], 3)); }
static Val zero_forward(R *r) { return marked(r, r->dx[0], "zero"); }
static Val nodiff_forward(R *r) { return marked(r, r->dx[0], "nodiff"); }
static Val with_results(R *r) {
    return b_add(r->b, r->v, mul(r, r->dx[0], mul(r, r->y, mul(r, r->first, r->first))));
}
static Val second(R *r) { return r->dx[0]; }
static Val sub_forward(R *r) { return op2(r, Op_sub, r->dx[0], r->dx[1]); }

static const Row rows[] = {
    {"add", {same, same}, add_forward},
    {"sub", {same, minus}, sub_forward},
    {"neg", {minus}, NULL},
    {"mul", {mul_a, mul_b}, mul_forward},
    {"div", {div_a, div_b}, NULL},
    {"exp", {exp_x}, NULL},
    {"log", {log_x}, NULL},
    {"sqrt", {sqrt_x}, NULL},
    {"tanh", {tanh_x}, tanh_forward},
    {"sigmoid", {sigmoid_x}, NULL},
    {"matmul", {matmul_a, matmul_b}, NULL},
    {"transpose", {transpose_x}, NULL},
    {"reshape", {reshape_x}, NULL},
    {"broadcast", {broadcast_x}, NULL},
    {"reduce_sum", {reduce_sum_x}, reduce_sum_forward},
    {"where", {zero, where_a, where_b}, NULL},
    {"slice", {slice_x}, NULL},
    {"pad", {pad_x, pad_value}, NULL},
    {"gather", {gather_x, index_zero}, NULL},
    {"scatter_add", {same, index_zero, scatter_add_u}, NULL},
    {"opt_barrier", {same}, NULL},
    {"stop_gradient", {zero}, NULL},
    {"round", {nodiff}, NULL},
    {"ruled", {thrice}, NULL},
    {"pair", {both}, NULL},
    {"ahead", {NULL}, thrice_forward},
    {"flatten", {zero}, zero_forward},
    {"never", {nodiff}, nodiff_forward},
    {"onward", {same}, nodiff_forward},
    {"twin", {with_results}, NULL},
    {"cross", {same, second}, NULL},
    {"taller", {flat}, NULL},
    {"uneven", {same, summed}, NULL},
    {"keeps", {same, mul_b}, NULL},
    {"turned", {transpose_x}, NULL},
    {"turns", {transpose_x}, NULL},
    {"picks", {same, zero}, NULL},
    {"scaled", {scaled_x, scaled_k}, NULL},
    {"wide", {same}, NULL},
    {"narrow", {same}, NULL},
};

static const Row *row_named(const char *name) {
    for (size_t k = 0; k < LEN(rows); k++) {
        if (!strcmp(rows[k].name, name)) return &rows[k];
    }
    return NULL;
}

Fn *test_rule(Program *p, RuleKind kind, Sym name, const Ins *site, const Type *args,
              const Type *results, uint32_t nresults) {
    const Row *row = row_named(name);
    if (!row || !(kind == RuleForward ? row->forward : row->backward[0])) return NULL;
    R r = {.p = p, .b = builder_new(p, sym_fmt(p->cx, "rule_%s", name), false), .site = site};
    b_at(r.b, (Loc){sym(p->cx, "rules.bp"), 1, 1, 1}, NULL);
    for (uint32_t k = 0; k < site->nargs; k++) {
        r.x[k] = b_param(r.b, sym_fmt(p->cx, "x%u", k), args[k]);
    }
    for (uint32_t k = 0; k < nresults; k++) {
        r.y = b_param(r.b, sym_fmt(p->cx, "y%u", k), results[k]);
        if (!k) r.first = r.y;
    }
    uint32_t n = kind == RuleBackward ? nresults : site->nargs, in = 0;
    for (uint32_t k = 0; k < n; k++) {
        Type type = kind == RuleBackward ? results[k] : args[k];
        if (dtype_is_float(type.dt)) r.dx[in++] = b_param(r.b, sym_fmt(p->cx, "v%u", k), type);
    }
    r.v = r.dx[0];
    r.dx[0] = kind == RuleBackward && nresults == 2 ? r.dx[1] : r.dx[0];
    if (kind == RuleForward) b_result(r.b, row->forward(&r));
    for (uint32_t k = 0; kind == RuleBackward && k < site->nargs; k++) {
        b_result(r.b, row->backward[k](&r));
    }
    return builder_done(r.b);
}
