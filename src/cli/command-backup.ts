import { Command } from "commander";
import { dataDirOption, defaultUrl, parseUrl, requireIdentity, withExample } from "./options.ts";
import { type BackupOptions, runBackup } from "./run-backup.ts";

/** `baton backup`: the whole log in one file, from a relay that runs, or from the folder of one that does not. */
export function createBackupCommand(): Command {
  const command = new Command("backup")
    .description("write a backup of the whole log, and look through it; prints a JSON line")
    .requiredOption("--to <file>", "where it goes; a file that is there already is not touched")
    .option("--url <url>", "the relay, which goes on meanwhile", parseUrl, defaultUrl)
    .option("--sub <user>", "sign an operator's token for this user with the configured secret or the development key")
    .option("--token <jwt>", 'take this token instead; it needs the scope session:admin and sessions ["*"]')
    .option("--offline", "no relay runs: read its data folder instead", false)
    .addOption(dataDirOption())
    .action((options: BackupOptions) => {
      if (!options.offline) requireIdentity(command, options);
      return runBackup(options);
    });
  return withExample(
    command,
    "backup --to /backups/baton-monday.sqlite --sub operator",
    "backup --to /backups/baton-monday.sqlite --offline --data-dir /var/lib/baton",
  );
}
