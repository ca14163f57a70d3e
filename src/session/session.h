/* `coffer session` (JSON-RPC 2.0) and `coffer mcp` (Model Context Protocol): an agent's host on
 * stdin and stdout, many tool calls at once, hooks and the gate before each, a box for each.
 *
 * Theory of operation: the session's process reads and writes the wire, and holds what calls share
 * (answers for this session, the reviewer's history, the user's words). Each tool call is a process
 * of its own (session/call.c), forked, which tells its story in order - hooks, decision, settling,
 * box, hooks - and speaks to the session over a socket pair: output as it comes, questions, the
 * result. So no call can hold up another, a cancelled call is a killed process whose box dies with
 * it, and what parses a program's output is not what holds the session. */
#ifndef COFFER_SESSION_SESSION_H
#define COFFER_SESSION_SESSION_H

int cmd_session(int argc, char *argv[]);
int cmd_mcp(int argc, char *argv[]);

#endif
