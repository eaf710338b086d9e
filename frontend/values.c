/* Values of the abstract evaluation: constructors, conversion to IR, checks against a declaration.
 */
#include "frontend/lower.h"

#include <math.h>

const DimName dim_computed = {0};

Value v_error(void) {
    return (Value){.kind = VError};
}
Value v_int(int64_t i, const DimName *tag) {
    return (Value){.kind = VInt, .i = i, .tag = tag};
}
Value v_float(double x) {
    return (Value){.kind = VFloat, .f = x};
}
Value v_bool(bool b) {
    return (Value){.kind = VBool, .i = b};
}
Value v_str(Sym s) {
    return (Value){.kind = VStr, .s = s};
}

Value v_list(Front *fr, ValueKind kind, const Value *elems, uint32_t n) {
    Value v = {.kind = kind, .n = n, .elems = NEW_ARRAY(fr->cx->arena, Value, n)};
    copy_bytes(v.elems, elems, n * sizeof *elems);
    return v;
}

const Dim *dims_computed(Front *fr, const Shape *s) {
    Dim *dims = NEW_ARRAY(fr->cx->arena, Dim, s->rank);
    for (uint32_t i = 0; i < s->rank; i++) dims[i] = (Dim){s->dim[i], &dim_computed};
    return dims;
}

Value v_tensor(Frame *f, Val v, const Dim *dims) {
    if (!dims) dims = dims_computed(f->fr, b_type(f->b, v).shape);
    return (Value){.kind = VTensor, .v = v, .dims = dims};
}

Type v_type(Frame *f, Value v) {
    return b_type(f->b, v.v);
}

bool v_is_number(Value v) {
    return v.kind == VInt || v.kind == VFloat || v.kind == VBool;
}

bool v_equal(Value a, Value b) {
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case VInt:
    case VBool:
        return a.i == b.i;
    case VFloat:
        return a.f == b.f;
    case VStr:
        return a.s == b.s;
    case VList:
    case VTuple:
        if (a.n != b.n) return false;
        for (uint32_t i = 0; i < a.n; i++) {
            if (!v_equal(a.elems[i], b.elems[i])) return false;
        }
        return true;
    case VInstance:
        return a.inst == b.inst;
    case VError:
    case VTensor:
    case VLayers:
    case VDataset:
    case VFunction:
        return false;
    }
    return false;
}

bool dim_same(Dim a, Dim b) {
    if (a.n != b.n) return false;
    if (!a.tag || !b.tag || !a.tag->header || !b.tag->header) return true;
    return a.tag->header != b.tag->header || a.tag == b.tag;
}

static void dim_text(const Dim *d, Text *out) {
    if (d->tag && d->tag->header) text_add(out, "%s=", d->tag->name);
    text_add(out, "%lld", (long long)d->n);
}

static const char *dims_text(Front *fr, const Dim *dims, uint32_t rank) {
    Text t = {0};
    if (rank) text_add(&t, "[");
    for (uint32_t i = 0; i < rank; i++) {
        if (i) text_add(&t, ", ");
        dim_text(&dims[i], &t);
    }
    if (rank) text_add(&t, "]");
    return text_done(&t, fr->cx->arena);
}

static const char *scalar_text(Front *fr, DType dt, int64_t range) {
    if (!range) return dtype_name(dt);
    return arena_printf(fr->cx->arena, "%s<%lld>", dtype_name(dt), (long long)range);
}

const char *v_describe(Frame *f, Value v) {
    Front *fr = f->fr;
    switch (v.kind) {
    case VTensor: {
        Type t = v_type(f, v);
        return arena_printf(fr->cx->arena, "%s%s", scalar_text(fr, t.dt, t.range),
                            dims_text(fr, v.dims, t.shape->rank));
    }
    case VInt:
        return arena_printf(fr->cx->arena, "the integer %lld", (long long)v.i);
    case VFloat: {
        char buf[32];
        print_f64(buf, v.f);
        return arena_printf(fr->cx->arena, "the number %s", buf);
    }
    case VBool:
        return v.i ? "true" : "false";
    case VStr:
        return "a string";
    case VList:
        return arena_printf(fr->cx->arena, "a list of %u", v.n);
    case VTuple:
        return arena_printf(fr->cx->arena, "a tuple of %u", v.n);
    case VInstance:
        return "a layer or model";
    case VLayers:
        return "an array of layers";
    case VDataset:
        return "a dataset";
    case VFunction:
        return "a function";
    case VError:
        break;
    }
    return "an error";
}

/* What no machine holds is a slip of the pen: 2^44 elements. */
static const int64_t MaxElements = INT64_C(1) << 44;

const Shape *dims_shape(Frame *f, Loc loc, const Dim *dims, uint32_t rank) {
    int64_t *n = NEW_ARRAY(f->fr->cx->arena, int64_t, rank);
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i].n < 0) {
            diag_error(f->fr->cx, loc, "dimension %u is negative (%lld)", i, (long long)dims[i].n);
            return NULL;
        }
        n[i] = dims[i].n;
    }
    const Shape *s = shape_of(f->fr->cx, n, rank);
    if (s && s->size <= MaxElements) return s;
    if (rank > MaxRank)
        diag_error(f->fr->cx, loc, "a tensor %s", shape_excess(f->fr->cx, rank));
    else
        diag_error(f->fr->cx, loc, "a tensor of this size does not fit into memory");
    return NULL;
}

/* ---- constants ---- */

typedef struct Flat { /* a nested list of numbers, row by row */
    VEC(Num) nums;
    bool floats, ragged, not_numbers;
} Flat;

static void flatten(Front *fr, Value v, Flat *out) {
    if (v.kind == VList) {
        for (uint32_t i = 0; i < v.n; i++) flatten(fr, v.elems[i], out);
    } else if (v_is_number(v)) {
        Num n = {.i = v.i};
        if (v.kind == VFloat) {
            n.f = v.f;
            if (!out->floats) {
                out->floats = true;
                for (uint32_t i = 0; i < out->nums.len; i++) {
                    out->nums.data[i].f = (double)out->nums.data[i].i;
                }
            }
        } else if (out->floats) {
            n.f = (double)v.i;
        }
        vec_push(fr->cx->arena, &out->nums, n);
    } else {
        out->not_numbers = true;
    }
}

static bool literal_fits(Frame *f, Loc loc, Value v, DType dt, int64_t range) {
    Cx *cx = f->fr->cx;
    if (v.kind == VFloat && !dtype_is_float(dt)) {
        char buf[32];
        print_f64(buf, v.f);
        diag_error(cx, loc, "%s is not an integer, but %s is needed", buf, dtype_name(dt));
        return false;
    }
    bool narrow = dt == F32 || dt == BF16;
    if (v.kind == VFloat && narrow && isfinite(v.f) && !isfinite((float)v.f)) {
        diag_error(cx, loc, "%g does not fit %s", v.f, dtype_name(dt));
        return false;
    }
    if ((v.kind == VBool) != (dt == BOOL)) {
        diag_error(cx, loc, "%s where %s is needed", v_describe(f, v), dtype_name(dt));
        return false;
    }
    if (v.kind == VInt && range && (v.i < 0 || v.i >= range)) {
        diag_error(cx, loc, "%lld is not in [0, %lld)", (long long)v.i, (long long)range);
        return false;
    }
    if (v.kind == VInt && dt == I32 && (v.i > INT32_MAX || v.i < INT32_MIN)) {
        diag_error(cx, loc, "%lld does not fit i32", (long long)v.i);
        return false;
    }
    return true;
}

static Value list_constant(Frame *f, Loc loc, Value v, const Want *want) {
    Front *fr = f->fr;
    Flat flat = {0};
    flatten(fr, v, &flat);
    if (flat.not_numbers) {
        diag_error(fr->cx, loc, "a list of numbers is needed here");
        return v_error();
    }
    if (!want) {
        diag_error(fr->cx, loc, "the type of a list must be declared, as in 'let k: f32[%u] = ...'",
                   flat.nums.len);
        return v_error();
    }
    const Shape *s = dims_shape(f, loc, want->dims, want->rank);
    if (!s) return v_error();
    if ((uint64_t)s->size != flat.nums.len) {
        diag_error(fr->cx, loc, "the list has %u numbers, the declared type %s%s needs %lld",
                   flat.nums.len, scalar_text(fr, want->dt, want->range),
                   dims_text(fr, want->dims, want->rank), (long long)s->size);
        return v_error();
    }
    bool to_float = dtype_is_float(want->dt);
    for (uint32_t i = 0; i < flat.nums.len; i++) {
        Value e = flat.floats ? v_float(flat.nums.data[i].f) : v_int(flat.nums.data[i].i, NULL);
        if (want->dt == BOOL) e.kind = VBool;
        if (!literal_fits(f, loc, e, want->dt, want->range)) return v_error();
        if (to_float && !flat.floats) flat.nums.data[i].f = (double)flat.nums.data[i].i;
    }
    Type t = {want->dt, want->range, s};
    if (!flat.nums.len) return v_tensor(f, b_const(f->b, t, &(Num){0}, 1), want->dims);
    return v_tensor(f, b_const(f->b, t, flat.nums.data, flat.nums.len), want->dims);
}

Value v_materialise(Frame *f, Loc loc, Value v, int dt, const Want *want) {
    Front *fr = f->fr;
    if (v.kind == VTensor || v.kind == VError) return v;
    if (v.kind == VList) return list_constant(f, loc, v, want);
    if (!v_is_number(v)) {
        diag_error(fr->cx, loc, "%s where a tensor is needed", v_describe(f, v));
        return v_error();
    }
    DType t = want ? want->dt : dt >= 0 ? (DType)dt : v.kind == VBool ? BOOL : f->real;
    int64_t range = want ? want->range : 0;
    if (v.kind == VInt && dt < 0 && !want) t = f->real;
    if (!literal_fits(f, loc, v, t, range)) return v_error();
    Type type = {t, range, shape_scalar(fr->cx)};
    Val c = v.kind == VFloat    ? b_float(f->b, type, v.f)
            : dtype_is_float(t) ? b_float(f->b, type, (double)v.i)
                                : b_int(f->b, type, v.i);
    return v_tensor(f, c, NULL);
}

/* ---- declarations ---- */

static bool dtype_accepts(Type have, const Want *want) {
    if (have.dt != want->dt) return false;
    return !want->range || have.range == want->range;
}

Value v_coerce(Frame *f, Loc loc, Value v, const Want *want, const char *what) {
    Front *fr = f->fr;
    if (v.kind == VError) return v;
    bool literal = v_is_number(v);
    v = v_materialise(f, loc, v, -1, want);
    if (v.kind != VTensor) return v_error();
    Type t = v_type(f, v);
    const char *declared =
        arena_printf(fr->cx->arena, "%s%s", scalar_text(fr, want->dt, want->range),
                     dims_text(fr, want->dims, want->rank));
    if (literal && want->rank) {
        const Shape *s = dims_shape(f, loc, want->dims, want->rank);
        if (!s) return v_error();
        return v_tensor(f, b_broadcast(f->b, v.v, s), want->dims);
    }
    bool ok = t.shape->rank == want->rank && dtype_accepts(t, want);
    for (uint32_t i = 0; ok && i < want->rank; i++) ok = dim_same(v.dims[i], want->dims[i]);
    if (!ok) {
        diag_error(fr->cx, loc, "%s is declared as %s, but the value is %s", what, declared,
                   v_describe(f, v));
        return v_error();
    }
    v.dims = want->dims;
    return v;
}

Value v_variable(Frame *f, Loc loc, Value v, const Want *want, const char *what) {
    v = v_coerce(f, loc, v, want, what);
    if (v.kind != VTensor) return v;
    Type t = v_type(f, v);
    if (!t.range || want->range) return v;
    t.range = 0;
    v.v = b_op(f->b, Op_cast, &v.v, 1, NULL, &t);
    return v;
}
