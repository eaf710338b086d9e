/* Binary operators on tensors: broadcasting, products of matrices, powers. */
#include "frontend/lower.h"

/* The literal-1 rule of broadcasting; see docs/language.md. */
static bool broadcast_dim(Frame *f, const Expr *e, const char *what, Dim a, Dim b, Dim *out) {
    if (dim_same(a, b)) {
        *out = a.tag && a.tag->header ? a : b.tag ? b : a;
        return true;
    }
    if (a.n == 1 && !a.tag)
        *out = b;
    else if (b.n == 1 && !b.tag)
        *out = a;
    else {
        Front *fr = f->fr;
        if (a.n == b.n) {
            diag_error(fr->cx, e->op_loc.line ? e->op_loc : e->loc,
                       "%s: dimensions '%s' and '%s' are different names (both are %lld here)",
                       what, a.tag->name, b.tag->name, (long long)a.n);
        } else {
            diag_error(fr->cx, e->op_loc.line ? e->op_loc : e->loc,
                       "%s: sizes differ (%lld and %lld)", what, (long long)a.n, (long long)b.n);
        }
        return false;
    }
    return true;
}

static const Expr *operand(const Expr *e, uint32_t i) {
    if (e->kind == ExBinary) return i ? e->y : e->x;
    return i < e->args.len ? e->args.data[i].value : e;
}

static void operand_notes(Frame *f, const Expr *e, const Value *v, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        diag_note(f->fr->cx, operand(e, i)->loc, "this is %s", v_describe(f, v[i]));
    }
}

bool broadcast_values(Frame *f, const Expr *e, const char *what, Value *v, uint32_t n) {
    Front *fr = f->fr;
    uint32_t rank = 0, most = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t r = v_type(f, v[i]).shape->rank;
        if (r > rank) rank = r, most = i;
    }
    Dim *dims = NEW_ARRAY(fr->cx->arena, Dim, rank);
    for (uint32_t k = 0; k < rank; k++) dims[k] = v[most].dims[k];
    bool lower_rank = false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t r = v_type(f, v[i]).shape->rank;
        if (!r) continue;
        lower_rank |= r < rank;
        for (uint32_t k = 0; k < r; k++) {
            Dim *d = &dims[rank - r + k];
            if (i != most && !broadcast_dim(f, e, what, *d, v[i].dims[k], d)) {
                operand_notes(f, e, v, n);
                return false;
            }
        }
    }
    if (lower_rank && rank && v[most].dims[rank - 1].n != dims[rank - 1].n) {
        diag_error(fr->cx, e->op_loc.line ? e->op_loc : e->loc,
                   "%s: ambiguous broadcast of %s and %s; the ranks differ and the last dimension "
                   "would stretch",
                   what, v_describe(f, v[0]), v_describe(f, v[n - 1]));
        operand_notes(f, e, v, n);
        return false;
    }
    const Shape *s = dims_shape(f, e->loc, dims, rank);
    if (!s) return false;
    for (uint32_t i = 0; i < n; i++) v[i] = v_tensor(f, b_broadcast(f->b, v[i].v, s), dims);
    return true;
}

static const Op binop_ops[BinCount] = {
    [BinOr] = Op_or,   [BinAnd] = Op_and, [BinLt] = Op_lt,         [BinGt] = Op_gt,
    [BinLe] = Op_le,   [BinGe] = Op_ge,   [BinEq] = Op_eq,         [BinNe] = Op_ne,
    [BinAdd] = Op_add, [BinSub] = Op_sub, [BinMul] = Op_mul,       [BinDiv] = Op_div,
    [BinMod] = Op_mod, [BinPow] = Op_pow, [BinMatmul] = Op_matmul,
};

/* Under precision = bf16 the operands of f32 contractions are rounded to bf16, sums stay f32. */
Val emit_contraction(Frame *f, Op op, const Val *args, uint32_t n, const Attr *attrs) {
    Val low[MaxOperands];
    bool rounds = f->fr->bf16 && n <= MaxOperands;
    for (uint32_t i = 0; i < n; i++) rounds &= b_type(f->b, args[i]).dt == F32;
    if (!rounds) return b_op(f->b, op, args, n, attrs, NULL);
    for (uint32_t i = 0; i < n; i++) {
        Type t = {BF16, 0, b_type(f->b, args[i]).shape};
        low[i] = b_op(f->b, Op_cast, &args[i], 1, NULL, &t);
    }
    Val v = b_op(f->b, op, low, n, attrs, NULL);
    Type wide = {F32, 0, b_type(f->b, v).shape};
    return b_op(f->b, Op_cast, &v, 1, NULL, &wide);
}

/* a @ b where b has rank 3 or more: the leading dimensions of both broadcast. */
static Value matmul_batched(Frame *f, const Expr *e, Value a, Value b) {
    Cx *cx = f->fr->cx;
    uint32_t ra = v_type(f, a).shape->rank, rb = v_type(f, b).shape->rank;
    bool vector = ra == 1;
    uint32_t la = vector ? 0 : ra - 2, lb = rb - 2, n = la > lb ? la : lb;
    Dim *da = NEW_ARRAY(cx->arena, Dim, n + 2), *db = NEW_ARRAY(cx->arena, Dim, n + 2);
    Dim *out = NEW_ARRAY(cx->arena, Dim, n + 2);
    for (uint32_t i = 0; i < n; i++) {
        Dim one = {1, NULL};
        Dim p = i + la >= n ? a.dims[i + la - n] : one, q = i + lb >= n ? b.dims[i + lb - n] : one;
        if (!broadcast_dim(f, e, "matmul", p, q, &out[i])) {
            operand_notes(f, e, (Value[]){a, b}, 2);
            return v_error();
        }
        da[i] = db[i] = out[i];
    }
    da[n] = vector ? (Dim){1, NULL} : a.dims[ra - 2];
    da[n + 1] = a.dims[ra - 1];
    db[n] = b.dims[rb - 2];
    db[n + 1] = out[n + 1] = b.dims[rb - 1];
    out[n] = da[n];
    const Shape *sa = dims_shape(f, e->loc, da, n + 2), *sb = dims_shape(f, e->loc, db, n + 2);
    if (!sa || !sb) return v_error();
    Val pair[] = {b_broadcast(f->b, a.v, sa), b_broadcast(f->b, b.v, sb)};
    Val r = emit_contraction(f, Op_matmul, pair, 2, NULL);
    if (vector) out[n] = out[n + 1];
    const Shape *s = dims_shape(f, e->loc, out, vector ? n + 1 : n + 2);
    return s ? v_tensor(f, b_reshape(f->b, r, s), out) : v_error();
}

/* a @ b by NumPy's rules: vectors become matrices, a's leading dimensions fold into rows where b
 * has rank 2. */
static Value lower_matmul(Frame *f, const Expr *e, Value a, Value b) {
    Front *fr = f->fr;
    Type ta = v_type(f, a), tb = v_type(f, b);
    uint32_t ra = ta.shape->rank, rb = tb.shape->rank;
    if (!ra || !rb) {
        diag_error(fr->cx, e->op_loc, "matmul: a scalar operand; write '*'");
        if (e->kind == ExBinary) diag_fixit(fr->cx, "*");
        operand_notes(f, e, (Value[]){a, b}, 2);
        return v_error();
    }
    Dim ka = a.dims[ra - 1], kb = b.dims[rb > 1 ? rb - 2 : 0];
    if (!dim_same(ka, kb)) {
        if (ka.n == kb.n) {
            diag_error(fr->cx, e->op_loc,
                       "matmul: inner dimensions '%s' and '%s' are different "
                       "names (both are %lld here)",
                       ka.tag->name, kb.tag->name, (long long)ka.n);
        } else {
            diag_error(fr->cx, e->op_loc, "matmul: inner sizes differ (%lld and %lld)",
                       (long long)ka.n, (long long)kb.n);
        }
        operand_notes(f, e, (Value[]){a, b}, 2);
        return v_error();
    }
    if (ta.dt != tb.dt || !dtype_is_float(ta.dt)) {
        diag_error(fr->cx, e->op_loc, "matmul: %s and %s; both must be the same float type",
                   dtype_name(ta.dt), dtype_name(tb.dt));
        operand_notes(f, e, (Value[]){a, b}, 2);
        return v_error();
    }
    VEC(Dim) out = {0};
    Arena *ar = fr->cx->arena;
    Val x = a.v, y = b.v;
    if (rb > 2) return matmul_batched(f, e, a, b);
    if (rb == 1) y = b_reshape(f->b, y, shape_of(fr->cx, (int64_t[]){kb.n, 1}, 2));
    if (ra != 2) {
        int64_t rows = ta.shape->size / (ka.n ? ka.n : 1);
        if (!ka.n) {
            rows = 1;
            for (uint32_t i = 0; i + 1 < ra; i++) rows *= a.dims[i].n;
        }
        x = b_reshape(f->b, x, shape_of(fr->cx, (int64_t[]){rows, ka.n}, 2));
    }
    Val r = emit_contraction(f, Op_matmul, (Val[]){x, y}, 2, NULL);
    for (uint32_t i = 0; i + 1 < ra; i++) vec_push(ar, &out, a.dims[i]);
    if (rb > 1) vec_push(ar, &out, b.dims[rb - 1]);
    const Shape *s = dims_shape(f, e->loc, out.data, out.len);
    return s ? v_tensor(f, b_reshape(f->b, r, s), out.data) : v_error();
}

/* The float one, else the larger. */
static DType wider(DType a, DType b) {
    if (dtype_is_float(a) != dtype_is_float(b)) return dtype_is_float(a) ? a : b;
    return dtype_size(a) >= dtype_size(b) ? a : b;
}

Value lower_binary_values(Frame *f, const Expr *e, BinOp op, Value a, Value b) {
    Front *fr = f->fr;
    if (a.kind == VError || b.kind == VError) return v_error();
    Value out;
    Expr as = *e; /* e may be a call that means this operation */
    as.op = op;
    if (const_binary(f, &as, a, b, &out)) return out;
    int dt = a.kind == VTensor   ? (int)v_type(f, a).dt
             : b.kind == VTensor ? (int)v_type(f, b).dt
                                 : -1;
    a = v_materialise(f, e->kind == ExBinary ? e->x->loc : e->loc, a, dt, NULL);
    b = v_materialise(f, e->kind == ExBinary ? e->y->loc : e->loc, b, dt, NULL);
    if (a.kind == VError || b.kind == VError) return v_error();
    if (op == BinMatmul) return lower_matmul(f, e, a, b);
    const char *what = op_info[binop_ops[op]].name;
    b_at(f->b, e->loc, NULL);
    Type ta = v_type(f, a), tb = v_type(f, b);
    if (ta.dt != tb.dt) {
        diag_error(fr->cx, e->op_loc.line ? e->op_loc : e->loc,
                   "%s: types differ (%s and %s); convert with %s(x)", what, dtype_name(ta.dt),
                   dtype_name(tb.dt), dtype_name(wider(ta.dt, tb.dt)));
        const Expr *narrow =
            e->kind == ExBinary ? wider(ta.dt, tb.dt) == ta.dt ? e->y : e->x : NULL;
        if (narrow && narrow->kind == ExName)
            diag_replace(fr->cx, narrow->loc, "%s(%s)", dtype_name(wider(ta.dt, tb.dt)),
                         narrow->name);
        operand_notes(f, e, (Value[]){a, b}, 2);
        return v_error();
    }
    Value v[2] = {a, b};
    if (!broadcast_values(f, e, what, v, 2)) return v_error();
    return emit_op(f, e->op_loc.line ? e->op_loc : e->loc, binop_ops[op], v, 2, NULL, NULL,
                   v[0].dims);
}

/* x ** n for a small literal n is a product, as x * x is. */
Value lower_power(Frame *f, const Expr *e, Value x, Value n) {
    if (x.kind != VTensor || n.kind != VInt || n.i < 1 || n.i > 8) {
        return lower_binary_values(f, e, BinPow, x, n);
    }
    Value r = x, square = x;
    bool first = true;
    for (int64_t k = n.i; k; k >>= 1) {
        if (k & 1) {
            r = first ? square : lower_binary_values(f, e, BinMul, r, square);
            first = false;
        }
        if (k > 1) square = lower_binary_values(f, e, BinMul, square, square);
    }
    return r;
}
