/* Generated code against the interpreter: the same bits where an operation rounds once or not at
 * all and for sums, whose order is the contract's; two units in the last place for the elementary
 * functions (pow: four). */
#include "runtime/bprt.h"
#include "tests/rules/rules_test.h"

#include <math.h>
#include <stdlib.h>

static void store(const Tensor *t, void *to) {
    for (int64_t i = 0; i < t->type.shape->size; i++) {
        switch (t->type.dt) {
        case F32:
            ((float *)to)[i] = (float)t->re[i];
            break;
        case F64:
            ((double *)to)[i] = t->re[i];
            break;
        case I32:
            ((int32_t *)to)[i] = (int32_t)t->i[i];
            break;
        case I64:
            ((int64_t *)to)[i] = t->i[i];
            break;
        case BOOL:
            ((uint8_t *)to)[i] = (uint8_t)t->i[i];
            break;
        case BF16:
        case DTypeCount:
            break;
        }
    }
}

static bool same_float(DType dt, double got, double want, double ulps) {
    if (isnan(got) || isnan(want)) return isnan(got) && isnan(want);
    if (got == want) return signbit(got) == signbit(want) || ulps > 0;
    double step = dt == F32
                      ? (double)(nextafterf(fabsf((float)want), INFINITY) - fabsf((float)want))
                      : nextafter(fabs(want), INFINITY) - fabs(want);
    return fabs(got - want) <= ulps * step;
}

static bool same(const Tensor *want, const void *got, double ulps) {
    for (int64_t i = 0; i < want->type.shape->size; i++) {
        bool ok = true;
        switch (want->type.dt) {
        case F32:
            ok = same_float(F32, (double)((const float *)got)[i], want->re[i], ulps);
            break;
        case F64:
            ok = same_float(F64, ((const double *)got)[i], want->re[i], ulps);
            break;
        case I32:
            ok = ((const int32_t *)got)[i] == want->i[i];
            break;
        case I64:
            ok = ((const int64_t *)got)[i] == want->i[i];
            break;
        case BOOL:
            ok = ((const uint8_t *)got)[i] == want->i[i];
            break;
        case BF16:
        case DTypeCount:
            break;
        }
        if (!ok) return false;
    }
    return true;
}

static void *room(size_t bytes) {
    return aligned_alloc(64, (bytes + 127) / 64 * 64);
}

static void run_one(Suite *s, Jit *jit, const Instance *x, int level) {
    const Fn *fn = program_fn(s->d.p, x->fn->name);
    BpEntry *entry = (BpEntry *)jit_symbol(jit, arena_printf(s->d.a, "bp_%s", x->fn->name));
    if (!entry) {
        check(s, false, "%s was not compiled", instance_text(&s->d, x));
        return;
    }
    void *args[MaxOperands + 1];
    for (uint32_t i = 0; i < x->n; i++) {
        args[i] = room((size_t)x->args[i].shape->size * 8);
        store(&x->inputs[i], args[i]);
    }
    args[x->n] = room((size_t)x->result.shape->size * 8);
    unsigned char *arena = room((size_t)fn->plan->arena_bytes);
    entry(args, arena, NULL);
    bool once = op_info[x->op].exact || op_info[x->op].cls != ClsElem;
    Tensor want;
    interp_run(s->d.p, x->fn, InterpRound, s->d.a, x->inputs, &want, NULL);
    double ulps = once ? 0 : x->op == Op_pow ? 4 : 2;
    check(s, same(&want, args[x->n], ulps), "-O%d: %s differs from the interpreter", level,
          instance_text(&s->d, x));
    for (uint32_t i = 0; i <= x->n; i++) free(args[i]);
    free(arena);
}

void check_compiled(Suite *s, const Instance *x, uint32_t n, int level, const char *cpu) {
    CgOptions o = {.level = level, .cpu = cpu};
    Cg *cg = cg_build(s->d.p, &o);
    if (!cg) {
        diag_render(s->cx, stderr, false);
        check(s, false, "no code for %s", cpu);
        return;
    }
    Jit *jit = jit_new(cg);
    for (uint32_t i = 0; i < n; i++) run_one(s, jit, &x[i], level);
    jit_free(jit);
    cg_free(cg);
}
