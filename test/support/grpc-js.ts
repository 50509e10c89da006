// Calls of the official gRPC client for Node, over messages of protobuf-es.
import { type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type StatusObject,
} from "@grpc/grpc-js";
import { type Fault, FaultSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";

export function openGrpcClient(url: string, secure?: ChannelCredentials): Client {
  return new Client(new URL(url).host, secure ?? credentials.createInsecure(), {
    // Each client has a connection of its own.
    "grpc.use_local_subchannel_pool": 1,
  });
}

const pathOf = ({ parent, name }: DescMethod) => `/${parent.typeName}/${name}`;
const writer =
  <M extends DescMessage>(schema: M) =>
  (message: MessageShape<M>) =>
    Buffer.from(toBinary(schema, message));
const reader =
  <M extends DescMessage>(schema: M) =>
  (bytes: Buffer) =>
    fromBinary(schema, bytes);

export interface GrpcCallOptions extends CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
}

function metadataOf(headers: Readonly<Record<string, string>> = {}): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

/** How a call ended, with the Fault in its details. */
export interface GrpcEnd {
  readonly code: number;
  readonly details: string;
  readonly fault: Fault | undefined;
}

export function grpcEndFrom({ code, details, metadata }: StatusObject): GrpcEnd {
  const name = "grpc-status-details-bin";
  const [status] = metadata.get(name);
  const error =
    status instanceof Uint8Array ? findTrailerError(new Headers({ [name]: base64Encode(status) })) : undefined;
  return { code, details, fault: error?.findDetails(FaultSchema)[0] };
}

/** A streaming call: what came, in order, and how it ended. */
export function openGrpcStream<M extends DescMethod>(
  client: Client,
  method: M,
  { headers, ...options }: GrpcCallOptions = {},
) {
  const call = client.makeBidiStreamRequest(
    pathOf(method),
    writer<M["input"]>(method.input),
    reader<M["output"]>(method.output),
    metadataOf(headers),
    options,
  );
  const received: MessageShape<M["output"]>[] = [];
  const waiting: (() => void)[] = [];
  let isOver = false;
  const ring = () => {
    for (const wake of waiting.splice(0)) wake();
  };
  call.on("data", (message: MessageShape<M["output"]>) => {
    received.push(message);
    ring();
  });
  // Told by the status as well.
  call.on("error", () => undefined);
  const ended = new Promise<GrpcEnd>((resolve) => {
    call.on("status", (status: StatusObject) => {
      isOver = true;
      ring();
      resolve(grpcEndFrom(status));
    });
  });
  return {
    call,
    received,
    ended,
    send: (message: MessageShape<M["input"]>) => void call.write(message),
    /** The next message that no test has taken. */
    async take(
      accept: (message: MessageShape<M["output"]>) => boolean = () => true,
    ): Promise<MessageShape<M["output"]>> {
      for (;;) {
        const index = received.findIndex(accept);
        const [message] = index === -1 ? [] : received.splice(index, 1);
        if (message !== undefined) return message;
        if (isOver) throw new Error("the call ended before the message came");
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

export async function callGrpcUnary<M extends DescMethod>(
  client: Client,
  method: M,
  message: MessageShape<M["input"]>,
  { headers, ...options }: GrpcCallOptions = {},
): Promise<{ readonly answer: MessageShape<M["output"]> | undefined; readonly end: GrpcEnd }> {
  return await new Promise((resolve) => {
    let answer: MessageShape<M["output"]> | undefined;
    const call = client.makeUnaryRequest(
      pathOf(method),
      writer<M["input"]>(method.input),
      reader<M["output"]>(method.output),
      message,
      metadataOf(headers),
      options,
      (_, value) => {
        answer = value;
      },
    );
    call.on("status", (status: StatusObject) => {
      // The answer's own callback comes behind the status, in the same turn or the next.
      setImmediate(() => resolve({ answer, end: grpcEndFrom(status) }));
    });
  });
}
