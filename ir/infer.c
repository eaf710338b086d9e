/* Shape rules, one per INFER column of ops.def: they compute the type of the result, fill in the
 * attributes that were not given, write axes as 0 <= axis < rank, and explain what does not fit in
 * the names and sizes of the caller. The rules of views and moves are in infer_move.c.
 * Tests: tests/ir/infer_test.c. */
#include "ir/infer.h"

#define RULE(name) const char *infer_##name(Infer *q)

const char *infer_text(const Infer *q, uint32_t arg) { return type_text(q->cx, q->args[arg]); }

const char *infer_operand(const Infer *q, uint32_t arg) {
    const char *name = q->op->operands[q->op->nargs < 0 ? 0 : arg];
    if (q->op->nargs >= 0) return name;
    return arena_printf(q->cx->arena, "operand %u", arg + 1);
}

const char *infer_shape(Infer *q, Type like, const int64_t *dim, uint32_t rank) {
    q->result = (Type){like.dt, like.range, shape_of(q->cx, dim, rank)};
    return q->result.shape ? NULL : INFER_FAIL(q, "the result %s", shape_excess(q->cx, rank));
}

const char *infer_axis(const Infer *q, int64_t *axis, uint32_t arg) {
    int64_t rank = q->args[arg].shape->rank, given = *axis;
    if (*axis < 0) *axis += rank;
    if (*axis >= 0 && *axis < rank) return NULL;
    return INFER_FAIL(q, "axis %lld is not an axis of %s (%s)", (long long)given,
                      infer_operand(q, arg), infer_text(q, arg));
}

const char *infer_axes(Infer *q, Attr *attr, bool *taken) {
    int64_t rank = q->args[0].shape->rank, *axis = NEW_ARRAY(q->cx->arena, int64_t, rank);
    if (attr->kind == AttrNone) {
        for (int64_t k = 0; k < rank; k++) taken[k] = true;
    }
    for (uint32_t i = 0; attr->kind != AttrNone && i < attr->is.n; i++) {
        int64_t k = attr->is.v[i];
        const char *wrong = infer_axis(q, &k, 0);
        if (wrong) return wrong;
        if (taken[k]) return INFER_FAIL(q, "axis %lld stands twice", (long long)k);
        taken[k] = true;
    }
    uint32_t n = 0;
    for (int64_t k = 0; k < rank; k++) {
        if (taken[k]) axis[n++] = k;
    }
    *attr = (Attr){.kind = AttrInts, .is = {n, axis}};
    return NULL;
}

/* ---- checks of operands ---- */
static bool is_number(Type t) { return t.dt != BOOL; }
static bool is_float(Type t) { return dtype_is_float(t.dt); }
static bool is_bool(Type t) { return t.dt == BOOL; }
static bool is_any(Type t) { return t.dt < DTypeCount; }

const char *infer_need(const Infer *q, uint32_t arg, bool ok, const char *what) {
    if (ok) return NULL;
    return INFER_FAIL(q, "%s must be %s, it is %s", infer_operand(q, arg), what,
                      infer_text(q, arg));
}

/* Operands of equal shape and dtype; ranges may differ. */
static const char *same_types(const Infer *q, uint32_t from) {
    for (uint32_t i = from + 1; i < q->nargs; i++) {
        Type a = q->args[from], b = q->args[i];
        if (a.dt != b.dt) {
            return INFER_FAIL(q, "types differ (%s and %s)", infer_text(q, from), infer_text(q, i));
        }
        if (a.shape != b.shape) {
            return INFER_FAIL(q, "shapes differ (%s and %s)", infer_text(q, from),
                              infer_text(q, i));
        }
    }
    return NULL;
}

static const char *elementwise(Infer *q, bool (*fits)(Type), const char *what, Type result) {
    for (uint32_t i = 0; i < q->nargs; i++) {
        const char *wrong = infer_need(q, i, fits(q->args[i]), what);
        if (wrong) return wrong;
    }
    const char *wrong = same_types(q, 0);
    q->result = result;
    return wrong;
}

/* ---- elementwise ---- */
/* Arithmetic forgets the range of integers. */
RULE(number) {
    return elementwise(q, is_number, "numbers", type_of(q->args[0].dt, q->args[0].shape));
}

RULE(float) { return elementwise(q, is_float, "floats", q->args[0]); }

RULE(same) { return elementwise(q, is_any, "", q->args[0]); }

RULE(logic) { return elementwise(q, is_bool, "bool", q->args[0]); }

RULE(classify) { return elementwise(q, is_float, "floats", type_of(BOOL, q->args[0].shape)); }

RULE(equal) { return elementwise(q, is_any, "", type_of(BOOL, q->args[0].shape)); }

RULE(compare) { return elementwise(q, is_number, "numbers", type_of(BOOL, q->args[0].shape)); }

RULE(fold) {
    for (uint32_t i = 0; i < 2; i++) {
        const char *wrong = infer_need(q, i, q->args[i].dt == I64, "i64");
        if (wrong) return wrong;
    }
    q->result = q->args[0];
    return same_types(q, 0);
}

RULE(where) {
    const char *wrong = infer_need(q, 0, is_bool(q->args[0]), "bool");
    if (!wrong) wrong = same_types(q, 1);
    if (wrong) return wrong;
    if (q->args[0].shape != q->args[1].shape) {
        return INFER_FAIL(q, "shapes differ (%s and %s)", infer_text(q, 0), infer_text(q, 1));
    }
    q->result = q->args[1];
    if (q->args[1].range != q->args[2].range) q->result.range = 0;
    return NULL;
}

RULE(cast) {
    if (!q->given) return "needs the type to convert to";
    if (q->given->shape && q->given->shape != q->args[0].shape) {
        return INFER_FAIL(q, "shapes differ (%s and %s)", infer_text(q, 0),
                          type_text(q->cx, *q->given));
    }
    q->result = (Type){q->given->dt, q->given->range, q->args[0].shape};
    return NULL;
}

/* ---- sources, calls, operators ---- */
RULE(given) {
    if (!q->given) return "needs a type";
    q->result = *q->given;
    return NULL;
}

RULE(iota) {
    int64_t n = q->attrs[0].i;
    if (q->attrs[0].kind == AttrNone) return "needs n";
    if (n < 0 || n > INT32_MAX) return INFER_FAIL(q, "n = %lld is out of range", (long long)n);
    return infer_shape(q, (Type){I32, n, NULL}, &n, 1);
}

RULE(rng) {
    const char *wrong = infer_need(q, 0, q->args[0].dt == I64 && !q->args[0].shape->rank,
                                   "an i64 scalar");
    if (wrong) return wrong;
    if (q->attrs[0].kind == AttrNone) q->attrs[0] = attr_int(0);
    if (!q->given || !q->given->shape) return "needs the type of the result";
    if (!is_float(*q->given)) {
        return INFER_FAIL(q, "gives floats, not %s", type_text(q->cx, *q->given));
    }
    q->result = *q->given;
    return NULL;
}

/* ---- reductions and contractions ---- */
RULE(reduce) {
    const Shape *s = q->args[0].shape;
    const char *wrong = infer_need(q, 0, is_number(q->args[0]), "numbers");
    if (wrong) return wrong;
    bool *taken = NEW_ARRAY(q->cx->arena, bool, s->rank);
    wrong = infer_axes(q, &q->attrs[0], taken);
    if (wrong) return wrong;
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, s->rank);
    uint32_t rank = 0;
    for (uint32_t k = 0; k < s->rank; k++) {
        if (!taken[k]) dim[rank++] = s->dim[k];
    }
    return infer_shape(q, type_of(q->args[0].dt, NULL), dim, rank);
}

RULE(matmul) {
    const Shape *a = q->args[0].shape, *b = q->args[1].shape;
    for (uint32_t i = 0; i < 2; i++) {
        const char *wrong = infer_need(q, i, is_float(q->args[i]), "floats");
        if (!wrong) wrong = infer_need(q, i, q->args[i].shape->rank >= 2, "of rank 2 or more");
        if (wrong) return wrong;
    }
    if (q->args[0].dt != q->args[1].dt) return same_types(q, 0);
    uint32_t rank = a->rank;
    if (rank != b->rank || memcmp(a->dim, b->dim, (rank - 2) * sizeof *a->dim) != 0) {
        return INFER_FAIL(q, "leading dimensions differ (%s and %s)", infer_text(q, 0),
                          infer_text(q, 1));
    }
    if (a->dim[rank - 1] != b->dim[rank - 2]) {
        return INFER_FAIL(q, "inner sizes differ (%lld and %lld)", (long long)a->dim[rank - 1],
                          (long long)b->dim[rank - 2]);
    }
    int64_t *dim = NEW_ARRAY(q->cx->arena, int64_t, rank);
    copy_bytes(dim, a->dim, rank * sizeof *dim);
    dim[rank - 1] = b->dim[rank - 1];
    return infer_shape(q, q->args[0], dim, rank);
}

/* ---- the entry ---- */
static const char *check_form(Infer *q) {
    if (q->op->nargs >= 0 && q->nargs != (uint32_t)q->op->nargs) {
        return INFER_FAIL(q, "takes %d operand%s, not %u", q->op->nargs,
                          q->op->nargs == 1 ? "" : "s", q->nargs);
    }
    for (uint32_t i = 0; i < q->nargs; i++) {
        if (!q->args[i].shape) return "an operand stands for several results";
    }
    for (int i = 0; i < q->op->nattrs; i++) {
        AttrKind kind = q->attrs[i].kind;
        if (kind != AttrNone && kind != q->op->attrs[i].kind) {
            return INFER_FAIL(q, "attribute '%s' is of the wrong kind", q->op->attrs[i].name);
        }
    }
    return NULL;
}

const char *op_infer(Op op, Infer *q) {
    q->op = &op_info[op];
    const char *wrong = check_form(q);
    if (!wrong) wrong = q->op->infer(q);
    return wrong ? INFER_FAIL(q, "%s: %s", q->op->name, wrong) : NULL;
}
