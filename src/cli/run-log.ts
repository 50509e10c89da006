import process from "node:process";
import { exitCodes } from "./exit-codes.ts";

export interface LogOptions {
  readonly session: string;
  readonly url: string;
  readonly from: number;
  readonly follow: boolean;
  readonly sub?: string;
  readonly token?: string;
  readonly dataDir?: string;
}

/** The log of a session as JSON lines. */
export async function runLog(_options: LogOptions): Promise<void> {
  process.stderr.write("baton log is not there yet: it comes with the client\n");
  process.exitCode = exitCodes.failed;
}
