/* What no rule says: sums of uses, calls, loops, branches, recomputation. Small programs whose
 * derivatives are checked as those of any file are, for several numbers of steps. */
#include "driver/check_table.h"

#define GIVES_F                                                                                    \
    "export fn first(x: f64[3], w: f64[3]) -> (f64, f64[3], f64[3]) {"                             \
    " return value_and_grad[f, wrt=(x, w)](x, w); }"                                               \
    "fn along(x: f64[3], w: f64[3]) -> f64 { let (gx, gw) = grad[f, wrt=(x, w)](x, w);"            \
    " return sum(gx * w) + sum(gw * gw * x); }"                                                    \
    "export fn second(x: f64[3], w: f64[3]) -> (f64[3], f64[3]) {"                                 \
    " return grad[along, wrt=(x, w)](x, w); }"                                                     \
    "export fn tangent(x: f64[3], w: f64[3]) -> (f64, f64) { return jvp[f, wrt=w](x, w, x); }"

static const struct {
    const char *name, *text;
    const char *steps[8]; /* values of N */
} programs[] = {
    {"uses",
     "const N = 1;"
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  var y: f64[3] = x; for i in 0..N { y = y * x + w; }"
     "  return sum(y * y) + sum(x * x) + sum(concat([x, w, x], axis=0)[1:7]) + x[0] * w[2]; "
     "}" GIVES_F,
     {"0", "1", "2", "3", "17"}},
    {"call",
     "const N = 1;"
     "fn g(x: f64[3], k: f64) -> (f64[3], f64) { return tanh(x * k), sum(x) * k; }"
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  var y = x; var s = w[1];"
     "  for i in 0..N { let (a, b) = g(y + w, s); y = a; s = b * 0.1; }"
     "  let (a, _) = g(w, s); return sum(y * a) + s; }" GIVES_F,
     {"0", "1", "3"}},
    {"broadcast",
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  let a = reshape(x, [3, 1]) * reshape(w, [1, 3]); let b = x[0] * w + sum(a, axis=0);"
     "  return sum(tanh(a + b)) + mean(a * x); }" GIVES_F,
     {NULL}},
    {"mask",
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  let z = x - x; let p = w > 2;"
     "  let a = where(p, log(z), x) + where(p, sqrt(z) * w, w * x) + where(p, x / z, w);"
     "  let b = where(p, reshape(transpose(reshape(rsqrt(z), [3, 1])), [3]), a * x);"
     "  return sum(a * b) + sum(where(w < 5, x * w, pow(z, w - 9))); }" GIVES_F,
     {NULL}},
    {"scan",
     "const N = 1;"
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  let xs = reshape(iota(N), [N, 1]); let c = sum(w);"
     "  let s: f64[N, 3] = f64(broadcast(xs, [N, 3])) * 0.1 + x;"
     "  scan (a = s) carry (h: f64[3] = x, n: f64 = 1.0) emit (hs, ns) {"
     "    h = tanh(a * w + h * c); n = n * 0.9 + sum(h * x); emit h, n * w[0]; }"
     "  scan (b = hs, k = ns, reverse=true) carry (r: f64[3] = w) { r = r * 0.5 + b * k + x; }"
     "  return sum(r * h) + n + c; }" GIVES_F,
     {"0", "1", "2", "3", "7"}},
    {"nested scan",
     "const N = 2;"
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  let s: f64[N, 3] = 0.3; "
     "  scan (a = s + x) carry (h: f64[3] = w) {"
     "    scan (b = a, k = iota(3)) carry (t: f64 = 0.0) emit (ts) { t = sin(t + b * h[k]); emit t "
     "* t; }"
     "    h = h * ts + t * w; }"
     "  return sum(h * x); }" GIVES_F,
     {"1", "2", "3"}},
    {"while",
     "const N = 1;"
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  while i < N carry (h: f64[3] = x, i: i32 = 0) { h = sin(h * w + x); i = i + 1; }"
     "  return sum(h * h) + sum(w); }" GIVES_F,
     {"0", "1", "2", "3", "7", "40"}},
    {"if",
     "const N = 1;"
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  var y = x * w; var k = 1.0;"
     "  if sum(x) > sum(x) - N + 2 { y = exp(y) + x; k = w[0]; } else if N > 0 && x[0] < 9 { y = y "
     "* y; }"
     "  else { k = sum(x); }"
     "  return sum(y * w) * k; }" GIVES_F,
     {"0", "1", "3"}},
    {"checkpoint",
     "fn g(x: f64[3], w: f64[3]) -> f64[3] { return tanh(x * exp(w)) + x; }"
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  let h = checkpoint[g](x, w); return sum(checkpoint[g](h * w, x) * w); }" GIVES_F,
     {NULL}},
    {"indices",
     "fn f(x: f64[3], w: f64[3]) -> f64 {"
     "  let i: i32<3>[5] = [2, 0, 2, 2, 1]; "
     "  let y = gather(x, i, axis=0); let z = scatter_add(w, i, y * y, axis=0);"
     "  scan (k = i) carry (t: f64 = 1.0) { t = t * x[k] + w[k]; }"
     "  let r = reshape(x * w, [1, 3, 1]); let m = window_argmax(r, [2, 1], [1, 1]);"
     "  let p = sum(exp(window_pick(r, m, [2, 1], [1, 1])));"
     "  return sum(z * x) + t + p + sum(gather(z, i, axis=0) * y); }" GIVES_F,
     {NULL}},
};

/* Proves one program; false where a row is false or the program is wrong. */
static bool prove_program(Check *c, const char *name, const char *text, const char *steps) {
    Cx *cx = c->o->cx;
    const char *define = steps ? arena_printf(c->a, "N=%s", steps) : NULL;
    FrontOptions options = {.defines = &define, .ndefines = steps != NULL, .check = true};
    uint32_t failures = c->failures, errors = cx->errors;
    cx->errors = 0;
    Sym file = sym_fmt(cx, "%s%s%s", name, steps ? " N=" : "", steps ? steps : "");
    PassOptions po = {.limit = -1, .stop_after = "differentiate"};
    c->p = front_load_text(cx, file, text, strlen(text), &options);
    c->done.len = 0;
    bool ran = c->p && passes_run(c->p, &po) && check_all(c);
    bool ok = ran && c->failures == failures && !cx->errors;
    c->failures = failures;
    cx->errors += errors;
    return ok;
}

void prove_engine(Check *c) {
    c->quiet = true;
    for (size_t i = 0; i < LEN(programs); i++) {
        if (!table_wanted(c, programs[i].name)) continue;
        bool ok = true;
        Text steps = {0};
        for (size_t k = 0; !k || programs[i].steps[k]; k++) {
            const char *n = programs[i].steps[k];
            ok &= prove_program(c, programs[i].name, programs[i].text, n);
            if (n) text_add(&steps, "%s%s", k ? " " : "N = ", n);
        }
        char *text = text_done(&steps, c->a);
        printf("%-5s  %-20s  %s\n", ok ? "ok" : "FALSE", programs[i].name, *text ? text : "-");
        c->failures += !ok;
    }
    c->quiet = false;
}
