/* bpc check --rules: every row of ops.def and every function of the library with a rule of its own,
 * for operands drawn at random, and the engine's own rules by small programs. */
#include "driver/check_site.h"
#include "driver/check_table.h"

#include <math.h>

/* ---- a row ---- */

static void row_found(void *data, const Site *s, Proving what, uint32_t k, double error,
                      double gate) {
    TableRow *r = data;
    Cx *cx = r->c->p->cx;
    r->worst[what] = fmax(r->worst[what], error);
    r->gate[what] = fmax(r->gate[what], gate);
    if (error <= gate) return;
    r->failed = true;
    if (r->told++) return;
    diag_error(cx, site_line(s, what, k), "the rule %s is false: it differs by %.1e",
               site_label(s, what, k), error);
    diag_note(cx, (Loc){0}, "shown by %s", r->shown);
}

static void count_sizes(TableRow *r, const Site *s) {
    r->sites++;
    for (uint32_t k = 0; k < s->ins->nargs; k++) {
        const Shape *shape = s->args[k].shape;
        for (uint32_t d = 0; d < shape->rank; d++) {
            int64_t n = shape->dim[d];
            r->sizes |= n == 0 ? 1 : n == 1 ? 2 : n != 4 ? 4 : 0;
        }
    }
}

void table_prove(TableRow *r, Site *s, Domain domain) {
    bool single = false, errors = false;
    for (uint32_t k = 0; k < s->ins->nargs; k++) single |= s->args[k].dt == F32;
    for (uint32_t k = 0; k < s->nresults; k++) single &= s->results[k].dt != F64;
    uint32_t before = r->c->p->cx->errors;
    if (!site_open(s, r->c->p)) {
        r->failed |= r->c->p->cx->errors != before;
        return;
    }
    r->rules |= (s->back ? 1U : 0) | (s->ahead ? 2U : 0);
    if (!site_draw(s, domain)) return;
    if (single) {
        errors = !site_single(s, row_found, r);
    } else {
        count_sizes(r, s);
        errors = !site_first(s, row_found, r) || !site_second(s, row_found, r);
    }
    r->failed |= errors;
    arena_reset(r->c->p->cx->scratch);
}

/* "3 shapes: 0 1 prime" */
static const char *shapes_text(const TableRow *r) {
    return arena_printf(r->c->a, "%2u shapes:%s%s%s", r->sites, r->sizes & 1 ? " 0" : "",
                        r->sizes & 2 ? " 1" : "", r->sizes & 4 ? " prime" : "");
}

static const char *gate_text(const TableRow *r, Proving what) {
    if (!r->gate[what]) return "-";
    if (r->c->o->verbose) return arena_printf(r->c->a, "%.1e", r->worst[what]);
    return arena_printf(r->c->a, "%.0e", r->gate[what]);
}

/* False where the row proves nothing. */
void table_row(TableRow *r, const char *name) {
    static const char *const rules[] = {"engine", "B", "J", "B J"};
    Check *c = r->c;
    bool nothing = !r->sites;
    printf("%-5s  %-20s  %-6s  %-22s  %-7s  %-7s  %-7s  %s\n",
           r->failed || nothing ? "FALSE" : "ok", name, rules[r->rules & 3], shapes_text(r),
           gate_text(r, ProvesBackward), gate_text(r, ProvesForward), gate_text(r, ProvesTwice),
           !r->gate[ProvesSingle] ? "-"
           : c->o->verbose        ? arena_printf(c->a, "%.1f", r->worst[ProvesSingle])
                                  : "yes");
    c->failures += r->failed || nothing;
    if (nothing) diag_error(c->p->cx, (Loc){0}, "'%s' has no operands that its rule takes", name);
}

bool table_wanted(Check *c, const char *name) {
    bool named = !c->o->rest.len;
    vec_push(c->a, &c->rows, name);
    for (uint32_t i = 0; i < c->o->rest.len; i++) named |= !strcmp(c->o->rest.data[i], name);
    return named;
}

static void report_unknown(const Check *c) {
    for (uint32_t i = 0; i < c->o->rest.len; i++) {
        const char *name = c->o->rest.data[i];
        uint32_t k = 0;
        while (k < c->rows.len && strcmp(c->rows.data[k], name)) k++;
        if (k < c->rows.len) continue;
        diag_unknown(c->o->cx, (Loc){0}, name, c->rows.data, c->rows.len,
                     "the table of rules has no row '%s'", name);
    }
}

/* ---- operations ---- */

static void prove_instances(TableRow *r, Op op, DType dt) {
    enum { PerOp = 10 };
    Check *c = r->c;
    Drawer d = {.p = c->p, .a = c->a, .key = 1};
    Instance all[PerOp];
    uint32_t n = instances_draw(&d, op, dt, true, all, PerOp);
    for (uint32_t i = 0; i < n; i++) {
        Instance *x = &all[i];
        Ins *ins = NEW(c->p->cx->arena, Ins);
        *ins = x->fn->ins.data[x->fn->results.data[0]];
        *ins = (Ins){.op = (uint16_t)op, .nargs = x->n, .attrs = ins->attrs, .type = x->result};
        Site s = {.c = c, .ins = ins, .name = sym(c->p->cx, op_info[op].name), .args = x->args,
                  .results = &x->result, .nresults = 1};
        if (ins->op != x->fn->ins.data[x->fn->results.data[0]].op) continue; /* folded away */
        r->shown = instance_text(&d, x);
        table_prove(r, &s, op_info[op].domain);
    }
}

static void prove_operations(Check *c) {
    for (Op op = 0; op < OpCount; op++) {
        TableRow r = {.c = c};
        if (!can_draw(op) || !table_wanted(c, op_info[op].name)) continue;
        prove_instances(&r, op, F64);
        prove_instances(&r, op, F32);
        bool floats = r.sites || r.failed; /* else a row of integers and bools */
        if (floats) table_row(&r, op_info[op].name);
    }
}

int command_check_rules(Options *o) {
    static const FrontOptions none = {0};
    static const char text[] = "export fn id(x: f64) -> f64 { return x + 1; }";
    Check c = {.o = o, .a = arena_new(), .key = 1};
    Program *p = front_load_text(o->cx, sym(o->cx, "rules"), text, sizeof text - 1, &none);
    if (!p) return compile_report(o);
    if (o->file) vec_push(o->cx->arena, &o->rest, o->file); /* a row named before --rules */
    c.p = p;
    printf("%-5s  %-20s  %-6s  %-22s  %-7s  %-7s  %-7s  %s\n", "", "operation", "rules", "operands",
           "back", "ahead", "twice", "f32");
    prove_operations(&c);
    printf("\n%-5s  %-20s  %-6s  %-22s  %-7s  %-7s  %-7s  %s\n", "", "function", "rules",
           "operands", "back", "ahead", "twice", "f32");
    prove_library(&c);
    printf("\n%-5s  %-20s  %s\n", "", "of the engine", "steps");
    c.p = p;
    prove_engine(&c);
    prove_kinks(&c);
    report_unknown(&c);
    if (c.failures && !o->cx->errors) diag_error(o->cx, (Loc){0}, "a derivative is false");
    arena_free(c.a);
    return compile_report(o);
}
