import { Command, InvalidArgumentError } from "commander";
import { clientIdPattern } from "../session/limits.ts";
import { participantScope } from "./command-token.ts";
import { dataDirOption, defaultUrl, parseSessionId, parseUrl, withExample } from "./options.ts";
import { type JoinOptions, runJoin } from "./run-join.ts";

/** `baton join`: a participant in the terminal. */
export function createJoinCommand(): Command {
  const command = new Command("join")
    .description("take part in a session: JSON lines in, JSON lines out (not there yet)")
    .argument("<session>", "the session", parseSessionId)
    .option("--url <url>", "where the relay is", parseUrl, defaultUrl)
    .option("--sub <user>", "sign a token for this user with the configured secret or the development key")
    .option("--scope <scopes>", "what that token allows", participantScope)
    .option("--token <jwt>", "take this token instead")
    .option("--client-id <id>", "the device or tab; left out, the relay names it", parseClientId)
    .addOption(dataDirOption())
    .action((session: string, options: Omit<JoinOptions, "session">) => runJoin({ ...options, session }));
  return withExample(command, "npx baton join demo --sub alice");
}

function parseClientId(text: string): string {
  if (clientIdPattern.test(text)) return text;
  throw new InvalidArgumentError("A client id matches [A-Za-z0-9_-]{1,64}.");
}
