import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ConfigurationError } from "./configuration-error.ts";

export const defaultDataDir = "./data";

/**
 * Where a key is to be read that a relay made: throws a `ConfigurationError` where the folder is not there, since a key
 * made in it would sign what no relay takes. The default one may be missing, before the first start.
 */
export async function requireDataFolder(dataDir: string): Promise<void> {
  if (dataDir === resolve(defaultDataDir)) return;
  try {
    await stat(dataDir);
  } catch (cause) {
    throw new ConfigurationError(
      `there is no data folder ${dataDir}; give the one of the relay (--data-dir, BATON_DATA_DIR), or start one there`,
      { cause },
    );
  }
}

/** Only the relay's own user reads what is in it: the development key, and what people wrote. */
const folderMode = 0o700;

/** Makes the folder where there is none, and writes to it. Throws a `ConfigurationError` where that cannot be done. */
export async function openDataFolder(dataDir: string): Promise<void> {
  const probe = join(dataDir, `.probe-${randomUUID()}`);
  try {
    await mkdir(dataDir, { recursive: true, mode: folderMode });
    await writeFile(probe, "");
    await rm(probe);
  } catch (error) {
    throw cannotWrite(dataDir, error);
  }
}

/** Puts the file in place whole: whoever reads it meanwhile sees the old one or the new one. */
export async function writeDataFile(dataDir: string, name: string, content: Uint8Array): Promise<string> {
  const path = join(dataDir, name);
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, content);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw cannotWrite(dataDir, error);
  }
  return path;
}

export function cannotWrite(dataDir: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    `the data folder ${dataDir} cannot be written (${whyNot(cause)}); ` +
      "make it writable, or choose another with BATON_DATA_DIR or --data-dir",
    { cause },
  );
}

/** Why a file cannot be used, in a word or a few. Deno's refusals, unlike the system's, have no code (2.9.6). */
export function whyNot(error: unknown): string {
  if (error instanceof Error && error.name === "NotCapable")
    return "not among the paths of --allow-read and --allow-write";
  return errorCode(error) ?? "unknown error";
}

/** The system's name of an error: ENOENT, EADDRINUSE, SQLITE_BUSY. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
