/* The module as a file: object, assembly or LLVM IR. */
#include "codegen/internal.h"

/* Object or assembly; the caller's. */
static LLVMMemoryBufferRef buffer(Cg *cg, CgFile kind) {
    double start = now_seconds();
    target_optimise(cg);
    cx_took(cg->cx, start, "optimise");
    start = now_seconds();
    Cg copy = *cg; /* emission changes the module */
    copy.m = LLVMCloneModule(cg->m);
    LLVMMemoryBufferRef out =
        target_emit(&copy, kind == CgObject ? LLVMObjectFile : LLVMAssemblyFile);
    LLVMDisposeModule(copy.m);
    cx_took(cg->cx, start, kind == CgObject ? "object" : "assembly");
    return out;
}

char *cg_emit(Cg *cg, CgFile kind, size_t *len) {
    Arena *a = cg->cx->arena;
    if (kind == CgLlvm) {
        target_optimise(cg);
        char *text = LLVMPrintModuleToString(cg->m);
        *len = strlen(text);
        char *copy = arena_strndup(a, text, *len);
        LLVMDisposeMessage(text);
        return copy;
    }
    LLVMMemoryBufferRef out = buffer(cg, kind);
    *len = LLVMGetBufferSize(out);
    char *bytes = arena_strndup(a, LLVMGetBufferStart(out), *len);
    LLVMDisposeMemoryBuffer(out);
    return bytes;
}
