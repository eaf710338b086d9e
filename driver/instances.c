/* Operands and attributes at random, kept where the operation's shape rule takes them. */
#include "driver/instances.h"

#include <math.h>

enum { DrawnRank = 5 };
static const struct {
    uint32_t rank;
    int64_t dim[DrawnRank];
} shapes[] = {
    {0, {0}},          {1, {0}},          {1, {1}},          {1, {3}},          {1, {17}},
    {2, {2, 3}},       {2, {3, 2}},       {2, {3, 5}},       {2, {1, 4}},       {2, {0, 3}},
    {3, {2, 2, 3}},    {3, {2, 3, 4}},    {3, {2, 2, 7}},    {3, {4, 2, 1}},    {3, {2, 3, 3}},
    {3, {0, 2, 3}},    {3, {2, 4, 5}},    {3, {4, 1, 3}},    {4, {2, 2, 5, 3}}, {4, {4, 2, 2, 3}},
    {5, {2, 1, 1, 2, 2}}, {5, {2, 2, 3, 2, 3}},
};

static bool positive(const char *name) {
    return !strcmp(name, "stride") || !strcmp(name, "size") || strstr(name, "dilation");
}

uint64_t draw(Drawer *d, uint64_t below) {
    return rng_bits(0x5EED, d->key++) % below;
}

/* In [0, 1). */
static double draw_unit(Drawer *d) {
    return rng_f64(rng_bits(0x5EED, d->key++));
}

bool can_draw(Op op) {
    OpClass c = op_info[op].cls;
    bool drawn = op_info[op].domain != DomNone || c == ClsElem;
    return drawn && c != ClsCall && c != ClsOperator && c != ClsSource && c != ClsRegion;
}

const char *instance_text(Drawer *d, const Instance *x) {
    Text t = {0};
    print_ins(d->p, x->fn, x->fn->results.data[0], &t);
    for (uint32_t i = 0; i < x->n; i++) {
        text_add(&t, "  x%u: %s", i, type_text(d->p->cx, x->args[i]));
    }
    return text_done(&t, d->a);
}

static Type draw_type(Drawer *d, DType dt) {
    size_t k = draw(d, LEN(shapes));
    Type t = {.dt = dt, .shape = shape_of(d->p->cx, shapes[k].dim, shapes[k].rank)};
    uint64_t other = draw(d, 8);
    if (other == 5) t.dt = BOOL;
    if (other == 6) { /* mostly an index of an axis */
        const int64_t *dim = shapes[draw(d, LEN(shapes))].dim;
        t.dt = I32;
        t.range = dim[draw(d, 3)];
        if (t.range < 1) t.range = (int64_t)(1 + draw(d, 5));
    }
    if (other == 7) t.dt = I64;
    return t;
}

/* Lists as long as the first operand's rank, or without its first and last dimension, or the shapes
 * that `to` may name. */
static Attr draw_ints(Drawer *d, const char *name, const Type *args, uint32_t nargs) {
    const Shape *x = nargs ? args[0].shape : shape_scalar(d->p->cx);
    int64_t v[8] = {0};
    uint32_t n = x->rank;
    if (!strcmp(name, "to")) {
        if (draw(d, 2)) { /* all elements in a row */
            v[0] = x->size;
            return attr_ints(d->p->cx, v, 1);
        }
        v[0] = 2;
        for (uint32_t i = 0; i < n; i++) v[i + 1] = x->dim[i] == 1 ? 3 : x->dim[i];
        return attr_ints(d->p->cx, v, n + 1);
    }
    if (!strcmp(name, "axis")) {
        uint32_t many = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (draw(d, 2)) v[many++] = i;
        }
        return attr_ints(d->p->cx, v, many);
    }
    if (n > 2 && strcmp(name, "perm") && draw(d, 2)) n -= 2; /* spatial axes */
    for (uint32_t i = 0; i < n; i++) {
        bool high = !strcmp(name, "hi") || !strcmp(name, "within"), stride = positive(name);
        v[i] = high && draw(d, 2) ? x->dim[i]
               : stride           ? (int64_t)(1 + draw(d, 2))
                                  : (int64_t)draw(d, 4) - 1;
    }
    if (!strcmp(name, "perm")) {
        bool turned = draw(d, 2); /* its own inverse is only the other one */
        for (uint32_t i = 0; i < n; i++) v[i] = turned ? (i + 1) % n : n - 1 - i;
    }
    return attr_ints(d->p->cx, v, n);
}

static Attr draw_attr(Drawer *d, const AttrInfo *info, const Type *args, uint32_t nargs) {
    if (!draw(d, 3)) return (Attr){0}; /* the row's default, if it has one */
    switch (info->kind) {
    case AttrInt:
        return attr_int((int64_t)draw(d, 3));
    case AttrBool:
        return attr_bool(draw(d, 2));
    case AttrFloat:
        return attr_float(draw_unit(d));
    case AttrInts:
        return draw_ints(d, info->name, args, nargs);
    case AttrNone:
    case AttrFn:
    case AttrNames:
        break;
    }
    return (Attr){0};
}

static double in_domain(Drawer *d, Domain domain) {
    double u = draw_unit(d);
    switch (domain) {
    case DomPositive:
        return 0.3 + 2.7 * u;
    case DomNonzero:
        return (draw(d, 2) ? 1 : -1) * (0.3 + 2.7 * u);
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

static Tensor draw_tensor(Drawer *d, Type t, Domain domain) {
    Tensor x = tensor_new(d->a, t, false);
    for (int64_t i = 0; i < t.shape->size; i++) {
        if (x.re)
            x.re[i] = t.dt == F32 ? (double)(float)in_domain(d, domain) : in_domain(d, domain);
        else
            x.i[i] = t.dt == BOOL ? (int64_t)draw(d, 2)
                     : t.range    ? (int64_t)draw(d, (uint64_t)t.range)
                                  : (int64_t)draw(d, 200) - 100;
    }
    return x;
}

static bool draw_instance(Drawer *d, Op op, DType dt, Instance *x) {
    const OpInfo *info = &op_info[op];
    *x = (Instance){.op = op, .n = info->nargs < 0 ? 2 : (uint32_t)info->nargs};
    Type first = draw_type(d, dt);
    for (uint32_t i = 0; i < x->n; i++) x->args[i] = draw(d, 3) ? first : draw_type(d, dt);
    if (draw(d, 2)) x->args[0] = first;
    if (x->n > 1 && !draw(d, 3)) { /* the second is an index into the first */
        x->args[1] = (Type){I32, (int64_t)(1 + draw(d, 4)), draw_type(d, dt).shape};
    }
    for (int i = 0; i < info->nattrs; i++)
        x->attrs[i] = draw_attr(d, &info->attrs[i], x->args, x->n);
    Type other = {.dt = dt == F64 ? F32 : F64, .shape = first.shape};
    Infer q = {.cx = d->p->cx, .nargs = x->n, .args = x->args, .attrs = x->attrs};
    if (info->domain == DomNone) q.given = &other;
    if (op_infer(op, &q)) return false;
    x->result = q.result;
    return x->result.shape && x->result.shape->size < 2000;
}

static bool known(const Instance *all, uint32_t n, const Instance *x) {
    for (uint32_t i = 0; i < n; i++) {
        bool same = true;
        for (uint32_t k = 0; same && k < x->n; k++) same = type_equal(all[i].args[k], x->args[k]);
        for (int k = 0; same && op_info[x->op].nattrs > 3 && k < op_info[x->op].nattrs; k++) {
            same = attr_equal(all[i].attrs[k], x->attrs[k]);
        }
        if (same) return true;
    }
    return false;
}

static void build(Drawer *d, Instance *x) {
    Builder *b = builder_new(d->p, program_fresh(d->p, "case"), true);
    Val vals[MaxOperands];
    x->inputs = NEW_ARRAY(d->a, Tensor, x->n + 1);
    for (uint32_t i = 0; i < x->n; i++) {
        vals[i] = b_param(b, sym_fmt(d->p->cx, "x%u", i), x->args[i]);
        x->inputs[i] = draw_tensor(d, x->args[i], op_info[x->op].domain);
    }
    b_result(b, b_op(b, x->op, vals, x->n, x->attrs, &x->result));
    x->fn = builder_done(b);
    x->fn->exported = true;
    program_add(d->p, x->fn);
}

/* Whether it is defined without elements: the largest of none is no number. */
static bool shows_something(Drawer *d, const Instance *x) {
    bool empty = false;
    for (uint32_t i = 0; i < x->n; i++) empty |= !x->args[i].shape->size;
    if (!empty || !x->result.shape->size) return true;
    Tensor y;
    interp_run(d->p, x->fn, InterpF64, d->a, x->inputs, &y, NULL);
    for (int64_t i = 0; i < y.type.shape->size; i++) {
        if (!isfinite(y.re[i])) return false;
    }
    return true;
}

/* Bits for an operand with a size 0, 1 or a prime. */
static unsigned sizes_of(const Instance *x) {
    unsigned has = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        const Shape *s = x->args[i].shape;
        for (uint32_t k = 0; k < s->rank; k++) {
            int64_t n = s->dim[k];
            has |= n == 0 ? 1 : n == 1 ? 2 : n != 4 ? 4 : 0;
        }
    }
    return has;
}

static bool takes_and_gives_floats(const Instance *x) {
    bool floats = false;
    for (uint32_t i = 0; i < x->n; i++) floats |= dtype_is_float(x->args[i].dt);
    return floats && dtype_is_float(x->result.dt);
}

uint32_t instances_draw(Drawer *d, Op op, DType dt, bool differentiable, Instance *out,
                        uint32_t most) {
    uint32_t n = 0;
    unsigned has = 0;
    for (unsigned tries = 0; tries < 60000 && n < most; tries++) {
        Instance x;
        if (!draw_instance(d, op, dt, &x) || known(out, n, &x)) continue;
        if (differentiable && !takes_and_gives_floats(&x)) continue;
        /* the last places wait for what is still missing */
        if (n + 3 >= most && has != 7 && !(sizes_of(&x) & ~has) && tries < 30000) continue;
        build(d, &x);
        if (differentiable && !shows_something(d, &x)) continue;
        has |= sizes_of(&x);
        out[n++] = x;
    }
    return n;
}
