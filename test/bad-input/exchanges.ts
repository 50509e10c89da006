// A request and its whole answer, over either version of HTTP; the head as HTTP/2 writes it.
import http from "node:http";
import http2, { type IncomingHttpHeaders } from "node:http2";

export interface Exchanged {
  /** Headers and trailers, and the status as `:status`. */
  readonly received: IncomingHttpHeaders;
  readonly bytes: Buffer;
}

export interface ExchangeConnection {
  exchange(head: Readonly<Record<string, string>>, body: Uint8Array): Promise<Exchanged>;
  close(): void;
}

export function connectH2(url: string): ExchangeConnection {
  const connection = http2.connect(url);
  connection.on("error", () => undefined);
  return {
    exchange: (head, body) =>
      new Promise((resolve, reject) => {
        const stream = connection.request(head);
        let received: IncomingHttpHeaders = {};
        const chunks: Uint8Array[] = [];
        stream.on("response", (headers) => {
          received = headers;
        });
        stream.on("trailers", (trailers) => {
          received = { ...received, ...trailers };
        });
        stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
        stream.on("error", reject);
        stream.on("close", () => resolve({ received, bytes: Buffer.concat(chunks) }));
        stream.end(body);
      }),
    close: () => connection.close(),
  };
}

/** Each exchange on a connection of its own. */
export function connectH1(url: string): ExchangeConnection {
  return {
    exchange: ({ ":method": method, ":path": path = "/", ...headers }, body) =>
      new Promise((resolve, reject) => {
        const request = http.request(new URL(path, url), { method: method ?? "POST", headers, agent: false });
        request.on("error", reject);
        request.on("response", (response) => {
          const chunks: Uint8Array[] = [];
          response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const received = { ...response.headers, ":status": String(response.statusCode) };
            resolve({ received, bytes: Buffer.concat(chunks) });
          });
        });
        request.end(body);
      }),
    close: () => undefined,
  };
}
