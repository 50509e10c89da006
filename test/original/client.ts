import { type DescMessage, type DescMethodStreaming, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import {
  type Fault,
  FaultSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { LinesClient } from "../session/original/lines-client.ts";
import { asOurs, encode, method, type OriginalMessage, service } from "./contract.ts";

/** How a stream ended: OK, or an error with the Fault in its details. */
export interface End {
  readonly code: string;
  readonly fault: Fault | undefined;
}

function endOf(error: ConnectError | undefined): End {
  return { code: error === undefined ? "OK" : Code[error.code], fault: error?.findDetails(FaultSchema)[0] };
}

interface Call {
  write(message: OriginalMessage): void;
  /** Closes the client's half. */
  finish(): void;
  cut(): void;
}

interface Listener {
  heard(message: SessionMessage): void;
  ended(end: End): void;
}

type Open = (url: string, token: string, listener: Listener) => Call;

/** By what a client of the original contract may come. */
export const carriers = {
  connect: overConnect((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })),
  "connect-json": overConnect((baseUrl) =>
    createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false }),
  ),
  "grpc-web": overConnect((baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })),
  "grpc-js": overGrpc,
} satisfies Record<string, Open>;

export type Carrier = keyof typeof carriers;

const patienceMs = 10_000;

/** A client of the original contract: it shows what it is told, and what it writes itself. */
export class OriginalClient {
  readonly shows = new LinesClient();
  /** All that it was told after the first frame. */
  readonly heard: SessionMessage[] = [];
  first: SessionMessage | undefined;
  readonly ended: Promise<End>;
  readonly #call: Call;
  #watchers = new Set<() => void>();
  #failure: unknown;

  constructor(carrier: Carrier, url: string, token: string) {
    const { promise, resolve } = Promise.withResolvers<End>();
    this.ended = promise;
    this.#call = carriers[carrier](url, token, {
      heard: (message) => this.#hear(message),
      ended: (end) => {
        resolve(end);
        this.#notify();
      },
    });
  }

  send(message: OriginalMessage): void {
    this.#call.write(message);
  }

  /** Writes a line as its user does: into its own text first. */
  edit(
    path: string,
    line: number,
    content: string,
    version = this.shows.versions.get(path) ?? 0,
    sessionId = "",
  ): void {
    this.shows.write(path, line, content, "whole");
    this.send({ session_id: sessionId, edit: { file_path: path, line_number: line, content, version } });
  }

  finish(): void {
    this.#call.finish();
  }

  cut(): void {
    this.#call.cut();
  }

  text(path: string): string {
    return this.shows.lines(path).join("\n");
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    const deadline = Date.now() + patienceMs;
    while (!holds()) {
      if (this.#failure !== undefined) throw this.#failure;
      if (Date.now() > deadline) throw new Error(`it did not come to be: ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#watchers.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #hear(message: SessionMessage): void {
    if (this.first === undefined) {
      this.first = message;
    } else {
      this.heard.push(message);
      try {
        this.shows.hear(message);
      } catch (error) {
        this.#failure ??= error;
      }
    }
    this.#notify();
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher();
    this.#watchers = new Set();
  }
}

function overConnect(createTransport: (url: string) => Transport): Open {
  return (url, token, listener) => {
    const abort = new AbortController();
    const waiting: (OriginalMessage | undefined)[] = [];
    let wake = () => {};
    const push = (message: OriginalMessage | undefined) => {
      waiting.push(message);
      wake();
    };
    async function* messages() {
      for (;;) {
        while (waiting.length > 0) {
          const message = waiting.shift();
          if (message === undefined) return;
          yield fromBinary(method.input, encode(message));
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    void readAll(createTransport(url), token, messages(), abort.signal, listener);
    return { write: push, finish: () => push(undefined), cut: () => abort.abort() };
  };
}

async function readAll(
  transport: Transport,
  token: string,
  messages: AsyncIterable<ReturnType<typeof fromBinary<DescMessage>>>,
  signal: AbortSignal,
  listener: Listener,
): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  try {
    const bidi: DescMethodStreaming = method;
    const response = await transport.stream(bidi, signal, undefined, headers, messages);
    for await (const message of response.message) {
      // With what the original does not know, which protobuf-es keeps.
      listener.heard(fromBinary(SessionMessageSchema, toBinary(method.output, message)));
    }
    listener.ended(endOf(undefined));
  } catch (cause) {
    listener.ended(endOf(ConnectError.from(cause)));
  }
}

const CodeReviewServiceClient = grpc.makeGenericClientConstructor(service, "CodeReviewService");

function overGrpc(url: string, token: string, listener: Listener): Call {
  const client = new CodeReviewServiceClient(new URL(url).host, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const call: grpc.ClientDuplexStream<object, object> = client.collaborativeSession?.(metadata);
  call.on("data", (message: object) => listener.heard(asOurs(message)));
  call.on("error", () => undefined);
  call.on("status", (status: grpc.StatusObject) => {
    client.close();
    listener.ended(endOf(errorFrom(status)));
  });
  return { write: (message) => void call.write(message), finish: () => call.end(), cut: () => call.cancel() };
}

/** The error that the trailers tell, its Fault among the details. */
function errorFrom({ code, details, metadata }: grpc.StatusObject): ConnectError | undefined {
  const trailers = new Headers({ "grpc-status": String(code), "grpc-message": encodeURIComponent(details) });
  const [status] = metadata.get("grpc-status-details-bin");
  if (status instanceof Buffer) trailers.set("grpc-status-details-bin", status.toString("base64"));
  return findTrailerError(trailers);
}
