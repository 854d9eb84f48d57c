/* What a query means. For a value V of a log and a word W of the query:
 *
 *   field: W    fields of addresses: V is W, or lies inside the network W.
 *               Otherwise: W and V are equal numbers (443 = "443" = 443.0), or equal texts without
 *               case, or - in the fields that are prose: message, error.message,
 *               error.stack_trace - W stands somewhere in V.
 *   field: W*   V matches the pattern from end to end, in prose anywhere.
 *   field: *    the field has a value that is not null and not an empty list.
 *   field > W   both numbers: by number; both times (@timestamp above all): by time; both addresses
 *               of a field of addresses: by address; otherwise texts without case, byte by byte.
 *   W           some field of the event has W in it (not picket.src.raw: its bytes say the same
 *               again, and names and quotes beside it).
 *
 * A field with several values holds when one of them does; a field that is absent never does, and
 * `not` turns that round. query_holds() says it for one event; search_block.c says the same for
 * the columns of a block, and a test holds the two against each other. */
#include <assert.h>
#include <stdio.h>

#include "rules/utf8.h"
#include "storage/query.h"
#include "storage/term.h"

void query_scratch_done(struct query_scratch *scratch)
{
	bytes_done(&scratch->fold);
}

bool query_is_prose(enum field_id id)
{
	return id == FIELD_MESSAGE || id == FIELD_ERROR_MESSAGE || id == FIELD_ERROR_STACK_TRACE;
}

static struct text fold(struct text t, struct query_scratch *scratch)
{
	struct text folded = {0};
	if (!term_fold(t, &scratch->fold, &folded))
		scratch->failed = true;
	return folded;
}

bool query_leaf_names(const struct query_leaf *leaf, enum field_id id, struct text name)
{
	if (leaf->name_is_glob)
		return glob_match(&leaf->name_glob, name);
	if (leaf->name.size == 0)
		return query_virtual_of(id) == VIRTUAL_NONE && id != FIELD_SRC_RAW;
	return leaf->id != FIELD_OTHER ? leaf->id == id : text_equal(leaf->name, name);
}

/* The number of a value: JSON's own, or a text that is one. */
static bool value_number(const struct value *value, struct number *ret_number)
{
	if (value->type == VALUE_INTEGER || value->type == VALUE_REAL)
		return number_of_value(value, ret_number);
	return value->type == VALUE_STRING && term_number(value->text, ret_number);
}

static bool is_address_field(enum field_id id)
{
	return id != FIELD_OTHER && schema_info(id)->type == FIELD_TYPE_ip;
}

static bool contains(struct text text, struct text word)
{
	return word.size == 0 ||
	       (text.size >= word.size && memmem(text.data, text.size, word.data, word.size));
}

/* Whether the last characters say already that the text does not become that one: an ASCII letter
 * at the end stays at the end and is folded alone. */
static bool ends_otherwise(struct text text, struct text folded)
{
	unsigned char last = text.size == 0 ? 0x80 : (unsigned char)text.data[text.size - 1];
	if (folded.size == 0 || last >= 0x80)
		return false;
	if (last >= 'A' && last <= 'Z')
		last += 'a' - 'A';
	return last != (unsigned char)folded.data[folded.size - 1];
}

bool query_leaf_wants_whole(const struct query_leaf *leaf, enum field_id id)
{
	return leaf->test == TEST_EQUALS && leaf->name.size > 0 && !leaf->is_number &&
	       !query_is_prose(id) && !is_address_field(id) && query_virtual_of(id) == VIRTUAL_NONE;
}

static bool equals(const struct query_leaf *leaf, enum field_id id, const struct value *value,
		   struct query_scratch *scratch)
{
	struct cidr address;
	struct number number;
	if (leaf->is_network && is_address_field(id) && cidr_parse(value->text, &address))
		return cidr_contains(&leaf->network, &address);
	if (leaf->is_number && value_number(value, &number) &&
	    number_compare(&number, &leaf->number) == 0)
		return true;
	bool part = leaf->name.size == 0 || query_is_prose(id);
	if (!part && ends_otherwise(value->text, leaf->text))
		return false;
	struct text folded = fold(value->text, scratch);
	return part ? contains(folded, leaf->text) : text_equal(folded, leaf->text);
}

static bool ordered(int order, enum comparison how)
{
	switch (how) {
	case COMPARE_LT:
		return order < 0;
	case COMPARE_LTE:
		return order <= 0;
	case COMPARE_GT:
		return order > 0;
	case COMPARE_GTE:
		return order >= 0;
	default:
		return false;
	}
}

static int times_compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static bool in_range(const struct query_leaf *leaf, enum field_id id, const struct value *value,
		     struct query_scratch *scratch)
{
	struct number number;
	struct cidr address;
	int64_t time_us = 0;
	if (query_virtual_of(id) == VIRTUAL_TIME)
		return leaf->is_time &&
		       ordered(times_compare(value->integer, leaf->time_us), leaf->how);
	if (leaf->is_number)
		return value_number(value, &number) &&
		       ordered(number_compare(&number, &leaf->number), leaf->how);
	if (leaf->is_network && is_address_field(id))
		return term_address(id, value->text, &address) &&
		       ordered(memcmp(address.address, leaf->network.address,
				      sizeof address.address),
			       leaf->how);
	if (leaf->is_time && value->type == VALUE_STRING && time_parse(value->text, &time_us))
		return ordered(times_compare(time_us, leaf->time_us), leaf->how);
	if (value->type != VALUE_STRING)
		return false;
	return ordered(text_compare(fold(value->text, scratch), leaf->text), leaf->how);
}

bool query_leaf_holds(const struct query_leaf *leaf, enum field_id id, const struct value *value,
		      struct query_scratch *scratch)
{
	if (value->type == VALUE_NULL || value->type == VALUE_EMPTY)
		return false;
	switch (leaf->test) {
	case TEST_EXISTS:
		return true;
	case TEST_EQUALS:
		if (query_virtual_of(id) == VIRTUAL_TIME)
			return leaf->is_time && value->integer == leaf->time_us;
		return equals(leaf, id, value, scratch);
	case TEST_GLOB:
		if (leaf->name.size == 0 || query_is_prose(id))
			return glob_match(&leaf->glob_around, fold(value->text, scratch));
		return glob_match(&leaf->glob, fold(value->text, scratch));
	case TEST_RANGE:
		return in_range(leaf, id, value, scratch);
	}
	assert(false && "a test of no kind");
}

enum query_virtual query_virtual_of(enum field_id id)
{
	switch (id) {
	case FIELD_TIMESTAMP:
		return VIRTUAL_TIME;
	case FIELD_SRC_TOPIC:
		return VIRTUAL_TOPIC;
	case FIELD_SRC_PARTITION:
		return VIRTUAL_PARTITION;
	case FIELD_SRC_OFFSET:
		return VIRTUAL_OFFSET;
	case FIELD_SRC_INDEX:
		return VIRTUAL_INDEX;
	case FIELD_LOGSOURCE_CATEGORY:
		return VIRTUAL_CATEGORY;
	case FIELD_LOGSOURCE_PRODUCT:
		return VIRTUAL_PRODUCT;
	case FIELD_LOGSOURCE_SERVICE:
		return VIRTUAL_SERVICE;
	case FIELD_QUALITY:
		return VIRTUAL_QUALITY;
	default:
		return VIRTUAL_NONE;
	}
}

static struct value number_value(int64_t number, char buffer[static NUMBER_PRINT_MAX])
{
	int size = snprintf(buffer, NUMBER_PRINT_MAX, "%lld", (long long)number);
	return (struct value){
		.type = VALUE_INTEGER, .integer = number, .text = {buffer, (size_t)size}};
}

static struct value text_value(struct text text)
{
	return (struct value){.type = text.size == 0 ? VALUE_NULL : VALUE_STRING, .text = text};
}

/* The nth flag of those that are set. */
static struct value quality_value(uint32_t quality, size_t nth)
{
	for (; nth > 0 && quality != 0; nth--)
		quality &= quality - 1;
	return text_value(quality == 0 ? (struct text){0}
				       : text_of(quality_name((enum quality)(quality & -quality))));
}

struct value query_virtual_value(enum query_virtual which, const struct event *event, size_t nth,
				 char buffer[static NUMBER_PRINT_MAX])
{
	if (which == VIRTUAL_QUALITY)
		return quality_value(event->quality, nth);
	if (nth > 0)
		return (struct value){.type = VALUE_NULL};
	switch (which) {
	case VIRTUAL_TIME: {
		struct value value = number_value(event->time_us, buffer);
		value.text = time_print(event->time_us, buffer);
		return value;
	}
	case VIRTUAL_TOPIC:
		return text_value(event->origin.topic);
	case VIRTUAL_PARTITION:
		return number_value(event->origin.partition, buffer);
	case VIRTUAL_OFFSET:
		return number_value(event->origin.offset, buffer);
	case VIRTUAL_INDEX:
		return number_value(event->origin.index, buffer);
	case VIRTUAL_CATEGORY:
		return text_value(event->logsource.category);
	case VIRTUAL_PRODUCT:
		return text_value(event->logsource.product);
	case VIRTUAL_SERVICE:
		return text_value(event->logsource.service);
	case VIRTUAL_QUALITY:
	case VIRTUAL_NONE:
		break;
	}
	return (struct value){.type = VALUE_NULL};
}

bool query_virtual_holds(const struct query_leaf *leaf, enum query_virtual which,
			 const struct event *event, struct query_scratch *scratch)
{
	char buffer[NUMBER_PRINT_MAX];
	for (size_t nth = 0;; nth++) {
		struct value value = query_virtual_value(which, event, nth, buffer);
		if (value.type == VALUE_NULL)
			return false;
		if (query_leaf_holds(leaf, leaf->id, &value, scratch))
			return true;
	}
}

static bool leaf_holds_event(const struct query_leaf *leaf, const struct event *event,
			     struct query_scratch *scratch)
{
	enum query_virtual which = leaf->name_is_glob ? VIRTUAL_NONE : query_virtual_of(leaf->id);
	if (which != VIRTUAL_NONE)
		return query_virtual_holds(leaf, which, event, scratch);
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (query_virtual_of(field->id) == VIRTUAL_NONE &&
		    query_leaf_names(leaf, field->id, field->name) &&
		    query_leaf_holds(leaf, field->id, &field->value, scratch))
			return true;
	}
	return false;
}

bool query_holds(const struct query_node *node, const struct event *event,
		 struct query_scratch *scratch)
{
	switch (node->kind) {
	case QUERY_ALL:
		return true;
	case QUERY_AND:
		return query_holds(node->left, event, scratch) &&
		       query_holds(node->right, event, scratch);
	case QUERY_OR:
		return query_holds(node->left, event, scratch) ||
		       query_holds(node->right, event, scratch);
	case QUERY_NOT:
		return !query_holds(node->left, event, scratch);
	case QUERY_LEAF:
		return leaf_holds_event(node->leaf, event, scratch);
	}
	assert(false && "a node of no kind");
}
