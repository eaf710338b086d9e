/* The position of a run as checkpoint metadata, and back. It holds no time, path or thread count,
 * so that equal runs write equal bytes. */
#include "runtime/trainer.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define FormatKey "format"
#define FormatName "bpc checkpoint 1"

static int by_name(const void *a, const void *b) {
    return strcmp(((const Slot *)a)->name, ((const Slot *)b)->name);
}

/* What a checkpoint holds, sorted by name: data statistics and state, all of it or the weights. */
static Slot *tensors(Run *r, const Slot *state, bool all, uint32_t *n) {
    Slot *out = NEW_ARRAY(r->scratch, Slot, (size_t)r->m->nstate + r->stats.len);
    *n = 0;
    for (uint32_t i = 0; i < r->m->nstate; i++) {
        if (all || !is_optimizer_state(state[i].name)) out[(*n)++] = state[i];
    }
    for (uint32_t i = 0; i < r->stats.len; i++) out[(*n)++] = r->stats.data[i];
    qsort(out, *n, sizeof *out, by_name);
    return out;
}

typedef VEC(Meta) Metas;

static void add(Run *r, Metas *m, const char *key, const char *value) {
    vec_push(r->scratch, m, (Meta){key, value});
}

static void add_int(Run *r, Metas *m, const char *key, int64_t v) {
    add(r, m, key, arena_printf(r->scratch, "%" PRId64, v));
}

static const char *double_text(Arena *a, double v) {
    char buf[32];
    print_f64(buf, v);
    return arena_printf(a, "%s", buf);
}

Exit save_commit(Run *r, const char *name, const Slot *state, const Position *p) {
    const MfStage *s = &r->m->stages[p->stage];
    Metas m = {0};
    add(r, &m, FormatKey, FormatName);
    add(r, &m, "stage", s->name);
    add_int(r, &m, "step", p->step);
    add_int(r, &m, "updates", p->updates);
    add(r, &m, "seed", arena_printf(r->scratch, "%" PRIu64, p->seed));
    add(r, &m, "best", double_text(r->scratch, p->best));
    add_int(r, &m, "stale", p->stale);
    add_int(r, &m, "rows", p->rows);
    add_int(r, &m, "summed", p->summed);
    Text sums = {0};
    for (uint32_t i = 0; i <= s->nmetrics; i++) {
        text_add(&sums, "%s%s", i ? " " : "", double_text(r->scratch, p->sums[i]));
    }
    add(r, &m, "sums", text_done(&sums, r->scratch));
    for (uint32_t i = 0; i < r->m->nhypers; i++) {
        const MfHyper *h = &r->m->hypers[i];
        char buf[32];
        hyper_text(buf, h, r->o.hypers[i]);
        add(r, &m, arena_printf(r->scratch, "hyper.%s", h->name),
            arena_printf(r->scratch, "%s", buf));
    }
    uint32_t n;
    Slot *t = tensors(r, state, true, &n);
    bool keep = !strcmp(name, CkLast);
    const char *error = ck_commit(r->scratch, r->dir, name, t, n, m.data, m.len, keep);
    return error ? run_error(r, ExitData, "%s", error) : ExitOk;
}

Exit save_weights(Run *r, const char *path) {
    const Meta format = {FormatKey, FormatName};
    const char *slash = strrchr(path, '/');
    const char *dir = slash == path ? "/" : ".";
    if (slash && slash != path) dir = arena_strndup(r->scratch, path, (size_t)(slash - path));
    uint32_t n;
    Slot *t = tensors(r, r->state, false, &n);
    const char *error =
        ck_commit(r->scratch, dir, slash ? slash + 1 : path, t, n, &format, 1, false);
    return error ? run_error(r, ExitData, "%s", error) : ExitOk;
}

/* ---- reading ---- */
static bool get_int(const Checkpoint *c, const char *key, int64_t *v) {
    const char *s = ck_meta(c, key);
    char *end;
    if (!s || !*s) return false;
    errno = 0;
    *v = strtoll(s, &end, 10);
    return !*end && !errno && *v >= 0;
}

static bool get_sums(Run *r, const Checkpoint *c, Position *p) {
    uint32_t n = r->m->stages[p->stage].nmetrics + 1;
    const char *s = ck_meta(c, "sums");
    p->sums = NEW_ARRAY(r->arena, double, n);
    for (uint32_t i = 0; i < n; i++) {
        char *end;
        if (!s) return false;
        p->sums[i] = strtod(s, &end);
        if (end == s) return false;
        s = end;
    }
    return !*s;
}

static bool get_position(Run *r, const Checkpoint *c, Position *p) {
    const char *stage = ck_meta(c, "stage"), *best = ck_meta(c, "best"), *seed = ck_meta(c, "seed");
    const MfStage *s = mf_stage(r->m, stage);
    if (!s || !best || !seed) return false;
    p->stage = (uint32_t)(s - r->m->stages);
    p->best = strtod(best, NULL);
    p->seed = strtoull(seed, NULL, 10);
    return get_int(c, "step", &p->step) && get_int(c, "updates", &p->updates) &&
           get_int(c, "stale", &p->stale) && get_int(c, "rows", &p->rows) &&
           get_int(c, "summed", &p->summed) && p->step <= p->updates && get_sums(r, c, p);
}

/* Hyperparameters that the command line leaves open go on as they were. */
static void get_hypers(Run *r, const Checkpoint *c) {
    for (uint32_t i = 0; i < r->m->nhypers; i++) {
        const char *key = arena_printf(r->scratch, "hyper.%s", r->m->hypers[i].name);
        const char *s = ck_meta(c, key);
        if (!s || r->o.hyper_given[i]) continue;
        r->o.hypers[i] = !strcmp(s, "true") ? 1 : strtod(s, NULL);
    }
}

/* The folder of the run that began last: its name is its time. */
static const char *newest_run(Run *r) {
    const char *parent = arena_printf(r->arena, "runs/%s", r->m->name), *best = NULL;
    DIR *d = opendir(parent);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (*e->d_name == '.' || (best && strverscmp(e->d_name, best) < 0)) continue;
        best = arena_printf(r->arena, "%s", e->d_name);
    }
    if (d) closedir(d);
    return best ? arena_printf(r->arena, "%s/%s", parent, best) : parent;
}

Exit save_resume(Run *r, Checkpoint *c, Position *p) {
    bool latest = !strcmp(r->o.resume, "latest");
    const char *error, *path = r->o.resume;
    if (latest) {
        r->dir = r->o.out ? r->o.out : newest_run(r);
        path = r->dir;
        error = ck_latest(r->arena, r->dir, c);
    } else {
        const char *slash = strrchr(path, '/');
        r->dir = slash ? arena_strndup(r->arena, path, (size_t)(slash - path)) : ".";
        if (slash == path) r->dir = "/";
        error = ck_read(r->arena, path, c);
    }
    if (error) return run_error(r, ExitData, "%s", error);
    if (!ck_meta(c, "sha256") || !get_position(r, c, p)) {
        return run_error(r, ExitData, "%s: is no checkpoint of a run of '%s'", path, r->m->name);
    }
    get_hypers(r, c);
    return ExitOk;
}
