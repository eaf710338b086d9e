/* Pull evaluation: a value of a kernel at an index, for neighbouring lanes. Views map the index,
 * elementwise operations evaluate their operands there, everything else is loaded. */
#include "codegen/internal.h"

const Ins *k_ins(const KernelCtx *k, Val v) { return &k->fn->ins.data[v]; }
const Shape *k_shape(const KernelCtx *k, Val v) { return k_ins(k, v)->type.shape; }
void k_forget(KernelCtx *k) { k->memo.len = 0; }

Index index_flat(V at, int64_t step) {
    Index idx = {.rank = 1};
    idx.at[0] = at;
    idx.step[0] = step;
    return idx;
}

void index_linear(Cg *cg, const Index *idx, const Shape *s, V *at, int64_t *step) {
    V offset = cg_i64(cg, 0);
    int64_t stride = 1;
    *step = idx->linear_step;
    *at = idx->linear;
    if (idx->of == s) return;
    *step = 0;
    for (uint32_t d = s->rank; d-- > 0;) {
        if (s->dim[d] != 1) {
            offset = cg_add(cg, cg_mul_imm(cg, idx->at[d], stride), offset);
            *step += idx->step[d] * stride;
        }
        stride *= s->dim[d];
    }
    *at = offset;
}

static bool same_index(const Index *a, const Index *b) {
    if (a->rank != b->rank) return false;
    for (uint32_t d = 0; d < a->rank; d++) {
        if (a->at[d] != b->at[d] || a->step[d] != b->step[d]) return false;
    }
    return true;
}

static V lane_index(Cg *cg, V at, int64_t step, unsigned lane) {
    return cg_add_imm(cg, at, step * (int64_t)lane);
}

/* ---- loads ---- */

static V lane_of(Cg *cg, V mask, unsigned lane) {
    return mask ? LLVMBuildExtractElement(cg->b, mask, cg_int(cg->i32, (int)lane), "") : NULL;
}

/* An index that may not exist is read at 0. */
static V where_set(Cg *cg, V mask, V at) {
    return mask ? LLVMBuildSelect(cg->b, mask, at, cg_i64(cg, 0), "") : at;
}

static V load_at(KernelCtx *k, Val v, const Index *idx, unsigned lanes) {
    Cg *cg = k->cg;
    const Ins *ins = k_ins(k, v);
    V base = k->base[v], at;
    int64_t step;
    if (k->flat) {
        bool one = ins->type.shape->size == 1;
        at = one ? cg_i64(cg, 0) : idx->at[0];
        step = one ? 0 : idx->step[0];
    } else {
        index_linear(cg, idx, ins->type.shape, &at, &step);
    }
    if (!base) bug_at(cg->cx, ins->loc, "kernel %u reads %%%u, which is not stored", k->k->id, v);
    V mask = k->mask && cg_lanes_of(k->mask) == lanes ? k->mask : NULL;
    if (!mask || step == 0) return cg_load_apart(cg, ins->type.dt, base, at, step, lanes);
    if (lanes == 1) return cg_load(cg, ins->type.dt, base, where_set(cg, mask, at), 1);
    if (step == 1) return cg_load_masked(cg, ins->type.dt, base, at, mask);
    V r = LLVMGetPoison(cg_vec(cg_reg_type(cg, ins->type.dt), lanes));
    for (unsigned l = 0; l < lanes; l++) {
        V one = where_set(cg, lane_of(cg, mask, l), lane_index(cg, at, step, l));
        V x = cg_load(cg, ins->type.dt, base, one, 1);
        r = LLVMBuildInsertElement(cg->b, r, x, cg_int(cg->i32, (int)l), "");
    }
    return r;
}

/* ---- views: the operand's index from the result's ---- */

static Index broadcast_index(KernelCtx *k, const Ins *ins, const Index *idx) {
    const Shape *from = k_shape(k, ins->args[0]), *to = ins->type.shape;
    Index r = {.rank = from->rank};
    for (uint32_t d = 0; d < from->rank; d++) {
        uint32_t o = to->rank - from->rank + d;
        bool stretched = from->dim[d] == 1;
        r.at[d] = stretched ? cg_i64(k->cg, 0) : idx->at[o];
        r.step[d] = stretched ? 0 : idx->step[o];
    }
    return r;
}

static Index transpose_index(const Ins *ins, const Index *idx) {
    Index r = {.rank = idx->rank};
    for (uint32_t d = 0; d < idx->rank; d++) {
        int64_t from = ins->attrs[0].is.v[d];
        r.at[from] = idx->at[d];
        r.step[from] = idx->step[d];
    }
    return r;
}

static Index slice_index(Cg *cg, const Ins *ins, const Index *idx) {
    Index r = {.rank = idx->rank};
    for (uint32_t d = 0; d < idx->rank; d++) {
        int64_t stride = ins->attrs[2].kind == AttrInts ? ins->attrs[2].is.v[d] : 1;
        r.at[d] = cg_add_imm(cg, cg_mul_imm(cg, idx->at[d], stride), ins->attrs[0].is.v[d]);
        r.step[d] = idx->step[d] * stride;
    }
    return r;
}

static Index flip_index(Cg *cg, const Ins *ins, const Index *idx) {
    Index r = *idx;
    r.of = NULL;
    for (uint32_t i = 0; i < ins->attrs[0].is.n; i++) {
        int64_t d = ins->attrs[0].is.v[i];
        r.at[d] = LLVMBuildSub(cg->b, cg_i64(cg, ins->type.shape->dim[d] - 1), idx->at[d], "");
        r.step[d] = -idx->step[d];
    }
    return r;
}

/* Dimensions of size 1 come and go freely; false where sizes regroup. */
static bool reshape_units(Cg *cg, const Shape *to, const Shape *from, const Index *idx, Index *r) {
    uint32_t o = 0;
    for (uint32_t d = 0; d < from->rank; d++) {
        r->at[d] = cg_i64(cg, 0);
        if (from->dim[d] == 1) continue;
        while (o < to->rank && to->dim[o] == 1) o++;
        if (o == to->rank || to->dim[o] != from->dim[d]) return false;
        r->at[d] = idx->at[o];
        r->step[d] = idx->step[o++];
    }
    while (o < to->rank && to->dim[o] == 1) o++;
    return o == to->rank;
}

/* Regroups the dimensions before the last `inner` ones, through the index of the row. */
static void split_row(Cg *cg, V at, const Shape *from, uint32_t dims, Index *r) {
    for (uint32_t d = dims; d-- > 0;) {
        V n = cg_i64(cg, from->dim[d]);
        r->at[d] = d ? LLVMBuildURem(cg->b, at, n, "") : at;
        r->step[d] = 0;
        if (d) at = LLVMBuildUDiv(cg->b, at, n, "");
    }
}

/* The last dimension that is not 1; 0 if there is none. */
static uint32_t inner_dim(const Shape *s) {
    uint32_t d = s->rank;
    while (d > 1 && s->dim[d - 1] == 1) d--;
    return d ? d - 1 : 0;
}

/* The index in `from` of what stands at idx in its reshape `to`; false if lanes are not evenly
 * spaced there. */
static bool index_reshape(Cg *cg, const Shape *to, const Shape *from, const Index *idx,
                          unsigned lanes, Index *r) {
    *r = (Index){.rank = from->rank};
    if (!reshape_units(cg, to, from, idx, r)) {
        V at;
        int64_t step;
        uint32_t o = inner_dim(to), d = inner_dim(from);
        if (to->dim[o] == from->dim[d]) {
            Index outer = *idx;
            outer.rank = o;
            const Shape *rows = shape_of(cg->cx, to->dim, o);
            outer.of = NULL;
            index_linear(cg, &outer, rows, &at, &step);
            if (lanes > 1 && step) return false;
            for (uint32_t e = d; e < from->rank; e++) r->at[e] = cg_i64(cg, 0), r->step[e] = 0;
            split_row(cg, at, from, d, r);
            r->at[d] = idx->at[o];
            r->step[d] = idx->step[o];
        } else {
            if (lanes > 1) return false;
            index_linear(cg, idx, to, &at, &step);
            split_row(cg, at, from, from->rank, r);
        }
    }
    r->of = from;
    index_linear(cg, idx, to, &r->linear, &r->linear_step);
    return true;
}

static int64_t pad_gap(const Ins *ins, uint32_t d) {
    return (ins->attrs[2].kind == AttrInts ? ins->attrs[2].is.v[d] : 0) + 1;
}

/* at + step * (0, 1, ...) as a vector of i64. */
static V index_vector(Cg *cg, V at, int64_t step, unsigned lanes) {
    if (lanes == 1) return at;
    V ramp[MaxLanes];
    for (unsigned l = 0; l < lanes; l++) ramp[l] = cg_i64(cg, step * (int64_t)l);
    return LLVMBuildAdd(cg->b, cg_splat(cg, at, lanes), LLVMConstVector(ramp, lanes), "");
}

/* 0 <= i < n */
static V in_range(Cg *cg, V i, int64_t n) {
    V limit = cg_splat(cg, cg_i64(cg, n), cg_lanes_of(i));
    return LLVMBuildICmp(cg->b, LLVMIntULT, i, limit, "");
}

/* The element where the index falls on one, else the value. Lanes run along dimensions without
 * gaps. An index that is the same for all lanes stays in range, one that differs is masked. */
static V eval_pad(KernelCtx *k, const Ins *ins, const Index *idx, unsigned lanes) {
    Cg *cg = k->cg;
    const Shape *from = k_shape(k, ins->args[0]);
    V all = cg_int(cg->i1, 1), mask = NULL, outer = k->mask;
    Index r = {.rank = from->rank}, none = {0};
    for (uint32_t d = 0; d < from->rank; d++) {
        int64_t gap = pad_gap(ins, d);
        V i = cg_add_imm(cg, idx->at[d], -ins->attrs[0].is.v[d]), q = i;
        if (idx->step[d]) {
            V ok = in_range(cg, index_vector(cg, i, idx->step[d], lanes), from->dim[d]);
            mask = mask ? LLVMBuildAnd(cg->b, mask, ok, "") : ok;
            r.at[d] = i;
            r.step[d] = idx->step[d];
            continue;
        }
        if (gap > 1) {
            V rest = LLVMBuildSRem(cg->b, i, cg_i64(cg, gap), "");
            q = LLVMBuildSDiv(cg->b, i, cg_i64(cg, gap), "");
            all = LLVMBuildAnd(cg->b, all, LLVMBuildIsNull(cg->b, rest, ""), "");
        }
        V ok = in_range(cg, q, from->dim[d]);
        r.at[d] = LLVMBuildSelect(cg->b, ok, q, cg_i64(cg, 0), "");
        all = LLVMBuildAnd(cg->b, all, ok, "");
    }
    V value = cg_eval(k, ins->args[1], &none, 1);
    if (!from->size) return value;
    if (mask) {
        all = LLVMBuildAnd(cg->b, mask, cg_splat(cg, all, lanes), "");
        bool both = outer && cg_lanes_of(outer) == lanes;
        k->mask = both ? LLVMBuildAnd(cg->b, all, outer, "") : all;
    }
    V inside = cg_splat(cg, cg_eval(k, ins->args[0], &r, lanes), lanes);
    k->mask = outer;
    return LLVMBuildSelect(cg->b, all, inside, cg_splat(cg, value, lanes), "");
}

static bool lanes_cross_gaps(const Ins *ins, const Index *idx) {
    for (uint32_t d = 0; d < idx->rank; d++) {
        if (idx->step[d] && pad_gap(ins, d) > 1) return true;
    }
    return false;
}

/* Lane by lane, for views whose lanes are not evenly spaced. */
static V eval_lanes(KernelCtx *k, Val v, const Index *idx, unsigned lanes) {
    Cg *cg = k->cg;
    V r = LLVMGetPoison(cg_vec(cg_reg_type(cg, k_ins(k, v)->type.dt), lanes)), mask = k->mask;
    for (unsigned l = 0; l < lanes; l++) {
        if (mask && cg_lanes_of(mask) == lanes) k->mask = lane_of(cg, mask, l);
        Index one = *idx;
        one.of = NULL;
        for (uint32_t d = 0; d < idx->rank; d++) {
            one.at[d] = lane_index(cg, idx->at[d], idx->step[d], l);
            one.step[d] = 0;
        }
        r = LLVMBuildInsertElement(cg->b, r, cg_eval(k, v, &one, 1), cg_int(cg->i32, (int)l), "");
    }
    k->mask = mask;
    return r;
}

static V eval_view(KernelCtx *k, Val v, const Index *idx, unsigned lanes) {
    Cg *cg = k->cg;
    const Ins *ins = k_ins(k, v);
    Index r;
    switch ((Op)ins->op) {
    case Op_broadcast:
        if (!k->flat)
            r = broadcast_index(k, ins, idx);
        else
            r = k_shape(k, ins->args[0])->size == 1 ? index_flat(cg_i64(cg, 0), 0) : *idx;
        break;
    case Op_transpose: r = transpose_index(ins, idx); break;
    case Op_slice: r = slice_index(cg, ins, idx); break;
    case Op_flip: r = flip_index(cg, ins, idx); break;
    case Op_reshape:
        if (k->flat)
            r = *idx;
        else if (!index_reshape(cg, ins->type.shape, k_shape(k, ins->args[0]), idx, lanes, &r))
            return eval_lanes(k, v, idx, lanes);
        break;
    case Op_pad:
        if (lanes > 1 && lanes_cross_gaps(ins, idx)) return eval_lanes(k, v, idx, lanes);
        return eval_pad(k, ins, idx, lanes);
    default: bug_at(cg->cx, ins->loc, "%s is no view", op_info[ins->op].name);
    }
    return cg_eval(k, ins->args[0], &r, lanes);
}

static V eval_source(KernelCtx *k, Val v, const Index *idx, unsigned lanes) {
    Cg *cg = k->cg;
    const Ins *ins = k_ins(k, v);
    V at = idx->rank ? idx->at[0] : cg_i64(cg, 0);
    int64_t step = idx->rank ? idx->step[0] : 0;
    if (ins->op == Op_iota) {
        return LLVMBuildTrunc(cg->b, index_vector(cg, at, step, lanes), cg_vec(cg->i32, lanes), "");
    }
    if (!k->flat) index_linear(cg, idx, ins->type.shape, &at, &step);
    Index none = {0};
    V key = cg_eval(k, ins->args[0], &none, 1);
    return cg_random(cg, ins->type.dt, key, ins->attrs[0].i, index_vector(cg, at, step, lanes));
}

static V eval_elem(KernelCtx *k, Val v, const Index *idx, unsigned lanes) {
    const Ins *ins = k_ins(k, v);
    V args[MaxOperands];
    for (uint32_t i = 0; i < ins->nargs; i++) {
        args[i] = cg_splat(k->cg, cg_eval(k, ins->args[i], idx, lanes), lanes);
    }
    return cg_elem(k->cg, ins, k_ins(k, ins->args[ins->nargs - 1])->type.dt, args);
}

static V compute(KernelCtx *k, Val v, const Index *idx, unsigned lanes) {
    const Ins *ins = k_ins(k, v);
    if (ins->op == Op_const && ins->ndata == 1)
        return cg_const(k->cg, ins->type, ins->data[0], lanes);
    if (!k->member[v]) return load_at(k, v, idx, lanes);
    switch (op_info[ins->op].cls) {
    case ClsElem: return eval_elem(k, v, idx, lanes);
    case ClsView: return eval_view(k, v, idx, lanes);
    case ClsSource: return eval_source(k, v, idx, lanes);
    case ClsReduce:
    case ClsContract:
    case ClsMove:
    case ClsCall:
    case ClsRegion:
    case ClsOperator: break;
    }
    bug_at(k->cg->cx, ins->loc, "%s cannot be evaluated at an index", op_info[ins->op].name);
}

V cg_eval(KernelCtx *k, Val v, const Index *idx, unsigned lanes) {
    if (v == k->k->root && k->root) return k->root;
    for (uint32_t i = 0; i < k->memo.len; i++) {
        const Memo *m = &k->memo.data[i];
        bool same = m->v == v && m->lanes == lanes && m->mask == k->mask;
        if (same && same_index(&m->idx, idx)) return m->value;
    }
    V value = compute(k, v, idx, lanes);
    vec_push(k->cg->cx->scratch, &k->memo, (Memo){v, lanes, *idx, k->mask, value});
    return value;
}

void k_store_outputs(KernelCtx *k, const Index *idx, unsigned lanes) {
    Cg *cg = k->cg;
    V values[64];
    uint32_t n = k->k->outputs.len;
    if (n > LEN(values)) BUG(cg->cx, "kernel %u has too many outputs", k->k->id);
    Index *own = NEW_ARRAY(cg->cx->scratch, Index, n);
    for (uint32_t i = 0; i < n; i++) {
        Val v = k->k->outputs.data[i];
        own[i] = *idx;
        if (!k->flat && k_shape(k, v) != k->k->space &&
            !index_reshape(cg, k->k->space, k_shape(k, v), idx, lanes, &own[i]))
            BUG(cg->cx, "kernel %u stores in other rows", k->k->id);
        values[i] = cg_splat(cg, cg_eval(k, v, &own[i], lanes), lanes);
    }
    for (uint32_t i = 0; i < n; i++) {
        Val v = k->k->outputs.data[i];
        V at = idx->at[0];
        int64_t step = idx->step[0];
        if (!k->flat) index_linear(cg, &own[i], k_shape(k, v), &at, &step);
        if (lanes > 1 && step != 1) BUG(cg->cx, "kernel %u stores lanes apart", k->k->id);
        cg_store(cg, k_ins(k, v)->type.dt, values[i], k->base[v], at);
    }
}

bool k_is_flat(const KernelCtx *k, const Shape *space) {
    for (uint32_t i = 0; i < k->k->members.len; i++) {
        Val v = k->k->members.data[i];
        const Ins *ins = k_ins(k, v);
        if (v == k->k->root) continue;
        bool spread = ins->op == Op_broadcast && k_shape(k, ins->args[0])->size == 1;
        bool same = ins->op == Op_reshape ||
                    (ins->op == Op_broadcast && k_shape(k, ins->args[0])->size == space->size);
        bool iota = ins->op == Op_iota && space->rank == 1;
        bool plain = op_info[ins->op].cls == ClsElem || ins->op == Op_rng || ins->op == Op_const;
        if (!spread && !same && !iota && !plain) return false;
        if (ins->type.shape->size != space->size && ins->type.shape->size != 1) return false;
        for (uint32_t a = 0; a < ins->nargs; a++) {
            int64_t size = k_shape(k, ins->args[a])->size;
            if (size != space->size && size != 1) return false;
        }
    }
    return true;
}
