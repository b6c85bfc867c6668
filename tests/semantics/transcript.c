/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cpus.h"
#include "report.h"
#include "transcript.h"

#define RECORD 6u
#define HEADER                                                                                             \
	"usermap transcript, Linux 6.18: %s commands, seed %" PRIu64 " streams %" PRIu64 " steps %" PRIu64 \
	" CPUs %" PRIu32 "\n"

static void pack(const struct image *image, unsigned char record[RECORD])
{
	uint32_t code = (uint32_t)image->code, hash = image_hash(image);

	record[0] = (unsigned char)code;
	record[1] = (unsigned char)(code >> 8);
	for (int i = 0; i < 4; i++)
		record[2 + i] = (unsigned char)(hash >> (8 * i));
}

static int recorded_code(const unsigned char record[RECORD])
{
	return (int16_t)(record[0] | record[1] << 8);
}

static void record_stream(struct side *side, FILE *file, const struct program *program)
{
	unsigned char record[RECORD];
	uint64_t hash = program_hash(program);

	fwrite(&hash, sizeof(hash), 1, file);
	side_reset(side);
	for (size_t i = 0; i < program->length; i++) {
		side_execute(side, &program->commands[i]);
		pack(&side->image, record);
		fwrite(record, sizeof(record), 1, file);
	}
}

bool transcript_record(struct side *side, const char *path, const struct transcript *transcript)
{
	FILE *file = fopen(path, "wb");
	bool failed;

	if (!file) {
		perror(path);
		return false;
	}
	fprintf(file, HEADER, transcript->sound ? "sound" : "all", transcript->seed, transcript->streams,
		transcript->steps, cpus_possible());
	for (uint64_t i = 0; i < transcript->streams; i++) {
		struct program program = program_generate(transcript->seed + i, transcript->steps, transcript->sound);

		record_stream(side, file, &program);
		program_free(&program);
	}
	side_reset(side);
	failed = ferror(file) != 0;
	if (fclose(file) || failed) {
		perror(path);
		return false;
	}
	return true;
}

/* False, and a report, at the first command that is answered differently. */
static bool replay_stream(struct side *side, FILE *file, const struct program *program, uint64_t seed,
			  uint64_t *compared)
{
	unsigned char expected[RECORD], answered[RECORD];
	char code[2][32];
	uint64_t hash;

	if (fread(&hash, sizeof(hash), 1, file) != 1 || hash != program_hash(program)) {
		printf("recorded with other streams: the generator has changed, record it anew\n");
		return false;
	}
	side_reset(side);
	for (size_t i = 0; i < program->length; i++, ++*compared) {
		if (fread(expected, sizeof(expected), 1, file) != 1) {
			printf("the transcript is cut short\n");
			return false;
		}
		side_execute(side, &program->commands[i]);
		pack(&side->image, answered);
		if (memcmp(expected, answered, sizeof(expected)) == 0)
			continue;
		printf("FAILED: stream seed %" PRIu64 ", step %zu:\n  ", seed, i);
		report_command(&program->commands[i]);
		printf("  recorded: %s   %s: %s%s\n", report_code(recorded_code(expected), code[0]), side->name,
		       report_code(recorded_code(answered), code[1]),
		       memcmp(expected, answered, 2) ? "" : ", but other bytes were written");
		return false;
	}
	return true;
}

static bool read_header(FILE *file, struct transcript *transcript, uint32_t *cpus)
{
	char kind[8];

	if (fscanf(file,
		   "usermap transcript, Linux 6.18: %7s commands, seed %" SCNu64 " streams %" SCNu64 " steps %" SCNu64
		   " CPUs %" SCNu32,
		   kind, &transcript->seed, &transcript->streams, &transcript->steps, cpus) != 5)
		return false;
	transcript->sound = strcmp(kind, "sound") == 0;
	return fgetc(file) == '\n';
}

/* Whether the transcript can be held against the side. */
static bool check_header(FILE *file, const char *path, bool sound, struct transcript *transcript, uint32_t *cpus)
{
	if (!read_header(file, transcript, cpus)) {
		printf("%s is not a transcript\n", path);
		return false;
	}
	if (sound && !transcript->sound) {
		printf("%s has commands that this side can't run\n", path);
		return false;
	}
	if (*cpus != cpus_possible() || !cpus_all_usable())
		printf("recorded with %" PRIu32 " CPUs, all usable: streams with per-CPU and LRU maps are left out\n",
		       *cpus);
	return true;
}

static bool replay_streams(struct side *side, FILE *file, const struct transcript *transcript, bool by_cpus,
			   uint64_t *compared)
{
	for (uint64_t i = 0; i < transcript->streams; i++) {
		uint64_t seed = transcript->seed + i;
		struct program program;
		bool same;

		if (program_needs_cpus(seed) && !by_cpus) {
			fseek(file, (long)(sizeof(uint64_t) + transcript->steps * RECORD), SEEK_CUR);
			continue;
		}
		program = program_generate(seed, transcript->steps, transcript->sound);
		same = replay_stream(side, file, &program, seed, compared);
		program_free(&program);
		if (!same)
			return false;
	}
	return true;
}

bool transcript_replay(struct side *side, const char *path, bool sound, uint64_t *compared)
{
	struct transcript transcript;
	FILE *file = fopen(path, "rb");
	uint32_t cpus;
	bool same;

	if (!file) {
		perror(path);
		return false;
	}
	same = check_header(file, path, sound, &transcript, &cpus) &&
	       replay_streams(side, file, &transcript, cpus == cpus_possible() && cpus_all_usable(), compared);
	side_reset(side);
	fclose(file);
	return same;
}
