/* LLVM in short: types, constants, loads and stores by dtype, loops. */
#include "codegen/internal.h"

#include <llvm-c/DebugInfo.h>

V cg_i64(Cg *cg, int64_t n) { return LLVMConstInt(cg->i64, (unsigned long long)n, true); }
V cg_int(T t, int64_t n) { return LLVMConstInt(t, (unsigned long long)n, true); }

V cg_call(Cg *cg, const char *name, const T *overload, unsigned nover, const V *args, unsigned n) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id) BUG(cg->cx, "no LLVM intrinsic %s", name);
    V f = LLVMGetIntrinsicDeclaration(cg->m, id, (T *)overload, nover);
    T type = LLVMIntrinsicGetType(cg->c, id, (T *)overload, nover);
    return LLVMBuildCall2(cg->b, type, f, (V *)args, n, "");
}

T cg_vec(T scalar, unsigned lanes) { return lanes == 1 ? scalar : LLVMVectorType(scalar, lanes); }

unsigned cg_lanes_of(V v) {
    T t = LLVMTypeOf(v);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetVectorSize(t) : 1;
}

T cg_scalar_of(T t) { return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetElementType(t) : t; }

V cg_splat(Cg *cg, V scalar, unsigned lanes) {
    if (lanes == 1 || cg_lanes_of(scalar) > 1) return scalar;
    T type = cg_vec(LLVMTypeOf(scalar), lanes);
    V v = LLVMBuildInsertElement(cg->b, LLVMGetPoison(type), scalar, cg_int(cg->i32, 0), "");
    return LLVMBuildShuffleVector(cg->b, v, LLVMGetPoison(type),
                                  LLVMConstNull(cg_vec(cg->i32, lanes)), "");
}

V cg_part(Cg *cg, V v, unsigned from, unsigned lanes) {
    if (lanes == cg_lanes_of(v)) return v;
    V mask[MaxLanes];
    for (unsigned l = 0; l < lanes; l++) mask[l] = cg_int(cg->i32, from + l);
    if (lanes == 1) return LLVMBuildExtractElement(cg->b, v, mask[0], "");
    return LLVMBuildShuffleVector(cg->b, v, LLVMGetPoison(LLVMTypeOf(v)),
                                  LLVMConstVector(mask, lanes), "");
}

V cg_joined(Cg *cg, V x, V y) {
    unsigned lanes = cg_lanes_of(x);
    V mask[2 * MaxLanes];
    for (unsigned l = 0; l < 2 * lanes; l++) mask[l] = cg_int(cg->i32, l);
    return LLVMBuildShuffleVector(cg->b, x, y, LLVMConstVector(mask, 2 * lanes), "");
}

T cg_reg_type(Cg *cg, DType dt) {
    T types[DTypeCount] = {[F32] = cg->f32, [F64] = cg->f64, [BF16] = cg->f32,
                           [I32] = cg->i32, [I64] = cg->i64, [BOOL] = cg->i1};
    return types[dt];
}

T cg_mem_type(Cg *cg, DType dt) {
    T types[DTypeCount] = {[F32] = cg->f32, [F64] = cg->f64, [BF16] = cg->i16,
                           [I32] = cg->i32, [I64] = cg->i64, [BOOL] = cg->i8};
    return types[dt];
}

unsigned cg_lanes(const Cg *cg, DType dt) {
    return cg->target.vector_bytes / (dt == F64 || dt == I64 ? 8 : 4);
}

static V element_pointer(Cg *cg, DType dt, V base, V offset) {
    return LLVMBuildInBoundsGEP2(cg->b, cg_mem_type(cg, dt), base, &offset, 1, "");
}

/* As it stands in memory to what registers hold. */
static V from_memory(Cg *cg, DType dt, V v, unsigned lanes) {
    if (dt == BOOL) return LLVMBuildICmp(cg->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    if (dt != BF16) return v;
    T wide = cg_vec(cg->i32, lanes);
    V bits = LLVMBuildZExt(cg->b, v, wide, "");
    bits = LLVMBuildShl(cg->b, bits, cg_splat(cg, cg_int(cg->i32, 16), lanes), "");
    return LLVMBuildBitCast(cg->b, bits, cg_vec(cg->f32, lanes), "");
}

V cg_load(Cg *cg, DType dt, V base, V offset, unsigned lanes) {
    V v = LLVMBuildLoad2(cg->b, cg_vec(cg_mem_type(cg, dt), lanes),
                         element_pointer(cg, dt, base, offset), "");
    LLVMSetAlignment(v, (unsigned)dtype_size(dt));
    return from_memory(cg, dt, v, lanes);
}

V cg_load_masked(Cg *cg, DType dt, V base, V offset, V mask) {
    unsigned lanes = cg_lanes_of(mask);
    T t[] = {cg_vec(cg_mem_type(cg, dt), lanes), cg->ptr};
    V p = LLVMBuildGEP2(cg->b, cg_mem_type(cg, dt), base, &offset, 1, "");
    V args[] = {p, cg_int(cg->i32, (int64_t)dtype_size(dt)), mask, LLVMConstNull(t[0])};
    return from_memory(cg, dt, cg_call(cg, "llvm.masked.load", t, 2, args, 4), lanes);
}

/* Every second element: two loads that together cover just these. */
static V load_every_second(Cg *cg, DType dt, V base, V offset, unsigned lanes) {
    V lo = cg_load(cg, dt, base, offset, lanes), mask[MaxLanes];
    V hi = cg_load(cg, dt, base, cg_add_imm(cg, offset, lanes - 1), lanes);
    for (unsigned l = 0; l < lanes; l++)
        mask[l] = cg_int(cg->i32, 2 * l < lanes ? 2 * l : 2 * l + 1);
    return LLVMBuildShuffleVector(cg->b, lo, hi, LLVMConstVector(mask, lanes), "");
}

V cg_load_apart(Cg *cg, DType dt, V base, V offset, int64_t step, unsigned lanes) {
    if (step == 1 || lanes == 1) return cg_load(cg, dt, base, offset, lanes);
    if (step == 0) return cg_splat(cg, cg_load(cg, dt, base, offset, 1), lanes);
    if (step == 2) return load_every_second(cg, dt, base, offset, lanes);
    V r = LLVMGetPoison(cg_vec(cg_reg_type(cg, dt), lanes));
    for (unsigned l = 0; l < lanes; l++) {
        V x = cg_load(cg, dt, base, cg_add_imm(cg, offset, step * (int64_t)l), 1);
        r = LLVMBuildInsertElement(cg->b, r, x, cg_int(cg->i32, (int)l), "");
    }
    return r;
}

void cg_store(Cg *cg, DType dt, V v, V base, V offset) {
    unsigned lanes = cg_lanes_of(v);
    if (dt == BOOL) v = LLVMBuildZExt(cg->b, v, cg_vec(cg->i8, lanes), "");
    if (dt == BF16) {
        v = LLVMBuildBitCast(cg->b, v, cg_vec(cg->i32, lanes), "");
        v = LLVMBuildLShr(cg->b, v, cg_splat(cg, cg_int(cg->i32, 16), lanes), "");
        v = LLVMBuildTrunc(cg->b, v, cg_vec(cg->i16, lanes), "");
    }
    V st = LLVMBuildStore(cg->b, v, element_pointer(cg, dt, base, offset));
    LLVMSetAlignment(st, (unsigned)dtype_size(dt));
}

void cg_prefetch(Cg *cg, DType dt, V base, V offset) {
    V p = LLVMBuildGEP2(cg->b, cg_mem_type(cg, dt), base, &offset, 1, "");
    V args[] = {p, cg_int(cg->i32, 0), cg_int(cg->i32, 3), cg_int(cg->i32, 1)};
    cg_call(cg, "llvm.prefetch", &cg->ptr, 1, args, LEN(args));
}

static bool constant(V v, int64_t *n) {
    if (!LLVMIsAConstantInt(v)) return false;
    *n = LLVMConstIntGetSExtValue(v);
    return true;
}

V cg_add(Cg *cg, V a, V b) {
    int64_t n;
    if (constant(a, &n) && !n) return b;
    if (constant(b, &n) && !n) return a;
    return LLVMBuildAdd(cg->b, a, b, "");
}

V cg_add_imm(Cg *cg, V a, int64_t n) { return n ? LLVMBuildAdd(cg->b, a, cg_i64(cg, n), "") : a; }

V cg_least(Cg *cg, V a, V b) {
    return LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, a, b, ""), a, b, "");
}

V cg_most(Cg *cg, V a, V b) {
    return LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, LLVMIntSLT, a, b, ""), b, a, "");
}

V cg_mul_imm(Cg *cg, V a, int64_t n) {
    if (n == 1) return a;
    return n ? LLVMBuildMul(cg->b, a, cg_i64(cg, n), "") : cg_i64(cg, 0);
}

/* ---- memory ---- */

V cg_stack(Cg *cg, T type, const char *name) {
    Bb here = LLVMGetInsertBlock(cg->b), entry = LLVMGetEntryBasicBlock(cg->fn);
    V first = LLVMGetFirstInstruction(entry);
    if (first) LLVMPositionBuilderBefore(cg->b, first);
    else LLVMPositionBuilderAtEnd(cg->b, entry);
    V at = LLVMBuildAlloca(cg->b, type, name);
    LLVMPositionBuilderAtEnd(cg->b, here);
    return at;
}

V cg_number(Cg *cg) { return cg_stack(cg, cg->i64, "number"); }

V cg_table(Cg *cg, uint32_t n) {
    return cg_stack(cg, LLVMArrayType2(cg->ptr, n ? n : 1), "table");
}

static V slot(Cg *cg, V table, int64_t i) {
    V at = cg_i64(cg, i);
    return LLVMBuildInBoundsGEP2(cg->b, cg->ptr, table, &at, 1, "");
}

V cg_get(Cg *cg, V table, int64_t i) {
    return LLVMBuildLoad2(cg->b, cg->ptr, slot(cg, table, i), "");
}

void cg_put(Cg *cg, V table, int64_t i, V address) {
    LLVMBuildStore(cg->b, address, slot(cg, table, i));
}

V cg_bytes(Cg *cg, V base, V offset) {
    return LLVMBuildInBoundsGEP2(cg->b, cg->i8, base, &offset, 1, "");
}

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

V cg_data(Cg *cg, const Ins *ins) {
    for (uint32_t i = 0; i < cg->constants.len; i++) {
        const struct Constant *c = &cg->constants.data[i];
        if (c->data == ins->data && type_equal(c->type, ins->type)) return c->value;
    }
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
    vec_push(cg->cx->arena, &cg->constants, ((struct Constant){ins->data, ins->type, global}));
    return global;
}

/* ---- loops ---- */

Bb cg_block(Cg *cg, const char *name) { return LLVMAppendBasicBlockInContext(cg->c, cg->fn, name); }
void cg_at(Cg *cg, Bb bb) { LLVMPositionBuilderAtEnd(cg->b, bb); }

V loop_open(Cg *cg, Loop *l, V from, V to, int64_t step, const V *init, unsigned n) {
    if (n > MaxCarried) BUG(cg->cx, "a loop carries too many values");
    Bb before = LLVMGetInsertBlock(cg->b);
    *l = (Loop){.head = cg_block(cg, "loop"),
                .body = cg_block(cg, "body"),
                .done = cg_block(cg, "done"),
                .n = n,
                .to = to,
                .step = step,
                .number = ++cg->loops};
    LLVMBuildBr(cg->b, l->head);
    cg_at(cg, l->head);
    l->i = LLVMBuildPhi(cg->b, cg->i64, "i");
    LLVMAddIncoming(l->i, &from, &before, 1);
    for (unsigned k = 0; k < n; k++) {
        l->phi[k] = LLVMBuildPhi(cg->b, LLVMTypeOf(init[k]), "");
        LLVMAddIncoming(l->phi[k], (V *)&init[k], &before, 1);
    }
    V more = LLVMBuildICmp(cg->b, LLVMIntSLT, l->i, to, "");
    LLVMBuildCondBr(cg->b, more, l->body, l->done);
    cg_at(cg, l->body);
    return l->i;
}

/* A short loop that touches one line of the cache more than it must is up to a tenth slower: where
 * it begins is not left to chance. */
static void align_loop(Cg *cg, V back) {
    static const char align[] = "llvm.loop.align", loop[] = "llvm.loop";
    LLVMMetadataRef itself = LLVMTemporaryMDNode(cg->c, NULL, 0);
    LLVMMetadataRef line[] = {LLVMMDStringInContext2(cg->c, align, sizeof align - 1),
                              LLVMValueAsMetadata(cg_int(cg->i32, CacheLine))};
    LLVMMetadataRef parts[] = {itself, LLVMMDNodeInContext2(cg->c, line, LEN(line))};
    LLVMMetadataRef id = LLVMMDNodeInContext2(cg->c, parts, LEN(parts));
    LLVMMetadataReplaceAllUsesWith(itself, id);
    unsigned kind = LLVMGetMDKindIDInContext(cg->c, loop, sizeof loop - 1);
    LLVMSetMetadata(back, kind, LLVMMetadataAsValue(cg->c, id));
}

void loop_close(Cg *cg, Loop *l, const V *next) {
    V i = LLVMBuildNSWAdd(cg->b, l->i, cg_i64(cg, l->step), "");
    Bb here = LLVMGetInsertBlock(cg->b);
    LLVMAddIncoming(l->i, &i, &here, 1);
    for (unsigned k = 0; k < l->n; k++) LLVMAddIncoming(l->phi[k], (V *)&next[k], &here, 1);
    V back = LLVMBuildBr(cg->b, l->head);
    bool innermost = cg->loops == l->number;
    if (innermost) align_loop(cg, back);
    cg_at(cg, l->done);
}

When when_open(Cg *cg, V cond) {
    if (!cond) return (When){0};
    When w;
    Bb then = cg_block(cg, "then");
    w.other = cg_block(cg, "else");
    w.after = cg_block(cg, "after");
    LLVMBuildCondBr(cg->b, cond, then, w.other);
    cg_at(cg, then);
    return w;
}

void when_else(Cg *cg, When *w) {
    if (!w->other) return;
    LLVMBuildBr(cg->b, w->after);
    cg_at(cg, w->other);
    w->other = NULL;
}

void when_close(Cg *cg, const When *w) {
    if (!w->after) return;
    LLVMBuildBr(cg->b, w->after);
    if (w->other) {
        cg_at(cg, w->other);
        LLVMBuildBr(cg->b, w->after);
    }
    cg_at(cg, w->after);
}
