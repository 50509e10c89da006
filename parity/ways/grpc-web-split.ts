import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { wayOf } from "../../test/bad-input/ways.ts";
import { overSplit } from "./over-transport.ts";
import type { Way } from "./way.ts";

/** As a web page holds it: connect-web over `fetch`, HTTP/1.1. */
export const grpcWebSplit: Way = {
  name: "gRPC-Web, split",
  carriage: "split",
  bare: wayOf("gRPC-Web"),
  open: ({ url }, headers) => overSplit(createGrpcWebTransport({ baseUrl: url }), headers),
};
