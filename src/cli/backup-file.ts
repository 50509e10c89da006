import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { finishBackup, type StoreReport } from "../durable/sqlite-verify.ts";
import { BatonError } from "../session/reasons.ts";
import { whyNot } from "./data-folder.ts";

export interface WrittenBackup extends StoreReport {
  readonly bytes: number;
}

/**
 * Writes a backup beside its place, looks through it, and gives it its name when it is whole and on the disk. Whatever
 * fails before leaves nothing behind.
 *
 * @param bytes how many have to come
 * @throws BatonError whose text says what to do
 */
export async function writeBackup(
  path: string,
  bytes: number,
  chunks: AsyncIterable<Uint8Array>,
): Promise<WrittenBackup> {
  if (existsSync(path)) throw new BatonError("REQUEST_INVALID", `${path} is there already; give another name`);
  const draft = `${path}.${randomUUID()}.part`;
  try {
    await writeAll(draft, bytes, chunks);
    const report = await finishBackup(draft);
    await sync(draft);
    await rename(draft, path);
    await sync(dirname(path));
    return { ...report, bytes };
  } catch (error) {
    throw error instanceof BatonError ? error : cannotWrite(path, error);
  } finally {
    for (const leftover of [draft, `${draft}-wal`]) await rm(leftover, { force: true });
  }
}

async function writeAll(draft: string, bytes: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(draft, "wx", 0o600);
  try {
    let written = 0;
    for await (const chunk of cutOffByName(chunks)) written += await writeWhole(file, chunk);
    if (written !== bytes) throw brokenOff();
  } finally {
    await file.close();
  }
}

/** One write may take a part of it only, where a disk is about to be full. */
async function writeWhole(file: FileHandle, chunk: Uint8Array): Promise<number> {
  for (let from = 0; from < chunk.length; ) from += (await file.write(chunk, from)).bytesWritten;
  return chunk.length;
}

/** What fails while it is read is the relay's or the network's; what fails while it is written is the disk's. */
async function* cutOffByName(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await iterator.next().catch((error: unknown) => {
        throw error instanceof BatonError ? error : brokenOff(error);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}

const brokenOff = (cause?: unknown) =>
  new BatonError("LOG_UNAVAILABLE", "the backup was broken off before its end; try again (the relay's log says why)", {
    cause,
  });

const cannotWrite = (path: string, cause: unknown) =>
  new BatonError("LOG_UNAVAILABLE", `${path} cannot be written (${whyNot(cause)})`, { cause });

/** What is written is on the disk; of a folder, the names in it. */
async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
