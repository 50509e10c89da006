import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { wayOf } from "../../test/bad-input/ways.ts";
import { overBidi } from "./over-transport.ts";
import type { Way } from "./way.ts";

export const grpcWeb: Way = {
  name: "gRPC-Web",
  carriage: "bidi",
  bare: wayOf("gRPC-Web"),
  open: ({ url, httpVersion }, headers) => overBidi(createGrpcWebTransport({ baseUrl: url, httpVersion }), headers),
};
