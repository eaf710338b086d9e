/* Declarations against each other, before any body is lowered: names that are defined twice, rules
 * of nothing. */
#include "frontend/lower.h"

bool is_rule(const Item *item) {
    return item->kind == ItBackward || item->kind == ItForward;
}

static uint32_t by_position(const Item *item) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < item->formals.len; i++) n += !item->formals.data[i].init;
    return n;
}

static bool clash(const Item *a, const Item *b) {
    if (a->name != b->name || !a->name) return false;
    if (a->kind == ItImport || b->kind == ItImport) return false;
    if (is_rule(a) || is_rule(b)) return a->kind == b->kind && a->formals.len == b->formals.len;
    if (a->kind == ItFn && b->kind == ItFn) return by_position(a) == by_position(b);
    return true;
}

static void check_twice(Front *fr) {
    for (uint32_t i = 0; i < fr->order.len; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const Item *a = fr->order.data[k], *b = fr->order.data[i];
            if (!clash(a, b)) continue;
            diag_error(fr->cx, b->name_loc, "'%s' is defined twice", b->name);
            diag_note(fr->cx, a->name_loc, "the first definition is here");
            break;
        }
    }
}

/* ---- rules ---- */

static const Item *ruled_fn(const Front *fr, const Item *rule) {
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        const Item *item = fr->globals.data[i].item;
        bool fits = item->kind == ItFn && item->name == rule->name;
        if (fits && item->formals.len == rule->formals.len) return item;
    }
    return NULL;
}

static const char *nearest_ruled(const Front *fr, const char *name) {
    VEC(const char *) names = {0};
    for (int op = 0; op < OpCount; op++) {
        vec_push(fr->cx->arena, &names, op_info[op].name);
    }
    for (uint32_t i = 0; i < fr->globals.len; i++) {
        const Item *item = fr->globals.data[i].item;
        if (item->kind == ItFn) vec_push(fr->cx->arena, &names, item->name);
    }
    return nearest_name(name, names.data, names.len);
}

/* A rule belongs to an operation or to a fn with as many arguments. */
static void check_ruled(const Front *fr, const Item *rule) {
    Op op = op_by_name(rule->name);
    bool fits = op != OpCount && op_info[op].nargs > 0 &&
                (int)rule->formals.len >= op_info[op].nargs &&
                (int)rule->formals.len <= op_info[op].nargs + op_info[op].nattrs;
    if (fits || ruled_fn(fr, rule)) return;
    const char *near = op == OpCount ? nearest_ruled(fr, rule->name) : NULL;
    diag_unknown(fr->cx, rule->name_loc, rule->name, &near, near != NULL,
                 "there is no operation or fn '%s' of %u argument%s", rule->name, rule->formals.len,
                 rule->formals.len == 1 ? "" : "s");
}

/* Each line of a rule is for one of its inputs (of its outputs in `forward`), once. */
static void check_rule_lines(const Front *fr, const Item *rule) {
    const Binds *of = rule->kind == ItBackward ? &rule->formals : &rule->outputs;
    for (uint32_t i = 0; rule->body && i < rule->body->stmts.len; i++) {
        const Stmt *st = rule->body->stmts.data[i];
        if (st->kind != StRuleLine) continue;
        bool known = false, twice = false;
        for (uint32_t k = 0; k < of->len; k++) known |= of->data[k].name == st->name;
        for (uint32_t k = 0; k < i; k++) {
            const Stmt *other = rule->body->stmts.data[k];
            twice |= other->kind == StRuleLine && other->name == st->name;
        }
        if (known && !twice) continue;
        diag_error(fr->cx, st->loc,
                   known ? "'%s' has two lines in this rule"
                         : "'%s' is none of what this rule is for",
                   st->name);
    }
}

void check_items(Front *fr) {
    check_twice(fr);
    for (uint32_t i = 0; i < fr->order.len; i++) {
        if (!is_rule(fr->order.data[i])) continue;
        check_ruled(fr, fr->order.data[i]);
        check_rule_lines(fr, fr->order.data[i]);
    }
}
