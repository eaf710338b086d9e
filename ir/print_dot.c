/* --emit=dot: every function as a cluster of its values, kernels as clusters in it; an edge from
 * each operand to its use. Values that print inside others (scalars) have no node.
 *
 *   f0_v3 [label="h: f32[64, 128]\ntanh", tooltip="m.bp:3:11"];
 */
#include "ir/print.h"

/* s inside quotes. */
static void add_quoted(Text *out, const char *s) {
    for (; *s; s++) {
        if (*s == '\n')
            text_add(out, "\\n");
        else
            text_add(out, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
    }
}

static void add_label(const Printer *w, Val v) {
    const Ins *i = &w->fn->ins.data[v];
    text_add(w->out, "label=\"");
    add_quoted(w->out, w->names[v]);
    if (i->type.shape) {
        text_add(w->out, ": ");
        add_quoted(w->out, type_text(w->p->cx, i->type));
    }
    if (i->op != Op_param) text_add(w->out, "\\n%s", op_info[i->op].name);
    for (int k = 0; k < op_info[i->op].nattrs; k++) {
        if (i->attrs[k].kind == AttrFn) text_add(w->out, " %s", i->attrs[k].s);
    }
    text_add(w->out, "\"");
}

static void add_node(const Printer *w, uint32_t f, Val v) {
    const Ins *i = &w->fn->ins.data[v];
    if (w->inlined[v]) return;
    text_add(w->out, "    f%u_v%u [", f, v);
    add_label(w, v);
    if (i->op == Op_param) text_add(w->out, ", shape=ellipse");
    if (i->loc.file) {
        text_add(w->out, ", tooltip=\"");
        add_quoted(w->out, i->loc.file);
        text_add(w->out, ":%u:%u", i->loc.line, i->loc.col);
        if (i->rule) text_add(w->out, " "), add_quoted(w->out, i->rule);
        text_add(w->out, "\"");
    }
    text_add(w->out, "];\n");
}

/* in[v]: the value has its node in a kernel. */
static void add_kernel_nodes(const Printer *w, uint32_t f, const Kernel *k, bool *in) {
    text_add(w->out, "    subgraph cluster_f%u_k%u {\n    label=\"kernel %u\"; color=gray;\n", f,
             k->id, k->id);
    for (uint32_t j = 0; j < k->members.len; j++) {
        Val v = k->members.data[j];
        if (!in[v]) add_node(w, f, v);
        in[v] = true;
    }
    text_add(w->out, "    }\n");
}

static void add_edges(const Printer *w, uint32_t f) {
    for (Val v = 0; v < w->fn->ins.len; v++) {
        const Ins *i = &w->fn->ins.data[v];
        for (uint32_t k = 0; k < i->nargs && !w->inlined[v]; k++) {
            if (!w->inlined[i->args[k]])
                text_add(w->out, "    f%u_v%u -> f%u_v%u;\n", f, i->args[k], f, v);
        }
    }
    for (uint32_t k = 0; k < w->fn->results.len; k++) {
        Val v = w->fn->results.data[k];
        text_add(w->out, "    f%u_r%u [label=\"result %u\", shape=ellipse];\n", f, k, k);
        if (!w->inlined[v]) text_add(w->out, "    f%u_v%u -> f%u_r%u;\n", f, v, f, k);
    }
}

void print_dot(const Program *p, Text *out) {
    text_add(out, "digraph \"");
    add_quoted(out, p->name);
    text_add(out, "\" {\n  node [shape=box, fontname=monospace, fontsize=10];\n");
    for (uint32_t f = 0; f < p->fns.len; f++) {
        const Fn *fn = p->fns.data[f];
        Printer w = printer_of(p, fn, out);
        bool *in = NEW_ARRAY(p->cx->scratch, bool, fn->ins.len + 1);
        text_add(out, "  subgraph cluster_f%u {\n    label=\"%sfn ", f,
                 fn->exported ? "export " : "");
        add_quoted(out, fn->name);
        text_add(out, "\";\n");
        for (uint32_t k = 0; k < fn->kernels.len; k++)
            add_kernel_nodes(&w, f, fn->kernels.data[k], in);
        for (Val v = 0; v < fn->ins.len; v++) {
            if (!in[v]) add_node(&w, f, v);
        }
        add_edges(&w, f);
        text_add(out, "  }\n");
    }
    text_add(out, "}\n");
}
