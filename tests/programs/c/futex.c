/* futex(2), clone(2) and their kin by themselves: what each answers, a line a case.
 *
 *   futex words             waits, wakes, requeues, operations, locks
 *   futex clone             what combinations of flags answer
 *   futex rounds COUNT      two threads hand a word back and forth while two compute
 *   futex stress COUNT SEED threads with a mutex and a condition of their own, at random
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* linux/futex.h and linux/sched.h, which musl does not have. */
enum {
    FUTEX_WAIT, FUTEX_WAKE, FUTEX_FD, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP,
    FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET,
    FUTEX_LOCK_PI2 = 13, PRIVATE = 128, FUTEX_CLOCK_REALTIME = 256,
};
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu
enum { FUTEX_OP_SET, FUTEX_OP_ADD, FUTEX_OP_OR, FUTEX_OP_CMP_EQ = 0, FUTEX_OP_CMP_GT = 4 };
#define FUTEX_OP(op, oparg, cmp, cmparg) \
    ((op) << 28 | (cmp) << 24 | ((oparg) & 0xfff) << 12 | ((cmparg) & 0xfff))
#undef CLONE_PIDFD
#undef CLONE_DETACHED
#define CLONE_PIDFD 0x1000
#define CLONE_DETACHED 0x400000
struct clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};

static long futex(void *word, int op, unsigned value, const void *timeout, void *second, unsigned third)
{
    long result = syscall(SYS_futex, word, op, value, timeout, second, third);
    return result < 0 ? -errno : result;
}

static void say(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, strerror(-result));
    else
        printf("%s: %ld\n", what, result);
}
#define SAY(call) say(#call, call)

static pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0)
        exit(9);
    return thread;
}

static long join(pthread_t thread)
{
    void *result;
    pthread_join(thread, &result);
    return (long)result;
}

struct wait {
    _Atomic uint32_t *word;
    int op;
    unsigned bits;
    atomic_int tid;
};

static void *waits(void *argument)
{
    struct wait *wait = argument;
    wait->tid = syscall(SYS_gettid);
    return (void *)futex(wait->word, wait->op, *wait->word, NULL, NULL, wait->bits);
}

/* Until the thread sleeps. */
static void until_it_waits(struct wait *wait)
{
    char path[64], text[200];
    while (wait->tid == 0)
        sched_yield();
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", wait->tid);
    while (1) {
        int file = open(path, O_RDONLY);
        ssize_t length = read(file, text, sizeof text - 1);
        close(file);
        text[length > 0 ? length : 0] = 0;
        char *state = strrchr(text, ')');
        if (state != NULL && state[2] == 'S')
            return;
        sched_yield();
    }
}

static pthread_t waiter(struct wait *wait, _Atomic uint32_t *word, int op, unsigned bits)
{
    wait->word = word, wait->op = op, wait->bits = bits, wait->tid = 0;
    pthread_t thread = start(waits, wait);
    until_it_waits(wait);
    return thread;
}

static _Atomic uint32_t a, b;
static struct wait w[6];

static void *lock_pi(void *word)
{
    w[0].tid = syscall(SYS_gettid);
    long result = futex(word, FUTEX_LOCK_PI | PRIVATE, 0, NULL, NULL, 0);
    if (result == 0) {
        result = (*(uint32_t *)word & FUTEX_TID_MASK) == (uint32_t)syscall(SYS_gettid);
        futex(word, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0);
    }
    return (void *)result;
}

/* Takes it and ends. */
static void *lock_and_leave(void *word)
{
    *(_Atomic uint32_t *)word = syscall(SYS_gettid);
    until_it_waits(&w[0]);
    return NULL;
}

static void words(void)
{
    struct timespec zero = {0, 0}, past = {1, 0}, bad = {0, 1000000000}, little = {0, 20000000};
    char *page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + 4096, 4096, PROT_READ);
    mprotect(page + 8192, 4096, PROT_NONE);
    _Atomic uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    _Atomic uint32_t *again = mremap((void *)shared, 0, 4096, MREMAP_MAYMOVE);
    void *kernel = (void *)(uintptr_t)-4096;

    for (int flag = 0; flag <= PRIVATE; flag += PRIVATE) {
        printf("flag %d\n", flag);
        a = b = 0;
        SAY(futex(&a, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_WAIT | flag, 1, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_WAIT | flag, 0, &zero, NULL, 0));
        SAY(futex(&a, FUTEX_WAIT | flag, 0, &little, NULL, 0));
        SAY(futex(&a, FUTEX_WAIT | flag, 0, &bad, NULL, 0));
        SAY(futex(&a, FUTEX_WAIT | flag, 0, kernel, NULL, 0));
        SAY(futex(&a, FUTEX_WAIT | flag | FUTEX_CLOCK_REALTIME, 0, &little, NULL, 0));
        SAY(futex(&a, FUTEX_WAIT_BITSET | flag, 0, &past, NULL, 1));
        SAY(futex(&a, FUTEX_WAIT_BITSET | flag | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
        SAY(futex(&a, FUTEX_WAIT_BITSET | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_WAKE_BITSET | flag, 1, NULL, NULL, 0));
        SAY(futex((char *)&a + 1, FUTEX_WAIT | flag, 0, NULL, NULL, 0));
        SAY(futex((char *)&a + 2, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
        SAY(futex(kernel, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
        SAY(futex(kernel, FUTEX_WAIT | flag, 0, NULL, NULL, 0));
        SAY(futex(page + 8192, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
        SAY(futex(page + 8192, FUTEX_WAIT | flag, 0, NULL, NULL, 0));
        SAY(futex(page + 4096, FUTEX_WAIT | flag, 1, NULL, NULL, 0));
        SAY(futex(page + 4096, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
        SAY(futex(NULL, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_WAKE | FUTEX_CLOCK_REALTIME | flag, 1, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_FD | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, 14 | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, 99 | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_REQUEUE | flag, 1, (void *)1, &b, 0));
        SAY(futex(&a, FUTEX_REQUEUE | flag, -1, (void *)1, &b, 0));
        SAY(futex(&a, FUTEX_REQUEUE | flag, 1, (void *)(uintptr_t)0xffffffff, &b, 0));
        SAY(futex(&a, FUTEX_CMP_REQUEUE | flag, 1, (void *)1, &b, 1));
        SAY(futex(&a, FUTEX_CMP_REQUEUE | flag, 1, (void *)1, (char *)&b + 1, 0));
        SAY(futex(&a, FUTEX_WAKE_OP | flag, 1, (void *)1, &b, FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)));
        say("b", b);
        SAY(futex(&a, FUTEX_WAKE_OP | flag, 1, (void *)1, page + 4096, 0));
        SAY(futex(&a, FUTEX_WAKE_OP | flag, 1, (void *)1, page + 8192, 0));
        SAY(futex(&a, FUTEX_WAKE_OP | flag, 1, (void *)1, &b, 5u << 28));
        SAY(futex(&a, FUTEX_WAKE_OP | flag, 1, (void *)1, &b, FUTEX_OP(FUTEX_OP_SET, 9, 6, 0)));
        say("b", b);

        printf("who is woken\n");
        a = b = 0;
        pthread_t one = waiter(&w[0], &a, FUTEX_WAIT | flag, 0);
        SAY(futex(&b, FUTEX_WAKE | flag, 9, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_WAKE | (flag ^ PRIVATE), 9, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_WAKE | flag, 9, NULL, NULL, 0));
        SAY(join(one));
        pthread_t three[3];
        for (int i = 0; i < 3; i++)
            three[i] = waiter(&w[i], &a, FUTEX_WAIT_BITSET | flag, 1u << i);
        SAY(futex(&a, FUTEX_WAKE_BITSET | flag, 9, NULL, NULL, 8));
        SAY(futex(&a, FUTEX_WAKE_BITSET | flag, 9, NULL, NULL, 2));
        SAY(join(three[1]));
        SAY(futex(&a, FUTEX_WAKE | flag, 0, NULL, NULL, 0));
        SAY(join(three[0]));
        SAY(futex(&a, FUTEX_WAKE | flag, -1, NULL, NULL, 0));
        SAY(join(three[2]));
        for (int i = 0; i < 3; i++)
            three[i] = waiter(&w[i], &a, FUTEX_WAIT | flag, 0);
        SAY(futex(&a, FUTEX_CMP_REQUEUE | flag, 1, (void *)1, &b, 0));
        SAY(join(three[0]));
        SAY(futex(&a, FUTEX_REQUEUE | flag, 0, (void *)0, &b, 0));
        SAY(futex(&b, FUTEX_WAKE | flag, 9, NULL, NULL, 0));
        SAY(join(three[1]));
        SAY(futex(&a, FUTEX_REQUEUE | flag, 0, (void *)9, &a, 0));
        SAY(futex(&a, FUTEX_REQUEUE | flag, 0, (void *)9, &b, 0));
        SAY(futex(&a, FUTEX_WAKE_OP | flag, 9, (void *)9, &b, FUTEX_OP(FUTEX_OP_OR, 1, FUTEX_OP_CMP_GT, 0)));
        SAY(futex(&a, FUTEX_WAKE_OP | flag, 9, (void *)9, &b, FUTEX_OP(FUTEX_OP_OR, 2, FUTEX_OP_CMP_GT, 0)));
        say("b", b);
        SAY(join(three[2]));

        printf("locks\n");
        uint32_t tid = syscall(SYS_gettid);
        a = 0;
        SAY(futex(&a, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0));
        say("it is ours", a == tid);
        SAY(futex(&a, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_TRYLOCK_PI | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
        say("a", a);
        SAY(futex(&a, FUTEX_TRYLOCK_PI | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
        a = 0x3ffffff0;
        SAY(futex(&a, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0));
        printf("a: %#x\n", a);
        a = FUTEX_OWNER_DIED;
        SAY(futex(&a, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0));
        say("it is ours", a == (tid | FUTEX_OWNER_DIED));
        SAY(futex(page + 4096, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0));
        SAY(futex(page + 8192, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0));
        SAY(futex(page + 8192, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
        SAY(futex((char *)&a + 1, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0));
        SAY(futex(&a, FUTEX_LOCK_PI | flag, 0, &bad, NULL, 0));
    }

    printf("locks of others\n");
    uint32_t tid = syscall(SYS_gettid);
    a = tid;
    w[0].tid = 0;
    pthread_t locker = start(lock_pi, (void *)&a);
    until_it_waits(&w[0]);
    say("somebody waits", a == (tid | FUTEX_WAITERS));
    SAY(futex(&a, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0));
    SAY(futex(&a, FUTEX_REQUEUE | PRIVATE, 1, (void *)1, &b, 0));
    SAY(futex(&a, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    SAY(join(locker));
    struct timespec until;
    a = 0;
    w[0].tid = 0;
    pthread_t leaver = start(lock_and_leave, (void *)&a);
    while (a == 0)
        sched_yield();
    locker = start(lock_pi, (void *)&a);
    join(leaver);
    SAY(join(locker));
    a = 0;
    w[0].tid = 0;
    leaver = start(lock_and_leave, (void *)&a);
    while (a == 0)
        sched_yield();
    clock_gettime(CLOCK_REALTIME, &until);
    SAY(futex(&a, FUTEX_LOCK_PI | PRIVATE, 0, &until, NULL, 0));
    SAY(futex(&a, FUTEX_LOCK_PI2 | PRIVATE, 0, &past, NULL, 0));
    SAY(futex(&a, FUTEX_TRYLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    SAY(futex(&a, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    w[0].tid = waiter(&w[1], &b, FUTEX_WAIT | PRIVATE, 0) ? w[1].tid : 0;
    join(leaver);
    futex(&b, FUTEX_WAKE | PRIVATE, 9, NULL, NULL, 0);

    printf("shared memory\n");
    pthread_t one = waiter(&w[0], shared, FUTEX_WAIT, 0);
    SAY(futex(again, FUTEX_WAKE | PRIVATE, 9, NULL, NULL, 0));
    SAY(futex(again + 1, FUTEX_WAKE, 9, NULL, NULL, 0));
    SAY(futex(again, FUTEX_WAKE, 9, NULL, NULL, 0));
    SAY(join(one));
    one = waiter(&w[0], shared, FUTEX_WAIT | PRIVATE, 0);
    SAY(futex(again, FUTEX_WAKE, 9, NULL, NULL, 0));
    munmap((void *)shared, 4096);
    SAY(futex(shared, FUTEX_WAKE | PRIVATE, 9, NULL, NULL, 0));
    SAY(join(one));
    one = waiter(&w[0], again, FUTEX_WAIT, 0);
    void *moved = mremap((void *)again, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, shared);
    SAY(futex(moved, FUTEX_WAKE, 9, NULL, NULL, 0));
    SAY(join(one));

    printf("lists\n");
    void *head;
    size_t size;
    long result = syscall(SYS_get_robust_list, 0, &head, &size);
    printf("of this thread: %ld, %zu bytes\n", result, size);
    SAY(syscall(SYS_set_robust_list, head, size - 1) < 0 ? -errno : 0);
    SAY(syscall(SYS_get_robust_list, 4000000, &head, &size) < 0 ? -errno : 0);
    one = waiter(&w[0], &a, FUTEX_WAIT | PRIVATE, 0);
    SAY(syscall(SYS_get_robust_list, w[0].tid, &head, &size) < 0 ? -errno : 0);
    SAY(syscall(SYS_tgkill, getpid(), w[0].tid, 0) < 0 ? -errno : 0);
    SAY(syscall(SYS_tgkill, getpid(), 4000000, 0) < 0 ? -errno : 0);
    SAY(syscall(SYS_tgkill, getpid(), w[0].tid, 99) < 0 ? -errno : 0);
    SAY(syscall(SYS_tkill, w[0].tid, 0) < 0 ? -errno : 0);
    SAY(sched_getscheduler(w[0].tid));
    cpu_set_t set;
    SAY(sched_getaffinity(w[0].tid, sizeof set, &set));
    SAY(sched_getaffinity(4000000, sizeof set, &set) < 0 ? -errno : 0);
    futex(&a, FUTEX_WAKE | PRIVATE, 9, NULL, NULL, 0);
    SAY(join(one));
}

/* As clone(2) without a libc: what cannot be made does not come back twice. */
static long raw_clone(unsigned long flags, void *stack)
{
    long result = syscall(SYS_clone, flags, stack, 0L, 0L, 0L);
    return result < 0 ? -errno : result;
}

static long raw_clone3(void *args, size_t size)
{
    long result = syscall(435, args, size);
    return result < 0 ? -errno : result;
}

static void flags(void)
{
    static const unsigned long bad[] = {
        CLONE_THREAD, CLONE_THREAD | CLONE_VM, CLONE_SIGHAND, CLONE_SIGHAND | CLONE_THREAD,
        CLONE_NEWNS | CLONE_FS, CLONE_NEWUSER | CLONE_FS,
        CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER,
        CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWPID,
        CLONE_PIDFD | CLONE_DETACHED, CLONE_PIDFD | CLONE_PARENT_SETTID,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        printf("%#lx ", bad[i]);
        say("clone", raw_clone(bad[i], NULL));
    }
    const unsigned long thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    struct clone_args args[47] = {0};
#define TRY(...) do { \
        struct clone_args one = {__VA_ARGS__}; \
        say("clone3 " #__VA_ARGS__, raw_clone3(&one, sizeof one)); \
    } while (0)
    SAY(raw_clone3(NULL, 64));
    SAY(raw_clone3(args, 63));
    SAY(raw_clone3(args, 4097));
    args[0].flags = thread;
    memset(&args[1], 1, sizeof args[1]);
    SAY(raw_clone3(args, sizeof args[0] + 1));
    TRY(.flags = thread | 0x1000000000);
    TRY(.flags = thread | 1);
    TRY(.flags = thread | CLONE_DETACHED);
    TRY(.flags = thread, .exit_signal = 17);
    TRY(.flags = 0, .exit_signal = 65);
    TRY(.flags = 0, .exit_signal = 1 << 8);
    TRY(.flags = thread, .stack = 4096);
    TRY(.flags = thread, .stack_size = 4096);
    TRY(.flags = thread, .stack = -4096ull, .stack_size = 8192);
    TRY(.flags = thread, .set_tid_size = 1);
    TRY(.flags = thread, .set_tid = 4096);
    TRY(.flags = thread, .set_tid = 4096, .set_tid_size = 33);
    TRY(.flags = CLONE_SIGHAND | CLONE_VM | 0x100000000);
    TRY(.flags = CLONE_THREAD | CLONE_VM);
    TRY(.flags = thread | 0x200000000, .cgroup = 1ull << 40);
#if __SIZEOF_POINTER__ == 8
    TRY(.flags = thread | CLONE_SETTLS, .tls = 1ull << 63);
    TRY(.flags = thread | CLONE_SETTLS, .tls = 1ull << 47);
#else
    TRY(.flags = thread | CLONE_SETTLS, .tls = 1);
#endif
}

static _Atomic uint32_t turn;
static atomic_int stop;

static void *compute(void *argument)
{
    volatile unsigned long sum = 0;
    while (!stop)
        sum++;
    return NULL;
}

static void *other_side(void *count)
{
    for (long i = 0; i < (long)count; i++) {
        while (turn != 1)
            futex(&turn, FUTEX_WAIT | PRIVATE, 0, NULL, NULL, 0);
        turn = 0;
        futex(&turn, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0);
    }
    return NULL;
}

static void rounds(long count)
{
    pthread_t other = start(other_side, (void *)count);
    pthread_t computing[2] = {start(compute, NULL), start(compute, NULL)};
    for (long i = 0; i < count; i++) {
        turn = 1;
        futex(&turn, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0);
        while (turn != 0)
            futex(&turn, FUTEX_WAIT | PRIVATE, 1, NULL, NULL, 0);
    }
    join(other);
    stop = 1;
    join(computing[0]);
    join(computing[1]);
    printf("%ld rounds\n", count);
}

#define THREADS 6
static _Atomic uint32_t lock_word, tokens[THREADS];
static long steps, done;
static uint64_t seed;

/* Drepper's mutex, as in "Futexes are tricky". */
static void take_lock(void)
{
    uint32_t is = 0;
    if (atomic_compare_exchange_strong(&lock_word, &is, 1))
        return;
    if (is != 2)
        is = atomic_exchange(&lock_word, 2);
    while (is != 0) {
        futex(&lock_word, FUTEX_WAIT | PRIVATE, 2, NULL, NULL, 0);
        is = atomic_exchange(&lock_word, 2);
    }
}

static void leave_lock(void)
{
    if (atomic_fetch_sub(&lock_word, 1) != 1) {
        lock_word = 0;
        futex(&lock_word, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0);
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

static void give_token(int to)
{
    tokens[to]++;
    futex(&tokens[to], FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0);
}

/* Takes a token, counts under the lock, hands the token on. */
static void *hand_on(void *argument)
{
    int own = (long)argument;
    uint64_t state = seed + own + 1;
    while (1) {
        uint32_t there;
        while ((there = tokens[own]) == 0)
            futex(&tokens[own], FUTEX_WAIT | PRIVATE, 0, NULL, NULL, 0);
        tokens[own]--;
        for (uint64_t i = next_random(&state) % 500; i > 0; i--)
            asm volatile("" ::: "memory");
        take_lock();
        int is_last = done >= steps;
        done++;
        if (next_random(&state) % 8 == 0)
            sched_yield();
        leave_lock();
        if (is_last)
            return NULL;
        give_token(next_random(&state) % THREADS);
    }
}

static void stress(long count, uint64_t from)
{
    pthread_t threads[THREADS];
    steps = count, seed = from * 0x9e3779b97f4a7c15 + 1;
    for (long i = 0; i < THREADS; i++)
        threads[i] = start(hand_on, (void *)i);
    for (int i = 0; i < THREADS / 2; i++)
        give_token(i);
    while (1) {
        take_lock();
        int is_done = done >= steps;
        leave_lock();
        if (is_done)
            break;
        usleep(1000);
    }
    for (int i = 0; i < THREADS; i++)
        give_token(i);
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    printf("%s\n", done >= count ? "all done" : "too few");
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, getenv("UNBUFFERED") ? _IONBF : _IOFBF, 1 << 16);
    if (argc == 2 && strcmp(argv[1], "words") == 0)
        words();
    else if (argc == 2 && strcmp(argv[1], "clone") == 0)
        flags();
    else if (argc == 3 && strcmp(argv[1], "rounds") == 0)
        rounds(atol(argv[2]));
    else if (argc == 4 && strcmp(argv[1], "stress") == 0)
        stress(atol(argv[2]), strtoull(argv[3], NULL, 0));
    else
        return 2;
    return 0;
}
