import type { Text } from "@codemirror/state";
import { createText, emptyText, normalizeChanges } from "../text.ts";
import {
  applyRemote,
  confirmStep,
  type PendingFile,
  type RemoteChange,
  type Transition,
  textDifference,
} from "./pending-file.ts";

/** A file of a snapshot. */
export interface SnapshotFile {
  readonly version: number;
  readonly content: string;
}

/** A file put on a snapshot: first `base`, where what was in flight is confirmed if it is in there, then `transition`. */
export interface Rebase {
  readonly base: PendingFile;
  /** Of the confirmed text of `base`. */
  readonly remote: RemoteChange;
  readonly transition: Transition;
}

/**
 * What is pending, put on a snapshot: as if somebody had made, in one change, the smallest difference between what this
 * client had confirmed and what the snapshot says. `logged`: the step in flight is in the snapshot.
 */
export function rebaseFile(file: PendingFile, snapshot: SnapshotFile | undefined, logged: boolean): Rebase {
  const base = logged ? confirmed(file) : file.inFlight?.kind === "lost" ? { ...file, inFlight: undefined } : file;
  const text = snapshot === undefined ? emptyText : createText(snapshot.content);
  const remote = remoteChange(base, snapshot, text);
  const transition = applyRemote(base, remote);
  return { base, remote, transition: { ...transition, file: normalizeFlight(transition.file) } };
}

/** What is sent anew is in the form in which the relay gets it: both sides go on mapping the same set. */
function normalizeFlight(file: PendingFile): PendingFile {
  const { inFlight } = file;
  if (inFlight?.kind !== "edit") return file;
  return { ...file, inFlight: { kind: "edit", changes: normalizeChanges(inFlight.changes) } };
}

function confirmed(file: PendingFile): PendingFile {
  // A step that was taken for lost and is in the log after all: the snapshot has what it did.
  return confirmStep(file, file.confirmed.version)?.file ?? { ...file, inFlight: undefined };
}

function remoteChange({ confirmed }: PendingFile, snapshot: SnapshotFile | undefined, text: Text): RemoteChange {
  const changes = textDifference(confirmed.text, text);
  return { changes, version: snapshot?.version ?? 0, exists: snapshot !== undefined };
}
