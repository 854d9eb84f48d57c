/* query - what an analyst asks for, as a tree of tests: a subset of the Kibana Query Language.
 *
 * Why: who uses a SIEM knows it. `user.name: alice and not event.outcome: success`, `bytes > 1000`,
 * `source.ip: 10.0.0.0/8`, `event.action: (login or log*)`, `trace.id: *`, `"connection refused"`;
 * and behind a `|` what becomes of the events: `count by FIELD, FIELD over 1h`, `top FIELD 20`,
 * `histogram 5m`. docs/SEARCH.md is the page for users; query_match.c says what "equal" means.
 *
 * Invariant: a tree asks about fields only: which tenants' events it is shown is decided below it
 * (search.h), and nothing in it can widen that. Owner: the arena. Thread: any (immutable).
 * Limits: QUERY_BYTES_MAX, QUERY_NODES_MAX, QUERY_DEPTH_MAX, QUERY_FIELDS_MAX behind `by`. */
#ifndef PICKET_STORAGE_QUERY_H
#define PICKET_STORAGE_QUERY_H

#include "rules/cidr.h"
#include "rules/event.h"
#include "rules/glob.h"
#include "rules/number.h"

enum {
	QUERY_BYTES_MAX = 16 * 1024,
	QUERY_NODES_MAX = 1024,
	QUERY_DEPTH_MAX = 64,
	QUERY_FIELDS_MAX = 4,
	QUERY_TOP_DEFAULT = 10,
	QUERY_TOP_MAX = 10000,
};

enum query_kind { QUERY_ALL, QUERY_AND, QUERY_OR, QUERY_NOT, QUERY_LEAF };

enum query_test { TEST_EXISTS, TEST_EQUALS, TEST_GLOB, TEST_RANGE };

/* One test of one field. */
struct query_leaf {
	struct text name;  /* canonical; "" = any field */
	enum field_id id;  /* FIELD_OTHER: look at the name */
	bool name_is_glob; /* name is then folded nowhere: names have case */
	struct glob name_glob;
	enum query_test test;
	enum comparison how; /* TEST_RANGE */
	struct text text;    /* as written; folded for EQUALS and RANGE */
	struct glob glob;    /* TEST_GLOB; glob_around: with `*` on both sides, for prose */
	struct glob glob_around;
	bool is_number, is_time, is_network;
	struct number number;
	int64_t time_us;
	struct cidr network;
	uint64_t hash; /* of the text (term.h), for blooms of fields that are no addresses */
	size_t column; /* in the query, for messages */
};

struct query_node {
	enum query_kind kind;
	const struct query_node *left, *right; /* NOT: left only */
	const struct query_leaf *leaf;
};

enum query_output { OUTPUT_EVENTS, OUTPUT_COUNT, OUTPUT_TOP, OUTPUT_HISTOGRAM };

struct query {
	const struct query_node *root;
	enum query_output output;
	struct text fields[QUERY_FIELDS_MAX]; /* canonical */
	size_t field_count;
	int64_t bucket_us; /* over, histogram; 0 = none */
	size_t top;
};

/* EINVALID: err->column is the place, err->text the reason and a caret below the query. */
enum status query_parse(struct text query, struct arena *arena, struct query *ret_query,
			struct error *err);

/* Scratch of whoever tests values; failed is sticky: out of memory, and the answer is worth
 * nothing. */
struct query_scratch {
	struct bytes fold;
	bool failed;
};
void query_scratch_done(struct query_scratch *scratch);

/* Fields of prose: a word holds when it stands somewhere in the value. */
bool query_is_prose(enum field_id id);

/* Whether the leaf asks about the field. Fields that no event carries as such (query_virtual()) are
 * asked for by name only. */
bool query_leaf_names(const struct query_leaf *leaf, enum field_id id, struct text name);
/* Whether of the texts in the field it holds for those alone that fold to leaf->text. */
bool query_leaf_wants_whole(const struct query_leaf *leaf, enum field_id id);
bool query_leaf_holds(const struct query_leaf *leaf, enum field_id id, const struct value *value,
		      struct query_scratch *scratch);

/* Fields made of what stands beside the fields: @timestamp (as time), picket.src.*, logsource.*,
 * picket.quality. They come before the fields of the same name. */
enum query_virtual {
	VIRTUAL_NONE,
	VIRTUAL_TIME,
	VIRTUAL_TOPIC,
	VIRTUAL_PARTITION,
	VIRTUAL_OFFSET,
	VIRTUAL_INDEX,
	VIRTUAL_CATEGORY,
	VIRTUAL_PRODUCT,
	VIRTUAL_SERVICE,
	VIRTUAL_QUALITY,
};
enum query_virtual query_virtual_of(enum field_id id);
/* Its value number `nth`; a number's digits go to buffer. Absent (an unknown log source, or behind
 * the last one: only picket.quality has several): type VALUE_NULL. */
struct value query_virtual_value(enum query_virtual which, const struct event *event, size_t nth,
				 char buffer[static NUMBER_PRINT_MAX]);
bool query_virtual_holds(const struct query_leaf *leaf, enum query_virtual which,
			 const struct event *event, struct query_scratch *scratch);

/* The meaning of a query, event by event. */
bool query_holds(const struct query_node *node, const struct event *event,
		 struct query_scratch *scratch);

#endif
