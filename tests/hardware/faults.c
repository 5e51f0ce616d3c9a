// Calls of the C library that fail, or wait, when a file says so. Loaded before the library (LD_PRELOAD) into the
// process under test, so that the errors take the same way as a kernel's.
//
// The file that TURNPIKE_FAULTS names is read at every call. Each line is `call number path [while]`: calls of this
// name on paths that hold this text fail with this errno; a number of 1000 or more is how many milliseconds they wait
// at most. With a fourth word, the line holds only while the file of this name is there.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int told(const char *call, const char *path) {
    const char *file = getenv("TURNPIKE_FAULTS");
    char text[4096];
    if (!file) return 0;
    long opened = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
    if (opened < 0) return 0;
    long count = syscall(SYS_read, opened, text, sizeof text - 1);
    syscall(SYS_close, opened);
    if (count <= 0) return 0;
    text[count] = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char name[32], part[512], still[512] = "";
        int number = 0;
        if (sscanf(line, "%31s %d %511s %511s", name, &number, part, still) < 3) continue;
        if (strcmp(name, call) || !strstr(path, part)) continue;
        struct stat found;
        if (*still && syscall(SYS_newfstatat, AT_FDCWD, still, &found, 0) != 0) continue;
        return number;
    }
    return 0;
}

// The errno that the call is to fail with; zero when it is to be made, if need be after a wait.
static int fault(const char *call, const char *path) {
    int number = told(call, path);
    struct timespec step = {0, 5 * 1000 * 1000};
    for (int waited = 0; number >= 1000; number = waited < number ? told(call, path) : 0, waited += 5) {
        nanosleep(&step, NULL);
    }
    return number;
}

static int fault_of(const char *call, int file) {
    char link[64], path[1024];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fault(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(expression) \
    do { int number = (expression); if (number) { errno = number; return -1; } } while (0)

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    FAIL_IF(fault_of("pwrite", file));
    return REAL(pwrite64)(file, bytes, count, at);
}

int fdatasync(int file) {
    FAIL_IF(fault_of("fdatasync", file));
    return REAL(fdatasync)(file);
}

int fsync(int file) {
    FAIL_IF(fault_of("fsync", file));
    return REAL(fsync)(file);
}

int rename(const char *from, const char *to) {
    FAIL_IF(fault("rename", from));
    return REAL(rename)(from, to);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (flags & (O_WRONLY | O_RDWR)) FAIL_IF(fault("open", path));
    return REAL(open64)(path, flags, mode);
}
