/* Budgets: kernels run again where memory is short, and nothing is read that was given up. */
#include "tests/passes/kernels.h"

static uint32_t count_again(const Fn *fn) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < fn->kernels.len; k++) n += fn->kernels.data[k]->again;
    return n;
}

static const Fn *within(T *t, uint64_t memory, bool *fits) {
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1, .memory = memory};
    *fits = passes_run(t->p, &o);
    return t->p->fns.data[t->p->fns.len - 1];
}

/* The gradient of a deep net: at most 64 layers of h = tanh(h @ w). */
static const Fn *deep(T *t, uint32_t layers, uint64_t memory, bool *fits) {
    uint32_t wrt[64];
    Val w[64];
    Type type = t_type(t, 2, 8, 8);
    t_fn(t, "f");
    Val h = t_param(t, "x", type);
    for (uint32_t k = 0; k < layers; k++) {
        wrt[k] = w[k] = t_param(t, arena_printf(t->cx->arena, "w%u", k), type);
    }
    for (uint32_t k = 0; k < layers; k++) h = t_op(t, Op_tanh, t_op2(t, Op_matmul, h, w[k]));
    Fn *f = t_end(t, t_sum(t, h), NoVal);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), wrt, layers);
    d->exported = true;
    program_add(t->p, d);
    return within(t, memory, fits);
}

/* Down to a quarter of what it takes to keep everything. */
static void test_deep(void **state) {
    (void)state;
    bool fits;
    T *t = t_new();
    uint64_t all = deep(t, 40, 0, &fits)->plan->arena_bytes;
    assert_true(fits && all > 40 * 8 * 8 * sizeof(double));
    t_free(t);
    for (uint64_t part = 2; part <= 4; part++) {
        t = t_new();
        const Fn *fn = deep(t, 40, all / part, &fits);
        assert_true(fits);
        assert_true(fn->plan->arena_bytes <= all / part);
        assert_true(count_again(fn) > 0);
        check_memory(fn);
        t_free(t);
    }
}

/* What cannot be met is an error that names lines. */
static void test_error(void **state) {
    (void)state;
    bool fits;
    T *t = t_new();
    const Fn *fn = deep(t, 10, 1000, &fits);
    assert_false(fits);
    assert_true(count_again(fn) > 0);
    assert_int_equal(t->cx->diags.data[0].sev, SevError);
    assert_non_null(strstr(t->cx->diags.data[0].text, "--memory=1000"));
    assert_int_equal(t->cx->diags.data[1].sev, SevNote);
    assert_true(t->cx->diags.data[1].loc.line > 0);
    t_free(t);
}

/* h * factor */
static Sym add_branch(Program *p, const char *name, Type type, double factor) {
    Builder *b = builder_new(p, sym(p->cx, name), false);
    Val h = b_param(b, sym(p->cx, "h"), type);
    b_result(b, b_mul(b, h, b_float(b, type, factor)));
    Fn *fn = builder_done(b);
    program_add(p, fn);
    return fn->name;
}

/* The rule of `chosen`: v * 2 or v * 3, by functions that are added when it is first asked for. */
static Fn *rule_with_functions(Program *p, RuleKind kind, Sym name, const Ins *site,
                               const Type *args, const Type *results, uint32_t nresults) {
    if (strcmp(name, "chosen") != 0) {
        return test_rule(p, kind, name, site, args, results, nresults);
    }
    Attr *branches = p->front;
    if (branches[0].kind == AttrNone) {
        branches[0] = attr_fn(add_branch(p, "positive", args[0], 2));
        branches[1] = attr_fn(add_branch(p, "negative", args[0], 3));
    }
    Builder *b = builder_new(p, sym(p->cx, "rule_chosen"), false);
    b_at(b, site->loc, NULL);
    Val x = b_param(b, sym(p->cx, "x"), args[0]);
    b_param(b, sym(p->cx, "y"), results[0]);
    Val v = b_param(b, sym(p->cx, "v"), results[0]), out;
    Val above = b_op(b, Op_gt, (Val[]){x, b_float(b, args[0], 0)}, 2, NULL, NULL);
    b_multi(b, Op_cond, (Val[]){above, v}, 2, branches, results, 1, &out);
    b_result(b, out);
    return builder_done(b);
}

/* The passes start over from the program as it was and the functions of rules. */
static void test_rules(void **state) {
    (void)state;
    T *t = t_new();
    Attr branches[2] = {{AttrNone, {0}}};
    t->p->rule = rule_with_functions;
    t->p->front = branches;
    Type num = t_type(t, 0);
    t_fn(t, "chosen");
    Val x = t_param(t, "x", num), out[2];
    t_end(t, t_op2(t, Op_mul, x, x), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", num);
    t_end(t, t_op(t, Op_exp, t_call(t, "chosen", 1, &x)), NoVal);
    t_fn(t, "run");
    x = t_param(t, "x", num);
    t_operator(t, Op_value_and_grad, "f", "x", 1, &x, (Type[]){num, num}, 2, out);
    t_end(t, out[0], out[1], NoVal)->exported = true;
    PassOptions o = {.level = 0, .verify_each = true, .limit = -1, .memory = 1};
    assert_false(passes_run(t->p, &o));
    assert_non_null(strstr(t->cx->diags.data[0].text, "--memory=1"));
    const Fn *run = program_fn(t->p, sym(t->cx, "run"));
    Tensor *args = t_args(t, run, 90), *got = t_run(t, run, args);
    double a = args[0].re[0];
    assert_near(got[1].re[0], 2 * exp(a * a), 1e-14);
    t_free(t);
}

static void test_random(void **state) {
    (void)state;
    uint32_t again = 0;
    for (uint64_t seed = 0; seed < 120; seed++) {
        T *t = t_new();
        bool fits;
        random_fn(t->p, "random", seed, 10 + seed % 50);
        const Fn *fn = within(t, 1, &fits);
        assert_true(!fits || !fn->plan->arena_bytes);
        check_memory(fn);
        again += count_again(fn);
        t_free(t);
    }
    assert_true(again > 20);
    for (uint64_t seed = FirstWithRegions; seed < FirstWithRegions + 40; seed++) {
        T *t = t_new();
        bool fits;
        random_fn(t->p, "random", seed, 6 + seed * 7 % 60);
        check_memory(within(t, 1, &fits));
        t_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_deep), cmocka_unit_test(test_error),
                                       cmocka_unit_test(test_rules), cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
