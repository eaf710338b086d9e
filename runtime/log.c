/* What a run leaves behind and says: metrics.jsonl, config.json, lines or a bar on standard
 * error. Each row of metrics.jsonl is one write, so that a crash leaves whole rows. */
#include "runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- the run's folder ---- */
static bool make_dirs(char *path) {
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/') continue;
        char c = *p;
        *p = 0;
        bool ok = !mkdir(path, 0777) || errno == EEXIST;
        *p = c;
        if (!ok || !c) return ok;
    }
}

/* runs/NAME/TIME, with a number behind it if another run began in the same second. */
static const char *fresh_dir(Arena *a, const char *name) {
    char stamp[32];
    time_t t = time(NULL);
    struct tm tm;
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", localtime_r(&t, &tm));
    char *parent = arena_printf(a, "runs/%s", name);
    if (!make_dirs(parent)) return parent;
    for (int n = 1;; n++) {
        char *dir = n == 1 ? arena_printf(a, "%s/%s", parent, stamp)
                           : arena_printf(a, "%s/%s-%d", parent, stamp, n);
        if (!mkdir(dir, 0777) || errno != EEXIST) return dir;
    }
}

Exit log_dir(Run *r) {
    if (r->o.out) {
        char *dir = arena_printf(r->arena, "%s", r->o.out);
        r->dir = dir;
        make_dirs(dir);
    } else if (!r->dir) {
        r->dir = fresh_dir(r->arena, r->m->name);
    }
    struct stat st;
    if (stat(r->dir, &st)) {
        return run_error(r, ExitData, "cannot make the folder '%s': %s", r->dir, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) return run_error(r, ExitData, "'%s' is no folder", r->dir);
    return ExitOk;
}

/* ---- metrics.jsonl ---- */
static Exit keep_rows(Run *r, int fd, int64_t rows) {
    char buf[4096];
    off_t keep = 0, at = 0;
    ssize_t n;
    for (int64_t seen = 0; seen < rows && (n = pread(fd, buf, sizeof buf, at)) > 0;) {
        for (ssize_t i = 0; i < n && seen < rows; i++) {
            if (buf[i] != '\n') continue;
            seen++;
            keep = at + i + 1;
        }
        at += n;
    }
    if (!ftruncate(fd, keep)) return ExitOk;
    return run_error(r, ExitData, "cannot cut metrics.jsonl in '%s': %s", r->dir, strerror(errno));
}

Exit log_open(Run *r, Log *log, int64_t rows) {
    *log = (Log){.fd = -1, .rows = rows};
    const char *path = arena_printf(r->arena, "%s/metrics.jsonl", r->dir);
    log->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->fd < 0) return run_error(r, ExitData, "cannot write %s: %s", path, strerror(errno));
    if (flock(log->fd, LOCK_EX | LOCK_NB)) {
        return run_error(r, ExitData, "another run writes to '%s'; --out names another folder",
                         r->dir);
    }
    log->bar = r->o.progress == ProgressAuto && isatty(STDERR_FILENO);
    log->quiet = r->o.progress == ProgressNone;
    log->started = now_seconds();
    return keep_rows(r, log->fd, rows);
}

void log_close(Log *log) {
    if (log->fd >= 0) close(log->fd);
    log->fd = -1;
}

static void add_number(Text *t, const char *key, double v, DType type) {
    char buf[32];
    if (type == F64)
        print_f64(buf, v);
    else
        print_f32(buf, (float)v);
    text_add(t, ",\"%s\":%s", key, isfinite(v) && isfinite(strtod(buf, NULL)) ? buf : "null");
}

Exit log_row(Run *r, Log *log, const Record *rec) {
    Text t = {0};
    text_add(&t, "{\"stage\":\"%s\",\"step\":%lld,\"epoch\":%lld,\"split\":\"%s\"",
             rec->stage->name, (long long)rec->step, (long long)rec->epoch, rec->split);
    const MfResult *value = r->m->fns[mf_fn_index(r->m, rec->stage->eval)].results;
    add_number(&t, "loss", rec->values[0], value[0].type.dt);
    for (uint32_t i = 0; i < rec->stage->nmetrics; i++)
        add_number(&t, rec->stage->metrics[i], rec->values[i + 1], value[i + 1].type.dt);
    text_add(&t, ",\"examples_per_second\":%.1f}\n", isfinite(rec->rate) ? rec->rate : 0);
    bool ok = write(log->fd, t.data, t.len) == (ssize_t)t.len;
    free(t.data);
    log->rows++;
    if (ok) return ExitOk;
    return run_error(r, ExitData, "cannot write metrics.jsonl in '%s': %s", r->dir,
                     strerror(errno));
}

/* ---- config.json ---- */
static json_t *hypers_json(const Run *r) {
    json_t *o = json_object();
    for (uint32_t i = 0; i < r->m->nhypers; i++) {
        double v = r->o.hypers[i];
        DType dt = r->m->hypers[i].dt;
        bool whole = dt == I32 || dt == I64;
        json_object_set_new(o, r->m->hypers[i].name,
                            dt == BOOL  ? json_boolean(v != 0)
                            : whole       ? json_integer((json_int_t)v)
                            : isfinite(v) ? json_real(v)
                                          : json_null());
    }
    return o;
}

static json_t *cpu_json(void) {
    char line[256];
    const char *name = "unknown";
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        line[strcspn(line, "\n")] = 0;
        name = colon + 2;
        break;
    }
    json_t *v = json_string(name);
    if (f) fclose(f);
    return v ? v : json_string("unknown");
}

Exit log_config(Run *r) {
    const Manifest *m = r->m;
    json_t *o = json_object(), *consts = json_object();
    for (uint32_t i = 0; i < m->nconsts; i++) {
        json_object_set_new(consts, m->consts[i].name, json_string(m->consts[i].text));
    }
    json_object_set_new(o, "program", json_string(m->name));
    json_object_set_new(o, "source", json_string(m->source));
    json_object_set_new(o, "source_hash", json_string(m->source_hash));
    json_object_set_new(o, "compiler", json_string(m->compiler));
    json_object_set_new(o, "float", json_string(m->real));
    json_object_set_new(o, "consts", consts);
    json_object_set_new(o, "hypers", hypers_json(r));
    json_object_set_new(o, "seed", json_integer((json_int_t)r->seed));
    json_object_set_new(o, "threads", json_integer(r->env.threads));
    json_object_set_new(o, "cpu", cpu_json());
    const char *path = arena_printf(r->arena, "%s/config.json", r->dir);
    bool ok = !json_dump_file(o, path, JSON_INDENT(2));
    json_decref(o);
    return ok ? ExitOk : run_error(r, ExitData, "cannot write %s: %s", path, strerror(errno));
}

/* ---- standard error ---- */
static void add_value(Text *t, const char *name, double v) {
    double size = fabs(v);
    bool plain = v == 0 || (size >= 1e-3 && size < 1e5);
    text_add(t, plain ? "%s %.4f" : "%s %.3e", name, v);
}

void log_values(Text *t, const MfStage *s, const double *values, const char *split) {
    text_add(t, "%s", split);
    add_value(t, "loss", values[0]);
    for (uint32_t i = 0; i < s->nmetrics; i++) {
        text_add(t, "  ");
        add_value(t, s->metrics[i], values[i + 1]);
    }
}

static void add_rate(Text *t, double rate) {
    static const char *const units[] = {"", "k", "M", "G"};
    size_t unit = 0;
    for (; rate >= 1000 && unit + 1 < LEN(units); unit++) rate /= 1000;
    text_add(t, "  %.1f%s examples/s", rate, units[unit]);
}

static void add_place(const Run *r, Text *t, const Plan *p, int64_t step) {
    if (r->m->nstages > 1) text_add(t, "%s  ", p->stage->name);
    int64_t epoch = (step + p->per_epoch - 1) / p->per_epoch;
    int64_t epochs = (p->updates + p->per_epoch - 1) / p->per_epoch;
    if (step % p->per_epoch == 0)
        text_add(t, "epoch %lld/%lld  ", (long long)epoch, (long long)epochs);
    else
        text_add(t, "step %lld/%lld  ", (long long)step, (long long)p->updates);
}

void log_line(const Run *r, Log *log, const Plan *p, const Record *train, const Record *valid) {
    if (log->quiet) return;
    Text t = {0};
    if (log->bar) text_add(&t, "\r\033[K");
    add_place(r, &t, p, train->step);
    if (valid) {
        add_value(&t, "loss", train->values[0]);
        log_values(&t, p->stage, valid->values, "  valid ");
    } else {
        log_values(&t, p->stage, train->values, "");
    }
    add_rate(&t, train->rate);
    text_add(&t, "\n");
    fwrite(t.data, 1, t.len, stderr);
    free(t.data);
}

enum { BarCells = 24 };

void log_bar(const Run *r, Log *log, const Plan *p, const Record *now, double left) {
    Text t = {0};
    struct winsize w;
    int64_t cells = now->step * BarCells / p->updates;
    text_add(&t, "[");
    for (int64_t i = 0; i < BarCells; i++) text_add(&t, i < cells ? "#" : ".");
    text_add(&t, "] ");
    add_place(r, &t, p, now->step);
    log_values(&t, p->stage, now->values, "");
    add_rate(&t, now->rate);
    if (isfinite(left)) {
        long s = left < 3.5e8 ? (long)(left + 0.5) : 0;
        if (s >= 3600)
            text_add(&t, "  %ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
        else
            text_add(&t, "  %ld:%02ld left", s / 60, s % 60);
    }
    size_t width = !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col > 1 ? w.ws_col - 1u : 79;
    fprintf(stderr, "\r%.*s\033[K", (int)(t.len < width ? t.len : width), t.data);
    free(t.data);
    log->drawn = now_seconds();
}
