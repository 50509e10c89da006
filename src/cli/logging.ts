import process from "node:process";
import { configure, type LogRecord } from "@logtape/logtape";
import { formatRecord } from "../runtime/log-line.ts";
import type { Config } from "./config.ts";

/** Lines that wait for a reader of stderr who is behind. More are dropped and counted, and never held in memory. */
const maxWaitingBytes = 1024 * 1024;

/** Writes records to a stream, bounded. */
export function createLineSink(stream: NodeJS.WritableStream & { readonly writableLength: number }) {
  let dropped = 0;
  return (record: LogRecord) => {
    if (stream.writableLength > maxWaitingBytes) {
      dropped += 1;
      return;
    }
    const line = formatRecord(dropped === 0 ? record : { ...record, properties: { ...record.properties, dropped } });
    dropped = 0;
    stream.write(line);
  };
}

/** Logging of the whole process, once: JSON lines on stderr. Until then, modules log into nothing. */
export async function configureLogging(level: Config["logLevel"]): Promise<void> {
  // A reader of stderr that has gone takes nothing down with it.
  process.stderr.on("error", () => undefined);
  await configure({
    sinks: { stderr: createLineSink(process.stderr) },
    loggers: [
      { category: "baton", sinks: ["stderr"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
}
