/* Every function of a program against the interpreter, compiled in every way. */
#include "tests/codegen/support.h"

#include <float.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct Build {
    const char *how, *cpu;
    int level;
    bool library, object; /* object: the object file's symbols are looked at */
} Build;
static const Build builds[] = {
    {"-O0", NULL, 0, false, true},
    {"-O1", NULL, 1, true, false},
    {"-O3", NULL, 3, false, false},
    {"-O0 -march=x86-64-v3", "x86-64-v3", 0, false, false},
    {"-O2 -march=x86-64-v3", "x86-64-v3", 2, false, true},
};

/* A function, what it is run on and what it must give. */
typedef struct Case {
    const char *name;
    uint32_t nargs;
    Tensor *args, result;
    Guarded *data; /* of the arguments: read-only */
    bool known;    /* result is the demand, else the first build's bits are */
    bool near;
} Case;

typedef struct Suite {
    Cx *cx;
    Case *cases;
    uint32_t n;
    int64_t chunks;
} Suite;

/* ---- drawing ---- */

static const double specials[] = {
    0.0,      -0.0,      1,   -1,    0.5,     -2.5,    3.5,      2.5,
    INFINITY, -INFINITY, NAN, 1e-40, -1e-310, FLT_MAX, -FLT_MIN, 3e9,
};
static const int64_t whole_specials[] = {
    0,
    1,
    -1,
    2,
    -2,
    3,
    -3,
    7,
    -7,
    10,
    INT32_MIN,
    INT32_MAX,
    INT32_MIN + 1,
    INT64_MIN,
    INT64_MAX,
    INT64_MIN + 1,
};

static double rounded(DType dt, double x) {
    return dt == F64 ? x : dt == F32 ? (double)(float)x : (double)round_bf16((float)x);
}

static double draw_real(char domain, double u) {
    switch (domain) {
    case 'p':
        return 0.3 + 2.7 * u;
    case 'n':
        return u < 0.5 ? -0.3 - 5.4 * u : 0.3 + 5.4 * (u - 0.5);
    case 'u':
        return 1.8 * u - 0.9;
    default:
        return 4 * u - 2;
    }
}

static void draw(Tensor *x, char domain, uint32_t which) {
    for (int64_t e = 0; e < x->type.shape->size; e++) {
        size_t n = LEN(specials), pick = (size_t)(which ? e / (int64_t)n : e) % n;
        uint64_t bits = rng_bits(rng_fold(17, which), (uint64_t)e);
        if (x->re) {
            double v = domain == 's' ? specials[pick] : draw_real(domain, rng_f64(bits));
            x->re[e] = rounded(x->type.dt, v);
            continue;
        }
        int64_t i = domain == 's' ? whole_specials[pick] : (int64_t)(bits % 19) - 9;
        if (x->type.range) i = (int64_t)(bits % (uint64_t)x->type.range);
        x->i[e] = x->type.dt == BOOL ? (int64_t)(bits & 1) : x->type.dt == I32 ? (int32_t)i : i;
    }
}

static void put(const Tensor *x, int64_t e, unsigned char *out) {
    float f = x->re ? (float)x->re[e] : 0;
    int32_t i = x->i ? (int32_t)x->i[e] : 0;
    unsigned char b = (unsigned char)(i & 1);
    const void *from[DTypeCount] = {
        [F32] = &f, [F64] = x->re ? &x->re[e] : NULL, [BF16] = (char *)&f + 2,
        [I32] = &i, [I64] = x->i ? &x->i[e] : NULL,   [BOOL] = &b};
    memcpy(out, from[x->type.dt], dtype_size(x->type.dt));
}

static double real_from(DType dt, const unsigned char *in) {
    float f = 0;
    double d = 0;
    if (dt == F64) memcpy(&d, in, 8);
    if (dt == F32) memcpy(&f, in, 4);
    if (dt == BF16) memcpy((char *)&f + 2, in, 2);
    return dt == F64 ? d : (double)f;
}

static Guarded guarded_copy(const Tensor *x) {
    size_t size = dtype_size(x->type.dt), n = (size_t)x->type.shape->size;
    Guarded g = guarded_new(n * size, 0);
    for (size_t e = 0; e < n; e++) put(x, (int64_t)e, g.at + e * size);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    mprotect(g.at + g.bytes + page - g.mapped, g.mapped - page, PROT_READ);
    return g;
}

static void reference(Suite *s, const Program *p, const Fn *f) {
    Arena *a = s->cx->arena;
    Case *c = &s->cases[s->n++];
    *c = (Case){.name = arena_printf(a, "%s", f->name), .nargs = f->nparams};
    c->near = !strncmp(f->name, "near_", 5);
    c->known = strncmp(f->name, "same_", 5) != 0;
    c->args = NEW_ARRAY(a, Tensor, c->nargs);
    c->data = NEW_ARRAY(a, Guarded, c->nargs);
    for (uint32_t k = 0; k < c->nargs; k++) {
        c->args[k] = tensor_new(a, f->ins.data[k].type, false);
        draw(&c->args[k], f->ins.data[k].name[0], k);
        c->data[k] = guarded_copy(&c->args[k]);
    }
    c->result = tensor_new(a, f->ins.data[f->results.data[0]].type, false);
    if (c->known) interp_run(p, f, InterpRound, a, c->args, &c->result, NULL);
}

/* ---- running ---- */

/* Chunks backwards: their order must not matter. */
static void backwards(const BpEnv *env, void (*body)(void *, int64_t), void *data, int64_t n) {
    int64_t *most = env->pool;
    if (n > *most) *most = n;
    while (n-- > 0) body(data, n);
}

static bool is_near(DType dt, double got, double want) {
    static const double eps[] = {[F32] = 0x1p-23, [F64] = 0x1p-52, [BF16] = 0x1p-7};
    if (isnan(want) || isinf(want)) return isnan(want) ? isnan(got) : got == want;
    return fabs(got - want) <= (dt == BF16 ? 2 : 16) * eps[dt] * fabs(want);
}

static void check_element(const Case *c, int64_t e, const unsigned char *got, const char *how) {
    unsigned char want[8];
    DType dt = c->result.type.dt;
    put(&c->result, e, want);
    if (!memcmp(want, got, dtype_size(dt))) return;
    if (!dtype_is_float(dt)) {
        int64_t i = 0;
        memcpy(&i, got, dtype_size(dt));
        fail_msg("%s, %s: element %ld is %lx, not %lx", c->name, how, (long)e, (long)i,
                 (long)c->result.i[e]);
    }
    double x = real_from(dt, got), y = c->result.re[e];
    if (isnan(x) && isnan(y)) return;
    if (c->near && how == builds[0].how && is_near(dt, x, y)) return;
    fail_msg("%s, %s: element %ld is %.17g, not %.17g", c->name, how, (long)e, x, y);
}

/* From now on these bits are what every other way must give. */
static void demand(Case *c, const unsigned char *got) {
    DType dt = c->result.type.dt;
    size_t size = dtype_size(dt);
    for (int64_t e = 0; e < c->result.type.shape->size; e++) {
        const unsigned char *at = got + (size_t)e * size;
        if (c->result.re) {
            c->result.re[e] = real_from(dt, at);
            continue;
        }
        c->result.i[e] = 0;
        memcpy(&c->result.i[e], at, size);
    }
    c->known = true;
}

static void run_case(Suite *s, const Compiled *k, Case *c, const char *how, const BpEnv *env) {
    size_t size = dtype_size(c->result.type.dt), n = (size_t)c->result.type.shape->size;
    Guarded out = guarded_new(n * size, 0xA5);
    const Fn *f = program_fn(k->p, sym(k->cx, c->name));
    Guarded arena = guarded_new(f->plan->arena_bytes, 0xFF);
    void **args = NEW_ARRAY(s->cx->arena, void *, c->nargs + 1);
    for (uint32_t i = 0; i < c->nargs; i++) args[i] = c->data[i].at;
    args[c->nargs] = out.at;
    entry_of(k, c->name)(args, arena.at, env);
    if (!c->known) demand(c, out.at);
    for (size_t e = 0; e < n; e++) check_element(c, (int64_t)e, out.at + e * size, how);
    if (c->near) demand(c, out.at);
    guarded_free(&out);
    guarded_free(&arena);
}

static void run_build(Suite *s, Write *write, const Build *b) {
    CgOptions o = {.level = b->level, .cpu = b->cpu, .library = b->library};
    Compiled k = compile(write, o);
    check_module(&k, b->object);
    k.jit = jit_new(k.cg);
    BpEnv env = {.parallel = backwards, .pool = &s->chunks, .threads = 2};
    for (uint32_t i = 0; i < s->n; i++) {
        run_case(s, &k, &s->cases[i], b->how, NULL);
        run_case(s, &k, &s->cases[i], "in chunks", &env);
    }
    compiled_free(&k);
}

int64_t compare(Write *write) {
    Suite s = {.cx = cx_new()};
    Program *p = program_new(s.cx);
    write(p);
    s.cases = NEW_ARRAY(s.cx->arena, Case, p->fns.len + 1);
    for (uint32_t i = 0; i < p->fns.len; i++) reference(&s, p, p->fns.data[i]);
    for (size_t i = 0; i < LEN(builds); i++) run_build(&s, write, &builds[i]);
    for (uint32_t i = 0; i < s.n; i++) {
        for (uint32_t k = 0; k < s.cases[i].nargs; k++) guarded_free(&s.cases[i].data[k]);
    }
    int64_t chunks = s.chunks;
    cx_free(s.cx);
    return chunks;
}
