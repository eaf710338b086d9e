/* Drives the lexer and the parser, and words their errors. */
#include "frontend/parse.h"
#include "parser.h"
#define YYSTYPE BP_STYPE
#define YYLTYPE Loc
#include "lexer.h"

#include <errno.h>
#include <stdlib.h>

/* Just after the last token: where a missing ';' belongs. */
static Loc after_last(const Lex *l) {
    Loc loc = l->before;
    unsigned col = (unsigned)loc.col + loc.len;
    loc.col = (uint16_t)(col > UINT16_MAX ? UINT16_MAX : col);
    loc.len = 1;
    return loc;
}

static bool among(const char *name, const char *const *expected, int n) {
    for (int i = 0; i < n; i++) {
        if (!strcmp(expected[i], name)) return true;
    }
    return false;
}

/* Mistakes of people who come from other languages, by what was found where. */
static bool known_mistake(Lex *l, const Loc *loc, const char *found, const char *const *expected, int n) {
    bool after_name = n <= 3 && among("'='", expected, n);
    if (after_name && !strcmp(found, "'('")) {
        diag_error(l->cx, *loc, "no expression statements; write 'let y = f(...);'");
    } else if (after_name && !strcmp(found, "'['")) {
        diag_error(l->cx, *loc, "no assignment to an element; write 'x = where(mask, new, x);' or build the tensor anew");
    } else if (!strcmp(found, "'('") && among("'let'", expected, n)) {
        diag_error(l->cx, *loc, "no assignment to a tuple; write 'let (a, b) = ...;'");
    } else {
        return false;
    }
    return true;
}

void syntax_error(Lex *l, const Loc *loc, const char *found, int token, const char *const *expected, int n) {
    if (l->fatal) return;
    if (known_mistake(l, loc, found, expected, n)) return;
    if (among("';'", expected, n)) {
        diag_error(l->cx, after_last(l), "expected ';' after this");
        diag_fixit(l->cx, ";");
        return;
    }
    Text t = {0};
    bool expression = among("an integer", expected, n) && among("'('", expected, n);
    bool items = among("'fn'", expected, n), statements = among("'return'", expected, n);
    if (expression) text_add(&t, "an expression");
    else if (items) text_add(&t, "a declaration");
    else if (statements) text_add(&t, "a statement");
    else if (among("'var'", expected, n)) text_add(&t, "a name");
    else {
        for (int i = 0; i < n && i < 4; i++) text_add(&t, "%s%s", i ? i + 1 == n ? " or " : ", " : "", expected[i]);
    }
    const char *what = token ? found : "end of file";
    if (t.len) diag_error(l->cx, *loc, "unexpected %s, expected %s", what, t.data);
    else diag_error(l->cx, *loc, "unexpected %s", what);
    free(t.data);
}

Unit *parse_text(Cx *cx, Sym name, const char *text, size_t len) {
    uint32_t before = cx->errors;
    source_add(cx, name, text, len);
    Lex l = {.cx = cx, .a = cx->arena, .file = name, .line = 1, .col = 1, .first_on_line = true};
    l.unit = NEW(cx->arena, Unit);
    *l.unit = (Unit){.file = name, .text = text, .len = len};
    l.last_loc = (Loc){name, 1, 1, 1};
    l.before = l.loc = l.last_loc;
    if (len > INT32_MAX / 2) {
        diag_error(cx, (Loc){name, 1, 1, 1}, "the file is too large");
        return NULL;
    }
    yyscan_t scanner;
    if (bp_lex_init_extra(&l, &scanner)) return NULL;
    YY_BUFFER_STATE buffer = bp__scan_bytes(text, (int)len, scanner);
    int status = bp_parse(scanner, &l);
    bp__delete_buffer(buffer, scanner);
    bp_lex_destroy(scanner);
    if (status && cx->errors == before) diag_error(cx, l.last_loc, "the file cannot be read as a program");
    return cx->errors == before ? l.unit : NULL;
}

char *read_whole_file(Cx *cx, const char *path, size_t *len) {
    bool standard = !strcmp(path, "-");
    FILE *f = standard ? stdin : fopen(path, "rb");
    Text t = {0};
    char part[1 << 16];
    size_t n;
    while (f && (n = fread(part, 1, sizeof part, f)) > 0) text_addn(&t, part, n);
    if (!f || ferror(f)) {
        diag_error(cx, (Loc){0}, "cannot read '%s': %s", path, strerror(errno));
        if (f && !standard) fclose(f);
        free(t.data);
        return NULL;
    }
    if (!standard) fclose(f);
    *len = t.len;
    return text_done(&t, cx->arena);
}

Unit *parse_file(Cx *cx, const char *path) {
    size_t len;
    const char *text = read_whole_file(cx, path, &len);
    return text ? parse_text(cx, sym(cx, strcmp(path, "-") ? path : "<stdin>"), text, len) : NULL;
}
