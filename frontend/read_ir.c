/* IR text: a function whose every let carries an origin becomes the instructions that stand there,
 * one by one: no folding, no merging. The printer's counterpart (ir/print.c). */
#include "frontend/read_ir.h"

bool item_is_ir(const Item *fn) {
    if (fn->kind != ItFn || !fn->body) return false;
    bool any = fn->body->origin.loc.file != NULL;
    for (uint32_t i = 0; i < fn->body->stmts.len; i++) {
        const Stmt *st = fn->body->stmts.data[i];
        if (st->kind == StReturn) continue;
        if (st->kind != StLet || !st->origin.loc.file) return false;
        any = true;
    }
    return any;
}

bool ir_wrong(Reader *r, Loc loc, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    diag_error(r->cx, loc, "%s", arena_vprintf(r->cx->arena, fmt, ap));
    va_end(ap);
    return false;
}

/* ---- operands ---- */

bool ir_find(Reader *r, const Expr *e, Val *out) {
    Sym name = ast_path(r->cx, e);
    for (uint32_t i = r->names.len; name && i-- > 0;) {
        if (r->names.data[i].name != name) continue;
        *out = r->names.data[i].v;
        return true;
    }
    return name ? ir_wrong(r, e->loc, "unknown value '%s'", name)
                : ir_wrong(r, e->loc, "operands of IR text are names and literals");
}

static void define(Reader *r, Sym name, Val v) {
    struct Named n = {name, v};
    vec_push(r->cx->arena, &r->names, n);
    b_name(r->b, v, name);
}

/* Literals take the type of the first operand of their class that is none, else the result's. */
static bool read_operands(Reader *r, const Expr *call, Op op, Type result, Val *vals, uint32_t *n) {
    uint32_t first = op == Op_where ? 1 : 0;
    Type type = result;
    bool typed = false;
    *n = 0;
    for (uint32_t i = 0; i < call->args.len; i++) {
        const Arg *a = &call->args.data[i];
        if (a->name) continue;
        vals[*n] = NoVal;
        if (!ir_is_literal(a->value)) {
            if (!ir_find(r, a->value, &vals[*n])) return false;
            if (*n >= first && !typed) type = b_type(r->b, vals[*n]), typed = true;
        } else if (op_info[op].cls != ClsElem) {
            return ir_wrong(r, a->value->loc,
                            "a literal stands only in elementwise operations; bind it by let");
        }
        ++*n;
    }
    uint32_t k = 0;
    for (uint32_t i = 0; i < call->args.len; i++) {
        const Arg *a = &call->args.data[i];
        if (a->name) continue;
        Num num;
        if (vals[k] == NoVal) {
            if (!ir_read_num(a->value, type.dt, &num))
                return ir_wrong(r, a->value->loc, "this is no %s", dtype_name(type.dt));
            vals[k] = b_const(r->b, (Type){type.dt, type.range, type.shape}, &num, 1);
        }
        k++;
    }
    return true;
}

/* ---- right sides ---- */

static bool read_constant(Reader *r, const Expr *e, Type t, Val *out) {
    Num one;
    if (ir_read_num(e, t.dt, &one)) {
        *out = b_const(r->b, t, &one, 1);
        return true;
    }
    if (e->kind != ExList) return ir_wrong(r, e->loc, "this does not stand in IR text");
    if ((uint64_t)t.shape->size != e->elems.len) {
        return ir_wrong(r, e->loc, "%u numbers for %s", e->elems.len, type_text(r->cx, t));
    }
    Num *nums = NEW_ARRAY(r->cx->arena, Num, e->elems.len + 1);
    for (uint32_t i = 0; i < e->elems.len; i++) {
        if (!ir_read_num(e->elems.data[i], t.dt, &nums[i]))
            return ir_wrong(r, e->elems.data[i]->loc, "this is no %s", dtype_name(t.dt));
    }
    *out = b_const(r->b, t, nums, e->elems.len);
    return true;
}

static bool infer(Reader *r, Loc loc, Op op, const Val *vals, uint32_t n, Attr *attrs, Type given) {
    Type *types = NEW_ARRAY(r->cx->arena, Type, n);
    for (uint32_t i = 0; i < n; i++) types[i] = b_type(r->b, vals[i]);
    Infer q = {.cx = r->cx, .nargs = n, .args = types, .attrs = attrs, .given = &given};
    const char *why = op_infer(op, &q);
    if (why) return ir_wrong(r, loc, "%s", why);
    if (!type_equal(q.result, given)) {
        return ir_wrong(r, loc, "%s gives %s, declared is %s", op_info[op].name,
                        type_text(r->cx, q.result), type_text(r->cx, given));
    }
    return true;
}

static bool read_op(Reader *r, const Expr *e, Op op, Type t, Val *out) {
    Val *vals = NEW_ARRAY(r->cx->arena, Val, e->args.len + 1);
    Attr attrs[MaxAttrs] = {{0}};
    uint32_t n;
    if (!read_operands(r, e, op, t, vals, &n)) return false;
    for (uint32_t i = 0; i < e->args.len; i++) {
        if (e->args.data[i].name && !ir_read_attr(r, op, &e->args.data[i], attrs)) return false;
    }
    if (!infer(r, e->loc, op, vals, n, attrs, t)) return false;
    *out = b_op(r->b, op, vals, n, attrs, &t);
    return true;
}

static bool read_cast(Reader *r, const Expr *e, Type t, Val *out) {
    Val x;
    if (!ir_find(r, e->x, &x)) return false;
    Attr attrs[MaxAttrs] = {{0}};
    if (!infer(r, e->loc, Op_cast, &x, 1, attrs, t)) return false;
    *out = b_op(r->b, Op_cast, &x, 1, NULL, &t);
    return true;
}

static bool read_args(Reader *r, const Expr *e, Val *vals) {
    for (uint32_t i = 0; i < e->args.len; i++) {
        if (e->args.data[i].name)
            return ir_wrong(r, e->args.data[i].loc,
                            "arguments of a call go by position in IR text");
        if (!ir_find(r, e->args.data[i].value, &vals[i])) return false;
    }
    return true;
}

static bool read_call(Reader *r, const Expr *e, const Type *types, uint32_t n, Val *out) {
    const Fn *fn = program_fn(r->p, e->x->name);
    if (!fn) return ir_wrong(r, e->x->loc, "unknown function or operation '%s'", e->x->name);
    if (fn->nparams != e->args.len || fn->results.len != n) {
        return ir_wrong(r, e->loc, "'%s' has %u parameters and %u results", fn->name, fn->nparams,
                        fn->results.len);
    }
    Val *vals = NEW_ARRAY(r->cx->arena, Val, e->args.len + 1);
    if (!read_args(r, e, vals)) return false;
    for (uint32_t i = 0; i < fn->nparams; i++) {
        Type have = b_type(r->b, vals[i]), want = fn->ins.data[i].type;
        if (type_equal(have, want)) continue;
        return ir_wrong(r, e->args.data[i].value->loc, "'%s' takes %s here, this is %s", fn->name,
                        type_text(r->cx, want), type_text(r->cx, have));
    }
    for (uint32_t i = 0; i < n; i++) {
        Type gives = fn->ins.data[fn->results.data[i]].type;
        if (!type_equal(gives, types[i]))
            return ir_wrong(r, e->loc, "'%s' gives %s, declared is %s", fn->name,
                            type_text(r->cx, gives), type_text(r->cx, types[i]));
    }
    b_call(r->b, fn, vals, fn->nparams, out);
    return true;
}

/* The functions in the brackets go by position, in the order of the attributes. */
static bool read_brackets(Reader *r, const Expr *head, Op op, Attr *attrs) {
    const OpInfo *info = &op_info[op];
    int next = 0;
    for (uint32_t i = 0; i < head->args.len; i++) {
        const Arg *a = &head->args.data[i];
        if (a->name) {
            if (!ir_read_attr(r, op, a, attrs)) return false;
            continue;
        }
        if (next >= info->nattrs || info->attrs[next].kind != AttrFn || a->value->kind != ExName)
            return ir_wrong(r, a->loc, "this does not stand in IR text");
        if (!program_fn(r->p, a->value->name))
            return ir_wrong(r, a->loc, "unknown function '%s'", a->value->name);
        attrs[next++] = attr_fn(a->value->name);
    }
    return true;
}

/* The operands by position, then attributes by name. */
static bool read_operator_args(Reader *r, const Expr *e, Op op, Attr *attrs, Val *vals,
                               uint32_t *n) {
    *n = 0;
    for (uint32_t i = 0; i < e->args.len; i++) {
        const Arg *a = &e->args.data[i];
        if (!(a->name ? ir_read_attr(r, op, a, attrs) : ir_find(r, a->value, &vals[(*n)++])))
            return false;
    }
    for (int k = 0; k < op_info[op].nattrs; k++) {
        const AttrInfo *need = &op_info[op].attrs[k];
        if (attrs[k].kind == AttrNone && need->kind != AttrNames)
            return ir_wrong(r, e->loc, "%s needs '%s'", op_info[op].name, need->name);
    }
    return true;
}

static bool fits_type(Type want, Type have) {
    return want.dt == have.dt && want.shape == have.shape &&
           (!want.range || want.range == have.range);
}

/* Both functions of a region take the same; `test` gives a bool, `otherwise` what `then` does. */
static bool other_fits(Reader *r, Op op, const Region *g) {
    const Fn *x = g->body, *y = g->other;
    bool test = op == Op_while;
    if (y->nparams != x->nparams || y->results.len != (test ? 1 : x->results.len)) return false;
    for (Val k = 0; k < x->nparams; k++) {
        if (!type_equal(x->ins.data[k].type, y->ins.data[k].type)) return false;
    }
    for (uint32_t k = 0; k < y->results.len; k++) {
        Type want = test ? (Type){BOOL, 0, shape_scalar(r->cx)}
                         : x->ins.data[x->results.data[k]].type;
        if (!type_equal(want, y->ins.data[y->results.data[k]].type)) return false;
    }
    return true;
}

/* What the verifier would stop at, as a report to the reader of the text. */
static bool check_region(Reader *r, Loc loc, Op op, const Attr *attrs, const Val *vals,
                         uint32_t nvals, const Type *types, uint32_t n) {
    Ins ins = {.op = op, .attrs = attrs, .loc = loc};
    Region g = region_of(r->p, &ins);
    uint32_t formals = g.body->nparams;
    bool counts = g.carry <= formals && g.seq <= formals - g.carry &&
                  g.carry <= g.body->results.len && g.length >= 0 &&
                  g.body->results.len && (!g.other || other_fits(r, op, &g));
    if (!counts) return ir_wrong(r, loc, "this does not fit '%s'", g.body->name);
    RegionTypes t = region_types(r->cx, r->cx->arena, &ins, &g);
    if (t.nargs != nvals || t.nresults != n) {
        return ir_wrong(r, loc, "%s[%s] takes %u values and gives %u", op_info[op].name,
                        g.body->name, t.nargs, t.nresults);
    }
    for (uint32_t k = 0; k < nvals + n; k++) {
        Type want = k < nvals ? t.args[k] : t.results[k - nvals];
        Type have = k < nvals ? b_type(r->b, vals[k]) : types[k - nvals];
        if (want.shape && (k < nvals ? fits_type(want, have) : type_equal(want, have))) continue;
        return ir_wrong(r, loc, "%s %u is %s, not what '%s' says", k < nvals ? "operand" : "result",
                        k < nvals ? k + 1 : k - nvals + 1, type_text(r->cx, have), g.body->name);
    }
    return true;
}

/* op[f, wrt=...](...), scan[f](..., carry=1, ...) */
static bool read_operator(Reader *r, const Expr *e, const Type *types, uint32_t n, Val *out) {
    const Expr *head = e->x;
    Op op = head->x->kind == ExName ? op_by_name(head->x->name) : OpCount;
    if (op == OpCount || (op_info[op].cls != ClsOperator && op_info[op].cls != ClsRegion)) {
        return ir_wrong(r, head->loc, "this does not stand in IR text");
    }
    Attr attrs[MaxAttrs] = {{0}};
    Val *vals = NEW_ARRAY(r->cx->arena, Val, e->args.len + 1);
    uint32_t nvals;
    if (!read_brackets(r, head, op, attrs) ||
        !read_operator_args(r, e, op, attrs, vals, &nvals) ||
        (op_info[op].cls == ClsRegion &&
         !check_region(r, e->loc, op, attrs, vals, nvals, types, n)))
        return false;
    b_multi(r->b, op, vals, nvals, attrs, types, n, out);
    return true;
}

static bool read_right(Reader *r, const Expr *e, const Type *types, uint32_t n, Val *out) {
    if (e->kind == ExCall && e->x->kind == ExIndex) return read_operator(r, e, types, n, out);
    Op op = e->kind == ExCall && e->x->kind == ExName ? op_by_name(e->x->name) : OpCount;
    if (e->kind == ExCall && e->x->kind == ExName && op == OpCount)
        return read_call(r, e, types, n, out);
    if (n != 1) return ir_wrong(r, e->loc, "this has one result");
    if (e->kind == ExCast) return read_cast(r, e, types[0], out);
    return op == OpCount ? read_constant(r, e, types[0], out) : read_op(r, e, op, types[0], out);
}

bool ir_read_let(Reader *r, const Stmt *st) {
    uint32_t n = st->binds.len;
    Type *types = NEW_ARRAY(r->cx->arena, Type, n);
    Val *out = NEW_ARRAY(r->cx->arena, Val, n);
    for (uint32_t i = 0; i < n; i++) {
        const Bind *b = &st->binds.data[i];
        if (!b->type) return ir_wrong(r, b->loc, "every let of IR text has a type");
        if (!ir_read_type(r, b->type, &types[i])) return false;
    }
    b_at(r->b, st->origin.loc, st->origin.rule);
    if (!read_right(r, st->e ? st->e : st->binds.data[0].init, types, n, out)) {
        diag_note(r->cx, st->origin.loc, "the line belongs to this%s%s",
                  st->origin.rule ? ", by the rule " : "", st->origin.rule ? st->origin.rule : "");
        return false;
    }
    for (uint32_t i = 0; i < n; i++) define(r, st->binds.data[i].name, out[i]);
    return true;
}

static bool read_return(Reader *r, const Stmt *st) {
    const TypeX *t = r->item->result;
    uint32_t n = t ? t->tuple ? t->elems.len : 1 : st->elems.len;
    if (n != st->elems.len)
        return ir_wrong(r, st->loc, "%u results are returned, %u are declared", st->elems.len, n);
    for (uint32_t i = 0; i < n; i++) {
        Val v = NoVal;
        Type want;
        if (!ir_find(r, st->elems.data[i], &v)) return false;
        if (t && !ir_read_type(r, t->tuple ? t->elems.data[i] : t, &want)) return false;
        if (t && !type_equal(b_type(r->b, v), want)) {
            return ir_wrong(r, st->elems.data[i]->loc, "%s is returned, %s is declared",
                            type_text(r->cx, b_type(r->b, v)), type_text(r->cx, want));
        }
        b_result(r->b, v);
    }
    return true;
}

static bool read_body(Reader *r) {
    for (uint32_t i = 0; i < r->item->formals.len; i++) {
        const Bind *b = &r->item->formals.data[i];
        Type t;
        if (!b->type || b->init)
            return ir_wrong(r, b->loc, "a parameter of IR text has a type and no default");
        if (!ir_read_type(r, b->type, &t)) return false;
        struct Named n = {b->name, b_param(r->b, b->name, t)};
        vec_push(r->cx->arena, &r->names, n);
    }
    bool returned = false;
    for (uint32_t i = 0; i < r->item->body->stmts.len; i++) {
        const Stmt *st = r->item->body->stmts.data[i];
        if (!(st->kind == StReturn ? read_return(r, st) : ir_read_let(r, st))) return false;
        returned = st->kind == StReturn;
    }
    return returned || ir_wrong(r, r->item->body->end, "missing 'return' in '%s'", r->item->name);
}

Fn *read_ir_fn(Program *p, const Item *item) {
    Reader r = {.p = p, .cx = p->cx, .item = item, .b = builder_new(p, item->name, true)};
    if (!read_body(&r)) return NULL;
    Fn *fn = builder_done(r.b);
    fn->loc = item->body->origin.loc.file ? item->body->origin.loc : item->name_loc;
    fn->rule = item->body->origin.rule;
    fn->doc = item->doc;
    fn->exported = item->exported;
    return fn;
}
