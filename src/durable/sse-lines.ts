/**
 * Cuts a `text/event-stream` into the values of its `data` lines, each an event of its own: Upstash documents neither
 * blank lines between events nor an event of several lines, and a reader that waited for the blank line would wait for
 * ever where there is none. Comments and other fields are passed over.
 */
export interface SseLines {
  /** @throws RangeError when a line is longer than allowed; what was kept of it is let go */
  feed(bytes: Uint8Array): void;
}

/** @param maxLineLength in UTF-16 code units */
export function createSseLines(maxLineLength: number, each: (data: string) => void): SseLines {
  const decoder = new TextDecoder();
  let pieces: string[] = [];
  let length = 0;
  const take = (piece: string) => {
    length += piece.length;
    if (length > maxLineLength) {
      pieces = [];
      throw new RangeError(`a line of more than ${maxLineLength} characters`);
    }
    pieces.push(piece);
  };
  const endLine = () => {
    const line = pieces.join("").replace(/\r$/, "");
    pieces = [];
    length = 0;
    const data = /^data: ?/.exec(line)?.[0];
    if (data !== undefined) each(line.slice(data.length));
  };
  return {
    feed(bytes) {
      const lines = decoder.decode(bytes, { stream: true }).split("\n");
      for (const [index, line] of lines.entries()) {
        if (index > 0) endLine();
        take(line);
      }
    },
  };
}
