/* What a small C program does before it gets to its work: printf, arguments,
 * environment, malloc, qsort, floating point, setjmp. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_length_then_text(const void *a, const void *b)
{
    const char *left = *(const char *const *)a, *right = *(const char *const *)b;
    size_t l = strlen(left), r = strlen(right);
    return l != r ? (l < r ? -1 : 1) : strcmp(left, right);
}

static jmp_buf back;
static volatile int armed = 1; /* so that gcc sees a way out of the recursion */

static void deep(int depth)
{
    if (depth > 0)
        deep(depth - 1);
    else if (armed)
        longjmp(back, 42);
}

/* Newton's method: no need for libm. */
static double root(double square)
{
    double guess = square;
    for (int i = 0; i < 40; i++)
        guess = (guess + square / guess) / 2;
    return guess;
}

int main(int argc, char **argv)
{
    printf("Hello from C, with %d arguments\n", argc - 1);
    char **sorted = malloc(sizeof *sorted * (size_t)argc);
    if (!sorted)
        return 1;
    for (int i = 1; i < argc; i++)
        sorted[i - 1] = argv[i];
    qsort(sorted, (size_t)argc - 1, sizeof *sorted, by_length_then_text);
    for (int i = 0; i < argc - 1; i++)
        printf("argument, sorted: %s\n", sorted[i]);
    free(sorted);

    const char *name = getenv("NAME");
    printf("NAME is %s\n", name ? name : "not set");
    setenv("NAME", "changed", 1);
    printf("NAME is %s\n", getenv("NAME"));

    uint64_t sum = 0;
    size_t count = 1000000;
    uint32_t *numbers = calloc(count, sizeof *numbers);
    if (!numbers)
        return 1;
    for (size_t i = 0; i < count; i++)
        numbers[i] += (uint32_t)(i * i % 1009);
    for (size_t i = 0; i < count; i++)
        sum += numbers[i];
    free(numbers);
    printf("a sum: %" PRIu64 "\n", sum);

    printf("doubles: %.15f %e %g %a\n", root(2), 1e300 * 1e10, 1.0 / 3, 0.1);
    printf("long double: %.18Lf\n", 2.0L / 3);
    printf("infinite: %f, rounded: %.0f %.0f\n", 1e308 * root(1e20), 0.5, 1.5);
    printf("hexadecimal: %#x, padded: [%8.3f] [%-8d]\n", 0xbeef, 3.14159, 17);

    int value = setjmp(back);
    if (value == 0)
        deep(100);
    printf("longjmp brought %d\n", value);
    fprintf(stderr, "to standard error\n");
    return fflush(stdout) == 0 ? 0 : 1;
}
