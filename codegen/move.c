/* Data movement along an axis, on stored values: plain loops, one element at a time. */
#include "codegen/internal.h"

typedef struct Move {
    KernelCtx *k;
    const Ins *ins;
    Loop loops[MaxRank];
    uint32_t open;
} Move;

static V value_at(Move *m, Val v, const Index *idx) {
    V at;
    int64_t step;
    Cg *cg = m->k->cg;
    const Ins *ins = k_ins(m->k, v);
    if (ins->op == Op_const && ins->ndata == 1) return cg_const(cg, ins->type, ins->data[0], 1);
    index_linear(cg, idx, ins->type.shape, &at, &step);
    return cg_load(cg, ins->type.dt, m->k->base[v], at, 1);
}

static void store_at(Move *m, Val v, const Index *idx, V value) {
    V at;
    int64_t step;
    index_linear(m->k->cg, idx, k_shape(m->k, v), &at, &step);
    cg_store(m->k->cg, k_ins(m->k, v)->type.dt, value, m->k->base[v], at);
}

/* Loops over every index of s but axis `skip` (UINT32_MAX: none). */
static Index nest_open(Move *m, const Shape *s, uint32_t skip) {
    Cg *cg = m->k->cg;
    Index idx = {.rank = s->rank};
    m->open = 0;
    for (uint32_t d = 0; d < s->rank; d++) {
        idx.at[d] = cg_i64(cg, 0);
        if (d == skip) continue;
        idx.at[d] =
            loop_open(cg, &m->loops[m->open++], cg_i64(cg, 0), cg_i64(cg, s->dim[d]), 1, NULL, 0);
    }
    return idx;
}

static void nest_close(Move *m) {
    while (m->open) loop_close(m->k->cg, &m->loops[--m->open], NULL);
}

static void move_concat(Move *m, Val root) {
    int64_t axis = m->ins->attrs[0].i, at = 0;
    for (uint32_t i = 0; i < m->ins->nargs; i++) {
        Val x = m->ins->args[i];
        Index idx = nest_open(m, k_shape(m->k, x), UINT32_MAX);
        V v = value_at(m, x, &idx);
        idx.at[axis] = cg_add_imm(m->k->cg, idx.at[axis], at);
        store_at(m, root, &idx, v);
        nest_close(m);
        at += k_shape(m->k, x)->dim[axis];
    }
}

/* Whether x beats the best so far: NaN beats numbers, the first of equals stays. */
static V beats(Move *m, DType dt, V x, V best) {
    Cg *cg = m->k->cg;
    bool max = m->ins->op == Op_argmax;
    if (!dtype_is_float(dt)) {
        return LLVMBuildICmp(cg->b, max ? LLVMIntSGT : LLVMIntSLT, x, best, "");
    }
    V more = LLVMBuildFCmp(cg->b, max ? LLVMRealOGT : LLVMRealOLT, x, best, "");
    V nan = LLVMBuildFCmp(cg->b, LLVMRealUNO, x, x, ""),
      number = LLVMBuildFCmp(cg->b, LLVMRealORD, best, best, "");
    return LLVMBuildAnd(cg->b, number, LLVMBuildOr(cg->b, more, nan, ""), "");
}

static void move_arg(Move *m, Val root) {
    Cg *cg = m->k->cg;
    Val x = m->ins->args[0];
    const Shape *s = k_shape(m->k, x);
    uint32_t axis = (uint32_t)m->ins->attrs[0].i;
    DType dt = k_ins(m->k, x)->type.dt;
    Index idx = nest_open(m, s, axis), out = {.rank = s->rank - 1};
    V init[] = {value_at(m, x, &idx), cg_i64(cg, 0)};
    Loop l;
    Index at = idx;
    at.at[axis] = loop_open(cg, &l, cg_i64(cg, 1), cg_i64(cg, s->dim[axis]), 1, init, 2);
    V v = value_at(m, x, &at), better = beats(m, dt, v, l.phi[0]);
    V next[] = {LLVMBuildSelect(cg->b, better, v, l.phi[0], ""),
                LLVMBuildSelect(cg->b, better, at.at[axis], l.phi[1], "")};
    loop_close(cg, &l, next);
    for (uint32_t d = 0, o = 0; d < s->rank; d++) {
        if (d != axis) out.at[o++] = idx.at[d];
    }
    store_at(m, root, &out, LLVMBuildTrunc(cg->b, l.phi[1], cg->i32, ""));
    nest_close(m);
}

/* The index of x for an index of gather's result (or of scatter_add's u). */
static Index picked(Move *m, Val i, uint32_t axis, uint32_t rank, const Index *at) {
    Cg *cg = m->k->cg;
    uint32_t ri = k_shape(m->k, i)->rank;
    Index where = {.rank = ri}, x = {.rank = rank};
    for (uint32_t d = 0; d < ri; d++) where.at[d] = at->at[axis + d];
    for (uint32_t d = 0; d < axis; d++) x.at[d] = at->at[d];
    x.at[axis] = LLVMBuildSExt(cg->b, value_at(m, i, &where), cg->i64, "");
    for (uint32_t d = axis + 1; d < rank; d++) x.at[d] = at->at[d + ri - 1];
    return x;
}

static void move_gather(Move *m, Val root) {
    Val x = m->ins->args[0];
    Index out = nest_open(m, k_shape(m->k, root), UINT32_MAX);
    Index from =
        picked(m, m->ins->args[1], (uint32_t)m->ins->attrs[0].i, k_shape(m->k, x)->rank, &out);
    store_at(m, root, &out, value_at(m, x, &from));
    nest_close(m);
}

static void move_scatter(Move *m, Val root) {
    Cg *cg = m->k->cg;
    Val x = m->ins->args[0], u = m->ins->args[2];
    DType dt = m->ins->type.dt;
    Index all = nest_open(m, k_shape(m->k, x), UINT32_MAX);
    store_at(m, root, &all, value_at(m, x, &all));
    nest_close(m);
    Index at = nest_open(m, k_shape(m->k, u), UINT32_MAX);
    Index to =
        picked(m, m->ins->args[1], (uint32_t)m->ins->attrs[0].i, k_shape(m->k, x)->rank, &at);
    V sum = cg_combine(cg, Op_reduce_sum, dt, value_at(m, root, &to), value_at(m, u, &at));
    store_at(m, root, &to, dt == BF16 ? cg_round_bf16(cg, sum) : sum);
    nest_close(m);
}

static void move_cumsum(Move *m, Val root) {
    Cg *cg = m->k->cg;
    Val x = m->ins->args[0];
    const Shape *s = k_shape(m->k, x);
    uint32_t axis = (uint32_t)m->ins->attrs[0].i;
    bool reverse = m->ins->attrs[1].i;
    DType dt = m->ins->type.dt;
    Index idx = nest_open(m, s, axis);
    V init = cg_identity(cg, Op_reduce_sum, dt);
    Loop l;
    V i = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, s->dim[axis]), 1, &init, 1);
    idx.at[axis] = reverse ? LLVMBuildSub(cg->b, cg_i64(cg, s->dim[axis] - 1), i, "") : i;
    V sum = cg_combine(cg, Op_reduce_sum, dt, l.phi[0], value_at(m, x, &idx));
    store_at(m, root, &idx, dt == BF16 ? cg_round_bf16(cg, sum) : sum);
    loop_close(cg, &l, &sum);
    nest_close(m);
}

void cg_move(KernelCtx *k) {
    static const struct {
        Op op;
        void (*emit)(Move *, Val root);
    } moves[] = {{Op_concat, move_concat},       {Op_argmax, move_arg},
                 {Op_argmin, move_arg},          {Op_gather, move_gather},
                 {Op_scatter_add, move_scatter}, {Op_cumsum, move_cumsum}};
    Move m = {.k = k, .ins = k_ins(k, k->k->root)};
    k->chunks = 1;
    if (!m.ins->type.shape->size) return;
    for (size_t i = 0; i < LEN(moves); i++) {
        if (moves[i].op == m.ins->op) {
            moves[i].emit(&m, k->k->root);
            return;
        }
    }
    bug_at(k->cg->cx, m.ins->loc, "%s is no data movement", op_info[m.ins->op].name);
}
