/* Scans by hand: elements that are matrices, stacked along any axis; carries that become active one
 * after another; what is hoisted and what stays; errors in bodies. */
#include "tests/passes/support.h"

static Fn *loop(T *t, Fn *(*end)(T *, Val *), uint32_t n, const Val *args, const Attr *attrs) {
    Ins ins = {.op = Op_scan, .attrs = attrs};
    Region r = region_of(t->p, &ins);
    RegionTypes types = region_types(t->cx, t->cx->arena, &ins, &r);
    Val out[8];
    b_multi(t->b, Op_scan, args, n, attrs, types.results, types.nresults, out);
    return end(t, out);
}

static Fn *end_sum(T *t, Val *out) { return t_end(t, t_sum(t, out[0]), NoVal); }

/* ---- any axis ---- */

enum { Rows = 2, Cols = 3, Steps = 5 };

static Fn *end_matrices(T *t, Val *out) {
    Type type = b_type(t->b, out[1]);
    uint64_t n = (uint64_t)type.shape->size;
    Num *w = NEW_ARRAY(t->cx->arena, Num, n);
    for (uint64_t i = 0; i < n; i++) w[i].f = 0.1 * (double)(1 + i % 7) - 0.3;
    Val emitted = t_op2(t, Op_mul, out[1], b_const(t->b, type, w, n));
    Val y = t_op2(t, Op_add, t_sum(t, emitted), t_sum(t, t_op2(t, Op_mul, out[0], out[0])));
    return t_end(t, y, out[1], NoVal);
}

/* h = tanh(h * a + w), emitting h * w; a and what is emitted are stacked along the axis. */
static Fn *matrices(T *t, int64_t axis, bool reverse) {
    Type m = t_type(t, 2, Rows, Cols);
    t_fn(t, "body");
    Val h = t_param(t, "h", m), a = t_param(t, "a", m), w = t_param(t, "w", m);
    h = t_op(t, Op_tanh, t_op2(t, Op_add, t_op2(t, Op_mul, h, a), w));
    t_end(t, h, t_op2(t, Op_mul, h, w), NoVal);
    int dim[] = {Rows, Cols, Cols};
    int64_t at = axis < 0 ? axis + 3 : axis;
    for (int64_t d = 2; d > at; d--) dim[d] = dim[d - 1];
    dim[at] = Steps;
    t_fn(t, "f");
    Val args[] = {t_param(t, "h", m), t_param(t, "a", t_type(t, 3, dim[0], dim[1], dim[2])),
                  t_param(t, "w", m)};
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(1), attr_int(axis),
                    attr_int(Steps), attr_bool(reverse)};
    return loop(t, end_matrices, 3, args, attrs);
}

static void test_axes(void **state) {
    (void)state;
    for (int64_t axis = -3; axis < 3; axis++) {
        for (uint32_t levels = 1; levels <= 3; levels++) {
            T *t = t_new();
            t->p->memory.levels = levels;
            Fn *f = matrices(t, axis, axis & 1);
            check_gradient(t, f, 60);
            check_dot(t, f, 61);
            verify_program(t->p);
            t_free(t);
        }
    }
}

/* ---- activity ---- */

static Fn *end_chain(T *t, Val *out) {
    Val sum = t_op2(t, Op_add, t_op2(t, Op_mul, out[0], out[1]), out[2]);
    return t_end(t, sum, NoVal);
}

/* Each carry takes the one before it, or behind it, from the step before; the constant c enters the
 * last of them. Only after three steps do all depend on c. */
static Fn *chain(T *t, bool up) {
    Type num = t_type(t, 0);
    t_fn(t, "body");
    Val p = t_param(t, "p", num), q = t_param(t, "q", num), r = t_param(t, "r", num);
    Val c = t_param(t, "c", num), half = t_num(t, num, 0.5);
    Val mixed = t_op2(t, Op_mul, q, half);
    Val last = t_op2(t, Op_mul, up ? p : r, c), sum = t_op2(t, Op_add, up ? p : r, mixed);
    Val moved = t_op(t, Op_tanh, q);
    if (up) t_end(t, last, sum, moved, NoVal);
    else t_end(t, moved, sum, last, NoVal);
    t_fn(t, "f");
    Val args[] = {t_param(t, "p", num), t_param(t, "q", num), t_param(t, "r", num),
                  t_param(t, "c", num)};
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(3), attr_int(0), attr_int(0),
                    attr_int(4), attr_bool(false)};
    return loop(t, end_chain, 4, args, attrs);
}

static void test_chain(void **state) {
    (void)state;
    for (int up = 0; up < 2; up++) {
        T *t = t_new();
        Fn *f = chain(t, up);
        check_gradient(t, f, 62);
        check_dot(t, f, 63);
        t_free(t);
    }
}

/* What the backward loop is given it reads: here the carry, saved, the sequence and the constant.
 * Only the former is saved for each step. */
static void test_given(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    t_fn(t, "body");
    Val h = t_param(t, "h", v), a = t_param(t, "a", v), w = t_param(t, "w", v);
    t_end(t, t_op2(t, Op_mul, t_op2(t, Op_mul, h, h), t_op2(t, Op_mul, a, w)), NoVal);
    t_fn(t, "f");
    Val args[] = {t_param(t, "h", v), t_param(t, "a", t_type(t, 2, 3, 3)), t_param(t, "w", v)};
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(1), attr_int(0),
                    attr_int(3), attr_bool(false)};
    Fn *f = loop(t, end_sum, 3, args, attrs);
    assert_non_null(differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0, 1, 2}, 3));
    check_all_read(program_fn(t->p, sym(t->cx, "body_back")));
    const Fn *saving = program_fn(t->p, sym(t->cx, "body_saving"));
    for (uint32_t k = 0; k < saving->results.len; k++) {
        assert_true(saving->results.data[k] == 0 || saving->results.data[k] >= saving->nparams);
    }
    t_free(t);
}

/* ---- hoisting ---- */

static void hoist(T *t) {
    PassOptions o = {.level = 1, .verify_each = true, .limit = -1, .stop_after = "hoist"};
    assert_true(passes_run(t->p, &o));
}

/* Nothing is the same in every step but constants, literals and views: the function stays. */
static void test_nothing_hoisted(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    t_fn(t, "body");
    Val h = t_param(t, "h", v), a = t_param(t, "a", v), w = t_param(t, "w", t_type(t, 2, 1, 3));
    Val flat = t_ints(t, Op_reshape, w, 1, (int64_t[]){3});
    Val barred = t_op(t, Op_opt_barrier, flat);
    Attr three = attr_int(3), axis = attr_int(0);
    Val at[] = {a, b_op(t->b, Op_iota, NULL, 0, &three, NULL)};
    a = b_op(t->b, Op_gather, at, 2, &axis, NULL);
    Val x = t_op2(t, Op_add, t_op2(t, Op_mul, h, flat), t_op2(t, Op_mul, a, t_num(t, v, 0.5)));
    t_op2(t, Op_mul, h, t_op(t, Op_exp, flat)); /* nothing reads it */
    t_end(t, t_op2(t, Op_add, x, barred), NoVal);
    t_fn(t, "f");
    Val args[] = {t_param(t, "h", v), t_param(t, "a", t_type(t, 2, 4, 3)),
                  t_param(t, "w", t_type(t, 2, 1, 3))};
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(1), attr_int(0),
                    attr_int(4), attr_bool(false)};
    Fn *f = loop(t, end_sum, 3, args, attrs);
    f->exported = true;
    hoist(t);
    assert_ptr_equal(program_fn(t->p, f->name), f);
    t_free(t);
}

/* Moves: exp(w), also through a view; tanh(u) * exp(w), which is a result too, and sqrt(u), which
 * is a result alone. The sequence and the carry that nothing reads stay, the constant goes that
 * only what moved has read; one that is a result stays. A loop behind it has nothing to move. */
static void test_hoisted(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3), rows = t_type(t, 2, 4, 3);
    t_fn(t, "body");
    Val h = t_param(t, "h", v), g = t_param(t, "g", v), a = t_param(t, "a", v);
    t_param(t, "b", v);
    Val u = t_param(t, "u", v), w = t_param(t, "w", v), c = t_param(t, "c", v);
    Val e = t_op(t, Op_exp, w), s = t_op2(t, Op_mul, t_op(t, Op_tanh, u), e);
    Val wide = t_ints(t, Op_broadcast, t_op(t, Op_exp, t_sum(t, w)), 1, (int64_t[]){3});
    Val next = t_op2(t, Op_add, t_op2(t, Op_sub, e, h), t_op2(t, Op_mul, a, s));
    next = t_op2(t, Op_mul, t_op2(t, Op_mul, next, u), wide);
    (void)g;
    t_end(t, next, next, s, c, t_op(t, Op_sqrt, u), NoVal);
    t_fn(t, "last");
    h = t_param(t, "h", v);
    t_end(t, t_op(t, Op_tanh, h), NoVal);
    t_fn(t, "f");
    Val args[] = {t_param(t, "h", v), t_param(t, "g", v), t_param(t, "a", rows),
                  t_param(t, "b", rows), t_param(t, "u", v), t_param(t, "w", v),
                  t_param(t, "c", v)};
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(2), attr_int(2), attr_int(0),
                    attr_int(4), attr_bool(false)};
    Ins ins = {.op = Op_scan, .attrs = attrs};
    Region r = region_of(t->p, &ins);
    RegionTypes types = region_types(t->cx, t->cx->arena, &ins, &r);
    Val out[5];
    b_multi(t->b, Op_scan, args, LEN(args), attrs, types.results, types.nresults, out);
    Attr again[] = {attr_fn(sym(t->cx, "last")), attr_int(1), attr_int(0), attr_int(0),
                    attr_int(2), attr_bool(false)};
    Val sum = t_sum(t, b_op(t->b, Op_scan, &out[0], 1, again, &v));
    for (int k = 1; k < 5; k++) {
        sum = t_op2(t, Op_add, sum, t_op2(t, Op_mul, t_sum(t, out[k]), t_num(t, t_type(t, 0), k)));
    }
    Fn *f = t_end(t, sum, NoVal);
    f->exported = true;
    Tensor *values = t_args(t, f, 64), *before = t_run(t, f, values);
    hoist(t);
    f = program_fn(t->p, f->name);
    assert_true(t_run(t, f, values)->re[0] == before->re[0]);
    uint32_t loops = 0;
    for (Val k = 0; k < f->ins.len; k++) {
        const Ins *i = &f->ins.data[k];
        if (i->op != Op_scan || loops++) continue;
        const Fn *body = program_fn(t->p, i->attrs[0].s);
        assert_int_equal(body->nparams, 4 + 2 + 4); /* u, c; both exp, the product, sqrt */
        for (Val n = 0; n < body->ins.len; n++) {
            OpClass cls = op_info[body->ins.data[n].op].cls;
            Op op = (Op)body->ins.data[n].op;
            assert_true(cls != ClsElem || op == Op_add || op == Op_sub || op == Op_mul);
        }
    }
    assert_int_equal(loops, 2);
    check_gradient(t, f, 65);
    check_dot(t, f, 66);
    t_free(t);
}

/* The first result moves, or is a constant; a constant is read first in what stays. */
static void test_hoisted_result(void **state) {
    (void)state;
    for (int constant = 0; constant < 2; constant++) {
        T *t = t_new();
        Type v = t_type(t, 1, 3), types[] = {v, t_type(t, 2, 4, 3)};
        t_fn(t, "body");
        Val h = t_param(t, "h", v), w = t_param(t, "w", v), c = t_param(t, "c", v);
        Val e = t_op(t, Op_exp, w);
        Val less = constant ? t_op2(t, Op_mul, h, e) : h;
        t_end(t, constant ? w : e, t_op2(t, Op_sub, c, less), NoVal);
        t_fn(t, "f");
        Val args[] = {t_param(t, "h", v), t_param(t, "w", v), t_param(t, "c", v)}, out[2];
        Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(1), attr_int(0), attr_int(0),
                        attr_int(4), attr_bool(false)};
        b_multi(t->b, Op_scan, args, 3, attrs, types, 2, out);
        Fn *f = t_end(t, t_op2(t, Op_add, t_sum(t, out[0]), t_sum(t, out[1])), NoVal);
        f->exported = true;
        Tensor *values = t_args(t, f, 67), *before = t_run(t, f, values);
        hoist(t);
        f = program_fn(t->p, f->name);
        assert_true(t_run(t, f, values)->re[0] == before->re[0]);
        for (Val k = 0; k < f->ins.len; k++) {
            const Ins *i = &f->ins.data[k];
            if (i->op != Op_scan) continue;
            const Fn *body = program_fn(t->p, i->attrs[0].s);
            assert_int_equal(body->nparams, constant ? 4 : 3);
            for (Val n = 0; n < body->ins.len; n++) assert_true(body->ins.data[n].op != Op_exp);
        }
        check_gradient(t, f, 68);
        t_free(t);
    }
}

static uint32_t place_of(const T *t, Sym name) {
    for (uint32_t k = 0; k < t->p->fns.len; k++) {
        if (t->p->fns.data[k]->name == name) return k;
    }
    fail_msg("no %s", name);
    return 0;
}

/* Out of a loop in a loop, whatever stands first; then bodies stand before their loops. */
static void test_hoisted_twice(void **state) {
    (void)state;
    T *t = t_new();
    Type v = t_type(t, 1, 3);
    static const char *const names[] = {"inner", "outer", "f"};
    for (size_t k = 0; k < LEN(names); k++) {
        t_fn(t, names[k]);
        Val x[] = {t_param(t, "h", v), t_param(t, "w", v)}, y;
        Attr attrs[] = {attr_fn(sym(t->cx, names[k ? k - 1 : 0])), attr_int(1), attr_int(0),
                        attr_int(0), attr_int(3), attr_bool(false)};
        if (k) b_multi(t->b, Op_scan, x, 2, attrs, &v, 1, &y);
        else y = t_op2(t, Op_mul, x[0], t_op(t, Op_exp, x[1]));
        t_end(t, k == 2 ? t_sum(t, y) : y, NoVal)->exported = k == 2;
    }
    Fn *inner = t->p->fns.data[0], *f = t->p->fns.data[2];
    t->p->fns.data[0] = f;
    t->p->fns.data[2] = inner;
    Tensor *values = t_args(t, f, 69), *before = t_run(t, f, values);
    hoist(t);
    f = program_fn(t->p, f->name);
    assert_near(t_run(t, f, values)->re[0], before->re[0], 1e-15);
    const Fn *fn = f;
    for (uint32_t depth = 2; depth--;) {
        Val k = 0;
        while (fn->ins.data[k].op != Op_scan) k++;
        const Fn *body = program_fn(t->p, fn->ins.data[k].attrs[0].s);
        assert_true(place_of(t, body->name) < place_of(t, fn->name));
        for (Val n = 0; n < body->ins.len; n++) assert_true(body->ins.data[n].op != Op_exp);
        fn = body;
    }
    t_free(t);
}

/* ---- errors ---- */

/* erf has no rule here. In a body it is one error in either mode, whatever uses the result. */
static void test_errors(void **state) {
    (void)state;
    static const Op ops[] = {Op_scan, Op_checkpoint, Op_cond};
    for (size_t k = 0; k < LEN(ops); k++) {
        T *t = t_new();
        Type v = t_type(t, 1, 3);
        t_fn(t, "body");
        Val h = t_param(t, "h", v);
        uint32_t line = t->line + 1;
        t_end(t, t_op(t, Op_erf, h), NoVal);
        t_fn(t, "f");
        h = t_param(t, "h", v);
        Val args[] = {h, h}, y;
        Attr body = attr_fn(sym(t->cx, "body"));
        Attr scan[] = {body, attr_int(1), attr_int(0), attr_int(0), attr_int(2), attr_bool(false)};
        Attr cond[] = {body, body};
        if (ops[k] == Op_cond) args[0] = t_op2(t, Op_lt, t_sum(t, h), t_num(t, t_type(t, 0), 1));
        b_multi(t->b, ops[k], args, ops[k] == Op_cond ? 2 : 1,
                ops[k] == Op_scan ? scan : ops[k] == Op_cond ? cond : &body, &v, 1, &y);
        Fn *f = t_end(t, t_sum(t, t_op2(t, Op_mul, t_op(t, Op_exp, y), y)), NoVal);
        assert_null(differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1));
        assert_int_equal(t->cx->errors, 1);
        assert_int_equal(t->cx->diags.data[0].loc.line, line);
        assert_null(linearize(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1));
        assert_null(transpose_fn(t->p, f, sym(t->cx, "b"), (uint32_t[]){0}, 1, NULL));
        assert_int_equal(t->cx->errors, 1);
        t_free(t);
    }
}

/* The sum, and the first parameter through a loop that has a derivative. */
static Fn *end_fine(T *t, Val *out) {
    Type num = t_type(t, 0);
    Val x = 0;
    Attr attrs[] = {attr_fn(sym(t->cx, "fine")), attr_int(1), attr_int(0), attr_int(0),
                    attr_int(2), attr_bool(false)};
    Val y = b_op(t->b, Op_scan, &x, 1, attrs, &num);
    return t_end(t, t_op2(t, Op_add, t_sum(t, out[0]), y), NoVal);
}

/* An operator in a body that cannot be derived is one error, for a carry and what is emitted,
 * whatever follows. */
static void test_operator_error(void **state) {
    (void)state;
    for (int carry = 0; carry < 2; carry++) {
        T *t = t_new();
        Type num = t_type(t, 0);
        t_fn(t, "inner");
        Val h = t_param(t, "h", num), d;
        t_end(t, t_op(t, Op_erf, h), NoVal);
        t_fn(t, "body");
        h = t_param(t, "h", num);
        t_operator(t, Op_grad, "inner", "h", 1, &h, &num, 1, &d);
        t_end(t, t_op2(t, Op_mul, d, h), NoVal);
        t_fn(t, "fine");
        h = t_param(t, "h", num);
        t_end(t, t_op(t, Op_tanh, h), NoVal);
        t_fn(t, "f");
        h = t_param(t, "h", num);
        Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(carry), attr_int(0), attr_int(0),
                        attr_int(2), attr_bool(false)};
        Fn *f = loop(t, end_fine, 1, &h, attrs);
        assert_null(differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1));
        assert_int_equal(t->cx->errors, 1);
        assert_null(linearize(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1));
        t_free(t);
    }
}

/* The slope of what is linear is the same everywhere: it has no derivative, in a body either. */
static void test_operator_constant(void **state) {
    (void)state;
    T *t = t_new();
    Type num = t_type(t, 0);
    t_fn(t, "linear");
    Val h = t_param(t, "h", num), d;
    t_end(t, t_op2(t, Op_mul, h, t_num(t, num, 0.5)), NoVal);
    t_fn(t, "body");
    h = t_param(t, "h", num);
    t_operator(t, Op_grad, "linear", "h", 1, &h, &num, 1, &d);
    t_end(t, d, NoVal);
    t_fn(t, "f");
    h = t_param(t, "h", num);
    Attr attrs[] = {attr_fn(sym(t->cx, "body")), attr_int(0), attr_int(0), attr_int(0),
                    attr_int(2), attr_bool(false)};
    Type rows = t_type(t, 1, 2);
    Val slopes;
    b_multi(t->b, Op_scan, &h, 1, attrs, &rows, 1, &slopes);
    Fn *f = t_end(t, t_op2(t, Op_mul, h, t_sum(t, t_op(t, Op_erf, slopes))), NoVal);
    Fn *b = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){0}, 1);
    Fn *j = tangents_of(t->p, f, sym(t->cx, "j"), (uint32_t[]){0}, 1);
    assert_true(b && j);
    t_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axes),    cmocka_unit_test(test_chain),
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_hoisted), cmocka_unit_test(test_nothing_hoisted),
        cmocka_unit_test(test_hoisted_result), cmocka_unit_test(test_hoisted_twice),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_operator_error),
        cmocka_unit_test(test_operator_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
