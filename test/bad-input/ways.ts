// The ways in, byte by byte: a test says exactly what goes up and sees exactly what comes down, in each protocol and form.
import type { IncomingHttpHeaders } from "node:http2";
import { create, fromBinary, fromJsonString, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { endStreamFlag, endStreamFromJson, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError, grpcStatusOk } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import {
  CodeReviewService,
  type Fault,
  FaultSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { splitFrames } from "../wire/frames.ts";
import { connectH1, connectH2 } from "./exchanges.ts";
import { callBySocket } from "./socket-call.ts";

export type Form = "binary" | "json";
export type Method = keyof typeof CodeReviewService.method;

/** One way in. Whoever adds a protocol adds a row to `ways`, and every test of this folder tries it. */
export interface Way {
  readonly name: string;
  readonly protocol: "connect" | "grpc-web" | "grpc";
  readonly form: Form;
  /** Whole bodies go in base64, each frame padded by itself or not. */
  readonly base64?: true;
  /** Its streams both ways go over a WebSocket, whose messages have no deadline; all else is Connect's. */
  readonly isSocket?: true;
  readonly streamType: string;
  readonly unaryType: string;
}

export const ways: readonly Way[] = [
  {
    name: "Connect binary",
    protocol: "connect",
    form: "binary",
    streamType: "application/connect+proto",
    unaryType: "application/proto",
  },
  {
    name: "Connect JSON",
    protocol: "connect",
    form: "json",
    streamType: "application/connect+json",
    unaryType: "application/json",
  },
  {
    name: "gRPC-Web",
    protocol: "grpc-web",
    form: "binary",
    streamType: "application/grpc-web+proto",
    unaryType: "application/grpc-web+proto",
  },
  {
    name: "gRPC-Web JSON",
    protocol: "grpc-web",
    form: "json",
    streamType: "application/grpc-web+json",
    unaryType: "application/grpc-web+json",
  },
  {
    name: "gRPC-Web text",
    protocol: "grpc-web",
    form: "binary",
    base64: true,
    streamType: "application/grpc-web-text+proto",
    unaryType: "application/grpc-web-text+proto",
  },
  {
    name: "gRPC",
    protocol: "grpc",
    form: "binary",
    streamType: "application/grpc+proto",
    unaryType: "application/grpc+proto",
  },
  {
    name: "gRPC JSON",
    protocol: "grpc",
    form: "json",
    streamType: "application/grpc+json",
    unaryType: "application/grpc+json",
  },
  {
    name: "WebSocket",
    protocol: "connect",
    form: "binary",
    isSocket: true,
    streamType: "application/connect+proto",
    unaryType: "application/proto",
  },
  {
    name: "WebSocket JSON",
    protocol: "connect",
    form: "json",
    isSocket: true,
    streamType: "application/connect+json",
    unaryType: "application/json",
  },
];

/** Whether a call of this method goes over a WebSocket. */
export const isBySocket = ({ isSocket }: Way, method: Method) => isSocket === true && method === "collaborativeSession";

export function wayOf(name: string): Way {
  const way = ways.find((one) => one.name === name);
  if (way === undefined) throw new Error(`there is no way ${name}`);
  return way;
}

/** Where a relay listens: native gRPC has a port of its own. */
export interface Entrances {
  readonly url: string;
  readonly grpcUrl: string;
  /** Default: "2". */
  readonly httpVersion?: "1.1" | "2";
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The whole body, as text: what a test looks through for what must not be there. */
  readonly text: string;
  /** Of the whole body; its text may be shorter or longer, by what the bytes of a time happen to look like. */
  readonly bytes: number;
  /** The messages in the body, undecoded. */
  readonly messages: readonly Uint8Array[];
  /** How the call ended; undefined: OK. */
  readonly error: ConnectError | undefined;
}

export interface Call {
  readonly method: Method;
  readonly token?: string | undefined;
  /** The whole body of the request; its end closes the client's half. */
  readonly body: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the call. A `Subscribe` that is taken ends by nothing else. */
  readonly deadlineMs?: number;
}

const pathOf = (method: Method) => `/codereview.v1.CodeReviewService/${CodeReviewService.method[method].name}`;
export const methods = [
  "collaborativeSession",
  "subscribe",
  "publish",
  "readLog",
  "getSnapshot",
] as const satisfies Method[];
export const isUnary = (method: Method) => CodeReviewService.method[method].methodKind === "unary";

const deadlineHeader = ({ protocol }: Way, ms: number): Record<string, string> =>
  protocol === "connect" ? { "connect-timeout-ms": String(ms) } : { "grpc-timeout": `${ms}m` };

/** An HTTP/2 connection on which calls are made, any number at once; where there is none, each call makes its own. */
export function openConnection({ url, grpcUrl, httpVersion = "2" }: Entrances, way: Way) {
  const baseUrl = way.protocol === "grpc" ? grpcUrl : url;
  const connection = httpVersion === "2" ? connectH2(baseUrl) : connectH1(baseUrl);
  return {
    async call({ method, token, body, headers = {}, deadlineMs }: Call): Promise<Answer> {
      if (isBySocket(way, method)) return await callBySocket(url, way.form, { token, body, headers });
      const head = {
        ":method": "POST",
        ":path": pathOf(method),
        "content-type": isUnary(method) ? way.unaryType : way.streamType,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(deadlineMs === undefined ? {} : deadlineHeader(way, deadlineMs)),
        ...(way.protocol === "grpc" ? { te: "trailers" } : {}),
        ...headers,
      };
      const sent = way.base64 === undefined ? body : Buffer.from(Buffer.from(body).toString("base64"));
      const { received, bytes } = await connection.exchange(head, sent);
      const plain = way.base64 === undefined ? bytes : decodeBase64(bytes.toString("latin1"));
      return readAnswer(way, isUnary(method), received, new Uint8Array(plain));
    },
    close: () => connection.close(),
  };
}

/** Base64 with padding wherever a frame ends. */
function decodeBase64(text: string): Uint8Array {
  return Buffer.concat((text.match(/[^=]+=*/g) ?? []).map((piece) => Buffer.from(piece, "base64")));
}

/** One call on a connection of its own. */
export async function call(at: Entrances, way: Way, options: Call): Promise<Answer> {
  const connection = openConnection(at, way);
  try {
    return await connection.call(options);
  } finally {
    connection.close();
  }
}

function readAnswer(way: Way, unary: boolean, received: IncomingHttpHeaders, body: Uint8Array): Answer {
  const plain = Object.entries(received).flatMap(([name, value]): [string, string][] =>
    name.startsWith(":") || typeof value !== "string" ? [] : [[name, value]],
  );
  const headers = new Headers(plain);
  const status = Number(received[":status"]);
  const answer = { status, headers, text: new TextDecoder().decode(body), bytes: body.length };
  const enveloped = way.protocol !== "connect" || (!unary && status === 200);
  const frames = enveloped ? splitFrames(body) : [];
  const framed = frames.filter(({ flags }) => flags === 0).map(({ data }) => data);
  const messages = enveloped || status !== 200 ? framed : [body];
  return {
    ...answer,
    messages,
    // Not every answer of HTTP ends as the protocol has it: who wants no more than its status does not ask.
    get error() {
      return errorOf(way, { status, headers, frames, body, enveloped });
    },
  };
}

interface Read {
  readonly status: number;
  readonly headers: Headers;
  readonly frames: ReturnType<typeof splitFrames>;
  readonly body: Uint8Array;
  readonly enveloped: boolean;
}

function errorOf({ protocol }: Way, { status, headers, frames, body, enveloped }: Read): ConnectError | undefined {
  const last = frames.at(-1);
  if (protocol === "connect") {
    if (last?.flags === endStreamFlag) return endStreamFromJson(last.data).error;
    if (enveloped) throw new Error("the stream has no end");
    return status === 200 ? undefined : errorFromJsonBytes(body, undefined, new ConnectError("no error", Code.Unknown));
  }
  const trailer = last?.flags === trailerFlag ? trailerParse(last.data) : headers;
  const error = findTrailerError(trailer);
  if (error === undefined && trailer.get("grpc-status") !== grpcStatusOk) throw new Error("the call has no status");
  return error;
}

export const faultOf = (error: ConnectError | undefined): Fault | undefined => error?.findDetails(FaultSchema)[0];

/** The reason with which a call ended; "OK" where it did. */
export const reasonOf = ({ error }: Answer): string =>
  error === undefined ? "OK" : (faultOf(error)?.reason ?? `${Code[error.code]} without a Fault`);

const encoder = new TextEncoder();

export function envelope(data: Uint8Array, flags = 0): Uint8Array {
  const frame = Buffer.alloc(5 + data.length);
  frame.writeUInt8(flags, 0);
  frame.writeUInt32BE(data.length, 1);
  frame.set(data, 5);
  return frame;
}

type Schema = (typeof CodeReviewService.method)[Method]["input"];

/** A request of a method as this way spells it, without an envelope. */
export function encode(way: Way, schema: Schema, init: object): Uint8Array {
  const message = create(schema, init);
  return way.form === "binary" ? toBinary(schema, message) : encoder.encode(toJsonString(schema, message));
}

/** The body of a call that carries these messages, each in its own bytes. */
export function bodyOf(way: Way, method: Method, ...messages: readonly Uint8Array[]): Uint8Array {
  if (isUnary(method) && way.protocol === "connect") return Buffer.concat(messages);
  return Buffer.concat(messages.map((message) => envelope(message)));
}

export function decode(way: Way, data: Uint8Array): SessionMessage {
  if (way.form === "binary") return fromBinary(SessionMessageSchema, data);
  return fromJsonString(SessionMessageSchema, new TextDecoder().decode(data));
}
