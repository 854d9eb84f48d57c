/* Runs a fuzz target over its corpus: every file of the folders given, in order of name. */
#include <assert.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

/* As libFuzzer has it: no input of the corpus may ask for gigabytes. */
const char *__asan_default_options(void)
{
	return "max_allocation_size_mb=2048";
}

static void replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	assert(file != NULL);
	(void)fseek(file, 0, SEEK_END);
	long size = ftell(file);
	assert(size >= 0);
	rewind(file);
	/* Exactly as large as the input, so that AddressSanitizer sees one byte too far. */
	uint8_t *data = malloc(size == 0 ? 1 : (size_t)size);
	assert(data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size);
	(void)fclose(file);
	(void)LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
}

int main(int argc, char **argv)
{
	int count = 0;
	for (int i = 1; i < argc; i++) {
		struct dirent **entries = NULL;
		int found = scandir(argv[i], &entries, NULL, alphasort);
		for (int k = 0; k < found; k++) {
			char path[4096];
			(void)snprintf(path, sizeof path, "%s/%s", argv[i], entries[k]->d_name);
			if (entries[k]->d_name[0] != '.') {
				replay_file(path);
				count++;
			}
			free(entries[k]);
		}
		free(entries);
	}
	printf("%d inputs replayed\n", count);
	return count > 0 ? EXIT_SUCCESS
			 : EXIT_FAILURE; /* a corpus that is gone must not look fine */
}
