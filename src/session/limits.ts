/**
 * Every limit of the relay, in one place, with its reason. Names follow their environment variable:
 * `messageBytes` is `BATON_LIMIT_MESSAGE_BYTES`. Sizes are bytes, times are milliseconds, unless the name says otherwise.
 */
export const defaultLimits = {
  /** One message, after decompression. An edit and its JSON escaping fit four times over. */
  messageBytes: 256 * 1024,
  /** Text that one edit inserts, in UTF-16 code units. */
  editBytes: 64 * 1024,
  /** Changes in one edit: what a project-wide rename makes in one file, and a bound on the transform's work. */
  editChanges: 1_000,
  /** One file's text, in UTF-16 code units. */
  fileBytes: 8 * 1024 * 1024,
  /** Files that exist at once in one session. */
  sessionFiles: 256,
  /** All texts and comments of one session, in UTF-16 code units: what a join may have to send, and a room has to hold. */
  sessionBytes: 32 * 1024 * 1024,
  /** Participants of one session whose token lets them write. Each is told of every other. */
  writers: 200,
  /** Participants of one session that only read; they are told as a count. */
  readers: 10_000,
  /** Of them, those whose streams the session's own object holds, on Workers; the others go to replicas of it. */
  objectReaders: 200,
  /** Readers whose streams one replica holds: to write to so many takes it some 10 ms. */
  replicaReaders: 1_000,
  /** Messages that one stream may send in a second, in the long run. */
  messagesPerSecond: 50,
  /** Messages that one stream may send at once after a quiet time: a resend after a reconnect. */
  messagesBurst: 100,
  /** Bytes that one client may have sent and not yet been acked for. */
  unackedBytes: 1024 * 1024,
  /** Streams that one connection may hold open at once. */
  streamsPerConnection: 100,
  /** Request headers. A JWT of the size allowed fits twice. */
  headerBytes: 16 * 1024,
  /** How long a connection may stay on which no stream is open: longer than load balancers keep one, 60 s. */
  connectionIdleMs: 75_000,
  /** How long an opened stream may be silent before its first message, and a call's one message may take to come. */
  firstMessageMs: 10_000,
  /** A JWT's text. */
  tokenBytes: 8 * 1024,
  /** Recent frames that a room keeps in memory for its participants. */
  ringBytes: 1024 * 1024,
  /** How often each side tells that it lives: below the 60 s at which load balancers cut a quiet stream, with room for one loss. */
  heartbeatMs: 15_000,
  /** The longest life of one stream: it then moves, so that no instance is pinned for ever. */
  streamAgeMs: 4 * 60 * 60 * 1000,
  /** Without input for this long, a participant is shown as idle. */
  idleMs: 60_000,
  /** How long a participant whose stream ended is still shown: a reconnect within it is not seen by the others. */
  leaveGraceMs: 15_000,
  /** Records after which a snapshot is written. */
  snapshotRecords: 1_000,
  /** Records that the log of a session keeps at most, beyond what its newest two snapshots need. */
  logRecords: 100_000,
  /** Bytes that the log of a session keeps at most, likewise. */
  logBytes: 256 * 1024 * 1024,
  /** A session that nobody touched for this long is deleted. */
  logAgeMs: 30 * 24 * 60 * 60 * 1000,
  /** Versions of a file over which an edit can still be mapped. */
  fileHistory: 1_000,
  /** How long a reader may take nothing at all before its stream ends. */
  slowReaderMs: 30_000,
  /** How far clocks may differ when a token's times are judged. */
  tokenSkewMs: 30_000,
  /** How long a drain may take: the strictest platform kills 5 s after it asks. */
  drainMs: 4_000,
  /** How long the relay remembers what a client sent last. */
  clientTtlMs: 48 * 60 * 60 * 1000,
  /** How long a room with nobody in it stays in memory. */
  roomIdleMs: 60_000,
  /** Joins under way at once on one instance, each of which claims, folds and signs: the others wait in line. */
  joins: 32,
  /** Joins that wait in line on one instance. Who comes beyond is told when to come back. */
  joinsWaiting: 1_000,
  /** Streams that one user may hold open at once on one instance. */
  userStreams: 64,
  /** Sessions that one user may be in at once on one instance, or has been in for as long as a room is kept. */
  userSessions: 256,
};

export type Limits = Readonly<typeof defaultLimits>;

/** How long a resume token is good for. Half of `clientTtlMs`, so that what it points to is still remembered. */
export const resumeTokenTtlMs = 24 * 60 * 60 * 1000;

/** A session's name: a path of ordinary characters, safe in a URL, a file name, a log line and a Redis key. */
export const sessionIdPattern = /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;

/** A client's name: a device or a tab. */
export const clientIdPattern = /^[A-Za-z0-9_-]{1,64}$/;
