/* Every backward and forward rule that a differentiated function uses, where it uses it: of each
 * rule and ranks of operands the smallest use. */
#include "driver/check_site.h"

#include <math.h>
#include <stdlib.h>

typedef struct Use { /* of a rule for operands of these ranks */
    Sym key;
    Site site;
    double work;
} Use;
typedef VEC(Use) Uses;

static void report_found(void *data, const Site *s, Proving what, uint32_t k, double error,
                         double gate) {
    Check *c = s->c;
    Cx *cx = c->p->cx;
    bool ok = error <= gate || s->surrogate, *all = data;
    const char *label = site_label(s, what, k);
    *all &= ok;
    report_row(c, ok, s->surrogate ? arena_printf(c->a, "%s (surrogate)", label) : label, error);
    if (ok) return;
    diag_error(cx, site_line(s, what, k),
               "the rule %s is false: it differs from the function's %s by %.1e", label,
               what == ProvesModes ? "other rule" : "difference", error);
    if (s->ins->loc.line) diag_note(cx, s->ins->loc, "'%s' is used here", s->name);
}

static Sym key_of(Check *c, const Site *s) {
    Text t = {0};
    text_add(&t, "%s", s->name);
    for (uint32_t k = 0; k < s->ins->nargs; k++) text_add(&t, " %u", s->args[k].shape->rank);
    Sym key = sym_n(c->p->cx, t.data, t.len);
    free(t.data);
    return key;
}

static void add_use(Check *c, const Fn *fn, const Ins *ins, Uses *uses) {
    Arena *a = c->p->cx->arena;
    bool call = ins->op == Op_call;
    Site s = {.c = c, .ins = ins};
    s.name = call ? ins->attrs[0].s : sym(c->p->cx, op_info[ins->op].name);
    const Fn *callee = call ? program_fn(c->p, s.name) : NULL;
    s.nresults = callee ? callee->results.len : 1;
    s.args = NEW_ARRAY(a, Type, ins->nargs);
    s.results = NEW_ARRAY(a, Type, s.nresults);
    double work = callee ? fn_work(c->p, callee) : 0;
    for (uint32_t k = 0; k < ins->nargs; k++) {
        s.args[k] = fn->ins.data[ins->args[k]].type;
        work += (double)s.args[k].shape->size;
    }
    for (uint32_t r = 0; r < s.nresults; r++) {
        s.results[r] = callee ? result_type(callee, r) : ins->type;
        work += (double)s.results[r].shape->size;
    }
    Sym key = key_of(c, &s);
    for (uint32_t i = 0; i < uses->len; i++) {
        Use *u = &uses->data[i];
        if (u->key != key) continue;
        /* an empty operand shows nothing */
        if (work > 0 && work < u->work) *u = (Use){key, s, work};
        return;
    }
    vec_push(a, uses, (Use){key, s, work});
}

static bool seen(Check *c, const Fn *fn) {
    for (uint32_t i = 0; i < c->done.len; i++) {
        if (c->done.data[i] == fn->name) return true;
    }
    vec_push(c->p->cx->arena, &c->done, fn->name);
    return false;
}

static void collect(Check *c, const Fn *fn, Uses *uses) {
    if (seen(c, fn)) return;
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        OpClass cls = op_info[ins->op].cls;
        if (cls == ClsRegion) {
            Region r = region_of(c->p, ins);
            collect(c, r.body, uses);
            if (r.other) collect(c, r.other, uses);
        } else if (ins->op == Op_call) {
            add_use(c, fn, ins, uses);
            collect(c, program_fn(c->p, ins->attrs[0].s), uses);
        } else if (cls != ClsCall && cls != ClsOperator && cls != ClsSource) {
            add_use(c, fn, ins, uses);
        }
    }
}

static void prove_use(Check *c, Site *s) {
    bool ok = true;
    if (!site_open(s, c->p)) return;
    if (s->surrogate) vec_push(c->p->cx->arena, &c->surrogates, s->name);
    if (!site_draw(s, s->ins->op == Op_call ? DomAny : op_info[s->ins->op].domain)) return;
    if (site_first(s, report_found, &ok) && ok && !s->surrogate && fn_work(c->p, s->alone) < 1e6) {
        Cx *cx = c->p->cx;
        uint32_t errors = cx->errors, diags = cx->diags.len;
        if (!site_second(s, report_found, &ok)) { /* order two was not asked for */
            cx->errors = errors;
            cx->diags.len = diags;
        }
    }
}

void check_rules(Check *c, const Header *h, uint32_t n) {
    Uses uses = {0};
    for (uint32_t i = 0; i < n; i++) collect(c, h[i].f, &uses);
    for (uint32_t i = 0; i < uses.len; i++) {
        prove_use(c, &uses.data[i].site);
        arena_reset(c->p->cx->scratch);
    }
}

bool uses_surrogate(const Check *c, const Fn *fn) {
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *ins = &fn->ins.data[v];
        Sym name = ins->op == Op_call ? ins->attrs[0].s : sym(c->p->cx, op_info[ins->op].name);
        for (uint32_t i = 0; i < c->surrogates.len; i++) {
            if (c->surrogates.data[i] == name) return true;
        }
        for (int k = 0; k < op_info[ins->op].nattrs; k++) {
            bool refers = ins->attrs[k].kind == AttrFn;
            if (refers && uses_surrogate(c, program_fn(c->p, ins->attrs[k].s))) return true;
        }
    }
    return false;
}
