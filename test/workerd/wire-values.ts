// What a test asks of a worker, and what it hears, as JSON. Bytes are named so; nothing at all is the empty text.

const tag = "base64:";

export function writeValue(value: unknown): string {
  const text: string | undefined = JSON.stringify(value, (_, item: unknown) =>
    item instanceof Uint8Array ? { [tag]: Buffer.from(item).toString("base64") } : item,
  );
  return text ?? "";
}

export function readValue(text: string): unknown {
  if (text === "") return undefined;
  return JSON.parse(text, (_, item: unknown) => {
    if (typeof item !== "object" || item === null) return item;
    const encoded: unknown = Reflect.get(item, tag);
    return typeof encoded === "string" ? new Uint8Array(Buffer.from(encoded, "base64")) : item;
  });
}
