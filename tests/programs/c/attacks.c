/* What a hostile program tries on a kernel; the argument says what. Used by
 * tests/tests/attacks.rs. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, SET_THREAD_AREA = 243 };

static long int80(long number, void *argument)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(argument)
                     : "memory", "rcx", "rdx", "r8", "r9", "r10", "r11");
    return result;
}

/* Loads SS with a TLS segment and has the segment taken away by a call: the
 * kernel's IRETQ cannot load it again. Linux: SIGSEGV. */
static int stack_segment(void)
{
    unsigned *descriptor = mmap((void *)0x20000000, PAGE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    unsigned all[] = {-1, 0, 0xfffff, 0x51};
    memcpy(descriptor, all, sizeof all);
    if (int80(SET_THREAD_AREA, descriptor) != 0)
        return 2;
    unsigned selector = descriptor[0] * 8 + 3;
    descriptor[1] = descriptor[2] = descriptor[3] = 0;
    __asm__ volatile("mov %0, %%ss" ::"r"(selector));
    int80(SET_THREAD_AREA, descriptor);
    return 0;
}

/* SYSCALL from compatibility mode, with the stack pointer in the kernel's
 * half: what the kernel pushes before it has its own stack goes there. */
static void compat_syscall(void)
{
    static const unsigned char code[] = {
        0xb8, 20, 0, 0, 0, /* mov $20, %eax: getpid */
        0x0f, 0x05,        /* syscall */
        0xb8, 1, 0, 0, 0,  /* mov $1, %eax: exit */
        0xbb, 42, 0, 0, 0, /* mov $42, %ebx */
        0xcd, 0x80,        /* int $0x80 */
    };
    struct {
        unsigned offset;
        unsigned short selector;
    } target = {0x20000000, 0x23};
    void *page = mmap((void *)0x20000000, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    memcpy(page, code, sizeof code);
    __asm__ volatile("movabs $0xfffffe000000d0b0, %%rsp\n\tljmpl *(%0)" ::"r"(&target) : "memory");
}

/* One page after the other, each with page tables of its own. */
static int page_tables(void)
{
    for (unsigned long round = 0; round < 700; round++) {
        char *at = (char *)0x100000000000 + round * (2ul << 20);
        char *page = mmap(at, PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (page == MAP_FAILED)
            return 1;
        page[0] = 1;
        munmap(page, PAGE);
    }
    return 0;
}

/* Moves a terabyte of which one page was touched. */
static int sparse_mremap(void)
{
    unsigned long size = 1ul << 40;
    char *from = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    from[5 * PAGE] = 5;
    mmap(from + size, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    char *to = mremap(from, size, size + PAGE, MREMAP_MAYMOVE);
    return to == MAP_FAILED || to[5 * PAGE] != 5;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "stack-segment") == 0)
        return stack_segment();
    if (strcmp(what, "compat-syscall") == 0)
        compat_syscall();
    if (strcmp(what, "page-tables") == 0)
        return page_tables();
    if (strcmp(what, "sparse-mremap") == 0)
        return sparse_mremap();
    fprintf(stderr, "stack-segment, compat-syscall, page-tables or sparse-mremap\n");
    return 2;
}
