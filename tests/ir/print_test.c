/* The printed form, names, literals in place. That print(parse(print(p))) = print(p) is tested with
 * the reader, in tests/frontend. */
#include "support.h"

#include <math.h>

static Fixture open_at(const char *file, uint32_t line, uint16_t col) {
    Fixture f = fixture_open(false);
    b_at(f.b, (Loc){sym(f.cx, file), line, col, 0}, NULL);
    return f;
}

static void a_function_prints(void **state) {
    (void)state;
    Fixture f = open_at("m.bp", 4, 11);
    Val x = param(&f, "x", "f32[2, 3]"), w = param(&f, "net.fc[1].w", "f32[3, 4]");
    Val key = param(&f, "train.key", "i64"), i = param(&f, "i", "i32<4>[5]");
    Val z = op(&f, Op_matmul, 2, x, w);
    b_name(f.b, z, sym(f.cx, "z"));
    Attr perm[] = {ints_from(f.cx, "1 0")}, axis[2] = {attr_int(1)}, stream[] = {attr_int(7)};
    Val t = b_op(f.b, Op_transpose, &z, 1, perm, NULL);
    Val g = b_op(f.b, Op_gather, (Val[]){z, i}, 2, axis, NULL);
    Type u = type_from(f.cx, "f32[2]");
    b_at(f.b, (Loc){sym(f.cx, "std/nn.bp"), 31, 17, 0}, sym(f.cx, "B[tanh, x]"));
    b_op(f.b, Op_rng, &key, 1, stream, &u);
    op_given(&f, Op_cast, "i32<9>[4, 2]", t);
    b_op(f.b, Op_cumsum, &g, 1, axis, NULL);
    b_op(f.b, Op_iota, NULL, 0, (Attr[]){attr_int(6)}, NULL);
    b_result(f.b, t);
    b_result(f.b, z);
    Fn *fn = builder_done(f.b);
    fn->exported = true;
    fn->doc = "First line.\n\nLast.";
    fn->loc = (Loc){sym(f.cx, "m.bp"), 1, 8, 0};
    fn->rule = sym(f.cx, "value_and_grad[f, wrt=w]");
    Text out = {0};
    print_fn(f.p, fn, &out);
    assert_string_equal(
        text_done(&out, f.cx->arena),
        "/// First line.\n///\n/// Last.\n"
        "export fn f(x: f32[2, 3], net.fc[1].w: f32[3, 4], train.key: i64, i: i32<4>[5]) -> "
        "(f32[4, 2], f32[2, 4]) {  //@ m.bp:1:8 value_and_grad[f, wrt=w]\n"
        "  let z: f32[2, 4] = matmul(x, net.fc[1].w);  //@ m.bp:4:11\n"
        "  let t1: f32[4, 2] = transpose(z, perm=[1, 0]);  //@ m.bp:4:11\n"
        "  let t2: f32[2, 5] = gather(z, i, axis=1);  //@ m.bp:4:11\n"
        "  let t3: f32[2] = rng(train.key, stream=7);  //@ std/nn.bp:31:17 B[tanh, x]\n"
        "  let t4: i32<9>[4, 2] = i32<9>(t1);  //@ std/nn.bp:31:17 B[tanh, x]\n"
        "  let t5: f32[2, 5] = cumsum(t2, axis=1, reverse=false);"
        "  //@ std/nn.bp:31:17 B[tanh, x]\n"
        "  let t6: i32<6>[6] = iota(n=6);  //@ std/nn.bp:31:17 B[tanh, x]\n"
        "  return t1, z;\n"
        "}\n");
    fixture_close(&f);
}

static void names_are_unique(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f32"), e = param(&f, "exp", "f32");
    static const char *const given[] = {"h", "h", "h_2", "tanh", "net.fc[1].w", "if", "t1", "x"};
    static const char *const printed[] = {"h",      "h_2",  "h_2_2", "tanh_2",
                                          "net_fc_1_w", "if_2", "t1",    "x_2"};
    Val v[LEN(given)], last = op(&f, Op_mul, 2, x, e);
    for (size_t k = 0; k < LEN(given); k++) {
        v[k] = last = op(&f, Op_sqrt, 1, last);
        b_name(f.b, last, sym(f.cx, given[k]));
    }
    b_result(f.b, last);
    const Sym *names = print_names(f.p, b_fn(f.b));
    for (size_t k = 0; k < LEN(given); k++) assert_string_equal(names[v[k]], printed[k]);
    assert_string_equal(names[e], "exp");
    assert_string_equal(names[2], "t2");
    fixture_close(&f);
}

static void literals_stand_in_place(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Val x = param(&f, "x", "f32[2]"), c = param(&f, "c", "bool[2]");
    Val y = op(&f, Op_sub, 2, num(&f, "f32[2]", 1), x);
    y = op(&f, Op_where, 3, c, y, num(&f, "f32[2]", -INFINITY));
    y = op(&f, Op_where, 3, op(&f, Op_lt, 2, y, num(&f, "f32[2]", 1e-7)), y, x);
    /* both operands of a comparison are literals: they have no type to take */
    Val yes = op(&f, Op_where, 3, c, num(&f, "bool[2]", 1), num(&f, "bool[2]", 0));
    y = op(&f, Op_where, 3, yes, y, op(&f, Op_exp, 1, num(&f, "f32[2]", 3)));
    assert_string_equal(text_with(&f, y),
                        "fn f(x: f32[2], c: bool[2]) -> f32[2] {\n"
                        "  let t1: f32[2] = sub(1.0, x);\n"
                        "  let t2: f32[2] = where(c, t1, -inf);\n"
                        "  let t3: bool[2] = lt(t2, 1e-7);\n"
                        "  let t4: f32[2] = where(t3, t2, x);\n"
                        "  let t5: bool[2] = where(c, true, false);\n"
                        "  let t6: f32[2] = exp(3.0);\n"
                        "  let t7: f32[2] = where(t5, t4, t6);\n"
                        "  return t7;\n"
                        "}\n");
    fixture_close(&f);
}

static void other_constants_have_a_line(void **state) {
    (void)state;
    Fixture f = fixture_open(true);
    Val x = param(&f, "x", "f32[2]");
    const Num data[] = {{.f = 0.1}, {.f = -0.0}};
    Val list = b_const(f.b, type_from(f.cx, "f32[2]"), data, 2);
    Val named = num(&f, "f32[2]", 2);
    b_name(f.b, named, sym(f.cx, "k"));
    Val zero = num(&f, "f32[2]", 0), three = num(&f, "i64", 3);
    Val sum = op(&f, Op_add, 2, op(&f, Op_add, 2, x, list), named);
    Val cat = b_op(f.b, Op_concat, (Val[]){sum, zero}, 2, (Attr[]){attr_int(0)}, NULL);
    Val same = op(&f, Op_lt, 2, three, three);
    assert_string_equal(text_with(&f, cat),
                        "fn f(x: f32[2]) -> f32[4] {\n"
                        "  let t1: f32[2] = [0.1, -0.0];\n"
                        "  let k: f32[2] = 2.0;\n"
                        "  let t2: f32[2] = 0.0;\n"
                        "  let t3: i64 = 3;\n"
                        "  let t4: f32[2] = add(x, t1);\n"
                        "  let t5: f32[2] = add(t4, k);\n"
                        "  let t6: f32[4] = concat(t5, t2, axis=0);\n"
                        "  let t7: bool = lt(t3, t3);\n"
                        "  return t6;\n"
                        "}\n");
    (void)same;
    fixture_close(&f);
}

static void numbers_read_back(void **state) {
    (void)state;
    static const struct {
        const char *type;
        double v;
        const char *text;
    } cases[] = {
        {"f32", 0.1, "0.1"},         {"f64", 0.1, "0.1"},   {"bf16", 0.1, "0.1"},
        {"f32", 16777216, "16777216.0"}, {"f32", 1e-45, "1e-45"}, {"f64", 5e-324, "5e-324"},
        {"f32", -0.0, "-0.0"},       {"f32", NAN, "nan"},   {"f64", -INFINITY, "-inf"},
        {"f64", 1e22, "1e22"},       {"i32", -7, "-7"},     {"bool", 1, "true"},
        {"bf16", 3.140625, "3.14"},  {"f32", 100, "1e2"},
    };
    for (size_t k = 0; k < LEN(cases); k++) {
        Fixture f = fixture_open(false);
        Val v = num(&f, cases[k].type, cases[k].v);
        Text out = {0};
        b_name(f.b, v, sym(f.cx, "v"));
        b_result(f.b, v);
        print_ins(f.p, b_fn(f.b), v, &out);
        const char *want = arena_printf(f.cx->arena, "let v: %s = %s;  //@ none:0:0", cases[k].type,
                                        cases[k].text);
        assert_string_equal(text_done(&out, f.cx->arena), want);
        fixture_close(&f);
    }
}

/* fn loss(x: f32[3], y: f32) -> (f32, f32) */
static Fn *add_loss(Fixture *f) {
    Fixture g = *f;
    g.b = builder_new(f->p, sym(f->cx, "loss"), false);
    Val x = param(&g, "x", "f32[3]"), y = param(&g, "y", "f32");
    Val s = op_attr(&g, Op_reduce_sum, (Attr){0}, x);
    b_result(g.b, op(&g, Op_mul, 2, s, y));
    b_result(g.b, s);
    program_add(f->p, builder_done(g.b));
    return builder_done(g.b);
}

static void calls_and_operators_print(void **state) {
    (void)state;
    Fixture f = open_at("m.bp", 1, 1);
    Fn *loss = add_loss(&f);
    Val args[] = {param(&f, "x", "f32[3]"), param(&f, "y", "f32")}, r[2], g[4], d;
    Sym wrt[] = {sym(f.cx, "x"), sym(f.cx, "y")};
    Type scalar = type_from(f.cx, "f32"), vector = type_from(f.cx, "f32[3]");
    b_call(f.b, loss, args, 2, r);
    Attr both[] = {attr_fn(loss->name), attr_names(f.cx, wrt, 2)};
    Attr one[] = {attr_fn(loss->name), attr_names(f.cx, wrt, 1)};
    b_multi(f.b, Op_value_and_grad, args, 2, both, (Type[]){scalar, scalar, vector, scalar}, 4, g);
    b_multi(f.b, Op_grad, args, 2, one, &vector, 1, &d);
    b_name(f.b, g[0], sym(f.cx, "l"));
    b_result(f.b, d);
    verify_fn(f.p, b_fn(f.b));
    assert_string_equal(text_with(&f, d),
                        "fn f(x: f32[3], y: f32) -> f32[3] {\n"
                        "  let (t1: f32, t2: f32) = loss(x, y);\n"
                        "  let (l: f32, t3: f32, t4: f32[3], t5: f32) = "
                        "value_and_grad[loss, wrt=(x, y)](x, y);\n"
                        "  let t6: f32[3] = grad[loss, wrt=x](x, y);\n"
                        "  return t6;\n"
                        "}\n");
    fixture_close(&f);
}

static void a_program_prints(void **state) {
    (void)state;
    Fixture f = fixture_open(false);
    Arena *a = f.cx->arena;
    Program *p = f.p;
    vec_push(a, &p->hypers, (Hyper){.name = "lr", .dt = F32, .value = 3e-3, .doc = "Step size."});
    vec_push(a, &p->hypers, (Hyper){.name = "n", .dt = I64, .value = 7});
    vec_push(a, &p->consts, (ConstDecl){"H", "128"});
    Dataset d = {.name = "digits",
                 .text = "dataset digits = csv(\"d.csv\") {\n  x: f32 = col(0);\n}\n"};
    vec_push(a, &p->datasets, &d);
    Stage s = {.name = "fit", .dataset = "digits", .split = "train", .valid_dataset = "digits",
               .valid_split = "valid", .step = "fit_step", .eval = "fit_eval", .batch = 64,
               .epochs = 3, .has_seed = true};
    p->init = "fit_init";
    vec_push(a, &s.binds, "x");
    vec_push(a, &s.binds, "_");
    vec_push(a, &s.metrics, "acc");
    vec_push(a, &p->stages, &s);
    Text out = {0};
    print_program(p, &out);
    assert_string_equal(text_done(&out, a),
                        "/// Step size.\nhyper lr: f32 = 0.003;\nhyper n: i64 = 7;\n"
                        "const H = 128;\n"
                        "dataset digits = csv(\"d.csv\") {\n  x: f32 = col(0);\n}\n"
                        "train fit on digits.train as (x, _) { init = fit_init; step = fit_step; "
                        "eval = fit_eval; metrics = [\"acc\"]; batch = 64; epochs = 3; seed = 0; "
                        "valid = digits.valid; }\n");
    fixture_close(&f);
}

static void kernels_and_plans_print(void **state) {
    (void)state;
    Fixture f = open_at("m.bp", 3, 5);
    Val x = param(&f, "x", "f32[4, 8]"), w = param(&f, "w", "f32[8, 2]");
    Val z = op(&f, Op_matmul, 2, x, w), y = op(&f, Op_tanh, 1, z);
    b_name(f.b, y, sym(f.cx, "y"));
    b_result(f.b, y);
    Fn *fn = builder_done(f.b);
    program_add(f.p, fn);
    Kernel k = {.kind = KernContract, .root = z, .space = b_type(f.b, y).shape};
    Arena *a = f.cx->arena;
    vec_push(a, &k.inputs, x);
    vec_push(a, &k.inputs, w);
    vec_push(a, &k.members, z);
    vec_push(a, &k.members, y);
    vec_push(a, &k.outputs, y);
    vec_push(a, &fn->kernels, &k);
    Buf bufs[] = {{.kind = BufArg, .bytes = 128}, {.kind = BufArg, .index = 1, .bytes = 64},
                  {0}, {.kind = BufArena, .offset = 64, .bytes = 32}};
    Plan plan = {.bufs = bufs, .arena_bytes = 128, .param_bytes = 64};
    fn->plan = &plan;
    fn->props = PropFused | PropPlanned;
    verify_fn(f.p, fn);
    Text out = {0};
    print_kernels(f.p, &out);
    print_plan(f.p, &out);
    assert_string_equal(text_done(&out, a),
                        "fn f: 1 kernels\n"
                        "kernel 0 contract [4, 2]: 136 flops, 224 bytes, 0.607 flops/byte\n"
                        "  let t1: f32[4, 2] = matmul(x, w);  //@ m.bp:3:5\n"
                        "  let y: f32[4, 2] = tanh(t1);  //@ m.bp:3:5\n"
                        "fn f:\n"
                        "  parameters             64 bytes\n"
                        "  optimizer               0 bytes\n"
                        "  constants               0 bytes\n"
                        "  saved                   0 bytes\n"
                        "  scratch                 0 bytes\n"
                        "  peak                  192 bytes\n"
                        "  x                        arg 0                         128 bytes\n"
                        "  w                        arg 1                          64 bytes\n"
                        "  y                        arena + 64                     32 bytes\n");
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_prints),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(literals_stand_in_place),
        cmocka_unit_test(other_constants_have_a_line),
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(calls_and_operators_print),
        cmocka_unit_test(a_program_prints),
        cmocka_unit_test(kernels_and_plans_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
