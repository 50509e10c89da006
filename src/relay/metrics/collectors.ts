import type { KeySource } from "../../auth/keys.ts";
import type { Participant } from "../participant.ts";
import type { Relay } from "../relay.ts";
import type { HistogramName, NumberName } from "./catalogue.ts";
import type { Counts } from "./counts.ts";
import type { Histogram } from "./histogram.ts";
import { accesses, carriages, type LogFile, protocols } from "./labels.ts";
import type { Meters, Tally } from "./meters.ts";

/** What the relay cannot know. */
export interface RelayFacts {
  readonly build?: { readonly version: string; readonly runtime: string };
  /** Epochs that the log itself began, where it was first to find that its store had lost records. */
  readonly logEpochsBegun?: () => number;
  /** Of the log's files. Never rejects. */
  readonly logFileBytes?: () => Promise<readonly (readonly [LogFile, number])[]>;
}

export interface Exposed extends RelayFacts {
  readonly relay: Relay;
  readonly keys: KeySource;
}

export type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** Where each metric's values are when it is scraped. */
export const numbers: Readonly<Record<NumberName, (exposed: Exposed) => Iterable<Sample> | Promise<Iterable<Sample>>>> =
  {
    baton_build_info: ({ build }) => (build === undefined ? [] : [[{ ...build }, 1]]),
    baton_streams: ({ relay }) => {
      const all = [...participants(relay)];
      return carriages.flatMap((carriage) =>
        protocols.map((protocol): Sample => {
          const alike = all.filter((one) => one.carriage === carriage && one.protocol === protocol);
          return [{ carriage, protocol }, alike.length];
        }),
      );
    },
    baton_participants: ({ relay }) => {
      const all = [...participants(relay)];
      const writers = all.filter(({ mayWrite }) => mayWrite).length;
      return accesses.map((access) => [{ access }, access === "write" ? writers : all.length - writers]);
    },
    baton_sessions: ({ relay }) => one([...relay.rooms.all].filter(({ ended }) => ended === undefined).length),
    baton_readings: ({ relay }) => one([...relay.readings.all].length),
    baton_joins_total: ({ relay }) => counted(relay.meters.joins, "outcome"),
    baton_join_refusals_total: ({ relay }) => counted(relay.meters.joinRefusals, "reason"),
    baton_publishes_total: ({ relay }) => counted(relay.meters.publishes, "reason"),
    baton_stream_ends_total: ({ relay }) => counted(relay.meters.streamEnds, "reason"),
    baton_messages_received_total: ({ relay }) => tallied(relay.meters.received, ({ messages }) => messages),
    baton_received_bytes_total: ({ relay }) => tallied(relay.meters.received, ({ bytes }) => bytes),
    baton_messages_sent_total: ({ relay }) => tallied(sentBy(relay), ({ messages }) => messages),
    baton_sent_bytes_total: ({ relay }) => tallied(sentBy(relay), ({ bytes }) => bytes),
    baton_writes_total: ({ relay }) => one(relay.meters.writes),
    baton_message_refusals_total: ({ relay }) => counted(relay.meters.faults, "reason"),
    baton_token_rotations_total: ({ relay }) => counted(relay.meters.rotations, "outcome"),
    baton_revocations: ({ relay }) => one(relay.revocations.known.size),
    baton_keys_age_seconds: ({ relay, keys }) =>
      keys.fetchedAtMs === undefined ? [] : one(Math.max(0, relay.now() - keys.fetchedAtMs) / 1000),
    baton_appends_total: ({ relay }) => counted(relay.meters.appends, "outcome"),
    baton_tails_lost_total: ({ relay, logEpochsBegun }) => one(relay.meters.tailsLost + (logEpochsBegun?.() ?? 0)),
    baton_instances: ({ relay }) => one(relay.instances.count),
    baton_log_appended_bytes_total: ({ relay }) => one(relay.meters.batchBytes.sum),
    baton_log_file_bytes: async ({ logFileBytes }) =>
      ((await logFileBytes?.()) ?? []).map(([file, bytes]) => [{ file }, bytes]),
    baton_readers_behind: ({ relay }) =>
      one([...participants(relay)].filter(({ reader }) => reader.blockedSinceMs !== undefined).length),
    baton_reader_lag_records: ({ relay }) => one(largestLag(relay)),
    baton_reader_steps_total: ({ relay }) => counted(relay.meters.readerSteps, "step"),
  };

export const histograms: Readonly<Record<HistogramName, (meters: Meters) => Histogram>> = {
  baton_append_seconds: ({ appendSeconds }) => appendSeconds,
  baton_batch_records: ({ batchRecords }) => batchRecords,
  baton_batch_bytes: ({ batchBytes }) => batchBytes,
  baton_fanout_seconds: ({ fanoutSeconds }) => fanoutSeconds,
};

function* participants({ rooms }: Relay): Generator<Participant> {
  for (const room of rooms.all) yield* room.participants.values();
}

function largestLag({ rooms }: Relay): number {
  let largest = 0;
  for (const { state, participants } of rooms.all) {
    for (const { reader } of participants.values()) largest = Math.max(largest, state.head - reader.toldSeq);
  }
  return largest;
}

/** With what rings have not counted yet. */
function sentBy({ rooms, meters }: Relay): Meters["sent"] {
  for (const { ring } of rooms.all) ring.countSent();
  return meters.sent;
}

const one = (value: number): readonly Sample[] => [[{}, value]];

function counted<Name extends string>(counts: Counts<Name>, label: string): readonly Sample[] {
  return [...counts.entries].map(([name, value]) => [{ [label]: name }, value]);
}

function tallied(tallies: Readonly<Record<string, Tally>>, of: (tally: Tally) => number): readonly Sample[] {
  return Object.entries(tallies).map(([payload, tally]) => [{ payload }, of(tally)]);
}
