/* The object file linked into this process by ORC: the same bytes as in a trainer. */
#include "codegen/internal.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>

#include <stdlib.h>

struct Jit {
    LLVMOrcLLJITRef jit;
};

static void check(Cx *cx, LLVMErrorRef e) {
    if (e) BUG(cx, "JIT: %s", LLVMGetErrorMessage(e));
}

Jit *jit_new(Cg *cg) {
    if (cg->foreign) {
        diag_error(cg->cx, (Loc){0}, "code for %s does not run here", cg->triple);
        return NULL;
    }
    size_t len;
    char *bytes = cg_emit(cg, CgObject, &len);
    if (!bytes) return NULL;
    Jit *j = NEW(cg->cx->arena, Jit);
    check(cg->cx, LLVMOrcCreateLLJIT(&j->jit, NULL));
    LLVMOrcJITDylibRef main = LLVMOrcLLJITGetMainJITDylib(j->jit);
    LLVMOrcDefinitionGeneratorRef process;
    check(cg->cx, LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
                      &process, LLVMOrcLLJITGetGlobalPrefix(j->jit), NULL, NULL));
    LLVMOrcJITDylibAddGenerator(main, process);
    LLVMMemoryBufferRef object = LLVMCreateMemoryBufferWithMemoryRangeCopy(bytes, len, "bp");
    check(cg->cx, LLVMOrcLLJITAddObjectFile(j->jit, main, object));
    return j;
}

void *jit_symbol(Jit *j, const char *name) {
    LLVMOrcExecutorAddress at = 0;
    LLVMErrorRef e = LLVMOrcLLJITLookup(j->jit, &at, name);
    if (e) LLVMConsumeError(e);
    return e ? NULL : (void *)(uintptr_t)at;
}

void jit_free(Jit *j) {
    LLVMErrorRef e = LLVMOrcDisposeLLJIT(j->jit);
    if (e) LLVMConsumeError(e);
}
