/* --emit=kernels and --emit=plan: what is computed together and at what cost, and where it is kept.
 *
 *   fn step: 2 kernels
 *   kernel 0 contract [64, 128]: 1048576 flops, 81920 bytes, 12.8 flops/byte
 *     let z: f32[64, 128] = matmul(x, w);  //@ m.bp:3:11 */
#include "ir/print.h"

static const char *const kernel_text[] = {
    [KernMap] = "map", [KernReduce] = "reduce", [KernContract] = "contract", [KernMove] = "move",
    [KernRegion] = "region"};

static double value_bytes(const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    if (i->op == Op_const && i->ndata == 1) return 0;
    return (double)i->type.shape->size * (double)dtype_size(i->type.dt);
}

static void add_space(Text *out, const Shape *s) {
    text_add(out, " [");
    for (uint32_t k = 0; s && k < s->rank; k++) {
        text_add(out, "%s%lld", k ? ", " : "", (long long)s->dim[k]);
    }
    text_add(out, "]");
}

static void add_kernel(const Printer *w, const Kernel *k) {
    double flops = 0, bytes = 0;
    for (uint32_t j = 0; j < k->members.len; j++) flops += ins_flops(w->fn, k->members.data[j]);
    for (uint32_t j = 0; j < k->inputs.len; j++) bytes += value_bytes(w->fn, k->inputs.data[j]);
    for (uint32_t j = 0; j < k->outputs.len; j++) bytes += value_bytes(w->fn, k->outputs.data[j]);
    text_add(w->out, "kernel %u %s%s", k->id, kernel_text[k->kind], k->again ? " again" : "");
    add_space(w->out, k->space);
    text_add(w->out, ": %.0f flops, %.0f bytes, %.3g flops/byte\n", flops, bytes,
             bytes > 0 ? flops / bytes : 0);
    for (uint32_t j = 0; j < k->members.len; j++) {
        if (w->inlined[k->members.data[j]]) continue;
        text_add(w->out, "  ");
        print_line(w, k->members.data[j]);
        text_add(w->out, "\n");
    }
}

void print_kernels(const Program *p, Text *out) {
    for (uint32_t f = 0; f < p->fns.len; f++) {
        const Fn *fn = p->fns.data[f];
        if (!(fn->props & PropFused)) continue;
        Printer w = printer_of(p, fn, out);
        text_add(out, "fn %s: %u kernels\n", fn->name, fn->kernels.len);
        for (uint32_t k = 0; k < fn->kernels.len; k++) add_kernel(&w, fn->kernels.data[k]);
    }
}

/* ---- plans ---- */
static void add_bytes(Text *out, const char *what, uint64_t bytes) {
    text_add(out, "  %-12s %12llu bytes\n", what, (unsigned long long)bytes);
}

static void add_buffer(const Printer *w, Val v) {
    const Buf *b = &w->fn->plan->bufs[v];
    Text place = {0};
    switch (b->kind) {
    case BufNone:
        return;
    case BufArg:
        text_add(&place, "arg %u", b->index);
        break;
    case BufResult:
        text_add(&place, "result %u", b->index);
        break;
    case BufConst:
        text_add(&place, "const");
        break;
    case BufArena:
        text_add(&place, "arena + %llu", (unsigned long long)b->offset);
        break;
    }
    const char *text = text_done(&place, w->p->cx->scratch);
    text_add(w->out, "  %-24s %-20s %12llu bytes\n", w->names[v], text,
             (unsigned long long)b->bytes);
}

/* Where kernel k stores what was given up. */
static void add_again(const Printer *w, const Kernel *k) {
    for (uint32_t j = 0; k->again && j < k->outputs.len; j++) {
        const char *place = arena_printf(w->p->cx->scratch, "arena + %llu",
                                         (unsigned long long)k->places[j].offset);
        unsigned long long bytes = k->places[j].bytes;
        text_add(w->out, "  %-24s %-20s %12llu bytes, again in kernel %u\n",
                 w->names[k->outputs.data[j]], place, bytes, k->id);
    }
}

void print_plan(const Program *p, Text *out) {
    for (uint32_t f = 0; f < p->fns.len; f++) {
        const Fn *fn = p->fns.data[f];
        if (!(fn->props & PropPlanned)) continue;
        Printer w = printer_of(p, fn, out);
        text_add(out, "fn %s:\n", fn->name);
        add_bytes(out, "parameters", fn->plan->param_bytes);
        add_bytes(out, "optimizer", fn->plan->opt_bytes);
        add_bytes(out, "constants", fn->plan->const_bytes);
        add_bytes(out, "saved", fn->plan->saved_bytes);
        add_bytes(out, "scratch", fn->plan->scratch_bytes);
        add_bytes(out, "peak", fn->plan->param_bytes + fn->plan->opt_bytes + fn->plan->arena_bytes);
        for (Val v = 0; v < fn->ins.len; v++) add_buffer(&w, v);
        for (uint32_t k = 0; k < fn->kernels.len; k++) add_again(&w, fn->kernels.data[k]);
    }
}
