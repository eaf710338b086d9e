/* Types, interned shapes, attributes, names of functions, the table of operations. */
#include "support.h"

static void shapes_are_interned(void **state) {
    (void)state;
    Cx *cx = cx_new();
    const int64_t a[] = {2, 3}, b[] = {3, 2}, none[] = {0};
    assert_ptr_equal(shape_of(cx, a, 2), shape_of(cx, a, 2));
    assert_ptr_not_equal(shape_of(cx, a, 2), shape_of(cx, b, 2));
    assert_ptr_not_equal(shape_of(cx, a, 1), shape_of(cx, a, 2));
    assert_ptr_equal(shape_scalar(cx), shape_of(cx, a, 0));
    assert_int_equal(shape_scalar(cx)->size, 1);
    assert_int_equal(shape_of(cx, none, 1)->size, 0);
    for (int64_t n = 0; n < 1000; n++) assert_int_equal(shape_of(cx, &n, 1)->dim[0], n);
    assert_ptr_equal(shape_of(cx, a, 2), shape_of(cx, a, 2));
    cx_free(cx);
}

static void sizes_are_checked(void **state) {
    (void)state;
    Cx *cx = cx_new();
    const int64_t fits[] = {INT64_C(1) << 30, INT64_C(1) << 29};
    const int64_t wraps[] = {4194305, 4194305, 211106198978564};
    const int64_t hidden[] = {INT64_MAX, 0, INT64_MAX}, negative[] = {2, -1};
    assert_int_equal(shape_of(cx, fits, 2)->size, INT64_C(1) << 59);
    assert_null(shape_of(cx, wraps, 3));
    assert_null(shape_of(cx, hidden, 3));
    assert_null(shape_of(cx, negative, 2));
    int64_t ones[MaxRank + 1];
    for (uint32_t d = 0; d <= MaxRank; d++) ones[d] = 1;
    assert_non_null(shape_of(cx, ones, MaxRank));
    assert_null(shape_of(cx, ones, MaxRank + 1));
    cx_free(cx);
}

static void types_print(void **state) {
    (void)state;
    Cx *cx = cx_new();
    const char *const texts[] = {"f32", "bf16[3]", "i32<10>[64]", "f64[2, 0, 5]", "bool", "i64"};
    for (size_t k = 0; k < LEN(texts); k++) {
        assert_string_equal(type_text(cx, type_from(cx, texts[k])), texts[k]);
    }
    assert_false(type_equal(type_from(cx, "i32<3>"), type_from(cx, "i32<4>")));
    cx_free(cx);
}

static void attributes_compare_by_bits(void **state) {
    (void)state;
    Cx *cx = cx_new();
    assert_true(attr_equal(attr_float(0.5), attr_float(0.5)));
    assert_false(attr_equal(attr_float(0.0), attr_float(-0.0)));
    assert_false(attr_equal(attr_int(1), attr_bool(true)));
    assert_true(attr_equal(ints_from(cx, "1 2"), ints_from(cx, "1 2")));
    assert_false(attr_equal(ints_from(cx, "1 2"), ints_from(cx, "1")));
    Sym x = sym(cx, "x");
    assert_true(attr_equal(attr_names(cx, &x, 1), attr_names(cx, &x, 1)));
    assert_false(attr_equal(attr_names(cx, &x, 1), attr_names(cx, &x, 0)));
    cx_free(cx);
}

static void functions_are_found_and_replaced(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    program_add(f.p, b_fn(f.b));
    assert_ptr_equal(program_fn(f.p, sym(f.cx, "f")), b_fn(f.b));
    assert_string_equal(program_fresh(f.p, "f"), "f_2");
    assert_string_equal(program_fresh(f.p, "g"), "g");
    Fn *other = builder_done(builder_new(f.p, sym(f.cx, "f"), false));
    program_add(f.p, other);
    assert_int_equal(f.p->fns.len, 1);
    assert_ptr_equal(program_fn(f.p, sym(f.cx, "f")), other);
    fixture_close(&f);
}

static void every_row_is_whole(void **state) {
    (void)state;
    for (int k = 0; k < OpCount; k++) {
        const OpInfo *info = &op_info[k];
        assert_int_equal(op_by_name(info->name), k);
        assert_non_null(info->infer);
        assert_true(strlen(info->help) > 0);
        assert_true(info->nargs <= MaxOperands && info->nattrs <= MaxAttrs);
        if (info->commutes) assert_int_equal(info->nargs, 2);
        for (int i = 0; i < info->nargs; i++) assert_non_null(info->operands[i]);
        for (int i = 0; i < info->nattrs; i++) assert_int_not_equal(info->attrs[i].kind, AttrNone);
    }
    assert_int_equal(op_by_name("frobnicate"), OpCount);
    Text t = {0};
    list_ops(&t);
    Cx *cx = cx_new();
    const char *list = text_done(&t, cx->arena);
    assert_non_null(strstr(list, "  slice(x, lo: int[], hi: int[], stride: int[])"));
    assert_non_null(strstr(list, "  concat(xs..., axis: int)"));
    cx_free(cx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_interned),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(types_print),
        cmocka_unit_test(attributes_compare_by_bits),
        cmocka_unit_test(functions_are_found_and_replaced),
        cmocka_unit_test(every_row_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
