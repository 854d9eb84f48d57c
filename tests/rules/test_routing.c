/* Which log sources let a rule in, and that nothing is lost when combinations are evicted. */
#include <stdio.h>

#include "rules/routing_private.h"
#include "tests/rules/predicates.h"

static void add_routed(struct bench *b, const char *category, const char *product)
{
	add_rule(b, glob_of(b, "f", "x"));
	struct logsource *source = &b->detections[b->detection_count - 1].logsource;
	source->category = text_of(category);
	source->product = text_of(product);
}

static struct bench *bench_with_routes(void)
{
	struct bench *b = bench_new();
	b->any_logsource = false;
	add_routed(b, "", "");
	add_routed(b, "Process_Creation", "");
	add_routed(b, "process_creation", "windows");
	add_routed(b, "", "WINDOWS");
	compile(b);
	return b;
}

static unsigned fits(const struct bench *b, struct router *router, const char *category,
		     const char *product)
{
	struct logsource source = {text_of(category), text_of(product), TEXT("")};
	const struct routing *routing = router_find(router, &source, true);
	ck_assert_ptr_nonnull(routing);
	unsigned found = 0;
	for (unsigned i = 0; i < 4; i++)
		found |= routing->fits[b->program->route_of[i]] ? 1u << i : 0;
	return found;
}

START_TEST(every_attribute_that_is_set_must_agree)
{
	struct bench *b cleanup(bench_done) = bench_with_routes();
	struct router *router cleanup(router_free) = router_new(b->program);
	ck_assert_uint_eq(fits(b, router, "", ""), 1);
	ck_assert_uint_eq(fits(b, router, "PROCESS_CREATION", ""), 1 | 2);
	ck_assert_uint_eq(fits(b, router, "process_creation", "Windows"), 15);
	ck_assert_uint_eq(fits(b, router, "other", "windows"), 1 | 8);
	ck_assert_uint_eq(fits(b, router, "process_creation", "linux"), 1 | 2);
	/* The texts stand one behind the other in the key: the borders must count. */
	ck_assert_uint_eq(fits(b, router, "process_creationwindows", ""), 1);
	ck_assert_uint_eq(fits(b, router, "", "process_creationwindows"), 1);
}
END_TEST

START_TEST(counts_survive_eviction)
{
	struct bench *b cleanup(bench_done) = bench_with_routes();
	struct router *router cleanup(router_free) = router_new(b->program);
	for (unsigned i = 0; i < 20 * ROUTINGS_MAX; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "c%u", i);
		(void)fits(b, router, name, i % 2 == 0 ? "windows" : "linux");
	}
	ck_assert_uint_eq(router_events(router, b->program->route_of[0]), 20 * ROUTINGS_MAX);
	ck_assert_uint_eq(router_events(router, b->program->route_of[3]), 10 * ROUTINGS_MAX);
	ck_assert_uint_eq(router_events(router, b->program->route_of[1]), 0);
}
END_TEST

START_TEST(names_too_long_to_keep_are_computed)
{
	struct bench *b cleanup(bench_done) = bench_with_routes();
	struct router *router cleanup(router_free) = router_new(b->program);
	char name[2 * ROUTING_KEY_MAX];
	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = '\0';
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(fits(b, router, name, "windows"), 1 | 8);
	ck_assert_uint_eq(fits(b, router, name, "linux"), 1);
	ck_assert_uint_eq(router_events(router, b->program->route_of[3]), 3);
}
END_TEST

START_TEST(only_slots_of_rules_that_fit_are_looked_up)
{
	struct bench *b cleanup(bench_done) = bench_new();
	b->any_logsource = false;
	add_routed(b, "a", "");
	add_rule(b, join(b, EXPR_OR, glob_of(b, "g", "y"), glob_of(b, NULL, "*word*"), NULL));
	b->detections[1].logsource.category = TEXT("b");
	compile(b);
	struct router *router cleanup(router_free) = router_new(b->program);
	const struct field f = {.name = TEXT("f")}, g = {.name = TEXT("g")};
	struct logsource source = {.category = TEXT("A")};
	const struct routing *routing = router_find(router, &source, false);
	ck_assert(routing_reads(routing, program_slot(b->program, &f)));
	ck_assert(!routing_reads(routing, program_slot(b->program, &g)));
	ck_assert(!routing_reads(routing, SLOT_ANY));
	source.category = TEXT("b");
	routing = router_find(router, &source, false);
	ck_assert(!routing_reads(routing, program_slot(b->program, &f)));
	ck_assert(routing_reads(routing, program_slot(b->program, &g)));
	ck_assert(routing_reads(routing, SLOT_ANY));
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, only_slots_of_rules_that_fit_are_looked_up);
	tcase_add_test(tcase, every_attribute_that_is_set_must_agree);
	tcase_add_test(tcase, counts_survive_eviction);
	tcase_add_test(tcase, names_too_long_to_keep_are_computed);
}

int main(void)
{
	return run_suite("routing", fill);
}
