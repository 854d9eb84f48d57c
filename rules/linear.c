#include "rules/linear.h"

#include <assert.h>
#include <hs/hs.h>
#include <stdlib.h>

#include "rules/ast_private.h"
#include "rules/utf8.h"

enum alphabet { ALPHABET_BYTES, ALPHABET_UTF8, ALPHABETS };

struct linear {
	char *pattern; /* with a NUL behind it */
	unsigned flags;
	bool is_ascii; /* the pattern itself */
	bool refused[ALPHABETS];
	hs_database_t *databases[ALPHABETS]; /* made at first use */
};

void linear_free(struct linear **linear)
{
	if (*linear == NULL)
		return;
	for (size_t i = 0; i < ALPHABETS; i++)
		(void)hs_free_database((*linear)->databases[i]);
	free((*linear)->pattern);
	free(*linear);
	*linear = NULL;
}

enum linear_kind linear_kind_of(struct text pattern)
{
	if (regex_is_portable(pattern))
		return LINEAR_EXACT;
	return regex_is_nearly_portable(pattern) ? LINEAR_NECESSARY : LINEAR_NONE;
}

enum status linear_new(struct text pattern, unsigned flags, struct linear **ret_linear)
{
	enum linear_kind kind = linear_kind_of(pattern);
	assert(kind != LINEAR_NONE);
	struct linear *linear cleanup(linear_free) = calloc(1, sizeof *linear);
	if (linear == NULL)
		return ENOMEMORY;
	linear->pattern = strndup(pattern.size == 0 ? "" : pattern.data, pattern.size);
	if (linear->pattern == NULL)
		return ENOMEMORY;
	linear->flags = HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY;
	linear->flags |= (flags & REGEX_CASELESS) != 0 ? HS_FLAG_CASELESS : 0;
	linear->flags |= (flags & REGEX_MULTILINE) != 0 ? HS_FLAG_MULTILINE : 0;
	linear->flags |= (flags & REGEX_DOTALL) != 0 ? HS_FLAG_DOTALL : 0;
	linear->flags |= kind == LINEAR_NECESSARY ? HS_FLAG_PREFILTER : 0;
	linear->is_ascii = utf8_is_ascii(pattern);
	*ret_linear = TAKE(linear);
	return OK;
}

static enum status compile(struct linear *linear, enum alphabet alphabet,
			   struct hs_scratch **scratch)
{
	hs_compile_error_t *error = NULL;
	hs_database_t **database = &linear->databases[alphabet];
	unsigned flags = linear->flags | (alphabet == ALPHABET_UTF8 ? HS_FLAG_UTF8 : 0);
	hs_error_t code = hs_compile(linear->pattern, flags, HS_MODE_BLOCK, NULL, database, &error);
	(void)hs_free_compile_error(error);
	linear->refused[alphabet] = code == HS_COMPILER_ERROR;
	if (code == HS_COMPILER_ERROR)
		return EINVALID;
	if (code == HS_SUCCESS && hs_alloc_scratch(*database, scratch) == HS_SUCCESS)
		return OK;
	(void)hs_free_database(*database);
	*database = NULL;
	return ENOMEMORY;
}

void linear_scratch_free(struct hs_scratch **scratch)
{
	(void)hs_free_scratch(*scratch);
	*scratch = NULL;
}

static int note_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
		    void *context)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	*(bool *)context = true;
	return 1; /* one is enough */
}

enum status linear_search(struct linear *linear, struct hs_scratch **scratch, struct text t,
			  bool *ret_found)
{
	assert(t.size <= UINT32_MAX);
	bool bytes_do = linear->is_ascii && utf8_is_ascii(t);
	enum alphabet alphabet = bytes_do ? ALPHABET_BYTES : ALPHABET_UTF8;
	if (linear->refused[alphabet])
		return EINVALID;
	if (linear->databases[alphabet] == NULL) {
		enum status status = compile(linear, alphabet, scratch);
		if (status != OK)
			return status;
	}
	bool found = false;
	hs_error_t code = hs_scan(linear->databases[alphabet], t.size == 0 ? "" : t.data,
				  (unsigned)t.size, 0, *scratch, note_hit, &found);
	if (code != HS_SUCCESS && code != HS_SCAN_TERMINATED)
		return ESYSTEM;
	*ret_found = found;
	return OK;
}
