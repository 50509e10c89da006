import { env } from "cloudflare:workers";
import { configureSync, getConsoleSink, getJsonLinesFormatter } from "@logtape/logtape";
import { z } from "zod";

const levelSchema = z.object({
  BATON_LOG_LEVEL: z.enum(["trace", "debug", "info", "warning", "error", "fatal"]).default("info").catch("info"),
});

/** Logging of this worker or object, once: JSON lines on the console. */
export function configureWorkerLogging(): void {
  const { BATON_LOG_LEVEL: level } = levelSchema.parse(env);
  configureSync({
    sinks: { console: getConsoleSink({ formatter: getJsonLinesFormatter({ properties: "flatten" }) }) },
    loggers: [
      { category: "baton", sinks: ["console"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["console"], lowestLevel: "warning" },
    ],
  });
}
