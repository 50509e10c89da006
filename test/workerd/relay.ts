import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { AdminService, CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { Stream, type TokenOptions, transports } from "../relay/harness.ts";
import { Workerd } from "./harness.ts";

/** What workerd listens with carries HTTP/1.1 alone. */
export type WorkerKind = "connect-h1" | "grpc-web-h1";

export const secret = "a secret of the tests, thirty-two bytes long";
const everything = "session:edit session:comment session:custom";

export interface WorkerJoin {
  readonly as?: string;
  readonly session?: string;
  readonly token?: string;
  readonly clientId?: string;
  readonly resumeToken?: string;
  readonly lastSeq?: bigint;
  readonly pendingFrom?: bigint;
}

interface WorkerSetup {
  /** Another worker that stands around the relay, and the name of its class of sessions. */
  readonly worker?: { readonly entry: string; readonly session: string };
  /** As PEM: it trusts this certificate, and no other. */
  readonly trusts?: string;
}

const deployed = {
  entry: fileURLToPath(new URL("../../src/runtime/worker.ts", import.meta.url)),
  session: "SessionObject",
};

/** The relay as it is deployed, in a workerd of its own. */
export async function startWorkerRelay(
  variables: Readonly<Record<string, string>> = {},
  { worker = deployed, trusts }: WorkerSetup = {},
) {
  const key = "BATON_JWKS_URL" in variables ? {} : { BATON_JWT_SECRET: secret };
  const workerd = await Workerd.start({
    entry: worker.entry,
    objects: { SESSIONS: worker.session, REPLICAS: "ReplicaObject", DIRECTORY: "DirectoryObject" },
    variables: { ...key, ...variables },
    ...(trusts !== undefined && { trusts }),
  });
  const streams = new Set<Stream>();
  const token = ({
    sub = "alice",
    sessions = ["demo"],
    scope = everything,
    ttlSeconds = 3600,
    ...named
  }: TokenOptions = {}) =>
    signDevelopmentToken(new TextEncoder().encode(secret), { sub, sessions, scope, ttlSeconds, ...named }, Date.now());
  return {
    workerd,
    token,
    get url() {
      return workerd.url;
    },
    client: () => createClient(CodeReviewService, transports["connect-h1"](workerd.url)),
    admin: () => createClient(AdminService, transports["connect-h1"](workerd.url)),
    async join({ as = "alice", session = "demo", token: given, ...fields }: WorkerJoin = {}) {
      const jwt = given ?? (await token({ sub: as, sessions: [session] }));
      const stream = new Stream(createClient(CodeReviewService, transports["connect-h1"](workerd.url)), jwt);
      streams.add(stream);
      stream.send({ case: "join", value: fields }, { sessionId: session });
      return stream;
    },
    async stop() {
      for (const stream of streams) stream.cut();
      await workerd.dispose();
    },
  };
}

export type WorkerRelay = Awaited<ReturnType<typeof startWorkerRelay>>;
