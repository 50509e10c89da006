import { Command } from "commander";
import { dataDirOption, defaultUrl, parseSeq, parseSessionId, parseUrl, withExample } from "./options.ts";
import { type LogOptions, runLog } from "./run-log.ts";

/** `baton log`: a session's log in the terminal. */
export function createLogCommand(): Command {
  const command = new Command("log")
    .description("print a session's log as JSON lines (not there yet)")
    .argument("<session>", "the session", parseSessionId)
    .option("--url <url>", "where the relay is", parseUrl, defaultUrl)
    .option("--from <seq>", "the first place to print; 0: the first that is kept", parseSeq, 0)
    .option("--follow", "go on with what comes", false)
    .option("--sub <user>", "sign a token for this user with the configured secret or the development key")
    .option("--token <jwt>", "take this token instead")
    .addOption(dataDirOption())
    .action((session: string, options: Omit<LogOptions, "session">) => runLog({ ...options, session }));
  return withExample(command, "npx baton log demo --from 1 --follow --sub alice");
}
