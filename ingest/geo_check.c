/* Is a MaxMind database well formed? Asked once, before the library may walk it: libmaxminddb
 * trusts sizes and nesting more than a file from the network deserves.
 *
 * Layout (MaxMind DB format 2.0): search tree | 16 zero bytes | data section | marker | metadata.
 * A value is a control byte (type in the upper three bits, 0 = extended: the next byte + 7), its
 * size (29, 30, 31 = one, two, three more bytes), then its bytes; a pointer's size bits hold its
 * length and upper bits. A map is pairs of a string and a value. A tree node has two records: a
 * number below node_count is a node, equal is "nothing", above is an offset into the data.
 *
 * Nodes are visited once each, so that a tree which runs in circles ends here too. It is refused:
 * an address of 128 bits comes out of a circle wherever its last bit leaves it. Parts of the tree
 * may be shared (the IPv4 addresses inside IPv6), so "visited before" alone is no circle: nodes are
 * taken away once all that lead to them are gone, and in a circle none ever goes. A tree that leads
 * to no data at all is refused as well: it would answer "nowhere" to everything for ever. */
#include <assert.h>
#include <stdlib.h>

#include "ingest/geo_private.h"
#include "rules/utf8.h"

enum {
	TYPE_POINTER = 1,
	TYPE_STRING = 2,
	TYPE_DOUBLE = 3,
	TYPE_BYTES = 4,
	TYPE_UINT16 = 5,
	TYPE_UINT32 = 6,
	TYPE_MAP = 7,
	TYPE_INT32 = 8,
	TYPE_UINT64 = 9,
	TYPE_UINT128 = 10,
	TYPE_ARRAY = 11,
	TYPE_BOOLEAN = 14,
	TYPE_FLOAT = 15,
};

struct walk {
	struct text data; /* the section that pointers are relative to */
	size_t values;    /* left for this record */
};

struct head {
	unsigned type;
	size_t size;    /* bytes; of maps and arrays members; of a boolean its value */
	size_t pointer; /* of TYPE_POINTER */
	size_t at;      /* behind the head */
};

static bool read_number(struct text data, size_t *at, size_t bytes, size_t *ret_number)
{
	if (data.size - *at < bytes)
		return false;
	size_t number = 0;
	for (size_t i = 0; i < bytes; i++)
		number = number << 8 | (unsigned char)data.data[(*at)++];
	*ret_number = number;
	return true;
}

static bool read_pointer(struct text data, unsigned char control, size_t *at, size_t *ret_pointer)
{
	static const size_t base[] = {0, 2048, 526336, 0};
	unsigned length = control >> 3 & 3;
	size_t number = 0;
	if (!read_number(data, at, length + 1, &number))
		return false;
	if (length < 3)
		number |= (size_t)(control & 7) << (8 * (length + 1));
	*ret_pointer = number + base[length];
	return true;
}

static bool read_head(struct text data, size_t at, struct head *ret_head)
{
	static const size_t base[] = {29, 285, 65821};
	size_t number = 0;
	if (at >= data.size)
		return false;
	unsigned char control = (unsigned char)data.data[at++];
	struct head head = {.type = control >> 5, .size = control & 31};
	if (head.type == 0) {
		if (!read_number(data, &at, 1, &number) || number + 7 <= TYPE_MAP ||
		    number + 7 > TYPE_FLOAT)
			return false;
		head.type = (unsigned)number + 7;
	}
	if (head.type == TYPE_POINTER) {
		if (!read_pointer(data, control, &at, &head.pointer))
			return false;
	} else if (head.size >= 29) {
		size_t length = head.size - 28;
		if (!read_number(data, &at, length, &number))
			return false;
		head.size = number + base[length - 1];
	}
	head.at = at;
	*ret_head = head;
	return true;
}

static bool size_fits(const struct head *head)
{
	switch (head->type) {
	case TYPE_DOUBLE:
		return head->size == 8;
	case TYPE_FLOAT:
		return head->size == 4;
	case TYPE_UINT16:
		return head->size <= 2;
	case TYPE_UINT32:
	case TYPE_INT32:
		return head->size <= 4;
	case TYPE_UINT64:
		return head->size <= 8;
	case TYPE_UINT128:
		return head->size <= 16;
	case TYPE_BOOLEAN:
		return head->size <= 1;
	default:
		return head->type == TYPE_STRING || head->type == TYPE_BYTES;
	}
}

static bool check_value(struct walk *walk, size_t at, unsigned depth, size_t *ret_end);

static bool check_key(struct walk *walk, size_t at, size_t *ret_end)
{
	struct head head;
	if (!read_head(walk->data, at, &head))
		return false;
	size_t end = head.at;
	if (head.type == TYPE_POINTER) {
		if (!read_head(walk->data, head.pointer, &head))
			return false;
	}
	if (head.type != TYPE_STRING)
		return false;
	return check_value(walk, at, GEO_DEPTH_MAX - 2, ret_end) && *ret_end >= end;
}

static bool check_members(struct walk *walk, const struct head *head, unsigned depth,
			  size_t *ret_end)
{
	size_t at = head->at;
	for (size_t i = 0; i < head->size; i++) {
		if (head->type == TYPE_MAP && !check_key(walk, at, &at))
			return false;
		if (!check_value(walk, at, depth + 1, &at))
			return false;
	}
	*ret_end = at;
	return true;
}

/* One value and all in it; *ret_end is behind it. */
static bool check_value(struct walk *walk, size_t at, unsigned depth, size_t *ret_end)
{
	struct head head;
	if (depth >= GEO_DEPTH_MAX || walk->values == 0 || !read_head(walk->data, at, &head))
		return false;
	walk->values--;
	if (head.type == TYPE_POINTER) {
		struct head target;
		size_t ignored = 0;
		*ret_end = head.at;
		return read_head(walk->data, head.pointer, &target) &&
		       target.type != TYPE_POINTER &&
		       check_value(walk, head.pointer, depth + 1, &ignored);
	}
	if (head.type == TYPE_MAP || head.type == TYPE_ARRAY)
		return check_members(walk, &head, depth, ret_end);
	if (!size_fits(&head))
		return false;
	size_t bytes = head.type == TYPE_BOOLEAN ? 0 : head.size;
	if (walk->data.size - head.at < bytes)
		return false;
	struct text content = {walk->data.data + head.at, bytes};
	*ret_end = head.at + bytes;
	return head.type != TYPE_STRING || utf8_is_valid(content);
}

bool geo_check_record(struct text section, size_t offset)
{
	struct walk walk = {section, GEO_VALUES_MAX};
	size_t end = 0;
	struct head head;
	return read_head(section, offset, &head) && head.type == TYPE_MAP &&
	       check_value(&walk, offset, 0, &end);
}

/* The metadata behind the last marker of the file, if it is a map that can be read. */
bool geo_check_metadata(struct text file)
{
	static const char marker[] = "\xab\xcd\xefMaxMind.com";
	enum { MARKER = sizeof marker - 1 };
	for (size_t at = file.size < MARKER ? 0 : file.size - MARKER + 1; at-- > 0;) {
		if (memcmp(file.data + at, marker, MARKER) != 0)
			continue;
		struct text metadata = text_cut(file, at + MARKER);
		return geo_check_record(metadata, 0);
	}
	return false;
}

struct tree {
	const MMDB_s *database;
	struct text data;
	uint32_t node_count;
	uint32_t *leading;      /* to each node: records that lead to it and are not taken away */
	unsigned char *checked; /* a bit per byte of the data section: a record that begins there */
	uint32_t *stack;
	size_t stack_size;
	size_t reached; /* nodes, the root apart */
	bool knows;     /* a record with data was reached */
};

static bool take_bit(unsigned char *bits, size_t at)
{
	bool was = (bits[at / 8] >> (at % 8) & 1) != 0;
	bits[at / 8] = (unsigned char)(bits[at / 8] | 1U << (at % 8));
	return was;
}

static bool check_tree_record(struct tree *tree, uint64_t record)
{
	if (record < tree->node_count) {
		if (tree->leading[record]++ == 0 && record != 0) {
			tree->stack[tree->stack_size++] = (uint32_t)record;
			tree->reached++;
		}
		return true;
	}
	if (record == tree->node_count)
		return true;
	uint64_t offset = record - tree->node_count;
	enum { SEPARATOR = 16 };
	if (offset < SEPARATOR || offset - SEPARATOR >= tree->data.size)
		return false;
	offset -= SEPARATOR;
	tree->knows = true;
	return take_bit(tree->checked, offset) || geo_check_record(tree->data, offset);
}

/* Every node that can be reached, and the records it leads to. */
static bool check_nodes(struct tree *tree)
{
	bool sound = true;
	tree->stack[tree->stack_size++] = 0;
	while (sound && tree->stack_size > 0) {
		MMDB_search_node_s node;
		uint32_t at = tree->stack[--tree->stack_size];
		sound = MMDB_read_node(tree->database, at, &node) == MMDB_SUCCESS &&
			check_tree_record(tree, node.left_record) &&
			check_tree_record(tree, node.right_record);
		assert(tree->stack_size <= tree->node_count);
	}
	return sound;
}

static void take_away(struct tree *tree, uint64_t record)
{
	if (record >= tree->node_count)
		return;
	assert(tree->leading[record] > 0);
	if (--tree->leading[record] == 0)
		tree->stack[tree->stack_size++] = (uint32_t)record;
}

/* After check_nodes(), of a tree that it found sound. */
static bool runs_in_a_circle(struct tree *tree)
{
	size_t taken = 0;
	assert(tree->stack_size == 0);
	if (tree->leading[0] > 0)
		return true;
	tree->stack[tree->stack_size++] = 0;
	for (; tree->stack_size > 0; taken++) {
		MMDB_search_node_s node;
		if (MMDB_read_node(tree->database, tree->stack[--tree->stack_size], &node) !=
		    MMDB_SUCCESS)
			return true;
		take_away(tree, node.left_record);
		take_away(tree, node.right_record);
	}
	return taken < tree->reached + 1;
}

bool geo_check_tree(const MMDB_s *database, bool *ret_memory)
{
	struct tree tree = {
		.database = database,
		.data = {(const char *)database->data_section, database->data_section_size},
		.node_count = database->metadata.node_count};
	size_t nodes = tree.node_count;
	*ret_memory = true;
	/* The library multiplies them in 32 bits: a count that overflows there would pass as small,
	 * and ask for gigabytes here. */
	if (nodes == 0 || nodes > (size_t)database->file_size / database->full_record_byte_size)
		return false;
	tree.leading = calloc(nodes, sizeof *tree.leading);
	tree.checked = calloc(tree.data.size / 8 + 1, 1);
	tree.stack = calloc(nodes + 1, sizeof *tree.stack);
	bool sound = tree.leading != NULL && tree.checked != NULL && tree.stack != NULL;
	*ret_memory = sound;
	sound = sound && check_nodes(&tree) && tree.knows && !runs_in_a_circle(&tree);
	free(tree.leading);
	free(tree.checked);
	free(tree.stack);
	return sound;
}
