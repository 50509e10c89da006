import { type DescMessage, fromJsonString, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import { endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import WebSocket from "ws";
import { Arrivals, transportOver } from "./answers.ts";

/** `baton.v1.json` by the `ws` package, the token in a header. */
export function createSocketJsonTransport(url: string): Transport {
  return transportOver({
    unary: () => Promise.reject(new ConnectError("nothing here needs it", Code.Unimplemented)),
    stream(method, headers, requests, signal) {
      const arrivals = new Arrivals<MessageShape<typeof method.output>>();
      const socket = new WebSocket(createMethodUrl(url, method).replace(/^http/, "ws"), ["baton.v1.json"], {
        headers: Object.fromEntries(headers),
        perMessageDeflate: false,
      });
      socket.on("message", (data: Buffer, isBinary: boolean) => {
        if (isBinary) return arrivals.end(new ConnectError("a binary message came", Code.Internal));
        const error = errorIn(data);
        if (error === undefined) arrivals.push(read(method.output, data));
        else arrivals.end(error);
      });
      socket.on("error", () => undefined);
      socket.on("close", (code) =>
        arrivals.end(code === 1000 ? undefined : new ConnectError(`closed ${code}`, Code.Unavailable)),
      );
      signal.addEventListener("abort", () => socket.terminate(), { once: true });
      socket.once("open", () => void send(socket, method.input, requests));
      return arrivals;
    },
  });
}

const read = <O extends DescMessage>(schema: O, json: Buffer) => fromJsonString(schema, json.toString());

/** No message of the contract has this field. */
const errorIn = (json: Buffer) => (json.toString().startsWith('{"error":') ? endStreamFromJson(json).error : undefined);

async function send<I extends DescMessage>(
  socket: WebSocket,
  schema: I,
  messages: AsyncIterable<MessageShape<I>>,
): Promise<void> {
  for await (const message of messages) socket.send(toJsonString(schema, message));
  socket.send("");
}
