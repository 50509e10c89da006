import { socketCarriage } from "../../src/client/carriage-socket.ts";
import { wayOf } from "../../test/bad-input/ways.ts";
import { createSocketTransport } from "../../test/support/socket-transport.ts";
import { overBidi } from "./over-transport.ts";
import type { Way } from "./way.ts";

/** As a web page holds it: the platform's WebSocket, which can set no header. */
export const socket: Way = {
  name: "WebSocket",
  carriage: "socket",
  bare: wayOf("WebSocket"),
  open: ({ url }) => ({ ...overBidi(createSocketTransport(url, "binary")), carriage: socketCarriage({ url }) }),
};
