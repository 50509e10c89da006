import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { assertAdministers } from "../../auth/admin.ts";
import type { Principal } from "../../auth/principal.ts";
import { narrowPatterns } from "../../auth/session-pattern.ts";
import type { LogState, SessionListing, SessionLog } from "../../durable/session-log.ts";
import type {
  DescribeSessionRequest,
  DescribeSessionResponse,
  ListSessionsRequest,
  ListSessionsResponse,
  SessionInfoSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { DescribeSessionResponseSchema, ListSessionsResponseSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { sessionIdPattern } from "../../session/limits.ts";
import { BatonError } from "../../session/reasons.ts";
import type { SessionState } from "../../session/state.ts";
import { assertSessionId } from "../join.ts";
import { loadState } from "../load.ts";
import type { Relay } from "../relay.ts";
import { shownParticipants } from "../welcome.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";

const defaultPageSize = 100;
const maxPageSize = 1_000;

/** The sessions that the token names, in the order of their ids. A page costs what is on it, and a look at each pattern. */
export async function listSessions(
  relay: Relay,
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
    found.push(...(await listPattern(relay.log, pattern, after, size + 1 - found.length)));
  }
  const page = found.slice(0, size);
  const last = page.at(-1);
  return create(ListSessionsResponseSchema, {
    sessions: page.map((listing) => sessionInfo(relay, listing.sessionId, listing)),
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

/** What the store and this instance know of a session; of its files, which there are. */
export async function describeSession(
  relay: Relay,
  principal: Principal,
  { sessionId }: DescribeSessionRequest,
): Promise<DescribeSessionResponse> {
  assertSessionId(sessionId);
  assertAdministers(principal, sessionId);
  const kept = await relay.log.describe(sessionId);
  if (kept === undefined) throw new BatonError("SESSION_NOT_FOUND");
  const state = await stateOf(relay, sessionId, kept);
  const room = relay.rooms.present(sessionId);
  return create(DescribeSessionResponseSchema, {
    info: sessionInfo(relay, sessionId, kept),
    participants: room === undefined ? [] : [...shownParticipants(room)],
    files: [...state.files.values()]
      .filter(({ deleted }) => !deleted)
      .map(({ path, version }) => ({ filePath: path, version }))
      .sort((a, b) => (a.filePath < b.filePath ? -1 : 1)),
  });
}

/** The open room's, where it holds what the log says. */
async function stateOf({ rooms, log, limits }: Relay, sessionId: string, kept: LogState): Promise<SessionState> {
  const live = rooms.present(sessionId)?.state;
  if (live?.epoch === kept.epoch && live.head >= kept.head) return live;
  return await loadState(log, sessionId, kept, kept.head, limits);
}

function sessionInfo(
  { rooms }: Relay,
  sessionId: string,
  { head, first, lastActivityMs, bytes }: LogState,
): MessageInitShape<typeof SessionInfoSchema> {
  return {
    sessionId,
    headSeq: BigInt(head),
    firstSeq: BigInt(first),
    participants: rooms.present(sessionId)?.participants.size ?? 0,
    lastActivity: BigInt(lastActivityMs),
    logBytes: BigInt(bytes),
  };
}
