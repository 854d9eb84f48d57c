/* A message of the OpenTelemetry protocol on its way through the decoder: which encoding it is, and
 * where the record of each of its entries sits.
 *
 * What resource and scope say is the envelope of the record, as a node agent's is: it fills gaps,
 * and knows better where the record was written (k8s.*, container.*). A body that is text and holds
 * a JSON object is the record itself (a Collector that reads container logs and does not parse
 * them), unless level, user, tenant, outcome or address are there already: then it has been
 * decoded, and opening what a user may have typed would let that user write fields (CWE-117). */

#include <stdlib.h>

#include "ingest/decoder_private.h"

/* Is it one, as far as the options allow? Begins to read it. */
bool otlp_begin(struct decoder *decoder, struct text padded)
{
	struct otlp *otlp = &decoder->otlp;
	bool named = decoder->named != NULL && decoder->named == decoder->otlp_format;
	if (decoder->raw || (decoder->named != NULL && !named))
		return false;
	bool binary = otlp_proto_sniff(padded);
	if (!binary && !otlp_json_sniff(padded) && !named)
		return false;
	*otlp = (struct otlp){.binary = binary,
			      .message = padded,
			      .tape = &decoder->tape,
			      .envelope = {.items = &decoder->outer,
					   .arena = decoder->arena,
					   .options = &decoder->keep},
			      .record = {.items = &decoder->attributes,
					 .arena = decoder->arena,
					 .options = &decoder->keep}};
	enum reject why = binary ? otlp_proto_begin(otlp) : otlp_json_begin(otlp);
	decoder->split = (struct split){.text = padded, .layout = LAYOUT_OTLP};
	if (why == ACCEPTED)
		return true;
	decoder->split.layout = LAYOUT_REJECT;
	decoder->split.why = why;
	decoder->split.detail =
		otlp->detail.data == NULL ? text_of(reject_text(why)) : otlp->detail;
	return true;
}

static const struct json_item *body_of(const struct decoder *decoder)
{
	const struct json_item *body = NULL;
	for (size_t i = 0; i < decoder->attributes.count; i++) {
		const struct json_item *item = &decoder->attributes.items[i];
		if (text_equal(item->name, TEXT("body")) && item->value.type == VALUE_STRING &&
		    item->array == 0)
			body = item;
	}
	if (body == NULL || body->value.text.size == 0 || body->value.text.data[0] != '{')
		return NULL;
	bool decoded = says_decoded(decoder, &decoder->attributes) ||
		       says_decoded(decoder, &decoder->outer);
	return decoded ? NULL : body;
}

/* The body is the record: everything else becomes its envelope. */
static enum reject body_open(struct decoder *decoder, const struct json_item *body,
			     struct unpacked *unpacked)
{
	struct json_items *outer = &decoder->outer;
	size_t count = outer->count + decoder->attributes.count;
	bool broken = false;
	enum reject why = line_open(decoder, body->value.text, &broken);
	unpacked->broken = broken;
	if (why != ACCEPTED || broken)
		return why;
	size_t at = outer->count + (size_t)(body - decoder->attributes.items);
	if (count > outer->capacity) {
		struct json_item *grown = realloc(outer->items, count * sizeof *grown);
		if (grown == NULL)
			return REJECT_MEMORY;
		outer->items = grown;
		outer->capacity = count;
	}
	memcpy(outer->items + outer->count, decoder->attributes.items,
	       decoder->attributes.count * sizeof *outer->items);
	outer->count = count;
	outer->flags |= decoder->attributes.flags;
	unpacked->record = &decoder->inner;
	unpacked->inner = &outer->items[at];
	return ACCEPTED;
}

bool otlp_next(struct decoder *decoder, struct unpacked *ret_unpacked, struct text *ret_raw,
	       enum reject *ret_why)
{
	struct otlp *otlp = &decoder->otlp;
	/* A body that was opened has put a record's attributes behind those of the envelope. */
	if (!otlp->fresh && decoder->outer.count > otlp->envelope_count)
		decoder->outer.count = otlp->envelope_count;
	bool more = otlp->binary ? otlp_proto_next(otlp, ret_raw, ret_why)
				 : otlp_json_next(otlp, ret_raw, ret_why);
	if (!more || *ret_why != ACCEPTED)
		return more;
	otlp->envelope_count = decoder->outer.count;
	struct unpacked unpacked = {
		.record = &decoder->attributes, .envelope = &decoder->outer, .otlp = true};
	const struct json_item *body = body_of(decoder);
	if (body != NULL)
		*ret_why = body_open(decoder, body, &unpacked);
	*ret_unpacked = unpacked;
	return true;
}
