import { z } from "zod";

const path = z.string().min(1);
const id = z.string().min(1);
const offset = z.int().min(0);
const line = z.int().min(1);
const yes = z.literal(true);
const bothGiven = { error: "give data (base64) or text, not both" };

const tag = <Kind extends string, Schema extends z.ZodType>(kind: Kind, value: Schema) =>
  z.strictObject({ kind: z.literal(kind), value });

const edit = z.strictObject({
  path,
  changes: z.array(z.strictObject({ from: offset, to: offset, insert: z.string().default("") })).min(1),
});
const comment = z.strictObject({
  id: id.optional(),
  path: z.string().default(""),
  line: z.int().min(0).default(0),
  text: z.string(),
  parent: z.string().default(""),
});
const custom = z
  .strictObject({
    type: z.string(),
    data: z.base64().optional(),
    text: z.string().optional(),
    ephemeral: z.boolean().default(false),
  })
  .refine(({ data, text }) => data === undefined || text === undefined, bothGiven);
const presence = z.strictObject({
  status: z.enum(["active", "idle"]).default("active"),
  name: z.string().default(""),
});

/** What a participant can be told to do: an input line's one key is the kind, what stands under it the value. */
const actionSchema = z.discriminatedUnion("kind", [
  tag("edit", edit),
  tag("line", z.strictObject({ path, line, content: z.string() })),
  tag("create", z.strictObject({ path, content: z.string().default("") })),
  tag("delete", z.strictObject({ path })),
  tag("comment", comment),
  tag("rewrite", z.strictObject({ id, text: z.string() })),
  tag("resolve", z.strictObject({ id, resolved: z.boolean().default(true) })),
  tag("uncomment", z.strictObject({ id })),
  tag("custom", custom),
  tag("cursor", z.strictObject({ path, line, column: offset.default(0) })),
  tag("presence", presence),
  tag("show", path),
  tag("files", yes),
  tag("rotate", yes),
  tag("leave", yes),
]);

export type JoinAction = z.infer<typeof actionSchema>;

export type ParsedLine = JoinAction | { readonly kind: "wrong"; readonly message: string };

const kinds = actionSchema.options.map(({ shape }) => shape.kind.value).join(", ");
const maxFaults = 5;
const wrong = (message: string): ParsedLine => ({ kind: "wrong", message });

/** Reads a line of JSON. What is wrong with it is said in a sentence that repeats nothing of it. */
export function parseActionLine(text: string): ParsedLine {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return wrong(`not JSON; a line is an object with one of these keys: ${kinds}`);
  }
  const entries = typeof content === "object" && content !== null ? Object.entries(content) : [];
  const [entry, another] = entries;
  if (entry === undefined || another !== undefined) {
    return wrong(`a line is an object with exactly one of these keys: ${kinds}`);
  }
  const [kind, value] = entry;
  const parsed = actionSchema.safeParse({ kind, value });
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  if (issues.some(({ code }) => code === "invalid_union")) return wrong(`no such line; its key is one of: ${kinds}`);
  const faults = issues.map(({ path: at, message }) => `${[kind, ...at.slice(1)].join(".")}: ${message}`);
  return wrong(faults.slice(0, maxFaults).join("; "));
}
