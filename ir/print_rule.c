/* The rules of functions, as they are instantiated, in the notation of the language:
 *
 *   backward relu(x) -> y (v) {  //@ std/rules.bp:170:10
 *     let t1: bool[5] = gt(x, 0.0);  //@ std/rules.bp:170:32
 *     let t2: f32[5] = where(t1, v, 0.0);  //@ std/rules.bp:170:30
 *     x: t2;
 *   } */
#include "ir/print.h"

/* A list of the rule's parameters [from, to), floats only if asked. */
static void add_names(const Printer *w, uint32_t from, uint32_t to) {
    for (uint32_t v = from; v < to; v++)
        text_add(w->out, "%s%s", v > from ? ", " : "", w->names[v]);
}

static void print_rule(const Program *p, RuleKind kind, const Fn *fn, const Fn *rule, Text *out) {
    Printer w = printer_of(p, rule, out);
    w.rule = true;
    uint32_t n = fn->nparams, r = fn->results.len;
    text_add(out, "%s %s(", kind == RuleBackward ? "backward" : "forward", fn->name);
    add_names(&w, 0, n);
    text_add(out, r == 1 ? ") -> " : ") -> (");
    add_names(&w, n, n + r);
    text_add(out, r == 1 ? " (" : ") (");
    add_names(&w, n + r, rule->nparams);
    text_add(out, ") {");
    add_origin(out, rule->loc, NULL);
    text_add(out, "\n");
    print_lines(&w);
    uint32_t line = 0;
    for (uint32_t k = 0; k < (kind == RuleBackward ? n : r); k++) {
        uint32_t v = kind == RuleBackward ? k : n + k;
        bool is_float = dtype_is_float(rule->ins.data[v].type.dt);
        if (kind == RuleForward && !is_float) continue;
        Val x = rule->results.data[line++];
        const Ins *i = &rule->ins.data[x];
        Sym value = rule_entry(i) != EntryValue ? i->rule : w.names[x];
        if (is_float) text_add(out, "  %s: %s;\n", w.names[v], value);
    }
    text_add(out, "}\n");
}

void print_rules(const Program *p, const Fn *fn, Text *out) {
    if (!p->rule) return;
    Arena *a = p->cx->scratch;
    Attr attr = attr_fn(fn->name);
    Ins site = {.op = Op_call, .nargs = fn->nparams, .attrs = &attr, .loc = fn->loc};
    Type *args = NEW_ARRAY(a, Type, fn->nparams), *results = NEW_ARRAY(a, Type, fn->results.len);
    for (uint32_t i = 0; i < fn->nparams; i++) args[i] = fn->ins.data[i].type;
    for (uint32_t i = 0; i < fn->results.len; i++)
        results[i] = fn->ins.data[fn->results.data[i]].type;
    for (RuleKind k = RuleBackward; k <= RuleForward; k++) {
        const Fn *rule = p->rule((Program *)p, k, fn->name, &site, args, results, fn->results.len);
        if (rule) print_rule(p, k, fn, rule, out);
    }
}
