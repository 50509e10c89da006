import { Command, Option } from "commander";
import {
  dataDirOption,
  defaultUrl,
  parseSeq,
  parseSessionId,
  parseUrl,
  requireIdentity,
  ttlOption,
  withExample,
} from "./options.ts";
import { carriageKinds } from "./relay-transport.ts";
import { type LogOptions, runLog } from "./run-log.ts";

/** `baton log`: a session's log in the terminal. */
export function createLogCommand(): Command {
  const command = new Command("log")
    .description("print a session's log: JSON lines, or where stdout is a terminal a readable line each")
    .argument("<session>", "the session", parseSessionId)
    .option("--url <url>", "where the relay is", parseUrl, defaultUrl)
    .option("--from <seq>", "the first place to print; 0: the first that is kept", parseSeq, 0)
    .option("--to <seq>", "the last place to print; 0: the newest, or with --follow no end", parseSeq, 0)
    .option("--follow", "go on with what comes, over cuts and restarts, until Ctrl-C", false)
    .option("--sub <user>", "sign a token for this user with the configured secret or the development key")
    .addOption(ttlOption("how long that token is good for; it is renewed by itself"))
    .option("--token <jwt>", "take this token instead")
    .addOption(
      new Option("--carriage <kind>", "with --follow, how the session is held: as of join")
        .choices(carriageKinds)
        .default("auto"),
    )
    .addOption(dataDirOption())
    .action((session: string, options: Omit<LogOptions, "session">) => {
      requireIdentity(command, options);
      const { from, to } = options;
      if (to !== 0 && from > to) command.error(`error: --from ${from} is after --to ${to}: there is nothing between`);
      return runLog({ ...options, session });
    });
  return withExample(command, "log demo --from 1 --follow --sub alice");
}
