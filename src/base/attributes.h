/* Extended attributes. */
#ifndef COFFER_BASE_ATTRIBUTES_H
#define COFFER_BASE_ATTRIBUTES_H

/* Gives the file to those of from. What only the system sets (labels) is left out, and capabilities
 * where the caller may not set them. 0 or -errno. */
int attributes_copy(int from, int to);

#endif
