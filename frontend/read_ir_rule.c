/* Rules in IR text: their lets as they stand, typed by the site that asks. */
#include "frontend/read_ir.h"

bool item_is_ir_rule(const Item *rule) {
    if (!rule->body->origin.loc.file) return false;
    for (uint32_t i = 0; i < rule->body->stmts.len; i++) {
        const Stmt *st = rule->body->stmts.data[i];
        if (st->kind == StLet && !st->origin.loc.file) return false;
    }
    return true;
}

void ir_callees(Cx *cx, const Item *item, Syms *out) {
    for (uint32_t i = 0; i < item->body->stmts.len; i++) {
        const Stmt *st = item->body->stmts.data[i];
        if (st->kind != StLet) continue;
        const Expr *e = st->e ? st->e : st->binds.data[0].init;
        if (e->kind != ExCall) continue;
        if (e->x->kind == ExName) vec_push(cx->arena, out, e->x->name);
        for (uint32_t k = 0; e->x->kind == ExIndex && k < e->x->args.len; k++) {
            const Arg *a = &e->x->args.data[k];
            if (!a->name && a->value->kind == ExName) vec_push(cx->arena, out, a->value->name);
        }
    }
}

static const Stmt *rule_line(const Item *rule, Sym name) {
    for (uint32_t i = 0; i < rule->body->stmts.len; i++) {
        const Stmt *st = rule->body->stmts.data[i];
        if (st->kind == StRuleLine && st->name == name) return st;
    }
    return NULL;
}

/* The value that a line names, or the constant that stands for `zero` and `nodiff`. */
static bool read_rule_line(Reader *r, Sym name, Type t) {
    const Stmt *st = dtype_is_float(t.dt) ? rule_line(r->item, name) : NULL;
    if (!st && dtype_is_float(t.dt))
        return ir_wrong(r, r->item->name_loc, "the rule has no line for '%s'", name);
    bool word = st && st->e->kind == ExName && entry_named(st->e->name) != EntryValue;
    Val v = NoVal;
    if (!st || word) {
        b_at(r->b, r->item->body->origin.loc, sym(r->cx, word ? st->e->name : "zero"));
        v = b_const(r->b, t, &(Num){0}, 1);
    } else if (!ir_find(r, st->e, &v)) {
        return false;
    }
    b_result(r->b, v);
    return true;
}

static void rule_params(Reader *r, const Binds *names, const Type *types, uint32_t n, bool floats) {
    for (uint32_t i = 0, k = 0; i < n && k < names->len; i++) {
        if (floats && !dtype_is_float(types[i].dt)) continue;
        Sym name = names->data[k++].name;
        struct Named named = {name, b_param(r->b, name, types[i])};
        vec_push(r->cx->arena, &r->names, named);
    }
}

Fn *read_ir_rule(Program *p, RuleKind kind, const Item *rule, const Type *args, uint32_t nargs,
                 const Type *results, uint32_t nresults) {
    Reader r = {.p = p, .cx = p->cx, .item = rule, .b = builder_new(p, rule->name, true)};
    bool backward = kind == RuleBackward;
    if (rule->formals.len != nargs || rule->outputs.len != nresults) {
        ir_wrong(&r, rule->name_loc, "the rule of '%s' is for %u operands and %u results",
                 rule->name, rule->formals.len, rule->outputs.len);
        return NULL;
    }
    rule_params(&r, &rule->formals, args, nargs, false);
    rule_params(&r, &rule->outputs, results, nresults, false);
    rule_params(&r, &rule->tangents, backward ? results : args, backward ? nresults : nargs, true);
    for (uint32_t i = 0; i < rule->body->stmts.len; i++) {
        const Stmt *st = rule->body->stmts.data[i];
        if (st->kind == StLet && !ir_read_let(&r, st)) return NULL;
    }
    for (uint32_t i = 0; i < (backward ? nargs : nresults); i++) {
        Type t = backward ? args[i] : results[i];
        if (!backward && !dtype_is_float(t.dt)) continue;
        if (!read_rule_line(&r, (backward ? &rule->formals : &rule->outputs)->data[i].name, t))
            return NULL;
    }
    Fn *fn = builder_done(r.b);
    fn->loc = rule->body->origin.loc;
    fn->surrogate = rule->surrogate;
    return fn;
}
