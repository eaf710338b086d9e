/* What takes part in a derivative, and what is left out of it. */
#include "tests/passes/support.h"

static uint32_t count_op(const Fn *fn, Op op) {
    uint32_t n = 0;
    for (Val v = 0; v < fn->ins.len; v++) n += fn->ins.data[v].op == op;
    return n;
}

static Fn *gradient_of(T *t, const Fn *f, uint32_t n) {
    static const uint32_t wrt[] = {0, 1, 2};
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), wrt, n);
    assert_non_null(d);
    return d;
}

/* No adjoint arrives at exp(x): its rule is not applied, so that no infinity is multiplied by 0. */
static void test_unreached(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    t_fn(t, "f");
    Val x = t_param(t, "x", v), y = t_param(t, "y", v), e = t_op(t, Op_exp, x);
    Fn *f = t_end(t, t_sum(t, t_op2(t, Op_mul, t_op(t, Op_stop_gradient, e), y)), NoVal);
    Fn *d = gradient_of(t, f, 2);
    Tensor *args = t_args(t, f, 70);
    args[0].re[1] = 1000;
    Tensor *got = t_run(t, d, args);
    for (int k = 0; k < 3; k++) {
        assert_true(got[1].re[k] == 0);
        assert_true(got[2].re[k] == exp(args[0].re[k]));
    }
    assert_int_equal(d->ins.data[d->results.data[1]].op, Op_const);
    t_free(t);
}

/* picks(a, b) = a + b, whose rule gives b nothing: nothing is added to the adjoint of b. */
static void test_zero_entry(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    t_fn(t, "picks");
    Val a = t_param(t, "a", v), b = t_param(t, "b", v);
    t_end(t, t_op2(t, Op_add, a, b), NoVal);
    t_fn(t, "f");
    a = t_param(t, "a", v);
    b = t_param(t, "b", v);
    Val picked = t_call(t, "picks", 2, (Val[]){t_op(t, Op_tanh, a), t_op(t, Op_exp, b)});
    Fn *f = t_end(t, t_sum(t, t_op2(t, Op_mul, picked, b)), NoVal);
    Fn *d = gradient_of(t, f, 2);
    Tensor *args = t_args(t, f, 71), *got = t_run(t, d, args);
    for (int k = 0; k < 3; k++) {
        assert_true(got[2].re[k] == tanh(args[0].re[k]) + exp(args[1].re[k]));
        double y = tanh(args[0].re[k]);
        assert_true(fabs(got[1].re[k] - args[1].re[k] * (1 - y * y)) < 1e-15);
    }
    assert_int_equal(count_op(d, Op_add), 0);
    check_dot(t, f, 72);
    d = differentiate(t->p, f, sym(t->cx, "d1"), (uint32_t[]){1}, 1);
    assert_int_equal(count_op(d, Op_exp), 1);
    t_fn(t, "g"); /* erf, which has no rule here, of what does not depend on b */
    a = t_param(t, "a", v);
    b = t_param(t, "b", v);
    picked = t_op(t, Op_erf, t_call(t, "picks", 2, (Val[]){a, b}));
    Fn *g = t_end(t, t_sum(t, t_op2(t, Op_mul, picked, b)), NoVal);
    assert_non_null(differentiate(t->p, g, sym(t->cx, "d2"), (uint32_t[]){1}, 1));
    assert_non_null(linearize(t->p, g, sym(t->cx, "j2"), (uint32_t[]){1}, 1));
    t_free(t);
}

/* Each cotangent that is asked for and no other, where one result is made of another. */
static void test_wanted(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    t_fn(t, "f");
    Val x = t_param(t, "x", v), h = t_op(t, Op_tanh, x);
    Fn *f = t_end(t, h, t_sum(t, t_op2(t, Op_mul, h, h)), t_op(t, Op_exp, x), NoVal);
    for (uint32_t bits = 1; bits < 8; bits++) {
        bool want[] = {bits & 1, bits & 2, bits & 4};
        Sym name = sym_fmt(t->cx, "b%u", bits);
        Fn *b = transpose_fn(t->p, f, name, (uint32_t[]){0}, 1, want);
        uint32_t n = 1;
        assert_int_equal(b->nparams, 1U + want[0] + want[1] + want[2]);
        Tensor *args = t_args(t, b, bits), *got = t_run(t, b, args);
        Tensor *first = want[0] ? &args[n++] : NULL, *second = want[1] ? &args[n++] : NULL;
        Tensor *third = want[2] ? &args[n++] : NULL;
        for (int k = 0; k < 3; k++) {
            double y = tanh(args[0].re[k]), c = first ? first->re[k] : 0;
            if (second) c += 2 * y * second->re[0];
            double slope = c * (1 - y * y) + (third ? third->re[k] * exp(args[0].re[k]) : 0);
            assert_true(fabs(got[0].re[k] - slope) < 1e-14);
        }
        assert_int_equal(count_op(b, Op_exp), want[2]);
        assert_int_equal(count_op(b, Op_tanh), want[0] || want[1]);
    }
    t_free(t);
}

/* A call of two results of which only the first, or only the second, is used. */
static void test_one_of_two(void **state) {
    (void)state;
    for (uint32_t used = 0; used < 2; used++) {
        T *t = t_new();
        t_fn(t, "pair");
        Val x = t_param(t, "x", t_type(t, 0)), r[2];
        t_end(t, t_op(t, Op_exp, x), t_op(t, Op_tanh, x), NoVal);
        t_fn(t, "f");
        x = t_param(t, "x", t_type(t, 0));
        b_call(t->b, program_fn(t->p, sym(t->cx, "pair")), &x, 1, r);
        Fn *f = t_end(t, t_op2(t, Op_mul, r[used], r[used]), NoVal);
        Tensor *args = t_args(t, f, 73), *got = t_run(t, gradient_of(t, f, 1), args);
        double a = args[0].re[0], y = used ? tanh(a) : exp(a);
        assert_true(fabs(got[1].re[0] - 2 * y * (used ? 2 : 1) * a) < 1e-14); /* (v + 2 w) x */
        check_dot(t, f, 74);
        t_free(t);
    }
}

/* A loop and a call behind stop_gradient stay as they are. */
static void test_inactive_region(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    t_fn(t, "body");
    Val h = t_param(t, "h", v);
    t_end(t, t_op(t, Op_stop_gradient, t_op(t, Op_tanh, h)), NoVal);
    t_fn(t, "f");
    Val x = t_param(t, "x", v), y;
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(0), attr_int(0), attr_int(0),
                    attr_int(3), attr_bool(false)};
    Type stacked = t_type(t, 2, 3, 3);
    b_multi(t->b, Op_scan, &x, 1, attrs, &stacked, 1, &y);
    Fn *f = t_end(t, t_op2(t, Op_mul, t_sum(t, y), t_sum(t, x)), NoVal);
    uint32_t fns = t->p->fns.len;
    Fn *d = gradient_of(t, f, 1);
    assert_int_equal(t->p->fns.len, fns);
    assert_int_equal(count_op(d, Op_scan), 1);
    Fn *j = linearize(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1);
    assert_int_equal(t->p->fns.len, fns);
    Tensor *args = t_args(t, j, 75), *got = t_run(t, d, args), *along = t_run(t, j, args);
    double sum = 0, moved = 0;
    for (int k = 0; k < 3; k++) sum += 3 * tanh(args[0].re[k]);
    for (int k = 0; k < 3; k++) {
        assert_true(fabs(got[1].re[k] - sum) < 1e-14);
        moved += sum * args[1].re[k];
    }
    assert_true(fabs(along[1].re[0] - moved) < 1e-13);
    t_free(t);
}

/* Of two results, one behind stop_gradient: what has no rule may use that one. */
static void test_inactive_result(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3), types[] = {v, v};
    t_fn(t, "body");
    Val h = t_param(t, "h", v), k = t_param(t, "k", v), out[2];
    t_end(t, t_op2(t, Op_mul, h, k), t_op(t, Op_stop_gradient, t_op(t, Op_exp, k)), NoVal);
    t_fn(t, "f");
    Val x = t_param(t, "x", v), y = t_param(t, "y", v);
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(2), attr_int(0), attr_int(0),
                    attr_int(3), attr_bool(false)};
    b_multi(t->b, Op_scan, (Val[]){x, y}, 2, attrs, types, 2, out);
    t_op(t, Op_erf, x); /* nothing reads it */
    Val z = t_op2(t, Op_mul, out[0], t_op(t, Op_erf, out[1]));
    Fn *f = t_end(t, t_sum(t, z), NoVal);
    check_dot_of(t, f, (uint32_t[]){0}, 1, 78);
    Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    Tensor *args = t_args(t, f, 79), *got = t_run(t, d, args);
    for (int e = 0; e < 3; e++) {
        assert_near(got[1].re[e], t_slope(t, f, args, 0, e), 1e-9);
    }
    t_free(t);
}

/* A forward rule alone is used ahead; backwards the body is differentiated. */
static void test_forward_rule_alone(void **state) {
    (void)state;
    T *t = t_new();
    Type s = t_type(t, 0);
    t_fn(t, "ahead");
    Val x = t_param(t, "x", s);
    t_end(t, t_op2(t, Op_mul, x, x), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", s);
    Fn *f = t_end(t, t_op(t, Op_exp, t_call(t, "ahead", 1, &x)), NoVal);
    Fn *j = linearize(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1);
    Tensor *args = t_args(t, j, 80), *along = t_run(t, j, args);
    double a = args[0].re[0];
    assert_near(along[1].re[0], 3 * args[1].re[0] * exp(a * a), 1e-14);
    check_gradient(t, f, 81);
    t_free(t);
}

/* What a tangent that is absent would be multiplied with or added to is not there. */
static void test_absent_tangents(void **state) {
    (void)state;
    static const struct {
        Op op;
        uint32_t wrt, ops; /* in the function of tangents */
        double slope;      /* at (2, 3) */
    } rows[] = {
        {Op_add, 0, 0, 1}, {Op_add, 1, 0, 1}, {Op_sub, 0, 0, 1},  {Op_sub, 1, 1, -1},
        {Op_mul, 0, 1, 3}, {Op_mul, 1, 1, 2}, {Op_div, 0, 1, 1. / 3},
    };
    for (size_t k = 0; k < LEN(rows); k++) {
        T *t = t_new();
        t_fn(t, "f");
        Val x = t_param(t, "x", t_type(t, 0)), y = t_param(t, "y", t_type(t, 0));
        Fn *f = t_end(t, t_op2(t, rows[k].op, x, y), NoVal);
        Fn *j = tangents_of(t->p, f, sym(t->cx, "j"), &rows[k].wrt, 1);
        Tensor *args = t_args(t, j, 82);
        args[0].re[0] = 2;
        args[1].re[0] = 3;
        assert_near(t_run(t, j, args)->re[0], rows[k].slope * args[2].re[0], 1e-15);
        assert_int_equal(j->ins.len - j->nparams, rows[k].ops);
        t_free(t);
    }
}

static Val call_of(T *t, const char *name, Val x) {
    Type v = t_type(t, 1, 3);
    Builder *b = t->b;
    if (!program_fn(t->p, sym(t->cx, name))) {
        t_fn(t, name);
        Val y = t_param(t, "x", v);
        t_end(t, t_op2(t, Op_mul, y, y), NoVal);
        t->b = b;
    }
    return t_call(t, name, 1, &x);
}

/* Rules that give nothing ahead: `zero` is no tangent, whatever follows; `nodiff` is an error. */
static void test_forward_entries(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    t_fn(t, "f");
    Val x = t_param(t, "x", v), flat = t_name(t, call_of(t, "flatten", x), "flat");
    Fn *f = t_end(t, t_op2(t, Op_mul, t_op(t, Op_erf, flat), x), NoVal);
    Fn *j = linearize(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1);
    assert_non_null(j);
    assert_int_equal(j->ins.len, j->nparams + 4); /* flatten, erf and two products */
    assert_non_null(transpose_fn(t->p, f, sym(t->cx, "b"), (uint32_t[]){0}, 1, NULL));
    t_fn(t, "body"); /* erf has no rule, and its operand does not move */
    Val y = t_param(t, "y", v), k = t_param(t, "k", v);
    t_end(t, t_op2(t, Op_mul, y, t_op(t, Op_erf, k)), NoVal);
    t_fn(t, "loop");
    x = t_param(t, "x", v);
    Attr loop[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(0), attr_int(0), attr_int(3),
                   attr_bool(false)};
    b_multi(t->b, Op_scan, (Val[]){x, call_of(t, "flatten", x)}, 2, loop, &v, 1, &y);
    f = t_end(t, y, NoVal);
    assert_non_null(linearize(t->p, f, sym(t->cx, "jl"), (uint32_t[]){0}, 1));
    t_fn(t, "g"); /* a float without derivative that does not move */
    x = t_param(t, "x", v);
    Val fill = t_param(t, "fill", t_type(t, 0));
    Attr attrs[] = {attr_ints(t->cx, (int64_t[]){1}, 1), attr_ints(t->cx, (int64_t[]){2}, 1),
                    {AttrNone, {0}}};
    f = t_end(t, b_op(t->b, Op_pad, (Val[]){x, fill}, 2, attrs, NULL), NoVal);
    check_dot_of(t, f, (uint32_t[]){0}, 1, 84);
    assert_int_equal(t->cx->errors, 0);
    assert_null(linearize(t->p, f, sym(t->cx, "j1"), (uint32_t[]){1}, 1));
    assert_int_equal(t->cx->errors, 1);
    t_fn(t, "h");
    x = t_param(t, "x", v);
    Fn *h = t_end(t, call_of(t, "never", x), NoVal);
    assert_null(linearize(t->p, h, sym(t->cx, "j2"), (uint32_t[]){0}, 1));
    assert_int_equal(t->cx->errors, 2);
    t_free(t);
}

/* Rules of two results: one reads both, in either mode; of one only the second moves. */
static void test_rule_reads_results(void **state) {
    (void)state;
    T *t = t_new();
    Type s = t_type(t, 0);
    t_fn(t, "twin");
    Val x = t_param(t, "x", s), r[2];
    Val a = t_op2(t, Op_sub, x, t_num(t, s, 0.5));
    Val cube = t_op2(t, Op_mul, a, t_op2(t, Op_mul, a, a));
    t_end(t, a, t_op(t, Op_exp, t_op2(t, Op_div, cube, t_num(t, s, 3))), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", s);
    b_call(t->b, program_fn(t->p, sym(t->cx, "twin")), &x, 1, r);
    Fn *f = t_end(t, t_op2(t, Op_mul, r[0], t_op(t, Op_tanh, r[1])), NoVal);
    check_gradient(t, f, 85);
    check_dot(t, f, 86);
    t_fn(t, "cross");
    x = t_param(t, "x", s);
    Val y = t_param(t, "y", s);
    t_end(t, x, y, NoVal);
    t_fn(t, "g");
    x = t_param(t, "x", s);
    y = t_param(t, "y", s);
    b_call(t->b, program_fn(t->p, sym(t->cx, "cross")), (Val[]){x, y}, 2, r);
    t_name(t, r[0], "p");
    t_name(t, r[1], "q");
    Fn *g = t_end(t, t_op2(t, Op_mul, r[0], t_op(t, Op_exp, r[1])), NoVal);
    check_gradient(t, g, 88);
    check_dot(t, g, 89);
    t_fn(t, "h"); /* q does not move with x alone, so that erf needs no rule */
    x = t_param(t, "x", s);
    y = t_param(t, "y", s);
    b_call(t->b, program_fn(t->p, sym(t->cx, "cross")), (Val[]){x, y}, 2, r);
    Fn *h = t_end(t, t_op2(t, Op_mul, r[0], t_op(t, Op_erf, r[1])), NoVal);
    Fn *j = tangents_of(t->p, h, sym(t->cx, "j"), (uint32_t[]){0}, 1);
    assert_non_null(j);
    Tensor *args = t_args(t, j, 90);
    assert_near(t_run(t, j, args)->re[0], args[2].re[0] * erf(args[1].re[0]), 1e-14);
    t_free(t);
}

/* part(x) = (x, x * x) and still(x) = x * x, by rules ahead whose last line is `zero`. */
static Fn *rule_of_part(Program *p, RuleKind kind, Sym name, const Ins *site, const Type *args,
                        const Type *results, uint32_t nresults) {
    if (kind == RuleBackward || (strcmp(name, "part") != 0 && strcmp(name, "still") != 0)) {
        return test_rule(p, kind, name, site, args, results, nresults);
    }
    Builder *b = builder_new(p, sym_fmt(p->cx, "rule_%s", name), false);
    b_at(b, site->loc, NULL);
    b_param(b, sym(p->cx, "x"), args[0]);
    for (uint32_t k = 0; k < nresults; k++) b_param(b, sym_fmt(p->cx, "y%u", k), results[k]);
    Val dx = b_param(b, sym(p->cx, "dx"), args[0]);
    if (nresults > 1) b_result(b, dx);
    b_at(b, site->loc, sym(p->cx, "zero"));
    b_result(b, b_float(b, results[nresults - 1], 0));
    return builder_done(b);
}

/* What has no rule may read the result with `zero`, from a loop as well. */
static void test_zero_line(void **state) {
    (void)state;
    T *t = t_new();
    t->p->rule = rule_of_part;
    Type s = t_type(t, 0);
    t_fn(t, "part");
    Val x = t_param(t, "x", s), r[2];
    t_end(t, x, t_op2(t, Op_mul, x, x), NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", s);
    b_call(t->b, program_fn(t->p, sym(t->cx, "part")), &x, 1, r);
    Fn *f = t_end(t, t_op2(t, Op_mul, r[0], t_op(t, Op_erf, r[1])), NoVal);
    Fn *j = tangents_of(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1);
    assert_non_null(j);
    Tensor *args = t_args(t, j, 91);
    double a = args[0].re[0];
    assert_near(t_run(t, j, args)->re[0], args[1].re[0] * erf(a * a), 1e-14);
    t_fn(t, "still");
    x = t_param(t, "x", s);
    t_end(t, t_op2(t, Op_mul, x, x), NoVal);
    t_fn(t, "body");
    x = t_param(t, "x", s);
    t_end(t, t_call(t, "still", 1, &x), NoVal);
    t_fn(t, "loop");
    x = t_param(t, "x", s);
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(0), attr_int(0), attr_int(0),
                    attr_int(3), attr_bool(false)};
    Type rows = t_type(t, 1, 3);
    b_multi(t->b, Op_scan, &x, 1, attrs, &rows, 1, r);
    f = t_end(t, t_op2(t, Op_mul, x, t_sum(t, t_op(t, Op_erf, r[0]))), NoVal);
    j = tangents_of(t->p, f, sym(t->cx, "jl"), (uint32_t[]){0}, 1);
    assert_non_null(j);
    assert_near(t_run(t, j, args)->re[0], 3 * args[1].re[0] * erf(a * a), 1e-14);
    t_free(t);
}

/* Without rules a call is what its function is; a rule that is reported as wrong is one error. */
static Fn *broken_rule(Program *p, RuleKind kind, Sym name, const Ins *site, const Type *args,
                       const Type *results, uint32_t nresults) {
    (void)kind, (void)args, (void)results, (void)nresults;
    if (strcmp(name, "exp") != 0) return NULL;
    diag_error(p->cx, (Loc){site->loc.file, 99, 1, 2}, "wrong");
    return NULL;
}

static void test_rules(void **state) {
    (void)state;
    T *t = t_new();
    t->p->rule = NULL;
    t_fn(t, "same");
    Val x = t_param(t, "x", t_type(t, 0));
    t_end(t, x, NoVal);
    t_fn(t, "f");
    x = t_param(t, "x", t_type(t, 0));
    Fn *f = t_end(t, t_call(t, "same", 1, &x), NoVal);
    check_gradient(t, f, 83);
    t->p->rule = broken_rule;
    t_fn(t, "g");
    x = t_param(t, "x", t_type(t, 0));
    Fn *g = t_end(t, t_op(t, Op_exp, x), NoVal);
    assert_null(differentiate(t->p, g, sym(t->cx, "d"), (uint32_t[]){0}, 1));
    assert_int_equal(t->cx->errors, 1);
    t_free(t);
}

/* Of a function that is exported and writes over its parameter, the derivatives do neither. */
static void test_header(void **state) {
    (void)state;
    T *t = t_new();
    t_fn(t, "f");
    Val x = t_param(t, "x", t_type(t, 0));
    Fn *f = t_end(t, t_op(t, Op_tanh, x), NoVal);
    f->exported = true;
    f->donated = NEW_ARRAY(t->cx->arena, int32_t, 1);
    check_gradient(t, f, 76);
    check_dot(t, f, 77);
    t_free(t);
}

/* An operator in what is differentiated that has no derivative: one error, no function. */
static void test_broken_inside(void **state) {
    (void)state;
    T *t = t_new();
    Type s = t_type(t, 0);
    t_fn(t, "f");
    Val x = t_param(t, "x", s), g;
    t_end(t, t_op(t, Op_erf, x), NoVal);
    t_fn(t, "outer");
    x = t_param(t, "x", s);
    t_operator(t, Op_grad, "f", "x", 1, &x, &s, 1, &g);
    Fn *outer = t_end(t, t_op2(t, Op_mul, g, x), NoVal);
    assert_null(differentiate(t->p, outer, sym(t->cx, "d"), (uint32_t[]){0}, 1));
    assert_null(transpose_fn(t->p, outer, sym(t->cx, "b"), (uint32_t[]){0}, 1, NULL));
    assert_null(linearize(t->p, outer, sym(t->cx, "j"), (uint32_t[]){0}, 1));
    assert_int_equal(t->cx->errors, 1);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unreached),       cmocka_unit_test(test_zero_entry),
        cmocka_unit_test(test_wanted),          cmocka_unit_test(test_one_of_two),
        cmocka_unit_test(test_inactive_region), cmocka_unit_test(test_header),
        cmocka_unit_test(test_broken_inside),   cmocka_unit_test(test_inactive_result),
        cmocka_unit_test(test_absent_tangents), cmocka_unit_test(test_forward_rule_alone),
        cmocka_unit_test(test_rules),           cmocka_unit_test(test_forward_entries),
        cmocka_unit_test(test_zero_line),       cmocka_unit_test(test_rule_reads_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
