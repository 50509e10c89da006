import { BatonError } from "../session/reasons.ts";
import { isCredentialField, redact, removedValue } from "./redact.ts";

/** What one value of a field may take: an id, a name, a short sentence. */
export const maxValueBytes = 256;

const maxNameBytes = 64;
const maxDepth = 3;
const maxEntries = 32;

/** A value as it may stand in a log line: bounded, without credentials, and only what JSON has. */
export function toLogValue(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case "string":
      return toLogText(value);
    case "number":
    case "boolean":
      return value;
    case "bigint":
      return value.toString();
    case "object":
      return value === null ? null : toLogObject(value, depth);
    case "undefined":
    case "function":
    case "symbol":
      return undefined;
  }
}

/** Credentials go first: one that the cut falls into would no longer be known as one. */
export const toLogText = (text: string) => cutBytes(redact(text), maxValueBytes);

export function toLogFields(fields: object, depth = 0): Record<string, unknown> {
  const entries = Object.entries(fields).slice(0, maxEntries);
  return Object.fromEntries(
    entries.map(([name, value]) => [
      cutBytes(redact(name), maxNameBytes),
      isCredentialField(name) ? removedValue : toLogValue(value, depth),
    ]),
  );
}

function toLogObject(value: object, depth: number): unknown {
  if (value instanceof Error) return describeError(value);
  if (value instanceof Date) return value.toJSON();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (depth >= maxDepth) return "[deeper]";
  if (Array.isArray(value)) return value.slice(0, maxEntries).map((item) => toLogValue(item, depth + 1));
  return toLogFields(value, depth + 1);
}

/** Our own errors say nothing secret; the message of another may quote what a client sent: its kind and place stand for it. */
export function describeError(error: Error): Record<string, unknown> {
  if (error instanceof BatonError) return { name: error.name, reason: error.reason, message: toLogText(error.message) };
  const place = error.stack?.split("\n").find((line) => /^\s+at /.test(line));
  return {
    name: toLogText(error.name),
    ...("code" in error ? { code: toLogValue(error.code, maxDepth) } : {}),
    ...(place === undefined ? {} : { at: toLogText(place.trim().replace(/^at /, "")) }),
  };
}

/** At most so many bytes of UTF-8, no character halved. */
function cutBytes(text: string, maxBytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(maxBytes));
  return read === text.length ? text : text.slice(0, read);
}
