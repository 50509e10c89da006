/** Every string, with the colon that makes it a name, and every bracket of an object. Exact for a text that is JSON. */
const namesAndObjects = /("(?:[^"\\]|\\.)*")\s*(:)?|[{}]/g;

/**
 * Reads the UTF-8 of a JSON text in which no object has a name twice; undefined = it is something else. `JSON.parse` takes
 * the last of two claims, as RFC 7519 section 4 allows; others take the first, and a token must not say one thing to the
 * proxy in front of the relay and another to the relay.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
    const value: unknown = JSON.parse(text);
    return hasNameTwice(text) ? undefined : value;
  } catch {
    return undefined;
  }
}

function hasNameTwice(json: string): boolean {
  const open: Set<unknown>[] = [];
  for (const [found, text, colon] of json.matchAll(namesAndObjects)) {
    const names = open.at(-1);
    if (found === "{") open.push(new Set());
    else if (found === "}") open.pop();
    else if (text !== undefined && colon !== undefined && names !== undefined) {
      // Two spellings of one name (`a`, `\u0061`) are one name.
      const name: unknown = JSON.parse(text);
      if (names.has(name)) return true;
      names.add(name);
    }
  }
  return false;
}
