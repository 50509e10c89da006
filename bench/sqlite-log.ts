import { existsSync } from "node:fs";
import type { SessionLog } from "../src/durable/session-log.ts";

export type OpenSqliteLog = (options: { readonly path: string; readonly now: () => number }) => Promise<SessionLog>;

const file = new URL("../src/durable/log-sqlite.ts", import.meta.url);

/** Undefined where this tree has no SQLite log. */
export async function findSqliteLog(): Promise<OpenSqliteLog | undefined> {
  if (!existsSync(file)) return undefined;
  const found: { openSqliteLog: OpenSqliteLog } = await import(file.href);
  return found.openSqliteLog;
}
