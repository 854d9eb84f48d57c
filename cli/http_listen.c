#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/http_listen_private.h"

enum { BACKLOG = 64 };

static void close_socket(const int *descriptor)
{
	if (*descriptor >= 0)
		(void)close(*descriptor);
}

/* Gives the descriptor away: close_socket() then does nothing. */
static int give(int *descriptor)
{
	int given = *descriptor;
	*descriptor = -1;
	return given;
}

static bool is_answered(const struct sockaddr_un *address)
{
	int probe cleanup(close_socket) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return probe >= 0 && connect(probe, (const struct sockaddr *)address, sizeof *address) == 0;
}

enum status listen_unix(const char *path, int *ret_descriptor, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat file;
	size_t size = strlen(path);
	if (size >= sizeof address.sun_path)
		return error_set(err, EINVALID, "the path of the socket is too long: %s", path);
	memcpy(address.sun_path, path, size);
	if (lstat(path, &file) == 0) {
		if (!S_ISSOCK(file.st_mode))
			return error_set(err, EINUSE,
					 "%s is there and is no socket; remove it or set "
					 "api.socket",
					 path);
		if (is_answered(&address))
			return error_set(err, EINUSE,
					 "another daemon answers on %s; stop it first or "
					 "set api.socket",
					 path);
		(void)unlink(path);
	}
	int listener cleanup(close_socket) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return error_set(err, ESYSTEM, "no unix socket: %s", strerror(errno));
	mode_t before = umask(0177);
	int bound = bind(listener, (const struct sockaddr *)&address, sizeof address);
	int why = errno;
	(void)umask(before);
	if (bound != 0 || listen(listener, BACKLOG) != 0)
		return error_set(err, ESYSTEM, "cannot listen on %s: %s", path,
				 strerror(bound != 0 ? why : errno));
	*ret_descriptor = give(&listener);
	assert(*ret_descriptor >= 0);
	return OK;
}

/* The address as the system wants it; its size. */
static socklen_t fill(const struct listen_address *from, struct sockaddr_storage *to)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(from->port)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(from->port)};
	memset(to, 0, sizeof *to);
	if (inet_pton(AF_INET, from->host, &four.sin_addr) == 1) {
		memcpy(to, &four, sizeof four);
		return sizeof four;
	}
	int parsed = inet_pton(AF_INET6, from->host, &six.sin6_addr);
	assert(parsed == 1); /* listen_parse() took it */
	(void)parsed;
	memcpy(to, &six, sizeof six);
	return sizeof six;
}

static unsigned port_of(int descriptor)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	if (getsockname(descriptor, (struct sockaddr *)&address, &size) != 0)
		return 0;
	in_port_t port = 0;
	if (address.ss_family == AF_INET) {
		struct sockaddr_in four;
		memcpy(&four, &address, sizeof four);
		port = four.sin_port;
	} else {
		struct sockaddr_in6 six;
		memcpy(&six, &address, sizeof six);
		port = six.sin6_port;
	}
	return ntohs(port);
}

enum status listen_tcp(const struct listen_address *address, int *ret_descriptor,
		       unsigned *ret_port, struct error *err)
{
	struct sockaddr_storage to;
	socklen_t size = fill(address, &to);
	int on = 1;
	int listener cleanup(close_socket) = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return error_set(err, ESYSTEM, "no TCP socket: %s", strerror(errno));
	(void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (const struct sockaddr *)&to, size) != 0 ||
	    listen(listener, BACKLOG) != 0) {
		if (errno == EADDRINUSE)
			return error_set(
				err, EINUSE,
				"port %u of %s is taken by another program; set api.listen "
				"to a free one (or off), see who has it with: ss -ltnp",
				address->port, address->host);
		return error_set(err, ESYSTEM, "cannot listen on %s port %u: %s", address->host,
				 address->port, strerror(errno));
	}
	*ret_port = port_of(listener);
	*ret_descriptor = give(&listener);
	return OK;
}
