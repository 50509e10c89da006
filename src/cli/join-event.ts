/** A change of a text: UTF-16 code units of what was displayed before, ascending. */
export interface ChangeLine {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
}

export interface CommentLine {
  readonly id: string;
  /** Empty: it belongs to no file. */
  readonly path: string;
  /** 1-based, of the text as the log has it. */
  readonly line: number;
  readonly text: string;
  readonly parent: string;
  readonly resolved: boolean;
  readonly user: string;
}

export interface PresentLine {
  readonly user: string;
  readonly client: string;
  readonly name: string;
  readonly status: string;
}

/** Who and where: of what came as a message. */
interface Sender {
  readonly user: string;
  readonly client: string;
}

/** A message of one's own: what it is about. */
export interface OwnMessage {
  readonly kind: "edit" | "comment" | "custom";
  readonly path?: string;
  readonly id?: string;
  readonly type?: string;
}

/** How a stream ended, in the relay's terms; empty where it said nothing. */
export interface EndLine {
  readonly code: string;
  readonly reason: string;
  readonly message: string;
}

/** One line that `baton join` prints; docs/cli.md has them for people. Fields are added, never changed. */
export type JoinEvent =
  | ({
      readonly event: "welcome";
      readonly session: string;
      readonly outcome: string;
      readonly head: number;
      readonly epoch: string;
      readonly scopes: readonly string[];
      /** ms since the Unix epoch. */
      readonly tokenExpiresAt: number;
      readonly participants: readonly PresentLine[];
      readonly readers: number;
      readonly stream: string;
    } & Sender)
  | { readonly event: "live"; readonly seq: number; readonly files: readonly string[] }
  | {
      readonly event: "text";
      readonly path: string;
      readonly exists: boolean;
      readonly changes: readonly ChangeLine[];
      /** Of the first change, in the text as it is now. */
      readonly line: number;
      /** Of the record that did it; absent: a snapshot did, or a refusal. */
      readonly seq?: number;
      /** As the log has the file now; absent: it does not have it. */
      readonly version?: number;
      readonly user?: string;
      readonly client?: string;
    }
  | { readonly event: "lost-file"; readonly path: string; readonly text: string }
  | ({ readonly event: "comment" } & CommentLine)
  | { readonly event: "comment-deleted"; readonly id: string }
  | { readonly event: "comments"; readonly comments: readonly CommentLine[] }
  | ({
      readonly event: "custom";
      readonly type: string;
      /** Base64. */
      readonly data: string;
      /** The same, where it is UTF-8. */
      readonly text?: string;
      readonly ephemeral: boolean;
      readonly seq?: number;
    } & Sender)
  | ({
      readonly event: "cursor";
      readonly path: string;
      readonly line: number;
      readonly column: number;
      readonly version: number;
      readonly anchorLine?: number;
      readonly anchorColumn?: number;
    } & Sender)
  | ({ readonly event: "presence" } & PresentLine)
  | ({
      readonly event: "acked";
      readonly seq: number;
      readonly clientSeq: number;
      readonly version?: number;
    } & OwnMessage)
  | ({ readonly event: "refused"; readonly reason: string; readonly message: string } & OwnMessage)
  | ({ readonly event: "uncertain" } & OwnMessage)
  | {
      readonly event: "token";
      readonly state: string;
      readonly expiresAt: number;
      readonly scopes: readonly string[];
      readonly reason: string;
    }
  | { readonly event: "go-away"; readonly reason: string; readonly afterMs: number }
  | ({ readonly event: "reconnecting"; readonly attempt: number; readonly waitMs: number } & EndLine)
  | ({ readonly event: "fault"; readonly clientSeq: number } & EndLine)
  | { readonly event: "protocol-error"; readonly message: string }
  | {
      readonly event: "show";
      readonly path: string;
      readonly exists: boolean;
      readonly text: string;
      /** As the log has the file; absent: it does not have it. */
      readonly version?: number;
      /** Whether the log has all that is displayed. */
      readonly settled: boolean;
    }
  | { readonly event: "files"; readonly files: readonly string[] }
  /** An input line that is none; the stream lives. */
  | { readonly event: "error"; readonly line: number; readonly message: string }
  | { readonly event: "left"; readonly settled: boolean }
  | ({ readonly event: "stopped" } & EndLine);
