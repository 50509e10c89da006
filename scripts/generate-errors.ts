// Writes docs/errors.md, or the file that is named, from the list of reasons in src/session/reasons.ts.
import { writeFileSync } from "node:fs";
import process from "node:process";
import { Fault_Action as Action } from "../src/gen/codereview/v1/codereview_pb.ts";
import { type Reason, type ReasonScope, reasons, scopeOf } from "../src/session/reasons.ts";

/** What a client does about it; the words of the contract's `Fault.Action`. */
const actions: Readonly<Record<Exclude<keyof typeof Action, "ACTION_UNSPECIFIED">, string>> = {
  DROP: "The message is refused for good. Its number is free again; what was sent behind it goes again, numbered on from there.",
  RETRY: "The same message under the same number, after `retry_after_ms`.",
  RESYNC:
    "A new stream: Join with the client id, without a resume token, history SNAPSHOT; then the pending work on top of it.",
  REAUTHENTICATE: "A new token first. The resume token still says where to go on.",
  RECONNECT: "A new stream, with the resume token, not before `retry_after_ms`.",
  STOP: "Nothing that the program does by itself helps.",
};

const nameOf = new Map<Action, string>(Object.entries(Action).map(([name, action]) => [action, name]));
const escapeCell = (cell: string) => cell.replaceAll("<", "&lt;").replaceAll("|", "\\|");

const scopes: Readonly<Record<ReasonScope, string>> = { stream: "yes", message: "no", either: "either" };

const isReason = (name: string): name is Reason => Object.hasOwn(reasons, name);

const rows = Object.keys(reasons)
  .filter(isReason)
  .map((reason) => {
    const { code, action, says } = reasons[reason];
    const ends = scopes[scopeOf(reason)];
    return `| \`${reason}\` | \`${code}\` | ${ends} | ${nameOf.get(action)} | ${escapeCell(says)} |`;
  });

const text = `# Why the relay refuses

<!-- Generated from src/session/reasons.ts by npm run generate. -->

Whatever the relay refuses or ends has a *reason*: a name that does not change, for programs to branch on. It comes in a
\`Fault\`: as a message on a stream that lives on, in the replies of a \`Publish\`, or as the detail of the Connect error that
ends a stream or a call. Beside it stand the Connect code, what the client does about it (\`action\`), and a sentence for
people, which may be more exact than the one below and is not for programs. The list is closed: a newer relay may add
reasons, and a client that does not know one goes by its action.

## Actions

| action | what the client does |
|---|---|
${Object.entries(actions)
  .map(([action, meaning]) => `| ${action} | ${meaning} |`)
  .join("\n")}

\`SUPERSEDED\` is the one reason with a choice: the client stops, or goes on under a client id of its own.

## Reasons

Whether it *ends* the stream or call: *yes*; *no*, it refuses one message, and the stream or call lives on; *either*, by where it is found: of a message
on a stream it is told while the stream lives on, a call that asks for what it names ends with it. A client of the original contract has no
way to be told of a message: every refusal ends its stream.

| reason | code | ends | action | says |
|---|---|---|---|---|
${rows.join("\n")}
`;

writeFileSync(process.argv[2] ?? "docs/errors.md", text);
