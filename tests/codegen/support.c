/* See support.h: writing functions, compiling them, memory with guards. */
#include "tests/codegen/support.h"

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- writing ---- */

Builder *fn_open(Program *p, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Sym name = sym(p->cx, arena_vprintf(p->cx->arena, fmt, ap));
    va_end(ap);
    Builder *b = builder_new(p, name, false);
    b_at(b, (Loc){sym(p->cx, "t.bp"), 1, 1, 1}, NULL);
    return b;
}

void fn_done(Program *p, Builder *b, Val result) {
    b_result(b, result);
    Fn *f = builder_done(b);
    f->exported = true;
    program_add(p, f);
}

Type type_in(Program *p, DType dt, uint32_t rank, const int64_t *dim) {
    return type_of(dt, shape_of(p->cx, dim, rank));
}

Type dims(Program *p, DType dt, uint32_t rank, ...) {
    int64_t dim[8];
    va_list ap;
    va_start(ap, rank);
    for (uint32_t k = 0; k < rank; k++) dim[k] = va_arg(ap, int);
    va_end(ap);
    return type_in(p, dt, rank, dim);
}

Val arg(Program *p, Builder *b, const char *name, Type type) {
    return b_param(b, sym(p->cx, name), type);
}

Val op1(Builder *b, Op op, Val x) {
    return b_op(b, op, &x, 1, NULL, NULL);
}

Val op2(Builder *b, Op op, Val x, Val y) {
    return b_op(b, op, (Val[]){x, y}, 2, NULL, NULL);
}

Val op_ints(Program *p, Builder *b, Op op, Val x, uint32_t n, const int64_t *first,
            const int64_t *second, const int64_t *third) {
    const int64_t *lists[] = {first, second, third};
    Attr attrs[LEN(lists)] = {{0}};
    for (size_t k = 0; k < LEN(lists); k++) {
        if (lists[k]) attrs[k] = attr_ints(p->cx, lists[k], n);
    }
    return b_op(b, op, &x, 1, attrs, NULL);
}

/* ---- compiling ---- */

Compiled compile(Write *write, CgOptions o) {
    Compiled c = {.cx = cx_new()};
    c.p = program_new(c.cx);
    c.p->name = sym(c.cx, "t");
    c.p->path = sym(c.cx, "t.bp");
    write(c.p);
    PassOptions po = {.level = o.level, .verify_each = true, .limit = -1, .out = stdout};
    assert_true(passes_run(c.p, &po));
    c.cg = cg_build(c.p, &o);
    if (!c.cg) {
        diag_render(c.cx, stderr, false);
        fail_msg("not compiled");
    }
    return c;
}

void compiled_free(Compiled *c) {
    if (c->jit) jit_free(c->jit);
    cg_free(c->cg);
    cx_free(c->cx);
}

BpEntry *entry_of(const Compiled *c, const char *fn) {
    void *f = jit_symbol(c->jit, arena_printf(c->cx->arena, "bp_%s", fn));
    if (!f) fail_msg("no entry bp_%s", fn);
    return (BpEntry *)(uintptr_t)f;
}

/* ---- what a module may contain ---- */

/* Arithmetic of floats, the floating-point mode, and integer instructions that LLVM writes so. */
static const char *const intrinsics[] = {
    "fma",
    "sqrt",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "fabs",
    "copysign",
    "maximum",
    "minimum",
    "fptosi.sat",
    "x86.sse.stmxcsr",
    "x86.sse.ldmxcsr",
    "aarch64.get.fpcr",
    "aarch64.set.fpcr",
    "is.fpclass",
    "fshl",
    "fshr",
    "smax",
    "smin",
    "umax",
    "umin",
    "usub.sat",
    "abs",
    "ctlz",
    "cttz",
    "ctpop",
    "bitreverse",
    "masked.load",
};

static bool allowed(const char *name) {
    for (size_t k = 0; k < LEN(intrinsics); k++) {
        size_t n = strlen(intrinsics[k]);
        if (!strncmp(name, intrinsics[k], n) && (name[n] == '.' || name[n] == '(')) return true;
    }
    return false;
}

static void check_declarations(const char *text) {
    for (const char *s = text; (s = strstr(s, "\ndeclare ")); s++) {
        const char *at = strchr(s, '@');
        size_t n = strcspn(at, "\n");
        if (strncmp(at, "@llvm.", 6) || !allowed(at + 6)) fail_msg("declared: %.*s", (int)n, at);
    }
}

static void check_flags(const char *text) {
    static const char *const flags[] = {"fast ",    "nnan ", "ninf ",     "nsz ",
                                        "reassoc ", "arcp ", "contract ", "afn "};
    for (size_t k = 0; k < LEN(flags); k++) {
        const char *s = strstr(text, flags[k]);
        if (s) fail_msg("fast-math flag: %.*s", (int)strcspn(s, "\n"), s);
    }
}

static void check_symbols(const char *bytes) {
    Elf64_Ehdr head;
    memcpy(&head, bytes, sizeof head);
    const Elf64_Shdr *section = (const Elf64_Shdr *)(const void *)(bytes + head.e_shoff);
    for (int i = 0; i < head.e_shnum; i++) {
        if (section[i].sh_type != SHT_SYMTAB) continue;
        const char *names = bytes + section[section[i].sh_link].sh_offset;
        const Elf64_Sym *symbols = (const Elf64_Sym *)(const void *)(bytes + section[i].sh_offset);
        for (size_t k = 1; k < section[i].sh_size / sizeof *symbols; k++) {
            if (symbols[k].st_shndx == SHN_UNDEF)
                fail_msg("the object needs %s", names + symbols[k].st_name);
        }
    }
}

void check_module(const Compiled *c, bool object) {
    size_t len;
    const char *text = cg_emit(c->cg, CgLlvm, &len);
    check_declarations(text);
    check_flags(text);
    if (object) check_symbols(cg_emit(c->cg, CgObject, &len));
}

/* ---- memory ---- */

Guarded guarded_new(size_t bytes, int fill) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1) / page * page;
    unsigned char *map =
        mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + body, page, PROT_NONE), 0);
    memset(map, fill, body);
    return (Guarded){map + body - bytes, bytes, body + page};
}

void guarded_free(Guarded *g) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    munmap(g->at + g->bytes + page - g->mapped, g->mapped);
}
