import { StartError } from "../runtime/start-error.ts";
import { BatonError } from "../session/reasons.ts";
import { ConfigurationError } from "./configuration-error.ts";
import { errorCode } from "./data-folder.ts";
import { exitCodes } from "./exit-codes.ts";
import { describeError } from "./log-values.ts";
import { redact } from "./redact.ts";

export interface Failure {
  /** For people, never with a stack. */
  readonly message: string;
  readonly exitCode: number;
}

/** What listening fails with where the configuration has to change: a port or an address that one may not or cannot have. */
const configurationCodes: ReadonlySet<string | undefined> = new Set(["EACCES", "EADDRNOTAVAIL"]);

/** The words in which a command ends that could not do what it should. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof ConfigurationError) return { message: error.message, exitCode: exitCodes.configuration };
  if (error instanceof StartError) {
    const isConfiguration = configurationCodes.has(errorCode(error.cause));
    return { message: error.message, exitCode: isConfiguration ? exitCodes.configuration : exitCodes.failed };
  }
  if (isDatabaseInUse(error)) {
    return {
      message:
        "the database in the data folder is in use by another process; stop it, or choose another BATON_DATA_DIR",
      exitCode: exitCodes.failed,
    };
  }
  if (error instanceof BatonError) return { message: redact(error.message), exitCode: exitCodes.failed };
  const described = error instanceof Error ? describeError(error) : { name: "not an Error" };
  const words = Object.values(described).join(" ");
  return { message: `an unexpected fault (${words}); please report it`, exitCode: exitCodes.failed };
}

/** SQLite's own code stands in the error, or in the cause of the one that the log made of it. */
function isDatabaseInUse(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return [error, cause].some((one) => /^SQLITE_(BUSY|LOCKED)/.test(errorCode(one) ?? ""));
}
