/** A line that is longer is no line of ours: it is told, and left out. */
const maxLineUnits = 4 * 1024 * 1024;

/** A line without its end; undefined: one that was too long. */
export type InputLine = string | undefined;

/** Lines of UTF-8 as they come; what stands behind the last line break is a line too. "\r" before a break goes. */
export async function* readLines(input: AsyncIterable<Uint8Array | string>): AsyncGenerator<InputLine> {
  const decoder = new TextDecoder();
  let rest = "";
  let isTooLong = false;
  for await (const chunk of input) {
    const pieces = (typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true })).split("\n");
    const last = pieces.pop() ?? "";
    for (const piece of pieces) {
      const line = rest + piece;
      yield isTooLong || line.length > maxLineUnits ? undefined : line.replace(/\r$/, "");
      rest = "";
      isTooLong = false;
    }
    rest += last;
    if (rest.length > maxLineUnits) {
      rest = "";
      isTooLong = true;
    }
  }
  rest += decoder.decode();
  if (isTooLong) yield undefined;
  else if (rest !== "") yield rest;
}
