/* linux-gate.so.1 without a C library and without SSE: it runs also where
 * compatibility mode is interpreted.
 *
 *   gate           the 32-bit vDSO's symbols, __kernel_vsyscall by AT_SYSINFO,
 *                  and the clocks beside the kernel's own calls by INT 0x80
 *   gate COUNT     __vdso_clock_gettime64 so many times, and nothing else
 *   gate move      moves the vDSO by INT 0x80, and calls where it is then
 *   gate part      the same, with a length that is no whole page
 *   gate itself    the same, by a call through the vDSO
 *
 * Ends with 0, or with the number of the first check that failed. */

typedef unsigned int word;
typedef long long wide;

enum { EXIT = 1, WRITE = 4, GETPID = 20, MREMAP = 163, CLOCK_GETTIME = 265, CLOCK_GETRES = 266 };
enum { FUTEX = 240, CLOCK_GETTIME64 = 403 };
enum { AT_SYSINFO = 32, AT_SYSINFO_EHDR = 33, PT_LOAD = 1, PT_DYNAMIC = 2 };
enum { DT_HASH = 4, DT_STRTAB = 5, DT_SYMTAB = 6, DT_SONAME = 14 };
/* mremap's fourth and fifth argument; nothing else here has so many. */
enum { MAYMOVE_FIXED = 3, TO = 0x30000000 };
#define DT_VERSYM 0x6ffffff0u
#define DT_VERDEF 0x6ffffffcu

static long int80(long number, long first, long second, long third)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(first), "c"(second), "d"(third), "S"(MAYMOVE_FIXED), "D"(TO)
                     : "memory");
    return result;
}

static void check(int number, int holds)
{
    if (!holds)
        int80(EXIT, number, 0, 0);
}

static int same(const char *left, const char *right)
{
    while (*left && *left == *right)
        left++, right++;
    return *left == *right;
}

static word base, size, gate, *tables[16], versym, verdef;

static word table(word tag)
{
    return (word)tables[tag];
}

/* What the ELF header leads to; all of it is at the image's own offsets. */
static void read_image(void)
{
    const unsigned char *header = (const unsigned char *)base;
    check(2, *(const word *)header == 0x464c457f && header[4] == 1);
    const word *program = (const word *)(base + *(const word *)(header + 28));
    word count = *(const unsigned short *)(header + 44), dynamic = 0, bias = 0;
    for (word i = 0; i < count; i++, program += 8) {
        if (program[0] == PT_LOAD)
            size = program[5], bias = base + program[1] - program[2];
        if (program[0] == PT_DYNAMIC)
            dynamic = base + program[1];
    }
    check(3, dynamic != 0);
    for (const word *entry = (const word *)dynamic; entry[0]; entry += 2) {
        if (entry[0] < 16)
            tables[entry[0]] = (word *)(entry[0] == DT_SONAME ? entry[1] : bias + entry[1]);
        if (entry[0] == DT_VERSYM)
            versym = bias + entry[1];
        if (entry[0] == DT_VERDEF)
            verdef = bias + entry[1];
    }
    check(4, same((const char *)(table(DT_STRTAB) + table(DT_SONAME)), "linux-gate.so.1"));
}

/* The address of a symbol of this version. */
static word find(const char *name, const char *version)
{
    word count = ((const word *)table(DT_HASH))[1];
    for (word i = 1; i < count; i++) {
        const word *symbol = (const word *)(table(DT_SYMTAB) + 16 * i);
        if (!same((const char *)(table(DT_STRTAB) + symbol[0]), name))
            continue;
        word index = ((const unsigned short *)versym)[i] & 0x7fff, at = verdef;
        for (;;) {
            if (((const unsigned short *)at)[2] == index) {
                word text = *(const word *)(at + *(const word *)(at + 12));
                return same((const char *)(table(DT_STRTAB) + text), version) ? base + symbol[1] : 0;
            }
            if (!*(const word *)(at + 16))
                return 0;
            at += *(const word *)(at + 16);
        }
    }
    return 0;
}

/* A call by AT_SYSINFO, with every register watched: all but eax come back. */
static long by_gate(long number, long first, long second, long third, long fourth, long fifth,
                    long sixth)
{
    static long registers[7], after[7];
    long given[7] = {number, first, second, third, fourth, fifth, sixth};
    for (int i = 0; i < 7; i++)
        registers[i] = given[i];
    __asm__ volatile("pusha\n"
                     "mov %0, %%eax\n mov %1, %%ebx\n mov %2, %%ecx\n mov %3, %%edx\n"
                     "mov %4, %%esi\n mov %5, %%edi\n mov %6, %%ebp\n"
                     "call *%14\n"
                     "mov %%eax, %7\n mov %%ebx, %8\n mov %%ecx, %9\n mov %%edx, %10\n"
                     "mov %%esi, %11\n mov %%edi, %12\n mov %%ebp, %13\n"
                     "popa\n"
                     :
                     : "m"(registers[0]), "m"(registers[1]), "m"(registers[2]), "m"(registers[3]),
                       "m"(registers[4]), "m"(registers[5]), "m"(registers[6]), "m"(after[0]),
                       "m"(after[1]), "m"(after[2]), "m"(after[3]), "m"(after[4]), "m"(after[5]),
                       "m"(after[6]), "m"(gate)
                     : "memory", "cc");
    for (int i = 1; i < 7; i++)
        check(10 + i, after[i] == registers[i]);
    return after[0];
}

static void calls(void)
{
    static const char text[] = "by __kernel_vsyscall\n";
    static int value = 5;
    check(20, by_gate(WRITE, 1, (long)text, sizeof text - 1, 44, 55, 66) == sizeof text - 1);
    check(21, by_gate(GETPID, 1, 2, 3, 4, 5, 6) == int80(GETPID, 0, 0, 0));
    check(22, by_gate(9999, 1, 2, 3, 4, 5, 6) == -38);
    /* FUTEX_WAIT_BITSET: its sixth argument 0 is EINVAL, else another value
     * than expected is EAGAIN. */
    check(23, by_gate(FUTEX, (long)&value, 9, 6, 0, 0, 0) == -22);
    check(24, by_gate(FUTEX, (long)&value, 9, 6, 0, 0, 1) == -11);
}

/* The vDSO's way to the kernel works where it has been moved to. */
static void moves(const char *how)
{
    word length = (size + 4095) & ~4095u;
    if (how[0] == 'p')
        length -= 4095;
    check(60, (how[0] == 'i' ? by_gate(MREMAP, base, length, length, MAYMOVE_FIXED, TO, 66)
                             : int80(MREMAP, base, length, length)) == TO);
    gate += TO - base;
    check(61, by_gate(GETPID, 1, 2, 3, 4, 5, 6) == int80(GETPID, 0, 0, 0));
}

typedef int (*clock_function)(int clock, void *time);

static int earlier_or_same(const wide *left, const wide *right)
{
    return left[0] < right[0] || (left[0] == right[0] && left[1] <= right[1]);
}

static void clocks(void)
{
    static const int known[] = {0, 1, 4, 5, 6, 7, 11}, other[] = {10, 12, 32, -1};
    clock_function get64 = (clock_function)find("__vdso_clock_gettime64", "LINUX_2.6");
    clock_function get32 = (clock_function)find("__vdso_clock_gettime", "LINUX_2.6");
    clock_function res32 = (clock_function)find("__vdso_clock_getres", "LINUX_2.6");
    check(30, get64 && get32 && res32);
    for (int i = 0; i < 7; i++) {
        wide before[2], between[2], after[2];
        int small[2] = {-1, -1}, kernels[2] = {-2, -2};
        check(31, get64(known[i], before) == 0);
        check(32, int80(CLOCK_GETTIME64, known[i], (long)between, 0) == 0);
        check(33, get64(known[i], after) == 0);
        check(34, earlier_or_same(before, between) && earlier_or_same(between, after));
        check(35, after[0] - before[0] < 2 && after[1] >= 0 && after[1] < 1000000000);
        check(36, get32(known[i], small) == 0);
        check(37, small[0] - (int)after[0] < 2 && small[1] >= 0 && small[1] < 1000000000);
        check(38, res32(known[i], small) == 0 && res32(known[i], 0) == 0);
        check(39, int80(CLOCK_GETRES, known[i], (long)kernels, 0) == 0);
        check(40, small[0] == kernels[0] && small[1] == kernels[1]);
    }
    for (int i = 0; i < 4; i++) {
        wide time[2];
        check(41, get64(other[i], time) == -22 && get32(other[i], time) == -22);
    }
    wide cpu_time[2];
    check(42, get64(2, cpu_time) == 0 && get32(3, cpu_time) == 0);

    int (*timeofday)(int *, int *) = (void *)find("__vdso_gettimeofday", "LINUX_2.6");
    int (*seconds)(int *) = (void *)find("__vdso_time", "LINUX_2.6");
    int (*getcpu)(word *, word *, void *) = (void *)find("__vdso_getcpu", "LINUX_2.6");
    check(50, timeofday && seconds);
    int now[2], value[2], zone[2] = {1, 1}, stored = 0;
    check(51, int80(CLOCK_GETTIME, 0, (long)now, 0) == 0);
    check(52, timeofday(value, zone) == 0 && timeofday(0, 0) == 0);
    check(53, value[0] - now[0] < 2 && value[0] >= now[0] && value[1] < 1000000);
    check(54, seconds(&stored) == stored && stored - now[0] < 2 && seconds(0) >= stored);
    word cpu = 9999, node = 9999;
    /* Linux has it since 6.7. */
    check(55, !getcpu || (getcpu(&cpu, &node, 0) == 0 && cpu < 4096 && node < 1024));
}

__attribute__((used)) void start(long *stack)
{
    long argc = stack[0];
    const char *argument = argc > 1 ? (const char *)stack[2] : 0;
    word *at = (word *)(stack + argc + 2);
    while (*at++)
        ;
    for (; at[0]; at += 2) {
        if (at[0] == AT_SYSINFO)
            gate = at[1];
        if (at[0] == AT_SYSINFO_EHDR)
            base = at[1];
    }
    check(1, gate && base);
    read_image();
    if (argument && argument[0] > '9') {
        moves(argument);
        int80(EXIT, 0, 0, 0);
    }
    if (argument) {
        clock_function get64 = (clock_function)find("__vdso_clock_gettime64", "LINUX_2.6");
        wide time[2];
        int count = 0;
        while (*argument)
            count = count * 10 + *argument++ - '0';
        while (count--)
            get64(1, time);
        int80(EXIT, 0, 0, 0);
    }
    check(5, find("__kernel_vsyscall", "LINUX_2.5") == gate);
    check(6, find("__kernel_sigreturn", "LINUX_2.5") != 0);
    check(7, find("__kernel_rt_sigreturn", "LINUX_2.5") != 0);
    check(8, find("__kernel_vsyscall", "LINUX_2.6") == 0);
    calls();
    clocks();
    int80(EXIT, 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %esp, %eax\n push %eax\n call start\n");
