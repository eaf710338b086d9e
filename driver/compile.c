/* What the verbs share: source to passes to code, and the report of diagnostics. */
#include "driver/driver.h"

#include <stdlib.h>
#include <unistd.h>

/* A batch of two says as much about derivatives, where the program allows it. */
static Program *load_small(Options *o, FrontOptions *f) {
    f->batch = 2;
    Program *p = front_load(o->cx, o->file, f);
    if (p) return p;
    o->cx->errors = o->cx->werrors = o->cx->diags.len = 0;
    f->batch = 0;
    return front_load(o->cx, o->file, f);
}

Program *compile_front(Options *o, bool check) {
    if (!o->file) {
        diag_error(o->cx, (Loc){0}, "no input file; 'bpc --help' shows the commands");
        return NULL;
    }
    FrontOptions *f = NEW(o->cx->arena, FrontOptions);
    *f = (FrontOptions){.defines = o->defines.data,
                        .ndefines = o->defines.len,
                        .include_dirs = o->includes.data,
                        .ninclude_dirs = o->includes.len,
                        .float64 = o->float64 || check,
                        .entry = o->verb && !strcmp(o->verb, "trace") ? o->fn : NULL,
                        .check = check};
    return check ? load_small(o, f) : front_load(o->cx, o->file, f);
}

bool compile_passes(const Options *o, Program *p, const char *stop) {
    PassOptions po = {.level = (int)o->level,
                      .verify_each = o->verify_each,
                      .emit_after = o->emit_after,
                      .stop_after = stop ? stop : o->stop_after,
                      .limit = o->limit,
                      .memory = (uint64_t)o->memory,
                      .out = stdout};
    return passes_run(p, &po) && !o->cx->errors;
}

Cg *compile_with(const Options *o, Program *p, CgOptions *c) {
    return o->tune && !cg_tune(p, c) ? NULL : cg_build(p, c);
}

Cg *compile_code(const Options *o, Program *p, bool library) {
    CgOptions c = {.level = (int)o->level,
                   .cpu = o->cpu,
                   .triple = o->triple,
                   .library = library};
    return compile_with(o, p, &c);
}

int compile_report(Options *o) {
    bool color = o->color ? !strcmp(o->color, "always") : isatty(STDERR_FILENO);
    if (o->color && !strcmp(o->color, "auto")) color = isatty(STDERR_FILENO);
    if (o->format && !strcmp(o->format, "json"))
        diag_render_json(o->cx, stderr);
    else
        diag_render(o->cx, stderr, color);
    return o->cx->errors ? ExitError : ExitOk;
}

const char *base_name(const Options *o) {
    const char *base = strrchr(o->file, '/');
    base = base ? base + 1 : o->file;
    size_t n = strlen(base);
    if (n > 3 && !strcmp(base + n - 3, ".bp")) n -= 3;
    if (!strcmp(o->file, "-")) return "a.out";
    return arena_strndup(o->cx->arena, base, n);
}

bool write_output(const Options *o, const char *path, const char *text, size_t len) {
    bool named = path && strcmp(path, "-");
    FILE *f = named ? fopen(path, "wb") : stdout;
    bool ok = f && fwrite(text, 1, len, f) == len;
    if (f) ok &= (named ? fclose(f) : fflush(f)) == 0;
    if (!ok) diag_error(o->cx, (Loc){0}, "cannot write '%s'", named ? path : "standard output");
    return ok;
}
