/* Every row of ops.def: its generated code against the interpreter. A new row is tested without a
 * line here. */
#include "tests/rules/rules_test.h"

#include <stdlib.h>

void check(Suite *s, bool ok, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    if (!ok && s->failed < 40) {
        printf("FAILED: ");
        vprintf(fmt, ap);
        printf("\n");
        fflush(stdout);
        if (s->cx->diags.len) diag_render(s->cx, stdout, false);
    }
    va_end(ap);
    *(ok ? &s->passed : &s->failed) += 1;
}

static Suite suite_new(void) {
    static const FrontOptions options = {0};
    static const char text[] = "export fn id(x: f32) -> f32 { return x + 1; }";
    Suite s = {.cx = cx_new()};
    s.d.a = arena_new();
    s.d.p = front_load_text(s.cx, sym(s.cx, "rules_test.bp"), text, sizeof text - 1, &options);
    if (!s.d.p) diag_render(s.cx, stderr, false);
    return s;
}

/* One with many attributes is drawn more often. */
static uint32_t instances_of(Op op) { return op_info[op].nattrs > 3 ? 60 : 6; }
enum { MaxInstances = OpCount * 60 };

static void check_code_of(DType dt) {
    Suite s = suite_new();
    Instance *all = calloc(MaxInstances, sizeof *all);
    uint32_t n = 0;
    for (Op op = 0; op < OpCount; op++) {
        if (!can_draw(op)) continue;
        uint32_t got = instances_draw(&s.d, op, dt, false, all + n, instances_of(op));
        check(&s, got > 0, "no operands found for %s", op_info[op].name);
        n += got;
    }
    PassOptions o = {.level = 2, .limit = -1, .verify_each = true, .out = stdout};
    bool ready = passes_run(s.d.p, &o);
    if (!ready) diag_render(s.cx, stderr, false);
    check(&s, ready, "the passes refuse the program");
    static const struct {
        int level;
        const char *cpu;
    } builds[] = {{0, NULL}, {2, NULL}, {2, "x86-64-v3"}};
    for (size_t i = 0; ready && i < LEN(builds); i++)
        check_compiled(&s, all, n, builds[i].level, builds[i].cpu);
    printf("%s: %u instances of %d operations\n%u passed, %u failed\n", dtype_name(dt), n, OpCount,
           s.passed, s.failed);
    unsigned failed = s.failed;
    arena_free(s.d.a);
    cx_free(s.cx);
    free(all);
    if (failed) exit(1);
}

int main(void) {
    check_code_of(F64);
    check_code_of(F32);
    return 0;
}
