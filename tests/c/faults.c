/* Preloaded, it lets one call on the files of a folder fail, or end the process, and logs them all.
 *
 *     fault_arm(folder, n, how, log)
 *
 * counts the calls from then on; the n-th, from 1, fails in the way of `how`, and `log` is the descriptor of
 * the log or -1.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum how { NEVER, FAILS, FULL, LIES, KILLED_BEFORE, KILLED_AFTER, INTERRUPTED, TERMINATED, NOTHING, HALF };

static char folder[4096];
static int armed, at, way, calls, log_fd = -1;
static char paths[1024][256]; /* of open descriptors, without the folder */

void fault_arm(const char *where, int n, int how, int log) {
    snprintf(folder, sizeof folder, "%s", where);
    armed = 1, at = n, way = how, calls = 0, log_fd = log;
}

/* The name in the folder, "." for the folder itself, ".." for its parent, NULL if the path is elsewhere. */
static const char *inside(const char *path) {
    size_t n = strlen(folder);
    const char *last = strrchr(folder, '/');
    if (armed && last && strlen(path) == (size_t)(last - folder) && !strncmp(path, folder, strlen(path)))
        return "..";
    if (!armed || strncmp(path, folder, n) || (path[n] && path[n] != '/')) return NULL;
    return path[n] && path[n + 1] ? path + n + 1 : ".";
}

static const char *of_fd(int fd) { return armed && fd >= 0 && fd < 1024 && paths[fd][0] ? paths[fd] : NULL; }

/* Count a call, and say how it is to go. */
static enum how count(const char *name, const char *path, int takes_room) {
    calls++;
    if (log_fd >= 0) dprintf(log_fd, "%s %s\n", name, path);
    if (way == FULL) return calls >= at && takes_room ? FULL : NEVER;
    enum how how = calls == at ? way : NEVER;
    if (how == KILLED_BEFORE) raise(SIGKILL);
    if (how == INTERRUPTED) raise(SIGINT);
    if (how == TERMINATED) raise(SIGTERM);
    return how;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Do a call, or fail as it is to. */
#define DO(path, takes_room, name, ...)                                                                      \
    enum how how = NEVER;                                                                                    \
    const char *its = (path);                                                                                \
    if (its) how = count(#name, its, takes_room);                                                            \
    if (how == FAILS || how == FULL) return errno = how == FULL ? ENOSPC : EIO, -1;                          \
    __typeof__(REAL(name)(__VA_ARGS__)) got = REAL(name)(__VA_ARGS__);                                       \
    if (how == KILLED_AFTER) raise(SIGKILL);                                                                 \
    if (how == LIES) return errno = EIO, -1;

static int opened(int fd, const char *path) {
    const char *its = inside(path);
    if (fd >= 0 && fd < 1024) snprintf(paths[fd], sizeof paths[fd], "%s", its ? its : "");
    return fd;
}

static int do_open(const char *path, int flags, mode_t mode) {
    DO(inside(path), flags & O_CREAT, open64, path, flags, mode)
    return opened(got, path);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return do_open(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return do_open(path, flags, mode);
}

static ssize_t do_write(int fd, const void *data, size_t size, off_t offset) {
    DO(of_fd(fd), 1, pwrite64, fd, data, how == NOTHING ? 0 : how == HALF ? size / 2 : size, offset)
    return got;
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
    return do_write(fd, data, size, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return do_write(fd, data, size, offset);
}

int fsync(int fd) {
    DO(of_fd(fd), 0, fsync, fd)
    return got;
}
int flock(int fd, int operation);
int flock(int fd, int operation) {
    DO(of_fd(fd), 0, flock, fd, operation)
    return got;
}
int close(int fd) {
    DO(of_fd(fd), 0, close, fd)
    if (its) paths[fd][0] = 0;
    return got;
}
int rename(const char *from, const char *to) {
    DO(inside(to), 0, rename, from, to)
    return got;
}
int unlink(const char *path) {
    DO(inside(path), 0, unlink, path)
    return got;
}
int mkdir(const char *path, mode_t mode) {
    DO(inside(path), 1, mkdir, path, mode)
    return got;
}
