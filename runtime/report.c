/* The `print` lines of a stage: one call gives all values, those of text are decoded. */
#include "runtime/trainer.h"

#include <stdlib.h>

Exit report_new(Run *r, const MfStage *s, const char *dataset, MfSplit split, uint64_t seed,
                Report *report) {
    *report = (Report){.stage = s->report ? s : NULL, .seed = seed};
    if (!s->report) return ExitOk;
    report->call = call_new(r, mf_fn_index(r->m, s->report), NULL);
    if (!report->call) return ExitData;
    int64_t n = feed_rows(r, dataset, split);
    report->rows = NEW_ARRAY(r->arena, int64_t, (size_t)s->batch);
    for (int64_t i = 0; i < s->batch; i++) report->rows[i] = n ? i % n : 0;
    return feed_new(r, report->call, s, dataset, split, s->batch, &report->feed);
}

static void add_decoded(const Run *r, Text *t, const char *dataset, MfType type, const void *data) {
    int64_t *ids = NEW_ARRAY(r->scratch, int64_t, (size_t)type.size);
    int64_t row = type.rank ? type.dim[type.rank - 1] : 1;
    for (int64_t i = 0; i < type.size; i++) ids[i] = (int64_t)mf_load(type.dt, data, i);
    for (int64_t i = 0; row && i < type.size; i += row) {
        if (i) text_add(t, "\n");
        feed_decode(r, dataset, ids + i, row, t);
    }
}

void report_run(Run *r, const Report *report) {
    if (!report->stage) return;
    const Call *c = report->call;
    Text t = {0};
    r->key = (int64_t)rng_fold(report->seed, 0);
    feed_batch(&report->feed, report->rows, 0);
    call_run(r, c);
    for (uint32_t i = 0; i < report->stage->nprints; i++) {
        const MfPrint *line = &report->stage->prints[i];
        for (uint32_t k = 0; k < line->n; k++) {
            const MfPrintPart *part = &line->parts[k];
            if (k) text_add(&t, " ");
            if (part->text) {
                text_add(&t, "%s", part->text);
                continue;
            }
            MfType type = c->fn->results[part->value].type;
            const void *data = c->args[c->fn->nargs + part->value];
            if (part->decode)
                add_decoded(r, &t, part->decode, type, data);
            else
                print_values(&t, type, data);
        }
        text_add(&t, "\n");
    }
    fwrite(t.data, 1, t.len, stdout);
    fflush(stdout);
    free(t.data);
}
