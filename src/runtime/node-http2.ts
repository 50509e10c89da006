import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { type HttpVersion, onVersionShown } from "./node-connections.ts";
import { createH1Server } from "./node-h1.ts";
import { createH2Server } from "./node-h2.ts";
import { type RunningServer, type ServeOptions, startErrorFrom, urlOf } from "./server.ts";

/**
 * HTTP/1.1 and HTTP/2 on one port, in cleartext or over TLS, by Node's own servers, on Node and on Bun; over HTTP/2 it
 * sends trailers. Each connection goes to the server whose version it speaks, which TLS agrees by ALPN and cleartext
 * shows by its first bytes. Rejects with a `StartError` where it cannot listen.
 */
export async function serveNode({ host, port, tls, limits, fetch }: ServeOptions): Promise<RunningServer> {
  const servers = { "1.1": createH1Server(limits, fetch), "2": createH2Server(limits, fetch) };
  const sockets = new Set<Socket>();
  const hand = (socket: Socket, version: HttpVersion) => servers[version].take(socket);
  const listener =
    tls === undefined
      ? createTcpServer({ noDelay: true }, (socket) =>
          onVersionShown(socket, limits.firstMessageMs, (version) => hand(socket, version)),
        )
      : createTlsServer(
          { ...tls, noDelay: true, ALPNProtocols: ["h2", "http/1.1"], handshakeTimeout: limits.firstMessageMs },
          (socket) => {
            socket.on("error", () => undefined);
            hand(socket, socket.alpnProtocol === "h2" ? "2" : "1.1");
          },
        );
  // Under TLS too these are the sockets below it.
  listener.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // What happens to a connection shows in its streams. Without a listener it would end the process.
    socket.on("error", () => undefined);
  });
  const address = await listen(listener, host, port);
  return {
    url: urlOf({ host, port: address.port, tls }),
    async stop(graceMs) {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      for (const server of Object.values(servers)) server.drain();
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

function listen(listener: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    listener.once("error", (error) => reject(startErrorFrom(error, `${host}:${port}`)));
    listener.listen({ host, port }, () => {
      const address = listener.address();
      if (address === null || typeof address === "string") reject(new TypeError("a TCP listener has a port"));
      else resolve(address);
    });
  });
}
