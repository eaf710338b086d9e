/* A program as one LLVM module: a function per kernel, a function per entry that calls them in
 * order, and the table of entries for the runtime. */
#include "codegen/internal.h"

#include <llvm-c/Analysis.h>

/* ---- constants ---- */

static V number_constant(Cg *cg, DType dt, Num n) {
    T t = cg_mem_type(cg, dt);
    switch (dt) {
    case F32:
    case F64:
        return LLVMConstReal(t, n.f);
    case BF16: {
        float f = (float)n.f;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        return cg_int(t, (int64_t)(bits >> 16));
    }
    case I32:
    case I64:
    case BOOL:
    case DTypeCount:
        break;
    }
    return cg_int(t, n.i);
}

/* A constant list as private data. */
static V constant_data(Cg *cg, const Ins *ins) {
    uint64_t n = (uint64_t)ins->type.shape->size;
    V *nums = NEW_ARRAY(cg->cx->scratch, V, n);
    for (uint64_t i = 0; i < n; i++) {
        nums[i] = number_constant(cg, ins->type.dt, ins->data[ins->ndata == 1 ? 0 : i]);
    }
    T t = cg_mem_type(cg, ins->type.dt);
    V data = LLVMConstArray2(t, nums, n);
    V global = LLVMAddGlobal(cg->m, LLVMTypeOf(data), "const");
    LLVMSetInitializer(global, data);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(global, true);
    LLVMSetAlignment(global, 64);
    return global;
}

V cg_new_function(Cg *cg, const char *name, T *params, unsigned n, bool external) {
    V f = LLVMAddFunction(cg->m, name, LLVMFunctionType(cg->void_, params, n, false));
    if (!external) LLVMSetLinkage(f, LLVMInternalLinkage);
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

static V pointer_at(Cg *cg, V table, int64_t i) {
    V at = cg_i64(cg, i);
    return LLVMBuildInBoundsGEP2(cg->b, cg->ptr, table, &at, 1, "");
}

/* The address of a value's buffer in an entry, or NULL where it has none. */
static V buffer_address(Cg *cg, const Fn *fn, Val v, V args, V arena) {
    const Buf *buf = &fn->plan->bufs[v];
    V at = cg_i64(cg, (int64_t)buf->offset);
    switch (buf->kind) {
    case BufNone:
        return NULL;
    case BufArg:
        return LLVMBuildLoad2(cg->b, cg->ptr, pointer_at(cg, args, buf->index), "");
    case BufResult:
        return LLVMBuildLoad2(cg->b, cg->ptr,
                              pointer_at(cg, args, (int64_t)fn->nparams + buf->index), "");
    case BufArena:
        return LLVMBuildInBoundsGEP2(cg->b, cg->i8, arena, &at, 1, "");
    case BufConst:
        break;
    }
    return constant_data(cg, &fn->ins.data[memory_of(fn, v)]);
}

static void call_serial(Cg *cg, V kernel, V table, uint32_t chunks) {
    T params[] = {cg->ptr, cg->i64}, type = LLVMFunctionType(cg->void_, params, 2, false);
    Loop l;
    V chunk = cg_i64(cg, 0);
    if (chunks > 1) chunk = loop_open(cg, &l, chunk, cg_i64(cg, chunks), 1, NULL, 0);
    LLVMBuildCall2(cg->b, type, kernel, (V[]){table, chunk}, 2, "");
    if (chunks > 1) loop_close(cg, &l, NULL);
}

/* env->parallel(env, kernel, table, chunks), or a plain loop without an env. */
static void call_kernel(Cg *cg, V kernel, V table, V env, uint32_t chunks) {
    if (chunks == 1 || cg->o.library) {
        call_serial(cg, kernel, table, chunks);
        return;
    }
    Bb serial = cg_block(cg, "serial"), parallel = cg_block(cg, "parallel"),
       done = cg_block(cg, "next");
    LLVMBuildCondBr(cg->b, LLVMBuildIsNull(cg->b, env, ""), serial, parallel);
    cg_at(cg, parallel);
    T params[] = {cg->ptr, cg->ptr, cg->ptr, cg->i64};
    V run = LLVMBuildLoad2(cg->b, cg->ptr, env, "");
    LLVMBuildCall2(cg->b, LLVMFunctionType(cg->void_, params, 4, false), run,
                   (V[]){env, kernel, table, cg_i64(cg, chunks)}, 4, "");
    LLVMBuildBr(cg->b, done);
    cg_at(cg, serial);
    call_serial(cg, kernel, table, chunks);
    LLVMBuildBr(cg->b, done);
    cg_at(cg, done);
}

/* The pointers that kernel k takes: what it reads, then what it stores. */
static V kernel_table(Cg *cg, V frame, const Kernel *k) {
    uint32_t n = k->inputs.len, all = n + k->outputs.len;
    V table = cg_table(cg, all);
    for (uint32_t i = 0; i < all; i++) {
        Val v = i < n ? k->inputs.data[i] : k->outputs.data[i - n];
        V address = LLVMBuildLoad2(cg->b, cg->ptr, pointer_at(cg, frame, v), "");
        LLVMBuildStore(cg->b, address, pointer_at(cg, table, i));
    }
    return table;
}

/* What k computes again has another place from now on. */
static void move_values(Cg *cg, const Fn *fn, const Kernel *k, V frame, V arena) {
    for (uint32_t j = 0; j < k->outputs.len; j++) {
        V offset = cg_i64(cg, (int64_t)k->places[j].offset);
        V address = LLVMBuildInBoundsGEP2(cg->b, cg->i8, arena, &offset, 1, "");
        for (Val v = 0; v < fn->ins.len; v++) {
            if (memory_of(fn, v) != k->outputs.data[j]) continue;
            LLVMBuildStore(cg->b, address, pointer_at(cg, frame, v));
        }
    }
}

/* Signalling NaN over memory that nothing is to read any more. */
static void poison(Cg *cg, const Fn *fn, const Kernel *k, V arena) {
    for (uint32_t j = 0; j < k->freed.len; j++) {
        const Freed *f = &k->freed.data[j];
        bool wide = fn->ins.data[f->v].type.dt == F64;
        V offset = cg_i64(cg, (int64_t)f->offset), from = cg_i64(cg, 0);
        V base = LLVMBuildInBoundsGEP2(cg->b, cg->i8, arena, &offset, 1, "");
        Loop l;
        V i = loop_open(cg, &l, from, cg_i64(cg, (int64_t)(f->bytes / (wide ? 8 : 4))), 1, NULL, 0);
        T type = wide ? cg->i64 : cg->i32;
        V at = LLVMBuildInBoundsGEP2(cg->b, type, base, &i, 1, "");
        LLVMBuildStore(cg->b, cg_int(type, wide ? 0x7FF4000000000000 : 0x7FA07FA0), at);
        loop_close(cg, &l, NULL);
    }
}

/* The body of a function: its frame, which has the address of every value in memory, then its
 * kernels in order. */
static void emit_kernels(Cg *cg, const Fn *fn, V f) {
    V args = LLVMGetParam(f, 0), arena = LLVMGetParam(f, 1), env = LLVMGetParam(f, 2);
    V frame = cg_table(cg, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) {
        V address = buffer_address(cg, fn, v, args, arena);
        if (address) LLVMBuildStore(cg->b, address, pointer_at(cg, frame, v));
    }
    for (uint32_t i = 0; i < fn->kernels.len; i++) {
        const Kernel *k = fn->kernels.data[i];
        uint32_t chunks;
        if (k->again) move_values(cg, fn, k, frame, arena);
        if (k->kind == KernRegion) {
            cg_region(cg, fn, k, frame, arena, env);
        } else {
            V kernel = cg_kernel(cg, fn, k, &chunks);
            call_kernel(cg, kernel, kernel_table(cg, frame, k), env, chunks);
        }
        if (cg->o.poison) poison(cg, fn, k, arena);
    }
}

static V begin_function(Cg *cg, const Fn *fn, bool external) {
    T params[] = {cg->ptr, cg->ptr, cg->ptr};
    const char *name = arena_printf(cg->cx->scratch, "bp_%s", fn->name);
    V f = cg->fn = cg_new_function(cg, name, params, 3, external);
    cg_at(cg, cg_block(cg, "entry"));
    return f;
}

static V emit_entry(Cg *cg, const Fn *fn) {
    V f = begin_function(cg, fn, true), saved = save_float_state(cg);
    emit_kernels(cg, fn, f);
    restore_float_state(cg, saved);
    LLVMBuildRetVoid(cg->b);
    return f;
}

/* An entry that jit.c compiles when it is called. */
static V emit_stub(Cg *cg, const Fn *fn) {
    V f = begin_function(cg, fn, true);
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

void cg_call_function(Cg *cg, const Fn *fn, V args, V arena, V env) {
    uint32_t n = 0;
    while (n < cg->functions.len && cg->functions.data[n].fn != fn) n++;
    if (n == cg->functions.len) {
        V outer = cg->fn;
        Bb resume = LLVMGetInsertBlock(cg->b);
        struct Emitted made = {fn, begin_function(cg, fn, false)};
        emit_kernels(cg, fn, made.value);
        LLVMBuildRetVoid(cg->b);
        cg->fn = outer;
        cg_at(cg, resume);
        n = cg->functions.len;
        vec_push(cg->cx->arena, &cg->functions, made);
    }
    T params[] = {cg->ptr, cg->ptr, cg->ptr};
    LLVMBuildCall2(cg->b, LLVMFunctionType(cg->void_, params, 3, false),
                   cg->functions.data[n].value, (V[]){args, arena, env}, 3, "");
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
