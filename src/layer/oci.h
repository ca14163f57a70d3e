/* Words of the OCI image layout that export writes and import reads. */
#ifndef COFFER_LAYER_OCI_H
#define COFFER_LAYER_OCI_H

#define OCI_LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define OCI_BLOBS "blobs/sha256/"
#define OCI_SHA256 "sha256:"
#define OCI_WHITEOUT ".wh."
#define OCI_OPAQUE ".wh..wh..opq"
#define OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_TYPE_LAYER "application/vnd.oci.image.layer.v1.tar"
/* Which directories the image's are roots of, and what of the host lies below each: an object with a
 * string or null for each path. */
#define OCI_ROOTS_LABEL "coffer.roots"

#endif
