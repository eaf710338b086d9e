/* The reference meaning of the IR, one instruction after the other, element by element. It shares
 * nothing with codegen. Three modes: every float in f64; every operation rounded to its type and
 * sums in the order of docs/numerics.md; complex f64 for derivatives by complex step.
 * Tests: tests/ir/interp_test.c */
#include "ir/interp.h"

Tensor tensor_new(Arena *a, Type type, bool complex_) {
    Tensor t = {.type = type};
    size_t n = (size_t)type.shape->size;
    if (dtype_is_float(type.dt)) {
        t.re = NEW_ARRAY(a, double, n ? n : 1);
        if (complex_) t.im = NEW_ARRAY(a, double, n ? n : 1);
    } else {
        t.i = NEW_ARRAY(a, int64_t, n ? n : 1);
    }
    return t;
}

double interp_round(const Interp *in, DType dt, double x) {
    if (in->mode != InterpRound || dt == F64) return x;
    return dt == BF16 ? (double)round_bf16((float)x) : (double)(float)x;
}

void tensor_copy(Tensor *r, int64_t j, const Tensor *x, int64_t i) {
    if (r->i) {
        r->i[j] = x->i[i];
        return;
    }
    r->re[j] = x->re[i];
    if (r->im) r->im[j] = x->im ? x->im[i] : 0;
}

void coords_of(const Shape *s, int64_t i, int64_t *at) {
    for (uint32_t d = s->rank; d-- > 0;) {
        at[d] = i % s->dim[d];
        i /= s->dim[d];
    }
}

int64_t offset_of(const Shape *s, const int64_t *at) {
    int64_t o = 0;
    for (uint32_t d = 0; d < s->rank; d++) o = o * s->dim[d] + at[d];
    return o;
}

static void interp_const(const Ins *ins, Tensor *r) {
    for (int64_t i = 0; i < ins->type.shape->size; i++) {
        Num n = ins->data[ins->ndata == 1 ? 0 : i];
        if (r->i) r->i[i] = n.i;
        else r->re[i] = n.f;
    }
}

static void run(Interp *in, const Tensor *args);

const Tensor *interp_apply(Interp *in, const Fn *fn, Loc loc, const Tensor *args) {
    if (in->depth > 200) bug_at(in->p->cx, loc, "calls nest too deeply");
    Interp inner = *in;
    inner.fn = fn;
    inner.vals = NEW_ARRAY(in->a, Tensor, fn->ins.len);
    inner.depth++;
    run(&inner, args);
    Tensor *results = NEW_ARRAY(in->a, Tensor, fn->results.len);
    for (uint32_t r = 0; r < fn->results.len; r++) results[r] = inner.vals[fn->results.data[r]];
    return results;
}

static const Tensor *call_results(Interp *in, const Ins *ins, const Tensor *args) {
    if (op_info[ins->op].cls == ClsRegion) return interp_region(in, ins, args);
    const Fn *callee = program_fn(in->p, ins->attrs[0].s);
    if (!callee) bug_at(in->p->cx, ins->loc, "call of unknown function %s", ins->attrs[0].s);
    return interp_apply(in, callee, ins->loc, args);
}

/* The results of a call stand in the gets that follow it, or in its own value if there is one. */
static void interp_call(Interp *in, Val v) {
    const Ins *ins = &in->fn->ins.data[v];
    Tensor *args = NEW_ARRAY(in->a, Tensor, ins->nargs);
    for (uint32_t i = 0; i < ins->nargs; i++) args[i] = in->vals[ins->args[i]];
    const Tensor *results = call_results(in, ins, args);
    if (ins->type.shape) {
        in->vals[v] = results[0];
        return;
    }
    for (Val g = v + 1; g < in->fn->ins.len; g++) {
        const Ins *get = &in->fn->ins.data[g];
        if (get->op != Op_get || get->args[0] != v) break;
        in->vals[g] = results[get->attrs[0].i];
    }
}

static bool rounds(const Interp *in, const Ins *ins) {
    static const Op exact[] = {Op_neg,   Op_abs,           Op_sign,        Op_floor, Op_ceil,
                               Op_round, Op_stop_gradient, Op_opt_barrier, Op_max,   Op_min,
                               Op_where};
    OpClass cls = op_info[ins->op].cls;
    for (size_t i = 0; i < LEN(exact); i++) {
        if (ins->op == exact[i]) return false;
    }
    if (ins->op == Op_cast) return in->vals[ins->args[0]].type.dt != ins->type.dt;
    return cls == ClsElem || cls == ClsContract || ins->op == Op_reduce_sum ||
           ins->op == Op_reduce_prod || ins->op == Op_cumsum || ins->op == Op_scatter_add;
}

/* 1 + e, at random, e being at most 8 roundings. */
static double nearly_one(Interp *in, DType dt) {
    static const double units[] = {[F32] = 0x1p-24, [F64] = 0x1p-53, [BF16] = 0x1p-9};
    double e = 2 * rng_f64(rng_bits(*in->noise, 0)) - 1;
    *in->noise = rng_fold(*in->noise, 1);
    return 1 + 8 * units[in->mode == InterpRound ? dt : F64] * e;
}

static void disturb(Interp *in, Tensor *r) {
    DType dt = r->type.dt;
    for (int64_t i = 0; r->re && i < r->type.shape->size; i++) {
        r->re[i] = interp_round(in, dt, r->re[i] * nearly_one(in, dt));
        if (r->im) r->im[i] *= nearly_one(in, dt);
    }
}

static void run(Interp *in, const Tensor *args) {
    for (Val v = 0; v < in->fn->ins.len; v++) {
        const Ins *ins = &in->fn->ins.data[v];
        if (ins->op == Op_call || op_info[ins->op].cls == ClsRegion) {
            interp_call(in, v);
            continue;
        }
        if (ins->op == Op_get) continue;
        if (ins->op == Op_param) {
            in->vals[v] = args[v];
            continue;
        }
        Tensor *r = &in->vals[v];
        *r = tensor_new(in->a, ins->type, in->mode == InterpComplex);
        switch (op_info[ins->op].cls) {
        case ClsSource:
            if (ins->op == Op_const) interp_const(ins, r);
            else interp_source(in, ins, r);
            break;
        case ClsElem: interp_elem(in, ins, r); break;
        case ClsView: interp_view(in, ins, r); break;
        case ClsReduce: interp_reduce(in, ins, r); break;
        case ClsContract:
            (ins->op == Op_conv ? interp_conv : interp_matmul)(in, ins, r);
            break;
        case ClsMove: interp_move(in, ins, r); break;
        case ClsCall:
        case ClsRegion:
        case ClsOperator:
            bug_at(in->p->cx, ins->loc, "%s cannot be interpreted", op_info[ins->op].name);
        }
        if (in->noise && rounds(in, ins)) disturb(in, r);
        for (int64_t i = 0; in->choices && r->i && i < ins->type.shape->size; i++) {
            interp_choose(in, r->i[i]);
        }
    }
}

void interp_run(const Program *p, const Fn *fn, InterpMode mode, Arena *a, const Tensor *args,
                Tensor *results, Tensor **values) {
    uint64_t steps = 0;
    Interp in = {.p = p, .fn = fn, .mode = mode, .a = a, .steps = &steps,
                 .vals = NEW_ARRAY(a, Tensor, fn->ins.len)};
    run(&in, args);
    for (uint32_t i = 0; i < fn->results.len; i++) results[i] = in.vals[fn->results.data[i]];
    for (Val v = 0; values && v < fn->ins.len; v++) values[v] = &in.vals[v];
}

uint64_t interp_choices(const Program *p, const Fn *fn, Arena *a, const Tensor *args,
                        Tensor *results) {
    uint64_t choices = 0, steps = 0;
    Interp in = {.p = p, .fn = fn, .mode = InterpF64, .a = a, .steps = &steps,
                 .choices = &choices, .vals = NEW_ARRAY(a, Tensor, fn->ins.len)};
    run(&in, args);
    for (uint32_t i = 0; i < fn->results.len; i++) results[i] = in.vals[fn->results.data[i]];
    return choices;
}

/* args, as far from what they are as rounding may be. */
static Tensor *disturbed(Interp *in, const Tensor *args) {
    Tensor *moved = NEW_ARRAY(in->a, Tensor, in->fn->nparams);
    for (uint32_t k = 0; k < in->fn->nparams; k++) {
        moved[k] = tensor_new(in->a, args[k].type, args[k].im != NULL);
        int64_t n = args[k].type.shape->size;
        for (int64_t i = 0; i < n; i++) tensor_copy(&moved[k], i, &args[k], i);
        disturb(in, &moved[k]);
    }
    return moved;
}

void interp_complex(const Program *p, const Fn *fn, Arena *a, const Tensor *args, Tensor *results,
                    uint64_t *ties, uint64_t *noise) {
    uint64_t steps = 0;
    Interp in = {.p = p, .fn = fn, .mode = InterpComplex, .a = a, .steps = &steps, .noise = noise,
                 .ties = ties, .vals = NEW_ARRAY(a, Tensor, fn->ins.len)};
    run(&in, noise ? disturbed(&in, args) : args);
    for (uint32_t i = 0; i < fn->results.len; i++) results[i] = in.vals[fn->results.data[i]];
}

void interp_noise(const Program *p, const Fn *fn, Arena *a, const Tensor *args, Tensor *results,
                  uint64_t key) {
    uint64_t steps = 0;
    Interp in = {.p = p, .fn = fn, .mode = InterpRound, .a = a, .steps = &steps, .noise = &key,
                 .vals = NEW_ARRAY(a, Tensor, fn->ins.len)};
    run(&in, disturbed(&in, args));
    for (uint32_t i = 0; i < fn->results.len; i++) results[i] = in.vals[fn->results.data[i]];
}
