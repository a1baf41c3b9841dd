/* Preloaded into a server: while the file that FULL_DISK names exists, no file on the same disk can become larger.

   Standard streams are exempt, so that the server's log can still say what happened. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *flag = "";

__attribute__((constructor)) static void read_name(void) {
    const char *name = getenv("FULL_DISK");
    /* A copy: Postgres writes its process titles over the environment. */
    if (name && !(flag = strdup(name)))
        abort();
}

static int is_full(int fd, off_t end) {
    struct stat disk, file;
    int before = errno;
    int refused = fd > STDERR_FILENO && stat(flag, &disk) == 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode)
                  && file.st_dev == disk.st_dev && end > file.st_size;
    errno = refused ? ENOSPC : before;
    return refused;
}

/* Calls the C library's own function, unless the disk is full for a write that ends there. */
#define UNLESS_FULL(result, name, parameters, arguments, end, refusal)                 \
    result name parameters {                                                           \
        static result(*real) parameters;                                               \
        if (is_full(fd, end))                                                          \
            return refusal;                                                            \
        if (!real)                                                                     \
            real = (result(*) parameters)dlsym(RTLD_NEXT, #name);                      \
        return real arguments;                                                         \
    }

static off_t length(const struct iovec *parts, int count) {
    off_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += parts[i].iov_len;
    return sum;
}

UNLESS_FULL(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size),
            lseek(fd, 0, SEEK_CUR) + (off_t)size, -1)
UNLESS_FULL(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
            at + (off_t)size, -1)
UNLESS_FULL(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at),
            at + length(parts, count), -1)
UNLESS_FULL(int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size), at + size, ENOSPC)
UNLESS_FULL(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), at + size, -1)
UNLESS_FULL(int, ftruncate, (int fd, off_t size), (fd, size), size, -1)

/* What the same functions are called in programs that were built for large files. */
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return pwrite(fd, data, size, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return pwritev(fd, parts, count, at); }
int posix_fallocate64(int fd, off64_t at, off64_t size) { return posix_fallocate(fd, at, size); }
int fallocate64(int fd, int mode, off64_t at, off64_t size) { return fallocate(fd, mode, at, size); }
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
