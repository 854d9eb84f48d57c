/* The blooms of the fields that a query names. They stand in the store by field first and then in
 * the order of their blocks, which is the order in which a search meets the summaries: so each
 * field has a scan that goes along, and the next bloom is the next row as a rule. Looking each of
 * them up by its key costs three times the CPU, and on a disk that has to seek much more. When
 * blocks in between were not asked for, the scan begins again at the block that is. */
#include <assert.h>

#include "storage/bloom.h"
#include "storage/search_private.h"

enum { STEPS_MAX = 2 /* before a scan begins anew */ };

static void walk_done(struct bloom_walk *walk)
{
	store_scan_free(&walk->scan);
	bytes_done(&walk->prefix);
	*walk = (struct bloom_walk){0};
}

void bloom_walks_done(struct bloom_walks *walks)
{
	for (size_t i = 0; i < walks->count; i++)
		walk_done(&walks->items[i]);
	bytes_done(&walks->key);
	walks->count = 0;
}

/* The walk over the blooms of the field that the key is of; a new one when there is none. */
static struct bloom_walk *walk_of(struct bloom_walks *walks, struct text prefix)
{
	for (size_t i = 0; i < walks->count; i++)
		if (text_equal(bytes_text(&walks->items[i].prefix), prefix))
			return &walks->items[i];
	bool room = walks->count < BLOOM_WALKS_MAX;
	struct bloom_walk *walk = &walks->items[room ? walks->count++ : walks->next];
	if (!room) {
		walks->next = (walks->next + 1) % BLOOM_WALKS_MAX;
		walk_done(walk);
	}
	bytes_write(&walk->prefix, prefix);
	return walk;
}

static void walk_step(struct bloom_walks *walks, struct bloom_walk *walk)
{
	walk->checked = false;
	if (!store_scan_next(walk->scan, &walk->key, &walk->bloom))
		walk->key = (struct text){0};
	else
		walks->bytes_read += walk->bloom.size;
}

static bool is_before(const struct bloom_walk *walk, struct text key)
{
	return walk->key.data != NULL && text_compare(walk->key, key) < 0;
}

enum status bloom_walks_find(struct bloom_walks *walks, struct text name, struct text block_key,
			     struct text *ret_bloom, struct error *err)
{
	bytes_clear(&walks->key);
	bloom_key(name, block_key, &walks->key);
	struct text key = bytes_text(&walks->key);
	struct bloom_walk *walk =
		walks->key.failed ? NULL
				  : walk_of(walks, (struct text){key.data, BLOOM_PREFIX_BYTES});
	if (walk == NULL || walk->prefix.failed)
		return error_set(err, ENOMEMORY, "no memory for a search");
	for (unsigned i = 0; i < STEPS_MAX && is_before(walk, key); i++)
		walk_step(walks, walk);
	if (walk->key.data == NULL || !text_equal(walk->key, key)) {
		store_scan_free(&walk->scan);
		enum status status =
			store_view_scan(walks->view, FAMILY_BLOCKMETA, bytes_text(&walk->prefix),
					key, &walk->scan, err);
		if (status != OK)
			return status;
		walk_step(walks, walk);
	}
	if (walk->key.data == NULL) {
		enum status status = store_scan_status(walk->scan, err);
		if (status != OK)
			return status;
	}
	bool found = walk->key.data != NULL && text_equal(walk->key, key);
	walk->checked = walk->checked || (found && bloom_check(walk->bloom));
	if (!walk->checked)
		return error_set(err, ECORRUPT, "the bloom of %.*s is damaged", TEXT_ARG(name));
	*ret_bloom = walk->bloom;
	return OK;
}
