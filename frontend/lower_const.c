/* Arithmetic and functions that are known at compile time: dimensions, lists of dimensions. */
#include "frontend/lower.h"

#include <math.h>

bool eval_int(Frame *f, const Expr *e, int64_t *out, const char *what) {
    Value v = lower_expr(f, e, NULL);
    if (v.kind == VError) return false;
    if (v.kind != VInt) {
        diag_error(f->fr->cx, e->loc, "%s is an integer known at compile time, this is %s", what,
                   v_describe(f, v));
        return false;
    }
    *out = v.i;
    return true;
}

bool v_ints(Frame *f, Loc loc, Value v, const char *what, int64_t **out, uint32_t *n) {
    if (v.kind == VError) return false;
    uint32_t len = v.kind == VList || v.kind == VTuple ? v.n : 1;
    int64_t *ints = NEW_ARRAY(f->fr->cx->arena, int64_t, len);
    for (uint32_t i = 0; i < len; i++) {
        Value e = v.kind == VList || v.kind == VTuple ? v.elems[i] : v;
        if (e.kind != VInt) {
            diag_error(f->fr->cx, loc, "%s needs integers known at compile time, this is %s", what,
                       v_describe(f, v));
            return false;
        }
        ints[i] = e.i;
    }
    *out = ints;
    *n = len;
    return true;
}

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static bool overflow(Frame *f, const Expr *e) {
    diag_error(f->fr->cx, e->loc, "the integer does not fit 64 bits");
    return false;
}

/* b ** e for e >= 0, by squaring. */
static bool int_power(int64_t b, int64_t e, int64_t *r) {
    *r = 1;
    while (true) {
        if (e & 1 && __builtin_mul_overflow(*r, b, r)) return false;
        if (!(e >>= 1)) return true;
        if (__builtin_mul_overflow(b, b, &b)) return false;
    }
}

static bool int_binary(Frame *f, const Expr *e, int64_t a, int64_t b, Value *out) {
    Cx *cx = f->fr->cx;
    int64_t r = 0;
    switch (e->op) {
    case BinAdd:
        if (__builtin_add_overflow(a, b, &r)) return overflow(f, e);
        break;
    case BinSub:
        if (__builtin_sub_overflow(a, b, &r)) return overflow(f, e);
        break;
    case BinMul:
        if (__builtin_mul_overflow(a, b, &r)) return overflow(f, e);
        break;
    case BinDiv:
    case BinMod:
        if (b == 0 || (a == INT64_MIN && b == -1)) {
            diag_error(cx, e->loc, "division by zero");
            return false;
        }
        if (e->op == BinDiv && a % b) {
            diag_error(cx, e->loc,
                       "%lld / %lld is not an integer; floor_div(a, b) rounds down, a "
                       "float needs a dot",
                       (long long)a, (long long)b);
            return false;
        }
        r = e->op == BinDiv ? a / b : a - floor_div(a, b) * b;
        break;
    case BinPow:
        if (b < 0) {
            *out = v_float(pow((double)a, (double)b));
            return true;
        }
        if (!int_power(a, b, &r)) return overflow(f, e);
        break;
    default:
        diag_error(cx, e->loc, "'%s' does not take integers", binop_text(e->op));
        return false;
    }
    *out = v_int(r, &dim_computed);
    return true;
}

static bool float_binary(Frame *f, const Expr *e, double a, double b, Value *out) {
    switch (e->op) {
    case BinAdd:
        *out = v_float(a + b);
        return true;
    case BinSub:
        *out = v_float(a - b);
        return true;
    case BinMul:
        *out = v_float(a * b);
        return true;
    case BinDiv:
        *out = v_float(a / b);
        return true;
    case BinMod:
        *out = v_float(a - b * floor(a / b));
        return true;
    case BinPow:
        *out = v_float(pow(a, b));
        return true;
    default:
        diag_error(f->fr->cx, e->loc, "'%s' does not take numbers", binop_text(e->op));
        return false;
    }
}

/* Which relations of its operands a comparison accepts; 0: the operator is none. */
enum { Less = 1, Equal = 2, Greater = 4, Unordered = 8 };
static const unsigned char accepts[BinCount] = {
    [BinLt] = Less,    [BinLe] = Less | Equal,    [BinEq] = Equal,
    [BinGt] = Greater, [BinGe] = Greater | Equal, [BinNe] = Less | Greater | Unordered,
};

static int int_relation(int64_t a, int64_t b) {
    return a < b ? Less : a > b ? Greater : Equal;
}

static int float_relation(double a, double b) {
    return a < b ? Less : a > b ? Greater : a == b ? Equal : Unordered;
}

static bool list_binary(Frame *f, const Expr *e, Value a, Value b, Value *out) {
    uint32_t n = a.kind == VList ? a.n : b.n;
    if (a.kind == VList && b.kind == VList && (e->op == BinEq || e->op == BinNe)) {
        *out = v_bool(v_equal(a, b) == (e->op == BinEq));
        return true;
    }
    if (a.kind == VList && b.kind == VList && a.n != b.n) {
        diag_error(f->fr->cx, e->loc, "lists of %u and %u elements", a.n, b.n);
        return false;
    }
    Value *elems = NEW_ARRAY(f->fr->cx->arena, Value, n);
    for (uint32_t i = 0; i < n; i++) {
        Value x = a.kind == VList ? a.elems[i] : a, y = b.kind == VList ? b.elems[i] : b;
        if (!const_binary(f, e, x, y, &elems[i])) {
            if (!f->fr->cx->errors) {
                diag_error(f->fr->cx, e->loc, "'%s' needs lists of numbers", binop_text(e->op));
            }
            return false;
        }
    }
    *out = (Value){.kind = VList, .n = n, .elems = elems};
    return true;
}

bool const_binary(Frame *f, const Expr *e, Value a, Value b, Value *out) {
    *out = v_error();
    if (a.kind == VStr && b.kind == VStr && (e->op == BinEq || e->op == BinNe)) {
        *out = v_bool((a.s == b.s) == (e->op == BinEq));
        return true;
    }
    if (a.kind == VBool && b.kind == VBool) {
        bool x = a.i, y = b.i;
        switch (e->op) {
        case BinOr:
            *out = v_bool(x || y);
            return true;
        case BinAnd:
            *out = v_bool(x && y);
            return true;
        case BinEq:
            *out = v_bool(x == y);
            return true;
        case BinNe:
            *out = v_bool(x != y);
            return true;
        default:
            diag_error(f->fr->cx, e->loc, "'%s' does not take bools", binop_text(e->op));
            return true;
        }
    }
    if ((a.kind == VList && (b.kind == VList || b.kind == VInt)) ||
        (b.kind == VList && a.kind == VInt)) {
        list_binary(f, e, a, b, out);
        return true;
    }
    if (a.kind == VInt && b.kind == VInt) {
        if (accepts[e->op])
            *out = v_bool(accepts[e->op] & int_relation(a.i, b.i));
        else
            int_binary(f, e, a.i, b.i, out);
        return true;
    }
    if ((a.kind == VInt || a.kind == VFloat) && (b.kind == VInt || b.kind == VFloat)) {
        double x = a.kind == VInt ? (double)a.i : a.f, y = b.kind == VInt ? (double)b.i : b.f;
        if (accepts[e->op])
            *out = v_bool(accepts[e->op] & float_relation(x, y));
        else
            float_binary(f, e, x, y, out);
        return true;
    }
    return false;
}

/* ---- functions ---- */

static Value shape_value(Frame *f, Value v) {
    uint32_t rank = v_type(f, v).shape->rank;
    Value *elems = NEW_ARRAY(f->fr->cx->arena, Value, rank);
    for (uint32_t i = 0; i < rank; i++) elems[i] = v_int(v.dims[i].n, v.dims[i].tag);
    return (Value){.kind = VList, .n = rank, .elems = elems};
}

static Value fn_shape(Frame *f, const Expr *e, Value *a) {
    (void)e;
    return shape_value(f, a[0]);
}
static Value fn_size(Frame *f, const Expr *e, Value *a) {
    (void)e;
    return v_int(v_type(f, a[0]).shape->size, &dim_computed);
}
static Value fn_rank(Frame *f, const Expr *e, Value *a) {
    (void)e;
    return v_int(v_type(f, a[0]).shape->rank, &dim_computed);
}
static Value fn_len(Frame *f, const Expr *e, Value *a) {
    (void)e, (void)f;
    return v_int(a[0].n, &dim_computed);
}
static Value fn_prod(Frame *f, const Expr *e, Value *a) {
    int64_t r = 1;
    for (uint32_t i = 0; i < a[0].n; i++) {
        if (__builtin_mul_overflow(r, a[0].elems[i].i, &r)) {
            overflow(f, e);
            return v_error();
        }
    }
    return v_int(r, &dim_computed);
}
static Value fn_floor_div(Frame *f, const Expr *e, Value *a) {
    if (!a[1].i || (a[0].i == INT64_MIN && a[1].i == -1)) {
        diag_error(f->fr->cx, e->loc, "division by zero");
        return v_error();
    }
    return v_int(floor_div(a[0].i, a[1].i), &dim_computed);
}
static Value fn_inverse(Frame *f, const Expr *e, Value *a) {
    Value out = v_list(f->fr, VList, a[0].elems, a[0].n);
    for (uint32_t i = 0; i < a[0].n; i++) {
        int64_t at = a[0].elems[i].i;
        if (at < 0 || at >= a[0].n) {
            diag_error(f->fr->cx, e->loc, "inverse: not a permutation");
            return v_error();
        }
        out.elems[at] = v_int(i, &dim_computed);
    }
    return out;
}
/* The axes that a value names, negative ones counted from the end; "all": every one. */
static bool axes_of(Frame *f, const Expr *e, Value v, uint32_t rank, int64_t **axis, uint32_t *n) {
    if (v.kind == VStr && !strcmp(v.s, "all")) {
        *n = rank;
        *axis = NEW_ARRAY(f->fr->cx->arena, int64_t, rank);
        for (uint32_t i = 0; i < rank; i++) (*axis)[i] = i;
        return true;
    }
    return v_ints(f, e->loc, v, "axis", axis, n);
}
/* count(S, axis): the product of S over those axes. */
static Value fn_count(Frame *f, const Expr *e, Value *a) {
    int64_t *axis, r = 1;
    uint32_t n;
    if (!axes_of(f, e, a[1], a[0].n, &axis, &n)) return v_error();
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = axis[i] < 0 ? axis[i] + a[0].n : axis[i];
        bool within = at >= 0 && at < a[0].n;
        if (within && __builtin_mul_overflow(r, a[0].elems[at].i, &r)) {
            overflow(f, e);
            return v_error();
        }
    }
    return v_int(r, &dim_computed);
}
/* kept(S, axis): S with 1 on those axes. */
static Value fn_kept(Frame *f, const Expr *e, Value *a) {
    int64_t *axis;
    uint32_t n;
    if (!axes_of(f, e, a[1], a[0].n, &axis, &n)) return v_error();
    Value out = v_list(f->fr, VList, a[0].elems, a[0].n);
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = axis[i] < 0 ? axis[i] + a[0].n : axis[i];
        if (at >= 0 && at < a[0].n) out.elems[at] = v_int(1, NULL);
    }
    return out;
}

/* rest(S, axis): the axes of S that are not named; take(S, axes): their sizes. */
static Value fn_rest(Frame *f, const Expr *e, Value *a) {
    int64_t *axis;
    uint32_t n;
    if (!axes_of(f, e, a[1], a[0].n, &axis, &n)) return v_error();
    Value out = v_list(f->fr, VList, a[0].elems, a[0].n);
    out.n = 0;
    for (uint32_t i = 0; i < a[0].n; i++) {
        bool named = false;
        for (uint32_t k = 0; k < n; k++) named |= axis[k] == i;
        if (!named) out.elems[out.n++] = v_int(i, &dim_computed);
    }
    return out;
}
static Value fn_take(Frame *f, const Expr *e, Value *a) {
    int64_t *axis;
    uint32_t n;
    if (!axes_of(f, e, a[1], a[0].n, &axis, &n)) return v_error();
    Value out = {.kind = VList, .n = n, .elems = NEW_ARRAY(f->fr->cx->arena, Value, n)};
    for (uint32_t i = 0; i < n; i++) {
        if (axis[i] < 0 || axis[i] >= a[0].n) {
            diag_error(f->fr->cx, e->loc, "take: axis %lld of %u", (long long)axis[i], a[0].n);
            return v_error();
        }
        out.elems[i] = a[0].elems[axis[i]];
    }
    return out;
}
/* span(S, stride): the stretch that S elements cover, stride apart; 0 for none. */
static Value fn_span(Frame *f, const Expr *e, Value *a) {
    Value out = v_list(f->fr, VList, a[0].elems, a[0].n);
    for (uint32_t i = 0; i < a[0].n && i < a[1].n; i++) {
        int64_t n = a[0].elems[i].i, covered = 0;
        if (n && (__builtin_sub_overflow(n, 1, &covered) ||
                  __builtin_mul_overflow(covered, a[1].elems[i].i, &covered) ||
                  __builtin_add_overflow(covered, 1, &covered))) {
            overflow(f, e);
            return v_error();
        }
        out.elems[i] = v_int(covered, &dim_computed);
    }
    return out;
}

static const struct {
    const char *name;
    int nargs;
    ValueKind kinds[2];
    Value (*run)(Frame *, const Expr *, Value *);
} builtins[] = {
#define KNOWN(name, run, nargs, kinds, ...) {#name, nargs, kinds, run},
#include "frontend/builtins.def"
};

bool const_builtin(Frame *f, const Expr *e, Sym name, Value *out) {
    for (size_t i = 0; i < LEN(builtins); i++) {
        if (strcmp(builtins[i].name, name) || (int)e->args.len != builtins[i].nargs) continue;
        Value a[2] = {{0}};
        for (int k = 0; k < builtins[i].nargs; k++) {
            a[k] = lower_expr(f, e->args.data[k].value, NULL);
            if (a[k].kind == VError) {
                *out = v_error();
                return true;
            }
            ValueKind want = builtins[i].kinds[k];
            if (want == VTensor && v_is_number(a[k]))
                a[k] = v_materialise(f, e->loc, a[k], -1, NULL);
            if (want == a[k].kind || want == VError) continue;
            if (!strcmp(name, "prod")) return false; /* the reduction of a tensor */
            diag_error(f->fr->cx, e->args.data[k].value->loc, "%s does not take %s", name,
                       v_describe(f, a[k]));
            *out = v_error();
            return true;
        }
        *out = builtins[i].run(f, e, a);
        return true;
    }
    return false;
}
