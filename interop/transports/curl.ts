import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { create, type DescMessage, fromJsonString, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { endStreamFlag, endStreamFromJson, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { envelop } from "../../src/relay/wire/envelope.ts";
import { transportOver } from "./answers.ts";

export const hasCurl = (): boolean => spawnSync("curl", ["--version"]).status === 0;

const reading = { ignoreUnknownFields: true };

/** Connect in JSON by curl: each call is a program of its own. */
export function createCurlTransport(url: string): Transport {
  return transportOver({
    async unary(method, headers, request, signal) {
      const curl = run(`${url}/${method.parent.typeName}/${method.name}`, "application/json", headers, signal);
      curl.stdin?.end(toJsonString(method.input, request));
      const body = Buffer.concat(await Array.fromAsync(output(curl)));
      // Behind the body stands the status, as `-w` asks for it.
      const status = body.subarray(-3).toString();
      if (status !== "200") throw errorFrom(body.subarray(0, -3));
      return parse(method.output, body.subarray(0, -3));
    },
    async *stream(method, headers, requests, signal) {
      const address = `${url}/${method.parent.typeName}/${method.name}`;
      const curl = run(address, "application/connect+json", headers, signal);
      for await (const request of requests) {
        curl.stdin?.write(envelop(new TextEncoder().encode(toJsonString(method.input, request))));
      }
      curl.stdin?.end();
      for await (const { flags, data } of frames(output(curl))) {
        if (flags !== endStreamFlag) {
          yield parse(method.output, data);
          continue;
        }
        const { error } = endStreamFromJson(data);
        if (error !== undefined) throw error;
        return;
      }
      throw new ConnectError("the stream broke off", Code.Unavailable);
    },
  });
}

function run(url: string, contentType: string, headers: Headers, signal: AbortSignal): ChildProcess {
  const lines = ["content-type", ...headers.keys()].map((name) => `${name}: ${headers.get(name) ?? contentType}`);
  const status = contentType === "application/json" ? ["-w", "%{http_code}"] : [];
  const args = [
    "-sS",
    "-N",
    "-o",
    "-",
    ...status,
    ...lines.flatMap((line) => ["-H", line]),
    "--data-binary",
    "@-",
    url,
  ];
  const curl = spawn("curl", args, { stdio: ["pipe", "pipe", "ignore"] });
  curl.stdin.on("error", () => undefined);
  const kill = () => void curl.kill();
  signal.addEventListener("abort", kill, { once: true });
  curl.once("close", () => signal.removeEventListener("abort", kill));
  return curl;
}

async function* output({ stdout }: ChildProcess): AsyncGenerator<Buffer> {
  if (stdout === null) return;
  for await (const chunk of stdout) yield chunk;
}

interface Frame {
  readonly flags: number;
  readonly data: Uint8Array;
}

async function* frames(chunks: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const end = 5 + rest.readUInt32BE(1);
      yield { flags: rest.readUInt8(0), data: rest.subarray(5, end) };
      rest = rest.subarray(end);
    }
  }
}

const parse = <O extends DescMessage>(schema: O, json: Uint8Array): MessageShape<O> =>
  json.length === 0 ? create(schema) : fromJsonString(schema, new TextDecoder().decode(json), reading);

function errorFrom(body: Uint8Array): ConnectError {
  const unreadable = new ConnectError("the call broke off", Code.Unavailable);
  try {
    return errorFromJsonBytes(body, undefined, unreadable);
  } catch {
    return unreadable;
  }
}
