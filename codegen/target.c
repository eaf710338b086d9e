/* The target machine: host or named CPU, what its registers are, the pass pipeline per level. */
#include "codegen/internal.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

static bool has(const char *features, const char *name) {
    size_t n = strlen(name);
    for (const char *f = features; f && *f; f = strchr(f, ','), f += f ? 1 : 0) {
        if (f[0] == '+' && !strncmp(f + 1, name, n) && (f[1 + n] == ',' || !f[1 + n])) return true;
    }
    return false;
}

/* x86-64-v3 and the CPUs that LLVM knows by name imply features that the string does not list. */
typedef struct Known {
    const char *cpu;
    unsigned bytes;
} Known;
static const Known x86_cpus[] = {
    {"x86-64-v3", 32}, {"x86-64-v4", 64}, {"haswell", 32},  {"broadwell", 32}, {"skylake", 32},
    {"znver1", 32},    {"znver2", 32},    {"znver3", 32},   {"znver4", 64},    {"znver5", 64},
    {"alderlake", 32}, {"raptorlake", 32}, {"skylake-avx512", 64}, {"cascadelake", 64},
    {"cooperlake", 64}, {"icelake-client", 64}, {"icelake-server", 64}, {"sapphirerapids", 64},
    {"graniterapids", 64},
};

static void initialise(void) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
}

static bool x86_registers(Cg *cg) {
    unsigned bytes = has(cg->features, "avx512f") && has(cg->features, "avx512vl") ? 64
                     : has(cg->features, "avx2") && has(cg->features, "fma")      ? 32
                                                                                   : 0;
    for (size_t i = 0; i < LEN(x86_cpus) && !cg->features[0]; i++) {
        if (!strcmp(x86_cpus[i].cpu, cg->cpu)) bytes = x86_cpus[i].bytes;
    }
    cg->target = (Target){.vector_bytes = bytes, .registers = bytes == 64 ? 32 : 16, .x86 = true};
    if (bytes) return true;
    diag_error(cg->cx, (Loc){0}, "-march=%s: needs FMA (x86-64-v3 or above)", cg->cpu);
    return false;
}

bool target_open(Cg *cg) {
    initialise();
    Arena *a = cg->cx->arena;
    bool native = !cg->o.cpu || !strcmp(cg->o.cpu, "native");
    char *host = LLVMGetDefaultTargetTriple(), *error = NULL;
    const char *triple = cg->o.triple ? cg->o.triple : host;
    LLVMTargetRef target;
    bool ok = !LLVMGetTargetFromTriple(triple, &target, &error);
    if (!ok) diag_error(cg->cx, (Loc){0}, "--target=%s: %s", triple, error);
    if (error) LLVMDisposeMessage(error);
    bool x86 = !strncmp(triple, "x86_64", 6), arm = !strncmp(triple, "aarch64", 7);
    if (ok && !x86 && !arm) {
        diag_error(cg->cx, (Loc){0}, "--target=%s is not supported: x86_64 and aarch64 are", triple);
        ok = false;
    }
    if (ok) {
        char *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
        bool same = !strncmp(triple, host, 6);
        cg->cpu = arena_printf(a, "%s", native ? same ? cpu : x86 ? "x86-64-v3" : "generic" : cg->o.cpu);
        cg->features = arena_printf(a, "%s", native && same ? features : "");
        LLVMDisposeMessage(cpu);
        LLVMDisposeMessage(features);
        if (x86) ok = x86_registers(cg);
        else cg->target = (Target){.vector_bytes = 16, .registers = 32};
    }
    if (ok) {
        static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                                     LLVMCodeGenLevelDefault, LLVMCodeGenLevelAggressive};
        cg->tm = LLVMCreateTargetMachine(target, triple, cg->cpu, cg->features, levels[cg->o.level],
                                         LLVMRelocPIC, LLVMCodeModelDefault);
        LLVMSetTarget(cg->m, triple);
        LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(cg->tm);
        LLVMSetModuleDataLayout(cg->m, layout);
        LLVMDisposeTargetData(layout);
    }
    LLVMDisposeMessage(host);
    return ok;
}

static void set_attribute(Cg *cg, V fn, const char *key, const char *value) {
    LLVMAttributeRef a = LLVMCreateStringAttribute(cg->c, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, a);
}

void target_attributes(Cg *cg, V fn) {
    set_attribute(cg, fn, "target-cpu", cg->cpu);
    if (cg->features[0]) set_attribute(cg, fn, "target-features", cg->features);
    if (cg->target.vector_bytes == 64) set_attribute(cg, fn, "prefer-vector-width", "512");
    unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(cg->c, kind, 0));
}

void target_optimise(Cg *cg) {
    static const char *const pipelines[] = {
        NULL,
        "function(early-cse,simplifycfg)",
        "function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg)",
        "function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),gvn,dse,"
        "instcombine<no-verify-fixpoint>,simplifycfg)",
    };
    char *broken = NULL;
    if (LLVMVerifyModule(cg->m, LLVMReturnStatusAction, &broken)) BUG(cg->cx, "invalid LLVM IR: %s", broken);
    LLVMDisposeMessage(broken);
    if (cg->optimised || !pipelines[cg->o.level]) return;
    cg->optimised = true;
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef e = LLVMRunPasses(cg->m, pipelines[cg->o.level], cg->tm, options);
    LLVMDisposePassBuilderOptions(options);
    if (e) BUG(cg->cx, "LLVM passes: %s", LLVMGetErrorMessage(e));
}
