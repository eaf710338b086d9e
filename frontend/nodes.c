/* Constructors of the syntax tree: what the grammar's actions call. */
#include "frontend/parse.h"

static const char *const binops[BinCount] = {
    [BinOr] = "||", [BinAnd] = "&&", [BinLt] = "<",  [BinGt] = ">",     [BinLe] = "<=",
    [BinGe] = ">=", [BinEq] = "==",  [BinNe] = "!=", [BinAdd] = "+",    [BinSub] = "-",
    [BinMul] = "*", [BinDiv] = "/",  [BinMod] = "%", [BinMatmul] = "@", [BinPow] = "**",
};

const char *binop_text(BinOp op) {
    return binops[op];
}

Expr *expr_new(Lex *l, ExprKind kind, Loc loc) {
    Expr *e = NEW(l->a, Expr);
    e->kind = kind;
    e->loc = loc;
    return e;
}

enum { MaxDepth = 5000 };

static void deepen(Lex *l, Expr *e, const Expr *x) {
    if (x->depth >= e->depth) e->depth = x->depth + 1;
    if (e->depth != MaxDepth) return;
    diag_error(l->cx, e->loc, "the expression is nested too deeply; bind parts of it by let");
    l->fatal = true;
}

Expr *expr_name(Lex *l, Sym name, Loc loc) {
    Expr *e = expr_new(l, ExName, loc);
    e->name = name;
    return e;
}

Expr *expr_int(Lex *l, int64_t i, Loc loc) {
    Expr *e = expr_new(l, ExInt, loc);
    e->i = i;
    return e;
}

Expr *expr_float(Lex *l, double f, Loc loc) {
    Expr *e = expr_new(l, ExFloat, loc);
    e->f = f;
    return e;
}

Expr *expr_string(Lex *l, Sym s, Loc loc) {
    Expr *e = expr_new(l, ExString, loc);
    e->name = s;
    return e;
}

Expr *expr_bool(Lex *l, bool b, Loc loc) {
    Expr *e = expr_new(l, ExBool, loc);
    e->i = b;
    return e;
}

Expr *expr_binary(Lex *l, BinOp op, Expr *x, Expr *y, Loc op_loc) {
    Expr *e = expr_new(l, ExBinary, loc_join(x->loc, y->loc));
    e->op = op;
    e->op_loc = op_loc;
    e->x = x;
    e->y = y;
    deepen(l, e, x);
    deepen(l, e, y);
    return e;
}

Expr *expr_unary(Lex *l, char op, Expr *x, Loc op_loc) {
    Expr *e = expr_new(l, ExUnary, loc_join(op_loc, x->loc));
    e->uop = op;
    e->op_loc = op_loc;
    e->x = x;
    deepen(l, e, x);
    return e;
}

static Expr *applied(Lex *l, ExprKind kind, Expr *x, Args args, Loc open, Loc close) {
    Expr *e = expr_new(l, kind, loc_join(x->loc, close));
    e->op_loc = open;
    e->x = x;
    deepen(l, e, x);
    e->args = args;
    return e;
}

Expr *expr_call(Lex *l, Expr *x, Args args, Loc open, Loc close) {
    return applied(l, ExCall, x, args, open, close);
}

Expr *expr_index(Lex *l, Expr *x, Args args, Loc open, Loc close) {
    return applied(l, ExIndex, x, args, open, close);
}

Expr *expr_member(Lex *l, Expr *x, Sym name, Loc name_loc) {
    Expr *e = expr_new(l, ExMember, loc_join(x->loc, name_loc));
    e->op_loc = name_loc;
    e->x = x;
    deepen(l, e, x);
    e->name = name;
    return e;
}

Expr *expr_cast(Lex *l, TypeX *type, Expr *x, Loc close) {
    Expr *e = expr_new(l, ExCast, loc_join(type->loc, close));
    e->type = type;
    e->x = x;
    return e;
}

Expr *expr_paren(Lex *l, Exprs elems, bool comma, Loc open, Loc close) {
    if (elems.len == 1 && !comma) {
        elems.data[0]->paren = true;
        return elems.data[0];
    }
    Expr *e = expr_new(l, ExTuple, loc_join(open, close));
    e->elems = elems;
    return e;
}

Expr *expr_list(Lex *l, Exprs elems, Loc open, Loc close) {
    Expr *e = expr_new(l, ExList, loc_join(open, close));
    e->elems = elems;
    return e;
}

Expr *expr_spread(Lex *l, Sym name, Loc star, Loc name_loc) {
    Expr *e = expr_new(l, ExSpread, loc_join(star, name_loc));
    e->name = name;
    return e;
}

Expr *expr_range(Lex *l, Expr *x, Expr *y) {
    Expr *e = expr_new(l, ExRange, loc_join(x->loc, y->loc));
    e->x = x;
    e->y = y;
    return e;
}

Expr *expr_slice(Lex *l, Expr *x, Expr *y, Expr *z, Loc loc) {
    Expr *e = expr_new(l, ExSlice, loc);
    e->x = x;
    e->y = y;
    e->z = z;
    return e;
}

Expr *expr_dtype(Lex *l, TypeName t, Loc loc) {
    Expr *e = expr_new(l, ExDType, loc);
    e->type = type_scalar(l, t, NULL, loc);
    return e;
}

TypeX *type_scalar(Lex *l, TypeName t, Expr *range, Loc loc) {
    TypeX *x = NEW(l->a, TypeX);
    x->loc = loc;
    x->name = t;
    x->range = range;
    return x;
}

TypeX *type_tensor(Lex *l, TypeX *scalar, Dims dims, Loc close) {
    (void)l;
    scalar->has_dims = true;
    memcpy(&scalar->dims, &dims, sizeof dims);
    scalar->loc = loc_join(scalar->loc, close);
    return scalar;
}

TypeX *type_tuple(Lex *l, Types elems, Loc open, Loc close) {
    TypeX *x = NEW(l->a, TypeX);
    x->loc = loc_join(open, close);
    x->tuple = true;
    memcpy(&x->elems, &elems, sizeof elems);
    return x;
}

Stmt *stmt_new(Lex *l, StmtKind kind, Loc loc) {
    Stmt *st = NEW(l->a, Stmt);
    st->kind = kind;
    st->loc = loc;
    return st;
}

Stmt *stmt_bind(Lex *l, StmtKind kind, Loc loc, Bind b, Origin end) {
    Stmt *st = stmt_new(l, kind, loc);
    st->name = b.name;
    st->name_loc = b.loc;
    st->origin = end;
    vec_push(l->a, &st->binds, b);
    return st;
}

Stmt *stmt_pattern(Lex *l, Loc loc, Binds binds, Expr *e, Origin end) {
    Stmt *st = stmt_new(l, StLet, loc);
    st->binds = binds;
    st->pattern = true;
    st->e = e;
    st->origin = end;
    return st;
}

Stmt *stmt_named(Lex *l, StmtKind kind, Loc loc, Sym name, Loc name_loc, Expr *e, Origin end) {
    Stmt *st = stmt_new(l, kind, loc);
    st->name = name;
    st->name_loc = name_loc;
    st->e = e;
    st->origin = end;
    return st;
}

Stmt *stmt_exprs(Lex *l, StmtKind kind, Loc loc, Exprs elems, Origin end) {
    Stmt *st = stmt_new(l, kind, loc);
    st->elems = elems;
    st->origin = end;
    return st;
}

Item *item_new(Lex *l, ItemKind kind, Loc loc, Sym name, Loc name_loc) {
    Item *item = NEW(l->a, Item);
    item->kind = kind;
    item->loc = loc;
    item->name = name;
    item->name_loc = name_loc;
    return item;
}

Sym ast_path(Cx *cx, const Expr *e) {
    if (e->kind == ExName) return e->name;
    if (e->kind == ExMember) {
        Sym up = ast_path(cx, e->x);
        return up ? sym_fmt(cx, "%s.%s", up, e->name) : NULL;
    }
    if (e->kind == ExIndex && e->args.len == 1 && e->args.data[0].value->kind == ExInt) {
        Sym up = ast_path(cx, e->x);
        return up ? sym_fmt(cx, "%s[%lld]", up, (long long)e->args.data[0].value->i) : NULL;
    }
    return NULL;
}
