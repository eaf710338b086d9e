/* train blocks: a stage made of settings, loss functions, a step and an evaluation. */
#include "frontend/lower_train.h"

static bool check_binds(Train *t) {
    uint32_t n = t->item->binds.len, have = t->data->fields.len;
    if (t->data->broken || !have) return false; /* reported where it is declared */
    if (n == have) return true;
    diag_error(t->fr->cx, n ? t->item->binds.data[n - 1].loc : t->item->name_loc,
               "%u names for the %u fields of '%s'; '_' stands for an unused one", n, have,
               t->data->name);
    diag_note(t->fr->cx, t->data->loc, "declared here");
    return false;
}

void lower_train(Front *fr, const Item *item) {
    Cx *cx = fr->cx;
    Train t = {.fr = fr, .item = item, .stage = NEW(cx->arena, Stage)};
    Stage *s = t.stage;
    *s = (Stage){.name = item->name, .loc = item->name_loc, .doc = item->doc};
    if (!strcmp(item->name, "eval") || !strcmp(item->name, "call")) {
        diag_error(cx, item->name_loc,
                   "a stage cannot be named '%s': the trainer has a command of that name",
                   item->name);
        return;
    }
    if (!train_data(&t, item->e, &s->dataset, &s->split)) return;
    t.data = find_dataset(fr, s->dataset);
    for (uint32_t i = 0; i < item->binds.len; i++)
        vec_push(cx->arena, &s->binds, item->binds.data[i].name);
    if (!train_settings(&t) || !check_binds(&t) || !train_losses(&t)) return;
    const Fn *step = train_step(&t, false);
    const Fn *accum = step && s->accumulate > 1 ? train_step(&t, true) : NULL;
    if (!step || (s->accumulate > 1 && !accum) || !train_evaluation(&t)) return;
    s->loss = t.parts.data[0].loss->fn->name;
    s->step = step->name;
    if (accum) s->accum = accum->name;
    vec_push(cx->arena, &fr->p->stages, s);
}
