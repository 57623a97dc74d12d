/* What threads have of the CPU.
 *
 *   shares clocks        CPU time: whose, by which clock, and not while somebody sleeps
 *   shares spinners N    N threads compute: another that sleeps gets the CPU when it wakes
 *   shares nice          two threads compute, one of them 10 nicer
 *   shares limit         RLIMIT_CPU of a second, and the process computes
 *   shares hard          the same, SIGXCPU is ignored, and the hard limit is two seconds
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static atomic_int stop, running;
static sem_t told;

static long ms(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        printf("clock_gettime: %s\n", strerror(errno));
        exit(1);
    }
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(long time)
{
    struct timespec span = {time / 1000, time % 1000 * 1000000};
    nanosleep(&span, NULL);
}

/* Computes until its own clock has gone on so far. */
static void compute_ms(long time)
{
    long until = ms(CLOCK_THREAD_CPUTIME_ID) + time;
    while (ms(CLOCK_THREAD_CPUTIME_ID) < until)
        ;
}

static void say(const char *what, int is_so)
{
    printf("%s: %s\n", what, is_so ? "yes" : "no");
}

static void *computes_100(void *argument)
{
    compute_ms(100);
    sem_post(&told);
    while (!stop)
        sleep_ms(5);
    return NULL;
}

static long of_usage(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    struct timeval user = usage.ru_utime, system = usage.ru_stime;
    return (user.tv_sec + system.tv_sec) * 1000 + (user.tv_usec + system.tv_usec) / 1000;
}

static void clocks(void)
{
    clockid_t process, own, others;
    long before = ms(CLOCK_PROCESS_CPUTIME_ID), own_before = ms(CLOCK_THREAD_CPUTIME_ID);
    long wall = ms(CLOCK_MONOTONIC);
    sleep_ms(300);
    say("it has slept", ms(CLOCK_MONOTONIC) - wall >= 300);
    say("sleep counts for the process", ms(CLOCK_PROCESS_CPUTIME_ID) - before >= 150);
    say("sleep counts for the thread", ms(CLOCK_THREAD_CPUTIME_ID) - own_before >= 150);
    compute_ms(60);
    say("what it computes counts", ms(CLOCK_PROCESS_CPUTIME_ID) - before >= 59);

    say("the process has a clock", clock_getcpuclockid(0, &process) == 0);
    say("by its number, too", clock_getcpuclockid(getpid(), &process) == 0);
    say("nobody's clock", clock_getcpuclockid(0x3fffff, &own) == 0);
    say("the thread has a clock", pthread_getcpuclockid(pthread_self(), &own) == 0);
    long shown = ms(process), named = ms(CLOCK_PROCESS_CPUTIME_ID);
    say("they show the same", named >= shown && named - shown < 50);
    shown = ms(own), named = ms(CLOCK_THREAD_CPUTIME_ID);
    say("the thread's, too", named >= shown && named - shown < 50);

    pthread_t thread;
    sem_init(&told, 0, 0);
    own_before = ms(CLOCK_THREAD_CPUTIME_ID), before = ms(CLOCK_PROCESS_CPUTIME_ID);
    pthread_create(&thread, NULL, computes_100, NULL);
    pthread_getcpuclockid(thread, &others);
    /* To look again and again would take time, too. */
    sem_wait(&told);
    say("another's clock", ms(others) >= 100);
    say("its time is not this one's", ms(CLOCK_THREAD_CPUTIME_ID) - own_before < 90);
    say("its time is the process's", ms(CLOCK_PROCESS_CPUTIME_ID) - before >= 99);
    stop = 1;
    pthread_join(thread, NULL);
    say("also when it has ended", ms(CLOCK_PROCESS_CPUTIME_ID) - before >= 99);
    say("getrusage has it", of_usage(RUSAGE_SELF) >= 150);
    say("of a thread alone", of_usage(RUSAGE_THREAD) < of_usage(RUSAGE_SELF) - 80);
    say("there are no children", of_usage(RUSAGE_CHILDREN) == 0);
    struct tms all;
    times(&all);
    say("times has it", all.tms_utime + all.tms_stime >= 14);
    say("of no children", all.tms_cutime + all.tms_cstime == 0);
    say("clock has it", clock() / (CLOCKS_PER_SEC / 1000) >= 150);

    /* The process's clock wakes who sleeps by it, when others compute. */
    stop = 0;
    pthread_create(&thread, NULL, computes_100, NULL);
    before = ms(CLOCK_PROCESS_CPUTIME_ID);
    struct timespec span = {0, 40000000};
    say("sleep by CPU time", clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &span, NULL) == 0);
    long slept = ms(CLOCK_PROCESS_CPUTIME_ID) - before;
    say("as long as that", slept >= 39);
    stop = 1;
    pthread_join(thread, NULL);
    say("and of a thread none", clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &span, NULL) == 0);
    unsigned long utime = 0, stime = 0;
    FILE *file = fopen("/proc/self/stat", "r");
    if (file == NULL || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                               &utime, &stime) != 2)
        printf("stat: %s\n", strerror(errno));
    say("proc has it", utime + stime >= 20);
    for (int times = 0; times < 12; times++)
        sleep_ms(1);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    say("it has waited", usage.ru_nvcsw > 10);
}

static void *spins(void *argument)
{
    running++;
    while (!stop)
        ;
    return NULL;
}

static int by_size(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

static void spinners(int count)
{
    pthread_t threads[64];
    int late[41];
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, spins, NULL);
    while (running < count)
        sleep_ms(1);
    for (int i = 0; i < 41; i++) {
        long before = ms(CLOCK_MONOTONIC);
        sleep_ms(7);
        late[i] = (int)(ms(CLOCK_MONOTONIC) - before) - 7;
    }
    stop = 1;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    qsort(late, 41, sizeof late[0], by_size);
    if (late[20] <= 10)
        printf("in time\n");
    else
        printf("late by %d ms, at most %d\n", late[20], late[40]);
}

static long had[2];

static void *shares(void *argument)
{
    long *own = argument;
    if (own == &had[1])
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
    running++;
    while (running < 3)
        sleep_ms(1);
    long begin = ms(CLOCK_THREAD_CPUTIME_ID);
    while (!stop)
        ;
    *own = ms(CLOCK_THREAD_CPUTIME_ID) - begin;
    return NULL;
}

static void nice_shares(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, shares, &had[i]);
    while (running < 2)
        sleep_ms(1);
    running++;
    sleep_ms(1500);
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    /* 1.25 to the tenth is 9.3. */
    if (had[1] > 0 && had[0] > 4 * had[1] && had[0] < 25 * had[1])
        printf("as nice as they are\n");
    else
        printf("%ld ms and %ld ms\n", had[0], had[1]);
}

static void limit(int ignore)
{
    struct rlimit limit = {1, 2};
    if (ignore)
        signal(SIGXCPU, SIG_IGN);
    setrlimit(RLIMIT_CPU, &limit);
    for (;;)
        ;
}

int main(int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "";
    setvbuf(stdout, NULL, _IONBF, 0);
    if (strcmp(what, "clocks") == 0)
        clocks();
    else if (strcmp(what, "spinners") == 0)
        spinners(count > 2 ? atoi(arguments[2]) : 1);
    else if (strcmp(what, "nice") == 0)
        nice_shares();
    else if (strcmp(what, "limit") == 0)
        limit(0);
    else if (strcmp(what, "hard") == 0)
        limit(1);
    else
        return 2;
    return 0;
}
