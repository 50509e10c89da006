import {
  accesses,
  appendOutcomes,
  carriages,
  ends,
  joinOutcomes,
  logFiles,
  protocols,
  readerSteps,
  reasonNames,
  receivedPayloads,
  rotationOutcomes,
  sentPayloads,
} from "./labels.ts";

export interface MetricEntry {
  readonly type: "counter" | "gauge" | "histogram";
  /** Of its value; of a histogram, of what is observed. */
  readonly unit: string;
  /** What each label may say. "fixed": one value for as long as the process runs. */
  readonly labels: Readonly<Record<string, readonly string[] | "fixed">>;
  /** One sentence. */
  readonly says: string;
  /** What an operator does when it moves. */
  readonly watch: string;
}

/**
 * Every metric of the relay. docs/metrics.md is generated from it, and the registry is built from it. No label holds what
 * somebody outside chose, such as a user, a session, a client or a token: so their number is bounded, and they tell nothing.
 */
export const catalogue = {
  baton_build_info: {
    type: "gauge",
    unit: "1",
    labels: { version: "fixed", runtime: "fixed" },
    says: "What runs: always 1.",
    watch: "Nothing. Join it to others to see what a new version changed.",
  },
  baton_streams: {
    type: "gauge",
    unit: "streams",
    labels: { carriage: carriages, protocol: protocols },
    says: "Streams that have joined a session and live.",
    watch:
      "A sudden fall to near nothing: streams are cut, by the network or by a proxy's timeout; baton_stream_ends_total says which. A rise: compare with the capacity that was planned.",
  },
  baton_participants: {
    type: "gauge",
    unit: "participants",
    labels: { access: accesses },
    says: "Those in a session whose token in force lets them write, and those who only read.",
    watch: "Near the limits of writers or readers of one session, who comes is refused SESSION_FULL.",
  },
  baton_sessions: {
    type: "gauge",
    unit: "sessions",
    labels: {},
    says: "Sessions that are open in memory, among them those that nobody has been in for less than the room's idle time.",
    watch: "Memory follows it: each holds its texts and up to BATON_LIMIT_RING_BYTES of recent messages.",
  },
  baton_readings: {
    type: "gauge",
    unit: "calls",
    labels: {},
    says: "Calls of ReadLog and GetSnapshot that are under way.",
    watch: "A number that stays high: somebody reads whole logs again and again.",
  },
  baton_joins_total: {
    type: "counter",
    unit: "streams",
    labels: { outcome: joinOutcomes },
    says: "Streams that came into their session: new, resumed without a gap, or resynced from a snapshot.",
    watch:
      "A peak of resumed: many were cut at once. Resynced beyond a few in a hundred: clients are away longer than the log is kept (BATON_LIMIT_LOG_RECORDS, BATON_LIMIT_LOG_BYTES).",
  },
  baton_join_refusals_total: {
    type: "counter",
    unit: "streams",
    labels: { reason: reasonNames },
    says: "Streams that ended before they were in a session, by reason.",
    watch:
      "TOKEN_INVALID or TOKEN_EXPIRED: the issuer, its keys, or clocks. KEYS_UNAVAILABLE: the issuer's key set cannot be fetched. SESSION_FULL, USER_LIMIT: a limit is reached. LOG_UNAVAILABLE: the store. DRAIN is as it should be.",
  },
  baton_publishes_total: {
    type: "counter",
    unit: "calls",
    labels: { reason: ends },
    says: "Calls of Publish by how they ended; OK may carry refusals of single messages, which baton_message_refusals_total counts.",
    watch: "As of baton_join_refusals_total.",
  },
  baton_stream_ends_total: {
    type: "counter",
    unit: "streams",
    labels: { reason: ends },
    says: "Ends of streams that had joined, by reason. OK: the client closed it, or is gone.",
    watch:
      "SLOW_CONSUMER: clients or their networks take nothing. CLIENT_SILENT: dead connections, or a proxy that keeps one direction back. LOG_UNAVAILABLE, LOG_DAMAGED, INTERNAL: the relay's log lines say more. DRAIN also counts sessions that were closed with the instance.",
  },
  baton_messages_received_total: {
    type: "counter",
    unit: "messages",
    labels: { payload: receivedPayloads },
    says: "Messages of clients that had joined, and their Joins, taken or not.",
    watch: "Load. Heartbeats without anything else: streams that are open and idle.",
  },
  baton_received_bytes_total: {
    type: "counter",
    unit: "bytes",
    labels: { payload: receivedPayloads },
    says: "Bytes of these messages, decompressed, with their envelopes; of a Publish, of the texts and data in them alone.",
    watch: "Load.",
  },
  baton_messages_sent_total: {
    type: "counter",
    unit: "messages",
    labels: { payload: sentPayloads },
    says: "Messages handed to streams and calls, each counted once for each that it goes to. To clients of the original contract: before they are told in its words.",
    watch:
      "Load. Divided by baton_writes_total it says how many messages go in one write: below 2 at a high rate, each costs its own.",
  },
  baton_sent_bytes_total: {
    type: "counter",
    unit: "bytes",
    labels: { payload: sentPayloads },
    says: "Bytes of these messages with their envelopes, without the answers of Publish.",
    watch: "The network's load, less what HTTP and TLS add.",
  },
  baton_writes_total: {
    type: "counter",
    unit: "writes",
    labels: {},
    says: "Writes to streams; each carries one message or many.",
    watch: "See baton_messages_sent_total.",
  },
  baton_message_refusals_total: {
    type: "counter",
    unit: "messages",
    labels: { reason: reasonNames },
    says: "Faults told while the stream or call went on: messages that were not taken, by reason.",
    watch:
      "RATE_LIMITED, UNACKED_LIMIT: a client sends more than it may. LOG_FULL: the disk is full. CONTENTION: several instances write to one session. Others come from faulty clients.",
  },
  baton_token_rotations_total: {
    type: "counter",
    unit: "tokens",
    labels: { outcome: rotationOutcomes },
    says: "Tokens that were sent to take the place of the one in force.",
    watch:
      "Rejected: the issuer gives clients tokens of another user, session or key; their streams end when the old token does.",
  },
  baton_revocations: {
    type: "gauge",
    unit: "revocations",
    labels: {},
    says: "Tokens and users that are revoked, as this instance knows.",
    watch:
      "100,000 is the most that are kept. Instances on one store that differ for more than 5 s: one of them cannot read the store.",
  },
  baton_keys_age_seconds: {
    type: "gauge",
    unit: "seconds",
    labels: {},
    says: "Since the issuer's keys were last fetched; absent without BATON_JWKS_URL, and before the first fetch.",
    watch: "Above 600: the issuer does not answer. At 86,400 nobody comes in any more.",
  },
  baton_appends_total: {
    type: "counter",
    unit: "batches",
    labels: { outcome: appendOutcomes },
    says: "Batches of records handed to the log, by what it said; full and failed: it took none of it, or nothing is known.",
    watch:
      "full: free disk space. failed: the store; its log lines say more. conflict: another instance writes to the same sessions.",
  },
  baton_tails_lost_total: {
    type: "counter",
    unit: "epochs",
    labels: {},
    says: "Epochs that this instance began because the store no longer had records that had been told.",
    watch: "Any: the store lost acked records (a failover, a restore, a flush). Everybody in the session was resynced.",
  },
  baton_instances: {
    type: "gauge",
    unit: "instances",
    labels: {},
    says: "Other instances that were heard of on the bus in the last 25 s.",
    watch: "Below what runs: the bus does not carry; cursors, presence and disconnects do not cross instances.",
  },
  baton_append_seconds: {
    type: "histogram",
    unit: "seconds",
    labels: {},
    says: "From handing a batch to the log to its answer, which is after it was synced. Nobody is acked earlier.",
    watch: "Its 99th percentile above 0.05: the disk is slow to sync, or shared with others.",
  },
  baton_batch_records: {
    type: "histogram",
    unit: "records",
    labels: {},
    says: "Records of a batch that the log took.",
    watch: "It grows with load: the commits are then shared. At 512 for long: the log is the limit.",
  },
  baton_batch_bytes: {
    type: "histogram",
    unit: "bytes",
    labels: {},
    says: "Bytes of a batch that the log took.",
    watch: "As of baton_batch_records.",
  },
  baton_log_appended_bytes_total: {
    type: "counter",
    unit: "bytes",
    labels: {},
    says: "Bytes of records that the log took.",
    watch: "How fast the store grows, before it is trimmed.",
  },
  baton_log_file_bytes: {
    type: "gauge",
    unit: "bytes",
    labels: { file: logFiles },
    says: "The SQLite file, and its write-ahead log; absent without one.",
    watch:
      "Against the free space of its disk. A file does not shrink by itself. A write-ahead log that stays above 64 MiB: checkpoints do not come through.",
  },
  baton_fanout_seconds: {
    type: "histogram",
    unit: "seconds",
    labels: {},
    says: "From where a batch is in the log to where every participant of its session that keeps up has been written to.",
    watch:
      "It grows with the participants of the largest sessions. Above 0.1: one session holds all others up for as long.",
  },
  baton_readers_behind: {
    type: "gauge",
    unit: "streams",
    labels: {},
    says: "Streams that take nothing for now, because their client or network does not.",
    watch: "A few are normal. Many at once: the network between, or a proxy that buffers.",
  },
  baton_reader_lag_records: {
    type: "gauge",
    unit: "records",
    labels: {},
    says: "How many records the stream that is furthest behind has still to be told.",
    watch:
      "Rising for minutes: that one is too slow for its session, and will be resynced or cut. It costs the others nothing.",
  },
  baton_reader_steps_total: {
    type: "counter",
    unit: "steps",
    labels: { step: readerSteps },
    says: "What was done for streams that do not keep up: messages that are not logged were conflated; it was sent on from the log; it was resynced by a snapshot; it was cut.",
    watch: "cut: clients lose their stream, and resume. resynced: what they missed is told as a whole.",
  },
} as const satisfies Readonly<Record<string, MetricEntry>>;

type Catalogue = typeof catalogue;
export type MetricName = keyof Catalogue;
export type HistogramName = {
  [Name in MetricName]: Catalogue[Name]["type"] extends "histogram" ? Name : never;
}[MetricName];
export type NumberName = Exclude<MetricName, HistogramName>;
