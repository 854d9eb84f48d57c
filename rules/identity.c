#include "rules/identity.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "rules/cidr.h"
#include "rules/utf8.h"

enum { NETWORK_BYTES = 8 }; /* a /64 */

static struct text trim(struct text t)
{
	while (t.size > 0 && (t.data[0] == ' ' || t.data[0] == '\t'))
		t = text_cut(t, 1);
	while (t.size > 0 && (t.data[t.size - 1] == ' ' || t.data[t.size - 1] == '\t'))
		t.size--;
	return t;
}

/* NFKC with case folding; t itself when it cannot be, or does not fit. */
static struct text fold_wide(struct text t, char buffer[static IDENTITY_BYTES_MAX])
{
	static const utf8proc_option_t options =
		(utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
				    UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
	utf8proc_uint8_t *folded = NULL;
	utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)t.data,
					     (utf8proc_ssize_t)t.size, &folded, options);
	struct text answer = t;
	if (size > 0 && (size_t)size <= IDENTITY_BYTES_MAX) {
		memcpy(buffer, folded, (size_t)size);
		answer = trim((struct text){buffer, (size_t)size});
	}
	free(folded);
	return answer.size == 0 ? t : answer;
}

struct text identity_user(struct text t, char buffer[static IDENTITY_BYTES_MAX])
{
	struct text name = trim(t);
	if (name.size == 0 || name.size > IDENTITY_BYTES_MAX)
		return t;
	if (!utf8_is_ascii(name))
		return fold_wide(name, buffer);
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];
		buffer[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	return (struct text){buffer, name.size};
}

struct text identity_source(struct text t, char buffer[static IDENTITY_BYTES_MAX])
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct cidr cidr;
	struct in6_addr network = {0};
	if (!cidr_parse(trim(t), &cidr))
		return identity_user(t, buffer);
	bool four = memcmp(cidr.address, mapped, sizeof mapped) == 0;
	if (four) {
		if (inet_ntop(AF_INET, cidr.address + sizeof mapped, buffer, IDENTITY_BYTES_MAX) ==
		    NULL)
			return t;
		return text_of(buffer);
	}
	memcpy(&network, cidr.address, NETWORK_BYTES);
	if (inet_ntop(AF_INET6, &network, buffer, INET6_ADDRSTRLEN) == NULL)
		return t;
	size_t size = strlen(buffer);
	(void)memcpy(buffer + size, "/64", sizeof "/64");
	return text_of(buffer);
}
