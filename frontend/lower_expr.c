/* Expressions to values. */
#include "frontend/lower.h"

#include <math.h>

bool not_supported(Frame *f, Loc loc, const char *what) {
    diag_error(f->fr->cx, loc, "%s is not supported yet", what);
    return false;
}

/* ---- names ---- */

/* step, steps and t of training; training; inf-like names are literals already. */
static bool implicit_name(Frame *f, Sym name, Value *out) {
    static const struct {
        const char *name, *path;
        int add;
    } counters[] = {{"step", "train.step", 0}, {"steps", "train.steps", 0}, {"t", "train.step", 1}};
    if (!strcmp(name, "training")) {
        *out = v_bool(f->training);
        return true;
    }
    if (!strcmp(name, "batch") && f->batch) {
        *out = v_int(f->batch, &dim_computed);
        return true;
    }
    for (size_t i = 0; i < LEN(counters); i++) {
        if (strcmp(counters[i].name, name)) continue;
        Cx *cx = f->fr->cx;
        Val v = capture(f->root, f->fr, sym(cx, counters[i].path), type_of(I64, shape_scalar(cx)));
        Type real = type_of(f->real, shape_scalar(cx));
        if (counters[i].add) v = b_add(f->b, v, b_int(f->b, b_type(f->b, v), counters[i].add));
        *out = v_tensor(f, b_op(f->b, Op_cast, &v, 1, NULL, &real), NULL);
        return true;
    }
    return false;
}

static Value global_value(Frame *f, Global *g, Loc loc) {
    Front *fr = f->fr;
    if (g->ready) return g->value;
    if (g->busy) {
        diag_error(fr->cx, loc, "'%s' is defined by itself", g->item->name);
        return v_error();
    }
    g->busy = true;
    g->value = g->item->kind == ItModel ? lower_model(fr, g->item)
                                        : lower_expr(&fr->top, g->item->init.init, NULL);
    if (g->value.kind == VInt) g->value.tag = &dim_computed;
    g->busy = false;
    g->ready = true;
    return g->value;
}

void note_hyper(Frame *f, const Expr *e) {
    Global *g = e->kind == ExName ? find_global(f->fr, e->name, ItHyper, false) : NULL;
    if (g) {
        diag_note(f->fr->cx, g->item->name_loc, "a hyper is known at run time only; declare '%s' with const",
                  e->name);
    }
}

static Value hyper_value(Frame *f, const Item *item, Loc loc) {
    Front *fr = f->fr;
    for (uint32_t i = 0; i < fr->p->hypers.len; i++) {
        Hyper *h = &fr->p->hypers.data[i];
        if (h->name != item->name) continue;
        if (f->root == fr->top.root) {
            diag_error(fr->cx, loc, "'%s' is a hyper, known at run time only; declare it with const",
                       item->name);
            diag_note(fr->cx, item->name_loc, "declared here");
            return v_error();
        }
        Val v = capture(f->root, fr, sym_fmt(fr->cx, "hyper.%s", h->name),
                        type_of(h->dt, shape_scalar(fr->cx)));
        return v_tensor(f, v, NULL);
    }
    return v_error();
}

/* All names that could have been meant, for did-you-mean. */
static const char *suggest(Frame *f, Sym name) {
    VEC(const char *) names = {0};
    Arena *a = f->fr->cx->arena;
    for (Scope *s = f->scope; s; s = s->up) {
        for (uint32_t i = 0; i < s->names.len; i++) vec_push(a, &names, s->names.data[i].name);
    }
    for (uint32_t i = 0; f->hdr && i < f->hdr->statics.len; i++) {
        vec_push(a, &names, f->hdr->statics.data[i].name);
    }
    for (uint32_t i = 0; i < f->fr->globals.len; i++) {
        if (f->fr->globals.data[i].item->name) vec_push(a, &names, f->fr->globals.data[i].item->name);
    }
    for (int i = 0; i < OpCount; i++) vec_push(a, &names, op_info[i].name);
    return nearest_name(name, names.data, names.len);
}

static Value unknown_name(Frame *f, const Expr *e) {
    const char *near = suggest(f, e->name);
    if (near) {
        diag_error(f->fr->cx, e->loc, "unknown name '%s'; did you mean '%s'?", e->name, near);
        diag_fixit(f->fr->cx, "%s", near);
    } else {
        diag_error(f->fr->cx, e->loc, "unknown name '%s'", e->name);
    }
    return v_error();
}

bool known_name(Frame *f, Sym name) {
    if (find_binding(f, name) || header_static(f->hdr, name)) return true;
    for (uint32_t i = 0; i < f->fr->globals.len; i++) {
        if (f->fr->globals.data[i].item->name == name) return true;
    }
    return !strcmp(name, "batch") && f->batch;
}

static Value lower_name(Frame *f, const Expr *e) {
    Binding *b = find_binding(f, e->name);
    if (b) {
        b->used = true;
        return b->value;
    }
    Static *s = header_static(f->hdr, e->name);
    if (s) {
        if (s->solved) return s->value;
        diag_error(f->fr->cx, e->loc, "'%s' of '%s' is not known here; it cannot be inferred from "
                   "the arguments", e->name, f->item->name);
        return v_error();
    }
    Front *fr = f->fr;
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        Global *g = &fr->globals.data[i];
        if (g->item->name != e->name || (f->in_std && !g->in_std)) continue;
        switch (g->item->kind) {
        case ItConst:
        case ItModel: return global_value(f, g, e->loc);
        case ItHyper: return hyper_value(f, g->item, e->loc);
        case ItDataset: return (Value){.kind = VDataset, .s = e->name};
        default: break;
        }
    }
    Value v;
    if (implicit_name(f, e->name, &v)) return v;
    if (!strcmp(e->name, "all")) return v_str(e->name);
    if (find_item(fr, e->name, f->in_std, -1) || is_builtin(e->name)) {
        diag_error(fr->cx, e->loc, "'%s' is a function; call it: %s(...)", e->name, e->name);
        return v_error();
    }
    return unknown_name(f, e);
}

/* ---- operators ---- */

/* The literal-1 rule of broadcasting; see docs/language.md. */
static bool broadcast_dim(Frame *f, const Expr *e, const char *what, Dim a, Dim b, Dim *out) {
    if (dim_same(a, b)) {
        *out = a.tag && a.tag->header ? a : b.tag ? b : a;
        return true;
    }
    if (a.n == 1 && !a.tag) *out = b;
    else if (b.n == 1 && !b.tag) *out = a;
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
                   "would stretch", what, v_describe(f, v[0]), v_describe(f, v[n - 1]));
        operand_notes(f, e, v, n);
        return false;
    }
    const Shape *s = dims_shape(f, e->loc, dims, rank);
    if (!s) return false;
    for (uint32_t i = 0; i < n; i++) v[i] = v_tensor(f, b_broadcast(f->b, v[i].v, s), dims);
    return true;
}

static const Op binop_ops[BinCount] = {
    [BinOr] = Op_or,   [BinAnd] = Op_and, [BinLt] = Op_lt,   [BinGt] = Op_gt,   [BinLe] = Op_le,
    [BinGe] = Op_ge,   [BinEq] = Op_eq,   [BinNe] = Op_ne,   [BinAdd] = Op_add, [BinSub] = Op_sub,
    [BinMul] = Op_mul, [BinDiv] = Op_div, [BinMod] = Op_mod, [BinPow] = Op_pow,
    [BinMatmul] = Op_matmul,
};

/* a @ b by NumPy's rules: vectors become matrices, a's leading dimensions fold into rows where b
 * has rank 2. */
static Value lower_matmul(Frame *f, const Expr *e, Value a, Value b) {
    Front *fr = f->fr;
    Type ta = v_type(f, a), tb = v_type(f, b);
    uint32_t ra = ta.shape->rank, rb = tb.shape->rank;
    if (!ra || !rb) {
        diag_error(fr->cx, e->op_loc, "matmul: a scalar operand; write '*'");
        operand_notes(f, e, (Value[]){a, b}, 2);
        return v_error();
    }
    Dim ka = a.dims[ra - 1], kb = b.dims[rb > 1 ? rb - 2 : 0];
    if (!dim_same(ka, kb)) {
        if (ka.n == kb.n) {
            diag_error(fr->cx, e->op_loc, "matmul: inner dimensions '%s' and '%s' are different "
                       "names (both are %lld here)", ka.tag->name, kb.tag->name, (long long)ka.n);
        } else {
            diag_error(fr->cx, e->op_loc, "matmul: inner sizes differ (%lld and %lld)",
                       (long long)ka.n, (long long)kb.n);
        }
        operand_notes(f, e, (Value[]){a, b}, 2);
        return v_error();
    }
    VEC(Dim) out = {0};
    Arena *ar = fr->cx->arena;
    Val x = a.v, y = b.v;
    if (rb == 1) y = b_reshape(f->b, y, shape_of(fr->cx, (int64_t[]){kb.n, 1}, 2));
    if (rb <= 2 && ra != 2) {
        int64_t rows = ta.shape->size / (ka.n ? ka.n : 1);
        if (!ka.n) {
            rows = 1;
            for (uint32_t i = 0; i + 1 < ra; i++) rows *= a.dims[i].n;
        }
        x = b_reshape(f->b, x, shape_of(fr->cx, (int64_t[]){rows, ka.n}, 2));
    } else if (rb > 2) {
        if (ra != rb) return not_supported(f, e->op_loc, "matmul of operands of these ranks"), v_error();
        for (uint32_t i = 0; i + 2 < ra; i++) {
            if (dim_same(a.dims[i], b.dims[i])) continue;
            diag_error(fr->cx, e->op_loc, "matmul: leading sizes differ (%lld and %lld)",
                       (long long)a.dims[i].n, (long long)b.dims[i].n);
            operand_notes(f, e, (Value[]){a, b}, 2);
            return v_error();
        }
    }
    if (ta.dt != tb.dt || !dtype_is_float(ta.dt)) {
        diag_error(fr->cx, e->op_loc, "matmul: %s and %s; both must be the same float type",
                   dtype_name(ta.dt), dtype_name(tb.dt));
        operand_notes(f, e, (Value[]){a, b}, 2);
        return v_error();
    }
    Val r = b_op(f->b, Op_matmul, (Val[]){x, y}, 2, NULL, NULL);
    for (uint32_t i = 0; i + 1 < ra; i++) vec_push(ar, &out, a.dims[i]);
    if (rb > 1) vec_push(ar, &out, b.dims[rb - 1]);
    const Shape *s = dims_shape(f, e->loc, out.data, out.len);
    return s ? v_tensor(f, b_reshape(f->b, r, s), out.data) : v_error();
}

Value lower_binary_values(Frame *f, const Expr *e, BinOp op, Value a, Value b) {
    Front *fr = f->fr;
    if (a.kind == VError || b.kind == VError) return v_error();
    Value out;
    if (const_binary(f, e, a, b, &out)) return out;
    int dt = a.kind == VTensor ? (int)v_type(f, a).dt : b.kind == VTensor ? (int)v_type(f, b).dt : -1;
    a = v_materialise(f, e->kind == ExBinary ? e->x->loc : e->loc, a, dt, NULL);
    b = v_materialise(f, e->kind == ExBinary ? e->y->loc : e->loc, b, dt, NULL);
    if (a.kind == VError || b.kind == VError) return v_error();
    if (op == BinMatmul) return lower_matmul(f, e, a, b);
    const char *what = op_info[binop_ops[op]].name;
    b_at(f->b, e->loc, NULL);
    Type ta = v_type(f, a), tb = v_type(f, b);
    if (ta.dt != tb.dt) {
        diag_error(fr->cx, e->op_loc.line ? e->op_loc : e->loc,
                   "%s: types differ (%s and %s); convert with f32(x) or i32(x)", what,
                   dtype_name(ta.dt), dtype_name(tb.dt));
        operand_notes(f, e, (Value[]){a, b}, 2);
        return v_error();
    }
    Value v[2] = {a, b};
    if (!broadcast_values(f, e, what, v, 2)) return v_error();
    return emit_op(f, e->op_loc.line ? e->op_loc : e->loc, binop_ops[op], v, 2, NULL, NULL,
                   v[0].dims);
}

/* x ** n for a small literal n is a product, as x * x is. */
static Value lower_power(Frame *f, const Expr *e, Value x, Value n) {
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

static Value lower_unary(Frame *f, const Expr *e) {
    Value x = lower_expr(f, e->x, NULL);
    if (x.kind == VError) return x;
    if (e->uop == '!') {
        if (x.kind == VBool) return v_bool(!x.i);
        x = v_materialise(f, e->x->loc, x, -1, NULL);
        if (x.kind == VError) return x;
        return emit_op(f, e->loc, Op_not, &x, 1, NULL, NULL, x.dims);
    }
    if (x.kind == VInt) return v_int(-x.i, &dim_computed);
    if (x.kind == VFloat) return v_float(-x.f);
    x = v_materialise(f, e->x->loc, x, -1, NULL);
    return x.kind == VError ? x : emit_op(f, e->loc, Op_neg, &x, 1, NULL, NULL, x.dims);
}

static Value lower_list(Frame *f, const Expr *e) {
    VEC(Value) elems = {0};
    for (uint32_t i = 0; i < e->elems.len; i++) {
        const Expr *x = e->elems.data[i];
        if (x->kind == ExSpread) {
            Static *s = header_static(f->hdr, x->name);
            Binding *b = find_binding(f, x->name);
            Value list = b ? b->value : s && s->solved ? s->value : v_error();
            if (list.kind != VList) {
                diag_error(f->fr->cx, x->loc, "'*%s' needs a list of dimensions", x->name);
                return v_error();
            }
            for (uint32_t k = 0; k < list.n; k++) vec_push(f->fr->cx->arena, &elems, list.elems[k]);
            continue;
        }
        Value v = lower_expr(f, x, NULL);
        if (v.kind == VError) return v;
        vec_push(f->fr->cx->arena, &elems, v);
    }
    return (Value){.kind = VList, .n = elems.len, .elems = elems.data};
}

static Value lower_cast(Frame *f, const Expr *e) {
    Front *fr = f->fr;
    Value x = lower_expr(f, e->x, NULL);
    if (x.kind == VError) return x;
    DType dt = type_name_dtype(f, e->type->name);
    int64_t range = 0;
    if (e->type->range && !eval_int(f, e->type->range, &range, "the range")) return v_error();
    if (v_is_number(x)) {
        double d = x.kind == VFloat ? x.f : (double)x.i;
        Value lit = dtype_is_float(dt) ? v_float(d) : v_int(x.kind == VFloat ? (int64_t)d : x.i, NULL);
        if (dt == BOOL) lit = v_bool(d != 0);
        return v_materialise(f, e->loc, lit, (int)dt, NULL);
    }
    x = v_materialise(f, e->x->loc, x, -1, NULL);
    if (x.kind == VError) return x;
    Type t = {dt, range, v_type(f, x).shape};
    b_at(f->b, e->loc, NULL);
    (void)fr;
    return v_tensor(f, b_op(f->b, Op_cast, &x.v, 1, NULL, &t), x.dims);
}

static Value lower_member(Frame *f, const Expr *e) {
    Value x = lower_expr(f, e->x, NULL);
    if (x.kind == VError) return x;
    if (x.kind == VInstance) {
        Sym path = sym_fmt(f->fr->cx, "%s.%s", x.inst->path, e->name);
        int64_t at = state_index(f->fr, path);
        if (at >= 0) {
            Type t = f->fr->p->state.data[at].type;
            return v_tensor(f, capture(f->root, f->fr, path, t), NULL);
        }
        diag_error(f->fr->cx, e->op_loc, "'%s' has no parameter '%s' here", x.inst->path, e->name);
        return v_error();
    }
    if (x.kind == VDataset) {
        diag_error(f->fr->cx, e->loc, "a dataset stands here only as %s.%s(tensor)", x.s, e->name);
        return v_error();
    }
    diag_error(f->fr->cx, e->op_loc, "%s has no members", v_describe(f, x));
    return v_error();
}

static Value lower_binary(Frame *f, const Expr *e) {
    Value a = lower_expr(f, e->x, NULL);
    if (e->op == BinAnd && a.kind == VBool && !a.i) return a;
    if (e->op == BinOr && a.kind == VBool && a.i) return a;
    Value b = lower_expr(f, e->y, NULL);
    b_at(f->b, e->loc, NULL);
    if (e->op == BinPow) return lower_power(f, e, a, b);
    return lower_binary_values(f, e, e->op, a, b);
}

Value lower_expr(Frame *f, const Expr *e, const Want *want) {
    switch (e->kind) {
    case ExName: return lower_name(f, e);
    case ExInt: return v_int(e->i, NULL);
    case ExFloat: return v_float(e->f);
    case ExString: return v_str(e->name);
    case ExBool: return v_bool(e->i);
    case ExCall: return lower_call(f, e, want);
    case ExIndex: return lower_index(f, e);
    case ExMember: return lower_member(f, e);
    case ExCast: return lower_cast(f, e);
    case ExUnary: return lower_unary(f, e);
    case ExBinary: return lower_binary(f, e);
    case ExTuple: {
        Value v = lower_list(f, e);
        if (v.kind == VList) v.kind = VTuple;
        return v;
    }
    case ExList: return lower_list(f, e);
    case ExSpread:
    case ExRange:
    case ExSlice:
    case ExDots:
    case ExDType: diag_error(f->fr->cx, e->loc, "this does not stand in an expression"); break;
    }
    return v_error();
}

Value lower_tensor(Frame *f, const Expr *e, const Want *want) {
    return v_materialise(f, e->loc, lower_expr(f, e, want), -1, want);
}
