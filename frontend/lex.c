/* What the lexer's rules do: positions, words, numbers, strings, doc comments and origins. */
#include "frontend/parse.h"
#include "parser.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

void lex_advance(Lex *l, Loc *loc, const char *text, size_t n) {
    (void)text;
    uint32_t col = l->col > UINT16_MAX ? UINT16_MAX : l->col;
    *loc = (Loc){l->file, l->line, (uint16_t)col,
                 (uint16_t)(n > UINT16_MAX ? UINT16_MAX
                            : n            ? n
                                           : 1)};
    l->loc = *loc;
    l->col += (uint32_t)n;
}

void lex_newline(Lex *l) {
    l->line++;
    l->newlines++;
    l->col = 1;
    l->first_on_line = true;
}

void lex_record(Lex *l, int kind, const char *text, size_t n) {
    if (!l->tokens) return;
    uint32_t col = l->col - (uint32_t)n;
    while (n > 1 && (text[n - 1] == '\r' || text[n - 1] == ' ' || text[n - 1] == '\t')) n--;
    vec_push(l->a, l->tokens,
             (Token){.kind = kind,
                     .text = arena_strndup(l->a, text, n),
                     .len = (uint32_t)n,
                     .newlines = l->newlines,
                     .col = col});
    l->newlines = 0;
}

static void track_brackets(Lex *l, int kind) {
    if (kind == '(' || kind == '[' || kind == '{') {
        vec_push(l->a, &l->open, (Opened){l->loc, kind});
    } else if (kind == ')' || kind == ']' || kind == '}') {
        int opening = kind == ')' ? '(' : kind == ']' ? '[' : '{';
        if (l->open.len && l->open.data[l->open.len - 1].kind == opening) l->open.len--;
    }
}

int lex_token(Lex *l, int kind) {
    if (kind == BP_EOF && l->last == BP_EOF) return kind; /* read again after an error */
    track_brackets(l, kind);
    l->last = kind;
    l->before = l->last_loc;
    l->last_loc = l->loc;
    l->first_on_line = false;
    return kind;
}

void lex_error(Lex *l, const Loc *loc, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    diag_error(l->cx, *loc, "%s", arena_vprintf(l->a, fmt, ap));
    va_end(ap);
}

void lex_bad_dot(Lex *l, const Loc *loc, const char *text) {
    diag_error(l->cx, *loc, "a number has a digit on both sides of its dot");
    if (text[0] == '.')
        diag_fixit(l->cx, "0%s", text);
    else
        diag_fixit(l->cx, "%s0", text);
}

void lex_fix_assign(Lex *l, const Loc *loc, const char *text) {
    size_t len;
    const char *line = source_line(l->cx, l->file, l->last_loc.line, &len);
    size_t at = (size_t)l->last_loc.col - 1;
    if (text[0] != '+' || l->last != ID || !line || at + l->last_loc.len > len) return;
    diag_replace(l->cx, *loc, "= %.*s +", (int)l->last_loc.len, line + at);
}

void lex_bad_byte(Lex *l, const Loc *loc, unsigned char byte) {
    const char *instead = byte == '^'   ? "; the power is x ** 2"
                          : byte == '?' ? "; write where(c, a, b), or if c { } else { }"
                          : byte == '&' ? "; write &&"
                          : byte == '|' ? "; write ||"
                          : byte == '~' ? "; write !"
                                        : "";
    if (isprint(byte))
        diag_error(l->cx, *loc, "'%c' is no part of the language%s", byte, instead);
    else
        diag_error(l->cx, *loc, "byte 0x%02x is no part of the language", byte);
    l->fatal |= byte == 0;
}

double lex_float(Lex *l, const Loc *loc, const char *text) {
    double v = strtod(text, NULL);
    if (isinf(v)) diag_error(l->cx, *loc, "%s is too large for f64; infinity is inf", text);
    return v;
}

int64_t lex_int(Lex *l, const Loc *loc, const char *text) {
    errno = 0;
    long long i = strtoll(text, NULL, 10);
    if (errno) diag_error(l->cx, *loc, "the integer does not fit 64 bits");
    return i;
}

Sym lex_string(Lex *l, const Loc *loc, const char *text, size_t n) {
    Text t = {0};
    for (size_t i = 1; i < n && text[i] != '"'; i++) {
        char c = text[i];
        if (c == '\\' && i + 1 < n) {
            c = text[++i];
            if (c == 'n')
                c = '\n';
            else if (c == 't')
                c = '\t';
            else if (c != '"' && c != '\\') {
                diag_error(l->cx, *loc, "unknown escape '\\%c'; there are \\\" \\\\ \\n \\t", c);
            }
        }
        text_addn(&t, &c, 1);
    }
    Sym s = sym_n(l->cx, t.data ? t.data : "", t.len);
    free(t.data);
    return s;
}

static const struct {
    const char *text;
    int token, value;
} words[] = {
#define WORD(word, kind, number) {word, kind, number},
#include "ir/reserved.def"
    /* words that are names too, where the grammar expects one */
    {"var", VAR, 0},
    {"hyper", HYPER, 0},
    {"model", MODEL, 0},
    {"train", TRAIN, 0},
    {"optimizer", OPTIMIZER, 0},
    {"backward", BACKWARD, 0},
    {"forward", FORWARD, 0},
    {"layer", LAYER, 0},
    {"loss", LOSS, 0},
    {"metric", METRIC, 0},
    {"carry", CARRY, 0},
    {"in", IN, 0},
    {"on", ON, 0},
    {"as", AS, 0},
    {"update", UPDATE, 0},
    {"print", PRINT, 0},
    {"surrogate", SURROGATE, 0},
};

int lex_word(Lex *l, BP_STYPE *value, const char *text, size_t n) {
    value->name = sym_n(l->cx, text, n);
    for (size_t i = 0; i < LEN(words); i++) {
        if (strcmp(words[i].text, value->name)) continue;
        if (words[i].token == FLOAT)
            value->number = words[i].value ? strtod("nan", NULL) : strtod("inf", NULL);
        else if (words[i].token == DTYPE)
            value->type_name = (TypeName)words[i].value;
        return words[i].token;
    }
    return ID;
}

/* A doc comment stands first on its line where an item may begin; elsewhere it is a comment. */
bool lex_doc(Lex *l, BP_STYPE *value, const char *text, size_t n) {
    bool item = l->last == 0 || l->last == ';' || l->last == '{' || l->last == '}' ||
                l->last == DOC || l->last == ORIGIN;
    if (!item || !l->first_on_line) return false;
    size_t skip = n > 3 && text[3] == ' ' ? 4 : 3;
    while (n > skip && (text[n - 1] == ' ' || text[n - 1] == '\r')) n--;
    value->doc = arena_strndup(l->a, text + skip, n - skip);
    return true;
}

static const char *number_before(const char *start, const char *end, uint32_t *out) {
    const char *p = end;
    while (p > start && isdigit((unsigned char)p[-1])) p--;
    if (p == end || end - p > 9) return NULL;
    *out = (uint32_t)strtoul(p, NULL, 10);
    return p > start && p[-1] == ':' ? p - 1 : NULL;
}

/* //@ FILE:LINE:COL[ RULE], right after ; or { */
bool lex_origin(Lex *l, BP_STYPE *value, const char *text, size_t n) {
    if (l->last != ';' && l->last != '{') return false;
    const char *p = text + 3, *end = text + n;
    while (p < end && *p == ' ') p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\r')) end--;
    const char *stop = p;
    for (; stop < end; stop++) { /* the position ends at a blank after :LINE:COL */
        if (*stop == ' ' && stop > p && isdigit((unsigned char)stop[-1])) break;
    }
    uint32_t line, col;
    const char *colon = number_before(p, stop, &col);
    colon = colon ? number_before(p, colon, &line) : NULL;
    if (!colon || colon == p) return false;
    value->origin.loc = (Loc){sym_n(l->cx, p, (size_t)(colon - p)), line,
                              (uint16_t)(col > UINT16_MAX ? UINT16_MAX : col), 1};
    while (stop < end && *stop == ' ') stop++;
    value->origin.rule = stop < end ? sym_n(l->cx, stop, (size_t)(end - stop)) : NULL;
    return true;
}
