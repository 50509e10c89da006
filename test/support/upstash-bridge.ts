// Upstash's REST protocol in front of a real Redis: https://upstash.com/docs/redis/features/restapi
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createClient, ErrorReply } from "@redis/client";
import { createScriptGuard } from "./upstash-lua.ts";
import { openStreams, type StreamFaults, type UpstashStreams } from "./upstash-streams.ts";

/** What becomes of one request that holds commands; the next ones are well again. */
export type RequestFault =
  /** The connection breaks, and nothing was done. */
  | { readonly kind: "lost" }
  /** It is done, and the connection breaks before anybody is told. */
  | { readonly kind: "answer lost" }
  /** It is done, and the answer breaks off in the middle. */
  | { readonly kind: "answer cut" }
  /** Nothing is done, and nothing comes. */
  | { readonly kind: "silence" }
  /** It is done twice, as by a proxy that sent it again; of the second time is told. */
  | { readonly kind: "doubled" }
  /** It is done, and told so late. */
  | { readonly kind: "late"; readonly delayMs: number }
  /** Nothing is done; this is told. */
  | { readonly kind: "instead"; readonly status: number; readonly body: string; readonly headers?: HeaderTexts };

type HeaderTexts = Readonly<Record<string, string>>;

export interface BridgeOptions {
  readonly redisPort: number;
  readonly maxRequestBytes?: number;
  /** Of one argument, as Upstash bounds what a record may hold. */
  readonly maxRecordBytes?: number;
}

export interface UpstashBridge {
  readonly url: string;
  /** As a console would rotate it. */
  token: string;
  readonly readOnlyToken: string;
  /** What becomes of the next requests, in their order. */
  readonly faults: RequestFault[];
  /** Asked first for each request: what becomes of this one. */
  faultOf: (command: readonly string[]) => RequestFault | undefined;
  /** What has been asked so far. */
  readonly requests: { readonly path: string; readonly command: readonly string[]; readonly syncToken: string }[];
  readonly streams: UpstashStreams;
  readonly streamFaults: StreamFaults;
  close(): Promise<void>;
}

type Reply = null | number | string | Buffer | readonly Reply[];
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const writes = /^(set|setex|del|unlink|incr|hset|hdel|zadd|zrem|rpush|lpush|eval|evalsha|publish|flushall|expire)$/i;

export async function startUpstashBridge(options: BridgeOptions): Promise<UpstashBridge> {
  const redis = createClient({
    RESP: 2,
    socket: { host: "127.0.0.1", port: options.redisPort },
    disableOfflineQueue: true,
  });
  redis.on("error", () => {});
  await redis.connect();
  const guard = createScriptGuard();
  const streams = openStreams(redis);
  let changes = 0;

  const run = async (command: readonly string[], token: string): Promise<unknown> => {
    const tooLarge = command.some((argument) => Buffer.byteLength(argument) > (options.maxRecordBytes ?? 100e6));
    if (tooLarge) return { error: "ERR max single record size exceeded. Limit: 104857600 bytes" };
    if (token === bridge.readOnlyToken && writes.test(command[0] ?? "")) {
      return { error: `NOPERM this user has no permissions to run the '${command[0]?.toLowerCase()}' command` };
    }
    const translated = guard.translate(command);
    if (typeof translated === "string") return { error: translated };
    try {
      const result: Reply = await redis.sendCommand([...translated]);
      if (writes.test(command[0] ?? "")) changes++;
      return { result };
    } catch (error) {
      if (error instanceof ErrorReply) return { error: error.message };
      throw error;
    }
  };

  const answer = async (path: string, body: unknown, token: string): Promise<Answer> => {
    switch (path) {
      case "/": {
        if (!isCommand(body)) return { status: 400, body: { error: "ERR invalid command format" } };
        const reply = await run(body, token);
        return { status: isError(reply) ? 400 : 200, body: reply };
      }
      case "/pipeline": {
        if (!Array.isArray(body) || !body.every(isCommand)) {
          return { status: 400, body: { error: "ERR invalid pipeline request" } };
        }
        const replies: unknown[] = [];
        for (const command of body) replies.push(await run(command, token));
        return { status: 200, body: replies };
      }
      default: {
        const command = path.slice(1).split("/").map(decodeURIComponent);
        const reply = await run(command, token);
        return { status: isError(reply) ? 400 : 200, body: reply };
      }
    }
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://bridge");
    const send = (status: number, body: unknown, headers: HeaderTexts = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    };
    const token =
      /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? url.searchParams.get("_token") ?? "";
    if (token !== bridge.token && token !== bridge.readOnlyToken) {
      return send(401, { error: "WRONGPASS invalid or missing auth token" });
    }
    if (request.method !== "POST" && request.method !== "GET") return send(405, { error: "ERR method not allowed" });
    const stream = /^\/(p?subscribe)\/(.+)$/.exec(url.pathname);
    if (stream !== null) {
      return await streams.open(
        stream[1] === "psubscribe",
        decodeURIComponent(stream[2] ?? ""),
        response,
        bridge.streamFaults,
      );
    }
    const text = await readText(request);
    const limit = options.maxRequestBytes ?? 10e6;
    if (text.length > limit) {
      return send(400, { error: `ERR max request size exceeded. Limit: ${limit} bytes, Actual: ${text.length} bytes` });
    }
    const body: unknown = text === "" ? [] : JSON.parse(text);
    const syncToken = request.headers["upstash-sync-token"];
    const command = isCommand(body) ? body : [];
    bridge.requests.push({
      path: url.pathname,
      command,
      syncToken: typeof syncToken === "string" ? syncToken : "",
    });

    const fault = bridge.faultOf(command) ?? bridge.faults.shift();
    if (fault?.kind === "silence") return;
    if (fault?.kind === "lost") return void request.socket.destroy();
    if (fault?.kind === "instead") return send(fault.status, fault.body, fault.headers);
    if (fault?.kind === "doubled") await answer(url.pathname, body, token);
    const { status, body: reply } = await answer(url.pathname, body, token);
    const isBase64 = request.headers["upstash-encoding"] === "base64";
    const told = JSON.stringify(isBase64 ? inBase64(reply) : reply);
    switch (fault?.kind) {
      case "answer lost":
        return void request.socket.destroy();
      case "answer cut":
        response.writeHead(status, { "content-type": "application/json", "content-length": String(told.length + 10) });
        return void response.write(told.slice(0, -1), () => request.socket.destroy());
      case "late":
        await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    }
    send(status, told, { "upstash-sync-token": `after ${changes}` });
  };

  const server = createServer((request, response) => {
    serve(request, response).catch(() => {
      // The Redis behind it is gone, or the caller is.
      if (!response.headersSent) response.writeHead(503, { "content-type": "text/html" });
      response.end("<html>service unavailable</html>");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const bridge: UpstashBridge = {
    url: `http://127.0.0.1:${port}`,
    token: "canary-upstash-token",
    readOnlyToken: "canary-read-only-token",
    faults: [],
    faultOf: () => undefined,
    requests: [],
    streams,
    streamFaults: {},
    async close() {
      await streams.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      redis.destroy();
    },
  };
  return bridge;
}

const isCommand = (body: unknown): body is string[] =>
  Array.isArray(body) && body.length > 0 && body.every((argument) => typeof argument === "string");

const isError = (reply: unknown) => typeof reply === "object" && reply !== null && "error" in reply;

/** Strings of results, but for "OK". */
function inBase64(reply: unknown): unknown {
  if (Array.isArray(reply)) return reply.map(inBase64);
  if (typeof reply === "object" && reply !== null) {
    return "result" in reply ? { result: inBase64(reply.result) } : reply;
  }
  return typeof reply === "string" && reply !== "OK" ? Buffer.from(reply).toString("base64") : reply;
}

async function readText(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString();
}
