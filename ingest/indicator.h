/* indicator - one known bad thing (an address, network, domain, URL, hash, mail address) in one
 * form.
 *
 * Why: lists write hxxp://evil[.]com/, 1.2.3.4:443 and EVIL.COM., logs write http://evil.com/,
 * 1.2.3.4 and evil.com: they must be equal as bytes.
 *
 * The form: addresses and networks are struct cidr; of all others, lower case, without defanging,
 * a final dot, http:// or https:// and a final slash. The path of a URL keeps its case.
 *
 * Invariant: pure; the form of a form is itself. Owner: the caller's buffer. Thread: any.
 * Limits: INDICATOR_BYTES_MAX; a longer one is none. */
#ifndef PICKET_INGEST_INDICATOR_H
#define PICKET_INGEST_INDICATOR_H

#include "rules/cidr.h"

enum { INDICATOR_BYTES_MAX = 2048 };

enum indicator_kind { INDICATOR_NONE, INDICATOR_NETWORK, INDICATOR_TEXT };

struct indicator {
	enum indicator_kind kind;
	struct cidr network;
	struct text text; /* in the buffer */
};

struct indicator indicator_read(struct text written, char buffer[static INDICATOR_BYTES_MAX]);
/* The host of a URL in its form, or the whole text. */
struct text indicator_host(struct text form);

#endif
