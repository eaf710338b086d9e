/* IR text into the program: its functions as they stand, those with a rule known as such, its
 * trains, and the state that they take and give. Tests: tests/examples/check_test.py,
 * tests/frontend */
#include "frontend/lower_train.h"

/* The state is what steps and exports take by dotted names, in order of appearance. */
static void collect_state(Front *fr, const Fn *fn) {
    for (uint32_t i = 0; fn && i < fn->nparams; i++) {
        Sym name = fn->ins.data[i].name;
        ArgClass cls = arg_class(name);
        if ((cls != ArgState && cls != ArgOptimizer) || state_index(fr, name) >= 0) continue;
        state_add(fr, name, fn->ins.data[i].type, cls == ArgState, NoVal);
    }
}

static void find_state(Front *fr) {
    Program *p = fr->p;
    for (uint32_t i = 0; i < p->stages.len; i++) {
        Fn *step = program_fn(p, p->stages.data[i]->step);
        collect_state(fr, step);
        if (step) donate_state(fr, step);
        Fn *accum = p->stages.data[i]->accum ? program_fn(p, p->stages.data[i]->accum) : NULL;
        if (accum) donate_state(fr, accum);
    }
    for (uint32_t i = 0; i < p->fns.len; i++) {
        if (p->fns.data[i]->exported) collect_state(fr, p->fns.data[i]);
    }
    Fn *init = program_fn(p, sym(fr->cx, "init_state"));
    if (p->state.len && init) p->init = init->name;
}

void lower_ir_text(Front *fr) {
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        Fn *fn = item->kind == ItFn && item_is_ir(item) ? read_ir_fn(fr->p, item) : NULL;
        if (!fn || program_fn(fr->p, fn->name)) continue;
        program_add(fr->p, fn);
        if (!item_has_rule(fr, item)) continue;
        FnInst *inst = NEW(fr->cx->arena, FnInst);
        *inst = (FnInst){.fn = fn, .item = item};
        vec_push(fr->cx->arena, &fr->ruled, inst);
    }
    if (fr->cx->errors) return;
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *item = fr->order.data[i];
        Stage *s =
            item->kind == ItTrain && item_is_ir_train(item) ? read_ir_train(fr->p, item) : NULL;
        if (s) vec_push(fr->cx->arena, &fr->p->stages, s);
    }
    find_state(fr);
}

void read_callees_again(Front *fr, const Item *item) {
    Syms names = {0};
    ir_callees(fr->cx, item, &names);
    for (uint32_t i = 0; i < fr->order.len; i++) {
        const Item *callee = fr->order.data[i];
        bool named = false;
        for (uint32_t k = 0; k < names.len; k++) named |= names.data[k] == callee->name;
        if (!named || callee->kind != ItFn || !item_is_ir(callee)) continue;
        if (program_fn(fr->p, callee->name)) continue;
        read_callees_again(fr, callee);
        Fn *fn = read_ir_fn(fr->p, callee);
        if (fn) program_add(fr->p, fn);
    }
}
