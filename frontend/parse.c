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

/* Statements of functions where a train block or a rule has none. */
static bool of_functions(const char *found, const char *const *expected, int n) {
    static const char *const words[] = {"'for'",   "'if'",     "'scan'",   "'while'",
                                        "'param'", "'return'", "'buffer'", "'emit'"};
    bool here = among("'let'", expected, n) && !among("'return'", expected, n);
    return here && among(found, words, LEN(words));
}

/* Mistakes of people who come from other languages, by what was found where. */
static bool known_mistake(Lex *l, const Loc *loc, const char *found, const char *const *expected,
                          int n) {
    bool after_name = n <= 3 && among("'='", expected, n);
    static const char *const compare[] = {"'<'", "'>'", "'<='", "'>='", "'=='", "'!='"};
    bool chained = false;
    for (size_t i = 0; i < LEN(compare); i++) chained |= !strcmp(found, compare[i]);
    if (chained && among("'+'", expected, n)) {
        diag_error(l->cx, *loc, "comparisons do not chain; write 'a < b && b < c'");
    } else if (after_name && !strcmp(found, "'('")) {
        diag_error(l->cx, *loc, "no expression statements; write 'let y = f(...);'");
        diag_insert(l->cx, l->before, "let _ = ");
    } else if (after_name && !strcmp(found, "'['") && !among("')'", expected, n)) {
        diag_error(l->cx, *loc,
                   "no assignment to an element; write 'x = where(mask, new, x);' or build the "
                   "tensor anew");
    } else if (!strcmp(found, "'('") && among("'let'", expected, n)) {
        diag_error(l->cx, *loc, "no assignment to a tuple; write 'let (a, b) = ...;'");
        diag_insert(l->cx, *loc, "let ");
    } else if (of_functions(found, expected, n)) {
        diag_error(l->cx, *loc, "%s stands in a fn or module; write one and call it here", found);
    } else {
        return false;
    }
    return true;
}

/* What may follow any expression says nothing about this place. */
static bool is_operator_token(const char *name) {
    static const char *const names[] = {"'=='", "'!='", "'<='", "'>='", "'<'", "'>'",  "'+'",
                                        "'-'",  "'*'",  "'/'",  "'%'",  "'@'", "'**'", "'('",
                                        "'['",  "'.'",  "'..'", "'&&'", "'||'"};
    for (size_t i = 0; i < LEN(names); i++) {
        if (!strcmp(names[i], name)) return true;
    }
    return false;
}

static void list_expected(const char *const *expected, int n, Text *t) {
    int shown = 0;
    for (int i = 0; i < n; i++) {
        if (is_operator_token(expected[i]) && among("'+'", expected, n)) continue;
        if (shown < 4) text_add(t, "%s%s", shown ? " or " : "", expected[i]);
        shown++;
    }
}

/* Whether the lexer or an earlier error has spoken about this line. */
static bool said_here(const Lex *l, const Loc *loc) {
    const Diag *d = l->cx->diags.len ? &l->cx->diags.data[l->cx->diags.len - 1] : NULL;
    return d && d->sev == SevError && d->loc.file == loc->file && d->loc.line == loc->line;
}

void syntax_error(Lex *l, const Loc *loc, const char *found, int token, const char *const *expected,
                  int n) {
    if (l->fatal || l->again || said_here(l, loc)) return;
    if (known_mistake(l, loc, found, expected, n)) return;
    if (among("';'", expected, n) && l->missing.len < MaxErrors) {
        vec_push(l->a, &l->missing, *loc);
        l->again = true;
        return;
    }
    Text t = {0};
    bool expression = among("an integer", expected, n) && among("'('", expected, n);
    bool items = among("'fn'", expected, n), statements = among("'return'", expected, n);
    if (expression)
        text_add(&t, "an expression");
    else if (items)
        text_add(&t, "a declaration");
    else if (statements)
        text_add(&t, "a statement");
    else if (among("'var'", expected, n))
        text_add(&t, "a name");
    else
        list_expected(expected, n, &t);
    size_t letters = strspn(found, "'abcdefghijklmnopqrstuvwxyz0123456789");
    if (t.len && !strcmp(t.data, "a name") && strlen(found) > 3 && !found[letters]) {
        diag_error(l->cx, *loc, "%s is a reserved word; another name is needed here", found);
        free(t.data);
        return;
    }
    const char *what = token ? found : "end of file";
    Loc end = after_last(l);
    if (!token) loc = &end;
    if (!strncmp(what, "a ", 2) || !strncmp(what, "an ", 3)) what = strchr(what, ' ') + 1;
    if (t.len)
        diag_error(l->cx, *loc, "unexpected %s, expected %s", what, t.data);
    else
        diag_error(l->cx, *loc, "unexpected %s", what);
    free(t.data);
    const Opened *open = l->open.len ? &l->open.data[l->open.len - 1] : NULL;
    bool closing = !token || (open && open->kind != '{' && loc->line >= open->loc.line &&
                              among(open->kind == '(' ? "')'" : "']'", expected, n));
    if (open && closing) diag_note(l->cx, open->loc, "this '%c' is not closed", open->kind);
}

int bp_scan(BP_STYPE *value, Loc *loc, yyscan_t scanner);
int bp_lex(BP_STYPE *value, Loc *loc, yyscan_t scanner);

/* The lexer's tokens, with a ';' wherever an earlier run found one missing: so that one forgotten
 * does not hide what follows. */
int bp_lex(BP_STYPE *value, Loc *loc, yyscan_t scanner) {
    Lex *l = bp_get_extra(scanner);
    int token = l->held_token;
    if (l->again) return BP_EOF; /* this run has found what the next one needs */
    if (token) {
        *value = *l->held_value;
        *loc = l->held_loc;
        l->held_token = 0;
        return token;
    }
    token = bp_scan(value, loc, scanner);
    const Loc *want = l->inserted < l->missing.len ? &l->missing.data[l->inserted] : NULL;
    if (!want || loc->line != want->line || loc->col != want->col || l->last == ';') return token;
    l->inserted++;
    l->held_token = token;
    *l->held_value = *value;
    l->held_loc = *loc;
    *loc = after_last(l);
    diag_error(l->cx, *loc, "expected ';' after this");
    diag_insert(l->cx, *loc, ";");
    return ';';
}

/* One run over the text; true if a missing ';' was found and another run is due. */
static bool parse_once(Lex *l, const char *text, size_t len, int *status) {
    yyscan_t scanner;
    *status = 1;
    if (bp_lex_init_extra(l, &scanner)) return false;
    YY_BUFFER_STATE buffer = bp__scan_bytes(text, (int)len, scanner);
    *status = bp_parse(scanner, l);
    bp__delete_buffer(buffer, scanner);
    bp_lex_destroy(scanner);
    return l->again;
}

Unit *parse_text(Cx *cx, Sym name, const char *text, size_t len) {
    return parse_tokens(cx, name, text, len, NULL);
}

Unit *parse_tokens(Cx *cx, Sym name, const char *text, size_t len, Tokens *tokens) {
    uint32_t before = cx->errors;
    source_add(cx, name, text, len);
    uint32_t said = cx->diags.len;
    Lex l = {.cx = cx, .a = cx->arena, .file = name};
    BP_STYPE held;
    if (len > INT32_MAX / 2) {
        diag_error(cx, (Loc){name, 1, 1, 1}, "the file is too large");
        return NULL;
    }
    int status;
    bool again = true;
    while (again) {
        cx->diags.len = said;
        cx->errors = before;
        Loc start = {name, 1, 1, 1};
        if (tokens) tokens->len = 0;
        l = (Lex){.cx = cx,
                  .a = cx->arena,
                  .file = name,
                  .line = 1,
                  .col = 1,
                  .first_on_line = true,
                  .last_loc = start,
                  .before = {name, 1, 1, 0},
                  .loc = start,
                  .missing = l.missing,
                  .unit = NEW(cx->arena, Unit),
                  .tokens = tokens,
                  .held_value = &held};
        *l.unit = (Unit){.file = name, .text = text, .len = len};
        again = parse_once(&l, text, len, &status);
    }
    if (status && cx->errors == before)
        diag_error(cx, l.last_loc, "the file cannot be read as a program");
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
