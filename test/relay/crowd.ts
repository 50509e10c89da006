// Many participants at once, on few connections.
import net from "node:net";
import { Stream, type TestRelay } from "./harness.ts";

/** As many as one user may have, and as many as a connection carries on every listener. */
const perConnection = 50;

export interface CrowdOptions {
  readonly size: number;
  /** The session of the nth; default: one for each connection. */
  readonly session?: (n: number) => string;
}

/** Opens streams that have not said their Join yet: fifty on each connection, of as many users. */
export async function openCrowd(relay: TestRelay, { size, session }: CrowdOptions) {
  const crowd: { readonly stream: Stream; readonly session: string; readonly user: string }[] = [];
  let client = relay.client();
  for (let n = 0; n < size; n++) {
    if (n % perConnection === 0) client = relay.client();
    const user = `user-${n}`;
    const sessionId = session?.(n) ?? `session-${Math.floor(n / perConnection)}`;
    const token = await relay.token({ sub: user, sessions: [sessionId] });
    crowd.push({ stream: new Stream(client, token), session: sessionId, user });
  }
  return crowd;
}

/** A participant over HTTP/1.1 and JSON that has joined, and reads nothing from then on until it is told to. */
export async function joinDeaf(relay: TestRelay, user: string, session: string) {
  const { hostname, port } = new URL(relay.url);
  const socket = net.connect(Number(port), hostname);
  socket.on("error", () => undefined);
  let text = "";
  const joined = new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.includes('"snapshot"')) resolve();
    });
  });
  const body = JSON.stringify({ sessionId: session, join: {} });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  const lines = [
    "POST /codereview.v1.CodeReviewService/CollaborativeSession HTTP/1.1",
    "host: test",
    "content-type: application/connect+json",
    `authorization: Bearer ${await relay.token({ sub: user, sessions: [session] })}`,
    "transfer-encoding: chunked",
    "",
    (head.length + body.length).toString(16),
    "",
  ];
  socket.write(Buffer.concat([Buffer.from(lines.join("\r\n")), head, Buffer.from(`${body}\r\n`)]));
  await joined;
  socket.pause();
  return { socket, received: () => text };
}
