import type { Transport } from "@connectrpc/connect";
import type { Carriage, CarriageEnd } from "../../src/client/carriage.ts";
import type { Way as BareWay } from "../../test/bad-input/ways.ts";

/** Where a way goes in: the relay, or something on the way to it. */
export interface Entrance {
  readonly url: string;
  /** The newest that is spoken there. */
  readonly httpVersion: "1.1" | "2";
}

export interface OpenWay {
  readonly carriage: Carriage;
  /** Opens a stream and says nothing on it. Absent: its first message is part of the opening. */
  readonly openSilently?: (token: string) => Promise<CarriageEnd>;
  close(): void;
}

/** One way into a session: a protocol, a form, and a carriage. */
export interface Way {
  readonly name: string;
  readonly carriage: "bidi" | "split" | "socket";
  /** It goes in where native gRPC is served. */
  readonly isNative?: true;
  /** The same byte by byte. */
  readonly bare: BareWay;
  /** `headers` go with every call. */
  open(entrance: Entrance, headers?: Readonly<Record<string, string>>): OpenWay;
}

/** Each call with these headers besides its own. */
export function withHeaders(transport: Transport, headers: Readonly<Record<string, string>>): Transport {
  const add = (own: HeadersInit | undefined) => {
    const all = new Headers(own);
    for (const [name, value] of Object.entries(headers)) all.set(name, value);
    return all;
  };
  return {
    unary: (method, signal, timeoutMs, header, message, values) =>
      transport.unary(method, signal, timeoutMs, add(header), message, values),
    stream: (method, signal, timeoutMs, header, messages, values) =>
      transport.stream(method, signal, timeoutMs, add(header), messages, values),
  };
}
