/* Preloaded into a server: its wall clock is ahead of the machine's by the microseconds in the file REDREPL_CLOCK.
 * The file holds one 64-bit integer and is mapped, so that a change counts at once. Monotonic clocks stay as they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead_micros;

__attribute__((constructor)) static void map_the_file(void) {
    const char *path = getenv("REDREPL_CLOCK");
    if (!path) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) ahead_micros = page;
}

int clock_gettime(clockid_t clock, struct timespec *shown) {
    int result = (int)syscall(SYS_clock_gettime, clock, shown);
    if (result || !ahead_micros || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
    int64_t nanos = shown->tv_nsec + *ahead_micros % 1000000 * 1000;
    shown->tv_sec += *ahead_micros / 1000000;
    if (nanos < 0) nanos += 1000000000, shown->tv_sec--;
    if (nanos >= 1000000000) nanos -= 1000000000, shown->tv_sec++;
    shown->tv_nsec = nanos;
    return result;
}

int gettimeofday(struct timeval *restrict shown, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (shown) {
        shown->tv_sec = now.tv_sec;
        shown->tv_usec = now.tv_nsec / 1000;
    }
    return 0;
}

time_t time(time_t *shown) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (shown) *shown = now.tv_sec;
    return now.tv_sec;
}
