/* The module as a file: object, assembly or LLVM IR. */
#include "codegen/internal.h"

char *cg_emit(Cg *cg, CgFile kind, size_t *len) {
    Arena *a = cg->cx->arena;
    if (kind == CgLlvm) {
        char *text = LLVMPrintModuleToString(cg->m);
        *len = strlen(text);
        char *copy = arena_strndup(a, text, *len);
        LLVMDisposeMessage(text);
        return copy;
    }
    char *error = NULL;
    LLVMMemoryBufferRef out;
    LLVMModuleRef m = LLVMCloneModule(cg->m); /* emission changes the module */
    bool failed = LLVMTargetMachineEmitToMemoryBuffer(
        cg->tm, m, kind == CgObject ? LLVMObjectFile : LLVMAssemblyFile, &error, &out);
    LLVMDisposeModule(m);
    if (failed) BUG(cg->cx, "LLVM cannot emit the module: %s", error);
    *len = LLVMGetBufferSize(out);
    char *bytes = arena_strndup(a, LLVMGetBufferStart(out), *len);
    LLVMDisposeMemoryBuffer(out);
    return bytes;
}
