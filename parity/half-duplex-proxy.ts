import { createServer, request } from "node:http";

/** A proxy of HTTP/1.1 that hands a request on when it has all of it, as half-duplex edges and some gateways do. */
export async function startHalfDuplexProxy(
  serverUrl: string,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server = createServer((incoming, answer) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const { method, url, headers } = incoming;
      const { "transfer-encoding": _, ...kept } = headers;
      const body = Buffer.concat(chunks);
      const call = request(new URL(url ?? "/", serverUrl), {
        method: method ?? "POST",
        headers: { ...kept, "content-length": body.length },
      });
      call.on("response", (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        answer.flushHeaders();
        response.pipe(answer);
        response.on("error", () => answer.destroy());
      });
      call.on("error", () => answer.destroy());
      answer.on("close", () => call.destroy());
      call.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
