#include "config/config.h"

#include <string.h>

static const char *const names[HOOK_EVENTS] = {
	[HOOK_SESSION_START] = "SessionStart",
	[HOOK_USER_PROMPT_SUBMIT] = "UserPromptSubmit",
	[HOOK_PRE_TOOL_USE] = "PreToolUse",
	[HOOK_PERMISSION_REQUEST] = "PermissionRequest",
	[HOOK_POST_TOOL_USE] = "PostToolUse",
	[HOOK_STOP] = "Stop",
	[HOOK_SESSION_END] = "SessionEnd",
	[HOOK_PRE_COMPACT] = "PreCompact",
	[HOOK_POST_COMPACT] = "PostCompact",
	[HOOK_SUBAGENT_START] = "SubagentStart",
	[HOOK_SUBAGENT_STOP] = "SubagentStop",
};

const char *hook_event_name(enum hook_event event)
{
	return names[event];
}

enum hook_event hook_event_from_name(const char *name)
{
	enum hook_event event = 0;
	while (event < HOOK_EVENTS && strcmp(names[event], name) != 0)
		event++;
	return event;
}
