/* Any bytes as a pySigma processing pipeline over a fixed set of rules, a filter and a correlation:
 * applied, or refused with a place and a fix. The same bytes give the same rules twice, and the
 * index of what comes out agrees with plain evaluation. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/match_both.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char rules[] =
	"title: one\nname: one\nid: 8d0c2d6e-8f0b-4c3a-9d77-0b6f3c1e0d52\nlevel: low\n"
	"tags: [attack.t1059]\nlogsource: {category: process_creation, product: windows}\n"
	"detection:\n"
	"    s: {f|endswith: .exe, Image: ['*cmd*', 4688], g|gte: 4000, user.id: null}\n"
	"    t: [{f: '?k'}, {g|neq: 1}]\n"
	"    u: [cmd, '10.*']\n"
	"    condition: s and not t or 1 of u\n"
	"---\n"
	"title: two\nname: two\nlevel: low\nlogsource: {service: security}\n"
	"detection:\n"
	"    s: {f|fieldref: message, g|exists: true, f|windash|contains: ' -x'}\n"
	"    condition: not s\n"
	"---\n"
	"title: filter\nlogsource: {category: process_creation}\n"
	"filter:\n    rules: [one]\n    s: {f: a, g: [1, 2]}\n    condition: not s\n"
	"---\n"
	"title: many\ncorrelation:\n    type: event_count\n    rules: [one, two]\n"
	"    group-by: [f, user.id]\n    timespan: 5m\n    condition: {gte: 3}\n";

/* 0 when it is refused. */
static uint64_t load(const char *path)
{
	struct ruleset_options options = {
		.any_logsource = true, .pipelines = &path, .pipeline_count = 1};
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct error err = {0};
	enum status status = ruleset_parse(&options, TEXT(rules), "rules.yml", &ruleset, &err);
	assert((status == OK) == (ruleset != NULL));
	assert(status == OK || status == ENOMEMORY || status == ELIMIT || status == EINVALID);
	assert(status == OK || err.text[0] != '\0');
	assert(status != EINVALID || (err.line > 0 && strstr(err.text, "fix: ") != NULL));
	if (ruleset == NULL)
		return 0;
	match_both_all(ruleset);
	return ruleset_hash(ruleset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int file = memfd_create("pipeline.yml", 0);
	assert(file >= 0);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	ssize_t written = write(file, data, size);
	assert(written == (ssize_t)size);
	uint64_t first = load(path);
	uint64_t again = load(path);
	assert(first == again);
	(void)close(file);
	return 0;
}
