/* Loaded before libc (LD_PRELOAD): makes the nth write, fsync, rename or unlink below a folder fail, and shifts clocks.

   The campaign writes the faults to a file that every process here maps (fault_injector.py has the same layout). Calls on files
   outside the folder are passed on as they are. Calls on logs and on what dbt compiles are not counted, since a kill
   there is a kill of no consequence; but a full disk takes them neither. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call { WRITE, FSYNC, RENAME, UNLINK, CALLS };
enum action { NOTHING, KILL_GROUP, KILL_PROCESS, TEAR_AND_KILL, DISK_FULL, CLOCK_JUMP };
enum outcome { PASS, REFUSED, TORN };

struct faults {
    int64_t clock_offset; /* nanoseconds, added to the time of day */
    int64_t clock_jump;   /* nanoseconds, added when CLOCK_JUMP fires */
    int64_t countdown;    /* the call that makes it 0 fires */
    int64_t call_counts[CALLS];
    int32_t action, call, has_fired, disk_is_full;
    char folder[512], fired_path[512];
};

static struct faults *faults;

__attribute__((constructor)) static void map_faults(void) {
    const char *path = getenv("CHAOS_FAULT_FILE");
    int descriptor = path ? open(path, O_RDWR) : -1;
    if (descriptor < 0) return;
    void *mapped = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped != MAP_FAILED) faults = mapped;
}

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int is_watched(const char *path) {
    size_t length = strlen(faults->folder);
    return length && !strncmp(path, faults->folder, length) && path[length] == '/';
}

static int is_of_consequence(const char *path) {
    const char *inner = path + strlen(faults->folder);
    return !strstr(inner, "/logs/") && !strstr(inner, "/target/");
}

/* Count the call, and let the fault happen that is due at it. */
static enum outcome inject_due_fault(enum call call, const char *path) {
    if (!is_watched(path)) return PASS;
    if (faults->disk_is_full && call == WRITE) return REFUSED;
    if (!is_of_consequence(path)) return PASS;
    __atomic_add_fetch(&faults->call_counts[call], 1, __ATOMIC_SEQ_CST);
    if (!faults->action || faults->has_fired || faults->call != (int)call) return PASS;
    if (__atomic_sub_fetch(&faults->countdown, 1, __ATOMIC_SEQ_CST)) return PASS;
    faults->has_fired = 1;
    snprintf(faults->fired_path, sizeof faults->fired_path, "%s", path);
    switch (faults->action) {
    case KILL_GROUP: kill(0, SIGKILL); pause(); break;
    case KILL_PROCESS: kill(getpid(), SIGKILL); pause(); break;
    case TEAR_AND_KILL: return TORN;
    case DISK_FULL: faults->disk_is_full = 1; return call == WRITE ? REFUSED : PASS;
    case CLOCK_JUMP: faults->clock_offset += faults->clock_jump; break;
    }
    return PASS;
}

static enum outcome inject_at_descriptor(enum call call, int descriptor) {
    char link[64], path[512];
    if (!faults || !faults->folder[0]) return PASS;
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length < 0) return PASS;
    path[length] = 0;
    return inject_due_fault(call, path);
}

static void inject_at_path(enum call call, const char *path) {
    char absolute[1024], folder[512];
    if (!faults || !faults->folder[0]) return;
    if (path[0] != '/' && getcwd(folder, sizeof folder)) {
        snprintf(absolute, sizeof absolute, "%s/%s", folder, path);
        path = absolute;
    }
    inject_due_fault(call, path);
}

#define WRITING(descriptor, whole, half) \
    switch (inject_at_descriptor(WRITE, descriptor)) { \
    case REFUSED: errno = ENOSPC; return -1; \
    case TORN: (void)!(half); kill(0, SIGKILL); pause(); \
    case PASS: break; \
    } \
    return whole

ssize_t write(int descriptor, const void *bytes, size_t size) {
    NEXT(write);
    WRITING(descriptor, next(descriptor, bytes, size), next(descriptor, bytes, size / 2));
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t place) {
    NEXT(pwrite);
    WRITING(descriptor, next(descriptor, bytes, size, place), next(descriptor, bytes, size / 2, place));
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t place) {
    NEXT(pwrite64);
    WRITING(descriptor, next(descriptor, bytes, size, place), next(descriptor, bytes, size / 2, place));
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    NEXT(writev);
    WRITING(descriptor, next(descriptor, parts, count), next(descriptor, parts, count / 2));
}

int fsync(int descriptor) {
    NEXT(fsync);
    inject_at_descriptor(FSYNC, descriptor);
    return next(descriptor);
}

int fdatasync(int descriptor) {
    NEXT(fdatasync);
    inject_at_descriptor(FSYNC, descriptor);
    return next(descriptor);
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    inject_at_path(RENAME, to);
    return next(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    NEXT(renameat);
    inject_at_path(RENAME, to);
    return next(from_folder, from, to_folder, to);
}

int unlink(const char *path) {
    NEXT(unlink);
    inject_at_path(UNLINK, path);
    return next(path);
}

int unlinkat(int folder, const char *path, int flags) {
    NEXT(unlinkat);
    inject_at_path(UNLINK, path);
    return next(folder, path, flags);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    NEXT(clock_gettime);
    int result = next(clock, time);
    if (!result && faults && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t moment = time->tv_sec * 1000000000LL + time->tv_nsec + faults->clock_offset;
        time->tv_sec = moment / 1000000000;
        time->tv_nsec = moment % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec moment;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &moment);
    time->tv_sec = moment.tv_sec;
    time->tv_usec = moment.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    if (result) *result = moment.tv_sec;
    return moment.tv_sec;
}
