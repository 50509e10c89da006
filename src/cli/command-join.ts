import { Command, InvalidArgumentError, Option } from "commander";
import { clientIdPattern } from "../session/limits.ts";
import { parseScopeList, participantScope } from "./command-token.ts";
import {
  dataDirOption,
  defaultUrl,
  parseSessionId,
  parseUrl,
  requireIdentity,
  ttlOption,
  withExample,
} from "./options.ts";
import { carriageKinds } from "./relay-transport.ts";
import { type JoinOptions, runJoin } from "./run-join.ts";

/** `baton join`: a participant in the terminal. */
export function createJoinCommand(): Command {
  const command = new Command("join")
    .description("take part in a session; where stdin or stdout is no terminal: JSON lines in, JSON lines out")
    .argument("<session>", "the session", parseSessionId)
    .option("--url <url>", "where the relay is", parseUrl, defaultUrl)
    .option("--sub <user>", "sign a token for this user with the configured secret or the development key")
    .option("--scope <scopes>", "what that token allows", parseScopeList, participantScope)
    .addOption(ttlOption("how long that token is good for; it is renewed by itself"))
    .option("--token <jwt>", "take this token instead")
    .addOption(
      new Option(
        "--carriage <kind>",
        "how the session is held: the first of the others that works, one stream both ways, a WebSocket, or a stream down and calls up",
      )
        .choices(carriageKinds)
        .default("auto"),
    )
    .option("--client-id <id>", "the device or tab; left out, a new one", parseClientId)
    .option("--display-name <name>", "what others see beside the user")
    .addOption(dataDirOption())
    .action((session: string, options: Omit<JoinOptions, "session">) => {
      requireIdentity(command, options);
      return runJoin({ ...options, session });
    });
  return withExample(command, "join demo --sub alice");
}

function parseClientId(text: string): string {
  if (clientIdPattern.test(text)) return text;
  throw new InvalidArgumentError("A client id matches [A-Za-z0-9_-]{1,64}.");
}
