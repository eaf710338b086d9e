/* Trainers, objects and shared libraries: the object file, and the linker run on it. */
#include "driver/driver.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#ifndef BPC_LINK_FLAGS
#define BPC_LINK_FLAGS NULL
#endif

/* libbprt.a: --libdir, beside bpc, or in ../lib of an installed one. */
static const char *find_runtime(const Options *o) {
    char self[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? strrchr(self, '/') : NULL;
    if (slash) *slash = 0;
    Arena *a = o->cx->arena;
    const char *tried[] = {
        o->libdir ? arena_printf(a, "%s/libbprt.a", o->libdir) : NULL,
        arena_printf(a, "%s/libbprt.a", self),
        arena_printf(a, "%s/../lib/libbprt.a", self),
    };
    for (size_t i = 0; i < LEN(tried); i++) {
        if (tried[i] && !access(tried[i], R_OK)) return tried[i];
    }
    diag_error(o->cx, (Loc){0},
               "cannot find libbprt.a beside bpc or in ../lib; --libdir=DIR says where it is");
    return NULL;
}

static bool run_command(const Options *o, const char **argv) {
    if (o->verbose) {
        for (const char **a = argv; *a; a++) fprintf(stderr, "%s%s", a == argv ? "" : " ", *a);
        fputc('\n', stderr);
    }
    pid_t pid;
    int status, error = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (error) {
        diag_error(o->cx, (Loc){0}, "cannot run '%s' (%s); a C compiler is needed to link", argv[0],
                   strerror(error));
        return false;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    diag_error(o->cx, (Loc){0}, "'%s' failed to link", argv[0]);
    return false;
}

/* The file that an output goes to, through links; NULL if it is there and no file. */
static const char *regular_file(const Options *o, const char *out) {
    struct stat st;
    char real[PATH_MAX];
    if (stat(out, &st)) return out;
    if (!S_ISREG(st.st_mode)) {
        diag_error(o->cx, (Loc){0}, "'%s' is no regular file", out);
        return NULL;
    }
    return realpath(out, real) ? arena_printf(o->cx->arena, "%s", real) : out;
}

/* Links into a temporary name first: a failed run leaves no half file. */
static bool link_output(const Options *o, const char *object, const char *out) {
    out = regular_file(o, out);
    if (!out) return false;
    const char *argv[16], *temp = arena_printf(o->cx->arena, "%s.tmp%d", out, (int)getpid());
    int n = 0;
    argv[n++] = "cc";
    argv[n++] = "-o";
    argv[n++] = temp;
    if (o->output == OutShared) argv[n++] = "-shared";
    argv[n++] = object;
    if (o->output == OutTrainer) {
        const char *runtime = find_runtime(o);
        if (!runtime) return false;
        argv[n++] = runtime;
        argv[n++] = "-Wl,--gc-sections";
        if (!o->debug) argv[n++] = "-s";
    }
    argv[n++] = "-lm";
    if (BPC_LINK_FLAGS && o->output == OutTrainer) argv[n++] = BPC_LINK_FLAGS;
    argv[n] = NULL;
    double start = now_seconds();
    bool ok = run_command(o, argv) && rename(temp, out) == 0;
    cx_took(o->cx, start, "link");
    if (!ok) {
        unlink(temp);
        if (!o->cx->errors) diag_error(o->cx, (Loc){0}, "cannot write '%s'", out);
    }
    return ok;
}

static const char *with_suffix(const Options *o, const char *path, const char *suffix) {
    size_t n = strlen(path);
    const char *dot = strrchr(path, '.');
    if (dot && !strchr(dot, '/')) n = (size_t)(dot - path);
    return arena_printf(o->cx->arena, "%.*s%s", (int)n, path, suffix);
}

static bool build_object(const Options *o, Program *p, const char *path) {
    size_t len;
    Cg *cg = compile_code(o, p, o->output != OutTrainer);
    char *bytes = cg ? cg_emit(cg, CgObject, &len) : NULL;
    if (cg) cg_free(cg);
    return bytes && write_output(o, path, bytes, len);
}

/* OUT.h of OUT.o and of libOUT.so. */
static bool build_header(const Options *o, Program *p, const char *out) {
    const char *text = cg_header(p), *slash = strrchr(out, '/'), *name = slash ? slash + 1 : out;
    if (o->output == OutShared && !strncmp(name, "lib", 3))
        out = arena_printf(o->cx->arena, "%.*s%s", (int)(name - out), out, name + 3);
    return write_output(o, with_suffix(o, out, ".h"), text, strlen(text));
}

static bool build(Options *o) {
    Arena *a = o->cx->arena;
    Program *p = compile_front(o, false);
    if (!p || !compile_passes(o, p, NULL)) return false;
    if (o->output == OutTrainer && !p->stages.len && !o->cx->errors) {
        bool exports = false;
        for (uint32_t i = 0; i < p->fns.len; i++) exports |= p->fns.data[i]->exported;
        if (!exports) {
            diag_error(o->cx, (Loc){.file = p->path, .line = 1, .col = 1},
                       "nothing to compile: the file has no train and no export fn");
            return false;
        }
    }
    if (o->output == OutObject) {
        const char *out = o->out ? o->out : arena_printf(a, "%s.o", base_name(o));
        return build_object(o, p, out) && build_header(o, p, out);
    }
    const char *out = o->out                   ? o->out
                      : o->output == OutShared ? arena_printf(a, "lib%s.so", base_name(o))
                                               : base_name(o);
    const char *object = arena_printf(a, "%s.tmp%d.o", out, (int)getpid());
    if (o->save_temps) object = arena_printf(a, "%s.o", out);
    bool ok = build_object(o, p, object) && link_output(o, object, out) &&
              (o->output == OutTrainer || build_header(o, p, out));
    if (!o->save_temps) unlink(object);
    return ok;
}

int command_compile(Options *o) {
    build(o);
    return compile_report(o);
}
