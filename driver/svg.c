/* A graph as a picture, by Graphviz's dot. */
#include "driver/driver.h"

#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

bool svg_of_dot(const Options *o, const char *dot, size_t len, Text *out) {
    FILE *in = tmpfile(), *picture = tmpfile();
    bool ok =
        in && picture && fwrite(dot, 1, len, in) == len && !fflush(in) && !fseek(in, 0, SEEK_SET);
    if (!ok) diag_error(o->cx, (Loc){0}, "cannot write a temporary file: %s", strerror(errno));
    int status = -1;
    if (ok) {
        const char *argv[] = {"dot", "-Tsvg", NULL};
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_adddup2(&files, fileno(in), 0);
        posix_spawn_file_actions_adddup2(&files, fileno(picture), 1);
        pid_t pid;
        int error = posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ);
        posix_spawn_file_actions_destroy(&files);
        while (!error && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        ok = !error && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (error)
            diag_error(o->cx, (Loc){0},
                       "cannot run 'dot' (%s); --emit=svg needs Graphviz, --emit=dot does not",
                       strerror(error));
        else if (!ok)
            diag_error(o->cx, (Loc){0}, "'dot' failed to draw the graph");
    }
    char part[4096];
    if (ok) rewind(picture);
    for (size_t n; ok && (n = fread(part, 1, sizeof part, picture)) > 0;) text_addn(out, part, n);
    if (in) fclose(in);
    if (picture) fclose(picture);
    return ok;
}
