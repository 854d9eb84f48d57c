#include "cli/exit.h"

#include <assert.h>
#include <stdbool.h>

enum exit_code exit_of_status(enum status status)
{
	switch (status) {
	case OK:
		return EXIT_OK;
	case EINVALID:
	case ECORRUPT:
		return EXIT_DATA;
	case ENOTFOUND:
		return EXIT_NEGATIVE;
	case ELIMIT:
	case EINCOMPLETE:
		return EXIT_INCOMPLETE;
	case EUNAVAILABLE:
	case EINUSE:
	case ECLOSED:
		return EXIT_UNREACHABLE;
	case EDENIED:
		return EXIT_USAGE;
	case ENOMEMORY:
	case ESYSTEM:
	case ENOSPACE:
		return EXIT_INTERNAL;
	}
	assert(false); /* a status of no kind */
}

enum exit_code exit_of_http(unsigned http_status)
{
	assert(http_status >= 100 && http_status < 600);
	if (http_status < 300)
		return EXIT_OK;
	switch (http_status) {
	case 404:
		return EXIT_NEGATIVE;
	case 401:
	case 502:
	case 503:
	case 504:
		return EXIT_UNREACHABLE;
	default:
		return http_status < 500 ? EXIT_USAGE : EXIT_INTERNAL;
	}
}

const char *exit_help(void)
{
	return
#define EXIT_CODE(id, number, word, text) "  " #number "\t" text "\n"
#include "cli/exit.def"
#undef EXIT_CODE
		;
}
