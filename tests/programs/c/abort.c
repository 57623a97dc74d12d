/* An assertion that fails: a message on standard error, death by SIGABRT. */
#include <assert.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    (void)argv;
    printf("before\n");
    fflush(stdout);
    assert(argc == 0);
    printf("after\n");
    return 0;
}
