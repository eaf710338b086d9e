/* The IR as .bp:
 *
 *   fn loss(w: f32[3], x: f32[3]) -> f32 {  //@ m.bp:1:4
 *     let y: f32[3] = mul(w, x);  //@ m.bp:2:11
 *     let (a: f32, g: f32[3]) = value_and_grad[f, wrt=w](w, y);  //@ m.bp:3:3
 *     return a;
 *   }
 *
 * print(parse(print(p))) = print(p). Tests: tests/ir/print_test.c. */
#include "ir/print.h"

Printer printer_of(const Program *p, const Fn *fn, Text *out) {
    return (Printer){p, fn, print_names(p, fn), print_inlined(p, fn), out, false};
}

static void add_type(const Printer *w, Type t) {
    text_add(w->out, "%s", type_text(w->p->cx, t));
}

void add_origin(Text *out, Loc loc, Sym rule) {
    text_add(out, "  //@ %s:%u:%u", loc.file ? loc.file : "none", loc.line, loc.col);
    if (rule) text_add(out, " %s", rule);
}

static void add_doc(Text *out, const char *doc) {
    while (doc && *doc) {
        size_t n = strcspn(doc, "\n");
        text_add(out, n ? "/// %.*s\n" : "///\n", (int)n, doc);
        doc += n + (doc[n] == '\n');
    }
}

/* ---- the right side ---- */
static void add_constant(const Printer *w, const Ins *i) {
    if (i->ndata == 1) {
        print_num(w->out, i->type.dt, i->data[0]);
        return;
    }
    text_add(w->out, "[");
    for (uint64_t k = 0; k < i->ndata; k++) {
        if (k) text_add(w->out, ", ");
        print_num(w->out, i->type.dt, i->data[k]);
    }
    text_add(w->out, "]");
}

static void add_attr(Text *out, Attr a) {
    char buf[32];
    switch (a.kind) {
    case AttrNone:
        break;
    case AttrInt:
        text_add(out, "%lld", (long long)a.i);
        break;
    case AttrBool:
        text_add(out, "%s", a.i ? "true" : "false");
        break;
    case AttrFn:
        text_add(out, "%s", a.s);
        break;
    case AttrFloat:
        print_f64(buf, a.f);
        text_add(out, "%s", buf);
        break;
    case AttrInts:
        text_add(out, "[");
        for (uint32_t k = 0; k < a.is.n; k++) {
            text_add(out, "%s%lld", k ? ", " : "", (long long)a.is.v[k]);
        }
        text_add(out, "]");
        break;
    case AttrNames:
        text_add(out, a.names.n == 1 ? "" : "(");
        for (uint32_t k = 0; k < a.names.n; k++) {
            text_add(out, "%s%s", k ? ", " : "", a.names.v[k]);
        }
        text_add(out, a.names.n == 1 ? "" : ")");
        break;
    }
}

/* Functions and names stand in the brackets after the operation. */
static bool in_brackets(AttrKind kind) {
    return kind == AttrFn || kind == AttrNames;
}

static void add_attrs(const Printer *w, const Ins *i, bool brackets, const char *comma) {
    const OpInfo *info = &op_info[i->op];
    for (int k = 0; k < info->nattrs; k++) {
        if (i->attrs[k].kind == AttrNone || in_brackets(info->attrs[k].kind) != brackets) continue;
        text_add(w->out, "%s", comma);
        if (i->attrs[k].kind != AttrFn) text_add(w->out, "%s=", info->attrs[k].name);
        add_attr(w->out, i->attrs[k]);
        comma = ", ";
    }
}

static void add_head(const Printer *w, const Ins *i) {
    if (i->op == Op_call) {
        text_add(w->out, "%s", i->attrs[0].s);
    } else if (i->op == Op_cast) {
        add_type(w, (Type){i->type.dt, i->type.range, NULL});
    } else {
        text_add(w->out, "%s", op_info[i->op].name);
        if (op_info[i->op].nattrs && in_brackets(op_info[i->op].attrs[0].kind)) {
            text_add(w->out, "[");
            add_attrs(w, i, true, "");
            text_add(w->out, "]");
        }
    }
}

static void add_right_side(const Printer *w, const Ins *i) {
    if (i->op == Op_const) {
        add_constant(w, i);
        return;
    }
    add_head(w, i);
    text_add(w->out, "(");
    for (uint32_t k = 0; k < i->nargs; k++) {
        text_add(w->out, "%s%s", k ? ", " : "", w->names[i->args[k]]);
    }
    add_attrs(w, i, false, i->nargs ? ", " : "");
    text_add(w->out, ")");
}

/* ---- lines ---- */
static void add_binding(const Printer *w, Val v) {
    text_add(w->out, "%s: ", w->names[v]);
    add_type(w, w->fn->ins.data[v].type);
}

void print_line(const Printer *w, Val v) {
    const Ins *i = &w->fn->ins.data[v];
    text_add(w->out, "let ");
    if (i->type.shape) {
        add_binding(w, v);
    } else {
        uint32_t n = count_results(w->fn, v);
        for (uint32_t k = 0; k < n; k++) {
            text_add(w->out, k ? ", " : "(");
            add_binding(w, v + 1 + k);
        }
        text_add(w->out, ")");
    }
    text_add(w->out, " = ");
    add_right_side(w, i);
    text_add(w->out, ";");
    add_origin(w->out, i->loc, i->rule);
}

void print_ins(const Program *p, const Fn *fn, Val v, Text *out) {
    Printer w = printer_of(p, fn, out);
    if (fn->ins.data[v].op == Op_get) v = fn->ins.data[v].args[0];
    if (v < fn->nparams)
        add_binding(&w, v);
    else
        print_line(&w, v);
}

static void add_header(const Printer *w) {
    const Fn *fn = w->fn;
    text_add(w->out, "%sfn %s(", fn->exported ? "export " : "", fn->name);
    for (Val v = 0; v < fn->nparams; v++) {
        if (v) text_add(w->out, ", ");
        add_binding(w, v);
    }
    text_add(w->out, fn->results.len == 1 ? ") -> " : ") -> (");
    for (uint32_t r = 0; r < fn->results.len; r++) {
        if (r) text_add(w->out, ", ");
        add_type(w, fn->ins.data[fn->results.data[r]].type);
    }
    text_add(w->out, fn->results.len == 1 ? " {" : ") {");
    add_origin(w->out, fn->loc, fn->rule);
    text_add(w->out, "\n");
}

void print_lines(const Printer *w) {
    for (Val v = w->fn->nparams; v < w->fn->ins.len; v++) {
        const Ins *i = &w->fn->ins.data[v];
        if (w->inlined[v] || i->op == Op_get) continue;
        if (w->rule && rule_entry(i) != EntryValue) continue;
        text_add(w->out, "  ");
        print_line(w, v);
        text_add(w->out, "\n");
    }
}

void print_fn(const Program *p, const Fn *fn, Text *out) {
    Printer w = printer_of(p, fn, out);
    add_doc(out, fn->doc);
    add_header(&w);
    print_lines(&w);
    text_add(out, "  return ");
    for (uint32_t r = 0; r < fn->results.len; r++) {
        text_add(out, "%s%s", r ? ", " : "", w.names[fn->results.data[r]]);
    }
    text_add(out, ";\n}\n");
}

/* ---- declarations ---- */
static void add_hyper(Text *out, const Hyper *h) {
    Num x = {.f = h->value};
    if (!dtype_is_float(h->dt)) x.i = (int64_t)h->value;
    add_doc(out, h->doc);
    text_add(out, "hyper %s: %s = ", h->name, dtype_name(h->dt));
    print_num(out, h->dt, x);
    text_add(out, ";\n");
}

static void add_setting_name(Text *out, const char *key, Sym name) {
    if (name) text_add(out, " %s = %s;", key, name);
}

static void add_setting_int(Text *out, const char *key, int64_t n) {
    if (n) text_add(out, " %s = %lld;", key, (long long)n);
}

static void add_names(Text *out, const char *key, const Sym *names, uint32_t n) {
    if (!n) return;
    text_add(out, " %s = [", key);
    for (uint32_t k = 0; k < n; k++) text_add(out, "%s\"%s\"", k ? ", " : "", names[k]);
    text_add(out, "];");
}

static void add_print(Text *out, const PrintLine *line) {
    text_add(out, " print ");
    for (uint32_t k = 0; k < line->parts.len; k++) {
        const PrintPart *part = &line->parts.data[k];
        text_add(out, k ? ", " : "");
        if (part->text) {
            text_add_quoted(out, part->text);
        } else if (part->decode) {
            text_add(out, "decode(%s, %u)", part->decode, part->value);
        } else {
            text_add(out, "%u", part->value);
        }
    }
    text_add(out, ";");
}

static void add_stage(const Program *p, Text *out, const Stage *s) {
    add_doc(out, s->doc);
    text_add(out, "train %s on %s.%s as (", s->name, s->dataset, s->split);
    for (uint32_t k = 0; k < s->binds.len; k++) {
        text_add(out, "%s%s", k ? ", " : "", s->binds.data[k]);
    }
    text_add(out, ") {");
    add_setting_name(out, "loss", s->loss);
    add_setting_name(out, "init", p->init);
#define FN(name) add_setting_name(out, #name, s->name);
    STAGE_ENTRIES(FN)
#undef FN
    add_names(out, "metrics", s->metrics.data, s->metrics.len);
    add_names(out, "finals", s->finals.data, s->finals.len);
    for (uint32_t k = 0; k < s->prints.len; k++) add_print(out, &s->prints.data[k]);
#define COUNT(name) add_setting_int(out, #name, s->name);
    STAGE_COUNTS(COUNT)
#undef COUNT
    if (s->has_seed) text_add(out, " seed = %lld;", (long long)s->seed);
    if (s->valid_dataset) text_add(out, " valid = %s.%s;", s->valid_dataset, s->valid_split);
    text_add(out, " }\n");
}

/* Rules belong to the text as long as something is to be differentiated by them. */
static bool has_operators(const Program *p) {
    for (uint32_t k = 0; k < p->fns.len; k++) {
        const Fn *fn = p->fns.data[k];
        for (Val v = 0; v < fn->ins.len; v++) {
            if (op_info[fn->ins.data[v].op].cls == ClsOperator) return true;
        }
    }
    return false;
}

void print_program(const Program *p, Text *out) {
    for (uint32_t k = 0; k < p->hypers.len; k++) add_hyper(out, &p->hypers.data[k]);
    for (uint32_t k = 0; k < p->consts.len; k++) {
        text_add(out, "const %s = %s;\n", p->consts.data[k].name, p->consts.data[k].text);
    }
    for (uint32_t k = 0; k < p->datasets.len; k++) {
        const char *text = p->datasets.data[k]->text;
        if (strncmp(text, "///", 3) != 0) add_doc(out, p->datasets.data[k]->doc);
        size_t n = strlen(text);
        text_add(out, "%s%s", text, n && text[n - 1] == '\n' ? "" : "\n");
    }
    bool rules = has_operators(p);
    for (uint32_t k = 0; rules && k < p->op_rules.len; k++)
        text_add(out, "%s", p->op_rules.data[k]);
    for (uint32_t k = 0; k < p->fns.len; k++) {
        print_fn(p, p->fns.data[k], out);
        if (rules) print_rules(p, p->fns.data[k], out);
    }
    for (uint32_t k = 0; k < p->stages.len; k++) add_stage(p, out, p->stages.data[k]);
}
