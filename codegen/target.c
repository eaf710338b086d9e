/* The target machine: host or named CPU, what its registers are, the pass pipeline per level. */
#include "codegen/internal.h"

#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

static const Loc nowhere = {0};

static bool has(const char *features, const char *name) {
    size_t n = strlen(name);
    for (const char *f = features; f && *f; f = strchr(f, ','), f += f ? 1 : 0) {
        if (f[0] == '+' && !strncmp(f + 1, name, n) && (f[1 + n] == ',' || !f[1 + n])) return true;
    }
    return false;
}

/* Named CPUs have features that no string lists. */
static const struct {
    const char *cpu;
    unsigned bytes; /* of a vector register */
} x86_cpus[] = {
    {"x86-64-v3", 32},      {"x86-64-v4", 64},        {"haswell", 32},
    {"broadwell", 32},      {"core-avx2", 32},        {"skylake", 32},
    {"alderlake", 32},      {"raptorlake", 32},       {"meteorlake", 32},
    {"arrowlake", 32},      {"arrowlake-s", 32},      {"lunarlake", 32},
    {"pantherlake", 32},    {"gracemont", 32},        {"sierraforest", 32},
    {"grandridge", 32},     {"clearwaterforest", 32}, {"bdver4", 32},
    {"znver1", 32},         {"znver2", 32},           {"znver3", 32},
    {"znver4", 64},         {"znver5", 64},           {"skylake-avx512", 64},
    {"cascadelake", 64},    {"cooperlake", 64},       {"cannonlake", 64},
    {"icelake-client", 64}, {"icelake-server", 64},   {"tigerlake", 64},
    {"rocketlake", 64},     {"sapphirerapids", 64},   {"emeraldrapids", 64},
    {"graniterapids", 64},  {"graniterapids-d", 64},
};

static unsigned named_cpu(const char *cpu) {
    for (size_t i = 0; i < LEN(x86_cpus); i++) {
        if (!strcmp(x86_cpus[i].cpu, cpu)) return x86_cpus[i].bytes;
    }
    return 0;
}

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

static unsigned listed_features(const char *features) {
    if (has(features, "avx512f") && has(features, "avx512vl")) return 64;
    return has(features, "avx2") && has(features, "fma") ? 32 : 0;
}

static bool registers(Cg *cg, bool x86) {
    bool listed = cg->features[0];
    unsigned named = named_cpu(cg->cpu);
    unsigned bytes = !x86 ? 16 : listed ? listed_features(cg->features) : named;
    cg->target = (Target){bytes, bytes == 32 ? 16 : 32, x86};
    if (!bytes)
        diag_error(cg->cx, nowhere, "-march=%s: needs FMA (x86-64-v3 or above)", cg->cpu);
    else if (!x86 && named)
        diag_error(cg->cx, nowhere, "-march=%s is no processor of the target", cg->cpu);
    return bytes && (x86 || !named);
}

/* The architecture before the first '-' of a triple. */
static bool is_arch(const char *triple, const char *arch) {
    size_t n = strlen(arch);
    return !strncmp(triple, arch, n) && (triple[n] == '-' || !triple[n]);
}

static bool choose_cpu(Cg *cg, const char *triple) {
    Arena *a = cg->cx->arena;
    bool x86 = is_arch(triple, "x86_64"), arm = is_arch(triple, "aarch64");
    if (!x86 && !arm) {
        diag_error(cg->cx, nowhere, "--target=%s is not supported: x86_64 and aarch64 are", triple);
        return false;
    }
    char *host = LLVMGetDefaultTargetTriple();
    char *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
    bool native = !cg->o.cpu || !strcmp(cg->o.cpu, "native");
    cg->foreign = !is_arch(host, x86 ? "x86_64" : "aarch64");
    const char *common = x86 ? "x86-64-v3" : "generic";
    cg->cpu = arena_printf(a, "%s", !native ? cg->o.cpu : cg->foreign ? common : cpu);
    cg->features = arena_printf(a, "%s", native && !cg->foreign ? features : "");
    cg->triple = arena_printf(a, "%s", triple);
    LLVMDisposeMessage(host);
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    return registers(cg, x86);
}

void target_machine(Cg *cg) {
    /* This code is vectorised already: from level Less on, LLVM 19 makes code of the same size and
     * speed for x86-64, the default level in a tenth more time. */
    static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                                 LLVMCodeGenLevelLess, LLVMCodeGenLevelAggressive};
    LLVMTargetRef target;
    char *error = NULL;
    if (LLVMGetTargetFromTriple(cg->triple, &target, &error)) BUG(cg->cx, "LLVM: %s", error);
    cg->tm = LLVMCreateTargetMachine(target, cg->triple, cg->cpu, cg->features, levels[cg->o.level],
                                     LLVMRelocPIC, LLVMCodeModelDefault);
    LLVMSetTarget(cg->m, cg->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(cg->tm);
    LLVMSetModuleDataLayout(cg->m, layout);
    LLVMDisposeTargetData(layout);
}

bool target_open(Cg *cg) {
    initialise();
    char *host = LLVMGetDefaultTargetTriple(), *error = NULL;
    const char *triple = cg->o.triple ? cg->o.triple : host;
    LLVMTargetRef target;
    bool ok = !LLVMGetTargetFromTriple(triple, &target, &error);
    if (!ok) diag_error(cg->cx, nowhere, "--target=%s: %s", triple, error);
    if (error) LLVMDisposeMessage(error);
    ok = ok && choose_cpu(cg, triple);
    if (ok) target_machine(cg);
    LLVMDisposeMessage(host);
    return ok;
}

static void set_attribute(Cg *cg, V fn, const char *key, const char *value) {
    LLVMAttributeRef a = LLVMCreateStringAttribute(cg->c, key, (unsigned)strlen(key), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, a);
}

static void set_flag(Cg *cg, V fn, const char *name) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(cg->c, kind, 0));
}

void target_attributes(Cg *cg, V fn) {
    set_attribute(cg, fn, "target-cpu", cg->cpu);
    if (cg->features[0]) set_attribute(cg, fn, "target-features", cg->features);
    if (cg->target.vector_bytes == 64) set_attribute(cg, fn, "prefer-vector-width", "512");
    set_flag(cg, fn, "nounwind");
    if (!cg->once) return;
    set_flag(cg, fn, "noinline");
    set_flag(cg, fn, "optnone");
}

bool target_is_host(const Cg *cg) {
    char *cpu = LLVMGetHostCPUName();
    bool same = !cg->foreign && !strcmp(cpu, cg->cpu);
    LLVMDisposeMessage(cpu);
    return same;
}

#define CLEAN "instcombine<no-verify-fixpoint>,simplifycfg"
static const char *const pipelines[] = {
    "",
    "function(early-cse,simplifycfg)",
    "function(sroa,early-cse," CLEAN ")",
    "function(sroa,early-cse," CLEAN ",loop-mssa(licm),gvn,dse," CLEAN ")",
};

Sym target_text(const Cg *cg) {
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    return sym_fmt(cg->cx, "%s, LLVM %u.%u.%u, -O%d %s, %s %s %s", BPC_VERSION, major, minor, patch,
                   cg->o.level, pipelines[cg->o.level], cg->triple, cg->cpu, cg->features);
}

void target_optimise(Cg *cg) {
    if (cg->optimised || !pipelines[cg->o.level][0]) return;
    cg->optimised = true;
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef e = LLVMRunPasses(cg->m, pipelines[cg->o.level], cg->tm, options);
    LLVMDisposePassBuilderOptions(options);
    if (e) BUG(cg->cx, "LLVM passes: %s", LLVMGetErrorMessage(e));
}

LLVMMemoryBufferRef target_emit(Cg *cg, LLVMCodeGenFileType kind) {
    char *error = NULL;
    LLVMMemoryBufferRef out;
    if (LLVMTargetMachineEmitToMemoryBuffer(cg->tm, cg->m, kind, &error, &out))
        BUG(cg->cx, "LLVM cannot emit the module: %s", error);
    return out;
}
