/* Integers on the way from what is differentiated: numbers are an error, choices are not. */
#include "tests/passes/support.h"

static Val cast_to(T *t, Val x, Type type) { return b_op(t->b, Op_cast, &x, 1, NULL, &type); }

/* What is multiplied with x: from the integer of x, the integer i or y to a float. */
static Val by_integers(T *t, int way, Val x, Val y, Val i) {
    Type num = t_type(t, 0), whole = type_of(I64, num.shape);
    Val n = cast_to(t, x, whole), one = b_int(t->b, whole, 1);
    switch (way) {
    case 0: return cast_to(t, n, num);
    case 1: return cast_to(t, t_op2(t, Op_add, n, one), num);
    case 2: return cast_to(t, t_op2(t, Op_add, i, n), num);
    case 3: return cast_to(t, t_op2(t, Op_max, t_op2(t, Op_sub, i, n), i), num);
    case 4: return cast_to(t, i, num); /* from here on no path of numbers */
    case 5: return cast_to(t, cast_to(t, y, whole), num);
    case 6: return cast_to(t, cast_to(t, t_op2(t, Op_gt, n, one), num), num);
    case 7: return cast_to(t, cast_to(t, y, type_of(F32, num.shape)), num);
    case 8: return t_where(t, t_op2(t, Op_gt, n, i), y, t_num(t, num, 2));
    case 9: return t_where(t, cast_to(t, n, type_of(BOOL, num.shape)), y, t_num(t, num, 2));
    case 10: { /* x as an index; here 0 or 1 */
        Attr axis = attr_int(0);
        Val at[] = {t_num(t, t_type(t, 1, 3), 2), cast_to(t, x, (Type){I32, 3, num.shape})};
        return b_op(t->b, Op_gather, at, 2, &axis, NULL);
    }
    default: return y;
    }
}

static void test_integers(void **state) {
    (void)state;
    for (int way = 0; way < 12; way++) {
        T *t = t_new();
        t_fn(t, "f");
        Val i = t_param(t, "i", type_of(I64, shape_scalar(t->cx)));
        Val x = t_param(t, "x", t_type(t, 0)), y = t_param(t, "y", t_type(t, 0));
        Val k = t_param(t, "k", type_of(I64, shape_scalar(t->cx)));
        if (way == 11) by_integers(t, 0, x, y, i); /* nothing reads it */
        Val z = by_integers(t, way, x, y, way % 2 ? k : i);
        Fn *f = t_end(t, t_op2(t, Op_mul, z, x), NoVal);
        bool wrong = way < 4;
        Fn *d = differentiate(t->p, f, sym(t->cx, "d"), (uint32_t[]){1}, 1);
        assert_int_equal(t->cx->errors, wrong);
        if (d && !wrong) check_dot_of(t, f, (uint32_t[]){1}, 1, 87);
        t_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_integers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
