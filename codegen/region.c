/* Regions: loops and branches around functions of their own, in the code of the entry. A function
 * is called as an entry is, with a table of its arguments and results; what changes from step to
 * step are pointers. Two buffers per carry take turns, so that nothing is copied, or the body
 * writes over what it reads; a scan, whose number of steps is known, ends in the result's
 * buffer. */
#include "codegen/internal.h"

typedef struct Site {
    Cg *cg;
    const Fn *fn;
    const Kernel *k;
    const Ins *ins;
    Region r;
    RegionTypes t;
    V frame, env;     /* of the caller */
    V *arg, *result;  /* addresses of operands and results */
    V *spare;         /* second buffers of carries */
    V arena;          /* for the functions */
} Site;

static V slot(Cg *cg, V table, int64_t i) {
    V at = cg_i64(cg, i);
    return LLVMBuildInBoundsGEP2(cg->b, cg->ptr, table, &at, 1, "");
}

static V bytes_at(Cg *cg, V base, V offset) {
    return LLVMBuildInBoundsGEP2(cg->b, cg->i8, base, &offset, 1, "");
}

static V address_of(Site *l, Val v) {
    return LLVMBuildLoad2(l->cg->b, l->cg->ptr, slot(l->cg, l->frame, v), "");
}

static int64_t type_bytes(Type t) { return t.shape->size * (int64_t)dtype_size(t.dt); }

static Type formal_type(const Site *l, uint32_t k) { return l->r.body->ins.data[k].type; }

static Type result_type(const Site *l, uint32_t k) {
    return l->r.body->ins.data[l->r.body->results.data[k]].type;
}

static void put(Site *l, V table, uint32_t i, V address) {
    LLVMBuildStore(l->cg->b, address, slot(l->cg, table, i));
}

static void copy(Site *l, V to, V from, Type t) {
    if (type_bytes(t)) {
        LLVMBuildMemCpy(l->cg->b, to, 1, from, 1, cg_i64(l->cg, type_bytes(t)));
    }
}

/* The carries that are kept in place, to where they stay; they may be there. */
static void begin_in_place(Site *l) {
    Cg *cg = l->cg;
    for (uint32_t k = 0; k < l->r.carry; k++) {
        if (!region_in_place(&l->r, k) || !type_bytes(formal_type(l, k))) continue;
        Bb move = cg_block(cg, "move"), there = cg_block(cg, "there");
        V same = LLVMBuildICmp(cg->b, LLVMIntEQ, l->result[k], l->arg[k], "");
        LLVMBuildCondBr(cg->b, same, there, move);
        cg_at(cg, move);
        copy(l, l->result[k], l->arg[k], formal_type(l, k));
        LLVMBuildBr(cg->b, there);
        cg_at(cg, there);
    }
}

/* ---- scan ---- */

/* Step n writes to the result's buffer if an even number of steps follow. */
static V carry_target(Site *l, uint32_t k, V left) {
    Cg *cg = l->cg;
    if (region_in_place(&l->r, k)) return l->result[k];
    V odd = LLVMBuildTrunc(cg->b, left, cg->i1, "");
    return LLVMBuildSelect(cg->b, odd, l->spare[k], l->result[k], "");
}

static V slice_at(Site *l, V stack, Type slice, V step) {
    return bytes_at(l->cg, stack, cg_mul_imm(l->cg, step, type_bytes(slice)));
}

static void emit_scan(Site *l) {
    Cg *cg = l->cg;
    const Region *r = &l->r;
    uint32_t nparams = r->body->nparams, nresults = r->body->results.len;
    if (!r->length) {
        for (uint32_t k = 0; k < r->carry; k++) {
            copy(l, l->result[k], l->arg[k], formal_type(l, k));
        }
        return;
    }
    V table = cg_table(cg, nparams + nresults);
    begin_in_place(l);
    for (uint32_t k = r->carry + r->seq; k < nparams; k++) put(l, table, k, l->arg[k]);
    Loop loop;
    V n = loop_open(cg, &loop, cg_i64(cg, 0), cg_i64(cg, r->length), 1, NULL, 0);
    V left = LLVMBuildSub(cg->b, cg_i64(cg, r->length - 1), n, "");
    V step = r->reverse ? left : n, begins = LLVMBuildIsNull(cg->b, n, "");
    V before = cg_add_imm(cg, left, 1);
    for (uint32_t k = 0; k < r->carry; k++) {
        V from = carry_target(l, k, before);
        if (!region_in_place(r, k)) from = LLVMBuildSelect(cg->b, begins, l->arg[k], from, "");
        put(l, table, k, from);
        put(l, table, nparams + k, carry_target(l, k, left));
    }
    for (uint32_t k = r->carry; k < r->carry + r->seq; k++) {
        put(l, table, k, slice_at(l, l->arg[k], formal_type(l, k), step));
    }
    for (uint32_t k = r->carry; k < nresults; k++) {
        put(l, table, nparams + k, slice_at(l, l->result[k], result_type(l, k), step));
    }
    cg_call_function(cg, r->body, table, l->arena, l->env);
    loop_close(cg, &loop, NULL);
}

/* ---- while ---- */

/* Where the carry stands before step n. */
static V carry_source(Site *l, uint32_t k, V n) {
    Cg *cg = l->cg;
    if (region_in_place(&l->r, k)) return l->result[k];
    V odd = LLVMBuildTrunc(cg->b, n, cg->i1, "");
    V written = LLVMBuildSelect(cg->b, odd, l->result[k], l->spare[k], "");
    return LLVMBuildSelect(cg->b, LLVMBuildIsNull(cg->b, n, ""), l->arg[k], written, "");
}

static void emit_while(Site *l) {
    Cg *cg = l->cg;
    const Region *r = &l->r;
    uint32_t nparams = r->body->nparams;
    V table = cg_table(cg, nparams + r->carry), test = cg_table(cg, nparams + 1);
    V answer = cg_table(cg, 1);
    begin_in_place(l);
    for (uint32_t k = r->carry; k < nparams; k++) {
        put(l, table, k, l->arg[k]);
        put(l, test, k, l->arg[k]);
    }
    put(l, test, nparams, answer);
    Bb from = LLVMGetInsertBlock(cg->b), head = cg_block(cg, "while"), body = cg_block(cg, "do"),
       done = cg_block(cg, "done");
    LLVMBuildBr(cg->b, head);
    cg_at(cg, head);
    V n = LLVMBuildPhi(cg->b, cg->i64, "n");
    for (uint32_t k = 0; k < r->carry; k++) {
        V at = carry_source(l, k, n);
        put(l, table, k, at);
        put(l, test, k, at);
    }
    cg_call_function(cg, r->other, test, l->arena, l->env);
    V yes = LLVMBuildLoad2(cg->b, cg->i8, answer, "");
    LLVMBuildCondBr(cg->b, LLVMBuildIsNotNull(cg->b, yes, ""), body, done);
    cg_at(cg, body);
    V next = cg_add_imm(cg, n, 1);
    for (uint32_t k = 0; k < r->carry; k++) {
        V odd = LLVMBuildTrunc(cg->b, next, cg->i1, ""), to = l->result[k];
        if (!region_in_place(r, k)) to = LLVMBuildSelect(cg->b, odd, to, l->spare[k], "");
        put(l, table, nparams + k, to);
    }
    cg_call_function(cg, r->body, table, l->arena, l->env);
    Bb last = LLVMGetInsertBlock(cg->b);
    LLVMBuildBr(cg->b, head);
    LLVMAddIncoming(n, (V[]){cg_i64(cg, 0), next}, (Bb[]){from, last}, 2);
    cg_at(cg, done);
    V odd = LLVMBuildTrunc(cg->b, n, cg->i1, "");
    Bb move = cg_block(cg, "move"), end = cg_block(cg, "end");
    LLVMBuildCondBr(cg->b, odd, end, move); /* after an odd number of steps all is in place */
    cg_at(cg, move);
    for (uint32_t k = 0; k < r->carry; k++) {
        if (region_in_place(r, k)) continue;
        copy(l, l->result[k], carry_source(l, k, n), formal_type(l, k));
    }
    LLVMBuildBr(cg->b, end);
    cg_at(cg, end);
}

/* ---- cond, checkpoint, call ---- */

static V plain_table(Site *l) {
    uint32_t nparams = l->r.body->nparams;
    V table = cg_table(l->cg, nparams + l->r.body->results.len);
    for (uint32_t k = 0; k < nparams; k++) put(l, table, k, l->arg[l->r.first + k]);
    for (uint32_t k = 0; k < l->r.body->results.len; k++) {
        put(l, table, nparams + k, l->result[k]);
    }
    return table;
}

static void emit_cond(Site *l) {
    Cg *cg = l->cg;
    V table = plain_table(l), c = LLVMBuildLoad2(cg->b, cg->i8, l->arg[0], "");
    Bb then = cg_block(cg, "then"), otherwise = cg_block(cg, "otherwise"),
       end = cg_block(cg, "end");
    LLVMBuildCondBr(cg->b, LLVMBuildIsNotNull(cg->b, c, ""), then, otherwise);
    cg_at(cg, then);
    cg_call_function(cg, l->r.body, table, l->arena, l->env);
    LLVMBuildBr(cg->b, end);
    cg_at(cg, otherwise);
    cg_call_function(cg, l->r.other, table, l->arena, l->env);
    LLVMBuildBr(cg->b, end);
    cg_at(cg, end);
}

static void emit_call(Site *l) {
    cg_call_function(l->cg, l->r.body, plain_table(l), l->arena, l->env);
}

static void find_addresses(Site *l, V arena) {
    Cg *cg = l->cg;
    Arena *a = cg->cx->scratch;
    uint64_t at, *carry = NEW_ARRAY(a, uint64_t, l->r.carry);
    region_scratch(cg->cx, l->ins, &l->r, carry, &at);
    V base = bytes_at(cg, arena, cg_i64(cg, (int64_t)l->k->scratch.offset));
    l->arena = bytes_at(cg, base, cg_i64(cg, (int64_t)at));
    l->arg = NEW_ARRAY(a, V, l->ins->nargs);
    l->result = NEW_ARRAY(a, V, l->t.nresults);
    l->spare = NEW_ARRAY(a, V, l->r.carry);
    for (uint32_t k = 0; k < l->ins->nargs; k++) l->arg[k] = address_of(l, l->ins->args[k]);
    Val first = l->ins->type.shape ? l->k->root : l->k->root + 1;
    for (uint32_t k = 0; k < l->t.nresults; k++) l->result[k] = address_of(l, first + k);
    for (uint32_t k = 0; k < l->r.carry; k++) {
        l->spare[k] = bytes_at(cg, base, cg_i64(cg, (int64_t)carry[k]));
    }
}

void cg_region(Cg *cg, const Fn *fn, const Kernel *k, V frame, V arena, V env) {
    static void (*const emit[OpCount])(Site *) = {
        [Op_scan] = emit_scan, [Op_while] = emit_while, [Op_cond] = emit_cond,
        [Op_checkpoint] = emit_call, [Op_call] = emit_call};
    Site l = {.cg = cg, .fn = fn, .k = k, .ins = &fn->ins.data[k->root], .frame = frame,
               .env = env};
    l.r = region_of(cg->p, l.ins);
    l.t = region_types(cg->cx, cg->cx->scratch, l.ins, &l.r);
    find_addresses(&l, arena);
    emit[l.ins->op](&l);
}
