/* A whole trainer, driven by its command line: exit statuses, logs, checkpoints, resuming. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* 28 rows, 21 for training: 5 updates in an epoch, 20 in stage fit, 10 in stage tune. */
enum { Rows = 28, FitUpdates = 20 };

typedef struct Fixture {
    Arena *a;
    char dir[64];
    char *out, *err; /* of the last run */
} Fixture;

static char *slurp(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *bytes = calloc(1, (1 << 18) + 1);
    *n = fread(bytes, 1, 1 << 18, f);
    fclose(f);
    return bytes;
}

static int setup(void **state) {
    Fixture *f = calloc(1, sizeof *f);
    f->a = arena_new();
    strcpy(f->dir, "bpc-train-XXXXXX");
    if (!mkdtemp(f->dir) || chdir(f->dir)) return -1;
    FILE *csv = fopen("points.csv", "w");
    if (!csv) return -1;
    for (uint64_t i = 0; i < Rows; i++) {
        double x[3];
        for (uint64_t d = 0; d < 3; d++) x[d] = 10 * rng_f64(rng_bits(1, 3 * i + d)) - 3;
        fprintf(csv, "%.6f,%.6f,%.6f,%.6f\n", x[0], x[1], x[2], x[0] - 2 * x[1] + 0.5 * x[2] + 1);
    }
    fclose(csv);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    free(f->out);
    free(f->err);
    char *command = arena_printf(f->a, "rm -rf %s", f->dir);
    int failed = chdir("/") || system(command);
    arena_free(f->a);
    free(f);
    return failed;
}

static int redirect(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
}

/* The exit status of the trainer, or minus the signal that ended it. setting is NAME=VALUE for
 * its environment, or NULL. */
static int run(Fixture *f, const char *setting, const char *args) {
    free(f->out);
    free(f->err);
    pid_t pid = fork();
    if (!pid) {
        char *argv[32] = {FAKE_TRAINER}, *copy = arena_printf(f->a, "%s", args), *save;
        int n = 1;
        for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) argv[n++] = s;
        if (setting) putenv(arena_printf(f->a, "%s", setting));
        dup2(redirect("stdout"), STDOUT_FILENO);
        dup2(redirect("stderr"), STDERR_FILENO);
        execv(FAKE_TRAINER, argv);
        _exit(99);
    }
    int status;
    size_t n;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    f->out = slurp("stdout", &n);
    f->err = slurp("stderr", &n);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void expect(Fixture *f, int status, const char *args, const char *text) {
    int got = run(f, NULL, args);
    if (got != status || !strstr(f->err, text)) {
        fail_msg("%s: status %d, expected %d with \"%s\"; said:\n%s", args, got, status, text,
                 f->err);
    }
}

static void assert_same_file(const char *one, const char *two) {
    size_t n, m;
    char *a = slurp(one, &n), *b = slurp(two, &m);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
}

/* metrics.jsonl without the speeds. */
static char *rows_of(const char *path) {
    size_t n;
    char *text = slurp(path, &n), *to = text;
    assert_non_null(text);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        char *rate = strstr(line, ",\"examples_per_second\"");
        assert_true(rate && rate < end);
        memmove(to, line, (size_t)(rate - line));
        to += rate - line;
        *to++ = '\n';
    }
    *to = 0;
    return text;
}

static void assert_same_run(const char *one, const char *two) {
    char path[2][64];
    const char *names[] = {CkLast, CkBest};
    for (size_t i = 0; i < LEN(names); i++) {
        snprintf(path[0], sizeof path[0], "%s/%s", one, names[i]);
        snprintf(path[1], sizeof path[1], "%s/%s", two, names[i]);
        assert_same_file(path[0], path[1]);
    }
    snprintf(path[0], sizeof path[0], "%s/metrics.jsonl", one);
    snprintf(path[1], sizeof path[1], "%s/metrics.jsonl", two);
    char *a = rows_of(path[0]), *b = rows_of(path[1]);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static int count(const char *text, const char *what) {
    int n = 0;
    for (; (text = strstr(text, what)); text++) n++;
    return n;
}

static void trains(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, NULL, "--out whole"), 0);
    assert_int_equal(count(f->err, "fit  epoch "), 4);
    assert_non_null(strstr(f->err, "fit  epoch 4/4  loss "));
    assert_non_null(strstr(f->err, "tune  epoch 2/2  loss "));
    assert_non_null(strstr(f->err, "  valid loss "));
    assert_string_equal(f->out, "");
    char *rows = rows_of("whole/metrics.jsonl");
    assert_int_equal(count(rows, "\"split\":\"train\""), 6);
    assert_int_equal(count(rows, "\"split\":\"valid\""), 6);
    assert_non_null(
        strstr(rows, "{\"stage\":\"tune\",\"step\":10,\"epoch\":2,\"split\":\"valid\","));
    free(rows);
    Arena *a = f->a;
    Checkpoint c;
    assert_null(ck_read(a, "whole/" CkLast, &c));
    const char *names[] = {"data.points.x.deviation", "data.points.x.mean", "net.b", "net.w",
                           "opt.m.net.w"};
    assert_int_equal(c.n, LEN(names));
    for (size_t i = 0; i < LEN(names); i++) assert_string_equal(c.tensors[i].name, names[i]);
    assert_string_equal(ck_meta(&c, "stage"), "tune");
    assert_string_equal(ck_meta(&c, "step"), "10");
    assert_string_equal(ck_meta(&c, "seed"), "7");
    assert_string_equal(ck_meta(&c, "hyper.lr"), "0.05");
    ck_free(&c);
    size_t n;
    char *config = slurp("whole/config.json", &n);
    assert_non_null(strstr(config, "\"lr\": 0.05"));
    assert_non_null(strstr(config, "\"compiler\": \"by hand\""));
    free(config);
}

static void default_folder(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, NULL, "fit --epochs 1 --progress=none"), 0);
    assert_string_equal(f->err, "");
    assert_int_equal(run(f, NULL, "fit --epochs 1 --progress none"), 0);
    assert_int_equal(system("test $(ls runs/line | wc -l) = 2"), 0);
    assert_int_equal(run(f, NULL, "--resume --progress=none"), 0);
    assert_int_equal(system("test $(ls runs/line | wc -l) = 2"), 0);
}

static void equal_runs_write_equal_bytes(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, NULL, "--out one --threads 1"), 0);
    assert_int_equal(run(f, NULL, "--out two --threads 2 --seed=7 --lr 0.05"), 0);
    assert_int_equal(run(f, NULL, "--out three --threads=3"), 0);
    assert_same_run("one", "two");
    assert_same_run("one", "three");
    /* an earlier run's files are replaced */
    assert_int_equal(run(f, NULL, "--out two --seed 8"), 0);
    assert_int_not_equal(system("cmp -s one/last.safetensors two/last.safetensors"), 0);
    assert_int_equal(run(f, NULL, "--out two"), 0);
    assert_same_run("one", "two");
}

/* Rows that take a while leave every thread the time to claim one. */
static void threads_get_work(void **state) {
    Fixture *f = *state;
    putenv("BPRT_STATS=1");
    for (int threads = 1; threads <= 3; threads++) {
        char *args = arena_printf(f->a, "--out part --steps 5 --threads %d", threads);
        assert_int_equal(run(f, "FAKE_PAUSE=1000", args), 0);
        for (int i = 0; i <= threads; i++) {
            const char *line = strstr(f->err, arena_printf(f->a, "thread %d: ", i));
            if (i == threads)
                assert_null(line);
            else
                assert_true(line && line[strlen("thread 0: ")] != '0');
        }
    }
    unsetenv("BPRT_STATS");
}

/* Interrupted or killed after any update, a run that is resumed ends in the same bytes. */
static void resume_is_exact(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, NULL, "--out whole"), 0);
    for (int k = 1; k <= FitUpdates; k++) {
        char *setting = arena_printf(f->a, "FAKE_INT=%d", k);
        assert_int_equal(run(f, setting, "--out part"), 130);
        assert_non_null(strstr(f->err, "interrupted after update"));
        assert_int_equal(run(f, NULL, "--out part --resume"), 0);
        assert_same_run("whole", "part");
    }
    for (int k = 2; k <= FitUpdates; k++) {
        char *setting = arena_printf(f->a, "FAKE_KILL=%d", k);
        assert_int_equal(run(f, setting, "--out part"), -9);
        const char *left = "part/" CkLast;
        assert_int_equal(run(f, NULL, "--out part --resume=latest"), access(left, F_OK) ? 3 : 0);
        if (k > 3) assert_same_run("whole", "part"); /* save_every is 3 */
    }
}

/* Several interruptions in one run, the second stage's too, and settings that only the checkpoint
 * knows. */
static void resume_again(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, NULL, "--out whole --lr 0.02 --seed 3 --epochs 3"), 0);
    assert_int_equal(run(f, "FAKE_INT=4", "--out part --lr 0.02 --seed 3 --epochs 3"), 130);
    assert_int_equal(run(f, "FAKE_INT=9", "--out part --resume --epochs 3"), 130);
    assert_int_equal(run(f, "FAKE_INT=2", "--out part --resume --epochs 3"), 130);
    assert_int_equal(run(f, "FAKE_INT=7", "--out part --resume --epochs 3"), 130);
    assert_int_equal(run(f, NULL, "--out part --resume --epochs 3"), 0);
    assert_same_run("whole", "part");
    /* a finished run stays as it is */
    assert_int_equal(run(f, NULL, "--out part --resume --epochs 3"), 0);
    assert_same_run("whole", "part");
    assert_int_equal(run(f, NULL, "--out part --resume=part/previous.safetensors --epochs 3"), 0);
    assert_same_run("whole", "part");
    expect(f, 2, "--out part --resume fit", "the checkpoint is of stage 'tune'");
    expect(f, 2, "--out part --resume --epochs 1", "the plan ends at 5");
}

static void damaged_last(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, NULL, "--out whole"), 0);
    assert_int_equal(run(f, "FAKE_KILL=11", "--out part"), -9);
    assert_int_equal(truncate("part/" CkLast, 300), 0);
    assert_int_equal(close(redirect("part/.tmp.123")), 0);
    assert_int_equal(run(f, NULL, "--out part --resume"), 0);
    assert_same_run("whole", "part");
    assert_int_not_equal(access("part/.tmp.123", F_OK), 0);
    expect(f, 3, "--out nowhere --resume", "no checkpoint to resume from");
    expect(f, 3, "--out part --resume=points.csv", "points.csv: no safetensors file");
}

static void diverges(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, "FAKE_NAN=8", "--out part"), 1);
    assert_non_null(
        strstr(f->err, "line.bp:17:3: error: the loss is NaN at update 8 of stage 'fit'"));
    char *rows = rows_of("part/metrics.jsonl");
    assert_non_null(strstr(rows, "\"step\":8,\"epoch\":2,\"split\":\"train\",\"loss\":null"));
    free(rows);
}

static void early_stop_and_steps(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, NULL, "tune --out part --steps 7 --epochs 2"), 0);
    assert_non_null(strstr(f->err, "step 7/7"));
    /* without learning no evaluation is better than the first: three more, then the end */
    assert_int_equal(run(f, NULL, "tune --out part --epochs 50 --lr 0"), 0);
    char *rows = rows_of("part/metrics.jsonl");
    assert_int_equal(count(rows, "valid"), 4);
    free(rows);
}

static void evaluates(void **state) {
    Fixture *f = *state;
    assert_int_equal(run(f, NULL, "fit --out part --save weights.safetensors"), 0);
    char *line = strstr(f->err, "epoch 4/4"), *loss = strstr(line, "valid ") + strlen("valid ");
    loss = arena_strndup(f->a, loss, (size_t)(strstr(loss, "  mae") - loss));
    assert_int_equal(run(f, NULL, "eval --ckpt part/last.safetensors"), 0);
    assert_int_equal(strncmp(f->out, loss, strlen(loss)), 0);
    assert_non_null(strstr(f->out, "  mae "));
    assert_string_equal(f->err, "");
    assert_int_equal(run(f, NULL, "eval fit --ckpt=weights.safetensors --split=valid"), 0);
    assert_int_equal(strncmp(f->out, loss, strlen(loss)), 0);
    expect(f, 3, "eval --ckpt weights.safetensors --split test", "no rows");
    expect(f, 0, "eval", "no --ckpt");
    Checkpoint c;
    assert_null(ck_read(f->a, "weights.safetensors", &c));
    assert_int_equal(c.n, 4); /* without optimizer state */
    ck_free(&c);
    assert_int_equal(run(f, NULL, "tune --out more --ckpt weights.safetensors --lr 0"), 0);
    assert_null(ck_read(f->a, "more/last.safetensors", &c));
    ck_free(&c);
}

static void weights_must_fit(void **state) {
    Fixture *f = *state;
    float w[4] = {0};
    const int64_t four[] = {4}, three[] = {3};
    const Slot wrong[] = {{"net.b", {F32, 0, 0, 1, four}, w},
                          {"net.w", {F32, 1, 0, 4, four}, w}};
    const Slot strange[] = {{"net.b", {F32, 0, 0, 1, four}, w},
                            {"net.v", {F32, 1, 0, 3, three}, w},
                            {"net.w", {F32, 1, 0, 3, three}, w}};
    const Meta meta = {"format", "test"};
    assert_null(ck_commit(f->a, ".", "wrong", wrong, 2, &meta, 1, false));
    assert_null(ck_commit(f->a, ".", "strange", strange, 3, &meta, 1, false));
    assert_null(ck_commit(f->a, ".", "missing", wrong, 1, &meta, 1, false));
    expect(f, 3, "--ckpt wrong", "wrong: 'net.w' is f32[4], but the program's is f32[3]");
    expect(f, 3, "--ckpt strange", "the program has no 'net.v'; the nearest is 'net.b'");
    expect(f, 3, "--ckpt missing", "missing: has no tensor 'net.w'");
    expect(f, 3, "--ckpt nothing", "nothing: No such file");
}

static void command_line(void **state) {
    Fixture *f = *state;
    expect(f, 2, "--epoch 3", "unknown option '--epoch'; did you mean '--epochs'?");
    expect(f, 2, "--zzzzzz", "unknown option '--zzzzzz'");
    expect(f, 2, "-e", "unknown option '-e'");
    expect(f, 2, "--epochs", "--epochs needs a value");
    expect(f, 2, "--epochs 0", "--epochs takes a whole number from 1, not '0'");
    expect(f, 2, "--steps 3x", "not '3x'");
    expect(f, 2, "--seed -1", "--seed takes a whole number from 0");
    expect(f, 2, "--threads 4000", "at most 1024");
    expect(f, 2, "--lr fast", "--lr takes a number, not 'fast'");
    expect(f, 2, "--progress often", "--progress takes auto, plain or none");
    expect(f, 2, "--dry-run=yes", "--dry-run takes no value");
    expect(f, 2, "--data points.csv", "--data takes NAME=FILE");
    expect(f, 2, "--in a.npz", "--in has no meaning for training");
    expect(f, 2, "fti", "no stage 'fti'; did you mean 'fit'?");
    expect(f, 2, "fit tune", "'tune' is one argument too many");
    expect(f, 2, "eval --split all", "--split takes train, valid or test");
    expect(f, 2, "eval --resume", "--resume has no meaning for eval");
    expect(f, 2, "call", "call needs the name of an export");
    expect(f, 2, "call predcit", "no export 'predcit'; did you mean 'predict'?");
    expect(f, 2, "call fit_step", "no export 'fit_step'");
    expect(f, 3, "--out points.csv", "'points.csv' is no folder");
}

static void help_and_dry_run(void **state) {
    Fixture *f = *state;
    static const char *const said[] = {"usage: line [STAGE]",
                                       "A line through points.",
                                       "--lr f32",
                                       "Learning rate. (default 0.05)",
                                       "Fits it.",
                                       "Points.",
                                       "predict(x: f32[3]) -> f32",
                                       "The value on the line.",
                                       "--resume[=latest|FILE]",
                                       "BPRT_STATS"};
    assert_int_equal(run(f, NULL, "--help"), 0);
    for (size_t i = 0; i < LEN(said); i++) {
        if (!strstr(f->out, said[i])) fail_msg("help does not say \"%s\":\n%s", said[i], f->out);
    }
    assert_int_equal(run(f, NULL, "--dry-run"), 0);
    assert_non_null(strstr(f->out, "stage fit: 20 updates, 5 per epoch, batch 4, 21 rows"));
    assert_int_not_equal(access("runs", F_OK), 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(trains),           TEST(default_folder),   TEST(equal_runs_write_equal_bytes),
        TEST(threads_get_work), TEST(resume_is_exact),  TEST(resume_again),
        TEST(damaged_last),     TEST(diverges),         TEST(early_stop_and_steps),
        TEST(evaluates),        TEST(weights_must_fit), TEST(command_line),
        TEST(help_and_dry_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
