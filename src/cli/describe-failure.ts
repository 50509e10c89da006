import { describeError } from "../runtime/log-values.ts";
import { redact } from "../runtime/redact.ts";
import { StartError } from "../runtime/start-error.ts";
import { BatonError } from "../session/reasons.ts";
import { ConfigurationError } from "./configuration-error.ts";
import { errorCode } from "./data-folder.ts";
import { exitCodes } from "./exit-codes.ts";

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
  if (error instanceof BatonError) return { message: redact(error.message), exitCode: exitCodes.failed };
  const described = error instanceof Error ? describeError(error) : { name: "not an Error" };
  const words = Object.values(described).join(" ");
  return { message: `an unexpected fault (${words}); please report it`, exitCode: exitCodes.failed };
}
