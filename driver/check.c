/* bpc check: every derivative that a file uses, in f64: its rules, then every derivative function
 * against numerical derivatives of the function that its header names. */
#include "driver/check.h"

#include <math.h>

static Sym next_word(Cx *cx, const char **at) {
    const char *s = *at + strspn(*at, " ,(");
    size_t n = strcspn(s, ",)=");
    int depth = 0;
    for (n = 0; s[n] && (depth || !strchr(",)= ", s[n])); n++) {
        depth += s[n] == '[';
        if (s[n] == ']' && !depth) break;
        depth -= s[n] == ']';
    }
    *at = s + n;
    return sym_n(cx, s, n);
}

/* False where the header is none of a derivative, after a report where it is a broken one. */
static bool parse_header(Check *c, const Fn *d, Header *h) {
    Cx *cx = c->p->cx;
    *h = (Header){.op = OpCount};
    const char *open = d->rule ? strchr(d->rule, '[') : NULL;
    if (!open) return false;
    h->op = op_by_name(sym_n(cx, d->rule, (size_t)(open - d->rule)));
    if (h->op == OpCount || op_info[h->op].cls != ClsOperator) return false;
    const char *at = open + 1;
    Sym name = next_word(cx, &at);
    h->f = program_fn(c->p, name);
    if (!h->f) {
        diag_error(cx, d->loc, "the header '%s' names '%s', which is not in the file", d->rule,
                   name);
        return false;
    }
    next_word(cx, &at); /* wrt */
    at += *at == '=';
    h->wrt = NEW_ARRAY(cx->arena, uint32_t, h->f->nparams);
    while (*at && *at != ']' && *at != ')' && h->n < h->f->nparams) {
        Sym w = next_word(cx, &at);
        uint32_t v = 0;
        while (v < h->f->nparams && h->f->ins.data[v].name != w) v++;
        if (v == h->f->nparams) {
            diag_error(cx, d->loc, "the header '%s' names '%s', which is no parameter of '%s'",
                       d->rule, w, name);
            return false;
        }
        h->wrt[h->n++] = v;
    }
    return true;
}

/* How much was compared, and how much not because of kinks. */
static void report_skipped(Check *c) {
    if (c->ties) {
        printf("skipped: %u of %u comparisons lie where equal values are chosen from\n", c->ties,
               c->compared);
    }
    if (!c->skipped) return;
    double share = 100.0 * c->skipped / fmax(c->compared, 1);
    bool ok = c->skipped * 100 <= c->compared;
    printf("%s: %u of %u comparisons lie at kinks (%.1f %%)\n", ok ? "skipped" : "FALSE",
           c->skipped, c->compared, share);
    c->failures += !ok;
}

uint32_t check_all(Check *c) {
    Arena *a = c->p->cx->arena;
    uint32_t fns = c->p->fns.len, n = 0;
    Header *h = NEW_ARRAY(a, Header, fns);
    const Fn **derivative = NEW_ARRAY(a, const Fn *, fns);
    for (uint32_t i = 0; i < fns; i++) {
        derivative[n] = c->p->fns.data[i];
        n += parse_header(c, derivative[n], &h[n]);
    }
    check_rules(c, h, n);
    for (uint32_t i = 0; i < n; i++) check_derivative(c, derivative[i], &h[i]);
    return n;
}

int command_check(Options *o) {
    if (o->rules) return command_check_rules(o);
    Check c = {.o = o, .a = arena_new(), .key = 1};
    c.p = compile_front(o, true);
    bool ready = c.p && compile_passes(o, c.p, "differentiate");
    uint32_t n = ready ? check_all(&c) : 0;
    report_skipped(&c);
    if (ready && !n && !o->cx->errors) printf("no derivative is used\n");
    if (c.failures) printf("%u of the rows above are false\n", c.failures);
    arena_free(c.a);
    if (c.failures && !o->cx->errors) diag_error(o->cx, (Loc){0}, "a derivative is false");
    return compile_report(o);
}
