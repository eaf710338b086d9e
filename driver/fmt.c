/* fmt: files in canonical layout, in place; "-" from standard input to standard output. */
#include "driver/driver.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file's new text, under its own name and permissions or not at all. */
static bool replace_file(const Options *o, const char *path, const Text *t) {
    char real[PATH_MAX];
    struct stat st;
    if (!realpath(path, real) || stat(real, &st)) real[0] = 0;
    char *temp = arena_printf(o->cx->arena, "%s.XXXXXX", real);
    int fd = real[0] ? mkstemp(temp) : -1;
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    bool ok = f && fwrite(t->data, 1, t->len, f) == t->len;
    ok = ok && !fchmod(fd, st.st_mode & 07777) && !fflush(f) && !fsync(fd);
    if (f) ok &= !fclose(f);
    ok = ok && !rename(temp, real);
    if (!ok) {
        if (fd >= 0) unlink(temp);
        diag_error(o->cx, (Loc){0}, "cannot write '%s'", path);
    }
    return ok;
}

/* Whether the file already had, or now has, its canonical layout. */
static bool format_file(Options *o, const char *path) {
    size_t len;
    bool standard = !strcmp(path, "-"), ok = false;
    const char *text = read_whole_file(o->cx, path, &len);
    Text out = {0};
    text_addn(&out, "", 0);
    if (text && format_text(o->cx, sym(o->cx, standard ? "<stdin>" : path), text, len, &out)) {
        bool same = out.len == len && !memcmp(out.data, text, len);
        if (o->check_only) {
            if (!same) puts(standard ? "<stdin>" : path);
            ok = same;
        } else if (o->out || standard) {
            ok = write_output(o, o->out, out.data, out.len);
        } else {
            ok = same || replace_file(o, path, &out);
        }
    }
    free(out.data);
    return ok;
}

int command_fmt(Options *o) {
    if (!o->file) diag_error(o->cx, (Loc){0}, "bpc fmt FILE.bp ...: the file is missing");
    if (o->out && o->rest.len)
        diag_error(o->cx, (Loc){0}, "-o %s: several files are formatted in place only", o->out);
    if (o->cx->errors) return compile_report(o);
    bool ok = format_file(o, o->file);
    for (uint32_t i = 0; i < o->rest.len; i++) ok &= format_file(o, o->rest.data[i]);
    int status = compile_report(o);
    return ok ? status : ExitError;
}
