/* Types as written to types with numbers, and the solving of header names from arguments. */
#include "frontend/lower.h"

static const DType type_dtypes[] = {
    [TnF32] = F32, [TnF64] = F64,   [TnBf16] = BF16, [TnI32] = I32,
    [TnI64] = I64, [TnBool] = BOOL, [TnInt] = I64,
};

DType type_name_dtype(Frame *f, TypeName n) {
    if (n == TnReal) return f->hdr && f->hdr->real_known ? f->hdr->real : f->real;
    if (n == TnF32) return f->fr->p->real;
    return type_dtypes[n];
}

/* Adds the float types that t names to a set of bits. */
static void float_types(Frame *f, const TypeX *t, unsigned *set) {
    for (uint32_t i = 0; t && t->tuple && i < t->elems.len; i++) {
        float_types(f, t->elems.data[i], set);
    }
    if (!t || t->tuple) return;
    bool fixed = t->name == TnF32 || t->name == TnF64 || t->name == TnBf16;
    if (fixed) *set |= 1u << type_name_dtype(f, t->name);
    if (t->name == TnReal) *set |= 1u << DTypeCount;
}

void signature_real(Frame *callee) {
    static const DType floats[] = {F32, F64, BF16};
    unsigned set = 0;
    for (uint32_t i = 0; i < callee->item->formals.len; i++) {
        float_types(callee, callee->item->formals.data[i].type, &set);
    }
    float_types(callee, callee->item->result, &set);
    for (size_t k = 0; k < LEN(floats); k++) {
        if (set == 1u << floats[k]) callee->real = floats[k];
    }
}

Header *header_new(Front *fr, const Item *item) {
    Header *h = NEW(fr->cx->arena, Header);
    h->item = item;
    for (uint32_t i = 0; i < item->statics.len; i++) {
        const Bind *b = &item->statics.data[i];
        vec_push(fr->cx->arena, &h->statics,
                 (Static){.bind = b, .name = b->name, .spread = b->spread});
    }
    return h;
}

Static *header_static(Header *h, Sym name) {
    for (uint32_t i = 0; h && i < h->statics.len; i++) {
        if (h->statics.data[i].name == name) return &h->statics.data[i];
    }
    return NULL;
}

/* The header name that a dimension consists of, if it is one that may be solved. */
static Static *bare_name(Frame *f, const Expr *e) {
    if (!e || e->kind != ExName || e->paren || find_binding(f, e->name)) return NULL;
    Static *s = header_static(f->hdr, e->name);
    return s && !s->spread && !s->bind->init && !s->bind->type ? s : NULL;
}

static void solve_dim(Frame *f, Static *s, Dim d) {
    s->solved = true;
    s->dim = (DimName){.header = f->hdr, .name = s->name, .bound = d};
    s->value = v_int(d.n, &s->dim);
}

static void solve_spread(Frame *f, Static *s, const Dim *dims, uint32_t n) {
    Cx *cx = f->fr->cx;
    Value *elems = NEW_ARRAY(cx->arena, Value, n);
    for (uint32_t i = 0; i < n; i++) {
        DimName *name = NEW(cx->arena, DimName);
        *name = (DimName){
            .header = f->hdr, .name = sym_fmt(cx, "%s[%u]", s->name, i), .bound = dims[i]};
        elems[i] = v_int(dims[i].n, name);
    }
    s->solved = true;
    s->value = (Value){.kind = VList, .elems = elems, .n = n};
}

/* A dimension as written, with its tag. */
static bool eval_dim(Frame *f, const Expr *e, Dim *out) {
    if (e->kind == ExName && !known_name(f, e->name)) {
        diag_error(f->fr->cx, e->loc,
                   "dimension '%s' is not declared; declare it in the header, as in "
                   "'fn f[%s](...)', or by const",
                   e->name, e->name);
        return false;
    }
    Value v = lower_expr(f, e, NULL);
    if (v.kind == VError) return false;
    if (v.kind != VInt) {
        diag_error(f->fr->cx, e->loc, "a dimension is an integer known at compile time, this is %s",
                   v_describe(f, v));
        note_hyper(f, e);
        return false;
    }
    if (v.i < 0) {
        diag_error(f->fr->cx, e->loc, "dimension is negative (%lld)", (long long)v.i);
        return false;
    }
    *out = (Dim){v.i, v.tag};
    return true;
}

static bool eval_spread(Frame *f, const DimX *d, Value *out) {
    Static *s = header_static(f->hdr, d->name);
    Binding *b = find_binding(f, d->name);
    if (b && b->value.kind == VList) {
        *out = b->value;
        return true;
    }
    if (!s || !s->spread) {
        diag_error(f->fr->cx, d->loc, "'*%s' is not declared in a header", d->name);
        return false;
    }
    if (!s->solved) {
        diag_error(f->fr->cx, d->loc, "cannot infer the dimensions '*%s'", d->name);
        return false;
    }
    *out = s->value;
    return true;
}

static bool eval_range(Frame *f, const TypeX *t, int64_t *range) {
    *range = 0;
    if (!t->range) return true;
    if (!eval_int(f, t->range, range, "the range of an integer type")) return false;
    if (*range > 0 && *range <= INT32_MAX) return true;
    diag_error(f->fr->cx, t->range->loc, "i32<V> holds 0 to V - 1; V = %lld is none",
               (long long)*range);
    return false;
}

bool eval_type(Frame *f, const TypeX *t, Want *out) {
    Cx *cx = f->fr->cx;
    if (t->tuple || t->name == TnStr) {
        diag_error(cx, t->loc, "a tensor type is needed here");
        return false;
    }
    VEC(Dim) dims = {0};
    for (uint32_t i = 0; i < t->dims.len; i++) {
        const DimX *d = &t->dims.data[i];
        Dim dim;
        Value list;
        switch (d->kind) {
        case DimDots:
            diag_error(cx, d->loc, "'...' stands only in the result of a function");
            return false;
        case DimExpr:
            if (!eval_dim(f, d->e, &dim)) return false;
            vec_push(cx->arena, &dims, dim);
            break;
        case DimSpread:
            if (!eval_spread(f, d, &list)) return false;
            for (uint32_t k = 0; k < list.n; k++) {
                vec_push(cx->arena, &dims, (Dim){list.elems[k].i, list.elems[k].tag});
            }
            break;
        }
    }
    *out = (Want){.dt = type_name_dtype(f, t->name), .rank = dims.len, .dims = dims.data};
    return eval_range(f, t, &out->range);
}

/* ---- matching ---- */

static bool mismatch(Frame *f, Loc loc, const TypeX *t, Value v, const char *what,
                     const char *why) {
    Text text = {0};
    ast_print_type(t, &text);
    Cx *cx = f->fr->cx;
    diag_error(cx, loc, "%s of '%s' has type %s, this is %s%s%s", what,
               f->item ? f->item->name : "?", text_done(&text, cx->arena), v_describe(f, v),
               why ? ": " : "", why ? why : "");
    diag_note(cx, t->loc, "declared here");
    return false;
}

static bool match_dtype(Frame *f, const TypeX *t, Value v, Loc loc, const char *what) {
    Type have = v_type(f, v);
    if (t->name == TnReal) {
        if (!dtype_is_float(have.dt)) return mismatch(f, loc, t, v, what, "a float is needed");
        if (!f->hdr->real_known) {
            f->hdr->real_known = true;
            f->hdr->real = f->real = have.dt;
        }
    }
    if (have.dt != type_name_dtype(f, t->name)) return mismatch(f, loc, t, v, what, NULL);
    if (!t->range) return true;
    Static *s = bare_name(f, t->range);
    if (s && !s->solved && have.range) {
        solve_dim(f, s, (Dim){have.range, &dim_computed});
        return true;
    }
    int64_t range;
    if (!eval_range(f, t, &range)) return false;
    if (have.range == range) return true;
    const char *why = arena_printf(f->fr->cx->arena, "its range must be %lld", (long long)range);
    return mismatch(f, loc, t, v, what, why);
}

/* One dimension as declared against one of the value; *dim gets the callee's view of it. */
static bool match_dim(Frame *f, const TypeX *t, const DimX *d, Value v, Dim have, Dim *dim, Loc loc,
                      const char *what) {
    Static *s = bare_name(f, d->e);
    if (s && !s->solved) solve_dim(f, s, have);
    if (s) {
        const Dim bound = s->dim.bound;
        *dim = (Dim){s->value.i, &s->dim};
        if (dim_same(bound, have)) return true;
        const char *why =
            bound.n != have.n
                ? arena_printf(f->fr->cx->arena, "%s is %lld already, here it is %lld", s->name,
                               (long long)bound.n, (long long)have.n)
                : arena_printf(f->fr->cx->arena,
                               "%s stands for %s and for %s, two names that need "
                               "not be equal",
                               s->name, bound.tag->name, have.tag->name);
        return mismatch(f, loc, t, v, what, why);
    }
    if (!eval_dim(f, d->e, dim)) return false;
    if (dim->n == have.n) return true;
    return mismatch(f, loc, t, v, what,
                    arena_printf(f->fr->cx->arena, "%lld is needed where %lld stands",
                                 (long long)dim->n, (long long)have.n));
}

static bool match_spread(Frame *f, const TypeX *t, const DimX *d, Value v, const Dim *have,
                         uint32_t n, Dim *dims, Loc loc, const char *what) {
    Static *s = header_static(f->hdr, d->name);
    if (!s || !s->spread) {
        diag_error(f->fr->cx, d->loc, "'*%s' is not declared in the header", d->name);
        return false;
    }
    if (!s->solved) solve_spread(f, s, have, n);
    bool ok = s->value.n == n;
    for (uint32_t i = 0; ok && i < n; i++) {
        const DimName *tag = s->value.elems[i].tag;
        ok = dim_same(tag && tag->header == f->hdr ? tag->bound : (Dim){s->value.elems[i].i, NULL},
                      have[i]);
        dims[i] = (Dim){s->value.elems[i].i, tag};
    }
    if (ok) return true;
    return mismatch(f, loc, t, v, what,
                    arena_printf(f->fr->cx->arena, "*%s is other dimensions already", s->name));
}

bool match_type(Frame *f, const TypeX *t, Value *v, Loc loc, const char *what) {
    Cx *cx = f->fr->cx;
    if (t->tuple || v->kind != VTensor) return mismatch(f, loc, t, *v, what, NULL);
    if (!match_dtype(f, t, *v, loc, what)) return false;
    uint32_t rank = v_type(f, *v).shape->rank, fixed = 0, spread = UINT32_MAX;
    for (uint32_t i = 0; i < t->dims.len; i++) {
        if (t->dims.data[i].kind == DimExpr)
            fixed++;
        else if (spread == UINT32_MAX)
            spread = i;
        else {
            diag_error(cx, t->dims.data[i].loc, "one '*' list or '...' may stand in a type");
            return false;
        }
    }
    if (rank < fixed || (rank > fixed && spread == UINT32_MAX)) {
        return mismatch(f, loc, t, *v, what,
                        arena_printf(cx->arena, "its rank is %u, %u is needed", rank, fixed));
    }
    Dim *dims = NEW_ARRAY(cx->arena, Dim, rank);
    copy_bytes(dims, v->dims, rank * sizeof *dims);
    uint32_t at = 0;
    for (uint32_t i = 0; i < t->dims.len; i++) {
        const DimX *d = &t->dims.data[i];
        uint32_t n = d->kind == DimExpr ? 1 : rank - fixed;
        bool ok = d->kind == DimExpr ? match_dim(f, t, d, *v, v->dims[at], &dims[at], loc, what)
                  : d->kind == DimSpread
                      ? match_spread(f, t, d, *v, v->dims + at, n, dims + at, loc, what)
                      : true;
        if (!ok) return false;
        at += n;
    }
    v->dims = dims;
    return true;
}

bool match_argument(Frame *callee, Frame *f, const TypeX *t, Value *v, Loc loc, const char *what) {
    if (t->tuple && v->kind == VTuple && v->n == t->elems.len) {
        Value *elems = NEW_ARRAY(f->fr->cx->arena, Value, v->n);
        for (uint32_t i = 0; i < v->n; i++) {
            elems[i] = v->elems[i];
            if (!match_argument(callee, f, t->elems.data[i], &elems[i], loc, what)) return false;
        }
        v->elems = elems;
        return true;
    }
    if (!t->tuple && (v->kind == VList || (v->kind == VInt && t->range))) {
        Want want;
        if (!eval_type(callee, t, &want)) return false;
        *v = v_materialise(f, loc, *v, -1, &want);
    } else if (!t->tuple) {
        *v = v_materialise(f, loc, *v, (int)type_name_dtype(callee, t->name), NULL);
    }
    return v->kind != VError && match_type(callee, t, v, loc, what);
}

void match_result(Frame *f, const TypeX *t, const Want *want) {
    if (!t || t->tuple || !want) return;
    if (t->name == TnReal && !f->hdr->real_known && dtype_is_float(want->dt)) {
        f->hdr->real_known = true;
        f->hdr->real = f->real = want->dt;
    }
    Static *r = bare_name(f, t->range);
    if (r && !r->solved && want->range) solve_dim(f, r, (Dim){want->range, &dim_computed});
    uint32_t fixed = 0;
    for (uint32_t i = 0; i < t->dims.len; i++) fixed += t->dims.data[i].kind == DimExpr;
    if (want->rank < fixed) return;
    uint32_t at = 0;
    for (uint32_t i = 0; i < t->dims.len; i++) {
        const DimX *d = &t->dims.data[i];
        if (d->kind == DimExpr) {
            Static *s = bare_name(f, d->e);
            if (s && !s->solved) solve_dim(f, s, want->dims[at]);
            at++;
        } else {
            uint32_t n = want->rank - fixed;
            Static *s = d->kind == DimSpread ? header_static(f->hdr, d->name) : NULL;
            if (s && s->spread && !s->solved) solve_spread(f, s, want->dims + at, n);
            at += n;
        }
    }
}

bool header_finish(Frame *f, Loc loc) {
    Cx *cx = f->fr->cx;
    for (uint32_t i = 0; i < f->hdr->statics.len; i++) {
        Static *s = &f->hdr->statics.data[i];
        if (s->solved) continue;
        if (!s->bind->init) {
            if (s->spread)
                diag_error(cx, loc, "%s() needs a shape here: a declared type or to=[...]",
                           f->item->name);
            else
                diag_error(cx, loc, "cannot infer '%s' of '%s'; give it: %s[%s=...]", s->name,
                           f->item->name, f->item->name, s->name);
            diag_note(cx, s->bind->loc, "declared here");
            return false;
        }
        s->value = lower_expr(f, s->bind->init, NULL);
        if (s->value.kind == VError) return false;
        const TypeX *t = s->bind->type;
        if (t && t->has_dims && !bind_compile_time(f, s->bind, &s->value, s->bind->loc))
            return false;
        if (s->value.kind == VInt) s->value.tag = &dim_computed;
        s->solved = true;
    }
    return true;
}

static Dim dim_return(Frame *f, Dim d) {
    if (!d.tag || !d.tag->header) return d;
    return d.tag->header == f->hdr ? d.tag->bound : (Dim){d.n, &dim_computed};
}

Value v_return(Frame *f, Value v) {
    if (v.kind == VTensor) {
        uint32_t rank = v_type(f, v).shape->rank;
        Dim *dims = NEW_ARRAY(f->fr->cx->arena, Dim, rank);
        for (uint32_t i = 0; i < rank; i++) dims[i] = dim_return(f, v.dims[i]);
        v.dims = dims;
    } else if (v.kind == VInt) {
        v.tag = dim_return(f, (Dim){v.i, v.tag}).tag;
    } else if (v.kind == VTuple || v.kind == VList) {
        Value out = v_list(f->fr, v.kind, v.elems, v.n);
        for (uint32_t i = 0; i < v.n; i++) out.elems[i] = v_return(f, v.elems[i]);
        return out;
    }
    return v;
}
