/* Any bytes as a rule file: loaded, or refused with a place and a fix; never a crash, never a leak.
 */
#include <assert.h>
#include <stdint.h>

#include "rules/ruleset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int lenient = 0; lenient < 2; lenient++) {
		struct ruleset_options options = {
			.supply_metadata = lenient, .any_logsource = true, .skip_refused = lenient};
		struct ruleset *ruleset = NULL;
		struct error err = {0};
		struct text yaml = {(const char *)data, size};
		enum status status = ruleset_parse(&options, yaml, "fuzz.yml", &ruleset, &err);
		assert((status == OK) == (ruleset != NULL));
		assert(status == OK || err.text[0] != '\0');
		assert(status != EINVALID || (err.line > 0 && strstr(err.text, "fix: ") != NULL));
		assert(!lenient || status == OK || status == ENOMEMORY || status == ELIMIT ||
		       status == EINVALID);
		for (size_t i = 0; ruleset != NULL && i < ruleset_count(ruleset); i++)
			assert(ruleset_rule(ruleset, i)->index == i);
		ruleset_free(&ruleset);
	}
	return 0;
}
