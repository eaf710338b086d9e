/* --emit=ast: the tree, one node a line, with positions. */
#include "frontend/ast.h"

static void line(Text *out, int level, const char *what, Loc loc) {
    text_add(out, "%*s%s", level * 2, "", what);
    if (loc.line) text_add(out, " <%u:%u>", loc.line, loc.col);
}

static void dump_expr(const Expr *e, int level, const char *role, Text *out) {
    static const char *const kinds[] = {
        [ExName] = "Name", [ExInt] = "Int",       [ExFloat] = "Float",   [ExString] = "String",
        [ExBool] = "Bool", [ExCall] = "Call",     [ExIndex] = "Index",   [ExMember] = "Member",
        [ExCast] = "Cast", [ExUnary] = "Unary",   [ExBinary] = "Binary", [ExTuple] = "Tuple",
        [ExList] = "List", [ExSpread] = "Spread", [ExRange] = "Range",   [ExSlice] = "Slice",
        [ExDots] = "Dots", [ExDType] = "DType",
    };
    if (!e) return;
    text_add(out, "%*s%s", level * 2, "", role);
    line(out, 0, kinds[e->kind], e->loc);
    bool leaf = !e->x && !e->y && !e->elems.len && !e->args.len;
    if (leaf) {
        text_add(out, " ");
        ast_print_expr(e, out);
    }
    if (e->kind == ExBinary) text_add(out, " %s", binop_text(e->op));
    if (e->kind == ExUnary) text_add(out, " %c", e->uop);
    if (e->kind == ExMember) text_add(out, " .%s", e->name);
    text_add(out, "\n");
    dump_expr(e->x, level + 1, "", out);
    dump_expr(e->y, level + 1, "", out);
    dump_expr(e->z, level + 1, "", out);
    for (uint32_t i = 0; i < e->args.len; i++) {
        Text role_ = {0};
        if (e->args.data[i].name) text_add(&role_, "%s = ", e->args.data[i].name);
        Arena *a = arena_new();
        dump_expr(e->args.data[i].value, level + 1, text_done(&role_, a), out);
        arena_free(a);
    }
    for (uint32_t i = 0; i < e->elems.len; i++) dump_expr(e->elems.data[i], level + 1, "", out);
}

static void dump_bind(const Bind *b, int level, const char *role, Text *out) {
    line(out, level, role, b->loc);
    text_add(out, " %s%s", b->spread ? "*" : "", b->name);
    if (b->type) {
        text_add(out, ": ");
        ast_print_type(b->type, out);
    }
    text_add(out, "\n");
    dump_expr(b->init, level + 1, "", out);
}

static void dump_binds(const Binds *binds, int level, const char *role, Text *out) {
    for (uint32_t i = 0; i < binds->len; i++) dump_bind(&binds->data[i], level, role, out);
}

static void dump_block(const Block *b, int level, Text *out);

static void dump_stmt(const Stmt *st, int level, Text *out) {
    static const char *const kinds[] = {
        [StLet] = "Let",
        [StVar] = "Var",
        [StParam] = "Param",
        [StBuffer] = "Buffer",
        [StLayer] = "Layer",
        [StAssign] = "Assign",
        [StFor] = "For",
        [StScan] = "Scan",
        [StWhile] = "While",
        [StIf] = "If",
        [StReturn] = "Return",
        [StEmit] = "Emit",
        [StLoss] = "Loss",
        [StMetric] = "Metric",
        [StOptimizer] = "Optimizer",
        [StUpdateBlock] = "UpdateBlock",
        [StPrint] = "Print",
        [StRuleLine] = "RuleLine",
        [StUpdate] = "Update",
        [StField] = "Field",
    };
    line(out, level, kinds[st->kind], st->loc);
    text_add(out, "%s%s\n", st->name ? " " : "", st->name ? st->name : "");
    dump_binds(&st->binds, level + 1, "Bind", out);
    for (uint32_t i = 0; i < st->args.len; i++)
        dump_expr(st->args.data[i].value, level + 1, "", out);
    dump_expr(st->count, level + 1, "", out);
    dump_expr(st->x, level + 1, "", out);
    dump_expr(st->y, level + 1, "", out);
    dump_expr(st->e, level + 1, "", out);
    for (uint32_t i = 0; i < st->elems.len; i++) dump_expr(st->elems.data[i], level + 1, "", out);
    if (st->body) dump_block(st->body, level + 1, out);
    if (st->orelse) {
        line(out, level, "Else", st->orelse->loc);
        text_add(out, "\n");
        dump_block(st->orelse, level + 1, out);
    }
}

static void dump_block(const Block *b, int level, Text *out) {
    for (uint32_t i = 0; i < b->stmts.len; i++) dump_stmt(b->stmts.data[i], level, out);
}

void ast_dump(const Unit *u, Text *out) {
    static const char *const kinds[] = {
        [ItImport] = "Import",
        [ItConst] = "Const",
        [ItHyper] = "Hyper",
        [ItDataset] = "Dataset",
        [ItFn] = "Fn",
        [ItModule] = "Module",
        [ItModel] = "Model",
        [ItTrain] = "Train",
        [ItBackward] = "Backward",
        [ItForward] = "Forward",
        [ItOptimizer] = "Optimizer",
    };
    for (uint32_t i = 0; i < u->items.len; i++) {
        const Item *item = u->items.data[i];
        line(out, 0, kinds[item->kind], item->loc);
        text_add(out, "%s%s\n", item->name ? " " : "", item->name ? item->name : "");
        dump_binds(&item->statics, 1, "Static", out);
        dump_binds(&item->formals, 1, "Formal", out);
        dump_binds(&item->outputs, 1, "Output", out);
        dump_binds(&item->tangents, 1, "Tangent", out);
        if (item->result) {
            line(out, 1, "Result ", item->result->loc);
            ast_print_type(item->result, out);
            text_add(out, "\n");
        }
        dump_expr(item->init.init, 1, "", out);
        dump_expr(item->e, 1, "", out);
        dump_binds(&item->binds, 1, "Bind", out);
        if (item->body) dump_block(item->body, 1, out);
    }
}
