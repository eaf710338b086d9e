/* The grammar of .bp. LALR(1) without conflicts or precedence declarations; actions only build
 * nodes. */
%define api.pure full
%define api.prefix {bp_}
%define parse.error custom
%define parse.lac full
%define api.location.type {Loc}
%locations
%expect 0
%param { void *scanner }
%parse-param { Lex *lex }
%code requires {
#include "frontend/parse.h"
}
%initial-action { @$ = (Loc){.file = lex->file, .line = 1, .col = 1, .len = 1}; }
%{
#include "frontend/parse.h"
#include "parser.h"
#define YYLLOC_DEFAULT(cur, rhs, n)                                                                \
    ((cur) = (n) ? loc_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) : lex->last_loc)
#define YYMAXDEPTH 4000
int bp_lex(BP_STYPE *value, Loc *loc, void *scanner);
static void bp_error(const Loc *loc, void *scanner, Lex *lex, const char *text);
#define PUSH(list, ...) vec_push(lex->a, &(list), __VA_ARGS__)
%}
%union {
    int64_t integer;
    double number;
    Sym name;
    const char *doc;
    TypeName type_name;
    Origin origin;
    Expr *expr;
    TypeX *type;
    Stmt *stmt;
    Item *item;
    Block *block;
    Bind bind;
    Binds binds;
    Arg arg;
    Args args;
    Exprs exprs;
    DimX dim;
    struct { DimX *data; uint32_t len, cap; } dims;
    struct { TypeX **data; uint32_t len, cap; } types;
    struct { Stmt **data; uint32_t len, cap; } stmts;
    struct { Sym *data; uint32_t len, cap; } syms;
    bool flag;
}
%token <name> ID "a name" STRING "a string"
%token <integer> INT "an integer"
%token <number> FLOAT "a number"
%token <type_name> DTYPE "a type"
%token <doc> DOC "a doc comment"
%token <origin> ORIGIN "an origin"
%token ARROW "'->'" DOTS "'...'" RANGE "'..'" EQ "'=='" NE "'!='" LE "'<='" GE "'>='"
%token ANDAND "'&&'" OROR "'||'" POW "'**'"
%token IMPORT "'import'" CONST "'const'" DATASET "'dataset'" MODULE "'module'" FN "'fn'"
%token EXPORT "'export'" PARAM "'param'" BUFFER "'buffer'" LET "'let'" FOR "'for'" SCAN "'scan'"
%token WHILE "'while'" EMIT "'emit'" IF "'if'" ELSE "'else'" RETURN "'return'"
%token TRUE "'true'" FALSE "'false'"
%token <name> VAR "'var'" HYPER "'hyper'" MODEL "'model'" TRAIN "'train'" OPTIMIZER "'optimizer'"
%token <name> BACKWARD "'backward'" FORWARD "'forward'" LAYER "'layer'" LOSS "'loss'"
%token <name> METRIC "'metric'" CARRY "'carry'" IN "'in'" ON "'on'" AS "'as'" UPDATE "'update'"
%token <name> PRINT "'print'" SURROGATE "'surrogate'"

%type <name> name path
%type <doc> docs
%type <origin> end open origin
%type <expr> expr and cmp sum term unary power postfix primary bound litem
%type <type> type scalar result
%type <stmt> field titem oitem ritem stmt let if
%type <item> item fn rule head
%type <block> block
%type <bind> init static formal bind
%type <binds> statics staticlist formals formallist pattern bindlist names namelist outputs carry
%type <binds> carrylist emits
%type <args> namedlist args arglist subs sublist
%type <arg> named arg sub
%type <exprs> exprlist litems
%type <dim> dim
%type <dims> dims dimlist
%type <types> types
%type <stmts> fields titems oitems ritems stmts
%type <syms> strings
%type <flag> comma
%%
unit: items docs { (void)$2; }
items: %empty | items docs item { if ($3) { $3->doc = $2; PUSH(lex->unit->items, $3); } }
docs: %empty { $$ = NULL; }
    | docs DOC { $$ = $1 ? arena_printf(lex->a, "%s\n%s", $1, $2) : $2; }
item: IMPORT STRING end { $$ = item_new(lex, ItImport, @$, $2, @2); }
    | CONST name init end { $$ = item_new(lex, ItConst, @$, $2, @2); $$->init = $3; }
    | HYPER name init end { $$ = item_new(lex, ItHyper, @$, $2, @2); $$->init = $3; }
    | DATASET name '=' expr end { $$ = item_new(lex, ItDataset, @$, $2, @2); $$->e = $4; }
    | DATASET name '=' expr open fields docs '}' {
        $$ = item_new(lex, ItDataset, @1, $2, @2); $$->e = $4; $$->body = NEW(lex->a, Block);
        *$$->body = (Block){.loc = @5, .end = @8, .origin = $5};
        memcpy(&$$->body->stmts, &$6, sizeof $6); }
    | fn { $$ = $1; }
    | EXPORT fn { $$ = $2; $$->exported = true; }
    | MODULE head block { $$ = $2; $$->kind = ItModule; $$->body = $3; }
    | MODEL name '=' expr end { $$ = item_new(lex, ItModel, @$, $2, @2); $$->e = $4; }
    | TRAIN name ON expr AS pattern open titems docs '}' {
        $$ = item_new(lex, ItTrain, @1, $2, @2); $$->e = $4; $$->binds = $6;
        $$->body = NEW(lex->a, Block);
        *$$->body = (Block){.loc = @7, .end = @10, .origin = $7};
        memcpy(&$$->body->stmts, &$8, sizeof $8); }
    | BACKWARD rule { $$ = $2; $$->kind = ItBackward; }
    | SURROGATE BACKWARD rule { $$ = $3; $$->kind = ItBackward; $$->surrogate = true; }
    | FORWARD rule { $$ = $2; $$->kind = ItForward; }
    | OPTIMIZER name statics '(' formals ')' open oitems docs '}' {
        $$ = item_new(lex, ItOptimizer, @1, $2, @2); $$->statics = $3; $$->formals = $5;
        $$->body = NEW(lex->a, Block);
        *$$->body = (Block){.loc = @7, .end = @10, .origin = $7};
        memcpy(&$$->body->stmts, &$8, sizeof $8); }
    | error end { $$ = NULL; }
    | error '}' { $$ = NULL; }
fn: FN head block { $$ = $2; $$->kind = ItFn; $$->body = $3; $$->origin = $3->origin; }
head: name statics '(' formals ')' result {
        $$ = item_new(lex, ItFn, @$, $1, @1); $$->statics = $2; $$->formals = $4; $$->result = $6; }
result: %empty { $$ = NULL; } | ARROW type { $$ = $2; }
statics: %empty { $$ = (Binds){0}; } | '[' staticlist comma ']' { $$ = $2; }
staticlist: static { $$ = (Binds){0}; PUSH($$, $1); } | staticlist ',' static { $$ = $1; PUSH($$, $3); }
static: name { $$ = (Bind){.name = $1, .loc = @1}; }
    | '*' name { $$ = (Bind){.name = $2, .loc = @2, .spread = true}; }
    | name init { $$ = $2; $$.name = $1; $$.loc = @1; }
formals: %empty { $$ = (Binds){0}; } | formallist comma { $$ = $1; }
formallist: formal { $$ = (Binds){0}; PUSH($$, $1); } | formallist ',' formal { $$ = $1; PUSH($$, $3); }
formal: name ':' type { $$ = (Bind){.name = $1, .loc = @1, .type = $3}; }
    | name init { $$ = $2; $$.name = $1; $$.loc = @1; }
    | path ':' type { $$ = (Bind){.name = $1, .loc = @1, .type = $3}; }
path: name '.' name { $$ = sym_fmt(lex->cx, "%s.%s", $1, $3); }
    | path '.' name { $$ = sym_fmt(lex->cx, "%s.%s", $1, $3); }
    | path '[' INT ']' { $$ = sym_fmt(lex->cx, "%s[%lld]", $1, (long long)$3); }
init: '=' expr { $$ = (Bind){.init = $2}; }
    | ':' type '=' expr { $$ = (Bind){.type = $2, .init = $4}; }
    | ':' DTYPE '<' sum GE expr { $$ = (Bind){.type = type_scalar(lex, $2, $4, @2), .init = $6}; }
pattern: name { $$ = (Binds){0}; PUSH($$, ((Bind){.name = $1, .loc = @1})); }
    | '(' bindlist comma ')' { $$ = $2; }
bindlist: bind { $$ = (Binds){0}; PUSH($$, $1); } | bindlist ',' bind { $$ = $1; PUSH($$, $3); }
bind: name { $$ = (Bind){.name = $1, .loc = @1}; }
    | name ':' type { $$ = (Bind){.name = $1, .loc = @1, .type = $3}; }
names: namelist comma { $$ = $1; }
namelist: name { $$ = (Binds){0}; PUSH($$, ((Bind){.name = $1, .loc = @1})); }
    | namelist ',' name { $$ = $1; PUSH($$, ((Bind){.name = $3, .loc = @3})); }
comma: %empty { $$ = false; } | ',' { $$ = true; }
fields: %empty { memset(&$$, 0, sizeof $$); }
    | fields docs field { $$ = $1; if ($3) { $3->doc = $2; PUSH($$, $3); } }
field: name init end { $2.name = $1; $2.loc = @1; $$ = stmt_bind(lex, StField, @$, $2, $3); }
    | error end { $$ = NULL; }
titems: %empty { memset(&$$, 0, sizeof $$); }
    | titems docs titem { $$ = $1; if ($3) { $3->doc = $2; PUSH($$, $3); } }
titem: let { $$ = $1; }
    | LOSS expr end { $$ = stmt_named(lex, StLoss, @$, NULL, @1, $2, $3); }
    | METRIC name '=' expr end { $$ = stmt_named(lex, StMetric, @$, $2, @2, $4, $5); }
    | name '=' expr end { $$ = stmt_named(lex, StAssign, @$, $1, @1, $3, $4); }
    | name '=' DTYPE end { $$ = stmt_named(lex, StAssign, @$, $1, @1, expr_dtype(lex, $3, @3), $4); }
    | OPTIMIZER strings '=' expr end {
        $$ = stmt_named(lex, StOptimizer, @$, $1, @1, $4, $5);
        memcpy(&$$->strings, &$2, sizeof $2); }
    | UPDATE name open titems docs '}' {
        $$ = stmt_named(lex, StUpdateBlock, @1, $2, @2, NULL, $3); $$->body = NEW(lex->a, Block);
        *$$->body = (Block){.loc = @3, .end = @6, .origin = $3};
        memcpy(&$$->body->stmts, &$4, sizeof $4); }
    | PRINT exprlist end { $$ = stmt_exprs(lex, StPrint, @$, $2, $3); }
    | error end { $$ = NULL; }
strings: STRING { memset(&$$, 0, sizeof $$); PUSH($$, $1); } | strings ',' STRING { $$ = $1; PUSH($$, $3); }
oitems: %empty { memset(&$$, 0, sizeof $$); }
    | oitems docs oitem { $$ = $1; if ($3) { $3->doc = $2; PUSH($$, $3); } }
oitem: BUFFER name init end { $3.name = $2; $3.loc = @2; $$ = stmt_bind(lex, StBuffer, @$, $3, $4); }
    | name '(' names ')' block {
        $$ = stmt_named(lex, StUpdate, @1, $1, @1, NULL, $5->origin); $$->binds = $3; $$->body = $5; }
    | error end { $$ = NULL; }
rule: name '(' names ')' ARROW outputs '(' names ')' open ritems docs '}' {
        $$ = item_new(lex, ItBackward, @1, $1, @1); $$->formals = $3; $$->outputs = $6;
        $$->tangents = $8; $$->body = NEW(lex->a, Block);
        *$$->body = (Block){.loc = @10, .end = @13, .origin = $10};
        memcpy(&$$->body->stmts, &$11, sizeof $11); }
outputs: name { $$ = (Binds){0}; PUSH($$, ((Bind){.name = $1, .loc = @1})); } | '(' names ')' { $$ = $2; }
ritems: %empty { memset(&$$, 0, sizeof $$); }
    | ritems docs ritem { $$ = $1; if ($3) { $3->doc = $2; PUSH($$, $3); } }
ritem: let { $$ = $1; }
    | name ':' expr end { $$ = stmt_named(lex, StRuleLine, @$, $1, @1, $3, $4); }
    | error end { $$ = NULL; }
block: open stmts docs '}' {
        $$ = NEW(lex->a, Block); *$$ = (Block){.loc = @1, .end = @4, .origin = $1};
        memcpy(&$$->stmts, &$2, sizeof $2); }
open: '{' origin { $$ = $2; }
end: ';' origin { $$ = $2; }
origin: %empty { $$ = (Origin){{0}, NULL}; } | ORIGIN { $$ = $1; }
stmts: %empty { memset(&$$, 0, sizeof $$); }
    | stmts docs stmt { $$ = $1; if ($3) { $3->doc = $2; PUSH($$, $3); } }
stmt: let { $$ = $1; }
    | VAR name init end { $3.name = $2; $3.loc = @2; $$ = stmt_bind(lex, StVar, @$, $3, $4); }
    | PARAM name init end { $3.name = $2; $3.loc = @2; $$ = stmt_bind(lex, StParam, @$, $3, $4); }
    | BUFFER name init end { $3.name = $2; $3.loc = @2; $$ = stmt_bind(lex, StBuffer, @$, $3, $4); }
    | LAYER name '=' expr end { $$ = stmt_named(lex, StLayer, @$, $2, @2, $4, $5); }
    | LAYER name '[' expr ']' '=' expr end {
        $$ = stmt_named(lex, StLayer, @$, $2, @2, $7, $8); $$->count = $4; }
    | name '=' expr end { $$ = stmt_named(lex, StAssign, @$, $1, @1, $3, $4); }
    | FOR name IN sum RANGE sum block {
        $$ = stmt_named(lex, StFor, @1, $2, @2, NULL, $7->origin); $$->x = $4; $$->y = $6; $$->body = $7; }
    | SCAN '(' namedlist comma ')' carry emits block {
        $$ = stmt_named(lex, StScan, @1, NULL, @1, NULL, $8->origin); $$->args = $3; $$->binds = $6;
        $$->has_carry = $6.len; $$->emit = $7; $$->has_emit = $7.len; $$->body = $8; }
    | WHILE expr CARRY '(' carrylist comma ')' block {
        $$ = stmt_named(lex, StWhile, @1, NULL, @1, $2, $8->origin); $$->binds = $5; $$->body = $8; }
    | if { $$ = $1; }
    | RETURN exprlist end { $$ = stmt_exprs(lex, StReturn, @$, $2, $3); }
    | EMIT exprlist end { $$ = stmt_exprs(lex, StEmit, @$, $2, $3); }
    | error end { $$ = NULL; }
let: LET name init end { $3.name = $2; $3.loc = @2; $$ = stmt_bind(lex, StLet, @$, $3, $4); }
    | LET '(' bindlist comma ')' '=' expr end { $$ = stmt_pattern(lex, @$, $3, $7, $8); }
if: IF expr block { $$ = stmt_named(lex, StIf, @1, NULL, @1, $2, $3->origin); $$->body = $3; }
    | IF expr block ELSE block {
        $$ = stmt_named(lex, StIf, @1, NULL, @1, $2, $3->origin); $$->body = $3; $$->orelse = $5; }
    | IF expr block ELSE if {
        $$ = stmt_named(lex, StIf, @1, NULL, @1, $2, $3->origin); $$->body = $3;
        $$->orelse = NEW(lex->a, Block); $$->orelse->loc = $$->orelse->end = @5;
        PUSH($$->orelse->stmts, $5); }
namedlist: named { $$ = (Args){0}; PUSH($$, $1); } | namedlist ',' named { $$ = $1; PUSH($$, $3); }
named: name '=' expr { $$ = (Arg){$1, @1, $3}; }
carry: %empty { $$ = (Binds){0}; } | CARRY '(' carrylist comma ')' { $$ = $3; }
carrylist: name init { $$ = (Binds){0}; $2.name = $1; $2.loc = @1; PUSH($$, $2); }
    | carrylist ',' name init { $$ = $1; $4.name = $3; $4.loc = @3; PUSH($$, $4); }
emits: %empty { $$ = (Binds){0}; } | EMIT pattern { $$ = $2; }
type: scalar { $$ = $1; }
    | scalar '[' dims ']' { Dims d; memcpy(&d, &$3, sizeof d); $$ = type_tensor(lex, $1, d, @4); }
    | scalar '[' ']' { $$ = type_tensor(lex, $1, (Dims){0}, @3); }
    | '(' types comma ')' { Types t; memcpy(&t, &$2, sizeof t); $$ = type_tuple(lex, t, @1, @4); }
types: type { memset(&$$, 0, sizeof $$); PUSH($$, $1); } | types ',' type { $$ = $1; PUSH($$, $3); }
scalar: DTYPE { $$ = type_scalar(lex, $1, NULL, @1); }
    | DTYPE '<' sum '>' { $$ = type_scalar(lex, $1, $3, @$); }
dims: dimlist comma { $$ = $1; }
dimlist: dim { memset(&$$, 0, sizeof $$); PUSH($$, $1); } | dimlist ',' dim { $$ = $1; PUSH($$, $3); }
dim: sum { $$ = (DimX){.kind = DimExpr, .loc = @1, .e = $1}; }
    | DOTS { $$ = (DimX){.kind = DimDots, .loc = @1}; }
    | '*' name { $$ = (DimX){.kind = DimSpread, .loc = @2, .name = $2}; }
expr: and { $$ = $1; } | expr OROR and { $$ = expr_binary(lex, BinOr, $1, $3, @2); }
and: cmp { $$ = $1; } | and ANDAND cmp { $$ = expr_binary(lex, BinAnd, $1, $3, @2); }
cmp: sum { $$ = $1; }
    | sum '<' sum { $$ = expr_binary(lex, BinLt, $1, $3, @2); }
    | sum '>' sum { $$ = expr_binary(lex, BinGt, $1, $3, @2); }
    | sum LE sum { $$ = expr_binary(lex, BinLe, $1, $3, @2); }
    | sum GE sum { $$ = expr_binary(lex, BinGe, $1, $3, @2); }
    | sum EQ sum { $$ = expr_binary(lex, BinEq, $1, $3, @2); }
    | sum NE sum { $$ = expr_binary(lex, BinNe, $1, $3, @2); }
sum: term { $$ = $1; }
    | sum '+' term { $$ = expr_binary(lex, BinAdd, $1, $3, @2); }
    | sum '-' term { $$ = expr_binary(lex, BinSub, $1, $3, @2); }
term: unary { $$ = $1; }
    | term '*' unary { $$ = expr_binary(lex, BinMul, $1, $3, @2); }
    | term '/' unary { $$ = expr_binary(lex, BinDiv, $1, $3, @2); }
    | term '%' unary { $$ = expr_binary(lex, BinMod, $1, $3, @2); }
    | term '@' unary { $$ = expr_binary(lex, BinMatmul, $1, $3, @2); }
unary: power { $$ = $1; }
    | '-' unary { $$ = expr_unary(lex, '-', $2, @1); }
    | '!' unary { $$ = expr_unary(lex, '!', $2, @1); }
power: postfix { $$ = $1; } | postfix POW unary { $$ = expr_binary(lex, BinPow, $1, $3, @2); }
postfix: primary { $$ = $1; }
    | postfix '(' args ')' { $$ = expr_call(lex, $1, $3, @2, @4); }
    | postfix '[' subs ']' { $$ = expr_index(lex, $1, $3, @2, @4); }
    | postfix '.' name { $$ = expr_member(lex, $1, $3, @3); }
primary: name { $$ = expr_name(lex, $1, @1); }
    | INT { $$ = expr_int(lex, $1, @1); }
    | FLOAT { $$ = expr_float(lex, $1, @1); }
    | STRING { $$ = expr_string(lex, $1, @1); }
    | scalar '(' expr ')' { $$ = expr_cast(lex, $1, $3, @4); }
    | TRUE { $$ = expr_bool(lex, true, @1); }
    | FALSE { $$ = expr_bool(lex, false, @1); }
    | SCAN { $$ = expr_name(lex, sym(lex->cx, "scan"), @1); }
    | WHILE { $$ = expr_name(lex, sym(lex->cx, "while"), @1); }
    | '(' exprlist comma ')' { $$ = expr_paren(lex, $2, $3, @1, @4); }
    | '[' litems comma ']' { $$ = expr_list(lex, $2, @1, @4); }
    | '[' ']' { $$ = expr_list(lex, (Exprs){0}, @1, @2); }
litems: litem { $$ = (Exprs){0}; PUSH($$, $1); } | litems ',' litem { $$ = $1; PUSH($$, $3); }
litem: expr { $$ = $1; } | '*' name { $$ = expr_spread(lex, $2, @1, @2); }
exprlist: expr { $$ = (Exprs){0}; PUSH($$, $1); } | exprlist ',' expr { $$ = $1; PUSH($$, $3); }
args: %empty { $$ = (Args){0}; } | arglist comma { $$ = $1; }
arglist: arg { $$ = (Args){0}; PUSH($$, $1); } | arglist ',' arg { $$ = $1; PUSH($$, $3); }
arg: expr { $$ = (Arg){NULL, @1, $1}; }
    | name '=' DTYPE { $$ = (Arg){$1, @1, expr_dtype(lex, $3, @3)}; }
    | name '=' expr { $$ = (Arg){$1, @1, $3}; }
    | expr RANGE expr { $$ = (Arg){NULL, @1, expr_range(lex, $1, $3)}; }
subs: sublist comma { $$ = $1; }
sublist: sub { $$ = (Args){0}; PUSH($$, $1); } | sublist ',' sub { $$ = $1; PUSH($$, $3); }
sub: expr { $$ = (Arg){NULL, @1, $1}; }
    | name '=' DTYPE { $$ = (Arg){$1, @1, expr_dtype(lex, $3, @3)}; }
    | name '=' expr { $$ = (Arg){$1, @1, $3}; }
    | bound ':' bound { $$ = (Arg){NULL, @2, expr_slice(lex, $1, $3, NULL, @$)}; }
    | bound ':' bound ':' bound { $$ = (Arg){NULL, @2, expr_slice(lex, $1, $3, $5, @$)}; }
    | DOTS { $$ = (Arg){NULL, @1, expr_new(lex, ExDots, @1)}; }
bound: %empty { $$ = NULL; } | expr { $$ = $1; }
name: ID | VAR | HYPER | MODEL | TRAIN | OPTIMIZER | BACKWARD | FORWARD | LAYER | LOSS | METRIC
    | CARRY | IN | ON | AS | UPDATE | PRINT | SURROGATE
%%
static void bp_error(const Loc *loc, void *scanner, Lex *lex, const char *text) {
    (void)scanner, (void)text;
    diag_error(lex->cx, *loc, "the program is nested too deeply");
    lex->fatal = true;
}

static int yyreport_syntax_error(const yypcontext_t *c, void *scanner, Lex *lex) {
    (void)scanner;
    enum { Max = 80 };
    yysymbol_kind_t kinds[Max], found = yypcontext_token(c);
    const char *names[Max];
    int n = yypcontext_expected_tokens(c, kinds, Max);
    if (n < 0) n = 0;
    for (int i = 0; i < n; i++) names[i] = yysymbol_name(kinds[i]);
    const char *name = found == YYSYMBOL_YYEMPTY ? "the end" : yysymbol_name(found);
    syntax_error(lex, yypcontext_location(c), name, found == YYSYMBOL_YYEOF ? 0 : 1, names, n);
    return 0;
}
