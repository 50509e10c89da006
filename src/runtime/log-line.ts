import { getJsonLinesFormatter, type LogRecord } from "@logtape/logtape";
import { toLogFields, toLogText, toLogValue } from "./log-values.ts";

const formatLine = getJsonLinesFormatter({ properties: "flatten" });

/** Names that each line has of its own; a field of such a name would forge it. */
const ownNames: ReadonlySet<string> = new Set(["@timestamp", "level", "message", "logger"]);

/**
 * What JSON leaves as it is and a terminal or a viewer may obey: C1 controls, line separators, marks that turn the direction of text. All of
 * it can only stand inside of JSON's strings.
 */
const unsafe = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** One record as one line of JSON: fields as given, each bounded and without credentials. */
export function formatRecord(record: LogRecord): string {
  const fields = Object.entries(toLogFields(record.properties)).map(([name, value]) => [
    ownNames.has(name) ? `field.${name}` : name,
    value,
  ]);
  const line = formatLine({
    ...record,
    message: record.message.map((part) => (typeof part === "string" ? toLogText(part) : toLogValue(part))),
    properties: Object.fromEntries(fields),
  });
  return line.replace(unsafe, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
