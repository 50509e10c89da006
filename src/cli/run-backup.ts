import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { endFromError } from "../client/stream-error.ts";
import { openSqliteLog } from "../durable/log-sqlite.ts";
import { backupBytesHeader, backupPath } from "../relay/admin/backup.ts";
import { databaseName, engineOf } from "../runtime/open-log.ts";
import { BatonError } from "../session/reasons.ts";
import { writeBackup } from "./backup-file.ts";
import { requireConfig } from "./config.ts";
import { describeAdminFailure } from "./describe-admin-failure.ts";
import { exitCodes } from "./exit-codes.ts";
import { openTokenSource } from "./token-source.ts";

export interface BackupOptions {
  readonly to: string;
  readonly url: string;
  readonly sub?: string;
  readonly token?: string;
  readonly offline: boolean;
  readonly dataDir?: string;
}

/** Ends the process: with 0 and a JSON line, or with words on stderr that say what to do. */
export async function runBackup(options: BackupOptions): Promise<void> {
  // It holds what people wrote: its owner's alone.
  process.umask(0o077);
  const path = resolve(options.to);
  const startedMs = Date.now();
  const outcome = options.offline ? await backUpFolder(path, options) : await backUpRelay(path, options);
  const { bytes, sessions, records, damaged } = outcome;
  const ms = Date.now() - startedMs;
  process.stdout.write(`${JSON.stringify({ backup: path, bytes, sessions, records, damaged, ms })}\n`);
  if (damaged.length === 0) process.exit(exitCodes.ok);
  process.stderr.write(
    "the backup is whole, but these sessions are damaged in it as they are in the log: older backups may have them; " +
      "keep those\n",
  );
  process.exit(exitCodes.failed);
}

async function backUpFolder(path: string, { dataDir }: BackupOptions) {
  const config = await requireConfig(process.env, { dataDir });
  if (config.log !== "sqlite") {
    throw new BatonError(
      "LOG_UNAVAILABLE",
      `baton backup copies a log in SQLite, and this one is ${engineOf(config.log)} (BATON_LOG); a Redis is backed up by its own means`,
    );
  }
  const database = join(config.dataDir, databaseName);
  if (!existsSync(database)) {
    throw new BatonError(
      "LOG_UNAVAILABLE",
      `there is no log in ${config.dataDir}; give the relay's folder (--data-dir)`,
    );
  }
  const log = await openSqliteLog({ path: database, now: Date.now });
  try {
    const backup = log.openBackup();
    return await writeBackup(path, backup.bytes, backup.chunks());
  } finally {
    await log.close();
  }
}

/** What the relay says, it says before the first byte; what comes after it is the database, or is cut off. */
async function backUpRelay(path: string, { url, sub, token, dataDir }: BackupOptions) {
  const tokens = await openTokenSource({ session: "*", sub, token, scope: "session:admin", ttlSeconds: 60, dataDir });
  const headers = { authorization: `Bearer ${(await tokens("join")) ?? ""}` };
  const attempted = { url, session: "*", signs: sub !== undefined };
  const response = await fetch(`${url}${backupPath}`, { method: "POST", headers }).catch((error: unknown) => {
    const why = describeAdminFailure(endFromError(error), attempted);
    throw new BatonError("LOG_UNAVAILABLE", `${why} Where none runs, give --offline`);
  });
  if (response.status === 404 && !response.headers.get("content-type")?.includes("json")) {
    const who = "it is no Baton relay, or one on Workers, whose platform keeps what can be restored";
    throw new BatonError("LOG_UNAVAILABLE", `what answers at ${url} makes no backups (HTTP 404): ${who}`);
  }
  if (!response.ok || response.body === null) {
    throw new BatonError("LOG_UNAVAILABLE", describeAdminFailure(endFromError(await errorIn(response)), attempted));
  }
  return await writeBackup(path, Number(response.headers.get(backupBytesHeader)), response.body);
}

async function errorIn(response: Response): Promise<ConnectError> {
  const fallback = new ConnectError(`HTTP ${response.status}`, Code.Unknown);
  const bytes = new Uint8Array(await response.arrayBuffer());
  try {
    return errorFromJsonBytes(bytes, undefined, fallback);
  } catch {
    return fallback;
  }
}
