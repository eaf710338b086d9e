/* The syntax tree as canonical .bp: one spelling per construct, parentheses where they are needed
 * or were written. */
#include "frontend/ast.h"

/* How tightly an expression binds: 0 is `||`, then &&, comparisons, + -, * / % @, unary, **. */
static int binop_level(BinOp op) {
    static const int levels[BinCount] = {
        [BinOr] = 0,  [BinAnd] = 1, [BinLt] = 2,  [BinGt] = 2,     [BinLe] = 2,
        [BinGe] = 2,  [BinEq] = 2,  [BinNe] = 2,  [BinAdd] = 3,    [BinSub] = 3,
        [BinMul] = 4, [BinDiv] = 4, [BinMod] = 4, [BinMatmul] = 4, [BinPow] = 6,
    };
    return levels[op];
}

enum { LevelUnary = 5, LevelPostfix = 7 };

static int level_of(const Expr *e) {
    if (e->paren) return LevelPostfix + 1;
    if (e->kind == ExBinary) return binop_level(e->op);
    return e->kind == ExUnary ? LevelUnary : LevelPostfix;
}

static void print_at(const Expr *e, int level, Text *out) {
    bool need = level_of(e) < level;
    if (need) text_add(out, "(");
    ast_print_expr(e, out);
    if (need) text_add(out, ")");
}

static void print_args(const Args *args, Text *out) {
    for (uint32_t i = 0; i < args->len; i++) {
        if (i) text_add(out, ", ");
        if (args->data[i].name) text_add(out, "%s=", args->data[i].name);
        ast_print_expr(args->data[i].value, out);
    }
}

static void print_list(const Exprs *list, Text *out) {
    for (uint32_t i = 0; i < list->len; i++) {
        if (i) text_add(out, ", ");
        ast_print_expr(list->data[i], out);
    }
}

static void print_binary(const Expr *e, Text *out) {
    int level = binop_level(e->op);
    bool compare = level == 2, power = e->op == BinPow;
    print_at(e->x, power ? LevelPostfix : level + compare, out);
    text_add(out, " %s ", binop_text(e->op));
    print_at(e->y, power ? LevelUnary : level + 1, out);
}

/* x(args), x[args], x.name */
static void print_postfix(const Expr *e, Text *out) {
    print_at(e->x, LevelPostfix, out);
    if (e->kind == ExMember) {
        text_add(out, ".%s", e->name);
        return;
    }
    text_add(out, e->kind == ExCall ? "(" : "[");
    print_args(&e->args, out);
    text_add(out, e->kind == ExCall ? ")" : "]");
}

static void print_slice(const Expr *e, Text *out) {
    if (e->x) ast_print_expr(e->x, out);
    text_add(out, ":");
    if (e->y) ast_print_expr(e->y, out);
    if (!e->z) return;
    text_add(out, ":");
    ast_print_expr(e->z, out);
}

static void print_bare(const Expr *e, Text *out) {
    char buf[40];
    switch (e->kind) {
    case ExName:
        text_add(out, "%s", e->name);
        break;
    case ExInt:
        text_add(out, "%lld", (long long)e->i);
        break;
    case ExFloat:
        print_f64(buf, e->f);
        text_add(out, "%s", buf);
        break;
    case ExString:
        text_add_quoted(out, e->name);
        break;
    case ExBool:
        text_add(out, e->i ? "true" : "false");
        break;
    case ExCall:
    case ExIndex:
    case ExMember:
        print_postfix(e, out);
        break;
    case ExCast:
        ast_print_type(e->type, out);
        text_add(out, "(");
        ast_print_expr(e->x, out);
        text_add(out, ")");
        break;
    case ExUnary:
        text_add(out, "%c", e->uop);
        print_at(e->x, LevelUnary, out);
        break;
    case ExBinary:
        print_binary(e, out);
        break;
    case ExTuple:
        text_add(out, "(");
        print_list(&e->elems, out);
        text_add(out, e->elems.len == 1 ? ",)" : ")");
        break;
    case ExList:
        text_add(out, "[");
        print_list(&e->elems, out);
        text_add(out, "]");
        break;
    case ExSpread:
        text_add(out, "*%s", e->name);
        break;
    case ExRange:
        ast_print_expr(e->x, out);
        text_add(out, "..");
        ast_print_expr(e->y, out);
        break;
    case ExSlice:
        print_slice(e, out);
        break;
    case ExDots:
        text_add(out, "...");
        break;
    case ExDType:
        ast_print_type(e->type, out);
        break;
    }
}

void ast_print_expr(const Expr *e, Text *out) {
    if (e->paren) text_add(out, "(");
    print_bare(e, out);
    if (e->paren) text_add(out, ")");
}

void ast_print_type(const TypeX *t, Text *out) {
    static const char *const names[] = {
        [TnF32] = "f32",   [TnF64] = "f64",   [TnBf16] = "bf16", [TnI32] = "i32", [TnI64] = "i64",
        [TnBool] = "bool", [TnReal] = "real", [TnInt] = "int",   [TnStr] = "str",
    };
    if (t->tuple) {
        for (uint32_t i = 0; i < t->elems.len; i++) {
            text_add(out, i ? ", " : "(");
            ast_print_type(t->elems.data[i], out);
        }
        text_add(out, ")");
        return;
    }
    text_add(out, "%s", names[t->name]);
    if (t->range) {
        text_add(out, "<");
        print_at(t->range, 3, out);
        text_add(out, ">");
    }
    if (!t->has_dims) return;
    text_add(out, "[");
    for (uint32_t i = 0; i < t->dims.len; i++) {
        const DimX *d = &t->dims.data[i];
        if (i) text_add(out, ", ");
        if (d->kind == DimExpr)
            print_at(d->e, 3, out);
        else
            text_add(out, d->kind == DimDots ? "..." : "*%s", d->name);
    }
    text_add(out, "]");
}
