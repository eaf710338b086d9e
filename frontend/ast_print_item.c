/* Statements and declarations as canonical .bp, two blanks a level. */
#include "frontend/ast.h"

static void indent(int level, Text *out) {
    text_add(out, "%*s", level * 2, "");
}

static void print_doc(const char *doc, int level, Text *out) {
    while (doc && *doc) {
        const char *nl = strchr(doc, '\n');
        size_t n = nl ? (size_t)(nl - doc) : strlen(doc);
        indent(level, out);
        text_add(out, n ? "/// %.*s\n" : "///\n", (int)n, doc);
        doc = nl ? nl + 1 : NULL;
    }
}

static void print_end(const char *mark, const Origin *o, Text *out) {
    text_add(out, "%s", mark);
    if (o->loc.file) {
        text_add(out, "  //@ %s:%u:%u%s%s", o->loc.file, o->loc.line, o->loc.col,
                 o->rule ? " " : "", o->rule ? o->rule : "");
    }
    text_add(out, "\n");
}

static void print_bind(const Bind *b, Text *out) {
    text_add(out, "%s%s", b->spread ? "*" : "", b->name);
    if (b->type) {
        text_add(out, ": ");
        ast_print_type(b->type, out);
    }
    if (b->init) {
        text_add(out, " = ");
        ast_print_expr(b->init, out);
    }
}

static void print_binds(const Binds *binds, const char *open, const char *close, Text *out) {
    text_add(out, "%s", open);
    for (uint32_t i = 0; i < binds->len; i++) {
        if (i) text_add(out, ", ");
        print_bind(&binds->data[i], out);
    }
    text_add(out, "%s", close);
}

static void print_stmt(const Stmt *st, int level, Text *out);

static void print_block(const Block *b, int level, Text *out) {
    print_end("{", &b->origin, out);
    for (uint32_t i = 0; i < b->stmts.len; i++) print_stmt(b->stmts.data[i], level + 1, out);
    indent(level, out);
    text_add(out, "}");
}

static void print_exprs(const char *word, const Exprs *list, Text *out) {
    text_add(out, "%s ", word);
    for (uint32_t i = 0; i < list->len; i++) {
        if (i) text_add(out, ", ");
        ast_print_expr(list->data[i], out);
    }
}

static void print_loop_head(const Stmt *st, Text *out) {
    if (st->kind == StScan) {
        text_add(out, "scan (");
        for (uint32_t i = 0; i < st->args.len; i++) {
            text_add(out, "%s%s = ", i ? ", " : "", st->args.data[i].name);
            ast_print_expr(st->args.data[i].value, out);
        }
        text_add(out, ")");
    } else {
        text_add(out, "while ");
        ast_print_expr(st->e, out);
    }
    if (st->binds.len) print_binds(&st->binds, " carry (", ")", out);
    if (st->has_emit) print_binds(&st->emit, " emit (", ")", out);
    text_add(out, " ");
}

static void print_if(const Stmt *st, int level, Text *out) {
    text_add(out, "if ");
    ast_print_expr(st->e, out);
    text_add(out, " ");
    print_block(st->body, level, out);
    if (!st->orelse) return;
    text_add(out, " else ");
    const Block *b = st->orelse;
    bool chain = b->stmts.len == 1 && b->stmts.data[0]->kind == StIf &&
                 b->loc.line == b->end.line && b->loc.col == b->end.col;
    if (chain)
        print_if(b->stmts.data[0], level, out);
    else
        print_block(b, level, out);
}

/* word name = e */
static void print_named(const char *word, const Stmt *st, const char *between, Text *out) {
    text_add(out, "%s%s%s", word, st->name ? st->name : "", st->name ? between : "");
    ast_print_expr(st->e, out);
}

static const char *bind_word(StmtKind k) {
    return k == StVar      ? "var "
           : k == StParam  ? "param "
           : k == StBuffer ? "buffer "
           : k == StField  ? ""
                           : "let ";
}

/* A statement that ends with a block; false for the others. */
static bool print_compound(const Stmt *st, int level, Text *out) {
    switch (st->kind) {
    case StFor:
        text_add(out, "for %s in ", st->name);
        ast_print_expr(st->x, out);
        text_add(out, "..");
        ast_print_expr(st->y, out);
        text_add(out, " ");
        break;
    case StScan:
    case StWhile:
        print_loop_head(st, out);
        break;
    case StIf:
        print_if(st, level, out);
        text_add(out, "\n");
        return true;
    case StUpdateBlock:
        text_add(out, "update %s ", st->name);
        break;
    case StUpdate:
        text_add(out, "%s", st->name);
        print_binds(&st->binds, "(", ") ", out);
        break;
    default:
        return false;
    }
    print_block(st->body, level, out);
    text_add(out, "\n");
    return true;
}

static void print_layer(const Stmt *st, Text *out) {
    text_add(out, "layer %s", st->name);
    if (st->count) {
        text_add(out, "[");
        ast_print_expr(st->count, out);
        text_add(out, "]");
    }
    text_add(out, " = ");
    ast_print_expr(st->e, out);
}

/* optimizer "*.b", "*.g" = e */
static void print_group(const Stmt *st, Text *out) {
    text_add(out, "optimizer");
    for (uint32_t i = 0; i < st->strings.len; i++) {
        text_add(out, i ? ", " : " ");
        text_add_quoted(out, st->strings.data[i]);
    }
    text_add(out, " = ");
    ast_print_expr(st->e, out);
}

static void print_simple(const Stmt *st, Text *out) {
    switch (st->kind) {
    case StLet:
        if (st->pattern) {
            print_binds(&st->binds, "let (", ") = ", out);
            ast_print_expr(st->e, out);
            break;
        }
        /* fall through */
    case StVar:
    case StParam:
    case StBuffer:
    case StField:
        text_add(out, "%s", bind_word(st->kind));
        print_bind(&st->binds.data[0], out);
        break;
    case StLayer:
        print_layer(st, out);
        break;
    case StAssign:
        print_named("", st, " = ", out);
        break;
    case StMetric:
        print_named("metric ", st, " = ", out);
        break;
    case StRuleLine:
        print_named("", st, ": ", out);
        break;
    case StLoss:
        text_add(out, "loss ");
        ast_print_expr(st->e, out);
        break;
    case StReturn:
        print_exprs("return", &st->elems, out);
        break;
    case StEmit:
        print_exprs("emit", &st->elems, out);
        break;
    case StPrint:
        print_exprs("print", &st->elems, out);
        break;
    case StOptimizer:
        print_group(st, out);
        break;
    case StFor:
    case StScan:
    case StWhile:
    case StIf:
    case StUpdateBlock:
    case StUpdate:
        break;
    }
}

static void print_stmt(const Stmt *st, int level, Text *out) {
    print_doc(st->doc, level, out);
    indent(level, out);
    if (print_compound(st, level, out)) return;
    print_simple(st, out);
    print_end(";", &st->origin, out);
}

static void print_head(const char *word, const Item *item, Text *out) {
    text_add(out, "%s%s", word, item->name);
    if (item->statics.len) print_binds(&item->statics, "[", "]", out);
    print_binds(&item->formals, "(", ")", out);
    if (item->result) {
        text_add(out, " -> ");
        ast_print_type(item->result, out);
    }
    text_add(out, " ");
}

static void print_rule(const char *word, const Item *item, Text *out) {
    text_add(out, "%s%s%s", item->surrogate ? "surrogate " : "", word, item->name);
    print_binds(&item->formals, "(", ") -> ", out);
    bool one = item->outputs.len == 1;
    print_binds(&item->outputs, one ? "" : "(", one ? "" : ")", out);
    print_binds(&item->tangents, " (", ") ", out);
}

static void print_value(const char *word, const Item *item, Text *out) {
    text_add(out, "%s%s = ", word, item->name);
    ast_print_expr(item->e, out);
}

void ast_print_item(const Item *item, Text *out) {
    print_doc(item->doc, 0, out);
    switch (item->kind) {
    case ItImport:
        text_add(out, "import \"%s\"", item->name);
        break;
    case ItConst:
    case ItHyper: {
        Bind b = item->init;
        b.name = item->name;
        text_add(out, item->kind == ItConst ? "const " : "hyper ");
        print_bind(&b, out);
        break;
    }
    case ItDataset:
        print_value("dataset ", item, out);
        if (item->body) text_add(out, " ");
        break;
    case ItModel:
        print_value("model ", item, out);
        break;
    case ItFn:
        print_head(item->exported ? "export fn " : "fn ", item, out);
        break;
    case ItModule:
        print_head("module ", item, out);
        break;
    case ItOptimizer:
        print_head("optimizer ", item, out);
        break;
    case ItBackward:
        print_rule("backward ", item, out);
        break;
    case ItForward:
        print_rule("forward ", item, out);
        break;
    case ItTrain: {
        bool one = item->binds.len == 1;
        text_add(out, "train %s on ", item->name);
        ast_print_expr(item->e, out);
        print_binds(&item->binds, one ? " as " : " as (", one ? " " : ") ", out);
        break;
    }
    }
    if (!item->body) {
        text_add(out, ";\n");
        return;
    }
    print_block(item->body, 0, out);
    text_add(out, "\n");
}
