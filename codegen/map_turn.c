/* Maps that turn what they read: results lie along the last axis, operands along another one.
 * Blocks of neighbours are evaluated along the operands' axis and transposed in registers. */
#include "codegen/internal.h"

typedef struct Turn {
    KernelCtx *k;
    Val out;
    uint32_t along; /* the operands' axis */
    unsigned lanes;
    Index idx;
} Turn;

enum { Least = 4 }; /* shorter axes are not worth it */

/* The axis along which a transposed operand lies; false where there is none. */
static bool axis_of(const KernelCtx *k, uint32_t *along) {
    const Shape *s = k->k->space;
    for (uint32_t i = 0; i < k->k->members.len; i++) {
        const Ins *ins = k_ins(k, k->k->members.data[i]);
        if (ins->op != Op_transpose || ins->type.shape != s) continue;
        for (uint32_t d = 0; d + 1 < s->rank; d++) {
            *along = d;
            if (ins->attrs[0].is.v[d] == (int64_t)s->rank - 1) return s->dim[d] >= Least;
        }
    }
    return false;
}

static void put(const Turn *t, const Index *idx, V v, unsigned count) {
    Cg *cg = t->k->cg;
    const Ins *ins = k_ins(t->k, t->out);
    V at;
    int64_t step;
    index_linear(cg, idx, ins->type.shape, &at, &step);
    for (unsigned lanes = cg_lanes_of(v), from = 0; from < count; lanes /= 2) {
        if (count - from < lanes) continue;
        V to = cg_add_imm(cg, at, from);
        cg_store(cg, ins->type.dt, cg_part(cg, v, from, lanes), t->k->base[t->out], to);
        from += lanes;
    }
}

/* `width` places from j along the operands' axis, `count` from i along the last. */
static void block(Turn *t, V j, unsigned width, V i, unsigned count) {
    Cg *cg = t->k->cg;
    uint32_t last = t->idx.rank - 1;
    V rows[MaxLanes];
    Index idx = t->idx;
    idx.at[t->along] = j;
    idx.step[t->along] = width > 1;
    k_forget(t->k);
    for (unsigned r = 0; r < width; r++) {
        idx.at[last] = cg_add_imm(cg, i, r);
        if (r < count) rows[r] = cg_splat(cg, cg_eval(t->k, t->out, &idx, width), width);
        else rows[r] = LLVMGetPoison(LLVMTypeOf(rows[0]));
    }
    cg_transpose(cg, rows, width, width);
    idx.step[t->along] = 0;
    idx.at[last] = i;
    for (unsigned c = 0; c < width; c++) {
        idx.at[t->along] = cg_add_imm(cg, j, c);
        put(t, &idx, rows[c], count);
    }
    k_forget(t->k);
}

static void row(Turn *t, V j, unsigned width) {
    Cg *cg = t->k->cg;
    int64_t n = t->k->k->space->dim[t->idx.rank - 1], whole = n - n % width;
    Loop l;
    if (whole) {
        V i = loop_open(cg, &l, cg_i64(cg, 0), cg_i64(cg, whole), width, NULL, 0);
        block(t, j, width, i, width);
        loop_close(cg, &l, NULL);
    }
    if (n > whole) block(t, j, width, cg_i64(cg, whole), (unsigned)(n - whole));
}

/* The places that whole strips leave over, in narrower ones. */
static void rest_of_plane(Turn *t) {
    int64_t n = t->k->k->space->dim[t->along], from = n - n % t->lanes;
    for (unsigned width = t->lanes / 2; width; width /= 2) {
        if (n - from < width) continue;
        row(t, cg_i64(t->k->cg, from), width);
        from += width;
    }
}

/* Strip `number` of a plane: `lanes` places along the operands' axis; the last may have fewer. */
static void strip(Turn *t, V number) {
    Cg *cg = t->k->cg;
    int64_t n = t->k->k->space->dim[t->along], whole = n / t->lanes;
    bool rest = n % t->lanes;
    V is_whole = LLVMBuildICmp(cg->b, LLVMIntSLT, number, cg_i64(cg, whole), "");
    When w = when_open(cg, whole && rest ? is_whole : NULL);
    if (whole) row(t, cg_mul_imm(cg, number, t->lanes), t->lanes);
    when_else(cg, &w);
    if (rest) rest_of_plane(t);
    when_close(cg, &w);
}

bool cg_map_turned(KernelCtx *k, unsigned lanes) {
    Cg *cg = k->cg;
    const Shape *s = k->k->space;
    Turn t = {.k = k, .lanes = lanes, .idx = {.rank = s->rank}};
    if (k->k->outputs.len != 1 || !axis_of(k, &t.along) || s->dim[s->rank - 1] < Least)
        return false;
    t.out = k->k->outputs.data[0];
    const Type out = k_ins(k, t.out)->type;
    if (out.dt == BOOL || out.shape != s) return false;
    int64_t strips = ceil_div(s->dim[t.along], lanes), inside = lanes * s->dim[s->rank - 1];
    int64_t all = s->size / (s->dim[t.along] * s->dim[s->rank - 1]) * strips;
    int64_t per = MapChunk / k_cost(k, inside) + 1;
    V lo = cg_i64(cg, 0), hi = cg_i64(cg, all);
    if (k_cost(k, s->size) >= MapGrain && all > per && all / per < UINT32_MAX) {
        k->chunks = (uint32_t)ceil_div(all, per);
        lo = cg_mul_imm(cg, k->chunk, per);
        V end = cg_add_imm(cg, lo, per);
        hi = cg_least(cg, end, hi);
    }
    Loop l;
    V i = loop_open(cg, &l, lo, hi, 1, NULL, 0), number = i, at = i;
    if (all > strips) {
        at = LLVMBuildURem(cg->b, i, cg_i64(cg, strips), "");
        number = LLVMBuildUDiv(cg->b, i, cg_i64(cg, strips), "");
    }
    for (uint32_t d = s->rank - 1; d-- > 0;) {
        if (d == t.along) continue;
        V n = cg_i64(cg, s->dim[d]);
        t.idx.at[d] = s->dim[d] == 1 ? cg_i64(cg, 0) : LLVMBuildURem(cg->b, number, n, "");
        if (s->dim[d] > 1) number = LLVMBuildUDiv(cg->b, number, n, "");
    }
    strip(&t, at);
    loop_close(cg, &l, NULL);
    return true;
}
