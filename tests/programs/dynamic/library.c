/*
 * What a dynamic C program asks of the C library and its loader: libraries that it is
 * linked with and one that it opens itself, files by stdio and below it, directories,
 * mappings, locales, time, threads' variables, jumps. It leaves files in /tmp.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <link.h>
#include <locale.h>
#include <math.h>
#include <regex.h>
#include <search.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

static __thread int of_this_thread = 7;
static jmp_buf back;

static void must(int holds, const char *what)
{
	if (!holds) {
		printf("FAILED: %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

__attribute__((constructor)) static void begin(void)
{
	of_this_thread += 35;
}

static int count(struct dl_phdr_info *info, size_t size, void *data)
{
	*(int *)data += info->dlpi_phnum > 0 && size > 0;
	return 0;
}

static void loader(void)
{
	int objects = 0;
	char *error;
	double (*cosine)(double);
	void *libm;

	printf("bits %zu, secure %lu, thread's %d\n", 8 * sizeof(void *), getauxval(AT_SECURE),
	       of_this_thread);
	dl_iterate_phdr(count, &objects);
	printf("several objects %d\n", objects > 2);
	libm = dlopen("libm.so.6", RTLD_NOW);
	must(libm != NULL, "dlopen");
	*(void **)&cosine = dlsym(libm, "cos");
	must(cosine != NULL, "dlsym");
	printf("cos 1 = %.15f\n", cosine(1));
	must(dlclose(libm) == 0, "dlclose");
	must(dlopen("libnowhere.so.1", RTLD_LAZY) == NULL, "no such library");
	error = dlerror();
	printf("%s\n", error);
	printf("%d\n", dlsym(RTLD_DEFAULT, "no such symbol") == NULL);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void texts(void)
{
	char *words[] = {"pear", "fig", "apple", "Quince", "damson"};
	regmatch_t match[2];
	regex_t regex;
	wchar_t wide[8];

	qsort(words, 5, sizeof *words, compare);
	for (int i = 0; i < 5; i++)
		printf("%s%c", words[i], i < 4 ? ' ' : '\n');
	must(regcomp(&regex, "f(.g)", REG_EXTENDED) == 0, "regcomp");
	must(regexec(&regex, "a fig", 2, match, 0) == 0, "regexec");
	printf("at %d, fnmatch %d\n", (int)match[1].rm_so, fnmatch("*.[ch]", "x.c", 0));
	regfree(&regex);
	printf("%s %a %Lg %.3f\n", setlocale(LC_ALL, "C.UTF-8"), 0.1, strtold("1e-300", NULL),
	       strtod("0x1.8p3", NULL));
	printf("%zu wide\n", mbstowcs(wide, "\u20ac\u00df", 8));
	for (int error = 1; error < 41; error += 13)
		printf("%s\n", strerror(error));
}

static void times(void)
{
	time_t then = 1709208000;
	char text[64];
	struct tm tm;

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	localtime_r(&then, &tm);
	strftime(text, sizeof text, "%A %F %T %Z %j", &tm);
	printf("%s, clock runs %d\n", text, time(NULL) > then);
}

static void files(void)
{
	char template[] = "/tmp/XXXXXX", line[64], *grown = NULL;
	struct iovec pieces[2] = {{"two ", 4}, {"pieces\n", 7}};
	struct dirent **names;
	struct stat status;
	size_t room = 0;
	glob_t found;
	char *bytes;
	FILE *file;
	int plain;

	must(mkdir("/tmp/made", 0751) == 0 && chdir("/tmp/made") == 0, "mkdir, chdir");
	file = fopen("lines", "w+");
	must(file != NULL, "fopen");
	for (int i = 0; i < 1000; i++)
		fprintf(file, "%d %x\n", i, i * i);
	must(fseeko(file, -100, SEEK_END) == 0, "fseeko");
	printf("at %ld of the file\n", (long)ftello(file));
	must(fgets(line, sizeof line, file) && getline(&grown, &room, file) > 0, "getline");
	printf("%s", grown);
	must(ftruncate(fileno(file), 0x140000000) == 0, "ftruncate");
	must(fstat(fileno(file), &status) == 0, "fstat");
	printf("%lld bytes, mode %o\n", (long long)status.st_size, status.st_mode);
	must(ftruncate(fileno(file), 4096) == 0 && fclose(file) == 0, "fclose");
	plain = open("lines", O_RDWR | O_CLOEXEC);
	bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 0);
	must(bytes != MAP_FAILED, "mmap");
	memcpy(bytes, "mapped", 6);
	must(msync(bytes, 4096, MS_SYNC) == 0 && munmap(bytes, 4096) == 0, "msync");
	must(pread(plain, line, 10, 0) == 10, "pread");
	printf("%.10s\n", line);
	must(lseek(plain, 0, SEEK_END) == 4096 && writev(plain, pieces, 2) == 11, "writev");
	close(plain);
	must(symlink("lines", "soft") == 0 && link("lines", "hard") == 0, "links");
	must(rename("hard", "other") == 0, "rename");
	printf("%s\n", realpath("soft", NULL));
	plain = mkstemp(template);
	must(plain >= 0 && unlink(template) == 0 && close(plain) == 0, "mkstemp");
	file = tmpfile();
	must(file && fputs("gone", file) >= 0 && fclose(file) == 0, "tmpfile");
	must(glob("/tmp/made/*", 0, NULL, &found) == 0, "glob");
	printf("%zu found\n", found.gl_pathc);
	for (int i = 0, n = scandir(".", &names, NULL, alphasort); i < n; i++)
		printf("%s ", names[i]->d_name);
	printf("\n%s\n", getcwd(NULL, 0));
	must(open("/nowhere/file", O_RDONLY) < 0, "open");
	printf("%m\n");
}

static void jump(int depth)
{
	if (depth == 0)
		longjmp(back, 5);
	jump(depth - 1);
}

static void last(void)
{
	printf("ends, sqrt 2 = %.6f\n", sqrt(2 + (of_this_thread == 0)));
}

int main(int argc, char **argv)
{
	int status;

	printf("%s with %d words\n", program_invocation_short_name, argc);
	for (int i = 1; i < argc; i++)
		printf("<%s>", argv[i]);
	printf("%s\n", getenv("NAME"));
	atexit(last);
	loader();
	texts();
	times();
	files();
	status = setjmp(back);
	if (status == 0)
		jump(100);
	return status;
}
