/* Layers without boxes, for tests of what is done with layers:
 *
 *	make_layer new NAME PATH BASE [ON]	a layer with the root PATH; prints its directory
 *	make_layer begin NAME			as a run begins
 *	make_layer settle NAME			as it ends; prints the counts
 *
 * BASE may be "-": the root is empty at first. */
#include "base/cleanup.h"
#include "layer/settle.h"

#include <string.h>

static int make(int argc, char *argv[], struct layer **ret, struct error *error)
{
	const char *base = strcmp(argv[4], "-") == 0 ? NULL : argv[4];
	struct layer_options options = {
		.name = argv[2], .on = argc > 5 ? argv[5] : NULL, .purpose = "run"};
	int r = layer_create(&options, ret, error);
	if (r == 0)
		r = layer_add_root(*ret, argv[3], base, geteuid(), getegid(), error);
	if (r == 0)
		r = layer_save(*ret, error);
	if (r == 0)
		puts((*ret)->roots[0].directory);
	return r;
}

static int settle(struct layer *layer, struct error *error)
{
	struct layer_counts counts;
	int r = layer_settle(layer, &counts, error);
	if (r == 0)
		printf("%llu %llu %llu\n", (unsigned long long)counts.added,
			(unsigned long long)counts.modified, (unsigned long long)counts.deleted);
	return r;
}

int main(int argc, char *argv[])
{
	struct layer *layer = NULL;
	struct error error = {0};
	int r = -EINVAL;
	if (argc >= 5 && strcmp(argv[1], "new") == 0)
		r = make(argc, argv, &layer, &error);
	else if (argc == 3)
		r = layer_open(argv[2], LAYER_WRITE, &layer, &error);
	if (r == 0 && strcmp(argv[1], "begin") == 0)
		r = layer_begin(layer, &error);
	else if (r == 0 && strcmp(argv[1], "settle") == 0)
		r = settle(layer, &error);
	layer_close(layer);
	if (r < 0)
		fprintf(stderr, "make_layer: %s\n", error.message);
	return r < 0;
}
