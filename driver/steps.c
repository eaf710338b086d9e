/* Steps of a function and their lines. */
#include "driver/steps.h"

#include <stdlib.h>

static bool has_line(const Ins *i) { return i->op != Op_param && i->op != Op_const; }

static bool same_step(const Ins *a, const Ins *b) {
    return a->rule == b->rule && a->loc.file == b->loc.file && a->loc.line == b->loc.line &&
           a->loc.col == b->loc.col;
}

bool step_next(const Fn *fn, Val v, Step *s) {
    while (v < fn->ins.len && !has_line(&fn->ins.data[v])) v++;
    if (v == fn->ins.len) return false;
    const Ins *first = &fn->ins.data[v];
    *s = (Step){v, v + 1, first->rule, first->loc};
    while (s->to < fn->ins.len) {
        const Ins *i = &fn->ins.data[s->to];
        bool along = !has_line(i) || i->op == Op_get || (first->rule && same_step(first, i));
        if (!along) break;
        s->to++;
    }
    return true;
}

bool is_adjoint(const Fn *fn, Val v, uint32_t seeds) {
    const Ins *i = &fn->ins.data[v];
    if (i->op == Op_param) return v >= fn->nparams - seeds;
    return i->rule && !strncmp(i->rule, "B[", 2);
}

/* An addition of what two uses of a value contribute. */
static bool adds_up(const Fn *fn, const Step *s, uint32_t seeds) {
    const Ins *i = &fn->ins.data[s->from];
    return s->to == s->from + 1 && i->op == Op_add && is_adjoint(fn, i->args[0], seeds) &&
           is_adjoint(fn, i->args[1], seeds);
}

const char *step_rule(Arena *a, const Fn *fn, const Step *s, const Sym *names, uint32_t seeds) {
    if (adds_up(fn, s, seeds)) return "contributions of two uses, added";
    for (Val v = s->from; v < s->to; v++) {
        const Ins *i = &fn->ins.data[v];
        for (uint32_t k = 0; k < i->nargs; k++) {
            bool outside = i->args[k] < s->from;
            if (outside && is_adjoint(fn, i->args[k], seeds))
                return arena_printf(a, "%s(%s)", s->rule, names[i->args[k]]);
        }
    }
    return s->rule;
}

const char *step_line(Program *p, const Fn *fn, Val v) {
    Text t = {0};
    print_ins(p, fn, v, &t);
    char *line = text_done(&t, p->cx->arena);
    char *end = strstr(line, ";  //@");
    if (end) *end = 0;
    return strncmp(line, "let ", 4) ? line : line + 4;
}

void print_place(const Cx *cx, Loc loc, FILE *out) {
    size_t len = 0;
    const char *text = source_line(cx, loc.file, loc.line, &len);
    if (!text) return;
    while (len && (*text == ' ' || *text == '\t')) text++, len--;
    fprintf(out, "%s:%u  %.*s\n", loc.file, loc.line, (int)len, text);
}
