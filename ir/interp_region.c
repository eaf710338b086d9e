/* Regions, step by step. Tests: tests/passes/region_test.c */
#include "ir/interp.h"

#include <math.h>

/* Slice `step` of the stacked array, to or from: the axis is the only coordinate that differs. */
static void copy_slice(const Region *r, Tensor *to, const Tensor *from, int64_t step,
                       bool stacking) {
    const Shape *slice = (stacking ? from : to)->type.shape;
    const Shape *whole = (stacking ? to : from)->type.shape;
    int64_t axis = region_axis(r, slice->rank), at[MaxRank] = {0}, in_whole[MaxRank];
    for (int64_t i = 0; i < slice->size; i++, coords_next(slice, at)) {
        for (uint32_t d = 0; d < whole->rank; d++) {
            in_whole[d] = d == axis ? step : at[d > axis ? d - 1 : d];
        }
        int64_t o = offset_of(whole, in_whole);
        if (stacking) tensor_copy(to, o, from, i);
        else tensor_copy(to, i, from, o);
    }
}

/* The steps of a loop, each in memory that the next one takes over. */
typedef struct Steps {
    Interp in;       /* of one step */
    const Region *r;
    Tensor *formals; /* of the body; the carries have buffers of their own, two each */
    Tensor *spare;
} Steps;

static Steps steps_begin(const Interp *in, const Region *r, const Tensor *args) {
    Steps s = {.in = *in, .r = r};
    s.in.a = arena_new();
    s.formals = NEW_ARRAY(in->a, Tensor, r->body->nparams);
    s.spare = NEW_ARRAY(in->a, Tensor, r->body->nparams);
    copy_bytes(s.formals, args, r->body->nparams * sizeof *s.formals);
    for (uint32_t k = 0; k < r->carry; k++) {
        Type t = r->body->ins.data[k].type;
        s.spare[k] = tensor_new(in->a, t, in->mode == InterpComplex);
        for (int64_t i = 0; i < t.shape->size; i++) tensor_copy(&s.spare[k], i, &args[k], i);
        s.formals[k] = s.spare[k];
        s.spare[k] = tensor_new(in->a, t, in->mode == InterpComplex);
    }
    return s;
}

/* The carries become what the step gave. */
static void steps_next(Steps *s, const Tensor *out) {
    for (uint32_t k = 0; k < s->r->carry; k++) {
        Tensor old = s->formals[k];
        s->formals[k] = s->spare[k];
        s->spare[k] = old;
    }
    for (uint32_t k = 0; k < s->r->carry; k++) {
        int64_t n = s->formals[k].type.shape->size;
        for (int64_t i = 0; i < n; i++) tensor_copy(&s->formals[k], i, &out[k], i);
    }
    arena_reset(s->in.a);
}

static const Tensor *run_scan(Interp *in, const Ins *ins, const Region *r, const Tensor *args) {
    bool complex_ = in->mode == InterpComplex;
    const Fn *body = r->body;
    RegionTypes t = region_types(in->p->cx, in->a, ins, r);
    Tensor *results = NEW_ARRAY(in->a, Tensor, t.nresults);
    Steps s = steps_begin(in, r, args);
    for (uint32_t k = r->carry; k < t.nresults; k++) {
        results[k] = tensor_new(in->a, t.results[k], complex_);
    }
    for (int64_t n = 0; n < r->length; n++) {
        int64_t step = r->reverse ? r->length - 1 - n : n;
        for (uint32_t k = r->carry; k < r->carry + r->seq; k++) {
            s.formals[k] = tensor_new(s.in.a, body->ins.data[k].type, complex_);
            copy_slice(r, &s.formals[k], &args[k], step, false);
        }
        const Tensor *out = interp_apply(&s.in, body, ins->loc, s.formals);
        for (uint32_t k = r->carry; k < t.nresults; k++) {
            copy_slice(r, &results[k], &out[k], step, true);
        }
        steps_next(&s, out);
    }
    for (uint32_t k = 0; k < r->carry; k++) results[k] = s.formals[k];
    arena_free(s.in.a);
    return results;
}

enum { MaxSteps = 1 << 18 }; /* of all loops of a run */

/* A loop that does not end where it was asked to start gives NaN, as a reference has to end. */
static void give_up(Tensor *t, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        for (int64_t i = 0; t[k].re && i < t[k].type.shape->size; i++) t[k].re[i] = (double)NAN;
    }
}

static const Tensor *run_while(Interp *in, const Ins *ins, const Region *r, const Tensor *args) {
    Steps s = steps_begin(in, r, args);
    while (interp_apply(&s.in, r->other, ins->loc, s.formals)[0].i[0]) {
        if (++*in->steps > MaxSteps) {
            give_up(s.formals, r->carry);
            break;
        }
        steps_next(&s, interp_apply(&s.in, r->body, ins->loc, s.formals));
    }
    arena_free(s.in.a);
    return s.formals;
}

static const Tensor *run_cond(Interp *in, const Ins *ins, const Region *r, const Tensor *args) {
    return interp_apply(in, args[0].i[0] ? r->body : r->other, ins->loc, args + 1);
}

static const Tensor *run_checkpoint(Interp *in, const Ins *ins, const Region *r,
                                    const Tensor *args) {
    return interp_apply(in, r->body, ins->loc, args);
}

const Tensor *interp_region(Interp *in, const Ins *ins, const Tensor *args) {
    static const Tensor *(*const run[OpCount])(Interp *, const Ins *, const Region *,
                                               const Tensor *) = {
        [Op_scan] = run_scan, [Op_while] = run_while, [Op_cond] = run_cond,
        [Op_checkpoint] = run_checkpoint};
    Region r = region_of(in->p, ins);
    return run[ins->op](in, ins, &r, args);
}
