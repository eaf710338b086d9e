/* What the lexer and the parser share: state of one parse and constructors of nodes. */
#ifndef BPC_PARSE_H
#define BPC_PARSE_H

#include "frontend/ast.h"

union BP_STYPE;

/* A token or comment as it stands in the source, for the formatter. */
typedef struct Token {
    int kind; /* of parser.h, or TokenComment */
    const char *text;
    uint32_t len, newlines; /* newlines: before it, after the token or comment before */
    uint32_t col;
} Token;
enum { TokenComment = -1 };
typedef VEC(Token) Tokens;

typedef struct Opened {
    Loc loc;
    int kind;
} Opened;

typedef struct Lex {
    Cx *cx;
    Arena *a;
    Sym file;
    uint32_t line, col;
    int last;                  /* the last token, 0 at the start */
    Loc loc, last_loc, before; /* of what is being read, the last token, the one before it */
    bool first_on_line;        /* nothing but blanks before on this line */
    bool fatal, again;
    VEC(Loc) missing;  /* tokens before which a ';' was found missing */
    uint32_t inserted; /* of them in this run */
    /* the token that a ';' was put before */
    int held_token;
    union BP_STYPE *held_value;
    Loc held_loc;
    Unit *unit;
    Tokens *tokens; /* where tokens are recorded, or NULL */
    uint32_t newlines;
    VEC(Opened) open; /* brackets not closed so far */
} Lex;

void lex_advance(Lex *l, Loc *loc, const char *text, size_t n);
void lex_newline(Lex *l);
int lex_token(Lex *l, int kind);
/* Records what was just read, if anyone wants it. */
void lex_record(Lex *l, int kind, const char *text, size_t n);
void lex_error(Lex *l, const Loc *loc, const char *fmt, ...) PRINTF_LIKE(3, 4);
void lex_bad_dot(Lex *l, const Loc *loc, const char *text);
/* The fix-it of 'x += e'. */
void lex_fix_assign(Lex *l, const Loc *loc, const char *text);
void lex_bad_byte(Lex *l, const Loc *loc, unsigned char byte);
double lex_float(Lex *l, const Loc *loc, const char *text);
int64_t lex_int(Lex *l, const Loc *loc, const char *text);
int lex_word(Lex *l, union BP_STYPE *value, const char *text, size_t n);
bool lex_doc(Lex *l, union BP_STYPE *value, const char *text, size_t n);
bool lex_origin(Lex *l, union BP_STYPE *value, const char *text, size_t n);
Sym lex_string(Lex *l, const Loc *loc, const char *text, size_t n);

/* ---- parse.c ---- */
/* parse_text that also gives all tokens and comments. */
Unit *parse_tokens(Cx *cx, Sym name, const char *text, size_t len, Tokens *tokens);

/* ---- nodes ---- */
Expr *expr_new(Lex *l, ExprKind kind, Loc loc);
Expr *expr_name(Lex *l, Sym name, Loc loc);
Expr *expr_int(Lex *l, int64_t i, Loc loc);
Expr *expr_float(Lex *l, double f, Loc loc);
Expr *expr_string(Lex *l, Sym s, Loc loc);
Expr *expr_bool(Lex *l, bool b, Loc loc);
Expr *expr_binary(Lex *l, BinOp op, Expr *x, Expr *y, Loc op_loc);
Expr *expr_unary(Lex *l, char op, Expr *x, Loc op_loc);
Expr *expr_call(Lex *l, Expr *x, Args args, Loc open, Loc close);
Expr *expr_index(Lex *l, Expr *x, Args args, Loc open, Loc close);
Expr *expr_member(Lex *l, Expr *x, Sym name, Loc name_loc);
Expr *expr_cast(Lex *l, TypeX *type, Expr *x, Loc close);
Expr *expr_paren(Lex *l, Exprs elems, bool comma, Loc open, Loc close);
Expr *expr_list(Lex *l, Exprs elems, Loc open, Loc close);
Expr *expr_spread(Lex *l, Sym name, Loc star, Loc name_loc);
Expr *expr_range(Lex *l, Expr *x, Expr *y);
Expr *expr_slice(Lex *l, Expr *x, Expr *y, Expr *z, Loc loc);
Expr *expr_dtype(Lex *l, TypeName t, Loc loc);

TypeX *type_scalar(Lex *l, TypeName t, Expr *range, Loc loc);
typedef VEC(DimX) Dims;
typedef VEC(TypeX *) Types;
TypeX *type_tensor(Lex *l, TypeX *scalar, Dims dims, Loc close);
TypeX *type_tuple(Lex *l, Types elems, Loc open, Loc close);

Stmt *stmt_new(Lex *l, StmtKind kind, Loc loc);
Stmt *stmt_bind(Lex *l, StmtKind kind, Loc loc, Bind b, Origin end);
Stmt *stmt_pattern(Lex *l, Loc loc, Binds binds, Expr *e, Origin end);
Stmt *stmt_named(Lex *l, StmtKind kind, Loc loc, Sym name, Loc name_loc, Expr *e, Origin end);
Stmt *stmt_exprs(Lex *l, StmtKind kind, Loc loc, Exprs elems, Origin end);
Item *item_new(Lex *l, ItemKind kind, Loc loc, Sym name, Loc name_loc);
/* Reports what the parser could not read. */
void syntax_error(Lex *l, const Loc *loc, const char *found, int token, const char *const *expected,
                  int n);

#endif
