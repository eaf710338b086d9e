/* Every elementwise operation of the table, for every type it takes, against the interpreter: on
 * its domain and on special values. A new row is tested without more code. */
#include "tests/codegen/support.h"

/* Operations whose rounding the interpreter follows though they round more than once. */
static bool bits_known(Op op) {
    return op_info[op].exact || op == Op_rsqrt || op == Op_mod || op == Op_stop_gradient ||
           op == Op_opt_barrier;
}

static char letter(Domain d) {
    static const char letters[] = {[DomAny] = 'a',  [DomPositive] = 'p', [DomNonzero] = 'n',
                                   [DomUnit] = 'u', [DomInt] = 'a',      [DomBool] = 'a'};
    return letters[d];
}

static bool takes(Program *p, Op op, const Type *args) {
    Attr attrs[MaxAttrs] = {{0}};
    Infer q = {.cx = p->cx, .nargs = (uint32_t)op_info[op].nargs, .args = args, .attrs = attrs};
    return !op_infer(op, &q);
}

static bool function_of(Program *p, Op op, DType dt, int64_t n, char domain) {
    const OpInfo *info = &op_info[op];
    Type types[MaxOperands];
    for (int k = 0; k < info->nargs; k++) {
        types[k] = type_in(p, op == Op_where && !k ? BOOL : dt, 1, &n);
    }
    if (!takes(p, op, types)) return false;
    bool bits = bits_known(op) || !dtype_is_float(dt);
    Builder *b = fn_open(p, "%s%s_%s_%d_%c",
                         bits            ? ""
                         : domain == 's' ? "same_"
                                         : "near_",
                         info->name, dtype_name(dt), (int)n, domain);
    Val args[MaxOperands];
    for (int k = 0; k < info->nargs; k++) {
        char name[] = {domain, (char)('0' + k), 0};
        args[k] = arg(p, b, name, types[k]);
    }
    fn_done(p, b, b_op(b, op, args, (uint32_t)info->nargs, NULL, NULL));
    return true;
}

static void write_table(Program *p) {
    static const int64_t sizes[] = {0, 31};
    for (int op = 0; op < OpCount; op++) {
        if (op_info[op].cls != ClsElem || op == Op_cast) continue;
        uint32_t taken = 0;
        for (int dt = 0; dt < DTypeCount; dt++) {
            for (size_t k = 0; k < LEN(sizes); k++) {
                taken += function_of(p, (Op)op, (DType)dt, sizes[k], letter(op_info[op].domain));
            }
            taken += function_of(p, (Op)op, (DType)dt, 256, 's');
        }
        if (!taken) fail_msg("no type fits %s", op_info[op].name);
    }
}

static void table(void **state) {
    (void)state;
    compare(write_table);
}

static void write_casts(Program *p) {
    for (int from = 0; from < DTypeCount; from++) {
        for (int to = 0; to < DTypeCount; to++) {
            for (int ranged = 0; ranged <= (to == I32); ranged++) {
                Type given = dims(p, (DType)to, 1, 21);
                given.range = ranged ? 10 : 0;
                Builder *b = fn_open(p, "cast_%s_%s_%d", dtype_name((DType)from),
                                     dtype_name((DType)to), ranged);
                Val x = arg(p, b, "s", dims(p, (DType)from, 1, 21));
                fn_done(p, b, b_op(b, Op_cast, &x, 1, NULL, &given));
            }
        }
    }
}

static void casts(void **state) {
    (void)state;
    compare(write_casts);
}

/* Values between f32 and bf16 in turn: each is rounded inside the kernel too. */
static void write_sizes(Program *p) {
    static const int64_t sizes[] = {0,  1,  2,  3,  4,  7,   8,   9,    15,   16,   17,  31,
                                    32, 33, 63, 64, 65, 127, 255, 1000, 4095, 4096, 4097};
    for (size_t k = 0; k < LEN(sizes); k++) {
        for (int dt = F32; dt <= BF16; dt++) {
            Type t = type_in(p, (DType)dt, 1, &sizes[k]);
            Builder *b = fn_open(p, "chain_%s_%d", dtype_name((DType)dt), (int)sizes[k]);
            Val x = arg(p, b, "a", t), y = arg(p, b, "n", t);
            Val z = b_add(b, b_mul(b, x, y), b_float(b, t, 0.1));
            z = op2(b, Op_div, op2(b, Op_sub, z, y), b_mul(b, y, y));
            Val positive = op2(b, Op_gt, z, b_float(b, t, 0));
            fn_done(p, b,
                    b_op(b, Op_where, (Val[]){positive, z, op1(b, Op_neg, x)}, 3, NULL, NULL));
        }
    }
}

static void sizes(void **state) {
    (void)state;
    compare(write_sizes);
}

/* Rounded-down division by constants, powers of two among them. */
static void write_divisors(Program *p) {
    static const int64_t divisors[] = {1, 2, 32, 1 << 30, INT64_C(1) << 62, 3, -1, -2, -32, 0};
    for (size_t k = 0; k < LEN(divisors); k++) {
        for (int dt = I32; dt <= I64; dt++) {
            if (dt == I32 && divisors[k] > INT32_MAX) continue;
            Type t = dims(p, (DType)dt, 1, 257);
            for (int mod = 0; mod < 2; mod++) {
                Builder *b = fn_open(p, "%s_%d_%d", mod ? "mod" : "div", dt, (int)k);
                Val x = arg(p, b, "s", t);
                fn_done(p, b, op2(b, mod ? Op_mod : Op_div, x, b_int(b, t, divisors[k])));
            }
        }
    }
}

static void divisors(void **state) {
    (void)state;
    compare(write_divisors);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(casts),
                                       cmocka_unit_test(sizes), cmocka_unit_test(divisors)};
    return cmocka_run_group_tests_name("codegen, elementwise", tests, NULL, NULL);
}
