/* `coffer layers`: what there is. */
#include "task/command.h"

#include "base/cleanup.h"
#include "layer/layer.h"

#include <stdio.h>
#include <string.h>

static void print_one(const char *id)
{
	struct layer *layer = NULL;
	struct error error;
	if (layer_open(id, LAYER_READ, &layer, &error) < 0)
		return;
	printf("%-24s %-9s %zu roots, on %zu layers\n", layer->name ? layer->name : layer->id,
		layer->purpose, layer->roots_count, layer->parents.count);
	layer_close(layer);
}

int cmd_layers(int argc, char *argv[])
{
	(void)argc, (void)argv;
	cleanup_strv struct strv ids = {0};
	struct error error;
	if (layer_list(&ids, &error) < 0) {
		fprintf(stderr, "coffer: %s\n", error.message);
		return 125;
	}
	for (size_t i = 0; i < ids.count; i++)
		print_one(ids.items[i]);
	return 0;
}
