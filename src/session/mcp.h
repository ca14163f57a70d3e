/* What the files of `coffer mcp` share. */
#ifndef COFFER_SESSION_MCP_H
#define COFFER_SESSION_MCP_H

#include "session/core.h"

/* As of RFC 5424, which the protocol's levels follow; the graver the smaller. */
enum mcp_level { MCP_ERROR = 3, MCP_WARNING, MCP_NOTICE, MCP_INFO, MCP_DEBUG };

struct mcp {
	struct session *session;
	const char *version; /* negotiated; NULL: not yet */
	bool ready;          /* the client has said so, and may be sent notifications */
	bool elicitation;    /* the client can ask its user */
	bool modes;          /* elicitation has modes (2025-11-25) */
	enum mcp_level level;
};

static inline struct mcp *mcp_of(const struct session *session)
{
	return session->face_data;
}

/* ---- mcp_tools.c ---- */

void mcp_tools_list(void *data, struct rpc_request *request, json_t *params);
void mcp_tools_call(void *data, struct rpc_request *request, json_t *params);
void mcp_output(struct call *call, int stream, const char *data, size_t length_bytes);
void mcp_note(struct call *call, const char *note, const json_t *fields);

/* ---- mcp_render.c ---- */

/* A call's result for a model to read. */
json_t *mcp_render(const struct call *call, const json_t *result);
json_t *mcp_render_explanation(const json_t *explanation);

/* ---- mcp_ask.c ---- */

void mcp_question(struct call *call, const json_t *request);
void mcp_forget_question(struct call *call);
bool mcp_ask_terminal(struct session *session);

#endif
