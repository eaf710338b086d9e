/* --emit=STAGE, -S and -emit-llvm: any stage as text. */
#include "driver/driver.h"

#include <stdlib.h>

typedef void Print(const Program *p, Text *out);

/* Stages of the program: the pass after which it is printed (NULL: none runs). */
static const struct {
    const char *name, *after;
    Print *print;
} stages[] = {
    {"ir", NULL, print_program},   {"grad", "differentiate", print_program},
    {"opt", "dce", print_program}, {"kernels", "fuse", print_kernels},
    {"plan", "plan", print_plan},
};

static bool emit_code(Options *o, Program *p, CgFile kind, Text *out) {
    size_t len;
    Cg *cg = compile_code(o, p, false);
    char *text = cg ? cg_emit(cg, kind, &len) : NULL;
    if (text) text_addn(out, text, len);
    if (cg) cg_free(cg);
    return text != NULL;
}

/* After fusion, or after the pass that --stop-after names. */
static bool emit_graph(Options *o, Program *p, const char *stage, Text *out) {
    if (!compile_passes(o, p, o->stop_after ? o->stop_after : "fuse")) return false;
    if (!strcmp(stage, "dot")) return print_dot(p, out), true;
    Text dot = {0};
    print_dot(p, &dot);
    bool ok = svg_of_dot(o, dot.data, dot.len, out);
    free(dot.data);
    return ok;
}

static bool emit_program(Options *o, const char *stage, Text *out) {
    Program *p = compile_front(o, false);
    if (!p) return false;
    if (!strcmp(stage, "dot") || !strcmp(stage, "svg")) return emit_graph(o, p, stage, out);
    for (size_t i = 0; i < LEN(stages); i++) {
        if (strcmp(stages[i].name, stage)) continue;
        if (stages[i].after && !compile_passes(o, p, stages[i].after)) return false;
        stages[i].print(p, out);
        return true;
    }
    if (!compile_passes(o, p, NULL)) return false;
    if (!strcmp(stage, "llvm")) return emit_code(o, p, CgLlvm, out);
    if (!strcmp(stage, "asm")) return emit_code(o, p, CgAssembly, out);
    if (!strcmp(stage, "header")) {
        char *text = cg_header(p);
        text_addn(out, text, strlen(text));
        return true;
    }
    BUG(o->cx, "--emit=%s has no printer", stage);
}

int command_emit(Options *o) {
    const char *stage = o->output == OutAssembly ? "asm" : o->output == OutLlvm ? "llvm" : o->stage;
    Text out = {0};
    bool ok;
    if (!strcmp(stage, "ast")) {
        const Unit *u = o->file ? parse_file(o->cx, o->file) : NULL;
        if (!o->file) diag_error(o->cx, (Loc){0}, "no input file");
        if (u) ast_dump(u, &out);
        ok = u != NULL;
    } else {
        ok = emit_program(o, stage, &out);
    }
    const char *path = o->out;
    if (!path && o->output != OutStage && o->file) {
        path = arena_printf(o->cx->arena, "%s.%s", base_name(o),
                            o->output == OutAssembly ? "s" : "ll");
    }
    if (ok) write_output(o, path, out.data ? out.data : "", out.len);
    free(out.data);
    return compile_report(o);
}
