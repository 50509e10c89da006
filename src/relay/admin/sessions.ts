import { create } from "@bufbuild/protobuf";
import { assertAdministers } from "../../auth/admin.ts";
import type { Principal } from "../../auth/principal.ts";
import { narrowPatterns } from "../../auth/session-pattern.ts";
import type { SessionListing, SessionLog } from "../../durable/session-log.ts";
import type {
  DescribeSessionRequest,
  DescribeSessionResponse,
  ListSessionsRequest,
  ListSessionsResponse,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { ListSessionsResponseSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { sessionIdPattern } from "../../session/limits.ts";
import { BatonError } from "../../session/reasons.ts";
import { assertSessionId } from "../join.ts";
import type { Administered } from "./administered.ts";
import { sessionInfo } from "./describe-room.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";

const defaultPageSize = 100;
const maxPageSize = 1_000;

/** The sessions that the token names, in the order of their ids. A page costs what is on it, and a look at each pattern. */
export async function listSessions(
  { log, live }: Administered,
  { sessions: patterns }: Principal,
  { prefix, pageSize, pageToken }: ListSessionsRequest,
): Promise<ListSessionsResponse> {
  if (prefix !== "" && !sessionIdPattern.test(prefix)) {
    throw new BatonError("REQUEST_INVALID", "prefix is the beginning of a session id, or empty");
  }
  const size = pageSize === 0 ? defaultPageSize : Math.min(pageSize, maxPageSize);
  const after = pageToken === "" ? "" : decodePageToken(pageToken, prefix);
  // One more than the page holds, to know whether another follows.
  const found: SessionListing[] = [];
  for (const pattern of narrowPatterns(patterns, prefix)) {
    if (found.length > size) break;
    found.push(...(await listPattern(log, pattern, after, size + 1 - found.length)));
  }
  const page = found.slice(0, size);
  const last = page.at(-1);
  const streams = await live.countStreams(page.map(({ sessionId }) => sessionId));
  return create(ListSessionsResponseSchema, {
    sessions: page.map((listing, index) => sessionInfo(listing.sessionId, listing, streams[index] ?? 0)),
    nextPageToken: found.length > size && last !== undefined ? encodePageToken(last.sessionId) : "",
  });
}

async function listPattern(
  log: SessionLog,
  pattern: string,
  after: string,
  limit: number,
): Promise<readonly SessionListing[]> {
  if (pattern.endsWith("*")) return await log.list(pattern.slice(0, -1), after, limit);
  const state = pattern > after ? await log.describe(pattern) : undefined;
  return state === undefined ? [] : [{ sessionId: pattern, ...state }];
}

/** What is known of a session: who is in it, and which files it has. */
export async function describeSession(
  { live }: Administered,
  principal: Principal,
  { sessionId }: DescribeSessionRequest,
): Promise<DescribeSessionResponse> {
  assertSessionId(sessionId);
  assertAdministers(principal, sessionId);
  const described = await live.describe(sessionId);
  if (described === undefined) throw new BatonError("SESSION_NOT_FOUND");
  return described;
}
