import { assertNever } from "../session/reasons.ts";
import type { EndLine, JoinEvent, OwnMessage, PresentLine } from "./join-event.ts";
import { printableLine } from "./printable.ts";

/** The type of custom messages that `say` sends and people read as speech. */
export const chatType = "chat";

/** What an event is to people, one line each; none: it is not worth a line. Nothing in them is obeyed by a terminal. */
export function describeEvent(event: JoinEvent): readonly string[] {
  return wordsOf(event).map(printableLine);
}

function wordsOf(event: JoinEvent): readonly string[] {
  switch (event.event) {
    case "welcome":
      return event.outcome === "resumed" ? ["Back: nothing was missed."] : welcomeWords(event);
    case "live":
      return [`Up to date at record ${event.seq}; ${filesWords(event.files)}. Type help for what you can do.`];
    case "text":
      return [textWords(event)];
    case "lost-file":
      return [
        `${quote(event.path)} is gone, with text of yours that nobody else has seen:`,
        ...event.text.split("\n").map((line) => `  | ${line}`),
      ];
    case "comment":
      return [commentWords(event)];
    case "comment-deleted":
      return [`Comment ${quote(event.id)} was deleted.`];
    case "comments":
      return event.comments.filter(({ resolved }) => !resolved).map(commentWords);
    case "custom": {
      const { type, text, data, user } = event;
      if (type === chatType && text !== undefined) return [`${quote(user)}: ${text}`];
      return event.ephemeral ? [] : [`${quote(user)} sent ${quote(type)}, ${data.length} characters of base64.`];
    }
    case "cursor":
      return [];
    case "presence":
      return presenceWords(event);
    case "acked":
      return [];
    case "refused":
      return [`Refused: your ${ownWords(event)}: ${event.message} (${event.reason}).`];
    case "uncertain":
      return [`Your ${ownWords(event)} may or may not have arrived; look, and do it again if it did not.`];
    case "token":
      return event.state === "rejected" ? [`A new token was refused: ${event.reason}`] : [];
    case "go-away":
      return [`The relay asks us to come back on a new stream (${event.reason}).`];
    case "reconnecting":
      return [reconnectingWords(event)];
    case "fault":
      return [`The relay refused something: ${event.message} (${event.reason}).`];
    case "protocol-error":
      return [`The relay said what it should not (${event.message}); starting over from a snapshot.`];
    case "show":
      return showWords(event);
    case "files":
      return [capitalize(`${filesWords(event.files)}.`)];
    case "error":
      return [event.message];
    case "left":
      return [event.settled ? "Left." : "Left, with work that the relay does not have."];
    case "stopped":
      // It is told on stderr, with what to do.
      return [];
    default:
      return assertNever(event);
  }
}

const capitalize = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1);

/** A name as it is read in a sentence. */
const quote = (name: string) => (/^[\w.@/+-]+$/.test(name) ? name : `"${name}"`);

const nameOf = ({ name, user }: Pick<PresentLine, "name" | "user">) =>
  name === "" || name === user ? quote(user) : `${quote(name)} (${quote(user)})`;

function welcomeWords(event: Extract<JoinEvent, { event: "welcome" }>): readonly string[] {
  const { user, client, session, participants, readers, outcome } = event;
  const others = participants.filter((one) => one.user !== user || one.client !== client).map(nameOf);
  const present = others.length === 0 ? "nobody else may write here now" : `here too: ${others.join(", ")}`;
  const reading = readers === 0 ? "" : `; ${readers} reading`;
  const start = outcome === "resynced" ? "Back, from a snapshot, as" : "Joined as";
  return [`${start} ${quote(user)} in ${quote(session)}; ${present}${reading}.`];
}

const filesWords = (files: readonly string[]) =>
  files.length === 0 ? "there are no files" : `files: ${files.map(quote).join(", ")}`;

function textWords({ path, exists, user, line, version }: Extract<JoinEvent, { event: "text" }>): string {
  const who = user === undefined ? "" : `${quote(user)} `;
  if (!exists) return user === undefined ? `${quote(path)} is gone.` : `${who}deleted ${quote(path)}.`;
  if (user === undefined) return `${quote(path)} changed.`;
  return version === 1 ? `${who}made ${quote(path)}.` : `${who}edited ${quote(path)}, line ${line}.`;
}

function commentWords(comment: Omit<Extract<JoinEvent, { event: "comment" }>, "event">): string {
  const { user, path, line, text, id, parent, resolved } = comment;
  const place = path === "" ? "" : ` on ${quote(path)}:${line}`;
  const kind = `${parent === "" ? "comments" : `answers ${quote(parent)}`}${place}`;
  return `${quote(user)} ${kind}: ${text} [${id}${resolved ? ", resolved" : ""}]`;
}

function presenceWords(event: PresentLine): readonly string[] {
  switch (event.status) {
    case "joined":
      return [`${nameOf(event)} joined.`];
    case "left":
      return [`${nameOf(event)} left.`];
    case "idle":
      return [`${nameOf(event)} is idle.`];
    default:
      return [];
  }
}

function ownWords({ kind, path, id, type }: OwnMessage): string {
  switch (kind) {
    case "edit":
      return `edit of ${quote(path ?? "")}`;
    case "comment":
      return `comment ${quote(id ?? "")}`;
    case "custom":
      return type === chatType ? "words" : `message ${quote(type ?? "")}`;
    default:
      return assertNever(kind);
  }
}

function reconnectingWords({ waitMs, reason, message, code }: { readonly waitMs: number } & EndLine): string {
  const when = waitMs < 1000 ? "now" : `in ${Math.round(waitMs / 1000)} s`;
  return `Cut off (${reason || message || code || "the relay fell silent"}); coming back ${when}. What you do meanwhile is kept.`;
}

function showWords({ path, exists, text, settled }: Extract<JoinEvent, { event: "show" }>): readonly string[] {
  if (!exists) return [`There is no ${quote(path)}.`];
  const lines = text.split("\n");
  const width = String(lines.length).length;
  const numbered = lines.map((line, index) => `${String(index + 1).padStart(width)} | ${line}`);
  return settled ? numbered : [...numbered, "(not all of it is in the log yet)"];
}
