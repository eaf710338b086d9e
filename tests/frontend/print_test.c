/* Declarations as canonical .bp: what is printed parses, and prints the same again. */
#include "frontend/frontend.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static char *printed(Cx *cx, const char *name, const char *text) {
    const Unit *u = parse_text(cx, sym(cx, name), text, strlen(text));
    if (!u) diag_render(cx, stderr, false);
    assert_non_null(u);
    Text out = {0};
    for (uint32_t i = 0; i < u->items.len; i++) ast_print_item(u->items.data[i], &out);
    return text_done(&out, cx->arena);
}

static void fixed_point(const char *text) {
    Cx *cx = cx_new();
    char *once = printed(cx, "once.bp", text);
    assert_string_equal(once, printed(cx, "twice.bp", once));
    cx_free(cx);
}

/* Every production of the grammar. */
static void test_constructs(void **state) {
    (void)state;
    fixed_point("/// doc\nimport \"a.bp\"; const A = 1; const B: int = 2; hyper h: f32 = 1e-3;");
    fixed_point("dataset d = csv(\"a\\n\\\"b\", split=(0.1, 0.2)); dataset e = npz(\"x\") { /// "
                "x\n x: i32<10>[2] = key(\"x\"); }");
    fixed_point("fn f[*S, N, k: int = 3](x: real[*S, N * 2 + 1], y: f32[...], s: str = \"a\", "
                "net.b[3].w: f32[2]) -> (f32, real[...]) { return x, y; }");
    fixed_point("module M[B](x: f32[B]) -> f32[B] { param w: f32[B] = zeros(); buffer m: f32 = 0; "
                "layer a = M[B=3]; layer b[4] = M; var v = x; v = v + 1; return v; }");
    fixed_point("model net = M[B=2,]; train t on d.train as (x, _) { let z = net(x); loss z; "
                "metric m = z; print z, m; optimizer \"a\", \"b\" = sgd(); update net { loss z; } "
                "precision = bf16; batch = 3; }");
    fixed_point("fn g(x: f32[4]) -> f32 { for i in 0..3 { let y = x[i]; } scan (a = x, axis=0) "
                "carry (h: f32 = 0, k = 1) emit (p, q) { emit a, h; } while h > 1 carry (y = x) { "
                "y = y; } if a { return x; } else if b { return x; } else { return x; } }");
    fixed_point("surrogate backward f(x, y) -> (a, b) (v, w) { let t = v; x: t; y: zero; } forward "
                "f(x) -> y (dx) { y: dx; } optimizer o(lr: real = 1) { buffer m = zeros(); "
                "update(p, g, t) { m = g; return p; } }");
    fixed_point("export fn e(x: f32) -> f32 { return -x ** 2 * (a + b) / c - d - (e - f) % g @ h "
                "|| !(i && j) == k; }");
    fixed_point("fn i(x: f32[3, 4]) -> f32 { let (a, b: f32[2]) = f[axis=0, wrt=(x, y)](x[1:2, "
                "::2, ..., :], [1, *S, -2.5], (x,), cols(0..3), f32(x), i32<10>(x), inf, nan, "
                "true); return a.b.c; }");
}

static void test_precedence(void **state) {
    (void)state;
    Cx *cx = cx_new();
    const char *text = "const A = (1 + 2) * 3 - 4 - (5 - 6);";
    assert_string_equal(printed(cx, "p.bp", text), "const A = (1 + 2) * 3 - 4 - (5 - 6);\n");
    assert_string_equal(printed(cx, "q.bp", "const A = 2 ** -x ** 3;"),
                        "const A = 2 ** -x ** 3;\n");
    cx_free(cx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_constructs),
                                       cmocka_unit_test(test_precedence)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
