typedef unsigned long size_t;
extern int printf(const char *, ...);
struct list { struct list *next; int value; };
static int sum(const struct list *l) { int s = 0; for (; l; l = l->next) s += l->value; return s; }
static double power(double x, int n) { double r = 1; while (n--) r *= x; return r; }
int main(int argc, char **argv) {
  struct list a = {0, 1}, b = {&a, 2}, c = {&b, 39};
  for (int i = 0; i < argc; i++) switch (argv[i][0]) { case 'a': return 1; case 'b': return 2; default: break; }
  printf("%d %f\n", sum(&c), power(1.5, 7));
  return 0;
}
