// The peer that most write on Node: `ws`, and `send` to each who subscribes. What comes up goes down as it is.
import { type WebSocket, WebSocketServer } from "ws";
import { announce } from "../../src/cli/bench/side-channel.ts";

const subscribers = new Set<WebSocket>();

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("connection", (socket, { url }) => {
  if (url === "/subscribe") subscribers.add(socket);
  socket.send(new Uint8Array(1));
  socket.on("message", (data: Buffer) => {
    for (const subscriber of subscribers) subscriber.send(data);
  });
  socket.on("close", () => subscribers.delete(socket));
});
server.on("listening", () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP listener has a port");
  announce({ port: address.port });
});
