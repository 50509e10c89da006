// A TCP proxy that looks at what the server answers, and may keep it.
import { connect, createServer, type Socket } from "node:net";

export interface AnswerProxy {
  readonly port: number;
  /** Of the server, for connections from now on. */
  targetPort: number;
  /** Connections that were made through it. */
  readonly connections: number;
  /** Asked for what the server answers: false keeps it from the client, and cuts the connection. */
  passAnswer: (bytes: Buffer) => boolean;
  /** While false, nothing that the server says comes through, and no connection ends. */
  isAnswering: boolean;
  /** Whoever connects is cut off at once. */
  isOpen: boolean;
  cut(): void;
  close(): Promise<void>;
}

export async function startAnswerProxy(targetPort: number): Promise<AnswerProxy> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((client) => {
    if (!proxy.isOpen) return void client.destroy();
    connections += 1;
    const target = connect(proxy.targetPort, "127.0.0.1");
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => undefined);
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
    client.on("data", (bytes) => target.write(bytes));
    target.on("data", (bytes: Buffer) => {
      if (!proxy.isAnswering) return;
      if (proxy.passAnswer(bytes)) client.write(bytes);
      else client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const proxy: AnswerProxy = {
    port: typeof address === "object" && address !== null ? address.port : 0,
    targetPort,
    get connections() {
      return connections;
    },
    passAnswer: () => true,
    isAnswering: true,
    isOpen: true,
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
