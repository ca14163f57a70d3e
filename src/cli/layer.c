#include "cli/layer.h"

#include "base/cleanup.h"
#include "layer/apply.h"
#include "layer/layer.h"
#include "library/library.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int complain(const struct error *error)
{
	cli_complain((const struct coffer_error *)error);
	return -1;
}

/* A layer of that name, which --layer-on must not contradict. */
static int reopen(const struct cli_options *options, struct layer **ret, struct error *error)
{
	int r = layer_open(options->layer_name, LAYER_READ, ret, error);
	if (r < 0 || !options->layer_on)
		return r;
	error_set(error, EEXIST, "layer", "layer %s exists: --layer-on is for a new one",
		options->layer_name);
	return error_hint(error, "choose another name, or drop --layer-on to go on in it");
}

int cli_layer_open(struct cli_options *options, struct cli_layer *ret)
{
	*ret = (struct cli_layer){.named = options->layer_name != NULL};
	if (!options->layer && options->layer_on) {
		cli_complain_text("--layer-on %s without --layer: add --layer or --layer=NEW",
			options->layer_on);
		return -1;
	}
	if (!options->layer)
		return 0;
	struct layer *layer = NULL;
	struct error error = {0};
	/* What a kill left of another layer's apply is no reason not to run. */
	if (layer_recover(&error) < 0)
		complain(&error);
	error = (struct error){0};
	int r = options->layer_name ? reopen(options, &layer, &error) : -ENOENT;
	if (r == -ENOENT) {
		const struct layer_options wanted = {.name = options->layer_name,
			.on = options->layer_on,
			.purpose = "run",
			.kind = LAYER_OVERLAY};
		r = layer_create(&wanted, &layer, &error);
		ret->fresh = r == 0;
	}
	if (r < 0) {
		layer_close(layer);
		return complain(&error);
	}
	ret->id = strdup(layer->id);
	layer_close(layer);
	struct coffer_error refused;
	if (!ret->id || coffer_policy_set(options->policy, "layer-dir", ret->id, &refused) < 0) {
		cli_complain_text("out of memory");
		return -1;
	}
	return 0;
}

static void discard(const char *id)
{
	struct layer *layer = NULL;
	struct error error;
	if (layer_open(id, LAYER_WRITE, &layer, &error) == 0)
		layer_discard(layer, &error);
}

static void tell(const struct report_layer *layer)
{
	const char *name = layer->name ? layer->name : layer->id;
	char text[512];
	snprintf(text, sizeof(text),
		"layer %s: %" PRIu64 " added, %" PRIu64 " modified, %" PRIu64
		" deleted; `coffer diff %s`, `coffer apply %s`, `coffer discard %s`",
		name, layer->added, layer->modified, layer->deleted, name, name, name);
	cli_say(text);
}

void cli_layer_conclude(struct cli_layer *cli, const struct cli_options *options,
	const struct report_layer *layer, bool ran)
{
	if (!cli->id)
		return;
	bool empty = layer->added + layer->modified + layer->deleted == 0;
	if (ran && !options->quiet && !empty)
		tell(layer);
	else if (ran && !options->quiet)
		cli_say("layer: nothing was written");
	if (cli->fresh && (ran ? empty && !cli->named : !layer->id || empty))
		discard(cli->id);
	free(cli->id);
	cli->id = NULL;
}

void cli_layer_close(struct cli_layer *cli, const struct cli_options *options,
	const struct coffer_report *report)
{
	/* Without an id there nothing ran: the layer is as it was. */
	static const struct report_layer none;
	const struct report_layer *layer = report ? &report->report.layer : &none;
	bool ran = report && strcmp(coffer_report_cause(report), "setup_failed") != 0;
	/* What it wrote could not be looked through: nobody throws away what cannot be counted. */
	if (cli->id && ran && !layer->id) {
		const char *name = options->layer_name ? options->layer_name : cli->id;
		char text[256];
		snprintf(text, sizeof(text), "layer %.64s is kept as it is; `coffer discard %.64s`",
			name, name);
		cli_say(text);
		cli->fresh = false;
	}
	cli_layer_conclude(cli, options, layer, ran && layer->id);
}
