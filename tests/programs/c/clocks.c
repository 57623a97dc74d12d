/* The clocks as a C library has them: through the vDSO, if it found one.
 *
 *   clocks FUNCTION COUNT   calls it so many times
 *   clocks agree            each clock beside the kernel's own call
 *   clocks seconds          prints time(2)'s answer
 *   clocks speed COUNT      prints what clock_gettime takes, in nanoseconds
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct timespec spec;
static struct timeval val;
static long sum;

static void gettime(void) { clock_gettime(CLOCK_MONOTONIC, &spec); }
static void coarse(void) { clock_gettime(CLOCK_REALTIME_COARSE, &spec); }
static void getres(void) { clock_getres(CLOCK_MONOTONIC, &spec); }
static void timeofday(void) { gettimeofday(&val, NULL); }
static void seconds(void) { sum += time(NULL); }
static void getcpu_(void) { sum += sched_getcpu(); }

static const struct {
    const char *name;
    void (*call)(void);
} functions[] = {
    {"gettime", gettime}, {"coarse", coarse}, {"getres", getres},
    {"timeofday", timeofday}, {"time", seconds}, {"getcpu", getcpu_},
};

static long long ns(struct timespec time)
{
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int agree(void)
{
    static const int ids[] = {0, 1, 4, 5, 6, 7, 11, 10, 12, 32};
    int bad = 0;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct timespec before, between, after;
        if (clock_gettime(ids[i], &before) != 0) {
            printf("clock %d: error %d\n", ids[i], errno);
            continue;
        }
        syscall(SYS_clock_gettime, ids[i], &between);
        clock_gettime(ids[i], &after);
        int good = ns(before) <= ns(between) && ns(between) <= ns(after);
        printf("clock %d: %s\n", ids[i], good ? "agrees" : "differs");
        bad |= !good;
    }
    struct timespec last, now;
    clock_gettime(CLOCK_MONOTONIC, &last);
    for (int i = 0; i < 10000; i++, last = now) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (ns(now) < ns(last)) {
            puts("the clock went back");
            return 1;
        }
    }
    return bad;
}

static void speed(long count)
{
    long long best = -1;
    for (int repeat = 0; repeat < 20; repeat++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (long i = 0; i < count; i++)
            gettime();
        clock_gettime(CLOCK_MONOTONIC, &end);
        long long took = ns(end) - ns(start);
        if (best < 0 || took < best)
            best = took;
    }
    printf("%.2f ns\n", (double)best / (double)count);
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? atol(argv[2]) : 0;
    if (argc > 1 && strcmp(argv[1], "agree") == 0)
        return agree();
    if (argc > 1 && strcmp(argv[1], "seconds") == 0)
        return printf("%lld\n", (long long)time(NULL)) < 0;
    if (argc > 2 && strcmp(argv[1], "speed") == 0)
        return speed(count), 0;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (argc > 1 && strcmp(argv[1], functions[i].name) == 0) {
            while (count-- > 0)
                functions[i].call();
            return 0;
        }
    }
    return 2;
}
