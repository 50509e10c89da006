import { stat } from "node:fs/promises";
import { type LogFile, logFiles } from "../relay/metrics/labels.ts";

const suffixes: Readonly<Record<LogFile, string>> = { database: "", wal: "-wal" };

/** How large SQLite's files are, those that are there. Never rejects. */
export async function logFileBytes(path: string): Promise<readonly (readonly [LogFile, number])[]> {
  const sizes = await Promise.all(
    logFiles.map(async (file) => {
      const size = await stat(`${path}${suffixes[file]}`).then(
        ({ size }) => size,
        () => undefined,
      );
      return size === undefined ? [] : [[file, size] as const];
    }),
  );
  return sizes.flat();
}
