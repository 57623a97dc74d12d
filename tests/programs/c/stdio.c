/* Standard input by C's library.
 *
 *   stdio          numbers the lines (fgets, printf)
 *   stdio bytes    copies the bytes (fread, fwrite), sums on standard error
 *   stdio words    counts words (getc) */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static int lines(void)
{
    char line[100];
    unsigned long number = 0;
    int fresh = 1;
    while (fgets(line, sizeof line, stdin)) {
        if (fresh)
            printf("%6lu\t", ++number);
        fputs(line, stdout);
        fresh = strchr(line, '\n') != NULL;
    }
    fprintf(stderr, "%lu lines\n", number);
    return 0;
}

static int bytes(void)
{
    static unsigned char chunk[1000];
    static char buffer[3001];
    unsigned long total = 0, sum = 0;
    size_t count;
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    while ((count = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
        for (size_t i = 0; i < count; i++)
            sum = (sum * 31 + chunk[i]) % 1000000007;
        total += count;
        if (fwrite(chunk, 1, count, stdout) != count)
            return 1;
    }
    fprintf(stderr, "%lu bytes, sum %lu\n", total, sum);
    return 0;
}

static int words(void)
{
    unsigned long count = 0;
    int inside = 0, c;
    while ((c = getc(stdin)) != EOF) {
        if (isspace(c)) {
            inside = 0;
        } else {
            count += !inside;
            inside = 1;
        }
    }
    printf("%lu words\n", count);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "lines";
    int status = !strcmp(mode, "bytes") ? bytes() : !strcmp(mode, "words") ? words() : lines();
    return status || ferror(stdin) || fflush(stdout) != 0;
}
