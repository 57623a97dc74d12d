/* What the calls on files answer, a line a case: the case as it is written here, and
 * its result or its error. All of it happens in a directory of its own in /dev/shm,
 * which is a tmpfs natively, too. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What not every C library has a header for. */
struct how {
    unsigned long long flags, mode, resolve;
};
enum { NO_XDEV = 1, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 16 };
struct status {
    unsigned mask, words[3], nlink, owners[2];
    unsigned short mode, spare;
    unsigned long long ino, size, rest[26];
};

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SEEK_DATA
#define SEEK_DATA 3
#define SEEK_HOLE 4
#endif

static void say(const char *what, long result)
{
    if (result == -1)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, result);
}

/* A case: the call, and what came of it. */
#define T(call) (errno = 0, say(#call, (long)(call)))

/* The same of a call that answers a descriptor, which is closed again. */
static void say_open(const char *what, int fd)
{
    say(what, fd < 0 ? -1 : 0);
    if (fd >= 0)
        close(fd);
}
#define O(call) (errno = 0, say_open(#call, (call)))

static void show(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        printf("  %s: %s\n", path, strerror(errno));
        return;
    }
    printf("  %s: mode %o links %ld size %ld blocks %ld\n", path, st.st_mode,
           (long)st.st_nlink, (long)st.st_size, (long)st.st_blocks);
}

static int make(const char *path, const char *content)
{
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0644);
    if (fd >= 0 && write(fd, content, strlen(content)) < 0)
        say("write", -1);
    return fd < 0 ? -1 : close(fd);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path)
{
    char *names[256];
    int count = 0;
    DIR *dir = opendir(path);
    struct dirent *entry;
    if (!dir) {
        printf("  %s: %s\n", path, strerror(errno));
        return;
    }
    while ((entry = readdir(dir)) && count < 256) {
        char line[300];
        snprintf(line, sizeof line, "%s (%d)", entry->d_name, entry->d_type);
        names[count++] = strdup(line);
    }
    closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    printf("  %s:", path);
    for (int i = 0; i < count; i++) {
        printf(" %s", names[i]);
        free(names[i]);
    }
    printf("\n");
}

/* What a compiler had better not know. */
static void *volatile bad[] = {(void *)1, (void *)-1l};
static volatile int negative = -1, many = 1025;

static char long_name[300], long_path[5000];

static void opening(void)
{
    T(make("file", "hello"));
    T(mkdir("dir", 0755));
    T(symlink("file", "link"));
    T(symlink("none", "dangling"));
    T(symlink("loop", "loop"));
    T(symlink("dir", "dirlink"));
    O(open("none", O_RDONLY));
    O(open("", O_RDONLY));
    O(open(NULL, O_RDONLY));
    O(open("file", O_RDONLY));
    O(open("file/", O_RDONLY));
    O(open("file/x", O_RDONLY));
    O(open("none/x", O_RDONLY));
    O(open("none/x", O_CREAT | O_RDWR, 0644));
    O(open("new/", O_CREAT | O_RDWR, 0644));
    O(open("file", O_CREAT | O_EXCL, 0644));
    O(open("dir", O_CREAT | O_EXCL, 0644));
    O(open("link", O_CREAT | O_EXCL, 0644));
    O(open("dangling", O_CREAT | O_EXCL, 0644));
    O(open("dir", O_CREAT, 0644));
    O(open("dir/", O_CREAT, 0644));
    O(open("dir/.", O_CREAT, 0644));
    O(open("dir/..", O_CREAT | O_EXCL, 0644));
    O(open("dir", O_RDWR));
    O(open("dir", O_WRONLY));
    O(open("dir", O_RDONLY | O_TRUNC));
    O(open("dir", O_RDONLY | O_DIRECTORY));
    O(open("file", O_RDONLY | O_DIRECTORY));
    O(open("link", O_RDONLY | O_DIRECTORY));
    O(open("link", O_RDONLY | O_NOFOLLOW));
    O(open("link", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    O(open("link", O_PATH | O_NOFOLLOW));
    O(open("dirlink/", O_RDONLY | O_NOFOLLOW));
    O(open("dangling", O_RDONLY));
    O(open("loop", O_RDONLY));
    O(open("loop/x", O_RDONLY));
    O(open("file", O_RDONLY | O_NOATIME));
    O(open(".", O_TMPFILE | O_RDONLY, 0600));
    O(open(".", O_TMPFILE | O_RDWR, 0600));
    O(open("file", O_TMPFILE | O_RDWR, 0600));
    O(open("none", O_TMPFILE | O_RDWR, 0600));
    O(open(long_name, O_RDONLY));
    O(open(long_name, O_CREAT | O_RDWR, 0644));
    O(open(long_path, O_RDONLY));
    O(open("/", O_RDONLY));
    O(open("/", O_CREAT, 0644));
    O(open("/dev/null", O_RDWR));
    O(open("/dev/null/", O_RDWR));
    O(openat(-1, "file", O_RDONLY));
    O(openat(-1, "/dev/null", O_RDONLY));
    O(openat(0, "file", O_RDONLY));
    O(openat(999, "file", O_RDONLY));
    O(creat("file", 0644));
    show("file");
    int dir = open("dir", O_RDONLY | O_DIRECTORY);
    O(openat(dir, "../file", O_RDONLY));
    O(openat(dir, "in", O_CREAT | O_RDWR, 0600));
    O(openat(dir, "", O_RDONLY));
    struct how how = {.flags = O_RDONLY, .resolve = BENEATH};
#define O2(path) O(syscall(SYS_openat2, dir, path, &how, sizeof how))
    O2("../file");
    O2("in");
    O2("./../dir/in");
    O2("/dev/null");
    how.resolve = IN_ROOT;
    O2("../in");
    O2("/in");
    O2("/../../in");
    O2("/dev/null");
    how.resolve = NO_SYMLINKS;
    O2("../link");
    O2("../file");
    how.resolve = NO_XDEV;
    O2("/dev/shm");
    O2("../dir/in");
    how.resolve = 1 << 20;
    O2("in");
    how.resolve = 0;
    how.mode = 0644;
    O2("in");
    how.mode = 0;
    how.flags = O_PATH | O_RDWR;
    O2("in");
    how.flags = 1ull << 40;
    O2("in");
    how.flags = O_CREAT | O_DIRECTORY;
    O2("in2");
    O(syscall(SYS_openat2, dir, "in", &how, 8));
    O(syscall(SYS_openat2, dir, "in", &how, 5000));
    O(syscall(SYS_openat2, dir, "in", NULL, sizeof how));
    close(dir);
    list(".");
    list("dir");
}

static void walking(void)
{
    struct stat st;
    char path[32], buffer[256];
    T(stat("link", &st));
    T(stat("dangling", &st));
    T(stat("loop", &st));
    T(stat("loop/", &st));
    T(lstat("loop", &st));
    T(lstat("loop/", &st));
    T(lstat("link/", &st));
    T(lstat("dirlink/", &st));
    T(stat("dir/./../dir//in", &st));
    T(stat("file/.", &st));
    T(stat("file/..", &st));
    T(stat("dir/in/..", &st));
    T(syscall(SYS_stat, ".", NULL));
    T(syscall(SYS_stat, NULL, &st));
    T(make("n0", "x"));
    for (int i = 1; i <= 41; i++) {
        snprintf(buffer, sizeof buffer, "n%d", i - 1);
        snprintf(path, sizeof path, "n%d", i);
        if (symlink(buffer, path) < 0)
            say("symlink", -1);
    }
    T(stat("n40", &st));
    T(stat("n41", &st));
    for (int i = 0; i <= 41; i++) {
        snprintf(path, sizeof path, "n%d", i);
        unlink(path);
    }
    T(readlink("link", buffer, sizeof buffer));
    T(readlink("link", buffer, 2));
    T(readlink("link", buffer, 0));
    T(readlink("file", buffer, 100));
    T(readlink("none", buffer, 100));
    T(readlink("link/", buffer, 100));
    T(access("file", F_OK));
    T(access("file", R_OK | W_OK));
    T(access("file", X_OK));
    T(access("dir", X_OK));
    T(access("file", 8));
    T(access("none", F_OK));
    T(access("dangling", F_OK));
    T(syscall(SYS_faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
    T(syscall(SYS_faccessat2, AT_FDCWD, "file", F_OK, 1));
    int fd = open("dir", O_RDONLY), file = open("dir/in", O_RDONLY), place = open("dir/in", O_PATH);
    T(fstatat(fd, "in", &st, 0));
    T(fstatat(fd, "", &st, 0));
    T(fstatat(fd, "", &st, AT_EMPTY_PATH));
    T(fstatat(file, "", &st, AT_EMPTY_PATH));
    T(fstatat(file, "x", &st, 0));
    T(fstatat(place, "", &st, AT_EMPTY_PATH));
    T(fstatat(fd, "in", &st, 0x80000));
    T(fstat(place, &st));
    T(read(place, buffer, 1));
    T(syscall(SYS_fchmod, place, 0600));
    T(fsync(place));
    T(lseek(place, 0, SEEK_SET));
    T(fcntl(place, F_GETFL) & (O_PATH | O_ACCMODE));
    T(fcntl(place, F_SETFL, O_APPEND));
    T(fchdir(place));
    T(fchdir(file));
    T(fchdir(fd));
    T(stat("in", &st));
    T(chdir(".."));
    T(chdir("file"));
    T(chdir("none"));
    T(chdir(""));
    struct status sx;
#define X(path, flags, mask) T(syscall(SYS_statx, AT_FDCWD, path, flags, mask, &sx))
    X("file", 0, 0x7ff);
    printf("  %x %o %u %lld\n", sx.mask & 0x7ff, sx.mode, sx.nlink, sx.size);
    X("file", 0x80000, 0);
    X("file", 0, 0x80000000u);
    X("", 0, 0);
    X("", AT_EMPTY_PATH, 0);
    T(syscall(SYS_getcwd, buffer, 1));
    T(syscall(SYS_getcwd, buffer, 0));
    close(fd), close(file), close(place);
}

static void reading(void)
{
    char b[8192];
    memset(b, 0, sizeof b);
    int fd = open("data", O_CREAT | O_RDWR | O_TRUNC, 0644);
    int reads = open("data", O_RDONLY), writes = open("data", O_WRONLY);
    T(write(fd, "hello world", 11));
    T(lseek(fd, 0, SEEK_CUR));
    T(lseek(fd, -5, SEEK_END));
    T(read(fd, b, 100));
    T(memcmp(b, "world", 5));
    T(read(fd, b, 100));
    T(lseek(fd, -100, SEEK_CUR));
    T(lseek(fd, -1, SEEK_SET));
    T(lseek(fd, 0, 99));
    T(lseek(fd, 1ll << 62, SEEK_SET));
    T(lseek(fd, 1ll << 62, SEEK_CUR));
    T(read(fd, b, 1));
    T(lseek(fd, 0, SEEK_SET));
    T(read(reads, b, 5));
    T(write(reads, b, 5));
    T(read(writes, b, 5));
    T(pread(fd, b, 5, 6));
    T(pread(fd, b, 5, -1));
    T(pread(fd, b, 5, 1ll << 62));
    T(pwrite(fd, "W", 1, 6));
    T(pwrite(fd, "W", 1, -1));
    T(pwrite(fd, "end", 3, 10000));
    show("data");
    T(pread(fd, b, 8192, 8000));
    T(b[100] == 0 && b[2000] == 'e');
    T(lseek(fd, 0, SEEK_DATA));
    T(lseek(fd, 5000, SEEK_DATA));
    T(lseek(fd, 0, SEEK_HOLE));
    T(lseek(fd, 8192, SEEK_HOLE));
    T(lseek(fd, 10003, SEEK_DATA));
    T(lseek(fd, 10003, SEEK_HOLE));
    T(lseek(fd, -1, SEEK_DATA));
    T(read(fd, bad[0], 10));
    T(pread(fd, bad[0], 10, 0));
    T(write(fd, bad[0], 10));
    T(pwrite(fd, bad[0], 0, 0));
    T(read(fd, bad[1], 10));
    struct iovec v[3] = {{b, 4}, {b + 100, 0}, {b + 8, 4}};
    T(preadv(fd, v, 3, 0));
    T(memcmp(b, "hell", 4) == 0 && memcmp(b + 8, "o Wo", 4) == 0);
    T(pwritev(fd, v, 3, 20));
    T(preadv(fd, v, negative, 0));
    T(preadv(fd, v, many, 0));
    T(preadv(fd, v, 0, 0));
    v[1].iov_base = bad[0], v[1].iov_len = 3;
    T(preadv(fd, v, 3, 0));
    T(ftruncate(fd, 5));
    T(ftruncate(fd, 8192));
    T(pread(fd, b, 20, 0));
    T(memcmp(b, "hello\0\0\0\0", 9));
    show("data");
    T(ftruncate(fd, -1));
    T(ftruncate(reads, 5));
    T(truncate("data", 3));
    T(truncate("data", -3));
    T(truncate("dir", 3));
    T(truncate("none", 3));
    T(truncate("link", 3));
    show("data");
    int append = open("data", O_WRONLY | O_APPEND);
    T(write(append, "XY", 2));
    T(pwrite(append, "Z", 1, 0));
    T(lseek(append, 0, SEEK_CUR));
    T(fcntl(append, F_GETFL) & (O_APPEND | O_ACCMODE));
    T(fcntl(append, F_SETFL, 0));
    T(write(append, "Q", 1));
    int copy = dup(fd);
    T(lseek(fd, 2, SEEK_SET));
    T(lseek(copy, 0, SEEK_CUR));
    T(read(open("dir", O_RDONLY), b, 5));
    T(fsync(fd));
    T(fdatasync(fd));
    T(syncfs(fd));
    T(fallocate(fd, 0, 0, 20000));
    show("data");
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4000, 5000));
    show("data");
    T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 20000, 10000));
    show("data");
    T(fallocate(fd, 0, 0, 0));
    T(fallocate(fd, 0, -1, 10));
    T(fallocate(reads, 0, 0, 10));
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
    T(fallocate(fd, 0, 0x7fffffffffffffffll, 1));
    T(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
    T(posix_fadvise(fd, 0, 0, 77));
    T(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL));
    T(readahead(fd, 0, 100));
    T(readahead(writes, 0, 100));
    int to = open("copied", O_CREAT | O_RDWR | O_TRUNC, 0644);
    off_t from = 1;
    T(sendfile(to, fd, &from, 10));
    T(from);
    loff_t in = 0, out = 100;
    T(syscall(SYS_copy_file_range, fd, &in, to, &out, 50, 0));
    T(in * 1000 + out);
    T(syscall(SYS_copy_file_range, fd, &in, fd, &in, 50, 0));
    T(syscall(SYS_copy_file_range, writes, &in, to, &out, 50, 0));
    T(syscall(SYS_copy_file_range, fd, &in, to, &out, 50, 1));
    show("copied");
    T(syscall(SYS_close_range, copy, copy, 0));
    T(fcntl(copy, F_GETFD));
    T(syscall(SYS_close_range, 5, 3, 0));
    close(fd), close(reads), close(writes), close(append), close(to);
}

static void names(void)
{
    T(mkdir("d", 0755));
    T(mkdir("d", 0755));
    T(mkdir("d/", 0755));
    T(mkdir("d/e/", 0755));
    T(mkdir("none/e", 0755));
    T(mkdir("file/e", 0755));
    T(mkdir("dangling", 0755));
    T(mkdir("dangling/", 0755));
    T(mkdir("", 0755));
    T(mkdir(".", 0755));
    T(mkdir("d/..", 0755));
    T(mkdir(long_name, 0755));
    T(mkdir("sticky", 07777));
    show("sticky"), show("d");
    T(rmdir("d"));
    T(rmdir("d/e/."));
    T(rmdir("d/e/.."));
    T(rmdir("file"));
    T(rmdir("dirlink"));
    T(rmdir("dirlink/"));
    T(rmdir("none"));
    T(rmdir("/"));
    T(rmdir("/dev/shm"));
    T(unlink("d"));
    T(unlink("d/"));
    T(unlink("file/"));
    T(unlink("none/"));
    T(unlink("none"));
    T(unlink("link/"));
    T(unlink("dirlink/"));
    T(unlink("."));
    T(unlinkat(AT_FDCWD, "d/e", 0));
    T(unlinkat(AT_FDCWD, "d/e", 1));
    T(unlinkat(AT_FDCWD, "d/e", AT_REMOVEDIR));
    show("d");
    T(link("file", "d/hard"));
    T(link("file", "d/hard"));
    T(link("d", "d2"));
    T(link("none", "d2"));
    T(link("link", "linklink"));
    T(link("file", "x/"));
    T(link("file", "/dev/x"));
    T(linkat(AT_FDCWD, "link", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
    T(linkat(AT_FDCWD, "file", AT_FDCWD, "x", 1));
    show("file"), show("linklink"), show("followed");
    T(symlink("", "x"));
    T(symlink("x", "file"));
    T(symlink("x", "y/"));
    T(symlink(long_path, "y"));
    T(mknod("fifo", S_IFIFO | 0644, 0));
    T(mknod("sock", S_IFSOCK | 0644, 0));
    T(mknod("reg", S_IFREG | 0600, 0));
    T(mknod("zero", 0600, 0));
    T(mknod("bad", S_IFDIR | 0600, 0));
    T(mknod("bad", 030600, 0));
    T(mknod("fifo", S_IFIFO | 0644, 0));
    show("fifo"), show("sock"), show("reg"), show("zero");
    O(open("sock", O_RDWR));
    T(make("a", "a"));
    T(make("b", "bb"));
    T(mkdir("m", 0755));
    T(mkdir("m/sub", 0755));
    T(mkdir("empty", 0755));
    T(rename("a", "b"));
    show("a"), show("b");
    T(rename("b", "b"));
    T(rename("none", "b"));
    T(rename("b", "m"));
    T(rename("m", "b"));
    T(rename("m", "m/sub/x"));
    T(rename("m/sub", "m"));
    T(rename("empty", "m"));
    T(rename("m", "empty"));
    show("empty"), show("m");
    T(rename("b/", "c"));
    T(rename("b", "c/"));
    T(rename("empty/", "moved/"));
    T(rename("b", "."));
    T(rename("moved/.", "x"));
    T(rename("moved", "/dev/x"));
    T(rename("b", "none/x"));
    T(rename("b", "file/x"));
    T(rename("followed", "file"));
    show("followed");
    T(rename("link", "renamed"));
    show("renamed");
    T(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "file", RENAME_NOREPLACE));
    T(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "fresh", RENAME_NOREPLACE));
    T(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "moved", RENAME_EXCHANGE));
    show("fresh"), show("moved");
    T(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "none", RENAME_EXCHANGE));
    T(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "fresh/sub/x", RENAME_EXCHANGE));
    T(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "fresh/sub", RENAME_EXCHANGE));
    T(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "x", 3));
    T(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "x", 99));
    list("."), list("fresh"), list("d");
    /* What is removed and still held. */
    int fd = open("held", O_CREAT | O_RDWR, 0600);
    T(unlink("held"));
    T(write(fd, "abc", 3));
    struct stat st;
    T(fstat(fd, &st));
    T(st.st_nlink);
    T(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
    close(fd);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    T(write(fd, "abc", 3));
    T(linkat(fd, "", AT_FDCWD, "born", AT_EMPTY_PATH));
    show("born");
    close(fd);
    T(mkdir("gone", 0755));
    T(chdir("gone"));
    T(rmdir("../gone"));
    char buffer[300];
    T(syscall(SYS_getcwd, buffer, sizeof buffer));
    T(make("x", "x"));
    T(mkdir("x", 0755));
    T(stat("..", &st));
    T(st.st_nlink);
    T(stat(".", &st));
    T(st.st_nlink);
    T(rename("../file", "x"));
    T(link("../file", "x"));
    list(".");
    T(chdir(".."));
}

static void attributes(void)
{
    struct stat st;
    T(chmod("file", 0751));
    show("file");
    T(chmod("file", 0107777));
    show("file");
    T(chmod("none", 0644));
    T(chmod("dangling", 0644));
    T(fchmodat(AT_FDCWD, "file", 0644, 0));
    T(chown("file", -1, -1));
    T(chown("none", -1, -1));
    T(lchown("dangling", -1, -1));
    T(chmod("file", 06755));
    T(chown("file", getuid(), getgid()));
    show("file");
    struct timespec t[2] = {{1, 2}, {3, 4}};
    T(utimensat(AT_FDCWD, "file", t, 0));
    stat("file", &st);
    printf("  %ld %ld %ld %ld\n", (long)st.st_atim.tv_sec, (long)st.st_atim.tv_nsec,
           (long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
    t[0].tv_nsec = UTIME_OMIT, t[1].tv_sec = -7;
    T(utimensat(AT_FDCWD, "file", t, 0));
    stat("file", &st);
    printf("  %ld %ld\n", (long)st.st_atim.tv_sec, (long)st.st_mtim.tv_sec);
    t[0].tv_nsec = 1000000000;
    T(utimensat(AT_FDCWD, "file", t, 0));
    T(utimensat(AT_FDCWD, "none", t, 0));
    t[0].tv_nsec = UTIME_OMIT, t[1].tv_nsec = UTIME_OMIT;
    T(utimensat(AT_FDCWD, "none", t, 0));
    T(utimensat(AT_FDCWD, "file", NULL, 1));
    int fd = open("file", O_RDWR);
    T(futimens(fd, NULL));
    T(syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, 0));
    struct timeval tv[2] = {{5, 6}, {7, 8}};
    T(utimes("file", tv));
    tv[0].tv_usec = 1000000;
    T(utimes("file", tv));
    T(utimes("none", tv));
    T(getxattr("none", "user.x", NULL, 0));
    T(listxattr("file", NULL, 0));
    struct statfs sf;
    T(statfs("file", &sf));
    T(statfs("none", &sf));
    T(sf.f_namelen);
    T(fstatfs(fd, &sf));
    T(umask(077));
    T(make("masked", ""));
    show("masked");
    T(mkdir("maskeddir", 0777));
    show("maskeddir");
    T(umask(022));
    close(fd);
}

static void locking(void)
{
    int one = open("data", O_RDWR), other = open("data", O_RDWR), reads = open("data", O_RDONLY);
    T(flock(one, LOCK_SH | LOCK_NB));
    T(flock(other, LOCK_SH | LOCK_NB));
    T(flock(other, LOCK_EX | LOCK_NB));
    T(flock(one, LOCK_UN));
    T(flock(other, LOCK_EX | LOCK_NB));
    T(flock(one, LOCK_SH | LOCK_NB));
    T(flock(one, 9));
    T(close(other));
    T(flock(one, LOCK_SH | LOCK_NB));
    struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
    T(fcntl(one, F_SETLK, &l));
    T(fcntl(reads, F_SETLK, &l));
    l.l_type = F_RDLCK, l.l_start = 15, l.l_len = 1;
    T(fcntl(reads, F_OFD_SETLK, &l));
    l.l_start = 30;
    T(fcntl(reads, F_OFD_SETLK, &l));
    l.l_type = F_WRLCK, l.l_start = 0, l.l_len = 0;
    T(fcntl(one, F_GETLK, &l));
    printf("  %d %ld %ld %d\n", l.l_type, (long)l.l_start, (long)l.l_len, (int)l.l_pid);
    l.l_type = F_WRLCK, l.l_start = -1, l.l_len = 0, l.l_pid = 0;
    T(fcntl(one, F_SETLK, &l));
    l.l_start = 20, l.l_len = -5;
    T(fcntl(one, F_SETLK, &l));
    l.l_start = 2, l.l_len = -5;
    T(fcntl(one, F_SETLK, &l));
    l.l_type = 9;
    T(fcntl(one, F_SETLK, &l));
    close(one), close(reads);
}

/* A directory is read while it changes: what stays is seen once. */
static void listing(void)
{
    char path[64];
    int seen[500] = {0}, wrong = 0;
    T(mkdir("many", 0755));
    for (int i = 0; i < 400; i++) {
        snprintf(path, sizeof path, "many/file-%d", i);
        if (make(path, "") < 0)
            say("make", -1);
    }
    show("many");
    DIR *dir = opendir("many");
    struct dirent *entry;
    int count = 0;
    while ((entry = readdir(dir))) {
        int number;
        if (sscanf(entry->d_name, "file-%d", &number) != 1)
            continue;
        seen[number]++;
        count++;
        snprintf(path, sizeof path, "many/file-%d", number);
        if (number % 3 == 0)
            unlink(path);
    }
    for (int i = 0; i < 400; i++)
        wrong += seen[i] != 1;
    closedir(dir);
    T(count), T(wrong);
    show("many");
    int fd = open("many", O_RDONLY);
    char b[64];
    T(syscall(SYS_getdents64, fd, b, 10));
    T(syscall(SYS_getdents64, fd, b, 24));
    T(syscall(SYS_getdents64, fd, bad[0], 1000));
    T(lseek(fd, 0, SEEK_SET));
    close(fd);
    T(syscall(SYS_getdents64, 999, b, 64));
    fd = open("file", O_RDONLY);
    T(syscall(SYS_getdents64, fd, b, 64));
    close(fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

int main(void)
{
    char directory[] = "/dev/shm/trapgate-XXXXXX";
    memset(long_name, 'n', sizeof long_name - 1);
    memset(long_path, '/', sizeof long_path - 1);
    umask(022);
    if (!mkdtemp(directory) || chdir(directory) < 0) {
        perror(directory);
        return 1;
    }
    opening(), walking(), reading(), names(), attributes(), locking(), listing();
    if (chdir("/") < 0 || nftw(directory, remove_one, 20, FTW_DEPTH | FTW_PHYS) < 0)
        perror("it is left behind");
    return 0;
}
