/* backward and forward rules as IR functions, instantiated for operand types. */
#include "frontend/lower.h"

#include <stdlib.h>

static const FnInst *ruled_inst(const Front *fr, Sym name) {
    for (uint32_t i = 0; i < fr->ruled.len; i++) {
        if (fr->ruled.data[i]->fn->name == name) return fr->ruled.data[i];
    }
    return NULL;
}

static Sym rule_key(Front *fr, RuleKind kind, Sym name, const Ins *site, const Type *args,
                    const Type *results, uint32_t nresults) {
    Text t = {0};
    Cx *cx = fr->cx;
    Op op = (Op)site->op;
    text_add(&t, "%d %s", (int)kind, name);
    for (uint32_t i = 0; i < site->nargs; i++) text_add(&t, " %s", type_text(cx, args[i]));
    for (uint32_t i = 0; i < nresults; i++) text_add(&t, " -> %s", type_text(cx, results[i]));
    for (int i = 0; op != Op_call && i < op_info[op].nattrs; i++) {
        const Attr *a = &site->attrs[i];
        switch (a->kind) {
        case AttrInt:
        case AttrBool:
            text_add(&t, " %lld", (long long)a->i);
            break;
        case AttrFloat:
            text_add(&t, " %a", a->f);
            break;
        case AttrInts:
            for (uint32_t k = 0; k < a->is.n; k++) text_add(&t, " [%lld", (long long)a->is.v[k]);
            break;
        case AttrNone:
        case AttrFn:
        case AttrNames:
            break;
        }
        text_add(&t, ";");
    }
    Sym key = sym_n(cx, t.data, t.len);
    free(t.data);
    return key;
}

/* The rule for n operands; a user's replaces the library's everywhere, a library's rule of a fn
 * never applies to a user's fn of that name. */
static const Item *find_rule(const Front *fr, RuleKind kind, Sym name, const FnInst *inst) {
    ItemKind want = kind == RuleBackward ? ItBackward : ItForward;
    bool user_fn = false;
    for (uint32_t i = 0; inst && i < fr->globals.len; i++) {
        if (fr->globals.data[i].item == inst->item) user_fn = !fr->globals.data[i].in_std;
    }
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        const Global *g = &fr->globals.data[i];
        if (g->item->kind != want || g->item->name != name) continue;
        if (user_fn && g->in_std) continue;
        if (inst && g->item->formals.len != inst->item->formals.len) continue;
        if (!inst) {
            Op op = op_by_name(name);
            if (op == OpCount || (int)g->item->formals.len < op_info[op].nargs) continue;
        }
        return g->item;
    }
    return NULL;
}

static Value attr_value(Front *fr, Attr a) {
    switch (a.kind) {
    case AttrInt:
        return v_int(a.i, &dim_computed);
    case AttrBool:
        return v_bool(a.i);
    case AttrFloat:
        return v_float(a.f);
    case AttrInts: {
        Value v = {.kind = VList, .n = a.is.n, .elems = NEW_ARRAY(fr->cx->arena, Value, a.is.n)};
        for (uint32_t i = 0; i < a.is.n; i++) v.elems[i] = v_int(a.is.v[i], &dim_computed);
        return v;
    }
    case AttrNone:
    case AttrFn:
    case AttrNames:
        break;
    }
    return v_error();
}

static void bind_quiet(Frame *f, Sym name, Value v) {
    bind_name(f, name, f->item->loc, v, false);
    if (f->scope->names.len) f->scope->names.data[f->scope->names.len - 1].quiet = true;
}

static Val param(Frame *f, Sym name, Type t) {
    Val v = b_param(f->b, name, t);
    bind_quiet(f, name, v_tensor(f, v, NULL));
    return v;
}

/* The operand formals of the rule: tensors become parameters in order, the rest are bound to the
 * compile-time values of the instance. operand[i]: the formal's name. */
static bool bind_rule_operands(Frame *f, const Item *rule, const FnInst *inst, const Ins *site,
                               const Type *args, const Sym *operand) {
    Front *fr = f->fr;
    for (uint32_t i = 0; i < site->nargs; i++) param(f, operand[i], args[i]);
    Op op = (Op)site->op;
    for (int i = 0; !inst && i < op_info[op].nattrs; i++) {
        bind_quiet(f, sym(fr->cx, op_info[op].attrs[i].name), attr_value(fr, site->attrs[i]));
    }
    for (uint32_t i = 0; inst && i < rule->formals.len; i++) {
        Sym own = inst->item->formals.data[i].name;
        for (uint32_t k = 0; k < inst->statics.len; k++) {
            if (inst->statics.data[k].name == own) {
                bind_quiet(f, rule->formals.data[i].name, inst->statics.data[k].value);
            }
        }
    }
    return true;
}

/* The rule's names of the run-time operands of the site. */
static Sym *operand_names(Front *fr, const Item *rule, const FnInst *inst, const Ins *site) {
    Sym *names = NEW_ARRAY(fr->cx->arena, Sym, site->nargs);
    for (uint32_t i = 0; i < site->nargs; i++) {
        if (!inst) {
            names[i] = rule->formals.data[i].name;
            continue;
        }
        Sym own = inst->fn->ins.data[i].name;
        for (uint32_t k = 0; k < inst->item->formals.len; k++) {
            if (inst->item->formals.data[k].name == own) names[i] = rule->formals.data[k].name;
        }
        if (!names[i]) names[i] = own;
    }
    return names;
}

static const Stmt *rule_line(const Item *rule, Sym name) {
    for (uint32_t i = 0; i < rule->body->stmts.len; i++) {
        const Stmt *st = rule->body->stmts.data[i];
        if (st->kind == StRuleLine && st->name == name) return st;
    }
    return NULL;
}

static Val no_cotangent(Frame *f, Type t, Loc loc, const char *why) {
    b_at(f->b, loc, sym(f->fr->cx, why));
    return dtype_is_float(t.dt) ? b_float(f->b, t, 0) : b_int(f->b, t, 0);
}

/* One line's value, of at least the type's shape. */
static Val line_value(Frame *f, const Item *rule, Sym name, Type t) {
    Cx *cx = f->fr->cx;
    const Stmt *st = rule_line(rule, name);
    if (!st) {
        diag_error(cx, rule->name_loc,
                   "the rule of '%s' has no line for '%s'; write '%s: zero;' or "
                   "'%s: nodiff;' if it has no derivative",
                   rule->name, name, name, name);
        return NoVal;
    }
    bool word = st->e->kind == ExName && !find_binding(f, st->e->name);
    if (word && entry_named(st->e->name) != EntryValue) {
        return no_cotangent(f, t, st->loc, st->e->name);
    }
    Value v = v_materialise(f, st->e->loc, lower_expr(f, st->e, NULL), (int)t.dt, NULL);
    if (v.kind != VTensor) return NoVal;
    Type have = v_type(f, v);
    if (have.dt != t.dt) {
        diag_error(cx, st->e->loc, "the line of '%s' is %s, '%s' is %s", name, type_text(cx, have),
                   name, type_text(cx, t));
        return NoVal;
    }
    uint32_t rank = have.shape->rank, want = t.shape->rank;
    bool fits = true;
    for (uint32_t i = 0; i < rank && i < want; i++) {
        int64_t a = have.shape->dim[rank - 1 - i], b = t.shape->dim[want - 1 - i];
        fits &= a == b || a == 1 || b == 1;
    }
    if (!fits) {
        diag_error(cx, st->e->loc, "the line of '%s' is %s, '%s' is %s", name, type_text(cx, have),
                   name, type_text(cx, t));
        return NoVal;
    }
    return rank < want ? b_broadcast(f->b, v.v, t.shape) : v.v;
}

static bool lower_lets(Frame *f, const Item *rule) {
    uint32_t errors = f->fr->cx->errors;
    Block lets = *rule->body;
    lets.stmts.data = NULL;
    lets.stmts.len = lets.stmts.cap = 0;
    for (uint32_t i = 0; i < rule->body->stmts.len; i++) {
        if (rule->body->stmts.data[i]->kind == StLet) lower_statement(f, rule->body->stmts.data[i]);
    }
    return f->fr->cx->errors == errors;
}

static DType rule_real(const Type *args, uint32_t n, DType other) {
    for (uint32_t i = 0; i < n; i++) {
        if (dtype_is_float(args[i].dt)) return args[i].dt;
    }
    return other;
}

static uint32_t float_count(const Type *t, uint32_t n) {
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) k += dtype_is_float(t[i].dt);
    return k;
}

/* Cotangents of the results or tangents of the operands, the float ones in order. */
static bool bind_tangents(Frame *f, const Item *rule, const Type *t, uint32_t n) {
    uint32_t k = 0, want = float_count(t, n);
    if (rule->tangents.len < want) {
        diag_error(f->fr->cx, rule->name_loc,
                   "the rule of '%s' names %u cotangents or tangents, %u are needed", rule->name,
                   rule->tangents.len, want);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (dtype_is_float(t[i].dt)) param(f, rule->tangents.data[k++].name, t[i]);
    }
    for (; k < rule->tangents.len; k++) bind_quiet(f, rule->tangents.data[k].name, v_float(0));
    return true;
}

static Fn *build_rule(Front *fr, RuleKind kind, const Item *rule, const FnInst *inst,
                      const Ins *site, const Type *args, const Type *results, uint32_t nresults) {
    Cx *cx = fr->cx;
    Root *root = root_new(fr, sym_fmt(cx, "%s_rule", rule->name));
    Frame f = {.fr = fr,
               .root = root,
               .b = root->b,
               .item = rule,
               .hdr = header_new(fr, rule),
               .real = rule_real(args, site->nargs, fr->p->real),
               .in_std = item_in_std(fr, rule)};
    scope_push(&f);
    if (rule->outputs.len != nresults) {
        diag_error(cx, rule->name_loc, "the rule of '%s' names %u results, it has %u", rule->name,
                   rule->outputs.len, nresults);
        return NULL;
    }
    Sym *operand = operand_names(fr, rule, inst, site);
    bind_rule_operands(&f, rule, inst, site, args, operand);
    for (uint32_t i = 0; i < nresults; i++) param(&f, rule->outputs.data[i].name, results[i]);
    bool backward = kind == RuleBackward;
    if (!bind_tangents(&f, rule, backward ? results : args, backward ? nresults : site->nargs))
        return NULL;
    /* markers first: a later equal constant then merges into them, not they into it */
    for (uint32_t i = 0; backward && i < site->nargs; i++) {
        const Stmt *st = rule_line(rule, operand[i]);
        if (st && st->e->kind == ExName && entry_named(st->e->name) == EntryNoDiff)
            no_cotangent(&f, args[i], st->loc, "nodiff");
    }
    b_at(f.b, rule->loc, NULL);
    if (!lower_lets(&f, rule)) return NULL;
    uint32_t n = backward ? site->nargs : nresults;
    for (uint32_t i = 0; i < n; i++) {
        Type t = backward ? args[i] : results[i];
        if (!backward && !dtype_is_float(t.dt)) continue;
        Val v = !dtype_is_float(t.dt)
                    ? no_cotangent(&f, t, rule->loc, "zero")
                    : line_value(&f, rule, backward ? operand[i] : rule->outputs.data[i].name, t);
        if (v == NoVal) return NULL;
        b_result(f.b, v);
    }
    if (root->captures.len) {
        diag_error(cx, rule->name_loc,
                   "the rule of '%s' uses '%s' from outside; a rule sees its operands only",
                   rule->name, root->captures.data[0].path);
        return NULL;
    }
    Fn *fn = root_done(fr, root);
    fn->loc = rule->name_loc;
    fn->surrogate = rule->surrogate;
    return fn;
}

Fn *front_rule(Program *p, RuleKind kind, Sym name, const Ins *site, const Type *args,
               const Type *results, uint32_t nresults) {
    Front *fr = p->front;
    const FnInst *inst = site->op == Op_call ? ruled_inst(fr, name) : NULL;
    if (site->op == Op_call && !inst) return NULL;
    if (!site->op && !name) return NULL;
    Sym key = rule_key(fr, kind, name, site, args, results, nresults);
    for (uint32_t i = 0; i < fr->rules.len; i++) {
        if (fr->rules.data[i].key == key) return fr->rules.data[i].fn;
    }
    const Item *rule = find_rule(fr, kind, inst ? inst->item->name : name, inst);
    if (rule && item_is_ir_rule(rule)) read_callees_again(fr, rule);
    Fn *fn = !rule ? NULL
             : item_is_ir_rule(rule)
                 ? read_ir_rule(p, kind, rule, args, site->nargs, results, nresults)
                 : build_rule(fr, kind, rule, inst, site, args, results, nresults);
    if (fn || !rule)
        vec_push(p->cx->arena, &fr->rules, (RuleKey){key, fn}); /* a wrong one is said again */
    return fn;
}
