import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { z } from "zod";
import { Arrivals, transportOver } from "./answers.ts";

const program = fileURLToPath(new URL("official-client.mjs", import.meta.url));
const node = fileURLToPath(new URL("../../node_modules/node/bin/node", import.meta.url));

const lineSchema = z.object({
  id: z.number(),
  message: z.string().optional(),
  end: z.literal(true).optional(),
  error: z
    .object({ code: z.number(), message: z.string(), trailer: z.record(z.string(), z.string()).optional() })
    .optional(),
});

interface Request {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly request: string;
  readonly streaming: boolean;
}

/** gRPC-Web text by the official client, which runs in a process of its own until the transport is closed. */
export function createOfficialTransport(url: string): Transport & { close(): void } {
  const child = spawn(node, [program, url], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => undefined);
  const calls = new Map<number, Arrivals<Uint8Array>>();
  let ids = 0;
  createInterface({ input: child.stdout }).on("line", (text) => {
    const { id, message, end, error } = lineSchema.parse(JSON.parse(text));
    const arrivals = calls.get(id);
    if (message !== undefined) arrivals?.push(base64Decode(message));
    if (end) arrivals?.end();
    if (error) arrivals?.end(errorFrom(error));
  });
  child.once("exit", () => {
    for (const arrivals of calls.values()) arrivals.end(new ConnectError("the client is gone", Code.Unavailable));
  });

  function open(call: Request, signal: AbortSignal): Arrivals<Uint8Array> {
    const id = ++ids;
    const arrivals = new Arrivals<Uint8Array>();
    calls.set(id, arrivals);
    child.stdin.write(`${JSON.stringify({ id, call })}\n`);
    const cancel = () => {
      child.stdin.write(`${JSON.stringify({ id })}\n`);
      arrivals.end(new ConnectError("cancelled", Code.Canceled));
    };
    signal.addEventListener("abort", cancel, { once: true });
    return arrivals;
  }

  const { unary, stream } = transportOver({
    async unary(method, headers, message, signal) {
      const path = `/${method.parent.typeName}/${method.name}`;
      const request = base64Encode(toBinary(method.input, message));
      const call = { path, metadata: Object.fromEntries(headers), request, streaming: false };
      for await (const bytes of open(call, signal)) return fromBinary(method.output, bytes);
      throw new ConnectError("no answer came", Code.Unavailable);
    },
    async *stream(method, headers, requests, signal) {
      const path = `/${method.parent.typeName}/${method.name}`;
      for await (const message of requests) {
        const request = base64Encode(toBinary(method.input, message));
        const call = { path, metadata: Object.fromEntries(headers), request, streaming: true };
        for await (const bytes of open(call, signal)) yield fromBinary(method.output, bytes);
      }
    },
  });
  return { unary, stream, close: () => child.stdin.end() };
}

function errorFrom({ code, message, trailer = {} }: NonNullable<z.infer<typeof lineSchema>["error"]>): ConnectError {
  const status = { ...trailer, "grpc-status": String(code), "grpc-message": encodeURIComponent(message) };
  return findTrailerError(new Headers(status)) ?? new ConnectError(message, Code.Unknown);
}
