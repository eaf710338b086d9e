/* Whole files, plain or gzip. */
#include "runtime/data.h"

#include <errno.h>
#include <zlib.h>

enum { Piece = 1 << 18 };
static const size_t most = (size_t)8 << 30;
/* A bomb: more than this, and more than BombRatio times what was read for it. */
static const size_t bomb_bytes = (size_t)1 << 28;
enum { BombRatio = 200 };

static bool is_bomb(gzFile f, size_t n) {
    z_off_t from = gzoffset(f);
    return n > bomb_bytes && from > 0 && n / BombRatio > (size_t)from;
}

char *file_read(Arena *a, const char *path, size_t *len, Text *err) {
    gzFile f = gzopen(path, "rb");
    if (!f) {
        text_add(err, "%s: error: cannot open: %s", path, strerror(errno));
        return NULL;
    }
    gzbuffer(f, Piece);
    size_t n = 0, cap = Piece;
    char *data = arena_array(a, cap + 1, 1);
    const char *wrong = NULL;
    for (;;) {
        int got = gzread(f, data + n, (unsigned)(cap - n < Piece ? cap - n : Piece));
        int code = Z_OK;
        if (got < 0) {
            wrong = gzerror(f, &code); /* "PATH: text", gone with f */
            size_t prefix = strlen(path);
            if (code == Z_ERRNO)
                wrong = strerror(errno);
            else if (!strncmp(wrong, path, prefix) && wrong[prefix] == ':')
                wrong += prefix + 2;
            wrong = arena_strndup(a, wrong, strlen(wrong));
            break;
        }
        n += (size_t)got;
        if (!got) break;
        if (is_bomb(f, n)) {
            wrong = "it unpacks to more than 200 times its size";
            break;
        }
        if (n == cap) {
            if (cap > most / 2) {
                wrong = "the file is too large";
                break;
            }
            char *fresh = arena_array(a, cap * 2 + 1, 1);
            memcpy(fresh, data, n);
            data = fresh;
            cap *= 2;
        }
    }
    int code = Z_OK;
    if (!wrong) gzerror(f, &code);
    if (gzclose_r(f) == Z_BUF_ERROR || code == Z_BUF_ERROR)
        wrong = wrong ? wrong : "the file ends too early";
    if (wrong) {
        text_add(err, "%s: error: cannot read: %s", path, wrong);
        return NULL;
    }
    data[n] = 0;
    *len = n;
    return data;
}
