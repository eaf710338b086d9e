/* inline, simplify, dce and the runner: same values, fewer lines. */
#include "tests/passes/support.h"

#include <sys/wait.h>
#include <unistd.h>

static const PassOptions options = {.level = 1, .verify_each = true, .limit = -1};

static void run_until(T *t, const char *last) {
    PassOptions o = options;
    o.stop_after = last;
    assert_true(passes_run(t->p, &o));
}

static const Fn *named(T *t, const char *name) { return program_fn(t->p, sym(t->cx, name)); }

static uint32_t count(const Fn *fn, Op op) {
    uint32_t n = 0;
    for (Val v = 0; v < fn->ins.len; v++) n += fn->ins.data[v].op == op;
    return n;
}

static void test_inline(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "pair");
    Val x = t_param(t, "x", t_type(t, 1, 2));
    t_end(t, t_name(t, t_op(t, Op_exp, x), "inner"), x, NoVal);
    t_fn(t, "middle");
    x = t_param(t, "x", t_type(t, 1, 2));
    Val r[2];
    b_call(t->b, named(t, "pair"), &x, 1, r);
    t_end(t, t_op2(t, Op_mul, r[0], r[1]), NoVal);
    t_fn(t, "run");
    x = t_param(t, "x", t_type(t, 1, 2));
    Val h = t_name(t, t_call(t, "middle", 1, &x), "h");
    b_fn(t->b)->exported = true;
    Fn *before = t_end(t, t_op(t, Op_tanh, h), h, NoVal);
    Tensor *args = t_args(t, before, 1), *want = t_run(t, before, args);
    run_until(t, "inline");
    const Fn *after = named(t, "run");
    assert_int_equal(after->props, PropNoOperators | PropInlined);
    assert_int_equal(count(after, Op_call) + count(after, Op_get), 0);
    Tensor *got = t_run(t, after, args);
    for (int k = 0; k < 2; k++) assert_memory_equal(got[k].re, want[k].re, 2 * sizeof(double));
    assert_string_equal(after->ins.data[after->results.data[1]].name, "h");
    t_free(t);
}

static void test_dce(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "unused");
    t_end(t, t_op(t, Op_exp, t_param(t, "x", t_type(t, 0))), NoVal);
    t_fn(t, "run");
    Val x = t_param(t, "x", t_type(t, 0));
    t_op(t, Op_tanh, t_op(t, Op_exp, x));
    b_fn(t->b)->exported = true;
    b_fn(t->b)->doc = "kept";
    t_end(t, t_op(t, Op_neg, x), NoVal);
    run_until(t, "dce");
    assert_null(named(t, "unused"));
    const Fn *run = named(t, "run");
    assert_int_equal(run->ins.len, 2);
    assert_true(run->exported);
    assert_string_equal(run->doc, "kept");
    t_free(t);
}

/* Each rewrite fires, and gives the same bits on ordinary and special numbers. */
static void test_simplify(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 8);
    t_fn(t, "run");
    Val x = t_param(t, "x", v), y = t_param(t, "y", v);
    Val nx = t_op(t, Op_neg, x), ny = t_op(t, Op_neg, y);
    Val r[] = {
        t_op2(t, Op_div, x, t_num(t, v, 8)),    t_op2(t, Op_div, x, t_num(t, v, -0x1p-40)),
        t_op2(t, Op_add, x, ny),                t_op2(t, Op_add, nx, y),
        t_op2(t, Op_sub, x, ny),                t_op2(t, Op_div, x, t_num(t, v, 3)),
        t_op2(t, Op_div, x, t_num(t, v, 0x1p-1074)),
        t_where(t, t_op(t, Op_not, t_op2(t, Op_lt, x, y)), x, y),
    };
    b_fn(t->b)->exported = true;
    Fn *before = t_end(t, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], NoVal);
    static const double special[] = {0.0, -0.0, 1.5, -3, INFINITY, -INFINITY, 5e-324, 1e308};
    Tensor *args = t_args(t, before, 2), *want;
    run_until(t, "dce");
    const Fn *after = named(t, "run");
    assert_int_equal(count(after, Op_div), 2);
    assert_int_equal(count(after, Op_mul), 2);
    assert_int_equal(count(after, Op_neg) + count(after, Op_not), 0);
    for (int shift = 0; shift < 8; shift++) {
        for (int e = 0; e < 8; e++) {
            args[0].re[e] = special[e];
            args[1].re[e] = special[(e + shift) % 8];
        }
        want = t_run(t, before, args);
        Tensor *got = t_run(t, after, args);
        for (uint32_t k = 0; k < LEN(r); k++) {
            for (int e = 0; e < 8; e++) {
                if (isnan(want[k].re[e]) && isnan(got[k].re[e])) continue;
                assert_memory_equal(&got[k].re[e], &want[k].re[e], sizeof(double));
            }
        }
    }
    t_free(t);
}

/* -O0 leaves simplify out, the limit stops early, an unknown name is an error with a suggestion. */
static void test_runner(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "run");
    Val x = t_param(t, "x", t_type(t, 0));
    b_fn(t->b)->exported = true;
    t_end(t, t_op2(t, Op_div, x, t_num(t, t_type(t, 0), 2)), NoVal);
    PassOptions o = options;
    o.level = 0;
    o.stop_after = "dce";
    assert_true(passes_run(t->p, &o));
    assert_int_equal(count(named(t, "run"), Op_div), 1);
    o.limit = 2;
    o.level = 1;
    assert_true(passes_run(t->p, &o));
    assert_int_equal(named(t, "run")->props, PropNoOperators);
    char text[4096] = "";
    o = (PassOptions){.level = 1, .limit = -1, .stop_after = "dce", .emit_after = "simplify"};
    o.out = fmemopen(text, sizeof text, "w");
    assert_true(passes_run(t->p, &o));
    fclose(o.out);
    assert_non_null(strstr(text, "mul(x, 0.5)"));
    o.stop_after = "dc";
    assert_false(passes_run(t->p, &o));
    assert_non_null(strstr(t->cx->diags.data[0].text, "did you mean 'dce'?"));
    Text list = {0};
    list_passes(&list);
    for (uint32_t k = 0; k < npasses; k++) assert_non_null(strstr(list.data, passes[k].name));
    free(list.data);
    t_free(t);
}

/* A derivative by a parameter that does not exist: an internal error, which leaves its input. */
static void test_crash(void **state) {
    (void)state;
    char dir[] = "bpc-crash-XXXXXX", text[1024] = "";
    assert_non_null(mkdtemp(dir));
    pid_t child = fork();
    if (!child) {
        if (chdir(dir) || !freopen("log", "w", stderr)) _exit(1);
        T *t = t_new();
        t_fn(t, "f");
        t_end(t, t_param(t, "x", t_type(t, 0)), NoVal);
        t_fn(t, "run");
        Type s = t_type(t, 0);
        Val x = t_param(t, "x", s), g;
        t_operator(t, Op_grad, "f", "nothing", 1, &x, &s, 1, &g);
        t_end(t, g, NoVal);
        passes_run(t->p, &options);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), ExitBug);
    assert_int_equal(chdir(dir), 0);
    FILE *dump = fopen("bpc-crash.bp", "r"), *log = fopen("log", "r");
    assert_true(dump && log);
    assert_true(fread(text, 1, sizeof text - 1, dump) > 0);
    assert_non_null(strstr(text, "grad[f, wrt=nothing](x);  //@ t.bp:"));
    memset(text, 0, sizeof text);
    assert_true(fread(text, 1, sizeof text - 1, log) > 0);
    assert_non_null(strstr(text, "internal error in pass 'hoist'"));
    fclose(dump);
    fclose(log);
    assert_int_equal(remove("bpc-crash.bp") | remove("log") | chdir("..") | rmdir(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_dce),
        cmocka_unit_test(test_simplify),
        cmocka_unit_test(test_runner),
        cmocka_unit_test(test_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
