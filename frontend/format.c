/* bpc fmt: the canonical layout of a file.
 *
 *     fn f( x:f32 )->f32{return x+1;}      ->      fn f(x: f32) -> f32 { return x + 1; }
 *
 * Two blanks a level, one between tokens; a statement begins a line where its author began one, and
 * a block on one line stays there while the whole fits 100 columns; within a statement lines are
 * broken anew, as late and as far outside of brackets as possible. Comments keep their place: at
 * the end of a line or on lines of their own. Works on tokens, so nothing is spelled anew; the
 * result has the same tree (checked here) and formatting it again changes nothing. */
#include "frontend/format.h"
#include "parser.h"

#include <stdlib.h>

enum { Width = 100, Step = 2, Continued = 4 };

/* Pieces [from, to), then a comment or origin. */
typedef struct Line {
    uint32_t from, to;
    uint32_t indent;
    const Token *tail;
    bool blank;  /* an empty line before it */
    bool follow; /* only a comment, which goes on below that of the line before */
} Line;

typedef struct Layout {
    Arena *a;
    const Piece *p;
    uint32_t n;
    VEC(Line) lines;
} Layout;

static uint32_t columns(const Token *t) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->len; i++) n += ((unsigned char)t->text[i] & 0xc0) != 0x80;
    return n;
}

static uint32_t width(const Layout *l, uint32_t from, uint32_t to) {
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++) n += columns(&l->p[i].t) + (i > from && l->p[i].space);
    return n;
}

static bool is_comment(const Layout *l, uint32_t i) {
    int kind = l->p[i].t.kind;
    return kind == TokenComment || kind == DOC || kind == ORIGIN;
}

static Line *last_line(Layout *l) {
    return l->lines.len ? &l->lines.data[l->lines.len - 1] : NULL;
}

static void add_line(Layout *l, uint32_t from, uint32_t to, uint32_t indent, bool blank) {
    vec_push(l->a, &l->lines, (Line){.from = from, .to = to, .indent = indent, .blank = blank});
}

/* A comment: at the end of the last line (then false), below such a one, or on a line of its
 * own. */
static bool add_comment(Layout *l, uint32_t i, uint32_t indent, bool first) {
    const Token *t = &l->p[i].t;
    Line *last = last_line(l);
    bool free_end = last && !last->tail;
    if (free_end && (t->newlines == 0 || t->kind == ORIGIN)) {
        last->tail = t;
        return false;
    }
    bool follow = t->kind == TokenComment && t->newlines == 1 && last && last->tail &&
                  last->tail->kind == TokenComment && last->tail->col == t->col &&
                  (last->from < last->to || last->follow);
    add_line(l, i, i, indent, t->newlines > 1 && !first);
    last = last_line(l);
    last->tail = t;
    last->follow = follow;
    return true;
}

/* Where the line that starts at `from` ends: at the cheapest place within the width. */
static uint32_t line_end(const Layout *l, uint32_t from, uint32_t to, uint32_t indent) {
    uint32_t best = to, used = indent;
    int best_cost = NoBreak;
    if (indent + width(l, from, to) <= Width) return to;
    for (uint32_t i = from; i < to; i++) {
        int cost = l->p[i].cost;
        if (i > from && cost < NoBreak) {
            if (used < indent + 30) cost += 15;
            if (used > Width && best_cost < NoBreak) break;
            if (cost <= best_cost) {
                best_cost = cost;
                best = i;
            }
        }
        used += columns(&l->p[i].t) + (i > from && l->p[i].space);
    }
    return best;
}

/* Pieces of one statement up to a comment, a row or their end, on as many lines as they need. */
static void wrap_part(Layout *l, uint32_t from, uint32_t to, uint32_t indent, bool *first,
                      bool blank) {
    while (from < to) {
        int kind = l->p[from].t.kind;
        bool outer = *first || kind == ')' || kind == ']' || kind == '}' || kind == ELSE;
        uint32_t at = outer ? indent : indent + Continued;
        uint32_t end = line_end(l, from, to, at);
        add_line(l, from, end, at, *first && blank);
        *first = false;
        from = end;
    }
}

static void wrap(Layout *l, uint32_t from, uint32_t to, uint32_t indent, bool blank) {
    bool first = true;
    while (from < to) {
        if (is_comment(l, from)) {
            add_comment(l, from++, indent + Continued, false);
            continue;
        }
        uint32_t end = from + 1;
        while (end < to && !is_comment(l, end) && !l->p[end].forced) end++;
        wrap_part(l, from, end, indent, &first, blank);
        from = end;
    }
}

/* The end of the statement at i: after its ';', or after the last of its blocks. */
static uint32_t statement_end(const Layout *l, uint32_t i, uint32_t end) {
    for (; i < end; i++) {
        int kind = l->p[i].t.kind;
        if (kind == ';' && l->p[i].depth == 0) return i + 1;
        if (kind != '{') continue;
        i = l->p[i].match;
        uint32_t next = i + 1;
        while (next < end && is_comment(l, next)) next++;
        if (next >= end || l->p[next].t.kind != ELSE) return i + 1;
    }
    return end;
}

/* Whether [from, to) stands on one line: its blocks were written so, and it fits. */
static bool is_flat(const Layout *l, uint32_t from, uint32_t to, uint32_t indent) {
    bool origin = to < l->n && l->p[to].t.kind == ORIGIN;
    uint32_t depth = 0;
    for (uint32_t i = from; i < to; i++) {
        const Piece *p = &l->p[i];
        if (is_comment(l, i) || p->forced) return false;
        if (depth && p->t.newlines) return false;
        if (p->t.kind == '{') depth++;
        if (p->t.kind == '}') depth--;
    }
    return origin || indent + width(l, from, to) <= Width;
}

static void block(Layout *l, uint32_t i, uint32_t end, uint32_t indent);

/* A statement on several lines: its words wrapped, its blocks indented. */
static void spread(Layout *l, uint32_t from, uint32_t to, uint32_t indent, bool blank) {
    uint32_t start = from;
    for (uint32_t i = from; i < to; i++) {
        if (l->p[i].t.kind != '{') continue;
        wrap(l, start, i + 1, indent, blank && start == from);
        block(l, i + 1, l->p[i].match, indent + Step);
        start = i = l->p[i].match;
    }
    wrap(l, start, to, indent, blank && start == from);
}

static void block(Layout *l, uint32_t i, uint32_t end, uint32_t indent) {
    /* joins: the last line may take another statement, as it did where it was written */
    bool first = true, joins = false, rows = i < end && (indent == 0 || l->p[i].t.newlines);
    while (i < end) {
        if (is_comment(l, i)) {
            if (add_comment(l, i++, indent, first)) first = false;
            joins = false;
            continue;
        }
        uint32_t stop = statement_end(l, i, end), lines = l->p[i].t.newlines;
        Line *last = last_line(l);
        bool flat = is_flat(l, i, stop, indent);
        if (flat && joins && lines == 0 && is_flat(l, last->from, stop, indent)) {
            last->to = stop;
        } else if (flat) {
            add_line(l, i, stop, indent, lines > 1 && !first);
        } else {
            spread(l, i, stop, indent, lines > 1 && !first);
        }
        joins = flat && rows;
        first = false;
        i = stop;
    }
}

/* ---- lines to text ---- */
static uint32_t line_width(const Layout *l, const Line *line) {
    return line->indent + width(l, line->from, line->to);
}

static bool is_tailed(const Line *line) {
    return line->tail && line->tail->kind == TokenComment &&
           (line->from < line->to || line->follow);
}

/* The column of the comments of the run of lines at i, *run of them; they stand in one column if
 * they fit. */
static uint32_t tail_column(const Layout *l, uint32_t i, uint32_t *run) {
    uint32_t at = 0, longest = 0, n = 0;
    for (; i + n < l->lines.len; n++) {
        const Line *line = &l->lines.data[i + n];
        if (!is_tailed(line) || (n && line->blank)) break;
        if (!line->follow && line->indent != l->lines.data[i].indent) break;
        uint32_t w = line->follow ? 0 : line_width(l, line);
        if (w > at) at = w;
        if (columns(line->tail) > longest) longest = columns(line->tail);
    }
    *run = n;
    return at + 2 + longest <= Width ? at + 2 : 0;
}

static void print_line(const Layout *l, const Line *line, uint32_t column, Text *out) {
    if (line->blank) text_add(out, "\n");
    uint32_t at = line->follow ? 0 : line->indent;
    text_add(out, "%*s", (int)at, "");
    for (uint32_t i = line->from; i < line->to; i++) {
        const Piece *p = &l->p[i];
        if (i > line->from && p->space) text_add(out, " ");
        text_addn(out, p->t.text, p->t.len);
    }
    if (!line->follow) at = line_width(l, line);
    bool alone = line->from == line->to && !line->follow;
    uint32_t gap = !line->tail || alone ? 0 : is_tailed(line) && column > at ? column - at : 2;
    text_add(out, "%*s", (int)gap, "");
    if (line->tail) text_addn(out, line->tail->text, line->tail->len);
    text_add(out, "\n");
}

static void print_lines(const Layout *l, Text *out) {
    uint32_t run = 0, column = 0, own = 0;
    for (uint32_t i = 0; i < l->lines.len; i++) {
        const Line *line = &l->lines.data[i];
        if (run) {
            run--;
        } else if (is_tailed(line)) {
            column = tail_column(l, i, &run);
            run--;
        }
        if (!line->follow || column) own = column ? column : line_width(l, line) + 2;
        print_line(l, line, own, out);
    }
}

static void print_unit(const Unit *u, Text *out) {
    for (uint32_t i = 0; i < u->items.len; i++) ast_print_item(u->items.data[i], out);
}

/* Whether both texts are the same program. */
static bool same_tree(Cx *cx, const Unit *u, const Text *formatted) {
    Text a = {0}, b = {0};
    Unit *again = parse_text(cx, sym(cx, "<formatted>"), formatted->data ? formatted->data : "",
                             formatted->len);
    print_unit(u, &a);
    if (again) print_unit(again, &b);
    bool same =
        again && a.len == b.len && !memcmp(a.data ? a.data : "", b.data ? b.data : "", a.len);
    free(a.data);
    free(b.data);
    return same;
}

bool format_text(Cx *cx, Sym name, const char *text, size_t len, Text *out) {
    Tokens tokens = {0};
    Unit *u = parse_tokens(cx, name, text, len, &tokens);
    if (!u) return false;
    Pieces pieces = format_pieces(cx->arena, &tokens);
    Layout l = {.a = cx->arena, .p = pieces.data, .n = pieces.len};
    block(&l, 0, l.n, 0);
    print_lines(&l, out);
    if (!same_tree(cx, u, out)) BUG(cx, "the layout of '%s' is another program", name);
    return true;
}
