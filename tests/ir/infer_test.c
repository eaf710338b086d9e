/* Shape rules: for each operation what it accepts with the type that results, and what it rejects
 * with the message. */
#include "support.h"

typedef struct Case {
    Op op;
    const char *args;   /* types separated by blanks outside brackets: ';' between them */
    const char *attrs;  /* "axis=1", "lo=1 2;hi=3 4": ints unless the row says int or bool */
    const char *given;  /* type or NULL */
    const char *result; /* the type, or the error */
} Case;

static const Case accepted[] = {
    {Op_iota, "", "n=5", NULL, "i32<5>[5]"},
    {Op_rng, "i64", "stream=7", "f32[2, 3]", "f32[2, 3]"},
    {Op_neg, "i32<5>[2]", "", NULL, "i32[2]"},
    {Op_abs, "f64", "", NULL, "f64"},
    {Op_exp, "bf16[3]", "", NULL, "bf16[3]"},
    {Op_not, "bool[3]", "", NULL, "bool[3]"},
    {Op_opt_barrier, "i32<5>[3]", "", NULL, "i32<5>[3]"},
    {Op_isnan, "f32[3]", "", NULL, "bool[3]"},
    {Op_cast, "i32[3]", "", "f32", "f32[3]"},
    {Op_cast, "f32[3]", "", "i32<10>", "i32<10>[3]"},
    {Op_add, "f32[3];f32[3]", "", NULL, "f32[3]"},
    {Op_add, "i32<3>[3];i32<4>[3]", "", NULL, "i32[3]"},
    {Op_and, "bool;bool", "", NULL, "bool"},
    {Op_eq, "bool[2];bool[2]", "", NULL, "bool[2]"},
    {Op_lt, "i64[2];i64[2]", "", NULL, "bool[2]"},
    {Op_fold, "i64;i64", "", NULL, "i64"},
    {Op_where, "bool[2];i32<5>[2];i32<5>[2]", "", NULL, "i32<5>[2]"},
    {Op_where, "bool[2];i32<5>[2];i32<6>[2]", "", NULL, "i32[2]"},
    {Op_broadcast, "f32[1, 3]", "to=2 4 3", NULL, "f32[2, 4, 3]"},
    {Op_broadcast, "f32", "to=", NULL, "f32"},
    {Op_reshape, "i32<9>[2, 6]", "to=3 4", NULL, "i32<9>[3, 4]"},
    {Op_transpose, "f32[2, 3, 4]", "", NULL, "f32[2, 4, 3]"},
    {Op_transpose, "f32[2, 3, 4]", "perm=2 0 1", NULL, "f32[4, 2, 3]"},
    {Op_slice, "f32[10, 7]", "lo=1 0;hi=10 7;stride=3 2", NULL, "f32[3, 4]"},
    {Op_slice, "f32[10]", "hi=4", NULL, "f32[4]"},
    {Op_slice, "f32[0]", "", NULL, "f32[0]"},
    {Op_flip, "f32[2, 3]", "axis=-1", NULL, "f32[2, 3]"},
    {Op_pad, "f32[3];f32", "lo=1;hi=-1;interior=2", NULL, "f32[7]"},
    {Op_pad, "f32[0];f32", "lo=2;interior=3", NULL, "f32[2]"},
    {Op_reduce_sum, "f32[2, 3, 4]", "axis=0 2", NULL, "f32[3]"},
    {Op_reduce_max, "f32[2, 3]", "", NULL, "f32"},
    {Op_reduce_prod, "i32<4>[2, 3]", "axis=1", NULL, "i32[2]"},
    {Op_matmul, "f32[2, 3];f32[3, 4]", "", NULL, "f32[2, 4]"},
    {Op_matmul, "f64[5, 2, 0];f64[5, 0, 4]", "", NULL, "f64[5, 2, 4]"},
    {Op_conv, "f32[2, 3, 9];f32[5, 3, 4]", "", NULL, "f32[2, 5, 6]"},
    {Op_conv, "f64[2, 3, 9, 8];f64[5, 3, 4, 1]", "stride=2;lo=1;hi=0 -3", NULL, "f64[2, 5, 4, 3]"},
    {Op_conv, "f32[2, 6, 3, 3, 5];f32[9, 2, 2, 1, 3]", "groups=3;rhs_dilation=2 1 2", NULL,
     "f32[2, 9, 1, 3, 1]"},
    {Op_conv, "f32[6, 2, 4];f32[9, 2, 3]", "batch_groups=3;lhs_dilation=3", NULL, "f32[2, 9, 8]"},
    {Op_conv, "f32[0, 2, 3];f32[4, 2, 4]", "", NULL, "f32[0, 4, 0]"},
    {Op_conv, "f32[1, 0, 0];f32[4, 0, 3]", "lo=2;hi=2", NULL, "f32[1, 4, 2]"},
    {Op_window_argmax, "f32[2, 7, 5]", "size=2 3;stride=2 1", NULL, "i32<6>[2, 3, 3]"},
    {Op_window_pick, "i32<9>[2, 7];i32<3>[2, 2]", "size=3", NULL, "i32<9>[2, 2]"},
    {Op_window_place, "f32[2, 3];i32<2>[2, 3]", "size=2;stride=2;within=7", NULL, "f32[2, 7]"},
    {Op_concat, "f32[2, 3];f32[2, 0];f32[2, 4]", "axis=1", NULL, "f32[2, 7]"},
    {Op_concat, "i32<3>[1];i32<4>[1]", "axis=0", NULL, "i32[2]"},
    {Op_argmax, "f32[2, 3]", "axis=1", NULL, "i32<3>[2]"},
    {Op_gather, "f32[2, 5, 3];i32<5>[4, 4]", "axis=1", NULL, "f32[2, 4, 4, 3]"},
    {Op_scatter_add, "f32[5, 3];i32<5>[4];f32[4, 3]", "axis=0", NULL, "f32[5, 3]"},
    {Op_cumsum, "i32<5>[2, 3]", "axis=-1", NULL, "i32[2, 3]"},
};

static const Case rejected[] = {
    {Op_iota, "", "n=-1", NULL, "iota: n = -1 is out of range"},
    {Op_rng, "i64", "", "i32[2]", "rng: gives floats, not i32[2]"},
    {Op_rng, "i32", "", "f32", "rng: key must be an i64 scalar, it is i32"},
    {Op_neg, "bool", "", NULL, "neg: x must be numbers, it is bool"},
    {Op_exp, "i32[3]", "", NULL, "exp: x must be floats, it is i32[3]"},
    {Op_not, "f32", "", NULL, "not: x must be bool, it is f32"},
    {Op_isnan, "i64", "", NULL, "isnan: x must be floats, it is i64"},
    {Op_cast, "f32[3]", "", "i32[4]", "cast: shapes differ (f32[3] and i32[4])"},
    {Op_add, "f32[3];f32[4]", "", NULL, "add: shapes differ (f32[3] and f32[4])"},
    {Op_add, "f32[3];f64[3]", "", NULL, "add: types differ (f32[3] and f64[3])"},
    {Op_add, "f32[3]", "", NULL, "add: takes 2 operands, not 1"},
    {Op_pow, "i32;i32", "", NULL, "pow: x must be floats, it is i32"},
    {Op_and, "bool;i32", "", NULL, "and: b must be bool, it is i32"},
    {Op_lt, "bool;bool", "", NULL, "lt: a must be numbers, it is bool"},
    {Op_fold, "i64;i32", "", NULL, "fold: n must be i64, it is i32"},
    {Op_where, "f32;f32;f32", "", NULL, "where: c must be bool, it is f32"},
    {Op_where, "bool;f32;f64", "", NULL, "where: types differ (f32 and f64)"},
    {Op_where, "bool;f32[2];f32[2]", "", NULL, "where: shapes differ (bool and f32[2])"},
    {Op_broadcast, "f32[2]", "to=3", NULL, "broadcast: f32[2] cannot become f32[3]"},
    {Op_broadcast, "f32[2, 3]", "to=3", NULL, "broadcast: f32[2, 3] cannot become f32[3]"},
    {Op_broadcast, "f32", "", NULL, "broadcast: needs the shape `to`"},
    {Op_reshape, "f32[3, 4]", "to=10", NULL, "reshape: 12 elements cannot become 10"},
    {Op_reshape, "f32[4]", "to=-2 -2", NULL, "reshape: `to` has a negative dimension"},
    {Op_reshape, "f32[4]", "to=4611686018427387904 4", NULL, "reshape: `to` has too many elements"},
    {Op_transpose, "f32[3]", "", NULL, "transpose: x must be of rank 2 or more, it is f32[3]"},
    {Op_transpose, "f32[2, 3]", "perm=0 0", NULL, "transpose: axis 0 stands twice"},
    {Op_transpose, "f32[2, 3]", "perm=0", NULL, "transpose: perm has 1 axes, x (f32[2, 3]) has 2"},
    {Op_slice, "f32[5]", "lo=2;hi=6", NULL, "slice: 2:6 is not within axis 0 of size 5"},
    {Op_slice, "f32[5]", "lo=3;hi=2", NULL, "slice: 3:2 is not within axis 0 of size 5"},
    {Op_slice, "f32[5]", "stride=0", NULL, "slice: stride 0 is not positive"},
    {Op_slice, "f32[5]", "lo=1 1", NULL, "slice: lo has 2 numbers for 1 axes"},
    {Op_flip, "f32[5]", "axis=1", NULL, "flip: axis 1 is not an axis of x (f32[5])"},
    {Op_pad, "f32[3];f64", "lo=1", NULL, "pad: value must be a scalar f32, it is f64"},
    {Op_pad, "f32[3];f32", "lo=-4", NULL,
     "pad: lo -4 and hi 0 cut more than axis 0 of size 3 has"},
    {Op_pad, "f32[3];f32", "interior=-1", NULL, "pad: interior -1 is negative"},
    {Op_pad, "f32[3];f32", "interior=9223372036854775807", NULL,
     "pad: the result has too many elements"},
    {Op_reduce_sum, "f32[3]", "axis=0 0", NULL, "reduce_sum: axis 0 stands twice"},
    {Op_reduce_sum, "bool[3]", "axis=0", NULL, "reduce_sum: x must be numbers, it is bool[3]"},
    {Op_matmul, "f32[2, 784];f32[10, 4]", "", NULL, "matmul: inner sizes differ (784 and 10)"},
    {Op_matmul, "f32[3];f32[3, 4]", "", NULL, "matmul: a must be of rank 2 or more, it is f32[3]"},
    {Op_matmul, "f32[2, 1, 1];f32[3, 1, 1]", "", NULL,
     "matmul: leading dimensions differ (f32[2, 1, 1] and f32[3, 1, 1])"},
    {Op_matmul, "f32[1, 1];f64[1, 1]", "", NULL, "matmul: types differ (f32[1, 1] and f64[1, 1])"},
    {Op_matmul, "i32[1, 1];i32[1, 1]", "", NULL, "matmul: a must be floats, it is i32[1, 1]"},
    {Op_conv, "f32[2, 3];f32[2, 3]", "", NULL,
     "conv: x must be a batch [N, C, *S] of rank 3 to 5, it is f32[2, 3]"},
    {Op_conv, "f32[2, 3, 4];f32[2, 3, 4, 4]", "", NULL,
     "conv: ranks differ (f32[2, 3, 4] and f32[2, 3, 4, 4])"},
    {Op_conv, "f32[2, 3, 4];f64[2, 3, 4]", "", NULL,
     "conv: types differ (f32[2, 3, 4] and f64[2, 3, 4])"},
    {Op_conv, "f32[2, 3, 4];f32[2, 4, 4]", "", NULL, "conv: x has 3 channels, w takes 4"},
    {Op_conv, "f32[2, 6, 4];f32[2, 2, 4]", "groups=2", NULL,
     "conv: x has 6 channels, w takes 2 in each of 2 groups"},
    {Op_conv, "f32[2, 4, 4];f32[3, 2, 4]", "groups=2", NULL,
     "conv: 3 filters cannot be cut into 2 groups"},
    {Op_conv, "f32[3, 2, 4];f32[4, 2, 4]", "batch_groups=2", NULL,
     "conv: 3 images cannot be cut into 2 batch_groups"},
    {Op_conv, "f32[2, 4, 4];f32[2, 2, 4]", "groups=2;batch_groups=2", NULL,
     "conv: groups and batch_groups cannot both be above 1"},
    {Op_conv, "f32[2, 4, 4];f32[2, 4, 4]", "groups=0", NULL,
     "conv: groups must be at least 1, it is 0"},
    {Op_conv, "f32[2, 3, 9];f32[5, 3, 4]", "stride=0", NULL,
     "conv: stride must be at least 1, it is 0"},
    {Op_conv, "f32[2, 3, 9];f32[5, 3, 4]", "lo=1 2", NULL,
     "conv: lo has 2 numbers for 1 spatial axis"},
    {Op_conv, "f32[2, 3, 9];f32[5, 3, 4]", "hi=9999999999", NULL,
     "conv: hi 9999999999 is out of range"},
    {Op_conv, "f32[2, 3, 5];f32[5, 3, 4]", "rhs_dilation=2;lo=1;hi=-1", NULL,
     "conv: a window of 7 does not fit into axis 2, 5 long with its padding"},
    {Op_window_argmax, "f32[2, 7]", "", NULL, "window_argmax: needs size (x is f32[2, 7])"},
    {Op_window_argmax, "f32[2, 7]", "size=3 8", NULL,
     "window_argmax: a window of 3 does not fit into axis 0 of f32[2, 7]"},
    {Op_window_pick, "f32[2, 7];i32<3>[2, 3]", "size=3", NULL,
     "window_pick: i must be i32<3>[2, 2], it is i32<3>[2, 3]"},
    {Op_window_place, "f32[2, 3];i32<2>[2, 3]", "size=2;within=8", NULL,
     "window_place: i must be i32<2>[2, 4], it is i32<2>[2, 3]"},
    {Op_concat, "", "axis=0", NULL, "concat: needs at least one operand"},
    {Op_concat, "f32[2, 3];f32[3, 3]", "axis=1", NULL,
     "concat: operands 1 and 2 differ off axis 1 (f32[2, 3] and f32[3, 3])"},
    {Op_argmax, "f32[2, 0]", "axis=1", NULL, "argmax: axis 1 of x (f32[2, 0]) is empty"},
    {Op_argmin, "f32", "", NULL, "argmin: axis -1 is not an axis of x (f32)"},
    {Op_gather, "f32[5];i32[2]", "axis=0", NULL,
     "gather: i must be i32<5>, it is i32[2]; i32<5>(i) clamps"},
    {Op_gather, "f32[5];i32<6>[2]", "axis=0", NULL,
     "gather: i must be i32<5>, it is i32<6>[2]; i32<5>(i) clamps"},
    {Op_scatter_add, "f32[5];i32<5>[2];f32[3]", "axis=0", NULL,
     "scatter_add: u must be f32[2], it is f32[3]"},
    {Op_cumsum, "f32[5]", "axis=1", NULL, "cumsum: axis 1 is not an axis of x (f32[5])"},
};

static uint32_t read_args(Cx *cx, const char *text, Type *args) {
    uint32_t n = 0;
    while (*text) {
        args[n++] = type_from(cx, text);
        text += strcspn(text, ";");
        text += *text == ';';
    }
    return n;
}

static void read_attrs(Cx *cx, Op op, const char *text, Attr *attrs) {
    while (*text) {
        size_t name = strcspn(text, "="), len = strcspn(text, ";");
        for (int k = 0; k < op_info[op].nattrs; k++) {
            if (strncmp(op_info[op].attrs[k].name, text, name) != 0) continue;
            char *value = arena_strndup(cx->arena, text + name + 1, len - name - 1);
            attrs[k] = ints_from(cx, value);
            if (op_info[op].attrs[k].kind == AttrInt) attrs[k] = attr_int(attrs[k].is.v[0]);
        }
        text += len + (text[len] == ';');
    }
}

static const char *infer_case(Cx *cx, const Case *c, Infer *q) {
    static Type args[8], given;
    static Attr attrs[MaxAttrs];
    memset(attrs, 0, sizeof attrs);
    *q = (Infer){.cx = cx, .nargs = read_args(cx, c->args, args), .args = args, .attrs = attrs};
    read_attrs(cx, c->op, c->attrs, attrs);
    if (c->given) {
        given = type_from(cx, c->given);
        if (!strchr(c->given, '[') && c->op == Op_cast) given.shape = NULL;
        q->given = &given;
    }
    return op_infer(c->op, q);
}

static void accepts(void **state) {
    (void)state;
    Cx *cx = cx_new();
    for (size_t k = 0; k < LEN(accepted); k++) {
        Infer q;
        const char *wrong = infer_case(cx, &accepted[k], &q);
        if (wrong) fail_msg("%s", wrong);
        assert_string_equal(type_text(cx, q.result), accepted[k].result);
        for (int i = 0; i < op_info[accepted[k].op].nattrs; i++) {
            assert_int_equal(q.attrs[i].kind, op_info[accepted[k].op].attrs[i].kind);
        }
    }
    cx_free(cx);
}

static void rejects(void **state) {
    (void)state;
    Cx *cx = cx_new();
    for (size_t k = 0; k < LEN(rejected); k++) {
        Infer q;
        const char *wrong = infer_case(cx, &rejected[k], &q);
        assert_string_equal(wrong ? wrong : "accepted", rejected[k].result);
    }
    cx_free(cx);
}

/* Every operation with a shape rule of its own is in the first list. */
static void covers_every_rule(void **state) {
    (void)state;
    for (int k = 0; k < OpCount; k++) {
        bool seen = op_info[k].infer == op_info[Op_param].infer;
        for (size_t c = 0; c < LEN(accepted); c++) {
            seen |= op_info[accepted[c].op].infer == op_info[k].infer;
        }
        if (!seen) fail_msg("no case for %s", op_info[k].name);
    }
}

static void axes_are_canonical(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f32[2, 3, 4]");
    Val y = op_attr(&f, Op_reduce_sum, ints_from(f.cx, "-1 0"), x);
    assert_true(attr_equal(b_ins(f.b, y)->attrs[0], ints_from(f.cx, "0 2")));
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(rejects),
        cmocka_unit_test(covers_every_rule),
        cmocka_unit_test(axes_are_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
