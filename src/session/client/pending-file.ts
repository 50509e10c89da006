import type { ChangeSet, Text } from "@codemirror/state";
import { assertNever } from "../reasons.ts";
import { changeSet, emptyText, normalizeChanges, smallestChange, textContent } from "../text.ts";

/** A file's text; one that does not exist has none. */
export interface Content {
  readonly text: Text;
  readonly exists: boolean;
}

/** A file as the log has it. The version of a file that does not exist means nothing. */
export interface Confirmed extends Content {
  readonly version: number;
}

/** Something done to a file here that the log does not have yet. A creation's changes are on the empty text. */
export type Step = { readonly kind: "edit" | "create"; readonly changes: ChangeSet } | { readonly kind: "delete" };

/** "lost": its file was deleted before it came there. It will be refused, and until then nothing else can be sent. */
export type InFlightStep = Step | { readonly kind: "lost" };

/**
 * One file of a client: `displayed` = `confirmed`, then `inFlight`, then `buffer`. At most one step is in flight; what
 * is done meanwhile is composed into the buffer, which so holds one step, or two where a file is made anew: a deletion,
 * then a creation.
 */
export interface PendingFile {
  readonly path: string;
  readonly confirmed: Confirmed;
  readonly inFlight: InFlightStep | undefined;
  readonly buffer: readonly Step[];
  readonly displayed: Content;
}

/** The log's next version of a file, or a snapshot's: `changes` are on the confirmed text. */
export interface RemoteChange {
  readonly changes: ChangeSet;
  readonly version: number;
  readonly exists: boolean;
}

/** A file after something came from outside, and how positions in what is above the confirmed text moved. */
export interface Transition {
  readonly file: PendingFile;
  /** On the text after the step in flight; undefined = nothing moved. */
  readonly atInFlight: ChangeSet | undefined;
  /** On the displayed text; undefined = nothing moved. */
  readonly atDisplayed: ChangeSet | undefined;
  /** What was displayed, where work in it lost its file. */
  readonly lost: Text | undefined;
}

const absent: Content = { text: emptyText, exists: false };

export function createPendingFile(path: string): PendingFile {
  const confirmed = { ...absent, version: 0 };
  return { path, confirmed, inFlight: undefined, buffer: [], displayed: absent };
}

/** Whether nothing of it is only here. */
export function isSettled({ inFlight, buffer }: PendingFile): boolean {
  return inFlight === undefined && buffer.length === 0;
}

/** The file after one more step that was done here, on what is displayed. */
export function pushStep(file: PendingFile, step: Step): PendingFile {
  const displayed = step.kind === "delete" ? absent : { text: step.changes.apply(file.displayed.text), exists: true };
  return { ...file, buffer: composeStep(file.buffer, step), displayed };
}

function composeStep(buffer: readonly Step[], step: Step): readonly Step[] {
  const last = buffer.at(-1);
  if (last === undefined || last.kind === "delete") return [...buffer, step];
  const before = buffer.slice(0, -1);
  switch (step.kind) {
    case "edit":
      return [...before, { kind: last.kind, changes: last.changes.compose(step.changes) }];
    case "delete":
      // What was made here and never sent goes without a trace.
      return last.kind === "create" ? before : [...before, step];
    case "create":
      throw new Error("a file that exists cannot be created");
    default:
      return assertNever(step);
  }
}

/** The log's next version of the file: it stands before what is pending, at one place too. */
export function applyRemote(file: PendingFile, { changes, version, exists }: RemoteChange): Transition {
  const { confirmed: before, inFlight } = file;
  const confirmed = { text: changes.apply(before.text), exists, version };
  const overFlight = passFlight(inFlight, { changes, deletes: !exists });
  const atInFlight = overFlight.passed?.changes;
  const creates = !before.exists && exists && overFlight.passed !== undefined && inFlight?.kind !== "create";
  if (creates && file.buffer[0]?.kind === "create") {
    // Two made it; whoever came second is not told by the relay, as it was not sent: it is over here and now.
    return displayConfirmed({ ...file, confirmed, inFlight: overFlight.step }, file.displayed.text);
  }
  const { buffer, passed, lost } = passBuffer(file.buffer, overFlight.passed);
  const displayed = passed === undefined ? file.displayed : display(file.displayed, passed);
  return {
    file: { ...file, confirmed, inFlight: overFlight.step, buffer, displayed },
    atInFlight,
    atDisplayed: passed?.changes,
    lost: lost || overFlight.lost ? file.displayed.text : undefined,
  };
}

/** A change on its way up, from the confirmed text to the displayed one. */
interface Passing {
  readonly changes: ChangeSet;
  /** The file goes with it. */
  readonly deletes: boolean;
}

interface Passed<S> {
  readonly step: S;
  /** As it goes on above the step; undefined = nothing of it is seen there. */
  readonly passed: Passing | undefined;
  /** The step was work in a file that is gone. */
  readonly lost: boolean;
}

function display({ text }: Content, { changes, deletes }: Passing): Content {
  return deletes ? absent : { text: changes.apply(text), exists: true };
}

function passFlight(step: InFlightStep | undefined, passing: Passing): Passed<InFlightStep | undefined> {
  if (step === undefined || step.kind === "lost") return { step, passed: passing, lost: false };
  const over = passStep(step, passing);
  return { ...over, step: over.step ?? { kind: "lost" } };
}

function passBuffer(steps: readonly Step[], passing: Passing | undefined) {
  const buffer: Step[] = [];
  let passed = passing;
  let lost = false;
  for (const step of steps) {
    const over: Passed<Step | undefined> =
      passed === undefined ? { step, passed, lost: false } : passStep(step, passed);
    if (over.step !== undefined) buffer.push(over.step);
    passed = over.passed;
    lost ||= over.lost;
  }
  return { buffer, passed, lost };
}

function passStep(step: Step, { changes, deletes }: Passing): Passed<Step | undefined> {
  switch (step.kind) {
    case "edit":
      if (deletes) {
        return {
          step: undefined,
          passed: { changes: deleteAll(step.changes.newLength), deletes },
          lost: !step.changes.empty,
        };
      }
      return passMapped(step.kind, step.changes, changes);
    case "create":
      // Whatever becomes of the file that it would have replaced, this one is there.
      return passMapped(step.kind, step.changes, changes);
    case "delete":
      return { step: deletes ? undefined : step, passed: undefined, lost: false };
    default:
      return assertNever(step);
  }
}

function passMapped(kind: "edit" | "create", own: ChangeSet, remote: ChangeSet): Passed<Step> {
  const passed = { changes: remote.map(own, true), deletes: false };
  return { step: { kind, changes: own.map(remote) }, passed, lost: false };
}

/** The step in flight is in the log: what it did to the confirmed text, as everybody has it. */
export function confirmStep(file: PendingFile, version: number): { file: PendingFile; changes: ChangeSet } | undefined {
  const { inFlight, confirmed } = file;
  if (inFlight === undefined || inFlight.kind === "lost") return undefined;
  const exists = inFlight.kind !== "delete";
  const changes = exists ? normalizeChanges(inFlight.changes) : deleteAll(confirmed.text.length);
  const next = { text: changes.apply(confirmed.text), exists, version };
  return { file: { ...file, confirmed: next, inFlight: undefined }, changes };
}

/**
 * The step in flight was refused for good: its effect is undone, like a change of somebody else's. What was done after
 * a creation or a deletion goes with it, since it has nothing to stand on.
 */
export function takeBack(file: PendingFile): Transition {
  const { inFlight, confirmed, displayed } = file;
  const without = { ...file, inFlight: undefined };
  switch (inFlight?.kind) {
    case undefined:
    case "lost":
      return { file: without, atInFlight: undefined, atDisplayed: undefined, lost: undefined };
    case "create":
      return displayConfirmed(without, displayed.text);
    case "delete":
      return displayConfirmed(without, displayed.exists ? displayed.text : undefined);
    case "edit": {
      const undo = inFlight.changes.invert(confirmed.text);
      const { buffer, passed } = passBuffer(file.buffer, { changes: undo, deletes: false });
      const next = passed === undefined ? displayed : display(displayed, passed);
      const atDisplayed = passed?.changes;
      return { file: { ...without, buffer, displayed: next }, atInFlight: undo, atDisplayed, lost: undefined };
    }
    default:
      return assertNever(inFlight);
  }
}

function displayConfirmed(file: PendingFile, lost: Text | undefined): Transition {
  const { text, exists } = file.confirmed;
  const atDisplayed = textDifference(file.displayed.text, text);
  return { file: { ...file, buffer: [], displayed: { text, exists } }, atInFlight: undefined, atDisplayed, lost };
}

/** Costs the size of the file: for what happens rarely. */
export function textDifference(before: Text, after: Text): ChangeSet {
  return changeSet(before.length, [smallestChange(textContent(before), textContent(after))]);
}

export function deleteAll(length: number): ChangeSet {
  return changeSet(length, [{ from: 0, to: length, insert: "" }]);
}
