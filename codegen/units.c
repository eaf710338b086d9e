/* A module cut into units that threads compile side by side, each in a context of its own. What
 * was compiled before comes from the cache. Functions are compiled one by one, so that no bit of
 * their code depends on the cut. */
#include "codegen/internal.h"

#include <llvm-c/BitReader.h>
#include <llvm-c/BitWriter.h>

#include <pthread.h>
#include <stdlib.h>

enum {
    UnitCost = 3000, /* of instructions: worth a thread */
    VectorCost = 3,  /* of one that computes, beside 1 of the others */
};

typedef struct Part {
    V fn;
    int64_t cost;
    uint32_t place, unit;
} Part;

typedef struct Unit {
    Cg cg; /* of its own: c, m, tm */
    const Part *parts;
    uint32_t nparts, number;
    LLVMMemoryBufferRef bitcode; /* of the whole module, for all units */
    LLVMMemoryBufferRef object;
    Sym key; /* of the cache */
    int64_t cost;
} Unit;

static bool computes(V i) {
    LLVMTypeKind kind = LLVMGetTypeKind(LLVMTypeOf(i));
    return kind == LLVMVectorTypeKind || kind == LLVMFloatTypeKind || kind == LLVMDoubleTypeKind;
}

static int64_t cost_of(V fn) {
    int64_t n = 0;
    for (Bb bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb)) {
        for (V i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
            n += computes(i) ? VectorCost : 1;
    }
    return n;
}

static int dearest_first(const void *a, const void *b) {
    const Part *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? 1 : -1;
    return x->place < y->place ? -1 : 1;
}

static void share_out(Part *parts, uint32_t nparts, Unit *units, uint32_t n) {
    qsort(parts, nparts, sizeof *parts, dearest_first);
    for (uint32_t i = 0; i < nparts; i++) {
        uint32_t least = 0;
        for (uint32_t u = 1; u < n; u++) {
            if (units[u].cost < units[least].cost) least = u;
        }
        parts[i].unit = least;
        units[least].cost += parts[i].cost;
    }
}

/* Leaves of the module what belongs to one unit; the rest becomes declarations. */
static void keep_unit(LLVMModuleRef m, const Part *parts, uint32_t nparts, uint32_t unit) {
    for (uint32_t i = 0; i < nparts; i++) {
        if (parts[i].unit == unit) continue;
        const char *name = LLVMGetValueName(parts[i].fn);
        V fn = LLVMGetNamedFunction(m, name);
        V declared = LLVMAddFunction(m, "", LLVMGlobalGetValueType(fn));
        LLVMReplaceAllUsesWith(fn, declared);
        LLVMDeleteFunction(fn);
        LLVMSetValueName2(declared, name, strlen(name));
    }
    for (V g = LLVMGetFirstGlobal(m), next; g; g = next) {
        next = LLVMGetNextGlobal(g);
        bool theirs = unit && LLVMGetLinkage(g) != LLVMPrivateLinkage && !LLVMIsDeclaration(g);
        if (theirs || (LLVMGetLinkage(g) == LLVMPrivateLinkage && !LLVMGetFirstUse(g)))
            LLVMDeleteGlobal(g);
    }
}

static void *compile_unit(void *data) {
    Unit *u = data;
    Cg *cg = &u->cg;
    cg->c = LLVMContextCreate();
    if (LLVMParseBitcodeInContext2(cg->c, u->bitcode, &cg->m))
        BUG(cg->cx, "LLVM cannot read its own bitcode");
    keep_unit(cg->m, u->parts, u->nparts, u->number);
    target_machine(cg);
    target_optimise(cg);
    u->object = target_emit(cg, LLVMObjectFile);
    LLVMDisposeTargetMachine(cg->tm);
    LLVMDisposeModule(cg->m);
    LLVMContextDispose(cg->c);
    return NULL;
}

static void compile_units(Unit *units, uint32_t n) {
    pthread_t threads[MaxUnits];
    bool started[MaxUnits] = {0};
    for (uint32_t u = 1; u < n; u++) {
        if (!units[u].object)
            started[u] = !pthread_create(&threads[u], NULL, compile_unit, &units[u]);
    }
    for (uint32_t u = 0; u < n; u++) {
        if (started[u]) pthread_join(threads[u], NULL);
        else if (!units[u].object) compile_unit(&units[u]);
    }
}

/* Every function that has code. Units see each other's. */
static Part *functions_of(Cg *cg, uint32_t *n, int64_t *cost) {
    VEC(Part) parts = {0};
    *cost = 0;
    for (V f = LLVMGetFirstFunction(cg->m); f; f = LLVMGetNextFunction(f)) {
        if (LLVMIsDeclaration(f)) continue;
        Part p = {f, cost_of(f), parts.len, 0};
        *cost += p.cost;
        vec_push(cg->cx->scratch, &parts, p);
        if (LLVMGetLinkage(f) != LLVMInternalLinkage) continue;
        LLVMSetLinkage(f, LLVMExternalLinkage);
        LLVMSetVisibility(f, LLVMHiddenVisibility);
    }
    *n = parts.len;
    return parts.data;
}

/* The names of a unit's functions. */
static const char *contents(Cg *cg, const Unit *u) {
    Text t = {0};
    for (uint32_t i = 0; i < u->nparts; i++)
        if (u->parts[i].unit == u->number) text_add(&t, "%s\n", LLVMGetValueName(u->parts[i].fn));
    const char *names = arena_strndup(cg->cx->scratch, t.data ? t.data : "", t.len);
    free(t.data);
    return names;
}

static void compile_fresh(Cg *cg, Unit *units, uint32_t n) {
    LLVMMemoryBufferRef code = units[0].bitcode;
    Sym digest = NULL;
    bool fresh[MaxUnits];
    if (cg->o.cache) digest = sym_digest(cg->cx, LLVMGetBufferStart(code), LLVMGetBufferSize(code));
    for (uint32_t u = 0; u < n; u++) {
        if (digest) units[u].key = cache_key(cg, digest, contents(cg, &units[u]));
        units[u].object = units[u].key ? cache_get(units[u].key) : NULL;
        fresh[u] = !units[u].object;
    }
    compile_units(units, n);
    for (uint32_t u = 0; u < n; u++)
        if (fresh[u] && units[u].key) cache_put(cg->cx->scratch, units[u].key, units[u].object);
}

uint32_t units_compile(Cg *cg, LLVMMemoryBufferRef *objects) {
    double start = now_seconds();
    uint32_t nparts;
    int64_t cost;
    Part *parts = functions_of(cg, &nparts, &cost);
    int64_t n = cost / UnitCost + 1;
    if (n > cg->o.threads) n = cg->o.threads;
    if (n > MaxUnits) n = MaxUnits;
    if (n <= 1 && !cg->o.cache) {
        target_optimise(cg);
        objects[0] = target_emit(cg, LLVMObjectFile);
        cx_took(cg->cx, start, "compile");
        return 1;
    }
    if (n < 1) n = 1;
    LLVMMemoryBufferRef bitcode = LLVMWriteBitcodeToMemoryBuffer(cg->m);
    Unit units[MaxUnits];
    for (uint32_t u = 0; u < n; u++) {
        units[u] =
            (Unit){.cg = *cg, .parts = parts, .nparts = nparts, .number = u, .bitcode = bitcode};
    }
    share_out(parts, nparts, units, (uint32_t)n);
    compile_fresh(cg, units, (uint32_t)n);
    LLVMDisposeMemoryBuffer(bitcode);
    for (int64_t u = 0; u < n; u++) objects[u] = units[u].object;
    cx_took(cg->cx, start, "compile");
    return (uint32_t)n;
}
