/* A function of the program: its frame, which has the address of every value in memory, then its
 * kernels in order. An entry calls them, so that they may be cut into chunks and equal ones are
 * there once. A function that a region runs is part of the code around it where it is short or this
 * is the only place, and so are its short kernels. Single numbers live on the stack instead of the
 * arena, where LLVM makes registers of them. */
#include "codegen/internal.h"

enum { /* instructions, roughly */
    ShortFn = 128,
    CallCost = 4,
    LoopCost = 10,
};

/* The address of a value's buffer, or NULL where it has none. */
static V buffer_address(Cg *cg, const Fn *fn, Val v, V args, V arena) {
    const Buf *buf = &fn->plan->bufs[v];
    switch (buf->kind) {
    case BufNone:
        return NULL;
    case BufArg:
        return cg_get(cg, args, buf->index);
    case BufResult:
        return cg_get(cg, args, (int64_t)fn->nparams + buf->index);
    case BufArena:
        if (is_number(fn->ins.data[v].type)) return cg_number(cg);
        return cg_bytes(cg, arena, cg_i64(cg, (int64_t)buf->offset));
    case BufConst:
        break;
    }
    return cg_data(cg, &fn->ins.data[v]);
}

/* ---- kernels ---- */

static void call_chunk(Cg *cg, V kernel, V table, V chunk) {
    T params[] = {cg->ptr, cg->i64}, type = LLVMFunctionType(cg->void_, params, 2, false);
    LLVMBuildCall2(cg->b, type, kernel, (V[]){table, chunk}, 2, "");
}

static void call_chunks(Cg *cg, V kernel, V table, V chunks) {
    Loop l;
    call_chunk(cg, kernel, table, loop_open(cg, &l, cg_i64(cg, 0), chunks, 1, NULL, 0));
    loop_close(cg, &l, NULL);
}

static T launch_type(Cg *cg) {
    T params[] = {cg->ptr, cg->ptr, cg->ptr, cg->i64};
    return LLVMFunctionType(cg->void_, params, 4, false);
}

/* env->parallel(env, kernel, table, chunks), or a plain loop without an env; there once. */
static V launch_function(Cg *cg) {
    V made = LLVMGetNamedFunction(cg->m, "launch");
    if (made) return made;
    V outer = cg->fn, args[4];
    bool once = cg->once;
    Bb resume = LLVMGetInsertBlock(cg->b);
    T params[] = {cg->ptr, cg->ptr, cg->ptr, cg->i64};
    cg->once = false;
    V f = cg->fn = cg_new_function(cg, "launch", params, LEN(params), false);
    LLVMGetParams(f, args);
    cg_at(cg, cg_block(cg, "entry"));
    When shared = when_open(cg, LLVMBuildIsNotNull(cg->b, args[0], ""));
    V run = LLVMBuildLoad2(cg->b, cg->ptr, args[0], "");
    LLVMBuildCall2(cg->b, launch_type(cg), run, args, LEN(args), "");
    when_else(cg, &shared);
    call_chunks(cg, args[1], args[2], args[3]);
    when_close(cg, &shared);
    LLVMBuildRetVoid(cg->b);
    cg->fn = outer;
    cg->once = once;
    cg_at(cg, resume);
    return f;
}

static void call_kernel(Cg *cg, V kernel, V table, V env, uint32_t chunks) {
    V args[] = {env, kernel, table, cg_i64(cg, chunks)};
    if (chunks == 1)
        call_chunk(cg, kernel, table, cg_i64(cg, 0));
    else if (cg->o.library)
        call_chunks(cg, kernel, table, args[3]);
    else
        LLVMBuildCall2(cg->b, launch_type(cg), launch_function(cg), args, LEN(args), "");
}

/* The pointers that kernel k takes: what it reads, then what it stores. */
static V kernel_table(Cg *cg, V frame, const Kernel *k) {
    uint32_t n = k->inputs.len, all = n + k->outputs.len;
    V table = cg_table(cg, all);
    for (uint32_t i = 0; i < all; i++) {
        Val v = i < n ? k->inputs.data[i] : k->outputs.data[i - n];
        cg_put(cg, table, i, cg_get(cg, frame, v));
    }
    return table;
}

/* What k computes again has another place from now on. */
static void move_values(Cg *cg, const Fn *fn, const Kernel *k, V frame, V arena) {
    for (uint32_t j = 0; j < k->outputs.len; j++) {
        V address = cg_bytes(cg, arena, cg_i64(cg, (int64_t)k->places[j].offset));
        for (Val v = 0; v < fn->ins.len; v++) {
            if (memory_of(fn, v) == k->outputs.data[j]) cg_put(cg, frame, v, address);
        }
    }
}

/* Signalling NaN over memory that nothing is to read any more. */
static void poison(Cg *cg, const Fn *fn, const Kernel *k, V arena) {
    for (uint32_t j = 0; j < k->freed.len; j++) {
        const Freed *f = &k->freed.data[j];
        bool wide = fn->ins.data[f->v].type.dt == F64;
        V base = cg_bytes(cg, arena, cg_i64(cg, (int64_t)f->offset)), from = cg_i64(cg, 0);
        Loop l;
        V i = loop_open(cg, &l, from, cg_i64(cg, (int64_t)(f->bytes / (wide ? 8 : 4))), 1, NULL, 0);
        T type = wide ? cg->i64 : cg->i32;
        V at = LLVMBuildInBoundsGEP2(cg->b, type, base, &i, 1, "");
        LLVMBuildStore(cg->b, cg_int(type, wide ? 0x7FF4000000000000 : 0x7FA07FA0), at);
        loop_close(cg, &l, NULL);
    }
}

/* within: short kernels are not called. */
static void emit_kernels(Cg *cg, const Fn *fn, V args, V arena, V env, bool within) {
    V frame = cg_table(cg, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) {
        Val stored = memory_of(fn, v);
        V address = stored == v ? buffer_address(cg, fn, v, args, arena) : NULL;
        if (stored != v && fn->plan->bufs[v].kind != BufNone) address = cg_get(cg, frame, stored);
        if (address) cg_put(cg, frame, v, address);
    }
    for (uint32_t i = 0; i < fn->kernels.len; i++) {
        const Kernel *k = fn->kernels.data[i];
        uint32_t chunks;
        if (k->again) move_values(cg, fn, k, frame, arena);
        if (k->kind == KernRegion) {
            cg_region(cg, fn, k, frame, arena, env);
        } else if (within && kernel_is_short(fn, k)) {
            cg_kernel_here(cg, fn, k, frame);
        } else {
            V kernel = cg_kernel(cg, fn, k, &chunks);
            call_kernel(cg, kernel, kernel_table(cg, frame, k), env, chunks);
        }
        if (cg->o.poison) poison(cg, fn, k, arena);
    }
}

/* ---- functions ---- */

V cg_begin_function(Cg *cg, const Fn *fn, bool external) {
    T params[] = {cg->ptr, cg->ptr, cg->ptr};
    const char *name = arena_printf(cg->cx->scratch, "bp_%s", fn->name);
    V f = cg->fn = cg_new_function(cg, name, params, 3, external);
    cg_at(cg, cg_block(cg, "entry"));
    return f;
}

static void emit_whole(Cg *cg, const Fn *fn, V f, bool within) {
    emit_kernels(cg, fn, LLVMGetParam(f, 0), LLVMGetParam(f, 1), LLVMGetParam(f, 2), within);
}

void cg_entry_kernels(Cg *cg, const Fn *fn, V f) { emit_whole(cg, fn, f, false); }

/* How many instructions of the program refer to fn. */
static uint32_t references(const Program *p, const Fn *fn) {
    uint32_t n = 0;
    for (uint32_t f = 0; f < p->fns.len; f++) {
        const Fn *from = p->fns.data[f];
        for (Val v = 0; v < from->ins.len; v++) {
            const Ins *i = &from->ins.data[v];
            for (int k = 0; k < op_info[i->op].nattrs; k++)
                n += i->attrs[k].kind == AttrFn && i->attrs[k].s == fn->name;
        }
    }
    return n;
}

/* What fn is as part of other code, at most `most`. */
static uint32_t length_of(const Program *p, const Fn *fn, uint32_t most) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < fn->kernels.len && n < most; i++) {
        const Kernel *k = fn->kernels.data[i];
        if (k->kind != KernRegion) {
            n += kernel_is_short(fn, k) ? 2 * k->members.len
                                        : CallCost + k->inputs.len + k->outputs.len;
            continue;
        }
        Region r = region_of(p, &fn->ins.data[k->root]);
        n += LoopCost + 2 * r.carry;
        if (n < most) n += length_of(p, r.body, most - n);
        if (r.other && n < most) n += length_of(p, r.other, most - n);
    }
    return n;
}

static V function_of(Cg *cg, const Fn *fn) {
    for (uint32_t n = 0; n < cg->functions.len; n++) {
        const struct Emitted *e = &cg->functions.data[n];
        if (e->fn == fn && e->once == cg->once) return e->value;
    }
    V outer = cg->fn;
    Bb resume = LLVMGetInsertBlock(cg->b);
    struct Emitted made = {fn, cg_begin_function(cg, fn, false), cg->once};
    emit_whole(cg, fn, made.value, true);
    LLVMBuildRetVoid(cg->b);
    cg->fn = outer;
    cg_at(cg, resume);
    vec_push(cg->cx->arena, &cg->functions, made);
    return made.value;
}

void cg_run_function(Cg *cg, const Fn *fn, V args, V arena, V env) {
    if (length_of(cg->p, fn, ShortFn) < ShortFn || references(cg->p, fn) == 1) {
        emit_kernels(cg, fn, args, arena, env, true);
        return;
    }
    T params[] = {cg->ptr, cg->ptr, cg->ptr};
    LLVMBuildCall2(cg->b, LLVMFunctionType(cg->void_, params, 3, false), function_of(cg, fn),
                   (V[]){args, arena, env}, 3, "");
}
