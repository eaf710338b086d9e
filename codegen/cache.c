/* Objects that were compiled before, in $XDG_CACHE_HOME/bpc (~/.cache/bpc): a file per object,
 * named by the digest of all that it was made from, so that nothing can be out of date.
 *
 * What lies there is run as code: the folder must be the user's own and closed to others, a file
 * must be the user's own and end in the digest of its bytes. Files appear by rename. Without such
 * a folder nothing is kept. The oldest go when the folder is full. */
#include "codegen/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { Sha256Hex = 64, MostBytes = 256 << 20, LargestObject = 64 << 20 };

/* The open folder, or -1. */
static int open_folder(void) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    Text path = {0};
    if (xdg && *xdg == '/') text_add(&path, "%s", xdg);
    else if (home && *home == '/') text_add(&path, "%s/.cache", home);
    else return -1;
    mkdir(path.data, 0700);
    text_add(&path, "/bpc");
    mkdir(path.data, 0700);
    int folder = open(path.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    free(path.data);
    struct stat st;
    if (folder < 0) return -1;
    if (!fstat(folder, &st) && st.st_uid == geteuid() && !(st.st_mode & 077)) return folder;
    close(folder);
    return -1;
}

Sym cache_key(Cg *cg, Sym module, const char *part) {
    Sym all = sym_fmt(cg->cx, "%s\n%s\n%s", target_text(cg), module, part);
    return sym_digest(cg->cx, all, strlen(all));
}

static LLVMMemoryBufferRef read_object(int fd) {
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) ||
        st.st_size <= Sha256Hex || st.st_size > LargestObject + Sha256Hex)
        return NULL;
    size_t size = (size_t)st.st_size - Sha256Hex;
    char *data = malloc((size_t)st.st_size), hex[Sha256Hex + 1];
    LLVMMemoryBufferRef object = NULL;
    if (data && read_all(fd, data, (size_t)st.st_size)) {
        sha256_of(data, size, hex);
        if (!memcmp(hex, data + size, Sha256Hex))
            object = LLVMCreateMemoryBufferWithMemoryRangeCopy(data, size, "bp");
    }
    free(data);
    if (object) futimens(fd, NULL); /* used now: it stays longest */
    return object;
}

LLVMMemoryBufferRef cache_get(Sym key) {
    int folder = open_folder();
    if (folder < 0) return NULL;
    int fd = openat(folder, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    LLVMMemoryBufferRef object = fd < 0 ? NULL : read_object(fd);
    if (fd >= 0) close(fd);
    close(folder);
    return object;
}

typedef struct Kept {
    char name[Sha256Hex + 32];
    struct timespec used;
    int64_t size;
} Kept;

static int oldest_first(const void *a, const void *b) {
    const Kept *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

static void make_room(Arena *a, int folder) {
    DIR *dir = fdopendir(dup(folder));
    VEC(Kept) files = {0};
    int64_t sum = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        Kept k = {0};
        struct stat st;
        if (strlen(e->d_name) >= sizeof k.name || e->d_name[0] == '.' ||
            fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
            continue;
        strcpy(k.name, e->d_name);
        k.used = st.st_mtim;
        k.size = st.st_size;
        sum += k.size;
        vec_push(a, &files, k);
    }
    if (dir) closedir(dir);
    if (sum <= MostBytes) return;
    qsort(files.data, files.len, sizeof *files.data, oldest_first);
    for (uint32_t i = 0; i < files.len && sum > MostBytes; i++) {
        if (!unlinkat(folder, files.data[i].name, 0)) sum -= files.data[i].size;
    }
}

void cache_put(Arena *a, Sym key, LLVMMemoryBufferRef object) {
    const char *data = LLVMGetBufferStart(object);
    size_t size = LLVMGetBufferSize(object);
    int folder = size <= LargestObject ? open_folder() : -1;
    if (folder < 0) return;
    const char *temp = arena_printf(a, "%s.%d", key, (int)getpid());
    char hex[Sha256Hex + 1];
    sha256_of(data, size, hex);
    int fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, data, size) && write_all(fd, hex, Sha256Hex);
    if (fd >= 0) ok &= !close(fd);
    ok = ok && !renameat(folder, temp, folder, key);
    if (!ok && fd >= 0) unlinkat(folder, temp, 0);
    if (ok) make_room(a, folder);
    close(folder);
}
