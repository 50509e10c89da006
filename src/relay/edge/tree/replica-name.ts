/**
 * Where a replica stands in its session's tree. The session's own object is the root, and has no such place. Below it each
 * region has branches of its own, so that a replica is near to those who read from it.
 */
export interface ReplicaPlace {
  readonly sessionId: string;
  /** As the platform names it; empty: not known. */
  readonly region: string;
  /** Of the root's child, of that one's child, and so on: the numbers that they have among their siblings. */
  readonly path: readonly number[];
}

/** `~` stands in no session's id. */
const namePattern = /^([^~]+)~([a-z]*)~([0-9]+(?:\.[0-9]+)*)$/;

export const replicaName = ({ sessionId, region, path }: ReplicaPlace): string =>
  `${sessionId}~${region}~${path.join(".")}`;

/** Undefined: it is no replica's name. */
export function parseReplicaName(name: string): ReplicaPlace | undefined {
  const [, sessionId, region, path] = namePattern.exec(name) ?? [];
  if (sessionId === undefined || region === undefined || path === undefined) return undefined;
  return { sessionId, region, path: path.split(".").map(Number) };
}

/** The object that a replica follows: another replica, or the session's, which has the session's id for its name. */
export function parentName({ sessionId, region, path }: ReplicaPlace): string {
  return path.length === 1 ? sessionId : replicaName({ sessionId, region, path: path.slice(0, -1) });
}

/** The child of an object that has this number among those of its region. */
export function childName(parent: string, region: string, index: number): string {
  const place = parseReplicaName(parent) ?? { sessionId: parent, region, path: [] };
  return replicaName({ ...place, path: [...place.path, index] });
}
