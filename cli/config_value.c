/* Values of picket.yaml that have a form of their own: addresses, sizes, starts, secrets. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/config.h"

/* Decimal digits only, up to `most`. */
static bool number_parse(struct text t, int64_t most, int64_t *ret_number)
{
	assert(most > 0);
	int64_t number = 0;
	if (t.size == 0)
		return false;
	for (size_t i = 0; i < t.size; i++) {
		int digit = t.data[i] - '0';
		if (digit < 0 || digit > 9 || number > (most - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*ret_number = number;
	return true;
}

bool size_parse(struct text t, int64_t *ret_bytes)
{
	static const struct {
		struct text name;
		unsigned shift;
	} units[] = {{{"KiB", 3}, 10}, {{"MiB", 3}, 20}, {{"GiB", 3}, 30}, {{"TiB", 3}, 40}};
	unsigned shift = 0;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		struct text name = units[i].name;
		if (t.size > name.size && text_equal(text_cut(t, t.size - name.size), name)) {
			shift = units[i].shift;
			t.size -= name.size;
			break;
		}
	}
	int64_t number = 0;
	if (!number_parse(t, INT64_MAX >> shift, &number))
		return false;
	*ret_bytes = number << shift;
	return true;
}

bool start_parse(struct text t, int64_t *ret_ago_us)
{
	int64_t ago_us = 0;
	if (text_equal(t, TEXT("latest"))) {
		*ret_ago_us = 0;
		return true;
	}
	if (text_equal(t, TEXT("earliest"))) {
		*ret_ago_us = -1;
		return true;
	}
	if (t.size < 2 || t.data[0] != '-' || !duration_parse(text_cut(t, 1), &ago_us) ||
	    ago_us <= 0)
		return false;
	*ret_ago_us = ago_us;
	return true;
}

static bool is_loopback(const char *host, bool *ret_loopback)
{
	struct in_addr four;
	struct in6_addr six;
	if (inet_pton(AF_INET, host, &four) == 1) {
		*ret_loopback = ntohl(four.s_addr) >> 24 == 127;
		return true;
	}
	if (inet_pton(AF_INET6, host, &six) == 1) {
		*ret_loopback = IN6_IS_ADDR_LOOPBACK(&six);
		return true;
	}
	return false;
}

bool listen_parse(struct text t, struct listen_address *ret_address)
{
	struct listen_address address = {0};
	if (text_equal(t, TEXT("off"))) {
		*ret_address = (struct listen_address){.off = true};
		return true;
	}
	const char *colon = t.size == 0 ? NULL : memrchr(t.data, ':', t.size);
	if (colon == NULL)
		return false;
	struct text host = {t.data, (size_t)(colon - t.data)};
	int64_t port = 0;
	if (!number_parse(text_cut(t, host.size + 1), 65535, &port))
		return false;
	bool brackets = host.size >= 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
	if (brackets)
		host = (struct text){host.data + 1, host.size - 2};
	if (host.size == 0 || host.size >= sizeof address.host)
		return false;
	memcpy(address.host, host.data, host.size);
	if (text_equal(host, TEXT("localhost")))
		(void)snprintf(address.host, sizeof address.host, "127.0.0.1");
	bool six = strchr(address.host, ':') != NULL;
	if (six != brackets || !is_loopback(address.host, &address.loopback))
		return false;
	address.port = (unsigned short)port;
	*ret_address = address;
	return true;
}

static void close_file(const int *descriptor)
{
	if (*descriptor >= 0)
		(void)close(*descriptor);
}

enum status secret_read(const char *path, struct arena *arena, struct text *ret_secret,
			struct error *err)
{
	char buffer[CONFIG_SECRET_MAX];
	int file cleanup(close_file) = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return error_set(err, ESYSTEM, "cannot read the secret in %s: %s", path,
				 strerror(errno));
	size_t size = 0;
	for (;;) {
		ssize_t got = read(file, buffer + size, sizeof buffer - size);
		if (got < 0)
			return error_set(err, ESYSTEM, "cannot read the secret in %s: %s", path,
					 strerror(errno));
		if (got == 0)
			break;
		size += (size_t)got;
		if (size == sizeof buffer)
			return error_set(err, ELIMIT, "%s is larger than a secret may be (64 KiB)",
					 path);
	}
	while (size > 0 && (buffer[size - 1] == '\n' || buffer[size - 1] == '\r'))
		size--;
	if (size == 0)
		return error_set(err, EINVALID, "%s is empty; put the secret into it", path);
	struct text secret = arena_copy(arena, (struct text){buffer, size});
	explicit_bzero(buffer, sizeof buffer);
	if (secret.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for a secret");
	*ret_secret = secret;
	return OK;
}
