/* Entries and targets: the floating-point mode inside and after a call, the table of entries, the
 * library form, targets that are refused, another architecture's objects. */
#include "tests/codegen/support.h"

#include <elf.h>
#include <fenv.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static void write_two(Program *p) {
    static const char *const names[] = {"second", "first"};
    for (int k = 0; k < 2; k++) {
        Builder *b = fn_open(p, "%s", names[k]);
        Type t = dims(p, F32, 1, 3);
        Val x = arg(p, b, "a", t);
        fn_done(p, b, k ? op1(b, Op_neg, x) : b_mul(b, x, b_float(b, t, 0.1)));
    }
}

/* A subnormal operand and result, and a product that each rounding mode rounds differently. */
static void floating_point_mode(void **state) {
    (void)state;
#if defined(__x86_64__)
    Compiled c = compile(write_two, (CgOptions){.level = 2});
    c.jit = jit_new(c.cg);
    float x[] = {1e-39F, 1e-37F, 3}, y[3];
    volatile float tenth = 0.1F;
    float want[] = {x[0] * tenth, x[1] * tenth, x[2] * tenth};
    unsigned before = _mm_getcsr(), strange = before | 0x8040 | 0x4000; /* flushing, upwards */
    _mm_setcsr(strange);
    entry_of(&c, "second")((void *[]){x, y}, NULL, NULL);
    unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    assert_int_equal(after, strange);
    assert_memory_equal(y, want, sizeof want);
    compiled_free(&c);
#else
    skip();
#endif
}

static void table_of_entries(void **state) {
    (void)state;
    Compiled c = compile(write_two, (CgOptions){.level = 2});
    c.jit = jit_new(c.cg);
    const BpProgram *program = jit_symbol(c.jit, "bp_program");
    assert_non_null(program);
    assert_non_null(strstr(program->manifest, "\"second\""));
    for (uint32_t k = 0; k < 2; k++) {
        assert_ptr_equal((void *)(uintptr_t)program->entries[k],
                         (void *)(uintptr_t)entry_of(&c, c.p->fns.data[k]->name));
    }
    assert_null(jit_symbol(c.jit, "bp_third"));
    compiled_free(&c);
}

static void library(void **state) {
    (void)state;
    Compiled c = compile(write_two, (CgOptions){.level = 2, .library = true});
    check_module(&c, true);
    c.jit = jit_new(c.cg);
    assert_null(jit_symbol(c.jit, "bp_program"));
    assert_non_null(jit_symbol(c.jit, "bp_first"));
    compiled_free(&c);
}

static bool accepted(const char *cpu, const char *triple, const char *message) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "t");
    Cg *cg = cg_build(p, &(CgOptions){.level = 2, .cpu = cpu, .triple = triple});
    bool ok = cg != NULL;
    if (ok)
        cg_free(cg);
    else
        assert_non_null(strstr(cx->diags.data[0].text, message));
    cx_free(cx);
    return ok;
}

static void targets(void **state) {
    (void)state;
    static const char *const x86 = "x86_64-unknown-linux-gnu", *arm = "aarch64-unknown-linux-gnu";
    static const char *const enough[] = {"x86-64-v3", "x86-64-v4", "haswell", "znver4"};
    static const char *const little[] = {"x86-64", "x86-64-v2", "nehalem", "znver", ""};
    for (size_t k = 0; k < LEN(enough); k++) assert_true(accepted(enough[k], x86, ""));
    for (size_t k = 0; k < LEN(little); k++) assert_false(accepted(little[k], x86, "needs FMA"));
    assert_true(accepted("native", arm, ""));
    assert_true(accepted("neoverse-n1", arm, ""));
    assert_false(accepted("znver4", arm, "-march=znver4"));
    assert_false(accepted(NULL, "wasm32", "wasm32"));
    assert_false(accepted(NULL, "i686-unknown-linux-gnu", "i686"));
}

static void write_deep_shape(Program *p, uint32_t rank) {
    int64_t dim[32];
    for (uint32_t d = 0; d < rank; d++) dim[d] = 1 + d % 2;
    Builder *b = fn_open(p, "f%u", rank);
    Val x = arg(p, b, "a", type_in(p, F32, rank, dim));
    fn_done(p, b, op_ints(p, b, Op_flip, x, 1, (const int64_t[]){1}, NULL, NULL));
}
static void write_16(Program *p) {
    write_deep_shape(p, 16);
}

static void many_dimensions(void **state) {
    (void)state;
    compare(write_16);
}

static void write_some(Program *p) {
    Builder *b = fn_open(p, "some");
    Type t = dims(p, F32, 2, 40, 50);
    Val x = arg(p, b, "a", t), y = op1(b, Op_sigmoid, b_mul(b, x, x));
    fn_done(p, b, op2(b, Op_matmul, y, op1(b, Op_transpose, x)));
    b = fn_open(p, "sums");
    x = arg(p, b, "a", dims(p, BF16, 2, 70, 5000));
    fn_done(p, b, op_ints(p, b, Op_reduce_sum, x, 1, (const int64_t[]){1}, NULL, NULL));
}

static void other_architecture(void **state) {
    (void)state;
    for (int level = 0; level < 4; level++) {
        CgOptions o = {.level = level, .triple = "aarch64-unknown-linux-gnu"};
        Compiled c = compile(write_some, o);
        check_module(&c, true);
        size_t len;
        Elf64_Ehdr head;
        memcpy(&head, cg_emit(c.cg, CgObject, &len), sizeof head);
        assert_int_equal(head.e_machine, EM_AARCH64);
#if !defined(__aarch64__)
        assert_null(jit_new(c.cg));
        assert_non_null(strstr(c.cx->diags.data[0].text, "aarch64"));
#endif
        compiled_free(&c);
    }
}

/* The same module gives the same bytes, again and again. */
static void reproducible(void **state) {
    (void)state;
    Compiled a = compile(write_some, (CgOptions){.level = 2});
    Compiled b = compile(write_some, (CgOptions){.level = 2});
    size_t na, nb, nc;
    char *x = cg_emit(a.cg, CgObject, &na), *y = cg_emit(b.cg, CgObject, &nb);
    char *z = cg_emit(a.cg, CgObject, &nc);
    assert_int_equal(na, nb);
    assert_int_equal(na, nc);
    assert_memory_equal(x, y, na);
    assert_memory_equal(x, z, na);
    compiled_free(&a);
    compiled_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(floating_point_mode),
                                       cmocka_unit_test(table_of_entries),
                                       cmocka_unit_test(library),
                                       cmocka_unit_test(targets),
                                       cmocka_unit_test(many_dimensions),
                                       cmocka_unit_test(other_architecture),
                                       cmocka_unit_test(reproducible)};
    return cmocka_run_group_tests_name("codegen, entries and targets", tests, NULL, NULL);
}
