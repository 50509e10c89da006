import type { ChangeSet, Text } from "@codemirror/state";
import type { Comment, Custom, SessionMessage } from "../../gen/codereview/v1/codereview_pb.ts";
import type { LoggedPayload } from "../admit.ts";
import { isPathValid } from "../path.ts";
import { assertNever } from "../reasons.ts";
import { isRefusal, type Refusal, refuse } from "../refusal.ts";
import type { AssembledSnapshot } from "../snapshot-parts.ts";
import { changeSet, listChanges, parseChanges, splitsPair } from "../text.ts";
import { CommentsView } from "./comments-view.ts";
import type { ClientEvent } from "./effects.ts";
import { type EditBounds, encodeStep, sendNext } from "./next-edit.ts";
import { type Entry, Outbox } from "./outbox.ts";
import {
  createPendingComment,
  encodePendingComment,
  moveByTransition,
  moveByTyping,
  type PendingComment,
  settleComment,
} from "./pending-comment.ts";
import {
  applyRemote,
  confirmStep,
  createPendingFile,
  isSettled,
  type PendingFile,
  pushStep,
  type Step,
  type Transition,
  takeBack,
} from "./pending-file.ts";
import { rebaseFile } from "./resync.ts";

/** Why a message of the log cannot be what it says it is. Undefined = it was applied. */
export type Problem = string | undefined;

/** An answer to one of this client's messages: it is in the log, here. */
export interface Acknowledgement {
  readonly clientSeq: number;
  readonly seq: number;
  /** The file version that an edit made. */
  readonly version: number;
  readonly userId: string;
  readonly timestampMs: number;
}

/**
 * What a client has of a session: its files and comments as the log has them, and what is on its way there. It knows
 * nothing of streams.
 */
export class ClientDocument {
  readonly outbox = new Outbox();
  readonly comments = new CommentsView();
  readonly #files = new Map<string, PendingFile>();
  /** Comments in the order in which they were made: of those in the queue the lines are still followed. */
  readonly #pendingComments = new Set<PendingComment>();
  /** Comments that wait for text to be logged, or for an older comment of the same id. */
  #waiting: PendingComment[] = [];
  /** Files that may have something to send. */
  readonly #touched = new Set<string>();
  readonly #bounds: EditBounds;
  readonly #tell: (event: ClientEvent) => void;

  constructor(bounds: EditBounds, tell: (event: ClientEvent) => void) {
    this.#bounds = bounds;
    this.#tell = tell;
  }

  /** Whether the log has all that was done here. */
  get settled(): boolean {
    return this.outbox.entries.length === 0 && this.#waiting.length === 0 && this.#touched.size === 0;
  }

  file(path: string): PendingFile | undefined {
    return this.#files.get(path);
  }

  files(): IterableIterator<PendingFile> {
    return this.#files.values();
  }

  /** Types into a file; the first changes of one that is not there make it. */
  edit(path: string, changes: ChangeSet): void {
    const file = this.#files.get(path) ?? createPendingFile(path);
    const { text, exists } = file.displayed;
    if (changes.length !== text.length) throw new RangeError("the changes are not of the displayed text");
    if (exists && changes.empty) return;
    const kind = exists ? "edit" : "create";
    const checked = isPathValid(path) ? checkChanges(text, changes) : refuse("PATH_INVALID");
    if (isRefusal(checked)) {
      const refused: Step = { kind, changes };
      this.#refuse(checked, { case: "edit", value: encodeStep(file, refused) });
      return;
    }
    for (const pending of this.#commentsOn(path)) moveByTyping(pending, checked);
    this.#put(pushStep(file, { kind, changes: checked }));
  }

  createFile(path: string, content: string): void {
    const present = this.#files.get(path);
    const changes = changeSet(0, content === "" ? [] : [{ from: 0, to: 0, insert: content }]);
    if (present?.displayed.exists === true) {
      const value = encodeStep(present, { kind: "create", changes });
      this.#refuse(refuse("FILE_EXISTS"), { case: "edit", value });
      return;
    }
    this.edit(path, changes);
  }

  deleteFile(path: string): void {
    const file = this.#files.get(path) ?? createPendingFile(path);
    if (file.displayed.exists) this.#put(pushStep(file, { kind: "delete" }));
    else this.#refuse(refuse("FILE_NOT_FOUND"), { case: "edit", value: encodeStep(file, { kind: "delete" }) });
  }

  /** Says a comment; a line is of the displayed text. */
  comment(comment: Comment): void {
    const file = comment.filePath === "" ? undefined : this.#files.get(comment.filePath);
    if (file !== undefined && comment.lineNumber > file.displayed.text.lines) {
      this.#refuse(refuse("COMMENT_INVALID"), { case: "comment", value: comment });
      return;
    }
    const pending = createPendingComment(comment, file);
    this.#pendingComments.add(pending);
    this.#waiting.push(pending);
  }

  custom(custom: Custom): void {
    this.outbox.push({ kind: "custom" }, { case: "custom", value: custom });
  }

  /** Entries to send now. */
  release(maxUnackedBytes: number): readonly Entry[] {
    for (const path of this.#touched) this.#sendNext(path);
    this.#touched.clear();
    if (this.#waiting.length > 0) this.#releaseComments();
    return this.outbox.release(maxUnackedBytes);
  }

  #sendNext(path: string): void {
    const file = this.#files.get(path);
    if (file === undefined) return;
    const next = sendNext(file, this.#bounds);
    this.#put(next);
    if (next.inFlight === undefined || next.inFlight.kind === "lost") return;
    this.outbox.push({ kind: "edit", path }, { case: "edit", value: encodeStep(next, next.inFlight) });
  }

  #releaseComments(): void {
    const ids = new Set<string>();
    this.#waiting = this.#waiting.filter((pending) => {
      const { commentId: id, filePath } = pending.comment;
      const waits = pending.layer !== "confirmed" || ids.has(id);
      if (waits) ids.add(id);
      else this.#pushComment(pending, this.#files.get(filePath));
      return waits;
    });
  }

  #pushComment(comment: PendingComment, file: PendingFile | undefined): void {
    const value = encodePendingComment(comment, file);
    if (value === undefined) this.#refuseComment(comment);
    else this.outbox.push({ kind: "comment", comment }, { case: "comment", value });
  }

  /** Its file is not there: there is no version that its line could be one of. */
  #refuseComment(pending: PendingComment): void {
    this.#pendingComments.delete(pending);
    this.#refuse(refuse("FILE_NOT_FOUND"), { case: "comment", value: pending.comment });
  }

  /** A record of the log, in order, that this client holds no message for. */
  applyRecord(message: SessionMessage): Problem {
    const { payload } = message;
    switch (payload.case) {
      case "edit": {
        const { filePath: path, version, deleted } = payload.value;
        const file = this.#files.get(path) ?? createPendingFile(path);
        if (file.confirmed.exists ? version !== file.confirmed.version + 1 : deleted) {
          return "a file's version was left out";
        }
        const changes = parseChanges(file.confirmed.text.length, payload.value.changes);
        if (isRefusal(changes)) return changes.message;
        const transition = applyRemote(file, { changes, version, exists: !deleted });
        this.#confirm(path, file, transition.file, changes);
        this.#transit(file, transition, changes);
        return undefined;
      }
      case "comment":
        this.comments.put(payload.value);
        this.#tell({ kind: "comment", id: payload.value.commentId });
        return undefined;
      case "custom":
        this.#tell({ kind: "custom", message });
        return undefined;
      default:
        return "a record of an unknown kind";
    }
  }

  /** The first message of the queue is in the log, at this place of the order. */
  acknowledge(ack: Acknowledgement): Problem {
    const entry = this.outbox.acknowledge(ack.clientSeq);
    if (entry === undefined) return "an acked message is not the first of those pending";
    const { clientSeq, seq } = ack;
    const { work, payload } = entry;
    switch (work.kind) {
      case "edit": {
        const problem = this.#confirmEdit(work.path, ack.version);
        if (problem !== undefined) return problem;
        break;
      }
      case "comment":
        this.#pendingComments.delete(work.comment);
        this.comments.putOwn(work.comment, ack);
        this.#tell({ kind: "comment", id: work.comment.comment.commentId });
        break;
      case "custom":
        break;
      default:
        return assertNever(work);
    }
    this.#tell({ kind: "acked", payload, clientSeq, seq });
    return undefined;
  }

  #confirmEdit(path: string, version: number): Problem {
    const file = this.#files.get(path);
    const confirmed = file === undefined ? undefined : confirmStep(file, version);
    if (file === undefined || confirmed === undefined) return "an edit of a file that was deleted is acked";
    if (file.confirmed.exists && version !== file.confirmed.version + 1) return "a file's version was left out";
    this.#confirm(path, file, confirmed.file, confirmed.changes);
    for (const pending of this.#commentsOn(path)) {
      const transition = { file: confirmed.file, atInFlight: undefined, atDisplayed: undefined, lost: undefined };
      moveByTransition(pending, transition, confirmed.changes);
    }
    this.#put(confirmed.file);
    return undefined;
  }

  /** The relay refused a message for good: what it did here is undone. */
  drop(entry: Entry, refusal: { readonly reason: string; readonly message: string }): void {
    this.#takeOut(entry);
    this.#refuse(refusal, entry.payload);
  }

  /** It was sent, and nobody can say whether it was logged: it goes, and the application is told. */
  dropUncertain(entry: Entry): void {
    this.#takeOut(entry);
    this.#tell({ kind: "uncertain", payload: entry.payload });
  }

  #takeOut(entry: Entry): void {
    this.outbox.remove(entry);
    const { work } = entry;
    if (work.kind === "comment") this.#pendingComments.delete(work.comment);
    const file = work.kind === "edit" ? this.#files.get(work.path) : undefined;
    if (file !== undefined) this.#transit(file, takeBack(file), undefined);
  }

  /**
   * A snapshot takes the place of what was confirmed. Messages up to `lastClientSeq` are in it; the rest is put on top
   * of it, and has to be numbered and sent anew.
   */
  resync(snapshot: AssembledSnapshot, lastClientSeq: number): void {
    const logged = this.outbox.restart(lastClientSeq);
    const loggedPaths = new Set<string>();
    for (const { work } of logged) {
      if (work.kind === "edit") loggedPaths.add(work.path);
      if (work.kind === "comment") this.#pendingComments.delete(work.comment);
    }
    for (const path of new Set([...this.#files.keys(), ...snapshot.files.keys()])) {
      this.#rebase(this.#files.get(path) ?? createPendingFile(path), snapshot, loggedPaths.has(path));
    }
    this.comments.reset(snapshot.comments);
    this.#tell({ kind: "comments-reset" });
    for (const entry of [...this.outbox.entries]) this.#remake(entry);
  }

  #rebase(file: PendingFile, snapshot: AssembledSnapshot, logged: boolean): void {
    const rebase = rebaseFile(file, snapshot.files.get(file.path), logged);
    const { base, remote, transition } = rebase;
    if (logged) {
      const confirmed = confirmStep(file, file.confirmed.version);
      const acked = { file: base, atInFlight: undefined, atDisplayed: undefined, lost: undefined };
      for (const pending of this.#commentsOn(file.path)) moveByTransition(pending, acked, confirmed?.changes);
    }
    this.#transit(base, transition, remote.changes, file.displayed.exists);
  }

  /** Builds the payload of a message that is not in a snapshot on top of it. */
  #remake(entry: Entry): void {
    const { work } = entry;
    if (work.kind === "comment") {
      const value = encodePendingComment(work.comment, this.#files.get(work.comment.comment.filePath));
      if (value !== undefined) {
        entry.payload = { case: "comment", value };
      } else {
        this.outbox.remove(entry);
        this.#refuseComment(work.comment);
      }
    } else if (work.kind === "edit") {
      const file = this.#files.get(work.path);
      const step = file?.inFlight;
      if (file === undefined || step === undefined || step.kind === "lost") {
        this.outbox.remove(entry);
        if (step !== undefined && file !== undefined) this.#put({ ...file, inFlight: undefined });
      } else if (step.kind !== "create") {
        // A creation goes as it is: on the empty text, whoever else made the file meanwhile.
        entry.payload = { case: "edit", value: encodeStep(file, step) };
      }
    }
  }

  #confirm(path: string, before: PendingFile, after: PendingFile, changes: ChangeSet): void {
    this.comments.move(path, before.confirmed.text, after.confirmed.text, changes);
  }

  #transit(
    before: PendingFile,
    transition: Transition,
    confirmedChanges: ChangeSet | undefined,
    existed = before.displayed.exists,
  ): void {
    const { file, atDisplayed, lost } = transition;
    const { path, displayed } = file;
    for (const pending of this.#commentsOn(path)) moveByTransition(pending, transition, confirmedChanges);
    this.#put(file);
    if (lost !== undefined && lost.length > 0) this.#tell({ kind: "lost-file", path, text: lost });
    const changed = atDisplayed !== undefined && !atDisplayed.empty;
    if (!changed && displayed.exists === existed) return;
    const changes = atDisplayed ?? changeSet(displayed.text.length, []);
    this.#tell({ kind: "text", path, changes, exists: displayed.exists });
  }

  #put(file: PendingFile): void {
    const { path } = file;
    if (isSettled(file) && !file.confirmed.exists) this.#files.delete(path);
    else this.#files.set(path, file);
    for (const pending of this.#commentsOn(path)) settleComment(pending, file);
    if (file.inFlight === undefined && file.buffer.length > 0) this.#touched.add(path);
    else this.#touched.delete(path);
  }

  *#commentsOn(path: string): Generator<PendingComment> {
    for (const pending of this.#pendingComments) if (pending.comment.filePath === path) yield pending;
  }

  #refuse({ reason, message }: { readonly reason: string; readonly message: string }, payload: LoggedPayload): void {
    this.#tell({ kind: "refused", reason, message, payload });
  }
}

/** What somebody typed, as everybody else will hold it; refused where it would not survive the way. */
function checkChanges(text: Text, typed: ChangeSet): ChangeSet | Refusal {
  const checked = parseChanges(text.length, listChanges(typed));
  if (isRefusal(checked) || !splitsPair(text, checked)) return checked;
  return refuse("EDIT_OUT_OF_RANGE", "the edit does not apply: it splits a surrogate pair");
}
