/* What a compiler has to do with: structures, loops, a switch, floating point. */
extern int printf(const char *, ...);

struct list {
	struct list *next;
	int value;
};

static int sum(const struct list *list)
{
	int sum = 0;

	for (; list; list = list->next)
		sum += list->value;
	return sum;
}

static double power(double base, int exponent)
{
	double result = 1;

	while (exponent--)
		result *= base;
	return result;
}

int main(int argc, char **argv)
{
	struct list last = { 0, 1 }, middle = { &last, 2 }, first = { &middle, 39 };

	for (int i = 0; i < argc; i++) {
		switch (argv[i][0]) {
		case 'a':
			return 1;
		case 'b':
			return 2;
		default:
			break;
		}
	}
	printf("%d %f\n", sum(&first), power(1.5, 7));
	return 0;
}
