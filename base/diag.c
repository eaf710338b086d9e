/* Diagnostics are collected, never printed where they are found; one renderer writes them all in
 * clang's form: position, text, the source line, carets, notes. */
#include "base/base.h"

#include <stdlib.h>

Loc loc_join(Loc a, Loc b) {
    if (a.file != b.file || a.line != b.line || b.col < a.col) return a;
    unsigned len = (unsigned)b.col + b.len - a.col;
    a.len = (uint16_t)(len > UINT16_MAX ? UINT16_MAX : len);
    return a;
}

void source_add(Cx *cx, Sym name, const char *text, size_t len) {
    vec_push(cx->arena, &cx->sources, (Source){name, text, len});
}

const char *source_line(const Cx *cx, Sym name, uint32_t line, size_t *len) {
    for (uint32_t i = 0; i < cx->sources.len; i++) {
        const Source *s = &cx->sources.data[i];
        if (s->name != name) continue;
        const char *p = s->text, *end = s->text + s->len;
        for (uint32_t n = 1; p; n++) {
            const char *nl = memchr(p, '\n', (size_t)(end - p));
            if (n == line) {
                *len = (size_t)((nl ? nl : end) - p);
                if (*len && p[*len - 1] == '\r') --*len;
                return p;
            }
            p = nl ? nl + 1 : NULL;
        }
        return NULL;
    }
    return NULL;
}

/* A body that is lowered several times says the same several times; it is shown once. */
static bool said(const Cx *cx, Loc loc, const char *text) {
    for (uint32_t i = 0; loc.line && i < cx->diags.len; i++) {
        const Diag *d = &cx->diags.data[i];
        if (d->loc.file == loc.file && d->loc.line == loc.line && d->loc.col == loc.col &&
            !strcmp(d->text, text)) {
            return true;
        }
    }
    return false;
}

static void add(Cx *cx, Severity sev, const char *flag, Loc loc, const char *fmt, va_list ap) {
    const char *text = arena_vprintf(cx->arena, fmt, ap);
    if (sev == SevError) cx->errors++;
    if (sev == SevError && flag) cx->werrors++;
    if (sev != SevNote) cx->repeated = said(cx, loc, text);
    if (cx->repeated) return;
    vec_push(cx->arena, &cx->diags, (Diag){.sev = sev, .loc = loc, .flag = flag, .text = text});
}

void diag_error(Cx *cx, Loc loc, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(cx, SevError, NULL, loc, fmt, ap);
    va_end(ap);
}

void diag_unknown(Cx *cx, Loc loc, const char *name, const char *const *names, size_t n,
                  const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(cx->arena, fmt, ap);
    va_end(ap);
    const char *near = name ? nearest_name(name, names, n) : NULL;
    if (!near || !strcmp(near, name)) {
        diag_error(cx, loc, "%s", text);
        return;
    }
    diag_error(cx, loc, "%s; did you mean '%s'?", text, near);
    loc.len = (uint16_t)strlen(name);
    if (loc.line) diag_replace(cx, loc, "%s", near);
}

static const char *const warnings[] = {"unreached-param", "unused-let", "unused-layer",
                                       "log-softmax", "infinite-adjoint"};

size_t warning_names(const char **out, size_t max) {
    size_t n = LEN(warnings) < max ? LEN(warnings) : max;
    for (size_t i = 0; i < n; i++) out[i] = warnings[i];
    return n;
}

void diag_warn(Cx *cx, const char *flag, Loc loc, const char *fmt, ...) {
    for (uint32_t i = 0; i < cx->disabled_warnings.len; i++) {
        if (strcmp(cx->disabled_warnings.data[i], flag)) continue;
        cx->repeated = true; /* its notes go, too */
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    add(cx, cx->werror ? SevError : SevWarning, flag, loc, fmt, ap);
    va_end(ap);
}

void diag_note(Cx *cx, Loc loc, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(cx, SevNote, NULL, loc, fmt, ap);
    va_end(ap);
}

static void add_fixit(Cx *cx, Loc loc, const char *fmt, va_list ap) {
    if (!cx->diags.len || cx->repeated) return;
    Diag *d = &cx->diags.data[cx->diags.len - 1];
    vec_push(cx->arena, &d->fixits, (Fixit){loc, arena_vprintf(cx->arena, fmt, ap)});
}

void diag_fixit(Cx *cx, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    if (cx->diags.len) add_fixit(cx, cx->diags.data[cx->diags.len - 1].loc, fmt, ap);
    va_end(ap);
}

void diag_replace(Cx *cx, Loc loc, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_fixit(cx, loc, fmt, ap);
    va_end(ap);
}

void diag_insert(Cx *cx, Loc loc, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    loc.len = 0;
    add_fixit(cx, loc, fmt, ap);
    va_end(ap);
}

void diag_replace_word(Cx *cx, Loc loc, const char *word, const char *text) {
    size_t len, n = strlen(word), at = loc.col ? loc.col - 1u : 0;
    const char *line = source_line(cx, loc.file, loc.line, &len);
    while (line && at && at <= len && line[at - 1] == ' ') at--;
    if (!line || at < n || at > len || memcmp(line + at - n, word, n)) return;
    loc.col = (uint16_t)(at - n + 1);
    loc.len = (uint16_t)n;
    diag_replace(cx, loc, "%s", text);
}

static const struct {
    const char *name, *color;
} severities[] = {
    [SevError] = {"error", "\033[1;31m"},
    [SevWarning] = {"warning", "\033[1;35m"},
    [SevNote] = {"note", "\033[1;36m"},
};

/* Blanks up to a column of a line, tabs where it has some. */
static void render_margin(FILE *out, const char *line, size_t len, unsigned col) {
    fputs("       | ", out);
    for (size_t i = 0; i + 1 < col; i++) fputc(i < len && line[i] == '\t' ? '\t' : ' ', out);
}

/* The line, then a caret under the first byte and tildes under the rest of the stretch, then what
 * to write there. */
static void render_line(const Cx *cx, FILE *out, const Diag *d, bool color) {
    size_t len;
    const char *line = source_line(cx, d->loc.file, d->loc.line, &len);
    if (!line || !d->loc.col) return;
    fprintf(out, " %5u | %.*s\n", d->loc.line, (int)len, line);
    render_margin(out, line, len, d->loc.col);
    fprintf(out, "%s^", color ? "\033[1;32m" : "");
    for (size_t i = 1; i < d->loc.len && d->loc.col - 1 + i < len; i++) fputc('~', out);
    fprintf(out, "%s\n", color ? "\033[0m" : "");
    for (uint32_t i = 0; i < d->fixits.len; i++) {
        const Fixit *f = &d->fixits.data[i];
        if (f->loc.file != d->loc.file || f->loc.line != d->loc.line) continue;
        render_margin(out, line, len, f->loc.col);
        fprintf(out, "%s%s%s\n", color ? "\033[32m" : "", f->text, color ? "\033[0m" : "");
    }
}

static void render_one(const Cx *cx, FILE *out, const Diag *d, bool color) {
    const char *bold = color ? "\033[1m" : "", *off = color ? "\033[0m" : "";
    if (d->loc.file) {
        fprintf(out, "%s%s:%u:%u: %s", bold, d->loc.file, d->loc.line, d->loc.col, off);
    } else {
        fprintf(out, "%sbpc: %s", bold, off);
    }
    fprintf(out, "%s%s: %s%s%s%s", color ? severities[d->sev].color : "", severities[d->sev].name,
            off, bold, d->text, off);
    if (d->flag) fprintf(out, " [-W%s]", d->flag);
    fputc('\n', out);
    render_line(cx, out, d, color);
}

void diag_render(Cx *cx, FILE *out, bool color) {
    uint32_t errors = 0;
    for (uint32_t i = 0; i < cx->diags.len; i++) {
        const Diag *d = &cx->diags.data[i];
        if (d->sev == SevError && errors++ == MaxErrors) {
            fprintf(out, "bpc: too many errors, the rest is not shown\n");
            break;
        }
        render_one(cx, out, d, color);
    }
    cx->diags.len = 0;
}

static size_t edit_distance(const char *a, const char *b) {
    enum { Max = 64 };
    size_t na = strlen(a), nb = strlen(b), row[Max + 1];
    if (na > Max || nb > Max) return Max;
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t swap = diag + (a[i - 1] != b[j - 1]), best = row[j] + 1;
            diag = row[j];
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best < swap ? best : swap;
        }
    }
    return row[nb];
}

const char *nearest_name(const char *s, const char *const *names, size_t n) {
    const char *best = NULL;
    size_t limit = strlen(s) / 3 + 1, found = limit + 1;
    for (size_t i = 0; i < n; i++) {
        size_t d = edit_distance(s, names[i]);
        if (d < found && d < strlen(s)) {
            found = d;
            best = names[i];
        }
    }
    return best;
}

void bug_at(Cx *cx, Loc loc, const char *fmt, ...) {
    if (cx) diag_render(cx, stderr, false);
    fprintf(stderr, "bpc: internal error");
    if (cx && cx->pass) fprintf(stderr, " in pass '%s'", cx->pass);
    fprintf(stderr, ": ");
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    if (loc.file) fprintf(stderr, " (%s:%u:%u)", loc.file, loc.line, loc.col);
    fputc('\n', stderr);
    if (cx && cx->crash_dump) cx->crash_dump(cx->crash_data);
    fprintf(stderr, "bpc: please report this, with the program that shows it\n");
    exit(ExitBug);
}
