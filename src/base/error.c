#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void error_fill(
	struct error *error, int errno_value, const char *stage, const char *format, va_list args)
{
	error->errno_value = errno_value;
	snprintf(error->stage, sizeof(error->stage), "%s", stage);
	vsnprintf(error->message, sizeof(error->message), format, args);
	error->hint[0] = '\0';
}

int error_set(struct error *error, int errno_value, const char *stage, const char *format, ...)
{
	if (error) {
		va_list args;
		va_start(args, format);
		error_fill(error, errno_value, stage, format, args);
		va_end(args);
	}
	return -errno_value;
}

int error_set_errno(
	struct error *error, int errno_value, const char *stage, const char *format, ...)
{
	if (error) {
		va_list args;
		va_start(args, format);
		error_fill(error, errno_value, stage, format, args);
		va_end(args);
		size_t used = strlen(error->message);
		/* strerrordesc_np is a table look-up: no locale, no allocation, safe after
		 * clone. */
		const char *word = strerrordesc_np(errno_value);
		snprintf(error->message + used, sizeof(error->message) - used, ": %s",
			word ? word : "unknown error");
	}
	return -errno_value;
}

int error_hint(struct error *error, const char *format, ...)
{
	if (!error)
		return -EINVAL;
	va_list args;
	va_start(args, format);
	vsnprintf(error->hint, sizeof(error->hint), format, args);
	va_end(args);
	return -error->errno_value;
}
