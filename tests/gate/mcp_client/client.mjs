// A client of `coffer mcp`, made with the protocol's own SDK. Takes one JSON object on stdin:
//
//   {"command": [...], "cwd": ..., "env": {...}, "elicit": [answer, ...] | null, "steps": [...]}
//
// and writes one line of JSON for each step with what came of it. elicit: the answers to
// elicitations, in turn; null: the client does not have it.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import {
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const plan = JSON.parse(Buffer.concat(chunks).toString());

const transport = new StdioClientTransport({
  command: plan.command[0],
  args: plan.command.slice(1),
  cwd: plan.cwd,
  env: plan.env,
  stderr: "inherit",
});
const client = new Client(
  { name: "coffer-test", version: "1" },
  { capabilities: plan.elicit ? { elicitation: {} } : {} },
);
const asked = [];
const logged = [];
if (plan.elicit)
  client.setRequestHandler(ElicitRequestSchema, async (request) => {
    asked.push(request.params);
    return plan.elicit.shift();
  });
client.setNotificationHandler(LoggingMessageNotificationSchema, async (message) => {
  logged.push(message.params);
});

const actions = {
  about: async () => ({
    version: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
  }),
  ping: () => client.ping(),
  tools: () => client.listTools(),
  resources: () => client.listResources(),
  resource: (step) => client.readResource({ uri: step.uri }),
  level: (step) => client.setLoggingLevel(step.level),
  asked: async () => asked,
  logged: async () => logged,
  call: async (step) => {
    const progress = [];
    const result = await client.callTool({ name: step.name, arguments: step.arguments }, undefined, {
      onprogress: (event) => progress.push(event),
    });
    return { ...result, progress };
  },
  // Cancels as soon as the tool has said something.
  cancel: async (step) => {
    const control = new AbortController();
    const progress = [];
    try {
      await client.callTool({ name: step.name, arguments: step.arguments }, undefined, {
        signal: control.signal,
        onprogress: (event) => {
          progress.push(event);
          if (event.message.includes(step.at)) control.abort("enough");
        },
      });
      return { cancelled: false, progress };
    } catch (error) {
      return { cancelled: true, error: String(error), progress };
    }
  },
};

await client.connect(transport);
for (const step of plan.steps) {
  let outcome;
  try {
    outcome = { result: await actions[step.do](step) };
  } catch (error) {
    outcome = { error: { code: error.code, message: error.message } };
  }
  process.stdout.write(JSON.stringify(outcome) + "\n");
}
await client.close();
