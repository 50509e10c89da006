import { z } from "zod";

const form = "must be origins as browsers send them, scheme://host or scheme://host:port in lower case";

/** A list with commas between, each letter by letter what browsers send: an origin that only looks alike is no match. */
export const originsSchema = z
  .string()
  .transform((text) => text.split(",").map((origin) => origin.trim()))
  .superRefine((origins, context) => {
    const says = origins.map(faultOf).find((fault) => fault !== undefined);
    if (says !== undefined) context.addIssue(says);
  });

function faultOf(origin: string): string | undefined {
  if (origin === "null")
    return "cannot allow null: every sandboxed page and local file sends it; name the pages' own origin";
  if (origin.includes("*")) return "has no wildcards; name each origin";
  if (!URL.canParse(origin)) return `${form}, with commas between`;
  const { protocol, host } = new URL(origin);
  const canonical = `${protocol}//${host}`;
  if (origin === canonical && host !== "") return undefined;
  return `${form}; no path, no slash at the end, no user, and no port that is the scheme's own`;
}
