/* Regions: loops and branches around functions of their own, in the code of the entry. A function
 * runs as an entry does, with a table of its arguments and results; what changes from step to step
 * are pointers. Two buffers per carry take turns, so that nothing is copied, or the body writes
 * over what it reads; a scan, whose number of steps is known, ends in the result's buffer. Carried
 * numbers have places on the stack, which become registers. */
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

static V address_of(Site *l, Val v) {
    return cg_get(l->cg, l->frame, v);
}

static int64_t type_bytes(Type t) { return t.shape->size * (int64_t)dtype_size(t.dt); }

static Type formal_type(const Site *l, uint32_t k) { return l->r.body->ins.data[k].type; }

static Type result_type(const Site *l, uint32_t k) {
    return l->r.body->ins.data[l->r.body->results.data[k]].type;
}

static void copy(Site *l, V to, V from, Type t) {
    LLVMBuilderRef b = l->cg->b;
    if (is_number(t)) {
        LLVMBuildStore(b, LLVMBuildLoad2(b, cg_mem_type(l->cg, t.dt), from, ""), to);
    } else if (type_bytes(t)) {
        LLVMBuildMemCpy(b, to, 1, from, 1, cg_i64(l->cg, type_bytes(t)));
    }
}

/* Unless they are the same place. */
static void move(Site *l, V to, V from, Type t) {
    Cg *cg = l->cg;
    if (!type_bytes(t)) return;
    When apart = when_open(cg, LLVMBuildICmp(cg->b, LLVMIntNE, to, from, ""));
    copy(l, to, from, t);
    when_close(cg, &apart);
}

/* ---- carries ---- */

/* Where the carries are. A number has one place for what is read and one for what is written,
 * others take turns in the two buffers. */
typedef struct Carries {
    V *now, *next, *other; /* at the head of the loop */
    Bb from;
} Carries;

static bool stays(const Site *l, uint32_t k) {
    return is_number(formal_type(l, k)) || region_in_place(&l->r, k);
}

/* Before the loop; odd: the first step writes to the buffer of the result. */
static Carries carries_begin(Site *l, bool odd) {
    Cg *cg = l->cg;
    Arena *a = cg->cx->scratch;
    uint32_t n = l->r.carry;
    Carries c = {NEW_ARRAY(a, V, n), NEW_ARRAY(a, V, n), NEW_ARRAY(a, V, n), NULL};
    for (uint32_t k = 0; k < n; k++) {
        bool number = is_number(formal_type(l, k)), in_place = region_in_place(&l->r, k);
        c.now[k] = number ? cg_number(cg) : in_place ? l->result[k] : l->arg[k];
        c.next[k] = in_place ? c.now[k] : number ? cg_number(cg)
                             : odd ? l->result[k] : l->spare[k];
        c.other[k] = odd ? l->spare[k] : l->result[k];
        if (number) copy(l, c.now[k], l->arg[k], formal_type(l, k));
        else if (in_place) move(l, c.now[k], l->arg[k], formal_type(l, k));
    }
    c.from = LLVMGetInsertBlock(cg->b);
    return c;
}

static V turning(Cg *cg, V first, Bb from) {
    V phi = LLVMBuildPhi(cg->b, cg->ptr, "");
    LLVMAddIncoming(phi, &first, &from, 1);
    return phi;
}

/* At the head of the loop. */
static void carries_head(Site *l, Carries *c) {
    for (uint32_t k = 0; k < l->r.carry; k++) {
        if (stays(l, k)) continue;
        c->now[k] = turning(l->cg, c->now[k], c->from);
        c->next[k] = turning(l->cg, c->next[k], c->from);
        c->other[k] = turning(l->cg, c->other[k], c->from);
    }
}

static void put_carries(Site *l, const Carries *c, V table) {
    for (uint32_t k = 0; k < l->r.carry; k++) {
        cg_put(l->cg, table, k, c->now[k]);
        cg_put(l->cg, table, l->r.body->nparams + k, c->next[k]);
    }
}

/* At the end of the body, which goes back to the head: numbers are moved, buffers take turns. */
static void carries_step(Site *l, const Carries *c) {
    Bb last = LLVMGetInsertBlock(l->cg->b);
    for (uint32_t k = 0; k < l->r.carry; k++) {
        Type t = formal_type(l, k);
        if (is_number(t) && c->now[k] != c->next[k]) copy(l, c->now[k], c->next[k], t);
        if (stays(l, k)) continue;
        LLVMAddIncoming(c->now[k], &c->next[k], &last, 1);
        LLVMAddIncoming(c->next[k], &c->other[k], &last, 1);
        LLVMAddIncoming(c->other[k], &c->next[k], &last, 1);
    }
}

/* Behind the loop. */
static void carries_end(Site *l, const Carries *c) {
    for (uint32_t k = 0; k < l->r.carry; k++) {
        if (is_number(formal_type(l, k))) copy(l, l->result[k], c->now[k], formal_type(l, k));
        else if (!region_in_place(&l->r, k)) move(l, l->result[k], c->now[k], formal_type(l, k));
    }
}

/* ---- scan ---- */

static V slice_at(Site *l, V stack, Type slice, V step) {
    return cg_bytes(l->cg, stack, cg_mul_imm(l->cg, step, type_bytes(slice)));
}

static void emit_scan(Site *l) {
    Cg *cg = l->cg;
    const Region *r = &l->r;
    uint32_t nparams = r->body->nparams, nresults = r->body->results.len;
    V table = cg_table(cg, nparams + nresults);
    Carries c = carries_begin(l, r->length % 2);
    for (uint32_t k = r->carry + r->seq; k < nparams; k++) cg_put(cg, table, k, l->arg[k]);
    Loop loop;
    V n = loop_open(cg, &loop, cg_i64(cg, 0), cg_i64(cg, r->length), 1, NULL, 0);
    LLVMPositionBuilderBefore(cg->b, LLVMGetNextInstruction(n));
    carries_head(l, &c);
    cg_at(cg, loop.body);
    V last = cg_i64(cg, r->length - 1);
    V step = r->reverse ? LLVMBuildSub(cg->b, last, n, "") : n;
    put_carries(l, &c, table);
    for (uint32_t k = r->carry; k < r->carry + r->seq; k++) {
        cg_put(cg, table, k, slice_at(l, l->arg[k], formal_type(l, k), step));
    }
    for (uint32_t k = r->carry; k < nresults; k++) {
        cg_put(cg, table, nparams + k, slice_at(l, l->result[k], result_type(l, k), step));
    }
    cg_run_function(cg, r->body, table, l->arena, l->env);
    carries_step(l, &c);
    loop_close(cg, &loop, NULL);
    carries_end(l, &c);
}

/* ---- while ---- */

static void emit_while(Site *l) {
    Cg *cg = l->cg;
    const Region *r = &l->r;
    uint32_t nparams = r->body->nparams;
    V table = cg_table(cg, nparams + r->carry), test = cg_table(cg, nparams + 1);
    V answer = cg_number(cg);
    for (uint32_t k = r->carry; k < nparams; k++) {
        cg_put(cg, table, k, l->arg[k]);
        cg_put(cg, test, k, l->arg[k]);
    }
    cg_put(cg, test, nparams, answer);
    Carries c = carries_begin(l, true);
    Bb head = cg_block(cg, "while"), body = cg_block(cg, "do"), done = cg_block(cg, "done");
    LLVMBuildBr(cg->b, head);
    cg_at(cg, head);
    carries_head(l, &c);
    for (uint32_t k = 0; k < r->carry; k++) cg_put(cg, test, k, c.now[k]);
    cg_run_function(cg, r->other, test, l->arena, l->env);
    V yes = LLVMBuildLoad2(cg->b, cg->i8, answer, "");
    LLVMBuildCondBr(cg->b, LLVMBuildIsNotNull(cg->b, yes, ""), body, done);
    cg_at(cg, body);
    put_carries(l, &c, table);
    cg_run_function(cg, r->body, table, l->arena, l->env);
    carries_step(l, &c);
    LLVMBuildBr(cg->b, head);
    cg_at(cg, done);
    carries_end(l, &c);
}

/* ---- cond, checkpoint, call ---- */

static V plain_table(Site *l) {
    Cg *cg = l->cg;
    uint32_t nparams = l->r.body->nparams;
    V table = cg_table(cg, nparams + l->r.body->results.len);
    for (uint32_t k = 0; k < nparams; k++) cg_put(cg, table, k, l->arg[l->r.first + k]);
    for (uint32_t k = 0; k < l->r.body->results.len; k++) {
        cg_put(cg, table, nparams + k, l->result[k]);
    }
    return table;
}

static void emit_cond(Site *l) {
    Cg *cg = l->cg;
    V table = plain_table(l), c = LLVMBuildLoad2(cg->b, cg->i8, l->arg[0], "");
    When yes = when_open(cg, LLVMBuildIsNotNull(cg->b, c, ""));
    cg_run_function(cg, l->r.body, table, l->arena, l->env);
    when_else(cg, &yes);
    cg_run_function(cg, l->r.other, table, l->arena, l->env);
    when_close(cg, &yes);
}

static void emit_call(Site *l) {
    cg_run_function(l->cg, l->r.body, plain_table(l), l->arena, l->env);
}

static void find_addresses(Site *l, V arena) {
    Cg *cg = l->cg;
    Arena *a = cg->cx->scratch;
    uint64_t at, *carry = NEW_ARRAY(a, uint64_t, l->r.carry);
    region_scratch(cg->cx, l->ins, &l->r, carry, &at);
    V base = cg_bytes(cg, arena, cg_i64(cg, (int64_t)l->k->scratch.offset));
    l->arena = cg_bytes(cg, base, cg_i64(cg, (int64_t)at));
    l->arg = NEW_ARRAY(a, V, l->ins->nargs);
    l->result = NEW_ARRAY(a, V, l->t.nresults);
    l->spare = NEW_ARRAY(a, V, l->r.carry);
    for (uint32_t k = 0; k < l->ins->nargs; k++) l->arg[k] = address_of(l, l->ins->args[k]);
    Val first = l->ins->type.shape ? l->k->root : l->k->root + 1;
    for (uint32_t k = 0; k < l->t.nresults; k++) l->result[k] = address_of(l, first + k);
    for (uint32_t k = 0; k < l->r.carry; k++) {
        l->spare[k] = cg_bytes(cg, base, cg_i64(cg, (int64_t)carry[k]));
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
