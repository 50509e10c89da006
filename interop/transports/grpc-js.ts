import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import * as grpc from "@grpc/grpc-js";
import { Arrivals, transportOver } from "./answers.ts";

/** Native gRPC by grpc-js. */
export function createGrpcJsTransport(url: string): Transport {
  const client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure(), {
    // Each client has a connection of its own, and waits for no other's next attempt.
    "grpc.use_local_subchannel_pool": 1,
  });
  return transportOver({
    unary: () => Promise.reject(new ConnectError("nothing here needs it", Code.Unimplemented)),
    stream(method, headers, requests, signal) {
      const metadata = new grpc.Metadata();
      headers.forEach((value, name) => {
        metadata.set(name, value);
      });
      const call = client.makeBidiStreamRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<typeof method.input>) => Buffer.from(toBinary(method.input, message)),
        (bytes: Buffer) => read(method.output, bytes),
        metadata,
      );
      const arrivals = new Arrivals<MessageShape<typeof method.output>>();
      call.on("data", (message: MessageShape<typeof method.output>) => arrivals.push(message));
      call.on("error", () => undefined);
      call.on("status", (status: grpc.StatusObject) => arrivals.end(errorOf(status)));
      signal.addEventListener("abort", () => call.cancel(), { once: true });
      void send(call, requests);
      return arrivals;
    },
  });
}

const read = <O extends DescMessage>(schema: O, bytes: Uint8Array) => fromBinary(schema, bytes);

async function send<T>(call: grpc.ClientDuplexStream<T, unknown>, messages: AsyncIterable<T>): Promise<void> {
  for await (const message of messages) call.write(message);
  call.end();
}

function errorOf({ code, details, metadata }: grpc.StatusObject): ConnectError | undefined {
  const [bin] = metadata.get("grpc-status-details-bin");
  const trailer = new Headers({ "grpc-status": String(code), "grpc-message": encodeURIComponent(details) });
  if (bin !== undefined) trailer.set("grpc-status-details-bin", Buffer.from(bin).toString("base64"));
  return findTrailerError(trailer);
}
