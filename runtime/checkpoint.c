/* Checkpoint files. The commit protocol: write a temporary in the same directory, fsync and close
 * it with every return checked, link the old file to its second name, rename, fsync the
 * directory. A crash at any point leaves one whole file under a name that the reader tries. */
#include "runtime/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define TempPrefix ".tmp."

typedef struct Part {
    const void *data;
    size_t bytes;
} Part;

/* A new file with these contents, on the disk when true is returned; else it is gone again. After
 * a failed fsync the kernel may have dropped the pages, so the same file is never synced twice. */
static bool write_durably(int dir, const char *temp, const Part *parts, uint32_t n) {
    unlinkat(dir, temp, 0);
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return false;
    bool ok = true;
    for (uint32_t i = 0; ok && i < n; i++) ok = write_all(fd, parts[i].data, parts[i].bytes);
    ok = ok && !fsync(fd);
    int kept = errno;
    if (close(fd) && ok) {
        ok = false;
        kept = errno;
    }
    if (!ok) unlinkat(dir, temp, 0);
    errno = kept;
    return ok;
}

/* Gives the old file its second name while it keeps the first. A file system without links gets
 * a rename: then there is a moment with the second name alone, which the reader tries too. */
static bool keep_old(Arena *a, int dir, const char *name) {
    const char *link_name = arena_printf(a, TempPrefix "link.%ld", (long)getpid());
    unlinkat(dir, link_name, 0);
    if (linkat(dir, name, dir, link_name, 0)) {
        if (errno == ENOENT) return true;
        return !renameat(dir, name, dir, CkPrevious);
    }
    bool ok = !renameat(dir, link_name, dir, CkPrevious);
    /* Where both names already were the same file, rename did nothing and left the link. */
    unlinkat(dir, link_name, 0);
    return ok;
}

static bool commit(Arena *a, int dir, const char *name, const Part *parts, uint32_t n, bool keep) {
    const char *temp = arena_printf(a, TempPrefix "%ld", (long)getpid());
    if (!write_durably(dir, temp, parts, n)) {
        if (errno != EIO || !write_durably(dir, temp, parts, n)) return false;
    }
    if ((keep && !keep_old(a, dir, name)) || renameat(dir, temp, dir, name)) {
        int kept = errno;
        unlinkat(dir, temp, 0);
        errno = kept;
        return false;
    }
    return !fsync(dir);
}

const char *ck_commit(Arena *a, const char *dir, const char *name, const Slot *tensors, uint32_t n,
                      const Meta *meta, uint32_t nmeta, bool keep) {
    Part *parts = NEW_ARRAY(a, Part, n + 1);
    parts[0].data = st_header(a, tensors, n, meta, nmeta, &parts[0].bytes);
    if (!parts[0].data) return arena_printf(a, "cannot describe %s/%s", dir, name);
    for (uint32_t i = 0; i < n; i++) {
        parts[i + 1] = (Part){tensors[i].data, mf_bytes(tensors[i].type)};
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && commit(a, fd, name, parts, n + 1, keep);
    int kept = errno;
    if (fd >= 0) close(fd);
    return ok ? NULL : arena_printf(a, "cannot write %s/%s: %s", dir, name, strerror(kept));
}

const char *ck_latest(Arena *a, const char *dir, Checkpoint *c) {
    static const char *const names[] = {CkLast, CkPrevious};
    const char *errors[LEN(names)];
    for (size_t i = 0; i < LEN(names); i++) {
        const char *path = arena_printf(a, "%s/%s", dir, names[i]);
        errors[i] = ck_read(a, path, c);
        if (!errors[i] && ck_meta(c, "sha256")) {
            /* The next commit would put a damaged one in the place of this. */
            if (i) unlink(arena_printf(a, "%s/%s", dir, names[0]));
            return NULL;
        }
        if (!errors[i]) {
            ck_free(c);
            errors[i] = arena_printf(a, "%s: has no SHA-256", path);
        }
    }
    return arena_printf(a, "no checkpoint to resume from: %s; %s", errors[0], errors[1]);
}

void ck_clear_stale(const char *dir) {
    DIR *d = opendir(dir);
    if (!d) return;
    for (const struct dirent *e; (e = readdir(d));) {
        if (!strncmp(e->d_name, TempPrefix, strlen(TempPrefix))) unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}
