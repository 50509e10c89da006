import { z } from "zod";

const levels = ["trace", "debug", "info", "warning", "error", "fatal"] as const;

export type LogLevel = (typeof levels)[number];

export const logLevelSchema = z
  .enum(levels, { error: `must be one of ${levels.join(", ")}; leave it out for info` })
  .default("info");
