/* Sources, views and data movement: every result element from the operand's element. */
#include "ir/interp.h"

#include <math.h>

void interp_source(Interp *in, const Ins *ins, Tensor *r) {
    int64_t n = ins->type.shape->size;
    if (ins->op == Op_iota) {
        for (int64_t i = 0; i < n; i++) r->i[i] = i;
        return;
    }
    uint64_t key = rng_fold((uint64_t)in->vals[ins->args[0]].i[0], (uint64_t)ins->attrs[0].i);
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = rng_bits(key, (uint64_t)i);
        /* the number is a fact of the declared type, in every mode */
        double u = ins->type.dt == F64 ? rng_f64(bits) : (double)rng_f32(bits);
        r->re[i] = ins->type.dt == BF16 ? (double)round_bf16((float)u) : u;
    }
}

/* ---- views: coordinates of the operand from those of the result ---- */

typedef struct View {
    const Ins *ins;
    const Shape *from, *to;
} View;

static bool from_broadcast(const View *v, const int64_t *at, int64_t *x) {
    uint32_t skip = v->to->rank - v->from->rank;
    for (uint32_t d = 0; d < v->from->rank; d++) x[d] = v->from->dim[d] == 1 ? 0 : at[skip + d];
    return true;
}
static bool from_reshape(const View *v, const int64_t *at, int64_t *x) {
    coords_of(v->from, offset_of(v->to, at), x);
    return true;
}
static bool from_transpose(const View *v, const int64_t *at, int64_t *x) {
    for (uint32_t d = 0; d < v->to->rank; d++) x[v->ins->attrs[0].is.v[d]] = at[d];
    return true;
}
static bool from_slice(const View *v, const int64_t *at, int64_t *x) {
    for (uint32_t d = 0; d < v->to->rank; d++) {
        x[d] = v->ins->attrs[0].is.v[d] + at[d] * v->ins->attrs[2].is.v[d];
    }
    return true;
}
static bool from_flip(const View *v, const int64_t *at, int64_t *x) {
    copy_bytes(x, at, v->to->rank * sizeof *x);
    for (uint32_t i = 0; i < v->ins->attrs[0].is.n; i++) {
        int64_t d = v->ins->attrs[0].is.v[i];
        x[d] = v->to->dim[d] - 1 - at[d];
    }
    return true;
}
static bool from_pad(const View *v, const int64_t *at, int64_t *x) {
    for (uint32_t d = 0; d < v->to->rank; d++) {
        int64_t gap = v->ins->attrs[2].is.v[d] + 1, i = at[d] - v->ins->attrs[0].is.v[d];
        if (i < 0 || i % gap || i / gap >= v->from->dim[d]) return false;
        x[d] = i / gap;
    }
    return true;
}

typedef bool From(const View *v, const int64_t *at, int64_t *x);
static From *const views[OpCount] = {
    [Op_broadcast] = from_broadcast, [Op_reshape] = from_reshape, [Op_transpose] = from_transpose,
    [Op_slice] = from_slice,         [Op_flip] = from_flip,       [Op_pad] = from_pad};

static void not_interpreted(const Interp *in, const Ins *ins) {
    bug_at(in->p->cx, ins->loc, "%s cannot be interpreted", op_info[ins->op].name);
}

void interp_view(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]];
    View v = {ins, x->type.shape, ins->type.shape};
    From *from_result = views[ins->op];
    if (!from_result) not_interpreted(in, ins);
    int64_t at[MaxRank] = {0}, from[MaxRank];
    for (int64_t i = 0; i < v.to->size; i++, coords_next(v.to, at)) {
        if (from_result(&v, at, from)) tensor_copy(r, i, x, offset_of(v.from, from));
        else tensor_copy(r, i, &in->vals[ins->args[1]], 0);
    }
}

/* ---- moves ---- */

static void move_concat(Interp *in, const Ins *ins, Tensor *r) {
    int64_t start = 0, at[MaxRank] = {0}, axis = ins->attrs[0].i;
    for (uint32_t a = 0; a < ins->nargs; a++) {
        const Tensor *x = &in->vals[ins->args[a]];
        for (int64_t i = 0; i < x->type.shape->size; i++, coords_next(x->type.shape, at)) {
            at[axis] += start;
            tensor_copy(r, offset_of(ins->type.shape, at), x, i);
            at[axis] -= start;
        }
        start += x->type.shape->dim[axis];
    }
}

static bool beats(const Tensor *x, int64_t i, int64_t best, bool max) {
    if (x->i) return max ? x->i[i] > x->i[best] : x->i[i] < x->i[best];
    if (isnan(x->re[best])) return false;
    return isnan(x->re[i]) || (max ? x->re[i] > x->re[best] : x->re[i] < x->re[best]);
}

static void move_arg(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]];
    const Shape *s = x->type.shape;
    int64_t axis = ins->attrs[0].i, at[MaxRank], full[MaxRank];
    for (int64_t i = 0; i < ins->type.shape->size; i++) {
        coords_of(ins->type.shape, i, at);
        for (uint32_t d = 0, o = 0; d < s->rank; d++) full[d] = d == axis ? 0 : at[o++];
        int64_t best = offset_of(s, full), index = 0;
        for (int64_t k = 1; k < s->dim[axis]; k++) {
            full[axis] = k;
            int64_t here = offset_of(s, full);
            if (beats(x, here, best, ins->op == Op_argmax)) best = here, index = k;
        }
        r->i[i] = index;
    }
}

/* The element of x that element `at` of gather's result (of scatter_add's u) stands for. */
static int64_t picked(const Interp *in, const Ins *ins, const int64_t *at) {
    const Tensor *x = &in->vals[ins->args[0]], *i = &in->vals[ins->args[1]];
    int64_t axis = ins->attrs[0].i, full[MaxRank];
    uint32_t ri = i->type.shape->rank, rank = x->type.shape->rank;
    for (uint32_t d = 0; d < axis; d++) full[d] = at[d];
    full[axis] = i->i[offset_of(i->type.shape, at + axis)];
    for (uint32_t d = (uint32_t)axis + 1; d < rank; d++) full[d] = at[d + ri - 1];
    return offset_of(x->type.shape, full);
}

static void move_gather(Interp *in, const Ins *ins, Tensor *r) {
    const Shape *s = ins->type.shape;
    int64_t at[MaxRank] = {0};
    for (int64_t i = 0; i < s->size; i++, coords_next(s, at)) {
        tensor_copy(r, i, &in->vals[ins->args[0]], picked(in, ins, at));
    }
}

static void add_to(const Interp *in, Tensor *r, int64_t j, const Tensor *u, int64_t i) {
    if (r->i) {
        int64_t sum = (int64_t)((uint64_t)r->i[j] + (uint64_t)u->i[i]);
        r->i[j] = r->type.dt == I32 ? (int32_t)(uint32_t)(uint64_t)sum : sum;
        return;
    }
    r->re[j] = interp_round(in, r->type.dt, r->re[j] + u->re[i]);
    if (r->im && u->im) r->im[j] += u->im[i];
}

static void move_scatter(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]], *u = &in->vals[ins->args[2]];
    int64_t at[MaxRank] = {0};
    for (int64_t i = 0; i < x->type.shape->size; i++) tensor_copy(r, i, x, i);
    for (int64_t i = 0; i < u->type.shape->size; i++, coords_next(u->type.shape, at)) {
        add_to(in, r, picked(in, ins, at), u, i);
    }
}

/* A running sum in the type of the accumulator, each element rounded to the result's. */
static void move_cumsum(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]];
    const Shape *s = x->type.shape;
    int64_t axis = ins->attrs[0].i, n = s->dim[axis], at[MaxRank];
    DType acc = x->type.dt == BF16 ? F32 : x->type.dt;
    for (int64_t i = 0; i < s->size; i++) {
        coords_of(s, i, at);
        if (at[axis]) continue;
        Type scalar = type_of(acc, shape_scalar(in->p->cx));
        Tensor sum = tensor_new(in->a, scalar, in->mode == InterpComplex);
        for (int64_t k = 0; k < n; k++) {
            at[axis] = ins->attrs[1].i ? n - 1 - k : k;
            int64_t here = offset_of(s, at);
            add_to(in, &sum, 0, x, here);
            tensor_copy(r, here, &sum, 0);
            if (r->re) r->re[here] = interp_round(in, r->type.dt, r->re[here]);
        }
    }
}

/* The window at `at` of an array of shape s; its element k begins at full. */
static void window_element(const Ins *ins, const Shape *s, const int64_t *at, int64_t k,
                           int64_t *full) {
    const Attr *size = &ins->attrs[0], *stride = &ins->attrs[1];
    uint32_t lead = s->rank - size->is.n;
    for (uint32_t d = 0; d < lead; d++) full[d] = at[d];
    for (uint32_t d = size->is.n; d-- > 0; k /= size->is.v[d]) {
        full[lead + d] = at[lead + d] * stride->is.v[d] + k % size->is.v[d];
    }
}

static void move_window_argmax(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]];
    int64_t at[MaxRank], full[MaxRank];
    for (int64_t i = 0; i < ins->type.shape->size; i++) {
        coords_of(ins->type.shape, i, at);
        window_element(ins, x->type.shape, at, 0, full);
        int64_t best = offset_of(x->type.shape, full);
        for (int64_t k = 1; k < ins->type.range; k++) {
            window_element(ins, x->type.shape, at, k, full);
            int64_t here = offset_of(x->type.shape, full);
            if (beats(x, here, best, true)) best = here, r->i[i] = k;
        }
    }
}

static void move_window_pick(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *x = &in->vals[ins->args[0]], *k = &in->vals[ins->args[1]];
    int64_t at[MaxRank], full[MaxRank];
    for (int64_t i = 0; i < ins->type.shape->size; i++) {
        coords_of(ins->type.shape, i, at);
        window_element(ins, x->type.shape, at, k->i[i], full);
        tensor_copy(r, i, x, offset_of(x->type.shape, full));
    }
}

static void move_window_place(Interp *in, const Ins *ins, Tensor *r) {
    const Tensor *u = &in->vals[ins->args[0]], *k = &in->vals[ins->args[1]];
    int64_t at[MaxRank], full[MaxRank];
    for (int64_t i = 0; i < u->type.shape->size; i++) {
        coords_of(u->type.shape, i, at);
        window_element(ins, ins->type.shape, at, k->i[i], full);
        add_to(in, r, offset_of(ins->type.shape, full), u, i);
    }
}

void interp_move(Interp *in, const Ins *ins, Tensor *r) {
    static void (*const moves[OpCount])(Interp *, const Ins *, Tensor *) = {
        [Op_concat] = move_concat, [Op_argmax] = move_arg,          [Op_argmin] = move_arg,
        [Op_gather] = move_gather, [Op_scatter_add] = move_scatter, [Op_cumsum] = move_cumsum,
        [Op_window_argmax] = move_window_argmax, [Op_window_pick] = move_window_pick,
        [Op_window_place] = move_window_place};
    if (!moves[ins->op]) not_interpreted(in, ins);
    moves[ins->op](in, ins, r);
}
