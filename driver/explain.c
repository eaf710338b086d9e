/* bpc explain: how the gradient of one parameter arises. The derivative function is compiled alone,
 * so the plan says which values of the forward pass have a place in memory until the rules read
 * them. */
#include "driver/steps.h"

#include <stdlib.h>

typedef struct Explain {
    Options *o;
    Program *p;
    Arena *a;
    const Fn *fn;    /* the derivative, planned */
    uint32_t result; /* of fn: the gradient */
    const Sym *names;
    bool *chain;     /* adjoints that the gradient depends on */
} Explain;

typedef VEC(const char *) Words;

/* ---- which function ---- */

/* The names in "value_and_grad[f, wrt=(w, b)]". */
static Words wrt_names(Arena *a, Sym rule) {
    Words out = {0};
    const char *s = rule ? strstr(rule, ", wrt=") : NULL;
    if (!s) return out;
    char *list = arena_strndup(a, s + 6, strlen(s + 6) - 1);
    for (char *w = list + strspn(list, "("); *w;) {
        size_t n = strcspn(w, ",)");
        vec_push(a, &out, arena_strndup(a, w, n));
        w += n + strspn(w + n, ",) ");
    }
    return out;
}

static bool gives_gradients(Sym rule) {
    return rule && (!strncmp(rule, "grad[", 5) || !strncmp(rule, "value_and_grad[", 15) ||
                    !strncmp(rule, "vjp[", 4));
}

static bool find_derivative(Explain *x, Words *known) {
    Program *p = x->p;
    for (uint32_t i = 0; i < p->fns.len; i++) {
        const Fn *fn = p->fns.data[i];
        if (!gives_gradients(fn->rule)) continue;
        Words w = wrt_names(x->a, fn->rule);
        for (uint32_t k = 0; k < w.len; k++) {
            vec_push(x->a, known, w.data[k]);
            if (strcmp(w.data[k], x->o->fn) != 0) continue;
            x->fn = fn;
            x->result = fn->results.len - w.len + k;
            return true;
        }
    }
    return false;
}

static bool report_unknown(Explain *x, const Words *known) {
    const char *near = nearest_name(x->o->fn, known->data, known->len);
    diag_error(x->p->cx, (Loc){0}, "nothing is differentiated with respect to '%s'%s%s%s", x->o->fn,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    for (uint32_t i = 0; i < known->len && i < 12; i++)
        diag_note(x->p->cx, (Loc){0}, "there is '%s'", known->data[i]);
    return false;
}

/* The derivative as the one entry of its program, through all passes. */
static bool plan_alone(Explain *x) {
    Program *p = x->p;
    Sym name = x->fn->name;
    for (uint32_t i = 0; i < p->fns.len; i++) p->fns.data[i]->exported = p->fns.data[i] == x->fn;
    p->stages.len = p->datasets.len = p->state.len = 0;
    p->init = NULL;
    if (!compile_passes(x->o, p, NULL)) return false;
    x->fn = program_fn(p, name);
    return x->fn && x->fn->plan;
}

/* ---- the chain ---- */

static void mark_chain(Explain *x) {
    const Fn *fn = x->fn;
    x->chain = NEW_ARRAY(x->a, bool, fn->ins.len);
    x->chain[fn->results.data[x->result]] = true;
    for (Val v = fn->ins.len; v-- > fn->nparams;) {
        const Ins *i = &fn->ins.data[v];
        for (uint32_t k = 0; x->chain[v] && k < i->nargs; k++) {
            Val arg = i->args[k];
            x->chain[arg] |= is_adjoint(fn, arg, 0) || i->op == Op_get;
        }
    }
}

static bool in_chain(const Explain *x, const Step *s) {
    for (Val v = s->from; v < s->to; v++) {
        bool constant = x->fn->ins.data[v].op == Op_const;
        if (x->chain[v] && !constant && is_adjoint(x->fn, v, 0)) return true;
    }
    return false;
}

static void print_chain(Explain *x) {
    Loc at = {0};
    Step s;
    uint32_t n = 0;
    printf("\nfrom the loss to %s\n", x->o->fn);
    for (Val v = x->fn->nparams; step_next(x->fn, v, &s); v = s.to) {
        if (!in_chain(x, &s)) continue;
        if (s.loc.file != at.file || s.loc.line != at.line) print_place(x->p->cx, s.loc, stdout);
        at = s.loc;
        Val last = s.to - 1;
        while (last > s.from && (!x->chain[last] || x->fn->ins.data[last].op == Op_const)) last--;
        printf("  %2u. %-34s gives %s: %s\n", ++n, step_rule(x->a, x->fn, &s, x->names, 0),
               x->names[last], type_text(x->p->cx, x->fn->ins.data[last].type));
    }
    if (!n) printf("  no rule: the gradient is a constant\n");
}

/* ---- what it reads ---- */

typedef struct Reads {
    bool *read;  /* values of the forward pass */
    Sym *reader; /* the first rule that reads it */
    uint64_t saved;
} Reads;

/* Stored values that v, which is not, is computed from. */
static void read_sources(const Explain *x, Reads *r, Val v, Sym rule) {
    const Ins *i = &x->fn->ins.data[v];
    for (uint32_t k = 0; k < i->nargs; k++) {
        Val arg = i->args[k];
        if (r->read[arg] || x->fn->ins.data[arg].op == Op_const) continue;
        if (x->fn->plan->bufs[arg].kind == BufNone) read_sources(x, r, arg, rule);
        else r->read[arg] = true, r->reader[arg] = rule;
    }
}

static Reads find_reads(Explain *x) {
    const Fn *fn = x->fn;
    Reads r = {NEW_ARRAY(x->a, bool, fn->ins.len), NEW_ARRAY(x->a, Sym, fn->ins.len), 0};
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        for (uint32_t k = 0; x->chain[v] && is_adjoint(fn, v, 0) && k < i->nargs; k++) {
            Val arg = i->args[k];
            if (is_adjoint(fn, arg, 0) || fn->ins.data[arg].op == Op_const || r.read[arg]) continue;
            r.read[arg] = true;
            r.reader[arg] = i->rule;
            if (fn->plan->bufs[arg].kind == BufNone) read_sources(x, &r, arg, i->rule);
        }
    }
    return r;
}

static const Kernel *kernel_of(const Fn *fn, Val v) {
    for (uint32_t k = 0; k < fn->kernels.len; k++) {
        const Kernel *kernel = fn->kernels.data[k];
        for (uint32_t i = 0; i < kernel->outputs.len; i++) {
            if (kernel->outputs.data[i] == v) return kernel;
        }
    }
    return NULL;
}

static const char *why_saved(const Fn *fn, Val v) {
    static const char *const why[] = {
        [KernMap] = "several kernels read it",
        [KernReduce] = "the result of a reduction is not computed twice",
        [KernContract] = "the result of a contraction is not computed twice",
        [KernMove] = "the result of a gather, scatter or concat is not computed twice",
        [KernRegion] = "the steps of a loop or the branch that ran",
    };
    const Kernel *k = kernel_of(fn, v);
    return k ? why[k->kind] : "a view of what is stored";
}

/* The stored values that v is computed from, once each. */
static void add_sources(const Explain *x, Val v, bool *seen, Text *out) {
    const Ins *i = &x->fn->ins.data[v];
    for (uint32_t k = 0; k < i->nargs; k++) {
        Val arg = i->args[k];
        if (seen[arg] || x->fn->ins.data[arg].op == Op_const) continue;
        seen[arg] = true;
        if (x->fn->plan->bufs[arg].kind == BufNone) add_sources(x, arg, seen, out);
        else text_add(out, "%s%s", out->len ? ", " : "", x->names[arg]);
    }
}

static void print_read(Explain *x, Reads *r, Val v) {
    const Buf *b = &x->fn->plan->bufs[v];
    uint64_t bytes = (uint64_t)x->fn->ins.data[v].type.shape->size *
                     dtype_size(x->fn->ins.data[v].type.dt);
    printf("  %s: %s, %llu bytes, for %s\n      ", x->names[v],
           type_text(x->p->cx, x->fn->ins.data[v].type), (unsigned long long)bytes, r->reader[v]);
    if (b->kind == BufArg) {
        printf("an argument, there anyway\n");
    } else if (b->kind == BufNone) {
        Text from = {0};
        add_sources(x, v, NEW_ARRAY(x->a, bool, x->fn->ins.len), &from);
        printf("computed again where it is read%s%s: cheaper than memory\n",
               from.len ? ", from " : "", from.len ? from.data : "");
        free(from.data);
    } else {
        r->saved += bytes;
        printf("saved: %s\n", why_saved(x->fn, v));
    }
}

static void print_reads(Explain *x) {
    Reads r = find_reads(x);
    Loc at = {0};
    printf("\nwhat these rules read of the forward pass\n");
    for (Val v = 0; v < x->fn->ins.len; v++) {
        if (!r.read[v] || !x->fn->ins.data[v].type.shape) continue;
        Loc loc = x->fn->ins.data[v].loc;
        if (v >= x->fn->nparams && (loc.file != at.file || loc.line != at.line))
            print_place(x->p->cx, loc, stdout);
        if (v >= x->fn->nparams) at = loc;
        print_read(x, &r, v);
    }
    printf("\nsaved for it: %llu bytes\n", (unsigned long long)r.saved);
}

static void run_explain(Explain *x) {
    Words known = {0};
    bool found = find_derivative(x, &known) || report_unknown(x, &known);
    if (!found || !plan_alone(x)) return;
    const Fn *fn = x->fn;
    x->names = print_names(x->p, fn);
    Val g = fn->results.data[x->result];
    printf("%s: %s, by %s\n", x->o->fn, type_text(x->p->cx, fn->ins.data[g].type), fn->rule);
    mark_chain(x);
    print_chain(x);
    print_reads(x);
}

int command_explain(Options *o) {
    Explain x = {.o = o, .a = arena_new()};
    if (!o->fn)
        diag_error(o->cx, (Loc){0}, "bpc explain FILE.bp PARAM: the parameter is missing");
    x.p = o->fn ? compile_front(o, false) : NULL;
    if (x.p && compile_passes(o, x.p, "differentiate")) run_explain(&x);
    arena_free(x.a);
    return compile_report(o);
}
