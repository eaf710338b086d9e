/* base: what every other folder stands on: arenas, growable arrays, interned strings, text
 * buffers, checked sizes, source positions and diagnostics. No mutable globals: all state hangs
 * off a Cx that is passed by hand. */
#ifndef BPC_BASE_H
#define BPC_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__GNUC__)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#else
#define PRINTF_LIKE(fmt, args)
#define NORETURN
#endif

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* ---- sizes ---- */
/* a * b and a + b; false on overflow, *out is then untouched. */
static inline bool size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* memcpy that allows null where n is 0, as empty arrays are. */
static inline void copy_bytes(void *to, const void *from, size_t n) {
    if (n) memcpy(to, from, n);
}

/* ---- arena.c ---- */
typedef struct Arena Arena;
Arena *arena_new(void);
void arena_free(Arena *a);
/* Drops everything allocated from a, keeping its first block. */
void arena_reset(Arena *a);
/* Zeroed, 16-byte aligned. Exits with a message when memory runs out. */
void *arena_alloc(Arena *a, size_t bytes);
/* n objects of the given size, with the product checked. */
void *arena_array(Arena *a, size_t n, size_t size);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(Arena *a, const char *fmt, va_list ap);
#define NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define NEW_ARRAY(a, T, n) ((T *)arena_array((a), (n), sizeof(T)))

/* ---- growable arrays in an arena: VEC(int) v = {0}; vec_push(a, &v, 3); v.data[i] ---- */
#define VEC(T)                                                                                     \
    struct {                                                                                       \
        T *data;                                                                                   \
        uint32_t len, cap;                                                                         \
    }
#define vec_push(a, v, ...)                                                                        \
    (vec_grow((a), (void **)&(v)->data, &(v)->cap, (v)->len, sizeof *(v)->data),                   \
     (v)->data[(v)->len++] = __VA_ARGS__)
void vec_grow(Arena *a, void **data, uint32_t *cap, uint32_t len, size_t size);

/* ---- text buffer on the heap; text_done() hands the string over to an arena ---- */
typedef struct Text {
    char *data;
    size_t len, cap;
} Text;
void text_add(Text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_addn(Text *t, const char *s, size_t n);
/* s in quotes, as the lexer reads it back. */
void text_add_quoted(Text *t, const char *s);
char *text_done(Text *t, Arena *a);

/* FNV-1a. */
uint64_t hash_bytes(const void *p, size_t n);

/* ---- interned strings: equal text is the equal pointer ---- */
typedef const char *Sym;

/* ---- sources and positions ---- */
/* A stretch of one source line: `line` and `col` count from 1 (columns in bytes), `len` is the
 * number of bytes that carets underline. line == 0 means "no position". */
typedef struct Loc {
    Sym file;
    uint32_t line;
    uint16_t col, len;
} Loc;

/* From the start of a to the end of b when both stand on one line, else a. */
Loc loc_join(Loc a, Loc b);

typedef enum Severity { SevError, SevWarning, SevNote } Severity;

/* What to write instead: text for the stretch of loc; loc.len == 0: text before its column. */
typedef struct Fixit {
    Loc loc;
    const char *text;
} Fixit;

typedef struct Diag {
    Severity sev;
    Loc loc;
    const char *text;
    const char *flag; /* warning name, as in -Wno-NAME, or NULL */
    VEC(Fixit) fixits;
} Diag;

typedef struct Source {
    Sym name; /* as diagnostics print it */
    const char *text;
    size_t len;
} Source;

/* The context of one compilation. */
typedef struct Cx {
    Arena *arena;   /* lives as long as the compilation */
    Arena *scratch; /* reset after each pass */
    struct Interner *interner;
    struct ShapeTable *shapes; /* interned shapes, made by ir/types.c on first use */
    VEC(Diag) diags;
    VEC(Source) sources;
    VEC(Sym) disabled_warnings;
    uint32_t errors, werrors; /* werrors: of them, warnings by -Werror */
    bool repeated; /* the last diagnostic was silenced or said before; its notes are dropped */
    bool werror;
    bool times; /* cx_took prints */
    /* what BUG() names; maintained by the pass runner */
    const char *pass;
    /* writes the input of the running pass to a file for a report; may be NULL */
    void (*crash_dump)(void *data);
    void *crash_data;
} Cx;

Cx *cx_new(void);
void cx_free(Cx *cx);
/* What a stage took since `start`, a now_seconds(), to standard error where the user asked. */
void cx_took(const Cx *cx, double start, const char *stage);
Sym sym(Cx *cx, const char *s);
Sym sym_n(Cx *cx, const char *s, size_t n);
/* The SHA-256 of any bytes: the equal pointer for equal bytes. */
Sym sym_digest(Cx *cx, const void *data, size_t n);
Sym sym_fmt(Cx *cx, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Registers text under a name, so that diagnostics can show its lines. text is not copied. */
void source_add(Cx *cx, Sym name, const char *text, size_t len);
/* The 1-based line without its newline, or NULL if the source or the line is unknown. */
const char *source_line(const Cx *cx, Sym name, uint32_t line, size_t *len);

/* ---- diag.c ---- */
enum { MaxErrors = 20 };
void diag_error(Cx *cx, Loc loc, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* An error about a name that is none of n names: adds "did you mean" and a fix-it if one is near.
 * loc: of the name, which may be NULL. */
void diag_unknown(Cx *cx, Loc loc, const char *name, const char *const *names, size_t n,
                  const char *fmt, ...) PRINTF_LIKE(6, 7);
/* A warning that -Wno-FLAG silences and -Werror turns into an error. */
void diag_warn(Cx *cx, const char *flag, Loc loc, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Belongs to the diagnostic before it. */
void diag_note(Cx *cx, Loc loc, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Attaches to the last diagnostic what to write in place of its stretch. */
void diag_fixit(Cx *cx, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same in place of another stretch, and before another stretch. */
void diag_replace(Cx *cx, Loc loc, const char *fmt, ...) PRINTF_LIKE(3, 4);
void diag_insert(Cx *cx, Loc loc, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same in place of a word that stands right before loc on its line; nothing if it does not. */
void diag_replace_word(Cx *cx, Loc loc, const char *word, const char *text);
/* Names of warnings, as in -Wno-NAME; at most max. */
size_t warning_names(const char **out, size_t max);
/* Writes all collected diagnostics in clang's form and forgets them. */
void diag_render(Cx *cx, FILE *out, bool color);
/* ---- diag_json.c: the same, an object a line with its notes and fix-its ---- */
void diag_render_json(Cx *cx, FILE *out);
/* The nearest of n names to s by edit distance, or NULL if none is near. */
const char *nearest_name(const char *s, const char *const *names, size_t n);

/* An internal error: names the pass and the instruction, dumps the pass's input, exits with 70. */
NORETURN void bug_at(Cx *cx, Loc loc, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define BUG(cx, ...) bug_at((cx), (Loc){0}, __VA_ARGS__)
enum { ExitBug = 70 };

/* ---- number.c ---- */
/* The shortest decimal that reads back to the same bits; always has a '.', an exponent, or is inf
 * or nan, so that it reads as a float. buf has room for 32 bytes. */
void print_f64(char *buf, double v);
void print_f32(char *buf, float v);
/* bf16 is carried in a float; rounding is to nearest even by integer arithmetic. */
float round_bf16(float v);

/* ---- counter-based random numbers (SplitMix64's finalizer over key and index) ----
 * The same functions are emitted by codegen, used by the interpreter and by the runtime. */
static inline uint64_t rng_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}
/* A new key from a key and a number: rng_mix(key + mix(n + golden)). */
static inline uint64_t rng_fold(uint64_t key, uint64_t n) {
    return rng_mix(key + rng_mix(n + UINT64_C(0x9E3779B97F4A7C15)));
}
/* The i-th 64-bit draw of a key. */
static inline uint64_t rng_bits(uint64_t key, uint64_t i) {
    return rng_mix(key + (i + 1) * UINT64_C(0x9E3779B97F4A7C15));
}
/* Uniform in [0, 1) with 24 and 53 bits. */
static inline float rng_f32(uint64_t bits) { return (float)(bits >> 40) * 0x1p-24f; }
static inline double rng_f64(uint64_t bits) { return (double)(bits >> 11) * 0x1p-53; }

/* ---- machine.c ---- */
double now_seconds(void); /* from any fixed moment on */
int32_t cpu_count(void);  /* that this process may use */

/* ---- file.c: false where it is cut off or fails ---- */
bool read_all(int fd, void *to, size_t n);
bool write_all(int fd, const void *from, size_t n);

/* ---- sha256.c ---- */
typedef struct Sha256 {
    uint32_t h[8];
    uint64_t bytes;
    unsigned char block[64];
} Sha256;
void sha256_init(Sha256 *c);
void sha256_add(Sha256 *c, const void *data, size_t n);
void sha256_hex(Sha256 *c, char hex[65]);
void sha256_of(const void *data, size_t n, char hex[65]);

#endif
