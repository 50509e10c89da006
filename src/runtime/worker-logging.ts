import { env } from "cloudflare:workers";
import { configureSync, getConsoleSink } from "@logtape/logtape";
import { z } from "zod";
import { logLevelSchema } from "./log-levels.ts";
import { formatRecord } from "./log-line.ts";

/** A level that is none is told of where the other variables are read. */
const levelSchema = z.object({ BATON_LOG_LEVEL: logLevelSchema.catch("info") });

/** Logging of this worker or object, once: JSON lines on the console. */
export function configureWorkerLogging(): void {
  const { BATON_LOG_LEVEL: level } = levelSchema.parse(env);
  // The console ends its lines itself.
  const formatter = (record: Parameters<typeof formatRecord>[0]) => formatRecord(record).trimEnd();
  configureSync({
    sinks: { console: getConsoleSink({ formatter }) },
    loggers: [
      { category: "baton", sinks: ["console"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["console"], lowestLevel: "warning" },
    ],
  });
}
