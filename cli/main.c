/* picket - every verb of the program; see command.def for the list. */
#include <assert.h>
#include <locale.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "cli/command.h"
#include "cli/dispatch.h"

static struct environment read_environment(void)
{
	const char *terminal = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");
	const struct passwd *user = getpwuid(geteuid());
	return (struct environment){
		.server = getenv("PICKET_SERVER"),
		.config = getenv("PICKET_CONFIG"),
		.token_file = getenv("PICKET_TOKEN_FILE"),
		.ca_file = getenv("PICKET_CA_FILE"),
		.user = user == NULL ? "unknown" : user->pw_name,
		.no_color = (no_color != NULL && no_color[0] != '\0') ||
			    (terminal != NULL && strcmp(terminal, "dumb") == 0),
	};
}

int main(int argc, char **argv)
{
	/* Widths of table cells need an encoding; a container without a locale still gets UTF-8. */
	const char *encoding = setlocale(LC_CTYPE, "");
	if (encoding == NULL || strcmp(encoding, "C") == 0 || strcmp(encoding, "POSIX") == 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
	assert(argc >= 0);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return EXIT_INTERNAL;
	struct session session = {.environment = read_environment(),
				  .output = {.to = stdout, .terminal = isatty(STDOUT_FILENO) == 1},
				  .problems = stderr};
	int code =
		dispatch(&session, (const char *const *)argv + 1, argc > 0 ? (size_t)argc - 1 : 0);
	if (fflush(stdout) != 0 && code == EXIT_OK)
		code = EXIT_INTERNAL; /* what was asked for did not arrive */
	curl_global_cleanup();
	return code;
}
