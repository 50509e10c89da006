import { createConnectTransport } from "@connectrpc/connect-node";
import { wayOf } from "../../test/bad-input/ways.ts";
import { overBidi } from "./over-transport.ts";
import type { Way } from "./way.ts";

export const connectJson: Way = {
  name: "Connect JSON",
  carriage: "bidi",
  bare: wayOf("Connect JSON"),
  open: ({ url, httpVersion }, headers) =>
    overBidi(createConnectTransport({ baseUrl: url, httpVersion, useBinaryFormat: false }), headers),
};
