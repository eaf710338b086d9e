/* What stands between two tokens: blanks, and how good a place for a line break it is. One walk
 * with a stack of open brackets, which says what ':' '=' '<' '-' '*' mean. */
#include "frontend/format.h"
#include "parser.h"

/* Group: ( ) of an expression or call. Subs: f[...], x[...], types. Decl: heads and patterns. */
typedef enum Role { Group, Call, Subs, Decl, Seqs, List, Range, Braces } Role;

typedef struct Open {
    Role role;
    uint32_t at, commas;
} Open;

typedef struct Walk {
    Arena *a;
    Pieces out;
    VEC(Open) stack;
    uint32_t base;         /* of the stack: brackets of this statement lie above */
    uint32_t index;        /* of the next token in its statement */
    int head;              /* the statement's first token, 0 if it is used as a name */
    bool operand, keyword; /* what the last token was: the end of an operand, a word of grammar */
    bool prefix;           /* a unary operator */
    bool assigned, arrow;  /* '=' and '->' were seen outside brackets */
} Walk;

static const Open *top(const Walk *w) {
    return w->stack.len > w->base ? &w->stack.data[w->stack.len - 1] : NULL;
}

static bool in_role(const Walk *w, Role role) {
    return top(w) && top(w)->role == role;
}

static bool is_name(int kind) {
    switch (kind) {
    case ID:
    case VAR:
    case HYPER:
    case MODEL:
    case TRAIN:
    case OPTIMIZER:
    case BACKWARD:
    case FORWARD:
    case LAYER:
    case LOSS:
    case METRIC:
    case CARRY:
    case IN:
    case ON:
    case AS:
    case UPDATE:
    case PRINT:
    case SURROGATE:
        return true;
    default:
        return false;
    }
}

/* Whether a word that may be a name is one of grammar here; next: the token after it. */
static bool is_keyword(const Walk *w, int kind, int next) {
    bool outside = !top(w);
    switch (kind) {
    case ID:
        return false;
    case IN:
        return w->head == FOR && w->index == 2;
    case ON:
        return w->head == TRAIN && w->index == 2;
    case AS:
        return w->head == TRAIN && outside && w->index > 3 && w->operand;
    case CARRY:
        return (w->head == SCAN || w->head == WHILE) && outside && w->operand;
    case UPDATE:
        return w->index == 0 && next != '(' && next != '=';
    default:
        if (kind == BACKWARD && w->head == SURROGATE && w->index == 1) return true;
        return w->index == 0 && next != '=' && next != ':';
    }
}

static bool ends_operand(int kind) {
    return kind == INT || kind == FLOAT || kind == STRING || kind == DTYPE || kind == TRUE ||
           kind == FALSE || kind == DOTS || kind == ')' || kind == ']';
}

/* 1 for || to 5 for * / % @; 0: no operator that a line may be broken at. */
static int operator_level(int kind) {
    switch (kind) {
    case OROR:
        return 1;
    case ANDAND:
        return 2;
    case '<':
    case '>':
    case LE:
    case GE:
    case EQ:
    case NE:
        return 3;
    case '+':
    case '-':
        return 4;
    case '*':
    case '/':
    case '%':
    case '@':
        return 5;
    default:
        return 0;
    }
}

/* NAME = in arguments and settings stands tight; declarations have blanks. */
static bool tight_equals(const Walk *w) {
    if (!top(w)) return false;
    Role role = top(w)->role;
    const Token *name = &w->out.data[w->out.len - 1].t;
    if (role == Seqs) return !strcmp(name->text, "axis") || !strcmp(name->text, "reverse");
    return role == Call || role == Subs;
}

static bool is_rule(const Walk *w) {
    return w->head == BACKWARD || w->head == FORWARD || w->head == SURROGATE;
}

static bool wants_space(const Walk *w, int kind, int last) {
    if (kind == ';' || kind == ',' || kind == ')' || kind == ']') return false;
    if (kind == ':') return last == ',';
    if (last == '(' || last == '[' || w->prefix) return false;
    if (kind == '.') return last == INT;
    if (last == '.' || kind == RANGE || last == RANGE) return false;
    if (last == ':') return !in_role(w, Subs);
    if (kind == '(' || kind == '[') return !w->operand;
    if (kind == '<' && last == DTYPE) return false;
    if (in_role(w, Range)) return last != '<' && kind != '>';
    return true;
}

static int break_cost(const Walk *w, int kind, int last) {
    int depth = 10 * (int)(w->stack.len - w->base);
    bool closing = kind == ')' || kind == ']' || kind == '>' || kind == ',' || kind == ';';
    if (closing || in_role(w, Range)) return NoBreak;
    if (last == ',') return depth;
    if (kind == ARROW) return depth + 2;
    if (last == '(' || last == '[') return depth + 6;
    if (!top(w) && last == '=') return depth + 8;
    if (!top(w) && last == ':') return depth + 9;
    if (!top(w) && w->index && (kind == CARRY || kind == EMIT || kind == AS) && w->operand)
        return depth + 1;
    int level = w->operand ? operator_level(kind) : 0;
    return level ? depth + level : NoBreak;
}

static Role role_of(const Walk *w, int kind, int last) {
    bool head = w->head == FN || w->head == EXPORT || w->head == MODULE || w->head == OPTIMIZER ||
                is_rule(w);
    if (kind == '(' && last == SCAN && w->keyword) return Seqs;
    if ((last == CARRY || last == EMIT || last == LET || last == AS) && w->keyword) return Decl;
    if (head && !top(w) && !w->assigned) return last == DTYPE ? Subs : Decl;
    if (kind == '[') return w->operand ? Subs : List;
    return w->operand ? Call : Group;
}

static void open(Walk *w, Role role) {
    vec_push(w->a, &w->stack, (Open){.role = role, .at = w->out.len - 1});
}

/* A comma before a closing bracket says something only in a tuple of one. */
static void drop_comma(Walk *w, const Open *o, Piece *closing) {
    Piece *comma = w->out.len > 1 ? &w->out.data[w->out.len - 2] : NULL;
    bool one = w->out.data[o->at].t.text[0] == '(' && o->commas == 1 && o->role != Call;
    if (!comma || comma->t.kind != ',' || one || closing->forced) return;
    if (comma[-1].t.kind == TokenComment) return;
    comma->t.len = 0;
    comma->t.text = "";
}

static void close(Walk *w, Piece *p) {
    const Open *o = &w->stack.data[--w->stack.len];
    w->out.data[o->at].match = w->out.len - 1;
    if (p->t.kind == ')' || p->t.kind == ']') drop_comma(w, o, p);
}

/* Rows of a list that is no argument stay as they were written. */
static bool row_begins(const Walk *w, const Token *t, int last) {
    if (!t->newlines || !top(w)) return false;
    for (uint32_t i = w->base; i < w->stack.len; i++) {
        if (w->stack.data[i].role != List) return false;
    }
    return last == ',' || last == '[' || t->kind == ']';
}

static void begin_statement(Walk *w) {
    w->index = 0;
    w->head = 0;
    w->operand = w->keyword = w->prefix = w->assigned = w->arrow = false;
}

static void brackets(Walk *w, Piece *p, int last) {
    int kind = p->t.kind;
    if (kind == '(' || kind == '[') {
        open(w, role_of(w, kind, last));
    } else if (kind == '<' && last == DTYPE) {
        open(w, Range);
    } else if (kind == ')' || kind == ']' || (kind == '>' && in_role(w, Range))) {
        close(w, p);
    } else if (kind == '{') {
        open(w, Braces);
        w->base = w->stack.len;
    } else if (kind == '}') {
        close(w, p);
        w->base = w->stack.len;
        while (w->base && w->stack.data[w->base - 1].role != Braces) w->base--;
    } else if (kind == ',' && top(w)) {
        w->stack.data[w->stack.len - 1].commas++;
    } else if (kind == '=' && !top(w)) {
        w->assigned = true;
    } else if (kind == ARROW && !top(w)) {
        w->arrow = true;
    }
}

static void walk_token(Walk *w, Token t, int next) {
    const Piece *before = w->out.len ? &w->out.data[w->out.len - 1] : NULL;
    int last = w->index && before ? before->t.kind : 0;
    for (uint32_t i = w->out.len; w->index && i && last == TokenComment; i--)
        last = w->out.data[i - 1].t.kind;
    bool keyword = is_name(t.kind) ? is_keyword(w, t.kind, next)
                                   : (t.kind == SCAN || t.kind == WHILE) && w->index == 0;
    keyword |= t.kind == EMIT || t.kind == LET || t.kind == PARAM || t.kind == BUFFER;
    Piece p = {.t = t, .depth = w->stack.len - w->base};
    bool tight = (t.kind == '=' && tight_equals(w)) ||
                 (last == '=' && before && before->t.kind == '=' && !before->space);
    p.space = wants_space(w, t.kind, last) && !tight;
    if (w->arrow && t.kind == '(' && is_rule(w) && !top(w)) p.space = true;
    p.cost = tight ? NoBreak : break_cost(w, t.kind, last);
    p.forced = row_begins(w, &t, last);
    bool range_end = t.kind == '>' && in_role(w, Range);
    bool prefix = !w->operand && (t.kind == '-' || t.kind == '!' || t.kind == '*');
    if (w->index == 0) w->head = is_name(t.kind) && !keyword ? 0 : t.kind;
    vec_push(w->a, &w->out, p);
    brackets(w, &w->out.data[w->out.len - 1], last);
    w->prefix = prefix;
    w->keyword = keyword;
    w->operand = ends_operand(t.kind) || range_end || (is_name(t.kind) && !keyword) ||
                 ((t.kind == SCAN || t.kind == WHILE) && !keyword);
    w->index++;
    if (t.kind == ';' || t.kind == '{' || t.kind == '}') begin_statement(w);
}

Pieces format_pieces(Arena *a, const Tokens *tokens) {
    Walk w = {.a = a};
    for (uint32_t i = 0; i < tokens->len; i++) {
        Token t = tokens->data[i];
        if (t.kind == TokenComment || t.kind == DOC || t.kind == ORIGIN) {
            vec_push(a, &w.out, (Piece){.t = t, .depth = w.stack.len - w.base});
            continue;
        }
        uint32_t n = i + 1;
        while (n < tokens->len && tokens->data[n].kind == TokenComment) n++;
        int next = n < tokens->len ? tokens->data[n].kind : 0;
        if (t.kind == GE && in_role(&w, Range)) {
            walk_token(&w, (Token){.kind = '>', .text = ">", .len = 1, .newlines = t.newlines},
                       '=');
            walk_token(&w, (Token){.kind = '=', .text = "=", .len = 1}, next);
        } else {
            walk_token(&w, t, next);
        }
    }
    return w.out;
}
