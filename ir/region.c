/* Regions: instructions whose meaning are other functions of the program.
 * Tests: tests/passes/region_test.c */
#include "ir/ir.h"

static const Fn *function_of(const Program *p, const Ins *ins, int attr) {
    const Fn *fn = program_fn(p, ins->attrs[attr].s);
    if (!fn) {
        bug_at(p->cx, ins->loc, "%s of unknown function %s", op_info[ins->op].name,
               ins->attrs[attr].s);
    }
    return fn;
}

Region region_of(const Program *p, const Ins *ins) {
    Region r = {.body = function_of(p, ins, ins->op == Op_while ? 1 : 0)};
    if (ins->op == Op_scan) {
        r.carry = (uint32_t)ins->attrs[1].i;
        r.seq = (uint32_t)ins->attrs[2].i;
        r.axis = ins->attrs[3].i;
        r.length = ins->attrs[4].i;
        r.reverse = ins->attrs[5].i;
    } else if (ins->op == Op_while) {
        r.other = function_of(p, ins, 0);
        r.carry = (uint32_t)ins->attrs[2].i;
    } else if (ins->op == Op_cond) {
        r.other = function_of(p, ins, 1);
        r.first = 1;
    }
    return r;
}

int64_t region_axis(const Region *r, uint32_t slice_rank) {
    int64_t axis = r->axis < 0 ? r->axis + (int64_t)slice_rank + 1 : r->axis;
    return axis < 0 || axis > (int64_t)slice_rank ? -1 : axis;
}

Type region_stack(Cx *cx, const Region *r, Type slice) {
    uint32_t rank = slice.shape->rank;
    int64_t axis = region_axis(r, rank), *dim = NEW_ARRAY(cx->scratch, int64_t, rank + 1);
    if (axis < 0) return (Type){slice.dt, slice.range, NULL};
    for (uint32_t d = 0; d <= rank; d++) {
        dim[d] = d == axis ? r->length : slice.shape->dim[d > axis ? d - 1 : d];
    }
    return (Type){slice.dt, slice.range, shape_of(cx, dim, rank + 1)};
}

RegionTypes region_types(Cx *cx, Arena *a, const Ins *ins, const Region *r) {
    const Fn *body = r->body;
    RegionTypes t = {.nargs = body->nparams + r->first, .nresults = body->results.len};
    t.args = NEW_ARRAY(a, Type, t.nargs);
    t.results = NEW_ARRAY(a, Type, t.nresults);
    if (r->first) t.args[0] = (Type){BOOL, 0, shape_scalar(cx)};
    for (uint32_t k = 0; k < body->nparams; k++) {
        Type type = body->ins.data[k].type;
        bool slice = ins->op == Op_scan && k >= r->carry && k < r->carry + r->seq;
        t.args[r->first + k] = slice ? region_stack(cx, r, type) : type;
    }
    for (uint32_t k = 0; k < t.nresults; k++) {
        Type type = body->ins.data[body->results.data[k]].type;
        bool emitted = ins->op == Op_scan && k >= r->carry;
        t.results[k] = emitted ? region_stack(cx, r, type)
                               : k < r->carry ? body->ins.data[k].type : type;
    }
    return t;
}

static uint64_t room(Cx *cx, const Ins *ins, uint64_t *end, uint64_t bytes) {
    uint64_t at = *end;
    if (bytes > UINT64_MAX / 4 || at > UINT64_MAX / 4) {
        bug_at(cx, ins->loc, "the scratch memory of %s overflows", op_info[ins->op].name);
    }
    *end = (at + bytes + 63) & ~UINT64_C(63);
    return at;
}

bool region_in_place(const Region *r, uint32_t k) {
    return r->body->donated && r->body->donated[k] == (int32_t)k;
}

uint64_t region_scratch(Cx *cx, const Ins *ins, const Region *r, uint64_t *carry, uint64_t *arena) {
    uint64_t end = 0, most = r->body->plan->arena_bytes;
    for (uint32_t k = 0; k < r->carry; k++) {
        Type t = r->body->ins.data[k].type;
        if (!region_in_place(r, k))
            carry[k] = room(cx, ins, &end, (uint64_t)t.shape->size * dtype_size(t.dt));
    }
    if (r->other && r->other->plan->arena_bytes > most) most = r->other->plan->arena_bytes;
    *arena = room(cx, ins, &end, most);
    return end;
}
