/* Regions, step by step. Tests: tests/ir/region_test.c */
#include "ir/interp.h"

#include <math.h>

/* Slice `step` of the stacked array, to or from: the axis is the only coordinate that differs. */
static void copy_slice(const Region *r, Tensor *to, const Tensor *from, int64_t step,
                       bool stacking) {
    const Shape *slice = (stacking ? from : to)->type.shape;
    const Shape *whole = (stacking ? to : from)->type.shape;
    int64_t axis = region_axis(r, slice->rank), at[InterpMaxRank], in_whole[InterpMaxRank];
    for (int64_t i = 0; i < slice->size; i++) {
        coords_of(slice, i, at);
        for (uint32_t d = 0; d < whole->rank; d++) {
            in_whole[d] = d == axis ? step : at[d > axis ? d - 1 : d];
        }
        int64_t o = offset_of(whole, in_whole);
        if (stacking) tensor_copy(to, o, from, i);
        else tensor_copy(to, i, from, o);
    }
}

static const Tensor *run_scan(Interp *in, const Ins *ins, const Region *r, const Tensor *args) {
    bool complex_ = in->mode == InterpComplex;
    const Fn *body = r->body;
    RegionTypes t = region_types(in->p->cx, in->a, ins, r);
    Tensor *results = NEW_ARRAY(in->a, Tensor, t.nresults);
    Tensor *formals = NEW_ARRAY(in->a, Tensor, body->nparams);
    memcpy(formals, args, body->nparams * sizeof *formals);
    for (uint32_t k = r->carry; k < t.nresults; k++) {
        results[k] = tensor_new(in->a, t.results[k], complex_);
    }
    for (int64_t n = 0; n < r->length; n++) {
        int64_t step = r->reverse ? r->length - 1 - n : n;
        for (uint32_t k = r->carry; k < r->carry + r->seq; k++) {
            formals[k] = tensor_new(in->a, body->ins.data[k].type, complex_);
            copy_slice(r, &formals[k], &args[k], step, false);
        }
        const Tensor *out = interp_apply(in, body, ins->loc, formals);
        for (uint32_t k = 0; k < r->carry; k++) formals[k] = out[k];
        for (uint32_t k = r->carry; k < t.nresults; k++) {
            copy_slice(r, &results[k], &out[k], step, true);
        }
    }
    for (uint32_t k = 0; k < r->carry; k++) results[k] = formals[k];
    return results;
}

enum { MaxSteps = 1 << 16 };

/* A loop that does not end where it was asked to start gives NaN, as a reference has to end. */
static void give_up(Tensor *t, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        for (int64_t i = 0; t[k].re && i < t[k].type.shape->size; i++) t[k].re[i] = (double)NAN;
    }
}

static const Tensor *run_while(Interp *in, const Ins *ins, const Region *r, const Tensor *args) {
    Tensor *formals = NEW_ARRAY(in->a, Tensor, r->body->nparams);
    memcpy(formals, args, r->body->nparams * sizeof *formals);
    for (int steps = 0; interp_apply(in, r->other, ins->loc, formals)[0].i[0]; steps++) {
        if (steps == MaxSteps) {
            give_up(formals, r->carry);
            break;
        }
        const Tensor *out = interp_apply(in, r->body, ins->loc, formals);
        for (uint32_t k = 0; k < r->carry; k++) formals[k] = out[k];
    }
    return formals;
}

const Tensor *interp_region(Interp *in, const Ins *ins, const Tensor *args) {
    Region r = region_of(in->p, ins);
    switch (ins->op) {
    case Op_scan: return run_scan(in, ins, &r, args);
    case Op_while: return run_while(in, ins, &r, args);
    case Op_cond: return interp_apply(in, args[0].i[0] ? r.body : r.other, ins->loc, args + 1);
    default: return interp_apply(in, r.body, ins->loc, args);
    }
}
