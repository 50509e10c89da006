import { createOfficialTransport } from "../../interop/transports/official.ts";
import { wayOf } from "../../test/bad-input/ways.ts";
import { overSplit } from "./over-transport.ts";
import type { Way } from "./way.ts";

/** The official grpc-web client in text mode, one program for each entrance: it ends with this one. */
const programs = new Map<string, ReturnType<typeof createOfficialTransport>>();

export const grpcWebText: Way = {
  name: "gRPC-Web text, split",
  carriage: "split",
  bare: wayOf("gRPC-Web text"),
  open({ url }, headers) {
    const program = programs.get(url) ?? createOfficialTransport(url);
    programs.set(url, program);
    return overSplit(program, headers);
  },
};
