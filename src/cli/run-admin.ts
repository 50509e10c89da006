import process from "node:process";
import { toJsonString } from "@bufbuild/protobuf";
import { endFromError } from "../client/stream-error.ts";
import {
  DescribeSessionResponseSchema,
  DisconnectResponseSchema,
  RevokeTokensResponseSchema,
  SessionInfoSchema,
} from "../gen/codereview/v1/codereview_pb.ts";
import { describeAdminFailure } from "./describe-admin-failure.ts";
import { exitCodes } from "./exit-codes.ts";
import { jsonLine, Output } from "./output.ts";
import { type AdminClient, createAdminClient } from "./relay-transport.ts";
import { openTokenSource } from "./token-source.ts";

export interface AdminOptions {
  readonly url: string;
  readonly sub?: string;
  readonly token?: string;
  readonly dataDir?: string;
}

/** Numbers that are 0 are told too: a program need not know what a line leaves out. */
const whole = { alwaysEmitImplicit: true };

const maxPageSize = 1_000;

export function runSessions(
  options: AdminOptions & { readonly prefix: string; readonly limit?: number },
): Promise<void> {
  const { prefix, limit = Number.POSITIVE_INFINITY } = options;
  return run(options, "*", async (admin, call, print) => {
    let left = limit;
    let pageToken = "";
    do {
      const pageSize = Math.min(left, maxPageSize);
      const page = await admin.listSessions({ prefix, pageSize, pageToken }, await call());
      for (const session of page.sessions) await print(toJsonString(SessionInfoSchema, session, whole));
      left -= page.sessions.length;
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && left > 0);
  });
}

export function runDescribe(options: AdminOptions & { readonly session: string }): Promise<void> {
  const { session: sessionId } = options;
  return run(options, sessionId, async (admin, call, print) => {
    const described = await admin.describeSession({ sessionId }, await call());
    await print(toJsonString(DescribeSessionResponseSchema, described, whole));
  });
}

export function runDisconnect(
  options: AdminOptions & { readonly user: string; readonly client: string; readonly session?: string },
): Promise<void> {
  const { user: userId, client: clientId, session: sessionId = "" } = options;
  return run(options, sessionId, async (admin, call, print) => {
    const ended = await admin.disconnect({ sessionId, userId, clientId }, await call());
    await print(toJsonString(DisconnectResponseSchema, ended, whole));
  });
}

export function runRevoke(
  options: AdminOptions & { readonly user?: string; readonly tokenId?: string },
): Promise<void> {
  const { user: userId = "", tokenId = "" } = options;
  return run(options, "*", async (admin, call, print) => {
    const ended = await admin.revokeTokens({ userId, tokenId }, await call());
    await print(toJsonString(RevokeTokensResponseSchema, ended, whole));
  });
}

export function runDelete(options: AdminOptions & { readonly session: string }): Promise<void> {
  const { session: sessionId } = options;
  return run(options, sessionId, async (admin, call, print) => {
    await admin.deleteSession({ sessionId }, await call());
    await print(JSON.stringify({ deleted: sessionId }));
  });
}

const patienceMs = 30_000;

interface CallOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** Ends the process: with 0, or with words on stderr that say what to do. */
async function run(
  { url, sub, token, dataDir }: AdminOptions,
  session: string,
  work: (admin: AdminClient, call: () => Promise<CallOptions>, print: (json: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const tokens = await openTokenSource({
    session: "*",
    sub,
    token,
    scope: "session:admin",
    ttlSeconds: tokenTtlSeconds,
    dataDir,
  });
  // Whoever reads stdout has gone: nobody wants to know any more.
  const output = new Output(() => process.exit(exitCodes.ok));
  const call = async () => ({
    headers: { authorization: `Bearer ${(await tokens("join")) ?? ""}` },
    timeoutMs: patienceMs,
  });
  const print = async (json: string) => {
    output.line(jsonLine(json));
    await output.room();
  };
  try {
    await work(createAdminClient(url), call, print);
  } catch (error) {
    await output.flushed();
    process.stderr.write(`${describeAdminFailure(endFromError(error), { url, session, signs: sub !== undefined })}\n`);
    process.exit(exitCodes.failed);
  }
  await output.flushed();
  process.exit(exitCodes.ok);
}

/** Each call has one of its own. */
const tokenTtlSeconds = 60;
