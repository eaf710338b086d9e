/* Programs with tokens and bytes changed, through the front end and all passes: they compile or
 * give errors, every message has a place in the text, nothing crashes, hangs or fails a verifier.
 *
 *   frontend_fuzz_test [PROGRAMS [SEED]]
 *
 * Seeded, so that a failure repeats; the program of a crash is left in fuzz-crash.bp. */
#include "frontend/frontend.h"
#include "frontend/parse.h"
#include "passes/passes.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MaxFiles = 400, MaxBytes = 20000, Seconds = 20 };

typedef struct Sample {
    char *text;
    size_t len;
    Tokens tokens;
} Sample;

static Sample samples[MaxFiles];
static size_t nsamples, nright; /* nright: programs without errors, first */
static Arena *arena;
static const char *current;
static size_t current_len;
static unsigned accepted, refused, misplaced;

static uint64_t next_random(uint64_t *state) {
    return rng_mix(*state += UINT64_C(0x9E3779B97F4A7C15));
}

static void keep_program(void) {
    FILE *f = current ? fopen("fuzz-crash.bp", "wb") : NULL;
    if (!f) return;
    fwrite(current, 1, current_len, f);
    fclose(f);
    fprintf(stderr, "the program is in fuzz-crash.bp\n");
}

static void crashed(int sig) {
    keep_program();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void add_sample(const char *path) {
    Cx *cx = cx_new();
    size_t len;
    const char *text = read_whole_file(cx, path, &len);
    if (text && len && len < MaxBytes && nsamples < MaxFiles) {
        Sample *s = &samples[nsamples++];
        *s = (Sample){.text = arena_strndup(arena, text, len), .len = len};
        Tokens tokens = {0};
        parse_tokens(cx, sym(cx, path), text, len, &tokens);
        for (uint32_t i = 0; i < tokens.len; i++) {
            Token t = tokens.data[i];
            t.text = arena_strndup(arena, t.text, t.len);
            vec_push(arena, &s->tokens, t);
        }
    }
    cx_free(cx);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_folder(const char *path) {
    char *paths[MaxFiles];
    size_t n = 0;
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e && n < MaxFiles; e = readdir(d)) {
        if (e->d_name[0] != '.') paths[n++] = arena_printf(arena, "%s/%s", path, e->d_name);
    }
    if (d) closedir(d);
    qsort(paths, n, sizeof *paths, by_name);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(paths[i]);
        if (len > 3 && !strcmp(paths[i] + len - 3, ".bp"))
            add_sample(paths[i]);
        else
            add_folder(paths[i]);
    }
}

/* Every error and warning stands at a place that its file has. */
static void check_places(const Cx *cx) {
    for (uint32_t i = 0; i < cx->diags.len; i++) {
        const Diag *d = &cx->diags.data[i];
        size_t len = 0;
        bool there = d->loc.file && source_line(cx, d->loc.file, d->loc.line, &len);
        if (there && d->loc.col && d->loc.col <= len + 1) continue;
        if (misplaced++ < 5)
            printf("no place %u:%u: %s\n----\n%s\n----\n", d->loc.line, d->loc.col, d->text,
                   current);
    }
}

static void compile(const char *text, size_t len) {
    static const FrontOptions options = {0};
    static const PassOptions passes_options = {.level = 2, .verify_each = true, .limit = -1};
    Cx *cx = cx_new();
    current = text;
    current_len = len;
    alarm(Seconds);
    Program *p = front_load_text(cx, sym(cx, "fuzz.bp"), text, len, &options);
    bool ok = p && passes_run(p, &passes_options);
    alarm(0);
    check_places(cx);
    if (!ok && !cx->errors) {
        printf("neither a program nor an error:\n%s\n", text);
        misplaced++;
    }
    *(ok ? &accepted : &refused) += 1;
    cx_free(cx);
    current = NULL;
}

static const Token *any_token(uint64_t *state) {
    static const char *const often[] = {
        "0", "1", "-1", "2147483648", "99999999999", "...",    "*S",   "(",   ")",   "[",
        "]", "{", "}",  "axis=1",     "f64[2, 3]",   "i32<3>", "scan", "inf", "nan", "grad"};
    static Token made;
    uint64_t r = next_random(state);
    if (r % 4 == 0) {
        const char *text = often[(r >> 8) % LEN(often)];
        made = (Token){.text = text, .len = (uint32_t)strlen(text)};
        return &made;
    }
    const Sample *s = &samples[(r >> 8) % nsamples];
    if (!s->tokens.len) return any_token(state);
    return &s->tokens.data[(r >> 32) % s->tokens.len];
}

static void add_token(Text *out, const Token *t) {
    text_add(out, t->newlines ? "\n" : " ");
    text_addn(out, t->text, t->len);
    if (t->len > 1 && t->text[0] == '/' && t->text[1] == '/') text_add(out, "\n");
}

/* A few tokens dropped, doubled, exchanged with their neighbours or replaced by others. */
static void change_tokens(const Sample *s, uint64_t *state, Text *out) {
    uint32_t at[3], n = s->tokens.len, changes = 1 + (uint32_t)(next_random(state) % 12) / 5;
    for (uint32_t k = 0; k < changes; k++) at[k] = (uint32_t)(next_random(state) % n);
    for (uint32_t i = 0; i < n; i++) {
        bool hit = false;
        for (uint32_t k = 0; k < changes; k++) hit |= at[k] == i;
        uint64_t r = next_random(state) % 6;
        const Token *t = &s->tokens.data[i];
        if (hit && r < 3) add_token(out, any_token(state));
        if (hit && r == 3 && i + 1 < n) {
            add_token(out, t + 1);
            add_token(out, t);
            i++;
            continue;
        }
        if (!hit || r > 1) add_token(out, t);
        if (hit && r == 4) add_token(out, t);
    }
}

static void change_bytes(const Sample *s, uint64_t *state, Text *out) {
    static const char often[] = "(){}[]<>;:,.=+-*/@%!&|\"0123456789 \n\\#'xyz_";
    text_addn(out, s->text, s->len);
    for (uint64_t k = 1 + next_random(state) % 3; k > 0; k--) {
        uint64_t r = next_random(state);
        out->data[(r >> 32) % s->len] =
            r & 1 ? often[(r >> 8) % (sizeof often - 1)] : (char)(r >> 16);
    }
}

int main(int argc, char **argv) {
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 800;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    arena = arena_new();
    add_folder(ROOT "/examples");
    add_folder(ROOT "/tests/language");
    nright = nsamples;
    add_folder(ROOT "/tests/errors");
    if (nsamples < 50) return printf("%zu samples are too few\n", nsamples), 1;
    signal(SIGSEGV, crashed);
    signal(SIGABRT, crashed);
    signal(SIGALRM, crashed);
    signal(SIGFPE, crashed);
    atexit(keep_program);
    for (unsigned long i = 0; i < n; i++) {
        uint64_t r = next_random(&state);
        const Sample *s = &samples[(r >> 8) % (r % 3 ? nright : nsamples)];
        Text t = {0};
        if (s->tokens.len && i % 4)
            change_tokens(s, &state, &t);
        else
            change_bytes(s, &state, &t);
        compile(t.data, t.len);
        free(t.data);
    }
    printf("%u programs accepted, %u refused, %u messages without a place\n", accepted, refused,
           misplaced);
    arena_free(arena);
    return misplaced != 0 || !refused || (n > 100 && !accepted);
}
