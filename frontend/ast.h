/* The syntax tree of a .bp file. Built by parser.y, read by the checker (lower_*.c), the IR reader
 * (read_ir.c) and the printer. All nodes live in the context's arena and carry their position. */
#ifndef BPC_AST_H
#define BPC_AST_H

#include "ir/ir.h"

typedef struct Expr Expr;
typedef struct Stmt Stmt;
typedef struct TypeX TypeX;
typedef struct Item Item;

/* An argument, subscript, setting or default: [name =] value. */
typedef struct Arg {
    Sym name; /* NULL: positional */
    Loc loc;  /* of the name, else of the value */
    Expr *value;
} Arg;
typedef VEC(Arg) Args;
typedef VEC(Expr *) Exprs;

typedef enum ExprKind {
    ExName,   /* name */
    ExInt,    /* i */
    ExFloat,  /* f; inf and nan too */
    ExString, /* str, unescaped */
    ExBool,   /* i */
    ExCall,   /* x(args) */
    ExIndex,  /* x[args] : settings, subscripts */
    ExMember, /* x.name */
    ExCast,   /* type(x): type is a scalar TypeX, also real, int, bool */
    ExUnary,  /* op x: '-' '!' */
    ExBinary, /* x op y */
    ExTuple,  /* (a, b) : elems; a parenthesised single expression is itself, paren = true */
    ExList,   /* [a, b] : elems */
    ExSpread, /* *S inside a list */
    ExRange,  /* a .. b in arguments: x, y */
    ExSlice,  /* a:b:c in subscripts: x, y, z, each may be NULL */
    ExDots,   /* ... in subscripts */
    ExDType,  /* a bare type name as an argument: wrt=f32, precision = bf16 */
} ExprKind;

/* Binary operators; the names of the operations that they mean. */
typedef enum BinOp {
    BinOr,
    BinAnd,
    BinLt,
    BinGt,
    BinLe,
    BinGe,
    BinEq,
    BinNe,
    BinAdd,
    BinSub,
    BinMul,
    BinDiv,
    BinMod,
    BinMatmul,
    BinPow,
    BinCount
} BinOp;
const char *binop_text(BinOp op); /* "||" ... "**" */

struct Expr {
    ExprKind kind;
    Loc loc;    /* the whole expression where it stands on one line, else its start */
    Loc op_loc; /* of a binary or unary operator, a call's '(' , a member's name */
    bool paren;
    uint32_t depth; /* of the tree below: walks are recursive, so it is limited */
    BinOp op; /* ExBinary */
    char uop; /* ExUnary */
    int64_t i;
    double f;
    Sym name;    /* ExName, ExMember, ExString's text, ExSpread */
    TypeX *type; /* ExCast, ExDType */
    Expr *x, *y, *z;
    Args args;
    Exprs elems;
};

/* ---- types as written ---- */
typedef enum DimKind { DimExpr, DimDots, DimSpread } DimKind;
typedef struct DimX {
    DimKind kind;
    Loc loc;
    Expr *e;  /* DimExpr */
    Sym name; /* DimSpread */
} DimX;
typedef enum TypeName { TnF32, TnF64, TnBf16, TnI32, TnI64, TnBool, TnReal, TnInt, TnStr } TypeName;
struct TypeX {
    Loc loc;
    bool tuple;
    TypeName name;
    Expr *range;   /* of i32<V>, or NULL */
    bool has_dims; /* f32[] never parses; a scalar has none */
    VEC(DimX) dims;
    VEC(TypeX *) elems; /* of a tuple */
};

/* ---- pieces of declarations ---- */
/* name, name: type, name = e, name: type = e; *name in statics. path: a dotted formal as one name.
 */
typedef struct Bind {
    Sym name;
    Loc loc;
    bool spread;
    TypeX *type;
    Expr *init;
} Bind;
typedef VEC(Bind) Binds;
/* The //@ FILE:LINE:COL[ RULE] after ; or {; file == NULL: none. */
typedef struct Origin {
    Loc loc;
    Sym rule;
} Origin;
typedef struct Block {
    VEC(Stmt *) stmts;
    Loc loc, end; /* of { and } */
    Origin origin;
} Block;

typedef enum StmtKind {
    StLet,         /* binds = e; pattern: (a, b) */
    StVar,         /* binds[0] */
    StParam,       /* binds[0] */
    StBuffer,      /* binds[0] */
    StLayer,       /* name = e, or name[count] = e */
    StAssign,      /* name = e; in train and update bodies also settings */
    StFor,         /* name in x .. y body */
    StScan,        /* args, binds = carry, pattern = emit, body */
    StWhile,       /* e, binds = carry, body */
    StIf,          /* e, body, and orelse (a block; `else if` is a block of one StIf) */
    StReturn,      /* elems */
    StEmit,        /* elems */
    StLoss,        /* e */
    StMetric,      /* name = e */
    StOptimizer,   /* strings, e: optimizer "*.b" = ...; (a plain `optimizer = e` is StAssign) */
    StUpdateBlock, /* name, body: update MODEL { } inside train */
    StPrint,       /* elems */
    StRuleLine,    /* name: e in backward and forward */
    StUpdate,      /* name(names) body in optimizer: update(p, g, t) { } */
    StField,       /* name: type = e, in a dataset: binds[0] */
} StmtKind;

struct Stmt {
    StmtKind kind;
    Loc loc, name_loc;
    Origin origin; /* after the ; */
    const char *doc;
    Sym name;
    Expr *e, *count, *x, *y;
    Binds binds;
    bool pattern; /* StLet: the left side is in parentheses */
    Args args;
    Binds emit;
    bool has_emit, has_carry;
    Exprs elems;
    VEC(Sym) strings;
    Block *body, *orelse;
};

typedef enum ItemKind {
    ItImport,
    ItConst,
    ItHyper,
    ItDataset,
    ItFn,
    ItModule,
    ItModel,
    ItTrain,
    ItBackward,
    ItForward,
    ItOptimizer
} ItemKind;

struct Item {
    ItemKind kind;
    Loc loc, name_loc; /* of the whole head; of the name */
    const char *doc;   /* lines of /// joined by newlines, or NULL */
    Sym name;          /* ItImport: the path */
    bool exported, surrogate;
    Binds statics;           /* [ ] of fn, module, optimizer */
    Binds formals;           /* ( ) ; for rules the operand names */
    Binds outputs, tangents; /* rules: after ->, and the last ( ) */
    TypeX *result;           /* or NULL */
    Bind init;               /* const, hyper: type and value */
    Expr *e;                 /* dataset, model, train's `on` */
    Binds binds;             /* train's `as` */
    bool bind_pattern;
    Block *body; /* statements, fields, train items, rule lines, optimizer items */
    Origin origin;
};

typedef struct Unit {
    Sym file;
    VEC(Item *) items;
    const char *text; /* the source */
    size_t len;
} Unit;

/* ---- nodes.c ---- */
/* "net.block[3].w" of members of a name, or NULL. */
Sym ast_path(Cx *cx, const Expr *e);

/* ---- parse.c (drives lexer.l and parser.y) ---- */
/* Reports errors to cx; NULL if there were any. text must outlive cx. Registers the source. */
Unit *parse_text(Cx *cx, Sym name, const char *text, size_t len);
/* Reads a file ("-": standard input); reports one that cannot be read. */
Unit *parse_file(Cx *cx, const char *path);
/* The path of the file as the source name. */
char *read_whole_file(Cx *cx, const char *path, size_t *len);

/* ---- format.c ---- */
/* The text in canonical layout; false after errors in cx. text must outlive cx. */
bool format_text(Cx *cx, Sym name, const char *text, size_t len, Text *out);

/* ---- ast_print.c ---- */
void ast_dump(const Unit *u, Text *out);       /* --emit=ast: an indented tree */
void ast_print_expr(const Expr *e, Text *out); /* canonical .bp */
void ast_print_type(const TypeX *t, Text *out);
void ast_print_item(const Item *item, Text *out); /* a declaration, canonical .bp, newline ended */

#endif
