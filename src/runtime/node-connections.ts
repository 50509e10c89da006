import type { Socket } from "node:net";

/** One version of HTTP, over connections that somebody else accepts; each is a module that makes one. */
export interface ConnectionServer {
  take(socket: Socket): void;
  /** From now on a connection ends with the last call that is open on it. */
  drain(): void;
}

export type HttpVersion = "1.1" | "2";

/** What every HTTP/2 connection begins with (RFC 9113, 3.4), as far as no method of HTTP/1.1 does. */
const preface = Buffer.from("PRI");

/**
 * Tells which version a client in cleartext speaks, by its first bytes, which stay in the socket. One that shows too
 * little within the time is cut off.
 */
export function onVersionShown(socket: Socket, withinMs: number, tell: (version: HttpVersion) => void): void {
  let seen = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), withinMs);
  socket.once("close", () => clearTimeout(timer));
  const look = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = Buffer.concat([seen, chunk]);
    const isPreface = preface.subarray(0, seen.length).equals(seen.subarray(0, preface.length));
    if (isPreface && seen.length < preface.length) return;
    clearTimeout(timer);
    socket.off("readable", look);
    socket.unshift(seen);
    tell(isPreface ? "2" : "1.1");
  };
  // Not "data": on Node a socket that flows, and on Bun one that was paused, loses the bytes on its way to HTTP/2.
  socket.on("readable", look);
}
