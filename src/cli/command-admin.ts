import { Command, InvalidArgumentError } from "commander";
import { dataDirOption, defaultUrl, parseSessionId, parseUrl, requireIdentity, withExample } from "./options.ts";
import { type AdminOptions, runDelete, runDescribe, runDisconnect, runRevoke, runSessions } from "./run-admin.ts";

/** `baton admin`: what an operator sees and does of a relay that runs. */
export function createAdminCommand(): Command {
  const command = new Command("admin").description("see and steer a relay that runs; prints JSON lines");
  for (const one of [sessions(), describe(), disconnect(), revoke(), remove()]) command.addCommand(one);
  return withExample(command, "admin sessions --sub operator");
}

/** What every one of them is told: which relay, and by whom. */
function adminCommand(name: string, says: string): Command {
  return new Command(name)
    .description(says)
    .option("--url <url>", "where the relay is", parseUrl, defaultUrl)
    .option("--sub <user>", "sign an operator's token for this user with the configured secret or the development key")
    .option("--token <jwt>", "take this token instead; it needs the scope session:admin")
    .addOption(dataDirOption());
}

function sessions(): Command {
  const command = adminCommand("sessions", "list the sessions that the token names, a line each")
    .option("--prefix <text>", "those whose id begins with this", "")
    .option("--limit <count>", "at most so many; left out, all", parseCount)
    .action((options: AdminOptions & { readonly prefix: string; readonly limit?: number }) => {
      requireIdentity(command, options);
      return runSessions(options);
    });
  return withExample(command, "admin sessions --prefix team-a/ --sub operator");
}

function describe(): Command {
  const command = adminCommand("describe", "who is in a session, and its files")
    .argument("<session>", "the session", parseSessionId)
    .action((session: string, options: AdminOptions) => {
      requireIdentity(command, options);
      return runDescribe({ ...options, session });
    });
  return withExample(command, "admin describe demo --sub operator");
}

function disconnect(): Command {
  const command = adminCommand("disconnect", "end the streams of a user; its token lets it come back")
    .requiredOption("--user <user>", "whose streams")
    .option("--client <id>", "of this device or tab alone", "")
    .option("--session <session>", "in this session alone", parseSessionId)
    .action((options: AdminOptions & { readonly user: string; readonly client: string; readonly session?: string }) => {
      requireIdentity(command, options);
      return runDisconnect(options);
    });
  return withExample(command, "admin disconnect --user alice --session demo --sub operator");
}

function revoke(): Command {
  const command = adminCommand("revoke", "refuse tokens from now on, and end the streams that live on them")
    .option("--user <user>", "all tokens of this user that were issued until now")
    .option("--token-id <id>", "the token with this claim jti")
    .action((options: AdminOptions & { readonly user?: string; readonly tokenId?: string }) => {
      requireIdentity(command, options);
      const { user, tokenId } = options;
      if ((user === undefined) === (tokenId === undefined)) {
        command.error("error: which tokens? Give --user <user>, or --token-id <id> (the claim jti), one of the two");
      }
      return runRevoke(options);
    });
  return withExample(command, "admin revoke --user alice --sub operator");
}

function remove(): Command {
  const command = adminCommand("delete", "delete a session and its log, for good")
    .argument("<session>", "the session", parseSessionId)
    .option("--yes", "yes, for good", false)
    .action((session: string, options: AdminOptions & { readonly yes: boolean }) => {
      requireIdentity(command, options);
      if (!options.yes) {
        command.error(`error: this deletes all that was ever said in ${session}, for good; give --yes to do it`);
      }
      return runDelete({ ...options, session });
    });
  return withExample(command, "admin delete demo --yes --sub operator");
}

function parseCount(text: string): number {
  const count = Number(text);
  if (/^[1-9][0-9]{0,8}$/.test(text)) return count;
  throw new InvalidArgumentError("A count is a whole number from 1 on.");
}
