/* What of a region nothing needs: results that are not read, carries that only make themselves, and
 * what neither reads:
 *
 *   while[test, body](x, y, n, c, carry=3)           becomes, if only x is read afterwards and
 *   fn body(x, y, n, c) { return x * x, y + c, n + 1; }     test reads n,
 *
 *   while[test_trimmed, body_trimmed](x, n, carry=2)
 *   fn body_trimmed(x, n) { return x * x, n + 1; }
 *
 * From the entries inwards, as fewer results of a loop may mean fewer of the loops inside it. Calls
 * stay as they are. Tests: tests/passes/trim_test.c */
#include "passes/passes.h"

typedef struct Needed { /* of a region whose results are read as the key says */
    Sym key;
    bool *param, *result;
} Needed;

typedef struct Trimmed { /* a function with the parameters and results that the key says */
    Sym key;
    const Fn *fn;
} Trimmed;

typedef struct Trim {
    Program *p;
    VEC(Needed) needed;
    VEC(Trimmed) done;
} Trim;

static const Fn *trimmed(Trim *t, const Fn *fn, const bool *param, const bool *result);

/* ---- what is needed ---- */

static void add_mask(Text *key, const bool *mask, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) text_add(key, mask[k] ? "1" : "0");
}

static bool is_trimmed(const Ins *i) {
    return i->op == Op_scan || i->op == Op_while || i->op == Op_cond;
}

static Needed region_needs(Trim *t, const Ins *i, const bool *result);

/* Which values of fn the wanted results (NULL: all) are made of, regions asked for what they need.
 */
static bool *read_values(Trim *t, const Fn *fn, const bool *want) {
    bool *read = NEW_ARRAY(t->p->cx->scratch, bool, fn->ins.len);
    for (uint32_t k = 0; k < fn->results.len; k++) {
        if (!want || want[k]) read[fn->results.data[k]] = true;
    }
    for (Val v = fn->ins.len; v-- > fn->nparams;) {
        const Ins *i = &fn->ins.data[v];
        if (!read[v]) continue;
        if (!is_trimmed(i)) {
            for (uint32_t k = 0; k < i->nargs; k++) read[i->args[k]] = true;
            continue;
        }
        Vals results = results_of(t->p, fn, v);
        bool *result = NEW_ARRAY(t->p->cx->scratch, bool, results.len);
        for (uint32_t k = 0; k < results.len; k++) result[k] = read[results.data[k]];
        Needed n = region_needs(t, i, result);
        uint32_t first = i->op == Op_cond;
        for (uint32_t k = 0; k < i->nargs; k++) {
            if (k < first || n.param[k - first]) read[i->args[k]] = true;
        }
    }
    return read;
}

/* Marks the parameters that the wanted results of fn read; whether there are more now. */
static bool read_params(Trim *t, const Fn *fn, const bool *want, bool *param) {
    const bool *read = read_values(t, fn, want);
    bool more = false;
    for (uint32_t k = 0; k < fn->nparams; k++) {
        more |= read[k] && !param[k];
        param[k] |= read[k];
    }
    return more;
}

/* A carry is kept if its last value is read, or what a step makes of it is. */
static Needed region_needs(Trim *t, const Ins *i, const bool *result) {
    Arena *s = t->p->cx->scratch;
    Region r = region_of(t->p, i);
    uint32_t nparams = r.body->nparams, nresults = r.body->results.len;
    Text key = {0};
    text_add(&key, "%s %s %u ", r.body->name, r.other ? r.other->name : "", r.carry);
    add_mask(&key, result, nresults);
    Needed n = {sym(t->p->cx, text_done(&key, s)), NEW_ARRAY(s, bool, nparams),
                NEW_ARRAY(s, bool, nresults)};
    for (uint32_t k = 0; k < t->needed.len; k++) {
        if (t->needed.data[k].key == n.key) return t->needed.data[k];
    }
    copy_bytes(n.result, result, nresults * sizeof *result);
    if (i->op == Op_while) read_params(t, r.other, NULL, n.param);
    for (bool more = true; more;) {
        for (uint32_t k = 0; k < r.carry; k++) {
            n.param[k] = n.result[k] = n.param[k] || n.result[k];
        }
        more = read_params(t, r.body, n.result, n.param);
        if (i->op == Op_cond) more |= read_params(t, r.other, n.result, n.param);
    }
    vec_push(s, &t->needed, n);
    return n;
}

/* ---- functions ---- */

static Sym key_of(Trim *t, const Fn *fn, const bool *param, const bool *result) {
    Text key = {0};
    text_add(&key, "%s ", fn->name);
    add_mask(&key, param, fn->nparams);
    add_mask(&key, result, fn->results.len);
    return sym(t->p->cx, text_done(&key, t->p->cx->scratch));
}

static Attr trimmed_attr(Trim *t, const Fn *fn, const bool *param, const bool *result) {
    return attr_fn(trimmed(t, fn, param, result)->name);
}

/* The attributes of the region with what is needed. */
static Attr *needed_attrs(Trim *t, const Ins *i, const Region *r, const Needed *n) {
    Attr *attrs = NEW_ARRAY(t->p->cx->scratch, Attr, MaxAttrs);
    copy_bytes(attrs, i->attrs, (size_t)op_info[i->op].nattrs * sizeof *attrs);
    int64_t carry = 0, seq = 0;
    for (uint32_t k = 0; k < r->carry + r->seq; k++) *(k < r->carry ? &carry : &seq) += n->param[k];
    bool one = true;
    attrs[i->op == Op_while] = trimmed_attr(t, r->body, n->param, n->result);
    if (i->op == Op_while) attrs[0] = trimmed_attr(t, r->other, n->param, &one);
    if (i->op == Op_cond) attrs[1] = trimmed_attr(t, r->other, n->param, n->result);
    if (i->op != Op_cond) attrs[i->op == Op_while ? 2 : 1] = attr_int(carry);
    if (i->op == Op_scan) attrs[2] = attr_int(seq);
    return attrs;
}

/* Region v of fn with what is needed, in b. */
static void rebuild(Trim *t, Builder *b, const Fn *fn, Val v, const bool *read, Val *map) {
    Arena *s = t->p->cx->scratch;
    const Ins *i = &fn->ins.data[v];
    Region r = region_of(t->p, i);
    Vals results = results_of(t->p, fn, v), args = {0};
    bool *result = NEW_ARRAY(s, bool, results.len);
    for (uint32_t k = 0; k < results.len; k++) result[k] = read[results.data[k]];
    Needed n = region_needs(t, i, result);
    const Attr *attrs = needed_attrs(t, i, &r, &n);
    for (uint32_t k = 0; k < i->nargs; k++) {
        if (k < r.first || n.param[k - r.first]) vec_push(s, &args, map[i->args[k]]);
    }
    Type *types = NEW_ARRAY(s, Type, results.len);
    Val *out = NEW_ARRAY(s, Val, results.len);
    uint32_t count = 0;
    for (uint32_t k = 0; k < results.len; k++) {
        if (n.result[k]) types[count++] = fn->ins.data[results.data[k]].type;
    }
    b_at(b, i->loc, i->rule);
    b_multi(b, (Op)i->op, args.data, args.len, attrs, types, count, out);
    for (uint32_t k = 0, at = 0; k < results.len; k++) {
        Val y = results.data[k];
        if (!n.result[k]) continue;
        map[y] = out[at++];
        if (fn->ins.data[y].name) b_name(b, map[y], fn->ins.data[y].name);
    }
}

static bool *all_of(Trim *t, uint32_t n) {
    bool *all = NEW_ARRAY(t->p->cx->scratch, bool, n);
    for (uint32_t k = 0; k < n; k++) all[k] = true;
    return all;
}

static const Fn *trimmed_whole(Trim *t, const Fn *fn) {
    return trimmed(t, fn, all_of(t, fn->nparams), all_of(t, fn->results.len));
}

/* fn with these parameters and results, its regions trimmed. */
static Fn *rebuild_fn(Trim *t, const Fn *fn, const bool *param, const bool *result) {
    const bool *read = read_values(t, fn, result);
    Val *map = NEW_ARRAY(t->p->cx->scratch, Val, fn->ins.len);
    Builder *b = builder_new(t->p, fn->name, false);
    copy_header(b_fn(b), fn);
    for (Val v = 0; v < fn->ins.len; v++) map[v] = NoVal;
    for (Val v = 0; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        bool wanted = v < fn->nparams ? param[v] : read[v];
        if (!wanted || map[v] != NoVal) continue;
        if (i->op == Op_call || i->op == Op_checkpoint) trimmed_whole(t, region_of(t->p, i).body);
        if (is_trimmed(i)) rebuild(t, b, fn, v, read, map);
        else map[v] = b_copy(b, i, map);
    }
    for (uint32_t k = 0; k < fn->results.len; k++) {
        if (result[k]) b_result(b, map[fn->results.data[k]]);
    }
    return builder_done(b);
}

static const Fn *trimmed(Trim *t, const Fn *fn, const bool *param, const bool *result) {
    Sym key = key_of(t, fn, param, result);
    for (uint32_t k = 0; k < t->done.len; k++) {
        if (t->done.data[k].key == key) return t->done.data[k].fn;
    }
    bool all = true;
    for (uint32_t k = 0; k < fn->nparams; k++) all &= param[k];
    for (uint32_t k = 0; k < fn->results.len; k++) all &= result[k];
    Fn *made = rebuild_fn(t, fn, param, result);
    if (all) {
        program_add(t->p, made);
    } else {
        made->exported = false;
        add_fresh(t->p, made, fn->name, "trimmed");
    }
    vec_push(t->p->cx->scratch, &t->done, ((Trimmed){key, made}));
    return made;
}

void pass_trim(Program *p) {
    keep_callees_first(p, NULL);
    Trim t = {.p = p};
    for (uint32_t k = p->fns.len; k-- > 0;) {
        const Fn *fn = p->fns.data[k];
        if (program_is_entry(p, fn)) trimmed_whole(&t, fn);
    }
    keep_callees_first(p, NULL);
}
