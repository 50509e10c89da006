// The relay's methods as calls of Connect whose streams both ways go over a WebSocket; all others go as they are.
import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  fromBinary,
  fromJsonString,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createMethodUrl, encodeEnvelope } from "@connectrpc/connect/protocol";
import { endStreamFlag, endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PushQueue } from "../../src/client/push-queue.ts";
import { splitFrames } from "../wire/frames.ts";

export type SocketForm = "binary" | "json";

export const subprotocolOf = { binary: "baton.v1", json: "baton.v1.json" } as const;

export function createSocketTransport(baseUrl: string, form: SocketForm): Transport {
  const calls = createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: form === "binary" });
  return {
    unary: (...args) => calls.unary(...args),
    async stream(method, signal, timeoutMs, headers, input, contextValues) {
      if (method.methodKind !== "bidi_streaming") {
        return await calls.stream(method, signal, timeoutMs, headers, input, contextValues);
      }
      const { parent: service } = method;
      const message = converse({ baseUrl, form, method, headers: new Headers(headers), signal, input });
      return { stream: true, service, method, header: new Headers(), trailer: new Headers(), message };
    },
  };
}

interface Conversation<I extends DescMessage, O extends DescMessage> {
  readonly baseUrl: string;
  readonly form: SocketForm;
  readonly method: DescMethodStreaming<I, O>;
  readonly headers: Headers;
  readonly signal: AbortSignal | undefined;
  readonly input: AsyncIterable<MessageInitShape<I>>;
}

async function* converse<I extends DescMessage, O extends DescMessage>({
  baseUrl,
  form,
  method,
  headers,
  signal,
  input,
}: Conversation<I, O>): AsyncGenerator<MessageShape<O>> {
  const token = headers.get("authorization")?.replace("Bearer ", "");
  const offered = [subprotocolOf[form], ...(token === undefined ? [] : [`bearer.${token}`])];
  const socket = new WebSocket(createMethodUrl(baseUrl, method).replace("http", "ws"), offered);
  socket.binaryType = "arraybuffer";
  signal?.addEventListener("abort", () => socket.close(), { once: true });
  const down = new PushQueue<MessageShape<O>>();
  let error: ConnectError | undefined;
  let close: CloseEvent | undefined;
  socket.addEventListener("message", ({ data }: { readonly data: unknown }) => {
    for (const said of read(method.output, form, data)) {
      if (said instanceof ConnectError) error = said;
      else down.push(said);
    }
  });
  socket.addEventListener("close", (event) => {
    close = event;
    down.end();
  });
  const opened = new Promise<void>((resolve) => socket.addEventListener("open", () => resolve()));
  const send = async () => {
    await opened;
    for await (const message of input) {
      if (socket.readyState !== WebSocket.OPEN) return;
      const whole = create(method.input, message);
      if (form === "json") socket.send(toJsonString(method.input, whole));
      else socket.send(encodeEnvelope(0, toBinary(method.input, whole)));
    }
    socket.send(form === "json" ? "" : new Uint8Array());
  };
  void send();
  yield* down;
  if (signal?.aborted) throw new ConnectError("the call was cut", Code.Canceled);
  if (error !== undefined) throw error;
  if (close?.code !== 1000) throw new ConnectError(`closed ${close?.code} ${close?.reason}`, Code.Unavailable);
}

function read<O extends DescMessage>(schema: O, form: SocketForm, data: unknown): (MessageShape<O> | ConnectError)[] {
  if (typeof data === "string" && form === "json") {
    if (!data.startsWith('{"error":')) return [fromJsonString(schema, data)];
    return [endStreamFromJson(new TextEncoder().encode(data)).error ?? new ConnectError("no error")];
  }
  if (!(data instanceof ArrayBuffer) || form === "json") throw new TypeError("a message of the other form came");
  return splitFrames(new Uint8Array(data)).map((frame) =>
    frame.flags === endStreamFlag
      ? (endStreamFromJson(frame.data).error ?? new ConnectError("no error"))
      : fromBinary(schema, frame.data),
  );
}
