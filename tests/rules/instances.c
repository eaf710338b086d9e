/* Operands and attributes at random, kept where the operation's shape rule takes them. */
#include "tests/rules/rules_test.h"

static const int64_t dims[][5] = {
    {0},       {1},       {3},       {17},         {2, 3},       {3, 2},          {3, 5},
    {1, 4},    {0, 3},    {2, 2, 3}, {2, 3, 4},    {2, 2, 7},    {4, 2, 1},       {2, 3, 3},
    {0, 2, 3}, {2, 4, 5}, {4, 1, 3}, {2, 2, 5, 3}, {4, 2, 2, 3}, {2, 1, 1, 2, 2}, {2, 2, 3, 2, 3}};
static const uint32_t ranks[] = {0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 5, 5};

static Type draw_type(Suite *s, DType dt) {
    size_t k = draw(s, LEN(ranks));
    Type t = {.dt = dt, .shape = shape_of(s->cx, dims[k], ranks[k])};
    uint64_t other = draw(s, 8);
    if (other == 5) t.dt = BOOL;
    if (other == 6) t.dt = I32, t.range = (int64_t)(1 + draw(s, 5));
    if (other == 7) t.dt = I64;
    return t;
}

static bool positive(const char *name) {
    return !strcmp(name, "stride") || !strcmp(name, "size") || strstr(name, "dilation");
}

/* Lists as long as the first operand's rank or so, or the shapes that `to` may name. */
static Attr draw_ints(Suite *s, const char *name, const Type *args, uint32_t nargs) {
    const Shape *x = nargs ? args[0].shape : shape_scalar(s->cx);
    int64_t v[8] = {0};
    uint32_t n = x->rank;
    if (!strcmp(name, "to")) {
        if (draw(s, 2)) { /* all elements in a row */
            v[0] = x->size;
            return attr_ints(s->cx, v, 1);
        }
        v[0] = 2;
        for (uint32_t i = 0; i < n; i++) v[i + 1] = x->dim[i] == 1 ? 3 : x->dim[i];
        return attr_ints(s->cx, v, n + 1);
    }
    if (!strcmp(name, "axis")) {
        uint32_t many = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (draw(s, 2)) v[many++] = i;
        }
        return attr_ints(s->cx, v, many);
    }
    if (n > 2 && strcmp(name, "perm") && draw(s, 2)) n -= 2; /* spatial axes */
    for (uint32_t i = 0; i < n; i++) {
        bool high = !strcmp(name, "hi"), stride = positive(name);
        v[i] = high && draw(s, 2) ? x->dim[i]
               : stride           ? (int64_t)(1 + draw(s, 2))
                                  : (int64_t)draw(s, 3) - (draw(s, 4) == 0);
    }
    if (!strcmp(name, "perm")) {
        for (uint32_t i = 0; i < n; i++) v[i] = n - 1 - i;
    }
    return attr_ints(s->cx, v, n);
}

static Attr draw_attr(Suite *s, const AttrInfo *info, const Type *args, uint32_t nargs) {
    switch (info->kind) {
    case AttrInt:
        return attr_int((int64_t)draw(s, 3));
    case AttrBool:
        return attr_bool(draw(s, 2));
    case AttrFloat:
        return attr_float(draw_unit(s));
    case AttrInts:
        return draw_ints(s, info->name, args, nargs);
    case AttrNone:
    case AttrFn:
    case AttrNames:
        break;
    }
    return (Attr){0};
}

static double in_domain(Suite *s, Domain d) {
    double u = draw_unit(s);
    switch (d) {
    case DomPositive:
        return 0.3 + 2.7 * u;
    case DomNonzero:
        return (draw(s, 2) ? 1 : -1) * (0.3 + 2.7 * u);
    case DomUnit:
        return 1.8 * u - 0.9;
    case DomNone:
    case DomAny:
    case DomInt:
    case DomBool:
        break;
    }
    return 4 * u - 2;
}

Tensor draw_tensor(Suite *s, Type t, Domain d) {
    Tensor x = tensor_new(s->a, t, false);
    for (int64_t i = 0; i < t.shape->size; i++) {
        if (x.re)
            x.re[i] = t.dt == F32 ? (double)(float)in_domain(s, d) : in_domain(s, d);
        else
            x.i[i] = t.dt == BOOL ? (int64_t)draw(s, 2)
                     : t.range    ? (int64_t)draw(s, (uint64_t)t.range)
                                  : (int64_t)draw(s, 200) - 100;
    }
    return x;
}

static bool draw_instance(Suite *s, Op op, DType dt, Instance *x) {
    const OpInfo *info = &op_info[op];
    *x = (Instance){.op = op, .n = info->nargs < 0 ? 2 : (uint32_t)info->nargs};
    Type first = draw_type(s, dt);
    for (uint32_t i = 0; i < x->n; i++) x->args[i] = draw(s, 3) ? first : draw_type(s, dt);
    if (draw(s, 2)) x->args[0] = first;
    if (!draw(s, 3)) /* the second is an index into the first */
        x->args[1] = (Type){I32, (int64_t)(1 + draw(s, 4)), draw_type(s, dt).shape};
    for (int i = 0; i < info->nattrs; i++)
        x->attrs[i] = draw_attr(s, &info->attrs[i], x->args, x->n);
    Infer q = {.cx = s->cx, .nargs = x->n, .args = x->args, .attrs = x->attrs};
    if (op_infer(op, &q)) return false;
    x->result = q.result;
    return x->result.shape && x->result.shape->size < 2000;
}

static bool known(const Instance *all, uint32_t n, const Instance *x) {
    for (uint32_t i = 0; i < n; i++) {
        bool same = true;
        for (uint32_t k = 0; same && k < x->n; k++) same = type_equal(all[i].args[k], x->args[k]);
        for (int k = 0; same && op_info[x->op].nattrs > 3 && k < op_info[x->op].nattrs; k++)
            same = attr_equal(all[i].attrs[k], x->attrs[k]);
        if (same) return true;
    }
    return false;
}

static void build(Suite *s, Instance *x) {
    Builder *b = builder_new(s->p, program_fresh(s->p, "case"), true);
    Val vals[MaxOperands];
    x->inputs = NEW_ARRAY(s->a, Tensor, x->n + 1);
    for (uint32_t i = 0; i < x->n; i++) {
        vals[i] = b_param(b, sym_fmt(s->cx, "x%u", i), x->args[i]);
        x->inputs[i] = draw_tensor(s, x->args[i], op_info[x->op].domain);
    }
    b_result(b, b_op(b, x->op, vals, x->n, x->attrs, NULL));
    x->fn = builder_done(b);
    x->fn->exported = true;
    program_add(s->p, x->fn);
}

uint32_t instances_draw(Suite *s, Op op, DType dt, Instance *out, uint32_t most) {
    uint32_t n = 0;
    for (unsigned tries = 0; tries < 60000 && n < most; tries++) {
        Instance x;
        if (!draw_instance(s, op, dt, &x) || known(out, n, &x)) continue;
        build(s, &x);
        out[n++] = x;
    }
    return n;
}
