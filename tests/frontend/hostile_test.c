/* Programs cut off at every byte and programs with changed bytes: the front end answers with errors
 * or a program, and never crashes. Seeded, so that a failure repeats. */
#include "frontend/frontend.h"

#include <stdlib.h>

static unsigned accepted, refused;

static void load(const char *text, size_t len) {
    static const FrontOptions options = {0};
    Cx *cx = cx_new();
    Program *p = front_load_text(cx, sym(cx, "hostile.bp"), text, len, &options);
    if (!p && !cx->errors) {
        printf("neither a program nor an error for: %.*s\n", (int)len, text);
        exit(1);
    }
    *(p ? &accepted : &refused) += 1;
    cx_free(cx);
}

/* Bytes that mean something to the language, more often than others. */
static char random_byte(uint64_t r) {
    static const char often[] = "(){}[]<>;:,.=+-*/@%!&|\"0123456789 \n\\#'xyz_";
    return r & 1 ? often[(r >> 8) % (sizeof often - 1)] : (char)(r >> 16);
}

static void mutate(const char *text, size_t len, uint64_t key) {
    char *copy = malloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = 0;
    size_t changes = 1 + rng_bits(key, 0) % 4;
    for (size_t i = 0; i < changes; i++) {
        copy[rng_bits(key, 2 * i + 1) % len] = random_byte(rng_bits(key, 2 * i + 2));
    }
    load(copy, len);
    free(copy);
}

static void attack(const char *name, size_t step, unsigned mutants) {
    Cx *cx = cx_new();
    size_t len;
    char *path = arena_printf(cx->arena, "%s/%s", EXAMPLES, name);
    const char *text = read_whole_file(cx, path, &len);
    if (!text) {
        printf("cannot read %s\n", path);
        exit(1);
    }
    for (size_t cut = 0; cut < len; cut += step) load(text, cut);
    for (unsigned i = 0; i < mutants; i++)
        mutate(text, len, rng_fold(hash_bytes(name, strlen(name)), i));
    cx_free(cx);
}

int main(void) {
    attack("two_layer.bp", 7, 600);
    attack("digits.bp", 11, 600);
    attack("xy.bp", 5, 600);
    attack("breast_cancer.bp", 13, 600);
    printf("%u programs accepted, %u refused\n1 passed, 0 failed\n", accepted, refused);
    return refused == 0;
}
