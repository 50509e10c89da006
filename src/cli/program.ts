import { Command } from "commander";
import { redact } from "../runtime/redact.ts";
import { readVersion } from "../runtime/version.ts";
import { createAdminCommand } from "./command-admin.ts";
import { createBackupCommand } from "./command-backup.ts";
import { createBenchCommand } from "./command-bench.ts";
import { createCheckCommand } from "./command-check.ts";
import { createJoinCommand } from "./command-join.ts";
import { createLogCommand } from "./command-log.ts";
import { createStartCommand } from "./command-start.ts";
import { createTokenCommand } from "./command-token.ts";
import { withExample } from "./options.ts";

/** The commands. Nothing runs before `parseAsync`. */
export function createProgram(): Command {
  const program = configure(new Command("baton"))
    .description("An edge relay for live sessions.")
    .version(readVersion());
  const commands = [
    createStartCommand(),
    createTokenCommand(),
    createJoinCommand(),
    createLogCommand(),
    createAdminCommand(),
    createBackupCommand(),
    createCheckCommand(),
    createBenchCommand(),
  ];
  for (const command of commands) {
    program.addCommand(configure(command));
    for (const part of command.commands) configure(part);
  }
  return withExample(program, "start");
}

/** Usage errors repeat what was typed, which may be a token behind a mistyped flag. */
const configure = (command: Command) =>
  command.configureOutput({ outputError: (text, write) => write(redact(text)) }).showHelpAfterError("Try --help.");
