// The official grpc-web client in text mode, in a process of its own on Node, as a page runs it but for the XMLHttpRequest:
// `node official-client.mjs <url>`. Each line of its input is a call or the end of one; it tells what comes, in lines of JSON.
import process from "node:process";
import { createInterface } from "node:readline";
import grpcWeb from "grpc-web";
import XMLHttpRequest from "xhr2";

/** What browsers do and xhr2 does not: the text so far can be read, and of each piece that comes it is told. */
class BrowserRequest extends XMLHttpRequest {
  _onHttpResponseData(response, data) {
    this.responseText += data.toString("latin1");
    super._onHttpResponseData(response, data);
    this._setReadyState(XMLHttpRequest.LOADING);
  }
}
globalThis.XMLHttpRequest = BrowserRequest;

const [url] = process.argv.slice(2);
const client = new grpcWeb.GrpcWebClientBase({ format: "text" });
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { SERVER_STREAMING, UNARY } = grpcWeb.MethodType;
const streams = new Map();

function open(id, { path, metadata, request, streaming }) {
  // Messages cross this process as they are: its caller writes and reads them.
  const write = (base64) => Buffer.from(base64, "base64");
  const read = (bytes) => Buffer.from(bytes).toString("base64");
  const type = streaming ? SERVER_STREAMING : UNARY;
  const call = [url + path, request, metadata, new grpcWeb.MethodDescriptor(path, type, Object, Object, write, read)];
  const failed = ({ code, message, metadata: trailer }) => tell({ id, error: { code, message, trailer } });
  if (!streaming) {
    client.unaryCall(...call).then((message) => tell({ id, message }), failed);
    return;
  }
  const stream = client.serverStreaming(...call);
  stream.on("data", (message) => tell({ id, message }));
  stream.on("error", failed);
  stream.on("end", () => tell({ id, end: true }));
  streams.set(id, stream);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, call } = JSON.parse(line);
  if (call !== undefined) {
    open(id, call);
  } else {
    streams.get(id)?.cancel();
    streams.delete(id);
  }
}
process.exit(0);
