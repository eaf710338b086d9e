/* Checkpoint files: round trip, hostile and damaged ones, and a kill at every system call of a
 * commit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Fixture {
    Arena *a;
    char dir[64];
    const char *path;
    float w[6];
    int64_t step;
    unsigned char mask[3];
    Slot slots[3];
} Fixture;

static const int64_t dims[] = {2, 3};
static const int64_t three[] = {3};

static int setup(void **state) {
    Fixture *f = calloc(1, sizeof *f);
    f->a = arena_new();
    strcpy(f->dir, "bpc-ck-XXXXXX");
    if (!mkdtemp(f->dir)) return -1;
    f->path = arena_printf(f->a, "%s/" CkLast, f->dir);
    for (int i = 0; i < 6; i++) f->w[i] = (float)i / 3;
    f->mask[1] = 1;
    f->slots[0] = (Slot){"a.mask", {BOOL, 1, 0, 3, three}, f->mask};
    f->slots[1] = (Slot){"net.w", {F32, 2, 0, 6, dims}, f->w};
    f->slots[2] = (Slot){"z.step", {I64, 0, 0, 1, dims}, &f->step};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    const char *names[] = {CkLast, CkPrevious, CkBest};
    ck_clear_stale(f->dir);
    for (size_t i = 0; i < LEN(names); i++) unlink(arena_printf(f->a, "%s/%s", f->dir, names[i]));
    rmdir(f->dir);
    arena_free(f->a);
    free(f);
    return 0;
}

static const char *commit(Fixture *f, int64_t step) {
    const Meta meta[] = {{"format", "test"}, {"stage", "fit"}};
    f->step = step;
    return ck_commit(f->a, f->dir, CkLast, f->slots, 3, meta, 2, true);
}

static int64_t step_of(const Checkpoint *c) {
    int64_t step;
    memcpy(&step, c->tensors[2].data, sizeof step);
    return step;
}

static char *slurp(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *bytes = malloc(1 << 16);
    *n = fread(bytes, 1, 1 << 16, f);
    fclose(f);
    return bytes;
}

static void spill(const char *path, const char *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void round_trip(void **state) {
    Fixture *f = *state;
    Checkpoint c;
    assert_null(commit(f, 5));
    assert_null(ck_read(f->a, f->path, &c));
    assert_int_equal(c.n, 3);
    assert_string_equal(c.tensors[1].name, "net.w");
    assert_true(mf_same_shape(c.tensors[1].type, f->slots[1].type));
    assert_memory_equal(c.tensors[1].data, f->w, sizeof f->w);
    assert_int_equal(step_of(&c), 5);
    assert_string_equal(ck_meta(&c, "stage"), "fit");
    assert_int_equal(strlen(ck_meta(&c, "sha256")), 64);
    ck_free(&c);
    assert_null(commit(f, 6));
    assert_null(ck_latest(f->a, f->dir, &c));
    assert_int_equal(step_of(&c), 6);
    ck_free(&c);
    assert_null(ck_read(f->a, arena_printf(f->a, "%s/" CkPrevious, f->dir), &c));
    assert_int_equal(step_of(&c), 5);
    ck_free(&c);
}

static void equal_bytes(void **state) {
    Fixture *f = *state;
    size_t n, m;
    assert_null(commit(f, 5));
    char *one = slurp(f->path, &n);
    assert_null(commit(f, 5));
    char *two = slurp(f->path, &m);
    assert_int_equal(n, m);
    assert_memory_equal(one, two, n);
    free(one);
    free(two);
}

/* Cut off anywhere, or with any bit changed, a file is refused and the one before it is read. */
static void damage_is_seen(void **state) {
    Fixture *f = *state;
    Checkpoint c;
    size_t n;
    assert_null(commit(f, 1));
    assert_null(commit(f, 2));
    char *bytes = slurp(f->path, &n);
    for (size_t cut = 0; cut < n; cut++) {
        spill(f->path, bytes, cut);
        assert_non_null(ck_read(f->a, f->path, &c));
    }
    for (size_t bit = 0; bit < 8 * n; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        spill(f->path, bytes, n);
        const char *error = ck_read(f->a, f->path, &c);
        /* a changed name, type or metadatum may still be well formed: but never the bytes */
        if (!error) assert_true(bit / 8 < n - 35 && !memcmp(c.data, bytes + n - 35, 35));
        ck_free(&c);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    spill(f->path, bytes, n - 1);
    assert_null(ck_latest(f->a, f->dir, &c));
    assert_int_equal(step_of(&c), 1);
    ck_free(&c);
    free(bytes);
    /* the damaged file does not become the previous one */
    assert_null(commit(f, 3));
    assert_non_null(ck_read(f->a, arena_printf(f->a, "%s/" CkBest, f->dir), &c));
    assert_null(ck_read(f->a, arena_printf(f->a, "%s/" CkPrevious, f->dir), &c));
    assert_int_equal(step_of(&c), 1);
    ck_free(&c);
}

static const struct {
    const char *what, *header, *error;
    int data;
} hostile[] = {
    {"no JSON", "{", "no safetensors file", 0},
    {"a list", "[]", "no JSON object", 0},
    {"duplicate keys",
     "{\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
     "\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}",
     "duplicate", 4},
    {"unknown dtype", "{\"a\":{\"dtype\":\"I31\",\"shape\":[],\"data_offsets\":[0,4]}}",
     "unknown dtype 'I31'", 4},
    {"no shape", "{\"a\":{\"dtype\":\"I32\",\"data_offsets\":[0,4]}}", "bad description", 4},
    {"negative size", "{\"a\":{\"dtype\":\"I32\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
     "bad shape", 4},
    {"overflow to 4",
     "{\"a\":{\"dtype\":\"I32\",\"shape\":[4194305,4194305,211106198978564],"
     "\"data_offsets\":[0,4]}}",
     "bad shape", 4},
    {"bytes overflow",
     "{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693953],\"data_offsets\":[0,8]}}",
     "disagree", 8},
    {"outside", "{\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[4,8]}}",
     "outside the file", 4},
    {"backwards", "{\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[4,0]}}",
     "outside the file", 4},
    {"fraction", "{\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4.0]}}",
     "outside the file", 4},
    {"shape and offsets", "{\"a\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[0,4]}}",
     "disagree", 4},
    {"overlap",
     "{\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
     "\"b\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}",
     "overlaps", 4},
    {"hole",
     "{\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
     "\"b\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[8,12]}}",
     "leaves a hole", 12},
    {"rest", "{\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}", "bytes after", 9},
    {"metadata", "{\"__metadata__\":{\"a\":1}}", "something else than text", 0},
    {"bad bool", "{\"a\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[0,4]}}", "bool", 4},
    {"hash", "{\"__metadata__\":{\"sha256\":\"00\"}}", "SHA-256", 0},
};

static void hostile_headers(void **state) {
    Fixture *f = *state;
    Checkpoint c;
    for (size_t i = 0; i < LEN(hostile); i++) {
        size_t n = strlen(hostile[i].header);
        char bytes[512] = {(char)n, (char)(n >> 8)};
        memcpy(bytes + 8, hostile[i].header, n);
        memset(bytes + 8 + n, 7, (size_t)hostile[i].data);
        spill(f->path, bytes, 8 + n + (size_t)hostile[i].data);
        const char *error = ck_read(f->a, f->path, &c);
        if (!error || !strstr(error, hostile[i].error)) {
            fail_msg("%s: %s", hostile[i].what, error ? error : "accepted");
        }
    }
}

/* Empty tensors share an offset with their neighbours, and that is well. */
static void empty_tensors(void **state) {
    Fixture *f = *state;
    Checkpoint c;
    const char *header = "{\"b\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
                         "\"a\":{\"dtype\":\"I32\",\"shape\":[0,9],\"data_offsets\":[0,0]},"
                         "\"c\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[4,4]}}";
    char bytes[512] = {(char)strlen(header)};
    memcpy(bytes + 8, header, strlen(header));
    spill(f->path, bytes, 8 + strlen(header) + 4);
    assert_null(ck_read(f->a, f->path, &c));
    ck_free(&c);
}

static void huge_and_deep(void **state) {
    Fixture *f = *state;
    Checkpoint c;
    char *bytes = calloc(1, 60000);
    memset(bytes, 0xff, 8);
    spill(f->path, bytes, 60000);
    assert_non_null(strstr(ck_read(f->a, f->path, &c), "bad header length"));
    memcpy(bytes, "\x00\xe1\xf5\x05\0\0\0\0", 8); /* 100 million */
    spill(f->path, bytes, 60000);
    assert_non_null(strstr(ck_read(f->a, f->path, &c), "cut off in its header"));
    memcpy(bytes, "\x00\xc0\0\0\0\0\0\0{\"a\":", 13);
    memset(bytes + 13, '[', 50000);
    spill(f->path, bytes, 60000);
    assert_non_null(strstr(ck_read(f->a, f->path, &c), "depth"));
    free(bytes);
    assert_non_null(ck_read(f->a, f->dir, &c));
    assert_non_null(ck_read(f->a, "/nonexistent", &c));
}

/* Runs a commit of step 3 in a child that dies at its n-th stop for a system call; false once the
 * commit ended before. */
static bool commit_killed_at(Fixture *f, int n) {
    pid_t pid = fork();
    if (!pid) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(77);
        raise(SIGSTOP);
        _exit(commit(f, 3) ? 1 : 0);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status)) skip(); /* tracing is forbidden here */
    for (int i = 0; i < n; i++) {
        ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
        waitpid(pid, &status, 0);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            return false;
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return true;
}

static void killed_at_every_call(void **state) {
    Fixture *f = *state;
    Checkpoint c;
    int kills = 0;
    bool alive = true;
    for (int n = 1; alive; n++) {
        teardown(state);
        assert_int_equal(setup(state), 0);
        f = *state;
        assert_null(commit(f, 1));
        assert_null(commit(f, 2));
        alive = commit_killed_at(f, n);
        kills += alive;
        ck_clear_stale(f->dir);
        assert_null(ck_latest(f->a, f->dir, &c));
        assert_true(step_of(&c) == (alive ? 2 : 3) || step_of(&c) == 3);
        ck_free(&c);
        /* and the next commit works */
        assert_null(commit(f, 4));
        assert_null(ck_latest(f->a, f->dir, &c));
        assert_int_equal(step_of(&c), 4);
        ck_free(&c);
    }
    assert_true(kills > 20);
}

static void full_disk(void **state) {
    Fixture *f = *state;
    const Meta meta[] = {{"format", "test"}};
    assert_non_null(ck_commit(f->a, "/nonexistent", CkLast, f->slots, 3, meta, 1, true));
    struct stat st;
    if (stat("/dev/full", &st)) skip();
    /* a temporary that cannot be made leaves the old file alone */
    Checkpoint c;
    assert_null(commit(f, 1));
    if (!geteuid()) return; /* root may write everywhere */
    chmod(f->dir, 0500);
    assert_non_null(commit(f, 2));
    chmod(f->dir, 0700);
    assert_null(ck_read(f->a, f->path, &c));
    assert_int_equal(step_of(&c), 1);
    ck_free(&c);
}

static void sha_vectors(void **state) {
    (void)state;
    static const struct {
        const char *text, *hex;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char hex[65], a[1000];
    Sha256 s;
    for (size_t i = 0; i < LEN(vectors); i++) {
        sha256_init(&s);
        sha256_add(&s, vectors[i].text, strlen(vectors[i].text));
        sha256_hex(&s, hex);
        assert_string_equal(hex, vectors[i].hex);
    }
    memset(a, 'a', sizeof a);
    sha256_init(&s);
    for (int i = 0; i < 1000; i++) sha256_add(&s, a, 1000); /* a million */
    sha256_hex(&s, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(round_trip),      TEST(equal_bytes),   TEST(damage_is_seen),
        TEST(hostile_headers), TEST(empty_tensors), TEST(huge_and_deep),
        TEST(full_disk),       TEST(sha_vectors),   TEST(killed_at_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
