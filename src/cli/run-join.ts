import process from "node:process";
import { exitCodes } from "./exit-codes.ts";

export interface JoinOptions {
  readonly session: string;
  readonly url: string;
  readonly sub?: string;
  readonly token?: string;
  readonly clientId?: string;
  readonly scope?: string;
  readonly dataDir?: string;
}

/** A participant in the terminal. */
export async function runJoin(_options: JoinOptions): Promise<void> {
  process.stderr.write("baton join is not there yet: it comes with the client\n");
  process.exitCode = exitCodes.failed;
}
