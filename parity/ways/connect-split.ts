import { createConnectTransport } from "@connectrpc/connect-web";
import { wayOf } from "../../test/bad-input/ways.ts";
import { overSplit } from "./over-transport.ts";
import type { Way } from "./way.ts";

/** As a web page holds it: connect-web over `fetch`, HTTP/1.1. */
export const connectSplit: Way = {
  name: "Connect, split",
  carriage: "split",
  bare: wayOf("Connect binary"),
  open: ({ url }, headers) => overSplit(createConnectTransport({ baseUrl: url, useBinaryFormat: true }), headers),
};
