/* Calls that repeat become functions. Lowering expands every call in place and notes which
 * instructions each one gave; where several calls in one function gave the same instructions on
 * other operands, these move to a function of their own:
 *
 *   x1 = matmul(x, w0) ... x2 = matmul(x1, w1) ...    becomes    x1 = Block(x, w0, ...);
 *                                                                x2 = Block(x1, w1, ...);
 *
 * Only what is worth it: MinKept instructions, a contraction or a loop among them; the rest stays
 * in place, where it fuses. Literals and what follows from them alone are made again inside; the
 * key of a call is an operand, so is what it captures; a buffer that it assigns is a result. */
#include "frontend/lower.h"

#include <stdlib.h>

typedef struct Outline {
    Front *fr;
    const Fn *fn;
    Arena *a;
    bool *live;
    bool *plain;   /* follows from literals alone */
    Val *last_use; /* the last live instruction that reads it; the end for results */
} Outline;

/* The instructions of one call as a function. */
typedef struct Part {
    const Site *site;
    bool *key_part; /* computes the call's key: stays outside */
    VEC(Val) order; /* in the function, parameters left out */
    VEC(Val) inputs, outputs;
    Val *local;     /* 1 + place in order, or the number of instructions + 1 + place in inputs */
    Sym text;       /* equal for calls that are the same function */
    bool chosen;
} Part;
typedef VEC(Part *) Parts;

void note_call(Frame *f, const Item *item, Instance *self, Loc loc, const Frame *callee, Val from) {
    Site s = {.item = item, .path = self ? self->path : NULL, .loc = loc, .from = from,
              .to = b_fn(f->b)->ins.len, .key = callee->has_key ? callee->key : NoVal};
    vec_push(f->fr->cx->arena, &f->root->sites, s);
}

static const Ins *ins_of(const Outline *o, Val v) { return &o->fn->ins.data[v]; }

static Outline outline_new(Front *fr, const Fn *fn) {
    Outline o = {.fr = fr, .fn = fn, .a = fr->cx->arena, .live = live_values_of(fr->cx, fn)};
    o.plain = NEW_ARRAY(o.a, bool, fn->ins.len);
    o.last_use = NEW_ARRAY(o.a, Val, fn->ins.len);
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *i = ins_of(&o, v);
        OpClass c = op_info[i->op].cls;
        o.plain[v] = i->op == Op_const || i->op == Op_iota ||
                     ((c == ClsElem || c == ClsView) && i->op != Op_opt_barrier);
        for (uint32_t k = 0; k < i->nargs; k++) {
            o.plain[v] &= o.plain[i->args[k]];
            if (o.live[v]) o.last_use[i->args[k]] = v;
        }
    }
    for (uint32_t k = 0; k < fn->results.len; k++) o.last_use[fn->results.data[k]] = fn->ins.len;
    return o;
}

static bool inside(const Outline *o, const Part *p, Val v) {
    return v >= p->site->from && v < p->site->to && o->live[v] && !o->plain[v] &&
           !p->key_part[v] && ins_of(o, v)->op != Op_param;
}

/* ---- what a call consists of ---- */

static void add_bytes(Text *t, const void *data, size_t n) { text_addn(t, data, n); }

static void add_attr(Text *t, const Attr *a) {
    add_bytes(t, &a->kind, sizeof a->kind);
    switch (a->kind) {
    case AttrNone: return;
    case AttrInt:
    case AttrBool: add_bytes(t, &a->i, sizeof a->i); return;
    case AttrFloat: add_bytes(t, &a->f, sizeof a->f); return;
    case AttrFn: add_bytes(t, &a->s, sizeof a->s); return;
    case AttrInts: add_bytes(t, a->is.v, a->is.n * sizeof *a->is.v); return;
    case AttrNames: add_bytes(t, a->names.v, a->names.n * sizeof *a->names.v); return;
    }
}

static void add_part(Outline *o, Part *p, Text *t, Val v);

/* The number by which the function refers to v. */
static Val reference(Outline *o, Part *p, Text *t, Val v) {
    if (!p->local[v] && o->plain[v]) add_part(o, p, t, v);
    if (!p->local[v]) {
        vec_push(o->a, &p->inputs, v);
        p->local[v] = o->fn->ins.len + p->inputs.len;
    }
    return p->local[v];
}

static void add_part(Outline *o, Part *p, Text *t, Val v) {
    const Ins *i = ins_of(o, v);
    Val *args = NEW_ARRAY(o->a, Val, i->nargs);
    for (uint32_t k = 0; k < i->nargs; k++) args[k] = reference(o, p, t, i->args[k]);
    add_bytes(t, &i->op, sizeof i->op);
    add_bytes(t, &i->type.dt, sizeof i->type.dt);
    add_bytes(t, &i->type.range, sizeof i->type.range);
    add_bytes(t, &i->type.shape, sizeof i->type.shape);
    add_bytes(t, args, i->nargs * sizeof *args);
    for (int k = 0; k < op_info[i->op].nattrs; k++) add_attr(t, &i->attrs[k]);
    add_bytes(t, i->data, i->ndata * sizeof *i->data);
    vec_push(o->a, &p->order, v);
    p->local[v] = p->order.len;
}

static void mark_key(Outline *o, Part *p, Val v) {
    if (v < p->site->from || v >= p->site->to || p->key_part[v]) return;
    p->key_part[v] = true;
    for (uint32_t k = 0; k < ins_of(o, v)->nargs; k++) mark_key(o, p, ins_of(o, v)->args[k]);
}

/* NULL where a function is not worth it. */
static Part *part_of(Outline *o, const Site *site) {
    Part *p = NEW(o->a, Part);
    *p = (Part){.site = site, .key_part = NEW_ARRAY(o->a, bool, o->fn->ins.len)};
    if (site->key != NoVal) mark_key(o, p, site->key);
    uint32_t count = 0;
    bool heavy = false;
    for (Val v = site->from; v < site->to; v++) {
        if (!inside(o, p, v)) continue;
        OpClass c = op_info[ins_of(o, v)->op].cls;
        heavy |= c == ClsContract || c == ClsRegion;
        count++;
    }
    if (!heavy || count < MinKept) return NULL;
    Text t = {0};
    p->local = NEW_ARRAY(o->a, Val, o->fn->ins.len);
    add_bytes(&t, &site->item, sizeof site->item);
    for (Val v = site->from; v < site->to; v++) {
        if (inside(o, p, v)) add_part(o, p, &t, v);
    }
    for (Val v = site->from; v < site->to; v++) {
        if (!inside(o, p, v) || o->last_use[v] < site->to) continue;
        vec_push(o->a, &p->outputs, v);
        add_bytes(&t, &p->local[v], sizeof p->local[v]);
    }
    p->text = sym_digest(o->fr->cx, t.data, t.len);
    free(t.data);
    return p->outputs.len ? p : NULL;
}

static uint32_t count_equal(const Parts *parts, Sym text, bool chosen) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < parts->len; k++) {
        n += parts->data[k]->text == text && (!chosen || parts->data[k]->chosen);
    }
    return n;
}

/* Calls in their order, each before those inside of it. */
static int outer_first(const void *x, const void *y) {
    const Site *a = (*(Part *const *)x)->site, *b = (*(Part *const *)y)->site;
    if (a->from != b->from) return a->from < b->from ? -1 : 1;
    return a->to > b->to ? -1 : a->to < b->to;
}

/* The outermost of the calls that repeat, in their order. */
static Parts choose(Outline *o, const Sites *sites) {
    Parts all = {0}, out = {0};
    for (uint32_t k = 0; k < sites->len; k++) {
        Part *p = part_of(o, &sites->data[k]);
        if (p) vec_push(o->a, &all, p);
    }
    if (all.len) qsort(all.data, all.len, sizeof *all.data, outer_first);
    Val end = 0;
    for (uint32_t k = 0; k < all.len; k++) {
        Part *p = all.data[k];
        p->chosen = p->site->from >= end && count_equal(&all, p->text, false) > 1;
        if (p->chosen) end = p->site->to;
    }
    for (uint32_t k = 0; k < all.len; k++) {
        Part *p = all.data[k];
        if (p->chosen && count_equal(&all, p->text, true) > 1) vec_push(o->a, &out, p);
    }
    return out;
}

/* ---- the function ---- */

static bool has_name(const Fn *fn, Sym name) {
    for (Val v = 0; v < fn->nparams; v++) {
        if (fn->ins.data[v].name == name) return true;
    }
    return false;
}

Sym formal_name_of(Front *fr, const Fn *fn, Sym name, Sym prefix) {
    size_t n = prefix ? strlen(prefix) : 0;
    const char *rest = name;
    if (n && !strncmp(name, prefix, n) && name[n] == '.') rest += n + 1;
    char *plain = arena_printf(fr->cx->arena, "%s", rest);
    for (char *c = plain; *c; c++) *c = *c == '.' || *c == '[' || *c == ']' ? '_' : *c;
    Sym s = sym(fr->cx, plain);
    for (unsigned k = 2; has_name(fn, s); k++) s = sym_fmt(fr->cx, "%s_%u", plain, k);
    return s;
}

/* "attn_w" of "net.block.3.attn.w" in a call of net.block[3]. */
static Sym input_name(const Outline *o, const Part *p, const Fn *fn, Val v) {
    Sym name = v == p->site->key ? "key" : ins_of(o, v)->name;
    return formal_name_of(o->fr, fn, name ? name : "x", p->site->path);
}

/* Calls inside of the part, by their places in the function. */
static void inner_sites(Outline *o, const Part *p, const Sites *sites, const Val *map,
                        const Val *place, Sites *out) {
    for (uint32_t k = 0; k < sites->len; k++) {
        Site s = sites->data[k];
        bool whole = s.from == p->site->from && s.to == p->site->to;
        if (s.from < p->site->from || s.to > p->site->to || whole) continue;
        s.from = place[s.from - p->site->from];
        s.to = place[s.to - p->site->from];
        if (s.key != NoVal) s.key = map[s.key];
        vec_push(o->a, out, s);
    }
}

static Fn *function_of(Outline *o, const Part *p, const Sites *sites) {
    const Fn *from = o->fn;
    Builder *b = builder_new(o->fr->p, NULL, true);
    Fn *fn = b_fn(b);
    Val *map = NEW_ARRAY(o->a, Val, from->ins.len);
    for (Val v = 0; v < from->ins.len; v++) map[v] = NoVal;
    for (uint32_t k = 0; k < p->inputs.len; k++) {
        Val v = p->inputs.data[k];
        b_at(b, ins_of(o, v)->loc, NULL);
        map[v] = b_param(b, input_name(o, p, fn, v), ins_of(o, v)->type);
    }
    Val *place = NEW_ARRAY(o->a, Val, p->site->to - p->site->from + 1), next = p->site->from;
    for (uint32_t k = 0; k < p->order.len; k++) {
        Val v = p->order.data[k];
        uint32_t before = fn->ins.len;
        map[v] = b_copy(b, ins_of(o, v), map);
        if (o->plain[v]) continue;
        for (; next <= v; next++) place[next - p->site->from] = before;
    }
    for (; next <= p->site->to; next++) place[next - p->site->from] = fn->ins.len;
    for (uint32_t k = 0; k < p->outputs.len; k++) b_result(b, map[p->outputs.data[k]]);
    fn->loc = p->site->item->name_loc;
    Sites inner = {0};
    inner_sites(o, p, sites, map, place, &inner);
    outline_calls(o->fr, fn, &inner, NULL);
    fn->name = program_fresh(o->fr->p, p->site->item->name);
    program_add(o->fr->p, fn);
    return fn;
}

static const Fn *shared_function(Outline *o, const Part *p, const Sites *sites) {
    Front *fr = o->fr;
    for (uint32_t k = 0; k < fr->outlined.len; k++) {
        if (fr->outlined.data[k].key == p->text) return fr->outlined.data[k].fn;
    }
    RuleKey made = {p->text, function_of(o, p, sites)};
    vec_push(o->a, &fr->outlined, made);
    return made.fn;
}

/* ---- the caller ---- */

static Val copied(Outline *o, Builder *b, Val *map, Val v) {
    const Ins *i = ins_of(o, v);
    if (map[v] != NoVal) return map[v];
    for (uint32_t k = 0; k < i->nargs; k++) copied(o, b, map, i->args[k]);
    return map[v] = b_copy(b, i, map);
}

static void copy_range(Outline *o, Builder *b, Val *map, Val from, Val to, const Part *p) {
    for (Val v = from; v < to; v++) {
        const Ins *i = ins_of(o, v);
        if (p && !p->key_part[v] && i->op != Op_param) continue;
        if (o->live[v] || i->op == Op_param) copied(o, b, map, v);
    }
}

static void emit_call(Outline *o, Builder *b, Val *map, const Part *p, const Fn *fn) {
    Val *args = NEW_ARRAY(o->a, Val, p->inputs.len), *out = NEW_ARRAY(o->a, Val, p->outputs.len);
    for (uint32_t k = 0; k < p->inputs.len; k++) args[k] = copied(o, b, map, p->inputs.data[k]);
    b_at(b, p->site->loc, NULL);
    b_call(b, fn, args, p->inputs.len, out);
    for (uint32_t k = 0; k < p->outputs.len; k++) {
        Sym name = ins_of(o, p->outputs.data[k])->name;
        map[p->outputs.data[k]] = out[k];
        if (name) b_name(b, out[k], name);
    }
}

bool outline_calls(Front *fr, Fn *fn, const Sites *sites, Val *map) {
    if (!sites->len) return false;
    Outline o = outline_new(fr, fn);
    Parts parts = choose(&o, sites);
    if (!parts.len) return false;
    Builder *b = builder_new(fr->p, fn->name, true);
    Val *to = map ? map : NEW_ARRAY(o.a, Val, fn->ins.len), at = 0;
    for (Val v = 0; v < fn->ins.len; v++) to[v] = NoVal;
    for (uint32_t k = 0; k < parts.len; k++) {
        const Part *p = parts.data[k];
        copy_range(&o, b, to, at, p->site->from, NULL);
        copy_range(&o, b, to, p->site->from, p->site->to, p);
        emit_call(&o, b, to, p, shared_function(&o, p, sites));
        at = p->site->to;
    }
    copy_range(&o, b, to, at, fn->ins.len, NULL);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        fn->results.data[k] = copied(&o, b, to, fn->results.data[k]);
    }
    fn->ins.data = b_fn(b)->ins.data;
    fn->ins.len = b_fn(b)->ins.len;
    fn->ins.cap = b_fn(b)->ins.cap;
    fn->nparams = b_fn(b)->nparams;
    return true;
}
