/* Allocates, grows, shrinks and frees blocks of all sizes for a while, and
 * checks that each keeps its bytes. `malloc-stress [steps]` */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 257 };

static struct {
    unsigned char *bytes;
    size_t size;
    unsigned char mark;
} slots[SLOTS];

/* xorshift: the same everywhere. */
static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Mostly small, now and then beyond what malloc takes from the heap. */
static size_t some_size(void)
{
    uint64_t kind = next() % 100;
    if (kind < 80)
        return 1 + next() % 512;
    if (kind < 98)
        return 1 + next() % 20000;
    return 1 + next() % 2000000;
}

static int holds(size_t slot, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (slots[slot].bytes[i] != slots[slot].mark)
            return 0;
    return 1;
}

static int fail(const char *what, long step)
{
    printf("step %ld: %s\n", step, what);
    return 1;
}

int main(int argc, char **argv)
{
    long steps = argc > 1 ? atol(argv[1]) : 20000;
    unsigned long allocated = 0, grown = 0, freed = 0;
    for (long step = 0; step < steps; step++) {
        size_t slot = next() % SLOTS, size = some_size();
        unsigned char *bytes;
        if (!slots[slot].bytes) {
            bytes = next() % 2 ? malloc(size) : calloc(1, size);
            allocated++;
        } else if (next() % 3 == 0) {
            size_t kept = size < slots[slot].size ? size : slots[slot].size;
            bytes = realloc(slots[slot].bytes, size);
            if (!bytes)
                return fail("realloc failed", step);
            slots[slot].bytes = bytes;
            if (!holds(slot, kept))
                return fail("realloc lost bytes", step);
            grown++;
        } else {
            if (!holds(slot, slots[slot].size))
                return fail("a block lost bytes", step);
            free(slots[slot].bytes);
            slots[slot].bytes = NULL;
            freed++;
            continue;
        }
        if (!bytes)
            return fail("no memory", step);
        slots[slot].bytes = bytes;
        slots[slot].size = size;
        slots[slot].mark = (unsigned char)next();
        memset(bytes, slots[slot].mark, size);
    }
    size_t length = 1 << 20;
    unsigned char *zero = calloc(length, 1);
    for (size_t i = 0; zero && i < length; i++)
        if (zero[i])
            return fail("calloc is not zero", steps);
    free(zero);
    printf("%lu allocated, %lu resized, %lu freed\n", allocated, grown, freed);
    return zero ? 0 : 1;
}
