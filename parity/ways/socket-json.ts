import { wayOf } from "../../test/bad-input/ways.ts";
import { createSocketTransport } from "../../test/support/socket-transport.ts";
import { overBidi } from "./over-transport.ts";
import type { Way } from "./way.ts";

export const socketJson: Way = {
  name: "WebSocket JSON",
  carriage: "socket",
  bare: wayOf("WebSocket JSON"),
  open: ({ url }) => overBidi(createSocketTransport(url, "json")),
};
