/* A program as one LLVM module: a function per kernel, a function per entry that launches them in
 * order, and the table of entries for the runtime. */
#include "codegen/internal.h"

#include <llvm-c/Analysis.h>

V cg_new_function(Cg *cg, const char *name, T *params, unsigned n, bool external) {
    V f = LLVMAddFunction(cg->m, name, LLVMFunctionType(cg->void_, params, n, false));
    if (!external) LLVMSetLinkage(f, LLVMInternalLinkage);
    LLVMSetAlignment(f, CacheLine);
    target_attributes(cg, f);
    return f;
}

/* ---- entries ---- */

/* Floating point as IEEE says, whatever the caller set: rounding to nearest, denormals kept. */
static V save_float_state(Cg *cg) {
    if (!cg->target.x86) {
        V old = cg_call(cg, "llvm.aarch64.get.fpcr", NULL, 0, NULL, 0), zero = cg_i64(cg, 0);
        cg_call(cg, "llvm.aarch64.set.fpcr", NULL, 0, &zero, 1);
        return old;
    }
    V state = LLVMBuildAlloca(cg->b, LLVMArrayType2(cg->i32, 2), "mxcsr");
    V one = cg_i64(cg, 1), fresh = LLVMBuildInBoundsGEP2(cg->b, cg->i32, state, &one, 1, "");
    cg_call(cg, "llvm.x86.sse.stmxcsr", NULL, 0, &state, 1);
    LLVMBuildStore(cg->b, cg_int(cg->i32, 0x1F80), fresh);
    cg_call(cg, "llvm.x86.sse.ldmxcsr", NULL, 0, &fresh, 1);
    return state;
}

static void restore_float_state(Cg *cg, V saved) {
    cg_call(cg, cg->target.x86 ? "llvm.x86.sse.ldmxcsr" : "llvm.aarch64.set.fpcr", NULL, 0, &saved,
            1);
}

static V emit_entry(Cg *cg, const Fn *fn) {
    cg->once = cg->o.part == CgFirst && fn->name == cg->p->init;
    V f = cg_begin_function(cg, fn, true), saved = save_float_state(cg);
    cg_entry_kernels(cg, fn, f);
    restore_float_state(cg, saved);
    cg->once = false;
    LLVMBuildRetVoid(cg->b);
    return f;
}

/* An entry that jit.c compiles when it is called. */
static V emit_stub(Cg *cg, const Fn *fn) {
    V f = cg_begin_function(cg, fn, true);
    V data = LLVMGetNamedGlobal(cg->m, CgLaterData);
    V find = LLVMGetNamedFunction(cg->m, CgLaterCall);
    T takes[] = {cg->ptr, cg->ptr}, type = LLVMFunctionType(cg->ptr, takes, 2, false);
    if (!data) data = LLVMAddGlobal(cg->m, cg->i8, CgLaterData);
    if (!find) find = LLVMAddFunction(cg->m, CgLaterCall, type);
    V name = LLVMBuildGlobalStringPtr(cg->b, LLVMGetValueName(f), "name");
    V entry = LLVMBuildCall2(cg->b, type, find, (V[]){data, name}, 2, "");
    V args[] = {LLVMGetParam(f, 0), LLVMGetParam(f, 1), LLVMGetParam(f, 2)};
    LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(f), entry, args, 3, "");
    LLVMBuildRetVoid(cg->b);
    return f;
}

static bool is_first(const CgOptions *o, const Fn *fn) {
    for (uint32_t i = 0; i < o->nfirst; i++) {
        if (o->first[i] == fn->name) return true;
    }
    return false;
}

static uint32_t emit_entries(Cg *cg, V *entries) {
    const CgOptions *o = &cg->o;
    uint32_t n = 0;
    for (uint32_t i = 0; i < cg->p->fns.len; i++) {
        const Fn *fn = cg->p->fns.data[i];
        if (!program_is_entry(cg->p, fn)) continue;
        bool first = o->part == CgAll || is_first(o, fn);
        if (first == (o->part != CgLater)) entries[n++] = emit_entry(cg, fn);
        else if (o->part == CgFirst) entries[n++] = emit_stub(cg, fn);
    }
    return n;
}

static void emit_program(Cg *cg, const V *entries, uint32_t n) {
    const char *text = cg_manifest(cg->p);
    size_t len = strlen(text);
    V string = LLVMAddGlobal(cg->m, LLVMArrayType2(cg->i8, len + 1), "bp_manifest");
    LLVMSetInitializer(string, LLVMConstStringInContext2(cg->c, text, len, false));
    V table = LLVMAddGlobal(cg->m, LLVMArrayType2(cg->ptr, n), "bp_entries");
    LLVMSetInitializer(table, LLVMConstArray2(cg->ptr, (V *)entries, n));
    V fields[] = {string, table}, program = LLVMConstStructInContext(cg->c, fields, 2, false);
    V global = LLVMAddGlobal(cg->m, LLVMTypeOf(program), "bp_program");
    LLVMSetInitializer(global, program);
    V all[] = {string, table, global};
    for (size_t i = 0; i < LEN(all); i++) {
        LLVMSetGlobalConstant(all[i], true);
        if (all[i] != global) LLVMSetLinkage(all[i], LLVMPrivateLinkage);
    }
}

/* ---- the module ---- */

static void make_types(Cg *cg) {
    LLVMContextRef c = cg->c;
    cg->i1 = LLVMInt1TypeInContext(c);
    cg->i8 = LLVMInt8TypeInContext(c);
    cg->i16 = LLVMInt16TypeInContext(c);
    cg->i32 = LLVMInt32TypeInContext(c);
    cg->i64 = LLVMInt64TypeInContext(c);
    cg->f32 = LLVMFloatTypeInContext(c);
    cg->f64 = LLVMDoubleTypeInContext(c);
    cg->ptr = LLVMPointerTypeInContext(c, 0);
    cg->void_ = LLVMVoidTypeInContext(c);
}

Cg *cg_open(Program *p, const CgOptions *o) {
    Cg *cg = NEW(p->cx->arena, Cg);
    *cg = (Cg){.p = p, .cx = p->cx, .o = *o, .c = LLVMContextCreate()};
    cg->m = LLVMModuleCreateWithNameInContext(p->name, cg->c);
    cg->b = LLVMCreateBuilderInContext(cg->c);
    make_types(cg);
    if (!target_open(cg)) {
        cg_free(cg);
        return NULL;
    }
    return cg;
}

Cg *cg_build(Program *p, const CgOptions *o) {
    double start = now_seconds();
    Cg *cg = cg_open(p, o);
    if (!cg) return NULL;
    V *entries = NEW_ARRAY(p->cx->arena, V, p->fns.len + 1);
    uint32_t n = emit_entries(cg, entries);
    if (p->cx->errors) {
        cg_free(cg);
        return NULL;
    }
    if (!o->library && o->part != CgLater) emit_program(cg, entries, n);
    char *broken = NULL;
    if (LLVMVerifyModule(cg->m, LLVMReturnStatusAction, &broken))
        BUG(cg->cx, "invalid LLVM IR: %s", broken);
    LLVMDisposeMessage(broken);
    cx_took(p->cx, start, "emit");
    return cg;
}

void cg_free(Cg *cg) {
    LLVMDisposeBuilder(cg->b);
    LLVMDisposeModule(cg->m);
    if (cg->tm) LLVMDisposeTargetMachine(cg->tm);
    LLVMContextDispose(cg->c);
}
