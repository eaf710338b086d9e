/* Types, numbers and attributes of IR text. */
#include "frontend/read_ir.h"

static const int dtypes[] = {
    [TnF32] = F32,   [TnF64] = F64, [TnBf16] = BF16, [TnI32] = I32, [TnI64] = I64,
    [TnBool] = BOOL, [TnReal] = -1, [TnInt] = -1,    [TnStr] = -1};

bool ir_read_type(Reader *r, const TypeX *t, Type *out) {
    if (t->tuple || dtypes[t->name] < 0) return ir_wrong(r, t->loc, "IR text has concrete types");
    int64_t *dim = NEW_ARRAY(r->cx->arena, int64_t, t->dims.len);
    for (uint32_t i = 0; i < t->dims.len; i++) {
        const DimX *d = &t->dims.data[i];
        if (d->kind != DimExpr || d->e->kind != ExInt)
            return ir_wrong(r, d->loc, "dimensions of IR text are integers");
        dim[i] = d->e->i;
    }
    *out = (Type){.dt = (DType)dtypes[t->name], .shape = shape_of(r->cx, dim, t->dims.len)};
    if (!out->shape)
        return ir_wrong(r, t->loc, "the tensor %s", shape_excess(r->cx, t->dims.len));
    if (t->range && t->range->kind != ExInt)
        return ir_wrong(r, t->range->loc, "the range of IR text is an integer");
    out->range = t->range ? t->range->i : 0;
    return true;
}

bool ir_read_num(const Expr *e, DType dt, Num *out) {
    double sign = 1;
    if (e->kind == ExUnary && e->uop == '-') {
        sign = -1;
        e = e->x;
    }
    if (e->kind != ExInt && e->kind != ExFloat && e->kind != ExBool) return false;
    if (dtype_is_float(dt)) {
        if (e->kind == ExBool) return false;
        double v = sign * (e->kind == ExFloat ? e->f : (double)e->i);
        out->f = dt == F64 ? v : dt == F32 ? (double)(float)v : (double)round_bf16((float)v);
        return true;
    }
    if (e->kind == ExFloat || (e->kind == ExBool) != (dt == BOOL)) return false;
    out->i = sign < 0 ? (int64_t)(0 - (uint64_t)e->i) : e->i;
    return true;
}

bool ir_is_literal(const Expr *e) {
    Num n;
    return ir_read_num(e, F64, &n) || ir_read_num(e, BOOL, &n);
}

static bool read_ints(Reader *r, const Expr *e, Attr *out) {
    int64_t *v = NEW_ARRAY(r->cx->arena, int64_t, e->elems.len);
    Num n;
    for (uint32_t i = 0; i < e->elems.len; i++) {
        if (!ir_read_num(e->elems.data[i], I64, &n))
            return ir_wrong(r, e->elems.data[i]->loc, "an integer is needed");
        v[i] = n.i;
    }
    *out = attr_ints(r->cx, v, e->elems.len);
    return true;
}

static bool read_names(Reader *r, const Expr *e, Attr *out) {
    uint32_t n = e->kind == ExTuple ? e->elems.len : 1;
    Sym *names = NEW_ARRAY(r->cx->arena, Sym, n);
    for (uint32_t i = 0; i < n; i++) {
        const Expr *x = e->kind == ExTuple ? e->elems.data[i] : e;
        if (!(names[i] = ast_path(r->cx, x))) return ir_wrong(r, x->loc, "a name is needed");
    }
    *out = attr_names(r->cx, names, n);
    return true;
}

bool ir_read_attr(Reader *r, Op op, const Arg *a, Attr *attrs) {
    const OpInfo *info = &op_info[op];
    Num n;
    for (int i = 0; i < info->nattrs; i++) {
        if (strcmp(info->attrs[i].name, a->name)) continue;
        const Expr *e = a->value;
        switch (info->attrs[i].kind) {
        case AttrInt:
            if (!ir_read_num(e, I64, &n)) break;
            attrs[i] = attr_int(n.i);
            return true;
        case AttrBool:
            if (!ir_read_num(e, BOOL, &n)) break;
            attrs[i] = attr_bool(n.i);
            return true;
        case AttrFloat:
            if (!ir_read_num(e, F64, &n)) break;
            attrs[i] = attr_float(n.f);
            return true;
        case AttrInts:
            if (e->kind != ExList) break;
            return read_ints(r, e, &attrs[i]);
        case AttrNames:
            return read_names(r, e, &attrs[i]);
        case AttrFn:
        case AttrNone:
            break;
        }
        return ir_wrong(r, e->loc, "attribute '%s' of %s cannot be this", a->name, info->name);
    }
    return ir_wrong(r, a->loc, "%s has no attribute '%s'", info->name, a->name);
}
