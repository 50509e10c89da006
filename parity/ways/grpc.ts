import { createGrpcJsTransport } from "../../interop/transports/grpc-js.ts";
import { wayOf } from "../../test/bad-input/ways.ts";
import { overBidi } from "./over-transport.ts";
import type { Way } from "./way.ts";

/** Native gRPC by grpc-js. */
export const grpc: Way = {
  name: "gRPC",
  carriage: "bidi",
  isNative: true,
  bare: wayOf("gRPC"),
  open: ({ url }, headers) => overBidi(createGrpcJsTransport(url), headers),
};
