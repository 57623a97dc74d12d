/* Threads as a C library has them.
 *
 *   threads basics          what pthreads(7) has, one after the other
 *   threads many COUNT      so many threads at a time, each with a stack of 64 KiB
 *   threads churn COUNT     so many threads one after the other, every other detached
 *   threads leave           the first thread ends, another ends the process
 *   threads last            all threads end, the last one after the first
 *   threads exit-group      a thread ends the process while others wait and compute
 *   threads fault           a thread dies of a mistake while others wait
 *   threads exec            a thread runs what standard input has, with the argument
 *                           `alone`, while others wait and compute
 *   threads exec-first      the first thread does
 *   threads alone           who there is
 *   threads sleep           a hundred threads wait for ever
 *   threads fair            a thread that computes lets another run
 *   threads proc            what /proc tells
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNT 8
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static sem_t semaphore;
static __thread int local = 7;
static __thread char zeroes[100];
static long counter, onces;
static atomic_int destroyed, ready, stop;

static void check(int error, const char *what)
{
    if (error != 0) {
        printf("%s: %s\n", what, strerror(error));
        exit(1);
    }
}

static pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, body, argument), "pthread_create");
    return thread;
}

static void *join(pthread_t thread)
{
    void *result;
    check(pthread_join(thread, &result), "pthread_join");
    return result;
}

static struct timespec after(clockid_t clock, long ms)
{
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_nsec += ms * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

static long ms_since(struct timespec then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - then.tv_sec) * 1000 + (now.tv_nsec - then.tv_nsec) / 1000000;
}

static void init_once(void) { onces++; }
static void destroy(void *value) { destroyed += (long)value; }

static void *count(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        if (i % 100 == 0)
            sched_yield();
    }
    pthread_once(&once, init_once);
    local += (long)argument;
    zeroes[local] = 1;
    pthread_setspecific(key, (void *)1);
    pthread_barrier_wait(&barrier);
    int others = 0;
    for (size_t i = 0; i < sizeof zeroes; i++)
        others += zeroes[i];
    return (void *)(long)(local * 10 + others);
}

/* A queue of one, both ends of it. */
static int item;
static void *produce(void *argument)
{
    for (int i = 1; i <= 200; i++) {
        pthread_mutex_lock(&mutex);
        while (item != 0)
            pthread_cond_wait(&cond, &mutex);
        item = i;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return argument;
}

static void *consume(void *argument)
{
    long sum = 0;
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&mutex);
        while (item == 0)
            pthread_cond_wait(&cond, &mutex);
        sum += item;
        item = 0;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return (void *)sum;
}

static int shared_value;
static void *read_shared(void *argument)
{
    long bad = 0;
    for (int i = 0; i < 100; i++) {
        pthread_rwlock_rdlock(&rwlock);
        int seen = shared_value;
        sched_yield();
        bad += seen != shared_value;
        pthread_rwlock_unlock(&rwlock);
    }
    return (void *)bad;
}

static void *write_shared(void *argument)
{
    for (int i = 0; i < 50; i++) {
        pthread_rwlock_wrlock(&rwlock);
        shared_value++;
        sched_yield();
        shared_value++;
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

static void *wait_semaphore(void *argument)
{
    for (int i = 0; i < 10; i++)
        sem_wait(&semaphore);
    return NULL;
}

static void *hold(void *robust)
{
    check(pthread_mutex_lock(robust), "lock a robust mutex");
    return NULL;
}

static void *try_robust(void *robust)
{
    long error = pthread_mutex_lock(robust);
    if (error == EOWNERDEAD)
        pthread_mutex_consistent(robust);
    pthread_mutex_unlock(robust);
    return (void *)error;
}

static void *sleepy_hold(void *robust)
{
    check(pthread_mutex_lock(robust), "lock a robust mutex");
    ready = 1;
    usleep(20000);
    return NULL;
}

static void *detached(void *argument)
{
    sem_post(argument);
    return NULL;
}

static void robust_mutexes(int protocol)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t robust;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    int error = pthread_mutexattr_setprotocol(&attr, protocol);
    if (error == 0)
        error = pthread_mutex_init(&robust, &attr);
    if (error != 0) {
        printf("protocol %d: %s\n", protocol, strerror(error));
        return;
    }
    join(start(hold, &robust));
    printf("its owner has ended: %s\n", strerror((long)join(start(try_robust, &robust))));
    printf("it was made good: %s\n", strerror((long)join(start(try_robust, &robust))));
    ready = 0;
    pthread_t holder = start(sleepy_hold, &robust);
    while (!ready)
        sched_yield();
    pthread_t waiter = start(try_robust, &robust);
    printf("its owner ends meanwhile: %s\n", strerror((long)join(waiter)));
    join(holder);
    pthread_mutex_destroy(&robust);
}

static void *lock_briefly(void *argument)
{
    for (int i = 0; i < 50; i++) {
        check(pthread_mutex_lock(argument), "lock");
        counter++;
        sched_yield();
        check(pthread_mutex_unlock(argument), "unlock");
    }
    return NULL;
}

static void kinds_of_mutexes(void)
{
    static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK};
    for (int protocol = PTHREAD_PRIO_NONE; protocol <= PTHREAD_PRIO_INHERIT; protocol++) {
        for (size_t type = 0; type < sizeof types / sizeof *types; type++) {
            pthread_mutexattr_t attr;
            pthread_mutex_t one;
            pthread_mutexattr_init(&attr);
            pthread_mutexattr_settype(&attr, types[type]);
            if (pthread_mutexattr_setprotocol(&attr, protocol) != 0
                || pthread_mutex_init(&one, &attr) != 0)
                continue;
            counter = 0;
            pthread_t threads[3];
            for (int i = 0; i < 3; i++)
                threads[i] = start(lock_briefly, &one);
            for (int i = 0; i < 3; i++)
                join(threads[i]);
            pthread_mutex_lock(&one);
            int twice = types[type] == PTHREAD_MUTEX_NORMAL ? EDEADLK : pthread_mutex_lock(&one);
            struct timespec until = after(CLOCK_REALTIME, 5);
            int timed = types[type] == PTHREAD_MUTEX_NORMAL ? pthread_mutex_timedlock(&one, &until) : 0;
            printf("mutex %d %zu: %ld, twice %d, timed %d, busy %d\n", protocol, type, counter, twice,
                   timed == EDEADLK ? ETIMEDOUT : timed, pthread_mutex_trylock(&one) == EBUSY);
        }
    }
}

/* MXCSR, which a call keeps: who makes a thread keeps it, and the thread begins with it. */
static unsigned control(void)
{
    unsigned value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value & ~0x3fu;
}

static void *tells_control(void *argument)
{
    *(unsigned *)argument = control();
    return NULL;
}

static void registers(void)
{
    unsigned rounds_up = 0x1f80 | 2 << 13, usual = 0x1f80, of_thread = 0;
    __asm__ volatile("ldmxcsr %0" ::"m"(rounds_up));
    pthread_t thread = start(tells_control, &of_thread);
    unsigned of_maker = control();
    pthread_join(thread, NULL);
    __asm__ volatile("ldmxcsr %0" ::"m"(usual));
    printf("MXCSR: %#x, of the thread %#x\n", of_maker, of_thread);
}

static void basics(void)
{
    pthread_t threads[COUNT];
    setvbuf(stdout, NULL, _IOLBF, 0);
    registers();
    pthread_key_create(&key, destroy);
    pthread_barrier_init(&barrier, NULL, COUNT);
    for (long i = 0; i < COUNT; i++)
        threads[i] = start(count, (void *)i);
    for (int i = 0; i < COUNT; i++)
        printf("thread %d: %ld\n", i, (long)join(threads[i]));
    printf("counter %ld, once %ld, destroyed %d, local %d\n", counter, onces, (int)destroyed, local);

    pthread_t producer = start(produce, (void *)5);
    pthread_t consumers[2] = {start(consume, NULL), start(consume, NULL)};
    long sum = (long)join(consumers[0]) + (long)join(consumers[1]);
    printf("consumed %ld, producer %ld\n", sum, (long)join(producer));

    pthread_t readers[3], writers[2];
    for (int i = 0; i < 3; i++)
        readers[i] = start(read_shared, NULL);
    for (int i = 0; i < 2; i++)
        writers[i] = start(write_shared, NULL);
    long bad = 0;
    for (int i = 0; i < 3; i++)
        bad += (long)join(readers[i]);
    for (int i = 0; i < 2; i++)
        join(writers[i]);
    printf("shared value %d, bad %ld\n", shared_value, bad);

    sem_init(&semaphore, 0, 0);
    pthread_t waiter = start(wait_semaphore, NULL);
    for (int i = 0; i < 10; i++)
        sem_post(&semaphore);
    join(waiter);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        check(pthread_create(&thread, &attr, detached, &semaphore), "pthread_create");
        sem_wait(&semaphore);
    }
    printf("detached threads have run\n");

    struct timespec start_time = after(CLOCK_MONOTONIC, 0), until = after(CLOCK_REALTIME, 30);
    pthread_mutex_lock(&mutex);
    int error = pthread_cond_timedwait(&cond, &mutex, &until);
    pthread_mutex_unlock(&mutex);
    printf("a wait of 30 ms: %s, %s\n", strerror(error), ms_since(start_time) >= 29 ? "long enough" : "too short");
    until = after(CLOCK_REALTIME, 10);
    error = sem_timedwait(&semaphore, &until) == 0 ? 0 : errno;
    printf("a semaphore: %s\n", strerror(error));

    robust_mutexes(PTHREAD_PRIO_NONE);
    robust_mutexes(PTHREAD_PRIO_INHERIT);
    kinds_of_mutexes();
}

static void *nothing(void *argument)
{
    sem_wait(&semaphore);
    return argument;
}

static void many(int wanted)
{
    pthread_t *threads = calloc(wanted, sizeof *threads);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    sem_init(&semaphore, 0, 0);
    for (long i = 0; i < wanted; i++)
        check(pthread_create(&threads[i], &attr, nothing, (void *)i), "pthread_create");
    for (int i = 0; i < wanted; i++)
        sem_post(&semaphore);
    long sum = 0;
    for (int i = 0; i < wanted; i++)
        sum += (long)join(threads[i]);
    printf("%d threads: %ld\n", wanted, sum);
}

static void *at_once(void *argument) { return argument; }

static void churn(int wanted)
{
    long sum = 0;
    for (long i = 0; i < wanted; i++) {
        pthread_t thread = start(at_once, (void *)i);
        if (i % 2 != 0)
            sum += (long)join(thread);
        else
            pthread_detach(thread);
    }
    printf("%d threads one after the other: %ld\n", wanted, sum);
}

static void *for_ever(void *argument)
{
    pthread_mutex_lock(&mutex);
    ready++;
    while (1)
        pthread_cond_wait(&cond, &mutex);
}

static void *spin(void *argument)
{
    ready++;
    while (!stop)
        ;
    return NULL;
}

/* Others that wait and compute. */
static void others(int spinning)
{
    for (int i = 0; i < 5; i++)
        start(for_ever, NULL);
    for (int i = 0; i < spinning; i++)
        start(spin, NULL);
    while (ready < 5 + spinning)
        sched_yield();
}

static pthread_t first;
static void *end_process(void *argument)
{
    printf("the first thread has ended: %d\n", pthread_join(first, NULL));
    printf("its number %s the process's\n", syscall(SYS_gettid) == getpid() ? "is" : "is not");
    printf("it is %s\n", syscall(SYS_tgkill, getpid(), getpid(), 0) == 0 ? "there" : "gone");
    exit(3);
}

static void *sleep_a_little(void *argument)
{
    usleep(20000);
    printf("the last one\n");
    return NULL;
}

static void *end_group(void *argument)
{
    syscall(SYS_exit_group, 4);
    return NULL;
}

static void *fault(void *argument)
{
    *(volatile int *)argument = 1;
    return NULL;
}

static void *execute(void *argument)
{
    char *arguments[] = {"threads", "alone", NULL}, *environment[] = {NULL};
    static char bytes[1 << 16];
    ssize_t length;
    int file = syscall(SYS_memfd_create, "program", 1);
    while ((length = read(0, bytes, sizeof bytes)) > 0)
        if (write(file, bytes, length) != length)
            exit(8);
    syscall(SYS_execveat, file, "", arguments, environment, AT_EMPTY_PATH);
    printf("execveat: %s\n", strerror(errno));
    exit(7);
}

static void alone(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int all = 0;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        all += entry->d_name[0] != '.';
    printf("%d task, %s\n", all, syscall(SYS_gettid) == getpid() ? "the first" : "another");
}

static void *wait_10_ms(void *argument)
{
    struct timespec begin = after(CLOCK_MONOTONIC, 0);
    usleep(10000);
    return (void *)ms_since(begin);
}

static void *answer(void *argument)
{
    for (int i = 0; i < 20; i++) {
        sem_wait(&semaphore);
        ready++;
    }
    return NULL;
}

static int by_value(const void *one, const void *other)
{
    return *(const int *)one - *(const int *)other;
}

/* Most of them, since others have the machine, too. */
static void judge(const char *what, int took[20])
{
    qsort(took, 20, sizeof *took, by_value);
    fprintf(stderr, "%s: %d, mostly %d, %d ms\n", what, took[0], took[10], took[19]);
    printf("%s: %s\n", what, took[10] < 60 ? "in time" : "late");
}

static void fair(void)
{
    int took[20];
    start(spin, NULL);
    while (!ready)
        sched_yield();
    for (int i = 0; i < 20; i++)
        took[i] = (long)wait_10_ms(NULL);
    judge("sleeps", took);
    sem_init(&semaphore, 0, 0);
    ready = 0;
    pthread_t other = start(answer, NULL);
    for (int i = 0; i < 20; i++) {
        struct timespec begin = after(CLOCK_MONOTONIC, 0);
        sem_post(&semaphore);
        while (ready <= i)
            ;
        took[i] = ms_since(begin);
    }
    join(other);
    stop = 1;
    judge("answers", took);
}

static void show(const char *path)
{
    char text[100] = "";
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(text, sizeof text, file) == NULL)
        printf("%s: %s\n", strrchr(path, '/'), strerror(errno));
    else
        printf("%s: %s", strrchr(path, '/'), text);
    if (file != NULL)
        fclose(file);
}

static void *named(void *argument)
{
    char path[100], name[20] = "";
    prctl(PR_SET_NAME, "second");
    show("/proc/thread-self/comm");
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", getpid());
    show(path);
    FILE *file = fopen("/proc/self/comm", "w");
    fputs("changed", file);
    fclose(file);
    show(path);
    pthread_getname_np(pthread_self(), name, sizeof name);
    printf("still %s\n", name);
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", syscall(SYS_gettid));
    show(path);
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", 4000000);
    show(path);
    return NULL;
}

static void proc(void)
{
    prctl(PR_SET_NAME, "first");
    join(start(named, NULL));
    show("/proc/self/comm");
    others(0);
    DIR *tasks = opendir("/proc/self/task");
    int all = 0, own = 0;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        all += entry->d_name[0] != '.';
        own += atoi(entry->d_name) == getpid();
    }
    printf("%d tasks, of which %d is the first\n", all, own);
    char line[200];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "Threads:", 8) == 0)
            fputs(line, stdout);
    exit(0);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    int is_exec = strncmp(what, "exec", 4) == 0;
    first = pthread_self();
    if (strcmp(what, "basics") == 0)
        basics();
    else if (strcmp(what, "many") == 0)
        many(number);
    else if (strcmp(what, "churn") == 0)
        churn(number);
    else if (strcmp(what, "fair") == 0)
        fair();
    else if (strcmp(what, "proc") == 0)
        proc();
    else if (strcmp(what, "alone") == 0)
        alone();
    else if (strcmp(what, "leave") == 0 || strcmp(what, "last") == 0) {
        start(strcmp(what, "leave") == 0 ? end_process : sleep_a_little, NULL);
        pthread_exit(NULL);
    } else if (strcmp(what, "sleep") == 0) {
        for (int i = 0; i < 100; i++)
            start(for_ever, NULL);
        while (ready < 100)
            sched_yield();
        printf("all wait\n");
        fflush(stdout);
        for_ever(NULL);
    } else if (is_exec || strcmp(what, "exit-group") == 0 || strcmp(what, "fault") == 0) {
        others(2);
        printf("others are there\n");
        fflush(stdout);
        if (strcmp(what, "exec-first") == 0)
            execute(NULL);
        start(is_exec ? execute : what[0] == 'f' ? fault : end_group, NULL);
        for_ever(NULL);
    } else
        return 2;
    return 0;
}
