/* Windows of the last axes: where their largest is, an element of each, and the sum of what was
 * placed in them. Results stand side by side in vectors along the last axis. */
#include "codegen/internal.h"

enum { Unrolled = 16 }; /* elements of a window that are looked at one after the other */

typedef struct Window {
    KernelCtx *k;
    const Ins *ins;
    Val x, i;
    uint32_t lead, n; /* axes before the windows, axes of windows */
    const int64_t *size, *stride;
    int64_t elements;
    const Shape *whole; /* what the windows lie in */
    bool across;        /* place: vectors of cells along the last axis */
} Window;

static V value_at(const Window *w, Val v, const Index *idx, unsigned lanes) {
    return cg_splat(w->k->cg, cg_eval(w->k, v, idx, lanes), lanes);
}

static DType float_type(const Window *w) { return k_ins(w->k, w->x)->type.dt; }

static void put(const Window *w, const Index *idx, V value) {
    V at;
    int64_t step;
    index_linear(w->k->cg, idx, w->ins->type.shape, &at, &step);
    cg_store(w->k->cg, w->ins->type.dt, value, w->k->base[w->k->k->root], at);
}

/* Element k of the windows at idx. */
static Index element_of(const Window *w, const Index *idx, V k) {
    Cg *cg = w->k->cg;
    Index r = *idx;
    r.of = NULL;
    for (uint32_t d = w->n; d-- > 0;) {
        V n = cg_i64(cg, w->size[d]), own = d ? LLVMBuildURem(cg->b, k, n, "") : k;
        if (d) k = LLVMBuildUDiv(cg->b, k, n, "");
        r.at[w->lead + d] = cg_add(cg, cg_mul_imm(cg, idx->at[w->lead + d], w->stride[d]), own);
        r.step[w->lead + d] = idx->step[w->lead + d] * w->stride[d];
    }
    return r;
}

/* ---- window_argmax ---- */

static void argmax_step(const Window *w, const Index *idx, V k, unsigned lanes, V *best) {
    Cg *cg = w->k->cg;
    Index at = element_of(w, idx, k);
    V x = value_at(w, w->x, &at, lanes), better = cg_beats(cg, float_type(w), true, x, best[0]);
    V here = cg_splat(cg, LLVMBuildTrunc(cg->b, k, cg->i32, ""), lanes);
    best[0] = LLVMBuildSelect(cg->b, better, x, best[0], "");
    best[1] = LLVMBuildSelect(cg->b, better, here, best[1], "");
}

static void argmax_at(void *data, const Index *idx, unsigned lanes) {
    Window *w = data;
    Cg *cg = w->k->cg;
    Index first = element_of(w, idx, cg_i64(cg, 0));
    V best[] = {value_at(w, w->x, &first, lanes), LLVMConstNull(cg_vec(cg->i32, lanes))};
    if (w->elements <= Unrolled) {
        for (int64_t k = 1; k < w->elements; k++) argmax_step(w, idx, cg_i64(cg, k), lanes, best);
    } else {
        Loop l;
        V k = loop_open(cg, &l, cg_i64(cg, 1), cg_i64(cg, w->elements), 1, best, 2);
        k_forget(w->k);
        copy_bytes(best, l.phi, sizeof best);
        argmax_step(w, idx, k, lanes, best);
        loop_close(cg, &l, best);
        copy_bytes(best, l.phi, sizeof best);
        k_forget(w->k);
    }
    put(w, idx, best[1]);
}

/* ---- window_pick ---- */

static V equal(Cg *cg, V i, int64_t k) {
    V n = cg_splat(cg, cg_int(cg->i32, k), cg_lanes_of(i));
    return LLVMBuildICmp(cg->b, LLVMIntEQ, i, n, "");
}

static void pick_at(void *data, const Index *idx, unsigned lanes) {
    Window *w = data;
    Cg *cg = w->k->cg;
    V i = value_at(w, w->i, idx, lanes);
    if (lanes == 1) {
        Index at = element_of(w, idx, LLVMBuildSExt(cg->b, i, cg->i64, ""));
        put(w, idx, value_at(w, w->x, &at, 1));
        return;
    }
    V r = NULL;
    for (int64_t k = 0; k < w->elements; k++) {
        Index at = element_of(w, idx, cg_i64(cg, k));
        V x = value_at(w, w->x, &at, lanes);
        r = r ? LLVMBuildSelect(cg->b, equal(cg, i, k), x, r, "") : x;
    }
    put(w, idx, r);
}

/* ---- window_place: cell j of an axis is the elements stride * j + r, r < stride ---- */

/* For one window axis: the windows j - a that cover element r of cell j, and their element
 * there. */
typedef struct Cover {
    int64_t r, a; /* a: counted down, so that windows come in order */
} Cover;

static int64_t covers(const Window *w, uint32_t d, int64_t r) {
    return r < w->size[d] ? (w->size[d] - 1 - r) / w->stride[d] + 1 : 0;
}

/* sum + u of the window that c says, where it exists and its index names this element. */
static V add_window(const Window *w, const Index *cell, const Cover *c, unsigned lanes, V sum) {
    Cg *cg = w->k->cg;
    const Shape *u = k_shape(w->k, w->x);
    Index at = *cell;
    at.of = NULL;
    V there = NULL;
    int64_t k = 0;
    for (uint32_t d = 0; d < w->n; d++) {
        V p = cg_add_imm(cg, cell->at[w->lead + d], -c[d].a), zero = cg_i64(cg, 0);
        int64_t n = u->dim[w->lead + d], cells = w->whole->dim[w->lead + d];
        cells = (cells + w->stride[d] - 1) / w->stride[d];
        k = k * w->size[d] + c[d].r + c[d].a * w->stride[d];
        at.at[w->lead + d] = p;
        if (!c[d].a && cells == n) continue;
        V ok = LLVMBuildICmp(cg->b, LLVMIntULT, p, cg_i64(cg, n), "");
        at.at[w->lead + d] = LLVMBuildSelect(cg->b, ok, p, zero, "");
        there = there ? LLVMBuildAnd(cg->b, there, ok, "") : ok;
    }
    V hit = equal(cg, value_at(w, w->i, &at, lanes), k);
    if (there) hit = LLVMBuildAnd(cg->b, hit, cg_splat(cg, there, lanes), "");
    V v = value_at(w, w->x, &at, lanes);
    v = LLVMBuildSelect(cg->b, hit, v, LLVMConstNull(LLVMTypeOf(v)), "");
    DType dt = float_type(w);
    sum = cg_combine(cg, Op_reduce_sum, dt, sum, v);
    return dt == BF16 ? cg_round_bf16(cg, sum) : sum;
}

/* Element r[] of a cell. */
static V element_sum(const Window *w, const Index *cell, const int64_t *r, unsigned lanes) {
    Cg *cg = w->k->cg;
    V sum = LLVMConstNull(cg_vec(cg_reg_type(cg, float_type(w)), lanes));
    int64_t many = 1;
    for (uint32_t d = 0; d < w->n; d++) many *= covers(w, d, r[d]);
    for (int64_t m = 0; m < many; m++) {
        Cover c[MaxRank];
        int64_t rest = m;
        for (uint32_t d = w->n; d-- > 0;) {
            int64_t n = covers(w, d, r[d]);
            c[d] = (Cover){r[d], n - 1 - rest % n};
            rest /= n;
        }
        sum = add_window(w, cell, c, lanes, sum);
    }
    return sum;
}

/* x0 y0 x1 y1 ... */
static V interleaved(Cg *cg, V x, V y) {
    unsigned n = cg_lanes_of(x);
    V mask[2 * MaxLanes];
    for (unsigned l = 0; l < n; l++) {
        mask[2 * l] = cg_int(cg->i32, l);
        mask[2 * l + 1] = cg_int(cg->i32, n + l);
    }
    if (n == 1) {
        V v = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(x), 2));
        v = LLVMBuildInsertElement(cg->b, v, x, cg_int(cg->i32, 0), "");
        return LLVMBuildInsertElement(cg->b, v, y, cg_int(cg->i32, 1), "");
    }
    return LLVMBuildShuffleVector(cg->b, x, y, LLVMConstVector(mask, 2 * n), "");
}

static Index element_index(const Window *w, const Index *cell, const int64_t *r, V *inside) {
    Cg *cg = w->k->cg;
    Index at = *cell;
    at.of = NULL;
    for (uint32_t d = 0; d < w->n; d++) {
        uint32_t full = w->lead + d;
        at.at[full] = cg_add_imm(cg, cg_mul_imm(cg, cell->at[full], w->stride[d]), r[d]);
        at.step[full] = cell->step[full] * w->stride[d];
        int64_t n = w->whole->dim[full];
        if (n % w->stride[d] == 0 || r[d] < n % w->stride[d]) continue;
        V ok = LLVMBuildICmp(cg->b, LLVMIntSLT, at.at[full], cg_i64(cg, n), "");
        *inside = *inside ? LLVMBuildAnd(cg->b, *inside, ok, "") : ok;
    }
    return at;
}

static void place_at(void *data, const Index *cell, unsigned lanes) {
    Window *w = data;
    Cg *cg = w->k->cg;
    int64_t many = 1, r[MaxRank];
    for (uint32_t d = 0; d < w->n; d++) many *= w->stride[d];
    V before = NULL;
    for (int64_t m = 0; m < many; m++) {
        int64_t rest = m;
        for (uint32_t d = w->n; d-- > 0; rest /= w->stride[d]) r[d] = rest % w->stride[d];
        V inside = NULL, sum = element_sum(w, cell, r, lanes);
        Index at = element_index(w, cell, r, &inside);
        if (w->across && w->stride[w->n - 1] == 2) {
            if (r[w->n - 1]) {
                at.at[w->lead + w->n - 1] = cg_add_imm(cg, at.at[w->lead + w->n - 1], -1);
                put(w, &at, interleaved(cg, before, sum));
            }
            before = sum;
            continue;
        }
        When exists = when_open(cg, inside);
        put(w, &at, sum);
        when_close(cg, &exists);
        if (inside) k_forget(w->k);
    }
}

/* The cells of the array; vectors of them along the last axis where all are whole and each has
 * windows of its own there (of one cell, they would run along another axis). */
static const Shape *cells_of(Window *w) {
    int64_t dim[MaxRank];
    copy_bytes(dim, w->whole->dim, w->whole->rank * sizeof *dim);
    uint32_t last = w->n - 1;
    int64_t width = dim[w->lead + last];
    w->across = width > w->stride[last] && w->size[last] <= w->stride[last] &&
                width / w->stride[last] == k_shape(w->k, w->x)->dim[w->lead + last] &&
                w->stride[last] <= 2;
    for (uint32_t d = 0; d < w->n; d++) {
        int64_t *n = &dim[w->lead + d];
        w->across &= *n % w->stride[d] == 0;
        *n = (*n + w->stride[d] - 1) / w->stride[d];
    }
    return shape_of(w->k->cg->cx, dim, w->whole->rank);
}

void cg_window(KernelCtx *k) {
    const Ins *ins = k_ins(k, k->k->root);
    bool place = ins->op == Op_window_place;
    Window w = {.k = k, .ins = ins, .x = ins->args[0], .i = ins->nargs > 1 ? ins->args[1] : NoVal,
                .n = ins->attrs[0].is.n, .size = ins->attrs[0].is.v, .stride = ins->attrs[1].is.v,
                .elements = 1};
    w.whole = place ? ins->type.shape : k_shape(k, w.x);
    w.lead = w.whole->rank - w.n;
    for (uint32_t d = 0; d < w.n; d++) w.elements *= w.size[d];
    Nest n = {.k = k,
              .space = ins->type.shape,
              .skip = MaxRank,
              .lanes = cg_lanes(k->cg, float_type(&w)),
              .work = w.whole->size,
              .body = argmax_at,
              .data = &w};
    if (ins->op == Op_window_pick) {
        n.body = pick_at;
        if (w.elements > Unrolled) n.lanes = 1;
    }
    if (place) {
        n.body = place_at;
        n.space = cells_of(&w);
        if (!w.across) n.lanes = 1;
    }
    k_nest(&n);
}
