/* What every function must satisfy at all times; the first violation is an internal error. Kernels
 * and plans are in verify_kernels.c, calls and operators in verify_call.c.
 * Tests: tests/ir/verify_test.c. */
#include "ir/verify.h"

#include <math.h>

void verify_fail(const Program *p, const Fn *fn, Val v, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(p->cx->arena, fmt, ap);
    va_end(ap);
    if (v == NoVal || v >= fn->ins.len) bug_at(p->cx, fn->loc, "fn %s: %s", fn->name, text);
    const Ins *i = &fn->ins.data[v];
    bug_at(p->cx, i->loc, "fn %s, value %u '%s' (%s): %s", fn->name, v, i->name ? i->name : "",
           i->op < OpCount ? op_info[i->op].name : "?", text);
}

static void verify_operands(const Program *p, const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    VERIFY(p, fn, v, i->op < OpCount, "unknown operation %u", i->op);
    VERIFY(p, fn, v, (i->op == Op_param) == (v < fn->nparams),
           "parameters must be the first %u values", fn->nparams);
    for (uint32_t k = 0; k < i->nargs; k++) {
        VERIFY(p, fn, v, i->args[k] < v, "operand %u does not precede its use", k + 1);
        bool multi = !fn->ins.data[i->args[k]].type.shape;
        VERIFY(p, fn, v, multi == (i->op == Op_get), "operand %u is %s value", k + 1,
               multi ? "more than one" : "a single");
    }
    VERIFY(p, fn, v, i->attrs || !op_info[i->op].nattrs, "attributes are missing");
}

static void verify_const(const Program *p, const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    VERIFY(p, fn, v, i->ndata == 1 || i->ndata == (uint64_t)i->type.shape->size,
           "%llu numbers for %s", (unsigned long long)i->ndata, type_text(p->cx, i->type));
    for (uint64_t k = 0; k < i->ndata; k++) {
        Num x = i->data[k];
        bool fits = true;
        if (i->type.dt == F32) fits = isnan(x.f) || (double)(float)x.f == x.f;
        if (i->type.dt == BF16) fits = isnan(x.f) || (double)round_bf16((float)x.f) == x.f;
        if (i->type.dt == I32) fits = x.i == (int32_t)x.i;
        if (i->type.dt == BOOL) fits = x.i == 0 || x.i == 1;
        if (i->type.range) fits = x.i >= 0 && x.i < i->type.range;
        VERIFY(p, fn, v, fits, "number %llu does not fit %s", (unsigned long long)k,
               type_text(p->cx, i->type));
    }
}

/* The stored type and attributes are those that inference gives. */
static void verify_type(const Program *p, const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    Arena *a = p->cx->scratch;
    int nattrs = op_info[i->op].nattrs;
    Type *types = NEW_ARRAY(a, Type, i->nargs);
    Attr *attrs = NEW_ARRAY(a, Attr, (size_t)nattrs);
    for (uint32_t k = 0; k < i->nargs; k++) types[k] = fn->ins.data[i->args[k]].type;
    for (int k = 0; k < nattrs; k++) attrs[k] = i->attrs[k];
    VERIFY(p, fn, v, !i->type.range || (i->type.dt == I32 && i->type.range > 0),
           "%s cannot have a range", dtype_name(i->type.dt));
    Infer q = {.cx = p->cx, .nargs = i->nargs, .args = types, .attrs = attrs, .given = &i->type};
    const char *wrong = op_infer((Op)i->op, &q);
    VERIFY(p, fn, v, !wrong, "%s", wrong);
    VERIFY(p, fn, v, type_equal(q.result, i->type), "type is %s, but %s is inferred",
           type_text(p->cx, i->type), type_text(p->cx, q.result));
    for (int k = 0; k < nattrs; k++) {
        VERIFY(p, fn, v, attr_equal(attrs[k], i->attrs[k]), "attribute '%s' is not filled in",
               op_info[i->op].attrs[k].name);
    }
}

static void verify_get(const Program *p, const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    VERIFY(p, fn, v, i->nargs == 1 && i->attrs[0].kind == AttrInt, "malformed");
    VERIFY(p, fn, v, (int64_t)v == (int64_t)i->args[0] + 1 + i->attrs[0].i,
           "result %lld must follow its instruction", (long long)i->attrs[0].i);
    VERIFY(p, fn, v, i->type.shape, "has no type");
}

static void verify_results(const Program *p, const Fn *fn) {
    bool *taken = NEW_ARRAY(p->cx->scratch, bool, fn->nparams);
    for (uint32_t r = 0; r < fn->results.len; r++) {
        Val v = fn->results.data[r];
        VERIFY(p, fn, NoVal, v < fn->ins.len, "result %u is no value", r + 1);
        Type t = fn->ins.data[v].type;
        VERIFY(p, fn, v, t.shape, "result %u is more than one value", r + 1);
        if (!fn->donated || fn->donated[r] < 0) continue;
        uint32_t to = (uint32_t)fn->donated[r];
        VERIFY(p, fn, v, to < fn->nparams && !taken[to], "result %u takes parameter %u", r + 1, to);
        taken[to] = true;
        Type from = fn->ins.data[to].type;
        VERIFY(p, fn, v, from.dt == t.dt && from.shape == t.shape,
               "result %u takes the storage of a parameter of type %s", r + 1,
               type_text(p->cx, from));
    }
}

void verify_fn(const Program *p, const Fn *fn) {
    VERIFY(p, fn, NoVal, fn->nparams <= fn->ins.len, "has fewer values than parameters");
    for (Val v = 0; v < fn->ins.len; v++) {
        verify_operands(p, fn, v);
        const Ins *i = &fn->ins.data[v];
        OpClass cls = op_info[i->op].cls;
        if (i->op == Op_get) {
            verify_get(p, fn, v);
        } else if (cls == ClsCall || cls == ClsOperator) {
            verify_call(p, fn, v);
        } else if (cls == ClsRegion) {
            verify_region(p, fn, v);
        } else {
            VERIFY(p, fn, v, i->type.shape, "has no type");
            verify_type(p, fn, v);
        }
        if (i->op == Op_const) verify_const(p, fn, v);
        VERIFY(p, fn, v, cls != ClsOperator || !(fn->props & PropNoOperators),
               "operators should be gone");
    }
    verify_results(p, fn);
    if (fn->props & PropFused) verify_kernels(p, fn);
    if (fn->props & PropPlanned) verify_plan(p, fn);
}

static void verify_stage(const Program *p, const Stage *s) {
#define FN(name) s->name,
    const Sym fns[] = {s->loss, STAGE_ENTRIES(FN)};
#undef FN
    for (size_t k = 0; k < LEN(fns); k++) {
        if (fns[k] && !program_fn(p, fns[k])) {
            bug_at(p->cx, s->loc, "train %s: there is no fn %s", s->name, fns[k]);
        }
    }
}

void verify_program(const Program *p) {
    for (uint32_t k = 0; k < p->fns.len; k++) {
        const Fn *fn = p->fns.data[k];
        VERIFY(p, fn, NoVal, program_fn(p, fn->name) == fn, "the name stands twice");
        verify_fn(p, fn);
    }
    if (p->init && !program_fn(p, p->init)) BUG(p->cx, "there is no init fn %s", p->init);
    for (uint32_t k = 0; k < p->stages.len; k++) verify_stage(p, p->stages.data[k]);
}
