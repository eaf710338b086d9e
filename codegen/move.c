/* Data movement along an axis, on stored values; concat's are computed here. Outputs stand side by
 * side in vectors; along the axis everything goes one after the other. */
#include "codegen/internal.h"

typedef struct Move {
    KernelCtx *k;
    const Ins *ins;
    Val root, x;
    uint32_t axis;
    int64_t at; /* concat: where x begins */
} Move;

static V value_at(const Move *m, Val v, const Index *idx, unsigned lanes) {
    return cg_splat(m->k->cg, cg_eval(m->k, v, idx, lanes), lanes);
}

static void store_at(const Move *m, const Index *idx, V value) {
    Cg *cg = m->k->cg;
    V at, base = m->k->base[m->root];
    int64_t step;
    DType dt = m->ins->type.dt;
    unsigned lanes = cg_lanes_of(value);
    index_linear(cg, idx, m->ins->type.shape, &at, &step);
    if (lanes == 1 || step == 1) {
        cg_store(cg, dt, value, base, at);
        return;
    }
    for (unsigned l = 0; l < lanes; l++) {
        V x = LLVMBuildExtractElement(cg->b, value, cg_int(cg->i32, (int)l), "");
        cg_store(cg, dt, x, base, cg_add_imm(cg, at, step * (int64_t)l));
    }
}

/* work: 0 where the kernel has nests that would be cut elsewhere, or where the order of all stores
 * matters. */
static void nest(Move *m, const Shape *s, uint32_t skip, unsigned lanes, int64_t work,
                 void (*body)(void *, const Index *, unsigned)) {
    k_nest(&(Nest){.k = m->k,
                   .space = s,
                   .skip = skip,
                   .lanes = lanes,
                   .work = work,
                   .body = body,
                   .data = m});
}

static unsigned lanes_of(const Move *m, Val v) {
    return cg_lanes(m->k->cg, k_ins(m->k, v)->type.dt);
}

/* ---- concat ---- */

static void concat_at(void *data, const Index *idx, unsigned lanes) {
    Move *m = data;
    Index to = *idx;
    to.at[m->axis] = cg_add_imm(m->k->cg, to.at[m->axis], m->at);
    store_at(m, &to, value_at(m, m->x, idx, lanes));
}

static uint32_t next_long(const Shape *s, uint32_t d) {
    while (d < s->rank && s->dim[d] == 1) d++;
    return d;
}

/* The work to be cut, all operands alike: along a dimension before the axis that is not the one
 * which is vectorised. */
static int64_t concat_work(const Move *m) {
    uint32_t outer = next_long(m->ins->type.shape, 0);
    bool cut = outer < m->axis;
    for (uint32_t i = 0; cut && i < m->ins->nargs; i++) {
        const Shape *s = k_shape(m->k, m->ins->args[i]);
        cut = next_long(s, outer + 1) < s->rank;
    }
    return cut ? m->ins->type.shape->size : 0;
}

static void move_concat(Move *m) {
    int64_t work = concat_work(m);
    for (uint32_t i = 0; i < m->ins->nargs; i++) {
        m->x = m->ins->args[i];
        const Shape *s = k_shape(m->k, m->x);
        if (s->size) nest(m, s, MaxRank, lanes_of(m, m->x), work, concat_at);
        m->at += s->dim[m->axis];
    }
}

/* ---- argmax, argmin ---- */

V cg_beats(Cg *cg, DType dt, bool max, V x, V best) {
    if (!dtype_is_float(dt)) {
        LLVMIntPredicate more = dt == BOOL ? (max ? LLVMIntUGT : LLVMIntULT)
                                           : (max ? LLVMIntSGT : LLVMIntSLT);
        return LLVMBuildICmp(cg->b, more, x, best, "");
    }
    V more = LLVMBuildFCmp(cg->b, max ? LLVMRealOGT : LLVMRealOLT, x, best, "");
    V nan = LLVMBuildFCmp(cg->b, LLVMRealUNO, x, x, "");
    V number = LLVMBuildFCmp(cg->b, LLVMRealORD, best, best, "");
    return LLVMBuildAnd(cg->b, number, LLVMBuildOr(cg->b, more, nan, ""), "");
}

static void arg_at(void *data, const Index *idx, unsigned lanes) {
    Move *m = data;
    Cg *cg = m->k->cg;
    const Shape *s = k_shape(m->k, m->x);
    Index at = *idx, out = {.rank = s->rank - 1};
    V init[] = {value_at(m, m->x, idx, lanes), LLVMConstNull(cg_vec(cg->i32, lanes))};
    Loop l;
    V i = loop_open(cg, &l, cg_i64(cg, 1), cg_i64(cg, s->dim[m->axis]), 1, init, 2);
    k_forget(m->k);
    at.at[m->axis] = i;
    V x = value_at(m, m->x, &at, lanes);
    V better = cg_beats(cg, k_ins(m->k, m->x)->type.dt, m->ins->op == Op_argmax, x, l.phi[0]);
    V here = cg_splat(cg, LLVMBuildTrunc(cg->b, i, cg->i32, ""), lanes);
    V next[] = {LLVMBuildSelect(cg->b, better, x, l.phi[0], ""),
                LLVMBuildSelect(cg->b, better, here, l.phi[1], "")};
    loop_close(cg, &l, next);
    for (uint32_t d = 0, o = 0; d < s->rank; d++) {
        if (d == m->axis) continue;
        out.at[o] = idx->at[d];
        out.step[o++] = idx->step[d];
    }
    store_at(m, &out, l.phi[1]);
}

static void move_arg(Move *m) {
    const Shape *s = k_shape(m->k, m->x);
    nest(m, s, m->axis, lanes_of(m, m->x), s->size, arg_at);
}

/* ---- gather, scatter_add ---- */

/* The index of x for an index of gather's result (or of scatter_add's u). */
static Index picked(const Move *m, const Index *at) {
    Cg *cg = m->k->cg;
    Val i = m->ins->args[1];
    uint32_t ri = k_shape(m->k, i)->rank, rank = k_shape(m->k, m->x)->rank;
    Index where = {.rank = ri}, x = {.rank = rank};
    for (uint32_t d = 0; d < ri; d++) where.at[d] = at->at[m->axis + d];
    for (uint32_t d = 0; d < rank; d++) {
        uint32_t from = d < m->axis ? d : d + ri - 1;
        if (d != m->axis) x.at[d] = at->at[from];
        if (d != m->axis) x.step[d] = at->step[from];
    }
    x.at[m->axis] = LLVMBuildSExt(cg->b, value_at(m, i, &where, 1), cg->i64, "");
    return x;
}

/* Lanes along a dimension behind those of the indices, else one at a time. */
static unsigned picked_lanes(const Move *m, const Shape *out) {
    uint32_t d = out->rank, behind = m->axis + k_shape(m->k, m->ins->args[1])->rank;
    while (d > behind && out->dim[d - 1] == 1) d--;
    return d > behind ? lanes_of(m, m->x) : 1;
}

static void gather_at(void *data, const Index *idx, unsigned lanes) {
    Move *m = data;
    Index from = picked(m, idx);
    store_at(m, idx, value_at(m, m->x, &from, lanes));
}

static void move_gather(Move *m) {
    const Shape *out = m->ins->type.shape;
    nest(m, out, MaxRank, picked_lanes(m, out), out->size, gather_at);
}

static void copy_at(void *data, const Index *idx, unsigned lanes) {
    Move *m = data;
    store_at(m, idx, value_at(m, m->x, idx, lanes));
}

static void scatter_at(void *data, const Index *idx, unsigned lanes) {
    Move *m = data;
    Cg *cg = m->k->cg;
    DType dt = m->ins->type.dt;
    Index to = picked(m, idx);
    V at;
    int64_t step;
    index_linear(cg, &to, m->ins->type.shape, &at, &step);
    V old = cg_load(cg, dt, m->k->base[m->root], at, lanes);
    V sum = cg_combine(cg, Op_reduce_sum, dt, old, value_at(m, m->ins->args[2], idx, lanes));
    store_at(m, &to, dt == BF16 ? cg_round_bf16(cg, sum) : sum);
}

/* x itself is not copied. */
static void move_scatter(Move *m) {
    Cg *cg = m->k->cg;
    const Shape *u = k_shape(m->k, m->ins->args[2]);
    V from = m->k->base[m->x]; /* none of a literal */
    V to = m->k->base[m->root];
    When apart = when_open(cg, from ? LLVMBuildICmp(cg->b, LLVMIntNE, from, to, "") : NULL);
    nest(m, m->ins->type.shape, MaxRank, lanes_of(m, m->x), 0, copy_at);
    when_close(cg, &apart);
    k_forget(m->k);
    if (u->size) nest(m, u, MaxRank, picked_lanes(m, u), 0, scatter_at);
}

/* ---- cumsum ---- */

static void cumsum_at(void *data, const Index *idx, unsigned lanes) {
    Move *m = data;
    Cg *cg = m->k->cg;
    bool reverse = m->ins->attrs[1].i;
    DType dt = m->ins->type.dt;
    int64_t n = m->ins->type.shape->dim[m->axis];
    Index at = *idx;
    V init = cg_splat(cg, cg_identity(cg, Op_reduce_sum, dt), lanes);
    Loop l;
    V i = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, n), 1, &init, 1);
    k_forget(m->k);
    at.at[m->axis] = reverse ? LLVMBuildSub(cg->b, cg_i64(cg, n - 1), i, "") : i;
    V sum = cg_combine(cg, Op_reduce_sum, dt, l.phi[0], value_at(m, m->x, &at, lanes));
    store_at(m, &at, dt == BF16 ? cg_round_bf16(cg, sum) : sum);
    loop_close(cg, &l, &sum);
}

static void move_cumsum(Move *m) {
    const Shape *s = m->ins->type.shape;
    nest(m, s, m->axis, lanes_of(m, m->x), s->size, cumsum_at);
}

void cg_move(KernelCtx *k) {
    static const struct {
        Op op;
        void (*emit)(Move *);
    } moves[] = {{Op_concat, move_concat}, {Op_argmax, move_arg},
                 {Op_argmin, move_arg},    {Op_gather, move_gather},
                 {Op_cumsum, move_cumsum}, {Op_scatter_add, move_scatter}};
    const Ins *ins = k_ins(k, k->k->root);
    Move m = {.k = k,
              .ins = ins,
              .root = k->k->root,
              .x = ins->args[0],
              .axis = (uint32_t)ins->attrs[0].i};
    k->chunks = 1;
    if (!ins->type.shape->size) return;
    for (size_t i = 0; i < LEN(moves); i++) {
        if (moves[i].op == ins->op) {
            moves[i].emit(&m);
            return;
        }
    }
    if (ins->op == Op_window_argmax || ins->op == Op_window_pick || ins->op == Op_window_place) {
        cg_window(k);
        return;
    }
    bug_at(k->cg->cx, ins->loc, "%s is no data movement", op_info[ins->op].name);
}
