/* Objects linked into this process by ORC: the same code as in a trainer. Entries that are not
 * needed at once are compiled together when one of them is first called: until then a stub stands
 * in the table, which asks bp_later for the address. */
#include "codegen/internal.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>

#include <pthread.h>

struct Jit {
    LLVMOrcLLJITRef first, later; /* later: NULL until an entry there is called */
    Program *p;
    CgOptions o;
    pthread_mutex_t lock; /* of later */
};

static void check(Cx *cx, LLVMErrorRef e) {
    if (e) BUG(cx, "JIT: %s", LLVMGetErrorMessage(e));
}

static LLVMOrcLLJITRef link_objects(Cg *cg) {
    LLVMMemoryBufferRef objects[MaxUnits];
    uint32_t n = units_compile(cg, objects);
    LLVMOrcLLJITRef jit;
    check(cg->cx, LLVMOrcCreateLLJIT(&jit, NULL));
    LLVMOrcJITDylibRef main = LLVMOrcLLJITGetMainJITDylib(jit);
    LLVMOrcDefinitionGeneratorRef process;
    check(cg->cx, LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
                      &process, LLVMOrcLLJITGetGlobalPrefix(jit), NULL, NULL));
    LLVMOrcJITDylibAddGenerator(main, process);
    for (uint32_t i = 0; i < n; i++)
        check(cg->cx, LLVMOrcLLJITAddObjectFile(jit, main, objects[i]));
    return jit;
}

static void *address(LLVMOrcLLJITRef jit, const char *name) {
    LLVMOrcExecutorAddress at = 0;
    LLVMErrorRef e = LLVMOrcLLJITLookup(jit, &at, name);
    if (e) LLVMConsumeError(e);
    return e ? NULL : (void *)(uintptr_t)at;
}

static void *later_entry(Jit *j, const char *name) {
    pthread_mutex_lock(&j->lock);
    if (!j->later) {
        CgOptions o = j->o;
        o.part = CgLater;
        Cg *cg = cg_build(j->p, &o);
        if (!cg) BUG(j->p->cx, "JIT: later entries cannot be compiled");
        j->later = link_objects(cg);
        cg_free(cg);
    }
    void *found = address(j->later, name);
    pthread_mutex_unlock(&j->lock);
    if (!found) BUG(j->p->cx, "JIT: entry %s is missing", name);
    return found;
}

static void define_later(Jit *j) {
    const struct {
        const char *name;
        uintptr_t at;
    } names[] = {{CgLaterCall, (uintptr_t)later_entry}, {CgLaterData, (uintptr_t)j}};
    const LLVMJITSymbolFlags flags = {
        LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable, 0};
    LLVMOrcCSymbolMapPair pairs[LEN(names)];
    for (size_t i = 0; i < LEN(names); i++) {
        pairs[i] = (LLVMOrcCSymbolMapPair){
            LLVMOrcLLJITMangleAndIntern(j->first, names[i].name),
            {names[i].at, flags}};
    }
    check(j->p->cx, LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(j->first),
                                          LLVMOrcAbsoluteSymbols(pairs, LEN(pairs))));
}

Jit *jit_new(Cg *cg) {
    if (cg->foreign) {
        diag_error(cg->cx, (Loc){0}, "code for %s does not run here", cg->triple);
        return NULL;
    }
    Jit *j = NEW(cg->cx->arena, Jit);
    *j = (Jit){.first = link_objects(cg), .p = cg->p, .o = cg->o};
    pthread_mutex_init(&j->lock, NULL);
    if (cg->o.part == CgFirst) define_later(j);
    return j;
}

void *jit_symbol(Jit *j, const char *name) { return address(j->first, name); }

void jit_free(Jit *j) {
    LLVMOrcLLJITRef jits[] = {j->first, j->later};
    for (size_t i = 0; i < LEN(jits); i++) {
        LLVMErrorRef e = jits[i] ? LLVMOrcDisposeLLJIT(jits[i]) : NULL;
        if (e) LLVMConsumeError(e);
    }
    pthread_mutex_destroy(&j->lock);
}
