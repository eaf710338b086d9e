/* Warnings for names that nothing uses. What a compile-time `if` or `for` leaves out uses its names
 * too:
 *
 *   let k = 2 * x;
 *   if bias { return x + k; } else { return x; }      no warning, whatever bias is */
#include "frontend/lower.h"

void warn_unused(const Frame *f) {
    Cx *cx = f->fr->cx;
    for (uint32_t i = 0; !f->in_std && i < f->scope->names.len; i++) {
        const Binding *b = &f->scope->names.data[i];
        if (cx->errors > cx->werrors || b->used || b->quiet || b->name[0] == '_' ||
            b->value.kind == VError)
            continue;
        bool layer = b->value.kind == VInstance || b->value.kind == VLayers;
        diag_warn(cx, layer ? "unused-layer" : "unused-let", b->loc, "'%s' is never used", b->name);
    }
}

static void uses_of(Frame *f, const Expr *e);

static void uses_of_type(Frame *f, const TypeX *t) {
    if (!t) return;
    uses_of(f, t->range);
    for (uint32_t i = 0; i < t->dims.len; i++) uses_of(f, t->dims.data[i].e);
    for (uint32_t i = 0; i < t->elems.len; i++) uses_of_type(f, t->elems.data[i]);
}

static void uses_of_args(Frame *f, const Args *args) {
    for (uint32_t i = 0; i < args->len; i++) uses_of(f, args->data[i].value);
}

static void uses_of_all(Frame *f, const Exprs *all) {
    for (uint32_t i = 0; i < all->len; i++) uses_of(f, all->data[i]);
}

static void uses_of(Frame *f, const Expr *e) {
    if (!e) return;
    bool name = e->kind == ExName || e->kind == ExSpread;
    Binding *b = name ? find_binding(f, e->name) : NULL;
    if (b) b->used = true;
    uses_of_type(f, e->type);
    uses_of(f, e->x);
    uses_of(f, e->y);
    uses_of(f, e->z);
    uses_of_args(f, &e->args);
    uses_of_all(f, &e->elems);
}

void note_uses(Frame *f, const Block *block) {
    for (uint32_t k = 0; block && k < block->stmts.len; k++) {
        const Stmt *st = block->stmts.data[k];
        uses_of(f, st->e);
        uses_of(f, st->count);
        uses_of(f, st->x);
        uses_of(f, st->y);
        uses_of_args(f, &st->args);
        uses_of_all(f, &st->elems);
        for (uint32_t i = 0; i < st->binds.len; i++) {
            uses_of_type(f, st->binds.data[i].type);
            uses_of(f, st->binds.data[i].init);
        }
        note_uses(f, st->body);
        note_uses(f, st->orelse);
    }
}
