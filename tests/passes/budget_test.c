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
                                       cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
