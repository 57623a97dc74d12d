/* Signals as signal(7) has them.
 *
 *   signals MS NAME...   each of these cases, or `all`; what each finds is a line. MS: how
 *                        long it is until something happens
 *   signals die WAY      an end by a signal
 *   signals forge COUNT SEED  so many handlers return by frames with words that are wrong;
 *                        not to be run natively: nobody knows what comes of it
 *
 * What is printed is the same wherever it runs: no address, no number of a process.
 */
#ifndef __x86_64__
#pragma GCC target("sse2")
#endif
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __x86_64__
#define IP(context) (context)->uc_mcontext.gregs[REG_RIP]
#define SP_NAME "rsp"
#else
#define IP(context) (context)->uc_mcontext.gregs[REG_EIP]
#define SP_NAME "esp"
#endif

#define MS 1000000L

/* How long it is until something happens, in milliseconds: others wait for thrice as long. */
static long unit = 20;

static volatile sig_atomic_t count;
static volatile int order[64];
static siginfo_t told;
static sigjmp_buf back;
static atomic_int ready;

static void counts(int signal)
{
    order[count++ & 63] = signal;
}

static void tells(int signal, siginfo_t *info, void *context)
{
    (void)context;
    told = *info;
    order[count++ & 63] = signal;
}

static void jumps(int signal, siginfo_t *info, void *context)
{
    (void)context;
    told = *info;
    siglongjmp(back, signal);
}

static void set_action(int signal, int flags, void (*with_info)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_flags = flags | SA_SIGINFO };
    action.sa_sigaction = with_info;
    if (sigaction(signal, &action, NULL) != 0)
        printf("sigaction: %s\n", strerror(errno));
}

static void set_handler(int signal, int flags, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    if (sigaction(signal, &action, NULL) != 0)
        printf("sigaction: %s\n", strerror(errno));
}

static sigset_t set_of(int signal, ...)
{
    sigset_t set;
    sigemptyset(&set);
    va_list list;
    va_start(list, signal);
    for (; signal != 0; signal = va_arg(list, int))
        sigaddset(&set, signal);
    va_end(list);
    return set;
}

static void block(int signal)
{
    sigset_t set = set_of(signal, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void unblock_all(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *name_of(int error)
{
    return error == 0 ? "ok" : strerror(error);
}

/* A result, or the error's name. */
static const char *came(long result)
{
    static char text[4][32];
    static int next;
    char *line = text[next++ & 3];
    if (result == -1)
        return name_of(errno);
    snprintf(line, 32, "%ld", result);
    return line;
}

static long elapsed_ms(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / MS;
}

static void sleep_ms(long ms)
{
    struct timespec left = { ms / 1000, ms % 1000 * MS };
    while (nanosleep(&left, &left) != 0)
        ;
}

/* Sends a signal to the first thread after a while. */
static int sent_later;
static pthread_t first;
static void *sends(void *after)
{
    sleep_ms((long)after);
    pthread_kill(first, sent_later);
    return NULL;
}

static pthread_t send_later(int signal, long ms)
{
    pthread_t thread;
    sigset_t all, before;
    sent_later = signal;
    first = pthread_self();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_create(&thread, NULL, sends, (void *)ms);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return thread;
}

/* -- what is told ------------------------------------------------------------------ */

static void raise_and_kill(void)
{
    set_action(SIGUSR1, 0, tells);
    raise(SIGUSR1);
    printf("raise: code %d, from myself %d, my user %d\n", told.si_code,
           told.si_pid == getpid(), told.si_uid == getuid());
    kill(getpid(), SIGUSR1);
    printf("kill: code %d, from myself %d\n", told.si_code, told.si_pid == getpid());
    printf("kill 0: %s, kill of nobody: %s, signal 65: %s\n", came(kill(getpid(), 0)),
           came(kill(INT_MAX, 0)), came(kill(getpid(), 65)));
    printf("group: %s\n", came(kill(0, 0)));
    printf("count %d\n", count);
}

static void queue_values(void)
{
    set_action(SIGRTMIN + 1, 0, tells);
    union sigval value = { .sival_ptr = (void *)0x12345678 };
    printf("sigqueue: %s\n", came(sigqueue(getpid(), SIGRTMIN + 1, value)));
    printf("code %d, value %#lx, from myself %d\n", told.si_code,
           (unsigned long)told.si_value.sival_ptr, told.si_pid == getpid());
    siginfo_t made = { 0 };
    made.si_code = -60;
    made.si_value.sival_int = 7;
    long tid = syscall(SYS_gettid);
    printf("tgsigqueueinfo: %s\n",
           came(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGRTMIN + 1, &made)));
    printf("code %d, signal %d\n", told.si_code, told.si_signo - SIGRTMIN);
    made.si_code = SI_USER;
    printf("as the kernel to another: %s\n",
           came(syscall(SYS_rt_sigqueueinfo, 1 << 20, SIGRTMIN + 1, &made)));
    printf("of bad memory: %s\n", came(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN + 1, 8)));
}

static char *page(int protection)
{
    return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void faults(void)
{
    for (const int *signal = (int[]){ SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, 0 }; *signal; signal++)
        set_action(*signal, 0, jumps);
    char *readable = page(PROT_READ), *hole = page(PROT_READ);
    munmap(hole, 4096);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)hole = 1;
    printf("a hole: signal %d code %d, there %d\n", told.si_signo, told.si_code,
           told.si_addr == hole);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)readable = 1;
    printf("read only: signal %d code %d, there %d\n", told.si_signo, told.si_code,
           told.si_addr == readable);
    if (sigsetjmp(back, 1) == 0)
        ((void (*)(void))readable)();
    printf("no code: signal %d code %d, there %d\n", told.si_signo, told.si_code,
           told.si_addr == readable);
    char name[] = "/tmp/signals-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    char *beyond = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)beyond;
    printf("beyond a file: signal %d code %d, there %d\n", told.si_signo, told.si_code,
           told.si_addr == beyond);
    if (sigsetjmp(back, 1) == 0) {
        int one = 1, zero = 0;
        __asm__ volatile("cltd; idivl %1" : "+a"(one) : "r"(zero) : "edx");
    }
    printf("divided by zero: signal %d code %d\n", told.si_signo, told.si_code);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("ud2");
    printf("no instruction: signal %d code %d\n", told.si_signo, told.si_code);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("int3");
    printf("breakpoint: signal %d code %d, address %p\n", told.si_signo, told.si_code,
           told.si_addr);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("hlt");
    printf("privileged: signal %d code %d, address %p\n", told.si_signo, told.si_code,
           told.si_addr);
#ifdef __x86_64__
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)0x800000000000;
    printf("not canonical: signal %d code %d, address %p\n", told.si_signo, told.si_code,
           told.si_addr);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)0xffffffff80000000;
    printf("the kernel's: signal %d code %d\n", told.si_signo, told.si_code);
#endif
}

static long trap_number, error_code, address;
static void looks(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    ucontext_t *from = context;
    trap_number = from->uc_mcontext.gregs[REG_TRAPNO];
    error_code = from->uc_mcontext.gregs[REG_ERR];
#ifdef __x86_64__
    address = from->uc_mcontext.gregs[REG_CR2] - (long)info->si_addr;
#else
    address = from->uc_mcontext.cr2 - (long)info->si_addr;
#endif
    siglongjmp(back, 1);
}

static void traps(void)
{
    set_action(SIGSEGV, 0, looks);
    set_action(SIGILL, 0, looks);
    char *readable = page(PROT_READ), *hole = page(PROT_READ);
    munmap(hole, 4096);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)hole;
    printf("read of a hole: trap %ld error %ld cr2 %ld\n", trap_number, error_code, address);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)hole = 1;
    printf("write to a hole: trap %ld error %ld cr2 %ld\n", trap_number, error_code, address);
    *(volatile char *)readable;
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)readable = 1;
    printf("write: trap %ld error %ld cr2 %ld\n", trap_number, error_code, address);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("hlt");
    printf("privileged: trap %ld error %ld\n", trap_number, error_code);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("ud2");
    printf("no instruction: trap %ld error %ld\n", trap_number, error_code);
}

static void floating(void)
{
    set_action(SIGFPE, 0, jumps);
    unsigned short control = 0x37f & ~4;
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(control));
    __asm__ volatile("fninit");
    printf("x87 by zero: signal %d code %d\n", told.si_signo, told.si_code);
    unsigned csr = 0x1f80 & ~0x200, plain = 0x1f80;
    volatile float zero = 0, one = 1;
    if (sigsetjmp(back, 1) == 0) {
        __asm__ volatile("ldmxcsr %0" ::"m"(csr));
        __asm__ volatile("movss %0, %%xmm0; divss %1, %%xmm0" ::"m"(one), "m"(zero) : "xmm0");
    }
    __asm__ volatile("ldmxcsr %0" ::"m"(plain));
    printf("SSE by zero: signal %d code %d\n", told.si_signo, told.si_code);
}

/* -- flags ------------------------------------------------------------------------- */

static volatile int depth, deepest, nested;
static void nests(int signal)
{
    if (++depth > deepest)
        deepest = depth;
    if (++nested < 3)
        raise(signal);
    depth--;
}

static void flags(void)
{
    set_handler(SIGUSR1, SA_RESETHAND, counts);
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    printf("flags are told: %#x\n", now.sa_flags & ~0x4000000);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &now);
    printf("once: default again %d, count %d\n", now.sa_handler == SIG_DFL, count);
    set_handler(SIGUSR2, 0, nests);
    raise(SIGUSR2);
    printf("blocked in its handler: depth %d\n", deepest);
    deepest = nested = 0;
    set_handler(SIGUSR2, SA_NODEFER, nests);
    raise(SIGUSR2);
    printf("not deferred: depth %d\n", deepest);
    struct sigaction masks = { .sa_handler = counts };
    masks.sa_mask = set_of(SIGUSR1, SIGKILL, SIGSTOP, 0);
    sigaction(SIGUSR2, &masks, NULL);
    sigaction(SIGUSR2, NULL, &now);
    printf("the mask has USR1 %d, KILL %d\n", sigismember(&now.sa_mask, SIGUSR1),
           sigismember(&now.sa_mask, SIGKILL));
    printf("of KILL: %s, STOP: %s, 0: %s, 65: %s\n",
           came(sigaction(SIGKILL, &masks, NULL)), came(sigaction(SIGSTOP, &masks, NULL)),
           came(sigaction(0, &masks, NULL)), came(syscall(SYS_rt_sigaction, 65, &masks, NULL, 8)));
    printf("a size of 4: %s\n", came(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4)));
}

static int mask_in_handler;
static void sees_mask(int signal)
{
    (void)signal;
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    for (int number = 1; number < 32; number++)
        if (sigismember(&now, number))
            mask_in_handler |= 1 << number;
}

static void masks(void)
{
    struct sigaction action = { .sa_handler = sees_mask };
    action.sa_mask = set_of(SIGHUP, SIGTERM, 0);
    sigaction(SIGUSR1, &action, NULL);
    block(SIGINT);
    raise(SIGUSR1);
    printf("in the handler: %#x\n", mask_in_handler);
    mask_in_handler = 0;
    sees_mask(0);
    printf("after it: %#x\n", mask_in_handler);
    sigset_t set = set_of(SIGUSR2, 0);
    printf("a bad way: %s, bad memory: %s\n", came(sigprocmask(9, &set, NULL)),
           came(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, NULL, 8)));
    printf("a size of 16: %s\n", came(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, NULL, 16)));
}

static void pending_ones(void)
{
    set_handler(SIGUSR1, 0, counts);
    set_handler(SIGUSR2, 0, counts);
    set_action(SIGRTMIN, 0, tells);
    block(SIGUSR1);
    block(SIGUSR2);
    block(SIGRTMIN);
    for (int value = 0; value < 3; value++) {
        sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = value });
        raise(SIGUSR2);
        raise(SIGUSR1);
    }
    sigset_t waiting;
    sigpending(&waiting);
    printf("pending: %d %d %d, of INT %d\n", sigismember(&waiting, SIGUSR1),
           sigismember(&waiting, SIGUSR2), sigismember(&waiting, SIGRTMIN),
           sigismember(&waiting, SIGINT));
    unblock_all();
    printf("came: %d, the last value %d\n", count, told.si_value.sival_int);
    for (int number = 0; number < count; number++)
        printf(" %d", order[number] == SIGRTMIN ? 0 : order[number]);
    printf("\n");
    block(SIGUSR1);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    sigpending(&waiting);
    printf("ignored while it is pending: %d\n", sigismember(&waiting, SIGUSR1));
    raise(SIGUSR1);
    sigpending(&waiting);
    printf("ignored and blocked: %d\n", sigismember(&waiting, SIGUSR1));
    unblock_all();
    block(SIGCHLD);
    raise(SIGCHLD);
    sigpending(&waiting);
    printf("ignored by default and blocked: %d\n", sigismember(&waiting, SIGCHLD));
}

static void limit_of_queued(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_SIGPENDING, &limit);
    limit.rlim_cur = 50;
    setrlimit(RLIMIT_SIGPENDING, &limit);
    set_action(SIGRTMIN, 0, tells);
    block(SIGRTMIN);
    int sent = 0;
    errno = 0;
    while (sent < 100 && sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = sent }) == 0)
        sent++;
    printf("queued: more than 2 %d, less than 100 %d, then %s\n", sent > 2, sent < 100,
           name_of(errno));
    unblock_all();
    printf("all came: %d, in order: %d\n", count == sent, told.si_value.sival_int == sent - 1);
    block(SIGUSR1);
    set_action(SIGUSR1, 0, tells);
    for (int number = 0; number < 10; number++)
        raise(SIGUSR1);
    count = 0;
    unblock_all();
    printf("a standard one: %d\n", count);
}

/* -- stacks ------------------------------------------------------------------------ */

static char *stack_start, *in_handler;
static int told_flags, changed;
static void on_stack(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    char here;
    stack_t now, other = { .ss_flags = SS_DISABLE };
    in_handler = &here;
    sigaltstack(NULL, &now);
    told_flags = now.ss_flags;
    changed = sigaltstack(&other, NULL) == 0 ? 0 : errno;
    ucontext_t *from = context;
    if (from->uc_stack.ss_size != 65536)
        printf("the context has another stack\n");
}

static void alternate_stacks(void)
{
    stack_t none, stack = { .ss_size = 65536 };
    sigaltstack(NULL, &none);
    printf("none: flags %d size %d\n", none.ss_flags, (int)none.ss_size);
    stack_start = stack.ss_sp = malloc(65536);
    printf("set: %s\n", came(sigaltstack(&stack, NULL)));
    set_action(SIGUSR1, SA_ONSTACK, on_stack);
    raise(SIGUSR1);
    printf("on it: %d, flags %d, to change it: %s\n",
           in_handler > stack_start && in_handler < stack_start + 65536, told_flags,
           name_of(changed));
    set_action(SIGUSR1, 0, on_stack);
    raise(SIGUSR1);
    printf("not on it: %d, flags %d, to change it: %s\n",
           in_handler > stack_start && in_handler < stack_start + 65536, told_flags,
           name_of(changed));
    sigaltstack(NULL, &none);
    printf("behind it the stack is as in the frame: flags %d size %d\n", none.ss_flags,
           (int)none.ss_size);
    stack.ss_size = 1024;
    printf("too small: %s\n", came(sigaltstack(&stack, NULL)));
    stack.ss_size = 65536;
    stack.ss_flags = 17;
    printf("flags that are none: %s\n", came(sigaltstack(&stack, NULL)));
    stack.ss_flags = 1 << 31;
    printf("given up in handlers: %s\n", came(sigaltstack(&stack, NULL)));
    set_action(SIGUSR1, SA_ONSTACK, on_stack);
    raise(SIGUSR1);
    printf("then: %d, flags %d, to change it: %s\n",
           in_handler > stack_start && in_handler < stack_start + 65536, told_flags,
           name_of(changed));
    sigaltstack(NULL, &none);
    printf("back again: flags %x size %d\n", (unsigned)none.ss_flags, (int)none.ss_size);
}

static void overflow(void)
{
    stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
    sigaltstack(&stack, NULL);
    set_action(SIGSEGV, SA_ONSTACK, jumps);
    if (sigsetjmp(back, 1) == 0) {
#ifdef __x86_64__
        __asm__ volatile("mov %%rsp, %%rbx; mov $64, %%esp; push %%rax; mov %%rbx, %%rsp" ::
                             : "rbx", "memory");
#else
        __asm__ volatile("mov %%esp, %%edi; mov $64, %%esp; push %%eax; mov %%edi, %%esp" ::
                             : "edi", "memory");
#endif
    }
    printf("no stack: signal %d code %d\n", told.si_signo, told.si_code);
}

/* -- frames ------------------------------------------------------------------------ */

static void skips(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ucontext_t *from = context;
    IP(from) += 2;
    sigaddset(&from->uc_sigmask, SIGHUP);
    count++;
}

static void contexts(void)
{
    set_action(SIGILL, 0, skips);
    unsigned long kept = 0x1234567, flags;
    __asm__ volatile("stc; ud2; pushf; pop %0" : "=r"(flags), "+r"(kept)::"memory");
    printf("skipped: %d, carry %lu, a register %#lx\n", count, flags & 1, kept);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("the mask is the frame's: %d\n", sigismember(&now, SIGHUP));
}

static void changes_vectors(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ucontext_t *from = context;
    /* Its own registers are not those of what it has interrupted. */
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm7, %%xmm7; fldpi" ::: "xmm0", "xmm7");
    if (from->uc_mcontext.fpregs == NULL)
        printf("no registers\n");
}

static void vectors(void)
{
    set_action(SIGUSR1, 0, changes_vectors);
    long tid = syscall(SYS_gettid), pid = getpid();
    unsigned values[4] = { 1, 2, 3, 4 }, after[4], seventh[4];
    double pushed = 2.5, popped;
#ifdef __x86_64__
    long number = SYS_tgkill;
    __asm__ volatile("movups %3, %%xmm0; movups %3, %%xmm7; fldl %4; syscall;"
                     "fstpl %2; movups %%xmm0, %0; movups %%xmm7, %1"
                     : "=m"(after), "=m"(seventh), "=m"(popped), "+m"(values), "+m"(pushed),
                       "+a"(number)
                     : "D"(pid), "S"(tid), "d"((long)SIGUSR1)
                     : "rcx", "r11", "xmm0", "xmm7", "memory");
#else
    long number = SYS_tgkill;
    __asm__ volatile("movups %3, %%xmm0; movups %3, %%xmm7; fldl %4; int $0x80;"
                     "fstpl %2; movups %%xmm0, %0; movups %%xmm7, %1"
                     : "=m"(after), "=m"(seventh), "=m"(popped), "+m"(values), "+m"(pushed),
                       "+a"(number)
                     : "b"(pid), "c"(tid), "d"(SIGUSR1)
                     : "xmm0", "xmm7", "memory");
#endif
    printf("vectors: %u %u %u %u and %u, x87 %.2f\n", after[0], after[1], after[2], after[3],
           seventh[3], popped);
}

static int steps;
static void steps_on(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    if (info->si_code == TRAP_TRACE)
        steps++;
}

static void single_steps(void)
{
    set_action(SIGTRAP, 0, steps_on);
#ifdef __x86_64__
    __asm__ volatile("sub $128, %%rsp; pushf; orl $0x100, (%%rsp); popf; nop; nop; nop;"
                     "pushf; andl $~0x100, (%%rsp); popf; add $128, %%rsp" ::: "memory", "cc");
#else
    __asm__ volatile("pushf; orl $0x100, (%%esp); popf; nop; nop; nop;"
                     "pushf; andl $~0x100, (%%esp); popf" ::: "memory", "cc");
#endif
    printf("steps: %d\n", steps);
}

/* -- waiting ----------------------------------------------------------------------- */

static void suspends(void)
{
    set_handler(SIGUSR1, 0, counts);
    block(SIGUSR1);
    raise(SIGUSR1);
    sigset_t none;
    sigemptyset(&none);
    printf("sigsuspend: %s\n", came(sigsuspend(&none)));
    printf("count %d\n", count);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("blocked again: %d\n", sigismember(&now, SIGUSR1));
    unblock_all();
    pthread_t sender = send_later(SIGUSR1, unit);
    printf("pause: %s\n", came(pause()));
    printf("count %d\n", count);
    pthread_join(sender, NULL);
    printf("bad memory: %s, size: %s\n", came(syscall(SYS_rt_sigsuspend, 8, 8)),
           came(syscall(SYS_rt_sigsuspend, &none, 4)));
}

static void waits(void)
{
    sigset_t set = set_of(SIGUSR1, SIGRTMIN, 0);
    siginfo_t info;
    struct timespec none = { 0, 0 }, little = { 0, 10 * MS }, bad = { 0, -1 };
    block(SIGUSR1);
    block(SIGRTMIN);
    printf("nothing: %s\n", came(sigtimedwait(&set, &info, &little)));
    printf("in no time: %s\n", came(sigtimedwait(&set, &info, &none)));
    printf("a bad time: %s\n", came(sigtimedwait(&set, &info, &bad)));
    raise(SIGUSR1);
    printf("there: %s\n", came(sigwaitinfo(&set, &info)));
    printf("code %d\n", info.si_code);
    sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 5 });
    int result = sigwaitinfo(&set, &info);
    printf("queued: %d, code %d, value %d\n", result - SIGRTMIN, info.si_code,
           info.si_value.sival_int);
    pthread_t sender = send_later(SIGUSR1, unit);
    printf("later: %s\n", came(sigwaitinfo(&set, &info)));
    pthread_join(sender, NULL);
    set_handler(SIGUSR2, SA_RESTART, counts);
    sender = send_later(SIGUSR2, unit);
    /* Not by the C library, which may try again. */
    printf("another: %s\n", came(syscall(SYS_rt_sigtimedwait, &set, &info, NULL, 8)));
    printf("count %d\n", count);
    pthread_join(sender, NULL);
    sigset_t unblockable = set_of(SIGKILL, 0);
    printf("of KILL: %s\n", came(sigtimedwait(&unblockable, &info, &none)));
    /* One that is ignored comes to who waits for it, if it is blocked. */
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    printf("ignored: %s\n", came(sigtimedwait(&set, &info, &none)));
    int number = 0;
    signal(SIGUSR1, SIG_DFL);
    raise(SIGUSR1);
    printf("sigwait: %s\n", name_of(sigwait(&set, &number)));
    printf("number %d\n", number);
}

/* What a call that a handler interrupts comes to, with and without SA_RESTART. */
static int pipes[2];
static void interrupted(const char *name, int flags, long (*call)(void))
{
    set_handler(SIGUSR1, flags, counts);
    count = 0;
    pthread_t sender = send_later(SIGUSR1, unit);
    pthread_t helper = 0;
    (void)helper;
    errno = 0;
    const char *result = came(call());
    pthread_join(sender, NULL);
    printf("%s%s: %s, handled %d\n", name, flags ? " restarts" : "", result, count);
}

static long reads(void)
{
    char byte;
    return read(pipes[0], &byte, 1);
}

static void *writes_later(void *argument)
{
    sleep_ms(4 * unit);
    if (write(pipes[1], argument, 1) != 1)
        printf("write failed\n");
    return NULL;
}

static long reads_in_the_end(void)
{
    pthread_t writer;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_create(&writer, NULL, writes_later, "x");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    long result = reads();
    int error = errno;
    pthread_join(writer, NULL);
    char rest;
    if (result != 1 && read(pipes[0], &rest, 1) != 1)
        printf("nothing to read\n");
    errno = error;
    return result;
}

static struct timespec remaining;
static long sleeps(void)
{
    struct timespec time = { 0, 3 * unit * MS };
    remaining.tv_nsec = -1;
    return nanosleep(&time, &remaining);
}

static long sleeps_until(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += 3 * unit * MS;
    if (time.tv_nsec >= 1000 * MS) {
        time.tv_nsec -= 1000 * MS;
        time.tv_sec++;
    }
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    return errno == 0 ? 0 : -1;
}

static long polls(void)
{
    struct pollfd wanted = { pipes[0], POLLIN, 0 };
    return poll(&wanted, 1, 3 * unit);
}

static long polls_with_mask(void)
{
    struct pollfd wanted = { pipes[0], POLLIN, 0 };
    struct timespec time = { 0, 3 * unit * MS };
    return ppoll(&wanted, 1, &time, NULL);
}

static long selects(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipes[0], &set);
    struct timeval time = { 0, 3000 * unit };
    return select(pipes[0] + 1, &set, NULL, NULL, &time);
}

static long pauses(void)
{
    return pause();
}

static int word;
static long futex_waits(void)
{
    return syscall(SYS_futex, &word, 0, 0, NULL);
}

static long futex_waits_a_little(void)
{
#if defined(SYS_futex_time64) && !defined(__x86_64__)
    long long time[2] = { 0, 3 * unit * MS };
    return syscall(SYS_futex_time64, &word, 0, 0, time);
#else
    struct timespec time = { 0, 3 * unit * MS };
    return syscall(SYS_futex, &word, 0, 0, &time);
#endif
}

static sem_t semaphore;
static long semaphore_waits(void)
{
    return sem_wait(&semaphore);
}

static void interruptions(void)
{
    if (pipe(pipes) != 0)
        return;
    sem_init(&semaphore, 0, 0);
    interrupted("read", 0, reads_in_the_end);
    interrupted("read", SA_RESTART, reads_in_the_end);
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        interrupted("nanosleep", flags, sleeps);
        printf("left: some %d, not all %d\n", remaining.tv_nsec > 0, remaining.tv_nsec < 3 * unit * MS);
        interrupted("until a time", flags, sleeps_until);
        interrupted("poll", flags, polls);
        interrupted("ppoll", flags, polls_with_mask);
        interrupted("select", flags, selects);
        interrupted("pause", flags, pauses);
    }
    interrupted("futex", 0, futex_waits);
    interrupted("futex in time", SA_RESTART, futex_waits_a_little);
    interrupted("sem_wait", 0, semaphore_waits);
}

/* A signal that nobody handles interrupts nothing. */
static void uninterrupted(void)
{
    if (pipe(pipes) != 0)
        return;
    struct timespec began;
    long (*calls[])(void) = { sleeps, sleeps_until, polls, polls_with_mask, selects,
                              futex_waits_a_little };
    const char *names[] = { "nanosleep", "until a time", "poll", "ppoll", "select", "futex" };
    for (int index = 0; index < 6; index++) {
        clock_gettime(CLOCK_MONOTONIC, &began);
        pthread_t sender = send_later(SIGCHLD, unit);
        errno = 0;
        const char *result = came(calls[index]());
        long passed = elapsed_ms(&began);
        pthread_join(sender, NULL);
        printf("%s: %s, its whole time %d\n", names[index], result, passed >= 3 * unit - 1);
    }
}

static void masked_waits(void)
{
    if (pipe(pipes) != 0)
        return;
    set_handler(SIGUSR1, 0, counts);
    block(SIGUSR1);
    raise(SIGUSR1);
    sigset_t none;
    sigemptyset(&none);
    struct pollfd wanted = { pipes[0], POLLIN, 0 };
    struct timespec time = { 1, 0 };
    printf("ppoll: %s\n", came(ppoll(&wanted, 1, &time, &none)));
    printf("count %d\n", count);
    raise(SIGUSR1);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipes[0], &set);
    printf("pselect: %s\n", came(pselect(pipes[0] + 1, &set, NULL, NULL, &time, &none)));
    printf("count %d\n", count);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("blocked again: %d\n", sigismember(&now, SIGUSR1));
}

/* -- threads ----------------------------------------------------------------------- */

static pthread_t handled_by;
static void who(int signal)
{
    (void)signal;
    handled_by = pthread_self();
    count++;
}

static void *waits_blocked(void *argument)
{
    (void)argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    atomic_store(&ready, 1);
    sleep_ms(100);
    return NULL;
}

static void *waits_open(void *argument)
{
    (void)argument;
    unblock_all();
    atomic_store(&ready, 1);
    for (int tries = 0; tries < 200 && count == 0; tries++)
        sleep_ms(5);
    return NULL;
}

static void threads(void)
{
    pthread_t other;
    set_handler(SIGUSR1, 0, who);
    pthread_create(&other, NULL, waits_blocked, NULL);
    while (!atomic_load(&ready))
        sleep_ms(1);
    kill(getpid(), SIGUSR1);
    printf("to the process: handled %d, by the first %d\n", count,
           pthread_equal(handled_by, pthread_self()));
    sigset_t waiting;
    pthread_kill(other, SIGUSR1);
    sigpending(&waiting);
    printf("to another thread: handled %d, pending here %d\n", count,
           sigismember(&waiting, SIGUSR1));
    pthread_join(other, NULL);
    block(SIGUSR1);
    count = 0;
    atomic_store(&ready, 0);
    pthread_create(&other, NULL, waits_open, NULL);
    while (!atomic_load(&ready))
        sleep_ms(1);
    kill(getpid(), SIGUSR1);
    pthread_join(other, NULL);
    printf("blocked by the first: handled %d, by the other %d\n", count,
           pthread_equal(handled_by, other));
    printf("to nobody: %s, in nobody's group: %s\n", came(syscall(SYS_tkill, 1 << 20, 0)),
           came(syscall(SYS_tgkill, 1 << 20, syscall(SYS_gettid), 0)));
    printf("numbers that are none: %s %s\n", came(syscall(SYS_tkill, 0, 0)),
           came(syscall(SYS_tgkill, 0, 1, 0)));
}

static void *blocks_later(void *argument)
{
    (void)argument;
    sigset_t set = set_of(SIGUSR1, 0), none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    atomic_store(&ready, 1);
    while (atomic_load(&ready) == 1)
        sleep_ms(1);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    return NULL;
}

static void inheritance(void)
{
    set_handler(SIGUSR1, 0, who);
    block(SIGUSR1);
    pthread_t other;
    stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
    sigaltstack(&stack, NULL);
    atomic_store(&ready, 0);
    pthread_create(&other, NULL, blocks_later, NULL);
    while (!atomic_load(&ready))
        sleep_ms(1);
    pthread_kill(other, SIGUSR1);
    sleep_ms(20);
    printf("a thread that blocks nothing: %d\n", count);
    atomic_store(&ready, 2);
    pthread_join(other, NULL);
}

/* -- timers ------------------------------------------------------------------------ */

static void alarms(void)
{
    set_action(SIGALRM, 0, tells);
    printf("alarm: %u\n", alarm(10));
    printf("again: %u\n", alarm(20));
    printf("off: %u\n", alarm(0));
    struct itimerval times = { { 0, 0 }, { 0, 1000 * unit } }, now;
    printf("setitimer: %s\n", came(setitimer(ITIMER_REAL, &times, NULL)));
    getitimer(ITIMER_REAL, &now);
    printf("running: %d\n", now.it_value.tv_sec == 0 && now.it_value.tv_usec > 0);
    printf("pause: %s\n", came(pause()));
    printf("code %d\n", told.si_code);
    getitimer(ITIMER_REAL, &now);
    printf("over: %ld %ld\n", (long)now.it_value.tv_sec, (long)now.it_value.tv_usec);
    times.it_interval.tv_usec = 10000;
    count = 0;
    setitimer(ITIMER_REAL, &times, NULL);
    while (count < 3)
        pause();
    times.it_value.tv_usec = 0;
    setitimer(ITIMER_REAL, &times, &now);
    printf("again and again: %d, its interval %ld\n", count >= 3, (long)now.it_interval.tv_usec);
    times.it_value.tv_usec = 1000000;
    printf("a bad time: %s, a bad timer: %s\n", came(setitimer(ITIMER_REAL, &times, NULL)),
           came(setitimer(3, &times, NULL)));
}

static volatile unsigned long spins;
static void alarm_while_computing(void)
{
    set_handler(SIGALRM, 0, counts);
    struct itimerval times = { { 0, 0 }, { 0, 1000 * unit } };
    setitimer(ITIMER_REAL, &times, NULL);
    while (count == 0)
        spins++;
    printf("it came: %d\n", count);
}

static void posix_timers(void)
{
    timer_t timer, silent;
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
    event.sigev_value.sival_int = 77;
    set_action(SIGRTMIN, 0, tells);
    printf("timer_create: %s\n", came(timer_create(CLOCK_MONOTONIC, &event, &timer)));
    struct itimerspec times = { { 0, 0 }, { 0, 20 * MS } }, now;
    printf("timer_settime: %s\n", came(timer_settime(timer, 0, &times, NULL)));
    timer_gettime(timer, &now);
    printf("running: %d\n", now.it_value.tv_sec == 0 && now.it_value.tv_nsec > 0);
    pause();
    printf("code %d, value %d, overrun %d\n", told.si_code, told.si_value.sival_int,
           told.si_overrun);
    timer_gettime(timer, &now);
    printf("over: %ld\n", (long)now.it_value.tv_nsec);
    /* Again and again, while its signal is blocked. */
    block(SIGRTMIN);
    times = (struct itimerspec){ { 0, 5 * MS }, { 0, 5 * MS } };
    count = 0;
    timer_settime(timer, 0, &times, NULL);
    sleep_ms(60);
    times = (struct itimerspec){ 0 };
    unblock_all();
    printf("once while it is blocked: %d, overruns: some %d, told %d\n", count >= 1,
           told.si_overrun >= 5 || timer_getoverrun(timer) >= 0, told.si_signo == SIGRTMIN);
    timer_settime(timer, 0, &times, &now);
    printf("its interval: %ld\n", (long)now.it_interval.tv_nsec);
    event.sigev_notify = SIGEV_NONE;
    printf("silent: %s\n", came(timer_create(CLOCK_REALTIME, &event, &silent)));
    times = (struct itimerspec){ { 0, 0 }, { 0, 1 * MS } };
    timer_settime(silent, 0, &times, NULL);
    sleep_ms(5);
    timer_gettime(silent, &now);
    printf("over: %ld\n", (long)now.it_value.tv_nsec);
    clock_gettime(CLOCK_REALTIME, &times.it_value);
    times.it_value.tv_sec += 100;
    timer_settime(silent, TIMER_ABSTIME, &times, NULL);
    timer_gettime(silent, &now);
    printf("until a time: %d\n", now.it_value.tv_sec >= 98 && now.it_value.tv_sec <= 100);
    printf("delete: %s", came(timer_delete(silent)));
    printf(", again: %s\n", came(syscall(SYS_timer_delete, 1000)));
    event.sigev_notify = 9;
    printf("a bad notice: %s", came(timer_create(CLOCK_REALTIME, &event, &silent)));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 70;
    printf(", signal: %s", came(timer_create(CLOCK_REALTIME, &event, &silent)));
    event.sigev_signo = SIGRTMIN;
    printf(", clock: %s\n", came(timer_create(77, &event, &silent)));
    times.it_value.tv_nsec = 1000 * MS;
    printf("a bad time: %s\n", came(timer_settime(timer, 0, &times, NULL)));
    timer_delete(timer);
}

static void thread_timer(union sigval value)
{
    count += value.sival_int;
}

static void timers_of_threads(void)
{
    timer_t timer;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD };
    event.sigev_notify_function = thread_timer;
    event.sigev_value.sival_int = 5;
    printf("timer_create: %s\n", came(timer_create(CLOCK_MONOTONIC, &event, &timer)));
    struct itimerspec times = { { 0, 0 }, { 0, 10 * MS } };
    timer_settime(timer, 0, &times, NULL);
    for (int tries = 0; tries < 200 && count == 0; tries++)
        sleep_ms(5);
    printf("it ran: %d\n", count);
}

/* -- many -------------------------------------------------------------------------- */

static void storm(void)
{
    set_handler(SIGUSR1, 0, counts);
    for (int number = 0; number < 1000; number++)
        raise(SIGUSR1);
    printf("all: %d\n", count);
}

static void nested_jumps(void)
{
    set_action(SIGSEGV, 0, jumps);
    volatile int caught = 0;
    for (int number = 0; number < 200; number++)
        if (sigsetjmp(back, 1) == 0)
            *(volatile char *)16 = 1;
        else
            caught++;
    printf("caught: %d\n", caught);
}

static const struct {
    const char *name;
    void (*run)(void);
} CASES[] = {
    { "raise-and-kill", raise_and_kill },
    { "queue-values", queue_values },
    { "faults", faults },
    { "traps", traps },
    { "floating", floating },
    { "flags", flags },
    { "masks", masks },
    { "pending", pending_ones },
    { "limit", limit_of_queued },
    { "alternate-stacks", alternate_stacks },
    { "overflow", overflow },
    { "contexts", contexts },
    { "vectors", vectors },
    { "steps", single_steps },
    { "suspends", suspends },
    { "waits", waits },
    { "interruptions", interruptions },
    { "uninterrupted", uninterrupted },
    { "masked-waits", masked_waits },
    { "threads", threads },
    { "inheritance", inheritance },
    { "alarms", alarms },
    { "alarm-while-computing", alarm_while_computing },
    { "posix-timers", posix_timers },
    { "timers-of-threads", timers_of_threads },
    { "storm", storm },
    { "nested-jumps", nested_jumps },
};
#define COUNT (sizeof CASES / sizeof *CASES)

static void start_over(void)
{
    unblock_all();
    for (int number = 1; number <= 64; number++)
        signal(number, SIG_DFL);
    stack_t none = { .ss_flags = SS_DISABLE };
    sigaltstack(&none, NULL);
    count = 0;
    atomic_store(&ready, 0);
}

static void die(const char *way)
{
    if (strcmp(way, "handler-unmapped") == 0) {
        set_handler(SIGUSR1, 0, (void (*)(int))16);
        raise(SIGUSR1);
    } else if (strcmp(way, "stack-unmapped") == 0) {
        set_handler(SIGSEGV, 0, counts);
#ifdef __x86_64__
        __asm__ volatile("mov $64, %esp; push %rax");
#else
        __asm__ volatile("mov $64, %esp; push %eax");
#endif
    } else if (strcmp(way, "blocked-fault") == 0) {
        set_handler(SIGSEGV, 0, counts);
        block(SIGSEGV);
        *(volatile char *)16 = 1;
    } else if (strcmp(way, "ignored-fault") == 0) {
        signal(SIGSEGV, SIG_IGN);
        *(volatile char *)16 = 1;
    } else if (strcmp(way, "fault-in-handler") == 0) {
        set_action(SIGSEGV, 0, looks);
        /* The jump goes nowhere. */
        memset(back, 0, sizeof back);
        signal(SIGUSR1, (void (*)(int))abort);
        raise(SIGUSR1);
    } else if (strcmp(way, "term") == 0) {
        raise(SIGTERM);
    } else if (strcmp(way, "real-time") == 0) {
        raise(SIGRTMAX);
    } else if (strcmp(way, "kill") == 0) {
        kill(getpid(), SIGKILL);
    } else if (strcmp(way, "alarm") == 0) {
        ualarm(10000, 0);
        for (;;)
            spins++;
    } else if (strcmp(way, "exit-in-handler") == 0) {
        set_handler(SIGUSR1, 0, _exit);
        raise(SIGUSR1);
    } else if (strcmp(way, "forged") == 0) {
#ifdef __x86_64__
        __asm__ volatile("mov $15, %eax; mov $64, %esp; syscall");
#else
        __asm__ volatile("mov $173, %eax; mov $64, %esp; int $0x80");
#endif
    }
    printf("still here\n");
}

/* -- forged frames ----------------------------------------------------------------- */

static unsigned long long state;
static unsigned next(unsigned below)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % below;
}

/* A word that is wrong in most places, but no address of code. */
static unsigned long long wrong(void)
{
    static const unsigned long long words[] = {
        0, 1, 3, 16, 0x2b, 0x33, 0x23, 0x1b, 0x63, 0xffff, 0x7fffffff, 0x80000000, 0xfffff000,
        0xffffffff, 0x800000000000, 0x7ffffffff000, 0xffff800000000000, 0xffffffff80000000,
        0xffffffffffffff00, 0xffffffffffffffff,
    };
    return words[next(sizeof words / sizeof *words)];
}

static void forges(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ucontext_t *from = context;
    char *registers = (char *)from->uc_mcontext.fpregs;
    /* The x87 and vector registers, their header, and what says which there are. */
    static const unsigned places[] = { 0, 4, 24, 28, 464, 468, 472, 480, 512, 520, 528, 568 };
    unsigned long long word = wrong();
    switch (next(4)) {
    case 0:
        ((greg_t *)from->uc_mcontext.gregs)[next(NGREG)] = (greg_t)word;
        break;
    case 1:
#ifndef __x86_64__
        registers += 112;
#endif
        memcpy(registers + places[next(sizeof places / sizeof *places)], &word, 4 + 4 * next(2));
        break;
    case 2:
        if (next(2))
            from->uc_mcontext.fpregs = (void *)(uintptr_t)word;
        else
            from->uc_mcontext.fpregs = (void *)(registers + next(4096));
        break;
    default:
        if (next(2))
            from->uc_flags = word;
        else
            from->uc_stack.ss_sp = (void *)(uintptr_t)word;
        break;
    }
    count++;
}

static void forge(int times, unsigned seed)
{
    state = seed;
    static char alternate[1 << 16];
    for (volatile int number = 0; number < times; number++) {
        /* The frame may have taken it away. */
        stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
        sigaltstack(&stack, NULL);
        unblock_all();
        for (const int *signal = (int[]){ SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, 0 }; *signal;
             signal++)
            set_action(*signal, SA_ONSTACK | SA_NODEFER, jumps);
        set_action(SIGUSR1, SA_NODEFER, forges);
        if (sigsetjmp(back, 1) == 0)
            syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
        __asm__ volatile("sub $128, %%" SP_NAME "; pushf; andl $~0x40500, (%%" SP_NAME ");"
                         "popf; add $128, %%" SP_NAME "; fninit" ::: "memory", "cc");
    }
    printf("forged: %d\n", count);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && strcmp(argv[1], "forge") == 0) {
        forge(atoi(argv[2]), (unsigned)atoi(argv[3]));
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "die") == 0) {
        die(argv[2]);
        return 9;
    }
    if (argc > 1)
        unit = atol(argv[1]);
    for (int index = 2; index < argc; index++)
        for (size_t number = 0; number < COUNT; number++)
            if (strcmp(argv[index], "all") == 0 || strcmp(argv[index], CASES[number].name) == 0) {
                start_over();
                printf("= %s\n", CASES[number].name);
                CASES[number].run();
            }
    return 0;
}
