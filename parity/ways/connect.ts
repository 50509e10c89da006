import { createConnectTransport } from "@connectrpc/connect-node";
import { wayOf } from "../../test/bad-input/ways.ts";
import { overBidi } from "./over-transport.ts";
import type { Way } from "./way.ts";

export const connect: Way = {
  name: "Connect",
  carriage: "bidi",
  bare: wayOf("Connect binary"),
  open: ({ url, httpVersion }, headers) => overBidi(createConnectTransport({ baseUrl: url, httpVersion }), headers),
};
