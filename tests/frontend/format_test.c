/* The formatter over every .bp file of the repository and random other spacings of their tokens,
 * with comments strewn in: the tree, the comments and their order stay; formatting again changes
 * nothing; no line is longer than needed. */
#include "frontend/frontend.h"
#include "frontend/parse.h"
#include "parser.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { Mutations = 3 };

static unsigned failures, files, variants;

static uint64_t next_random(uint64_t *state) {
    return rng_mix(*state += UINT64_C(0x9E3779B97F4A7C15));
}

/* The tree without positions, then all comments. */
static char *meaning(Cx *cx, const char *text, size_t len) {
    Tokens tokens = {0};
    Unit *u = parse_tokens(cx, sym(cx, "x.bp"), text, len, &tokens);
    if (!u) return NULL;
    Text dump = {0}, out = {0};
    ast_dump(u, &dump);
    const char *p = dump.data ? dump.data : "";
    while (*p) { /* " <12:3>" */
        if (*p == '<' && isdigit((unsigned char)p[1])) {
            while (*p != '>') p++;
            p++;
        } else {
            text_addn(&out, p++, 1);
        }
    }
    for (uint32_t i = 0; i < u->items.len; i++) ast_print_item(u->items.data[i], &out);
    for (uint32_t i = 0; i < tokens.len; i++) {
        const Token *t = &tokens.data[i];
        bool comment = t->kind == TokenComment || t->kind == DOC || t->kind == ORIGIN;
        if (comment) text_add(&out, "%.*s\n", (int)t->len, t->text);
    }
    free(dump.data);
    return text_done(&out, cx->arena);
}

static void fail(const char *path, unsigned n, const char *what, const char *text) {
    printf("%s, variant %u: %s\n", path, n, what);
    if (failures++ == 0 && text) printf("----\n%s----\n", text);
}

static void check_text(const char *path, unsigned n, const char *text, size_t len) {
    Cx *cx = cx_new();
    Text once = {0}, twice = {0};
    const char *before = meaning(cx, text, len);
    variants += before != NULL;
    if (before && !format_text(cx, sym(cx, "x.bp"), text, len, &once)) {
        fail(path, n, "it parses, but is not formatted", text);
    } else if (before) {
        text_addn(&once, "", 0);
        const char *after = meaning(cx, once.data, once.len);
        if (!after || strcmp(before, after)) fail(path, n, "another program", text);
        if (!format_text(cx, sym(cx, "x.bp"), once.data, once.len, &twice))
            fail(path, n, "the result is not formatted", text);
        text_addn(&twice, "", 0);
        if (once.len != twice.len || memcmp(once.data, twice.data, once.len))
            fail(path, n, "formatting again changes it", once.data);
        if (strstr(once.data, "\n\n\n") || strstr(once.data, " \n") || strchr(once.data, '\t'))
            fail(path, n, "blanks that nobody needs", once.data);
    } else if (n) {
        fail(path, n, "the variant does not parse", text);
    }
    free(once.data);
    free(twice.data);
    cx_free(cx);
}

static bool is_glue(const Token *t) {
    return t->len == 1 && strchr("()[]{},;", t->text[0]);
}

/* The tokens with other blanks and lines between them, and with comments. */
static void variant(const Tokens *tokens, uint64_t *state, Text *out) {
    for (uint32_t i = 0; i < tokens->len; i++) {
        const Token *t = &tokens->data[i], *last = i ? t - 1 : NULL;
        uint64_t r = next_random(state);
        bool line =
            last && (last->kind == TokenComment || last->kind == DOC || last->kind == ORIGIN);
        bool comment = t->kind == TokenComment || t->kind == DOC || t->kind == ORIGIN;
        if (line || (t->kind == DOC && last) || (comment && last && t->newlines)) {
            text_add(out, r % 3 ? "\n" : "\n \n\n");
        } else if (!comment && r % 40 == 0) {
            text_add(out, r % 80 ? " // strewn %u\n" : "\n    // alone %u\r\n", i);
        } else if (r % 8 == 1) {
            text_add(out, "%s", (r >> 8) % 4 ? "\n" : "\n\t\n\n");
        } else if (!last || !(is_glue(last) || is_glue(t)) || r % 2) {
            text_add(out, "%s", (r >> 8) % 5 ? " " : " \t  ");
        }
        text_addn(out, t->text, t->len);
    }
}

static void check_file(const char *path) {
    Cx *cx = cx_new();
    size_t len;
    const char *text = read_whole_file(cx, path, &len);
    Tokens tokens = {0};
    files++;
    check_text(path, 0, text, len);
    uint64_t state = hash_bytes(path, strlen(path));
    if (parse_tokens(cx, sym(cx, path), text, len, &tokens)) {
        for (unsigned n = 1; n <= Mutations; n++) {
            Text t = {0};
            variant(&tokens, &state, &t);
            check_text(path, n, t.data ? t.data : "", t.len);
            free(t.data);
        }
    }
    cx_free(cx);
}

static void check_folder(const char *path) {
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char full[4096];
        struct stat st;
        if (e->d_name[0] == '.') continue;
        snprintf(full, sizeof full, "%s/%s", path, e->d_name);
        size_t n = strlen(full);
        if (stat(full, &st)) continue;
        if (S_ISDIR(st.st_mode))
            check_folder(full);
        else if (!strcmp(full + n - 3, ".bp"))
            check_file(full);
    }
    if (d) closedir(d);
}

static void check_layout(const char *name, const char *text, const char *want) {
    Cx *cx = cx_new();
    Text out = {0};
    if (!format_text(cx, sym(cx, "x.bp"), text, strlen(text), &out) || strcmp(out.data, want)) {
        printf("%s gives\n%s", name, out.data ? out.data : "nothing\n");
        failures++;
    }
    free(out.data);
    cx_free(cx);
}

int main(void) {
    check_layout("spacing",
                 "fn f[ *S,n:int=1 ](x:f32[*S,n*2],k:i32<10>=3)->f32[ * S ]{return -x*-2**-k ;}\n",
                 "fn f[*S, n: int = 1](x: f32[*S, n * 2], k: i32<10> = 3) -> f32[*S] {"
                 " return -x * -2 ** -k; }\n");
    check_layout("brackets",
                 "fn f(x: f32) { let y=g( x ,k = 1 )[ 0,:,- 1 , 1 : : 2 ] ; let ( a,_ )=( y,) ; }",
                 "fn f(x: f32) { let y = g(x, k=1)[0, :, -1, 1::2]; let (a, _) = (y,); }\n");
    check_layout("keywords",
                 "fn loss(loss:f32)->f32{let print=loss-1;return(print);}\n"
                 "train t on d.train as(x,_){loss(x);print x,-1;update m{loss x;}optimizer=sgd();}",
                 "fn loss(loss: f32) -> f32 { let print = loss - 1; return (print); }\n"
                 "train t on d.train as (x, _) { loss (x); print x, -1; update m { loss x; }"
                 " optimizer = sgd(); }\n");
    check_layout("comments",
                 "\n\n// a\nfn f(x: f32) { // b\n\n\n  let y = 1;//c\n  let long = 22; // d\n"
                 "                 // e\n\n\n // g\n return x; // h\n} // i\n// j",
                 "// a\nfn f(x: f32) {  // b\n  let y = 1;      //c\n  let long = 22;  // d\n"
                 "                  // e\n\n  // g\n  return x;  // h\n}  // i\n// j\n");
    check_layout("rows", "fn f() { let a: f32[4] = [1, 2,\n3, 4,\n]; return if_(a); }",
                 "fn f() {\n  let a: f32[4] = [1, 2,\n      3, 4,\n  ];\n  return if_(a);\n}\n");
    check_layout(
        "rules", "backward f(x,axis)->(y,z)(v,w){x:v*w;}\nforward f(x)->y(dx){y:dx;}",
        "backward f(x, axis) -> (y, z) (v, w) { x: v * w; }\nforward f(x) -> y (dx) { y: dx; }\n");
    check_layout(
        "scan",
        "fn f(x: f32[3]) { scan(a=x,axis = 0,reverse=true)carry(h:f32=0)emit(p){ h=h+a;emit h; }\n"
        "while(h>0)carry(h=p[0]){h=h-1;} return scan[f](x,carry=1); }",
        "fn f(x: f32[3]) {\n"
        "  scan (a = x, axis=0, reverse=true) carry (h: f32 = 0) emit (p) { h = h + a; emit h; }\n"
        "  while (h > 0) carry (h = p[0]) { h = h - 1; }\n"
        "  return scan[f](x, carry=1);\n}\n");
    check_folder(ROOT "/std");
    check_folder(ROOT "/examples");
    check_folder(ROOT "/tests");
    printf("%u files, %u texts, %u failures\n", files, variants, failures);
    if (files < 50) failures++;
    return failures != 0;
}
