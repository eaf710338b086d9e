/* Each way to break a function is caught with the message that names it. The verifier exits, so
 * every case runs in a process of its own. */
#include "support.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* fn g(x: f32[3]) -> (f32[3], f32)
 * fn f(x: f32[3], n: i32<4>, k: i64) -> (f32[3], f32[3]):
 *   3 mul 4 const 5 call 6 get 7 get 8 transpose 9 add */
typedef struct Broken {
    Fixture f;
    Fn *fn;
    Ins *ins;
} Broken;

static Broken whole(void) {
    Broken w = {.f = fixture_open(true)};
    Fixture g = w.f;
    g.b = builder_new(g.p, sym(g.cx, "g"), true);
    Val gx = param(&g, "x", "f32[3]");
    b_result(g.b, gx);
    b_result(g.b, op_attr(&g, Op_reduce_sum, (Attr){0}, gx));
    program_add(g.p, builder_done(g.b));
    Fixture *f = &w.f;
    Val x = param(f, "x", "f32[3]"), r[2];
    param(f, "n", "i32<4>");
    param(f, "k", "i64");
    Val m = op(f, Op_mul, 2, x, x), c = num(f, "f32[3]", 0.5);
    b_call(f->b, b_fn(g.b), &m, 1, r);
    op_attr(f, Op_transpose, ints_from(f->cx, "0"), x);
    b_result(f->b, op(f, Op_add, 2, r[0], c));
    b_result(f->b, x);
    w.fn = builder_done(f->b);
    w.ins = w.fn->ins.data;
    program_add(f->p, w.fn);
    return w;
}

static void late_operand(Broken *w) { ((Val *)(uintptr_t)w->ins[3].args)[0] = 9; }
static void own_operand(Broken *w) { ((Val *)(uintptr_t)w->ins[3].args)[0] = 3; }
static void wrong_arity(Broken *w) { w->ins[3].nargs = 1; }
static void wrong_type(Broken *w) { w->ins[3].type = type_from(w->f.cx, "f32[4]"); }
static void no_type(Broken *w) { w->ins[3].type.shape = NULL; }
static void unknown_op(Broken *w) { w->ins[3].op = OpCount; }
static void late_param(Broken *w) { w->ins[4].op = Op_param; }
static void early_value(Broken *w) { w->fn->nparams = 4; }
static void float_range(Broken *w) { w->ins[4].type.range = 3; }
static void wrong_count(Broken *w) { w->ins[4].ndata = 2; }
static void unrounded(Broken *w) { ((Num *)(uintptr_t)w->ins[4].data)[0].f = 0.1; }
static void missing_attr(Broken *w) {
    ((Attr *)(uintptr_t)w->ins[8].attrs)[0] = (Attr){.kind = AttrInt};
}
static void negative_axis(Broken *w) {
    ((Attr *)(uintptr_t)w->ins[8].attrs)[0] = ints_from(w->f.cx, "-1");
}
static void whole_multi(Broken *w) { ((Val *)(uintptr_t)w->ins[9].args)[0] = 5; }
static void lone_get(Broken *w) { ((Attr *)(uintptr_t)w->ins[7].attrs)[0].i = 3; }
static void unknown_fn(Broken *w) {
    ((Attr *)(uintptr_t)w->ins[5].attrs)[0].s = sym(w->f.cx, "nowhere");
}
static void call_of_itself(Broken *w) { ((Attr *)(uintptr_t)w->ins[5].attrs)[0].s = w->fn->name; }
static void call_arity(Broken *w) { w->ins[5].nargs = 0; }
static void call_types(Broken *w) { ((Val *)(uintptr_t)w->ins[5].args)[0] = 2; }
static void call_results(Broken *w) { w->ins[7].type = type_from(w->f.cx, "f64"); }
static void operator_left(Broken *w) {
    w->ins[3].op = Op_grad;
    w->fn->props = PropNoOperators;
}
static void result_out_of_range(Broken *w) { w->fn->results.data[0] = 99; }
static void multi_result(Broken *w) { w->fn->results.data[0] = 5; }

static void donate(Broken *w, int32_t a, int32_t b) {
    w->fn->donated = NEW_ARRAY(w->f.cx->arena, int32_t, 2);
    w->fn->donated[0] = a;
    w->fn->donated[1] = b;
}
static void donated_twice(Broken *w) { donate(w, 0, 0); }
static void donated_type(Broken *w) { donate(w, 1, -1); }

static Kernel *kernel(Broken *w, KernelKind kind, Val root, Val in, Val member, Val out) {
    Arena *a = w->f.cx->arena;
    Kernel *k = NEW(a, Kernel);
    *k = (Kernel){.kind = kind, .root = root, .id = w->fn->kernels.len};
    if (in != NoVal) vec_push(a, &k->inputs, in);
    vec_push(a, &k->members, member);
    if (out != NoVal) vec_push(a, &k->outputs, out);
    vec_push(a, &w->fn->kernels, k);
    w->fn->results.len = 0;
    w->fn->props |= PropFused;
    return k;
}
static void wrong_root(Broken *w) { kernel(w, KernReduce, 3, 0, 3, 3); }
static void unread_operand(Broken *w) { kernel(w, KernMap, NoVal, NoVal, 3, 3); }
static void stores_nothing(Broken *w) { kernel(w, KernMap, NoVal, 0, 3, NoVal); }
static void stores_other(Broken *w) { kernel(w, KernMap, NoVal, 0, 3, 8); }
static void reads_early(Broken *w) { kernel(w, KernMap, NoVal, 6, 9, 9); }
static void unstored_result(Broken *w) {
    kernel(w, KernMap, NoVal, 0, 3, 3);
    w->fn->results.len = 1;
}

static void with_plan(Broken *w, Buf first, Buf second) {
    kernel(w, KernMap, NoVal, 0, 3, 3);
    kernel(w, KernMap, NoVal, 0, 8, 8);
    vec_push(w->f.cx->arena, &w->fn->kernels.data[1]->outputs, 3);
    w->fn->kernels.data[1]->outputs.len = 1;
    Kernel *last = kernel(w, KernMap, NoVal, 3, 3, 3);
    last->members.len = last->outputs.len = 0;
    last->inputs.data[0] = 3;
    vec_push(w->f.cx->arena, &last->inputs, 8);
    vec_push(w->f.cx->arena, &last->inputs, 0);
    w->ins[9].args = NEW_ARRAY(w->f.cx->arena, Val, 2);
    ((Val *)(uintptr_t)w->ins[9].args)[0] = 3;
    ((Val *)(uintptr_t)w->ins[9].args)[1] = 8;
    vec_push(w->f.cx->arena, &last->members, 9);
    vec_push(w->f.cx->arena, &last->outputs, 9);
    Plan *plan = NEW(w->f.cx->arena, Plan);
    plan->bufs = NEW_ARRAY(w->f.cx->arena, Buf, w->fn->ins.len);
    plan->arena_bytes = 256;
    plan->bufs[0] = (Buf){.kind = BufArg, .bytes = 12};
    plan->bufs[3] = first;
    plan->bufs[8] = second;
    plan->bufs[9] = (Buf){.kind = BufArena, .offset = 64, .bytes = 12};
    w->fn->plan = plan;
    w->fn->props |= PropPlanned;
}
static Buf at(uint64_t offset, uint64_t bytes) {
    return (Buf){.kind = BufArena, .offset = offset, .bytes = bytes};
}
static void overlap(Broken *w) { with_plan(w, at(0, 12), at(0, 12)); }
static void misaligned(Broken *w) { with_plan(w, at(0, 12), at(32, 12)); }
static void too_small(Broken *w) { with_plan(w, at(0, 12), at(64, 8)); }
static void beyond(Broken *w) { with_plan(w, at(0, 12), at(256, 12)); }
static void no_buffer(Broken *w) { with_plan(w, at(0, 12), (Buf){0}); }
static void in_place(Broken *w) { with_plan(w, at(0, 12), at(64, 12)); }
static void nothing(Broken *w) { (void)w; }

static const struct {
    const char *name;
    void (*damage)(Broken *w);
    const char *message; /* NULL: accepted */
} cases[] = {
    {"nothing", nothing, NULL},
    {"in_place", in_place, NULL},
    {"late_operand", late_operand, "operand 1 does not precede its use"},
    {"own_operand", own_operand, "operand 1 does not precede its use"},
    {"wrong_arity", wrong_arity, "mul: takes 2 operands, not 1"},
    {"wrong_type", wrong_type, "type is f32[4], but f32[3] is inferred"},
    {"no_type", no_type, "has no type"},
    {"unknown_op", unknown_op, "unknown operation"},
    {"late_param", late_param, "parameters must be the first 3 values"},
    {"early_value", early_value, "parameters must be the first 4 values"},
    {"float_range", float_range, "f32 cannot have a range"},
    {"wrong_count", wrong_count, "2 numbers for f32[3]"},
    {"unrounded", unrounded, "number 0 does not fit f32[3]"},
    {"missing_attr", missing_attr, "attribute 'perm' is of the wrong kind"},
    {"negative_axis", negative_axis, "attribute 'perm' is not filled in"},
    {"whole_multi", whole_multi, "operand 1 is more than one value"},
    {"lone_get", lone_get, "result 3 must follow its instruction"},
    {"unknown_fn", unknown_fn, "there is no fn nowhere"},
    {"call_of_itself", call_of_itself, "calls itself"},
    {"call_arity", call_arity, "has 0 operands, not 1"},
    {"call_types", call_types, "operand 1 is i64, not f32[3]"},
    {"call_results", call_results, "result 2 is f64, not f32"},
    {"operator_left", operator_left, ""},
    {"result_out_of_range", result_out_of_range, "result 1 is no value"},
    {"multi_result", multi_result, "result 1 is more than one value"},
    {"donated_twice", donated_twice, "result 2 takes parameter 0"},
    {"donated_type", donated_type, "takes the storage of a parameter of type i32<4>"},
    {"wrong_root", wrong_root, "kernel 0 has a root of another kind"},
    {"unread_operand", unread_operand, "kernel 0 lacks operand 1"},
    {"stores_nothing", stores_nothing, "kernel 0 stores nothing"},
    {"stores_other", stores_other, "kernel 0 stores what it does not compute"},
    {"reads_early", reads_early, "kernel 0 reads it before it is stored"},
    {"unstored_result", unstored_result, "result 1 is not stored"},
    {"overlap", overlap, "shares its buffer with value 3"},
    {"misaligned", misaligned, "buffer is not aligned"},
    {"too_small", too_small, "buffer of 8 bytes is too small"},
    {"beyond", beyond, "buffer ends beyond the arena"},
    {"no_buffer", no_buffer, "has no buffer"},
};

/* Runs the verifier on the damaged function; gives its exit status and what it wrote. */
static int run(void (*damage)(Broken *w), char *text, size_t size) {
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        Broken w = whole();
        damage(&w);
        verify_program(w.f.p);
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(ends[0], text + n, size - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void damage_is_found(void **state) {
    (void)state;
    for (size_t k = 0; k < LEN(cases); k++) {
        char text[4096];
        int status = run(cases[k].damage, text, sizeof text);
        if (status != (cases[k].message ? ExitBug : 0)) {
            fail_msg("%s: exit status %d\n%s", cases[k].name, status, text);
        }
        if (cases[k].message && !strstr(text, cases[k].message)) {
            fail_msg("%s: expected '%s' in\n%s", cases[k].name, cases[k].message, text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(damage_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
