/* Writes the manifest (docs/manifest.md), all that a trainer knows of its program but its code. */
#include "codegen/codegen.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* Text from a source file may hold bytes that are no UTF-8; JSON may not. */
static json_t *text_json(const char *s) {
    if (!s) return json_null();
    json_t *v = json_string(s);
    if (v) return v;
    char *ascii = strdup(s);
    for (char *p = ascii; p && *p; p++) {
        if ((unsigned char)*p >= 0x80) *p = '?';
    }
    v = json_string(ascii ? ascii : "");
    free(ascii);
    return v;
}

static json_t *real_json(double v) {
    if (isnan(v)) return json_string("nan");
    if (isinf(v)) return json_string(v < 0 ? "-inf" : "inf");
    return json_real(v);
}

static void put(json_t *o, const char *key, json_t *v) {
    json_object_set_new(o, key, v);
}
static void put_text(json_t *o, const char *key, const char *s) {
    put(o, key, text_json(s));
}
static void put_int(json_t *o, const char *key, int64_t i) {
    put(o, key, json_integer(i));
}

static json_t *named(const char *name_key, const char *name, const char *doc) {
    json_t *o = json_object();
    put_text(o, name_key, name);
    if (doc) put_text(o, "doc", doc);
    return o;
}

static void put_type(json_t *o, Type t) {
    json_t *shape = json_array();
    for (uint32_t i = 0; i < t.shape->rank; i++) {
        json_array_append_new(shape, json_integer(t.shape->dim[i]));
    }
    put_text(o, "dtype", dtype_name(t.dt));
    put_int(o, "range", t.range);
    put(o, "shape", shape);
}

static json_t *expr_json(const DataExpr *e) {
    json_t *list = json_array();
    const DataExprForm *form = &data_expr_forms[e->kind];
    json_array_append_new(list, json_string(form->tag));
    for (const char *op = form->members; *op; op++) {
        json_array_append_new(list, *op == 'n'   ? real_json(e->num)
                                    : *op == 'a' ? json_integer(e->a)
                                    : *op == 'b' ? json_integer(e->b)
                                    : *op == 's' ? text_json(e->s)
                                                 : expr_json(*op == 'x' ? e->x : e->y));
    }
    return list;
}

static json_t *fields_json(const Dataset *d) {
    json_t *fields = json_array();
    for (uint32_t i = 0; i < d->fields.len; i++) {
        const Field *f = &d->fields.data[i];
        json_t *o = named("name", f->name, NULL);
        put_type(o, f->type);
        put(o, "expr", expr_json(f->expr));
        put_int(o, "line", f->loc.line);
        put_int(o, "col", f->loc.col);
        json_array_append_new(fields, o);
    }
    return fields;
}

static json_t *names_json(const Sym *names, uint32_t n) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++) json_array_append_new(list, text_json(names[i]));
    return list;
}

static json_t *dataset_json(const Dataset *d) {
    json_t *o = named("name", d->name, d->doc);
    json_t *split = json_object(), *split_files = json_object();
    put_text(o, "kind", d->kind);
    put(o, "files", names_json(d->files.data, d->files.len));
    put_int(o, "header", d->header);
    put_int(o, "skip", d->skip);
    put_text(o, "sep", (char[]){d->sep, 0});
    put(o, "lines", json_boolean(d->lines));
    put_text(o, "row", d->row);
    put_int(o, "rows", d->rows);
    put_int(o, "seed", (int64_t)d->seed);
    put_text(split, "mode", split_modes[d->split]);
    put(split, "valid", real_json(d->valid));
    put(split, "test", real_json(d->test));
    put_int(split, "seed", (int64_t)d->split_seed);
    put(o, "split", split);
    for (size_t i = 0; i < DataParts; i++) {
        const Syms *given = &d->split_files[i];
        if (given->len) put(split_files, data_parts[i], names_json(given->data, given->len));
    }
    put(o, "split_files", split_files);
    put(o, "fields", fields_json(d));
    return o;
}

static json_t *fn_json(const Fn *f) {
    json_t *o = named("name", f->name, f->doc), *args = json_array(), *results = json_array();
    put_int(o, "arena", f->plan ? (int64_t)f->plan->arena_bytes : 0);
    put(o, "exported", json_boolean(f->exported));
    for (uint32_t i = 0; i < f->nparams; i++) {
        json_t *arg = named("name", f->ins.data[i].name, NULL);
        put_type(arg, f->ins.data[i].type);
        json_array_append_new(args, arg);
    }
    for (uint32_t i = 0; i < f->results.len; i++) {
        const Ins *ins = &f->ins.data[f->results.data[i]];
        json_t *result = named("name", ins->name ? ins->name : "", NULL);
        put_type(result, ins->type);
        put_int(result, "alias", f->donated ? f->donated[i] : -1);
        json_array_append_new(results, result);
    }
    put(o, "args", args);
    put(o, "results", results);
    return o;
}

/* Field i of the stage's batch: the dataset's i-th, under the name that `as` gives it. */
static void put_fields(json_t *o, const Program *p, const Stage *s) {
    json_t *fields = json_array(), *binds = json_array();
    const Dataset *d = NULL;
    for (uint32_t i = 0; i < p->datasets.len; i++) {
        if (p->datasets.data[i]->name == s->dataset) d = p->datasets.data[i];
    }
    for (uint32_t i = 0; i < s->binds.len && d && i < d->fields.len; i++) {
        json_array_append_new(fields, text_json(d->fields.data[i].name));
        json_array_append_new(binds, text_json(s->binds.data[i]));
    }
    put(o, "finals", names_json(s->finals.data, s->finals.len));
    put(o, "fields", fields);
    put(o, "binds", binds);
    put(o, "metrics", names_json(s->metrics.data, s->metrics.len));
}

/* Lines of ["text", s], ["value", i] and ["decode", i, dataset]. */
static json_t *prints_json(const Stage *s) {
    json_t *lines = json_array();
    for (uint32_t i = 0; i < s->prints.len; i++) {
        json_t *line = json_array();
        for (uint32_t k = 0; k < s->prints.data[i].parts.len; k++) {
            const PrintPart *part = &s->prints.data[i].parts.data[k];
            json_t *o = json_array();
            json_array_append_new(o, text_json(part->text     ? "text"
                                               : part->decode ? "decode"
                                                              : "value"));
            json_array_append_new(o, part->text ? text_json(part->text)
                                                : json_integer((json_int_t)part->value));
            if (part->decode) json_array_append_new(o, text_json(part->decode));
            json_array_append_new(line, o);
        }
        json_array_append_new(lines, line);
    }
    return lines;
}

static json_t *stage_json(const Program *p, const Stage *s) {
    json_t *o = named("name", s->name, s->doc);
    put_text(o, "dataset", s->dataset);
    put_text(o, "split", s->split);
    put_text(o, "valid_dataset", s->valid_dataset);
    put_text(o, "valid_split", s->valid_split);
    put_fields(o, p, s);
#define FN(name) put_text(o, #name, s->name);
    STAGE_ENTRIES(FN)
#undef FN
    put(o, "prints", prints_json(s));
#define COUNT(name) put_int(o, #name, s->name);
    STAGE_COUNTS(COUNT)
#undef COUNT
    put(o, "seed", s->has_seed ? json_integer((int64_t)s->seed) : json_null());
    put_int(o, "loss_line", s->loss_loc.line);
    put_int(o, "loss_col", s->loss_loc.col);
    return o;
}

static void put_source(json_t *o, const Program *p) {
    char *absolute = p->path ? realpath(p->path, NULL) : NULL, hex[65];
    put_text(o, "source", absolute ? absolute : p->path ? p->path : "");
    free(absolute);
    Sha256 sha;
    sha256_init(&sha);
    for (uint32_t i = 0; p->path && i < p->cx->sources.len; i++) {
        const Source *s = &p->cx->sources.data[i];
        if (!strcmp(s->name, p->path)) sha256_add(&sha, s->text, s->len);
    }
    sha256_hex(&sha, hex);
    put_text(o, "source_hash", hex);
}

char *cg_manifest(Program *p) {
    json_t *o = named("name", p->name, p->doc), *hypers = json_array(), *consts = json_object();
    json_t *datasets = json_array(), *state = json_array(), *fns = json_array();
    json_t *stages = json_array();
    put_source(o, p);
    put_text(o, "compiler", "bpc " BPC_VERSION);
    put_text(o, "float", p->real == F64 ? "f64" : "f32");
    for (uint32_t i = 0; i < p->hypers.len; i++) {
        const Hyper *h = &p->hypers.data[i];
        json_t *v = named("name", h->name, h->doc);
        put_text(v, "dtype", dtype_name(h->dt));
        put(v, "default", real_json(h->value));
        json_array_append_new(hypers, v);
    }
    for (uint32_t i = 0; i < p->consts.len; i++) {
        put_text(consts, p->consts.data[i].name, p->consts.data[i].text);
    }
    for (uint32_t i = 0; i < p->datasets.len; i++) {
        json_array_append_new(datasets, dataset_json(p->datasets.data[i]));
    }
    for (uint32_t i = 0; i < p->state.len; i++) {
        json_t *v = named("path", p->state.data[i].path, NULL);
        put_type(v, p->state.data[i].type);
        json_array_append_new(state, v);
    }
    for (uint32_t i = 0; i < p->fns.len; i++) {
        const Fn *f = p->fns.data[i];
        if (program_is_entry(p, f)) json_array_append_new(fns, fn_json(f));
    }
    for (uint32_t i = 0; i < p->stages.len; i++) {
        json_array_append_new(stages, stage_json(p, p->stages.data[i]));
    }
    put(o, "hypers", hypers);
    put(o, "consts", consts);
    put(o, "datasets", datasets);
    put(o, "state", state);
    put_text(o, "init", p->init);
    put(o, "functions", fns);
    put(o, "stages", stages);
    char *json = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!json) BUG(p->cx, "the manifest cannot be written");
    char *kept = arena_strndup(p->cx->arena, json, strlen(json));
    free(json);
    return kept;
}
