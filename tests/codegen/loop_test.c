/* Loops: carries that take turns in two buffers, that stay in place, that are single numbers; short
 * bodies are part of the loop. */
#include "tests/codegen/support.h"

#include <string.h>

static Type number(Program *p, DType dt) { return type_of(dt, shape_scalar(p->cx)); }

static Val integer(Program *p, Builder *b, int64_t n) { return b_int(b, number(p, I64), n); }

static void add(Program *p, Builder *b, uint32_t n, const Val *results) {
    for (uint32_t k = 0; k < n; k++) b_result(b, results[k]);
    program_add(p, builder_done(b));
}

static void region(Program *p, Builder *b, Op op, const Attr *attrs, uint32_t n, const Val *args,
                   Val *out) {
    Ins ins = {.op = (uint16_t)op, .attrs = attrs};
    Region r = region_of(p, &ins);
    RegionTypes t = region_types(p->cx, p->cx->arena, &ins, &r);
    b_multi(b, op, args, n, attrs, t.results, t.nresults, out);
}

/* ---- running ---- */

enum { Room = 1 << 16 };

static void to_memory(const Tensor *t, void *at) {
    for (int64_t k = 0; k < t->type.shape->size; k++) {
        switch (t->type.dt) {
        case F32: ((float *)at)[k] = (float)t->re[k]; break;
        case F64: ((double *)at)[k] = t->re[k]; break;
        case I32: ((int32_t *)at)[k] = (int32_t)t->i[k]; break;
        case I64: ((int64_t *)at)[k] = t->i[k]; break;
        case BOOL: ((uint8_t *)at)[k] = (uint8_t)t->i[k]; break;
        case BF16:
        case DTypeCount: fail();
        }
    }
}

static void run_both(const Program *p, const Compiled *c, const Fn *fn) {
    static _Alignas(64) unsigned char arena[Room], data[8][512], got[512], want[512];
    Tensor *args = NEW_ARRAY(c->cx->arena, Tensor, fn->nparams), result;
    void *table[9];
    for (uint32_t k = 0; k < fn->nparams; k++) {
        args[k] = tensor_new(c->cx->arena, fn->ins.data[k].type, false);
        for (int64_t i = 0; i < args[k].type.shape->size; i++) {
            if (args[k].re) args[k].re[i] = (double)(float)(0.3 * (double)(i + k) - 0.7);
            else args[k].i[i] = (7 * i + 4) % 9;
        }
        to_memory(&args[k], table[k] = data[k]);
    }
    interp_run(p, fn, InterpRound, c->cx->arena, args, &result, NULL);
    to_memory(&result, want);
    table[fn->nparams] = got;
    memset(arena, 0xA5, sizeof arena);
    entry_of(c, fn->name)(table, arena, NULL);
    size_t bytes = (size_t)result.type.shape->size * dtype_size(result.type.dt);
    if (memcmp(got, want, bytes) != 0) fail_msg("%s has other bits", fn->name);
}

/* Every exported function gives the interpreter's bits at every level. */
static void agree(Write *write) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = p->path = sym(cx, "t");
    write(p);
    for (int level = 0; level < 4; level++) {
        Compiled c = compile(write, (CgOptions){.level = level});
        c.jit = jit_new(c.cg);
        for (uint32_t k = 0; k < p->fns.len; k++) {
            if (p->fns.data[k]->exported) run_both(p, &c, p->fns.data[k]);
        }
        compiled_free(&c);
    }
    cx_free(cx);
}

/* ---- one carry of each kind ---- */

enum { Kinds = 6 };

/* x and y change places, z stays in place, f and n are numbers, c is a bool. */
static void formals(Program *p, Builder *b, Val *v) {
    const Type types[Kinds] = {dims(p, F32, 1, 5), dims(p, F32, 1, 5), dims(p, F64, 2, 3, 7),
                               number(p, F64), number(p, I64), number(p, BOOL)};
    static const char *const names[] = {"x", "y", "z", "f", "n", "c"};
    for (int k = 0; k < Kinds; k++) v[k] = arg(p, b, names[k], types[k]);
}

static void write_bodies(Program *p, int64_t steps) {
    Val v[Kinds];
    Builder *b = fn_open(p, "test");
    formals(p, b, v);
    Val go = op2(b, Op_lt, v[4], integer(p, b, steps));
    add(p, b, 1, &go);
    b = fn_open(p, "body");
    formals(p, b, v);
    Val pick = b_op(b, Op_where, (Val[]){v[5], v[3], op1(b, Op_neg, v[3])}, 3, NULL, NULL);
    Val all[] = {v[1], b_add(b, v[0], v[1]), op1(b, Op_neg, v[2]),
                 b_mul(b, pick, b_float(b, number(p, F64), 1.125)),
                 b_add(b, v[4], integer(p, b, 1)), op1(b, Op_not, v[5])};
    add(p, b, Kinds, all);
}

/* One exported function per result: as a while, as a scan. */
static void write_kinds(Program *p, int64_t steps) {
    write_bodies(p, steps);
    for (int way = 0; way < 2; way++) {
        for (int result = 0; result < Kinds; result++) {
            Builder *b = fn_open(p, "f%d_%d", way, result);
            Val v[Kinds], out[Kinds];
            v[0] = arg(p, b, "a", dims(p, F32, 1, 5));
            v[1] = arg(p, b, "b", dims(p, F32, 1, 5));
            v[2] = arg(p, b, "a2", dims(p, F64, 2, 3, 7));
            v[3] = arg(p, b, "a3", number(p, F64));
            v[4] = integer(p, b, 0);
            v[5] = op2(b, Op_lt, v[3], b_float(b, number(p, F64), 0));
            Attr body = attr_fn(sym(p->cx, "body"));
            Attr loop[] = {attr_fn(sym(p->cx, "test")), body, attr_int(Kinds)};
            Attr scan[] = {body, attr_int(Kinds), attr_int(0), attr_int(0), attr_int(steps),
                           attr_bool(false)};
            region(p, b, way ? Op_scan : Op_while, way ? scan : loop, Kinds, v, out);
            fn_done(p, b, out[result]);
        }
    }
}

static void write_0(Program *p) { write_kinds(p, 0); }
static void write_1(Program *p) { write_kinds(p, 1); }
static void write_2(Program *p) { write_kinds(p, 2); }
static void write_7(Program *p) { write_kinds(p, 7); }

static void kinds_of_carries(void **state) {
    (void)state;
    agree(write_0);
    agree(write_1);
    agree(write_2);
    agree(write_7);
}

/* ---- numbers in registers ---- */

/* s = s * 0.5 + x[i], i = next[i], n = n + 1 */
static void write_walk(Program *p) {
    Type index = {I32, 9, shape_scalar(p->cx)}, list = {I32, 9, dims(p, I32, 1, 9).shape};
    Attr axis = attr_int(0);
    Builder *b = fn_open(p, "test");
    arg(p, b, "i", index);
    arg(p, b, "s", number(p, F64));
    Val n = arg(p, b, "n", number(p, I64));
    arg(p, b, "x", dims(p, F64, 1, 9));
    arg(p, b, "next", list);
    Val go = op2(b, Op_lt, n, integer(p, b, 100));
    add(p, b, 1, &go);
    b = fn_open(p, "body");
    Val i = arg(p, b, "i", index), s = arg(p, b, "s", number(p, F64));
    n = arg(p, b, "n", number(p, I64));
    Val x = arg(p, b, "x", dims(p, F64, 1, 9)), next = arg(p, b, "next", list);
    Val at = b_op(b, Op_gather, (Val[]){x, i}, 2, &axis, NULL);
    Val half = b_mul(b, s, b_float(b, number(p, F64), 0.5));
    Val all[] = {b_op(b, Op_gather, (Val[]){next, i}, 2, &axis, NULL), b_add(b, half, at),
                 b_add(b, n, integer(p, b, 1))};
    add(p, b, 3, all);
    b = fn_open(p, "f");
    Val out[3];
    x = arg(p, b, "a", dims(p, F64, 1, 9));
    next = arg(p, b, "i", list);
    Val start = b_int(b, index, 0), zero = b_float(b, number(p, F64), 0);
    Val args[] = {start, zero, integer(p, b, 0), x, next};
    Attr attrs[] = {attr_fn(sym(p->cx, "test")), attr_fn(sym(p->cx, "body")), attr_int(3)};
    region(p, b, Op_while, attrs, 5, args, out);
    fn_done(p, b, out[1]);
}

static void numbers_in_registers(void **state) {
    (void)state;
    agree(write_walk);
    Compiled c = compile(write_walk, (CgOptions){.level = 2, .library = true});
    size_t len;
    const char *text = cg_emit(c.cg, CgLlvm, &len), *loop = strstr(text, "\nwhile:");
    assert_non_null(loop);
    assert_null(strstr(text, "@bp_body"));
    assert_null(strstr(text, "@bp_test"));
    const char *end = strstr(loop, "\ndone"), *phi = strstr(loop, "phi double");
    assert_true(end && phi && phi < end);
    const char *store = strstr(loop, " store "), *call = strstr(loop, " call ");
    assert_true(!store || store > end);
    assert_true(!call || call > end);
    compiled_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(kinds_of_carries),
                                       cmocka_unit_test(numbers_in_registers)};
    return cmocka_run_group_tests_name("codegen, loops", tests, NULL, NULL);
}
