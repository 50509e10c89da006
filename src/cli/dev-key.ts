import { randomBytes, randomUUID } from "node:crypto";
import { link, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { ConfigurationError } from "./configuration-error.ts";
import { cannotWrite, errorCode, openDataFolder, whyNot } from "./data-folder.ts";

const keyBytes = 32;
const keyPattern = /^[A-Za-z0-9_-]{43}$/;
const othersMayRead = 0o077;

/** No such file, or nothing on the way to it that could hold one: making it tells which. */
const missing: ReadonlySet<string | undefined> = new Set(["ENOENT", "ENOTDIR"]);

export const devKeyPath = (dataDir: string) => join(dataDir, "dev-key");

/**
 * The secret that stands in for a configured one: made once in the data folder, then read. The file's text itself is
 * the secret, so `BATON_JWT_SECRET="$(cat data/dev-key)"` takes the same tokens. Throws a `ConfigurationError` where the file cannot be
 * made, is no key, or may be read by others.
 */
export async function openDevKey(dataDir: string): Promise<Uint8Array> {
  const path = devKeyPath(dataDir);
  const kept = (await readDevKey(path)) ?? (await makeDevKey(dataDir, path));
  if (!keyPattern.test(kept)) throw new ConfigurationError(`${path} holds no key; remove it, a new one is made`);
  return new TextEncoder().encode(kept);
}

/** Undefined: there is none yet. */
async function readDevKey(path: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path);
    if (process.platform !== "win32" && (mode & othersMayRead) !== 0) {
      throw new ConfigurationError(`others may read or change ${path}; run: chmod 600 ${path}`);
    }
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (missing.has(errorCode(error))) return undefined;
    if (error instanceof ConfigurationError) throw error;
    throw new ConfigurationError(`${path} cannot be read (${whyNot(error)})`, { cause: error });
  }
}

/** Of two starts at once the first one's key stays: a link is made whole, and never over a file that is there. */
async function makeDevKey(dataDir: string, path: string): Promise<string> {
  await openDataFolder(dataDir);
  const draft = `${path}.${randomUUID()}`;
  const key = randomBytes(keyBytes).toString("base64url");
  try {
    await writeFile(draft, `${key}\n`, { mode: 0o600, flag: "wx" });
    await link(draft, path);
    return key;
  } catch (error) {
    const other = errorCode(error) === "EEXIST" ? await readDevKey(path) : undefined;
    if (other === undefined) throw cannotWrite(dataDir, error);
    return other;
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}
