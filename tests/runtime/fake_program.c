/* A compiled program written by hand: linear regression with momentum, whose gradient also gets
 * noise from train.key, so that every source of a run's numbers takes part. The environment
 * interrupts it at a chosen update: FAKE_INT, FAKE_KILL, FAKE_NAN=N, FAKE_PAUSE=MICROSECONDS. */
#include "runtime/bprt.h"
#include "base/base.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { Batch = 4, D = 3 };

/* clang-format off */
#define STATE                                                                                      \
    "{\"name\":\"net.b\",\"dtype\":\"f32\",\"shape\":[]},"                                         \
    "{\"name\":\"net.w\",\"dtype\":\"f32\",\"shape\":[3]},"
#define MOMENTUM "{\"name\":\"opt.m.net.w\",\"dtype\":\"f32\",\"shape\":[3]},"
#define TRAIN                                                                                      \
    "{\"name\":\"hyper.lr\",\"dtype\":\"f32\",\"shape\":[]},"                                      \
    "{\"name\":\"train.step\",\"dtype\":\"i64\",\"shape\":[]},"                                    \
    "{\"name\":\"train.steps\",\"dtype\":\"i64\",\"shape\":[]},"                                   \
    "{\"name\":\"train.key\",\"dtype\":\"i64\",\"shape\":[]},"
#define FIELDS(b)                                                                                  \
    "{\"name\":\"x\",\"dtype\":\"f32\",\"shape\":[" b ",3]},"                                      \
    "{\"name\":\"target\",\"dtype\":\"f32\",\"shape\":[" b "]}"
#define SCALAR(name) "{\"name\":\"" name "\",\"dtype\":\"f32\",\"shape\":[],\"alias\":-1}"
#define MEASURES SCALAR("loss") "," SCALAR("mae")
#define FUNCTION(name, args, results)                                                              \
    "{\"name\":\"" name "\",\"arena\":256,\"exported\":false,\"args\":[" args "],\"results\":["    \
    results "]}"
#define STAGE(name, more)                                                                          \
    "{\"name\":\"" name "\",\"doc\":\"Fits it.\",\"dataset\":\"points\"," \
    "\"split\":\"train\","                                                                         \
    "\"valid_dataset\":\"points\",\"valid_split\":\"valid\",\"fields\":[\"x\",\"y\"],"             \
    "\"binds\":[\"x\",\"target\"],\"step\":\"fit_step\",\"eval\":\"fit_eval\","                    \
    "\"eval_row\":\"fit_eval_row\",\"metrics\":[\"mae\"],\"batch\":4,\"steps\":0," more            \
    ",\"loss_line\":17,\"loss_col\":3}"

static const char manifest[] =
    "{\"name\":\"line\",\"doc\":\"A line through points.\",\"source\":\"line.bp\","
    "\"source_hash\":\"00\",\"compiler\":\"by hand\",\"float\":\"f32\",\"consts\":{\"D\":\"3\"},"
    "\"hypers\":[{\"name\":\"lr\",\"dtype\":\"f32\",\"default\":0.05,\"doc\":\"Learning rate.\"}],"
    "\"datasets\":[{\"name\":\"points\",\"doc\":\"Points.\",\"kind\":\"csv\","
    "\"files\":[\"points.csv\"],\"header\":0,\"skip\":0,\"sep\":\",\","
    "\"split\":{\"mode\":\"random\",\"valid\":0.25,\"test\":0,"
    "\"seed\":0},\"split_files\":{},\"fields\":["
    "{\"name\":\"x\",\"dtype\":\"f32\",\"range\":0,\"shape\":[3],"
    "\"expr\":[\"standardize\",[\"cols\",0,3]],\"line\":4,\"col\":3},"
    "{\"name\":\"y\",\"dtype\":\"f32\",\"range\":0,\"shape\":[],\"expr\":[\"col\",3],\"line\":5,"
    "\"col\":3}]}],"
    "\"state\":[{\"path\":\"net.b\",\"dtype\":\"f32\",\"shape\":[]},"
    "{\"path\":\"net.w\",\"dtype\":\"f32\",\"shape\":[3]},"
    "{\"path\":\"opt.m.net.w\",\"dtype\":\"f32\",\"shape\":[3]}],"
    "\"init\":\"line_init\",\"functions\":["
    "{\"name\":\"line_init\",\"arena\":0,\"exported\":false,"
    "\"args\":[{\"name\":\"train.key\",\"dtype\":\"i64\",\"shape\":[]}],\"results\":["
    SCALAR("b") ",{\"name\":\"w\",\"dtype\":\"f32\",\"shape\":[3],\"alias\":-1},"
    "{\"name\":\"m\",\"dtype\":\"f32\",\"shape\":[3],\"alias\":-1}]},"
    /* net.b is given back in an array of its own, the rest in place */
    FUNCTION("fit_step", STATE MOMENTUM TRAIN FIELDS("4"),
             SCALAR("b") ",{\"name\":\"w\",\"dtype\":\"f32\",\"shape\":[3],\"alias\":1},"
             "{\"name\":\"m\",\"dtype\":\"f32\",\"shape\":[3],\"alias\":2}," MEASURES) ","
    FUNCTION("fit_eval", STATE FIELDS("4"), MEASURES) ","
    FUNCTION("fit_eval_row", STATE FIELDS("1"), MEASURES) ","
    "{\"name\":\"predict\",\"doc\":\"The value on the line.\",\"arena\":0,\"exported\":true,"
    "\"args\":["
    STATE "{\"name\":\"data.points.x.mean\",\"dtype\":\"f32\",\"shape\":[3]},"
    "{\"name\":\"data.points.x.deviation\",\"dtype\":\"f32\",\"shape\":[3]},"
    "{\"name\":\"x\",\"dtype\":\"f32\",\"shape\":[3]}],\"results\":[" SCALAR("y") "]},"
    "{\"name\":\"pick\",\"arena\":0,\"exported\":true,\"args\":["
    "{\"name\":\"table\",\"dtype\":\"f64\",\"shape\":[2,3]},"
    "{\"name\":\"row\",\"dtype\":\"i32\",\"range\":2,\"shape\":[]}],\"results\":["
    "{\"name\":\"r\",\"dtype\":\"f64\",\"shape\":[2,3],\"alias\":-1},"
    "{\"name\":\"n\",\"dtype\":\"i32\",\"range\":2,\"shape\":[],\"alias\":-1}]}"
    "],\"stages\":["
    STAGE("fit", "\"epochs\":4,\"seed\":7,\"eval_every\":0,\"save_every\":3,\"early_stop\":0") ","
    STAGE("tune", "\"epochs\":2,\"seed\":null,\"eval_every\":5,\"save_every\":0,\"early_stop\":3")
    "]}";
/* clang-format on */

/* The number that an environment variable holds, or -1. */
static long setting(const char *name) {
    const char *s = getenv(name);
    return s ? strtol(s, NULL, 10) : -1;
}

static void line_init(void *const *args, unsigned char *arena, const BpEnv *env) {
    uint64_t key = (uint64_t) * (int64_t *)args[0];
    float *b = args[1], *w = args[2], *m = args[3];
    (void)arena, (void)env;
    *b = 0;
    for (int d = 0; d < D; d++) {
        w[d] = rng_f32(rng_bits(key, (uint64_t)d)) - 0.5f;
        m[d] = 0;
    }
}

typedef struct Rows {
    const float *b, *w, *x, *y;
    float *error;
} Rows;

static void one_row(void *data, int64_t i) {
    Rows *r = data;
    float v = *r->b;
    for (int d = 0; d < D; d++) v += r->w[d] * r->x[i * D + d];
    r->error[i] = v - r->y[i];
    if (setting("FAKE_PAUSE") > 0) usleep((useconds_t)setting("FAKE_PAUSE"));
}

static void errors(Rows *r, const BpEnv *env, int n) {
    env->parallel(env, one_row, r, n);
}

static void measure(const Rows *r, int n, float *loss, float *mae) {
    *loss = *mae = 0;
    for (int i = 0; i < n; i++) {
        *loss += r->error[i] * r->error[i] / (float)n;
        *mae += fabsf(r->error[i]) / (float)n;
    }
}

static void disturb(int64_t update) {
    if (setting("FAKE_INT") == update) kill(getpid(), SIGINT);
    if (setting("FAKE_KILL") == update) kill(getpid(), SIGKILL);
}

static void fit_step(void *const *args, unsigned char *arena, const BpEnv *env) {
    const float *b = args[0], lr = *(float *)args[3];
    int64_t step = *(int64_t *)args[4], steps = *(int64_t *)args[5];
    uint64_t key = (uint64_t) * (int64_t *)args[6];
    float *w = args[1], *m = args[2], *new_b = args[9], gb = 0;
    Rows r = {b, w, args[7], args[8], (float *)arena};
    errors(&r, env, Batch);
    measure(&r, Batch, args[12], args[13]);
    float rate = lr * (1 - 0.5f * (float)step / (float)steps);
    for (int d = 0; d < D; d++) {
        float g = 1e-3f * (rng_f32(rng_bits(key, (uint64_t)d)) - 0.5f);
        for (int i = 0; i < Batch; i++) g += r.error[i] * r.x[i * D + d] / Batch;
        m[d] = 0.9f * m[d] + g;
        w[d] -= rate * m[d];
    }
    for (int i = 0; i < Batch; i++) gb += r.error[i] / Batch;
    *new_b = *b - rate * gb;
    if (setting("FAKE_NAN") == step + 1) *(float *)args[12] = NAN;
    disturb(step + 1);
}

static void fit_eval(void *const *args, unsigned char *arena, const BpEnv *env) {
    Rows r = {args[0], args[1], args[2], args[3], (float *)arena};
    errors(&r, env, Batch);
    measure(&r, Batch, args[4], args[5]);
}

static void fit_eval_row(void *const *args, unsigned char *arena, const BpEnv *env) {
    Rows r = {args[0], args[1], args[2], args[3], (float *)arena};
    errors(&r, env, 1);
    measure(&r, 1, args[4], args[5]);
}

static void predict(void *const *args, unsigned char *arena, const BpEnv *env) {
    const float *w = args[1], *mean = args[2], *deviation = args[3], *x = args[4];
    float v = *(float *)args[0];
    (void)arena, (void)env;
    for (int d = 0; d < D; d++) v += w[d] * (x[d] - mean[d]) / deviation[d];
    *(float *)args[5] = v;
}

/* Both results are copies of the arguments. */
static void pick(void *const *args, unsigned char *arena, const BpEnv *env) {
    (void)arena, (void)env;
    memcpy(args[2], args[0], 6 * sizeof(double));
    memcpy(args[3], args[1], sizeof(int32_t));
}

static BpEntry *const entries[] = {line_init, fit_step, fit_eval, fit_eval_row, predict, pick};

const BpProgram bp_program = {manifest, entries};
